"""Single precision serves products of layers that came in it, where it pays, and nowhere else."""

from dataclasses import replace

import numpy as np
import oracle
import pytest

from svcca_monitor import (
    MEASURES,
    Subspace,
    mean_cca,
    pairs,
    precision,
    products,
    similarity_grid,
)

SINGLE, DOUBLE = np.float32, np.float64


def layers(dtype, n=700):
    """Some of much, some of little in common; the last is the first."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 12)) / np.arange(1, 13)
    mixed = [x @ rng.normal(size=(12, 20)), np.maximum(x, 0), rng.normal(size=(n, 8)), x]
    return [(a + 1).astype(dtype) for a in (*mixed, mixed[0])]


@pytest.fixture
def at_any_size(monkeypatch):
    monkeypatch.setattr(precision, "WORTH_IT", 0.0)
    monkeypatch.setattr(products, "STRAIGHT", 0.0)


@pytest.fixture
def dtypes(monkeypatch):
    """Of the stacks and kernels that were multiplied."""
    seen = []

    def watched(dtype, *args, **kwargs):
        seen.append(precision.product_dtype(dtype, *args, **kwargs))
        return seen[-1]

    for module in ("products", "kernels"):
        monkeypatch.setattr(f"svcca_monitor.{module}.product_dtype", watched)
    return seen


@pytest.mark.parametrize("measure", MEASURES)
def test_rounded_products_of_rounded_layers_are_good_to_1e_6(
    at_any_size, dtypes, monkeypatch, measure
):
    given = layers(SINGLE)
    grid = similarity_grid(given, given, measure=measure)
    monkeypatch.setattr(precision, "WORTH_IT", np.inf)
    exact = similarity_grid(given, given, measure=measure)
    np.testing.assert_allclose(grid, exact, rtol=0, atol=1e-6)
    expected = DOUBLE if MEASURES[measure].in_double else SINGLE
    assert {np.dtype(expected)} == set(dtypes[: len(dtypes) // 2])
    assert set(dtypes[len(dtypes) // 2 :]) == {np.dtype(DOUBLE)}


def test_svcca_of_rounded_products_is_its_equation(at_any_size):
    x, y, *_ = given = layers(SINGLE)
    grid = similarity_grid(given)
    assert grid[0, 1] == pytest.approx(oracle.svcca(x.astype(DOUBLE), y.astype(DOUBLE)), abs=1e-6)
    assert grid[0, 4] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("measure", ["svcca", "cka"])
def test_one_layer_in_double_precision_keeps_all_products_there(at_any_size, dtypes, measure):
    similarity_grid(layers(SINGLE), [*layers(SINGLE), layers(DOUBLE)[0]], measure=measure)
    assert set(dtypes) == {np.dtype(DOUBLE)}


@pytest.mark.parametrize("measure", ["cca_r2", "svcca"])
def test_the_last_of_an_odd_number_of_samples_counts(at_any_size, dtypes, monkeypatch, measure):
    given = layers(SINGLE, n=701)
    grid = similarity_grid(given, given[::-1], measure=measure)
    assert set(dtypes) == {np.dtype(SINGLE)}
    monkeypatch.setattr(precision, "WORTH_IT", np.inf)
    exact = similarity_grid(given, given[::-1], measure=measure)
    np.testing.assert_allclose(grid, exact, rtol=0, atol=1e-6)


def test_formulas_go_on_in_double_precision(at_any_size, dtypes, monkeypatch):
    def watched(cross, *_):
        return float(cross.dtype == DOUBLE)

    monkeypatch.setitem(MEASURES, "cca", replace(MEASURES["cca"], of_cross=watched, of_rests=None))
    assert (similarity_grid(layers(SINGLE), layers(SINGLE), measure="cca") == 1.0).all()
    assert set(dtypes) == {np.dtype(SINGLE)}


def test_small_grids_keep_all_digits(dtypes):
    similarity_grid(layers(SINGLE))
    assert set(dtypes) == {np.dtype(DOUBLE)}


def test_complex_layers_have_the_single_precision_of_their_kind(at_any_size, dtypes):
    a, b, *_ = layers(SINGLE)
    x, y = a[:, :12] + 1j * b, b - 1j * a[:, 8:]
    grid = similarity_grid([x, y])
    assert set(dtypes) == {np.dtype(np.complex64)}
    exact = similarity_grid([x.astype(np.complex128), y.astype(np.complex128)])
    np.testing.assert_allclose(grid, exact, rtol=0, atol=1e-6)


def test_factors_remember_what_precision_the_layer_came_in():
    for dtype, coarse in ((SINGLE, True), (np.float16, True), (DOUBLE, False), (np.int32, False)):
        s = Subspace.from_activations(100 * layers(DOUBLE)[0].astype(dtype))
        changed = s.truncate(dims=2), s.keep_features(np.arange(20) < 9), s.resampled(np.arange(99))
        assert [part.coarse for part in (s, *changed)] == [coarse] * 4


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_weighted_factors_are_rounded_once(dtype):
    s = Subspace.from_activations(oracle.normal(60, 9, dtype=dtype) * np.logspace(0, -2, 9))
    assert s.weighted(single=True).dtype == dtype
    np.testing.assert_array_equal(s.weighted(single=True), s.weighted().astype(dtype))


def nearly_tied(seed, n, k, noise):
    """Two layers whose correlations are close to each other, and some close to 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, k)) * np.logspace(0, -1.5, k)
    y = x[:, : k // 2] + noise * rng.normal(size=(n, k // 2)) * x.std()
    y = np.hstack([y, rng.normal(size=(n, k))])
    return x.astype(SINGLE), y.astype(SINGLE)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("noise", [1e-6, 3e-5, 1e-3, 0.1])
def test_pwcca_tells_directions_apart_that_rounded_products_do_not(
    at_any_size, monkeypatch, noise, symmetric
):
    pairs = [nearly_tied(seed, 1000, 60, noise) for seed in range(6)]

    def values():
        return [
            similarity_grid([a], [b], measure="pwcca", symmetric=symmetric)[0, 0]
            for x, y in pairs
            for a, b in ((x, y), (y, x))
        ]

    rounded = values()
    monkeypatch.setattr(precision, "WORTH_IT", np.inf)
    np.testing.assert_allclose(rounded, values(), rtol=0, atol=3e-7)


def test_samples_collapsed_to_few_points_do_not_round_all_the_same_way(monkeypatch):
    monkeypatch.setattr(precision, "WORTH_IT", 0.0)
    point = np.sort(np.arange(4000) % 64)
    given = [oracle.normal(64, 64, seed=seed, dtype=SINGLE)[point] for seed in range(20)]
    grid = similarity_grid(given[:1], given[1:], measure="cca")
    np.testing.assert_allclose(grid, 1.0, rtol=0, atol=2e-7)


@pytest.mark.parametrize(("rank", "others"), [(1, 2), (1, 600), (2, 2), (8, 16), (16, 10)])
def test_small_products_are_not_summed_in_single_precision(monkeypatch, rank, others):
    x = np.random.default_rng(0).uniform(size=(4000, rank)).astype(SINGLE)
    y, noise = (oracle.normal(4000, k, seed=k, dtype=SINGLE) for k in (others, rank))
    y = np.hstack([x + noise / 9, y])
    for pair in ([x], [y]), ([y], [x]):
        monkeypatch.setattr(precision, "WORTH_IT", 0.0)
        single = similarity_grid(*pair, measure="cca")
        monkeypatch.setattr(precision, "WORTH_IT", np.inf)
        double = similarity_grid(*pair, measure="cca")
        np.testing.assert_allclose(single, double, rtol=0, atol=1e-12)


@pytest.mark.parametrize("stored", [SINGLE, DOUBLE])
def test_bases_kept_in_single_precision_meet_those_in_double(at_any_size, stored):
    x, y, *_ = [Subspace.from_activations(a) for a in layers(SINGLE)]
    kept = replace(y, basis=y.basis.astype(stored))
    expected = mean_cca(x, y)
    for pair in ([x], [kept]), ([kept], [x]), ([y], [kept]):
        value = similarity_grid(*pair, measure="cca")[0, 0]
        assert value == pytest.approx(1.0 if pair[0] == [y] else expected, abs=1e-6)


def test_real_and_complex_layers_meet_in_every_precision(at_any_size):
    _, x, y, *_ = layers(SINGLE)
    for dtype in (SINGLE, DOUBLE):
        a, b = x.astype(dtype), (y + 1j * y[:, ::-1] ** 2).astype(np.result_type(dtype, 1j))
        grid = similarity_grid([a, b], measure="cca")
        assert grid[0, 1] == pytest.approx(oracle.mean_cca(a.astype(DOUBLE), b), abs=1e-6)


def grids(layers, measure):
    return [
        similarity_grid([x.astype(d) for x in layers], measure=measure) for d in (np.float32, float)
    ]


@pytest.mark.parametrize("measure", ["cka", "pls", "procrustes", "svcca", "cca"])
def test_one_dominating_sample_costs_no_digits(measure):
    rng = np.random.default_rng(0)
    layers = rng.normal(size=(14, 10_000, 48)).astype(np.float32)
    layers[:, 3] += 1e4 * rng.normal(size=(14, 48)).astype(np.float32)
    single, double = grids(layers, measure)
    np.testing.assert_allclose(single, double, atol=2e-7)


@pytest.mark.parametrize("symmetric", [False, True])
def test_layers_that_share_a_part_have_their_ties_in_pwcca_of_single_precision(symmetric):
    rng = np.random.default_rng(2)
    skip = np.maximum(rng.normal(size=(2000, 64)), 0) * np.logspace(0, -2, 64)
    own = np.maximum(rng.normal(size=(16, 2000, 64)), 0) * 0.5
    mix = rng.normal(size=(16, 128, 128)).astype(np.float32) / 11
    layers = [np.hstack([skip, o]).astype(np.float32) @ m for o, m in zip(own, mix, strict=True)]
    options = {"measure": "pwcca", "symmetric": symmetric}
    one = similarity_grid(layers[:1], layers[1:2], **options)
    assert similarity_grid(layers, **options)[0, 1] == pytest.approx(one[0, 0], abs=1e-7)


@pytest.mark.parametrize(("active", "n"), [(22, 4000), (30, 4000), (190, 4000), (190, 400)])
@pytest.mark.parametrize("measure", ["svcca", "cca_r2", "cka", "procrustes"])
def test_a_layer_that_few_samples_make_up_is_like_itself(at_any_size, active, n, measure):
    rng = np.random.default_rng(0)
    sparse = np.zeros((n, 60), SINGLE)
    sparse[:active] = rng.normal(size=(active, 60))
    dense = rng.normal(size=(n, 20)).astype(SINGLE)
    grid = similarity_grid([dense, sparse], [sparse], measure=measure)
    assert grid[1, 0] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("active", [1000, 2500])
@pytest.mark.parametrize("measure", ["cca_r2", "cka"])
def test_a_layer_that_most_samples_hardly_vary_in_is_like_itself(at_any_size, active, measure):
    rng = np.random.default_rng(0)
    sparse = np.zeros((8000, 150), SINGLE)
    sparse[rng.choice(8000, active, replace=False)] = rng.normal(size=(active, 150))
    grid = similarity_grid([sparse], [Subspace.from_activations(sparse)], measure=measure)
    assert grid[0, 0] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("measure", ["procrustes", "cka", "cca"])
def test_few_samples_of_much_variance_count_where_directions_count_by_it(at_any_size, measure):
    x = oracle.normal(1000, 200, dtype=SINGLE)
    x[0] *= 1000  # nearly all of the variance, but one of 200 directions
    s = Subspace.from_activations(x)
    grid = similarity_grid([s], [replace(s)], measure=measure)
    assert grid[0, 0] == pytest.approx(1.0, abs=1e-6 if measure == "cca" else 1e-9)
    dense = [Subspace.from_activations(oracle.normal(1000, 20, seed=i)) for i in range(3)]
    given = [s, *(replace(d, coarse=True) for d in dense)]
    products_of = pairs.prepare(MEASURES[measure], given, None, options={})._products()
    few = [products_of.in_double(i, i) for i in range(4)]
    assert few == [measure != "cca", False, False, False]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE, np.complex128])
def test_the_share_of_a_sample_counts_both_parts_of_complex_numbers(dtype, order):
    basis = np.asarray(oracle.normal(30, 4, dtype=dtype), order=order)
    expected = np.linalg.norm(basis, axis=1) ** 2
    np.testing.assert_allclose(products._squared_rows(basis), expected, rtol=1e-5)


def test_a_layer_that_half_of_the_samples_make_up_keeps_single_precision():
    for active, expected in ((2000, False), (1500, False), (1300, True), (190, True)):
        squares = np.repeat([1.0, 0.0], [active, 4000 - active])
        assert precision.dominated(squares, share=precision.SHARE) == expected
        assert precision.dominated(squares) == (active < precision.SAMPLES)


def test_only_pairs_of_a_layer_that_few_samples_make_up_go_in_double(at_any_size, monkeypatch):
    rng = np.random.default_rng(0)
    dense = [rng.normal(size=(4000, 30)).astype(SINGLE) for _ in range(6)]
    sparse = np.zeros((4000, 60), SINGLE)
    sparse[:300] = rng.normal(size=(300, 60))
    given = [*dense[:3], sparse, *dense[3:]]
    factors = [Subspace.from_activations(x) for x in given]
    widths = []

    def watched(cross, *_):
        widths.append(cross.shape[1])
        return float(np.abs(cross - np.float32(cross)).max())

    monkeypatch.setattr(pairs, "PARCELS", 5)  # several pairs each
    monkeypatch.setitem(MEASURES, "cca", replace(MEASURES["cca"], of_cross=watched, of_rests=None))
    left_in_single = similarity_grid(factors, factors[::-1], measure="cca") == 0.0
    expected = np.ones((7, 7), bool)
    expected[3, :] = expected[:, 3] = False
    np.fill_diagonal(expected[:, ::-1], False)  # layers with themselves, where nothing is computed
    np.testing.assert_array_equal(left_in_single, expected)
    assert len(widths) == 42
    assert sorted(widths) == sorted([30] * 36 + [60] * 6)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_layer_beside_itself_is_what_a_copy_of_it_is(measure):
    given = [Subspace.from_activations(x) for x in layers(SINGLE)]
    copies = [replace(s) for s in given]
    same = similarity_grid(given, given, measure=measure)
    np.testing.assert_allclose(
        same, similarity_grid(given, copies, measure=measure), rtol=0, atol=1e-12
    )
    mirrored = similarity_grid(given, measure=measure)
    np.testing.assert_allclose(mirrored.diagonal(), 1.0, rtol=0, atol=1e-12)


def test_a_layer_beside_itself_has_no_value_where_the_measure_has_none():
    three = Subspace.from_activations(np.random.default_rng(0).normal(size=(3, 2)))
    with pytest.warns(UserWarning, match="Not defined"):
        assert np.isnan(similarity_grid([three], [three], measure="cka_debiased")).all()


@pytest.mark.parametrize(("rows", "columns"), [("d", "sde"), ("s", "sdef"), ("ss", "def")])
@pytest.mark.parametrize("measure", ["cca", "procrustes"])
def test_samples_in_another_order_are_multiplied_with_their_like(
    at_any_size, monkeypatch, measure, rows, columns
):
    rng = np.random.default_rng(0)
    given = {name: rng.normal(size=(1000, 9)).astype(SINGLE) for name in "defs"}
    given["s"][150:] = 0  # made up by few samples
    factors = {name: Subspace.from_activations(x) for name, x in given.items()}
    order = rng.permutation(1000)
    left, right = ([factors[name] for name in side] for side in (rows, columns))
    sides = pairs.prepare(MEASURES[measure], left, right, options={})
    (grid,) = sides.permuted([order])
    monkeypatch.setattr(precision, "WORTH_IT", np.inf)
    moved = [given[name][order] for name in rows]
    exact = similarity_grid(moved, [given[name] for name in columns], measure=measure)
    np.testing.assert_allclose(grid, exact, rtol=0, atol=1e-6)


def test_chance_of_a_pane_is_the_same_in_either_precision(monkeypatch):
    given = [Subspace.from_activations(x) for x in layers(SINGLE)]
    ranks = sum(s.rank for s in given)
    levels = []
    for share in (0.0, 1.5, np.inf):  # of the operations of the pane, which is half a square
        monkeypatch.setattr(precision, "WORTH_IT", share * 700 * ranks**2)
        levels.append(similarity_grid(given, measure="procrustes", adjusted=True))
    np.testing.assert_allclose(levels[:2], [levels[2]] * 2, rtol=0, atol=1e-6)
