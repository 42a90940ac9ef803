"""What reading a damaged file may do: give the same panel, say what differs, or refuse.

Everything else is a failure: another exception, a warning that is not ours, a number changed, a
cell changed without a word in the log, much memory, or a long time.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from read.mutate import CSV_MUTATORS, Mutator, Original, source
from read.mutate_packed import PARQUET_MUTATORS, WORKBOOK_MUTATORS, ZIP_MUTATORS

from didkit.design import Neighbours
from didkit.errors import DidkitError, DidkitWarning
from didkit.panel import Cells, Panel, Status
from didkit.read import read_dfe, read_neighbours

__all__ = ["Case", "Outcome", "case", "judge", "mutators", "read", "replay", "try_one"]

SECONDS = 10.0
STUCK = 60  # seconds, after which reading is stopped
MEGABYTES = 300.0
MESSAGE = 20_000  # characters

Read = Callable[[Path], Panel | Neighbours]


@dataclass(frozen=True, eq=False)
class Case:
    """A file that reads as published: what it gives, and what may be done to it."""

    original: Original
    kind: str
    good: Panel | Neighbours
    warned: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Parameters
    ----------
    verdict : str
        ``equal``, ``names`` (equal but for what places are called), ``log`` (differs, and says
        so), ``refused``, or ``FAILURE``.
    detail : str
        For a failure or an error, what happened.
    seconds, megabytes : float
        Processor time of reading, and the peak of the memory in it less what there was before.
    """

    verdict: str
    detail: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0


def read(file: Path) -> Panel | Neighbours:
    """Read a file by the reader that it is for."""
    return (
        read_neighbours(file)
        if "neighbours" in file.name or file.name[:3] == "sn_"
        else read_dfe(file)
    )


def mutators(kind: str) -> dict[str, Mutator]:
    """Every mutator of a kind of file."""
    return {
        "csv": CSV_MUTATORS | ZIP_MUTATORS,
        "neighbours": dict(CSV_MUTATORS),
        "workbook": WORKBOOK_MUTATORS,
        "parquet": PARQUET_MUTATORS,
    }[kind]


def case(file: Path, reader: Read = read) -> Case:
    """Read a file as published, which must be possible.

    Raises
    ------
    DidkitError
        If it is not.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        good = reader(file)
    kind = {".xlsx": "workbook", ".parquet": "parquet"}.get(file.suffix.casefold(), "csv")
    if kind == "csv" and isinstance(good, Neighbours):
        kind = "neighbours"
    warned = tuple(sorted(str(one.message) for one in caught))
    return Case(Original(file.name, file.read_bytes()), kind, good, warned)


def replay(what: Case, mutator: str, seed: int) -> bytes:
    """Make a mutant again."""
    name = what.original.name
    return mutators(what.kind)[mutator](what.original, source(name, mutator, seed))


def try_one(what: Case, mutator: str, seed: int, folder: Path, reader: Read = read) -> Outcome:
    """Make one mutant, read it, and judge what comes out."""
    file = folder / what.original.name
    file.write_bytes(replay(what, mutator, seed))
    before, start = _memory(), time.process_time()
    made: Panel | Neighbours | BaseException
    with warnings.catch_warnings(record=True) as caught, _not_for_ever():
        warnings.simplefilter("always")
        try:
            made = reader(file)
        except Exception as error:  # noqa: BLE001
            made = error
    seconds, growth = time.process_time() - start, _peak() - before
    verdict, detail = judge(what, made, [(one.category, str(one.message)) for one in caught])
    if growth > MEGABYTES:
        verdict, detail = "FAILURE", f"{growth:,.0f} MB of memory ({verdict}: {detail})"
    if seconds > SECONDS:
        verdict, detail = "FAILURE", f"{seconds:.1f} s ({verdict}: {detail})"
    return Outcome(verdict, detail, seconds, growth)


def judge(
    what: Case,
    made: Panel | Neighbours | BaseException,
    warned: list[tuple[type[Warning], str]],
) -> tuple[str, str]:
    """Give the verdict on what reading a mutant gave, and why."""
    strangers = [f"{kind.__name__}: {text}" for kind, text in warned if kind is not DidkitWarning]
    if strangers:
        return "FAILURE", f"a warning that is not ours: {strangers[0]}"
    if isinstance(made, DidkitError):
        parts = (made.needed, made.found, made.where, made.todo)
        if not all(parts) or len(str(made)) > MESSAGE:
            return "FAILURE", f"a message without its four parts, or of {len(str(made)):,} letters"
        return "refused", f"{type(made).__name__}: {made.found}"[:300]
    if isinstance(made, BaseException):
        return "FAILURE", f"{type(made).__name__}: {made}"[:500]
    texts = tuple(sorted(text for _, text in warned))
    if isinstance(made, Neighbours) and isinstance(what.good, Neighbours):
        return _neighbours(what.good, made, said=texts != what.warned)
    if isinstance(made, Panel) and isinstance(what.good, Panel):
        return _panel(what.good, made)
    return "FAILURE", f"a {type(made).__name__} where a {type(what.good).__name__} was"


def _panel(good: Panel, made: Panel) -> tuple[str, str]:
    numbers, other = _differences(good, made)
    if numbers:
        return "FAILURE", f"whatever the log says: {numbers}"
    if other and _log(good) == _log(made):
        return "FAILURE", f"the log is the same, and {other}"
    if other:
        return "log", other
    return ("equal" if good.units.equals(made.units) else "names"), ""


def _log(panel: Panel) -> tuple[object, ...]:
    """What a panel says of its files: the log, and how each was recognised and decoded."""
    files = {
        (one.release, one.table, one.file, one.note)
        for sources in panel.sources.values()
        for one in sources
    }
    return (*panel.log.itertuples(index=False, name=None), *sorted(files))


def _differences(good: Panel, made: Panel) -> tuple[str, str]:
    """Say which common cell has another number, and what else differs (but names)."""
    other: list[str] = []
    if good.unit_ids != made.unit_ids:
        gone = sorted(set(good.unit_ids) ^ set(made.unit_ids))
        other.append(f"{len(gone)} units differ ({', '.join(gone[:3])})")
    if good.periods != made.periods:
        other.append(f"periods are {', '.join(made.periods[:3])}…")
    if set(good.metrics) != set(made.metrics):
        other.append(f"metrics differ: {sorted(set(good.metrics) ^ set(made.metrics))[:5]}")
    others = set(made.unit_ids)
    units = [code for code in good.unit_ids if code in others]
    periods = [one for one in good.periods if one in made.periods]
    here = _positions(good, units, periods)
    there = _positions(made, units, periods)
    for name in good.metrics:
        if name not in made.metrics or not units or not periods:
            continue
        if good.metrics[name] != made.metrics[name]:
            other.append(f"{name} is another metric")
        old, new = good.cells(name), made.cells(name)
        narrower = _narrower(old, new, here, there)
        if narrower.any():
            i, t = np.argwhere(narrower)[0]
            return f"bounds of {name}, {units[i]} in {periods[t]} are narrower", ""
        for what in ("value", "status", "lower", "upper"):
            a, b = getattr(old, what)[here], getattr(new, what)[there]
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            # A number that was not there before is another number too; one that is lost is not.
            if what == "value" and (~same & ~np.isnan(b)).any():
                i, t = np.argwhere(~same & ~np.isnan(b))[0]
                return f"{name}, {units[i]} in {periods[t]}: {a[i, t]:g} → {b[i, t]:g}", ""
            if not same.all():
                i, t = np.argwhere(~same)[0]
                shown = f"{a[i, t]:g} → {b[i, t]:g}"
                if what == "status":
                    shown = f"{Status(a[i, t]).label} → {Status(b[i, t]).label}"
                other.append(f"{what} of {name}, {units[i]} in {periods[t]}: {shown}")
    return "", "; ".join(other[:4])


def _narrower(
    old: Cells, new: Cells, here: tuple[np.ndarray, ...], there: tuple[np.ndarray, ...]
) -> np.ndarray:
    """Tell hidden cells that a file with less in it would bound more narrowly, which is false.

    Only where a cell became "not applicable" may it: the file then says that it counts nobody.
    """
    was, now = old.status[here], new.status[there]
    hidden = (was == Status.SUPPRESSED) & (now == Status.SUPPRESSED)
    if ((now == Status.NOT_APPLICABLE) & (was != Status.NOT_APPLICABLE)).any():
        return np.zeros_like(hidden)
    lower = np.nan_to_num(new.lower[there]) > np.nan_to_num(old.lower[here])
    upper = np.nan_to_num(new.upper[there], nan=np.inf) < np.nan_to_num(old.upper[here], nan=np.inf)
    return hidden & (lower | upper)


def _positions(panel: Panel, units: list[str], periods: list[str]) -> tuple[np.ndarray, ...]:
    row = {code: i for i, code in enumerate(panel.unit_ids)}
    column = {one: t for t, one in enumerate(panel.periods)}
    return np.ix_([row[code] for code in units], [column[one] for one in periods])


def _neighbours(good: Neighbours, made: Neighbours, *, said: bool) -> tuple[str, str]:
    """Hold lists against each other. A list of neighbours has no log: it is whole, or it warns."""
    about = ["unit", "rank", "neighbour", "closeness"]
    old, new = good.table[about], made.table[about]
    if old.equals(new):
        return ("equal" if good.table.equals(made.table) else "names"), ""
    lists = [
        {code: tuple(map(tuple, one.to_numpy())) for code, one in table.groupby("unit")}
        for table in (old, new)
    ]
    new_units = set(lists[1]) - set(lists[0])
    changed = [code for code, one in lists[1].items() if lists[0].get(code, one) != one]
    if said:
        return "log", "a warning says so"
    if new_units or changed:
        return "FAILURE", f"other lists without a word: {sorted(new_units)[:3]}, {changed[:3]}"
    # Whole lists are lost: the authorities that it has are those that it shows.
    return "log", f"{len(lists[0]) - len(lists[1])} authorities fewer"


# -- time and memory -----------------------------------------------------------------------------


def _memory() -> float:
    """Memory of this process now, in MB; from here on its peak is counted anew, where it can be."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _status("VmRSS")
    return _peak()


def _peak() -> float:
    """Peak memory of this process in MB; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        return _status("VmHWM")
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1_000_000 if sys.platform == "darwin" else 1_000)


def _status(what: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(float(line.split()[1]) / 1_000 for line in lines if line.startswith(what))


@contextlib.contextmanager
def _not_for_ever() -> Iterator[None]:
    """Stop what takes a minute, where the system can."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"stopped after {STUCK} s")

    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(STUCK)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
