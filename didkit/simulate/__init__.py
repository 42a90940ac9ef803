"""Panels with a known answer: processes, studies of them, and the synthetic evaluation."""

from didkit.simulate.evaluation import SyntheticEvaluation, draw
from didkit.simulate.filled import Drawn, Process
from didkit.simulate.own import OwnPanel, PlaceboPanel
from didkit.simulate.packaged_evaluation import (
    PACKAGED_SEED,
    PackagedEvaluation,
    load_evaluation,
)
from didkit.simulate.panels import evaluation_design, evaluation_neighbours, evaluation_panel
from didkit.simulate.process import EvaluationProcess, MetricProcess
from didkit.simulate.processes import LongDifferences, PanelProcess
from didkit.simulate.publish import write_published
from didkit.simulate.selection import SelectionProcess, selection_study
from didkit.simulate.studies import Study, study

__all__ = [
    "PACKAGED_SEED",
    "Drawn",
    "EvaluationProcess",
    "LongDifferences",
    "MetricProcess",
    "OwnPanel",
    "PackagedEvaluation",
    "PanelProcess",
    "PlaceboPanel",
    "Process",
    "SelectionProcess",
    "Study",
    "SyntheticEvaluation",
    "draw",
    "evaluation_design",
    "evaluation_neighbours",
    "evaluation_panel",
    "load_evaluation",
    "selection_study",
    "study",
    "write_published",
]
