"""Notebooks as text twins: their form, their claims, and the exercise's checked answer.

`.ci/full` executes each in a kernel; here the cells run as plain code.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import didkit as dk

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
MARKER = re.compile(r"^# %%(?: \[(markdown)\])?$")
KEPT_WORDS = re.compile(r"\bno effect\b|\bsignifican|\bpassed\b", re.IGNORECASE)


def cells(path: Path) -> list[tuple[str, str]]:
    """Split a text twin into kind ("code" or "markdown") and source of each cell."""
    found: list[tuple[str, list[str]]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        marker = MARKER.match(line)
        if marker:
            found.append((marker.group(1) or "code", []))
        elif found:
            found[-1][1].append(line)
    return [(kind, "\n".join(lines)) for kind, lines in found]


def code(path: Path, *, until: str | None = None) -> str:
    """Join the code cells, up to the markdown cell that holds a heading."""
    taken = []
    for kind, source in cells(path):
        if until is not None and kind == "markdown" and until in source:
            break
        if kind == "code":
            taken.append(source)
    assert taken
    return "\n\n".join(taken)


def run(source: str, name: str) -> tuple[dict[str, Any], str]:
    """Run code as a fresh module would; return its names and what it printed."""
    names: dict[str, Any] = {"__name__": name}
    said = io.StringIO()
    with contextlib.ExitStack() as undone:
        undone.callback(tidied, names)  # unless it runs through
        with contextlib.redirect_stdout(said):
            exec(compile(source, name, "exec"), names)
        undone.pop_all()
    return names, said.getvalue()


def tidied(names: dict[str, Any]) -> None:
    """Take a notebook's temporary folder away, where it made one."""
    if "temporary" in names:
        names["temporary"].cleanup()


def notebook(number: str) -> Path:
    (found,) = (path for path in NOTEBOOKS if path.name.startswith(number))
    return found


# -- form ------------------------------------------------------------------------------------------


def test_the_two_notebooks_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_quickstart", "02_before_and_after"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_twin_is_percent_format_with_its_header(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    head, _, body = text.partition("\n# ---\n")
    assert head.startswith("# ---\n# jupyter:\n")
    assert "#       format_name: percent" in head
    assert "#     name: python3" in head
    markers = [line for line in body.splitlines() if line.startswith("# %%")]
    assert [line for line in markers if not MARKER.match(line)] == []
    for kind, source in cells(path):
        assert source.strip()
        if kind == "markdown":
            assert [line for line in source.splitlines() if line and line[0] != "#"] == []
    assert cells(path)[0][1].startswith("# # ")  # it begins with a title


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_jupytext_reads_the_same_cells(path: Path) -> None:
    jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed")
    read = jupytext.read(path)
    assert [cell.cell_type for cell in read.cells] == [kind for kind, _ in cells(path)]
    assert read.metadata["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_public_names_only(path: Path) -> None:
    tree = ast.parse(code(path))
    seen = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("didkit"):
            room = importlib.import_module(node.module or "")
            assert {alias.name for alias in node.names} <= set(room.__all__)
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), node.attr
            if isinstance(node.value, ast.Name) and node.value.id == "dk":
                assert node.attr in dk.__all__
                seen += 1
    assert seen


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_to_the_house_words(path: Path) -> None:
    assert KEPT_WORDS.findall(path.read_text(encoding="utf-8")) == []


# -- 01: an own CSV ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quickstart() -> Iterator[tuple[dict[str, Any], str]]:
    names, said = run(code(notebook("01"), until="## 8. The report"), "quickstart")
    yield names, said
    tidied(names)


def test_the_own_csv_is_messy_and_loses_nothing(quickstart: tuple[dict[str, Any], str]) -> None:
    names, said = quickstart
    typed = names["long"]["as typed"]
    assert set(typed[names["long"]["value"].isna()].fillna("")) == {"", "c", "z"}
    packaged = dk.datasets.load_evaluation().panel
    for metric in ("cpp", "cla", "population"):
        own, theirs = names["panel"].wide(metric), packaged.wide(metric)
        np.testing.assert_array_equal(own, theirs)
        status = names["panel"].wide(metric, what="status")
        hidden = packaged.wide(metric, what="status") == "suppressed"
        assert ((status == "suppressed") == hidden).all(axis=None)
    assert names["sheet"]["LA code"].str.fullmatch(r"\d{3}").all()
    assert f"{len(packaged.unit_ids)} authorities" in said


def test_the_two_errors_say_what_the_prose_says(quickstart: tuple[dict[str, Any], str]) -> None:
    _, said = quickstart
    first, second = said.split("needed: ")[1:3]
    assert "melt" in first.splitlines()[3]
    assert "suppression symbols c, z" in second
    assert "status=" in second
    assert "to_numeric" in second


def test_a_number_that_to_numeric_does_not_read_is_refused(
    quickstart: tuple[dict[str, Any], str],
) -> None:
    names, _ = quickstart
    long = names["long"].copy()
    at = long.index[long["status"] == "observed"][0]
    long.loc[at, "value"] = np.nan  # what errors="coerce" makes of "1,234"
    with pytest.raises(dk.PanelError, match="1 observed cells without a value"):
        dk.Panel.from_frame(
            long, unit="LA code", period="year", metrics="metric", value="value",
            status="status", layout="long",
        )  # fmt: skip


def test_the_own_csv_gives_the_packaged_answer(quickstart: tuple[dict[str, Any], str]) -> None:
    names, said = quickstart
    design = dk.datasets.load_evaluation().design
    assert names["design"].comparators == design.comparators
    assert names["design"].starts == design.starts
    theirs = dk.DiD().fit(design, "cpp").infer()
    np.testing.assert_allclose(names["did"].values, theirs.values, rtol=1e-12)
    assert names["did"]["att"]["p_value"] == theirs["att"]["p_value"]
    share = dk.Gap().fit(design, "cpp").facts["share_before"]
    assert f"{share:.0%} of the gap afterwards was there before" in said


def test_the_prose_of_the_first_notebook_holds() -> None:
    evaluation = dk.datasets.load_evaluation()
    assert len(evaluation.design.pilots) == 10  # "ten authorities"
    assert min(evaluation.design.starts.values()) == "2018"
    assert set(evaluation.truth.values()) == {0.0}


@pytest.mark.slow
def test_the_first_notebook_writes_its_report() -> None:
    names, said = run(code(notebook("01")), "quickstart")
    try:
        page = names["report"].read_text(encoding="utf-8")
        assert page.startswith("<!DOCTYPE html>")
        assert "Children looked after" in page
        assert "The truth, 0, lies outside." in said
    finally:
        tidied(names)


# -- 02: predict, then reveal ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def reveal() -> tuple[dict[str, Any], str]:
    source = code(notebook("02")).replace("range(1, 41)", "range(1, 4)")
    assert "range(1, 4)" in source
    return run(source, "reveal")


def test_the_claims_of_the_second_notebook_hold(reveal: tuple[dict[str, Any], str]) -> None:
    names, said = reveal
    gap, did = names["gap"], names["answer"]
    # "fewer before … fewer after"; a modest effect in either direction is inside the interval
    assert gap["gap_before"]["estimate"] < 0
    assert gap["gap_after"]["estimate"] < 0
    assert f"{gap.facts['share_before']:.0%} of the gap afterwards was there before." in said
    assert did["conf_low"] < 0 < did["conf_high"]
    # two of four miss, and which
    assert names["missed"] == ["children in need", "children looked after"]
    assert "2 of 4 intervals miss the truth" in said
    # records: clean, the interval holds the truth; the check names another pilot; leaving the
    # culprit out moves the estimate away from the truth
    misses = re.findall(r"Children in need, (.*?): (\S+), interval (\S+) to (\S+)", said)
    held = {how: float(low) <= 0 <= float(high) for how, _, low, high in misses}
    assert held == {"as recorded": False, "with clean records": True}
    assert abs(float(misses[1][1])) > 20  # "even with clean records … far from zero"
    shifts, culprit = names["shifts"], names["culprit"]
    assert shifts.abs().idxmax() != culprit
    full = names["finding"].facts["full"]
    assert abs(full + shifts[culprit]) > abs(full)
    assert names["as_recorded"].broken in names["design"].pilots
    # the exercise: conferences rose in the pilots, and elsewhere
    assert names["up_pilots"] > 0
    assert names["up_others"] > 0


def test_the_naive_readings_are_what_they_are_called(reveal: tuple[dict[str, Any], str]) -> None:
    names, _ = reveal
    naive, panel, design = names["naive"], names["panel"], names["design"]
    first, second, third = (naive.loc["child protection plans"].iloc[k] for k in range(3))
    rates, after = panel.wide("cpp"), [p for p in panel.periods if p >= "2018"]
    own = rates.loc[[u for u in design.pilots if design.starts[u] == "2018"]]
    before = [p for p in panel.periods if p < "2018"]
    moved = (own[after].mean(axis=1) - own[before].mean(axis=1)).mean()
    england = rates[after].mean().mean() - rates[before].mean().mean()
    assert first == pytest.approx(moved, abs=2)  # but for the pilot that started later
    assert third == pytest.approx(first - england, abs=1e-9)
    assert second == dk.Gap().fit(design, "cpp")["gap_after"]["estimate"]


def test_it_runs_through_with_predictions_and_with_none(
    reveal: tuple[dict[str, Any], str],
) -> None:
    assert "You said" not in reveal[1]
    assert "No answer yet" in reveal[1]
    source = code(notebook("02"), until="## 6. Does")
    source = source.replace("share_before = None", "share_before = 0.25")
    _, said = run(source.replace("change = None", "change = 30"), "predicted")
    assert "You said 25%: 66 points away." in said
    assert "You said +30.0: outside the interval, and 30.0 from the truth." in said


def test_the_check_says_right_wrong_and_nothing_yet(reveal: tuple[dict[str, Any], str]) -> None:
    check, gap = reveal[0]["check"], reveal[0]["exercise"]
    facts = gap.facts
    pilots = facts["pilots_after"] - facts["pilots_before"]
    others = facts["comparators_after"] - facts["comparators_before"]
    assert check(None, gap).startswith("No answer yet")
    assert check(pilots - others, gap).startswith("Right")
    assert check(round(pilots - others, 1), gap).startswith("Right")
    wrong = {
        pilots: "Comparators moved too",
        others: "other half",
        facts["pilots_after"] - facts["comparators_after"]: "gap afterwards",
        facts["pilots_before"] - facts["comparators_before"]: "gap before",
        others - pilots: "wrong sign",
        pilots + others: "added up",
        99.0: "subtract",
        float("nan"): "subtract",
    }
    for answer, reason in wrong.items():
        said = check(answer, gap)
        assert said.startswith("Not yet"), answer
        assert reason in said
    assert check("−0.3", gap).startswith("A number is needed")
    assert check(True, gap).startswith("A number is needed")


def test_the_check_computes_its_answer(reveal: tuple[dict[str, Any], str]) -> None:
    check, other = reveal[0]["check"], reveal[0]["gaps"]["cla"]
    right = other["gap_after"]["estimate"] - other["gap_before"]["estimate"]
    assert check(right, other).startswith("Right")
    assert check(right, reveal[0]["exercise"]).startswith("Not yet")


def test_the_solution_is_folded_and_escaped(reveal: tuple[dict[str, Any], str]) -> None:
    folded = reveal[0]["Folded"]("<b>", "1 < 2")._repr_html_()
    assert folded == "<details><summary>&lt;b&gt;</summary><p>1 &lt; 2</p></details>"


@pytest.mark.slow
def test_forty_worlds_say_what_the_prose_says() -> None:
    names, _ = run(code(notebook("02")), "reveal")
    worlds, claims = names["worlds"], names["claims"]
    assert worlds["seed"].nunique() == 40
    naive = worlds.loc[worlds["way"] == "gap afterwards", "estimate"]
    did = worlds.loc[worlds["way"] == "DiD", "estimate"]
    assert (naive < 0).sum() >= 38  # "off in the same direction nearly every time"
    assert claims["gap afterwards"] > 20
    assert claims["DiD"] <= 5  # 2 expected
    assert abs(did.mean()) < 2 * did.std() / np.sqrt(len(did))  # "scatters around the truth"
