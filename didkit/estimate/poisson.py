"""Counts: the ratio by which the programme changed them, by Poisson quasi-maximum likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few, is_whole
from didkit.estimate.aggregation import (
    Aggregated,
    By,
    aggregate,
    check_aggregation,
    check_by,
    event_name,
    phase_of,
)
from didkit.estimate.cells import carried, covariate_notes, with_values
from didkit.estimate.covariates import check_covariates, refuse_here
from didkit.estimate.did import after_before
from didkit.estimate.poisson_fit import PoissonFit, poisson_fit
from didkit.estimate.published import Published
from didkit.estimate.two_way import two_way
from didkit.estimate.windows import Windows
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["PoissonDiD"]

Floats = NDArray[np.float64]
Terms = Literal["static", "event", "sun_abraham"]
Effect = Literal["log_ratio", "ratio", "rate", "count"]
_RATES = ("rate", "percent")


@dataclass(frozen=True)
class PoissonDiD:
    """By what ratio counts changed in the pilots beyond the change elsewhere.

    Parameters
    ----------
    terms : {"static", "event", "sun_abraham"}
        One effect from the start on; one for each time since the start; or one for each cohort
        and period, put together as `by` says (Sun & Abraham's interactions).
    effect : {"log_ratio", "ratio", "rate", "count"}
        What is reported. The coefficient itself; the ratio less 1 (0.1 is 10% more); the
        difference in the rate of the treated cells, with their people pooled; or the mean
        difference in the count of a treated cell. For "static" the others are in ``glance()``.
    exposure : str, optional
        Metric whose log is the offset. By default a rate's denominator; a count has none.
    reference : int, default −1
        Event time that terms are compared with, for "event" and "sun_abraham".
    covariates, sampling, population
        As for `DiD`: metrics held constant (their coefficients are log ratios for one unit of
        theirs), and what cells and units count for.
    by, overall, balance, aggregation
        For "sun_abraham" only, as for `SunAbraham`; averages are of what `effect` says.

    Notes
    -----
    The metric is a rate or a percentage whose numerator and denominator are in the panel (then
    counts are the numerator), or a count. The mean of a count is exposure × exp(unit + period +
    effect): without the programme, counts would have changed by the same *ratio* (parallel trends
    in logs). Counts need not be Poisson, nor whole numbers; only the mean must be right, and
    standard errors are by cluster. With few periods unit effects do no harm: they are concentrated
    out exactly.

    It fails where ratios to zero are asked for: units with zeros only say nothing of a ratio and
    are left out by name, and pilots with zeros only on one side of the start are refused
    (separation). With staggered starts "static" and "event" mix cohorts as two-way does.
    Big authorities count for more than small ones: the fit weighs by expected counts.

    "rate" and "count" have the sampling of pilots' own counts in their standard error.
    Cross-products (for CR2, CR3 and leverage) are those of the last weighted least squares, and
    published with "log_ratio" only.

    References
    ----------
    Wooldridge (1999) for quasi-maximum likelihood with unit effects; Chen & Roth (2024) for what
    a ratio says that a log with zeros does not.

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Design
    >>> frame = pd.DataFrame(
    ...     [
    ...         (u, t, 2019 * (u == "a"), n * (1 + (t == 2019)) * (1.5 if (u, t) == one else 1))
    ...         for one in [("a", 2019)]
    ...         for u, n in (("a", 20), ("b", 30), ("c", 50))
    ...         for t in (2018, 2019)
    ...     ],
    ...     columns=["la", "year", "first", "births"],
    ... )
    >>> design = Design.from_frame(
    ...     frame, unit="la", period="year", start="first", metrics=["births"], selection="unknown"
    ... )
    >>> round(PoissonDiD(effect="ratio").fit(design, "births").values.item(), 10)
    0.5
    """

    terms: Terms = "static"
    effect: Effect = field(default="log_ratio", kw_only=True)
    exposure: str | None = field(default=None, kw_only=True)
    reference: int = field(default=-1, kw_only=True)
    covariates: Sequence[str] = field(default=(), kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)
    by: By = field(default="simple", kw_only=True)
    overall: bool = field(default=False, kw_only=True)
    balance: int | None = field(default=None, kw_only=True)
    aggregation: Aggregated = field(default="pilots", kw_only=True)

    def __post_init__(self) -> None:
        for name, kinds in (("terms", Terms), ("effect", Effect)):
            if getattr(self, name) not in get_args(kinds):
                raise EstimationError(
                    needed=f"{name}: " + ", ".join(map(repr, get_args(kinds))),
                    found=repr(getattr(self, name)),
                    where=f"PoissonDiD({name}=)",
                    todo="choose one of them",
                )
        if not is_whole(self.reference) or self.reference >= 0:
            raise EstimationError(
                needed="a reference before the start: −1, −2, …",
                found=repr(self.reference),
                where="PoissonDiD(reference=)",
                todo="event time 0 is the first treated period; use −1",
            )
        check_by(self.by, self.balance, self.overall, "PoissonDiD")
        check_aggregation(self.aggregation, "PoissonDiD")
        asked = (self.by, self.overall, self.balance, self.aggregation)
        if self.terms != "sun_abraham" and asked != ("simple", False, None, "pilots"):
            raise EstimationError(
                needed="terms='sun_abraham' with by=, overall=, balance= or aggregation=",
                found=f"terms={self.terms!r}, by={self.by!r}",
                where="PoissonDiD(by=)",
                todo="only effects by cohort and period are put together",
            )
        names = check_covariates(self.covariates, "observed", "PoissonDiD(covariates=)")
        object.__setattr__(self, "covariates", names)

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the effects.

        Raises
        ------
        PanelError
            If a metric is unknown.
        DesignError, EstimationError
            Matched sets; a rate without its numerator in the panel; counts below zero; no
            exposure in a cell; nobody left to compare; separation.
        """
        sample, counts, exposure, base = self._counts(design, metric)
        everything = np.where(sample.mask, counts, np.nan)
        kept = np.nansum(everything, axis=1) > 0
        reason = "zeros only: they say nothing of a ratio"
        sample = sample.keep(kept, reason, advice="take the rate with DiD")
        counts, exposure = counts[kept], exposure[kept]
        windows = partial(_paths, terms=self.terms, reference=int(self.reference))
        before = sample.units
        sample, made, lost = with_values(sample, windows)
        stays = np.isin(np.array(before), np.array(sample.units))
        counts, exposure = counts[stays], exposure[stays]
        self._refuse(sample, counts, exposure, made)
        fitted, slopes = self._fit(sample, counts, exposure, made)
        return self._estimate(design, sample, counts, exposure, base, made, fitted, slopes, lost)

    def _counts(
        self, design: Design, metric: str | Metric
    ) -> tuple[Sample, Floats, Floats, str | None]:
        """Return the sample, counts and exposure (J, T), and the exposure's name."""
        kind = design.panel.metric(metric)
        part = kind.numerator if kind.kind in _RATES else None
        base = self.exposure or (kind.denominator if kind.kind in _RATES else None)
        if kind.kind in _RATES and (part not in design.panel.metrics or base is None):
            raise EstimationError(
                needed=f"the counts behind {kind.name!r}: its numerator and its denominator",
                found=f"numerator {part!r}, denominator {base!r}; the panel has "
                + first_few(design.panel.metrics),
                where="PoissonDiD",
                todo="read the counts too, or give the count as metric and exposure=",
            )
        beside = [name for name in (part, base) if name is not None]
        sample = design.sample(
            kind,
            covariates=(*beside, *self.covariates),
            sampling=self.sampling,
            population=self.population,
        )
        if sample.sets is not None:
            raise EstimationError(
                needed="one pool of comparators",
                found="matched sets",
                where="PoissonDiD",
                todo="compare with one pool: against=Pool() or union(); or take the rate with DiD",
            )
        x = np.zeros((len(sample.units), 0, len(sample.periods))) if sample.x is None else sample.x
        counts = x[:, 0] if part is not None else sample.y
        exposure = np.ones_like(counts) if base is None else x[:, len(beside) - 1]
        rest = x[:, len(beside) :]
        sample = replace(
            sample, covariates=tuple(self.covariates), x=rest if rest.shape[1] else None
        )
        refuse_here(sample.covariates, sample, "PoissonDiD")
        for what, bad in (
            (f"counts of {part or kind.name!r} below zero", counts < 0),
            (f"no exposure {base!r}", exposure <= 0),
        ):
            wrong = sample.mask & bad
            if wrong.any():
                cells = [f"{sample.units[j]} in {sample.periods[t]}" for j, t in np.argwhere(wrong)]
                raise EstimationError(
                    needed="counts of zero or more, and an exposure above zero",
                    found=f"{what}: {first_few(cells)}",
                    where=f"PoissonDiD, metric {kind.name!r}",
                    todo="look at these cells; leave the unit out with design.drop",
                )
        return sample, counts, exposure, base

    def _refuse(self, sample: Sample, counts: Floats, exposure: Floats, made: Windows) -> None:
        """Refuse periods, and sides of the start, with zeros only."""
        if self.terms != "static" and sample.n_comparators == 0:
            raise EstimationError(
                needed="a comparator that never starts",
                found="pilots only",
                where=f"PoissonDiD(terms={self.terms!r})",
                todo="use terms='static', or ExtendedTwoWay, which compares with later pilots",
            )
        seen = np.where(sample.mask, counts, 0.0)
        empty = sample.mask.any(axis=0) & (seen.sum(axis=0) == 0)
        names = [f"period {p}" for p, none in zip(sample.periods, empty, strict=True) if none]
        acts = _acts(sample, made)
        for m, term in enumerate(made.terms["term"]):
            if seen[acts[:, m]].sum() == 0:
                names.append(f"pilots at {term}")
        if seen[sample.pilot][~acts[sample.pilot].any(axis=1)].sum() == 0:
            names.append("pilots before the start" if self.terms == "static" else "the reference")
        if names:
            raise EstimationError(
                needed="counts above zero in every period and on both sides of the start",
                found=f"zeros only: {first_few(names)} (separation)",
                where=f"PoissonDiD, metric {sample.metric.name!r}",
                todo="a ratio to or from zero is no number: widen the window, or take the rate "
                "with DiD",
            )

    def _fit(
        self, sample: Sample, counts: Floats, exposure: Floats, made: Windows
    ) -> tuple[PoissonFit, dict[str, float]]:
        """Fit terms, then periods (the first seen is dropped), then covariates."""
        seen = np.flatnonzero(sample.mask.any(axis=0))[1:]
        dummies = np.broadcast_to(
            np.eye(len(sample.periods))[seen], (len(counts), len(seen), len(sample.periods))
        )
        parts = [_acts(sample, made).astype(np.float64), dummies]
        spread = np.zeros(0)
        if sample.x is not None:  # centred and of size one: a covariate's unit must not cost digits
            seen_x = np.where(sample.mask[:, None], sample.x, np.nan)
            centre = np.nanmean(seen_x, axis=(0, 2))
            spread = np.nanstd(seen_x, axis=(0, 2))
            spread = np.where(spread > 0, spread, 1.0)
            parts.append((sample.x - centre[None, :, None]) / spread[None, :, None])
        names = (
            *(str(term) for term in made.terms["term"]),
            *(f"period {sample.periods[t]}" for t in seen),
            *sample.covariates,
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            offset = np.log(exposure)
        fitted = poisson_fit(sample, counts, offset, np.concatenate(parts, axis=1), names)
        slopes = fitted.beta[len(fitted.beta) - len(spread) :] / np.where(spread, spread, 1.0)
        return fitted, {
            f"coefficient_{name}": float(slope)
            for name, slope in zip(sample.covariates, slopes, strict=True)
        }

    def _estimate(
        self,
        design: Design,
        sample: Sample,
        counts: Floats,
        exposure: Floats,
        base: str | None,
        made: Windows,
        fitted: PoissonFit,
        slopes: dict[str, float],
        lost: tuple[str, ...],
    ) -> Estimate:
        """Put coefficients together, and say them as asked."""
        n_cells = len(made.terms)
        acts = _acts(sample, made) & sample.mask[:, None]
        per = float(sample.metric.per) if sample.metric.kind in _RATES else 1.0
        matrix, terms = np.eye(n_cells), made.terms
        if self.terms == "sun_abraham":
            matrix, terms = self._together(sample, made, acts)
        cells = _Cells(fitted, acts, np.where(sample.mask, counts, 0.0), exposure, sample, per)
        values, influence = cells.effects(self.effect)
        values, influence = matrix @ values, influence @ matrix.T
        plain = self.effect == "log_ratio"
        contrast = np.zeros((len(terms), fitted.normal.n_params))
        contrast[:, :n_cells] = matrix
        if self.terms == "sun_abraham":
            inside = (matrix != 0) @ acts.any(axis=2).astype(np.int64).T  # (k, J)
            n_pilots = (inside > 0).sum(axis=1)
            n_comparators = np.full(len(terms), sample.n_comparators)
        else:
            n_pilots, n_comparators = carried(sample, made)
        facts, notes = self._beside(
            sample, counts, exposure, per, made, cells, rated=base is not None
        )
        unit, words = self._words(sample.metric, base)
        return Published(
            values=values,
            influence=influence,
            normal=fitted.normal if plain else None,
            contrast=contrast if plain else None,
            regroup=fitted.regroup if plain else None,
            n_pilots=n_pilots,
            n_comparators=n_comparators,
        ).to_estimate(
            self,
            design,
            replace(sample, metric=replace(sample.metric, unit=unit)),
            estimand=words,
            terms=terms,
            reference=self._reference(sample),
            facts={**facts, **slopes, "dispersion": fitted.dispersion},
            notes=(*lost, *covariate_notes(sample), *notes),
        )

    def _together(self, sample: Sample, made: Windows, acts: NDArray[np.bool_]) -> tuple[
        Floats, pd.DataFrame
    ]:  # fmt: skip
        """Return the terms as combinations of the effects by cohort and period."""
        g = made.terms["cohort"].to_numpy(dtype=np.intp)
        t = made.terms["place"].to_numpy(dtype=np.intp)
        w = np.ones(sample.y.shape) if sample.w is None else sample.w
        size = np.einsum("jmt,jt->m", acts, np.where(sample.mask, w, 0.0))
        found = aggregate(
            sample,
            g,
            t,
            self.by,
            size=np.ones(len(sample.starts)),
            balance=self.balance,
            overall=self.overall,
            cell_size=size if self.aggregation == "pilots" else None,
        )
        return found.matrix, found.terms

    def _beside(
        self,
        sample: Sample,
        counts: Floats,
        exposure: Floats,
        per: float,
        made: Windows,
        cells: _Cells,
        *,
        rated: bool,
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        """Return the one effect in every way of saying it, and the rate estimate beside it."""
        if self.terms != "static":
            return {}, ()
        said = {effect: float(cells.effects(effect)[0][0]) for effect in get_args(Effect)}
        rates = replace(sample, y=np.where(sample.mask, per * counts / exposure, np.nan))
        linear = float(two_way(rates, made.acts, tuple(made.terms["term"])).values[0])
        facts = {
            "log_ratio": said["log_ratio"],
            "ratio_less_1": said["ratio"],
            "rate_difference": said["rate"],
            "count_difference": said["count"],
            "rate_did": linear,
        }
        return facts, (
            f"the same cells as a difference in rates, each authority alike: {linear:.4g} "
            f"(DiD); as a ratio, with people pooled: {said['rate']:.4g}"
            if rated
            else f"the same cells as a difference in counts, each authority alike: {linear:.4g} "
            f"(DiD); as a ratio: {said['count']:.4g} a treated cell",
        )

    def _words(self, metric: Metric, base: str | None) -> tuple[str, str]:
        """Return the unit of the estimate, and the estimand in words."""
        own = metric.unit or "units of the metric"
        label = tables.inside(metric.label)
        if self.effect == "log_ratio":
            unit, what = "log of a ratio", f"log of the ratio of {label} to what it would have been"
        elif self.effect == "ratio":
            unit, what = "ratio less 1", f"ratio of {label} to what it would have been, less 1"
        elif self.effect == "rate":
            rated = metric.kind in _RATES or base is None
            unit = own if rated else f"{own} per unit of {base}"
            what = f"difference in {label} with the people of treated cells pooled"
        else:
            unit = "number a treated cell" if metric.kind in _RATES else own
            what = f"mean difference in the number behind {label} in a treated cell"
        whom = "cells count by the number expected in them"
        return unit, f"{what} ({unit}), pilots against comparators; {whom}"

    def _reference(self, sample: Sample) -> pd.DataFrame | None:
        """Return the row of the reference of an event study."""
        if self.terms == "static" or (self.terms == "sun_abraham" and self.by != "dynamic"):
            return None
        if self.overall:
            return None
        e = int(self.reference)
        period = sample.periods[sample.starts[0] + e] if len(sample.starts) == 1 else ""
        return pd.DataFrame(
            {
                "term": [event_name(e)],
                "position": [e],
                "event_time": [e],
                "period": [period],
                "phase": ["reference"],
            }
        )


@dataclass(frozen=True, eq=False)
class _Cells:
    """The coefficients of C terms, and the treated cells (J, C, T) that carry each."""

    fitted: PoissonFit
    acts: NDArray[np.bool_]
    counts: Floats
    exposure: Floats
    sample: Sample
    per: float

    def effects(self, effect: Effect) -> tuple[Floats, Floats]:
        """Return the effects (C,), and each unit's part in their error (J, C).

        In treated cells fitted counts add up to those seen, so that the mean difference of the two
        fitted counts, with and without, is the mean count seen × (1 − exp(−coefficient)).
        """
        n = self.acts.shape[1]
        beta, influence = self.fitted.beta[:n], self.fitted.influence[:, :n]
        if effect == "log_ratio":
            return beta, influence
        if effect == "ratio":
            return np.expm1(beta), influence * np.exp(beta)
        w = np.where(self.sample.mask, 1.0 if self.sample.w is None else self.sample.w, 0.0)
        under = w * np.where(self.sample.mask, self.exposure, 0.0) if effect == "rate" else w
        scale = self.per if effect == "rate" else 1.0
        top = np.einsum("jmt,jt->jm", self.acts, w * self.counts) * scale
        low = np.einsum("jmt,jt->jm", self.acts, under)
        mean = top.sum(axis=0) / low.sum(axis=0)
        drawn = (top - mean * low) / low.sum(axis=0)
        share = -np.expm1(-beta)
        return mean * share, influence * mean * np.exp(-beta) + drawn * share


def _acts(sample: Sample, windows: Windows) -> NDArray[np.bool_]:
    """Where each term acts, (J, C, T); nowhere for comparators."""
    made = np.zeros((len(sample.units), *windows.acts.shape[1:]), dtype=bool)
    made[sample.pilot] = windows.acts[sample.cohort[sample.pilot]]
    return made


def _paths(sample: Sample, *, terms: Terms, reference: int) -> Windows:
    """Return the treatment paths: one, one for each event time, or for each cohort and period."""
    if terms == "static":
        return after_before(sample)
    n, starts = len(sample.periods), sample.starts
    short = [sample.periods[s] for s in starts if s + reference < 0]
    if short:
        raise EstimationError(
            needed=f"{-reference} periods before every start",
            found=f"fewer before the start in {', '.join(short)}",
            where="PoissonDiD(reference=)",
            todo="choose a later reference, or a longer window",
        )
    rows: list[dict[str, object]] = []
    paths = []
    if terms == "event":
        times = [e for e in range(-max(starts), n - min(starts)) if e != reference]
        for e in times:
            one = [s + e for s in starts]
            paths.append([[t == at for t in range(n)] for at in one])
            period = sample.periods[one[0]] if len(starts) == 1 else ""
            rows.append(_row(event_name(e), e, period, e))
    else:
        for g, start in enumerate(starts):
            for t in range(n):
                if t == start + reference or not sample.mask[sample.cohort == g, t].any():
                    continue
                paths.append([[h == g and u == t for u in range(n)] for h in range(len(starts))])
                name = f"start {sample.periods[start]}, period {sample.periods[t]}"
                row = _row(name, len(rows), sample.periods[t], t - start)
                rows.append({**row, "cohort": g, "place": t})
    acts = np.array(paths, dtype=bool).swapaxes(0, 1)
    base = np.zeros((len(starts), 1, n), dtype=bool)
    for g, start in enumerate(starts):
        base[g, 0, start + reference] = True
    return Windows(
        plus=acts,
        minus=np.broadcast_to(base, acts.shape),
        acts=acts,
        compared=np.ones(len(rows), dtype=bool),
        terms=pd.DataFrame(rows),
    )


def _row(term: str, position: int, period: str, e: int) -> dict[str, object]:
    return {
        "term": term,
        "position": position,
        "event_time": e,
        "period": period,
        "phase": phase_of(e),
    }
