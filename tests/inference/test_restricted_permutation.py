"""Plausible pilots: a list of units, a caliper; bounded memory; the least p of small designs."""

from __future__ import annotations

import itertools
import tracemalloc
from math import comb

import numpy as np
import pytest
from helpers import FIRST, codes, design_of, frame_of, noise, spread, treated

from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy
from didkit.inference import Permutation
from didkit.inference.assignments import CHUNK, assignments, orders
from didkit.panel import Panel

N, T = 12, 4
PILOTS = {1: 2, 5: 2, 8: 2}
IDS = codes(N)


def outcome(seed: int = 1) -> np.ndarray:
    return noise(N, T, seed) + 4 * treated((N, T), PILOTS)


def t_of(w: np.ndarray, chosen) -> float:
    pilot = np.isin(np.arange(len(w)), list(chosen))
    a, b = w[pilot], w[~pilot]
    return abs(a.mean() - b.mean()) / np.sqrt(a.var() / len(a) + b.var() / len(b))


def share(w: np.ndarray, plausible) -> float:
    mine = t_of(w, PILOTS) * (1 - 1e-9)
    return float(np.mean([t_of(w, c) >= mine for c in plausible]))


# -- among -----------------------------------------------------------------------------------------


def test_among_is_brute_force_over_those_units():
    """Only 0, 1, 3, 5, 8, 9 could have been pilots; all others stay comparators."""
    y = outcome()
    w = y[:, 2:].mean(axis=1) - y[:, :2].mean(axis=1)
    made = DiD().fit(design_of(y, PILOTS), "m")
    named = [IDS[j] for j in (0, 3, 9, 1)]  # one of the pilots is named, the others always are
    sure = made.infer(Permutation(among=named)).attached
    every = list(itertools.combinations((0, 1, 3, 5, 8, 9), 3))
    assert sure.facts["draws"] == len(every) == comb(6, 3)
    assert sure.p_value[0] == pytest.approx(share(w, every), abs=1e-12)
    # six units for three places, but the other six are never pilots: no mirror images
    assert sure.facts["least_p"] == pytest.approx(1 / 20)
    assert "only 6 of 12 units could have been pilots" in sure.notes
    assert "all 20 plausible assignments" in sure.method
    turned = made.infer(Permutation(among=named[::-1])).attached
    assert turned.p_value[0] == sure.p_value[0]


def test_drawn_pilots_are_among_those_named():
    y = noise(30, T, 2)
    starts = spread(30, 8, 2)
    made = DiD().fit(design_of(y, starts), "m")
    named = {*codes(30)[:20:2]}
    able = np.isin(made.sample.units, list(named)) | made.sample.pilot
    found = assignments(made.sample, draws=500, seed=1, assignable=able)
    assert not (found.labels[:, ~able] >= 0).any()
    sure = made.infer(Permutation(among=named, draws=500, seed=1)).attached
    drawn = made.reassigned(found.labels)
    null = drawn.b[:, 0] / np.sqrt(drawn.v0[:, 0] * 30 / 29)
    np.testing.assert_allclose(sure.null[:, 0], null, rtol=1e-12)


@pytest.mark.parametrize(
    ("among", "text"),
    [
        (["nobody", IDS[2]], "found: none called 1 (nobody)"),
        (IDS[2], "a sequence of unit ids"),
        (5, "a sequence of unit ids"),
        ([IDS[1]], "found: none of the 1 named"),
    ],
)
def test_among_that_cannot_be_is_refused(among, text):
    made = DiD().fit(design_of(outcome(), PILOTS), "m")
    with pytest.raises(InferenceError) as caught:
        made.infer(Permutation(among=among))
    assert text in str(caught.value)


def test_among_that_leaves_one_assignment_is_refused():
    strata = {unit: "a" if j in PILOTS else "b" for j, unit in enumerate(IDS)}
    made = DiD().fit(design_of(outcome(), PILOTS, strata=strata), "m")
    with pytest.raises(InferenceError, match="only the pilots could have been pilots"):
        made.infer(Permutation(among=[IDS[0], IDS[2]]))


# -- caliper ---------------------------------------------------------------------------------------


def near(y: np.ndarray, width: float, centre: float | None = None) -> list[tuple[int, ...]]:
    level = y[:, :2].mean(axis=1)
    middle = level[list(PILOTS)].mean() if centre is None else centre
    return [
        c
        for c in itertools.combinations(range(N), 3)
        if abs(level[list(c)].mean() - middle) <= width * level.std(ddof=1)
    ]


@pytest.mark.parametrize("width", [0.3, 0.8, 50.0])
def test_caliper_is_brute_force(width):
    y = outcome()
    w = y[:, 2:].mean(axis=1) - y[:, :2].mean(axis=1)
    made = DiD().fit(design_of(y, PILOTS), "m").infer(Permutation(caliper={"m": width}))
    plausible = near(y, width)
    assert len(plausible) > 19
    assert (len(plausible) < comb(N, 3)) == (width < 50)
    assert made.attached.facts["draws"] == len(plausible)
    assert made.attached.facts["plausible"] == pytest.approx(len(plausible) / comb(N, 3))
    assert made.attached.facts["least_p"] == pytest.approx(1 / len(plausible))
    assert made.attached.p_value[0] == pytest.approx(share(w, plausible), abs=1e-12)
    assert any("the caliper is around the actual pilots" in n for n in made.attached.notes)


def test_caliper_around_a_value_fixed_beforehand():
    y = outcome()
    w = y[:, 2:].mean(axis=1) - y[:, :2].mean(axis=1)
    level = y[:, :2].mean(axis=1)
    centre = level[list(PILOTS)].mean() + 0.2 * level.std(ddof=1)
    inference = Permutation(caliper={"m": 0.5}, around={"m": centre})
    sure = DiD().fit(design_of(y, PILOTS), "m").infer(inference).attached
    assert sure.p_value[0] == pytest.approx(share(w, near(y, 0.5, centre)), abs=1e-12)
    assert not any("around the actual pilots" in note for note in sure.notes)
    far = Permutation(caliper={"m": 0.1}, around={"m": centre})
    with pytest.raises(InferenceError, match=r"actual pilots within 0\.1 SD"):
        DiD().fit(design_of(y, PILOTS), "m").infer(far)


def test_fixed_beforehand_the_test_is_exact():
    """Each plausible assignment in turn the actual one: at most α of them are rejected."""
    y = noise(9, T, 3)
    level = y[:, :2].mean(axis=1)
    sd, centre = level.std(ddof=1), level.mean()
    chosen = [
        c
        for c in itertools.combinations(range(9), 3)
        if abs(level[list(c)].mean() - centre) <= 0.5 * sd
    ]
    inference = Permutation(caliper={"m": 0.5}, around={"m": float(centre)})
    p = [
        DiD().fit(design_of(y, dict.fromkeys(c, 2)), "m").infer(inference).attached.p_value[0]
        for c in chosen
    ]
    assert len(p) < comb(9, 3)
    for alpha in (0.05, 0.1, 0.2, 0.5):
        assert np.mean(np.array(p) <= alpha + 1e-12) <= alpha + 1e-12
    # without ties every rank occurs once
    np.testing.assert_allclose(np.sort(p), np.arange(1, len(p) + 1) / len(p), atol=1e-12)


def test_around_the_actual_pilots_it_errs_towards_not_rejecting():
    """The size in the docstring, with fewer outcomes: 4 of 12, .25 SD, correlation 0 and .9."""
    n, n1 = 12, 4
    subsets = np.array(list(itertools.combinations(range(n), n1)))
    pilot = np.zeros((len(subsets), n))
    pilot[np.arange(len(subsets))[:, None], subsets] = 1
    rng = np.random.default_rng(2)
    found = {}
    for rho in (0.0, 0.9):
        rejected = total = 0
        for _ in range(60):
            x = rng.standard_normal(n)
            w = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(n)
            a, b = pilot @ w / n1, (1 - pilot) @ w / (n - n1)
            spread_a = pilot @ w**2 / n1 - a**2
            spread_b = (1 - pilot) @ w**2 / (n - n1) - b**2
            t = np.abs(a - b) / np.sqrt(spread_a / n1 + spread_b / (n - n1))
            mean = pilot @ x / n1
            close = np.abs(mean[:, None] - mean) <= 0.25 * x.std(ddof=1)
            p = ((t >= t[:, None] * (1 - 1e-9)) & close).sum(axis=1) / close.sum(axis=1)
            served = close.sum(axis=1) >= 19
            rejected += int((p[served] <= 0.05).sum())
            total += int(served.sum())
        found[rho] = rejected / total
    assert 0.035 < found[0.0] < 0.052
    assert 0.015 < found[0.9] < 0.038


def test_caliper_by_drawing_keeps_only_plausible_ones_and_says_how_many():
    n = 40
    y = noise(n, T, 5)
    starts = spread(n, 8, 2)
    made = DiD().fit(design_of(y, starts), "m")
    level = y[:, :2].mean(axis=1)
    middle, reach = level[list(starts)].mean(), 0.2 * level.std(ddof=1)

    def plausible(labels: np.ndarray) -> np.ndarray:
        return abs((labels >= 0) @ level / 8 - middle) <= reach

    found = assignments(made.sample, draws=300, seed=4, accept=plausible)
    assert plausible(found.labels).all()
    assert len(found) == 300
    # the first 300 plausible ones of the stream, and as many tried as it took
    free = assignments(made.sample, draws=300 * 100, seed=4).labels[: found.tried]
    np.testing.assert_array_equal(free[plausible(free)], found.labels)
    assert plausible(free[-1:])[0]
    sure = made.infer(Permutation(caliper={"m": 0.2}, draws=300, seed=4)).attached
    assert sure.facts["plausible"] == pytest.approx(300 / found.tried)
    drawn = made.reassigned(found.labels)
    np.testing.assert_allclose(
        sure.null[:, 0], drawn.b[:, 0] / np.sqrt(drawn.v0[:, 0] * n / (n - 1)), rtol=1e-12
    )
    assert sure.facts["least_p"] == pytest.approx(1 / 300)  # 300 different ones were seen
    assert any(f"of {found.tried:,} assignments tried" in note for note in sure.notes)


def test_a_caliper_of_a_column_and_two_at_once():
    frame = frame_of(outcome())
    size = np.arange(N) ** 2.0
    frame["size"] = np.repeat(size, T)
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"], attributes=["size"])
    rollout = Rollout({IDS[j]: FIRST + t for j, t in PILOTS.items()})
    design = Design(panel, rollout, against=Pool(), selection="random")
    inference = Permutation(caliper={"m": 0.8, "size": 0.4})
    sure = DiD().fit(design, "m").infer(inference).attached
    mine = size[list(PILOTS)].mean()
    both = [
        c
        for c in near(outcome(), 0.8)
        if abs(size[list(c)].mean() - mine) <= 0.4 * size.std(ddof=1)
    ]
    assert sure.facts["draws"] == len(both) < len(near(outcome(), 0.8))


def test_staggered_starts_move_with_the_pilots_under_a_caliper():
    starts = {1: 2, 5: 3, 8: 2}
    made = DiD().fit(design_of(outcome(), starts), "m")
    sure = made.infer(Permutation(caliper={"m": 0.8}, draws=10**4)).attached
    level = outcome()[:, :2].mean(axis=1)
    middle, reach = level[list(starts)].mean(), 0.8 * level.std(ddof=1)
    every = [
        (pair, late)
        for three in itertools.combinations(range(N), 3)
        if abs(level[list(three)].mean() - middle) <= reach
        for late in three
        for pair in [tuple(j for j in three if j != late)]
    ]
    assert sure.facts["draws"] == len(every)
    assert sure.facts["exact"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"caliper": {"m": 0}}, "positive widths"),
        ({"caliper": {"m": "wide"}}, "positive widths"),
        ({"caliper": 0.5}, "positive widths"),
        ({"caliper": {"m": 1}, "around": {"m": np.nan}}, "values, in its unit"),
        ({"around": {"m": 3.0}}, "around= for names that caliper= has"),
    ],
)
def test_calipers_that_cannot_be_are_refused_at_once(options, text):
    with pytest.raises(InferenceError) as caught:
        Permutation(**options)
    assert text in str(caught.value)


def test_calipers_that_leave_too_few_or_have_no_values_are_refused():
    made = DiD().fit(design_of(outcome(), PILOTS), "m")
    with pytest.raises(InferenceError, match="at least 19 plausible assignments") as caught:
        made.infer(Permutation(caliper={"m": 0.002}))
    assert "of 220 listed" in str(caught.value)
    wide = DiD().fit(design_of(noise(40, T, 5), spread(40, 8, 2)), "m")
    with pytest.raises(InferenceError, match="of 1,900 tried"):
        wide.infer(Permutation(caliper={"m": 1e-6}, draws=19))
    with pytest.raises(InferenceError, match="choose from: m"):
        made.infer(Permutation(caliper={"income": 1}))
    events = EventStudy().fit(design_of(outcome(), PILOTS), "m")
    flat = outcome()
    flat[:, :2] = 7.0
    with pytest.raises(InferenceError, match="units that differ in 'm'"):
        DiD().fit(design_of(flat, PILOTS), "m").infer(Permutation(caliper={"m": 1}))
    assert events.infer(Permutation(caliper={"m": 1.0})).attached.band_low is not None


def test_matched_sets_have_no_plausible_pilots():
    against = MatchedSets({IDS[j]: {IDS[0]: 0.5, IDS[2]: 0.5} for j in PILOTS})
    made = DiD("complete").fit(design_of(outcome(), PILOTS, against=against), "m")
    for options in ({"among": [IDS[0]]}, {"caliper": {"m": 1.0}}):
        with pytest.raises(InferenceError, match="units trade places and the places stay"):
            made.infer(Permutation(**options))


@pytest.mark.parametrize("statistic", ["t", "beta"])
def test_rejected_means_outside_under_a_caliper(statistic):
    """p(θ0) ≤ α exactly when θ0 is outside: the caliper is on what was before, so it stays."""
    y = outcome()
    inference = Permutation(statistic, caliper={"m": 0.8}, among=IDS[:11])
    made = DiD().fit(design_of(y, PILOTS), "m").infer(inference, level=0.8)
    low, high = made["att"]["conf_low"], made["att"]["conf_high"]
    for part in (-2.0, -0.01, 0.01, 0.5, 0.99, 1.01, 3.0):
        theta = low + part * (high - low)
        shifted = design_of(y - theta * treated(y.shape, PILOTS), PILOTS)
        p = DiD().fit(shifted, "m").infer(inference).attached.p_value[0]
        assert (p <= 0.2 + 1e-12) == (not 0 < part < 1)


def test_repr_equality_and_hash():
    plain = Permutation(seed=3)
    assert repr(plain) == "Permutation(statistic='t', draws=9999, seed=3)"
    made = Permutation(among=["b", "a"], caliper={"m": 0.5})
    assert repr(made).endswith("seed=0, among=('a', 'b'), caliper={'m': 0.5})")
    assert made == Permutation(among=("a", "b", "a"), caliper={"m": 0.5})
    assert len({made, Permutation(among=["a", "b"], caliper={"m": 0.5})}) == 1


# -- memory ----------------------------------------------------------------------------------------


def test_draws_do_not_depend_on_how_they_are_cut(monkeypatch):
    strata = {unit: "ab"[j % 2] for j, unit in enumerate(IDS)}
    sample = DiD().fit(design_of(outcome(), PILOTS, strata=strata), "m").sample
    whole = assignments(sample, draws=80, seed=6).labels
    monkeypatch.setattr("didkit.inference.assignments.CHUNK", 7 * N)
    cut = assignments(sample, draws=80, seed=6)
    np.testing.assert_array_equal(cut.labels, whole)
    assert [len(part) for part in cut.chunks()] == [7] * 11 + [3]
    np.testing.assert_array_equal(np.concatenate(list(cut.chunks())), whole)


def test_strata_are_drawn_independently():
    """Two strata alike in size: the same places in both no more often than chance, 1 in 10."""
    labels = {unit: "ab"[j // 10] for j, unit in enumerate(codes(20))}
    design = design_of(noise(20, T, 1), {3: 2, 15: 2}, strata=labels)
    sample = DiD().fit(design, "m").sample
    found = assignments(sample, draws=99, seed=3).labels >= 0
    assert found[:, :10].sum() == found[:, 10:].sum() == 99
    same = (found[:, :10] == found[:, 10:]).all(axis=1).sum()
    assert 1 <= same <= 25


def test_orders_do_not_depend_on_how_they_are_cut(monkeypatch):
    against = MatchedSets({IDS[j]: {IDS[0]: 0.5, IDS[2]: 0.5} for j in PILOTS})
    made = DiD("complete").fit(design_of(outcome(), PILOTS, against=against), "m")
    for draws in (19, 10**5):
        whole = orders(made.exchanged, "t", draws=draws, seed=6)
        with monkeypatch.context() as patch:
            patch.setattr("didkit.inference.assignments.CHUNK", 20)
            cut = orders(made.exchanged, "t", draws=draws, seed=6)
        np.testing.assert_array_equal(cut.labels, whole.labels)


def test_many_draws_in_bounded_memory():
    """Two bytes a unit and draw, and chunks; not eight bytes, five times over."""
    n, draws = 150, 39_999
    made = DiD().fit(design_of(noise(n, 6, 1), spread(n, 9, 3)), "m").infer(None)
    Permutation(draws=19).attach(made)
    tracemalloc.start()
    sure = Permutation(draws=draws, seed=1).attach(made).attached
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sure.facts["draws"] == draws
    assert peak < 2 * n * draws * 2 + 8 * CHUNK * 8
    assert peak < 8 * n * draws * 2


def test_least_p_of_a_list_that_is_closed_under_mirror_images():
    """A caliper around the middle keeps mirror images: three against three."""
    y = noise(8, T, 2)
    y[:, :2] = np.arange(8.0)[:, None]
    centre = {"m": 3.5}
    starts = dict.fromkeys((0, 3, 4, 7), 2)
    inference = Permutation("beta", caliper={"m": 0.5}, around=centre)
    sure = DiD().fit(design_of(y + 1e4 * treated(y.shape, starts), starts), "m").infer(inference)
    level = np.arange(8.0)
    kept = [
        c
        for c in itertools.combinations(range(8), 4)
        if abs(np.mean(c) - 3.5) <= 0.5 * level.std(ddof=1)
    ]
    assert sure.attached.facts["least_p"] == pytest.approx(2 / len(kept))
    assert sure.attached.p_value[0] == pytest.approx(2 / len(kept))
