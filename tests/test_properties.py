"""Layers of every kind: a right answer or a named error, never a warning from inside NumPy."""

import ml_dtypes
import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import rotation
from strategies import GENERIC, KINDS, answered, double, examples, generic, layers, pairs, undefined

from svcca_monitor import (
    MEASURES,
    MinibatchCKA,
    Moments,
    Subspace,
    bootstrap_interval,
    canonical_correlations,
    cca,
    chance_level,
    fourier_cca,
    permutation_test,
    similarity,
    similarity_grid,
)


@examples(60)
@given(data=st.data())
def test_factors_of_any_layer_give_it_back_in_double_precision(data):
    (x,) = data.draw(pairs(count=1))
    s, said = answered(Subspace.from_activations, x)
    assert not said
    matrix = double(x)
    (n_samples, _), size = x.shape, np.abs(matrix).max()
    assert s.rank <= min(n_samples - 1, x.shape[1])
    assert {s.basis.dtype, s.loadings.dtype, s.mean.dtype} == {matrix.dtype}
    for columns in (s.basis, s.loadings):
        np.testing.assert_allclose(columns.conj().T @ columns, np.eye(s.rank), atol=1e-10)
    again = (s.basis * s.singular_values) @ s.loadings.conj().T + s.mean
    eps = (
        ml_dtypes.finfo(x.dtype).eps
        if x.dtype.name == "bfloat16"
        else (np.finfo(x.dtype).eps if x.dtype.kind in "fc" else 0)
    )
    # Directions of rounding are left out: as many roundings as the noise of the dtype is given.
    noise = 10 * max(float(eps), 2.3e-16) * (1 + x.size**0.5)
    np.testing.assert_allclose(again, matrix, rtol=0, atol=noise * size + 1e-302)
    if (x == x[0]).all():
        assert s.rank == 0


@pytest.mark.parametrize("name", MEASURES)
@examples(25)
@given(data=st.data())
def test_a_measure_of_any_layers_is_in_its_interval_and_one_with_itself(name, data):
    x, y = data.draw(pairs())
    value, said = answered(similarity, x, y, measure=name)
    alive = [bool(Subspace.from_activations(a).rank) for a in (x, y)]
    few = [live and a.shape[1] >= len(a) - 1 for a, live in zip((x, y), alive, strict=True)]
    expected = {"Few samples"} if any(few) else set()
    if not all(alive):
        expected.add("Constant over the probe set")
    assert said - {"Not defined"} == expected
    if all(alive):
        assert ("Not defined" in said) == np.isnan(value)
    adjusted, _ = answered(similarity, x, y, measure=name, adjusted=True)
    if not all(alive):
        assert np.isnan([value, adjusted]).all()
    elif np.isnan(value):
        assert undefined(name, x) or undefined(name, y)
    else:
        assert value <= 1
        assert value >= 0 or name == "cka_debiased"
        assert np.isnan(adjusted) or -np.inf < adjusted <= 1
        if MEASURES[name].symmetric:
            reverse, _ = answered(similarity, y, x, measure=name)
            assert value == pytest.approx(reverse, abs=1e-9)
    for alone in (similarity, lambda a, **options: similarity_grid([a], **options)[0, 0]):
        arguments = (x, x.copy()) if alone is similarity else (x,)
        for options in ({}, {"adjusted": True}):
            own, _ = answered(alone, *arguments, measure=name, **options)
            open_ = undefined(name, x) if alive[0] else True
            if not (np.isnan(own) and (open_ or options)):
                assert own == pytest.approx(1, abs=1e-6 if options else 1e-9)
                assert own <= 1


CHANGES = {
    "affine": lambda a, rng: (
        (a @ rotation(a.shape[1], rng) * np.linspace(1, 9, a.shape[1])) @ rotation(a.shape[1], rng)
        + rng.normal(size=a.shape[1])
    ),
    "orthogonal": lambda a, rng: a @ rotation(a.shape[1], rng),
    "scale": lambda a, rng: a * -7.3e4,
    "shift": lambda a, rng: a + 100 * rng.normal(size=a.shape[1]),
    "permutation": lambda a, rng: a[:, rng.permutation(a.shape[1])],
}


def one_pair(x, y, **options):
    """As `similarity`, which also works out a level of chance where samples are few."""
    return similarity_grid([x], [y], **options)[0, 0]


def moved(name, views, change, side, seed):
    """How far the measure moves when one side is changed."""
    changed = dict(views)
    changed[side] = CHANGES[change](views[side], np.random.default_rng(seed))
    before, after = (one_pair(*v.values(), measure=name) for v in (views, changed))
    return 0.0 if np.isnan([before, after]).all() else abs(before - after)


@pytest.mark.parametrize("side", ["x", "y"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_has_the_invariances_it_declares_and_no_other(name, change, side):
    views = dict(zip("xy", oracle.pair(), strict=True))
    assert MEASURES[name].invariances <= {*CHANGES, *(f"{known} of y" for known in CHANGES)}
    most = max(moved(name, views, change, side, seed) for seed in range(5))
    if {change, f"{change} of {side}"} & MEASURES[name].invariances:
        assert most < 1e-10
    else:
        assert most > 1e-3


@pytest.mark.filterwarnings("ignore:Constant over the probe set", "ignore:Not defined")
@pytest.mark.parametrize("name", MEASURES)
@examples(15)
@given(views=generic(), seed=st.integers(0, 2**32 - 1))
def test_declared_invariances_hold_for_any_layers(name, views, seed):
    views = dict(zip("xy", views, strict=True))
    for known in MEASURES[name].invariances:
        change, _, side = known.partition(" of ")
        for changed in side or "xy":
            assert moved(name, views, change, changed, seed) < 1e-7, (change, changed)


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_symmetric_only_as_declared(name):
    x, y = oracle.pair()
    difference = abs(similarity(x, y, measure=name) - similarity(y, x, measure=name))
    assert difference < 1e-12 if MEASURES[name].symmetric else difference > 1e-3


@pytest.mark.parametrize("name", MEASURES)
@examples(15)
@given(data=st.data())
def test_a_grid_of_layers_of_any_dtypes_holds_their_pairs(name, data):
    # Which of some directions of equal variance a cut keeps, or a variate is, has no answer.
    kinds = GENERIC if name in ("svcca", "pwcca") else tuple(KINDS)
    rows = data.draw(pairs(count=3, most=12, kinds=kinds))
    columns = [data.draw(layers(len(rows[0]), kinds=kinds)) for _ in "ab"]
    for others in ([], columns):

        def whole(*given, name=name):
            return similarity_grid(given[:3], given[3:] or None, measure=name)

        grid, said = answered(whole, *rows, *others)
        expected = [
            [answered(one_pair, x, y, measure=name)[0] for y in others or rows] for x in rows
        ]
        np.testing.assert_allclose(grid, expected, atol=1e-7)
        assert said <= {"Constant over the probe set", "Not defined"}
        alive = [x for x in (*rows, *others) if Subspace.from_activations(x).rank]
        assert ("Not defined" in said) <= any(undefined(name, x) for x in alive)


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.1])
@examples(25)
@given(data=st.data())
def test_variates_of_any_layers_pair_up_row_by_row(ridge, data):
    x, y = data.draw(pairs())
    result, said = answered(cca, x, y, ridge=ridge)
    assert not said
    rho, degrees = result.correlations, len(x) - 1
    assert (np.diff(rho) <= 0).all()
    assert ((rho >= 0) & (rho <= 1)).all()
    np.testing.assert_allclose(canonical_correlations(x, y, ridge=ridge), rho, atol=1e-9)
    between = result.x_variates.conj() @ result.y_variates.T / degrees
    np.testing.assert_allclose(between, np.diag(rho), atol=1e-9)
    for a, variates, weights in (
        (x, result.x_variates, result.x_weights),
        (y, result.y_variates, result.y_weights),
    ):
        assert (variates.shape, weights.shape) == ((len(rho), len(a)), (len(rho), a.shape[1]))
        assert np.isfinite(weights).all()
        values = Subspace.from_activations(a).singular_values
        # Centred to the rounding of the largest direction, which is more of the smallest.
        own = 1e-9 + 1e-15 * values[0] / values[-1] if len(values) else 0
        np.testing.assert_allclose(variates.mean(axis=1), 0, atol=own)
        variance = variates.conj() @ variates.T / degrees
        if ridge:
            assert (np.linalg.eigvalsh(variance) <= 1 + 1e-9).all() if len(rho) else True
        else:
            np.testing.assert_allclose(variance, np.eye(len(rho)), atol=1e-9)


@examples(40)
@given(views=generic(), rng=st.integers(0, 2**32 - 1).map(np.random.default_rng))
def test_other_dead_neurons_on_each_side_leave_the_pairs_as_they_are(views, rng):
    x, y = views
    expected = cca(x, y)

    def with_dead(a):
        dead = rng.integers(0, a.shape[1] + 1, size=rng.integers(1, 4))
        return np.insert(a, dead, rng.choice([0.0, 0.1]), axis=1)

    more_x, more_y = with_dead(x), with_dead(y)
    result = cca(more_x, more_y)
    np.testing.assert_allclose(result.correlations, expected.correlations, atol=1e-9)
    for a, variates, weights in (
        (more_x, result.x_variates, result.x_weights),
        (more_y, result.y_variates, result.y_weights),
    ):
        np.testing.assert_allclose(weights @ oracle.centred(a).T, variates, atol=1e-7)
        np.testing.assert_allclose(weights[:, (a == a[0]).all(axis=0)], 0, atol=1e-9)
        np.testing.assert_allclose(variates.var(axis=1, ddof=1), 1, atol=1e-9)
    between = np.sum(result.x_variates.conj() * result.y_variates, axis=1) / (len(x) - 1)
    np.testing.assert_allclose(between, expected.correlations, atol=1e-9)


@pytest.mark.parametrize("name", MEASURES)
@examples(12)
@given(data=st.data())
def test_tests_and_intervals_of_any_layers_are_within_their_bounds(name, data):
    x, y = data.draw(pairs(most=12))
    test, said = answered(permutation_test, x, y, measure=name, n_permutations=5)
    (low, high), again = answered(bootstrap_interval, x, y, measure=name, n_resamples=6)
    assert said == again <= {"Constant over the probe set", "Not defined"}
    if np.isnan(test.observed):
        assert np.isnan([test.p_value, test.corrected_p_value, low, high]).all()
        assert said
        alive = [z for z in (x, y) if Subspace.from_activations(z).rank]
        assert ("Not defined" in said) <= any(undefined(name, z) for z in alive)
    else:
        assert "Not defined" not in said
        assert 1 / 6 <= test.p_value <= test.corrected_p_value <= 1
        assert np.isnan(test.chance) or test.chance <= 1
        assert np.isnan([low, high]).all() or MEASURES[name].lowest <= low <= high <= 1


@examples(60)
@given(data=st.data())
def test_chance_is_a_level_for_any_sizes(data):
    n_samples = data.draw(st.integers(2, 5) | st.integers(2, 10**6))
    sizes = st.integers(0, 5) | st.integers(0, 2 * n_samples) | st.floats(1, n_samples)
    sizes = {"n_samples": n_samples} | {f"dims_{side}": data.draw(sizes) for side in "xy"}
    other = sizes | {"dims_x": sizes["dims_y"], "dims_y": sizes["dims_x"]}
    for name, measure in MEASURES.items():
        if measure.chance is not None:
            level, said = answered(chance_level, measure=name, **sizes)
            assert not said
            assert np.isnan(level) if 0 in sizes.values() else 0 <= level <= 1
            assert level == pytest.approx(chance_level(name, **other), nan_ok=True)


@examples(40)
@given(data=st.data())
def test_batches_of_any_layers_are_answered_or_refused_by_name(data):
    x, y = data.draw(pairs())
    cut, (moments, small) = data.draw(st.integers(0, len(x))), (Moments(), MinibatchCKA())
    size = max(np.abs(a.astype(np.clongdouble)).max() for a in (x, y))
    if size > 1e60:
        for stream in (moments, small):
            with pytest.raises(ValueError, match="Look for a diverged layer"):
                stream.update({"x": x, "y": y})
        return
    for start, stop in ((0, cut), (cut, len(x))):
        answered(lambda x, y: moments.update({"x": x, "y": y}), x[start:stop], y[start:stop])
    for name in ("cca", "cca_r2", "svcca", "cka", "procrustes", "pls"):
        grid, said = answered(moments.similarity_grid, measure=name)
        assert said <= {"Constant over all batches", "Too small for moments"}
        assert ("Constant over all batches" in said) == np.isnan(grid.diagonal()).any()
        np.testing.assert_allclose(grid[np.isfinite(grid)].clip(0, 1), grid[np.isfinite(grid)])
        for layer, one in zip("xy", grid.diagonal(), strict=True):
            spectrum = moments._axes(layer)[
                0
            ].spectrum  # a direction is known to eps / s², see there
            atol = 1e-7 + 1e-14 * (spectrum[0] / spectrum[-1]) ** 2 if len(spectrum) else 0
            assert np.isnan(one) or one == pytest.approx(1, abs=atol)
    if len(x) >= 4:
        small.update({"x": x, "y": y})
        grid, said = answered(lambda: small.value)
        assert said <= {"Constant in every batch, or but for one row"}
        assert np.nanmax([*grid.ravel(), 0]) <= 1


def refused():
    """What cannot be compared, and what the error says of it."""
    x = np.random.default_rng(0).normal(size=(30, 3))
    bad = x.copy()
    bad[0, 1], bad[2, 2] = np.nan, -np.inf
    yield "no sample", x[:0], "at least two samples.* shape \\(0, 3\\)"
    yield "no feature", x[:, :0], "at least two samples.* shape \\(30, 0\\)"
    yield "one sample", x[:1], "at least two samples.* shape \\(1, 3\\)"
    yield "NaN", bad, "`y` has 2 values of 90 that are NaN or infinite.* look for a diverged layer"
    yield "float16", np.full((30, 2), np.inf, np.float16), "`y` has 60 values of 60"
    yield "words", np.full((30, 2), "a"), "`y` must hold numbers"
    yield "objects", np.full((30, 2), None), "`y` must hold numbers"
    yield "other probe", x[:29], "`x` has 30 samples but `y` has 29.*same probe set"
    yield "beyond double", x * 1e304, "`y` reaches 2e\\+304.*Look for a diverged layer, or scale"
    yield "long double", np.longdouble(x) * np.longdouble(10) ** 400, "diverged layer, or scale"
    yield "complex", x * 1e306j, "`y` reaches 2e\\+306"


CALLS = {
    **{name: measure.function for name, measure in MEASURES.items()},
    **{f.__name__: f for f in (similarity, canonical_correlations, cca, fourier_cca)},
    "similarity_grid": lambda x, y: similarity_grid({"x": x}, {"y": y}),
    "permutation_test": lambda x, y: permutation_test(x, y, n_permutations=1),
    "bootstrap_interval": lambda x, y: bootstrap_interval(x, y, n_resamples=2),
}


@pytest.mark.parametrize(("y", "message"), [pytest.param(*r[1:], id=r[0]) for r in refused()])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_cannot_be_compared_is_refused_by_name(call, y, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(1).normal(size=(30, 4)), y)
