"""Synthetic control and its augmented form: exact optima of other programs, and theorems."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, design_of, frame_of, noise, treated
from synthetic_reference import load, numbers, own_weights, same_weights, weights

import didkit as dk
from didkit.errors import EstimationError

ONE = {4: 7}
THREE = {3: 7, 9: 7, 15: 7}
SEVERAL = {3: 6, 9: 6, 15: 8}


def fit(y, starts=ONE, **options):
    return dk.SyntheticControl(**options).fit(design_of(y, starts), "m")


def augmented(y, starts=ONE, **options):
    return dk.AugmentedSyntheticControl(**options).fit(design_of(y, starts), "m")


@pytest.mark.parametrize("case", ["prop99", "prop99_3t"])
def test_the_exact_optimum_of_quadprog(shared_reference, case):
    """R: quadprog::solve.QP on the objective of synthdid's sc_estimate, ridge 1e-9."""
    given = numbers(shared_reference, f"{case}_qp__sc")
    design = load(shared_reference, case)
    for ridge in (0.0, 1e-9):
        made = dk.SyntheticControl(pooled=True, ridge=ridge).fit(*design).infer(None)
        assert made.values[0] == pytest.approx(given["ATT"], rel=1e-8)
        same_weights(own_weights(made, "unit"), weights(given, "omega"), 1e-9)


@pytest.mark.parametrize(
    ("case", "distance"),
    [("prop99", 0.106), ("prop99_3t", 0.158), ("cps_fake3", 3.0e-6), ("prop99_tight", 0.0041)],
)
def test_how_far_the_package_stops_from_it(shared_reference, case, distance):
    """R: sc_estimate(Y, N0, T0); tight: min.decrease=1e-12, max.iter=2e5, sparsify=NULL."""
    given = numbers(shared_reference, f"{case}__sc")
    design = load(shared_reference, case.removesuffix("_tight"))
    made = dk.SyntheticControl(pooled=True).fit(*design).infer(None)
    assert abs(made.values[0] - given["ATT"]) == pytest.approx(distance, rel=0.05)


def test_weights_as_those_of_matching():
    """Two ways to the same mixture: `SyntheticWeights` on the outcome of each period."""
    y = noise(20, 10, 1)
    made = fit(y, THREE)
    design = design_of(y, THREE)
    values = dk.Covariates.from_panel(design.panel, values={"m": (2011, 2017)})
    sets = design.compared_with(dk.SyntheticWeights(values, standardise=False)).sets
    for pilot, table in made.synthetic.groupby("pilot"):
        same_weights(dict(zip(table["label"], table["weight"], strict=True)), sets[pilot], 1e-9)


def test_a_pilot_that_is_a_mixture_has_its_effect_exactly():
    y = noise(8, 12, 2, scale=20.0)
    y[4] = 0.5 * y[0] + 0.3 * y[1] + 0.2 * y[6]
    made = fit(y - 7.5 * treated(y.shape, ONE))
    assert made.values[0] == pytest.approx(-7.5, rel=1e-7)
    assert made.facts["share_not_reproduced"] == 0
    assert made.facts["pre_rmse"] < 1e-7
    given = {codes(8)[0]: 0.5, codes(8)[1]: 0.3, codes(8)[6]: 0.2}
    same_weights(own_weights(made, "unit"), given, 1e-7)


def test_by_pilot_and_pooled():
    y = noise(20, 10, 3)
    each = [
        fit(np.delete(y, [j for j in THREE if j != i], 0), {i - n: 7}) for n, i in enumerate(THREE)
    ]
    mean = np.mean([one.values[0] for one in each])
    assert fit(y, THREE).values[0] == pytest.approx(mean, rel=1e-8)
    others = np.delete(y, list(THREE), 0)
    pooled = fit(np.vstack([others, y[list(THREE)].mean(axis=0)]), {17: 7})
    assert fit(y, THREE, pooled=True).values[0] == pytest.approx(pooled.values[0], rel=1e-8)
    assert abs(fit(y, THREE, pooled=True).values[0] - mean) > 0.01


def test_a_constant_between_pilot_and_mixture():
    rng = np.random.default_rng(4)
    y = noise(20, 10, 4)
    moved = y + 200 * rng.normal(size=(20, 1))
    assert fit(moved, intercept=True).values == pytest.approx(
        fit(y, intercept=True).values, rel=1e-8
    )
    assert abs(fit(moved).values - fit(y).values) > 0.1
    exact = noise(20, 10, 4, scale=0.0) - 7.5 * treated((20, 10), ONE)
    assert fit(exact, intercept=True).values[0] == pytest.approx(-7.5, rel=1e-10)


@pytest.mark.parametrize("make", [fit, augmented])
def test_scale_shift_order_and_period_effects(make):
    y = noise(20, 10, 5)
    usual = make(y, SEVERAL).values
    assert make(2 * y + 30, SEVERAL).values == pytest.approx(2 * usual, rel=1e-6)
    order = np.random.default_rng(5).permutation(20)
    starts = {int(np.flatnonzero(order == j)[0]): t for j, t in SEVERAL.items()}
    assert make(y[order], starts).values == pytest.approx(usual, rel=1e-7)
    periods = 40 * np.random.default_rng(6).normal(size=(1, 10))
    assert make(y + periods, SEVERAL).values == pytest.approx(usual, rel=1e-6)


def test_starts_are_averaged_by_pilots_and_periods():
    y = noise(20, 10, 6)
    groups = fit(y, SEVERAL, by="group").values
    simple = (2 * 4 * groups[0] + 2 * groups[1]) / 10
    assert fit(y, SEVERAL).values[0] == pytest.approx(simple, rel=1e-10)
    paths = fit(y, SEVERAL, by="dynamic")
    assert paths.terms["event_time"].min() == -8
    assert (paths.terms.loc[paths.terms["event_time"] < 0, "phase"] == "before").all()


def test_ridge_draws_weights_together():
    y = noise(20, 10, 7)
    spread = [fit(y, ridge=r).facts["effective_donors"] for r in (0.0, 50.0, 1e9)]
    assert spread[0] < spread[1] < spread[2] == pytest.approx(19)


def test_a_covariate_counts_as_one_more_period():
    y, rng = noise(20, 10, 8), np.random.default_rng(8)
    pilot = int(np.argsort(y[:, :7].mean(axis=1))[10])  # in the middle
    x = rng.normal(size=(20, 1)) * np.ones((1, 10)) * 1000 + rng.normal(size=(20, 10))
    panel = dk.Panel.from_frame(
        frame_of(y).assign(x=x.ravel()), unit="la", period="year", metrics=["m", "x"]
    )
    ids = codes(20)
    design = dk.Design(
        panel, dk.Rollout({ids[pilot]: 2018}), against=dk.Pool(), selection="unknown"
    )
    made = dk.SyntheticControl(covariates=["x"]).fit(design, "m")
    mean, others = x[:, :7].mean(axis=1), np.arange(20) != pilot
    scale = np.sqrt(y[others][:, :7].var(axis=0).mean()) / mean[others].std()
    stacked = np.column_stack([y[:, :7], mean * scale])
    w = np.zeros(20)
    for label, weight in own_weights(made, "unit").items():
        w[ids.index(label)] = weight
    gap = stacked - stacked[pilot]
    slope = gap @ (w @ gap)
    assert slope[others].min() >= slope[w > 0].max() - 1e-7 * np.abs(slope).max()
    without = dk.SyntheticControl().fit(design, "m")
    assert abs(without.values[0] - made.values[0]) > 0.1
    flat = dk.Panel.from_frame(
        frame_of(y).assign(x=1.0), unit="la", period="year", metrics=["m", "x"]
    )
    with pytest.raises(EstimationError, match="all alike"):
        dk.SyntheticControl(covariates=["x"]).fit(
            dk.Design(flat, dk.Rollout({ids[pilot]: 2018}), against=dk.Pool(), selection="unknown"),
            "m",
        )


# -- augmented -------------------------------------------------------------------------------


def ridge_outcome(y: np.ndarray, pilot: int, start: int, penalty: float, w: np.ndarray) -> float:
    """Ben-Michael et al. (2021), equation of the augmented estimator, by its outcome model.

    The mixture's prediction plus what a ridge regression of each later outcome on those before
    says of the distance between pilot and mixture.
    """
    others = np.arange(len(y)) != pilot
    x = y[others][:, :start] - y[others][:, :start].mean(axis=0)
    gaps = []
    for t in range(start, y.shape[1]):
        z = y[others][:, t] - y[others][:, t].mean()
        slope = np.linalg.solve(x.T @ x + penalty * np.eye(start), x.T @ z)
        predicted = w @ y[others][:, t] + slope @ (y[pilot, :start] - w @ y[others][:, :start])
        gaps.append(y[pilot, t] - predicted)
    return float(np.mean(gaps))


@pytest.mark.parametrize("penalty", [1.0, 300.0, 1e5])
def test_the_augmented_estimate_by_its_outcome_model(penalty):
    """Weights and outcome model are two ways to one number."""
    y = noise(20, 10, 9)
    made = own_weights(fit(y), "unit")
    ids = [code for j, code in enumerate(codes(20)) if j != 4]
    w = np.array([made.get(code, 0.0) for code in ids])
    expected = ridge_outcome(y, 4, 7, penalty, w)
    assert augmented(y, penalty=penalty).values[0] == pytest.approx(expected, rel=1e-8)


def test_between_the_mixture_and_an_exact_fit():
    y = noise(20, 10, 10)
    y[4] += 150.0  # beyond all others
    assert augmented(y, penalty=1e13).values[0] == pytest.approx(fit(y).values[0], rel=1e-6)
    misses = [augmented(y, penalty=p).facts["pre_rmse"] for p in (1e6, 1e3, 1.0)]
    assert fit(y).facts["pre_rmse"] > misses[0] > misses[1] > misses[2]
    sums = augmented(y, penalty=10.0).synthetic.groupby("kind")["weight"].sum()
    assert sums["unit"] == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize("intercept", [False, True])
def test_the_penalty_is_that_of_least_error(intercept):
    """Each period before the start predicted from the others, by the estimator itself."""
    y = noise(12, 7, 11)
    start, others = 5, np.arange(12) != 4
    centred = y[:, :start] - (y[:, :start].mean(axis=1, keepdims=True) if intercept else 0)
    x = centred[others] - centred[others].mean(axis=0)
    grid = np.linalg.norm(x, 2) ** 2 * 1e-8 ** (np.arange(21) / 20)
    errors = []
    for penalty in grid:
        gaps = []
        for t in range(start):
            order = [*(s for s in range(start) if s != t), t]
            held = augmented(y[:, order], {4: start - 1}, penalty=penalty, intercept=intercept)
            gaps.append(held.values[0])
        errors.append(np.square(gaps))
    errors = np.array(errors)
    best = errors.mean(axis=1).argmin()
    near = errors[best].mean() + errors[best].std(ddof=1) / np.sqrt(start)
    least, largest = (
        augmented(y, {4: start}, rule=rule, intercept=intercept).facts["penalty"]
        for rule in ("min", "1se")
    )
    assert least == pytest.approx(grid[best], rel=1e-9)
    assert largest == pytest.approx(grid[errors.mean(axis=1) <= near].max(), rel=1e-9)


def test_it_mends_what_the_mixture_misses():
    """Linear in earlier outcomes and outside the hull: the mixture is biased, this much less."""
    rng = np.random.default_rng(12)
    base, slope = 100 + 10 * rng.normal(size=40), rng.normal(size=40)
    base[4], slope[4] = 145, 3.5
    y = base[:, None] + slope[:, None] * np.arange(14) + 0.05 * rng.normal(size=(40, 14))
    bias = abs(fit(y, {4: 9}).values[0])
    assert bias > 5
    assert abs(augmented(y, {4: 9}).values[0]) < 0.1 * bias


def test_options_that_do_not_exist():
    for options in ({"pooled": 1}, {"ridge": -1.0}, {"by": "x"}, {"anticipation": 0.5}):
        with pytest.raises(EstimationError):
            dk.SyntheticControl(**options)
    for options in ({"penalty": 0.0}, {"rule": "best"}, {"intercept": "no"}, {"anticipation": -1}):
        with pytest.raises(EstimationError):
            dk.AugmentedSyntheticControl(**options)


def test_pilots_that_left_are_refused():
    y = noise(20, 10, 13)
    ids = codes(20)
    rollout = dk.Rollout({ids[4]: 2015}, stops={ids[4]: 2018})
    panel = design_of(y, ONE).panel
    design = dk.Design(
        panel, rollout, against=dk.Pool(), selection="unknown", treatment="as_treated"
    )
    with pytest.raises(EstimationError, match="after they left"):
        dk.SyntheticControl().fit(design, "m")
    stays = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    assert np.isfinite(dk.SyntheticControl().fit(stays, "m").values).all()
