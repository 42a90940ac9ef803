"""Frames with something wrong in them, for the tests and for docs/bad_input.md: the right answers.

Eighteen units over eight years; four start, their effect is −7.5 in the first treated year and
grows by 2 a year; the rest of a cell is the unit's and the year's own, without noise. One year
after the start every right answer is therefore −9.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import didkit as dk

N, T, FIRST = 18, 8, 2011
SEVERAL = {2: 4, 6: 4, 9: 6, 13: 6}
ONE = {2: 5, 6: 5, 9: 5, 13: 5}
PILOT, COMPARATOR = 102, 103  #: the unit that something is wrong with
AFTER_ONE = -9.5  #: the effect one year after the start


def clean(starts: Mapping[int, int] = SEVERAL, *, noise: float = 0.0) -> pd.DataFrame:
    """Make a frame without fault, in the form that every program takes."""
    rng = np.random.default_rng(1)
    y = 300 + 40 * rng.normal(size=(N, 1)) + 10 * rng.normal(size=(1, T))
    y = y + noise * rng.normal(size=(N, T))
    x = rng.normal(size=(N, 1)) * np.ones(T)
    start = np.array([starts.get(j, T) for j in range(N)])[:, None]
    since = np.arange(T) - start
    y = y + np.where(since >= 0, -7.5 - 2.0 * since, 0.0)
    first = np.where(start < T, FIRST + start, 0) * np.ones((1, T), dtype=int)
    return pd.DataFrame(
        {
            "id": np.repeat(100 + np.arange(N), T),
            "year": np.tile(FIRST + np.arange(T), N),
            "first": first.ravel(),
            "y": y.ravel(),
            "x": x.ravel(),
        }
    )


@dataclass(frozen=True)
class Bad:
    """One bad input: what is done to a clean frame, and what didkit owes in return."""

    words: str
    make: Callable[[pd.DataFrame], pd.DataFrame]
    refused: str = ""  #: what the refusal says it needed; "" where a design is made
    found: str = ""  #: what the refusal says it found
    note: str = ""  #: what the estimate's notes say
    options: Mapping[str, Any] = field(default_factory=dict)
    right: bool = True  #: there is a right answer: −9.5
    covariates: tuple[str, ...] = ()
    starts: Mapping[int, int] = field(default_factory=lambda: SEVERAL)


def at(f: pd.DataFrame, unit: int, *years: int) -> pd.Series:
    """Rows of one unit, in some years or in all."""
    return (f["id"] == unit) & (f["year"].isin(years) if years else True)


def without_some(f: pd.DataFrame) -> pd.DataFrame:
    """Take one row in eleven out, of pilots and of comparators, at no special place."""
    return f[np.random.default_rng(4).random(len(f)) > 1 / 11]


def with_text(f: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    """Put one text among the numbers of a column."""
    made = f.astype({column: object})
    made.loc[at(made, PILOT, 2013), column] = value
    return made


def never_as(value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Write another value for units that are never treated."""
    return lambda f: f.assign(first=f["first"].astype(float).replace(0.0, value))


def dated(f: pd.DataFrame) -> pd.DataFrame:
    """Write years and starts as dates, NaT for never."""
    years = f["first"].where(f["first"] > 0).astype("Int64").astype(str)
    return f.assign(
        year=pd.to_datetime(f["year"].astype(str)), first=pd.to_datetime(years, errors="coerce")
    )


def set_first(value: object, *years: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Write another start into rows of one pilot."""

    def make(f: pd.DataFrame) -> pd.DataFrame:
        return f.assign(first=f["first"].mask(at(f, PILOT, *years), value))

    return make


def duplicated(f: pd.DataFrame) -> pd.DataFrame:
    """Put a second row for a comparator's cell in, with another value."""
    row = f[at(f, COMPARATOR, 2016)]
    return pd.concat([f, row.assign(y=row["y"] + 100.0)], ignore_index=True)


def treated_throughout(f: pd.DataFrame) -> pd.DataFrame:
    """Give a comparator the programme from before the first year, with the effect that it has."""
    who = at(f, COMPARATOR)
    since = f["year"] - (FIRST - 1)
    return f.assign(
        first=f["first"].mask(who, FIRST - 1), y=f["y"] - (7.5 + 2.0 * since).where(who, 0.0)
    )


def left(f: pd.DataFrame) -> pd.DataFrame:
    """Let a pilot leave: no start in its later rows, and no effect."""
    gone = at(f, PILOT, 2017, 2018)
    since = f["year"] - f["first"]
    return f.assign(first=f["first"].mask(gone, 0), y=f["y"] + (7.5 + 2.0 * since).where(gone, 0.0))


def of_many(f: pd.DataFrame) -> pd.DataFrame:
    """Add covariates until a cohort of two pilots has fewer units than covariates."""
    rng = np.random.default_rng(9)
    return f.assign(**{f"x{i}": np.repeat(rng.normal(size=N), T) for i in range(20)})


WHOLE = "are never treated: 'first' is "
BAD: dict[str, Bad] = {
    "unbalanced": Bad("rows missing (unbalanced)", without_some, note="miss at least one period"),
    "no value": Bad(
        "NaN in the outcome",
        lambda f: f.assign(y=f["y"].where(f.index.isin(without_some(f).index))),
        note="miss at least one period",
    ),
    "empty unit": Bad(
        "a unit without any value",
        lambda f: f.assign(y=f["y"].where(~at(f, COMPARATOR))),
        note="have no value in the window",
    ),
    "one treated": Bad(
        "one treated unit", lambda f: f[(f["first"] == 0) | at(f, PILOT)], note=WHOLE + "0 (14)"
    ),
    "never 0": Bad("never treated written 0", lambda f: f, note=WHOLE + "0 (14)"),
    "never NaN": Bad("never treated written NaN", never_as(np.nan), note=WHOLE + "missing (14)"),
    "never inf": Bad("never treated written inf", never_as(np.inf), note=WHOLE + "infinite (14)"),
    "never 10000": Bad(
        "never treated written 10000",
        never_as(10000),
        refused="starts that are periods of the frame",
        found="10000",
    ),
    "never 10000, said": Bad(
        "never treated written 10000, with `never=[10000]`",
        never_as(10000),
        note=WHOLE + "10000 (14)",
        options={"never": [10000]},
    ),
    "nobody never": Bad(
        "no never-treated unit",
        lambda f: f[f["first"] > 0],
        refused="a unit that never starts, or to be told that later starters serve",
        found="a start for each of the 4 units",
    ),
    "nobody never, said": Bad(
        "no never-treated unit, with `against=NotYetTreated()`",
        lambda f: f[f["first"] > 0],
        options={"against": dk.NotYetTreated()},
    ),
    "text years": Bad("years written as text, '2011'", lambda f: f.assign(year=f["year"].map(str))),
    "text time": Bad(
        "time as text, 'spring 2011'",
        lambda f: f.assign(year="spring " + f["year"].map(str)),
        refused="a year (2018)",
        found="spring 2011",
    ),
    "dates": Bad(
        "dates, NaT for never treated",
        dated,
        refused="period labels (2018, 2017-18)",
        found="dates",
    ),
    "shuffled": Bad("rows in any order", lambda f: f.sample(frac=1, random_state=3)),
    "collinear": Bad(
        "a covariate that follows from another (z = 3 − 2x)",
        lambda f: f.assign(z=3.0 - 2.0 * f["x"]),
        covariates=("x", "z"),
        starts=ONE,  # cohorts of four: large enough for two covariates
    ),
    "too many covariates": Bad(
        "more covariates than the units can bear (20 for 18)",
        of_many,
        covariates=tuple(f"x{i}" for i in range(20)),
    ),
    "twice": Bad(
        "two rows for one unit and year",
        duplicated,
        refused="one row for each unit and period",
        found="103 2016",
        right=False,
    ),
    "text value": Bad(
        "text in the outcome",
        lambda f: with_text(f, "y", "about 300"),
        refused="numbers, with a status beside every cell that has none",
        found="102 in 2013: about 300",
    ),
    "symbol": Bad(
        "a suppression symbol in the outcome",
        lambda f: with_text(f, "y", "c"),
        refused="numbers, with a status beside every cell that has none",
        found="suppression symbols c",
    ),
    "infinite": Bad(
        "inf in the outcome",
        lambda f: f.assign(y=f["y"].mask(at(f, PILOT, 2013), np.inf)),
        refused="finite numbers",
        found="102 in 2013: inf",
    ),
    "always": Bad(
        "a unit treated in all periods",
        treated_throughout,
        refused="starts that are periods of the frame",
        found="2010",
    ),
    "from the first": Bad(
        "a unit treated from the first period",
        lambda f: treated_throughout(f).replace({"first": {FIRST - 1: FIRST}}),
        refused="a start with at least one period before it",
        found="103",
    ),
    "leaves": Bad(
        "treatment that turns off (start 0 in later rows)",
        left,
        refused="one start for each unit",
        found="102",
        right=False,
    ),
    "varies": Bad(
        "a start that varies within a unit",
        set_first(2017, 2017, 2018),
        refused="one start for each unit",
        found="102",
        right=False,
    ),
    "missing in part": Bad(
        "a start that is missing in some rows of a unit",
        lambda f: f.assign(first=f["first"].astype(float).mask(at(f, PILOT, 2011, 2012), np.nan)),
        refused="one start for each unit",
        found="102",
        right=False,
    ),
    "gap": Bad(
        "a year that no unit has",
        lambda f: f[f["year"] != 2014],
        refused="consecutive periods",
        found="2013 → 2015",
    ),
    "empty": Bad(
        "an empty frame",
        lambda f: f.iloc[:0],
        refused="a data frame with at least one row",
        found="none",
        right=False,
    ),
    "nobody starts": Bad(
        "nobody is treated",
        lambda f: f.assign(first=0),
        refused="at least one unit with a start",
        found="none",
        right=False,
    ),
    "period nought": Bad(
        "years numbered from 0, a unit that starts in 0, NaN for never",
        lambda f: (
            treated_throughout(f)
            .replace({"first": {0: np.nan, FIRST - 1: FIRST}})
            .assign(year=lambda g: g["year"] - FIRST, first=lambda g: g["first"] - FIRST)
        ),
        refused="starts that mean one thing",
        found="0 in 8 rows",
    ),
}


def design_of(bad: Bad, frame: pd.DataFrame, **options: Any) -> dk.Design:
    """Make the design of a bad frame, if it can be made."""
    given: dict[str, Any] = {
        "unit": "id", "period": "year", "start": "first", "metrics": ["y", *bad.covariates],
        "selection": "unknown", **bad.options, **options,
    }  # fmt: skip
    return dk.Design.from_frame(frame, **given)
