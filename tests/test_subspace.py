"""One layer's activations, factorised once: what is kept, what is noise, what is refused."""

import re

import ml_dtypes
import numpy as np
import pytest
from oracle import LAYOUTS, normal, with_singular_values

from svcca_monitor import Subspace
from svcca_monitor.rounding import BLOCK

factorise = Subspace.from_activations
ANY_LAYOUT = LAYOUTS | {"list": np.ndarray.tolist}


REAL = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int32, np.uint8, np.bool_]


DTYPES = [*((dtype, np.float64) for dtype in REAL), (np.complex64, np.complex128)]


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (2, 1)])
def test_factors_give_the_activations_back(shape, dtype):
    x = normal(*shape, dtype=dtype) + 5.0
    s = factorise(x)
    again = (s.basis * s.singular_values) @ s.loadings.conj().T + s.mean
    np.testing.assert_allclose(again, x, atol=1e-12)
    assert (s.n_samples, s.n_features) == shape


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_basis_and_loadings_are_orthonormal_and_the_basis_centred(dtype):
    s = factorise(normal(40, 7, dtype=dtype) + 5.0)
    for columns in (s.basis, s.loadings):
        np.testing.assert_allclose(columns.conj().T @ columns, np.eye(7), atol=1e-13)
    np.testing.assert_allclose(s.basis.sum(axis=0), 0, atol=1e-12)


def test_singular_values_descend_and_are_those_of_the_centred_activations():
    s = factorise(with_singular_values([1.0, 5.0, 3.0]) + 7.0)
    np.testing.assert_allclose(s.singular_values, [5, 3, 1], atol=1e-12)


@pytest.mark.parametrize("shape", [(400, 170), (170, 400)])
def test_dimensions_may_be_whole_numbers_of_numpy(shape):
    x = normal(*shape, dtype=np.float32)
    found, expected = factorise(x, dims=np.arange(9)[5]), factorise(x, dims=5)
    np.testing.assert_array_equal(found.basis, expected.basis)


def test_total_variance_is_that_of_all_neurons():
    x = normal(50, 6) * np.arange(1, 7) + 3.0
    assert factorise(x).total_variance == pytest.approx(49 * x.var(axis=0, ddof=1).sum(), rel=1e-12)


def test_effective_rank_is_the_participation_ratio():
    assert factorise(with_singular_values([2.0, 1.0])).effective_rank == pytest.approx(25 / 17)
    assert factorise(with_singular_values([5.0] * 4)).effective_rank == pytest.approx(4)
    assert factorise(np.ones((5, 3))).effective_rank == 0


@pytest.mark.parametrize(("dtype", "double"), DTYPES, ids=lambda d: np.dtype(d).name)
def test_every_dtype_is_factorised_in_double(dtype, double):
    x = (normal(60, 5, dtype=double) * 3 + 4).clip(0).astype(dtype)
    s, expected = factorise(x), factorise(x.astype(double))
    assert (s.basis.dtype, s.singular_values.dtype) == (double, np.float64)
    np.testing.assert_allclose(s.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(s.spectrum, expected.spectrum, rtol=1e-9)
    for field in ("basis", "loadings"):  # signs are free
        a, b = getattr(s, field), getattr(expected, field)
        np.testing.assert_allclose(a @ a.conj().T, b @ b.conj().T, atol=1e-12, err_msg=field)


@pytest.mark.parametrize("layout", ANY_LAYOUT)
def test_memory_layout_does_not_matter(layout):
    x = normal(30, 4)
    np.testing.assert_allclose(
        factorise(ANY_LAYOUT[layout](x)).basis, factorise(x).basis, atol=1e-14
    )


@pytest.mark.parametrize("dtype", [np.float64, np.complex128, np.float32])
def test_input_is_read_only_to_us_and_left_as_it_was(dtype):
    x = normal(30, 4, dtype=dtype) + 2.0
    x[:, 1] = 0.1
    before = x.copy()
    x.flags.writeable = False
    s = factorise(x)
    np.testing.assert_array_equal(x, before)
    assert not any(np.shares_memory(x, a) for a in (s.basis, s.loadings, s.mean))


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6], ids=["dead", "0.1", "-1e6"])
@pytest.mark.parametrize("rtol", [None, 1e-14])
def test_constant_neurons_are_no_direction(constant, rtol):
    # The mean of 0.1, ..., 0.1 is rounded, so that subtracting it leaves a remainder.
    x = normal(1001, 4)
    x[:, [0, 2]] = constant
    s = factorise(x, rtol=rtol)
    assert s.rank == 2
    np.testing.assert_allclose(s.loadings[[0, 2]], 0.0, atol=1e-14)
    assert factorise(np.full((1001, 3), constant), rtol=rtol).rank == 0


def test_duplicate_neurons_are_one_direction():
    x = normal(50, 3)
    assert factorise(x[:, [0, 1, 2, 1, 1]]).rank == 3


def test_a_constant_layer_has_rank_zero_and_shapes_to_match():
    s = factorise(np.full((6, 3), 2.5))
    assert (s.rank, s.n_samples, s.n_features, s.total_variance) == (0, 6, 3, 0.0)
    assert (s.basis.shape, s.loadings.shape) == ((6, 0), (3, 0))
    assert s.truncate(explained_variance=0.99, dims=2) is s


def test_fewer_samples_than_neurons_leave_a_direction_less_than_samples():
    assert factorise(normal(8, 30)).rank == 7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 100.0, 1e4])
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_rank_is_found_relative_to_the_dtype_that_came(dtype, offset, scale):
    for seed in range(5):
        x = (normal(500, 20, seed=seed, rank=15) + offset) * scale
        assert factorise(x.astype(dtype)).rank == 15


def test_directions_below_the_rounding_of_float32_are_seen_in_float64_only():
    x = with_singular_values([1.0, 1e-3, 1e-9], n_samples=100)
    assert factorise(x).rank == 3
    assert factorise(x.astype(np.float32)).rank == 2


def test_rtol_is_relative_to_the_largest_singular_value():
    x = with_singular_values([100.0, 10.0, 1.0, 0.1])
    assert [factorise(x, rtol=rtol).rank for rtol in (0.5, 0.05, 0.005, 0.0005)] == [1, 2, 3, 4]


def test_condition_number_1e9_keeps_every_direction():
    values = np.logspace(0, -9, 20)
    s = factorise(with_singular_values(values, n_samples=300))
    np.testing.assert_allclose(s.singular_values, values, rtol=1e-6)


def test_the_second_driver_serves_where_the_first_gives_up(monkeypatch):
    x = normal(30, 4)
    expected = factorise(x)

    def gives_up(*args, **kwargs):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(np.linalg, "svd", gives_up)
    s = factorise(x)
    np.testing.assert_allclose(s.singular_values, expected.singular_values, rtol=1e-12)
    np.testing.assert_allclose(np.abs(s.basis), np.abs(expected.basis), atol=1e-12)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(3), "`x` must have shape (n_samples, n_features). Received shape (3,)"),
        (np.zeros((2, 4, 4, 3)), "Received shape (2, 4, 4, 3). Average, sample or flatten"),
        (np.zeros((1, 4)), "at least two samples and one feature. Received shape (1, 4)"),
        (np.zeros((4, 0)), "at least two samples and one feature. Received shape (4, 0)"),
        ([["a", "b"], ["c", "d"]], "`x` must hold numbers. Received an array of dtype <U1"),
        (np.array([[None], [1]]), "`x` must hold numbers. Received an array of dtype object"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused_with_its_shape(x, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        factorise(x)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, np.complex64])
@pytest.mark.parametrize("column", [0, BLOCK, 2 * BLOCK])
def test_what_is_not_finite_is_found_in_every_block_of_columns(column, dtype, bad):
    x = np.ones((3, 2 * BLOCK + 1), dtype)
    (x.imag if x.dtype.kind == "c" else x)[1, column] = bad
    with pytest.raises(ValueError, match=f"`x` has 1 values of {x.size} that are NaN or infinite"):
        factorise(x)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.complex128])
def test_values_that_are_not_finite_are_counted_and_named(dtype):
    x = normal(10, 4).astype(dtype)
    x[0, 1], x[3, 2], x[9, 0] = np.nan, np.inf, -np.inf
    with pytest.raises(ValueError, match="`dense_1` has 3 values of 40 that are NaN or infinite"):
        factorise(x, name="dense_1")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_wide_layers_far_from_zero_keep_their_rank_in_half_precision(dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(1000, 512)), 0)
    half = x.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    assert factorise(half).rank == factorise(x).rank == 512


@pytest.mark.parametrize("scale", [1e-300, 1e150, 1e155, 1e200])
def test_scale_does_not_change_the_rank(scale):
    x = (np.random.default_rng(0).normal(size=(30, 4)) + 3) * scale
    s = factorise(x)
    assert s.rank == 4
    assert s.effective_rank == pytest.approx(factorise(x / scale).effective_rank)


@pytest.mark.parametrize("scale", [1e-303, 1e-310, 5e-324])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_what_has_no_reciprocal_in_double_precision_counts_as_constant(scale, dtype):
    for offset in (0.0, scale, 1e-290):
        assert factorise(normal(30, 4, dtype=dtype) * scale + offset).rank == 0


@pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.float16])
def test_the_largest_numbers_of_a_low_precision_are_activations_like_others(dtype):
    x = np.sign(normal(30, 4)) * (1 + 1j if dtype is np.complex64 else 1)
    s = factorise((x * float(np.finfo(dtype).max)).astype(dtype))
    assert s.rank == 4
    assert s.effective_rank == pytest.approx(factorise(x).effective_rank)


@pytest.mark.parametrize("largest", [1e303, 1.7e308, -1.7e308, 1.7e308j, np.longdouble("1e400")])
def test_values_whose_sums_leave_double_precision_are_refused(largest):
    message = (
        r"`fc` reaches (1e\+303|2e\+308|inf), and its squares and sums .* above 1e\+302\. Look"
    )
    with pytest.raises(ValueError, match=message):
        factorise(np.eye(30, 4) * largest, name="fc")


@pytest.mark.parametrize("kind", ["real", "complex", "ill-conditioned", "more features"])
def test_a_resample_is_the_factorisation_of_those_rows(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 50 if kind == "more features" else 5)) + 3
    if kind == "complex":
        x = x + 1j * rng.normal(size=x.shape)
    if kind == "ill-conditioned":
        x = x * np.logspace(0, -8, 5)
    rows = rng.integers(60, size=60)
    found = Subspace.from_activations(x).resampled(rows)
    centred = x[rows] - x[rows].mean(axis=0)
    built = found.basis * found.singular_values @ found.loadings.conj().T
    np.testing.assert_allclose(built, centred, atol=1e-12)
    np.testing.assert_allclose(found.mean, x[rows].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.basis.conj().T @ found.basis, np.eye(found.rank), atol=1e-10)
    expected = np.linalg.svd(centred, compute_uv=False)[: found.rank]
    np.testing.assert_allclose(found.singular_values, expected, rtol=1e-6)
