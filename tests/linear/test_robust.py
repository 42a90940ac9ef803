"""CR0 to CR3 against statsmodels, linearmodels, dense formulas, Welch and deletion."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from linearmodels.iv import AbsorbingLS
from linearmodels.panel import PanelOLS
from numpy.testing import assert_allclose

from didkit.errors import InferenceError
from didkit.linear import Normal, cr0, cr1, cr2, cr3, cr3j, delete_one, small_sample_factor

RTOL = 1e-10


def two_samples(n1, n0, seed=3):
    random = np.random.default_rng(seed)
    y = np.concatenate([random.normal(1, 2, n1), random.normal(0, 1, n0)])
    X = np.column_stack([np.ones(n1 + n0), np.arange(n1 + n0) < n1])
    return X, y


def test_cr0_and_cr1_full_are_statsmodels(rows):
    """sm.OLS(y, [X, unit dummies]).fit(cov_type="cluster", groups=unit)."""
    model = sm.OLS(rows.y, rows.full)
    keep = np.s_[: rows.X.shape[1], : rows.X.shape[1]]
    for correct, ours in (
        (False, cr0(rows.absorbed, np.eye(rows.X.shape[1]))),
        (True, cr1(rows.absorbed, np.eye(rows.X.shape[1]), "full")),
    ):
        fit = model.fit(
            cov_type="cluster", cov_kwds={"groups": rows.unit, "use_correction": correct}
        )
        theirs = fit.cov_params()[keep]
        assert_allclose(ours, theirs, rtol=RTOL, atol=RTOL * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("options", "ours"),
    [
        ({}, lambda n: (n.n_obs) / (n.n_obs - n.n_params)),
        ({"debiased": False}, lambda n: 1.0),
        (
            {"group_debias": True},
            lambda n: n.n_clusters / (n.n_clusters - 1) * (n.n_obs - 1) / (n.n_obs - n.n_params),
        ),
        (
            {"group_debias": True, "auto_df": False, "count_effects": True},
            lambda n: small_sample_factor(n, "full"),
        ),
    ],
)
def test_factor_of_linearmodels(rows, options, ours):
    """PanelOLS(y, X, entity_effects=True).fit(cov_type="clustered", cluster_entity=True, ...)."""
    time = np.arange(len(rows.y))
    index = pd.MultiIndex.from_arrays([rows.unit, time])
    y, X = pd.Series(rows.y, index), pd.DataFrame(rows.X, index)
    fit = PanelOLS(y, X, entity_effects=True).fit(
        cov_type="clustered", cluster_entity=True, **options
    )
    n = rows.absorbed
    assert_allclose(ours(n) * np.diag(cr0(n, np.eye(n.n_params))), np.diag(fit.cov), rtol=1e-9)


def test_factor_of_absorbing_ls(rows):
    """AbsorbingLS(y, X, absorb=unit).fit(cov_type="clustered", clusters=unit): CR0."""
    R = np.eye(rows.X.shape[1])
    absorb = pd.DataFrame({"unit": pd.Categorical(rows.unit)})
    fit = AbsorbingLS(pd.Series(rows.y), pd.DataFrame(rows.X), absorb=absorb).fit(
        cov_type="clustered", clusters=pd.Series(rows.unit)
    )
    assert_allclose(np.diag(cr0(rows.absorbed, R)), np.diag(fit.cov), rtol=1e-8)


def test_factors_are_what_they_say(rows):
    n = rows.absorbed
    G, N, p = n.n_clusters, n.n_obs, n.n_params
    assert small_sample_factor(n) == G / (G - 1)
    assert small_sample_factor(n, "full") == pytest.approx(G / (G - 1) * (N - 1) / (N - p - G))
    assert small_sample_factor(n, "nested") == pytest.approx(G / (G - 1) * (N - 1) / (N - p - 1))
    plain = rows.explicit
    assert small_sample_factor(plain, "nested") == small_sample_factor(plain, "full")
    assert small_sample_factor(plain, "full") == small_sample_factor(n, "full")
    assert_allclose(
        cr1(n, rows.terms, "nested"), small_sample_factor(n, "nested") * cr0(n, rows.terms)
    )


@pytest.mark.parametrize("kind", ["CR2", "CR3"])
@pytest.mark.parametrize("seed", range(5))
def test_cr2_and_cr3_are_the_dense_formula(panel, dense, kind, seed):
    """Unit dummies as columns, (I - H_gg)^(-1/2) cluster by cluster, pseudo-inverse."""
    rows = panel(seed)
    ours = {"CR2": cr2, "CR3": cr3}[kind]
    theirs = dense(rows.full, rows.y, rows.unit, rows.full_terms, kind).covariance
    assert_allclose(ours(rows.absorbed, rows.terms), theirs, rtol=1e-8)
    assert_allclose(ours(rows.explicit, rows.full_terms), theirs, rtol=1e-8)


def test_several_units_in_a_cluster(rows, dense):
    region = rows.unit % 5
    normal = Normal.from_rows(rows.X, rows.y, region, absorb=rows.unit)
    for ours, kind in ((cr0, "CR0"), (cr2, "CR2"), (cr3, "CR3")):
        theirs = dense(rows.full, rows.y, region, rows.full_terms, kind).covariance
        assert_allclose(ours(normal, rows.terms), theirs, rtol=1e-8)


def test_cr2_is_unbiased_under_equal_independent_errors(rows, dense):
    """E V = sum P_gg = c' M c, exactly, whatever the design."""
    trace = np.trace(
        dense(rows.full, rows.y, rows.unit, rows.full_terms, "CR2").P, axis1=1, axis2=2
    )
    n = rows.absorbed
    assert_allclose(np.einsum("ki,ij,kj->k", rows.terms, n.M, rows.terms), trace, rtol=1e-9)


@pytest.mark.parametrize(("n1", "n0"), [(2, 2), (3, 147), (9, 141), (9, 9)])
def test_cr2_of_two_samples_is_welch(n1, n0):
    X, y = two_samples(n1, n0)
    welch = y[:n1].var(ddof=1) / n1 + y[n1:].var(ddof=1) / n0
    normal = Normal.from_rows(X, y, np.arange(n1 + n0))
    assert_allclose(cr2(normal, [0, 1])[0, 0], welch, rtol=RTOL)


def test_cr2_of_a_balanced_panel_is_welch_on_long_differences():
    """One start date: two-way fixed effects is a two-sample comparison of W_j."""
    random = np.random.default_rng(0)
    n1, n0, T, before = 4, 11, 7, 4
    G = n1 + n0
    Y = random.normal(size=(G, T)).cumsum(axis=1) + random.normal(size=(G, 1))
    unit, period = np.repeat(np.arange(G), T), np.tile(np.arange(T), G)
    X = np.column_stack(
        [(unit < n1) & (period >= before), period[:, None] == np.arange(1, T)]
    ).astype(float)
    normal = Normal.from_rows(X, Y.ravel(), unit, absorb=unit)
    W = Y[:, before:].mean(axis=1) - Y[:, :before].mean(axis=1)
    term = np.eye(T)[0]
    assert_allclose(normal.beta[0], W[:n1].mean() - W[n1:].mean(), rtol=RTOL)
    assert_allclose(
        cr2(normal, term)[0, 0], W[:n1].var(ddof=1) / n1 + W[n1:].var(ddof=1) / n0, rtol=RTOL
    )


def test_cr1_of_two_samples_in_closed_form():
    X, y = two_samples(5, 20)
    parts = ((y[:5] - y[:5].mean()) ** 2).sum() / 25 + ((y[5:] - y[5:].mean()) ** 2).sum() / 400
    normal = Normal.from_rows(X, y, np.arange(25))
    assert_allclose(cr1(normal, [0, 1])[0, 0], 25 / 24 * parts, rtol=RTOL)


def test_cr3_is_the_spread_of_deletions(rows):
    n = rows.absorbed
    moved = delete_one(n, rows.terms) - rows.terms @ n.beta
    assert_allclose(cr3(n, rows.terms), moved.T @ moved, rtol=RTOL)
    G = n.n_clusters
    assert_allclose(cr3j(n, rows.terms), (G - 1) / G * moved.T @ moved, rtol=RTOL)


def test_the_kinds_are_ordered(rows):
    v0, v2, v3 = (np.diag(cr(rows.absorbed, rows.terms)) for cr in (cr0, cr2, cr3))
    assert (v0 < v2).all()
    assert (v2 < v3).all()


def test_the_standard_error_moves_with_the_pilots(rows):
    """Direction: more noise in the pilots, larger standard errors of every kind."""
    pilot = rows.unit < 4
    noise = np.random.default_rng(5).normal(size=len(rows.y)) * pilot * 20
    noisy = Normal.from_rows(rows.X, rows.y + noise, rows.unit, absorb=rows.unit)
    for cr in (cr0, cr1, cr2, cr3, cr3j):
        assert cr(noisy, rows.terms)[0, 0] > 2 * cr(rows.absorbed, rows.terms)[0, 0]


@pytest.mark.parametrize("cr", [cr2, cr3, cr3j])
def test_one_pilot_is_refused_by_name(panel, cr):
    rows = panel(pilots=1)
    labels = np.array([f"LA{u:02d}" for u in rows.unit])
    normal = Normal.from_rows(rows.X, rows.y, labels, absorb=labels)
    with pytest.raises(InferenceError) as caught:
        cr(normal, rows.terms[:1])
    text = str(caught.value)
    assert "not identified: 1 (term 0 without cluster LA00)" in text
    assert "permutation" in text
    cr(normal, rows.terms[1:2])  # the covariate is in every unit


def test_a_lost_nuisance_parameter_does_no_harm(rows, dense):
    """A dummy carried by one cluster alone: that cluster's rows of it drop out, R stays."""
    only = ((rows.unit == 2) & (rows.X[:, 3] == 1)).astype(float)
    X = np.column_stack([rows.X, only])
    R = np.column_stack([rows.terms, np.zeros(3)])
    normal = Normal.from_rows(X, rows.y, rows.unit, absorb=rows.unit)
    full, full_R = (
        np.column_stack([rows.full, only]),
        np.column_stack([rows.full_terms, np.zeros(3)]),
    )
    for cr, kind in ((cr2, "CR2"), (cr3, "CR3")):
        theirs = dense(full, rows.y, rows.unit, full_R, kind).covariance
        assert_allclose(cr(normal, R), theirs, rtol=1e-8)
    with pytest.raises(InferenceError, match="term 0 without cluster 2"):
        cr2(normal, np.eye(X.shape[1])[-1])


def test_one_cluster_and_no_degree_of_freedom_are_refused():
    one = Normal.from_rows(np.ones((3, 1)), [1.0, 2.0, 4.0], [0, 0, 0])
    for cr in (cr0, cr1, cr2, cr3, cr3j):
        with pytest.raises(InferenceError, match="at least 2 clusters"):
            cr(one, [1])
    full = Normal.from_rows(np.eye(2), [1.0, 2.0], [0, 1])
    with pytest.raises(InferenceError, match="2 rows, K = 2"):
        cr1(full, [1, 0], "full")


def test_an_unknown_factor_is_refused(rows):
    with pytest.raises(InferenceError, match="one of clusters, full, nested"):
        cr1(rows.absorbed, rows.terms, "stata")
