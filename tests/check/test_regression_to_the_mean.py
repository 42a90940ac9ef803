"""Regression to the mean: known answers, what must not matter, and the words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, panel_of

from didkit.check import RegressionToTheMean, Variation, matching_reduces_bias
from didkit.check.selected import ESTIMATORS, Chosen, closed_forms, mean_of_highest
from didkit.check.selection_words import in_use
from didkit.design import (
    Against,
    Covariates,
    Design,
    EntropyBalancing,
    MatchedSets,
    Matching,
    Pool,
    Rollout,
)
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.results import Estimate, Finding
from didkit.results.tables import signed

N, T, START = 40, 7, 4
MADE = Variation(10.0, 7.0, 0.5)
FAST = {"draws": 300, "seed": 2}


def values(seed: int = 3) -> np.ndarray:
    """Draw a panel without an effect."""
    rng = np.random.default_rng(seed)
    e = np.empty((N, T))
    e[:, 0] = rng.normal(size=N)
    for t in range(1, T):
        e[:, t] = 0.5 * e[:, t - 1] + 0.75**0.5 * rng.normal(size=N)
    return 100 + 10 * rng.normal(size=(N, 1)) + 7 * e + 5 * np.arange(T)


def chosen(y: np.ndarray, by: str, *, highest: bool = True, n: int = 5) -> list[int]:
    """Choose pilots as they would be."""
    score = y[:, START - 1] if by == "latest_value" else y[:, :START].mean(axis=1)
    order = np.argsort(score if not highest else -score)
    return sorted(order[:n].tolist())


def fitted(y: np.ndarray, rows: list[int], selection: str, **options: object) -> Estimate:
    design = design_of(y, dict.fromkeys(rows, START), selection=selection, **options)
    return DiD().fit(design, "m").infer(None)


def found(by: str, *, highest: bool = True, selection: str = "", **options: object) -> Finding:
    y = values()
    check = RegressionToTheMean(**{**FAST, **options})
    return fitted(y, chosen(y, by, highest=highest), selection or by).check(check)


def row(finding: Finding, selection: str, strength: str, how: str = "did") -> pd.Series:
    table = finding.table
    rows = table[(table["selection"] == selection) & (table["strength"] == strength)]
    return rows.set_index("estimator").loc[how]


# -- the shape of the answer --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "shown"),
    [
        ("random", ["random "]),
        ("latest_value", ["latest_value observed", "latest_value rank"]),
        ("average", ["average observed", "average rank"]),
        *(
            (name, ["random ", "latest_value observed", "latest_value rank", "average observed",
                    "average rank", "permanent "])
            for name in ("bid", "unknown")
        ),
    ],
)  # fmt: skip
def test_the_selections_shown_are_those_that_the_stated_one_leaves_open(selection, shown):
    table = found("average", selection=selection, draws=100).tidy()
    assert list(dict.fromkeys(table["selection"] + " " + table["strength"])) == shown
    assert table["estimator"].tolist() == list(ESTIMATORS) * len(shown)
    exact = table["closed_form"].notna()
    assert (exact == ~table["estimator"].str.startswith("matched")).all()
    assert (table["mc_error"] > 0).all()
    off = (table["bias"] - table["closed_form"]).abs()[exact]
    assert (off < 5 * table["mc_error"][exact]).all()


# -- known answers --------------------------------------------------------------------------------


def test_the_worst_case_is_the_closed_form_of_the_estimated_variation():
    y = values()
    finding = found("latest_value")
    variation = Variation.of(fitted(y, chosen(y, "latest_value"), "bid").design, "m")
    size = {"n_pilots": 5, "n_comparators": 35, "n_before": 4, "n_after": 3}
    exact = closed_forms(variation, Chosen("latest_value"), **size)
    for how in ("before_after_last", "post_gap", "did", "did_without_last"):
        assert row(finding, "latest_value", "rank", how)["closed_form"] == pytest.approx(exact[how])
    assert finding.facts["reliability_last"] == variation.reliability()
    assert finding.facts["reliability_mean"] == variation.reliability(4)
    assert finding.facts["least_change"] == 1 - variation.reliability(4)
    assert (finding.facts["between"], finding.facts["within"]) == (
        variation.between,
        variation.within,
    )


def test_the_observed_strength_is_the_distance_over_the_farthest():
    y = values()
    rows = chosen(y, "latest_value")
    rows[0] = next(j for j in range(N) if j not in rows)  # one that was not among the highest
    finding = fitted(y, rows, "latest_value").check(RegressionToTheMean(**FAST, variation=MADE))
    others = [j for j in range(N) if j not in rows]
    distance = y[rows, START - 1].mean() - y[others, START - 1].mean()
    assert finding.facts["distance_last"] == pytest.approx(distance)
    farthest = (10**2 + 7**2) ** 0.5 * mean_of_highest(5, 40) * 40 / 35
    share = distance / farthest
    assert 0 < share < 1
    seen, most = (row(finding, "latest_value", s)["closed_form"] for s in ("observed", "rank"))
    assert seen == pytest.approx(share * most)
    assert finding.facts["bias"] == pytest.approx(seen)
    assert f"is {share:.0%} of what" in finding.notes[0]


def test_pilots_farther_out_than_the_most_extreme_are_held_there_and_it_is_said():
    finding = found("latest_value", variation=Variation(2.0, 1.0, 0.2))
    seen, most = (row(finding, "latest_value", s) for s in ("observed", "rank"))
    assert seen["closed_form"] == most["closed_form"]
    assert any("held at 100%" in note for note in finding.notes)


def test_the_lowest_are_the_mirror_image_of_the_highest():
    high, low = (found("average", variation=MADE, worst=w) for w in ("highest", "lowest"))
    for how in ESTIMATORS:
        one, other = (row(f, "average", "rank", how)["bias"] for f in (high, low))
        assert one == pytest.approx(-other)
    assert (
        row(high, "average", "rank")["closed_form"] < 0 < row(low, "average", "rank")["closed_form"]
    )
    assert set(low.table["strength"]) == {"rank"}  # the pilots were high
    assert any("not among the lowest" in note for note in low.notes)


@pytest.mark.parametrize(("highest", "said"), [(True, "above"), (False, "below")])
def test_the_side_is_that_of_the_pilots_before(highest, said):
    finding = found("latest_value", highest=highest)
    assert (finding.facts["bias"] < 0) == highest
    assert f"the pilots were {said} the comparators" in finding.notes[0]


def test_a_lasting_gap_is_the_gap_of_the_years_before():
    finding = found("average", selection="bid", variation=MADE)
    gap = finding.facts["distance_mean"]
    assert row(finding, "permanent", "", "post_gap")["closed_form"] == pytest.approx(gap)
    assert row(finding, "permanent", "")["closed_form"] == pytest.approx(0)
    matched = row(finding, "permanent", "", "matched_mean")
    assert np.sign(matched["bias"]) == np.sign(gap)
    assert abs(matched["bias"]) > 3 * matched["mc_error"]


def test_random_pilots_have_no_bias_anywhere():
    finding = found("average", selection="random")
    assert (finding.table["closed_form"].dropna() == 0).all()
    assert (finding.table["bias"].abs() < 4 * finding.table["mc_error"]).all()
    assert finding.facts["bias"] == 0


def test_a_selected_panel_shows_the_bias_that_is_announced():
    """Over many panels without an effect the estimate is on average the bias, at full strength."""
    made = [
        fitted(y, chosen(y, "average"), "average") for y in (values(100 + s) for s in range(60))
    ]
    finding = made[0].check(RegressionToTheMean(draws=100, variation=MADE))
    announced = row(finding, "average", "rank")["closed_form"]
    actual = np.array([one.values[0] for one in made])
    error = actual.std(ddof=1) / 60**0.5
    assert actual.mean() == pytest.approx(announced, abs=3.5 * error)
    assert announced < -3 * error


# -- what must not matter -------------------------------------------------------------------------


def test_years_from_the_start_on_move_only_the_estimate():
    y = values()
    later = y.copy()
    later[:, START:] += np.random.default_rng(1).normal(size=later[:, START:].shape) * 50
    rows = chosen(y, "latest_value")
    one, other = (
        fitted(v, rows, "latest_value").check(RegressionToTheMean(**FAST)) for v in (y, later)
    )
    pd.testing.assert_frame_equal(one.table, other.table)
    assert one.facts["actual"] != other.facts["actual"]
    assert one.facts["bias"] == other.facts["bias"]


def test_the_order_of_units_and_common_changes_do_not_matter():
    y = values()
    rows = chosen(y, "average")
    one = fitted(y, rows, "average").check(RegressionToTheMean(**FAST))
    turned = fitted(y[::-1], [N - 1 - j for j in rows], "average").check(
        RegressionToTheMean(**FAST)
    )
    np.testing.assert_allclose(one.table["bias"], turned.table["bias"], rtol=1e-3)
    moved = fitted(y + 7 * np.arange(T) ** 2, rows, "average").check(RegressionToTheMean(**FAST))
    np.testing.assert_allclose(one.table["bias"], moved.table["bias"], rtol=1e-3)


def test_a_missing_year_does_not_move_a_unit():
    y = values()
    rows = chosen(y, "average")
    y[:, 0] += 100  # a year when all were higher
    holed = y.copy()
    holed[rows[0], 0] = np.nan
    full, some = (
        fitted(v, rows, "average").check(RegressionToTheMean(**FAST)).facts["distance_mean"]
        for v in (y, holed)
    )
    own = y[rows[0], :START] - np.delete(y, rows, axis=0)[:, :START].mean(axis=0)
    assert some - full == pytest.approx((own[1:].mean() - own.mean()) / 5)


def test_the_percent_is_of_the_comparators_level_before():
    y = values()
    rows = chosen(y, "average")
    finding = fitted(y, rows, "average").check(RegressionToTheMean(**FAST))
    level = np.delete(y, rows, axis=0)[:, :START].mean()
    table = finding.table
    np.testing.assert_allclose(table["percent"], 100 * table["bias"] / level)


def test_the_ratio_inside_the_years_before_is_of_the_halves():
    y = values()
    rows = chosen(y, "average")
    gaps = y[rows].mean(axis=0) - np.delete(y, rows, axis=0).mean(axis=0)
    finding = fitted(y, rows, "average").check(RegressionToTheMean(**FAST))
    assert finding.facts["s_before"] == pytest.approx(gaps[:2].mean() / gaps[2:4].mean())
    odd = design_of(y, dict.fromkeys(rows, 5), selection="average")  # the middle year is in neither
    finding = DiD().fit(odd, "m").infer(None).check(RegressionToTheMean(**FAST))
    assert finding.facts["s_before"] == pytest.approx(gaps[:2].mean() / gaps[3:5].mean())


# -- compared with few, or matched ----------------------------------------------------------------

_ENDS = ("lowest", "highest")
BEFORE = (FIRST, FIRST + START - 1)


def on_mean(y: np.ndarray, *, ratio: int = 3) -> Matching:
    return Matching(Covariates.from_panel(panel_of(y), means={"m": BEFORE}), ratio=ratio)


def near_sets(y: np.ndarray, rows: list[int]) -> MatchedSets:
    """Give each pilot the two nearest in the mean before."""
    ids, mean = codes(N), y[:, :START].mean(axis=1)
    free = np.array([j for j in range(N) if j not in rows])
    near = {j: free[np.argsort(np.abs(mean[free] - mean[j]))[:2]] for j in rows}
    return MatchedSets({ids[j]: {ids[i]: 0.5 for i in near[j]} for j in rows})


@pytest.mark.parametrize("kind", ["matched", "sets", "few", "with pilots"])
def test_the_choice_is_among_all_who_could_have_served(kind):
    y = values()
    rows = chosen(y, "average")
    few = tuple(codes(N)[j] for j in range(N) if j not in rows)[:4]
    against: Against = {
        "matched": on_mean(y),
        "sets": near_sets(y, rows),
        "few": Pool(units=few),
        "with pilots": Pool(include_pilots=True),
    }[kind]
    check = RegressionToTheMean(**FAST)
    free = fitted(y, rows, "average").check(check)
    mine = fitted(y, rows, "average", against=against).check(check)
    pd.testing.assert_frame_equal(mine.table, free.table)
    moved = {"actual", "bias"} | {f"{a}_{b}" for a in ("bias", "seen") for b in _ENDS}
    for name in set(free.facts) - (moved if kind == "matched" else {"actual"}):
        assert mine.facts[name] == free.facts[name], name
    assert mine.headline.rsplit("smallest", 1)[1] == free.headline.rsplit("smallest", 1)[1]
    n = len(fitted(y, rows, "average", against=against).design.comparators)
    told = (
        "among all 35 that could have been compared with the pilots; the estimate compares them "
        f"with {n}"
    )
    assert any(told in note for note in mine.notes) == (kind != "with pilots")
    assert not any("could have been compared" in note for note in free.notes)


def test_units_left_out_by_name_or_dropped_could_not_have_served():
    y = values()
    rows = chosen(y, "average")
    out = next(codes(N)[j] for j in range(N) if j not in rows)
    check = RegressionToTheMean(**FAST, variation=MADE)
    starts = dict.fromkeys(rows, START)
    design = design_of(y, starts, selection="average", against=on_mean(y), exclude=[out])
    served = design.comparators[0]
    made = DiD().fit(design.drop(served), "m").infer(None).check(check)
    both = fitted(y, rows, "average", exclude=[out, served]).check(check)
    pd.testing.assert_frame_equal(made.table, both.table)
    assert any("among all 33 that" in note for note in made.notes)
    everyone = fitted(y, rows, "average").check(check)
    assert everyone.facts["distance_mean"] != both.facts["distance_mean"]


def test_a_unit_without_a_value_before_is_not_counted():
    y = values()
    rows = chosen(y, "average")
    gone = next(j for j in range(N) if j not in rows)
    without = np.delete(y, gone, axis=0)
    y[gone, :START] = np.nan
    check = RegressionToTheMean(**FAST, variation=MADE)
    one = fitted(y, rows, "average").check(check)
    other = fitted(without, [j - (j > gone) for j in rows], "average").check(check)
    np.testing.assert_allclose(one.table["bias"], other.table["bias"], rtol=1e-9)


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ({"means": {"m": BEFORE}}, "matched_mean"),
        ({"values": {"m": BEFORE}}, "matched_mean"),
        ({"values": {"m": FIRST + 3}}, "matched_last"),
        ({"means": {"m": FIRST + 3}}, "matched_last"),
        ({"values": {"m": FIRST + 3}, "slopes": {"m": BEFORE}}, "matched_last"),
        ({"slopes": {"m": BEFORE}}, "did"),
    ],
)
def test_the_row_in_use_is_what_the_design_matches_on(asked, used):
    y = values()
    rows = chosen(y, "average")
    on = Covariates.from_panel(panel_of(y), **asked)
    estimate = fitted(y, rows, "average", against=Matching(on, ratio=3))
    assert in_use(estimate) == used
    finding = estimate.check(RegressionToTheMean(**FAST, variation=MADE))
    mine = row(finding, "average", "observed", used)
    wanted = mine["closed_form"] if used == "did" else mine["bias"]
    assert finding.facts["bias"] == finding.facts["seen_lowest"] == wanted
    told = {
        "did": "would give DiD ",
        "matched_last": "would give DiD matched on the last year ",
        "matched_mean": "would give DiD matched on the mean before ",
    }[used]
    assert told + ("−" if wanted < 0 else "+") in finding.headline
    assert any(note.startswith(f"the row {used} (") for note in finding.notes)
    assert any("DiD without matching is the nearest" in n for n in finding.notes) == (used == "did")
    rest = any("covariates m slope 2011 to 2014 are not simulated" in n for n in finding.notes)
    assert rest == (len(asked) == 2)


def test_levels_are_known_by_what_they_are_not_by_their_name():
    y = values()
    rows = chosen(y, "average")
    panel = panel_of(y)
    present = Covariates.from_panel(panel, means={"m": (2012, 2014)}, periods="present")
    estimate = fitted(y, rows, "average", against=Matching(present, ratio=3))
    assert in_use(estimate) == "matched_mean"
    both = present.join(Covariates.from_panel(panel, slopes={"m": (2012, 2014)}))
    assert in_use(fitted(y, rows, "average", against=Matching(both))) == "matched_mean"
    slope = both.select(["m slope 2012 to 2014"])
    assert in_use(fitted(y, rows, "average", against=Matching(slope))) == "did"
    alike = panel.wide("m")[["2014"]].set_axis(["m 2014"], axis=1)  # the user's own, called so
    theirs = Covariates(alike, until={"m 2014": "2014"})
    assert in_use(fitted(y, rows, "average", against=Matching(theirs))) == "did"


def test_a_design_weighted_on_something_else_is_nearest_to_did():
    y = values()
    rows = chosen(y, "average")
    frame = pd.DataFrame({"la": codes(N), "m 2014": np.random.default_rng(1).normal(size=N)})
    on = Covariates.from_frame(frame, unit="la")  # called so, but not the panel's
    estimate = fitted(y, rows, "average", against=EntropyBalancing(on))
    assert in_use(estimate) == "did"
    notes = estimate.check(RegressionToTheMean(**FAST, variation=MADE)).notes
    assert "it is matched on m 2014, which are no levels of this metric" in notes[0]
    weighted = EntropyBalancing(Covariates.from_panel(panel_of(y), values={"m": FIRST + 3}))
    mild = sorted(np.argsort(y[:, START - 1])[[10, 15, 20, 25]].tolist())  # inside the others
    assert in_use(fitted(y, mild, "average", against=weighted)) == "matched_last"


# -- few years, nothing that lasts ----------------------------------------------------------------


@pytest.mark.parametrize("selection", ["latest_value", "average", "random", "unknown"])
def test_one_year_before_is_its_own_mean(selection):
    y = values()[:, START - 1 :]
    rows = sorted(np.argsort(-y[:, 0])[:5].tolist())
    design = design_of(y, dict.fromkeys(rows, 1), selection=selection)
    check = RegressionToTheMean(draws=1000, variation=MADE)
    finding = DiD().fit(design, "m").infer(None).check(check)
    words = [finding.headline, *finding.notes]
    assert not any(one.rstrip(".").endswith("smallest for ") for one in words)
    assert not any(
        "dropping the last year" in one or "matching on the mean" in one or "nan" in one
        for one in words
    )
    if selection in ("latest_value", "average"):
        assert finding.headline.endswith(
            "smallest for matching on the last year, because a comparator as extreme in that year "
            "returns alike."
        )
    without = finding.table[finding.table["estimator"] == "did_without_last"]
    assert without["bias"].isna().all()
    assert any("authorities in one year last (reliability" in note for note in finding.notes)


def test_two_years_before_are_enough_for_all_ways():
    y = values()[:, START - 2 :]
    rows = sorted(np.argsort(-y[:, :2].mean(axis=1))[:5].tolist())
    design = design_of(y, dict.fromkeys(rows, 2), selection="average")
    finding = DiD().fit(design, "m").infer(None).check(RegressionToTheMean(**FAST))
    assert finding.table["bias"].notna().all()
    assert "smallest for matching on the mean of the years before" in finding.headline
    assert any("in the mean of 2 years last" in note for note in finding.notes)


def test_where_nothing_lasts_the_whole_distance_goes():
    finding = found("average", variation=Variation(0.0, 12.0, 0.0))
    gap = finding.facts["distance_mean"]
    share = min(gap / (12 / 2 * mean_of_highest(5, 40) * 40 / 35), 1)
    at = row(finding, "average", "observed")["closed_form"]
    most = row(finding, "average", "rank")["closed_form"]
    assert at == pytest.approx(share * most)
    assert most == pytest.approx(-12 / 2 * mean_of_highest(5, 40) * 40 / 35)
    assert row(finding, "average", "rank", "post_gap")["closed_form"] == pytest.approx(0)
    assert finding.facts["reliability_mean"] == 0
    assert any(note.startswith("0% of the differences") for note in finding.notes)
    assert any("changes by at least 100% of its size" in note for note in finding.notes)


# -- words ----------------------------------------------------------------------------------------


def test_what_lasts_and_what_follows_stand_in_the_notes():
    finding = found("average", variation=MADE)
    mean, one = MADE.reliability(4), MADE.reliability(1)
    told = next(note for note in finding.notes if "(reliability" in note)
    assert told.startswith(f"{mean:.0%} of the differences between authorities in the mean of 4 ")
    assert told.endswith(f", {one:.0%} of those in one year")
    ham = next(note for note in finding.notes if "Ham & Miratrix" in note)
    assert f"by at least {1 - mean:.0%} of its size" in ham
    assert not any("Daw & Hatfield" in note for note in finding.notes)
    for selection in ("bid", "unknown"):
        finding = found("average", variation=MADE, selection=selection)
        daw = next(note for note in finding.notes if "Daw & Hatfield" in note)
        assert signed(row(finding, "permanent", "", "matched_mean")["bias"]) in daw
    random = found("average", selection="random", variation=MADE)
    assert not any("Ham & Miratrix" in note or "Daw" in note for note in random.notes)


def test_the_recommendation_has_its_reason():
    average = found("average", variation=MADE, draws=2000)
    assert average.headline.endswith(
        "because a comparator as extreme in those years returns alike."
    )
    latest = found("latest_value", variation=MADE, draws=2000)
    assert "because the year in which they were extreme by chance is left out" in latest.headline
    random = found("average", selection="random")
    assert "because there is nothing to remove" in random.headline
    open_ = found("average", selection="bid", variation=MADE, draws=2000)
    lasting = next(note for note in open_.notes if note.startswith("if chosen for reasons that"))
    assert "because matched comparators are extreme by chance" in lasting


def test_an_open_selection_says_observed_and_worst():
    y = values()
    rows = [*chosen(y, "average")[1:], int(np.argsort(-y[:, START - 1])[12])]
    finding = fitted(y, rows, "bid").check(RegressionToTheMean(**FAST, variation=MADE))
    facts, table = finding.facts, finding.table
    mine = table[table["estimator"] == "did"].set_index("strength")["closed_form"]
    dots = mine.drop("rank")
    assert facts["seen_lowest"] == dots.min() > mine.min() == facts["bias_lowest"]
    assert facts["seen_highest"] == dots.max()
    seen, worst = (
        f"{signed(facts[f'{kind}_lowest'])} to {signed(facts[f'{kind}_highest'])}"
        for kind in ("seen", "bias")
    )
    assert f"pilots as far out as they were would give DiD from {seen} " in finding.headline
    assert f"({worst} had the most extreme been taken)" in finding.headline


def test_pilots_that_had_the_programme_before_are_named():
    y, ids = values(), codes(N)
    rows = chosen(y, "average")
    starts = {ids[j]: FIRST + START for j in rows}
    free = ids[next(j for j in range(N) if j not in rows)]
    since = {ids[rows[0]]: FIRST + 1, ids[rows[1]]: None, free: FIRST}
    told = []
    for contaminated in (None, {free: FIRST}, since):
        rollout = Rollout(starts, contaminated=contaminated)
        design = Design(panel_of(y), rollout, against=Pool(), selection="average")
        finding = DiD().fit(design, "m").infer(None).check(RegressionToTheMean(**FAST))
        told.append([note for note in finding.notes if "had the programme in some" in note])
    assert told[:2] == [[], []]
    first, second = sorted(ids[j] for j in rows[:2])
    assert told[2][0].startswith(
        f"2 pilots had the programme in some of the years before: {first}, {second};"
    )


def test_what_has_the_smallest_bias_follows_the_selection():
    average = found("average", variation=MADE, draws=2000)
    assert "smallest for matching on the mean of the years before" in average.headline
    latest = found("latest_value", variation=Variation(10.0, 7.0, 0.5), draws=2000)
    assert "smallest for dropping the last year before the start" in latest.headline
    assert any("sides of it are alike: 3 before, 3 after" in note for note in latest.notes)
    random = found("average", selection="random", draws=2000)
    assert "no way has a clearly smaller bias" in random.headline
    for finding in (average, latest, random):
        assert "under these assumptions" in finding.headline.lower()


def test_an_open_selection_has_a_range_and_no_single_choice():
    finding = found("average", selection="bid", draws=2000, variation=MADE)
    assert "no single choice is right" in finding.headline
    assert np.isnan(finding.facts["bias"])
    mine = finding.table[finding.table["estimator"] == "did"]["closed_form"]
    assert finding.facts["bias_lowest"] == mine.min() < finding.facts["bias_highest"]
    assert finding.facts["bias_highest"] == mine.max()
    lasting = next(note for note in finding.notes if note.startswith("if chosen for reasons that"))
    assert "no matching, all years before kept" in lasting
    assert "matching on the mean" not in lasting


def test_staggered_starts_other_estimators_and_matched_sets_are_told():
    y, ids = values(), codes(N)
    rows = chosen(y, "average")
    starts = dict.fromkeys(rows, START) | {rows[0]: START + 1}
    staggered = DiD().fit(design_of(y, starts, selection="average"), "m").infer(None)
    notes = staggered.check(RegressionToTheMean(**FAST)).notes
    assert any(f"all are treated as from {FIRST + START}" in note for note in notes)
    free = [j for j in range(N) if j not in rows]
    sets = MatchedSets(
        {ids[j]: {ids[free[i]]: 0.5, ids[free[i + 9]]: 0.5} for i, j in enumerate(rows)}
    )
    matched = fitted(y, rows, "average", against=sets).check(RegressionToTheMean(**FAST))
    assert any("its comparators are matched sets" in note for note in matched.notes)
    assert any("among all 35 that could have been" in note for note in matched.notes)
    design = design_of(y, dict.fromkeys(rows, START), selection="average")
    events = EventStudy().fit(design, "m").infer(None).check(RegressionToTheMean(**FAST))
    assert any("EventStudy" in note for note in events.notes)
    gap = Gap().fit(design, "m").infer(None).check(RegressionToTheMean(**FAST))
    assert not any("stands for" in note for note in gap.notes)


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "needed"),
    [
        ({"draws": 99}, "draws= of 100 or more"),
        ({"seed": -1}, "seed= of 0 or more"),
        ({"ratio": 0}, "ratio= of 1 or"),
        ({"ratio": 1.5}, "whole numbers"),
        ({"worst": "low"}, "worst='highest'"),
        ({"variation": 0.5}, "a Variation, or None"),
    ],
)
def test_options_out_of_range_are_refused(wrong, needed):
    with pytest.raises(InferenceError, match=needed):
        RegressionToTheMean(**wrong)


def test_too_few_comparators_or_years_are_refused_by_name():
    y = values()[:5]
    made = fitted(y, [0, 1, 2], "average")
    with pytest.raises(InferenceError, match="at least ratio=3 comparators"):
        made.check(RegressionToTheMean())
    made.check(RegressionToTheMean(draws=100, ratio=2, variation=MADE))  # all of them
    early = DiD().fit(design_of(values(), {1: 1, 2: 1}, selection="average"), "m").infer(None)
    with pytest.raises(InferenceError, match="at least two periods before"):
        early.check(RegressionToTheMean())


def test_a_last_year_that_one_arm_lacks_is_refused():
    y = values()
    y[[3, 8], START - 1] = np.nan
    ids = codes(N)
    rollout = Rollout({ids[3]: FIRST + START, ids[8]: FIRST + START})
    design = Design(panel_of(y), rollout, against=Pool(), selection="latest_value")
    made = DiD().fit(design, "m").infer(None)
    with pytest.raises(InferenceError, match="in the last year before the start") as caught:
        made.check(RegressionToTheMean())
    assert "pilots" in caught.value.found


@pytest.mark.parametrize(("r", "s"), [(1.2, 1.0), (0.5, "1"), (True, 1.0)])
def test_the_condition_refuses_what_is_no_reliability(r, s):
    with pytest.raises(InferenceError, match="a reliability from 0 to 1"):
        matching_reduces_bias(r, s)
