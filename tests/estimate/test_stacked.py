"""Stacked: the trimmed aggregate by hand, the regression written out, and the draws."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from helpers import FIRST, design_of, noise, treated, with_gaps

from didkit.design import Design, MatchedSets, NotYetTreated
from didkit.errors import EstimationError
from didkit.estimate import Stacked
from didkit.inference import ClusterRobust
from didkit.linear import cr0
from didkit.results import Estimate

N, T, PRE, POST = 26, 9, 2, 1
STARTS = {1: 3, 4: 3, 8: 3, 10: 3, 11: 5, 15: 5, 20: 7, 22: 8}  # the window of 8 does not fit
NEVER = [j for j in range(N) if j not in STARTS]
OPTIONS = {"before": PRE, "after": POST}


def clean(start: int, *, not_yet: bool) -> list[int]:
    return NEVER + [j for j, s in STARTS.items() if not_yet and s > start + POST]


def effect(y: np.ndarray, start: int, e: int, *, not_yet: bool) -> float:
    """One start's change since its reference less that of its clean comparators."""
    change = y[:, start + e] - y[:, start - 1]
    own = [j for j, s in STARTS.items() if s == start]
    return float(change[own].mean() - change[clean(start, not_yet=not_yet)].mean())


def trimmed(y: np.ndarray, e: int, *, not_yet: bool, shares: dict[int, float]) -> float:
    """The mean of the starts whose window fits, by hand."""
    total = sum(shares.values())
    return sum(w * effect(y, s, e, not_yet=not_yet) for s, w in shares.items()) / total


def value_of(made: Estimate, term: str) -> float:
    """One estimate, without the inference that a table would ask for."""
    return float(made.values[list(made.terms["term"]).index(term)])


def effects_of(starts: dict[int, int]) -> np.ndarray:
    made = np.zeros((N, T))
    for j, s in starts.items():
        made[j, s:] = 4 * s + 3 * np.arange(T - s) ** 2 + 1
    return made


PILOTS = {3: 4.0, 5: 2.0, 7: 1.0}


@pytest.mark.parametrize("not_yet", [False, True])
def test_corrective_weights_are_the_trimmed_aggregate_and_without_them_it_is_not(not_yet):
    y = noise(N, T, 1) + effects_of(STARTS)
    comparison = "not_yet" if not_yet else "never"
    design = design_of(y, STARTS)
    made = Stacked(by="dynamic", comparison=comparison, **OPTIONS).fit(design, "m")
    for row, value in zip(made.terms.itertuples(), made.values, strict=True):
        expected = trimmed(y, row.event_time, not_yet=not_yet, shares=PILOTS)
        assert value == pytest.approx(expected, abs=1e-9)
    assert made.terms["event_time"].tolist() == [-2, 0, 1]
    bare = Stacked(by="dynamic", comparison=comparison, weights="none", **OPTIONS)
    bare = bare.fit(design, "m")
    n0 = {s: len(clean(s, not_yet=not_yet)) for s in PILOTS}
    shares = {s: n * n0[s] / (n + n0[s]) for s, n in PILOTS.items()}
    for row, value in zip(bare.terms.itertuples(), bare.values, strict=True):
        expected = trimmed(y, row.event_time, not_yet=not_yet, shares=shares)
        assert value == pytest.approx(expected, abs=1e-9)
    assert abs(bare.values[-1] - made.values[-1]) > 0.1


def test_by_start_and_each_start_once():
    y = noise(N, T, 2) + effects_of(STARTS)
    design = design_of(y, STARTS)
    simple = Stacked(**OPTIONS).fit(design, "m")
    mean = np.mean([trimmed(y, e, not_yet=False, shares=PILOTS) for e in (0, 1)])
    assert simple.values == pytest.approx([mean], abs=1e-9)
    group = Stacked(by="group", **OPTIONS).fit(design, "m")
    expected = [np.mean([effect(y, s, e, not_yet=False) for e in (0, 1)]) for s in PILOTS]
    np.testing.assert_allclose(group.values, expected, atol=1e-9)
    every = Stacked(by="none", **OPTIONS).fit(design, "m")
    assert len(every.terms) == 9
    assert every.values[1] == pytest.approx(effect(y, 3, 0, not_yet=False), abs=1e-9)
    once = Stacked(by="dynamic", aggregation="cohorts", **OPTIONS).fit(design, "m")
    expected = trimmed(y, 1, not_yet=False, shares=dict.fromkeys(PILOTS, 1.0))
    assert value_of(once, "event time +1") == pytest.approx(expected, abs=1e-9)
    assert "each start counts once" in once.estimand


def rows_of(y: np.ndarray, *, not_yet: bool, w: np.ndarray | None = None) -> pd.DataFrame:
    """The stacked frame, with the corrective weights."""
    w = np.ones(N) if w is None else w
    found = []
    for s in PILOTS:
        units = [j for j, g in STARTS.items() if g == s] + clean(s, not_yet=not_yet)
        window = range(s - PRE, s + POST + 1)
        found += [
            (s, j, t, t - s, float(STARTS.get(j) == s), y[j, t], w[j])
            for j in units
            if np.isfinite(y[j, list(window)]).all()
            for t in window
        ]
    made = pd.DataFrame(found, columns=["stack", "unit", "t", "e", "d", "y", "w"])
    units = made.drop_duplicates(["stack", "unit"])
    n = units.groupby(["d", "stack"])["w"].sum()
    share = {key: n[key] / n[key[0]].sum() for key in n.index}
    ratio = [
        1.0 if d else share[1.0, s] / share[0.0, s]
        for s, d in zip(made["stack"], made["d"], strict=True)
    ]
    return made.assign(q=ratio * made.w)


def test_it_is_the_regression_written_out_with_its_clustered_variance():
    """statsmodels' WLS with effects of unit by stack and period by stack, clustered by unit."""
    y = noise(N, T, 3) + effects_of(STARTS)
    made = Stacked(by="dynamic", comparison="not_yet", **OPTIONS).fit(design_of(y, STARTS), "m")
    long = rows_of(y, not_yet=True)
    X = pd.concat(
        [
            *((long.d * (long.e == e)).rename(f"e{e}") for e in (-2, 0, 1)),
            pd.get_dummies(long["stack"].astype(str) + "," + long.unit.astype(str), dtype=float),
            *(
                ((long["stack"] == s) * (long.e == e) * 1.0).rename(f"{s}|{e}")
                for s in PILOTS
                for e in (-2, 0, 1)
            ),
        ],
        axis=1,
    )
    fit = sm.WLS(long.y, X, weights=long.q).fit(
        cov_type="cluster", cov_kwds={"groups": long.unit, "use_correction": False}
    )
    names = ["e-2", "e0", "e1"]
    np.testing.assert_allclose(made.values, fit.params[names], rtol=1e-8)
    variance = cr0(made.normal, made.contrast)
    np.testing.assert_allclose(variance, fit.cov_params().loc[names, names], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(made.influence.T @ made.influence, variance, rtol=1e-8, atol=1e-10)
    cells = np.broadcast_to(np.arange(len(made.sample.units))[:, None], made.sample.y.shape)
    np.testing.assert_allclose(made.regroup(cells).beta, made.normal.beta, rtol=1e-7, atol=1e-9)


def test_wing_and_others_without_unit_effects_have_the_same_estimates():
    """Their regression on the arm, event time and both, with the same weights (balanced)."""
    y = noise(N, T, 4) + effects_of(STARTS)
    long = rows_of(y, not_yet=False)
    X = {"one": long.d * 0 + 1, "d": long.d}
    for e in (-2, 0, 1):
        X |= {f"all{e}": (long.e == e) * 1.0, f"d{e}": long.d * (long.e == e)}
    fit = sm.WLS(long.y, pd.DataFrame(X), weights=long.q).fit()
    made = Stacked(by="dynamic", **OPTIONS).fit(design_of(y, STARTS), "m")
    np.testing.assert_allclose(made.values, fit.params[["d-2", "d0", "d1"]], rtol=1e-8)


def test_weights_give_the_estimate_and_add_up_over_stacks():
    y = noise(N, T, 5)
    made = Stacked(by="dynamic", **OPTIONS).fit(design_of(y, STARTS), "m")
    total = np.einsum("kjt,jt->k", made.weights, made.sample.y)
    np.testing.assert_allclose(total, made.values, atol=1e-9)
    np.testing.assert_allclose(made.weights.sum(axis=2), 0, atol=1e-12)
    never = ~made.sample.pilot
    # a comparator serves in all three stacks: its weights lie in periods of all windows
    assert (np.abs(made.weights[1][never]) > 1e-12).sum(axis=1).tolist() == [6] * never.sum()


def test_without_noise_it_is_exact():
    tau = effects_of(STARTS)
    y = noise(N, T, 6, scale=0.0) + tau
    made = Stacked(by="dynamic", comparison="not_yet", **OPTIONS).fit(design_of(y, STARTS), "m")
    own = {s: next(j for j in STARTS if STARTS[j] == s) for s in PILOTS}
    for row, value in zip(made.terms.itertuples(), made.values, strict=True):
        e = row.event_time
        expected = sum(n * tau[own[s], s + e] for s, n in PILOTS.items()) / 7
        assert value == pytest.approx(expected, abs=1e-9)


def test_units_with_gaps_leave_the_stacks_that_they_do_not_fill():
    y = with_gaps(noise(N, T, 7), 7, whole=list(STARTS))
    made = Stacked(by="dynamic", **OPTIONS).fit(design_of(y, STARTS), "m")
    long = rows_of(y, not_yet=False)
    for e, value in zip((-2, 0, 1), made.values, strict=True):
        total = 0.0
        for s, n in PILOTS.items():
            wide = long[long["stack"] == s].pivot(index="unit", columns="e", values="y")
            arm = long[long["stack"] == s].groupby("unit")["d"].first()
            change = wide[e] - wide[-1]
            total += n / 7 * (change[arm == 1].mean() - change[arm == 0].mean())
        assert value == pytest.approx(total, abs=1e-9)
    short = 3 * len(NEVER) - len(long[long.d == 0].drop_duplicates(["stack", "unit"]))
    assert short > 0
    assert any(f"{short} times a unit" in note for note in made.notes)
    seen = Stacked(by="dynamic", cells="observed", **OPTIONS).fit(design_of(y, STARTS), "m")
    assert np.abs(seen.values - made.values).max() > 1e-6
    np.testing.assert_allclose(
        np.einsum("kjt,jt->k", seen.weights, np.nan_to_num(seen.sample.y)), seen.values, atol=1e-9
    )


def test_a_weight_of_two_is_a_unit_twice():
    y = noise(N, T, 8) + effects_of(STARTS)
    times = np.where(np.arange(N) % 3 == 0, 2.0, 1.0)
    start = {j: s + 2000 for j, s in STARTS.items()}
    long = pd.DataFrame(
        [(j, t + 2000, start.get(j, 0), y[j, t], times[j]) for j in range(N) for t in range(T)],
        columns=["unit", "time", "start", "y", "w"],
    )
    again = long[long.w == 2].assign(unit=lambda f: f.unit + 100)
    options = {
        "unit": "unit",
        "period": "time",
        "start": "start",
        "metrics": ["y", "w"],
        "selection": "unknown",
    }
    once = Stacked(sampling="w", **OPTIONS).fit(Design.from_frame(long, **options), "y")
    both = Design.from_frame(pd.concat([long, again]), **options)
    np.testing.assert_allclose(once.values, Stacked(**OPTIONS).fit(both, "y").values, atol=1e-9)


def test_windows_that_do_not_fit_are_named():
    y = noise(N, T, 9)
    made = Stacked(**OPTIONS).fit(design_of(y, STARTS), "m")
    assert any(str(FIRST + 8) in note and "does not fit" in note for note in made.all_notes)
    assert made.facts["stacks"] == 3
    assert made.terms["n_pilots"].tolist() == [7]
    assert made.terms["n_comparators"].tolist() == [len(NEVER)]
    assert "in no stack" in made.sample.log["reason"].tolist()
    with pytest.raises(EstimationError, match="does not fit"):
        Stacked(before=6, after=6).fit(design_of(y, STARTS), "m")


def test_all_pilots_with_those_that_start_later():
    y = noise(N, T, 10)
    starts = {j: (3, 7)[j % 2] for j in range(N)}
    design = design_of(y, starts, against=NotYetTreated())
    made = Stacked(**OPTIONS).fit(design, "m")
    change = y[:, 3:5].mean(axis=1) - y[:, 2]
    assert made.values == pytest.approx([change[::2].mean() - change[1::2].mean()], abs=1e-9)
    assert any("no clean comparators" in note for note in made.notes)
    # anticipation: the later ones are no longer clean when their start is expected in the window
    assert Stacked(anticipation=1, **OPTIONS).fit(design, "m").facts["stacks"] == 1
    with pytest.raises(EstimationError, match="no clean comparators"):
        Stacked(anticipation=3, before=4, after=1).fit(design_of(
            y, {j: (4, 7)[j % 2] for j in range(N)}, against=NotYetTreated()), "m")  # fmt: skip


def test_anticipation_moves_the_reference():
    y = noise(N, T, 11)
    made = Stacked(by="dynamic", anticipation=1, **OPTIONS).fit(design_of(y, STARTS), "m")
    assert made.reference["event_time"].tolist() == [-2]
    assert made.terms["phase"].tolist() == ["anticipation", "after", "after"]
    own = lambda s: [j for j, g in STARTS.items() if g == s]  # noqa: E731
    change = {s: y[:, s] - y[:, s - 2] for s in PILOTS}
    expected = sum(
        n * (change[s][own(s)].mean() - change[s][NEVER].mean()) for s, n in PILOTS.items()
    )
    assert value_of(made, "event time 0") == pytest.approx(expected / 7, abs=1e-9)


@pytest.mark.parametrize("comparison", ["never", "not_yet"])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_draw_is_the_fit_with_other_pilots(comparison, gaps):
    y = noise(N, T, 12) + effects_of(STARTS)
    starts = {j: s for j, s in STARTS.items() if s != 8}
    y = with_gaps(y, 12, whole=list(starts)) if gaps else y
    estimator = Stacked(by="dynamic", comparison=comparison, before=3, after=1)
    made = estimator.fit(design_of(y, starts), "m")
    n = len(made.sample.units)
    rng = np.random.default_rng(12)
    order = np.arange(n)
    at = np.flatnonzero(made.sample.pilot) if gaps else order
    order[at] = rng.permutation(at)
    labels = np.stack([made.sample.cohort, made.sample.cohort[order]])
    drawn = made.reassigned(labels)
    lead = 0 if comparison == "not_yet" else None
    terms = [i for i in range(4) if i != lead]
    np.testing.assert_allclose(drawn.b[0, terms], made.values[terms], atol=1e-8)
    np.testing.assert_allclose(drawn.a[0, terms], 1, atol=1e-9)
    squares = (made.influence**2).sum(axis=0)[terms]
    np.testing.assert_allclose(drawn.v0[0, terms], squares, rtol=1e-7)
    np.testing.assert_allclose(drawn.v2[0, terms], 0, atol=1e-9)
    units = [int(u) for u in made.sample.units]
    other = {
        (units[i] - 301) // 3: made.sample.starts[g] for i, g in enumerate(labels[1]) if g >= 0
    }
    again = estimator.fit(design_of(y, other), "m")
    np.testing.assert_allclose(drawn.b[1, terms], again.values[terms], atol=1e-8)
    squares = (again.influence**2).sum(axis=0)[terms]
    np.testing.assert_allclose(drawn.v0[1, terms], squares, rtol=1e-7)
    if lead is not None:
        assert np.isnan(drawn.b[:, 0]).all()
        assert any("no placebo pilots" in note for note in made.notes)


def test_unit_and_period_effects_change_nothing():
    y = noise(N, T, 13) + effects_of(STARTS)
    rng = np.random.default_rng(13)
    moved = y + 100 * rng.normal(size=(N, 1)) + 100 * rng.normal(size=(1, T))
    plain, again = (Stacked(by="dynamic", **OPTIONS).fit(design_of(v, STARTS), "m")
                    for v in (y, moved))  # fmt: skip
    np.testing.assert_allclose(again.values, plain.values, atol=1e-9)
    np.testing.assert_allclose(again.influence, plain.influence, atol=1e-9)
    sure = plain.infer(ClusterRobust("CR2")).attached
    assert np.isfinite(sure.std_error).all()


def test_an_effect_goes_in_one_direction():
    y = noise(N, T, 14, scale=0.0) + 5 * treated((N, T), STARTS)
    assert Stacked(**OPTIONS).fit(design_of(y, STARTS), "m").values == pytest.approx([5.0])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"by": "calendar"}, "calendar periods"),
        ({"weights": "equal"}, "weights:"),
        ({"comparison": "last"}, "comparison:"),
        ({"cells": "some"}, "cells="),
        ({"before": 0}, "before: a whole number of periods, 1 or more"),
        ({"before": 1, "anticipation": 1}, "2 or more"),
        ({"after": -1}, "after: a whole number"),
        ({"anticipation": 0.5}, "0 or more"),
        ({"aggregation": "people"}, "aggregation"),
        ({"weights": "none", "aggregation": "cohorts"}, "corrective"),
    ],
)
def test_unknown_options_are_refused(options, word):
    with pytest.raises(EstimationError, match=re.escape(word)):
        Stacked(**options)


def test_matched_sets_are_refused():
    y = noise(N, T, 15)
    ids = design_of(y, STARTS).sample("m").units
    sets = MatchedSets({ids[j]: {ids[NEVER[0]]: 1.0} for j in STARTS})
    with pytest.raises(EstimationError, match="matched sets"):
        Stacked().fit(design_of(y, STARTS, against=sets), "m")


def test_the_widest_window_that_keeps_every_start():
    """Room: 3, 5, 7 and 8 periods before, T − 1 less these after; refits keep the window."""
    y = noise(N, T, 16)
    last = T - 1 - max(STARTS.values())
    made = Stacked(by="dynamic").fit(design_of(y, STARTS), "m")
    asked = Stacked(by="dynamic", before=3, after=last)
    assert made.estimator == asked
    np.testing.assert_allclose(made.values, asked.fit(design_of(y, STARTS), "m").values)
    assert made.facts["stacks"] == 4
    note = next(note for note in made.notes if "widest" in note)
    assert f"before=4 would lose start {2011 + 3}" in note
    assert f"after={last + 1} would lose start {2011 + 8}" in note
    assert not any("widest" in note for note in asked.fit(design_of(y, STARTS), "m").notes)
    # one option alone: the other is the widest among the starts that it leaves
    some = Stacked(before=5).fit(design_of(y, STARTS), "m")
    assert some.estimator == Stacked(before=5, after=last)
    assert some.facts["stacks"] == 3
    # a start without a period before the anticipation takes no part in the choice
    early = Stacked(anticipation=3).fit(design_of(y, STARTS), "m")
    assert early.estimator == Stacked(anticipation=3, before=5, after=last)


def test_the_widest_window_where_all_start():
    """Later pilots must be clean throughout: the last start is a comparator only."""
    y = noise(N, T, 17)
    starts = {j: (2, 4, 7)[j % 3] for j in range(N)}
    made = Stacked().fit(design_of(y, starts, against=NotYetTreated()), "m")
    assert made.estimator == Stacked(before=2, after=2)
    assert made.facts["stacks"] == 2
