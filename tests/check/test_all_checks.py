"""The set that suits an estimate: what is asked, what is refused, and what is laid in the table."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import design_of, noise, spread

import didkit as dk
from didkit.check.suited import LABELS, NEED, SUITED, suits
from didkit.results.asking import CHECKS

ONE = {2: 4, 6: 4, 9: 4, 13: 4}
FAST = ["LeaveOneOut", "PlaceboStart", "DetectableEffect"]


def did_of(starts=ONE, *, t=7, n=16, sure=True, **options):
    """A difference-in-differences of a small panel, with CR2."""
    design = design_of(noise(n, t, 4), starts, **options)
    return dk.DiD().fit(design, "m").infer(dk.ClusterRobust("CR2") if sure else None)


@pytest.fixture(scope="module")
def did():
    return did_of()


class Broken:
    """A check with a mistake in it, or an interruption."""

    def __init__(self, error):
        self.error = error

    def run(self, estimate):
        raise self.error


def names_of(estimate):
    return [one.name for one in suits(estimate)[0]]


# -- what suits -----------------------------------------------------------------------------------


def test_every_public_check_suits_by_a_rule_or_needs_something():
    classes = {one.name.split(" of ")[0].split(",")[0] for one in SUITED}
    assert classes | set(NEED) | {"Checks"} == set(CHECKS)
    assert {one.name for one in SUITED} | set(NEED) | {"Checks"} == set(LABELS)
    assert len({one.name for one in SUITED}) == len(SUITED)


@pytest.mark.parametrize(
    ("change", "gained", "lost"),
    [
        ({"starts": {2: 3, 6: 3, 9: 5, 13: 5}}, {"GoodmanBacon", "TwoWayWeights"}, set()),
        (
            {"starts": dict.fromkeys(ONE, 1)},
            set(),
            {
                "PreTrends",
                "PreTrendPower",
                "TrendAdjusted",
                "Sensitivity",
                "Sensitivity, smoothness",
                "PlaceboStart",
            },
        ),
        ({"starts": {6: 4}}, set(), {"LeaveOneOut", "LeaveTwoOut", "SmallestRemoval"}),
        ({"starts": {2: 4, 6: 4}}, set(), {"LeaveTwoOut"}),
        ({"against": dk.Pool(("304", "307", "310"))}, {"OtherComparators"}, set()),
        (
            {"t": 2, "starts": dict.fromkeys(ONE, 1)},
            set(),
            {"LeaveOneOut of periods", "WithoutBreaks", "PreTrends", "PreTrendPower",
             "TrendAdjusted", "Sensitivity", "Sensitivity, smoothness", "PlaceboStart"},
        ),
    ],
)  # fmt: skip
def test_a_design_with_more_in_it_is_asked_more(did, change, gained, lost):
    usual, found = set(names_of(did)), set(names_of(did_of(**change, sure=False)))
    assert found - usual == gained
    assert usual - found == lost


def marked(**options):
    y = noise(16, 7, 4)
    frame = dk.Design(
        design_of(y, ONE).panel,
        dk.Rollout({"307": 2015, "319": 2015, "328": 2015}, **options),
        against=dk.Pool(),
        selection="unknown",
    )
    return dk.DiD().fit(frame, "m").infer(None)


def test_contamination_is_asked_where_it_is_marked():
    assert "Contamination" not in names_of(marked())
    assert "Contamination" in names_of(marked(contaminated={"301": 2016}))


def test_counts_populations_regions_and_hidden_cells_are_asked_about_where_they_are():
    panel, design = dk.datasets.load_evaluation()
    made = names_of(dk.DiD().fit(design, "cla").infer(None))
    assert {"RateSplit", "Bounds", "LeaveOneOut of regions"} <= set(made)
    only = panel.select(metrics=["cla"]) if hasattr(panel, "select") else None
    plain = names_of(did_of())
    assert not {"RateSplit", "OtherDenominator", "Bounds", "LeaveOneOut of regions"} & set(plain)
    assert only is None or "RateSplit" not in names_of(
        dk.DiD().fit(design.on_panel(only), "cla").infer(None)
    )


# -- what is run ----------------------------------------------------------------------------------


def test_each_row_is_what_the_check_finds_by_itself(did):
    found = did.checks(only=FAST)
    assert found.table["check"].tolist() == FAST == list(found.parts)
    for row in found.table.to_dict("records"):
        alone = did.check(getattr(dk, row["check"])())
        part = found.parts[row["check"]]
        assert (row["asked"], row["found"]) == (alone.question, alone.headline)
        assert row["cannot_show"] == alone.cannot_show
        assert part.table.equals(alone.table)
        ends = alone.alternatives or alone.placebos
        assert row["which"] == (
            "alternatives" if alone.alternatives else "placebos" if alone.placebos else ""
        )
        assert [row["low"], row["high"]] == list(ends) if ends else np.isnan(row["low"])
        assert row["refused"] == ""
        assert row["unit"] == found.unit
    start = found.table.set_index("check").loc["PlaceboStart"]
    values = found.parts["PlaceboStart"].table["estimate"]
    assert (start["low"], start["high"]) == (values.min(), values.max())
    assert start["which"] == "placebos"


def test_lowest_and_highest_are_of_all_alternatives(did):
    others = dk.OtherComparators({"five": dk.Pool(tuple(did.design.comparators[:5]))})
    found = did.checks(only=["PlaceboStart", others, dk.LeaveTwoOut()])
    spans = [one.alternatives for one in found.parts.values() if one.alternatives]
    assert len(spans) == 2
    assert found.facts["lowest"] == min(low for low, _ in spans) == found.alternatives[0]
    assert found.facts["highest"] == max(high for _, high in spans) == found.alternatives[1]
    assert found.placebos == found.parts["PlaceboStart"].placebos
    assert found.facts["n_run"] == 3
    assert found.facts["n_refused"] == 0


def test_an_interval_is_not_another_value_of_the_estimate(did):
    found = did.checks(only=["TrendAdjusted", "LeaveOneOut"])
    assert found.table["which"].tolist() == ["interval", "alternatives"]
    assert found.alternatives == found.parts["LeaveOneOut"].alternatives
    assert found.facts["lowest"] == found.alternatives[0]
    low, high = found.parts["TrendAdjusted"].alternatives
    assert found.table.iloc[0][["low", "high"]].tolist() == [low, high]
    assert "TrendAdjusted" not in found.headline
    assert found.plot().data["group"].tolist() == ["alternatives", "interval"]


def test_a_check_that_the_estimate_does_not_bear_keeps_its_row(did):
    found = did.checks(only=["Contamination", "DetectableEffect"])
    row = found.table.iloc[0]
    assert row["check"] == "Contamination"
    assert row["refused"].startswith("needed units that are known to use the practice")
    assert row["found"] == row["asked"] == row["cannot_show"] == ""
    assert found.facts["n_refused"] == 1
    assert list(found.parts) == ["DetectableEffect"]
    assert "and 1 that it does not bear" in found.headline


def test_only_an_error_of_ours_is_a_refusal(did):
    refusal = dk.errors.InferenceError(needed="a", found="b", where="c", todo="d")
    made = did.checks(only=[Broken(refusal), "DetectableEffect"])
    assert made.table["refused"].tolist() == ["needed a; found b", ""]
    for error in (ZeroDivisionError(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            did.checks(only=[Broken(error)])


def test_the_test_before_the_start_is_asked_of_the_event_study(did):
    row = did.checks(only=["PreTrends"]).table.iloc[0]
    events = dk.EventStudy().fit(did.design, "m").infer(dk.ClusterRobust("CR2"))
    assert row["found"] == events.check(dk.PreTrends()).headline
    assert events.checks(only=["PreTrends"]).table["found"].iloc[0] == row["found"]


def test_names_options_and_more(did):
    found = did.checks(only="DetectableEffect", more=[dk.DetectableEffect(power=0.9)])
    assert found.table["check"].tolist() == [
        "DetectableEffect",
        "DetectableEffect(power=0.9, level=0.95)",
    ]
    rest = [one.name for one in SUITED if one.name not in (*FAST, "Breakdown")]
    usual = did.checks(leave_out=rest)
    assert set(usual.table["check"]) == set(FAST)
    notes = " ".join(usual.notes)
    assert "PreTrendEquivalence (a margin in the metric's unit)" in notes
    assert "Contamination (needs units marked" in notes
    assert "refit hundreds of times: Breakdown" in notes
    assert "left out by name: PreTrends" in notes
    slow = did.checks(leave_out=[*rest, *FAST], slow=True)
    assert slow.table["check"].tolist() == ["Breakdown"]
    assert "hundreds" not in " ".join(slow.notes)


@pytest.mark.parametrize(
    ("n", "estimator", "slow"),
    [
        (16, dk.DiD(), False),  # by algebra
        (16, dk.GroupTime(), True),
        (9, dk.GroupTime(), False),
        (120, dk.GroupTime(), False),
        (120, dk.SyntheticDiD(), True),
    ],
    ids=str,
)
def test_the_smallest_removal_by_many_refits_waits_to_be_asked_for(n, estimator, slow):
    made = estimator.fit(design_of(noise(n, 7, 4), spread(n, 3, 4)), "m").infer(None)
    (removal,) = (one for one in SUITED if one.name == "SmallestRemoval")
    assert removal.slow(made) is slow
    rest = [one.name for one in SUITED if one.name not in ("SmallestRemoval", "DetectableEffect")]
    if slow:
        usual = made.checks(leave_out=rest)
        assert usual.table["check"].tolist() == ["DetectableEffect"]
        assert "refit hundreds of times: SmallestRemoval" in " ".join(usual.notes)


def test_the_level_of_what_could_be_found_is_that_of_the_estimate():
    did = did_of().infer(dk.ClusterRobust("CR2"), level=0.9)
    found = did.checks(only="DetectableEffect").parts["DetectableEffect"]
    assert found.facts["level"] == 0.9


def test_nothing_is_changed_and_order_of_rows_says_nothing(did):
    before = did.values.copy(), did.uncertainty
    first, again = did.checks(only=FAST), did.checks(only=FAST)
    pick = [name for name in first.table if name != "seconds"]
    assert first.table[pick].equals(again.table[pick])
    assert np.array_equal(did.values, before[0])
    assert did.uncertainty is before[1]
    assert (first.table["seconds"] >= 0).all()


@pytest.mark.parametrize(
    ("options", "needed", "todo"),
    [
        ({"only": ["LeaveOneOt"]}, "names of checks", "did you mean LeaveOneOut"),
        ({"leave_out": ["PlaceboPilot"]}, "names of checks", "did you mean PlaceboPilots"),
        ({"only": ["PreTrendEquivalence"]}, "with a margin", r"PreTrendEquivalence\(…\)"),
        ({"leave_out": ["UnaffectedOutcomes"]}, "with metrics", "not run by itself"),
        ({"only": ["xyzzy"]}, "names of checks", "choose from: PreTrends"),
        ({"only": [dk.LeaveOneOut]}, "a check such as", "choose from"),
        ({"more": ["LeaveOneOut"]}, "a check such as", "choose from"),
        ({"more": [dk.Checks()]}, "other than Checks itself", "choose from"),
        ({"only": 3}, "a list of names", "write only="),
        ({"leave_out": [one.name for one in SUITED]}, "at least one check", "name fewer"),
        ({"slow": 1}, "slow=True", "write slow=True"),
    ],
)
def test_what_is_no_check_is_refused(did, options, needed, todo):
    with pytest.raises(dk.errors.InferenceError, match=needed) as caught:
        did.checks(**options)
    assert caught.match(todo)


def test_unknown_options_are_refused(did):
    with pytest.raises(TypeError, match="seconds"):
        did.checks(seconds=3)


# -- what each existing check says it cannot show -------------------------------------------------


@pytest.mark.parametrize(
    "check",
    [
        dk.PlaceboStart(),
        dk.PlaceboPilots(draws=99),
        dk.DetectableEffect(),
        dk.FunctionalForm(),
        dk.GoodmanBacon(),
        dk.TwoWayWeights(),
        dk.OtherComparators({"five": dk.Pool(("304", "310", "313", "316", "322"))}),
        dk.RegressionToTheMean(draws=100),
        dk.Breakdown(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_each_says_what_it_cannot_show(did, check):
    found = did.check(check)
    said = found.cannot_show
    assert said
    assert said[0].islower()
    assert not said.endswith(".")
    assert f"It cannot show: {said}." in found.summary()
    for span in (found.alternatives, found.placebos):
        assert span is None or span[0] <= span[1]


def test_the_range_of_a_contaminated_estimate_holds_each_share_and_the_refit():
    did = marked(contaminated={"301": 2016})
    found = did.check(dk.Contamination(shares=(0.5, 1.0)))
    facts = found.facts
    values = [facts["estimate"], facts["implied"], facts["without"]]
    low, high = found.alternatives
    shares = found.table.loc[found.table["scenario"] == "share of the effect", "estimate"]
    values += shares.tolist()
    assert (low, high) == (min(values), max(values))
    assert found.cannot_show.startswith("how much of the practice was used there")
