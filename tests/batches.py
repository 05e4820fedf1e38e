"""Layers that come batch by batch, and what their whole gives."""

import itertools

import numpy as np
import oracle

from svcca_monitor import similarity_grid
from svcca_monitor.moments import SUFFICIENT, MinibatchCKA, Moments

AGREEMENT = 1e-9
# Options with which the whole and its batches are compared.
WHOLE = {name: {} for name in SUFFICIENT} | {
    "svcca": {"explained_variance": 0.9, "dims": 4},
    "pwcca": {"symmetric": True, "dims": 5},
}


def layers(n_samples=300, *, seed=0, dtype=np.float64):
    """Three layers, each made from the one before, of uneven variance and with offsets."""
    rng = np.random.default_rng(seed)
    last, made = rng.normal(size=(n_samples, 5)), {}
    for name, width in {"conv": 6, "dense": 9, "logits": 3}.items():
        last = last @ rng.normal(size=(last.shape[1], width)) + rng.normal(size=(n_samples, width))
        made[name] = (last * np.linspace(1, 2, width) + 3.0).astype(dtype)
    return made


def batches(whole, cuts):
    """The batches between the given rows."""
    bounds = [0, *sorted(cuts), len(next(iter(whole.values())))]
    for start, stop in itertools.pairwise(bounds):
        yield {name: x[start:stop] for name, x in whole.items()}


def gather(parts):
    moments = Moments()
    for part in parts:
        assert moments.update(part) is None
    return moments


def in_batches(whole, size=32):
    return gather(batches(whole, range(size, len(next(iter(whole.values()))), size)))


def products(x, y):
    """Σ (xᵢ - x̄)ᴴ (yᵢ - ȳ), number by number."""
    return np.array([[np.sum((a - a.mean()).conj() * (b - b.mean())) for b in y.T] for a in x.T])


def assert_equals_the_whole(moments, whole, tolerance=AGREEMENT):
    assert moments.n_samples == len(next(iter(whole.values())))
    for name, options in WHOLE.items():
        expected = similarity_grid(whole, measure=name, **options)
        got = moments.similarity_grid(list(whole), measure=name, **options)
        np.testing.assert_allclose(got, expected, atol=tolerance, err_msg=name)


def hsic(x, y):
    """HSIC₁ of Song et al. 2012 as it stands there, with the n × n matrices."""
    return oracle.hsic(x @ x.conj().T, y @ y.conj().T)


def cka(pairs, estimator=hsic):
    """The mean over batches, above and below."""
    xy, xx, yy = (
        np.mean([estimator(*(pair[i] for i in which)) for pair in pairs])
        for which in ((0, 1), (0, 0), (1, 1))
    )
    return xy / np.sqrt(xx * yy)


def pair(n_samples=96, n_x=6, n_y=4, *, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_samples, n_x)) * np.linspace(1, 2, n_x) + 3.0
    return x, np.tanh(x @ rng.normal(size=(n_x, n_y))) + rng.normal(size=(n_samples, n_y))


def stream(pairs):
    made = MinibatchCKA()
    for x, y in pairs:
        assert made.update({"x": x, "y": y}) is None
    return made


def split(x, y, size):
    cuts = range(size, len(x), size)
    return list(zip(np.split(x, cuts), np.split(y, cuts), strict=True))
