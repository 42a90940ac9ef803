"""Small designs of every kind that the chooser must tell apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from helpers import codes, design_of, frame_of, noise

import didkit as dk

N, T = 16, 7
IDS = codes(N)
ONE = {2: 4, 6: 4, 9: 4, 13: 4}
SEVERAL = {2: 3, 6: 3, 9: 5, 13: 5}
Y = noise(N, T, 4)


def rolled(starts: dict[int, int], y: np.ndarray = Y, **options) -> dk.Design:
    """Make a design whose rollout has more than starts."""
    against = options.pop("against", dk.Pool())
    treatment = options.pop("treatment", "intention_to_treat")
    ids = codes(len(y))
    panel = dk.Panel.from_frame(frame_of(y, ids), unit="la", period="year", metrics=["m"])
    rollout = dk.Rollout({ids[j]: 2011 + t for j, t in starts.items()}, **options)
    return dk.Design(panel, rollout, against=against, treatment=treatment, selection="unknown")


def counted() -> dk.Design:
    """A count, as a metric of that kind."""
    frame = frame_of(np.random.default_rng(1).poisson(4.0, size=(N, T)))
    metric = dk.Metric(name="m", label="Referrals", kind="count", unit="referrals")
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics={"m": metric})
    rollout = dk.Rollout({IDS[j]: 2011 + t for j, t in ONE.items()})
    return dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")


def gaps() -> dk.Design:
    """A missing cell in one pilot, and in two comparators."""
    y = Y.copy()
    y[2, 0] = y[3, 5] = y[8, 1] = np.nan
    return design_of(y, SEVERAL)


def gap_in_each_pilot() -> dk.Design:
    """No pilot is whole."""
    y = Y.copy()
    y[2, 0] = y[6, 1] = y[9, 0] = y[13, 1] = np.nan
    return design_of(y, ONE)


def sets(aggregate: str = "mean") -> dk.Design:
    """Three comparators for each pilot."""
    rest = [j for j in range(N) if j not in ONE]
    each = {
        IDS[j]: {IDS[c]: 1 / 3 for c in rest[3 * i : 3 * i + 3]} for i, j in enumerate(sorted(ONE))
    }
    return design_of(Y, ONE, against=dk.MatchedSets(each, aggregate=aggregate))


def crossed() -> dk.Design:
    """Repeated cross-sections: a unit is seen once."""
    frame = frame_of(Y)
    begin = {IDS[j]: 2011 + t for j, t in ONE.items()}
    frame = frame.assign(start=frame["la"].map(begin).fillna(0))
    return dk.Design.from_frame(
        frame, unit=None, period="year", start="start", metrics=["m"], clusters="la",
        selection="unknown",
    )  # fmt: skip


def whole(n: int, starts: dict[int, int], t: int = T) -> dk.Design:
    """Pilots that all start, at several times."""
    return design_of(noise(n, t, 5), starts, against=dk.NotYetTreated())


BATTERY: dict[str, Callable[[], dk.Design]] = {
    "one start": lambda: design_of(Y, ONE),
    "several starts": lambda: design_of(Y, SEVERAL),
    "several starts, not yet": lambda: design_of(Y, SEVERAL, against=dk.NotYetTreated()),
    "all start": lambda: whole(6, {0: 3, 1: 3, 2: 4, 3: 4, 4: 6, 5: 6}),
    "all start, late and early": lambda: whole(4, {0: 1, 1: 1, 2: 5, 3: 5}),
    "each its own start": lambda: design_of(Y, {2: 3, 6: 4, 9: 5}),
    "matched sets": sets,
    "matched sets, median": lambda: sets("median"),
    "left, as intended": lambda: rolled(ONE, stops={IDS[2]: 2016}),
    "left, as treated": lambda: rolled(ONE, stops={IDS[2]: 2016}, treatment="as_treated"),
    "doses": lambda: rolled(ONE, dose={IDS[j]: 0.2 * (i + 1) for i, j in enumerate(ONE)}),
    "one dose": lambda: rolled(ONE, dose=dict.fromkeys((IDS[j] for j in ONE), 0.5)),
    "two doses": lambda: rolled(
        ONE, dose={IDS[j]: 0.5 + 0.25 * (i > 1) for i, j in enumerate(ONE)}
    ),
    "one pilot": lambda: design_of(Y, {6: 4}),
    "one pilot, one period before": lambda: design_of(Y, {6: 1}),
    "one period before": lambda: design_of(Y, dict.fromkeys(ONE, 1)),
    "two periods before": lambda: design_of(Y, dict.fromkeys(ONE, 2)),
    "starts in the last period": lambda: design_of(Y, dict.fromkeys(ONE, T - 1)),
    "two periods": lambda: design_of(noise(N, 2, 3), dict.fromkeys(ONE, 1)),
    "three periods": lambda: design_of(noise(N, 3, 3), dict.fromkeys(ONE, 2)),
    "one comparator": lambda: design_of(noise(3, T, 3), {0: 4, 2: 4}),
    "one against one": lambda: design_of(noise(2, T, 3), {0: 4}),
    "gaps": gaps,
    "a gap in each pilot": gap_in_each_pilot,
    "a count": counted,
    "below zero": lambda: design_of(Y - 320.0, ONE),
    "zeros": lambda: design_of(Y * (np.arange(T) > 0), ONE),
    "partly treated": lambda: rolled(ONE, first_exposed={"flow": 2016, "stock": 2016}),
    "repeated cross-sections": crossed,
}
