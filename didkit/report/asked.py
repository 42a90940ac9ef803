"""What `evaluate` is asked: each argument is looked at before a minute's work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from didkit.check import Checks
from didkit.design import Design
from didkit.errors import (
    DesignError,
    EstimationError,
    InferenceError,
    PanelError,
    first_few,
    is_number,
)
from didkit.panel import Metric, Panel, Period
from didkit.report.plan import Plan
from didkit.results import Check

__all__ = ["check_between", "check_checks", "check_design", "check_metrics", "check_rest"]


def check_design(given: object) -> None:
    """Refuse what is neither a design nor a plan.

    Raises
    ------
    DesignError
        It is something else, such as a panel or the name of a plan.
    """
    if isinstance(given, (Design, Plan)):
        return
    todo = "make one: Design(panel, Rollout({…}), against=Pool())"
    if isinstance(given, str):
        todo = f"read the plan first: evaluate(Plan.read({given!r}))"
    elif isinstance(given, Panel):
        todo = "make a design of the panel: Design(panel, Rollout({…}), against=Pool())"
    raise DesignError(
        needed="a Design or a Plan",
        found=_kind(given),
        where="evaluate(design)",
        todo=todo,
    )


def check_metrics(metrics: object) -> tuple[str | Metric, ...]:
    """Return metrics as a tuple; one alone need not stand in a list.

    Raises
    ------
    EstimationError
        Something else than names and metrics.
    """
    found = (metrics,) if isinstance(metrics, (str, Metric)) else _several(metrics)
    wrong = found is None or [one for one in found if not isinstance(one, (str, Metric))]
    if found is None or wrong:
        raise EstimationError(
            needed="names of metrics",
            found=_kind(metrics),
            where="evaluate(metrics=)",
            todo='write evaluate(design, ["cpp", "cla"])',
        )
    return found


def check_checks(checks: object) -> tuple[Check, ...]:
    """Return checks as a tuple, at most one of a kind: a finding is known by its check's name.

    Raises
    ------
    InferenceError
        No sequence, something that is no check, or two of one kind.
    """
    if isinstance(checks, str) and checks == "suited":
        return (Checks(),)
    found = _several(checks)
    if found is None:
        called = type(checks).__name__ if _is_check(checks) else "LeaveOneOut"
        raise InferenceError(
            needed="a list of checks, at most one of a kind",
            found=_kind(checks),
            where="evaluate(checks=)",
            todo=f'write checks=[{called}()], in brackets also where it is one, or checks="suited"',
        )
    kinds = [type(one).__name__ for one in found]
    wrong = [repr(one) for one in found if not _is_check(one)]
    twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
    if wrong or twice:
        raise InferenceError(
            needed="checks such as LeaveOneOut(), at most one of a kind",
            found=first_few(wrong) if wrong else f"two or more of {', '.join(twice)}",
            where="evaluate(checks=)",
            todo="write checks=[LeaveOneOut(), PreTrends()]; run others by estimate.check(…)",
        )
    return found


def check_between(given: object, design: Design) -> tuple[str, str]:
    """Return the labels of two periods, the earlier one first; by default those of the window.

    Raises
    ------
    EstimationError
        Not two periods, or not the earlier one first.
    PanelError
        A period that the panel does not hold.
    """
    if given is None:
        return design.periods[0], design.periods[-1]
    calendar = design.panel.calendar
    found = _several(given)
    if found is None or len(found) != 2:
        raise _not_two(given, design)
    places = [_position(one, design) for one in found]
    if places[0] >= places[1]:
        raise _not_two(given, design)
    return calendar.labels[places[0]], calendar.labels[places[1]]


def _position(period: Period, design: Design) -> int:
    try:
        return design.panel.calendar.position(period)
    except PanelError as error:
        raise PanelError(
            needed=error.needed, found=error.found, where="evaluate(between=)", todo=error.todo
        ) from error


def _not_two(given: object, design: Design) -> EstimationError:
    first, last = design.periods[0], design.periods[-1]
    return EstimationError(
        needed="two periods, the earlier one first",
        found=repr(given),
        where="evaluate(between=)",
        todo=f"write between=({first}, {last}), or two periods between these",
    )


def check_rest(truth: object, description: object) -> None:
    """Refuse a truth that is no mapping to numbers, and a description that is no text.

    Raises
    ------
    EstimationError
        One of them is something else.
    """
    values = truth.values() if isinstance(truth, Mapping) else ()
    mapped = truth is None or isinstance(truth, Mapping)
    if not mapped or not all(is_number(one) for one in values):
        raise EstimationError(
            needed="the true effect of each metric, a number",
            found=repr(truth)[:200],
            where="evaluate(truth=)",
            todo='write truth={"cpp": 0.0}',
        )
    if description is not None and not isinstance(description, str):
        raise EstimationError(
            needed="a description in words",
            found=_kind(description),
            where="evaluate(description=)",
            todo='write description="…"',
        )


def _is_check(given: object) -> bool:
    return not isinstance(given, type) and callable(getattr(given, "run", None))


def _several(given: object) -> tuple[Any, ...] | None:
    """Return the elements of what has some; None of anything else, text among it."""
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        return tuple(given)
    return None


def _kind(given: object) -> str:
    return f"{type(given).__name__}: {given!r}"[:200]
