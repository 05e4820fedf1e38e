"""What configs say of training becomes objects of Keras, or an error with the nearest name."""

import inspect
import json
import re
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from svcca_monitor import Run
from svcca_monitor.experiments import config, serialised, train
from svcca_monitor.experiments.provenance import provenance

BASE = {
    "data": {"name": "digits", "train_size": 96, "test_size": 60},
    "model": {"name": "mlp", "parameters": {"units": [6]}},
    "monitor": {"probe_size": 50},
}
LOG = {"class_name": "CSVLogger", "config": {"filename": "logs/log.csv"}}


def training(**keys):
    return config.check({**BASE, "training": {"epochs": 1, **keys}}, "x.yaml").training


def test_names_and_serialisations_of_keras_become_its_objects():
    adam = serialised.optimizer(training(optimizer="adam", learning_rate=0.02))
    assert isinstance(adam, keras.optimizers.Adam)
    assert float(adam.learning_rate.value) == pytest.approx(0.02)
    sgd = {"class_name": "SGD", "config": {"momentum": 0.9}}
    decay = {"class_name": "CosineDecay", "config": {"initial_learning_rate": 1, "decay_steps": 10}}
    found = serialised.optimizer(training(optimizer=sgd, learning_rate=decay))
    assert found.momentum == 0.9
    assert isinstance(found._learning_rate, keras.optimizers.schedules.CosineDecay)
    hinge = serialised.loss(training(loss={"class_name": "CategoricalHinge"}))
    assert isinstance(hinge, keras.losses.CategoricalHinge)
    top = {"class_name": "SparseTopKCategoricalAccuracy", "config": {"k": 3}}
    accuracy, top_3 = serialised.metrics(training(metrics=["accuracy", top]))
    assert (accuracy, top_3.get_config()["k"]) == ("accuracy", 3)
    stop = {"class_name": "EarlyStopping", "config": {"patience": 3, "monitor": "loss"}}
    early, nan = serialised.callbacks(training(callbacks=[stop, "TerminateOnNaN"]), Path("run"))
    assert (early.patience, type(nan)) == (3, keras.callbacks.TerminateOnNaN)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"optimizer": "Adm"}, "keras.optimizers has no 'Adm'. Did you mean 'Adam'"),
        ({"optimizer": "sdg"}, "keras.optimizers has no 'sdg'. Did you mean 'SGD'"),
        (
            {"optimizer": {"class_name": "Adam", "config": {"lr": 1}}},
            r"'optimizer' in \[training\]: Adam: Argument\(s\) not recognized",
        ),
        ({"optimizer": {"name": "Adam"}}, r"Expected a name, or {class_name: Name, config"),
        ({"learning_rate": {"class_name": "CosinDecay"}}, "Did you mean 'CosineDecay'"),
        ({"loss": "crosentropy"}, r"'loss' in \[training\]: .*has no 'crosentropy'"),
        ({"metrics": ["acuracy"]}, "Did you mean 'Accuracy'"),
        ({"callbacks": ["EarlyStoping"]}, "Did you mean 'EarlyStopping'"),
        ({"callbacks": [{"name": "EarlyStopping"}]}, "Expected a name, or {class_name"),
        (
            {"callbacks": [{"class_name": "EarlyStopping", "config": {"patienc": 1}}]},
            "EarlyStopping takes no {'patienc': 1}",
        ),
        ({"callbacks": [LOG, "EarlyStoping"]}, "Did you mean 'EarlyStopping'"),
        ({"callbacks": [{"class_name": "CSVLogger", "config": ["x"]}]}, r"takes no \['x'\]"),
        ({"callbacks": ["builtins:dict"]}, "builtins:dict made a dict, not a callback"),
        ({"callbacks": ["json:nothing"]}, "cannot import 'json:nothing'"),
    ],
)
def test_what_keras_does_not_know_is_refused_with_the_nearest_name(keys, message, tmp_path):
    section, (key,) = training(**keys), keys
    read = getattr(serialised, key.replace("learning_rate", "optimizer"))
    folder = [tmp_path / "run"] if key == "callbacks" else []
    with pytest.raises(ValueError, match=message):
        read(section, *folder)
    assert not list(tmp_path.iterdir())


def test_every_run_has_the_files_of_its_callbacks_for_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = {"class_name": "CSVLogger", "config": {"filename": str(tmp_path / "all.csv")}}
    mine["config"]["append"] = True
    weights = {"class_name": "ModelCheckpoint", "config": {"save_weights_only": True}}
    weights["config"]["filepath"] = "{epoch}.weights.h5"
    sections = {"training": {"epochs": 2, "callbacks": [LOG, mine, weights]}}
    for name in ("one", "two"):
        train.train(config.check({**BASE, **sections}, "x.yaml"), Path("runs") / name)
        found = {str(p.relative_to(f"runs/{name}")) for p in Path("runs", name).rglob("*.*5")}
        assert found == {"1.weights.h5", "2.weights.h5"}
        lines = Path("runs", name, "logs/log.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1"]
        kept = config.load(f"runs/{name}/config.yaml").training.callbacks
        assert kept[0] == LOG  # a run that repeats this one writes its own
    assert {p.name for p in tmp_path.iterdir()} == {"all.csv", "runs"}
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 5


def test_of_every_callback_of_keras_it_is_known_where_it_writes():
    seen = set()
    for name, kind in vars(keras.callbacks).items():
        if inspect.isclass(kind):
            seen |= {(name, argument) for argument in inspect.signature(kind).parameters}
    places = {argument for _, argument in seen if re.search("(?<!pro)file|dir|path", argument)}
    assert places - {"path"} <= set(serialised.PLACES)  # some are not there in every version
    assert {name for name, argument in seen if argument == "path"} == {"RemoteMonitor"}


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, "run/logs"),
        ({"log_dir": "."}, "run/."),
        ({"log_dir": "/tmp/x"}, "/tmp/x"),
        ({"log_dir": "gs://bucket/x"}, "gs://bucket/x"),
    ],
)
def test_a_place_that_is_not_said_or_relative_is_in_the_run(given, place):
    board = {"class_name": "TensorBoard", "config": given}
    [made] = serialised.callbacks(training(callbacks=[board]), Path("run"))
    assert made.log_dir == place


def test_a_run_keeps_where_it_came_from_and_its_config_repeats_it(tmp_path):
    stop = {"class_name": "EarlyStopping", "config": {"monitor": "loss", "patience": 0}}
    rate = {"class_name": "ExponentialDecay", "config": {}}
    rate["config"] = {"initial_learning_rate": 0.05, "decay_steps": 1, "decay_rate": 0.9}
    sections = {"training": {"epochs": 3, "learning_rate": rate, "callbacks": [stop]}}
    train.train(config.check({**BASE, **sections}, "x.yaml"), tmp_path / "first")
    facts = json.loads((tmp_path / "first/provenance.json").read_text())
    assert facts["versions"]["keras"] == keras.__version__
    assert facts["backend"] == keras.backend.backend()
    assert {"name", "platform", "cores"} <= facts["host"].keys()
    assert {"started", "command", "git"} <= facts.keys()
    train.train(config.load(tmp_path / "first/config.yaml"), tmp_path / "again")
    first, again = Run(tmp_path / "first"), Run(tmp_path / "again")
    assert first.steps == again.steps
    for step in first.steps:
        for name, snapshot in first.snapshot(step).items():
            np.testing.assert_array_equal(snapshot.basis, again.snapshot(step)[name].basis)


def test_the_last_snapshot_sees_what_callbacks_of_the_config_do_at_the_end(tmp_path, monkeypatch):
    (tmp_path / "raises_for_test.py").write_text(
        "import keras\n"
        "class Raise(keras.callbacks.Callback):\n"
        "    def on_train_end(self, logs=None):\n"
        "        bias = self.model.get_layer('logits').bias\n"
        "        bias.assign(bias + 5.0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sections = {"training": {"epochs": 1, "callbacks": ["raises_for_test:Raise"]}}
    train.train(config.check({**BASE, **sections}, "x.yaml"), tmp_path / "run")
    run = Run(tmp_path / "run")
    assert abs(run.snapshot(0)["logits"].mean).max() < 4
    assert (run.snapshot(run.steps[-1])["logits"].mean > 2).all()


def test_the_revision_is_that_of_the_directory_and_says_if_files_differ(tmp_path, monkeypatch):
    def git(*arguments):
        who = ["-c", "user.name=x", "-c", "user.email=x@y"]
        command = ["git", *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance("tensorflow")["git"] is None
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    assert provenance("tensorflow")["git"] == {
        "revision": git("rev-parse", "HEAD"),
        "changed": False,
    }
    (tmp_path / "new").touch()
    assert provenance("tensorflow")["git"]["changed"] is True
