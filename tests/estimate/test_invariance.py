"""What must not matter does not: effects of units and periods, scale, order, labels, outsiders.

A new estimator joins by one line in ESTIMATORS: the estimator, and the terms that are changes
(None: all of them; levels move when unit effects are added, and must).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, frame_of, noise, with_gaps

from didkit.design import Design, MatchedSets, Neighbours, Pool, Rollout
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import ClusterRobust, Jackknife, Permutation
from didkit.panel import Panel

ESTIMATORS: list[tuple[Any, list[str] | None]] = [
    (DiD(), None),
    (DiD("complete"), None),
    (EventStudy(), None),
    (EventStudy(time="calendar"), None),
    (EventStudy(cells="complete"), None),
    (Gap(), ["change"]),
]

N, T = 9, 5
ONE = {2: 3, 6: 3}
STAGGERED = {2: 3, 6: 2, 8: 3}
WHOLE = (1, 2, 3, 6)


@dataclass(frozen=True)
class Setting:
    """A matrix, the units' ids, the pilots, and with whom they are compared."""

    y: np.ndarray
    ids: Sequence[Any]
    starts: dict[int, int]
    against: Callable[[Sequence[Any]], Any]
    frame: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame
    options: dict[str, Any] | None = None

    def design(self) -> Design:
        frame = self.frame(frame_of(self.y, self.ids))
        panel = Panel.from_frame(
            frame, unit="la", period="year", metrics=["m"], **(self.options or {})
        )
        rollout = Rollout({self.ids[j]: FIRST + t for j, t in self.starts.items()})
        return Design(panel, rollout, against=self.against(self.ids), selection="unknown")


def pool(ids: Sequence[Any]) -> Pool:
    return Pool(tuple(ids[:N]))


def union(starts: dict[int, int]) -> Callable[[Sequence[Any]], Any]:
    def made(ids: Sequence[Any]) -> Any:
        text = [str(one).strip().removesuffix(".0") for one in ids]
        rows = [
            (text[j], rank, text[k], "")
            for j in starts
            for rank, k in enumerate(k for k in range(N) if k not in starts)
        ]
        return Neighbours(
            pd.DataFrame(rows, columns=["unit", "rank", "neighbour", "closeness"])
        ).union()

    return made


def sets(starts: dict[int, int]) -> Callable[[Sequence[Any]], Any]:
    def made(ids: Sequence[Any]) -> MatchedSets:
        free = [k for k in range(N) if k not in starts]
        weights = {
            ids[j]: {ids[free[(i + k) % len(free)]]: w for k, w in enumerate((0.5, 0.3, 0.2))}
            for i, j in enumerate(starts)
        }
        return MatchedSets(weights)

    return made


BASES = {
    "one start": (ONE, False, lambda starts: pool),
    "staggered, gaps": (STAGGERED, True, union),
    "sets": (ONE, False, sets),
}


def base(name: str) -> Setting:
    starts, gaps, against = BASES[name]
    y = noise(N, T, seed=7)
    if gaps:
        y = with_gaps(y, 3, share=0.2, whole=WHOLE)
    return Setting(y, codes(N), starts, against(starts))


def change(setting: Setting, **parts: Any) -> Setting:
    return Setting(**{**setting.__dict__, **parts})


def unit_effects(s: Setting) -> tuple[Setting, float]:
    return change(s, y=s.y + 1000 * np.arange(len(s.y))[:, None] ** 2), 1.0


def period_effects(s: Setting) -> tuple[Setting, float]:
    return change(s, y=s.y + np.array([500.0, -3.0, 0.0, 88.0, 1e4])), 1.0


def larger_and_mirrored(s: Setting) -> tuple[Setting, float]:
    return change(s, y=s.y * -1e4), -1e4


def smaller(s: Setting) -> tuple[Setting, float]:
    return change(s, y=s.y * 1e-6), 1e-6


def shuffled(s: Setting) -> tuple[Setting, float]:
    """Rows in another order, columns turned round, and a column that nobody asked for."""

    def turned(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.sample(frac=1, random_state=5)[frame.columns[::-1]].assign(other="text")

    return change(s, frame=turned), 1.0


def relabelled(s: Setting) -> tuple[Setting, float]:
    return change(s, ids=[str(969 - 7 * ((5 * i) % 11)) for i in range(len(s.ids))]), 1.0


def as_integers(s: Setting) -> tuple[Setting, float]:
    return change(s, ids=[int(one) for one in s.ids]), 1.0


def as_floats(s: Setting) -> tuple[Setting, float]:
    def turned(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(m=frame["m"].astype("Float64"), year=frame["year"].astype(float))

    return change(s, ids=[float(one) for one in s.ids], frame=turned), 1.0


def as_categories(s: Setting) -> tuple[Setting, float]:
    """Categories in another order, years as text over two years."""
    order = list(reversed(s.ids))

    def turned(frame: pd.DataFrame) -> pd.DataFrame:
        years = [f"{a - 1}-{a % 100:02d}" for a in frame["year"]]
        return frame.assign(la=pd.Categorical(frame["la"], categories=order), year=years)

    return change(s, frame=turned, options={"calendar": "reporting year"}), 1.0


def as_text(s: Setting) -> tuple[Setting, float]:
    def turned(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(la=" " + frame["la"].astype("string"), year=frame["year"].astype(str))

    return change(s, frame=turned), 1.0


def outsider(s: Setting) -> tuple[Setting, float]:
    """A unit that nobody names, wild and in the middle of the alphabet."""
    wild = np.array([[1e6, -1e6, 5.0, np.nan, 0.0]])
    return change(s, y=np.vstack([s.y, wild]), ids=[*s.ids, "311"]), 1.0


CHANGES = [
    unit_effects,
    period_effects,
    larger_and_mirrored,
    smaller,
    shuffled,
    relabelled,
    as_integers,
    as_floats,
    as_categories,
    as_text,
    outsider,
]


@dataclass(frozen=True)
class Answer:
    values: np.ndarray
    errors: np.ndarray
    df: np.ndarray
    p: np.ndarray


def answer(estimator: Any, setting: Setting, terms: list[str] | None) -> Answer:
    made = estimator.fit(setting.design(), "m")
    at = [m for m, t in enumerate(made.terms["term"]) if terms is None or t in terms]
    if made.normal is None:
        sure = made.infer(Jackknife()).uncertainty
        p = sure.p_value
    else:
        sure = made.infer(ClusterRobust("CR2")).uncertainty
        exact = made.infer(Permutation("t", draws=4000)).uncertainty
        assert exact.facts["exact"]
        p = exact.p_value
    return Answer(made.values[at], sure.std_error[at], sure.df[at], p[at])


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize(("estimator", "terms"), ESTIMATORS, ids=lambda one: str(one)[:60])
def test_nothing_moves(estimator, terms, name):
    setting = base(name)
    before = answer(estimator, setting, terms)
    assert np.isfinite(before.p).all()
    for changed in CHANGES:
        if changed is period_effects and terms is not None and np.isnan(setting.y).any():
            continue  # a difference of plain means with gaps moves with the periods: it is naive
        moved, factor = changed(setting)
        after = answer(estimator, moved, terms)
        told = changed.__name__
        np.testing.assert_allclose(
            after.values / factor, before.values, rtol=1e-8, atol=1e-8, err_msg=told
        )
        np.testing.assert_allclose(
            after.errors / abs(factor), before.errors, rtol=1e-7, err_msg=told
        )
        np.testing.assert_allclose(after.df, before.df, rtol=1e-6, err_msg=told)
        np.testing.assert_allclose(after.p, before.p, rtol=1e-6, err_msg=told)


@pytest.mark.parametrize(("estimator", "terms"), ESTIMATORS, ids=lambda one: str(one)[:60])
def test_a_comparator_without_any_value_moves_nothing(estimator, terms):
    setting = base("one start")
    before = answer(estimator, setting, terms)
    empty = change(setting, y=np.vstack([setting.y, np.full((1, T), np.nan)]), ids=codes(N + 1))
    every = Setting(empty.y, empty.ids, empty.starts, lambda ids: Pool())
    after = answer(estimator, every, terms)
    for part in ("values", "errors", "df", "p"):
        np.testing.assert_allclose(getattr(after, part), getattr(before, part), rtol=1e-9)
    made = estimator.fit(every.design(), "m")
    last = codes(N + 1)[-1]
    assert last not in made.sample.units
    assert any(f"1 ({last}) units have no value" in note for note in made.sample.notes)


def test_levels_do_move_with_unit_effects():
    """So the suite above would see an estimator that ignores its data."""
    setting = base("one start")
    moved, _ = unit_effects(setting)
    before, after = (Gap().fit(one.design(), "m").values for one in (setting, moved))
    assert abs(after[0] - before[0]) > 1
    assert abs(after[1] - before[1]) > 1
