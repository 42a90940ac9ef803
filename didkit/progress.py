"""Progress of long work: shown to a person who waits, never to a file, and interruptible."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["steps"]

Item = TypeVar("Item")
_AFTER = 1.0  # seconds: shorter work shows nothing
_shown: ContextVar[tqdm[Any] | None] = ContextVar("didkit_progress", default=None)


def steps(items: Iterable[Item], label: str, *, total: int | None = None) -> Iterator[Item]:
    """Go through items, and show how far along it is where somebody can see it.

    A bar appears on standard error after one second, if that is a terminal or a notebook; work
    inside work is written beside the outer bar. An interruption (Ctrl-C) passes through, and the
    bar is put away.

    Parameters
    ----------
    items : iterable
        The work.
    label : str
        What is being done, for people: "leaving one out".
    total : int, optional
        Number of items, where ``len`` does not know it.

    Yields
    ------
    item
        The items, in their order, unchanged.

    Examples
    --------
    >>> [item * 2 for item in steps([1, 2], "doubling")]
    [2, 4]
    """
    outer = _shown.get()
    if outer is not None:
        outer.set_postfix_str(label)
        yield from items
        outer.set_postfix_str("")
        return
    if not _watched():
        yield from items
        return
    from tqdm import tqdm

    file = _Cell() if _in_notebook() else sys.stderr
    bar = tqdm(items, desc=label, total=total, delay=_AFTER, leave=False, file=file)
    _shown.set(bar)
    try:
        yield from bar
    finally:
        bar.close()
        _shown.set(None)


def _watched() -> bool:
    """Whether somebody can see standard error: a terminal, or a notebook's output."""
    stream = sys.stderr
    if stream is None:
        return False
    return stream.isatty() or _in_notebook()


def _in_notebook() -> bool:
    return type(sys.stderr).__module__.startswith("ipykernel")


class _Cell:
    """One line of a notebook's output, written again and again, and empty at the end."""

    def __init__(self) -> None:
        self._handle: Any = None

    def write(self, text: str) -> None:
        """Show the line instead of the one before."""
        from IPython.display import display

        line = {"text/plain": text.strip()}
        if self._handle is not None:
            self._handle.update(line, raw=True)
        elif text.strip():
            self._handle = display(line, raw=True, display_id=True)

    def flush(self) -> None:
        """Do nothing: what is written is shown."""
