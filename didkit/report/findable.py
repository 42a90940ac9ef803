"""What could have been found: sentences with its size, its level, or that there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from didkit.check.detectable_effect import never_found
from didkit.report.numerals import amount, inside, said

if TYPE_CHECKING:
    from didkit.report.evaluation import MetricResult
    from didkit.results import Finding

__all__ = ["detectable_in_words", "findable", "missable", "never"]


def never(result: MetricResult) -> str:
    """Say that the report's own test can find nothing, without a full stop; "" where it can."""
    finding, sure = result.findings.get("DetectableEffect"), result.did.uncertainty
    if sure is None:
        return ""
    level = finding.facts["level"] if finding is not None else sure.level
    return never_found(result.did, level=level)


def detectable_in_words(result: MetricResult) -> str:
    """Say with its unit what could have been found."""
    finding = result.findings.get("DetectableEffect")
    if finding is None or never(result) or _more_than_all(result, finding):
        return "" if finding is None and not never(result) else findable(result)
    size, percent = finding.facts["detectable"], finding.facts["percent"]
    level = f" ({percent:.0f}% of the comparators' level)" if np.isfinite(percent) else ""
    return (
        f"A change of {amount(result.metric, size)}{level} or more would "
        f"{_likely(result, finding)} have been found, a smaller one less often."
    )


def findable(result: MetricResult) -> str:
    """Name in a short sentence the change that would have been found, or say why there is none."""
    finding = result.findings.get("DetectableEffect")
    if never(result):
        return f"{never(result)}."
    if finding is None:
        could = "could not be" if "DetectableEffect" in result.refused else "was not"
        return f"What could have been found {could} computed."
    size, percent = finding.facts["detectable"], finding.facts["percent"]
    if _more_than_all(result, finding):
        return (
            f"Not even a fall to zero would {_likely(result, finding)} have been found; a rise of "
            f"{said(size)} or more would."
        )
    level = f" ({percent:.0f}%)" if np.isfinite(percent) else ""
    return (
        f"A change of {said(size)}{level} or more would {_likely(result, finding)} have been found."
    )


def missable(result: MetricResult) -> str:
    """Say what could have been missed, for the end of a sentence."""
    finding = result.findings.get("DetectableEffect")
    if finding is None or never(result):
        return inside(findable(result)).rstrip(".")
    if _more_than_all(result, finding):
        return "even a fall to zero could have been missed"
    percent = finding.facts["percent"]
    if np.isfinite(percent):
        return f"a change below {percent:.0f}% of the comparators' level could have been missed"
    size = amount(result.metric, finding.facts["detectable"])
    return f"a change below {size} could have been missed"


def _likely(result: MetricResult, finding: Finding) -> str:
    """Give the probability, and the level of the test where it is not the report's."""
    level, sure = finding.facts["level"], result.did.uncertainty
    own = sure is None or abs(sure.level - level) < 1e-9
    at = "" if own else f", at level {100 * level:g}%"
    return f"probably ({finding.facts['power']:.0%}{at})"


def _more_than_all(result: MetricResult, finding: Finding) -> bool:
    """Whether the detectable change is more than all that comparators have, and none is below 0."""
    return result.metric.non_negative and finding.facts["percent"] > 100
