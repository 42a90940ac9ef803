"""Every error and warning that didkit raises: one tree, one shape of message.

A message has four parts: what was needed, what was found (how many, and the first
few), where, and what to do. Nothing here knows about panels or estimates.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real

__all__ = [
    "DesignError",
    "DidkitError",
    "DidkitWarning",
    "EstimationError",
    "InferenceError",
    "PanelError",
    "PlanError",
    "ReadError",
    "first_few",
    "is_number",
    "is_whole",
    "kind_of",
]


class DidkitError(Exception):
    """Base of every error that didkit raises on purpose.

    Parameters
    ----------
    needed : str
        What was needed.
    found : str
        What was found instead: how many, and the first few.
    where : str
        Where it was found: file, column, argument, unit.
    todo : str
        What the reader can do about it.
    """

    def __init__(self, *, needed: str, found: str, where: str, todo: str) -> None:
        self.needed = needed
        self.found = found
        self.where = where
        self.todo = todo
        super().__init__(
            f"needed: {needed}\n  found: {found}\n  where: {where}\n  what to do: {todo}"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.needed, self.found, self.where, self.todo))


def _rebuild(
    kind: type[DidkitError], needed: str, found: str, where: str, todo: str
) -> DidkitError:
    """Make an error again in another process (keyword-only arguments do not pickle)."""
    return kind(needed=needed, found=found, where=where, todo=todo)


class PanelError(DidkitError, ValueError):
    """The data cannot become, or stay, a valid panel."""


class ReadError(PanelError):
    """A file is not what it was taken for, or cannot be read safely."""


class DesignError(DidkitError, ValueError):
    """Who is compared with whom, when, is not a usable design."""


class EstimationError(DidkitError, ValueError):
    """The estimate asked for does not exist on this sample."""


class InferenceError(DidkitError, ValueError):
    """The uncertainty asked for does not exist for this estimate."""


class PlanError(DidkitError, ValueError):
    """A written plan cannot be read, contradicts itself, or names what is not there."""


class DidkitWarning(UserWarning):
    """Something doubtful that the reader must see; never used for the meaningless."""


def first_few(items: Iterable[object], n: int = 5) -> str:
    """Show how many items there are and the first few of them.

    Parameters
    ----------
    items : iterable
        What was found.
    n : int, default 5
        How many to show.

    Returns
    -------
    str
        For example ``"7 (303, 304, 801, 855, 925, …)"``.

    Examples
    --------
    >>> first_few(["a", "b", "c"], n=2)
    '3 (a, b, …)'
    """
    found = [str(item) for item in items]
    shown = ", ".join(found[:n]) + (", …" if len(found) > n else "")
    return f"{len(found)} ({shown})"


def kind_of(value: object) -> str:
    """Name the type of a value with its article.

    Examples
    --------
    >>> kind_of(2014), kind_of("2014")
    ('an int', 'a str')
    """
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def is_whole(value: object) -> bool:
    """Tell a whole number (Python's or NumPy's) from anything else; a truth value is not one.

    Examples
    --------
    >>> is_whole(3), is_whole(3.0), is_whole(True)
    (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Tell a real number from anything else; a truth value is not one."""
    return isinstance(value, Real) and not isinstance(value, bool)
