"""Tensors of many steps as one answer: a line of JSON, then float32.

The line says `{"steps": […], "shapes": [[rows, columns], …], "triangle": bool, "rest": n}` and ends
in spaces and a newline, so that the numbers begin at a multiple of 4. They follow frame by frame,
each row by row, little-endian. With `triangle`, every frame is symmetric, and of each row i there
are the columns i, i + 1, … only. Of later frames there are at least `rest`, or none if it is 0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np


def encode(steps: Sequence[int], frames: Sequence[np.ndarray], *, rest: int = 0) -> bytes:
    """Frames of one tag, as above.

    Args:
        steps: Their steps, ascending.
        frames: Matrices; a vector counts as one column.
        rest: How many later frames there are, at least.

    Raises:
        ValueError: If a frame has more than two dimensions, or is empty.
    """
    matrices = [_matrix(frame) for frame in frames]
    triangle = bool(matrices) and all(map(_symmetric, matrices))
    head = {
        "steps": [int(step) for step in steps],
        "shapes": [list(matrix.shape) for matrix in matrices],
        "triangle": triangle,
        "rest": rest,
    }
    line = json.dumps(head, separators=(",", ":")).encode()
    line += b" " * (-(len(line) + 1) % 4) + b"\n"
    if triangle:
        upper = {len(matrix): np.triu_indices(len(matrix)) for matrix in matrices}
        matrices = [matrix[upper[len(matrix)]] for matrix in matrices]
    # Of the numbers as they are: copies of a hundred layers at 500 epochs would be 50 MB.
    return b"".join([line, *(np.ascontiguousarray(matrix).data for matrix in matrices)])


def _matrix(frame: np.ndarray) -> np.ndarray:
    matrix = np.asarray(frame, dtype="<f4")
    if matrix.ndim > 2 or not matrix.size:
        raise ValueError(f"A frame is a matrix. Received an array of shape {matrix.shape}.")
    return matrix.reshape(len(matrix) if matrix.ndim else 1, -1)


def _symmetric(matrix: np.ndarray) -> bool:
    return matrix.shape[0] == matrix.shape[1] > 1 and np.array_equal(
        matrix, matrix.T, equal_nan=True
    )
