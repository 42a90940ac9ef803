"""The page that says which check asks what: a row for each, and the pages it quotes are there."""

from __future__ import annotations

import re
from pathlib import Path

from didkit.results.asking import CHECKS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "checking.md"
FIELDS = ["check", "asks", "measures", "needs", "fails when", "cannot show"]


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_check_has_one_full_row():
    named = [row for row in rows() if re.match(r"`[A-Z]\w+(\(.*\))?`$", row[0])]
    assert all(len(row) == len(FIELDS) for row in named)
    assert [row for row in named if not all(row)] == []
    found = sorted(re.match(r"`(\w+)", row[0])[1] for row in named)
    assert found == sorted(CHECKS)


def test_the_pages_it_quotes_are_there():
    linked = set(re.findall(r"\]\(([\w.]+)\)", PAGE.read_text(encoding="utf-8")))
    assert len(linked) >= 6
    assert [name for name in linked if not (PAGE.parent / name).is_file()] == []
