"""The LaTeX document sets every name as text, and compiles where there is a TeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report.places import EVIL

from didkit.report import Evaluation
from didkit.report.latex import escape


@pytest.mark.parametrize("letter", list("\\&%$#_{}~^<>|\"'`[]*-"))
def test_letters_that_latex_acts_on_are_escaped(letter: str) -> None:
    made = escape(f"a{letter}b")
    assert made != f"a{letter}b"
    assert made.startswith("a")
    assert made.endswith("b")
    balanced(made)


def test_letters_that_fonts_lack_stand_as_their_codes() -> None:
    assert escape("é−∞") == r"é$-$$\infty$"
    assert escape("議") == "(U+8B70)"
    assert escape("\x07") == "(U+0007)"


def balanced(text: str) -> None:
    depth = 0
    for letter in re.sub(r"\\[\\{}]", "", text):
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0
    assert depth == 0


def test_braces_and_environments_balance(planned: Evaluation, hostile: Evaluation) -> None:
    for made in (planned.to_latex(), hostile.to_latex()):
        balanced(made)
        begun = re.findall(r"\\begin\{(\w+)\}", made)
        ended = re.findall(r"\\end\{(\w+)\}", made)
        assert sorted(begun) == sorted(ended)
        assert made.startswith(r"\documentclass")
        assert made.isprintable() or set(made) - {"\n"} == {c for c in made if c.isprintable()}


def test_the_document_has_every_part(planned: Evaluation) -> None:
    made = planned.to_latex()
    for part in ("The answer in plain words", "In words", "Checks", "The plan", "Notes"):
        assert rf"\section*{{{part}}}" in made
    assert made.index("{Deviations}") < made.index("{Protocol}")
    for rule in ("toprule", "midrule", "bottomrule"):
        assert rf"\{rule}" in made
    rows = made.partition(r"\section*{All rows}")[2].partition(r"\section*{Notes}")[0]
    assert rows.count(r" \\") == len(planned.tidy()) + 1  # and the heads


def test_hostile_names_are_only_set(hostile: Evaluation) -> None:
    made = hostile.to_latex()
    assert EVIL not in made
    assert escape(EVIL) in made


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_it_compiles(planned: Evaluation, hostile: Evaluation, tmp_path: Path) -> None:
    for name, made in (("planned", planned), ("hostile", hostile)):
        made.to_latex(tmp_path / f"{name}.tex")
        ran = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout.decode("utf-8", "replace")[-2000:]
        assert (tmp_path / f"{name}.pdf").stat().st_size > 10_000
