"""Power by simulation: any estimator with any inference, on panels with no effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.curves import (
    QUESTION,
    Counts,
    Size,
    check_effects,
    check_seed,
    curve_rows,
    headline,
    laid_out,
    level_before,
    sizes,
    smallest,
    summed_up,
    window_of,
)
from didkit.check.power import Power
from didkit.check.variation import Variation
from didkit.design import Design, Pool, Rollout
from didkit.errors import InferenceError, is_number, kind_of
from didkit.estimate import DiD
from didkit.inference import ClusterRobust
from didkit.panel import Calendar, Cells, Metric, Panel, Source, Status
from didkit.progress import steps

if TYPE_CHECKING:
    from didkit.check.detectable_effect import DetectableEffect
    from didkit.results import Estimate, Estimator, Inference

__all__ = ["simulated"]

Floats = NDArray[np.float64]
_SAME = 1e-6  # of the shift: what counts as the same number


class _Plan(NamedTuple):
    """A design to be filled with noise."""

    size: Size
    design: Design
    metric: Metric
    there: NDArray[np.bool_]  # units × periods of the panel
    base: float


def simulated(
    self: DetectableEffect,
    source: Variation | Design,
    metric: str | Metric | None = None,
    *,
    pilots: Counts | None = None,
    comparators: Counts | None = None,
    before: Counts | None = None,
    after: Counts | None = None,
    estimator: Estimator | None = None,
    inference: Inference | None = None,
    variation: Variation | None = None,
    replications: int = 500,
    seed: int = 0,
    effects: Sequence[float] | None = None,
    base: float | None = None,
) -> Power:
    """Compute power by simulation, for any estimator and inference.

    Panels with no effect are drawn from a variation (normal, AR1), each is estimated and inferred,
    and the intervals are kept. An effect shifts the estimate and its interval by itself, so the
    power at every size is read from one set of intervals: the share that excludes 0 when shifted.

    Parameters
    ----------
    source : Variation or Design
        A variation, with `pilots, comparators, before, after` (one pool, one start); or a design
        with its own pilots, starts, comparators and missing cells, refilled with noise.
    metric : str or Metric
        With a design: a metric of its panel. Its cells from the start on are not looked at, except
        for which are missing; a period without any value is taken to be complete.
    pilots, comparators, before, after : whole number or several
        With a variation only.
    estimator : Estimator, optional
        By default ``DiD()``.
    inference : Inference, optional
        By default ``ClusterRobust("CR2")``; with matched sets one that exists for them must be
        named, such as ``Jackknife()``.
    variation : Variation, optional
        With a design, by default ``Variation.of(design, metric)``.
    replications : int, default 500
        Panels, at least 20. The error of a power of .8 is .018 with 500.
    seed : int, default 0
        The same seed gives the same panels.
    effects : sequence of float, optional
        Sizes at which to tell the power, each in both directions; 0 is always among them.
    base : float, optional
        With a variation: level of the outcome, for percentages.

    Returns
    -------
    Power
        ``facts["size"]``: share rejected with no effect; ``facts["replications"]``.

    Raises
    ------
    InferenceError
        If an effect added to the pilots' cells does not shift estimate and interval by itself
        (looked at on the first panel), if there is no interval, or a number is out of range.
    DidkitError
        What the estimator or the inference refuses.

    Notes
    -----
    Comparators that a design chose by its data are held as they are, not chosen again. The
    noise is normal and alike in all units: real skewness is in `resampled`.

    Examples
    --------
    >>> from didkit.check import DetectableEffect
    >>> made = DetectableEffect().simulated(
    ...     Variation(between=5, within=1),
    ...     pilots=6,
    ...     comparators=20,
    ...     before=3,
    ...     after=2,
    ...     replications=20,
    ...     seed=1,
    ... )
    >>> 0.5 < made.facts["detectable"] < 3
    True
    """
    check_seed(seed, replications, name="replications", least=20)
    given = check_effects(effects)
    fitted = DiD() if estimator is None else estimator
    sure = ClusterRobust("CR2") if inference is None else inference
    numbers = {"pilots": pilots, "comparators": comparators, "before": before, "after": after}
    noise, plans = _plans(source, metric, variation, numbers, base)
    level = plans[0].base
    parts, sizes_found = [], []
    for i, plan in enumerate(plans):
        rng = np.random.default_rng([seed, i])
        intervals = _intervals(self, plan, noise, fitted, sure, replications, rng)
        parts.append(_rows(self, plan.size, intervals, given))
        sizes_found.append(_share(intervals, 0.0))
    table = laid_out(parts, level)
    kind = source.panel.metric(plans[0].metric.name) if isinstance(source, Design) else None
    size = sizes_found[0]
    made = Power(
        check=self,
        how="simulated",
        question=QUESTION,
        headline="",
        table=table,
        facts={
            **summed_up(self, table, level),
            "size": size,
            "replications": float(replications),
        },
        notes=(
            f"{type(fitted).__name__} with {sure!r} on {replications:,} panels with no effect, "
            f"seed {seed}; normal noise, the same in all units",
            f"standard deviation between units {noise.between:.4g}, within {noise.within:.4g}, "
            f"AR1 {noise.ar1:.3g} (ICC {noise.icc:.2f})",
            f"with no effect {size:.1%} of the panels were rejected "
            f"(± {np.sqrt(size * (1 - size) / replications):.1%}) at {1 - self.level:.3g}",
            *(("comparators are held as they are",) if isinstance(source, Design) else ()),
        ),
        metric=kind,
    )
    return replace(made, headline=headline(self, made.designs(), kind, table=table))


def _plans(
    source: object,
    metric: str | Metric | None,
    variation: Variation | None,
    numbers: dict[str, Counts | None],
    base: float | None,
) -> tuple[Variation, list[_Plan]]:
    """Return the noise and the designs to be filled with it."""
    given = [name for name, value in numbers.items() if value is not None]
    if isinstance(source, Design):
        if metric is None or given or base is not None:
            raise InferenceError(
                needed="a metric with a design, and neither numbers of its own nor base=",
                found=f"metric={metric!r}" + "".join(f", {name}=" for name in given),
                where="DetectableEffect.simulated",
                todo="edit the design, or give a Variation with pilots=, comparators=, before=, "
                "after=",
            )
        kind = source.panel.metric(metric)
        noise = Variation.of(source, kind) if variation is None else variation
        return noise, [_of_design(source, kind)]
    missing = [name for name in numbers if name not in given]
    known = base is None or (is_number(base) and 0 < abs(base) < np.inf)
    if not isinstance(source, Variation) or metric is not None or variation is not None:
        found = kind_of(source) + ("" if metric is None else f", metric={metric!r}")
    elif missing:
        found = "a variation without " + ", ".join(f"{name}=" for name in missing)
    elif not known:
        found = f"base={base!r}"
    else:
        level = float("nan") if base is None else float(base)
        return source, [_of_numbers(size, level) for size in _all(numbers)]
    raise InferenceError(
        needed="a Variation with pilots=, comparators=, before= and after=, or a design and a "
        "metric",
        found=found,
        where="DetectableEffect.simulated",
        todo="for example simulated(Variation.from_icc(20, 0.7), pilots=9, comparators=140, "
        "before=5, after=3)",
    )


def _all(numbers: dict[str, Counts | None]) -> list[Size]:
    """Return every combination of whole numbers."""
    found = sizes(*(1 if value is None else value for value in numbers.values()))
    if any(size.comparators % 1 for size in found):
        raise InferenceError(
            needed="a whole number of comparators: they are simulated one by one",
            found=f"comparators={found[0].comparators!r}",
            where="DetectableEffect.simulated",
            todo="round it, or use expected()",
        )
    return found


def _of_numbers(size: Size, base: float) -> _Plan:
    """Make a design of one pool and one start, its cells still zero."""
    n, n_periods = size.pilots + int(size.comparators), size.before + size.after
    units = [f"unit {i + 1:05d}" for i in range(n)]
    metric = Metric(name="outcome", label="Outcome")
    zero = np.zeros((n, n_periods))
    panel = Panel(
        units=pd.DataFrame({"name": units}, index=pd.Index(units, name="unit")),
        calendar=Calendar(tuple(f"period {t + 1}" for t in range(n_periods)), "declared"),
        metrics={metric.name: metric},
        cells={metric.name: _cells(zero)},
        sources={metric.name: (Source("simulated"),)},
        identity="any",
    )
    rollout = Rollout(dict.fromkeys(units[: size.pilots], f"period {size.before + 1}"))
    design = Design(panel, rollout, against=Pool(), selection="random")
    return _Plan(size, design, metric, np.ones_like(zero, dtype=bool), base)


def _of_design(design: Design, kind: Metric) -> _Plan:
    """Take a design with its gaps; its metric may be negative when refilled."""
    there = np.isfinite(design.panel.cells(kind).value)
    some, empty = there.any(axis=1), np.asarray(~there.any(axis=0))
    there[np.ix_(some, empty)] = True
    n_before, n_after, _ = window_of(design)
    comparators = [unit for unit in design.comparators if unit not in design.starts]
    size = Size(len(design.pilots), len(comparators), n_before, n_after)
    metric = replace(kind, kind="value", decimals=None)
    return _Plan(size, design, metric, there, level_before(design, kind))


def _cells(values: Floats) -> Cells:
    """Cells known exactly; NaN is not available."""
    status = np.where(np.isfinite(values), Status.OBSERVED, Status.NOT_AVAILABLE).astype(np.int8)
    return Cells(values, status, values, values)


def _filled(plan: _Plan, values: Floats) -> Design:
    """Return the plan's design with these cells, its comparators as they are."""
    panel = plan.design.panel.refilled(plan.metric, np.where(plan.there, values, np.nan))
    return plan.design.on_panel(panel)


def _drawn(plan: _Plan, noise: Variation, rng: np.random.Generator) -> Floats:
    """Draw the cells of every unit: a lasting level and an AR1, from its stationary start."""
    n, n_periods = plan.there.shape
    root = np.linalg.cholesky(noise.covariance(n_periods))
    level = noise.between * rng.standard_normal((n, 1))
    made: Floats = level + rng.standard_normal((n, n_periods)) @ root.T
    return made + (plan.base if np.isfinite(plan.base) else 0.0)


def _intervals(
    check: DetectableEffect,
    plan: _Plan,
    noise: Variation,
    estimator: Estimator,
    inference: Inference,
    replications: int,
    rng: np.random.Generator,
) -> Floats:
    """Return the interval of the main term in each panel (replications × 2)."""

    def fit(values: Floats) -> tuple[float, float, float]:
        design = _filled(plan, values)
        return _interval(estimator.fit(design, plan.metric.name), inference, check.level)

    found = np.empty((replications, 2))
    for i in steps(range(replications), "simulating panels"):
        values = _drawn(plan, noise, rng)
        estimate, *found[i] = fit(values)
        if i == 0:
            unit = float(np.sqrt(noise.between**2 + noise.within**2))
            _refuse_unless_shifted(plan, fit, values, (estimate, *found[0]), unit, estimator)
    return found


def _interval(estimate: Estimate, inference: Inference, level: float) -> tuple[float, float, float]:
    """Return the main term with its interval."""
    sure = estimate.infer(inference, level=level).attached
    m = list(estimate.terms["term"]).index(estimate.main_term)
    found = float(estimate.values[m]), float(sure.conf_low[m]), float(sure.conf_high[m])
    if np.isnan(found).any():
        raise InferenceError(
            needed="an estimate with an interval for its main term",
            found=f"none for {estimate.main_term!r} by {sure.method}",
            where="DetectableEffect.simulated",
            todo="choose another inference=",
        )
    return found


def _refuse_unless_shifted(
    plan: _Plan,
    fit: Callable[[Floats], tuple[float, float, float]],
    values: Floats,
    found: tuple[float, ...],
    effect: float,
    estimator: Estimator,
) -> None:
    """Refuse a procedure that an effect does not shift by itself: one panel, both directions."""
    panel, design = plan.design.panel, plan.design
    at = {unit: i for i, unit in enumerate(panel.unit_ids)}
    treated = np.zeros(values.shape)
    for unit, start in design.starts.items():
        treated[at[unit], panel.calendar.position(start) :] = 1.0
    for shift in (effect, -effect):
        moved = np.array(fit(values + shift * treated)) - shift
        with np.errstate(invalid="ignore"):
            apart = np.abs(moved - np.array(found))
        same = (moved == np.array(found)) | (apart <= _SAME * (effect + np.abs(found)))
        if not same.all():
            which = ("estimate", "lower end", "upper end")[int(np.argmin(same))]
            raise InferenceError(
                needed="an estimator and inference that an effect in the pilots shifts by itself",
                found=f"an effect of {shift:.4g} moved the {which} by "
                f"{moved[int(np.argmin(same))] - found[int(np.argmin(same))] + shift:.4g}",
                where=f"DetectableEffect.simulated, {type(estimator).__name__}",
                todo="one set of panels cannot give its power at every effect; simulate panels "
                "with each effect, and count",
            )


def _share(intervals: Floats, effect: float) -> float:
    """Share of the intervals that exclude 0 when shifted by the effect."""
    low, high = intervals.T + effect
    return float(((low > 0) | (high < 0)).mean())


def _rows(
    check: DetectableEffect, size: Size, intervals: Floats, given: Floats | None
) -> pd.DataFrame:
    """Return the curve of one design."""
    ends = np.abs(intervals[np.isfinite(intervals)])
    unit = float(np.median(ends)) if len(ends) else 1.0
    detectable = {
        sign: smallest(lambda x, s=sign: _share(intervals, s * x), check.power, unit / 8)  # type: ignore[misc]
        for sign in (-1.0, 1.0)
    }
    return curve_rows(
        size,
        detectable,
        lambda effect: _share(intervals, effect),
        len(intervals),
        given,
        unit,
    )
