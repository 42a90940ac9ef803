"""Columns of a plain table as places in its text: numbers are read without making text of them.

A table is plain where every character is ASCII, every line has as many commas as the header, and
a quotation mark stands only in lines that were put right before. Everything else is split by the
csv module, in `didkit.read.grid`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["INNER", "Fields", "plain", "stripped"]

INNER = "\x1f"  # stands for a comma inside a value
_COMMA, _LINE, _POINT, _ZERO = b",\n.0"
_LONGEST = 15  # digits of a number that a float holds exactly
_BLANKS = "\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"  # of ASCII, but for the space
Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Fields:
    """Some values of one column: where each begins and ends in the text of the table.

    Parameters
    ----------
    text : str
        The table's lines.
    codes : array of uint8
        Its characters.
    start, end : array of int
        Of each value.
    """

    text: str
    codes: NDArray[np.uint8]
    start: Places
    end: Places

    def __len__(self) -> int:
        return len(self.start)

    @overload
    def __getitem__(self, rows: int) -> str: ...
    @overload
    def __getitem__(self, rows: Places | NDArray[np.bool_] | list[int]) -> Fields: ...
    def __getitem__(self, rows: int | Places | NDArray[np.bool_] | list[int]) -> str | Fields:
        if isinstance(rows, (int, np.integer)):
            return self.text[self.start[rows] : self.end[rows]].replace(INNER, ",")
        return Fields(self.text, self.codes, self.start[rows], self.end[rows])

    def tolist(self) -> list[str]:
        """Make text of the values."""
        text = self.text
        made = [text[a:b] for a, b in zip(self.start.tolist(), self.end.tolist(), strict=True)]
        return [one.replace(INNER, ",") for one in made] if INNER in text else made

    def texts(self) -> NDArray[np.object_]:
        """Make text of the values, without the blanks around them."""
        return np.array(stripped(self.tolist()), dtype=object)

    def numbers(self, digits: int) -> tuple[NDArray[np.float64], list[int]]:
        """Read numbers of at most 12 digits and `digits` more after a point.

        Returns
        -------
        value : array of float
            As ``float`` reads the text; NaN for whatever else stands there.
        odd : list of int
            Positions of that.
        """
        length = self.end - self.start
        width = int(min(length.max(initial=0), _LONGEST + 1))  # a point is no digit
        whole = np.zeros(len(self), dtype=np.int64)
        after = np.zeros(len(self), dtype=np.int64)
        points = np.zeros(len(self), dtype=np.int64)
        good = (length > 0) & (length <= _LONGEST + 1)
        for k in range(width):
            here = k < length
            code = self.codes[np.where(here, self.start + k, 0)]
            digit = code.astype(np.int64) - _ZERO
            number = here & (digit >= 0) & (digit <= 9)
            point = here & (code == _POINT)
            whole = np.where(number, whole * 10 + digit, whole)
            after += number & (points > 0)
            points += point
            good &= ~here | number | (point & (k > 0))
        good &= length - points <= _LONGEST
        before = length - after - points
        good &= (before >= 1) & (before <= 12) & (points <= (digits > 0))
        good &= np.where(points > 0, (after >= 1) & (after <= digits), after == 0)
        value = np.where(good, whole / 10.0**after, np.nan)
        return value, np.flatnonzero(~good).tolist()


def plain(text: str, width: int) -> tuple[NDArray[np.uint8], Places, Places] | None:
    """Find every value of a plain table; None where it is not one.

    Parameters
    ----------
    text : str
        Lines that end, without the header and without quotation marks.
    width : int
        Values in each line.

    Returns
    -------
    tuple of array
        The characters, and where each value starts and ends: lines × values.
    """
    if not text.isascii() or not text.endswith("\n"):
        return None
    codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    ends = np.flatnonzero((codes == _COMMA) | (codes == _LINE))
    if len(ends) % width:
        return None
    lines = codes[ends].reshape(-1, width)
    if not (lines[:, -1] == _LINE).all() or not (lines[:, :-1] == _COMMA).all():
        return None
    starts = np.concatenate(([0], ends[:-1] + 1))
    if int((ends - starts).max(initial=0)) > csv.field_size_limit():
        return None
    return codes, starts.reshape(-1, width), ends.reshape(-1, width)


def stripped(values: Sequence[str]) -> Sequence[str]:
    """Take the blanks around each value away; most columns have none."""
    around = "\0".join(["", *values, ""])  # a file with NUL is refused before
    spaced = "\0 " in around or " \0" in around
    if not spaced and around.isascii() and not any(blank in around for blank in _BLANKS):
        return values
    return [value.strip() for value in values]
