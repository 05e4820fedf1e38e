"""Similarities between two layers, by definition, from what each layer gives on its own.

Every measure takes activations of shape (n_samples, n_features) or `Subspace`s, and is larger for
more similar layers: in [0, 1], but for `cka_debiased`, which is around 0 at chance and hence below.
"""

from __future__ import annotations

from typing import Any

from . import crossed, kernels
from .chance import cka_mean, correlation_mean, r2_mean, unbiased_mean
from .cuts import Criterion
from .definition import Measure
from .messages import unknown_name, warn
from .pairs import all_pairs
from .preparation import Layer, Layers
from .sample_size import few_samples
from .subspace import Array, as_subspace


def mean_cca(
    x: Layer,
    y: Layer,
    *,
    explained_variance: float | None = None,
    dims: int | None = None,
    rtol: float | None = None,
) -> float:
    """Mean canonical correlation of all directions.

    Over min(rank_x, rank_y) of them (Raghu et al. 2017). Invariant to every invertible affine map
    of either layer. `nan`, with a warning, if a layer is constant. Arguments and errors are those
    of `canonical_correlations`.
    """
    return similarity(
        x, y, measure="cca", rtol=rtol, explained_variance=explained_variance, dims=dims
    )


def cca_r2(
    x: Layer,
    y: Layer,
    *,
    explained_variance: float | None = None,
    dims: int | None = None,
    rtol: float | None = None,
) -> float:
    """Mean squared canonical correlation.

    ‖Uₓᴴ U_y‖²_F / min(rank_x, rank_y), for orthonormal bases U (Kornblith et al. 2019).
    """
    return similarity(
        x, y, measure="cca_r2", rtol=rtol, explained_variance=explained_variance, dims=dims
    )


def svcca(
    x: Layer,
    y: Layer,
    *,
    explained_variance: float | None = 0.99,
    criterion: Criterion = "variance",
    dims: int | None = None,
    rtol: float | None = None,
) -> float:
    """Mean canonical correlation of the directions that hold 99 % of the variance.

    Singular vector canonical correlation analysis (Raghu et al. 2017, §2). Keeps of each layer the
    fewest leading directions that reach `explained_variance` of the total, then takes the mean
    canonical correlation over the smaller number of directions. Invariant to rotations, isotropic
    scale and shift, not to affine maps: the cut sees variance.

    Args:
        x: Activations of shape (n_samples, n_features), or their `Subspace`.
        y: The same for the other layer.
        explained_variance: Share to reach; the direction that crosses it is kept.
        criterion: `"variance"` sums σ² (the text of the paper), `"singular_values"` sums σ (its
            appendix A): for σ = (3, 1) and 0.8 the first keeps one direction, the second both.
        dims: Keep this many directions at most.
        rtol: Relative tolerance for the numerical rank, see `Subspace.from_activations`.

    Raises:
        ValueError: If the arrays are not finite matrices with equally many samples.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(500, 4))
        >>> noise = 0.01 * rng.normal(size=(500, 4))
        >>> svcca(x, np.hstack([x, noise])) > 0.999
        True
    """
    return similarity(
        x,
        y,
        measure="svcca",
        rtol=rtol,
        explained_variance=explained_variance,
        criterion=criterion,
        dims=dims,
    )


def pwcca(
    x: Layer,
    y: Layer,
    *,
    symmetric: bool = False,
    explained_variance: float | None = None,
    dims: int | None = None,
    rtol: float | None = None,
) -> float:
    """Canonical correlations weighted by how much of the first layer they account for.

    Projection weighted canonical correlation (Morcos et al. 2018, §2.1):
    Σ αᵢ ρᵢ with αᵢ ∝ Σⱼ |⟨hᵢ, zⱼ⟩|, where hᵢ are the orthonormal canonical variates of x and zⱼ its
    centred neurons. Asymmetric: the weights come from x. Inside a tie of correlations the
    definition leaves the hᵢ free to turn; here they are the principal axes of x within the tie
    (which leave the value open only where these have equal variance too).
    Invariant to affine maps of y, and to shift, scale, signs and order of the neurons of x.

    Args:
        x: Activations of shape (n_samples, n_features), or their `Subspace`.
        y: The same for the other layer.
        symmetric: Take the mean of both directions.
        explained_variance: First keep the fewest directions that reach this share of the variance.
        dims: Keep this many directions at most.
        rtol: Relative tolerance for the numerical rank, see `Subspace.from_activations`.

    Raises:
        ValueError: If the arrays are not finite matrices with equally many samples.
    """
    return similarity(
        x,
        y,
        measure="pwcca",
        rtol=rtol,
        symmetric=symmetric,
        explained_variance=explained_variance,
        dims=dims,
    )


def linear_cka(x: Layer, y: Layer, *, rtol: float | None = None) -> float:
    """Linear centred kernel alignment.

    ‖XᵀY‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F) for centred activations X, Y (Kornblith et al. 2019).
    """
    return similarity(x, y, measure="cka", rtol=rtol)


def debiased_cka(x: Layer, y: Layer, *, rtol: float | None = None) -> float:
    """Linear centred kernel alignment by an unbiased estimator.

    Of HSIC, see Song et al. 2012 and Nguyen et al. 2021: 0 on average for unrelated layers, and at
    most 1. nan where debiasing leaves nothing of a layer: with fewer than four samples, or if few
    samples differ from the others and that in few ways.
    """
    return similarity(x, y, measure="cka_debiased", rtol=rtol)


def rsa(x: Layer, y: Layer, *, rtol: float | None = None) -> float:
    """Correlation of the similarities between examples.

    Representational similarity analysis (Kriegeskorte et al. 2008). Pearson correlation of the
    off-diagonal entries of both centred linear kernels, over pairs of samples; a negative
    correlation is no similarity and counts as 0. nan for layers in which all pairs have one value:
    two samples, or one class for each sample.
    """
    return similarity(x, y, measure="rsa", rtol=rtol)


def pls(x: Layer, y: Layer, *, rtol: float | None = None) -> float:
    """Correlation along the directions of most covariance.

    Partial least squares: Σ σᵢ rᵢ / Σ σᵢ, with σᵢ the singular values of XᵀY and rᵢ the correlation
    of the activations projected on the i-th pair of singular vectors (Wold 1985; widths may
    differ).
    """
    return similarity(x, y, measure="pls", rtol=rtol)


def procrustes(x: Layer, y: Layer, *, rtol: float | None = None) -> float:
    """Cosine after the best rotation.

    Procrustes similarity ‖XᵀY‖_* / (‖X‖_F ‖Y‖_F) for centred X, Y (Williams et al. 2021).
    """
    return similarity(x, y, measure="procrustes", rtol=rtol)


def similarity(
    x: Layer,
    y: Layer,
    *,
    measure: str = "svcca",
    adjusted: bool = False,
    rtol: float | None = None,
    **options: Any,
) -> float:
    """Similarity of two layers by the name of the measure.

    Args:
        x: Activations of shape (n_samples, n_features), or their `Subspace`.
        y: The same for the other layer: row i of both is probe example i.
        measure: A name in `MEASURES`.
        adjusted: Rescale, so that independent layers score 0 on average and identical ones 1.
        rtol: Relative tolerance for the numerical rank, see `Subspace.from_activations`.
        **options: Options of the measure, such as `explained_variance`.

    Returns:
        A number in [0, 1] (adjusted and `"cka_debiased"`: at most 1); nan, with a warning, if a
        layer is constant. nan too where the measure is not defined (`debiased_cka`, `rsa`), and,
        adjusted, where all independent layers of these sizes score 1.

    Raises:
        ValueError: If the measure is unknown or the arrays cannot be compared.
        TypeError: If the measure does not take an option.
    """
    denoised = not get_measure(measure).by_variance
    sx = as_subspace(x, "x", rtol, denoised=denoised)
    sy = sx if y is x else as_subspace(y, "y", rtol, denoised=denoised)
    grid = similarity_grid({"x": sx}, {"y": sy}, measure=measure, adjusted=adjusted, **options)
    few = few_samples({"x": sx, "y": sy}, get_measure(measure), options)
    if few:
        warn(few)
    return float(grid[0, 0])


def similarity_grid(
    rows: Layers,
    columns: Layers | None = None,
    *,
    measure: str = "svcca",
    adjusted: bool = False,
    rtol: float | None = None,
    **options: Any,
) -> Array:
    """Similarities of all pairs of layers: a pane.

    Every layer is factorised once, and not for each pair; for measures of kernels (CKA, RSA) not at
    all where that costs less.

    Args:
        rows: Activations or `Subspace`s, or a mapping from layer names to them.
        columns: The same; `rows` if left out.
        measure: A name in `MEASURES`.
        adjusted: Rescale, so that independent layers score 0 on average and identical ones 1.
        rtol: Relative tolerance for the numerical rank of arrays, see `Subspace.from_activations`.
        **options: Options of the measure, such as `explained_variance`.

    Returns:
        Array of shape (len(rows), len(columns)), nan where `similarity` is.

    Raises:
        ValueError: If the measure is unknown or a layer has another number of samples.
        TypeError: If the measure does not take an option.
    """
    return all_pairs(
        get_measure(measure), rows, columns, adjusted=adjusted, rtol=rtol, options=options
    )


def get_measure(name: str) -> Measure:
    """The measure of that name; ValueError with the nearest name if there is none."""
    if not isinstance(name, str) or name not in MEASURES:
        raise ValueError(unknown_name("measure", name, MEASURES))
    return MEASURES[name]


_CUT = {"explained_variance": None, "dims": None}
_RIGID = frozenset({"orthogonal", "scale", "shift", "permutation"})

MEASURES: dict[str, Measure] = {
    "cca": Measure(
        mean_cca,
        crossed.mean_correlation,
        _CUT,
        _RIGID | {"affine"},
        symmetric=True,
        reference="Raghu et al. 2017, arXiv:1706.05806",
        chance=correlation_mean,
        of_span=True,
        of_rests=crossed.mean_correlation_of_rests,
    ),
    "cca_r2": Measure(
        cca_r2,
        crossed.mean_squared_correlation,
        _CUT,
        _RIGID | {"affine"},
        symmetric=True,
        reference="Kornblith et al. 2019, arXiv:1905.00414",
        chance=r2_mean,
        of_span=True,
        of_rests=crossed.mean_squared_correlation_of_rests,
    ),
    "svcca": Measure(
        svcca,
        crossed.mean_correlation,
        {"explained_variance": 0.99, "criterion": "variance", "dims": None},
        _RIGID,
        symmetric=True,
        reference="Raghu et al. 2017, arXiv:1706.05806",
        chance=correlation_mean,
        of_span=True,
        of_rests=crossed.mean_correlation_of_rests,
    ),
    "pwcca": Measure(
        pwcca,
        crossed.projection_weighted,
        {"symmetric": False, **_CUT},
        frozenset({"scale", "shift", "permutation", "affine of y", "orthogonal of y"}),
        symmetric=False,
        reference="Morcos et al. 2018, arXiv:1806.05759",
        of_neurons=True,
        of_span=True,
    ),
    "cka": Measure(
        linear_cka,
        crossed.of_kernels(kernels.alignment),
        {},
        _RIGID,
        symmetric=True,
        by_variance=True,
        reference="Kornblith et al. 2019, arXiv:1905.00414",
        chance=cka_mean,
        dims="effective_rank",
        of_kernels=kernels.alignment,
    ),
    "cka_debiased": Measure(
        debiased_cka,
        crossed.of_kernels(kernels.debiased_alignment),
        {},
        _RIGID,
        symmetric=True,
        by_variance=True,
        reference="Nguyen et al. 2021, arXiv:2010.15327",
        chance=unbiased_mean,
        lowest=float("-inf"),
        of_kernels=kernels.debiased_alignment,
        in_double=True,
    ),
    "rsa": Measure(
        rsa,
        crossed.of_kernels(kernels.correlation_of_entries),
        {},
        _RIGID,
        symmetric=True,
        by_variance=True,
        reference="Kriegeskorte et al. 2008, doi:10.3389/neuro.06.004.2008",
        of_kernels=kernels.correlation_of_entries,
        in_double=True,
    ),
    "pls": Measure(
        pls,
        crossed.partial_least_squares,
        {},
        _RIGID,
        symmetric=True,
        by_variance=True,
        reference="Wold 1985, Encyclopedia of Statistical Sciences 6:581",
    ),
    "procrustes": Measure(
        procrustes,
        crossed.procrustes_cosine,
        {},
        _RIGID,
        symmetric=True,
        by_variance=True,
        reference="Williams et al. 2021, arXiv:2110.14739",
    ),
}
