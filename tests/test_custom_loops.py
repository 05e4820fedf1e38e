"""Snapshots in a training loop of one's own."""

import keras
import numpy as np
import pytest
from event_files import tensors

from svcca_monitor import ProbeSet, Run, SVCCAMonitor, pane


def train(model, digits, *, first, last):
    for i in range(first, last):
        rows = slice(32 * i, 32 * (i + 1))
        model.train_on_batch(digits[0][rows], digits[1][rows])


def test_a_loop_gives_a_run_as_fit_does(small_net, probe, digits, tmp_path):
    model = small_net()
    with SVCCAMonitor(probe, tmp_path) as monitor:
        monitor.set_model(model)
        assert monitor.snapshot(0) == {}
        train(model, digits, first=0, last=3)
        similarities = monitor.snapshot(30, epoch=0.3, logs={"loss": 2.0})
    run = Run(tmp_path)
    assert run.steps == [0, 30]
    assert run.epochs == [0.0, 0.3]
    assert run.header(30)["logs"] == {"loss": 2.0}
    found, order = tensors(run)
    assert order["svcca/final"] == [0, 30]
    np.testing.assert_allclose(found["svcca/final"][0], pane(run, 0), atol=1e-5)
    previous = np.diagonal(pane(run, 30, 0))
    np.testing.assert_allclose(list(similarities.values()), previous, atol=1e-5)


def test_a_closed_run_is_taken_up_again_by_the_next_snapshot(small_net, probe, digits, tmp_path):
    model = small_net()
    monitor = SVCCAMonitor(probe, tmp_path)
    monitor.set_model(model)
    monitor.snapshot(1)
    monitor.close()
    monitor.close()  # twice does no harm
    train(model, digits, first=0, last=1)
    with pytest.warns(UserWarning, match="not where the last snapshot"):
        monitor.snapshot(2)
    monitor.close()
    assert Run(tmp_path).steps == [1, 2]


def test_without_a_model_it_says_what_to_call(probe, tmp_path):
    with pytest.raises(RuntimeError, match=r"Call monitor.set_model\(model\) before"):
        SVCCAMonitor(probe, tmp_path).snapshot(0)


@pytest.mark.parametrize(
    ("step", "error", "match"), [(-1, ValueError, "counts from 0"), (1.5, TypeError, "float")]
)
def test_a_step_is_a_count(small_net, probe, tmp_path, step, error, match):
    monitor = SVCCAMonitor(probe, tmp_path)
    monitor.set_model(small_net())
    with pytest.raises(error, match=match):
        monitor.snapshot(step)
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments_raise_at_the_first_snapshot(small_net, probe, tmp_path):
    monitor = SVCCAMonitor(probe, tmp_path, measure="svca")
    monitor.set_model(small_net())
    with pytest.raises(ValueError, match="Did you mean 'svcca'"):
        monitor.snapshot(0)


def test_a_step_that_was_taken_already_is_a_warning(small_net, probe, tmp_path):
    with SVCCAMonitor(probe, tmp_path) as monitor:
        monitor.set_model(small_net())
        monitor.snapshot(5)
        with pytest.warns(UserWarning, match="Steps must increase: the run has step 5"):
            monitor.snapshot(5)
    assert Run(tmp_path).steps == [5]


def test_an_unbuilt_model_keeps_the_weights_that_it_would_have(digits, tmp_path):
    def net():
        keras.utils.set_random_seed(3)
        return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)])

    plain, watched = net(), net()
    x = digits[2][:8]
    with SVCCAMonitor(ProbeSet(x), tmp_path) as monitor:
        monitor.set_model(watched)
        monitor.snapshot(0)
    plain(x)
    for a, b in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
