"""The command line: ``didkit demo``, ``freeze``, ``evaluate``."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from didkit.errors import DidkitError

if TYPE_CHECKING:
    from didkit.report import Deviation, Evaluation, PlanRecord
    from didkit.report.plan_freeze import Comparison

__all__ = ["main"]

_ERROR, _NOT_AS_PLANNED, _INTERRUPTED = 2, 3, 130
_DEMO_PICTURES = ("gap", "trends", "events")
_PROOF = (
    "A frozen plan shows later changes; it does not prove when it was written. For that, commit "
    "it, send it to somebody else, or register it."
)
_WIDTH = 80
_LABEL = 20
_PLAIN = str.maketrans(
    {
        "−": "-", "–": "-", "·": "|", "≥": ">=", "≤": "<=", "×": "x", "…": "...", "∞": "inf",
        "’": "'", "‘": "'", "“": '"', "”": '"', "→": "->", "′": "'",
    }
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        0; 2 after an error that says what was needed, found, where, and what to do; 3 after
        ``evaluate --strict`` found deviations; 130 after an interruption.

    Examples
    --------
    >>> main([])  # doctest: +ELLIPSIS
    usage: didkit ...
    2
    """
    parser = _parser()
    given = parser.parse_args(argv)
    if given.command is None:
        parser.print_help()
        return _ERROR
    try:
        with _terminable():
            code: int = given.run(given)
    except DidkitError as error:
        _say(f"didkit: {error}", sys.stderr)
        return _ERROR
    except KeyboardInterrupt:
        _say("didkit: interrupted; what was there before is as it was", sys.stderr)
        return _INTERRUPTED
    return code


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a request to end (SIGTERM) pass through as an exit, so that nothing half-made stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="didkit", description="How much of the difference was there before?"
    )
    parser.add_argument("--version", action="version", version=f"didkit {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="evaluate the packaged synthetic evaluation and write its report",
        description="Evaluate the packaged synthetic evaluation, whose true effect is known, and "
        "write report.html, three pictures a measure and estimates.csv.",
    )
    demo.add_argument("--out", default="didkit-demo", metavar="DIR", help="default: didkit-demo")
    demo.add_argument(
        "--seed",
        type=_seed,
        default=1,
        help="1 is the packaged draw (default); another is drawn anew",
    )
    demo.set_defaults(run=_demo)
    plan = argparse.ArgumentParser(add_help=False)
    plan.add_argument("plan", metavar="PLAN.toml", help="the plan; it reads the files it names")
    plan.add_argument(
        "--data", metavar="DIR", help="folder of the data files, instead of the plan's own"
    )
    freeze = commands.add_parser(
        "freeze",
        parents=[plan],
        help="freeze a plan: write its content and the hashes of its data",
        description="Write PLAN.frozen.toml beside the plan: its content key by key, the hash of "
        "every data file, and whom it resolves to. Later runs are compared with it.",
    )
    freeze.add_argument("--replace", action="store_true", help="replace an earlier frozen plan")
    freeze.add_argument(
        "--before-data", action="store_true", help="freeze the plan alone: no data published yet"
    )
    freeze.set_defaults(run=_freeze)
    run = commands.add_parser(
        "evaluate",
        parents=[plan],
        help="run a plan, list every deviation, and write the report",
        description="Run a plan and write report.html, report.md, report.tex, tables.xlsx, "
        "estimates.csv and protocol.md: all of them or none. Every deviation from the frozen plan "
        "is listed.",
    )
    run.add_argument("--out", default="didkit-report", metavar="DIR", help="default: didkit-report")
    run.add_argument(
        "--strict",
        action="store_true",
        help="write nothing and end with 3 where anything is not as frozen, or is not frozen; a "
        "plan frozen before its data is allowed, and named so",
    )
    run.set_defaults(run=_evaluate)
    template = commands.add_parser(
        "template",
        help="write a plan to start from, with data to try it on",
        description="Write plan.toml, a plan of the packaged synthetic evaluation with a comment "
        "at every key, and its data files beside it.",
    )
    template.add_argument("folder", metavar="DIR", help="a folder that does not exist yet")
    template.set_defaults(run=_template)
    return parser


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"a whole number, not negative, is needed: {text!r}")
    return int(text)


def _version() -> str:
    try:
        return importlib.metadata.version("didkit-evaluation")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"


def _demo(given: argparse.Namespace) -> int:
    """Evaluate, write, say."""
    from didkit.report import evaluate
    from didkit.report.words import truths
    from didkit.simulate import load_evaluation

    folder = Path(given.out)
    with _staged(folder) as hidden:  # before a minute's work, not after
        packaged = load_evaluation(seed=given.seed)
        _say(textwrap.fill(packaged.description, _WIDTH))
        _say("Evaluating; this may take a minute.")
        evaluation = evaluate(
            packaged.design, truth=packaged.truth, description=packaged.description
        )
        written = _write_demo(evaluation, hidden)
    _say_table(evaluation)
    if known := truths(evaluation):
        _say(textwrap.fill(known, _WIDTH) + "\n")
    for paragraph in evaluation.in_words().split("\n\n"):
        _say(textwrap.fill(paragraph, _WIDTH) + "\n")
    for name in written:
        _say(f"wrote {folder / name}")
    _say(f"\nOpen {folder / 'report.html'} in a browser.")
    return 0


def _write_demo(evaluation: Evaluation, folder: Path) -> list[str]:
    """Write the page, three pictures a metric and the estimates; return their names."""
    from didkit.report import safe_csv, write_whole

    evaluation.to_html(folder / "report.html")
    written = ["report.html"]
    for picture in evaluation.pictures():
        if picture.kind in _DEMO_PICTURES:
            written.append(write_whole(folder / f"{picture.name}.png", picture.png).name)
    written.append(write_whole(folder / "estimates.csv", safe_csv(evaluation.tidy())).name)
    return written


def _freeze(given: argparse.Namespace) -> int:
    """Freeze a plan."""
    from didkit.report import Plan
    from didkit.report.record import NOT_COMPARED

    plan = Plan.read(given.plan, data=given.data)
    path = plan.freeze(replace=given.replace, before_data=given.before_data)
    _say(f"wrote {path}")
    if given.before_data:
        words = f"Frozen before the data: in a run {NOT_COMPARED.replace('were', 'are')}."
        _say(textwrap.fill(words, _WIDTH))
    _say(f"The plan's digest is {plan.digest}.")
    _say(textwrap.fill(_PROOF, _WIDTH))
    return 0


def _evaluate(given: argparse.Namespace) -> int:
    """Run a plan: every file or none."""
    from didkit.report import Plan, evaluate
    from didkit.report.outputs import refuse_among_data, write_outputs
    from didkit.report.plan_data import load
    from didkit.report.plan_freeze import compare

    plan = Plan.read(given.plan, data=given.data)
    folder = Path(given.out)
    refuse_among_data(plan, folder)
    try:
        with _staged(folder) as hidden:
            if given.strict:  # before a minute's work, not after
                _refuse_deviations(compare(plan, load(plan)))
            _say(f"Evaluating {plan.source.name}; this may take a minute.")
            evaluation = evaluate(plan)
            record = evaluation.record
            if record is None:  # a plan's run has one
                raise TypeError("an evaluation of a plan without its record")
            if given.strict:
                _refuse_deviations(record)
            written, left_out = write_outputs(evaluation, hidden)
    except _Strict as refused:
        _say_deviations(refused.found, sys.stderr)
        _say("didkit: --strict: not as planned, so nothing was written", sys.stderr)
        return _NOT_AS_PLANNED
    _say_table(evaluation)
    _say_deviations(record)
    for name in written:
        _say(f"wrote {folder / name}")
    for name, reason in left_out.items():
        _say(f"left out {name}: {reason}")
        if (folder / name).exists():
            _say(f"{folder / name} is of an earlier run")
    return 0


class _Strict(Exception):  # noqa: N818 - it leads out of the block, it is not an error
    """Deviations where none are allowed."""

    def __init__(self, found: Comparison | PlanRecord) -> None:
        self.found = found
        super().__init__()


def _refuse_deviations(found: Comparison | PlanRecord) -> None:
    if found.deviations:
        raise _Strict(found)


def _say_deviations(found: Comparison | PlanRecord, stream: TextIO | None = None) -> None:
    """List what was not as planned, and say what could not be compared."""
    from didkit.report.record import NOT_COMPARED, PlanRecord

    if found.deviations:
        _say(f"Deviations from the plan: {len(found.deviations)}", stream)
    else:
        _say("Deviations from the frozen plan: none.", stream)
    for one in found.deviations:
        _say(_item(one), stream)
    if found.before_data:
        _say(f"The plan was frozen before the data: {NOT_COMPARED}.", stream)
    if isinstance(found, PlanRecord) and found.refused:
        _say("Refused, and not named by the plan:", stream)
        for one in found.refused:
            _say(_item(one), stream)
    _say("", stream)


def _item(one: Deviation) -> str:
    return textwrap.fill(
        str(one), _WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
    )


def _template(given: argparse.Namespace) -> int:
    """Write a plan to start from."""
    from didkit.report.plan_template import write_template

    folder = Path(given.folder)
    if folder.exists():
        raise DidkitError(
            needed="a folder that does not exist yet",
            found="one that does",
            where=str(folder),
            todo="name another: nothing is overwritten",
        )
    with _staged(folder) as hidden:
        write_template(hidden)
    _say(f"wrote {folder / 'plan.toml'} and its data")
    _say(f"Next: didkit freeze {folder / 'plan.toml'}")
    _say(f"Then: didkit evaluate {folder / 'plan.toml'} --out {folder / 'report'}")
    return 0


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """Stage a folder of outputs; a folder that cannot be written to is an error of four parts."""
    from didkit.report import staged

    try:
        with staged(folder) as hidden:
            yield hidden
    except OSError as error:
        raise _refused(folder, error) from error


def _refused(folder: Path, error: OSError) -> DidkitError:
    return DidkitError(
        needed="a folder that can be written to",
        found=error.strerror or str(error),
        where=f"--out {folder}",
        todo="name another folder, or make room in this one",
    )


# -- the terminal --------------------------------------------------------------------------------


def _say_table(evaluation: Evaluation) -> None:
    _say(f"\n{_table(evaluation)}\n")


def _table(evaluation: Evaluation) -> str:
    """Lay the table on its side, for 80 columns: a row a number, a column a metric."""
    from didkit.report import reader_table
    from didkit.report.text import complete_table

    frame = reader_table(evaluation)
    complete = complete_table(evaluation).drop(columns="Measure")
    for name in complete.columns[:2]:  # the change and its interval
        frame[f"{name}, observed in every period"] = complete[name]
    width = max(9, (_WIDTH - _LABEL) // max(len(frame), 1) - 2)
    columns = [[str(cell) for cell in row] for row in frame.to_numpy()]
    lines = []
    for i, name in enumerate(frame.columns):
        cells = [textwrap.wrap(name, _LABEL - 1)] + [
            textwrap.wrap(column[i], width) or [""] for column in columns
        ]
        for k in range(max(map(len, cells))):
            parts = [cell[k] if k < len(cell) else "" for cell in cells]
            line = parts[0].ljust(_LABEL) + "".join(f"  {part:>{width}}" for part in parts[1:])
            lines.append(line.rstrip())
        if i == 0:
            lines.append("-" * _WIDTH)
    return "\n".join(lines)


def _say(text: str, stream: TextIO | None = None) -> None:
    """Print, in plain letters where the terminal has no others."""
    out = sys.stdout if stream is None else stream
    encoding = out.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    try:
        print(text, file=out, flush=True)
    except BrokenPipeError:  # whoever read it has seen enough: go on without
        _silence(out)
    except OSError as error:
        _silence(out)
        if out is sys.stderr:  # nobody is left to tell
            return
        raise DidkitError(
            needed="a terminal or file that can be written to",
            found=error.strerror or str(error),
            where="the standard output",
            todo="make room for it, or send it elsewhere",
        ) from error


def _silence(stream: TextIO) -> None:
    """Send what is still to be printed nowhere, the rest in the buffer too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
