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
ALWAYS = ("pandas", "small groups", "currently in beta", "dropped due to multicollinearity")


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
    result = made.fit(
        formula, est_method="dr", control_group="never_treated", progress_bar=False
    )
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
    frame = bad.make(clean(noise=NOISE))
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            found = ask(frame, bad.covariates, key.startswith("never"))
        except NotImplementedError as error:
            return shortened(str(error)), "not asked"
        except Exception as error:
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
