"""Every measure against its equation, its declared invariances and their absence."""

import inspect
import re
from dataclasses import replace

import numpy as np
import oracle
import pytest
from oracle import pair, rotation

from svcca_monitor import (
    MEASURES,
    factors,
    parallel,
    permutation_test,
    pwcca,
    similarity,
    similarity_grid,
    svcca,
)
from svcca_monitor.subspace import as_subspace

# (n_samples, n_x, n_y); in the last two a view has fewer samples than features.
SHAPES = [(200, 10, 4), (150, 5, 12), (80, 20, 21), (40, 6, 60), (15, 20, 25)]
few_samples_on_purpose = pytest.mark.filterwarnings("ignore:Few samples")


@few_samples_on_purpose
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_its_equation(name, shape):
    for seed in range(3):
        x, y = pair(*shape, seed=seed)
        expected = oracle.BY_NAME[name](x, y)
        assert similarity(x, y, measure=name) == pytest.approx(expected, abs=1e-10)
        assert MEASURES[name].function(x, y) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_of_complex_activations_is_its_equation(name):
    (x, y), (x_imag, y_imag) = pair(seed=1), pair(seed=2)
    x, y = x + 1j * x_imag, y - 2j * y_imag
    expected = oracle.BY_NAME[name](x, y)
    assert similarity(x, y, measure=name) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("criterion", "power"), [("variance", 2), ("singular_values", 1)])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_svcca_cuts_by_share_and_criterion(share, criterion, power):
    x, y = pair()
    expected = oracle.svcca(x, y, share, power)
    value = svcca(x, y, explained_variance=share, criterion=criterion)
    assert value == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("name", ["cca", "cca_r2", "pwcca", "svcca"])
def test_cuts_come_before_the_measure(name):
    # Their definition on the reduced data; of svcca what is left after its cut.
    x, y = pair()
    equation = oracle.mean_cca if name == "svcca" else oracle.BY_NAME[name]
    for options, kept in (
        ({"dims": 2, "explained_variance": None}, [2, 2]),
        ({"explained_variance": 0.8}, [oracle.leading_dims(a, 0.8) for a in (x, y)]),
    ):
        expected = equation(oracle.leading(x, kept[0]), oracle.leading(y, kept[1]))
        assert MEASURES[name].function(x, y, **options) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("name", MEASURES)
def test_rtol_reaches_both_factorisations(name):
    x, y = pair()
    x = np.hstack([x, 1e-7 * y])
    cut = as_subspace(x, rtol=1e-4)
    assert cut.rank == 8
    for function in (MEASURES[name].function, lambda *a, **k: similarity(*a, measure=name, **k)):
        assert function(x, y, rtol=1e-4) == pytest.approx(function(cut, y), abs=1e-12)
        assert function(y, x, rtol=1e-4) == pytest.approx(function(y, cut), abs=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_the_public_function_has_the_options_and_defaults_of_the_table(name):
    parameters = inspect.signature(MEASURES[name].function).parameters
    options = {k: p.default for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert options.pop("rtol") is None
    assert options == MEASURES[name].defaults
    assert len(parameters) == 2 + 1 + len(options)


def test_svcca_ignores_noise_below_the_cut_and_mean_cca_does_not():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(500, 4))
    x, y = (np.hstack([signal, 0.02 * rng.normal(size=(500, 6))]) for _ in "xy")
    assert similarity(x, y, measure="svcca") > 0.999
    assert similarity(x, y, measure="cca") < 0.6


def test_pwcca_symmetric_is_the_mean_of_both_directions():
    x, y = pair()
    forth, back = oracle.pwcca(x, y), oracle.pwcca(y, x)
    assert abs(forth - back) > 1e-3
    both = pwcca(x, y, symmetric=True)
    assert both == pytest.approx((forth + back) / 2, abs=1e-12)
    assert both == pytest.approx(pwcca(y, x, symmetric=True), abs=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_measures_do_not_depend_on_the_signs_that_lapack_chose(name, monkeypatch):
    x, y = pair()
    expected = similarity(x, y, measure=name)
    rng, svd = np.random.default_rng(0), np.linalg.svd

    def flipped(a, full_matrices=True, compute_uv=True):
        if not compute_uv:
            return svd(a, compute_uv=False)
        u, s, vh = svd(a, full_matrices=full_matrices)
        signs = rng.choice([-1.0, 1.0], size=len(s))
        return u * signs, s, signs[:, None] * vh

    monkeypatch.setattr(np.linalg, "svd", flipped)
    for _ in range(10):
        assert similarity(x, y, measure=name) == pytest.approx(expected, abs=1e-12)


def tied():
    """x of three directions in y and two beside it, and y: three of its correlations are 1."""
    rng = np.random.default_rng(3)
    common = rng.normal(size=(300, 3)) * [1.0, 5.0, 20.0]
    rest = rng.normal(size=(300, 2))
    x = np.hstack([common, rest]) @ rotation(5, rng)
    return x, np.hstack([common, rest + rng.normal(size=(300, 2))]), common


@pytest.mark.parametrize(("stored", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-6)])
def test_pwcca_of_tied_correlations_is_the_same_for_every_basis_of_y(stored, tolerance):
    # Rounding, the more so of bases stored in float32, turns tied variates among themselves.
    x, y, _ = tied()
    rng = np.random.default_rng(0)
    expected = pwcca(x, y)
    assert 0.7 < expected < 0.999
    for change in [rotation(5, rng) for _ in range(5)] + list(rng.normal(size=(10, 5, 5))):
        spaces = [as_subspace(a) for a in (x, y @ change)]
        rounded = [replace(s, basis=s.basis.astype(stored).astype(float)) for s in spaces]
        assert pwcca(*rounded) == pytest.approx(expected, abs=tolerance)


def test_tied_variates_are_turned_to_the_principal_axes_of_x():
    x, y, common = tied()
    rho = oracle.correlations(x, y)
    q_x, z, q = oracle.basis(x), oracle.centred(x), oracle.basis(common)
    u = np.linalg.svd(q_x.T @ oracle.basis(y))[0]
    axes = np.linalg.svd(q @ (q.T @ z), full_matrices=False)[0][:, :3]
    weights = np.abs(np.hstack([axes, q_x @ u[:, 3:]]).T @ z).sum(axis=1)
    assert pwcca(x, y) == pytest.approx(weights @ rho / weights.sum(), abs=1e-10)


def test_variates_tied_at_1_and_at_0_are_turned_to_the_principal_axes_of_x_each():
    rng = np.random.default_rng(4)
    q = oracle.basis(rng.normal(size=(300, 9)))
    common, own, other = q[:, :3], q[:, 3:6], q[:, 6:]
    x = np.hstack([common, own]) * [1, 5, 20, 2, 7, 9] @ rotation(6, rng)
    weights = []
    for part in (common, own):
        axes, sizes, _ = np.linalg.svd(part @ (part.T @ x), full_matrices=False)
        weights.append(np.abs(axes[:, sizes > 1e-9].T @ x).sum())
    for change in rng.normal(size=(5, 6, 6)):
        y = np.hstack([common, other]) @ change
        assert pwcca(x, y) == pytest.approx(weights[0] / sum(weights), abs=1e-9)


@pytest.mark.parametrize("name", MEASURES)
def test_subspaces_serve_in_place_of_arrays(name):
    x, y = pair()
    sx, sy = as_subspace(x), as_subspace(y)
    expected = similarity(x, y, measure=name)
    for a, b in ((sx, sy), (x, sy), (sx, y)):
        assert similarity(a, b, measure=name) == expected


@pytest.mark.parametrize(("name", "close"), [("svca", "svcca"), ("prokrustes", "procrustes")])
def test_an_unknown_measure_names_the_nearest_and_all(name, close):
    message = f"Unknown measure '{name}'. Did you mean '{close}'? Expected one of: cca, cca_r2, "
    for call in (similarity, lambda x, y, measure: similarity_grid([x, y], measure=measure)):
        with pytest.raises(ValueError, match=re.escape(message)):
            call(*pair(), measure=name)


def test_an_unknown_option_names_the_nearest_and_the_measure():
    message = r"option 'explained_varience' of svcca\. Did you mean 'explained_variance'\?"
    with pytest.raises(TypeError, match=message):
        similarity(*pair(), explained_varience=0.9)
    with pytest.raises(TypeError, match="Unknown option 'criterion' of linear_cka"):
        similarity(*pair(), measure="cka", criterion="variance")


GRID_OPTIONS = [(name, {}) for name in MEASURES] + [
    ("svcca", {"explained_variance": 0.7, "criterion": "singular_values"}),
    ("cca", {"dims": 2}),
    ("pwcca", {"symmetric": True, "explained_variance": 0.9}),
]


def layers():
    """Five layers of unequal widths, each made from the one before."""
    rng = np.random.default_rng(0)
    last, made = rng.normal(size=(100, 7)), {}
    for name, width in {"conv_1": 4, "conv_2": 9, "pool": 9, "dense": 12, "logits": 3}.items():
        last = np.maximum(last @ rng.normal(size=(last.shape[1], width)), 0)
        last = last + 0.1 * rng.normal(size=last.shape)
        made[name] = last
    return made


@pytest.mark.parametrize(("name", "options"), GRID_OPTIONS, ids=str)
def test_a_grid_holds_the_similarity_of_every_pair(name, options):
    rows = list(layers().values())
    for columns in (None, rows[1:3] + rows[:1]):
        expected = [
            [similarity(x, y, measure=name, **options) for y in columns or rows] for x in rows
        ]
        grid = similarity_grid(rows, columns, measure=name, **options)
        np.testing.assert_allclose(grid, expected, atol=1e-12)
        if columns is None and (MEASURES[name].symmetric or options.get("symmetric")):
            np.testing.assert_array_equal(grid, grid.T)


def test_a_grid_of_names_is_the_grid_of_their_layers():
    named = layers()
    expected = similarity_grid(list(named.values()), list(named.values())[:2])
    columns = {name: as_subspace(named[name]) for name in ("conv_1", "conv_2")}
    np.testing.assert_allclose(similarity_grid(named, columns), expected, atol=1e-12)
    assert similarity_grid({}, named).shape == (0, 5)
    assert similarity_grid(named, {}).shape == (5, 0)


def test_a_grid_factorises_each_layer_once(monkeypatch):
    seen, svd = [], factors.thin_svd
    monkeypatch.setattr(factors, "thin_svd", lambda a: (seen.append(a.shape[1]), svd(a))[1])
    similarity_grid(layers())
    assert seen == [4, 9, 9, 12, 3]
    similarity_grid(layers(), [np.eye(100, 2)])
    assert seen == [4, 9, 9, 12, 3] * 2 + [2]


def test_a_layer_on_both_sides_is_factorised_once(monkeypatch):
    rows, seen, svd = layers(), [], factors.thin_svd
    monkeypatch.setattr(factors, "thin_svd", lambda a: (seen.append(a.shape[1]), svd(a))[1])
    final = {"again": rows["conv_2"], "copy": rows["conv_2"].copy()}
    grid = similarity_grid(rows, final)
    assert seen == [4, 9, 9, 12, 3, 9]
    np.testing.assert_allclose(grid[:, 0], grid[:, 1], rtol=0, atol=1e-12)
    assert grid[list(rows).index("conv_2"), 0] == 1.0
    assert similarity(rows["dense"], rows["dense"]) == 1.0
    permutation_test(rows["logits"], rows["logits"], n_permutations=3)
    assert seen == [4, 9, 9, 12, 3, 9, 12, 3]


def test_constant_layers_are_nan_in_the_grid_and_named_in_a_warning():
    rows = layers() | {"pool": np.ones((100, 3))}
    with pytest.warns(UserWarning, match=r"Constant over the probe set: pool, dead\. Similarity"):
        grid = similarity_grid(rows, {"conv_1": rows["conv_1"], "dead": np.zeros((100, 1))})
    assert [tuple(row) for row in np.isnan(grid)] == [
        (name == "pool", True) for name in ("conv_1", "conv_2", "pool", "dense", "logits")
    ]
    with pytest.warns(UserWarning, match=r"rows\[1\]\."):
        grid = similarity_grid([rows["dense"], rows["pool"]], measure="cka", adjusted=True)
    np.testing.assert_array_equal(np.isnan(grid), [[False, True], [True, True]])


def test_the_layer_at_fault_is_named():
    with pytest.raises(ValueError, match=r"`conv_1` has 100 .* `short` has 99.*same probe set"):
        similarity_grid(layers(), {"short": np.eye(99, 3)})
    with pytest.raises(ValueError, match=r"`rows\[0\]` has 100 samples but `rows\[1\]` has 99"):
        similarity_grid([np.eye(100, 3), np.eye(99, 3)])
    with pytest.raises(ValueError, match="`logits` has 100 values of 100 that are NaN"):
        similarity_grid(layers() | {"logits": np.full((100, 1), np.nan)})


@pytest.mark.parametrize("measure", ["svcca", "cka"])
@pytest.mark.parametrize("threads", [False, True])
def test_layers_of_lists_at_fault_are_named_by_their_side_and_rows_first(
    monkeypatch, measure, threads
):
    monkeypatch.setattr(parallel, "WORTH_IT", 0.0 if threads else np.inf)
    given = [x[:, :3] for x in layers().values()] * 3
    bad, short, constant = given[0] * np.nan, given[0][:99], given[0] * 0
    for rows, columns, message in (
        (given, [given[0], bad, short], r"`columns\[1\]` has 300 values of 300 that are NaN"),
        ([*given, bad], [bad], r"`rows\[15\]` has 300 values of 300 that are NaN"),
        (given, [given[0], short], r"`rows\[0\]` has 100 samples but `columns\[1\]` has 99"),
        (given, {"end": short}, r"`rows\[0\]` has 100 samples but `end` has 99"),
    ):
        with pytest.raises(ValueError, match=message):
            similarity_grid(rows, columns, measure=measure)
    names = r"set: rows\[1\], columns\[0\], columns\[2\]\. Similarity"
    with pytest.warns(UserWarning, match=names):
        grid = similarity_grid(
            [given[0], constant], [constant, given[1], constant], measure=measure
        )
    assert np.isnan(grid).tolist() == [[True, False, True], [True, True, True]]


def test_of_no_layers_on_one_side_there_is_nothing_to_tell():
    for rows, columns, shape in (
        ([np.ones((9, 2))], [], (1, 0)),
        ({}, {"x": np.ones((9, 2))}, (0, 1)),
    ):
        assert similarity_grid(rows, columns).shape == shape
