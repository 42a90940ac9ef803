"""Statistical neighbours: the workbook equals the tidy copy; bad lists are refused."""

from __future__ import annotations

import csv
import hashlib
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import didkit.read.limits
from didkit.design import Neighbours
from didkit.errors import DesignError, DidkitWarning, PanelError, ReadError
from didkit.read import read_neighbours
from didkit.read.limits import Limits

Write = Callable[..., Path]
HEADER = "la_code,la_name,rank,sn_code,closeness,sn_name\n"
KEYS = ["unit", "rank", "neighbour", "closeness"]
LABELS = {"Extremely close", "Very close", "Close", "Somewhat close", "Not close"}


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "neighbours"


def records(file: Path) -> set[tuple[str, int, str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as handle:
        return {
            (row["la_code"], int(row["rank"]), row["sn_code"], row["closeness"].capitalize())
            for row in csv.DictReader(handle)
        }


def found(neighbours: Neighbours) -> set[tuple[str, int, str, str]]:
    return set(neighbours.table[KEYS].itertuples(index=False, name=None))


def test_the_tidy_list_of_2021(folder: Path) -> None:
    file = folder / "statistical_neighbours_april2021_long.csv"
    neighbours = read_neighbours(file)
    assert found(neighbours) == records(file)
    assert len(neighbours.table) == 1560
    assert neighbours.table["unit"].nunique() == 156
    assert set(neighbours.table["closeness"]) == LABELS
    assert neighbours.release == "statistical neighbours (authorities of 2021)"
    assert neighbours.file == file.name
    assert neighbours.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    brent = neighbours.table[neighbours.table["unit"] == "304"]
    assert (brent["closeness"] == "Not close").sum() == 7


def test_the_workbook_of_2021_equals_the_tidy_list(folder: Path) -> None:
    pytest.importorskip("openpyxl")
    workbook = read_neighbours(folder / "sn_april_2021.xlsx")
    tidy = read_neighbours(folder / "statistical_neighbours_april2021_long.csv")
    assert workbook.release == tidy.release
    pd.testing.assert_frame_equal(workbook.table[KEYS], tidy.table[KEYS])
    # The tidy copy writes the name of 839 with "&"; every other name is the same.
    for name, code in (("unit_name", "unit"), ("neighbour_name", "neighbour")):
        differ = workbook.table[name] != tidy.table[name]
        assert set(workbook.table.loc[differ, code]) == {"839"}
    assert workbook.of("835")[:2] == ("893", "878"), "the former authorities below the list"
    assert workbook.of("942") == ()


def test_the_workbook_of_2025(folder: Path) -> None:
    pytest.importorskip("openpyxl")
    workbook = read_neighbours(folder / "sn_may_2025.xlsx")
    tidy = read_neighbours(folder / "statistical_neighbours_2025_long.csv")
    assert workbook.release == "statistical neighbours (authorities of 2023)"
    former = {"835", "836", "837", "909", "928"}
    assert found(tidy) == {row for row in found(workbook) if row[0] not in former}
    assert len(workbook.table) == 1530 + 50


def test_labels_and_a_name_for_the_release(write: Write) -> None:
    text = HEADER + "926,Norfolk,1,925, not CLOSE ,Lincolnshire\n"
    neighbours = read_neighbours(write(text), release="mine")
    assert neighbours.table["closeness"].tolist() == ["Not close"]
    assert neighbours.release == "mine"
    assert read_neighbours(write(text)).release == "statistical neighbours"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("926,N,1,925,Near,L", "closeness as one of: Extremely close"),
        ("926,N,2,925,Close,L", "ranks 1, 2, 3, … once each"),
        ("926,N,x,925,Close,L", "ranks 1, 2, 3, … once each"),
        ("926,N,1,925,Close,L\n926,N,1,908,Close,C", "ranks 1, 2, 3, … once each"),
    ],
)
def test_bad_rows(write: Write, row: str, message: str) -> None:
    with pytest.raises(ReadError) as caught:
        read_neighbours(write(HEADER + row + "\n", "list.csv"))
    assert message in str(caught.value)
    assert caught.value.where == "list.csv"


def test_other_bad_lists(write: Write) -> None:
    with pytest.raises(DesignError, match=r"926.*its own neighbour"):
        read_neighbours(write(HEADER + "926,N,1,926,Close,N\n"))
    with pytest.raises(PanelError, match="3-digit local-authority codes"):
        read_neighbours(write(HEADER + "Norfolk,N,1,925,Close,L\n"))
    with pytest.raises(ReadError, match=r"missing: 2 \(sn_code, closeness\)"):
        read_neighbours(write("la_code,rank\n926,1\n"))
    with pytest.raises(ReadError, match="an empty file"):
        read_neighbours(write(""))


# -- workbooks -----------------------------------------------------------------------------------


def workbook(rows: list[list[object]], title: str = "LA SN Groups") -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


TOP: list[object] = ["LA num", "LA Name", "LA number", "SN1", "SNP", "SN2", "SNP", None]
ROWS: list[list[object]] = [
    ["A", "B", "C", 3, 4, 5, 6, None],
    TOP,
    [926, "Norfolk", 926, 925, "Very Close ", 908.0, "close", ""],
    [942, "Cumberland", 942, "-", "-", "-", "-"],
    [None, None],
    [None, "Old SNs:"],
    [835, "Dorset (Pre LG)", 835, 893, "Close", 878, "Close"],
]


def replaced(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            new.writestr(info.filename, change(content) if info.filename == name else content)
    return made.getvalue()


def test_headers_twice_blanks_footers_and_former_authorities(write: Write) -> None:
    neighbours = read_neighbours(write(workbook(ROWS), "list.xlsx"))
    assert found(neighbours) == {
        ("926", 1, "925", "Very close"),
        ("926", 2, "908", "Close"),
        ("835", 1, "893", "Close"),
        ("835", 2, "878", "Close"),
    }


def test_rows_without_a_code_or_a_neighbour(write: Write) -> None:
    for row in ([None, "Norfolk", None, 925, "Close"], [935, "S", 935, "-", "Close"]):
        with pytest.raises(ReadError, match=r"1 \(row 8\) without"):
            read_neighbours(write(workbook([*ROWS, row]), "list.xlsx"))


def test_another_workbook(write: Write) -> None:
    with pytest.raises(ReadError, match="one sheet with the columns 'LA num', 'SN1'"):
        read_neighbours(write(workbook([["a", "b"]]), "list.xlsx"))
    header = [*TOP[:4], "Name", *TOP[5:]]
    with pytest.raises(ReadError, match="a column 'SNP'"):
        read_neighbours(write(workbook([header, *ROWS[2:]]), "list.xlsx"))


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml"])
def test_entities_are_refused_before_anything_is_parsed(write: Write, part: str) -> None:
    entity = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    for change in (
        lambda old: entity + old,
        lambda old: b'<!DOCTYPE x SYSTEM "http://localhost/x.dtd">' + old,
        lambda old: old.decode("utf-8").encode("utf-16"),
        lambda old: b"<?xml version='1.0' encoding='utf-7'?>" + old.partition(b"?>")[2],
    ):
        with pytest.raises(ReadError, match="declares no entities") as caught:
            read_neighbours(write(replaced(workbook(ROWS), part, change), "list.xlsx"))
        assert part in caught.value.found


def test_xml_under_another_name_is_looked_at_too(write: Write) -> None:
    made = io.BytesIO(workbook(ROWS))
    with zipfile.ZipFile(made, "a") as packed:
        packed.writestr("xl/worksheets/sheet1.bin", "\ufeff<!DOCTYPE x>".encode("utf-16-le"))
    with pytest.raises(ReadError, match=r"sheet1\.bin"):
        read_neighbours(write(made.getvalue(), "list.xlsx"))


def test_limits_of_a_workbook(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(workbook(ROWS), "list.xlsx")
    for limit, words in (
        (Limits(sheet_rows=3), "at most 3 rows"),
        (Limits(sheet_columns=5), "5 columns"),
        (Limits(workbook_bytes=500), "at most 500 bytes"),
    ):
        monkeypatch.setattr(didkit.read.limits, "LIMITS", limit)
        with pytest.raises(ReadError, match=words):
            read_neighbours(file)


def test_a_row_far_down_is_not_waited_for(write: Write) -> None:
    far = replaced(
        workbook(ROWS),
        "xl/worksheets/sheet1.xml",
        lambda old: old.replace(b'<row r="7"', b'<row r="1048576"'),
    )
    with pytest.raises(ReadError, match="at most 20,000 rows"):
        read_neighbours(write(far, "list.xlsx"))


def test_a_size_that_a_sheet_claims_is_not_trusted(write: Write) -> None:
    lies = replaced(
        workbook(ROWS),
        "xl/worksheets/sheet1.xml",
        lambda old: old.replace(b'ref="A1:H7"', b'ref="A1:H3"'),
    )
    assert len(read_neighbours(write(lies, "list.xlsx")).table) == 4


def test_a_zip_that_is_no_workbook_and_a_broken_one(write: Write) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr("a.csv", "a,b\n")
    with pytest.raises(ReadError, match=r"a zip without xl/workbook\.xml"):
        read_neighbours(write(made.getvalue(), "list.xlsx"))
    cut = replaced(workbook(ROWS), "xl/worksheets/sheet1.xml", lambda old: old[:300])
    with pytest.raises(ReadError, match="cannot be read"):
        read_neighbours(write(cut, "list.xlsx"))


def test_without_openpyxl(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(workbook(ROWS), "list.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ReadError) as caught:
        read_neighbours(file)
    assert "didkit-evaluation[excel]" in caught.value.todo


def test_a_list_that_was_cut_off(write: Write) -> None:
    rows = [f"{unit},N,{rank},{rank + 100},Close,L" for unit in (926, 935) for rank in (1, 2, 3)]
    text = HEADER + "\n".join(rows) + "\n"
    assert len(read_neighbours(write(text)).table) == 6
    with pytest.raises(ReadError, match="a last line that ends"):
        read_neighbours(write(text[:-4]))
    with pytest.warns(DidkitWarning, match=r"1 \(935\) authorities have fewer .* than the 3"):
        short = read_neighbours(write(HEADER + "\n".join(rows[:-1]) + "\n"))
    assert short.of("935") == ("101", "102")


def test_a_closeness_that_only_some_have(write: Write) -> None:
    text = (
        HEADER + "926,N,1,925,Close,L\n926,N,2,908,,C\n935,S,1,925,Close,L\n935,S,2,926,Close,N\n"
    )
    with pytest.raises(ReadError, match=r"none for the neighbours of 1 \(926\)"):
        read_neighbours(write(text))
    none = read_neighbours(write(text.replace("Close", "")))
    assert set(none.table["closeness"]) == {""}
