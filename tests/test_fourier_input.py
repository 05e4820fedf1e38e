"""Which maps and options a comparison at each frequency takes, and which it refuses."""

import doctest
import re
import warnings

import numpy as np
import pytest
from fourier_oracle import pair
from hypothesis import given, settings
from hypothesis import strategies as st

import svcca_monitor.fourier
import svcca_monitor.fourier_pairs
from svcca_monitor import Spectrum, fourier_cca


def test_arrays_may_be_of_any_kind_and_are_not_modified():
    x, y = pair((4, 5))
    expected = fourier_cca(x, y).all_correlations
    kinds = [np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1][::-1], x.tolist()]
    for kind in kinds:
        np.testing.assert_allclose(fourier_cca(kind, y).all_correlations, expected, atol=1e-13)
    x.flags.writeable = y.flags.writeable = False
    before = x.copy(), y.copy()
    fourier_cca(x, y, explained_variance=0.9).directions(0, (0, 0))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])
    whole = np.random.default_rng(0).integers(0, 256, size=(20, 4, 4, 2), dtype=np.uint8)
    np.testing.assert_allclose(
        fourier_cca(whole, whole > 127).all_correlations,
        fourier_cca(whole * 1.0, (whole > 127) * 1.0).all_correlations,
    )


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_whatever_comes_correlations_are_in_the_unit_interval_and_one_with_themselves(data):
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 9))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.float16, np.int8, np.complex64]))

    def layer():
        shape = (n, *draw(st.tuples(*[st.integers(1, 5)] * 3)))
        x = rng.normal(size=shape) * draw(st.sampled_from([0.0, 1e-3, 3.0])) + draw(
            st.sampled_from([0.0, 50.0])
        )
        x = np.where(rng.random(shape[-1]) < 0.3, x[:1], x)  # dead channels
        return x.astype(dtype)

    x, y = layer(), layer()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No frequency varies")
        ahead, back, own = fourier_cca(x, y), fourier_cca(y, x), fourier_cca(x, x.copy())
    rho = ahead.all_correlations
    assert ((rho >= 0) & (rho <= 1)).all()
    np.testing.assert_allclose(rho, back.all_correlations, atol=1e-6)
    np.testing.assert_allclose(own.all_correlations, 1, atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(5,), (5, 4, 3), (5, 4, 4, 3, 1), (1, 4, 4, 2), (5, 4, 4, 0), (0, 3)]
)
def test_what_is_no_layer_is_refused_by_name_and_shape(shape):
    good = pair((4, 4), n=5)[0]
    for name, arguments in [("x", (np.ones(shape), good)), ("y", (good, np.ones(shape)))]:
        message = (
            rf"`{name}` must be maps .*height, width.*at least two samples.*{re.escape(str(shape))}"
        )
        with pytest.raises(ValueError, match=message):
            fourier_cca(*arguments)


def test_layers_of_different_probe_sets_are_refused():
    x, y = pair((4, 4), n=9)
    message = "`x` has 9 samples but `y` has 8.*same probe set"
    with pytest.raises(ValueError, match=message):
        fourier_cca(x, y[:8])
    with pytest.raises(ValueError, match=message):
        fourier_cca(Spectrum.from_maps(x), y[:8].mean(axis=(1, 2)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted_and_named(bad):
    x, y = pair((4, 4), n=9)
    y[3, 1, 2, 0] = y[0, 0, 0, 1] = bad
    with pytest.raises(ValueError, match="`y` has 2 values of 432 that are NaN or infinite"):
        fourier_cca(x, y)
    with pytest.raises(ValueError, match="`conv_1` has 2 values"):
        Spectrum.from_maps(y, name="conv_1")


def test_what_holds_no_numbers_is_refused():
    with pytest.raises(ValueError, match="`x` must hold numbers"):
        fourier_cca(np.full((3, 2, 2, 1), "a"), np.ones((3, 2)))


@pytest.mark.parametrize(
    "option", [{"max_frequency": -1}, {"max_frequency": 1.5}, {"explained_variance": 0.0}]
)
def test_options_out_of_range_are_refused(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}="):
        fourier_cca(*pair((4, 4)), **option)


def test_everything_after_the_arrays_is_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        fourier_cca(*pair((4, 4)), 2)


def test_docstring_examples_are_true():
    for module, examples in ((svcca_monitor.fourier, 4), (svcca_monitor.fourier_pairs, 3)):
        assert doctest.testmod(module) == (0, examples)
