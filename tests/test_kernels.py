"""Kernels compared tile by tile are the kernels compared whole."""

import tracemalloc

import numpy as np
import oracle
import pytest

from svcca_monitor import MEASURES, Subspace, kernels, precision, similarity_grid, tiles
from svcca_monitor.rounding import SINGLE

KERNEL_MEASURES = [name for name, measure in MEASURES.items() if measure.of_kernels]


def layers(n=90, dtype=np.float64):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6))
    mixed = [x, x @ rng.normal(size=(6, 9)), rng.normal(size=(n, 12)), np.maximum(x, 0) + 30]
    return [a.astype(dtype) for a in mixed]


@pytest.fixture
def routes(monkeypatch):
    """How often kernels were compared, and layers factorised."""
    taken = []

    def watch(owner, name):
        route = getattr(owner, name)

        def watched(*args, **kwargs):
            taken.append(name)
            return route(*args, **kwargs)

        return watched

    from svcca_monitor import pairs

    monkeypatch.setattr(pairs, "kernel_grid", watch(pairs, "kernel_grid"))
    monkeypatch.setattr(Subspace, "from_activations", watch(Subspace, "from_activations"))
    return taken


def test_measures_of_kernels_are_the_declared_ones():
    assert KERNEL_MEASURES == ["cka", "cka_debiased", "rsa"]


@pytest.mark.parametrize("edge", [1, 7, 45, 90, 1000])
@pytest.mark.parametrize("columns", [None, [0, 1, 2, 3], [2, 3, 0, 1], [3], [1, 1, 3, 2, 0, 2]])
@pytest.mark.parametrize("name", KERNEL_MEASURES)
def test_tiles_of_any_size_give_what_factors_give(monkeypatch, edge, columns, name):
    given = layers()
    others = range(len(given)) if columns is None else columns
    count = len(given) + (0 if columns is None else len(columns))
    monkeypatch.setattr(tiles, "TILE_BYTES", 8 * count * edge**2)
    monkeypatch.setattr(tiles, "GROUP", 1)
    monkeypatch.setattr(tiles, "PARCELS", 3)
    rows = [kernels.Centred.of(x, 0.0) for x in given]
    grid = kernels.kernel_grid(
        MEASURES[name].of_kernels, rows, [rows[j] for j in others], mirrored=columns is None
    )
    factors = [Subspace.from_activations(x) for x in given]
    pair_by_pair = [
        [similarity_grid([a], [factors[j]], measure=name)[0, 0] for j in others] for a in factors
    ]
    np.testing.assert_allclose(grid, pair_by_pair, atol=1e-12)


def test_cka_of_many_layers_is_its_equation_without_a_factorisation(routes):
    given = layers(n=60)
    grid = similarity_grid(given * 8, measure="cka")
    assert routes == ["kernel_grid"]
    for i, x in enumerate(given):
        for j, y in enumerate(given):
            assert grid[i, j] == pytest.approx(oracle.linear_cka(x, y), abs=1e-10)


def test_of_kernels_too_the_layer_that_has_no_value_is_named_whichever_its_side(routes):
    given = [oracle.normal(30, 8, seed=seed) for seed in range(3)]
    lone = np.eye(30)[:, [7] * 8]  # one sample differs from the others
    for rows, columns, name in (
        ([given[0], lone], given, r"rows\[1\]"),
        (given, {"a": given[0], "b": lone}, "b"),
        ({"a": given[0], "b": lone}, None, "b"),
    ):
        with pytest.warns(UserWarning, match=rf"`debiased_cka` is nan for {name}, as too few"):
            grid = similarity_grid(rows, columns, measure="cka_debiased")
        assert np.isnan(grid).any()
    assert routes == ["kernel_grid"] * 3


def test_options_are_refused_where_nothing_is_factorised_too(routes):
    given = layers(n=60) * 8
    with pytest.raises(TypeError, match="Unknown option 'dims' of linear_cka. It takes none"):
        similarity_grid(given, measure="cka", dims=3)
    assert routes == []


@pytest.mark.parametrize(("dtype", "exact"), [(np.float64, True), (np.float32, False)])
def test_kernels_of_double_precision_keep_all_digits_in_grids_of_any_size(
    monkeypatch, routes, dtype, exact
):
    monkeypatch.setattr(precision, "WORTH_IT", 0)
    given = [oracle.normal(300, 200, seed=seed, dtype=dtype) for seed in range(3)]
    grid = similarity_grid(given, measure="cka")
    assert routes == ["kernel_grid"]
    error = abs(grid[0, 1] - oracle.linear_cka(*(x.astype(float) for x in given[:2])))
    assert (error < 1e-13) == exact
    assert error < 1e-6


def test_kernels_that_few_samples_make_up_keep_all_digits_in_single_precision(monkeypatch):
    monkeypatch.setattr(precision, "WORTH_IT", 0)
    many = [oracle.normal(900, 40, seed=seed, dtype=np.float32) for seed in range(3)]
    few = [x * (np.arange(900) < 50)[:, None] for x in many]
    for given, exact in ((few, True), (many, False)):
        rows = [kernels.Centred.of(x, SINGLE) for x in given]
        single, double = (
            kernels.kernel_grid(kernels.alignment, rows, rows, mirrored=True, in_double=in_double)
            for in_double in (False, True)
        )
        assert (np.abs(single - double).max() < 1e-13) == exact
        np.testing.assert_allclose(single, double, atol=1e-7)


def single_and_double(given):
    """CKA in both precisions, among themselves and side by side."""
    rows = [kernels.Centred.of(x, SINGLE) for x in given]
    for sides in ((rows, rows, True), (rows, rows[::-1], False)):
        yield tuple(
            kernels.kernel_grid(kernels.alignment, *sides[:2], mirrored=sides[2], in_double=double)
            for double in (False, True)
        )


def test_kernels_of_samples_collapsed_to_few_points_do_not_round_all_the_same_way(monkeypatch):
    monkeypatch.setattr(precision, "WORTH_IT", 0)
    rng = np.random.default_rng(7)
    group = rng.integers(0, 5, 3001)
    points = (rng.normal(size=(5, k))[group % m].astype(np.float32) for k, m in ((8, 2), (20, 5)))
    for single, double in single_and_double(list(points)):
        np.testing.assert_allclose(single, double, rtol=0, atol=1e-7)


def test_layers_in_single_and_double_precision_share_a_grid_of_kernels(monkeypatch):
    monkeypatch.setattr(precision, "WORTH_IT", 0)
    many = [oracle.normal(900, 40, seed=seed, dtype=np.float32) for seed in range(3)]
    few = many[1] * (np.arange(900) < 50)[:, None]
    for single, double in single_and_double([*many, few]):
        np.testing.assert_allclose(single, double, rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("others", [0, 8])
def test_tiles_stay_in_their_precision_and_bounds_and_serve_all_threads(monkeypatch, dtype, others):
    monkeypatch.setattr(precision, "WORTH_IT", 0)
    made = []

    def watched(k, other, **how):
        made.append((k.dtype, k.nbytes + (other.nbytes if others else 0)))
        return sums(k, other, **how)

    sums = tiles._sums
    monkeypatch.setattr(tiles, "_sums", watched)
    eps = float(np.finfo(dtype).eps)
    rows = [kernels.Centred.of(x, eps) for x in oracle.normal(1100, 24).reshape(8, 1100, 3)]
    sides = (rows, rows[:others]) if others else (rows, rows)
    for most in (8e5, tiles.TILE_BYTES):
        monkeypatch.setattr(tiles, "TILE_BYTES", most)
        made.clear()
        kernels.kernel_grid(kernels.alignment, *sides, mirrored=not others, in_double=False)
        assert {kind for kind, _ in made} == {np.dtype(dtype)}
        assert max(bytes_ for _, bytes_ in made) <= most * 1.05
        assert len(made) >= 10  # on and above the diagonal of 4 × 4


def test_many_layers_take_no_more_memory_than_a_tile_and_some_grids(monkeypatch):
    monkeypatch.setattr(tiles, "TILE_BYTES", 1e6)
    rows = [kernels.Centred.of(x, 0.0) for x in np.random.default_rng(0).normal(size=(150, 600, 2))]
    tracemalloc.start()
    grid = kernels.kernel_grid(kernels.alignment, rows, rows, mirrored=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1e6 + 2 * tiles.PARCELS * grid.nbytes
    of_all = (600 / np.sqrt(1e6 / 8 / 150)) ** 2 / 2
    assert of_all > 3 * tiles.PARCELS  # a grid for each would take more


@pytest.mark.parametrize("factors", [False, True])
def test_a_layer_beside_itself_has_cka_1_to_the_last_digit(monkeypatch, factors):
    monkeypatch.setattr(precision, "WORTH_IT", 0)
    sign = np.where(np.arange(3001) % 2, 1, -1).astype(np.float32)[:, None]
    other = np.maximum(oracle.normal(3001, 12, dtype=np.float32), 0)
    given = [sign, other]
    rows = [Subspace.from_activations(x) for x in given] if factors else given
    for grid in (similarity_grid(given, measure="cka") for given in (rows, rows * 20)):
        assert grid.diagonal().tolist() == [1.0] * len(grid)


@pytest.mark.parametrize("measure", ["cka", "cka_debiased"])
def test_a_layer_of_both_sides_has_1_with_itself_to_the_last_digit(monkeypatch, routes, measure):
    monkeypatch.setattr(precision, "WORTH_IT", 0)
    wide = [np.maximum(oracle.normal(700, k, dtype=np.float32), 0) for k in range(300, 600, 20)]
    grid = similarity_grid(wide, wide[:9], measure=measure)
    assert routes == ["kernel_grid"]
    assert grid.diagonal().tolist() == [1.0] * 9


def test_factors_know_the_norm_of_their_kernel(monkeypatch):
    factors = [Subspace.from_activations(x) for x in layers()]
    for layer in [*factors, factors[0].truncate(dims=2)]:
        kernel = layer.weighted() @ layer.weighted().T
        np.testing.assert_allclose(layer.squared_norm_of_kernel(), np.vdot(kernel, kernel))
    taken = []
    sums = tiles._sums
    monkeypatch.setattr(
        tiles, "_sums", lambda *a, norms: taken.append(norms) or sums(*a, norms=norms)
    )
    for known, rows in (
        (True, factors),
        (False, [*factors[1:], kernels.Centred.of(layers()[0], 0.0)]),
    ):
        taken.clear()
        kernels.kernel_grid(kernels.alignment, rows, factors, mirrored=False)
        assert set(taken) == {not known}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_layer_of_rounding_is_constant_in_a_grid_of_kernels_too(dtype):
    flat = np.full((60, 5), 7.3, dtype)
    flat[0] = np.nextafter(flat[0], dtype(8))
    with pytest.warns(UserWarning, match=r"Constant over the probe set: rows\[32\]"):
        grid = similarity_grid([*layers(60, dtype) * 8, flat], measure="cka")
    assert np.isnan(grid[32]).all()
    assert np.isfinite(grid[:32, :32]).all()


def test_complex_kernels_are_hermitian():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50, 4)) + 1j * rng.normal(size=(2, 50, 4))
    rows = [kernels.Centred.of(a, 0.0) for a in (x, y)]
    grid = kernels.kernel_grid(kernels.alignment, rows, rows, mirrored=True)
    a, b = (z - z.mean(axis=0) for z in (x, y))
    k, m = a @ a.conj().T, b @ b.conj().T
    expected = np.sum(k * m.conj()).real / (np.linalg.norm(k) * np.linalg.norm(m))
    np.testing.assert_allclose(grid, [[1, expected], [expected, 1]], atol=1e-12)
