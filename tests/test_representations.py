"""How outputs become matrices, inside the forward pass, against NumPy in the open."""

import keras
import numpy as np
import pytest
import zoo
from keras import layers

from svcca_monitor import ProbeSet, Run, SVCCAMonitor, activations, learning_dynamics
from svcca_monitor.activations import Flatten, Fourier, Sample
from svcca_monitor.callbacks import collections
from svcca_monitor.callbacks.capture import Capture
from svcca_monitor.callbacks.selection import select

RNG = np.random.default_rng(0)
MAPS = RNG.normal(size=(6, 4, 5, 3))
SEQUENCES = RNG.normal(size=(5, 7, 3))
MASK = np.arange(7) < np.array([7, 1, 4, 3, 0])[:, None]


def test_a_sample_is_of_the_same_relative_places_in_maps_of_any_size():
    places = np.indices((12, 12)).transpose(1, 2, 0)[None] / 12.0
    fine = activations.reduction("sample")(places)
    coarse = activations.reduction("sample")(places[:, ::4, ::4])  # 3 x 3 cells of a third each
    assert fine.shape == coarse.shape == (4, 2)
    assert np.floor(fine * 3 + 1e-9) / 3 == pytest.approx(coarse)


def test_a_sample_has_the_rows_of_an_example_one_after_another():
    rows = Sample(positions=7)(MAPS)
    assert rows.shape == (42, 3)
    places = [
        [tuple(np.argwhere((MAPS[n] == row).all(axis=-1))[0]) for row in rows[7 * n : 7 * n + 7]]
        for n in range(6)
    ]
    assert all(of_example == places[0] for of_example in places)
    np.testing.assert_array_equal(Sample(positions=2)(MAPS[:, 0, 0])[1::2], MAPS[:, 0, 0])
    assert not np.array_equal(rows, Sample(positions=7, seed=1)(MAPS))


def test_steps_that_are_masked_count_neither_in_means_nor_in_samples():
    poisoned = np.where(MASK[..., None], SEQUENCES, 1e6)
    mean = activations.mean(poisoned, mask=MASK)
    for n, length in enumerate((7, 1, 4, 3)):
        np.testing.assert_allclose(mean[n], SEQUENCES[n, :length].mean(axis=0))
    np.testing.assert_array_equal(mean[4], 0)
    sample = Sample(positions=20)(poisoned, mask=MASK).reshape(5, 20, 3)
    assert (sample[:4] < 1e6).all()
    assert (sample[1] == SEQUENCES[1, 0]).all()
    assert {tuple(row) for row in sample[3]} == {tuple(row) for row in SEQUENCES[3, :3]}
    np.testing.assert_array_equal(
        Sample()(SEQUENCES, mask=np.ones((5, 7), bool)), Sample()(SEQUENCES)
    )
    assert (activations.flatten(poisoned, mask=MASK) < 1e6).all()


def test_the_low_frequencies_hold_the_variance_of_the_map_without_the_high_ones():
    maps = MAPS[..., :1]
    block = Fourier(max_frequency=1)(maps)
    assert block.shape == (6, 9)
    spectrum = np.fft.fft2(maps[..., 0], norm="ortho")
    low = np.abs(np.fft.fftfreq(4, 1 / 4))[:, None] <= 1, np.abs(np.fft.fftfreq(5, 1 / 5)) <= 1
    np.testing.assert_allclose(
        (block**2).sum(axis=1),
        (np.abs(spectrum) ** 2 * low[0] * low[1]).sum(axis=(1, 2)),
        rtol=1e-5,
    )
    with pytest.raises(ValueError, match="maps .* and sequences"):
        Fourier()(MAPS[:, None])


@pytest.mark.parametrize("name", ["mean", "sample", "flatten", "fourier"])
@pytest.mark.parametrize(
    "kind", ["Sequential", "Embedding with a mask, through LSTM and attention"]
)
def test_what_runs_in_the_graph_is_what_numpy_gives(kind, name):
    model, x = zoo.MODELS[kind]()
    captured = Capture(model, representation=name, batch_size=25)(ProbeSet(x))
    mask = None if kind == "Sequential" else x != 0
    for layer in ("conv", "pool") if kind == "Sequential" else ("words", "lstm", "attention"):
        output = keras.Model(model.inputs, model.get_layer(layer).output)([x]).numpy()
        expected = activations.reduction(name)(output, mask=mask)
        np.testing.assert_allclose(captured[layer], expected, atol=1e-5, err_msg=layer)


def test_representations_by_layer_go_by_name_before_glob_and_mean_else(small_net):
    model = small_net()
    capture = Capture(
        model, representation={"*": "flatten", "conv": "fourier", "pool": lambda x: x[:, 0, 0]}
    )
    shapes = {k: m.shape for k, m in capture(ProbeSet(zoo.floats(8, 8, 1))).items()}
    assert shapes["conv"] == (zoo.N, 8 * 9)
    assert shapes["bn"] == (zoo.N, 8 * 8 * 8)
    assert shapes["pool"] == (zoo.N, 8)
    names = {info.name: info.representation for info in capture.layer_info}
    assert (names["conv"], names["bn"]) == ("fourier", "flatten")
    assert names["pool"].startswith("callable:")
    with pytest.raises(ValueError, match="'convv', which is none .* Did you mean 'conv'"):
        Capture(model, representation={"convv": "mean"})(ProbeSet(zoo.floats(8, 8, 1)))
    with pytest.raises(ValueError, match="Did you mean 'mean'"):
        Capture(model, representation={"conv": "meen"})


def test_a_sample_of_some_layers_only_is_refused(small_net):
    with pytest.raises(ValueError, match="'sample' gives several for an example"):
        Capture(small_net(), representation={"conv": "sample"})(ProbeSet(zoo.floats(8, 8, 1)))


def test_flattened_maps_beyond_the_bound_are_refused_with_an_estimate(small_net):
    large = Capture(small_net(), layers=["conv", "pool"], representation=Flatten(max_bytes=100_000))
    expected = rf"{zoo.N} examples of 2 layers take 0 MB .*'conv' of shape \(None, 8, 8, 8\)"
    with pytest.raises(ValueError, match=expected):
        large(ProbeSet(zoo.floats(8, 8, 1)))


def test_a_run_of_samples_can_be_read(small_net, digits, tmp_path):
    model = small_net()
    monitor = SVCCAMonitor(digits[2][:60], tmp_path, representation=Sample(positions=3))
    model.fit(digits[0][:100], digits[1][:100], epochs=1, verbose=0, callbacks=[monitor])
    run = Run(tmp_path)
    assert run.layer_info[0].representation == "Sample(positions=3, seed=0)"
    assert run.snapshot(1)["conv"].n_samples == 180
    assert np.isfinite(learning_dynamics(run)).all()


def test_collections_are_the_usual_sets():
    def chosen(kind, selection):
        keras.backend.clear_session()
        model, x = zoo.MODELS[kind]()
        model(x)
        return list(select(model, selection))

    nested, words = list(zoo.MODELS)[3], "Embedding with a mask, through LSTM and attention"
    assert chosen(nested, collections.blocks) == [
        "encoder", "encoder/block_1", "encoder/block_2"
    ]  # fmt: skip
    assert chosen(nested, collections.normalizations) == [f"encoder/block_{i}/norm" for i in (1, 2)]
    assert len(chosen(nested, collections.convolutions)) == 3
    assert chosen(nested, [collections.dense]) == ["head/hidden", "head/dense"]
    assert chosen(words, collections.embeddings) == ["words"]
    assert chosen(words, [collections.recurrent, collections.attention]) == ["lstm", "attention"]
    assert chosen(words, collections.trainable) == ["words", "lstm", "attention", "out"]
    assert chosen("TimeDistributed, ConvLSTM2D", collections.convolutions) == ["frames"]
    with pytest.raises(ValueError, match="matches convolutions"):
        chosen(words, collections.convolutions)


def test_parts_of_an_attention_are_there_by_name_and_a_glob_as_deep():
    model, x = zoo.MODELS["MultiHeadAttention, LayerNormalization"]()
    assert "attention/query" not in select(model, None)
    assert "attention/query" not in select(model, "*")
    captured = Capture(model, layers=["attention/q*", "attention/value"])(ProbeSet(x))
    assert list(captured) == ["attention/query", "attention/value"]


def test_what_is_called_within_a_loop_is_named_and_left_out():
    model, x = zoo.MODELS["RNN over cells, with states"]()
    inner = [path for path in select(model, ["stack/*", "stack/*/*"]) if "lstm" in path]
    with pytest.warns(UserWarning, match="lstm_cell.* .called only within a loop"):
        captured = Capture(model, layers=["out", *inner])(ProbeSet(x))
    assert list(captured) == ["out"]


def test_two_layers_of_one_name_in_a_block_have_two_paths():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = [layers.Dense(3, name="part") for _ in range(2)]

        def call(self, x):
            return self.parts[1](self.parts[0](x))

    assert list(Capture(Twice())(ProbeSet(zoo.floats(4)))) == ["part", "part_1"]
