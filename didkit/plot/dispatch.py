"""Which picture suits which result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes

from didkit.check import DetectableEffect, LeaveOneOut, PlaceboPilots, PlaceboStart, PreTrends
from didkit.errors import DidkitError
from didkit.plot.bands import detectable_effect
from didkit.plot.dots import leave_one_out, placebo_start
from didkit.plot.dumbbells import gap
from didkit.plot.events import event_study, pre_trends
from didkit.plot.histogram import placebo_pilots
from didkit.plot.lines import trends
from didkit.plot.overviews import Overview, overview
from didkit.results import Estimate, Finding

__all__ = ["draw"]

_OF_CHECK: dict[type, Callable[[Finding, Axes | None], Axes]] = {
    DetectableEffect: detectable_effect,
    LeaveOneOut: leave_one_out,
    PlaceboPilots: placebo_pilots,
    PlaceboStart: placebo_start,
    PreTrends: pre_trends,
}


def draw(result: Any, ax: Axes | None = None) -> Axes:
    """Draw the picture that suits a result.

    Parameters
    ----------
    result : Estimate, Finding or Evaluation
        Told apart by what they hold, so that a new estimator has a picture on its first day: the
        gap before and after; one term a period; one term (trends with the counterfactual).
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
        With the frame behind it as ``ax.data``.

    Raises
    ------
    DidkitError
        If there is no picture for it.

    Examples
    --------
    >>> from didkit.estimate import Gap
    >>> from didkit.simulate import EvaluationProcess, draw as draw_seed, evaluation_design
    >>> design = evaluation_design(draw_seed(EvaluationProcess(), seed=1))
    >>> draw(Gap().fit(design, "cpp")).get_title(loc="left")[:11]
    'Pilots had '
    """
    if isinstance(result, Estimate):
        return _estimate(result, ax)
    if isinstance(result, Finding):
        kind = type(result.check)
        if kind in _OF_CHECK:
            return _OF_CHECK[kind](result, ax)
        raise _unknown(f"the finding of {kind.__name__}")
    if isinstance(result, Overview):
        return overview(result, ax)
    raise _unknown(type(result).__name__)


def _estimate(estimate: Estimate, ax: Axes | None) -> Axes:
    terms = estimate.terms
    if {"gap_before", "gap_after"} <= set(terms["term"]):
        return gap(estimate, ax)
    if estimate.reference is not None or ("period" in terms.columns and estimate.n_terms > 1):
        return event_study(estimate, ax)
    if estimate.n_terms == 1:
        return trends(estimate, ax=ax)
    raise _unknown(f"the {estimate.n_terms} terms of {type(estimate.estimator).__name__}")


def _unknown(what: str) -> DidkitError:
    return DidkitError(
        needed="an estimate, a finding of a check, or an evaluation",
        found=what,
        where="plot",
        todo="draw its tidy() with matplotlib, or use a function of didkit.plot",
    )
