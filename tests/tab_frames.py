"""An answer of `/frames`, read back by what its documentation says."""

import json

import numpy as np


def decode(raw):
    """({step: matrix}, head) of the format of `svcca_monitor/tensorboard/frames.py`."""
    line, _, _ = raw.partition(b"\n")
    head, at, found = json.loads(line), len(line) + 1, {}
    assert at % 4 == 0
    for step, (rows, columns) in zip(head["steps"], head["shapes"], strict=True):
        matrix = np.empty((rows, columns), np.float32)
        for i in range(rows):
            first = i if head["triangle"] else 0
            row = np.frombuffer(raw, "<f4", columns - first, at)
            at += row.nbytes
            matrix[i, first:] = row
            if head["triangle"]:
                matrix[first:, i] = row
        found[step] = matrix
    assert at == len(raw)
    return found, head
