"""Means and cross-products that come batch by batch give what the whole data give."""

import math

import numpy as np
import oracle
import pytest
from batches import AGREEMENT, assert_equals_the_whole, in_batches, layers, products

from svcca_monitor import MEASURES, Subspace, similarity_grid, svcca
from svcca_monitor.factors import GRAM_NOISE
from svcca_monitor.moments import SUFFICIENT


def naive_r2(x, y):
    """Mean squared CCA from running sums of numbers and of their products, not centred."""
    n, sums, squares = 0, 0.0, 0.0
    for rows in np.array_split(np.hstack([x, y]), 20):
        n, sums, squares = n + len(rows), sums + rows.sum(axis=0), squares + rows.T @ rows
    covariance, p = squares - np.outer(sums, sums) / n, x.shape[1]
    xx, xy, yy = covariance[:p, :p], covariance[:p, p:], covariance[p:, p:]
    r2 = np.trace(np.linalg.solve(xx, xy) @ np.linalg.solve(yy, xy.T))
    return r2 / min(p, y.shape[1])


def test_moments_are_means_and_centred_products_by_definition():
    whole = layers(40)
    moments = in_batches(whole, 7)
    assert (moments.names, moments.n_samples) == (["conv", "dense", "logits"], 40)
    for x in whole:
        np.testing.assert_allclose(moments.mean(x), whole[x].mean(axis=0), atol=1e-12)
        for y in whole:
            expected = products(whole[x], whole[y])
            np.testing.assert_allclose(moments.cross_product(x, y), expected, atol=1e-10)


@pytest.mark.parametrize("name", SUFFICIENT)
def test_similarity_of_moments_is_that_of_the_equations(name):
    whole = layers()
    value = in_batches(whole).similarity("conv", "dense", measure=name)
    assert value == pytest.approx(oracle.BY_NAME[name](whole["conv"], whole["dense"]), abs=1e-10)


def test_an_offset_of_a_million_loses_nothing_where_running_sums_lose_it():
    whole = {name: x + 1e6 for name, x in layers(2000).items()}
    moments = in_batches(whole)
    assert_equals_the_whole(moments, whole)
    for name, x in whole.items():
        exact = [math.fsum(column) / len(column) for column in x.T]
        np.testing.assert_allclose(moments.mean(name), exact, rtol=3e-16)
        centred = x - 1e6
        np.testing.assert_allclose(
            moments.cross_product(name, name), products(centred, centred), rtol=1e-9
        )
    x, y = whole["conv"], whole["logits"]
    expected = oracle.cca_r2(x - 1e6, y - 1e6)
    assert abs(naive_r2(x - 1e6, y - 1e6) - expected) < AGREEMENT
    assert abs(naive_r2(x, y) - expected) > 1e3 * AGREEMENT
    assert abs(moments.similarity("conv", "logits", measure="cca_r2") - expected) < AGREEMENT


def test_the_cut_of_svcca_is_that_of_the_whole_data():
    whole = layers()
    moments = in_batches(whole)
    for criterion in ("variance", "singular_values"):
        for share in (0.5, 0.9, 0.99, 1.0):
            options = {"explained_variance": share, "criterion": criterion}
            expected = svcca(whole["conv"], whole["dense"], **options)
            value = moments.similarity("conv", "dense", **options)
            assert value == pytest.approx(expected, abs=AGREEMENT)
    values = [
        moments.similarity("conv", "dense", explained_variance=None, dims=k) for k in range(1, 7)
    ]
    assert len(set(np.round(values, 6))) == 6


@pytest.mark.parametrize("name", SUFFICIENT)
def test_adjusted_similarity_is_that_of_the_whole_data_where_chance_has_a_closed_form(name):
    whole = layers(60)
    moments = in_batches(whole)
    if MEASURES[name].chance is None:
        message = f"level of '{name}' takes permutations .* one of: cca, cca_r2, svcca, cka"
        with pytest.raises(ValueError, match=message):
            moments.similarity_grid(measure=name, adjusted=True)
        return
    expected = similarity_grid(whole, measure=name, adjusted=True)
    got = moments.similarity_grid(measure=name, adjusted=True)
    np.testing.assert_allclose(got, expected, atol=AGREEMENT)
    assert np.abs(got - similarity_grid(whole, measure=name))[0, 1] > 1e-3
    one = moments.similarity("dense", "conv", measure=name, adjusted=True)
    assert one == pytest.approx(got[1, 0], abs=1e-12)


@pytest.mark.parametrize("name", sorted(MEASURES.keys() - SUFFICIENT))
def test_measures_that_look_at_single_samples_are_refused(name):
    with pytest.raises(ValueError, match=f"^'{name}' looks at single samples.*`MinibatchCKA`"):
        in_batches(layers()).similarity("conv", "dense", measure=name)


def test_a_grid_of_pwcca_is_not_mirrored():
    whole = layers()
    grid = in_batches(whole).similarity_grid(measure="pwcca")
    assert np.abs(grid - grid.T).max() > 1e-3
    np.testing.assert_allclose(grid, similarity_grid(whole, measure="pwcca"), atol=AGREEMENT)


def test_directions_are_kept_down_to_the_limit_that_squares_set():
    # y is the small direction of x: found, the correlation is 1; lost, it is 0.
    rng = np.random.default_rng(0)
    q = np.linalg.qr(np.column_stack([np.ones(400), rng.normal(size=(400, 2))]))[0][:, 1:]
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    for size, found in {
        1e-3: True,
        3 * GRAM_NOISE: True,
        GRAM_NOISE / 30: False,
        1e-10: False,
    }.items():
        whole = {"x": (q * [1.0, size]) @ turn, "y": q[:, 1:]}
        value = in_batches(whole).similarity("x", "y", measure="cca")
        assert value == pytest.approx(float(found), abs=1e-2)
        # Beside it the activations themselves, which know.
        assert similarity_grid(whole, measure="cca")[0, 1] == pytest.approx(1, abs=1e-4)


def test_error_grows_with_the_square_of_the_condition_number():
    whole = layers(500)
    for power in (0, 1, 2, 3):
        scaled = whole | {"conv": whole["conv"] * np.logspace(0, -power, 6)}
        expected = similarity_grid(scaled, measure="cca")
        got = in_batches(scaled).similarity_grid(measure="cca")
        np.testing.assert_allclose(got, expected, atol=max(1e-12, 1e-14 * 10 ** (2 * power)))


def test_the_axes_are_the_factors_of_the_activations_but_for_the_basis():
    x = layers()["conv"]
    whole, axes = Subspace.from_activations(x), in_batches({"x": x})._axes("x")[0]
    np.testing.assert_allclose(axes.singular_values, whole.singular_values, rtol=1e-12)
    np.testing.assert_allclose(axes.spectrum, whole.spectrum, rtol=1e-12)
    np.testing.assert_allclose(np.abs(axes.loadings), np.abs(whole.loadings), atol=1e-10)
    np.testing.assert_allclose(axes.mean, whole.mean, atol=1e-12)
    coordinates = axes.basis * axes.singular_values @ axes.loadings.T
    np.testing.assert_allclose(coordinates.T @ coordinates, products(x, x), atol=1e-9)


def test_a_grid_holds_the_pairs_that_are_asked_for():
    whole = layers()
    moments = in_batches(whole)
    whole_grid = similarity_grid(whole)
    grid = moments.similarity_grid()
    np.testing.assert_array_equal(grid, grid.T)
    np.testing.assert_allclose(grid, whole_grid, atol=AGREEMENT)
    part = moments.similarity_grid(["logits", "conv"], ["dense"])
    np.testing.assert_allclose(part, whole_grid[[2, 0]][:, [1]], atol=AGREEMENT)
    square = moments.similarity_grid(["dense", "conv"], ["conv", "logits"])
    np.testing.assert_allclose(square, whole_grid[[1, 0]][:, [0, 2]], atol=AGREEMENT)
    corner = moments.similarity_grid(["dense", "logits"])
    np.testing.assert_allclose(corner, whole_grid[1:, 1:], atol=AGREEMENT)
    assert moments.similarity("dense", "conv") == pytest.approx(whole_grid[0, 1], abs=AGREEMENT)


def test_a_grid_factorises_each_layer_once(monkeypatch):
    moments, seen, eigh = in_batches(layers()), [], np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda a: (seen.append(len(a)), eigh(a))[1])
    moments.similarity_grid()
    assert sorted(seen) == [3, 6, 9]
    moments.similarity_grid(["conv", "logits"], ["conv"])
    assert sorted(seen) == [3, 3, 6, 6, 9]
