"""Sums over the entries of many kernels, from tiles of all of them together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .parallel import in_parallel

Array = NDArray[Any]

# Bytes of one tile of all kernels together, in each thread.
TILE_BYTES = 5e7
# Sums over tiles that are held at a time: of many layers, each is as large as the grid.
PARCELS = 32
# Layers whose tiles are made at a time, at least.
GROUP = 32
# Tiles along a side of a kernel, at least, for all threads to have some; unless they get small.
BLOCKS, SMALL = 4, 256
# Entries multiplied at a time, in the precision of the tiles: they stay near the processor.
ENTRIES = 1024


def sums_of_kernels(
    left: list[Array], right: list[Array], *, mirrored: bool, norms: bool
) -> tuple[Array, Array, Array]:
    """⟨K, L⟩ of all pairs of kernels K = XXᴴ and L = YYᴴ, ‖K‖² and ‖L‖².

    From the tiles on and above the diagonal.

    Args:
        left: Each X, of shape (n_samples, …).
        right: Each Y.
        mirrored: Whether these are the same.
        norms: If False, the norms mean nothing where they would cost something.

    Returns:
        Of shape (len(left), len(right)), (len(left),) and (len(right),).
    """
    if len(right) > len(left):
        products, norms_y, norms_x = sums_of_kernels(right, left, mirrored=False, norms=norms)
        return products.T, norms_x, norms_y
    # Tiles of the fewer layers are kept while those of the others come in groups: so they can be
    # larger, and less is read for the same work.
    step = len(left) if mirrored else max(len(right), GROUP)
    groups = [left[i : i + step] for i in range(0, len(left), step)]
    n, at_once = len(left[0]), len(groups[0]) + (0 if mirrored else len(right))
    dtype = np.result_type(*left, *right)
    largest = np.sqrt(TILE_BYTES / dtype.itemsize / at_once)
    edge = math.ceil(n / max(math.ceil(n / largest), min(BLOCKS, n // SMALL), 1))
    starts = range(0, n, edge)
    tiles = [(r, c) for r in starts for c in starts if c >= r]

    def weight(tile: tuple[int, int]) -> float:
        return 1.0 if tile[0] == tile[1] else 2.0  # the tile below the diagonal is its adjoint

    def sums(tile: tuple[int, int]) -> Sequence[Array]:
        r, c = (slice(start, start + edge) for start in tile)
        twice = weight(tile)
        shape = len(left[0][r]), len(left[0][c])

        def entries(layers: list[Array], room: Array) -> Array:
            for x, out in zip(layers, room, strict=False):
                np.matmul(x[r], x[c].conj().T, out=out)
            return room[: len(layers)].reshape(len(layers), -1).view(room.real.dtype)

        room = np.empty((len(groups[0]), *shape), dtype)  # for one group after the other
        if mirrored:
            k = entries(left, room)
            return [twice * total for total in _sums(k, k, norms=norms)]
        other = entries(right, np.empty((len(right), *shape), dtype))
        found = [_sums(entries(group, room), other, norms=norms) for group in groups]
        products, norms_x = (np.concatenate([f[i] for f in found]) for i in range(2))
        return twice * products, twice * norms_x, twice * found[0][2]

    def work(parcel: list[tuple[int, int]]) -> Sequence[Array]:
        return reduce(_added, map(sums, parcel))

    parcels = [tiles[i::PARCELS] for i in range(min(PARCELS, len(tiles)))]
    half = float(edge) ** 2 * sum(x.shape[1] for x in (*left, *right))
    found = in_parallel(work, parcels, [half * sum(map(weight, parcel)) for parcel in parcels])
    products, norms_x, norms_y = reduce(_added, found)
    return products, norms_x, norms_y


def _added(total: Sequence[Array], sums: Sequence[Array]) -> Sequence[Array]:
    return [a + b for a, b in zip(total, sums, strict=True)]


def _sums(k: Array, other: Array, *, norms: bool) -> Sequence[Array]:
    """Products of rows, and the squared norms of the rows of both; sums go on in double."""
    products = np.zeros((len(k), len(other)))
    norms_k, norms_other = np.zeros(len(k)), np.zeros(len(other))
    for start in range(0, k.shape[1], ENTRIES):
        a, b = (side[:, start : start + ENTRIES] for side in (k, other))
        products += a @ b.T
        if norms and other is not k:
            norms_k += np.vecdot(a, a)
            norms_other += np.vecdot(b, b)
    if other is k:
        norms_k = norms_other = products.diagonal()
    return products, norms_k, norms_other
