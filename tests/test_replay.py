"""Runs from weights that were saved while a model trained."""

import keras
import numpy as np
import pytest
from event_files import tensors

from svcca_monitor import CheckpointError, Run, SVCCAMonitor, learning_dynamics, replay


@pytest.fixture
def saved(fit, probe, tmp_path):
    """A live run of three epochs with the weights of each, and the model that was trained."""

    def train(pattern="epoch-{epoch:02d}.weights.h5"):
        weights_only = pattern.endswith(".weights.h5")
        save = keras.callbacks.ModelCheckpoint(
            tmp_path / "ckpt" / pattern, save_weights_only=weights_only
        )
        model, _ = fit(SVCCAMonitor(probe, tmp_path / "live"), save, epochs=3)
        return Run(tmp_path / "live"), model

    return train


def assert_equal_runs(live, replayed):
    assert replayed.steps == live.steps[1:]  # of the untrained model nothing was saved
    assert replayed.epochs == live.epochs[1:]
    assert replayed.layer_info == live.layer_info
    assert replayed.probe_fingerprint == live.probe_fingerprint
    for reference in ("final", "previous", 2):
        expected = learning_dynamics(live, reference).sel(step=replayed.steps)
        given = learning_dynamics(replayed, reference)
        first = 1 if reference == "previous" else 0
        np.testing.assert_allclose(given[first:], expected[first:], atol=1e-6)


@pytest.mark.parametrize("pattern", ["epoch-{epoch:02d}.weights.h5", "{epoch}-{loss:.2f}.keras"])
def test_a_replayed_run_is_the_live_run(saved, small_net, probe, tmp_path, pattern):
    live, _ = saved(pattern)
    model = small_net(seed=9)
    ending = pattern.partition(".")[2] if pattern.startswith("epoch") else "keras"
    run = replay(model, str(tmp_path / "ckpt" / f"*.{ending}"), probe, tmp_path / "replayed")
    assert_equal_runs(live, run)
    assert tensors(run)[1]["svcca/final"] == [1, 2, 3]


def test_the_model_gets_its_own_weights_back_whatever_happens(saved, small_net, probe, tmp_path):
    saved()
    model = small_net(seed=9)
    model.train_on_batch(probe.inputs[:8], probe.labels[:8])
    state = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    replay(model, str(tmp_path / "ckpt/*"), probe, tmp_path / "replayed")
    (tmp_path / "ckpt/epoch-03.weights.h5").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"epoch-03.weights.h5 cannot be loaded into .*small"):
        replay(model, str(tmp_path / "ckpt/*"), probe, tmp_path / "broken")
    for v, before in zip((*model.variables, *model.optimizer.variables), state, strict=True):
        np.testing.assert_array_equal(v.numpy(), before)


def test_steps_follow_the_numbers_of_the_names_and_not_the_alphabet(small_net, probe, tmp_path):
    model = small_net()
    for n in (2, 10, 1):
        model.layers[0].bias.assign(np.full(8, n, np.float32))
        model.save_weights(tmp_path / f"net2-{n}.weights.h5")
    run = replay(model, str(tmp_path / "*.h5"), probe, tmp_path / "run", layers="conv")
    assert run.steps == [1, 2, 10]
    levels = [run.snapshot(step)["conv"].mean.mean() for step in run.steps]
    assert levels == sorted(levels)
    files = [tmp_path / f"net2-{n}.weights.h5" for n in (10, 1, 2)]
    given = replay(model, files, probe, tmp_path / "given", layers="conv", steps=[7, 5, 6])
    assert given.steps == [5, 6, 7]
    assert [given.snapshot(s)["conv"].mean.mean() for s in given.steps] == levels[:2] + levels[2:]


def test_an_unbuilt_model_is_built_on_the_probe_set(probe, tmp_path):
    def net():
        return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4, name="out")])

    built = net()
    built(probe.inputs)
    built.save_weights(tmp_path / "1.weights.h5")
    run = replay(net(), [tmp_path / "1.weights.h5"], probe, tmp_path / "run", steps=[1])
    mean = built(probe.inputs).numpy().mean(axis=0)
    np.testing.assert_allclose(run.snapshot(1)["out"].mean, mean, atol=1e-5)


@pytest.mark.parametrize(
    ("files", "options", "error", "match"),
    [
        ("nothing-*.weights.h5", {}, FileNotFoundError, "No checkpoint matches"),
        ([], {}, ValueError, "`checkpoints` is empty"),
        (["gone.weights.h5"], {}, FileNotFoundError, "There is no checkpoint .*gone"),
        (["a.txt"], {}, CheckpointError, "no file of weights by its name; expected .weights.h5 or"),
        (["a.weights.h5", "b.weights.h5"], {}, ValueError, "do not tell their steps.*steps="),
        (
            ["a.weights.h5", "b.weights.h5"],
            {"steps": [1]},
            ValueError,
            "one step for each",
        ),
        (["a.weights.h5", "b.weights.h5"], {"steps": [1, 1]}, ValueError, "all different"),
        (["a.weights.h5"], {"steps": [0]}, CheckpointError, "a.weights.h5 cannot be loaded"),
        (["a.weights.h5"], {"steps": [0], "log_dir": "taken"}, FileExistsError, "holds a run"),
    ],
)
def test_what_cannot_be_replayed_is_named(
    small_net, probe, made_run, tmp_path, files, options, error, match
):
    made_run(tmp_path / "taken")
    for name in ("a.txt", "a.weights.h5", "b.weights.h5"):
        (tmp_path / name).write_bytes(b"no weights")
    paths = str(tmp_path / files) if isinstance(files, str) else [tmp_path / f for f in files]
    log_dir = tmp_path / options.pop("log_dir", "run")
    with pytest.raises(error, match=match):
        replay(small_net(), paths, probe, log_dir, **options)


def test_weights_of_another_architecture_are_named(small_net, probe, tmp_path):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "1.weights.h5")
    with pytest.raises(CheckpointError, match="of the same architecture"):
        replay(small_net(), str(tmp_path / "1.weights.h5"), probe, tmp_path / "run", steps=[1])
