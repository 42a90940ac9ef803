"""Rate split: two parts that add up, by hand and in logarithms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import codes, spread

import didkit as dk
from didkit.errors import InferenceError

N, T, START = 18, 6, 3
STARTS = spread(N, 5, START)
ROWS = np.isin(np.arange(N), list(STARTS))


def numbers(seed: int = 0, *, grow: float = 0.0, fall: float = 0.0) -> tuple[np.ndarray, ...]:
    """Counts and populations; pilots' populations grow, and their counts fall, from the start."""
    rng = np.random.default_rng(seed)
    people = np.exp(rng.normal(10, 0.6, (N, 1)) + rng.normal(0, 0.01, (N, T)).cumsum(axis=1))
    people[np.ix_(ROWS, np.arange(T) >= START)] *= 1 + grow
    people = np.rint(people)
    count = 0.03 * people[:, :1] * np.exp(rng.normal(0, 0.05, (N, T)))
    count[np.ix_(ROWS, np.arange(T) >= START)] *= 1 + fall
    return np.rint(count), people


def design_from(count, people, rate=None, *, starts=None, **options) -> dk.Design:
    """A design of a rate, its count and its population."""
    rate = 1e4 * count / people if rate is None else rate
    unit, year = np.indices(count.shape)
    frame = pd.DataFrame({"la": np.array(codes(N))[unit.ravel()], "year": 2011 + year.ravel()})
    frame["cin"], frame["cin_count"] = rate.ravel(), count.ravel()
    if people is not None:
        frame["population"] = people.ravel()
    metrics = ["cin", "cin_count", "population"]
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=metrics)
    rollout = dk.Rollout({codes(N)[j]: 2011 + t for j, t in (starts or STARTS).items()})
    options.setdefault("selection", "unknown")
    return dk.Design(panel, rollout, against=dk.Pool(), **options)


def did(values: np.ndarray) -> float:
    change = values[:, START:].mean(axis=1) - values[:, :START].mean(axis=1)
    return float(change[ROWS].mean() - change[~ROWS].mean())


def split(design: dk.Design, estimator=None, check=None) -> dk.Finding:
    made = (estimator or dk.DiD()).fit(design, "cin").infer(None)
    return made.check(check or dk.RateSplit())


def test_parts_are_the_mean_of_both_orders():
    """The count first and then the population, and the other way round, averaged by hand."""
    count, people = numbers(1, grow=0.05, fall=-0.1)
    facts = split(design_from(count, people)).facts
    n, p = (x[:, :START].mean(axis=1, keepdims=True) for x in (count, people))
    rate = 1e4 * count / people
    count_first = did(1e4 * count / p)  # at the population of the base
    count_last = did(rate) - did(1e4 * n / people)  # once the population has moved
    assert facts["count"] == pytest.approx((count_first + count_last) / 2, abs=1e-9)
    assert facts["population"] == pytest.approx(
        (did(1e4 * n / people) + did(rate) - count_first) / 2, abs=1e-9
    )
    assert facts["rounding"] == 0
    assert facts["count"] + facts["population"] == pytest.approx(facts["estimate"], abs=1e-9)
    assert facts["estimate"] == pytest.approx(did(rate))
    assert facts["count"] < facts["population"] < 0  # fewer children in need, and more children


@pytest.mark.parametrize(
    "estimator",
    [dk.DiD(), dk.DiD("complete"), dk.EventStudy(), dk.Imputation(), dk.Gap()],
    ids=["observed", "complete", "events", "imputation", "gap"],
)
def test_parts_sum_to_the_estimate_with_gaps_rounding_and_logarithms(estimator):
    count, people = numbers(2, grow=0.03)
    rate = np.round(1e4 * count / people, 1)
    gone = [(0, 1), (7, 5), (11, 0)]
    for cell in gone:
        rate[cell] = np.nan
    found = split(design_from(count, people, rate), estimator)
    facts = found.facts
    parts = facts["count"] + facts["population"] + facts["rounding"]
    assert parts == pytest.approx(facts["estimate"], abs=1e-9)
    assert 0 < abs(facts["rounding"]) < 0.05
    assert facts["log_rate"] == pytest.approx(
        facts["log_count"] - facts["log_population"], abs=1e-12
    )
    log = found.table[found.table["scale"] == "log"].set_index("part")
    assert log.loc["count", "percent"] == pytest.approx(100 * np.expm1(facts["log_count"]))
    assert found.table["part"].tolist()[:4] == ["rate", "count", "population", "rounding"]


def test_each_part_alone():
    """A population that stays has no part, and nor has a count that stays."""
    count, people = numbers(3, fall=-0.2)
    still = np.repeat(people[:, :1], T, axis=1)
    facts = split(design_from(count, still)).facts
    assert facts["population"] == pytest.approx(0, abs=1e-10)
    assert facts["count"] == pytest.approx(facts["estimate"], abs=1e-10)
    alike = np.repeat(count[:, :1], T, axis=1)
    _, grown = numbers(3, grow=0.2)
    facts = split(design_from(alike, grown)).facts
    assert facts["count"] == pytest.approx(0, abs=1e-10)
    assert facts["population"] == pytest.approx(facts["estimate"], abs=1e-10)
    assert facts["population"] < 0


def test_intervals_are_by_the_estimates_own_inference():
    count, people = numbers(4, fall=-0.1)
    cr2 = dk.ClusterRobust("CR2")
    made = dk.DiD().fit(design_from(count, people), "cin").infer(cr2, level=0.9)
    table = made.check(dk.RateSplit()).table.set_index(["scale", "part"])
    logs = dk.DiD().fit(design_from(count, people, np.log(count)), "cin").infer(cr2, level=0.9)
    for name in ("estimate", "std_error", "conf_low", "conf_high"):
        assert table.loc[("rate", "rate"), name] == made["att"][name]
        assert table.loc[("log", "count"), name] == pytest.approx(logs["att"][name], rel=1e-9)
    assert (table["std_error"] > 0).all()
    assert (table["method"] == made.attached.method).all()


def test_a_population_that_stays_still_has_a_row():
    """No noise in a part: no error, whatever the inference says of it."""
    count, people = numbers(3)
    still = np.repeat(people[:, :1], T, axis=1)
    made = dk.DiD().fit(design_from(count, still), "cin").infer(dk.ClusterRobust("CR2"))
    table = made.check(dk.RateSplit()).table
    assert table.loc[table["part"] == "population", "estimate"].abs().max() < 1e-10


def test_zero_counts_have_no_logarithm_and_a_note():
    count, people = numbers(5)
    count[2, 1] = 0
    found = split(design_from(count, people))
    assert np.isnan(found.facts["log_rate"])
    assert np.isnan(found.facts["log_count"])
    assert np.isfinite(found.facts["log_population"])
    assert any("1 cells have a count of zero" in note for note in found.notes)
    assert "logarithms" not in found.headline


def test_staggered_starts_are_measured_from_before_the_first():
    count, people = numbers(6, grow=0.1)
    starts = dict(zip(STARTS, (3, 4, 2, 3, 5), strict=True))
    found = split(design_from(count, people, starts=starts))
    facts = found.facts
    assert facts["count"] + facts["population"] == pytest.approx(facts["estimate"], abs=1e-9)
    assert any("means of 2011 to 2012, before the first start" in note for note in found.notes)


def test_another_vintage_is_refused_by_how_much_and_where():
    count, people = numbers(7)
    rate = 1e4 * count / people
    rate[4, 2] *= 1.03
    rate[6, 5] *= 1.01
    with pytest.raises(InferenceError, match="within its rounding") as caught:
        split(design_from(count, people, rate))
    text = str(caught.value)
    assert f"by up to {rate[4, 2] * (1 - 1 / 1.03):.2f}"[:14] in text
    assert f"2 ({codes(N)[4]} in 2013: published" in text
    assert "OtherDenominator" in text
    # rounding alone is none
    assert split(design_from(count, people, np.round(1e4 * count / people, 1))).facts


def test_what_cannot_be_split_is_refused_by_name():
    count, people = numbers(8)
    lost = people.copy()
    lost[3, 3] = np.nan
    design = design_from(count, lost, 1e4 * count / people)
    with pytest.raises(InferenceError, match="'population' in every cell") as caught:
        split(design)
    assert f"1 ({codes(N)[3]} in 2014)" in str(caught.value)
    late = 1e4 * count / people
    late[2, :START] = np.nan
    with pytest.raises(InferenceError, match="before the first start") as caught:
        split(design_from(count, people, late))
    assert f"{codes(N)[2]} in 2014" in str(caught.value)
    whole = design_from(count, people)
    with pytest.raises(InferenceError, match="names the count it is made of"):
        dk.DiD().fit(whole, "cin_count").infer(None).check(dk.RateSplit())
    without = whole.panel.select(metrics=["cin", "cin_count"])
    with pytest.raises(InferenceError, match="no 1 \\('population'\\)"):
        split(dk.Design(without, whole.rollout, against=dk.Pool(), selection="unknown"))
    with pytest.raises(InferenceError, match="no 1 \\('children'\\)"):
        split(whole, check=dk.RateSplit(population="children"))
    one = design_from(count, people, starts={5: START})
    with pytest.raises(InferenceError, match="linear in the outcome"):
        split(one, dk.SyntheticControl())


@pytest.mark.parametrize("given", [3, "", ["population"]])
def test_population_is_a_name(given):
    with pytest.raises(InferenceError, match=r"RateSplit\(population=\)"):
        dk.RateSplit(population=given)


def test_nothing_is_changed():
    count, people = numbers(9)
    design = design_from(count, people)
    before = design.panel.wide("cin")
    split(design)
    pd.testing.assert_frame_equal(design.panel.wide("cin"), before)
    assert design.panel.metric("cin") == replace(design.panel.metric("cin"))


@pytest.mark.parametrize("metric", ["cin", "icpc", "cpp", "cla", "rereferrals"])
def test_metrics_of_the_packaged_evaluation_split(packaged, metric):
    """Stocks, flows and a percentage; starts in two years, gaps, and published rates."""
    estimate = dk.DiD().fit(packaged, metric).infer(None)
    facts = estimate.check(dk.RateSplit()).facts
    parts = facts["count"] + facts["population"] + facts["rounding"]
    assert parts == pytest.approx(estimate.values[0], abs=1e-8)


@pytest.fixture(scope="module")
def packaged() -> dk.Design:
    _panel, design = dk.datasets.load_evaluation()
    return design
