"""The numbers of the studies, against cases whose answer is known."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module


NODES = [
    *("relu0", "s1b1_conv1", "s1b1_bn1", "s1b1_conv2", "s1b1_bn2", "s1b1_residual"),
    *("s1b2_conv1", "s1b2_bn1", "s1b2_conv2", "s1b2_bn2", "s1b2_residual", "logits"),
]


def grid(*, stripes):
    """Nodes are the less alike the farther apart; columns of residual nodes higher by `stripes`."""
    depth = np.arange(len(NODES))
    values = 0.9 - 0.05 * np.abs(depth[:, None] - depth)
    values[:, [name.endswith("residual") for name in NODES]] += stripes
    dims = ("layer", "reference_layer")
    return xr.DataArray(values, dims=dims, coords=dict.fromkeys(dims, NODES))


def test_the_stripe_score_is_what_residual_columns_have_above_their_neighbours(script):
    score = script("cifar10_resnet").stripe_score
    assert score(grid(stripes=0.25)) == pytest.approx(0.25)
    assert score(grid(stripes=-0.1)) == pytest.approx(-0.1)


def test_nodes_that_are_alike_for_being_near_are_no_stripe(script):
    assert script("cifar10_resnet").stripe_score(grid(stripes=0.0)) == pytest.approx(0)


def test_earlier_nodes_do_not_count_towards_stripes(script):
    values = grid(stripes=0.25)
    values[:5] = 0  # all before the first residual node
    assert script("cifar10_resnet").stripe_score(values) == pytest.approx(0.25)


def test_the_gap_of_alike_classes_is_told_from_that_of_others(script, capsys):
    classes = ["automobile", "cat", "dog", "truck"]
    gap = np.full((4, 4), 0.3)
    gap[0, 3] = gap[3, 0] = 0.1
    gap[1, 2] = gap[2, 1] = 0.05
    dims = {"class": classes, "other_class": classes}
    gaps = [xr.DataArray(gap + shift, coords=dims) for shift in (-0.01, 0.01)]
    script("class_sensitivity").print_gaps(gaps)
    printed = capsys.readouterr().out
    assert "automobile and truck: 0.10 [-0.03, 0.23]" in printed
    assert "cat and dog: 0.05" in printed
    assert "other pairs, mean: 0.30" in printed
    assert "minus other pairs, seed by seed: -0.20 [-0.20, -0.20]" in printed


def test_what_memorising_adds_has_the_interval_of_two_independent_means(script):
    names = ["generalising", "memorising"]
    similarity = np.array([[[0.8, 0.4], [0.4, 0.5]]])
    half = np.array([[[0.03, 0.01], [0.01, 0.04]]])
    dims = ("layer", "group", "other_group")
    values = {"similarity": similarity, "lower": similarity - half, "upper": similarity + half}
    compared = xr.Dataset(
        {key: (dims, value) for key, value in values.items()},
        coords={"layer": ["fc"], "group": names, "other_group": names},
    )
    found = script("generalize_memorize").distances(compared)
    expected = {
        "within generalising": [0.2, 0.17, 0.23],
        "within memorising": [0.5, 0.46, 0.54],
        "between": [0.6, 0.59, 0.61],
        "memorising − generalising": [0.3, 0.25, 0.35],  # 0.03² + 0.04² = 0.05²
    }
    for name, ends in expected.items():
        np.testing.assert_allclose(np.ravel(found[name]), ends, err_msg=name)


def test_the_interval_over_seeds_is_students(script):
    mean, lower, upper = script("seeds").interval([0.1, 0.2, 0.3])
    # t of two degrees of freedom at 97.5 % is 4.302653, the standard error 0.1/√3
    expected = [0.2, 0.2 - 0.2484138, 0.2 + 0.2484138]
    np.testing.assert_allclose([mean, lower, upper], expected, rtol=1e-6)
    assert script("seeds").interval([0.5, 1.0])[2] == 1


def pairs_at(*distances):
    """Distances of three nets: of the first and second, the first and third, the others."""
    table = np.zeros((3, 3))
    table[np.triu_indices(3, 1)] = distances
    return table + table.T


def test_wider_nets_that_are_nearer_and_better_have_a_correlation_of_minus_one(script):
    tables = [pairs_at(d, d, d) for d in (0.6, 0.4, 0.3)]
    accuracy = [np.full(3, a) for a in (0.4, 0.6, 0.7)]
    np.testing.assert_allclose(script("width").correlation(tables, accuracy), -1)
    of_two = script("width").correlation([table[:2, :2] for table in tables], accuracy)
    np.testing.assert_allclose(of_two, [-1, np.nan, np.nan])


def test_the_interval_of_a_correlation_leaves_out_one_net_at_a_time(script):
    tables = [pairs_at(0.6, 0.5, 0.7), pairs_at(0.45, 0.4, 0.41), pairs_at(0.5, 0.3, 0.35)]
    accuracy = [np.array(a) for a in ([0.4, 0.45, 0.41], [0.6, 0.5, 0.55], [0.52, 0.7, 0.6])]
    r, low, high = script("width").correlation(tables, accuracy)
    distance = [table[np.triu_indices(3, 1)].mean() for table in tables]
    assert r == pytest.approx(np.corrcoef(distance, [a.mean() for a in accuracy])[0, 1])
    squares = 0.0
    for g in range(3):
        left = []
        for pair, rest in (((1, 2), [1, 2]), ((0, 2), [0, 2]), ((0, 1), [0, 1])):
            d, a = list(distance), [each.mean() for each in accuracy]
            d[g], a[g] = tables[g][pair], accuracy[g][rest].mean()
            left.append(np.arctanh(np.corrcoef(d, a)[0, 1]))
        squares += 2 / 3 * np.sum((left - np.mean(left)) ** 2)
    half = 4.302653 * np.sqrt(squares)  # Student's table, two degrees of freedom
    np.testing.assert_allclose([low, high], np.tanh(np.arctanh(r) + np.array([-half, half])))


def test_the_interval_of_a_distance_stays_within_its_range(script):
    from svcca_monitor.over_runs import pair_mean_interval

    table = pairs_at(0.05, 0.9, 0.95)
    mean, low, high = (float(end[0]) for end in pair_mean_interval(table[None], range(3)))
    assert low < 0  # or else this shows nothing
    assert high > 1
    assert script("width").of_pairs(table) == pytest.approx([mean, 0, 1])


def test_a_layer_that_is_one_with_the_layer_below_is_not_ordered(script):
    similarities = np.array([[0.9, 0.5, 0.5 + 1e-9], [0.8, 0.6, 0.6 - 1e-9]])
    assert script("austen_lstm").distinct(similarities).tolist() == [0, 1]
    similarities[1, 2] = 0.5
    assert script("austen_lstm").distinct(similarities).tolist() == [0, 1, 2]


def test_distances_of_nets_are_the_mean_of_both_directions_and_all_layers(script, tmp_path):
    from several_runs import write_run

    from svcca_monitor import similarity

    runs = [write_run(tmp_path / str(i), i, steps=(0, 1)) for i in range(3)]
    table = script("width").distances([run.path.parent for run in runs], adjusted=False)
    a, b = (runs[i].snapshot(1) for i in (0, 2))
    both = [similarity(x[n], y[n], measure="pwcca") for n in a for x, y in ((a, b), (b, a))]
    assert table[0, 2] == table[2, 0] == pytest.approx(1 - np.mean(both))
