"""What estimates say of themselves: who counts, who is alone, who comes and goes, and labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, noise, treated

import didkit as dk
from didkit.errors import EstimationError

T = 8
STARTS = {1: 3, 4: 5, 9: 5}
N = 16
EACH = "each authority counts once in each period from its start on"


def said(estimator, y=None, starts=STARTS):
    made = estimator.fit(design_of(noise(N, T, 1) if y is None else y, starts), "m")
    return made.estimand, " | ".join(made.notes)


@pytest.mark.parametrize(
    "estimator",
    [
        dk.GroupTime(),
        dk.SunAbraham(),
        dk.ExtendedTwoWay(),
        dk.Imputation(),
        dk.TwoStage(),
        dk.MatrixCompletion(penalty=1e4),
        dk.SyntheticDiD(),
        dk.SyntheticControl(),
        dk.LPDiD(weighting="equal"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_early_starts_count_for_more_in_one_number_and_it_says_so(estimator):
    """One pilot's effect alone, without noise: its share is that of the treated cells."""
    level = 300 + np.arange(N)[:, None] + np.zeros((1, T))
    y = level + 11 * treated(level.shape, {1: 3})
    design = design_of(y, STARTS)
    made = estimator.fit(design, "m")
    assert made.values[0] == pytest.approx(11 * 5 / (5 + 3 + 3), abs=1e-5)
    assert EACH in made.estimand
    alone = estimator.fit(design_of(y, dict.fromkeys(STARTS, 3)), "m").estimand
    assert "each authority counts once" in alone
    assert EACH not in alone


def test_each_pilot_once_is_the_average_of_starts():
    level = 300 + np.arange(N)[:, None] + np.zeros((1, T))
    y = level + 11 * treated(level.shape, {1: 3})
    made = dk.GroupTime(by="group", overall=True).fit(design_of(y, STARTS), "m")
    assert made.values[0] == pytest.approx(11 / 3)
    assert EACH not in made.estimand


def test_other_units_of_counting():
    words, _ = said(dk.Imputation(aggregation="cohorts"))
    assert "each start counts once in each period from its start on" in words
    words, _ = said(dk.Stacked())  # windows of one length
    assert EACH not in words
    gaps = noise(N, T, 1)
    gaps[1, 6] = np.nan
    words, _ = said(dk.Imputation(), gaps, dict.fromkeys(STARTS, 3))
    assert f"{EACH} in which it has a value" in words
    frame = pd.DataFrame(
        [
            (j, t, STARTS.get(j, 0), 10.0 * j + t, 5.0 + j)
            for j in range(N)
            for t in range(1, T + 1)
        ],
        columns=["unit", "time", "start", "y", "people"],
    )
    design = dk.Design.from_frame(
        frame, unit="unit", period="time", start="start", metrics=["y", "people"],
        selection="unknown",
    )  # fmt: skip
    for estimator in (dk.GroupTime(population="people"), dk.Imputation(population="people")):
        assert "each person counts once a period (people)" in estimator.fit(design, "y").estimand


@pytest.mark.parametrize("estimator", [dk.Imputation(by="group"), dk.SunAbraham(by="group")])
def test_one_pilot_in_a_start_shows_no_spread(estimator):
    made = estimator.fit(design_of(noise(N, T, 2), STARTS), "m")
    at = made.terms["term"].tolist().index(f"start {FIRST + 3}")
    assert abs(made.influence[1, at]) < 1e-9
    assert abs(made.influence[4, 1 - at]) > 1e-3
    assert any(f"one pilot in start {FIRST + 3}:" in note for note in made.notes)
    pair = estimator.fit(design_of(noise(N, T, 2), {1: 3, 2: 3, 4: 5, 9: 5}), "m")
    assert not any("one pilot" in note for note in pair.notes)


@pytest.mark.parametrize("estimator", [dk.TwoStage(by="dynamic"), dk.LPDiD(by="dynamic")])
def test_a_term_of_one_pilot_shows_no_spread(estimator):
    """Pilots of several starts share a term: alone is who has it to itself (here +3 and +4)."""
    made = estimator.fit(design_of(noise(N, T, 3), STARTS), "m")
    names = made.terms["term"].tolist()
    late = [names.index("event time +3"), names.index("event time +4")]
    assert np.abs(made.influence[1, late]).max() < 1e-9
    assert abs(made.influence[1, names.index("event time 0")]) > 1e-3
    note = next(note for note in made.notes if "one pilot" in note)
    assert "2 (event time +3, event time +4)" in note
    pair = estimator.fit(design_of(noise(N, T, 3), {1: 3, 2: 3, 4: 5, 9: 5}), "m")
    assert not any("one pilot" in note for note in pair.notes)


def _leaver():
    """Pilots of lasting differences, no noise, an effect of 26.25; the last leaves early."""
    y = 10.0 * np.arange(20)[:, None] + np.arange(6.0)
    starts = dict.fromkeys(range(9), 3)
    y += 26.25 * treated(y.shape, starts)
    y[8, 4:] = np.nan
    return y, starts


def test_means_of_cells_keep_the_levels_of_who_leaves_and_say_so():
    y, starts = _leaver()
    design = design_of(y, starts)
    made = dk.GroupTime(cells="observed").fit(design, "m")
    # the 8 that are left in two of three periods have levels 0 to 70, against 0 to 80 before
    assert made.values[0] == pytest.approx(26.25 - 5 * 2 / 3, abs=1e-9)
    note = next(note for note in made.notes if "lasting differences in level" in note)
    assert f"1 ({codes(20)[8]})" in note
    assert "Imputation()" in note
    for other in (dk.Imputation(), dk.DiD(), dk.GroupTime(), dk.ExtendedTwoWay()):
        free = other.fit(design, "m")
        assert free.values[0] == pytest.approx(26.25, abs=1e-9)
        assert not any("lasting differences" in note for note in free.notes)


def test_who_is_seen_once_does_not_come_and_go():
    rows = [(t, 4 if j < 30 else 0, float(j + t)) for t in range(1, 7) for j in range(60)]
    design = dk.Design.from_frame(
        pd.DataFrame(rows, columns=["time", "start", "y"]),
        unit=None, period="time", start="start", metrics=["y"], selection="unknown",
    )  # fmt: skip
    made = dk.GroupTime(cells="observed").fit(design, "y")
    assert not any("lasting differences" in note for note in made.notes)
    assert dk.ExtendedTwoWay().fit(design, "y").estimator == dk.ExtendedTwoWay()


def test_labels_keep_their_capitals():
    frame = pd.DataFrame(
        [(j, t, STARTS.get(j, 0), 10.0 * j + t) for j in range(N) for t in range(1, T + 1)],
        columns=["unit", "time", "start", "packsPerCapita"],
    )
    design = dk.Design.from_frame(
        frame, unit="unit", period="time", start="start", metrics=["packsPerCapita"],
        selection="unknown",
    )  # fmt: skip
    for estimator in (dk.DiD(), dk.GroupTime(), dk.Stacked(), dk.TwoStage(), dk.Switching()):
        assert "packsPerCapita" in estimator.fit(design, "packsPerCapita").estimand


def test_synthetic_estimators_send_leavers_where_they_are_served():
    y = noise(N, T, 5)
    ids = codes(N)
    rollout = dk.Rollout({ids[1]: FIRST + 5, ids[2]: FIRST + 5}, stops={ids[1]: FIRST + 7})
    design = dk.Design(
        design_of(y, STARTS).panel, rollout, against=dk.Pool(), selection="unknown",
        treatment="as_treated",
    )  # fmt: skip
    with pytest.raises(EstimationError, match="MatrixCompletion") as refused:
        dk.SyntheticControl().fit(design, "m")
    assert "GroupTime" not in str(refused.value)
    assert np.isfinite(dk.MatrixCompletion(penalty=10.0).fit(design, "m").values).all()


def test_a_group_of_one_dose_is_called_by_it():
    ids = codes(N)
    doses = {ids[1]: 1.0, ids[4]: 1.0, ids[9]: 3.0}
    rollout = dk.Rollout(dict.fromkeys(doses, FIRST + 4), dose=doses)
    panel = design_of(noise(N, T, 6), STARTS).panel
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    made = dk.DoseResponse(groups=[1.0]).fit(design, "m")
    assert made.terms["term"].tolist() == ["dose 1", "dose above 1"]


def test_a_count_without_exposure_has_no_rates():
    y = np.round(noise(N, T, 7))
    made = dk.PoissonDiD().fit(design_of(y, dict.fromkeys(STARTS, 4)), "m")
    assert any("difference in counts" in note for note in made.notes)
    assert not any("rates" in note or "people" in note for note in made.notes)


def test_averages_name_staggered_estimators():
    made = dk.MatrixCompletion(penalty=1e4).fit(design_of(noise(N, T, 8), STARTS), "m")
    with pytest.raises(EstimationError, match=r"Imputation\(\) or SunAbraham\(\)"):
        made.averages()
