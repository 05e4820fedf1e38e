"""Layers of every kind that nets and users make, for property tests.

The same few examples each time; `PROPERTY_EXAMPLES=2000 pytest tests/test_properties.py` draws that
many others.
"""

import os
import warnings

import ml_dtypes
import numpy as np
import oracle
from hypothesis import settings
from hypothesis import strategies as st
from oracle import rotation

EXAMPLES = os.environ.get("PROPERTY_EXAMPLES")


def examples(count):
    """Settings for that many examples where none are asked for."""
    return settings(
        max_examples=int(EXAMPLES or count), derandomize=not EXAMPLES, deadline=None, database=None
    )


FLOATS = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.longdouble]
DTYPES = [*FLOATS, np.int64, np.int8, np.uint8, np.bool_, np.complex128, np.complex64]

# From normal numbers, and a generator for more of them.
KINDS = {
    "normal": lambda x, rng: x,
    "relu": lambda x, rng: np.maximum(x.real, 0),
    "whole": lambda x, rng: rng.integers(-2, 3, size=x.shape),
    "one-hot": lambda x, rng: np.eye(*x.shape)[rng.permutation(len(x))],
    "repeated rows": lambda x, rng: x[rng.integers(0, max(1, len(x) // 2), size=len(x))],
    "rank-deficient": lambda x, rng: (
        x[:, : x.shape[1] // 2 + 1] @ rng.normal(size=(x.shape[1] // 2 + 1, x.shape[1]))
    ),
    "ill-conditioned": lambda x, rng: (
        x * np.logspace(0, -rng.integers(1, 13), x.shape[1]) @ rotation(x.shape[1], rng)
    ),
    "far from zero": lambda x, rng: x + 10.0 ** rng.integers(1, 12),
    "tiny": lambda x, rng: x * 10.0 ** -rng.integers(10, 320),
    "huge": lambda x, rng: x * 10.0 ** rng.integers(10, 301),
}
# Kinds whose singular values are apart, so that cuts and ties leave nothing open.
GENERIC = ["normal", "rank-deficient"]

NEURONS = {
    "as they are": lambda x, rng: x,
    "one dead": lambda x, rng: x * (np.arange(x.shape[1]) != rng.integers(x.shape[1])),
    "one constant": lambda x, rng: np.where(
        np.arange(x.shape[1]) == rng.integers(x.shape[1]), rng.choice([0.1, -7.0]), x
    ),
    "all constant": lambda x, rng: np.broadcast_to(x[:1], x.shape),
    "duplicates": lambda x, rng: x[:, rng.integers(0, x.shape[1], size=x.shape[1] + 1)],
}

LAYOUTS = {"rows": np.ascontiguousarray} | oracle.LAYOUTS


def rounded(x, dtype):
    """`x` in the dtype, or as near as it reaches."""
    kind = "f" if dtype is ml_dtypes.bfloat16 else np.dtype(dtype).kind
    if kind == "c":
        largest = np.finfo(dtype).max / 4
        real, imag = (part.clip(-largest, largest) for part in (x.real, x.imag))
        return (real + 1j * imag).astype(dtype)
    if kind == "f":
        largest = ml_dtypes.finfo(dtype).max if dtype is not np.longdouble else 1e308
        return x.real.clip(-float(largest), float(largest)).astype(dtype)
    return (
        x.real > 0
        if kind == "b"
        else (3 * x.real).clip(0 if kind == "u" else -100, 100).astype(dtype)
    )


@st.composite
def layers(draw, n_samples, *, kinds=tuple(KINDS), dtypes=tuple(DTYPES), neurons=tuple(NEURONS)):
    """A layer of these many samples."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(dtypes))
    n_features = draw(st.integers(1, 6) | st.integers(1, n_samples + 4))
    x = rng.normal(size=(n_samples, n_features)) * np.linspace(1, 2, n_features)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.normal(size=x.shape)
    x = KINDS[draw(st.sampled_from(kinds))](x, rng)
    x = NEURONS[draw(st.sampled_from(neurons))](x, rng)
    x = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](rounded(x, dtype))
    x.flags.writeable = draw(st.booleans())
    return x


@st.composite
def pairs(draw, *, most=24, count=2, **options):
    """Layers of equally many samples."""
    n_samples = draw(st.integers(2, 8) | st.integers(2, most))
    return [draw(layers(n_samples, **options)) for _ in range(count)]


def generic(**options):
    """Layers of double precision of which each measure has one value only."""
    kept = tuple(kind for kind in NEURONS if kind != "all constant")
    return pairs(kinds=GENERIC, dtypes=(np.float64, np.complex128), neurons=kept, **options)


def answered(call, *arrays, **options):
    """What a call gives, and how the warnings begin; the arrays stay as they are."""
    before = [x.copy() for x in arrays]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = call(*arrays, **options)
    assert all(map(np.array_equal, arrays, before))
    assert all(w.category is UserWarning for w in caught), [str(w.message) for w in caught]
    return value, {str(w.message).partition(":")[0] for w in caught}


def double(x):
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def undefined(name, x):
    """Whether the equation of a measure is 0 / 0 for this layer and itself."""
    if name not in ("cka_debiased", "rsa"):
        return False
    centred = oracle.centred(double(x) / np.abs(double(x)).max())
    kernel = centred @ centred.conj().T / np.linalg.norm(centred, 2) ** 2
    if name == "cka_debiased":
        return len(x) < 4 or oracle.hsic(kernel, kernel) * len(x) * (len(x) - 3) < 1e-6
    return kernel[~np.eye(len(x), dtype=bool)].var() < 1e-6
