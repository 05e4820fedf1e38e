"""Similarity of layers whose activations come batch by batch and are never held together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .batches import SMALLEST, Stream
from .definition import Measure
from .factors import GRAM_NOISE, thin_svd
from .measures import MEASURES, get_measure
from .messages import unknown_name, warn
from .pairs import rescaled
from .rounding import centre, noise_of_columns, scaled_noise
from .subspace import Array, Subspace

# Debiasing takes away as much as there was: what is left below this share of it is rounding.
CANCELLED = 1e-12
# The share of a neuron's variance outside the directions kept that shows that one was lost: the
# smallest that are kept are known to 2 %.
NOT_KEPT = 0.1

Names = Sequence[str] | None
# Measures that means and cross-products suffice for; the others look at each sample.
SUFFICIENT = ("cca", "cca_r2", "svcca", "pwcca", "cka", "procrustes", "pls")


class Moments(Stream):
    """Exact means and centred cross-products of all layers, from batches in any order.

    Similarities equal those of the whole data to 1e-9 for well-conditioned layers. Moments square
    the condition number: a direction of relative size s is known to 2e-16 / s² (2e-10 at 1e-3) and
    lost below 1e-7, with a warning if neurons of very different scales show it; where such
    directions matter, keep the activations. Memory does not grow with the rows, but with the square
    of the features: 8 (Σ n_features)² bytes, twice that in an update. For many more features than
    samples see `GramMatrices`. To compare two nets, or a net at two times, give their layers
    different names.

    Example:
        >>> import numpy as np
        >>> moments = Moments()
        >>> for x in np.random.default_rng(0).normal(size=(10, 32, 4)):
        ...     moments.update({"dense": x, "logits": x[:, :2] + 1e6})
        >>> moments.n_samples, round(moments.similarity("dense", "logits", measure="cca"), 6)
        (320, 1.0)
    """

    # Of all layers side by side: the first row, the mean relative to it, the products.
    _origin: Any = 0.0
    _mean: Any = 0.0
    _products: Any = 0.0

    def mean(self, name: str) -> Array:
        """Mean activation of each feature of a layer, shape (n_features,)."""
        return (self._origin + self._mean)[self._columns(name)]

    def cross_product(self, x: str, y: str) -> Array:
        """Σ (xᵢ - x̄)ᴴ (yᵢ - ȳ) over the rows i, shape (n_x_features, n_y_features)."""
        return self._products[self._columns(x), self._columns(y)].copy()

    def similarity(self, x: str, y: str, *, measure: str = "svcca", **options: Any) -> float:
        """Similarity of two layers by name; see `similarity_grid`, also for the options."""
        return float(self.similarity_grid([x], [y], measure=measure, **options)[0, 0])

    def similarity_grid(
        self,
        rows: Names = None,
        columns: Names = None,
        *,
        measure: str = "svcca",
        adjusted: bool = False,
        **options: Any,
    ) -> Array:
        """Similarities of all pairs of layers, each factorised once; nan if one is constant.

        Warns of constant layers, and of neurons too small beside another one to be told here.

        Args:
            rows: Names of layers; all if left out.
            columns: The same; `rows` if left out. The shape is (len(rows), len(columns)).
            measure: A name in `MEASURES`, but for `"cka_debiased"` (see `MinibatchCKA`) and
                `"rsa"`: these look at single samples.
            adjusted: Rescale chance to 0 and identity to 1; where chance has a closed form only.
            **options: Options of the measure, such as `explained_variance`.

        Raises:
            ValueError: If a name is unknown, an option out of range, or fewer than two rows came.
            TypeError: If the measure does not take an option.
        """
        kind = _measure(measure, adjusted=adjusted)
        settings = kind.settings(options)
        if self.n_samples < 2:
            raise ValueError(f"Similarity needs two samples at least, not {self.n_samples}.")
        left = self.names if rows is None else _names("rows", rows)
        right = left if columns is None else _names("columns", columns)
        denoised, names = not kind.by_variance, dict.fromkeys([*left, *right])
        whole = {name: self._axes(name, denoised=denoised) for name in names}
        lost = [self._lost(name, *axes) for name, axes in whole.items()] if denoised else []
        named = ", ".join(filter(None, lost))
        if named:
            warn(
                f"Too small for moments: {named}. Directions below {GRAM_NOISE:g} of the largest "
                "are left out. Keep the activations in memory for `similarity_grid`."
            )
        axes = {name: kind.cut(s, settings) for name, (s, _) in whole.items()}
        to = {name: whole[name][1][:, : s.rank] for name, s in axes.items()}
        constant = sorted(name for name, s in axes.items() if not s.rank)
        if constant:
            warn(f"Constant over all batches: {', '.join(constant)}. Similarity is nan.")
        grid, chance = np.full((2, len(left), len(right)), np.nan)
        for i, j in np.ndindex(grid.shape):
            x, y = axes[left[i]], axes[right[j]]
            chance[i, j] = kind.chance_of(x, y, self.n_samples)
            if columns is None and j < i and kind.mirrors(settings):
                grid[i, j] = grid[j, i]
            elif x.rank and y.rank:
                products = self.cross_product(left[i], right[j])
                cross = to[left[i]].conj().T @ products @ to[right[j]]
                grid[i, j] = kind.of_cross(cross, x, y, **kind.rest(settings))
        return rescaled(grid, chance) if adjusted else grid

    def _take(self, batch: list[Array]) -> None:
        stacked = np.hstack(batch)
        if not self.n_samples:
            self._origin = stacked[0].copy()
        # Relative to a row, constant features are exactly 0 and an offset costs no digits.
        centred, mean = centre(stacked - self._origin)
        rows = np.vstack([centred, self._move(len(centred), mean)])
        self._products = rows.conj().T @ rows + self._products

    def _join(self, other: Moments) -> None:
        order = np.concatenate([np.r_[other._columns(name)] for name in self.names])
        mean = other._origin[order] - self._origin + other._mean[order]
        row = self._move(other.n_samples, mean)
        products = other._products[np.ix_(order, order)] + self._products
        self._products = np.outer(row.conj(), row) + products

    def _move(self, n: int, mean: Array) -> Array:
        """Take in the mean of n rows; the row is returned whose square the products still lack."""
        # Chan, Golub & LeVeque 1983 (Am. Statist. 37:242): the pairwise update.
        step, share = mean - self._mean, n / (self.n_samples + n)
        self._mean = self._mean + share * step
        return np.sqrt(self.n_samples * share) * step

    def _columns(self, name: str) -> slice:
        if name not in self._widths:
            raise ValueError(unknown_name("layer", name, self._widths))
        start = sum(list(self._widths.values())[: self.names.index(name)])
        return slice(start, start + self._widths[name])

    def _axes(self, name: str, *, denoised: bool = True) -> tuple[Subspace, Array]:
        """Factors of ``S Vᴴ``, and what maps centred activations to their basis U.

        With rows for axes, not samples: the layer's own but the basis.
        """
        products, mean, noise = self.cross_product(name, name), self.mean(name), self._noise(name)
        values, vectors = _roots(products)
        # Rounding is eps times the largest square: a direction of relative size s is known to
        # eps / s², which at 1e-7 is 2 %, and below it soon nothing. Squares that should be 0 come
        # out at some 3 eps (2,000 features), well under the 45 eps that 1e-7 is when squared.
        floor = max(GRAM_NOISE * float(values[0]), SMALLEST)
        if denoised or values[0] <= noise:
            floor = max(floor, noise)
        k = int(np.count_nonzero(values > floor))
        spectrum, loadings = values[:k], vectors[:, :k]
        to = loadings / spectrum  # U = X V / S
        if denoised and 0 < k < min(self.n_samples - 1, len(mean)):
            spectrum, loadings, to = self._in_equal_scale(name, k) or (spectrum, loadings, to)
        rows = max(self._widths.values())  # as many for all, as for samples
        basis = np.eye(rows, len(spectrum))
        return Subspace(basis, spectrum, loadings, mean, spectrum), to

    def _in_equal_scale(self, name: str, found: int) -> tuple[Array, Array, Array] | None:
        """Each neuron measured by its own size, as `factors.in_equal_scale` does it."""
        # Each entry of the products is exact beside the two neurons it belongs to.
        products, squares = self.cross_product(name, name), self._squares(name)
        alive, sizes = squares > SMALLEST**2, self._stored(name)
        scale = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=alive)
        values, vectors = _roots(products * np.outer(scale, scale))
        noise = scaled_noise(sizes[alive], self.n_samples, self._eps[name])
        kept = values > max(noise, GRAM_NOISE * float(values[0]))
        if np.count_nonzero(kept) <= found:
            return None
        to = scale[:, None] * vectors[:, kept] / values[kept]
        rotation, spectrum, loadings_h = thin_svd(to.conj().T @ products)
        return spectrum, loadings_h.conj().T, to @ rotation

    def _noise(self, name: str) -> float:
        """What rounding to the dtype of the batches adds, as `Subspace` estimates it."""
        return noise_of_columns(self._stored(name), self.n_samples, self._eps[name])

    def _stored(self, name: str) -> Array:
        """Norms of the neurons, means included."""
        return np.sqrt(self._squares(name) + self.n_samples * np.abs(self.mean(name)) ** 2)

    def _squares(self, name: str) -> Array:
        columns = self._columns(name)
        return self._products[columns, columns].diagonal().real

    def _lost(self, name: str, axes: Subspace, to: Array) -> str:
        """Which neurons stand out of the directions kept, though not by rounding; empty if none."""
        # Each entry of the products is exact beside the two neurons it belongs to, however small
        # they are: what the projection Uᴴx of a neuron leaves of it is known.
        squares = self._squares(name)
        projected = self.cross_product(name, name) @ to
        rest = squares - np.sum(np.abs(projected) ** 2, axis=1)
        lost = np.count_nonzero((rest > NOT_KEPT * squares) & (rest > self._noise(name) ** 2))
        if not (axes.rank and lost):
            return ""
        return f"{lost} of {len(squares)} neurons of {name} (beside neuron {np.argmax(squares)})"


def _measure(name: str, *, adjusted: bool) -> Measure:
    """The measure of that name, if moments suffice for it; ValueError with those that they do."""
    kind = get_measure(name)
    enough = [known for known in SUFFICIENT if MEASURES[known].chance or not adjusted]
    if name in enough:
        return kind
    if name in SUFFICIENT:
        why = f"The chance level of {name!r} takes permutations of the samples"
    else:
        why = f"{name!r} looks at single samples"
    raise ValueError(
        f"{why}, which moments do not keep. Expected one of: {', '.join(enough)}. For others keep "
        "the activations for `similarity_grid`; `MinibatchCKA` gives debiased CKA from batches."
    )


def _names(argument: str, names: Sequence[str]) -> list[str]:
    """TypeError for a single name, which is a sequence of letters."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(
            f"`{argument}` must be a list of names of layers, such as ['conv', 'dense']. "
            f"Received: {argument}={names!r}"
        )
    return list(names)


def _roots(products: Array) -> tuple[Array, Array]:
    """Of the eigenvalues, descending, and the vectors."""
    squares, vectors = np.linalg.eigh(products)
    return np.sqrt(np.maximum(squares[::-1], 0.0)), vectors[:, ::-1]


class MinibatchCKA(Stream):
    """Debiased linear CKA of all layers, averaged over batches (Nguyen, Raghu & Kornblith 2021).

    Σ HSIC₁(K, L) / sqrt(Σ HSIC₁(K, K) · Σ HSIC₁(L, L)) over batches, K = XXᴴ and L = YYᴴ, with the
    unbiased estimator of Song et al. 2012 (J. Mach. Learn. Res. 13:1393), which has the same mean
    for batches of any size; see arXiv:2010.15327, §3. One batch of all samples gives debiased
    linear CKA. Batches must be random draws (shuffle first) of at least 4 rows; all count alike.

    Example:
        >>> import numpy as np
        >>> cka = MinibatchCKA()
        >>> for x, noise in np.random.default_rng(0).normal(size=(50, 2, 64, 3)):
        ...     cka.update({"x": x, "shifted": 2 * x + 1, "noise": noise})
        >>> cka.value.round(1).tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    # Sums over batches, for all pairs, and for each with itself before debiasing.
    _hsic: Any = 0.0
    _biased: Any = 0.0

    @property
    def value(self) -> Array:
        """CKA of all pairs, shape (n_layers, n_layers), in the order of `names`; at most 1.

        Around 0 for independent layers, hence also below. nan, with a warning, for a layer of
        which debiasing leaves nothing: constant in every batch, or but for one row of it.
        """
        if not self.n_samples:
            raise ValueError("No batch to compute CKA from. Call `update` first.")
        own = self._hsic.diagonal()
        nothing = own <= np.maximum(CANCELLED * self._biased, SMALLEST**4)
        if nothing.any():
            names = ", ".join(np.array(self.names)[nothing])
            warn(f"Constant in every batch, or but for one row: {names}. Similarity is nan.")
        length = np.sqrt(np.where(nothing, np.nan, own))
        return np.minimum(self._hsic / length[:, None] / length, 1.0)

    def _take(self, batch: list[Array]) -> None:
        n = len(batch[0])
        if n < 4:
            raise ValueError(f"Debiased CKA needs at least 4 samples. Join these {n} to a batch.")
        batch = [centre(rows - rows[0])[0] for rows in batch]
        if max(x.shape[1] for x in batch) <= n:
            shared = np.array([[np.linalg.norm(x.conj().T @ y) ** 2 for y in batch] for x in batch])
        else:  # ‖XᴴY‖²_F = ⟨K, L⟩_F, of smaller matrices
            kernels = np.array([(x @ x.conj().T).ravel() for x in batch])
            shared = (kernels.conj() @ kernels.T).real
        # The estimator sets the diagonals of K and L to 0. With X centred, which changes nothing
        # (complex X: by definition here) but gives K1 = 0, that is exactly
        # (‖XᴴY‖²_F - n/(n-2) Σ Kᵢᵢ Lᵢᵢ + tr K tr L / ((n-1)(n-2))) / (n (n-3)).
        squares = np.array([np.sum(np.abs(x) ** 2, axis=1) for x in batch])
        traces = squares.sum(axis=1)
        bias = n / (n - 2) * squares @ squares.T - np.outer(traces, traces) / ((n - 1) * (n - 2))
        self._hsic = self._hsic + (shared - bias) / (n * (n - 3))
        self._biased = self._biased + shared.diagonal() / (n * (n - 3))

    def _join(self, other: MinibatchCKA) -> None:
        order = [other.names.index(name) for name in self.names]
        self._hsic = self._hsic + other._hsic[np.ix_(order, order)]
        self._biased = self._biased + other._biased[order]
