"""Cluster-robust inference against closed forms, SciPy's Welch test and refits one by one."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import (
    FIRST,
    codes,
    design_of,
    frame_of,
    noise,
    panel_of,
    spread,
    treated,
    with_gaps,
)
from scipy import stats

from didkit.design import Design, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import FGLS, DiD, EventStudy, Gap
from didkit.inference import ClusterRobust, FermanPinto, Jackknife, LauLi, Permutation
from didkit.inference.arms import closed_form_df
from didkit.panel import Panel

N, T = 14, 6
ONE = spread(N, 4, 3)
STAGGERED = {1: 2, 4: 3, 7: 2, 10: 4, 12: 3, 13: 4}
KINDS = ["CR0", "CR1", "CR2", "CR3", "CR3J"]


def outcome(starts: dict[int, int] = ONE, seed: int = 4) -> np.ndarray:
    return noise(N, T, seed) - 3 * treated((N, T), starts)


def arms(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Long differences of pilots and of comparators."""
    w = y[:, 3:].mean(axis=1) - y[:, :3].mean(axis=1)
    pilot = np.isin(np.arange(N), list(ONE))
    return w[pilot], w[~pilot]


@pytest.mark.parametrize("estimator", [DiD(), DiD("complete")], ids=str)
def test_cr2_is_welch(estimator):
    """The standard error is Welch's; df='welch' makes it SciPy's test; p and interval too."""
    y = outcome()
    made = estimator.fit(design_of(y, ONE), "m")
    sure = made.infer(ClusterRobust("CR2", df="welch"), level=0.9).uncertainty
    scipy = stats.ttest_ind(*arms(y), equal_var=False)
    assert sure.statistic[0] == pytest.approx(scipy.statistic, rel=1e-9)
    assert sure.p_value[0] == pytest.approx(scipy.pvalue, rel=1e-8)
    assert sure.df[0] == pytest.approx(scipy.df, rel=1e-8)
    low, high = scipy.confidence_interval(0.9)
    assert sure.conf_low[0] == pytest.approx(low, rel=1e-8)
    assert sure.conf_high[0] == pytest.approx(high, rel=1e-8)


def test_bell_mccaffrey_is_the_closed_form():
    made = DiD().fit(design_of(outcome(), ONE), "m").infer(ClusterRobust("CR2"))
    n1, n0 = 4, 10
    closed = (1 / n1 + 1 / n0) ** 2 / (1 / (n1**2 * (n1 - 1)) + 1 / (n0**2 * (n0 - 1)))
    assert made.uncertainty.df[0] == pytest.approx(closed, rel=1e-8)
    assert closed_form_df(np.array([4.0]), np.array([10.0]))[0] == pytest.approx(closed, rel=1e-12)
    assert closed_form_df(np.array([4.0]), np.array([0.0]))[0] == 3


def test_the_kinds_in_closed_form_on_long_differences():
    """CR0, CR1, CR2, CR3 of a difference of means: sums of squares over n², n(n−1), (n−1)²."""
    y = outcome()
    made = DiD("complete").fit(design_of(y, ONE), "m")
    squares = [(((arm - arm.mean()) ** 2).sum(), len(arm)) for arm in arms(y)]
    closed = {
        "CR0": sum(s / n**2 for s, n in squares),
        "CR1": sum(s / n**2 for s, n in squares) * N / (N - 1),
        "CR2": sum(s / (n * (n - 1)) for s, n in squares),
        "CR3": sum(s / (n - 1) ** 2 for s, n in squares),
        "CR3J": sum(s / (n - 1) ** 2 for s, n in squares) * (N - 1) / N,
    }
    for kind, variance in closed.items():
        sure = made.infer(ClusterRobust(kind)).uncertainty
        assert sure.std_error[0] ** 2 == pytest.approx(variance, rel=1e-9)
    full = made.infer(ClusterRobust("CR1", factor="full")).uncertainty
    assert full.std_error[0] ** 2 == pytest.approx(
        closed["CR0"] * N / (N - 1) * (N - 1) / (N - 2), rel=1e-9
    )


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("starts", [ONE, STAGGERED], ids=["one start", "staggered"])
@pytest.mark.parametrize("estimator", [DiD(), EventStudy()], ids=str)
def test_cr3j_is_the_jackknife_by_refitting(estimator, starts, gaps):
    y = outcome(starts)
    if gaps:
        y = with_gaps(y, 2, whole=list(starts))
    made = estimator.fit(design_of(y, starts), "m")
    one = made.infer(ClusterRobust("CR3J")).uncertainty
    other = made.infer(Jackknife()).uncertainty
    assert np.isfinite(one.std_error).all()
    np.testing.assert_allclose(one.std_error, other.std_error, rtol=1e-10)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-8, atol=1e-10)


def test_jackknife_is_the_formula():
    y = outcome()
    made = DiD("complete").fit(design_of(y, ONE), "m")
    refits = []
    for j in range(N):
        keep = np.arange(N) != j
        w = y[:, 3:].mean(axis=1) - y[:, :3].mean(axis=1)
        pilot = np.isin(np.arange(N), list(ONE))
        refits.append(w[keep & pilot].mean() - w[keep & ~pilot].mean())
    variance = (N - 1) / N * ((np.array(refits) - made.values[0]) ** 2).sum()
    sure = made.infer(Jackknife()).uncertainty
    assert sure.std_error[0] ** 2 == pytest.approx(variance, rel=1e-9)
    assert sure.df[0] == pytest.approx(made.infer(ClusterRobust("CR2")).uncertainty.df[0], rel=1e-9)


def test_jackknife_of_sets_refits_them():
    from didkit.design import MatchedSets

    y = outcome()
    ids = codes(N)
    free = [j for j in range(N) if j not in ONE]
    weights = {
        j: {free[2 * i]: 0.5, free[2 * i + 1]: 0.3, free[(2 * i + 2) % 10]: 0.2}
        for i, j in enumerate(ONE)
    }
    against = MatchedSets({ids[j]: {ids[u]: w for u, w in s.items()} for j, s in weights.items()})
    made = DiD("complete").fit(design_of(y, ONE, against=against), "m")
    w = y[:, 3:].mean(axis=1) - y[:, :3].mean(axis=1)

    def by_hand(gone: int) -> float:
        found = []
        for j, members in weights.items():
            kept = {u: share for u, share in members.items() if u != gone}
            total = sum(kept.values())
            if j != gone:
                found.append(w[j] - sum(w[u] * share / total for u, share in kept.items()))
        return float(np.mean(found))

    assert made.values[0] == pytest.approx(by_hand(-1))
    used = sorted({*weights, *(u for s in weights.values() for u in s)})
    moved = np.array([by_hand(j) for j in used]) - by_hand(-1)
    variance = (len(used) - 1) / len(used) * (moved**2).sum()
    assert made.infer(Jackknife()).uncertainty.std_error[0] ** 2 == pytest.approx(variance)


def test_jackknife_keeps_the_other_terms_when_one_hangs_on_a_single_pilot():
    starts = {1: 2, 4: 3, 7: 3, 10: 3}
    made = EventStudy().fit(design_of(outcome(starts), starts), "m").infer(Jackknife())
    table = made.tidy().set_index("event_time")
    alone = made.terms.set_index("event_time")["n_pilots"] == 1
    assert alone.sum() == 1
    for e, single in alone.items():
        assert np.isnan(table.loc[e, "std_error"]) == single
    assert any("carried by one pilot" in note for note in made.uncertainty.notes)


def test_default_degrees_of_freedom_by_kind():
    made = DiD().fit(design_of(outcome(), ONE), "m")
    expected = {"CR0": np.inf, "CR1": N - 1, "CR3": N - 1, "CR3J": N - 1}
    for kind, df in expected.items():
        sure = made.infer(ClusterRobust(kind)).uncertainty
        assert sure.df[0] == df
        tail = 2 * stats.t.sf(abs(sure.statistic[0]), df)
        assert sure.p_value[0] == pytest.approx(tail, rel=1e-9)
        reach = stats.t.ppf(0.975, df) * sure.std_error[0]
        assert sure.conf_high[0] - made.values[0] == pytest.approx(reach, rel=1e-9)
        assert made.values[0] - sure.conf_low[0] == pytest.approx(reach, rel=1e-9)


def test_clusters_above_units_are_statsmodels():
    """Clusters of two units, given as a column of the panel's units."""
    import statsmodels.formula.api as smf
    from helpers import long_of

    y = outcome()
    labels = [f"c{j // 2}" for j in range(N)]
    starts = {2: 3, 3: 3, 6: 3, 9: 3}
    frame = frame_of(y)
    frame["area"] = np.repeat(labels, T)
    from didkit.panel import Panel

    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"], attributes=["area"])
    design = Design(
        panel,
        Rollout({codes(N)[j]: FIRST + t for j, t in starts.items()}),
        against=Pool(),
        selection="unknown",
        clusters="area",
    )
    made = DiD().fit(design, "m")
    table = long_of(y, starts)
    table["area"] = table["unit"] // 2
    theirs = smf.ols("y ~ d + C(unit) + C(period)", table).fit(
        cov_type="cluster", cov_kwds={"groups": table["area"]}
    )
    sure = made.infer(ClusterRobust("CR1", factor="full")).uncertainty
    assert sure.std_error[0] == pytest.approx(theirs.bse["d"], rel=1e-8)
    assert made.infer(ClusterRobust("CR1")).uncertainty.df[0] == 6
    cr3j = made.infer(ClusterRobust("CR3J")).uncertainty.std_error[0]
    assert cr3j == pytest.approx(made.infer(Jackknife()).uncertainty.std_error[0], rel=1e-9)
    assert "7 clusters, 3 with pilots" in made.infer(ClusterRobust("CR2")).uncertainty.method


def test_the_standard_error_moves_when_the_pilots_do():
    """The same effect on average, pilots further apart: a larger standard error of every kind."""
    y = outcome()
    apart = y.copy()
    for j, by in zip(ONE, (40.0, -40.0, 20.0, -20.0), strict=True):
        apart[j, 3:] += by
    one, other = (DiD().fit(design_of(x, ONE), "m") for x in (y, apart))
    assert other.values[0] == pytest.approx(one.values[0])
    for inference in (*map(ClusterRobust, KINDS), Jackknife()):
        before = one.infer(inference).uncertainty.std_error[0]
        assert other.infer(inference).uncertainty.std_error[0] > 2 * before


def test_no_spread_at_all_is_no_standard_error_of_zero():
    y = np.ones((6, 4)) * np.arange(4.0)
    y[:2, 2:] += 1
    made = DiD().fit(design_of(y, {0: 2, 1: 2}), "m").infer(ClusterRobust("CR2"))
    assert made.values[0] == pytest.approx(1)
    assert np.isnan(made.uncertainty.std_error[0])
    assert np.isnan(made.uncertainty.p_value[0])
    assert any("standard error of 0 is not printed" in note for note in made.uncertainty.notes)


def test_influence_alone_gives_cr0_and_cr1():
    """An estimator that publishes no cross-products, clusters of two units among them."""
    clusters = {unit: str(j // 2) for j, unit in enumerate(codes(N))}
    for options in ({}, {"clusters": clusters}):
        made = DiD().fit(design_of(outcome(), ONE, **options), "m")
        bare = replace(made, normal=None, contrast=None)
        for kind in ("CR0", "CR1"):
            one, other = (e.infer(ClusterRobust(kind)).uncertainty for e in (made, bare))
            assert other.std_error[0] == pytest.approx(one.std_error[0], rel=1e-9)
            assert other.df[0] == one.df[0]
        for refused in (ClusterRobust("CR2"), ClusterRobust("CR1", factor="full")):
            with pytest.raises(InferenceError, match=r"use Jackknife\(\)"):
                bare.infer(refused)
        with pytest.raises(InferenceError, match="cross-products by cluster"):
            bare.infer(ClusterRobust("CR0", df="bell-mccaffrey"))


def test_the_recipe_is_in_words():
    made = DiD().fit(design_of(outcome(), ONE), "m")

    def words(inference: ClusterRobust) -> str:
        return made.infer(inference).uncertainty.method

    assert words(ClusterRobust("CR2")) == (
        "CR2, Bell–McCaffrey degrees of freedom; 4 + 10 clusters"
    )
    assert words(ClusterRobust("CR1")) == (
        "CR1, G − 1 degrees of freedom, factor G/(G−1); 4 + 10 clusters"
    )
    full = words(ClusterRobust("CR1", factor="full", df="normal"))
    assert full.startswith("CR1, normal, factor (N−1)/(N−K)·G/(G−1), K with the unit effects")
    assert words(ClusterRobust("CR2", df="welch")).startswith("CR2, Welch's degrees of freedom")


# -- joint tests -----------------------------------------------------------------------------------


def test_joint_test_is_wald():
    made = EventStudy().fit(design_of(outcome(), ONE), "m")
    terms = ("event time -3", "event time -2")
    at = [list(made.terms["term"]).index(term) for term in terms]
    for kind, df in (("CR1", "g-1"), ("CR3", "normal")):
        inference = ClusterRobust(kind, df=df)
        v = made.infer(inference).uncertainty.covariance.to_numpy()[np.ix_(at, at)]
        wald = made.values[at] @ np.linalg.inv(v) @ made.values[at]
        found = inference.joint(made, terms)
        if df == "normal":
            assert found.statistic == pytest.approx(wald, rel=1e-9)
            assert found.p_value == pytest.approx(stats.chi2.sf(wald, 2), rel=1e-9)
        else:
            assert found.statistic == pytest.approx(wald / 2, rel=1e-9)
            assert found.p_value == pytest.approx(stats.f.sf(wald / 2, 2, N - 1), rel=1e-9)


def test_joint_test_of_one_term_is_its_own_test():
    made = EventStudy().fit(design_of(outcome(), ONE), "m")
    for inference in (ClusterRobust("CR2"), ClusterRobust("CR1"), ClusterRobust("CR0")):
        sure = made.infer(inference).uncertainty
        found = inference.joint(made, (made.terms["term"].iloc[1],))
        assert found.p_value == pytest.approx(sure.p_value[1], rel=1e-6)


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("inference", [*map(ClusterRobust, KINDS), Jackknife()], ids=str)
@pytest.mark.parametrize("estimator", [DiD(), DiD("complete"), EventStudy(), Gap()], ids=str)
def test_one_pilot_is_refused_and_permutation_named(estimator, inference):
    made = estimator.fit(design_of(outcome(), {5: 3}), "m")
    with pytest.raises(InferenceError, match=r"1 pilot \(of 1 pilot ") as caught:
        made.infer(inference)
    assert "use Permutation()" in str(caught.value)
    assert "no cluster-robust variance exists" in str(caught.value)


def test_one_comparator_is_refused():
    made = DiD().fit(design_of(outcome()[:4], {0: 3, 1: 3, 2: 3}), "m")
    for inference in (ClusterRobust("CR1"), Jackknife()):
        with pytest.raises(InferenceError, match="1 comparator"):
            made.infer(inference)


def test_pilots_in_one_cluster_are_refused():
    y = outcome()
    design = Design(
        panel_of(y),
        Rollout({codes(N)[j]: FIRST + 3 for j in (2, 3)}),
        against=Pool(),
        selection="unknown",
        clusters={unit: f"c{j // 2}" for j, unit in enumerate(codes(N))},
    )
    with pytest.raises(InferenceError, match=r"found: 1 cluster of pilots"):
        DiD().fit(design, "m").infer(ClusterRobust("CR1"))


def test_welch_needs_one_number_a_unit():
    y = with_gaps(outcome(), 3)
    with pytest.raises(InferenceError, match="one number a unit") as caught:
        DiD().fit(design_of(y, ONE), "m").infer(ClusterRobust("CR2", df="welch"))
    assert "cells='complete'" in str(caught.value)


def test_welch_needs_clusters_of_one_unit():
    clusters = {unit: str(j // 2) for j, unit in enumerate(codes(N))}
    made = DiD().fit(design_of(outcome(), ONE, clusters=clusters), "m")
    with pytest.raises(InferenceError, match="one number a unit"):
        made.infer(ClusterRobust("CR2", df="welch"))


def test_sets_have_no_cross_products_and_are_sent_to_the_jackknife():
    from didkit.design import MatchedSets

    ids = codes(N)
    against = MatchedSets({ids[j]: {ids[0]: 0.5, ids[2]: 0.5} for j in ONE})
    made = DiD().fit(design_of(outcome(), ONE, against=against), "m")
    for kind in KINDS:
        with pytest.raises(InferenceError, match=r"use Jackknife\(\)"):
            made.infer(ClusterRobust(kind))


def test_more_refits_than_allowed_are_refused():
    made = DiD().fit(design_of(outcome(), ONE), "m")
    with pytest.raises(InferenceError, match="at most 5 refits") as caught:
        made.infer(Jackknife(max_refits=5))
    assert "14 clusters" in str(caught.value)


def test_a_refit_that_does_not_exist_is_named():
    """Every comparator but one has a gap: without it no unit is observed throughout."""
    y = outcome()[:6]
    y[3:, 0] = np.nan
    made = DiD("complete").fit(design_of(np.vstack([y, y[2:3]]), {0: 3, 1: 3}), "m")
    assert made.sample.n_comparators == 2
    y[2, 0] = np.nan
    alone = DiD("complete").fit(design_of(np.vstack([y, outcome()[7:8]]), {0: 3, 1: 3}), "m")
    with pytest.raises(InferenceError, match="1 comparator"):
        alone.infer(Jackknife())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "HC1"}, "kind: CR0, CR1, CR2, CR3, CR3J"),
        ({"df": "satterthwaite"}, "df: bell-mccaffrey, welch, g-1, normal"),
        ({"kind": "CR1", "factor": "stata"}, "factor: clusters, full, nested"),
        ({"kind": "CR2", "factor": "full"}, "factor= with kind='CR1' only"),
    ],
)
def test_unknown_options_are_refused(options, text):
    with pytest.raises(InferenceError) as caught:
        ClusterRobust(**options)
    assert text in str(caught.value)


def test_frame_of_terms_is_labelled():
    made = EventStudy().fit(design_of(outcome(), ONE), "m").infer(ClusterRobust("CR2"))
    assert isinstance(made.covariance, pd.DataFrame)
    assert list(made.covariance.index) == list(made.terms["term"])
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(made.covariance)), made.uncertainty.std_error, rtol=1e-12
    )


@pytest.mark.parametrize("each", [2, 5])
def test_the_jackknife_counts_clusters_of_each_arm(each):
    """Clusters of one arm only: a mean of two against four, which CR2 has in closed form too."""
    ids = codes(6 * each)
    areas = {unit: f"area {j // each}" for j, unit in enumerate(ids)}
    starts = dict.fromkeys(range(2 * each), 3)
    design = design_of(noise(6 * each, T, 4), starts, clusters=areas)
    for estimator in (DiD(), DiD("complete"), EventStudy()):
        made = estimator.fit(design, "m")
        ours = made.infer(Jackknife()).attached.df
        np.testing.assert_allclose(ours, closed_form_df(np.array([2.0]), np.array([4.0]))[0])
        np.testing.assert_allclose(ours, made.infer(ClusterRobust("CR2")).attached.df, rtol=1e-6)


def test_where_clusters_hold_both_arms_the_jackknife_has_fewer_than_clusters():
    """Six areas, each with pilots and comparators: differences inside areas have five."""
    areas = {unit: f"area {j // 5}" for j, unit in enumerate(codes(30))}
    starts = dict.fromkeys(range(0, 30, 5), 3)
    made = DiD().fit(design_of(noise(30, T, 4), starts, clusters=areas), "m")
    assert made.infer(Jackknife()).attached.df[0] == 5
    assert made.infer(ClusterRobust("CR2")).attached.df[0] == pytest.approx(5)


def test_the_jackknife_of_sets_counts_clusters_too():
    from didkit.design import MatchedSets

    ids = codes(12)
    areas = {unit: f"area {j // 2}" for j, unit in enumerate(ids)}
    sets = MatchedSets({ids[j]: {ids[6 + j]: 0.5, ids[4]: 0.5} for j in (0, 1, 2, 3)})
    starts = dict.fromkeys((0, 1, 2, 3), 3)
    made = DiD().fit(design_of(noise(12, T, 4), starts, against=sets, clusters=areas), "m")
    # pilots in two areas, comparators in three
    theirs = closed_form_df(np.array([2.0]), np.array([3.0]))
    np.testing.assert_allclose(made.infer(Jackknife()).attached.df, theirs)


ADVISED = {
    "Permutation()": Permutation(draws=199),
    "FermanPinto()": FermanPinto(draws=199),
    "FermanPinto(sizes={unit: number})": FermanPinto(
        {unit: 100 + 7 * j for j, unit in enumerate(codes(40))}, draws=199
    ),
    "LauLi()": LauLi(),
}


@pytest.mark.parametrize("n", [8, 24])
@pytest.mark.parametrize("starts", [{5: 3}, {5: 3, 1: 3}, {5: 3, 1: 2}])
@pytest.mark.parametrize(
    "estimator", [DiD(), DiD("complete"), EventStudy(), Gap(), FGLS(), DiD(covariates=("x",))]
)
def test_what_is_advised_where_no_variance_exists_serves(n, starts, estimator):
    """No text sends to a method that refuses the same estimate."""
    frame = frame_of(noise(n, T, 2))
    frame["x"] = noise(n, T, 3).ravel()
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m", "x"])
    rollout = Rollout({codes(n)[j]: FIRST + t for j, t in starts.items()})
    made = estimator.fit(Design(panel, rollout, against=Pool(), selection="unknown"), "m")
    by = None if len(starts) == 1 else dict.fromkeys(codes(n), "everywhere")
    with pytest.raises(InferenceError) as caught:
        made.infer(ClusterRobust("CR1", by=by))
    todo = caught.value.todo
    named = re.findall(r"(?:use|; or) (\w+\(.*?\)),", todo)
    if isinstance(estimator, FGLS):
        assert not named
    else:
        assert "Permutation()" in named
        assert ("FermanPinto(sizes={unit: number})" in named) == (n == 24)
    for one in named:
        assert np.isfinite(made.infer(ADVISED[one]).attached.p_value).any()
    assert ("leave by= out" in todo) == (by is not None)
    if by is not None:
        assert np.isfinite(made.infer(ClusterRobust("CR1")).attached.p_value).any()


def test_with_clusters_above_units_only_another_design_is_advised():
    y, ids = noise(24, T, 2), codes(24)
    areas = {unit: f"area {j // 6}" for j, unit in enumerate(ids)}
    starts = dict.fromkeys(range(4), 3)
    made = DiD().fit(design_of(y, starts, clusters=areas), "m")
    for inference in (ClusterRobust(), Jackknife(), Permutation(draws=99), LauLi()):
        with pytest.raises(InferenceError) as caught:
            made.infer(inference)
        assert "without clusters=" in caught.value.todo
        assert not re.search(r"use \w+\(|ClusterRobust", caught.value.todo)
    with pytest.raises(InferenceError, match="4 pilots in one cluster cannot be told"):
        made.infer(ClusterRobust())
    DiD().fit(design_of(y, starts), "m").infer(LauLi())


def test_terms_without_a_variance_are_not_sent_to_what_clusters_refuse():
    areas = {unit: f"area {j // 2}" for j, unit in enumerate(codes(N))}
    made = EventStudy().fit(design_of(outcome(), {0: 2, 2: 3, 4: 3}, clusters=areas), "m")
    notes = made.infer(ClusterRobust("CR1")).attached.notes
    said = next(note for note in notes if "no cluster-robust variance" in note)
    assert "or one cluster of either" in said
    assert "use" not in said


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({"kind": "cr1"}, "did you mean 'CR1'?"),
        ({"kind": ["CR3j"]}, "did you mean 'CR3J'?"),
        ({"df": "Satterthwaite"}, "did you mean 'bell-mccaffrey'?"),
        ({"df": "welsh"}, "did you mean 'welch'?"),
        ({"kind": "CR1", "factor": "Full"}, "did you mean 'full'?"),
        ({"kind": "sandwich"}, "choose one"),
    ],
)
def test_a_misspelt_option_has_the_nearest_named(options, meant):
    with pytest.raises(InferenceError) as caught:
        ClusterRobust(**options)
    assert caught.value.todo == meant
