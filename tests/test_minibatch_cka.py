"""Debiased CKA over batches: the unbiased estimator, its mean over batches, and its ratio."""

import copy
import itertools
import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcca_monitor import similarity_grid
from svcca_monitor.moments import MinibatchCKA

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
SHARED = Path(__file__).parents[2] / "shared"
ACTIVATIONS = SHARED / "data" / "reference_activations"


def hsic(x, y):
    """HSIC₁ of Song et al. 2012 as it stands there, with the n × n matrices."""
    n, one = len(x), np.ones(len(x))
    k, m = x @ x.conj().T, y @ y.conj().T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    inner = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return np.real(inner - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def hsic_of_quadruples(x, y):
    """The U-statistic that it is: a mean over all ordered quadruples of different rows."""
    k, m = x @ x.T, y @ y.T
    terms = [
        k[a, b] * (m[a, b] + m[c, d] - 2 * m[a, c])
        for a, b, c, d in itertools.permutations(range(len(x)), 4)
    ]
    return np.mean(terms)


def cka(pairs, estimator=hsic):
    """The mean over batches, above and below."""
    xy, xx, yy = (
        np.mean([estimator(*(pair[i] for i in which)) for pair in pairs])
        for which in ((0, 1), (0, 0), (1, 1))
    )
    return xy / np.sqrt(xx * yy)


def pair(n_samples=96, n_x=6, n_y=4, *, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_samples, n_x)) * np.linspace(1, 2, n_x) + 3.0
    return x, np.tanh(x @ rng.normal(size=(n_x, n_y))) + rng.normal(size=(n_samples, n_y))


def stream(pairs):
    made = MinibatchCKA()
    for x, y in pairs:
        assert made.update({"x": x, "y": y}) is None
    return made


def split(x, y, size):
    cuts = range(size, len(x), size)
    return list(zip(np.split(x, cuts), np.split(y, cuts), strict=True))


def independent_noise():
    rng = np.random.RandomState(0)
    return rng.randn(100, 2000).T, rng.randn(50, 2000).T


def shared_signal():
    rng = np.random.RandomState(1)
    z = rng.randn(12, 800)
    x = rng.randn(30, 12) @ z + rng.randn(30, 800)
    return x.T, (rng.randn(20, 12) @ z + rng.randn(20, 800)).T


SYNTHETIC = {
    "randn_100v50_n2000_RandomState0": independent_noise,
    "shared12_30v20_n800_RandomState1": shared_signal,
}


@pytest.mark.parametrize("name", SYNTHETIC)
def test_one_batch_of_all_samples_gives_the_golden_debiased_cka(name):
    golden = GOLDEN["cases"][name]["linear_cka_debiased"]
    assert stream([SYNTHETIC[name]()]).value[0, 1] == pytest.approx(golden, abs=1e-12)


@pytest.mark.skipif(
    not ACTIVATIONS.is_dir(), reason="the reference activations are not beside the project"
)
def test_one_batch_of_stored_activations_gives_the_golden_debiased_cka():
    x, y = (np.load(ACTIVATIONS / f"SVHN_model_{i}_fc200.npy") for i in (0, 1))
    assert stream([(x, y)]).value[0, 1] == pytest.approx(0.8678531324997842, abs=1e-12)


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


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_batches_of_other_dtypes_are_taken_in_double_and_left_as_they_were(dtype):
    x, y = (a.astype(dtype) for a in pair())
    before = copy.deepcopy((x, y))
    x.flags.writeable = y.flags.writeable = False
    value = stream(split(x, y, 16)).value[0, 1]
    expected = cka(split(x.astype(float), y.astype(float), 16))
    assert value == pytest.approx(expected, abs=1e-12)
    for was, now in zip(before, (x, y), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6])
def test_constant_layers_are_nan_and_named_in_a_warning(constant):
    x, y = pair()
    made = MinibatchCKA()
    for rows, others in split(x, y, 16):
        flat = np.full((len(rows), 3), constant)
        made.update({"x": rows, "flat": flat, "y": others, "tiny": rows * 1e-80})
    with pytest.warns(UserWarning, match=r"but for one row: flat, tiny\. Similarity is nan\.$"):
        value = made.value
    dead = np.array([False, True, False, True])
    np.testing.assert_array_equal(np.isnan(value), dead[:, None] | dead)


def test_a_layer_that_one_row_of_each_batch_sets_apart_has_nothing_but_bias():
    _, y = pair()
    odd = np.zeros((96, 2))
    odd[::16] = [0.1, 7.3]
    with pytest.warns(UserWarning, match="or but for one row: x. Similarity is nan"):
        assert np.isnan(stream(split(odd + 1.7, y, 16)).value[0, 1])
    odd[1::16] = 0.2
    assert np.isfinite(stream(split(odd + 1.7, y, 16)).value).all()


def test_narrow_layers_need_no_matrix_of_samples_by_samples():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3000, 5)), rng.normal(size=(3000, 3))
    made = MinibatchCKA()
    tracemalloc.start()
    made.update({"x": x, "y": y})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3000**2 * 8 / 20
    assert made.value.shape == (2, 2)


def test_wide_layers_need_no_matrix_of_features_by_features():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 4000)), rng.normal(size=(8, 3000))
    made = MinibatchCKA()
    tracemalloc.start()
    made.update({"x": x, "y": y})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000 * 3000 * 8 / 20
    assert made.value[0, 1] == pytest.approx(cka([(x, y)]), abs=1e-12)


def test_batches_of_fewer_than_four_samples_are_refused_and_empty_ones_change_nothing():
    x, y = pair()
    made = stream([(x[:0], y[:0])])
    with pytest.raises(ValueError, match="No batch to compute CKA from. Call `update` first."):
        _ = made.value
    for n in (1, 2, 3):
        with pytest.raises(ValueError, match=f"at least 4 samples. Join these {n} to a batch"):
            made.update({"x": x[:n], "y": y[:n]})
    assert (made.n_samples, made.names) == (0, [])
    made.update({"x": x, "y": y})
    with pytest.raises(ValueError, match="at least 4 samples"):
        made.update({"x": x[:3], "y": y[:3]})
    made.update({"x": x[:0], "y": y[:0]})
    assert made.value[0, 1] == stream([(x, y)]).value[0, 1]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"x": np.ones((5, 6)), "y": np.ones((4, 4))}, "same probe set: row i of both"),
        ({"x": np.ones((5, 7)), "y": np.ones((5, 4))}, "`x` had 6 features, but has 7"),
        ({"x": np.ones((5, 6)), "y": np.full((5, 4), np.nan)}, "`y` has 20 values of 20"),
        ({"x": np.ones((5, 6))}, "A batch holds ['x'], but the first one held ['x', 'y']"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_and_leaves_no_trace(batch, message):
    made = stream([pair()])
    before = made.value
    with pytest.raises(ValueError, match=re.escape(message)):
        made.update(batch)
    assert made.n_samples == 96
    np.testing.assert_array_equal(made.value, before)


def test_merging_changes_neither_operand_and_finds_layers_by_name():
    (x, y), (u, v) = pair(seed=1), pair(seed=2)
    one, two = stream([(x, y)]), MinibatchCKA()
    two.update({"y": v, "x": u})
    values = one.value, two.value
    for merged, names in ((one.merge(two), ["x", "y"]), (two.merge(one), ["y", "x"])):
        assert (merged.names, merged.n_samples) == (names, 192)
        assert merged.value[0, 1] == pytest.approx(cka([(x, y), (u, v)]), abs=1e-12)
        merged.update({"x": u, "y": v})
    one.merge(MinibatchCKA()).update({"x": u, "y": v})
    MinibatchCKA().merge(two).update({"x": u, "y": v})
    np.testing.assert_array_equal(one.value, values[0])
    np.testing.assert_array_equal(two.value, values[1])
    with pytest.raises(ValueError, match="Layers differ, cannot merge"):
        one.merge(stream([(y, x)]))


def test_a_dead_layer_is_found_after_merging_too():
    _, y = pair()
    odd = np.zeros((96, 2))
    odd[0] = 1e-3
    parts = [stream([(odd + 1.7, y)]), stream([(odd * 10 + 1.7, y)])]
    with pytest.warns(UserWarning, match="but for one row: x"):
        assert np.isnan(parts[0].merge(parts[1]).value[0, 0])
