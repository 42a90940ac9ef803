"""Several metrics and terms: brute force, theorems, statsmodels, and the family-wise error."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, noise, spread, treated
from scipy import stats

from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy
from didkit.inference import ClusterRobust, Jackknife, Permutation, adjusted_p_values
from didkit.panel import Panel

N, T = 24, 6
STARTS = spread(N, 7, 3)
ALL = ("holm", "benjamini-hochberg", "romano-wolf", "max-t")


def several(ys: list[np.ndarray], starts=STARTS, **options) -> Design:
    """One design of several metrics, m0, m1, …."""
    n, t = ys[0].shape
    ids = codes(n)
    names = [f"m{i}" for i in range(len(ys))]
    frame = pd.DataFrame(
        [(ids[j], FIRST + p, *(y[j, p] for y in ys)) for j in range(n) for p in range(t)],
        columns=["la", "year", *names],
    )
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=names)
    rollout = Rollout({ids[j]: FIRST + s for j, s in starts.items()})
    options.setdefault("against", Pool())
    return Design(panel, rollout, selection="unknown", **options)


def fits(ys, inference, estimator=None, starts=STARTS, **options):
    design = several(ys, starts, **options)
    made = [(estimator or DiD()).fit(design, f"m{i}") for i in range(len(ys))]
    return [one.infer(inference) for one in made]


def correlated(k: int, seed: int, *, n: int = N, share: float = 0.7) -> list[np.ndarray]:
    """Metrics that move together."""
    common = noise(n, T, 10 * seed + 9)
    return [share * common + noise(n, T, 10 * seed + i) for i in range(k)]


# -- against other programs, and by hand ----------------------------------------------------------


def test_holm_and_benjamini_hochberg_by_hand():
    """Of .01, .02, .04 (as the estimates' p): Holm 3p, 2p, p; BH p·3/rank; both monotone."""
    made = fits([noise(N, T, i) for i in range(3)], ClusterRobust())
    fixed = []
    for one, p in zip(made, (0.04, 0.01, 0.02), strict=True):
        sure = replace(one.attached, p_value=np.array([p]))
        fixed.append(one.with_uncertainty(sure))
    table = adjusted_p_values(fixed, methods=("holm", "benjamini-hochberg"))
    np.testing.assert_allclose(table["holm"], [0.04, 0.03, 0.04])
    np.testing.assert_allclose(table["benjamini-hochberg"], [0.04, 0.03, 0.03])
    assert list(table.columns) == ["metric", "term", "estimate", "p_value", *ALL[:2]]
    assert list(table["metric"]) == ["m0", "m1", "m2"]


def t_table(ys: list[np.ndarray], starts: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """|t| of every metric under every assignment, and under the actual one, in plain NumPy."""
    n, start = len(ys[0]), next(iter(starts.values()))
    w = np.stack([y[:, start:].mean(axis=1) - y[:, :start].mean(axis=1) for y in ys], axis=1)

    def t(chosen) -> np.ndarray:
        pilot = np.isin(np.arange(n), list(chosen))
        a, b = w[pilot], w[~pilot]
        variance = a.var(axis=0) / len(a) + b.var(axis=0) / len(b)
        return np.abs(a.mean(axis=0) - b.mean(axis=0)) / np.sqrt(variance)

    every = [t(c) for c in itertools.combinations(range(n), len(starts))]
    return np.array(every), t(list(starts))


def test_romano_wolf_and_max_t_are_brute_force():
    """All 84 choices of 3 of 9, four metrics: ranks in the largest of those not yet rejected."""
    starts = {1: 2, 4: 2, 7: 2}
    for seed in range(4):
        ys = [
            y + 6 * treated((9, T), starts) * (i < 2)
            for i, y in enumerate(correlated(4, seed, n=9))
        ]
        table = adjusted_p_values(fits(ys, Permutation(), starts=starts))
        every, mine = t_table(ys, starts)
        assert len(every) == 84
        left, least = list(range(4)), 0.0
        stepped = np.empty(4)
        while left:
            j = max(left, key=lambda i: mine[i])
            p = np.mean(every[:, left].max(axis=1) >= mine[j] * (1 - 1e-9))
            stepped[j] = least = max(least, p)
            left.remove(j)
        np.testing.assert_allclose(table["romano-wolf"], stepped, atol=1e-12)
        single = [np.mean(every.max(axis=1) >= m * (1 - 1e-9)) for m in mine]
        np.testing.assert_allclose(table["max-t"], single, atol=1e-12)
        alone = [np.mean(every[:, i] >= m * (1 - 1e-9)) for i, m in enumerate(mine)]
        np.testing.assert_allclose(table["p_value"], alone, atol=1e-12)


INFERENCES = [
    Permutation(draws=399, seed=2),
    Permutation("beta", draws=399, seed=2),
    ClusterRobust("CR2"),
    ClusterRobust("CR1", by={unit: str(j // 2) for j, unit in enumerate(codes(N))}),
]


@pytest.mark.parametrize("inference", INFERENCES, ids=lambda one: repr(one)[:24])
def test_one_hypothesis_is_its_own(inference):
    (made,) = fits([noise(N, T, 3) + 2 * treated((N, T), STARTS)], inference)
    row = adjusted_p_values([made]).iloc[0]
    for method in ALL:
        assert row[method] == pytest.approx(made["att"]["p_value"], abs=1e-12)
    if isinstance(inference, Permutation):
        # half a step of p: the same draws are rejected
        assert row["band_low"] <= made["att"]["conf_low"] + 1e-6
        assert row["band_low"] == pytest.approx(made["att"]["conf_low"], abs=0.2)
    else:
        assert row["band_low"] == pytest.approx(made["att"]["conf_low"], rel=0.02)


@pytest.mark.parametrize("inference", INFERENCES, ids=lambda one: repr(one)[:24])
def test_order_of_size_holds_always(inference):
    """Unadjusted ≤ step-down ≤ single step; bands hold the intervals; zero is out when p says."""
    for seed in range(3):
        ys = [y + 3 * i * treated((N, T), STARTS) for i, y in enumerate(correlated(4, seed))]
        made = fits(ys, inference, EventStudy() if seed == 2 else None)
        table = adjusted_p_values(made, level=0.9)
        assert (table["p_value"] <= table["romano-wolf"] + 1e-12).all()
        assert (table["romano-wolf"] <= table["max-t"] + 1e-12).all()
        assert (table["p_value"] <= table["holm"]).all()
        rows = pd.concat([one.infer(inference, level=0.9).tidy() for one in made])
        rows = rows[rows["phase"] != "reference"].reset_index(drop=True)
        assert (table["band_low"] <= rows["conf_low"] + 1e-9).all()
        assert (table["band_high"] >= rows["conf_high"] - 1e-9).all()
        outside = (table["band_low"] > 0) | (table["band_high"] < 0)
        np.testing.assert_array_equal(outside, table["max-t"] <= 0.1)
        # in order of p, step-down p-values never fall
        ordered = table.sort_values(["romano-wolf", "p_value"])["romano-wolf"]
        assert (np.diff(ordered) >= 0).all()


@pytest.mark.parametrize("inference", [Permutation(draws=1999, seed=3), ClusterRobust("CR1")])
def test_independent_metrics_are_near_sidak(inference):
    k = 4
    made = fits([noise(60, T, 90 + i) for i in range(k)], inference, starts=spread(60, 20, 3))
    table = adjusted_p_values(made)
    sidak = 1 - (1 - table["p_value"]) ** k
    # sampling correlation of four independent metrics in 60 units, and Monte Carlo error
    assert (abs(table["max-t"] - sidak) < 0.06).all()


def test_the_same_metric_many_times_costs_nothing():
    y = noise(N, T, 3) + 3 * treated((N, T), STARTS)
    for inference in (Permutation(draws=399, seed=1), ClusterRobust("CR2")):
        table = adjusted_p_values(fits([y, 2 * y, 5 - y], inference))
        for method in ("romano-wolf", "max-t"):
            np.testing.assert_allclose(table[method], table["p_value"], atol=0.004)
        assert (table["holm"] > 2.9 * table["p_value"].clip(upper=1 / 3)).all()


def test_joint_normals_are_those_of_the_clusters_scores():
    """Two metrics: P(max |z| ≥ u) by numerical integration with the scores' correlation."""
    made = fits(correlated(2, 5, share=0.9), ClusterRobust("CR0"))
    table = adjusted_p_values(made)
    scores = np.stack([one.influence[:, 0] for one in made])
    rho = float(np.corrcoef(scores)[0, 1])
    assert rho > 0.3
    law = stats.multivariate_normal(cov=[[1, rho], [rho, 1]])
    for p, single in zip(table["p_value"], table["max-t"], strict=True):
        u = stats.norm.isf(p / 2)
        assert single == pytest.approx(1 - law.cdf([u, u], lower_limit=[-u, -u]), abs=0.006)


def test_scale_of_a_metric_and_order_of_estimates_change_nothing():
    ys = correlated(3, 4)
    for inference in (Permutation("beta", draws=299), Permutation(draws=299), ClusterRobust()):
        one = adjusted_p_values(fits(ys, inference)).set_index("metric")
        scaled = fits([1e4 * ys[0], ys[1], -1e-3 * ys[2]], inference)
        other = adjusted_p_values(scaled[::-1]).set_index("metric").loc[one.index]
        for method in ALL:
            np.testing.assert_allclose(other[method], one[method], atol=0.004)


def test_terms_choose_the_family():
    made = fits(correlated(2, 1), Permutation(draws=199), EventStudy())
    after = ("event time 0", "event time +1")
    table = adjusted_p_values(made, terms=after, methods=("romano-wolf",))
    assert list(table["term"]) == [*after, *after]
    every = adjusted_p_values(made, methods=("romano-wolf",))
    wide = every[every["term"].isin(after)].reset_index(drop=True)
    assert (table["romano-wolf"] <= wide["romano-wolf"] + 1e-12).all()
    assert list(table.columns) == ["metric", "term", "estimate", "p_value", "romano-wolf"]


def test_a_term_without_p_is_outside_the_family():
    made = fits(correlated(2, 1), ClusterRobust(), EventStudy(), starts={1: 2, 4: 3, 7: 3, 10: 3})
    table = adjusted_p_values(made)
    lost = table["p_value"].isna()
    assert lost.sum() == 2
    assert table.loc[lost, [*ALL, "band_low"]].isna().all(axis=None)
    assert table.loc[~lost, [*ALL, "band_low"]].notna().all(axis=None)
    without = adjusted_p_values(made, terms=list(made[0].terms["term"][~lost[: made[0].n_terms]]))
    np.testing.assert_allclose(table.loc[~lost, "holm"], without["holm"])


def test_matched_sets_share_their_orders():
    ids = codes(N)
    free = [j for j in range(N) if j not in STARTS]
    against = MatchedSets(
        {ids[j]: {ids[free[2 * i]]: 0.5, ids[free[2 * i + 1]]: 0.5} for i, j in enumerate(STARTS)}
    )
    made = fits(correlated(3, 2), Permutation(draws=299), DiD("complete"), against=against)
    table = adjusted_p_values(made)
    null = np.abs(np.stack([one.attached.null[:, 0] for one in made], axis=1))
    mine = np.array([abs(one.attached.statistic[0]) for one in made])
    p = [(1 + (null.max(axis=1) >= m * (1 - 1e-9)).sum()) / 300 for m in mine]
    np.testing.assert_allclose(table["max-t"], p, atol=1e-12)


# -- family-wise error -----------------------------------------------------------------------------


def any_rejected(seed: int, inference, method: str) -> bool:
    """Three correlated true nulls and one effect: whether a true null is rejected at 10 %."""
    ys = correlated(4, seed, n=16)
    starts = spread(16, 6, 3)
    ys[0] = ys[0] + 25 * treated((16, T), starts)
    table = adjusted_p_values(fits(ys, inference, DiD("complete"), starts), methods=(method,))
    return bool((table[method].iloc[1:] <= 0.1).any())


@pytest.mark.parametrize(
    "n", [pytest.param(25, id="reduced"), pytest.param(300, id="full", marks=pytest.mark.slow)]
)
def test_a_true_null_is_rejected_anywhere_in_one_of_ten(n):
    """Assignments come from other seeds than the data; 2,400 data sets gave 10.2 %."""
    count = sum(
        any_rejected(s, Permutation(draws=99, seed=100_000 + s), "romano-wolf") for s in range(n)
    )
    error = np.sqrt(0.1 * 0.9 / n)
    assert count / n < 0.1 + 3 * error
    assert count / n > 0.1 - 3.5 * error if n > 100 else count > 0


def test_listed_assignments_are_rejected_somewhere_in_no_more_than_alpha():
    """Each of 56 assignments in turn the actual one, no effects: at most α of them reject any."""
    ys = correlated(3, 7, n=8)
    rejected = []
    for chosen in itertools.combinations(range(8), 3):
        made = fits(ys, Permutation(), DiD("complete"), dict.fromkeys(chosen, 3))
        rejected.append(adjusted_p_values(made, methods=("romano-wolf",))["romano-wolf"].min())
    for alpha in (0.05, 0.1, 0.25):
        assert np.mean(np.array(rejected) <= alpha + 1e-12) <= alpha
    # exact: the smallest adjusted p of each is its rank in the largest
    np.testing.assert_allclose(np.sort(rejected), np.arange(1, 57) / 56, atol=1e-12)


# -- refusals --------------------------------------------------------------------------------------


def test_metrics_with_other_units_are_refused_with_permutation_and_served_by_clusters():
    ys = correlated(2, 1)
    ys[1][0] = np.nan
    made = fits(ys, Permutation(draws=99))
    with pytest.raises(InferenceError, match=f"differ in 1 \\({codes(N)[0]}\\)") as caught:
        adjusted_p_values(made)
    assert "Design(exclude=" in str(caught.value)
    assert adjusted_p_values(made, methods=("holm",))["holm"].notna().all()
    common = fits(ys, Permutation(draws=99), exclude={codes(N)[0]: "not in m1"})
    assert adjusted_p_values(common)["max-t"].notna().all()
    robust = adjusted_p_values(fits(ys, ClusterRobust()))
    assert (robust["max-t"] >= robust["p_value"]).all()


def test_other_cells_of_pilots_are_refused_by_name():
    """A unit without cells before the start can be no pilot of one metric, but of the other."""
    ys = correlated(2, 1)
    ys[1][0, :3] = np.nan
    made = fits(ys, Permutation(draws=99))
    with pytest.raises(InferenceError, match="who has the cells of a pilot"):
        adjusted_p_values(made)


def test_inferences_that_differ_or_have_no_joint_draws_are_refused():
    ys = correlated(2, 1)
    design = several(ys)
    one, other = (DiD().fit(design, m) for m in ("m0", "m1"))
    for first, second in (
        (Permutation(draws=99, seed=1), Permutation(draws=99, seed=2)),
        (Permutation(draws=99), ClusterRobust()),
        (Jackknife(), Jackknife()),
        (ClusterRobust("CR1", by=("unit", "period")),) * 2,
    ):
        made = [one.infer(first), other.infer(second)]
        with pytest.raises(InferenceError, match="one inference for all, with joint draws"):
            adjusted_p_values(made)
        assert len(adjusted_p_values(made, methods=("holm", "benjamini-hochberg"))) == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"methods": ("bonferroni",)}, "some of holm, benjamini-hochberg"),
        ({"methods": "holm"}, "some of holm, benjamini-hochberg"),
        ({"methods": ()}, "some of holm, benjamini-hochberg"),
        ({"terms": ["effect"]}, "choose from: att"),
        ({"terms": []}, "choose from: att"),
        ({"level": 95}, "a level between 0 and 1"),
    ],
)
def test_what_is_unknown_is_refused(options, text):
    made = DiD().fit(design_of(noise(N, T, 1), STARTS), "m").infer(ClusterRobust())
    with pytest.raises(InferenceError) as caught:
        adjusted_p_values([made], **options)
    assert text in str(caught.value)


def test_no_estimates_and_no_inference_are_refused():
    made = DiD().fit(design_of(noise(N, T, 1), STARTS), "m")
    for given in ([], [None], [made.design]):
        with pytest.raises(InferenceError, match="at least one Estimate"):
            adjusted_p_values(given)
    with pytest.raises(InferenceError, match="an estimate with an inference"):
        adjusted_p_values([made.infer(None)])


def test_one_estimate_is_a_family_of_its_terms():
    made = EventStudy().fit(design_of(noise(N, T, 1), STARTS), "m").infer(ClusterRobust())
    pd.testing.assert_frame_equal(adjusted_p_values(made), adjusted_p_values([made]))


@pytest.mark.parametrize("given", [{"m": 1}, "m", None, 3, iter(())])
def test_what_is_no_list_is_refused_by_name(given):
    with pytest.raises(InferenceError, match="at least one Estimate") as caught:
        adjusted_p_values(given)
    assert type(given).__name__ in caught.value.found


def test_an_estimate_without_a_choice_has_the_recommended_inference():
    made = DiD().fit(design_of(noise(N, T, 1), STARTS), "m")
    assert made.infer().attached.inference == Permutation("t")
    pd.testing.assert_frame_equal(adjusted_p_values([made]), adjusted_p_values([made.infer()]))


def test_the_refusal_of_other_inferences_says_what_is_accepted():
    made = DiD().fit(design_of(noise(N, T, 1), STARTS), "m").infer(Jackknife())
    with pytest.raises(InferenceError) as caught:
        adjusted_p_values([made])
    for said in ("Permutation()", "draws and seed", "ClusterRobust('CR2')", "holm"):
        assert said in caught.value.todo
    accepted = [made.infer(Permutation(draws=99)), made.infer(ClusterRobust("CR2"))]
    assert all(len(adjusted_p_values([one])) == 1 for one in accepted)
