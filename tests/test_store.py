"""Bounds of what stays on disk: directions, precision and snapshots."""

import warnings

import numpy as np
import pytest
from event_files import tensors

from svcca_monitor import (
    MEASURES,
    Run,
    Store,
    Subspace,
    SVCCAMonitor,
    compare,
    convergence,
    learning_dynamics,
    pane,
    similarity_grid,
)


@pytest.fixture
def bounded(made_run, tmp_path):
    """Copies of a run under bounds: three layers of 6 neurons, 200 examples."""

    def make(steps=(0, 1, 2, 3, 4), **bounds):
        whole = made_run(tmp_path / "whole", steps=steps)
        from svcca_monitor import ProbeSet

        rng = np.random.default_rng(0)
        probe = ProbeSet(rng.normal(size=(200, 3)), np.arange(200) % 4)
        copy = Run.create(tmp_path / "copy", whole.layer_info, probe, store=bounds)
        for step in steps:
            copy.write_snapshot(step, whole.snapshot(step), epoch=step)
        return whole, copy

    return make


@pytest.fixture(scope="module")
def activations(trained):
    """Factors of the layers of a trained net, before and after: ranks from 10 to some 100."""
    run = Run(trained[0])
    return {
        f"{name}@{step}": s
        for step in (run.steps[0], run.steps[-1])
        for name, s in run.snapshot(step).items()
    }


@pytest.mark.parametrize("measure", MEASURES)
def test_half_precision_changes_similarities_by_less_than_0_002(
    activations, measure, tmp_path, trained
):
    whole = Run(trained[0])
    from svcca_monitor.snapshots import encode, read

    stored = {}
    for step in (whole.steps[0], whole.steps[-1]):
        path = tmp_path / f"{step}"
        layers = whole.snapshot(step)
        path.write_bytes(encode(step, layers, epoch=0, logs={}, probe="", dtype="float16"))
        read_back = read(path, layers, step=step, probe="")
        stored |= {f"{name}@{step}": s for name, s in read_back.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of chance and constant layers, as elsewhere
        exact = similarity_grid(activations, measure=measure)
        half = similarity_grid(stored, measure=measure)
    assert np.nanmax(np.abs(exact - half)) < 2e-3


def test_few_samples_and_pwcca_stand_half_precision_too():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(100, 40))
    from svcca_monitor.snapshots import _narrowed, _widened

    layers = {}
    for i, decay in enumerate((0.0, 0.1, 0.3)):
        mixing = rng.normal(size=(40, 64)) * np.exp(-decay * np.arange(40))[:, None]
        noise = 0.05 * rng.normal(size=(100, 64))
        layers[str(i)] = Subspace.from_activations(np.maximum(z @ mixing + noise, 0))
    half = {
        name: Subspace(
            **{
                factor: _widened(_narrowed(factor, getattr(s, factor), "float16"))
                for factor in ("basis", "singular_values", "loadings", "mean", "spectrum")
            }
        )
        for name, s in layers.items()
    }
    difference = similarity_grid(layers, measure="pwcca") - similarity_grid(half, measure="pwcca")
    assert np.abs(difference).max() < 2e-3


def test_half_precision_takes_about_half_the_room(bounded):
    whole, half = bounded(dtype="float16")
    assert half.size < 0.75 * whole.size  # the spectra stay in double precision
    assert half.snapshot(4)["mid"].basis.dtype == np.float64


def test_what_is_kept_of_the_directions_keeps_its_share_of_the_whole(bounded):
    whole, cut = bounded(dims=2)
    assert [s.rank for s in cut.snapshot(3).values()] == [2, 2, 2]
    for name, s in whole.snapshot(3).items():
        assert cut.snapshot(3)[name].total_variance == s.total_variance
        np.testing.assert_array_equal(cut.snapshot(3)[name].basis, s.basis[:, :2])


def test_log_spaced_snapshots_stay_as_the_run_grows():
    store, steps = Store(keep="log"), []
    for step in range(300):
        steps.append(step)
        steps = [kept for kept in steps if kept not in store.superfluous(steps)]
    assert steps[:13] == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 13, 15, 18]
    assert steps[-1] == 299
    assert len(steps) < 35
    ratios = np.divide(steps[10:-1], steps[9:-2])
    assert ratios.max() < 1.35


def test_what_is_not_to_stay_is_removed_from_the_disk(bounded):
    _, run = bounded(steps=range(20), keep="log")
    assert run.steps == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 13, 15, 18, 19]
    assert len(list((run.path / "snapshots").iterdir())) == 14


@pytest.mark.parametrize("keep", [2, 3, 6])
def test_no_more_than_a_number_of_snapshots_stay_evenly_spaced(bounded, keep):
    whole, run = bounded(steps=range(0, 30), keep=keep)
    assert keep / 2 <= len(run.steps) <= keep
    assert (run.steps[0], run.steps[-1]) == (0, 29)
    assert len(set(np.diff(run.steps[:-1]))) <= 1
    assert run.size < whole.size / 30 * (keep + 3)


def test_results_are_those_of_the_snapshots_that_stayed(bounded):
    whole, thin = bounded(steps=range(0, 30), keep=5)
    for reference in ("final", "initial"):
        expected = learning_dynamics(whole, reference).sel(step=thin.steps)
        np.testing.assert_array_equal(learning_dynamics(thin, reference), expected)
    np.testing.assert_array_equal(pane(thin, "final"), pane(whole, "final"))
    np.testing.assert_array_equal(compare(thin, whole), compare(whole, whole))
    assert np.isfinite(convergence(thin)["area_under_curve"]).all()
    with pytest.raises(KeyError, match="no snapshot of step 1"):
        learning_dynamics(thin, 1)


def test_a_bounded_run_goes_on_after_a_pause_and_tensorboard_keeps_its_columns(
    fit, probe, tmp_path
):
    bounds = {"dims": 8, "dtype": "float16", "keep": 3}
    model, _ = fit(SVCCAMonitor(probe, tmp_path, store=bounds), epochs=4)
    assert Run(tmp_path).steps == [0, 2, 4]
    fit(SVCCAMonitor(probe, tmp_path), model=model, epochs=2)  # bounds are the run's
    run = Run(tmp_path)
    assert run.store == Store(dims=8, dtype="float16", keep=3)
    assert run.steps == [0, 4, 6]
    assert max(s.rank for s in run.snapshot(6).values()) == 8
    found, order = tensors(run)
    assert order["svcca/layers"] == list(range(7))
    assert order["svcca/final"] == run.steps
    for step in range(1, 7):
        assert found["svcca/history"][step].shape == (5, step)
    last = found["svcca/history"][6]
    assert np.isfinite(last[:, [0, 5]]).all()
    final = learning_dynamics(run, "final")
    np.testing.assert_allclose(found["svcca/history"][6][:, 0], final[0], atol=2e-3)


def test_bounds_may_change_while_a_run_goes_on(bounded, tmp_path):
    _, run = bounded(dims=2)
    from svcca_monitor import ProbeSet

    rng = np.random.default_rng(0)
    probe = ProbeSet(rng.normal(size=(200, 3)))
    again = Run.create(tmp_path / "copy", run.layer_info, probe, store=Store(keep=3))
    assert again.store == Run(tmp_path / "copy").store == Store(keep=3)


@pytest.mark.parametrize(
    ("bounds", "error", "message"),
    [
        ({"dims": 0}, ValueError, "`dims` of `store` must be a whole number.*Received: 0"),
        ({"dtype": "float8"}, ValueError, "Unknown dtype 'float8' of `store`.*float16"),
        ({"keep": 1}, ValueError, "'all', 'log' or a number of snapshots, at least 2"),
        ({"keep": True}, ValueError, "Received: True"),
        ({"keep": "last"}, ValueError, "Received: 'last'"),
        ({"keeps": 3}, ValueError, "Unknown bound 'keeps' of `store`. Did you mean 'keep'?"),
        (64, TypeError, '`store` takes a dict such as {"dims": 64'),
    ],
)
def test_bounds_that_are_none_are_refused(
    fails_before_the_first_step, probe, tmp_path, bounds, error, message
):
    fails_before_the_first_step(SVCCAMonitor(probe, tmp_path, store=bounds), error, message)
    assert list(tmp_path.iterdir()) == []


def test_a_run_tells_its_size(bounded):
    run, _ = bounded()
    files = [p for p in run.path.rglob("*") if p.is_file()]
    assert run.size == sum(p.stat().st_size for p in files) > 0
