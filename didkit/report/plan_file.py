"""A plan's file: read within limits, and taken apart with errors that name the line."""

from __future__ import annotations

import datetime
import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from didkit.errors import PlanError, first_few, is_number, is_whole
from didkit.panel import unit_id
from didkit.report import plan_lines

__all__ = ["Section", "path_of", "read_toml", "there", "together", "written"]

MOST_BYTES = 1_000_000  #: a plan is written by hand; a megabyte is a thousand pages
MOST_NESTED = 100  #: brackets inside brackets, below what the parser can take
MOST_SHOWN = 10  #: mistakes told of at once

_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)\s*$")
_LINE = re.compile(r"line (\d+)")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KINDS = {
    bool: "true or false",
    str: "text",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    list: "an array",
}


def path_of(given: object, *, where: str) -> Path:
    """Return a path as one, or refuse what is none.

    Raises
    ------
    PlanError
        It is neither text nor a path, or it holds a NUL.
    """
    text = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if not isinstance(text, str) or "\0" in text:
        raise PlanError(
            needed="a path: text or a pathlib.Path, without NUL",
            found=repr(given)[:200],
            where=where,
            todo='write the name of a file, such as "plan.toml"',
        )
    return Path(text)


def there(path: Path) -> bool:
    """Whether something is at a path; nothing can be where the name is too long for the system.

    Examples
    --------
    >>> there(Path("x" * 300))
    False
    """
    try:
        return path.exists()
    except OSError:
        return False


def read_toml(path: Path, *, most: int = MOST_BYTES) -> Section:
    """Read a TOML file of at most so many bytes as the outermost section.

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
            data = handle.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        found = getattr(error, "strerror", None) or str(error)
        raise _unread(name, found, "check the path, and the folder the program runs in") from error
    if len(data) > most:
        raise _unread(name, f"more than {most:,} bytes", "name the plan, not a data file")
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


def together(problems: Sequence[PlanError], file: str) -> PlanError:
    """Make one error of several, in the order of their lines; of one, itself.

    Examples
    --------
    >>> found = [
    ...     PlanError(needed="a number", found="text", where="a.toml, line 7 (x)", todo="write 1"),
    ...     PlanError(needed="text", found="none", where="a.toml, line 3", todo="write it"),
    ... ]
    >>> print(together(found, "a.toml").found)
    2 mistakes
        line 3: needed text; found none; write it
        line 7 (x): needed a number; found text; write 1
    """
    if len(problems) == 1:
        return problems[0]
    placed = sorted(problems, key=_line)
    told = [
        f"{one.where.removeprefix(f'{file}, ')}: needed {one.needed}; found {one.found}; {one.todo}"
        for one in placed[:MOST_SHOWN]
    ]
    if len(placed) > MOST_SHOWN:
        told.append(f"… and {len(placed) - MOST_SHOWN} more")
    lines = dict.fromkeys(map(_line, placed))
    return PlanError(
        needed="a plan without mistakes",
        found="\n    ".join([f"{len(placed)} mistakes", *told]),
        where=f"{file}, lines {', '.join(map(str, lines))}",
        todo="change each line as it says, and try again: others may show then",
    )


def _line(error: PlanError) -> int:
    at = _LINE.search(error.where)
    return int(at[1]) if at else 0


@dataclass
class Section:
    """One table of a plan: every key is asked for by name and kind, and none may be left over.

    A key that is wrong by itself is noted, and something of the right kind returned instead, so
    that `settle` can tell of all of them at once.
    """

    raw: Mapping[str, Any]
    file: str
    lines: dict[plan_lines.Path, int]
    path: plan_lines.Path = ()
    asked: dict[str, None] = field(default_factory=dict)  # in the order of asking
    missing: dict[str, PlanError] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)  # keys of this section that are wrong
    problems: list[PlanError] = field(default_factory=list)  # of the whole file

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

    def note(self, key: str, error: PlanError) -> None:
        """Keep an error until `settle`."""
        self.refused.add(key)
        self.problems.append(error)

    def wrong(self, *keys: str | int, needed: str, value: object, todo: str) -> None:
        """Note a value of the wrong kind."""
        error = self.error(*keys, needed=needed, found=shown(value), todo=todo)
        self.note(str(keys[0]), error)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Note an error of what is inside, and go on after it.

        Where keys inside were wrong already, an error that is raised may only follow from them:
        it is left for the next time.
        """
        before = len(self.problems)
        try:
            yield
        except PlanError as error:
            if len(self.problems) == before:
                self.problems.append(error)

    def settle(self) -> None:
        """Raise what was noted in the whole file, all of it in one error."""
        if self.problems:
            raise together(self.problems, self.file)

    def close(self) -> None:
        """Note keys that nobody asked for, and suggest the nearest that exists."""
        for key in self.raw:
            if key in self.asked:
                continue
            near = difflib.get_close_matches(key, self.asked, n=2, cutoff=0.5)
            if near and near[0] in self.missing:  # one mistake, not two
                self.problems.remove(self.missing.pop(near[0]))
            error = self.error(
                key,
                needed=f"a key of {'[' + dotted(self.path) + ']' if self.path else 'a plan'}",
                found=f"the unknown key {key!r}",
                todo=f"did you mean {' or '.join(near)}?"
                if near
                else f"choose one of: {', '.join(self.asked)}",
            )
            self.note(key, error)

    # -- asked for -------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """Whether a key is there."""
        self.asked[key] = None
        return key in self.raw

    def text(self, key: str, default: str | None = None) -> str:
        """Return text; without a default it is required and not empty."""
        if not self.has(key):
            if default is None:
                self.missing[key] = self.error(
                    needed=f"the key {key}", found="none", todo=f'write {key} = "…" in this section'
                )
                self.note(key, self.missing[key])
            return default or ""
        value = self.raw[key]
        if not isinstance(value, str):
            plain = "…" if isinstance(value, (list, dict)) else str(value)
            todo = f"write {written(key)} = {json.dumps(plain, ensure_ascii=False)}"
            self.wrong(key, needed="text in quotes", value=value, todo=todo)
            return default or ""
        if "\0" in value or (default is None and not value.strip()):
            self.wrong(
                key,
                needed="text that is not empty, without NUL",
                value=value,
                todo=f'write {written(key)} = "…", with words inside',
            )
        return value.strip()

    def one_of(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """Return one of several words."""
        value = self.text(key, default)
        if key in self.refused:
            return choices[0]
        if value not in choices:
            near = difflib.get_close_matches(value, choices, n=1)
            error = self.error(
                key,
                needed=f"one of: {', '.join(choices)}",
                found=repr(value),
                todo=f'did you mean {near[0]}? Write {key} = "{near[0]}"'
                if near
                else f'write {written(key)} = "{choices[0]}", or another of them',
            )
            self.note(key, error)
            return choices[0]
        return value

    def number(self, key: str, default: float, *, such_as: float | None = None) -> float:
        """Return a number; a truth value is none."""
        if not self.has(key):
            return default
        value = self.raw[key]
        if not is_number(value) or value != value or abs(value) == float("inf"):
            example = default if such_as is None else such_as
            todo = f"write {written(key)} = {example:g}, or another number without quotes"
            self.wrong(key, needed="a number", value=value, todo=todo)
            return default
        return float(value)

    def truth(self, key: str, default: bool) -> bool:
        """Return true or false."""
        if not self.has(key):
            return default
        value = self.raw[key]
        if not isinstance(value, bool):
            self.wrong(
                key,
                needed="true or false, without quotes",
                value=value,
                todo=f"write {key} = true or {key} = false",
            )
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of different texts; empty where the key is absent."""
        if not self.has(key):
            return ()
        value = self.raw[key]
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            like = json.dumps([value] if isinstance(value, str) else ["cin", "cpp"])
            self.wrong(
                key,
                needed="an array of texts",
                value=value,
                todo=f"write {key} = {like}",
            )
            return ()
        return self._once(key, [one.strip() for one in value])

    def units(self, key: str) -> tuple[str, ...]:
        """Return an array of different units, as text; empty where the key is absent."""
        if not self.has(key):
            return ()
        value = self.raw[key]
        if not isinstance(value, list) or not all(_is_label(one) for one in value):
            like = json.dumps([unit_id(value)] if _is_label(value) else ["303", "926"])
            self.wrong(key, needed="an array of codes", value=value, todo=f"write {key} = {like}")
            return ()
        return self._once(key, [unit_id(one) for one in value])

    def _once(self, key: str, found: list[str]) -> tuple[str, ...]:
        seen: set[str] = set()
        for n, one in enumerate(found):
            twice = one in seen
            seen.add(one)
            if not one or twice:
                error = self.error(
                    key,
                    n,
                    needed="each one once, and none empty",
                    found=f"{one!r} twice" if one else "an empty one",
                    todo="take it out",
                )
                self.note(key, error)
        return tuple(dict.fromkeys(found))

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
            self.wrong(
                key,
                needed="one period, or the first and the last",
                value=value,
                todo=f"write {key} = [2013], or {key} = [2015, 2019]",
            )
            return ()
        return tuple(self._period(one, key, n) for n, one in enumerate(value))

    def _period(self, value: object, key: str, *more: int) -> str:
        if not _is_label(value) or not str(value).strip():
            self.wrong(
                key,
                *more,
                needed="a period",
                value=value,
                todo='write a year without quotes, such as 2018, or a label such as "2017-18"'
                if more
                else f'write {written(key)} = 2018, or a label such as "2017-18"',
            )
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
        seen: set[str] = set()
        for unit, raw in found:
            twice = unit in seen
            seen.add(unit)
            if not unit or twice:
                error = self.error(
                    raw,
                    needed="each unit once",
                    found=f"{unit!r} twice" if unit else "an empty one",
                    todo="keep one of them",
                )
                self.note(raw, error)
        return found

    def table(self, key: str) -> Section:
        """Return a table within; an empty one where the key is absent."""
        self.has(key)
        value = self.raw.get(key, {})
        if not isinstance(value, dict):
            header = f"[{dotted((*self.path, key))}]"
            self.wrong(
                key,
                needed=f"a table: {header} and its keys below",
                value=value,
                todo=f"write {header} on a line of its own, and key = value below it",
            )
            value = {}
        return self._inner(value, key)

    def tables(self, key: str) -> list[Section]:
        """Return an array of tables; empty where the key is absent."""
        self.has(key)
        value = self.raw.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            header = f"[[{dotted((*self.path, key))}]]"
            self.wrong(
                key,
                needed=f"tables in an array: {header} and its keys below",
                value=value,
                todo=f"write {header}, in two pairs of brackets, above the keys of each",
            )
            return []
        return [self._inner(one, key, n) for n, one in enumerate(value)]

    def _inner(self, value: Mapping[str, Any], *keys: str | int) -> Section:
        path = (*self.path, *keys)
        return Section(value, self.file, self.lines, path, problems=self.problems)


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


def written(key: str) -> str:
    """Write a key as TOML wants it: in quotes where it is more than letters, digits, - and _.

    Examples
    --------
    >>> written("303"), written("West Sussex")
    ('303', '"West Sussex"')
    """
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


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
