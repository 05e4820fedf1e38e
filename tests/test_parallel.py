"""Work in threads gives what it gives without."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from svcca_monitor import parallel, permutation_test, similarity_grid, similarity_intervals


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


def test_results_come_in_the_order_of_the_items(two_cores):
    costs = [1e9, 3e9, 2e9]
    assert parallel.in_parallel(lambda x: -x, [3, 1, 2], costs) == [-3, -1, -2]


def test_threads_have_one_blas_thread_each_and_give_it_back(two_cores):
    before = blas_threads()
    names = parallel.in_parallel(
        lambda _: (threading.current_thread().name, blas_threads()), range(8), [1e9] * 8
    )
    assert all(threads == {1} for _, threads in names)
    assert all(name != threading.main_thread().name for name, _ in names)
    assert blas_threads() == before


def test_little_work_stays_in_the_calling_thread(two_cores):
    here = threading.current_thread().name
    names = parallel.in_parallel(lambda _: threading.current_thread().name, range(8), [1e3] * 8)
    assert set(names) == {here}


def test_an_error_in_a_thread_is_raised(two_cores):
    with pytest.raises(ZeroDivisionError):
        parallel.in_parallel(lambda x: 1 / x, [1, 0], [1e9, 1e9])


def test_of_several_errors_that_of_the_first_item_is_raised_and_no_more_is_begun(two_cores):
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.01)
        if item in (2, 5):
            raise ValueError(f"item {item}")

    costs = [1e9 if item == 5 else 1e8 for item in range(200)]  # the later one begins first
    with pytest.raises(ValueError, match="item 2"):
        parallel.in_parallel(work, range(200), costs)
    assert begun[0] == 5
    assert len(begun) < 100


@pytest.mark.parametrize("measure", ["svcca", "pwcca"])
def test_a_grid_is_the_same_in_threads(two_cores, monkeypatch, measure):
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=(60, w)) for w in (4, 9, 5, 20, 7)]
    serial = similarity_grid(layers, measure=measure)
    monkeypatch.setattr(parallel, "WORTH_IT", 0.0)
    np.testing.assert_allclose(similarity_grid(layers, measure=measure), serial, atol=1e-13)


def test_work_inside_a_thread_starts_no_other_threads(two_cores):
    def outer(_):
        inner = parallel.in_parallel(lambda _: threading.current_thread().name, range(4), [1e9] * 4)
        return threading.current_thread().name, set(inner)

    for name, inner in parallel.in_parallel(outer, range(4), [1e9] * 4):
        assert inner == {name}


@pytest.mark.parametrize("measure", ["svcca", "pwcca", "cka_debiased"])
def test_tests_and_intervals_are_the_same_in_threads(two_cores, monkeypatch, measure):
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=(60, w)) for w in (4, 9, 5)]

    def found():
        test = permutation_test(layers, layers, measure=measure, n_permutations=40)
        return test.p_value, test.chance, similarity_intervals(layers, n_resamples=40).lower

    serial = found()
    monkeypatch.setattr(parallel, "WORTH_IT", 0.0)
    for threaded, expected in zip(found(), serial, strict=True):
        np.testing.assert_allclose(threaded, expected, atol=1e-12)


def test_calls_that_overlap_put_the_threads_of_blas_back():
    layers = np.random.default_rng(0).normal(size=(6, 1000, 128)).astype(np.float32)
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: similarity_grid(layers, measure="cka"), range(12)))
        assert blas_threads() == before


def test_a_thread_that_never_set_the_threads_of_blas_has_one_too():
    def within():
        with parallel.one_blas_thread():
            return blas_threads()

    # By threadpoolctl 3.8 the thread that set a number first, here this one, is the only one to.
    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(1) as pool:
        before = blas_threads()
        assert within() == {1}
        assert pool.submit(within).result() == {1}
        assert blas_threads() == before
        with threadpool_limits(1, user_api="blas"):  # and others may, afterwards
            assert blas_threads() == {1}


def test_another_thread_than_the_first_may_put_the_threads_of_blas_back():
    first, last = parallel.one_blas_thread(), parallel.one_blas_thread()
    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(1) as pool:
        before = blas_threads()
        first.__enter__()
        pool.submit(last.__enter__).result()
        first.__exit__(None, None, None)
        assert blas_threads() == {1}
        pool.submit(last.__exit__, None, None, None).result()
        assert blas_threads() == before
