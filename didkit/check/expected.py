"""Power by formula: from given variation, or from that of the periods before the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from didkit.check.curves import (
    QUESTION,
    Counts,
    Size,
    check_effects,
    headline,
    laid_out,
    level_before,
    sizes,
    smallest,
    summed_up,
    window_of,
)
from didkit.check.power import Power
from didkit.check.variation import Variation
from didkit.design.shown import counted
from didkit.errors import InferenceError, is_number, kind_of
from didkit.inference.arms import closed_form_df
from didkit.inference.student import t_quantile

if TYPE_CHECKING:
    from didkit.check.detectable_effect import DetectableEffect
    from didkit.design import Design
    from didkit.panel import Metric

__all__ = ["before", "expected", "power_of_t", "standard_error"]

Floats = NDArray[np.float64]
Test = Literal["CR2", "pooled"]
Multiplier = Literal["noncentral", "Bloom"]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)


def power_of_t(shift: Floats | float, df: float, level: float = 0.95) -> Floats:
    """Probability that a two-sided t test rejects an effect of `shift` standard errors.

    The noncentral t, both tails: ``E[Φ(δ − c·s) + Φ(−δ − c·s)]`` over ``s² ~ χ²(df)/df``, by
    quadrature over the quantiles of χ²: SciPy's own noncentral t is NaN far in its tails.

    Parameters
    ----------
    shift : float or array
        Effect over the true standard error.
    df : float
        Degrees of freedom of the estimated standard error, above 0.
    level : float
        The test rejects at 1 − level.

    Examples
    --------
    >>> power_of_t([0.0, 2.8], 1e6).round(3).tolist()
    [0.05, 0.8]
    """
    size = np.abs(np.asarray(shift, dtype=float))[..., None]
    limit = float(t_quantile((1 + level) / 2, np.array(df))) * _spread(float(df))
    found = scipy.special.ndtr(size - limit) + scipy.special.ndtr(-size - limit)
    return np.asarray((found * _WEIGHTS / 2).sum(axis=-1))


@lru_cache(maxsize=64)
def _spread(df: float) -> Floats:
    """Estimated over true standard error at the nodes."""
    return np.asarray(np.sqrt(scipy.special.chdtri(df, (1 + _NODES) / 2) / df))


def standard_error(variation: Variation, size: Size) -> float:
    """Standard error of the difference in long differences, before any data.

    ``√((1/n1 + 1/n0) · c'Σc)``, c a mean over the periods after less a mean over those before, Σ
    the covariance of consecutive periods. The lasting level cancels. For any Σ that is alike in
    all units it is equation 2 of Burlig, Preonas & Woerman (2020), written there with the mean
    covariances within the periods before, within those after, and across; with no serial
    correlation ``σ² (1/before + 1/after)``.

    Examples
    --------
    >>> standard_error(Variation(between=9, within=2), Size(2, 2, 4, 4))
    1.414...
    """
    contrast = np.repeat([-1 / size.before, 1 / size.after], [size.before, size.after])
    return float(
        np.sqrt(variation.variance_of(contrast) * (1 / size.pilots + 1 / size.comparators))
    )


def expected(
    self: DetectableEffect,
    variation: Variation,
    *,
    pilots: Counts,
    comparators: Counts,
    before: Counts,
    after: Counts,
    test: Test = "CR2",
    multiplier: Multiplier = "noncentral",
    effects: Sequence[float] | None = None,
    base: float | None = None,
) -> Power:
    """Compute the smallest detectable effect by formula, from numbers alone.

    Parameters
    ----------
    variation : Variation
        Of the outcome; ``Variation.from_icc(sd, icc, ar1)`` makes it from those.
    pilots, comparators, before, after : whole number or several
        Units, and periods before and from the start on. Every combination is a design.
        Comparators may be a fraction: an effective number.
    test : {"CR2", "pooled"}
        ``"CR2"``: each arm has its own spread, Bell–McCaffrey degrees of freedom.
        ``"pooled"``: one spread for both, ``n1 + n0 − 2``: smaller effects, at the price that
        the test is wrong when pilots are noisier. With one pilot, or one comparator, only the
        pooled test exists; it is used and noted.
    multiplier : {"noncentral", "Bloom"}
        ``"noncentral"`` t, or Bloom's ``t(1−α/2) + t(power)``.
    effects : sequence of float, optional
        Sizes at which to tell the power; by default only the detectable one.
    base : float, optional
        Level of the outcome, for percentages.

    Returns
    -------
    Power
        Table with ``std_error`` and ``df``.

    Raises
    ------
    InferenceError
        If a number is out of range, or no degree of freedom is left (one against one).

    Notes
    -----
    One effect, the same in all pilots and periods; normal outcomes, one variation in both arms,
    balanced, one start. Then the pooled test is exact with the noncentral t, CR2 nearly so. Bloom's
    sum is smaller by 0.1 % at 9 v 141, 1 % at 5 v 145, 5 % at 3 v 147 and at 2 v 2: too small where
    degrees of freedom are few, so the noncentral t is the default. The tests hold it to
    simulations. It fails where outcomes are skewed or the variation itself is uncertain: an AR1
    from four periods is hardly known. See `resampled`.

    References
    ----------
    Bloom (1995); Burlig, Preonas & Woerman (2020), equation 2; Bell & McCaffrey (2002).

    Examples
    --------
    >>> from didkit.check import DetectableEffect
    >>> made = DetectableEffect().expected(
    ...     Variation.from_icc(20, 0.7, 0.3), pilots=[3, 9], comparators=140, before=5, after=3
    ... )
    >>> made.table["detectable"].round(1).tolist()
    [29.7, 10.1]
    """
    if not isinstance(variation, Variation):
        raise InferenceError(
            needed="a Variation, such as Variation.from_icc(sd, icc, ar1)",
            found=kind_of(variation),
            where="DetectableEffect.expected",
            todo="from a design: DetectableEffect().before(design, metric)",
        )
    level = float("nan") if base is None else base
    if base is not None and not (is_number(base) and np.isfinite(base) and base):
        raise InferenceError(
            needed="base=, the level of the outcome: a number other than 0",
            found=repr(base),
            where="DetectableEffect.expected",
            todo="leave it out where percentages mean nothing",
        )
    _check_options(test, multiplier)
    at = check_effects(effects)
    designs = sizes(pilots, comparators, before, after)
    table = laid_out([_rows(self, variation, one, test, multiplier, at) for one in designs], level)
    made = Power(
        check=self,
        how="expected",
        question=QUESTION,
        headline="",
        table=table,
        facts=summed_up(self, table, level),
        notes=(
            f"standard deviation between units {variation.between:.4g}, within "
            f"{variation.within:.4g}, AR1 {variation.ar1:.3g} (ICC {variation.icc:.2f})",
            *_notes(designs, test),
        ),
    )
    return replace(made, headline=headline(self, made.designs(), None))


def before(
    self: DetectableEffect,
    design: Design,
    metric: str | Metric,
    *,
    pilots: Counts | None = None,
    comparators: Counts | None = None,
    before: Counts | None = None,
    after: Counts | None = None,
    variation: Variation | None = None,
    test: Test = "CR2",
    multiplier: Multiplier = "noncentral",
    effects: Sequence[float] | None = None,
) -> Power:
    """Compute it by formula, the variation and the numbers being those of a design.

    No cell from the first start on is looked at, so it can be asked before the data are there.

    Parameters
    ----------
    design : Design
        With its window; periods to come may be empty in the panel.
    metric : str or Metric
        A metric of its panel.
    pilots, comparators, before, after : whole number or several, optional
        As in `expected`; by default the design's own. Of matched sets the comparators are their
        effective number: 1 over the sum of squared weights in the estimate.
    variation : Variation, optional
        By default ``Variation.of(design, metric)``.
    test, multiplier, effects
        As in `expected`.

    Returns
    -------
    Power
        Percentages are of the comparators' mean before the first start.

    Raises
    ------
    InferenceError
        As `expected` and ``Variation.of``; or if pilots serve as comparators in matched sets.

    Notes
    -----
    As `expected`. That matched comparators follow their pilots more closely than others do is
    not in it, nor that staggered pilots have other windows than most.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> dk.DetectableEffect().before(design, "cpp").facts["pilots"]
    10.0
    """
    kind = design.panel.metric(metric)
    found = Variation.of(design, kind) if variation is None else variation
    n_before, n_after, alike = window_of(design)
    mine, said = _comparators(design)
    base = level_before(design, kind)
    made = expected(
        self,
        found,
        pilots=len(design.pilots) if pilots is None else pilots,
        comparators=mine if comparators is None else comparators,
        before=n_before if before is None else before,
        after=n_after if after is None else after,
        test=test,
        multiplier=multiplier,
        effects=effects,
        base=base if np.isfinite(base) and base else None,
    )
    notes = list(made.notes)
    if variation is None:
        notes.append("this variation is estimated from the periods before the first start")
        notes += found.notes
    if said and comparators is None:
        notes.append(said)
    if not alike and before is None and after is None:
        notes.append("starts are staggered: the window is that of the start most pilots share")
    return replace(
        made,
        how="before",
        headline=headline(self, made.designs(), kind),
        notes=tuple(notes),
        metric=kind,
    )


def _comparators(design: Design) -> tuple[float, str]:
    """Return the (effective) number of comparators, and a note where it is effective."""
    sets = design.sets
    if set(design.pilots) & set(design.comparators):
        raise InferenceError(
            needed="comparators that are not pilots",
            found=f"{len(set(design.pilots) & set(design.comparators))} that are both",
            where="DetectableEffect.before",
            todo="they carry the effect themselves: leave include_pilots=True out, or use "
            "DetectableEffect().simulated(design, metric)",
        )
    if sets is None:
        return float(len(design.comparators)), ""
    total = dict.fromkeys(design.comparators, 0.0)
    for members in sets.values():
        for unit, weight in members.items():
            total[unit] += weight / len(sets)
    effective = 1 / sum(weight**2 for weight in total.values())
    return (
        effective,
        f"the {len(total)} comparators of the matched sets weigh as much as {effective:.1f} "
        "weighed alike",
    )


def _check_options(test: str, multiplier: str) -> None:
    if test not in ("CR2", "pooled") or multiplier not in ("noncentral", "Bloom"):
        raise InferenceError(
            needed="test='CR2' or 'pooled', multiplier='noncentral' or 'Bloom'",
            found=f"test={test!r}, multiplier={multiplier!r}",
            where="DetectableEffect",
            todo="leave them out for the usual ones",
        )


def _alone(size: Size) -> bool:
    """Whether an arm of one unit has no spread of its own."""
    return size.pilots < 2 or size.comparators < 2


def degrees(size: Size, test: Test) -> float:
    """Return the degrees of freedom of a design's test.

    Raises
    ------
    InferenceError
        If none is left.
    """
    n1, n0 = float(size.pilots), float(size.comparators)
    if test == "pooled" or _alone(size):
        df = n1 + n0 - 2
    else:
        df = float(closed_form_df(np.array([n1]), np.array([n0]))[0])
    if not df > 0:
        raise InferenceError(
            needed="more than one unit in one of the arms: otherwise nothing tells the noise",
            found=f"{counted(size.pilots, 'pilot')} and {size.comparators:g} comparator"
            + ("" if size.comparators == 1 else "s"),
            where="DetectableEffect",
            todo="no test exists for this design; add comparators",
        )
    return df


def _rows(
    check: DetectableEffect,
    variation: Variation,
    size: Size,
    test: Test,
    multiplier: Multiplier,
    effects: Floats | None,
) -> pd.DataFrame:
    """Return the rows of one design."""
    error, df = standard_error(variation, size), degrees(size, test)
    bloom = float(t_quantile((1 + check.level) / 2, np.array(df))) + float(
        t_quantile(check.power, np.array(df))
    )
    times = bloom
    if multiplier == "noncentral":
        times = smallest(lambda x: float(power_of_t(x, df, check.level)), check.power, bloom)
    at = np.array([times * error]) if effects is None else effects
    power = np.array([check.power]) if effects is None else power_of_t(at / error, df, check.level)
    return pd.DataFrame(
        {
            **size._asdict(),
            "effect": at,
            "power": power,
            "mc_error": 0.0,
            "detectable": times * error,
            "std_error": error,
            "df": df,
        }
    )


def _notes(designs: list[Size], test: Test) -> list[str]:
    made = ["by formula: normal, the same variation in both arms, one effect for all"]
    if test == "CR2" and any(_alone(one) for one in designs):
        made.append(
            "an arm of one unit has no spread of its own: the other arm's stands for it (pooled t)"
        )
    return made
