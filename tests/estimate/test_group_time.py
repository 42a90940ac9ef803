"""Group-time effects: identities, invariances, assignments, weights, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import codes, design_of, long_of, noise, spread, with_gaps

import didkit as dk
from didkit.design import Design, MatchedSets, NotYetTreated
from didkit.errors import DesignError, EstimationError
from didkit.estimate import DiD, EventStudy, GroupTime
from didkit.estimate.aggregation import aggregate, shares_by_kind, unit_weights
from didkit.estimate.group_time import _Work
from didkit.estimate.group_time_pairs import pairs_of
from didkit.estimate.refits import refits

T = 7
STARTS = {1: 3, 4: 3, 9: 3, 2: 5, 6: 5, 12: 5, 13: 5, 17: 6, 3: 6}
N = 24
ALL = ("simple", "dynamic", "group", "calendar", "none")


@cache
def frame_with(seed: int = 0, *, gaps: bool = False) -> pd.DataFrame:
    """Lay out a staggered panel with two covariates and a weight, one row a unit and period."""
    rng = np.random.default_rng(seed)
    y = noise(N, T, seed)
    if gaps:
        y = with_gaps(y, seed + 1, whole=[1, 2, 5, 3])
    made = long_of(y, STARTS).rename(columns={"y": "m"})
    unit, period = made["unit"].to_numpy(), made["period"].to_numpy()
    x = rng.normal(size=N)[unit]
    return made.assign(
        start=[STARTS[u] + 2011 if u in STARTS else 0 for u in unit],
        year=period + 2011,
        x=x,
        moving=x + 0.3 * period + 0.5 * rng.normal(size=len(made)),
        w=rng.uniform(1, 3, size=N)[unit],
    )


def from_frame(table: pd.DataFrame, **options: Any) -> Design:
    return Design.from_frame(
        table,
        unit=options.pop("unit", "unit"),
        period="year",
        start="start",
        metrics=["m", "x", "moving", "w"],
        selection="unknown",
        **options,
    )


def test_pairs_by_hand() -> None:
    """Starts 2 and 4 of five periods; later pilots serve until they start."""
    made = pairs_of(
        np.array([2, 4]), 5, base="varying", comparators="not_yet", anticipation=0, never=True
    )
    said = [
        (int(g), int(t), int(b), s.tolist())
        for g, t, b, s in zip(made.g, made.t, made.base, made.serves, strict=True)
    ]
    assert said == [
        (0, 1, 0, [False, True, True]),
        (0, 2, 1, [False, True, True]),
        (0, 3, 1, [False, True, True]),
        (0, 4, 1, [False, False, True]),
        (1, 1, 0, [True, False, True]),
        (1, 2, 1, [False, False, True]),
        (1, 3, 2, [False, False, True]),
        (1, 4, 3, [False, False, True]),
    ]


def test_anticipation_moves_the_base_and_the_comparators() -> None:
    made = pairs_of(
        np.array([3, 5]), 6, base="varying", comparators="not_yet", anticipation=2, never=True
    )
    first = made.g == 0
    # from two periods before the start on, the base is the last period before these
    assert made.t[first].tolist() == [1, 2, 3, 4, 5]
    assert made.base[first].tolist() == [0] * 5
    # start 5 may act from period 3 on
    assert made.serves[first, 1].tolist() == [True, True, False, False, False]


def test_one_start_is_did_and_the_event_study() -> None:
    """One start, no covariates: the event study on complete units; two periods: `DiD`."""
    y = noise(15, 6, 3)
    design = design_of(y, spread(15, 4, 3))
    made = GroupTime(by="dynamic").fit(design, "m")
    same = EventStudy(cells="complete").fit(design, "m")
    assert made.terms["term"].tolist() == same.terms["term"].tolist()
    assert made.values == pytest.approx(same.values, abs=1e-10)
    assert made.influence == pytest.approx(same.influence, abs=1e-10)
    assert made.weights == pytest.approx(same.weights, abs=1e-12)
    columns = ["term", "position", "event_time", "period", "phase"]
    pd.testing.assert_frame_equal(made.reference[columns], same.reference[columns])
    two = design_of(y[:, 2:4], spread(15, 4, 1))
    one, other = GroupTime().fit(two, "m"), DiD().fit(two, "m")
    assert one.values == pytest.approx(other.values, abs=1e-10)
    assert one.influence == pytest.approx(DiD(cells="complete").fit(two, "m").influence, abs=1e-10)


@pytest.mark.parametrize("comparison", ["never", "not_yet"])
@pytest.mark.parametrize("base", ["universal", "varying"])
def test_every_cell_is_a_difference_of_four_means(comparison: Any, base: Any) -> None:
    """By pandas, from the long frame, for every start and period."""
    table = frame_with()
    made = GroupTime(by="none", comparison=comparison, base=base).fit(from_frame(table), "m")
    compared = 0
    for row in made.terms.assign(value=made.values).to_dict("records"):
        start, year = int(row["group"]), int(row["period"])
        before = year - 1 if base == "varying" and year < start else start - 1
        later = table["start"] > max(year, before)
        serves = (table["start"] == 0) | (later if comparison == "not_yet" else False)
        serves &= table["start"] != start

        def gap(when: int, who: Any = serves, start: int = start) -> float:
            now = table["year"] == when
            return float(
                table.loc[now & (table["start"] == start), "m"].mean()
                - table.loc[now & who, "m"].mean()
            )

        assert row["value"] == pytest.approx(gap(year) - gap(before), abs=1e-9)
        used = table[serves & (table["year"] == year)]
        assert row["n_comparators"] == len(used)
        compared += 1
    assert compared == len(made.terms) == 18


CHOICES = [
    {"method": "dr", "covariates": ("x",)},
    {"method": "regression", "covariates": ("x", "moving"), "comparison": "not_yet"},
    {"method": "ipw", "covariates": ("x",), "base": "varying"},
    {"comparison": "not_yet"},
    {"cells": "observed"},
    {"cells": "observed", "method": "regression", "covariates": ("x",)},
    {"sampling": "w"},
    {"sampling": "w", "cells": "observed", "comparison": "not_yet"},
    {"sampling": "w", "method": "regression", "covariates": ("x",)},
    {"aggregation": "cohorts", "comparison": "not_yet"},
    {"anticipation": 1},
]


@pytest.mark.parametrize("options", CHOICES, ids=str)
@pytest.mark.parametrize("by", ALL)
def test_weights_reproduce_the_estimate(options: dict[str, Any], by: Any) -> None:
    gaps = options.get("cells") == "observed"
    made = GroupTime(**options, by=by).fit(from_frame(frame_with(gaps=gaps)), "m")
    y = np.where(made.sample.mask, made.sample.y, 0.0)
    assert np.einsum("kjt,jt->k", made.weights, y) == pytest.approx(made.values, abs=1e-8)
    # a constant added to every cell changes nothing
    assert made.weights.sum(axis=(1, 2)) == pytest.approx(0, abs=1e-10)
    assert made.influence.sum(axis=0) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("options", CHOICES, ids=str)
@pytest.mark.parametrize("by", ["simple", "dynamic"])
def test_influence_is_the_derivative_in_a_units_weight(options: dict[str, Any], by: Any) -> None:
    """d estimate / d weight of a unit = its influence: models, shares of cohorts and all."""
    if options.get("cells") == "observed" and "covariates" in options:
        options = options | {"method": "dr"}
    table = frame_with(gaps=options.get("cells") == "observed")
    if "sampling" not in options:
        table = table.assign(w=1.0)
    options = options | {"sampling": "w"}
    made = GroupTime(**options, by=by, overall=by == "dynamic").fit(from_frame(table), "m")
    for unit in (1, 2, 17, 5, 20):
        moved = []
        for sign in (-1, 1):
            w = table["w"] + sign * 1e-5 * (table["unit"] == unit)
            again = GroupTime(**options, by=by, overall=by == "dynamic")
            moved.append(again.fit(from_frame(table.assign(w=w)), "m").values[0])
        own = float(table.loc[table["unit"] == unit, "w"].iloc[0])
        at = made.sample.units.index(str(unit))
        slope = own * (moved[1] - moved[0]) / 2e-5
        assert made.influence[at, 0] == pytest.approx(slope, abs=2e-6)


@pytest.mark.parametrize("options", CHOICES, ids=str)
def test_an_effect_without_noise_is_found_and_fixed_effects_change_nothing(
    options: dict[str, Any],
) -> None:
    gaps = options.get("cells") == "observed"
    table = frame_with(gaps=gaps)
    since = table["year"] - table["start"]
    on = (table["start"] > 0) & (since >= 0)
    effect = np.where(on, 2.0 + since + 0.5 * (table["start"] - 2014), 0.0)
    exact = table.assign(m=effect)
    made = GroupTime(**options, by="none").fit(from_frame(exact), "m")
    for row in made.terms.assign(value=made.values).to_dict("records"):
        g, t = int(row["group"]), int(row["period"])
        truth = 2.0 + t - g + 0.5 * (g - 2014) if t >= g else 0.0
        assert row["value"] == pytest.approx(truth, abs=1e-10)
    period = 7.0 * np.sin(table["year"])
    unit = 0.0 if gaps else 11.0 * (table["unit"] % 5)
    moved = from_frame(table.assign(m=table["m"] + period + unit))
    made = GroupTime(**options, by="dynamic").fit(from_frame(table), "m")
    again = GroupTime(**options, by="dynamic").fit(moved, "m")
    assert again.values == pytest.approx(made.values, abs=1e-9)
    assert again.influence == pytest.approx(made.influence, abs=1e-9)


def test_order_and_names_of_units_are_nothing() -> None:
    table = frame_with(gaps=True)
    options: dict[str, Any] = {"cells": "observed", "by": "dynamic", "comparison": "not_yet"}
    made = GroupTime(**options).fit(from_frame(table), "m")
    shuffled = table.assign(unit=100 - table["unit"]).sample(frac=1, random_state=1)
    again = GroupTime(**options).fit(from_frame(shuffled), "m")
    assert again.values == pytest.approx(made.values, abs=1e-10)
    errors = [np.sqrt((e.influence**2).sum(axis=0)) for e in (made, again)]
    assert errors[0] == pytest.approx(errors[1], abs=1e-10)


def test_without_gaps_observed_and_complete_agree() -> None:
    for by in ALL:
        one, two = (
            GroupTime(by=by, cells=cells).fit(from_frame(frame_with()), "m")
            for cells in ("complete", "observed")
        )
        assert one.values == pytest.approx(two.values, abs=1e-10)
        assert one.influence == pytest.approx(two.influence, abs=1e-9)
        assert one.weights == pytest.approx(two.weights, abs=1e-12)
        assert one.terms.equals(two.terms)


def test_without_covariates_the_kernels_agree_with_the_means(monkeypatch: Any) -> None:
    """The fast way is the two-by-two of `two_by_two` with a constant alone."""

    def by_kernel(
        self: Any, kind: Any, y: Any, pairs: Any, terms: Any, shares: Any, *, lay_out: bool
    ) -> Any:
        empty = np.zeros((y.shape[1], 0, y.shape[2]))
        bare = replace(self, sample=replace(self.sample, x=empty))
        made = bare._with_covariates(kind, y, pairs, terms.matrix, lay_out=lay_out)
        weight = unit_weights(self.sample)[:, None]
        made.influence[0] += weight * terms.share_influence(made.effects[0], shares)[kind]
        return made

    for cells in ("complete", "observed"):
        design = from_frame(frame_with(gaps=cells == "observed"))
        estimator = GroupTime(cells=cells, by="dynamic", sampling="w", comparison="not_yet")
        fast = estimator.fit(design, "m")
        with monkeypatch.context() as patched:
            patched.setattr(_Work, "_means", by_kernel)
            slow = estimator.fit(design, "m")
        assert fast.values == pytest.approx(slow.values, abs=1e-9)
        assert fast.influence == pytest.approx(slow.influence, abs=1e-9)
        assert fast.weights == pytest.approx(slow.weights, abs=1e-10)


# -- assignments -----------------------------------------------------------------------------------


def shuffled(estimate: Any, n: int = 6) -> np.ndarray:
    rng = np.random.default_rng(5)
    actual = estimate.sample.cohort.astype(np.int64)
    return np.stack([actual, *(rng.permutation(actual) for _ in range(n))])


@pytest.mark.parametrize("comparison", ["never", "not_yet"])
@pytest.mark.parametrize("aggregation", ["pilots", "cohorts"])
@pytest.mark.parametrize("by", ALL)
def test_all_draws_at_once_are_refits(comparison: Any, aggregation: Any, by: Any) -> None:
    """The fast refit is the kernel, run once for each assignment."""
    estimator = GroupTime(by=by, comparison=comparison, aggregation=aggregation)
    made = estimator.fit(from_frame(frame_with()), "m")
    labels = shuffled(made)
    fast = made.reassigned(labels)
    sample = made.sample
    work = _Work.of(estimator, sample)
    pairs = estimator._pairs(sample)
    size, shares = shares_by_kind(sample, aggregation)
    terms = aggregate(sample, pairs.g, pairs.t, by, size=size)
    acts = np.zeros((len(terms.matrix), len(sample.starts) + 1, T))
    for m, inside in enumerate(terms.members):
        acts[m, pairs.g[inside], pairs.t[inside]] = 1.0

    def kernel(cohort: Any, outcomes: Any) -> Any:
        kind = np.where(cohort < 0, len(sample.starts), cohort)
        found = work._fit(kind, outcomes, pairs, terms, shares, lay_out=False)
        return found.effects @ terms.matrix.T, found.influence

    slow = refits(kernel, sample.y, acts[:, work.kind])(labels)
    for name in ("b", "a", "v0", "v1", "v2"):
        assert getattr(fast, name) == pytest.approx(getattr(slow, name), abs=1e-8), name
    assert fast.b[0] == pytest.approx(made.values, abs=1e-10)
    assert fast.v0[0] == pytest.approx((made.influence**2).sum(axis=0), abs=1e-10)
    after = np.array(made.terms["phase"] == "after")
    if not (comparison == "not_yet" and by == "dynamic"):
        after[:] = True
    assert fast.a[0][after] == pytest.approx(1, abs=1e-10)
    assert fast.v2[0][after] == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(
    "options",
    [{"cells": "observed"}, {"method": "regression", "covariates": ("x",)}, {"sampling": "w"}],
    ids=str,
)
def test_draws_are_estimates_of_designs_with_these_pilots(options: dict[str, Any]) -> None:
    """Give the starts to other units, and fit the design that says so."""
    table = frame_with(gaps="cells" in options)
    made = GroupTime(**options).fit(from_frame(table), "m")
    labels = shuffled(made, 3)
    drawn = made.reassigned(labels)
    for row, b, v0 in zip(labels, drawn.b[:, 0], drawn.v0[:, 0], strict=True):
        starts = {
            unit: 2011 + made.sample.starts[g] if g >= 0 else 0
            for unit, g in zip(made.sample.units, row.tolist(), strict=True)
        }
        other = table.assign(start=table["unit"].astype(str).map(starts))
        again = GroupTime(**options).fit(from_frame(other), "m")
        if "sampling" not in options:  # shares are weighted, and were of other units
            assert b == pytest.approx(again.values[0], abs=1e-9)
            assert v0 == pytest.approx((again.influence**2).sum(), abs=1e-8)
    assert drawn.b[0, 0] == pytest.approx(made.values[0], abs=1e-9)


def test_permutation_bands_and_joint_test_are_to_be_had() -> None:
    made = GroupTime(by="dynamic").fit(from_frame(frame_with()), "m")
    sure = made.infer(dk.Permutation(draws=199))
    table = sure.tidy()
    own = table[table["phase"] != "reference"]
    assert own["p_value"].between(0, 1).all()
    assert (own["band_low"] <= own["conf_low"]).all()
    before = own.loc[own["phase"] == "before", "term"].tolist()
    assert 0 < sure.joint(before).p_value <= 1


# -- who, when, and what is said -------------------------------------------------------------------


def test_nobody_never_starts() -> None:
    """The last to start serve only; the same without the others' later periods by hand."""
    table = frame_with()
    ever = table[table["start"] > 0]
    made = GroupTime(by="none").fit(from_frame(ever, against=NotYetTreated()), "m")
    assert set(made.terms["group"]) == {"2014", "2016"}
    assert made.terms["period"].astype(int).max() == 2016
    last = ever[ever["year"] < 2017].assign(start=ever["start"].replace(2017, 0))
    same = GroupTime(by="none", comparison="not_yet").fit(from_frame(last), "m")
    assert made.values == pytest.approx(same.values, abs=1e-10)
    assert any("start 2017 serve as comparators only" in note for note in made.notes)
    sure = GroupTime().fit(from_frame(ever, against=NotYetTreated()), "m")
    assert np.isfinite(sure.infer(dk.ClusterRobust("CR0"))["att"]["std_error"])
    with pytest.raises(EstimationError, match="not_yet"):
        GroupTime(comparison="never").fit(from_frame(ever, against=NotYetTreated()), "m")


def test_the_design_says_who_serves() -> None:
    table = frame_with()
    later = from_frame(table, against=NotYetTreated())
    one = GroupTime(by="none").fit(later, "m")
    two = GroupTime(by="none", comparison="not_yet").fit(from_frame(table), "m")
    assert one.values == pytest.approx(two.values, abs=1e-12)
    plain = GroupTime(by="none").fit(from_frame(table), "m")
    never = GroupTime(by="none", comparison="never").fit(later, "m")
    assert plain.values == pytest.approx(never.values, abs=1e-12)
    assert not np.allclose(plain.values, one.values)


def test_cohorts_without_a_period_before_the_anticipation_are_left_out() -> None:
    table = frame_with()
    made = GroupTime(by="group", anticipation=3).fit(from_frame(table), "m")
    assert made.terms["group"].tolist() == ["2016", "2017"]
    gone = made.sample.log[made.sample.log["stage"] == "estimator"]
    assert set(gone["unit"]) == {"1", "4", "9"}
    assert any("start 2014: no period before the 3" in note for note in made.all_notes)
    with pytest.raises(DesignError, match="less anticipation"):
        GroupTime(anticipation=6).fit(from_frame(table), "m")


def test_complete_leaves_units_with_gaps_out_and_observed_does_not() -> None:
    table = frame_with(gaps=True)
    made = GroupTime().fit(from_frame(table), "m")
    whole = table.groupby("unit")["year"].count() == T
    assert len(made.sample.units) == whole.sum() < N
    assert len(GroupTime(cells="observed").fit(from_frame(table), "m").sample.units) == N


def test_rows_that_are_seen_once() -> None:
    """Repeated cross-sections: the four means of the rows, and no unit of its own change."""
    table = frame_with()
    design = from_frame(table, unit=None)
    made = GroupTime(cells="observed", by="none").fit(design, "m")
    same = GroupTime(by="none").fit(from_frame(table), "m")
    assert made.values == pytest.approx(same.values, abs=1e-9)
    assert made.reassigned is None
    rows = table.assign(mean=table.groupby(["start", "year"])["m"].transform("mean"))
    variance = 0.0
    for start, year in ((2014, 2015), (2014, 2013), (0, 2015), (0, 2013)):
        cell = rows[(rows["start"] == start) & (rows["year"] == year)]
        variance += float(((cell["m"] - cell["mean"]) ** 2).sum()) / len(cell) ** 2
    at = made.terms["term"].tolist().index("start 2014, period 2015")
    assert (made.influence[:, at] ** 2).sum() == pytest.approx(variance, rel=1e-10)
    with pytest.raises(DesignError, match="cells='observed'"):
        GroupTime().fit(design, "m")


def test_horizon_leaves_later_effects_out() -> None:
    made = GroupTime(by="dynamic", horizon=1).fit(from_frame(frame_with()), "m")
    assert made.terms["event_time"].max() == 1
    short, cells = (
        GroupTime(by=by, horizon=h).fit(from_frame(frame_with()), "m")
        for by, h in (("simple", 0), ("none", None))
    )
    on = cells.terms["event_time"] == 0
    share = cells.terms.loc[on, "n_pilots"] / cells.terms.loc[on, "n_pilots"].sum()
    assert short.values[0] == pytest.approx(float(share @ cells.values[on]), abs=1e-10)


def test_covariates_are_those_of_the_base_period() -> None:
    """A covariate that moves: changed outside the base period it changes nothing."""
    table = frame_with()
    options: dict[str, Any] = {"method": "regression", "covariates": ("moving",), "by": "group"}
    made = GroupTime(**options).fit(from_frame(table), "m")
    away = ~table["year"].isin([2013, 2015, 2016])
    other = table.assign(moving=table["moving"].where(~away, table["moving"] ** 2))
    again = GroupTime(**options).fit(from_frame(other), "m")
    assert again.values == pytest.approx(made.values, abs=1e-10)
    there = table.assign(moving=table["moving"].where(table["year"] != 2013, table["m"]))
    moved = GroupTime(**options).fit(from_frame(there), "m")
    assert moved.values[0] != pytest.approx(made.values[0], abs=1e-6)
    assert moved.values[1:] == pytest.approx(made.values[1:], abs=1e-10)


def test_a_cohort_too_small_for_its_covariates_is_named() -> None:
    table = frame_with()
    small = table[~table["unit"].isin([1, 4])]
    for method in ("dr", "ipw"):
        with pytest.raises(EstimationError, match="start 2014"):
            GroupTime(method, covariates=("x", "moving")).fit(from_frame(small), "m")
    # a model of the comparators asks nothing of the pilots
    made = GroupTime("regression", covariates=("x", "moving")).fit(from_frame(small), "m")
    assert np.isfinite(made.values).all()
    assert any("one pilot in start 2014" in note for note in made.notes)


def test_a_collinear_covariate_is_named() -> None:
    table = frame_with()
    twice = table.assign(moving=2 * table["x"] + 3)
    with pytest.raises(EstimationError, match="moving"):
        GroupTime("regression", covariates=("x", "moving")).fit(from_frame(twice), "m")


def test_matched_sets_are_refused() -> None:
    ids = codes(9)
    sets = MatchedSets({ids[1]: dict.fromkeys(ids[2:4], 0.5), ids[5]: {ids[6]: 1.0}})
    design = design_of(noise(9, 5, 1), {1: 3, 5: 3}, against=sets)
    with pytest.raises(EstimationError, match="matched sets"):
        GroupTime().fit(design, "m")


@pytest.mark.parametrize(
    "options",
    [
        {"method": "ols"},
        {"base": "first"},
        {"comparison": "always"},
        {"anticipation": -1},
        {"horizon": 1.5},
        {"by": "year"},
        {"balance": 1},
        {"overall": True},
        {"cells": "all"},
        {"aggregation": "people"},
        {"covariates": "x"},
    ],
    ids=str,
)
def test_unknown_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(EstimationError):
        GroupTime(**options)


def test_large_weights_are_not_laid_out(monkeypatch: Any) -> None:
    made = GroupTime(by="dynamic").fit(from_frame(frame_with()), "m")
    monkeypatch.setattr("didkit.estimate.group_time.LARGEST", 100)
    bare = GroupTime(by="dynamic").fit(from_frame(frame_with()), "m")
    assert bare.weights is None
    assert bare.values == pytest.approx(made.values, abs=0)
    assert any("not laid out" in note for note in bare.notes)


def test_weights_are_laid_out_when_they_are_first_read() -> None:
    made = GroupTime(by="dynamic").fit(from_frame(frame_with()), "m")
    sure = made.infer(dk.ClusterRobust("CR0"))
    sure.tidy()
    assert "weights" not in vars(sure) | vars(made)
    seen = np.where(sure.sample.mask, sure.sample.y, 0.0)
    assert np.einsum("kjt,jt->k", sure.weights, seen) == pytest.approx(sure.values, abs=1e-10)
    assert sure.weights is sure.weights
    with pytest.raises(AttributeError, match="nothing"):
        _ = made.nothing  # type: ignore[attr-defined]
