"""Entropy balancing, cardinality matching, synthetic weights: optima, brute force, refusals."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from design.invariants import check_design, check_moves, check_sets
from helpers import codes, design_of, noise
from hypothesis import given
from hypothesis import strategies as st

from didkit.design import (
    CardinalityMatching,
    Covariates,
    EntropyBalancing,
    SyntheticWeights,
)
from didkit.design.distances import nearest_mixture
from didkit.design.synthetic import nearest_point
from didkit.errors import DesignError

ALL = [EntropyBalancing, CardinalityMatching, SyntheticWeights]


def drawn(n: int, k: int, seed: int, *, shift: float = 0.2) -> tuple[Covariates, list, list]:
    """Draw correlated covariates of n units; every fifth is a pilot, moved up by `shift`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, k)) @ (np.eye(k) + 0.3) + 5
    ids = codes(n)
    x[::5] += shift
    on = Covariates(pd.DataFrame(x, index=ids, columns=[f"c{i}" for i in range(k)]))
    return on, ids[::5], [u for i, u in enumerate(ids) if i % 5]


def one_set(sets) -> dict[str, float]:
    """Give the set that all pilots share."""
    first, *others = [dict(members) for members in sets.weights.values()]
    assert all(other == first for other in others)
    return first


KINDS = {
    "entropy": EntropyBalancing,
    "entropy, two moments": lambda on: EntropyBalancing(on, moments=2),
    "cardinality": lambda on: CardinalityMatching(on, tolerance=0.2),
    "cardinality, pooled": lambda on: CardinalityMatching(on, tolerance=0.2, sd="pooled"),
    "synthetic, pooled": lambda on: SyntheticWeights(on, pooled=True, ridge=0.01),
    "synthetic": lambda on: SyntheticWeights(on, ridge=0.1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_must_not_matter(kind, seed):
    on, pilots, candidates = drawn(60, 3, seed)
    check_moves(KINDS[kind], on, pilots, candidates, within=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_as_a_design(kind):
    on, pilots, _ = drawn(40, 2, 3)
    starts = {on.units.index(p): 3 for p in pilots}
    made = design_of(noise(40, 6, 1), starts, against=KINDS[kind](on))
    check_design(made)
    fewer = made.without_pilot(pilots[0])
    check_design(fewer)
    assert pilots[0] not in fewer.comparators


@pytest.mark.parametrize("made", ALL)
def test_candidates_without_a_value_are_refused_or_left_out_by_name(made):
    on, pilots, candidates = drawn(40, 2, 3)
    gone = candidates[3]
    gappy = on.table.copy()
    gappy.loc[gone, "c1"] = np.nan
    options = {"tolerance": 0.3} if made is CardinalityMatching else {}
    starts = {on.units.index(p): 3 for p in pilots}
    with pytest.raises(DesignError, match=f"1 lack at least one: {gone}: c1"):
        design_of(noise(40, 6, 1), starts, against=made(Covariates(gappy), **options))
    against = made(Covariates(gappy), missing="leave_out", **options)
    kept = design_of(noise(40, 6, 1), starts, against=against)
    assert gone not in kept.comparators
    assert any(gone in note for note in kept.notes)


# -- entropy balancing --


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("moments", [1, 2])
def test_entropy_weights_balance_and_are_log_linear(seed, moments):
    on, pilots, candidates = drawn(80, 3, seed)
    weights = one_set(EntropyBalancing(on, moments=moments).match(pilots, candidates))
    assert list(weights) == candidates
    w = np.array(list(weights.values()))
    x1, x0 = on.numbers(pilots), on.numbers(candidates)
    np.testing.assert_allclose(w @ x0, x1.mean(0), rtol=1e-8)
    terms = x0
    if moments == 2:
        spread = w @ (x0 - w @ x0) ** 2
        np.testing.assert_allclose(spread, x1.var(axis=0), rtol=1e-7)
        terms = np.hstack([x0, x0**2])
    # The optimum of Kullback-Leibler under linear constraints: log w is linear in what is balanced.
    design = np.column_stack([np.ones(len(w)), terms])
    fitted = design @ np.linalg.lstsq(design, np.log(w), rcond=None)[0]
    np.testing.assert_allclose(fitted, np.log(w), atol=1e-6)


def test_entropy_weights_are_more_even_than_any_others_that_balance():
    on, pilots, candidates = drawn(60, 2, 8)
    w = np.array(list(one_set(EntropyBalancing(on).match(pilots, candidates)).values()))
    x0 = on.numbers(candidates)
    free = np.linalg.svd(np.vstack([np.ones(len(w)), x0.T]))[2][3:]  # moves that keep all balance
    rng = np.random.default_rng(1)
    for _ in range(50):
        other = w + 0.2 * w.min() * (rng.normal(size=len(free)) @ free)
        assert (other > 0).all()
        assert (other * np.log(other)).sum() > (w * np.log(w)).sum()


def test_balanced_already_means_equal_weights():
    x = [0.0, 2.0, 0.0, 2.0, 1.0, 1.0]
    on = Covariates(pd.DataFrame({"x": x}, index=list("pqabcd")))
    weights = one_set(EntropyBalancing(on).match(["p", "q"], list("abcd")))
    assert weights == pytest.approx(dict.fromkeys("abcd", 0.25), abs=1e-12)


def test_a_column_of_nought_and_one_has_one_moment():
    rng = np.random.default_rng(4)
    ids = codes(40)
    made = pd.DataFrame({"x": rng.normal(size=40), "urban": np.arange(40) % 3 == 0}, index=ids)
    on = Covariates(made.astype(float))
    weights = one_set(
        EntropyBalancing(on, moments=2).match(ids[::5], [u for i, u in enumerate(ids) if i % 5])
    )
    urban = sum(w * on.table.loc[u, "urban"] for u, w in weights.items())
    assert urban == pytest.approx(on.table.loc[ids[::5], "urban"].mean(), abs=1e-9)


def test_no_overlap_is_refused_by_name_and_distance():
    on, pilots, candidates = drawn(60, 2, 9)
    far = on.table.copy()
    far.loc[pilots, "c1"] += 20
    with pytest.raises(DesignError) as error:
        EntropyBalancing(Covariates(far)).match(pilots, candidates)
    gap = far.loc[pilots, "c1"].mean() - far.loc[candidates, "c1"].max()
    sd = EntropyBalancing(on)._numbers(pilots)[:, 1], on.numbers(candidates)[:, 1]
    centred = np.concatenate([one - one.mean() for one in sd])
    in_sd = gap / np.sqrt((centred**2).sum() / (len(centred) - 2))
    assert f"misses c1 by {in_sd:.3g} standard deviations" in str(error.value)
    assert "the pilots' mean of 1 (c1) beyond every comparator" in str(error.value)


def test_overlap_in_each_but_not_in_both_is_refused():
    # Comparators on a line, the pilots beside it: each mean is in range, the pair is not.
    ids = list("pqabcde")
    x = [0.0, 0.4, 0, 1, 2, 3, 4]
    y = [3.0, 3.4, 0, 1, 2, 3, 4.1]
    on = Covariates(pd.DataFrame({"x": x, "y": y}, index=ids))
    with pytest.raises(DesignError, match="each mean within the comparators' range, but not all"):
        EntropyBalancing(on).match(["p", "q"], list("abcde"))


def test_weights_out_of_sight_are_set_out_by_name():
    # The mean is almost at the edge: who is far from it needs a weight below 2e-16.
    x = [1e-9, 1e-9, 0.0, 0.0, 1.0, 1.0, 40.0]
    on = Covariates(pd.DataFrame({"x": x}, index=list("pqabcde")))
    sets = EntropyBalancing(on).match(["p", "q"], list("abcde"))
    check_sets(sets, ["p", "q"], list("abcde"))
    assert set(one_set(sets)) == set("abcd")
    assert sets.notes == ("1 (e) have a weight below machine precision and are set out",)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"moments": 3}, "moments=1 or moments=2"),
        ({"moments": True}, "moments=1 or moments=2"),
        ({"missing": "zero"}, "missing= one of"),
    ],
)
def test_entropy_options(options, text):
    with pytest.raises(DesignError, match=text):
        EntropyBalancing(drawn(20, 2, 1)[0], **options)


def test_two_moments_need_two_pilots():
    on, pilots, candidates = drawn(20, 2, 1)
    with pytest.raises(DesignError, match="at least two pilots"):
        EntropyBalancing(on, moments=2).match(pilots[:1], candidates)


# -- cardinality matching --


def by_trying_all(on: Covariates, pilots: list, candidates: list, tolerance: float) -> set:
    """Find the largest balanced set, the nearest among these, by trying all sets."""
    x1, x0 = on.numbers(pilots), on.numbers(candidates)
    gap = (x0 - x1.mean(0)) / x1.std(axis=0, ddof=1)
    for size in range(len(candidates), 0, -1):
        fits = [
            chosen
            for chosen in combinations(range(len(candidates)), size)
            if (np.abs(gap[list(chosen)].mean(0)) <= tolerance).all()
        ]
        if fits:
            best = min(fits, key=lambda chosen: np.linalg.norm(gap[list(chosen)], axis=1).sum())
            return {candidates[i] for i in best}
    return set()


@pytest.mark.parametrize("seed", range(8))
def test_cardinality_is_the_largest_of_all(seed):
    on, pilots, candidates = drawn(15, 2, seed, shift=0.8)
    best = by_trying_all(on, pilots, candidates, 0.15)
    matching = CardinalityMatching(on, tolerance=0.15)
    if not best:
        with pytest.raises(DesignError, match="every mean within the tolerance"):
            matching.match(pilots, candidates)
        return
    sets = matching.match(pilots, candidates)
    assert set(one_set(sets)) == best


def test_cardinality_holds_its_tolerance_in_a_full_pool():
    on, pilots, candidates = drawn(150, 4, 3, shift=0.6)
    sizes = []
    for tolerance in (0.02, 0.1, 0.5):
        chosen = list(
            one_set(CardinalityMatching(on, tolerance=tolerance).match(pilots, candidates))
        )
        x1, x0 = on.numbers(pilots), on.numbers(chosen)
        apart = np.abs(x0.mean(0) - x1.mean(0)) / x1.std(axis=0, ddof=1)
        assert (apart <= tolerance + 1e-6).all()
        sizes.append(len(chosen))
    assert sizes[0] < sizes[1] < sizes[2] <= len(candidates)


def test_everyone_is_taken_where_everyone_is_balanced():
    on, pilots, candidates = drawn(40, 2, 1)
    assert (
        list(one_set(CardinalityMatching(on, tolerance=5).match(pilots, candidates))) == candidates
    )


def test_the_shares_of_labels_are_the_pilots():
    on, pilots, candidates = drawn(60, 2, 5)
    region = pd.Series(["north", "south", "south", "east", "north", "north"] * 10, index=on.units)
    mixed = Covariates(on.table.assign(region=region))
    matching = CardinalityMatching(mixed, tolerance=0.2, exact="region")
    chosen = list(one_set(matching.match(pilots, candidates)))
    ours = region[pilots].value_counts(normalize=True)
    theirs = region[chosen].value_counts(normalize=True)
    pd.testing.assert_series_equal(theirs.sort_index(), ours.sort_index(), check_names=False)
    free = one_set(CardinalityMatching(on, tolerance=0.2).match(pilots, candidates))
    assert len(chosen) <= len(free)


def test_the_covariate_that_is_furthest_is_named():
    on, pilots, candidates = drawn(40, 3, 2)
    far = on.table.copy()
    far.loc[pilots, "c2"] += 30
    with pytest.raises(DesignError) as error:
        CardinalityMatching(Covariates(far)).match(pilots, candidates)
    assert "c2: even the nearest mixture of comparators is" in str(error.value)
    assert "the tolerance is 0.1" in str(error.value)


def test_a_balance_that_only_mixtures_reach_is_refused():
    on = Covariates(pd.DataFrame({"x": [0.9, 1.1, 0.0, 10.0]}, index=list("pqab")))
    with pytest.raises(DesignError, match="none, although mixtures with unequal weights"):
        CardinalityMatching(on, tolerance=0.1).match(["p", "q"], ["a", "b"])


def test_one_pilot_has_no_standard_deviation():
    on, pilots, candidates = drawn(40, 2, 2)
    with pytest.raises(DesignError, match=r"none for 2 \(c0, c1\), with 1 pilot\b"):
        CardinalityMatching(on).match(pilots[:1], candidates)
    sets = CardinalityMatching(on, sd="pooled").match(pilots[:1], candidates)
    check_sets(sets, pilots[:1], candidates)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tolerance": -0.1}, "tolerance= a number from 0 on"),
        ({"tolerance": None}, "tolerance= a number from 0 on"),
        ({"sd": "all"}, "sd= one of"),
        ({"exact": ("z",)}, "none called 1"),
        ({"missing": "zero"}, "missing= one of"),
    ],
)
def test_cardinality_options(options, text):
    with pytest.raises(DesignError, match=text):
        CardinalityMatching(drawn(20, 2, 1)[0], **options)


# -- synthetic weights --

gaps = st.integers(0, 10_000).map(
    lambda seed: np.random.default_rng(seed).normal(
        loc=np.random.default_rng(seed + 1).choice([0.0, 0.5, 2.0]), size=(12, 4)
    )
)


@given(gaps, st.sampled_from([0.0, 1e-6, 0.05, 3.0]))
def test_synthetic_weights_meet_the_conditions_of_an_optimum(gap, ridge):
    w = nearest_point(gap, ridge)
    assert (w >= 0).all()
    assert w.sum() == pytest.approx(1, abs=1e-12)
    # Karush-Kuhn-Tucker: the slope is the same for all with weight, and no less for those without.
    slope = 2 * gap @ (w @ gap) / gap.shape[1] + 2 * ridge * w
    least = slope[w > 0].min()
    np.testing.assert_allclose(slope[w > 0], least, atol=1e-9)
    assert (slope >= least - 1e-9).all()


def test_a_pilot_that_is_a_mixture_is_found_again():
    rng = np.random.default_rng(2)
    ids = codes(9)
    x = rng.normal(size=(9, 12))
    x[0] = 0.5 * x[3] + 0.3 * x[4] + 0.2 * x[8]
    on = Covariates(pd.DataFrame(x, index=ids))
    sets = SyntheticWeights(on).match(ids[:1], ids[1:])
    assert dict(sets.weights[ids[0]]) == pytest.approx({ids[3]: 0.5, ids[4]: 0.3, ids[8]: 0.2})
    assert sets.notes[0].endswith(f"deviations: {ids[0]}: 0")
    assert sets.notes[1].startswith(f"reproduced exactly: 1 ({ids[0]})")


def test_the_note_tells_how_well_each_pilot_is_followed():
    rng = np.random.default_rng(5)
    ids = codes(10)
    x = rng.normal(size=(10, 8))
    x[1] += 9
    on = Covariates(pd.DataFrame(x, index=ids))
    sets = SyntheticWeights(on, standardise=False).match(ids[:2], ids[2:])
    fits = []
    for pilot, members in sets.weights.items():
        made = sum(w * on.table.loc[u] for u, w in members.items())
        fits.append(f"{pilot}: {np.sqrt(((made - on.table.loc[pilot]) ** 2).mean()):.3g}")
    assert sets.notes == (
        f"root mean squared difference in units of the covariates: {'; '.join(fits)}",
        f"followed worst: {fits[1].replace(':', ',')} units of the covariates away",
    )


def test_pooled_follows_the_mean_and_ridge_evens_out():
    on, pilots, candidates = drawn(40, 8, 6, shift=1.0)
    pooled = one_set(SyntheticWeights(on, pooled=True).match(pilots, candidates))
    mean = pd.DataFrame([on.table.loc[pilots].mean()], index=["mean"])
    alone = Covariates(pd.concat([mean, on.table.loc[candidates]]))
    single = SyntheticWeights(alone, standardise=False).match(["mean"], candidates)
    raw = one_set(SyntheticWeights(on, pooled=True, standardise=False).match(pilots, candidates))
    assert dict(single.weights["mean"]) == pytest.approx(raw)
    assert pooled != pytest.approx(raw)
    even = one_set(SyntheticWeights(on, pooled=True, ridge=1e6).match(pilots, candidates))
    assert even == pytest.approx(dict.fromkeys(candidates, 1 / len(candidates)), rel=1e-3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ridge": -1}, "ridge= a number from 0 on"),
        ({"pooled": "yes"}, "pooled=True or pooled=False"),
        ({"standardise": 1}, "standardise=True or standardise=False"),
        ({"missing": "zero"}, "missing= one of"),
    ],
)
def test_synthetic_options(options, text):
    with pytest.raises(DesignError, match=text):
        SyntheticWeights(drawn(20, 2, 1)[0], **options)


# -- in common --


@pytest.mark.parametrize("made", ALL)
def test_a_constant_covariate_is_named(made):
    on, pilots, candidates = drawn(40, 2, 1)
    flat = Covariates(on.table.assign(flat=4.0))
    with pytest.raises(DesignError, match=r"1 \(flat\) the same for all"):
        made(flat).match(pilots, candidates)


@pytest.mark.parametrize("made", ALL)
def test_a_bare_table_is_refused(made):
    with pytest.raises(DesignError, match="wrap a table of your own"):
        made(drawn(20, 2, 1)[0].table)


def test_the_nearest_mixture_is_zero_inside_and_no_further_than_any_other_outside():
    rng = np.random.default_rng(3)
    inside = rng.normal(size=(30, 2))
    np.testing.assert_allclose(nearest_mixture(inside), 0, atol=1e-9)
    outside = inside + 5
    least = np.abs(nearest_mixture(outside)).max()
    for w in rng.dirichlet(np.full(30, 0.1), size=300):
        assert np.abs(w @ outside).max() >= least - 1e-9


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            EntropyBalancing,
            "all pilots with comparators weighted to the pilots' means by entropy balancing "
            "(c0, c1)",
        ),
        (
            CardinalityMatching,
            "all pilots with the most comparators whose means are within 0.1 standard deviations "
            "of the pilots' (c0, c1)",
        ),
        (SyntheticWeights, "for each pilot the nearest mixture of comparators (c0, c1)"),
    ],
)
def test_words(made, words):
    assert made(drawn(20, 2, 1)[0]).describe() == words


# -- least sum of squares, where several mixtures fit alike --


@given(st.integers(0, 10_000), st.sampled_from(["inside", "rounded", "twins", "outside"]))
def test_of_nearest_mixtures_the_one_with_the_least_sum_of_squares(seed, kind):
    """Karush-Kuhn-Tucker of min Σ w² over the nearest mixtures: w = max(E′λ, 0) on their face."""
    rng = np.random.default_rng(seed)
    gap = rng.normal(size=(14, 3)) + (2.5 if kind == "outside" else 0.2)
    if kind == "rounded":
        gap = np.round(gap)
    if kind in ("twins", "outside"):
        gap[7:] = gap[:7]
    w = nearest_point(gap)
    slope = gap @ (w @ gap)
    face = slope <= slope.min() + 1e-8
    rows = np.vstack([gap[face].T, np.ones(face.sum())])
    # No way along the face that keeps the point and stays above 0 makes the sum of squares less.
    for _ in range(20):
        other = nearest_point(gap, ridge=float(10 ** rng.uniform(-9, -1)))[face]
        step = other - w[face]
        step -= np.linalg.pinv(rows) @ (rows @ step)
        longest = min(
            [1.0, *(-w[face][step < -1e-15] / step[step < -1e-15])]
        )  # as far as no weight is negative
        assert (w[face] + longest * step) @ (w[face] + longest * step) >= w @ w - 1e-9
    support = w[face] > 1e-9
    lam = np.linalg.lstsq(rows[:, support].T, w[face][support], rcond=None)[0]
    np.testing.assert_allclose(rows[:, support].T @ lam, w[face][support], atol=1e-8)
    if kind in ("twins", "outside"):
        np.testing.assert_allclose(w[:7], w[7:], atol=1e-9)  # twins share
    turned = rng.permutation(len(gap))
    np.testing.assert_allclose(nearest_point(gap[turned]), w[turned], atol=1e-9)


def test_the_least_sum_of_squares_is_that_of_a_quadratic_programme():
    from scipy.optimize import minimize

    gap = np.random.default_rng(11).normal(size=(9, 2))
    w = nearest_point(gap)
    found = minimize(
        lambda v: v @ v,
        np.full(9, 1 / 9),
        jac=lambda v: 2 * v,
        bounds=[(0, 1)] * 9,
        constraints=[
            {"type": "eq", "fun": lambda v: v @ gap, "jac": lambda _v: gap.T},
            {"type": "eq", "fun": lambda v: v.sum() - 1, "jac": lambda _v: np.ones(9)},
        ],
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert found.success
    np.testing.assert_allclose(w, found.x, atol=1e-6)
    np.testing.assert_allclose(w @ gap, 0, atol=1e-12)
    assert (w > 0).sum() > 3  # a vertex of the solutions would have three


def test_other_codes_for_the_same_places_give_the_same_mixture():
    on, pilots, candidates = drawn(40, 2, 3)
    mirror = dict(zip(on.units, on.units[::-1], strict=True))
    other = Covariates(on.table.rename(index=mirror))
    plain = SyntheticWeights(on).match(pilots, candidates)
    named = SyntheticWeights(other).match(
        sorted(mirror[u] for u in pilots), sorted(mirror[u] for u in candidates)
    )
    assert any("least sum of squares" in note for note in plain.notes)
    for pilot, members in plain.weights.items():
        again = {mirror[u]: w for u, w in named.weights[mirror[pilot]].items()}
        assert again == pytest.approx(dict(members), abs=1e-9)


def test_one_set_for_all_pilots_is_said_once():
    on, pilots, _ = drawn(40, 2, 3)
    starts = {on.units.index(p): 3 for p in pilots}
    notes = design_of(noise(40, 6, 1), starts, against=EntropyBalancing(on)).notes
    assert "one set of weights for all pilots (32 comparators)" in notes
    assert not any("more than one pilot" in note for note in notes)
    own = design_of(noise(40, 6, 1), starts, against=SyntheticWeights(on)).notes
    assert any("serve more than one pilot" in note for note in own)
    assert not any("one set of weights" in note for note in own)


def test_no_set_with_the_same_shares_and_nothing_else_to_balance():
    on = Covariates(pd.DataFrame({"r": list("aabb")}, index=codes(4)))
    with pytest.raises(DesignError, match=r"found: none; labels to be shared exactly: 2"):
        CardinalityMatching(on, exact="r").match(codes(4)[:2], codes(4)[2:])
    with pytest.raises(DesignError, match="exact= the name of a column"):
        CardinalityMatching(on, exact=3)
