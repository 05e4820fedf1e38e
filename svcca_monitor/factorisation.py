"""Factors of a layer, by the fastest way that is right for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .cuts import Cut
from .factors import Array, Factors, by_gram, by_svd, in_equal_scale
from .near_cut import by_single_gram
from .rounding import SINGLE


def factorised(
    x: Array,
    eps: float,
    cut: Cut,
    *,
    rtol: float | None = None,
    denoised: bool = True,
    single: bool = False,
) -> tuple[Factors, int]:
    """Factors of checked activations, and how many of their directions are kept.

    Arguments are those of `Subspace.from_activations`.
    """
    if single and eps >= SINGLE and denoised and rtol is None:
        found = by_single_gram(x, eps, cut)
        if found:
            return found
    ways: list[Callable[..., Factors]] = [by_svd]
    if eps >= SINGLE:
        ways.insert(0, partial(by_gram, single=single))
    for way in ways:
        factors = way(x, eps=eps, rtol=rtol, denoised=denoised)
        k = cut.count(factors.spectrum)
        if factors.serve(k):
            break
    if denoised and rtol is None and k == len(factors.spectrum):
        factors = in_equal_scale(x, eps=eps, found=k) or factors
        k = cut.count(factors.spectrum)
    return factors, k
