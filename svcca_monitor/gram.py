"""Similarity of layers whose features come block by block and are never held together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .arguments import require_alike
from .cuts import Criterion
from .factors import GRAM_NOISE, eigen
from .gram_matrix import Gram
from .messages import unknown_name, warn
from .rounding import ROUNDINGS, SINGLE, checked
from .subspace import Array, Subspace

# Squares and their sums must stay within float64: what is larger is refused, what varies by less
# counts as constant. float32 reaches neither bound.
LARGEST, SMALLEST = 1e140, 1e-140


class GramMatrices:
    """Gram matrices XXᴴ of centred layers, from blocks of features in any order.

    For more features than samples, as of flattened maps: X = [X₁ X₂ …] has XXᴴ = Σ X_b X_bᴴ, and
    its eigenvectors and eigenvalues give every measure that does not look at single neurons
    (Kornblith et al. 2019, arXiv:1905.00414, §3). One probe set of n samples; each layer's blocks
    are features of all of them. Memory is 8 n² bytes a layer and 16 a feature; twice n² more while
    a block is taken in, beside the block itself, and four times while a layer is factorised. To
    compare two nets, or a net at two times, give their layers different names. For more samples
    than features see `Moments`.

    Similarities equal those of the whole layers to 1e-9 where their directions are down to 1e-3 of
    the largest. Squares are kept: a direction of relative size s is known to 2e-16 / s² (2e-10 at
    1e-3) and lost below 1e-7, with a warning if features of very different scales suggest it.

    Example:
        >>> import numpy as np
        >>> from svcca_monitor import similarity_grid
        >>> grams = GramMatrices()
        >>> x, y = np.random.default_rng(0).normal(size=(2, 40, 3000)) * np.linspace(1, 50, 3000)
        >>> for x_block, y_block in zip(np.hsplit(x, 30), np.hsplit(y, 30), strict=True):
        ...     grams.update({"x": x_block, "y": y_block})
        >>> grams.subspace("x").n_features
        3000
        >>> np.allclose(similarity_grid(grams.subspaces()), similarity_grid([x, y]), atol=1e-9)
        True
    """

    def __init__(self) -> None:
        self._grams: dict[str, Gram] = {}

    @property
    def names(self) -> list[str]:
        """Layers, in the order in which they came."""
        return list(self._grams)

    @property
    def n_samples(self) -> int:
        """Number of probe examples; 0 before the first block."""
        return next((len(gram.matrix) for gram in self._grams.values()), 0)

    def update(self, blocks: Mapping[str, ArrayLike]) -> None:
        """Take in more features of some layers.

        Args:
            blocks: From names of layers, new or not, to activations of shape
                (n_samples, n_block_features), real or complex. Row i of every block is the same
                probe example. Each feature must come once: that it came before is not seen. Not
                modified.

        Raises:
            ValueError: If a block is not a finite numeric matrix of at least two samples and one
                feature, or has other samples than those before. Nothing is taken in then.
        """
        if not (isinstance(blocks, Mapping) and blocks):
            raise ValueError("`blocks` must map names to features: {'conv': block, 'fc': block}.")
        read = {name: checked(block, name, LARGEST) for name, block in blocks.items()}
        first, n = self._first() or (next(iter(read)), len(next(iter(read.values()))[0]))
        for name, (block, _) in read.items():
            _require_same_samples(first, n, name, len(block))
        grams = {name: Gram.of(block, eps) for name, (block, eps) in read.items()}
        self._grams = _added(self._grams, grams)

    def merge(self, other: Self) -> Self:
        """All that both have taken in, as a new object.

        Raises:
            ValueError: If they have different numbers of samples.
            TypeError: If `other` is of another class.
        """
        require_alike(self, other)
        mine, others = self._first(), other._first()
        if mine and others:
            _require_same_samples(*mine, *others)
        merged = type(self)()  # shares matrices, which are never written on
        merged._grams = _added(self._grams, other._grams)
        return merged

    def matrix(self, name: str) -> Array:
        """XXᴴ of the centred features of a layer so far, shape (n_samples, n_samples)."""
        upper = self._gram(name).matrix
        return np.triu(upper) + np.triu(upper, 1).conj().T

    def subspace(
        self,
        name: str,
        *,
        explained_variance: float | None = None,
        dims: int | None = None,
        criterion: Criterion = "variance",
        denoised: bool = True,
    ) -> Subspace:
        """Factors of a layer without its loadings, for all measures but `pwcca`.

        Args:
            name: Of the layer.
            explained_variance: Keep the fewest directions that reach this share of the variance.
            dims: Keep this many directions at most.
            criterion: What the share is of, see `Subspace.truncate`.
            denoised: Leave out directions that are no more than rounding, as measures that count
                directions ask; see `Subspace.from_activations`.

        Returns:
            A `Subspace` with `loadings` of shape (n_features, 0), and the means of the features in
            the order in which they came; of rank 0 if all are constant.

        Raises:
            ValueError: If the layer is unknown, or a bound out of range.
        """
        gram = self._gram(name)
        noise = max(gram.noise(), SMALLEST)
        spectrum, system, _ = eigen(gram.matrix.copy(), noise, denoised=denoised)
        n, p = len(gram.matrix), len(gram.mean)
        if 0 < len(spectrum) < min(n - 1, p):
            self._warn_of_lost(name, gram, GRAM_NOISE * float(spectrum[0]))
        whole = Subspace(
            basis=system.vectors(0, len(spectrum)),
            singular_values=spectrum,
            loadings=np.empty((p, 0)),
            mean=gram.mean,
            spectrum=spectrum,
            coarse=gram.eps >= SINGLE,
        )
        return whole.truncate(explained_variance=explained_variance, dims=dims, criterion=criterion)

    def subspaces(self, *, denoised: bool = True) -> dict[str, Subspace]:
        """Factors of all layers, as `similarity_grid` takes them."""
        return {name: self.subspace(name, denoised=denoised) for name in self._grams}

    def _gram(self, name: str) -> Gram:
        if name not in self._grams:
            raise ValueError(unknown_name("layer", name, self._grams))
        return self._grams[name]

    def _first(self) -> tuple[str, int] | None:
        """Name and samples of the first layer; None if there is none."""
        return (self.names[0], self.n_samples) if self._grams else None

    def _warn_of_lost(self, name: str, gram: Gram, least: float) -> None:
        """Warn if features may be missing that are less than `least` or the rounding of another."""
        norms = np.sqrt(gram.squares)
        if gram.eps > SINGLE:  # as `factors.in_equal_scale` would find them in memory
            least = max(least, gram.eps * float(gram.stored.max()))
            rounding = ROUNDINGS * gram.eps * gram.stored
        else:
            rounding = np.full_like(norms, gram.noise())
        small = np.count_nonzero((norms > rounding) & (gram.stored <= least))
        if small:
            warn(
                f"Maybe too small for a Gram matrix: {small} of {len(norms)} features of {name} "
                f"(beside feature {np.argmax(norms)}). Directions below {least / norms.max():.0e} "
                "of its size are left out. Scale the features of a layer alike, or factorise it "
                "in memory by `Subspace.from_activations`."
            )


def _added(some: Mapping[str, Gram], more: Mapping[str, Gram]) -> dict[str, Gram]:
    """Sums for layers in both."""
    sums = {name: some[name] + gram if name in some else gram for name, gram in more.items()}
    return {**some, **sums}


def _require_same_samples(first: str, n: int, name: str, n_of_name: int) -> None:
    if n != n_of_name:
        raise ValueError(
            f"`{first}` has {n} samples but a block of `{name}` has {n_of_name}. Give the same "
            "probe set: row i of every block must come from probe example i."
        )
