"""Specification curve: every defensible choice, crossed, and tested together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.choices_crossed import (
    COLUMNS,
    OWN,
    by_name,
    checked,
    crossed,
    from_names,
    n_crossed,
)
from didkit.check.curve_joint import traded
from didkit.check.curve_parts import (
    as_it_is,
    everybody,
    facts_of,
    first_of,
    formed,
    jointly,
    periods_of,
    scale_of,
    why_nobody,
)
from didkit.check.curve_run import Fitted, Inferred, Task, fits, main_of, rows_of
from didkit.check.curve_words import (
    headline,
    left_out_in_words,
    refused_in_words,
    traded_in_words,
)
from didkit.design import Against, Rollout
from didkit.errors import DesignError, InferenceError, is_whole
from didkit.inference.drawing import check_draws
from didkit.progress import steps
from didkit.results import Estimate, Estimator, Finding, Inference

__all__ = ["SpecificationCurve"]

Floats = NDArray[np.float64]
_CANNOT = (
    "whether the choices that were crossed are the right ones, or whether what all of them share "
    "(who was chosen as pilot, what else happened to pilots) moves all of them together"
)


@dataclass(frozen=True, eq=False)
class SpecificationCurve:
    """Refit under every combination of choices, and test all of them together by permutation.

    Every kind of choice is a mapping of names to values, or a list (the names are then made from
    the values). The estimate's own choice always comes first and is called "as designed"; the
    kinds are crossed in full. A combination that cannot be fitted is a row that says why.

    Parameters
    ----------
    pilots : mapping of name to pilots left out (or Rollout), optional
        Comparators are rebuilt for the others, and pilots left out never serve. A list leaves each
        out by itself. With a `Rollout` its pilots and starts.
    comparators : mapping of name to Against, optional
        As in `OtherComparators`.
    windows : mapping of name to (first, last), optional
        Periods of the panel, both in the window. Comparators stay as they are.
    metrics : mapping of name to metric, optional
        Other definitions of the same outcome, in the same unit, unless `standardise`.
    estimators : mapping of name to Estimator, optional
        Such that have one term from the start on (`DiD`, `GroupTime`, …) in the metric's unit;
        others are refused, each in its row.
    inferences : mapping of name to Inference, "recommended" or None, optional
        They change intervals, not estimates: rows that differ in nothing else are one
        specification.
    forms : sequence of {"level", "log", "rank"}, optional
        The outcome as it is, its log (refused where a cell is zero or below), or its percentile
        among the units of the curve in the same period. Need `standardise`.
    cells : sequence of {"observed", "complete"}, optional
        Which units with gaps count; an option of the estimator.
    draws : int, default 999
        Permutations; also the most draws of an inference that draws (the estimate as it is keeps
        its own).
    seed : int, default 0
        Of the permutations.
    jobs : int, default 1
        Processes that fit. The numbers are the same. Worth it from some hundred specifications on.
    most : int, default 5000
        Combinations above which the curve is refused: choose fewer.
    joint : bool, default True
        False: no permutation.
    standardise : bool, default False
        Divide every effect by the standard deviation of its outcome, in its form, between units
        before the first start (over all units of the curve, periods' means taken out). That is one
        number for a metric and form: a permutation leaves it as it is.
    refits : int, default 2000
        How many fits may be spent on specifications that are not linear in the outcome, each of
        which costs a fit a permutation; beyond, they are left out of the joint test by name.

    Raises
    ------
    InferenceError
        If there is no choice, or one is not of its kind.

    Notes
    -----
    **Counted once.** Specifications with the same weights on the same cells give the same number
    by construction (``DiD()`` and ``DiD("complete")`` where no cell is missing, say):
    ``same_as`` names the first of them, and only that counts in the facts and the joint test.

    **The permutation.** Units trade places: unit i is given unit π(i)'s whole series, of all
    metrics at once, by the same π in every specification. Who is a pilot from when, who is whose
    comparator, windows, covariates and weights stay with the place; nothing is matched again. So
    one draw answers all specifications, whatever their comparators or metrics, and how they hang
    together is kept. A specification that is linear in the outcome with weights W is, under π,
    the sum of ``K[i, π(i)]``, ``K = W Y'``: no refit. Against one pool that holds every unit that
    trades this is what `Permutation` does.

    Units trade places inside the design's strata if they are in some specification and have every
    cell of every metric over all windows; all others keep theirs, and a note says how many. p of
    each specification is the rank of its statistic among all draws, the data among them: of
    the estimate over its cluster-robust standard error where the specification is a two-way
    regression on one pool without gaps, of the estimate itself elsewhere. In each draw each
    specification has such a p too, from which the three statistics are made:

    * the median estimate;
    * how many specifications of the more frequent sign have p of at most .05;
    * the average of z (Stouffer): ``Σ sign × Φ⁻¹(1 − p/2) / √m``.

    Each is compared, without its sign, with itself in every draw; ``p = (1 + #) / (1 + draws)``.

    **What it tests.** That the programme moved nobody in any period, and that pilots' series might
    as well have been those of any other unit that trades. Rejecting it may be due to either. It
    asks for more than that the specifications' means are zero: where pilots are noisier or smaller
    than the others, the median (which cannot be studentised) rejects a true null too often
    (docs/specification_curve.md has the numbers). The three p-values are of one null; choose one
    beforehand.

    **Cost.** About 15 ms a fit on 150 units × 10 periods, the inference, and 3 ms for 999
    permutations. A jackknife for each of hundreds of specifications takes minutes: run the curve on
    ``estimate.infer(ClusterRobust("CR2"))``, or on ``estimate.infer(None)`` for no intervals.
    Memory is 16 bytes for each specification and draw.

    References
    ----------
    Simonsohn, Simmons & Nelson (2020).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> curve = SpecificationCurve(
    ...     pilots=["522"], windows=[(2015, 2020)], cells=["complete"], draws=99
    ... )
    >>> found = dk.DiD().fit(design, "cla").infer(None).check(curve)
    >>> found.table["id"].tolist(), found.table["pilots"].iloc[0]
    ([1, 2, 3, 4, 5, 6, 7, 8], 'as designed')
    """

    pilots: Mapping[str, Sequence[object] | Rollout] | Sequence[object] | None = field(
        default=None, kw_only=True
    )
    comparators: Mapping[str, Against] | Sequence[Against] | None = field(
        default=None, kw_only=True
    )
    windows: Mapping[str, Sequence[Any]] | Sequence[Sequence[Any]] | None = field(
        default=None, kw_only=True
    )
    metrics: Mapping[str, Any] | Sequence[Any] | None = field(default=None, kw_only=True)
    estimators: Mapping[str, Estimator] | Sequence[Estimator] | None = field(
        default=None, kw_only=True
    )
    inferences: Mapping[str, Inference | str | None] | Sequence[Inference | str] | None = field(
        default=None, kw_only=True
    )
    forms: Mapping[str, str] | Sequence[str] | None = field(default=None, kw_only=True)
    cells: Mapping[str, str] | Sequence[str] | None = field(default=None, kw_only=True)
    draws: int = field(default=999, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    jobs: int = field(default=1, kw_only=True)
    most: int = field(default=5000, kw_only=True)
    joint: bool = field(default=True, kw_only=True)
    standardise: bool = field(default=False, kw_only=True)
    refits: int = field(default=2000, kw_only=True)

    def __post_init__(self) -> None:
        for kind in COLUMNS:
            object.__setattr__(self, kind, checked(kind, getattr(self, kind)))
        if not any(self.choices.values()):
            raise InferenceError(
                needed="at least one choice beside the estimate's own",
                found="none",
                where="SpecificationCurve",
                todo="give for example comparators={'every other': Pool()}, windows=[(2013, 2020)]",
            )
        check_draws(self.draws, self.seed, "SpecificationCurve")
        for name, least in (("jobs", 1), ("most", 2), ("refits", 0)):
            value = getattr(self, name)
            if not is_whole(value) or value < least:
                raise InferenceError(
                    needed=f"a whole number of at least {least}",
                    found=repr(value),
                    where=f"SpecificationCurve({name}=)",
                    todo="leave it out",
                )
        for name in ("joint", "standardise"):
            if not isinstance(getattr(self, name), bool):
                raise InferenceError(
                    needed="True or False",
                    found=repr(getattr(self, name)),
                    where=f"SpecificationCurve({name}=)",
                    todo="leave it out",
                )

    @classmethod
    def named(cls, choices: Mapping[str, Any], **options: Any) -> SpecificationCurve:
        """Make a curve from names alone, as a written plan has them.

        Parameters
        ----------
        choices : mapping
            Kind (``pilots``, ``comparators``, …) → choices, as for the class; estimators,
            inferences and comparators also by name: "DiD", "DiD complete", "GroupTime" and other
            estimators that need no option; "permutation", "permutation beta", "CR0" to "CR3",
            "jackknife", "wild bootstrap", "recommended"; "every other".
        **options
            ``draws``, ``seed``, ``jobs``, ``most``, ``joint``, ``standardise``, ``refits``.

        Returns
        -------
        SpecificationCurve
            As if the objects had been given.

        Raises
        ------
        InferenceError
            If a kind or a name is unknown.

        Examples
        --------
        >>> curve = SpecificationCurve.named({"estimators": ["GroupTime"], "inferences": ["CR2"]})
        >>> list(curve.choices["inferences"])
        ['CR2']
        """
        return cls(**from_names(choices), **options)

    @property
    def choices(self) -> dict[str, Mapping[str, Any]]:
        """Kind → name → choice, beside the estimate's own."""
        return {kind: getattr(self, kind) for kind in COLUMNS}

    def run(self, estimate: Estimate) -> Finding:
        """Fit every specification; the first row is the estimate as it is.

        Returns
        -------
        Finding
            Table, one row a specification: ``id`` (from 1), a column for each kind of choice
            (``pilots, comparators, window, metric, form, estimator, cells, inference``, those that
            were given), ``estimate, std_error, p_value, conf_low, conf_high`` (main term, in
            ``unit``; p and interval by ``method``), ``p_permutation`` (from the units that trade
            places), ``n_pilots, n_comparators, unit, method``, ``same_as`` (id of the earlier row
            whose number it has by construction; 0 where it is the first), ``refused`` (why there is
            no estimate) and ``note`` (why no interval). Facts: ``rows, refused, n`` (different
            specifications; all that follows is over them), ``median, lowest, highest`` (in
            ``unit``), ``below_zero, above_zero``, ``share_sign`` (of them with the median's sign),
            ``share_outside`` (of the intervals, those that leave zero outside); with the joint test
            ``tested`` (specifications in it), ``trading`` (units), ``draws``, ``small_p`` (how many
            of the more frequent sign have p ≤ .05), ``average_z``, ``p_median, p_small, p_z``.

        Raises
        ------
        InferenceError
            If there are more than `most` combinations, units are mixed without `standardise`,
            the estimate has several terms from the start on, or no choice beside its own is left:
            all others are refused, or there are none.
        PanelError, DesignError
            If a metric, a period or a pilot among the choices does not exist.
        """
        where = "SpecificationCurve"
        main_of(estimate)
        choices = self._for(estimate)
        n = n_crossed(choices)
        if n > self.most:
            raise InferenceError(
                needed=f"at most {self.most:,} specifications",
                found=f"{n:,}: " + " × ".join(
                    f"{1 + len(one)} {kind}" for kind, one in choices.items() if one
                ),
                where=f"{where}(most=)",
                todo="give fewer choices, or raise most=",
            )  # fmt: skip
        task, notes = self._task(estimate, choices)
        groups = crossed({kind: one for kind, one in choices.items() if kind != "inferences"})
        made = fits(task, groups, self.jobs)
        self._check_left(made)
        made[0] = as_it_is(made[0], estimate)
        first = first_of(made, task)
        made, left = self._refitted(made, task)
        scale = self._scales(task)
        scales = [scale[task.outcome(one.names)] for one in made]
        p, joint, count = jointly(made, first, scales)
        table = self._table(made, first, task, scales, p)
        once = [first[i] == i for i in range(len(made))]
        facts = facts_of(table, np.repeat(once, len(table) // len(made)))
        if joint is not None and task.traded is not None:
            facts |= {
                "tested": float(count),
                "trading": float(len(task.traded.units)),
                "draws": float(self.draws),
                "small_p": joint.small,
                "average_z": joint.average,
                "p_median": joint.p_median,
                "p_small": joint.p_small,
                "p_z": joint.p_average,
            }
            notes += traded_in_words(task, [one for i, one in enumerate(made) if first[i] == i])
        notes += left_out_in_words(table, [made[i] for i in left])
        own_unit = np.array([task.unit(task.outcome(one.names)) for one in made])
        own = np.array([one.estimate for one in made])
        own = own[(own_unit == estimate.metric.unit) & np.isfinite(own)]
        return Finding(
            check=self,
            estimate=estimate,
            question="Does the answer hang on the choices that were made on the way?",
            headline=headline(table, facts),
            table=table,
            facts=facts,
            notes=tuple(notes),
            cannot_show=_CANNOT,
            alternatives=(float(own.min()), float(own.max())),
        )

    # -- made ready --------------------------------------------------------------------------

    def _for(self, estimate: Estimate) -> dict[str, Mapping[str, Any]]:
        """Return the choices that differ from the estimate's own; refuse what does not exist."""
        design = estimate.design
        for metric in self.choices["metrics"].values():
            design.panel.metric(metric)
        for window in self.choices["windows"].values():
            for period in window:
                design.panel.calendar.position(period, where="SpecificationCurve(windows=)")
        for name, given in self.choices["pilots"].items():
            unknown = [] if isinstance(given, Rollout) else [
                unit for unit in given if design.panel.canonical(unit) not in design.pilots
            ]  # fmt: skip
            if unknown:
                raise DesignError(
                    needed="pilots of the design to leave out",
                    found=f"{unknown[0]!r} in the choice {name!r}",
                    where="SpecificationCurve(pilots=)",
                    todo="choose from: " + ", ".join(design.pilots),
                )
        own = getattr(estimate.estimator, "cells", None)
        cells = {name: one for name, one in self.choices["cells"].items() if one != own}
        pilots = by_name(self.choices["pilots"], design.panel.name_of)
        return {**self.choices, "cells": cells, "pilots": pilots}

    def _check_left(self, made: Sequence[Fitted]) -> None:
        """Refuse a curve of which nothing is left but the estimate itself."""
        others = made[1:]
        if any(not one.refused for one in others) or (not others and self.choices["inferences"]):
            return
        raise InferenceError(
            needed="at least one choice beside the estimate's own that can be fitted",
            found=refused_in_words(others) if others else "only choices that the estimate has",
            where="SpecificationCurve",
            todo="correct these choices, or give others",
        )

    def _task(
        self, estimate: Estimate, choices: dict[str, Mapping[str, Any]]
    ) -> tuple[Task, list[str]]:
        """Lay out which cells are looked at, and who trades places."""
        sure = estimate.uncertainty
        bare = Task(
            design=estimate.design,
            estimator=estimate.estimator,
            metric=estimate.metric.name,
            inference=None if sure is None else sure.inference,
            level=0.95 if sure is None else sure.level,
            draws=self.draws,
            choices=choices,
            cells={},
            traded=None,
        )
        self._check_units(bare, estimate)
        design, panel = estimate.design, estimate.design.panel
        units, pilots = everybody(bare)
        ids = sorted(units)
        at = np.ix_(rows_of(panel.unit_ids, ids), periods_of(design, choices["windows"]))
        cells: dict[tuple[str, str], Floats | str] = {}
        whole = np.ones(len(ids), dtype=bool)
        for metric in dict.fromkeys((estimate.metric.name, *choices["metrics"].values())):
            value = panel.cells(metric).value
            held = np.full(value.shape, np.nan)
            held[at] = value[at]
            whole &= np.isfinite(held[at]).all(axis=1)
            for form in ("level", *choices["forms"].values()):
                cells[metric, form] = formed(held, form)
        trading = [unit for unit, there in zip(ids, whole.tolist(), strict=True) if there]
        if not self.joint:
            return replace(bare, cells=cells), []
        why = why_nobody(estimate, trading, pilots)
        if why:
            return replace(bare, cells=cells), [f"no joint test: {why}"]
        made = traded(trading, self.draws, self.seed, design.strata)
        gone = [unit for unit, there in zip(ids, whole.tolist(), strict=True) if not there]
        notes = []
        if gone:
            notes.append(
                f"{len(gone)} of {len(ids)} units lack a cell of some metric in some window and "
                f"keep their place in every permutation ({len(pilots & set(gone))} of them pilots)"
            )
        return replace(bare, cells=cells, traded=made), notes

    def _check_units(self, task: Task, estimate: Estimate) -> None:
        """Refuse units that do not go together, and an estimate that is in none of them."""
        panel = task.design.panel
        own = panel.metric(task.metric).unit
        if estimate.metric.unit != own:
            raise InferenceError(
                needed="an estimate in the unit of the panel's metric",
                found=f"{type(estimate.estimator).__name__} in {estimate.metric.unit or 'none'}",
                where="SpecificationCurve",
                todo="run it on DiD() or GroupTime()",
            )
        outcomes = [
            (str(metric), str(form))
            for metric in (task.metric, *task.choices["metrics"].values())
            for form in ("level", *task.choices["forms"].values())
        ]
        units = dict.fromkeys(task.unit(one) or "units of the metric" for one in outcomes)
        if len(units) > 1 and not self.standardise:
            raise InferenceError(
                needed="one unit for all specifications, or standardise=True",
                found=", ".join(units),
                where="SpecificationCurve",
                todo="set standardise=True: every effect is then in standard deviations of its "
                "outcome before the start",
            )

    def _scales(self, task: Task) -> dict[tuple[str, str], float]:
        """Return what the effects of each metric and form are divided by."""
        design = task.design
        first = min(design.periods.index(start) for start in design.starts.values())
        columns = rows_of(design.panel.periods, design.periods[:first])
        made = dict.fromkeys(task.cells, 1.0)
        for outcome, held in task.cells.items():
            if not self.standardise or isinstance(held, str):
                continue
            made[outcome] = scale_of(held, columns)
            if not made[outcome] > 0:
                raise InferenceError(
                    needed="units that differ before the start, to standardise by",
                    found=f"{outcome[0]} ({outcome[1]}) is one number for all",
                    where="SpecificationCurve(standardise=)",
                    todo="leave this metric out",
                )
        return made

    def _refitted(self, made: list[Fitted], task: Task) -> tuple[list[Fitted], list[int]]:
        """Refit what is not linear in every order, where that is few fits; name what is left."""
        if task.traded is None:
            return made, []
        left = [i for i, one in enumerate(made) if not one.refused and one.values is None]
        if len(left) * self.draws > self.refits:
            return made, left
        made = list(made)
        work = [(i, order) for i in left for order in task.traded.orders[1:]]
        found: dict[int, list[float]] = {i: [made[i].estimate] for i in left}
        for i, order in steps(work, "refitting for each permutation"):
            found[i].append(task.refitted(made[i].names, order))
        for i, values in found.items():
            drawn = np.array(values)
            made[i] = replace(made[i], values=drawn, statistic=np.abs(drawn))
        return made, []

    def _table(
        self,
        made: list[Fitted],
        first: list[int],
        task: Task,
        scales: list[float],
        p: Floats,
    ) -> pd.DataFrame:
        """Lay out one row a specification and inference."""
        kinds = [kind for kind in COLUMNS if self.choices[kind]]
        others = (OWN, *self.choices["inferences"])
        nan = float("nan")
        rows: list[dict[str, object]] = []
        for i, one in enumerate(made):
            scale = scales[i]
            unit = "standard deviations" if self.standardise else task.unit(task.outcome(one.names))
            of = {inferred.name: inferred for inferred in one.inferred}
            for k, name in enumerate(others):
                sure = of.get(name, Inferred(name, nan, nan, nan, nan, "", ""))
                names = {**one.names, "inferences": name}
                rows.append(
                    {
                        "id": len(rows) + 1,
                        **{COLUMNS[kind]: names.get(kind, OWN) for kind in kinds},
                        "estimate": one.estimate / scale,
                        "std_error": sure.std_error / scale,
                        "p_value": sure.p_value,
                        "conf_low": sure.conf_low / scale,
                        "conf_high": sure.conf_high / scale,
                        "p_permutation": float(p[i]),
                        "n_pilots": one.n_pilots,
                        "n_comparators": one.n_comparators,
                        "unit": unit or "units of the metric",
                        "method": sure.method,
                        "same_as": 0 if first[i] == i and not k else first[i] * len(others) + 1,
                        "refused": one.refused,
                        "note": sure.note,
                    }
                )
        table = pd.DataFrame(rows)
        table.loc[table["refused"] != "", "same_as"] = 0
        return table
