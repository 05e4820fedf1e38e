"""Debiased CKA over batches: the unbiased estimator, its mean over batches, and its ratio."""

import itertools

import numpy as np
import oracle
import pytest
from batches import cka, hsic, pair, split, stream
from hypothesis import given, settings
from hypothesis import strategies as st

from svcca_monitor import similarity_grid
from svcca_monitor.moments import MinibatchCKA


def hsic_of_quadruples(x, y):
    """The U-statistic that it is: a mean over all ordered quadruples of different rows."""
    k, m = x @ x.T, y @ y.T
    terms = [
        k[a, b] * (m[a, b] + m[c, d] - 2 * m[a, c])
        for a, b, c, d in itertools.permutations(range(len(x)), 4)
    ]
    return np.mean(terms)


@pytest.mark.parametrize("shape", [(96, 6, 4), (12, 30, 5), (12, 5, 30), (9, 40, 40), (4, 3, 2)])
def test_a_batch_is_the_estimator_of_song(shape):
    x, y = pair(*shape)
    value = stream([(x, y)]).value
    np.testing.assert_allclose(value, [[1, cka([(x, y)])], [cka([(x, y)]), 1]], atol=1e-12)


def test_the_estimator_is_the_mean_over_quadruples():
    x, y = pair(7)
    assert hsic(x, y) == pytest.approx(hsic_of_quadruples(x, y), abs=1e-12)
    value = stream([(x, y)]).value[0, 1]
    assert value == pytest.approx(cka([(x, y)], hsic_of_quadruples), abs=1e-12)


@pytest.mark.parametrize("size", [4, 8, 25, 47])
def test_numerator_and_denominator_are_means_over_batches(size):
    # 25 and 47 leave smaller last batches, of 21 and 2: the latter joins the one before.
    pairs = split(*pair(), size)
    if len(pairs[-1][0]) < 4:
        pairs[-2:] = [tuple(np.vstack(both) for both in zip(*pairs[-2:], strict=True))]
    value = stream(pairs).value[0, 1]
    assert value == pytest.approx(cka(pairs), abs=1e-12)
    ratios = np.mean([cka([one]) for one in pairs])
    assert abs(value - ratios) > 1e-4  # not the mean of ratios


def test_complex_activations_are_compared_by_their_centred_hermitian_kernels():
    (x, y), (u, v) = pair(12, 5, 4, seed=1), pair(12, 5, 4, seed=2)
    x, y = x + 1j * u, y - 2j * v
    for wide in (x, np.hstack([x, x @ x.conj().T[:, :11]])):
        value = stream([(wide, y)]).value
        assert value.dtype == np.float64
        expected = cka([(wide - wide.mean(axis=0), y - y.mean(axis=0))])
        assert value[0, 1] == pytest.approx(expected, abs=1e-12)
        in_memory = similarity_grid([wide], [y], measure="cka_debiased")
        assert in_memory == pytest.approx(expected, abs=1e-10)
        # As they come, Hermitian kernels without their diagonals are not free of the mean.
        assert abs(hsic(wide, y) - hsic(wide - wide.mean(axis=0), y)) > 1


def test_one_batch_of_all_samples_gives_debiased_cka_in_memory():
    for seed in range(5):
        x, y = pair(200, seed=seed)
        expected = similarity_grid([x], [y], measure="cka_debiased")[0, 0]
        assert stream([(x, y)]).value[0, 1] == pytest.approx(expected, abs=1e-12)


def test_independent_layers_score_zero_in_small_batches_where_plain_cka_does_not():
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(8, 20)), rng.normal(size=(8, 20))) for _ in range(3000)]
    assert abs(stream(pairs).value[0, 1]) < 0.02
    assert np.mean([oracle.linear_cka(x, y) for x, y in pairs[:300]]) > 0.5


def test_the_mean_does_not_depend_on_the_size_of_the_batches():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24_000, 5))
    y = x @ rng.normal(size=(5, 8)) + 2 * rng.normal(size=(24_000, 8))
    whole = stream([(x, y)]).value[0, 1]
    for size in (6, 24, 96):
        assert stream(split(x, y, size)).value[0, 1] == pytest.approx(whole, abs=0.02)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_the_order_of_batches_and_of_merging_does_not_matter(data):
    sizes = data.draw(st.lists(st.integers(4, 12), min_size=1, max_size=8))
    pairs = [pair(n, seed=seed) for seed, n in enumerate(sizes)]
    expected = cka(pairs)
    parts = [stream([one]) for one in data.draw(st.permutations(pairs))]
    while len(parts) > 1:
        one = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        parts.append(one.merge(parts.pop(data.draw(st.integers(0, len(parts) - 1)))))
    for made in (stream(pairs), parts[0]):
        assert made.n_samples == sum(sizes)
        assert made.value[0, 1] == pytest.approx(expected, abs=1e-9)


def test_a_grid_holds_every_pair_in_the_order_of_names():
    x, y = pair()
    made = MinibatchCKA()
    made.update({"x": x, "y": y, "both": np.hstack([x, y])})
    made.update({"both": np.hstack([x, y]), "y": y, "x": x})
    assert made.names == ["x", "y", "both"]
    value = made.value
    np.testing.assert_array_equal(np.round(value, 12), np.round(value.T, 12))
    for (i, a), (j, b) in itertools.product(enumerate((x, y, np.hstack([x, y]))), repeat=2):
        assert value[i, j] == pytest.approx(cka([(a, b)]), abs=1e-12)


def test_rotation_scale_and_shift_change_nothing_and_other_maps_do():
    x, y = pair()
    rng = np.random.default_rng(1)
    expected = stream(split(x, y, 16)).value[0, 1]
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    for same in (x @ turn, x * -1e5, x * 1e-20, x[:, ::-1], x + rng.normal(size=6)):
        assert stream(split(same, y, 16)).value[0, 1] == pytest.approx(expected, abs=1e-12)
    assert stream(split(x + 1e6, y - 1e6, 16)).value[0, 1] == pytest.approx(expected, abs=1e-9)
    assert abs(cka([(x + 1e6, y)]) - cka([(x, y)])) > 1e-6  # the equation as it stands loses it
    other = x @ rng.normal(size=(6, 6))
    assert abs(stream(split(other, y, 16)).value[0, 1] - expected) > 1e-2


def test_value_is_at_most_one():
    for seed in range(200):
        x, _ = pair(4, 3, 3, seed=seed)
        value = stream([(x, x @ [[2.0, 0, 0], [0, 2, 0], [0, 0, 2.1]])]).value
        assert value.max() <= 1
