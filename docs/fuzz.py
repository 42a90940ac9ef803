"""Damages every published file in every way, and reads what is left.

    python docs/fuzz.py --inputs 20000 --jobs 2 --out docs/fuzz.md
    python docs/fuzz.py --replay FILE MUTATOR SEED

The published files lie in a folder `shared` beside the repository, or where DIDKIT_SHARED says.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from read.oracle import Case, Outcome, case, mutators, replay, try_one  # noqa: E402

from didkit.errors import DidkitError  # noqa: E402
from didkit.progress import steps  # noqa: E402

DATA = Path(os.environ.get("DIDKIT_SHARED") or HERE.parents[1] / "shared") / "data"
VERDICTS = ("equal", "names", "log", "refused", "FAILURE")
WEIGHTS = ((1_000_000, 0.7), (180_000, 1.0), (100_000, 2.0), (0, 3.0))  # by bytes
Task = tuple[str, str, int]


def published() -> dict[str, Path]:
    """Every published table and list of neighbours, by its path below the data."""
    kinds = {".csv", ".parquet", ".xlsx"}
    found = [one for folder in ("dfe", "neighbours") for one in (DATA / folder).rglob("*")]
    return {
        one.relative_to(DATA).as_posix(): one
        for one in sorted(found)
        if one.suffix.casefold() in kinds
    }


@cache
def _case(file: str) -> Case:
    return case(published()[file])


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz")


def one(task: Task) -> tuple[Task, Outcome]:
    """Try one mutant."""
    file, mutator, seed = task
    return task, try_one(_case(file), mutator, seed, Path(_folder().name))


def readable() -> tuple[dict[str, Case], dict[str, str]]:
    """Files that read as published, and for the others why they do not."""
    cases: dict[str, Case] = {}
    skipped: dict[str, str] = {}
    for file in published():
        try:
            cases[file] = _case(file)
        except DidkitError as error:
            skipped[file] = error.found
    return cases, skipped


def schedule(cases: dict[str, Case], inputs: int, ways_with: str) -> list[Task]:
    """Spread inputs over mutators and, by weight, over files, one file after another."""
    weight = {file: _weight(one) for file, one in cases.items()}
    ways = sum(weight[file] * len(_ways(one, ways_with)) for file, one in cases.items())
    each = inputs / max(ways, 1)
    return [
        (file, mutator, seed)
        for file, one in cases.items()
        for mutator in _ways(one, ways_with)
        for seed in range(1, 1 + math.ceil(weight[file] * each))
    ]


def _ways(what: Case, ways_with: str) -> list[str]:
    return [name for name in mutators(what.kind) if ways_with in name]


def _weight(what: Case) -> float:
    """Give small files more inputs: they take less time."""
    size = len(what.original.data)
    return next(weight for least, weight in WEIGHTS if size >= least)


def run(tasks: list[Task], jobs: int) -> list[tuple[Task, Outcome]]:
    """Try all mutants, and print each failure with its recipe."""
    made = []
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        found = pool.map(one, tasks, chunksize=50)
        for task, outcome in steps(found, "damaged files", total=len(tasks)):
            made.append((task, outcome))
            if outcome.verdict == "FAILURE":
                print("FAILURE: --replay", *task, "|", outcome.detail, flush=True)
    return made


def _table(made: list[tuple[Task, Outcome]], which: int) -> str:
    """Count verdicts by file (0) or mutator (1)."""
    counts: dict[str, Counter[str]] = {}
    for task, outcome in made:
        counts.setdefault(str(task[which]), Counter())[outcome.verdict] += 1
    heads = ("inputs", "equal", "names", "log says", "refused", "failures")
    lines = [
        f"| {('file', 'damage')[which]} | {' | '.join(heads)} |",
        "|---|" + "---:|" * len(heads),
    ]
    for name, count in counts.items():
        shown = name.replace("_", " ") if which else name
        row = [count.total(), *(count[verdict] for verdict in VERDICTS)]
        lines.append(f"| {shown} | " + " | ".join(f"{n:,}" for n in row) + " |")
    every = Counter(outcome.verdict for _, outcome in made)
    row = [every.total(), *(every[verdict] for verdict in VERDICTS)]
    return "\n".join([*lines, "| **all** | " + " | ".join(f"**{n:,}**" for n in row) + " |"])


def page(
    made: list[tuple[Task, Outcome]], skipped: dict[str, str], command: str, seconds: float
) -> str:
    """Write the result out."""
    every = Counter(outcome.verdict for _, outcome in made)
    slowest = max(made, key=lambda pair: pair[1].seconds)
    largest = max(made, key=lambda pair: pair[1].megabytes)
    mean = sum(outcome.seconds for _, outcome in made) / len(made)
    left = "\n".join(f"* `{file}`: {why}" for file, why in skipped.items())
    failures = "\n".join(
        f"* `python docs/fuzz.py --replay {' '.join(map(str, task))}`: {outcome.detail}"
        for task, outcome in made
        if outcome.verdict == "FAILURE"
    )
    return f"""# Damaged files

Written by `{command}` (Python {platform.python_version()}, {seconds / 60:.0f} minutes).
**{len(made):,} damaged inputs, {every["FAILURE"]:,} failures.**

Every published file that didkit reads was damaged in each of the ways below, with seeds 1, 2, 3, …,
and read. Each reading must end in one of these; anything else is a failure:

* **equal**: the same units, periods, values, statuses and bounds ({every["equal"]:,}), or the same
  but for what places are called ("names": {every["names"]:,});
* **log says**: a panel that differs, whose log or source differs too, and in which no cell that
  both have holds another number ({every["log"]:,});
* **refused**: a `DidkitError` with its four parts, of at most 20,000 letters
  ({every["refused"]:,}).

Failures are: another exception; a warning that is not `DidkitWarning`; another number in a cell, or
narrower bounds of a hidden one, whatever the log says; a status, bound, unit, period or metric that
differs under an unchanged log; more than 300 MB of memory for one reading; more than 10 seconds of
processor time.
Bounds may narrow, if the log says so, in a metric of which a cell became "not applicable": the file
then says that nobody is counted there.

Reading took {1000 * mean:.0f} ms of processor time on average, {slowest[1].seconds:.1f} s at most
(`{" ".join(map(str, slowest[0]))}`).
The largest peak of memory above what the process had before was {largest[1].megabytes:.0f} MB
(`{" ".join(map(str, largest[0]))}`).

**Left out, because no reader can tell:** a digit or decimal point changed into another, or put in;
the names of two columns exchanged; the codes of two authorities exchanged; bytes changed inside the
packed pages of a parquet file without checksums. A published rate is held against its count and
population where a release has all three, which finds many of these; the fuzzer does not count on
it.

A list of statistical neighbours has no log: it must be the same, warn, or lack whole authorities.

**What earlier runs found, since mended:** a number cut short at the very end of a file; numbers
hidden or lost without a word in the log; bounds that were false where an authority had no row, or a
region that its file does not know; totals that were lost in silence; a message of 46,877 letters;
lists of neighbours that were cut off, or had lost a closeness.

## By damage

{_table(made, 1)}

## By file

{_table(made, 0)}

## Not damaged

Files that are not read as published, and so are not damaged:

{left or "None."}

## Failures

{failures or "None."}
"""


def main() -> int:
    """Run, or replay one mutant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000, help="at least so many")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="files whose path has this in it")
    parser.add_argument("--ways", default="", help="mutators whose name has this in it")
    parser.add_argument("--out", type=Path, help="where to write the page; by default nowhere")
    parser.add_argument("--replay", nargs=3, metavar=("FILE", "MUTATOR", "SEED"))
    parser.add_argument("--keep", type=Path, help="with --replay: where to put the damaged file")
    options = parser.parse_args()
    if options.replay:
        file, mutator, seed = options.replay
        if options.keep:
            options.keep.write_bytes(replay(_case(file), mutator, int(seed)))
        print(one((file, mutator, int(seed)))[1])
        return 0
    start = time.perf_counter()
    cases, skipped = readable()
    cases = {file: one for file, one in cases.items() if options.only in file}
    tasks = schedule(cases, options.inputs, options.ways)
    print(f"{len(cases)} files, {len(skipped)} not read, {len(tasks):,} inputs", flush=True)
    made = run(tasks, options.jobs)
    command = f"python docs/fuzz.py --inputs {options.inputs} --out docs/fuzz.md"
    text = page(made, skipped, command, time.perf_counter() - start)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    print(text)
    return int(any(outcome.verdict == "FAILURE" for _, outcome in made))


if __name__ == "__main__":
    sys.exit(main())
