"""Counts: `PoissonDiD` against fixest and statsmodels, by theorem, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from helpers import FIRST, codes, spread

from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import DesignError, EstimationError
from didkit.estimate import DiD, PoissonDiD
from didkit.inference import ClusterRobust
from didkit.panel import Metric, Panel

SHAPE = (14, 6)
STARTS = spread(14, 4, 3)
STAGGERED = {1: 2, 5: 3, 8: 2, 11: 4}
EFFECTS = ("log_ratio", "ratio", "rate", "count")


def counts_of(seed: int, starts=STARTS, *, effect: float = 0.2) -> np.ndarray:
    """Give counts with unit and period effects, and a ratio from the start on."""
    rng = np.random.default_rng(seed)
    log = 3 + rng.normal(size=(SHAPE[0], 1)) + 0.2 * rng.normal(size=(1, SHAPE[1]))
    for j, t in starts.items():
        log[j, t:] += effect
    return rng.poisson(np.exp(log)) + 1.0


def design_with(starts=STARTS, *, kinds=None, ids=None, **columns) -> Design:
    """Make a design of several metrics, each an array of units × periods."""
    ids = codes(SHAPE[0]) if ids is None else ids
    frame = pd.DataFrame(
        [
            (ids[j], FIRST + t, *(values[j, t] for values in columns.values()))
            for j in range(SHAPE[0])
            for t in range(SHAPE[1])
        ],
        columns=["la", "year", *columns],
    )
    metrics = {name: (kinds or {}).get(name) or Metric(name=name) for name in columns}
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=metrics)
    rollout = Rollout({ids[j]: FIRST + t for j, t in starts.items()})
    return Design(panel, rollout, against=Pool(), selection="unknown")


def exposures(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(50, 500, SHAPE)


def glm(counts, offset, starts, weights=None):
    """Fit the same with a dummy for each unit and period, in statsmodels."""
    n, t = counts.shape
    unit, period = np.indices(counts.shape)
    d = np.zeros(counts.shape)
    for j, start in starts.items():
        d[j, start:] = 1
    used = np.isfinite(counts)
    X = np.column_stack(
        [d[used], np.eye(n)[unit[used]], np.eye(t)[period[used]][:, 1:]]
    )  # fmt: skip
    fitted = sm.GLM(
        counts[used],
        X,
        family=sm.families.Poisson(),
        offset=offset[used],
        var_weights=None if weights is None else weights[used],
    )
    if weights is not None:  # statsmodels has no clustered errors with weights
        return float(fitted.fit(tol=1e-14).params[0]), float("nan")
    fitted = fitted.fit(
        tol=1e-14, cov_type="cluster", cov_kwds={"groups": unit[used], "use_correction": False}
    )
    return float(fitted.params[0]), float(fitted.bse[0])


CASTLE = {
    "castle_pois_offset_cl": {"exposure": "population"},
    "castle_pois_w": {"sampling": "popwt"},
}


@pytest.fixture(scope="module")
def castle(shared_reference):
    frame = pd.read_csv(shared_reference / "data" / "castle.csv")
    return Design.from_frame(
        frame,
        unit="state",
        period="year",
        start="gvar",
        metrics=["homicide_c", "population", "popwt"],
        selection="unknown",
    )


@pytest.fixture(scope="module")
def fixest(shared_reference):
    return pd.read_csv(shared_reference / "fixest.csv").set_index("case")


@pytest.mark.parametrize("case", CASTLE)
def test_fixest_clustered(castle, fixest, case):
    """fepois(homicide_c ~ post | state + year, castle, …, cluster=~state)."""
    made = PoissonDiD(**CASTLE[case]).fit(castle, "homicide_c")
    row = made.infer(ClusterRobust("CR1", df="normal", factor="nested")).tidy().iloc[0]
    expected = fixest.loc[case]
    assert row["estimate"] == pytest.approx(expected["estimate"], rel=1e-9)
    assert row["std_error"] == pytest.approx(expected["std_error"], rel=1e-8)
    assert row["conf_low"] == pytest.approx(expected["ci_lower"], rel=1e-7)


def test_fixest_robust_to_each_cell(castle, fixest):
    """fepois(homicide_c ~ post | state + year, castle, offset=~log(population), vcov='hetero')."""
    made = PoissonDiD(exposure="population").fit(castle, "homicide_c")
    cells = made.regroup(np.arange(made.sample.y.size).reshape(made.sample.y.shape))
    scores = cells.scores @ cells.M[0]
    n, k = 550, 1 + 50 + 10
    # n/(n−1) for the clusters (cells), (n−1)/(n−K) with all effects
    found = np.sqrt((scores**2).sum() * n / (n - k))
    assert found == pytest.approx(fixest.loc["castle_pois_offset_hetero", "std_error"], rel=1e-9)


def test_fixest_if_counts_were_poisson(castle, fixest):
    """fepois(homicide_c ~ post | state + year, castle, offset=~log(population), vcov='iid')."""
    normal = PoissonDiD(exposure="population").fit(castle, "homicide_c").normal
    found = np.sqrt(normal.M[0, 0] * 549 / (550 - 61))
    assert found == pytest.approx(fixest.loc["castle_pois_offset_iid", "std_error"], rel=1e-9)


def _close(made, expected):
    """Compare with fixest's clustered numbers; (N−1)/(N−K) counts no state effect."""
    g, n, k = 50, 550, made.normal.n_params + 1
    errors = np.sqrt((made.influence**2).sum(axis=0) * g / (g - 1) * (n - 1) / (n - k))
    assert made.values == pytest.approx(expected["estimate"].to_numpy(), rel=1e-8)
    assert errors == pytest.approx(expected["std_error"].to_numpy(), rel=1e-7)


def test_fixest_sun_abraham(castle, fixest):
    """fepois(homicide_c ~ sunab(gv_s, year) | state + year, offset=~log(population), …)."""
    made = PoissonDiD("sun_abraham", exposure="population", by="dynamic").fit(castle, "homicide_c")
    expected = fixest.loc["castle_pois_sunab"]
    named = [f"year::{e}" for e in made.terms["event_time"]]
    _close(made, expected.set_index("term").loc[named])


def test_fixest_sun_abraham_in_one(castle, fixest):
    """summary(fepois(homicide_c ~ sunab(gv_s, year) | …), agg='att')."""
    made = PoissonDiD("sun_abraham", exposure="population").fit(castle, "homicide_c")
    _close(made, fixest.loc[["castle_pois_sunab_att"]])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_it_is_the_regression_with_dummies(gaps, weighted):
    y, e = counts_of(1, STAGGERED), exposures(2)
    w = np.random.default_rng(3).uniform(0.5, 2, SHAPE)
    if gaps:
        y[0, 2] = y[1, 0] = y[3, 5] = y[8, 4] = np.nan
    design = design_with(STAGGERED, m=y, e=e, w=w)
    made = PoissonDiD(exposure="e", sampling="w" if weighted else None).fit(design, "m")
    expected = glm(y, np.log(e), STAGGERED, w if weighted else None)
    assert made.values[0] == pytest.approx(expected[0], rel=1e-9)
    row = made.infer(ClusterRobust("CR0")).tidy().iloc[0]
    if not weighted:
        assert row["std_error"] == pytest.approx(expected[1], rel=1e-7)
    assert row["std_error"] ** 2 == pytest.approx((made.influence**2).sum(), rel=1e-9)


@pytest.mark.parametrize("terms", ["static", "event", "sun_abraham"])
@pytest.mark.parametrize("effect", EFFECTS)
def test_influence_is_the_derivative_by_a_units_weight(terms, effect):
    """A unit's influence: what the estimate gains for a little more weight on it."""
    y, e = counts_of(4, STAGGERED), exposures(5)
    estimator = PoissonDiD(terms, effect=effect, exposure="e", sampling="w")
    made = estimator.fit(design_with(STAGGERED, m=y, e=e, w=np.ones(SHAPE)), "m")
    h = 1e-5
    cell_size = terms == "sun_abraham"  # there weights move the average too, by design
    for j in (0, 5, 11):
        up, down = np.ones(SHAPE), np.ones(SHAPE)
        up[j], down[j] = 1 + h, 1 - h
        moved = [
            estimator.fit(design_with(STAGGERED, m=y, e=e, w=w), "m").values for w in (up, down)
        ]
        slope = (moved[0] - moved[1]) / (2 * h)
        if cell_size and j in STAGGERED:
            continue
        assert slope == pytest.approx(made.influence[j], rel=1e-5, abs=1e-8)


def test_one_ratio_is_found_exactly_on_every_scale():
    y = np.exp(np.linspace(1, 3, 14)[:, None] + np.array([0, 0.3, 0.1, -0.2, 0.5, 0.4]))
    d = np.zeros(SHAPE)
    for j, t in STAGGERED.items():
        d[j, t:] = 1
    e = exposures(1)
    y = y * e
    seen = y * 1.3**d
    design = design_with(STAGGERED, m=seen, e=e)
    treated = d == 1
    expected = {
        "log_ratio": np.log(1.3),
        "ratio": 0.3,
        "rate": 0.3 * y[treated].sum() / e[treated].sum(),
        "count": 0.3 * y[treated].mean(),
    }
    for effect, value in expected.items():
        made = PoissonDiD(effect=effect, exposure="e").fit(design, "m")
        assert made.values[0] == pytest.approx(value, rel=1e-10)
        for terms in ("event", "sun_abraham"):
            if effect in ("log_ratio", "ratio"):
                after = PoissonDiD(terms, effect=effect, exposure="e").fit(design, "m")
                counted = after.terms["phase"] == "after"
                assert after.values[counted] == pytest.approx(value, rel=1e-10)
    facts = PoissonDiD(exposure="e").fit(design, "m").facts
    assert facts["ratio_less_1"] == pytest.approx(0.3, rel=1e-10)
    assert facts["rate_difference"] == pytest.approx(expected["rate"], rel=1e-10)
    assert facts["count_difference"] == pytest.approx(expected["count"], rel=1e-10)


def test_two_by_two_is_a_ratio_of_ratios():
    """One pilot and pooled comparators, two periods: the ratio of pooled counts."""
    y = np.array([[20.0, 36], [30, 33], [50, 60], [10, 9]])
    ids = codes(4)
    frame = pd.DataFrame(
        [(ids[j], 2011 + t, y[j, t]) for j in range(4) for t in range(2)],
        columns=["la", "year", "m"],
    )
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    design = Design(panel, Rollout({ids[0]: 2012}), against=Pool(), selection="unknown")
    found = PoissonDiD(effect="ratio").fit(design, "m").values[0]
    assert found == pytest.approx(36 / 20 / (102 / 90) - 1, rel=1e-12)


@pytest.mark.parametrize("terms", ["static", "event", "sun_abraham"])
def test_exposure_by_unit_and_period_is_held_by_their_effects(terms):
    """An offset that is a unit's part plus a period's changes nothing; any other does."""
    y, rng = counts_of(6, STAGGERED), np.random.default_rng(7)
    product = np.exp(rng.normal(size=(14, 1))) * np.exp(rng.normal(size=(1, 6)))
    design = design_with(STAGGERED, m=y, e=product, other=product * exposures(1))
    before = PoissonDiD(terms).fit(design, "m")
    held = PoissonDiD(terms, exposure="e").fit(design, "m")
    assert held.values == pytest.approx(before.values, rel=1e-9)
    assert held.influence == pytest.approx(before.influence, rel=1e-7, abs=1e-12)
    other = PoissonDiD(terms, exposure="other").fit(design, "m")
    assert np.abs(other.values - before.values).min() > 1e-4


def test_order_and_names_of_units_do_not_matter():
    y = counts_of(8)
    made = PoissonDiD("event").fit(design_with(m=y), "m")
    order = np.random.default_rng(0).permutation(14)
    place = {int(old): new for new, old in enumerate(order)}
    shuffled = {place[j]: t for j, t in STARTS.items()}
    other = PoissonDiD("event").fit(design_with(shuffled, m=y[order]), "m")
    assert other.values == pytest.approx(made.values, rel=1e-10)
    assert other.influence == pytest.approx(made.influence[order], rel=1e-7, abs=1e-12)


RATE = {
    "m": Metric(name="m", kind="rate", numerator="n", denominator="d", per=1000, unit="per 1,000")
}


def test_a_rate_brings_its_counts_and_the_rate_estimate_beside_it():
    y, e = counts_of(9), exposures(10)
    design = design_with(kinds=RATE, m=1000 * y / e, n=y, d=e)
    made = PoissonDiD().fit(design, "m")
    direct = PoissonDiD(exposure="d").fit(design, "n")
    assert made.values[0] == pytest.approx(direct.values[0], rel=1e-12)
    rate = DiD().fit(design, "m").values[0]
    assert made.facts["rate_did"] == pytest.approx(rate, rel=1e-10)
    assert made.facts["rate_difference"] == pytest.approx(1000 * direct.facts["rate_difference"])
    assert made.metric.unit == "log of a ratio"
    assert PoissonDiD(effect="rate").fit(design, "m").metric.unit == "per 1,000"
    assert "each authority alike" in made.notes[-1]
    assert np.isfinite(made.infer(ClusterRobust("CR2")).tidy()["std_error"][0])


def test_a_covariate_is_held_constant_in_its_own_unit():
    y, x = counts_of(11, STAGGERED), np.random.default_rng(12).normal(size=SHAPE)
    boosted = y * np.exp(0.4 * x)
    made = PoissonDiD(covariates=("x",)).fit(design_with(STAGGERED, m=boosted, x=x), "m")
    big = PoissonDiD(covariates=("x",)).fit(design_with(STAGGERED, m=boosted, x=1e6 + 1e4 * x), "m")
    assert big.values[0] == pytest.approx(made.values[0], rel=1e-7)
    assert big.facts["coefficient_x"] == pytest.approx(made.facts["coefficient_x"] / 1e4, rel=1e-6)
    exact = np.exp(1 + 0.4 * x + np.linspace(0, 1, 14)[:, None])
    found = PoissonDiD(covariates=("x",)).fit(design_with(STAGGERED, m=exact, x=x), "m")
    assert found.facts["coefficient_x"] == pytest.approx(0.4, rel=1e-9)
    assert abs(found.values[0]) < 1e-10
    fixed = np.broadcast_to(x[:, [0]], SHAPE)
    with pytest.raises(EstimationError, match="held by the unit effects"):
        PoissonDiD(covariates=("x",)).fit(design_with(m=y, x=fixed), "m")


def test_units_of_zeros_are_left_out_by_name():
    y = counts_of(13)
    free = next(j for j in range(14) if j not in STARTS)
    with_zeros = y.copy()
    with_zeros[free] = 0
    made = PoissonDiD().fit(design_with(m=with_zeros), "m")
    without = PoissonDiD().fit(design_with(m=with_zeros).drop(codes(14)[free]), "m")
    assert made.values == pytest.approx(without.values, rel=1e-12)
    assert any("zeros only" in note and codes(14)[free] in note for note in made.all_notes)
    log = made.sample.log
    assert log.loc[log["reason"].str.startswith("zeros only"), "cells"].sum() == SHAPE[1]


def test_separation_is_named():
    y = counts_of(14)
    pilots = sorted(STARTS)
    after, before, one = y.copy(), y.copy(), y.copy()
    after[pilots, 3:] = 0
    before[pilots, :3] = 0
    one[pilots, 5] = 0
    with pytest.raises(EstimationError, match="pilots at att"):
        PoissonDiD().fit(design_with(m=after), "m")
    with pytest.raises(EstimationError, match="pilots before the start"):
        PoissonDiD().fit(design_with(m=before), "m")
    with pytest.raises(EstimationError, match=r"event time \+2"):
        PoissonDiD("event").fit(design_with(m=one), "m")
    assert np.isfinite(PoissonDiD().fit(design_with(m=one), "m").values[0])
    empty = y.copy()
    empty[:, 4] = 0
    with pytest.raises(EstimationError, match="period 2015"):
        PoissonDiD().fit(design_with(m=empty), "m")
    gone = y.copy()
    gone[pilots] = 0
    with pytest.raises(DesignError, match="zeros only"):
        PoissonDiD().fit(design_with(m=gone), "m")


def test_what_it_refuses():
    y = counts_of(15)
    bad, e = y.copy(), exposures(1)
    bad[1, 1], e[2, 2] = -2, 0
    with pytest.raises(EstimationError, match=r"below zero: 1 \(304 in 2012"):
        PoissonDiD().fit(design_with({5: 3}, m=bad), "m")
    with pytest.raises(EstimationError, match="no exposure 'e'"):
        PoissonDiD(exposure="e").fit(design_with(m=y, e=e), "m")
    with pytest.raises(EstimationError, match="numerator"):
        PoissonDiD().fit(design_with(kinds=RATE, m=y), "m")
    ids = codes(14)
    design = design_with({1: 3}, m=y)
    sets = MatchedSets({ids[1]: {ids[0]: 1.0}})
    with pytest.raises(EstimationError, match="matched sets"):
        PoissonDiD().fit(design.compared_with(sets), "m")
    for options, word in (
        ({"terms": "dynamic"}, "terms"),
        ({"effect": "odds"}, "effect"),
        ({"reference": 0}, "reference"),
        ({"by": "dynamic"}, "sun_abraham"),
        ({"terms": "event", "aggregation": "cohorts"}, "sun_abraham"),
        ({"terms": "sun_abraham", "by": "year"}, "by"),
    ):
        with pytest.raises(EstimationError, match=word):
            PoissonDiD(**options)
    with pytest.raises(EstimationError, match="fewer before the start in 2012"):
        PoissonDiD("event", reference=-2).fit(design_with({1: 1}, m=y), "m")


def test_a_ratio_draws_no_counterfactual_in_the_rates():
    """A ratio cannot be taken off the pilots' line; a difference in the metric's unit can."""
    y, e = counts_of(16), exposures(17)
    design = design_with(kinds=RATE, m=1000 * y / e, n=y, d=e)
    made = {effect: PoissonDiD(effect=effect).fit(design, "m").infer(None) for effect in EFFECTS}
    shown = {
        effect: bool(one.plot(kind="trends").data["counterfactual"].notna().any())
        for effect, one in made.items()
    }
    assert shown == {"log_ratio": False, "ratio": False, "rate": True, "count": False}
