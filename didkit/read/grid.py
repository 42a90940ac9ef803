"""A CSV file as a header and columns of text: strict, and nothing turned into numbers yet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from didkit.errors import ReadError, first_few
from didkit.read import limits
from didkit.read.files import refuse_binary

__all__ = ["Grid", "Texts", "open_grid"]

Texts = NDArray[np.object_]


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
    _rows: Iterator[list[str]]

    def columns(self, wanted: Iterable[str]) -> dict[str, Texts]:
        """Read the rows and keep some columns, without the blanks around each value.

        Every row is held against the header; the rows can be read once.

        Raises
        ------
        ReadError
            If rows are longer or shorter than the header, a quote is not closed, or there is no
            row.
        """
        names = list(dict.fromkeys(wanted))
        pick = itemgetter(*(self.header.index(name) for name in names))
        width = len(self.header)
        kept: list[Sequence[str]] = []
        ragged: list[str] = []
        blank: list[str] = []
        n_ragged = 0
        try:
            for line, row in enumerate(self._rows, start=2):
                if len(row) == width:
                    kept.append(pick(row) if len(names) > 1 else (pick(row),))
                    n_ragged += len(blank)
                    ragged += blank
                    blank = []
                elif row:
                    n_ragged += 1
                    if len(ragged) < 5:
                        ragged.append(f"row {line} has {len(row)}")
                elif len(blank) < 5:
                    blank.append(f"row {line} is blank")
        except csv.Error as error:
            raise _malformed(self.name, error) from error
        if n_ragged:
            raise ReadError(
                needed=f"{width} values in every row, as in the header",
                found=f"{n_ragged} rows that differ ({', '.join(ragged[:5])}"
                f"{', …' if n_ragged > 5 else ''})",
                where=self.name,
                todo="download it again: a broken download, or an unquoted comma in a value",
            )
        if not kept:
            raise ReadError(
                needed="a CSV file with a header and rows",
                found="a header without rows",
                where=self.name,
                todo="download it again",
            )
        made: dict[str, Texts] = {}
        for name, values in zip(names, zip(*kept, strict=True), strict=True):
            made[name] = np.array([value.strip() for value in values], dtype=object)
        return made


def open_grid(data: bytes, name: str) -> Grid:
    """Decode a CSV file and read its header.

    Text that is not UTF-8 is read as Windows-1252, and `Grid.encoding` says so: the caller
    decides whether that is allowed.

    Raises
    ------
    ReadError
        If the bytes are no text, or the header is no header.
    """
    refuse_binary(data, name)
    text, encoding = _decode(data, name)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(one.strip() for one in next(rows, []))
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
        raise ReadError(
            needed="a CSV file: a header with the names of columns, separated by commas",
            found=f"a first line that is one value: {header[0][:60]!r}" if header else "a blank",
            where=name,
            todo="check that it is the CSV itself, that commas separate the values, and that no "
            "title stands above the header",
        )
    twice = sorted({one for one in header if header.count(one) > 1})
    if twice:
        raise ReadError(
            needed="columns with different names",
            found=f"names that stand more than once: {first_few(map(repr, twice))}",
            where=f"{name}, header",
            todo="download it again, or take the second of each column out",
        )
    return Grid(name, header, encoding, rows)


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


def _malformed(name: str, error: csv.Error) -> ReadError:
    return ReadError(
        needed="a CSV file",
        found=f"text that does not parse as one: {error}",
        where=name,
        todo="download it again; a quotation mark may stand inside a value, or not be closed",
    )
