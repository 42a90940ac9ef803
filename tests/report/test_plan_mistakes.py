"""What is wrong in a plan is refused with its line, what to write, and all of it at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from report.test_plan import SMALL, edited, line_of, refused, write_rates

from didkit.report import Plan


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_rates(tmp_path / "data")
    (tmp_path / "plan.toml").write_text(SMALL, encoding="utf-8")
    return tmp_path


WRONG = [
    ('title = "A pilot"', "title = 1", "title = 1", "text in quotes"),
    ('title = "A pilot"', 'titel = "A pilot"', "titel", "did you mean title"),
    ('title = "A pilot"', "", "didkit_plan", "the key title"),
    ("estimand =", 'aim = "x"\nestimand =', "aim =", "unknown key 'aim'"),
    ("didkit_plan = 1", "didkit_plan = 2", "didkit_plan = 2", "version"),
    ("didkit_plan = 1", "", "", "version"),
    ("[window]", "[windows]", "[windows]", "did you mean window"),
    ("first = 2011", "frist = 2011", "frist", "did you mean first"),
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
    ('against = "pool"', 'against = "pool"\nunits = []', "units = []", "at least one comparator"),
    (
        '["cla"]',
        '["cla"]\n[inference]\nmethod = "cluster_robust"\nkind = "CR9"',
        'kind = "CR9"',
        "CR2",
    ),
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
    ('["cla"]', '["cla"]\n[checks]\nLeaveOneOuts = true', "LeaveOneOuts", "LeaveOneOut or"),
    ('["cla"]', '["cla"]\n[checks]\nLeaveOneOut = 1', "LeaveOneOut = 1", "true, false"),
    (
        '["cla"]',
        '["cla"]\n[checks]\nDetectableEffect = false',
        "DetectableEffect = false",
        "every run computes",
    ),
    (
        '{rate = "cla"}',
        '{rate = "cla"}\nstatus = {rate = "rate_status"}',
        "status =",
        'write status = {cla = "rate_status"}',
    ),
    (
        '{rate = "cla"}',
        '{rate = "cla"}\n[data.files.upper]\nclaa = "most"',
        "claa =",
        'write upper = {cla = "most"}',
    ),
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


TO_WRITE = [
    ('title = "A pilot"', "title = 1", 'write title = "1"'),
    ('["cla"]', '["cla"]\n[inference]\nlevel = "0.9"', "write level = 0.95"),
    ('["cla"]', '["cla"]\n[inference]\nlevel = 90', "write level = 0.9"),
    ('["cla"]', '"cla"', 'write primary = ["cla"]'),
    ('against = "pool"', 'against = "pool"\nunits = 307', 'write units = ["307"]'),
    ('against = "pool"', 'against = "pool"\ninclude_pilots = "yes"', "include_pilots = true or"),
    ("304 = 2014", "304 = 2014.5", "write 304 = 2018"),
    ("last = 2016", "last = 2016\nbetween = 2014", "write between = [2013], or between = [2015,"),
    ("last = 2016", "last = 2016\nbetween = [2012, 2.5]", "write a year without quotes"),
    (
        "first = 2011\nlast = 2016",
        "first = 2016\nlast = 2011",
        "write first = 2011 and last = 2016",
    ),
    ("values = {rate", "periods = [2014, 2012]\nvalues = {rate", "write periods = [2012, 2014]"),
    ('346 = "tiny"', '"Isle of W" = 5', 'write "Isle of W" = "5"'),
    ('["cla"]', '["cla"]\nsmallest_effect = {cla = -4}', "write cla = 4"),
    ('["cla"]', '["cla"]\n[inference]\nmethod = "permutation"\nseed = 1.5', "write seed = 0"),
    ("[[data.files]]", "[data.files]", "write [[data.files]]"),
]


@pytest.mark.parametrize(("old", "new", "todo"), TO_WRITE, ids=[w[2] for w in TO_WRITE])
def test_an_error_says_what_to_write(home: Path, old: str, new: str, todo: str) -> None:
    assert todo in refused(edited(home, old, new)).todo


def test_a_file_that_is_named_twice_has_one_hash(home: Path) -> None:
    second = '[[data.files]]\npath = "./rates.csv"\nsha256 = "' + "1" * 64 + '"\n'
    path = edited(home, "[pilots]\n", second + "[pilots]\n")
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace('reader = "csv"', 'reader = "csv"\nsha256 = "' + "0" * 64 + '"'),
        encoding="utf-8",
    )
    error = refused(path)
    assert "one sha256 for ./rates.csv" in error.needed
    assert f"line {line_of(path, '0' * 64)}" in error.found
    assert f"line {line_of(path, '1' * 64)}" in error.where


def test_a_plan_of_many_thousand_pilots_is_read_in_seconds(home: Path) -> None:
    n = 8000
    path = home / "plan.toml"
    many = ", ".join(f'"{100000 + k}"' for k in range(n))
    listed = f"units = [{many}]\nstart = 2014\n"
    starts = "[pilots.starts]\n301 = 2014\n304 = 2014   # the second\n"
    reasons = "\n".join(f'{200000 + k} = "x"' for k in range(n))
    text = SMALL.replace(starts, listed).replace('346 = "tiny"', reasons)
    path.write_text(text.replace('"bid"', '"bid"\nlast = 1'), encoding="utf-8")
    began = time.process_time()
    assert "unknown key 'last'" in refused(path).found
    path.write_text(text, encoding="utf-8")
    plan = Plan.read(path)
    assert [plan.keys_of(unit)[-1] for unit in plan.pilots.starts] == list(range(n))
    assert time.process_time() - began < 10  # what grows with the square takes minutes


def test_mistakes_that_do_not_hang_together_are_told_of_at_once(home: Path) -> None:
    path = home / "plan.toml"
    text = SMALL.replace('title = "A pilot"', "title = 1")
    text = text.replace('reader = "csv"', 'reader = "csv"\nrelaese = "x"')
    text = text.replace("301 = 2014", "301 = 2014.5").replace('"bid"', '"bids"')
    text = text.replace('346 = "tiny"', "346 = 7").replace("last = 2016", "last = 2016\nend = 1")
    path.write_text(text + "[inference]\nlevel = 95\n", encoding="utf-8")
    error = refused(path)
    places = ["title =", "relaese", "selection =", "301 =", "346 =", "end =", "level ="]
    lines = [line_of(path, one) for one in places]
    assert error.where == f"plan.toml, lines {', '.join(map(str, lines))}"
    told = error.found.split("\n    ")
    assert told[0] == "7 mistakes"
    assert [one.split(" (")[0] for one in told[1:]] == [f"line {n}" for n in lines]
    assert "did you mean release" in told[2]


def test_at_most_ten_mistakes_are_told_of(home: Path) -> None:
    more = "\n".join(f"more{n} = 1" for n in range(12))
    path = edited(home, "last = 2016", f"last = 2016\n{more}")
    told = refused(path).found.split("\n    ")
    assert told[0] == "12 mistakes"
    assert len(told) == 12
    assert told[-1] == "… and 2 more"


def test_what_follows_from_a_mistake_is_not_told_of(home: Path) -> None:
    path = edited(home, 'reader = "csv"', 'reader = "excel"')
    assert "one of: published, csv" in refused(path).needed  # unit, period and values are no keys
    path = edited(home, 'against = "pool"', 'against = "unions"\nfile = "x.csv"')
    assert "did you mean union?" in refused(path).todo
    path = edited(home, 'selection = "bid"', 'selection = "bid"\nstart = 2.5')
    assert "a period" in refused(path).needed  # not also: both starts and start


def test_all_pilots_outside_the_window_are_named(home: Path) -> None:
    path = edited(home, "last = 2016", "last = 2013")
    error = refused(path)
    assert error.where == f"plan.toml, lines {line_of(path, '301 =')}, {line_of(path, '304 =')}"


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
