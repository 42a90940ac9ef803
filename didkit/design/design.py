"""A design: panel + rollout + who is compared with whom + how the pilots were chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd

from didkit.design.against import Against, MatchedSets
from didkit.design.balance import balance
from didkit.design.edits import (
    compared_with,
    drop,
    on_panel,
    reassign,
    shift,
    with_treatment,
    within,
    without_pilot,
)
from didkit.design.from_frame import from_frame
from didkit.design.kinds import NEEDED, found_kind, todo_of
from didkit.design.log import (
    cell_log,
    gaps_in_words,
    hidden_in_words,
    missing_by_arm,
    one_sided,
)
from didkit.design.not_yet import NotYetTreated
from didkit.design.notes import notes_of, served
from didkit.design.parts import rollout_by_unit, warn_of_halves
from didkit.design.rollout import Rollout
from didkit.design.sample import Sample
from didkit.design.shown import counted, to_html
from didkit.design.spec import (
    Selection,
    Spec,
    excluded,
    labels_of,
    start_of,
    window,
)
from didkit.design.timing import Treatment, check_prior, check_treatment, when_of
from didkit.design.treated import treated
from didkit.design.weighting import weights_of
from didkit.errors import DesignError
from didkit.panel import Metric, Panel, Period, nearest

__all__ = ["Design", "Selection"]


class Design:
    """Who is compared with whom, from when, over which periods. It serves every metric.

    Parameters
    ----------
    panel : Panel
        The data.
    rollout : Rollout
        The pilots and their starts. Here and below a code that is part of a merged unit of the
        panel (`Panel.harmonise`) stands for the whole unit.
    against : Against
        ``Pool()``, ``neighbours.union()``, ``neighbours.per_pilot(aggregate=…)``, a matching
        (`Matching`, `EntropyBalancing`, …) or ``MatchedSets``. Pilots are never comparators
        unless asked.
    selection : {"random", "latest_value", "average", "bid", "unknown"}
        How the pilots were chosen: at random, for their latest value, for their level over
        several years, by their own bid, or not known. Required: it decides what to distrust.
    treatment : {"intention_to_treat", "as_treated"}
        What a pilot that left counts as. By intention to treat: as treated from its start on,
        whether it stayed or not, which answers what offering the programme does. As treated: as
        treated from its start until it left; its cells from then on are left out, neither treated
        nor untreated, since effects may last. Who stays is not chosen at random, so that as
        treated may compare the successful with the rest.
    periods : (first, last) or sequence of periods, optional
        The window; by default every period of the panel.
    exclude : iterable of unit, or mapping of unit to reason
        Comparators left out by name: tiny or reorganised authorities. Nothing else is left out.
    strata, clusters : str or mapping, optional
        Column of ``panel.units``, or unit → label: permutation stays inside strata; clusters
        must contain whole units.

    Raises
    ------
    DesignError
        A pilot that is not in the panel or has no period before and from its start; a stop, dose,
        first exposure or contamination that does not go with the start; an unknown option; no
        comparator left; a unit to exclude that does not exist or is a pilot.

    Warns
    -----
    DidkitWarning
        A pilot that is only part of a merged unit, which counts as treated as a whole.

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Pool
    >>> frame = pd.DataFrame(
    ...     [(u, t, 10.0 * i + t) for i, u in enumerate(["303", "304", "305"]) for t in range(3)],
    ...     columns=["la", "year", "cin"],
    ... ).assign(year=lambda d: d["year"] + 2017)
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> Design(panel, Rollout({"303": 2019}), against=Pool(), selection="unknown")
    Design(1 pilot, 2 comparators, 2017 to 2019; against every other authority)
    """

    def __init__(
        self,
        panel: Panel,
        rollout: Rollout,
        *,
        against: Against,
        selection: Selection | None = None,
        treatment: Treatment = "intention_to_treat",
        periods: Sequence[Period] | None = None,
        exclude: Iterable[object] | Mapping[Any, str] = (),
        strata: str | Mapping[Any, str] | None = None,
        clusters: str | Mapping[Any, str] | None = None,
    ) -> None:
        for given, kind, argument in (
            (panel, Panel, "panel"),
            (rollout, Rollout, "rollout"),
            (against, Against, "against="),
        ):
            if not isinstance(given, kind):
                raise DesignError(
                    needed=NEEDED[argument],
                    found=found_kind(given),
                    where=f"Design, argument {argument}",
                    todo=todo_of(given),
                )
        if selection is None or selection not in get_args(Selection):
            raise DesignError(
                needed="how the pilots were selected: " + ", ".join(get_args(Selection)),
                found="nothing" if selection is None else repr(selection),
                where="Design(selection=)",
                todo="choose one; 'unknown' if nobody can say",
            )
        check_treatment(treatment, "Design(treatment=)")
        rollout, named = rollout_by_unit(panel, rollout)
        warn_of_halves(panel, named, "Design")
        spec = Spec(
            panel=panel,
            rollout=rollout,
            against=against.among(panel),
            selection=selection,
            periods=window(panel, periods),
            exclude=excluded(panel, rollout, exclude),
            strata=labels_of(panel, strata, "strata"),
            clusters=labels_of(panel, clusters, "clusters"),
            named=named,
            treatment=treatment,
        )
        self._make(spec)
        check_prior(spec, self._when)

    def _make(self, spec: Spec) -> None:
        """Resolve pilots, starts and comparators; after this the design is usable."""
        self._spec = spec
        known, names = list(spec.panel.unit_ids), list(spec.panel.units["name"])
        for unit in spec.rollout.pilots:
            if unit not in spec.panel:
                raise DesignError(
                    needed="pilots that are in the panel",
                    found=f"{unit!r} is not",
                    where="Design, rollout",
                    todo=nearest(unit, known, names),
                )
        self._starts = {
            unit: start_of(spec, unit, period) for unit, period in spec.rollout.starts.items()
        }
        when_of(spec, self._starts)  # refused before comparators are looked for
        if spec.fixed is None:  # before anybody is missed among what may not be looked at
            first = self.periods[min(self._starts.values())]
            spec.against.check_before(spec.panel, first)
        self._comparison = spec.fixed or spec.against.resolve(
            spec.rollout.pilots, spec.panel.unit_ids, frozenset(spec.exclude) | spec.barred
        )
        self._leave_out()
        self._when = when_of(self._spec, self._starts)
        together = len(set(self._starts.values())) < 2
        if not self._comparison.comparators and (not self.not_yet or together):
            raise DesignError(
                needed="at least one comparator"
                + (", or pilots that start at different times" if self.not_yet else ""),
                found="none left" + (", and one start for all" if self.not_yet else ""),
                where="Design",
                todo="keep at least one unit that is not a pilot",
            )

    def _leave_out(self) -> None:
        """Take pilots that could not be matched out of the design, where that was asked for."""
        spec, reasons = self._spec, self._comparison.left_out
        gone = [unit for unit in reasons if unit in self._starts]
        rollout = spec.rollout
        for unit in gone:
            rollout = rollout.without(unit)
            del self._starts[unit]
        earlier = {u: why for u, why in spec.left_out.items() if u in spec.barred}
        left_out = {**earlier, **reasons}
        self._spec = replace(
            spec, rollout=rollout, left_out=left_out, barred=spec.barred | frozenset(gone)
        )

    @classmethod
    def _from(cls, spec: Spec) -> Design:
        made = cls.__new__(cls)
        made._make(spec)
        return made

    # -- looked at ---------------------------------------------------------------------------

    @property
    def panel(self) -> Panel:
        """The panel."""
        return self._spec.panel

    @property
    def rollout(self) -> Rollout:
        """The pilots and their starts, by the panel's units."""
        return self._spec.rollout

    @property
    def against(self) -> Against:
        """Who the pilots are compared with, by the panel's units."""
        return self._spec.against

    @property
    def selection(self) -> Selection:
        """How the pilots were selected."""
        return self._spec.selection

    @property
    def treatment(self) -> Treatment:
        """Which definition of treatment is used."""
        return self._spec.treatment

    @property
    def periods(self) -> tuple[str, ...]:
        """Labels of the window's periods."""
        return self._spec.periods

    @property
    def pilots(self) -> tuple[str, ...]:
        """Ids of the pilots."""
        return self._spec.rollout.pilots

    @property
    def not_yet(self) -> bool:
        """Whether pilots serve as comparators until they start."""
        return isinstance(self._spec.against, NotYetTreated)

    @property
    def comparators(self) -> tuple[str, ...]:
        """Ids of the comparators."""
        return self._comparison.comparators

    @property
    def sets(self) -> Mapping[str, Mapping[str, float]] | None:
        """Pilot → comparator → weight, or None when all pilots face one pool."""
        return self._comparison.sets

    def matched_sets(self) -> MatchedSets:
        """Return pilot × comparator weights, whatever the kind of comparison.

        Against one pool each pilot has every comparator with the same weight. Compared with these
        sets (`compared_with`), a design stays as it is when pilots are reassigned or left out.
        """
        sets, comparison = self.sets, self._comparison
        if sets is None:
            one = dict.fromkeys(self.comparators, 1 / len(self.comparators))
            sets = dict.fromkeys(self.pilots, one)
        both = bool(set(self.pilots) & set(self.comparators))
        return MatchedSets(
            sets,
            aggregate=comparison.aggregate,
            include_pilots=both,
            distances=comparison.distances,
            notes=comparison.notes,
            until=comparison.until,
        )

    @property
    def strata(self) -> Mapping[str, str] | None:
        """Unit → stratum inside which pilots are reassigned, or None."""
        return self._spec.strata

    @property
    def starts(self) -> dict[str, str]:
        """First treated period of each pilot, as a label."""
        return {unit: self.periods[i] for unit, i in sorted(self._starts.items())}

    def starts_of(self, metric: str | Metric) -> dict[str, str]:
        """First period in which each pilot counts as treated in one metric, as a label.

        It is later than the start where the rollout says so of stocks or flows (first_exposed).
        """
        starts = self._when.starts_of(self.panel.metric(metric).timing)
        return {unit: self.periods[i] for unit, i in sorted(starts.items())}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of any estimate from this design must know."""
        return notes_of(self._spec, self._comparison, self._starts)

    def who(self) -> pd.DataFrame:
        """One row a unit of the design.

        Returns
        -------
        DataFrame
            ``unit, name, arm`` (pilot, comparator, or both), ``start, stop, pilots_served``, and
            ``contaminated``: since when it used the practice outside the programme
            ("throughout", a period, or empty).
        """
        units = sorted(set(self.pilots) | set(self.comparators))
        serves = self.reuse().set_index("unit")["pilots_served"]
        both = set(self.pilots) & set(self.comparators)
        return pd.DataFrame(
            {
                "unit": units,
                "name": [self.panel.name_of(unit) for unit in units],
                "arm": [
                    "both" if u in both else "pilot" if u in self._starts else "comparator"
                    for u in units
                ],
                "start": [self.starts.get(u, "") for u in units],
                "stop": [str(self.rollout.stops.get(u, "")) for u in units],
                "pilots_served": [int(serves.get(u, 0)) for u in units],
                "contaminated": [
                    str(since or "throughout") if u in self.rollout.contaminated else ""
                    for u in units
                    for since in (self.rollout.contaminated.get(u),)
                ],
            }
        )

    def reuse(self) -> pd.DataFrame:
        """How many pilots each comparator serves, and with what total weight.

        Returns
        -------
        DataFrame
            ``unit, name, pilots_served, weight``; the weights add up to 1.
        """
        sets, n = self._comparison.sets, len(self.pilots)
        count = served(self._comparison, n)
        weight = {
            unit: 1 / len(self.comparators)
            if sets is None
            else sum(members.get(unit, 0.0) for members in sets.values()) / n
            for unit in self.comparators
        }
        table = pd.DataFrame(
            {
                "unit": list(self.comparators),
                "name": [self.panel.name_of(unit) for unit in self.comparators],
                "pilots_served": [count[unit] for unit in self.comparators],
                "weight": [weight[unit] for unit in self.comparators],
            }
        )
        return table.sort_values(
            ["pilots_served", "unit"], ascending=[False, True], ignore_index=True
        )

    def audit(self, metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """Who is missing when, by arm.

        Parameters
        ----------
        metrics : sequence of str, optional
            By default every metric of the panel.

        Returns
        -------
        DataFrame
            One row a metric, period and arm: ``metric, period, arm, units, with_value``, the
            number of cells of each other status, and ``missing`` (ids without a value).
        """
        return missing_by_arm(
            self.panel,
            self.periods,
            {"pilot": self.pilots, "comparator": self.comparators},
            list(self.panel.metrics) if metrics is None else metrics,
        )

    def __repr__(self) -> str:
        return (
            f"Design({counted(len(self.pilots), 'pilot')}, "
            f"{counted(len(self.comparators), 'comparator')}, "
            f"{self.periods[0]} to {self.periods[-1]}; against {self.against.describe()}"
            f"{'; as treated' if self.treatment == 'as_treated' else ''})"
        )

    def _repr_html_(self) -> str:
        return to_html(self)

    # -- handed to estimators ------------------------------------------------------------------

    def sample(
        self,
        metric: str | Metric,
        *,
        covariates: Sequence[str] = (),
        sampling: str | None = None,
        population: str | None = None,
    ) -> Sample:
        """Lay one metric out for an estimator, and log what became of every cell.

        Parameters
        ----------
        metric : str or Metric
            A metric of the panel.
        covariates : sequence of str, optional
            Metrics of the panel to lay out beside it; a cell in which one of them has no value is
            left out, and stands in the log.
        sampling : str, optional
            A metric of the panel: how many units or people of the population each cell stands
            for, a weight of its own in every cell.
        population : str, optional
            A metric of the panel: how many people live in each unit, as it was in the last period
            before the first start (a programme may change who lives there). One weight a unit, so
            that each person counts once, not each authority.

        Returns
        -------
        Sample
            Pilots and comparators of the design × the periods of the window. Cells that the
            design leaves out, partly treated ones and those of pilots that left (as treated),
            have no value in it and stand in its log.

        Raises
        ------
        PanelError
            If the metric is unknown.
        DesignError
            If no pilot has a value before its start, or none from its start on, or no comparator
            has a value.
        """
        panel, kind = self.panel, self.panel.metric(metric)
        cells = panel.cells(kind)
        ids = panel.unit_ids
        place = {unit: i for i, unit in enumerate(ids)}
        units = tuple(sorted(set(self.pilots) | set(self.comparators)))
        rows = np.array([place[unit] for unit in units], dtype=np.intp)
        cols = np.array([panel.calendar.position(p) for p in self.periods], dtype=np.intp)
        taken = cells.take(rows, cols)
        when = self._when
        first = when.starts_of(kind.timing)
        starts = sorted(set(first.values()))
        cohort = np.array(
            [starts.index(first[u]) if u in first else -1 for u in units], dtype=np.intp
        )
        stops = np.array([min(when.stops.get(u, len(cols)), len(cols)) for u in units], np.intp)
        partly = np.stack([when.partly(u, kind.timing) for u in units])
        aside = {f"partly treated, first exposed later ({kind.timing})": partly}
        if self.treatment == "as_treated":
            aside["left the programme"] = np.stack([when.left(u) for u in units])
        beside = [panel.cells(name).value[np.ix_(rows, cols)] for name in covariates]
        for name, values in zip(covariates, beside, strict=True):
            aside[f"no value of the covariate {name!r}"] = ~np.isfinite(values)
        w = weights_of(panel, rows, cols, max(starts[0] - 1, 0), sampling, population, aside)
        out = np.any(list(aside.values()), axis=0)
        base = kind.denominator or "population"
        base = base if base in panel.metrics else "population"
        exposure = panel.cells(base).value[np.ix_(rows, cols)] if base in panel.metrics else None
        strata = self._codes(self._spec.strata, units, default="all")
        clusters = self._codes(self._spec.clusters, units, default=None)
        made = Sample(
            metric=kind,
            units=units,
            names=tuple(panel.name_of(unit) for unit in units),
            periods=self.periods,
            y=np.where(out, np.nan, taken.value),
            lower=np.where(out, np.nan, taken.lower),
            upper=np.where(out, np.nan, taken.upper),
            exposure=exposure,
            pilot=cohort >= 0,
            starts=tuple(starts),
            cohort=cohort,
            sets=self._set_weights(units),
            aggregate=self._comparison.aggregate,
            strata=strata[0],
            clusters=clusters[0],
            cluster_labels=clusters[1],
            log=cell_log(self._spec, cells, rows, cols, aside),
            notes=(
                *self.notes,
                *hidden_in_words(aside, taken, units),
                *gaps_in_words(taken, units),
            ),
            treatment=self.treatment,
            stops=stops,
            dose=np.stack([when.dose_of(u) for u in units]) if when.dose else None,
            contaminated=np.stack([when.contaminated(u) for u in units]),
            partly=partly,
            covariates=tuple(covariates),
            x=np.stack(beside, axis=1) if beside else None,
            sampling=sampling,
            population=population,
            w=w,
            not_yet=self.not_yet,
        )
        seen, after = made.mask, made.treated
        others = ... if made.sets is not None or self.not_yet else ~made.pilot
        if not (seen & after).any() or not seen[others].any():
            raise DesignError(
                needed="values of pilots from their start on, and of comparators",
                found="no such cell",
                where=f"metric {kind.name!r}",
                todo="see design.audit()",
            )
        made = replace(made, notes=(*made.notes, *one_sided(made)))
        if made.sets is None:  # a unit without any value is no cluster, and cannot be a placebo
            kept = made.keep(np.asarray(seen.any(axis=1)), "no value in the window")
            made = replace(kept, notes=made.notes)
        return made

    def _codes(
        self, labels: Mapping[str, str] | None, units: tuple[str, ...], *, default: str | None
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Codes of strata or clusters; without labels one for all, or one a unit."""
        found = [
            labels[unit] if labels is not None else (default if default is not None else unit)
            for unit in units
        ]
        kinds = tuple(dict.fromkeys(found))
        lookup = {label: i for i, label in enumerate(kinds)}
        return np.array([lookup[label] for label in found], dtype=np.intp), kinds

    def _set_weights(self, units: tuple[str, ...]) -> np.ndarray | None:
        """Weights of each pilot's comparators as a matrix (pilots in order × units)."""
        sets = self._comparison.sets
        if sets is None:
            return None
        place = {unit: i for i, unit in enumerate(units)}
        made = np.zeros((len(self.pilots), len(units)))
        for k, pilot in enumerate(self.pilots):
            for other, weight in sets[pilot].items():
                made[k, place[other]] = weight
        return made

    # -- looked at, each in a module of its own --------------------------------------------------

    balance = balance
    treated = treated

    from_frame = classmethod(from_frame)

    # -- edited, each in a module of its own ------------------------------------------------------

    drop = drop
    without_pilot = without_pilot
    reassign = reassign
    shift = shift
    compared_with = compared_with
    on_panel = on_panel
    with_treatment = with_treatment
    within = within
