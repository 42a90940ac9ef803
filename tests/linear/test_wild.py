"""The wild bootstrap against rows that are refitted one draw at a time, and fwildclusterboot."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from didkit.errors import InferenceError
from didkit.linear import Normal, Parts, Signs, cr1, cr3j, wild_draws, wild_joint

KINDS = ["CR0", "CR1", "CR3", "CR3J"]


def dummies(values):
    return (np.asarray(values)[:, None] == np.unique(values)[1:]).astype(float)


class ByHand:
    """Least squares on rows with the effects as columns; the bootstrap by its definition."""

    def __init__(self, X, y, cluster, R, *, restricted, variance, scores, r=None):
        self.X, self.y, self.cluster, self.R, self.variance = X, y, cluster, R, variance
        self.groups = np.unique(cluster)
        self.beta, self.V = self.fit(y)
        self.r = np.zeros(len(R)) if r is None else np.asarray(r)
        self.start = self.constrained(np.ones(len(y), dtype=bool)) if restricted else self.beta
        self.residual = y - X @ self.start
        if scores == "jackknife":
            for g in self.groups:
                kept = cluster != g
                without = self.constrained(kept) if restricted else self.solve(X[kept], y[kept])
                self.residual[~kept] = y[~kept] - X[~kept] @ without

    @staticmethod
    def solve(X, y):
        return np.linalg.lstsq(X, y, rcond=1e-12)[0]

    def constrained(self, kept):
        """Least squares of the rows kept, subject to R beta = r."""
        base = np.linalg.lstsq(self.R, self.r, rcond=None)[0]
        free = np.linalg.svd(self.R)[2][len(self.R) :].T
        X, y = self.X[kept], self.y[kept]
        return base + free @ self.solve(X @ free, y - X @ base)

    def fit(self, y):
        X, G = self.X, len(self.groups)
        beta = self.solve(X, y)
        M = np.linalg.pinv(X.T @ X)
        moved = []
        for g in self.groups:
            own = self.cluster == g
            if self.variance in ("CR0", "CR1"):
                moved.append(self.R @ M @ X[own].T @ (y[own] - X[own] @ beta))
            else:
                moved.append(self.R @ (self.solve(X[~own], y[~own]) - beta))
        scale = {"CR0": 1, "CR1": G / (G - 1), "CR3": 1, "CR3J": (G - 1) / G}[self.variance]
        return beta, scale * np.array(moved).T @ np.array(moved)

    def wald(self, beta, V, centre):
        away = self.R @ beta - centre
        if len(self.R) == 1:
            return away[0] / np.sqrt(V[0, 0])
        return away @ np.linalg.solve(V, away)

    def own(self):
        return self.wald(self.beta, self.V, self.r)

    def draws(self, signs, groups=None):
        groups = self.cluster if groups is None else groups
        at = np.unique(groups, return_inverse=True)[1]
        found = []
        for v in signs:
            beta, V = self.fit(self.X @ self.start + v[at] * self.residual)
            found.append(self.wald(beta, V, self.R @ self.start))
        return np.array(found)


def signs_of(n, kind="rademacher", draws=40, seed=5):
    return np.concatenate(list(Signs(n, kind, draws=draws, seed=seed).chunks(7)))


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("variance", KINDS)
@pytest.mark.parametrize("scores", ["plain", "jackknife"])
@pytest.mark.parametrize("kind", ["rademacher", "webb", "mammen"])
def test_every_draw_is_a_regression(rows, restricted, variance, scores, kind):
    """At the null of zero and at another value, for single terms and mixtures of parameters."""
    options = {"restricted": restricted, "variance": variance, "scores": scores}
    made = wild_draws(rows.absorbed, rows.terms, signs=kind, draws=40, seed=5, **options)
    for m, r in ((0, 0.0), (0, 2.5), (2, 0.0)):
        hand = ByHand(rows.full, rows.y, rows.unit, rows.full_terms[[m]], r=[r], **options)
        assert_allclose(made[m].estimate, hand.R[0] @ hand.beta, rtol=1e-9)
        assert_allclose(made[m].variance, hand.V[0, 0], rtol=1e-8)
        by_hand = hand.draws(signs_of(12, kind))
        assert_allclose(made[m].statistics(r), by_hand, rtol=1e-7)
        count = np.sum(np.abs(by_hand) >= abs(hand.own()) * (1 - 1e-9))
        assert made[m].p_value(r) == (1 + count) / 41


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("variance", ["CR1", "CR3J"])
@pytest.mark.parametrize("scores", ["plain", "jackknife"])
def test_joint_draws_are_regressions(rows, restricted, variance, scores):
    options = {"restricted": restricted, "variance": variance, "scores": scores}
    for r in ([0.0, 0.0], [1.0, 0.5]):
        hand = ByHand(rows.full, rows.y, rows.unit, rows.full_terms[:2], r=r, **options)
        made = wild_joint(rows.absorbed, rows.terms[:2], values=r, draws=40, seed=5, **options)
        assert_allclose(made.statistic, hand.own(), rtol=1e-7)
        assert_allclose(made.null, hand.draws(signs_of(12)), rtol=1e-6)
        count = np.sum(made.null >= made.statistic)
        assert made.p_value() == (1 + count) / 41


def test_one_term_jointly_is_the_square_of_t(rows):
    one = wild_draws(rows.absorbed, rows.terms[0], draws=4096)[0]
    joint = wild_joint(rows.absorbed, rows.terms[:1], draws=4096)
    assert one.exact
    assert joint.exact
    assert_allclose(joint.null, one.statistics() ** 2, rtol=1e-7)
    assert joint.p_value() == one.p_value()
    assert joint.p_value(ties="strict") == one.p_value(ties="strict") == one.p_value() - 2 / 4096


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("variance", ["CR1", "CR3"])
def test_signs_below_the_clusters(rows, restricted, variance):
    """Each row has a sign of its own; units are absorbed, so groups of rows cut across effects."""
    swept = rows.X.copy()
    outcome = rows.y.copy()
    for j in np.unique(rows.unit):
        own = rows.unit == j
        swept[own] -= swept[own].mean(axis=0)
        outcome[own] -= outcome[own].mean()
    at = np.arange(len(rows.y))
    below = Normal.from_rows(swept, outcome, at, n_absorbed=12, nested=False)
    parts = Parts(below, np.unique(rows.unit, return_inverse=True)[1])
    options = {"restricted": restricted, "variance": variance}
    made = wild_draws(rows.absorbed, rows.terms, draws=40, seed=5, parts=parts, **options)
    hand = ByHand(
        rows.full, rows.y, rows.unit, rows.full_terms[:1], scores="plain", r=[1.5], **options
    )
    assert_allclose(made[0].statistics(1.5), hand.draws(signs_of(len(at)), at), rtol=1e-7)
    both = ByHand(rows.full, rows.y, rows.unit, rows.full_terms[:2], scores="plain", **options)
    joint = wild_joint(rows.absorbed, rows.terms[:2], draws=40, seed=5, parts=parts, **options)
    assert_allclose(joint.null, both.draws(signs_of(len(at)), at), rtol=1e-6)


def test_parts_equal_to_the_clusters_change_nothing(rows):
    normal = rows.absorbed
    plain = wild_draws(normal, rows.terms, draws=99)
    shuffled = np.array([3, 1, 0, 2, *range(4, 12)])  # parts in any order
    same = Normal(normal.A[shuffled], normal.b[shuffled], normal.yy[shuffled], normal.n_obs)
    parts = wild_draws(normal, rows.terms, draws=99, parts=Parts(same, shuffled))
    for one, other in zip(plain, parts, strict=True):
        assert_allclose(other.statistics(), one.statistics(), rtol=1e-10)


def test_absorbed_and_explicit_effects_agree(rows):
    for scores in ("plain", "jackknife"):
        one = wild_draws(rows.absorbed, rows.terms, draws=99, scores=scores)
        other = wild_draws(rows.explicit, rows.full_terms, draws=99, scores=scores)
        for a, b in zip(one, other, strict=True):
            assert_allclose(b.statistics(1.0), a.statistics(1.0), rtol=1e-6)


@pytest.mark.parametrize("tail", ["two", "equal"])
@pytest.mark.parametrize("ties", ["count", "strict"])
@pytest.mark.parametrize("draws", [99, 4096])
@pytest.mark.parametrize("restricted", [True, False])
def test_the_interval_is_where_p_exceeds_alpha(rows, tail, ties, draws, restricted):
    made = wild_draws(rows.absorbed, rows.terms[0], draws=draws, restricted=restricted)[0]
    for level in (0.5, 0.9, 0.95):
        found = made.interval(level, tail=tail, ties=ties)
        assert found.whole
        assert found.low < made.estimate < found.high
        alpha, unit = round(1 - level, 12), 1e-6 * np.sqrt(made.variance)
        for end, out in ((found.low, -1), (found.high, 1)):
            assert made.p_value(end - out * unit, tail=tail, ties=ties) > alpha
            assert made.p_value(end + out * unit, tail=tail, ties=ties) <= alpha


def test_unrestricted_ends_are_quantiles_of_t(rows):
    made = wild_draws(rows.absorbed, rows.terms[0], restricted=False, draws=4096)[0]
    rising = np.sort(np.abs(made.statistics()))
    allowed = int(0.05 * 4097) - 1  # the data are counted beside the 4,096
    reach = rising[4096 - allowed - 1] * np.sqrt(made.variance)
    found = made.interval(0.95)
    assert_allclose([found.low, found.high], [made.estimate - reach, made.estimate + reach])


def test_equal_tails_double_the_smaller_share(rows):
    made = wild_draws(rows.absorbed, rows.terms[1], draws=99, seed=3, signs="webb")[0]
    t, own = made.statistics(0.4), (made.estimate - 0.4) / np.sqrt(made.variance)
    count = min(np.sum(t >= own), np.sum(t <= own))
    assert made.p_value(0.4, tail="equal") == pytest.approx(min(1, 2 * (1 + count) / 100))


def test_accepted_values_with_a_hole():
    """p rises again at the far side: the hull is given and said not to be whole."""
    made = wild_draws(Normal.from_rows(np.ones((6, 1)), np.arange(6.0), range(6)), [1.0])[0]
    one = np.ones(100)
    # from d = 2 to 3 all draws are large again
    hole = type(made)(
        0.0, 1.0, one, 0 * one, 1 + 0 * one, 0 * one, 0 * one, exact=True, least_p=0.0
    )
    assert hole.interval(0.95).whole
    d = np.linspace(0, 6, 1201)
    shape = np.where(np.arange(100) < 50, -1.0, 0.0)  # half: 1 / (1 + .. ) small near d = 2.5
    near = type(made)(
        0.0,
        1.0,
        one,
        0 * one,
        6.3 + 0 * one,
        np.where(shape < 0, -5.0, 0.0),
        np.where(shape < 0, 1.0, 0.0),
        exact=True,
        least_p=0.0,
    )
    accepted = np.array([near.p_value(-x) > 0.05 for x in d])
    assert (np.diff(accepted.astype(int)) == 1).any()
    found = near.interval(0.95)
    assert not found.whole
    assert -found.low == pytest.approx(d[accepted][-1], abs=0.006)


@pytest.mark.parametrize("tail", ["two", "equal"])
@pytest.mark.parametrize("ties", ["count", "strict"])
@pytest.mark.parametrize("scores", ["plain", "jackknife"])
@pytest.mark.parametrize("draws", [99, 4096])
@pytest.mark.parametrize("restricted", [True, False])
def test_p_and_interval_agree_far_out(rows, tail, ties, scores, draws, restricted):
    """p(r) ≤ α exactly outside: far beyond the ends, and 1e-8 standard errors from them."""
    rng = np.random.default_rng(1)
    options = {"draws": draws, "restricted": restricted, "scores": scores}
    for made in wild_draws(rows.absorbed, rows.terms[:2], **options):
        error = np.sqrt(made.variance)
        for level in (0.5, 0.9, 0.99):
            found = made.interval(level, tail=tail, ties=ties)
            ends = [end for end in (found.low, found.high) if np.isfinite(end)]
            near = [end + side * 1e-8 * error for end in ends for side in (-1, 1)]
            far = error * rng.normal(size=15) * 10 ** rng.uniform(-1, 4, 15)
            for r in [*near, *(made.estimate + far)]:
                accepted = made.p_value(r, tail=tail, ties=ties) > round(1 - level, 12)
                inside = found.low <= r <= found.high
                assert accepted <= inside
                if found.whole:
                    assert accepted == inside


@pytest.mark.parametrize("scores", ["plain", "jackknife"])
@pytest.mark.parametrize("restricted", [True, False])
def test_least_p_is_attained_and_never_undercut(scores, restricted):
    """Six clusters of unlike size, all vectors: only plain scores under the null hold the data."""
    sizes = [2, 3, 4, 5, 6, 9]
    cluster = np.repeat(np.arange(6), sizes)
    rng = np.random.default_rng(2)
    X = np.column_stack([np.ones(len(cluster)), rng.normal(size=len(cluster))])
    y = rng.normal(size=len(cluster)) + X[:, 1] * 50
    normal = Normal.from_rows(X, y, cluster)
    made = wild_draws(normal, [0, 1], scores=scores, restricted=restricted)[0]
    assert made.exact
    assert made.counted == (scores == "plain" and restricted)
    assert made.least_p == (2 / 64 if made.counted else 1 / 65)
    far = made.estimate + np.sqrt(made.variance) * np.array([-1e3, -30, 30, 1e3])
    p = [made.p_value(r) for r in [0.0, *far]]
    assert min(p) == made.least_p
    strict = [made.p_value(r, ties="strict") for r in [0.0, *far]]
    assert min(strict) == 0
    assert made.interval(1 - 1.01 * made.least_p).low > -np.inf
    assert made.interval(1 - 0.99 * made.least_p).low == -np.inf
    joint = wild_joint(normal, np.eye(2)[1:], scores=scores, restricted=restricted)
    assert joint.counted == made.counted
    assert joint.p_value() == made.p_value()
    drawn = wild_draws(normal, [0, 1], scores=scores, restricted=restricted, draws=63)[0]
    assert not drawn.counted
    assert drawn.least_p == 1 / 64


def test_two_against_two_never_rejects():
    """16 vectors of signs; those of equal signs tie, so p is at least 1/8 (methods.md: 0 %)."""
    X = np.array([[1.0, 1], [1, 1], [1, 0], [1, 0]])
    for seed in range(50):
        y = np.random.default_rng(seed).normal(size=4)
        made = wild_draws(Normal.from_rows(X, y, range(4)), [0, 1])[0]
        assert made.exact
        assert made.least_p == 1 / 8
        assert made.p_value() >= 1 / 8
        assert made.p_value() * 16 == round(made.p_value() * 16)
        assert made.interval(0.95) == type(made.interval(0.95))(-np.inf, np.inf, True)


def test_four_against_four():
    """Ties counted 6.2 % of true nulls are rejected, strictly 7 % (methods.md, section 1)."""
    X = np.column_stack([np.ones(8), np.arange(8) < 4])
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1500):
        made = wild_draws(Normal.from_rows(X, rng.normal(size=8), range(8)), [0, 1])[0]
        found.append([made.p_value() <= 0.05, made.p_value(ties="strict") <= 0.05])
    counted, strict = np.mean(found, axis=0)
    assert abs(counted - 0.062) < 3 * np.sqrt(0.06 * 0.94 / 1500)
    assert strict > counted


def test_rows_do_not_matter(rows):
    """The same cross-products from 71 rows and from ten times as many, each a tenth."""
    once = rows.absorbed
    many = Normal(once.A, once.b, once.yy, once.n_obs * 10)
    one, other = (wild_draws(n, rows.terms[0], draws=199)[0] for n in (once, many))
    assert (one.statistics() == other.statistics()).all()
    assert one.interval(0.95) == other.interval(0.95)


@pytest.mark.parametrize("kind", ["rademacher", "webb", "mammen"])
def test_signs_do_not_depend_on_chunks(kind):
    whole = signs_of(70, kind, draws=50)
    other = np.concatenate(list(Signs(70, kind, draws=50, seed=5).chunks(13)))
    more = next(Signs(70, kind, draws=500, seed=5).chunks(50))
    assert (whole == other).all()
    assert (whole == more).all()
    assert (whole != signs_of(70, kind, draws=50, seed=6)).any()


@pytest.mark.parametrize(("kind", "points"), [("rademacher", 2), ("webb", 6), ("mammen", 2)])
def test_moments_of_the_weights(kind, points):
    v = signs_of(100, kind, draws=20_000)
    assert len(np.unique(v)) == points
    error = 1 / np.sqrt(v.size)
    assert abs(v.mean()) < 4 * error
    assert abs((v**2).mean() - 1) < 8 * error
    third = (v**3).mean()
    assert abs(third - (kind == "mammen")) < 12 * error
    assert np.abs(np.corrcoef(v[:, :20].T) - np.eye(20)).max() < 0.05


def test_all_vectors_of_signs_once():
    listed = signs_of(5, draws=32)
    assert (listed[0] == 1).all()
    assert len(np.unique(listed, axis=0)) == 32
    assert not Signs(5, draws=31).exact
    assert not Signs(5, "webb", draws=99).exact


def test_memory_does_not_grow_with_the_signs(rows):
    """99,999 draws of 600 clusters would be 480 MB of signs; five numbers a draw are 4 MB."""
    rng = np.random.default_rng(0)
    X = np.column_stack([np.arange(600) < 30, np.ones(600)])
    normal = Normal.from_rows(X, rng.normal(size=600), range(600))
    tracemalloc.start()
    made = wild_draws(normal, [1.0, 0.0], draws=99_999)[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(made.n0) == 99_999
    assert peak < 30e6


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"signs": "normal"}, "rademacher, webb, mammen"),
        ({"variance": "CR2"}, "CR0, CR1, CR3, CR3J"),
        ({"scores": "new"}, "plain, jackknife"),
        ({"draws": 0}, "at least 1 draw"),
        ({"seed": -1}, "at least 0"),
        ({"draws": 9.5}, "9.5"),
    ],
)
def test_unknown_options(rows, options, text):
    with pytest.raises(InferenceError, match=re.escape(text)):
        wild_draws(rows.absorbed, rows.terms, **options)


def test_refusals(rows):
    made = wild_draws(rows.absorbed, rows.terms[0], draws=19)[0]
    with pytest.raises(InferenceError, match="two, equal"):
        made.p_value(tail="left")
    with pytest.raises(InferenceError, match="count, strict"):
        made.p_value(ties="half")
    one = Normal.from_rows(np.ones((3, 1)), [1.0, 2, 3], [0, 0, 0])
    with pytest.raises(InferenceError, match="at least 2 clusters"):
        wild_draws(one, [1.0])
    alone = Normal.from_rows(np.array([[1.0, 1], [1, 0], [1, 0]]), [3.0, 1, 2], range(3))
    with pytest.raises(InferenceError, match="term 0 without cluster 0"):
        wild_draws(alone, [0, 1], scores="jackknife")
    with pytest.raises(InferenceError, match="full rank"):
        wild_joint(alone, np.eye(2), draws=19)
    parts = Parts(rows.absorbed, np.zeros(12, dtype=int))
    with pytest.raises(InferenceError, match="add up"):
        wild_draws(rows.absorbed, rows.terms, parts=parts)


# -- fwildclusterboot 0.14.3 ---------------------------------------------------------------------

TYPES = {"fnw11": ("plain", "CR1"), "13": ("plain", "CR3J")}
TYPES |= {"31": ("jackknife", "CR1"), "33": ("jackknife", "CR3J")}
CASES = [
    f"wcb_{data}__fnw11__{null}__{tail}-tailed"
    for data in ("castle8", "castle9", "castle11", "castle10_w", "castle8_noadj")
    for null in ("WCR", "WCU")
    for tail in ("two", "equal")
]
NEW = [
    f"wcb_{data}_types__{kind}__{null}__two-tailed"
    for data in ("castle10", "castle8")
    for kind in ("13", "31", "33")
    for null in ("WCR", "WCU")
]


@pytest.fixture(scope="module")
def reference(shared_reference):
    found = pd.read_csv(shared_reference / "fwildclusterboot.csv").set_index("case")
    assert set(found.index) == {*CASES, *NEW}
    return found


@pytest.fixture(scope="module")
def castle(shared_reference):
    return pd.read_csv(shared_reference / "data" / "castle.csv")


def boottest(reference, castle, case):
    """Assert the call of a case, and run it: m <- lm(l_homicide ~ post + state + year)."""
    row = reference.loc[case]
    data, kind, null, tail = case.split("__")
    states = row["dataset"].removeprefix("castle[state in ").removesuffix("]").split(",")
    weighted, bare = "_w" in data, "noadj" in data
    expected = (
        r"m <- lm\(l_homicide ~ post \+ state \+ year, data=c\d+"
        + (", weights=popwt" if weighted else "")
        + r"\); boottest\(m, param='post', clustid='state', B=9999, type='rademacher', "
        + f"impose_null={'TRUE' if null == 'WCR' else 'FALSE'}, p_val_type='{tail}', "
        + f"bootstrap_type='{kind}', engine='R', r=0"
        + (r", ssc=boot_ssc\(adj=FALSE, cluster.adj=FALSE\)" if bare else "")
        + r", conf_int=TRUE\)"
    )
    assert re.fullmatch(expected, row["call"]), row["call"]
    kept = castle[castle["state"].isin(states)]
    assert kept["state"].nunique() == len(states)
    root = np.sqrt(kept["popwt"].to_numpy()) if weighted else np.ones(len(kept))
    X = np.column_stack(
        [kept["post"], np.ones(len(kept)), dummies(kept["state"]), dummies(kept["year"])]
    )
    state = kept["state"].to_numpy(dtype=str)
    normal = Normal.from_rows(X * root[:, None], kept["l_homicide"] * root, state)
    scores, variance = TYPES[kind]
    term = np.eye(normal.n_params)[0]
    made = wild_draws(
        normal,
        term,
        restricted=null == "WCR",
        variance="CR0" if bare else variance,
        factor="full",
        scores=scores,
    )[0]
    facts = dict(pair.split("=") for pair in row["extra"].split(";"))
    assert made.exact
    assert len(made.n0) == int(facts["B"]) == 2 ** len(states)
    assert_allclose(made.estimate, row["estimate"], rtol=1e-9)
    return row, facts, normal, made, tail.split("-")[0]


@pytest.mark.parametrize("case", CASES)
def test_fwildclusterboot(reference, castle, case):
    """p exactly, t, and the ends of the interval.

    The package looks for the ends by interpolating a step function and stops up to 1e-4 away;
    ours are the steps themselves: no step lies between theirs and ours.
    """
    row, facts, _, made, tail = boottest(reference, castle, case)
    assert made.p_value(tail=tail, ties="strict") == float(facts["p"])
    assert made.p_value(ties="strict") == float(facts["bf_p_strict"])
    weak, n = float(facts["bf_p_weak"]), len(made.n0)
    # without the null the data are none of the vectors, and we count them beside
    assert made.counted == ("__WCR__" in case)
    assert made.p_value() == (weak if made.counted else (1 + round(weak * n)) / (1 + n))
    t = made.estimate / np.sqrt(made.variance)
    assert_allclose(t, [float(facts["t"]), float(facts["bf_t"])], rtol=1e-9)
    found = made.interval(0.95, tail=tail, ties="strict")
    far = "castle9" in case or "castle11" in case
    for ours, theirs, out in ((found.low, row["ci_lower"], -1), (found.high, row["ci_upper"], 1)):
        near, beyond = (
            made.p_value(ours + d * out, tail=tail, ties="strict") for d in (-1e-9, 1e-9)
        )
        assert beyond <= 0.05 < near
        assert made.p_value(theirs, tail=tail, ties="strict") in (near, beyond)
        assert abs(ours - theirs) < (1e-4 if far else 5e-6)


@pytest.mark.parametrize("case", NEW)
def test_fwildclusterboot_with_the_jackknife(reference, castle, case):
    """Types 13, 31 and 33.

    With CV3 the package multiplies the data's variance by its factor (N-1)/(N-K) G/(G-1), and not
    the draws': its p is the share of our draws beyond that smaller t. In type 31 with the null
    imposed the two vectors of equal signs tie with the data in these panels (without gaps, whose
    jackknifed scores are all the same multiple of the plain ones); rounding counts them there.
    """
    row, facts, normal, made, _ = boottest(reference, castle, case)
    assert np.isnan(row["ci_lower"])
    G, N, K = normal.n_clusters, normal.n_obs, normal.n_params
    if "__31__" in case:
        assert_allclose(made.estimate / np.sqrt(made.variance), float(facts["t"]), rtol=1e-9)
        assert made.counted == ("WCR" in case)
        said, n = float(facts["p"]), 2**G
        if made.counted:
            assert made.p_value() == said == made.p_value(ties="strict") + 2 / n
        else:
            assert made.p_value(ties="strict") == said
            assert made.p_value() == (1 + round(said * n)) / (1 + n)
        return
    assert_allclose(made.variance, cr3j(normal, np.eye(K)[0])[0, 0])
    factor = np.sqrt(G / (G - 1) * (N - 1) / (N - K))
    t = made.estimate / np.sqrt(made.variance) / factor
    assert_allclose(t, float(facts["t"]), rtol=1e-9)
    assert np.mean(np.abs(made.statistics()) > abs(t)) == float(facts["p"])
    assert made.p_value() < float(facts["p"])


def test_factor_of_cr1(rows):
    """p does not depend on it, the standard error does."""
    full = wild_draws(rows.absorbed, rows.terms[0], factor="full", draws=99)[0]
    bare = wild_draws(rows.absorbed, rows.terms[0], draws=99)[0]
    assert_allclose(full.variance, cr1(rows.absorbed, rows.terms[0], "full")[0, 0])
    assert full.p_value(1.0) == bare.p_value(1.0)
