"""Detectable effect: the smallest that this design could have found, or can be expected to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from didkit.check.expected import before, expected
from didkit.check.resampled import resampled
from didkit.check.simulated import simulated
from didkit.design.shown import counted
from didkit.errors import DidkitError, InferenceError, is_number
from didkit.inference import ClusterRobust, Jackknife
from didkit.inference.arms import carried_by, closed_form_df
from didkit.inference.student import t_quantile
from didkit.results import Estimate, Finding, Uncertainty, tables

__all__ = ["DetectableEffect", "never_found"]


@dataclass(frozen=True)
class DetectableEffect:
    """The effect that a two-sided test would find with the given power, on these data.

    Parameters
    ----------
    power : float, default 0.8
        Probability of finding it.
    level : float, default 0.95
        Of the interval; the test rejects at 1 − level.

    Notes
    -----
    ``(t(1−α/2, ν) + t(power, ν)) × standard error`` (Bloom 1995, with t for z), with
    the CR2 standard error and Bell–McCaffrey's ν where they exist. With one pilot there is no
    such standard error: the comparators' standard deviation of the unit's number stands for the
    pilot's, which assumes that the pilot is as noisy as they are. For estimators without
    cross-products the jackknife is used. It is computed after the data from their noise, not from
    the estimate, so it is no "observed power". ``percent`` is relative to the comparators' mean
    after the start. Where the estimate's own inference cannot reject at all (few authorities: the
    least p attainable exceeds 1 − level, or the interval has no end), no change, however large,
    would be found by it: the facts are then infinite, and the table keeps the formula's number.

    References
    ----------
    Bloom (1995).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(None)
    >>> more = did.check(dk.DetectableEffect(power=0.9)).facts["detectable"]
    >>> more > did.check(dk.DetectableEffect(power=0.8)).facts["detectable"]
    True
    """

    power: float = field(default=0.8, kw_only=True)
    level: float = field(default=0.95, kw_only=True)

    def __post_init__(self) -> None:
        if not (
            is_number(self.power)
            and is_number(self.level)
            and 0.5 <= self.power < 1
            and 0 < self.level < 1
        ):
            raise InferenceError(
                needed="a power from 0.5 to below 1 and a level between 0 and 1",
                found=f"power={self.power!r}, level={self.level!r}",
                where="DetectableEffect",
                todo="0.8 and 0.95 are usual",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Compute the smallest detectable effect of every term.

        Returns
        -------
        Finding
            Table ``term, estimate, std_error, df, detectable, percent`` (the metric's unit;
            percent of the comparators' mean after the start); facts ``detectable, percent,
            power, level`` of the main term, ∞ where the estimate's own test can never reject.

        Raises
        ------
        InferenceError
            If no standard error exists even with comparators alone.
        """
        error, df, how = _noise(estimate)
        alpha = 1 - self.level
        detectable = (t_quantile(1 - alpha / 2, df) + t_quantile(self.power, df)) * error
        base = _level_after(estimate)
        table = pd.DataFrame(
            {
                "term": list(estimate.terms["term"]),
                "estimate": estimate.values,
                "std_error": error,
                "df": df,
                "detectable": detectable,
                "percent": 100 * detectable / abs(base) if base else np.nan,
            }
        )
        m = list(table["term"]).index(estimate.main_term)
        if not np.isfinite(detectable[m]):
            raise InferenceError(
                needed="a standard error for the main term",
                found=f"none for {table['term'].iloc[m]}",
                where="DetectableEffect",
                todo="see the notes of estimate.infer(ClusterRobust('CR2'))",
            )
        never = never_found(estimate, level=self.level)
        size, percent = float(detectable[m]), float(table["percent"].iloc[m])
        return Finding(
            check=self,
            estimate=estimate,
            question="What is the smallest effect that this design could have found?",
            headline=f"{never}." if never else self._headline(estimate, size, percent),
            table=table,
            facts={
                "detectable": np.inf if never else size,
                "percent": np.inf if never else percent,
                "power": float(self.power),
                "level": float(self.level),
            },
            notes=(f"noise measured by {how}",),
            cannot_show="whether there was an effect: it is about the noise alone, and a drift of "
            "the pilots' own is no noise",
        )

    # -- before the data, each in a module of its own --------------------------------------------

    expected = expected
    before = before
    simulated = simulated
    resampled = resampled

    def _headline(self, estimate: Estimate, size: float, percent: float) -> str:
        level = f" ({percent:.0f}% of the comparators' level)" if np.isfinite(percent) else ""
        return (
            f"A change of {tables.with_unit(tables.number(size), estimate.metric)}{level} or more "
            "would probably "
            f"({self.power:.0%}) have been found, a smaller one less often."
        )


def never_found(estimate: Estimate, *, level: float = 0.95) -> str:
    """Say that the estimate's own test finds no change, however large; "" where it can.

    Parameters
    ----------
    estimate : Estimate
        With its inference; one without any has no test of its own.
    level : float, default 0.95
        The test rejects at 1 − level.

    Returns
    -------
    str
        A sentence without a full stop.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> never_found(dk.DiD().fit(design, "cpp").infer(dk.ClusterRobust("CR2")))
    ''
    """
    try:
        sure = estimate.uncertainty
    except DidkitError:  # none is recommended, or none exists
        return ""
    if sure is None:
        return ""
    m = list(estimate.terms["term"]).index(estimate.main_term)
    low, high = float(sure.conf_low[m]), float(sure.conf_high[m])
    least = sure.facts.get("least_p")
    never = isinstance(least, float) and least > round(1 - level, 12)
    endless = sure.level <= level and low <= 0 <= high  # at a higher level it is no shorter
    if never or (endless and np.isinf(low) and np.isinf(high)):
        return "No change, however large, would have been found by this test"
    if endless and (np.isinf(low) or np.isinf(high)):
        return "On one side no change, however large, would have been found by this test"
    return ""


def _noise(estimate: Estimate) -> tuple[np.ndarray, np.ndarray, str]:
    """Standard errors and degrees of freedom that do not come from a permutation."""
    n1, n0 = carried_by(estimate)
    if estimate.normal is not None and int(n1.max()) > 1 and int(n0.max()) > 1:
        sure = estimate.infer(ClusterRobust("CR2")).attached
        return sure.std_error, _degrees(sure), "CR2 with Bell–McCaffrey degrees of freedom"
    if int(n1.max()) > 1 and estimate.contributions is None:
        held = estimate.uncertainty  # it has hundreds of refits, so it is not made twice
        if held is None or held.inference != Jackknife() or np.isnan(held.std_error).all():
            held = estimate.infer(Jackknife()).attached
        return held.std_error, _degrees(held), "the cluster jackknife"
    if estimate.contributions is None or int(n0.max()) < 3:
        raise InferenceError(
            needed="a standard error, or at least three comparators with one number each",
            found=f"{counted(int(n1.max()), 'pilot')} and {counted(int(n0.max()), 'comparator')}",
            where="DetectableEffect",
            todo="use one pool of comparators",
        )
    theirs = estimate.contributions[~estimate.sample.pilot]
    spread = np.array([_sd(column[np.isfinite(column)]) for column in theirs.T])
    error = spread * np.sqrt(1 / n1 + 1 / np.maximum(n0, 1))
    return (
        error,
        closed_form_df(np.maximum(n0, 2).astype(float), np.zeros(len(n0))),
        "the comparators' standard deviation, as if pilots were as noisy",
    )


def _sd(values: np.ndarray) -> float:
    """Standard deviation; NaN for fewer than two values."""
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _degrees(sure: Uncertainty) -> np.ndarray:
    """Degrees of freedom of the terms; the normal where there are none."""
    return np.full(len(sure.std_error), np.inf) if sure.df is None else sure.df


def _level_after(estimate: Estimate) -> float:
    """Mean of the comparators' cells from the first start on."""
    sample = estimate.sample
    after = np.arange(len(sample.periods)) >= min(sample.starts)
    cells = sample.y[~sample.pilot][:, after]
    return float(np.nanmean(cells)) if np.isfinite(cells).any() else 0.0
