"""Gram matrices that come feature block by feature block give what the whole layers give."""

import copy
import itertools
import pickle
import re
import tracemalloc

import ml_dtypes
import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from oracle import LAYOUTS

from svcca_monitor import MEASURES, Subspace, similarity, similarity_grid
from svcca_monitor.gram import GramMatrices
from svcca_monitor.gram_matrix import Gram

AGREEMENT = 1e-9
WITHOUT_NEURONS = [name for name in MEASURES if name != "pwcca"]
# Options with which the whole and its blocks are compared.
OPTIONS = {"cca": {"dims": 9}, "cca_r2": {"explained_variance": 0.9}}


def maps(n_samples=50, *, seed=0, dtype=np.float64):
    """Wide layers, each made from the one before, and a narrow one, with offsets."""
    rng = np.random.default_rng(seed)
    last, made = rng.normal(size=(n_samples, 30)), {}
    for name, width in {"conv": 700, "relu": 400, "logits": 6}.items():
        turn = rng.normal(size=(last.shape[1], width)) / np.arange(1, last.shape[1] + 1)[:, None]
        last = np.maximum(last @ turn + rng.normal(size=(n_samples, width)) / 10, -1.0)
        made[name] = (last * np.linspace(1, 2, width) + 3.0).astype(dtype)
    return made


def blocks(whole, cuts):
    """Updates with the features of each layer between the given columns, if there are any."""
    for start, stop in itertools.pairwise([0, *sorted(cuts), 10**6]):
        part = {name: x[:, start:stop] for name, x in whole.items() if x[:, start:stop].size}
        if part:
            yield part


def gather(parts):
    grams = GramMatrices()
    for part in parts:
        assert grams.update(part) is None
    return grams


def in_blocks(whole, size=64):
    return gather(blocks(whole, range(size, max(x.shape[1] for x in whole.values()), size)))


def assert_equals_the_whole(grams, whole, tolerance=AGREEMENT):
    for name in WITHOUT_NEURONS:
        factors = grams.subspaces(denoised=not MEASURES[name].by_variance)
        found = {layer: factors[layer] for layer in whole}
        options = OPTIONS.get(name, {})
        expected = similarity_grid(whole, measure=name, **options)
        got = similarity_grid(found, measure=name, **options)
        np.testing.assert_allclose(got, expected, atol=tolerance, err_msg=name)


def test_a_gram_matrix_is_that_of_the_centred_features_by_definition():
    whole = maps()
    grams = in_blocks(whole)
    assert (grams.names, grams.n_samples) == (["conv", "relu", "logits"], 50)
    for name, x in whole.items():
        centred = x - x.mean(axis=0)
        np.testing.assert_allclose(grams.matrix(name), centred @ centred.T, atol=1e-9)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_norms_of_features_are_beside_their_gram_matrix(dtype, order):
    x = oracle.normal(20, 700, dtype=dtype) * np.linspace(1, 2, 700, dtype=np.float32) + 3
    x = np.asarray(x, order=order)
    gram = Gram.of(x, np.finfo(dtype).eps)
    wide = x.astype(np.result_type(dtype, np.float64))
    centred = wide - wide.mean(axis=0)
    np.testing.assert_allclose(
        np.triu(gram.matrix), np.triu(centred @ centred.conj().T), rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(gram.mean, wide.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(gram.squares, np.linalg.norm(centred, axis=0) ** 2, rtol=1e-12)
    np.testing.assert_allclose(gram.stored, np.linalg.norm(wide, axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", WITHOUT_NEURONS)
def test_similarity_is_that_of_the_equations(name):
    whole = maps(40)
    found = in_blocks({"x": whole["relu"], "y": whole["logits"]}).subspaces()
    value = similarity_grid(found, measure=name)[0, 1]
    expected = oracle.BY_NAME[name](whole["relu"], whole["logits"])
    assert value == pytest.approx(expected, abs=AGREEMENT)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_similarities_are_those_of_the_whole_layers(dtype):
    whole = maps(dtype=dtype)
    assert_equals_the_whole(in_blocks(whole), whole)
    np.testing.assert_allclose(
        similarity_grid(in_blocks(whole).subspaces(), adjusted=True),
        similarity_grid(whole, adjusted=True),
        atol=AGREEMENT,
    )
    assert similarity_grid(whole)[0, 1] < 0.99


def test_the_factors_are_those_of_the_whole_layer_but_for_the_loadings():
    whole = maps()
    for name, x in whole.items():
        found, expected = in_blocks(whole).subspace(name), Subspace.from_activations(x)
        np.testing.assert_allclose(found.spectrum, expected.spectrum, rtol=1e-10)
        np.testing.assert_allclose(
            found.basis @ found.basis.T, expected.basis @ expected.basis.T, atol=1e-10
        )
        np.testing.assert_allclose(found.mean, x.mean(axis=0), rtol=1e-12)
        assert (found.n_features, found.loadings.shape[1]) == (x.shape[1], 0)


def test_the_cut_is_that_of_the_whole_layer():
    whole = maps()
    grams = in_blocks(whole)
    for cut in (
        {"explained_variance": 0.9},
        {"explained_variance": 0.9, "criterion": "singular_values"},
        {"dims": 4},
    ):
        found, expected = (
            grams.subspace("conv", **cut),
            Subspace.from_activations(whole["conv"], **cut),
        )
        assert found.rank == expected.rank < 49
        np.testing.assert_allclose(found.spectrum, expected.spectrum, rtol=1e-10)
    found, expected = (
        similarity_grid([x], [whole["relu"]], measure="svcca", dims=3)
        for x in (grams.subspace("conv"), whole["conv"])
    )
    assert found == pytest.approx(expected, abs=AGREEMENT)


@strategies.examples(25)
@given(data=st.data(), offset=st.sampled_from([0.0, -1e6]), seed=st.integers(0, 3))
def test_neither_blocks_nor_the_order_of_merging_matter(data, offset, seed):
    whole = {name: x[:, :90] + offset for name, x in maps(30, seed=seed).items()}
    parts = list(blocks(whole, data.draw(st.lists(st.integers(1, 89), max_size=8))))
    assert_equals_the_whole(gather(data.draw(st.permutations(parts))), whole)
    # Single blocks of single layers, each in an object of its own.
    grams = [gather([{name: x}]) for part in parts for name, x in part.items()]
    while len(grams) > 1:
        one = grams.pop(data.draw(st.integers(0, len(grams) - 1)))
        grams.append(one.merge(grams.pop(data.draw(st.integers(0, len(grams) - 1)))))
    assert set(grams[0].names) == set(whole)
    assert_equals_the_whole(grams[0], whole)


def test_single_features_are_blocks_and_a_layer_is_one_too():
    whole = maps(20)
    assert_equals_the_whole(in_blocks(whole, 1), whole)
    assert_equals_the_whole(gather([whole]), whole)


def test_rounding_of_many_single_features_is_no_direction():
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(60, 3)), 0) @ np.abs(rng.normal(size=(3, 20_000)))
    grams = GramMatrices()
    for column in x.T:
        grams.update({"x": column[:, None]})
    assert grams.subspace("x").rank == Subspace.from_activations(x).rank == 3


def test_merging_and_updates_change_no_operand_and_no_matrix_handed_out():
    whole = maps()
    one, two = (gather([part]) for part in ({"conv": whole["conv"]}, whole))
    before = copy.deepcopy((one, two))
    merged = one.merge(two)
    merged.update(whole)
    one.merge(GramMatrices()).update(whole)
    GramMatrices().merge(two).update(whole)
    one.matrix("conv")[:] = 0
    one.subspace("conv").basis[:] = 0
    for grams, kept in zip((one, two), before, strict=True):
        assert grams.names == kept.names
        for name in kept.names:
            np.testing.assert_array_equal(grams.matrix(name), kept.matrix(name))
            assert grams.subspace(name).n_features == kept.subspace(name).n_features
    assert merged.subspace("conv").n_features == 3 * 700
    assert pickle.loads(pickle.dumps(merged)).names == ["conv", "relu", "logits"]
    assert GramMatrices().merge(GramMatrices()).n_samples == 0


def test_blocks_are_left_as_they_were_whatever_their_layout():
    whole = maps(20)
    for layout in (*LAYOUTS.values(), np.ndarray.tolist):
        given = {name: layout(x) for name, x in whole.items()}
        before = copy.deepcopy(given)
        grams = in_blocks({name: np.asarray(x) for name, x in given.items()})
        assert_equals_the_whole(grams.merge(GramMatrices()), whole)
        assert_equals_the_whole(gather([given]), whole)
        for name, x in given.items():
            np.testing.assert_array_equal(x, before[name])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.int32, np.uint8, np.bool_])
def test_blocks_of_other_dtypes_are_taken_in_double(dtype):
    whole = {name: (5 * x).astype(dtype) for name, x in maps(dtype=np.float32).items()}
    if dtype is np.bool_:
        whole = {name: x > 3 for name, x in maps().items()}
    grams = in_blocks(whole)
    double = in_blocks({name: x.astype(np.float64) for name, x in whole.items()})
    for name in whole:
        found, expected = grams.matrix(name), double.matrix(name)
        np.testing.assert_allclose(found, expected, atol=1e-12 * expected.max())
        assert grams.matrix(name).dtype == np.float64
    assert_equals_the_whole(grams, whole)


@pytest.mark.parametrize("offset", [0.0, 2.0, 100.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_rounding_to_the_dtype_that_came_is_no_direction(dtype, offset):
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 500)) + offset
    whole = {"low": exact.astype(dtype), "other": exact[:, :80] ** 2}
    grams = in_blocks(whole)
    assert grams.subspace("low").rank == Subspace.from_activations(whole["low"]).rank <= 4
    assert_equals_the_whole(grams, whole)
    # Once rounding has come in, later blocks in float64 do not take it away.
    first, later = whole["low"][:, :100], whole["low"][:, 100:].astype(np.float64)
    for parts in ((first, later), (later, first)):
        one, two = (gather([{"low": part}]) for part in parts)
        assert one.merge(two).subspace("low").rank == grams.subspace("low").rank


def test_complex_layers_are_compared_as_in_memory():
    real, imaginary = maps(seed=1), maps(seed=2)
    whole = {name: real[name] + 1j * imaginary[name] for name in real}
    whole["conv"][:, :100] = whole["conv"][:, :100].real  # real blocks, then complex ones
    grams = gather(
        {name: x.real if not np.any(x.imag) else x for name, x in part.items()}
        for part in blocks(whole, [50, 100, 300])
    )
    x = whole["conv"] - whole["conv"].mean(axis=0)
    np.testing.assert_allclose(grams.matrix("conv"), x @ x.conj().T, atol=1e-9)
    assert_equals_the_whole(grams, whole)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6, 1e-300], ids=str)
def test_constant_layers_are_nan_and_named_in_a_warning(constant):
    whole = maps() | {"flat": np.full((50, 300), constant), "dead": np.zeros((50, 1))}
    found = in_blocks(whole).subspaces()
    assert (found["flat"].rank, found["flat"].basis.shape) == (0, (50, 0))
    for name in WITHOUT_NEURONS:
        with pytest.warns(UserWarning, match="^Constant over the probe set: flat, dead. Simil"):
            grid = similarity_grid(found, measure=name)
        assert np.isfinite(grid[:3, :3]).all()
        assert np.isnan(grid[3:]).all()
        assert np.isnan(grid[:, 3:]).all()


def test_dead_and_duplicate_features_are_no_direction():
    x = maps()["conv"][:, :20]
    whole = maps() | {"conv": np.hstack([x, x, np.zeros((50, 100)), x[:, :5] * 1e-4])}
    grams = in_blocks(whole)
    assert grams.subspace("conv").rank == 20
    assert_equals_the_whole(grams, whole)


@pytest.mark.parametrize("scale", [1e-100, 1e-50, 1e50, 1e130])
def test_scale_does_not_matter(scale):
    whole = maps()
    assert_equals_the_whole(in_blocks({name: x * scale for name, x in whole.items()}), whole)


@pytest.mark.parametrize("scale", [1e-145, 1e-200])
def test_what_varies_by_less_than_squares_can_hold_counts_as_constant(scale):
    assert in_blocks({"tiny": maps()["conv"] * scale}).subspace("tiny").rank == 0


def test_measures_that_look_at_neurons_are_refused_by_name():
    found = in_blocks(maps()).subspaces()
    with pytest.raises(ValueError, match="`conv` was factorised with `loadings=False`"):
        similarity_grid(found, measure="pwcca")
    with pytest.warns(UserWarning, match="Few samples: x has 700 features for 50 samples"):
        assert similarity(found["conv"], found["relu"], measure="cka") > 0


@pytest.mark.parametrize("scale", [1e9, 1e11])
def test_a_huge_feature_that_hides_the_others_is_named_in_a_warning(scale):
    x = maps()["conv"]
    x[:, 70] *= scale
    grams = in_blocks({"conv": x})
    message = (
        r"^Maybe too small for a Gram matrix: 699 of 700 features of conv \(beside feature 70\)\. "
        r"Directions below 1e-07 of its size are left out\. Scale the features"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        assert grams.subspace("conv").rank == 1 < Subspace.from_activations(x).rank
    assert caught[0].filename == __file__
    # In single precision they are lost in memory too; in half they are not.
    single = x.astype(np.float32)
    kept = in_blocks({"conv": single}).subspace("conv").rank
    assert kept == Subspace.from_activations(single).rank == 1
    half = (maps()["conv"] * np.where(np.arange(700) == 70, 2.0**12, 1)).astype(ml_dtypes.bfloat16)
    with pytest.warns(UserWarning, match="699 of 700 features of conv .* below 3e-02 of its"):
        kept = in_blocks({"conv": half}).subspace("conv").rank
    assert kept == 1 < Subspace.from_activations(half).rank
    # Where all directions are kept, none is missing.
    wide = np.hstack([maps()["conv"], maps()["conv"] * 1e-9])
    assert in_blocks({"conv": wide}).subspace("conv").rank == 49


def refusals():
    x, bad = np.ones((5, 3)), np.ones((5, 3))
    bad[0, 1], bad[2, 2] = np.nan, -np.inf
    yield {"conv": x[:4]}, "`conv` has 5 samples but a block of `conv` has 4. Give the same probe"
    yield {"fc": x, "conv": x[:4]}, "row i of every block must come from probe example i."
    yield {"fc": x[:4]}, "`conv` has 5 samples but a block of `fc` has 4."
    yield {"conv": x, "fc": bad}, "`fc` has 2 values of 15 that are NaN or infinite."
    yield {"conv": x, "fc": x * 1e200}, "`fc` reaches 1e+200, and its squares and sums leave double"
    yield {"conv": x, "fc": x[:, :0]}, "at least two samples and one feature. Received shape (5, 0)"
    yield (
        {"conv": x, "fc": x[0]},
        "`fc` must have shape (n_samples, n_features). Received shape (3,",
    )
    yield {"conv": x, "fc": x.astype(str)}, "`fc` must hold numbers"
    yield {}, "`blocks` must map names to features: {'conv': block, 'fc': block}."
    yield x, "`blocks` must map names to features"


@pytest.mark.parametrize(("update", "message"), list(refusals()))
def test_a_block_that_does_not_fit_is_refused_and_leaves_no_trace(update, message):
    grams = gather([{"conv": np.eye(5, 3)}])
    before = grams.matrix("conv")
    with pytest.raises(ValueError, match=re.escape(message)):
        grams.update(update)
    assert grams.names == ["conv"]
    np.testing.assert_array_equal(grams.matrix("conv"), before)


def test_the_first_blocks_must_fit_each_other_too():
    grams = GramMatrices()
    with pytest.raises(ValueError, match="`x` has 5 samples but a block of `y` has 4"):
        grams.update({"x": np.eye(5), "y": np.eye(4)})
    with pytest.raises(ValueError, match="`x` needs at least two samples"):
        grams.update({"x": np.eye(1)})
    assert grams.subspaces() == {}
    assert grams.n_samples == 0


def test_other_samples_are_not_merged_and_unknown_names_answered_with_the_nearest():
    one, two = gather([{"conv": np.eye(5)}]), gather([{"fc": np.eye(4)}])
    with pytest.raises(ValueError, match="`conv` has 5 samples but a block of `fc` has 4"):
        one.merge(two)
    for call in (one.matrix, one.subspace):
        with pytest.raises(ValueError, match="Unknown layer 'convv'. Did you mean 'conv'?"):
            call("convv")
    with pytest.raises(ValueError, match="at least 1. Received: dims=0"):
        one.subspace("conv", dims=0)


def test_memory_is_for_a_gram_matrix_and_a_block_only():
    # All features of both layers would take 640 MB, the square of their number 320 GB.
    rng = np.random.default_rng(0)
    grams, block = GramMatrices(), 200 * 2000 * 8
    tracemalloc.start()
    for _ in range(100):
        x = rng.normal(size=(200, 2000))
        grams.update({"x": x, "y": np.tanh(x)})
    assert similarity_grid(grams.subspaces()).shape == (2, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert grams.subspace("x").n_features == 200_000
    assert peak < 8 * block
