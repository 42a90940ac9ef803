"""Doubly robust difference-in-differences: pilots and comparators made alike in two ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few
from didkit.estimate.cells import CellsUsed, check_cells
from didkit.estimate.covariates import check_covariates, refuse_here
from didkit.estimate.published import Published
from didkit.estimate.two_by_two import LOGIT, Method, TwoByTwo, check_method, panel
from didkit.estimate.two_by_two_draws import draws_of_panel
from didkit.estimate.two_by_two_rows import rows
from didkit.estimate.wording import plural
from didkit.panel import Metric
from didkit.results import Draws, Estimate, Labels, tables

__all__ = ["DoublyRobust"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEW = 10  # pilots a covariate: below, a note


@dataclass(frozen=True)
class DoublyRobust:
    """The change in the pilots less that of comparators with the same covariates; one start date.

    Parameters
    ----------
    covariates : sequence of str, optional
        Metrics of the panel. ``cells="complete"``: as they were in the last period before the
        start, which the programme cannot have changed. ``"observed"``: as they are in each cell.
        Without covariates every method but "ipw_unnormalised" is the difference of means.
    method : str, default "dr_improved"
        ``"dr_improved"``: a logit that balances the covariates exactly, and least squares with its
        weights; ``"dr"``: the usual logit and least squares; ``"regression"``: outcome regression
        alone; ``"ipw"``: odds weights alone, which add up to 1; ``"ipw_unnormalised"``: that do
        not. With ``cells="observed"`` also ``"dr_improved_comparators"`` and ``"dr_comparators"``,
        without an outcome model of the pilots, and ``"two_way"``, least squares with the
        covariates added (right only where they act alike in both groups and periods).
    cells : {"complete", "observed"}
        ``"complete"``: one number a unit, mean after less mean before, on units observed in every
        period. ``"observed"``: each cell a row, before or after: repeated cross-sections and
        unbalanced panels; what rows of one unit contribute is added up.
    sampling, population : str, optional
        Metrics of the panel that weigh cells (how many units each stands for) and units (how many
        people live there). ``"complete"`` uses the sampling weight of the base period.

    Notes
    -----
    It assumes that pilots and comparators with the same covariates would have changed alike, and
    that every pilot has comparators like it (overlap). The two "dr" methods are right if either
    the logit or the outcome model is; the improved one is the default because its authors
    recommend it: its standard error is right too when one of the two models is wrong. It fails
    where no weights give the comparators the pilots' means: it is then refused. Comparators with a
    propensity of 0.995 or more have no weight.

    The logit needs pilots: with no more than one above the number of covariates it is refused,
    and below ten a covariate a note says so; ``method="regression"`` asks nothing of the pilots.
    For staggered starts use `GroupTime`. ``"observed"`` pools the periods before and those after,
    and takes a change of who is in the groups for an effect.

    References
    ----------
    Sant'Anna & Zhao (2020); Abadie (2005) for the weights alone; Graham, Pinto & Egel (2012) for
    the tilting. The same numbers as R's DRDID 1.2.3: ``drdid_imp_panel``, ``drdid_panel``,
    ``reg_did_panel``, ``std_ipw_did_panel``, ``ipw_did_panel``, and those ending in ``_rc`` and
    ``_rc1``. The standard errors of ``drdid_rc`` and ``drdid_rc1`` ("dr" and "dr_comparators" with
    ``cells="observed"``) differ by up to 0.9 % in its examples: the package adds a term to the
    influence that the derivative subtracts.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame(
    ...     [
    ...         (j, t, 2 if j < 2 else 0, x, 10.0 * j + t * x + (j < 2) * (t == 2) * 5)
    ...         for j, x in enumerate([1.0, 2.0, 0.0, 1.0, 2.0, 4.0])
    ...         for t in (1, 2)
    ...     ],
    ...     columns=["unit", "period", "start", "x", "y"],
    ... )
    >>> design = Design.from_frame(
    ...     frame,
    ...     unit="unit",
    ...     period="period",
    ...     start="start",
    ...     metrics=["y", "x"],
    ...     selection="unknown",
    ... )
    >>> made = DoublyRobust(covariates=["x"], method="regression").fit(design, "y")
    >>> made.values.round(10).tolist()
    [5.0]
    """

    covariates: Sequence[str] = field(default=(), kw_only=True)
    method: Method = field(default="dr_improved", kw_only=True)
    cells: CellsUsed = field(default="complete", kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_cells(self.cells, "DoublyRobust(cells=)")
        check_method(self.method, "DoublyRobust(method=)")
        names = check_covariates(self.covariates, "observed", "DoublyRobust(covariates=)")
        object.__setattr__(self, "covariates", names)
        if self.cells == "complete" and self.method == "two_way":
            raise EstimationError(
                needed="cells='observed' with method='two_way'",
                found="cells='complete'",
                where="DoublyRobust(method=)",
                todo="use method='regression', or cells='observed'",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the effect.

        Raises
        ------
        PanelError
            If a metric is unknown.
        DesignError
            If no pilot or no comparator is left with the cells needed.
        EstimationError
            Staggered starts, matched sets, no comparator that never starts, too few pilots for
            the logit, a collinear covariate, or covariates that tell pilots from comparators.
        """
        complete = self.cells == "complete"
        sample = design.sample(
            metric,
            covariates=() if complete else self.covariates,
            sampling=self.sampling,
            population=self.population,
        )
        self._refuse(sample)
        return self._complete(design, sample) if complete else self._observed(design, sample)

    def _refuse(self, sample: Sample) -> None:
        """Refuse designs that one comparison of two groups cannot serve."""
        where = f"DoublyRobust of {sample.metric.name!r}"
        if sample.sets is not None:
            raise EstimationError(
                needed="one pool of comparators",
                found="matched sets: comparators are weighted already",
                where=where,
                todo="use DiD with the sets, or against=Pool() and the covariates here",
            )
        if len(sample.starts) > 1:
            raise EstimationError(
                needed="one start date",
                found=f"{len(sample.starts)}: "
                + first_few([sample.periods[start] for start in sample.starts]),
                where=where,
                todo="use GroupTime, which does this for each start and takes the same covariates",
            )
        if sample.n_comparators == 0:
            raise EstimationError(
                needed="comparators that never start",
                found="none",
                where=where,
                todo="widen the panel; with pilots that start later, use GroupTime",
            )
        if self.cells == "observed":
            refuse_here(tuple(self.covariates), sample, where)

    def _enough(self, sample: Sample) -> tuple[str, ...]:
        """Refuse a logit that so few pilots cannot carry; a note where they hardly can."""
        c, n = len(self.covariates), sample.n_pilots
        if c == 0 or self.method not in LOGIT:
            return ()
        if n <= c + 1:
            raise EstimationError(
                needed=f"at least {c + 2} pilots for a logit with {c} covariates",
                found=f"{n}",
                where=f"DoublyRobust(method={self.method!r}) of {sample.metric.name!r}",
                todo="use fewer covariates, or method='regression', which models comparators only",
            )
        if n >= _FEW * c:
            return ()
        return (
            f"{plural(n, 'pilot')} for {c} {'covariate' if c == 1 else 'covariates'} of the logit: "
            f"with fewer than {_FEW} a covariate it is fragile; read method='regression' beside it",
        )

    # -- one number a unit ---------------------------------------------------------------------

    def _complete(self, design: Design, sample: Sample) -> Estimate:
        """Compare mean after less mean before of units observed throughout."""
        sample = sample.keep(
            ~sample.left, "left the programme, so not observed throughout (as treated)"
        )
        needed = np.ones(sample.mask.shape, dtype=bool)
        needed[sample.pilot] = ~sample.set_aside[0]
        sample = sample.keep(
            np.asarray((sample.mask | ~needed).all(axis=1)),
            "not observed in every period of the window",
        )
        before, after = _windows(sample)
        base = int(np.flatnonzero(before)[-1])
        sample, x = self._at_base(design, sample, base)
        notes = [*self._enough(sample)]
        w = None if sample.w is None else sample.w[:, base]
        X = np.column_stack([np.ones(len(sample.units)), x])
        when = after / after.sum() - before / before.sum()
        names, where = tuple(self.covariates), f"DoublyRobust of {sample.metric.name!r}"
        change = np.where(when != 0, sample.y, 0.0) @ when
        made = panel(change, sample.pilot, X, w, self.method, names=names, where=where)
        if names:
            notes.append(
                f"{first_few(names)} as in {sample.periods[base]}, the last period before the "
                "start; pilots and comparators alike in that are assumed to have changed alike"
            )
        if sample.metric.name in names:
            notes.append(
                "the outcome itself before the start is held: comparators are then chosen by its "
                "noise too, and return to their own mean"
            )
        if self.sampling is not None:
            notes.append(f"{self.sampling!r} as in {sample.periods[base]}")
        return self._publish(
            design,
            sample,
            made,
            weights=made.weights[:, None] * when,
            influence=made.influence,
            reassigned=draws_of_panel(np.column_stack([change, sample.pilot]), X, w, self.method),
            notes=notes,
        )

    def _at_base(self, design: Design, sample: Sample, base: int) -> tuple[Sample, Floats]:
        """Return units that have the covariates in the base period, and these (J, C)."""
        names = tuple(self.covariates)
        if not names:
            return sample, np.zeros((len(sample.units), 0))
        place = {unit: i for i, unit in enumerate(design.panel.unit_ids)}
        at = np.array([place[unit] for unit in sample.units], dtype=np.intp)
        when = design.panel.calendar.position(sample.periods[base])
        x = np.column_stack([design.panel.cells(name).value[at, when] for name in names])
        has = np.isfinite(x)
        lacking = [name for c, name in enumerate(names) if not has[:, c].all()]
        kept = has.all(axis=1)
        sample = sample.keep(
            kept,
            f"no value of {first_few(lacking)} in {sample.periods[base]}, the base period",
            advice="leave that covariate out, or impute it before",
        )
        return sample, x[kept]

    # -- each cell a row ---------------------------------------------------------------------

    def _observed(self, design: Design, sample: Sample) -> Estimate:
        """Compare rows before and after."""
        before, after = _windows(sample)
        usable = sample.mask & (before | after)
        sample = sample.keep(
            np.asarray(usable.any(axis=1)), "no value outside the partly treated periods"
        )
        usable = sample.mask & (before | after)
        notes = [*self._enough(sample), *_pooled(sample, usable, after)]
        unit, period = np.nonzero(usable)
        names = tuple(self.covariates)
        x = np.zeros((len(unit), 0)) if sample.x is None else sample.x[unit, :, period]
        made = rows(
            sample.y[unit, period],
            after[period],
            sample.pilot[unit],
            np.column_stack([np.ones(len(unit)), x]),
            None if sample.w is None else sample.w[unit, period],
            self.method,
            names=names,
            where=f"DoublyRobust of {sample.metric.name!r}",
        )
        weights = np.zeros(sample.y.shape)
        weights[unit, period] = made.weights
        influence = np.zeros((len(sample.units), 1))
        np.add.at(influence, unit, made.influence)
        if names:
            notes.append(
                f"{first_few(names)} as in each cell: after the start the programme must not "
                "have changed them"
            )
        notes.append(
            "cells are compared as rows: who is in the two groups is assumed to be of the same "
            "kind before and after"
        )
        return self._publish(
            design, sample, made, weights=weights, influence=influence, notes=notes
        )

    def _publish(
        self,
        design: Design,
        sample: Sample,
        made: TwoByTwo,
        *,
        weights: Floats,
        influence: Floats,
        notes: list[str],
        reassigned: Callable[[Labels], Draws] | None = None,
    ) -> Estimate:
        """Put the estimate together."""
        trimmed = int(made.facts.get("n_trimmed", 0))
        if trimmed:
            what = "comparators" if self.cells == "complete" else "cells of comparators"
            notes.append(f"{trimmed} {what} with a propensity of 0.995 or more have no weight")
        unit = sample.metric.unit or "units of the metric"
        whom = (
            f"comparators with the same {first_few(self.covariates)}"
            if self.covariates
            else "comparators"
        )
        once = "each person counts once" if self.population else "each authority counts once"
        if self.cells == "observed" and not self.population:
            once = "each cell counts once"
        if self.sampling:
            once += f", as often as {self.sampling!r} says"
        return Published(
            values=made.values,
            n_pilots=np.array([sample.n_pilots]),
            n_comparators=np.array([sample.n_comparators]),
            weights=weights[None],
            influence=influence,
            reassigned=reassigned,
        ).to_estimate(
            self,
            design,
            sample,
            estimand=f"average change in {tables.inside(sample.metric.label)} ({unit})"
            " from the start "
            f"on, pilots less {whom}; {once}",
            terms=pd.DataFrame({"term": ["att"], "position": [0], "phase": ["after"]}),
            facts=made.facts,
            notes=tuple(notes),
        )


def _windows(sample: Sample) -> tuple[Bools, Bools]:
    """Return the periods before and from the start on, without those partly treated.

    Raises
    ------
    EstimationError
        If one is empty.
    """
    after = np.arange(len(sample.periods)) >= sample.starts[0]
    aside = sample.set_aside[0]
    before, after = ~after & ~aside, after & ~aside
    if not before.any() or not after.any():
        raise EstimationError(
            needed="a period before the start and one from the start on",
            found=f"start in {sample.periods[sample.starts[0]]}, window {sample.periods[0]} to "
            f"{sample.periods[-1]}",
            where=f"DoublyRobust of {sample.metric.name!r}",
            todo="widen the window",
        )
    return before, after


def _pooled(sample: Sample, usable: Bools, after: Bools) -> tuple[str, ...]:
    """Note where pilots and comparators are seen in other periods, which are pooled."""
    apart = 0.0
    for side in (~after, after):
        counts = [(usable[who] & side).sum(axis=0) for who in (sample.pilot, ~sample.pilot)]
        if all(count.sum() for count in counts):
            shares = [count / count.sum() for count in counts]
            apart = max(apart, float(np.abs(shares[0] - shares[1]).max()))
    if apart < 1e-9:
        return ()
    return (
        "periods before the start are pooled, and those after: a period's share of the cells "
        f"differs by up to {100 * apart:.1f} percentage points between pilots and comparators, so "
        "that what is particular to a period does not cancel wholly; GroupTime compares period "
        "by period",
    )
