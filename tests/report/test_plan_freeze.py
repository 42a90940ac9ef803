"""A frozen plan shows every change: of a key, a file, a value, a pilot, of itself."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest
from report.test_plan import SMALL, write_rates

import didkit as dk
from didkit.errors import PlanError
from didkit.report import Deviation, Plan, deviation_table, evaluate, protocol_table
from didkit.report.outputs import estimates_table, protocol_markdown
from didkit.report.plan_data import hashes, load

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


def test_only_a_frozen_plan_is_replaced(path: Path) -> None:
    plan = Plan.read(path)
    other = path.with_name("pyproject.toml")
    other.write_text("[project]\n", encoding="utf-8")
    broken = path.with_name("broken.toml")
    broken.write_text("[project\n", encoding="utf-8")
    for target in (other, broken, path.with_name("data"), path.with_name("data") / "rates.csv"):
        held = target.read_bytes() if target.is_file() else b""
        for replace in (False, True):
            with pytest.raises(PlanError, match="a frozen plan to replace"):
                plan.freeze(target, replace=replace)
        assert (target.read_bytes() if target.is_file() else b"") == held
    link = path.with_name("link.toml")
    link.symlink_to(path)
    for itself in (path, str(path), path.parent / "data" / ".." / "plan.toml", link):
        with pytest.raises(PlanError, match="the plan itself"):
            plan.freeze(itself, replace=True)
    assert Plan.read(path).digest == plan.digest
    elsewhere = plan.freeze(path.with_name("elsewhere.toml"))
    assert plan.freeze(elsewhere, replace=True) == elsewhere


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
    assert changes["plan: data.files['rates.csv']"][1] == "the same, called data.files['new.csv']"
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


def test_what_the_reader_leaves_alone_is_no_new_data(tmp_path: Path) -> None:
    from didkit.report.plan_template import write_template

    path = write_template(tmp_path)
    before = load(Plan.read(path)).panel.log
    Plan.read(path).freeze()
    folder = tmp_path / "data" / "cin"
    left = folder / ".report.4711.part"
    left.mkdir()
    one = next(folder.glob("c2_*.csv")).read_bytes()
    for name in ("._c2.csv", "~$c2.csv", "c2.meta.csv", "more.zip", ".report.4711.part/c2.csv"):
        (folder / name).write_bytes(one)
    assert found(path) == {}
    assert set(load(Plan.read(path)).panel.log["source"]) >= set(before["source"])


@pytest.mark.parametrize("right_first", [True, False])
def test_a_hash_of_a_file_that_is_named_twice_is_kept(path: Path, right_first: bool) -> None:
    text = path.read_text(encoding="utf-8")
    entry = text[text.index("[[data.files]]") : text.index("\n[pilots]")]
    early = entry.replace("values", "periods = [2011, 2013]\nvalues")
    late = entry.replace("values", "periods = [2014, 2016]\nvalues")
    hashed = late.replace('reader = "csv"', f'reader = "csv"\nsha256 = "{"0" * 64}"')
    both = early + hashed if right_first else hashed + early
    text = text.replace(entry, both).replace('folder = "data"', 'folder = "data"\nmixed = ["cla"]')
    path.write_text(text, encoding="utf-8")
    assert found(path)["data file rates.csv"][0] == "SHA-256 000000000000… (in the plan)"


def test_a_hash_of_a_file_in_a_folder_that_is_named_too(tmp_path: Path) -> None:
    from didkit.report.plan_template import write_template

    path = write_template(tmp_path)
    one = next((tmp_path / "data" / "cin").glob("c2_*.csv")).name
    entry = f'[[data.files]]\npath = "cin/{one}"\nsha256 = "{"0" * 64}"\nmetrics = ["icpc"]\n'
    edit(path, '[[data.files]]\npath = "cin" ', f'{entry}\n[[data.files]]\npath = "cin" ')
    named = {file.path: file.planned for file in hashes(Plan.read(path))}
    assert named[f"cin/{one}"] == "0" * 64


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
    assert list(made["cla"].findings) == ["LeaveOneOut", "DetectableEffect"]
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


def test_what_the_plan_does_not_name_is_noted_and_no_deviation(path: Path) -> None:
    edit(path, "304 = 2014   # the second\n", "")
    edit(path, "[checks]\nLeaveOneOut = true\n", "")
    edit(path, 'method = "cluster_robust"', 'method = "permutation"\ndraws = 19')
    Plan.read(path).freeze()
    plan = Plan.read(path)
    assert plan.named_checks == frozenset()
    made = evaluate(plan)
    assert "LeaveOneOut" in made["cla"].refused  # one pilot cannot be left out
    assert made.record is not None
    assert made.record.deviations == ()
    said = dict(protocol_table(made)[["item", "done"]].to_numpy())
    words = said[f"Smallest detectable effect: {made['cla'].metric.label}"]
    assert words == (
        "at design and at analysis: no change, however large, would have been found by this test"
    )
    noted = {one.what: one for one in made.record.refused}
    assert noted["LeaveOneOut of cla"].planned == "tried"
    assert "LeaveOneOut of cla: planned tried" in protocol_markdown(made)
    assert (
        "not named by the plan: "
        in protocol_table(made).set_index("item").loc["Deviations", "done"]
    )
    path.write_text(path.read_text(encoding="utf-8") + "[checks]\nLeaveOneOut = true\n", "utf-8")
    plan = Plan.read(path)
    assert plan.named_checks == {"LeaveOneOut"}
    plan.freeze(replace=True)
    record = evaluate(plan).record
    assert record is not None
    assert [one.what for one in record.deviations][1:] == ["LeaveOneOut of cla"]
    changed = dataclasses.replace(plan, checks=(dk.PreTrends(),))
    assert changed.named_checks == {"PreTrends"}


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
    label = made["cla"].metric.label
    assert done[f"Alternative (later): {label}"].endswith("2 pilots, 13 comparators")
    words = done[f"Alternative (one pilot): {label}"]
    assert words.startswith("refused: needed at least two clusters")
    before = dict(plan.protocol()[["item", "planned"]].to_numpy())
    assert before["Alternative (no 307)"] == "comparators without 307; 2012 to 2015"
    every = estimates_table(made)
    as_planned, others = every[every["alternative"] == ""], every[every["alternative"] != ""]
    assert len(as_planned) == len(made.tidy())
    assert (as_planned["refused"] == "").all()
    assert others["alternative"].tolist() == list(table.index)
    assert others.set_index("alternative")["conf_low"].equals(table["conf_low"])
    assert others.set_index("alternative")["term"].tolist()[1:] == ["att", "att"]
    assert "two clusters of pilots" in others["refused"].iloc[0]
    assert list(record.sensitivity.columns) == [
        "name",
        "metric",
        "estimate",
        "conf_low",
        "conf_high",
        "p_value",
        "n_pilots",
        "n_comparators",
        "refused",
    ]


ALTERNATIVES = """
[[sensitivity]]
name = "it's [1].without"
without = ["304"]
[[sensitivity]]
name = "later"
start = 2015
[[sensitivity]]
name = "short"
first = 2012
last = 2015
"""


def test_an_alternative_is_known_by_its_name(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + ALTERNATIVES, encoding="utf-8")
    Plan.read(path).freeze()
    first, second, third = (
        f"[[sensitivity]]{one}" for one in ALTERNATIVES.split("[[sensitivity]]")[1:]
    )
    text = path.read_text(encoding="utf-8")
    assert first + second + third in text
    path.write_text(text.replace(first + second + third, third + first + second), encoding="utf-8")
    assert found(path) == {}  # their order is none of the plan's content
    path.write_text(text.replace(first, ""), encoding="utf-8")
    item = r"plan: sensitivity['it\'s [1].without']"
    assert found(path) == {item: ("without 304", "nothing")}
    path.write_text(text.replace("last = 2015", "last = 2014"), encoding="utf-8")
    assert found(path) == {"plan: sensitivity['short'].last": ("2015", "2014")}
    more = '\n[[sensitivity]]\nname = "no 307"\nexclude = ["307"]\n'
    path.write_text(text.replace(first, more + first), encoding="utf-8")
    assert found(path) == {"plan: sensitivity['no 307']": ("nothing", "exclude 307")}
    path.write_text(text.replace('"later"', '"a year on"'), encoding="utf-8")
    assert found(path) == {
        "plan: sensitivity['later']": ("start 2015", "the same, called sensitivity['a year on']")
    }


def test_a_data_file_is_known_by_its_path(path: Path) -> None:
    whole = path.read_text(encoding="utf-8")
    entry = whole[whole.index("[[data.files]]") : whole.index("\n[pilots]")]
    early = entry.replace("values", "periods = [2011]\nvalues")
    late = entry.replace("values", "periods = [2012, 2016]\nvalues").replace("rates.", "more.")
    data = path.parent / "data"
    (data / "more.csv").write_bytes((data / "rates.csv").read_bytes())
    both = whole.replace(entry, early + late)
    mixed = both.replace('folder = "data"', 'folder = "data"\nmixed = ["cla"]')
    path.write_text(mixed, encoding="utf-8")
    Plan.read(path).freeze()
    path.write_text(mixed.replace(early + late, late + early), encoding="utf-8")
    assert found(path) == {}
    path.write_text(mixed.replace("[2011]", "[2011, 2011]"), encoding="utf-8")
    assert found(path) == {
        "plan: data.files['rates.csv'].periods": ("2011", "2011, 2011"),
    }


def test_two_parts_of_one_file_are_two(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    entry = text[text.index("[[data.files]]") : text.index("\n[pilots]")]
    parts = [
        entry.replace("values", f"periods = {years}\nvalues")
        for years in ("[2011, 2013]", "[2014, 2016]")
    ]
    text = text.replace(entry, "".join(parts))
    path.write_text(
        text.replace('folder = "data"', 'folder = "data"\nmixed = ["cla"]'), encoding="utf-8"
    )
    Plan.read(path).freeze()
    edit(path, "periods = [2011, 2013]", "periods = [2011, 2012]")
    edit(path, "periods = [2014, 2016]", "periods = [2013, 2016]")
    assert found(path) == {
        "plan: data.files['rates.csv'].periods": ("2011, 2013", "2011, 2012"),
        "plan: data.files['rates.csv'][2].periods": ("2014, 2016", "2013, 2016"),
    }


def test_the_real_plan_without_one_pilot(shared_data: Path, tmp_path: Path) -> None:
    from signs_of_safety import PLAN

    copy = tmp_path / PLAN.name
    copy.write_bytes(PLAN.read_bytes())
    plan = Plan.read(copy, data=shared_data)
    plan.freeze()
    nine = plan.without_pilot("384")
    said = {one.what: one.found for one in nine.deviations()}
    count = said.pop("comparators")  # its neighbours that are nobody else's
    assert count.startswith("58: without ")
    assert said == {
        "plan: pilots.starts.384": "nothing",
        "plan: comparators.exclude.384": "left out as a pilot",
        "plan: sensitivity['nine pilots, without Wakefield']": "nothing",
    }


def test_the_record_knows_whether_the_data_were_there(path: Path) -> None:
    record = evaluate(Plan.read(path)).record
    assert record is not None
    assert (record.frozen, record.before_data, record.frozen_on) == (False, False, "")
    Plan.read(path).freeze()
    made = evaluate(Plan.read(path))
    assert made.record is not None
    assert (made.record.frozen, made.record.before_data) == (True, False)
    assert f"frozen on {made.record.frozen_on}, with its data" in protocol_markdown(made)
    Plan.read(path).freeze(replace=True, before_data=True)
    made = evaluate(Plan.read(path))
    assert made.record is not None
    assert (made.record.frozen, made.record.before_data) == (True, True)
    assert "before its data were there" in protocol_markdown(made)
    done = dict(protocol_table(made)[["item", "done"]].to_numpy())
    assert "were there: files, values and units were not compared; 1 deviation" in done["Plan"]


def test_codes_are_looked_at_before_the_data_are_there(path: Path) -> None:
    edit(path, "304 = 2014", '"Norfolk" = 2014')
    with pytest.raises(PlanError, match="3-digit codes of the Department, such as 350"):
        Plan.read(path).freeze(before_data=True)
    assert not path.with_name("plan.frozen.toml").exists()
    edit(path, 'reader = "csv"', 'reader = "csv"\nidentity = "any"')
    Plan.read(path).freeze(before_data=True)


def test_what_could_have_been_found_is_always_computed(path: Path) -> None:
    made = evaluate(Plan.read(path))  # its checks name LeaveOneOut only
    finding = made["cla"].findings["DetectableEffect"]
    assert finding.check == dk.DetectableEffect(level=0.95)
    again = evaluate(made.design, ["cla"], level=0.9, checks=[dk.DetectableEffect(power=0.5)])
    assert [one.check for one in again["cla"].findings.values()] == [dk.DetectableEffect(power=0.5)]
    none = evaluate(made.design, ["cla"], level=0.9, checks=[])
    assert none["cla"].findings["DetectableEffect"].check == dk.DetectableEffect(level=0.9)


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


def test_a_frozen_plan_may_be_larger_than_a_plan(path: Path) -> None:
    codes = "\n".join(f'{k} = "{"x" * 180}"' for k in range(400, 1000))
    excluded = [f'"{k}"' for k in range(400, 1000)]
    more = "".join(
        f'\n[[sensitivity]]\nname = "{n}"\nexclude = [{", ".join(excluded)}]\n' for n in range(140)
    )
    edit(path, 'reader = "csv"', 'reader = "csv"\nidentity = "any"')
    edit(path, '346 = "tiny"', codes)
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    assert path.stat().st_size < 1_000_000
    frozen = Plan.read(path).freeze(before_data=True)
    assert frozen.stat().st_size > 700_000
    frozen.write_text(frozen.read_text(encoding="utf-8") + "#" * 1_000_000, encoding="utf-8")
    assert Plan.read(path).freeze(before_data=True, replace=True) == frozen


def test_deviation_in_words() -> None:
    assert str(Deviation("a", "1", "2")) == "a: planned 1, found 2"
