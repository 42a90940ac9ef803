"""The workbook read back: numbers are numbers, texts are texts, nothing is run."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from report.places import make_design

import didkit as dk
from didkit.errors import DidkitError
from didkit.report import Evaluation, evaluate

openpyxl = pytest.importorskip("openpyxl", reason="needs openpyxl, of the extra 'excel'")
pytest.importorskip("xlsxwriter", reason="needs xlsxwriter, of the extra 'excel'")

SHEETS = ["Answer", "Words", "Estimates", "Checks", "Who", "Notes", "Provenance"]


@pytest.fixture(scope="module")
def book(planned: Evaluation, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    path = planned.to_excel(tmp_path_factory.mktemp("book") / "tables.xlsx")
    return openpyxl.load_workbook(path)


def column(sheet, head: str) -> list[object]:  # type: ignore[no-untyped-def]
    heads = [cell.value for cell in sheet[1]]
    return [row[heads.index(head)] for row in sheet.iter_rows(min_row=2, values_only=True)]


def test_every_sheet_is_there_with_its_heads_frozen(book, evaluation: Evaluation) -> None:  # type: ignore[no-untyped-def]
    assert book.sheetnames == [*SHEETS[:-1], "Plan", SHEETS[-1]]
    for sheet in book:
        assert sheet.freeze_panes == "B2"
        assert sheet.max_row > 1
        assert all(cell.value for cell in sheet[1])
        assert all(cell.font.bold for cell in sheet[1])
        assert 9 <= sheet.column_dimensions["A"].width <= 71


def test_numbers_are_numbers_with_their_values(book, evaluation: Evaluation) -> None:  # type: ignore[no-untyped-def]
    row = evaluation.to_frame().iloc[0]
    for head, name in (("Change", "change"), ("Gap before", "gap_before"), ("p", "p_value")):
        (value,) = column(book["Answer"], head)
        assert isinstance(value, float)
        assert value == pytest.approx(row[name], rel=1e-14)
    estimates = column(book["Estimates"], "estimate")
    assert estimates == pytest.approx(evaluation.tidy()["estimate"].tolist(), rel=1e-14)
    assert {type(one) for one in column(book["Who"], "Code")} == {str}  # codes stay text
    heads = [cell.value for cell in book["Answer"][1]]
    at = heads.index("There before")
    assert book["Answer"].cell(2, at + 1).number_format == "0%"


def test_no_cell_is_a_formula_or_a_link(book) -> None:  # type: ignore[no-untyped-def]
    for sheet in book:
        for cells in sheet.iter_rows():
            for cell in cells:
                assert cell.data_type != "f"
                assert cell.hyperlink is None
    assert "=2016" in column(book["Plan"], "Done")  # of a deviation: text, as it was


def test_text_that_starts_like_a_formula_stays_text(tmp_path: Path) -> None:
    for start in ("=1+1 ", "+1 ", "-1 ", "@x ", "https://example.org/ "):
        made = evaluate(
            make_design(evil=start),
            ["cla"],
            inference=dk.ClusterRobust("CR2"),
            checks=[dk.LeaveOneOut()],
        )
        book = openpyxl.load_workbook(made.to_excel(tmp_path / "x.xlsx"))
        names = column(book["Who"], "Name")
        assert len(names) == 16
        assert all(isinstance(name, str) and name.startswith(start) for name in names)
        assert {cell.data_type for cell in book["Who"]["B"]} == {"s"}
        assert not any(cell.hyperlink for cell in book["Who"]["B"])


def test_two_workbooks_are_the_same_bytes(evaluation: Evaluation, tmp_path: Path) -> None:
    first = evaluation.to_excel(tmp_path / "a.xlsx").read_bytes()
    again = evaluation.to_excel(tmp_path / "b.xlsx").read_bytes()
    assert first == again
    assert openpyxl.load_workbook(io.BytesIO(first)).sheetnames == SHEETS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.xlsx", "b.xlsx"]


def test_without_the_writer_the_extra_is_named(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(DidkitError, match="extra 'excel'") as raised:
        evaluation.to_excel(tmp_path / "x.xlsx")
    assert raised.value.needed == "the package xlsxwriter"
    assert list(tmp_path.iterdir()) == []
