"""The contrast study: two sites against two, on scale scores of individuals."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from didkit.check.breakdown import pooled_shocks
from didkit.check.contrast_reference import Reference, ranked, reference_sites
from didkit.design import Design
from didkit.design.shown import counted
from didkit.errors import InferenceError, is_number, is_whole
from didkit.inference import DonaldLang
from didkit.inference.assignments import assignments
from didkit.inference.samples import TwoSamples, two_samples
from didkit.panel import Metric, Panel
from didkit.results import Estimate, Finding, tables
from didkit.results.tables import signed

__all__ = ["ContrastStudy", "between_sites", "detectable_in_sds"]

Floats = NDArray[np.float64]
Standardise = Literal["no", "individuals"]
_MOST = 3
NEEDS = "needs equal-variance normal site shocks"


@dataclass(frozen=True)
class ContrastStudy:
    """What two sites against two can say, and what they cannot.

    The sites' paths, the pooled t with what it needs, the rank of the contrast among contrasts of
    other sites, the sites' changes shrunken by their sampling error, and the shocks of one site
    that would undo it. For a difference-in-differences or a gap with at most three pilots and
    three comparators.

    Parameters
    ----------
    reference : Design or (Panel, metric), optional
        Many other sites in the same periods; the contrast is ranked among all contrasts of as many
        sites, theirs and the study's together. Of a design only the comparators serve, in the
        estimate's metric.
    level : float, default 0.95
        Of the interval of the pooled t.
    standardise : {"no", "individuals"}
        A reference in another metric is refused, unless changes of both are divided by the
        standard deviation of individuals before the start (``wai_sd`` of `site_means`).
    draws : int, default 99,999
        If there are no more contrasts than this, all are listed; otherwise so many are drawn.
    seed : int, default 0
        Of the generator.

    Notes
    -----
    *Pooled t* (Donald & Lang 2007): n1 + n0 − 2 degrees of freedom; it needs equal-variance normal
    site shocks, which two sites an arm cannot show.

    *Rank*: the share of contrasts at least as far from zero, ties counted. It is a p-value only
    if all sites' changes are exchangeable without a programme, which has to be argued.

    *Shrinkage* is a description, not a test: changes d_j with sampling variance v_j, from the
    numbers and standard deviations of individuals as if all answers were independent; the
    variance between sites of one arm, τ², by the moment estimator of DerSimonian & Laird (1986)
    within arms; shrunken towards the arm's mean by τ²/(τ² + v_j). With two sites an arm τ² is
    hardly known.

    *Shock*: the least shift of one site that changes whether zero is in the interval of the
    pooled t (as in `Breakdown`), and the one that makes the contrast zero.

    References
    ----------
    Donald & Lang (2007); DerSimonian & Laird (1986).

    Examples
    --------
    >>> import pandas as pd
    >>> import didkit as dk
    >>> frame = pd.DataFrame({"site": [*"ABCD"] * 2, "year": [2018] * 4 + [2019] * 4})
    >>> frame["wai"] = [50.0, 51, 50, 49, 58, 61, 52, 50]
    >>> panel = dk.Panel.from_frame(
    ...     frame, unit="site", period="year", metrics=["wai"], identity="any"
    ... )
    >>> rollout = dk.Rollout({"A": 2019, "B": 2019})
    >>> design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    >>> found = dk.DiD().fit(design, "wai").check(dk.ContrastStudy())
    >>> found.facts["estimate"], round(found.facts["least_p"], 3), found.facts["df"]
    (7.5, 0.333, 2.0)
    """

    reference: Design | tuple[Panel, str | Metric] | None = None
    level: float = 0.95
    standardise: Standardise = field(default="no", kw_only=True)
    draws: int = field(default=99_999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        given: Any = self.reference
        pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Panel)
        if not (given is None or isinstance(given, Design) or pair):
            raise InferenceError(
                needed="a Design, or a panel and a metric of it",
                found=type(given).__name__,
                where="ContrastStudy(reference=)",
                todo="write reference=(panel, 'wai')",
            )
        if not is_number(self.level) or not 0 < self.level < 1:
            raise InferenceError(
                needed="a level between 0 and 1",
                found=repr(self.level),
                where="ContrastStudy(level=)",
                todo="0.95 is usual",
            )
        if self.standardise not in get_args(Standardise):
            raise InferenceError(
                needed="standardise='no' or 'individuals'",
                found=repr(self.standardise),
                where="ContrastStudy(standardise=)",
                todo="choose one",
            )
        for name, least in (("draws", 99), ("seed", 0)):
            value = getattr(self, name)
            if not is_whole(value) or value < least:
                raise InferenceError(
                    needed=f"a whole number, at least {least}",
                    found=repr(value),
                    where=f"ContrastStudy({name}=)",
                    todo="99,999 draws and seed 0 are usual",
                )

    def run(self, estimate: Estimate) -> Finding:
        """Put together what the study can say of its main term.

        Returns
        -------
        Finding
            Table, one row a site: ``unit, name, arm, before, after, change`` (the metric's unit),
            ``n_before, n_after, sampling_sd, shrunken`` (empty where the panel has no ``…_n`` and
            ``…_sd``), ``shock`` (∞ where none was found, empty where
            the pooled t does not exist) and ``shock_to_zero``. Facts:
            ``estimate, conf_low, conf_high, p_value, df, level, least_p, detectable_sds, rank_p,
            n_contrasts, mc_error, n_reference, site_sd`` (of changes within arms), ``sampling_sd``
            (root mean square), ``between_sd, smallest_shock``; NaN where it does not apply.

        Raises
        ------
        InferenceError
            If there are more than three sites in an arm, the term is not a difference of two
            means of one number a site, or the reference is in another metric or lacks periods.
        """
        m = estimate.place_of(None, where="ContrastStudy")
        _refuse_many(estimate, m)
        both = two_samples(estimate, m, "ContrastStudy")
        pooled = estimate.infer(DonaldLang(), level=self.level)
        sure = pooled.attached
        n1, n0 = len(both.pilots), len(both.comparators)
        shocks = pooled_shocks(both, self.level)
        if np.isnan(sure.conf_low[m]):  # no spread within arms: no interval that could change
            shocks = np.full(len(shocks), np.nan)
        windows = _windows(estimate, m)
        table, between = _sites(estimate, both, windows, shocks)
        value = float(estimate.values[m])
        made = assignments(estimate.sample, draws=1000, seed=0, assignable=estimate.assignable)
        found = self.ranked(estimate)
        sds = detectable_in_sds(n1, n0, level=self.level)
        facts = {
            "estimate": value,
            "conf_low": float(sure.conf_low[m]),
            "conf_high": float(sure.conf_high[m]),
            "p_value": float(sure.p_value[m]),
            "df": float(n1 + n0 - 2),
            "level": float(self.level),
            "least_p": float(made.least_p),
            "detectable_sds": sds,
            "rank_p": float("nan") if found is None else found.p_value,
            "n_contrasts": float("nan") if found is None else float(len(found.contrasts)),
            "mc_error": float("nan") if found is None else found.mc_error,
            "n_reference": float("nan") if found is None else float(found.n_sites),
            "site_sd": float(np.sqrt(_residual(both))),
            "sampling_sd": float(np.sqrt((table["sampling_sd"] ** 2).mean(skipna=False))),
            "between_sd": between,
            "smallest_shock": float(np.min(np.abs(shocks))),
        }
        return Finding(
            check=self,
            estimate=pooled,
            question="What can so few sites say?",
            headline=_headline(facts, n1, n0, table),
            table=table,
            facts=facts,
            notes=(*_notes(facts, n1, n0, found),),
            cannot_show="whether the few sites differ from others for a reason other than the "
            "programme",
        )

    def ranked(self, estimate: Estimate) -> Reference | None:
        """Rank the contrast of the main term among those of the reference; None without one.

        Returns
        -------
        Reference
            With every contrast, for a picture.

        Raises
        ------
        InferenceError
            As `run`.
        """
        if self.reference is None:
            return None
        m = estimate.place_of(None, where="ContrastStudy")
        both = two_samples(estimate, m, "ContrastStudy")
        form = _form(_windows(estimate, m), estimate)
        others = reference_sites(estimate, self.reference, form, self.standardise)
        return ranked(both, others, draws=int(self.draws), seed=int(self.seed))


def _refuse_many(estimate: Estimate, m: int) -> None:
    """Refuse where the design itself can carry a test."""
    n1, n0 = (int(estimate.terms[f"n_{arm}"].iloc[m]) for arm in ("pilots", "comparators"))
    if n1 > _MOST or n0 > _MOST:
        raise InferenceError(
            needed=f"at most {_MOST} pilots and {_MOST} comparators",
            found=f"{counted(n1, 'pilot')} and {counted(n0, 'comparator')}",
            where="ContrastStudy",
            todo="use .infer(), which chooses a method for this many sites, and Breakdown()",
        )
    if n1 + n0 < _MOST:
        raise InferenceError(
            needed="at least three sites",
            found=f"{n1} pilot and {n0} comparator",
            where="ContrastStudy",
            todo="one site against one has no spread to hold its difference against; show paths",
        )


def _windows(estimate: Estimate, m: int) -> NDArray[np.float64] | None:
    """Return each site's own weights of periods, rows in the sample's order; None without any."""
    if estimate.weights is None:
        return None
    own, sample = estimate.weights[m], estimate.sample
    n1, n0 = (int(estimate.terms[f"n_{arm}"].iloc[m]) for arm in ("pilots", "comparators"))
    made: Floats = own * np.where(sample.pilot, n1, -n0)[:, None]
    return made


def _form(windows: Floats | None, estimate: Estimate) -> Floats:
    """Return the weights of periods that all sites share, or refuse."""
    used = None if windows is None else windows[(np.abs(windows) > 0).any(axis=1)]
    if used is None or np.abs(used - used[0]).max() > 1e-9:
        raise InferenceError(
            needed="one start and every cell of the sites, so that all changes are alike",
            found=f"other windows for some site of {estimate.estimator!r}",
            where="ContrastStudy(reference=)",
            todo="choose periods that every site has, or leave reference= out",
        )
    form: Floats = used[0]
    return form


def _sites(
    estimate: Estimate, both: TwoSamples, windows: Floats | None, shocks: Floats
) -> tuple[pd.DataFrame, float]:
    """Lay out one row a site, and return the standard deviation between sites of one arm."""
    sample = estimate.sample
    at = np.concatenate([both.pilot_at, both.comparator_at])
    change = np.concatenate([both.pilots, both.comparators])
    pilot = sample.pilot[at]
    own = np.zeros((len(at), len(sample.periods))) if windows is None else windows[at]
    count, variance = _sampling(estimate, at, own)
    cells = np.where(own == 0, 0.0, sample.y[at])
    tau2, shrunken = between_sites(change, variance, pilot)
    n1, n0 = len(both.pilots), len(both.comparators)
    value = both.pilots.mean() - both.comparators.mean()
    table = pd.DataFrame(
        {
            "unit": [sample.units[j] for j in at],
            "name": [sample.names[j] for j in at],
            "arm": np.where(pilot, "pilot", "comparator"),
            "before": _mean(cells, -own),
            "after": _mean(cells, own),
            "change": change,
            "n_before": np.where(own < 0, count, 0).sum(axis=1),
            "n_after": np.where(own > 0, count, 0).sum(axis=1),
            "sampling_sd": np.sqrt(variance),
            "shrunken": shrunken,
            "shock": shocks,
            "shock_to_zero": np.where(pilot, -n1 * value, n0 * value),
        }
    )
    return table, math.sqrt(tau2)


def _residual(both: TwoSamples) -> float:
    """Return the variance of the sites' changes within arms, n1 + n0 − 2 degrees of freedom."""
    arms = (both.pilots, both.comparators)
    within = sum(float(((arm - arm.mean()) ** 2).sum()) for arm in arms)
    return within / (len(both.pilots) + len(both.comparators) - 2)


def _mean(cells: Floats, weight: Floats) -> Floats:
    """Average cells by the weights above zero; NaN where there are none."""
    up = np.maximum(weight, 0.0)
    total = up.sum(axis=1)
    made: Floats = np.divide(
        (up * cells).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0
    )
    return made


def _sampling(estimate: Estimate, at: NDArray[np.intp], own: Floats) -> tuple[Floats, Floats]:
    """Return answers in each cell and the sampling variance of each site's change; NaN if unknown.

    v_j = Σ_t w_t² s_jt² / n_jt, as if all answers were independent.
    """
    panel, sample = estimate.design.panel, estimate.sample
    n, sd = (f"{estimate.metric.name}{end}" for end in ("_n", "_sd"))
    if n not in panel.metrics or sd not in panel.metrics:
        return np.full(own.shape, np.nan), np.full(len(at), np.nan)
    rows = [panel.unit_ids.index(sample.units[j]) for j in at]
    cols = [panel.calendar.position(label) for label in sample.periods]
    count = panel.cells(n).value[np.ix_(rows, cols)]
    spread = panel.cells(sd).value[np.ix_(rows, cols)]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(own == 0, 0.0, own**2 * spread**2 / count)
    variance = part.sum(axis=1)
    return np.nan_to_num(count), np.where(np.isfinite(variance) & (variance > 0), variance, np.nan)


def between_sites(
    change: Floats, variance: Floats, group: NDArray[np.bool_]
) -> tuple[float, Floats]:
    """Estimate the variance between sites of one group, and shrink changes to the group's mean.

    Parameters
    ----------
    change : array (n,)
        Changes of the sites.
    variance : array (n,)
        Their sampling variances, above zero.
    group : bool array (n,)
        The arm of each site.

    Returns
    -------
    (float, array (n,))
        τ² (DerSimonian & Laird's moment estimator, within groups; not below zero) and the
        shrunken changes; NaN where a variance is not known or no group has two sites.

    Examples
    --------
    Far apart for their sampling error, they stay; close together, they meet.

    >>> far = between_sites(np.array([0.0, 10.0]), np.array([0.1, 0.1]), np.array([True, True]))
    >>> far[1].round(2).tolist()
    [0.01, 9.99]
    >>> between_sites(np.array([0.0, 1.0]), np.array([4.0, 4.0]), np.array([True, True]))[1]
    array([0.5, 0.5])
    """
    members = [np.flatnonzero(group == which) for which in (True, False)]
    members = [own for own in members if len(own)]
    df = len(change) - len(members)
    if df < 1 or not np.isfinite(variance).all():
        return float("nan"), np.full(len(change), np.nan)
    weight = 1 / variance
    q = scale = 0.0
    for own in members:
        w = weight[own]
        centre = (w @ change[own]) / w.sum()
        q += float(w @ (change[own] - centre) ** 2)
        scale += float(w.sum() - (w**2).sum() / w.sum())
    tau2 = max(0.0, (q - df) / scale)
    made = np.empty(len(change))
    for own in members:
        w = 1 / (tau2 + variance[own])
        centre = (w @ change[own]) / w.sum()
        made[own] = centre + tau2 / (tau2 + variance[own]) * (change[own] - centre)
    return tau2, made


def detectable_in_sds(n1: int, n0: int, *, level: float = 0.95, power: float = 0.8) -> float:
    """Return the effect that a pooled t finds with this power, in SDs of the sites' changes.

    The distribution of the pooled standard deviation is integrated over 20,000 quantiles.

    Parameters
    ----------
    n1, n0 : int
        Pilots and comparators, together at least three.
    level, power : float
        The test rejects at 1 − level; probability of finding the effect.

    Examples
    --------
    >>> round(detectable_in_sds(2, 2), 1)
    5.7
    """
    from scipy.optimize import brentq

    df = n1 + n0 - 2
    u = (np.arange(20_000) + 0.5) / 20_000
    limit = scipy.special.stdtrit(df, (1 + level) / 2)
    reach = limit * np.sqrt(scipy.special.chdtri(df, u) / df)

    def short(size: float) -> float:
        shift = size / math.sqrt(1 / n1 + 1 / n0)
        up, down = scipy.special.ndtr(shift - reach), scipy.special.ndtr(-shift - reach)
        return float((up + down).mean()) - power

    return float(brentq(short, 0.0, 1e4))


def _headline(facts: dict[str, float], n1: int, n0: int, table: pd.DataFrame) -> str:
    """Say the contrast, the pooled interval with its label, and the least p."""
    changes = ", ".join(
        f"{row['name']} {signed(float(row['change']))}" for row in table.to_dict("records")
    )
    rank = facts["rank_p"]
    among = (
        ""
        if np.isnan(rank)
        else f" Among {facts['n_contrasts']:,.0f} contrasts of {facts['n_reference']:.0f} "
        f"reference sites and these, {rank:.1%} are as far from zero."
    )
    pooled = (
        "No pooled t: changes within the arms do not differ"
        if np.isnan(facts["conf_low"])
        else f"Pooled t ({NEEDS}): {signed(facts['conf_low'])} to {signed(facts['conf_high'])}"
    )
    return (
        f"{n1} against {n0}: a contrast of {signed(facts['estimate'])} ({changes}). "
        f"{pooled}.{among} No "
        f"rearrangement of these sites can give a p below {tables.number(facts['least_p'])}."
    )


def _notes(facts: dict[str, float], n1: int, n0: int, found: Reference | None) -> list[str]:
    """Say what the numbers need, and what does not exist."""
    alpha = 1 - facts["level"]
    made = [f"pooled t, {n1 + n0 - 2} degrees of freedom: {NEEDS}, which so few cannot show"]
    if np.isnan(facts["conf_low"]):
        made = [
            "the changes of the sites of each arm are the same number: no pooled t, no interval, "
            "and so no shock that would change it"
        ]
    if facts["least_p"] > alpha + 1e-12:
        made.insert(
            0,
            f"no distribution-free test at {alpha:.0%} exists for {n1} sites against {n0}: the "
            f"least p that handing the programme out otherwise can give is "
            f"{tables.number(facts['least_p'])}",
        )
    made.append(
        f"an effect of {facts['detectable_sds']:.1f} standard deviations of sites' changes would "
        "be found by the pooled t with probability 80%, if what it needs holds"
    )
    if facts["site_sd"] < facts["sampling_sd"] and not np.isnan(facts["conf_low"]):
        made.append(
            f"changes of sites of one arm differ by less (SD {tables.number(facts['site_sd'])}) "
            "than the sampling of individuals alone would let them "
            f"({tables.number(facts['sampling_sd'])}), and the interval of the pooled t is short "
            "for that reason"
        )
    if np.isnan(facts["between_sd"]):
        made.append("no shrinkage: the panel has no number and spread of individuals (site_means)")
    else:
        made.append(
            "shrunken changes are a description, not a test: sampling variances take all answers "
            "as independent, and the spread between sites rests on "
            f"{n1 + n0 - 2} degrees of freedom"
        )
    if found is not None:
        made += [*found.notes]
    return made
