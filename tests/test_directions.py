"""Aligned directions and raw neurons of two nets, and what they know of classes."""

import numpy as np
import pytest
from scipy import stats

from svcca_monitor import (
    LayerInfo,
    ProbeMismatchError,
    ProbeSet,
    Run,
    Subspace,
    aligned_directions,
    alignment,
    canonical_correlations,
    class_share,
    plots,
    project,
    raw_neurons,
)

N = 400
LABELS = np.arange(N) % 4


def noise(k, *, n=N, seed=0):
    return np.random.default_rng(seed).normal(size=(n, k))


def two_nets():
    """Three class directions, with noise of each net and mixed into its neurons in its own way."""
    nets = []
    for seed in (0, 10):
        known = 3.0 * (LABELS[:, None] == np.arange(3)) + noise(3, seed=seed) * [0.1, 0.3, 0.5]
        mix = np.linalg.qr(noise(8, n=8, seed=seed + 1))[0]
        nets.append(np.column_stack([known, noise(5, seed=seed + 2)]) @ mix)
    return nets


@pytest.fixture
def two_runs(tmp_path):
    def make(*, store=None, labels=LABELS, other_probe=False):
        runs = []
        for name, layer in zip("ab", two_nets(), strict=True):
            shift = other_probe and name == "b"
            probe = ProbeSet(noise(3) + shift, labels, class_names=["ant", "bee", "cat", "dog"])
            info = LayerInfo("fc1", "Dense", 0, (None, 8), "mean")
            run = Run.create(tmp_path / name, [info], probe, store=store)
            run.write_snapshot(0, {"fc1": Subspace.from_activations(layer)}, epoch=0)
            runs.append(run)
        return runs

    return make


def test_aligned_directions_are_the_leading_canonical_variates_with_weights_that_reach_them():
    x, y = two_nets()
    pairs = aligned_directions(x, y, k=3, explained_variance=None)
    np.testing.assert_allclose(pairs.correlations, canonical_correlations(x, y)[:3], atol=1e-12)
    for traces, weights, data in (
        (pairs.x_traces, pairs.x_directions, x),
        (pairs.y_traces, pairs.y_directions, y),
    ):
        np.testing.assert_allclose(traces, weights @ (data - data.mean(axis=0)).T, atol=1e-10)
        np.testing.assert_allclose(traces.std(axis=1, ddof=1), 1.0, atol=1e-12)
    cross = np.corrcoef(pairs.x_traces, pairs.y_traces)[:3, 3:]
    np.testing.assert_allclose(cross, np.diag(pairs.correlations), atol=1e-10)


def test_the_side_of_a_pair_that_is_up_depends_on_the_data_alone():
    x, y = two_nets()
    pairs = aligned_directions(x, y, k=3)
    assert (stats.skew(pairs.x_traces, axis=1) >= 0).all()
    turned = aligned_directions(-x, y, k=3)
    np.testing.assert_allclose(turned.x_traces, pairs.x_traces, atol=1e-8)


@pytest.mark.parametrize("by", ["variance", "correlation"])
def test_raw_neurons_are_columns_of_the_layers(by):
    x, y = two_nets()
    pairs = raw_neurons(x, y, k=3, by=by)
    for i in range(3):
        (a,), (b,) = np.flatnonzero(pairs.x_directions[i]), np.flatnonzero(pairs.y_directions[i])
        expected = np.corrcoef(x[:, a], y[:, b])[0, 1]
        assert pairs.correlations[i] == pytest.approx(abs(expected), abs=1e-12)
        np.testing.assert_allclose(pairs.x_traces[i], stats.zscore(x[:, a], ddof=1), atol=1e-10)
        signed = np.sign(expected) * stats.zscore(y[:, b], ddof=1)
        np.testing.assert_allclose(pairs.y_traces[i], signed, atol=1e-10)


def test_the_loudest_neurons_are_those_of_most_variance():
    x, y = noise(5) * [1, 9, 2, 3, 0], noise(5, seed=1) * [4, 3, 2, 1, 0]
    pairs = raw_neurons(x, y, k=9)
    assert np.abs(pairs.x_directions).argmax(axis=1).tolist() == [1, 3, 2, 0]  # never the dead one
    assert np.abs(pairs.y_directions).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_matching_finds_neurons_that_were_permuted_and_turned():
    x = noise(6)
    order = np.random.default_rng(3).permutation(6)
    pairs = raw_neurons(x, -x[:, order] + 0.01 * noise(6, seed=2), k=6, by="correlation")
    assert (pairs.correlations > 0.99).all()
    found = np.abs(pairs.y_directions).argmax(axis=1)
    np.testing.assert_array_equal(order[found], np.abs(pairs.x_directions).argmax(axis=1))


def test_aligned_directions_agree_and_know_classes_where_raw_neurons_do_less():
    x, y = two_nets()
    aligned = aligned_directions(x, y, k=3)
    for by in ("variance", "correlation"):
        raw = raw_neurons(x, y, k=3, by=by)
        assert (aligned.correlations > raw.correlations + 0.05).all()
        of_raw = class_share(raw.x_traces, LABELS).values.mean()
        assert class_share(aligned.x_traces, LABELS).values.mean() > of_raw + 0.1


def test_unrelated_nets_stay_within_chance_and_related_ones_do_not():
    finders = [
        lambda x, y: aligned_directions(x, y, k=3),
        lambda x, y: raw_neurons(x, y, k=3),
        lambda x, y: raw_neurons(x, y, k=3, by="correlation"),
    ]
    for find in finders:
        unrelated = find(noise(10), noise(10, seed=1))
        assert (unrelated.correlations <= unrelated.chance_upper + 0.03).all()
        assert (unrelated.chance <= unrelated.chance_upper).all()
    related = aligned_directions(*two_nets(), k=3)
    assert (related.correlations > related.chance_upper + 0.5).all()
    # Of ten directions the best pair agrees by chance too: not to be mistaken for agreement.
    assert finders[0](noise(10), noise(10, seed=1)).chance[0] > 0.2


def test_the_class_share_is_that_of_the_f_test():
    labels = np.minimum(np.arange(N) % 7, 3)  # the last class is the largest by far
    traces = noise(3).T + 0.5 * labels
    found = class_share(traces, labels)
    for value, trace in zip(found.values, traces, strict=True):
        f = stats.f_oneway(*(trace[labels == c] for c in range(4))).statistic
        between = f * 3 / (N - 4)
        assert value == pytest.approx(between / (1 + between), rel=1e-10)


def test_the_class_share_of_noise_is_its_exact_chance_on_average():
    found = class_share(noise(500).T, LABELS)
    assert found.chance == 3 / (N - 1)
    assert found.values.mean() == pytest.approx(found.chance, rel=0.1)
    assert np.mean(found.values > found.chance_upper) == pytest.approx(0.025, abs=0.025)
    assert np.isnan(class_share(np.ones((1, N)), LABELS).values).all()


def test_projection_keeps_the_span_of_the_first_directions_and_the_mean():
    x = noise(6) + 5.0
    directions = noise(6, n=3, seed=4) * [[1e-9], [1e9], [1.0]]
    found = project(x, directions, 2)
    q = np.linalg.qr(directions[:2].T)[0]
    centred = x - x.mean(axis=0)
    np.testing.assert_allclose(found - x.mean(axis=0), centred @ q @ q.T, atol=1e-12)
    np.testing.assert_allclose(project(found, directions, 2), found, atol=1e-12)
    assert np.linalg.matrix_rank(found - found.mean(axis=0)) == 2
    np.testing.assert_allclose(project(x, np.eye(6)), x, atol=1e-12)
    doubled = project(x, np.vstack([directions[:2], directions[:2]]))
    np.testing.assert_allclose(doubled, found, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aligned_directions(noise(3), noise(3)[:-1]), "same probe set"),
        (lambda: aligned_directions(noise(3), noise(3), k=0), "at least 1. Received: k=0"),
        (lambda: aligned_directions(noise(3), np.ones((N, 2))), "`y` is constant"),
        (lambda: aligned_directions(noise(3) * 1j, noise(3)), "`x` is complex"),
        (lambda: raw_neurons(noise(3), noise(3), by="varience"), "Did you mean 'variance'"),
        (lambda: raw_neurons(noise(3), noise(3), n_permutations=-1), "at least 0"),
        (lambda: class_share(noise(3), LABELS), "400 examples, but `traces` has 3 samples"),
        (lambda: class_share(noise(3).T, noise(2)), "class indices of shape"),
        (lambda: project(noise(3), noise(4, n=2)), r"shape \(m, 3\)"),
        (lambda: project(noise(3), np.eye(3), 4), "at most 3, the number of directions"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_two_runs_are_aligned_from_disk_as_their_activations_are(two_runs):
    a, b = two_runs()
    data = alignment(a, b, "fc1", k=3)
    expected = {
        "aligned": aligned_directions(*two_nets(), k=3),
        "loudest neurons": raw_neurons(*two_nets(), k=3),
        "matched neurons": raw_neurons(*two_nets(), k=3, by="correlation"),
    }
    for kind, pairs in expected.items():
        found = data.sel(kind=kind)
        np.testing.assert_allclose(found["correlation"], pairs.correlations, atol=1e-4)
        np.testing.assert_allclose(found["trace"].sel(run="b"), pairs.y_traces, atol=1e-3)
        share = class_share(pairs.x_traces, LABELS)
        np.testing.assert_allclose(found["class_share"].sel(run="a"), share.values, atol=1e-3)
    assert (data["neuron"].sel(kind="aligned") == -1).all()
    assert (data["neuron"].sel(kind="matched neurons") >= 0).all()
    assert data["label"].values.tolist() == LABELS.tolist()
    assert data.attrs["class_names"] == ["ant", "bee", "cat", "dog"]


def test_a_store_that_cut_directions_says_what_raw_neurons_are_made_of(two_runs):
    a, b = two_runs(store={"dims": 4})
    with pytest.warns(UserWarning, match=r"holds 4 of 8 directions of 'fc1' \(\d+\.\d% of the"):
        alignment(a, b, "fc1")


def test_runs_that_cannot_be_aligned_are_refused(two_runs, tmp_path):
    a, b = two_runs()
    with pytest.raises(ValueError, match="Did you mean 'fc1'"):
        alignment(a, b, "fc2")
    with pytest.raises(ValueError, match="400 rows for 399 labels"):
        alignment(a, b, "fc1", labels=LABELS[1:])
    with pytest.raises(KeyError, match="No snapshot of step 3"):
        alignment(a, b, "fc1", step=3)


def test_runs_on_different_probe_sets_are_refused(two_runs):
    with pytest.raises(ProbeMismatchError):
        alignment(*two_runs(other_probe=True), "fc1")


def test_runs_without_labels_ask_for_them(two_runs):
    a, b = two_runs(labels=None)
    with pytest.raises(ValueError, match=r"ProbeSet\(x, labels\)"):
        alignment(a, b, "fc1")
    assert alignment(a, b, "fc1", labels=LABELS).sizes["kind"] == 3


def test_the_picture_has_each_pair_of_each_kind_with_class_borders_and_both_runs(two_runs):
    data = alignment(*two_runs(), "fc1", k=3)
    panels = plots.aligned_directions(data, pairs=2).axes
    assert len(panels) == 2 * 3
    order = np.argsort(LABELS, kind="stable")
    first = data.sel(kind="aligned", pair=1)
    traces = [line.get_ydata() for line in panels[0].lines if len(line.get_ydata()) == N]
    for run, drawn in zip("ab", traces, strict=True):
        np.testing.assert_array_equal(drawn, first["trace"].sel(run=run).values[order])
    borders = [line.get_xdata()[0] for line in panels[0].lines if len(line.get_ydata()) == 2]
    assert borders == [99.5, 199.5, 299.5]
    assert f"correlation {float(first['correlation']):.2f}" in panels[0].get_title()
    assert [t.get_text() for t in panels[-1].get_xticklabels()] == ["ant", "bee", "cat", "dog"]


def test_a_picture_of_fewer_pairs_than_asked_for_says_so(two_runs):
    data = alignment(*two_runs(), "fc1", k=9, n_permutations=2)
    assert data.sizes["pair"] == 8
    data["correlation"].loc[{"kind": "aligned", "pair": 1}] = np.nan
    panel = plots.aligned_directions(data, pairs=1).axes[0]
    assert [text.get_text() for text in panel.texts] == ["none left"]
