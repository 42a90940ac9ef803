"""The 2×2 kernels: R's DRDID, statsmodels' logit, the jackknife, and what must not matter."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from didkit.errors import EstimationError
from didkit.estimate.propensity import TRIM
from didkit.estimate.two_by_two import panel
from didkit.estimate.two_by_two_rows import rows
from didkit.linear.logit import logit, tilt

PANEL = {
    "drdid_imp_panel": "dr_improved",
    "drdid_panel": "dr",
    "std_ipw_did_panel": "ipw",
    "ipw_did_panel": "ipw_unnormalised",
    "reg_did_panel": "regression",
}
ROWS = {
    "drdid_imp_rc": "dr_improved",
    "drdid_imp_rc1": "dr_improved_comparators",
    "drdid_rc": "dr",
    "drdid_rc1": "dr_comparators",
    "std_ipw_did_rc": "ipw",
    "ipw_did_rc": "ipw_unnormalised",
    "reg_did_rc": "regression",
    "twfe_did_rc": "two_way",
}
COVARIATES = {
    "sim_rc": ["x1", "x2", "x3", "x4"],
    "nsw_cps": ["age", "educ", "black", "married", "nodegree", "hisp", "re74"],
    "nsw_exper": ["age", "educ", "black", "married", "nodegree", "hisp"],
    "nsw_exper_rc": ["age", "educ", "black", "married", "nodegree", "hisp"],
}
NSW = ["nsw_cps", "nsw_cps_nocov", "nsw_exper"]
CASES = [
    *(f"{data}__{function}" for data in NSW for function in [*PANEL, "twfe_did_panel"]),
    *(f"{d}__{f}" for d in ["sim_rc", "sim_rc_nocov", "nsw_exper_rc"] for f in ROWS),
]


def dataset(folder: Path, name: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Give the rows, who is treated, and the covariates with a constant."""
    base = name.removesuffix("_nocov")
    file = {"nsw_exper_rc": "nsw", "nsw_exper": "nsw"}.get(base, base)
    frame = pd.read_csv(folder / "data" / f"{file}.csv")
    if file == "nsw":
        frame = frame[frame["treated"].notna()]
    column = {"sim_rc": "d", "nsw_cps": "experimental", "nsw": "treated"}[file]
    names = [] if name.endswith("_nocov") else COVARIATES[base]
    x = np.column_stack([np.ones(len(frame)), *(frame[c].to_numpy(float) for c in names)])
    return frame, frame[column].to_numpy() == 1, x


@functools.cache
def reference(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "DRDID.csv").set_index("case")


def test_every_case_of_the_package_is_here(shared_reference):
    assert set(reference(shared_reference).index) == set(CASES)
    assert len(CASES) == 42


@pytest.mark.parametrize("case", CASES)
def test_the_package(case, shared_reference):
    """R's DRDID 1.2.3, the function that the case names: estimate and standard error.

    `twfe_did_rc` alone divides the variance of the influence by n − 1, not n; with covariates
    `twfe_did_panel` stacks the two periods and takes their rows for independent, without it takes
    the units.
    """
    known = reference(shared_reference).loc[case]
    data, function = case.split("__")
    frame, treated, x = dataset(shared_reference, data)
    factor = 1.0
    if function in PANEL or (function == "twfe_did_panel" and x.shape[1] == 1):
        change = (frame["re78"] - frame["re75"]).to_numpy(float)
        made = panel(change, treated, x, None, PANEL.get(function, "regression"))
    else:
        if data == "sim_rc" or data == "sim_rc_nocov":
            y, post = frame["y"].to_numpy(float), frame["post"].to_numpy() == 1
        else:
            y = np.concatenate([frame["re75"], frame["re78"]]).astype(float)
            post = np.repeat([False, True], len(frame))
            treated, x = np.concatenate([treated] * 2), np.concatenate([x] * 2)
        method = ROWS.get(function, "two_way")
        if method == "two_way":
            factor = np.sqrt(len(y) / (len(y) - 1))
        made = rows(y, post, treated, x, None, method, drdid=True)
    assert made.values[0] == pytest.approx(known["estimate"], rel=1e-8)
    error = factor * np.sqrt((made.influence**2).sum())
    assert error == pytest.approx(known["std_error"], rel=1e-7)


# -- simulated -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Units with a change, and the same as rows seen once."""

    x: np.ndarray
    treated: np.ndarray
    change: np.ndarray
    w: np.ndarray
    post: np.ndarray
    y: np.ndarray


def draw(n: int, seed: int, *, effect: float = 3.0, noise: float = 1.0) -> Drawn:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(2, 3, n), rng.random(n) < 0.4])
    index = -0.9 + 0.2 * x[:, 1] + 0.5 * x[:, 2]
    treated = rng.random(n) < 1 / (1 + np.exp(-index))
    change = 2 + 0.7 * x[:, 1] - x[:, 2] + effect * treated + noise * rng.normal(size=n)
    post = rng.random(n) < 0.45
    level = 5 + x[:, 1] + 2 * treated
    y = level + post * (change - noise * rng.normal(size=n))
    return Drawn(x, treated, change, rng.uniform(0.5, 2, n), post, y)


PANEL_METHODS = sorted(PANEL.values())
ROW_METHODS = sorted(ROWS.values())
IMPROVED = ["dr_improved", "dr_improved_comparators"]


@pytest.mark.parametrize("method", ["dr", "dr_improved", "regression"])
def test_without_noise_the_effect_is_exact(method):
    d = draw(120, 0, noise=0.0)
    assert panel(d.change, d.treated, d.x, d.w, method).values[0] == pytest.approx(3, abs=1e-10)
    if method != "regression":  # in rows it takes the pilots' plain means
        made = rows(d.y, d.post, d.treated, d.x, d.w, method)
        assert made.values[0] == pytest.approx(3, abs=1e-10)


@pytest.mark.parametrize("method", PANEL_METHODS)
def test_weights_give_the_values_of_a_panel(method):
    d = draw(90, 1)
    both = np.column_stack([d.change, d.x[:, 1] ** 2])
    made = panel(both, d.treated, d.x, d.w, method)
    assert made.weights @ both == pytest.approx(made.values, rel=1e-10)
    alone = [panel(y, d.treated, d.x, d.w, method) for y in both.T]
    assert made.values == pytest.approx([one.values[0] for one in alone], rel=1e-12)
    for m, one in enumerate(alone):
        np.testing.assert_allclose(made.influence[:, m], one.influence[:, 0], atol=1e-14)


@pytest.mark.parametrize("method", ROW_METHODS)
def test_weights_give_the_values_of_rows(method):
    d = draw(150, 2)
    both = np.column_stack([d.y, d.x[:, 1] ** 2])
    made = rows(both, d.post, d.treated, d.x, d.w, method)
    assert made.weights @ both == pytest.approx(made.values, rel=1e-10)
    for m, y in enumerate(both.T):
        one = rows(y, d.post, d.treated, d.x, d.w, method)
        assert made.values[m] == pytest.approx(one.values[0], rel=1e-12)
        np.testing.assert_allclose(made.influence[:, m], one.influence[:, 0], atol=1e-13)


def slopes(kernel, w: np.ndarray) -> np.ndarray:
    """Give each row's weight times the slope of the value in it: the infinitesimal jackknife."""
    made = []
    for i in range(len(w)):
        high, low = w.copy(), w.copy()
        high[i] *= 1 + 1e-4
        low[i] *= 1 - 1e-4
        made.append((kernel(high) - kernel(low)) / 2e-4)
    return np.array(made)


@pytest.mark.parametrize("method", PANEL_METHODS)
def test_influence_is_the_infinitesimal_jackknife_of_a_panel(method):
    d = draw(45, 3)
    made = panel(d.change, d.treated, d.x, d.w, method)
    known = slopes(lambda w: panel(d.change, d.treated, d.x, w, method).values[0], d.w)
    np.testing.assert_allclose(made.influence[:, 0], known, atol=1e-7 * np.abs(known).max())
    assert abs(made.influence.sum()) < 1e-10


@pytest.mark.parametrize("method", sorted(set(ROW_METHODS) - set(IMPROVED)))
def test_influence_is_the_infinitesimal_jackknife_of_rows(method):
    d = draw(70, 4)
    made = rows(d.y, d.post, d.treated, d.x, d.w, method)
    known = slopes(lambda w: rows(d.y, d.post, d.treated, d.x, w, method).values[0], d.w)
    np.testing.assert_allclose(made.influence[:, 0], known, atol=1e-7 * np.abs(known).max())
    assert abs(made.influence.sum()) < 1e-10


@pytest.mark.parametrize("method", IMPROVED)
def test_improved_influence_of_rows_leaves_out_what_does_not_matter_in_large_samples(method):
    d = draw(6000, 4)
    made = rows(d.y, d.post, d.treated, d.x, d.w, method)
    full = rows(d.y, d.post, d.treated, d.x, d.w, method.replace("_improved", ""))
    error, known = (np.sqrt((one.influence**2).sum()) for one in (made, full))
    assert error == pytest.approx(known, rel=0.02)
    assert abs(made.influence.sum()) < 1e-10


@pytest.mark.parametrize("method", ["dr", "dr_comparators"])
def test_the_sign_that_differs_from_the_package(method):
    """DRDID 1.2.3 adds a term of the comparators' model before the start that is subtracted."""
    d = draw(70, 5)
    d = dataclasses.replace(d, y=d.y + d.x[:, 1] ** 2)  # the linear model leaves something
    made = rows(d.y, d.post, d.treated, d.x, d.w, method)
    theirs = rows(d.y, d.post, d.treated, d.x, d.w, method, drdid=True)
    known = slopes(lambda w: rows(d.y, d.post, d.treated, d.x, w, method).values[0], d.w)
    assert theirs.values == pytest.approx(made.values, rel=1e-14)
    off = np.abs(theirs.influence[:, 0] - known)
    before = ~d.treated & ~d.post
    assert off[before].max() > 1e-3 * np.abs(known).max()
    assert off[~before].max() < 1e-7 * np.abs(known).max()


@pytest.mark.parametrize("method", PANEL_METHODS)
def test_without_covariates_a_panel_is_a_difference_of_means(method):
    d = draw(60, 7)
    made = panel(d.change, d.treated, d.x[:, :1], None, method)
    one, zero = d.change[d.treated], d.change[~d.treated]
    assert made.values[0] == pytest.approx(one.mean() - zero.mean(), rel=1e-12)
    variance = one.var() / len(one) + zero.var() / len(zero)
    assert (made.influence**2).sum() == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize("method", sorted(set(ROW_METHODS) - {"ipw_unnormalised"}))
def test_without_covariates_rows_are_a_difference_of_four_means(method):
    d = draw(90, 8)
    made = rows(d.y, d.post, d.treated, d.x[:, :1], None, method)
    cells = {(a, t): d.y[(d.treated == a) & (d.post == t)] for a in (0, 1) for t in (0, 1)}
    mean = {key: values.mean() for key, values in cells.items()}
    known = mean[1, 1] - mean[1, 0] - mean[0, 1] + mean[0, 0]
    assert made.values[0] == pytest.approx(known, rel=1e-10)
    variance = sum(values.var() / len(values) for values in cells.values())
    assert (made.influence**2).sum() == pytest.approx(variance, rel=1e-10)


@pytest.mark.parametrize("method", PANEL_METHODS)
def test_a_whole_weight_is_a_row_more_than_once(method):
    d = draw(80, 9)
    times = np.random.default_rng(1).integers(1, 4, 80)
    again = np.repeat(np.arange(80), times)
    one = panel(d.change, d.treated, d.x, times.astype(float), method)
    many = panel(d.change[again], d.treated[again], d.x[again], None, method)
    assert one.values == pytest.approx(many.values, rel=1e-9)
    summed = np.bincount(again, many.influence[:, 0])
    np.testing.assert_allclose(one.influence[:, 0], summed, atol=1e-10)


@pytest.mark.parametrize("method", ROW_METHODS)
def test_a_whole_weight_is_a_row_more_than_once_in_rows(method):
    d = draw(120, 10)
    times = np.random.default_rng(2).integers(1, 4, 120)
    again = np.repeat(np.arange(120), times)
    one = rows(d.y, d.post, d.treated, d.x, times.astype(float), method)
    many = rows(d.y[again], d.post[again], d.treated[again], d.x[again], None, method)
    assert one.values == pytest.approx(many.values, rel=1e-9)
    summed = np.bincount(again, many.influence[:, 0])
    np.testing.assert_allclose(one.influence[:, 0], summed, atol=1e-9)


@pytest.mark.parametrize("method", PANEL_METHODS)
def test_what_must_not_matter(method):
    d = draw(100, 11)
    known = panel(d.change, d.treated, d.x, d.w, method)
    order = np.random.default_rng(3).permutation(100)
    shuffled = panel(d.change[order], d.treated[order], d.x[order], d.w[order], method)
    assert shuffled.values == pytest.approx(known.values, rel=1e-10)
    np.testing.assert_allclose(shuffled.influence, known.influence[order], atol=1e-10)
    scaled = panel(7 * d.change, d.treated, d.x * [1, 1e6, 0.01] + [0, 1e7, 3], 9 * d.w, method)
    assert scaled.values == pytest.approx(7 * known.values, rel=1e-8)
    np.testing.assert_allclose(scaled.influence, 7 * known.influence, atol=1e-8)
    if method != "ipw_unnormalised":
        shifted = panel(d.change + 1000, d.treated, d.x, d.w, method)
        assert shifted.values == pytest.approx(known.values, rel=1e-9)


def test_tilting_balances_and_then_one_model_is_enough():
    """With exact balance the outcome model changes nothing: Sant'Anna & Zhao (2020), 3.1."""
    d = draw(120, 12)
    made = panel(d.change, d.treated, d.x, d.w, "dr_improved")
    assert made.facts["n_trimmed"] == 0
    assert made.weights @ d.x == pytest.approx(np.zeros(3), abs=1e-10)
    assert made.weights[d.treated].sum() == pytest.approx(1)
    assert (made.weights[~d.treated] < 0).all()


def test_comparators_that_are_almost_surely_pilots_have_no_weight():
    d = draw(400, 13)
    x = d.x.copy()
    x[:, 1] = 6 * d.treated + np.random.default_rng(4).normal(size=400)
    x[np.flatnonzero(~d.treated)[:3], 1] = 9.0
    for method in ("dr", "ipw"):
        made = panel(d.change, d.treated, x, None, method)
        p = logit(x, d.treated, np.ones(400)).probability
        out = ~d.treated & (p >= TRIM)
        assert made.facts["n_trimmed"] == out.sum() >= 1
        assert made.facts["largest_propensity"] == pytest.approx(p[~d.treated].max())
        if method == "ipw":
            assert (made.weights[out] == 0).all()


def test_the_number_of_comparators_that_count():
    d = draw(100, 14)
    made = panel(d.change, d.treated, d.x, None, "ipw")
    own = made.weights[~d.treated]
    known = own.sum() ** 2 / (own**2).sum()
    assert made.facts["effective_comparators"] == pytest.approx(known)
    assert made.facts["n_treated"] + made.facts["n_comparators"] == 100


# -- one of two models wrong ---------------------------------------------------------------------


def biases(n: int, seeds: int, *, outcome: bool, propensity: bool) -> dict[str, float]:
    """Give the mean error where a model lacks a square; None of the two: both lack it."""
    errors: dict[str, list[float]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(1000 + seed)
        z = rng.normal(size=n)
        square = z**2 - 1
        index = -1 + 0.4 * z + (0.0 if propensity else 0.6) * square
        treated = rng.random(n) < 1 / (1 + np.exp(-index))
        change = z + (0.0 if outcome else 2.0) * square + rng.normal(size=n)
        x = np.column_stack([np.ones(n), z])
        for method in ("dr", "dr_improved", "regression", "ipw"):
            errors.setdefault(method, []).append(panel(change, treated, x, None, method).values[0])
    return {method: float(np.mean(values)) for method, values in errors.items()}


def check_double_robustness(n: int, seeds: int, allowed: float) -> None:
    right_outcome = biases(n, seeds, outcome=True, propensity=False)
    right_logit = biases(n, seeds, outcome=False, propensity=True)
    for method in ("dr", "dr_improved"):
        assert abs(right_outcome[method]) < allowed
        assert abs(right_logit[method]) < allowed
    assert abs(right_outcome["ipw"]) > 2 * allowed
    assert abs(right_logit["regression"]) > 2 * allowed
    both_wrong = biases(n, seeds, outcome=False, propensity=False)
    assert all(abs(error) > 2 * allowed for error in both_wrong.values())


def test_double_robustness():
    check_double_robustness(2000, 12, 0.05)


@pytest.mark.slow
def test_double_robustness_in_full():
    check_double_robustness(4000, 200, 0.02)


# -- logit and tilting ---------------------------------------------------------------------------


def test_the_logit_is_that_of_statsmodels():
    glm = pytest.importorskip("statsmodels.genmod.generalized_linear_model")
    d = draw(300, 15)
    known = glm.GLM(
        d.treated.astype(float), d.x, family=glm.families.Binomial(), freq_weights=d.w
    ).fit(tol=1e-14)
    made = logit(d.x, d.treated, d.w)
    assert made.converged
    assert made.coefficients == pytest.approx(known.params, rel=1e-8)
    np.testing.assert_allclose(made.inverse, known.cov_params(), rtol=1e-6)
    np.testing.assert_allclose(made.probability, known.fittedvalues, rtol=1e-8)
    np.testing.assert_allclose(made.odds, made.probability / (1 - made.probability), rtol=1e-10)


def test_a_rare_and_strongly_explained_group_converges():
    rng = np.random.default_rng(16)
    z = rng.normal(size=20_000)
    d = rng.random(20_000) < 1 / (1 + np.exp(9 - 4 * z))
    x = np.column_stack([np.ones(20_000), z])
    made = logit(x, d, np.ones(20_000))
    assert made.converged
    assert made.iterations < 15
    assert x.T @ (d - made.probability) == pytest.approx([0, 0], abs=1e-8)


def test_tilting_gives_the_means_of_the_pilots():
    d = draw(300, 17)
    made = tilt(d.x, d.treated, d.w, logit(d.x, d.treated, d.w).coefficients)
    weight = d.w * ~d.treated * made.odds
    assert made.converged
    assert weight @ d.x == pytest.approx((d.w * d.treated) @ d.x, rel=1e-12)
    far = tilt(d.x, d.treated, d.w, np.array([9.0, -4.0, 5.0]))  # a bad place to start
    assert far.coefficients == pytest.approx(made.coefficients, rel=1e-8)


# -- refused -------------------------------------------------------------------------------------


def refused(call, *texts: str) -> None:
    with pytest.raises(EstimationError) as caught:
        call()
    for text in texts:
        assert text in str(caught.value)


@pytest.mark.parametrize("kernel", ["panel", "rows"])
def test_what_is_refused(kernel):
    d = draw(200, 18)

    def fit(x=d.x, treated=d.treated, method="dr", names=("age", "share")):
        if kernel == "panel":
            return panel(d.change, treated, x, None, method, names=names, where="here")
        return rows(d.y, d.post, treated, x, None, method, names=names, where="here")

    refused(lambda: fit(method="best"), "'best'", "'dr_improved'")
    twice = np.column_stack([d.x, 2 * d.x[:, 1] - d.x[:, 2]])
    names = ("age", "share", "score")
    refused(lambda: fit(twice, names=names), "'score'", "age, share", "here")
    flat = np.column_stack([d.x, np.full(200, 3.0)])
    refused(lambda: fit(flat, names=names), "one value for all: 1 (score)")
    apart = d.x.copy()
    apart[:, 1] = np.where(d.treated, 5.0, 1.0) + apart[:, 1] / 100
    for method in ("dr", "dr_improved", "ipw"):
        refused(lambda m=method: fit(apart, method=m), "1 (age) tells pilots from comparators")
    few = np.zeros(200, dtype=bool)
    few[[np.flatnonzero(d.post)[0], np.flatnonzero(~d.post)[0]]] = True
    refused(lambda: fit(treated=few), "at least 3 pilots", "2 covariates")
    refused(lambda: fit(treated=~few), "at least 3 comparators")


def test_pilots_outside_the_hull_cannot_be_balanced():
    """The logit has a solution, but no weights on comparators reach the pilots' mean."""
    x = np.array([0.0, 1, 2, 3, 4, 2.5, 9, 9, 9])
    treated = np.array([False] * 5 + [True] * 4)
    X = np.column_stack([np.ones(9), x])
    change = x + treated
    assert panel(change, treated, X, None, "dr").values[0] == pytest.approx(1)
    refused(
        lambda: panel(change, treated, X, None, "dr_improved", names=["x"]),
        "the pilots' means",
        "method='dr'",
    )


def test_two_way_needs_levels():
    d = draw(50, 19)
    refused(lambda: panel(d.change, d.treated, d.x, None, "two_way"), "needs levels")


def test_regression_asks_nothing_of_the_pilots():
    d = draw(80, 20, noise=0.0)
    one = np.zeros(80, dtype=bool)
    one[5] = True
    kept = ~d.treated | one
    change = d.change + 3.0 * (one & ~d.treated)
    made = panel(change[kept], one[kept], d.x[kept], None, "regression")
    assert made.values[0] == pytest.approx(3, abs=1e-10)
