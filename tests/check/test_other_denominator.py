"""Other denominator: the same counts over another population, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import codes, spread

import didkit as dk
from didkit.errors import InferenceError, PanelError

N, T, START = 18, 6, 3
STARTS = spread(N, 5, START)
PILOT = np.isin(np.arange(N), list(STARTS))
METRICS = ["cin", "cin_count", "population", "cla_population"]


def numbers(seed: int = 0, *, drift: float = 0.02) -> dict[str, np.ndarray]:
    """Counts, a population, and one that grows away from it by `drift` a year, by unit."""
    rng = np.random.default_rng(seed)
    people = np.rint(np.exp(rng.normal(10, 0.6, (N, 1)) + rng.normal(0, 0.01, (N, T))))
    count = np.rint(0.03 * people * np.exp(rng.normal(0, 0.1, (N, T))))
    other = np.rint(people * np.exp(drift * rng.normal(size=(N, 1)) * np.arange(T)))
    return {
        "cin": np.round(1e4 * count / people, 1),
        "cin_count": count,
        "population": people,
        "cla_population": other,
    }


def panel_from(values: dict[str, np.ndarray]) -> dk.Panel:
    unit, year = np.indices((N, T))
    frame = pd.DataFrame({"la": np.array(codes(N))[unit.ravel()], "year": 2011 + year.ravel()})
    for name, value in values.items():
        frame[name] = value.ravel()
    return dk.Panel.from_frame(frame, unit="la", period="year", metrics=list(values))


def estimate_of(values, estimator=None, inference=None) -> dk.Estimate:
    rollout = dk.Rollout({codes(N)[j]: 2011 + t for j, t in STARTS.items()})
    design = dk.Design(panel_from(values), rollout, against=dk.Pool(), selection="unknown")
    return (estimator or dk.DiD()).fit(design, "cin").infer(inference)


def long_of(value: np.ndarray, label: str = "value") -> pd.DataFrame:
    unit, year = np.indices(value.shape)
    return pd.DataFrame(
        {"unit": np.array(codes(N))[unit.ravel()], "period": 2011 + year.ravel(),
         label: value.ravel()}
    )  # fmt: skip


def did(values: np.ndarray) -> float:
    change = values[:, START:].mean(axis=1) - values[:, :START].mean(axis=1)
    return float(change[PILOT].mean() - change[~PILOT].mean())


def test_rows_are_the_rate_by_hand_over_each_population():
    held = numbers()
    found = estimate_of(held).check(dk.OtherDenominator("cla_population"))
    own, other = (1e4 * held["cin_count"] / held[n] for n in ("population", "cla_population"))
    expected = [did(held["cin"]), did(own), did(other)]
    np.testing.assert_allclose(found.table["estimate"], expected, atol=1e-9)
    np.testing.assert_allclose(found.table["shift"], np.array(expected) - expected[0], atol=1e-9)
    facts = found.facts
    assert facts["shift"] == pytest.approx(expected[2] - expected[0])
    assert facts["vintage"] == pytest.approx(expected[2] - expected[1])
    assert found.alternatives == (min(expected), max(expected)) or found.alternatives == (
        pytest.approx(min(expected)),
        pytest.approx(max(expected)),
    )
    change = other / own - 1
    j, t = np.unravel_index(np.abs(change).argmax(), change.shape)
    assert facts["largest"] == pytest.approx(100 * np.abs(change).max())
    assert facts["median"] == pytest.approx(100 * np.median(np.abs(change)))
    assert f"{codes(N)[j]} in {2011 + t}." in found.headline
    late = change[:, START:].mean(axis=1) - change[:, :START].mean(axis=1)
    assert facts["pilots"] == pytest.approx(100 * late[PILOT].mean())
    assert facts["comparators"] == pytest.approx(100 * late[~PILOT].mean())


def test_a_metric_a_frame_and_a_panel_are_one():
    held = numbers(1)
    made = estimate_of(held)
    frame = long_of(held["cla_population"])
    shuffled = frame.sample(frac=1, random_state=1)
    panel = panel_from({"population": held["cla_population"]})
    found = [
        made.check(dk.OtherDenominator(given)).table[["estimate", "shift"]]
        for given in ("cla_population", frame, shuffled, panel)
    ]
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other)
    assert dk.OtherDenominator(panel).run(made).table["over"].iloc[2] == "population (data frame)"


def test_the_same_population_changes_nothing_but_rounding():
    held = numbers(2)
    found = estimate_of(held).check(dk.OtherDenominator(long_of(held["population"])))
    assert found.facts["vintage"] == 0
    assert found.facts["largest"] == 0
    assert 0 < abs(found.facts["shift"]) < 0.05
    assert "no cell of the rate changes" in found.headline


def test_the_rate_s_own_population_is_no_other():
    with pytest.raises(InferenceError, match="'population': the same population"):
        estimate_of(numbers(2)).check(dk.OtherDenominator("population"))


def test_shares_are_never_powers_of_ten():
    held = numbers(2)
    found = estimate_of(held).check(dk.OtherDenominator(long_of(held["population"] / 400)))
    said = " ".join([found.headline, *found.notes])
    assert "39,900% (median)" in said
    assert "e+" not in said


def test_a_factor_of_everybody_scales_the_estimate():
    held = numbers(3)
    found = estimate_of(held).check(dk.OtherDenominator(long_of(2 * held["population"])))
    assert found.facts["other"] == pytest.approx(found.facts["own"] / 2)


@pytest.mark.parametrize(
    "estimator", [dk.DiD("complete"), dk.EventStudy(), dk.Gap(), dk.PoissonDiD()], ids=str
)
def test_other_estimators_are_refitted_by_the_same_inference(estimator):
    held = numbers(4)
    inference = dk.ClusterRobust("CR2") if estimator != dk.PoissonDiD() else None
    made = estimate_of(held, estimator, inference)
    found = made.check(dk.OtherDenominator("cla_population"))
    other = {**held, "cin": 1e4 * held["cin_count"] / held["cla_population"]}
    refit = estimate_of(other, estimator, inference)
    row, expected = found.table.iloc[2], refit[refit.main_term]
    for name in ("estimate", "std_error", "conf_low", "conf_high"):
        assert row[name] == pytest.approx(expected[name], nan_ok=True)


def test_without_its_own_population_the_published_rate_is_the_base():
    held = numbers(5)
    other = long_of(held.pop("cla_population"))
    people = held.pop("population")
    found = estimate_of(held).check(dk.OtherDenominator(other))
    assert found.table["rate"].tolist() == ["as estimated", "other population, computed"]
    assert np.isnan(found.facts["own"])
    assert any("does not hold the rate's own population" in note for note in found.notes)
    change = np.abs(1e4 * held["cin_count"] / other["value"].to_numpy().reshape(N, T)
                    / held["cin"] - 1)  # fmt: skip
    assert found.facts["largest"] == pytest.approx(100 * change.max())
    assert people.shape == (N, T)


def test_cells_without_a_rate_stay_without_and_zero_counts_are_said():
    held = numbers(6)
    held["cin"][4, 1] = np.nan
    held["cin_count"][2, 2] = held["cin"][2, 2] = 0
    found = estimate_of(held).check(dk.OtherDenominator("cla_population"))
    assert found.facts["n_cells"] == N * T - 2
    assert any("1 cells have a rate of zero" in note for note in found.notes)
    gone = {**held, "cin": 1e4 * held["cin_count"] / held["cla_population"]}
    gone["cin"][4, 1] = np.nan
    assert found.facts["other"] == pytest.approx(estimate_of(gone).values[0])


def test_where_the_vintages_part_is_said():
    held = numbers(7, drift=0.0)
    jump = np.random.default_rng(1).normal(size=(N, 1))
    held["cla_population"][:, 4:] *= np.exp(0.05 * jump)
    found = estimate_of(held).check(dk.OtherDenominator("cla_population"))
    said = next(note for note in found.notes if "grow apart" in note)
    assert said.endswith("by more than usual in 2015")


def test_a_vintage_that_lacks_cells_is_refused_by_name():
    held = numbers(8)
    other = held["cla_population"].copy()
    other[3, 1:3] = np.nan
    other[9, 0] = 0
    with pytest.raises(InferenceError, match="a population of population") as caught:
        estimate_of(held).check(dk.OtherDenominator(long_of(other)))
    ids = codes(N)
    named = f"3 ({ids[3]} in 2012, {ids[3]} in 2013, {ids[9]} in 2011)"
    assert named in str(caught.value)
    short = long_of(held["cla_population"])
    with pytest.raises(InferenceError, match="cells without one: 18"):
        estimate_of(held).check(dk.OtherDenominator(short[short["period"] < 2016]))
    held["cin_count"][5, 5] = np.nan
    with pytest.raises(InferenceError, match="'cin_count' in every cell") as caught:
        estimate_of(held).check(dk.OtherDenominator("cla_population"))
    assert f"{ids[5]} in 2016" in str(caught.value)


def test_what_is_no_vintage_is_refused():
    for given in (3, None, "", pd.DataFrame({"la": [1]})):
        with pytest.raises(InferenceError, match=r"OtherDenominator\(population\)"):
            dk.OtherDenominator(given)
    held = numbers(9)
    made = estimate_of(held)
    with pytest.raises(InferenceError, match="a metric of the panel"):
        made.check(dk.OtherDenominator("children"))
    with pytest.raises(InferenceError, match="'population' in the other panel"):
        made.check(dk.OtherDenominator(panel_from({"cin": held["cin"]})))
    twice = pd.concat([long_of(held["population"])] * 2)
    with pytest.raises(PanelError, match=r"(?i)duplicate|once|one row"):
        made.check(dk.OtherDenominator(twice))
    count = dk.DiD().fit(made.design, "cin_count").infer(None)
    with pytest.raises(InferenceError, match="a rate and, in the same panel, the count"):
        count.check(dk.OtherDenominator("cla_population"))


def test_nothing_is_changed():
    held = numbers(10)
    made = estimate_of(held)
    before = made.design.panel.wide("cin")
    frame = long_of(held["cla_population"])
    check = dk.OtherDenominator(frame)
    frame["value"] = 1.0
    assert made.check(check).facts["largest"] < 1000
    pd.testing.assert_frame_equal(made.design.panel.wide("cin"), before)
    assert "_other_vintage" not in made.design.panel.metrics
