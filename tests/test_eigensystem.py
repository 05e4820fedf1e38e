"""Some eigenvectors of a symmetric matrix, against NumPy's."""

import ctypes
import threading
import time
import tracemalloc

import numpy as np
import pytest

from svcca_monitor import Subspace
from svcca_monitor import eigensystem as module
from svcca_monitor.eigensystem import SMALL, eigensystem
from svcca_monitor.lapack import is_wide, lapack

FEW = pytest.mark.parametrize("few", [False, True])


def covariance(n, seed=0, decay=2.0):
    x = np.random.default_rng(seed).normal(size=(2 * n, n)) * np.logspace(0, -decay, n)
    return x.T @ x


def with_values(values):
    values = np.asarray(values, float)
    q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(len(values),) * 2))
    return (q * values) @ q.T


MATRICES = {
    "decaying": covariance(SMALL + 40),
    "steep": covariance(SMALL + 40, decay=9),
    "of few values": with_values(np.repeat([3.0, 2.0, 1.0, 0.0], 60)),
    "nearly of few values": with_values(np.repeat([3, 2, 1, 0], 60) + 1e-13 * np.arange(240)),
    "of low rank": with_values([5.0, 4.0, 3.0] + [0.0] * 240),
    "diagonal": np.diag(np.arange(200.0)),
    "one": np.eye(200),
    "zero": np.zeros((200, 200)),
}


@FEW
@pytest.mark.parametrize("n", [1, 2, SMALL - 1, SMALL, SMALL + 1, 3 * SMALL])
@pytest.mark.parametrize("unit", [1.0, 1e-280, 1e270])
def test_values_and_vectors_are_those_of_numpy(n, few, unit):
    matrix = covariance(n) * unit
    expected = np.linalg.eigvalsh(matrix)[::-1]
    system = eigensystem(matrix.copy(), few=few)
    np.testing.assert_allclose(system.values / unit, expected / unit, atol=1e-13 * n)
    for first, last in ((0, n), (0, n // 3), (n // 3, n), (n // 2, n // 2 + 1), (0, 0)):
        vectors = system.vectors(first, last)
        assert vectors.shape == (n, last - first)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(last - first), atol=1e-11)
        images = matrix / unit @ vectors
        np.testing.assert_allclose(images, vectors * expected[first:last] / unit, atol=1e-12 * n)


@FEW
@pytest.mark.parametrize("name", MATRICES)
def test_vectors_of_equal_and_nearly_equal_values_are_orthonormal(name, few):
    matrix = MATRICES[name]
    system = eigensystem(matrix.copy(), few=few)
    for last in (30, 100, len(matrix)):
        vectors = system.vectors(0, last)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(last), atol=1e-11)
        scale = max(1.0, np.abs(matrix).max())
        np.testing.assert_allclose(
            matrix @ vectors, vectors * system.values[:last], atol=1e-12 * scale
        )


def test_the_rest_of_the_space_is_orthogonal_to_what_was_taken_of_it():
    system = eigensystem(MATRICES["nearly of few values"].copy(), few=True)
    taken, rest = system.vectors(0, 150), system.vectors(150, 240)  # the cut is within equal values
    np.testing.assert_allclose(taken.T @ rest, 0, atol=1e-12)


@FEW
@pytest.mark.parametrize("n", [SMALL - 10, SMALL + 10])
def test_only_the_upper_triangle_counts(n, few):
    whole = covariance(n)
    torn = np.triu(whole) + np.tril(np.full((n, n), np.nan), -1)
    np.testing.assert_allclose(
        eigensystem(torn, few=few).values, np.linalg.eigvalsh(whole)[::-1], atol=1e-10
    )


def test_a_hermitian_matrix_has_complex_vectors():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 200)) + 1j * rng.normal(size=(400, 200))
    matrix = x.conj().T @ x
    system = eigensystem(matrix.copy(), few=True)
    vectors = system.vectors(0, 20)
    np.testing.assert_allclose(matrix @ vectors, vectors * system.values[:20], atol=1e-9)


def gives_up(*_):
    raise np.linalg.LinAlgError


def finds_too_few(found, rows):
    found -= 1
    rows[-1] = np.finfo(float).max  # what is not written may be anything


def finds_one_twice(found, rows):
    rows[1] = rows[0]


@pytest.mark.parametrize("fault", [gives_up, finds_too_few, finds_one_twice])
def test_where_robust_representations_fail_divide_and_conquer_does_not(monkeypatch, fault):
    matrix = covariance(300)
    expected = np.abs(eigensystem(matrix.copy()).vectors(0, 9))

    def faulty(name, *arguments):
        lapack(name, *arguments)
        if name == "dstemr":
            faults.append(name)
            fault(arguments[9], arguments[11])

    faults = []
    monkeypatch.setattr(module, "lapack", faulty)
    found = eigensystem(matrix.copy(), few=True).vectors(0, 9)
    np.testing.assert_allclose(np.abs(found), expected, atol=1e-10)
    assert faults


@FEW
def test_bounds_may_be_whole_numbers_of_numpy(few):
    system = eigensystem(covariance(300), few=few)
    np.testing.assert_array_equal(system.vectors(np.int64(2), np.int64(7)), system.vectors(2, 7))


@FEW
def test_nothing_is_made_of_numbers_that_were_in_memory_before(few, monkeypatch):
    matrix = covariance(200) * 1e-280
    expected = eigensystem(matrix.copy(), few=few).vectors(0, 9)

    def full(shape, dtype=float):
        return np.full(shape, np.finfo(float).max if dtype is float else -1, dtype)

    monkeypatch.setattr(np, "empty", full)
    np.testing.assert_array_equal(eigensystem(matrix, few=few).vectors(0, 9), expected)


@pytest.mark.parametrize(("integer", "wide"), [(ctypes.c_int32, False), (ctypes.c_int64, True)])
def test_the_width_of_whole_numbers_is_told_by_what_a_routine_does(integer, wide):
    def dscal(*addresses):
        kinds = integer, ctypes.c_double, ctypes.c_double, integer
        n, factor, x, step = map(ctypes.cast, addresses, map(ctypes.POINTER, kinds))
        for i in range(0, n[0] * step[0], step[0]):
            x[i] *= factor[0]

    assert is_wide(dscal) is wide


def test_what_does_not_converge_is_an_error_that_names_the_routine():
    with pytest.raises(np.linalg.LinAlgError, match=r"dpotrf of LAPACK .* \(code 1\)"):
        lapack("dpotrf", b"L", 2, -np.eye(2), 2)


def test_other_threads_go_on_meanwhile():
    matrix, turns = covariance(1200), []
    worker = threading.Thread(target=eigensystem, args=(matrix,))
    worker.start()
    while worker.is_alive():
        turns.append(time.perf_counter())
    # None in between if the interpreter were kept.
    assert max(np.diff(turns)) < (turns[-1] - turns[0]) / 2


def test_vectors_of_a_wide_layer_are_computed_once(monkeypatch):
    called = []
    monkeypatch.setattr(
        module, "lapack", lambda name, *args: (called.append(name), lapack(name, *args))
    )
    x = np.random.default_rng(0).normal(size=(200, 300)).astype(np.float32)
    Subspace.from_activations(x, dims=9)
    assert called.count("dormtr") == 1


def test_a_wide_layer_takes_one_square_of_its_samples():
    n = 1200
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(n, 100)) @ rng.normal(size=(100, 2400))).astype(np.float32)
    tracemalloc.start()
    try:
        Subspace.from_activations(x, dims=50, loadings=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.8 * 8 * n * n  # beside the one square, which comes from the system
