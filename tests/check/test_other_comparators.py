"""Other comparators: each row is a refit by hand; what cannot be fitted stays, with its reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import codes, design_of, noise, spread, treated

from didkit.check import OtherComparators
from didkit.design import Covariates, MatchedSets, Neighbours, Pool, compute_neighbours
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import ClusterRobust, Jackknife, Permutation

N, T, START = 14, 7, 4
ONE = spread(N, 4, START)
IDS = codes(N)
PILOTS = [IDS[j] for j in ONE]
OTHERS = [unit for unit in IDS if unit not in PILOTS]


def outcome(effect: float = -5.0) -> np.ndarray:
    return noise(N, T, 6) + effect * treated((N, T), ONE)


def fitted(**options):
    return DiD().fit(design_of(outcome(), ONE, **options), "m")


def lists() -> Neighbours:
    rows = [(p, r, o) for i, p in enumerate(PILOTS) for r, o in enumerate(OTHERS[i : i + 4], 1)]
    return Neighbours(pd.DataFrame(rows, columns=["unit", "rank", "neighbour"]))


CHOICES = {
    "five": Pool(tuple(OTHERS[:5])),
    "own lists": lists().per_pilot(aggregate="mean"),
    "closest two": lists().closest(2).union(),
}


def by_hand(members) -> float:
    y = outcome()
    change = y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)
    rows = [IDS.index(unit) for unit in members]
    return float(change[list(ONE)].mean() - change[rows].mean())


def test_every_row_is_a_refit_by_hand():
    made = fitted()
    found = made.infer(None).check(OtherComparators(CHOICES, original="everyone"))
    table = found.tidy().set_index("choice")
    assert list(table.index) == ["everyone", *CHOICES]
    assert table.loc["everyone", "estimate"] == pytest.approx(by_hand(OTHERS), abs=1e-9)
    assert table.loc["five", "estimate"] == pytest.approx(by_hand(OTHERS[:5]), abs=1e-9)
    near = sorted({o for p in PILOTS for o in lists().of(p)[:2]})
    assert table.loc["closest two", "estimate"] == pytest.approx(by_hand(near), abs=1e-9)
    own = [by_hand(lists().of(p)) for p in PILOTS]  # the mean of sets: pilots' part is the same
    assert table.loc["own lists", "estimate"] == pytest.approx(np.mean(own), abs=1e-9)
    assert table["comparators"].to_dict() == {
        "everyone": 10, "five": 5, "own lists": 7, "closest two": len(near),
    }  # fmt: skip
    for name, against in CHOICES.items():
        gap = Gap().fit(made.design.compared_with(against), "m")
        before = dict(zip(gap.terms["term"], gap.values, strict=True))["gap_before"]
        assert table.loc[name, "gap_before"] == pytest.approx(before)
        share = gap.facts["share_before"]
        assert table.loc[name, "share_before"] == pytest.approx(share, nan_ok=True)
        assert table.loc[name, "described"] == against.describe()
    assert (table["note"] == "").all()
    assert (table["method"] == "").all()
    assert table[["conf_low", "conf_high"]].isna().all(axis=None)
    assert found.facts == {
        "full": pytest.approx(by_hand(OTHERS)),
        "lowest": table["estimate"].min(),
        "highest": table["estimate"].max(),
        "choices": 3.0,
        "refused": 0.0,
    }


def test_each_refit_has_the_inference_that_suits_it_or_the_one_asked_for():
    made = fitted()
    table = made.infer(level=0.9).check(OtherComparators(CHOICES)).tidy().set_index("choice")
    for name, against in {"as designed": made.design.against, **CHOICES}.items():
        known = made.refit(made.design.compared_with(against)).infer(level=0.9)
        row, term = table.loc[name], known["att"]
        assert row["method"] == known.uncertainty.method
        assert row["conf_low"] == pytest.approx(term["conf_low"])
        assert row["conf_high"] == pytest.approx(term["conf_high"])
    assert table["method"].nunique() > 1
    asked = OtherComparators(CHOICES, inference=ClusterRobust("CR2"))
    rows = made.infer(Jackknife()).check(asked).tidy().set_index("choice")
    known = made.refit(made.design.compared_with(CHOICES["five"])).infer(ClusterRobust("CR2"))
    assert rows.loc["five", "conf_low"] == pytest.approx(known["att"]["conf_low"])
    assert rows.loc["as designed", "method"].startswith("cluster jackknife")
    assert rows.loc["own lists", "note"].startswith("no interval: ")  # sets have no such variance
    assert np.isfinite(rows.loc["own lists", "estimate"])
    assert np.isnan(rows.loc["own lists", "conf_low"])
    none = made.infer(Permutation(draws=99)).check(OtherComparators(CHOICES, inference=None))
    assert none.table["conf_low"].notna().tolist() == [True, False, False, False]


def test_a_choice_that_is_refused_stays_with_its_reason():
    late = Covariates.from_panel(fitted().design.panel, means={"m": (2014, 2016)})
    choices = {
        "lists of none": Neighbours(lists().table.query("unit != @PILOTS[0]")).union(),
        "computed too late": compute_neighbours(late).union(),
        "five": CHOICES["five"],
    }
    found = fitted().infer(None).check(OtherComparators(choices))
    table = found.tidy().set_index("choice")
    assert table["estimate"].isna().to_dict() == {
        "as designed": False, "lists of none": True, "computed too late": True, "five": False,
    }  # fmt: skip
    assert f"none for 1 ({PILOTS[0]})" in table.loc["lists of none", "note"]
    assert "m mean 2014 to 2016 (up to 2016)" in table.loc["computed too late", "note"]
    assert table.loc["lists of none", "comparators"] == 0
    assert (found.facts["choices"], found.facts["refused"]) == (1.0, 2.0)
    assert found.headline.endswith("2 could not be fitted.")
    assert len(found.notes) == 2
    only = fitted().infer(None).check(OtherComparators({"none": choices["lists of none"]}))
    assert only.headline.startswith("No other choice of comparators gives an estimate")
    assert only.facts["lowest"] == only.facts["highest"] == only.facts["full"]


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        (-2.0, 3.0, "runs from −2.00 (two) to +0.500 (as designed); its sign changes."),
        (0.0, 0.5, "runs from +0.500 (two) to +0.750 (as designed); its sign stays."),
        (0.0, 1.0, "runs from 0 (two) to +0.500 (as designed); with one of them it is zero."),
    ],
)
def test_the_headline_says_range_and_sign(one, two, words):
    y = np.zeros((3, 4))
    y[:, 2:] = [[1.0], [one], [two]]
    made = DiD().fit(design_of(y, {0: 2}), "m").infer(None)
    found = made.check(OtherComparators({"two": Pool((IDS[2],))}))
    assert words in found.headline
    assert "With 1 other choice of comparators the estimate of" in found.headline


def test_what_was_dropped_stays_dropped_and_nothing_else_changes():
    made = fitted()
    design = made.design.drop(OTHERS[0])
    again = made.refit(design).infer(None).check(OtherComparators({"five": CHOICES["five"]}))
    table = again.tidy().set_index("choice")
    assert table.loc["five", "estimate"] == pytest.approx(by_hand(OTHERS[1:5]), abs=1e-9)
    assert table.loc["five", "comparators"] == 4


def test_an_event_study_is_asked_for_its_main_term():
    made = EventStudy().fit(design_of(outcome(), ONE), "m").infer(None)
    table = made.check(OtherComparators({"five": CHOICES["five"]})).tidy()
    known = EventStudy().fit(made.design.compared_with(CHOICES["five"]), "m")
    place = list(known.terms["term"]).index(made.main_term)
    assert table["estimate"].tolist()[1] == pytest.approx(known.values[place])


@pytest.mark.parametrize(
    ("choices", "options", "words"),
    [
        ({}, {}, "found: none"),
        ([Pool()], {}, "found: 1 \\(a list\\)"),
        ({"all": "pool"}, {}, "'all': a str"),
        ({"all": Pool()}, {"original": "all"}, "one called 'all'"),
    ],
)
def test_choices_that_are_none_are_refused(choices, options, words):
    with pytest.raises(InferenceError, match=words):
        OtherComparators(choices, **options)


def test_sets_given_by_weight_are_a_choice():
    sets = MatchedSets({p: {OTHERS[i]: 0.25, OTHERS[i + 1]: 0.75} for i, p in enumerate(PILOTS)})
    found = fitted().infer(None).check(OtherComparators({"sets": sets}))
    known = [
        0.25 * by_hand([OTHERS[i]]) + 0.75 * by_hand([OTHERS[i + 1]]) for i in range(len(PILOTS))
    ]
    assert found.table["estimate"].iloc[1] == pytest.approx(np.mean(known), abs=1e-9)
