"""The frozen plan: written once, compared with before every run."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from didkit.errors import PlanError
from didkit.panel import Panel
from didkit.report.files import write_whole
from didkit.report.plan_data import Loaded, load
from didkit.report.plan_file import read_toml
from didkit.report.record import Deviation

if TYPE_CHECKING:
    from didkit.report.plan import Plan

__all__ = ["Comparison", "compare", "refusals", "write_frozen"]

VERSION = 1  #: of the format: the key ``didkit_frozen``
NOT_FROZEN = "the plan was not frozen before this run"

_HEAD = """\
# A frozen plan, written by didkit. Do not edit it: the seal shows any change of content.
# The plan's content is in [plan], key by key; [[files]] and [values] are its data, and [resolved]
# is whom the plan came down to on these data. `didkit evaluate PLAN.toml` compares with it.
"""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_NOTHING = "nothing"


@dataclass(frozen=True)
class Comparison:
    """Whether there is a frozen plan, since when, and what differs from it."""

    frozen: bool
    frozen_on: str
    deviations: tuple[Deviation, ...]


# -- written -----------------------------------------------------------------------------------


def write_frozen(plan: Plan, path: Path, *, replace: bool, before_data: bool) -> Path:
    """Write the frozen plan; see `Plan.freeze`."""
    earlier: list[dict[str, Any]] = []
    if path.exists():
        if not replace:
            raise PlanError(
                needed="a plan that is not frozen yet",
                found=f"{path.name}, frozen before",
                where=str(path.parent),
                todo="run it as it is and let the report list the deviations, or replace the "
                "frozen plan by name: plan.freeze(replace=True), didkit freeze --replace",
            )
        earlier = _earlier(path)
    document = _document(plan, None if before_data else load(plan), earlier)
    try:
        return write_whole(path, _HEAD + _toml(document))
    except OSError as error:
        raise PlanError(
            needed="a file that can be written",
            found=error.strerror or str(error),
            where=str(path),
            todo="name another one: plan.freeze(path)",
        ) from error


def _document(plan: Plan, data: Loaded | None, earlier: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything that is frozen, sealed."""
    made: dict[str, Any] = {
        "didkit_frozen": VERSION,
        "frozen": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "didkit": _version(),
        "plan_file": plan.source.name,
        "plan_sha256": plan.digest,
        "before_data": data is None,
        "plan": plan.content(),
    }
    if data is not None:
        made["resolved"] = _resolved(data)
        made["values"] = _values(plan, data.panel)
        made["files"] = [
            {"path": one.path, "size": one.size, "sha256": one.sha256} for one in data.files
        ]
    if earlier:
        made["replaced"] = earlier
    return {"seal": _seal(made), **made}


def _earlier(path: Path) -> list[dict[str, Any]]:
    """When, and over what content, a plan was frozen before it was frozen again."""
    before = read_toml(path).raw
    kept = before.get("replaced", [])
    return [
        *(one for one in kept if isinstance(one, dict)),
        {key: str(before.get(key, "")) for key in ("frozen", "plan_sha256", "seal")},
    ]


def _resolved(data: Loaded) -> dict[str, Any]:
    design = data.design
    return {
        "first": design.periods[0],
        "last": design.periods[-1],
        "starts": dict(design.starts),
        "comparators": list(design.comparators),
    }


def _values(plan: Plan, panel: Panel) -> dict[str, str]:
    """Hash every value of each metric, by unit and period."""
    made = {}
    for metric in plan.all_metrics:
        cells = panel.cells(metric)
        lines = [
            f"{unit} {period} {float(cells.value[i, t])!r} {int(cells.status[i, t])}"
            for i, unit in enumerate(panel.unit_ids)
            for t, period in enumerate(panel.periods)
            if np.isfinite(cells.value[i, t]) or cells.status[i, t] != 0
        ]
        made[metric] = hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()
    return made


def _seal(document: Mapping[str, Any]) -> str:
    """SHA-256 of everything but the seal itself."""
    rest = {key: value for key, value in document.items() if key != "seal"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _version() -> str:
    try:
        return importlib.metadata.version("didkit-evaluation")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"


def _toml(document: Mapping[str, Any]) -> str:
    """Write plain values, then tables, then arrays of tables."""
    lines: list[str] = []
    _table(lines, document, ())
    return "\n".join(lines) + "\n"


def _table(lines: list[str], table: Mapping[str, Any], path: tuple[str, ...]) -> None:
    later: list[Callable[[], None]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):

            def inner(key: str = key, value: Mapping[str, Any] = value) -> None:
                lines.extend(("", f"[{'.'.join(map(_key, (*path, key)))}]"))
                _table(lines, value, (*path, key))

            later.append(inner)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):

            def several(key: str = key, value: list[Mapping[str, Any]] = value) -> None:
                for one in value:
                    lines.extend(("", f"[[{'.'.join(map(_key, (*path, key)))}]]"))
                    _table(lines, one, (*path, key))

            later.append(several)
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    for write in later:
        write()


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    # JSON's escapes are TOML's; TOML also wants DEL escaped
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


# -- compared ----------------------------------------------------------------------------------


def compare(plan: Plan, data: Loaded) -> Comparison:
    """List what differs from the frozen plan beside the plan, and from the hashes in the plan.

    Raises
    ------
    PlanError
        If the frozen plan is no TOML, or of a version that is not known.
    """
    found = [
        Deviation(
            f"data file {one.path}", f"SHA-256 {_short(one.planned)} (in the plan)", _sha(one)
        )
        for one in data.files
        if one.planned and one.planned != one.sha256
    ]
    path = plan.frozen_path
    if not path.exists():
        first = Deviation("the plan", "frozen before the run", NOT_FROZEN)
        return Comparison(False, "", (first, *found))
    section = read_toml(path)
    frozen = section.raw
    if frozen.get("didkit_frozen") != VERSION:
        raise PlanError(
            needed=f"a frozen plan with didkit_frozen = {VERSION}",
            found=repr(frozen.get("didkit_frozen")),
            where=section.where("didkit_frozen"),
            todo="use the didkit that wrote it, or freeze the plan again with replace=True",
        )
    now = _document(plan, data, [])
    tampered = frozen.get("seal") != _seal(frozen)
    if tampered:
        found.insert(
            0,
            Deviation(
                f"the frozen plan {path.name}",
                f"content of seal {_short(frozen.get('seal', ''))}",
                f"content of seal {_short(_seal(frozen))}: it was changed after it was frozen",
            ),
        )
    earlier = frozen.get("replaced")
    if isinstance(earlier, list):
        found += [
            Deviation(
                "the frozen plan", "frozen once", f"replaced; frozen before on {one['frozen']}"
            )
            for one in earlier
            if isinstance(one, dict) and "frozen" in one
        ]
    if frozen.get("didkit") != now["didkit"]:
        found.append(Deviation("version of didkit", _words(frozen.get("didkit")), now["didkit"]))
    keys = _differing(_mapping(frozen, "plan"), now["plan"])
    found += [Deviation(f"plan: {key}", planned, here) for key, planned, here in keys]
    if frozen.get("plan_sha256") != now["plan_sha256"] and not keys:
        found.append(
            Deviation(
                "digest of the plan",
                _short(frozen.get("plan_sha256", "")),
                _short(now["plan_sha256"]),
            )
        )
    if frozen.get("before_data") is not True:
        found += _data_deviations(frozen, now, {key for key, _, _ in keys})
    return Comparison(True, _words(frozen.get("frozen")), tuple(found))


def _data_deviations(
    frozen: Mapping[str, Any], now: Mapping[str, Any], changed: set[str]
) -> list[Deviation]:
    found = _file_deviations(_hashes(frozen), _hashes(now))
    for metric, _, _ in _differing(_mapping(frozen, "values"), now["values"]):
        if metric in _mapping(frozen, "values") and metric in now["values"]:
            found.append(Deviation(f"data values of {metric}", "as frozen", "changed"))
    before, here = _mapping(frozen, "resolved"), now["resolved"]
    for key in ("first", "last"):
        if before.get(key) != here[key]:
            found.append(
                Deviation(f"window, {key} period", _words(before.get(key)), _words(here[key]))
            )
    for unit, planned, start in _differing(_mapping(before, "starts"), here["starts"]):
        if f"pilots.starts.{unit}" not in changed:
            found.append(Deviation(f"start of pilot {unit}", planned, start))
    old, new = before.get("comparators"), here["comparators"]
    old = [str(one) for one in old] if isinstance(old, list) else []
    gone, come = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    if gone or come:
        words = [f"without {', '.join(gone)}"] * bool(gone) + [f"with {', '.join(come)}"] * bool(
            come
        )
        found.append(Deviation("comparators", str(len(old)), f"{len(new)}: {'; '.join(words)}"))
    return found


def _file_deviations(frozen: Mapping[str, str], now: Mapping[str, str]) -> list[Deviation]:
    """Say which files changed, were renamed, are missing or new."""
    found = []
    new = {path: sha for path, sha in now.items() if path not in frozen}
    for path, sha in frozen.items():
        if path in now:
            if now[path] != sha:
                was = f"SHA-256 {_short(sha)}"
                found.append(Deviation(f"data file {path}", was, f"SHA-256 {_short(now[path])}"))
            continue
        renamed = next((other for other, its in new.items() if its == sha), None)
        if renamed is not None:
            del new[renamed]
        found.append(
            Deviation(
                f"data file {path}",
                f"SHA-256 {_short(sha)}",
                "not there" if renamed is None else f"renamed to {renamed}, same content",
            )
        )
    for path, sha in new.items():
        found.append(Deviation(f"data file {path}", "no such file", f"SHA-256 {_short(sha)}"))
    return found


def _hashes(document: Mapping[str, Any]) -> dict[str, str]:
    files = document.get("files")
    return {
        str(one.get("path")): str(one.get("sha256"))
        for one in (files if isinstance(files, list) else [])
        if isinstance(one, dict)
    }


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return key, planned and found of what differs, in the order of the plan."""
    keys: Sequence[str] = [*before, *(key for key in now if key not in before)]
    return [
        (key, _words(before.get(key)), _words(now.get(key)))
        for key in keys
        if before.get(key) != now.get(key)
    ]


def _words(value: object) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or _NOTHING
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sha(one: Any) -> str:
    return f"SHA-256 {_short(one.sha256)}"


def _short(sha: object) -> str:
    """Show enough of a hash to tell it from another."""
    return f"{str(sha)[:12]}…"


def refusals(named: Mapping[str, Mapping[str, str]]) -> tuple[Deviation, ...]:
    """List what was planned and refused: metric → name → reason."""
    return tuple(
        Deviation(f"{name} of {metric}", "made", f"refused: {reason}")
        for metric, reasons in named.items()
        for name, reason in reasons.items()
    )
