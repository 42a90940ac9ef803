"""Power from real pre-periods: placebo pilots with a placebo start, thousands of times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

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
from didkit.design import Design, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD
from didkit.inference.assignments import assignments
from didkit.inference.invert import TIES
from didkit.panel import Metric
from didkit.progress import steps
from didkit.results import Draws

if TYPE_CHECKING:
    from didkit.check.detectable_effect import DetectableEffect
    from didkit.results import Estimate, Estimator

__all__ = ["resampled"]

Floats = NDArray[np.float64]
_ACTUAL = 10  # sets of pilots that carry the effect in the permutation's null distribution


def resampled(
    self: DetectableEffect,
    design: Design,
    metric: str | Metric,
    *,
    pilots: Counts | None = None,
    before: Counts | None = None,
    after: Counts | None = None,
    draws: int = 10_000,
    seed: int = 0,
    statistic: Literal["t", "beta"] = "t",
    estimator: Estimator | None = None,
    include_pilots: bool = False,
    effects: Sequence[float] | None = None,
) -> Power:
    """Compute power from the real pre-periods: placebo pilots with a placebo start.

    Pilots are drawn among units that nobody treated in the window, given a start inside the
    periods before the first real one, and an effect is added to them; the share of such designs
    that a permutation test finds is the power.

    Parameters
    ----------
    design : Design
        With its window; cells from the first start on are not looked at.
    metric : str or Metric
        A metric of its panel.
    pilots : whole number or several, optional
        By default as many as the design has. All the other units are comparators.
    before, after : whole number or several, optional
        Periods of the placebo window, which ends before the first real start. By default
        the design's own periods after, at most half of those there are, and the rest before.
    draws : int, default 10,000
        Placebo designs for each number; if there are no more than this, all of them.
    seed : int, default 0
        The same seed gives the same number.
    statistic : {"t", "beta"}
        As in `Permutation`; a single pilot is ranked by the estimate.
    estimator : Estimator, optional
        One that can be refitted in bulk; by default ``DiD("complete")``: units with a gap in the
        window take no part, so it is two-way fixed effects as well.
    include_pilots : bool, default False
        Whether the real pilots, before their start, may serve as units too.
    effects : sequence of float, optional
        Sizes at which to tell the power, each in both directions; 0 is always among them.

    Returns
    -------
    Power
        Percentages are of the comparators' mean before the first start. ``facts["size"]``: share
        rejected with no effect; ``facts["least_p"]``.

    Raises
    ------
    InferenceError
        If the pre-periods are too few, units with a value in each fewer than twice the pilots,
        or the estimator cannot be refitted in bulk.

    Notes
    -----
    The critical value is that of the permutation test itself: under each effect, what the statistic
    exceeds in at most 1 − level of the assignments when pilots carry that effect; so where pilots
    are many beside the comparators, the effect in the null distribution costs power, as it does
    in the test. It is taken over ten sets of pilots.

    It keeps the real skewness, outliers, missing neighbours' likeness and serial correlation. It
    loses what differs between the real pilots and the rest, and what the coming periods bring.
    Draws overlap, for they are drawn from the same units: ``mc_error`` is that of the draws given
    these units, and more draws do not make the units more. Strata of the design are not used, nor
    its sets: placebo pilots face all the other units as one pool, and a note says so.

    References
    ----------
    Bertrand, Duflo & Mullainathan (2004), placebo interventions.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.DetectableEffect().resampled(design, "cpp", pilots=[5, 10], draws=500)
    >>> few, many = made.designs()["detectable"]
    >>> few > many
    True
    """
    check_seed(seed, draws, name="draws", least=19)
    if statistic not in ("t", "beta"):
        raise InferenceError(
            needed="statistic='t' or statistic='beta'",
            found=repr(statistic),
            where="DetectableEffect.resampled",
            todo="choose one",
        )
    given = check_effects(effects)
    kind = design.panel.metric(metric)
    fitted = DiD(cells="complete") if estimator is None else estimator
    n_pre = min(design.periods.index(start) for start in design.starts.values())
    n_after = max(1, min(window_of(design)[1], n_pre // 2)) if after is None else after
    widest = max(size.after for size in sizes(1, 1, 1, n_after))
    n_before = max(1, n_pre - widest) if before is None else before
    asked = sizes(len(design.pilots) if pilots is None else pilots, 1, n_before, n_after)
    parts, notes, facts = [], [], {}
    for i, size in enumerate(steps(asked, "placebo designs")):
        units = _units(design, kind, size, n_pre, include_pilots)
        whole = size._replace(comparators=len(units) - size.pilots)
        placebo = _Placebo(design, kind, units, whole, n_pre, fitted, statistic)
        placebo.draw(draws, np.random.default_rng([seed, i]), self.level)
        parts.append(placebo.rows(self.power, given))
        if i == 0:
            facts = {
                "size": placebo.share(0.0),
                "draws": float(placebo.n),
                "least_p": placebo.least_p,
            }
            notes.append(placebo.words(seed))
        if placebo.least_p > round(1 - self.level, 12):
            notes.append(
                f"with {_pilots(size.pilots)} among {len(units)} units the least p attainable is "
                f"{placebo.least_p:.3g}: no effect can be rejected at level {self.level:g}"
            )
    if design.sets is not None:
        notes.append("comparators as one pool; the design's own sets are not used")
    base = level_before(design, kind)
    table = laid_out(parts, base)
    made = Power(
        check=self,
        how="resampled",
        question=QUESTION,
        headline="",
        table=table,
        facts={**summed_up(self, table, base), **facts},
        notes=(
            *notes,
            "kept: the real skewness and serial correlation; lost: what sets the real pilots apart",
            "draws overlap, since all are of the same units: mc_error is that of drawing alone",
        ),
        metric=kind,
    )
    return replace(made, headline=headline(self, made.designs(), kind, table=table))


def _units(
    design: Design, kind: Metric, size: Size, n_pre: int, include_pilots: bool
) -> tuple[str, ...]:
    """Return the units with a value in every period of the placebo window, by id."""
    width = size.before + size.after
    if width > n_pre:
        raise InferenceError(
            needed="before + after periods within those before the first start",
            found=f"{size.before} + {size.after} of {n_pre} "
            f"({design.periods[0]} to {design.periods[n_pre - 1]})",
            where="DetectableEffect.resampled",
            todo="ask for fewer, widen the design's periods=, or use before(), which assumes a "
            "model for longer windows",
        )
    panel = design.panel
    place = {unit: i for i, unit in enumerate(panel.unit_ids)}
    cols = [panel.calendar.position(p) for p in design.periods[n_pre - width : n_pre]]
    free = sorted(
        set(design.comparators) - set(design.pilots)
        | (set(design.pilots) if include_pilots else set())
    )
    cells = panel.cells(kind).value[np.ix_([place[u] for u in free], cols)]
    seen = np.asarray(np.isfinite(cells).all(axis=1))
    units = tuple(unit for unit, there in zip(free, seen, strict=True) if there)
    if len(units) < max(2 * size.pilots, size.pilots + 2):
        raise InferenceError(
            needed="at least twice as many untreated units as placebo pilots, each with a value in "
            "every period of the placebo window",
            found=f"{len(units)} for {_pilots(size.pilots)}",
            where=f"DetectableEffect.resampled, metric {kind.name!r}",
            todo="ask for fewer pilots or periods, or a wider pool (design.compared_with(Pool()))",
        )
    return units


def _pilots(n: int) -> str:
    return f"{n} pilot{'s' * (n != 1)}"


class _Placebo:
    """Placebo designs of one size: their estimates and variances, and the test they face."""

    def __init__(
        self,
        design: Design,
        kind: Metric,
        units: tuple[str, ...],
        size: Size,
        n_pre: int,
        estimator: Estimator,
        statistic: str,
    ) -> None:
        self.design, self.kind, self.units, self.size = design, kind, units, size
        self.periods = design.periods[n_pre - size.before - size.after : n_pre]
        self.estimator = estimator
        self.studentised = statistic == "t" and size.pilots > 1
        total = math.comb(len(units), size.pilots)
        self.least_p = (2 if len(units) == 2 * size.pilots else 1) / total

    def draw(self, draws: int, rng: np.random.Generator, level: float) -> None:
        """Refit every placebo design, with and without an effect in some set of pilots."""
        total = math.comb(len(self.units), self.size.pilots)
        exact = total <= draws
        count = 1 if exact else min(_ACTUAL, draws // 19)
        self.parts: list[Draws] = []
        for k in range(count):
            estimate = self._fit(rng)
            if estimate.reassigned is None:
                raise InferenceError(
                    needed="an estimator that can be refitted for many assignments at once",
                    found=repr(self.estimator),
                    where="DetectableEffect.resampled",
                    todo="use DiD() or EventStudy(), or simulated(), which takes any",
                )
            self.term = list(estimate.terms["term"]).index(estimate.main_term)
            mine = draws if exact else (draws * (k + 1)) // count - (draws * k) // count
            chosen = assignments(estimate.sample, draws=mine, seed=int(rng.integers(2**32)))
            self.parts.append(estimate.reassigned(chosen.labels))
        self.b = np.concatenate([part.b[:, self.term] for part in self.parts])
        self.v = np.concatenate([part.v0[:, self.term] for part in self.parts])
        self.n, self.exact = len(self.b), exact
        if not exact:
            self.least_p = max(self.least_p, 1 / (1 + self.n))
        # p is at most alpha: of all assignments, the actual one among them, so many are as large;
        # of assignments drawn, the actual one counts beside them
        most = math.floor((1 - level) * (self.n if exact else self.n + 1) * (1 + 1e-9))
        self.never = most < 1
        self.allowed = most if exact else most - 1

    def _fit(self, rng: np.random.Generator) -> Estimate:
        """Fit the design with some pilots, drawn at random."""
        some = rng.choice(len(self.units), size=self.size.pilots, replace=False)
        chosen = {self.units[j] for j in some}
        start = self.periods[self.size.before]
        made = Design(
            self.design.panel,
            Rollout(dict.fromkeys(sorted(chosen), start)),
            against=Pool(units=tuple(u for u in self.units if u not in chosen)),
            selection="unknown",
            periods=self.periods,
        )
        return self.estimator.fit(made, self.kind.name)

    def critical(self, effect: float) -> float:
        """What the statistic must exceed when some pilots carry the effect; ∞ if nothing does."""
        if self.never:
            return float("inf")
        null = np.concatenate(
            [
                part.statistic(self.term, -effect, studentised=self.studentised)
                for part in self.parts
            ]
        )
        null[np.isnan(null)] = np.inf
        place = self.n - 1 - self.allowed
        return float(np.partition(null, place)[place])

    def share(self, effect: float) -> float:
        """Share of the placebo designs in which the effect is found."""
        top = np.abs(self.b + effect)
        if self.studentised:
            with np.errstate(divide="ignore", invalid="ignore"):
                top = top / np.sqrt(self.v)
        return float((top > self.critical(effect) * (1 + TIES)).mean())

    def rows(self, power: float, given: Floats | None) -> pd.DataFrame:
        """Return the curve."""
        unit = float(np.std(self.b)) or 1.0
        detectable = {
            sign: math.inf
            if self.never
            else smallest(lambda x, s=sign: self.share(s * x), power, unit)  # type: ignore[misc]
            for sign in (-1.0, 1.0)
        }
        n = math.inf if self.exact else self.n
        return curve_rows(self.size, detectable, self.share, n, given, unit)

    def words(self, seed: int) -> str:
        """Say what was drawn."""
        how = "all" if self.exact else f"seed {seed}"
        kind = "t" if self.studentised else "the estimate"
        return (
            f"{self.n:,} placebo designs ({how}) of {len(self.units)} untreated units, "
            f"{self.periods[0]} to {self.periods[-1]}, as if the programme had begun in "
            f"{self.periods[self.size.before]}; found by a permutation of {kind}"
        )
