"""Weights of treated cells: the authors' numbers, and what weights are for."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers import design_of, noise, with_gaps

import didkit as dk
from didkit.errors import InferenceError

STARTS = {1: 1, 2: 1, 4: 4, 6: 5, 9: 6}
N, T = 12, 8
CASES = {
    "tw_castle_feTR": ("castle", "l_homicide", ()),
    "tw_castle_feTR_ctrl": ("castle", "l_homicide", ("l_income", "unemployrt")),
    "tw_stagg_feTR": ("base_stagg", "y", ()),
    "tw_castle_feS": ("castle", "l_homicide", ()),
}
COLUMNS = {"castle": ("sid", "year", "effyear"), "base_stagg": ("id", "year", "year_treated")}


def found(y: np.ndarray, estimator=None, starts=STARTS, **options) -> dk.Finding:
    made = (estimator or dk.DiD()).fit(design_of(y, starts), "m").infer(None)
    return made.check(dk.TwoWayWeights(**options))


def reference(folder, case: str) -> tuple[dk.Estimate, pd.Series]:
    data, metric, covariates = CASES[case]
    frame = pd.read_csv(folder / "data" / f"{data}.csv")
    unit, period, start = COLUMNS[data]
    design = dk.Design.from_frame(
        frame, unit=unit, period=period, start=start, metrics=[metric, *covariates],
        selection="unknown", never=[10000] if data == "base_stagg" else (),
    )  # fmt: skip
    made = dk.DiD(covariates=covariates).fit(design, metric).infer(None)
    known = pd.read_csv(folder / "TwoWayFEWeights.csv")
    return made, known[known["case"] == case].set_index("term")["estimate"]


@pytest.mark.parametrize("case", [case for case in CASES if case.endswith(("feTR", "ctrl"))])
def test_twowayfeweights(shared_reference, case):
    """R: twowayfeweights(..., type='feTR', controls=, summary_measures=TRUE), 2.0.4.

    Its first summary measure has n − 1 in the variance of the weights, the paper n.
    """
    made, known = reference(shared_reference, case)
    finding = made.check(dk.TwoWayWeights())
    facts, table = finding.facts, finding.table
    unit = table["unit"].astype(int).astype(str)
    mine = pd.Series(table["weight"].to_numpy(), "w|G=" + unit + "|T=" + table["period"])
    cells = known[known.index.str.startswith("w|")]
    assert set(mine.index) == set(cells.index)
    np.testing.assert_allclose(mine[cells.index], cells, rtol=1e-8, atol=1e-14)
    assert facts["estimate"] == pytest.approx(known["beta"], rel=1e-9)
    assert facts["n_positive"] == known["nr_plus"]
    assert facts["n_negative"] == known["nr_minus"]
    assert facts["sum_positive"] == pytest.approx(known["sum_plus"])
    assert facts["sum_negative"] == pytest.approx(known["sum_minus"])
    n = facts["n_weights"]
    theirs = facts["sigma_zero"] * np.sqrt((n - 1) / n)
    assert theirs == pytest.approx(known["sensibility"], rel=1e-8)
    if "sensibility2" in known.index:
        assert facts["sigma_opposite"] == pytest.approx(known["sensibility2"], rel=1e-8)
    else:
        assert np.isnan(facts["sigma_opposite"])


def test_twowayfeweights_stable(shared_reference):
    """R: type='feS', which takes means over a unit's treated periods where sums are meant."""
    made, known = reference(shared_reference, "tw_castle_feS")
    table = made.check(dk.TwoWayWeights(stable=True)).table
    periods = (made.sample.treated & made.sample.mask).sum(axis=1)
    mean = table["weight"] / table["unit"].map(dict(zip(made.sample.units, periods, strict=True)))
    mean = mean / mean.sum()
    begin = made.design.starts
    index = "w|G=" + table["unit"].astype(int).astype(str) + "|T=" + table["unit"].map(begin)
    cells = known[known.index.str.startswith("w|")]
    mine = pd.Series(mean.to_numpy(), index)
    np.testing.assert_allclose(mine[cells.index], cells, rtol=1e-8)
    theirs = abs(made.values[0]) / np.std(len(mine) * mine, ddof=1)
    assert theirs == pytest.approx(known["sensibility"], rel=1e-8)


def test_weights_average_the_effects():
    """Without noise the estimate is Σ weight × effect over treated cells, whatever the effects."""
    rng = np.random.default_rng(1)
    effects = np.zeros((N, T))
    for j, start in STARTS.items():
        effects[j, start:] = rng.normal(size=T - start)
    levels = rng.normal(size=(N, 1)) + rng.normal(size=(1, T))
    finding = found(with_gaps(levels + effects, 3))
    table = finding.table
    unit = [finding.estimate.sample.units.index(u) for u in table["unit"]]
    mine = effects[unit, [int(p) - 2011 for p in table["period"]]]
    assert (table["weight"] * mine).sum() == pytest.approx(finding.estimate.values[0], rel=1e-9)
    assert table["weight"].sum() == pytest.approx(1)
    assert table["share"].sum() == pytest.approx(1)


def test_stable_effects_are_averaged_by_unit():
    sizes = np.random.default_rng(2).normal(size=N)
    y = np.zeros((N, T))
    for j, start in STARTS.items():
        y[j, start:] = sizes[j]
    finding = found(y, stable=True)
    table = finding.table
    mine = sizes[[finding.estimate.sample.units.index(u) for u in table["unit"]]]
    assert len(table) == len(STARTS)
    assert (table["weight"] * mine).sum() == pytest.approx(finding.estimate.values[0], rel=1e-9)


def test_early_starts_in_late_periods_count_backwards():
    table = found(noise(N, T, 1), starts={1: 1, 2: 1, 3: 1, 4: 1, 5: 6, 6: 6, 7: 6}).table
    backwards = table[table["weight"] < 0]
    assert len(backwards)
    assert set(backwards["event_time"]) <= {5, 6}


def test_the_two_spreads_are_reached():
    """At sigma_zero some effects with that spread have mean zero, and give the estimate."""
    finding = found(noise(N, T, 1), starts={1: 1, 2: 1, 3: 1, 4: 1, 5: 6, 6: 6, 7: 6})
    w, n = finding.table["weight"].to_numpy(), len(finding.table)
    value, sigma = finding.facts["estimate"], finding.facts["sigma_zero"]
    tilt = n * w - 1
    effects = value * tilt / (w @ tilt)  # mean zero, the estimate by weights, the least spread
    assert effects.mean() == pytest.approx(0, abs=1e-12)
    assert w @ effects == pytest.approx(value)
    assert effects.std() == pytest.approx(sigma)
    assert finding.facts["sigma_opposite"] >= sigma
    # and by least squares under the constraint that all are of the opposite sign
    from scipy.optimize import minimize

    sign = np.sign(value)
    start = np.where(w < 0, -sign * value / abs(w[w < 0].sum()) * sign, 0.0)
    best = minimize(
        lambda e: ((e - e.mean()) ** 2).mean() / value**2,
        start,
        jac=lambda e: 2 * (e - e.mean()) / n / value**2,
        constraints={"type": "eq", "fun": lambda e: w @ e / value - 1, "jac": lambda e: w / value},
        bounds=[(None, 0) if sign > 0 else (0, None)] * n,
        options={"maxiter": 2000, "ftol": 1e-14},
    )
    assert np.sqrt(best.fun) * abs(value) == pytest.approx(
        finding.facts["sigma_opposite"], rel=1e-3
    )


def test_one_start_counts_all_alike():
    finding = found(noise(N, T, 1), starts={1: 4, 5: 4, 7: 4})
    np.testing.assert_allclose(finding.table["weight"], finding.table["share"])
    assert finding.facts["sigma_zero"] == np.inf
    assert "plain mean" in finding.notes[0]


def test_contamination_of_an_event_study():
    """Each term holds its own event time once, and others of effects that differ by start."""
    finding = found(noise(N, T, 1), dk.EventStudy())
    table = finding.table
    own = table[table["own"]].groupby("term")["weight"].sum()
    np.testing.assert_allclose(own, 1.0)
    assert finding.facts["largest"] != 0
    rest = table[~table["own"]].groupby(["term", "event_time"])["weight"].sum()
    reference = rest.index.get_level_values("event_time") == -1
    np.testing.assert_allclose(rest[reference], -1.0)
    np.testing.assert_allclose(rest[~reference], 0.0, atol=1e-9)
    # it is what effects of one start alone do to a term
    y = np.zeros((N, T))
    y[[1, 2], 3:4] = 1.0  # start 2012, event time 2
    made = dk.EventStudy().fit(design_of(y, STARTS), "m")
    mine = table[(table["start"] == "2012") & (table["event_time"] == 2)].set_index("term")
    np.testing.assert_allclose(mine.loc[made.terms["term"], "weight"] * 1.0, made.values, atol=1e-9)


def test_cohorts_of_their_own_are_not_contaminated():
    finding = found(noise(N, T, 1), dk.GroupTime(by="dynamic"))
    assert abs(finding.facts["largest"]) < 1e-9
    assert finding.facts["sum_negative"] == 0


def test_refused_by_name():
    y = noise(N, T, 1)
    with pytest.raises(InferenceError, match="publishes its weights"):
        found(y, dk.ChangesInChanges(), {1: 4, 5: 4, 7: 4})
    with pytest.raises(InferenceError, match="one term"):
        found(y, dk.EventStudy(), stable=True)
    with pytest.raises(InferenceError, match="stable=True or stable=False"):
        dk.TwoWayWeights(stable=1)  # type: ignore[arg-type]


def test_the_picture_shades_what_counts_backwards():
    finding = found(noise(N, T, 1), starts={1: 1, 2: 1, 3: 1, 4: 1, 5: 6, 6: 6, 7: 6})
    axes = finding.plot()
    heights = [patch.get_height() for patch in axes.patches]
    assert sorted(heights) == pytest.approx(sorted(100 * finding.table["weight"]))
    colours = {patch.get_facecolor() for patch in axes.patches if patch.get_height() < 0}
    assert len(colours) == 1
    assert colours.isdisjoint(
        {patch.get_facecolor() for patch in axes.patches if patch.get_height() > 0}
    )
    count = int(finding.facts["n_negative"])
    assert str(count) in axes.get_title(loc="left")
    plt.close(axes.figure)


def test_the_picture_of_an_event_study_is_of_its_contamination():
    finding = found(noise(N, T, 1), dk.EventStudy())
    axes = finding.plot()
    assert set(axes.data["term"]) == set(finding.table["term"])
    plt.close(axes.figure)
