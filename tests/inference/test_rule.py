"""The ordered rule: the first case that matches, one method, and the reason in the notes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, frame_of, noise

from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap, GroupTime
from didkit.inference import (
    ClusterRobust,
    DonaldLang,
    FermanPinto,
    Jackknife,
    Permutation,
    SignFlips,
    recommend,
)
from didkit.inference.arms import effective_comparators
from didkit.panel import Panel
from didkit.results import hooks


def design(n1: int, n0: int, sets: str | None = None, **options):
    """Pilots first; sets: each with two of its own, or all sharing two."""
    n = n1 + n0
    ids = codes(n)
    against = None
    if sets == "own":
        against = MatchedSets(
            {ids[i]: dict.fromkeys(ids[n1 + 2 * i : n1 + 2 * i + 2], 0.5) for i in range(n1)}
        )
    elif sets == "shared":
        against = MatchedSets({ids[i]: dict.fromkeys(ids[n1 : n1 + 2], 0.5) for i in range(n1)})
    return design_of(noise(n, 4, n), dict.fromkeys(range(n1), 2), against=against, **options)


# the ordered rule: n1 pilots, n0 comparators → case and primary method
TABLE = [
    (1, 1, None, 1, Permutation("beta")),
    (1, 19, None, 1, Permutation("beta")),
    (1, 40, None, 1, Permutation("beta")),
    (2, 2, None, 2, DonaldLang()),
    (3, 3, None, 2, DonaldLang()),
    (2, 3, None, 2, DonaldLang()),
    (6, 12, None, 4, Permutation("t")),
    (9, 36, None, 4, Permutation("t")),
    (6, 11, None, 6, ClusterRobust("CR2")),
    (9, 9, None, 6, ClusterRobust("CR2")),
    (2, 20, None, 5, Permutation("t")),
    (5, 20, None, 5, Permutation("t")),
    (5, 19, None, 6, ClusterRobust("CR2")),
    (3, 4, None, 6, ClusterRobust("CR2")),
    (4, 3, None, 6, ClusterRobust("CR2")),
    (4, 1, None, 2, DonaldLang()),
    (20, 1, None, 2, Permutation("beta")),
    (4, 4, None, 6, ClusterRobust("CR2")),
    (6, 12, "own", 3, SignFlips()),
    (7, 14, "own", 3, SignFlips()),
    (6, 12, "shared", 6, Jackknife()),  # two effective comparators
    (1, 2, "own", 1, Permutation("beta")),
    (5, 10, "own", 6, Jackknife()),
    (5, 10, "shared", 6, Jackknife()),
]


@pytest.mark.parametrize(("n1", "n0", "sets", "case", "method"), TABLE)
def test_the_first_case_that_matches(n1, n0, sets, case, method):
    made = DiD().fit(design(n1, n0, sets), "m")
    advice = recommend(made)
    assert (advice.case, advice.inference) == (case, method)
    assert f"rule {case} (" in advice.notes[0]


def test_where_no_method_exists_there_is_no_number_and_a_reason():
    """Shown, not raised; asked for by name, the same method is refused."""
    import didkit

    clusters = {unit: "one" if j < 4 else str(j // 3) for j, unit in enumerate(codes(20))}
    made = DiD().fit(design(4, 16, clusters=clusters), "m")
    assert didkit.inference.recommend(made).case == 6
    table = made.tidy()
    assert table["estimate"].notna().all()
    assert table[["std_error", "p_value", "conf_low", "conf_high"]].isna().all(axis=None)
    assert any(
        note.startswith("no standard error, test or interval: 1 ") for note in made.all_notes
    )
    assert "1 cluster of pilots" in made.summary()
    with pytest.raises(InferenceError):
        made.infer(recommend(made).inference)


def test_clusters_above_units_take_cr2():
    """Permutation hands out units one by one."""
    clusters = {unit: str(j // 2) for j, unit in enumerate(codes(45))}
    advice = recommend(DiD().fit(design(9, 36, clusters=clusters), "m"))
    assert advice.inference == ClusterRobust("CR2")


def test_shared_sets_in_which_no_p_is_small_enough_take_the_jackknife():
    """One unit a stratum: nobody trades; two a stratum: p is 1/2 at the least."""
    ids = codes(18)
    shared = MatchedSets({ids[i]: dict.fromkeys(ids[6:18], 1 / 12) for i in range(6)})
    for strata in (
        {unit: unit for unit in ids},
        {unit: "first" if j in (0, 6) else unit for j, unit in enumerate(ids)},
    ):
        made = design_of(
            noise(18, 4, 18), dict.fromkeys(range(6), 2), against=shared, strata=strata
        )
        advice = recommend(DiD().fit(made, "m"))
        assert (advice.case, advice.inference) == (6, Jackknife())
        assert "the least p by permutation is" in advice.notes[0]


def in_sets(members: dict[int, dict[int, float]], seed: int = 3):
    """Estimate with sets by row: pilot → comparator → weight."""
    n = 1 + max(u for m in members.values() for u in m)
    ids = codes(n)
    against = MatchedSets({ids[j]: {ids[u]: w for u, w in m.items()} for j, m in members.items()})
    return DiD().fit(design_of(noise(n, 4, seed), dict.fromkeys(members, 2), against=against), "m")


def leaning(own: float) -> dict[int, dict[int, float]]:
    """Six pilots; each has two comparators of its own, and all share one."""
    return {i: {6 + 2 * i: own / 2, 7 + 2 * i: own / 2, 18: 1 - own} for i in range(6)}


@pytest.mark.parametrize(
    ("members", "effective", "method"),
    [
        (leaning(0.1), 1 / (0.9**2 + 12 * (0.1 / 12) ** 2), Jackknife()),
        (leaning(0.6), 1 / (0.4**2 + 12 * (0.6 / 12) ** 2), Jackknife()),
        (leaning(0.75), 1 / (0.25**2 + 12 * (0.75 / 12) ** 2), Permutation("t")),
        ({i: dict.fromkeys(range(6, 12), 1 / 6) for i in range(6)}, 6.0, Permutation("t")),
        ({i: dict.fromkeys(range(6, 11), 1 / 5) for i in range(6)}, 5.0, Jackknife()),
        (
            {**{i: dict.fromkeys((6, 7, 8), 1 / 3) for i in range(5)}, 5: {9: 0.5, 10: 0.5}},
            1 / (3 * (5 / 18) ** 2 + 2 * (1 / 12) ** 2),
            Jackknife(),
        ),
    ],
)
def test_fewer_effective_comparators_than_pilots_take_the_jackknife(members, effective, method):
    """With one dominant comparator t rejects up to 10 % of true nulls at 5 %."""
    made = in_sets(members)
    assert effective_comparators(made) == pytest.approx(effective)
    advice = recommend(made)
    assert advice.inference == method
    if method == Jackknife():
        assert f"{effective:.1f} effective comparators, fewer than pilots" in advice.notes[0]
    assert made.infer().attached.p_value[0] > 0


@pytest.mark.parametrize("n1", [1, 2, 4, 5, 6])
def test_pairs_have_a_rank_and_the_note_its_least_p(n1):
    """Nobody's only comparator can be dropped, so the jackknife does not exist."""
    made = in_sets({i: {n1 + i: 1.0} for i in range(n1)})
    with pytest.raises(InferenceError):
        made.infer(Jackknife())
    sure = made.infer().attached
    assert sure.p_value[0] == pytest.approx(made.infer(Permutation("t")).attached.p_value[0])
    assert sure.facts["least_p"] == pytest.approx(2 / 2**n1)
    case = {1: 1, 6: 3}.get(n1, 6)
    assert sure.notes[0].startswith(f"inference by rule {case} (")
    if case != 3:
        assert f"least p {2 / 2**n1:.3f}" in sure.notes[0]
    if case == 6:
        assert f"a set would be empty without {codes(n1 + 1)[n1]}" in sure.notes[0]


def test_one_lone_comparator_is_enough_for_there_to_be_no_jackknife():
    members = {i: {4 + 2 * i: 0.5, 5 + 2 * i: 0.5} for i in range(3)} | {3: {10: 1.0}}
    assert recommend(in_sets(members)).inference == Permutation("t")
    members[3] = {10: 0.5, 11: 0.5}
    assert recommend(in_sets(members)).inference == Jackknife()


def test_sets_that_cannot_trade_take_the_jackknife_and_the_note_says_why():
    ids = codes(18)
    weights = {ids[i]: dict.fromkeys(ids[6 + 2 * i : 8 + 2 * i], 0.5) for i in range(6)}
    y = noise(18, 4, 1)
    median = MatchedSets(weights, aggregate="median")
    shared = {ids[i]: dict.fromkeys(ids[6:18], 1 / 12) for i in range(6)}
    gaps = y.copy()
    gaps[7, 1] = np.nan
    clusters = {unit: str(j // 2) for j, unit in enumerate(ids)}
    starts = dict.fromkeys(range(6), 2)
    for made, why in (
        (DiD("complete").fit(design_of(y, starts, against=median), "m"), "needs aggregate='mean'"),
        (
            DiD().fit(design_of(gaps, starts, against=MatchedSets(shared)), "m"),
            "needs cells='complete'",
        ),
        (
            DiD().fit(design_of(y, starts, against=MatchedSets(weights), clusters=clusters), "m"),
            "clusters are above units",
        ),
    ):
        advice = recommend(made)
        assert (advice.case, advice.inference) == (6, Jackknife())
        assert why in advice.notes[0]


def test_notes_say_which_rule_applied_and_why_and_nothing_of_what_is_to_come():
    for n1, n0, sets, said in (
        (1, 20, None, "rule 1 (one pilot, 20 comparators): rank among placebo pilots"),
        (2, 2, None, "rule 2 (2 pilots, 2 comparators): no distribution-free 5 % test exists"),
        (3, 30, None, "rule 5 (3 pilots, 30 comparators): permutation of t"),
        (
            6,
            12,
            "own",
            "rule 3 (6 pilots, 12 comparators, matched sets; no comparator serves two pilots): "
            "sign flips of the sets' differences; permutation within sets stands beside it",
        ),
        (
            7,
            2,
            "shared",
            "rule 6 (7 pilots, 2 comparators, matched sets; 2 comparators serve more than one "
            "pilot (at most 7)): the cluster jackknife, by refitting: 2.0 effective comparators, "
            "fewer than pilots",
        ),
        (
            5,
            10,
            "own",
            "rule 6 (5 pilots, 10 comparators, matched sets; no comparator serves two pilots): "
            "the cluster jackknife, by refitting: fewer than 6 pilots",
        ),
    ):
        (note,) = recommend(DiD().fit(design(n1, n0, sets), "m")).notes
        assert note.startswith(f"inference by {said}")
        assert "available" not in note


@pytest.mark.parametrize("estimator", [DiD(), DiD("complete"), EventStudy(), Gap()], ids=str)
def test_an_estimate_shown_has_the_recommended_uncertainty(estimator, monkeypatch):
    import didkit

    monkeypatch.setitem(hooks._filled, "recommend", didkit.inference.recommend)
    made = estimator.fit(design(6, 12), "m")
    asked = made.infer()
    assert made.uncertainty.inference == asked.uncertainty.inference == Permutation("t")
    np.testing.assert_array_equal(made.tidy()["p_value"], asked.tidy()["p_value"])
    assert any("rule 4" in note for note in made.all_notes)
    bare = made.infer(None)
    assert bare.uncertainty is None
    assert bare.tidy()["p_value"].isna().all()
    chosen = made.infer(ClusterRobust("CR2"))
    assert not any("rule" in note for note in chosen.uncertainty.notes)


def sized(n0: int, sizes: str) -> DiD:
    """One pilot and n0 comparators, rates with exposures."""
    n = 1 + n0
    frame = frame_of(noise(n, 4, 7))
    count = {"differ": 100.0 + np.arange(n), "alike": np.full(n, 100.0)}[sizes]
    frame["children"] = np.repeat(count, 4)
    if sizes == "gone":
        frame.loc[frame["la"] == codes(n)[3], "children"] = np.nan
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"], exposure="children")
    rollout = Rollout({codes(n)[0]: FIRST + 2})
    return DiD().fit(Design(panel, rollout, against=Pool(), selection="bid"), "m")


@pytest.mark.parametrize(
    ("n0", "sizes", "method", "why"),
    [
        (20, "differ", FermanPinto(), "comparators' noise at the pilot's size"),
        (19, "differ", Permutation("beta"), "fewer than 20 comparators"),
        (20, "alike", Permutation("beta"), "Ferman–Pinto: all 21 of size 100"),
    ],
)
def test_one_pilot_is_held_against_noise_at_its_size_where_sizes_are_known(n0, sizes, method, why):
    made = sized(n0, sizes)
    advice = recommend(made)
    assert (advice.case, advice.inference) == (1, method)
    assert why in advice.notes[0]
    assert np.isfinite(made.infer().attached.p_value[0])


def test_without_sizes_one_pilot_is_ranked():
    advice = recommend(DiD().fit(design(1, 20), "m"))
    assert advice.inference == Permutation("beta")
    assert "sizes are not known" in advice.notes[0]


def test_two_against_two_says_what_its_test_needs():
    made = DiD().fit(design(2, 2), "m")
    assert "equal-variance normal site shocks" in made.infer().attached.notes[0]
    staggered = DiD().fit(design_of(noise(6, 5, 1), {0: 2, 1: 3, 2: 3}), "m")
    assert recommend(staggered).inference == Permutation("t")  # no one number a unit


def test_strata_in_which_no_p_is_small_enough_take_cr2():
    """Three pilots, each with one other in its stratum: p is 1/4 at the least."""
    strata = {unit: str(j % 3) if j < 6 else "rest" for j, unit in enumerate(codes(33))}
    y, starts = noise(33, 4, 1), dict.fromkeys(range(3), 2)
    advice = recommend(DiD().fit(design_of(y, starts, strata=strata), "m"))
    assert (advice.case, advice.inference) == (6, ClusterRobust("CR2"))
    assert "least p by permutation inside strata is 0.125" in advice.notes[0]


@pytest.mark.parametrize(("each", "method"), [(4, SignFlips()), (5, Permutation("t"))])
def test_signs_are_flipped_in_small_sets_only(each, method):
    """Skewed noise makes the difference from the mean of many comparators lopsided."""
    ids = codes(6 * (1 + each))
    own = MatchedSets(
        {ids[i]: dict.fromkeys(ids[6 + each * i : 6 + each * (i + 1)], 1 / each) for i in range(6)}
    )
    y, starts = noise(len(ids), 4, 1), dict.fromkeys(range(6), 2)
    advice = recommend(DiD().fit(design_of(y, starts, against=own), "m"))
    assert (advice.case, advice.inference) == (3, method)


def staggered(pilots: int, others: int, **options) -> Design:
    """Half of the pilots start in period 2, half in period 3; four periods."""
    rng, n = np.random.default_rng(pilots), pilots + others
    first = np.where(np.arange(n) < pilots, 2 + np.arange(n) % 2, 0)
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), 4),
            "year": np.tile(np.arange(4), n),
            "first": np.repeat(first, 4),
            "y": rng.normal(size=4 * n),
            "group": np.repeat(np.arange(n) % 8, 4),
        }
    )
    return Design.from_frame(
        frame, unit="unit", period="year", start="first", metrics=["y"], selection="unknown",
        never=[0], **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("n1", "n0", "options", "chosen", "why"),
    [
        (100, 100, {}, ClusterRobust("CR1"), "100 or more clusters on both sides"),
        (99, 100, {}, Jackknife(), "no cross-products by cluster"),
        (100, 99, {}, Jackknife(), "no cross-products by cluster"),
        (100, 100, {"clusters": "group"}, Jackknife(), "clusters are above units"),
        (99, 100, {"refits": 150}, ClusterRobust("CR1"), "too many clusters (199)"),
        (30, 60, {}, Permutation("t"), "permutation of t"),
    ],
)
def test_influence_alone_is_never_given_cr2(n1, n0, options, chosen, why, monkeypatch):
    """Without cross-products: CR1 with many clusters in both arms, else it is fitted again."""
    given = dict(options)
    monkeypatch.setattr("didkit.inference.rule._REFITS", given.pop("refits", 500))
    estimate = GroupTime().fit(staggered(n1, n0, **given), "y")
    assert estimate.normal is None
    advice = recommend(estimate)
    assert advice.inference == chosen
    assert why in advice.notes[0]
    assert "matched sets" not in advice.notes[0]


@pytest.mark.parametrize(
    ("many", "chosen"), [(251, ClusterRobust("CR2")), (250, ClusterRobust("CR1"))]
)
def test_very_many_units_are_not_permuted(many, chosen, monkeypatch):
    monkeypatch.setattr("didkit.inference.rule._VERY_MANY", many)
    estimate = DiD().fit(staggered(100, 150), "y")
    assert estimate.normal is not None
    assert recommend(estimate).inference == chosen
