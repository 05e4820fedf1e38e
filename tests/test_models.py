"""The built-in nets of the studies: what they are made of, and what their options change."""

import keras
import numpy as np
import pytest

from svcca_monitor.experiments import models
from svcca_monitor.experiments.config import ModelConfig


def built(name, shape, n_classes=10, **parameters):
    return models.build(ModelConfig(name=name, parameters=parameters), shape, n_classes)


def names(model, kind):
    return [layer.name for layer in model.layers if isinstance(layer, kind)]


def test_a_wider_conv_net_has_every_layer_wider():
    half, double = (built("convnet", (8, 8, 1), width=w) for w in (0.5, 2))
    for name, units in {"c1": 32, "c5": 64, "fc1": 128, "fc2": 64}.items():
        assert half.get_layer(name).output.shape[-1] == units // 2
        assert double.get_layer(name).output.shape[-1] == units * 2
    assert built("convnet", (8, 8, 1), width=0.001).get_layer("c1").filters == 1
    with pytest.raises(ValueError, match="`width` multiplies filters and units. Received: width=0"):
        models.convnet((8, 8, 1), 10, width=0)


def test_a_residual_net_has_three_stages_of_blocks_that_halve_the_map():
    model = built("resnet", (16, 16, 3), blocks=2, filters=[4, 8, 16])
    ends = [model.get_layer(f"s{stage}b2_residual").output.shape for stage in (1, 2, 3)]
    assert ends == [(None, 16, 16, 4), (None, 8, 8, 8), (None, 4, 4, 16)]
    assert sum(name.endswith(("conv1", "conv2")) for name in names(model, keras.Layer)) == 12
    assert len(names(model, keras.layers.Add)) == 6
    assert [n for n in names(model, keras.layers.Conv2D) if "shortcut" in n] == [
        "s2b1_shortcut_conv",
        "s3b1_shortcut_conv",
    ]


def test_a_block_of_a_residual_net_adds_its_input_to_its_output():
    model = built("resnet", (8, 8, 3), blocks=1, filters=[4])
    part = keras.Model(
        model.input, [model.get_layer(n).output for n in ("relu0", "s1b1_bn2", "s1b1_residual")]
    )
    before, change, after = part(np.random.default_rng(0).normal(size=(5, 8, 8, 3)))
    np.testing.assert_allclose(after, np.maximum(np.add(before, change), 0), rtol=1e-6)


def test_without_skips_the_same_convolutions_and_nodes_are_left():
    parameters = {"blocks": 2, "filters": [4, 8]}
    skips, plain = (built("resnet", (8, 8, 3), skips=s, **parameters) for s in (True, False))
    gone = set(names(skips, keras.Layer)) - set(names(plain, keras.Layer))
    assert gone - set(names(skips, keras.layers.Add)) == {
        "s2b1_shortcut_conv",
        "s2b1_shortcut_bn",
    } | set(names(skips, keras.layers.InputLayer))
    assert not names(plain, keras.layers.Add)
    part = keras.Model(
        plain.input, [plain.get_layer(n).output for n in ("s1b1_bn2", "s1b1_residual")]
    )
    change, after = part(np.random.default_rng(0).normal(size=(5, 8, 8, 3)))
    np.testing.assert_allclose(after, np.maximum(change, 0), rtol=1e-6)
    with pytest.raises(ValueError, match="at least one block a stage.*blocks=0"):
        models.resnet((8, 8, 3), 10, blocks=0)


def test_a_language_model_predicts_each_step_from_the_steps_before_it():
    model = built("lstm", (6,), 7, embedding=3, units=[4, 5])
    layers = [layer.name for layer in model.layers if layer.name != "input_layer"]
    assert layers == ["embedding", "lstm1", "lstm2", "logits"]
    x = np.random.default_rng(0).integers(7, size=(2, 6))
    later = x.copy()
    later[:, 4] = (later[:, 4] + 1) % 7
    before, after = np.asarray(model(x)), np.asarray(model(later))
    assert before.shape == (2, 6, 7)
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert np.abs(before[:, 4:] - after[:, 4:]).min(axis=2).max() > 0
    with pytest.raises(ValueError, match=r"sequences of class indices.*\(8, 8, 1\)"):
        built("lstm", (8, 8, 1))
