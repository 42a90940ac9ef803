"""Kernel: what pilots chosen for their own values would show without any effect. Arrays only.

Numbers are drawn from ``Y_it = μ_i + e_it`` (`Variation`), pilots are chosen, and each way of
comparing is applied to every draw. Pilots are chosen as the highest; the lowest is the mirror
image. `RegressionToTheMean` and ``simulate.selection_study`` share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from didkit.check.variation import Variation

__all__ = [
    "ESTIMATORS",
    "Chosen",
    "Scenario",
    "biases",
    "closed_forms",
    "compared",
    "contrasts",
    "mean_of_highest",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

#: Ways of comparing, and what they say.
ESTIMATORS = {
    "before_after_last": "before-after, from the last year",
    "before_after_mean": "before-after, from the mean before",
    "post_gap": "gap afterwards",
    "did": "DiD",
    "did_without_last": "DiD without the last year before",
    "matched_last": "DiD, matched on the last year",
    "matched_mean": "DiD, matched on the mean before",
}
_CELLS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Chosen:
    """How pilots are chosen.

    Parameters
    ----------
    by : {"random", "latest_value", "average"}
        At random, or for the highest value in the last year or on average before the start.
    strength : float, default 1
        Correlation of what the choice goes by with that value: 1 takes the highest, less mixes
        it with chance, 0 is chance. The expected distance of the chosen is proportional to it.
    lift : float, default 0
        How much higher the chosen are for good, for other reasons.
    """

    by: str = "random"
    strength: float = 1.0
    lift: float = 0.0


class Scenario(NamedTuple):
    """One selection at one strength, as it is shown; `side` is −1 where the lowest are chosen."""

    name: str
    strength: str
    way: Chosen
    side: int


def biases(
    variation: Variation,
    ways: Mapping[str, Chosen],
    *,
    n_pilots: int,
    n_comparators: int,
    n_before: int,
    n_after: int,
    ratio: int,
    draws: int,
    seed: int,
) -> dict[str, dict[str, Floats]]:
    """Draw panels and compare in every way.

    Returns
    -------
    dict
        Way of choosing → way of comparing → one number a draw. All ways see the same panels.
    """
    n_units = n_pilots + n_comparators
    rng = np.random.default_rng(seed)
    score = {
        "latest_value": np.eye(n_before)[-1],
        "average": np.full(n_before, 1 / n_before),
    }
    made: dict[str, list[dict[str, Floats]]] = {name: [] for name in ways}
    for size in _blocks(draws, n_units * (n_before + n_after)):
        y = _paths(variation, size, n_units, n_before + n_after, rng)
        luck = rng.standard_normal((size, n_units))
        for name, way in ways.items():
            key = luck
            if way.by in score:
                value = y[:, :, :n_before] @ score[way.by]
                spread = variation.variance_of(score[way.by]) ** 0.5
                key = way.strength * value / spread + (1 - way.strength**2) ** 0.5 * luck
            order = np.argpartition(-key, n_pilots - 1, axis=1)[:, :, None]
            pilots = np.take_along_axis(y, order[:, :n_pilots], axis=1) + way.lift
            others = np.take_along_axis(y, order[:, n_pilots:], axis=1)
            made[name].append(compared(pilots, others, n_before=n_before, ratio=ratio))
    return {
        name: {how: np.concatenate([one[how] for one in parts]) for how in ESTIMATORS}
        for name, parts in made.items()
    }


def compared(pilots: Floats, others: Floats, *, n_before: int, ratio: int) -> dict[str, Floats]:
    """Compare in every way.

    Parameters
    ----------
    pilots, others : array (draws, units, periods)
        Values of pilots and comparators.
    n_before : int
        Periods before the start.
    ratio : int
        Nearest comparators of each pilot, with replacement; its counterpart is their mean.
        Matching is on the level; the comparison uses all periods.

    Returns
    -------
    dict
        Way of comparing (`ESTIMATORS`) → one number a draw.
    """
    weights = contrasts(n_before, pilots.shape[2] - n_before)
    made = {name: (pilots @ w).mean(axis=1) for name, w in weights.items()}
    for name in ("post_gap", "did", "did_without_last"):
        made[name] -= (others @ weights[name]).mean(axis=1)
    change_p, change_o = pilots @ weights["did"], others @ weights["did"]
    for name, on in (
        ("matched_last", np.eye(n_before)[-1]),
        ("matched_mean", np.full(n_before, 1 / n_before)),
    ):
        near = _nearest(pilots[:, :, :n_before] @ on, others[:, :, :n_before] @ on, ratio)
        theirs = np.take_along_axis(change_o[:, None, :], near, axis=2).mean(axis=2)
        made[name] = (change_p - theirs).mean(axis=1)
    return {name: made[name] for name in ESTIMATORS}


def contrasts(n_before: int, n_after: int) -> dict[str, Floats]:
    """Give the weights of a unit's periods in each comparison that does not match."""
    after = np.concatenate([np.zeros(n_before), np.full(n_after, 1 / n_after)])
    last = np.eye(n_before + n_after)[n_before - 1]
    mean = np.concatenate([np.full(n_before, 1 / n_before), np.zeros(n_after)])
    made = {
        "before_after_last": after - last,
        "before_after_mean": after - mean,
        "post_gap": after,
        "did": after - mean,
    }
    without = np.full(n_before + n_after, np.nan)
    if n_before > 1:
        without = after.copy()
        without[: n_before - 1] = -1 / (n_before - 1)
    made["did_without_last"] = without
    return made


def closed_forms(
    variation: Variation,
    way: Chosen,
    *,
    n_pilots: int,
    n_comparators: int,
    n_before: int,
    n_after: int,
) -> dict[str, float]:
    """Give the expected number of each comparison that does not match; NaN for those that do.

    A contrast d of a unit's values regresses on what the choice went by, c, with slope
    ``d'Σc / c'Σc``; the chosen are on average ``√(c'Σc) · strength · h`` above the mean, where h is
    the mean of the highest n of J standard normals, and the others as much below in sum. For the
    value itself ``1 − slope`` is one less its reliability: the textbook's regression to the mean.
    """
    n_periods = n_before + n_after
    sigma = variation.between**2 + variation.covariance(n_periods)
    made = dict.fromkeys(ESTIMATORS, float("nan"))
    on = np.zeros(n_periods)
    on[:n_before] = np.eye(n_before)[-1] if way.by == "latest_value" else 1 / n_before
    spread = float(on @ sigma @ on) ** 0.5
    share = 0.0 if way.by == "random" else way.strength
    top = spread * share * mean_of_highest(n_pilots, n_pilots + n_comparators)
    for name, d in contrasts(n_before, n_after).items():
        slope = float(d @ sigma @ on) / spread**2
        bottom = 0.0 if name.startswith("before_after") else -top * n_pilots / n_comparators
        made[name] = slope * (top - bottom) + way.lift * float(d.sum())
    return made


def mean_of_highest(n: int, of: int) -> float:
    """Expected mean of the highest `n` of `of` independent standard normal numbers.

    ``(of/n) ∫ x φ(x) P(Binomial(of − 1, 1 − Φ(x)) ≤ n − 1) dx``: a number at x is among the
    highest n if at most n − 1 of the others exceed it.
    """
    from scipy.integrate import quad
    from scipy.special import bdtr, ndtr

    def part(x: float) -> float:
        density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
        return float(x * density * bdtr(n - 1, of - 1, ndtr(-x)))

    return of / n * float(quad(part, -9, 9, limit=200, points=(0.0, 2.0))[0])


def _paths(
    variation: Variation, draws: int, n_units: int, n_periods: int, rng: np.random.Generator
) -> Floats:
    """Draw units × periods from the process, stationary from the first period on."""
    made = rng.standard_normal((draws, n_units, n_periods))
    made *= variation.within
    fresh = (1 - variation.ar1**2) ** 0.5
    for t in range(1, n_periods):
        made[:, :, t] = variation.ar1 * made[:, :, t - 1] + fresh * made[:, :, t]
    made += variation.between * rng.standard_normal((draws, n_units, 1))
    return made


def _nearest(wanted: Floats, offered: Floats, ratio: int) -> Ints:
    """Places of the nearest `ratio` numbers: (draws, wanted, ratio)."""
    apart = np.abs(wanted[:, :, None] - offered[:, None, :])
    if ratio == apart.shape[2]:
        return np.broadcast_to(np.arange(ratio), apart.shape)
    made: Ints = np.argpartition(apart, ratio - 1, axis=2)[:, :, :ratio]
    return made


def _blocks(draws: int, cells: int) -> Iterator[int]:
    """Split the draws so that a block fits into memory."""
    most = max(1, _CELLS_AT_ONCE // cells)
    for first in range(0, draws, most):
        yield min(most, draws - first)
