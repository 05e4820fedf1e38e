import numpy as np
import pytest
from several_runs import LAYERS, write_run

from svcca_monitor import (
    convergence,
    convergence_over_seeds,
    dynamics_over_seeds,
    learning_dynamics,
    plots,
)
from svcca_monitor.seeds import _statistics

# Student's table: t of 2 degrees of freedom at 97.5 %.
T2 = 4.302652729749462


@pytest.fixture
def runs(tmp_path):
    return [write_run(tmp_path / str(i), i) for i in range(3)]


@pytest.mark.parametrize("key", ["convergence_epoch", "half_time", "area_under_curve"])
def test_each_layer_has_the_mean_of_the_seeds_with_a_t_interval(runs, key):
    found = convergence_over_seeds(runs)
    assert found["statistic"].values.tolist() == ["mean", "lower", "upper"]
    assert found["layer"].values.tolist() == list(LAYERS)
    each = np.array([convergence(run)[key].values for run in runs])
    mean, half = each.mean(axis=0), T2 * each.std(axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(found[key].sel(statistic="mean"), mean)
    lower = mean - half if key == "area_under_curve" else np.maximum(mean - half, 0.0)
    np.testing.assert_allclose(found[key].sel(statistic="lower"), lower, rtol=1e-6)
    upper = np.minimum(mean + half, 1.0) if key == "area_under_curve" else mean + half
    np.testing.assert_allclose(found[key].sel(statistic="upper"), upper, rtol=1e-6)


@pytest.mark.parametrize("key", ["convergence_epoch", "half_time"])
def test_the_interval_of_an_epoch_does_not_begin_before_training(key):
    values = np.array([[0.0], [5.0]])
    mean, low, high = _statistics(values, key, interval=0.95, method="t")[:, 0]
    assert (mean, low) == (2.5, 0.0)
    assert high == pytest.approx(2.5 + 12.706205 * 2.5)  # Student's t of one degree of freedom
    assert _statistics(values, "chance_level", interval=0.95, method="t")[1] < 0


def test_the_bottom_up_index_has_an_interval_over_seeds_within_its_range(tmp_path):
    runs = [write_run(tmp_path / str(i), i, layers=tuple("abcdef"), own=0.1) for i in (0, 1, 5)]
    found = convergence_over_seeds(runs)
    each = np.array([float(convergence(run)["bottom_up_index"]) for run in runs])
    np.testing.assert_array_equal(found["bottom_up_index_of_run"], each)
    mean, low, high = found["bottom_up_index"].values
    half = T2 * each.std(ddof=1) / np.sqrt(3)
    assert mean == pytest.approx(each.mean())
    assert low == pytest.approx(max(-1.0, mean - half), rel=1e-6)
    assert high == pytest.approx(min(1.0, mean + half), rel=1e-6)
    assert each.std() > 0  # or else this shows nothing
    assert mean < -0.5


def test_the_bootstrap_over_seeds_stays_within_the_seeds(runs):
    found = convergence_over_seeds(runs, method="bootstrap", layers=["h*"])
    each = [float(convergence(run)["half_time"].sel(layer="high")) for run in runs]
    mean, low, high = found["half_time"].sel(layer="high").values
    assert low == pytest.approx(min(each))
    assert high == pytest.approx(max(each))
    assert mean == pytest.approx(np.mean(each))


def test_mean_curves_are_those_of_the_runs(runs):
    found = dynamics_over_seeds(runs, adjusted=True)
    each = np.array([learning_dynamics(run, adjusted=True).values for run in runs])
    np.testing.assert_allclose(found.sel(statistic="mean"), each.mean(axis=0))
    half = T2 * each.std(axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(
        found.sel(statistic="lower"), each.mean(axis=0) - half, rtol=1e-6, atol=1e-9
    )
    assert float(found.max()) <= 1.0


def test_bands_are_drawn_around_the_mean_curves(runs):
    data = dynamics_over_seeds(runs)
    (axes,) = plots.curves(data, title="three seeds").axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert list(lines) == list(LAYERS)
    for band, layer in zip(axes.collections, LAYERS, strict=True):
        np.testing.assert_array_equal(lines[layer], data.sel(statistic="mean", layer=layer))
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.min() == pytest.approx(float(data.sel(statistic="lower", layer=layer).min()))
        assert heights.max() == pytest.approx(float(data.sel(statistic="upper", layer=layer).max()))


def test_numbers_are_drawn_over_depth_with_their_intervals(runs):
    settled = convergence_over_seeds(runs)
    (axes,) = plots.convergence(settled, "half_time").axes
    [bars] = axes.containers
    points = axes.collections[-1].get_offsets()
    np.testing.assert_allclose(points[:, 0], settled["half_time"].sel(statistic="mean"))
    assert [t.get_text() for t in axes.get_yticklabels()] == list(LAYERS)
    segments = np.array(bars.lines[2][0].get_segments())[:, :, 0]
    np.testing.assert_allclose(segments[:, 0], settled["half_time"].sel(statistic="lower"))
    np.testing.assert_allclose(segments[:, 1], settled["half_time"].sel(statistic="upper"))
    assert axes.get_xlabel() == "half time (epochs)"
    with pytest.raises(ValueError, match="Unknown number 'half'. Did you mean 'half_time'"):
        plots.convergence(settled, "half")


def test_seeds_are_runs_of_one_model(runs, tmp_path):
    with pytest.raises(ValueError, match="at least two runs. Received: 1"):
        convergence_over_seeds(runs[:1])
    other = write_run(tmp_path / "other", 9, layers=("low", "high"))
    with pytest.raises(ValueError, match="Seeds are runs of one model.*low, mid, high.*low, high"):
        convergence_over_seeds([*runs, other])
    longer = write_run(tmp_path / "longer", 9, steps=(0, 1, 2))
    with pytest.raises(ValueError, match="snapshots at the same steps"):
        dynamics_over_seeds([*runs, longer])
    assert convergence_over_seeds([*runs, longer]).attrs["n_runs"] == 4
