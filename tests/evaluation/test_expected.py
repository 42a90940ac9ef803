"""The real evaluation, from the published files through the public API, against known numbers.

The expected values were computed outside didkit (statsmodels regressions with dummies, Welch
tests, about 100,000 permutations); data/README.md beside them says how.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import didkit as dk

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import signs_of_safety as example

METRICS = ("cin", "icpc", "cpp", "cla")
NAMES = {"cin": "cin_at31_rate", "icpc": "icpc_rate", "cpp": "cpp_at31_rate", "cla": "cla_rate"}
CASES = [
    *[("all_10", m, spec) for m in METRICS for spec in ("R1", "R2", "R2_short")],
    *[("without_384", m, "R2") for m in METRICS],
]
REL = 1e-8


@pytest.fixture(scope="module")
def panel(shared_data):
    return example.load(shared_data)


@pytest.fixture(scope="module")
def printed(panel):
    """The panel as the two printed tables were made: looked-after rates rounded to one decimal.

    Their mean over the pilots in 2015 is then 49.15, printed 49.2; unrounded it is 49.146.
    """
    rates = panel.wide("cla").round(1).reset_index().melt(id_vars="unit", var_name="period")
    rounded = dk.Panel.from_frame(
        rates, unit="unit", period="period", metrics={"value": "cla"}, calendar="reporting year"
    )
    others = [metric for metric in panel.metrics if metric != "cla"]
    return panel.select(metrics=others) | rounded


@pytest.fixture(scope="module")
def neighbours(shared_data):
    return dk.read_neighbours(
        shared_data / "neighbours" / "statistical_neighbours_april2021_long.csv"
    )


@pytest.fixture(scope="module")
def expected(shared_expected):
    folder = shared_expected / "evaluation"
    return {file.stem: pd.read_csv(file) for file in sorted(folder.glob("*.csv"))}


def made_like(row, panel, shared_data):
    design = example.design(
        panel, shared_data, start=int(row.start), periods=(int(row.first_year), int(row.last_year))
    )
    return design.without_pilot("384") if row.pilots == "without_384" else design


@pytest.fixture(params=CASES, ids=["-".join(case) for case in CASES])
def case(request, expected, panel, shared_data):
    table = expected["did_expected"]
    pilots, metric, spec = request.param
    row = table[
        (table["pilots"] == pilots) & (table["metric"] == metric) & (table["spec"] == spec)
    ].iloc[0]
    return row, made_like(row, panel, shared_data)


def test_two_way_on_every_cell(case):
    row, design = case
    fitted = dk.DiD().fit(design, row.metric)
    factor = dk.ClusterRobust("CR1", factor="full")
    by_t = fitted.infer(factor)["att"]
    by_normal = fitted.infer(dk.ClusterRobust("CR1", factor="full", df="normal"))["att"]
    assert by_t["estimate"] == pytest.approx(row.twfe, rel=REL)
    assert by_t["std_error"] == pytest.approx(row.twfe_se_cr1, rel=REL)
    assert by_t["p_value"] == pytest.approx(row.twfe_p_t, rel=REL)
    assert by_normal["p_value"] == pytest.approx(row.twfe_p_normal, rel=REL)
    sample = fitted.sample
    assert int(sample.mask.sum()) == row.twfe_n_cells
    assert (by_t["n_pilots"], len(sample.units)) == (row.twfe_n_pilots, row.twfe_n_units)


@pytest.mark.parametrize(
    ("inference", "error", "df", "p"),
    [
        (dk.ClusterRobust("CR1"), "se_cr1_g", None, None),
        (dk.ClusterRobust("CR2"), "se_cr2", "df_bm", "p_bm"),
        (dk.ClusterRobust("CR2", df="welch"), "se_cr2", "df_welch", "p_welch"),
        (dk.ClusterRobust("CR3"), "se_cr3", None, None),
        (dk.ClusterRobust("CR3J"), "se_cr3_jackknife", None, None),
    ],
    ids=["CR1", "CR2-BM", "CR2-Welch", "CR3", "CR3J"],
)
def test_long_difference_on_units_observed_throughout(case, inference, error, df, p):
    row, design = case
    term = dk.DiD(cells="complete").fit(design, row.metric).infer(inference)["att"]
    assert (term["n_pilots"], term["n_comparators"]) == (row.n_pilots, row.n_comparators)
    assert term["estimate"] == pytest.approx(row.long_difference, rel=REL)
    assert term["std_error"] == pytest.approx(row[error], rel=REL)
    if df is not None:
        assert term["df"] == pytest.approx(row[df], rel=REL)
        assert term["p_value"] == pytest.approx(row[p], rel=REL)


@pytest.mark.parametrize("statistic", ["t", "beta"])
def test_permutation_within_monte_carlo_error(case, statistic):
    row, design = case
    fitted = dk.DiD(cells="complete").fit(design, row.metric)
    p = fitted.infer(dk.Permutation(statistic, draws=9999, seed=1))["att"]["p_value"]
    known = row[f"p_permutation_{statistic}"]
    # both are simulated: 9,999 draws here, about 100,000 there; four standard errors
    error = np.sqrt(known * (1 - known) * (1 / 9999 + 1 / 100_000))
    assert abs(p - known) < 4 * error


def test_leave_one_out(expected, panel, shared_data):
    table = expected["leave_one_out_expected"]
    assert len(table) == 20
    design = example.design(panel, shared_data, start=2018, periods=(2013, 2020))
    for metric, rows in table.groupby("metric"):
        found = dk.DiD().fit(design, metric).check(dk.LeaveOneOut()).tidy()
        left = found.set_index("left_out")["estimate"]
        for row in rows.itertuples():
            assert left[str(row.left_out)] == pytest.approx(row.twfe, rel=REL)
            dropped = dk.DiD().fit(design.drop(row.left_out), metric).values.item()
            assert dropped == pytest.approx(row.twfe, rel=REL)


def by_period(panel, against, metric):
    design = dk.Design(
        panel, dk.Rollout(dict.fromkeys(example.PILOTS, 2018)), against=against, selection="bid"
    )
    return dk.Gap(by="period").fit(design, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_levels_by_year(metric, expected, printed, neighbours):
    table = expected["pilots_vs_neighbours_by_year"]
    known = table[table["metric"] == NAMES[metric]].set_index("year")
    half = 0.05 + 1e-9  # half of the last printed digit
    wide = printed.wide(metric)
    pilots = wide.loc[list(example.PILOTS)]
    mean = pilots.mean().to_numpy()
    assert np.abs(mean - known["pilot_mean"]).max() <= half
    assert (pilots.notna().sum().to_numpy() == known["n_p"]).all()
    union = by_period(printed, neighbours.union(), metric)
    assert np.abs(mean - union.values - known["sn_union_mean"]).max() <= half
    assert (union.terms["n_comparators"].to_numpy() == known["n_s"]).all()
    assert np.abs(wide.mean().to_numpy() - known["all_mean"]).max() <= half
    # each pilot's ten neighbours, other pilots among them; where every pilot has a value
    own = by_period(printed, neighbours.per_pilot(aggregate="mean", include_pilots=True), metric)
    means = (mean - own.values) - known["sn_mean_of_means"].to_numpy()
    whole = (known["n_p"] == 10).to_numpy()
    assert np.abs(means[whole]).max() <= half
    # where one has none, the known table still averages the neighbours of all ten
    lists = [[n for n in neighbours.of(p) if n in wide.index] for p in example.PILOTS]
    for year in known.index[~whole]:
        of_all = np.mean([wide.loc[members, str(year)].mean() for members in lists])
        assert abs(of_all - known["sn_mean_of_means"][year]) <= half


@pytest.mark.parametrize("metric", METRICS)
def test_pooled_levels(metric, expected, panel, neighbours):
    """Total count over total population, from the panel's own counts."""
    table = expected["pilots_vs_neighbours_by_year"]
    known = table[table["metric"] == NAMES[metric]].set_index("year")
    design = by_period(panel, neighbours.union(), metric).design
    for arm, column in (("pilots", "pilot_pooled"), ("comparators", "sn_pooled")):
        members = list(getattr(design, arm))
        count, children = (panel.wide(m).loc[members] for m in (f"{metric}_count", "population"))
        pooled = 10_000 * count.sum() / children.where(count.notna()).sum()
        assert np.abs(pooled.to_numpy() - known[column]).max() <= 0.05 + 1e-9


@pytest.mark.parametrize("who", ["all10", "less Wakefield"])
@pytest.mark.parametrize("metric", METRICS)
def test_welch_and_mann_whitney(who, metric, expected, printed, shared_data):
    table = expected["welch_mwu_tests"]
    known = table[(table["pilots"] == who) & (table["metric"] == NAMES[metric])].set_index("year")
    welch = dk.ClusterRobust("CR2", df="welch")

    def chosen(periods):
        made = example.design(printed, shared_data, start=2018, periods=periods)
        return made if who == "all10" else made.without_pilot("384")

    levels = dk.Gap(by="period").fit(chosen(None), metric).infer(welch)
    change = dk.EventStudy(reference=2014, time="calendar", cells="complete")
    # only the two years of the change must be observed
    ends = printed.select(periods=(2014,)), printed.select(periods=(2019,))
    both = set.intersection(*(set(end.wide(metric).dropna().index) for end in ends))
    design = chosen((2014, 2019))
    for unit in (*design.comparators, *design.pilots):
        if unit not in both:
            design = design.drop(unit)
    changes = change.fit(design, metric).infer(welch)
    for year, row in known.iterrows():
        estimate, term = (
            (changes, "period 2019") if "chg" in str(year) else (levels, f"gap in {year}")
        )
        found = estimate[term]
        assert (found["n_pilots"], found["n_comparators"]) == (row.n_p, row.n_sn)
        assert found["p_value"] == pytest.approx(row.welch_p, abs=0.0005 + 1e-9)
        assert found["estimate"] == pytest.approx(row.pilot - row.sn, abs=0.1 + 1e-9)
        values = estimate.long_differences(term)
        arms = [values.loc[values["arm"] == arm, "value"] for arm in ("pilot", "comparator")]
        assert arms[0].mean() == pytest.approx(row.pilot, abs=0.05 + 1e-9)
        assert arms[1].mean() == pytest.approx(row.sn, abs=0.05 + 1e-9)
        p = stats.mannwhitneyu(*arms, alternative="two-sided").pvalue
        assert p == pytest.approx(row.mwu_p, abs=0.0005 + 1e-9)


def test_in_words(panel, shared_data):
    """Fewer in need, conferences and plans in every year; six of nine with more looked after."""
    nine = example.design(panel, shared_data).without_pilot("384")
    for metric in ("cin", "icpc", "cpp"):
        gap = dk.Gap(by="period").fit(nine, metric).infer(None)
        assert (gap.values < 0).all()
        did = dk.DiD().fit(nine, metric).infer(dk.Permutation(draws=999, seed=1))["att"]
        assert did["conf_low"] < 0 < did["conf_high"]
    counts = panel.wide("cla_count").loc[list(nine.pilots)]
    assert (counts["2019"] > counts["2014"]).sum() == 6
