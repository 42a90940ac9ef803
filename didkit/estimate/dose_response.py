"""Embeddedness as a dose: groups of dose against comparators, and the slope among pilots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_number, is_whole
from didkit.estimate.published import Published
from didkit.linear import Normal
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["DoseResponse"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class DoseResponse:
    """How effects go with the dose of the programme, one change a unit.

    Each pilot's change from before its start to after it, less the mean change of comparators over
    the same periods, is set against its dose: the mean of the rollout's dose over the periods
    after the start that are compared.

    Parameters
    ----------
    shape : {"groups", "linear"}
        "groups": the mean effect in each group of dose, ATT(d|d): what this dose did where it was
        given. "linear": the mean effect of all pilots, and the slope of the effect in the dose.
    groups : int or sequence of numbers, default 3
        So many groups of pilots, as equal in number as ties allow (3: tertiles), or cut points:
        [0.5] is doses up to 0.5 and above.
    at : int, optional
        Event time: the change from the last period before the start to this many periods after
        it. By default the mean of all periods from the start on less the mean of all before it.

    Notes
    -----
    **Assumes.** A group's effect needs parallel trends, as `DiD`: without the programme its
    pilots would have changed as comparators did. *Differences* between groups, and the slope, are
    causal only under **strong parallel trends**: pilots of every dose would, at any one dose, have
    had the same mean effect. It fails where a place took a higher dose because it had more to gain
    from it, or because it was able to; the groups' effects stand then, their comparison does not.

    The mean effect is `DiD` with ``cells="complete"``. With one start all is least squares on one
    number a unit. The slope compares pilots only: no comparator carries it if all start together.

    **Fails** where a group has no pilot or no dose is known (refused), and says so in a note where
    a group has one pilot, whose standard error does not exist. Pilots whose dose is not known, and
    units with a gap in the periods compared, are left out by name. After a pilot left, its dose
    is 0 under intention to treat, and counts in the mean.

    References
    ----------
    Callaway, Goodman-Bacon & Sant'Anna (2024), Difference-in-differences with a continuous
    treatment.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from didkit.design import Pool, Rollout
    >>> from didkit.panel import Panel
    >>> dose = {"301": 1.0, "302": 2.0, "303": 4.0}
    >>> frame = pd.DataFrame(
    ...     [
    ...         (unit, year, int(unit) + year + 3 * dose.get(unit, 0.0) * (year >= 2015))
    ...         for unit in ("301", "302", "303", "304", "305")
    ...         for year in range(2012, 2018)
    ...     ],
    ...     columns=["la", "year", "cin"],
    ... )
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> rollout = Rollout(dict.fromkeys(dose, 2015), dose=dose)
    >>> design = Design(panel, rollout, against=Pool(), selection="unknown")
    >>> DoseResponse("linear").fit(design, "cin").values.round(10).tolist()
    [7.0, 3.0]
    """

    shape: Literal["groups", "linear"] = "groups"
    groups: int | Sequence[float] = field(default=3, kw_only=True)
    at: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.shape not in ("groups", "linear"):
            raise EstimationError(
                needed="shape='groups' or shape='linear'",
                found=repr(self.shape),
                where="DoseResponse(shape=)",
                todo="choose one",
            )
        cuts: int | tuple[float, ...]
        if is_whole(self.groups):
            cuts = int(str(self.groups))
            wrong = cuts < 1
        else:
            raw: Any = self.groups
            given = tuple(raw) if isinstance(raw, Iterable) else ()
            wrong = not given or not all(map(is_number, given))
            cuts = () if wrong else tuple(float(cut) for cut in given)
            wrong = wrong or list(cuts) != sorted(set(cuts))
        if wrong:
            raise EstimationError(
                needed="a number of groups, 1 or more, or rising cut points",
                found=repr(self.groups),
                where="DoseResponse(groups=)",
                todo="write groups=3 for tertiles, or groups=[0.25, 0.5]",
            )
        object.__setattr__(self, "groups", cuts)
        if self.at is not None and (not is_whole(self.at) or self.at < 0):
            raise EstimationError(
                needed="an event time, 0 or later, or None",
                found=repr(self.at),
                where="DoseResponse(at=)",
                todo="0 is the first treated period; None takes the mean of all",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the terms.

        Raises
        ------
        PanelError
            If the metric is unknown.
        DesignError, EstimationError
            If the rollout has no dose, the design matches sets or has no unit that never starts, a
            group is empty, or all doses are alike (``shape="linear"``).
        """
        sample = self._usable(design.sample(metric))
        plus, minus = self._windows(sample)
        dose = _dose(sample, plus)
        window = _means(plus, minus)
        parts, names, extras = self._parts(sample, dose)
        values, weights, influence = _compared(sample, window, parts)
        normal, contrast, contributions = self._least_squares(sample, window, parts, dose)
        slope = np.array([name == "slope" for name in names])
        only = slope & (len(sample.starts) == 1)
        unit = sample.metric.unit or "units of the metric"
        terms = pd.DataFrame(
            {"term": names, "position": range(len(names)), "phase": "after", **extras}
        )
        return Published(
            values=values,
            n_pilots=(parts != 0).sum(axis=1).astype(np.int64)
            if self.shape == "groups"
            else np.full(len(names), sample.n_pilots, dtype=np.int64),
            n_comparators=np.where(only, 0, sample.n_comparators).astype(np.int64),
            weights=weights,
            influence=influence,
            normal=normal,
            contrast=contrast,
            contributions=contributions,
        ).to_estimate(
            self,
            design,
            sample,
            estimand=f"effect on {tables.inside(sample.metric.label)} ({unit})"
            " of the dose that was "
            "given"
            + ("" if self.shape == "groups" else ", and its slope in one unit of dose")
            + "; each authority counts once",
            terms=terms,
            facts={"dose_least": float(dose.min()), "dose_largest": float(dose.max())},
            notes=self._notes(names, (parts != 0).sum(axis=1)),
        )

    def _usable(self, sample: Sample) -> Sample:
        """Return the pilots with a dose and the units without a gap in the periods compared."""
        where = f"DoseResponse, metric {sample.metric.name!r}"
        for wrong, needed, found, todo in (
            (
                sample.sets is not None,
                "one pool of comparators",
                "matched sets",
                "use against=Pool()",
            ),
            (
                bool(sample.pilot.all()),
                "units that never start",
                f"a start for each of the {len(sample.units)} units",
                "widen the panel, or use Switching, which compares with later pilots",
            ),
            (
                sample.dose is None,
                "doses of the pilots",
                "none in the rollout",
                "give Rollout(dose={pilot: number}), or use DiD",
            ),
        ):
            if wrong:
                raise EstimationError(needed=needed, found=found, where=where, todo=todo)
        plus, minus = self._windows(sample)
        used = plus | minus
        if not used.any() or (self.at is not None and not plus.any(axis=1).all()):
            late = [
                sample.periods[s]
                for s, there in zip(sample.starts, np.asarray(plus.any(axis=1)), strict=True)
                if not there
            ]
            raise EstimationError(
                needed=f"a period {self.at} after every start",
                found=f"none after {first_few(late)}",
                where="DoseResponse(at=)",
                todo="ask for an earlier one, or widen the window",
            )
        known = np.ones(len(sample.units), dtype=bool)
        if sample.dose is not None:
            own = plus[np.maximum(sample.cohort, 0)]
            known = np.isfinite(np.where(own, sample.dose, 0.0)).all(axis=1) | ~sample.pilot
        sample = sample.keep(known, "its dose is not known", advice="give it a dose")
        plus, minus = self._windows(sample)
        used = plus | minus
        needed_cells = np.where(
            sample.pilot[:, None], used[np.maximum(sample.cohort, 0)], used.any(axis=0)
        )
        whole = np.asarray((sample.mask | ~needed_cells).all(axis=1))
        return sample.keep(whole, "a gap in the periods compared", advice="use at= or a window")

    def _windows(self, sample: Sample) -> tuple[Bools, Bools]:
        """Return the periods after and before, of each cohort (G, T); partly treated: neither."""
        when = np.arange(len(sample.periods))
        start = np.array(sample.starts)[:, None]
        aside = sample.set_aside
        if self.at is None:
            return (when >= start) & ~aside, (when < start) & ~aside
        before = np.array(
            [
                np.flatnonzero((when < s) & ~out).max(initial=-1)
                for s, out in zip(start, aside, strict=True)
            ]
        )
        return when == start + self.at, when == before[:, None]

    def _parts(
        self, sample: Sample, dose: Floats
    ) -> tuple[Floats, list[str], dict[str, list[float]]]:
        """Return what each pilot's own effect counts for in each term (k, J)."""
        pilot = np.flatnonzero(sample.pilot)
        made = np.zeros((0, len(sample.units)))
        if self.shape == "linear":
            off = dose - dose.mean()
            if not off @ off > 1e-12 * max(float(dose @ dose), 1e-300):
                raise EstimationError(
                    needed="pilots with different doses",
                    found=f"{dose[0]:g} for all {len(dose)}",
                    where="DoseResponse(shape='linear')",
                    todo="use DiD: there is no slope",
                )
            made = np.zeros((2, len(sample.units)))
            made[0, pilot] = 1 / len(pilot)
            made[1, pilot] = off / (off @ off)
            return made, ["att", "slope"], {"dose": [float(dose.mean()), np.nan]}
        code, names = self._grouped(dose)
        made = np.zeros((len(names), len(sample.units)))
        made[code, pilot] = 1 / np.bincount(code)[code]
        each = [dose[code == m] for m in range(len(names))]
        return (
            made,
            names,
            {
                "dose": [float(one.mean()) for one in each],
                "dose_least": [float(one.min()) for one in each],
                "dose_largest": [float(one.max()) for one in each],
            },
        )

    def _grouped(self, dose: Floats) -> tuple[NDArray[np.intp], list[str]]:
        """Return the group of each pilot, and names; refuse an empty group."""
        if isinstance(self.groups, int):
            levels = np.sort(dose)
            n = len(dose)
            at = [levels[-(-n * m // self.groups) - 1] for m in range(1, self.groups)]
            cuts = np.array(at, dtype=np.float64)
        else:
            cuts = np.array(self.groups, dtype=np.float64)
        code = np.searchsorted(cuts, dose, side="left")
        count = np.bincount(code, minlength=len(cuts) + 1)
        if (count == 0).any() or len(set(cuts.tolist())) < len(cuts):
            raise EstimationError(
                needed=f"a pilot in each of {len(cuts) + 1} groups of dose",
                found=f"{first_few(count.tolist(), 10)} pilots, with cuts at "
                + first_few([f"{cut:g}" for cut in cuts], 10),
                where="DoseResponse(groups=)",
                todo="ask for fewer groups, or other cut points",
            )
        edges = [f"{cut:g}" for cut in cuts]
        if not edges:
            return code, ["every dose"]
        inner = [f"dose {low} to {high}" for low, high in pairwise(edges)]
        first = "dose to" if (dose[code == 0] != cuts[0]).any() else "dose"
        return code, [f"{first} {edges[0]}", *inner, f"dose above {edges[-1]}"]

    def _least_squares(
        self, sample: Sample, window: Floats, parts: Floats, dose: Floats
    ) -> tuple[Normal | None, Floats | None, Floats | None]:
        """Return cross-products of one number a unit, where all pilots start together."""
        if len(sample.starts) > 1:
            return None, None, None
        change = (sample.y * window[0])[:, window[0] != 0].sum(axis=1)
        k = len(parts)
        if self.shape == "groups":
            inside = (parts != 0).T
            columns = inside.astype(np.float64)
            seen = inside | ~sample.pilot[:, None]
            contributions = np.where(seen, change[:, None], np.nan)
        else:
            columns = np.zeros((len(change), 2))
            columns[sample.pilot, 0] = 1.0
            columns[sample.pilot, 1] = dose - dose.mean()
            contributions = None
        normal = Normal.from_rows(
            np.column_stack([np.ones(len(change)), columns]),
            change,
            np.array(sample.cluster_labels)[sample.clusters],
        )
        return normal, np.column_stack([np.zeros(k), np.eye(k)]), contributions

    def _notes(self, names: list[str], pilots: NDArray[np.int64]) -> tuple[str, ...]:
        if self.shape == "linear":
            return (
                "att needs parallel trends; the slope is causal only under strong parallel trends: "
                "at any one dose all pilots would have had the same mean effect, so that none "
                "took more because it had more to gain",
            )
        alone = [name for name, n in zip(names, pilots, strict=True) if n == 1]
        made = [
            "the effect of each group needs parallel trends; differences between groups are causal "
            "only under strong parallel trends: at any one dose all pilots would have had the same "
            "mean effect"
        ]
        if alone:
            made.append(f"one pilot in {', '.join(alone)}: no standard error exists")
        return tuple(made)


def _means(plus: Bools, minus: Bools) -> Floats:
    """Return the weights of a cohort's long difference (G, T)."""
    return np.asarray(
        plus / plus.sum(axis=1, keepdims=True) - minus / minus.sum(axis=1, keepdims=True)
    )


def _dose(sample: Sample, plus: Bools) -> Floats:
    """Return each pilot's mean dose over the periods compared after its start (n_pilots,)."""
    own = plus[sample.cohort[sample.pilot]]
    given = np.zeros((0, 0)) if sample.dose is None else sample.dose[sample.pilot]
    return np.asarray(np.where(own, given, 0.0).sum(axis=1) / own.sum(axis=1))


def _compared(sample: Sample, window: Floats, parts: Floats) -> tuple[Floats, Floats, Floats]:
    """Return values (k,), weights (k, J, T) and influence (J, k).

    A pilot's effect is its own long difference less the mean of the comparators' over the same
    periods; a term is a combination of pilots' effects. Its influence is what is left of a pilot's
    effect after the fit, times its part, and of a comparator's combination of long differences
    after their mean.
    """
    pilot, serve = sample.pilot, ~sample.pilot
    n0 = int(serve.sum())
    y = np.where(sample.mask, sample.y, 0.0)
    by_cohort = np.stack(
        [parts[:, sample.cohort == g].sum(axis=1) for g in range(len(window))], axis=1
    )
    weights = parts[:, :, None] * window[np.maximum(sample.cohort, 0)]
    weights[:, serve] = -(by_cohort @ window / n0)[:, None]
    values = (weights * y).sum(axis=(1, 2))
    change = y @ window.T  # (J, G)
    effects = (
        change[np.arange(len(y)), np.maximum(sample.cohort, 0)]
        - change[serve].mean(axis=0)[np.maximum(sample.cohort, 0)]
    )
    basis = parts[:, pilot]
    inverse = np.linalg.pinv(basis)  # (n_pilots, k): what a pilot's effect is fitted by
    influence = np.zeros((len(y), len(parts)))
    influence[pilot] = basis.T * (effects[pilot] - inverse @ values[: len(basis)])[:, None]
    mixed = change[serve] @ by_cohort.T
    influence[serve] = -(mixed - mixed.mean(axis=0)) / n0
    return values, weights, influence
