"""Random weights of the wild bootstrap: a chunk of draws at a time, or all vectors of signs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, is_whole

__all__ = ["SignKind", "Signs"]

Floats = NDArray[np.float64]

#: Distributions of the weights.
SignKind = Literal["rademacher", "webb", "mammen"]

_SIX = np.sqrt([1.5, 1.0, 0.5])
_WEBB = np.concatenate([-_SIX, _SIX[::-1]])
_GOLDEN = (np.sqrt(5.0) + 1) / 2
_LOW = _GOLDEN / np.sqrt(5.0)  # probability of the smaller of Mammen's two values


@dataclass(frozen=True)
class Signs:
    """Weights with mean 0 and variance 1, one a group and draw.

    Parameters
    ----------
    n_groups : int
        Groups that have a weight each.
    kind : {"rademacher", "webb", "mammen"}
        ±1; Webb's six points ±√½, ±1, ±√(3/2) (Webb 2023); Mammen's (1993) two.
    draws : int
        How many. Where there are no more vectors of signs than this (Rademacher), all of them are
        listed, the first all +1.
    seed : int
        Of one generator: the first draws are the same however many follow, and whatever the chunk.

    Raises
    ------
    InferenceError
        An unknown kind, or a number that is not a whole number of at least one (seed: zero).

    Examples
    --------
    >>> signs = Signs(3, "rademacher", draws=99, seed=0)
    >>> signs.exact, signs.total
    (True, 8)
    """

    n_groups: int
    kind: SignKind = "rademacher"
    draws: int = 9999
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(SignKind):
            raise InferenceError(
                needed=f"signs: one of {', '.join(get_args(SignKind))}",
                found=repr(self.kind),
                where="wild bootstrap (signs=)",
                todo="choose one of these",
            )
        whole = is_whole(self.draws) and is_whole(self.seed) and is_whole(self.n_groups)
        if not whole or self.draws < 1 or self.seed < 0 or self.n_groups < 1:
            raise InferenceError(
                needed="whole numbers: at least 1 draw and 1 group, seed= at least 0",
                found=f"draws={self.draws!r}, seed={self.seed!r}, {self.n_groups!r} groups",
                where="wild bootstrap",
                todo="9,999 draws are usual",
            )

    @property
    def exact(self) -> bool:
        """Whether all vectors of signs are listed."""
        return self.kind == "rademacher" and 2**self.n_groups <= self.draws

    @property
    def total(self) -> int:
        """How many vectors there will be."""
        return 2**self.n_groups if self.exact else int(self.draws)

    def chunks(self, size: int) -> Iterator[Floats]:
        """Give the vectors, at most `size` at a time.

        Parameters
        ----------
        size : int
            Rows of a chunk; the numbers do not depend on it.

        Yields
        ------
        array (at most size, n_groups)
            Weights.

        Examples
        --------
        >>> parts = list(Signs(40, "webb", draws=5, seed=1).chunks(2))
        >>> whole = next(Signs(40, "webb", draws=5, seed=1).chunks(5))
        >>> len(parts), bool((np.concatenate(parts) == whole).all())
        (3, True)
        """
        generator = np.random.default_rng(self.seed)
        for start in range(0, self.total, size):
            rows = min(size, self.total - start)
            if self.exact:
                codes = np.arange(start, start + rows)[:, None] >> np.arange(self.n_groups)
                yield np.asarray(1.0 - 2.0 * (codes & 1), dtype=np.float64)
            elif self.kind == "rademacher":
                # one 64-bit number is drawn at a time, so chunks of any size give the same bits
                words = -(-self.n_groups // 64)
                drawn = generator.integers(0, 2**64, (rows, words), dtype=np.uint64)
                octets = drawn.astype("<u8").view(np.uint8)
                bits = np.unpackbits(octets, axis=1, count=self.n_groups)
                yield np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
            else:
                uniform = generator.random((rows, self.n_groups))
                if self.kind == "webb":
                    yield np.asarray(_WEBB[(6 * uniform).astype(np.intp)], dtype=np.float64)
                else:
                    yield np.where(uniform < _LOW, 1 - _GOLDEN, _GOLDEN)
