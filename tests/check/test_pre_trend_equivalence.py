"""Equivalence before the start: closed forms, sizes, permutations, refusals."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import scipy
from helpers import design_of, noise, spread

import didkit as dk
from didkit.check.combined import combined
from didkit.check.equivalent import folded_margin, folded_p, two_sided_margin, two_sided_p
from didkit.check.event_terms import EventTerms
from didkit.errors import InferenceError

INF = np.array([np.inf])
STARTS = spread(60, 8, 5)


def terms_of(values: dict[int, float], s: np.ndarray, **options) -> EventTerms:
    made = pd.Series(values)
    return EventTerms.given(made, pd.DataFrame(s, made.index, made.index), **options)


def test_the_folded_test_is_the_quantile_of_the_folded_normal():
    """Dette & Schumann's critical value: the lower quantile of |N(margin, error)|."""
    limit = scipy.stats.foldnorm.ppf(0.05, 2.0 / 0.7, scale=0.7)
    assert folded_p(np.array([limit]), np.array([0.7]), 2.0)[0] == pytest.approx(0.05, abs=1e-9)
    assert folded_margin(np.array([limit]), np.array([0.7]), 0.95)[0] == pytest.approx(2.0)


def test_the_smallest_margin_is_where_p_is_the_size():
    value, error, df = np.array([-1.3]), np.array([0.6]), np.array([7.0])
    margin = two_sided_margin(value, error, df, 0.9)[0]
    assert two_sided_p(value, error, df, margin)[0] == pytest.approx(0.1)
    low = scipy.stats.t.interval(0.8, 7, -1.3, 0.6)[0]
    assert margin == pytest.approx(-low)
    # the sharper test is never the more cautious
    assert folded_margin(value, error, 0.9)[0] <= two_sided_margin(value, error, INF, 0.9)[0] + 1e-9


def test_rows_by_hand():
    s = np.diag([0.04, 0.09, 0.01, 1.0]) + 0.005
    answer = dk.PreTrendEquivalence(1.0).on(terms_of({-4: 0.3, -3: -0.5, -2: 0.1, 0: 2.0}, s))
    table = answer.table.set_index("measure")
    z = scipy.stats.norm.ppf(0.95)
    error = np.sqrt(np.diag(s))[:3]
    each = np.abs([0.3, -0.5, 0.1]) + z * error
    np.testing.assert_allclose(table.loc["term", "smallest_margin"], each)
    assert table.loc["max", "smallest_margin"] == pytest.approx(each.max())
    assert table.loc["max", "estimate"] == -0.5
    spread_of_mean = np.sqrt(s[:3, :3].sum()) / 3
    assert table.loc["mean", "smallest_margin"] == pytest.approx(0.1 / 3 + z * spread_of_mean)
    norm = np.sqrt(0.09 + 0.25 + 0.01)
    noisiest = np.sqrt(np.linalg.eigvalsh(s[:3, :3])[-1])
    assert table.loc["rms", "smallest_margin"] == pytest.approx((norm + z * noisiest) / np.sqrt(3))
    for measure in ("max", "mean", "rms"):
        facts = dk.PreTrendEquivalence(1.0, measure=measure).on(
            terms_of({-4: 0.3, -3: -0.5, -2: 0.1, 0: 2.0}, s)
        )
        assert facts.facts["smallest_margin"] == table.loc[measure, "smallest_margin"]
        at = dk.PreTrendEquivalence(facts.facts["smallest_margin"], measure=measure)
        again = at.on(terms_of({-4: 0.3, -3: -0.5, -2: 0.1, 0: 2.0}, s))
        assert again.facts["p_value"] == pytest.approx(0.05)


@pytest.mark.parametrize("measure", ["max", "mean", "rms"])
def test_no_test_says_smaller_too_often(measure):
    """At the edge of the hypothesis, over directions: at most 5 % (2,000 draws: ± 1.5 points)."""
    rng = np.random.default_rng(11)
    a = rng.normal(size=(3, 3))
    s = a @ a.T / 3 + 0.1 * np.eye(3)
    whole = np.zeros((4, 4))
    whole[:3, :3], whole[3, 3] = s, 1.0
    z = scipy.stats.norm.ppf(0.95)
    worst = 0.0
    for u in (np.ones(3), np.array([1.0, 0, 0]), np.linalg.eigh(s)[1][:, -1], rng.normal(size=3)):
        size = {
            "max": np.abs(u).max(),
            "mean": abs(u.mean()),
            "rms": np.sqrt(np.mean(u**2)),
        }[measure]
        if size < 0.05:
            continue
        true = 3.0 * u / size  # the measure is 3, the margin
        b = rng.multivariate_normal(true, s, size=2000)
        noisiest = np.sqrt(np.linalg.eigvalsh(s)[-1])
        margin = {
            "max": (np.abs(b) + z * np.sqrt(np.diag(s))).max(axis=1),
            "mean": np.abs(b.mean(axis=1)) + z * np.sqrt(s.sum()) / 3,
            "rms": (np.sqrt((b**2).sum(axis=1)) + z * noisiest) / np.sqrt(3),
        }[measure]
        # the vectorised formula is the check's own
        one = terms_of({-4: b[0, 0], -3: b[0, 1], -2: b[0, 2], 0: 0.5}, whole)
        facts = dk.PreTrendEquivalence(3.0, measure=measure).on(one).facts
        assert facts["smallest_margin"] == pytest.approx(margin[0])
        worst = max(worst, float((margin < 3.0).mean()))
    assert worst <= 0.065
    if measure != "rms":
        assert worst >= 0.035  # and the size is used


def test_a_combination_of_terms_is_an_estimate_of_its_own():
    """The terms themselves, and DiD: mean after less mean before, the reference among them."""
    design = design_of(noise(60, 8, 3), STARTS)
    events = dk.EventStudy().fit(design, "m")
    names = list(events.terms["term"])
    by = [dk.ClusterRobust("CR2"), dk.ClusterRobust("CR1"), dk.Permutation(draws=299)]
    same = combined(events, np.eye(len(names)), names)
    before = events.terms["phase"].to_numpy() == "before"
    row = np.where(before, -1 / (before.sum() + 1), 1 / (~before).sum())
    did, made = dk.DiD().fit(design, "m"), combined(events, row[None], ["att"])
    for inference in by:
        ours = same.infer(inference).tidy()
        theirs = events.infer(inference).tidy()
        theirs = theirs[theirs["phase"] != "reference"]
        one, other = made.infer(inference).tidy(), did.infer(inference).tidy()
        for name in ("estimate", "std_error", "p_value", "conf_low", "conf_high"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-8)
            np.testing.assert_allclose(one[name], other[name], rtol=1e-8)


def test_with_permutations_the_margin_is_the_end_of_their_interval():
    design = design_of(noise(60, 8, 3), STARTS)
    by = dk.Permutation(draws=499)
    events = dk.EventStudy().fit(design, "m").infer(by)
    found = events.check(dk.PreTrendEquivalence(9.0))
    inner = events.infer(by, level=0.9).tidy()
    inner = inner[inner["phase"] == "before"]
    ends = inner[["conf_low", "conf_high"]].abs().max(axis=1)
    each = found.table[found.table["measure"] == "term"]
    np.testing.assert_allclose(each["smallest_margin"], ends)
    assert found.facts["smallest_max"] == pytest.approx(ends.max())
    assert (each["p_value"] < 0.05).tolist() == (ends < 9.0).tolist()
    # a margin at the end of the interval has p of about the size
    at = events.check(dk.PreTrendEquivalence(float(ends.max())))
    assert at.facts["p_value"] == pytest.approx(0.05, abs=0.01)
    small = events.check(dk.PreTrendEquivalence(float(each["estimate"].abs().max()) / 2))
    assert small.facts["p_value"] > 0.5
    asked = events.infer(dk.ClusterRobust("CR2")).check(dk.PreTrendEquivalence(9.0, inference=by))
    assert asked.facts["smallest_max"] == found.facts["smallest_max"]


def test_degrees_of_freedom_are_those_of_the_covariance():
    design = design_of(noise(60, 8, 3), STARTS)
    events = dk.EventStudy().fit(design, "m").infer(dk.ClusterRobust("CR2"), level=0.9)
    tidy = events.tidy()
    tidy = tidy[tidy["phase"] == "before"]
    found = events.check(dk.PreTrendEquivalence(9.0))
    each = found.table[found.table["measure"] == "term"]
    np.testing.assert_allclose(each["conf_high"], tidy["conf_high"])
    normal = dk.ClusterRobust("CR2", df="normal")
    wider = events.check(dk.PreTrendEquivalence(9.0, inference=normal))
    assert wider.facts["smallest_max"] < found.facts["smallest_max"]


def test_words():
    s = np.diag([0.04, 0.04, 1.0])
    answer = dk.PreTrendEquivalence(1.0).on(
        terms_of({-3: 0.3, -2: 0.1, 0: 2.0}, s, unit="per 1,000")
    )
    assert re.fullmatch(
        r"The largest movement before the start is 0\.300 \(event time -3\), and can be said at "
        r"95 % to be below 0\.629 per 1,000, 0\.314 times the estimate of 2\.00; the margin of "
        r"1\.00 lies above that \(p = \.0002\)\.",
        answer.headline,
    ), answer.headline
    assert (
        "lies below"
        in dk.PreTrendEquivalence(0.5).on(terms_of({-3: 0.3, -2: 0.1, 0: 2.0}, s)).headline
    )


@pytest.mark.parametrize(
    ("margin", "text"),
    [
        (0, "a margin above zero in the unit of the outcome"),
        (-5.0, "a margin above zero"),
        (np.nan, "a margin above zero"),
        (np.inf, "a margin above zero"),
        (True, "a margin above zero"),
        ("10%", "'10%', a share(.|\n)*multiply the share with the level that it is a share of"),
        (None, "say how large a movement would not matter"),
    ],
)
def test_margins_that_are_none_are_refused(margin, text):
    with pytest.raises(InferenceError, match=text):
        dk.PreTrendEquivalence(margin)
    if margin is not None:
        with pytest.raises(InferenceError, match=text):
            dk.TrendAdjusted(margin=margin)


@pytest.mark.parametrize("check", [dk.PreTrendEquivalence, lambda m: dk.TrendAdjusted(margin=m)])
def test_margins_in_another_unit_are_refused(check):
    _, design = dk.datasets.load_evaluation()
    rate = dk.EventStudy().fit(design.drop("522"), "cla").infer(dk.ClusterRobust("CR2"))
    mean = float(np.nanmean(rate.sample.y))
    with pytest.raises(
        InferenceError,
        match=r"a margin in the unit of the outcome \(per 10,000 children\), below(.|\n)*"
        r"on average(.|\n)*another unit, such as percent or a count",
    ):
        rate.check(check(mean * 1.01))
    assert rate.check(check(mean * 0.99)).facts["margin"] == pytest.approx(mean * 0.99)
    y = noise(60, 8, 3)
    plain = dk.EventStudy().fit(design_of(y, STARTS), "m").infer(dk.ClusterRobust("CR2"))
    with pytest.raises(InferenceError, match=r"while the outcome is from 166 to 447"):
        plain.check(check(float(y.max() - y.min()) + 1))


def test_other_options_are_refused_by_name():
    with pytest.raises(InferenceError, match="measure: max, mean, rms"):
        dk.PreTrendEquivalence(1.0, measure="sum")  # type: ignore[arg-type]
    with pytest.raises(InferenceError, match=r"a level between 0\.5 and 1"):
        dk.PreTrendEquivalence(1.0, level=95)
    lopsided = np.array([[1.0, 0.9, 0], [0.9, 0.5, 0], [0, 0, 1.0]])
    with pytest.raises(InferenceError, match=r"a least eigenvalue of -0\.184"):
        terms_of({-3: 0.3, -2: 0.1, 0: 2.0}, lopsided)


def test_movements_stand_beside_the_printed_estimate_of_a_did():
    design = design_of(noise(40, 8, 3), spread(40, 9, 5))
    did = dk.DiD().fit(design, "m").infer(dk.ClusterRobust("CR2"))
    facts = did.check(dk.PreTrendEquivalence(5.0)).facts
    assert facts["estimate"] == pytest.approx(float(did.values[0]))
    events = dk.EventStudy().fit(design, "m").infer(dk.ClusterRobust("CR2"))
    same = events.check(dk.PreTrendEquivalence(5.0)).facts
    assert facts["smallest_max"] == pytest.approx(same["smallest_max"])
