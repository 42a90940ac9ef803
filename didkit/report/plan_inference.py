"""``[inference]`` of a plan: the methods that it can name, and how their options are read."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from didkit.errors import InferenceError, PlanError, is_number, is_whole
from didkit.inference import (
    ClusterRobust,
    ConleyTaber,
    DonaldLang,
    FermanPinto,
    IbragimovMuller,
    Jackknife,
    LauLi,
    Permutation,
    SignFlips,
    WildBootstrap,
)
from didkit.report.plan_file import Section
from didkit.results import Inference
from didkit.results.asking import level_meant

__all__ = ["JOINTLY", "METHODS", "Inferences", "build", "inferences", "required"]

METHODS: dict[str, type[Inference]] = {
    "permutation": Permutation,
    "cluster_robust": ClusterRobust,
    "jackknife": Jackknife,
    "wild_bootstrap": WildBootstrap,
    "sign_flips": SignFlips,
    "ferman_pinto": FermanPinto,
    "conley_taber": ConleyTaber,
    "donald_lang": DonaldLang,
    "ibragimov_muller": IbragimovMuller,
    "lau_li": LauLi,
}
"""The methods that a plan can name."""

JOINTLY = {name: METHODS[name] for name in ("permutation", "cluster_robust")}
"""Those that draw for several metrics together, which Romano–Wolf and max-t need."""


@dataclass(frozen=True)
class Inferences:
    """How sure: the method (None: what the design recommends), its level, strata and clusters."""

    method: Inference | None = None
    level: float = 0.95
    strata: str = ""
    clusters: str = ""


def inferences(section: Section) -> Inferences:
    """Read ``[inference]``; what is wrong is noted, all of it."""
    method = section.one_of("method", ("recommended", *METHODS), "recommended")
    level = section.number("level", Inferences.level)
    if not 0 < level < 1:
        error = section.error(
            "level",
            needed="a level between 0 and 1, such as 0.95",
            found=f"{level:g}",
            todo=f"write level = {level_meant(level):g}",
        )
        section.note("level", error)
        level = Inferences.level
    strata, clusters = section.text("strata", ""), section.text("clusters", "")
    kind = METHODS.get(method)
    if "method" in section.refused:
        kind = _nearest(section.raw["method"])
        for one in METHODS.values():  # the options of any may be meant
            for option in dataclasses.fields(cast(Any, one)):
                section.has(option.name)
    made = None if kind is None else build(section, kind)
    section.close()
    return Inferences(cast("Inference | None", made), level, strata, clusters)


def _nearest(name: object) -> type[Inference] | None:
    """Return the method that was probably meant, so that its options are looked at too."""
    near = difflib.get_close_matches(name, METHODS, n=1) if isinstance(name, str) else []
    return METHODS[near[0]] if near else None


_KINDS: dict[str, Callable[[Any], bool]] = {
    "a whole number": is_whole,
    "a number": is_number,
    "true or false": lambda value: isinstance(value, bool),
    "a list of numbers": lambda value: isinstance(value, list) and all(map(is_number, value)),
    "a list of texts": lambda value: (
        isinstance(value, list) and all(isinstance(one, str) for one in value)
    ),
    "text in quotes": lambda value: isinstance(value, str),
}
"""What an option can be in a file, in words, and how it is told."""

_TYPES = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "Any": "text in quotes",
    "Literal": "text in quotes",
    "Sequence[float": "a list of numbers",
    "Sequence[str": "a list of texts",
}
_PARTS = re.compile(r"(?:[^|\[]|\[[^\]]*\])+")  #: of a union


def _wanted(option: dataclasses.Field[Any]) -> list[str]:
    """Say what an option can be in a file, by its default and its type; nothing for an object."""
    default = option.default
    if isinstance(default, bool):
        return ["true or false"]
    if is_whole(default):
        return ["a whole number"]
    if is_number(default):
        return ["a number"]
    if isinstance(default, str):
        return ["text in quotes"]
    if isinstance(default, tuple) and default and all(map(is_number, default)):
        return ["a list of numbers"]
    found = []
    for part in _PARTS.findall(str(option.type)):
        kind, _, inner = part.strip().partition("[")
        named = f"{kind}[{inner.split()[0].rstrip(']')}" if kind == "Sequence" else kind
        found += [_TYPES[named]] if named in _TYPES else []
    return list(dict.fromkeys(found))


def required(kind: Any) -> list[str]:
    """Name the options without a default.

    Examples
    --------
    >>> from didkit.check import LeaveOneOut, PreTrendEquivalence
    >>> required(PreTrendEquivalence), required(LeaveOneOut)
    (['margin'], [])
    """
    missing = dataclasses.MISSING
    return [
        one.name
        for one in dataclasses.fields(kind)
        if one.init and one.default is missing and one.default_factory is missing
    ]


def build(section: Section, kind: type[Any], **more: Any) -> Any:
    """Make a frozen configuration from the keys of a section that are its options.

    Options that are wrong are noted, each with its line, and left at their defaults; None where
    one without a default is wrong.
    """
    options = dict(more)
    for one in dataclasses.fields(kind):
        if one.name in more:
            continue
        needed = _wanted(one)
        if not needed or not section.has(one.name):
            continue
        value = section.raw[one.name]
        if not any(_KINDS[name](value) for name in needed):
            known = one.default not in (None, dataclasses.MISSING)
            must = one.default is one.default_factory is dataclasses.MISSING
            other = f"give {' or '.join(needed)}" if must else "leave it out"
            section.wrong(
                one.name,
                needed=f"{' or '.join(needed)} for {kind.__name__}",
                value=value,
                todo=f"write {one.name} = {json.dumps(one.default)}, or another"
                if known
                else f"{other}, or see help(didkit.{kind.__name__})",
            )
            continue
        value = tuple(value) if isinstance(value, list) else value
        options[one.name] = value
    while all(name in options for name in required(kind)):
        try:
            return kind(**options)
        except InferenceError as error:
            culprit, alone = _culprit(kind, options, error)
            keys = (culprit,) if culprit in section.raw else ()
            told = PlanError(
                needed=alone.needed,
                found=alone.found,
                where=f"{section.where(*keys)}: {alone.where}",
                todo=alone.todo,
            )
            section.note(culprit, told)
            options = {k: v for k, v in options.items() if k != culprit} if culprit else {}
    return None


def _culprit(
    kind: type[Any], options: Mapping[str, Any], error: InferenceError
) -> tuple[str, InferenceError]:
    """Find the option that is refused by itself, and how; "" where only together they are."""
    needed = {name: options[name] for name in required(kind)}
    for name, value in options.items():
        try:
            kind(**{**needed, name: value})
        except InferenceError as alone:
            return name, alone
    return "", error
