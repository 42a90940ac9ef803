"""Restrictions on how far trends may differ: unions of polyhedra of paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, is_number, is_whole

__all__ = ["Piece", "RelativeMagnitudes", "Smoothness"]

Floats = NDArray[np.float64]
_OF = ("first", "second")
_DIRECTIONS = (None, "positive", "negative")
_MONOTONE = (None, "increasing", "decreasing")


@dataclass(frozen=True, eq=False)
class Piece:
    """One polyhedron of paths: the paths δ with A δ ≤ d.

    Parameters
    ----------
    A : array (m, k)
        One row a condition, one column a term (the reference, where δ is 0, has none).
    d : array (m,)
        In the metric's unit.
    """

    A: Floats
    d: Floats

    def __post_init__(self) -> None:
        if np.ndim(self.A) != 2 or np.shape(self.d) != (len(self.A),):
            raise InferenceError(
                needed="A with a row a condition and d with a number a row",
                found=f"shapes {np.shape(self.A)} and {np.shape(self.d)}",
                where="Piece",
                todo="give one number of d for each row of A",
            )


@dataclass(frozen=True, kw_only=True)
class RelativeMagnitudes:
    """The violation jumps after the start by at most a multiple of its largest jump before.

    With δ the path of the violation (what the terms would be without any effect; 0 at the
    reference), every jump from one period to the next that ends at the first period with a
    possible effect or later is at most `size` times the largest jump among periods before it, in
    absolute value (Rambachan & Roth 2023, section 2.4). That is a union of polyhedra: one for
    each period and sign that the largest jump before may have.

    Parameters
    ----------
    of : {"first", "second"}, default "first"
        ``"first"``: jumps of the violation from period to period (deviation from parallel
        trends). ``"second"``: changes of its slope (deviation from a linear trend).
    direction : {None, "positive", "negative"}
        Sign of the violation from the first period with a possible effect on, where the subject
        says it.
    monotone : {None, "increasing", "decreasing"}
        Whether the violation, in all periods, never falls or never rises.

    Raises
    ------
    InferenceError
        If an option is unknown; from `pieces`, if there is no jump before the start to measure
        by, or the size is negative or not finite.

    Examples
    --------
    Three periods before (the last the reference) and one after, half the largest jump:

    >>> import numpy as np
    >>> pieces = RelativeMagnitudes().pieces(np.array([-3, -2, 0]), -1, 0, 0.5)
    >>> len(pieces), pieces[0].A.shape
    (4, (5, 3))
    """

    of: str = "first"
    direction: str | None = None
    monotone: str | None = None

    def __post_init__(self) -> None:
        _known("of", self.of, _OF)
        _known("direction", self.direction, _DIRECTIONS)
        _known("monotone", self.monotone, _MONOTONE)

    def pieces(
        self, times: Sequence[int] | NDArray[np.int64], reference: int, first: int, size: float
    ) -> tuple[Piece, ...]:
        """Give the polyhedra whose union the violation lies in.

        Parameters
        ----------
        times : int array (k,)
            Event times of the terms, ascending; with the reference they have no gap.
        reference, first : int
            Event time at which the violation is 0, and the first with a possible effect.
        size : float
            How many times the largest jump before.

        Returns
        -------
        tuple of Piece
            Two for each jump before the start (one with size 0, and one a jump where a monotone
            violation fixes the sign of jumps).
        """
        size = _size(size)
        embedded, path = _path(times, reference, first)
        order = _OF.index(self.of) + 1
        steps = np.diff(embedded, n=order, axis=0)
        late = path[order:] >= first
        before = steps[~late]
        if not len(before):
            raise InferenceError(
                needed=f"{order + 1} periods before the start or more, to measure the largest "
                + ("jump" if order == 1 else "change of slope")
                + " there",
                found=f"{int((path < first).sum())}",
                where=f"{type(self).__name__}(of={self.of!r})",
                todo="widen the window, or use Smoothness with a size in the metric's unit",
            )
        shape = _shape(embedded, path, first, self.direction, self.monotone)
        if size == 0.0:  # the union leaves the periods before the start free
            return (_piece(np.vstack([steps[late], -steps[late], shape])),)
        factor = np.where(late, size, 1.0)[:, None]
        signs: tuple[float, ...] = (1.0, -1.0)
        if order == 1 and self.monotone is not None:
            signs = (1.0,) if self.monotone == "increasing" else (-1.0,)
        made = []
        for one in range(len(before)):
            for sign in signs:
                most = sign * before[one] * factor
                made.append(_piece(np.vstack([steps - most, -steps - most, shape])))
        return tuple(made)

    def describe(self, size: float, unit: str) -> str:
        """Say the restriction in words, for a size; the unit of the metric is not needed."""
        what = (
            "jumps of the difference in trends"
            if self.of == "first"
            else "changes of slope of the difference in trends"
        )
        said = (
            f"no {what} from the start on"
            if size == 0
            else f"{what} from the start on of at most {size:g} times the largest before"
        )
        return said + _shape_words(self.direction, self.monotone)

    def unit(self, metric: str) -> str:
        """Say what a size counts: multiples, whatever the metric's unit."""
        what = "jump" if self.of == "first" else "change of slope"
        return f"times the largest {what} before the start"


@dataclass(frozen=True, kw_only=True)
class Smoothness:
    """The slope of the violation changes by at most `size` from one period to the next.

    With δ the path of the violation (0 at the reference), every second difference, before and
    after the start, is at most `size` in absolute value (Rambachan & Roth 2023, section 2.4).
    Size 0 says that trends differ by a straight line.

    Parameters
    ----------
    direction : {None, "positive", "negative"}
        Sign of the violation from the first period with a possible effect on.
    monotone : {None, "increasing", "decreasing"}
        Whether the violation, in all periods, never falls or never rises.

    Raises
    ------
    InferenceError
        If an option is unknown; from `pieces`, if the size is negative or not finite, or there is
        one period before the start.

    Examples
    --------
    >>> import numpy as np
    >>> (piece,) = Smoothness().pieces(np.array([-2, 0]), -1, 0, 0.3)
    >>> piece.A.tolist(), piece.d.tolist()
    ([[1.0, 1.0], [-1.0, -1.0]], [0.3, 0.3])
    """

    direction: str | None = None
    monotone: str | None = None

    def __post_init__(self) -> None:
        _known("direction", self.direction, _DIRECTIONS)
        _known("monotone", self.monotone, _MONOTONE)

    def pieces(
        self, times: Sequence[int] | NDArray[np.int64], reference: int, first: int, size: float
    ) -> tuple[Piece, ...]:
        """Give the polyhedron, one, in which the violation lies; see `RelativeMagnitudes`.

        The size is in the metric's unit a period, a period.
        """
        size = _size(size)
        embedded, path = _path(times, reference, first)
        bends = np.diff(embedded, n=2, axis=0)
        shape = _shape(embedded, path, first, self.direction, self.monotone)
        A = np.vstack([bends, -bends, shape])
        d = np.r_[np.full(2 * len(bends), size), np.zeros(len(shape))]
        return (Piece(A, d),)

    def describe(self, size: float, unit: str) -> str:
        """Say the restriction in words, for a size."""
        said = (
            "trends that differ by a straight line"
            if size == 0
            else f"a difference in trends whose slope changes by at most {size:g} {unit} "
            "from one period to the next"
        )
        return said + _shape_words(self.direction, self.monotone)

    def unit(self, metric: str) -> str:
        """Say what a size counts."""
        return f"{metric} a period, from one period to the next"


def _path(
    times: Sequence[int] | NDArray[np.int64], reference: int, first: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Return the map (n, k) from terms to the whole path, and its n event times."""
    given = np.asarray(times)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
        raise _wrong("event times as whole numbers", f"{given.dtype} of shape {given.shape}")
    if not is_whole(reference) or not is_whole(first) or not reference < first:
        raise _wrong("a reference before the first event time with an effect", f"{reference}")
    path = np.sort(np.append(given, reference))
    if not np.array_equal(path, np.arange(path[0], path[-1] + 1)) or (np.diff(given) <= 0).any():
        raise _wrong(
            "ascending event times without a gap between them and the reference",
            f"{given.tolist()} and reference {reference}",
        )
    if not (given < first).any() or not (given >= first).any():
        raise _wrong(
            "a term before the start and one from it on",
            f"{int((given < first).sum())} before and {int((given >= first).sum())} from it on",
        )
    embedded = np.zeros((len(path), len(given)))
    embedded[np.searchsorted(path, given), np.arange(len(given))] = 1.0
    return embedded, path.astype(np.int64)


def _shape(
    embedded: Floats,
    path: NDArray[np.int64],
    first: int,
    direction: str | None,
    monotone: str | None,
) -> Floats:
    """Return rows R with R δ ≤ 0 for the sign and the monotone path."""
    rows = [np.zeros((0, embedded.shape[1]))]
    if direction is not None:
        rows.append((-1.0 if direction == "positive" else 1.0) * embedded[path >= first])
    if monotone is not None:
        rows.append((-1.0 if monotone == "increasing" else 1.0) * np.diff(embedded, axis=0))
    return np.vstack(rows)


def _piece(A: Floats) -> Piece:
    """Return the cone A δ ≤ 0 without rows that say nothing."""
    A = A[(A != 0.0).any(axis=1)]
    return Piece(A, np.zeros(len(A)))


def _shape_words(direction: str | None, monotone: str | None) -> str:
    said = ""
    if direction is not None:
        said += f", {direction} from the start on"
    if monotone is not None:
        said += ", never falling" if monotone == "increasing" else ", never rising"
    return said


def _size(size: float) -> float:
    """Return a size that means something."""
    if not is_number(size) or not np.isfinite(size) or size < 0:
        raise InferenceError(
            needed="a size of 0 or more",
            found=repr(size),
            where="size",
            todo="say how far trends may differ: 0 for not at all",
        )
    return float(size)


def _known(name: str, value: object, choices: tuple[object, ...]) -> None:
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise InferenceError(
            needed=f"{name} as one of {', '.join(map(repr, choices))}",
            found=repr(value),
            where="the restriction",
            todo="choose one of these",
        )


def _wrong(needed: str, found: str) -> InferenceError:
    return InferenceError(
        needed=needed,
        found=found,
        where="terms by event time",
        todo="use the terms of one event study; EventTerms.of(estimate) makes them",
    )
