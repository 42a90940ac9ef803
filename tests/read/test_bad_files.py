"""Files that are not what they were taken for: each refused, in words that help."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

import didkit.read.limits
from didkit.errors import DidkitError, DidkitWarning, PanelError, ReadError
from didkit.panel import METRICS, Status
from didkit.read import RELEASES, read_dfe, read_neighbours
from didkit.read.limits import Limits
from didkit.read.parse import parse
from didkit.read.rules import Column, Release, Symbol

Write = Callable[..., Path]
Text = Callable[..., str]


def refused(path: Path, **options: str) -> ReadError:
    """Read, and return the error; its message must have the four parts."""
    with pytest.raises(ReadError) as caught:
        read_dfe(path, **options)
    error = caught.value
    assert error.needed
    assert error.found
    assert error.where
    assert error.todo
    assert str(error) == (
        f"needed: {error.needed}\n  found: {error.found}\n  where: {error.where}\n"
        f"  what to do: {error.todo}"
    )
    return error


def test_the_small_files_are_good(write: Write, b1: Text, cla: Text) -> None:
    assert read_dfe(write(b1())).wide("cin").loc["926", "2013"] == 290.5
    assert read_dfe(write(cla())).wide("cla").loc["926", "2019"] == 63


# -- no file, or no table ------------------------------------------------------------------------


def test_no_such_file(tmp_path: Path) -> None:
    error = refused(tmp_path / "b1.csv")
    assert error.needed == "a file or folder that exists"
    assert error.where == str(tmp_path / "b1.csv")


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n \r\n"])
def test_an_empty_file(write: Write, content: bytes) -> None:
    assert "an empty file" in refused(write(content)).found


def test_a_header_without_rows(write: Write, b1: Text) -> None:
    assert refused(write(b1().splitlines()[0] + "\n")).found == "a header without rows"


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "a web page"),
        (b"\xef\xbb\xbf<html>", "a web page"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\x1f\x8b\x08\x00", "a gzip file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel workbook"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"time_period,la\n2013,\x00\n", "the first NUL byte is at position 20"),
        (b"time_period,la\n2013,\x81\xff\n", "neither UTF-8 nor Windows-1252"),
    ],
)
def test_a_file_that_is_no_csv(write: Write, content: bytes, looks: str) -> None:
    assert looks in refused(write(content)).found


def test_a_workbook_under_the_name_of_a_csv(write: Write) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    packed = io.BytesIO()
    openpyxl.Workbook().save(packed)
    error = refused(write(packed.getvalue(), "b1.csv"))
    assert error.found == "an Excel workbook"
    assert "save the sheet as 'CSV UTF-8'" in error.todo


def test_other_separators(write: Write, b1: Text) -> None:
    error = refused(write(b1().replace(",", ";")))
    assert "separated by commas" in error.needed
    assert "semicolons between them: 'time_period;" in error.found


def test_a_foreign_table(write: Write) -> None:
    error = refused(write("name,age\nA,1\n"))
    assert "the nearest is" in error.needed
    assert error.found == "2 ('name', 'age') columns"
    assert "read_ees_csv" in error.todo


def test_a_missing_column(write: Write, b1: Text) -> None:
    error = refused(write(b1().replace("At31_episodes_rate", "rate", 1)))
    assert "nearest is cin_2020 b1 (Children in need)" in error.needed
    assert "of which are missing: 1 ('At31_episodes_rate')" in error.needed


def test_a_missing_column_in_a_folder_is_not_passed_over(write: Write, b1: Text, cla: Text) -> None:
    write(cla(), "good.csv")
    damaged = write(b1().replace("At31_episodes_rate", "rate", 1), "damaged.csv")
    assert refused(damaged.parent).where.startswith("damaged.csv")


def test_a_byte_order_mark_twice(write: Write, b1: Text) -> None:
    error = refused(write("\ufeff\ufeff" + b1()))
    assert "'time_period'" in error.needed
    assert "\\ufefftime_period" in error.found
    assert read_dfe(write("\ufeff" + b1())).wide("cin").size == 16


def test_columns_that_stand_twice(write: Write, b1: Text) -> None:
    error = refused(write(b1().replace("category", "la_name", 1)))
    assert error.found == "names that stand more than once: 1 ('la_name')"


def test_rows_of_unequal_length(write: Write, b1: Text) -> None:
    lines = b1().splitlines()
    for i in (3, 4, 6, 7, 8, 10):
        lines[i] += ",5"
    lines[2] = lines[2].rsplit(",", 1)[0]
    error = refused(write(lined(lines)))
    assert error.needed == "13 values in every row, as in the header"
    assert error.found == (
        "7 rows that differ (row 3 has 12, row 4 has 14, row 5 has 14, row 7 has 14, "
        "row 8 has 14, …)"
    )


def test_a_blank_line_inside_but_not_at_the_end(write: Write, b1: Text) -> None:
    lines = b1().splitlines()
    assert "row 3 is blank" in refused(write(lined([*lines[:2], "", *lines[2:]]))).found
    assert read_dfe(write(b1() + "\n\n")).wide("cin").size == 16


def test_a_quotation_mark_that_is_not_closed(write: Write, b1: Text) -> None:
    error = refused(write(b1().replace(",Suffolk", ',"Suffolk', 1)))
    assert "does not parse" in error.found
    error = refused(write(b1().replace(",Suffolk", ',"Suf"folk', 1)))
    assert "does not parse" in error.found


def test_one_huge_value(write: Write, b1: Text) -> None:
    assert "field larger" in refused(write(b1().replace("Suffolk", "S" * 200_000, 1))).found


def test_limits(write: Write, b1: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(b1())
    monkeypatch.setattr(didkit.read.limits, "LIMITS", Limits(file_bytes=1000))
    assert refused(file).needed == "a file of at most 1,000 bytes"
    monkeypatch.setattr(didkit.read.limits, "LIMITS", Limits(columns=5))
    assert refused(file).needed == "at most 5 columns"
    write(b1(), "another.csv")
    monkeypatch.setattr(didkit.read.limits, "LIMITS", Limits(members=1))
    assert refused(file.parent).needed == "a folder with at most 1 files"


def test_another_encoding(write: Write, b1: Text, cla: Text) -> None:
    error = refused(write(b1().replace("Suffolk", "Suffôlk").encode("cp1252")))
    assert error.needed == "text saved as UTF-8, as cin_2020 is published"
    panel = read_dfe(write(cla(geog_n="Nôrfolk").encode("cp1252")))
    assert panel.name_of("926") == "Nôrfolk"
    assert panel.sources["cla"][0].note == "decoded as cp1252"


# -- rows ----------------------------------------------------------------------------------------


def test_duplicate_unit_period_rows(write: Write, b1: Text) -> None:
    lines = b1().splitlines()
    authorities = [line for line in lines if "Local authority" in line]
    error = refused(write(lined([*lines, *authorities[:6]])))
    assert error.found == (
        "12 rows for 6 (926 in 2020, 935 in 2020, 926 in 2019, 935 in 2019, 926 in 2018, …) "
        "that stand more than once"
    )
    assert error.where == "file.csv"


def test_duplicate_units_where_a_year_is_a_column(write: Write, cla: Text) -> None:
    error = refused(write(cla() + cla().splitlines()[1] + "\n"))
    assert error.found == "2 rows for 1 (926) that stand more than once"


def test_an_unknown_geographic_level(write: Write, b1: Text) -> None:
    error = refused(write(b1().replace("Regional", "Ward", 1)))
    assert error.found == "1 rows with another: 1 ('Ward'); the first is line 3"
    assert error.where == "file.csv, column geographic_level"


def test_an_unknown_category(write: Write, b1: Text) -> None:
    error = refused(write(b1().replace("Children in Need", "Boys in Need", 1)))
    assert error.needed == "a category that the release has: 1 ('Children in Need')"
    assert "'Boys in Need'" in error.found


def test_a_name_that_changes_is_the_latest_one(write: Write, b1: Text) -> None:
    lines = b1().replace("2013,", "2013;").splitlines()
    text = lined(
        line.replace("Norfolk", "NORFOLK").replace(";", ",") if ";" in line else line
        for line in lines
    )
    assert read_dfe(write(text)).name_of("926") == "Norfolk"


def test_no_row_of_an_authority(write: Write, b1: Text) -> None:
    error = refused(write(b1().replace("Local authority", "National")))
    assert error.found == "none among 32 rows"


def test_a_period_that_does_not_parse(write: Write, b1: Text) -> None:
    text = b1().replace("2013,", "20x3,").replace("2014,", "201416,")
    error = refused(write(text))
    assert error.found == "2 ('201416', '20x3') that do not parse"
    assert error.where == "file.csv, column time_period"


def test_another_kind_of_period(write: Write, b1: Text) -> None:
    error = refused(write(b1().replace("Reporting year", "Calendar year", 1)))
    assert error.found == "1 ('Calendar year') other"


def test_two_styles_of_one_period(write: Write, b1: Text) -> None:
    lines = b1().splitlines()
    again = [line.replace("2013,", "201213,", 1) for line in lines if line.startswith("2013,")]
    assert "201213" in refused(write(lined([*lines, *again]))).found


def test_codes_that_are_names(write: Write, b1: Text) -> None:
    with pytest.raises(PanelError, match="3-digit local-authority codes") as caught:
        read_dfe(write(b1().replace(",926,", ",Norfolk,")))
    assert "file.csv, column old_la_code" in str(caught.value)
    with pytest.raises(PanelError, match="8 rows without one"):
        read_dfe(write(b1().replace(",926,", ",,")))


# -- numbers -------------------------------------------------------------------------------------


def test_an_unknown_symbol(write: Write, b1: Text) -> None:
    cells = {("926", year): ("x", "290.5") for year in range(2013, 2020)}
    error = refused(write(b1(cells)))
    assert error.needed.startswith("numbers, or the symbols of cin_2020: 'c' (1 to 5, or hidden")
    assert error.found == (
        "other text: 7 ('x' for 926 in 2019, 'x' for 926 in 2018, 'x' for 926 in 2017, "
        "'x' for 926 in 2016, 'x' for 926 in 2015, …)"
    )
    assert error.where == "file.csv, column At31_episodes"


@pytest.mark.parametrize("text", ["#VALUE!", "C", "nan", "inf", "1e3", "0x10", "٣", "5_000", "+5"])
def test_other_text_is_no_number(write: Write, b1: Text, text: str) -> None:
    error = refused(write(b1({("926", 2013): (text, "1")})))
    assert f"{text!r} for 926 in 2013" in error.found


def test_a_blank_is_no_number(write: Write, b1: Text) -> None:
    assert "a blank for 935 in 2020" in refused(write(b1({("935", 2020): ("", "1")}))).found


@pytest.mark.parametrize("text", ["-100", "-0.5", "\N{MINUS SIGN}3"])
def test_negative_numbers(write: Write, b1: Text, text: str) -> None:
    error = refused(write(b1({("926", 2013): (text, "1")})))
    assert error.needed == "numbers of zero or more in At31_episodes"
    assert error.found == f"negative: 1 ({text} for 926 in 2013)"
    assert "dashboard" in error.todo


@pytest.mark.parametrize(
    ("count", "rate"), [("5000.5", "1"), ('"5,000"', "1"), ("5000", "1.25"), ("9" * 13, "1")]
)
def test_numbers_that_the_release_does_not_write(
    write: Write, b1: Text, count: str, rate: str
) -> None:
    error = refused(write(b1({("926", 2013): (count, rate)})))
    assert "as cin_2020 publishes them" in error.needed
    assert "for 926 in 2013" in error.found


def test_symbols_mean_what_their_release_says(write: Write, b1: Text, cla: Text) -> None:
    symbols = {"c": "suppressed", ":": "not available", "z": "not applicable"}
    cells = {("926", 2013 + i): (symbol, symbol) for i, symbol in enumerate(symbols)}
    panel = read_dfe(write(b1(cells)))
    assert panel.wide("cin", what="status").loc["926"].tolist()[:3] == list(symbols.values())
    panel = read_dfe(write(cla(CLA_Mar2015="c", CLA_Rate2015="-", CLA_Rate2016=".")))
    status = panel.wide("cla", what="status").loc["926"]
    assert status.tolist()[:2] == ["rounded", "not applicable"]
    assert panel.wide("cla").loc["926", "2015"] == 0
    assert panel.wide("cla", what="upper").loc["926", "2015"] == 0.5
    assert panel.wide("cla_count", what="lower").loc["926", "2015"] == 0
    error = refused(write(cla(CLA_Mar2015="-")))
    assert "'-' for 926 in 2015" in error.found, "an exact count cannot round to zero"


def one(text: str, rules: Release, column: Column) -> tuple[float, str, float, float]:
    cells = parse(
        np.array([text], dtype=object), column, rules, at=lambda i: f"row {i}", where="here"
    )
    return (
        float(cells.value[0, 0]),
        Status(int(cells.status[0, 0])).label,
        float(cells.lower[0, 0]),
        float(cells.upper[0, 0]),
    )


def test_rules_that_later_releases_use() -> None:
    """Primary suppression alone gives 1 to 5; thousands are read where a release writes them."""
    hidden = {"c": Symbol(Status.SUPPRESSED, "1 to 5")}
    alone = Release(
        name="r",
        title="",
        symbols=hidden,
        tables=(),
        primary=(1, 5),
        secondary=False,
        thousands=True,
    )
    count, rate = Column("n", "cin_count"), Column("r", "cin", 1)
    assert one("c", alone, count)[1:] == ("suppressed", 1.0, 5.0)
    assert one("2,093", alone, count) == (2093.0, "observed", 2093.0, 2093.0)
    assert one("0.0", alone, rate) == (0.0, "observed", 0.0, 0.05)
    assert one("c", alone, rate)[2] == 0
    assert one("100.0", alone, Column("p", "rereferrals", 1))[3] == 100
    with pytest.raises(ReadError, match="'20,93' for row 0"):
        one("20,93", alone, count)


# -- release -------------------------------------------------------------------------------------


def test_a_part_of_a_release_is_read_only_by_name(write: Write, b1: Text) -> None:
    file = write(b1(years=range(2015, 2019)))
    error = refused(file)
    assert "the periods of a release" in error.needed
    assert "cin_2020 b1: 2013 to 2020" in error.needed
    assert "release='cin_2020'" in error.todo
    assert read_dfe(file, release="cin_2020").periods == ("2015", "2016", "2017", "2018")
    error = refused(write(b1(years=range(2015, 2022))), release="cin_2020")
    assert "2021" in error.found


def test_a_gap_in_the_periods(write: Write, b1: Text) -> None:
    lines = [line for line in b1().splitlines() if not line.startswith("2016,")]
    with pytest.raises(PanelError, match="2015 → 2017"):
        read_dfe(write(lined(lines)), release="cin_2020")


def test_an_unknown_release(write: Write, b1: Text) -> None:
    error = refused(write(b1()), release="cin2020")
    assert error.todo == "did you mean cin_2020?" or error.todo.startswith("did you mean cin_2020 ")


def test_another_release_than_asked_for(write: Write, b1: Text) -> None:
    error = refused(write(b1()), release="cla_2021")
    assert error.needed == "a table of cla_2021"
    assert "cin_2020 b1" in error.found


def test_denominators_of_the_wrong_year(write: Write, cla: Text) -> None:
    """Stale years in column names show as rates that do not fit the counts."""
    stale = {f"CLA_Pop{year}": str(160_000 + 9_000 * (year - 2014)) for year in range(2014, 2019)}
    error = refused(write(cla(**stale)))
    assert "published cla that equals cla_count / cla_population × 10,000, rounded" in error.needed
    assert "4 of 5 differ: 4 (926 in 2016: 63 published, 59.2 computed" in error.found


def test_a_rate_that_does_not_fit_is_warned_of(write: Write, cla: Text) -> None:
    header, row = cla().splitlines()
    rows = [row.replace("926", str(code)) for code in range(900, 905)]
    rows[3] = ",".join([*rows[3].split(",")[:-1], "70"])
    with pytest.warns(DidkitWarning, match="1 of 25 differ: 1 .903 in 2019: 70 published, 62.8"):
        panel = read_dfe(write(lined([header, *rows])))
    assert panel.wide("cla").loc["903", "2019"] == 70


# -- folders and zips ----------------------------------------------------------------------------


def test_a_folder_without_a_table(tmp_path: Path) -> None:
    assert refused(tmp_path).found == "no file"
    (tmp_path / "note.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert "note.txt: file not used: not a table" in refused(tmp_path).found


def test_what_is_not_used_is_logged(write: Write, b1: Text) -> None:
    file = write(b1(), "b1.csv")
    write("a,b\n1,2\n3,4\n", "a_foreign.csv")
    write("a,b\n1,2\n3\n", "b_foreign.csv")
    write("col_name\nx\n", "b1.meta.csv")
    log = read_dfe(file.parent).log
    rows = list(zip(log["source"], log["what"], log["rows"], strict=True))
    assert ("a_foreign.csv", "rows not used: columns of no known table", 2) in rows
    assert ("b1.meta.csv", "file not used: not a table", 0) in rows
    ragged = log.loc[log["source"] == "b_foreign.csv", "what"].tolist()
    assert len(ragged) == 1
    assert "row 3 has 1" in ragged[0]


def test_two_files_that_disagree(write: Write, b1: Text) -> None:
    file = write(b1(), "one.csv")
    write(b1({("926", 2013): ("5001", "290.5")}), "two.csv")
    with pytest.raises(PanelError, match="926 in 2013: 5000 and 5001"):
        read_dfe(file.parent)
    write(b1() + "\n", "two.csv")
    assert len(read_dfe(file.parent).sources["cin"]) == 1 + 1
    write(b1(), "two.csv")
    again = read_dfe(file.parent)
    assert [one.file for one in again.sources["cin"]] == ["one.csv"]
    said = again.log.loc[again.log["source"] == "two.csv", "what"]
    assert said.tolist() == ["file not used: the same bytes as one.csv"]


def test_a_quoted_value_over_lines(write: Write, b1: Text) -> None:
    """Lines with an even number of marks can leave a value open: read as a whole, or refused."""
    lines = b1().splitlines()
    for i, (mark, name) in {4: ('"1', 'n"m'), 9: ('2"', 'k"')}.items():
        row = lines[i].split(",")
        row[-1 if i == 4 else 0], row[9] = mark, name
        lines[i] = ",".join(row)
    refused(write(lined(lines)))


def lined(lines: Iterable[str]) -> str:
    """Put lines together, the last one ended too, as in every published file."""
    return "".join(f"{line}\n" for line in lines)


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return packed.getvalue()


def test_a_zip_bomb(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(**{"b1.csv": b"0" * 5_000_000})
    error = refused(write(bomb, "release.zip"))
    assert "swollen: 1 (b1.csv)" in error.found
    monkeypatch.setattr(didkit.read.limits, "LIMITS", Limits(total_bytes=1_000_000))
    assert "5,000,000 bytes" in refused(write(bomb, "release.zip")).found
    monkeypatch.setattr(didkit.read.limits, "LIMITS", Limits(members=1))
    two = zipped(**{"a.csv": b"", "b.csv": b""})
    assert "2 files" in refused(write(two, "release.zip")).found


def test_a_member_larger_than_its_header_says(
    write: Write, b1: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = bytearray(zipped(**{"b1.csv": b1().encode()}))
    size = len(b1().encode()).to_bytes(4, "little")
    for start in (packed.find(size), packed.rfind(size)):
        packed[start : start + 4] = (10).to_bytes(4, "little")
    refused(write(bytes(packed), "release.zip"))


def test_members_with_strange_paths_are_never_written(
    write: Write, b1: Text, tmp_path: Path
) -> None:
    text = b1().encode()
    file = write(
        zipped(**{"../../stray1.csv": text, "C:\\x\\stray2.csv": text + b"\n"}), "release.zip"
    )
    panel = read_dfe(file)
    assert [source.file for source in panel.sources["cin"]] == ["stray1.csv", "stray2.csv"]
    assert list(tmp_path.parent.rglob("stray*")) == []


def test_broken_and_locked_zips(write: Write, b1: Text) -> None:
    good = zipped(**{"b1.csv": b1().encode()})
    assert "BadZipFile" in refused(write(good[:-30], "release.zip")).found
    broken = bytearray(good)
    broken[60] ^= 0xFF
    assert refused(write(bytes(broken), "release.zip")).needed == "a zip that can be unpacked"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_BZIP2) as packed:
        packed.writestr("b1.csv", b1())
    assert "stored or deflated" in refused(write(made.getvalue(), "release.zip")).needed
    locked = bytearray(good)
    locked[good.rfind(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refused(write(bytes(locked), "release.zip")).found


# -- mutated -------------------------------------------------------------------------------------


def mutants(data: bytes, n: int, seed: int) -> list[bytes]:
    """Bytes changed, dropped, repeated, cut or swapped."""
    rng = random.Random(seed)  # noqa: S311
    made = []
    for _ in range(n):
        mutant = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 1, 3, 20))):
            at, to = sorted(rng.randrange(len(mutant)) for _ in range(2))
            kind = rng.randrange(8)
            if kind == 0:
                mutant[at] = rng.randrange(256)
            elif kind == 1:
                mutant[at] = rng.choice(b',"\n\r\0;-x.c')
            elif kind == 2:
                del mutant[at : at + rng.randrange(1, 40)]
            elif kind == 3:
                mutant[at:at] = mutant[to : to + rng.randrange(1, 200)]
            elif kind == 4 and at > 100:
                del mutant[at:]
            elif kind == 5:
                mutant[at] = rng.choice(b"0123456789")
            elif kind == 6:
                mutant[at : at + 1] = mutant[at : at + 1].swapcase()
            else:
                mutant[at:at] = rng.choice((b"\xef\xbb\xbf", b"\xff", b",", b'"', b"\r\n", b"-"))
        made.append(bytes(mutant))
    return made


@pytest.mark.filterwarnings("ignore::didkit.errors.DidkitWarning")
def test_mutated_files_give_a_panel_or_an_error_of_ours(write: Write, b1: Text, cla: Text) -> None:
    originals = [b1().encode(), cla().encode(), zipped(**{"b1.csv": b1().encode()})]
    good = {read_dfe(write(data)).tidy().to_csv() for data in originals}
    counts = {"equal": 0, "refused": 0, "differs": 0}
    for i, data in enumerate(originals):
        for mutant in mutants(data, 250, seed=i):
            try:
                panel = read_dfe(write(mutant))
            except DidkitError:
                counts["refused"] += 1
                continue
            counts["equal" if panel.tidy().to_csv() in good else "differs"] += 1
    assert sum(counts.values()) == 750
    # A changed digit of a count or letter of a name passes; nothing else can.
    assert 0 < counts["differs"] < 75, counts
    assert counts["equal"] > 20, counts


def test_every_metric_of_the_rules_is_in_the_registry() -> None:
    for release in RELEASES.values():
        for table in release.tables:
            assert {column.metric for column in table.columns} <= set(METRICS)


# -- what a spreadsheet or a hand does -------------------------------------------------------------


def test_what_a_spreadsheet_saves_is_called_so(write: Write, b1: Text) -> None:
    for damaged in ("12-Mar", "#N/A", "12/03/2018", "1.2E+05"):
        error = refused(write(b1({("926", 2015): (damaged, "290.5")})))
        assert f"{damaged!r} for 926 in 2015" in error.found
        assert "do not save it from a spreadsheet" in error.todo
    error = refused(write(b1().replace(",926,", ",926.0,")))
    assert "926.0" in error.found
    assert "do not save it from a spreadsheet" in error.todo
    error = refused(write(b1().replace(",", ";")))
    assert error.found.startswith("semicolons between them")
    error = refused(write("Children in need,,\n" + b1()))
    assert error.found.endswith("the header looks to be line 2")


def test_paths_that_are_none(write: Write, b1: Text, tmp_path: Path) -> None:
    write(b1(), "cin_2020.csv")
    assert refused(tmp_path / "cin2020.csv").todo == "did you mean cin_2020.csv?"
    assert "no folder for it" in refused(tmp_path / "a" / "b.csv").found
    assert refused("https://example.org/a.csv").found == "a web address"
    with pytest.raises(ReadError, match="found: a list"):
        read_dfe([tmp_path])  # type: ignore[arg-type]
    with pytest.raises(ReadError, match="found: a folder"):
        read_neighbours(tmp_path)
