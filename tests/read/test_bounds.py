"""Bounds from totals: hold the truth, are as narrow as can be, and say where totals contradict."""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from didkit.errors import PanelError
from didkit.read.bounds import Parent, by_group, from_totals, tighten

NAN = np.nan

# -- another program: every possible assignment --------------------------------------------------


@st.composite
def small_sets(draw: st.DrawFn) -> dict[str, object]:
    """One set of siblings, small enough that every assignment can be tried."""
    kinds = draw(st.lists(st.sampled_from(["shown", "hidden", "hidden", "unknown"]), min_size=1))
    kinds = [kind for i, kind in enumerate(kinds) if kinds[:i].count(kind) < 3]
    value = [draw(st.integers(0, 12)) if kind == "shown" else NAN for kind in kinds]
    lower = [draw(st.integers(0, 3)) for _ in kinds]
    upper = [draw(st.one_of(st.none(), st.integers(low, 9))) for low in lower]
    return {
        "value": np.array(value),
        "hidden": np.array([kind == "hidden" for kind in kinds]),
        "unknown": np.array([kind == "unknown" for kind in kinds]),
        "total": float(draw(st.integers(0, 20))),
        "half": draw(st.sampled_from([0.0, 0.5, 2.0, 5.0])),
        "lower": np.array(lower, dtype=float),
        "upper": np.array([NAN if one is None else one for one in upper]),
    }


def by_trial(
    value: np.ndarray,
    hidden: np.ndarray,
    unknown: np.ndarray,
    total: float,
    half: float,
    lower: np.ndarray,
    upper: np.ndarray,
) -> list[tuple[int, ...]]:
    """List every assignment of whole numbers to the hidden cells that the total allows."""
    shown = ~hidden & ~unknown
    most = int(total + half)
    ranges = [
        range(int(low), most + 1 if np.isnan(high) else int(high) + 1)
        for low, high in zip(lower[hidden], upper[hidden], strict=True)
    ]
    fitting = []
    for one in itertools.product(*ranges):
        least = sum(one) + value[shown].sum()
        # What is unavailable may add any number from zero on.
        if least <= total + half and (unknown.any() or least >= total - half):
            fitting.append(one)
    return fitting


@settings(max_examples=300)
@given(small_sets())
def test_bounds_are_those_of_every_possible_assignment(made: dict[str, np.ndarray]) -> None:
    fitting = by_trial(**made)  # type: ignore[arg-type]
    total, half = made.pop("total"), made.pop("half")
    group = np.zeros(len(made["value"]), dtype=int)
    bounds = by_group(**made, group=group, totals=[total], half=half)
    hidden = made["hidden"]
    assert bounds.inconsistent[0].tolist() == [not fitting]
    if fitting and hidden.any():
        assert bounds.lower[hidden].tolist() == np.min(fitting, axis=0).tolist()
        assert bounds.upper[hidden].tolist() == np.max(fitting, axis=0).tolist()
    if not fitting:
        np.testing.assert_array_equal(bounds.lower[hidden], made["lower"][hidden])
        np.testing.assert_array_equal(bounds.upper[hidden], made["upper"][hidden])
    assert np.isnan(bounds.lower[~hidden]).all()
    assert np.isnan(bounds.upper[~hidden]).all()


# -- suppression imposed on known counts ---------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """A table of authorities as a release shows it, and the truth that it hides."""

    truth: np.ndarray
    value: np.ndarray
    hidden: np.ndarray
    unknown: np.ndarray
    region: np.ndarray
    regions: np.ndarray
    nation: float
    primary_only: bool


def rounded(number: float, way: str) -> float:
    """Round to 10; releases do not say where 5 goes."""
    low = number // 10 * 10
    rest = number - low
    up = rest > 5 or (rest == 5 and (way == "up" or (way == "even" and low % 20 == 10)))
    return low + 10 if up else low


@st.composite
def published(draw: st.DrawFn) -> Published:
    """Known counts, and what the published rules leave of them."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    region = np.repeat(np.arange(len(sizes)), sizes)
    counts = st.one_of(st.integers(0, 8), st.integers(0, 3000), st.just(0))
    truth = np.array([draw(counts) for _ in region], dtype=float)
    unknown = np.array([draw(st.integers(0, 9)) == 0 for _ in region])
    counted = ~unknown | np.array([draw(st.booleans()) for _ in region])
    # Primary: 1 to 5. Secondary: where one is alone in its region, the next smallest with it,
    # a true zero not excepted.
    hidden = (truth >= 1) & (truth <= 5) & ~unknown
    primary_only = draw(st.booleans())
    for one in range(len(sizes)):
        here = np.flatnonzero((region == one) & ~unknown)
        others = [i for i in here if not hidden[i]]
        if not primary_only and hidden[here].sum() == 1 and others:
            hidden[min(others, key=lambda i: truth[i])] = True
    way = draw(st.sampled_from(["up", "down", "even"]))
    sums = np.bincount(region, np.where(counted, truth, 0), len(sizes))
    regions = np.array([rounded(one, way) for one in sums])
    withheld = np.array([draw(st.integers(0, 5)) == 0 for _ in sizes])
    regions[withheld] = NAN
    nation = rounded(sums.sum(), way) if draw(st.integers(0, 5)) else NAN
    value = np.where(hidden | unknown, NAN, truth)
    return Published(truth, value, hidden, unknown, region, regions, nation, primary_only)


@settings(max_examples=400)
@given(published())
@example(  # a tie rounded down, and one rounded up
    Published(
        truth=np.array([100.0, 5.0, 100.0, 5.0]),
        value=np.array([100.0, NAN, 100.0, NAN]),
        hidden=np.array([False, True, False, True]),
        unknown=np.zeros(4, dtype=bool),
        region=np.array([0, 0, 1, 1]),
        regions=np.array([100.0, 110.0]),
        nation=210.0,
        primary_only=True,
    )
)
def test_the_truth_lies_in_every_interval(table: Published) -> None:
    known = {"lower": 1.0, "upper": 5.0} if table.primary_only else {}
    cells = (table.value, table.hidden, table.unknown)
    region = Parent(table.region, table.regions, 5)
    nation = Parent(np.zeros(len(table.truth), dtype=int), [table.nation], 5)
    widths = []
    for parents in ([region], [nation], [region, nation]):
        made = tighten(*cells, parents, **known)
        truth = table.truth[table.hidden]
        lower, upper = made.lower[table.hidden], made.upper[table.hidden]
        assert (lower <= truth).all()
        assert (np.isnan(upper) | (truth <= upper)).all()
        assert not any(bad.any() for bad in made.inconsistent)
        widths.append(np.where(np.isnan(upper), np.inf, upper) - lower)
    assert (widths[2] <= np.minimum(widths[0], widths[1])).all()
    # Authorities without a row are inside the totals too: then there are only upper bounds.
    kept = np.arange(len(table.truth)) % 3 > 0
    part = tighten(
        *(cell[kept] for cell in cells),
        [Parent(table.region[kept], table.regions, 5, whole=False)],
        **known,
    )
    hidden = table.hidden[kept]
    truth = table.truth[kept][hidden]
    assert (part.lower[hidden] <= truth).all()
    assert (np.isnan(part.upper[hidden]) | (truth <= part.upper[hidden])).all()
    assert not part.inconsistent[0].any()
    # Not vacuous: alone in a region with a total, a hidden cell is known to within 2 × 5.
    made = tighten(*cells, [region], **known)
    for one in range(len(table.regions)):
        here = (table.region == one) & table.hidden
        if np.isfinite(table.regions[one]):
            assert np.isfinite(made.upper[here]).all()
            if here.sum() == 1 and not table.unknown[table.region == one].any():
                assert (made.upper[here] - made.lower[here] <= 10).all()


@settings(max_examples=200)
@given(st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=1, max_size=6))
def test_categories_of_a_row_add_up_exactly(rows: list[list[int]]) -> None:
    truth = np.array(rows, dtype=float)
    hidden = (truth >= 1) & (truth <= 5)
    alone = hidden.sum(axis=1) == 1
    value = np.where(hidden, NAN, truth)
    group = np.repeat(np.arange(len(rows))[:, None], 3, axis=1)
    made = by_group(value, hidden, np.zeros_like(hidden), group, truth.sum(axis=1), 0)
    assert made.lower.shape == truth.shape
    assert (made.lower[hidden] <= truth[hidden]).all()
    assert (made.upper[hidden] >= truth[hidden]).all()
    # Without secondary suppression a cell that is alone is given away: which is why there is one.
    one = hidden & alone[:, None]
    np.testing.assert_array_equal(made.lower[one], truth[one])
    np.testing.assert_array_equal(made.upper[one], truth[one])


# -- known answers -------------------------------------------------------------------------------


def test_one_hidden_sibling() -> None:
    lower, upper = from_totals([120, 81, 7], [0, 0, 1], [0, 0, 0], 210, 5)
    np.testing.assert_array_equal(lower, [NAN, NAN, 4])  # and the 7 that stood there is not used
    np.testing.assert_array_equal(upper, [NAN, NAN, 14])


def test_an_unavailable_sibling_leaves_no_lower_bound() -> None:
    lower, upper = from_totals([100, NAN, NAN], [0, 1, 0], [0, 0, 1], 150, 5)
    assert (lower[1], upper[1]) == (0, 55)
    assert np.isnan([lower[2], upper[2]]).all()


def test_a_total_of_which_rows_are_missing_bounds_from_above_only() -> None:
    group, totals = [0, 0, 1, 1], [130, 130]
    parent = Parent(group, totals, 5, whole=[True, False])
    made = tighten([120, NAN, 120, NAN], [0, 1, 0, 1], [0] * 4, [parent])
    assert made.lower[[1, 3]].tolist() == [5, 0]
    assert made.upper[[1, 3]].tolist() == [15, 15]


def test_a_hidden_total_says_nothing() -> None:
    lower, upper = from_totals([100, NAN], [0, 1], [0, 0], NAN, 5)
    assert lower[1] == 0
    assert np.isnan(upper[1])


def test_a_total_below_its_parts_is_reported_and_not_used() -> None:
    made = by_group(
        [100, NAN, 40, NAN], [0, 1, 0, 1], [0] * 4, [0, 0, 1, 1], [90, 50], [5, 5], upper=60.0
    )
    assert made.inconsistent[0].tolist() == [True, False]
    assert (made.lower[1], made.upper[1]) == (0, 60)
    assert (made.lower[3], made.upper[3]) == (5, 15)
    whole = by_group([100, 40], [0, 0], [0, 0], [0, 1], [106, 45], 5)
    assert whole.inconsistent[0].tolist() == [True, False]


def test_half_a_child_is_none() -> None:
    lower, upper = from_totals([3, NAN], [0, 1], [0, 0], 10, 0.5)
    assert (lower[1], upper[1]) == (7, 7)
    made = by_group([3, NAN], [0, 1], [0, 0], [0, 0], [10.5], 0.25)
    assert made.inconsistent[0].tolist() == [True]


def test_cells_of_no_group_keep_what_is_known() -> None:
    made = by_group([9, NAN, NAN], [0, 1, 1], [0] * 3, [0, 0, -1], [20], 5, lower=1, upper=30)
    assert (made.lower[1], made.upper[1]) == (6, 16)
    assert (made.lower[2], made.upper[2]) == (1, 30)


def test_the_nation_narrows_what_regions_bound() -> None:
    cells = ([50, NAN, 40, NAN], [0, 1, 0, 1], [0] * 4)
    regions, nation = Parent([0, 0, 1, 1], [60, 50], 5), Parent([0] * 4, [120], 5)
    both = tighten(*cells, [regions, nation])
    assert both.lower[[1, 3]].tolist() == [10, 10]
    assert both.upper[[1, 3]].tolist() == [15, 15]
    # In the other order the region is asked again, after the nation has been.
    turned = tighten(*cells, [nation, regions])
    np.testing.assert_array_equal(turned.lower, both.lower)
    np.testing.assert_array_equal(turned.upper, both.upper)
    once = tighten(*cells, [nation, regions], passes=1)
    assert once.lower[[1, 3]].tolist() == [5, 5]


def test_totals_that_contradict_each_other() -> None:
    made = tighten(
        [50, NAN, 40, NAN],
        [0, 1, 0, 1],
        [0] * 4,
        [Parent([0, 0, 1, 1], [60, 50], 5), Parent([0] * 4, [200], 5)],
    )
    assert [one.tolist() for one in made.inconsistent] == [[False, False], [True]]
    assert made.upper[[1, 3]].tolist() == [15, 15]


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({"hidden": [1]}, "of one shape"),
        ({"unknown": [0, 1]}, "hidden, or unknown, or published"),
        ({"value": [-1.0, NAN]}, "zero or more"),
        ({"value": [NAN, NAN]}, "zero or more"),
        ({"group": [0, 1]}, "a group of 0 to 0"),
        ({"group": [-2, 0]}, "a group of 0 to 0"),
        ({"group": [0]}, "a group of 0 to 0"),
        ({"half": -1.0}, "half-widths"),
        ({"half": NAN}, "half-widths"),
        ({"lower": 6.0, "upper": 5.0}, "not above the upper"),
        ({"lower": -1.0}, "lower bounds of zero or more"),
    ],
)
def test_cells_that_make_no_sense_are_refused(change: dict[str, object], needed: str) -> None:
    good: dict[str, object] = {
        "value": [5.0, NAN],
        "hidden": [0, 1],
        "unknown": [0, 0],
        "group": [0, 0],
        "totals": [10.0],
        "half": 5.0,
    }
    by_group(**good)  # type: ignore[arg-type]
    with pytest.raises(PanelError) as caught:
        by_group(**good | change)  # type: ignore[arg-type]
    assert needed in caught.value.needed
    assert caught.value.found


def test_nothing_in_nothing_out() -> None:
    made = by_group([], [], [], [], [10.0], 5)
    assert made.lower.size == made.upper.size == 0


# -- a published table with its own truth --------------------------------------------------------


def test_regional_totals_of_a_published_table_hold_its_counts(shared_data: Path) -> None:
    """Hide published authorities one by one: their region's total must give them back."""
    file = shared_data / "dfe" / "cin_2020" / "d1_child_protection_plans_2013_to_2020.csv"
    with file.open(encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.DictReader(handle))
    totals = {
        (row["region_code"], row["time_period"]): float(row["CPP_At31"])
        for row in rows
        if row["geographic_level"] == "Regional"
    }
    number = {key: i for i, key in enumerate(totals)}
    places = [row for row in rows if row["geographic_level"] == "Local authority"]
    group = np.array([number[row["region_code"], row["time_period"]] for row in places])
    text = np.array([row["CPP_At31"] for row in places])
    shown = np.char.isdigit(text)
    hidden, unknown = text == "c", text != "c"
    unknown &= ~shown
    value = np.full(len(text), NAN)
    value[shown] = text[shown].astype(float)
    made = by_group(value, hidden, unknown, group, list(totals.values()), 5)
    assert hidden.sum() > 0
    # Authorities stand under Inner or Outer London, and London's own total has none below it.
    london = [key[0] == "E12000007" for key in totals]
    assert made.inconsistent[0].tolist() == london
    assert (made.upper[hidden] >= made.lower[hidden]).all()
    rng = np.random.default_rng(1)
    for one in rng.choice(np.flatnonzero(shown), 300, replace=False):
        secret = hidden.copy()
        secret[one] = True
        made = by_group(value, secret, unknown, group, list(totals.values()), 5)
        assert made.lower[one] <= value[one] <= made.upper[one]
        same = group == group[one]
        if not unknown[same].any() and secret[same].sum() == 1:
            assert made.upper[one] - made.lower[one] <= 10


def test_the_strategy_reaches_what_it_must() -> None:
    """Several hidden siblings, zeros hidden too, unavailable authorities, withheld totals."""
    seen: set[str] = set()

    @settings(max_examples=200, database=None)
    @given(published())
    def look(table: Published) -> None:
        here = np.bincount(table.region[table.hidden], minlength=len(table.regions))
        for what, there in {
            "several": (here > 1).any(),
            "zero hidden": (table.truth[table.hidden] == 0).any(),
            "large hidden": (table.truth[table.hidden] > 5).any(),
            "unavailable": table.unknown.any() and table.hidden.any(),
            "withheld": np.isnan(table.regions).any(),
            "no nation": np.isnan(table.nation),
            "primary only": table.primary_only and table.hidden.any(),
        }.items():
            if there:
                seen.add(what)

    look()
    assert len(seen) == 7, seen
