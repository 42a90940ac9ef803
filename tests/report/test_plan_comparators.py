"""Whom a plan compares with: every kind read, made as by hand, refused with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report.test_plan import SMALL, write_rates

import didkit as dk
from didkit.errors import PlanError
from didkit.report import Plan
from didkit.report.planned import planned

ON = """
[comparators.on]
means = {cla = [2011, 2012]}
"""
LIST = "la_code,rank,sn_code,closeness\n" + "\n".join(
    f"{pilot},{rank},{301 + 3 * ((start + 2 * rank) % 16)},{'Close' if rank < 4 else 'Not close'}"
    for pilot, start in ((301, 1), (304, 2))
    for rank in range(1, 6)
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_rates(tmp_path / "data")
    (tmp_path / "data" / "list.csv").write_text(LIST + "\n", encoding="utf-8")
    return tmp_path


def plan(home: Path, comparators: str, more: str = "") -> Plan:
    """Read the small plan with other comparators."""
    path = home / "plan.toml"
    text = SMALL.replace('against = "pool"\n', comparators + "\n", 1)
    below = text.index("[comparators.exclude]")
    section = text[below : text.index("[window]")]
    text = text.replace(section, "") + section + more
    path.write_text(text, encoding="utf-8")
    return Plan.read(path)


def design(home: Path, comparators: str, more: str = "") -> dk.Design:
    return plan(home, comparators, more).design()


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ('against = "matching"\nratio = 2\ndistance = "euclidean"', (dk.Matching, {"ratio": 2})),
        ('against = "matching"\nmethod = "optimal"', (dk.Matching, {"method": "optimal"})),
        ('against = "matching"\nreplace = false', (dk.Matching, {"replace": False})),
        ('against = "entropy_balancing"', (dk.EntropyBalancing, {})),
        ('against = "cardinality"\ntolerance = 0.5', (dk.CardinalityMatching, {"tolerance": 0.5})),
        ('against = "synthetic"\npooled = true', (dk.SyntheticWeights, {"pooled": True})),
    ],
)
def test_matched_comparators_are_those_made_by_hand(home: Path, written: str, made: Any) -> None:
    kind, options = made
    found = design(home, written, ON)
    panel = found.panel
    on = dk.Covariates.from_panel(panel, means={"cla": (2011, 2012)})
    if "euclidean" in written:
        options = {**options, "distance": "euclidean"}
    mine = dk.Design(
        panel,
        dk.Rollout({"301": 2014, "304": 2014}),
        against=kind(on, **options),
        selection="bid",
        exclude={"346": "tiny"},
    )
    assert found.sets is not None
    assert mine.sets is not None
    assert {p: dict(m) for p, m in found.sets.items()} == {p: dict(m) for p, m in mine.sets.items()}
    assert type(found.against) is kind
    a, b = (dk.DiD(cells="complete").fit(d, "cla").values for d in (found, mine))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("written", "against"),
    [
        ("closest = 3", lambda n: n.closest(3).union()),
        ('at_least = "Close"', lambda n: n.at_least("Close").union()),
        ("most = 2", lambda n: n.union(most=2)),
    ],
)
def test_cut_lists(home: Path, written: str, against: Any) -> None:
    found = design(home, f'against = "union"\nfile = "list.csv"\n{written}')
    neighbours = dk.read_neighbours(home / "data" / "list.csv")
    mine = found.compared_with(against(neighbours))
    assert found.comparators == mine.comparators
    whole = found.compared_with(neighbours.union())
    assert set(found.comparators) < set(whole.comparators)


def test_each_pilots_own_weighted_and_computed_neighbours(home: Path) -> None:
    text = 'against = "per_pilot"\nfile = "list.csv"\naggregate = "weighted"\nweights = "rank"'
    found = design(home, text)
    assert found.sets is not None
    first, last = (
        found.sets["301"][u] for u in list(found.sets["301"])[:: len(found.sets["301"]) - 1]
    )
    assert first != last
    computed = design(home, 'against = "union"\ncomputed = true\nclosest = 4', ON)
    mine = dk.compute_neighbours(
        dk.Covariates.from_panel(computed.panel, means={"cla": (2011, 2012)})
    )
    assert computed.comparators == computed.compared_with(mine.closest(4).union()).comparators


def test_comparators_of_an_alternative(home: Path) -> None:
    more = """
[[sensitivity]]
name = "nearest three"
[sensitivity.comparators]
against = "matching"
ratio = 3
[sensitivity.comparators.on]
values = {cla = [2011, 2013]}
"""
    made = dk.evaluate(plan(home, 'against = "pool"', more), description="")
    assert made.record is not None
    row = made.record.sensitivity.iloc[0]
    assert row["name"] == "nearest three"
    assert row["refused"] == ""
    assert row["n_comparators"] <= 6
    table = made.record.plan.protocol()
    said = dict(zip(table["item"], table["planned"], strict=True))
    assert "Matching on value of cla 2011 to 2013 (ratio 3)" in said["Alternative (nearest three)"]


@pytest.mark.parametrize(
    ("written", "more", "needed", "line"),
    [
        ('against = "matching"', "", "[comparators.on], what units are matched by", "comparators"),
        ('against = "pool"', ON, "only where comparators are matched", "comparators.on"),
        ('against = "pool"\nclosest = 5', "", "keys that go with against = 'pool'", "closest"),
        ('against = "union"\nfile = "l.csv"\nclosest = 0', "", "a whole number above 0", "closest"),
        ('against = "matching"\nmethod = "best"', ON, "one of: nearest, optimal", "method"),
        (
            'against = "per_pilot"\nfile = "l.csv"\naggregate = "weighted"',
            "",
            'together with weights = "rank"',
            "aggregate",
        ),
        (
            'against = "union"\nfile = "l.csv"\ncomputed = true',
            ON,
            "one list of neighbours",
            "file",
        ),
        ('against = "cardinality"\nratio = 3', ON, "a key of [comparators]", "ratio"),
    ],
)
def test_contradictions_are_refused_with_their_line(
    home: Path, written: str, more: str, needed: str, line: str
) -> None:
    with pytest.raises(PlanError) as caught:
        plan(home, written, more)
    assert needed in str(caught.value)
    assert line in str(caught.value)


def test_matching_on_what_came_after_the_start_is_refused_with_its_line(home: Path) -> None:
    late = ON.replace("2011, 2012", "2011, 2014")
    with pytest.raises(PlanError, match="before the first start, 2014") as caught:
        design(home, 'against = "matching"', late)
    assert "comparators" in caught.value.where


def test_as_treated_contaminated_and_first_exposed(home: Path) -> None:
    text = SMALL.replace('selection = "bid"\n', 'selection = "bid"\ntreatment = "as_treated"\n')
    text = text.replace(
        "[comparators]\n",
        "[pilots.stops]\n304 = 2016\n[pilots.contaminated]\n301 = 2012\n307 = true\n"
        "[pilots.first_exposed]\nflow = 2015\n[comparators]\n",
        1,
    )
    path = home / "plan.toml"
    path.write_text(text, encoding="utf-8")
    read = Plan.read(path)
    made = read.design()
    assert made.rollout.contaminated == {"301": "2012", "307": None}
    cells = made.sample("cla")
    assert not np.isfinite(cells.y[list(cells.units).index("304"), -1])  # left in 2016
    said = planned(read)["Pilots"]
    for words in ("as treated", "flow in 2015", "301 since 2012, 307 throughout"):
        assert words in said
    path.write_text(text.replace("307 = true", "307 = 2012\n310 = true"), encoding="utf-8")
    assert "programme: 301, 307 since 2012, 310 throughout" in planned(Plan.read(path))["Pilots"]
    keys = read.content()
    assert keys["pilots.treatment"] == "as_treated"
    assert keys["pilots.contaminated.301"] == "2012"


def _asked(home: Path, checks: str, *, marked: bool = True) -> Plan:
    """The small plan with these checks, one comparator marked as contaminated or none."""
    text = SMALL
    if marked:
        text = text.replace(
            "[comparators]\n", "[pilots.contaminated]\n307 = 2015\n[comparators]\n", 1
        )
    path = home / "plan.toml"
    path.write_text(text + checks, encoding="utf-8")
    return Plan.read(path)


def test_breakdown_is_run_only_where_it_is_named(home: Path) -> None:
    assert not any(isinstance(one, dk.Breakdown) for one in _asked(home, "").checks)
    quick = '\n[inference]\nmethod = "cluster_robust"\n[checks]\nBreakdown = '
    asked = _asked(home, quick + '{units = "all", tolerance = 0.1}\n')
    assert dk.Breakdown(units="all", tolerance=0.1) in asked.checks
    assert asked.content()["checks.Breakdown.units"] == "all"


def test_contamination_is_asked_for_where_somebody_is_marked(home: Path) -> None:
    for marked in (True, False):
        made = _asked(home, "", marked=marked)
        assert (dk.Contamination() in made.checks) == marked
        assert made.named_checks == frozenset()
    named = _asked(home, "\n[checks]\nLeaveOneOut = true\n")
    assert dk.Contamination() not in named.checks
    quick = '\n[inference]\nmethod = "cluster_robust"\n[checks]\nContamination = '
    asked = _asked(home, quick + "{shares = [1, 0.5]}\n")
    assert dk.Contamination(shares=(0.5, 1.0)) in asked.checks
    assert asked.content()["checks.Contamination.shares"] == [0.5, 1.0]
    made = dk.evaluate(asked)
    assert made["cla"].refused == {}
    finding = made["cla"].findings["Contamination"]
    assert finding.table["share"].dropna().tolist() == [0.0, 0.5, 1.0]
    assert finding.headline in made.to_markdown()
    assert "Practice outside the pilots" in made.to_markdown()
    nobody = dk.evaluate(_asked(home, quick + "true\n", marked=False))
    assert set(nobody["cla"].refused) == {"Contamination"}
    assert nobody.record is not None
    assert "Contamination of cla" in [one.what for one in nobody.record.deviations]


@pytest.mark.parametrize(
    ("shares", "words"),
    [('"half"', "a list of numbers"), ("[0.5, true]", "a list of numbers"), ("[0]", "above zero")],
)
def test_shares_that_are_none_are_refused_with_their_line(
    home: Path, shares: str, words: str
) -> None:
    with pytest.raises(PlanError, match=words) as caught:
        _asked(home, f"\n[checks]\nContamination = {{shares = {shares}}}\n")
    assert "shares" in caught.value.where


def test_power_is_planned_before_there_are_data(home: Path) -> None:
    more = """
[power]
comparators = 13
before = 3
after = 3
reason = "as in the releases before"
[power.cla]
sd = 20
icc = 0.75
ar1 = 0.2
"""
    read = plan(home, 'against = "pool"', more)
    said = planned(read)["Smallest detectable effect: cla"]
    found = dk.DetectableEffect().expected(
        dk.Variation.from_icc(20, 0.75, 0.2), pilots=2, comparators=13, before=3, after=3
    )
    assert said.startswith(f"{found.facts['detectable']:.3g}"[:4])
    assert "2 pilots, 13 comparators" in said
    assert "as in the releases before" in said
    assert read.content()["power.assumed.cla.icc"] == 0.75
    with pytest.raises(PlanError, match="how many comparators, and periods"):
        plan(home, 'against = "pool"', more.replace("after = 3\n", ""))
    with pytest.raises(PlanError, match="icc from 0 to below 1"):
        plan(home, 'against = "pool"', more.replace("0.75", "1.5"))


def test_a_plan_without_the_new_sections_keeps_its_digest(home: Path) -> None:
    """A plan that was frozen before they existed is as it was."""
    keys = plan(home, 'against = "pool"').content()
    new = ("power", "pilots.treatment", "pilots.contaminated", "comparators.on", "comparators.most")
    assert not [key for key in keys if key.startswith(new)]


@pytest.mark.parametrize(
    ("written", "more", "needed", "line"),
    [
        ('against = "matching"\ncaliper = -1', ON, "caliper", "comparators.caliper"),
        ('against = "cardinality"\ntolerance = -1', ON, "tolerance", "comparators.tolerance"),
        ('against = "synthetic"\nridge = -1', ON, "ridge", "comparators.ridge"),
        ('against = "entropy_balancing"\nmoments = 3', ON, "moments", "comparators.moments"),
        (
            'against = "matching"\nmethod = "optimal"\nreplace = true',
            ON,
            "optimal",
            "comparators.method",
        ),
        (
            'against = "per_pilot"\nfile = "l.csv"\naggregate = "weighted"\nweights = "banana"',
            "",
            "one of: rank, distance",
            "comparators.weights",
        ),
        ('against = "union"\nfile = "l.csv"\nat_least = "near"', "", "Somewhat close", "at_least"),
        (
            'against = "matching"',
            ON.replace("means", "slopes").replace("2011, 2012", "2012"),
            "the first and the last period of a slope",
            "slopes.cla",
        ),
        (
            'against = "matching"',
            ON + "[checks]\nPlaceboPilots = true\n",
            "checks that exist with against = 'matching'",
            "PlaceboPilots",
        ),
        (
            'against = "pool"',
            "[power]\ncomparators = 9\nbefore = 3\nafter = 2\n[power.zzz]\nsd = 3\nicc = 0.5\n",
            "a metric that is primary or secondary",
            "power.zzz",
        ),
        (
            'against = "pool"',
            '[checks.RegressionToTheMean]\nvariation = "x"\n',
            "a key of [checks.RegressionToTheMean]",
            "variation",
        ),
        ('against = "matching"\nratio = "3"', ON, "a number", "ratio"),
    ],
)
def test_what_no_data_can_mend_is_refused_when_the_plan_is_read(
    home: Path, written: str, more: str, needed: str, line: str
) -> None:
    with pytest.raises(PlanError) as caught:
        plan(home, written, more)
    assert needed in str(caught.value)
    assert line in caught.value.where


def test_periods_and_units_outside_the_data_are_refused_with_their_line(home: Path) -> None:
    text = SMALL.replace("[comparators]\n", "[pilots.contaminated]\n777 = 2012\n[comparators]\n", 1)
    path = home / "plan.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlanError, match="'777'") as caught:
        Plan.read(path).design()
    assert "pilots.contaminated.777" in caught.value.where
    path.write_text(text.replace("777 = 2012", "301 = 1950"), encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        Plan.read(path).design()
    assert "pilots.contaminated.301" in caught.value.where


def test_means_of_the_values_that_are_there(home: Path) -> None:
    data = home / "data" / "rates.csv"
    lines = data.read_text(encoding="utf-8").split("\n")
    kept = [line for line in lines if not line.startswith("304,2011,")]
    data.write_text("\n".join(kept), encoding="utf-8")
    with pytest.raises(PlanError, match="304"):
        design(home, 'against = "matching"', ON)
    made = plan(home, 'against = "matching"', ON + 'periods = "present"\n')
    assert made.content()["comparators.on.periods"] == "present"
    assert set(made.design().sets or {}) == {"301", "304"}
