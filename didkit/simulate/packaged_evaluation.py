"""The packaged evaluation: read from its published files, or drawn again with another seed."""

from __future__ import annotations

import importlib.resources
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from didkit.design import Design, Neighbours
from didkit.panel import Panel
from didkit.read import read_dfe, read_neighbours
from didkit.simulate.evaluation import SyntheticEvaluation, draw
from didkit.simulate.panels import RELEASE, evaluation_design
from didkit.simulate.process import N_PLACES, EvaluationProcess
from didkit.simulate.publish import write_published

__all__ = ["PACKAGED_SEED", "PackagedEvaluation", "load_evaluation"]

PACKAGED_SEED = 1  #: fixed before anyone looked at a result


@dataclass(frozen=True, eq=False)
class PackagedEvaluation:
    """A synthetic evaluation with its truth; ``panel, design = load_evaluation()`` works too.

    Parameters
    ----------
    panel : Panel
        As read from files in the published formats.
    design : Design
        Ten pilots against the union of their neighbours.
    neighbours : Neighbours
        The list, for other designs.
    truth : mapping of str to float
        True effect on each metric, per 10,000 children.
    seed : int
        Of the draw.
    description : str
        What it is, in words.
    """

    panel: Panel
    design: Design
    neighbours: Neighbours
    truth: Mapping[str, float]
    seed: int
    description: str

    def __iter__(self) -> Iterator[Panel | Design]:
        """Yield the panel and the design."""
        return iter((self.panel, self.design))


def load_evaluation(
    *, seed: int = PACKAGED_SEED, effect: Mapping[str, float] | None = None
) -> PackagedEvaluation:
    """Load the synthetic evaluation that ships with didkit.

    152 fictional authorities, 2013 to 2020. Ten pilots drawn with a lower level, the same in every
    year; nine start in 2018, one joins in 2019, one leaves. Some cells are suppressed or missing,
    and one pilot misrecords two years.

    Parameters
    ----------
    seed : int, default 1
        1 is the packaged draw; another seed is drawn, written and read in the same way.
    effect : mapping of str to float, optional
        A true effect per 10,000 children on ``cin``, ``icpc``, ``cpp`` or ``cla``; default none.

    Returns
    -------
    PackagedEvaluation
        ``panel``, ``design``, ``neighbours``, ``truth``, ``seed``, ``description``.

    Raises
    ------
    DesignError
        If `effect` names another metric.

    Examples
    --------
    >>> panel, design = load_evaluation()
    >>> len(design.pilots), panel.periods[0]
    (10, '2013')
    """
    process = EvaluationProcess(effect=dict(effect or {}))
    evaluation = draw(process, seed)
    if seed == PACKAGED_SEED and not any(evaluation.effect.values()):
        packaged = importlib.resources.files("didkit.simulate") / "packaged"
        with importlib.resources.as_file(packaged) as folder:
            return _read(evaluation, folder)
    with tempfile.TemporaryDirectory() as folder:
        write_published(evaluation, folder)
        return _read(evaluation, Path(folder))


def _read(evaluation: SyntheticEvaluation, folder: Path) -> PackagedEvaluation:
    """Read the published files of a draw, and say in the provenance that they are synthetic."""
    panel = read_dfe(folder / "cin") | read_dfe(folder / "cla")
    note = f"in the format of a published release; didkit.simulate, seed {evaluation.seed}"
    sources = {
        metric: tuple(replace(source, release=RELEASE, note=note) for source in found)
        for metric, found in panel.sources.items()
    }
    marked = Panel(
        units=panel.units,
        calendar=panel.calendar,
        metrics=panel.metrics,
        cells={metric: panel.cells(metric) for metric in panel.metrics},
        sources=sources,
        log=panel.log,
        identity=panel.identity,
    )
    neighbours = replace(
        read_neighbours(folder / "neighbours" / "statistical_neighbours.csv"), release=RELEASE
    )
    effects = [f"{name} {value:+g}" for name, value in evaluation.effect.items() if value]
    return PackagedEvaluation(
        panel=marked,
        design=evaluation_design(evaluation, marked, neighbours),
        neighbours=neighbours,
        truth=MappingProxyType(dict(evaluation.effect)),
        seed=evaluation.seed,
        description=(
            "Synthetic: no authority, child or number is real. Ten pilots of "
            f"{N_PLACES} authorities, drawn with lower levels; "
            f"true effect {', '.join(effects) if effects else 'zero on every metric'}; one pilot "
            f"misrecorded children in need in two years; seed {evaluation.seed}."
        ),
    )
