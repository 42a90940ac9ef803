"""A synthetic evaluation with a known answer: its process, and one draw of it.

The world has the shape of the published one: 152 authorities, eight years, ten pilots that start
lower than the others and stay so, neighbour lists that overlap, and cells that are missing or
withheld. What it does not have is doubt about the truth: the effect is zero, or what `effect` says.

A rate (per 10,000 children) of authority *i* in year *t* is

    level_i + trend_t + error_it + effect x treated_it,

with a right-skewed level that never changes, a trend that all share, and a stationary Gaussian
error, independent between authorities and alike in all of them. (So that no rate is negative, the
few errors larger than the authority's lowest expected rate are cut to it, at both ends alike.)
Pilots differ in their level and in nothing else, so parallel trends hold. Children on plans and
children looked after are children in need too: that metric is drawn as the sum of the two and of
a third, unpublished part.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import DesignError
from didkit.simulate.calibrate import IN_NEED, PARTS, solve
from didkit.simulate.places import MERGED, OLD, PLACES, TINY
from didkit.simulate.process import (
    FIRST_PERIOD,
    METRICS,
    N_PERIODS,
    N_PLACES,
    EvaluationProcess,
)

__all__ = ["SyntheticEvaluation", "draw"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_PILOTS_ALIKE = 0.8  # pilots are a little more alike than authorities at large, apart from levels
_BREAK = {2015: 1.25, 2016: 1.6}  # a recording break: true counts times this
_BANDS = ("Extremely Close", "Very Close", "Close", "Somewhat close", "Not Close")
_BAND_SHARES = (0.06, 0.66, 0.85, 0.93)  # cumulative shares of the bands


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticEvaluation:
    """One draw: what was measured, what was published of it, and the truth.

    Arrays are authorities × years, in the order of `units` and `periods`; NaN where an authority
    does not exist (and, in `counts` and `published_rates`, where a number is not available).

    Parameters
    ----------
    process : EvaluationProcess
        Where it comes from.
    seed : int
        With the process, all that is needed to make it again.
    units, names, e_codes, region_codes, region_names : tuple of str
        The fictional authorities.
    periods : tuple of int
        Reporting years: the year that ends on 31 March.
    population : array
        Children aged 0 to 17 in the middle of the year before: the denominator of `periods`.
    rates : dict of str to array
        True rates per 10,000, neither rounded nor misrecorded.
    recorded : dict of str to array
        Counts as recorded (with the recording break), before anything is withheld.
    counts : dict of str to array
        Recorded counts, NaN where not available. Suppressed cells still show their count here.
    suppressed : dict of str to array of bool
        Cells that the published files withhold.
    published_rates : dict of str to array
        Recorded counts over population × 10,000, to 1 decimal (looked after: whole), NaN where
        not available or suppressed.
    neighbour_index, neighbour_distance : array
        Positions of the ten nearest authorities, nearest first, and how far they are.
    pilots : dict of str to int
        Code and first treated year.
    stops : dict of str to int
        Code and the year of leaving.
    effect : dict of str to float
        True effect on each metric, per 10,000.
    broken : str or None
        Code of the authority with the recording break in children in need.

    Examples
    --------
    >>> evaluation = draw(EvaluationProcess(), seed=1)
    >>> len(evaluation.pilots), evaluation.counts["cin"].shape
    (10, (153, 8))
    """

    process: EvaluationProcess
    seed: int
    units: tuple[str, ...]
    names: tuple[str, ...]
    e_codes: tuple[str, ...]
    region_codes: tuple[str, ...]
    region_names: tuple[str, ...]
    periods: tuple[int, ...]
    population: Array
    rates: dict[str, Array]
    recorded: dict[str, Array]
    counts: dict[str, Array]
    suppressed: dict[str, Mask]
    published_rates: dict[str, Array]
    neighbour_index: NDArray[np.intp]
    neighbour_distance: Array
    pilots: dict[str, int]
    stops: dict[str, int]
    effect: dict[str, float]
    broken: str | None

    @property
    def treated(self) -> Mask:
        """Authorities × years: from the start on, also after a pilot has left.

        Examples
        --------
        >>> int(draw(EvaluationProcess(), seed=1).treated.sum())
        29
        """
        starts = np.array([self.pilots.get(unit, np.inf) for unit in self.units])
        treated: Mask = np.asarray(self.periods)[None, :] >= starts[:, None]
        return treated

    @property
    def neighbours(self) -> pd.DataFrame:
        """Ten neighbours an authority, nearest first, with their band of closeness.

        Returns
        -------
        DataFrame
            Columns `la_code`, `rank` (1 to 10), `sn_code`, `closeness`.

        Examples
        --------
        >>> table = draw(EvaluationProcess(), seed=1).neighbours
        >>> table.columns.tolist()
        ['la_code', 'rank', 'sn_code', 'closeness']
        """
        codes = np.asarray(self.units, dtype=object)
        ranks = self.neighbour_index.shape[1]
        far = self.neighbour_distance.ravel()
        band = np.searchsorted(np.quantile(far, _BAND_SHARES), far, side="left")
        return pd.DataFrame(
            {
                "la_code": np.repeat(codes, ranks),
                "rank": np.tile(np.arange(1, ranks + 1), len(codes)),
                "sn_code": codes[self.neighbour_index.ravel()],
                "closeness": np.asarray(_BANDS, dtype=object)[band],
            }
        )


def draw(process: EvaluationProcess, seed: int) -> SyntheticEvaluation:
    """Draw one synthetic evaluation.

    Parameters
    ----------
    process : EvaluationProcess
        What to draw from.
    seed : int
        Not negative. The same process and seed give the same evaluation.

    Returns
    -------
    SyntheticEvaluation

    Notes
    -----
    Switches of the process (effect, break, missing, suppression) change their cells only: levels,
    errors, populations and neighbours of one seed stay what they are.

    Examples
    --------
    >>> null = draw(EvaluationProcess().clean(), seed=7)
    >>> known = draw(EvaluationProcess(effect={"cpp": -4}).clean(), seed=7)
    >>> change = known.rates["cpp"] - null.rates["cpp"]
    >>> sorted(set(change.round(9).ravel().tolist()))
    [-4.0, 0.0]
    """
    given: object = seed
    if isinstance(given, bool) or not isinstance(given, Integral) or seed < 0:
        raise DesignError(
            needed="a seed: a whole number, not negative",
            found=repr(seed),
            where="draw(seed=)",
            todo="give a number such as 1; the same seed gives the same evaluation",
        )
    seed = int(seed)
    solved = solve(process.cin, process.icpc, process.cpp, process.cla,
                    process.n_pilots, process.level_correlation)  # fmt: skip
    periods = np.arange(FIRST_PERIOD, FIRST_PERIOD + N_PERIODS)
    pilots, starts, leaver = _pilots(process)
    treated = periods >= starts[:, None]

    # levels: floor + scale x (common + own), pilots' part above the floor shrunk
    random = np.random.default_rng([seed, 1])
    common = random.standard_gamma(solved.common, (N_PLACES, 1))
    own = random.standard_gamma(solved.own, (N_PLACES, len(PARTS)))
    scale = np.where(np.isfinite(starts)[:, None], solved.pilot_scale, solved.scale)
    levels = solved.floor + scale * (common + own)

    # errors: all parts and years at once, from the root of their covariance
    random = np.random.default_rng([seed, 2])
    errors = random.standard_normal((N_PLACES, len(PARTS) * N_PERIODS)) @ solved.root.T
    errors = errors.reshape(N_PLACES, len(PARTS), N_PERIODS)
    most = (levels + solved.trend.min(axis=1))[:, :, None]  # cut at both ends: mean 0
    parts = levels[:, :, None] + solved.trend + np.clip(errors, -most, most)
    effect = np.array([process.effect[metric] for metric in METRICS])
    effect[0] -= effect[2] + effect[3]  # children in need: what is not in its two parts
    parts = np.maximum(parts + effect[:, None] * treated[:, None, :], 0.0)

    population = _population(process, np.random.default_rng([seed, 3]))
    counted = np.rint(parts * population[:, None, :] / 10_000)
    rates = _metrics(parts)
    recorded = _metrics(counted)

    # neighbours: near in the common part of the levels and in other, unrelated respects
    place = np.random.default_rng([seed, 4]).standard_normal((N_PLACES, process.covariates))
    place[pilots] *= _PILOTS_ALIKE
    place[:, 0] = (common[:, 0] - solved.common) / np.sqrt(solved.common)
    place[list(TINY), -1] += 8.0
    allowed = np.ones(N_PLACES, dtype=bool)
    allowed[list(TINY)] = False
    if process.reorganisation:
        rates, recorded, population = _merge(rates, recorded, population)
        place = np.vstack([place, place[list(OLD)].mean(axis=0)])
        allowed = np.append(allowed, True)
        allowed[list(OLD)] = False
    near, distance = _nearest(place, allowed)

    plain = np.setdiff1d(near[pilots].ravel(), [*pilots, MERGED])  # neighbours with all their rows
    broken = _break(process, recorded["cin"], pilots, plain)
    available = _available(process, recorded, pilots, plain)
    counts = {name: np.where(available[name], recorded[name], np.nan) for name in METRICS}
    places = PLACES[: len(population)]
    suppressed = _suppress(process, counts, pilots, [one.region_code for one in places])
    published = {}
    for name in METRICS:
        rate = np.where(suppressed[name], np.nan, counts[name]) / population * 10_000
        published[name] = np.round(rate, 0 if name == "cla" else 1)
    return SyntheticEvaluation(
        process=process,
        seed=seed,
        units=tuple(one.code for one in places),
        names=tuple(one.name for one in places),
        e_codes=tuple(one.e_code for one in places),
        region_codes=tuple(one.region_code for one in places),
        region_names=tuple(one.region_name for one in places),
        periods=tuple(int(year) for year in periods),
        population=population,
        rates=rates,
        recorded=recorded,
        counts=counts,
        suppressed=suppressed,
        published_rates=published,
        neighbour_index=near,
        neighbour_distance=distance,
        pilots={places[i].code: int(starts[i]) for i in pilots},
        stops={places[leaver].code: process.stop},
        effect=dict(process.effect),
        broken=None if broken is None else places[broken].code,
    )


# --- the pieces of a draw -------------------------------------------------------------------------


def _metrics(parts: Array) -> dict[str, Array]:
    """Parts (authorities × parts × years) to metrics: in need is the sum of three parts."""
    found = {name: parts[:, k] for k, name in enumerate(PARTS) if k}
    return {"cin": parts[:, list(IN_NEED)].sum(axis=1), **found}


def _pilots(process: EvaluationProcess) -> tuple[NDArray[np.intp], Array, int]:
    """Positions of the pilots, every place's start (infinite: never), and who leaves.

    Places are exchangeable before their level is drawn, so fixed positions are a random choice.
    """
    ordinary = np.setdiff1d(np.arange(N_PLACES), [*OLD, *TINY])
    n = process.n_pilots
    pilots = ordinary[(np.arange(n) * len(ordinary)) // n + len(ordinary) // (2 * n)]
    starts = np.full(N_PLACES, np.inf)
    starts[pilots] = process.start
    starts[pilots[1]] = process.late_start
    return pilots, starts, int(pilots[-1])


def _population(process: EvaluationProcess, random: np.random.Generator) -> Array:
    """Children by place and year: log-normal, slowly growing, two places tiny."""
    size = process.population_median * np.exp(
        process.population_spread * random.standard_normal(N_PLACES)
    )
    size[list(TINY)] = (1500.0, 350.0)
    growth = 0.06 + 0.04 * random.standard_normal((N_PLACES, 1))
    whole: Array = np.rint(size[:, None] * (1 + growth * np.linspace(0, 1, N_PERIODS)))
    return whole


def _merge(
    rates: dict[str, Array], recorded: dict[str, Array], population: Array
) -> tuple[dict[str, Array], dict[str, Array], Array]:
    """Add the place that two become in the last year, and end the two."""
    old, last = list(OLD), N_PERIODS - 1
    weight = population[old, last] / population[old, last].sum()

    def joined(values: Array, value: float) -> Array:
        longer = np.vstack([values, np.full((1, N_PERIODS), np.nan)])
        longer[MERGED, last] = value
        longer[old, last] = np.nan
        return longer

    return (
        {name: joined(rate, float(weight @ rate[old, last])) for name, rate in rates.items()},
        {name: joined(count, float(count[old, last].sum())) for name, count in recorded.items()},
        joined(population, float(population[old, last].sum())),
    )


def _nearest(place: Array, allowed: Mask) -> tuple[NDArray[np.intp], Array]:
    """Return the ten nearest allowed places of every place, itself apart."""
    squares = (place**2).sum(axis=1)
    distance = squares[:, None] + squares[None, :] - 2 * place @ place.T
    distance[:, ~allowed] = np.inf
    np.fill_diagonal(distance, np.inf)
    near = np.argpartition(distance, 10, axis=1)[:, :10]
    far = np.take_along_axis(distance, near, axis=1)
    order = np.argsort(far, axis=1)
    near, far = np.take_along_axis(near, order, axis=1), np.take_along_axis(far, order, axis=1)
    return near, np.sqrt(np.maximum(far, 0.0))


def _break(
    process: EvaluationProcess,
    cin: Array,
    pilots: NDArray[np.intp],
    plain: NDArray[np.intp],
) -> int | None:
    """Overcount children in need, in place, where the process says; return where."""
    if process.recording_break is None:
        return None
    where = pilots[len(pilots) // 2] if process.recording_break == "pilot" else plain[1]
    for year, factor in _BREAK.items():
        cin[where, year - FIRST_PERIOD] = np.rint(cin[where, year - FIRST_PERIOD] * factor)
    return int(where)


def _available(
    process: EvaluationProcess,
    recorded: dict[str, Array],
    pilots: NDArray[np.intp],
    plain: NDArray[np.intp],
) -> dict[str, Mask]:
    """Cells that exist and were handed in: one pilot and three neighbours skip an early year."""
    found = {name: np.isfinite(count) for name, count in recorded.items()}
    if process.missing:
        n = len(plain)
        for place, year, names in (
            (pilots[len(pilots) // 2], 2013, ("cin", "icpc", "cpp")),
            (plain[0], 2013, ("cin",)),
            (plain[n // 3], 2013, ("cin",)),
            (plain[2 * n // 3], 2014, ("cin", "icpc", "cpp")),
        ):
            for name in names:
                found[name][place, year - FIRST_PERIOD] = False
    return found


def _suppress(
    process: EvaluationProcess,
    counts: dict[str, Array],
    pilots: NDArray[np.intp],
    regions: list[str],
) -> dict[str, Mask]:
    """Withhold counts of 1 to 5; and where one stands alone in a region, another, three times."""
    if not process.suppression:
        return {name: np.zeros(count.shape, dtype=bool) for name, count in counts.items()}
    found = {name: (count >= 1) & (count <= 5) for name, count in counts.items()}
    left, region = 3, np.asarray(regions)
    for code in (regions[TINY[0]], regions[TINY[1]]):
        inside = np.flatnonzero(region == code)
        for year in range(N_PERIODS):
            alone = found["cpp"][inside, year].sum() == 1
            if left and alone and year % 3 == 1:
                others = np.setdiff1d(inside, pilots)
                others = others[~found["cpp"][others, year] & (counts["cpp"][others, year] > 0)]
                found["cpp"][others[np.argmin(counts["cpp"][others, year])], year] = True
                left -= 1
    return found
