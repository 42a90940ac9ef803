"""Degrees of freedom against the dense P, closed forms and simulation; Hotelling's F."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from didkit.errors import InferenceError
from didkit.linear import Normal, cr2, df_hotelling, df_satterthwaite, hotelling


@pytest.mark.parametrize("kind", ["CR0", "CR2", "CR3"])
@pytest.mark.parametrize("seed", range(5))
def test_satterthwaite_is_the_dense_formula(panel, dense, kind, seed):
    rows = panel(seed)
    theirs = dense(rows.full, rows.y, rows.unit, rows.full_terms, kind).df
    assert_allclose(df_satterthwaite(rows.absorbed, rows.terms, kind), theirs, rtol=1e-8)
    assert_allclose(df_satterthwaite(rows.explicit, rows.full_terms, kind), theirs, rtol=1e-8)


def test_cr1_has_the_degrees_of_cr0(rows):
    ours = [df_satterthwaite(rows.absorbed, rows.terms, kind) for kind in ("CR0", "CR1")]
    assert_allclose(*ours, rtol=0)


@pytest.mark.parametrize(("n1", "n0"), [(2, 2), (3, 147), (9, 141), (9, 9), (2, 1500)])
def test_two_samples_in_closed_form(n1, n0):
    """Known before the data, for two groups of known sizes."""
    X = np.column_stack([np.ones(n1 + n0), np.arange(n1 + n0) < n1])
    normal = Normal.from_rows(X, np.zeros(n1 + n0), np.arange(n1 + n0))
    closed = (1 / n1 + 1 / n0) ** 2 / (1 / (n1**2 * (n1 - 1)) + 1 / (n0**2 * (n0 - 1)))
    assert_allclose(df_satterthwaite(normal, [0, 1])[0], closed, rtol=1e-10)


def test_default_kind_is_cr2(rows):
    for df in (df_satterthwaite, df_hotelling):
        R = rows.terms[:2]
        assert_allclose(df(rows.absorbed, R), df(rows.absorbed, R, "CR2"), rtol=0)


def test_one_term_jointly_is_satterthwaite(rows):
    for kind in ("CR0", "CR1", "CR2", "CR3"):
        for k, df in enumerate(df_satterthwaite(rows.absorbed, rows.terms, kind)):
            joint = df_hotelling(rows.absorbed, rows.terms[k], kind)
            assert_allclose(joint, df, rtol=1e-9)


def test_joint_degrees_do_not_depend_on_the_basis(rows):
    R = rows.terms[:2]
    turned = np.array([[2.0, 1.0], [-1.0, 3.0]]) @ R
    assert_allclose(df_hotelling(rows.absorbed, turned), df_hotelling(rows.absorbed, R), rtol=1e-9)


def test_joint_degrees_by_simulation(rows):
    """eta = q (q+1) / total variance of the scaled covariance, 4,000 draws of white noise."""
    random = np.random.default_rng(11)
    R = rows.terms[:2]
    M = R @ rows.absorbed.M @ R.T  # E CR2 under the working model
    values, vectors = np.linalg.eigh(M)
    half = (vectors / np.sqrt(values)) @ vectors.T
    draws = [
        half
        @ cr2(
            Normal.from_rows(rows.X, random.normal(size=len(rows.y)), rows.unit, absorb=rows.unit),
            R,
        )
        @ half
        for _ in range(1000)
    ]
    eta = 6 / np.var(draws, axis=0).sum()
    assert df_hotelling(rows.absorbed, R) == pytest.approx(eta, rel=0.12)


def test_one_pilot_is_refused(panel):
    rows = panel(pilots=1)
    for df in (df_satterthwaite, df_hotelling):
        with pytest.raises(InferenceError, match="term 0 without cluster 0"):
            df(rows.absorbed, rows.terms[:1])
    assert np.isfinite(df_satterthwaite(rows.absorbed, rows.terms[:1], "CR1")).all()


def test_refusals(rows):
    with pytest.raises(InferenceError, match="one of CR0, CR1, CR2, CR3"):
        df_satterthwaite(rows.absorbed, rows.terms, "CR4")
    with pytest.raises(InferenceError, match="the expected covariance of the terms"):
        df_hotelling(rows.absorbed, rows.terms)  # the third is a mixture of the first two
    crossing = Normal.from_rows(rows.X, rows.y, rows.unit, absorb=rows.unit % 3)
    for kind in ("CR0", "CR2"):
        with pytest.raises(InferenceError, match="effects that cross clusters"):
            df_satterthwaite(crossing, rows.terms, kind)
    saturated = Normal.from_rows(np.eye(3), np.ones(3), [0, 1, 2])
    with pytest.raises(InferenceError, match=r"variance of 0 whatever the outcome: terms \[0\]"):
        df_satterthwaite(saturated, [1, 0, 0], "CR0")


def test_hotelling_of_one_term_is_t_squared():
    test = hotelling([1.3], [[0.25]], df=4.7)
    assert_allclose(test.statistic, 1.3**2 / 0.25, rtol=1e-12)
    assert_allclose(test.p_value, 2 * stats.t.sf(1.3 / 0.5, 4.7), rtol=1e-12)


def test_hotelling_is_exact_for_a_wishart():
    """The textbook one-sample T-squared: mean of n normal vectors, nu = n - 1."""
    random = np.random.default_rng(4)
    p, draws = [], 2000
    for _ in range(draws):
        x = random.normal(size=(8, 3)) @ np.diag([1.0, 5.0, 0.1])
        p.append(hotelling(x.mean(axis=0), np.cov(x.T) / 8, df=7).p_value)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    x = random.normal(size=(8, 3))
    d, V = x.mean(axis=0), np.cov(x.T) / 8
    expected = (8 - 3) / (3 * 7) * d @ np.linalg.solve(V, d)
    test = hotelling(d, V, df=7)
    assert_allclose((test.statistic, test.df_num, test.df_denom), (expected, 3, 5), rtol=1e-10)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([1.0, 2.0, 3.0], np.eye(3), 2.0), "more than 2 degrees of freedom"),
        (([1.0], [[1.0]], np.inf), "and finite"),
        (([1.0, 2.0], np.ones((2, 2)), 9.0), "a singular one: 2 terms"),
        (([1.0, 2.0], np.diag([1.0, 0.0]), 9.0), "a singular one"),
        (([1.0, np.nan], np.eye(2), 9.0), "every number finite"),
        (([1.0, 2.0], np.eye(3), 9.0), r"shapes \(2,\) and \(3, 3\)"),
        (([], np.zeros((0, 0)), 9.0), "shapes"),
    ],
)
def test_hotelling_refuses(given, message):
    with pytest.raises(InferenceError, match=message):
        hotelling(*given)
