"""A plan's file: read within limits, and taken apart with errors that name the line."""

from __future__ import annotations

import datetime
import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from didkit.errors import PlanError, first_few, is_number, is_whole
from didkit.panel import unit_id
from didkit.report import plan_lines

__all__ = ["Section", "read_toml"]

MOST_BYTES = 1_000_000  #: a plan is written by hand; a megabyte is a thousand pages
MOST_NESTED = 100  #: brackets inside brackets, below what the parser can take

_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)\s*$")
_KINDS = {
    bool: "true or false",
    str: "text",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    list: "an array",
}


def read_toml(path: Path) -> Section:
    """Read a TOML file as the outermost section.

    Raises
    ------
    PlanError
        No such file, too large, not UTF-8, or not valid TOML; the line is named.
    """
    name = path.name or str(path)
    try:
        if path.is_dir():
            raise _unread(name, "a folder", "name the file itself")
        with path.open("rb") as handle:
            data = handle.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        found = getattr(error, "strerror", None) or str(error)
        raise _unread(name, found, "check the path, and the folder the program runs in") from error
    if len(data) > MOST_BYTES:
        raise _unread(name, f"more than {MOST_BYTES:,} bytes", "name the plan, not a data file")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PlanError(
            needed="a plan in UTF-8",
            found=f"byte {data[error.start]:#04x}, which is not",
            where=f"{name}, line {line}",
            todo="save it as UTF-8",
        ) from error
    if plan_lines.nesting(text) > MOST_NESTED:
        raise _unread(name, f"more than {MOST_NESTED} brackets inside brackets", "close them")
    try:
        raw = tomllib.loads(text)
    except ValueError as error:  # also a date that does not exist, a number with too many digits
        raise _syntax(name, text, error) from error
    return Section(raw, file=name, lines=plan_lines.locate(text))


def _unread(name: str, found: str, todo: str) -> PlanError:
    return PlanError(
        needed="a plan: a TOML file that can be read", found=found, where=name, todo=todo
    )


def _syntax(name: str, text: str, error: ValueError) -> PlanError:
    said = str(error)
    at = _AT.search(said)
    last = text.count("\n") + (not text.endswith("\n"))
    line = int(at[1]) if at and at[1] else last if at else None
    column = f", column {at[2]}" if at and at[2] else ""
    return PlanError(
        needed="valid TOML",
        found=said[: at.start()] if at else said,
        where=name if line is None else f"{name}, line {line}{column}",
        todo="text stands in quotes, dates and numbers do not; a key stands once; see toml.io",
    )


@dataclass
class Section:
    """One table of a plan: every key is asked for by name and kind, and none may be left over."""

    raw: Mapping[str, Any]
    file: str
    lines: dict[plan_lines.Path, int]
    path: plan_lines.Path = ()
    asked: list[str] = field(default_factory=list)

    # -- errors ----------------------------------------------------------------------------

    def where(self, *keys: str | int) -> str:
        """Name file, line and key."""
        path = (*self.path, *keys)
        line = plan_lines.line_of(self.lines, path)
        called = dotted(path)
        return f"{self.file}, line {line}" + (f" ({called})" if called else "")

    def error(self, *keys: str | int, needed: str, found: str, todo: str) -> PlanError:
        """Make the error of one key."""
        return PlanError(needed=needed, found=found, where=self.where(*keys), todo=todo)

    def wrong(self, *keys: str | int, needed: str, value: object, todo: str = "") -> PlanError:
        """Make the error of a value of the wrong kind."""
        return self.error(*keys, needed=needed, found=shown(value), todo=todo or "mend it")

    def close(self) -> None:
        """Refuse keys that nobody asked for, and suggest the nearest that exists."""
        for key in self.raw:
            if key in self.asked:
                continue
            near = difflib.get_close_matches(key, self.asked, n=2, cutoff=0.5)
            raise self.error(
                key,
                needed=f"a key of {'[' + dotted(self.path) + ']' if self.path else 'a plan'}",
                found=f"the unknown key {key!r}",
                todo=f"did you mean {' or '.join(near)}?"
                if near
                else f"choose one of: {', '.join(self.asked)}",
            )

    # -- asked for -------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """Whether a key is there."""
        if key not in self.asked:
            self.asked.append(key)
        return key in self.raw

    def text(self, key: str, default: str | None = None) -> str:
        """Return text; without a default it is required and not empty."""
        if not self.has(key):
            if default is not None:
                return default
            raise self.error(
                needed=f"the key {key}", found="none", todo=f'write {key} = "…" in this section'
            )
        value = self.raw[key]
        if not isinstance(value, str):
            raise self.wrong(key, needed="text in quotes", value=value)
        if "\0" in value or (default is None and not value.strip()):
            raise self.wrong(key, needed="text that is not empty, without NUL", value=value)
        return value.strip()

    def one_of(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """Return one of several words."""
        value = self.text(key, default)
        if value not in choices:
            near = difflib.get_close_matches(value, choices, n=1)
            raise self.error(
                key,
                needed=f"one of: {', '.join(choices)}",
                found=repr(value),
                todo=f"did you mean {near[0]}?" if near else "choose one",
            )
        return value

    def number(self, key: str, default: float) -> float:
        """Return a number; a truth value is none."""
        if not self.has(key):
            return default
        value = self.raw[key]
        if not is_number(value) or value != value or abs(value) == float("inf"):
            raise self.wrong(key, needed="a number", value=value)
        return float(value)

    def truth(self, key: str, default: bool) -> bool:
        """Return true or false."""
        if not self.has(key):
            return default
        value = self.raw[key]
        if not isinstance(value, bool):
            raise self.wrong(key, needed="true or false, without quotes", value=value)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of different texts; empty where the key is absent."""
        if not self.has(key):
            return ()
        value = self.raw[key]
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.wrong(key, needed='an array of texts, such as ["cin", "cpp"]', value=value)
        return self._once(key, [one.strip() for one in value])

    def units(self, key: str) -> tuple[str, ...]:
        """Return an array of different units, as text; empty where the key is absent."""
        if not self.has(key):
            return ()
        value = self.raw[key]
        if not isinstance(value, list) or not all(_is_label(one) for one in value):
            raise self.wrong(key, needed='an array of codes, such as ["303", "926"]', value=value)
        return self._once(key, [unit_id(one) for one in value])

    def _once(self, key: str, found: list[str]) -> tuple[str, ...]:
        for n, one in enumerate(found):
            if not one or one in found[:n]:
                raise self.error(
                    key,
                    n,
                    needed="each one once, and none empty",
                    found=f"{one!r} twice" if one else "an empty one",
                    todo="take it out",
                )
        return tuple(found)

    def period(self, key: str) -> str | None:
        """Return a period as text, or None."""
        if not self.has(key):
            return None
        return self._period(self.raw[key], key)

    def periods(self, key: str) -> tuple[str, ...]:
        """Return one period, or the first and the last; empty where the key is absent."""
        if not self.has(key):
            return ()
        value = self.raw[key]
        if not isinstance(value, list) or not 1 <= len(value) <= 2:
            raise self.wrong(
                key,
                needed="one period, or the first and the last: [2013] or [2015, 2019]",
                value=value,
            )
        return tuple(self._period(one, key) for one in value)

    def _period(self, value: object, *keys: str | int) -> str:
        if not _is_label(value) or not str(value).strip():
            raise self.wrong(*keys, needed='a period, such as 2018 or "2017-18"', value=value)
        return str(value).strip()

    def by_unit(self, key: str, *, keys: Sequence[str]) -> dict[str, str]:
        """Return unit → period; `keys` are those of this section, which may have slipped in."""
        table = self.table(key)
        return {unit: table._period(table.raw[raw], raw) for unit, raw in table._unit_keys(keys)}

    def reasons(self, key: str, *, keys: Sequence[str]) -> dict[str, str]:
        """Return unit → reason in words; `keys` as for `by_unit`."""
        table = self.table(key)
        return {unit: table.text(raw) for unit, raw in table._unit_keys(keys)}

    def _unit_keys(self, keys: Sequence[str]) -> list[tuple[str, str]]:
        slipped = next((raw for raw in self.raw if raw in keys), None)
        if slipped is not None:
            here, above = dotted(self.path), dotted(self.path[:-1])
            raise self.error(
                slipped,
                needed=f"codes of units below [{here}]",
                found=f"the key {slipped!r} of [{above}]: in TOML it belongs to the last header "
                "above it",
                todo=f"move it up, between [{above}] and [{here}]",
            )
        found = [(unit_id(raw), raw) for raw in self.raw]
        for n, (unit, raw) in enumerate(found):
            if not unit or unit in dict(found[:n]):
                raise self.error(
                    raw,
                    needed="each unit once",
                    found=f"{unit!r} twice" if unit else "an empty one",
                    todo="keep one of them",
                )
        return found

    def table(self, key: str) -> Section:
        """Return a table within; an empty one where the key is absent."""
        self.has(key)
        value = self.raw.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(
                key,
                needed=f"a table: [{dotted((*self.path, key))}] and its keys below",
                value=value,
            )
        return Section(value, self.file, self.lines, (*self.path, key))

    def tables(self, key: str) -> list[Section]:
        """Return an array of tables; empty where the key is absent."""
        self.has(key)
        value = self.raw.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.wrong(
                key,
                needed=f"tables in an array: [[{dotted((*self.path, key))}]] and its keys below",
                value=value,
            )
        return [
            Section(one, self.file, self.lines, (*self.path, key, n)) for n, one in enumerate(value)
        ]


def _is_label(value: object) -> bool:
    return isinstance(value, str) or is_whole(value)


def dotted(path: Sequence[str | int]) -> str:
    """Write a path for readers; positions in arrays count from 1.

    Examples
    --------
    >>> dotted(("data", "files", 0, "path"))
    'data.files[1].path'
    """
    made = ""
    for key in path:
        made += f"[{key + 1}]" if isinstance(key, int) else f".{key}" if made else key
    return made


def shown(value: object) -> str:
    """Show a value of a plan and its kind, shortly.

    Examples
    --------
    >>> shown(True), shown([1, 2])
    ('true or false: True', 'an array of 2 (1, 2)')
    """
    if isinstance(value, list):
        return f"an array of {first_few(value)}"
    if isinstance(value, dict):
        return f"a table of {first_few(value)}"
    if isinstance(value, (datetime.date, datetime.time)):
        return f"a date or time: {value}"
    return f"{_KINDS.get(type(value), type(value).__name__)}: {value!r}"[:200]
