"""Balance: MatchIt's numbers, identities, invariance, and the words."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, frame_of, noise
from hypothesis import given
from hypothesis import strategies as st

from didkit.design import Balance, Covariates, Design, Matched, MatchedSets, Pool, Rollout
from didkit.design.alike import alike, effective_size, variance
from didkit.errors import DesignError, PanelError
from didkit.panel import Panel

N, T = 14, 6
IDS = codes(N)
PILOTS = {1: 3, 4: 3, 9: 3}


def sets_of(members: dict[int, dict[int, float]], **options: Any) -> MatchedSets:
    return MatchedSets(
        {IDS[p]: {IDS[j]: w for j, w in own.items()} for p, own in members.items()}, **options
    )


SETS = {1: {0: 0.5, 2: 0.5}, 4: {2: 0.25, 3: 0.75}, 9: {2: 1.0}}
# each comparator's weight, by hand: a third of its weights in the three sets
TOTAL = {0: 0.5 / 3, 2: (0.5 + 0.25 + 1) / 3, 3: 0.75 / 3}


def by_name(made: Balance) -> pd.DataFrame:
    return made.table.set_index("covariate")


# -- the reference: MatchIt's own weights, MatchIt's own numbers -------------------------------


@pytest.fixture(scope="module")
def counties(shared_reference):
    long = pd.read_csv(shared_reference / "data" / "mpdta.csv")
    wide = long.pivot(index="countyreal", columns="year", values="lemp").add_prefix("lemp.")
    first = long.groupby("countyreal")[["lpop", "first.treat"]].first()
    return wide.join(first)


CASES = [
    "match_nearest_glm",
    "match_nearest_glm_replace",
    "match_caliper_glm_replace",
    "match_exact_band_glm_replace",
    "match_nearest_mahalanobis_ratio1",
    "match_nearest_mahalanobis_replace_ratio3",
    "match_optimal_mahalanobis_2004",
    "match_optimal_mahalanobis_2004_ratio3",
    "match_nearest_mahalanobis_2004_replace",
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["lpop", "lemp.2003"])
def test_the_numbers_of_matchit(case, name, counties, shared_reference) -> None:
    table = pd.read_csv(shared_reference / "matching.csv")
    own = table[table["case"] == case].set_index("term")["estimate"]
    units = counties[counties["first.treat"].isin([0, 2004])] if "2004" in case else counties
    treated = units["first.treat"] > 0
    weights = own[own.index.str.startswith("weight|")]
    weights.index = weights.index.str.removeprefix("weight|").astype(int)
    made = alike(
        units.loc[treated, name].to_numpy(),
        units.loc[~treated, name].to_numpy(),
        units.loc[weights.index, name].to_numpy(),
        weights.to_numpy(),
    )
    assert made.smd_after == pytest.approx(own[f"smd_matched|{name}"], rel=1e-6)
    assert made.var_ratio_after == pytest.approx(own[f"var_ratio_matched|{name}"], rel=1e-6)
    assert made.ess == pytest.approx(own["n|Control|Matched (ESS)"], rel=1e-6)


@pytest.mark.parametrize("name", ["lpop", "lemp.2003"])
def test_entropy_balancing_leaves_no_difference_of_means(name, counties, shared_reference) -> None:
    table = pd.read_csv(shared_reference / "matching.csv")
    own = table[table["case"] == "ebal_moments1"].set_index("term")["estimate"]
    weights = own[own.index.str.startswith("weight|")]
    weights.index = weights.index.str.removeprefix("weight|").astype(int)
    treated = counties.loc[counties["first.treat"] > 0, name].to_numpy()
    x = counties.loc[weights.index, name].to_numpy()
    made = alike(treated, x, x, weights.to_numpy())
    assert abs(made.smd_after) < 1e-3 < abs(made.smd_before)  # ebal's own tolerance


# -- the kernel ---------------------------------------------------------------------------------

numbers = st.lists(st.floats(-50, 50, allow_subnormal=False), min_size=3, max_size=8)


@given(numbers)
def test_equal_weights_give_the_usual_variance(values: list[float]) -> None:
    x = np.array(values)
    assert variance(x, np.full(len(x), 0.3)) == pytest.approx(np.var(x, ddof=1), abs=1e-9)


@given(numbers, st.integers(1, 4))
def test_whole_weights_are_reliability_weights_not_copies(values: list[float], times: int) -> None:
    x, w = np.array(values), np.arange(1.0, len(values) + 1)
    copies = np.repeat(x, (w * times).astype(int))
    effective = effective_size(w)  # n - 1 is replaced by the effective size's
    expected = np.var(copies, ddof=0) * effective / (effective - 1)
    assert variance(x, w) == pytest.approx(expected, abs=1e-8)


def test_a_weight_of_zero_is_nobody() -> None:
    x, w = np.array([1.0, 4.0, 9.0, 100.0]), np.array([1.0, 2.0, 1.0, 0.0])
    assert variance(x, w) == pytest.approx(variance(x[:3], w[:3]))
    assert np.isnan(variance(x, np.array([0.0, 1.0, 0.0, 0.0])))
    assert np.isnan(variance(x, np.zeros(4)))


def test_a_covariate_of_0_and_1_has_the_variance_of_a_share() -> None:
    pilots, pool = np.array([1.0, 1, 0, 0]), np.array([1.0, 0, 0, 0, 0])
    made = alike(pilots, pool, pool, np.ones(5))
    assert made.smd_before == pytest.approx((0.5 - 0.2) / 0.5)
    assert np.isnan(made.var_ratio_after)
    both = alike(pilots, pool, pool, np.ones(5), standardise="pooled")
    assert both.smd_before == pytest.approx(0.3 / np.sqrt((0.25 + 0.16) / 2))


def test_who_is_divided_by() -> None:
    pilots, pool = np.array([4.0, 6.0]), np.array([0.0, 1.0, 5.0])
    whole = {"pilots": np.sqrt(2), "pool": np.sqrt(7), "pooled": np.sqrt(4.5)}
    for standardise, scale in whole.items():
        made = alike(pilots, pool, pool[:2], np.array([3.0, 1.0]), standardise=standardise)
        assert made.smd_before == pytest.approx(3 / scale)
        assert made.smd_after == pytest.approx(4.75 / scale)
        assert made.var_ratio_before == pytest.approx(2 / 7)
        assert made.ess == pytest.approx(16 / 10)


def test_a_perfect_copy_has_no_difference() -> None:
    x = np.array([3.0, 5.0, 11.0])
    made = alike(x, np.arange(9.0), x, np.ones(3))
    assert made.smd_after == 0
    assert made.var_ratio_after == pytest.approx(1)


# -- designs -------------------------------------------------------------------------------------


def test_rows_are_mean_last_value_and_slope_before_the_first_start() -> None:
    y = noise(N, T, 3)
    made = by_name(design_of(y, {1: 3, 4: 4, 9: 3}).balance())
    at, pool = [1, 4, 9], [j for j in range(N) if j not in (1, 4, 9)]
    slope = np.array([np.polyfit(range(3), row[:3], 1)[0] for row in y])
    span = f"{FIRST} to {FIRST + 2}"
    for name, kind, x in (
        (f"m mean {span}", "level", y[:, :3].mean(axis=1)),
        (f"m {FIRST + 2}", "last", y[:, 2]),
        (f"m slope {span}", "slope", slope),
    ):
        row = made.loc[name]
        sd = x[at].std(ddof=1)
        assert row["kind"] == kind
        assert row["pilots"] == pytest.approx(x[at].mean())
        assert row["pool"] == pytest.approx(x[pool].mean())
        assert row["smd_before"] == pytest.approx((x[at].mean() - x[pool].mean()) / sd)
        assert row["var_ratio_before"] == pytest.approx(sd**2 / x[pool].var(ddof=1))
    assert len(made) == 3


def test_one_pool_of_everyone_is_the_same_before_and_after() -> None:
    made = design_of(noise(N, T, 3), PILOTS).balance().table
    assert made["smd_after"].tolist() == pytest.approx(made["smd_before"].tolist())
    assert made["var_ratio_after"].tolist() == pytest.approx(made["var_ratio_before"].tolist())
    assert made["ess"].tolist() == pytest.approx([N - 3] * 3)
    assert made["smd_se"].tolist() == pytest.approx([np.sqrt(1 / 3 + 1 / 11)] * 3)


def test_comparators_weigh_what_they_weigh_over_all_sets() -> None:
    y = noise(N, T, 3)
    design = design_of(y, PILOTS, against=sets_of(SETS))
    row = by_name(design.balance()).loc[f"m {FIRST + 2}"]
    w = np.array(list(TOTAL.values()))
    x = y[list(TOTAL), 2]
    assert row["comparators"] == pytest.approx(w @ x)
    assert row["difference"] == pytest.approx(y[[1, 4, 9], 2].mean() - w @ x)
    assert row["ess"] == pytest.approx(1 / (w @ w))
    assert row["smd_se"] == pytest.approx(np.sqrt(1 / 3 + w @ w))
    own = np.mean([sum(v * y[j, 2] for j, v in s.items()) for s in SETS.values()])
    assert row["comparators"] == pytest.approx(own)  # the mean of each pilot's own comparison
    spread = (w @ (x - w @ x) ** 2) / (1 - w @ w)
    assert row["var_ratio_after"] == pytest.approx(y[[1, 4, 9], 2].var(ddof=1) / spread)


def test_twins_as_comparators_leave_no_difference() -> None:
    y = noise(N, T, 3)
    y[[0, 2, 3], :3] = y[[1, 4, 9], :3]
    twins = {1: {0: 1.0}, 4: {2: 1.0}, 9: {3: 1.0}}
    made = design_of(y, PILOTS, against=sets_of(twins)).balance()
    assert made.table["smd_after"].tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    assert made.table["var_ratio_after"].tolist() == pytest.approx([1, 1, 1])
    assert made.facts["largest_after"] == pytest.approx(0, abs=1e-12)
    assert made.facts["ess"] == pytest.approx(3)


def test_nothing_moves_when_rows_are_shuffled_or_levels_shifted() -> None:
    y = noise(N, T, 3)
    design = design_of(y, PILOTS, against=sets_of(SETS))
    frame = frame_of(y).sample(frac=1, random_state=4)
    mixed = Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    rollout = Rollout({IDS[j]: FIRST + t for j, t in reversed(PILOTS.items())})
    backwards = {p: dict(reversed(own.items())) for p, own in reversed(SETS.items())}
    again = Design(mixed, rollout, against=sets_of(backwards), selection="unknown").balance()
    pd.testing.assert_frame_equal(again.table, design.balance().table)
    pd.testing.assert_frame_equal(again.overlap, design.balance().overlap)
    scaled = by_name(design_of(5 * y - 70, PILOTS, against=sets_of(SETS)).balance())
    columns = ["smd_before", "smd_after", "var_ratio_before", "var_ratio_after", "ess"]
    pd.testing.assert_frame_equal(scaled[columns], by_name(design.balance())[columns])


def test_excluded_and_dropped_units_are_not_in_the_pool() -> None:
    y = noise(N, T, 3)
    y[13] += 1e4
    y[9] -= 1e4
    design = design_of(y, PILOTS, exclude=[IDS[13]]).drop(IDS[9])
    row = by_name(design.balance()).loc[f"m {FIRST + 2}"]
    pool = [j for j in range(N) if j not in (1, 4, 9, 13)]
    assert row["pool"] == pytest.approx(y[pool, 2].mean())
    assert (row["n_pilots"], row["n_pool"], row["n_comparators"]) == (2, 10, 10)


def test_who_lacks_a_value_is_left_out_of_the_row_counted_and_named() -> None:
    y = noise(N, T, 3)
    y[4, 0] = np.nan  # a pilot, not in the last period
    y[0, 2] = np.nan  # a comparator
    made = design_of(y, PILOTS, against=sets_of(SETS)).balance()
    table = by_name(made)
    assert table["n_pilots"].tolist() == [2, 3, 2]
    assert table["n_comparators"].tolist() == [1, 2, 1]  # 3 serves the pilot that is gone only
    last = table.loc[f"m {FIRST + 2}"]
    own = (y[2, 2] + 0.25 * y[2, 2] + 0.75 * y[3, 2] + y[2, 2]) / 3
    assert last["comparators"] == pytest.approx(own)  # the weight of 0 goes to 2
    (long,) = [n for n in made.notes if f"m mean {FIRST} to {FIRST + 2}" in n and "no value" in n]
    assert IDS[4] in long
    assert "1 of the comparators, 1 of the pool" in long
    assert np.isnan(table["var_ratio_after"].iloc[0])  # one comparator has no variance
    mean = made.overlap.iloc[0]  # 3 serves nobody who has a value
    assert mean["comparators_min"] == mean["comparators_max"] == pytest.approx(y[2, :3].mean())


def test_a_pilot_whose_comparators_all_lack_a_value_is_named() -> None:
    y = noise(N, T, 3)
    y[2, 2] = np.nan
    made = design_of(y, PILOTS, against=sets_of(SETS)).balance()
    (alone,) = [note for note in made.notes if note.startswith("no comparator of")]
    assert IDS[9] in alone
    last = by_name(made).loc[f"m {FIRST + 2}"]
    assert last["n_pilots"] == 3
    assert last["comparators"] == pytest.approx((y[0, 2] + y[3, 2]) / 2)


def test_a_period_without_any_value_is_left_out() -> None:
    y = noise(N, T, 3)
    y[:, 1] = np.nan
    made = by_name(design_of(y, PILOTS).balance())
    x = (y[:, 2] - y[:, 0]) / 2  # two periods apart
    assert made["kind"].tolist() == ["level", "last", "slope"]
    assert made["pilots"].iloc[2] == pytest.approx(x[[1, 4, 9]].mean())
    y[:, 0] = np.nan
    short = design_of(y, PILOTS).balance()
    assert short.table["kind"].tolist() == ["level", "last"]
    assert any("no slope" in note for note in short.notes)


def test_covariates_and_levels_of_labels_have_rows() -> None:
    y = noise(N, T, 3)
    table = pd.DataFrame(
        {"poor": np.arange(N) * 1.5, "region": ["north", "south"] * (N // 2)}, index=IDS
    )
    table.loc[IDS[1], "region"] = None
    made = design_of(y, PILOTS).balance(["m"], covariates=Covariates(table))
    rows = by_name(made)
    assert rows.index.tolist()[3:] == ["poor", "region: north", "region: south"]
    assert rows.loc["poor", "pilots"] == pytest.approx(1.5 * 14 / 3)
    assert rows.loc["region: north", "pilots"] == pytest.approx(0.5)  # of 4 and 9
    assert rows.loc["region: north", "n_pilots"] == 2
    both = rows.loc[["region: north", "region: south"], ["pilots", "comparators", "pool"]].sum()
    assert both.tolist() == pytest.approx([1, 1, 1])
    assert set(rows.loc[["poor", "region: north"], "kind"]) == {"covariate"}


def test_the_covariates_of_the_matching_are_taken_and_said() -> None:
    class Nearest(Matched):
        def __init__(self, on: Covariates) -> None:
            self.on, self.missing = on, "refuse"

        def match(self, pilots: Any, candidates: Any) -> MatchedSets:
            return MatchedSets({pilot: {candidates[0]: 1.0} for pilot in pilots})

        def describe(self) -> str:
            return "the first"

    on = Covariates(pd.DataFrame({"poor": np.arange(N) * 1.5}, index=IDS))
    y = noise(N, T, 3)
    made = design_of(y, PILOTS, against=Nearest(on)).balance()
    assert made.table["covariate"].tolist()[-1] == "poor"
    assert any("matched on" in note and "by construction" in note for note in made.notes)
    other = design_of(y, PILOTS, against=Nearest(on)).balance(
        covariates=Covariates(pd.DataFrame({"rich": np.arange(N) * 1.0}, index=IDS))
    )
    assert other.table["covariate"].tolist()[-1] == "rich"
    assert not any("matched on" in note for note in other.notes)


def test_a_covariate_that_stands_among_the_metrics_is_not_repeated() -> None:
    design = design_of(noise(N, T, 3), PILOTS)
    same = Covariates.from_panel(design.panel, means={"m": (FIRST, FIRST + 2)})
    assert len(design.balance(covariates=same).table) == 3
    other = Covariates(same.table + np.arange(N)[:, None])
    made = design.balance(covariates=other).table
    assert made["covariate"].tolist()[-1] == f"m mean {FIRST} to {FIRST + 2} (covariate)"


def test_overlap_names_the_pilots_outside() -> None:
    y = noise(N, T, 3)
    y[4, :3] += 1e4
    y[9, 2] -= 1e4
    made = design_of(y, PILOTS, against=sets_of(SETS)).balance().overlap.set_index("covariate")
    last = made.loc[f"m {FIRST + 2}"]
    x = y[[0, 2, 3], 2]
    assert (last["comparators_min"], last["comparators_max"]) == (x.min(), x.max())
    assert last["comparators_p5"] == pytest.approx(np.percentile(x, 5))
    assert last["comparators_p95"] == pytest.approx(np.percentile(x, 95))
    assert (last["pilots_min"], last["pilots_max"]) == (y[9, 2], y[4, 2])
    x1 = y[1, 2]
    inside = x.min() <= x1 <= x.max()
    outside = [IDS[4], IDS[9]] if inside else [IDS[1], IDS[4], IDS[9]]
    assert last["outside"].split(", ") == outside
    assert last["n_outside"] == len(outside)


def test_the_summary_says_who_is_outside_on_what_and_how_many_have_a_value() -> None:
    y = noise(N, T, 3)
    y[[0, 2, 3], :3] = [[0.0, 0, 0], [10, 10, 10], [500, 500, 500]]
    y[[1, 4, 9], :3] = 100
    inside = design_of(y, PILOTS, against=sets_of(SETS)).balance()
    assert "Outside all comparators" not in inside.summary()
    assert "3 pilots, " in inside.summary()
    y[4, :3] = 1e4
    y[9, 0] = np.nan
    made = design_of(y, PILOTS, against=sets_of(SETS)).balance()
    text = (
        "Outside all comparators on at least one row: 1 of 3 pilots: "
        f"{IDS[4]} (m mean {FIRST} to {FIRST + 2}, m {FIRST + 2})."
    )
    for shown in (made.summary(), html.unescape(made._repr_html_())):
        assert text in shown
        assert "3 pilots (2 to 3 of them with a value)" in shown


def test_at_the_edge_of_the_comparators_is_not_outside() -> None:
    y = noise(N, T, 3)
    x = y[[0, 2, 3], 2]
    y[[1, 4, 9], 2] = x.max(), x.max() + 1e-9, x.min()
    last = design_of(y, PILOTS, against=sets_of(SETS)).balance().overlap.iloc[1]
    assert last["comparators_p95"] < y[1, 2]
    assert (last["n_outside"], last["outside"]) == (1, IDS[4])


def test_facts_are_those_of_the_table() -> None:
    made = design_of(noise(N, T, 3), PILOTS, against=sets_of(SETS)).balance()
    for when in ("before", "after"):
        smd = by_name(made)[f"smd_{when}"]
        assert made.facts[f"largest_{when}_of"] == smd.abs().idxmax()
        assert made.facts[f"largest_{when}"] == smd[smd.abs().idxmax()]
        assert made.facts[f"mean_{when}"] == pytest.approx(smd.abs().mean())
    w = np.array(list(TOTAL.values()))
    assert made.facts["ess"] == pytest.approx(1 / (w @ w))


def test_one_pilot_has_no_spread_and_the_note_says_what_to_do() -> None:
    design = design_of(noise(N, T, 3), {1: 3})
    made = design.balance()
    assert made.table["smd_after"].isna().all()
    assert any("standardise='pool'" in note for note in made.notes)
    assert "No standardised difference" in made.summary()
    pool = design.balance(standardise="pool").table
    assert pool["smd_before"].notna().all()


def test_what_is_alike_in_all_pilots_is_said() -> None:
    flags = Covariates(pd.DataFrame({"city": [0.0, 1] * (N // 2)}, index=IDS))
    made = design_of(noise(N, T, 3), {1: 3, 3: 3, 9: 3}).balance(covariates=flags)
    assert np.isnan(by_name(made).loc["city", "smd_after"])
    assert any("pilots are all alike" in note and "city" in note for note in made.notes)


def test_medians_are_said_and_shown_as_means() -> None:
    sets = {1: {0: 0.5, 2: 0.5}, 4: {2: 1.0}, 9: {3: 1.0}}
    y = noise(N, T, 3)
    made = design_of(y, PILOTS, against=sets_of(sets, aggregate="median")).balance()
    mean = by_name(design_of(y, PILOTS, against=sets_of(sets)).balance())
    pd.testing.assert_frame_equal(by_name(made), mean)
    assert any("median" in note for note in made.notes)


# -- words --------------------------------------------------------------------------------------


def test_it_measures_and_passes_no_verdict() -> None:
    made = design_of(noise(N, T, 3), PILOTS, against=sets_of(SETS)).balance()
    text = made.summary() + made.to_markdown() + made._repr_html_() + repr(made)
    for word in ("significant", "pass", "fail", "balanced", "good", "threshold", "acceptable"):
        assert word not in text.lower()
    assert "3 pilots, 3 comparators who count for" in text
    assert made.facts["largest_after_of"] in made.summary()
    chance = np.sqrt(1 / 3 + 1 / float(made.facts["ess"]))
    assert f"about {chance:.2f}" in text
    assert text.count("smd_se is what chance alone gives") == 2


def test_tables_are_whole_and_escaped() -> None:
    table = pd.DataFrame({"<b>|x": np.arange(N) * 1.0}, index=IDS)
    made = design_of(noise(N, T, 3), PILOTS).balance(covariates=Covariates(table))
    lines = made.to_markdown().splitlines()
    assert len(lines) == 2 + len(made.table)
    assert all(line.count("|") - line.count("\\|") == len(made.table.columns) + 1 for line in lines)
    assert html.escape("<b>|x") in made._repr_html_()
    assert "<b>" not in made._repr_html_()
    copied = made.tidy()
    copied["pilots"] = 0.0
    assert (made.table["pilots"] != 0).all()


def test_a_long_table_is_cut_in_a_summary_and_says_so() -> None:
    rng = np.random.default_rng(1)
    wide = Covariates(pd.DataFrame(rng.normal(size=(N, 20)), index=IDS).add_prefix("c"))
    made = design_of(noise(N, T, 3), PILOTS).balance(covariates=wide)
    assert "… 11 more rows" in made.summary()
    assert made.facts["largest_after_of"] in made.summary()
    assert made.summary().count("\n| ") == 2 + 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metrics": "m"}, r"write \['m'\]"),
        ({"standardise": "treated"}, "'treated'"),
        ({"covariates": pd.DataFrame({"x": [1.0]})}, "a DataFrame"),
        ({"metrics": []}, "at least one metric"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DesignError, match=words):
        design_of(noise(N, T, 3), PILOTS).balance(**options)


def test_unknown_or_empty_metrics_and_late_covariates_are_refused() -> None:
    y = noise(N, T, 3)
    design = design_of(y, PILOTS)
    with pytest.raises(PanelError):
        design.balance(["nobody"])
    late = Covariates.from_panel(design.panel, values={"m": FIRST + 3})
    with pytest.raises(DesignError, match="before the first start"):
        design.balance(covariates=late)
    y[:, :3] = np.nan
    nothing = design_of(y, PILOTS)
    with pytest.raises(DesignError, match="none of 1") as caught:
        nothing.balance(["m"])
    assert "widen periods=" in caught.value.todo
    flags = Covariates(pd.DataFrame({"city": np.arange(N) * 1.0}, index=IDS))
    made = nothing.balance(covariates=flags)
    assert made.table["covariate"].tolist() == ["city"]
    assert any("no value before the first start of" in note for note in made.notes)


def test_starts_in_different_periods_are_said() -> None:
    staggered = design_of(noise(N, T, 3), {1: 2, 4: 4}).balance()
    assert staggered.table["covariate"].iloc[1] == f"m {FIRST + 1}"
    assert any(f"(to {FIRST + 1})" in note for note in staggered.notes)
    together = design_of(noise(N, T, 3), PILOTS).balance()
    assert not any("different periods" in note for note in together.notes)


def test_parts_of_a_pool_of_named_units() -> None:
    y = noise(N, T, 3)
    design = design_of(y, PILOTS, against=Pool(units=(IDS[0], IDS[2])))
    row = by_name(design.balance()).loc[f"m {FIRST + 2}"]
    assert row["comparators"] == pytest.approx(y[[0, 2], 2].mean())
    assert row["pool"] == pytest.approx(y[[j for j in range(N) if j not in PILOTS], 2].mean())
