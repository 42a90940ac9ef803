"""The naive numbers, named as such, and how much of the difference was there before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from didkit.design import Design, Sample
from didkit.errors import EstimationError
from didkit.estimate.two_groups import two_groups
from didkit.estimate.windows import Windows
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["Gap"]


@dataclass(frozen=True)
class Gap:
    """Differences in level between pilots and comparators, before and after the start.

    None of them is an effect. ``gap_after`` is what an evaluation without a before would call
    one; ``gap_before`` is how much of it was there already; ``before_after`` is what the pilots
    alone would suggest; ``change`` is the difference of the gaps among units seen in both windows
    (without missing cells: gap_after − gap_before).

    Parameters
    ----------
    by : {"window", "period"}
        The four numbers over the windows before and after the start, or the gap in each period.

    Notes
    -----
    A unit's number is the mean of its cells with a value in the window; an arm's is the plain mean
    over its units, so each authority counts once. With staggered starts a comparator's windows
    are those of each start in turn, averaged with the shares of the pilots; as treated, those of
    each start and stop. ``facts`` (and ``glance()``) hold the arms' levels (``pilots_before,
    comparators_before, pilots_after, comparators_after``) and ``share_before`` = gap_before /
    gap_after: NaN, with a note, where the two do not have the same sign.

    References
    ----------
    The design is the classical comparison with non-equivalent groups (Campbell & Stanley 1963,
    design 10).

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Pool, Rollout
    >>> from didkit.panel import Panel
    >>> frame = pd.DataFrame(
    ...     {
    ...         "la": ["303", "304", "305"] * 2,
    ...         "year": [2018] * 3 + [2019] * 3,
    ...         "cin": [300, 350, 370, 305, 356, 374],
    ...     }
    ... )
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> design = Design(panel, Rollout({"303": 2019}), against=Pool(), selection="unknown")
    >>> Gap().fit(design, "cin").values.tolist()
    [-60.0, -60.0, 5.0, 0.0]
    """

    by: Literal["window", "period"] = "window"

    def __post_init__(self) -> None:
        if self.by not in ("window", "period"):
            raise EstimationError(
                needed="by='window' or by='period'",
                found=repr(self.by),
                where="Gap",
                todo="choose one",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Measure the gaps.

        Raises
        ------
        PanelError
            If the metric is unknown.
        EstimationError
            If an arm has no value in a window.
        """
        sample = design.sample(metric)
        if self.by == "window":
            sample, stops = _until_stops(sample)
            windows = _by_window(sample, stops)
        else:
            windows = _by_period(sample)
        found = two_groups(sample, windows)
        facts: dict[str, float] = {}
        notes: tuple[str, ...] = ()
        if self.by == "window":
            shared, notes = _share(found.values)
            facts = {**_levels(sample, found.values), **shared}
        return found.to_estimate(
            self,
            design,
            sample,
            estimand=f"difference in level of {tables.inside(sample.metric.label)} "
            f"({sample.metric.unit or 'units of the metric'}), pilots less comparators; "
            "each authority counts once; not an effect",
            terms=windows.terms,
            facts=facts,
            notes=notes,
        )


def _share(values: np.ndarray) -> tuple[dict[str, float], tuple[str, ...]]:
    """Share of the gap afterwards that was there before."""
    before, after = float(values[0]), float(values[1])
    if before * after > 0:
        return {"share_before": before / after}, ()
    why = (
        "one of the gaps is not known"
        if np.isnan(before) or np.isnan(after)
        else "the gaps before and after differ in sign"
        if before * after < 0
        else "there is no gap " + ("before" if after else "after" if before else "at all")
    )
    return (
        {"share_before": float("nan")},
        (f"the share of the gap that was there before is not given: {why}",),
    )


def _levels(sample: Sample, values: np.ndarray) -> dict[str, float]:
    """Means of the arms in both windows; comparators' are those of the pilots less the gap."""
    own, treated = sample.y[sample.pilot], sample.treated[sample.pilot]
    made: dict[str, float] = {}
    for when, window, gap in (("before", ~treated, values[0]), ("after", treated, values[1])):
        cells = np.where(window, own, np.nan)
        carried = np.isfinite(cells).any(axis=1)
        mean = float(np.nanmean(cells[carried], axis=1).mean())
        made |= {f"pilots_{when}": mean, f"comparators_{when}": mean - float(gap)}
    return made


def _until_stops(sample: Sample) -> tuple[Sample, np.ndarray]:
    """Give pilots of one start and one stop (as treated) a cohort; its stop, T if none, (G,)."""
    n = len(sample.periods)
    stops = np.where(sample.left, sample.stops, n)
    own = [
        (sample.starts[g], int(stop)) if g >= 0 else None
        for g, stop in zip(sample.cohort, stops, strict=True)
    ]
    roles = sorted({role for role in own if role is not None})
    split = replace(
        sample,
        starts=tuple(start for start, _ in roles),
        cohort=np.array([-1 if role is None else roles.index(role) for role in own], dtype=np.intp),
    )
    return split, np.array([stop for _, stop in roles])


def _by_window(sample: Sample, stops: np.ndarray) -> Windows:
    """Windows of the four naive numbers."""
    starts = np.array(sample.starts)[:, None]
    when = np.arange(len(sample.periods))
    before = when < starts  # (G, T)
    after = ~before & (when < stops[:, None])
    none = np.zeros_like(after)
    return Windows(
        plus=np.stack([before, after, after, after], axis=1),
        minus=np.stack([none, none, before, before], axis=1),
        acts=np.stack([before, after, after, after], axis=1),
        compared=np.array([True, True, False, True]),
        terms=pd.DataFrame(
            {
                "term": ["gap_before", "gap_after", "before_after", "change"],
                "position": range(4),
                "phase": ["before", "after", "after", "after"],
            }
        ),
    )


def _by_period(sample: Sample) -> Windows:
    """One window a period with a value in both arms."""
    n = len(sample.periods)
    one = np.repeat(np.eye(n, dtype=bool)[None], len(sample.starts), axis=0)
    first = min(sample.starts)
    return Windows(
        plus=one,
        minus=np.zeros_like(one),
        acts=one,
        compared=np.ones(n, dtype=bool),
        terms=pd.DataFrame(
            {
                "term": [f"gap in {label}" for label in sample.periods],
                "position": range(n),
                "period": list(sample.periods),
                "phase": ["before" if t < first else "after" for t in range(n)],
            }
        ),
    )
