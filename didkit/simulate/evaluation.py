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

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import DesignError, first_few
from didkit.simulate.places import MERGED, OLD, PLACES, TINY

__all__ = ["METRICS", "EvaluationProcess", "MetricProcess", "SyntheticEvaluation", "draw"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

METRICS = ("cin", "icpc", "cpp", "cla")
_PARTS = ("rest", "icpc", "cpp", "cla")  # "rest": in need, neither on a plan nor looked after
_IN_NEED = (0, 2, 3)  # the parts that sum to cin
_FIRST_PERIOD, _PERIODS, _PLACES = 2013, 8, 152
# correlation of the innovations of the parts, as in residuals of the published series
_TOGETHER = np.array(
    [[1.0, 0.35, 0.35, 0.1], [0.35, 1.0, 0.8, 0.1], [0.35, 0.8, 1.0, 0.1], [0.1, 0.1, 0.1, 1.0]]
)
_PILOTS_ALIKE = 0.8  # pilots are a little more alike than authorities at large, apart from levels
_BREAK = {2015: 1.25, 2016: 1.6}  # a recording break: true counts times this
_BANDS = ("Extremely Close", "Very Close", "Close", "Somewhat close", "Not Close")
_BAND_SHARES = (0.06, 0.66, 0.85, 0.93)  # cumulative shares of the bands


class _ByMetric(Mapping[str, float]):
    """One number a metric, read-only, hashable and zero where nothing was said."""

    def __init__(self, values: Mapping[str, float]) -> None:
        unknown = [name for name in values if name not in METRICS]
        wrong = [f"{name}={value}" for name, value in values.items() if not np.isfinite(value)]
        if unknown or wrong:
            raise DesignError(
                needed=f"a finite number for one or more of {', '.join(METRICS)}",
                found=first_few([*unknown, *wrong]),
                where="EvaluationProcess(effect=)",
                todo="name the metric as didkit does; rates are per 10,000 children",
            )
        self._values = tuple(float(values.get(name, 0.0)) for name in METRICS)

    def __getitem__(self, name: str) -> float:
        try:
            return self._values[METRICS.index(name)]
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(METRICS)

    def __len__(self) -> int:
        return len(METRICS)

    def __hash__(self) -> int:
        return hash(self._values)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True, kw_only=True)
class MetricProcess:
    """What one metric should look like; the process is solved to make it look so.

    Parameters
    ----------
    mean : float
        Mean of the rate over authorities and years, per 10,000 children.
    between_sd : float
        Standard deviation between authorities of their mean over the years, per 10,000.
    within_sd : float
        Standard deviation of what is left after authority and year effects, per 10,000. It is
        smaller than the standard deviation of the error, since eight years pin down a mean badly.
    residual_ar1 : float
        First-order autocorrelation of what is left. It is lower than that of the error.
    skew : float, default 1.1
        Skewness of the permanent level between authorities (for children in need: of the part
        that is neither on a plan nor looked after).
    momentum : float, default 0.0
        Second root of the error's autoregression. With 0 it is an AR(1). What is left of an AR(1)
        after eight years' means has an autocorrelation under 0.58 however persistent it is;
        a series above that (children looked after: 0.62) needs some momentum.
    level_gap : float, default 0.0
        How much lower (negative) the pilots' level is, as a fraction of `mean`, before and after.
    trend : tuple of float
        National deviation from the mean in each year, per 10,000.

    Examples
    --------
    >>> EvaluationProcess().cla.momentum
    0.5
    """

    mean: float
    between_sd: float
    within_sd: float
    residual_ar1: float
    skew: float = 1.1
    momentum: float = 0.0
    level_gap: float = 0.0
    trend: tuple[float, ...] = (0.0,) * _PERIODS

    def __post_init__(self) -> None:
        """Refuse what cannot be a rate."""
        wrong = [
            f"{name}={getattr(self, name)}"
            for name in ("mean", "between_sd", "within_sd", "skew")
            if not getattr(self, name) > 0
        ]
        wrong += [] if 0 <= self.momentum < 1 else [f"momentum={self.momentum}"]
        wrong += [] if len(self.trend) == _PERIODS else [f"{len(self.trend)} values of trend"]
        if wrong:
            raise DesignError(
                needed=f"mean, SDs and skew above 0, momentum in [0, 1), {_PERIODS} trend values",
                found=first_few(wrong),
                where="MetricProcess",
                todo="give rates per 10,000 children, one trend value a year",
            )


@dataclass(frozen=True, kw_only=True)
class EvaluationProcess:
    """All parameters of the synthetic evaluation; the defaults resemble the published series.

    Parameters
    ----------
    cin, icpc, cpp, cla : MetricProcess
        Children in need on 31 March; initial child protection conferences in the year; children
        on a protection plan on 31 March; children looked after on 31 March.
    effect : mapping, default empty
        True change of a metric's rate in a pilot from its start on, per 10,000 children:
        ``{"cin": -20}``. Zero for a metric that is not named.
    n_pilots : int, default 10
        Number of pilots, 3 to 40.
    start, late_start : int, default 2018 and 2019
        First treated year of the pilots, and of the one that joined late.
    stop : int, default 2019
        Year in which one pilot leaves. The effect stays: the programme's offer is what is meant.
    level_correlation : float, default 0.65
        Correlation between the permanent levels of any two metrics' parts.
    population_median : float, default 62000
        Median number of children aged 0 to 17 in an authority.
    population_spread : float, default 0.6
        Standard deviation of the logarithm of that number: heavily right-skewed.
    covariates : int, default 3
        Dimension of the space in which neighbours are near; the first is the common part of the
        levels ("deprivation").
    recording_break : {"pilot", "comparator", None}, default "pilot"
        Whether children in need are overcounted in 2015 and 2016 in one authority, and where. In
        the published series it was a pilot, the same one whose first year is not available.
    suppression : bool, default True
        Counts of 1 to 5 are withheld, and a few others to protect them.
    missing : bool, default True
        One pilot and three neighbours have no numbers in an early year.
    reorganisation : bool, default True
        Two authorities become one in 2020.

    Examples
    --------
    >>> EvaluationProcess(effect={"cin": -20}).effect["cin"]
    -20.0
    """

    cin: MetricProcess = MetricProcess(
        mean=366, between_sd=98, within_sd=50, residual_ar1=0.26, level_gap=-60 / 366,
        trend=(-4.0, 2.0, 1.0, 1.0, -2.0, 5.0, 1.0, -4.0),
    )  # fmt: skip
    icpc: MetricProcess = MetricProcess(
        mean=67, between_sd=22, within_sd=15, residual_ar1=0.19, skew=1.4, level_gap=-13 / 67,
        trend=(-7.0, -4.0, -1.0, 0.0, 3.0, 4.0, 2.0, 3.0),
    )  # fmt: skip
    cpp: MetricProcess = MetricProcess(
        mean=46, between_sd=15, within_sd=10, residual_ar1=0.14, skew=1.35, level_gap=-11 / 46,
        trend=(-5.0, -1.0, 0.0, 1.0, 1.0, 2.0, 1.0, 1.0),
    )  # fmt: skip
    cla: MetricProcess = MetricProcess(
        mean=67, between_sd=25, within_sd=7, residual_ar1=0.62, momentum=0.5, level_gap=-9 / 67,
        trend=(-3.5, -3.0, -3.0, -2.5, -0.3, 1.7, 4.0, 6.6),
    )  # fmt: skip
    effect: Mapping[str, float] = field(default_factory=dict)
    n_pilots: int = 10
    start: int = 2018
    late_start: int = 2019
    stop: int = 2019
    level_correlation: float = 0.65
    population_median: float = 62_000.0
    population_spread: float = 0.6
    covariates: int = 3
    recording_break: Literal["pilot", "comparator"] | None = "pilot"
    suppression: bool = True
    missing: bool = True
    reorganisation: bool = True

    def __post_init__(self) -> None:
        """Freeze the effects and refuse what makes no evaluation."""
        object.__setattr__(self, "effect", _ByMetric(self.effect))
        last = _FIRST_PERIOD + _PERIODS - 1
        wrong = [
            text
            for text, good in (
                (f"n_pilots={self.n_pilots}", 3 <= self.n_pilots <= 40),
                (f"start={self.start}", _FIRST_PERIOD < self.start <= last),
                (f"late_start={self.late_start}", self.start <= self.late_start <= last),
                (f"stop={self.stop}", self.start < self.stop <= last),
                (f"level_correlation={self.level_correlation}", 0 < self.level_correlation < 1),
                (f"population_median={self.population_median}", self.population_median >= 1000),
                (f"population_spread={self.population_spread}", 0 < self.population_spread < 2),
                (f"covariates={self.covariates}", self.covariates >= 1),
                (
                    f"recording_break={self.recording_break!r}",
                    self.recording_break in (None, "pilot", "comparator"),
                ),
            )
            if not good
        ]
        if wrong:
            raise DesignError(
                needed=f"3 to 40 pilots that start after {_FIRST_PERIOD} and by {last}, one that "
                f"stops after its start and by {last}, and parameters within their ranges",
                found=first_few(wrong),
                where="EvaluationProcess",
                todo="see the ranges in its docstring",
            )

    def clean(self) -> EvaluationProcess:
        """Return the same process with nothing missing, withheld, misrecorded or reorganised.

        Returns
        -------
        EvaluationProcess
            For simulation studies: 152 authorities by 8 years, all observed.

        Examples
        --------
        >>> EvaluationProcess().clean().suppression
        False
        """
        return replace(
            self, recording_break=None, suppression=False, missing=False, reorganisation=False
        )


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
    solved = _solve(process.cin, process.icpc, process.cpp, process.cla,
                    process.n_pilots, process.level_correlation)  # fmt: skip
    periods = np.arange(_FIRST_PERIOD, _FIRST_PERIOD + _PERIODS)
    pilots, starts, leaver = _pilots(process)
    treated = periods >= starts[:, None]

    # levels: floor + scale x (common + own), pilots' part above the floor shrunk
    random = np.random.default_rng([seed, 1])
    common = random.standard_gamma(solved.common, (_PLACES, 1))
    own = random.standard_gamma(solved.own, (_PLACES, len(_PARTS)))
    scale = np.where(np.isfinite(starts)[:, None], solved.pilot_scale, solved.scale)
    levels = solved.floor + scale * (common + own)

    # errors: all parts and years at once, from the root of their covariance
    random = np.random.default_rng([seed, 2])
    errors = random.standard_normal((_PLACES, len(_PARTS) * _PERIODS)) @ solved.root.T
    errors = errors.reshape(_PLACES, len(_PARTS), _PERIODS)
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
    place = np.random.default_rng([seed, 4]).standard_normal((_PLACES, process.covariates))
    place[pilots] *= _PILOTS_ALIKE
    place[:, 0] = (common[:, 0] - solved.common) / np.sqrt(solved.common)
    place[list(TINY), -1] += 8.0
    allowed = np.ones(_PLACES, dtype=bool)
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


# --- the process, solved from what its panels should look like ------------------------------------


class _Solved(NamedTuple):
    """Parameters of the parts: levels (gamma above a floor), root of the errors' covariance."""

    floor: Array
    scale: Array
    pilot_scale: Array
    common: float  # gamma shape shared by all parts
    own: Array  # gamma shape of each part's own
    root: Array
    trend: Array


@functools.lru_cache(maxsize=32)
def _solve(
    cin: MetricProcess,
    icpc: MetricProcess,
    cpp: MetricProcess,
    cla: MetricProcess,
    n_pilots: int,
    correlation: float,
) -> _Solved:
    """Find levels and errors whose panels have the moments asked for."""
    metrics = (cin, icpc, cpp, cla)
    kernels, sd = _solve_errors(metrics)
    n = len(_PARTS)
    covariance = np.block(
        [[_TOGETHER[a, b] * sd[a] * sd[b] * _cross(kernels[a], kernels[b]) for b in range(n)]
         for a in range(n)]
    )  # fmt: skip
    blocks = covariance.reshape(n, _PERIODS, n, _PERIODS)
    of_mean = blocks.mean(axis=(1, 3))  # covariance of the errors' means over the years

    w = n_pilots / _PLACES
    shape = np.array([4 / metric.skew**2 for metric in metrics])
    common = correlation * float(shape.min())
    gap = np.array([metric.level_gap * metric.mean for metric in metrics])
    mean = np.array([metric.mean for metric in metrics])
    gap[0] -= gap[2] + gap[3]
    mean[0] -= mean[2] + mean[3]
    mean = mean - w * gap  # of those that are no pilots
    scale = np.zeros(n)

    def spread(part: int, value: float) -> float:
        """SD between authorities of a metric's mean, when its part has this scale."""
        trial = scale.copy()
        trial[part] = value
        members = list(_IN_NEED) if part == 0 else [part]
        share = np.full((n, n), common)
        np.fill_diagonal(share, shape)
        total = w * (1 - w) * gap[members].sum() ** 2 + of_mean[np.ix_(members, members)].sum()
        for weight, one in ((1 - w, trial), (w, trial + gap / shape)):
            total += weight * (np.outer(one, one) * share)[np.ix_(members, members)].sum()
        return float(np.sqrt(total))

    for part in (1, 2, 3, 0):
        least = max(0.0, -gap[part] / shape[part])
        most = float(mean[part] / shape[part])  # the floor would be zero
        target = metrics[part].between_sd
        if not spread(part, least) < target < spread(part, most):
            raise DesignError(
                needed=f"a between_sd of {METRICS[part]} that its mean, skew, level_gap and errors "
                f"allow: {spread(part, least):.1f} to {spread(part, most):.1f}",
                found=f"{target}",
                where="MetricProcess(between_sd=)",
                todo="change it, or the mean, the skew or the gap",
            )
        scale[part] = _bisect(functools.partial(spread, part), target, least, most)
    trend = np.array([metric.trend for metric in metrics])
    trend[0] -= trend[2] + trend[3]
    floor = mean - scale * shape
    if (floor + trend.min(axis=1)).min() <= 0:
        raise DesignError(
            needed="rates above zero in the lowest authority and year, before errors",
            found=", ".join(f"{name}: {low:.1f}" for name, low in
                            zip(METRICS, floor + trend.min(axis=1), strict=True)),
            where="MetricProcess",
            todo="raise the mean or the skew, or lower between_sd or the trend",
        )  # fmt: skip
    return _Solved(
        floor=floor,
        scale=scale,
        pilot_scale=scale + gap / shape,
        common=common,
        own=shape - common,
        root=np.linalg.cholesky(covariance),
        trend=trend,
    )


def _solve_errors(metrics: tuple[MetricProcess, ...]) -> tuple[list[Array], Array]:
    """Find each part's autoregression (as its moving average) and its standard deviation."""
    kernels: list[Array] = [np.ones(1)] * len(_PARTS)
    sd = np.zeros(len(_PARTS))

    def part_alone(part: int, root: float) -> tuple[float, float]:
        kernel = _moving_average(root, metrics[part].momentum)
        variance, ar1 = _left(_cross(kernel, kernel))
        return metrics[part].within_sd / float(np.sqrt(variance)), ar1

    def in_need(part: int, root: float) -> tuple[float, float]:
        """Children in need: the part's SD that makes the whole's right, and the whole's AR1."""
        kernel = _moving_average(root, metrics[part].momentum)
        square = _cross(kernel, kernel)
        line, constant = np.zeros_like(square), np.zeros_like(square)
        for a in _IN_NEED[1:]:
            both = _cross(kernel, kernels[a])
            line += _TOGETHER[part, a] * sd[a] * (both + both.T)
            for b in _IN_NEED[1:]:
                constant += _TOGETHER[a, b] * sd[a] * sd[b] * _cross(kernels[a], kernels[b])
        v2, v1, v0 = (_left(one)[0] for one in (square, line, constant))
        v0 -= metrics[part].within_sd ** 2
        value = float((-v1 + np.sqrt(v1**2 - 4 * v2 * v0)) / (2 * v2)) if v0 < 0 else 0.0
        return value, _left(value**2 * square + value * line + constant)[1]

    def solve(part: int, root: float) -> tuple[float, float]:
        return in_need(part, root) if part == 0 else part_alone(part, root)

    def autocorrelation(part: int, root: float) -> float:
        return solve(part, root)[1]

    for part in (1, 2, 3, 0):
        target, least, most = metrics[part].residual_ar1, -0.5, 0.97
        lowest, highest = solve(part, least)[1], solve(part, most)[1]
        if not lowest < target < highest or (part == 0 and not solve(part, 0.0)[0] > 0):
            raise DesignError(
                needed=f"a residual_ar1 of {METRICS[part]} that {_PERIODS} years allow: "
                f"{lowest:.2f} to {highest:.2f} (and, for cin, a within_sd above its parts')",
                found=f"residual_ar1={target}, within_sd={metrics[part].within_sd}",
                where="MetricProcess",
                todo="lower it, or give the errors momentum",
            )
        root = _bisect(functools.partial(autocorrelation, part), target, least, most)
        sd[part] = solve(part, root)[0]
        kernels[part] = _moving_average(root, metrics[part].momentum)
    return kernels, sd


def _moving_average(root: float, momentum: float) -> Array:
    """Weights of past innovations in an AR(2) with these two roots, for a variance of one."""
    lags = np.arange(600)
    if abs(root - momentum) < 1e-9:
        weights = (lags + 1.0) * root**lags
    else:
        weights = (root ** (lags + 1) - momentum ** (lags + 1)) / (root - momentum)
    scaled: Array = weights / np.sqrt((weights**2).sum())
    return scaled


def _cross(a: Array, b: Array) -> Array:
    """Covariance, year by year, of two moving averages of the same innovations: a_s with b_t."""
    ahead = [float(a @ b)] + [float(a[:-h] @ b[h:]) for h in range(1, _PERIODS)]
    behind = [float(a @ b)] + [float(a[h:] @ b[:-h]) for h in range(1, _PERIODS)]
    years = np.arange(_PERIODS)
    lag = years[None, :] - years[:, None]
    lagged: Array = np.where(lag >= 0, np.array(ahead)[abs(lag)], np.array(behind)[abs(lag)])
    return lagged


def _left(covariance: Array) -> tuple[float, float]:
    """Variance and first-order autocorrelation of what a mean over the years leaves."""
    remove = np.eye(_PERIODS) - 1 / _PERIODS
    left = remove @ covariance @ remove
    diagonal = np.diag(left)
    return float(diagonal.mean()), float(np.diag(left, 1).sum() / diagonal[:-1].sum())


def _bisect(function: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Return where a rising function reaches the target."""
    for _ in range(60):
        middle = (low + high) / 2
        if function(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


# --- the pieces of a draw -------------------------------------------------------------------------


def _metrics(parts: Array) -> dict[str, Array]:
    """Parts (authorities × parts × years) to metrics: in need is the sum of three parts."""
    found = {name: parts[:, k] for k, name in enumerate(_PARTS) if k}
    return {"cin": parts[:, list(_IN_NEED)].sum(axis=1), **found}


def _pilots(process: EvaluationProcess) -> tuple[NDArray[np.intp], Array, int]:
    """Positions of the pilots, every place's start (infinite: never), and who leaves.

    Places are exchangeable before their level is drawn, so fixed positions are a random choice.
    """
    ordinary = np.setdiff1d(np.arange(_PLACES), [*OLD, *TINY])
    n = process.n_pilots
    pilots = ordinary[(np.arange(n) * len(ordinary)) // n + len(ordinary) // (2 * n)]
    starts = np.full(_PLACES, np.inf)
    starts[pilots] = process.start
    starts[pilots[1]] = process.late_start
    return pilots, starts, int(pilots[-1])


def _population(process: EvaluationProcess, random: np.random.Generator) -> Array:
    """Children by place and year: log-normal, slowly growing, two places tiny."""
    size = process.population_median * np.exp(
        process.population_spread * random.standard_normal(_PLACES)
    )
    size[list(TINY)] = (1500.0, 350.0)
    growth = 0.06 + 0.04 * random.standard_normal((_PLACES, 1))
    whole: Array = np.rint(size[:, None] * (1 + growth * np.linspace(0, 1, _PERIODS)))
    return whole


def _merge(
    rates: dict[str, Array], recorded: dict[str, Array], population: Array
) -> tuple[dict[str, Array], dict[str, Array], Array]:
    """Add the place that two become in the last year, and end the two."""
    old, last = list(OLD), _PERIODS - 1
    weight = population[old, last] / population[old, last].sum()

    def joined(values: Array, value: float) -> Array:
        longer = np.vstack([values, np.full((1, _PERIODS), np.nan)])
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
        cin[where, year - _FIRST_PERIOD] = np.rint(cin[where, year - _FIRST_PERIOD] * factor)
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
                found[name][place, year - _FIRST_PERIOD] = False
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
        for year in range(_PERIODS):
            alone = found["cpp"][inside, year].sum() == 1
            if left and alone and year % 3 == 1:
                others = np.setdiff1d(inside, pilots)
                others = others[~found["cpp"][others, year] & (counts["cpp"][others, year] > 0)]
                found["cpp"][others[np.argmin(counts["cpp"][others, year])], year] = True
                left -= 1
    return found
