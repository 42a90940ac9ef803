"""Restrictions on paths: membership by the words of the definition, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from didkit.check.restrictions import Piece, RelativeMagnitudes, Smoothness
from didkit.errors import InferenceError

SETTINGS = [  # times, reference, first
    ([-4, -3, -2, 0, 1, 2], -1, 0),
    ([-4, -3, -2, 0, 1], -1, -1 + 1),
    ([-5, -4, -2, -1, 0, 1], -3, 0),  # the reference is not the last period before
    ([-5, -4, -3, -1, 0, 1], -2, -1),  # an effect one period ahead
    ([-3, -2, -1, 1, 2, 3], 0, 1),
]
SHAPES = [(None, None), ("positive", None), ("negative", "decreasing"), (None, "increasing")]


def inside(pieces: tuple[Piece, ...], delta: np.ndarray) -> bool:
    return any((piece.A @ delta <= piece.d + 1e-12).all() for piece in pieces)


def allowed(restriction, times, reference, first, size, delta) -> bool:
    """Read the definition period by period."""
    path = dict(zip(times, delta, strict=True)) | {reference: 0.0}
    start, end = min(path), max(path)

    def jump(t: int) -> float:
        return path[t] - path[t - 1]

    steps = {t: jump(t) for t in range(start + 1, end + 1)}
    falls, rises = min(steps.values()) < 0, max(steps.values()) > 0
    bends = {t: jump(t) - jump(t - 1) for t in range(start + 2, end + 1)}
    if isinstance(restriction, Smoothness):
        within = all(abs(b) <= size + 1e-12 for b in bends.values())
    else:
        use = steps if restriction.of == "first" else bends
        most = max(abs(v) for t, v in use.items() if t < first)
        within = all(abs(v) <= size * most + 1e-12 for t, v in use.items() if t >= first)
    late = [path[t] for t in path if t >= first]
    if restriction.direction == "positive":
        within &= min(late) >= 0
    if restriction.direction == "negative":
        within &= max(late) <= 0
    if restriction.monotone is not None:
        within &= not (falls if restriction.monotone == "increasing" else rises)
    return within


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@settings(max_examples=40)
@given(
    numbers=st.lists(st.integers(-3, 3), min_size=6, max_size=6),
    size=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    straight=st.booleans(),
)
def test_membership(setting, shape, numbers, size, straight):
    times, reference, first = setting
    delta = np.array(numbers[: len(times)], dtype=float)
    if straight:  # many random paths are in no restriction: lines with small bends are
        delta = (np.array(times) - reference) * numbers[0] / 2 + delta / 4
    direction, monotone = shape
    options = {"direction": direction, "monotone": monotone}
    for one in (
        RelativeMagnitudes(**options),
        RelativeMagnitudes(of="second", **options),
        Smoothness(**options),
    ):
        pieces = one.pieces(np.array(times), reference, first, size)
        assert inside(pieces, delta) == allowed(one, times, reference, first, size, delta)


def test_counts_of_pieces():
    """Two a jump before the start; the sign is known where the path is monotone, or size is 0."""
    times = np.array([-4, -3, -2, 0, 1])
    assert len(RelativeMagnitudes().pieces(times, -1, 0, 1.0)) == 6
    assert len(RelativeMagnitudes(of="second").pieces(times, -1, 0, 1.0)) == 4
    assert len(RelativeMagnitudes(monotone="decreasing").pieces(times, -1, 0, 1.0)) == 3
    assert len(RelativeMagnitudes().pieces(times, -1, 0, 0.0)) == 1
    assert len(Smoothness().pieces(times, -1, 0, 1.0)) == 1


def test_words():
    assert RelativeMagnitudes().describe(0.5, "children") == (
        "jumps of the difference in trends from the start on of at most 0.5 times the largest "
        "before"
    )
    assert RelativeMagnitudes(of="second").unit("children") == (
        "times the largest change of slope before the start"
    )
    assert Smoothness(direction="positive", monotone="increasing").describe(0, "children") == (
        "trends that differ by a straight line, positive from the start on, never falling"
    )
    assert "at most 0.25 children from one period" in Smoothness().describe(0.25, "children")
    assert Smoothness().unit("children") == "children a period, from one period to the next"


@pytest.mark.parametrize(
    ("make", "needed", "found"),
    [
        (lambda: RelativeMagnitudes(of="third"), "of as one of 'first', 'second'", "'third'"),
        (lambda: RelativeMagnitudes(of=["first"]), "of as one of", r"\['first'\]"),
        (lambda: Smoothness(direction="up"), "direction as one of None, 'positive'", "'up'"),
        (lambda: Smoothness(monotone=True), "monotone as one of None, 'increasing'", "True"),
        (lambda: pieces_of(size=-1), "a size of 0 or more", "-1"),
        (lambda: pieces_of(size=float("inf")), "a size of 0 or more", "inf"),
        (lambda: pieces_of(size=float("nan")), "a size of 0 or more", "nan"),
        (lambda: pieces_of(size=True), "a size of 0 or more", "True"),
        (lambda: pieces_of(Smoothness(), times=[-3, 0]), "without a gap", "and reference -1"),
        (lambda: pieces_of(times=[-2, -3, 0]), "ascending", r"\[-2, -3, 0\]"),
        (lambda: pieces_of(times=[-2.0, 0.0]), "whole numbers", "float64"),
        (lambda: pieces_of(times=[0, 1]), "a term before the start", "0 before and 2 from it on"),
        (lambda: pieces_of(times=[-3, -2]), "a term before the start", "2 before and 0 from"),
        (lambda: pieces_of(first=-1), "a reference before the first", "-1"),
        (
            lambda: pieces_of(RelativeMagnitudes(of="second")),
            "3 periods before the start or more, to measure the largest change of slope",
            "found: 2",
        ),
        (
            lambda: RelativeMagnitudes().pieces(np.array([-1, 0, 1]), -2, -1, 1.0),
            "a term before the start",
            "0 before",
        ),
        (lambda: Piece(np.eye(2), np.zeros(3)), "a number a row", r"\(2, 2\) and \(3,\)"),
    ],
)
def test_refused(make, needed, found):
    with pytest.raises(InferenceError, match=needed) as raised:
        make()
    assert raised.match(found)


def pieces_of(restriction=None, times=(-2, 0), first=0, size=1.0):
    return (restriction or RelativeMagnitudes()).pieces(np.array(times), -1, first, size)
