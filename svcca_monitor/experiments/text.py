"""Text as data: sequences of characters, each of which predicts the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# The last part of the text is for testing: sequences of both parts never overlap.
TEST_SHARE = 0.1


def characters(path: Path | None, *, length: int = 64) -> tuple[np.ndarray, ...]:
    """Cut a text in sequences of characters.

    Args:
        path: A text file in UTF-8.
        length: Characters of a sequence.

    Returns:
        x_train, y_train, x_test, y_test, each of shape (n, length) with indices into the sorted
        characters of the whole text; `y[i, t]` is the character that follows `x[i, t]`.

    Raises:
        ValueError: If there is no such file, it is no text, or it is too short for two sequences
            of both parts.
    """
    if path is None:
        raise ValueError("data.name=text needs a text file: --set data.path=FILE.txt")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"data.path: cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"data.path: {path} is no text in UTF-8: {error}") from error
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    indices = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    n = (len(indices) - 1) // length
    n_test = max(2, round(TEST_SHARE * n))
    if n - n_test < 2:
        raise ValueError(
            f"data.path: {path} has {len(indices)} characters. For sequences of {length}, at least "
            f"{4 * length + 1} are needed."
        )
    x, y = (indices[shift : shift + n * length].reshape(n, length) for shift in (0, 1))
    return x[:-n_test], y[:-n_test], x[-n_test:], y[-n_test:]
