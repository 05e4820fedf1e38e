"""Data and a trained run that many tests look at."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Threads of one small product wait for each other where other work keeps the cores busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from browser import chromium

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium of one file of tests: later, its event loop would be in the way."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def digits():
    """Handwritten digits: (x_train, y_train, x_test, y_test) in [0, 1], shape (n, 8, 8, 1)."""
    from svcca_monitor.experiments.data import digits

    return digits()


@pytest.fixture
def small_net():
    """Makes the same small convolutional net whenever it is called."""

    def make(seed=0, *, dropout=True):
        import keras
        from keras import layers

        keras.utils.set_random_seed(seed)
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(8, 3, activation="relu", padding="same", name="conv"),
                layers.BatchNormalization(name="bn"),
                layers.MaxPooling2D(name="pool"),
                layers.Flatten(name="flat"),
                layers.Dense(16, activation="relu", name="hidden"),
                layers.Dropout(0.3 if dropout else 0.0, name="drop"),
                layers.Dense(10, name="logits"),
            ],
            name="small",
        )
        model.compile(
            "adam",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    return make


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Log directory and training logs of the built-in net, trained on digits for six epochs."""
    from svcca_monitor.experiments import config, train

    log_dir = tmp_path_factory.mktemp("trained") / "digits"
    settings = config.load(PROJECT / "configs/digits.yaml", ["training.epochs=6"])
    logs = train.train(settings, log_dir)
    return log_dir, logs


@pytest.fixture
def made_run(tmp_path):
    """Writes a run with no framework: layer `low` settles at once, `high` at the very end."""
    from svcca_monitor import LayerInfo, ProbeSet, Run, Subspace

    def make(log_dir=tmp_path / "made", *, steps=(0, 1, 2, 3, 4)):
        rng = np.random.default_rng(0)
        probe = ProbeSet(rng.normal(size=(200, 3)), np.arange(200) % 4)
        infos = [
            LayerInfo(name, "Dense", depth, (None, 6), "mean")
            for depth, name in enumerate(("low", "mid", "high"))
        ]
        run = Run.create(log_dir, infos, probe, measure="svcca")
        start, end = rng.normal(size=(2, 3, 200, 6))
        for step in steps:
            share = step / steps[-1]
            for_layer = [min(1.0, 10 * share), share, share**4]
            layers = {
                info.name: Subspace.from_activations(
                    np.sqrt(1 - f) * start[info.depth] + np.sqrt(f) * end[info.depth]
                )
                for info, f in zip(infos, for_layer, strict=True)
            }
            run.write_snapshot(step, layers, epoch=step, logs={"loss": 1.0 - share})
        return run

    return make


@pytest.fixture
def probe(digits):
    """A hundred test digits."""
    from svcca_monitor import ProbeSet

    return ProbeSet.sample(digits[2], digits[3], size=100)


@pytest.fixture
def fit(small_net, digits):
    """Trains the small net on ten batches of digits an epoch; returns it and its history."""

    def run(*callbacks, model=None, epochs=3, **options):
        model = model or small_net()
        history = model.fit(
            digits[0][:320],
            digits[1][:320],
            batch_size=32,
            epochs=epochs,
            verbose=0,
            callbacks=list(callbacks),
            **options,
        )
        return model, history

    return run


@pytest.fixture
def fails_before_the_first_step(fit):
    """Asserts that a fit with a monitor raises before it trains."""
    import keras

    def check(monitor, error, match):
        started = []
        watch = keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs: started.append(batch)
        )
        with pytest.raises(error, match=match):
            fit(monitor, watch)
        assert started == []

    return check
