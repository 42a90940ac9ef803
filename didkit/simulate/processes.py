"""Processes with a known answer for `study`: long differences, and whole panels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from didkit.check.variation import Variation
from didkit.errors import DesignError, is_number, is_whole
from didkit.simulate.filled import (
    OUTCOME,
    Drawn,
    check_design,
    check_seed,
    filled,
    laid_out,
    rows_of_pilots,
)
from didkit.simulate.noises import NOISES, Noise, ar1_path, scales, shocks, sizes

if TYPE_CHECKING:
    from didkit.design import Design
    from didkit.panel import Metric

__all__ = ["LongDifferences", "PanelProcess"]

Floats = NDArray[np.float64]
_Asked = tuple[bool, str, str]  #: whether it is right, what was given, what is needed
_LEAST_SHARE_SUM = 1e-9


@dataclass(frozen=True)
class LongDifferences:
    """One independent number a unit, the change from one period to the next, and no more.

    The process of the documentation's table of rejection rates. Everything before is 0, so that a
    difference-in-differences compares the drawn changes ``W_j`` of two groups.

    Parameters
    ----------
    pilots, comparators : int
        Units of each arm, 1 or more.
    noise : str, default "normal"
        ``"normal"``: ``W ~ N(0, 1)``. ``"noisier"``: pilots ``N(0, 4)``. ``"skewed"``:
        ``(χ²₂ − 2)/2`` for all. ``"small"``: ``W ~ N(0, .2 + .8/M)`` with sizes
        ``M = exp(N(0, .9²))`` of comparators and ``exp(N(−.9, .4²))`` of pilots, drawn anew each
        time; the sample knows them as its exposure. ``"small and skewed"``: the same variance,
        skewed.
    effect : float, default 0
        Added to the pilots' change, in standard deviations of a comparator's ``W``.

    Raises
    ------
    DesignError
        If a number or the noise is out of range.

    Examples
    --------
    >>> drawn = LongDifferences(pilots=3, comparators=20).draw(seed=1)
    >>> drawn.design.sample(drawn.metric).y.shape
    (23, 2)
    """

    pilots: int
    comparators: int
    noise: Noise = "normal"
    effect: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        _check(
            "LongDifferences",
            [
                *_counts(pilots=self.pilots, comparators=self.comparators),
                _noise(self.noise),
                _between("effect", self.effect, -np.inf, np.inf),
            ],
        )

    def draw(self, seed: int) -> Drawn:
        """Draw every unit's change.

        Raises
        ------
        DesignError
            If the seed is not a whole number of 0 or more.
        """
        check_seed(seed, "LongDifferences.draw(seed=)")
        rng = np.random.default_rng(seed)
        n = self.pilots + self.comparators
        design, sample = laid_out(self.pilots, self.comparators, 2, (1,) * self.pilots)
        pilot = np.zeros(n, dtype=bool)
        pilot[rows_of_pilots(self.pilots, n)] = True
        size = sizes(rng, pilot) if self.noise.startswith("small") else None
        w = scales(self.noise, pilot, size) * shocks(
            rng, (n,), skewed=self.noise.endswith("skewed")
        )
        y = np.column_stack([np.zeros(n), w + self.effect * pilot])
        return Drawn(filled(design, OUTCOME, y, sample, sizes=size), OUTCOME.name, self.effect)


@dataclass(frozen=True, kw_only=True)
class PanelProcess:
    """A panel: lasting levels, an AR(1), regions, staggered starts, matched sets, one effect.

    ``Y_it = μ_i + s_i (√(1−c) e_it + √c r_{g(i)t}) + effect · treated_it``: μ normal, e and the
    region's shocks r two AR(1) with the same ar1, c the correlation inside a region, ``s_i`` the
    unit's standard deviation.

    Parameters
    ----------
    pilots, comparators : int
        Units of each arm, 1 or more.
    before, after : int
        Periods before the first start and from it on, 1 or more each.
    between : float, default 1
        Standard deviation of the lasting level μ between units, in the outcome's unit.
    within : float, default 1
        Standard deviation of the passing part in one period, in the outcome's unit.
    ar1 : float, default 0
        Correlation of the passing part between one period and the next.
    noise : str, default "normal"
        As for `LongDifferences`: of the passing part, whose variance is ``within²``, for pilots
        four times that (``"noisier"``), or that times ``.2 + .8/M`` (``"small"``).
    starts : tuple of float, default (1.0,)
        Shares of the pilots that start in the first period after ``before``, the next, and so on.
        The numbers are rounded so that they add up: nine pilots by thirds are three a period.
    regions : int, default 0
        Equal regions, of which units of one share shocks; 0: none. The design is not told.
    region_correlation : float, default 0
        Correlation in one period of two units of a region, from 0 to below 1.
    pilots_together : bool, default False
        Whether the pilots fill one region after the other; otherwise they lie in random ones.
    sets : int, optional
        Comparators of each pilot (equal weights); by default all pilots face one pool.
    shared : bool, default False
        With `sets`: each pilot's are drawn out of all comparators, once, so that some serve
        several pilots. Otherwise nobody serves twice.
    effect : float, default 0
        Added to a pilot's cells from its start on, in the outcome's unit.
    growth : float, default 0
        Added to that for each period since the start.
    by_start : float, default 0
        Added to that for each period between the first start of all and the pilot's own. With
        either the truth is named by term: "att" is the mean over the pilots' cells from their
        starts on, "event time e" that over the pilots seen then (0 before the start).

    Raises
    ------
    DesignError
        If a parameter is out of range or does not go with another.

    Examples
    --------
    >>> made = PanelProcess(
    ...     pilots=9, comparators=141, before=4, after=3, ar1=0.6, starts=(1 / 3, 1 / 3, 1 / 3)
    ... )
    >>> made.cohorts
    (3, 3, 3)
    """

    pilots: int
    comparators: int
    before: int
    after: int
    between: float = 1.0
    within: float = 1.0
    ar1: float = 0.0
    noise: Noise = "normal"
    starts: tuple[float, ...] = (1.0,)
    regions: int = 0
    region_correlation: float = 0.0
    pilots_together: bool = False
    sets: int | None = None
    shared: bool = False
    effect: float = 0.0
    growth: float = 0.0
    by_start: float = 0.0

    def __post_init__(self) -> None:
        _check(
            "PanelProcess",
            [
                *_counts(
                    pilots=self.pilots,
                    comparators=self.comparators,
                    before=self.before,
                    after=self.after,
                ),
                _between("between", self.between, 0, np.inf),
                _between("within", self.within, 0, np.inf, ends=False),
                _between("ar1", self.ar1, -1, 1, ends=False),
                *(
                    _between(name, getattr(self, name), -np.inf, np.inf)
                    for name in ("effect", "growth", "by_start")
                ),
                _noise(self.noise),
                _between("region_correlation", self.region_correlation, 0, 1),
            ],
        )
        object.__setattr__(self, "starts", tuple(self.starts))
        units = self.pilots + self.comparators
        most = self.comparators if self.shared else self.comparators // self.pilots
        starts = self.starts
        shares = all(_within(share, 0, 1) for share in starts)
        _check(
            "PanelProcess",
            [
                (
                    1 <= len(starts) <= self.after
                    and shares
                    and abs(sum(starts) - 1) < _LEAST_SHARE_SUM
                    and starts[0] > 0,
                    f"starts={starts!r}",
                    f"starts: shares that add up to 1, the first above 0, {self.after} at most",
                ),
                (
                    is_whole(self.regions) and (self.regions == 0 or 2 <= self.regions <= units),
                    f"regions={self.regions!r}",
                    f"regions: 0, or 2 to {units}",
                ),
                (
                    self.regions > 0 or self.region_correlation == 0,
                    f"region_correlation={self.region_correlation!r} without regions",
                    "regions with region_correlation",
                ),
                (
                    self.regions > 0 or not self.pilots_together,
                    f"pilots_together={self.pilots_together!r} without regions",
                    "regions with pilots_together",
                ),
                (
                    self.sets is None or (is_whole(self.sets) and 1 <= self.sets <= most),
                    f"sets={self.sets!r} of {self.comparators} comparators",
                    f"sets: None, or 1 to {most}"
                    + ("" if self.shared else " (more with shared=True)"),
                ),
                (
                    self.sets is not None or not self.shared,
                    f"shared={self.shared!r} without sets",
                    "sets with shared",
                ),
            ],
        )

    @classmethod
    def calibrated(
        cls, design: Design, metric: str | Metric, *, noise: Noise = "normal", effect: float = 0.0
    ) -> PanelProcess:
        """Take the numbers of units and periods, starts and variation from a design.

        One pool, whatever the design compares with, and no missing cells: for the design itself,
        see `OwnPanel`.

        Parameters
        ----------
        design : Design
            Its pilots, comparators, window and starts.
        metric : str or Metric
            A metric of its panel, whose `Variation` before the first start is taken.
        noise, effect
            As above; the effect in the metric's unit.

        Raises
        ------
        DesignError
            If the design is none.
        InferenceError
            If the variation cannot be estimated (`Variation.of`).
        PanelError
            If the metric is unknown.

        Examples
        --------
        >>> import didkit as dk
        >>> panel, design = dk.datasets.load_evaluation()
        >>> PanelProcess.calibrated(design, "cpp").cohorts
        (9, 1)
        """
        check_design(design, metric, "PanelProcess.calibrated")
        found = Variation.of(design, metric)
        at = [design.periods.index(start) for start in design.starts.values()]
        first = min(at)
        counts = np.bincount(np.array(at) - first)
        return cls(
            pilots=len(at),
            comparators=len(set(design.comparators) - set(design.pilots)),
            before=first,
            after=len(design.periods) - first,
            between=found.between,
            within=found.within,
            ar1=found.ar1,
            noise=noise,
            starts=tuple((counts / counts.sum()).tolist()),
            effect=effect,
        )

    @property
    def cohorts(self) -> tuple[int, ...]:
        """Number of pilots that start in each period from ``before`` on."""
        ends = np.rint(np.cumsum(self.starts) * self.pilots).astype(int)
        return tuple(np.diff(ends, prepend=0).tolist())

    def draw(self, seed: int) -> Drawn:
        """Draw a panel.

        Raises
        ------
        DesignError
            If the seed is not a whole number of 0 or more.
        """
        check_seed(seed, "PanelProcess.draw(seed=)")
        rng = np.random.default_rng(seed)
        n, n_periods = self.pilots + self.comparators, self.before + self.after
        first = np.repeat(self.before + np.arange(len(self.starts)), self.cohorts)
        design, sample = laid_out(
            self.pilots, self.comparators, n_periods, tuple(first.tolist()), self.sets, self.shared
        )
        at = rows_of_pilots(self.pilots, n)
        pilot = np.zeros(n, dtype=bool)
        pilot[at] = True
        size = sizes(rng, pilot) if self.noise.startswith("small") else None
        skewed = self.noise.endswith("skewed")
        e = ar1_path(shocks(rng, (n, n_periods), skewed=skewed), self.ar1)
        if self.regions:
            r = ar1_path(shocks(rng, (self.regions, n_periods), skewed=skewed), self.ar1)
            c = self.region_correlation
            e = (1 - c) ** 0.5 * e + c**0.5 * r[self._places(rng, pilot)]
        y = self.between * rng.standard_normal((n, 1))
        y = y + self.within * scales(self.noise, pilot, size)[:, None] * e
        since = np.arange(n_periods) - first[:, None]
        late = (first - self.before)[:, None]
        effects = self.effect + self.growth * since + self.by_start * late
        y[at] += np.where(since >= 0, effects, 0.0)
        truth = self._truth(since, effects)
        return Drawn(filled(design, OUTCOME, y, sample, sizes=size), OUTCOME.name, truth)

    def _truth(self, since: NDArray[np.int64], effects: Floats) -> float | dict[str, float]:
        """Return the true effect: one number where it is one, otherwise by term."""
        if self.growth == 0 and self.by_start == 0:
            return self.effect
        made = {"att": float(effects[since >= 0].mean())}
        for e in range(int(since.min()), int(since.max()) + 1):
            name = f"event time {e:+d}" if e else "event time 0"
            made[name] = float(effects[since == e].mean()) if e >= 0 else 0.0
        return made

    def _places(self, rng: np.random.Generator, pilot: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Region of each unit: random and equally many, or the pilots in the first ones."""
        codes = np.arange(len(pilot)) * self.regions // len(pilot)
        if not self.pilots_together:
            return np.asarray(rng.permutation(codes))
        made = np.empty(len(pilot), dtype=np.intp)
        made[pilot] = codes[: self.pilots]
        made[~pilot] = rng.permutation(codes[self.pilots :])
        return made


def _within(value: object, low: float, high: float) -> bool:
    """Whether a value is a finite number between two ends."""
    return bool(is_number(value) and np.isfinite(value) and low <= value <= high)  # type: ignore[call-overload,operator]


def _counts(**values: object) -> list[_Asked]:
    """Ask for whole numbers of 1 or more."""
    return [
        (
            is_whole(value) and value >= 1,  # type: ignore[operator]
            f"{name}={value!r}",
            f"{name}: a whole number, 1 or more",
        )
        for name, value in values.items()
    ]


def _noise(value: object) -> _Asked:
    """Ask for a noise by name."""
    return value in NOISES, f"noise={value!r}", "noise: one of " + ", ".join(NOISES)


def _between(name: str, value: object, low: float, high: float, *, ends: bool = True) -> _Asked:
    """Ask for a finite number between two ends, or strictly between them."""
    good = _within(value, low, high) and (ends or value not in (low, high))
    above = f"{low:g} or more" if ends else f"above {low:g}"
    if np.isfinite(high):
        said = f"from {low:g} to {high:g}" if ends else f"between {low:g} and {high:g}"
    else:
        said = above if np.isfinite(low) else "finite"
    return good, f"{name}={value!r}", f"{name}: a number, {said}"


def _check(where: str, asked: list[_Asked]) -> None:
    """Refuse parameters that make no process, all by name, and say what each must be."""
    wrong = [(found, needed) for good, found, needed in asked if not good]
    if wrong:
        raise DesignError(
            needed="; ".join(needed for _, needed in wrong),
            found=", ".join(found for found, _ in wrong),
            where=where,
            todo="see the parameters in its docstring",
        )
