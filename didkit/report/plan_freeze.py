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
from didkit.report.plan_content import alike, digest_of
from didkit.report.plan_data import Loaded, load, unit_problems
from didkit.report.plan_file import read_toml, there, together
from didkit.report.record import Deviation

if TYPE_CHECKING:
    from didkit.report.plan import Plan

__all__ = ["Comparison", "compare", "refusals", "write_frozen"]

VERSION = 1  #: of the format: the key ``didkit_frozen``
MOST_BYTES = 20_000_000  #: a frozen plan holds the plan, hashes and whom it came down to
NOT_FROZEN = "the plan was not frozen before this run"

_HEAD = """\
# A frozen plan, written by didkit. Do not edit it: the seal shows any change of content.
# The plan's content is in [plan], key by key; [[files]] and [values] are its data, and [resolved]
# is whom the plan came down to on these data. `didkit evaluate PLAN.toml` compares with it.
"""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ITEM = re.compile(
    r"(specifications|(?:data\.files|data\.rates|sensitivity)\['(?:[^'\\]|\\.)*'\](?:\[\d+\])?)\.(.+)",
    re.S,
)
_NOTHING = "nothing"


@dataclass(frozen=True)
class Comparison:
    """Whether there is a frozen plan, since when, and what differs from it."""

    frozen: bool
    frozen_on: str
    before_data: bool
    deviations: tuple[Deviation, ...]


# -- written -----------------------------------------------------------------------------------


def write_frozen(plan: Plan, path: Path, *, replace: bool, before_data: bool) -> Path:
    """Write the frozen plan; see `Plan.freeze`."""
    if _same(path, plan.source):
        raise PlanError(
            needed="another file than the plan",
            found="the plan itself",
            where=str(path),
            todo="leave the path out: the frozen plan is then written beside the plan",
        )
    earlier: list[dict[str, Any]] = []
    if there(path):
        frozen = _frozen_before(path)
        if not replace:
            raise PlanError(
                needed="a plan that is not frozen yet",
                found=f"{path.name}, frozen before",
                where=str(path.parent),
                todo="run it as it is and let the report list the deviations, or replace the "
                "frozen plan by name: plan.freeze(replace=True), didkit freeze --replace",
            )
        earlier = _earlier(frozen)
    if before_data:  # what the data would have shown otherwise
        wrong = tuple(unit_problems(plan, None))
        if wrong:
            raise together(wrong, plan.source.name)
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


def _same(path: Path, other: Path) -> bool:
    return there(path) and there(other) and path.samefile(other)


def _frozen_before(path: Path) -> Mapping[str, Any]:
    """Read the frozen plan that would be replaced; a file that is none is never overwritten."""
    try:
        raw = read_toml(path, most=MOST_BYTES).raw
    except PlanError as error:
        raise _no_frozen_plan(path, error.found) from error
    if "didkit_frozen" not in raw:
        raise _no_frozen_plan(path, "a file without the key didkit_frozen")
    return raw


def _no_frozen_plan(path: Path, found: str) -> PlanError:
    return PlanError(
        needed="a new file, or a frozen plan to replace",
        found=found,
        where=str(path),
        todo="name another file; this one is as it was",
    )


def _earlier(before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """When, and over what content, a plan was frozen before it was frozen again."""
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
    if not there(path):
        first = Deviation("the plan", "frozen before the run", NOT_FROZEN)
        return Comparison(False, "", False, (first, *found))
    section = read_toml(path, most=MOST_BYTES)
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
    planned_then = _mapping(frozen, "plan")
    keys = _plan_changes(*alike(planned_then, now["plan"], plan))
    found += [Deviation(f"plan: {key}", planned, here) for key, planned, here in keys]
    if not keys and frozen.get("plan_sha256") not in (now["plan_sha256"], digest_of(planned_then)):
        found.append(
            Deviation(
                "digest of the plan",
                _short(frozen.get("plan_sha256", "")),
                _short(now["plan_sha256"]),
            )
        )
    before_data = frozen.get("before_data") is True
    if not before_data:
        found += _data_deviations(frozen, now, {key for key, _, _ in keys})
    return Comparison(True, _words(frozen.get("frozen")), before_data, tuple(found))


def _plan_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return key, planned and found of what differs; a whole section that came or went once."""
    old, new = _items(before), _items(now)
    gone = {item: keys for item, keys in old.items() if item not in new}
    come = {item: keys for item, keys in new.items() if item not in old}
    renamed = {}
    for item, keys in gone.items():
        same = [other for other, its in come.items() if its == keys and other not in renamed]
        if same:
            renamed[same[0]] = item
    found: dict[str, tuple[str, str]] = {}
    for key, planned, here in _differing(before, now):
        at = _ITEM.fullmatch(key)
        item = at[1] if at else ""
        if item in gone:
            to = next((other for other, one in renamed.items() if one == item), None)
            found[item] = (
                _in_words(gone[item]),
                _NOTHING if to is None else f"the same, called {to}",
            )
        elif item in come:
            if item not in renamed:
                found[item] = (_NOTHING, _in_words(come[item]))
        else:
            found[key] = (planned, here)
    return [(key, planned, here) for key, (planned, here) in found.items()]


def _items(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Gather the keys of each data file, rate and alternative."""
    made: dict[str, dict[str, Any]] = {}
    for key, value in content.items():
        if at := _ITEM.fullmatch(key):
            made.setdefault(at[1], {})[at[2]] = value
    return made


def _in_words(keys: Mapping[str, Any]) -> str:
    return "; ".join(f"{key} {_words(value)}" for key, value in keys.items())


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


def refusals(
    named: Mapping[str, Mapping[str, str]], *, planned: str = "made"
) -> tuple[Deviation, ...]:
    """List what was refused: metric → name → reason."""
    return tuple(
        Deviation(f"{name} of {metric}", planned, f"refused: {reason}")
        for metric, reasons in named.items()
        for name, reason in reasons.items()
    )
