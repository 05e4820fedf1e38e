"""When snapshots are taken, and what they are called."""

import numpy as np

from svcca_monitor import Run, SVCCAMonitor

LAYERS = ["conv", "bn", "pool", "hidden", "logits"]


def test_a_snapshot_is_taken_before_the_first_step_and_after_each_epoch(fit, probe, tmp_path):
    model, _ = fit(SVCCAMonitor(probe, tmp_path), epochs=3)
    run = Run(tmp_path)
    assert run.steps == [0, 1, 2, 3]
    assert run.epochs == [0.0, 1.0, 2.0, 3.0]
    assert run.layers == LAYERS
    assert run.probe_fingerprint == probe.fingerprint
    # The last one is of the model as `fit` leaves it.
    output = model.predict(probe.inputs, verbose=0).astype(np.float64)
    np.testing.assert_allclose(run.snapshot(3)["logits"].mean, output.mean(axis=0), atol=1e-5)
    assert set(run.header(2)["logs"]) == {"loss", "accuracy"}


def test_the_first_snapshot_is_of_the_untrained_model(fit, probe, small_net, tmp_path):
    untrained = small_net().predict(probe.inputs, verbose=0)
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    mean = Run(tmp_path).snapshot(0)["logits"].mean
    np.testing.assert_allclose(mean, untrained.mean(axis=0), atol=1e-5)


def test_snapshots_every_n_batches_count_batches(fit, probe, tmp_path):
    fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=4), epochs=2)  # 10 batches an epoch
    run = Run(tmp_path)
    assert run.steps == [0, 4, 8, 12, 16, 20]
    assert run.epochs == [0.0, 0.4, 0.8, 1.2, 1.6, 2.0]


def test_the_end_is_a_snapshot_whatever_the_schedule(fit, probe, tmp_path):
    fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=lambda step: step in (1, 7)), epochs=1)
    assert Run(tmp_path).steps == [0, 1, 7, 10]


def test_several_batches_that_end_at_once_miss_no_snapshot(fit, probe, small_net, tmp_path):
    model = small_net()
    model.compile("adam", model.loss, steps_per_execution=4)
    fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=3), model=model, epochs=2)
    assert Run(tmp_path).steps == [0, 4, 8, 10, 14, 18, 20]
