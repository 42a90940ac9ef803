"""The content of a plan as flat keys, and which of them only say a default."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from didkit.report import plan_parts as parts

if TYPE_CHECKING:
    from didkit.report.plan import Plan

__all__ = ["alike", "digest_of", "flat", "plain"]

_CALLED: dict[type, str] = {parts.DataFile: "path", parts.Rate: "metric", parts.Variant: "name"}


def plain(part: Any) -> dict[str, Any]:
    """Return the fields of a frozen object, without those that say nothing."""
    found = {one.name: getattr(part, one.name) for one in dataclasses.fields(part)}
    return {name: value for name, value in found.items() if value not in ("", None, (), {})}


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Lay nested parts out as dotted keys; arrays of plain values stay arrays.

    Parts in an array are known by what they are called, not by where they stand.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = plain(value)
    made: dict[str, Any] = {}
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            made.update(flat(value[key], f"{prefix}.{key}" if prefix else str(key)))
        return made
    if isinstance(value, tuple) and any(dataclasses.is_dataclass(one) for one in value):
        taken: dict[str, int] = {}
        for one in value:
            inner = plain(one)
            called = str(inner.pop(_CALLED[type(one)]))
            quoted = called.replace("\\", "\\\\").replace("'", "\\'")
            taken[called] = n = taken.get(called, 0) + 1
            made.update(flat(inner, f"{prefix}['{quoted}']" + (f"[{n}]" if n > 1 else "")))
        return made
    return {prefix: list(value) if isinstance(value, tuple) else value}


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of a plan's content."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def alike(
    before: Mapping[str, Any], now: Mapping[str, Any], plan: Plan
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Leave out of two contents what differs only because a later didkit has more options.

    An option of a check, a method or the choices to cross that an earlier frozen plan does not
    hold, and that is at its default now, is what was planned: it did not exist, and its default is
    what was done without it. An option that the frozen plan holds is compared as it is, so that a
    default that changed is seen.

    Parameters
    ----------
    before, now : mapping
        Content of the frozen plan, and of the plan.
    plan : Plan
        Of which `now` is the content.

    Returns
    -------
    (dict, dict)
        Both without those keys.
    """
    old, new = dict(before), dict(now)
    for prefix, part in _optional(plan):
        names = [key for key in before if key.startswith(f"{prefix}.")]
        if prefix == "inference":
            known = before.get("inference.method") == now.get("inference.method")
        else:
            known = bool(names) or prefix in before
        if not known:
            continue
        for key, value in _defaults(part, prefix).items():
            if key in new and key not in before and new[key] == value:
                del new[key]
        if prefix in old and prefix in new:  # true, then as now
            continue
        old.pop(prefix, None)  # true: a check without options, that has some now
        if names:
            new.pop(prefix, None)
    return old, new


def _optional(plan: Plan) -> list[tuple[str, Any]]:
    """Name the parts of a plan whose options have defaults, by the keys that they stand below."""
    found: list[tuple[str, Any]] = [(f"checks.{type(one).__name__}", one) for one in plan.checks]
    if plan.inference.method is not None:
        found.append(("inference", plan.inference.method))
    return [*found, ("specifications", plan.specifications)]


def _defaults(part: Any, prefix: str) -> dict[str, Any]:
    """Return the keys and values that the defaults of a frozen object's class come to."""
    missing = dataclasses.MISSING
    made: dict[str, Any] = {}
    for one in dataclasses.fields(part):
        if one.default is not missing:
            made[one.name] = one.default
        elif one.default_factory is not missing:
            made[one.name] = one.default_factory()
    return flat(made, prefix)
