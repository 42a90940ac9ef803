"""Pre-trends: whether pilots and comparators moved alike before the start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from didkit.check.prior import prior_in_words
from didkit.errors import InferenceError
from didkit.inference import ClusterRobust, Permutation
from didkit.results import Estimate, Finding, tables

__all__ = ["PreTrends"]


@dataclass(frozen=True)
class PreTrends:
    """Test that all terms before the start are zero together, by the estimate's own inference.

    Notes
    -----
    The covariance of the joint test is that of the printed intervals (cluster-robust: Hotelling's
    T²), or the permutations are the same (permutation: the rank of ``t' S⁻¹ t``); a method that
    tests no terms together (Ferman–Pinto, pooled t) lends the question to permutation of t or to
    CR2, and a note says so. With few
    pilots the test has little power: not rejecting does not show that trends were parallel, and
    reporting an effect only when it does not reject biases that effect (Roth 2022). So the size of
    the largest difference before the start stands beside p.

    References
    ----------
    Roth (2022); Pustejovsky & Tipton (2018) for Hotelling's T².

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design, "cpp").infer(dk.Permutation(draws=199, seed=1))
    >>> 0 < events.check(dk.PreTrends()).facts["p_value"] <= 1
    True
    """

    def run(self, estimate: Estimate) -> Finding:
        """Test the terms before the start.

        Returns
        -------
        Finding
            Table of the terms before the start with their intervals; facts ``statistic, p_value,
            terms, largest`` (largest absolute term, in the metric's unit) and ``slope`` (least
            squares through the terms and the reference, a period), of the terms tested: those
            carried by more than one pilot.

        Raises
        ------
        InferenceError
            If the estimate has no term before the start or no inference.
        """
        before = estimate.terms[estimate.terms["phase"] == "before"]
        sure = estimate.uncertainty
        if estimate.reference is None or before.empty or sure is None:
            raise InferenceError(
                needed="an event study with terms before the start, and an inference",
                found=f"{estimate.estimator!r} with {len(before)} such terms",
                where="PreTrends",
                todo="run it on EventStudy().fit(design, metric) with a period before the "
                "reference",
            )
        by = sure.inference if hasattr(sure.inference, "joint") else _instead(estimate)
        usable = before[before["n_pilots"] > 1] if (before["n_pilots"] > 1).any() else before
        terms = tuple(str(term) for term in usable["term"])
        tested = by.joint(estimate, terms)
        table = estimate.tidy()
        table = table[table["term"].isin(before["term"])].reset_index(drop=True)
        at = [list(estimate.terms["term"]).index(term) for term in terms]
        values = estimate.values[at]
        largest = float(np.max(np.abs(values)))
        times = np.append(usable["position"].to_numpy(dtype=float), estimate.reference["position"])
        slope = float(np.polyfit(times, np.append(values, 0.0), 1)[0])
        notes = []
        if by != sure.inference:
            notes.append(f"{sure.inference!r} tests no terms together: the joint test is {by!r}")
        if len(usable) < len(before):
            notes.append(
                f"terms carried by one pilot ({len(before) - len(usable)}) are neither in the "
                "joint test nor in the largest movement"
            )
        return Finding(
            check=self,
            estimate=estimate,
            question="Did pilots and comparators move alike before the start?",
            headline=(
                f"Before the start the gap had moved by up to "
                f"{tables.with_unit(tables.number(largest), estimate.metric)} from "
                f"where it stood just before; {_together(estimate, len(terms))}: "
                f"{tables.p_equals(tested.p_value)} ({tested.method}). "
                + (
                    "The gap already moved before the start: a change rests on an assumption that "
                    "these data speak against."
                    if tested.p_value <= 1 - sure.level
                    else "Not rejecting does not show that trends were parallel."
                )
            ),
            table=table,
            facts={
                "statistic": tested.statistic,
                "p_value": tested.p_value,
                "terms": float(len(terms)),
                "largest": largest,
                "slope": slope,
            },
            cannot_show="whether trends would have stayed parallel: the terms are of the periods "
            "before the start, and with few pilots the test misses large movements (PreTrendPower "
            "says which)",
            notes=(
                *notes,
                *prior_in_words(estimate.design, "a movement before may be the programme's"),
            ),
        )


def _instead(estimate: Estimate) -> Permutation | ClusterRobust:
    """Choose a joint test for an estimate whose own inference has none."""
    if estimate.reassigned is not None or estimate.exchanged is not None:
        return Permutation("t")
    if estimate.normal is not None:
        return ClusterRobust("CR2")
    raise InferenceError(
        needed="an inference with a joint test",
        found=f"{estimate.attached.inference!r}",
        where="PreTrends",
        todo="use Permutation() or ClusterRobust('CR2'), with a design that admits one of them",
    )


def _together(estimate: Estimate, n: int) -> str:
    periods = "period" if estimate.design.panel.calendar.kind == "declared" else "year"
    return f"test of the {n} earlier {periods}s together" if n > 1 else f"test of one {periods}"
