"""A small named design for the tests of the pictures: pilots lower, and falling further."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import didkit as dk
from didkit import plot
from didkit.results import Finding
from didkit.simulate import LongDifferences

N, PERIODS = 12, 6
IDS = tuple(str(301 + 3 * i) for i in range(N))
NAMES = tuple(f"Place {chr(65 + i)}" for i in range(N))
PILOTS = IDS[:3]
CHILDREN = np.linspace(10_000, 120_000, N)


def values(change: float = -5.0) -> np.ndarray:
    """Three pilots some 20 below nine comparators; `change` from the fourth period on."""
    rng = np.random.default_rng(5)
    y = 100 + 4 * rng.standard_normal((N, PERIODS)) + 3 * np.arange(PERIODS)
    y[:3] -= 20
    y[:3, 3:] += change
    return y


def make_panel(
    y: np.ndarray | None = None,
    *,
    children: bool = True,
    statuses: Mapping[tuple[int, int], str] | None = None,
    names: tuple[str, ...] = NAMES,
) -> dk.Panel:
    """Lay `y` out as a panel of one metric, ``m``; `statuses` are those of cells without value."""
    y = values() if y is None else np.array(y)
    status = np.full(y.shape, "observed", dtype=object)
    for cell, label in (statuses or {}).items():
        status[cell] = label
        y[cell] = np.nan
    rows = [
        (f"{301 + 3 * j}", names[j], 2011 + t, y[j, t], CHILDREN[j % N], status[j, t])
        for j in range(len(y))
        for t in range(y.shape[1])
    ]
    frame = pd.DataFrame(rows, columns=["la", "name", "year", "m", "children", "s"])
    options: dict[str, Any] = {"exposure": "children"} if children else {}
    return dk.Panel.from_frame(
        frame, unit="la", period="year", metrics=["m"], name="name", status={"m": "s"}, **options
    )


def make_design(
    y: np.ndarray | None = None,
    *,
    against: Any = None,
    starts: Mapping[str, int] | None = None,
    **options: Any,
) -> dk.Design:
    """Compare the pilots with the others, from 2014 on."""
    return dk.Design(
        make_panel(y, **options),
        dk.Rollout(starts or dict.fromkeys(PILOTS, 2014)),
        against=against or dk.Pool(),
        selection="unknown",
    )


def many(change: float, **options: Any) -> dk.Design:
    """Compare three pilots, or those in `starts`, with all others of thirty places."""
    y = 100 + 4 * np.random.default_rng(2).standard_normal((30, PERIODS))
    y[:3, 3:] += change
    return make_design(y, names=tuple(f"Place {i}" for i in range(30)), **options)


SHARED = ((3, 4, 5, 6), (3, 4, 7, 8), (3, 9, 10, 0))
APART = ((3, 4, 5), (6, 7, 8), (9, 10, 11))


def neighbours(of_pilots: tuple[tuple[int, ...], ...] = SHARED) -> dk.Neighbours:
    """Place D is a neighbour of all three pilots, E of two, F to K of one; or none is shared."""
    lists = dict(zip(IDS, of_pilots, strict=False))
    rows = [
        (pilot, rank, IDS[j]) for pilot, found in lists.items() for rank, j in enumerate(found, 1)
    ]
    return dk.Neighbours(pd.DataFrame(rows, columns=["unit", "rank", "neighbour"]))


def phone(height: float = 4.2, *, width: float = 3.6) -> Axes:
    """Axes of a figure as wide as a phone."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def title(ax: Axes) -> str:
    return " ".join(ax.get_title(loc="left").split())


def foot(ax: Axes) -> str:
    return " ".join(ax.get_xlabel().split())


def _contaminated(design: dk.Design, metric: str) -> dk.Estimate:
    """The change where the first comparator has used the practice from the middle of the window."""
    rollout = dk.Rollout(
        design.starts,
        contaminated={design.comparators[0]: design.periods[len(design.periods) // 2]},
    )
    marked = dk.Design(
        design.panel, rollout, against=dk.Pool(design.comparators), selection=design.selection,
        periods=(design.periods[0], design.periods[-1]),
    )  # fmt: skip
    return dk.DiD().fit(marked, metric).infer(dk.ClusterRobust("CR2"))


def _others(design: dk.Design) -> dict[str, dk.Pool]:
    """Two other choices of comparators: halves of those that there are."""
    half = len(design.comparators) // 2
    return {
        "the first half": dk.Pool(design.comparators[:half]),
        "the second half, under a name that is long": dk.Pool(design.comparators[half:]),
    }


def _power() -> dk.Power:
    return dk.DetectableEffect().expected(
        dk.Variation(between=4, within=9, ar1=0.3),
        pilots=range(2, 12), comparators=[20, 60], before=4, after=4,
    )  # fmt: skip


def _contrast() -> Finding:
    """Two sites against two, each with the same readers' scores in four years."""
    rng = np.random.default_rng(1)
    sites, years = ("Alder", "Beech", "Cedar", "Doveton"), (2016, 2017, 2018, 2019)
    rows = [
        (site, year, 50 + own + 8 * rng.normal() + 6 * (site in sites[:2] and year >= 2018))
        for site in sites
        for year, own in zip(years, 2 * rng.normal(size=4), strict=True)
        for _ in range(30)
    ]
    frame = pd.DataFrame(rows, columns=["site", "year", "wai"])
    wai = dk.Metric(name="wai", label="Working alliance", unit="points")
    panel = dk.site_means(frame, unit="site", period="year", scores={"wai": wai})
    rollout = dk.Rollout(dict.fromkeys(sites[:2], 2018))
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="bid")
    return dk.DiD().fit(design, "wai").check(dk.ContrastStudy())


def _study() -> dk.Study:
    methods = {"CR2": dk.ClusterRobust("CR2"), "pooled t": dk.DonaldLang()}
    process = LongDifferences(pilots=3, comparators=30)
    return dk.study(dk.DiD("complete"), methods, process, seeds=20)


def _margin(events: dk.Estimate) -> float:
    return 0.1 * float(np.nanmean(np.abs(events.sample.y)))


def all_pictures(design: dk.Design, metric: str, ax: Any = lambda: None) -> dict[str, Axes]:
    """Draw every picture there is, each on what `ax()` gives."""
    cr2 = dk.ClusterRobust("CR2")
    gap = dk.Gap().fit(design, metric).infer(None)
    did = dk.DiD().fit(design, metric).infer(cr2)
    permuted = did.infer(dk.Permutation(draws=99, seed=1))
    events = dk.EventStudy(anticipation=1).fit(design, metric).infer(cr2)
    complete = dk.DiD(cells="complete").fit(design, metric)
    found: dict[str, Finding] = {
        "pre-trends": events.check(dk.PreTrends()),
        "leave one out": did.check(dk.LeaveOneOut()),
        "placebo start": did.check(dk.PlaceboStart()),
        "placebo pilots": did.check(dk.PlaceboPilots(draws=99)),
        "detectable": did.check(dk.DetectableEffect()),
        "regression to the mean": did.check(dk.RegressionToTheMean(draws=100)),
        "contamination": _contaminated(design, metric).check(dk.Contamination()),
        "breakdown": complete.infer(cr2).check(dk.Breakdown()),
        "pre-trend power": events.check(dk.PreTrendPower(noise="normal")),
        "pre-trend equivalence": events.check(dk.PreTrendEquivalence(_margin(events))),
        "trend-adjusted": events.check(dk.TrendAdjusted()),
        "contrast study": _contrast(),
        "other comparators": did.check(dk.OtherComparators(_others(design))),
    }
    table = did.inference_table([cr2, dk.Permutation(draws=99), dk.Jackknife()])
    return {
        "gap": gap.plot(ax()),
        "trends": did.plot(ax()),
        "event study": events.plot(ax()),
        "long differences": did.plot(ax(), kind="long_differences"),
        "permutation": permuted.plot(ax(), kind="permutation"),
        "bootstrap": plot.permutation(did.infer(dk.WildBootstrap(draws=99)), ax=ax()),
        "placebo errors": plot.permutation(did.infer(dk.ConleyTaber(draws=99)), ax=ax()),
        "study": _study().plot(ax()),
        "forest": plot.forest(did, table, ax()),
        "leverage": did.plot(ax(), kind="leverage"),
        "missing": plot.missing(design, metric, ax()),
        "reuse": plot.reuse(design, ax()),
        "rollout": plot.rollout(design, ax()),
        "neighbour graph": plot.neighbour_graph(design, ax()),
        "matched": plot.matched(design, metric, ax()),
        "love": plot.love(design.balance([metric]), ax()),
        "power": _power().plot(ax()),
        **{name: finding.plot(ax()) for name, finding in found.items()},
    }
