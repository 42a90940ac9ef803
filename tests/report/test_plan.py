"""A plan: read whole or refused with the line, and the same numbers as the design by hand."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import didkit as dk
from didkit.errors import PlanError
from didkit.report import Plan
from didkit.report.plan_data import load
from didkit.report.plan_template import write_template

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import signs_of_safety as example

SMALL = """\
didkit_plan = 1
title = "A pilot"
question = "Did the rate change?"
estimand = "Average change in the pilots"

[data]
folder = "data"
[[data.files]]
path = "rates.csv"
reader = "csv"
unit = "la"
period = "year"
values = {rate = "cla"}

[pilots]
selection = "bid"
[pilots.starts]
301 = 2014
304 = 2014   # the second
[comparators]
against = "pool"
[comparators.exclude]
346 = "tiny"
[window]
first = 2011
last = 2016
[metrics]
primary = ["cla"]
"""


def write_rates(folder: Path, *, shift: float = 0.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{301 + 3 * j},{2011 + t},{100 + 7 * (j * 5 % 16) + 2 * t + (j * t * t) % 7 + shift}"
        for j in range(16)
        for t in range(6)
    ]
    (folder / "rates.csv").write_text("la,year,rate\n" + "\n".join(rows), encoding="utf-8")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_rates(tmp_path / "data")
    (tmp_path / "plan.toml").write_text(SMALL, encoding="utf-8")
    return tmp_path


def edited(home: Path, old: str, new: str) -> Path:
    """Write the small plan with one thing changed; the change must be there to be made."""
    assert SMALL.count(old) >= 1
    path = home / "plan.toml"
    path.write_text(SMALL.replace(old, new, 1), encoding="utf-8")
    return path


def line_of(path: Path, words: str) -> int:
    """The number of the line that holds these words, counted here and not by the plan."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return next(n for n, line in enumerate(lines, start=1) if words in line)


def _read(path: Path, *, load: bool) -> None:
    plan = Plan.read(path)
    if load:
        plan.design()


def refused(path: Path, *, load: bool = False) -> PlanError:
    with pytest.raises(PlanError) as caught:
        _read(path, load=load)
    assert isinstance(caught.value, ValueError)
    return caught.value


# -- read --------------------------------------------------------------------------------------


def test_a_small_plan(home: Path) -> None:
    plan = Plan.read(home / "plan.toml")
    assert plan.pilots.starts == {"301": "2014", "304": "2014"}
    assert plan.all_metrics == ("cla",)
    assert plan.folder == home / "data"
    assert [type(one).__name__ for one in plan.checks] == [
        "PreTrends",
        "PlaceboStart",
        "PlaceboPilots",
        "LeaveOneOut",
        "RegressionToTheMean",
        "DetectableEffect",
    ]
    assert plan.named_checks == frozenset()
    assert plan.inference.method is None
    assert plan.multiplicity == "none"
    design = plan.design()
    assert design.pilots == ("301", "304")
    assert "346" not in design.comparators
    assert len(design.comparators) == 13
    source = design.panel.sources["cla"][0]
    assert source.file == "rates.csv"
    assert len(source.sha256) == 64


def test_windows_files_are_plans_too(home: Path) -> None:
    path = home / "plan.toml"
    before = Plan.read(path).content()
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode("utf-8"))
    assert Plan.read(path).content() == before


def test_content_ignores_comments_order_and_defaults(home: Path) -> None:
    before = Plan.read(home / "plan.toml").digest
    head, rest = SMALL.split("[comparators]\n")
    moved = (
        head + '[inference]\nmethod = "recommended" # said\nlevel = 0.95\n[comparators]\n' + rest
    )
    path = home / "plan.toml"
    path.write_text(moved.replace("   # the second", ""), encoding="utf-8")
    assert Plan.read(path).digest == before
    path.write_text(SMALL.replace('folder = "data"', 'folder = "./data"'), encoding="utf-8")
    assert Plan.read(path).digest == before  # where the files lie may change
    path.write_text(SMALL.replace("304 = 2014", "304 = 2015"), encoding="utf-8")
    assert Plan.read(path).digest != before


def test_options_of_inference_and_checks(home: Path) -> None:
    more = """
[inference]
method = "permutation"
statistic = "beta"
draws = 199
level = 0.9
[checks]
LeaveOneOut = {units = "all"}
PreTrends = true
PlaceboStart = false
DetectableEffect = {power = 0.9}
[multiplicity]
method = "holm"
"""
    path = home / "plan.toml"
    path.write_text(SMALL + more, encoding="utf-8")
    plan = Plan.read(path)
    assert plan.inference.method == dk.Permutation("beta", draws=199)
    assert plan.checks == (
        dk.PreTrends(),
        dk.LeaveOneOut(units="all"),
        dk.DetectableEffect(power=0.9, level=0.9),
    )
    assert plan.multiplicity == "holm"


def test_units_and_one_start(home: Path) -> None:
    path = edited(
        home,
        "[pilots.starts]\n301 = 2014\n304 = 2014   # the second\n",
        'units = [301, "304"]\nstart = 2014\n',
    )
    assert Plan.read(path).pilots.starts == {"301": "2014", "304": "2014"}


def test_without_pilot(home: Path) -> None:
    plan = Plan.read(home / "plan.toml")
    left = plan.without_pilot(304).design()
    assert left.pilots == ("301",)
    assert "304" not in left.comparators
    with pytest.raises(PlanError, match="one of several pilots"):
        plan.without_pilot("307")


def test_protocol_before_the_run(home: Path) -> None:
    path = home / "plan.toml"
    path.write_text(SMALL + '\n[protocol]\nmissing = "Left out."\n', encoding="utf-8")
    table = Plan.read(path).protocol()
    assert list(table.columns) == ["item", "planned", "done"]
    assert (table["done"] == "").all()
    planned = dict(zip(table["item"], table["planned"], strict=True))
    assert planned["Pilots"] == "2 (301, 304), start 2014; selection: bid"
    assert planned["Missing data"] == "Left out."
    assert planned["Intra-cluster correlation"] == "not planned"
    assert planned["Estimand"] == "Average change in the pilots"


# -- what the data do not hold -------------------------------------------------------------------

NOT_IN_DATA = [
    ('primary = ["cla"]', 'primary = ["cla", "cin"]', "primary", "data files deliver"),
    ("304 = 2014", "305 = 2014", "305 = 2014", "did you mean"),
    ('346 = "tiny"', '347 = "tiny"', '347 = "tiny"', "units that the data files hold"),
    ("304 = 2014", "E06000001 = 2014", "E06000001", "'E06000001', a code of the ONS"),
    ("304 = 2014", "E06000001 = 2014", "E06000001", "3-digit codes of the Department, such as 350"),
    ("304 = 2014", '"West Sussex" = 2014', "West Sussex", "old_la_code"),
    ("last = 2016", "last = 2020", "last = 2020", "2011"),
    ('path = "rates.csv"', 'path = "rate.csv"', "rate.csv", "nothing at rate.csv"),
    ('period = "year"', 'period = "jahr"', 'period = "jahr"', "'jahr', which it does not have"),
    ("values = {rate", "values = {rat", "values = {rat", "its columns are 3 (la, year, rate)"),
    (
        "values = {rate",
        'upper = {cla = "most"}\nvalues = {rate',
        "upper =",
        "'most', which it does not have",
    ),
    (
        'against = "pool"',
        'against = "union"\nfile = "rates.csv"',
        'file = "rates.csv"',
        "la_code",
    ),
    ('path = "rates.csv"', 'path = "."\nsha256 = "' + "0" * 64 + '"', "sha256", "single file"),
    (
        'primary = ["cla"]',
        'primary = ["cla"]\n[inference]\nstrata = "area"',
        "strata",
        "column of panel.units",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "at", "words"), NOT_IN_DATA, ids=[w[1][:30] for w in NOT_IN_DATA]
)
def test_what_the_data_do_not_hold_is_named_with_its_line(
    home: Path, old: str, new: str, at: str, words: str
) -> None:
    path = edited(home, old, new)
    Plan.read(path)  # the plan itself is sound
    error = refused(path, load=True)
    assert words in str(error)
    assert f"plan.toml, line {line_of(path, at)}" in error.where


def test_a_unit_given_by_its_name_is_answered_with_its_code(tmp_path: Path) -> None:
    path = write_template(tmp_path)
    plan = Plan.read(path)
    code = next(iter(plan.pilots.starts))
    name = plan.design().panel.name_of(code)
    text = path.read_text(encoding="utf-8")
    header = "[pilots.starts] "
    path.write_text(text.replace(f"\n{code} = ", f'\n"{name}" = ', 1), encoding="utf-8")
    assert header in text
    error = refused(path, load=True)
    assert "3-digit codes of the Department" in error.needed
    assert f"did you mean {code} ({name})" in error.todo


def test_units_in_an_array_and_missing_files_have_their_lines(home: Path) -> None:
    starts = "[pilots.starts]\n301 = 2014\n304 = 2014   # the second\n"
    path = edited(home, starts, 'units = ["304",\n"E06000001",\n"E06000002"]\nstart = 2014\n')
    error = refused(path, load=True)
    first = line_of(path, '"E06000001"')
    assert error.where == f"plan.toml, lines {first}, {first + 1}"
    text = SMALL.replace("rates.csv", "gone.csv").replace(
        'against = "pool"', 'against = "union"\nfile = "lost.csv"'
    )
    path.write_text(text, encoding="utf-8")
    error = refused(path, load=True)
    assert "nothing at gone.csv" in error.found
    assert "nothing at lost.csv" in error.found
    assert "--before-data" in error.found


def test_status_and_bounds_of_a_file_of_ones_own(home: Path) -> None:
    data = home / "data" / "rates.csv"
    head, *rows = data.read_text(encoding="utf-8").split("\n")
    rows = [f"{row},observed,{float(row.split(',')[2]) - 1}" for row in rows]
    gone = rows[-1].split(",")
    rows[-1] = ",".join([*gone[:2], "", "suppressed", ""])
    data.write_text("\n".join([f"{head},rate_status,least", *rows]), encoding="utf-8")
    columns = 'status = {cla = "rate_status"}\nlower = {cla = "least"}'
    path = edited(home, 'values = {rate = "cla"}', f'values = {{rate = "cla"}}\n{columns}')
    cells = Plan.read(path).design().panel.cells("cla")
    assert cells.lower[0, 0] == cells.value[0, 0] - 1
    assert dk.Status(cells.status[-1, -1]).label == "suppressed"
    page = (Path(__file__).resolve().parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
    assert '`status = {cla = "rate_status"}` beside `values = {rate = "cla"}`' in page


def test_files_that_are_no_plans(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    assert "check the path" in refused(path).todo
    assert "a folder" in refused(tmp_path).found
    path.write_bytes(b'didkit_plan = 1\ntitle = "\xff"\n')
    assert "line 2" in refused(path).where
    path.write_text("a = " + "[" * 5000 + "]" * 5000, encoding="utf-8")
    assert "brackets" in refused(path).found
    path.write_text(f"a = {'9' * 5000}", encoding="utf-8")
    assert "valid TOML" in refused(path).needed
    path.write_text("# " + "x" * 1_000_001, encoding="utf-8")
    assert "1,000,000 bytes" in refused(path).found
    path.write_text("a = 1\n[b", encoding="utf-8")
    assert "line 2" in refused(path).where
    assert "without NUL" in refused(Path("a\0b.toml")).needed


@pytest.mark.parametrize("path", [None, 3, b"plan.toml", "a\0b.toml"])
def test_what_is_no_path(path: Any, home: Path) -> None:
    plan = Plan.read(home / "plan.toml")
    calls = [lambda: Plan.read(path)]
    if path is not None:
        calls += [lambda: Plan.read(plan.source, data=path), lambda: plan.freeze(path)]
    for call in calls:
        with pytest.raises(PlanError, match="a path: text or a") as caught:
            call()
        assert caught.value.where.startswith("Plan.")


def test_only_toml_files_are_plans(home: Path) -> None:
    for name in ("plan.txt", "plan", "plan.TOML"):
        other = home / name
        other.write_text(SMALL, encoding="utf-8")
        error = refused(other)
        assert "ends in .toml" in error.needed
        assert "plan.toml" in error.todo
    frozen = Plan.read(home / "plan.toml").freeze()
    assert "a frozen plan" in refused(frozen).found


def test_a_path_too_long_for_the_system_is_a_file_that_is_not_there(home: Path) -> None:
    long = "x" * 300
    error = refused(edited(home, 'path = "rates.csv"', f'path = "{long}"'), load=True)
    assert "a data file or folder that exists" in error.needed
    (home / "plan.toml").write_text(SMALL, encoding="utf-8")
    with pytest.raises(PlanError, match="a data file or folder that exists"):
        Plan.read(home / "plan.toml", data=long).design()


def test_a_plan_that_is_changed_in_memory_is_looked_at(home: Path) -> None:
    plan = Plan.read(home / "plan.toml")
    assert dataclasses.replace(plan, multiplicity="holm").multiplicity == "holm"
    with pytest.raises(PlanError, match="benjamini-hochberg") as caught:
        dataclasses.replace(plan, multiplicity="bonferroni")
    assert caught.value.where == "Plan(multiplicity=)"


# -- a file of one's own -------------------------------------------------------------------------

NO_TABLES = [
    (
        lambda rows: [f"{row},{'rate' if n == 0 else 0}" for n, row in enumerate(rows)],
        "'rate' more",
    ),
    (
        lambda rows: [rows[0], *(f"{row}," for row in rows[1:])],
        "4 fields on line 2, 3 in the header",
    ),
    (lambda rows: [*rows[:-1], "346"], "1 field on line 97, 3 in the header"),
    (lambda rows: [*rows[:-1], '"346,2016,5'], "1 field on line 97"),
    (lambda rows: [*rows[:-1], '346,2016,"5'], "EOF inside string"),
    (lambda rows: [*rows, "é"], "codec can't decode"),
]


@pytest.mark.parametrize(("change", "words"), NO_TABLES, ids=[one[1][:20] for one in NO_TABLES])
def test_a_csv_is_read_as_it_is_or_refused(
    home: Path, change: Callable[[list[str]], list[str]], words: str
) -> None:
    data = home / "data" / "rates.csv"
    rows = change(data.read_text(encoding="utf-8").split("\n"))
    data.write_bytes("\n".join(rows).encode("latin-1"))
    path = home / "plan.toml"
    error = refused(path, load=True)
    assert words in error.found
    assert (
        error.where
        == f"plan.toml, line {line_of(path, 'rates.csv')} (data.files[1].path): rates.csv"
    )


def test_columns_without_a_name_may_stand_twice(home: Path) -> None:
    data = home / "data" / "rates.csv"
    before = Plan.read(home / "plan.toml").design().panel.wide("cla")
    rows = data.read_text(encoding="utf-8").split("\n")
    data.write_text("\n\n".join(f"{row},," for row in rows), encoding="utf-8")
    assert Plan.read(home / "plan.toml").design().panel.wide("cla").equals(before)


def test_a_mixture_of_releases_is_asked_for_by_name(home: Path) -> None:
    shutil.copy(home / "data" / "rates.csv", home / "data" / "again.csv")
    second = """
[[data.files]]
path = "again.csv"
reader = "csv"
unit = "la"
period = "year"
values = {rate = "cla"}
"""
    path = home / "plan.toml"
    path.write_text(SMALL.replace("\n[pilots]", second + "\n[pilots]"), encoding="utf-8")
    error = refused(path, load=True)
    assert "one release" in error.needed
    assert "data.files[2]" in error.where
    mixed = SMALL.replace('folder = "data"', 'folder = "data"\nmixed = ["cla"]')
    path.write_text(mixed.replace("\n[pilots]", second + "\n[pilots]"), encoding="utf-8")
    releases = [one.release for one in Plan.read(path).design().panel.sources["cla"]]
    assert releases == ["rates.csv", "again.csv"]


def test_selected_metrics_and_periods(home: Path) -> None:
    path = edited(home, "values = {rate", "periods = [2012, 2016]\nvalues = {rate")
    path.write_text(
        path.read_text(encoding="utf-8").replace("first = 2011", "first = 2012"), encoding="utf-8"
    )
    assert Plan.read(path).design().panel.periods == ("2012", "2013", "2014", "2015", "2016")


# -- the same numbers as by hand -----------------------------------------------------------------


def test_the_template_is_the_packaged_evaluation(tmp_path: Path) -> None:
    plan = Plan.read(write_template(tmp_path))
    planned, by_hand = plan.design(), dk.datasets.load_evaluation().design
    assert planned.starts == by_hand.starts
    assert planned.comparators == by_hand.comparators
    assert dict(planned.rollout.stops) == {u: str(p) for u, p in by_hand.rollout.stops.items()}
    for metric in plan.all_metrics:
        same_numbers(planned, by_hand, metric)


def test_the_real_plan_gives_the_numbers_of_the_design_by_hand(shared_data: Path) -> None:
    plan = Plan.read(example.PLAN, data=shared_data)
    by_hand = example.design(example.load(shared_data), shared_data)
    planned = plan.design()
    assert planned.starts == by_hand.starts
    assert planned.comparators == by_hand.comparators
    assert planned.selection == by_hand.selection
    assert "not a placebo" in plan.statements["sensitivity"]
    assert "partly treated" in plan.data.description
    nine = plan.without_pilot("384").design()
    others = load(plan).variants
    early = example.design(example.load(shared_data), shared_data, start=2015)
    same_numbers(others["start of round 1"], early, "cpp")
    short = example.design(example.load(shared_data), shared_data, periods=(2015, 2019))
    same_numbers(others["short window"], short, "cla")
    same_numbers(others["nine pilots, without Wakefield"], nine, "icpc")
    for metric in ("cin", "icpc", "cpp", "cla"):
        same_numbers(planned, by_hand, metric)
        same_numbers(nine, by_hand.without_pilot("384"), metric)


def same_numbers(one: dk.Design, other: dk.Design, metric: str) -> None:
    inference = dk.ClusterRobust("CR2")
    pd.testing.assert_frame_equal(
        dk.DiD().fit(one, metric).infer(inference).tidy(),
        dk.DiD().fit(other, metric).infer(inference).tidy(),
    )


def test_every_key_is_in_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from didkit.report import plan_parts
    from didkit.report.plan_file import Section

    asked: set[str] = set()
    held = Section.has

    def recorded(self: Section, key: str) -> bool:
        asked.add(key)
        return held(self, key)

    monkeypatch.setattr(Section, "has", recorded)
    write_rates(tmp_path / "data")
    path = tmp_path / "plan.toml"
    path.write_text(SMALL, encoding="utf-8")
    Plan.read(path)
    Plan.read(example.PLAN)
    page = Path(__file__).resolve().parents[2] / "docs" / "plan.md"
    words = page.read_text(encoding="utf-8")
    sections = {"data", "pilots", "comparators", "window", "metrics", "inference", "checks"}
    sections |= {"multiplicity", "protocol", "files", "rates", "starts", "stops", "exclude"}
    sections |= {"sensitivity", "contaminated", "first_exposed", "on", "power"}
    sections |= {"specifications", "windows"}
    assert sections < asked
    codes = {
        "301",
        "304",
        "346",
        *example.PILOTS,
        *example.EXCLUDE,
        "cin",
        "icpc",
        "cpp",
        "cla",
        "rate",
    }
    for key in asked - codes:
        shown = (
            f"{key}]" in words
            if key in sections - {"multiplicity", "sensitivity"}
            else f"`{key}`" in words
        )
        assert shown, key
    for name in (*plan_parts.PROTOCOL, *plan_parts.CHECKS, *plan_parts.METHODS):
        assert f"`{name}`" in words
