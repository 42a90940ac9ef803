"""Weights of cells that are laid out when they are first looked at: few who estimate do."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Weighted"]


def _none() -> None:
    """Return nothing, as a default that is no attribute of the class."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted:
    """What has weights, or says how to lay them out.

    Parameters
    ----------
    weights : array (k, J, T), optional
        Of each cell in each term.
    laid_out : callable, optional
        Returns them; asked once, when `weights` is first read.

    Examples
    --------
    >>> made = Weighted(laid_out=lambda: np.ones((1, 2, 3)))
    >>> made.weights.shape, made.weights is made.weights
    ((1, 2, 3), True)
    """

    weights: NDArray[np.float64] | None = field(default_factory=_none)
    laid_out: Callable[[], NDArray[np.float64]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.weights is None and self.laid_out is not None:
            object.__delattr__(self, "weights")  # so that `__getattr__` is asked

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Lay the weights out."""
            if name != "weights" or self.__dict__.get("laid_out") is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            made = self.laid_out()
            object.__setattr__(self, "weights", made)
            return made

    def changed(self, **fields: object) -> Self:
        """Return a copy with other fields, without laying the weights out."""
        made = copy(self)
        for name, value in fields.items():
            object.__setattr__(made, name, value)
        return made
