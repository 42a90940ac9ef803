"""Extended two-way: etwfe's numbers, identities with simpler estimators, partial effects."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from helpers import FIRST, design_of, noise, with_gaps

from didkit.design import Design, MatchedSets, NotYetTreated
from didkit.errors import DesignError, EstimationError
from didkit.estimate import ExtendedTwoWay, Imputation, SunAbraham
from didkit.inference import ClusterRobust
from didkit.linear import cr0, cr1

N, T = 24, 7
STARTS = {1: 3, 4: 3, 8: 3, 11: 4, 15: 4, 20: 5}
NEVER = [j for j in range(N) if j not in STARTS]
SIMPLE_OPTIONS = {"unit": "unit", "period": "time", "start": "start", "selection": "unknown"}


def effects_of(starts: dict[int, int]) -> np.ndarray:
    made = np.zeros((N, T))
    for j, s in starts.items():
        made[j, s:] = 2 * s + 3 * np.arange(T - s) + 1
    return made


def long_of(y: np.ndarray, **columns: np.ndarray) -> pd.DataFrame:
    """One row a unit and period, 2000 being the first; further columns (N, T)."""
    rows = [
        (j, 2000 + t, STARTS[j] + 2000 if j in STARTS else 0, y[j, t])
        for j in range(N)
        for t in range(T)
    ]
    made = pd.DataFrame(rows, columns=["unit", "time", "start", "y"])
    return made.assign(**{name: values.ravel() for name, values in columns.items()}).dropna()


# -- another program: R's etwfe ----------------------------------------------------------------

FITS = {
    # the call in R is etwfe(fml = <outcome> ~ <covariates or 1>, tvar, gvar, data, vcov = ~unit,
    # <the rest>), then emfx(type =): column `call` of the reference file
    "mpdta": ("lemp", {}),
    "mpdta_lpop": ("lemp", {"covariates": ("lpop",)}),
    "mpdta_never_nox": ("lemp", {"comparison": "never"}),
    "mpdta_ivar": ("lemp", {"effects": "unit"}),
    "mpdta_ivar_lpop": ("lemp", {"effects": "unit", "covariates": ("lpop",)}),
    "mpdta_pois": ("emp", {"family": "poisson", "covariates": ("lpop",)}),
    "stagg": ("y", {}),
}
TYPES = {"simple": "simple", "group": "group", "calendar": "calendar", "event": "dynamic"}


@pytest.fixture(scope="module")
def designs(shared_reference) -> dict[str, Design]:
    counties = pd.read_csv(shared_reference / "data" / "mpdta.csv")
    simulated = pd.read_csv(shared_reference / "data" / "base_stagg.csv")
    return {
        "mpdta": Design.from_frame(
            counties.assign(emp=np.exp(counties["lemp"])).sample(frac=1, random_state=0),
            unit="countyreal",
            period="year",
            start="first.treat",
            metrics=["lemp", "lpop", "emp"],
            selection="unknown",
        ),
        "stagg": Design.from_frame(
            simulated,
            unit="id",
            period="year",
            start="year_treated",
            metrics=["y"],
            never=[10000],
            selection="unknown",
        ),
    }


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("fit", FITS)
def test_etwfe(shared_reference, designs, fit, kind):
    """emfx(etwfe(...), type): estimates, and standard errors with fixest's factor.

    The package's errors are numerical derivatives, good to 2e-6 here (Poisson: 4e-6); its own
    coefficients, below, have exact ones. A reference period has no error there.
    """
    case = f"etwfe_{fit}__{kind}"  # noqa: F841
    rows = pd.read_csv(shared_reference / "etwfe.csv").query("case == @case")
    rows = rows[rows["std_error"].notna()]
    outcome, options = FITS[fit]
    made = ExtendedTwoWay(by=TYPES[kind], **options).fit(designs[fit.split("_")[0]], outcome)
    if made.normal is not None:
        errors = np.sqrt(np.diag(cr1(made.normal, made.contrast, factor="nested")))
    else:
        n, k, g = made.facts["observations"], made.facts["parameters"], len(made.sample.units)
        errors = np.sqrt((made.influence**2).sum(axis=0) * g / (g - 1) * (n - 1) / (n - k))
    column = {"group": "group", "calendar": "period", "event": "event_time"}
    names = [
        "simple" if kind == "simple" else f"{kind}={value}"
        for value in (made.terms[column[kind]] if kind != "simple" else [""])
    ]
    assert names == rows["term"].tolist()
    exact = "pois" not in fit
    np.testing.assert_allclose(made.values, rows["estimate"], rtol=1e-9 if exact else 1e-7)
    np.testing.assert_allclose(errors, rows["std_error"], rtol=2e-6 if exact else 4e-6)


def test_coefficients_of_etwfe(shared_reference, designs):
    """coeftable(etwfe(lemp ~ lpop, ...)): all 22, and their standard errors."""
    rows = pd.read_csv(shared_reference / "etwfe.csv").query("case == 'etwfe_mpdta_lpop_coefs'")
    normal = ExtendedTwoWay(covariates=("lpop",)).fit(designs["mpdta"], "lemp").normal
    errors = np.sqrt(np.diag(cr1(normal, np.eye(normal.n_params), factor="nested")))
    assert len(rows) == 22
    for row in rows.itertuples():
        name = row.term.replace(".Dtreat:", "").replace("_dm", "")
        name = name.replace("first.treat::", "start ").replace("year::", "period ")
        name = re.sub(r"(start \d+):(period)", r"\1, \2", name).replace(":lpop", " × lpop")
        at = normal.names.index(name)
        assert normal.beta[at] == pytest.approx(row.estimate, rel=1e-9)
        assert errors[at] == pytest.approx(row.std_error, rel=1e-9)


# -- known answers and identities --------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"comparison": "never"}, {"effects": "unit"}])
def test_without_noise_each_effect_is_exact(options):
    tau = effects_of(STARTS)
    y = noise(N, T, 1, scale=0.0) + tau
    y[NEVER[0], 2] = np.nan
    made = ExtendedTwoWay(by="none", **{**options, "effects": "unit"}).fit(
        design_of(y, STARTS), "m"
    )
    pilot = {s: j for j, s in STARTS.items()}
    for row, value in zip(made.terms.itertuples(), made.values, strict=True):
        s, t = int(row.group) - FIRST, int(row.period) - FIRST
        assert value == pytest.approx(tau[pilot[s], t], abs=1e-9)
    assert len(made.terms) == (18 if options.get("comparison") == "never" else 4 + 3 + 2)


def imputed(y: np.ndarray) -> np.ndarray:
    """Outcome less what two-way effects of the untreated cells say, (N, T)."""
    free = np.ones((N, T), dtype=bool)
    for j, s in STARTS.items():
        free[j, s:] = False
    free &= np.isfinite(y)
    unit = np.repeat(np.eye(N), T, axis=0)
    period = np.tile(np.eye(T)[:, 1:], (N, 1))
    X = np.hstack([unit, period])
    beta = np.linalg.lstsq(X[free.ravel()], y[free], rcond=None)[0]
    return y - (X @ beta).reshape(N, T)


@pytest.mark.parametrize("effects", ["cohort", "unit"])
def test_against_not_yet_treated_it_is_the_imputation_estimate(effects):
    y = noise(N, T, 2) + effects_of(STARTS)
    made = ExtendedTwoWay(by="none", effects=effects).fit(design_of(y, STARTS), "m")
    left = imputed(y)
    for row, value in zip(made.terms.itertuples(), made.values, strict=True):
        s, t = int(row.group) - FIRST, int(row.period) - FIRST
        own = [j for j in STARTS if STARTS[j] == s]
        assert value == pytest.approx(left[own, t].mean(), abs=1e-9)


def test_against_never_treated_it_is_sun_abraham():
    y = noise(N, T, 3) + effects_of(STARTS)
    design = design_of(y, STARTS)
    one = ExtendedTwoWay(by="dynamic", comparison="never").fit(design, "m")
    two = SunAbraham(by="dynamic").fit(design, "m")
    np.testing.assert_allclose(one.values, two.values, atol=1e-9)
    np.testing.assert_allclose(one.influence, two.influence, atol=1e-9)
    pd.testing.assert_frame_equal(one.reference, two.reference)


def test_effects_of_starts_and_of_units_differ_with_gaps_only():
    y = noise(N, T, 4) + effects_of(STARTS)
    fits = {
        (effects, gaps): ExtendedTwoWay(effects=effects)
        .fit(design_of(with_gaps(y, 4) if gaps else y, STARTS), "m")
        .values[0]
        for effects in ("cohort", "unit")
        for gaps in (False, True)
    }
    assert fits["cohort", False] == pytest.approx(fits["unit", False], abs=1e-9)
    assert abs(fits["cohort", True] - fits["unit", True]) > 1e-3


def test_by_default_units_have_effects_where_they_come_and_go():
    """Without noise the truth comes back, whoever is missing; with effects of starts it does not.

    Kept in refits: the estimate's estimator says "unit". Where most units have one value (or none
    has gaps) it is effects of starts, as R's etwfe without ivar.
    """
    level = 300 + 40 * np.random.default_rng(1).normal(size=(N, 1))
    y = level + np.arange(T) + effects_of(STARTS)
    gone = with_gaps(y, 4)
    truth = Imputation().fit(design_of(gone, STARTS), "m").values
    made = ExtendedTwoWay().fit(design_of(gone, STARTS), "m")
    np.testing.assert_allclose(made.values, truth, rtol=1e-10)
    assert made.estimator == ExtendedTwoWay(effects="unit")
    assert any("effects='unit', as" in note and "ivar" in note for note in made.notes)
    starts_only = ExtendedTwoWay(effects="cohort").fit(design_of(gone, STARTS), "m")
    assert abs(starts_only.values[0] - truth[0]) > 0.1
    assert any("lasting differences in level" in note for note in starts_only.notes)
    whole = ExtendedTwoWay().fit(design_of(y, STARTS), "m")
    assert whole.estimator == ExtendedTwoWay()
    assert not any("effects='" in note for note in whole.notes)


def test_with_gaps_covariates_and_weights_it_is_the_regression_written_out():
    """statsmodels' WLS with every dummy; effects at the mean covariates of those treated."""
    rng = np.random.default_rng(5)
    y = with_gaps(noise(N, T, 5), 5, whole=list(STARTS))
    frame = long_of(y, x=3 + rng.normal(size=(N, T)), w=rng.uniform(1, 3, (N, T)))
    design = Design.from_frame(frame, metrics=["y", "x", "w"], **SIMPLE_OPTIONS)
    options = {"effects": "cohort", "covariates": ("x",), "sampling": "w"}
    made = ExtendedTwoWay(by="dynamic", **options).fit(design, "y")
    centre = {g: np.average(part["x"], weights=part["w"]) for g, part in frame.groupby("start")}
    dm = frame["x"] - frame["start"].map(centre)
    columns = {"one": dm * 0 + 1, "x": frame["x"]}
    starts = [2003, 2004, 2005]
    for g in starts:
        columns |= {f"g{g}": (frame.start == g) * 1.0, f"g{g}x": (frame.start == g) * frame["x"]}
    for t in range(2001, 2000 + T):
        columns |= {f"t{t}": (frame.time == t) * 1.0, f"t{t}x": (frame.time == t) * frame["x"]}
    lead: dict[int, dict[str, float]] = {}
    for g in starts:
        for t in range(g, 2000 + T):
            inside = (frame.start == g) & (frame.time == t)
            # single pilots: one observation cannot carry a slope as well
            columns[f"{g},{t}"] = inside * 1.0
            weight = frame["w"][inside].sum()
            into = lead.setdefault(t - g, {})
            into[f"{g},{t}"] = weight
            if inside.sum() > 1:
                columns[f"{g},{t}x"] = inside * dm
                into[f"{g},{t}x"] = (frame["w"] * dm)[inside].sum()
    X = pd.DataFrame(columns)
    fit = sm.WLS(frame["y"], X, weights=frame["w"]).fit(
        cov_type="cluster", cov_kwds={"groups": frame["unit"], "use_correction": False}
    )
    R = pd.DataFrame(lead).T.reindex(columns=X.columns).fillna(0.0)
    total = R[[c for c in R if "," in c and not c.endswith("x")]].sum(axis=1)
    R = R.div(total, axis=0).to_numpy()
    np.testing.assert_allclose(made.values, R @ fit.params, rtol=1e-7)
    variance = np.diag(R @ fit.cov_params() @ R.T)
    np.testing.assert_allclose(np.diag(cr0(made.normal, made.contrast)), variance, rtol=1e-6)
    np.testing.assert_allclose((made.influence**2).sum(axis=0), variance, rtol=1e-6)
    assert any("columns of x left out" in note for note in made.notes)
    np.testing.assert_allclose(
        np.einsum("kjt,jt->k", made.weights, np.nan_to_num(made.sample.y)), made.values, rtol=1e-8
    )


def test_anticipation_has_effects_of_its_own():
    y = noise(N, T, 6)
    made = ExtendedTwoWay(by="dynamic", anticipation=1).fit(design_of(y, STARTS), "m")
    assert made.terms["phase"].tolist()[:2] == ["anticipation", "after"]
    earlier = {j: s - 1 for j, s in STARTS.items()}
    again = ExtendedTwoWay(by="dynamic").fit(design_of(y, earlier), "m")
    np.testing.assert_allclose(made.values, again.values, atol=1e-9)


def test_without_never_treated_periods_with_nobody_left_go():
    y = noise(N, T, 7)
    starts = {j: (3, 4, 6)[j % 3] for j in range(N)}
    design = design_of(y, starts, against=NotYetTreated())
    made = ExtendedTwoWay(by="none").fit(design, "m")
    assert set(made.terms["group"]) == {str(FIRST + 3), str(FIRST + 4)}
    assert made.terms["period"].max() == str(FIRST + 5)
    assert (made.terms["n_comparators"] >= 8).all()
    assert any("left out" in note and str(FIRST + 6) in note for note in made.notes)
    with pytest.raises(EstimationError, match="never start"):
        ExtendedTwoWay(comparison="never").fit(design, "m")
    # imputed by least squares on what is untreated, in the periods that are left
    free = np.arange(6) < np.array([starts[j] for j in range(N)])[:, None]
    X = np.hstack([np.repeat(np.eye(N), 6, axis=0), np.tile(np.eye(6)[:, 1:], (N, 1))])
    short = y[:, :6]
    beta = np.linalg.lstsq(X[free.ravel()], short[free], rcond=None)[0]
    left = short - (X @ beta).reshape(N, 6)
    for row, value in zip(made.terms.itertuples(), made.values, strict=True):
        own = [j for j in starts if starts[j] == int(row.group) - FIRST]
        assert value == pytest.approx(left[own, int(row.period) - FIRST].mean(), abs=1e-9)


def test_one_start_for_all_is_refused_where_the_others_have_no_value():
    y = noise(N, T, 7)
    starts = {j: (3, 4)[j % 2] for j in range(N)}
    y[1::2] = np.where(np.arange(T) < 4, np.nan, y[1::2])
    with pytest.raises((EstimationError, DesignError), match=r"compar|not started"):
        ExtendedTwoWay().fit(design_of(y, starts, against=NotYetTreated()), "m")


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("options", [{}, {"covariates": ("x",)}, {"effects": "unit"}])
def test_a_draw_is_the_fit_with_other_pilots(options, gaps):
    rng = np.random.default_rng(8)
    y = noise(N, T, 8) + effects_of(STARTS)
    if gaps:
        y = with_gaps(y, 8, whole=list(STARTS))
    x = rng.normal(size=(N, T))
    frame = long_of(y, x=x)
    made = ExtendedTwoWay(by="dynamic", **options).fit(
        Design.from_frame(frame, metrics=["y", "x"], **SIMPLE_OPTIONS), "y"
    )
    cohort = made.sample.cohort
    order = np.arange(len(cohort))
    order[made.sample.pilot] = rng.permutation(np.flatnonzero(made.sample.pilot))
    labels = np.stack([cohort, cohort[order]])
    drawn = made.reassigned(labels)
    np.testing.assert_allclose(drawn.b[0], made.values, rtol=1e-7)
    np.testing.assert_allclose(drawn.a[0], 1, atol=1e-8)
    np.testing.assert_allclose(drawn.v0[0], (made.influence**2).sum(axis=0), rtol=1e-6)
    np.testing.assert_allclose([drawn.v1[0], drawn.v2[0]], 0, atol=1e-7)
    starts = [2000 + made.sample.starts[g] if g >= 0 else 0 for g in labels[1]]
    new = frame["unit"].astype(str).map(dict(zip(made.sample.units, starts, strict=True)))
    again = ExtendedTwoWay(by="dynamic", **options).fit(
        Design.from_frame(frame.assign(start=new), metrics=["y", "x"], **SIMPLE_OPTIONS), "y"
    )
    np.testing.assert_allclose(drawn.b[1], again.values, rtol=1e-7)
    np.testing.assert_allclose(drawn.v0[1], (again.influence**2).sum(axis=0), rtol=1e-6)


def test_unit_and_period_effects_change_nothing():
    y = noise(N, T, 9) + effects_of(STARTS)
    rng = np.random.default_rng(9)
    moved = y + 100 * rng.normal(size=(N, 1)) + 100 * rng.normal(size=(1, T))
    plain = ExtendedTwoWay(by="dynamic").fit(design_of(y, STARTS), "m")
    again = ExtendedTwoWay(by="dynamic").fit(design_of(moved, STARTS), "m")
    np.testing.assert_allclose(again.values, plain.values, atol=1e-9)
    np.testing.assert_allclose(again.influence, plain.influence, atol=1e-9)
    sure = plain.infer(ClusterRobust("CR0")).attached.std_error
    shared = (plain.terms["n_pilots"] > 1).to_numpy()
    squares = (plain.influence**2).sum(axis=0)
    np.testing.assert_allclose(sure[shared], np.sqrt(squares)[shared], rtol=1e-9)


# -- counts and shares -------------------------------------------------------------------------


def counts(seed: int) -> np.ndarray:
    """Outcomes with parallel trends in the log, and effects that add to the log."""
    rng = np.random.default_rng(seed)
    level = rng.normal(3, 0.3, (N, 1)) + 0.1 * np.arange(T) + 0.05 * effects_of(STARTS)
    return rng.poisson(np.exp(level)).astype(float)


def test_one_start_and_two_periods_is_a_ratio_of_ratios():
    y = counts(10)[:, :2] + 1
    made = ExtendedTwoWay(family="poisson").fit(design_of(y, {1: 1, 5: 1}), "m")
    others = [j for j in range(N) if j not in (1, 5)]
    mean = {t: (y[[1, 5], t].mean(), y[others, t].mean()) for t in (0, 1)}
    expected = mean[1][0] - mean[0][0] * mean[1][1] / mean[0][1]
    assert made.values == pytest.approx([expected], rel=1e-9)
    share = y / (y.max() + 1)
    made = ExtendedTwoWay(family="logit").fit(design_of(share, {1: 1, 5: 1}), "m")
    odds = lambda p: p / (1 - p)  # noqa: E731
    before, after = share[[1, 5], 0].mean(), share[[1, 5], 1].mean()
    o = odds(before) * odds(share[others, 1].mean()) / odds(share[others, 0].mean())
    assert made.values == pytest.approx([after - o / (1 + o)], rel=1e-9)


@pytest.mark.parametrize("family", ["poisson", "logit"])
def test_partial_effects_by_statsmodels_and_numerical_derivatives(family):
    """GLM with every dummy, clustered by unit; means of fitted less untreated outcomes."""
    rng = np.random.default_rng(11)
    y = counts(11)
    y = y if family == "poisson" else y / (y.max() + 1)
    frame = long_of(y, x=rng.normal(size=(N, T)), w=rng.uniform(1, 3, (N, T)))
    frame = frame[frame["start"] != 2005]  # a single pilot has no slope
    design = Design.from_frame(frame, metrics=["y", "x", "w"], **SIMPLE_OPTIONS)
    made = ExtendedTwoWay(family=family, by="group", covariates=("x",), sampling="w")
    made = made.fit(design, "y")
    centre = {g: np.average(p["x"], weights=p["w"]) for g, p in frame.groupby("start")}
    dm = frame["x"] - frame["start"].map(centre)
    columns = {"one": dm * 0 + 1, "x": frame["x"]}
    for g in (2003, 2004):
        columns |= {f"g{g}": (frame.start == g) * 1.0, f"g{g}x": (frame.start == g) * frame["x"]}
    for t in range(2001, 2000 + T):
        columns |= {f"t{t}": (frame.time == t) * 1.0, f"t{t}x": (frame.time == t) * frame["x"]}
    for g in (2003, 2004):
        for t in range(g, 2000 + T):
            inside = (frame.start == g) & (frame.time == t)
            columns |= {f"{g},{t}": inside * 1.0, f"{g},{t}x": inside * dm}
    X = pd.DataFrame(columns)
    kind = sm.families.Poisson() if family == "poisson" else sm.families.Binomial()
    fit = sm.GLM(frame["y"], X, family=kind, var_weights=frame["w"]).fit(tol=1e-13)
    untreated = X.copy()
    untreated[[c for c in X if "," in c]] = 0.0
    mean = np.exp if family == "poisson" else (lambda i: 1 / (1 + np.exp(-i)))

    def effects(beta: np.ndarray) -> np.ndarray:
        gap = mean(X.to_numpy() @ beta) - mean(untreated.to_numpy() @ beta)
        return np.array(
            [
                np.average(gap[inside], weights=frame["w"][inside])
                for g in (2003, 2004)
                for inside in [((frame.start == g) & (frame.time >= g)).to_numpy()]
            ]
        )

    beta = fit.params.to_numpy()
    np.testing.assert_allclose(made.values, effects(beta), rtol=1e-6)
    step = 1e-5
    gradient = np.stack(
        [
            (effects(beta + step * e) - effects(beta - step * e)) / (2 * step)
            for e in np.eye(len(beta))
        ]
    )
    response = mean(X.to_numpy() @ beta)
    slope = response if family == "poisson" else response * (1 - response)
    w = frame["w"].to_numpy()
    information = (X.to_numpy() * (w * slope)[:, None]).T @ X.to_numpy()
    scores = pd.DataFrame(X.to_numpy() * (w * (frame["y"].to_numpy() - response))[:, None])
    by_unit = scores.groupby(frame["unit"].to_numpy()).sum().to_numpy()
    influence = by_unit @ np.linalg.inv(information) @ gradient
    np.testing.assert_allclose(
        np.diag(made.influence.T @ made.influence), (influence**2).sum(axis=0), rtol=1e-4
    )
    assert made.normal is None
    assert made.weights is None
    assert made.reassigned is None
    assert "log" in made.estimand


def test_parallel_in_the_log_is_found_exactly():
    """Multiplicative effects without noise: the mean difference to the untreated outcome."""
    starts = {1: 3, 4: 3, 11: 4}
    level = np.where(np.arange(N) % 2, 2.0, 3.0)[:, None] * np.exp(0.1 * np.arange(T))
    level[list(starts)] = 2.5 * np.exp(0.1 * np.arange(T))
    y = level.copy()
    for j, s in starts.items():
        y[j, s:] *= 1.5
    made = ExtendedTwoWay(family="poisson", by="group").fit(design_of(y, starts), "m")
    expected = [(y[j, s:] - level[j, s:]).mean() for j, s in ((1, 3), (11, 4))]
    np.testing.assert_allclose(made.values, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("family", "change", "word"),
    [
        ("poisson", lambda y: y - y.max(), "0 or more"),
        ("logit", lambda y: y, "from 0 to 1"),
        ("poisson", lambda y: y * (1 - (effects_of(STARTS) > 0)), "end of the range throughout"),
    ],
)
def test_outcomes_outside_the_family_are_refused(family, change, word):
    y = change(counts(12) + 1)
    with pytest.raises(EstimationError, match=word):
        ExtendedTwoWay(family=family).fit(design_of(y, STARTS), "m")


# -- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"by": "event"}, "by:"),
        ({"family": "probit"}, "family:"),
        ({"comparison": "last"}, "comparison:"),
        ({"effects": "both"}, "effects:"),
        ({"family": "logit", "effects": "unit"}, "effects='cohort'"),
        ({"anticipation": -1}, "0 or more"),
        ({"aggregation": "people"}, "aggregation"),
        ({"covariates": "x"}, "names of metrics"),
    ],
)
def test_unknown_options_are_refused(options, word):
    with pytest.raises(EstimationError, match=re.escape(word)):
        ExtendedTwoWay(**options)


def test_matched_sets_are_refused():
    y = noise(N, T, 13)
    ids = design_of(y, STARTS).sample("m").units
    sets = MatchedSets({ids[j]: {ids[NEVER[0]]: 1.0} for j in STARTS})
    with pytest.raises(EstimationError, match="matched sets"):
        ExtendedTwoWay().fit(design_of(y, STARTS, against=sets), "m")


def test_a_covariate_of_which_nothing_is_left_is_refused():
    y = noise(N, T, 14)
    frame = long_of(y, one=np.ones((N, T)))
    design = Design.from_frame(frame, metrics=["y", "one"], **SIMPLE_OPTIONS)
    with pytest.raises(EstimationError, match="covariates that vary"):
        ExtendedTwoWay(covariates=("one",)).fit(design, "y")
