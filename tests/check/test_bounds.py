"""Bounds: equal to the extremes over every completion, and p never below its largest."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from check.hidden_cells import COUNT, HIDDEN, ONE, SEVERAL, N, T, completed, counts, hiding, on
from helpers import FIRST, codes, design_of, frame_of, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import didkit as dk
from didkit.check.bounds_interval import imbens_manski
from didkit.errors import InferenceError

ESTIMATORS = {
    "two-way": (dk.DiD(), ONE),
    "two-way, several starts": (dk.DiD(), SEVERAL),
    "long differences": (dk.DiD("complete"), ONE),
    "event study": (dk.EventStudy(), ONE),
    "event study, several starts": (dk.EventStudy(cells="complete"), SEVERAL),
    "gap": (dk.Gap(), ONE),
    "group-time": (dk.GroupTime(), SEVERAL),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_bounds_are_the_extremes_over_every_completion(name):
    estimator, starts = ESTIMATORS[name]
    y = counts(1)
    hidden = dict.fromkeys(HIDDEN, (1, 5))
    design = hiding(y, hidden, starts)
    estimate = estimator.fit(design, "m").infer(None)
    table = estimate.check(dk.Bounds(rounded=False)).table
    mine = table[table["rung"] == "hidden cells within their bounds"].set_index("term")
    extremes = itertools.product((1, 5), repeat=4) if name != "two-way" else itertools.product(
        range(1, 6, 2), repeat=4
    )  # fmt: skip  # linear: the corners are enough, and once all of them are looked at
    values = pd.DataFrame(
        [
            dict(zip(fit.terms["term"], fit.values, strict=True))
            for numbers in extremes
            for fit in [estimator.fit(completed(design, y, HIDDEN, numbers), "m")]
        ]
    )
    terms = [term for term in mine.index if np.isfinite(mine.loc[term, "low"])]
    assert estimate.main_term in terms
    np.testing.assert_allclose(mine.loc[terms, "low"], values[terms].min(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(mine.loc[terms, "high"], values[terms].max(), rtol=1e-9, atol=1e-9)


def test_hidden_cells_are_present():
    """A unit that was left out for a hidden cell is in the sample of the bounds."""
    y = counts(2)
    design = hiding(y, dict.fromkeys(HIDDEN, (1, 5)), ONE)
    estimate = dk.DiD("complete").fit(design, "m").infer(None)
    table = estimate.check(dk.Bounds()).table
    assert table["n_pilots"].tolist() == [1, 3]
    assert table["n_comparators"].tolist() == [3, 5]
    assert table["n_cells"].tolist() == [0, 4]


def test_rounding_is_another_rung():
    """Half the last digit in each cell: the sum of absolute weights, times one half."""
    y = counts(3)
    design = hiding(y, {(5, 2): (1, 5)}, ONE, rounding=0.5)
    estimate = dk.DiD().fit(design, "m").infer(None)
    found = estimate.check(dk.Bounds())
    assert found.table["rung"].tolist() == [
        "as published", "hidden cells within their bounds", "rounded too",
    ]  # fmt: skip
    assert found.table["n_cells"].tolist() == [0, 1, 31]
    full = dk.DiD().fit(completed(design, y, [(5, 2)], [3]), "m")
    weight = np.abs(full.weights[0])
    wide = weight.sum() * 0.5 + weight[5, 2] * 1.5
    np.testing.assert_allclose(found.facts["lowest"], full.values[0] - wide)
    np.testing.assert_allclose(found.facts["highest"], full.values[0] + wide)
    assert found.alternatives == (found.facts["lowest"], found.facts["highest"])
    alone = estimate.check(dk.Bounds(rounded=False))
    assert alone.table["rung"].tolist() == found.table["rung"].tolist()[:2]
    assert (alone.facts["n_rounded"], found.facts["n_rounded"]) == (0, 31)


def test_nothing_is_hidden():
    design = design_of(noise(N, T, 1), ONE)
    found = dk.DiD().fit(design, "m").infer(None).check(dk.Bounds())
    assert len(found.table) == 1
    assert found.facts["lowest"] == found.facts["highest"] == found.facts["estimate"]
    assert found.headline.startswith("No cell behind the estimate of")


def test_p_found_is_not_that_of_what_was_published():
    """As published the hidden cells are left out: another sample, and another p."""
    y = counts(3)
    design = hiding(y, dict.fromkeys([(1, 0), (4, 3)], (1, 2)), ONE)
    found = dk.DiD("complete").fit(design, "m").infer(dk.Permutation("beta")).check(dk.Bounds())
    above = found.table["p_found"].iloc[1:].max()
    assert found.facts["p_published"] == found.table["p_found"].iloc[0] != above
    assert found.facts["p_found"] == above <= found.facts["p_upper_bound"]


def test_labels_not_positions():
    y = counts(4)
    hidden = dict.fromkeys(HIDDEN, (1, 5))
    one, other = (
        dk.DiD().fit(hiding(y, hidden, ONE, rounding=0.5, seed=seed), "m")
        .infer(dk.Permutation()).check(dk.Bounds(missing=(0, 20)))
        for seed in (None, 3)
    )  # fmt: skip
    pd.testing.assert_frame_equal(one.table, other.table)


# -- missing cells -----------------------------------------------------------------------------


def test_missing_cells_within_a_range():
    y = counts(5)
    empty = {(5, 2): "not available", (0, 1): "absent", (4, 0): "not applicable"}
    design = hiding(y, {}, ONE, empty=empty)
    estimate = dk.DiD().fit(design, "m").infer(None)
    assert len(estimate.check(dk.Bounds()).table) == 1
    found = estimate.check(dk.Bounds(missing=(2, 9)))
    assert found.facts["n_missing"] == 2
    y[4, 0] = np.nan
    values = [
        dk.DiD().fit(completed(design, y, [(5, 2), (0, 1)], numbers), "m").values[0]
        for numbers in itertools.product((2, 9), repeat=2)
    ]
    np.testing.assert_allclose(found.facts["lowest"], min(values))
    np.testing.assert_allclose(found.facts["highest"], max(values))


@pytest.mark.parametrize("kind", ["observed", "change", "mapping"])
def test_what_a_missing_cell_may_be(kind):
    y = counts(6)
    design = hiding(y, {}, ONE, empty={(5, 2): "not available", (5, 3): "not available"})
    own = y[5, :2]
    known = y.copy()
    known[5, 2:] = np.nan
    step = np.nanmax(np.abs(np.diff(known, axis=1)))
    ranges = {
        "observed": [(own.min(), own.max())] * 2,
        "change": [(max(own[1] - k * step, 0), own[1] + k * step) for k in (1, 2)],
        "mapping": [(3.0, 4.0)] * 2,
    }[kind]
    given = {codes(N)[5]: (3, 4)} if kind == "mapping" else kind
    found = dk.DiD().fit(design, "m").infer(None).check(dk.Bounds(missing=given))
    values = [
        dk.DiD().fit(completed(design, y, [(5, 2), (5, 3)], numbers), "m").values[0]
        for numbers in itertools.product(*ranges)
    ]
    np.testing.assert_allclose(found.facts["lowest"], min(values))
    np.testing.assert_allclose(found.facts["highest"], max(values))


def test_a_hidden_cell_that_nothing_bounds_is_named():
    y = counts(7)
    design = hiding(y, {(5, 2): (1, np.nan), (0, 1): (1, 5)}, ONE)
    estimate = dk.DiD().fit(design, "m").infer(None)
    found = estimate.check(dk.Bounds())
    assert found.table["n_cells"].tolist() == [0, 1]
    assert any(
        f"nothing bounds 1 ({codes(N)[5]} in 2013) cell from above" in n for n in found.notes
    )
    more = estimate.check(dk.Bounds(missing=(0, 9)))
    values = [
        dk.DiD().fit(completed(design, y, [(5, 2), (0, 1)], numbers), "m").values[0]
        for numbers in itertools.product((1, 9), (1, 5))  # 1 is known from below
    ]
    np.testing.assert_allclose(more.facts["lowest"], min(values))
    np.testing.assert_allclose(more.facts["highest"], max(values))
    assert not any("nothing bounds" in note for note in more.notes)


def test_a_unit_without_any_value_has_no_own_range():
    y = counts(8)
    design = hiding(y, {}, ONE, empty={(5, t): "not available" for t in range(T)})
    found = dk.DiD().fit(design, "m").infer(None).check(dk.Bounds(missing="observed"))
    assert any("no range for 4" in note for note in found.notes)
    assert len(found.table) == 1


# -- totals ------------------------------------------------------------------------------------


def total_of(units, t, lower, upper):
    return {"period": FIRST + t, "units": [codes(N)[j] for j in units], "lower": lower,
            "upper": upper}  # fmt: skip


def test_totals_against_every_completion_that_fits():
    """Interval matrices of one period each are totally unimodular: ends are whole numbers."""
    y = counts(9)
    cells = [(1, 2), (4, 2), (5, 2), (0, 0), (2, 0)]
    design = hiding(y, dict.fromkeys(cells, (1, 5)), ONE)
    known2, known0 = y[[0, 2, 3], 2].sum(), y[[1, 3], 0].sum()
    totals = pd.DataFrame(
        [
            total_of(range(6), 2, known2 + 6, known2 + 7),
            total_of(range(4), 0, known0 + 9, known0 + 9),
        ]
    )
    estimate = dk.DiD().fit(design, "m").infer(None)
    found = estimate.check(dk.Bounds(totals=totals))
    assert found.table["rung"].tolist()[1:] == [
        "hidden cells within their bounds", "hidden cells, with totals",
    ]  # fmt: skip
    values = []
    for numbers in itertools.product(range(1, 6), repeat=5):
        if 6 <= sum(numbers[:3]) <= 7 and sum(numbers[3:]) == 9:
            values.append(dk.DiD().fit(completed(design, y, cells, numbers), "m").values[0])
    assert len(values) > 20
    np.testing.assert_allclose(found.facts["lowest"], min(values))
    np.testing.assert_allclose(found.facts["highest"], max(values))
    without = found.table.iloc[1]
    assert without["low"] < found.facts["lowest"] < found.facts["highest"] < without["high"]


@settings(max_examples=5)
@given(st.integers(0, 10_000))
def test_totals_hold_every_completion_that_fits(seed):
    """Overlapping totals: the programme may end between whole numbers, and then it is wider."""
    rng = np.random.default_rng(seed)
    y = counts(seed)
    cells = [(1, 2), (4, 2), (5, 2), (2, 2)]
    truth = rng.integers(1, 6, size=4)
    totals = []
    for units in ((1, 4), (4, 5), (1, 5), (1, 2, 4, 5)):
        value = sum(truth[cells.index((j, 2))] for j in units)
        totals.append(total_of(units, 2, value - 1, value + 1))
    design = hiding(y, dict.fromkeys(cells, (1, 5)), ONE)
    found = dk.DiD().fit(design, "m").infer(None).check(dk.Bounds(totals=pd.DataFrame(totals)))
    values = []
    for numbers in itertools.product(range(1, 6), repeat=4):
        by = {cell[0]: number for cell, number in zip(cells, numbers, strict=True)}
        sums = [sum(by[j] for j in units) for units in ((1, 4), (4, 5), (1, 5), (1, 2, 4, 5))]
        if all(t["lower"] <= s <= t["upper"] for t, s in zip(totals, sums, strict=True)):
            values.append(dk.DiD().fit(completed(design, y, cells, numbers), "m").values[0])
    assert found.facts["lowest"] <= min(values) + 1e-7
    assert found.facts["highest"] >= max(values) - 1e-7
    assert found.facts["highest"] - found.facts["lowest"] <= max(values) - min(values) + 0.7


def test_totals_bound_what_nothing_else_does_and_reach_rates():
    """A rate per 1,000: its count over the population, tied by the total of the counts."""
    y = counts(10)
    people = np.linspace(800, 1500, N)[:, None] * np.ones((1, T))
    rate = dk.Metric(name="r", kind="rate", numerator="m", denominator="pop", per=1000,
                     unit="per 1,000")  # fmt: skip
    people_of = dk.Metric(name="pop", kind="count")
    frame = frame_of(y).assign(pop=frame_of(people)["m"], s="observed")
    frame["lo"] = frame["hi"] = frame["m"]
    for j, t in ((1, 2), (5, 2)):
        row = (frame["la"] == codes(N)[j]) & (frame["year"] == FIRST + t)
        frame.loc[row, "s"] = "suppressed"
        frame.loc[row, ["m", "lo", "hi"]] = np.nan, 1, np.nan
    panel = dk.Panel.from_frame(
        frame, unit="la", period="year", metrics={"m": COUNT, "pop": people_of},
        status={"m": "s"}, lower={"m": "lo"}, upper={"m": "hi"},
    ).compute_rate(rate)  # fmt: skip
    rollout = dk.Rollout({codes(N)[j]: FIRST + t for j, t in ONE.items()})
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    known = y[[0, 2, 3, 4, 6, 7], 2].sum()
    totals = pd.DataFrame([total_of(range(N), 2, known + 8, known + 9)])
    found = dk.DiD().fit(design, "r").infer(None).check(dk.Bounds(totals=totals))
    values = []
    for a, b in itertools.product(range(1, 9), repeat=2):
        if 8 <= a + b <= 9:
            filled = y / people * 1000
            filled[1, 2], filled[5, 2] = a / people[1, 2] * 1000, b / people[5, 2] * 1000
            other = panel.refilled(panel.metric("r"), filled)
            values.append(dk.DiD().fit(design.on_panel(other), "r").values[0])
    np.testing.assert_allclose(found.facts["lowest"], min(values))
    np.testing.assert_allclose(found.facts["highest"], max(values))
    assert found.table["rung"].tolist() == ["as published", "hidden cells, with totals"]


@pytest.mark.parametrize(
    ("total", "says"),
    [
        (total_of(range(6), 2, 500, 600), "its cells add up to"),
        (total_of((1, 4), 2, 5, 4), "others in rows 1 (0)"),
        ({**total_of((1, 4), 2, 5, 6), "units": ["301", "999"]}, "unknown"),
        ({**total_of((1, 4), 2, 5, 6), "units": "301"}, "others in rows"),
    ],
)
def test_totals_that_cannot_be(total, says):
    design = hiding(counts(9), {(1, 2): (1, 5)}, ONE)
    with pytest.raises(InferenceError, match="totals") as error:
        dk.DiD().fit(design, "m").infer(None).check(dk.Bounds(totals=pd.DataFrame([total])))
    assert says in str(error.value)


def test_totals_that_contradict_one_another():
    design = hiding(counts(9), {(1, 2): (1, 5), (4, 2): (1, 5), (5, 2): (1, 5)}, ONE)
    totals = [total_of(units, 2, 9, 9) for units in ((1, 4), (4, 5))]
    totals.append(total_of((1, 5), 2, 4, 4))
    with pytest.raises(InferenceError, match="fit all 3 totals together"):
        dk.DiD().fit(design, "m").infer(None).check(dk.Bounds(totals=pd.DataFrame(totals)))


def test_totals_need_a_count():
    value = dk.Metric(name="m", kind="value")
    design = hiding(counts(9), {(1, 2): (1, 5)}, ONE, metric=value)
    with pytest.raises(InferenceError, match="a count, or a rate whose count"):
        dk.DiD().fit(design, "m").infer(None).check(
            dk.Bounds(totals=pd.DataFrame([total_of((1, 4), 2, 5, 6)]))
        )


# -- intervals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("df", [np.inf, 7.3])
@pytest.mark.parametrize(("width", "se"), [(0.0, (1.0, 1.0)), (0.7, (1.0, 0.4)), (40, (2, 3))])
def test_imbens_and_manski(width, se, df):
    low, high = imbens_manski(5, 5 + width, *se, level=0.9, df=df)
    c = (5 - low) / se[0]
    law = stats.norm if np.isinf(df) else stats.t(df)
    assert law.cdf(c + width / max(se)) - law.cdf(-c) == pytest.approx(0.9, abs=1e-9)
    assert (high - 5 - width) / se[1] == pytest.approx(c)
    if width == 0:
        assert c == pytest.approx(law.ppf(0.95))
    if width == 40:
        assert c == pytest.approx(law.ppf(0.9), rel=1e-5)


def test_intervals_come_from_both_ends():
    y = counts(13)
    hidden = dict.fromkeys(HIDDEN, (1, 5))
    design = hiding(y, hidden, ONE)
    estimate = dk.DiD().fit(design, "m").infer(dk.ClusterRobust("CR2"), level=0.9)
    found = estimate.check(dk.Bounds())
    weight = dk.DiD().fit(completed(design, y, HIDDEN, [3] * 4), "m").weights[0]
    ends = []
    for sign in (1, -1):
        numbers = [1 if sign * weight[cell] > 0 else 5 for cell in HIDDEN]
        made = dk.DiD().fit(completed(design, y, HIDDEN, numbers), "m")
        ends.append(made.infer(dk.ClusterRobust("CR2"), level=0.9)["att"])
    known = imbens_manski(
        ends[0]["estimate"], ends[1]["estimate"], ends[0]["std_error"], ends[1]["std_error"],
        level=0.9, df=min(ends[0]["df"], ends[1]["df"]),
    )  # fmt: skip
    np.testing.assert_allclose((found.facts["conf_low"], found.facts["conf_high"]), known)
    first = found.table.iloc[0]
    assert first["conf_low"] == estimate["att"]["conf_low"]
    assert known[0] > ends[0]["conf_low"]  # narrower than the two intervals together
    plain = estimate.check(dk.Bounds(inference=False))
    assert np.isnan(plain.facts["conf_low"])
    assert plain.facts["lowest"] == found.facts["lowest"]


def test_an_interval_without_a_standard_error():
    y = counts(13)
    hidden = dict.fromkeys(HIDDEN, (1, 5))
    design = hiding(y, hidden, ONE)
    by = dk.Permutation("beta")
    found = dk.DiD().fit(design, "m").infer(by, level=0.8).check(dk.Bounds())
    weight = dk.DiD().fit(completed(design, y, HIDDEN, [3] * 4), "m").weights[0]
    ends = []
    for sign in (1, -1):
        numbers = [1 if sign * weight[cell] > 0 else 5 for cell in HIDDEN]
        made = dk.DiD().fit(completed(design, y, HIDDEN, numbers), "m").infer(by, level=0.8)
        ends.append(made["att"])
    assert found.facts["conf_low"] == pytest.approx(ends[0]["conf_low"])
    assert found.facts["conf_high"] == pytest.approx(ends[1]["conf_high"])
    assert any("no standard error" in note for note in found.notes)


# -- not linear --------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [dk.PoissonDiD(), dk.SyntheticControl()])
def test_what_is_not_linear_is_refused_or_searched(estimator):
    y = counts(14, 10, 6)
    starts = {1: 4} if isinstance(estimator, dk.SyntheticControl) else {1: 4, 4: 4}
    cells = [(1, 5), (5, 2)]
    design = hiding(y, dict.fromkeys(cells, (1, 5)), starts)
    full = completed(design, y, cells, [3, 3])
    estimate = on(estimator.fit(full, "m"), design).infer(None)
    with pytest.raises(InferenceError, match="Poisson, logs, synthetic control") as error:
        estimate.check(dk.Bounds())
    assert type(estimator).__name__ in error.value.found
    found = estimate.check(dk.Bounds(search=6))
    values = [
        estimator.fit(completed(design, y, cells, numbers), "m").values[0]
        for numbers in itertools.product((1, 5), repeat=2)
    ]
    assert found.table["kind"].tolist() == ["published", "search"]
    assert min(values) - 1e-6 <= found.facts["lowest"] < found.facts["highest"]
    assert found.facts["highest"] <= max(values) + 1e-6
    assert "at least from" in found.headline
    assert any("6 completions were tried" in note for note in found.notes)


@pytest.mark.parametrize(
    "options",
    [
        {"rounded": 1}, {"missing": (5, 1)}, {"missing": "all"}, {"missing": {}}, {"missing": 3},
        {"totals": pd.DataFrame({"period": [1]})}, {"totals": 5}, {"inference": None},
        {"draws": 0}, {"draws": 9.5}, {"search": -1}, {"seed": True}, {"level": 1.0},
    ],
)  # fmt: skip
def test_options_that_cannot_be(options):
    with pytest.raises(InferenceError, match="Bounds"):
        dk.Bounds(**options)


def test_a_missing_range_of_somebody_else_is_refused():
    design = hiding(counts(1), {(5, 2): (1, 5)}, ONE)
    with pytest.raises(InferenceError, match="units of the design"):
        dk.DiD().fit(design, "m").infer(None).check(dk.Bounds(missing={"999": (1, 2)}))


# -- the real evaluation -----------------------------------------------------------------------

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))


@pytest.fixture(scope="module")
def real(shared_data):
    import signs_of_safety as example

    panel = dk.read_dfe(shared_data / "dfe" / "cin_2020")
    out = {unit: why for unit, why in example.EXCLUDE.items() if unit not in ("201", "420")}
    return dk.Design(
        panel, dk.Rollout(dict.fromkeys(example.PILOTS, 2015)), against=dk.Pool(),
        selection="bid", exclude=out,
    )  # fmt: skip


def test_no_completion_of_the_real_plans_is_outside(real):
    estimate = dk.DiD().fit(real, "cpp").infer(None)
    found = estimate.check(dk.Bounds())
    table = found.table.set_index("rung")
    hidden = table.loc["hidden cells within their bounds"]
    assert found.facts["n_hidden"] > 5
    cells = real.panel.cells("cpp")
    rng = np.random.default_rng(0)
    secret = np.isnan(cells.value) & np.isfinite(cells.lower) & np.isfinite(cells.upper)
    for _ in range(15):
        share = rng.beta(0.2, 0.2, size=cells.value.shape)
        within = cells.lower + share * (cells.upper - cells.lower)
        for values, row in (
            (np.where(secret, within, cells.value), hidden),
            (within, table.loc["rounded too"]),
        ):
            panel = real.panel.refilled(real.panel.metric("cpp"), values)
            value = dk.DiD().fit(real.on_panel(panel), "cpp").values[0]
            assert row["low"] < value < row["high"]
