"""Models of every kind that Keras users train, each with a batch of inputs."""

import keras
import numpy as np
from keras import layers, ops

N = 61  # of which no batches of one size are made: the last is filled up on jax


def floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(N, *shape)).astype(np.float32)


def tokens(*, steps=9, seed=0):
    """Words 1 … 19, and 0 where a sentence has ended."""
    rng = np.random.default_rng(seed)
    words = rng.integers(1, 20, (N, steps))
    return np.where(np.arange(steps) < rng.integers(3, steps + 1, (N, 1)), words, 0)


class Block(layers.Layer):
    """A residual block: what it adds up is the output of none of its layers."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(width, 3, padding="same", name="conv")
        self.norm = layers.BatchNormalization(name="norm")

    def call(self, x):
        return ops.relu(x + self.norm(self.conv(x)))


class Encoder(keras.Model):
    """Blocks in a list, and a layer that is built at the first call."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stem = layers.Conv2D(6, 3, padding="same", name="stem")
        self.blocks = [Block(6, name=f"block_{i}") for i in (1, 2)]
        self.pool = layers.GlobalAveragePooling2D(name="pool")

    def call(self, x, training=None):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.pool(x)


class Nested(keras.Model):
    def __init__(self):
        super().__init__(name="nested")
        self.encoder = Encoder(name="encoder")
        self.head = keras.Sequential(
            [layers.Dense(8, "relu", name="hidden"), layers.Dropout(0.5), layers.Dense(4)],
            name="head",
        )

    def call(self, x):
        return self.head(self.encoder(x))


class Subclassed(keras.Model):
    """Has no weights before its first batch, noise at inference, and a layer it never calls."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.first = layers.Dense(8, name="first")
        self.norm = layers.BatchNormalization(name="norm")
        self.noise = layers.Dropout(0.2, seed=3, name="noise")
        self.last = layers.Dense(4, name="last")
        self.spare = layers.Dense(3, name="spare")

    def call(self, inputs):
        x = ops.tanh(self.norm(self.first(inputs["x"])))
        self.noise(x, training=True)
        return {"logits": self.last(ops.concatenate([x, inputs["y"]], axis=-1))}


class Placed(layers.Layer):
    """Words with their places, as in Keras' examples of transformers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.words = layers.Embedding(20, 6, name="words")
        self.places = layers.Embedding(9, 6, name="places")

    def call(self, x):
        return self.words(x) + self.places(ops.arange(9))


class Split(layers.Layer):
    """Two outputs of floats, and one of whole numbers."""

    def call(self, x):
        return {"low": x[:, :3], "high": x[:, 3:], "best": ops.argmax(x, -1, keepdims=True)}


def sequential():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(6, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(4, name="logits"),
        ]
    )
    return model, floats(8, 8, 1)


def functional():
    x = keras.Input((8,))
    left, right = layers.Dense(6, "relu", name="left")(x), layers.Dense(6, name="right")(x)
    total = layers.Add(name="sum")([left, right])
    return keras.Model(x, layers.Dense(4, name="out")(total)), floats(8)


def subclassed():
    return Subclassed(), {"x": floats(6), "y": floats(2, seed=1)}


def nested():
    return Nested(), floats(8, 8, 3)


def shared():
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    twin = layers.Dense(6, "tanh", name="twin")
    both = layers.Concatenate(name="both")([twin(a), twin(b)])
    model = keras.Model([a, b], layers.Dense(4, name="out")(both))
    return model, (floats(5), floats(5, seed=1))


def several_outputs():
    x = keras.Input((7,))
    parts = Split(name="split")(layers.Dense(6, name="first")(x))
    return keras.Model(x, [layers.Dense(4, name="out")(parts["high"]), parts["low"]]), floats(7)


def inputs_by_name():
    image, meta = keras.Input((6, 6, 1), name="image"), keras.Input((3,), name="meta")
    seen = layers.Flatten()(layers.Conv2D(4, 3, name="conv")(image))
    both = layers.Concatenate(name="both")([seen, meta])
    model = keras.Model({"image": image, "meta": meta}, layers.Dense(4, name="out")(both))
    return model, {"image": floats(6, 6, 1), "meta": floats(3, seed=1)}


def recurrent():
    x = keras.Input((9, 3))
    sequence, *states = layers.LSTM(5, return_sequences=True, return_state=True, name="lstm")(x)
    back = layers.Bidirectional(layers.GRU(4, return_sequences=True), name="both_ways")(sequence)
    last = layers.SimpleRNN(5, name="rnn")(back)
    model = keras.Model(x, layers.Dense(4, name="out")(last + states[0]))
    return model, floats(9, 3)


def own_cell():
    x = keras.Input((9, 3))
    stack = layers.RNN([layers.GRUCell(5), layers.LSTMCell(4)], return_state=True, name="stack")
    return keras.Model(x, layers.Dense(4, name="out")(stack(x)[0])), floats(9, 3)


def attention():
    x = keras.Input((9, 8))
    mixed = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    y = layers.LayerNormalization(name="norm")(layers.Add(name="residual")([x, mixed]))
    y = layers.GlobalAveragePooling1D(name="pool")(y)
    return keras.Model(x, layers.Dense(4, name="out")(y)), floats(9, 8)


def each_time_step():
    x = keras.Input((4, 6, 6, 1))
    frames = layers.TimeDistributed(layers.Conv2D(3, 3), name="frames")(x)
    film = layers.ConvLSTM2D(3, 2, name="film")(frames)
    return keras.Model(x, layers.Dense(4, name="out")(layers.Flatten()(film))), floats(4, 6, 6, 1)


def masked_words():
    x = keras.Input((9,), dtype="int32")
    y = layers.Embedding(20, 6, mask_zero=True, name="words")(x)
    y = layers.LSTM(5, return_sequences=True, name="lstm")(y)
    mixed = layers.MultiHeadAttention(2, 3, name="attention")(y, y)
    y = layers.GlobalAveragePooling1D(name="pool")(mixed)
    return keras.Model(x, layers.Dense(4, name="out")(y)), tokens()


def placed_words():
    x = keras.Input((9,), dtype="int32")
    y = Placed(name="input")(x)
    y = layers.MultiHeadAttention(2, 3, name="attention")(y, y)
    y = layers.GlobalAveragePooling1D(name="pool")(y)
    return keras.Model(x, layers.Dense(4, name="out")(y)), tokens()


def mixed_dtypes():
    x = keras.Input((6,))
    y = layers.Dense(6, "relu", dtype="float64", name="double")(x)
    y = layers.Dense(6, "relu", dtype="bfloat16", name="brief")(y)
    return keras.Model(x, layers.Dense(4, dtype="float32", name="out")(y)), floats(6)


def under(policy):
    def build():
        x = keras.Input((8, 8, 1))
        y = layers.Conv2D(6, 3, activation="relu", dtype=policy, name="conv")(x)
        y = layers.BatchNormalization(dtype=policy, name="bn")(y)
        y = layers.GlobalMaxPooling2D(dtype=policy, name="pool")(y)
        return keras.Model(x, layers.Dense(4, dtype="float32", name="out")(y)), floats(8, 8, 1)

    return build


MODELS = {
    "Sequential": sequential,
    "Functional, with branches": functional,
    "subclassed, not built, a layer never called, inputs in a dict": subclassed,
    "nested: models, blocks and lists of blocks": nested,
    "a shared layer, inputs in a tuple": shared,
    "layers with several outputs": several_outputs,
    "several inputs by name": inputs_by_name,
    "LSTM with states, Bidirectional GRU, SimpleRNN": recurrent,
    "RNN over cells, with states": own_cell,
    "MultiHeadAttention, LayerNormalization": attention,
    "TimeDistributed, ConvLSTM2D": each_time_step,
    "Embedding with a mask, through LSTM and attention": masked_words,
    "Embedding of words and of places, which are no examples": placed_words,
    "dtypes mixed: float64, bfloat16, float32": mixed_dtypes,
    "`mixed_float16`": under("mixed_float16"),
    "`mixed_bfloat16`": under("mixed_bfloat16"),
}
# What the layers of each give, in the order of their calls.
LAYERS = {
    "Sequential": "conv bn pool logits",
    "Functional, with branches": "left right sum out",
    "subclassed, not built, a layer never called, inputs in a dict": "first norm last",
    "nested: models, blocks and lists of blocks": (
        "encoder/stem encoder/block_1/conv encoder/block_1/norm encoder/block_1 "
        "encoder/block_2/conv encoder/block_2/norm encoder/block_2 encoder/pool head/hidden "
        "head/dense"
    ),
    "a shared layer, inputs in a tuple": "twin twin:1 both out",
    "layers with several outputs": "first split.high split.low out",
    "several inputs by name": "conv both out",
    "LSTM with states, Bidirectional GRU, SimpleRNN": "lstm lstm.1 lstm.2 both_ways rnn out",
    "RNN over cells, with states": "stack stack.1.0 stack.2.0 stack.2.1 out",
    "MultiHeadAttention, LayerNormalization": "attention residual norm pool out",
    "TimeDistributed, ConvLSTM2D": "frames film out",
    "Embedding with a mask, through LSTM and attention": "words lstm attention pool out",
    "Embedding of words and of places, which are no examples": (
        "input/words input attention pool out"
    ),
    "dtypes mixed: float64, bfloat16, float32": "double brief out",
    "`mixed_float16`": "conv bn pool out",
    "`mixed_bfloat16`": "conv bn pool out",
}

# What is said of those of which a layer cannot be watched.
LEFT_OUT = {
    "subclassed, not built, a layer never called, inputs in a dict": r"spare \(never called\)",
    "Embedding of words and of places, which are no examples": (
        r"input/places \(its rows are not the examples\)"
    ),
}

# How far outputs of up to 2 may be from what layer by layer gives. bfloat16 rounds these to 8e-3,
# and what a graph computes in one kernel, as on processors that know bfloat16, it rounds once less.
ROUNDED = {"dtypes mixed: float64, bfloat16, float32": 2e-3, "`mixed_bfloat16`": 2e-2}


def set_weights(model, seed):
    """The same numbers on every backend; random state and counters stay."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "float" not in keras.backend.standardize_dtype(variable.dtype):
            continue
        fan_in = max(1, int(np.prod(variable.shape[:-1])))
        values = rng.normal(size=variable.shape) / np.sqrt(fan_in)
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.path else values)
