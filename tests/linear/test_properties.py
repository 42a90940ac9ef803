"""What must not matter does not; what must scale does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

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
    effective_clusters,
    leverage,
    partial_leverage,
)

COVARIANCES = (cr0, cr1, cr2, cr3, cr3j)


@st.composite
def problems(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    G, size, p = draw(st.integers(5, 12)), draw(st.integers(3, 6)), draw(st.integers(1, 3))
    random = np.random.default_rng(seed)
    X, y = random.normal(size=(G * size, p)), random.normal(size=G * size)
    return X, y, np.repeat(np.arange(G), size), random


def everything(normal, R):
    """Every number of the room, for one problem."""
    return [
        normal.beta,
        *(cr(normal, R) for cr in COVARIANCES),
        *(df_satterthwaite(normal, R, kind) for kind in ("CR0", "CR2", "CR3")),
        df_hotelling(normal, R),
        effective_clusters(normal, R),
    ]


def close(a, b, rtol=1e-7):
    for x, y in zip(a, b, strict=True):
        assert_allclose(x, y, rtol=rtol, atol=rtol * np.abs(x).max())


@given(problems())
def test_order_of_rows_and_names_of_clusters_do_not_matter(problem):
    X, y, unit, random = problem
    R = np.eye(X.shape[1])
    before = Normal.from_rows(X, y, unit, absorb=unit)
    shuffled, named = random.permutation(len(y)), random.permutation(unit.max() + 1)
    after = Normal.from_rows(X[shuffled], y[shuffled], named[unit][shuffled], absorb=unit[shuffled])
    close(everything(before, R), everything(after, R))
    for by_cluster in (leverage, lambda n: partial_leverage(n, R), lambda n: delete_one(n, R)):
        assert_allclose(by_cluster(before), by_cluster(after)[named], rtol=1e-7, atol=1e-9)


@given(problems(), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_scale(problem, of_x, of_y):
    X, y, unit, _ = problem
    R = np.eye(X.shape[1])
    before = Normal.from_rows(X, y, unit, absorb=unit)
    after = Normal.from_rows(X * of_x, y * of_y, unit, absorb=unit)
    ratio = of_y / of_x
    assert_allclose(after.beta, before.beta * ratio, rtol=1e-8)
    close([cr(after, R) for cr in COVARIANCES], [cr(before, R) * ratio**2 for cr in COVARIANCES])
    close(everything(after, R)[6:], everything(before, R)[6:])
    assert_allclose(
        delete_one(after, R), delete_one(before, R) * ratio, rtol=1e-7, atol=1e-9 * ratio
    )


@given(problems())
def test_absorbed_effects_and_outcome_shifts_do_not_matter(problem):
    X, y, unit, random = problem
    R = np.eye(X.shape[1])
    shift = random.normal(size=unit.max() + 1)[unit] * 100
    before = Normal.from_rows(X, y, unit, absorb=unit)
    after = Normal.from_rows(X + shift[:, None], y + 3 * shift, unit, absorb=unit)
    close(everything(before, R), everything(after, R))


@given(problems())
def test_a_linear_outcome_shift_moves_the_estimate_and_nothing_else(problem):
    X, y, unit, random = problem
    R, delta = np.eye(X.shape[1]), random.normal(size=X.shape[1])
    before, after = Normal.from_rows(X, y, unit), Normal.from_rows(X, y + X @ delta, unit)
    assert_allclose(after.beta, before.beta + delta, atol=1e-9)
    close(everything(before, R)[1:], everything(after, R)[1:])


@given(problems())
def test_covariances_follow_linear_combinations(problem):
    X, y, unit, random = problem
    normal, R = Normal.from_rows(X, y, unit), np.eye(X.shape[1])
    turn = random.normal(size=(2, X.shape[1]))
    for cr in COVARIANCES:
        assert_allclose(cr(normal, turn), turn @ cr(normal, R) @ turn.T, rtol=1e-7, atol=1e-12)


@given(problems())
def test_degrees_of_freedom_are_possible(problem):
    X, y, unit, _ = problem
    normal, R = Normal.from_rows(X, y, unit), np.eye(X.shape[1])
    G = normal.n_clusters
    for kind in ("CR0", "CR2", "CR3"):
        df = df_satterthwaite(normal, R, kind)
        assert ((df >= 1 - 1e-9) & (df <= G + 1e-9)).all()
    assert (
        (effective_clusters(normal, R) >= 1) & (effective_clusters(normal, R) <= G + 1e-9)
    ).all()
    assert_allclose(leverage(normal).sum(), X.shape[1], rtol=1e-9)
