from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import trapezoid

from svcca_monitor import LayerInfo, ProbeSet, Run, Subspace, convergence, learning_dynamics
from svcca_monitor.settling import _half_time


def test_layers_that_settle_from_the_bottom_up_have_index_minus_one(made_run):
    settled = convergence(made_run())
    area = settled["area_under_curve"]
    assert float(area.sel(layer="low")) > float(area.sel(layer="mid"))
    assert float(area.sel(layer="mid")) > float(area.sel(layer="high"))
    assert float(settled["bottom_up_index"]) == -1.0
    assert 0 < float(settled["p_value"]) <= 1
    epochs = settled["convergence_epoch"].values
    assert epochs[0] == 1
    assert epochs.tolist() == sorted(epochs)


def test_the_area_is_the_mean_height_of_the_curve(made_run):
    run = made_run()
    curve = learning_dynamics(run, adjusted=True).sel(layer="high").values
    by_hand = sum((a + b) / 2 for a, b in pairwise(curve)) / 4
    area = convergence(run)["area_under_curve"].sel(layer="high")
    assert float(area) == pytest.approx(by_hand)


def test_the_area_is_over_epochs_and_not_over_snapshots(made_run):
    run = made_run(steps=(0, 1, 2, 4, 12))
    curve = learning_dynamics(run, adjusted=True).sel(layer="high").values
    area = float(convergence(run)["area_under_curve"].sel(layer="high"))
    assert area == pytest.approx(trapezoid(curve, run.epochs) / 12)
    assert abs(area - trapezoid(curve) / 4) > 0.01  # or else this shows nothing


def test_going_back_to_an_older_checkpoint_takes_no_time(tmp_path):
    rng = np.random.default_rng(0)
    end, start = rng.normal(size=(2, 60, 4))
    run = Run.create(
        tmp_path,
        [LayerInfo("a", "Dense", 0, (None, 4), "mean")],
        ProbeSet(rng.normal(size=(60, 2))),
    )
    for step, (epoch, share) in enumerate([(0, 0.0), (2, 0.9), (1, 0.3), (3, 1.0)]):
        x = Subspace.from_activations(share * end + (1 - share) * start)
        run.write_snapshot(step, {"a": x}, epoch=epoch)
    a, b, c, d = learning_dynamics(run, adjusted=True).sel(layer="a").values
    [area] = convergence(run)["area_under_curve"].values
    assert area == pytest.approx(((a + b) / 2 * 2 + (c + d) / 2 * 2) / 4)


def test_convergence_asks_for_staying_above_the_threshold(made_run):
    from svcca_monitor.settling import _first_settled

    epochs = np.array([0.0, 1.0, 2.0, 3.0])
    assert _first_settled(np.array([0.95, 0.5, 0.92, 1.0]), epochs, 0.9) == 2.0
    assert _first_settled(np.array([0.9, 0.9, 0.9, 1.0]), epochs, 0.9) == 0.0
    assert np.isnan(_first_settled(np.full(4, np.nan), epochs, 0.9))


def test_the_index_can_be_asked_of_some_layers(made_run):
    run = made_run()
    settled = convergence(run, layers=["l*", "high"])
    assert settled["layer"].values.tolist() == ["low", "high"]
    with pytest.raises(ValueError, match="Unknown layer 'hihg'. Did you mean 'high'"):
        convergence(run, layers=["hihg"])


def test_the_chance_level_of_a_layer_is_that_of_its_final_size(made_run):
    from svcca_monitor import chance_level

    run = made_run()
    dims = run.snapshot(4)["mid"].truncate(explained_variance=0.99).rank
    expected = chance_level("svcca", n_samples=200, dims_x=dims, dims_y=dims)
    assert float(convergence(run)["chance_level"].sel(layer="mid")) == pytest.approx(expected)
    assert np.isnan(convergence(run, measure="pwcca")["chance_level"]).all()


def test_convergence_is_of_the_adjusted_similarity_unless_told_otherwise(made_run):
    run = made_run()
    plain, adjusted = convergence(run, adjusted=False), convergence(run)
    assert adjusted.attrs["adjusted"] == 1
    assert (adjusted["area_under_curve"] < plain["area_under_curve"]).all()
    assert (adjusted["half_time"] >= plain["half_time"]).all()
    curve = learning_dynamics(run, adjusted=True).sel(layer="mid").values
    first = next(i for i in range(5) if (curve[i:] >= 0.9).all())
    assert float(adjusted["convergence_epoch"].sel(layer="mid")) == first


@pytest.mark.parametrize(
    ("curve", "epochs", "expected"),
    [
        ([0.0, 0.25, 0.75, 1.0], [0, 1, 2, 3], 1.5),
        ([0.2, 0.6, 1.0], [0, 4, 8], 4.0),
        ([0.5, 0.5, 1.0], [0, 2, 10], 6.0),
        ([0.2, 0.9, 0.3, 1.0], [0, 1, 2, 3], 4 / 7),  # the first time counts
        ([0.0, np.nan, 1.0], [0, 1, 2], 1.0),
        ([0.0, 0.2, 0.1, 0.8, 1.0], [0, 4, 2, 3, 4], 2 + 4 / 7),  # went back after epoch 4
        ([1 - 1e-9, 1 - 2e-8, 1.0], [0, 1, 2], 0.0),
    ],
)
def test_half_time_is_where_the_curve_is_half_way_from_its_start_to_one(curve, epochs, expected):
    found = _half_time(np.array(curve, dtype=float), np.array(epochs, dtype=float))
    assert found == pytest.approx(expected)


def test_a_curve_without_a_start_or_an_end_has_no_half_time():
    epochs = np.arange(3.0)
    for curve in [np.nan, 0.5, 1.0], [0.1, 0.5, np.nan], [np.nan] * 3:
        assert np.isnan(_half_time(np.array(curve), epochs))


def test_half_times_are_those_of_the_curves(made_run):
    run = made_run()
    curves = learning_dynamics(run, adjusted=True)
    for layer in run.layers:
        values = curves.sel(layer=layer).values
        half = (values[0] + 1) / 2
        expected = np.interp(half, values, [0, 1, 2, 3, 4])
        assert (np.diff(values) > -1e-6).all()  # as np.interp asks
        found = float(convergence(run)["half_time"].sel(layer=layer))
        assert found == pytest.approx(expected, abs=1e-6)


def test_a_layer_as_wide_as_the_probe_set_has_no_adjusted_convergence(tmp_path):
    rng = np.random.default_rng(0)
    infos = [LayerInfo("wide", "Dense", 0, (None, 40), "mean")]
    run = Run.create(tmp_path, infos, ProbeSet(rng.normal(size=(20, 2))))
    for step in range(2):
        x = Subspace.from_activations(rng.normal(size=(20, 40)))
        run.write_snapshot(step, {"wide": x}, epoch=step)
    found = convergence(run, measure="cca")
    assert np.isnan(found["convergence_epoch"]).all()
    assert np.isnan(found["half_time"]).all()
    # The similarity as it is would be called perfect from the start, by chance alone.
    plain = convergence(run, measure="cca", adjusted=False)
    assert plain["convergence_epoch"].values.tolist() == [0.0]
    assert found["chance_level"].values.tolist() == [1.0]
