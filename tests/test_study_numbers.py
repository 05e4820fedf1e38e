"""The numbers of the studies, against cases whose answer is known."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from svcca_monitor import Subspace

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
    """Every pair at 0.5, the columns of residual nodes higher by `stripes`."""
    values = np.full((len(NODES), len(NODES)), 0.5)
    values[:, [name.endswith("residual") for name in NODES]] += stripes
    dims = ("layer", "reference_layer")
    return xr.DataArray(values, dims=dims, coords=dict.fromkeys(dims, NODES))


def test_the_stripe_score_is_what_residual_columns_have_above_the_others(script):
    score = script("cifar10_resnet").stripe_score
    assert score(grid(stripes=0.25)) == pytest.approx(0.25)
    assert score(grid(stripes=0.0)) == 0
    assert score(grid(stripes=-0.1)) == pytest.approx(-0.1)


def test_blocks_of_other_stages_do_not_count_as_earlier_ones(script):
    apart = grid(stripes=0.25)
    names = [name.replace("s1b1", "s2b1") for name in NODES]
    apart = apart.assign_coords(layer=names, reference_layer=names)
    with pytest.warns(RuntimeWarning, match="empty slice|invalid value"):
        assert np.isnan(script("cifar10_resnet").stripe_score(apart))


def test_eta_squared_is_one_for_a_direction_of_classes_and_chance_for_noise(script):
    study, rng = script("two_seeds"), np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    classes = study.unit(labels[None].astype(float))
    assert study.eta_squared(classes, labels) == pytest.approx(1)
    noise = study.unit(rng.normal(size=(400, 200)))
    assert study.eta_squared(noise, labels) == pytest.approx(3 / 199, abs=0.001)


def test_a_rotated_layer_is_aligned_though_its_neurons_are_not(script):
    study, rng = script("two_seeds"), np.random.default_rng(0)
    x = rng.normal(size=(400, 12))
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    one, two = (Subspace.from_activations(a) for a in (x, x @ rotation))
    r = {kind: study.correlation(*pair).mean() for kind, pair in study.traces(one, two).items()}
    assert r["aligned"] == pytest.approx(1)
    assert abs(r["raw"]) < 0.5 < r["matched"] < 0.9
    shuffled = Subspace.from_activations(-x[:, rng.permutation(12)])
    pairs = study.traces(one, shuffled)
    assert study.correlation(*pairs["matched"]) == pytest.approx(np.ones(5))


def test_a_class_is_fully_correlated_with_a_layer_that_holds_it(script, monkeypatch):
    study = script("class_sensitivity")
    labels = np.repeat(np.arange(3), 40)
    noise = np.random.default_rng(0).normal(size=(120, 4))

    class Ended:
        def snapshot(self, step):
            layers = {"classes": np.eye(3)[labels], "noise": noise}
            return {name: Subspace.from_activations(x) for name, x in layers.items()}

    held, chance = np.array(study.sensitivity(Ended(), 0, labels))
    np.testing.assert_allclose(held, 1)
    slopes = np.linalg.lstsq(noise - noise.mean(axis=0), (labels == 1) - 1 / 3)[0]
    fitted = (noise - noise.mean(axis=0)) @ slopes
    assert chance[1] == pytest.approx(np.corrcoef(fitted, labels == 1)[0, 1])


def test_means_within_and_between_groups_leave_out_nets_paired_with_themselves(script):
    study = script("generalize_memorize")
    table = np.full((4, 4, 1), 0.6)
    table[:2, :2], table[2:, 2:] = 0.2, 0.5
    table[range(4), range(4)] = np.nan
    observed, low, high = study.with_intervals(table, [2, 2])
    expected = {"within generalising": 0.2, "within memorising": 0.5, "between": 0.6}
    for name, value in {**expected, "memorising − generalising": 0.3}.items():
        assert observed[name] == low[name] == high[name] == pytest.approx(value)


def test_the_interval_over_seeds_is_students(script):
    mean, lower, upper = script("seeds").interval([0.1, 0.2, 0.3])
    # t of two degrees of freedom at 97.5 % is 4.302653, the standard error 0.1/√3
    expected = [0.2, 0.2 - 0.2484138, 0.2 + 0.2484138]
    np.testing.assert_allclose([mean, lower, upper], expected, rtol=1e-6)
    assert script("seeds").interval([0.5, 1.0])[2] == 1


def test_wider_nets_that_are_nearer_and_better_have_a_correlation_of_minus_one(script):
    study = script("width")
    tables = [np.array([[np.nan, d], [d, np.nan]]) for d in (0.6, 0.4, 0.3)]
    accuracy = [np.array([a, a]) for a in (0.4, 0.6, 0.7)]
    observed, low, high = study.with_intervals([1, 2, 4], tables, accuracy)
    assert observed["distance"] == [0.6, 0.4, 0.3]
    for found in (observed, low, high):
        assert found["r with accuracy"] == pytest.approx(-1)
