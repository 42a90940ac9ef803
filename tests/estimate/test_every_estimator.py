"""What every estimator owes its user: one list, one suite; a new estimator joins it by one line.

What a method does not promise is said in its line: what it needs of a design, and whether it is
linear in the outcome.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import codes, frame_of, noise, treated

import didkit as dk
from didkit.errors import EstimationError
from didkit.results import Estimator

N, T = 26, 8
ONE = {3: 4, 7: 4, 12: 4, 16: 4, 21: 4, 24: 4}
SEVERAL = {3: 3, 7: 3, 12: 3, 16: 5, 21: 5, 24: 5}


@dataclass(frozen=True)
class Case:
    """An estimator, and what it promises."""

    estimator: Estimator
    staggered: bool = True  #: serves starts at different times
    linear: bool = True  #: linear in the outcome, so that scale, shift and weights hold exactly
    exact: float = 1e-8  #: how near to the truth without noise, relative to the effect
    heterogeneous: bool = True  #: right where effects differ by start and grow
    levels: bool = True  #: unit effects and period effects cancel
    scale: bool = True  #: k times the outcome, k times the estimate
    mirror: bool = True  #: also for negative k
    reach: int | None = None  #: periods after the start that enter the average; all by default
    dear: bool = False  #: a refit takes its time: few placebos in this suite


CASES = {
    "Gap": Case(dk.Gap(), heterogeneous=False, levels=False, exact=np.inf),
    "DiD": Case(dk.DiD(), heterogeneous=False),
    "DiD complete": Case(dk.DiD("complete")),
    "EventStudy": Case(dk.EventStudy(), heterogeneous=False),
    "EventStudy complete": Case(dk.EventStudy(cells="complete")),
    "FGLS": Case(dk.FGLS(), heterogeneous=False, linear=False),
    "GroupTime": Case(dk.GroupTime()),
    "GroupTime not yet": Case(dk.GroupTime(comparison="not_yet")),
    "GroupTime dynamic": Case(dk.GroupTime(by="dynamic")),
    "GroupTime varying": Case(dk.GroupTime(by="none", base="varying")),
    "GroupTime group": Case(dk.GroupTime(by="group")),
    "GroupTime calendar": Case(dk.GroupTime(by="calendar")),
    "DoublyRobust": Case(dk.DoublyRobust(), staggered=False),
    "SunAbraham": Case(dk.SunAbraham()),
    "SunAbraham dynamic": Case(dk.SunAbraham(by="dynamic")),
    "ExtendedTwoWay": Case(dk.ExtendedTwoWay()),
    "ExtendedTwoWay dynamic": Case(dk.ExtendedTwoWay(by="dynamic")),
    "Stacked": Case(dk.Stacked(), reach=2),
    "Imputation": Case(dk.Imputation()),
    "Imputation dynamic": Case(dk.Imputation(by="dynamic")),
    "TwoStage": Case(dk.TwoStage()),
    "TwoStage dynamic": Case(dk.TwoStage(by="dynamic")),
    "LPDiD": Case(dk.LPDiD()),
    "RothSantAnna": Case(dk.RothSantAnna(), linear=False, levels=False),  # β moves
    "RothSantAnna dynamic": Case(dk.RothSantAnna(by="dynamic"), linear=False, levels=False),
    "Switching": Case(dk.Switching()),
    "SyntheticControl": Case(dk.SyntheticControl(), linear=False, exact=np.inf, levels=False),
    "AugmentedSyntheticControl": Case(
        dk.AugmentedSyntheticControl(), linear=False, exact=np.inf, levels=False, dear=True
    ),
    "SyntheticDiD": Case(dk.SyntheticDiD(), linear=False, exact=1e-6, levels=False),  # ridge
    "MatrixCompletion": Case(dk.MatrixCompletion(), linear=False, exact=1e-2, scale=False),
    "PoissonDiD": Case(
        dk.PoissonDiD(effect="count"),
        linear=False,
        exact=np.inf,
        levels=False,
        mirror=False,
    ),
    "ChangesInChanges": Case(
        dk.ChangesInChanges(), linear=False, exact=np.inf, levels=False, mirror=False
    ),
}


def design_of(
    y: np.ndarray, starts: dict[int, int], *, ids: list[str] | None = None, order=None, **options
) -> dk.Design:
    ids = codes(len(y)) if ids is None else ids
    frame = frame_of(y, ids)
    if order is not None:
        frame = frame.iloc[order].reset_index(drop=True)
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    first = int(frame["year"].min())
    rollout = dk.Rollout({ids[j]: first + t for j, t in starts.items()})
    options.setdefault("against", dk.Pool())
    return dk.Design(panel, rollout, selection="unknown", **options)


def starts_of(case: str) -> dict[int, int]:
    return SEVERAL if CASES[case].staggered else ONE


@functools.cache
def outcome(seed: int) -> np.ndarray:
    return noise(N, T, seed)


@functools.cache
def usual(case: str, seed: int = 1) -> dk.Estimate:
    return CASES[case].estimator.fit(design_of(outcome(seed), starts_of(case)), "m")


def fitted(case: str, y: np.ndarray, **options: Any) -> dk.Estimate:
    return CASES[case].estimator.fit(design_of(y, starts_of(case), **options), "m")


def close(made: dk.Estimate, other: dk.Estimate, *, scale: float = 1.0, tight: float = 1e-8):
    assert list(made.terms["term"]) == list(other.terms["term"])
    size = np.abs(other.values).max()
    np.testing.assert_allclose(made.values, scale * other.values, atol=tight * abs(scale) * size)
    if made.influence is not None and other.influence is not None:
        mine = (made.influence**2).sum(axis=0)
        theirs = scale**2 * (other.influence**2).sum(axis=0)
        np.testing.assert_allclose(mine, theirs, rtol=max(1e-6, tight), atol=1e-12 * theirs.max())


every = pytest.mark.parametrize("case", list(CASES))


@every
def test_one_shape_of_answer(case):
    made = usual(case)
    assert isinstance(made, dk.Estimate)
    terms = made.terms
    assert list(terms.columns[:1]) == ["term"]
    assert {"position", "phase", "n_pilots", "n_comparators"} <= set(terms.columns)
    assert terms["term"].is_unique
    assert set(terms["phase"]) <= {"before", "anticipation", "after"}
    assert np.isfinite(made.values).all()
    assert (terms["n_pilots"] >= 1).all()
    assert (terms["n_pilots"] <= 6).all()
    assert made.estimand
    shown = made.infer(None).tidy()
    assert list(shown.columns[:7]) == [
        "term",
        "estimate",
        "std_error",
        "statistic",
        "p_value",
        "conf_low",
        "conf_high",
    ]
    used = int(made.sample.log.loc[made.sample.log["reason"] == "used", "cells"].sum())
    assert used == made.sample.mask.sum()
    assert int(made.sample.log["cells"].sum()) == N * T


@every
def test_a_frozen_configuration_that_refuses_what_it_does_not_know(case):
    estimator = CASES[case].estimator
    assert dataclasses.is_dataclass(estimator)
    assert hash(estimator) == hash(dataclasses.replace(estimator))  # type: ignore[type-var]
    with pytest.raises(TypeError):
        type(estimator)(no_such_option=1)  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        estimator.covariates = ("x",)  # type: ignore[attr-defined]


@every
def test_every_public_option_is_documented(case):
    estimator = CASES[case].estimator
    text = type(estimator).__doc__ or ""
    for one in dataclasses.fields(estimator):  # type: ignore[arg-type]
        assert one.name in text, one.name
    for part in ("References", "Examples", "Notes"):
        assert part in text


@every
def test_the_same_input_gives_the_same_number(case):
    made = usual(case)
    again = made.refit(design_of(outcome(1), starts_of(case)))
    np.testing.assert_array_equal(made.values, again.values)


@every
def test_order_of_rows_and_names_of_units_change_nothing(case):
    made = usual(case)
    rng = np.random.default_rng(5)
    shuffled = fitted(case, outcome(1), order=rng.permutation(N * T))
    np.testing.assert_array_equal(shuffled.values, made.values)
    named = [f"9{i:02d}" for i in reversed(range(N))]
    close(fitted(case, outcome(1), ids=named), made)


@every
def test_unit_and_period_effects_cancel(case):
    if not CASES[case].levels:
        pytest.skip("compares levels, or promises a fit on the scale that it is given")
    rng = np.random.default_rng(8)
    moved = outcome(1) + 25 * rng.normal(size=(N, 1)) + 25 * rng.normal(size=(1, T))
    close(fitted(case, moved), usual(case), tight=max(1e-8, min(CASES[case].exact, 1e-2)))


@every
def test_scale(case):
    if not CASES[case].scale:
        pytest.skip("its penalty is chosen on folds, to a tolerance")
    k = -3.0 if CASES[case].mirror else 3.0
    close(fitted(case, k * outcome(1)), usual(case), scale=k, tight=1e-6)


@every
def test_an_excluded_unit_changes_nothing(case):
    y = np.vstack([outcome(1), outcome(2)[:1] * 9])
    ids = codes(N + 1)
    design = design_of(y, starts_of(case), ids=ids, exclude={ids[-1]: "not alike"})
    close(CASES[case].estimator.fit(design, "m"), usual(case), tight=1e-10)


@every
def test_without_noise_the_exact_effect(case):
    one = CASES[case]
    if not np.isfinite(one.exact):
        pytest.skip("does not promise to fit unit and period effects")
    starts = starts_of(case)
    rng = np.random.default_rng(3)
    level = 300 + 40 * rng.normal(size=(N, 1)) + 10 * rng.normal(size=(1, T))
    made = fitted(case, level - 7.5 * treated((N, T), starts))
    after = (made.terms["phase"] == "after").to_numpy()
    np.testing.assert_allclose(made.values[after], -7.5, rtol=one.exact)
    np.testing.assert_allclose(made.values[~after], 0.0, atol=7.5 * one.exact)


def effects(starts: dict[int, int]) -> np.ndarray:
    """Effects that differ by start and grow with time, as no one coefficient can hold."""
    made = np.zeros((N, T))
    for j, start in starts.items():
        made[j, start:] = -4.0 * (start - 2) - 1.5 * np.arange(T - start)
    return made


@every
def test_effects_that_differ_and_grow_are_recovered(case):
    one = CASES[case]
    if not one.heterogeneous or not np.isfinite(one.exact):
        pytest.skip("does not promise it: two-way fixed effects mix cohorts")
    starts = starts_of(case)
    rng = np.random.default_rng(4)
    level = 300 + 40 * rng.normal(size=(N, 1)) + 10 * rng.normal(size=(1, T))
    truth = effects(starts)
    made = fitted(case, level + truth)
    at = np.array(sorted(starts))
    begin = np.array([starts[j] for j in at])
    cells = truth[at]  # (n1, T)
    time = np.arange(T) - begin[:, None]
    for row, value in zip(made.terms.to_dict("records"), made.values, strict=True):
        if row["phase"] != "after":
            continue
        inside = time >= 0
        if one.reach is not None:
            inside &= time <= one.reach
        if row.get("event_time") is not None and np.isfinite(row["event_time"]):
            inside = time == row["event_time"]
        if row.get("group"):
            inside &= (begin == int(row["group"]) - 2011)[:, None]
        if row.get("period") and len(set(begin)) > 1:
            inside &= np.arange(T) == int(row["period"]) - 2011
        possible = [cells[inside].mean()]
        if row["term"] == "att":
            # averages over pilots, over cohorts' own windows, over cells: each says which
            possible.append(np.mean([c[i].mean() for c, i in zip(cells, inside, strict=True)]))
        nearest = min(possible, key=lambda v: abs(v - value))
        assert value == pytest.approx(nearest, rel=max(one.exact, 1e-8)), row["term"]


@every
def test_weights_reproduce_the_estimate(case):
    made = usual(case)
    if made.weights is None:
        assert not CASES[case].linear or made.influence is not None
        pytest.skip("publishes none")
    y = np.where(made.sample.mask, made.sample.y, 0.0)
    np.testing.assert_allclose(np.einsum("mjt,jt->m", made.weights, y), made.values, rtol=1e-9)
    if CASES[case].linear:  # the same weights whatever the outcome
        other = usual(case, 2)
        assert other.weights is not None
        np.testing.assert_allclose(other.weights, made.weights, atol=1e-10)


@every
def test_it_moves_with_the_pilots_and_in_their_direction(case):
    starts = starts_of(case)
    y = outcome(1) - 30.0 * treated((N, T), starts)
    made, before = fitted(case, y), usual(case)
    m = made.place_of(None, where="here")
    assert made.values[m] < before.values[m] - 10
    if made.influence is not None:
        y = outcome(1).copy()
        y[3, starts[3] :] += 200.0 * np.arange(1, T - starts[3] + 1)
        moved = fitted(case, y)
        assert (moved.influence[:, m] ** 2).sum() > 1.5 * (before.influence[:, m] ** 2).sum()


@every
def test_influence_is_the_cluster_robust_error(case):
    made = usual(case)
    if made.influence is None:
        pytest.skip("publishes none")
    assert made.influence.shape == (N, made.n_terms)
    found = made.infer(dk.ClusterRobust("CR0")).attached.std_error
    plain = np.sqrt((made.influence**2).sum(axis=0))
    np.testing.assert_allclose(found, plain, rtol=1e-8)


@every
def test_what_is_published_for_many_assignments_is_the_refit(case):
    made = usual(case)
    if made.reassigned is None:
        pytest.skip("publishes none")
    actual = made.sample.cohort[None].astype(np.int64)
    draws = made.reassigned(actual)
    there = np.isfinite(draws.b[0])  # a term of pilots alone has no placebo
    assert there.any()
    np.testing.assert_allclose(draws.b[0, there], made.values[there], rtol=1e-8)
    np.testing.assert_allclose(draws.a[0, there], 1.0, rtol=1e-8)
    if made.influence is not None and np.isfinite(draws.v0[0, there]).all():
        own = (made.influence**2).sum(axis=0)
        np.testing.assert_allclose(draws.v0[0, there], own[there], rtol=1e-6)
        np.testing.assert_allclose(draws.v2[0, there], 0.0, atol=1e-6 * max(1.0, own.max()))
    rng = np.random.default_rng(2)
    labels = rng.permuted(np.repeat(actual, 3, axis=0), axis=1)
    draws = made.reassigned(labels)
    ids = made.sample.units
    for row, b, v0 in zip(labels, draws.b, draws.v0, strict=True):
        begin = {j: made.sample.starts[g] for j, g in enumerate(row) if g >= 0}
        again = CASES[case].estimator.fit(design_of(outcome(1), begin, ids=list(ids)), "m")
        np.testing.assert_allclose(b[there], again.values[there], rtol=1e-7)
        if again.influence is not None and np.isfinite(v0[there]).all():
            own = (again.influence**2).sum(axis=0)
            np.testing.assert_allclose(v0[there], own[there], rtol=1e-6)


@every
def test_it_has_an_inference_a_picture_and_a_check_on_its_first_day(case):
    made = usual(case)
    sure = made.infer(dk.PlaceboVariance(draws=19)) if CASES[case].dear else made.infer()
    shown = sure.tidy()
    m = made.place_of(None, where="here")
    row = shown[shown["term"] == made.terms["term"].iloc[m]].iloc[0]
    assert np.isfinite(row["p_value"]) or sure.all_notes
    if np.isfinite(row["conf_low"]):
        assert row["conf_low"] <= row["estimate"] <= row["conf_high"]
        assert (row["p_value"] <= 0.05) == (not row["conf_low"] <= 0 <= row["conf_high"])
    axes = sure.plot()
    assert axes.get_title() or axes.get_title(loc="left")
    plt.close(axes.figure)
    assert type(made.estimator).__name__ in sure.summary()
    left = sure.check(dk.LeaveOneOut())
    assert len(left.table) > 0


@every
def test_one_start_is_demanded_by_name(case):
    if CASES[case].staggered:
        pytest.skip("serves several starts")
    with pytest.raises(EstimationError) as caught:
        CASES[case].estimator.fit(design_of(outcome(1), SEVERAL), "m")
    assert "start" in caught.value.needed
    assert any(name in caught.value.todo for name in ("GroupTime", "DiD", "Imputation"))


@every
def test_matched_sets_are_served_or_refused_in_four_parts(case):
    ids, starts = codes(N), starts_of(case)
    rest = [j for j in range(N) if j not in starts]
    sets = {ids[j]: {ids[c]: 0.5 for c in rest[2 * i : 2 * i + 2]} for i, j in enumerate(starts)}
    design = design_of(outcome(1), starts, against=dk.MatchedSets(sets))
    try:
        made = CASES[case].estimator.fit(design, "m")
    except EstimationError:
        with pytest.raises(EstimationError) as caught:
            CASES[case].estimator.fit(design, "m")
        refused = caught.value
        assert all((refused.needed, refused.found, refused.where, refused.todo))
        return
    pooled = usual(case)
    assert not np.allclose(made.values, pooled.values)  # it did not quietly use the pool
