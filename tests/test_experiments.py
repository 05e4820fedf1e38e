from pathlib import Path

import keras
import numpy as np
import pytest

from svcca_monitor import Run, convergence, pane
from svcca_monitor.experiments import config, data, models, train
from svcca_monitor.experiments.config import DataConfig, ModelConfig

CONFIGS = Path(__file__).parents[1] / "configs"


def test_digits_are_real_and_split_without_overlap(digits):
    x_train, y_train, x_test, y_test = digits
    assert x_train.shape == (1197, 8, 8, 1)
    assert x_test.shape == (600, 8, 8, 1)
    assert 0 == x_train.min() < x_train.max() == 1
    assert set(y_train) == set(y_test) == set(range(10))
    assert np.ptp(np.bincount(y_test)) <= 3


@pytest.fixture
def npz(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (60, 5, 5), dtype=np.uint8),
        "y_train": (np.arange(60) % 3)[:, None],
        "x_test": rng.integers(0, 256, (30, 5, 5), dtype=np.uint8),
        "y_test": np.arange(30) % 3,
    }
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz", arrays


def test_npz_images_are_scaled_and_get_a_channel(npz):
    path, arrays = npz
    loaded = data.load(DataConfig(name="npz", path=path), seed=0)
    np.testing.assert_allclose(loaded.x_train[..., 0], arrays["x_train"] / 255, rtol=1e-6)
    assert loaded.x_train.dtype == np.float32
    np.testing.assert_array_equal(loaded.y_train, np.arange(60) % 3)
    assert loaded.n_classes == 3


def test_a_path_stands_in_for_a_download(npz):
    loaded = data.load(DataConfig(name="cifar10", path=npz[0], train_size=12), seed=1)
    assert len(loaded.x_train) == 12
    assert loaded.class_names[3] == "cat"


def test_the_draw_is_a_matter_of_the_seed(npz):
    def drawn(seed):
        return data.load(DataConfig(name="npz", path=npz[0], train_size=20), seed=seed).x_train

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert not np.array_equal(drawn(1), drawn(2))


def test_a_file_of_objects_is_not_unpickled(tmp_path):
    arrays = {name: np.array([{}, []], dtype=object) for name in ("x_train", "y_train")}
    np.savez(tmp_path / "bad.npz", **arrays, x_test=np.ones(3), y_test=np.ones(3))
    with pytest.raises(ValueError, match="allow_pickle"):
        data.load(DataConfig(name="npz", path=tmp_path / "bad.npz"), seed=0)


def test_every_key_of_a_config_reaches_the_training(tmp_path, monkeypatch):
    (tmp_path / "kept_for_test.py").write_text(
        "from svcca_monitor.experiments.models import mlp\n"
        "built = []\n"
        "def net(input_shape, n_classes, **parameters):\n"
        "    built.append(mlp(input_shape, n_classes, **parameters))\n"
        "    return built[-1]\n"
    )
    monkeypatch.chdir(tmp_path)
    overrides = [
        *("model.name=kept_for_test:net", "model.parameters={units: [6], batch_norm: true}"),
        *("data.train_size=90", "data.test_size=70", "seed=3"),
        *("training.epochs=1", "training.batch_size=30", "training.optimizer=sgd"),
        *("training.learning_rate=0.25", "monitor.probe_size=50", "monitor.layers=fc1"),
        *("monitor.measure=cca", "monitor.explained_variance=0.8", "monitor.snapshot_freq=2"),
        "monitor.representation=flatten",
    ]
    settings = config.load(CONFIGS / "digits.yaml", overrides)
    reports = []
    train.train(settings, tmp_path / "logs", report=reports.append)
    import kept_for_test

    [model] = kept_for_test.built
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert float(model.optimizer.learning_rate) == 0.25
    run = Run(tmp_path / "logs")
    assert run.steps == [0, 2, 3]
    assert run.layers == ["fc1"]
    assert run.layer_info[0].representation == "flatten"
    assert run.facts["n_samples"] == 50
    assert run.facts["measure"] == "cca"
    assert run.facts["measure_options"] == {"explained_variance": 0.8}
    assert [r.epochs_done for r in reports] == pytest.approx([1 / 3, 2 / 3, 1.0, 1.0])
    assert [r.epoch_ended for r in reports] == [False, False, False, True]


def test_lists_and_dicts_of_a_config_reach_the_monitor(tmp_path):
    def monitored(name, *overrides):
        settings = config.load(
            CONFIGS / "digits.yaml",
            [
                *("model.name=mlp", "model.parameters={units: [6, 5]}", "data.train_size=96"),
                *("training.epochs=2", "training.batch_size=8", "monitor.probe_size=60"),
                *overrides,
            ],
        )
        train.train(settings, tmp_path / name)
        return Run(tmp_path / name)

    listed = monitored("listed", "monitor.snapshot_freq=[2, 9]", "monitor.store={dims: 2}")
    assert listed.steps == [0, 2, 9, 24]
    assert all(s.basis.shape[1] <= 2 for s in listed.snapshot(9).values())
    spaced = monitored(
        "spaced",
        "monitor.snapshot_freq={log_spaced: 2}",
        "monitor.representation={'fc*': flatten}",
    )
    assert spaced.steps == [0, 1, 3, 10, 24]
    assert [info.representation for info in spaced.layer_info] == ["flatten", "flatten", "mean"]
    with pytest.warns(UserWarning, match="leaves out snapshots .* max_overhead=1e-09"):
        sparse = monitored("sparse", "monitor.max_overhead=1.0e-9", "monitor.snapshot_freq=4")
    assert len(sparse.steps) < 7
    with pytest.raises(ValueError, match="'fc9', which is none of the monitored layers"):
        monitored("wrong", "monitor.representation={fc9: flatten}")


def test_data_that_cannot_be_had_is_explained(npz, tmp_path, monkeypatch):
    path, arrays = npz
    with pytest.raises(ValueError, match="Unknown data 'digit'. Did you mean 'digits'"):
        data.load(DataConfig(name="digit"), seed=0)
    with pytest.raises(ValueError, match="npz needs a file: --set data.path"):
        data.load(DataConfig(name="npz"), seed=0)
    with pytest.raises(ValueError, match="gone.npz does not exist"):
        data.load(DataConfig(name="npz", path=tmp_path / "gone.npz"), seed=0)
    with pytest.raises(ValueError, match="train_size is 61, but there are only 60"):
        data.load(DataConfig(name="npz", path=path, train_size=61), seed=0)
    np.savez(tmp_path / "part.npz", x_train=arrays["x_train"])
    with pytest.raises(ValueError, match=r"lacks y_train, x_test, y_test.*it holds: x_train"):
        data.load(DataConfig(name="npz", path=tmp_path / "part.npz"), seed=0)

    def offline():
        raise OSError("no network")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", offline)
    with pytest.raises(RuntimeError, match="keras.datasets: no network. Without a network, pass"):
        data.load(DataConfig(name="mnist"), seed=0)


def test_user_functions_serve_as_data_and_model(tmp_path, monkeypatch):
    (tmp_path / "mine_for_test.py").write_text(
        "import numpy as np, keras\n"
        "def points():\n"
        "    x = np.arange(40.0).reshape(20, 2)\n"
        "    return x, np.arange(20) % 2, x[:6], np.arange(6) % 2\n"
        "def net(input_shape, n_classes, *, width=3):\n"
        "    return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(width),\n"
        "                             keras.layers.Dense(n_classes)])\n"
    )
    monkeypatch.chdir(tmp_path)
    loaded = data.load(DataConfig(name="mine_for_test:points"), seed=0)
    assert loaded.x_train.shape == (20, 2)
    settings = ModelConfig(name="mine_for_test:net", parameters={"width": 7})
    assert models.build(settings, (2,), 2).layers[0].units == 7
    with pytest.raises(
        ValueError, match=r"model.name: cannot import 'mine_for_test:nett' .*PYTHONPATH"
    ):
        models.build(ModelConfig(name="mine_for_test:nett"), (2,), 2)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("None", "must give x_train, y_train, x_test, y_test. Received: a NoneType"),
        ("(x, y, x)", "Received: a tuple of 3"),
        ("(x, y[:3], x, y)", r"label for each example. .*x_train of shape \(4, 2\) .*\(3,\)"),
        ("(x, y, x[:0], y[:0])", r"Received: x_test of shape \(0, 2\)"),
        ("(x, y + 0.5, x, y)", "y_train must be class indices, .* float64 such as \\[0.5"),
        ("(x, y, x, y - 1)", "y_test must be class indices, .* int64 such as \\[-1"),
        ("(x, np.array(list('abcd')), x, y)", "y_train must be class indices"),
    ],
)
def test_functions_that_give_no_data_are_told_what_to_give(source, message, tmp_path, monkeypatch):
    module = f"odd_{abs(hash(source))}"
    (tmp_path / f"{module}.py").write_text(
        "import numpy as np\nx, y = np.ones((4, 2)), np.arange(4)\n"
        f"def points():\n    return {source}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=f"data.name: '{module}:points'.*{message}"):
        data.load(DataConfig(name=f"{module}:points"), seed=0)


def test_a_function_that_gives_no_model_is_told_what_to_give():
    with pytest.raises(ValueError, match="'builtins:print' must give a keras.Model. .* NoneType"):
        models.build(ModelConfig(name="builtins:print"), (2,), 2)


def test_data_take_the_parameters_of_a_config(tmp_path, monkeypatch):
    (tmp_path / "line_for_test.py").write_text(
        "import numpy as np\n"
        "def line(n=4, *, shift=0.0):\n"
        "    x = np.arange(2.0 * n).reshape(n, 2) + shift\n"
        "    return x, np.arange(n) % 2, x[:2], np.arange(2)\n"
    )
    monkeypatch.chdir(tmp_path)

    def loaded(name="line_for_test:line", **parameters):
        return data.load(DataConfig(name=name, parameters=parameters), seed=0)

    assert loaded(n=6, shift=2.0).x_train[:, 0].tolist() == [2, 4, 6, 8, 10, 12]
    with pytest.raises(ValueError, match="'shft' of data .* Did you mean 'shift'"):
        loaded(shft=1)
    with pytest.raises(ValueError, match="Unknown parameter 'n' of data 'digits'. It takes none"):
        loaded("digits", n=3)


def test_the_conv_net_is_that_of_the_paper():
    model = models.build(ModelConfig(name="convnet"), (32, 32, 3), 10)
    names = [layer.name for layer in model.layers if layer.name != "flatten"]
    assert names == "c1 c2 bn1 p1 c3 c4 c5 bn2 p2 fc1 bn3 fc2 bn4 logits".split()
    filters = [model.get_layer(f"c{i}").filters for i in range(1, 6)]
    assert filters == [32, 32, 64, 64, 64]
    without = models.build(
        ModelConfig(name="convnet", parameters={"batch_norm": False}), (32, 32, 3), 10
    )
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in without.layers)


def test_unknown_models_and_parameters_are_refused():
    with pytest.raises(ValueError, match="Unknown model 'covnet'. Did you mean 'convnet'"):
        models.build(ModelConfig(name="covnet"), (8, 8, 1), 10)
    with pytest.raises(ValueError, match="Unknown parameter 'filter' of model 'convnet'. Did you"):
        models.build(ModelConfig(name="convnet", parameters={"filter": [1]}), (8, 8, 1), 10)
    with pytest.raises(ValueError, match="five filters and two units"):
        models.convnet((8, 8, 1), 10, filters=[1])
    assert models.build(ModelConfig(name="mlp"), (8, 8, 1), 10).layers[-1].units == 10


def test_a_training_leaves_a_run_with_its_config(trained):
    log_dir, logs = trained
    run = Run(log_dir)
    assert run.steps == list(range(7))
    assert logs["val_accuracy"] > 0.9
    assert config.load(log_dir / "config.yaml").training.epochs == 6
    assert run.facts["class_names"] == [str(d) for d in range(10)]


def test_layers_of_a_real_net_converge_from_the_bottom_up(trained):
    run = Run(trained[0])
    settled = convergence(run)
    assert float(settled["bottom_up_index"]) <= -0.7
    blocks = pane(run, "final")
    for layer, norm in (("c2", "bn1"), ("c5", "bn2"), ("fc1", "bn3"), ("fc2", "bn4")):
        assert float(blocks.sel(layer=layer, reference_layer=norm)) >= 0.9


def test_the_same_config_gives_the_same_run(tmp_path, trained):
    settings = config.load(trained[0] / "config.yaml", ["training.epochs=1"])
    train.train(settings, tmp_path / "again")
    again, first = Run(tmp_path / "again"), Run(trained[0])
    assert again.probe_fingerprint == first.probe_fingerprint
    for name in again.layers:
        np.testing.assert_array_equal(again.snapshot(1)[name].basis, first.snapshot(1)[name].basis)


def test_a_place_with_a_run_is_refused(trained):
    before = {p: p.read_bytes() for p in trained[0].rglob("*") if p.is_file()}
    with pytest.raises(FileExistsError, match="holds a run already. Choose another --log-dir"):
        train.train(config.load(trained[0] / "config.yaml"), trained[0])
    assert {p: p.read_bytes() for p in trained[0].rglob("*") if p.is_file()} == before
