"""Weights, trends, period effects by group, cohorts and ends: against dummies, and by identity."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, noise, spread, treated, with_gaps

import didkit as dk
from didkit.errors import DesignError, EstimationError
from didkit.estimate import patterns
from didkit.estimate.cells import change
from didkit.estimate.did import after_before
from didkit.estimate.effects import Effects, operators
from didkit.estimate.event_study import _by_event
from didkit.estimate.two_way import two_way

N, T = 16, 7
STARTS = {1: 3, 4: 4, 7: 3, 10: 5, 12: 4, 15: 5}
REGION = ["north", "south"]


def frame_of(y: np.ndarray, starts: dict[int, int], seed: int = 5) -> pd.DataFrame:
    """One row a unit and period, with a size, a weight that changes, a covariate and a region."""
    n, t = y.shape
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(size=n))
    return pd.DataFrame(
        {
            "la": np.repeat(codes(n), t),
            "year": np.tile(np.arange(FIRST, FIRST + t), n),
            "start": np.repeat([FIRST + starts[j] if j in starts else 0 for j in range(n)], t),
            "m": y.ravel(),
            "people": np.repeat(size, t),
            "sampled": np.exp(rng.normal(size=n * t) / 2),
            "x": rng.normal(size=n * t),
            "region": np.repeat([REGION[j % 2] for j in range(n)], t),
        }
    )


def design_of(frame: pd.DataFrame, unit: str | None = "la", **options) -> dk.Design:
    return dk.Design.from_frame(
        frame,
        unit=unit,
        period="year",
        start="start",
        metrics=["m", "people", "sampled", "x"],
        attributes=[] if unit is None else ["region"],
        selection="unknown",
        **options,
    )


def outcome(seed: int = 1, *, gaps: bool = True) -> np.ndarray:
    y = noise(N, T, seed) + 6 * treated((N, T), STARTS)
    return with_gaps(y, seed + 1) if gaps else y


OPTIONS = {
    "population": {"population": "people"},
    "sampling": {"sampling": "sampled"},
    "both": {"population": "people", "sampling": "sampled"},
    "trends": {"trends": "unit"},
    "groups": {"periods_by": "region"},
    "all": {"sampling": "sampled", "trends": "unit", "periods_by": "region", "covariates": ("x",)},
    "cohorts": {"effects": "cohort", "sampling": "sampled"},
}
each = pytest.mark.parametrize("name", list(OPTIONS))


def by_dummies(frame: pd.DataFrame, options: dict, paths: list[np.ndarray]) -> np.ndarray:
    """Solve weighted least squares with every dummy written out, by numpy."""
    kept = frame[frame["m"].notna()]
    at = kept.index
    group = kept["region"] if "periods_by" in options else ""
    held = kept["start"].astype(str) if options.get("effects") == "cohort" else kept["la"]
    blocks = [
        *(path[at] for path in paths),
        *(kept[name] for name in options.get("covariates", ())),
        pd.get_dummies(held, dtype=float),
        pd.get_dummies(group + kept["year"].astype(str), dtype=float),
    ]
    if options.get("trends"):
        lines = pd.get_dummies(kept["la"], dtype=float)
        blocks.append(lines.mul(kept["year"] - FIRST, axis=0))
    columns = np.column_stack([np.asarray(b, dtype=float) for b in blocks])
    weight = np.ones(len(kept))
    for name in ("population", "sampling"):
        if name in options:
            weight = weight * kept[options[name]].to_numpy()
    root = np.sqrt(weight)[:, None]
    found = np.linalg.lstsq(columns * root, kept["m"].to_numpy() * root[:, 0], rcond=None)[0]
    return found[: len(paths)]


@each
def test_it_is_the_regression_with_dummies(name):
    frame = frame_of(outcome(), STARTS)
    options = OPTIONS[name]
    made = dk.DiD(**options).fit(design_of(frame), "m")
    path = treated((N, T), STARTS).ravel()
    assert made.values == pytest.approx(by_dummies(frame, options, [path]), rel=1e-9)
    if "trends" in options:
        return
    events = dk.EventStudy(**options).fit(design_of(frame), "m")
    time = np.array([t - STARTS[j] if j in STARTS else -1 for j in range(N) for t in range(T)])
    paths = [np.asarray(time == e, dtype=float) for e in events.terms["event_time"]]
    assert events.values == pytest.approx(by_dummies(frame, options, paths), rel=1e-8)


@each
def test_linearmodels_fits_the_same(name):
    made = dk.DiD(**OPTIONS[name]).fit(design_of(frame_of(outcome(), STARTS)), "m")
    theirs = made.regression()
    assert theirs.params["term_1"] == pytest.approx(made.values[0], rel=1e-8)
    ours = made.infer(dk.ClusterRobust("CR0"))["att"]["std_error"]
    assert theirs.std_errors["term_1"] == pytest.approx(ours, rel=1e-8)


def test_linearmodels_fits_the_plain_one_and_not_a_mean():
    design = design_of(frame_of(outcome(), STARTS))
    made = dk.EventStudy(covariates=("x",)).fit(design, "m")
    theirs = made.regression()
    assert theirs.params.to_numpy()[:-1] == pytest.approx(made.values, rel=1e-8)
    assert theirs.params["x"] == pytest.approx(made.facts["coefficient_x"], rel=1e-8)
    ours = np.sqrt((made.influence**2).sum(axis=0))
    assert theirs.std_errors.to_numpy()[:-1] == pytest.approx(ours, rel=1e-8)
    whole = dk.DiD("complete").fit(design_of(frame_of(outcome(gaps=False), STARTS)), "m")
    with pytest.raises(EstimationError, match="regression"):
        whole.regression()


@each
def test_weights_reproduce_the_estimate_and_influence_the_variance(name):
    made = dk.DiD(**OPTIONS[name]).fit(design_of(frame_of(outcome(), STARTS)), "m")
    y = np.where(made.sample.mask, made.sample.y, 0.0)
    assert np.einsum("mjt,jt->m", made.weights, y) == pytest.approx(made.values, rel=1e-9)
    spread_ = dk.ClusterRobust("CR0")._covariance
    part = dk.ClusterRobust("CR0")._parts(made)[1]
    cr0 = spread_(made, part[0], np.array([True]), part)
    assert (made.influence**2).sum(axis=0) == pytest.approx(np.diagonal(cr0), rel=1e-9)


@each
def test_without_noise_the_effect_is_exact_and_effects_that_are_held_change_nothing(name):
    options = OPTIONS[name]
    rng = np.random.default_rng(3)
    unit = 40 * rng.normal(size=(N, 1))
    if name == "cohorts":  # units are not held, their cohorts are
        unit = np.array([[10.0 * STARTS.get(j, 0)] for j in range(N)])
    held = unit + 10 * rng.normal(size=(1, T))
    if "periods_by" in options:
        held = held + (np.arange(N) % 2)[:, None] * rng.normal(size=(1, T))
    if "trends" in options:
        held = held + rng.normal(size=(N, 1)) * np.arange(T)
    y = held + 6 * treated((N, T), STARTS)
    made = dk.DiD(**options).fit(design_of(frame_of(with_gaps(y, 4), STARTS)), "m")
    assert made.values == pytest.approx(6.0, abs=1e-9)
    base = outcome()
    first = dk.DiD(**options).fit(design_of(frame_of(base, STARTS)), "m")
    again = dk.DiD(**options).fit(design_of(frame_of(base + held, STARTS)), "m")
    assert again.values == pytest.approx(first.values, abs=1e-9)


@each
def test_order_of_rows_changes_nothing(name):
    frame = frame_of(outcome(), STARTS)
    mixed = frame.sample(frac=1, random_state=4)
    first, again = (dk.DiD(**OPTIONS[name]).fit(design_of(f), "m") for f in (frame, mixed))
    assert again.values == pytest.approx(first.values, rel=1e-12)
    assert again.influence == pytest.approx(first.influence, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [n for n in OPTIONS if n != "cohorts"])
def test_reassigned_is_the_refit(name):
    frame = frame_of(outcome(), STARTS)
    made = dk.DiD(**OPTIONS[name]).fit(design_of(frame), "m")
    other = {2: 3, 5: 4, 8: 3, 11: 5, 13: 4, 14: 5}
    labels = np.full((1, N), -1)
    for j, start in other.items():
        labels[0, j] = sorted(set(STARTS.values())).index(start)
    draw = made.reassigned(labels)
    frame["start"] = np.repeat([FIRST + other[j] if j in other else 0 for j in range(N)], T)
    again = dk.DiD(**OPTIONS[name]).fit(design_of(frame), "m")
    assert draw.b[0] == pytest.approx(again.values, rel=1e-8)
    assert draw.v0[0] == pytest.approx((again.influence**2).sum(axis=0), rel=1e-7)


def test_cohorts_withhold_permutation_and_equal_units_on_a_balanced_panel():
    whole = design_of(frame_of(outcome(gaps=False), STARTS))
    by_unit, by_cohort = (dk.DiD(effects=e).fit(whole, "m") for e in ("unit", "cohort"))
    assert by_cohort.values == pytest.approx(by_unit.values, rel=1e-10)
    assert by_cohort.reassigned is None
    assert "effects of cohorts" in by_cohort.notes[-1]
    rows = design_of(frame_of(outcome(gaps=False), STARTS), None, clusters="la")
    once = dk.DiD(effects="cohort").fit(rows, "m")
    assert once.values == pytest.approx(by_unit.values, rel=1e-10)
    one_way = [e.infer(dk.ClusterRobust("CR0"))["att"]["std_error"] for e in (once, by_cohort)]
    assert one_way[0] == pytest.approx(one_way[1], rel=1e-9)
    with pytest.raises(DesignError, match="fewer than two cells"):
        dk.DiD().fit(rows, "m")


def test_equal_weights_are_none():
    frame = frame_of(outcome(), STARTS).assign(people=7.0)
    plain = dk.DiD().fit(design_of(frame), "m")
    even = dk.DiD(population="people").fit(design_of(frame), "m")
    assert even.values == pytest.approx(plain.values, rel=1e-11)
    for kind in ("CR1", "CR2", "CR3"):
        errors = [e.infer(dk.ClusterRobust(kind))["att"]["std_error"] for e in (even, plain)]
        assert errors[0] == pytest.approx(errors[1], rel=1e-9)
    assert "each person counts once" in even.estimand
    assert "each authority counts once" in plain.estimand


def test_a_whole_weight_is_so_many_copies():
    y = outcome(gaps=False)[:, :5]
    starts = spread(N, 4, 3)
    double = [1, 2, 6]
    frame = frame_of(y, starts).assign(
        people=np.repeat([2.0 if j in double else 1.0 for j in range(N)], 5)
    )
    copies = pd.concat(
        [frame, *(frame[frame["la"] == codes(N)[j]].assign(la=f"9{j}") for j in double)]
    )
    weighted = dk.DiD(population="people").fit(design_of(frame), "m")
    plain = dk.DiD().fit(design_of(copies), "m")
    assert weighted.values == pytest.approx(plain.values, rel=1e-10)


def test_trends_leave_out_short_units_with_the_log():
    y = outcome(gaps=False)
    y[3, 2:] = np.nan
    design = design_of(frame_of(y, STARTS))
    made = dk.DiD(trends="unit").fit(design, "m")
    gone = made.sample.log[made.sample.log["unit"] == codes(N)[3]]
    assert any("its own trend" in reason for reason in gone["reason"])
    assert len(made.sample.units) == N - 1
    assert made.normal.n_absorbed == 2 * (N - 1)


def test_trends_in_an_event_study_need_a_bin():
    for wrong in (
        {},
        {"ends": ("trim", -2, 2)},
        {"time": "calendar"},
    ):
        with pytest.raises(EstimationError, match="binned ends"):
            dk.EventStudy(trends="unit", **wrong)
    y = outcome(gaps=False) + 3.0 * np.arange(T) * np.arange(N)[:, None]
    made = dk.EventStudy(trends="unit", ends=("bin", -2, 3)).fit(
        design_of(frame_of(y, STARTS)), "m"
    )
    assert made.terms["term"].iloc[0] == "event time -2 or earlier"


def test_binned_ends_on_one_start_are_means_of_the_terms():
    starts = spread(N, 5, 3)
    y = noise(N, T, 8) + 4 * treated((N, T), starts)
    design = design_of(frame_of(y, starts))
    every = dk.EventStudy().fit(design, "m")
    for cells in ("observed", "complete"):
        made = dk.EventStudy(cells=cells, ends=("bin", -2, 1)).fit(design, "m")
        at = dict(zip(every.terms["event_time"], every.values, strict=True))
        wanted = [(at[-3] + at[-2]) / 2, at[0], (at[1] + at[2] + at[3]) / 3]
        assert made.values == pytest.approx(wanted, rel=1e-9)
        assert list(made.terms["term"]) == [
            "event time -2 or earlier",
            "event time 0",
            "event time +1 or later",
        ]
        assert list(made.terms["phase"]) == ["before", "after", "after"]


def test_trimmed_ends_leave_cells_of_pilots_out():
    y = outcome()
    design = design_of(frame_of(y, STARTS))
    made = dk.EventStudy(ends=("trim", -2, 1)).fit(design, "m")
    assert list(made.terms["event_time"]) == [-2, 0, 1]
    cut = y.copy()
    for j, start in STARTS.items():
        beyond = [t for t in range(T) if not -2 <= t - start <= 1]
        cut[j, beyond] = np.nan
    again = dk.EventStudy().fit(design_of(frame_of(cut, STARTS)), "m")
    assert made.values == pytest.approx(again.values, rel=1e-10)
    log = made.sample.log
    lost = log.loc[log["reason"] == "beyond event times -2 to +1", "cells"].sum()
    assert lost == np.isfinite(y).sum() - np.isfinite(cut).sum()
    assert log.loc[log["reason"] == "used", "cells"].sum() == made.sample.mask.sum()
    total = log.groupby("unit")["cells"].sum()
    before = design.sample("m").log.groupby("unit")["cells"].sum()
    assert (total == before).all()


@pytest.mark.parametrize(
    "ends",
    [("bin", -1, 2), ("bin", -2, -1), ("bin", 0, 2), ("cut", -2, 2), ("bin", -2), 3, "bin"],
)
def test_ends_that_are_none_are_refused(ends):
    with pytest.raises(EstimationError):
        dk.EventStudy(ends=ends)


def test_sets_in_one_regression_are_the_mean_of_their_own():
    y = noise(9, T, 4)
    ids = codes(9)
    starts = {0: 3, 1: 3, 2: 4}
    sets = dk.MatchedSets({ids[j]: {ids[3 + 2 * j]: 0.5, ids[4 + 2 * j]: 0.5} for j in range(3)})
    frame = frame_of(y, starts)
    design = design_of(frame, against=sets)
    one = dk.DiD(periods_by="set").fit(design, "m")
    mean = dk.DiD("complete").fit(design, "m")
    # sets alike in size, but two starts: each set's part is its treatment's variance
    own = np.array([3 / 7 * 4 / 7, 3 / 7 * 4 / 7, 4 / 7 * 3 / 7])
    single = [
        dk.DiD("complete").fit(design.drop(ids[a]).drop(ids[b]), "m").values[0]
        for a, b in ((1, 2), (0, 2), (0, 1))
    ]
    assert one.values[0] == pytest.approx(own @ single / own.sum(), rel=1e-9)
    assert one.values == pytest.approx(mean.values, rel=1e-9)
    uneven = dk.MatchedSets({ids[0]: {ids[3]: 0.7, ids[4]: 0.3}, ids[1]: {ids[5]: 1.0}})
    shared = dk.MatchedSets({ids[0]: {ids[3]: 1.0}, ids[1]: {ids[3]: 1.0}})
    for against in (uneven, shared):
        frame["start"] = np.repeat([FIRST + 3 if j < 2 else 0 for j in range(9)], T)
        with pytest.raises(EstimationError, match="share nobody"):
            dk.DiD(periods_by="set").fit(design_of(frame, against=against), "m")
    with pytest.raises(EstimationError, match="matched sets"):
        dk.DiD(population="people").fit(design, "m")


def test_groups_are_refused_by_name():
    frame = frame_of(outcome(), STARTS)
    design = design_of(frame)
    alone = {unit: "alone" if unit == codes(N)[1] else "rest" for unit in codes(N)}
    with pytest.raises(EstimationError, match=r"1 \(alone\): period effects of .* 1 \(304\)"):
        dk.DiD(periods_by=alone).fit(design, "m")
    with pytest.raises(EstimationError, match="none for"):
        dk.DiD(periods_by={codes(N)[0]: "a"}).fit(design, "m")
    with pytest.raises(EstimationError, match="columns are"):
        dk.DiD(periods_by="county").fit(design, "m")
    with pytest.raises(EstimationError, match="matched sets"):
        dk.DiD(periods_by="set").fit(design, "m")
    by_map = {u: REGION[j % 2] for j, u in enumerate(codes(N))}
    a, b = (dk.DiD(periods_by=by).fit(design, "m").values for by in (by_map, "region"))
    assert a == pytest.approx(b, rel=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"trends": "all"},
        {"effects": "group"},
        {"sampling": 3},
        {"population": ""},
        {"periods_by": 3},
        {"cells": "complete", "population": "people"},
        {"cells": "complete", "trends": "unit"},
        {"effects": "cohort", "trends": "unit"},
        {"effects": "cohort", "periods_by": "region"},
    ],
)
def test_options_that_do_not_exist_are_refused(options):
    for estimator in (dk.DiD, dk.EventStudy):
        with pytest.raises(EstimationError):
            estimator(**options)


# -- many units ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"population": "people"},
        {"trends": "unit", "ends": ("bin", -2, 2)},
        {"periods_by": "region"},
        {"trends": "unit", "ends": ("bin", -2, 2), "population": "people", "periods_by": "region"},
    ],
    ids=repr,
)
def test_sums_by_kind_are_the_regression(monkeypatch, options):
    design = design_of(frame_of(outcome(), STARTS))
    rest = {name: value for name, value in options.items() if name != "ends"}
    for estimator in (dk.DiD(**rest), dk.EventStudy(**options)):
        usual = estimator.fit(design, "m")
        with monkeypatch.context() as patch:
            patch.setattr(patterns, "LARGE", 0)
            patch.setattr(patterns, "_CHUNK", 1)
            summed = estimator.fit(design, "m")
        assert summed.normal is None
        assert usual.normal is not None
        assert summed.values == pytest.approx(usual.values, rel=1e-9)
        assert summed.influence == pytest.approx(usual.influence, rel=1e-8, abs=1e-11)
        assert summed.weights == pytest.approx(usual.weights, rel=1e-8, abs=1e-12)
        errors = [e.infer(dk.ClusterRobust("CR1")).attached.std_error for e in (usual, summed)]
        assert errors[1] == pytest.approx(errors[0], rel=1e-8, nan_ok=True)


def test_sums_by_kind_withhold_what_would_be_too_much(monkeypatch):
    design = design_of(frame_of(outcome(), STARTS))
    monkeypatch.setattr(patterns, "LARGE", 0)
    monkeypatch.setattr(patterns, "MOST_WEIGHTS", 0)
    assert dk.DiD().fit(design, "m").weights is None
    assert dk.DiD(sampling="sampled").fit(design, "m").normal is not None
    assert dk.DiD(covariates=("x",)).fit(design, "m").normal is not None
    assert dk.DiD(effects="cohort").fit(design, "m").normal is not None
    sample = design.sample("m", sampling="sampled")
    with pytest.raises(EstimationError, match="a kind of its own"):
        patterns.two_way_by_pattern(sample, np.ones((3, 1, T), dtype=bool), ("att",), None)


def test_many_periods_have_kinds_too():
    rng = np.random.default_rng(2)
    mask = rng.random((30, 50)) > 0.5
    mask[7] = mask[3]
    found = patterns._codes(mask)
    assert found[7] == found[3]
    assert len(set(found.tolist())) == len(np.unique(mask, axis=0))


def big(n: int) -> tuple[dk.Design, dk.design.Sample]:
    """A sample of n units straight from arrays: a tenth of the cells are missing."""
    design = design_of(frame_of(outcome(gaps=False), STARTS))
    small = design.sample("m")
    rng = np.random.default_rng(6)
    cohort = np.where(rng.random(n) < 0.5, -1, rng.integers(0, 3, n)).astype(np.intp)
    y = rng.normal(size=(n, 1)) + rng.normal(size=(1, T)) + rng.normal(size=(n, T))
    y += np.arange(T) >= np.array([*small.starts, 99])[cohort][:, None]
    y[rng.random((n, T)) < 0.1] = np.nan
    ids = tuple(f"u{j:07d}" for j in range(n))
    return design, dataclasses.replace(
        small,
        units=ids,
        names=ids,
        y=y,
        lower=y,
        upper=y,
        exposure=None,
        pilot=cohort >= 0,
        cohort=cohort,
        strata=np.zeros(n, dtype=np.intp),
        clusters=np.arange(n),
        cluster_labels=ids,
        log=pd.DataFrame(
            {"stage": "used", "unit": ids, "reason": "used", "cells": np.isfinite(y).sum(axis=1)}
        ),
        stops=np.full(n, T),
        contaminated=np.zeros((n, T), dtype=bool),
        partly=np.zeros((n, T), dtype=bool),
    )


def test_many_units_are_summed_and_find_the_effect(monkeypatch):
    design, sample = big(40_000)
    made = change(
        dk.EventStudy(),
        design,
        sample,
        partial(_by_event, reference=-1, anticipation=0),
        "observed",
        estimand="effect",
    )
    assert made.normal is None
    inferred = made.infer(dk.ClusterRobust("CR1")).attached
    wanted = (made.terms["event_time"] >= 0).to_numpy(dtype=float)
    assert (np.abs(made.values - wanted) < 5 * inferred.std_error).all()
    monkeypatch.setattr(patterns, "LARGE", 0)
    static = change(dk.DiD(), design, sample, after_before, "observed", estimand="effect")
    assert static.values == pytest.approx(1.0, abs=0.03)
    assert "CR1, as 100 or more clusters on both sides" in static.infer().attached.notes[0]


def test_the_operator_is_the_residual_maker():
    rng = np.random.default_rng(1)
    mask = rng.random((4, 6)) > 0.2
    w = rng.random((4, 6)) + 0.5
    for trends in (False, True):
        made = operators(mask, w, Effects(trends=trends))
        for j in range(4):
            at = np.flatnonzero(mask[j])
            root = np.sqrt(w[j, at])
            x = np.column_stack([np.ones(len(at)), at] if trends else [np.ones(len(at))])
            x = x * root[:, None]
            wanted = (np.eye(len(at)) - x @ np.linalg.pinv(x)) @ np.diag(root)
            assert made[j][np.ix_(at, at)] == pytest.approx(wanted, abs=1e-12)
            assert np.abs(made[j][~mask[j]]).max(initial=0) == 0


def test_the_weights_of_a_sample_count_only_where_they_are_asked_for():
    sample = design_of(frame_of(outcome(), STARTS)).sample("m", sampling="sampled")
    acts = np.array([[np.arange(T) >= s] for s in sample.starts])
    plain = two_way(sample, acts, ("att",))
    weighted = two_way(sample, acts, ("att",), effects=Effects())
    bare = design_of(frame_of(outcome(), STARTS)).sample("m")
    assert plain.values == pytest.approx(two_way(bare, acts, ("att",)).values, rel=1e-12)
    assert abs(plain.values[0] - weighted.values[0]) > 1e-3
