"""What the rounding of stored numbers hides is told from what it leaves."""

import re
import subprocess
import sys

import ml_dtypes
import numpy as np
import oracle
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from svcca_monitor import (
    MEASURES,
    Moments,
    Subspace,
    bootstrap_interval,
    chance_level,
    debiased_cka,
    fourier_cca,
    mean_cca,
    permutation_test,
    rsa,
    similarity,
    similarity_grid,
    similarity_intervals,
)

BY_VARIANCE = [name for name, kind in MEASURES.items() if kind.by_variance]


def views(n_samples=600, p=50):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(n_samples, p + 10))
    return [shared @ rng.normal(size=(p + 10, p)) / 8 for _ in "xy"]


@pytest.mark.parametrize(
    ("dtype", "factor"), [(ml_dtypes.bfloat16, 2**8), (np.float16, 2**11), (np.float32, 2**10)]
)
@pytest.mark.filterwarnings("ignore:Few samples")
@pytest.mark.parametrize("wide", [False, True])
def test_one_neuron_of_huge_activations_does_not_hide_the_others(dtype, factor, wide):
    x, y = (v.astype(dtype) for v in (views(40, 60) if wide else views()))
    big = np.array(x, dtype=float)
    big[:, 3] *= factor  # a power of 2: stored without a further rounding
    big = big.astype(dtype)
    assert Subspace.from_activations(big).rank == Subspace.from_activations(x).rank
    assert mean_cca(big, y) == pytest.approx(mean_cca(x, y), abs=1e-7)


@pytest.mark.parametrize("scale", [1.0, 1e-2])
def test_small_neurons_of_large_addends_that_cancel_are_no_directions_of_their_own(scale):
    # Ten dimensions, and what float32 left of sums that were made in two orders.
    rng = np.random.default_rng(0)
    h = (rng.normal(size=(2000, 10)) * 0.3 + 20).astype(np.float32)
    w = rng.normal(size=(10, 64)).astype(np.float32)
    w[:, 40:] -= w[:, 40:].mean(axis=0)
    w[:, 40:] *= scale
    order = rng.permutation(10)
    x, again = h @ w, np.ascontiguousarray(h[:, order]) @ w[order]
    for measure in ("cca", "cca_r2", "pwcca"):
        assert similarity(x, again, measure=measure) > 0.9999
    halves = Moments(), Moments()
    for half, at in zip(halves, (slice(0, 900), slice(900, None)), strict=True):
        half.update({"x": x[at], "again": again[at]})
    assert halves[0].merge(halves[1]).similarity("x", "again", measure="cca") > 0.9999


@pytest.mark.parametrize("factor", [1 / 512, 512.0])
def test_a_huge_or_tiny_neuron_that_follows_from_others_is_no_direction(factor):
    x, y = views()
    x[:, 3] = factor * (x[:, 4] + x[:, 5])
    stored = x.astype(ml_dtypes.bfloat16)
    s = Subspace.from_activations(stored)
    assert s.rank == 49
    np.testing.assert_allclose(s.basis.T @ s.basis, np.eye(49), atol=1e-12)
    rebuilt = s.basis * s.singular_values @ s.loadings.T + s.mean
    error = np.linalg.norm(rebuilt - x, axis=0) / np.linalg.norm(x, axis=0)
    assert error.max() < 2.0**-7
    assert mean_cca(stored, y) == pytest.approx(oracle.mean_cca(np.delete(x, 3, 1), y), abs=2e-3)


def test_a_cut_by_variance_asks_for_no_equal_scale(monkeypatch):
    monkeypatch.setattr("svcca_monitor.factorisation.in_equal_scale", lambda *_, **__: 1 / 0)
    x, y = ((v * np.geomspace(1, 1e-3, 50)).astype(np.float16) for v in views())
    assert 0 < similarity_grid([x], [y])[0, 0] < 1
    with pytest.raises(ZeroDivisionError):
        mean_cca(np.hstack([x, x]), y)


@pytest.mark.parametrize("measure", BY_VARIANCE)
@pytest.mark.parametrize("offset", [1e2, 1e4, 1e5])
def test_values_far_from_zero_cost_digits_but_the_route_makes_no_difference(measure, offset):
    x, y = (v / np.linalg.norm(v, axis=0) * 24 for v in views())
    spread = np.geomspace(1, 1e-3, x.shape[1])
    stored = (x * spread + offset).astype(np.float32), y.astype(np.float32)
    value = similarity(*stored, measure=measure)
    assert similarity_grid(stored, measure=measure)[0, 1] == pytest.approx(value, abs=1e-12)
    assert value == pytest.approx(similarity(x * spread, y, measure=measure), abs=1e-8 * offset)


@pytest.mark.parametrize("measure", BY_VARIANCE)
def test_in_low_precision_too_the_route_makes_no_difference(measure):
    stored = [v.astype(ml_dtypes.bfloat16) for v in views()]
    value = similarity(*stored, measure=measure)
    assert similarity_grid(stored, measure=measure)[0, 1] == pytest.approx(value, abs=1e-12)


def test_a_layer_of_rounding_alone_is_said_to_be_that():
    rng = np.random.default_rng(0)
    still = (1e6 + 1e-2 * rng.normal(size=(100, 5))).astype(np.float32)
    for measure in MEASURES:
        with pytest.warns(UserWarning, match=r"probe set: y\. .* no more than the rounding of its"):
            assert np.isnan(similarity(rng.normal(size=(100, 3)), still, measure=measure))


@pytest.mark.parametrize("rtol", [-1e-9, 1.0, np.nan, np.inf, "1e-3", True])
def test_a_tolerance_that_is_no_share_is_refused(rtol):
    for call in (Subspace.from_activations, lambda x, rtol: mean_cca(x, x, rtol=rtol)):
        with pytest.raises(ValueError, match=r"`rtol` .* must be a number in \[0, 1\)\. Rec"):
            call(np.eye(5), rtol=rtol)


@pytest.mark.parametrize("shape", [(60, 4), (4, 60)])
def test_a_tolerance_below_the_rounding_of_single_precision_is_taken_at_its_word(shape):
    x = np.random.default_rng(0).normal(size=shape)
    x[:, -1] *= 1e-9
    stored = x.astype(np.float32)
    whole = min(shape[0] - 1, shape[1])
    if shape[0] > shape[1]:
        assert Subspace.from_activations(stored).rank == whole - 1
    assert Subspace.from_activations(stored, rtol=1e-12).rank == whole


def test_masked_values_are_refused_and_masked_arrays_without_any_taken():
    x, y = views()
    free = np.ma.masked_array(x, mask=False)
    assert mean_cca(free, y) == mean_cca(x, y)
    masked = np.ma.masked_greater(x, x.max() - 1e-9)
    with pytest.raises(ValueError, match="`x` is a masked array with 1 values of 30000 masked"):
        mean_cca(masked, y)
    with pytest.raises(ValueError, match="`x` is a masked array with 1 values"):
        fourier_cca(masked, y)
    with pytest.raises(ValueError, match="`conv` is a masked array with 1 values"):
        Moments().update({"conv": masked})


class OfLowPrecision:
    """As a torch tensor in bfloat16 is."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("unsupported ScalarType BFloat16")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1.0, 2.0], [3.0]], "`x` must be an array of numbers, with rows of equal length. Rec"),
        ((row for row in np.eye(3)), "`x` is a generator, which can be read only once. Pass an"),
        (OfLowPrecision(), "Received a OfLowPrecision of which NumPy makes none: unsupported Sca"),
    ],
)
def test_what_is_no_array_is_refused_by_its_name(x, message):
    y = np.random.default_rng(0).normal(size=(3, 2))
    for take in (lambda: mean_cca(x, y), lambda: fourier_cca(x, y)):
        with pytest.raises(ValueError, match=re.escape(message)):
            take()
    with pytest.raises(ValueError, match=re.escape(message.replace("`x`", "`conv`"))):
        Moments().update({"conv": x})


def test_torch_tensors_of_bfloat16_keep_their_rounding():
    code = """
import ml_dtypes, numpy as np, torch
from svcca_monitor import Subspace
x = np.random.default_rng(0).normal(size=(40, 4)) * [1, 1, 1, 0.02] + [0, 0, 0, 5]
given = torch.tensor(x, requires_grad=True).to(torch.bfloat16)
stored = x.astype(np.float32).astype(ml_dtypes.bfloat16)
a, b = Subspace.from_activations(given), Subspace.from_activations(stored)
assert a.rank == b.rank == 3, (a.rank, b.rank)
np.testing.assert_array_equal(a.basis, b.basis)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


class Ragged:
    """As a ragged or sparse tensor is: no array, though it may have a shape."""

    shape = (3, None)


@pytest.mark.parametrize("x", [[[1.0, 2.0], [3.0]], Ragged(), np.eye(3).astype(object)])
@pytest.mark.parametrize("measure", ["cka", "svcca"])
def test_what_is_no_array_is_refused_by_its_name_in_grids_and_tests(x, measure):
    y = np.random.default_rng(0).normal(size=(3, 2))
    way_out = r"|hold numbers\. Received an array of dtype object .*(Ragged|ndarray) first, by)"
    with pytest.raises(ValueError, match=r"`rows\[0\]` must (be an array of numbers" + way_out):
        similarity_grid([x, y], measure=measure)
    for inference in (permutation_test, bootstrap_interval):
        with pytest.raises(ValueError, match="`x` must (be an array of numbers" + way_out):
            inference(x, y, measure=measure)


def test_what_has_no_rows_is_not_asked_to_be_converted():
    for nothing in (None, {"x": 1}):
        message = rf"dtype object and shape \(\)\. It is of type {type(nothing).__name__}\.$"
        with pytest.raises(ValueError, match=message):
            similarity(np.eye(3), nothing)
    with pytest.raises(ValueError, match=r"shape \(2, 2\)\. Convert the list first, by np.asarray"):
        similarity([[1.0, None], [2.0, 3.0]], np.eye(2))


def test_layers_that_can_be_read_only_once_are_refused():
    with pytest.raises(TypeError, match="dict from names to layers, or a list. Received a gener"):
        similarity_grid(np.eye(4) for _ in range(2))


# One sample differs from the others; every sample differs from all others in the same way.
@pytest.mark.parametrize(
    ("function", "lone"), [(debiased_cka, np.eye(30)[:, [7, 7]]), (rsa, np.eye(30, 40) * 3)]
)
@pytest.mark.filterwarnings("ignore:Few samples")
def test_a_layer_for_which_a_measure_is_not_defined_is_named(function, lone):
    x = np.random.default_rng(0).normal(size=(30, 4))
    with pytest.warns(UserWarning, match=rf"Not defined: `{function.__name__}` is nan for y, as"):
        assert np.isnan(function(x, lone))
    name = {rsa: "rsa", debiased_cka: "cka_debiased"}[function]
    with pytest.warns(UserWarning, match=r"is nan for lone, as too few"):
        grid = similarity_grid({"x": x, "lone": lone, "z": x**2}, measure=name)
    assert np.isnan(grid[1]).all()
    assert not np.isnan(grid[[0, 0, 2], [0, 2, 2]]).any()
    for inference in (permutation_test, bootstrap_interval, similarity_intervals):
        times = "n_permutations" if inference is permutation_test else "n_resamples"
        with pytest.warns(UserWarning, match=r"is nan for lone, as too few"):
            inference({"x": x, "lone": lone}, {"z": x**2}, measure=name, **{times: 3})


@pytest.mark.parametrize(("n_samples", "dims"), [(20, 1), (10_000, 1), (400, 5), (1000, 700)])
def test_chance_of_a_single_dimension_is_the_mean_of_the_exact_law(n_samples, dims):
    law = beta(dims / 2, (n_samples - 1 - dims) / 2)
    exact, _ = quad(lambda r: law.sf(r**2), 0, 1, points=[law.mean() ** 0.5], limit=500)
    for sizes in ({"dims_x": 1, "dims_y": dims}, {"dims_x": dims, "dims_y": 1}):
        level = chance_level("cca", n_samples=n_samples, **sizes)
        assert level == pytest.approx(exact, abs=1e-9)
        assert chance_level("svcca", n_samples=n_samples, **sizes) == level


def test_chance_of_a_single_dimension_is_what_independent_views_score():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20_000, 4000))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    found = np.abs((x * y).sum(axis=0)) / np.linalg.norm(x, axis=0) / np.linalg.norm(y, axis=0)
    level = chance_level("svcca", n_samples=20_000, dims_x=1, dims_y=1)
    assert level == pytest.approx(found.mean(), abs=3 / 20_000)
    assert chance_level("svcca", n_samples=20_000, dims_x=1, dims_y=20_000) == 1.0


def test_a_layer_is_named_where_rows_and_columns_have_the_same_names():
    x = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.warns(UserWarning, match=r"Not defined: `debiased_cka` is nan for x, as"):
        similarity_grid({"x": np.eye(50)[:, :1]}, {"x": x}, measure="cka_debiased")
