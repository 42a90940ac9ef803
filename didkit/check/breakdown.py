"""Breakdown: how noisy the pilots, or how large one shock, for the conclusion to change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from didkit.errors import DidkitError, EstimationError, InferenceError, is_number
from didkit.inference import DonaldLang
from didkit.inference.samples import TwoSamples, two_samples
from didkit.inference.student import t_quantile
from didkit.progress import steps
from didkit.results import Estimate, Finding, tables
from didkit.results.tables import signed

__all__ = ["Breakdown", "least_shocks", "noise_ratio", "pooled_shocks"]

Floats = np.ndarray
_GRID = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0)
_RATIO = "pilots' sd / comparators' sd"


@dataclass(frozen=True)
class Breakdown:
    """How much noise, or how large one site's shock, the conclusion could bear.

    The conclusion is whether zero lies inside the interval of the estimate's own inference.

    Parameters
    ----------
    level : float, optional
        Of the interval; by default that of the estimate's inference.
    units : {"pilots", "comparators", "all"}
        Whose shock is looked for, one site at a time.
    tolerance : float, default 0.01
        To how much of itself a shock is found.

    Notes
    -----
    **Noise.** T is the estimate over the comparators' standard deviation S0, m their number, n1
    that of the pilots. With pilots ρ times as noisy as comparators, zero is outside the interval
    when ``|T| > sqrt(ρ²/n1 + 1/m) t(m − 1, 1 − α/2)``; the ratio at which that changes is
    ``ρ* = sqrt(n1 max(0, (T/t)² − 1/m))`` (Lau & Li 2025 for one pilot; for several
    as in `LauLi`). It is exact for normal comparators of one variance and far from it with unequal
    ones, and asks another question than the estimate's own inference, so the two need not agree.

    **Shock.** One site's cells from the start on are shifted by the same amount, the panel is
    fitted and inferred again, and the smallest shift in either direction that changes the
    conclusion is sought on a grid (multiples of the shift that would do if the interval kept its
    length, and the shift at which the pooled t is largest), then by bisection. A shift spreads the
    numbers too, so it may not exist; a window of shifts narrower than a step of the grid can be
    missed. After `DonaldLang` it is the root of a quadratic, without a refit. Where comparators
    are matched on what came before, or weighted, their weights stay.

    References
    ----------
    Lau & Li (2025), algorithm 3.1, for one pilot.

    Examples
    --------
    >>> import pandas as pd
    >>> import didkit as dk
    >>> before, after = {"A": 50, "B": 51, "C": 50, "D": 49}, {"A": 71, "B": 73, "C": 52, "D": 50}
    >>> frame = pd.DataFrame({"site": [*"ABCD"] * 2, "year": [2018] * 4 + [2019] * 4})
    >>> frame["wai"] = [*before.values(), *after.values()]
    >>> panel = dk.Panel.from_frame(
    ...     frame, unit="site", period="year", metrics=["wai"], identity="any"
    ... )
    >>> rollout = dk.Rollout({"A": 2019, "B": 2019})
    >>> design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    >>> did = dk.DiD().fit(design, "wai").infer(dk.ClusterRobust("CR2"))
    >>> found = did.check(dk.Breakdown())
    >>> found.tidy()["name"].tolist()
    ['', '', 'A', 'B']
    """

    level: float | None = None
    units: Literal["pilots", "comparators", "all"] = field(default="pilots", kw_only=True)
    tolerance: float = field(default=0.01, kw_only=True)

    def __post_init__(self) -> None:
        level_fits = self.level is None or (is_number(self.level) and 0 < self.level < 1)
        if not level_fits or not is_number(self.tolerance) or not 0 < self.tolerance < 1:
            raise InferenceError(
                needed="a level and a tolerance between 0 and 1",
                found=f"level={self.level!r}, tolerance={self.tolerance!r}",
                where="Breakdown",
                todo="0.95 and 0.01 are usual",
            )
        if self.units not in ("pilots", "comparators", "all"):
            raise InferenceError(
                needed="units='pilots', 'comparators' or 'all'",
                found=repr(self.units),
                where="Breakdown(units=)",
                todo="choose one",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Measure both for the main term.

        Returns
        -------
        Finding
            Table ``question, unit_id, name, arm, value, unit, in_sds, means``: two rows on noise,
            then one a site with the shift (∞ where none was found; `in_sds`: in the comparators'
            standard deviations). Facts ``ratio_needed, ratio_observed, smallest_shock,
            smallest_in_sds, zero_outside, level, refits``.

        Raises
        ------
        InferenceError
            If the estimate has no interval to start from.
        """
        asked = self._with_level(estimate)
        sure = asked.attached
        m = asked.place_of(None, where="Breakdown")
        low, high = float(sure.conf_low[m]), float(sure.conf_high[m])
        if np.isnan(low) or np.isnan(high):
            raise InferenceError(
                needed="an interval of the main term",
                found=f"none by {sure.method}",
                where="Breakdown",
                todo="infer first with a method that this design allows: see inference_table()",
            )
        both, notes = _numbers(asked, m)
        needed, observed = noise_ratio(both, sure.level)
        sd = _spread(asked, m)
        chosen = asked.sample.pilot if self.units == "pilots" else ~asked.sample.pilot
        wanted = np.flatnonzero(chosen | (self.units == "all"))
        if isinstance(sure.inference, DonaldLang) and both is not None:
            at = np.concatenate([both.pilot_at, both.comparator_at])
            exact = dict(zip(at.tolist(), pooled_shocks(both, sure.level), strict=True))
            shocks, refits = np.array([exact.get(j, np.inf) for j in wanted.tolist()]), 0
            notes.append("shocks: exact, the roots of a quadratic of the pooled t")
        else:
            shocks, refits = least_shocks(asked, m, wanted, tolerance=self.tolerance)
            notes.append(
                f"shocks: {refits} refits, each inferred by {sure.method}; the smallest shift of "
                f"either sign, to {self.tolerance:.0%} of itself"
            )
        outside = not low <= 0 <= high
        table = _table(asked, (needed, observed), wanted, shocks, sd, outside)
        sites = table[table["unit_id"] != ""]
        order = np.lexsort((sites["unit_id"], sites["value"].abs()))
        first = sites.iloc[order[0]] if len(sites) else None
        smallest = np.inf if first is None else float(first["value"])
        return Finding(
            check=self,
            estimate=asked,
            question="How noisy would the pilots have to be, or how large one site's shock, for "
            "the conclusion to change?",
            headline=_headline(asked, first, sd, (needed, observed), outside),
            table=table,
            facts={
                "ratio_needed": needed,
                "ratio_observed": observed,
                "smallest_shock": smallest,
                "smallest_in_sds": abs(smallest) / sd if sd > 0 else float("nan"),
                "zero_outside": float(outside),
                "level": float(sure.level),
                "refits": float(refits),
            },
            notes=tuple(notes),
        )

    def _with_level(self, estimate: Estimate) -> Estimate:
        """Return the estimate with its own inference at the level asked for."""
        sure = estimate.attached
        if self.level is None or self.level == sure.level:
            return estimate
        return estimate.infer(sure.inference, level=self.level)


def noise_ratio(both: TwoSamples | None, level: float) -> tuple[float, float]:
    """Return ρ*, the ratio of standard deviations at which zero is an end of the interval.

    Parameters
    ----------
    both : TwoSamples or None
        One number a unit; None: there are none.
    level : float
        Of the interval.

    Returns
    -------
    (float, float)
        Needed and observed ratio of the pilots' standard deviation to the comparators'; NaN where
        there are fewer than two units, or the comparators do not differ.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> both = two_samples(dk.DiD("complete").fit(design, "cla"), 0, "an example")
    >>> noise_ratio(both, 0.5)[0] > noise_ratio(both, 0.8)[0]
    True
    """
    if both is None:
        return float("nan"), float("nan")
    spread = _sd(both.comparators)
    if not spread > 0:
        return float("nan"), float("nan")
    n1, m = len(both.pilots), len(both.comparators)
    statistic = (both.pilots.mean() - both.comparators.mean()) / spread
    limit = float(t_quantile((1 + level) / 2, np.array([m - 1.0]))[0])
    needed = float(np.sqrt(n1 * max(0.0, (statistic / limit) ** 2 - 1 / m)))
    return needed, _sd(both.pilots) / spread


def pooled_shocks(both: TwoSamples, level: float) -> Floats:
    """Return for each unit the smallest shift at which zero is an end of the pooled t's interval.

    With c the difference, S the sum of squares within the arms, e the unit's distance from its
    arm's mean, n its arm's number and q = t² (1/n1 + 1/n0) / df, a shift x of a pilot gives
    ``(c + x/n)² = q (S + 2 x e + x² (n − 1)/n)``; for a comparator c has the other sign.

    Parameters
    ----------
    both : TwoSamples
        One number a unit, together at least three.
    level : float
        Of the interval.

    Returns
    -------
    array (n1 + n0,)
        Pilots, then comparators, signed, in the metric's unit; ∞ where there is no such shift.

    Examples
    --------
    >>> at = np.arange(2)
    >>> far = TwoSamples(np.array([50.0, 52.0]), np.array([0.0, 1.0]), at, at)
    >>> pooled_shocks(far, 0.95).round(1).tolist()
    [-17.4, -20.6, 19.8, 18.2]
    """
    arms = (both.pilots, both.comparators)
    c = float(both.pilots.mean() - both.comparators.mean())
    within = sum(float(((arm - arm.mean()) ** 2).sum()) for arm in arms)
    df = len(arms[0]) + len(arms[1]) - 2
    limit = float(t_quantile((1 + level) / 2, np.array([float(df)]))[0])
    q = limit**2 * (1 / len(arms[0]) + 1 / len(arms[1])) / df
    found: list[float] = []
    for arm, sign in zip(arms, (1, -1), strict=True):
        n = len(arm)
        for e in arm - arm.mean():
            square, line = 1 / n**2 - q * (n - 1) / n, 2 * (sign * c / n - q * e)
            inner = line**2 - 4 * square * (c**2 - q * within)
            if inner < 0:
                found.append(np.inf)
                continue
            roots = np.roots([square, line, c**2 - q * within]).real
            found.append(float(roots[np.argmin(np.abs(roots))]) if len(roots) else np.inf)
    return np.array(found)


def least_shocks(
    estimate: Estimate, m: int, wanted: np.ndarray, *, tolerance: float = 0.01
) -> tuple[Floats, int]:
    """Find for each unit the smallest shift that changes whether zero is inside the interval.

    Parameters
    ----------
    estimate : Estimate
        With its inference.
    m : int
        Which term.
    wanted : int array
        Positions of the units in the sample.
    tolerance : float, default 0.01
        To how much of itself a shift is found.

    Returns
    -------
    (array, int)
        Signed shifts in the metric's unit, ∞ where none was found; and how many refits it took.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cla").infer(dk.ClusterRobust("CR2"))
    >>> one = np.flatnonzero(did.sample.pilot)[:1]
    >>> shocks, refits = least_shocks(did, 0, one, tolerance=0.5)
    >>> len(shocks), refits > 0
    (1, True)
    """
    sure, sample = estimate.attached, estimate.sample
    low, high = float(sure.conf_low[m]), float(sure.conf_high[m])
    near = min(abs(low), abs(high))
    found = np.full(len(wanted), np.inf)
    if near == 0 or np.isinf(near):  # at an end already; or an interval without any end
        return (found if near else np.zeros(len(wanted))), 0
    shifted = _Shifted(estimate, m)
    largest = _largest_t(estimate, m)
    n1, n0 = (int(estimate.terms[f"n_{arm}"].iloc[m]) for arm in ("pilots", "comparators"))
    for i, j in enumerate(steps(wanted.tolist(), "shifting one site at a time")):
        unit = near * (n1 if sample.pilot[j] else n0)
        kept = 0.0
        for size in _sizes(unit, float(largest[j])):
            both = [s for s in (1, -1) if shifted.outside(j, s * size * unit) != shifted.first]
            if both:
                edges = [_edge(shifted, j, s * unit, kept, size, tolerance) for s in both]
                found[i] = min(edges, key=abs)
                break
            kept = size
    return found, shifted.count


def _sizes(unit: float, largest: float) -> list[float]:
    """Return the steps outward, in units, by way of the largest t."""
    extra = [abs(largest) / unit] if np.isfinite(largest) else []
    return sorted({*_GRID, *extra} - {0.0})


def _edge(
    shifted: _Shifted, j: int, unit: float, kept: float, changed: float, tolerance: float
) -> float:
    """Halve the stretch between a shift that keeps the conclusion and one that changes it."""
    while changed - kept > tolerance * changed:
        middle = (kept + changed) / 2
        if shifted.outside(j, middle * unit) == shifted.first:
            kept = middle
        else:
            changed = middle
    return changed * unit


def _largest_t(estimate: Estimate, m: int) -> Floats:
    """Return for each unit the shift at which the pooled t is largest; NaN where not defined.

    In the notation of `pooled_shocks` the square of t is in proportion to ``(c + x/n)² / (S + 2 x e
    + x² (n − 1)/n)``, whose only maximum is at ``x = (S/n − c e) / (c (n − 1)/n − e/n)``.
    """
    made = np.full(len(estimate.sample.units), np.nan)
    if estimate.contributions is None:
        return made
    numbers, pilot = estimate.contributions[:, m], estimate.sample.pilot
    used = np.isfinite(numbers)
    arms = [np.flatnonzero(used & pilot), np.flatnonzero(used & ~pilot)]
    if not all(len(arm) for arm in arms):
        return made
    c = float(numbers[arms[0]].mean() - numbers[arms[1]].mean())
    within = sum(float(((numbers[arm] - numbers[arm].mean()) ** 2).sum()) for arm in arms)
    for arm, sign in zip(arms, (1, -1), strict=True):
        n, e = len(arm), numbers[arm] - numbers[arm].mean()
        slope = sign * c * (n - 1) / n - e / n
        top = within / n - sign * c * e
        made[arm] = np.divide(top, slope, out=np.full(n, np.nan), where=slope != 0)
    return made


class _Shifted:
    """The estimate and its inference with one unit's cells from the start on shifted."""

    def __init__(self, estimate: Estimate, m: int) -> None:
        self.estimate, self.m, self.count = estimate, m, 0
        sample, panel = estimate.sample, estimate.design.panel
        sure = estimate.attached
        self.first = not sure.conf_low[m] <= 0 <= sure.conf_high[m]
        self.values = panel.cells(estimate.metric).value
        first = np.full(len(sample.units), min(sample.starts))
        first[sample.pilot] = np.array(sample.starts)[sample.cohort[sample.pilot]]
        self.rows = [panel.unit_ids.index(unit) for unit in sample.units]
        at = [panel.calendar.position(label) for label in sample.periods]
        self.columns = [at[start:] for start in first.tolist()]

    def outside(self, j: int, shift: float) -> bool:
        """Whether zero is outside the interval after the shift; False where there is none."""
        self.count += 1
        estimate, moved = self.estimate, self.values.copy()
        moved[self.rows[j], self.columns[j]] += shift
        panel = estimate.design.panel.refilled(replace(estimate.metric, kind="value"), moved)
        try:
            refit = estimate.refit(estimate.design.on_panel(panel))
            sure = refit.infer(estimate.attached.inference, level=estimate.attached.level).attached
        except (EstimationError, InferenceError):
            return False
        low, high = float(sure.conf_low[self.m]), float(sure.conf_high[self.m])
        return low > 0 or high < 0


def _numbers(estimate: Estimate, m: int) -> tuple[TwoSamples | None, list[str]]:
    """Return one number a unit, or None and why there is none."""
    try:
        both = two_samples(estimate, m, "Breakdown")
    except DidkitError as error:
        return None, [f"no ratio of noise: needed {error.needed}, found {error.found}"]
    if len(both.pilots) < 2:
        return both, ["one pilot: how noisy it looks cannot be seen"]
    return both, []


def _table(
    estimate: Estimate,
    ratios: tuple[float, float],
    wanted: np.ndarray,
    shocks: Floats,
    sd: float,
    outside: bool,
) -> pd.DataFrame:
    """Lay the answers out, each with what it means."""
    sample = estimate.sample
    unit = estimate.metric.unit or "units of the metric"
    to = "inside" if outside else "outside"
    needed, observed = ratios
    rows = [
        ("noise needed", "", "", "", needed, _RATIO, _ratio_means(needed)),
        (
            "noise observed",
            *("", "", ""),
            observed,
            _RATIO,
            "cannot be seen"
            if np.isnan(observed)
            else f"the pilots look {tables.number(observed)} times as noisy as comparators",
        ),
    ]
    for j, shock in zip(wanted.tolist(), shocks.tolist(), strict=True):
        name = sample.names[j]
        rows.append(
            (
                "shock of one site",
                sample.units[j],
                name,
                "pilot" if sample.pilot[j] else "comparator",
                shock,
                unit,
                f"no shift of {name} alone was found that puts zero {to} the interval"
                if np.isinf(shock)
                else f"with {name} {signed(shock)} from the start on, zero is {to} the interval",
            )
        )
    made = pd.DataFrame(
        rows, columns=["question", "unit_id", "name", "arm", "value", "unit", "means"]
    )
    size = made["value"].abs() / sd if sd > 0 else np.nan
    made.insert(6, "in_sds", np.where(made["unit_id"] != "", size, np.nan))
    return made


def _ratio_means(needed: float) -> str:
    if np.isnan(needed):
        return "not defined for this estimate"
    if needed == 0:
        return "zero is inside even if the pilots had no noise of their own"
    return f"zero is outside while pilots are less than {tables.number(needed)} times as noisy"


def _headline(
    estimate: Estimate,
    first: pd.Series | None,
    sd: float,
    ratios: tuple[float, float],
    outside: bool,
) -> str:
    """Say where zero is, what one site could do, and what noise could."""
    now, then = ("outside", "inside") if outside else ("inside", "outside")
    begin = f"Zero is {now} the interval"
    if first is None or np.isinf(first["value"]):
        said = f"{begin}, and no shift of one site alone was found that puts it {then}"
    else:
        size = abs(float(first["value"]))
        by = f" ({tables.number(size / sd)} standard deviations of comparators)" if sd > 0 else ""
        said = (
            f"{begin}; {signed(float(first['value']))} in {first['name']} alone{by} puts it {then}"
        )
    needed, observed = ratios
    if np.isnan(needed):
        return f"{said}."
    if needed == 0:
        return f"{said}. By Lau and Li's formula it is inside however quiet the pilots are."
    seen = "" if np.isnan(observed) else f"; they look {tables.number(observed)} times as noisy"
    return (
        f"{said}. By Lau and Li's formula it is outside while pilots are less than "
        f"{tables.number(needed)} times as noisy as comparators{seen}."
    )


def _spread(estimate: Estimate, m: int) -> float:
    """Standard deviation of the comparators' numbers; NaN where there is none."""
    if estimate.contributions is None:
        return float("nan")
    theirs = estimate.contributions[~estimate.sample.pilot, m]
    return _sd(theirs[np.isfinite(theirs)])


def _sd(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")
