"""Notebooks as text twins: their form, their claims, and the exercise's checked answer.

`.ci/full` executes each in a kernel; here the cells run as plain code.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import re
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import didkit as dk

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
FOLDED = ' jupyter={"source_hidden": true}'
MARKER = re.compile(rf"^# %%(?: \[(markdown)\]|{re.escape(FOLDED)})?$")
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


def run(source: str, name: str, folder: Path) -> tuple[dict[str, Any], str]:
    """Run code as a fresh module would, in a folder; return its names and what it printed."""
    names: dict[str, Any] = {"__name__": name}
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        exec(compile(source, name, "exec"), names)
    return names, said.getvalue()


def notebook(number: str) -> Path:
    (found,) = (path for path in NOTEBOOKS if path.name.startswith(number))
    return found


# -- form ------------------------------------------------------------------------------------------


def test_the_six_notebooks_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "01_quickstart",
        "02_before_and_after",
        "03_whom_to_compare",
        "04_how_sure",
        "05_different_starts",
        "06_try_to_break_it",
    ]


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
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    source = code(notebook("01"), until="## 8. The report")
    return run(source, "quickstart", tmp_path_factory.mktemp("beside"))


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
    cell = f"{long.loc[at, 'LA code']} in {long.loc[at, 'year']}"
    with pytest.raises(dk.PanelError, match=rf"no value in 1 \({cell}\) cells"):
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


def test_a_row_for_england_is_refused(quickstart: tuple[dict[str, Any], str]) -> None:
    long = quickstart[0]["long"]
    unit = long["LA code"].iloc[0]
    long = long.assign(**{"LA code": long["LA code"].replace(unit, "970")})
    with pytest.raises(dk.PanelError, match=r"found: 1 \(970\) that stand for England"):
        dk.Panel.from_frame(
            long, unit="LA code", period="year", metrics="metric", value="value",
            status="status", layout="long",
        )  # fmt: skip


def test_the_first_notebook_writes_beside_itself_and_again(tmp_path: Path) -> None:
    source = code(notebook("01"), until="## 1. Read the file")
    run(source, "quickstart", tmp_path)
    own = tmp_path / "my-evaluation" / "pilots.csv"
    own.write_text("mine", encoding="utf-8")
    run(source, "quickstart", tmp_path)
    assert own.read_text(encoding="utf-8") == "mine"  # a second run leaves a reader's files alone
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.csv")}
    made_up = {f"my-evaluation/made-up/{name}.csv" for name in ("our_numbers", "neighbours")}
    assert written == made_up | {f"my-evaluation/{where}pilots.csv" for where in ("", "made-up/")}
    ignored = (FOLDER.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "my-evaluation/" in ignored


@pytest.mark.slow
def test_the_first_notebook_writes_its_report(tmp_path: Path) -> None:
    _, said = run(code(notebook("01")), "quickstart", tmp_path)
    page = (tmp_path / "my-evaluation" / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "Children looked after" in page
    assert "The truth, 0, lies outside." in said


# -- 02: predict, then reveal ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def reveal(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    source = code(notebook("02")).replace("range(1, 41)", "range(1, 4)")
    assert "range(1, 4)" in source
    return run(source, "reveal", tmp_path_factory.mktemp("beside"))


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
    recorded, clean = (
        names["recorded_or_clean"][how] for how in ("as recorded", "with clean records")
    )
    assert recorded["conf_high"] < 0
    assert clean["conf_low"] < 0 < clean["conf_high"]
    assert recorded["estimate"] == pytest.approx(names["rows"]["children in need"]["change"])
    shifts, culprit = names["shifts"], names["culprit"]
    assert shifts.abs().idxmax() != culprit
    full = names["finding"].facts["full"]
    assert abs(full + shifts[culprit]) > abs(full)
    assert names["as_recorded"].broken in names["design"].pilots
    # the exercise: conferences rose in the pilots, and elsewhere
    assert names["up_pilots"] > 0
    assert names["up_others"] > 0


def test_the_misrecorded_pilot_did_what_the_prose_says(
    reveal: tuple[dict[str, Any], str],
) -> None:
    names, said = reveal
    both, rise, n_pilots = names["both"], names["rise"], len(names["design"].pilots)
    broken = both.index[both["recorded"].notna() & (both["too many"] != 0)]
    assert list(broken) == ["2015", "2016"]  # "two years before the start"
    assert max(broken) < names["design"].starts[names["broken"]]
    assert (both.loc[broken, "too many"] > 0).all()
    published = names["panel"].wide("cin").loc[names["broken"]]
    pd.testing.assert_series_equal(both["recorded"], published, check_names=False)
    # its number rose; in truth more than twice as far; the record lowers the pilots' mean
    assert rise["recorded"] > 0
    assert rise["clean"] > 2 * rise["recorded"]
    assert rise["too many"] == pytest.approx(rise["recorded"] - rise["clean"])
    recorded, clean = (
        names["recorded_or_clean"][how]["estimate"] for how in ("as recorded", "with clean records")
    )
    moved = recorded - clean
    assert moved == pytest.approx(rise["too many"] / n_pilots, abs=0.5)  # "about"
    assert f"by about {rise['too many'] / n_pilots:+.1f}" in said
    assert abs(moved) < 0.1 * abs(recorded)  # "a small part of the distance from zero"
    assert abs(clean) > 20  # "still far from zero"
    assert 0 < names["recorded_or_clean"]["with clean records"]["conf_high"] < 5  # "only just"
    assert -5 < names["recorded_or_clean"]["as recorded"]["conf_high"] < 0  # "ended near zero"


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
    reveal: tuple[dict[str, Any], str], tmp_path: Path
) -> None:
    assert "You said" not in reveal[1]
    assert "No answer yet" in reveal[1]
    source = code(notebook("02"), until="## 6. Does")
    source = source.replace("share_before = None", "share_before = 0.25")
    _, said = run(source.replace("change = None", "change = 30"), "predicted", tmp_path)
    assert "You said 25%: 66 points away." in said
    assert "You said +30.0: outside the interval, and 30.0 from the truth." in said


def slips(gap: dk.Estimate) -> dict[str, float]:
    """Give the right answer and the wrong ones that a reader comes to, by what is said of each."""
    facts = gap.facts
    pilots = facts["pilots_after"] - facts["pilots_before"]
    others = facts["comparators_after"] - facts["comparators_before"]
    return {
        "Right": pilots - others,
        "Comparators moved too": pilots,
        "other half": others,
        "gap afterwards": facts["pilots_after"] - facts["comparators_after"],
        "gap before": facts["pilots_before"] - facts["comparators_before"],
        "wrong sign": others - pilots,
        "added up": pilots + others,
    }


def test_the_check_says_right_wrong_and_nothing_yet(reveal: tuple[dict[str, Any], str]) -> None:
    check, gap = reveal[0]["check"], reveal[0]["exercise"]
    wrong = slips(gap)
    right = wrong.pop("Right")
    assert check(None, gap).startswith("No answer yet")
    assert check(right, gap).startswith("Right")
    for reason, answer in {**wrong, "subtract": 99.0}.items():
        said = check(answer, gap)
        assert said.startswith("Not yet"), answer
        assert reason in said
    assert "subtract" in check(float("nan"), gap)
    assert "subtract" in check(0, gap)
    assert check("−0.3", gap).startswith("A number is needed")
    assert check(True, gap).startswith("A number is needed")


def test_the_check_takes_answers_from_means_of_one_decimal(
    reveal: tuple[dict[str, Any], str],
) -> None:
    check, gap = reveal[0]["check"], reveal[0]["exercise"]
    rough = types.SimpleNamespace(
        facts={name: round(value, 1) for name, value in gap.facts.items()}
    )
    for reason, answer in slips(rough).items():
        for given in (answer, round(answer, 1)):
            assert reason in check(given, gap), (reason, given)
    right = slips(gap)["Right"]
    for error in (-0.149, 0.149):
        assert check(right + error, gap).startswith("Right")
    for error in (-0.151, 0.151):
        assert check(right + error, gap).startswith("Not yet")


def test_no_slip_can_pass_for_the_answer(reveal: tuple[dict[str, Any], str]) -> None:
    wrong = slips(reveal[0]["exercise"])
    right = wrong.pop("Right")
    assert min(abs(value - right) for value in wrong.values()) > 0.3  # twice the tolerance


def test_the_sum_is_folded_below_the_answer() -> None:
    text = notebook("02").read_text(encoding="utf-8")
    answer = text.index("my_answer = None")
    for sum_ in ("right = pilots - comparators", "class Folded"):
        before = text.index(sum_)
        assert before > answer
        assert text[:before].rsplit("# %%", 1)[1].startswith(FOLDED)
    jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed")
    hidden = [
        cell.source
        for cell in jupytext.read(notebook("02")).cells
        if cell.metadata.get("jupyter", {}).get("source_hidden")
    ]
    assert [source.split()[1].split("(")[0] for source in hidden] == ["check", "Folded:"]


def test_the_check_computes_its_answer(reveal: tuple[dict[str, Any], str]) -> None:
    check, other = reveal[0]["check"], reveal[0]["gaps"]["cla"]
    right = other["gap_after"]["estimate"] - other["gap_before"]["estimate"]
    assert check(right, other).startswith("Right")
    assert check(right, reveal[0]["exercise"]).startswith("Not yet")


def test_the_solution_is_folded_and_escaped(reveal: tuple[dict[str, Any], str]) -> None:
    folded = reveal[0]["Folded"]("<b>", "1 < 2")._repr_html_()
    assert folded == "<details><summary>&lt;b&gt;</summary><p>1 &lt; 2</p></details>"


@pytest.mark.slow
def test_forty_worlds_say_what_the_prose_says(tmp_path: Path) -> None:
    names, _ = run(code(notebook("02")), "reveal", tmp_path)
    worlds, claims = names["worlds"], names["claims"]
    assert worlds["seed"].nunique() == 40
    naive = worlds.loc[worlds["way"] == "gap afterwards", "estimate"]
    did = worlds.loc[worlds["way"] == "DiD", "estimate"]
    assert (naive < 0).sum() >= 38  # "off in the same direction nearly every time"
    assert claims["gap afterwards"] > 20
    assert claims["DiD"] <= 5  # 2 expected
    assert abs(did.mean()) < 2 * did.std() / np.sqrt(len(did))  # "scatters around the truth"


# -- 03: whom to compare ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compare(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    return run(code(notebook("03")), "compare", tmp_path_factory.mktemp("compare"))


def test_who_serves_whom_is_counted_as_the_lists_have_it(
    compare: tuple[dict[str, Any], str],
) -> None:
    names, said = compare
    lists, pilots = names["neighbours"].table, set(names["design"].pilots)
    mine = lists[lists["unit"].isin(pilots)]
    others = mine[~mine["neighbour"].isin(pilots)]["neighbour"].value_counts()
    assert len(mine) == 100  # "ten lists of ten are a hundred places"
    assert f"{len(mine) - others.sum()} of them taken by pilots" in said
    assert f"{len(others)} different comparators are left" in said
    assert f"{(others > 1).sum()} serve two pilots or more" in said
    assert f"serves {others.max()}." in said
    assert names["top"]["unit"] == others.idxmax()
    # "all pilots are compared with the same mean": each once
    assert (names["design"].reuse()["weight"] == names["once"]).all()
    assert names["top"]["weight"] > 2 * names["once"]  # "counts several times"


def test_the_balance_is_described_as_it_is(compare: tuple[dict[str, Any], str]) -> None:
    names, said = compare
    assert len(names["measures"]) == 12  # "twelve measures"
    assert set(names["measures"].loc[names["closer"], "metric"]) == {"cla"}  # "Only in those of"
    assert names["closer"].sum() == 3
    assert "in 3 of 12" in said
    assert names["beyond"].any()


def test_other_comparators_agree_and_are_off_together(
    compare: tuple[dict[str, Any], str],
) -> None:
    names, said = compare
    moved, truth = names["moved"], names["evaluation"].truth
    assert len(moved) == 7  # "all seven"
    assert moved["estimate"].notna().all()
    assert (moved["estimate"] < -5).all()  # "off on the same side"
    assert np.ptp(moved["estimate"]) < 2 < np.ptp(moved["gap_before"])  # "the estimate much less"
    assert 0 < names["missed"].sum() < 7  # "whether zero is inside depends on the row"
    assert f"{names['missed'].sum()} of 7 intervals miss it" in said
    assert {names["rows"][label]["truth"] for label in names["rows"]} == set(truth.values()) == {0}
    (everybody,) = moved.loc[moved["choice"] == "every other authority", "comparators"]
    assert everybody > 130  # "which chance hardly moves"


def test_matching_on_the_last_year_looks_fairer_and_the_study_says_what_it_does(
    compare: tuple[dict[str, Any], str],
) -> None:
    names, _ = compare
    before, after = (names["balanced"][how].abs() for how in ("one pool", "matched on 2017"))
    assert after["last"] < 0.02  # "nothing is left of the difference"
    assert (after < before).all()  # "level and slope are nearer too"
    bias, ways, chosen = names["bias"].abs(), names["WAYS"], names["CHOSEN"]
    assert (bias.max(axis=1) > 0.1).all()  # "no row is near nought in every column"
    matched, did = bias.loc[ways["matched_last"]], bias.loc[ways["did"]]
    latest, average, permanent = (chosen[k] for k in ("latest_value", "average", "permanent"))
    assert matched[latest] < 0.5 * did[latest]  # "removes most of the bias"
    assert matched[average] > 0.95 * did[average]  # "none of it"
    longer = bias.loc[ways["matched_mean"], permanent]
    assert did[permanent] < 0.01 < 0.03 < matched[permanent] < longer  # "a larger one there"
    error = names["study"].set_index(["selection", "estimator"])["mc_error"]
    assert matched[permanent] > 3 * error["permanent", "matched_last"]


def test_another_selection_is_advised_otherwise(compare: tuple[dict[str, Any], str]) -> None:
    names, said = compare
    design = names["design"]
    assert design.selection == "average"  # "chosen for their average over years"
    assert "selection='average'" in said
    told = dk.Design(
        design.panel,
        design.rollout,
        against=design.against,
        selection="latest_value",
        periods=(design.periods[0], design.periods[-1]),
    )
    finding = dk.DiD().fit(told, "cpp").infer(None).check(dk.RegressionToTheMean())
    advice = [one.headline.rsplit("smallest for ", 1)[1] for one in (names["regression"], finding)]
    assert advice[0] != advice[1]


def test_what_limits_the_power_is_the_pilots(compare: tuple[dict[str, Any], str]) -> None:
    names, said = compare
    now = names["expected"].facts["detectable"]
    pilots, others = (one.facts["detectable"] for one in names["twice"].values())
    assert pilots < 0.75 * now
    assert now > others > 0.95 * now  # "hardly help"
    assert f"{pilots:.1f} per 10,000" in said
    before = [period for period in names["design"].periods if period < "2018"]
    level = names["panel"].wide("cpp").loc[list(names["design"].comparators), before]
    assert level.mean().mean() == pytest.approx(48, abs=2)  # "near fifty"
    assert names["planned"]["power"]["before"] == len(before)


def test_the_lines_of_the_plan_are_read_as_a_plan(
    compare: tuple[dict[str, Any], str], tmp_path: Path
) -> None:
    from didkit.report.plan_template import write_template

    names, said = compare
    assert names["LINES"] in said
    file = write_template(tmp_path)
    text = file.read_text(encoding="utf-8")
    for first, last in (
        ("[comparators]", "[comparators.exclude]"),
        ("[[sensitivity]]", "[multiplicity]"),
    ):
        head, rest = text.split(f"\n{first}", 1)
        text = f"{head}\n{last}" + rest.split(f"\n{last}", 1)[1]
    file.write_text(text + "\n" + names["LINES"], encoding="utf-8")
    plan = dk.Plan.read(file)
    assert plan.comparators.against == "union"
    alternatives = {one.name: one for one in plan.sensitivity}
    assert list(alternatives) == ["closest five of each list", "every other authority"]
    noise = plan.power.assumed["cpp"]
    spread = names["spread"]
    assert noise.sd == pytest.approx((spread.between**2 + spread.within**2) ** 0.5, abs=0.05)
    assert noise.icc == pytest.approx(spread.icc, abs=0.005)
    assert noise.ar1 == pytest.approx(spread.ar1, abs=0.005)


def test_the_third_runs_through_with_predictions(tmp_path: Path) -> None:
    source = code(notebook("03"), until="## 3. Other")
    for name, value in (("comparators", 90), ("busiest", 2), ("nearer", 10)):
        assert f"\n{name} = None" in source
        source = source.replace(f"\n{name} = None", f"\n{name} = {value}")
    _, said = run(source, "predicted", tmp_path)
    assert "You said 90 comparators: 26 off." in said
    assert "You said 2 lists: 2 off." in said
    assert "You said 10." in said


# -- 04: how sure ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sure(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    source = code(notebook("04"))
    for many, few in (("(3, 60, 150)", "(3, 60, 60)"), ("seeds=60", "seeds=30")):
        assert many in source
        source = source.replace(many, few)
    return run(source, "sure", tmp_path_factory.mktemp("beside"))


def test_the_dozen_rows_are_what_the_prose_says(sure: tuple[dict[str, Any], str]) -> None:
    names, said = sure
    table = names["table"].set_index("method")
    assert len(table) == 12  # "a dozen"
    assert {names["nine"].starts[u] for u in names["nine"].pilots} == {"2018"}
    assert len(names["nine"].pilots) == 9 == int(names["did"].terms["n_pilots"].iloc[0])
    assert table["estimate"].nunique() == 1  # "the same data, the same estimate"
    leave_out = names["leave_out"]
    assert 0 < leave_out.sum() < 12  # "it matters which method is asked"
    assert table["p_value"].min() == pytest.approx(0.01, abs=0.005)  # "p = .01 or p = .06"
    assert table["p_value"].max() == pytest.approx(0.06, abs=0.005)
    assert not leave_out.iloc[0]  # the recommended one
    assert f"{leave_out.sum()} of 12 intervals leave zero out" in said
    # the shortest two are those that leave the error of the comparators' mean out, and say so
    width = (table["conf_high"] - table["conf_low"]).sort_values()
    shortest = sorted(name.split(",")[0] for name in width.index[:2])
    assert shortest == ["Conley–Taber", "Ferman–Pinto"]
    assert "the error of the comparators' mean is left out" in said
    assert names["ends"][0] < 1 < names["ratio"] * 2 < 2.5
    assert names["ends"][1] / names["ends"][0] > 2.5  # "do not let one see far"


def test_the_small_studies_say_what_the_prose_says(sure: tuple[dict[str, Any], str]) -> None:
    names, _ = sure
    rejects = names["noisier"].table.set_index("method")["rejects"]
    assert rejects["permutation of the estimate"] > 0.15 > rejects["permutation of t"]
    assert rejects["Conley–Taber"] > 0.15
    widths = names["three"].table.set_index("method")["half_width"]
    assert widths["CR1"] < widths["permutation of t"]
    assert widths["CR1"] < 0.6 * widths["CR2"]
    freedom = names["freedom"]["df"]
    assert freedom[0] == 62  # "as if all sixty-three did"
    assert freedom[1] == pytest.approx(2, abs=0.5)  # "about two"


def test_one_pilot_is_what_the_prose_says(sure: tuple[dict[str, Any], str]) -> None:
    names, said = sure
    assert "no cluster-robust variance exists" in said
    singles, missed = names["singles"], names["missed"]
    assert len(singles) == 9
    assert 0 < missed.sum() < 4
    assert missed.iloc[0]  # the first, which is looked at closely
    ratio, at = singles["Lau–Li ratio"].iloc[0], names["at_ratio"]
    for one, row in at.items():  # zero is outside below the breakdown ratio
        assert (row["conf_high"] < 0) == (one < ratio), one
    assert (singles["Lau–Li ratio"] == 0).any()  # "0 says that it is inside whatever the noise"
    alike = singles["Lau–Li ratio"] > 1  # … which is what p at ratio 1 says
    lau_li = [names["alone"](p).infer(dk.LauLi())["att"]["p_value"] for p in names["nine"].pilots]
    assert list(alike) == [p < 0.05 for p in lau_li]
    facts = names["breakdown"].facts
    assert "the fitted variance does not fall with size" in said
    sized = names["with_sizes"]["att"]
    taber = names["one"].infer(dk.ConleyTaber())["att"]
    assert sized["p_value"] == taber["p_value"]  # "is Conley–Taber's test"
    shocks = names["breakdown"].tidy().query("question == 'shock of one site'")
    assert shocks["in_sds"].abs().item() < 1, facts  # "within the grey band"


def test_two_against_two_and_several_measures(sure: tuple[dict[str, Any], str]) -> None:
    names, said = sure
    assert "6 choices of two out of four; the least p is 0.333." in said
    assert names["contrast"].facts["least_p"] == pytest.approx(1 / 3)
    adjusted = names["adjusted"].set_index("metric")
    assert len(adjusted) == 4
    assert (adjusted["romano-wolf"] <= adjusted["holm"]).all()
    assert adjusted.loc["cin", "band_high"] < 0  # "even the wide band leaves it out"
    others = adjusted.drop(index="cin")
    assert ((others["band_low"] < 0) & (others["band_high"] > 0)).all()


def test_the_sums_of_the_fourth_are_checked(sure: tuple[dict[str, Any], str]) -> None:
    names, said = sure
    assert "1. No answer yet" in said
    assert "2. No answer yet" in said
    many, least = names["check_comparators"], names["check_least"]
    assert "Right" in many(19)
    assert "place of its own" in many(20)
    assert "1/19" in many(18)
    assert "1/100" in many(99)
    for wrong in ("nineteen", True, -1, 2.5, float("nan"), float("inf")):
        assert "whole number" in many(wrong)
    assert "Right" in least(0.1)
    assert "Right" in least(2 / 20)
    assert "mirror" in least(0.05)
    assert "Not yet" in least(1 / 3)
    assert "number is needed" in least("0.1")
    assert names["least_p"](4, 4) < 0.05 < names["least_p"](3, 3)
    assert names["least_p"](1, 19) <= 0.05 < names["least_p"](1, 18)


def test_the_fourth_runs_through_with_predictions(tmp_path: Path) -> None:
    source = code(notebook("04"), until="## 2. Why")
    assert "\noutside = None" in source
    _, said = run(source.replace("\noutside = None", "\noutside = 3"), "predicted", tmp_path)
    assert "You said 3." in said


# -- the fifth: different starts -------------------------------------------------------------------


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    return run(code(notebook("05")), "starts", tmp_path_factory.mktemp("beside"))


def test_one_regression_mixes_as_the_prose_says(starts: tuple[dict[str, Any], str]) -> None:
    names, said = starts
    truth = names["drawn"].truth["att"]
    assert truth < names["told"]["conf_low"]  # "nearer to zero", "leaves the truth out"
    assert names["told"]["conf_high"] < 0
    assert f"{names['negative']} of 270 treated cells have a negative weight" in said
    earliest, *later = names["by_start"].to_numpy()
    assert (earliest[-3:] < 0).all()  # "of the earliest start become negative in late periods"
    assert all((row[np.isfinite(row)] > 0).all() for row in later)
    table = names["table"]["holds the truth"]
    assert not table["two-way"]
    assert table.drop("two-way").all()


def test_the_two_way_event_study_is_off_before_the_start_too(
    starts: tuple[dict[str, Any], str],
) -> None:
    names, _ = starts
    paths = names["paths"]["two-way event study"]
    before = paths.loc[:-1].to_numpy()
    assert (np.diff(before) < 0).all()  # "a trend that is not in the data"
    assert before[0] > 1
    off = names["off"].max()
    assert off.drop("two-way event study").max() < 0.1 < 1 < off["two-way event study"]
    assert names["truth"].loc[2:].nunique() == 1  # "level from the third treated period on"


def test_averages_and_the_evaluation_are_what_the_prose_says(
    starts: tuple[dict[str, Any], str],
) -> None:
    names, _ = starts
    averages = names["averages"]
    assert abs(averages["starts"]) < abs(averages["treated cells"])  # "leans towards early starts"
    assert names["spread"] < names["typical"]
    first = names["admits"].iloc[0]
    assert (first["estimator"], first["role"]) == ("Switching", "recommended")


def test_the_fifth_runs_through_with_predictions(tmp_path: Path) -> None:
    source = code(notebook("05"))
    for name, value in (("predicted", -1.8), ("how_many", 10), ("larger", True), ("moves", True)):
        assert f"\n{name} = None" in source
        source = source.replace(f"\n{name} = None", f"\n{name} = {value}")
    _, said = run(source, "starts", tmp_path)
    assert "You said -1.80." in said
    assert "You said 10." in said
    assert "Smaller." in said
    assert "You said yes." in said


# -- the sixth: try to break it --------------------------------------------------------------------


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    return run(code(notebook("06")), "attacked", tmp_path_factory.mktemp("beside"))


def test_leaving_out_says_what_the_prose_says(attacked: tuple[dict[str, Any], str]) -> None:
    names, said = attacked
    assert dk.datasets.load_evaluation().truth["cin"] == 0
    assert names["answer"]["conf_high"] < -10  # "leaves zero out, by far"
    assert len(names["design"].pilots) == 9
    assert set(names["design"].starts.values()) == {"2018"}
    assert names["one_out"].facts["highest"] < -30  # the sign stays
    assert names["removal"].facts["of"] == 73  # "of the 73 authorities"
    assert names["removal"].facts["size"] > 3  # "So it stands?"
    assert len(names["same_sign"]) == 20
    assert 0.5 < np.mean(names["same_sign"]) < 0.9  # "what one finds mostly, effect or none"
    assert f"It cannot show: {names['one_out'].cannot_show}." in said


def test_the_years_before_say_what_the_prose_says(attacked: tuple[dict[str, Any], str]) -> None:
    names, _ = attacked
    assert names["before"].facts["p_value"] > 0.5
    assert 1.1 < abs(names["missed"].facts["times_50"]) < 1.5  # "all of the answer, and more"
    assert names["missed"].facts["estimate"] == pytest.approx(names["answer"]["estimate"], rel=0.01)
    low, high = names["adjusted"].alternatives
    width = names["answer"]["conf_high"] - names["answer"]["conf_low"]
    assert low < 0 < high
    assert high - low > 3 * width  # "several times as wide"
    assert names["jumps"].facts["breakdown"] == 0  # "At M = 0 already"
    assert len([p for p in names["design"].periods if p < "2018"]) == 5  # "the mean of five"
    effects = names["true_effects"]
    assert (effects["conf_high"] < 0).all()  # "all three intervals leave zero out"
    broken = effects["zero enters at M"].to_numpy()
    assert (np.diff(broken) > 0.5).all()
    assert 3 * broken[0] < broken[-1]  # "by far smaller jumps"


def test_the_flagged_pilot_is_the_one_that_misrecorded(
    attacked: tuple[dict[str, Any], str],
) -> None:
    from didkit.simulate import EvaluationProcess, draw, evaluation_panel

    names, _ = attacked
    drawn = draw(EvaluationProcess(), seed=dk.datasets.load_evaluation().seed)
    assert names["without"]["left_out"] == names["panel"].name_of(drawn.broken)
    assert names["without"]["estimate"] < names["answer"]["estimate"] < 0  # "farther"
    own = evaluation_panel(drawn).wide("cin").loc[drawn.broken]
    after = own.index >= "2018"
    assert own[after].mean() > own[~after & (own.index >= "2013")].mean()  # "its number rose"


def test_the_curve_and_the_table_are_what_the_prose_says(
    attacked: tuple[dict[str, Any], str],
) -> None:
    names, _ = attacked
    facts = names["curve"].facts
    assert facts["below_zero"] == facts["n"] > 10  # "All of them"
    assert facts["p_median"] < 0.05  # "the joint test finds it rare"
    table = names["together"].table.set_index("check")
    left_out = [name for name in table.index if name.startswith("Leave")]
    assert len(left_out) == 3  # "three against two"
    assert (table.loc[left_out, "high"] < 0).all()
    trends = table.loc[["TrendAdjusted", "Sensitivity"]]
    assert (trends["low"] < 0).all()
    assert (trends["high"] > 0).all()
    share = names["together"].parts["PlaceboPilots"].facts["share_as_large"]
    assert 0 < share < 0.05  # "seldom as far from zero, but they are"
    assert (table["refused"] == "").all()


def test_the_sum_of_the_sixth_is_checked(attacked: tuple[dict[str, Any], str]) -> None:
    names, said = attacked
    check, breaks_at = names["check_times"], names["breaks_at"]
    assert "No answer yet" in said
    assert breaks_at(-4.0, 2.0) == pytest.approx(4 / (2 * 2), abs=0.001)
    assert breaks_at(-4.0, 1.0) == pytest.approx(2, abs=0.002)
    assert "Right" in check(1)
    assert "Right" in check(1.0)
    assert len({check(slip) for slip in names["SLIPS"]}) == 5
    words = {
        2: "on top", 1.75: "enter the interval", 3.5: "add up", 2.5: "far end", 0.667: "third year",
        9: "how far can",
    }  # fmt: skip
    for slip, word in words.items():
        assert word in check(slip)
        assert "Right" not in check(slip)
    for wrong in ("one", True, [1]):
        assert "A number is needed" in check(wrong)
    assert "Not yet" in check(float("nan"))


def test_the_sixth_runs_through_with_predictions(tmp_path: Path) -> None:
    source = code(notebook("06"), until="## 3. How far").replace("range(20)", "range(2)")
    for name, value in (("nearest", -20), ("how_few", 2), ("stays", 0.1), ("share", 0.25)):
        assert f"\n{name} = None" in source
        source = source.replace(f"\n{name} = None", f"\n{name} = {value}")
    _, said = run(source, "predicted", tmp_path)
    assert "You said -20.0: 22.4 off." in said
    assert "You said 2." in said
    assert "You said 10%." in said
    assert "You said 25%; it is 129%." in said
