"""Harm to packed files: zips of CSV files, workbooks, and parquet."""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
from collections.abc import Callable

from read.mutate import CSV_MUTATORS, Mutator, Original, source

__all__ = ["PARQUET_MUTATORS", "WORKBOOK_MUTATORS", "ZIP_MUTATORS", "zipped"]

ZIP_MUTATORS: dict[str, Mutator] = {}
WORKBOOK_MUTATORS: dict[str, Mutator] = {}
PARQUET_MUTATORS: dict[str, Mutator] = {}
Members = list[tuple[str, bytes]]


def _into(table: dict[str, Mutator]) -> Callable[[Mutator], Mutator]:
    def put(make: Mutator) -> Mutator:
        table[make.__name__.strip("_")] = make
        return make

    return put


def zipped(members: Members, *, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", how) as made:
        for name, data in members:
            # Names may stand twice: ZipFile.writestr would warn of it.
            info = zipfile.ZipInfo(name)
            info.compress_type = how
            made.NameToInfo.pop(name, None)
            made.writestr(info, data)
    return packed.getvalue()


def _damaged(data: bytes, rng: random.Random) -> bytes:
    """Cut bytes or change some, wherever they are: what is packed has a checksum."""
    if rng.random() < 0.4:
        return data[: rng.randrange(len(data))]
    made = bytearray(data)
    end = rng.choice((len(made), len(made), min(len(made), 64)))
    start = rng.choice((0, 0, max(0, len(made) - 400)))
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        at = rng.randrange(start, max(end, start + 1))
        made[at] = rng.randrange(256)
    return bytes(made)


# -- zips ----------------------------------------------------------------------------------------


@_into(ZIP_MUTATORS)
def zip_of_it(original: Original, rng: random.Random) -> bytes:
    how = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))
    folder = rng.choice(("", "data/", "a/b/c/"))
    return zipped([(folder + original.name, original.data)], how=how)


@_into(ZIP_MUTATORS)
def zip_packed_strangely(original: Original, rng: random.Random) -> bytes:
    how = rng.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    return zipped([(original.name, original.data)], how=how)


@_into(ZIP_MUTATORS)
def zip_damaged(original: Original, rng: random.Random) -> bytes:
    return _damaged(zipped([(original.name, original.data)]), rng)


@_into(ZIP_MUTATORS)
def zip_of_a_mutant(original: Original, rng: random.Random) -> bytes:
    name = rng.choice(sorted(CSV_MUTATORS))
    made = CSV_MUTATORS[name](original, source(original.name, name, rng.randrange(10**9)))
    return zipped([(original.name, made)])


@_into(ZIP_MUTATORS)
def zip_bomb(original: Original, rng: random.Random) -> bytes:
    n = rng.choice((2_000_000, 20_000_000, 60_000_000))
    name = rng.choice((original.name, "other.csv", "other.bin"))
    return zipped([(original.name, original.data)] * rng.randrange(2) + [(name, b"0" * n)])


@_into(ZIP_MUTATORS)
def zip_with_strange_names(original: Original, rng: random.Random) -> bytes:
    strange = (
        "../../../x.csv",
        "/etc/x.csv",
        "C:\\x.csv",
        "a\\..\\x.csv",
        "..",
        "con.csv",
        "\n.csv",
    )
    name = rng.choice(
        (*strange, "x" * 300 + ".csv", "ẍ.csv", ".csv", "a/./b//x.csv", "é\u202e.csv")
    )
    return zipped([(name, original.data)])


@_into(ZIP_MUTATORS)
def zip_encrypted(original: Original, rng: random.Random) -> bytes:
    data = bytearray(zipped([(original.name, original.data)]))
    where = rng.choice(((b"PK\x01\x02",), (b"PK\x03\x04",), (b"PK\x01\x02", b"PK\x03\x04")))
    for magic in where:
        data[data.rfind(magic) + (8 if magic[2] == 1 else 6)] |= 1
    return bytes(data)


@_into(ZIP_MUTATORS)
def zip_in_a_zip(original: Original, rng: random.Random) -> bytes:
    inner = zipped([(original.name, original.data)])
    name = rng.choice(("inner.zip", original.name))
    return zipped([(name, inner)] + [(f"b_{original.name}", original.data)] * rng.randrange(2))


@_into(ZIP_MUTATORS)
def zip_with_a_name_twice(original: Original, rng: random.Random) -> bytes:
    other = original.data
    if rng.random() < 0.7:
        name = rng.choice(sorted(CSV_MUTATORS))
        other = CSV_MUTATORS[name](original, source(original.name, name, rng.randrange(10**9)))
    pair = [(original.name, original.data), (original.name, other)]
    rng.shuffle(pair)
    return zipped(pair)


@_into(ZIP_MUTATORS)
def zip_with_other_files(original: Original, rng: random.Random) -> bytes:
    others: Members = [
        ("__MACOSX/._x.csv", b"\0\5\x16\7"),
        ("readme.txt", b"read me"),
        ("empty.csv", b""),
        ("foreign.csv", b"a,b\n1,2\n"),
        ("x.meta.csv", b"col_name\nx\n"),
        ("folder/", b""),
        ("page.csv", b"<html></html>"),
    ]
    chosen = rng.sample(others, rng.randrange(1, 4))
    members = [(original.name, original.data), *chosen]
    rng.shuffle(members)
    return zipped(members)


@_into(ZIP_MUTATORS)
def zip_of_very_many(original: Original, rng: random.Random) -> bytes:
    n = rng.choice((50, 999, 1001, 3000))
    return zipped([(original.name, original.data), *((f"{i}.txt", b"") for i in range(n))])


@_into(ZIP_MUTATORS)
def zip_that_lies_of_its_size(original: Original, rng: random.Random) -> bytes:
    data = bytearray(zipped([(original.name, original.data)]))
    size = struct.pack("<L", len(original.data))
    lie = struct.pack("<L", rng.choice((0, 10, len(original.data) - 30, 2**31, 2**32 - 1)))
    for at in rng.choice(
        ((data.find(size),), (data.rfind(size),), (data.find(size), data.rfind(size)))
    ):
        data[at : at + 4] = lie
    return bytes(data)


# -- workbooks -----------------------------------------------------------------------------------


def _parts(original: Original) -> Members:
    with zipfile.ZipFile(io.BytesIO(original.data)) as packed:
        return [(info.filename, packed.read(info)) for info in packed.infolist()]


def _edited(original: Original, where: str, edit: Callable[[bytes], bytes]) -> bytes:
    """Edit the parts whose name matches."""
    return zipped([(n, edit(x) if re.search(where, n) else x) for n, x in _parts(original)])


SHEET, TEXTS = r"worksheets/sheet[0-9]+\.xml$", "sharedStrings"
_ROW = re.compile(rb"<row [^>]*>.*?</row>", re.S)


@_into(WORKBOOK_MUTATORS)
def workbook_damaged(original: Original, rng: random.Random) -> bytes:
    return _damaged(original.data, rng)


@_into(WORKBOOK_MUTATORS)
def workbook_packed_again(original: Original, rng: random.Random) -> bytes:
    parts = _parts(original)
    rng.shuffle(parts)
    return zipped(parts, how=rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)))


@_into(WORKBOOK_MUTATORS)
def workbook_with_entities(original: Original, rng: random.Random) -> bytes:
    kinds = (
        b'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE r [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        b'<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd">',
        b'<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>',
        b"<!doctype r>",
    )
    text = rng.choice(kinds)

    def edit(xml: bytes) -> bytes:
        at = xml.find(b"?>") + 2 if xml.startswith(b"<?xml") else 0
        made = xml[:at] + text + xml[at:]
        return made.decode().encode("utf-16") if rng.random() < 0.2 else made

    return _edited(original, rng.choice((SHEET, TEXTS, "workbook.xml$", r"\.rels$", ".")), edit)


@_into(WORKBOOK_MUTATORS)
def workbook_with_formulas(original: Original, rng: random.Random) -> bytes:
    """Formulas with the value they last had, or without."""
    formula = rng.choice(
        (b"1+1", b"WEBSERVICE(&quot;http://127.0.0.1:9&quot;)", b"cmd|'/c calc'!A0")
    )
    kept = rng.random() < 0.5
    share = rng.choice((0.001, 0.2, 1.0))

    def one(match: re.Match[bytes]) -> bytes:
        if rng.random() > share:
            return match[0]
        return b"<f>" + formula + b"</f>" + (match[0] if kept else b"")

    return _edited(original, SHEET, lambda xml: re.sub(rb"<v>[^<]*</v>", one, xml))


@_into(WORKBOOK_MUTATORS)
def workbook_rows_lost_repeated_or_moved(original: Original, rng: random.Random) -> bytes:
    how = rng.randrange(3)

    def edit(xml: bytes) -> bytes:
        rows = [match.span() for match in _ROW.finditer(xml)]
        if not rows:
            return xml
        texts = [xml[a:b] for a, b in rows]
        for _ in range(rng.choice((1, 2, 20))):
            at = rng.randrange(len(texts))
            if how == 0 and len(texts) > 1:
                del texts[at]
            elif how == 1:
                texts.insert(rng.randrange(len(texts)), texts[at])
            else:
                texts.insert(rng.randrange(len(texts)), texts.pop(at))
        return xml[: rows[0][0]] + b"".join(texts) + xml[rows[-1][1] :]

    return _edited(original, SHEET, edit)


@_into(WORKBOOK_MUTATORS)
def workbook_cells_lost(original: Original, rng: random.Random) -> bytes:
    share = rng.choice((0.0005, 0.01, 0.3))

    def edit(xml: bytes) -> bytes:
        cell = rb"<c [^>]*?(?:/>|>.*?</c>)"
        return re.sub(cell, lambda m: b"" if rng.random() < share else m[0], xml, flags=re.S)

    return _edited(original, SHEET, edit)


@_into(WORKBOOK_MUTATORS)
def workbook_parts_lost(original: Original, rng: random.Random) -> bytes:
    parts = _parts(original)
    for _ in range(rng.choice((1, 1, 3))):
        del parts[rng.randrange(len(parts))]
    return zipped(parts)


@_into(WORKBOOK_MUTATORS)
def workbook_xml_damaged(original: Original, rng: random.Random) -> bytes:
    """Bytes changed inside the XML, digits aside, with checksums that fit."""

    def edit(xml: bytes) -> bytes:
        made = bytearray(xml)
        for _ in range(rng.choice((1, 1, 3))):
            at = rng.randrange(len(made))
            if not chr(made[at]).isalnum():
                made[at] = rng.choice(b"<>&\"'/ =\0x\xff")
        return bytes(made[: rng.randrange(len(made))] if rng.random() < 0.2 else made)

    return _edited(
        original, rng.choice((SHEET, TEXTS, "workbook.xml$", r"\.rels$", "styles")), edit
    )


@_into(WORKBOOK_MUTATORS)
def workbook_words_changed(original: Original, rng: random.Random) -> bytes:
    """Headers and closeness under other names."""
    pairs = ((b"LA num", b"LA number"), (b"SNP", b"SN P"), (b"Close", b"Near"), (b"SN10", b"SN11"))
    old, new = rng.choice((*pairs, (b"LA Name", b""), (b"SN1<", b"SN2<"), (b"Very", b"VERY")))
    return _edited(original, TEXTS, lambda xml: xml.replace(old, new))


@_into(WORKBOOK_MUTATORS)
def workbook_bomb(original: Original, rng: random.Random) -> bytes:
    n = rng.choice((5_000_000, 60_000_000))
    extra = rng.choice(("xl/worksheets/sheet9.xml", "xl/media/image1.png", "xl/sharedStrings.xml"))
    return zipped([*_parts(original), (extra, b"<" + b" " * n)])


@_into(WORKBOOK_MUTATORS)
def workbook_of_claimed_size(original: Original, rng: random.Random) -> bytes:
    size = rng.choice((b'ref="A1:XFD1048576"', b'ref="A1"', b'ref="ZZZZ99999999"', b'ref=""'))
    return _edited(original, SHEET, lambda xml: re.sub(rb'ref="[A-Z0-9:]+"', size, xml, count=1))


@_into(WORKBOOK_MUTATORS)
def workbook_rows_of_huge_numbers(original: Original, rng: random.Random) -> bytes:
    number = rng.choice((b"1048577", b"99999999", b"-1", b"x", b""))
    at = rng.randrange(5)

    def edit(xml: bytes) -> bytes:
        rows = list(re.finditer(rb'<row r="([0-9]+)"', xml))
        if not rows:
            return xml
        a, b = rows[min(at, len(rows) - 1)].span(1)
        return xml[:a] + number + xml[b:]

    return _edited(original, SHEET, edit)


# -- parquet -------------------------------------------------------------------------------------


def _parquet(original: Original, rng: random.Random, change: Callable[[object], object]) -> bytes:
    import pyarrow.parquet as pq

    table = change(pq.read_table(io.BytesIO(original.data)))
    made = io.BytesIO()
    pq.write_table(table, made, compression=rng.choice(("snappy", "zstd", "none")))
    return made.getvalue()


@_into(PARQUET_MUTATORS)
def parquet_cut(original: Original, rng: random.Random) -> bytes:
    return original.data[: rng.randrange(len(original.data))]


@_into(PARQUET_MUTATORS)
def parquet_ends_damaged(original: Original, rng: random.Random) -> bytes:
    """Bytes changed in the mark at the start and the lengths at the end."""
    data = bytearray(original.data)
    for _ in range(rng.choice((1, 2))):
        data[rng.choice((*range(4), *range(len(data) - 8, len(data))))] = rng.randrange(256)
    return bytes(data)


@_into(PARQUET_MUTATORS)
def parquet_overwritten(original: Original, rng: random.Random) -> bytes:
    """Much of the packed pages, or of the footer, is noise."""
    data = bytearray(original.data)
    start, end = sorted(rng.sample(range(4, len(data) - 8), 2))
    if rng.random() < 0.3:
        start, end = len(data) - 4000, len(data) - 8
    data[start:end] = rng.randbytes(end - start)
    return bytes(data)


@_into(PARQUET_MUTATORS)
def parquet_written_anew(original: Original, rng: random.Random) -> bytes:
    def change(table):  # type: ignore[no-untyped-def]
        names = list(table.column_names)
        rng.shuffle(names)
        return table.select(names)

    return _parquet(original, rng, change)


@_into(PARQUET_MUTATORS)
def parquet_columns_lost_or_renamed(original: Original, rng: random.Random) -> bytes:
    def change(table):  # type: ignore[no-untyped-def]
        names = list(table.column_names)
        at = rng.randrange(len(names))
        if rng.random() < 0.5:
            return table.select(names[:at] + names[at + 1 :])
        return table.rename_columns([f"{x}_" if i == at else x for i, x in enumerate(names)])

    return _parquet(original, rng, change)


@_into(PARQUET_MUTATORS)
def parquet_rows_lost_repeated_or_shuffled(original: Original, rng: random.Random) -> bytes:
    def change(table):  # type: ignore[no-untyped-def]
        rows = list(range(len(table)))
        how = rng.randrange(3)
        if how == 0:
            rng.shuffle(rows)
        elif how == 1:
            start = rng.randrange(len(rows))
            del rows[start : start + rng.choice((1, 500, len(rows) // 2))]
        else:
            rows += rng.choices(rows, k=rng.choice((1, 2000)))
        return table.take(rows)

    return _parquet(original, rng, change)


@_into(PARQUET_MUTATORS)
def parquet_text_changed(original: Original, rng: random.Random) -> bytes:
    """Values written in other ways, hidden, blank or negative; years and names in other styles."""

    def change(table):  # type: ignore[no-untyped-def]
        import pyarrow as pa

        name = rng.choice(("Values", "Years", "LA and Regions", "LA Number", "Short Desc"))
        at = table.column_names.index(name)
        texts = [None if x is None else str(x) for x in table.column(at).to_pylist()]
        styles: tuple[Callable[[str], str | None], ...] = (
            lambda text: f" {text} ",
            lambda text: f"-{text}",
            lambda text: f"{text}?",
            lambda _: "-",
            lambda _: "c",
            lambda _: "",
            lambda _: None,
            str.upper,
        )
        style = rng.choice(styles)
        for i in rng.sample(range(len(texts)), rng.choice((1, 50, 5000))):
            texts[i] = texts[i] and style(texts[i])
        return table.set_column(at, name, pa.array(texts, type=pa.string()))

    return _parquet(original, rng, change)
