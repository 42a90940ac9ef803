"""Sheets of an .xlsx workbook, read safely: limits first, then no entities, then values."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from types import ModuleType

from didkit.errors import ReadError
from didkit.read import limits
from didkit.read.files import check_zip, open_zip, read_member

__all__ = ["sheets"]

Row = tuple[object, ...]
_ENCODING = re.compile(rb"""[^>]{0,200}encoding\s*=\s*["']([^"']*)["']""")


def sheets(data: bytes, name: str) -> dict[str, list[Row]]:
    """Return the rows of every sheet, as values (formulas as they were last computed).

    Raises
    ------
    ReadError
        If openpyxl is not installed, the bytes are no workbook or a damaged one, it is over a
        limit, or its XML declares entities.
    """
    _check(data, name)
    openpyxl = _openpyxl(name)
    try:
        with warnings.catch_warnings():
            # It warns of styles and validations that it leaves out; values are all that is read.
            warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            made: dict[str, list[Row]] = {}
            for sheet in book.worksheets:
                # The size that a sheet claims is not trusted: its cells are counted.
                sheet.reset_dimensions()
                made[str(sheet.title)] = _rows(sheet.iter_rows(values_only=True), name)
    except ReadError:
        raise
    except (
        zipfile.BadZipFile,
        SyntaxError,  # what both XML parsers of openpyxl raise
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        OSError,
        EOFError,
    ) as error:
        raise ReadError(
            needed="an .xlsx workbook",
            found=f"one that cannot be read: {type(error).__name__}: {error}",
            where=name,
            todo="download it again, or open it and save it anew as .xlsx",
        ) from error
    return made


def _rows(rows: object, name: str) -> list[Row]:
    """Collect rows, within the limits."""
    made: list[Row] = []
    for row in rows:  # type: ignore[attr-defined]
        if len(made) >= limits.LIMITS.sheet_rows or len(row) > limits.LIMITS.sheet_columns:
            raise ReadError(
                needed=f"a sheet of at most {limits.LIMITS.sheet_rows:,} rows and "
                f"{limits.LIMITS.sheet_columns:,} columns",
                found="more",
                where=name,
                todo="check that it is a published list",
            )
        made.append(tuple(row))
    return made


def _check(data: bytes, name: str) -> None:
    """Refuse a workbook that is none, too large, or whose XML declares entities."""
    if data[:4] != b"PK\x03\x04":
        raise ReadError(
            needed="an .xlsx workbook",
            found="a file of another kind",
            where=name,
            todo="open it and save it as .xlsx, or use the tidy CSV",
        )
    packed = open_zip(data, name)
    members = check_zip(packed, name, limits.LIMITS.workbook_bytes)
    if not any(info.filename == "xl/workbook.xml" for info in members):
        raise ReadError(
            needed="an .xlsx workbook",
            found="a zip without xl/workbook.xml",
            where=name,
            todo="name the workbook itself",
        )
    for info in members:
        text = read_member(packed, info, name)
        xml = info.filename.casefold().endswith((".xml", ".rels", ".vml"))
        if not xml and not text.lstrip(b" \t\r\n\0\xef\xbb\xbf\xff\xfe").startswith(b"<"):
            continue
        # Another encoding could hide the words; Excel writes UTF-8.
        declared = _ENCODING.match(text)
        other = declared is not None and declared[1].lower() != b"utf-8"
        if other or b"<!DOCTYPE" in text or b"<!ENTITY" in text or b"\0" in text:
            raise ReadError(
                needed="a workbook whose XML is plain UTF-8 and declares no entities",
                found=f"a declaration (DOCTYPE, ENTITY), another encoding or NUL bytes in "
                f"{info.filename}",
                where=name,
                todo="do not trust this file: Excel does not write such; download it again",
            )


def _openpyxl(name: str) -> ModuleType:
    try:
        import openpyxl
    except ImportError as error:
        raise ReadError(
            needed="openpyxl, to read a workbook",
            found="it is not installed",
            where=name,
            todo="install the extra: pip install 'didkit-evaluation[excel]'; or use the tidy CSV",
        ) from error
    return openpyxl
