"""Who was treated when: by intention, as treated, by dose, and outside the programme."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from didkit.design.design import Design

__all__ = ["treated"]


def treated(design: Design) -> pd.DataFrame:
    """Say who was treated when, for eyes and files.

    Returns
    -------
    DataFrame
        One row a unit (pilots first, then comparators, each by id) and period of the window:
        ``unit, name, arm, period``; ``intention_to_treat`` (from the start on) and ``as_treated``
        (until it left; the rows where only the first is True are those after it left);
        ``dose`` (NaN where it is not known, 0 where there was none); ``contaminated`` (used the
        practice outside the programme). Where the rollout has ``first_exposed``, also ``stock``
        and ``flow``: "untreated", "partly" (left out) or "treated", by intention to treat, in
        metrics of that kind.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> int(design.treated().groupby("unit")["intention_to_treat"].any().sum())
    10
    """
    when, periods = design._when, list(design.periods)
    pilots = set(design.pilots)
    units = [*design.pilots, *(u for u in design.comparators if u not in pilots)]
    both = pilots & set(design.comparators)
    itt = np.stack([when.treated(unit) for unit in units])
    left = np.stack([when.left(unit) for unit in units])
    made = pd.DataFrame(
        {
            "unit": np.repeat(units, len(periods)),
            "name": np.repeat([design.panel.name_of(unit) for unit in units], len(periods)),
            "arm": np.repeat(
                ["both" if u in both else "pilot" if u in pilots else "comparator" for u in units],
                len(periods),
            ),
            "period": periods * len(units),
            "intention_to_treat": itt.ravel(),
            "as_treated": (itt & ~left).ravel(),
            "dose": np.stack([when.dose_of(unit) for unit in units]).ravel(),
            "contaminated": np.stack([when.contaminated(unit) for unit in units]).ravel(),
        }
    )
    if when.exposed:
        for kind in ("stock", "flow"):
            partly = np.stack([when.partly(unit, kind) for unit in units])
            made[kind] = np.where(partly, "partly", np.where(itt, "treated", "untreated")).ravel()
    return made
