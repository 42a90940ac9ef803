"""Placebo pilots: what the method finds where there was no programme at all."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import scipy

from didkit.design.shown import counted
from didkit.errors import DesignError, InferenceError, first_few, is_whole
from didkit.inference.assignments import assignments
from didkit.results import Estimate, Finding, tables

__all__ = ["PlaceboPilots"]


@dataclass(frozen=True)
class PlaceboPilots:
    """Leave the pilots out and hand their starts to comparators, many times.

    Parameters
    ----------
    draws : int, default 999
        Placebo designs; if there are no more than this, all of them.
    seed : int, default 0
        Of the generator.

    Notes
    -----
    Unlike the permutation test, the real pilots take no part, so the spread is that of
    comparators only: it does not see pilots that are noisier. ``share_5`` is how often the CR1 t
    test (G − 1 degrees of freedom) at 5 % rejects on these data, where no effect exists.

    References
    ----------
    Bertrand, Duflo & Mullainathan (2004), placebo interventions.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(None)
    >>> found = did.check(dk.PlaceboPilots(draws=99, seed=1))
    >>> 0 <= found.facts["share_as_large"] <= 1
    True
    """

    draws: int = field(default=999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        if type(self.draws) is not int or self.draws < 19:
            raise InferenceError(
                needed="a whole number of draws, at least 19",
                found=repr(self.draws),
                where="PlaceboPilots(draws=)",
                todo="999 is usual",
            )
        if not is_whole(self.seed) or self.seed < 0:
            raise InferenceError(
                needed="a whole number of zero or more as seed",
                found=repr(self.seed),
                where="PlaceboPilots(seed=)",
                todo="0 is usual",
            )

    def run(self, estimate: Estimate) -> Finding:
        """Estimate the main term under placebo pilots.

        Returns
        -------
        Finding
            Table ``draw, estimate, statistic`` (the metric's unit; t with CR1); facts ``actual,
            share_as_large`` (of the placebos, in absolute value), ``sd``, ``share_5``.

        Raises
        ------
        InferenceError
            If comparators are fewer than twice the pilots, refits in bulk do not exist, or pilots
            have no cells from their stop on (as treated), which placebo pilots would have.
        """
        sample = estimate.sample
        n1 = sample.n_pilots
        if estimate.reassigned is None or sample.clustered_above or sample.n_comparators < 2 * n1:
            raise _no_bulk(estimate)
        if sample.left.any():
            raise _shorter(estimate)
        term = estimate.main_term
        m = list(estimate.terms["term"]).index(term)
        actual = float(estimate.values[m])
        placebo = self._without_pilots(estimate)
        if placebo.reassigned is None:
            raise _no_bulk(estimate)
        chosen = assignments(
            placebo.sample, draws=self.draws, seed=self.seed, assignable=placebo.assignable
        )
        drawn = placebo.reassigned(chosen.labels)
        values = drawn.b[:, m]
        n = len(placebo.sample.units)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = values / np.sqrt(drawn.v0[:, m] * n / (n - 1))
        limit = float(scipy.special.stdtrit(n - 1, 0.975))
        as_large = float((np.abs(values) >= abs(actual) * (1 - 1e-9)).mean())
        return Finding(
            check=self,
            estimate=estimate,
            question="What does the method find where there was no programme?",
            headline=(
                f"Among {len(values):,} sets of {n1} placebo pilots, {as_large:.1%} gave an "
                f"estimate at least as far from zero as "
                f"{tables.with_unit(tables.number(actual), estimate.metric)}; their standard "
                f"deviation is {tables.number(float(np.nanstd(values)))}."
            ),
            table=pd.DataFrame(
                {"draw": np.arange(len(values)), "estimate": values, "statistic": statistic}
            ),
            facts={
                "actual": actual,
                "share_as_large": as_large,
                "sd": float(np.nanstd(values)),
                "share_5": float((np.abs(statistic) > limit).mean()),
                "draws": float(len(values)),
            },
            notes=("the real pilots take no part in the placebos",),
            cannot_show="whether the pilots are like those that took their place: they were not "
            "drawn by lot",
            placebos=(float(np.nanmin(values)), float(np.nanmax(values))),
        )

    def _without_pilots(self, estimate: Estimate) -> Estimate:
        """Refit with comparators in the pilots' place and the pilots left out."""
        design, sample = estimate.design, estimate.sample
        stratum = dict(zip(sample.units, sample.strata, strict=True))
        free = [unit for unit in sample.units if unit not in design.starts]
        stand_in: dict[str, str] = {}
        taken: set[str] = set()
        for pilot in (unit for unit in sample.units if unit in design.starts):
            mine = [u for u in free if stratum[u] == stratum[pilot] and u not in taken]
            if not mine:
                raise InferenceError(
                    needed="as many comparators as pilots in every stratum",
                    found=f"too few in the stratum of {pilot!r}",
                    where="PlaceboPilots",
                    todo="use coarser strata, PlaceboStart() or LeaveOneOut()",
                )
            stand_in[pilot] = mine[0]
            taken.add(mine[0])
        edited = design.reassign(design.rollout.moved(stand_in))
        for pilot in design.starts:
            edited = edited.drop(pilot)
        try:
            return estimate.refit(edited)
        except DesignError as error:
            raise InferenceError(
                needed="placebo designs that can be estimated",
                found=error.found,
                where="PlaceboPilots",
                todo=error.todo,
            ) from error


def _shorter(estimate: Estimate) -> InferenceError:
    """Say that placebo pilots would be observed for longer than pilots that left."""
    sample = estimate.sample
    gone = [unit for unit, left in zip(sample.units, sample.left, strict=True) if left]
    return InferenceError(
        needed="placebo pilots that are observed as long as the pilots",
        found=f"pilots without cells from their stop on (as treated): {first_few(gone)}; "
        "placebo pilots would keep theirs, and look less noisy",
        where="PlaceboPilots",
        todo="use design.with_treatment('intention_to_treat'), a window that ends with the first "
        "stop, or Permutation('t')",
    )


def _no_bulk(estimate: Estimate) -> InferenceError:
    """Say what placebo pilots need."""
    sample = estimate.sample
    return InferenceError(
        needed="one pool with at least twice as many comparators as pilots, each its own cluster",
        found=f"{counted(sample.n_pilots, 'pilot')}, "
        f"{counted(sample.n_comparators, 'comparator')}, against "
        f"{estimate.design.against.describe()}",
        where="PlaceboPilots",
        todo="use PlaceboStart() or LeaveOneOut()",
    )
