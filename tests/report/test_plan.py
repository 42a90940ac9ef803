"""A plan: read whole or refused with the line, and the same numbers as the design by hand."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

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
        "DetectableEffect",
    ]
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
    assert planned["Missing data"] == "Left out."
    assert planned["Intra-cluster correlation"] == "not planned"
    assert planned["Estimand"] == "Average change in the pilots"


# -- refused, with the line --------------------------------------------------------------------

WRONG = [
    ('title = "A pilot"', "title = 1", "title = 1", "text in quotes"),
    ('title = "A pilot"', 'titel = "A pilot"', "didkit_plan", "the key title"),
    ("estimand =", 'aim = "x"\nestimand =', "aim =", "unknown key 'aim'"),
    ("didkit_plan = 1", "didkit_plan = 2", "didkit_plan = 2", "version"),
    ("didkit_plan = 1", "", "", "version"),
    ("[window]", "[windows]", "[windows]", "did you mean window"),
    ("first = 2011", "frist = 2011", "[window]", "both the first and the last"),
    ("first = 2011", "first = 2017", "first = 2017", "first period before the last"),
    ("304 = 2014", "304 = 2011", "304 = 2011", "'304' starts in 2011"),
    ("304 = 2014", "304 = 2017", "304 = 2017", "'304' starts in 2017"),
    ("304 = 2014", "304 = true", "304 = true", "a period"),
    ("304 = 2014", "301.5 = 2014", "301.5", "valid TOML"),  # 301 is a period, no table
    ("304 = 2014", "346 = 2014", '346 = "tiny"', "a pilot"),
    ("304 = 2014", "304 = 2014\nselection = 1", "selection = 1", "move it up"),
    (
        "[comparators]\n",
        "[pilots.stops]\n301 = 2013\n[comparators]\n",
        "301 = 2013",
        "a stop after the start",
    ),
    (
        "[comparators]\n",
        "[pilots.stops]\n307 = 2015\n[comparators]\n",
        "307 = 2015",
        "a start for every pilot that stopped",
    ),
    ('selection = "bid"', 'selection = "bids"', "bids", "did you mean bid"),
    ('selection = "bid"', "", "[pilots]", "the key selection"),
    ('against = "pool"', 'against = "pool"\nfile = "x.csv"', "file =", "go with against"),
    ('against = "pool"', 'against = "union"', "[comparators]", "the key file"),
    ('against = "pool"', 'against = "pool"\nunits = ["301"]', 'units = ["301"]', "no pilots"),
    ('against = "pool"', 'against = "pool"\nunits = ["346"]', '346 = "tiny"', "is both"),
    ('346 = "tiny"', "346 = 1", "346 = 1", "text in quotes"),
    ('["cla"]', '["cla"]\nsecondary = ["cin",\n"cla"]', '"cla"]', "is both"),
    ('["cla"]', '["cla", "cla"]', "primary", "twice"),
    ('["cla"]', "[]", "primary", "at least one primary"),
    ('["cla"]', '["cla"]\nsmallest_effect = {cin = 5}', "smallest", "primary or secondary"),
    ('["cla"]', '["cla"]\nsmallest_effect = {cla = -5}', "smallest", "above 0"),
    ('["cla"]', '["cla"]\nsmallest_effect = 5', "smallest", "a table"),
    ('["cla"]', '["cla"]\n[inference]\nlevel = 95', "level = 95", "between 0 and 1"),
    ('["cla"]', '["cla"]\n[inference]\ndraws = 99', "draws = 99", "unknown key 'draws'"),
    (
        '["cla"]',
        '["cla"]\n[inference]\nmethod = "permutation"\ndraws = "many"',
        'draws = "many"',
        "whole number",
    ),
    (
        '["cla"]',
        '["cla"]\n[inference]\nmethod = "permutation"\ndraws = 3',
        "draws = 3",
        "at least 19",
    ),
    ('["cla"]', '["cla"]\n[checks]\nLeaveOneOuts = true', "LeaveOneOuts", "LeaveOneOut?"),
    ('["cla"]', '["cla"]\n[checks]\nLeaveOneOut = 1', "LeaveOneOut = 1", "true, false"),
    (
        '["cla"]',
        '["cla"]\n[checks.PlaceboPilots]\ndraw = 99',
        "draw = 99",
        "did you mean draws",
    ),
    ('["cla"]', '["cla"]\n[multiplicity]\nmethod = "bonferroni"', "bonferroni", "holm"),
    ('["cla"]', '["cla"]\n[protocol]\nmising = "x"', "mising", "did you mean missing"),
    ('path = "rates.csv"', 'path = "a\\u0000b"', "path", "without NUL"),
    ('path = "rates.csv"', 'path = "rates.csv"\nsha256 = "12"', "sha256", "64 hexadecimal"),
    ('reader = "csv"', 'reader = "excel"', "reader", "one of: published, csv"),
    ("values = {rate", "periods = [2012, 2011]\nvalues = {rate", "periods", "not after the last"),
    ("values = {rate", "periods = []\nvalues = {rate", "periods", "one period"),
    ("last = 2016", "last = 2016\nbetween = [2012, 2019]", "between", "inside the window"),
    ("last = 2016", "last = 2016\nbetween = [2014, 2012]", "between", "earlier one first"),
    ("last = 2016", "", "[window]", "both the first and the last"),
    ("[[data.files]]", "[data.files]", "[data.files]", "tables in an array"),
    ('title = "A pilot"', 'title = "A pilot', 'title = "A pilot', "valid TOML"),
    ("[comparators]\n", "[pilots]\n[comparators]\n", "[pilots]\n[comp", "valid TOML"),
]


@pytest.mark.parametrize(
    ("old", "new", "at", "words"), WRONG, ids=[f"{w[1][:30]!r}" for w in WRONG]
)
def test_what_is_wrong_is_named_with_its_line(
    home: Path, old: str, new: str, at: str, words: str
) -> None:
    path = edited(home, old, new)
    error = refused(path)
    assert words in str(error)
    assert "plan.toml" in error.where
    assert f"line {expected_line(path, at, words)}" in error.where


def expected_line(path: Path, at: str, words: str) -> int:
    if not at:
        return 1
    text = path.read_text(encoding="utf-8")
    if at == "[pilots]\n[comp":  # the header that stands twice
        return text[: text.index(at)].count("\n") + 1
    if words == "is both" and at == '"cla"]':
        return text[: text.index('\n"cla"]')].count("\n") + 2
    return line_of(path, at)


NOT_ALTERNATIVES = [
    ("", "[[sensitivity]]", "the key name"),
    ('name = "a"', "[[sensitivity]]", "something that differs"),
    ('name = "a"\nfirst = 2012', "[[sensitivity]]", "both the first and the last"),
    ('name = "a"\nwithout = ["307"]', "without", "no pilot"),
    ('name = "a"\nexclude = ["301"]', "exclude =", "a pilot"),
    ('name = "a"\nstart = 2015\n[[sensitivity]] #\nname = "a" #', 'name = "a" #', "twice"),
]


@pytest.mark.parametrize(("text", "at", "words"), NOT_ALTERNATIVES)
def test_what_is_no_alternative(home: Path, text: str, at: str, words: str) -> None:
    path = home / "plan.toml"
    path.write_text(f"{SMALL}[[sensitivity]]\n{text}\n", encoding="utf-8")
    error = refused(path)
    assert words in str(error)
    assert f"plan.toml, line {line_of(path, at)}" in error.where


NOT_IN_DATA = [
    ('primary = ["cla"]', 'primary = ["cla", "cin"]', "primary", "data files deliver"),
    ("304 = 2014", "305 = 2014", "305 = 2014", "did you mean"),
    ('346 = "tiny"', '347 = "tiny"', '347 = "tiny"', "units that the data files hold"),
    ("last = 2016", "last = 2020", "last = 2020", "2011"),
    ('path = "rates.csv"', 'path = "rate.csv"', "rate.csv", "nothing at rate.csv"),
    ('period = "year"', 'period = "jahr"', 'path = "rates.csv"', "jahr"),
    ("values = {rate", "values = {rat", 'path = "rates.csv"', "rat"),
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
    assert "null" in refused(Path("a\0b.toml")).found


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
    sections |= {"sensitivity"}
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
