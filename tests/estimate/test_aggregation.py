"""From effects by cohort and period to terms: names, weights, and what estimated shares add."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import design_of, noise

from didkit.design import Sample
from didkit.errors import EstimationError
from didkit.estimate.aggregation import (
    aggregate,
    check_by,
    cohort_sizes,
    shares_by_kind,
    unit_weights,
)

STARTS = {1: 2, 4: 3, 7: 3, 8: 3, 9: 3}
#: effects of start 2 (periods 2 to 4) and of start 3 (periods 0, 1, 3, 4)
G = np.array([0, 0, 0, 1, 1, 1, 1])
AT = np.array([2, 3, 4, 0, 1, 3, 4])
EFFECTS = np.array([1.0, 2.0, 3.0, 0.5, 0.7, 10.0, 20.0])


def sample() -> Sample:
    return design_of(noise(12, 5, 1), STARTS).sample("m")


def test_sizes_are_shares_of_units() -> None:
    size, shares = cohort_sizes(sample(), "pilots")
    assert size == pytest.approx([1 / 12, 4 / 12])
    assert shares.sum(axis=0) == pytest.approx(0, abs=1e-15)
    kinds = shares_by_kind(sample(), "pilots")[1]
    assert shares == pytest.approx(unit_weights(sample())[:, None] * kinds[sample().cohort])
    assert cohort_sizes(sample(), "cohorts")[0].tolist() == [1, 1]
    assert not cohort_sizes(sample(), "cohorts")[1].any()


@pytest.mark.parametrize(
    ("by", "overall", "expected"),
    [
        ("simple", False, [(1 + 2 + 3 + 4 * 10 + 4 * 20) / (3 + 8)]),
        ("dynamic", False, [0.5, 0.7, (1 + 40) / 5, (2 + 80) / 5, 3]),
        ("dynamic", True, [((1 + 40) / 5 + (2 + 80) / 5 + 3) / 3]),
        ("group", False, [2, 15]),
        ("group", True, [(2 + 4 * 15) / 5]),
        ("calendar", False, [1, (2 + 40) / 5, (3 + 80) / 5]),
        ("calendar", True, [(1 + (2 + 40) / 5 + (3 + 80) / 5) / 3]),
        ("none", False, EFFECTS.tolist()),
    ],
)
def test_terms_by_hand(by: str, overall: bool, expected: list[float]) -> None:
    size, _ = cohort_sizes(sample(), "pilots")
    made = aggregate(sample(), G, AT, by, size=size, overall=overall)
    assert made.matrix @ EFFECTS == pytest.approx(expected)


@pytest.mark.parametrize(
    ("by", "overall"),
    [("simple", False), *((b, o) for b in ("dynamic", "group", "calendar") for o in (False, True))],
)
def test_share_influence_is_the_derivative_in_the_shares(by: str, overall: bool) -> None:
    """Move the sizes a little: terms move by what the influence says."""
    size, _ = cohort_sizes(sample(), "pilots")
    made = aggregate(sample(), G, AT, by, size=size, overall=overall)
    for direction in np.eye(2):
        moved = [
            aggregate(sample(), G, AT, by, size=size + s * 1e-6 * direction, overall=overall).matrix
            @ EFFECTS
            for s in (-1, 1)
        ]
        slope = (moved[1] - moved[0]) / 2e-6
        found = made.share_influence(EFFECTS, direction[None])[0]
        assert found == pytest.approx(slope, abs=1e-7)


def test_balance_keeps_the_composition_from_the_start_on() -> None:
    size, _ = cohort_sizes(sample(), "pilots")
    made = aggregate(sample(), G, AT, "dynamic", size=size, balance=2)
    assert made.terms["event_time"].tolist() == [0, 1, 2]
    assert made.matrix @ EFFECTS == pytest.approx([1, 2, 3])
    made = aggregate(sample(), G, AT, "dynamic", size=size, balance=1)
    assert made.terms["event_time"].tolist() == [-3, -2, 0, 1]
    assert made.matrix @ EFFECTS == pytest.approx([0.5, 0.7, 41 / 5, 82 / 5])
    with pytest.raises(EstimationError, match="balance"):
        aggregate(sample(), G, AT, "dynamic", size=size, balance=3)


def test_a_balance_without_event_time_is_refused() -> None:
    with pytest.raises(EstimationError):
        check_by("simple", 1, False, "X")
    with pytest.raises(EstimationError):
        check_by("simple", None, True, "X")
    check_by("dynamic", 1, True, "X")
