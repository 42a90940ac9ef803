"""The command line: ``didkit demo``."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from didkit.errors import DidkitError

if TYPE_CHECKING:
    from didkit.report import Evaluation

__all__ = ["main"]

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
        0, or 2 after an error that says what was needed, found, where, and what to do.

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
        return 2
    try:
        _demo(Path(given.out), given.seed)
    except DidkitError as error:
        _say(f"didkit: {error}", sys.stderr)
        return 2
    return 0


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


def _demo(folder: Path, seed: int) -> None:
    """Evaluate, write, say."""
    from didkit.report import evaluate
    from didkit.report.words import truths
    from didkit.simulate import load_evaluation

    _usable(folder)  # before a minute's work, not after
    packaged = load_evaluation(seed=seed)
    _say(textwrap.fill(packaged.description, _WIDTH))
    _say("Evaluating; this takes some seconds.")
    evaluation = evaluate(packaged.design, truth=packaged.truth, description=packaged.description)
    _say(f"\n{_table(evaluation)}\n")
    if known := truths(evaluation):
        _say(textwrap.fill(known, _WIDTH) + "\n")
    for paragraph in evaluation.in_words().split("\n\n"):
        _say(textwrap.fill(paragraph, _WIDTH) + "\n")
    for path in _write(evaluation, folder):
        _say(f"wrote {path}")


def _usable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(folder, error) from error


def _write(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write the page, the pictures and the estimates; each whole or not at all."""
    from didkit.report import safe_csv, write_whole

    page = folder / "report.html"
    estimates = folder / "estimates.csv"
    try:
        evaluation.to_html(page)
        written = [page]
        for picture in evaluation.pictures():
            path = folder / f"{picture.metric}_{picture.kind}.png"
            written.append(write_whole(path, picture.png))
        written.append(write_whole(estimates, safe_csv(evaluation.tidy())))
    except OSError as error:
        raise _refused(folder, error) from error
    return written


def _refused(folder: Path, error: OSError) -> DidkitError:
    return DidkitError(
        needed="a folder that can be written to",
        found=error.strerror or str(error),
        where=f"--out {folder}",
        todo="name another folder, or make room in this one",
    )


# -- the terminal --------------------------------------------------------------------------------


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
    print(text, file=out)
