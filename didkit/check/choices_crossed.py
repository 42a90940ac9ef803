"""Choices by kind, each with a name, and every combination of one from each kind."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from didkit.design import Against, Pool, Rollout
from didkit.errors import DidkitError, InferenceError, first_few, kind_of
from didkit.panel import Metric
from didkit.results import Estimator, Inference

__all__ = ["COLUMNS", "OWN", "Choices", "by_name", "checked", "crossed", "from_names", "n_crossed"]

OWN = "as designed"  #: the name of the estimate's own choice, first of every kind
FORMS = ("level", "log", "rank")
CELLS = ("observed", "complete")
COLUMNS = {
    "pilots": "pilots",
    "comparators": "comparators",
    "windows": "window",
    "metrics": "metric",
    "forms": "form",
    "estimators": "estimator",
    "cells": "cells",
    "inferences": "inference",
}
"""Kinds of choices, in the order in which they are crossed, and their columns."""

Choices = Mapping[str, Mapping[str, Any]]
_WHERE = "SpecificationCurve({}=)"
_WANTED = {
    "pilots": "a mapping of names to lists of pilots to leave out, or to a Rollout; or a list of "
    "pilots, each left out by itself",
    "comparators": "a mapping of names to comparisons, such as {'every other': Pool()}",
    "windows": "a mapping of names to (first, last) period, or a list of such pairs",
    "metrics": "names of metrics of the panel, or a mapping of names to them",
    "forms": "some of 'level', 'log' and 'rank'",
    "estimators": "estimators, or a mapping of names to them",
    "cells": "'observed' or 'complete'",
    "inferences": "inferences, or a mapping of names to them; 'recommended' or None is one too",
}


def checked(kind: str, given: Any) -> Mapping[str, Any]:
    """Return the choices of a kind by name, without the estimate's own.

    Raises
    ------
    InferenceError
        If a choice is not of the kind, or is called as the estimate's own.
    """
    if given is None:
        return MappingProxyType({})
    if isinstance(given, Mapping):
        named: list[tuple[Any, Any]] = list(given.items())
    elif isinstance(given, str) or not isinstance(given, Iterable):
        raise _refused(kind, f"{given!r}: {kind_of(given)}")
    else:
        values = list(given)
        named = list(zip(_names(kind, values), values, strict=True))
    made: dict[str, Any] = {}
    for name, value in named:
        if not isinstance(name, str) or not name.strip() or name == OWN or name in made:
            raise _refused(kind, f"a choice called {name!r}")
        made[name] = _value(kind, value)
    if kind == "forms":  # the estimate is in levels: no other choice
        made = {name: form for name, form in made.items() if form != "level"}
    return MappingProxyType(made)


def _names(kind: str, values: list[Any]) -> list[str]:
    """Name the choices of a list."""
    if kind == "pilots":
        return [repr(one) if isinstance(one, Rollout) else _without(_listed(one)) for one in values]
    if kind == "windows" and all(_pair(one) for one in values):
        return [f"{first} to {last}" for first, last in values]
    if kind == "comparators" and all(isinstance(one, Against) for one in values):
        return [one.describe() for one in values]
    if kind in ("estimators", "inferences"):
        short = [one if isinstance(one, str) else type(one).__name__ for one in values]
        return [name if short.count(name) == 1 else repr(one) for name, one in zip(short, values, strict=True)]  # fmt: skip  # noqa: E501
    return [one.name if isinstance(one, Metric) else str(one) for one in values]


def _pair(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2


def _value(kind: str, value: Any) -> Any:
    """Return a choice in the shape in which it is used; refuse another kind of thing."""
    good: dict[str, Callable[[Any], bool]] = {
        "comparators": lambda one: isinstance(one, Against),
        "windows": _pair,
        "metrics": lambda one: isinstance(one, (str, Metric)),
        "forms": lambda one: one in FORMS,
        "estimators": lambda one: not isinstance(one, type) and isinstance(one, Estimator),
        "cells": lambda one: one in CELLS,
        "inferences": lambda one: (
            one is None
            or one == "recommended"
            or (not isinstance(one, type) and isinstance(one, Inference))
        ),
        "pilots": lambda one: (
            isinstance(one, (str, int, Rollout)) or (isinstance(one, Iterable) and bool(list(one)))
        ),
    }
    if not good[kind](value):
        raise _refused(kind, f"{value!r}: {kind_of(value)}")
    if kind == "metrics":
        return value.name if isinstance(value, Metric) else value
    if kind == "windows":
        return tuple(value)
    if kind == "pilots" and not isinstance(value, Rollout):
        return _listed(value)
    return value


def _refused(kind: str, found: str) -> InferenceError:
    return InferenceError(
        needed=f"{_WANTED[kind]}; none called {OWN!r}, which is the estimate itself",
        found=found,
        where=_WHERE.format(kind),
        todo="name each choice once, and give its value",
    )


def by_name(pilots: Mapping[str, Any], name_of: Callable[[str], str]) -> dict[str, Any]:
    """Call choices that leave pilots out by the names of these, where they were called by ids.

    Parameters
    ----------
    pilots : mapping
        Name of the choice → ids left out, or a Rollout.
    name_of : callable
        Id → name of a unit.

    Returns
    -------
    dict
        The same choices in the same order. Ids stay where two choices would have one name.

    Examples
    --------
    >>> by_name({"without 303": ("303",), "fewer": ("304",)}, {"303": "Bexley"}.get)
    {'without Bexley': ('303',), 'fewer': ('304',)}
    """
    called = {
        name: _without(tuple(name_of(unit) for unit in given))
        if not isinstance(given, Rollout) and name == _without(given)
        else name
        for name, given in pilots.items()
    }
    names = list(called.values())
    return {
        called[name] if names.count(called[name]) == 1 else name: given
        for name, given in pilots.items()
    }


def _listed(pilots: Any) -> tuple[str, ...]:
    """Return ids of pilots as a tuple, one alone too; empty where it is no list of them."""
    if isinstance(pilots, (str, int)):
        return (str(pilots),)
    return tuple(str(one) for one in pilots) if isinstance(pilots, Iterable) else ()


def _without(units: Sequence[str]) -> str:
    return f"without {', '.join(units)}"


def n_crossed(choices: Choices) -> int:
    """Count the combinations, the estimate as it is among them."""
    return math.prod(1 + len(one) for one in choices.values())


def crossed(choices: Choices) -> list[dict[str, str]]:
    """Return every combination: kind → name of the choice, the estimate as it is first.

    Examples
    --------
    >>> [list(one.values()) for one in crossed({"forms": {"log": "log"}, "cells": {}})]
    [['as designed'], ['log']]
    """
    kinds = [kind for kind in COLUMNS if choices.get(kind)]
    each = [(OWN, *choices[kind]) for kind in kinds]
    return [dict(zip(kinds, one, strict=True)) for one in itertools.product(*each)]


def from_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn names into choices: what a written plan can say.

    Parameters
    ----------
    given : mapping
        Kind → choices. Estimators by the name of their class, with "complete" behind it for that
        policy of cells ("DiD", "DiD complete", "GroupTime"); inferences by the name of their class
        ("Permutation"), "permutation", "permutation beta", "CR0" to "CR3", "jackknife",
        "wild bootstrap" or "recommended"; comparators "every other", or an object; all other kinds
        as for `SpecificationCurve`.

    Raises
    ------
    InferenceError
        If a kind or name is unknown.

    Examples
    --------
    >>> from_names({"estimators": ["DiD complete"]})
    {'estimators': {'DiD complete': DiD(cells='complete')}}
    """
    unknown = [kind for kind in given if kind not in COLUMNS]
    if unknown:
        raise InferenceError(
            needed="kinds of choices: " + ", ".join(COLUMNS),
            found=first_few(unknown),
            where="SpecificationCurve.named",
            todo="choose from these",
        )
    turned = {"estimators": _estimator, "inferences": _inference, "comparators": _comparators}
    made: dict[str, Any] = {}
    for kind, choices in given.items():
        turn = turned.get(kind)
        if turn is None:
            made[kind] = choices
        elif isinstance(choices, Mapping):
            made[kind] = {
                name: turn(one) if isinstance(one, str) else one for name, one in choices.items()
            }
        else:
            made[kind] = {one: turn(one) for one in choices}
    return made


def _estimator(name: str) -> Estimator:
    room: Any = importlib.import_module("didkit.estimate")
    word, _, cells = name.partition(" ")
    known = [one for one in room.__all__ if one[:1].isupper()]
    if word not in known or cells not in ("", *CELLS):
        raise _unknown("estimators", name, f"the name of an estimator: {', '.join(known)}")
    try:
        made: Estimator = getattr(room, word)(**({"cells": cells} if cells else {}))
    except (TypeError, DidkitError) as error:
        raise _unknown("estimators", name, "an estimator that needs no options") from error
    return made


def _inference(name: str) -> Inference | str:
    if name == "recommended":
        return name
    room: Any = importlib.import_module("didkit.inference")
    made: Inference
    if name in ("CR0", "CR1", "CR2", "CR3"):
        made = room.ClusterRobust(name)
        return made
    if name == "permutation beta":
        made = room.Permutation("beta")
        return made
    word = "".join(part[:1].upper() + part[1:] for part in name.split())
    if word not in room.__all__ or not hasattr(getattr(room, word), "attach"):
        raise _unknown("inferences", name, "the name of an inference, such as 'permutation'")
    try:
        made = getattr(room, word)()
    except (TypeError, DidkitError) as error:
        raise _unknown("inferences", name, "an inference that needs no options") from error
    return made


def _comparators(name: str) -> Against:
    if name != "every other":
        raise _unknown("comparators", name, "'every other', or an object such as a Matching")
    return Pool()


def _unknown(kind: str, name: str, needed: str) -> InferenceError:
    return InferenceError(
        needed=needed,
        found=repr(name),
        where=f"SpecificationCurve.named, {kind}",
        todo="correct the name, or give the object itself",
    )
