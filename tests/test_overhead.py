"""The share of the training time that snapshots may take, with snapshots that really are slow."""

import re
import time
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from svcca_monitor import Run, SVCCAMonitor


def slow(seconds, *, only_before=()):
    """A representation that takes that long a batch of the probe, until there is something."""

    def wait(x):
        time.sleep(0.0 if only_before else seconds)
        return x

    def represent(x):
        waited = tf.numpy_function(wait, [keras.ops.mean(x, axis=(1, 2))], tf.float32)
        waited.set_shape((None, x.shape[-1]))
        return waited

    return represent


@pytest.fixture
def monitored(fit, probe, tmp_path):
    """Steps of a run whose snapshots take 0.3 s, and what was warned of."""

    def run(*callbacks, epochs, **options):
        monitor = SVCCAMonitor(probe, tmp_path, layers="conv", representation=slow(0.3), **options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit(monitor, *callbacks, epochs=epochs)
        said = [str(w.message) for w in caught if "max_overhead" in str(w.message)]
        return Run(tmp_path).steps, said

    return run


def test_without_a_limit_every_snapshot_is_taken(monitored):
    assert monitored(epochs=5) == ([0, 1, 2, 3, 4, 5], [])


def test_beyond_the_limit_only_the_ends_are_taken_and_it_is_said_once(monitored):
    steps, said = monitored(epochs=5, max_overhead=0.001)  # one snapshot in 300 s of training
    # The first on schedule shows what one costs.
    assert steps == [0, 1, 5]
    [message] = said
    assert "leaves out snapshots from step 2 on: the last one took " in message
    assert "max_overhead=0.001" in message


def test_within_the_limit_nothing_is_left_out(monitored):
    pause = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: time.sleep(1.5))
    steps, said = monitored(pause, epochs=3, max_overhead=1.0)
    assert steps == [0, 1, 2, 3]
    assert said == []


def test_the_look_before_the_first_step_is_no_time_of_training(fit, probe, tmp_path):
    ended = []  # of each epoch, and before them the beginning of the first

    def note(epoch, logs):
        ended.append(time.perf_counter())

    mark = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: ended or note(epoch, logs), on_epoch_end=note
    )
    representation = slow(1.0, only_before=ended)
    monitor = SVCCAMonitor(
        probe, tmp_path, layers="conv", representation=representation, max_overhead=1e-6
    )
    with pytest.warns(UserWarning, match="leaves out snapshots from step 2 on") as caught:
        fit(mark, monitor, epochs=3)
    said = " ".join(str(w.message) for w in caught)
    [told] = re.findall(r"of the (\S+) s of training so far", said)
    begun, _, second, _ = ended
    assert float(told) <= 1.05 * (second - begun) + 0.1  # told with two digits


@pytest.mark.parametrize(
    ("limit", "error", "match"),
    [
        (0, ValueError, r"must be in \(0, 1\], such as 0.02 for 2 %"),
        (2, ValueError, "Received: 2"),
        ("2 %", TypeError, "such as 0.02, or None. Received: '2 %'"),
        (True, TypeError, "Received: True"),
        (np.float32(2), ValueError, "Received: 2.0"),
    ],
)
def test_the_limit_is_a_share(fails_before_the_first_step, probe, tmp_path, limit, error, match):
    fails_before_the_first_step(SVCCAMonitor(probe, tmp_path, max_overhead=limit), error, match)
    assert list(tmp_path.iterdir()) == []
