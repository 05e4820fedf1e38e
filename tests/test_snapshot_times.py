"""When snapshots are taken, and what they are called."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

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


def test_listed_steps_are_taken_with_both_ends(fit, probe, tmp_path):
    fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=[2, 5, 400]), epochs=1)
    assert Run(tmp_path).steps == [0, 2, 5, 10]


def test_data_of_unknown_length_have_right_epochs_once_the_length_is_known(
    small_net, digits, probe, tmp_path
):
    def batches():
        for i in range(8):
            rows = slice(32 * i, 32 * (i + 1))
            yield digits[0][rows], digits[1][rows]

    data = tf.data.Dataset.from_generator(
        batches,
        output_signature=(
            tf.TensorSpec((None, 8, 8, 1), tf.float32),
            tf.TensorSpec((None,), tf.int64),
        ),
    )
    lengths, labels = [], []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            lengths.append(self.params["steps"])
            labels.append(Run(tmp_path).epochs[-1])

    monitor = SVCCAMonitor(probe, tmp_path, snapshot_freq=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Your input ran out of data")
        small_net().fit(data, epochs=2, verbose=0, shuffle=False, callbacks=[monitor, Watch()])
    assert lengths[0] is None
    assert labels[7] == 0.0  # nobody knows yet how much of the epoch that is
    run = Run(tmp_path)
    assert run.steps == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert run.epochs == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]


def test_relabelling_leaves_the_factors_byte_for_byte(made_run):
    run = made_run()
    before = run.snapshot(2)
    run.relabel(2, epoch=0.125)
    assert run.epochs == [0.0, 1.0, 0.125, 3.0, 4.0]
    assert run.header(2)["logs"] == {"loss": 0.5}
    for name, s in run.snapshot(2).items():
        np.testing.assert_array_equal(s.basis, before[name].basis)
        np.testing.assert_array_equal(s.spectrum, before[name].spectrum)


@pytest.mark.parametrize("freq", ["epoch", 10])
def test_weights_that_early_stopping_puts_back_are_the_final_snapshot(fit, probe, tmp_path, freq):
    # The learning rate grows so much that the first epoch stays the best.
    diverge = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 30**epoch)
    stop = keras.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    model, history = fit(diverge, stop, SVCCAMonitor(probe, tmp_path, snapshot_freq=freq), epochs=9)
    run = Run(tmp_path)
    trained = len(history.history["loss"]) * (1 if freq == "epoch" else 10)
    assert stop.best_epoch + 1 < len(history.history["loss"])
    assert run.steps[-2:] == [trained, trained + 1]
    assert run.epochs[-1] == run.epochs[-2]
    output = model.predict(probe.inputs, verbose=0).mean(axis=0)
    np.testing.assert_allclose(run.snapshot(trained + 1)["logits"].mean, output, atol=1e-4)
    assert np.abs(run.snapshot(trained)["logits"].mean - output).max() > 0.1


def test_a_training_of_epochs_does_not_wait_for_the_monitor_after_batches(probe, tmp_path):
    def waits(freq):
        monitor = SVCCAMonitor(probe, tmp_path, snapshot_freq=freq)
        with pytest.MonkeyPatch.context() as patch:
            # What Keras asks of a backend that can dispatch callbacks without waiting, such as jax.
            patch.setattr("keras.src.backend.IS_THREAD_SAFE", True)
            return not keras.callbacks.CallbackList([monitor])._async_train

    assert not waits("epoch")
    assert waits(5)
