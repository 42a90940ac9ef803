"""The record of a planned run: what was planned, whether it was frozen, what differed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pandas as pd

if TYPE_CHECKING:
    from didkit.report.plan import Plan

__all__ = ["NOT_COMPARED", "Deviation", "PlanRecord", "Role"]

Role = Literal["primary", "secondary"]
NOT_COMPARED = "files, values and units were not compared"
"""What holds of a plan that was frozen before its data were there."""


@dataclass(frozen=True)
class Deviation:
    """One thing that is not as it was planned.

    Parameters
    ----------
    what : str
        Which part of the plan, its data or its run.
    planned, found : str
        As planned (or frozen), and as it was found.

    Examples
    --------
    >>> str(Deviation("window.last", "2020", "2019"))
    'window.last: planned 2020, found 2019'
    """

    what: str
    planned: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: planned {self.planned}, found {self.found}"


@dataclass(frozen=True, eq=False)
class PlanRecord:
    """What an evaluation that was run from a plan remembers of it.

    Parameters
    ----------
    plan : Plan
        As it was run.
    frozen : bool
        Whether a frozen plan lay beside it.
    frozen_on : str
        When it was frozen (UTC), empty if it was not.
    before_data : bool
        Whether it was frozen alone, before its data were there: files, values and units were then
        not compared, and an empty `deviations` says nothing about them. False if it was not
        frozen.
    digest : str
        SHA-256 of the content of the plan that was run.
    deviations : tuple of Deviation
        Everything that was not as planned, the plan's own changes first; of what was refused, what
        the plan names.
    roles : mapping of str to {"primary", "secondary"}
        By metric.
    smallest_effect : mapping of str to float
        Smallest effect of interest, in the metric's unit, where the plan names one.
    multiplicity : {"none", "holm", "benjamini-hochberg"}
        How p-values are adjusted, inside the primary family and inside the secondary one.
    adjusted : mapping of str to float
        Adjusted p-values by metric; empty where the method is "none", NaN where there is no p.
    notes : tuple of str
        What a reader of the adjusted p-values must know.
    sensitivity : DataFrame
        One row an alternative of the plan and metric: ``name, metric, estimate, conf_low,
        conf_high, p_value, n_pilots, n_comparators, refused`` (the metric's unit; why there is
        none).
    alternatives : DataFrame
        The same in full, as `Estimate.tidy` has it, led by ``alternative, estimator`` and with
        ``refused`` at the end.
    refused : tuple of Deviation
        What every run tries, was refused in this one, and is not named by the plan: noted, no
        deviation.
    """

    plan: Plan
    frozen: bool
    frozen_on: str
    digest: str
    deviations: tuple[Deviation, ...]
    roles: Mapping[str, Role]
    smallest_effect: Mapping[str, float] = field(default_factory=dict)
    multiplicity: str = "none"
    adjusted: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sensitivity: pd.DataFrame = field(default_factory=pd.DataFrame)
    alternatives: pd.DataFrame = field(default_factory=pd.DataFrame)
    before_data: bool = False
    refused: tuple[Deviation, ...] = ()

    @property
    def said(self) -> str:
        """When the plan was frozen, and whether its data were there, in words.

        Examples
        --------
        >>> fields = dict(plan=None, digest="", deviations=(), roles={})
        >>> PlanRecord(frozen=True, frozen_on="2026-01-01", before_data=True, **fields).said[:48]
        'frozen on 2026-01-01, before its data were there'
        """
        if not self.frozen:
            return "not frozen before this run"
        if self.before_data:
            return f"frozen on {self.frozen_on}, before its data were there: {NOT_COMPARED}"
        return f"frozen on {self.frozen_on}, with its data"

    @property
    def crossed(self) -> tuple[str, ...]:
        """Metrics of which the plan asks for a specification curve."""
        made = self.plan.specifications
        return (made.metrics or self.plan.metrics.primary) if made else ()

    @property
    def specified(self) -> str:
        """Whether the choices that are crossed were named before the run, in words.

        Examples
        --------
        >>> fields = dict(plan=None, digest="", deviations=(), roles={})
        >>> PlanRecord(frozen=True, frozen_on="2026-01-01", **fields).specified
        'Pre-specified: the choices are those of the plan frozen on 2026-01-01, with its data'
        """
        if not self.frozen:
            return "Named in the plan, which was not frozen before this run"
        if any(one.what.startswith("plan: specifications") for one in self.deviations):
            return f"Not as pre-specified: the plan's choices were changed after {self.frozen_on}"
        data = "before its data were there" if self.before_data else "with its data"
        return (
            f"Pre-specified: the choices are those of the plan frozen on {self.frozen_on}, {data}"
        )
