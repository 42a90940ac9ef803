"""A design laid out straight from a long frame of millions of rows, without making a panel first.

It hands out the same samples as the design that `Design.from_frame` makes of a small frame; what
needs a panel (audit, balance, drop, …) makes one when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design.against import Against, Comparison
from didkit.design.design import Design
from didkit.design.sample import EVERY, Sample
from didkit.design.spec import Spec
from didkit.design.timing import When
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
    ) -> None:
        self._ids, self._labels, self._matrix, self._names = ids, periods, matrix, tuple(metrics)
        self._begin = start  # position of the start, −1 for a unit that never starts
        self._by, self._slowly = against, slowly
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
        starts = np.unique(self._begin[self._begin >= 0])
        cohort = np.searchsorted(starts, self._begin).astype(np.intp)
        cohort[self._begin < 0] = -1
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
            clusters=np.arange(len(y), dtype=np.intp),
            cluster_labels=ids,  # type: ignore[arg-type]
            log=_log(reasons),
            notes=(),
            covariates=tuple(covariates),
            x=np.stack(beside, axis=1) if beside else None,
            sampling=sampling,
            population=population,
            w=w,
            not_yet=self.not_yet,
        )
        seen: Bools = np.asarray(made.mask.any(axis=1))
        return made if seen.all() else made.keep(seen, "no value in the window")


def _log(reasons: dict[str, Bools]) -> pd.DataFrame:
    """Count the cells by the first reason that leaves them out, over all units."""
    left = np.ones(next(iter(reasons.values())).shape, dtype=bool)
    rows = []
    for reason, gone in reasons.items():
        count = int((left & gone).sum())
        left &= ~gone
        if count:
            rows.append(("design", EVERY, reason, count))
    rows.append(("design", EVERY, "used", int(left.sum())))
    return pd.DataFrame(rows, columns=["stage", "unit", "reason", "cells"])


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
) -> Laid | None:
    """Return the design of a plain frame, or None where anything about it needs to be looked at.

    Plain: numbers throughout, one row a unit and period, consecutive periods, one start a unit
    which is a period of the frame but the first, somebody who starts and somebody to compare with.
    """
    columns = [unit, period, start, *metrics]
    if not frame.columns.is_unique or any(one in METRICS for one in metrics):
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
    begin = _begin(frame[start], at, n_periods, len(ids), never)
    if begin is None:
        return None
    begin = np.where(begin < 0, -1, begin - first)
    starts = np.unique(begin[begin >= 0])
    if not len(starts) or starts[0] < 1 or starts[-1] >= n_periods or (begin >= 0).all():
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
    return Laid(ids, labels, matrix, metrics, begin, against, slowly)


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
) -> NDArray[np.int64] | None:
    """Return each unit's start, −1 for never; None where it varies within a unit or is odd."""
    given = column.to_numpy()
    if at is None:
        by = given.reshape(-1, n_periods)
        value = by[:, 0]
        same = (by == value[:, None]).all(axis=1)
        if given.dtype.kind == "f":
            same |= np.isnan(by).all(axis=1)
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
    out = (value == 0) | np.isin(value, [x for x in never if isinstance(x, (int, float))])
    if value.dtype.kind == "f":
        out |= ~np.isfinite(value)
    whole = np.where(out, 0, value)
    if (whole != np.round(whole)).any() or (whole < 0).any():
        return None
    return np.where(out, -1, whole.astype(np.int64))
