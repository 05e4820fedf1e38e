"""What independent views score: with n samples, similarity is found in noise too."""

from __future__ import annotations

from numbers import Real

import numpy as np
from scipy.special import gammaln

from .arguments import require_whole
from .messages import unknown_name

# Gauss-Chebyshev nodes for the Wachter mean; the error is below 1e-12 from here on.
NODES = 4096


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
    spread, centre = np.sqrt(small * (1 - large)), np.sqrt(large * (1 - small))
    lower, upper = (centre - spread) ** 2, (centre + spread) ** 2
    # λ = middle + radius cos θ turns the square roots at both ends into a smooth integrand.
    theta = (np.arange(NODES) + 0.5) * np.pi / NODES
    radius = (upper - lower) / 2
    # From the lower end, where cancellation would cost digits as λ₋ goes to 0.
    rest = 2 * radius * np.cos(theta / 2) ** 2
    value = lower + rest
    density = (radius * np.sin(theta)) ** 2 / (2 * np.pi * small * value * (1 - value))
    at_one = max(0.0, small + large - 1) / small
    return float(at_one + np.mean(np.sqrt(value) * density) * np.pi)


def correlation_mean(*, n_samples: int, dims_x: float, dims_y: float) -> float:
    """Mean canonical correlation of independent views: Wachter's, but for a single dimension.

    Against q dimensions its squared correlation has the law Beta(q/2, (n - 1 - q)/2) (Anderson
    2003, An Introduction to Multivariate Statistical Analysis, §4.4): exact for normal data, where
    the limit for many dimensions is off by some 0.05/√n.
    """
    small, large = sorted((dims_x, dims_y))
    if small != 1 or large >= n_samples - 1:
        return wachter_mean(n_samples=n_samples, dims_x=dims_x, dims_y=dims_y)
    logs = gammaln([(large + 1) / 2, (n_samples - 1) / 2, large / 2, n_samples / 2])
    return float(np.exp(logs[:2].sum() - logs[2:].sum()))


def r2_mean(*, n_samples: int, dims_x: float, dims_y: float) -> float:
    """Exact mean of R² over permutations of the rows: max(p, q) / (n - 1)."""
    if min(dims_x, dims_y) <= 0:
        return float("nan")
    return min(1.0, max(dims_x, dims_y) / (n_samples - 1))


def cka_mean(*, n_samples: int, dims_x: float, dims_y: float) -> float:
    """Exact permutation mean of linear CKA, with effective ranks (participation ratios) as dims.

    tr K tr L / ((n - 1) ‖K‖ ‖L‖) = sqrt(r_x r_y) / (n - 1), for r = (tr K)² / ‖K‖².
    """
    if min(dims_x, dims_y) <= 0:
        return float("nan")
    return min(1.0, float(np.sqrt(dims_x * dims_y)) / (n_samples - 1))


def unbiased_mean(*, n_samples: int, dims_x: float, dims_y: float) -> float:  # noqa: ARG001
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


def chance_level(measure: str, *, n_samples: int, dims_x: float, dims_y: float) -> float:
    """Expected similarity of two independent views.

    Args:
        measure: `"cca"` or `"svcca"` (exact for one dimension of real, normal data; else the
                limit for many of both, above simulation by some 0.05/√n_samples for two to ten
                dimensions of n_samples ≫ dims, and by less than 1/n_samples for many),
            `"cca_r2"` or `"cka"` (exact means over permutations of the rows).
        n_samples: Rows of both views.
        dims_x: Dimensions of the first view: the rank, after the cut for `"svcca"`; for `"cka"`
            the participation ratio (`Subspace.effective_rank`).
        dims_y: The same for the second view.

    Returns:
        A number in [0, 1]; nan if a view has no dimension.

    Raises:
        ValueError: If the measure has no closed form here, or a number is out of range.

    Example:
        >>> round(chance_level("svcca", n_samples=1000, dims_x=256, dims_y=256), 2)
        0.44
    """
    if measure not in CLOSED_FORMS:
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
    return CLOSED_FORMS[measure](n_samples=n_samples, dims_x=dims_x, dims_y=dims_y)
