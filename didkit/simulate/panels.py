"""From a draw to a panel and a design, straight from its arrays: for studies of many seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from didkit.design import Design, Neighbours, Rollout
from didkit.panel import METRICS, Calendar, Cells, Panel, Source, Status
from didkit.simulate.evaluation import SyntheticEvaluation
from didkit.simulate.places import MERGED, OLD, TINY

__all__ = ["evaluation_design", "evaluation_neighbours", "evaluation_panel"]

RELEASE = "synthetic"


def evaluation_panel(evaluation: SyntheticEvaluation) -> Panel:
    """Make the panel that `read_dfe` makes of the published files, without the files.

    Parameters
    ----------
    evaluation : SyntheticEvaluation
        A draw.

    Returns
    -------
    Panel
        Metrics ``cin, icpc, cpp, cla`` (published rates per 10,000) and ``population``.

    Examples
    --------
    >>> from didkit.simulate import EvaluationProcess, draw
    >>> evaluation_panel(draw(EvaluationProcess().clean(), seed=1))
    Panel(152 units × 8 periods (2013 to 2020); metrics: cin, icpc, cpp, cla, population)
    """
    exists = np.isfinite(evaluation.population)
    cells = {}
    for name, rate in evaluation.published_rates.items():
        hidden = evaluation.suppressed[name]
        status = np.full(rate.shape, Status.NOT_AVAILABLE, dtype=np.int8)
        status[np.isfinite(rate)] = Status.OBSERVED
        status[hidden] = Status.SUPPRESSED
        status[~exists] = Status.ABSENT
        half = 0.5 * 10.0 ** -(METRICS[name].decimals or 0)
        low = np.where(hidden, 0.0, np.maximum(rate - half, 0.0))
        cells[name] = Cells(rate, status, low, rate + half)
    population = np.where(exists, evaluation.population, np.nan)
    status = np.where(exists, Status.OBSERVED, Status.ABSENT).astype(np.int8)
    cells["population"] = Cells(population, status, population, population)
    source = Source(RELEASE, note=f"didkit.simulate, seed {evaluation.seed}")
    return Panel(
        units=pd.DataFrame(
            {"name": evaluation.names, "region": evaluation.region_names},
            index=pd.Index(evaluation.units, name="unit"),
        ),
        calendar=Calendar(tuple(str(year) for year in evaluation.periods), "reporting year"),
        metrics={name: METRICS[name] for name in cells},
        cells=cells,
        sources=dict.fromkeys(cells, (source,)),
    )


def evaluation_neighbours(evaluation: SyntheticEvaluation) -> Neighbours:
    """Return the draw's list of neighbours."""
    table = evaluation.neighbours.rename(columns={"la_code": "unit", "sn_code": "neighbour"})
    return Neighbours(table, release=RELEASE)


def evaluation_design(
    evaluation: SyntheticEvaluation,
    panel: Panel | None = None,
    neighbours: Neighbours | None = None,
) -> Design:
    """Compare the draw's pilots with the union of their neighbours.

    Parameters
    ----------
    evaluation : SyntheticEvaluation
        A draw.
    panel, neighbours : optional
        As read from the published files; by default made from the draw.

    Returns
    -------
    Design
        Pilots that joined late start late, and the one that left counts as treated. Tiny and
        reorganised authorities are left out by name.
    """
    panel = evaluation_panel(evaluation) if panel is None else panel
    chosen = evaluation_neighbours(evaluation) if neighbours is None else neighbours
    exclude = dict.fromkeys((evaluation.units[i] for i in TINY), "tiny")
    if evaluation.process.reorganisation:
        exclude |= dict.fromkeys((evaluation.units[i] for i in (*OLD, MERGED)), "reorganised")
    return Design(
        panel,
        Rollout(evaluation.pilots, stops=evaluation.stops),
        against=chosen.union(),
        selection="average",
        exclude=exclude,
    )
