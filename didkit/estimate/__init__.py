"""Design in, estimate out: one module an estimator, and the kernels that they share.

The estimators of everyday use are imported with the room, the others when first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from didkit.estimate.did import DiD
from didkit.estimate.event_study import EventStudy
from didkit.estimate.fgls import FGLS
from didkit.estimate.gap import Gap

if TYPE_CHECKING:
    from didkit.estimate.augmented import AugmentedSyntheticControl as AugmentedSyntheticControl
    from didkit.estimate.changes_in_changes import ChangesInChanges as ChangesInChanges
    from didkit.estimate.dose_response import DoseResponse as DoseResponse
    from didkit.estimate.doubly_robust import DoublyRobust as DoublyRobust
    from didkit.estimate.extended_two_way import ExtendedTwoWay as ExtendedTwoWay
    from didkit.estimate.group_time import GroupTime as GroupTime
    from didkit.estimate.imputation import Imputation as Imputation
    from didkit.estimate.lp_did import LPDiD as LPDiD
    from didkit.estimate.matrix_completion import MatrixCompletion as MatrixCompletion
    from didkit.estimate.poisson import PoissonDiD as PoissonDiD
    from didkit.estimate.roth_santanna import RothSantAnna as RothSantAnna
    from didkit.estimate.stacked import Stacked as Stacked
    from didkit.estimate.sun_abraham import SunAbraham as SunAbraham
    from didkit.estimate.switching import Switching as Switching
    from didkit.estimate.synthetic_control import SyntheticControl as SyntheticControl
    from didkit.estimate.synthetic_did import SyntheticDiD as SyntheticDiD
    from didkit.estimate.triple import TripleDifference as TripleDifference
    from didkit.estimate.two_stage import TwoStage as TwoStage

__all__ = [
    "FGLS",
    "AugmentedSyntheticControl",
    "ChangesInChanges",
    "DiD",
    "DoseResponse",
    "DoublyRobust",
    "EventStudy",
    "ExtendedTwoWay",
    "Gap",
    "GroupTime",
    "Imputation",
    "LPDiD",
    "MatrixCompletion",
    "PoissonDiD",
    "RothSantAnna",
    "Stacked",
    "SunAbraham",
    "Switching",
    "SyntheticControl",
    "SyntheticDiD",
    "TripleDifference",
    "TwoStage",
]

_LATER = {
    "AugmentedSyntheticControl": "augmented",
    "ChangesInChanges": "changes_in_changes",
    "DoseResponse": "dose_response",
    "DoublyRobust": "doubly_robust",
    "ExtendedTwoWay": "extended_two_way",
    "GroupTime": "group_time",
    "Imputation": "imputation",
    "LPDiD": "lp_did",
    "MatrixCompletion": "matrix_completion",
    "PoissonDiD": "poisson",
    "RothSantAnna": "roth_santanna",
    "Stacked": "stacked",
    "SunAbraham": "sun_abraham",
    "Switching": "switching",
    "SyntheticControl": "synthetic_control",
    "SyntheticDiD": "synthetic_did",
    "TripleDifference": "triple",
    "TwoStage": "two_stage",
}


def __getattr__(name: str) -> Any:
    """Import an estimator when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module 'didkit.estimate' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"didkit.estimate.{_LATER[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
