"""A design laid out straight from a long frame of millions of rows, without making a panel first.

It hands out the same samples as the design that `Design.from_frame` makes of a small frame; what
needs a panel (audit, balance, drop, …) makes one when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design.against import Against, Comparison, Pool
from didkit.design.design import Design
from didkit.design.from_frame import never_in_words
from didkit.design.log import one_sided
from didkit.design.sample import EVERY, Sample
from didkit.design.spec import Spec
from didkit.design.timing import When
from didkit.errors import is_number
from didkit.panel import METRICS, Metric

__all__ = ["Ids", "Laid", "laid_out"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


class Ids(Sequence[str]):
    """Ids of many units, written as text only when they are looked at."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Ids: ...
    def __getitem__(self, at: Any) -> Any:
        found = self.values[at]
        return str(found) if np.ndim(found) == 0 else Ids(found)

    def __iter__(self) -> Iterator[str]:
        return map(str, self.values.tolist())

    def where(self, keep: Bools) -> Ids:
        """Return those that are kept."""
        return Ids(self.values[keep])


class Laid(Design):
    """A design whose cells lie ready as matrices; its panel is made when something asks for it."""

    def __init__(
        self,
        ids: NDArray[Any],
        periods: tuple[str, ...],
        matrix: Callable[[str], Floats],
        metrics: Sequence[str],
        start: Ints,
        against: Against,
        slowly: Callable[[], Design],
        said: tuple[str, ...] = (),
        clusters: tuple[Ints, tuple[str, ...]] | None = None,
    ) -> None:
        self._ids, self._labels, self._matrix, self._names = ids, periods, matrix, tuple(metrics)
        self._begin = start  # position of the start, −1 for a unit that never starts
        self._firsts = np.flatnonzero(np.bincount(start + 1)[1:])  # the different ones, in order
        self._by, self._slowly, self._said = against, slowly, said
        self._grouped = clusters  # code of each unit's cluster, and the labels
        self._ready: dict[str, Floats] = {}
        self._made: Design | None = None

    def _full(self) -> Design:
        """Make the panel and the design that a small frame would have had at once."""
        if self._made is None:
            self._made = self._slowly()
        return self._made

    @classmethod
    def _from(cls, spec: Spec) -> Design:
        """Return an edited design, which is no longer laid out."""
        return Design._from(spec)

    # what `Design` keeps, made when it is first needed
    @property
    def _spec(self) -> Spec:  # type: ignore[override]
        return self._full()._spec

    @property
    def _starts(self) -> dict[str, int]:  # type: ignore[override]
        return self._full()._starts

    @property
    def _comparison(self) -> Comparison:  # type: ignore[override]
        return self._full()._comparison

    @property
    def _when(self) -> When:  # type: ignore[override]
        return self._full()._when

    @property
    def against(self) -> Against:
        """Who the pilots are compared with."""
        return self._by

    @property
    def not_yet(self) -> bool:
        """Whether pilots serve as comparators until they start."""
        from didkit.design.not_yet import NotYetTreated

        return isinstance(self._by, NotYetTreated)

    @property
    def periods(self) -> tuple[str, ...]:
        """Labels of the periods."""
        return self._labels

    def __repr__(self) -> str:
        pilots = int((self._begin >= 0).sum())
        return (
            f"Design({pilots:,} pilots, {len(self._ids) - pilots:,} comparators, "
            f"{self._labels[0]} to {self._labels[-1]}; against {self._by.describe()})"
        )

    def _values(self, name: str) -> Floats:
        if name not in self._ready:
            self._ready[name] = self._matrix(name)
        return self._ready[name]

    def sample(
        self,
        metric: str | Metric,
        *,
        covariates: Sequence[str] = (),
        sampling: str | None = None,
        population: str | None = None,
    ) -> Sample:
        """Lay one metric out for an estimator; see `Design.sample`."""
        name = metric.name if isinstance(metric, Metric) else metric
        asked = (name, *covariates, sampling or name, population or name)
        if self._made is not None or any(one not in self._names for one in asked):
            return self._full().sample(
                metric, covariates=covariates, sampling=sampling, population=population
            )
        y = self._values(name)
        starts = self._firsts
        place = np.full(len(self._labels) + 1, -1, dtype=np.intp)
        place[starts + 1] = np.arange(len(starts))
        cohort = place[self._begin + 1]
        reasons = {"no value: not available": ~np.isfinite(y)}
        out = np.zeros(y.shape, dtype=bool)
        beside = [self._values(one) for one in covariates]
        for one, values in zip(covariates, beside, strict=True):
            reasons[f"no value of the covariate {one!r}"] = gone = ~np.isfinite(values)
            out |= gone
        w = None
        if sampling is not None:
            cell = self._values(sampling)
            reasons[f"no positive sampling weight {sampling!r}"] = gone = ~(cell > 0)
            out |= gone
            w = np.where(cell > 0, cell, 1.0)
        if population is not None:
            people = self._values(population)[:, max(int(starts[0]) - 1, 0)]
            gone = np.broadcast_to(~(people > 0)[:, None], y.shape)
            reasons[f"no {population!r} in the last period before the first start"] = gone
            out = out | gone
            each = np.where(people > 0, people, 1.0)[:, None]
            w = np.broadcast_to(each, y.shape).copy() if w is None else w * each
        if out.any():
            y = np.where(out, np.nan, y)
        ids = Ids(self._ids)
        clusters, labels = self._grouped or (np.arange(len(y), dtype=np.intp), cast("Any", ids))
        made = Sample(
            metric=Metric(name=name),
            units=ids,  # type: ignore[arg-type]  # as good as a tuple, written when looked at
            names=ids,  # type: ignore[arg-type]
            periods=self._labels,
            y=y,
            lower=y,
            upper=y,
            exposure=None,
            pilot=cohort >= 0,
            starts=tuple(starts.tolist()),
            cohort=cohort,
            sets=None,
            aggregate="mean",
            strata=np.zeros(len(y), dtype=np.intp),
            clusters=clusters,
            cluster_labels=labels,
            log=_log(reasons),
            notes=self._notes(name),
            covariates=tuple(covariates),
            x=np.stack(beside, axis=1) if beside else None,
            sampling=sampling,
            population=population,
            w=w,
            not_yet=self.not_yet,
        )
        seen = made.mask
        if seen.all():
            return made
        after = seen & made.treated
        others = ... if made.not_yet else ~made.pilot
        if not after.any() or not seen[others].any():  # refused in the same words
            return self._full().sample(
                metric, covariates=covariates, sampling=sampling, population=population
            )
        own: Bools = np.asarray(seen.any(axis=1))
        sided = made.pilot & own & ~(after.any(axis=1) & (seen & ~made.treated).any(axis=1))
        notes = (*made.notes, *(one_sided(made) if sided.any() else ()))
        if not own.all():
            made = made.keep(own, "no value in the window")
        return replace(made, notes=notes)

    def _notes(self, name: str) -> tuple[str, ...]:
        """Say what a small frame's sample would say: who never starts, and whose cells are gone."""
        n = np.isfinite(self._values(name)).sum(axis=1)
        notes = list(self._said)
        if len(self._firsts) > 1:
            notes.append("pilots start in different periods")
        for which, words in (
            (n == 0, "have no value in the window"),
            ((n > 0) & (n < len(self._labels)), "miss at least one period"),
        ):
            if which.any():
                first = ", ".join(map(str, self._ids[which][:5].tolist()))
                more = ", …" if which.sum() > 5 else ""
                notes.append(f"{which.sum()} ({first}{more}) units {words}")
        return tuple(notes)


def _log(reasons: dict[str, Bools]) -> pd.DataFrame:
    """Count the cells by the first reason that leaves them out, over all units."""
    left = np.ones(next(iter(reasons.values())).shape, dtype=bool)
    counts = {}
    for reason, gone in reasons.items():
        count = int((left & gone).sum())
        left &= ~gone
        if count:
            counts[reason] = count
    counts["used"] = int(left.sum())
    return pd.DataFrame(
        {"stage": "design", "unit": EVERY, "reason": list(counts), "cells": list(counts.values())}
    )


def laid_out(
    frame: pd.DataFrame,
    *,
    unit: str,
    period: str,
    start: str,
    metrics: Sequence[str],
    never: Sequence[object],
    against: Against,
    slowly: Callable[[], Design],
    clusters: str | None = None,
) -> Laid | None:
    """Return the design of a plain frame, or None where anything about it needs to be looked at.

    Plain: numbers throughout, one row a unit and period, consecutive periods, one start a unit
    which is a period of the frame but the first, somebody who starts and somebody to compare with;
    clusters of whole units, by whole numbers or text.
    """
    columns = [unit, period, start, *metrics]
    if frame.empty or not frame.columns.is_unique or any(one in METRICS for one in metrics):
        return None
    if any(one not in frame.columns for one in columns):
        return None
    if any(not _plain(frame[one]) for one in columns) or any(
        not pd.api.types.is_integer_dtype(frame[one]) for one in (unit, period)
    ):
        return None
    when = frame[period].to_numpy()
    first, last = int(when.min()), int(when.max())
    n_periods, n_rows = last - first + 1, len(frame)
    if n_periods < 2 or n_periods > n_rows:
        return None
    u = frame[unit].to_numpy()
    code = _in_order(u, when, n_periods)
    if code is None:
        ids, at = _codes(u)
        flat = at * n_periods + (when - first)
        seen = np.zeros(len(ids) * n_periods, dtype=bool)
        seen[flat] = True
        if int(np.count_nonzero(seen)) != n_rows or not seen.reshape(-1, n_periods).any(0).all():
            return None
    else:
        ids, flat = code, None
        at = None
    found = _begin(frame[start], at, n_periods, len(ids), never)
    if found is None:
        return None
    begin, kinds = found
    if "0" in kinds and first <= 0 <= last and not any(one == 0 for one in never):
        return None
    if ((begin >= 0) & (begin < first)).any():  # treated before the frame begins, not never
        return None
    begin = np.where(begin < 0, -1, begin - first)
    starts = np.unique(begin[begin >= 0])
    if not len(starts) or starts[0] < 1 or starts[-1] >= n_periods:
        return None
    if (begin >= 0).all() and (isinstance(against, Pool) or len(starts) < 2):
        return None
    grouped = None
    if clusters is not None:
        if clusters in columns or clusters not in frame.columns:
            return None
        grouped = _grouped(frame[clusters], at, n_periods, len(ids))
        if grouped is None:
            return None

    def matrix(name: str) -> Floats:
        values = frame[name].to_numpy(dtype=np.float64)
        if flat is None:
            return values.reshape(-1, n_periods)
        made = np.full(len(ids) * n_periods, np.nan)
        made[flat] = values
        return made.reshape(-1, n_periods)

    if any(np.isinf(frame[name].to_numpy(dtype=np.float64)).any() for name in metrics):
        return None
    labels = tuple(str(t) for t in range(first, last + 1))
    said = never_in_words(start, kinds, len(ids))
    return Laid(ids, labels, matrix, metrics, begin, against, slowly, said, grouped)


def _plain(column: pd.Series) -> bool:
    """Whether a column holds numpy numbers."""
    kind = column.dtype
    return isinstance(kind, np.dtype) and kind.kind in "iuf"


def _in_order(u: NDArray[Any], when: NDArray[Any], n_periods: int) -> NDArray[Any] | None:
    """Return the ids of a frame whose rows lie unit by unit, every period in order; else None."""
    if len(u) % n_periods:
        return None
    by = u.reshape(-1, n_periods)
    ids = by[:, 0]
    if not (np.diff(ids) > 0).all() or not (by == ids[:, None]).all():
        return None
    times = when.reshape(-1, n_periods)
    return ids.copy() if (times == times[0]).all() and (np.diff(times[0]) == 1).all() else None


def _codes(u: NDArray[Any]) -> tuple[NDArray[Any], Ints]:
    """Return the sorted ids and each row's place among them."""
    low, high = int(u.min()), int(u.max())
    if high - low <= 4 * len(u):  # a table of places is quicker than sorting
        there = np.zeros(high - low + 1, dtype=bool)
        there[u - low] = True
        ids = np.flatnonzero(there) + low
        place = np.cumsum(there) - 1
        return ids, place[u - low]
    at, ids = pd.factorize(u, sort=True)
    return np.asarray(ids), np.asarray(at, dtype=np.intp)


def _begin(
    column: pd.Series, at: Ints | None, n_periods: int, n_units: int, never: Sequence[object]
) -> tuple[NDArray[np.int64], dict[str, int]] | None:
    """Return each unit's start, −1 for never, and how many are never treated by which value.

    None where a start varies within a unit or is odd.
    """
    given = column.to_numpy()
    if at is None:
        rows = given.reshape(-1, n_periods)
        value = rows[:, 0]
        same = (rows == value[:, None]).all(axis=1)
        if given.dtype.kind == "f":
            same |= np.isnan(rows).all(axis=1)
        if not same.all():
            return None
    else:
        value = np.zeros(n_units, dtype=given.dtype)
        value[at] = given
        back = value[at]
        same = back == given
        if given.dtype.kind == "f":
            same |= np.isnan(back) & np.isnan(given)
        if not same.all():
            return None
    by = {"0": value == 0}
    if value.dtype.kind == "f":
        by |= {"missing": np.isnan(value), "infinite": np.isinf(value)}
    known = np.logical_or.reduce(list(by.values()))
    for one in never:
        if is_number(one):
            by[str(one)] = (value == one) & ~known
            known |= by[str(one)]
    whole = np.where(known, 0, value)
    if (whole != np.round(whole)).any() or (whole < 0).any():
        return None
    kinds = {kind: int(there.sum()) for kind, there in by.items() if there.any()}
    return np.where(known, -1, whole.astype(np.int64)), kinds


def _grouped(
    column: pd.Series, at: Ints | None, n_periods: int, n_units: int
) -> tuple[Ints, tuple[str, ...]] | None:
    """Return each unit's cluster and the labels, in order of the first unit of each.

    None where a label is missing, neither text nor a whole number, or varies within a unit.
    """
    code, kinds = pd.factorize(column)
    text = [str(kind).strip() for kind in kinds.tolist()]
    known = pd.api.types.is_integer_dtype(column) or all(isinstance(k, str) for k in kinds)
    if not known or (code < 0).any() or "" in text or len(set(text)) < len(text):
        return None
    if at is None:
        each = code.reshape(-1, n_periods)[:, 0]
        same = (code.reshape(-1, n_periods) == each[:, None]).all()
    else:
        each = np.zeros(n_units, dtype=np.intp)
        each[at] = code
        same = (each[at] == code).all()
    if not same:
        return None
    codes, first = pd.factorize(each)
    return codes.astype(np.intp), tuple(text[one] for one in first.tolist())
