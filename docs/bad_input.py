"""What didkit and its peers answer to bad input, written down.

    python docs/bad_input.py --peers   asks the peers that are installed
    python docs/bad_input.py           asks didkit, every estimator

Both write docs/bad_input.csv and then docs/bad_input.md. The frames are those of the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "benchmarks")]

from estimate.bad_inputs import AFTER_ONE, BAD, Bad, clean, design_of  # noqa: E402

import didkit as dk  # noqa: E402
from didkit.errors import DidkitError  # noqa: E402

TABLE, PAGE = HERE / "bad_input.csv", HERE / "bad_input.md"
MARKS = ("<!-- table: begin -->", "<!-- table: end -->")
COLUMNS = ["input", "program", "version", "answer", "verdict"]
NOISE = 0.01  # so that no program divides by a variance of nought
NEAR = 0.1
ALWAYS = (
    "pandas",
    "small groups",
    "currently in beta",
    "dropped due to multicollinearity",
    "pre-test Wald",
)


def pyfixest_saturated(frame: pd.DataFrame, covariates: tuple[str, ...]) -> dict[int, float]:
    """pyfixest's saturated event study (Sun & Abraham), from the column of starts."""
    import pyfixest as pf

    if covariates:
        raise NotImplementedError("event_study() takes no covariates")
    made = pf.event_study(
        data=frame, yname="y", idname="id", tname="year", gname="first", estimator="saturated"
    )
    table = made.aggregate(agg="period")
    return {round(float(e)): float(v) for e, v in table["Estimate"].items()}


def differences_group_time(
    frame: pd.DataFrame, covariates: tuple[str, ...], *, raw: bool
) -> dict[int, float]:
    """differences, whose own sign of a never-treated unit is a missing start."""
    from differences import ATTgt

    if not raw and pd.api.types.is_numeric_dtype(frame["first"]):
        frame = frame.assign(first=frame["first"].where(frame["first"] > 0))
    made = ATTgt(data=frame.set_index(["id", "year"]), cohort_column="first")
    formula = "y" + (" ~ " + " + ".join(covariates) if covariates else "")
    result = made.fit(formula, est_method="dr", control_group="never_treated", progress_bar=False)
    table = result.aggregate("event", overall=False)
    table.columns = [column[-1] for column in table.columns]
    return {int(e): float(v) for e, v in table["ATT"].items()}


def peers() -> dict[str, Callable[[pd.DataFrame, tuple[str, ...], bool], dict[int, float]]]:
    """Each peer's group-time event study (pyfixest: its saturated one), asked as in benchmarks/."""
    import estimators

    def plain(name: str) -> Any:
        return lambda frame, x, raw: {
            e: v for e, (v, _) in estimators.GROUP_TIME[name](frame, x).items()
        }

    return {
        "diff-diff": plain("diff-diff"),
        "csdid": plain("csdid"),
        "moderndid": plain("moderndid"),
        "differences": lambda frame, x, raw: differences_group_time(frame, x, raw=raw),
        "pyfixest": lambda frame, x, raw: pyfixest_saturated(frame, x),
    }


def shortened(text: str, n: int = 110) -> str:
    """One line, of at most so many letters, that a table can hold."""
    line = " ".join(text.split()).replace("|", "/")
    return line if len(line) <= n else line[: n - 1].rstrip() + "…"


def of_peer(name: str, ask: Any, key: str, bad: Bad) -> tuple[str, str]:
    """Return what a peer answers to one input, and whether that is right."""
    frame = bad.make(clean(bad.starts, noise=NOISE))
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            found = ask(frame, bad.covariates, key.startswith("never"))
        except NotImplementedError as error:
            return shortened(str(error)), "not asked"
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
            return shortened(f"{type(error).__name__}: {error}"), "refused"
    mine = [
        str(one.message) for one in caught
        if not issubclass(one.category, (DeprecationWarning, FutureWarning))
        and not any(word in str(one.message) for word in ALWAYS)
    ]  # fmt: skip
    return judged(found, bad, mine)


def truth(event: int) -> float:
    """Return the effect in the frames, at an event time."""
    return AFTER_ONE - 2.0 * (event - 1) if event >= 0 else 0.0


def judged(found: dict[int, float], bad: Bad, warned: list[str]) -> tuple[str, str]:
    """Say the value one year after the start, or the one that is furthest off, and how it is."""
    if not found or not np.isfinite(found.get(1, np.nan)):
        return "no value one year after", "refused"
    off = {e: abs(v - truth(e)) for e, v in found.items() if np.isfinite(v)}
    worst = max(off, key=lambda e: off[e])
    said = f"{found[1]:.2f} at +1"
    if off[1] <= NEAR < off[worst]:
        said += f", {found[worst]:.2f} at {worst:+d} (effect {truth(worst):.2f})"
    if warned:
        said += f"; warns: {shortened(warned[0], 80)}"
    if not bad.right:
        return said, "warned" if warned else "a number without a word"
    if off[worst] <= NEAR:
        return said, "right"
    return said, "wrong, warned" if warned else "WRONG without a word"


def ask_peers() -> pd.DataFrame:
    """Return one row a peer and input."""
    rows = []
    for name, ask in peers().items():
        version = importlib.metadata.version(name)
        for key, bad in BAD.items():
            if bad.options:
                continue
            rows.append((key, name, version, *of_peer(name, ask, key, bad)))
            print(*rows[-1], flush=True)
    return pd.DataFrame(rows, columns=COLUMNS)


def of_didkit(key: str, bad: Bad) -> tuple[str, str]:
    """Return what didkit answers: a refusal shortened, or the group-time effect and the note."""
    try:
        design = design_of(bad, bad.make(clean(bad.starts, noise=NOISE)))
        made = dk.GroupTime(by="dynamic", covariates=bad.covariates).fit(design, "y")
    except DidkitError as error:
        parts = (
            ("needed", error.needed), ("found", error.found), ("where", error.where),
            ("what to do", error.todo),
        )  # fmt: skip
        return "; ".join(f"{name}: {shortened(text, 90)}" for name, text in parts), "refused"
    events = made.terms["event_time"].astype(int).tolist()
    found = dict(zip(events, made.values.tolist(), strict=True))
    notes = [one for one in (*made.sample.notes, *made.notes) if bad.note and bad.note in one]
    if bad.covariates:
        notes = [one for one in made.notes if "covariate" in one or "'z'" in one]
    answer, verdict = judged(found, bad, [])
    return answer + (f"; notes: {shortened(notes[0], 90)}" if notes else ""), verdict


def ask_didkit() -> pd.DataFrame:
    """Return one row an input."""
    version = importlib.metadata.version("didkit-evaluation")
    return pd.DataFrame(
        [(key, "didkit", version, *of_didkit(key, bad)) for key, bad in BAD.items()],
        columns=COLUMNS,
    )


def table(found: pd.DataFrame) -> str:
    """Write the answers as a table: one row an input."""
    rows = ["| input | didkit | peers |", "| --- | --- | --- |"]
    for key, bad in BAD.items():
        mine = found[found["input"] == key]
        cells = []
        for name in ("didkit", "peer"):
            part = mine[(mine["program"] == "didkit") == (name == "didkit")]
            cells.append(
                "<br>".join(
                    ("" if row["program"] == "didkit" else f"{row['program']}: ")
                    + (f"*refused*, {row['answer']}" if row["verdict"] == "refused"
                       else row["answer"] if row["verdict"] in ("right", "warned", "not asked")
                       else f"{row['answer']} **({row['verdict']})**")
                    for row in part.to_dict("records")
                )
            )  # fmt: skip
        rows.append(f"| {bad.words} | {cells[0]} | {cells[1] or 'not asked'} |")
    return "\n".join(rows)


def heading(found: pd.DataFrame) -> str:
    """Name the versions, and count the answers that were wrong."""
    others = found[found["program"] != "didkit"]
    versions = others.drop_duplicates("program")
    named = ", ".join(
        f"{p} {v}" for p, v in zip(versions["program"], versions["version"], strict=True)
    )
    silent = found["verdict"].str.contains("without a word").groupby(found["program"]).sum()
    counts = ", ".join(f"{name} {silent[name]}" for name in versions["program"])
    return (
        f"Peers: {named}; didkit {found.loc[found['program'] == 'didkit', 'version'].iloc[0]}. "
        f"Answers without a word that are wrong, or have no right answer: {counts}; "
        f"didkit {silent['didkit']}."
    )


def written(found: pd.DataFrame) -> str:
    """Return the page with the table of these answers between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    return f"{before}{MARKS[0]}\n{heading(found)}\n\n{table(found)}\n{MARKS[1]}{after}"


def main() -> None:
    """Ask, and write the answers down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="ask the peers instead of didkit")
    peers_too = parser.parse_args().peers
    old = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=COLUMNS)
    theirs = old["program"] != "didkit"
    parts = [ask_peers(), old[~theirs]] if peers_too else [ask_didkit(), old[theirs]]
    found = pd.concat([one for one in parts if len(one)], ignore_index=True)
    found.to_csv(TABLE, index=False)
    if (found["program"] == "didkit").any():
        PAGE.write_text(written(found), encoding="utf-8")


if __name__ == "__main__":
    main()
