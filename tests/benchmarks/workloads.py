"""Seeded inputs of the benchmark: activations of ReLU networks on their way from start to end.

Every layer is float32 of shape (n_samples, n_features), or maps of shape (n_samples, height, width,
channels). Weights move from a random start to a fixed end, lower layers first, and are never
trained: the inputs have classes and a decaying spectrum, and the layers inherit both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

WIDTHS = (64, 64, 128, 128, 192, 256, 256, 384, 384, 512, 512, 512, 384, 256, 192, 128)
CLASSES = 10
# Singular values of the weights fall as the rank to minus this.
DECAY = 0.5


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
    n_inputs: int = 128
    seed: int = 0

    def layers(self, share: float) -> dict[str, np.ndarray]:
        """Activations of all layers when this share of the way is done."""
        rng = np.random.default_rng(self.seed)
        x = _inputs(rng, self.n_samples, self.n_inputs)
        out = {}
        for depth, width in enumerate(self.widths):
            # Half of the way for each layer, the lowest first.
            done = np.clip(2 * share - depth / max(len(self.widths) - 1, 1), 0.0, 1.0)
            start, end = (_weights(rng, x.shape[1], width) for _ in range(2))
            weights = np.float32(np.sqrt(1 - done)) * start + np.float32(np.sqrt(done)) * end
            x = _relu(_settled(x) @ weights)
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
                x = _relu(_convolved(_settled(x), weights))
                out[f"conv_{len(out)}"] = x
        return out


W1 = DenseNet(WIDTHS, 2_000)
W3 = DenseNet((2_048,) * 8, 4_096, n_inputs=512, seed=3)
W4 = ConvNet([(3, 16, 16, 32), (3, 8, 8, 64)], 512, seed=4)
W5 = ConvNet([(8, 20, 20, 50)], 2_000, seed=5)
SNAPSHOTS, MIDDLE = 20, 0.5


def quick() -> dict[str, DenseNet | ConvNet]:
    """The same, small enough for a smoke test."""
    return {
        "W1": replace(W1, widths=(16, 24, 32, 48, 32, 16), n_samples=300, n_inputs=32),
        "W3": replace(W3, widths=(128,) * 4, n_samples=300, n_inputs=64),
        "W4": replace(W4, maps=[(2, 8, 8, 8), (2, 4, 4, 12)], n_samples=128),
        "W5": replace(W5, maps=[(4, 8, 8, 16)], n_samples=200),
    }


def full() -> dict[str, DenseNet | ConvNet]:
    return {"W1": W1, "W3": W3, "W4": W4, "W5": W5}


def flat(maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: x.reshape(len(x), -1) for name, x in maps.items()}


def _inputs(rng, n_samples, n_features):
    """Class means and noise, both on directions of decaying variance."""
    scale = np.arange(1, n_features + 1, dtype=np.float32) ** -0.5
    means = 1.5 * rng.standard_normal((CLASSES, n_features), np.float32)
    labels = rng.integers(0, CLASSES, n_samples)
    return (rng.standard_normal((n_samples, n_features), np.float32) + means[labels]) * scale


def _images(rng, n_samples, height, width):
    """Three channels of noise whose amplitudes fall with frequency, as in natural images."""
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    amplitude = np.maximum(np.hypot(fy, fx), 1 / width)[..., None] ** -1.5
    noise = rng.standard_normal((n_samples, height, width, 3), np.float32)
    spectrum = np.fft.rfft2(noise, axes=(1, 2)) * amplitude
    return np.fft.irfft2(spectrum, (height, width), axes=(1, 2)).astype(np.float32)


def _weights(rng, n_inputs, width):
    """Singular values fall as those of trained weights do: few directions matter."""
    rank = min(n_inputs, width)
    left, right = (rng.standard_normal((rank, n), np.float32) for n in (n_inputs, width))
    return (left.T * np.arange(1, rank + 1, dtype=np.float32) ** -DECAY) @ right


def _settled(x):
    """Centred, unit variance on the whole: what normalisation between layers sees to."""
    x = x - x.mean(axis=tuple(range(x.ndim - 1)))
    return x / np.sqrt(np.mean(x * x) * x.shape[-1])


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
