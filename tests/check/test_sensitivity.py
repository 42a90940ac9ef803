"""Sensitivity: closed forms, brute force, the printed permutation as a special case, coverage."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, frame_of, noise, spread, treated

import didkit as dk
from didkit.check import EventTerms
from didkit.check.conditional import conditional_set
from didkit.check.fixed_length import fixed_length
from didkit.check.restrictions import Piece, RelativeMagnitudes, Smoothness
from didkit.check.sensitivity import Sensitivity
from didkit.check.sensitivity_intervals import ByNormal, ByShuffling, breakdown, largest_before
from didkit.check.sensitivity_permuted import (
    Between,
    ByTerm,
    ByUnit,
    Shuffled,
    _one_variance,
    between,
    by_unit,
)
from didkit.check.sensitivity_words import notes_on
from didkit.errors import InferenceError

N, T, START = 14, 7, 4
ONE = spread(N, 4, START)
TIMES = np.array([-4, -3, -2, 0, 1])
WEIGHTS = np.array([0, 0, 0, 0.5, 0.5])
BEFORE = TIMES < 0
RULE = dk.Permutation(draws=299)


def study(seed: int = 6, effect: float = -9.0, **options) -> dk.Estimate:
    y = noise(N, T, seed, scale=2.0) + effect * treated((N, T), ONE)
    return dk.EventStudy(**options).fit(design_of(y, ONE), "m")


def given(effect: float = 3.0, seed: int = 1, k: int = 5) -> EventTerms:
    rng = np.random.default_rng(seed)
    times = [*range(-k - 1, -1), *range(k)]
    covariance = 0.1 * (np.eye(2 * k) + 1)
    values = rng.multivariate_normal(np.zeros(2 * k), covariance)
    values[k:] += effect
    return EventTerms.given(pd.Series(values, times), pd.DataFrame(covariance, times, times))


# -- what holds the effect in a piece -------------------------------------------------------------


RESTRICTIONS = [
    RelativeMagnitudes(),
    RelativeMagnitudes(direction="positive"),
    RelativeMagnitudes(monotone="decreasing"),
    RelativeMagnitudes(of="second"),
    Smoothness(),
    Smoothness(direction="negative", monotone="decreasing"),
]


@pytest.mark.parametrize("restriction", RESTRICTIONS, ids=repr)
@pytest.mark.parametrize("size", [0.0, 0.5, 2.0])
def test_the_two_ends_hold_the_effect_whatever_the_path_in_the_piece(restriction, size):
    """Vertices and random combinations of paths in each piece, with τ added after the start."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(3)
    tight = 0
    for piece in restriction.pieces(TIMES, -1, 0, size):
        ends = between(piece, WEIGHTS, BEFORE)
        assert ends is not None
        limits = [(-3, 3) if early else (None, None) for early in BEFORE]
        paths = []
        for sign in (1, -1, 1, -1, 1):  # the effect as low, or as high, as such a path lets it be
            cost = np.where(BEFORE, 0.01 * rng.normal(size=5), sign * WEIGHTS)
            paths.append(linprog(cost, A_ub=piece.A, b_ub=piece.d, bounds=limits).x)
        paths += [rng.dirichlet(np.ones(5)) @ np.array(paths) for _ in range(5)]
        for path in paths:
            assert (piece.A @ path <= piece.d + 1e-8).all()
            tau = np.where(BEFORE, 0.0, rng.normal(size=5))
            beta, effect = path + tau, float(WEIGHTS @ tau)
            low, high = ends.low @ beta + ends.at_low, ends.high @ beta + ends.at_high
            assert low - 1e-7 <= effect <= high + 1e-7
            tight += min(effect - low, high - effect) < 1e-7
    assert tight  # some path is at an end: no bound is idle


def test_relative_magnitudes_by_hand():
    """Jumps after of at most M g: the mean of two terms is bounded by 1.5 M g on either side."""
    pieces = RelativeMagnitudes().pieces(TIMES, -1, 0, 0.5)
    made = [between(piece, WEIGHTS, BEFORE) for piece in pieces]
    seen = {tuple(np.round(one.high, 9)) for one in made}
    jumps = np.array([[-1.0, 1, 0, 0, 0], [0, -1, 1, 0, 0], [0, 0, -1, 0, 0]])
    expected = {
        tuple(np.round(WEIGHTS + sign * 0.75 * jump, 9) + 0.0) for jump in jumps for sign in (1, -1)
    }
    assert seen == expected
    assert all(np.allclose(one.low + one.high, 2 * WEIGHTS) for one in made)


def test_a_piece_that_bounds_one_side_only_is_said_to():
    assert between(Piece(np.array([[0, 0, 0, -1.0, 0]]), np.zeros(1)), WEIGHTS, BEFORE) is None


# -- the permutation version ----------------------------------------------------------------------


def test_numbers_by_unit_are_the_refits():
    events = study()
    rng = np.random.default_rng(1)
    labels = np.full((40, N), -1)
    for row in labels:
        row[rng.choice(N, 4, replace=False)] = 0
    drawn = events.reassigned(labels)
    b, a, spread_of = by_unit(events.contributions, events.sample.cohort >= 0, labels)
    assert a == pytest.approx(drawn.a, abs=1e-12)
    assert b == pytest.approx(drawn.b, abs=1e-9)
    assert np.einsum("bkk->bk", spread_of.v0) == pytest.approx(drawn.v0, abs=1e-9)
    assert spread_of.v1 == pytest.approx(drawn.v1, abs=1e-9)
    assert spread_of.v2 == pytest.approx(drawn.v2[:, 0], abs=1e-12)


def test_the_error_of_a_combination_is_that_of_its_own_numbers():
    """CR0 by hand of one difference of means, with an effect taken off the pilots."""
    rng = np.random.default_rng(2)
    x, c, moved = rng.normal(size=(N, 3)), np.array([1.0, -0.5, 2.0]), np.array([0.3, 0.1, -0.7])
    pilot = np.arange(N) < 4
    labels = np.where(rng.permuted(pilot), 0, -1)[None]
    number = (x - np.outer(pilot, moved)) @ c
    mine = labels[0] >= 0
    expected = np.sqrt(sum(number[arm].var() / arm.sum() for arm in (mine, ~mine)))
    _, _, made = by_unit(x, pilot, labels)
    assert made.of(c[None])(moved)[0, 0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("statistic", ["t", "beta"])
@pytest.mark.parametrize("gaps", [False, True])
def test_without_a_violation_it_is_the_printed_permutation(statistic, gaps):
    y = noise(N, T, 6) - 9 * treated((N, T), ONE)
    if gaps:
        y[0, 1] = np.nan
    events = dk.EventStudy().fit(design_of(y, ONE), "m")
    events = events.infer(dk.Permutation(statistic, draws=210))
    check = Sensitivity(sizes=[0], method="permutation")
    if gaps and statistic == "t":
        terms = EventTerms.of(events)
        assert isinstance(Shuffled.of(terms, dk.Permutation(draws=199)).spread, ByTerm)
    row = events.check(check).table.iloc[1]
    printed = events[events.main_term]
    assert row["conf_low"] == pytest.approx(printed["conf_low"], abs=1e-5)
    assert row["conf_high"] == pytest.approx(printed["conf_high"], abs=1e-5)


def test_one_variance_is_that_of_a_single_term_and_near_that_of_several():
    """Each draw's own variances of the terms, and one correlation for all draws."""
    terms = EventTerms.of(study())
    rule = dk.Permutation(draws=1500)
    exact = Shuffled.of(terms, rule)
    assert isinstance(exact.spread, ByUnit)
    k = len(terms.times)
    near, own = _one_variance(rule.redrawn(terms.events), np.arange(k))
    moved = terms.values + np.arange(k)
    assert near.of(np.eye(k))(moved) == pytest.approx(exact.spread.of(np.eye(k))(moved), rel=1e-9)
    assert own.of(np.eye(k))(moved) == pytest.approx(exact.own.of(np.eye(k))(moved), rel=1e-9)
    one = np.array([[-1.0, 1, 0, *[0.5] * (k - 3)]])
    ratio = near.of(one)(terms.values) / exact.spread.of(one)(terms.values)
    assert 0.9 < float(np.median(ratio)) < 1.1


def shuffled(numbers: np.ndarray, pilot: np.ndarray, labels: np.ndarray) -> Shuffled:
    b, a, spread_of = by_unit(numbers, pilot, labels)
    own, _, mine = by_unit(numbers, pilot, np.where(pilot, 0, -1)[None])
    return Shuffled(
        values=own[0], b=b, a=a, spread=spread_of, own=mine, shift=np.array([0.0, 1.0]),
        exact=True, least_p=1 / len(labels), method="",
    )  # fmt: skip


def test_p_of_one_end_by_brute_force():
    """Two terms, 3 of 8 units, all 56 choices: t of the combination, refitted by hand."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(8, 2)) + np.array([0.0, 1.0])
    pilot = np.isin(np.arange(8), [1, 4, 6])
    chosen = list(itertools.combinations(range(8), 3))
    labels = np.where([np.isin(np.arange(8), one) for one in chosen], 0, -1)
    drawn = shuffled(x, pilot, labels)
    c, theta = np.array([0.5, 1.0]), -0.4
    number = x @ c
    value = float(number[pilot].mean() - number[~pilot].mean())
    number = number - pilot * (theta + 0.3)  # where the lower end is the effect

    def t(mine: np.ndarray) -> float:
        error = np.sqrt(sum(number[a].var() / a.sum() for a in (mine, ~mine)))
        return float((number[mine].mean() - number[~mine].mean()) / error)

    # the upper end is the same combination 0.6 higher: it binds only from there
    way = Between(c, -0.3, c, 0.3)
    own = t(pilot)
    assert value - 0.3 > theta
    found = []
    for one in chosen:
        mine = np.isin(np.arange(8), one)
        error = np.sqrt(sum(number[a].var() / a.sum() for a in (mine, ~mine)))
        found.append(max(t(mine), -t(mine) - 0.6 / error))
    expected = float(np.mean(np.array(found) >= own * (1 - 1e-9)))
    assert 0 < expected < 1
    assert drawn.holds([[way]], theta, 1 - expected + 1e-6)
    assert not drawn.holds([[way]], theta, 1 - expected - 1e-6)


def test_ends_are_where_the_test_changes_its_mind():
    terms = EventTerms.of(study())
    drawn = Shuffled.of(terms, dk.Permutation(draws=1500))
    way = ByShuffling(terms, RelativeMagnitudes(), 0.9, drawn)
    pieces = way._pieces(0.5)
    low, high = drawn.ends(pieces, 0.9)
    scale = 1e-4 * (high - low)
    assert drawn.holds(pieces, low + scale, 0.9)
    assert not drawn.holds(pieces, low - scale, 0.9)
    assert drawn.holds(pieces, high - scale, 0.9)
    assert not drawn.holds(pieces, high + scale, 0.9)


def test_where_the_level_cannot_be_attained_nothing_is_excluded():
    y = noise(5, T, 1) - 9 * treated((5, T), {2: START})
    events = dk.EventStudy().fit(design_of(y, {2: START, 4: START}), "m")
    table = events.check(Sensitivity(sizes=[1], method="permutation")).table
    assert np.isneginf(table["conf_low"].iloc[1])
    assert np.isposinf(table["conf_high"].iloc[1])


@pytest.mark.parametrize(
    ("seeds", "sd"), [(60, 1.0), pytest.param(600, 2.0, marks=pytest.mark.slow)]
)
def test_the_permutation_covers_under_one_dominant_jump(seeds, sd):
    """Skewed noise, six pilots of forty, a jump after as large as the one before: effect zero."""
    pilot = np.arange(40) < 6
    inside = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        y = (rng.chisquare(2, size=(40, 3)) - 2) / 2
        y[pilot] *= sd
        numbers = np.column_stack([y[:, 0] - y[:, 1], y[:, 2] - y[:, 1]])
        numbers[pilot] += [-4.0, 4.0]
        labels = np.full((299, 40), -1)
        np.put_along_axis(labels, np.argsort(rng.random((299, 40)), axis=1)[:, :6], 0, axis=1)
        drawn = shuffled(numbers, pilot, labels)
        times = np.array([-2, 0])
        ways = [
            [between(piece, np.array([0.0, 1.0]), times < 0)]
            for piece in RelativeMagnitudes().pieces(times, -1, 0, 1.0)
        ]
        inside += drawn.holds(ways, 0.0, 0.95)
    assert inside / seeds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / seeds)


# -- the check ------------------------------------------------------------------------------------


def test_normal_rows_are_the_kernels():
    terms = given()
    table = Sensitivity(sizes=(0.5, 1)).on(terms).table
    where = (terms.values, terms.covariance, terms.weights, terms.times, -1, 0)
    for row in table.iloc[1:].itertuples():
        pieces = RelativeMagnitudes().pieces(terms.times, -1, 0, row.size)
        made = conditional_set(*where, pieces, 0.95, "hybrid")
        assert (row.conf_low, row.conf_high) == (made.low, made.high)
    smooth = Sensitivity(Smoothness(), (0.2,), level=0.9).on(terms).table.iloc[1]
    fixed = fixed_length(*where, 0.2, 0.9)
    assert (smooth["conf_low"], smooth["conf_high"]) == (fixed.low, fixed.high)
    assert smooth["method"] == "fixed_length"


@pytest.mark.parametrize(
    "check",
    [Sensitivity(), Sensitivity(Smoothness()), Sensitivity(RelativeMagnitudes(of="second"))],
    ids=["relative", "smooth", "second"],
)
def test_the_breakdown_is_where_zero_enters(check):
    terms = given(effect=9.0, k=3)
    found = check.on(terms)
    size = found.facts["breakdown"]
    assert 0 < size < np.inf
    way = ByNormal(found.table["method"].iloc[1], terms, check.restriction, 0.95, 0)
    assert way.holds_zero(size * 1.002)
    assert not way.holds_zero(size * 0.998)
    words = found.headline.split("(as printed")[1]
    assert f"{dk.results.tables.number(size)} " in words


def test_the_breakdown_of_a_permutation_is_where_zero_enters():
    events = study(seed=4, effect=-14.0).infer(RULE)
    found = events.check(Sensitivity())
    assert found.table["method"].unique().tolist() == ["as printed", "permutation", "hybrid"]
    terms = EventTerms.of(events)
    way = ByShuffling(terms, RelativeMagnitudes(), 0.95, Shuffled.of(terms, RULE))
    size = found.facts["breakdown"]
    assert size == found.facts["breakdown_permutation"] != found.facts["breakdown_hybrid"]
    assert way.holds_zero(size)
    assert not way.holds_zero(size * 0.995)
    low, high = way.interval(size)
    assert min(abs(low), abs(high)) < 0.02 * (high - low)
    jump = largest_before(terms, 1)
    assert found.facts["breakdown_in_unit"] == pytest.approx(size * jump)
    assert "doubtful with 4 pilots" in " ".join(found.notes)
    assert "the headline is by permutation" in " ".join(found.notes)


class Threshold:
    """Zero is inside from a size on."""

    name = "made"

    def __init__(self, at: float) -> None:
        self.at = at

    def interval(self, size: float) -> tuple[float, float]:
        return self.at - size, 9.0

    def holds_zero(self, size: float) -> bool:
        return size >= self.at


@pytest.mark.parametrize("at", [0.0, 0.3, 1.0, 3.3, 4.99, 5.01])
def test_a_breakdown_is_found_between_sizes_and_beyond_them(at):
    found = breakdown(Threshold(at), (0.0, 0.5, 1.0, 2.0), 5.0)
    assert found == (pytest.approx(at, rel=2e-3) if at <= 5 else np.inf)


def test_words_at_the_beginning_and_beyond():
    flat = Sensitivity(sizes=(0, 1)).on(given(effect=0.0, seed=2))
    assert "already with no differential jump at all" in flat.headline
    assert flat.facts["breakdown"] == 0
    far = Sensitivity(sizes=(0, 1)).on(given(effect=500.0))
    assert np.isinf(far.facts["breakdown"])
    assert "still outside" in far.headline
    assert "5.00 times the largest before it" in far.headline
    straight = Sensitivity(Smoothness()).on(given(effect=0.0, seed=2))
    assert "trends that differ by a straight line" in straight.headline
    assert far.cannot_show
    assert far.alternatives == (far.facts["at_low"], far.facts["at_high"])


def test_intervals_grow_with_the_size_and_hold_what_is_possible():
    table = Sensitivity().on(given()).table.iloc[1:]
    assert table["conf_low"].is_monotonic_decreasing
    assert table["conf_high"].is_monotonic_increasing
    assert (table["identified_low"] >= table["conf_low"]).all()
    assert (table["identified_high"] <= table["conf_high"]).all()
    width = table["identified_high"] - table["identified_low"]
    jump = largest_before(given(), 1)
    assert width.to_numpy() == pytest.approx(2 * 3 * jump * table["size"].to_numpy())  # mean of 5


def test_the_scale_of_smoothness_is_the_largest_bend_before():
    terms = given()
    path = np.append(terms.values[:5], 0.0)
    bend = float(np.abs(np.diff(path, n=2)).max())
    assert largest_before(terms, 2) == pytest.approx(bend)
    found = Sensitivity(Smoothness()).on(terms)
    assert found.table["size"].iloc[1] == 0
    assert found.facts["at"] == pytest.approx(bend, rel=0.05)
    scaled = EventTerms.given(
        pd.Series(1000 * terms.values, terms.times),
        pd.DataFrame(1e6 * terms.covariance, terms.times, terms.times),
    )
    again = Sensitivity(Smoothness()).on(scaled)
    assert again.facts["breakdown"] == pytest.approx(1000 * found.facts["breakdown"], rel=2e-3)


def test_signs_and_monotone_paths_cut_one_side():
    terms = given(k=3)
    plain = Sensitivity(sizes=[1]).on(terms).table.iloc[1]
    one = Sensitivity(RelativeMagnitudes(direction="positive"), [1]).on(terms).table.iloc[1]
    assert one["conf_high"] < plain["conf_high"] - 1
    assert one["identified_high"] == pytest.approx(terms.estimate)
    assert one["identified_low"] == pytest.approx(plain["identified_low"])
    events = study()
    shape = Sensitivity(Smoothness(direction="negative"), [6.0], method="permutation")
    free = Sensitivity(Smoothness(), [6.0], method="permutation")
    a, b = events.check(shape).table.iloc[1], events.check(free).table.iloc[1]
    assert a["conf_low"] > b["conf_low"] + 1
    assert b["conf_high"] - b["conf_low"] > 2 * 6.0  # what one bend of 6 can hide on either side


def test_did_asks_its_own_event_study_about_the_mean():
    y = noise(N, T, 6, scale=2.0) - 9 * treated((N, T), ONE)
    did = dk.DiD().fit(design_of(y, ONE), "m").infer(RULE)
    found = did.check(Sensitivity(sizes=[0], method="permutation"))
    printed = did["att"]
    first = found.table.iloc[0]
    assert (first["conf_low"], first["conf_high"]) == (printed["conf_low"], printed["conf_high"])
    assert "mean of event times 0 to 2" in found.headline
    other = did.check(Sensitivity(sizes=[0], of="event time +1", method="permutation"))
    assert "event time +1" in other.headline


def test_the_order_of_rows_does_not_matter():
    y = noise(N, T, 6) - 9 * treated((N, T), ONE)
    ids = codes(N)
    rollout = dk.Rollout({ids[j]: FIRST + t for j, t in ONE.items()})
    check = Sensitivity(sizes=(0, 0.5), method="permutation")
    tables = []
    for frame in (frame_of(y), frame_of(y).sample(frac=1, random_state=3)):
        panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
        design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
        tables.append(dk.EventStudy().fit(design, "m").infer(RULE).check(check).table)
    pd.testing.assert_frame_equal(*tables)


def test_dual_weights_of_one_size_serve_all():
    for restriction in RESTRICTIONS[:4]:
        terms = EventTerms.of(study())
        drawn = Shuffled.of(terms, RULE)
        way = ByShuffling(terms, restriction, 0.95, drawn)
        for size in (0.3, 2.0):
            pieces = restriction.pieces(terms.times, terms.reference, terms.first, size)
            for piece, (kept,) in zip(pieces, way._pieces(size), strict=True):
                own = between(piece, terms.weights, terms.before)
                assert kept.low == pytest.approx(own.low, abs=1e-9)
                assert kept.high == pytest.approx(own.high, abs=1e-9)


def test_matched_sets_trade_places():
    free = [j for j in range(N) if j not in ONE]
    ids = [str(301 + 3 * i) for i in range(N)]
    sets = {ids[j]: {ids[free[2 * i]]: 0.5, ids[free[2 * i + 1]]: 0.5} for i, j in enumerate(ONE)}
    y = noise(N, T, 6, scale=1.0) - 30 * treated((N, T), ONE)
    events = dk.EventStudy(cells="complete").fit(
        design_of(y, ONE, against=dk.MatchedSets(sets)), "m"
    )
    rule = dk.Permutation(draws=99)
    found = events.infer(rule).check(Sensitivity(sizes=[0], method="permutation", level=0.9))
    printed = events.infer(rule, level=0.9)[events.main_term]
    row = found.table.iloc[1]
    assert row["conf_low"] == pytest.approx(printed["conf_low"], abs=1e-4)
    assert row["conf_high"] == pytest.approx(printed["conf_high"], abs=1e-4)


def test_a_combination_is_chosen_by_what_draws_have_in_common():
    """Nine noisy periods: the pilots' own covariance would flatter the line it picks."""
    terms = EventTerms.of(study())
    drawn = Shuffled.of(terms, dk.Permutation(draws=1500))
    x = terms.events.contributions
    pilot = terms.events.sample.cohort >= 0
    x = x - np.outer(pilot, terms.values)  # all choices of 4 of 14: finite population, exactly
    exact = np.cov(x, rowvar=False) * (1 / 4 + 1 / 10)
    assert drawn.covariance() * 1000 / 1001 == pytest.approx(exact, rel=1e-9)


def test_zero_that_leaves_again_is_said():
    table = pd.DataFrame(
        {
            "size": [np.nan, 0.0, 1.0, 2.0],
            "method": ["as printed", *["fixed_length"] * 3],
            "conf_low": [1.0, 1.0, -0.1, 0.1],
            "conf_high": 3.0,
            "zero_inside": [False, False, True, False],
        }
    )
    facts = {"breakdown": 0.9, "largest_jump": 1.0, "largest_bend": 1.0, "tried": 5.0}
    words = (given(), Smoothness(), table, "fixed_length", "normal", facts)
    assert "zero is outside again at 2.00" in " ".join(notes_on(*words))
    table.loc[3, "zero_inside"] = True
    assert "outside again" not in " ".join(notes_on(*words))


def test_several_starts_are_named():
    starts = {2: 3, 6: 3, 9: 5, 12: 5}
    y = noise(N, 8, 3) - 20 * treated((N, 8), starts)
    events = dk.EventStudy(ends=("trim", -3, 2)).fit(design_of(y, starts), "m")
    found = events.infer(dk.ClusterRobust("CR2")).check(Sensitivity(sizes=[0, 1]))
    notes = " ".join(found.notes)
    assert "GroupTime(by='dynamic')" in notes
    assert "the headline is by hybrid" in notes


# -- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sizes": (-1,)}, "finite numbers of 0 or more"),
        ({"sizes": ("a",)}, "finite numbers of 0 or more"),
        ({"sizes": (True,)}, "finite numbers of 0 or more"),
        ({"sizes": (np.inf,)}, "finite numbers of 0 or more"),
        ({"sizes": ()}, "sizes of violation"),
        ({"sizes": "12"}, "sizes of violation"),
        ({"method": "bayes"}, "method 'fixed_length', 'hybrid'"),
        ({"method": "fixed_length"}, "plain Smoothness()"),
        (
            {"method": "fixed_length", "restriction": Smoothness(direction="positive")},
            "plain Smoothness()",
        ),
        ({"method": "conditional_fixed_length"}, "Smoothness() for a fixed-length first step"),
        ({"restriction": "smooth"}, "a restriction: RelativeMagnitudes() or Smoothness()"),
        ({"restriction": Smoothness}, "a restriction"),
        ({"draws": 5}, "at least 19 draws"),
        ({"seed": -1}, "a whole number of 0 or more"),
        ({"level": 95}, "a level between 0.5 and 1"),
    ],
)
def test_options_are_checked_when_made(options, says):
    with pytest.raises(InferenceError, match="Sensitivity") as error:
        Sensitivity(**options)
    assert says in error.value.needed


def test_sizes_are_put_in_order_once():
    assert Sensitivity(sizes=[1, 0.5, 1.0]).sizes == (0.5, 1.0)
    assert Sensitivity(sizes=2).sizes == (2.0,)
    hash(Sensitivity(sizes=[1, 2]))


def test_one_period_before_is_refused():
    y = noise(N, 3, 1)
    events = dk.EventStudy().fit(design_of(y, spread(N, 4, 1)), "m")
    with pytest.raises(InferenceError, match="at least two periods before the start"):
        events.check(Sensitivity())


def test_a_matrix_that_is_no_covariance_and_terms_without_labels_are_refused():
    times = [-2, 0]
    bad = pd.DataFrame([[1.0, 2.0], [2.0, 1.0]], times, times)
    with pytest.raises(InferenceError, match="least eigenvalue of -1"):
        Sensitivity().on(EventTerms.given(pd.Series([0.0, 1.0], times), bad))
    with pytest.raises(InferenceError, match="Series of terms indexed by event time"):
        EventTerms.given(np.zeros(2), np.eye(2))


def test_terms_from_elsewhere_have_no_permutation():
    with pytest.raises(InferenceError, match="which can be refitted"):
        Sensitivity(method="permutation").on(given())
    assert "no permutation version: the terms are from elsewhere" in " ".join(
        Sensitivity(sizes=[0]).on(given()).notes
    )


def test_the_first_row_of_did_is_the_estimate_as_printed():
    _, design = dk.datasets.load_evaluation()
    did = dk.DiD().fit(design.drop("522"), "cla").infer(dk.ClusterRobust("CR2"))
    found = did.check(dk.Sensitivity(dk.Smoothness(), sizes=[0], method="fixed_length"))
    first = found.table.iloc[0]
    assert first["identified_low"] == first["identified_high"] == did.values[0]
    assert "fixed_length" not in " ".join(found.notes)
