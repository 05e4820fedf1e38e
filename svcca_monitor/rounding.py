"""What numbers stored in some precision can tell: their rounding, and input that is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

# Rounding to a dtype adds noise of some 0.3 eps |x| to each number x, hence of spectral norm about
# 0.3 eps ‖X‖_F (1/√n + 1/√p), or 0.3 eps ‖x‖ if one column outweighs the others. Activations went
# through some more operations: singular values below this many times eps are taken for noise.
ROUNDINGS = 4.0
ROUNDINGS_OF_A_COLUMN = 1.0
EPS64 = float(np.finfo(np.float64).eps)
# Activations of this precision or less hold nothing that their Gram matrix in double would lose.
SINGLE = float(np.finfo(np.float32).eps)
# NumPy has no finfo for the bfloat16 of ml_dtypes: 8 bits of significand.
BFLOAT16_EPS = 2.0**-7
# Sums over samples and features of larger numbers leave double precision, and so do the reciprocals
# of smaller ones: a layer or direction of no more than that counts as constant.
LARGEST, SMALLEST = 1e302, 1e-302
# Columns in one block of a wide layer: blocks bound the memory beside the layer itself.
BLOCK = 512


def rounding_noise(x: Array, eps: float) -> float:
    """Below this a singular value cannot be told from the rounding of what was stored."""
    return noise_of_columns(column_norms(x), len(x), eps)


def noise_of_columns(norms: Array, n_samples: int, eps: float) -> float:
    """The same from the norms of the columns as they were stored."""
    largest = float(norms.max())
    if not largest:
        return 0.0
    # Relative to the largest, as squares of huge or tiny numbers would leave the range.
    spread = float(np.linalg.norm(norms / largest)) * (n_samples**-0.5 + len(norms) ** -0.5)
    return eps * max(ROUNDINGS * spread, ROUNDINGS_OF_A_COLUMN) * largest


def scaled_noise(norms: Array, n_samples: int, eps: float) -> float:
    """The same of columns that are scaled to a norm of 1 each.

    Each number was rounded by its own size when it was stored, but came of sums that were rounded
    before, in single precision for activations in less: by a part of the largest column at worst.
    """
    summed = (SINGLE if eps >= SINGLE else EPS64) * float(norms.max())
    return noise_of_columns(1.0 + summed / eps / norms, n_samples, eps)


def column_norms(x: Array) -> Array:
    """Norms of the columns as they were stored, in double precision."""
    largest = max(map(_largest, blocks(x))) or 1.0
    norms = [np.linalg.norm(block / np.float64(largest), axis=0) for block in blocks(x)]
    return np.concatenate(norms).astype(np.float64) * largest


def _largest(block: Array) -> float:
    """Of the real and imaginary parts: the absolute value of a complex number may overflow."""
    parts = (block.real, block.imag) if block.dtype.kind == "c" else (block,)
    return float(np.max([(float(part.max()), -float(part.min())) for part in parts]))  # or nan


def blocks(x: Array) -> Iterator[Array]:
    """Some columns at a time."""
    return (x[:, start : start + BLOCK] for start in range(0, x.shape[1], BLOCK))


def centre(x: Array) -> tuple[Array, Array]:
    """Centred columns in double precision, and their means."""
    matrix = x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
    if x.dtype.kind != "c" and x.dtype.itemsize < matrix.dtype.itemsize:
        mean = matrix.mean(axis=0)  # exact where all of a column are alike
        matrix -= mean
        return matrix, mean
    # The mean of a constant column is rounded, and the remainder would pass for a direction.
    constant = (matrix == matrix[:1]).all(axis=0)
    mean = matrix.mean(axis=0)
    matrix -= mean
    # Far from 0 the mean is rounded by more than the numbers differ: once more, near 0.
    rest = matrix.mean(axis=0)
    matrix -= rest
    mean += rest
    if constant.any():
        matrix[:, constant] = 0.0
    return matrix, mean


def as_array(x: Any, name: str) -> Array:
    """What NumPy makes of an argument; a ValueError that names it if that is no array."""
    if np.ma.is_masked(x):
        raise ValueError(
            f"`{name}` is a masked array with {np.sum(np.ma.getmask(x))} values of {np.size(x)} "
            "masked. Similarities need whole rows: leave out the masked samples of all layers."
        )
    if isinstance(x, Iterator):
        raise ValueError(
            f"`{name}` is a {type(x).__name__}, which can be read only once. Pass an array, or "
            "np.stack(list(…)) of its rows."
        )
    if hasattr(x, "detach"):  # a torch tensor, which may carry gradients or be on another device
        x = x.detach().cpu()
        if str(x.dtype) == "torch.bfloat16":  # float32 holds all of its numbers
            import ml_dtypes

            return x.float().numpy().astype(ml_dtypes.bfloat16)
    try:
        return np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"`{name}` must be an array of numbers, with rows of equal length. Received a "
            f"{type(x).__name__} of which NumPy makes none: {error}"
        ) from error


def _way_out(x: Any, array: Array) -> str:
    """What to do with something of which NumPy makes an array of objects."""
    if array.dtype.kind != "O":
        return ""
    kind = type(x).__name__
    if not array.ndim and not hasattr(x, "shape"):  # nothing that could be converted
        return f" It is of type {kind}."
    how = "np.asarray(…, dtype=np.float64)" if array.ndim else "its method for dense arrays"
    return f" Convert the {kind} first, by {how}."


def checked(x: ArrayLike, name: str, most: float = LARGEST) -> tuple[Array, float]:
    """A finite matrix of numbers up to `most`, not copied if possible, and its rounding unit."""
    array = as_array(x, name)
    if array.dtype.name == "bfloat16":
        array, eps = array.astype(np.float32), BFLOAT16_EPS
    elif array.dtype.kind in "fc":
        eps = max(float(np.finfo(array.dtype).eps), EPS64)
    elif array.dtype.kind in "iub":
        eps = EPS64
    else:
        raise ValueError(
            f"`{name}` must hold numbers. Received an array of dtype {array.dtype} and shape "
            f"{array.shape}.{_way_out(x, array)}"
        )
    if array.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (n_samples, n_features). Received shape {array.shape}. "
            "Average, sample or flatten further axes first (see `representation`)."
        )
    n_samples, n_features = array.shape
    if n_samples < 2 or n_features < 1:
        raise ValueError(
            f"`{name}` needs at least two samples and one feature. Received shape {array.shape}: "
            f"{n_samples} samples (rows) of {n_features} features (columns)."
        )
    with np.errstate(invalid="ignore"):  # of some NumPys, where NaN is compared
        largest = float(np.max([_largest(block) for block in blocks(array)]))
    finite = np.isfinite(largest) or np.isfinite(array)  # a long double may be more than a float
    if not np.all(finite):
        bad = int(array.size - np.count_nonzero(finite))
        raise ValueError(
            f"`{name}` has {bad} values of {array.size} that are NaN or infinite. "
            "Similarities need finite activations: look for a diverged layer or a bad probe input."
        )
    if largest > most:
        raise ValueError(
            f"`{name}` reaches {largest:.0e}, and its squares and sums leave double precision "
            f"above {most:.0e}. Look for a diverged layer, or scale the activations."
        )
    return array if largest > SMALLEST else np.zeros_like(array), eps
