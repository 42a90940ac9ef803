"""A CSV file as a header and columns of text: strict, and nothing turned into numbers yet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.errors import ReadError, first_few
from didkit.read import limits
from didkit.read.fields import INNER, Fields, plain, stripped
from didkit.read.files import refuse_binary

__all__ = ["Grid", "Texts", "open_grid"]

Texts = NDArray[np.object_]
_OTHER = ((";", "semicolons"), ("\t", "tabs"))
_NAMES = frozenset({"time_period", "geog_l", "la_code"})  # one is in every header


@dataclass(frozen=True)
class Grid:
    """A header, and rows that are still to be read.

    Parameters
    ----------
    name : str
        Name of the file, for messages.
    header : tuple of str
        Names of the columns, without blanks around them; none stands twice.
    encoding : str
        How the bytes were decoded.
    """

    name: str
    header: tuple[str, ...]
    encoding: str
    _body: str
    _published: bool = False

    def columns(self, wanted: Iterable[str]) -> dict[str, Texts]:
        """Read the rows and keep some columns, without the blanks around each value.

        Every row is held against the header.

        Raises
        ------
        ReadError
            If rows are longer or shorter than the header, a quote is not closed, there is no
            row, or the last line of a published file does not end.
        """
        if self._published and self._body and not self._body.endswith(("\n", "\r")):
            raise _cut(self.name, self._body)
        names = list(dict.fromkeys(wanted))
        places = [self.header.index(name) for name in names]
        width = len(self.header)
        try:
            rows = list(csv.reader(io.StringIO(self._body, newline=""), strict=True))
        except csv.Error as error:
            raise _malformed(self.name, error) from error
        while rows and not rows[-1]:
            rows.pop()  # blank lines at the end
        if set(map(len, rows)) - {width}:
            ragged = [
                f"row {line} has {len(row)}" if row else f"row {line} is blank"
                for line, row in enumerate(rows, start=2)
                if len(row) != width
            ]
            raise ReadError(
                needed=f"{width} values in every row, as in the header",
                found=f"{len(ragged)} rows that differ ({', '.join(ragged[:5])}"
                f"{', …' if len(ragged) > 5 else ''})",
                where=self.name,
                todo="download it again: a broken download, or an unquoted comma in a value",
            )
        if not rows:
            raise ReadError(
                needed="a CSV file with a header and rows",
                found="a header without rows",
                where=self.name,
                todo="download it again",
            )
        return {
            name: np.array(stripped([row[at] for row in rows]), dtype=object)
            for name, at in zip(names, places, strict=True)
        }

    def table(
        self, texts: Iterable[str], numbers: Iterable[str]
    ) -> tuple[dict[str, Texts], dict[str, Texts | Fields]]:
        """Read the rows and keep some columns: some as text, some as numbers still to be read.

        Raises
        ------
        ReadError
            As `columns`.
        """
        words, measured = list(dict.fromkeys(texts)), list(dict.fromkeys(numbers))
        text = None if self._published and not self._body.endswith("\n") else _unquoted(self._body)
        found = None if text is None else plain(text, len(self.header))
        if text is None or found is None:
            every = self.columns([*words, *measured])
            return {one: every[one] for one in words}, {one: every[one] for one in measured}
        codes, starts, ends = found
        made = {
            one: Fields(text, codes, starts[:, at], ends[:, at])
            for one in (*words, *measured)
            for at in (self.header.index(one),)
        }
        return {one: made[one].texts() for one in words}, {one: made[one] for one in measured}


def _unquoted(text: str) -> str | None:
    """Write a table without quotation marks, with another sign for commas inside values.

    None where that cannot be told line by line.
    """
    if INNER in text or "\0" in text:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if '"' not in text:
        return text
    lines = text.split("\n")
    quoted = [i for i, line in enumerate(lines) if '"' in line]
    if any(lines[i].count('"') % 2 for i in quoted):
        return None
    try:
        parsed = list(csv.reader([lines[i] for i in quoted], strict=True))
    except csv.Error:
        return None
    if len(parsed) != len(quoted) or any("\n" in one for row in parsed for one in row):
        return None
    for i, row in zip(quoted, parsed, strict=True):
        lines[i] = ",".join(one.replace(",", INNER) for one in row)
    return None if any('"' in lines[i] for i in quoted) else "\n".join(lines)


def _header_below(body: str) -> int:
    """Return the line, among the first ten below another header, that looks like one; 0."""
    for line, text in enumerate(body.splitlines()[:10], start=2):
        if {one.strip() for one in text.split(",")} & _NAMES:
            return line
    return 0


def open_grid(data: bytes, name: str, *, published: bool = False) -> Grid:
    """Decode a CSV file and read its header.

    Text that is not UTF-8 is read as Windows-1252, and `Grid.encoding` says so: the caller
    decides whether that is allowed.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for messages.
    published : bool
        Whether the last line must end, as it does in every published file: in a broken download
        the last number may be cut short.

    Raises
    ------
    ReadError
        If the bytes are no text, or the header is no header.
    """
    refuse_binary(data, name)
    text, encoding = _decode(data, name)
    handle = io.StringIO(text, newline="")
    try:
        header = tuple(one.strip() for one in next(csv.reader(handle, strict=True), []))
    except csv.Error as error:
        raise _malformed(name, error) from error
    if len(header) > limits.LIMITS.columns:
        raise ReadError(
            needed=f"at most {limits.LIMITS.columns:,} columns",
            found=f"{len(header):,}",
            where=name,
            todo="check that it is a published table",
        )
    if len(header) < 2:
        between = next((name for mark, name in _OTHER if header and mark in header[0]), "")
        raise ReadError(
            needed="a CSV file: a header with the names of columns, separated by commas",
            found=f"{between} between them: {header[0][:60]!r}"
            if between
            else f"a first line that is one value: {header[0][:60]!r}"
            if header
            else "a blank",
            where=name,
            todo="download the CSV again, or save it with commas: a spreadsheet may have done this"
            if between
            else "check that it is the CSV itself, that commas separate the values, and that no "
            "title stands above the header",
        )
    body = text[handle.tell() :]
    below = 0 if set(header) & _NAMES else _header_below(body)
    if below:
        raise ReadError(
            needed="the names of columns in the first line",
            found=f"another first line: {', '.join(header)[:60]!r}; the header looks to be "
            f"line {below}",
            where=name,
            todo="take the lines above it out, or download the CSV again",
        )
    twice = sorted(one for one, n in Counter(header).items() if n > 1)
    if twice:
        raise ReadError(
            needed="columns with different names",
            found=f"names that stand more than once: {first_few(map(repr, twice))}",
            where=f"{name}, header",
            todo="download it again, or take the second of each column out",
        )
    return Grid(name, header, encoding, body, published)


def _decode(data: bytes, name: str) -> tuple[str, str]:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError as error:
            last = error
    raise ReadError(
        needed="text in UTF-8",
        found=f"bytes that are neither UTF-8 nor Windows-1252 (at position {last.start:,})",
        where=name,
        todo="download it again",
    ) from last


def _cut(name: str, text: str) -> ReadError:
    return ReadError(
        needed="a last line that ends, as every published file has",
        found=f"a file that stops after {text[-40:]!r}",
        where=name,
        todo="download it again: the last value may be cut short (if the line is whole, put "
        "an end of line after it)",
    )


def _malformed(name: str, error: csv.Error) -> ReadError:
    return ReadError(
        needed="a CSV file",
        found=f"text that does not parse as one: {error}",
        where=name,
        todo="download it again; a quotation mark may stand inside a value, or not be closed",
    )
