"""Switching: R's numbers, known answers with doses that come and go, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, noise, panel_of, spread, treated

import didkit as dk
from didkit.design import Design, NotYetTreated, Pool, Rollout
from didkit.errors import EstimationError
from didkit.estimate.switching import Switching
from didkit.panel import Panel

_OF = {
    "mpdta": ("countyreal", "year", "lemp", "D"),
    "castle": ("sid", "year", "l_homicide", "post"),
    "favara_imbs": ("county", "year", "Dl_vloans_b", "inter_bra"),
}
_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "dyn_fi": ("favara_imbs", {"after": 3, "before": 2}),
    "dyn_fi_norm": ("favara_imbs", {"after": 3, "before": 2, "normalized": True}),
    "dyn_castle": ("castle", {"after": 5, "before": 3}),
    "dyn_mpdta_w": ("mpdta", {"after": 2, "before": 1, "sampling": "lpop"}),
    "dyn_castle_trends": ("castle", {"after": 3, "before": 2, "trends_linear": True}),
    "dyn_castle_same": ("castle", {"after": 3, "before": 2, "same_switchers": True}),
    "dyn_mpdta": ("mpdta", {"after": 3, "before": 2}),
}


def _golden(folder: Path, name: str) -> tuple[pd.DataFrame, Design]:
    """Read the data, and take the first change of the treatment as the start."""
    frame = pd.read_csv(folder / "data" / f"{name}.csv")
    unit, period, y, d = _OF[name]
    if name == "mpdta":
        begun = (frame["first.treat"] > 0) & (frame["year"] >= frame["first.treat"])
        frame["D"] = begun.astype(float)
    frame = frame.sort_values([unit, period])
    moved = frame[d] != frame.groupby(unit)[d].transform("first")
    frame["start"] = frame[unit].map(frame[moved].groupby(unit)[period].min())
    design = Design.from_frame(
        frame,
        unit=unit,
        period=period,
        start="start",
        metrics=[y, d, *(["lpop"] if name == "mpdta" else [])],
        against=NotYetTreated(),
        clusters="state_n" if name == "favara_imbs" else None,
        selection="unknown",
    )
    return frame, design


@pytest.mark.parametrize("case", sorted(_CASES))
def test_did_multiplegt_dyn_2_1_2(case: str, shared_reference: Path) -> None:
    """R's did_multiplegt_dyn (column `call`): effects, placebos, errors, counts, joint tests."""
    name, options = _CASES[case]
    table = pd.read_csv(shared_reference / "DIDmultiplegtDYN.csv")
    wanted = table[table["case"] == case].set_index("term")
    y, d = _OF[name][2:]
    _, design = _golden(shared_reference, name)
    made = Switching(**options, treatment=d, alone="zero").fit(design, y)
    sure = made.infer(dk.ClusterRobust("CR0", df="normal"))
    rows = sure.tidy().set_index("term")
    both: dict[str, list[str]] = {"effects": [], "placebo": []}
    for label, row in wanted[wanted.index.str.contains("Effect_|Placebo_")].iterrows():
        which, ahead = str(label).split("_")
        e = int(ahead) - 1 if which == "Effect" else -int(ahead) - 1
        term = f"event time {e:+d}" if e else "event time 0"
        both["effects" if e >= 0 else "placebo"].append(term)
        mine = rows.loc[term]
        counts = dict(part.split("=") for part in row["extra"].split(";"))
        assert int(counts["N"]) == mine["cells"]
        assert int(counts["switchers"]) == mine["n_pilots"]
        # R divides the second normalised placebo by less: see the next test
        factor = 2.0 / 1.72 if (case, label) == ("dyn_fi_norm", "Placebo_2") else 1.0
        np.testing.assert_allclose(mine["estimate"] * factor, row["estimate"], rtol=1e-9)
        np.testing.assert_allclose(mine["std_error"] * factor, row["std_error"], rtol=1e-9)
    for which, terms in both.items():
        p = wanted["estimate"].get(f"p_joint{which}")
        if p is not None and len(terms) > 1:
            np.testing.assert_allclose(sure.joint(terms).p_value, p, rtol=1e-6)
    average = wanted.loc["Av_tot_eff"]
    if np.isnan(average["estimate"]):  # with trends R has none, and it is refused here
        return
    less = {key: value for key, value in options.items() if key not in ("before", "normalized")}
    total = Switching(**less, treatment=d, alone="zero", overall=True).fit(design, y)
    one = total.infer(dk.ClusterRobust("CR0", df="normal"))["average total effect"]
    np.testing.assert_allclose(one["estimate"], average["estimate"], rtol=1e-9)
    np.testing.assert_allclose(one["std_error"], average["std_error"], rtol=1e-9)


def test_why_the_second_normalised_placebo_differs(shared_reference: Path) -> None:
    """R's dyn_fi_norm divides Placebo_2 by 1.72, not by 2: rows without a placebo are not summed.

    Each of the 25 switchers had one unit of treatment in each of the two periods since its switch.
    R adds up only the periods t in which the outcomes of t − 2 and t − 4 exist, so that the first
    one drops out of the sum for those that switched in 1997.
    """
    frame, design = _golden(shared_reference, "favara_imbs")
    made = Switching(2, 2, treatment="inter_bra", normalized=True).fit(design, "Dl_vloans_b")
    assert made.terms.loc[made.terms["event_time"] == -3, "doses"].tolist() == [2.0]
    y = frame.pivot(index="county", columns="year", values="Dl_vloans_b").to_numpy()
    d = frame.pivot(index="county", columns="year", values="inter_bra").to_numpy()
    change = np.full(y.shape, np.nan)
    change[:, 4:] = y[:, :-4] - y[:, 2:-2]
    moved = (d != d[:, :1]) & np.isfinite(d)
    switch = np.where(moved.any(axis=1), moved.argmax(axis=1), 99)
    total = count = 0
    for j in np.flatnonzero((switch >= 3) & (switch < 11)):
        t = switch[j]
        if np.isfinite(change[j, t + 1]) and np.isfinite(y[j, t + 1]):
            count += 1
            total += sum(d[j, s] for s in (t, t + 1) if np.isfinite(change[j, s]))
    assert count == 25
    assert total / count == 1.72


# -- known answers -------------------------------------------------------------------------------

STARTS = {1: 3, 4: 3, 6: 3, 8: 5, 10: 5, 11: 4}


def _design(y: np.ndarray, rollout: Rollout, **options: Any) -> Design:
    options.setdefault("against", NotYetTreated())
    return Design(panel_of(y), rollout, selection="unknown", **options)


def test_without_leaving_it_is_group_time() -> None:
    """Treatment 0/1 that stays: event times from 0 on are those of GroupTime, not yet treated."""
    y = noise(16, 8, 1)
    design = design_of(y, STARTS, against=NotYetTreated())
    mine = Switching(before=0).fit(design, "m")
    other = dk.GroupTime(by="dynamic", comparison="not_yet").fit(design, "m")
    expected = other.tidy().set_index("term")["estimate"]
    np.testing.assert_allclose(mine.values, expected[list(mine.terms["term"])], rtol=1e-10)
    np.testing.assert_allclose((mine.weights * y).sum(axis=(1, 2)), mine.values, rtol=1e-10)
    never = Switching(before=0, comparison="never").fit(design, "m")
    pool = dk.GroupTime(by="dynamic").fit(design_of(y, STARTS), "m").tidy().set_index("term")
    np.testing.assert_allclose(never.values, pool["estimate"][list(never.terms["term"])])


def test_pilots_that_leave_and_effects_that_end() -> None:
    """An effect of 6 while in the programme: 6 at first, less where some have left."""
    ids = codes(14)
    y = noise(14, 7, 2, scale=0.0)
    stops = {1: 5, 4: None, 6: 5, 9: None}
    for j, stop in stops.items():
        y[j, 3 : stop or 7] += 6.0
    rollout = Rollout(
        {ids[j]: FIRST + 3 for j in stops},
        stops={ids[j]: FIRST + s for j, s in stops.items() if s},
    )
    design = _design(y, rollout, against=Pool())
    made = Switching(before=2).fit(design, "m")
    np.testing.assert_allclose(made.values, [0, 0, 6, 6, 3, 3], atol=1e-10)
    per = Switching(before=0, normalized=True).fit(design, "m")
    np.testing.assert_allclose(per.values, [6, 6 / 2, 3 / 2.5, 3 / 3], rtol=1e-10)
    total = Switching(overall=True).fit(design, "m")
    np.testing.assert_allclose(total.values, [6.0], rtol=1e-10)
    stayed = _design(y, rollout, against=Pool(), treatment="as_treated")
    later = Switching(before=0).fit(stayed, "m")
    np.testing.assert_allclose(later.values, [6, 6, 6, 6], rtol=1e-10)
    assert later.terms["n_pilots"].tolist() == [4, 4, 2, 2]
    assert "later effects are of stayers" in " ".join(later.notes)


def _metric_design(y: np.ndarray, d: np.ndarray, **options: Any) -> Design:
    frame = pd.DataFrame(
        [
            (codes(len(y))[j], FIRST + t, y[j, t], d[j, t])
            for j in range(len(y))
            for t in range(y.shape[1])
        ],
        columns=["la", "year", "m", "d"],
    )
    moved = d != d[:, :1]
    starts = {
        codes(len(y))[j]: FIRST + int(row.argmax()) for j, row in enumerate(moved) if row.any()
    }
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m", "d"])
    options.setdefault("against", NotYetTreated())
    return Design(panel, Rollout(starts), selection="unknown", **options)


def _levels() -> np.ndarray:
    """Treatments that start at 0 or 2, go up, down and back; four units never move."""
    d = np.zeros((12, 6))
    d[6:] = 2.0
    d[0, 2:], d[1, 2:], d[2, 4:] = 1.0, 3.0, 1.0
    d[1, 4:] = 0.0
    d[6, 2:], d[7, 3:], d[8, 3:] = 1.0, 0.0, 5.0
    return d


def test_doses_up_and_down_from_any_level() -> None:
    """An effect of 4 a unit of treatment, at once: 4 a unit in total, whatever the paths.

    Units at different first levels have different trends: only those alike are compared.
    """
    d = _levels()
    y = noise(12, 6, 3, scale=0.0) + 4.0 * d + (d[:, :1] == 2) * np.arange(6) ** 2
    design = _metric_design(y, d)
    total = Switching(overall=True, treatment="d").fit(design, "m")
    np.testing.assert_allclose(total.values, [4.0], rtol=1e-10)
    made = Switching(1, 1, treatment="d").fit(design, "m")
    # switchers' first steps: 1, 3, 1, |1 − 2|, |0 − 2|, 5 − 2
    np.testing.assert_allclose(made.values, [0.0, 4 * np.mean([1, 3, 1, 1, 2, 3])], atol=1e-10)
    np.testing.assert_allclose(made.terms["dose"].iloc[1], np.mean([1, 3, 1, 1, 2, 3]))
    assert made.facts["switchers_up"] == 4
    assert made.facts["switchers_down"] == 2
    assert "4 units switch up and 2 down" in " ".join(made.notes)
    per = Switching(1, 0, treatment="d", normalized=True).fit(design, "m")
    np.testing.assert_allclose(per.values, [4.0], rtol=1e-10)


def test_the_dose_of_the_rollout_is_the_treatment() -> None:
    ids = codes(12)
    doses = {1: {3: 0.5, 4: 1.0, 5: 0.25}, 4: {3: 1.0, 4: 1.0, 5: 1.0}, 7: {4: 2.0, 5: 0.0}}
    d = np.zeros((12, 6))
    for j, path in doses.items():
        for t, level in path.items():
            d[j, t] = level
    y = noise(12, 6, 4)
    rollout = Rollout(
        {ids[j]: FIRST + min(path) for j, path in doses.items()},
        dose={ids[j]: {FIRST + t: x for t, x in path.items()} for j, path in doses.items()},
    )
    mine = Switching(before=1, normalized=True).fit(_design(y, rollout), "m")
    other = Switching(before=1, normalized=True, treatment="d").fit(_metric_design(y, d), "m")
    np.testing.assert_allclose(mine.values, other.values, rtol=1e-12)
    np.testing.assert_allclose(mine.influence, other.influence, rtol=1e-12)
    part = Rollout(
        dict(rollout.starts), dose={u: x for u, x in rollout.dose.items() if u != ids[4]}
    )
    less = Switching(1).fit(_design(y, part), "m")
    assert f"({ids[4]}) left out: its dose is not known" in " ".join(less.all_notes)


def test_own_linear_trends_are_taken_away() -> None:
    y = noise(14, 8, 5, scale=0.0) + np.arange(14)[:, None] ** 2 * np.arange(8)
    y = y - 3 * treated((14, 8), STARTS)
    made = Switching(2, 1, trends_linear=True).fit(design_of(y, STARTS), "m")
    np.testing.assert_allclose(made.values, [0, -3, -3], atol=1e-9)
    np.testing.assert_allclose((made.weights * y).sum(axis=(1, 2)), made.values, atol=1e-9)
    plain = Switching(2, 1).fit(design_of(y, STARTS), "m")
    assert np.abs(plain.values - made.values).max() > 1


# -- inference -----------------------------------------------------------------------------------


def test_one_start_is_a_difference_of_two_means() -> None:
    """Each term: two means of one change a unit; the variance is Welch's, s²/n in each arm."""
    starts = spread(12, 4, 3)
    y = noise(12, 7, 6)
    made = Switching(before=2).fit(design_of(y, starts), "m")
    arm = np.array([j in starts for j in range(12)])
    for e, value, column in zip(
        made.terms["event_time"], made.values, made.influence.T, strict=True
    ):
        change = y[:, 3 + e] - y[:, 2]
        np.testing.assert_allclose(value, change[arm].mean() - change[~arm].mean(), rtol=1e-9)
        variance = change[arm].var(ddof=1) / arm.sum() + change[~arm].var(ddof=1) / (~arm).sum()
        np.testing.assert_allclose((column**2).sum(), variance, rtol=1e-9)


def test_a_cohort_of_one() -> None:
    """Pooled: about the mean of all that are compared; zero: no part in the variance, as R."""
    starts = {2: 3}
    y = noise(9, 6, 7)
    change = y[:, 3] - y[:, 2]
    pooled = Switching(1, 0).fit(design_of(y, starts), "m")
    zero = Switching(1, 0, alone="zero").fit(design_of(y, starts), "m")
    np.testing.assert_allclose(
        pooled.influence[2, 0], (change[2] - change.mean()) * np.sqrt(9 / 8), rtol=1e-10
    )
    assert zero.influence[2, 0] == 0
    np.testing.assert_allclose(pooled.influence[3:], zero.influence[3:])
    assert "pilots that switch alone, 1 time:" in " ".join(zero.notes)


@pytest.mark.parametrize(
    "options",
    [{"before": 1}, {"overall": True}, {"before": 0, "normalized": True}],
    ids=["events", "overall", "normalized"],
)
def test_reassigned_is_the_refit(options: dict[str, Any]) -> None:
    y = noise(12, 7, 8)
    design = design_of(y, STARTS)
    made = Switching(**options).fit(design, "m")
    kinds = sorted(set(STARTS.values()))
    labels = np.array([kinds.index(STARTS[j]) if j in STARTS else -1 for j in range(12)])
    other = np.random.default_rng(9).permutation(labels)
    assert made.reassigned is not None
    draws = made.reassigned(np.stack([labels, other]))
    np.testing.assert_allclose(draws.b[0], made.values, rtol=1e-10)
    np.testing.assert_allclose(draws.a[0], 1.0, rtol=1e-10)
    np.testing.assert_allclose(draws.v0[0], (made.influence**2).sum(axis=0), rtol=1e-10)
    moved = {j: kinds[g] for j, g in enumerate(other) if g >= 0}
    again = Switching(**options).fit(design_of(y, moved), "m")
    np.testing.assert_allclose(draws.b[1], again.values, rtol=1e-10)
    np.testing.assert_allclose(draws.v0[1], (again.influence**2).sum(axis=0), rtol=1e-10)
    d = _metric_design(noise(12, 6, 10), _levels())
    assert Switching(1, treatment="d").fit(d, "m").reassigned is None


def test_rows_shuffled_and_other_effects_change_nothing() -> None:
    y = noise(12, 7, 11)
    y[3, 2] = y[4, 5] = np.nan
    order = np.random.default_rng(12).permutation(12)
    back = {int(np.flatnonzero(order == j)[0]): t for j, t in STARTS.items()}
    made = Switching(before=1).fit(design_of(y, STARTS), "m")
    shifted = 2 * (y + 50 * np.arange(12)[:, None] - np.arange(7) ** 3)
    moved = Switching(before=1).fit(design_of(shifted[order], back), "m")
    np.testing.assert_allclose(moved.values, 2 * made.values, rtol=1e-9)
    np.testing.assert_allclose(moved.influence, 2 * made.influence[order], rtol=1e-8, atol=1e-9)


# -- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"after": 0},
        {"after": 1.5},
        {"before": -1},
        {"comparison": "all"},
        {"alone": "drop"},
        {"normalized": 1},
        {"overall": True, "normalized": True},
        {"overall": True, "trends_linear": True},
        {"overall": True, "before": 2},
    ],
)
def test_unknown_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(EstimationError, match="Switching"):
        Switching(**options)


def test_designs_that_it_cannot_serve_are_refused() -> None:
    y = noise(12, 6, 13)
    ids = codes(12)
    sets = dk.MatchedSets({ids[1]: {ids[3]: 1.0}, ids[2]: {ids[5]: 1.0}})
    with pytest.raises(EstimationError, match="matched sets"):
        Switching().fit(design_of(y, {1: 3, 2: 3}, against=sets), "m")
    with pytest.raises(EstimationError, match="5 effects"):
        Switching(5).fit(design_of(y, {1: 3, 2: 3}), "m")
    with pytest.raises(EstimationError, match="3 placebos"):
        Switching(1, 3).fit(design_of(y, {1: 3, 2: 3}), "m")
    d = _levels()
    d[6:] = np.arange(6)[:, None] + 7.0  # nobody else starts there
    d[6:, 3:] += 1
    alone = Switching(1, treatment="d").fit(_metric_design(y, d), "m")
    assert "6 pilots are in no term" in " ".join(alone.notes)
    right = _metric_design(y, _levels())
    late = Rollout({**dict(right.rollout.starts), ids[0]: FIRST + 3})
    wrong = Design(right.panel, late, against=NotYetTreated(), selection="unknown")
    with pytest.raises(EstimationError, match="period in which the treatment changes"):
        Switching(1, treatment="d").fit(wrong, "m")
    back = np.zeros((12, 6))
    back[6:] = 2.0
    back[6, 2], back[6, 3:] = 1.0, 4.0  # down by one first, then far above
    with pytest.raises(EstimationError, match="more treatment than at first"):
        Switching(overall=True, treatment="d").fit(_metric_design(y, back), "m")
