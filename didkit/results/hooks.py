"""The places where the front door joins rooms that may not import each other.

``recommend(estimate)`` returns the inference that suits the design, with its reasons;
``tabulate(estimate, methods)`` puts several inferences side by side; ``draw(result, ax)`` returns
the Axes of a picture; ``check_all(estimate, leave_out=…)`` runs its checks. Without the
front door all are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from didkit.errors import DidkitError, InferenceError

__all__ = ["check_all", "draw", "fill", "recommend", "tabulate"]

_filled: dict[str, Callable[..., Any]] = {}


def fill(name: str, function: Callable[..., Any]) -> None:
    """Fill a hook; only the front door does.

    Raises
    ------
    KeyError
        If there is no hook of that name.
    """
    if name not in ("recommend", "tabulate", "draw", "check_all"):
        raise KeyError(name)
    _filled[name] = function


def recommend(estimate: Any) -> Any:
    """Ask for the inference that suits an estimate."""
    if "recommend" not in _filled:
        raise _no_inference()
    return _filled["recommend"](estimate)


def tabulate(estimate: Any, methods: Any = None, **options: Any) -> Any:
    """Ask for several inferences of an estimate side by side."""
    if "tabulate" not in _filled:
        raise _no_inference()
    return _filled["tabulate"](estimate, methods, **options)


def _no_inference() -> InferenceError:
    return InferenceError(
        needed="an inference, or the front door that recommends one",
        found="neither",
        where="the room results on its own",
        todo="import didkit, or say estimate.infer(ClusterRobust('CR2'))",
    )


def check_all(estimate: Any, **options: Any) -> Any:
    """Ask for the checks that suit an estimate, run one after the other."""
    if "check_all" not in _filled:
        raise DidkitError(
            needed="the front door, which knows the checks",
            found="the room results on its own",
            where="checks()",
            todo="import didkit",
        )
    return _filled["check_all"](estimate, **options)


def draw(result: Any, ax: Any = None, **options: Any) -> Any:
    """Ask for the picture of a result."""
    if "draw" not in _filled:
        raise DidkitError(
            needed="the front door, which knows who draws",
            found="the room results on its own",
            where="plot()",
            todo="import didkit",
        )
    return _filled["draw"](result, ax=ax, **options)
