"""The effect less a line from before the start: against the regression that has the line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from helpers import design_of, long_of, noise, spread

import didkit as dk
from didkit.check.event_terms import EventTerms
from didkit.check.trend_adjusted import line_rows
from didkit.errors import InferenceError

STARTS = spread(40, 7, 5)


def terms_of(values: dict[int, float], s: np.ndarray | None = None, **options) -> EventTerms:
    made = pd.Series(values)
    s = np.eye(len(made)) if s is None else s
    return EventTerms.given(made, pd.DataFrame(s, made.index, made.index), **options)


@pytest.mark.parametrize("degree", [1, 2])
def test_adjusted_terms_are_those_of_a_regression_with_a_trend_of_the_pilots_own(degree):
    """y on unit and period effects, pilot × t (and t²), and pilot × each period after."""
    y = noise(40, 8, 4)
    y[sorted(STARTS)] += 1.5 * np.arange(8)
    found = (
        dk.EventStudy()
        .fit(design_of(y, STARTS), "m")
        .infer(dk.ClusterRobust("CR2"))
        .check(dk.TrendAdjusted(degree=degree))
    )
    long = long_of(y, STARTS)
    pilot = long["unit"].isin(list(STARTS)).astype(float)
    long["t1"], long["t2"] = pilot * long["period"], pilot * long["period"] ** 2
    names = []
    for period in (5, 6, 7):
        long[f"after{period}"] = pilot * (long["period"] == period)
        names.append(f"after{period}")
    lines = " + ".join(f"t{power}" for power in range(1, degree + 1))
    fit = smf.ols(f"y ~ C(unit) + C(period) + {lines} + {' + '.join(names)}", long).fit()
    table = found.table
    ours = table[(table["quantity"] == "adjusted") & (table["position"] >= 0)]
    np.testing.assert_allclose(ours["estimate"], fit.params[names], atol=1e-8)
    if degree == 1:
        assert found.facts["slope"] == pytest.approx(fit.params["t1"])
    mean = table[(table["quantity"] == "less the mean before")]["estimate"].iloc[0]
    flat = smf.ols(f"y ~ C(unit) + C(period) + {' + '.join(names)}", long).fit()
    assert mean == pytest.approx(flat.params["after5"])


def test_standard_errors_are_those_of_one_number_a_unit():
    """The adjusted combination is one number a unit: Welch's standard error (HC2)."""
    y = noise(40, 8, 4)
    design = design_of(y, STARTS)
    found = dk.EventStudy().fit(design, "m").infer(dk.ClusterRobust("CR2"))
    found = found.check(dk.TrendAdjusted())
    before = np.vander(np.arange(5.0), 2)
    carried = np.vander([5.0], 2) @ np.linalg.pinv(before)
    number = y[:, 5] - y[:, :5] @ carried.ravel()
    pilot = np.isin(np.arange(40), sorted(STARTS))
    value = number[pilot].mean() - number[~pilot].mean()
    error = np.sqrt(number[pilot].var(ddof=1) / 7 + number[~pilot].var(ddof=1) / 33)
    row = found.table.iloc[3]
    assert row["quantity"] == "adjusted"
    assert row["estimate"] == pytest.approx(value)
    assert row["std_error"] == pytest.approx(error)
    assert found.alternatives == (row["conf_low"], row["conf_high"])


def test_of_did_the_estimate_is_the_printed_one():
    design = design_of(noise(40, 8, 4), STARTS)
    did = dk.DiD().fit(design, "m").infer(dk.ClusterRobust("CR2"))
    found = did.check(dk.TrendAdjusted())
    att = did.tidy().iloc[0]
    assert found.facts["original"] == pytest.approx(att["estimate"])
    assert found.facts["original_low"] == pytest.approx(att["conf_low"])
    assert found.facts["original_high"] == pytest.approx(att["conf_high"])
    permuted = did.infer(dk.Permutation(draws=299))
    asked = permuted.check(dk.TrendAdjusted())
    att = permuted.tidy().iloc[0]
    assert asked.facts["original_low"] == pytest.approx(att["conf_low"])
    assert asked.facts["original_high"] == pytest.approx(att["conf_high"])
    assert not any("printed estimate" in note for note in asked.notes)
    late = design_of(noise(40, 8, 4), dict(STARTS) | dict.fromkeys(sorted(STARTS)[:3], 6))
    mixed = dk.DiD().fit(late, "m").infer(dk.ClusterRobust("CR2")).check(dk.TrendAdjusted())
    assert any("the printed estimate is" in note for note in mixed.notes)
    other = did.check(dk.TrendAdjusted(inference=dk.Permutation(draws=299)))
    assert other.facts == pytest.approx(asked.facts)


def test_a_line_is_taken_out_whole_and_the_reference_does_not_matter():
    slope = 2.0
    path = {t: slope * (t + 1) for t in (-4, -3, -2, 0, 1)}
    answer = dk.TrendAdjusted().on(terms_of(path))
    adjusted = answer.table[answer.table["quantity"] == "adjusted"]["estimate"]
    np.testing.assert_allclose(adjusted, 0.0, atol=1e-12)
    assert answer.facts["slope"] == pytest.approx(slope)
    y = noise(40, 8, 4)
    last = dk.EventStudy().fit(design_of(y, STARTS), "m").infer(dk.ClusterRobust("CR2"))
    early = dk.EventStudy(reference=-4).fit(design_of(y, STARTS), "m")
    early = early.infer(dk.ClusterRobust("CR2"))
    one, two = last.check(dk.TrendAdjusted()).facts, early.check(dk.TrendAdjusted()).facts
    for name in ("adjusted", "adjusted_low", "adjusted_high", "slope"):
        assert one[name] == pytest.approx(two[name]), name


def test_line_rows_are_a_fit():
    values = {-5: 1.0, -4: 3.0, -3: 2.0, -2: 0.5, 0: 7.0, 1: 8.0}
    terms = terms_of(values)
    for degree in (0, 1, 2):
        rows, _ = line_rows(terms, degree)
        fit = np.polynomial.Polynomial.fit([-5, -4, -3, -2, -1], [1, 3, 2, 0.5, 0], degree)
        np.testing.assert_allclose(rows @ terms.values, fit(terms.times.astype(float)), atol=1e-9)


def test_non_inferiority():
    s = 0.04 * np.eye(5)
    terms = terms_of({-4: 0.5, -3: 0.2, -2: 0.1, 0: 2.0, 1: 2.5}, s, unit="per 1,000")
    answer = dk.TrendAdjusted(margin=3.0).on(terms)
    row = answer.table.set_index("quantity").loc["difference"].iloc[0:]
    difference, error = float(row["estimate"]), float(row["std_error"])
    smallest = abs(difference) + 1.6448536 * error
    assert answer.facts["smallest_margin"] == pytest.approx(smallest)
    at = dk.TrendAdjusted(margin=smallest).on(terms)
    assert at.facts["p_value"] == pytest.approx(0.05)
    assert "the margin of 3.00 lies above that" in answer.headline
    assert "per 1,000 a period" in answer.headline
    # the weights of the mean, by hand: line through −4 … −1 at 0 and 1
    fit = np.polynomial.Polynomial.fit([-4, -3, -2, -1], [0.5, 0.2, 0.1, 0], 1)
    assert difference == pytest.approx(-(fit(0) + fit(1)) / 2)


def test_with_permutations_both_ends_are_theirs():
    y = noise(40, 8, 4)
    y[sorted(STARTS)] += 1.5 * np.arange(8)
    design = design_of(y, STARTS)
    events = dk.EventStudy().fit(design, "m").infer(dk.Permutation(draws=499))
    found = events.check(dk.TrendAdjusted(margin=8.0, of="mean"))
    table = found.table.iloc[:5]
    assert table["method"].str.contains("Permutation").all()
    assert found.facts["original_low"] < found.facts["original"] < found.facts["original_high"]
    # p of the margin and the smallest margin are by the same permutations
    at = events.check(dk.TrendAdjusted(margin=found.facts["smallest_margin"], of="mean"))
    assert at.facts["p_value"] == pytest.approx(0.05, abs=0.01)
    late = dict(STARTS) | {sorted(STARTS)[0]: 6}
    staggered = dk.EventStudy(ends=("bin", -4, 1)).fit(design_of(y, late), "m")
    said = staggered.infer(dk.Permutation(draws=99)).check(dk.TrendAdjusted()).notes
    assert any("no common start" in note for note in said)


def test_refusals():
    with pytest.raises(InferenceError, match=r"degree=1 \(a straight line\) or degree=2"):
        dk.TrendAdjusted(degree=3)
    with pytest.raises(InferenceError, match="at least four periods before the start"):
        dk.TrendAdjusted(degree=2).on(terms_of({-3: 0.0, -2: 1.0, 0: 1.0}))
    with pytest.raises(InferenceError, match=r"a level between 0\.5 and 1"):
        dk.TrendAdjusted(level=95)
    y = noise(20, 3, 1)
    one = dk.EventStudy().fit(design_of(y, spread(20, 3, 1)), "m")
    with pytest.raises(InferenceError, match="at least two periods before the start"):
        one.check(dk.TrendAdjusted())
    exact = dk.TrendAdjusted().on(terms_of({-2: 1.0, 0: 1.0}))
    assert any("nothing checks it" in note for note in exact.notes)


def test_who_compares_with_the_reference_keeps_it():
    """GroupTime prints an effect less the reference; only DiD compares with the mean before."""
    starts = {row: 4 + i % 3 for i, row in enumerate(sorted(STARTS))}
    design = design_of(noise(40, 8, 4), starts)
    simple = dk.GroupTime(by="simple").fit(design, "m")
    facts = simple.check(dk.TrendAdjusted(inference=dk.Jackknife())).facts
    assert facts["original"] == pytest.approx(float(simple.values[0]))
    did = dk.DiD().fit(design_of(noise(40, 8, 4), STARTS), "m").infer(dk.ClusterRobust("CR2"))
    assert did.check(dk.TrendAdjusted()).facts["original"] == pytest.approx(float(did.values[0]))
