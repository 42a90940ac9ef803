"""A frozen plan shows every change: of a key, a file, a value, a pilot, of itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from report.test_plan import SMALL, write_rates

import didkit as dk
from didkit.errors import PlanError
from didkit.report import Deviation, Plan, deviation_table, evaluate, protocol_table
from didkit.report.multiplicity import adjust

QUICK = """
[inference]
method = "cluster_robust"
[checks]
LeaveOneOut = true
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_rates(tmp_path / "data")
    file = tmp_path / "plan.toml"
    file.write_text(SMALL + QUICK, encoding="utf-8")
    return file


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def found(path: Path) -> dict[str, tuple[str, str]]:
    return {one.what: (one.planned, one.found) for one in Plan.read(path).deviations()}


# -- frozen ------------------------------------------------------------------------------------


def test_frozen_as_it_is_nothing_deviates(path: Path) -> None:
    plan = Plan.read(path)
    written = plan.freeze()
    assert written == path.with_name("plan.frozen.toml")
    assert plan.deviations() == ()
    frozen = tomllib.loads(written.read_text(encoding="utf-8"))
    assert frozen["plan"] == plan.content()
    assert frozen["plan_sha256"] == plan.digest
    assert frozen["resolved"]["starts"] == {"301": "2014", "304": "2014"}
    assert len(frozen["resolved"]["comparators"]) == 13
    data = (path.parent / "data" / "rates.csv").read_bytes()
    assert frozen["files"][0]["size"] == len(data)
    assert frozen["files"][0]["path"] == "rates.csv"


def test_other_line_ends_of_a_frozen_plan_are_no_deviation(path: Path) -> None:
    written = Plan.read(path).freeze()
    written.write_bytes(written.read_bytes().replace(b"\n", b"\r\n"))
    assert found(path) == {}


def test_text_that_toml_must_escape_survives(path: Path) -> None:
    edit(path, '"A pilot"', r'"A \"pilot\" \\ <b> \u007f \t é"')
    Plan.read(path).freeze()
    assert found(path) == {}


def test_not_frozen_is_a_deviation(path: Path) -> None:
    assert found(path) == {
        "the plan": ("frozen before the run", "the plan was not frozen before this run")
    }


def test_a_frozen_plan_is_replaced_by_name_only(path: Path) -> None:
    plan = Plan.read(path)
    written = plan.freeze()
    before = written.read_bytes()
    with pytest.raises(PlanError, match="not frozen yet") as caught:
        plan.freeze()
    assert "replace=True" in caught.value.todo
    assert written.read_bytes() == before
    edit(path, "304 = 2014", "304 = 2015")
    first = tomllib.loads(before.decode("utf-8"))["frozen"]
    Plan.read(path).freeze(replace=True)
    assert found(path) == {
        "the frozen plan": ("frozen once", f"replaced; frozen before on {first}")
    }


def test_before_the_data(path: Path) -> None:
    data = path.parent / "data" / "rates.csv"
    held = data.read_bytes()
    data.unlink()
    plan = Plan.read(path)
    with pytest.raises(PlanError, match=r"line 9"):
        plan.freeze()
    assert not plan.frozen_path.exists()
    plan.freeze(before_data=True)
    data.write_bytes(held)
    assert found(path) == {}
    edit(path, "last = 2016", "last = 2015")
    assert found(path) == {"plan: window.last": ("2016", "2015")}


# -- each change is found -----------------------------------------------------------------------


def test_a_changed_plan(path: Path) -> None:
    Plan.read(path).freeze()
    edit(path, "304 = 2014", "304 = 2015")
    edit(path, 'title = "A pilot"', 'title = "Another"')
    edit(path, '346 = "tiny"', '343 = "tiny"')
    changes = found(path)
    assert changes["plan: pilots.starts.304"] == ("2014", "2015")
    assert changes["plan: title"] == ("A pilot", "Another")
    assert changes["plan: comparators.exclude.346"] == ("tiny", "nothing")
    assert changes["plan: comparators.exclude.343"] == ("nothing", "tiny")
    assert changes["comparators"] == ("13", "13: without 343; with 346")
    assert "start of pilot 304" not in changes  # said once, by the plan's key
    assert len(changes) == 5


def test_another_pilot(path: Path) -> None:
    plan = Plan.read(path)
    plan.freeze()
    changes = {one.what: (one.planned, one.found) for one in plan.without_pilot("304").deviations()}
    assert changes["plan: pilots.starts.304"] == ("2014", "nothing")
    assert changes["plan: comparators.exclude.304"] == ("nothing", "left out as a pilot")
    assert len(changes) == 2


def test_changed_data(path: Path) -> None:
    Plan.read(path).freeze()
    write_rates(path.parent / "data", shift=1.0)
    changes = found(path)
    assert set(changes) == {"data file rates.csv", "data values of cla"}
    assert changes["data file rates.csv"][0] != changes["data file rates.csv"][1]


def test_the_same_values_in_another_file(path: Path) -> None:
    Plan.read(path).freeze()
    data = path.parent / "data" / "rates.csv"
    data.write_bytes(data.read_bytes() + b"\n")
    assert set(found(path)) == {"data file rates.csv"}  # the values are as they were


def test_a_renamed_file(path: Path) -> None:
    Plan.read(path).freeze()
    data = path.parent / "data" / "rates.csv"
    data.rename(data.with_name("new.csv"))
    with pytest.raises(PlanError, match=r"nothing at rates\.csv"):
        Plan.read(path).deviations()
    edit(path, 'path = "rates.csv"', 'path = "new.csv"')
    changes = found(path)
    assert changes["data file rates.csv"][1] == "renamed to new.csv, same content"
    assert changes["plan: data.files[1].path"] == ("rates.csv", "new.csv")
    assert len(changes) == 2


def test_files_of_a_folder(tmp_path: Path) -> None:
    from didkit.report.plan_template import write_template

    path = write_template(tmp_path)
    Plan.read(path).freeze()
    assert found(path) == {}
    folder = tmp_path / "data" / "cin"
    (folder / "extra.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (folder / ".hidden").write_text("x", encoding="utf-8")
    one = next(folder.glob("c2_*.csv"))
    one.unlink()
    changes = found(path)
    assert changes["data file cin/extra.csv"][0] == "no such file"
    assert changes[f"data file cin/{one.name}"][1] == "not there"
    assert len(changes) == 2


def test_a_hash_in_the_plan(path: Path) -> None:
    edit(path, 'path = "rates.csv"', 'path = "rates.csv"\nsha256 = "' + "0" * 64 + '"')
    changes = found(path)
    assert changes["data file rates.csv"][0] == "SHA-256 000000000000… (in the plan)"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"A pilot"', '"A pilot!"'),
        ('comparators = ["307", ', 'comparators = ["310", '),
        ("301 = ", "307 = "),
        ('didkit = "', 'didkit = "9'),
        ("plan_sha256", "plan_sha257"),
        ("\n[values]", "\n[value]"),
        ("\n[[files]]", "\n[files]"),
        ("size = ", "size = 1"),
        ('seal = "', 'seal = "0'),
    ],
)
def test_a_frozen_plan_that_was_tampered_with(path: Path, old: str, new: str) -> None:
    frozen = Plan.read(path).freeze()
    edit(frozen, old, new)
    what = "the frozen plan plan.frozen.toml"
    assert "changed after it was frozen" in found(path)[what][1]


def test_a_frozen_plan_that_cannot_be_read(path: Path) -> None:
    frozen = Plan.read(path).freeze()
    edit(frozen, "didkit_frozen = 1", "didkit_frozen = 2")
    with pytest.raises(PlanError, match=r"plan\.frozen\.toml, line 5"):
        Plan.read(path).deviations()
    frozen.write_text("[plan", encoding="utf-8")
    with pytest.raises(PlanError, match=r"plan\.frozen\.toml, line 1"):
        Plan.read(path).deviations()


def test_a_folder_that_cannot_be_written(path: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="a file that can be written"):
        Plan.read(path).freeze(tmp_path / "nowhere" / "x.toml")


# -- run ---------------------------------------------------------------------------------------


def test_an_evaluation_keeps_the_record(path: Path) -> None:
    edit(path, 'primary = ["cla"]', 'primary = ["cla"]\nsmallest_effect = {cla = 3}')
    plan = Plan.read(path)
    plan.freeze()
    made = evaluate(plan)
    record = made.record
    assert record is not None
    assert (record.frozen, record.digest, record.deviations) == (True, plan.digest, ())
    assert record.roles == {"cla": "primary"}
    assert record.smallest_effect == {"cla": 3.0}
    assert record.adjusted == {}
    by_hand = evaluate(
        plan.design(), ["cla"], inference=dk.ClusterRobust(), checks=[dk.LeaveOneOut()]
    )
    assert by_hand.record is None
    assert made.tidy().equals(by_hand.tidy())
    assert list(made["cla"].findings) == ["LeaveOneOut"]
    assert made.to_frame()["role"].tolist() == ["primary"]


def test_what_is_refused_is_a_deviation(path: Path) -> None:
    edit(path, "LeaveOneOut = true", "PlaceboPilots = true")
    edit(path, 'against = "pool"', 'against = "pool"\nunits = ["307", "310", "313"]')
    edit(path, '[comparators.exclude]\n346 = "tiny"\n', "")
    Plan.read(path).freeze()
    record = evaluate(Plan.read(path)).record
    assert record is not None
    (only,) = record.deviations
    assert only.what == "PlaceboPilots of cla"
    assert only.planned == "made"
    assert only.found.startswith("refused: needed one pool")
    assert deviation_table(record).iloc[0].tolist() == [only.what, only.planned, only.found]


def test_alternatives_are_estimated_and_recorded(path: Path) -> None:
    more = """
[[sensitivity]]
name = "one pilot"
without = ["304"]
[[sensitivity]]
name = "later"
start = 2015
[[sensitivity]]
name = "no 307"
exclude = ["307"]
first = 2012
last = 2015
"""
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    plan = Plan.read(path)
    plan.freeze()
    made = evaluate(plan)
    record = made.record
    assert record is not None
    table = record.sensitivity.set_index("name")
    assert list(table.index) == ["one pilot", "later", "no 307"]
    (refused,) = record.deviations  # with one pilot there is no cluster-robust variance
    assert refused.what == "alternative 'one pilot' of cla"
    assert refused.found == f"refused: {table.loc['one pilot', 'refused']}"
    assert "two clusters of pilots" in refused.found
    assert np.isnan(table.loc["one pilot", "estimate"])
    late = {"301": 2015, "304": 2015}
    later = dk.Design(
        made.design.panel, dk.Rollout(late), against=dk.Pool(), selection="bid", exclude=["346"]
    )
    sure = dk.DiD().fit(later, "cla").infer(dk.ClusterRobust())["att"]
    assert table.loc["later", "conf_low"] == sure["conf_low"]
    assert table.loc["no 307", "n_comparators"] == 12
    done = dict(zip(*protocol_table(made)[["item", "done"]].to_numpy().T, strict=True))
    words = done[f"Sensitivity: {made['cla'].metric.label}"]
    assert "later: " in words
    assert "one pilot: refused: needed at least two clusters" in words


def test_an_alternative_that_cannot_be_named_has_its_line(path: Path) -> None:
    more = '\n[[sensitivity]]\nname = "early"\nstart = 2011\n'
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    with pytest.raises(PlanError, match=r"line 35 \(sensitivity\[1\]\)"):
        Plan.read(path).design()


def test_a_plan_fixes_its_options(path: Path) -> None:
    plan = Plan.read(path)
    for name, value in {
        "inference": dk.ClusterRobust(),
        "level": 0.9,
        "between": (2012, 2016),
        "checks": [],
    }.items():
        with pytest.raises(PlanError, match=f"{name}="):
            evaluate(plan, **{name: value})
    with pytest.raises(PlanError, match="metrics="):
        evaluate(plan, ["cla"])
    made = evaluate(plan, truth={"cla": 0.0}, description="known")
    assert made.truth == {"cla": 0.0}
    assert made.description == "known"


def test_the_filled_protocol(path: Path) -> None:
    edit(path, "LeaveOneOut = true", "LeaveOneOut = true\nDetectableEffect = true")
    made = evaluate(Plan.read(path))
    table = protocol_table(made)
    done = dict(zip(table["item"], table["done"], strict=True))
    label = made["cla"].metric.label
    assert (table["planned"] != "").all()
    assert done["Pilots"] == "2, start 2014 (2); selection: bid"
    assert "13 comparators" in done[f"Units and cells: {label}"]
    assert done[f"Missing data: {label}"].startswith("pilots: 0 of 12 cells without a value")
    detectable = made["cla"].findings["DetectableEffect"].facts["detectable"]
    assert f"at analysis: {detectable:.1f}" in done[f"Smallest detectable effect: {label}"]
    assert "not asked for" in done[f"Pre-trends: {label}"]
    assert "leaving one out: " in done[f"Sensitivity: {label}"]
    assert "2 clusters of pilots, 13 of comparators" in done[f"Few clusters: {label}"]
    assert "not frozen before this run" in done["Deviations"]
    unplanned = protocol_table(evaluate(made.design, ["cla"], checks=[]))
    assert set(unplanned["planned"]) == {"not planned"}


def test_icc_of_known_parts() -> None:
    from helpers import design_of

    rng = np.random.default_rng(3)
    n, t = 200, 8
    y = 3 * rng.normal(size=(n, 1)) + rng.normal(size=(n, t)) + 50 * np.arange(t)
    made = dk.report.icc(design_of(y, {0: 6, 5: 6}).sample("m"))
    assert made == pytest.approx(9 / 10, abs=0.02)
    # by hand, in the textbook's form, on the six periods before the start
    x = y[:, :6] - y[:, :6].mean(axis=0)
    between = 6 * x.mean(axis=1).var(ddof=1)
    within = ((x - x.mean(axis=1, keepdims=True)) ** 2).sum() / (n * 5)
    assert made == pytest.approx((between - within) / (between + 5 * within), rel=1e-12)
    one = design_of(y[:, :2], {0: 1})
    assert np.isnan(dk.report.icc(one.sample("m")))


# -- multiplicity -------------------------------------------------------------------------------


def test_adjusted_inside_each_family() -> None:
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.04, "e": float("nan")}
    families = {"primary": ["a", "b", "c"], "secondary": ["d", "e"]}
    holm, notes = adjust(p, families, "holm")
    assert holm["a"] == pytest.approx(0.03)
    assert holm["c"] == holm["b"] == pytest.approx(0.06)
    assert holm["d"] == 0.04
    assert holm["e"] != holm["e"]
    assert any("e without a p-value, not counted" in note for note in notes)
    assert any("intervals are not adjusted" in note for note in notes)
    hochberg, _ = adjust(p, families, "benjamini-hochberg")
    assert hochberg["a"] == pytest.approx(0.03)
    assert hochberg["b"] == hochberg["c"] == pytest.approx(0.04)
    assert adjust(p, families, "none") == ({}, ())


def test_deviation_in_words() -> None:
    assert str(Deviation("a", "1", "2")) == "a: planned 1, found 2"
