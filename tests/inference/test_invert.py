"""The inversion alone, on draws whose accepted effects are known by algebra.

A draw with estimate b and treatment a is as large as the actual one (estimate e, a = 1) at θ
where |b − θa| ≥ |e − θ|.
"""

from __future__ import annotations

import numpy as np
import pytest
from helpers import design_of, noise, treated
from numpy.testing import assert_allclose

from didkit.estimate import DiD
from didkit.inference import Permutation
from didkit.inference.invert import Test, invert
from didkit.results import Draws

ZERO = np.zeros((20, 1))


def inverted(b: list[float], a: list[float], *, estimate: float = 0.0, level: float = 0.9):
    """Nineteen draws and the actual one, all assignments listed, ranked by the estimate."""
    drawn = Draws(
        np.array([[estimate], *([x] for x in b)]),
        np.array([[1.0], *([x] for x in a)]),
        ZERO,
        ZERO,
        ZERO,
    )
    actual = Draws(np.array([[estimate]]), np.ones((1, 1)), *[np.zeros((1, 1))] * 3)
    return invert(drawn, actual, 0, studentised=False, exact=True, level=level, least_p=1 / 20)


def test_a_symmetric_interval():
    """a = 0, b = ±i: at level .9 the second largest of 19 decides; |θ| < 18 is accepted."""
    found = inverted([float(i) * (-1) ** i for i in range(1, 20)], [0.0] * 19)
    assert (found.low, found.high) == pytest.approx((-18, 18), abs=1e-6)
    assert found.p_value == 1
    assert found.notes == ()


def test_a_lopsided_interval():
    """a = .99, b = 1: accepted from −1/(1 − .99) = −100 to 1/1.99."""
    found = inverted([1.0] * 19, [0.99] * 19)
    assert found.low == pytest.approx(-100, rel=1e-6)
    assert found.high == pytest.approx(1 / 1.99, rel=1e-6)
    mirrored = inverted([-1.0] * 19, [0.99] * 19)
    assert mirrored.high == pytest.approx(100, rel=1e-6)
    assert mirrored.low == pytest.approx(-1 / 1.99, rel=1e-6)


def test_an_end_at_infinity():
    """a = 1, b = 1: |1 − θ| ≥ |θ| for every θ below one half."""
    found = inverted([1.0] * 19, [1.0] * 19)
    assert found.low == -np.inf
    assert found.high == pytest.approx(0.5, rel=1e-6)
    assert inverted([-1.0] * 19, [1.0] * 19).high == np.inf


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_effects_accepted_again_make_a_hull_and_a_note(sign):
    """a = 2.5, b = 9: as large up to 9/3.5 and again from 6 on, without end on either side.

    The other draws (a = 0, b = 1) only within 1: between 9/3.5 and 6 all effects are rejected.
    """
    found = inverted([1.0] * 16 + [sign * 9.0] * 3, [0.0] * 16 + [2.5] * 3)
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert any("not one interval; its hull is given" in note for note in found.notes)


def test_zero_rejected_inside_the_hull_is_told():
    """Estimate 10; a = 2.5, b = 0: rejected from −10/1.5 to 10/3.5, accepted beyond both."""
    found = inverted([1.0] * 16 + [0.0] * 3, [0.0] * 16 + [2.5] * 3, estimate=10.0)
    assert found.p_value == 1 / 20
    assert found.low < 0 < found.high
    assert any("its hull is given" in note for note in found.notes)


def test_zero_accepted_far_from_the_estimate_is_in_the_hull():
    """Estimate 10, u = 10 − θ; b = 10.05, a = 1.01: |1.01u − .05| ≥ |u| up to .025, and from 5 on.

    Between them the three draws are smaller by less than a hundredth.
    """
    b = [9.9001] * 16 + [10.05] * 3
    a = [0.99] * 16 + [1.01] * 3
    found = inverted(b, a, estimate=10.0)
    assert found.p_value == 4 / 20
    assert found.low == -np.inf
    assert found.high == np.inf
    assert any("its hull is given" in note for note in found.notes)


# -- draws without the statistic, and ties ---------------------------------------------------------


def test_a_draw_without_the_term_counts_as_extreme():
    found = inverted([0.5] * 16 + [np.nan] * 3, [0.0] * 19, estimate=1.0)
    assert found.p_value == 4 / 20  # itself and the three that do not exist
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_ties_count():
    assert inverted([1.0, -1.0, *([0.5] * 17)], [0.0] * 19, estimate=1.0).p_value == 3 / 20
    assert inverted([1.0 - 1e-12, *([0.5] * 18)], [0.0] * 19, estimate=1.0).p_value == 2 / 20
    assert inverted([1.0 - 1e-6, *([0.5] * 18)], [0.0] * 19, estimate=1.0).p_value == 1 / 20


@pytest.mark.parametrize("statistic", ["t", "beta"])
def test_outcomes_all_alike_have_p_one(statistic):
    sure = DiD().fit(design_of(np.ones((8, 4)), {1: 2, 4: 2}), "m").infer(Permutation(statistic))
    assert sure.uncertainty.p_value[0] == 1


# -- the interval is where p exceeds alpha, wherever one looks -------------------------------------


def test_an_effect_beyond_the_end_is_found():
    """A grid of 24 points a side stepped over it: .6682 has p = .2121, the end was .6977."""
    y, starts = noise(12, 3, 489014), {0: 1, 1: 1}
    sure = DiD().fit(design_of(y, starts), "m").infer(Permutation("t"), level=0.8).uncertainty
    moved = DiD().fit(design_of(y - 0.6682 * treated(y.shape, starts), starts), "m")
    assert moved.infer(Permutation("t")).uncertainty.p_value[0] == pytest.approx(14 / 66)
    assert sure.conf_low[0] < 0.6682
    assert any("its hull is given" in note for note in sure.notes)


@pytest.mark.parametrize("statistic", ["t", "beta"])
@pytest.mark.parametrize("draws", [199, 9999])
def test_p_and_interval_agree_far_out(statistic, draws):
    """p(θ) ≤ α exactly outside: far beyond the ends, and 1e-8 units from them."""
    rng = np.random.default_rng(draws)
    for seed in range(12):
        y = noise(10, 4, 100 + seed)
        starts = {1: 2, 4: 1 + seed % 3, 7: 2} if seed % 2 else {1: 2, 4: 2}
        again = Permutation(statistic, draws=draws).redrawn(DiD().fit(design_of(y, starts), "m"))
        test = Test(
            again.drawn, again.actual, 0, studentised=statistic == "t", exact=again.chosen.exact
        )
        for level in (0.5, 0.8, 0.9, 0.95, 0.99):
            found = test.inverted(level, least_p=again.chosen.least_p)
            one = invert(
                again.drawn,
                again.actual,
                0,
                studentised=statistic == "t",
                exact=again.chosen.exact,
                level=level,
                least_p=again.chosen.least_p,
            )
            assert one == found  # one sweep serves all levels
            ends = [end for end in (found.low, found.high) if np.isfinite(end)]
            near = [end + side * 1e-8 * test.unit for end in ends for side in (-1, 1)]
            far = test.unit * rng.normal(size=30) * 10 ** rng.uniform(-1, 4, 30)
            whole = not any("its hull" in note for note in found.notes)
            for theta in [*near, *(test.estimate + far)]:
                accepted = test.p(theta) > round(1 - level, 12)
                inside = found.low <= theta <= found.high
                assert accepted <= inside
                if whole or theta in near:
                    assert accepted == inside


@pytest.mark.parametrize("statistic", ["t", "beta"])
@pytest.mark.parametrize("factor", [2.0**-490, 1e-150, 1e150, -(2.0**480)])
def test_units_do_not_matter(statistic, factor):
    """Squares of such outcomes are no numbers: p was 1 without a word."""
    y, starts = noise(12, 6, 8), {1: 3, 4: 3, 8: 3, 11: 3}
    one, other = (
        DiD().fit(design_of(k * y, starts), "m").infer(Permutation(statistic)).uncertainty
        for k in (1, factor)
    )
    assert 0.1 < one.p_value[0] < 0.9
    assert other.p_value[0] == one.p_value[0]
    ends = sorted([other.conf_low[0] / factor, other.conf_high[0] / factor])
    assert_allclose(ends, [one.conf_low[0], one.conf_high[0]], rtol=1e-7)
