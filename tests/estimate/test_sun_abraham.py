"""Interaction-weighted: fixest's numbers, differences of means, and the regression written out."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from helpers import FIRST, design_of, noise, treated, with_gaps

from didkit.design import Design, MatchedSets, NotYetTreated
from didkit.errors import EstimationError
from didkit.estimate import SunAbraham
from didkit.inference import ClusterRobust
from didkit.linear import cr1
from didkit.results import Estimate

N, T = 24, 7
STARTS = {1: 3, 4: 3, 8: 3, 11: 4, 15: 4, 20: 5}
NEVER = [j for j in range(N) if j not in STARTS]


def value_of(made: Estimate, term: str) -> float:
    """One estimate, without the inference that a table would ask for."""
    return float(made.values[list(made.terms["term"]).index(term)])


def effects_of(starts: dict[int, int]) -> np.ndarray:
    """Effects that differ by start and grow with time: 2 · start + 3 · time since it + 1."""
    made = np.zeros((N, T))
    for j, s in starts.items():
        made[j, s:] = 2 * s + 3 * np.arange(T - s) + 1
    return made


def brute(y: np.ndarray, start: int, t: int, *, base: int = -1) -> float:
    """The cohort's change since its reference less that of units that never start."""
    own = [j for j, s in STARTS.items() if s == start]
    change = y[:, t] - y[:, start + base]
    return float(change[own].mean() - change[NEVER].mean())


# -- another program: R's fixest ---------------------------------------------------------------


@pytest.fixture(scope="module")
def staggered(shared_reference) -> Design:
    data = pd.read_csv(shared_reference / "data" / "base_stagg.csv")
    return Design.from_frame(
        data.sample(frac=1, random_state=0),
        unit="id",
        period="year",
        start="year_treated",
        metrics=["y", "x1"],
        never=[10000],
        selection="unknown",
    )


CASES = [
    # case, by, covariates: the call in R is fixest's feols(y ~ x1 + sunab(year_treated, year) |
    # id + year, base_stagg, cluster = ~id), summarised with the agg= of the case
    ("sunab_es", "dynamic", ("x1",)),
    ("sunab_period", "dynamic", ("x1",)),
    ("sunab_att", "simple", ("x1",)),
    ("sunab_cohort", "group", ("x1",)),
    ("sunab_raw", "none", ("x1",)),
    ("sunab_raw_nox", "none", ()),
    ("sunab_es_iid", "dynamic", ("x1",)),
    ("sunab_es_hetero", "dynamic", ("x1",)),
]


@pytest.mark.parametrize(("case", "by", "covariates"), CASES, ids=[case[0] for case in CASES])
def test_fixest(shared_reference, staggered, case, by, covariates):
    """feols with sunab: each term and the covariate, and their standard errors (column `call`)."""
    rows = pd.read_csv(shared_reference / "fixest.csv").query("case == @case").set_index("term")
    made = SunAbraham(by=by, covariates=covariates).fit(staggered, "y")
    contrast = np.vstack([made.contrast, np.eye(made.normal.n_params)[-1:]])
    if case.endswith("hetero"):
        cells = np.arange(made.sample.y.size).reshape(made.sample.y.shape)
        variance = cr1(made.regroup(cells), contrast, factor="full")
    elif case.endswith("iid"):
        normal = made.normal
        squares = normal.yy.sum() - normal.beta @ normal.b.sum(axis=0)
        free = normal.n_obs - normal.n_params - normal.n_absorbed
        variance = squares / free * contrast @ normal.M @ contrast.T
    else:
        variance = cr1(made.normal, contrast, factor="nested")
        if case == "sunab_es":
            sure = made.infer(ClusterRobust("CR1", factor="nested")).attached
            np.testing.assert_allclose(sure.std_error, np.sqrt(np.diag(variance))[:-1], rtol=1e-9)
    errors = np.sqrt(np.diag(variance))
    names = []
    for row in made.terms.itertuples():
        e, g = getattr(row, "event_time", 0), getattr(row, "group", "")
        names.append(
            {
                "simple": "ATT",
                "dynamic": f"year::{e}",
                "group": f"cohort::{g}",
                "none": f"year::{e}:cohort::{g}",
            }[by]
        )
    assert set(names) == set(rows.index) - {"x1"}
    np.testing.assert_allclose(made.values, rows.loc[names, "estimate"], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(errors[:-1], rows.loc[names, "std_error"], rtol=1e-8)
    if covariates:
        assert made.facts["coefficient_x1"] == pytest.approx(rows.loc["x1", "estimate"], rel=1e-9)
        assert errors[-1] == pytest.approx(rows.loc["x1", "std_error"], rel=1e-9)


# -- known answers and identities --------------------------------------------------------------


@pytest.mark.parametrize("by", ["simple", "dynamic", "group", "calendar", "none"])
def test_without_noise_the_averages_are_exact(by):
    tau = effects_of(STARTS)
    y = noise(N, T, 1, scale=0.0) + tau
    made = SunAbraham(by=by).fit(design_of(y, STARTS), "m")
    cells = [(s, t) for s in STARTS.values() for t in range(s, T)]  # one for each pilot
    effect = {(s, t): 2 * s + 3 * (t - s) + 1 for s, t in cells}
    for row, value in zip(made.terms.to_dict("records"), made.values, strict=True):
        if row["phase"] == "before":
            assert abs(value) < 1e-9
            continue
        start = lambda s: str(FIRST + s)  # noqa: E731
        inside = [
            effect[s, t]
            for s, t in cells
            if (by != "dynamic" or t - s == row["event_time"])
            and (by not in ("group", "none") or start(s) == row["group"])
            and (by not in ("calendar", "none") or start(t) == row["period"])
        ]
        assert value == pytest.approx(np.mean(inside), abs=1e-9)


def test_each_effect_is_a_difference_of_changes():
    y = noise(N, T, 2) + effects_of(STARTS)
    made = SunAbraham(by="none").fit(design_of(y, STARTS), "m")
    for row, value in zip(made.terms.itertuples(), made.values, strict=True):
        assert value == pytest.approx(
            brute(y, int(row.group) - FIRST, int(row.period) - FIRST), abs=1e-9
        )
    assert len(made.terms) == 3 * (T - 1)


def test_anticipation_moves_the_reference_and_leaves_the_average():
    y = noise(N, T, 3)
    made = SunAbraham(by="dynamic", anticipation=1).fit(design_of(y, STARTS), "m")
    assert made.reference["event_time"].tolist() == [-2]
    phases = dict(zip(made.terms["event_time"], made.terms["phase"], strict=True))
    assert (phases[-3], phases[-1], phases[0]) == ("before", "anticipation", "after")
    lead = np.mean([brute(y, s, s - 1, base=-2) for s in STARTS.values()])
    assert value_of(made, "event time -1") == pytest.approx(lead, abs=1e-9)


def test_weights_and_influence_give_the_estimate_and_its_variance():
    y = with_gaps(noise(N, T, 4), 4, whole=list(STARTS))
    made = SunAbraham(by="dynamic").fit(design_of(y, STARTS), "m")
    np.testing.assert_allclose(
        np.einsum("kjt,jt->k", made.weights, np.nan_to_num(made.sample.y)), made.values, atol=1e-9
    )
    own = made.infer(ClusterRobust("CR0")).attached.std_error
    shared = (made.terms["n_pilots"] > 1).to_numpy()  # one pilot has no variance of its own
    assert shared.sum() >= 6
    own, squares = own[shared], (made.influence**2).sum(axis=0)[shared]
    np.testing.assert_allclose(squares, own**2, rtol=1e-9)


def test_with_gaps_covariates_and_weights_it_is_the_regression_written_out():
    """statsmodels' WLS with every dummy, clustered by unit."""
    rng = np.random.default_rng(5)
    y = with_gaps(noise(N, T, 5), 5)
    frame = pd.DataFrame(
        [
            (j, t, STARTS.get(j, 99), y[j, t], rng.normal(), rng.uniform(1, 3))
            for j in range(N)
            for t in range(T)
        ],
        columns=["unit", "time", "start", "y", "x", "w"],
    ).dropna()
    design = Design.from_frame(
        frame, unit="unit", period="time", start="start", metrics=["y", "x", "w"], never=[99],
        selection="unknown",
    )  # fmt: skip
    made = SunAbraham(by="simple", covariates=("x",), sampling="w").fit(design, "y")
    columns = {f"u{j}": (frame.unit == j) * 1.0 for j in frame.unit.unique()}
    columns |= {f"t{t}": (frame.time == t) * 1.0 for t in range(1, T)}
    columns["x"] = frame.x
    share = {}
    for s in (3, 4, 5):
        for t in range(T):
            inside = (frame.start == s) & (frame.time == t)
            if t != s - 1 and inside.any():
                columns[f"{s},{t}"] = inside * 1.0
                if t >= s:
                    share[f"{s},{t}"] = frame.w[inside].sum()
    X = pd.DataFrame(columns)
    fit = sm.WLS(frame.y, X, weights=frame.w).fit(
        cov_type="cluster", cov_kwds={"groups": frame.unit, "use_correction": False}
    )
    weight = pd.Series(share) / sum(share.values())
    lead = weight.reindex(X.columns, fill_value=0.0)
    assert made.values[0] == pytest.approx(lead @ fit.params, rel=1e-9)
    error = np.sqrt(lead @ fit.cov_params() @ lead)
    sure = made.infer(ClusterRobust("CR0")).attached.std_error
    assert sure[0] == pytest.approx(error, rel=1e-8)
    assert made.facts["coefficient_x"] == pytest.approx(fit.params["x"], rel=1e-9)


def test_a_weight_of_two_is_a_unit_twice():
    y = noise(N, T, 6) + effects_of(STARTS)
    times = np.where(np.arange(N) % 3 == 0, 2, 1)
    long = pd.DataFrame(
        [(j, t, STARTS.get(j, 0), y[j, t], float(times[j])) for j in range(N) for t in range(T)],
        columns=["unit", "time", "start", "y", "w"],
    )
    long["time"] += 2000
    long["start"] = long["start"].where(long["start"] == 0, long["start"] + 2000)
    again = long[long.w == 2].assign(unit=lambda f: f.unit + 100)
    options = {
        "unit": "unit",
        "period": "time",
        "start": "start",
        "metrics": ["y", "w"],
        "selection": "unknown",
    }
    once = SunAbraham(by="dynamic", sampling="w").fit(Design.from_frame(long, **options), "y")
    twice = SunAbraham(by="dynamic").fit(
        Design.from_frame(pd.concat([long, again]), **options), "y"
    )
    np.testing.assert_allclose(once.values, twice.values, atol=1e-9)
    assert "each authority counts for w" in once.estimand


def test_by_start_counts_once():
    y = noise(N, T, 7) + effects_of(STARTS)
    made = SunAbraham(by="dynamic", aggregation="cohorts").fit(design_of(y, STARTS), "m")
    expected = np.mean([brute(y, s, s + 1) for s in (3, 4, 5)])
    assert value_of(made, "event time +1") == pytest.approx(expected, abs=1e-9)
    assert "each start counts once" in made.estimand


def test_overall_and_balance():
    y = noise(N, T, 8) + effects_of(STARTS)
    design = design_of(y, STARTS)
    terms = SunAbraham(by="dynamic").fit(design, "m")
    after = (terms.terms["phase"] == "after").to_numpy()
    whole = SunAbraham(by="dynamic", overall=True).fit(design, "m")
    assert whole.values[0] == pytest.approx(terms.values[after].mean(), abs=1e-10)
    assert whole.reference is None
    balanced = SunAbraham(by="dynamic", balance=2).fit(design, "m")
    expected = np.mean([brute(y, s, s + 2) for s in (3, 3, 3, 4, 4)])
    assert value_of(balanced, "event time +2") == pytest.approx(expected, abs=1e-9)
    late = balanced.terms["phase"] == "after"
    assert (balanced.terms["n_pilots"][late] == 5).all()
    assert balanced.terms["event_time"].max() == 2


# -- who is compared with whom -----------------------------------------------------------------


def all_start(y: np.ndarray) -> tuple[Design, dict[int, int]]:
    starts = {j: (3, 4, 6)[j % 3] for j in range(N)}
    return design_of(y, starts, against=NotYetTreated()), starts


def test_without_never_treated_those_that_start_last_serve_until_they_start():
    y = noise(N, T, 9)
    design, starts = all_start(y)
    made = SunAbraham(by="none").fit(design, "m")
    own = {s: [j for j in starts if starts[j] == s] for s in (3, 4, 6)}
    for row, value in zip(made.terms.itertuples(), made.values, strict=True):
        s, t = int(row.group) - FIRST, int(row.period) - FIRST
        assert t < 6
        assert s < 6
        change = y[:, t] - y[:, s - 1]
        assert value == pytest.approx(change[own[s]].mean() - change[own[6]].mean(), abs=1e-9)
    assert any(str(FIRST + 6) in note and "left out" in note for note in made.notes)
    out = made.sample.log.query("stage == 'estimator'")
    assert out["cells"].sum() == N
    used = made.sample.log.query("reason == 'used'")["cells"].sum()
    assert used == np.isfinite(made.sample.y).sum() == N * 6
    assert (made.terms["n_comparators"] == len(own[6])).all()
    with pytest.raises(EstimationError, match="never start"):
        SunAbraham(comparison="never").fit(design, "m")


def test_the_last_to_start_may_be_asked_for():
    y = noise(N, T, 10)
    made = SunAbraham(by="none", comparison="last").fit(design_of(y, STARTS), "m")
    change = y[:, 4] - y[:, 2]
    last = [20, *NEVER]
    # units that never start stay in the regression, beside the last pilot
    expected = change[[1, 4, 8]].mean() - change[last].mean()
    term = f"start {FIRST + 3}, period {FIRST + 4}"
    assert value_of(made, term) == pytest.approx(expected, abs=1e-9)


def test_a_start_without_its_reference_is_left_out():
    y = noise(N, T, 11)
    y[20, 4] = np.nan
    made = SunAbraham(by="group").fit(design_of(y, STARTS), "m")
    assert made.terms["group"].tolist() == [str(FIRST + 3), str(FIRST + 4)]
    gone = made.sample.log.query("stage == 'estimator'")
    assert len(gone) == 1
    assert "effects are measured from" in gone["reason"].iloc[0]


def test_a_period_without_comparators_is_left_out():
    y = noise(N, T, 12)
    y[NEVER, T - 1] = np.nan
    made = SunAbraham(by="none").fit(design_of(y, STARTS), "m")
    assert not (made.terms["period"] == str(FIRST + T - 1)).any()
    assert any("no comparison has a value" in note for note in made.notes)


# -- invariance --------------------------------------------------------------------------------


def test_unit_and_period_effects_and_the_order_of_units_change_nothing():
    y = noise(N, T, 13) + effects_of(STARTS)
    rng = np.random.default_rng(13)
    plain = SunAbraham(by="dynamic").fit(design_of(y, STARTS), "m")
    moved = y + 100 * rng.normal(size=(N, 1)) + 100 * rng.normal(size=(1, T))
    again = SunAbraham(by="dynamic").fit(design_of(moved, STARTS), "m")
    np.testing.assert_allclose(again.values, plain.values, atol=1e-9)
    np.testing.assert_allclose(again.influence, plain.influence, atol=1e-9)
    order = rng.permutation(N)
    place = {int(old): new for new, old in enumerate(order)}
    shuffled = design_of(y[order], {place[j]: s for j, s in STARTS.items()})
    np.testing.assert_allclose(
        SunAbraham(by="dynamic").fit(shuffled, "m").values, plain.values, atol=1e-9
    )


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("by", ["simple", "dynamic", "group"])
def test_a_draw_is_the_fit_with_other_pilots(by, gaps):
    """Both ways, by cohorts' sums and by refits; and of the outcome less an effect."""
    y = noise(N, T, 14) + effects_of(STARTS)
    if gaps:
        y = with_gaps(y, 14, whole=list(STARTS))
    estimator = SunAbraham(by=by)
    made = estimator.fit(design_of(y, STARTS), "m")
    rng = np.random.default_rng(14)
    order = rng.permutation(N) if not gaps else np.arange(N)
    if gaps:  # the pilots trade their starts
        order[list(STARTS)] = rng.permutation(list(STARTS))
    cohort = made.sample.cohort
    labels = np.stack([cohort, cohort[order]])
    drawn = made.reassigned(labels)
    np.testing.assert_allclose(drawn.b[0], made.values, atol=1e-8)
    np.testing.assert_allclose(drawn.a[0], 1, atol=1e-9)
    np.testing.assert_allclose(drawn.v0[0], (made.influence**2).sum(axis=0), rtol=1e-7)
    np.testing.assert_allclose([drawn.v1[0], drawn.v2[0]], 0, atol=1e-8)
    other = {j: made.sample.starts[labels[1, j]] for j in range(N) if labels[1, j] >= 0}
    again = estimator.fit(design_of(y, other), "m")
    np.testing.assert_allclose(drawn.b[1], again.values, atol=1e-8)
    np.testing.assert_allclose(drawn.v0[1], (again.influence**2).sum(axis=0), rtol=1e-7)
    late = list(made.terms["phase"]).index("after")
    acts = made.weights[late] != 0
    theta, after = 3.0, treated((N, T), STARTS)
    if by == "simple":
        assert acts.any()
        less = estimator.fit(design_of(y - theta * after, other), "m")
        assert drawn.b[1, 0] - theta * drawn.a[1, 0] == pytest.approx(less.values[0], abs=1e-8)
        variance = drawn.v0[1, 0] - 2 * theta * drawn.v1[1, 0] + theta**2 * drawn.v2[1, 0]
        assert variance == pytest.approx((less.influence**2).sum(), rel=1e-7)


def test_a_term_that_nobody_carries_in_a_draw_is_missing_there():
    y = noise(N, T, 17)
    y[0, T - 1] = np.nan
    made = SunAbraham(by="none").fit(design_of(y, STARTS), "m")
    cohort = made.sample.cohort.copy()
    cohort[[0, 20]] = cohort[[20, 0]]
    drawn = made.reassigned(cohort[None])
    lost = made.terms["term"] == f"start {FIRST + 5}, period {FIRST + T - 1}"
    assert np.isnan(drawn.b[0]).tolist() == lost.tolist()
    assert lost.sum() == 1


# -- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"by": "event"}, "by:"),
        ({"comparison": "not_yet"}, "comparison"),
        ({"anticipation": -1}, "0 or more"),
        ({"anticipation": True}, "0 or more"),
        ({"aggregation": "people"}, "aggregation"),
        ({"balance": 1}, "balance"),
        ({"overall": True}, "overall"),
        ({"covariates": "x"}, "names of metrics"),
    ],
)
def test_unknown_options_are_refused(options, word):
    with pytest.raises(EstimationError, match=re.escape(word)):
        SunAbraham(**options)


def test_matched_sets_and_the_outcome_as_covariate_are_refused():
    y = noise(N, T, 15)
    ids = design_of(y, STARTS).sample("m").units
    sets = MatchedSets({ids[j]: {ids[NEVER[0]]: 1.0} for j in STARTS})
    with pytest.raises(EstimationError, match="matched sets"):
        SunAbraham().fit(design_of(y, STARTS, against=sets), "m")
    with pytest.raises(EstimationError, match="other than the outcome"):
        SunAbraham(covariates=("m",)).fit(design_of(y, STARTS), "m")


def test_a_covariate_that_the_effects_hold_is_named():
    y = noise(N, T, 16)
    frame = pd.DataFrame(
        [(j, t, STARTS.get(j, 99), y[j, t], float(j)) for j in range(N) for t in range(T)],
        columns=["unit", "time", "start", "y", "size"],
    )
    design = Design.from_frame(
        frame, unit="unit", period="time", start="start", metrics=["y", "size"], never=[99],
        selection="unknown",
    )  # fmt: skip
    with pytest.raises(EstimationError, match="size is held by the effects"):
        SunAbraham(covariates=("size",)).fit(design, "y")
