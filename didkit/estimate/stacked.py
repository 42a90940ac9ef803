"""Stacked: a small panel for each start with clean comparators, and one regression on all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_whole
from didkit.estimate.aggregation import (
    Aggregated,
    aggregate,
    check_aggregation,
    cohort_sizes,
    event_name,
)
from didkit.estimate.by_cohort import reassigned_by_cohort, without_own_effect
from didkit.estimate.cells import CellsUsed, check_cells
from didkit.estimate.cohort_cells import refuse_sets
from didkit.estimate.cohort_regression import check_anticipation
from didkit.estimate.published import Published
from didkit.estimate.refits import refits
from didkit.estimate.saturated import Fitted, normal_by, refuse_dependent
from didkit.estimate.stack_window import Window, widest
from didkit.estimate.stacks import Laid, Stacks
from didkit.estimate.wording import counted, plural
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["Stacked"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Stacked:
    """Each start with its own comparators and window, put on top of each other.

    Parameters
    ----------
    before, after : int, optional
        The window: periods before the start (at least 1, more than `anticipation`), and periods
        after the first treated one. Starts whose window does not fit into the panel are left out,
        and the notes name them. By default the widest window that keeps every start that some
        window keeps; a note says which, and which starts a wider one would lose. The
        estimate's `estimator` holds it, so that refits on fewer units keep it.
    weights : {"corrective", "none"}
        ``"corrective"``: comparators of a start count as much, together, as its pilots do among all
        pilots, so that every start has the weight of its pilots. ``"none"``: least squares gives a
        start weight by n₁n₀/(n₁+n₀), more to those with many comparators.
    comparison : {"never", "not_yet"}, optional
        Units that never start; or besides them pilots whose start (and anticipation) comes after
        the window. By default the latter where the design says `NotYetTreated`.
    cells : {"complete", "observed"}
        Units with a value in the whole window of a start (in each stack anew), or every cell.
    by : {"simple", "dynamic", "group", "none"}
        The mean over the periods from the start on; by periods since the start; by start; or every
        start and period.
    anticipation : int, default 0
        Periods before the start in which the programme may act: the reference is the last period
        before them.
    sampling, population : str, optional
        Metrics that weigh units, see `Design.sample`; a unit's weight is its mean over cells.
    aggregation : {"pilots", "cohorts"}
        With corrective weights: each pilot counts once, or each start.

    Notes
    -----
    ``y_sit = α_si + λ_st + Σ_{e≠−1} δ_e d_si 1{t − g_s = e} + ε_sit`` for the stack s of start
    g_s, by least squares with weights. With corrective weights and complete cells δ_e is the
    mean, over all pilots whose window fits, of their start's change since the reference less that
    of its comparators: the *trimmed aggregate* effect, whose composition is the same at every e.
    A unit serves in several stacks: clusters are units (or what the design says), its weights are
    summed over the stacks, and CR2 takes its rows together.

    It assumes parallel trends within each window, and says nothing of starts outside. It fails
    where a window finds no clean comparators.

    References
    ----------
    Cengiz, Dube, Lindner & Zipperer (2019); Wing, Freedman & Hollingsworth (2024).

    Examples
    --------
    >>> import pandas as pd
    >>> starts = {1: 2018, 2: 2019, 3: 0, 4: 0}
    >>> frame = pd.DataFrame(
    ...     [
    ...         (unit, year, start, 10.0 * unit + year + (0 < start <= year) * (year - start + 1))
    ...         for unit, start in starts.items()
    ...         for year in range(2016, 2021)
    ...     ],
    ...     columns=["la", "year", "start", "cin"],
    ... )
    >>> design = Design.from_frame(
    ...     frame, unit="la", period="year", start="start", metrics=["cin"], selection="unknown"
    ... )
    >>> made = Stacked(before=2, after=1, by="dynamic").fit(design, "cin")
    >>> dict(zip(made.terms["event_time"], (made.values.round(6) + 0.0).tolist()))
    {-2: 0.0, 0: 1.0, 1: 2.0}
    """

    before: int | None = field(default=None, kw_only=True)
    after: int | None = field(default=None, kw_only=True)
    weights: Literal["corrective", "none"] = field(default="corrective", kw_only=True)
    comparison: Literal["never", "not_yet"] | None = field(default=None, kw_only=True)
    cells: CellsUsed = field(default="complete", kw_only=True)
    by: Literal["simple", "dynamic", "group", "none"] = field(default="simple", kw_only=True)
    anticipation: int = field(default=0, kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)
    aggregation: Aggregated = field(default="pilots", kw_only=True)

    def __post_init__(self) -> None:
        check_cells(self.cells, "Stacked(cells=)")
        check_aggregation(self.aggregation, "Stacked")
        check_anticipation(self.anticipation, "Stacked")
        for option, known in (
            ("weights", ("corrective", "none")),
            ("comparison", ("never", "not_yet", None)),
            ("by", ("simple", "dynamic", "group", "none")),
        ):
            if getattr(self, option) not in known:
                raise EstimationError(
                    needed=f"{option}: " + ", ".join(map(repr, known)),
                    found=repr(getattr(self, option)),
                    where=f"Stacked({option}=)",
                    todo="a stack is laid out by periods since the start: for calendar periods "
                    "use GroupTime, SunAbraham or Imputation"
                    if option == "by"
                    else "choose one",
                )
        for option, least in (("before", self.anticipation + 1), ("after", 0)):
            given = getattr(self, option)
            if given is not None and (not is_whole(given) or given < least):
                raise EstimationError(
                    needed=f"{option}: a whole number of periods, {least} or more",
                    found=repr(given),
                    where=f"Stacked({option}=)",
                    todo="the window holds the reference, which is before any anticipation, and "
                    "the first treated period",
                )
        if self.weights == "none" and self.aggregation == "cohorts":
            raise EstimationError(
                needed="weights='corrective' with aggregation='cohorts'",
                found="weights='none': least squares then weighs the starts",
                where="Stacked(aggregation=)",
                todo="leave one of them out",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the effects and their averages.

        Raises
        ------
        PanelError
            If the metric or a weight is unknown.
        DesignError, EstimationError
            Matched sets; no start whose window fits and has clean comparators.
        """
        sample = design.sample(metric, sampling=self.sampling, population=self.population)
        refuse_sets(sample, "Stacked")
        window = self._window(sample)
        if self.before is None or self.after is None:  # refits keep the window
            fixed = replace(self, before=window.before, after=window.after)
            return fixed._found(design, sample, window)
        return self._found(design, sample, window)

    def _found(self, design: Design, sample: Sample, window: Window) -> Estimate:
        """Lay the stacks out and estimate; refuse where there is none."""
        stacks = self._stacks(sample, window)
        made = stacks.lay(sample.cohort)
        if len(made.start) == 0:
            raise EstimationError(
                needed=f"a start with {window.before} periods before it, {window.after} after its "
                "first treated period, and comparators that are clean throughout",
                found="; ".join(stacks.why(made)) or "none",
                where=f"Stacked, metric {sample.metric.name!r}",
                todo="use a narrower window, such as before=1, after=0"
                + ("" if stacks.not_yet else ", or comparison='not_yet'"),
            )
        served = np.zeros(len(sample.units), dtype=bool)
        served[made.unit] = True
        reasons = stacks.why(made)
        if not served.all():
            sample = sample.keep(served, "in no stack")
            stacks = self._stacks(sample, window)
        return self._estimate(design, sample, stacks, (*window.notes, *reasons))

    def _not_yet(self, sample: Sample) -> bool:
        return (self.comparison or ("not_yet" if sample.not_yet else "never")) == "not_yet"

    def _window(self, sample: Sample) -> Window:
        """Return the window that was asked for, or the widest that every start has."""
        return widest(
            sample,
            self.before,
            self.after,
            anticipation=int(self.anticipation),
            not_yet=self._not_yet(sample),
        )

    def _stacks(self, sample: Sample, window: Window) -> Stacks:
        """Lay the options out for one sample."""
        return Stacks(
            sample=sample,
            before=window.before,
            after=window.after,
            anticipation=int(self.anticipation),
            not_yet=self._not_yet(sample),
            complete=self.cells == "complete",
            corrective=self.weights == "corrective",
            cohorts=self.aggregation == "cohorts",
        )

    def _estimate(
        self, design: Design, sample: Sample, stacks: Stacks, reasons: tuple[str, ...]
    ) -> Estimate:
        """Fit, and put the answer together."""
        made = stacks.lay(sample.cohort)
        g, t = stacks.cells(made)
        size, _ = cohort_sizes(sample, self.aggregation)
        aggregation = aggregate(sample, g, t, self.by, size=size, anticipation=self.anticipation)
        pooled = self.by in ("simple", "dynamic")
        parts, lost = _published(stacks, made, aggregation.members, pooled=pooled)
        facing = "all that start after it" if stacks.not_yet else "those that never start"
        once = counted(sample, self.aggregation, "window")  # of one length: no pilot more often
        notes = [
            *reasons,
            f"{plural(len(made.start), 'stack')}: each start against {facing}, in a window of "
            f"{plural(stacks.before, 'period')} before it to {stacks.after} after "
            "its first treated period",
        ]
        if self.weights == "none":
            once = "a start counts by n1·n0/(n1 + n0), as least squares weighs it"
        if lost.any():
            notes.append(
                f"{first_few(aggregation.terms['term'][lost])}: no placebo pilots, since pilots "
                "serve as comparators in these periods"
            )
        unit = sample.metric.unit or "units of the metric"
        return parts.to_estimate(
            self,
            design,
            sample,
            estimand=f"average effect on {tables.inside(sample.metric.label)} ({unit})"
            " of starts whose "
            f"window fits, pilots less {facing}; {once}",
            terms=aggregation.terms,
            reference=self._reference(sample, made.start),
            facts={"stacks": float(len(made.start)), "rows": float(len(made.unit))},
            notes=tuple(notes),
        )

    def _reference(self, sample: Sample, used: Ints) -> pd.DataFrame | None:
        """Return the reference of an event study."""
        if self.by != "dynamic":
            return None
        e = -1 - int(self.anticipation)
        period = sample.periods[sample.starts[used[0]] + e] if len(used) == 1 else ""
        return pd.DataFrame(
            {
                "term": [event_name(e)],
                "position": [e],
                "event_time": [e],
                "period": [period],
                "phase": ["reference"],
            }
        )


def _published(
    stacks: Stacks, made: Laid, members: Bools, *, pooled: bool
) -> tuple[Published, Bools]:
    """Fit, and say which terms (k,) have no placebo: pilots are comparators there.

    A term is the plain mean of the columns that it has a part in.
    """
    sample = stacks.sample
    g, t = stacks.cells(made)
    key = stacks.keys(g, t, pooled=pooled)
    names = stacks.names(g, t, pooled=pooled)
    part = np.stack([np.bincount(key[m], minlength=len(names)) > 0 for m in members])
    contrast = part / part.sum(axis=1, keepdims=True)
    y = np.where(sample.mask, sample.y, 0.0)
    n_units = len(sample.units)

    def columns(laid: Laid) -> Floats:
        inside = stacks.inside(laid, g, t)
        own = np.zeros((len(laid.unit), len(names), inside.shape[2]))
        for c, k in enumerate(key.tolist()):
            own[:, k] += inside[:, c]
        return own

    def by_unit(values: Floats, unit: Ints) -> Floats:
        total = np.zeros((n_units, *values.shape[1:]))
        np.add.at(total, unit, values)
        return total

    def kernel(cohort: Ints, outcomes: Floats) -> tuple[Floats, Floats]:
        laid = stacks.lay(cohort)
        values = np.full((len(outcomes), len(part)), np.nan)
        influence = np.full((len(outcomes), n_units, len(part)), np.nan)
        own = columns(laid)
        there = (own > 0).any(axis=(0, 2))
        kept = ~(part & ~there).any(axis=1)
        if not there.any() or not kept.any():
            return values, influence
        rows = stacks.rows(laid, own[:, there], tuple(np.array(names)[there]))
        wide = np.zeros((int(kept.sum()), len(rows.names)))
        wide[:, : int(there.sum())] = contrast[kept][:, there]
        found = rows.estimates(outcomes[:, laid.unit], wide)
        if found is not None:
            values[:, kept] = found[0]
            influence[:, :, kept] = by_unit(found[1].swapaxes(0, 1), laid.unit).swapaxes(0, 1)
        return values, influence

    own = columns(made)
    rows = stacks.rows(made, own, names)
    refuse_dependent(rows, f"Stacked, metric {sample.metric.name!r}")
    wide = np.zeros((len(part), len(rows.names)))
    wide[:, : len(names)] = contrast
    cluster = sample.clusters[made.unit]
    fitted = Fitted.of(rows, y[made.unit], wide, cluster, sample.cluster_labels)
    weights = by_unit(fitted.weights.swapaxes(0, 1), made.unit).swapaxes(0, 1)
    acts = np.stack([own[:, columns_of].any(axis=1) for columns_of in part], axis=1)
    actual = by_unit(acts.astype(np.float64), made.unit).swapaxes(0, 1)
    lost = np.abs(np.einsum("kjt,kjt->k", weights, actual) - 1) > 1e-8
    whole = bool(sample.mask.all())
    reassigned = (
        reassigned_by_cohort(kernel, sample.y, actual, weights, sample.cohort)
        if whole and sample.w is None
        else refits(kernel, sample.y, actual)
    )
    served = [made.start[made.stack][:, None] == g[m] for m in members]
    comparators = [len(np.unique(made.unit[~made.treated & near.any(axis=1)])) for near in served]
    return Published(
        values=fitted.values,
        n_pilots=(actual > 0).any(axis=2).sum(axis=1),
        n_comparators=np.array(comparators, dtype=np.int64),
        weights=weights,
        influence=by_unit(fitted.influence, made.unit),
        normal=fitted.normal,
        contrast=fitted.contrast,
        regroup=lambda codes: normal_by(rows, y[made.unit], codes[made.unit]),
        reassigned=without_own_effect(reassigned, lost),
        assignable=None if whole else np.asarray(sample.mask.all(axis=1)) | sample.pilot,
    ), lost
