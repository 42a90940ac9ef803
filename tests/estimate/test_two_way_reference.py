"""Two-way fixed effects against fixest 0.14: estimates and standard errors, case by case.

Each case names its call in R through the column ``call`` of fixest.csv, which stands in its id.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import didkit as dk

CR1 = functools.partial(dk.ClusterRobust, "CR1")
REGIONS = {"northeast": "NE", "midwest": "MW", "south": "S"}

#: variance of fixest → the same here
VCOV = {
    "cl_state": CR1(factor="nested"),
    "iid": dk.Conventional("iid"),
    "hetero": dk.Conventional("hetero"),
    "twoway": CR1(factor="fixest", by=("unit", "period")),
    "cl_region": CR1(factor="nested", by="region"),
    "cl_noadj": dk.ClusterRobust("CR0", df="g-1"),
    "cl_noKadj": CR1(),
    "cl_Kfull": CR1(factor="full"),
    "cl_Knone": CR1(),
    "NW2": dk.Conventional("newey-west", lags=2),
    "DK2": dk.Conventional("driscoll-kraay", lags=2),
}
HELD = ("l_income", "unemployrt", "l_police")
CASTLE = [
    *(("castle_twfe", v, dk.DiD(), "l_homicide") for v in VCOV),
    *(
        ("castle_twfe_w", v, dk.DiD(population="popwt"), "l_homicide")
        for v in VCOV
        if v not in ("cl_region", "cl_noKadj", "cl_Knone")
    ),
    *(
        ("castle_twfe_covw", v, dk.DiD(sampling="popwt", covariates=HELD), "l_robbery")
        for v in VCOV
        if v not in ("cl_region", "cl_noKadj", "cl_Knone")
    ),
]


@pytest.fixture(scope="module")
def table(shared_reference: Path) -> pd.DataFrame:
    """The reference values, by case and term."""
    return pd.read_csv(shared_reference / "fixest.csv").set_index(["case", "term"])


def data(shared_reference: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(shared_reference / "data" / f"{name}.csv")


def from_frame(frame: pd.DataFrame, unit, period, start, metrics, **options) -> dk.Design:
    return dk.Design.from_frame(
        frame,
        unit=unit,
        period=period,
        start=start,
        metrics=list(metrics),
        selection="unknown",
        **options,
    )


@pytest.fixture(scope="module")
def castle(shared_reference: Path) -> dk.Design:
    frame = data(shared_reference, "castle")
    region = np.select([frame[name] == 1 for name in REGIONS], list(REGIONS.values()), "W")
    return from_frame(
        frame.assign(region=region),
        "state",
        "year",
        "gvar",
        ["l_homicide", "l_robbery", "popwt", *HELD],
        attributes=["region"],
    )


def matches(made: dk.Estimate, row: pd.Series, term: str = "att") -> None:
    """Estimate and standard error to the printed digits; interval where fixest's is with our t."""
    found = made[term]
    assert found["estimate"] == pytest.approx(row["estimate"], rel=1e-9)
    assert found["std_error"] == pytest.approx(row["std_error"], rel=1e-8)
    assert found["conf_low"] == pytest.approx(row["ci_lower"], rel=1e-7)
    assert found["conf_high"] == pytest.approx(row["ci_upper"], rel=1e-7)


@pytest.mark.parametrize(
    ("case", "vcov", "estimator", "metric"), CASTLE, ids=[f"{c}__{v}" for c, v, *_ in CASTLE]
)
def test_castle(castle, table, case, vcov, estimator, metric):
    """feols(… ~ post [+ covariates] | state + year, weights=~popwt, vcov=…): `call` of the case."""
    made = estimator.fit(castle, metric)
    matches(made.infer(VCOV[vcov]), table.loc[(f"{case}__{vcov}", "post")])
    for name in estimator.covariates:
        assert made.facts[f"coefficient_{name}"] == pytest.approx(
            table.loc[(f"{case}__{vcov}", name), "estimate"], rel=1e-8
        )


def test_castle_two_ways_each_with_its_own_factor(castle, table):
    """summary(m, vcov=~state+year, ssc=ssc(G.df='conventional')): times (N − 1)/(N − 2)."""
    row = table.loc[("castle_twfe__tw_conv", "post")]
    made = dk.DiD().fit(castle, "l_homicide").infer(CR1(by=("unit", "period")))
    # fixest counts the treatment and a constant, which factor="clusters" leaves out
    assert made["att"]["std_error"] * np.sqrt(549 / 548) == pytest.approx(
        row["std_error"], rel=1e-9
    )


def test_castle_default_and_conventional_t(castle, table):
    """No vcov argument is iid; ssc(t.df='conventional') changes only the degrees of freedom."""
    made = dk.DiD().fit(castle, "l_homicide")
    iid = made.infer(dk.Conventional())["att"]["std_error"]
    assert iid == pytest.approx(table.loc[("default_vcov_note", "post"), "std_error"], rel=1e-9)
    row = table.loc[("castle_twfe__cl_tconv", "post")]
    clustered = made.infer(CR1(factor="nested"))["att"]["std_error"]
    assert clustered == pytest.approx(row["std_error"], rel=1e-9)


def test_castle_region_by_year(castle, table):
    """feols(l_homicide ~ post | state + region^year, weights=~popwt, cluster=~state).

    fixest counts all 44 region-years and the treatment, K = 45; four of them repeat what the
    state effects hold, so that the rank without state effects is 41, and K here is 42.
    """
    row = table.loc[("castle_regionyear", "post")]
    made = dk.DiD(population="popwt", periods_by="region").fit(castle, "l_homicide")
    found = made.infer(CR1(factor="nested"))["att"]
    assert found["estimate"] == pytest.approx(row["estimate"], rel=1e-9)
    assert found["std_error"] * np.sqrt((550 - 42) / (550 - 45)) == pytest.approx(
        row["std_error"], rel=1e-9
    )


def test_castle_eight_states(castle, table):
    """feols(l_homicide ~ post | state + year, few, cluster=~state), eight states."""
    eight = {"Florida", "Georgia", "Texas", "Alabama", "California", "New York", "Ohio", "Illinois"}
    few = functools.reduce(
        dk.Design.drop, sorted({*castle.pilots, *castle.comparators} - eight), castle
    )
    made = dk.DiD().fit(few, "l_homicide").infer(CR1(factor="nested"))
    matches(made, table.loc[("castle8_twfe", "post")])


@pytest.fixture(scope="module")
def simulated(shared_reference: Path) -> dk.Design:
    frame = data(shared_reference, "base_did")
    return from_frame(
        frame.assign(start=np.where(frame["treat"] == 1, 6, 0)),
        "id",
        "period",
        "start",
        ["y", "x1"],
    )


def test_two_by_two(simulated, table):
    """feols(y ~ [x1 +] treat:post | id + period, base_did, cluster=~id)."""
    held = dk.DiD(covariates=("x1",)).fit(simulated, "y")
    matches(held.infer(CR1(factor="nested")), table.loc[("did2x2_fe_cl", "treat::1:post")])
    assert held.facts["coefficient_x1"] == pytest.approx(
        table.loc[("did2x2_fe_cl", "x1"), "estimate"], rel=1e-9
    )
    plain = dk.DiD().fit(simulated, "y").infer(CR1(factor="nested"))
    matches(plain, table.loc[("did2x2_nocov_cl", "treat:post")])


@pytest.mark.parametrize(
    ("case", "covariates", "inference"),
    [
        ("did2x2_ols_iid", (), dk.Conventional("iid")),
        ("did2x2_ols_hc1", (), dk.Conventional("hetero")),
        ("did2x2_ols_cl", ("x1",), CR1(factor="nested")),
    ],
)
def test_two_by_two_without_unit_effects(shared_reference, table, case, covariates, inference):
    """feols(y ~ treat*post [+ x1], base_did): rows as repeated cross-sections of two periods."""
    frame = data(shared_reference, "base_did")
    design = from_frame(
        frame.assign(start=np.where(frame["treat"] == 1, 1, np.nan)),
        None,
        "post",
        "start",
        ["y", "x1"],
        clusters="id",
    )
    made = dk.DiD(effects="cohort", covariates=covariates).fit(design, "y")
    matches(made.infer(inference), table.loc[(case, "treat:post")])


@pytest.mark.parametrize(
    ("case", "inference"),
    [("did_es_cl", CR1(factor="nested")), ("did_es_iid", dk.Conventional("iid"))],
)
def test_event_study(simulated, table, case, inference):
    """feols(y ~ x1 + i(period, treat, ref=5) | id + period, base_did, …)."""
    made = dk.EventStudy(time="calendar", covariates=("x1",)).fit(simulated, "y").infer(inference)
    for period in (1, 2, 3, 4, 6, 7, 8, 9, 10):
        matches(made, table.loc[(case, f"period::{period}:treat")], f"period {period}")


def test_event_study_before_the_start_together(simulated, table):
    """wald(m, 'period::[1-4]:') of the clustered event study."""
    row = table.loc[("did_es_wald_pre", "Wald_F")]
    made = dk.EventStudy(time="calendar", covariates=("x1",)).fit(simulated, "y")
    joint = CR1(factor="nested").joint(made, tuple(f"period {t}" for t in (1, 2, 3, 4)))
    assert joint.statistic == pytest.approx(row["estimate"], rel=1e-8)
    assert joint.p_value == pytest.approx(0.444723056430236, rel=1e-8)


@pytest.fixture(scope="module")
def staggered(shared_reference: Path) -> dk.Design:
    frame = data(shared_reference, "base_stagg")
    return from_frame(frame, "id", "year", "year_treated", ["y", "x1"], never=[10000])


def test_staggered(staggered, table):
    """feols(y ~ x1 + D | id + year, base_stagg, cluster=~id), and by time to treatment."""
    made = dk.DiD(covariates=("x1",)).fit(staggered, "y").infer(CR1(factor="nested"))
    matches(made, table.loc[("twfe_static_stagg", "D")])
    events = dk.EventStudy(covariates=("x1",)).fit(staggered, "y").infer(CR1(factor="nested"))
    rows = [term for term in table.loc["twfe_es_stagg"].index if term.startswith("time")]
    assert len(rows) == events.n_terms == 17
    for term in rows:
        e = int(term.split("::")[1].split(":")[0])
        name = f"event time {e:+d}" if e else "event time 0"
        matches(events, table.loc[("twfe_es_stagg", term)], name)


def test_counties(shared_reference, table):
    """feols(lemp ~ D | countyreal + year, mpdta, cluster=~countyreal)."""
    frame = data(shared_reference, "mpdta")
    design = from_frame(frame, "countyreal", "year", "first.treat", ["lemp"])
    made = dk.DiD().fit(design, "lemp").infer(CR1(factor="nested"))
    matches(made, table.loc[("mpdta_twfe", "D")])


def test_counties_as_repeated_cross_sections(shared_reference, table):
    """feols(lemp ~ D + lpop | first.treat + year, mrc, cluster=~countyreal)."""
    frame = data(shared_reference, "mpdta_rc")
    design = from_frame(frame, None, "year", "first.treat", ["lemp", "lpop"], clusters="countyreal")
    made = dk.DiD(effects="cohort", covariates=("lpop",)).fit(design, "lemp")
    matches(made.infer(CR1(factor="nested")), table.loc[("mpdta_rc_twfe", "D")])
    assert made.facts["coefficient_lpop"] == pytest.approx(
        table.loc[("mpdta_rc_twfe", "lpop"), "estimate"], rel=1e-9
    )
