"""A design: panel + rollout + who is compared with whom + how the pilots were chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from didkit.design.against import Against, Comparison
from didkit.design.rollout import Rollout
from didkit.design.sample import Sample
from didkit.errors import DesignError, PanelError, first_few
from didkit.panel import Cells, Metric, Panel, Period, Status, nearest, unit_id

__all__ = ["Design", "Selection"]

Selection = Literal["random", "latest_value", "average", "bid", "unknown"]


@dataclass(frozen=True)
class _Spec:
    """Everything that a design was made from; an edit replaces one field."""

    panel: Panel
    rollout: Rollout
    against: Against
    selection: Selection
    periods: tuple[str, ...]
    exclude: Mapping[str, str]
    strata: Mapping[str, str] | None
    clusters: Mapping[str, str] | None
    barred: frozenset[str] = frozenset()
    dropped: tuple[str, ...] = ()
    fixed: Comparison | None = None


class Design:
    """Who is compared with whom, from when, over which periods. It serves every metric.

    Parameters
    ----------
    panel : Panel
        The data.
    rollout : Rollout
        The pilots and their starts.
    against : Against
        ``Pool()``, ``neighbours.union()``, ``neighbours.per_pilot(aggregate=…)`` or
        ``MatchedSets``. Pilots are never comparators unless asked.
    selection : {"random", "latest_value", "average", "bid", "unknown"}
        How the pilots were chosen: at random, for their latest value, for their level over
        several years, by their own bid, or not known. Required: it decides what to distrust.
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
        A pilot that is not in the panel or has no period before and from its start; an unknown
        option; no comparator left; a unit to exclude that does not exist or is a pilot.

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
    Design(1 pilots, 2 comparators, 2017 to 2019; against every other authority)
    """

    def __init__(
        self,
        panel: Panel,
        rollout: Rollout,
        *,
        against: Against,
        selection: Selection,
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
                    needed=f"a {kind.__name__}",
                    found=type(given).__name__,
                    where=f"Design, argument {argument}",
                    todo="see help(didkit.Design)",
                )
        if selection not in get_args(Selection):
            raise DesignError(
                needed="how the pilots were selected: " + ", ".join(get_args(Selection)),
                found=repr(selection),
                where="Design(selection=)",
                todo="choose one; 'unknown' if nobody can say",
            )
        spec = _Spec(
            panel=panel,
            rollout=rollout,
            against=against,
            selection=selection,
            periods=_window(panel, periods),
            exclude=_excluded(panel, rollout, exclude),
            strata=_labels(panel, strata, "strata"),
            clusters=_labels(panel, clusters, "clusters"),
        )
        self._make(spec)

    def _make(self, spec: _Spec) -> None:
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
            unit: _start(spec, unit, period) for unit, period in spec.rollout.starts.items()
        }
        _check_stops(spec, self._starts)
        self._comparison = spec.fixed or spec.against.resolve(
            spec.rollout.pilots, spec.panel.unit_ids, frozenset(spec.exclude) | spec.barred
        )
        if not self._comparison.comparators:
            raise DesignError(
                needed="at least one comparator",
                found="none left",
                where="Design",
                todo="keep at least one unit that is not a pilot",
            )

    @classmethod
    def _from(cls, spec: _Spec) -> Design:
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
        """The pilots and their starts, as given."""
        return self._spec.rollout

    @property
    def against(self) -> Against:
        """Who the pilots are compared with, as given."""
        return self._spec.against

    @property
    def selection(self) -> Selection:
        """How the pilots were selected."""
        return self._spec.selection

    @property
    def periods(self) -> tuple[str, ...]:
        """Labels of the window's periods."""
        return self._spec.periods

    @property
    def pilots(self) -> tuple[str, ...]:
        """Ids of the pilots."""
        return self._spec.rollout.pilots

    @property
    def comparators(self) -> tuple[str, ...]:
        """Ids of the comparators."""
        return self._comparison.comparators

    @property
    def sets(self) -> Mapping[str, Mapping[str, float]] | None:
        """Pilot → comparator → weight, or None when all pilots face one pool."""
        return self._comparison.sets

    @property
    def starts(self) -> dict[str, str]:
        """First treated period of each pilot, as a label."""
        return {unit: self.periods[i] for unit, i in sorted(self._starts.items())}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of any estimate from this design must know."""
        spec, comparison = self._spec, self._comparison
        notes = []
        if comparison.absent:
            notes.append(
                f"{first_few(comparison.absent)} named as comparators have no row in the panel"
            )
        if spec.exclude:
            why = [f"{unit}: {reason}" if reason else unit for unit, reason in spec.exclude.items()]
            notes.append(f"left out by name: {first_few(why, 8)}")
        if spec.dropped:
            notes.append(f"dropped: {first_few(spec.dropped, 8)}")
        if spec.rollout.stops:
            left = [f"{u} ({p})" for u, p in spec.rollout.stops.items()]
            notes.append(
                f"{first_few(left)} left the programme; counted as treated from their start on "
                "(intention to treat)"
            )
        if len(set(self._starts.values())) > 1:
            notes.append("pilots start in different periods")
        served = list(self._served().values()) if comparison.sets is not None else []
        shared = [n for n in served if n > 1]
        if shared:
            notes.append(
                f"{len(shared)} comparators serve more than one pilot (at most {max(shared)})"
            )
        return tuple(notes)

    def who(self) -> pd.DataFrame:
        """One row a unit of the design.

        Returns
        -------
        DataFrame
            ``unit, name, arm`` (pilot, comparator, or both), ``start, stop, pilots_served``.
        """
        units = sorted(set(self.pilots) | set(self.comparators))
        served = self.reuse().set_index("unit")["pilots_served"]
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
                "pilots_served": [int(served.get(u, 0)) for u in units],
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
        count = self._served()
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

    def _served(self) -> dict[str, int]:
        """How many pilots each comparator serves."""
        sets = self._comparison.sets
        if sets is None:
            return dict.fromkeys(self.comparators, len(self.pilots))
        return {u: sum(u in members for members in sets.values()) for u in self.comparators}

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
        rows = []
        ids = np.array(self.panel.unit_ids)
        place = {unit: i for i, unit in enumerate(ids)}
        cols = [self.panel.calendar.position(p) for p in self.periods]
        arms = {"pilot": self.pilots, "comparator": self.comparators}
        for name in metrics if metrics is not None else list(self.panel.metrics):
            cells = self.panel.cells(name)
            for t, period in zip(cols, self.periods, strict=True):
                for arm, members in arms.items():
                    at = np.array([place[unit] for unit in members], dtype=np.intp)
                    seen = np.isfinite(cells.value[at, t])
                    status = cells.status[at, t]
                    rows.append(
                        {
                            "metric": self.panel.metric(name).name,
                            "period": period,
                            "arm": arm,
                            "units": len(members),
                            "with_value": int(seen.sum()),
                            **{
                                s.label: int((status[~seen] == s).sum())
                                for s in Status
                                if s is not Status.OBSERVED
                            },
                            "missing": ", ".join(ids[at[~seen]]),
                        }
                    )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return (
            f"Design({len(self.pilots)} pilots, {len(self.comparators)} comparators, "
            f"{self.periods[0]} to {self.periods[-1]}; against {self.against.describe()})"
        )

    # -- handed to estimators ------------------------------------------------------------------

    def sample(self, metric: str | Metric) -> Sample:
        """Lay one metric out for an estimator, and log what became of every cell.

        Parameters
        ----------
        metric : str or Metric
            A metric of the panel.

        Returns
        -------
        Sample
            Pilots and comparators of the design × the periods of the window.

        Raises
        ------
        PanelError
            If the metric is unknown.
        DesignError
            If no pilot or no comparator has a value both before and from its start on.
        """
        panel, kind = self.panel, self.panel.metric(metric)
        cells = panel.cells(kind)
        ids = panel.unit_ids
        place = {unit: i for i, unit in enumerate(ids)}
        units = tuple(sorted(set(self.pilots) | set(self.comparators)))
        rows = np.array([place[unit] for unit in units], dtype=np.intp)
        cols = np.array([panel.calendar.position(p) for p in self.periods], dtype=np.intp)
        taken = cells.take(rows, cols)
        starts = sorted(set(self._starts.values()))
        cohort = np.array(
            [starts.index(self._starts[u]) if u in self._starts else -1 for u in units],
            dtype=np.intp,
        )
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
            y=taken.value,
            lower=taken.lower,
            upper=taken.upper,
            exposure=exposure,
            pilot=cohort >= 0,
            starts=tuple(starts),
            cohort=cohort,
            sets=self._set_weights(units),
            aggregate=self._comparison.aggregate,
            strata=strata[0],
            clusters=clusters[0],
            cluster_labels=clusters[1],
            log=self._log(cells, rows, cols),
            notes=self.notes + _gaps_in_words(taken, units),
        )
        seen, after = made.mask, made.treated
        if not (seen & after).any() or not seen[~made.pilot if made.sets is None else ...].any():
            raise DesignError(
                needed="values of pilots from their start on, and of comparators",
                found="no such cell",
                where=f"metric {kind.name!r}",
                todo="see design.audit()",
            )
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

    def _log(self, cells: Cells, rows: np.ndarray, cols: np.ndarray) -> pd.DataFrame:
        """Say what became of every cell for which the panel has a row."""
        spec, ids = self._spec, self.panel.unit_ids
        there = cells.status != Status.ABSENT
        in_window = np.zeros(there.shape[1], dtype=bool)
        in_window[cols] = True
        in_design = np.zeros(there.shape[0], dtype=bool)
        in_design[rows] = True
        entries: list[tuple[str, str, str, int]] = []
        for i, n in zip(*_counted(there.sum(axis=1), ~in_design), strict=True):
            unit = ids[i]
            why = "neither pilot nor comparator"
            if unit in spec.exclude:
                why = f"excluded by name: {spec.exclude[unit] or 'no reason given'}"
            elif unit in spec.dropped:
                why = "dropped"
            entries.append(("design", unit, why, n))
        outside = (there & ~in_window).sum(axis=1)
        for i, n in zip(*_counted(outside, in_design), strict=True):
            entries.append(("design", ids[i], "outside the window", n))
        inside = there & in_window
        used = inside & np.isfinite(cells.value)
        for status in Status:
            missing = (inside & ~used & (cells.status == status)).sum(axis=1)
            for i, n in zip(*_counted(missing, in_design), strict=True):
                entries.append(("sample", ids[i], f"no value: {status.label}", n))
        for i, n in zip(*_counted(used.sum(axis=1), in_design), strict=True):
            entries.append(("sample", ids[i], "used", n))
        return pd.DataFrame(entries, columns=["stage", "unit", "reason", "cells"])

    # -- edited ----------------------------------------------------------------------------------

    def drop(self, unit: object) -> Design:
        """Return the design without one unit, all the other units as they are.

        A dropped pilot is not a comparator either. In matched sets the weights of a dropped
        comparator go to the others of its set.

        Raises
        ------
        DesignError
            If the unit is not in the design, or nothing is left to compare.
        """
        code = unit_id(unit)
        comparison = self._comparison
        if code not in self._starts and code not in comparison.comparators:
            raise DesignError(
                needed="a unit of the design",
                found=repr(unit),
                where="Design.drop",
                todo="see design.who()",
            )
        if code in self._starts and len(self._starts) == 1:
            raise DesignError(
                needed="at least one pilot",
                found=f"{code!r} is the only one",
                where="Design.drop",
                todo="nothing can be estimated without it",
            )
        sets = comparison.sets
        if sets is not None:
            rebuilt: dict[str, dict[str, float]] = {}
            for pilot, members in sets.items():
                if pilot == code:
                    continue
                kept = {other: w for other, w in members.items() if other != code}
                if not kept:
                    raise DesignError(
                        needed="at least one comparator for every pilot",
                        found=f"{code!r} is the only comparator of {pilot!r}",
                        where="Design.drop",
                        todo="drop that pilot first",
                    )
                total = sum(kept.values())
                rebuilt[pilot] = {other: w / total for other, w in kept.items()}
            comparators = tuple(sorted({o for members in rebuilt.values() for o in members}))
            fixed = replace(comparison, comparators=comparators, sets=rebuilt)
        else:
            fixed = replace(
                comparison, comparators=tuple(c for c in comparison.comparators if c != code)
            )
        rollout = self.rollout.without(code) if code in self._starts else self.rollout
        return Design._from(
            replace(self._spec, rollout=rollout, fixed=fixed, dropped=(*self._spec.dropped, code))
        )

    def without_pilot(self, unit: object) -> Design:
        """Return the design of the other pilots, comparators rebuilt for them.

        The pilot left out is never a comparator.

        Raises
        ------
        DesignError
            If the unit is not a pilot, or is the only one.
        """
        code = unit_id(unit)
        if code not in self._starts or len(self._starts) == 1:
            raise DesignError(
                needed="one of several pilots",
                found=repr(unit),
                where="Design.without_pilot",
                todo="choose from: " + ", ".join(self.pilots),
            )
        return Design._from(
            replace(
                self._spec,
                rollout=self.rollout.without(code),
                barred=self._spec.barred | {code},
                dropped=(*self._spec.dropped, code),
                fixed=None,
            )
        )

    def reassign(self, rollout: Rollout) -> Design:
        """Return the same units with other pilots: a placebo or a permutation.

        With one pool, every unit of the design that is not a pilot now is a comparator, former
        pilots among them. With sets, these are rebuilt for the new pilots.

        Raises
        ------
        DesignError
            If a new pilot is not in the panel or no comparator is left.
        """
        if self._comparison.sets is not None:
            return Design._from(replace(self._spec, rollout=rollout, fixed=None))
        everyone = set(self.pilots) | set(self.comparators)
        comparators = tuple(sorted(everyone - set(rollout.pilots)))
        return Design._from(
            replace(
                self._spec,
                rollout=rollout,
                fixed=replace(self._comparison, comparators=comparators),
            )
        )

    def shift(self, periods: int) -> Design:
        """Return the design with every start moved, on untreated periods only.

        Parameters
        ----------
        periods : int
            Negative: earlier, a placebo in time. The periods from the first real start on are
            left out, so that nothing treated remains.

        Raises
        ------
        DesignError
            If `periods` is not negative, or a start would leave no period before it.
        """
        if periods >= 0:
            raise DesignError(
                needed="a negative number of periods: starts can be moved to untreated periods "
                "only",
                found=str(periods),
                where="Design.shift",
                todo="use −1, −2, …",
            )
        first = min(self._starts.values())
        moved: dict[object, Period] = {}
        for unit, start in self._starts.items():
            position = min(start, first) + periods
            if position < 1:
                raise DesignError(
                    needed="at least one period before the moved start",
                    found=f"{unit!r} starts in {self.periods[start]}, moved by {periods}",
                    where="Design.shift",
                    todo=f"at most {first - 1} periods are possible here",
                )
            moved[unit] = self.periods[position]
        return Design._from(
            replace(
                self._spec,
                rollout=Rollout(moved),
                periods=self.periods[:first],
                fixed=self._comparison,
            )
        )


def _window(panel: Panel, periods: Sequence[Period] | None) -> tuple[str, ...]:
    """Return the labels of the window; a gap in it is an error."""
    if periods is None:
        return panel.periods
    if isinstance(periods, str) or not periods:
        raise DesignError(
            needed="the first and the last period, or all periods of the window",
            found=repr(periods),
            where="Design(periods=)",
            todo="write periods=(2013, 2020)",
        )
    at = [panel.calendar.position(p, where="Design(periods=)") for p in periods]
    if len(at) == 2 and at[1] > at[0]:
        return panel.periods[at[0] : at[1] + 1]
    if at != list(range(at[0], at[0] + len(at))) or len(at) < 2:
        raise DesignError(
            needed="at least two consecutive periods, in order",
            found=", ".join(map(str, periods)),
            where="Design(periods=)",
            todo="write the first and the last, or fill the gap",
        )
    return tuple(panel.periods[i] for i in at)


def _excluded(
    panel: Panel, rollout: Rollout, exclude: Iterable[object] | Mapping[Any, str]
) -> dict[str, str]:
    """Return the units to leave out, with reasons; each must exist and be no pilot."""
    if isinstance(exclude, str):
        exclude = [exclude]
    given = exclude if isinstance(exclude, Mapping) else dict.fromkeys(exclude, "")
    made = {unit_id(unit): str(reason) for unit, reason in given.items()}
    for unit in made:
        if unit not in panel:
            raise DesignError(
                needed="units of the panel to leave out",
                found=f"{unit!r} is not in it",
                where="Design(exclude=)",
                todo=nearest(unit, list(panel.unit_ids), list(panel.units["name"])),
            )
        if unit in rollout.starts:
            raise DesignError(
                needed="comparators to leave out",
                found=f"{unit!r} is a pilot",
                where="Design(exclude=)",
                todo="take it out of the rollout, or use design.without_pilot",
            )
    return made


def _labels(
    panel: Panel, given: str | Mapping[Any, str] | None, argument: str
) -> dict[str, str] | None:
    """Return unit → label, from a column of the panel's units or from a mapping."""
    if given is None:
        return None
    if isinstance(given, str):
        table = panel.units
        if given not in table.columns:
            raise DesignError(
                needed=f"a column of panel.units for {argument}=",
                found=repr(given),
                where="Design",
                todo="choose one of: " + ", ".join(table.columns),
            )
        made = {str(unit): str(label) for unit, label in table[given].items()}
    else:
        made = {unit_id(unit): str(label) for unit, label in given.items()}
    without = [unit for unit in panel.unit_ids if not made.get(unit)]
    if without:
        raise DesignError(
            needed=f"a label for every unit in {argument}=",
            found=f"none for {first_few(without)}",
            where="Design",
            todo="label them",
        )
    return made


def _start(spec: _Spec, unit: str, period: Period) -> int:
    """Return the position of a start in the window; it needs a before and an after."""
    calendar = spec.panel.calendar
    try:
        label = calendar.labels[calendar.position(period, where=f"the start of {unit!r}")]
    except PanelError as error:
        raise DesignError(
            needed=error.needed, found=error.found, where=error.where, todo=error.todo
        ) from error
    if label not in spec.periods or spec.periods.index(label) == 0:
        first = calendar.position(spec.periods[0])
        when = "in or before the first" if calendar.position(label) <= first else "after the last"
        raise DesignError(
            needed="a start with at least one period before it and one from it on",
            found=f"{unit!r} starts in {label}, {when} period of the window "
            f"({spec.periods[0]} to {spec.periods[-1]}): there is no before and after to compare",
            where="Design, rollout",
            todo="widen periods=, or leave this unit out: a unit that is treated in every period "
            "shows no change",
        )
    return spec.periods.index(label)


def _check_stops(spec: _Spec, starts: Mapping[str, int]) -> None:
    calendar = spec.panel.calendar
    for unit, period in spec.rollout.stops.items():
        stop = calendar.position(period, where=f"the stop of {unit!r}")
        if stop <= calendar.position(spec.periods[starts[unit]]):
            raise DesignError(
                needed="a stop after the start",
                found=f"{unit!r} starts in {spec.periods[starts[unit]]} and stops in {period}",
                where="Design, rollout",
                todo="mend the rollout",
            )


def _counted(counts: np.ndarray, among: np.ndarray) -> tuple[list[int], list[int]]:
    """Return positions and counts of the units of a group that have any."""
    at = np.flatnonzero(among & (counts > 0))
    return at.tolist(), counts[at].tolist()


def _gaps_in_words(taken: Cells, units: tuple[str, ...]) -> tuple[str, ...]:
    """Say which units have no value, or hardly any, in the window."""
    seen = np.isfinite(taken.value)
    none = [u for u, n in zip(units, seen.sum(axis=1), strict=True) if n == 0]
    some = [u for u, n in zip(units, seen.sum(axis=1), strict=True) if 0 < n < seen.shape[1]]
    notes = []
    if none:
        notes.append(f"{first_few(none)} units have no value in the window")
    if some:
        notes.append(f"{first_few(some)} units miss at least one period")
    return tuple(notes)
