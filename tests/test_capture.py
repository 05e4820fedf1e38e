"""Capture against the layers' own outputs, on the tensorflow backend."""

import keras
import numpy as np
import pytest
from keras import layers

from svcca_monitor import ProbeSet
from svcca_monitor.callbacks.capture import Capture
from svcca_monitor.callbacks.selection import computes, select

IMAGES = np.random.default_rng(0).normal(size=(50, 8, 8, 1)).astype(np.float32)
PROBE = ProbeSet(IMAGES)


def own_output(model, layer, x=IMAGES):
    return keras.Model(model.inputs, model.get_layer(layer).output).predict(x, verbose=0)


def test_matrices_are_the_layers_outputs_averaged_over_positions(small_net):
    model = small_net()
    captured = Capture(model, batch_size=16)(PROBE)
    assert list(captured) == ["conv", "bn", "pool", "hidden", "logits"]
    for name, matrix in captured.items():
        output = own_output(model, name)
        expected = output.mean(axis=(1, 2)) if output.ndim == 4 else output
        assert matrix.shape == expected.shape
        np.testing.assert_allclose(matrix, expected, atol=1e-6)


def test_flatten_keeps_every_position(small_net):
    model = small_net()
    captured = Capture(model, layers=["conv"], representation="flatten")(PROBE)
    np.testing.assert_allclose(
        captured["conv"], own_output(model, "conv").reshape(50, -1), atol=1e-6
    )


def test_a_callable_representation_runs_in_the_graph(small_net):
    model = small_net()
    capture = Capture(model, layers="conv", representation=lambda x: x[:, 2, 3, :])
    np.testing.assert_allclose(
        capture(PROBE)["conv"], own_output(model, "conv")[:, 2, 3], atol=1e-6
    )
    assert capture.layer_info[0].representation.startswith("callable:")


def test_weights_are_read_anew_at_each_call_of_the_one_trace(small_net):
    model = small_net()
    capture = Capture(model)
    before = capture(PROBE)["logits"]
    trace = capture._forward
    model.get_layer("logits").bias.assign_add(np.full(10, 0.5, np.float32))
    np.testing.assert_allclose(capture(PROBE)["logits"], before + 0.5, atol=1e-6)
    assert capture._forward is trace


def test_a_model_that_cannot_be_called_is_named():
    class Broken(layers.Layer):
        def call(self, x):
            if x.shape[0] is None:
                raise RuntimeError("cannot")
            return x

    model = keras.Sequential([Broken(name="broken"), layers.Dense(1)], name="net")
    model(np.ones((2, 3)))
    with pytest.raises(
        ValueError, match=r"(?s)'net' could not be called on the probe set .*cannot"
    ):
        Capture(model)(ProbeSet(np.ones((9, 3))))
    assert all("call" not in vars(layer) for layer in model.layers)


def test_nothing_is_left_on_the_layers(small_net):
    model = small_net()
    before = {layer.name: dict(vars(layer)) for layer in model.layers}
    Capture(model)(PROBE)
    for layer in model.layers:
        assert "call" not in vars(layer)
        assert set(vars(layer)) == set(before[layer.name])


def test_layers_are_given_back_when_the_trace_fails(small_net):
    model = small_net()

    def broken(x):
        raise RuntimeError("no")

    with pytest.raises(ValueError, match="broken' failed on layer 'conv', .*: no$"):
        Capture(model, representation=broken)(PROBE)
    assert all("call" not in vars(layer) for layer in model.layers)


def test_random_state_and_statistics_stay_as_they_are():
    class Noisy(layers.Layer):
        def __init__(self):
            super().__init__(name="noisy")
            self.seeds = keras.random.SeedGenerator(3)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    model = keras.Sequential([keras.Input((4,)), Noisy(), layers.Dense(3)])
    state = model.layers[0].seeds.state.numpy()
    Capture(model)(ProbeSet(np.ones((9, 4), np.float32)))
    np.testing.assert_array_equal(model.layers[0].seeds.state.numpy(), state)


def test_functional_models_with_branches_and_several_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((6,), name="b")
    left = layers.Dense(3, name="left")(a)
    right = layers.Dense(3, name="right")(b)
    out = layers.Dense(2, name="out")(layers.Add(name="sum")([left, right]))
    model = keras.Model({"a": a, "b": b}, out)
    rng = np.random.default_rng(0)
    x = {"a": rng.normal(size=(9, 4)), "b": rng.normal(size=(9, 6))}
    captured = Capture(model)(ProbeSet(x))
    assert list(captured) == ["left", "right", "sum", "out"]
    np.testing.assert_allclose(captured["sum"], captured["left"] + captured["right"], atol=1e-6)
    np.testing.assert_allclose(captured["out"], model.predict(x, verbose=0), atol=1e-5)


def test_a_shared_layer_is_seen_at_each_call_and_nested_layers_have_paths():
    encoder = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="proj")], name="encoder")
    shared = layers.Dense(5, name="shared")
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], layers.Dense(2, name="out")(shared(encoder(a)) - shared(b[:, :3])))
    x = list(np.random.default_rng(0).normal(size=(2, 9, 4)).astype(np.float32))
    captured = Capture(model)(ProbeSet(x))
    assert {"encoder/proj", "shared", "shared:1", "out"} <= set(captured)
    np.testing.assert_allclose(
        captured["encoder/proj"], encoder.predict(x[0], verbose=0), atol=1e-6
    )
    assert {info.name: info.depth for info in Capture(model).layer_info} == {}


def test_recurrent_layers_give_states_their_own_names():
    x = keras.Input((7, 3))
    sequence, *_ = layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(x)
    model = keras.Model(x, layers.Dense(2, name="out")(sequence))
    data = np.random.default_rng(0).normal(size=(9, 7, 3)).astype(np.float32)
    captured = Capture(model)(ProbeSet(data))
    assert list(captured) == ["lstm", "lstm.1", "lstm.2", "out"]
    assert all(matrix.shape == (9, 4) for name, matrix in captured.items() if name != "out")


def test_half_precision_is_averaged_in_single():
    model = keras.Sequential(
        [keras.Input((64, 64, 1)), layers.Conv2D(2, 1, dtype="mixed_float16", name="conv")]
    )
    bright = np.full((4, 64, 64, 1), 100.0, np.float32) * np.arange(1, 5).reshape(4, 1, 1, 1)
    matrix = Capture(model)(ProbeSet(bright))["conv"]
    assert matrix.dtype == np.float32
    assert np.isfinite(matrix).all()


def test_a_model_without_an_input_is_built_as_fit_would_have_built_it(tmp_path):
    from svcca_monitor import Run, SVCCAMonitor

    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)

    def trained(*callbacks):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [layers.Dense(3, name="a"), layers.Dropout(0.5), layers.Dense(1, name="b")]
        )
        model.compile("adam", "mse")
        model.fit(x, x[:, :1], verbose=0, epochs=2, callbacks=list(callbacks))
        return model.get_weights()

    plain, monitored = trained(), trained(SVCCAMonitor(x, tmp_path))
    assert Run(tmp_path).layers == ["a", "b"]
    for a, b in zip(plain, monitored, strict=True):
        np.testing.assert_array_equal(a, b)


def test_channels_first_layers_are_averaged_over_their_positions():
    layer = layers.GlobalAveragePooling2D(data_format="channels_first")
    from svcca_monitor.callbacks.forward import channels_axis

    assert channels_axis(layer, 4) == 1
    assert channels_axis(layers.BatchNormalization(axis=1), 4) == 1
    assert channels_axis(layers.BatchNormalization(), 4) == -1
    assert channels_axis(layers.Activation("relu"), 4) == -1


def test_a_probe_of_the_wrong_shape_is_refused_with_both_shapes(small_net):
    with pytest.raises(ValueError, match=r"\(None, 8, 8, 1\); the probe's are \(None, 9, 8, 1\)"):
        Capture(small_net())(ProbeSet(np.zeros((5, 9, 8, 1))))


def test_a_probe_of_words_for_numbers_is_refused_with_both_kinds(small_net):
    words = np.full((9, 8, 8, 1), "word")
    with pytest.raises(ValueError, match=r"takes float32, the probe's has dtype <U4"):
        Capture(small_net())(ProbeSet(words))


def test_inputs_may_be_given_by_name_or_without_a_last_axis_of_one():
    z, a = keras.Input((4,), name="z"), keras.Input((6,), name="a")
    both = layers.Concatenate(name="both")([z, a])
    model = keras.Model([z, a], layers.Dense(2, name="out")(both))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 4)), rng.normal(size=(9, 6))
    by_name = Capture(model)(ProbeSet({"a": y, "z": x}))
    np.testing.assert_allclose(by_name["both"], np.hstack([x, y]), atol=1e-6)
    single = keras.Sequential([keras.Input((1,)), layers.Dense(2, name="out")])
    assert Capture(single)(ProbeSet(x[:, 0]))["out"].shape == (9, 2)


def test_selection_by_name_glob_class_and_predicate(small_net):
    model = small_net()
    assert list(select(model, None)) == ["conv", "bn", "pool", "hidden", "logits"]
    assert list(select(model, "hidden")) == ["hidden"]
    assert list(select(model, ["logits", "c*"])) == ["conv", "logits"]
    assert list(select(model, layers.Dense)) == ["hidden", "logits"]
    assert list(select(model, lambda layer: layer.name == "drop")) == ["drop"]


def test_what_moves_its_input_about_does_not_compute():
    passive = [layers.Dropout(0.1), layers.Flatten(), layers.Reshape((2,)), layers.RandomFlip()]
    assert not any(computes(layer) for layer in passive)
    assert all(computes(layer) for layer in [layers.Dense(1), layers.Activation("relu")])


def test_an_unknown_layer_is_answered_with_the_nearest(small_net):
    with pytest.raises(
        ValueError,
        match="Layer 'hiden' not found in model 'small'. Did you mean 'hidden'. "
        "Layers that compute: conv, bn, pool, hidden, logits",
    ):
        select(small_net(), ["conv", "hiden"])
    with pytest.raises(ValueError, match="No layer of model 'small' matches LSTM"):
        select(small_net(), layers.LSTM)
    with pytest.raises(ValueError, match="`layers` is empty"):
        select(small_net(), [])
    with pytest.raises(TypeError, match="names, globs, layer classes"):
        select(small_net(), [3])


def test_a_representation_that_gives_no_matrix_is_refused(small_net):
    with pytest.raises(ValueError, match="Of layer 'conv' it gave shape"):
        Capture(small_net(), layers="conv", representation=lambda x: x)(PROBE)


def test_a_layer_with_two_paths_is_seen_once_a_call_under_its_first():
    shared = layers.Dense(4, name="shared")
    left = keras.Sequential([keras.Input((4,)), shared], name="left")
    right = keras.Sequential([keras.Input((4,)), shared], name="right")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1, name="out")(right(left(inputs))))
    captured = Capture(model)(ProbeSet(np.random.default_rng(0).normal(size=(9, 4))))
    assert list(captured) == ["left/shared", "left/shared:1", "out"]


def test_whole_numbers_are_no_activations():
    class Winner(layers.Layer):
        def call(self, x):
            return x, keras.ops.argmax(x, axis=-1, keepdims=True)

    x = keras.Input((4,))
    kept, _ = Winner(name="winner")(x)
    model = keras.Model(x, layers.Dense(2, name="out")(kept))
    captured = Capture(model)(ProbeSet(np.random.default_rng(0).normal(size=(9, 4))))
    assert list(captured) == ["winner", "out"]


def test_names_may_be_whatever_fit_takes():
    names = ["_hidden", "-x", ".out", "a>b"]
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=n) for n in names)])
    captured = Capture(model)(ProbeSet(np.random.default_rng(0).normal(size=(9, 4))))
    assert list(captured) == names


def test_a_layer_selects_itself(small_net):
    model = small_net()
    assert list(select(model, model.get_layer("hidden"))) == ["hidden"]
