"""What is known about a measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .kernels import Formula, alignment
from .messages import unknown_name
from .subspace import Subspace

# Options that choose directions of one layer, before two layers meet.
_CUTS = ("explained_variance", "dims", "criterion")


@dataclass(frozen=True)
class Measure:
    """One measure, and what is known about it.

    Attributes:
        function: The public function ``(x, y, *, …) -> float``.
        of_cross: The same from ``Uₓᴴ U_y`` and both (cut) subspaces.
        defaults: The options it takes, with their defaults.
        invariances: Changes of the activations that leave it as it is; `"… of y"` where only one
            side may change.
        symmetric: Whether ``m(x, y) == m(y, x)``.
        reference: Where it is defined.
        chance: Mean for independent views, from n_samples, dims_x, dims_y; None if unknown.
        dims: Attribute of `Subspace` with the dimensions that chance depends on.
        lowest: No value is below this.
        by_variance: Whether directions count by their variance, and noise for next to nothing.
        of_neurons: Whether the formula looks at the loadings too.
        of_span: Whether any orthonormal basis of the directions will do.
        of_rests: The same as of_cross from what completes the bases, where that tells it.
        of_kernels: The same from sums over both linear kernels, where it is a function of these.
        in_double: Whether it needs double precision whatever came in, as it subtracts large sums.
    """

    function: Callable[..., float]
    of_cross: Callable[..., float]
    defaults: Mapping[str, Any]
    invariances: frozenset[str]
    symmetric: bool
    reference: str
    chance: Callable[..., float] | None = None
    dims: str = "rank"
    lowest: float = 0.0
    by_variance: bool = False
    of_neurons: bool = False
    of_span: bool = False
    of_rests: Callable[..., float] | None = None
    of_kernels: Formula | None = None
    in_double: bool = False

    @property
    def one_alone(self) -> bool:
        """Whether every layer that varies has 1 with itself: estimates may have no value there."""
        return self.of_kernels in (None, alignment)

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults, updated with what was given. TypeError for an option it does not take."""
        name = self.function.__name__
        if not isinstance(given, Mapping):
            raise TypeError(
                f'Options of {name} come in a dict, such as {{"dims": 20}}. Received: {given!r}'
            )
        for key in given:
            if key not in self.defaults:
                raise TypeError(unknown_name("option", key, self.defaults, where=f"of {name}"))
        return {**self.defaults, **given}

    def cut(self, s: Subspace, settings: Mapping[str, Any]) -> Subspace:
        """The directions of `s` that the measure looks at."""
        return s.truncate(**self.cuts(settings))

    def takes_all(self, settings: Mapping[str, Any]) -> bool:
        """Whether these settings leave all directions of a layer."""
        share, dims = (settings.get(key) for key in ("explained_variance", "dims"))
        return dims is None and (share is None or share == 1.0)

    def cuts(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that choose directions of one layer."""
        return {key: settings[key] for key in _CUTS if key in settings}

    def rest(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the formula itself."""
        return {key: value for key, value in settings.items() if key not in _CUTS}

    def mirrors(self, settings: Mapping[str, Any]) -> bool:
        """Whether it is symmetric with these settings."""
        return self.symmetric or bool(settings.get("symmetric"))

    def chance_of(self, x: Subspace, y: Subspace, n_samples: int | None = None) -> float | None:
        """Chance level of two (cut) layers; None if there is no closed form.

        Args:
            x: One layer.
            y: The other.
            n_samples: If their factors have not a row for each.
        """
        if self.chance is None:
            return None
        dims_x, dims_y = getattr(x, self.dims), getattr(y, self.dims)
        return self.chance(
            n_samples=n_samples or x.n_samples,
            dims_x=dims_x,
            dims_y=dims_y,
            of_complex=any(np.iscomplexobj(s.loadings) or np.iscomplexobj(s.basis) for s in (x, y)),
        )
