"""Local projections: the regressions written out by statsmodels, and the estimators they equal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from helpers import design_of, frame_of, noise, with_gaps

import didkit as dk
from didkit.errors import EstimationError

N, T = 20, 8
STARTS = {2: 3, 5: 3, 9: 5, 14: 5, 16: 4, 18: 5}


def differences(y, starts, h, *, base=1, never=False, anticipation=0, last=None):
    """Lay out one regression's rows: unit, period, difference, whether it starts."""
    start = {j: starts.get(j, 99) for j in range(len(y))}
    last = h if last is None else last
    rows = []
    for t in sorted(set(starts.values())):
        end = t - anticipation
        begin = 0 if base == "all" else end - base
        if t + h < 0 or t + last >= y.shape[1] or begin < 0 or end <= 0:
            continue
        for j, s in start.items():
            control = s - anticipation > t + max(last, 0) and (s == 99 or not never)
            early = y[j, begin:end]
            early = early[~np.isnan(early)] if base == "all" else early
            change = y[j, t + h : t + last + 1].mean() - (early.mean() if len(early) else np.nan)
            if (s == t or control) and not np.isnan(change):
                rows.append((j, t, change, float(s == t)))
    table = pd.DataFrame(rows, columns=["unit", "period", "change", "on"])
    share = table.groupby("period")["on"].transform("mean")
    return table[(share > 0) & (share < 1)]


CASES = [
    {},
    {"weighting": "equal"},
    {"comparison": "not_yet"},
    {"comparison": "not_yet", "weighting": "equal"},
    {"base_periods": 2},
    {"base_periods": "all", "comparison": "not_yet"},
    {"anticipation": 1, "comparison": "not_yet"},
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_every_horizon_is_a_regression(options):
    y = with_gaps(noise(N, T, 1), 2, whole=list(STARTS), share=0.08)
    y[9, 7] = np.nan
    made = dk.LPDiD(by="dynamic", **options).fit(design_of(y, STARTS), "m")
    sure = made.infer(dk.ClusterRobust("CR0", df="normal")).attached
    layout = {
        "base": options.get("base_periods", 1),
        "never": options.get("comparison") != "not_yet",
        "anticipation": options.get("anticipation", 0),
    }
    for m, h in enumerate(made.terms["event_time"]):
        rows = differences(y, STARTS, h, **layout)
        weight = np.ones(len(rows))
        if options.get("weighting") == "equal":
            weight = 1 / (1 - rows.groupby("period")["on"].transform("mean"))
        fit = smf.wls("change ~ on + C(period)", rows, weights=weight).fit(
            cov_type="cluster",
            cov_kwds={"groups": rows["unit"].to_numpy(), "use_correction": False},
        )
        assert made.values[m] == pytest.approx(fit.params["on"], rel=1e-9)
        own = np.sqrt((made.influence[:, m] ** 2).sum())
        assert own == pytest.approx(fit.bse["on"], rel=1e-7)
        if np.isfinite(sure.std_error[m]):
            assert sure.std_error[m] == pytest.approx(own, rel=1e-8)
        assert made.terms["n_pilots"].iloc[m] == rows.loc[rows["on"] == 1, "unit"].nunique()
    assert list(made.terms["event_time"]) == sorted(made.terms["event_time"])
    assert (made.terms["phase"] == "before").any()
    assert 0 in list(made.terms["event_time"])
    assert made.n_terms > 5


@pytest.mark.parametrize("weighting", ["variance", "equal"])
def test_pooled_is_one_regression_of_a_mean(weighting):
    y = noise(N, T, 3)
    made = dk.LPDiD(by="pooled", weighting=weighting).fit(design_of(y, STARTS), "m")
    rows = differences(y, STARTS, 0, last=2, never=True)  # the last start is seen to +2
    weight = np.ones(len(rows))
    if weighting == "equal":
        weight = 1 / (1 - rows.groupby("period")["on"].transform("mean"))
    fit = smf.wls("change ~ on + C(period)", rows, weights=weight).fit()
    assert made.values[0] == pytest.approx(fit.params["on"], rel=1e-9)
    short = dk.LPDiD(by="pooled", window=0).fit(design_of(y, STARTS), "m")
    first = dk.LPDiD(by="dynamic").fit(design_of(y, STARTS), "m")
    assert short.values[0] == pytest.approx(first.values[first.place_of("event time 0", where="")])


def test_simple_averages_the_horizons_by_their_pilots():
    design = design_of(noise(N, T, 4), STARTS)
    every = dk.LPDiD(by="dynamic", window=3).fit(design, "m")
    made = dk.LPDiD(window=3).fit(design, "m")
    after = (every.terms["phase"] == "after").to_numpy()
    n = every.terms["n_pilots"].to_numpy()[after]
    assert list(n) == [6, 6, 6, 3]
    assert made.values[0] == pytest.approx(np.average(every.values[after], weights=n))
    mixed = np.average(every.influence[:, after], weights=n, axis=1)
    np.testing.assert_allclose(made.influence[:, 0], mixed, atol=1e-12)


def test_balanced_with_one_start_it_is_the_event_study():
    design = design_of(noise(N, T, 5), dict.fromkeys((2, 7, 11), 4))
    made = dk.LPDiD(by="dynamic").fit(design, "m")
    other = dk.EventStudy(cells="complete").fit(design, "m")
    assert list(made.terms["term"]) == list(other.terms["term"])
    np.testing.assert_allclose(made.values, other.values, rtol=1e-10)
    np.testing.assert_allclose(made.weights, other.weights, atol=1e-12)
    whole = dk.LPDiD(by="pooled", base_periods="all").fit(design, "m")
    assert whole.values[0] == pytest.approx(dk.DiD().fit(design, "m").values[0], rel=1e-10)
    for kind in ("CR0", "CR1", "CR2", "CR3"):
        mine = made.infer(dk.ClusterRobust(kind)).attached
        theirs = other.infer(dk.ClusterRobust(kind)).attached
        np.testing.assert_allclose(mine.std_error, theirs.std_error, rtol=1e-8)


@pytest.mark.parametrize("comparison", ["never", "not_yet"])
def test_weighted_by_pilots_it_is_group_time(comparison):
    design = design_of(noise(N, T, 6), STARTS)
    made = dk.LPDiD(by="dynamic", weighting="equal", comparison=comparison).fit(design, "m")
    other = dk.GroupTime(by="dynamic", comparison=comparison).fit(design, "m")
    after = (made.terms["phase"] == "after").to_numpy()
    theirs = (other.terms["phase"] == "after").to_numpy()
    assert list(made.terms["term"][after]) == list(other.terms["term"][theirs])
    np.testing.assert_allclose(made.values[after], other.values[theirs], rtol=1e-10)
    simple = dk.LPDiD(weighting="equal", comparison=comparison).fit(design, "m")
    whole = dk.GroupTime(comparison=comparison).fit(design, "m")
    np.testing.assert_allclose(simple.values, whole.values, rtol=1e-10)


def test_the_two_weightings_differ_and_say_so():
    design = design_of(noise(N, T, 7), STARTS, against=dk.NotYetTreated())
    plain = dk.LPDiD().fit(design, "m")
    equal = dk.LPDiD(weighting="equal").fit(design, "m")
    assert abs(plain.values[0] - equal.values[0]) > 1e-6
    assert "least squares weighs" in plain.estimand
    assert "each authority counts once" in equal.estimand


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"by": "pooled", "base_periods": 2, "window": 2},
        {"by": "dynamic", "comparison": "not_yet"},
    ],
    ids=str,
)
def test_many_assignments_are_refits(gaps, options):
    y = noise(N, T, 8)
    if gaps:
        y[19, 6] = np.nan
    made = dk.LPDiD(**options).fit(design_of(y, STARTS), "m")
    before = (made.terms["phase"] == "before").to_numpy()
    labels = np.random.default_rng(9).permuted(
        np.repeat(made.sample.cohort[None].astype(np.int64), 3, axis=0), axis=1
    )
    draws = made.reassigned(labels)
    assert np.isnan(draws.b[:, before]).all()
    assert any("no permutation test" in note for note in made.notes) == before.any()
    np.testing.assert_allclose(made.reassigned(made.sample.cohort[None]).a[:, ~before], 1.0)
    for i, row in enumerate(labels):
        starts = {j: made.sample.starts[g] for j, g in enumerate(row) if g >= 0}
        again = dk.LPDiD(**options).fit(design_of(y, starts), "m")
        np.testing.assert_allclose(draws.b[i, ~before], again.values[~before], rtol=1e-8)
        own = (again.influence**2).sum(axis=0)
        np.testing.assert_allclose(draws.v0[i, ~before], own[~before], rtol=1e-7)


def test_with_one_start_leads_have_placebos_too():
    y = noise(N, T, 10)
    made = dk.LPDiD(by="dynamic").fit(design_of(y, dict.fromkeys((1, 6, 12), 4)), "m")
    draws = made.reassigned(made.sample.cohort[None].astype(np.int64))
    np.testing.assert_allclose(draws.b[0], made.values, rtol=1e-9)
    np.testing.assert_allclose(draws.a[0], 1.0, rtol=1e-9)


def test_a_start_without_controls_is_named():
    y = noise(6, 6, 11)
    starts = {0: 2, 1: 2, 2: 3, 3: 3, 4: 4, 5: 4}
    made = dk.LPDiD(by="dynamic").fit(design_of(y, starts, against=dk.NotYetTreated()), "m")
    assert any(
        "starts left out, without a base or controls: 1 (2015)" in note for note in made.notes
    )
    assert made.terms["event_time"].max() == 1
    with pytest.raises(EstimationError, match="controls for both") as caught:
        dk.LPDiD(comparison="never").fit(design_of(y, starts, against=dk.NotYetTreated()), "m")
    assert "not_yet" in caught.value.todo


def test_weights_of_people():
    frame = frame_of(noise(N, T, 12))
    ids = sorted(frame["la"].unique())
    frame["people"] = frame["la"].astype(int)
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m", "people"])
    rollout = dk.Rollout({ids[j]: 2011 + t for j, t in STARTS.items()})
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    made = dk.LPDiD(by="pooled", window=0, weighting="equal", population="people").fit(design, "m")
    y = frame["m"].to_numpy().reshape(N, T)
    people = np.array([int(one) for one in ids])
    rest = [j for j in range(N) if j not in STARTS]
    total, pilots = 0.0, 0
    for j, t in STARTS.items():
        change = y[:, t] - y[:, t - 1]
        total += people[j] * (change[j] - np.average(change[rest], weights=people[rest]))
        pilots += people[j]
    assert made.values[0] == pytest.approx(total / pilots, rel=1e-10)
    assert "each person counts once" in made.estimand


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "group"}, "by"),
        ({"weighting": "people"}, "weighting"),
        ({"comparison": "later"}, "comparison"),
        ({"base_periods": 0}, "base_periods"),
        ({"base_periods": "mean"}, "base_periods"),
        ({"window": -1}, "window"),
        ({"anticipation": 0.5}, "whole number of periods"),
    ],
    ids=str,
)
def test_options_that_do_not_exist(options, said):
    with pytest.raises(EstimationError, match=said):
        dk.LPDiD(**options)
