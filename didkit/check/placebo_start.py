"""Placebo start: whether the method finds an effect before there was a programme."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from didkit.check.prior import prior_in_words
from didkit.errors import DesignError, EstimationError, InferenceError
from didkit.progress import steps
from didkit.results import Estimate, Finding
from didkit.results.tables import signed, with_unit

__all__ = ["PlaceboStart"]


@dataclass(frozen=True)
class PlaceboStart:
    """Move the start to each earlier period that allows it, on untreated periods only.

    Notes
    -----
    All pilots get one start, so many periods before the first real one; the periods from that on
    are left out; inference is the estimate's own. The placebos share their data, so they are not
    independent tests.

    Comparators that were chosen or weighted by periods before the real start allow only starts
    after the last of these periods: with an earlier one they would have been fitted on the
    placebo's own "after", and its estimate would be near zero by construction. A note names the
    starts that are refused.

    References
    ----------
    Heckman & Hotz (1989), pre-programme tests.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found = dk.DiD().fit(design, "cpp").infer(None).check(dk.PlaceboStart())
    >>> found.table["start"].tolist()
    ['2014', '2015', '2016', '2017']
    """

    def run(self, estimate: Estimate) -> Finding:
        """Refit with each earlier start.

        Returns
        -------
        Finding
            Table ``start, moved_by, estimate, conf_low, conf_high, p_value`` (the metric's unit);
            facts ``largest`` (the largest absolute placebo) and ``actual``.

        Raises
        ------
        InferenceError
            If fewer than two periods precede the first start, or no earlier start can be
            estimated.
        """
        design = estimate.design
        first = min(design.periods.index(start) for start in design.starts.values())
        sure = estimate.uncertainty
        term = estimate.main_term
        if term not in ("att", "change"):
            raise InferenceError(
                needed="an estimate of one change: DiD or Gap",
                found=repr(estimate.estimator),
                where="PlaceboStart",
                todo="run it on DiD().fit(design, metric); an event study shows its own placebos",
            )
        rows, notes = [], []
        for moved in steps(range(1, first), "earlier starts"):
            try:
                placebo = estimate.refit(design.shift(-moved))
            except (DesignError, EstimationError) as error:
                notes.append(f"no placebo {moved} periods earlier: {error.found}")
                continue
            made = placebo.infer(
                None if sure is None else sure.inference,
                level=0.95 if sure is None else sure.level,
            )
            row = made[term]
            rows.append(
                {
                    "start": design.periods[first - moved],
                    "moved_by": -moved,
                    **{
                        name: float(row[name])
                        for name in ("estimate", "conf_low", "conf_high", "p_value")
                    },
                }
            )
        if not rows:
            raise InferenceError(
                needed="at least two periods before the first start"
                if first < 2
                else "an earlier start that can be estimated",
                found=f"{first}" if first < 2 else f"none of {first - 1}: {'; '.join(notes)}",
                where="PlaceboStart",
                todo="use a longer window, or PlaceboPilots()"
                if first < 2
                else "match on earlier periods, or on what does not change; or use LeaveOneOut()",
            )
        table = pd.DataFrame(rows).sort_values("moved_by", ignore_index=True)
        largest = table.iloc[int(np.nanargmax(table["estimate"].abs().to_numpy()))]
        actual = float(estimate.values[list(estimate.terms["term"]).index(term)])
        return Finding(
            check=self,
            estimate=estimate,
            question="Would the method find an effect before there was a programme?",
            headline=(
                f"With an earlier start ({len(table)} tried) the largest estimate is "
                f"{with_unit(signed(largest['estimate']), estimate.metric)} "
                f"(start {largest['start']}); the actual one "
                f"is {signed(actual)}."
            ),
            table=table,
            facts={"largest": float(largest["estimate"]), "actual": actual},
            notes=(*notes, *prior_in_words(design, "an earlier start is no placebo for them")),
            cannot_show="that the trends would have stayed alike after the start",
            placebos=(float(table["estimate"].min()), float(table["estimate"].max())),
        )
