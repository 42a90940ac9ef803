"""Processes made of one's own panel: noise calibrated on it, or placebo pilots in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from didkit.check.variation import Variation
from didkit.design import Design, MatchedSets, Rollout, Sample
from didkit.errors import DesignError, InferenceError, first_few, is_number
from didkit.panel import Metric
from didkit.simulate.filled import Drawn, Filled, check_design, check_seed, filled
from didkit.simulate.noises import ar1_path, shocks

__all__ = ["OwnPanel", "PlaceboPanel"]

Floats = NDArray[np.float64]
OwnNoise = Literal["normal", "skewed", "sizes"]


class _Frame(NamedTuple):
    """A design ready to be filled: who has which cells, how much each varies, who is treated."""

    design: Filled
    sample: Sample
    metric: Metric
    level: Floats  # (T,)
    there: NDArray[np.bool_]  # (J, T)
    sd: Floats  # (J,)
    treated: NDArray[np.bool_]  # (J, T)


@dataclass(frozen=True, eq=False)
class OwnPanel:
    """A design of one's own, its cells drawn anew with the variation that its panel had before.

    Pilots, starts, comparators (or sets), missing cells and exposure stay as they are; every cell
    that has a value is drawn: a lasting level, an AR(1), and the mean of its period.

    Parameters
    ----------
    design : Design
        Who is compared with whom. Comparators that it chose by its data are not chosen again.
    metric : str
        A metric of its panel.
    noise : {"normal", "skewed", "sizes"}
        The passing part: normal; ``(χ²₂ − 2)/2``, rescaled; or normal with a variance a + b/M of
        the exposure M.
    effect : float, default 0
        Added to the pilots' treated cells, in the metric's unit.
    variation : Variation, optional
        By default ``Variation.of(design, metric)``.
    of_size : float, optional
        With ``"sizes"``: share of the mean variance that is b/M, from 0 to 1; by default as
        fitted to the panel before the first start.

    Raises
    ------
    PanelError
        If the metric is unknown.
    DesignError
        If the design, the noise, the effect or the share is none, or ``"sizes"`` is asked of a
        panel without exposure.
    InferenceError
        If the variation cannot be estimated.

    Notes
    -----
    The fit of a + b/M is least squares, both 0 or more, of each unit's variance around its mean
    (period effects taken out) on the mean of 1/M, over the periods before the first start; the
    variances are then rescaled to a mean of ``within²``.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> drawn = OwnPanel(design, "cpp", noise="sizes").draw(seed=1)
    >>> drawn.design.pilots == design.pilots
    True
    """

    design: Design
    metric: str
    noise: OwnNoise = "normal"
    effect: float = field(default=0.0, kw_only=True)
    variation: Variation | None = field(default=None, kw_only=True)
    of_size: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_design(self.design, self.metric, "OwnPanel")
        if self.noise not in get_args(OwnNoise):
            raise DesignError(
                needed="noise: " + ", ".join(get_args(OwnNoise)),
                found=repr(self.noise),
                where="OwnPanel(noise=)",
                todo="choose one; for the real numbers with placebo pilots see PlaceboPanel",
            )
        _check_effect(self.effect, "OwnPanel")
        share = self.of_size
        if share is not None and not (
            self.noise == "sizes" and is_number(share) and 0 <= share <= 1
        ):
            raise DesignError(
                needed="of_size= from 0 to 1, with noise='sizes' only",
                found=f"of_size={share!r} with noise={self.noise!r}",
                where="OwnPanel(of_size=)",
                todo="leave it out to have it fitted",
            )
        if self.variation is None:
            object.__setattr__(self, "variation", Variation.of(self.design, self.metric))
        self.design.panel.metric(self.metric)
        if self.noise == "sizes" and _inverse_sizes(self.design, self.metric) is None:
            raise DesignError(
                needed="an exposure (the metric's denominator) for every unit, above 0",
                found="none, or not for all",
                where=f"OwnPanel(noise='sizes'), metric {self.metric!r}",
                todo="join the denominator to the panel, or use noise='normal'",
            )

    def draw(self, seed: int) -> Drawn:
        """Draw the panel.

        Raises
        ------
        DesignError
            If the seed is not a whole number of 0 or more.
        """
        check_seed(seed, "OwnPanel.draw(seed=)")
        rng, it = np.random.default_rng(seed), self._frame
        found = self.variation or Variation.of(self.design, self.metric)
        e = ar1_path(shocks(rng, it.there.shape, skewed=self.noise == "skewed"), found.ar1)
        y = it.level + found.between * rng.standard_normal((len(it.sd), 1)) + it.sd[:, None] * e
        y = np.where(it.there, y + self.effect * it.treated, np.nan)
        design = filled(it.design, it.metric, y, it.sample)
        return Drawn(design, it.metric.name, self.effect)

    def __repr__(self) -> str:
        found = self.variation
        lasts = "" if found is None else f"; {_varies(found)}"
        share = "" if self.of_size is None else f", of_size={self.of_size:.3g}"
        return (
            f"OwnPanel({self.design!r}, {_name(self.metric)!r}, noise={self.noise!r}{share}, "
            f"effect={self.effect:.4g}{lasts})"
        )

    @cached_property
    def _frame(self) -> _Frame:
        found = self.variation or Variation.of(self.design, self.metric)
        kind = self.design.panel.metric(self.metric)
        metric = replace(kind, kind="value", decimals=None)  # a drawn rate may be below zero
        values = self.design.panel.cells(kind).value
        there = np.isfinite(values)
        level = np.where(there, values, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        sd = np.full(len(values), found.within)
        if self.noise == "sizes":
            sd = found.within * np.sqrt(_relative_variance(self.design, self.metric, self.of_size))
        own = Filled.like(self.design)
        filled_in = own.panel.refilled(metric, np.where(there, values, np.nan))
        own = Filled.like(own.on_panel(filled_in))
        return _Frame(
            own, own.sample(metric), metric, level, there, sd, _treated(self.design, kind)
        )


@dataclass(frozen=True, eq=False)
class PlaceboPanel:
    """The panel's own numbers, with pilots drawn among the comparators: nobody was treated.

    The real pilots are left out. As many comparators as there were pilots get their starts, in a
    random order, and are compared as the design compares its pilots.

    Parameters
    ----------
    design : Design
        Against one pool, neighbours or a matching, which find comparators for anybody.
    metric : str
        A metric of its panel.
    effect : float, default 0
        Added to the placebo pilots' cells from their start on, in the metric's unit.

    Raises
    ------
    PanelError
        If the metric is unknown.
    DesignError
        If the design is none; if the comparators are given sets, which no other pilot has; if
        fewer than twice as many comparators as pilots could take their places; or if the effect is
        no number.

    Notes
    -----
    Draws share one panel, so that they are not independent: the Monte Carlo error of a study is
    too small as a statement on other panels, and right as one on this.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> drawn = PlaceboPanel(design, "cpp").draw(seed=1)
    >>> set(drawn.design.pilots) & set(design.pilots)
    set()
    """

    design: Design
    metric: str
    effect: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        check_design(self.design, self.metric, "PlaceboPanel")
        _check_effect(self.effect, "PlaceboPanel")
        self.design.panel.metric(self.metric)
        if isinstance(self.design.against, MatchedSets):
            raise DesignError(
                needed="a design that finds comparators for any pilot",
                found=self.design.against.describe(),
                where="PlaceboPanel",
                todo="give the matching or the neighbours themselves as against=, or Pool()",
            )
        if len(self._candidates) < 2 * len(self.design.pilots):
            raise DesignError(
                needed=f"at least {2 * len(self.design.pilots)} comparators with values in every "
                "period that the pilots' windows need",
                found=first_few(self._candidates),
                where="PlaceboPanel",
                todo="use a wider pool, or OwnPanel",
            )

    def draw(self, seed: int) -> Drawn:
        """Draw the placebo pilots.

        Raises
        ------
        DesignError
            If the seed is not a whole number of 0 or more, or no comparators are found for them.
        """
        check_seed(seed, "PlaceboPanel.draw(seed=)")
        rng, design = np.random.default_rng(seed), self.design
        chosen = rng.choice(len(self._candidates), size=len(design.pilots), replace=False)
        pilots = [self._candidates[i] for i in chosen]
        starts = list(design.starts.values())
        spec = design._spec
        made = Design(
            design.panel,
            Rollout(dict(zip(pilots, starts, strict=True))),
            against=design.against,
            selection="random",
            periods=design.periods,
            exclude={**spec.exclude, **dict.fromkeys(design.pilots, "a real pilot")},
            strata=spec.strata,
            clusters=spec.clusters,
        )
        if self.effect:
            kind = design.panel.metric(self.metric)
            metric = replace(kind, kind="value", decimals=None)
            values = design.panel.cells(kind).value + self.effect * _treated(made, kind)
            made = made.on_panel(design.panel.refilled(metric, values))
        return Drawn(made, self.metric, self.effect)

    @cached_property
    def _candidates(self) -> list[str]:
        """Comparators with a value in every period of the window, in order of id."""
        panel, design = self.design.panel, self.design
        seen = panel.wide(self.metric)[list(design.periods)].notna().all(axis=1)
        barred = set(design.pilots)
        return [unit for unit in sorted(design.comparators) if seen[unit] and unit not in barred]


def _varies(found: Variation) -> str:
    """Write a variation shortly, with as many digits as a reader can use."""
    return f"between={found.between:.3g}, within={found.within:.3g}, ar1={found.ar1:.2f}"


def _name(metric: str | Metric) -> str:
    return metric.name if isinstance(metric, Metric) else metric


def _check_effect(effect: object, where: str) -> None:
    if not (is_number(effect) and np.isfinite(effect)):  # type: ignore[call-overload]
        raise DesignError(
            needed="a finite number, in the metric's unit",
            found=f"effect={effect!r}",
            where=where,
            todo="0 for a true null",
        )


def _treated(design: Design, metric: Metric) -> NDArray[np.bool_]:
    """Cells of pilots from their first treated period on, units × periods of the panel."""
    panel = design.panel
    made = np.zeros((len(panel.unit_ids), len(panel.periods)), dtype=bool)
    place = {unit: i for i, unit in enumerate(panel.unit_ids)}
    for unit, start in design.starts_of(metric).items():
        made[place[unit], panel.calendar.position(start) :] = True
    return made


def _inverse_sizes(design: Design, metric: str) -> Floats | None:
    """Mean of 1/exposure before the first start of the sample's units; None where it lacks."""
    sample = design.sample(metric)
    if sample.exposure is None:
        return None
    before = sample.exposure[:, : min(sample.starts)]
    if not (np.isfinite(before) & (before > 0)).any(axis=1).all():
        return None
    inverse = np.where(before > 0, 1 / np.where(before > 0, before, 1.0), np.nan)
    return np.asarray(np.nanmean(inverse, axis=1))


def _relative_variance(design: Design, metric: str, share: float | None = None) -> Floats:
    """Variance of each unit's passing part over the mean, a + b/M; 1 outside the sample.

    Raises
    ------
    InferenceError
        If no unit has two values before the first start.
    """
    from scipy.optimize import nnls

    sample, inverse = design.sample(metric), _inverse_sizes(design, metric)
    y = sample.y[:, : min(sample.starts)]
    seen = np.isfinite(y)
    use = seen.sum(axis=1) >= 2
    if inverse is None or use.sum() < 3:
        raise InferenceError(
            needed="three units with two values before the first start, and their exposure",
            found=f"{int(use.sum())}",
            where=f"OwnPanel(noise='sizes'), metric {metric!r}",
            todo="use noise='normal'",
        )
    scale = inverse.mean()
    if share is None:
        e = y[use] - np.nanmean(y[use], axis=1, keepdims=True)
        e = e - np.nanmean(e, axis=0)
        spread = np.nansum(e**2, axis=1) / (seen[use].sum(axis=1) - 1)
        terms = np.column_stack([np.ones(int(use.sum())), inverse[use] / scale])
        (a, b), _ = nnls(terms, spread / spread.mean())
    else:
        a, b = 1 - share, share
    fitted = a + b * inverse / scale
    panel = design.panel
    made = np.ones(len(panel.unit_ids))
    place = {unit: i for i, unit in enumerate(panel.unit_ids)}
    made[[place[unit] for unit in sample.units]] = fitted / fitted.mean()
    return made
