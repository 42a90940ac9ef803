"""``[specifications]``: read, refused with its line, frozen, run, and said to be pre-specified."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report.test_plan import SMALL, write_rates

import didkit as dk
from didkit.errors import PlanError
from didkit.report import Plan, evaluate, protocol_table
from didkit.report.plan_file import Section

FEW = """
[inference]
method = "cluster_robust"
[checks]
LeaveOneOut = {comparators = "kept"}
"""
OTHERS = """
[[sensitivity]]
name = "some"
[sensitivity.comparators]
against = "pool"
units = ["307", "310", "313", "316", "319", "322"]
[[sensitivity]]
name = "later"
start = 2015
[[sensitivity]]
name = "some, later"
start = 2015
[sensitivity.comparators]
against = "pool"
units = ["307", "310", "313", "316"]
"""
CURVE = """
[specifications]
comparators = ["every other", "some"]
estimators = ["GroupTime"]
cells = ["complete"]
draws = 99
seed = 3
[specifications.windows]
"from 2012" = [2012, 2016]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_rates(tmp_path / "data")
    return tmp_path


def plan(home: Path, more: str) -> Plan:
    path = home / "plan.toml"
    path.write_text(SMALL + FEW + OTHERS + more, encoding="utf-8")
    return Plan.read(path)


def bare(home: Path, specifications: str) -> Plan:
    return plan(home, "[specifications]\n" + specifications + "\n")


def test_the_curve_of_a_plan_is_the_one_made_by_hand(home: Path) -> None:
    made = evaluate(plan(home, CURVE))
    found = made["cla"].findings["SpecificationCurve"]
    design = made.design
    units = ["307", "310", "313", "316", "319", "322"]
    by_hand = dk.SpecificationCurve(
        comparators={"every other": dk.Pool(), "some": dk.Pool(units)},
        estimators={"GroupTime": dk.GroupTime()},
        cells=["complete"],
        windows={"from 2012": (2012, 2016)},
        draws=99,
        seed=3,
    )
    estimate = dk.DiD().fit(design, "cla").infer(dk.ClusterRobust())
    alone = estimate.check(by_hand)
    assert len(alone.table) == 2 * 3 * 2 * 2
    pd.testing.assert_frame_equal(found.table, alone.table)
    assert found.facts == alone.facts
    assert alone.facts["n"] > 3


def test_the_report_shows_headline_picture_table_and_when_it_was_named(home: Path) -> None:
    file = plan(home, CURVE)
    file.freeze()
    made = evaluate(file)
    record = made.record
    assert record is not None
    assert [one.what for one in record.deviations] == []
    assert record.specified.startswith(f"Pre-specified: the choices are those of the plan frozen on {record.frozen_on}")  # fmt: skip  # noqa: E501
    found = made["cla"].findings["SpecificationCurve"]
    assert found.notes[0] == record.specified
    done = protocol_table(made).set_index("item").loc["Specification curve: Children looked after"]
    assert done["planned"].startswith("24 combinations, each choice beside the plan's own")
    assert "windows: from 2012 (2012 to 2016)" in done["planned"]
    assert done["done"] == f"{record.specified}. {found.headline}"
    before = dict(file.protocol()[["item", "planned"]].to_numpy())
    assert before["Specification curve"] == done["planned"]
    (picture,) = [one for one in made.pictures() if one.kind == "specification_curve"]
    assert len(picture.data) >= found.facts["n"]
    page, words = made.to_html(), made.to_markdown()
    for text in (page, words):
        assert found.headline.split(";")[0] in text
        assert "Pre-specified: the choices are those of the plan frozen on" in text
        assert "Every choice crossed" in text


def test_a_changed_choice_deviates_and_a_new_section_is_one_deviation(home: Path) -> None:
    plan(home, CURVE).freeze()
    changed = plan(
        home,
        CURVE.replace("seed = 3", "seed = 4").replace('["complete"]', '["complete", "observed"]'),
    )
    assert {(one.what, one.planned, one.found) for one in changed.deviations()} == {
        ("plan: specifications.seed", "3", "4"),
        ("plan: specifications.cells", "complete", "complete, observed"),
    }
    record = evaluate(changed).record
    assert record is not None
    assert record.specified.startswith("Not as pre-specified")
    (gone,) = plan(home, "").deviations()
    assert (gone.what, gone.found) == ("plan: specifications", "nothing")
    assert "draws 99" in gone.planned
    plan(home, "").freeze(replace=True)
    come = [one for one in plan(home, CURVE).deviations() if one.what != "the frozen plan"]
    assert [(one.what, one.planned) for one in come] == [("plan: specifications", "nothing")]


def test_without_the_section_nothing_is_run_and_the_content_is_as_it_was(home: Path) -> None:
    file = plan(home, "")
    assert not [key for key in file.content() if key.startswith("specifications")]
    assert "SpecificationCurve" not in file.named_checks
    made = evaluate(file)
    assert set(made["cla"].findings) == {"LeaveOneOut", "DetectableEffect"}
    assert not protocol_table(made)["item"].str.startswith("Specification").any()


def test_not_frozen_is_said(home: Path) -> None:
    record = evaluate(bare(home, 'cells = ["complete"]\ndraws = 19')).record
    assert record is not None
    assert record.specified == "Named in the plan, which was not frozen before this run"


@pytest.mark.parametrize(
    ("written", "needed", "found", "todo"),
    [
        ("", "choices to cross", "none", "GroupTime"),
        ("draws = 99", "choices to cross", "none", "GroupTime"),
        ('estimatrs = ["DiD"]', "a key of [specifications]", "'estimatrs'", "estimators"),
        ('estimators = ["GroupTim"]', "an estimator", "'GroupTim'", 'Write "GroupTime"'),
        ('estimators = ["DiD whole"]', "an estimator", "'DiD whole'", "DiD complete"),
        ('estimators = "DiD"', "an array", "'DiD'", '["DiD"]'),
        ('inferences = ["permutations"]', "an inference", "'permutations'", '"permutation"'),
        ('inferences = ["CR4"]', "an inference", "'CR4'", "CR"),
        ('forms = ["logs"]', "one of: level, log, rank", "'logs'", '"log"'),
        ('forms = ["log"]', "standardise = true", "standardise = false", "standard deviations"),
        ('forms = ["level"]', "choices to cross", "none", "GroupTime"),
        ('cells = ["observed"]', "choices to cross", "none", "GroupTime"),
        ('cells = ["whole"]', "one of: observed, complete", "'whole'", "observed"),
        ("windows = [[2012, 2016]]", "a table", "array", "specifications.windows"),
        ('windows = {"short" = [2012]}', "the first and the last period", "2012", "[2015, 2019]"),
        ('windows = {"as designed" = [2012, 2016]}', "the name of a choice", "as designed", "call"),
        ('pilots = {"less" = ["307"]}', "pilots to leave out", "'307', which is no pilot", "304"),
        ('pilots = {"less" = []}', "pilots to leave out", "an array", "926"),
        ('pilots = {"none" = ["301", "304"]}', "at least one pilot", "all of them", "fewer"),
        ('comparators = ["som"]', "changes its comparators", "'som', which is none", "some"),
        ('comparators = ["later"]', "changes its comparators", "plan's own", "choose|mean"),
        ('comparators = ["some, later"]', "nothing else", "more than that", "some"),
        ('cells = ["complete"]\nmetrics = ["cpp"]', "primary or secondary", "'cpp'", "cla"),
        ('cells = ["complete"]\ndraws = 0', "at least 1", "0", "draws = 999"),
        ('cells = ["complete"]\nseed = 1.5', "whole number", "1.5", "seed = 0"),
        ('cells = ["complete"]\nstandardise = 1', "true or false", "1", "standardise = true"),
        ('cells = ["complete"]\njobs = 2', "a key of", "'jobs'", ""),
    ],
)
def test_mistakes_name_their_line(
    home: Path, written: str, needed: str, found: str, todo: str
) -> None:
    with pytest.raises(PlanError) as caught:
        bare(home, written)
    error = caught.value
    assert any(one in error.needed for one in needed.split("|"))
    assert found in error.found
    assert any(one in error.todo for one in todo.split("|"))
    first = (SMALL + FEW + OTHERS).count("\n") + 1
    lines = range(first, first + 2 + written.count("\n"))
    assert any(f"line {line} (specifications" in error.where for line in lines)


def test_several_mistakes_are_told_of_at_once(home: Path) -> None:
    with pytest.raises(PlanError, match="3 mistakes"):
        bare(home, 'cells = ["whole"]\nestimators = ["GroupTim"]\ndraws = "many"')


def test_too_many_are_refused(home: Path) -> None:
    windows = "".join(f'w{n} = ["2012", "2016"]\n' for n in range(1300))
    more = '[specifications]\nestimators = ["GroupTime"]\ncells = ["complete"]\n'
    with pytest.raises(PlanError, match="at most 5,000 specifications") as caught:
        plan(home, f"{more}[specifications.windows]\n{windows}")
    assert caught.value.found == f"{1301 * 4:,}"


def test_a_period_that_the_data_do_not_hold_has_its_line(home: Path) -> None:
    file = bare(home, 'windows = {"early" = [2001, 2016]}')
    with pytest.raises(PlanError, match=r"specifications\.windows\.early") as caught:
        file.design()
    assert "2011" in caught.value.todo


def test_a_refused_curve_is_a_deviation(home: Path) -> None:
    """There is nothing to standardise by where all are alike before the start."""
    rows = [
        f"{301 + 3 * j},{2011 + t},{100 + (j * j * t) % 7 if t > 2 else 100}"
        for j in range(16)
        for t in range(6)
    ]
    data = home / "data" / "rates.csv"
    data.write_text("la,year,rate\n" + "\n".join(rows), encoding="utf-8")
    file = bare(home, 'cells = ["complete"]\ndraws = 19\nstandardise = true')
    file.freeze()
    made = evaluate(file)
    assert made.record is not None
    (found,) = (one for one in made.record.deviations if "Curve" in one.what)
    assert (found.what, found.planned) == ("SpecificationCurve of cla", "made")
    assert "units that differ before the start" in found.found
    row = protocol_table(made).set_index("item").loc["Specification curve: Children looked after"]
    assert "refused: needed units that differ" in row["done"]


def test_without_a_pilot_its_choices_go_too(home: Path) -> None:
    file = bare(home, 'pilots = {"less" = ["301"], "other" = ["304"]}')
    assert dict(file.without_pilot("301").specifications.pilots) == {"other": ("304",)}


# -- options that came later -------------------------------------------------------------------


def frozen_without(home: Path, file: Plan, *lines: str, add: str = "") -> None:
    """Freeze, as a didkit would have that did not know some options yet: seal and digest too."""
    from didkit.report import plan_freeze
    from didkit.report.plan_content import digest_of
    from didkit.report.plan_file import read_toml

    path = file.freeze()
    raw: dict[str, Any] = dict(read_toml(path).raw)
    for line in lines:
        assert line in raw["plan"]
    raw["plan"] = {key: one for key, one in raw["plan"].items() if key not in lines}
    if add:
        raw["plan"][add] = True
    raw["plan_sha256"] = digest_of(raw["plan"])
    del raw["seal"]
    raw = {"seal": plan_freeze._seal(raw), **raw}
    path.write_text(plan_freeze._toml(raw), encoding="utf-8")


def test_an_option_that_came_later_is_no_deviation_at_its_default(home: Path) -> None:
    file = plan(home, CURVE)
    lines = ("checks.LeaveOneOut.by", "inference.factor", "specifications.standardise")
    frozen_without(home, file, *[line for line in lines if line in file.content()])
    assert "checks.LeaveOneOut.by" in file.content()
    assert file.deviations() == ()
    text = file.source.read_text(encoding="utf-8")
    file.source.write_text(text.replace('"kept"}', '"kept", by = "region"}'), encoding="utf-8")
    assert Plan.read(file.source).deviations() == ()  # named at its default, or not named


def test_an_option_that_came_later_deviates_where_it_is_not_at_its_default(home: Path) -> None:
    file = plan(home, "")
    frozen_without(home, file, "checks.LeaveOneOut.by")
    text = file.source.read_text(encoding="utf-8")
    file.source.write_text(
        text.replace('"kept"}', '"kept", units = "regions", by = "type"}'), "utf-8"
    )
    found = {(one.what, one.planned, one.found) for one in Plan.read(file.source).deviations()}
    assert found == {
        ("plan: checks.LeaveOneOut.units", "pilots", "regions"),
        ("plan: checks.LeaveOneOut.by", "nothing", "type"),
    }


def test_a_check_that_had_no_options_is_as_it_was(home: Path) -> None:
    file = plan(home, "")
    keys = [key for key in file.content() if key.startswith("checks.LeaveOneOut.")]
    frozen_without(home, file, *keys, add="checks.LeaveOneOut")
    assert file.deviations() == ()


def test_a_check_that_was_added_at_its_defaults_is_a_deviation(home: Path) -> None:
    file = plan(home, "")
    file.freeze()
    text = file.source.read_text(encoding="utf-8")
    file.source.write_text(text.replace("LeaveOneOut", "LeaveTwoOut = true\nLeaveOneOut"), "utf-8")
    found = [one.what for one in Plan.read(file.source).deviations()]
    assert found
    assert all(what.startswith("plan: checks.LeaveTwoOut") for what in found)


def test_a_default_that_changed_since_is_seen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = plan(home, "")
    file.freeze()
    text = file.source.read_text(encoding="utf-8").replace('{comparators = "kept"}', "true")
    file.source.write_text(text.replace("\n[checks]", "\n[checks]\nPlaceboStart = false"), "utf-8")
    assert Plan.read(file.source).deviations() == ()
    field = dk.LeaveOneOut.__dataclass_fields__["comparators"]
    monkeypatch.setattr(field, "default", "rebuilt")
    (found,) = (
        one
        for one in _with(Plan.read(file.source), comparators="rebuilt").deviations()
        if one.what != "digest of the plan"
    )
    assert (found.planned, found.found) == ("kept", "rebuilt")


def _with(file: Plan, **options: Any) -> Plan:
    """Return the plan as another default would have made it."""
    checks = tuple(
        dataclasses.replace(one, **options) if isinstance(one, dk.LeaveOneOut) else one
        for one in file.checks
    )
    return dataclasses.replace(file, checks=checks)


def test_a_digest_that_is_not_that_of_its_content_is_told(home: Path) -> None:
    file = plan(home, "")
    path = file.freeze()
    path.write_text(path.read_text("utf-8").replace(file.digest, "0" * 64), "utf-8")
    what = [one.what for one in file.deviations()]
    assert what == ["the frozen plan plan.frozen.toml", "digest of the plan"]


def test_a_section_asks_for_its_own_keys_only() -> None:
    from didkit.report.plan_specifications import Specifications, specifications

    section = Section({}, "plan.toml", {})
    assert specifications(section, named=False) == Specifications()
    assert not section.problems
