"""Contamination: comparators that use the practice, and pilots that had it before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import DidkitError, InferenceError, first_few, is_number
from didkit.results import Estimate, Finding
from didkit.results.tables import number, signed, unit_of

__all__ = ["ADDITIVE", "AS_ESTIMATED", "SHARE", "WITHOUT", "Contamination"]

AS_ESTIMATED = "as estimated"
SHARE = "share of the effect"
WITHOUT = "without contaminated comparators"
ADDITIVE = "one unit in every contaminated cell"

_COLUMNS = ["scenario", "term", "share", "estimate", "conf_low", "conf_high", "weight"]
_TINY = 1e-9  # of a sum of weights, which are shares
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contamination:
    """Ask what an estimate would stand for had the practice worked outside the programme too.

    Parameters
    ----------
    shares : tuple of float, default (0.25, 0.5, 0.75, 1.0)
        How much of the effect is supposed in the cells that the rollout marks as contaminated:
        comparators that use the practice, pilots that had the programme before their start.

    Notes
    -----
    An estimate linear in the outcome is a weighted sum of cells. With an effect t in every treated
    cell and s × t in every contaminated one its mean is t × (a + s × c), a and c being the sums of
    the weights on those cells, so that t = estimate / (a + s × c). For a difference in
    differences a is 1 and c is negative where comparators took the practice up. Where a + s × c
    is not above zero, no effect follows from the estimate (NaN). The interval is divided by the
    same number. What does not change cancels out: of a comparator that used the practice
    throughout, c is 0 whatever the practice did there.

    It fails when the effect differs between authorities or grows, and for units that nobody
    marked. Leaving the marked comparators out (one row) needs no such supposition, but takes
    authorities out that may be the most alike.

    Examples
    --------
    >>> import pandas as pd
    >>> import didkit as dk
    >>> frame = pd.DataFrame(
    ...     {
    ...         "la": ["303", "304", "305"] * 2,
    ...         "year": [2018] * 3 + [2019] * 3,
    ...         "cin": [300, 350, 370, 290, 345, 370],
    ...     }
    ... )
    >>> panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> rollout = dk.Rollout({"303": 2019}, contaminated={"304": 2019})
    >>> design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    >>> found = dk.DiD().fit(design, "cin").infer(None).check(dk.Contamination(shares=(0.5,)))
    >>> found.table["estimate"].round(10).tolist()
    [-7.5, -10.0, -10.0, -0.5]
    """

    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)

    def __post_init__(self) -> None:
        given: object = self.shares
        good = isinstance(given, tuple | list) and len(given) > 0
        if not good or not all(is_number(s) and np.isfinite(s) and s > 0 for s in self.shares):
            raise InferenceError(
                needed="shares of the effect above zero, such as (0.5, 1.0)",
                found=repr(given),
                where="Contamination(shares=)",
                todo="0 is the estimate as it is, which is always shown; 1 is as much effect as "
                "in treated cells",
            )
        object.__setattr__(self, "shares", tuple(sorted({float(s) for s in self.shares})))

    def run(self, estimate: Estimate) -> Finding:
        """Say what effect the estimate would stand for, by share and without those comparators.

        Returns
        -------
        Finding
            Table ``scenario, term, share, estimate, conf_low, conf_high, weight``, in the metric's
            unit: for each term the estimate as it is (share 0), the effect that it stands for by
            share, the refit without contaminated comparators, and by how much one unit of the
            metric in every contaminated cell moves the estimate. ``weight`` is c, the sum of the
            weights on contaminated cells: the same number, and a note says it in words. Facts of
            the main term: ``estimate, implied`` (share 1), ``weight, without,
            n_contaminated_pilots, n_contaminated_comparators``, and of these ``n_throughout``: used
            it in every period observed, so that it cancels (0 where the estimate has no weights).

        Raises
        ------
        InferenceError
            If no cell of the estimate is marked as contaminated.
        """
        sample = estimate.sample
        marked = sample.contaminated & sample.mask
        if not marked.any():
            known = estimate.design.rollout.contaminated
            raise InferenceError(
                needed="units that are known to use the practice outside the programme",
                found=f"{first_few(known)}, none with such a value in this sample"
                if known
                else "none",
                where=f"Contamination of {sample.metric.name!r}",
                todo="name them: Rollout(…, contaminated={'304': 2017, '305': None})",
            )
        there = marked.any(axis=1)
        users = [u for u, is_one in zip(sample.units, there & ~sample.pilot, strict=True) if is_one]
        n_prior = int((there & sample.pilot).sum())
        without, notes = _without(estimate, users)
        rows: list[dict[str, object]] = []
        main = estimate.place_of(None, where="Contamination")
        c = np.full(estimate.n_terms, np.nan)
        n_throughout = 0
        if estimate.weights is not None:
            c = np.where(marked, estimate.weights, 0.0).sum(axis=(1, 2))
            a = np.where(sample.treated & sample.mask, estimate.weights, 0.0).sum(axis=(1, 2))
            c[np.abs(c) < _TINY], a[np.abs(a) < _TINY] = 0.0, 0.0
            own = np.where(marked, estimate.weights[main], 0.0).sum(axis=1)
            always = (marked == sample.mask).all(axis=1) & there & ~sample.pilot
            n_throughout = int((always & (np.abs(own) < _TINY)).sum())
            notes = [*notes, *_cancelling(sample.units, marked, sample.mask)]
            if c[main]:
                notes.append(_weight_in_words(estimate, float(c[main])))
        else:
            a = c
            notes.append(
                f"{type(estimate.estimator).__name__} against "
                f"{estimate.design.against.describe()} is not linear in the outcome: how an "
                "effect in contaminated cells moves it is not known, only the refit is given"
            )
        for m, term in enumerate(estimate.terms["term"]):
            rows += _rows(estimate, m, str(term), a[m], c[m], self.shares)
            if users:
                rows.insert(
                    len(rows) - (estimate.weights is not None),
                    {"scenario": WITHOUT, "term": term, "share": np.nan, **without[m]},
                )
        implied = _scaled(float(estimate.values[main]), a[main] + c[main])
        if estimate.weights is not None:
            notes += _beyond(estimate, a, c, self.shares)
        facts = {
            "estimate": float(estimate.values[main]),
            "implied": implied,
            "weight": float(c[main]),
            "without": without[main]["estimate"] if users else float("nan"),
            "n_contaminated_pilots": float(n_prior),
            "n_contaminated_comparators": float(len(users)),
            "n_throughout": float(n_throughout),
        }
        table = pd.DataFrame(rows, columns=_COLUMNS)
        mine = table[(table["term"] == estimate.main_term) & (table["scenario"] != ADDITIVE)]
        values = mine["estimate"].dropna()
        return Finding(
            check=self,
            estimate=estimate,
            question="What if the practice worked in comparators, or before the start, as well?",
            headline=_headline(
                facts,
                unit_of(estimate.metric),
                linear=estimate.weights is not None,
                a=float(a[main]),
            ),
            table=table,
            facts=facts,
            notes=tuple(notes),
            cannot_show="how much of the practice was used there, or by whom it is not known",
            alternatives=(float(values.min()), float(values.max())),
        )


def _weight_in_words(estimate: Estimate, c: float) -> str:
    """Say what the weight of the main term means."""
    return (
        f"weight {signed(c)} of {estimate.main_term!r}, the sum of its weights on contaminated "
        "cells: were the metric 1 higher in every one of them, the estimate would be "
        f"{number(abs(c))} {'higher' if c > 0 else 'lower'}"
    )


def _scaled(value: float, by: float) -> float:
    """Divide by a sum of weights; where that is not above zero, nothing follows."""
    return float(value / by) if by > _TINY else float("nan")


def _interval(estimate: Estimate, m: int) -> tuple[float, float]:
    """Return the interval of a term; NaN where there is none."""
    sure = estimate.uncertainty
    if sure is None:
        return float("nan"), float("nan")
    return float(sure.conf_low[m]), float(sure.conf_high[m])


def _rows(
    estimate: Estimate, m: int, term: str, a: float, c: float, shares: tuple[float, ...]
) -> list[dict[str, object]]:
    """Lay out one term: as estimated, by share, and per unit of the metric."""
    value, (low, high) = float(estimate.values[m]), _interval(estimate, m)
    base = {"term": term, "weight": c}
    made: list[dict[str, object]] = [
        {"scenario": AS_ESTIMATED, "share": 0.0, "estimate": value,
         "conf_low": low, "conf_high": high, **base}
    ]  # fmt: skip
    if estimate.weights is None:
        return made
    for share in shares:
        by = a + share * c if a > 0 else 0.0
        made.append(
            {"scenario": SHARE, "share": share, "estimate": _scaled(value, by),
             "conf_low": _scaled(low, by), "conf_high": _scaled(high, by), **base}
        )  # fmt: skip
    made.append(
        {"scenario": ADDITIVE, "share": np.nan, "estimate": c,
         "conf_low": np.nan, "conf_high": np.nan, **base}
    )  # fmt: skip
    return made


def _without(estimate: Estimate, users: list[str]) -> tuple[list[dict[str, float]], list[str]]:
    """Refit without the contaminated comparators: for each term the numbers, and what failed."""
    nan = float("nan")
    nothing = {"estimate": nan, "conf_low": nan, "conf_high": nan, "weight": nan}
    made = [dict(nothing) for _ in range(estimate.n_terms)]
    if not users:
        return made, []
    sure, notes = estimate.uncertainty, []
    try:
        edited = estimate.design
        for unit in users:
            edited = edited.drop(unit)
        refit = estimate.refit(edited).infer(None)
    except DidkitError as error:
        return made, [f"no estimate without {first_few(users)}: {error.found}"]
    if sure is not None and sure.method != "none":
        try:
            refit = refit.infer(sure.inference, level=sure.level)
        except InferenceError as error:
            notes.append(f"no interval without {first_few(users)}: {error.found}")
    place = {term: m for m, term in enumerate(refit.terms["term"])}
    left = refit.sample.contaminated & refit.sample.mask
    for m, term in enumerate(estimate.terms["term"]):
        if term in place:
            k = place[term]
            low, high = _interval(refit, k)
            weight = (
                float(np.where(left, refit.weights[k], 0.0).sum())
                if refit.weights is not None
                else nan
            )
            made[m] = {
                "estimate": float(refit.values[k]),
                "conf_low": low,
                "conf_high": high,
                "weight": weight,
            }
    return made, notes


def _cancelling(
    units: tuple[str, ...], marked: NDArray[np.bool_], mask: NDArray[np.bool_]
) -> list[str]:
    """Name who is contaminated in all its cells: what does not change cancels out."""
    always = (marked == mask).all(axis=1) & mask.any(axis=1)
    found = [u for u, is_one in zip(units, always, strict=True) if is_one]
    if not found:
        return []
    return [
        f"{first_few(found)} used the practice in every period observed: an effect there that "
        "does not change cancels out of a change, one that grows or fades does not, and is not in "
        "these numbers"
    ]


def _beyond(estimate: Estimate, a: Floats, c: Floats, shares: tuple[float, ...]) -> list[str]:
    """Say for which terms and shares nothing follows from the estimate."""
    notes = []
    names = [str(term) for term in estimate.terms["term"]]
    none = [term for term, own in zip(names, a, strict=True) if own <= 0]
    if none:
        notes.append(
            f"{first_few(none)} hold no treated cells on balance: they stand for no effect, "
            "by whatever share"
        )
    far = [
        f"{term} from a share of {number(-own / other)}"
        for term, own, other in zip(names, a, c, strict=True)
        if own > 0 and own + max(*shares, 1.0) * other <= _TINY
    ]
    if far:
        notes.append(
            f"no effect follows from the estimate, as contaminated cells then outweigh treated "
            f"ones: {first_few(far)}"
        )
    return notes


def _headline(facts: dict[str, float], unit: str, *, linear: bool, a: float) -> str:
    """Say the main term in one sentence."""
    n, k = int(facts["n_contaminated_comparators"]), int(facts["n_contaminated_pilots"])
    throughout = int(facts["n_throughout"]) if facts["weight"] else 0
    some = n - throughout
    others = "more" if some else "comparator" if throughout == 1 else "comparators"
    cancels = "cancels" if throughout == 1 else "cancel"
    also = f" ({throughout} {others} throughout, which {cancels})" if throughout else ""
    who = " and ".join(
        [f"{some} comparator{'s' if some != 1 else ''}{also}"] * (some > 0)
        + [f"{k} pilot{'s' if k != 1 else ''} before the start{also * (some == 0)}"] * (k > 0)
    )
    value, out = f"{signed(facts['estimate'])} {unit}", facts["without"]
    those = "those comparators" if n != 1 else "that comparator"
    those = f"all {n} comparators" if throughout and n > 1 else those
    dropped = "" if not np.isfinite(out) else f"; without {those} the estimate is {signed(out)}"
    if not linear:
        return (
            f"{who} used the practice outside the programme. The estimate is {value}"
            f"{dropped or '; a refit without them does not exist'}."
        )
    if a <= 0:
        return (
            f"{who} used the practice outside the programme, but the main term of {value} holds "
            "no treated cells on balance, so that no effect follows from it."
        )
    if facts["weight"] == 0:
        return (
            f"The practice of {who} cancels out: the weights of those cells add up to zero, so "
            f"the estimate of {value} stays{dropped}. This holds for effects that do not change; "
            "of effects that grew or faded it shows nothing."
        )
    if not np.isfinite(facts["implied"]):
        return (
            f"With as much effect in {who} as in treated cells, no effect would follow from the "
            f"estimate of {value}: contaminated cells outweigh treated ones{dropped}."
        )
    return (
        f"With as much effect in {who} as in treated cells, the estimate of {value} would stand "
        f"for an effect of {signed(facts['implied'])}{dropped}."
    )
