"""Without breaks: what is left out, by hand, and that nothing else is touched."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, spread

import didkit as dk
from didkit.check.again import own_cells
from didkit.check.breaks_left_out import cells_left_out, without_cells
from didkit.errors import InferenceError, PanelError

N, T, START = 24, 8, 5
STARTS = spread(N, 5, START)
PILOTS, OTHERS = sorted(STARTS), [j for j in range(N) if j not in STARTS]
ONE, TWO = PILOTS[1], OTHERS[4]
NUMBERS = ["estimate", "std_error", "conf_low", "conf_high"]


def outcome(seed: int = 0) -> np.ndarray:
    """Series that change by 5 % a year, by chance alone."""
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(5.7, 0.3, (N, 1)))
    return level * np.exp(rng.normal(0, 0.05, (N, T)))


def broken() -> np.ndarray:
    """A pilot halves before the start and stays; a comparator doubles for one year."""
    y = outcome()
    y[ONE, :2], y[ONE, 2:] = 300 + np.arange(2), 150 + np.arange(6)
    y[TWO, 6] *= 2
    return y


def did(y: np.ndarray, gone: tuple[int, ...] = ()) -> float:
    change = y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)
    return float(
        np.mean([change[j] for j in PILOTS if j not in gone])
        - np.mean([change[j] for j in OTHERS if j not in gone])
    )


def known(rows, **columns) -> pd.DataFrame:
    """Breaks that somebody names: (row, column) pairs."""
    ids = codes(N)
    return pd.DataFrame(
        {"unit": [ids[j] for j, _ in rows], "period": [FIRST + t for _, t in rows], **columns}
    )


def run(y, check=None, *, estimator=None, inference=None, starts=None):
    made = (estimator or dk.DiD()).fit(design_of(y, starts or STARTS), "m").infer(inference)
    return made.check(check or dk.WithoutBreaks())


def test_planted_breaks_are_found_and_left_out():
    y = broken()
    found = run(y)
    flags = found.check.flags(found.estimate)
    ids = codes(N)
    assert dict(zip(flags["unit"], flags["kind"], strict=True)) == {ids[ONE]: "step",
                                                                    ids[TWO]: "spike"}  # fmt: skip
    by = found.table.set_index("scenario")["estimate"]
    assert by["as estimated"] == pytest.approx(did(y))
    assert by["without flagged authorities"] == pytest.approx(did(y, (ONE, TWO)))
    assert by["without flagged pilots"] == pytest.approx(did(y, (ONE,)))
    assert by["without flagged comparators"] == pytest.approx(did(y, (TWO,)))
    assert by[f"without {ids[ONE]}"] == pytest.approx(did(y, (ONE,)))
    assert found.table["shift"].iloc[1:].tolist() == pytest.approx((by.iloc[1:] - did(y)).tolist())
    facts = found.facts
    assert (facts["n_flags"], facts["n_pilots"], facts["n_comparators"]) == (2, 1, 1)
    assert facts["n_at_start"] == 0
    assert found.alternatives == (by.min(), by.max()) == (facts["lowest"], facts["highest"])
    assert "1 pilot (319) and 1 comparator" in found.headline


def test_flagged_cells_are_those_before_the_step_and_the_spike():
    y = broken()
    found = run(y, dk.WithoutBreaks(leave_out="cells"))
    holed = y.copy()
    holed[ONE, :2] = np.nan
    holed[TWO, 6] = np.nan
    expected = dk.DiD().fit(design_of(holed, STARTS), "m").values[0]
    row = found.table.iloc[1]
    assert row["estimate"] == pytest.approx(expected, rel=1e-12)
    assert (row["n_cells"], row["n_units"]) == (3, 0)
    assert found.facts["without_cells"] == row["estimate"]
    assert np.isnan(found.facts["without_units"])


@pytest.mark.parametrize(
    ("cuts", "kept"),
    [
        ([(2, "step")], range(2, 8)),  # before the start: the earlier cells go
        ([(7, "step")], range(7)),  # after it: the later ones go
        ([(5, "step")], []),  # at the start: neither side has both
        ([(2, "step"), (7, "step")], range(2, 7)),
        ([(2, "step"), (4, "step"), (6, "step")], [4, 5]),
        ([(4, "spike")], [0, 1, 2, 3, 5, 6, 7]),
        ([(2, "step"), (4, "spike")], [2, 3, 5, 6, 7]),
        ([(4, "step"), (4, "spike")], range(4)[:0]),  # the only cell before, in that piece
        ([(6, "two-period step")], []),  # from 2015 to 2017: 2016 is between
        ([(7, "two-period step")], range(6)),
    ],
)
def test_pieces_between_breaks(cuts, kept):
    check = dk.WithoutBreaks(
        breaks=known([(ONE, t) for t, _ in cuts], kind=[kind for _, kind in cuts])
    )
    made = dk.DiD().fit(design_of(outcome(), STARTS), "m").infer(None)
    out = cells_left_out(made, check.flags(made))
    others = np.arange(N) != ONE
    assert not out[others].any()
    assert np.flatnonzero(~out[ONE]).tolist() == list(kept)


def test_comparators_are_held_against_the_first_start():
    starts = dict(zip(PILOTS, (3, 5, 6, 5, 6), strict=True))
    check = dk.WithoutBreaks(breaks=known([(TWO, 4), (PILOTS[2], 4)]))
    made = dk.DiD().fit(design_of(outcome(), starts), "m").infer(None)
    out = cells_left_out(made, check.flags(made))
    assert np.flatnonzero(~out[TWO]).tolist() == [0, 1, 2, 3]  # 2011 to 2014, a start in 2014
    assert np.flatnonzero(~out[PILOTS[2]]).tolist() == [4, 5, 6, 7]  # starts in 2017


def test_cells_left_out_are_not_available_and_all_others_keep_their_bounds():
    y = outcome()
    ids, (unit, year) = codes(N), np.indices(y.shape)
    frame = pd.DataFrame({"la": np.array(ids)[unit.ravel()], "year": FIRST + year.ravel()})
    frame["m"] = y.ravel()
    frame["low"], frame["high"] = frame["m"] - 2, frame["m"] + 3
    panel = dk.Panel.from_frame(
        frame, unit="la", period="year", metrics=["m"], lower={"m": "low"}, upper={"m": "high"}
    )
    rollout = dk.Rollout({ids[j]: FIRST + t for j, t in STARTS.items()})
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    made = dk.DiD().fit(design, "m").infer(None)
    out = np.zeros((N, T), dtype=bool)
    out[ONE, 1] = True
    rows, columns = own_cells(made, "here")
    edited = without_cells(made, rows, columns, out).panel
    for what, shift in (("value", 0.0), ("lower", -2), ("upper", 3)):
        now = edited.wide("m", what=what).to_numpy()
        assert np.isnan(now[ONE, 1])
        np.testing.assert_allclose(now[~out], (y + shift)[~out])
    assert edited.wide("m", what="status").to_numpy()[ONE, 1] == "not available"
    np.testing.assert_array_equal(panel.wide("m").to_numpy(), y)


def test_intervals_are_by_the_estimates_own_inference():
    y = broken()
    own = dk.ClusterRobust("CR3")
    found = run(y, inference=own)
    design = design_of(y, STARTS)
    refit = dk.DiD().fit(design.drop(codes(N)[ONE]), "m").infer(own)["att"]
    row = found.table.set_index("scenario").loc["without flagged pilots"]
    for name in NUMBERS:
        assert row[name] == pytest.approx(refit[name])
    assert (found.table["n_pilots"].tolist()[:3], found.table["n_comparators"].tolist()[:3]) == (
        [5, 4, 4],
        [19, 18, 19],
    )


def test_a_flag_as_the_programme_starts_is_named():
    y = outcome()
    y[ONE, START:] /= 2
    found = run(y)
    name = codes(N)[ONE]
    note = next(note for note in found.notes if "may be the programme" in note)
    assert f"{name} in {FIRST + START} (−" in note
    assert found.check.flags(found.estimate)["at_start"].tolist() == [True]
    assert found.facts["n_at_start"] == 1
    # cells on neither side: the authority goes as a whole
    by = found.table.set_index("scenario")
    assert by.loc["without flagged cells", "estimate"] == pytest.approx(did(y, (ONE,)))
    late = y.copy()
    late[ONE, START] = y[ONE, START - 1]  # one period later
    after = run(late)
    assert not after.check.flags(after.estimate)["at_start"].any()
    assert not any("may be the programme," in note for note in after.notes)


def test_flags_outside_the_window_are_counted_and_not_used():
    y = broken()
    made = dk.DiD().fit(design_of(y, STARTS, periods=(2013, 2016)), "m").infer(None)
    found = made.check(dk.WithoutBreaks())
    # the step runs from 2012 to 2013, and the spike is in 2017
    assert len(found.table) == 1
    assert found.facts["n_elsewhere"] == 2
    assert found.alternatives is None
    assert "No series behind the estimate" in found.headline
    inside = dk.DiD().fit(design_of(y, STARTS, periods=(2012, 2016)), "m").infer(None)
    assert inside.check(dk.WithoutBreaks()).facts["n_flags"] == 1
    spiked = dk.DiD().fit(design_of(y, STARTS, periods=(2013, 2017)), "m").infer(None)
    assert spiked.check(dk.WithoutBreaks()).check.flags(spiked)["kind"].tolist() == ["spike"]


def test_a_higher_threshold_flags_less():
    y = broken()
    assert run(y, dk.WithoutBreaks(threshold=50.0)).facts["n_flags"] == 0
    assert run(y, dk.WithoutBreaks(threshold=2.5)).facts["n_flags"] > 2


def test_all_pilots_flagged_leaves_no_estimate_and_says_why():
    check = dk.WithoutBreaks(breaks=known([(j, 2) for j in PILOTS]), leave_out=["units", "each"])
    found = run(outcome(), check)
    row = found.table.iloc[1]
    assert np.isnan(row["estimate"])
    assert "no estimate" in row["note"]
    assert any("without flagged authorities: no estimate" in note for note in found.notes)
    assert found.table["estimate"].iloc[2:].notna().all()
    assert len(found.table) == 7


@pytest.mark.parametrize(
    "estimator", [dk.DiD("complete"), dk.EventStudy(), dk.Imputation(), dk.Gap()], ids=str
)
def test_other_estimators_are_refitted(estimator):
    y = broken()
    found = run(y, estimator=estimator)
    design = design_of(y, STARTS)
    for unit in (codes(N)[ONE], codes(N)[TWO]):
        design = design.drop(unit)
    refit = estimator.fit(design, "m")
    expected = refit.values[refit.place_of(None, where="")]
    by = found.table.set_index("scenario")["estimate"]
    assert by["without flagged authorities"] == pytest.approx(expected)
    assert np.isfinite(by["without flagged cells"])


def test_bad_options_are_refused():
    for given in (0, -1, np.nan, np.inf, "4", True):
        with pytest.raises(InferenceError, match=r"WithoutBreaks\(threshold=\)"):
            dk.WithoutBreaks(given)
    for given in ("everything", [], ("units", "years")):
        with pytest.raises(InferenceError, match=r"WithoutBreaks\(leave_out=\)"):
            dk.WithoutBreaks(leave_out=given)
    for given in ([("303", 2015)], pd.DataFrame({"unit": ["303"]})):
        with pytest.raises(InferenceError, match="columns unit and period"):
            dk.WithoutBreaks(breaks=given)
    with pytest.raises(InferenceError, match="a threshold, or breaks that are known"):
        dk.WithoutBreaks(5.0, breaks=known([(ONE, 3)]))


def test_breaks_that_name_nothing_are_refused():
    y = outcome()
    for wrong, match in (
        (pd.DataFrame({"unit": ["999"], "period": [2013]}), "a unit of the panel"),
        (pd.DataFrame({"unit": [codes(N)[0]], "period": [1999]}), "1999"),
    ):
        with pytest.raises(PanelError, match=match):
            run(y, dk.WithoutBreaks(breaks=wrong))
    for wrong, match in (
        (known([(0, 3)], kind="jump"), "kinds of break"),
        (known([(0, 0)]), "a break after the first period"),
        (known([(0, 3)], since=[FIRST + 4]), "since 2015, period 2014"),
    ):
        with pytest.raises(InferenceError, match=match):
            run(y, dk.WithoutBreaks(breaks=wrong))


def test_a_metric_without_logarithms_is_refused_and_served_by_known_breaks():
    y = outcome() - 400
    with pytest.raises(InferenceError, match="without negative values") as caught:
        run(y)
    assert "WithoutBreaks(breaks=" in str(caught.value)
    found = run(y, dk.WithoutBreaks(breaks=known([(ONE, 2)])))
    assert found.table["estimate"].iloc[1] == pytest.approx(did(y, (ONE,)))


def test_breaks_given_are_copied():
    table = known([(ONE, 2)])
    check = dk.WithoutBreaks(breaks=table)
    table.loc[0, "unit"] = "999"
    assert run(outcome(), check).facts["n_flags"] == 1
