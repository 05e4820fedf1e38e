"""One run from several fits, and places that hold another run."""

import numpy as np
import pytest
from event_files import tensors

from svcca_monitor import ProbeMismatchError, ProbeSet, Run, RunMismatchError, SVCCAMonitor, pane


def test_two_fits_with_one_instance_make_one_run(fit, probe, tmp_path):
    monitor = SVCCAMonitor(probe, tmp_path)
    model, _ = fit(monitor, epochs=2)
    fit(monitor, model=model, epochs=2)
    run = Run(tmp_path)
    assert run.steps == [0, 1, 2, 3, 4]
    found, order = tensors(run)
    assert all(steps == sorted(set(steps)) for steps in order.values())
    assert order["svcca/final"] == [0, 1, 2, 3, 4]
    assert order["custom_scalars__config__"] == [0]
    np.testing.assert_allclose(found["svcca/final"][1], pane(run, 1), atol=1e-5)
    assert found["svcca/history"][4].shape == (5, 4)


def test_a_new_instance_goes_on_at_initial_epoch(fit, probe, tmp_path):
    model, _ = fit(SVCCAMonitor(probe, tmp_path), epochs=2)
    fit(SVCCAMonitor(probe, tmp_path), model=model, initial_epoch=2, epochs=4)
    assert Run(tmp_path).steps == [0, 1, 2, 3, 4]


def test_another_training_in_the_same_place_is_told_so(fit, probe, small_net, tmp_path):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    with pytest.warns(UserWarning, match="not where the last snapshot .* left it"):
        fit(SVCCAMonitor(probe, tmp_path), model=small_net(5), epochs=1)
    assert Run(tmp_path).steps == [0, 1, 2]


def test_a_place_with_another_run_is_refused_and_kept(
    fails_before_the_first_step, fit, probe, digits, tmp_path
):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    other = ProbeSet.sample(digits[2], size=100, seed=9)
    fails_before_the_first_step(SVCCAMonitor(other, tmp_path), ProbeMismatchError, "probe set")
    fails_before_the_first_step(
        SVCCAMonitor(probe, tmp_path, layers="conv"),
        RunMismatchError,
        "another model|5 layers",
    )
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_run_that_was_cut_off_within_an_epoch_goes_on_behind_it(fit, probe, tmp_path):
    model, _ = fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=4), epochs=1)
    run = Run(tmp_path)
    run.snapshot_path(10).unlink()
    with pytest.warns(UserWarning, match="not where the last snapshot"):
        fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=4), model=model, epochs=1)
    assert run.steps == [0, 4, 8, 12, 16, 18]
    assert run.epochs == sorted(set(run.epochs))


@pytest.mark.parametrize("change", [{"measure": "cka"}, {"snapshot_freq": 2}])
def test_a_run_does_not_change_its_measure_or_its_unit(
    fails_before_the_first_step, fit, probe, tmp_path, change
):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    other = SVCCAMonitor(probe, tmp_path, **change)
    fails_before_the_first_step(other, RunMismatchError, "Nothing was changed")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_activations_of_another_scale_are_another_model(made_run):
    from svcca_monitor import Subspace
    from svcca_monitor.callbacks.recording import _alike

    s = made_run().snapshot(4)["low"]
    rebuilt = s.basis * s.singular_values @ s.loadings.T
    assert _alike(s, Subspace.from_activations(rebuilt))
    assert not _alike(s, Subspace.from_activations(rebuilt * 1.01))
