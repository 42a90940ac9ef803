"""The specification curve: refits by hand, one permutation for all, three statistics, size."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from helpers import codes, design_of, frame_of, noise, spread, treated, with_gaps
from scipy import stats

import didkit as dk
from didkit.check.choices_crossed import by_name, crossed
from didkit.check.curve_joint import Traded, as_large, joint_test, traded
from didkit.check.curve_run import Fitted, two_way
from didkit.check.curve_words import refused_in_words
from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import DesignError, InferenceError, PanelError
from didkit.inference import ClusterRobust, Permutation
from didkit.inference.assignments import assignments

N, T, START = 16, 8, 5
ONE = spread(N, 4, START)
IDS = codes(N)
PILOTS = [IDS[j] for j in ONE]
OTHERS = [unit for unit in IDS if unit not in PILOTS]
SEVERAL = dict(zip(ONE, (3, 3, 5, 5), strict=True))


def outcome(seed: int = 6, effect: float = -5.0) -> np.ndarray:
    return noise(N, T, seed) + effect * treated((N, T), ONE)


def two_metrics(seed: int = 3, unit: str = "") -> Design:
    """Two definitions of one outcome, the second less noisy."""
    y = outcome(seed)
    frame = pd.DataFrame(
        [(IDS[j], 2011 + t, y[j, t], 50 + y[j, t] / 2) for j in range(N) for t in range(T)],
        columns=["la", "year", "m", "k"],
    )
    metrics = {"m": dk.Metric(name="m", label="m"), "k": dk.Metric(name="k", label="k", unit=unit)}
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=metrics)
    return Design(
        panel, Rollout(dict.fromkeys(PILOTS, 2011 + START)), against=Pool(), selection="unknown"
    )


def own_sets() -> MatchedSets:
    return MatchedSets(
        {unit: {OTHERS[2 * i]: 0.5, OTHERS[2 * i + 1]: 0.5} for i, unit in enumerate(PILOTS)}
    )


# -- rows are refits ------------------------------------------------------------------------------


def test_every_row_is_a_refit_by_hand() -> None:
    design = two_metrics()
    estimate = dk.DiD().fit(design, "m").infer(ClusterRobust("CR2"))
    curve = dk.SpecificationCurve(
        pilots=[PILOTS[1]],
        comparators={"six": Pool(OTHERS[:6]), "sets": own_sets()},
        windows={"late": (2013, 2018)},
        estimators=[dk.GroupTime()],
        inferences={"CR1": ClusterRobust("CR1")},
        draws=19,
    )
    table = estimate.check(curve).table
    assert len(table) == 2 * 3 * 2 * 2 * 2
    keys = ["pilots", "comparators", "window", "estimator", "inference"]
    assert len(table[keys].drop_duplicates()) == len(table)
    for row in table.to_dict("records"):
        edited = design
        if row["pilots"] != "as designed":
            edited = edited.without_pilot(PILOTS[1])
        if row["comparators"] != "as designed":
            edited = edited.compared_with(
                Pool(OTHERS[:6]) if row["comparators"] == "six" else own_sets()
            )
        if row["window"] != "as designed":
            edited = edited.within(2013, 2018)
        estimator = dk.DiD() if row["estimator"] == "as designed" else dk.GroupTime()
        if row["estimator"] != "as designed" and row["comparators"] == "sets":
            assert row["refused"] == "matched sets; one pool of comparators needed"
            assert row["n_pilots"] == 0
            continue
        refit = estimator.fit(edited, "m").infer(None)
        assert row["estimate"] == pytest.approx(float(refit.values[0]), abs=1e-9)
        assert row["n_pilots"] == (4 if row["pilots"] == "as designed" else 3)
        assert row["n_comparators"] == refit.terms["n_comparators"].iloc[0]
        how = ClusterRobust("CR2" if row["inference"] == "as designed" else "CR1")
        try:
            sure = refit.infer(how).attached
        except InferenceError:
            assert np.isnan(row["conf_low"])
            assert row["note"].startswith("no interval")
        else:
            assert row["std_error"] == pytest.approx(sure.std_error[0])
            assert row["conf_high"] == pytest.approx(sure.conf_high[0])
            assert row["p_value"] == pytest.approx(sure.p_value[0])


def test_a_window_is_that_of_a_design_made_so_and_comparators_stay() -> None:
    y = outcome()
    design = design_of(y, ONE, strata={unit: unit[0] for unit in IDS})
    made = design.within(2013, 2017)
    again = design_of(y, ONE, periods=(2013, 2017))
    assert made.periods == again.periods == ("2013", "2014", "2015", "2016", "2017")
    assert made.starts == again.starts
    assert made.strata == {unit: unit[0] for unit in IDS}
    assert dk.DiD().fit(made, "m").values[0] == dk.DiD().fit(again, "m").values[0]
    # a pool of five, and other pilots: the former ones serve, whom the pool does not name
    other = design.compared_with(Pool(OTHERS[:5])).reassign(Rollout({OTHERS[0]: 2016}))
    assert set(PILOTS) < set(other.comparators)
    assert other.within(2013, 2017).comparators == other.comparators
    with pytest.raises(DesignError, match="no before and after"):
        design.within(2016, 2018)


def test_the_first_row_is_the_estimate_as_it_is() -> None:
    estimate = dk.DiD().fit(design_of(outcome(), ONE), "m").infer(Permutation(draws=499, seed=3))
    found = estimate.check(dk.SpecificationCurve(windows=[(2013, 2018)], draws=99))
    own, row = estimate["att"], found.table.iloc[0]
    for name in ("estimate", "p_value", "conf_low", "conf_high"):
        assert row[name] == own[name]
    assert "499" in row["method"]
    assert "99 draws" in found.table["method"].iloc[1]  # others draw no more than the curve


def test_another_metric_is_a_refit_on_it() -> None:
    design = two_metrics()
    estimate = dk.DiD().fit(design, "m").infer(None)
    table = estimate.check(dk.SpecificationCurve(metrics={"halved": "k"}, draws=19)).table
    assert table["metric"].tolist() == ["as designed", "halved"]
    assert table["estimate"].iloc[1] == pytest.approx(dk.DiD().fit(design, "k").values[0])
    assert table["estimate"].iloc[1] == pytest.approx(table["estimate"].iloc[0] / 2)
    assert table["p_permutation"].nunique() == 1  # half of it is as far out


@pytest.mark.parametrize("form", ["log", "rank"])
def test_a_form_is_a_refit_on_other_cells(form: str) -> None:
    y = outcome()
    found = (
        dk.DiD()
        .fit(design_of(y, ONE), "m")
        .infer(None)
        .check(dk.SpecificationCurve(forms=[form], standardise=True, draws=19))
    )
    made = np.log(y) if form == "log" else 100 * (stats.rankdata(y, axis=0) - 0.5) / N
    before = made[:, :START] - made[:, :START].mean(axis=0)
    by_hand = dk.DiD().fit(design_of(made, ONE), "m").values[0] / np.sqrt((before**2).mean())
    assert found.table["estimate"].iloc[1] == pytest.approx(by_hand, abs=1e-12)
    assert set(found.table["unit"]) == {"standard deviations"}
    # what is said to other checks stays in the metric's own unit
    assert found.alternatives == pytest.approx((found.estimate.values[0],) * 2)


def test_another_rollout_changes_pilots_and_starts_and_those_left_out_serve_nobody() -> None:
    other = Rollout({PILOTS[0]: 2014, PILOTS[1]: 2014, OTHERS[0]: 2016})
    design = design_of(outcome(), ONE)
    found = dk.DiD().fit(design, "m").infer(None).check(
        dk.SpecificationCurve(pilots={"as it went": other}, draws=19)
    )  # fmt: skip
    row = found.table.iloc[1]
    assert (row["n_pilots"], row["n_comparators"]) == (3, N - 5)
    keep = [j for j, unit in enumerate(IDS) if unit not in PILOTS[2:]]
    starts = {keep.index(IDS.index(unit)): t for unit, t in
              zip((PILOTS[0], PILOTS[1], OTHERS[0]), (3, 3, 5), strict=True)}  # fmt: skip
    by_hand = dk.DiD().fit(design_of(outcome()[keep], starts), "m").values[0]
    assert row["estimate"] == pytest.approx(by_hand, abs=1e-9)


def test_what_is_refused_is_a_row_with_its_reason() -> None:
    y = outcome()
    y[2, 3] = -1.0
    estimate = dk.DiD().fit(design_of(y, ONE), "m").infer(None)
    found = estimate.check(
        dk.SpecificationCurve(
            windows={"after the start": (2016, 2018)},
            forms=["log"],
            estimators={"paths": dk.EventStudy(), "imputed": dk.Imputation()},
            cells=["complete"],
            standardise=True,
            draws=19,
        )
    )
    table = found.table
    assert len(table) == 2 * 2 * 3 * 2
    refused = table[table["refused"] != ""]
    assert refused["estimate"].isna().all()
    assert table.loc[table["refused"] == "", "estimate"].notna().all()
    assert found.facts["refused"] == len(refused) == 24 - 3
    for column, name, why in (
        ("window", "after the start", "no before and after"),
        ("form", "log", "1 cells are zero or below"),
        ("estimator", "paths", "EventStudy has"),
    ):
        beside = [c for c in ("window", "form", "estimator") if c != column]
        rows = table[(table[column] == name) & (table[beside] == "as designed").all(axis=1)]
        assert rows["refused"].str.contains(why).all()
    imputed = table[(table["estimator"] == "imputed") & (table["cells"] == "complete")]
    assert imputed["refused"].str.contains("Imputation has none").any()
    assert any("cells are zero or below" in note for note in found.notes)


def test_the_same_number_by_construction_counts_once() -> None:
    estimate = dk.DiD().fit(design_of(outcome(), ONE), "m").infer(ClusterRobust("CR2"))
    curve = dk.SpecificationCurve(
        cells=["complete"],
        windows=[(2012, 2018)],
        comparators={"all, by another name": Pool()},
        inferences={"CR1": ClusterRobust("CR1")},
        draws=99,
    )
    found = estimate.check(curve)
    table = found.table
    assert len(table) == 16
    assert found.facts["n"] == 2.0
    firsts = table[table["same_as"] == 0]
    assert firsts["window"].tolist() == ["as designed", "2012 to 2018"]
    for row in table[table["same_as"] > 0].to_dict("records"):
        twin = table[table["id"] == row["same_as"]].iloc[0]
        assert twin["same_as"] == 0
        assert twin["window"] == row["window"]
        assert row["estimate"] == pytest.approx(twin["estimate"], abs=1e-9)
        assert row["p_permutation"] == twin["p_permutation"]
    # two intervals of each number: CR1 and CR2
    ends = table[table["id"].isin([*firsts["id"], *(firsts["id"] + 1)])]
    outside = (ends["conf_low"] > 0) | (ends["conf_high"] < 0)
    assert found.facts["share_outside"] == outside.mean()


def test_with_gaps_the_two_policies_are_two_numbers() -> None:
    y = with_gaps(outcome(), 2, whole=list(ONE))
    found = (
        dk.DiD()
        .fit(design_of(y, ONE), "m")
        .infer(None)
        .check(dk.SpecificationCurve(cells=["complete", "observed"], draws=99))
    )
    assert len(found.table) == 2  # "observed" is the estimate's own
    assert found.facts["n"] == 2.0
    gaps = int(np.isnan(y).any(axis=1).sum())
    assert any(f"{gaps} of {N} units lack a cell" in note for note in found.notes)
    assert found.facts["trading"] == N - gaps


# -- one permutation for all ----------------------------------------------------------------------


def orders_of(labels: np.ndarray, cohort: np.ndarray) -> np.ndarray:
    """Whose series stands in each place, so that the starts go to whom the labels say."""
    made = np.empty(labels.shape, dtype=np.intp)
    for row, given in zip(made, labels, strict=True):
        for g in np.unique(cohort):
            row[cohort == g] = np.flatnonzero(given == g)
    return made


@pytest.mark.parametrize("starts", [ONE, SEVERAL])
def test_on_one_pool_it_is_what_permutation_does(starts: dict[int, int]) -> None:
    estimate = dk.DiD().fit(design_of(outcome(), starts), "m")
    sample = estimate.sample
    drawn = assignments(sample, draws=60, seed=5).labels
    orders = orders_of(drawn, sample.cohort)
    weights = estimate.weights[0]
    inside = two_way(sample, weights)
    assert inside is not None
    values, t = Traded(sample.units, orders).estimates(
        weights, sample.units, sample.y, sample.y, inside
    )
    wanted = estimate.reassigned(drawn)
    assert values == pytest.approx(wanted.b[:, 0], abs=1e-9)
    ratio = t / wanted.statistic(0, 0.0, studentised=True)
    assert ratio == pytest.approx(np.full(60, ratio[0]), rel=1e-8)
    plain = Traded(sample.units, orders).estimates(weights, sample.units, sample.y, sample.y)
    assert plain[1] == pytest.approx(np.abs(wanted.b[:, 0]), abs=1e-9)


@pytest.mark.parametrize("statistic", ["t", "beta"])
def test_p_of_a_specification_is_that_of_the_inference(statistic: str) -> None:
    # one start is ranked by t; two starts with long differences, no two-way regression, by beta
    design = design_of(outcome(effect=-2.0), ONE if statistic == "t" else SEVERAL)
    estimate = dk.DiD("complete").fit(design, "m").infer(Permutation(statistic, draws=9999))
    inside = two_way(estimate.sample, estimate.weights[0])
    assert (inside is not None) == (statistic == "t")
    if statistic == "t":
        assert estimate.attached.facts["exact"]
    found = estimate.check(dk.SpecificationCurve(windows=[(2012, 2018)], draws=4000, seed=2))
    wanted = estimate["att"]["p_value"]
    error = np.sqrt(wanted * (1 - wanted) * (1 / 4000 + 1 / 9999))
    assert 0.02 < wanted < 0.98
    assert abs(found.table["p_permutation"].iloc[0] - wanted) < 4 * error


def test_each_order_is_a_refit_on_series_that_traded_places() -> None:
    design = two_metrics()
    ids = design.panel.unit_ids
    orders = traded(ids, 4, 8, None).orders
    kinds = [
        (dk.DiD(), design.compared_with(Pool(OTHERS[:5]))),
        (dk.DiD(), design.compared_with(own_sets())),
        (dk.GroupTime(), design.without_pilot(PILOTS[0]).within(2012, 2018)),
    ]
    for (estimator, edited), metric in itertools.product(kinds, ("m", "k")):
        fitted = estimator.fit(edited, metric)
        columns = [design.panel.calendar.position(p) for p in fitted.sample.periods]
        value = design.panel.cells(metric).value
        inside = two_way(fitted.sample, fitted.weights[0])
        values, statistic = Traded(ids, orders).estimates(
            fitted.weights[0], fitted.sample.units, fitted.sample.y, value[:, columns], inside
        )
        for b, order in enumerate(orders):
            moved = edited.on_panel(
                design.panel.refilled(design.panel.metric(metric), value[order])
            )
            refit = estimator.fit(moved, metric)
            assert values[b] == pytest.approx(refit.values[0], abs=1e-9)
            if inside is None:
                assert statistic[b] == pytest.approx(abs(refit.values[0]), abs=1e-9)
            else:
                robust = refit.infer(ClusterRobust("CR0")).attached.statistic[0]
                assert statistic[b] == pytest.approx(abs(robust), rel=1e-7)


def test_units_with_gaps_stay_and_the_refit_agrees() -> None:
    y = outcome()
    y[1, 2] = y[12, 6] = np.nan
    design = design_of(y, ONE)
    fitted = dk.DiD().fit(design, "m")
    whole = [unit for unit, row in zip(IDS, y, strict=True) if np.isfinite(row).all()]
    made = traded(whole, 5, 1, None)
    at = [IDS.index(unit) for unit in whole]
    values, _ = made.estimates(fitted.weights[0], fitted.sample.units, fitted.sample.y, y[at])
    for b, order in enumerate(made.orders):
        moved = y.copy()
        moved[at] = y[np.array(at)[order]]
        assert values[b] == pytest.approx(dk.DiD().fit(design_of(moved, ONE), "m").values[0])


def test_orders_keep_strata_and_the_seed_is_the_number() -> None:
    strata = {unit: "ab"[j % 2] for j, unit in enumerate(IDS)}
    made = traded(IDS, 200, 7, strata)
    assert made.orders[0].tolist() == list(range(N))
    assert (made.orders % 2 == np.arange(N) % 2).all()
    assert (np.sort(made.orders, axis=1) == np.arange(N)).all()
    assert (made.orders == traded(IDS, 200, 7, strata).orders).all()
    assert (made.orders != traded(IDS, 200, 8, strata).orders).any()
    free = traded(IDS, 200, 7, None).orders
    assert (free % 2 != np.arange(N) % 2).any()


def test_strata_of_the_design_are_kept() -> None:
    # one pilot in a stratum of two: half of all orders are the data as they are
    strata = {unit: "rest" if j not in (0, 1) else "two" for j, unit in enumerate(IDS)}
    y = outcome()
    design = design_of(y, {1: START}, strata=strata)
    found = dk.DiD().fit(design, "m").infer(None).check(
        dk.SpecificationCurve(windows=[(2013, 2018)], draws=400)
    )  # fmt: skip
    swapped = dk.DiD().fit(design_of(y[[1, 0, *range(2, N)]], {1: START}), "m").values[0]
    larger = abs(swapped) >= abs(found.estimate.values[0])
    p = found.table["p_permutation"].iloc[0]
    assert p == 1.0 if larger else abs(p - 0.5) < 0.12
    assert any("inside the design's strata" in note for note in found.notes)


# -- the three statistics -------------------------------------------------------------------------


def test_the_statistics_are_what_they_are_called() -> None:
    rng = np.random.default_rng(0)
    b = rng.normal(size=(200, 7)) + rng.normal(size=(200, 1))
    p = as_large(np.abs(b))
    for s in range(7):
        by_hand = [(np.abs(b[:, s]) >= abs(own)).mean() for own in b[:, s]]
        assert p[:, s] == pytest.approx(by_hand)
    made = [[], [], []]
    for row, own in zip(b, p, strict=True):
        made[0].append(abs(np.median(row)))
        positive = (row > 0).sum() > (row < 0).sum()
        made[1].append((((row > 0) == positive) & (own <= 0.05)).sum())
        made[2].append(abs((np.sign(row) * stats.norm.isf(own / 2)).sum()) / np.sqrt(7))
    found = joint_test(b, p)
    assert abs(found.median) == pytest.approx(made[0][0])
    assert found.small == made[1][0]
    assert abs(found.average) == pytest.approx(made[2][0])
    for p_found, values in zip(found[3:], made, strict=True):
        assert p_found == pytest.approx((np.array(values) >= values[0] * (1 - 1e-9)).mean())


def test_the_joint_test_is_of_standardised_effects_where_units_differ() -> None:
    y = outcome(effect=-3.0)
    estimate = dk.DiD().fit(design_of(y, ONE), "m").infer(None)
    curve = dk.SpecificationCurve(forms=["rank"], standardise=True, draws=199, seed=5)
    facts = estimate.check(curve).facts
    orders = traded(IDS, 199, 5, None)
    values = []
    for made in (y, 100 * (stats.rankdata(y, axis=0) - 0.5) / N):
        before = made[:, :START] - made[:, :START].mean(axis=0)
        drawn, _ = orders.estimates(estimate.weights[0], IDS, made, made)
        values.append(drawn / np.sqrt((before**2).mean()))
    medians = np.abs(np.mean(values, axis=0))  # of two
    assert facts["p_median"] == (medians >= medians[0] * (1 - 1e-9)).mean()


def test_ties_count_and_a_statistic_that_is_not_there_is_the_largest() -> None:
    shares = as_large(np.array([[1.0, 2.0], [1.0 + 1e-14, np.nan], [0.5, 1.0], [2.0, 0.0]]))
    assert shares[:, 0].tolist() == [0.75, 0.75, 1.0, 0.25]
    assert shares[:, 1].tolist() == [0.5, 0.25, 0.75, 1.0]


def test_one_specification_has_one_p() -> None:
    found = dk.DiD("complete").fit(design_of(outcome(effect=-3), ONE), "m").infer(None).check(
        dk.SpecificationCurve(cells=["observed"], draws=199)
    )  # fmt: skip
    p = found.table["p_permutation"].iloc[0]
    assert found.facts["p_z"] == p  # one z is a function of one p
    assert "The one specification" in found.headline


def test_signs_and_scale_turn_nothing() -> None:
    y, curve = outcome(), dk.SpecificationCurve(windows=[(2013, 2018)], draws=199)
    found = [
        dk.DiD().fit(design_of(one, ONE), "m").infer(None).check(curve)
        for one in (y, 7 - 3 * y)
    ]  # fmt: skip
    for name in ("p_median", "p_small", "p_z", "share_sign"):
        assert found[0].facts[name] == found[1].facts[name]
    assert found[1].facts["median"] == pytest.approx(-3 * found[0].facts["median"])


def test_labels_not_positions() -> None:
    y = outcome()
    curve = dk.SpecificationCurve(windows=[(2013, 2018)], pilots=PILOTS[:2], draws=99)
    first = dk.DiD().fit(design_of(y, ONE), "m").infer(None).check(curve)
    shuffled = frame_of(y).sample(frac=1, random_state=1)
    panel = dk.Panel.from_frame(shuffled, unit="la", period="year", metrics=["m"])
    rollout = Rollout(dict.fromkeys(reversed(PILOTS), 2011 + START))
    design = Design(panel, rollout, against=Pool(), selection="unknown")
    again = dk.DiD().fit(design, "m").infer(None).check(curve)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert first.glance().equals(again.glance())


def test_processes_change_nothing() -> None:
    design = two_metrics()
    estimate = dk.DiD().fit(design, "m").infer(Permutation(draws=49, seed=1))
    options = {"windows": [(2013, 2018)], "comparators": {"sets": own_sets()}, "draws": 49}
    alone = estimate.check(dk.SpecificationCurve(**options))
    both = estimate.check(dk.SpecificationCurve(**options, jobs=2))
    pd.testing.assert_frame_equal(alone.table, both.table)
    assert alone.glance().equals(both.glance())
    assert alone.notes == both.notes


# -- not linear, not one by one -------------------------------------------------------------------


def test_what_is_not_linear_is_refitted_where_few_and_left_out_by_name_where_not() -> None:
    y = outcome()
    design = design_of(y, ONE)
    estimate = dk.DiD().fit(design, "m").infer(None)
    options = {"estimators": {"quasi": dk.FGLS()}, "draws": 19, "seed": 4}
    few = estimate.check(dk.SpecificationCurve(**options))
    assert few.facts["tested"] == 2.0
    orders = traded(IDS, 19, 4, None).orders
    moved = (design.panel.refilled(design.panel.metric("m"), y[order]) for order in orders)
    drawn = [dk.FGLS().fit(design.on_panel(panel), "m").values[0] for panel in moved]
    by_hand = (np.abs(drawn) >= abs(drawn[0]) * (1 - 1e-9)).mean()
    assert few.table["p_permutation"].iloc[1] == pytest.approx(by_hand)
    none = estimate.check(dk.SpecificationCurve(**options, refits=0))
    assert none.facts["tested"] == 1.0
    assert np.isnan(none.table["p_permutation"].iloc[1])
    assert any("not linear" in note and "FGLS" in note for note in none.notes)


def test_clusters_above_units_do_not_trade() -> None:
    clusters = {unit: str(j // 2) for j, unit in enumerate(IDS)}
    estimate = dk.DiD().fit(design_of(outcome(), ONE, clusters=clusters), "m").infer(None)
    found = estimate.check(dk.SpecificationCurve(windows=[(2013, 2018)], draws=19))
    assert "p_median" not in found.facts
    assert any("no joint test: units are in 8 clusters" in note for note in found.notes)
    assert found.table["p_permutation"].isna().all()


def test_without_joint_there_is_none() -> None:
    estimate = dk.DiD().fit(design_of(outcome(), ONE), "m").infer(None)
    found = estimate.check(dk.SpecificationCurve(windows=[(2013, 2018)], joint=False))
    assert "p_median" not in found.facts
    assert "permutation" not in found.headline
    assert not any("joint" in note for note in found.notes)


# -- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "at least one choice"),
        ({"forms": ["level"]}, "at least one choice"),
        ({"windows": [(2011, 2018)], "draws": 5}, "draws= at least 19"),
        ({"windows": [(2011, 2018)], "jobs": 0}, "jobs"),
        ({"windows": [(2011, 2018)], "joint": 1}, "joint"),
        ({"windows": (2011, 2018)}, "windows"),
        ({"windows": {"as designed": (2011, 2018)}}, "as designed"),
        ({"comparators": {"x": "every other"}}, "comparators"),
        ({"estimators": [dk.DiD]}, "estimators"),
        ({"inferences": {"x": "CR2"}}, "inferences"),
        ({"forms": ["sqrt"]}, "forms"),
        ({"cells": "complete"}, "cells"),
        ({"metrics": "m"}, "metrics"),
        ({"pilots": {"none": []}}, "pilots"),
        ({"estimators": {"x": dk.DiD(), "": dk.DiD()}}, "called ''"),
    ],
)
def test_choices_that_are_none(options: dict, words: str) -> None:
    with pytest.raises(InferenceError, match=words):
        dk.SpecificationCurve(**options)


def test_what_does_not_exist_is_refused_before_anything_is_fitted() -> None:
    estimate = dk.DiD().fit(two_metrics(unit="points"), "m").infer(None)
    with pytest.raises(DesignError, match="pilots of the design"):
        estimate.check(dk.SpecificationCurve(pilots=[OTHERS[0]]))
    with pytest.raises(PanelError):
        estimate.check(dk.SpecificationCurve(metrics=["z"]))
    with pytest.raises(PanelError):
        estimate.check(dk.SpecificationCurve(windows=[(1990, 2018)]))
    with pytest.raises(InferenceError, match="one unit for all"):
        estimate.check(dk.SpecificationCurve(metrics=["k"]))
    with pytest.raises(InferenceError, match="one unit for all"):
        estimate.check(dk.SpecificationCurve(forms=["rank"]))
    with pytest.raises(InferenceError, match="12: 4 pilots × 3 windows"):
        estimate.check(
            dk.SpecificationCurve(
                pilots=[*PILOTS[:3]], windows=[(2012, 2018), (2013, 2018)], most=9
            )
        )
    with pytest.raises(Exception, match="EventStudy has"):
        dk.EventStudy().fit(estimate.design, "m").infer(None).check(
            dk.SpecificationCurve(windows=[(2012, 2018)])
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"windows": [(2015, 2012)]}, r"all others refused: 2015 to 2012 \("),
        ({"estimators": [dk.EventStudy()]}, r"all others refused: EventStudy \(EventStudy has "),
        ({"windows": [(2015, 2012)], "inferences": [ClusterRobust("CR2")]}, "2015 to 2012"),
        ({"cells": ["observed"]}, "only choices that the estimate has"),
    ],
)
def test_a_curve_of_the_estimate_alone_is_refused(options: dict, words: str) -> None:
    estimate = dk.DiD().fit(design_of(outcome(), ONE), "m").infer(None)
    with pytest.raises(InferenceError, match=words):
        estimate.check(dk.SpecificationCurve(**options, draws=19))


def test_of_refused_choices_some_are_named() -> None:
    refused = [Fitted({"windows": str(k)}, refused="none") for k in range(7)]
    said = refused_in_words(refused)
    assert said.endswith("4 (none); 2 more")
    assert "0 (none); 1 (none)" in said


def test_inferences_alone_are_a_curve_and_pilots_go_by_name() -> None:
    panel, design = dk.datasets.load_evaluation()
    estimate = dk.DiD().fit(design, "cpp").infer(None)
    found = estimate.check(dk.SpecificationCurve(inferences=[ClusterRobust("CR2")], draws=19))
    assert len(found.table) == 2
    one, two = design.pilots[:2]
    pilots = [one, (one, two)]
    found = estimate.check(dk.SpecificationCurve(pilots=pilots, draws=19))
    names = [panel.name_of(one), panel.name_of(two)]
    assert found.table["pilots"].tolist() == [
        "as designed", f"without {names[0]}", f"without {names[0]}, {names[1]}",
    ]  # fmt: skip
    mine = estimate.check(dk.SpecificationCurve(pilots={"A": one, "B": [one, two]}, draws=19))
    assert mine.table["pilots"].tolist() == ["as designed", "A", "B"]
    assert found.table["estimate"].tolist() == mine.table["estimate"].tolist()


def test_ids_stay_where_two_pilots_have_one_name() -> None:
    given = {"without 1": ("1",), "without 2": ("2",), "mine": ("1", "2")}
    assert by_name(given, lambda unit: "Same") == given
    assert list(by_name(given, {"1": "A", "2": "B"}.__getitem__)) == [
        "without A", "without B", "mine",
    ]  # fmt: skip


def test_names_become_choices() -> None:
    made = dk.SpecificationCurve.named(
        {
            "pilots": {"without two": PILOTS[:2]},
            "estimators": ["DiD complete", "GroupTime"],
            "inferences": {"robust": "CR3", "ranks": "permutation"},
            "comparators": ["every other"],
            "windows": {"late": [2013, 2018]},
        },
        draws=49,
    )
    assert made.choices["estimators"]["DiD complete"] == dk.DiD("complete")
    assert made.choices["inferences"]["robust"] == ClusterRobust("CR3")
    assert made.choices["windows"]["late"] == (2013, 2018)
    assert len(crossed(made.choices)) == 2 * 3 * 3 * 2 * 2
    for wrong in (
        {"estimator": ["DiD"]},
        {"estimators": ["OLS"]},
        {"inferences": ["CR9"]},
        {"comparators": ["neighbours"]},
        {"estimators": ["TripleDifference"]},
    ):
        with pytest.raises(InferenceError):
            dk.SpecificationCurve.named(wrong)


# -- what it is good for --------------------------------------------------------------------------


def p_values(seed: int, effect: float, *, draws: int = 39) -> np.ndarray:
    """The joint p of six specifications of one start, from their weights alone."""
    rng = np.random.default_rng(seed)
    y = 5 * rng.normal(size=(N, 1)) + rng.normal(size=(N, T)) + effect * treated((N, T), ONE)
    made = traded(IDS, draws, seed, None)
    pilot, found = np.isin(np.arange(N), list(ONE)), []
    for others, first in itertools.product((12, 8, 5), (0, 2)):
        weights = np.zeros((N, T))
        rest = np.flatnonzero(~pilot)[:others]
        weights[pilot], weights[rest] = 1 / pilot.sum(), -1 / len(rest)
        when = np.where(np.arange(T) >= START, 1 / (T - START), -1 / (START - first))
        when[:first] = 0
        found.append(made.estimates(weights * when, IDS, y, y))
    p = as_large(np.stack([one[1] for one in found], axis=1))
    return np.array(joint_test(np.stack([one[0] for one in found], axis=1), p)[3:])


def test_without_an_effect_p_is_uniform_and_with_one_it_is_small() -> None:
    sets = 600
    null = np.array([p_values(seed, 0.0) for seed in range(sets)])
    for level in (0.05, 0.1, 0.25, 0.5):
        share = (null <= level + 1e-9).mean(axis=0)
        error = 3.5 * np.sqrt(level * (1 - level) / sets)
        assert (share <= level + error).all()
        # median and z are continuous, so that their p is uniform; counts are tied: conservative
        assert (share[[0, 2]] >= level - error).all()
    power = np.array([p_values(seed, 2.5) for seed in range(60)])
    assert ((power <= 0.05).mean(axis=0) > 0.9).all()


def whole_check(seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    y = 5 * rng.normal(size=(N, 1)) + rng.normal(size=(N, T))
    curve = dk.SpecificationCurve(
        comparators={"eight": Pool(OTHERS[:8])}, windows=[(2013, 2018)], draws=39, seed=seed
    )
    facts = dk.DiD("complete").fit(design_of(y, ONE), "m").infer(None).check(curve).facts
    return [facts[name] for name in ("p_median", "p_small", "p_z")]


@pytest.mark.slow
def test_the_whole_check_holds_its_size() -> None:
    sets = 400
    null = np.array([whole_check(seed) for seed in range(sets)])
    for level in (0.05, 0.25):
        bound = level + 3.5 * np.sqrt(level * (1 - level) / sets)
        assert ((null <= level + 1e-9).mean(axis=0) <= bound).all()


def test_by_what_specifications_are_ranked():
    from didkit.check.curve_words import _ranked

    assert _ranked(3, 3) == "every specification is ranked by the estimate over its standard error"
    assert _ranked(0, 3) == "every specification is ranked by the estimate itself"
    assert _ranked(1, 3).startswith("1 of 3")
    assert "the others" in _ranked(1, 3)
