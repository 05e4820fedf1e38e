"""DFT-CCA of all pairs of many layers, each transformed and factorised once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement, product

import numpy as np
from numpy.typing import ArrayLike

from .arguments import named
from .fourier import Meeting, check_options
from .messages import warn
from .parallel import PASS, in_parallel
from .rounding import as_array
from .spectrum import Spectrum, as_spectrum
from .subspace import Array, require_same_probe

Maps = ArrayLike | Spectrum
Layers = Sequence[Maps] | Mapping[str, Maps]


def fourier_grid(
    rows: Layers,
    columns: Layers | None = None,
    *,
    max_frequency: int | None = None,
    explained_variance: float | None = None,
    rtol: float | None = None,
) -> Array:
    """`fourier_cca(x, y).mean` of all pairs of layers, which are transformed and factorised once.

    Args:
        rows: Maps, dense layers or their `Spectrum`, as `fourier_cca` takes them: a dict from
            names, or a list.
        columns: The same for the columns; left out, the rows among themselves.
        max_frequency: As in `fourier_cca`.
        explained_variance: As in `fourier_cca`.
        rtol: As in `fourier_cca`.

    Returns:
        Shape (len(rows), len(columns)); 1 for a layer and itself; nan, with a warning, for pairs
        of which no frequency varies in both.

    Raises:
        ValueError: As `fourier_cca` does, with the name of the layer.
        TypeError: If the layers are neither a dict nor a list.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(50, 4, 4, 2))
        >>> fourier_grid({"x": x, "shifted": np.roll(x, 1, axis=2)}).round(6).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    check_options(max_frequency, explained_variance, rtol)
    names, given = named(rows, "rows")
    n = len(given)
    if columns is None:
        pairs = list(combinations_with_replacement(range(n), 2))
    else:
        column_names, others = named(columns, "columns")
        names, given = names + column_names, given + others
        pairs = list(product(range(n), range(n, len(given))))
    spectra = _spectra(names, given, rtol)
    meetings = [
        Meeting.of(spectra[i], spectra[j], max_frequency, explained_variance) for i, j in pairs
    ]
    # All factors first: two pairs at a time would both make those of the layer that they share.
    sides = {m.key(s): (m, s) for m in meetings for s in (m.x, m.y)}.values()
    in_parallel(lambda side: side[0].factors(side[1]), [*sides], [m.cost(s, s) for m, s in sides])
    means = in_parallel(lambda m: m.result().mean, meetings, [m.cost(m.x, m.y) for m in meetings])
    grid = np.empty((n, n if columns is None else len(given) - n))
    for (i, j), mean in zip(pairs, means, strict=True):
        grid[i, j if columns is None else j - n] = mean
        if columns is None:
            grid[j, i] = mean
    if np.isnan(means).any():
        _name_undefined(names, pairs, meetings, means)
    return grid


def _spectra(names: list[str], layers: list[Maps], rtol: float | None) -> list[Spectrum]:
    """Of layers of the same examples. What is given twice is transformed once."""
    given: dict[int, tuple[Maps, str]] = {}
    for name, x in zip(names, layers, strict=True):
        if id(x) not in given:
            given[id(x)] = x if isinstance(x, Spectrum) else as_array(x, name), name
    costs = [0.0 if isinstance(x, Spectrum) else PASS * np.size(x) for x, _ in given.values()]
    found = in_parallel(lambda item: as_spectrum(*item, rtol), [*given.values()], costs)
    of = dict(zip(given, found, strict=True))
    spectra = [of[id(x)] for x in layers]
    for name, spectrum in zip(names, spectra, strict=True):
        require_same_probe(spectra[0], spectrum, names[0], name)
    return spectra


def _name_undefined(
    names: list[str], pairs: list[tuple[int, int]], meetings: list[Meeting], means: list[float]
) -> None:
    """Warn of layers that vary nowhere, and of pairs of others that never vary together."""
    varying = {
        k
        for pair, m in zip(pairs, meetings, strict=True)
        for k, s in zip(pair, (m.x, m.y), strict=True)
        if m.factors(s)[1].any()
    }
    where = [name for k, name in enumerate(names) if k not in varying]
    where += [
        f"both of {names[i]} and {names[j]}"
        for (i, j), mean in zip(pairs, means, strict=True)
        if np.isnan(mean) and {i, j} <= varying
    ]
    warn(
        f"No frequency varies over the probe set in {', in '.join(dict.fromkeys(where))}: the mean "
        "correlation is nan."
    )
