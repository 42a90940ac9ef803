"""Difference-in-differences: what changed in the pilots beyond what changed elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from didkit.design import Design, Sample
from didkit.estimate.cells import CellsUsed, change, check_cells
from didkit.estimate.covariates import check_covariates, shown
from didkit.estimate.effects import PeriodsBy, Trends, UnitEffects, check_effects, who_counts
from didkit.estimate.windows import Windows
from didkit.panel import Metric
from didkit.results import Estimate, tables

__all__ = ["DiD", "after_before"]


@dataclass(frozen=True)
class DiD:
    """The change in the pilots from their start on, less the change in the comparators.

    Parameters
    ----------
    cells : {"observed", "complete"}
        ``"observed"``: two-way fixed effects on every cell with a value. ``"complete"``: one long
        difference a unit, mean after less mean before, on units observed in every period. On a
        balanced panel with one start the two are one number; otherwise they answer slightly
        different questions, and both should be read.
    covariates : sequence of str, optional
        Metrics of the panel that change over time, held constant as regressors beside unit and
        period effects. A cell that lacks one of them is left out, and stands in the sample's log.
        ``cells="observed"`` and one pool of comparators only. Their coefficients are in
        ``glance()``.
    sampling, population : str, optional
        Metrics of the panel that weigh cells (how many units or people a cell stands for) and
        units (people, as in the last period before the first start), by weighted least squares.
        With `population` each person counts once, not each authority.
    trends : {"none", "unit"}
        ``"unit"``: a straight line of its own for each unit, swept out on its observed cells;
        units with fewer than three cells are left out, and stand in the log.
    periods_by : str or mapping, optional
        Period effects by group, so that pilots are compared inside their group only: a column of
        ``panel.units`` such as ``"region"``, a mapping of unit to group, or ``"set"`` (a pilot
        and its matched set, in one regression). A group with pilots and nobody to compare them
        with is refused by name.
    effects : {"unit", "cohort"}
        ``"cohort"``: one effect for each start, and one for those that never start, instead of
        one a unit. For repeated cross-sections (``Design.from_frame(unit=None)``), in which a
        unit is seen once.

    Notes
    -----
    It is the effect on the pilots if, without the programme, pilots and comparators would have
    changed alike (parallel trends). It fails when pilots were chosen for their latest value
    (regression to the mean), when the programme was anticipated, and, for ``"observed"`` with
    staggered starts, when effects grow over time: a note gives the share of negative weight.
    Pilots that left count as treated (intention to treat). With matched sets the estimate is the
    mean over pilots of the pilot's own difference.

    A covariate that the programme itself changes takes part of its effect away (a bad control);
    one that does not change over time is held by the unit effects, and is refused by name. Their
    coefficients are the same for all units and periods.

    With ``trends="unit"`` parallel trends are asked for around the lines only; an effect that
    grows over time is in part taken for a line (Wolfers 2006). The options are those of
    ``cells="observed"``, against one pool (``periods_by="set"``: sets that share nobody).

    References
    ----------
    Angrist & Pischke (2009), section 5.2 (two-way fixed effects); Goodman-Bacon (2021) for
    staggered starts; Wolfers (2006) for trends; Frisch-Waugh-Lovell for the computation.

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Pool, Rollout
    >>> from didkit.panel import Panel
    >>> frame = pd.DataFrame(
    ...     {
    ...         "la": ["303", "304", "305"] * 2,
    ...         "year": [2018] * 3 + [2019] * 3,
    ...         "cin": [300, 350, 370, 290, 356, 374],
    ...     }
    ... )
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> design = Design(panel, Rollout({"303": 2019}), against=Pool(), selection="unknown")
    >>> round(DiD().fit(design, "cin").values.item(), 10)
    -15.0
    """

    cells: CellsUsed = "observed"
    covariates: Sequence[str] = field(default=(), kw_only=True)
    sampling: str | None = field(default=None, kw_only=True)
    population: str | None = field(default=None, kw_only=True)
    trends: Trends = field(default="none", kw_only=True)
    periods_by: PeriodsBy = field(default=None, kw_only=True, hash=False)
    effects: UnitEffects = field(default="unit", kw_only=True)

    def __post_init__(self) -> None:
        check_cells(self.cells, "DiD(cells=)")
        names = check_covariates(self.covariates, self.cells, "DiD(covariates=)")
        object.__setattr__(self, "covariates", names)
        check_effects(
            "DiD",
            self.cells,
            sampling=self.sampling,
            population=self.population,
            trends=self.trends,
            periods_by=self.periods_by,
            effects=self.effects,
        )

    def __repr__(self) -> str:
        """Show the covariates only where there are some."""
        return shown(self)

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the change.

        Raises
        ------
        PanelError
            If the metric or a covariate is unknown.
        DesignError, EstimationError
            If an arm has no unit with values before and after, or a covariate is collinear.
        """
        sample = design.sample(
            metric,
            covariates=self.covariates,
            sampling=self.sampling,
            population=self.population,
        )
        unit = sample.metric.unit or "units of the metric"
        return change(
            self,
            design,
            sample,
            after_before,
            self.cells,
            estimand=f"average change in {tables.inside(sample.metric.label)} ({unit})"
            " from the start "
            f"on, pilots less comparators; {who_counts(sample)}",
            options={
                "trends": self.trends,
                "periods_by": self.periods_by,
                "effects": self.effects,
            },
        )


def after_before(sample: Sample) -> Windows:
    """After against before."""
    after = (np.arange(len(sample.periods)) >= np.array(sample.starts)[:, None])[:, None]
    return Windows(
        plus=after,
        minus=~after,
        acts=after,
        compared=np.array([True]),
        terms=pd.DataFrame({"term": ["att"], "position": [0], "phase": ["after"]}),
    )
