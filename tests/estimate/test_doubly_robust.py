"""The doubly robust estimator: R's DRDID through a design, and what it owes its user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, frame_of, noise, spread

import didkit as dk
from didkit.errors import DesignError, EstimationError, PanelError
from didkit.estimate.two_by_two import panel

NSW = ["age", "educ", "black", "married", "nodegree", "hisp"]
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
    "std_ipw_did_rc": "ipw",
    "ipw_did_rc": "ipw_unnormalised",
    "reg_did_rc": "regression",
    "twfe_did_rc": "two_way",
}


def error_of(estimate: dk.Estimate) -> float:
    """Give the standard error by CR0, which is that of the influence."""
    return float(estimate.infer(dk.ClusterRobust("CR0")).tidy()["std_error"].iloc[0])


@pytest.fixture(scope="module")
def experiment(shared_reference: Path) -> pd.DataFrame:
    """The experiment in two periods, 0 and 1: one row a person and period."""
    wide = pd.read_csv(shared_reference / "data" / "nsw.csv")
    wide = wide[wide["treated"].notna()].reset_index(drop=True)
    each = [
        wide[NSW].assign(
            person=wide.index, period=t, start=np.where(wide["treated"] == 1, 1, np.inf), re=wide[c]
        )
        for t, c in enumerate(["re75", "re78"])
    ]
    return pd.concat(each, ignore_index=True).sample(frac=1, random_state=0)


@pytest.fixture(scope="module")
def known(shared_reference: Path) -> pd.DataFrame:
    return pd.read_csv(shared_reference / "DRDID.csv").set_index("case")


@pytest.fixture(scope="module")
def persons(experiment: pd.DataFrame) -> dk.Design:
    return as_design(experiment, "person", NSW)


def as_design(frame: pd.DataFrame, unit: str | None, names: list[str]) -> dk.Design:
    return dk.Design.from_frame(
        frame,
        unit=unit,
        period="period",
        start="start",
        metrics=["re", *names],
        selection="unknown",
    )


@pytest.mark.parametrize("function", PANEL)
def test_panel_functions_of_the_package(function, persons, known):
    """R: DRDID 1.2.3, e.g. drdid_imp_panel(y1=re78, y0=re75, D=treated, covariates=…)."""
    row = known.loc[f"nsw_exper__{function}"]
    made = dk.DoublyRobust(covariates=NSW, method=PANEL[function]).fit(persons, "re")
    assert made.values[0] == pytest.approx(row["estimate"], rel=1e-9)
    assert error_of(made) == pytest.approx(row["std_error"], rel=1e-7)


@pytest.mark.parametrize("function", ROWS)
def test_functions_for_cross_sections_of_the_package(function, experiment, known):
    """R: DRDID 1.2.3 on the same rows stacked, each a unit of its own."""
    row = known.loc[f"nsw_exper_rc__{function}"]
    design = as_design(experiment, None, NSW)
    made = dk.DoublyRobust(covariates=NSW, method=ROWS[function], cells="observed").fit(
        design, "re"
    )
    n = len(experiment)
    factor = np.sqrt(n / (n - 1)) if ROWS[function] == "two_way" else 1.0
    assert made.values[0] == pytest.approx(row["estimate"], rel=1e-9)
    assert factor * error_of(made) == pytest.approx(row["std_error"], rel=1e-7)


@pytest.mark.parametrize("function", ["drdid_rc", "drdid_rc1"])
def test_the_two_whose_influence_differs_from_the_package(function, experiment, known):
    """DRDID 1.2.3 adds a term that the derivative subtracts: here 0.1 % of the standard error."""
    row = known.loc[f"nsw_exper_rc__{function}"]
    method = {"drdid_rc": "dr", "drdid_rc1": "dr_comparators"}[function]
    made = dk.DoublyRobust(covariates=NSW, method=method, cells="observed").fit(
        as_design(experiment, None, NSW), "re"
    )
    assert made.values[0] == pytest.approx(row["estimate"], rel=1e-9)
    assert error_of(made) / row["std_error"] == pytest.approx(0.999, abs=1e-4)


# -- panels of our own ---------------------------------------------------------------------------

N, T, START = 40, 6, 3


def frame_with(seed: int = 0, *, effect: float = 5.0, scale: float = 1.0, n: int = N):
    """Give a long frame: a covariate that moves trends and who is a pilot; one start."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(size=n)
    pilot = rng.random(n) < 1 / (1 + np.exp(0.5 - 0.8 * x))
    t = np.arange(T)
    y = 50 + 5 * rng.normal(size=(n, 1)) + 2 * t + 0.8 * x[:, None] * t
    y = y + effect * (pilot[:, None] & (t >= START)) + scale * rng.normal(size=(n, T))
    frame = pd.DataFrame(
        [
            (codes(n)[j], FIRST + i, y[j, i], x[j], z[j], 10.0 + j % 5, FIRST + START)
            for j in range(n)
            for i in range(T)
        ],
        columns=["la", "year", "m", "x", "z", "people", "start"],
    )
    named = np.array(codes(n))[pilot]
    frame.loc[~frame["la"].isin(named), "start"] = np.nan
    return frame


def design_with(frame: pd.DataFrame, **options) -> dk.Design:
    return dk.Design.from_frame(
        frame,
        unit="la",
        period="year",
        start="start",
        metrics=["m", "x", "z", "people"],
        selection="unknown",
        **options,
    )


def fit(frame: pd.DataFrame, **options) -> dk.Estimate:
    return dk.DoublyRobust(**options).fit(design_with(frame), "m")


METHODS = sorted(PANEL.values())


@pytest.mark.parametrize("method", METHODS)
def test_without_covariates_it_is_did(method):
    y = noise(20, 7, 3)
    design = design_of(y, spread(20, 6, 4))
    made = dk.DoublyRobust(method=method).fit(design, "m")
    known = dk.DiD("complete").fit(design, "m")
    assert made.values == pytest.approx(known.values, rel=1e-10)
    np.testing.assert_allclose(made.weights, known.weights, atol=1e-12)
    assert error_of(made) == pytest.approx(error_of(known), rel=1e-10)


def test_rows_of_a_balanced_panel_are_did_too():
    y = noise(20, 7, 4)
    design = design_of(y, spread(20, 6, 4))
    made = dk.DoublyRobust(cells="observed").fit(design, "m")
    known = dk.DiD().fit(design, "m")
    assert made.values == pytest.approx(known.values, rel=1e-10)
    # what a unit's rows contribute is added up, so that the unit's level drops out but for means
    assert made.influence.shape == (20, 1)
    assert np.sum(made.weights * y) == pytest.approx(made.values[0], rel=1e-9)


@pytest.mark.parametrize("method", ["dr", "dr_improved", "regression"])
def test_without_noise_the_effect_is_exact(method):
    made = fit(frame_with(scale=0.0), covariates=["x"], method=method)
    assert made.values[0] == pytest.approx(5, abs=1e-10)
    assert abs(fit(frame_with(scale=0.0)).values[0] - 5) > 0.5  # without x it is not


@pytest.mark.parametrize("method", METHODS)
def test_weights_reproduce_the_estimate(method):
    made = fit(frame_with(), covariates=["x", "z"], method=method, population="people")
    assert np.sum(made.weights[0] * made.sample.y) == pytest.approx(made.values[0], rel=1e-9)
    assert made.weights[0].sum(axis=1) == pytest.approx(np.zeros(N), abs=1e-12)
    rowwise = fit(frame_with(), covariates=["x"], method=method, cells="observed")
    assert np.sum(rowwise.weights[0] * rowwise.sample.y) == pytest.approx(rowwise.values[0])


def test_unit_and_period_effects_do_not_matter():
    frame = frame_with()
    rng = np.random.default_rng(5)
    unit = dict(zip(codes(N), 100 * rng.normal(size=N), strict=True))
    period = dict(zip(range(FIRST, FIRST + T), 100 * rng.normal(size=T), strict=True))
    moved = frame.assign(m=frame["m"] + frame["la"].map(unit) + frame["year"].map(period))
    for method in ("dr_improved", "dr", "regression", "ipw"):
        one, two = (fit(f, covariates=["x"], method=method) for f in (frame, moved))
        assert two.values == pytest.approx(one.values, rel=1e-9)
        assert error_of(two) == pytest.approx(error_of(one), rel=1e-9)


def test_order_and_names_do_not_matter():
    frame = frame_with()
    known = fit(frame, covariates=["x", "z"])
    shuffled = fit(frame.sample(frac=1, random_state=1), covariates=["z", "x"])
    assert shuffled.values == pytest.approx(known.values, rel=1e-10)
    names = dict(zip(codes(N), reversed(codes(N)), strict=True))
    renamed = fit(frame.assign(la=frame["la"].map(names)), covariates=["x", "z"])
    assert renamed.values == pytest.approx(known.values, rel=1e-10)
    assert error_of(renamed) == pytest.approx(error_of(known), rel=1e-10)


def test_covariates_are_those_of_the_base_period():
    frame = frame_with()
    known = fit(frame, covariates=["x"])
    later = frame.assign(x=frame["x"] + 9 * (frame["year"] >= FIRST + START))
    earlier = frame.assign(x=frame["x"] * (frame["year"] >= FIRST + START - 1))
    gone = frame.assign(x=frame["x"].where(frame["year"] == FIRST + START - 1))
    for other in (later, earlier, gone):
        assert fit(other, covariates=["x"]).values == pytest.approx(known.values, rel=1e-12)
    base = frame.assign(x=frame["x"] + (frame["year"] == FIRST + START - 1) * frame["z"])
    assert abs(fit(base, covariates=["x"]).values - known.values) > 1e-3
    assert any(f"x) as in {FIRST + START - 1}" in note for note in known.notes)


def test_a_unit_without_its_covariate_is_left_out_by_name():
    frame = frame_with()
    gone = codes(N)[7]
    at = (frame["la"] == gone) & (frame["year"] == FIRST + START - 1)
    made = fit(frame.assign(x=frame["x"].mask(at)), covariates=["x"])
    known = fit(frame[frame["la"] != gone], covariates=["x"])
    assert made.values == pytest.approx(known.values, rel=1e-10)
    assert any(gone in note and "no value of 1 (x)" in note for note in made.sample.notes)
    log = made.sample.log
    assert set(log.loc[log["unit"] == gone, "reason"]) == {
        f"no value of 1 (x) in {FIRST + START - 1}, the base period"
    }


def test_a_gap_leaves_the_unit_out_of_complete_and_its_row_out_of_observed():
    frame = frame_with()
    gone = codes(N)[7]
    at = (frame["la"] == gone) & (frame["year"] == FIRST + 1)
    gap = frame.assign(m=frame["m"].mask(at))
    known = fit(frame[frame["la"] != gone], covariates=["x"])
    assert fit(gap, covariates=["x"]).values == pytest.approx(known.values, rel=1e-10)
    made = fit(gap, covariates=["x"], cells="observed")
    assert made.terms["n_pilots"].iloc[0] + made.terms["n_comparators"].iloc[0] == N
    assert made.weights[0][~made.sample.mask].sum() == 0
    assert any("percentage points" in note for note in made.notes)
    whole = fit(frame, covariates=["x"], cells="observed")
    assert not any("percentage points" in note for note in whole.notes)


def test_a_weight_is_a_unit_more_than_once():
    frame = frame_with()
    frame["people"] = 1.0 + (frame["la"].astype(int) % 2)
    twice = frame[frame["people"] == 2]
    more = pd.concat([frame, twice.assign(la=(twice["la"].astype(int) + 5000).astype(str))])
    known = fit(more, covariates=["x"])
    for option in ("population", "sampling"):
        made = fit(frame, covariates=["x"], **{option: "people"})
        assert made.values == pytest.approx(known.values, rel=1e-9)
    assert "each person counts once" in fit(frame, population="people").estimand
    assert "each authority counts once" in known.estimand


def test_clusters_add_the_influence_up():
    frame = frame_with().assign(region=lambda f: (f["la"].astype(int) // 3 % 10).astype(str))
    design = design_with(frame, clusters="region")
    made = dk.DoublyRobust(covariates=["x"]).fit(design, "m")
    summed = np.bincount(made.sample.clusters, made.influence[:, 0])
    assert len(summed) == 10
    assert error_of(made) == pytest.approx(np.sqrt((summed**2).sum()), rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_reassigned_is_the_refit(method):
    frame = frame_with(n=24)
    made = fit(frame, covariates=["x"], method=method, population="people")
    rng = np.random.default_rng(2)
    labels = np.stack([made.sample.cohort] + [rng.permutation(made.sample.cohort) for _ in "123"])
    draws = made.reassigned(labels)
    assert draws.b[0] == pytest.approx(made.values, rel=1e-10)
    assert (draws.a[0], draws.v1[0], draws.v2[0]) == pytest.approx((1, 0, 0), abs=1e-10)
    assert draws.v0[0, 0] == pytest.approx((made.influence**2).sum(), rel=1e-10)
    for b in range(1, 4):
        units = {made.sample.units[j] for j in np.flatnonzero(labels[b] >= 0)}
        other = frame.assign(start=np.where(frame["la"].isin(units), FIRST + START, np.nan))
        again = fit(other, covariates=["x"], method=method, population="people")
        assert draws.b[b] == pytest.approx(again.values, rel=1e-9)
        assert draws.v0[b, 0] == pytest.approx((again.influence**2).sum(), rel=1e-9)


def test_pilots_that_cannot_be_told_apart_are_no_number_in_a_draw():
    frame = frame_with(n=24)
    made = fit(frame, covariates=["x"], method="dr")
    x = frame.groupby("la")["x"].first().to_numpy()
    labels = np.full((1, 24), -1)
    labels[0, np.argsort(x)[-made.sample.n_pilots :]] = 0
    assert np.isnan(made.reassigned(labels).b).all()


def test_permutation_and_jackknife_serve():
    made = fit(frame_with(n=24), covariates=["x"])
    tested = made.infer(dk.Permutation(draws=49, seed=1)).tidy()
    assert np.isfinite(tested["p_value"]).all()
    plain = fit(frame_with(4), covariates=["x"], method="regression")
    again = plain.infer(dk.Jackknife()).tidy()["std_error"].iloc[0]
    assert again == pytest.approx(error_of(plain), rel=0.15)


def test_periods_partly_treated_are_left_out_for_all():
    y = noise(20, 7, 8)
    starts = spread(20, 6, 3)
    ids = codes(20)
    frame = frame_of(y, ids)
    panel = dk.Panel.from_frame(
        frame, unit="la", period="year", metrics={"m": dk.Metric(name="m", timing="flow")}
    )
    rollout = dk.Rollout(
        {ids[j]: FIRST + t for j, t in starts.items()}, first_exposed={"flow": FIRST + 4}
    )
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    known = dk.DiD("complete").fit(design, "m")
    made = dk.DoublyRobust().fit(design, "m")
    assert made.values == pytest.approx(known.values, rel=1e-10)
    assert (made.weights[0][:, 3] == 0).all()
    rowwise = dk.DoublyRobust(cells="observed").fit(design, "m")
    assert rowwise.values == pytest.approx(known.values, rel=1e-10)


def test_a_pilot_that_left_has_no_window_of_its_own():
    y = noise(20, 7, 9)
    starts = spread(20, 6, 3)
    ids = codes(20)
    rollout = dk.Rollout(
        {ids[j]: FIRST + t for j, t in starts.items()}, stops={ids[next(iter(starts))]: FIRST + 5}
    )
    panel = dk.Panel.from_frame(frame_of(y, ids), unit="la", period="year", metrics=["m"])
    design = dk.Design(
        panel, rollout, against=dk.Pool(), selection="unknown", treatment="as_treated"
    )
    made = dk.DoublyRobust().fit(design, "m")
    known = dk.DiD("complete").fit(design, "m")
    assert made.values == pytest.approx(known.values, rel=1e-10)
    assert made.terms["n_pilots"].iloc[0] == 5
    rowwise = dk.DoublyRobust(cells="observed").fit(design, "m")
    assert rowwise.terms["n_pilots"].iloc[0] == 6


def test_facts_and_notes():
    made = fit(frame_with(), covariates=["x", "z"])
    row = made.glance().iloc[0]
    assert row["n_treated"] == made.sample.n_pilots
    assert row["n_treated"] + row["n_comparators"] == N
    assert 0 < row["largest_propensity"] < 1
    assert row["n_trimmed"] == 0
    assert 1 < row["effective_comparators"] <= row["n_comparators"]
    assert any("2 covariates of the logit" in note for note in made.notes)
    plain = fit(frame_with(), covariates=["x"], method="regression")
    assert not any("logit" in note for note in plain.notes)
    assert made.main_term == "att"
    assert list(made.terms["phase"]) == ["after"]


def test_trimmed_comparators_stand_in_the_notes():
    frame = frame_with(3, n=200)
    rng = np.random.default_rng(1)
    pilot = frame.groupby("la")["start"].first().notna()
    x = pd.Series(4.0 * pilot + rng.normal(size=200), index=pilot.index)
    x.loc[pilot.index[~pilot][0]] = 7.0
    frame["x"] = frame["la"].map(x)
    made = fit(frame, covariates=["x"], method="regression")
    assert not any("propensity" in note for note in made.notes)
    known = panel(np.zeros(200), pilot.to_numpy(), np.column_stack([np.ones(200), x]), None, "ipw")
    trimmed = int(known.facts["n_trimmed"])
    assert trimmed >= 1
    for cells in ("complete", "observed"):
        made = fit(frame, covariates=["x"], method="ipw", cells=cells)
        many = trimmed * (T if cells == "observed" else 1)
        said = f"{many} {'cells of ' if cells == 'observed' else ''}comparators with a propensity"
        assert any(said in note for note in made.notes)
        if cells == "complete":
            again = made.reassigned(made.sample.cohort[None])
            assert again.b[0] == pytest.approx(made.values, rel=1e-9)
            assert again.v0[0, 0] == pytest.approx((made.influence**2).sum(), rel=1e-9)


def test_the_outcome_before_the_start_as_a_covariate_is_said_aloud():
    made = fit(frame_with(), covariates=["m"], method="regression")
    assert any("return to their own mean" in note for note in made.notes)


# -- refused -------------------------------------------------------------------------------------


def refused(call, *texts: str, kind: type[Exception] = EstimationError) -> None:
    with pytest.raises(kind) as caught:
        call()
    for text in texts:
        assert text in str(caught.value)


def test_options():
    refused(lambda: dk.DoublyRobust(method="ols"), "'ols'", "'dr_improved'")
    refused(lambda: dk.DoublyRobust(cells="all"), "cells='observed' or cells='complete'")
    refused(lambda: dk.DoublyRobust(covariates="x"), "'x'")
    refused(lambda: dk.DoublyRobust(method="two_way"), "cells='observed'")
    with pytest.raises(TypeError):
        dk.DoublyRobust(bootstrap=99)


def test_designs_that_it_cannot_serve():
    y = noise(20, 7, 6)
    several = design_of(y, {2: 3, 5: 3, 9: 4})
    refused(lambda: dk.DoublyRobust().fit(several, "m"), "2: 2", "GroupTime")
    ids = codes(20)
    sets = dk.MatchedSets({ids[2]: {ids[10]: 1.0}, ids[5]: {ids[13]: 0.5, ids[14]: 0.5}})
    matched = design_of(y, {2: 3, 5: 3}, against=sets)
    refused(lambda: dk.DoublyRobust().fit(matched, "m"), "matched sets", "DiD")
    one = design_of(y, spread(20, 5, 3))
    refused(lambda: dk.DoublyRobust(covariates=["x"]).fit(one, "m"), "'x'", kind=PanelError)
    refused(
        lambda: dk.DoublyRobust(covariates=["m"], cells="observed").fit(one, "m"), "'m' is both"
    )


def test_too_few_pilots_for_the_logit():
    frame = frame_with()
    pilots = frame.loc[frame["start"].notna(), "la"].unique()
    three = frame.assign(start=frame["start"].where(frame["la"].isin(pilots[:3])))
    for cells in ("complete", "observed"):
        refused(
            lambda c=cells: fit(three, covariates=["x", "z"], cells=c),
            "at least 4 pilots",
            "2 covariates",
            "method='regression'",
        )
    assert np.isfinite(fit(three, covariates=["x", "z"], method="regression").values).all()


def test_nobody_left():
    frame = frame_with()
    base = frame["year"] == FIRST + START - 1
    pilots = frame["start"].notna()
    refused(
        lambda: fit(frame.assign(x=frame["x"].mask(base & pilots)), covariates=["x"]),
        "at least one pilot",
        "base period",
        kind=DesignError,
    )


def test_a_collinear_covariate_is_named():
    frame = frame_with()
    frame["z"] = 3 - 2 * frame["x"]
    refused(lambda: fit(frame, covariates=["x", "z"]), "'z' is a combination of", "x)")
