"""didkit: pilot evaluations in local government, reanalysed by difference-in-differences.

Load the published tables, say who is compared with whom, and see how much of the difference was
there before.

    panel → design → estimate → infer → check → evaluate

* Data: `Panel`, `Metric`, `read_dfe`, `read_ees_csv`, `read_neighbours`, `datasets`.
* Design: `Design`, `Rollout`; against `Pool`, `Neighbours`, `compute_neighbours`, `MatchedSets`;
  matched on `Covariates`: `Matching`, `EntropyBalancing`, `CardinalityMatching`,
  `SyntheticWeights`; by weights of covariates learnt before the start: `learn_weights`; how alike
  they are: `Balance`.
* From a long frame with a column of starts: `Design.from_frame`, `NotYetTreated`.
* Estimators: `Gap`, `DiD`, `EventStudy`; several starts: `GroupTime`, `SunAbraham`,
  `ExtendedTwoWay`, `Stacked`, `Imputation`, `TwoStage`, `LPDiD`, `RothSantAnna`; leaving and doses:
  `Switching`, `DoseResponse`; mixtures: `SyntheticControl`, `SyntheticDiD`,
  `AugmentedSyntheticControl`, `MatrixCompletion`; `DoublyRobust`, `PoissonDiD`,
  `ChangesInChanges`, `TripleDifference`. Which suits: `recommend_estimator`; side by side:
  `compare`.
* Inference: `ClusterRobust`, `Permutation`, `Jackknife`, `Bootstrap`; without one, the design's
  own.
* Checks: `PreTrends`, `PlaceboStart`, `PlaceboPilots`, `LeaveOneOut`, `OtherComparators`,
  `Contamination`, `RegressionToTheMean`, `DetectableEffect`, `FunctionalForm`; of two-way fixed
  effects: `GoodmanBacon`, `TwoWayWeights`; before the data: `Power`, `Variation`.
* Report: `Plan`, `evaluate`, `Evaluation`.
* Pictures: `plot`, and `.plot()` of every result. Panels with a known answer: `simulate`.

This is the only place where rooms are joined: it fills the hooks of `didkit.results`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from typing import TYPE_CHECKING, Any

from didkit.check import (
    Breakdown,
    Contamination,
    ContrastStudy,
    DetectableEffect,
    LeaveOneOut,
    OtherComparators,
    PlaceboPilots,
    PlaceboStart,
    Power,
    PreTrends,
    RegressionToTheMean,
    Variation,
)
from didkit.design import (
    Balance,
    CardinalityMatching,
    Covariates,
    Design,
    EntropyBalancing,
    LearntWeights,
    MatchedSets,
    Matching,
    Neighbours,
    NotYetTreated,
    Pool,
    Rollout,
    SyntheticWeights,
    compute_neighbours,
    learn_weights,
)
from didkit.errors import (
    DesignError,
    DidkitError,
    DidkitWarning,
    EstimationError,
    InferenceError,
    PanelError,
    PlanError,
    ReadError,
)
from didkit.estimate import FGLS, DiD, EventStudy, Gap
from didkit.inference import (
    Bootstrap,
    ClusterRobust,
    Conformal,
    ConleyTaber,
    Conventional,
    DonaldLang,
    FermanPinto,
    Hagemann,
    IbragimovMuller,
    Jackknife,
    LauLi,
    Permutation,
    PlaceboVariance,
    SignFlips,
    WildBootstrap,
    WildRandomisation,
    adjusted_p_values,
)
from didkit.panel import METRICS, Metric, Panel, Status, site_means
from didkit.read import read_dfe, read_ees_csv, read_neighbours
from didkit.results import Estimate, Finding, hooks

if TYPE_CHECKING:
    import didkit.datasets as datasets
    import didkit.plot as plot
    import didkit.report as report
    import didkit.simulate as simulate
    from didkit.check import Bounds as Bounds
    from didkit.check import Checks as Checks
    from didkit.check import DrivingCells as DrivingCells
    from didkit.check import EventTerms as EventTerms
    from didkit.check import FunctionalForm as FunctionalForm
    from didkit.check import GoodmanBacon as GoodmanBacon
    from didkit.check import LeaveTwoOut as LeaveTwoOut
    from didkit.check import OtherDenominator as OtherDenominator
    from didkit.check import PreTrendEquivalence as PreTrendEquivalence
    from didkit.check import PreTrendPower as PreTrendPower
    from didkit.check import RateSplit as RateSplit
    from didkit.check import RelativeMagnitudes as RelativeMagnitudes
    from didkit.check import Sensitivity as Sensitivity
    from didkit.check import SmallestRemoval as SmallestRemoval
    from didkit.check import Smoothness as Smoothness
    from didkit.check import SpecificationCurve as SpecificationCurve
    from didkit.check import TrendAdjusted as TrendAdjusted
    from didkit.check import TwoWayWeights as TwoWayWeights
    from didkit.check import UnaffectedOutcomes as UnaffectedOutcomes
    from didkit.check import WithoutBreaks as WithoutBreaks
    from didkit.check import compare as compare
    from didkit.check import recommend_estimator as recommend_estimator
    from didkit.estimate import AugmentedSyntheticControl as AugmentedSyntheticControl
    from didkit.estimate import ChangesInChanges as ChangesInChanges
    from didkit.estimate import DoseResponse as DoseResponse
    from didkit.estimate import DoublyRobust as DoublyRobust
    from didkit.estimate import ExtendedTwoWay as ExtendedTwoWay
    from didkit.estimate import GroupTime as GroupTime
    from didkit.estimate import Imputation as Imputation
    from didkit.estimate import LPDiD as LPDiD
    from didkit.estimate import MatrixCompletion as MatrixCompletion
    from didkit.estimate import PoissonDiD as PoissonDiD
    from didkit.estimate import RothSantAnna as RothSantAnna
    from didkit.estimate import Stacked as Stacked
    from didkit.estimate import SunAbraham as SunAbraham
    from didkit.estimate import Switching as Switching
    from didkit.estimate import SyntheticControl as SyntheticControl
    from didkit.estimate import SyntheticDiD as SyntheticDiD
    from didkit.estimate import TripleDifference as TripleDifference
    from didkit.estimate import TwoStage as TwoStage
    from didkit.report import Evaluation as Evaluation
    from didkit.report import Plan as Plan
    from didkit.report import evaluate as evaluate
    from didkit.simulate import study as study

__all__ = [
    "FGLS",
    "METRICS",
    "AugmentedSyntheticControl",
    "Balance",
    "Bootstrap",
    "Bounds",
    "Breakdown",
    "CardinalityMatching",
    "ChangesInChanges",
    "Checks",
    "ClusterRobust",
    "Conformal",
    "ConleyTaber",
    "Contamination",
    "ContrastStudy",
    "Conventional",
    "Covariates",
    "Design",
    "DesignError",
    "DetectableEffect",
    "DiD",
    "DidkitError",
    "DidkitWarning",
    "DonaldLang",
    "DoseResponse",
    "DoublyRobust",
    "DrivingCells",
    "EntropyBalancing",
    "Estimate",
    "EstimationError",
    "Evaluation",
    "EventStudy",
    "EventTerms",
    "ExtendedTwoWay",
    "FermanPinto",
    "Finding",
    "FunctionalForm",
    "Gap",
    "GoodmanBacon",
    "GroupTime",
    "Hagemann",
    "IbragimovMuller",
    "Imputation",
    "InferenceError",
    "Jackknife",
    "LPDiD",
    "LauLi",
    "LearntWeights",
    "LeaveOneOut",
    "LeaveTwoOut",
    "MatchedSets",
    "Matching",
    "MatrixCompletion",
    "Metric",
    "Neighbours",
    "NotYetTreated",
    "OtherComparators",
    "OtherDenominator",
    "Panel",
    "PanelError",
    "Permutation",
    "PlaceboPilots",
    "PlaceboStart",
    "PlaceboVariance",
    "Plan",
    "PlanError",
    "PoissonDiD",
    "Pool",
    "Power",
    "PreTrendEquivalence",
    "PreTrendPower",
    "PreTrends",
    "RateSplit",
    "ReadError",
    "RegressionToTheMean",
    "RelativeMagnitudes",
    "Rollout",
    "RothSantAnna",
    "Sensitivity",
    "SignFlips",
    "SmallestRemoval",
    "Smoothness",
    "SpecificationCurve",
    "Stacked",
    "Status",
    "SunAbraham",
    "Switching",
    "SyntheticControl",
    "SyntheticDiD",
    "SyntheticWeights",
    "TrendAdjusted",
    "TripleDifference",
    "TwoStage",
    "TwoWayWeights",
    "UnaffectedOutcomes",
    "Variation",
    "WildBootstrap",
    "WildRandomisation",
    "WithoutBreaks",
    "__version__",
    "adjusted_p_values",
    "compare",
    "compute_neighbours",
    "datasets",
    "evaluate",
    "learn_weights",
    "plot",
    "read_dfe",
    "read_ees_csv",
    "read_neighbours",
    "recommend_estimator",
    "report",
    "simulate",
    "site_means",
    "study",
]

_LATER = {
    "AugmentedSyntheticControl": "didkit.estimate",
    "Bounds": "didkit.check",
    "ChangesInChanges": "didkit.estimate",
    "Checks": "didkit.check",
    "DoseResponse": "didkit.estimate",
    "DoublyRobust": "didkit.estimate",
    "DrivingCells": "didkit.check",
    "Evaluation": "didkit.report",
    "EventTerms": "didkit.check",
    "ExtendedTwoWay": "didkit.estimate",
    "FunctionalForm": "didkit.check",
    "GoodmanBacon": "didkit.check",
    "GroupTime": "didkit.estimate",
    "Imputation": "didkit.estimate",
    "LPDiD": "didkit.estimate",
    "LeaveTwoOut": "didkit.check",
    "MatrixCompletion": "didkit.estimate",
    "OtherDenominator": "didkit.check",
    "Plan": "didkit.report",
    "PoissonDiD": "didkit.estimate",
    "PreTrendEquivalence": "didkit.check",
    "PreTrendPower": "didkit.check",
    "RateSplit": "didkit.check",
    "RelativeMagnitudes": "didkit.check",
    "RothSantAnna": "didkit.estimate",
    "Sensitivity": "didkit.check",
    "SmallestRemoval": "didkit.check",
    "Smoothness": "didkit.check",
    "SpecificationCurve": "didkit.check",
    "Stacked": "didkit.estimate",
    "SunAbraham": "didkit.estimate",
    "Switching": "didkit.estimate",
    "SyntheticControl": "didkit.estimate",
    "SyntheticDiD": "didkit.estimate",
    "TrendAdjusted": "didkit.check",
    "TripleDifference": "didkit.estimate",
    "TwoStage": "didkit.estimate",
    "TwoWayWeights": "didkit.check",
    "UnaffectedOutcomes": "didkit.check",
    "WithoutBreaks": "didkit.check",
    "compare": "didkit.check",
    "evaluate": "didkit.report",
    "recommend_estimator": "didkit.check",
    "study": "didkit.simulate",
}
_MODULES = ("datasets", "plot", "report", "simulate")  # themselves imported when asked for


def _version() -> str:
    try:
        return importlib.metadata.version("didkit-evaluation")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"


def _warn_of_namesake() -> None:
    """Say so when the unrelated distribution that owns this import name is installed too."""
    try:
        other = importlib.metadata.distribution("didkit")
    except importlib.metadata.PackageNotFoundError:
        return
    warnings.warn(
        f"the distribution 'didkit' {other.version} is installed beside 'didkit-evaluation': it is "
        "an unrelated project with the same import name, and either may hide the other; remove "
        "one of them, or keep them in separate environments",
        DidkitWarning,
        stacklevel=3,
    )


def _recommend(estimate: Estimate) -> Any:
    return importlib.import_module("didkit.inference").recommend(estimate)


def _tabulate(estimate: Estimate, methods: Any = None, **options: Any) -> Any:
    return importlib.import_module("didkit.inference").inference_table(estimate, methods, **options)


def _draw(result: Any, ax: Any = None, **options: Any) -> Any:
    return importlib.import_module("didkit.plot").draw(result, ax=ax, **options)


def _check_all(estimate: Estimate, **options: Any) -> Any:
    return importlib.import_module("didkit.check").Checks(**options).run(estimate)


def __getattr__(name: str) -> Any:
    """Import the heavier rooms when they are first asked for."""
    if name in _MODULES:
        found: Any = importlib.import_module(f"didkit.{name}")
    elif name in _LATER:
        found = getattr(importlib.import_module(_LATER[name]), name)
    else:
        raise AttributeError(f"module 'didkit' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


__version__ = _version()
hooks.fill("recommend", _recommend)
hooks.fill("tabulate", _tabulate)
hooks.fill("draw", _draw)
hooks.fill("check_all", _check_all)
_warn_of_namesake()
