"""Leverage, effective clusters and deletion against brute force and closed forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from didkit.errors import InferenceError
from didkit.linear import (
    Normal,
    delete_one,
    effective_clusters,
    leverage,
    partial_leverage,
    sole_identifier,
)


def one_start(n1, n0, T=5, before=3):
    unit, period = np.repeat(np.arange(n1 + n0), T), np.tile(np.arange(T), n1 + n0)
    treated = (unit < n1) & (period >= before)
    X = np.column_stack([treated, period[:, None] == np.arange(1, T)]).astype(float)
    return Normal.from_rows(X, np.zeros(len(unit)), unit, absorb=unit)


def test_leverage_is_the_trace_of_the_hat_matrix(rows):
    H = rows.full @ np.linalg.pinv(rows.full)
    direct = [np.trace(H[np.ix_(own, own)]) for own in (rows.unit == u for u in range(12))]
    assert_allclose(leverage(rows.explicit), direct, rtol=1e-10)
    assert_allclose(leverage(rows.absorbed) + 1, direct, rtol=1e-10)


def test_partial_leverage_is_the_share_of_the_residualised_regressor(rows):
    others = np.delete(rows.full, 0, axis=1)
    x = rows.full[:, 0] - others @ np.linalg.lstsq(others, rows.full[:, 0], rcond=None)[0]
    direct = np.bincount(rows.unit, weights=x**2) / (x @ x)
    assert_allclose(partial_leverage(rows.absorbed, rows.terms)[:, 0], direct, rtol=1e-10)
    assert_allclose(partial_leverage(rows.absorbed, rows.terms).sum(axis=0), 1, rtol=1e-12)


@pytest.mark.parametrize(("n1", "n0"), [(9, 141), (3, 147), (1, 149), (4, 4), (2, 5)])
def test_one_start_date_in_closed_form(n1, n0):
    """Closed form with one start and a balanced panel."""
    normal, G = one_start(n1, n0), n1 + n0
    term = np.eye(normal.n_params)[0]
    shares = partial_leverage(normal, term)[:, 0]
    assert_allclose(shares[:n1], n0 / (G * n1), rtol=1e-10)
    assert_allclose(shares[n1:], n1 / (G * n0), rtol=1e-10)
    effective = G**2 / (n0**2 / n1 + n1**2 / n0)
    assert_allclose(effective_clusters(normal, term), [effective], rtol=1e-10)


def test_nine_against_141_is_ten_clusters():
    normal = one_start(9, 141)
    assert effective_clusters(normal, np.eye(5)[0])[0] == pytest.approx(10.2, abs=0.05)


def test_equal_clusters_are_all_effective():
    normal = Normal.from_rows(np.ones((6, 1)), np.zeros(6), [0, 0, 1, 1, 2, 2])
    assert_allclose(effective_clusters(normal, [1]), [3.0])


@pytest.mark.parametrize("seed", range(3))
def test_delete_one_is_a_refit(panel, seed):
    """Brute force: least squares with unit dummies on the rows of the others."""
    rows = panel(seed)
    p = rows.X.shape[1]
    direct = []
    for u in np.unique(rows.unit):
        keep = rows.unit != u
        full = rows.full[keep][:, np.r_[:p, p + np.flatnonzero(np.unique(rows.unit) != u)]]
        beta = np.linalg.lstsq(full, rows.y[keep], rcond=None)[0][:p]
        direct.append(rows.terms @ beta)
    assert_allclose(delete_one(rows.absorbed, rows.terms), direct, rtol=1e-10)
    assert_allclose(delete_one(rows.explicit, rows.full_terms), direct, rtol=1e-9)


def test_deletion_that_loses_a_term_names_it(panel):
    rows = panel(pilots=1)
    assert sole_identifier(rows.absorbed, rows.terms).tolist() == [
        [g == 0, False, g == 0] for g in range(9)
    ]
    with pytest.raises(InferenceError) as caught:
        delete_one(rows.absorbed, rows.terms)
    text = str(caught.value)
    assert "2 (term 0 without cluster 0, term 2 without cluster 0)" in text
    assert "where: estimates without each cluster" in text


@pytest.mark.parametrize("seed", range(6))
def test_sole_identifiers_among_nearly_collinear_regressors(seed):
    """Shares of 1 come out as 1 - 2e-7 here: the tolerance follows the condition number."""
    random = np.random.default_rng(seed)
    unit = np.repeat(np.arange(6), 12)
    a, noise = random.normal(size=(2, 72))
    Z = np.column_stack([a, a + 3e-5 * noise])
    X = np.column_stack([Z, (unit == 0)[:, None] * Z])
    lost = sole_identifier(Normal.from_rows(X, noise, unit), np.eye(4))
    assert lost.tolist() == [[False, False, g == 0, g == 0] for g in range(6)]


def test_sole_identifier_beside_a_polynomial():
    random = np.random.default_rng(8)
    unit = np.repeat(np.arange(6), 12)
    t = np.tile(np.linspace(0, 1, 12), 6)
    X = np.column_stack([(unit == 0) & (t > 0.5), np.vander(t, 5)])
    normal = Normal.from_rows(X, random.normal(size=72), unit)
    lost = sole_identifier(normal, np.eye(6))
    assert lost[:, 0].tolist() == [True] + [False] * 5
    assert not lost[:, 1:].any()


def test_effects_that_cross_clusters_are_refused(rows):
    crossing = Normal.from_rows(rows.X, rows.y, rows.unit, absorb=rows.unit % 3)
    for refused in (leverage, lambda n: delete_one(n, rows.terms)):
        with pytest.raises(InferenceError, match="cross clusters"):
            refused(crossing)
