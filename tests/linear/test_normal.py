"""The normal equations: sums, sweeping, refusals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from didkit.errors import EstimationError, InferenceError
from didkit.linear import Normal, cr0, cr1, cr2, partial_leverage
from didkit.linear.roots import dependence, inverse_root


def test_coefficients_are_least_squares(rows):
    exact = np.linalg.lstsq(rows.full, rows.y, rcond=None)[0]
    assert_allclose(rows.explicit.beta, exact, rtol=1e-10)
    assert_allclose(rows.absorbed.beta, exact[: rows.X.shape[1]], rtol=1e-10)


def test_no_noise_gives_the_exact_effect(rows):
    truth = np.array([3.0, -1.0, *range(rows.X.shape[1] - 2)])
    y = rows.X @ truth + 10 * rows.unit
    assert_allclose(
        Normal.from_rows(rows.X, y, rows.unit, absorb=rows.unit).beta, truth, atol=1e-12
    )


def test_inverse_on_badly_scaled_columns(rows):
    """Equilibration: scaling columns by 1e-9 .. 1e9 scales the answer and nothing else."""
    scale = np.logspace(-9, 9, rows.X.shape[1])
    scaled = Normal.from_rows(rows.X * scale, rows.y, rows.unit, absorb=rows.unit)
    assert_allclose(scaled.beta * scale, rows.absorbed.beta, rtol=1e-10)
    assert_allclose(scaled.M * np.outer(scale, scale), rows.absorbed.M, rtol=1e-9, atol=1e-15)


def test_root_of_an_ill_conditioned_matrix():
    """Powers of t to the fifth (cond 1e7): S' A S = I to what A itself allows."""
    X = np.vander(np.linspace(0, 1, 60), 6, increasing=True)
    root = inverse_root(X.T @ X)
    assert root is not None
    assert np.abs(root.T @ (X.T @ X) @ root - np.eye(6)).max() < 1e-8


def test_refinement_makes_the_scores_cancel():
    """One step leaves A beta = b to rounding of b, however ill-conditioned A (cond 1e11)."""
    t = np.tile(np.linspace(0, 1, 12), 6)
    X = np.vander(t, 8)
    y = np.exp(t) + np.random.default_rng(1).normal(size=72)
    normal = Normal.from_rows(X, y, np.repeat(np.arange(6), 12))
    size = np.abs(normal.total) @ np.abs(normal.beta) + np.abs(normal.b.sum(axis=0))
    left = normal.b.sum(axis=0) - normal.total @ normal.beta
    assert np.max(np.abs(left) / size) < 1e-13


def test_sweeping_twice_removes_the_rounding_of_the_means():
    """Unit effects of 2^44 beside an outcome of order 1, all exact in binary."""
    unit = np.repeat(np.arange(5), 7)
    y = np.random.default_rng(6).integers(-9, 9, 35).astype(float)
    x = np.arange(35.0) % 4
    effect = 2.0**44 * (unit + 1)
    small = Normal.from_rows(x[:, None], y, unit, absorb=unit)
    large = Normal.from_rows(x[:, None], y + effect, unit, absorb=unit)
    assert_allclose(large.yy, small.yy, rtol=1e-9)


def test_a_cluster_that_is_nearly_alone():
    """All but 1e-12 of the information counts as all of it; all but 1e-8 does not."""
    for rest, alone in ((1e-12, True), (1e-8, False)):
        A = np.array([1 - rest, rest / 2, rest / 2]).reshape(3, 1, 1)
        values, _ = Normal(A, np.ones((3, 1)), np.ones(3), 9).shares
        assert (values[0, 0] == 1.0) == alone


def test_sums_by_cluster(rows):
    normal = rows.explicit
    assert normal.labels == tuple(str(u) for u in np.unique(rows.unit))
    for g, u in enumerate(np.unique(rows.unit)):
        own = rows.unit == u
        assert_allclose(normal.A[g], rows.full[own].T @ rows.full[own])
        assert_allclose(normal.b[g], rows.full[own].T @ rows.y[own])
        assert_allclose(normal.yy[g], rows.y[own] @ rows.y[own])
    assert (normal.n_obs, normal.n_absorbed, normal.nested) == (len(rows.y), 0, True)


def test_scores_are_regressors_times_residuals(rows):
    e = rows.y - rows.full @ rows.explicit.beta
    for g, u in enumerate(np.unique(rows.unit)):
        own = rows.unit == u
        assert_allclose(rows.explicit.scores[g], rows.full[own].T @ e[own], atol=1e-9)


def test_swept_sum_of_squares_of_the_outcome(rows):
    own = rows.unit == 0
    assert_allclose(rows.absorbed.yy[0], ((rows.y[own] - rows.y[own].mean()) ** 2).sum())
    assert rows.absorbed.n_absorbed == len(np.unique(rows.unit))


def test_nesting_is_found_not_asked(rows):
    region = rows.unit % 3
    assert Normal.from_rows(rows.X, rows.y, region, absorb=rows.unit).nested
    assert not Normal.from_rows(rows.X, rows.y, rows.unit, absorb=region).nested


def test_effects_that_cross_clusters_allow_cr1_only(rows):
    """Absorb regions, cluster on units: CR1 and partial leverage as with region dummies."""
    region = rows.unit % 3
    swept = Normal.from_rows(rows.X, rows.y, rows.unit, absorb=region)
    dummies = (region[:, None] == np.arange(3)).astype(float)
    explicit = Normal.from_rows(np.column_stack([rows.X, dummies]), rows.y, rows.unit)
    R = np.column_stack([rows.terms, np.zeros((3, 3))])
    assert_allclose(cr0(swept, rows.terms), cr0(explicit, R), rtol=1e-9)
    assert_allclose(cr1(swept, rows.terms, "nested"), cr1(explicit, R, "full"), rtol=1e-9)
    assert_allclose(partial_leverage(swept, rows.terms), partial_leverage(explicit, R), rtol=1e-9)
    with pytest.raises(InferenceError, match="effects that cross clusters"):
        cr2(swept, rows.terms)


def test_strings_and_integers_are_the_same_clusters(rows):
    names = np.array([f"unit {u:02d}" for u in rows.unit])
    named = Normal.from_rows(rows.X, rows.y, names, absorb=names.astype(object))
    assert named.labels[:2] == ("unit 00", "unit 01")
    assert_allclose(named.A, rows.absorbed.A)


def test_arrays_cannot_be_written(rows):
    with pytest.raises(ValueError, match="read-only"):
        rows.absorbed.A[0, 0, 0] = 1.0


def test_the_callers_arrays_are_left_alone(rows):
    A = np.array(rows.absorbed.A)
    Normal(A, rows.absorbed.b, rows.absorbed.yy, 50)
    A[0, 0, 0] += 1.0


def test_collinear_columns_are_named(rows):
    X = np.column_stack([rows.X[:, :2], rows.X[:, 0] - 3 * rows.X[:, 1]])
    with pytest.raises(EstimationError) as caught:
        Normal.from_rows(X, rows.y, rows.unit, names=("treated", "income", "both"))
    text = str(caught.value)
    assert "column 2 (both) is a combination of column 0 (treated) and column 1 (income)" in text
    assert "needed: regressors of which none is a combination of the others" in text
    assert "what to do: leave these columns out" in text


def test_columns_that_the_effects_hold_are_named(rows):
    wobble = 1e-15 * np.random.default_rng(3).normal(size=len(rows.y))
    X = np.column_stack([rows.X, np.sqrt(rows.unit + 0.1) * (1 + wobble)])
    with pytest.raises(EstimationError, match=rf"column {X.shape[1] - 1} is all zero") as caught:
        Normal.from_rows(X, rows.y, rows.unit, absorb=rows.unit)
    assert "once absorbed effects are swept out" in str(caught.value)


def test_dummies_of_every_unit_and_every_period_are_one_too_many(rows):
    first = 1 - rows.X[:, 2:].sum(axis=1)
    X = np.column_stack([rows.full, first])
    with pytest.raises(EstimationError, match=f"column {X.shape[1] - 1} is a combination of"):
        Normal.from_rows(X, rows.y, rows.unit)


def test_dependence_lists_every_dependent_column():
    random = np.random.default_rng(1)
    Z = random.normal(size=(30, 3))
    X = np.column_stack([Z[:, 0], 2 * Z[:, 0], Z[:, 1], np.zeros(30), Z[:, 2], Z[:, 1] + Z[:, 2]])
    assert dependence(X.T @ X) == [(1, (0,)), (3, ()), (5, (2, 4))]
    assert inverse_root(X.T @ X) is None
    assert dependence(Z.T @ Z) == []


def test_near_collinear_is_refused_before_it_lies():
    """1 - R^2 of 1e-12 leaves four digits at most; 1e-8 is let through."""
    random = np.random.default_rng(2)
    a, noise = random.normal(size=(2, 200))
    for size, refused in ((1e-6, True), (1e-4, False)):
        X = np.column_stack([a, a + size * noise])
        assert (inverse_root(X.T @ X) is None) is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones(3)}, "X of shape"),
        ({"y": np.ones(4)}, "X of shape"),
        ({"y": [1.0, np.nan, 2.0]}, r"missing or infinite cell: 1 \(1\)"),
        ({"cluster": [0.0, np.nan, 1.0]}, "1 missing"),
        ({"cluster": ["a", None, "b"]}, "1 missing"),
        ({"cluster": [0, 1]}, "argument cluster"),
        ({"absorb": [0, 1]}, "argument absorb"),
        ({"absorb": [0, 1, 1], "n_absorbed": 2}, "either absorb"),
        ({"names": ("a", "b")}, "1 names, or none"),
        ({"n_absorbed": -1}, "n_absorbed of at least 0"),
    ],
)
def test_rows_are_checked(change, message):
    given = {"X": np.array([[1.0], [2.0], [4.0]]), "y": [1.0, 2.0, 5.0], "cluster": [0, 1, 2]}
    Normal.from_rows(**given)
    with pytest.raises(EstimationError, match=message):
        Normal.from_rows(**(given | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A": np.ones((2, 1))}, "A of shape"),
        ({"b": np.ones((3, 1))}, "A of shape"),
        ({"yy": np.ones((2, 1))}, "A of shape"),
        ({"A": np.full((2, 1, 1), np.inf)}, "argument A of Normal"),
        ({"labels": ("a",)}, "2 labels, or none"),
        ({"n_obs": 0}, "n_obs of at least 1"),
        ({"A": np.zeros((2, 1, 1))}, "column 0 is all zero"),
    ],
)
def test_sums_are_checked(change, message):
    given = {"A": np.ones((2, 1, 1)), "b": np.ones((2, 1)), "yy": np.ones(2), "n_obs": 2}
    Normal(**given)
    with pytest.raises(EstimationError, match=message):
        Normal(**(given | change))


def test_matrices_that_are_not_cross_products_are_refused():
    lopsided = np.array([[[1.0, 0.5], [0.0, 1.0]], np.eye(2)])
    with pytest.raises(EstimationError, match=r"not symmetric: 1 \(0\)"):
        Normal(lopsided, np.ones((2, 2)), np.ones(2), 4)
    negative = Normal(np.array([[[-1.0]], [[3.0]]]), np.ones((2, 1)), np.ones(2), 4)
    with pytest.raises(EstimationError, match="each A_g a sum of squares"):
        _ = negative.shares


@pytest.mark.parametrize("R", [[1.0, 0.0, 0.0], [[np.nan, 1.0]], np.zeros((0, 2)), [[[1.0, 1.0]]]])
def test_terms_are_checked(R):
    normal = Normal(np.eye(2)[None], np.ones((1, 2)), np.ones(1), 2)
    with pytest.raises(EstimationError, match="combination of 2 parameters"):
        normal.terms(R)
    with pytest.raises(EstimationError, match=r"rows of zeros: 1 \(1\)"):
        normal.terms([[1.0, 0.0], [0.0, 0.0]])
