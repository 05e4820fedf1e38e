"""What independent views score: with n samples, similarity is found in noise too."""

from __future__ import annotations

from numbers import Real

import numpy as np

from . import few_dimensions
from .arguments import require_whole
from .messages import unknown_name

# Gauss-Chebyshev nodes for the Wachter mean; the error is below 1e-12 from here on.
NODES = 4096
# Up to so many dimensions of the smaller view its correlations are averaged exactly: the limit for
# many, with the first term of its error, is right from there on.
FEW = 32


def wachter_mean(*, n_samples: int, dims_x: float, dims_y: float) -> float:
    """Mean canonical correlation of independent views, in the limit of many samples.

    Squared correlations of independent views of p and q dimensions with n - 1 degrees of
    freedom follow Wachter's law (Wachter 1980, Ann. Statist. 8:937): density
    sqrt((λ₊ - λ)(λ - λ₋)) / (2π min(a, b) λ (1 - λ)) with a = p/(n-1), b = q/(n-1) and
    λ± = (sqrt(a(1 - b)) ± sqrt(b(1 - a)))², and a point mass at 1 if a + b > 1.
    The result is the mean of sqrt(λ), in [0, 1].
    """
    small, large = sorted((dims_x / (n_samples - 1), dims_y / (n_samples - 1)))
    if small <= 0:
        return float("nan")
    if large >= 1:
        return 1.0
    lower, upper = _edges(small, large)
    # λ = middle + radius cos θ turns the square roots at both ends into a smooth integrand.
    theta = (np.arange(NODES) + 0.5) * np.pi / NODES
    radius = (upper - lower) / 2
    # From the lower end, where cancellation would cost digits as λ₋ goes to 0.
    rest = 2 * radius * np.cos(theta / 2) ** 2
    value = lower + rest
    density = (radius * np.sin(theta)) ** 2 / (2 * np.pi * small * value * (1 - value))
    at_one = max(0.0, small + large - 1) / small
    return float(at_one + np.mean(np.sqrt(value) * density) * np.pi)


def correlation_mean(
    *, n_samples: int, dims_x: float, dims_y: float, of_complex: bool = False
) -> float:
    """Mean canonical correlation of independent normal views, to less than 3 / n_samples.

    Exact for up to `FEW` dimensions. For more, Wachter's; of real data with so many samples that
    the first term of its error matters (for dims_x = dims_y, from some 50 a dimension on), less it.
    """
    few, many = sorted((dims_x, dims_y))
    whole = float(few).is_integer() and float(many).is_integer()
    if whole and 0 < few <= FEW and many < n_samples - 1:
        return few_dimensions.mean_correlation(
            int(n_samples), int(few), int(many), of_complex=of_complex
        )
    level = wachter_mean(n_samples=n_samples, dims_x=dims_x, dims_y=dims_y)
    if of_complex or not 0 < level < 1:
        return level
    excess = _wachter_excess(n_samples=n_samples, dims_x=dims_x, dims_y=dims_y)
    return level - excess if excess * n_samples > 1 else level


def _wachter_excess(*, n_samples: int, dims_x: float, dims_y: float) -> float:
    """The first term of what Wachter's law is above the mean of real normal views.

    For eigenvalues between λ₋ and λ₊ a sum of f(λ) is on average (f(λ₋) + f(λ₊)) / 4 less than half
    the mean of f under the arcsine law between them (Bai and Silverstein 2004, Ann. Probab. 32:553,
    for sample covariances), and 0 off for complex ones.
    """
    lower, upper = _edges(dims_x / (n_samples - 1), dims_y / (n_samples - 1))
    theta = (np.arange(NODES) + 0.5) * np.pi / NODES
    arcsine = np.mean(np.sqrt(lower + (upper - lower) * np.cos(theta / 2) ** 2))
    return float(arcsine / 2 - (np.sqrt(lower) + np.sqrt(upper)) / 4) / min(dims_x, dims_y)


def _edges(a: float, b: float) -> tuple[float, float]:
    """λ₋ and λ₊ of Wachter's law."""
    first, second = np.sqrt(a * (1 - b)), np.sqrt(b * (1 - a))
    return (first - second) ** 2, (first + second) ** 2


def r2_mean(
    *,
    n_samples: int,
    dims_x: float,
    dims_y: float,
    of_complex: bool = False,  # noqa: ARG001
) -> float:
    """Exact mean of R² over permutations of the rows: max(p, q) / (n - 1)."""
    if min(dims_x, dims_y) <= 0:
        return float("nan")
    return min(1.0, max(dims_x, dims_y) / (n_samples - 1))


def cka_mean(
    *,
    n_samples: int,
    dims_x: float,
    dims_y: float,
    of_complex: bool = False,  # noqa: ARG001
) -> float:
    """Exact permutation mean of linear CKA, with effective ranks (participation ratios) as dims.

    tr K tr L / ((n - 1) ‖K‖ ‖L‖) = sqrt(r_x r_y) / (n - 1), for r = (tr K)² / ‖K‖².
    """
    if min(dims_x, dims_y) <= 0:
        return float("nan")
    return min(1.0, float(np.sqrt(dims_x * dims_y)) / (n_samples - 1))


def unbiased_mean(
    *,
    n_samples: int,  # noqa: ARG001
    dims_x: float,
    dims_y: float,
    of_complex: bool = False,  # noqa: ARG001
) -> float:
    """Unbiased estimators are 0 on average, whatever the sizes."""
    return float("nan") if min(dims_x, dims_y) <= 0 else 0.0


# Measures with a closed form. svcca counts the dimensions that its cut kept.
CLOSED_FORMS = {
    "cca": correlation_mean,
    "svcca": correlation_mean,
    "cca_r2": r2_mean,
    "cka": cka_mean,
    "cka_debiased": unbiased_mean,
}


def chance_level(
    measure: str, *, n_samples: int, dims_x: float, dims_y: float, of_complex: bool = False
) -> float:
    """Expected similarity of two independent views.

    Args:
        measure: `"cca"` or `"svcca"` (for normal data: exact for up to 32 dimensions of the
                smaller view, for more the Wachter law, right to less than 3 / n_samples),
            `"cca_r2"` or `"cka"` (exact means over permutations of the rows).
        n_samples: Rows of both views.
        dims_x: Dimensions of the first view: the rank, after the cut for `"svcca"`; for `"cka"`
            the participation ratio (`Subspace.effective_rank`).
        dims_y: The same for the second view.
        of_complex: Whether a view is complex: in few dimensions such views correlate otherwise.

    Returns:
        A number in [0, 1]; nan if a view has no dimension.

    Raises:
        ValueError: If the measure has no closed form here, or a number is out of range.

    Example:
        >>> round(chance_level("svcca", n_samples=1000, dims_x=256, dims_y=256), 2)
        0.44
    """
    if not isinstance(measure, str) or measure not in CLOSED_FORMS:
        raise ValueError(
            unknown_name("measure with a closed form of its chance level", measure, CLOSED_FORMS)
            + " For the others: `permutation_test(x, y, measure=…).chance`, or "
            "`similarity_grid(…, adjusted=True)`."
        )
    require_whole("n_samples", n_samples, least=2)
    for dims in (dims_x, dims_y):
        if not (isinstance(dims, Real) and dims >= 0):
            raise ValueError(
                f"Dimensions must be numbers, at least 0. Received: {dims_x!r} and {dims_y!r}"
            )
    return CLOSED_FORMS[measure](
        n_samples=n_samples, dims_x=dims_x, dims_y=dims_y, of_complex=of_complex
    )
