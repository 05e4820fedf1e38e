"""Snapshots in a training loop of one's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from event_files import tensors
from keras import layers

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


class Game(keras.Model):
    """Two nets that are trained against each other, as in Keras' examples: it has no `call`."""

    def __init__(self):
        super().__init__(name="game")
        self.generator = keras.Sequential([keras.Input((3,)), layers.Dense(8, name="made")])
        self.critic = keras.Sequential([keras.Input((8,)), layers.Dense(1, name="judged")])

    def train_step(self, data):
        for sign, part in ((1, self.critic), (-1, self.generator)):
            with tf.GradientTape() as tape:
                loss = sign * tf.reduce_mean(self.critic(self.generator(data)))
            for variable, gradient in zip(
                part.trainable_variables,
                tape.gradient(loss, part.trainable_variables),
                strict=True,
            ):
                variable.assign_sub(0.1 * gradient)
        return {"loss": loss}


def test_a_model_without_a_call_is_refused_with_the_way_to_watch_a_part_of_it(tmp_path):
    noise = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
    game = Game()
    game.compile("sgd")
    with pytest.raises(ValueError, match=r"'game' has no `call`.* monitor.set_model\(model.part\)"):
        game.fit(noise, verbose=0, callbacks=[SVCCAMonitor(noise, tmp_path)])
    with SVCCAMonitor(noise, tmp_path) as monitor:
        monitor.set_model(game.generator)
        monitor.snapshot(0)
        taken = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: monitor.snapshot(epoch + 1)
        )
        game.fit(noise, epochs=2, verbose=0, callbacks=[taken])
    run = Run(tmp_path)
    assert (run.layers, run.steps) == (["made"], [0, 1, 2])
