"""Against clubSandwich 0.6.0, summclust 0.7.0 and fixest 0.14.2 (R), call by call.

Each expected number is read from a row of ../shared/reference/*.csv; the `call` column of that
row is the R call that made it, and is asserted here to be the one that the test reproduces.
Standard errors to rtol 1e-7; degrees of freedom and p-values of CR2 to 1e-6 (MANIFEST.md).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from didkit.linear import (
    Normal,
    cr0,
    cr1,
    cr2,
    cr3,
    cr3j,
    delete_one,
    df_hotelling,
    df_satterthwaite,
    hotelling,
    leverage,
    partial_leverage,
)
from didkit.linear.roots import inverse_root

TEN = ["Alabama", "Alaska", "Arizona", "Florida", "Georgia"]
TEN += ["California", "New York", "Ohio", "Illinois", "Hawaii"]
SIX = ["Florida", "Texas", "California", "New York", "Illinois", "Maine"]
LM = "m <- lm(l_homicide ~ post + factor(state) + factor(year), data="
PLM = "m <- plm(l_homicide ~ post + factor(year), data="
RTOL_SE, RTOL_DF = 1e-7, 1e-6


@pytest.fixture(scope="module")
def castle(shared_reference):
    return pd.read_csv(shared_reference / "data" / "castle.csv")


@pytest.fixture(scope="module")
def base_did(shared_reference):
    return pd.read_csv(shared_reference / "data" / "base_did.csv")


@pytest.fixture(scope="module")
def club(shared_reference):
    return pd.read_csv(shared_reference / "clubSandwich.csv").set_index("case")


def dummies(values):
    """R's factor(): every level but the first."""
    return (values.to_numpy()[:, None] == np.unique(values)[1:]).astype(float)


def extra(row):
    return dict(pair.split("=") for pair in row["extra"].split(";"))


def lm(data, *columns):
    """lm(l_homicide ~ ... + factor(state) + factor(year)), terms first; clusters are states."""
    X = np.column_stack(
        [*columns, np.ones(len(data)), dummies(data["state"]), dummies(data["year"])]
    )
    return Normal.from_rows(X, data["l_homicide"], data["state"].to_numpy(dtype=str))


def within(data, *columns):
    """plm(..., index = state, model = "within"), terms first: states absorbed."""
    X = np.column_stack([*columns, dummies(data["year"])])
    state = data["state"].to_numpy(dtype=str)
    return Normal.from_rows(X, data["l_homicide"], state, absorb=state)


def first(normal, k=1):
    return np.eye(normal.n_params)[:k]


def covariance(normal, R, kind):
    if kind == "CR1S":
        return cr1(normal, R, "full")
    return {"CR0": cr0, "CR1": cr1, "CR2": cr2, "CR3": cr3}[kind](normal, R)


def agree(club, spec, kind, call, normal, R):
    """One spec of coef_test(vcov = vcovCR(type = kind), test = "Satterthwaite")."""
    found = club.loc[[f"{spec}__{kind}__Satterthwaite"]]
    assert found["call"].str.startswith(call).all()
    assert found["call"].str.contains(f"type='{kind}'), test='Satterthwaite'", regex=False).all()
    assert len(found) == len(R)
    facts = pd.DataFrame([extra(row) for _, row in found.iterrows()]).astype(float)
    se = np.sqrt(np.diag(covariance(normal, R, kind)))
    df = df_satterthwaite(normal, R, "CR1" if kind == "CR1S" else kind)
    assert_allclose(R @ normal.beta, found["estimate"], rtol=RTOL_SE)
    assert_allclose(se, found["std_error"], rtol=RTOL_SE)
    assert_allclose(df, facts["df"], rtol=RTOL_DF)
    p = 2 * stats.t.sf(np.abs(R @ normal.beta) / se, df)
    assert_allclose(p, facts["p"], rtol=RTOL_DF)


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR1S", "CR2"])
@pytest.mark.parametrize(
    ("spec", "states"), [("cs_castle10_twfe", TEN), ("cs_castle50_twfe", None)]
)
@pytest.mark.parametrize("effects", ["columns", "absorbed"])
def test_two_way_fixed_effects(club, castle, spec, states, kind, effects):
    """lm(l_homicide ~ post + factor(state) + factor(year)); vcovCR(m, cluster=state)."""
    data = castle if states is None else castle[castle["state"].isin(states)]
    normal = (lm if effects == "columns" else within)(data, data["post"])
    agree(club, spec, kind, LM, normal, first(normal))


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR1S", "CR2", "CR3"])
@pytest.mark.parametrize(("spec", "states"), [("cs_castle10_plm", TEN), ("cs_castle6_plm", SIX)])
def test_absorbed_states(club, castle, spec, states, kind):
    """plm(l_homicide ~ post + factor(year), model="within"); CR1S there has K = p alone."""
    data = castle[castle["state"].isin(states)]
    normal = within(data, data["post"])
    if kind == "CR1S":
        normal = Normal(normal.A, normal.b, normal.yy, normal.n_obs)
    agree(club, spec, kind, PLM, normal, first(normal))


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR1S", "CR2", "CR3"])
@pytest.mark.parametrize("covariate", [False, True])
def test_two_by_two(club, base_did, kind, covariate):
    """lm(y ~ [x1 +] treat*post, data=base_did); vcovCR(m, cluster=base_did$id)."""
    treat, post = base_did["treat"], base_did["post"]
    head = [base_did["x1"]] if covariate else []
    X = np.column_stack([*head, treat * post, np.ones(len(treat)), treat, post])
    normal = Normal.from_rows(X, base_did["y"], base_did["id"])
    spec = "cs_did2x2_x1" if covariate else "cs_did2x2"
    call = f"m <- lm(y ~ {'x1 + ' if covariate else ''}treat*post"
    agree(club, spec, kind, call, normal, first(normal, 1 + covariate))


EVENTS = (-4, -3, -2, 0, 1, 2)


def event_study(castle, build):
    """rel = year-gvar clipped to [-4,2], never-treated set to -1, reference -1."""
    data = castle[castle["state"].isin(TEN)]
    rel = np.where(data["gvar"] > 0, (data["year"] - data["gvar"]).clip(-4, 2), -1)
    return build(data, *[(rel == e).astype(float) for e in EVENTS])


@pytest.mark.parametrize("build", [lm, within])
@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR1S", "CR2"])
def test_event_study(club, castle, build, kind):
    """lm(l_homicide ~ rel + factor(state) + factor(year)); coefs rel-4 .. rel2."""
    normal = event_study(castle, build)
    call = "m <- lm(l_homicide ~ rel + factor(state) + factor(year), data=c10)"
    agree(club, "cs_castle10_es", kind, call, normal, first(normal, 6))


def test_mean_of_post_coefficients(club, castle):
    """linear_contrast(m, vcov=CR2 by state, contrasts=mean of rel0..rel2)."""
    normal = event_study(castle, lm)
    R = first(normal, 6)[3:].mean(axis=0)
    row = club.loc["cs_castle10_contrast_avgpost"]
    assert "linear_contrast(m, vcov=CR2 by state, contrasts=mean of rel0..rel2" in row["call"]
    assert_allclose(R @ normal.beta, row["estimate"], rtol=RTOL_SE)
    assert_allclose(np.sqrt(cr2(normal, R)[0, 0]), row["std_error"], rtol=RTOL_SE)
    assert_allclose(df_satterthwaite(normal, R), float(extra(row)["df"]), rtol=RTOL_DF)


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR1S", "CR2"])
@pytest.mark.parametrize(("which", "terms"), [("lead", np.s_[:3]), ("post", np.s_[3:6])])
def test_joint_tests(club, castle, kind, which, terms):
    """Wald_test(m, constrain_zero(...), vcov=vcovCR(type=...), test="HTZ")."""
    normal = event_study(castle, lm)
    R = first(normal, 6)[terms]
    row = club.loc[f"cs_castle10_wald_{which}__{kind}__HTZ"]
    assert f"vcov=vcovCR(m,cluster=c10$state,type='{kind}'), test='HTZ'" in row["call"]
    facts = extra(row)
    nu = df_hotelling(normal, R, "CR1" if kind == "CR1S" else kind)
    test = hotelling(R @ normal.beta, covariance(normal, R, kind), nu)
    assert_allclose(test.df_denom, float(facts["df_denom"]), rtol=RTOL_DF)
    assert_allclose(test.statistic, row["estimate"], rtol=RTOL_DF)
    assert_allclose(test.p_value, float(facts["p"]), rtol=RTOL_DF)
    assert test.df_num == int(facts["df_num"]) == 3


@pytest.fixture(scope="module")
def summclust(shared_reference):
    found = pd.read_csv(shared_reference / "summclust.csv")
    call = "summclust(lm(l_homicide ~ post + factor(year) + factor(state), castle), params=~post"
    assert found["call"].str.startswith(call).all()
    return found.set_index("term")


def by_state(summclust, what, normal):
    return summclust.loc[[f"{what}|{state}" for state in normal.labels], "estimate"]


@pytest.mark.parametrize("build", [lm, within])
def test_summclust(summclust, castle, build):
    """summclust(lm(...), params=~post, cluster=~state): leverage, deletion, CRV3."""
    normal = build(castle, castle["post"])
    R = first(normal)
    counted = leverage(normal) + (build is within)  # the absorbed effect of each state
    assert_allclose(counted, by_state(summclust, "leverage", normal), rtol=RTOL_SE)
    assert_allclose(
        partial_leverage(normal, R)[:, 0],
        by_state(summclust, "partial_leverage", normal),
        rtol=RTOL_SE,
    )
    assert_allclose(
        delete_one(normal, R)[:, 0], by_state(summclust, "beta_without", normal), rtol=RTOL_SE
    )
    row = summclust.loc["estimate_crv3"]
    assert_allclose(R @ normal.beta, row["estimate"], rtol=RTOL_SE)
    assert_allclose(np.sqrt(cr3j(normal, R)[0, 0]), row["std_error"], rtol=RTOL_SE)


@pytest.mark.parametrize(
    ("case", "factor", "ssc"),
    [
        ("castle_twfe__cl_state", "nested", "cluster=~state)"),
        ("castle_twfe__cl_Kfull", "full", "ssc=ssc(K.fixef='full'))"),
        ("castle_twfe__cl_noKadj", "clusters", "ssc=ssc(K.adj=FALSE))"),
        ("castle_twfe__cl_noadj", None, "ssc=ssc(K.adj=FALSE, G.adj=FALSE))"),
        ("castle_twfe__cl_region", "nested", "vcov=~region)"),
    ],
)
def test_factors_of_fixest(shared_reference, castle, case, factor, ssc):
    """feols(l_homicide ~ post | state + year, castle, cluster=~state) and its ssc()."""
    found = pd.read_csv(shared_reference / "fixest.csv").set_index("case").loc[case]
    assert found["call"].endswith(ssc)
    normal = within(castle, castle["post"])
    if "region" in ssc:
        X = np.column_stack([castle["post"], dummies(castle["year"])])
        region = castle[["northeast", "midwest", "south", "west"]].to_numpy().argmax(axis=1)
        normal = Normal.from_rows(X, castle["l_homicide"], region, absorb=castle["state"])
    R = first(normal)
    V = cr0(normal, R) if factor is None else cr1(normal, R, factor)
    assert_allclose(np.sqrt(V[0, 0]), found["std_error"], rtol=RTOL_SE)


def test_dummies_are_well_conditioned(castle):
    """61 columns: the root is a root."""
    normal = lm(castle, castle["post"])
    root = inverse_root(normal.total)
    assert root is not None
    assert np.abs(root.T @ normal.total @ root - np.eye(61)).max() < 1e-11
