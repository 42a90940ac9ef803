"""The process behind the synthetic evaluation: every parameter, with its unit and its default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from didkit.errors import DesignError, first_few

__all__ = ["FIRST_PERIOD", "METRICS", "N_PERIODS", "N_PLACES", "EvaluationProcess", "MetricProcess"]

METRICS = ("cin", "icpc", "cpp", "cla")
FIRST_PERIOD, N_PERIODS, N_PLACES = 2013, 8, 152


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
    trend: tuple[float, ...] = (0.0,) * N_PERIODS

    def __post_init__(self) -> None:
        """Refuse what cannot be a rate."""
        wrong = [
            f"{name}={getattr(self, name)}"
            for name in ("mean", "between_sd", "within_sd", "skew")
            if not getattr(self, name) > 0
        ]
        wrong += [] if 0 <= self.momentum < 1 else [f"momentum={self.momentum}"]
        wrong += [] if len(self.trend) == N_PERIODS else [f"{len(self.trend)} values of trend"]
        if wrong:
            raise DesignError(
                needed=f"mean, SDs and skew above 0, momentum in [0, 1), {N_PERIODS} trend values",
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
        last = FIRST_PERIOD + N_PERIODS - 1
        wrong = [
            text
            for text, good in (
                (f"n_pilots={self.n_pilots}", 3 <= self.n_pilots <= 40),
                (f"start={self.start}", FIRST_PERIOD < self.start <= last),
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
                needed=f"3 to 40 pilots that start after {FIRST_PERIOD} and by {last}, one that "
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
