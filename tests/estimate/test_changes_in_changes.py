"""Changes-in-changes: its defining invariance, closed forms, and what it shares with DiD."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, spread

from didkit.design import Design, MatchedSets, NotYetTreated
from didkit.errors import EstimationError
from didkit.estimate import ChangesInChanges, DiD
from didkit.estimate.quantile_map import Four, Steps, mean_effect, quantile_effect
from didkit.inference import ClusterRobust, Jackknife
from didkit.panel import Metric

QUANTILES = (0.25, 0.5, 0.75)


def cross_sections(y: dict[tuple[int, int], np.ndarray]) -> Design:
    """Make a design of four groups (pilot, after) → values, each row a unit of its own."""
    frame = pd.concat(
        [
            pd.DataFrame({"m": values, "year": FIRST + after, "first": pilot * (FIRST + 1)})
            for (pilot, after), values in y.items()
        ]
    )
    return Design.from_frame(
        frame, unit=None, period="year", start="first", metrics=["m"], selection="unknown"
    )


def normals(rng, n: int, *, effect: float = 0.0) -> dict[tuple[int, int], np.ndarray]:
    """Four groups under the model: h(u, 0) = u, h(u, 1) = 2 + 1.5 u; pilots' u ~ N(0.5, 0.8)."""
    made = {}
    for pilot, (mean, sd) in ((0, (0.0, 1.0)), (1, (0.5, 0.8))):
        for after in (0, 1):
            u = mean + sd * rng.normal(size=n)
            made[pilot, after] = u if after == 0 else 2 + 1.5 * u + effect * pilot
    return made


def by_hand(y00, y01, y10, y11) -> float:
    """The estimator by its definition, one pilot at a time."""
    moved = []
    for value in y10:
        share = np.mean([one <= value for one in y00])
        steps = sorted(y01)
        at = next((one for i, one in enumerate(steps) if (i + 1) / len(steps) >= share - 1e-12))
        moved.append(at)
    return float(np.mean(y11) - np.mean(moved))


def test_it_is_its_definition():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(23, 2)).round(1)  # with ties
    starts = spread(23, 6, 1)
    pilot = np.isin(np.arange(23), list(starts))
    made = ChangesInChanges().fit(design_of(y, starts), "m")
    expected = by_hand(y[~pilot, 0], y[~pilot, 1], y[pilot, 0], y[pilot, 1])
    assert made.values[0] == pytest.approx(expected, abs=1e-12)


def test_a_rising_transformation_of_the_outcome_moves_the_counterfactual_with_it():
    """The defining property, exact at quantiles: transform both, and transform back."""
    rng = np.random.default_rng(2)
    y = rng.normal(size=(31, 2))
    starts = spread(31, 9, 1)
    plain = ChangesInChanges(quantiles=QUANTILES).fit(design_of(y, starts), "m")
    curved = ChangesInChanges(quantiles=QUANTILES).fit(design_of(np.exp(y), starts), "m")
    pilot = np.isin(np.arange(31), list(starts))
    for i, share in enumerate(QUANTILES):
        seen = np.sort(y[pilot, 1])[int(np.ceil(share * 9)) - 1]
        without = seen - plain.values[1 + i]
        assert np.exp(seen) - curved.values[1 + i] == pytest.approx(np.exp(without), rel=1e-10)
    # DiD has no such property
    did = [DiD().fit(design_of(one, starts), "m").values[0] for one in (y, np.exp(y))]
    assert abs(did[1] - curved.values[0]) > 1e-3


def test_a_shift_of_the_comparators_makes_it_did():
    """Where pilots stood on comparators' values and all shift alike, the two are one number."""
    rng = np.random.default_rng(3)
    y = np.empty((20, 2))
    starts = spread(20, 5, 1)
    pilot = np.isin(np.arange(20), list(starts))
    y[~pilot, 0] = rng.permutation(15) * 1.7
    y[pilot, 0] = y[~pilot, 0][:5]
    y[:, 1] = y[:, 0] + 4.0
    y[pilot, 1] += rng.normal(size=5)
    design = design_of(y, starts)
    made = ChangesInChanges().fit(design, "m")
    assert made.values[0] == pytest.approx(DiD().fit(design, "m").values[0], abs=1e-10)


def test_normal_shifts_and_scales_have_a_closed_form():
    """F01⁻¹(F00(y)) = 2 + 1.5 y: the effect is found whatever the scale; DiD is off by 0.25."""
    rng = np.random.default_rng(4)
    design = cross_sections(normals(rng, 1500, effect=0.3))
    made = ChangesInChanges(quantiles=QUANTILES).fit(design, "m")
    error = np.sqrt((made.influence**2).sum(axis=0))
    assert np.abs(made.values - 0.3).max() < 3.5 * error.max()
    assert (np.abs(made.values - 0.3) < 3.5 * error).all()
    assert error.max() < 0.15
    group = normals(np.random.default_rng(4), 1500, effect=0.3)
    linear = np.diff([np.diff([group[d, t].mean() for t in (0, 1)])[0] for d in (0, 1)])[0]
    assert linear == pytest.approx(0.3 + 0.5 * 0.5, abs=0.12)


def _coverage(n: int, draws: int, seed: int) -> np.ndarray:
    """Share of draws whose interval holds the effect: mean and three quantiles."""
    rng = np.random.default_rng(seed)
    held = np.zeros((draws, 4))
    for i in range(draws):
        y = normals(rng, n, effect=0.3)
        four = Four(*(Steps(y[d, t], np.ones(n)) for d in (0, 1) for t in (0, 1)))
        found = [mean_effect(four), *(quantile_effect(four, share) for share in QUANTILES)]
        for m, (value, parts) in enumerate(found):
            error = np.sqrt(sum((part**2).sum() for part in parts))
            held[i, m] = abs(value - 0.3) < 1.96 * error
    return held.mean(axis=0)


def test_intervals_from_the_influence_cover():
    """150 units in each group, 400 draws: four standard errors around 95% are ±4.4%."""
    found = _coverage(150, 400, 5)
    assert found == pytest.approx(0.95, abs=0.044)


@pytest.mark.slow
def test_intervals_from_the_influence_cover_closely():
    found = _coverage(400, 3000, 6)
    assert found == pytest.approx(0.95, abs=0.02)


def test_panel_influence_takes_the_unit_together():
    """Where units repeat themselves, before and after are one draw: the error is smaller."""
    rng = np.random.default_rng(7)
    level = rng.normal(size=60) * 10
    y = np.column_stack([level, level + 1]) + 0.1 * rng.normal(size=(60, 2))
    starts = spread(60, 20, 1)
    panel = ChangesInChanges().fit(design_of(y, starts), "m")
    pilot = np.isin(np.arange(60), list(starts))
    groups = {(d, t): y[pilot == bool(d), t] for d in (0, 1) for t in (0, 1)}
    loose = ChangesInChanges().fit(cross_sections(groups), "m")
    assert loose.values[0] == pytest.approx(panel.values[0], abs=1e-12)
    assert (panel.influence**2).sum() < 0.25 * (loose.influence**2).sum()
    assert panel.influence.sum(axis=0) == pytest.approx(0, abs=1e-10)


def test_periods_and_cohorts_are_put_together():
    rng = np.random.default_rng(8)
    y = rng.normal(size=(26, 6))
    starts = {1: 2, 5: 2, 8: 4, 11: 4, 20: 4}
    design = design_of(y, starts)
    each = ChangesInChanges(by="none").fit(design, "m")
    other = [j for j in range(26) if j not in starts]
    for start, mine in ((2, [1, 5]), (4, [8, 11, 20])):
        for t in range(6):
            if t == start - 1:
                continue
            row = each[f"start {FIRST + start}, period {FIRST + t}"]
            base = start - 1
            value = by_hand(y[other, base], y[other, t], y[mine, base], y[mine, t])
            assert row["estimate"] == pytest.approx(value, abs=1e-12)
    after = each.terms["event_time"] >= 0
    size = np.where(each.terms["group"] == str(FIRST + 2), 2, 3)[after]
    simple = ChangesInChanges().fit(design, "m")
    assert simple.values[0] == pytest.approx(np.average(each.values[after], weights=size))
    assert simple.terms["n_pilots"][0] == 5
    dynamic = ChangesInChanges(by="dynamic").fit(design, "m")
    assert dynamic.reference["event_time"].tolist() == [-1]
    assert simple.infer(ClusterRobust("CR1")).tidy()["std_error"][0] > 0


def test_the_estimand_says_what_counts_once():
    design = design_of(np.random.default_rng(3).normal(size=(12, 5)), {1: 2, 4: 2, 7: 3})
    assert (
        "each start counts once"
        in ChangesInChanges(aggregation="cohorts").fit(design, "m").estimand
    )
    assert "each authority counts once" in ChangesInChanges().fit(design, "m").estimand


def test_later_pilots_serve_until_they_start():
    rng = np.random.default_rng(9)
    y = rng.normal(size=(12, 5))
    starts = {j: 2 if j < 5 else 4 for j in range(12)}
    made = ChangesInChanges(by="none").fit(design_of(y, starts, against=NotYetTreated()), "m")
    found = made[f"start {FIRST + 2}, period {FIRST + 3}"]["estimate"]
    assert found == pytest.approx(by_hand(y[5:, 1], y[5:, 3], y[:5, 1], y[:5, 3]), abs=1e-12)
    assert f"start {FIRST + 2}, period {FIRST + 4}" not in set(made.terms["term"])
    # a cohort already treated is no comparator of the later ones
    assert not any(term.startswith(f"start {FIRST + 4}") for term in made.terms["term"])


def test_support_and_ties_are_told():
    y = np.array([[1.0, 2], [2, 4], [3, 5], [2, 9], [7, 8]])
    made = ChangesInChanges().fit(design_of(y, {3: 1, 4: 1}), "m")
    assert made.facts["out_of_support"] == 0.5
    assert made.facts["tied"] == 0.5
    # the pilot at 2 ties: its counterfactual lies between 2 and 4; the one at 7 gets 5
    assert made.facts["bound_low"] == pytest.approx((9 + 8) / 2 - (4 + 5) / 2)
    assert made.facts["bound_high"] == pytest.approx((9 + 8) / 2 - (2 + 5) / 2)
    assert any("50% of the pilots' values before lie outside" in note for note in made.notes)
    assert any("tie with a comparator's" in note for note in made.notes)


def test_weights_are_copies_of_units():
    """A sampling weight of two is the unit twice."""
    rng = np.random.default_rng(10)
    y = rng.normal(size=(16, 2))
    ids = codes(32)
    starts = {1: 1, 4: 1, 9: 1}
    twice = np.array([1 + (j % 3 == 0) for j in range(16)])

    def made(rows, weight, option):
        frame = pd.DataFrame(
            [
                (ids[i], FIRST + t, y[j, t], w, (FIRST + 1) * (j in starts))
                for i, (j, w) in enumerate(zip(rows, weight, strict=True))
                for t in (0, 1)
            ],
            columns=["la", "year", "m", "w", "first"],
        )
        design = Design.from_frame(
            frame,
            unit="la",
            period="year",
            start="first",
            metrics=["m", "w"],
            selection="unknown",
        )
        return ChangesInChanges(quantiles=QUANTILES, sampling=option).fit(design, "m")

    weighed = made(range(16), twice, "w")
    copied = np.repeat(np.arange(16), twice)
    alike = made(copied, np.ones(len(copied)), None)
    assert weighed.values == pytest.approx(alike.values, abs=1e-12)


def test_order_of_units_and_effects_added_to_all_do_not_matter():
    rng = np.random.default_rng(11)
    y = rng.normal(size=(18, 4))
    starts = spread(18, 5, 2)
    made = ChangesInChanges(by="dynamic").fit(design_of(y, starts), "m")
    order = rng.permutation(18)
    place = {int(old): new for new, old in enumerate(order)}
    other = design_of(y[order], {place[j]: t for j, t in starts.items()})
    again = ChangesInChanges(by="dynamic").fit(other, "m")
    assert again.values == pytest.approx(made.values, abs=1e-12)
    assert again.influence == pytest.approx(made.influence[order], abs=1e-12)
    moved = ChangesInChanges(by="dynamic").fit(design_of(2 * y + np.arange(4), starts), "m")
    assert moved.values == pytest.approx(2 * made.values, abs=1e-10)
    assert moved.influence == pytest.approx(2 * made.influence, abs=1e-10)


def test_gaps_are_served_and_told():
    rng = np.random.default_rng(12)
    y = rng.normal(size=(18, 3))
    y[0, 0] = y[4, 2] = np.nan
    starts = {2: 2, 7: 2, 11: 2}
    made = ChangesInChanges().fit(design_of(y, starts), "m")
    pilot = np.isin(np.arange(18), list(starts))
    four = [y[who, at] for who in (~pilot, pilot) for at in (1, 2)]
    assert made.values[0] == pytest.approx(by_hand(*(v[np.isfinite(v)] for v in four)), abs=1e-12)
    assert any("without a value in some period" in note for note in made.notes)


def test_jackknife_refits():
    y = np.random.default_rng(13).normal(size=(24, 2))
    made = ChangesInChanges().fit(design_of(y, spread(24, 8, 1)), "m")
    assert made.infer(Jackknife()).tidy()["std_error"][0] > 0


def test_what_it_refuses():
    y = np.random.default_rng(14).normal(size=(8, 3))
    design = design_of(y, {1: 2})
    ids = codes(8)
    with pytest.raises(EstimationError, match="matched sets"):
        ChangesInChanges().fit(
            design_of(y, {1: 2}, against=MatchedSets({ids[1]: {ids[0]: 1.0}})), "m"
        )
    with pytest.raises(EstimationError, match="fewer before the start in 2013"):
        ChangesInChanges(reference=-3).fit(design, "m")
    for options, word in (
        ({"quantiles": (0.5, 1.0)}, "between 0 and 1"),
        ({"quantiles": 0.5}, "between 0 and 1"),
        ({"quantiles": (0.5,), "by": "dynamic"}, "by='simple'"),
        ({"comparison": "all"}, "comparison"),
        ({"reference": 1}, "reference"),
        ({"by": "year"}, "by"),
        ({"aggregation": "people"}, "aggregation"),
    ):
        with pytest.raises(EstimationError, match=word):
            ChangesInChanges(**options)
    few = ChangesInChanges(quantiles=(0.5,)).fit(design, "m")
    assert any("of 1 pilot has as many steps" in note for note in few.notes)
    assert few.metric == Metric(name="m")
