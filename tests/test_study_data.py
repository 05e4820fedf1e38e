"""Data of the studies: random labels, seeds of the draw, and text."""

import numpy as np
import pytest

from svcca_monitor import Run
from svcca_monitor.experiments import config, data, train
from svcca_monitor.experiments.config import Config, DataConfig
from svcca_monitor.experiments.text import characters

DIGITS = {"name": "digits", "train_size": 300, "test_size": 100}


def loaded(*, experiment_seed=0, **settings):
    return data.load(DataConfig(**{**DIGITS, **settings}), seed=experiment_seed)


def test_random_labels_are_those_of_their_own_seed_and_only_in_training():
    true, shuffled = loaded(), loaded(random_labels=3)
    np.testing.assert_array_equal(shuffled.x_train, true.x_train)
    np.testing.assert_array_equal(shuffled.y_test, true.y_test)
    np.testing.assert_array_equal(np.bincount(shuffled.y_train), np.bincount(true.y_train))
    assert (shuffled.y_train == true.y_train).mean() < 0.2
    np.testing.assert_array_equal(loaded(random_labels=3).y_train, shuffled.y_train)
    assert (loaded(random_labels=4).y_train == shuffled.y_train).mean() < 0.2


def test_a_seed_of_the_data_draws_the_same_examples_whatever_the_seed_of_the_experiment():
    def drawn(experiment_seed, **settings):
        return loaded(experiment_seed=experiment_seed, **settings).x_train

    np.testing.assert_array_equal(drawn(1, seed=5), drawn(2, seed=5))
    assert not np.array_equal(drawn(1), drawn(2))


def test_runs_of_several_seeds_share_a_probe_set_where_the_data_has_a_seed(tmp_path):
    def trained(name, seed, data_seed):
        settings = {
            "seed": seed,
            "data": {**DIGITS, "seed": data_seed},
            "model": {"name": "mlp", "parameters": {"units": [4]}},
            "training": {"epochs": 1},
            "monitor": {"probe_size": 50},
        }
        train.train(Config.model_validate(settings), tmp_path / name)
        return Run(tmp_path / name)

    first, second, other = trained("a", 1, 0), trained("b", 2, 0), trained("c", 2, None)
    assert first.probe_fingerprint == second.probe_fingerprint != other.probe_fingerprint
    assert not np.array_equal(first.snapshot(0)["fc1"].basis, second.snapshot(0)["fc1"].basis)


@pytest.fixture
def novel(tmp_path):
    path = tmp_path / "novel.txt"
    path.write_text("It is a truth, universally acknowledged — é. " * 300, encoding="utf-8")
    return path


def test_each_character_of_a_text_predicts_the_next(novel):
    text = novel.read_text("utf-8")
    vocabulary = sorted(set(text))
    x_train, y_train, x_test, y_test = characters(novel, length=10)
    assert len(x_train) + len(x_test) == (len(text) - 1) // 10
    assert len(x_test) == round(0.1 * ((len(text) - 1) // 10))

    def read(rows):
        return "".join(vocabulary[i] for i in rows.ravel())

    everything = np.concatenate([x_train, x_test]).ravel()
    assert read(everything) == text[: len(everything)]
    following = np.concatenate([y_train, y_test]).ravel()
    assert read(following) == text[1 : len(everything) + 1]


def test_a_language_model_trains_on_a_text_and_its_time_steps_are_samples(novel, tmp_path):
    settings = {
        "data": {"name": "text", "path": novel, "train_size": 20},
        "model": {"name": "lstm", "parameters": {"embedding": 4, "units": [6, 5]}},
        "training": {"epochs": 1, "batch_size": 10},
        "monitor": {"probe_size": 18, "representation": "sample"},
    }
    logs = train.train(config.Config.model_validate(settings), tmp_path / "run")
    assert 0 < logs["accuracy"] < 1
    run = Run(tmp_path / "run")
    assert run.layers == ["embedding", "lstm1", "lstm2", "logits"]
    assert run.snapshot(1)["lstm1"].n_samples == 18 * 4  # four time steps of each sequence
    read = data.load(settings_of(novel), seed=0)
    np.testing.assert_array_equal(read.test_classes, read.y_test[:, -1])


def settings_of(path):
    return DataConfig(name="text", path=path)


def test_a_text_that_cannot_be_used_is_explained(tmp_path, novel):
    with pytest.raises(ValueError, match="text needs a text file: --set data.path"):
        data.load(DataConfig(name="text"), seed=0)
    with pytest.raises(ValueError, match="cannot read .*gone.txt: No such file"):
        data.load(settings_of(tmp_path / "gone.txt"), seed=0)
    (tmp_path / "image.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match="image.txt is no text in UTF-8"):
        data.load(settings_of(tmp_path / "image.txt"), seed=0)
    (tmp_path / "short.txt").write_text("short")
    with pytest.raises(ValueError, match="5 characters. For sequences of 64, at least 257"):
        data.load(settings_of(tmp_path / "short.txt"), seed=0)
