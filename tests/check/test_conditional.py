"""Conditional sets: every part against linear programmes, brute force and closed forms."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import norm

from didkit.check.conditional import conditional_set, identified_set
from didkit.check.conditional_test import statistics, vertices
from didkit.check.fixed_length import fixed_length
from didkit.check.restrictions import Piece, RelativeMagnitudes, Smoothness
from didkit.errors import InferenceError

TIMES = np.array([-4, -3, -2, 0, 1, 2])
AFTER = TIMES >= 0
MEAN = AFTER / AFTER.sum()
LAST = np.eye(6)[5]
ALL = ["hybrid", "conditional", "least_favourable"]
KINDS = {
    "jumps": RelativeMagnitudes(),
    "bends": RelativeMagnitudes(of="second"),
    "jumps, positive": RelativeMagnitudes(direction="positive"),
    "smooth": Smoothness(),
    "smooth, negative": Smoothness(direction="negative"),
    "smooth, rising": Smoothness(monotone="increasing"),
}


def terms(seed: int, k: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, k)) + np.eye(k)
    return rng.normal(size=k), root @ root.T / k / 4


def given(seed: int, kind: str, size: float, weights=MEAN):
    values, covariance = terms(seed)
    pieces = KINDS[kind].pieces(TIMES, -1, 0, size)
    return values, covariance, weights, TIMES, -1, 0, pieces


def accepted(which: int, kind: str, size: float, method="hybrid", weights=MEAN, **options):
    return conditional_set(*given(which, kind, size, weights), 0.95, method, **options)


def programme(piece: Piece, values, covariance, weights, theta: float):
    """Least η with A(β − τ) − d ≤ η σ for a τ with l'τ = θ, by linear programme."""
    rows = (piece.A[:, AFTER] != 0).any(axis=1)
    A, d = piece.A[rows], piece.d[rows]
    sd = np.sqrt(np.diag(A @ covariance @ A.T))
    solved = linprog(
        np.r_[1.0, np.zeros(AFTER.sum())],
        A_ub=np.column_stack([-sd, -A[:, AFTER]]),
        b_ub=-(A @ values - d),
        A_eq=[np.r_[0.0, weights[AFTER]]],
        b_eq=[theta],
        bounds=(None, None),
        method="highs",
    )
    return solved.fun, A, d, sd, -solved.ineqlin.marginals


@pytest.mark.parametrize("seed", range(5))
def test_vertices_by_every_basis(seed):
    """All sets of columns that could be a vertex, tried one by one."""
    rng = np.random.default_rng(seed)
    m, r = 8, 3
    X = rng.integers(-2, 3, size=(m, r)).astype(float)  # whole numbers: degenerate
    sd = rng.uniform(0.5, 2.0, size=m)
    system = np.column_stack([X, sd]).T
    found = set()
    for size in range(1, r + 2):
        for chosen in combinations(range(m), size):
            part = system[:, chosen]
            if np.linalg.matrix_rank(part) < size:
                continue
            solved, *_ = np.linalg.lstsq(part, np.r_[np.zeros(r), 1.0], rcond=None)
            if (solved > 1e-9).all() and np.allclose(part @ solved, np.r_[np.zeros(r), 1.0]):
                gamma = np.zeros(m)
                gamma[list(chosen)] = solved
                found.add(tuple(np.round(gamma, 8)))
    assert len(found) > 0
    assert {tuple(np.round(g, 8)) for g in vertices(X, sd)} == found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights", [MEAN, LAST, np.array([0, 0, 0, 1.0, 0, -2.0])], ids=str)
def test_largest_statistic_is_the_programme(kind, weights):
    values, covariance, _, _, _, _, pieces = given(2, kind, 0.7)
    for piece in pieces[:3]:
        made = statistics(piece, values, covariance, weights, AFTER)
        for theta in (-2.0, -0.1, 0.0, 0.4, 3.0):
            largest = made.at(np.array([theta])).max()
            eta, *_ = programme(piece, values, covariance, weights, theta)
            assert largest == pytest.approx(eta, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_conditional_p_value_by_programmes(kind):
    """Truncation points found as in the authors' program: by halving over linear programmes."""
    values, covariance, weights, _, _, _, pieces = given(5, kind, 0.7)
    piece = pieces[-1]
    made = statistics(piece, values, covariance, weights, AFTER)
    low, high = made.below(0.0) or (0.0, 0.0)
    checked = 0
    for theta in (low - 0.2, high + 0.7):
        eta, A, _, _, gamma = programme(piece, values, covariance, weights, theta)
        p = made.p_values(np.array([theta]))[0]
        if eta <= 0:
            assert p == 2.0
            continue
        checked += 1
        moved = covariance @ A.T @ gamma
        variance = gamma @ A @ moved

        def apart(t: float, moved=moved, variance=variance, eta=eta, theta=theta) -> float:
            """Least η when the largest statistic is moved to t and the rest stays."""
            there = values + moved / variance * (t - eta)
            return programme(piece, there, covariance, weights, theta)[0] - t

        ends = []
        for sign in (-1.0, 1.0):
            inner, outer = eta, eta + sign * 60.0
            if apart(outer) < 1e-7:
                ends.append(sign * np.inf)
                continue
            for _ in range(25):
                middle = (inner + outer) / 2
                inner, outer = (middle, outer) if apart(middle) < 1e-7 else (inner, middle)
            ends.append(inner)
        sd = np.sqrt(variance)
        low, high = norm.sf(ends[0] / sd), norm.sf(ends[1] / sd)
        assert p == pytest.approx((norm.sf(eta / sd) - high) / (low - high), abs=2e-4)
    assert checked == 2


@pytest.mark.parametrize("error", [0.005, 0.05, 0.2])
@pytest.mark.parametrize("kind", ["jumps", "jumps, positive", "smooth, rising"])
def test_critical_value_by_brute_force(kind, error):
    values, covariance, weights, _, _, _, pieces = given(1, kind, 0.7)
    made = statistics(pieces[0], values, covariance, weights, AFTER)
    rng = np.random.default_rng(9)
    drawn = rng.multivariate_normal(np.zeros(6), covariance, size=200_000) @ made.load.T
    noise = rng.multivariate_normal(np.zeros(6), covariance, size=20_000)
    above = (drawn.max(axis=1) > made.critical(error, noise, 0)).mean()
    assert above == pytest.approx(error, abs=4 * np.sqrt(error / 200_000) + 0.02 * error)


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("weights", [MEAN, LAST], ids=["mean", "last"])
def test_without_jumps_it_is_the_interval_under_parallel_trends(method, weights):
    """Relative magnitudes of size 0: l'β ± z; the two-sided test twice over."""
    values, covariance = terms(4)
    found = accepted(4, "jumps", 0.0, method, weights, tolerance=1e-9, draws=40_000)
    sd = np.sqrt(weights @ covariance @ weights)
    room = 1e-6 if method == "conditional" else 0.01 * sd  # the critical value is drawn
    half = norm.ppf(0.975) * sd
    ends = (weights @ values - half, weights @ values + half)
    assert (found.low, found.high) == pytest.approx(ends, abs=room)
    assert found.contiguous


@pytest.mark.parametrize("method", ["conditional", "hybrid"])
def test_straight_line_with_one_period_after(method):
    """Smoothness of size 0: the line through the last term and the reference, taken on."""
    times, weights = np.array([-3, -2, 0]), np.array([0, 0, 1.0])
    values, covariance = terms(3, 3)
    pieces = Smoothness().pieces(times, -1, 0, 0.0)
    found = conditional_set(values, covariance, weights, times, -1, 0, pieces, 0.9, method)
    a = np.array([0.0, 1.0, 1.0])
    half = norm.ppf(0.95) * np.sqrt(a @ covariance @ a)
    assert found.low == pytest.approx(a @ values - half, rel=0.01)
    assert found.high == pytest.approx(a @ values + half, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ALL)
def test_equivariance(kind, method):
    """Move the effect, scale everything, or turn the sign of it: the set goes with it."""
    values, covariance = terms(7)
    restriction = KINDS[kind]
    smooth = isinstance(restriction, Smoothness)

    def run(values, covariance, size, one=restriction):
        return conditional_set(
            values, covariance, MEAN, TIMES, -1, 0, one.pieces(TIMES, -1, 0, size), 0.95, method,
            tolerance=1e-9,
        )  # fmt: skip

    made = run(values, covariance, 0.5)
    moved = run(values + np.array([0, 0, 0, 1.0, 2.0, 3.0]), covariance, 0.5)
    assert (moved.low, moved.high) == pytest.approx((made.low + 2, made.high + 2), abs=1e-6)
    scaled = run(values * 100, covariance * 1e4, 50.0 if smooth else 0.5)
    assert (scaled.low, scaled.high) == pytest.approx((made.low * 100, made.high * 100), abs=1e-4)
    turned = {"positive": "negative", "negative": "positive", None: None}[restriction.direction]
    falling = None if restriction.monotone is None else "decreasing"
    options = {} if smooth else {"of": restriction.of}
    mirror = type(restriction)(direction=turned, monotone=falling, **options)
    flipped = run(-values, covariance, 0.5, mirror)
    # the same draws do not mirror themselves: as far as the critical value is known
    room = 1e-6 if method == "conditional" else 0.02
    assert (flipped.low, flipped.high) == pytest.approx((-made.high, -made.low), abs=room)


@pytest.mark.parametrize("kind", ["jumps", "bends", "smooth"])
def test_another_reference(kind):
    """The path less another of its periods: a constant that no restriction sees."""
    values, covariance = terms(8)
    R = np.eye(6)
    R[:, 1] = -1.0  # less the term at −3
    R[[1, 2]] = [[0, -1.0, 1.0, 0, 0, 0], [0, -1.0, 0, 0, 0, 0]]
    times = np.array([-4, -2, -1, 0, 1, 2])
    restriction = KINDS[kind]
    made = accepted(8, kind, 0.6, "conditional", tolerance=1e-9)
    # a shift of all effects stays an effect: move it back by the constant
    other = conditional_set(
        R @ values, R @ covariance @ R.T, MEAN, times, -3, 0,
        restriction.pieces(times, -3, 0, 0.6), 0.95, "conditional", tolerance=1e-9,
    )  # fmt: skip
    assert (other.low, other.high) == pytest.approx((made.low, made.high), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("size", [0.2, 1.0])
def test_ends_are_where_the_test_turns(kind, method, size):
    """Just inside some piece accepts; just outside every one rejects."""
    made = accepted(6, kind, size, method)
    step = 1e-4
    values, covariance, weights, _, _, _, pieces = given(6, kind, size)
    rng = np.random.default_rng(0)
    noise = rng.multivariate_normal(np.zeros(6), covariance, size=20_000)

    def any_accepts(theta: float, slack: float) -> bool:
        for piece in pieces:
            one = statistics(piece, values, covariance, weights, AFTER)
            at = np.array([theta])
            largest = one.at(at).max()
            if method == "least_favourable":
                good = largest <= one.critical(0.05, noise, 1) + slack
            else:
                cap, share = np.inf, 0.05
                if method == "hybrid":
                    cap, share = one.critical(0.005, noise, 1) + slack, 0.045 / 0.995
                good = largest <= cap and one.p_values(at, cap)[0] >= share - slack / 10
            if good:
                return True
        return False

    slack = 0.0 if method == "conditional" else 0.03  # two draws of the critical value
    for low, high in made.intervals:
        assert any_accepts(low + step, slack)
        assert any_accepts(high - step, slack)
    assert not any_accepts(made.low - step, -slack)
    assert not any_accepts(made.high + step, -slack)


def test_conditional_fixed_length_is_within_it():
    values, covariance, weights, times, reference, first, _ = given(2, "smooth", 0.3)
    fixed = fixed_length(values, covariance, weights, times, reference, first, 0.3, 0.995)
    made = accepted(2, "smooth", 0.3, "conditional_fixed_length", fixed=fixed)
    assert fixed.low <= made.low < made.high <= fixed.high
    plain = accepted(2, "smooth", 0.3, "conditional")
    assert made.high - made.low < plain.high - plain.low + 0.2


@pytest.mark.parametrize("kind", ["jumps", "smooth"])
def test_identified_set_by_closed_form(kind):
    """Jumps add up: θ̂ ± size × largest jump × Σ|what a jump at t moves|."""
    for seed in range(4):
        values, _ = terms(seed)
        size = 0.8
        pieces = KINDS[kind].pieces(TIMES, -1, 0, size)
        low, high = identified_set(values, LAST, TIMES, 0, pieces)
        path = np.r_[values[:3], 0.0]
        if kind == "jumps":
            bound = size * np.abs(np.diff(path)).max() * 3
            centre = values[5]
        else:  # the last slope before taken on for three periods, bends of 1 + 2 + 3 of them
            centre = values[5] - 3 * (path[3] - path[2])
            bound = size * (3 + 2 + 1)
        assert (low, high) == pytest.approx((centre - bound, centre + bound), rel=1e-8)


def test_identified_set_by_every_path():
    """Two periods after, a fine grid of violations, with signs and monotone paths."""
    times, values = np.array([-3, -2, 0, 1]), np.array([0.5, -0.25, 1.0, 2.0])
    weights = np.array([0, 0, 0.5, 0.5])
    grid = np.arange(-8, 8.01, 0.125)
    one, two = (part.ravel() for part in np.meshgrid(grid, grid))
    path = np.column_stack([np.full(len(one), 0.5), np.full(len(one), -0.25), one, two])
    for kind in KINDS:
        for size in (0.5, 1.0, 2.0):
            pieces = KINDS[kind].pieces(times, -1, 0, size)
            good = np.zeros(len(one), dtype=bool)
            for piece in pieces:
                rows = (piece.A[:, 2:] != 0).any(axis=1)
                good |= (path @ piece.A[rows].T <= piece.d[rows] + 1e-12).all(axis=1)
            theta = ((values - path) @ weights)[good]
            found = identified_set(values, weights, times, 0, pieces)
            if not good.any():
                assert np.isnan(found).all()
            else:
                assert found == pytest.approx((theta.min(), theta.max()), abs=1e-9)


def test_identified_set_grows_and_empties():
    values, _ = terms(1)
    ends = [
        identified_set(values, MEAN, TIMES, 0, KINDS["jumps"].pieces(TIMES, -1, 0, size))
        for size in (0.0, 0.5, 1.0, 2.0)
    ]
    assert ends[0] == pytest.approx((MEAN @ values, MEAN @ values))
    for inner, outer in pairwise(ends):
        assert outer[0] < inner[0] <= inner[1] < outer[1]
    pieces = Smoothness().pieces(TIMES, -1, 0, 0.0)  # the terms before are on no line
    assert np.isnan(identified_set(values, MEAN, TIMES, 0, pieces, every=True)).all()
    assert np.isfinite(identified_set(values, MEAN, TIMES, 0, pieces)).all()


@pytest.mark.parametrize("method", ALL)
def test_open_end(method):
    """A sign alone bounds the effect on one side: positive bias, so the effect is below."""
    values, covariance = terms(2)
    piece = Piece(-np.eye(6)[AFTER], np.zeros(3))
    made = conditional_set(values, covariance, MEAN, TIMES, -1, 0, [piece], 0.95, method)
    assert made.open_low
    assert np.isneginf(made.low)
    assert not made.open_high
    assert MEAN @ values < made.high < np.inf
    low, high = identified_set(values, MEAN, TIMES, 0, [piece])
    assert np.isneginf(low)
    assert high == pytest.approx(MEAN @ values)


@pytest.mark.parametrize("method", ALL)
def test_empty_set(method):
    """A violation at least 1 and at most −1 is none: every value is rejected, and said so."""
    values, covariance = terms(2)
    row = np.eye(6)[AFTER]
    piece = Piece(np.vstack([row, -row]), np.full(6, -1.0))
    made = conditional_set(values, covariance, MEAN, TIMES, -1, 0, [piece], 0.95, method)
    assert np.isnan(made.low)
    assert np.isnan(made.high)
    assert made.intervals == ()
    assert not made.contiguous


def test_union_that_is_not_one_interval():
    """Two violations far apart, known up to noise: two intervals, and their hull."""
    times, weights = np.array([-2, 0]), np.array([0, 1.0])
    pieces = [Piece(np.array([[0, 1.0], [0, -1.0]]), np.array([at, -at])) for at in (0.0, 10.0)]
    made = conditional_set(np.zeros(2), np.eye(2), weights, times, -1, 0, pieces, 0.95)
    half = norm.ppf(0.975)
    assert not made.contiguous
    assert np.ravel(made.intervals) == pytest.approx(
        [-10 - half, -10 + half, -half, half], abs=0.02
    )
    assert (made.low, made.high) == (made.intervals[0][0], made.intervals[1][1])


def test_same_seed_same_set():
    first, again = (accepted(1, "jumps", 1.0, seed=3) for _ in range(2))
    assert first.intervals == again.intervals
    other = accepted(1, "jumps", 1.0, seed=4)
    assert first.low != other.low
    assert first.low == pytest.approx(other.low, abs=0.02)


def rejected(method: str, delta: np.ndarray, size: float, sets: int, seed: int) -> float:
    """Share of data sets in which the true value, no effect, is not in the set."""
    rng = np.random.default_rng(seed)
    covariance = 0.2 * np.eye(6) + 0.1
    pieces = RelativeMagnitudes().pieces(TIMES, -1, 0, size)
    out = 0
    for values in rng.multivariate_normal(delta, covariance, size=sets):
        made = conditional_set(
            values, covariance, LAST, TIMES, -1, 0, pieces, 0.9, method, draws=1000
        )
        out += not any(a <= 0.0 <= b for a, b in made.intervals)
    return out / sets


PATHS = {  # three jumps before, three after; at the edge of what size 1 allows
    "one dominant jump": [-3.0, 0.0, 0.0, 3.0, 6.0, 9.0],
    "equal jumps": [3.0, 2.0, 1.0, -1.0, -2.0, -3.0],
}


@pytest.mark.parametrize("method", ["hybrid", "conditional"])
@pytest.mark.parametrize("path", PATHS)
def test_size_at_the_edge(path, method):
    """The test of the true value, at the worst violation allowed: at most one in ten rejects."""
    covariance = 0.2 * np.eye(6) + 0.1
    rng = np.random.default_rng(1)
    values = rng.multivariate_normal(np.array(PATHS[path]), covariance, size=1500)
    noise = rng.multivariate_normal(np.zeros(6), covariance, size=5000)
    accepts = np.zeros(len(values), dtype=bool)
    for piece in RelativeMagnitudes().pieces(TIMES, -1, 0, 1.0):
        made = statistics(piece, np.zeros(6), covariance, LAST, AFTER)
        cap, share = np.inf, 0.1
        if method == "hybrid":
            cap, share = made.critical(0.01, noise, 0), 0.09 / 0.99
        for i, one in enumerate(values):
            here = replace(made, value=made.value + made.load @ one)
            if not accepts[i] and here.value.max() <= cap:
                accepts[i] = here.p_values(np.zeros(1), cap)[0] >= share
    error = 1 - accepts.mean()
    room = 2.5 * np.sqrt(0.09 / len(values))
    assert error <= 0.1 + room
    if path == "one dominant jump":  # it is plain which jump is largest: nothing is given away
        assert error >= 0.1 - room


@pytest.mark.slow
@pytest.mark.parametrize("method", ["hybrid", "conditional", "least_favourable"])
@pytest.mark.parametrize("path", PATHS)
def test_covers(path, method):
    error = rejected(method, np.array(PATHS[path]), 1.0, 300, 2)
    assert error <= 0.1 + 2 * np.sqrt(0.09 / 300)


@pytest.mark.parametrize(
    ("options", "needed", "found"),
    [
        ({"method": "both"}, "one of hybrid, conditional", "'both'"),
        ({"level": 0.3}, "a level between", "0.3"),
        ({"share": 1.0}, "a number between 0 and 1", "1.0"),
        ({"draws": 10}, "from 1,000 on", "10"),
        ({"tolerance": 0}, "a number between 0 and 1", "0"),
        ({"seed": -1}, "from 0 on", "-1"),
        ({"seed": 0.5}, "from 0 on", "0.5"),
        ({"method": "conditional_fixed_length"}, "a FixedLength for", "NoneType"),
        ({"pieces": ()}, "at least one polyhedron", "none"),
        ({"weights": np.ones(6)}, "weights that are 0 before", "3 before it"),
        ({"covariance": np.ones((6, 6))}, "every jump of the path is uncertain", "6 of 6"),
        ({"pieces": [Piece(np.eye(6)[:1], np.ones(1))]}, "a restriction on the", "none"),
    ],
    ids=str,
)
def test_refused(options, needed, found):
    names = ("values", "covariance", "weights", "times", "reference", "first", "pieces")
    arguments = dict(zip(names, given(1, "jumps", 1.0), strict=True)) | {"level": 0.95} | options
    if "covariance" in options:
        arguments["pieces"] = RelativeMagnitudes().pieces(TIMES, -1, 0, 0.0)
        arguments["covariance"] = np.ones((6, 6))
        arguments["pieces"] = [Piece(np.diff(np.eye(6)[2:], axis=0), np.ones(3))]
        found = "3 of 3"
    with pytest.raises(InferenceError, match=needed) as raised:
        conditional_set(**arguments)
    raised.match(found)


def test_too_many_vertices_are_refused():
    times = np.r_[np.arange(-6, -1), np.arange(16)]
    weights = np.r_[np.zeros(5), np.full(16, 1 / 16)]
    pieces = RelativeMagnitudes(direction="positive").pieces(times, -1, 0, 1.0)
    with pytest.raises(InferenceError, match="a dual programme of at most") as raised:
        conditional_set(np.zeros(21), np.eye(21), weights, times, -1, 0, pieces, 0.95)
    raised.match("leave the sign or the monotone path out")
