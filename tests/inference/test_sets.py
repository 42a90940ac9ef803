"""Permutation within matched sets: brute force in plain Python, least p, interval, and size."""

from __future__ import annotations

import itertools
from math import comb, factorial

import numpy as np
import pytest
from helpers import codes, design_of, noise, treated

from didkit.check import PreTrends
from didkit.design import MatchedSets
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import Jackknife, Permutation, inference_table
from didkit.inference.assignments import least_of_orders, orders

T, START = 4, 2


def design(members: dict[int, dict[int, float]], y: np.ndarray, *, pilots_too=False, **options):
    """Sets by row: pilot → comparator → weight."""
    ids = codes(len(y))
    weights = {ids[j]: {ids[u]: w for u, w in m.items()} for j, m in members.items()}
    against = MatchedSets(
        weights, aggregate=options.pop("aggregate", "mean"), include_pilots=pilots_too
    )
    return design_of(y, dict.fromkeys(members, START), against=against, **options)


def even(members: dict[int, list[int]]) -> dict[int, dict[int, float]]:
    return {j: dict.fromkeys(m, 1 / len(m)) for j, m in members.items()}


def own_sets(n: int, size: int) -> dict[int, dict[int, float]]:
    """Pilots are the first rows; each has its own comparators, all alike."""
    return even({k: [n + size * k + i for i in range(size)] for k in range(n)})


def changes(y: np.ndarray) -> list[float]:
    return (y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)).tolist()


def by_hand(w: list[float], members: dict[int, dict[int, float]], studentised: bool) -> float:
    """The statistic in plain Python, with the variance of differences that share comparators."""
    n = len(members)
    means = {k: sum(s * w[u] for u, s in m.items()) for k, m in members.items()}
    d = {k: w[k] - means[k] for k in members}
    mean = sum(d.values()) / n
    if not studentised:
        return abs(mean)
    v = sum((one - mean) ** 2 for one in d.values())
    for u in {u for m in members.values() for u in m}:
        share = {k: m[u] for k, m in members.items() if u in m}
        overlap = sum(a * b for k, a in share.items() for other, b in share.items() if k != other)
        if not overlap:
            continue
        size = 0.0
        for k, s in share.items():
            apart = 1 - 2 * s + sum(one**2 for one in members[k].values())
            size += s / sum(share.values()) * (w[u] - means[k]) ** 2 / apart
        v += overlap * size
    return abs(mean) / (v / (n * (n - 1))) ** 0.5


def exact(w: list[float], members: dict, blocks: list[list[int]], studentised: bool) -> float:
    """Every order of the units of every block, one by one."""
    mine = by_hand(w, members, studentised)
    count = total = 0
    for chosen in itertools.product(*(itertools.permutations(b) for b in blocks)):
        traded = list(w)
        for block, order in zip(blocks, chosen, strict=True):
            for place, unit in zip(block, order, strict=True):
                traded[place] = w[unit]
        count += by_hand(traded, members, studentised) >= mine * (1 - 1e-9)
        total += 1
    return count / total


OWN = own_sets(3, 2)
SHARED = {0: {2: 0.5, 3: 0.5}, 1: {3: 0.7, 4: 0.3}}
EXACT = {
    # members, blocks, number of orders in which different units have a role (t, beta)
    "own": (OWN, [[0, 3, 4], [1, 5, 6], [2, 7, 8]], 27, 27),
    "pairs": (own_sets(4, 1), [[0, 4], [1, 5], [2, 6], [3, 7]], 16, 16),
    "shared": (SHARED, [[0, 1, 2, 3, 4]], 120, 60),
    "two blocks": (
        {**even({0: [3, 4], 1: [3, 4]}), 2: {5: 0.75, 6: 0.25}},
        [[0, 1, 3, 4], [2, 5, 6]],
        6 * 6,
        6 * 6,
    ),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("statistic", ["t", "beta"])
def test_exact_p_is_brute_force(name, statistic):
    members, blocks, *totals = EXACT[name]
    n = max(u for m in members.values() for u in m) + 1
    for seed in range(3):
        y = noise(n, T, seed) + 6 * treated((n, T), dict.fromkeys(members, START))
        sure = DiD().fit(design(members, y), "m").infer(Permutation(statistic)).uncertainty
        assert sure.facts["exact"]
        assert sure.facts["draws"] == totals[statistic == "beta"]
        expected = exact(changes(y), members, blocks, statistic == "t")
        assert sure.p_value[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("statistic", ["t", "beta"])
def test_the_statistic_is_the_one_by_hand(statistic):
    y = noise(5, T, 4)
    sure = DiD().fit(design(SHARED, y), "m").infer(Permutation(statistic)).uncertainty
    by = by_hand(changes(y), SHARED, statistic == "t")
    assert abs(sure.statistic[0]) == pytest.approx(by, rel=1e-9)
    assert np.abs(sure.null[:, 0]).min() >= 0
    assert np.isnan(sure.std_error).all()


@pytest.mark.parametrize(
    ("members", "least"),
    [
        (own_sets(5, 1), 2 / 2**5),  # turned round in every pair
        (own_sets(3, 2), 1 / 27),
        (even({k: [3, 4, 5] for k in range(3)}), 2 / comb(6, 3)),
        (even({k: [3, 4, 5, 6] for k in range(3)}), 1 / comb(7, 3)),
    ],
)
def test_least_attainable_p_is_attained(members, least):
    n = max(u for m in members.values() for u in m) + 1
    y = noise(n, T, 1) + 1e4 * treated((n, T), dict.fromkeys(members, START))
    made = DiD().fit(design(members, y), "m")
    for statistic in ("t", "beta"):
        sure = made.infer(Permutation(statistic)).uncertainty
        assert sure.facts["least_p"] == pytest.approx(least)
        assert least_of_orders(made.exchanged, statistic, draws=9999) == pytest.approx(least)
    assert sure.p_value[0] == pytest.approx(least)


def test_the_note_gives_the_least_p_of_sets_that_mirror_each_other():
    """Two sets that share a comparator: every t comes twice, so p is 2/120 at the least."""
    members = even({0: [2, 3], 1: [3, 4]})
    blocks = [[0, 1, 2, 3, 4]]
    y = noise(5, T, 4)
    sure = DiD().fit(design(members, y), "m").infer(Permutation()).attached
    w = changes(y)
    everyone = [
        by_hand([w[u] for u in order], members, True) for order in itertools.permutations(blocks[0])
    ]
    least = np.mean(np.array(everyone) >= max(everyone) * (1 - 1e-9))
    assert least == pytest.approx(2 / 120)
    assert sure.facts["least_p"] == pytest.approx(1 / 120)  # what places alike can say
    assert f"the least p attainable is {least:.3f}" in sure.notes


# -- draws ----------------------------------------------------------------------------------------


def test_every_order_is_listed_once_and_moves_inside_its_block():
    made = DiD().fit(design(OWN, noise(9, T, 1)), "m")
    found = orders(made.exchanged, "t", draws=27, seed=0)
    assert found.exact
    assert (np.sort(found.labels, axis=1) == np.arange(9)).all()
    blocks = made.exchanged.blocks
    assert (blocks[found.labels] == blocks).all()
    assert len(np.unique(found.labels, axis=0)) == 27
    assert (found.labels == np.arange(9)).all(axis=1).any()
    assert not orders(made.exchanged, "t", draws=26, seed=0).exact


def test_drawn_orders_are_uniform_inside_blocks_and_strata():
    members = own_sets(6, 3)
    n = 24
    strata = {u: "ab"[j == 23] for j, u in enumerate(codes(n))}  # the last is cut off
    made = DiD().fit(design(members, noise(n, T, 1), strata=strata), "m")
    found = orders(made.exchanged, "t", draws=3000, seed=2)
    assert not found.exact
    assert found.total == 4**5 * 3
    blocks = made.exchanged.blocks
    assert (blocks[found.labels] == blocks).all()
    assert (found.labels[:, 23] == 23).all()
    size = np.bincount(blocks)[blocks]
    stays = (found.labels == np.arange(n)).mean(axis=0)
    np.testing.assert_allclose(stays, 1 / size, atol=5 * (0.25 / 3000) ** 0.5)
    assert (found.labels == orders(made.exchanged, "t", draws=3000, seed=2).labels).all()
    assert (found.labels != orders(made.exchanged, "t", draws=3000, seed=3).labels).any()


def test_drawn_p_is_one_plus_count_over_one_plus_draws():
    members = own_sets(9, 3)
    y = noise(36, T, 6) + 3 * treated((36, T), dict.fromkeys(members, START))
    made = DiD("complete").fit(design(members, y), "m")
    sure = made.infer(Permutation(draws=199, seed=3)).uncertainty
    w = np.array(changes(y))
    mine = by_hand(w.tolist(), members, True)
    found = orders(made.exchanged, "t", draws=199, seed=3).labels
    count = sum(by_hand(w[row].tolist(), members, True) >= mine for row in found)
    assert sure.p_value[0] == pytest.approx((1 + count) / 200)
    assert sure.facts["least_p"] == 1 / 200
    assert sure.method == "permutation of t within matched sets, 199 draws, seed 3"


def test_shuffled_rows_and_other_names_change_nothing():
    members = {0: {4: 0.5, 5: 0.3, 6: 0.2}, 1: {6: 0.6, 7: 0.4}, 2: {8: 1.0}, 3: {8: 0.5, 9: 0.5}}
    y = noise(10, T, 1)
    order = np.random.default_rng(1).permutation(10)
    place = np.argsort(order)
    moved = {int(place[j]): {int(place[u]): w for u, w in m.items()} for j, m in members.items()}
    one, other = (
        DiD().fit(d, "m").infer(Permutation("t", draws=50_000)).uncertainty
        for d in (design(members, y), design(moved, y[order]))
    )
    assert one.facts["exact"]
    assert one.facts["draws"] == other.facts["draws"] == factorial(6) * factorial(4)
    assert other.p_value[0] == pytest.approx(one.p_value[0], abs=1e-12)
    assert other.conf_low[0] == pytest.approx(one.conf_low[0], rel=1e-6)


# -- the interval ---------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [DiD(), EventStudy(), Gap()], ids=str)
@pytest.mark.parametrize("statistic", ["t", "beta"])
@pytest.mark.parametrize("shared", [False, True])
def test_the_interval_is_the_effects_that_are_not_rejected(estimator, statistic, shared):
    """p of the outcome less θ times the treatment ≤ α exactly where θ is outside."""
    members = own_sets(7, 3) if not shared else even({k: [7 + k, 8 + k, 15] for k in range(7)})
    n = max(u for m in members.values() for u in m) + 1
    y = noise(n, T, 3) + 5 * treated((n, T), dict.fromkeys(members, START))
    inference = Permutation(statistic, draws=299, seed=1)
    made = estimator.fit(design(members, y), "m").infer(inference, level=0.9)
    m = list(made.terms["term"]).index(made.main_term)
    low, high = made.attached.conf_low[m], made.attached.conf_high[m]
    assert low < made.values[m] < high
    assert not any("not one interval" in note for note in made.attached.notes)
    on = np.zeros((n, T))
    on[list(members), START : START + 1 if isinstance(estimator, EventStudy) else T] = 1
    for theta in (low, high):
        for step, rejected in ((1e-4, theta == high), (-1e-4, theta == low)):
            again = estimator.fit(design(members, y - (theta + step) * on), "m")
            assert (again.infer(inference).attached.p_value[m] <= 0.1) == rejected


def test_with_a_large_least_p_the_interval_is_everything():
    sure = DiD().fit(design(own_sets(2, 2), noise(6, T, 1)), "m").infer(Permutation()).attached
    assert (sure.conf_low[0], sure.conf_high[0]) == (-np.inf, np.inf)
    assert any("no effect can be rejected" in note for note in sure.notes)


# -- several terms --------------------------------------------------------------------------------


def test_bands_and_the_joint_test_of_leads():
    members = own_sets(8, 3)
    y = noise(32, 7, 2)
    ids = codes(32)
    against = MatchedSets({ids[j]: {ids[u]: w for u, w in m.items()} for j, m in members.items()})
    starts = dict.fromkeys(members, 4)
    inference = Permutation(draws=499, seed=1)
    made = EventStudy().fit(design_of(y, starts, against=against), "m").infer(inference)
    table = made.tidy().dropna(subset=["p_value"])
    assert (table["band_low"] <= table["conf_low"]).all()
    assert (table["band_high"] > table["conf_high"]).any()
    found = made.check(PreTrends())
    assert found.facts["terms"] == 3
    null, mine = made.attached.null[:, :3], made.attached.statistic[:3]
    inverse = np.linalg.inv(np.cov(null, rowvar=False))
    size = np.einsum("bi,ij,bj->b", null, inverse, null)
    count = (size >= mine @ inverse @ mine).sum()
    assert found.facts["p_value"] == pytest.approx((1 + count) / 500)
    y[list(members), 1] += 40
    moved = EventStudy().fit(design_of(y, starts, against=against), "m").infer(inference)
    assert moved.check(PreTrends()).facts["p_value"] < 0.05 < found.facts["p_value"]


# -- words ----------------------------------------------------------------------------------------


def said(made, inference) -> str:
    return "; ".join(made.infer(inference).attached.notes)


def test_notes_say_who_trades_with_whom():
    def notes(members, **options):
        n = max(u for m in members.values() for u in m) + 1
        return said(DiD().fit(design(members, noise(n, T, 1), **options), "m"), Permutation())

    assert "inside 3 blocks; the largest has 3 units" in notes(OWN)
    text = notes(SHARED)
    assert "inside one block of 5 units: sets that share a comparator are one" in text
    assert "exchangeable is an assumption" in text
    assert "assumption" not in notes(OWN)
    cut = {u: "a" if j < 3 else "b" for j, u in enumerate(codes(9))}
    assert "inside one block" not in notes(OWN, strata={u: u for u in codes(9)})
    assert "no two units may trade places" in notes(OWN, strata={u: u for u in codes(9)})
    assert "inside 4 blocks" not in notes(OWN, strata=cut)


def test_a_lone_comparator_of_all_is_ranked_by_the_estimate():
    y = noise(9, T, 1)
    made = DiD().fit(design(even({k: [8] for k in range(8)}), y), "m")
    sure = made.infer(Permutation("t")).attached
    assert any("whose sets share one comparator" in note for note in sure.notes)
    assert sure.statistic[0] == pytest.approx(made.values[0])
    beta = made.infer(Permutation("beta")).attached
    assert sure.p_value[0] == beta.p_value[0]


def test_jackknife_says_how_often_comparators_serve():
    made = DiD().fit(design(even({0: [3, 4], 1: [4, 5], 2: [4, 6]}), noise(7, T, 1)), "m")
    text = said(made, Jackknife())
    assert "1 comparators serve more than one pilot (at most 3)" in text
    assert "dropped from all its sets at once" in text
    assert "dropped from all" not in said(DiD().fit(design(OWN, noise(9, T, 1)), "m"), Jackknife())


def test_what_cannot_be_traded_is_refused_by_name():
    y = noise(9, T, 1)
    gaps = y.copy()
    gaps[4, 1] = np.nan
    clusters = {u: "abc"[j // 3] for j, u in enumerate(codes(9))}
    for made, *texts in (
        (DiD("complete").fit(design(OWN, y, aggregate="median"), "m"), "a median is not linear",
         "Jackknife()"),
        (DiD().fit(design(OWN, gaps), "m"), "gaps in 1 units", "Jackknife(), or cells='complete'"),
        (DiD().fit(design({**OWN, 2: {0: 0.5, 8: 0.5}}, y, pilots_too=True), "m"),
         "pilots are among the comparators", "sets without pilots"),
        (DiD().fit(design(OWN, y, clusters=clusters), "m"), "3 clusters of 9 units",
         "a design without clusters="),
    ):  # fmt: skip
        with pytest.raises(InferenceError) as caught:
            made.infer(Permutation())
        for text in texts:
            assert text in str(caught.value)


def test_both_stand_in_the_table():
    made = DiD().fit(design(own_sets(6, 3), noise(24, T, 1)), "m")
    table = inference_table(made).set_index("inference")
    assert table.loc["SignFlips(draws=9999, seed=0)", "recommended"]
    assert table.loc["Permutation(statistic='t', draws=9999, seed=0)", "refused"] == ""
    for name in (repr(Permutation("t")), repr(Permutation("beta")), repr(Jackknife())):
        assert table.loc[name, "refused"] == ""
        assert 0 < table.loc[name, "p_value"] <= 1


# -- size -----------------------------------------------------------------------------------------

DRAWS = 199


def rejections(members, sd: float, *, seeds: int, hub: float = 1.0, blocks: float = 0.0):
    """Shares of true nulls rejected at 5 % by t, the estimate, and the jackknife.

    One normal number a unit (its long difference), put straight into the refit; the same orders
    for all. ``sd`` is that of the pilots, ``hub`` that of the most used comparator.
    """
    n = max(u for m in members.values() for u in m) + 1
    made = DiD("complete").fit(design(members, noise(n, T, 1)), "m")
    refit, pilot = made.exchanged.refit, made.sample.pilot
    chosen = orders(made.exchanged, "t", draws=DRAWS, seed=1)
    every = np.vstack([np.arange(n), chosen.labels])
    scale = np.where(pilot, sd, 1.0)
    scale[np.argmax(made.sample.sets.sum(axis=0))] *= hub
    rng = np.random.default_rng(7)
    count = np.zeros(3)
    for _ in range(seeds):
        x = scale * rng.normal(size=n) + blocks * rng.normal(size=n)[made.exchanged.blocks]
        refit.x = np.zeros((2, n, 1, 1))
        refit.x[0, :, 0, 0] = x
        drawn = refit(every)
        for i, size in enumerate((drawn.b[:, 0] ** 2 / drawn.v0[:, 0], np.abs(drawn.b[:, 0]))):
            rank = (size[1:] >= size[0] * (1 - 1e-9)).sum()
            count[i] += (1 + rank) / (1 + DRAWS) <= 0.05
        count[2] += jackknife_p(x, made.sample.sets, pilot) <= 0.05
    return dict(zip(("t", "beta", "jackknife"), count / seeds, strict=True))


def jackknife_p(x: np.ndarray, sets: np.ndarray, pilot: np.ndarray) -> float:
    """`Jackknife`, without fitting again: each unit leaves all its sets at once."""
    from scipy import stats

    n, g = len(sets), len(x)
    d = x[pilot] - sets @ x
    moved = [(d.mean() - one) / (n - 1) for one in d]
    for u in np.flatnonzero(~pilot):
        kept = sets.copy()
        kept[:, u] = 0
        kept /= kept.sum(axis=1, keepdims=True)
        moved.append((x[pilot] - kept @ x).mean() - d.mean())
    error = ((g - 1) / g * (np.array(moved) ** 2).sum()) ** 0.5
    n0 = g - n
    df = (1 / n + 1 / n0) ** 2 / (1 / (n**2 * (n - 1)) + 1 / (n0**2 * (n0 - 1)))
    return float(2 * stats.t.sf(abs(d.mean()) / error, df))


def reused(n: int, pool: int, size: int, seed: int = 0) -> dict[int, dict[int, float]]:
    """Each pilot has `size` comparators at random out of a pool."""
    rng = np.random.default_rng(seed)
    chosen = [rng.choice(pool, size, replace=False) for _ in range(n)]
    lookup = {u: n + i for i, u in enumerate(sorted({int(u) for row in chosen for u in row}))}
    return even({k: sorted(lookup[int(u)] for u in row) for k, row in enumerate(chosen)})


HUB = even({k: [9, 10 + 2 * k, 11 + 2 * k] for k in range(9)})
SHARE = np.random.default_rng(0).dirichlet(np.ones(60)).tolist()
SAME = {k: dict(zip(range(9, 69), SHARE, strict=True)) for k in range(9)}
SIMULATED = {
    "own": own_sets(9, 3),
    "reused": reused(9, 12, 3),
    "hub": HUB,
    "neighbours": reused(9, 76, 8),
    "same": SAME,
}


@pytest.mark.parametrize("sd", [1.0, 2.0])
@pytest.mark.parametrize("name", ["own", "reused", "hub"])
def test_t_holds_its_size_with_own_and_with_shared_comparators(name, sd):
    found = rejections(SIMULATED[name], sd, seeds=1200)
    assert 0.03 <= found["t"] <= 0.085
    assert found["jackknife"] <= 0.065


def test_what_it_says_in_the_docstring_of_beta():
    """Pilots twice as noisy: the estimate itself rejects far too often, t does not."""
    found = rejections(SIMULATED["own"], 2.0, seeds=600, blocks=3.0)
    assert found["beta"] > 0.10
    assert found["t"] < 0.08
    noisy = rejections(SIMULATED["hub"], 1.0, seeds=600, hub=3.0)
    assert noisy["beta"] > 0.2
    assert noisy["t"] < 0.08


@pytest.mark.slow
@pytest.mark.parametrize("sd", [1.0, 2.0])
@pytest.mark.parametrize("name", SIMULATED)
def test_the_table_of_the_docstring(name, sd):
    found = rejections(SIMULATED[name], sd, seeds=2000)
    assert 0.035 <= found["t"] <= 0.07
    assert found["jackknife"] <= 0.06
    if sd > 1 and name in ("own", "neighbours", "same"):
        assert found["beta"] > 0.12
