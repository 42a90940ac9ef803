"""Breakdown: how noisy the pilots, or how large one shock, for the conclusion to change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from didkit.check.shifts import least_shocks
from didkit.errors import DidkitError, InferenceError, is_number
from didkit.inference import DonaldLang
from didkit.inference.lau_li import breakdown_ratio
from didkit.inference.samples import TwoSamples, two_samples
from didkit.inference.student import t_quantile
from didkit.results import Estimate, Finding, tables
from didkit.results.tables import signed

__all__ = ["Breakdown", "noise_ratio", "pooled_shocks"]

Floats = np.ndarray
_SHOCK = "shock of one site"
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
        To how much of itself a shock is found, where it is searched for.

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
    conclusion is sought. A shift spreads the numbers too, so it may not exist. Where comparators
    are matched on what came before, or weighted, their weights stay. How it is sought depends on
    the inference, and the notes say which way was taken:

    * `DonaldLang`: the root of a quadratic, without a refit;
    * `Permutation`: each draw's estimate is linear in the shift and its variance quadratic, so that
      the same draws at two shifts give the test of zero at all of them. About .5 s a site with
      9,999 draws and 74 units; tries a grid of shifts (multiples of the one that would do if the
      interval kept its length, from .02 to 20, and the one at which the pooled t is largest), then
      halves: a window narrower than a step of the grid can be missed;
    * an interval whose middle is linear in the shift and whose squared length is quadratic
      (`ClusterRobust`, `Jackknife`, `LauLi`; `FermanPinto` and `ConleyTaber` for pilots): the root
      of a quadratic from three refits, believed if it foretells a fourth;
    * any other: a refit a step, some 30 a site, on a coarser grid; a method with more than 499
      draws searches with 499, and finds the shift again near by with all (`WildBootstrap`: 4 s a
      site).

    Each shift found by a law is confirmed by a refit with the inference itself.

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
            standard deviations), or a single row without a site where none of them has one. Facts
            ``ratio_needed, ratio_observed, smallest_shock,
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
            sought = least_shocks(asked, m, wanted, tolerance=self.tolerance)
            shocks, refits = sought.values, sought.refits
            notes += sought.notes
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
            headline=_headline(asked, m, first, sd, (needed, observed), outside),
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
            cannot_show="how likely such noise or such a shock is, or a shock to several sites at "
            "once",
        )

    def _with_level(self, estimate: Estimate) -> Estimate:
        """Return the estimate with its own inference at the level asked for."""
        sure = estimate.attached
        if self.level is None or self.level == sure.level:
            return estimate
        return estimate.infer(sure.inference, level=self.level)


def noise_ratio(both: TwoSamples | None, level: float) -> tuple[float, float]:
    """Return ρ* of `LauLi`, at which zero is an end of its interval, and the ratio seen.

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
    >>> one_start = design.drop("522")
    >>> both = two_samples(dk.DiD("complete").fit(one_start, "cla"), 0, "an example")
    >>> noise_ratio(both, 0.5)[0] > noise_ratio(both, 0.8)[0]
    True
    """
    if both is None:
        return float("nan"), float("nan")
    needed = breakdown_ratio(both, level)
    if np.isnan(needed):
        return needed, needed
    return needed, _sd(both.pilots) / _sd(both.comparators)


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


def _numbers(estimate: Estimate, m: int) -> tuple[TwoSamples | None, list[str]]:
    """Return one number a unit, or None and why there is none."""
    try:
        both = two_samples(estimate, m, "Breakdown")
    except DidkitError as error:
        why = f"no ratio of noise: needed {error.needed}, found {error.found}"
        return None, [f"{why}; {_instead(estimate)}"]
    if len(both.pilots) < 2:
        return both, ["one pilot: how noisy it looks cannot be seen"]
    return both, []


def _instead(estimate: Estimate) -> str:
    """Say which estimate has a ratio of noise."""
    if estimate.sample.clustered_above:
        return "a design without clusters= has one"
    if estimate.sample.sets is not None:
        return "DiD('complete') against one pool (against=Pool(…)) has one"
    starts = len(set(estimate.sample.starts))
    pilots = " of the pilots of one start (design.drop(unit) leaves one out)" if starts > 1 else ""
    return f"DiD('complete') on a design{pilots} has one"


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
        ("noise needed", "", "", "", needed, _RATIO, _ratio_means(needed, _instead(estimate))),
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
    if len(wanted) > 1 and np.isinf(shocks).all():  # one row says it, not one a site
        none = f"no shift of any one of {_whose(estimate, wanted)} alone was found that puts"
        rows.append((_SHOCK, "", "", "", np.inf, unit, f"{none} zero {to} the interval"))
        wanted = wanted[:0]
        shocks = shocks[:0]
    for j, shock in zip(wanted.tolist(), shocks.tolist(), strict=True):
        name = sample.names[j]
        rows.append(
            (
                _SHOCK,
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


def _whose(estimate: Estimate, wanted: np.ndarray) -> str:
    """Count the sites whose shock was looked for, in words."""
    pilots = int(estimate.sample.pilot[wanted].sum())
    if pilots in (0, len(wanted)):
        return f"{len(wanted)} {'pilots' if pilots else 'comparators'}"
    return f"{len(wanted)} sites"


def _ratio_means(needed: float, instead: str) -> str:
    if np.isnan(needed):
        return f"not defined for this estimate: {instead}"
    if needed == 0:
        return "zero is inside even if the pilots had no noise of their own"
    return f"zero is outside while pilots are less than {tables.number(needed)} times as noisy"


def _headline(
    estimate: Estimate,
    m: int,
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
        if np.isinf(estimate.attached.conf_low[m]) or np.isinf(estimate.attached.conf_high[m]):
            said += " (the interval has no end at this level)"
    else:
        size = abs(float(first["value"]))
        by = f" ({tables.number(size / sd)} standard deviations of comparators)" if sd > 0 else ""
        said = (
            f"{begin}; {tables.with_unit(signed(float(first['value'])), estimate.metric)} in "
            f"{first['name']} alone{by} puts it {then}"
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
