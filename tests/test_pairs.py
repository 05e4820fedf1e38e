"""Grids of layers that bear the same names on both sides, as two moments of one net do."""

import warnings

import numpy as np
import pytest

from svcca_monitor import Subspace, mean_cca, pwcca, similarity, similarity_grid

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
