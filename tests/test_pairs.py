"""Grids of layers that bear the same names on both sides, as two moments of one net do."""

import warnings

import numpy as np
import pytest

from svcca_monitor import Subspace, mean_cca, permutation_test, pwcca, similarity, similarity_grid

RNG = np.random.default_rng(0)
A = RNG.normal(size=(30, 4))


def test_a_constant_layer_is_named_though_its_namesake_varies():
    with pytest.warns(UserWarning, match="Constant over the probe set: b. Similarity is nan"):
        grid = similarity_grid({"a": A, "b": np.ones((30, 2))}, {"a": A, "b": A})
    assert np.isnan(grid).tolist() == [[False, False], [True, True]]


def test_a_layer_of_another_length_is_named_though_its_namesake_fits():
    with pytest.raises(ValueError, match="`a` has 30 samples but `b` has 25"):
        similarity_grid({"a": A, "b": A[:25]}, {"a": A, "b": A})


def test_adjusted_cka_of_truncated_layers_is_zero_on_average_at_chance():
    rng = np.random.default_rng(1)
    values = [
        similarity(
            *(Subspace.from_activations(rng.normal(size=(60, 20)), dims=2) for _ in "xy"),
            measure="cka",
            adjusted=True,
        )
        for _ in range(300)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / 300**0.5


def test_pwcca_does_not_hang_on_the_basis_of_y_where_nothing_correlates():
    q = np.linalg.qr(RNG.normal(size=(40, 6)) - 0)[0]
    q = np.linalg.qr(q - q.mean(axis=0))[0]
    x, y = q[:, :3] * [1, 10, 100], q[:, [0, 3]]
    values = [pwcca(x, y @ RNG.normal(size=(2, 2))) for _ in range(20)]
    # Weights 1 of the variate that correlates at 1, and 100 of the largest of those that do not.
    np.testing.assert_allclose(values, 1 / 101, atol=1e-9)


def test_the_grid_takes_a_relative_tolerance_for_arrays():
    x = A * [1, 1, 1, 1e-3]
    noisy = {"x": x}
    assert Subspace.from_activations(x, rtol=0.1).rank == 3
    assert similarity_grid(noisy, {"y": A[:, :3]}, measure="cca", rtol=0.1) == pytest.approx(1.0)


def test_warnings_point_at_the_callers_line():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mean_cca(A, np.ones((30, 2)))
        similarity_grid([A], [np.ones((30, 2))])
    assert [w.filename for w in caught] == [__file__, __file__]


WIDE = np.maximum(RNG.normal(size=(60, 200)) + RNG.normal(size=(4, 60, 200)), 0)
WIDE += np.multiply.outer([0, 0.2, 0.4, 0.6], RNG.normal(size=(60, 1)))  # of unlike rank


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize(
    ("measure", "share"), [("svcca", 0.99), ("svcca", 0.9), ("cca", None), ("cca_r2", 0.95)]
)
def test_spaces_of_most_directions_are_compared_by_what_they_leave_out(
    monkeypatch, measure, share, dtype
):
    layers = list(WIDE.astype(dtype))
    if dtype == np.complex128:
        layers = [x + 1j * x[::-1] for x in layers]
    factors = [Subspace.from_activations(x, explained_variance=share) for x in layers]
    assert all(2 * s.rank > 60 and s.rest is None for s in factors)
    assert share is None or len({s.rank for s in factors}) > 1
    expected = similarity_grid(factors, measure=measure, explained_variance=share)
    sizes = []
    eigenvalues = np.linalg.eigvalsh
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda a: sizes.append(len(a)) or eigenvalues(a))
    found = similarity_grid(layers, measure=measure, explained_variance=share)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    assert max(sizes, default=0) <= 60 - min(s.rank for s in factors)


def test_one_narrow_layer_and_all_are_compared_by_their_bases():
    layers = {"narrow": WIDE[0][:, :5], "wide": WIDE[1]}
    expected = {k: Subspace.from_activations(x) for k, x in layers.items()}
    np.testing.assert_allclose(
        similarity_grid(layers, measure="svcca"),
        similarity_grid(expected, measure="svcca"),
        rtol=0,
        atol=1e-13,
    )


def test_samples_in_another_order_are_not_compared_by_the_rest_of_the_first_order():
    layers = list(WIDE)
    factors = [Subspace.from_activations(x) for x in layers]
    adjusted = [
        similarity_grid(given, measure="cca_r2", explained_variance=0.9, adjusted=True)
        for given in (layers, factors)
    ]
    np.testing.assert_allclose(*adjusted, rtol=0, atol=1e-12)
    tests = [
        permutation_test(given, given, n_permutations=9, explained_variance=0.9).chance
        for given in (layers, factors)
    ]
    np.testing.assert_allclose(*tests, rtol=0, atol=1e-12)


def test_a_cut_leaves_more_out_than_the_rest_of_a_whole_basis():
    whole = Subspace.from_activations(WIDE[0], rest=True)
    assert whole.rest.shape == (60, 60 - whole.rank)
    np.testing.assert_allclose(whole.rest.T @ whole.basis, 0, atol=1e-12)
    assert whole.truncate(dims=40).rest is None
    assert Subspace.from_activations(WIDE[0], dims=29, rest=True).rest is None
