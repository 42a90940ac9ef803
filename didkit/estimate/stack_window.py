"""The window of a stacked regression where none is asked for: the widest that keeps every start."""

from __future__ import annotations

from dataclasses import dataclass

from didkit.design import Sample

__all__ = ["Window", "widest"]


@dataclass(frozen=True)
class Window:
    """Periods before the start, after the first treated one, and how they came about."""

    before: int
    after: int
    notes: tuple[str, ...] = ()


def widest(
    sample: Sample, before: int | None, after: int | None, *, anticipation: int, not_yet: bool
) -> Window:
    """Return the widest window that keeps every start that some window keeps.

    A start is kept where the panel holds its window and, where nobody never starts, later pilots
    are clean throughout.

    Parameters
    ----------
    sample : Sample
        Starts and periods.
    before, after : int or None
        Periods that were asked for; None: to be found.
    anticipation : int
        Periods before the start in which the programme may act: the window reaches back further.
    not_yet : bool
        Whether later pilots serve.

    Returns
    -------
    Window
        The least that can be, where no start has any.
    """
    if before is not None and after is not None:
        return Window(int(before), int(after))
    last = len(sample.periods) - 1
    room = {s: (s, last - s) for s in sample.starts}
    if not_yet and sample.pilot.all():
        clean = sample.starts[-1] - anticipation - 1
        room = {s: (s, min(last, clean) - s) for s in sample.starts}
    least = anticipation + 1 if before is None else int(before)
    first = 0 if after is None else int(after)
    kept = {s: pair for s, pair in room.items() if pair[0] >= least and pair[1] >= first}
    early = min((b for b, _ in kept.values()), default=least) if before is None else least
    late = min((a for _, a in kept.values()), default=first) if after is None else first
    if not kept:
        return Window(early, late)
    said = f"window before={early}, after={late}, the widest that keeps every start"
    for wanted, name, at, n in ((before, "before", 0, early), (after, "after", 1, late)):
        lost = [sample.periods[s] for s, pair in kept.items() if pair[at] == n]
        if wanted is None and len(lost) < len(kept):
            said += f"; {name}={n + 1} would lose start {', '.join(lost)}"
    return Window(early, late, (said,))
