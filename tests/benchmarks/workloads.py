"""Seeded inputs of the benchmark: activations of ReLU networks on their way from start to end.

Every layer is float32 of shape (n_samples, n_features), or maps of shape (n_samples, height, width,
channels). Weights move from a random start to a fixed end, lower layers first, and are never
trained: the inputs have classes and a decaying spectrum, and the layers inherit both. Nothing
centres a layer before the next one, so that means grow and directions fade with depth: of 64 to 512
neurons 40 to 190 directions hold 99 % of the variance, fewest in the last layers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

WIDTHS = (64, 64, 128, 128, 192, 256, 256, 384, 384, 512, 512, 512, 384, 256, 192, 128)
CLASSES = 10
# Singular values fall as the rank to minus this: of inputs, weights, and of what wide layers read.
DECAY, READ_DECAY = 0.6, 0.9
# Of the weights beside independent ones; and the size of biases.
STRUCTURED, BIAS = 0.4, 0.1


@dataclass(frozen=True)
class DenseNet:
    """A net whose layers settle from the bottom up while `share` goes from 0 to 1.

    Attributes:
        widths: Of its layers.
        n_samples: Rows of every layer.
        n_inputs: Width of the input.
        seed: Of inputs and weights.
    """

    widths: Sequence[int]
    n_samples: int
    n_inputs: int = 192
    seed: int = 0

    def layers(self, share: float = 1.0) -> dict[str, np.ndarray]:
        """Activations of all layers when this share of the way is done."""
        rng = np.random.default_rng(self.seed)
        x = _inputs(rng, self.n_samples, self.n_inputs)
        out = {}
        for depth, width in enumerate(self.widths):
            # Half of the way for each layer, the lowest first.
            done = np.clip(2 * share - depth / max(len(self.widths) - 1, 1), 0.0, 1.0)
            start, end = (_weights(rng, x.shape[1], width) for _ in range(2))
            weights = np.float32(np.sqrt(1 - done)) * start + np.float32(np.sqrt(done)) * end
            x = _relu(_scaled(x @ weights) + _biases(rng, width))
            out[f"dense_{depth:02d}"] = x
        return out

    def snapshots(self, count: int) -> Iterator[dict[str, np.ndarray]]:
        """Activations at that many evenly spaced moments, all before the end."""
        return (self.layers(step / count) for step in range(count))


@dataclass(frozen=True)
class ConvNet:
    """3 × 3 convolutions in groups of equal size, each group on half of the pixels of the last.

    Attributes:
        maps: (layers, height, width, channels) of each group.
        n_samples: Images.
        seed: Of images and weights.
    """

    maps: Sequence[tuple[int, int, int, int]]
    n_samples: int
    seed: int = 0

    def layers(self) -> dict[str, np.ndarray]:
        """Maps of all layers."""
        rng = np.random.default_rng(self.seed)
        _, height, width, _ = self.maps[0]
        x = _images(rng, self.n_samples, height, width)
        out = {}
        for count, height, _, channels in self.maps:
            if x.shape[1] > height:
                x = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
            for _ in range(count):
                weights = _weights(rng, 9 * x.shape[3], channels).reshape(3, 3, -1, channels)
                x = _relu(_scaled(_convolved(x, weights)) + _biases(rng, channels))
                out[f"conv_{len(out)}"] = x
        return out


@dataclass(frozen=True)
class WideNet:
    """Layers of many features that are functions of the few of a dense net, as smooth maps are.

    Attributes:
        hidden: The dense net.
        width: Of each layer.
    """

    hidden: DenseNet
    width: int

    def layers(self) -> dict[str, np.ndarray]:
        """Activations of one wide layer on each of the net's."""
        rng = np.random.default_rng(self.hidden.seed + 1)
        out = {}
        for x in self.hidden.layers().values():
            directions, _, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
            directions *= np.arange(1, directions.shape[1] + 1, dtype=np.float32) ** -READ_DECAY
            read = rng.standard_normal((directions.shape[1], self.width), np.float32)
            out[f"wide_{len(out)}"] = _relu(_scaled(directions @ read) + np.float32(0.8))
        return out


W1 = DenseNet(WIDTHS, 2_000)
W3 = DenseNet((2_048,) * 8, 4_096, n_inputs=512, seed=3)
W4 = ConvNet([(3, 16, 16, 32), (3, 8, 8, 64)], 512, seed=4)
W5 = WideNet(DenseNet((400,) * 8, 2_000, n_inputs=256, seed=5), 20_000)
SNAPSHOTS, MIDDLE = 20, 0.5


def quick() -> dict[str, DenseNet | ConvNet | WideNet]:
    """The same, small enough for a smoke test."""
    return {
        "W1": replace(W1, widths=(16, 24, 32, 48, 32, 16), n_samples=300, n_inputs=32),
        "W3": replace(W3, widths=(128,) * 4, n_samples=300, n_inputs=64),
        "W4": replace(W4, maps=[(2, 8, 8, 8), (2, 4, 4, 12)], n_samples=128),
        "W5": WideNet(DenseNet((40,) * 4, 200, n_inputs=32), 1_024),
    }


def full() -> dict[str, DenseNet | ConvNet | WideNet]:
    return {"W1": W1, "W3": W3, "W4": W4, "W5": W5}


def _inputs(rng, n_samples, n_features):
    """Class means, and noise on directions of decaying variance, of unit variance each."""
    scale = np.arange(1, n_features + 1, dtype=np.float32) ** -DECAY
    scale /= np.sqrt(np.mean(scale**2))
    means = 0.7 * rng.standard_normal((CLASSES, n_features), np.float32)
    labels = rng.integers(0, CLASSES, n_samples)
    return rng.standard_normal((n_samples, n_features), np.float32) * scale + means[labels]


def _images(rng, n_samples, height, width):
    """Three channels of noise whose amplitudes fall with frequency, as in natural images."""
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    amplitude = np.maximum(np.hypot(fy, fx), 1 / width)[..., None] ** -1.5
    noise = rng.standard_normal((n_samples, height, width, 3), np.float32)
    spectrum = np.fft.rfft2(noise, axes=(1, 2)) * amplitude
    return np.fft.irfft2(spectrum, (height, width), axes=(1, 2)).astype(np.float32)


def _weights(rng, n_inputs, width):
    """Independent weights, and some of few directions that matter, as training leaves them."""
    rank = min(n_inputs, width)
    left, right = (np.linalg.qr(rng.standard_normal((n, rank)))[0] for n in (n_inputs, width))
    gains = np.arange(1, rank + 1) ** -DECAY
    structured = (left * (gains / np.linalg.norm(gains))) @ right.T
    independent = rng.standard_normal((n_inputs, width)) / np.sqrt(n_inputs * width)
    return (independent + STRUCTURED * structured).astype(np.float32)


def _biases(rng, width):
    return np.float32(BIAS) * rng.standard_normal(width, np.float32)


def _scaled(x):
    """Unit variance on the whole."""
    return x / x.std()


def _relu(x):
    return np.maximum(x, 0, dtype=np.float32)


def _convolved(x, weights, batch=250):
    """3 × 3 convolution with edges at zero, some images at a time."""
    _, height, width, _ = x.shape
    out = np.zeros((*x.shape[:3], weights.shape[3]), np.float32)
    for start in range(0, len(x), batch):
        padded = np.pad(x[start : start + batch], ((0, 0), (1, 1), (1, 1), (0, 0)))
        for dy in range(3):
            for dx in range(3):
                moved = padded[:, dy : dy + height, dx : dx + width]
                out[start : start + batch] += moved @ weights[dy, dx]
    return out
