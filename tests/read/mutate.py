"""Ways in which a published CSV comes to harm, each made again from its seed.

A mutator takes a file and a random source, and returns other bytes. Digits and decimal points are
never changed into other digits: a file with another number in it is another file, and no reader can
tell. Numbers are lost, hidden, blanked, shifted, quoted and written in other ways instead.
"""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

__all__ = ["CSV_MUTATORS", "Mutator", "Original", "source"]

BOM = b"\xef\xbb\xbf"
LEVELS = ("geographic_level", "geog_l")
CODES = ("old_la_code", "geog_c", "la_code", "sn_code")
NAMES = ("la_name", "geog_n", "sn_name")
SYMBOLS = ("c", "x", ":", "z", "..", ".", "-", "~", "u", "low", "k", "A", "P")
NUMBER = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?")
_DIGITS = frozenset(b"0123456789.")
Rows = list[list[str]]


@dataclass(frozen=True)
class Original:
    """A file as published."""

    name: str
    data: bytes

    @cached_property
    def text(self) -> str:
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return self.data.decode("cp1252")

    @cached_property
    def rows(self) -> Rows:
        return list(csv.reader(io.StringIO(self.text, newline="")))

    def column(self, *names: str) -> int | None:
        """Position of the first of these columns that the file has."""
        return next((self.rows[0].index(name) for name in names if name in self.rows[0]), None)

    @cached_property
    def numeric(self) -> list[int]:
        """Positions of the columns of which most cells are numbers, codes and periods aside."""
        about = (*CODES, "time_period", "rank", "LA_order", "LA_Order")
        sample = self.rows[1 :: max(1, len(self.rows) // 60)]
        return [
            i
            for i, name in enumerate(self.rows[0])
            if name not in about
            and sum(bool(NUMBER.fullmatch(row[i].strip())) for row in sample) > len(sample) / 2
        ]


Mutator = Callable[[Original, random.Random], bytes]
CSV_MUTATORS: dict[str, Mutator] = {}


def source(file: str, mutator: str, seed: int) -> random.Random:
    """Random numbers of one mutant, the same in every process."""
    return random.Random(f"{file}/{mutator}/{seed}")  # noqa: S311


def _mutator(make: Mutator) -> Mutator:
    CSV_MUTATORS[make.__name__.strip("_")] = make
    return make


def write(rows: Rows, like: Original, *, quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    """Write rows as the original is written: its byte-order mark, lines that end in \\n."""
    made = io.StringIO(newline="")
    csv.writer(made, quoting=quoting, lineterminator="\n").writerows(rows)  # type: ignore[arg-type]
    return (BOM if like.data.startswith(BOM) else b"") + made.getvalue().encode("utf-8")


def copied(original: Original) -> Rows:
    return [list(row) for row in original.rows]


def _some(rng: random.Random, n: int) -> range | list[int]:
    """Choose few of n things, or a share, or all."""
    how = rng.randrange(4)
    if how == 0:
        return range(n)
    return rng.sample(range(n), max(1, n // 20) if how == 1 else min(n, rng.choice((1, 2, 5))))


def _cells(original: Original, rng: random.Random) -> list[tuple[int, int]]:
    """Choose cells with numbers: one, a few, those of a column or nearly all."""
    rows, columns = original.rows, original.numeric
    if not columns:
        return []
    if rng.random() < 0.4:
        columns = [rng.choice(columns)]
    return [
        (1 + i, j)
        for i in _some(rng, len(rows) - 1)
        for j in columns
        if j < len(rows[1 + i]) and NUMBER.fullmatch(rows[1 + i][j].strip())
    ]


def _change(original: Original, rng: random.Random, made: Callable[[str], str]) -> bytes:
    """Write some numbers in another way."""
    rows = copied(original)
    for i, j in _cells(original, rng):
        rows[i][j] = made(rows[i][j])
    return write(rows, original)


# -- bytes ---------------------------------------------------------------------------------------


@_mutator
def cut_anywhere(original: Original, rng: random.Random) -> bytes:
    return original.data[: rng.randrange(len(original.data))]


@_mutator
def cut_at_line_end(original: Original, rng: random.Random) -> bytes:
    ends = [i + 1 for i, byte in enumerate(original.data) if byte == 10]
    cut = rng.choice(ends[-20:-1] if rng.random() < 0.5 else ends[:-1])
    return original.data[: cut - rng.randrange(2)]


@_mutator
def cut_inside_the_last_number(original: Original, rng: random.Random) -> bytes:
    return original.data.rstrip()[: -rng.randrange(1, 4)]


@_mutator
def other_encoding(original: Original, rng: random.Random) -> bytes:
    names = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "latin-1", "cp1252", "cp500")
    return original.text.encode(rng.choice((*names, "cp437", "koi8-r", "shift-jis")), "replace")


@_mutator
def read_as_cp1252(original: Original, rng: random.Random) -> bytes:
    data = original.data
    for _ in range(rng.randrange(1, 3)):
        data = data.decode("cp1252", "replace").encode("utf-8")
    return data


@_mutator
def accents(original: Original, rng: random.Random) -> bytes:
    """Names with letters that are not ASCII, in UTF-8 or another encoding."""
    rows = copied(original)
    at = original.column(*NAMES)
    for i in _some(rng, len(rows) - 1) if at is not None else ():
        if at < len(rows[1 + i]):
            rows[1 + i][at] = rows[1 + i][at].replace("o", "ô")
    text = write(rows, original).decode()
    return text.encode(rng.choice(("utf-8", "cp1252", "latin-1", "mac-roman")), "replace")


@_mutator
def byte_order_marks(original: Original, rng: random.Random) -> bytes:
    bare = original.data.removeprefix(BOM)
    return rng.choice((bare, BOM + bare, BOM * 2 + bare, BOM * 3 + bare, bare + BOM))


@_mutator
def byte_order_mark_inside(original: Original, rng: random.Random) -> bytes:
    data = bytearray(original.data)
    at = rng.randrange(len(data))
    if rng.random() < 0.5:  # as where two files were put together
        at = data.find(b"\n", at) + 1
    data[at:at] = BOM
    return bytes(data)


def _places(data: bytes | bytearray, rng: random.Random, n: int) -> list[int]:
    """Positions outside of numbers; half of the time in the header or beside a separator."""
    end = len(data) if rng.random() < 0.7 else data.find(b"\n")
    found = (rng.randrange(end) for _ in range(4 * n))
    return [at for at in found if data[at] not in _DIGITS][:n]


def _byte(rng: random.Random) -> int:
    byte = rng.choice((rng.randrange(256), *b',"\n\r;-x:c \t\0'))
    return 120 if byte in _DIGITS else byte


@_mutator
def flipped_bytes(original: Original, rng: random.Random) -> bytes:
    data = bytearray(original.data)
    for at in _places(data, rng, rng.choice((1, 1, 1, 3, 20))):
        data[at] = _byte(rng)
    return bytes(data)


@_mutator
def flipped_bits(original: Original, rng: random.Random) -> bytes:
    data = bytearray(original.data)
    for at in _places(data, rng, rng.choice((1, 1, 2, 10))):
        flipped = data[at] ^ (1 << rng.randrange(8))
        data[at] = data[at] if flipped in _DIGITS else flipped
    return bytes(data)


@_mutator
def inserted_bytes(original: Original, rng: random.Random) -> bytes:
    data = bytearray(original.data)
    for _ in range(rng.choice((1, 1, 1, 3, 20))):
        at = rng.randrange(len(data))
        data[at:at] = bytes(_byte(rng) for _ in range(rng.choice((1, 1, 2, 8))))
    return bytes(data)


@_mutator
def dropped_bytes(original: Original, rng: random.Random) -> bytes:
    data = bytearray(original.data)
    for at in sorted(set(_places(data, rng, rng.choice((1, 1, 3, 20)))), reverse=True):
        del data[at]
    return bytes(data)


@_mutator
def nul_bytes(original: Original, rng: random.Random) -> bytes:
    data = bytearray(original.data)
    for _ in range(rng.choice((1, 5))):
        at = rng.choice((rng.randrange(len(data)), len(data)))
        data[at:at] = b"\0" * rng.choice((1, 2, 4096))
    return bytes(data)


@_mutator
def line_ends(original: Original, rng: random.Random) -> bytes:
    lines = original.data.splitlines()
    ends = rng.choice(([b"\r\n"], [b"\r"], [b"\n"], [b"\r\n", b"\n"], [b"\n\r"], [b"\r\r\n"]))
    return b"".join(line + rng.choice(ends) for line in lines)


@_mutator
def blank_lines(original: Original, rng: random.Random) -> bytes:
    lines = original.data.splitlines(keepends=True)
    blank = rng.choice((b"\n", b"\n\n", b" \n", b",,,\n", b"\x0c\n", b'""\n'))
    lines.insert(rng.choice((0, 1, len(lines), rng.randrange(len(lines)))), blank)
    return b"".join(lines)


# -- the shape of the table ----------------------------------------------------------------------


@_mutator
def very_wide(original: Original, rng: random.Random) -> bytes:
    n = rng.choice((6000, 20_000))
    lines = original.text.splitlines()[: rng.randrange(2, 40)]
    head = "," + ",".join(f"extra_{i}" for i in range(n))
    return "\n".join([lines[0] + head, *(line + "," * n for line in lines[1:])]).encode() + b"\n"


@_mutator
def wider(original: Original, rng: random.Random) -> bytes:
    n = rng.choice((1, 20, 300))
    at = rng.randrange(len(original.rows[0]) + 1)
    rows = [[*row[:at], *["9"] * n, *row[at:]] for row in original.rows]
    rows[0][at : at + n] = [f"extra_{i}" for i in range(n)]
    return write(rows, original)


@_mutator
def very_long_line(original: Original, rng: random.Random) -> bytes:
    rows = copied(original)
    row = rows[rng.randrange(len(rows))]
    at = rng.randrange(len(row))
    row[at] += rng.choice(("x", " ", "9", '"', "é")) * rng.choice((1000, 200_000, 3_000_000))
    return write(rows, original)


@_mutator
def unclosed_quote(original: Original, rng: random.Random) -> bytes:
    data = bytearray(original.data)
    commas = [i for i, byte in enumerate(data) if byte in b",\n"]
    at = rng.choice(commas)
    at = at + rng.randrange(2) if rng.random() < 0.8 else rng.randrange(len(data))
    data[at:at] = b'"'
    return bytes(data)


@_mutator
def other_separator(original: Original, rng: random.Random) -> bytes:
    made = io.StringIO(newline="")
    csv.writer(made, delimiter=rng.choice(";\t|:"), lineterminator="\n").writerows(original.rows)
    return made.getvalue().encode()


@_mutator
def title_above(original: Original, rng: random.Random) -> bytes:
    commas = "," * (len(original.rows[0]) - 1)
    title = rng.choice(("Children in need", f"Table 1{commas}", "sep=,", "# a comment", commas))
    return (
        original.data[: 3 * original.data.startswith(BOM)]
        + (f"{title}\n" * rng.randrange(1, 4) + original.text).encode()
    )


@_mutator
def footer_below(original: Original, rng: random.Random) -> bytes:
    commas = "," * (len(original.rows[0]) - 1)
    foot = rng.choice(("Source: DfE", f"Source: DfE{commas}", commas, "(3 rows affected)", "\x1a"))
    return original.data + foot.encode() + rng.choice((b"", b"\n"))


@_mutator
def columns_reordered(original: Original, rng: random.Random) -> bytes:
    order = list(range(len(original.rows[0])))
    rng.shuffle(order)
    return write([[row[i] for i in order] for row in original.rows], original)


@_mutator
def column_renamed(original: Original, rng: random.Random) -> bytes:
    rows = copied(original)
    at = rng.randrange(len(rows[0]))
    old = rows[0][at]
    other = (f"{old}_1", f"Unnamed: {at}", "", old.swapcase(), f" {old} ", old[:-1], f"{old}\n")
    rows[0][at] = rng.choice(other)
    return write(rows, original)


@_mutator
def column_duplicated(original: Original, rng: random.Random) -> bytes:
    rows, at, to = copied(original), *(rng.randrange(len(original.rows[0])) for _ in range(2))
    for i, row in enumerate(rows):
        row.insert(to, row[at] if i or rng.random() < 0.6 else f"{row[at]}.1")
    return write(rows, original)


@_mutator
def columns_removed(original: Original, rng: random.Random) -> bytes:
    n = len(original.rows[0])
    gone = set(rng.sample(range(n), min(n - 1, rng.choice((1, 1, 2, 5)))))
    return write(
        [[x for i, x in enumerate(row) if i not in gone] for row in original.rows], original
    )


@_mutator
def header_alone_changed(original: Original, rng: random.Random) -> bytes:
    rows = copied(original)
    head = rows[0]
    how = rng.randrange(5)
    if how == 0:
        rows[0] = [name.upper() if rng.random() < 0.5 else name.lower() for name in head]
    elif how == 1:
        rows[0] = [f" {name}\t" for name in head]
    elif how == 2:
        del rows[0]
    elif how == 3:
        rows.insert(rng.randrange(1, len(rows)), head)
    else:
        rows = rows[:1]
    return write(rows, original)


@_mutator
def rows_repeated(original: Original, rng: random.Random) -> bytes:
    rows = copied(original)
    again = [list(rows[1 + i]) for i in _some(rng, len(rows) - 1)]
    at = rng.choice((len(rows), 1, rng.randrange(1, len(rows))))
    return write([*rows[:at], *again, *rows[at:]], original)


@_mutator
def rows_removed(original: Original, rng: random.Random) -> bytes:
    gone = {1 + i for i in _some(rng, len(original.rows) - 1)}
    if len(gone) == len(original.rows) - 1:
        gone = {i for i in gone if rng.random() < 0.3}
    return write([row for i, row in enumerate(original.rows) if i not in gone], original)


@_mutator
def rows_shuffled(original: Original, rng: random.Random) -> bytes:
    rows = copied(original)
    body = rows[1:]
    rng.shuffle(body)
    return write([rows[0], *body], original)


@_mutator
def rows_shifted(original: Original, rng: random.Random) -> bytes:
    """A value lost or added in a row: the others move to the left or right."""
    rows = copied(original)
    for i in _some(rng, len(rows) - 1):
        row = rows[1 + i]
        at = rng.randrange(len(row))
        if rng.random() < 0.5:
            del row[at]
        else:
            row.insert(at, rng.choice(("", "x", '"')))
    return write(rows, original)


# -- numbers and symbols -------------------------------------------------------------------------


@_mutator
def all_quoted(original: Original, rng: random.Random) -> bytes:
    return write(original.rows, original, quoting=csv.QUOTE_ALL)


@_mutator
def thousands(original: Original, rng: random.Random) -> bytes:
    mark = rng.choice((",", ",", " ", "\N{NO-BREAK SPACE}", "'", "."))

    def made(text: str) -> str:
        whole, point, rest = text.replace(",", "").partition(".")
        if mark == "." and (point or len(whole) < 4):
            return text
        return f"{int(whole):,}".replace(",", mark) + point + rest

    return _change(original, rng, made)


@_mutator
def numbers_in_other_styles(original: Original, rng: random.Random) -> bytes:
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    styles: tuple[Callable[[str], str], ...] = (
        lambda text: f"  {text} ",
        lambda text: f"+{text}",
        lambda text: f"£{text}",
        lambda text: f"{text}%",
        lambda text: f"{text} [r]",
        lambda text: f"{text}e0",
        lambda text: f"0x{text}",
        lambda text: f"'{text}",
        lambda text: f"={text}",
        lambda text: f"({text})",
        lambda text: f"{text}.",
        lambda text: f"{text}000000000000000000000.5.5",
        lambda text: text.translate(wide),
        lambda text: text.replace(".", ","),
        lambda text: text.replace(".", "\N{MIDDLE DOT}"),
        lambda text: f"{text}\N{ZERO WIDTH SPACE}",
    )
    return _change(original, rng, rng.choice(styles))


@_mutator
def negative_codes(original: Original, rng: random.Random) -> bytes:
    code = rng.choice(("-100", "-200", "-300", "-400", "\N{MINUS SIGN}100", "-0.5", ""))
    return _change(original, rng, lambda text: code if code else f"-{text}")


@_mutator
def numbers_lost(original: Original, rng: random.Random) -> bytes:
    """A blank, or what programs write for nothing, in place of numbers."""
    nothing = ("", " ", "NA", "NaN", "nan", "None", "null", "#VALUE!", "#REF!", "inf", "1e999")
    text = rng.choice((*nothing, "TRUE", "?", "n/a", "\N{EN DASH}"))
    return _change(original, rng, lambda _: text)


@_mutator
def numbers_hidden(original: Original, rng: random.Random) -> bytes:
    symbol = rng.choice(SYMBOLS)
    return _change(original, rng, lambda _: symbol)


@_mutator
def symbols_swapped(original: Original, rng: random.Random) -> bytes:
    """Some symbols, or all of a kind, become other symbols."""
    rows, columns = copied(original), original.numeric
    there = [
        (i, j)
        for i, row in enumerate(rows)
        for j in columns
        if i and j < len(row) and row[j] and not NUMBER.fullmatch(row[j])
    ]
    if not there:
        return _change(original, rng, lambda _: rng.choice(SYMBOLS))
    i, j = rng.choice(there)
    old, new = rows[i][j], rng.choice((*SYMBOLS, "", "C", "X", "[c]", "*"))
    for i, j in there if rng.random() < 0.5 else rng.sample(there, 1):
        rows[i][j] = new if rows[i][j] == old else rows[i][j]
    return write(rows, original)


# -- where and when ------------------------------------------------------------------------------


def _column(
    original: Original, rng: random.Random, names: tuple[str, ...], made: Callable[[str], str]
) -> bytes:
    """Write some values of one column in another way; the header's, if there is no such column."""
    rows = copied(original)
    at = original.column(*names)
    if at is None:
        rows[0] = [made(name) for name in rows[0]]
        return write(rows, original)
    for i in _some(rng, len(rows) - 1):
        if at < len(rows[1 + i]):
            rows[1 + i][at] = made(rows[1 + i][at])
    return write(rows, original)


@_mutator
def periods_in_other_styles(original: Original, rng: random.Random) -> bytes:
    """2018 as 2018-19, 201819 (a year later in a file of reporting years), 2017-18 and others."""

    def styled(year: int, how: int) -> str:
        before, after = year - 1, year + 1
        return (
            f"{year}-{after % 100:02d}",
            f"{year}{after % 100:02d}",
            f"{before}-{year % 100:02d}",
            f"{before}{year % 100:02d}",
            f"{year}/{after % 100:02d}",
            f"{before}/{year % 100:02d}",
            f"{year}.0",
            f"31/03/{year}",
            f"{year % 100:02d}",
            f"{year}_R",
            f"{before}-{year}",
        )[how]

    how = rng.randrange(11)
    if original.column("time_period") is None:
        rows = copied(original)
        rows[0] = [re.sub("20[0-2][0-9]", lambda m: styled(int(m[0]), how), x) for x in rows[0]]
        return write(rows, original)
    return _column(
        original,
        rng,
        ("time_period",),
        lambda x: styled(int(x), how) if re.fullmatch("20[0-9]{2}", x) else x,
    )


@_mutator
def kind_of_period_renamed(original: Original, rng: random.Random) -> bytes:
    new = rng.choice(("Calendar year", "Financial year", "Academic year", "reporting year", ""))
    return _column(original, rng, ("time_identifier", *LEVELS), lambda _: new)


@_mutator
def levels_renamed(original: Original, rng: random.Random) -> bytes:
    new = rng.choice(
        ("LA", "Local Authority", "Local authority", "Regional", "National", "Ward", "")
    )
    how = rng.randrange(3)
    return _column(
        original, rng, LEVELS, (lambda _: new, str.swapcase, lambda text: f"{text} ")[how]
    )


@_mutator
def categories_renamed(original: Original, rng: random.Random) -> bytes:
    names = ("category", "Category", "population_count", "population_type", "age_group", *LEVELS)
    new = rng.choice(("Total", "", "Children", "All"))
    how = rng.randrange(3)
    return _column(original, rng, names, (lambda _: new, str.upper, lambda text: f"{text}.")[how])


@_mutator
def codes_in_other_styles(original: Original, rng: random.Random) -> bytes:
    styles: tuple[Callable[[str], str], ...] = (
        lambda text: text[1:],
        lambda text: text[:-1],
        lambda text: f"0{text}",
        lambda text: f"{text}.0",
        lambda text: f" {text} ",
        lambda text: f"'{text}",
        lambda text: f"{text}A",
        lambda text: f"E06000{text}",
        lambda _: "E09000033",
        lambda _: "Norfolk",
        lambda _: "",
        lambda _: "z",
        lambda text: f"{text} / {text}",
    )
    return _column(original, rng, CODES, rng.choice(styles))


@_mutator
def names_changed(original: Original, rng: random.Random) -> bytes:
    styles: tuple[Callable[[str], str], ...] = (
        str.upper,
        lambda _: "",
        lambda text: f"=cmd|'/c calc'!A1{text}",
        lambda text: f"{text}\N{RIGHT-TO-LEFT OVERRIDE}",
        lambda text: f"{text}, {text}",
        lambda text: f'"{text}"',
        lambda text: f"{text}\n{text}",
        lambda text: f"<script>{text}</script>",
        lambda _: "England",
    )
    return _column(original, rng, NAMES, rng.choice(styles))
