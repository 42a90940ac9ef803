"""Clusters by name: regions, periods, sets, two ways; against statsmodels and closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from helpers import FIRST, codes, design_of, frame_of, long_of, noise, spread, treated, with_gaps
from scipy import stats

from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import ClusterRobust, Jackknife
from didkit.panel import Panel

N, T = 14, 6
STARTS = {1: 2, 4: 3, 7: 2, 10: 4, 12: 3, 13: 4}
AREAS = [f"area {j // 2}" for j in range(N)]


def outcome(seed: int = 4, *, gaps: bool = False) -> np.ndarray:
    y = noise(N, T, seed) - 3 * treated((N, T), STARTS)
    return with_gaps(y, 2, whole=list(STARTS)) if gaps else y


def with_areas(y: np.ndarray, starts=STARTS, areas=AREAS, **options) -> Design:
    frame = frame_of(y)
    frame["area"] = np.repeat(areas, y.shape[1])
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"], attributes=["area"])
    return Design(
        panel,
        Rollout({codes(len(y))[j]: FIRST + t for j, t in starts.items()}),
        against=Pool(),
        selection="unknown",
        **options,
    )


def theirs(y: np.ndarray, groups: pd.DataFrame | str, starts=STARTS) -> float:
    """Regression with dummies by statsmodels, clustered by the columns named."""
    table = long_of(y, starts)
    table["area"] = table["unit"] // 2
    given = table[groups].to_numpy() if isinstance(groups, list) else table[groups]
    fitted = smf.ols("y ~ d + C(unit) + C(period)", table).fit(
        cov_type="cluster", cov_kwds={"groups": given}
    )
    # not .bse: other coefficients may have a negative variance, two ways
    return float(fitted.cov_params().loc["d", "d"] ** 0.5)


# -- two ways --------------------------------------------------------------------------------------


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("second", ["period", "area"])
def test_two_ways_are_statsmodels(gaps, second):
    y = outcome(gaps=gaps)
    first = "unit" if second == "period" else "period"
    made = DiD().fit(with_areas(y), "m")
    inference = ClusterRobust("CR1", factor="full", by=(first, second))
    sure = made.infer(inference).attached
    assert sure.std_error[0] == pytest.approx(theirs(y, [first, second]), rel=1e-8)
    assert sure.df[0] == (min(N, T) if second == "period" else min(T, N // 2)) - 1
    turned = made.infer(ClusterRobust("CR1", factor="full", by=(second, first))).attached
    assert turned.std_error[0] == pytest.approx(sure.std_error[0], rel=1e-12)


def test_two_ways_with_each_part_its_own_factor():
    """CR1 with G/(G−1): the three parts one by one, each from the one-way variance."""
    made = DiD().fit(with_areas(outcome()), "m")
    size = {
        by: made.infer(ClusterRobust("CR0", by=by)).attached.std_error[0] ** 2
        for by in ("unit", "period")
    }
    cells = made.normal, made.regroup(np.arange(N * T).reshape(N, T))
    both = float(((cells[1].scores @ (made.contrast @ cells[1].M).T) ** 2).sum())
    expected = size["unit"] * N / (N - 1) + size["period"] * T / (T - 1) - both * 84 / 83
    sure = made.infer(ClusterRobust("CR1", by=("unit", "period"))).attached
    assert sure.std_error[0] ** 2 == pytest.approx(expected, rel=1e-9)
    zero = made.infer(ClusterRobust("CR0", by=("unit", "period"))).attached
    assert zero.std_error[0] ** 2 == pytest.approx(size["unit"] + size["period"] - both, rel=1e-9)
    assert np.isinf(zero.df[0])
    assert sure.method == (
        "CR1, min(G) − 1 degrees of freedom, factor G/(G−1); clusters: 14 by unit and 6 by period "
        "(V_a + V_b − V_ab)"
    )


def test_the_same_way_inside_the_other_is_the_larger():
    """Units inside areas: V_unit and V_ab are the same, so two ways are the area alone."""
    made = DiD().fit(with_areas(outcome()), "m")
    two = made.infer(ClusterRobust("CR1", by=("unit", "area"))).attached
    one = made.infer(ClusterRobust("CR1", by="area")).attached
    assert two.std_error[0] == pytest.approx(one.std_error[0], rel=1e-9)
    assert two.df[0] == one.df[0] == N // 2 - 1


def test_a_negative_eigenvalue_is_said_and_not_repaired():
    """Two ways above the unit, random scores, V by hand: often indefinite, sometimes negative."""
    y = outcome()[:8]
    starts = {0: 3, 1: 3, 2: 3, 3: 3}
    fitted = EventStudy().fit(design_of(y, starts), "m")
    k = fitted.n_terms
    ids = codes(8)
    rows = {ids[j]: "r" + str(j // 4 + (j % 4 > 1)) for j in range(8)}
    columns = {ids[j]: "c" + str(j % 4) for j in range(8)}
    rng = np.random.default_rng(0)
    least = []
    for _ in range(40):
        influence = rng.standard_normal((8, k))
        bare = replace(fitted, normal=None, contrast=None, regroup=None, influence=influence)
        inference = ClusterRobust("CR0", by=(rows, columns))
        parts = [
            pd.DataFrame(influence).groupby(label).sum().to_numpy()
            for label in (
                list(rows.values()),
                list(columns.values()),
                [a + b for a, b in zip(rows.values(), columns.values(), strict=True)],
            )
        ]
        v = parts[0].T @ parts[0] + parts[1].T @ parts[1] - parts[2].T @ parts[2]
        good = np.diagonal(v) > 0
        least.append(np.linalg.eigvalsh(v)[0])
        if not good.any():
            with pytest.raises(InferenceError, match="a positive variance"):
                bare.infer(inference)
            continue
        sure = bare.infer(inference).attached
        np.testing.assert_allclose(sure.std_error[good], np.sqrt(np.diagonal(v)[good]), rtol=1e-9)
        assert np.isnan(sure.std_error[~good]).all()
        assert any("is not positive" in note for note in sure.notes) == (not good.all())
        assert any("negative eigenvalue" in note for note in sure.notes) == (least[-1] < -1e-9)
        if good.sum() > 1 and np.linalg.eigvalsh(v[np.ix_(good, good)])[0] < -1e-6:
            reach = sure.band_high[good] - fitted.values[good]
            bonferroni = stats.norm.ppf(1 - 0.025 / good.sum()) * sure.std_error[good]
            np.testing.assert_allclose(reach, bonferroni, rtol=1e-9)
            names = tuple(fitted.terms["term"][good])
            with pytest.raises(InferenceError, match="without negative eigenvalues"):
                inference.joint(bare, names)
    assert min(least) < -0.1


def test_joint_test_two_ways_is_f_with_the_fewer_clusters():
    made = EventStudy().fit(with_areas(outcome()), "m")
    inference = ClusterRobust("CR1", by=("unit", "area"))
    terms = tuple(made.terms["term"][:2])
    v = made.infer(inference).covariance.to_numpy()[:2, :2]
    wald = made.values[:2] @ np.linalg.inv(v) @ made.values[:2]
    found = inference.joint(made, terms)
    assert found.p_value == pytest.approx(stats.f.sf(wald / 2, 2, N // 2 - 1), rel=1e-9)
    assert "min(G) − 1" in found.method


# -- one way ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR2", "CR3", "CR3J"])
@pytest.mark.parametrize("estimator", [DiD(), DiD("complete"), Gap()], ids=str)
def test_by_a_column_is_the_design_with_these_clusters(estimator, kind):
    y = outcome()
    by = estimator.fit(with_areas(y), "m")
    built = estimator.fit(with_areas(y, clusters="area"), "m").infer(ClusterRobust(kind)).attached
    mapping = dict(zip(codes(N), AREAS, strict=True))
    for given in ("area", mapping):
        sure = by.infer(ClusterRobust(kind, by=given)).attached
        np.testing.assert_allclose(sure.std_error, built.std_error, rtol=1e-9)
        np.testing.assert_allclose(sure.df, built.df, rtol=1e-9)
        np.testing.assert_allclose(sure.covariance, built.covariance, rtol=1e-7, atol=1e-9)
    assert "clusters by group" in sure.method


def test_by_area_is_statsmodels_and_the_jackknife():
    y = outcome(gaps=True)
    made = DiD().fit(with_areas(y), "m")
    sure = made.infer(ClusterRobust("CR1", factor="full", by="area")).attached
    assert sure.std_error[0] == pytest.approx(theirs(y, "area"), rel=1e-8)
    refits = DiD().fit(with_areas(y, clusters="area"), "m").infer(Jackknife()).attached
    cr3j = made.infer(ClusterRobust("CR3J", by="area")).attached
    assert cr3j.std_error[0] == pytest.approx(refits.std_error[0], rel=1e-9)


def test_by_period_is_statsmodels():
    y = outcome(gaps=True)
    made = DiD().fit(with_areas(y), "m").infer(ClusterRobust("CR1", factor="full", by="period"))
    assert made.attached.std_error[0] == pytest.approx(theirs(y, "period"), rel=1e-8)
    assert made.attached.df[0] == T - 1
    assert "6 clusters by period" in made.attached.method
    assert any("what lasts inside a unit is ignored" in note for note in made.attached.notes)
    with pytest.raises(InferenceError, match="effects that cross clusters"):
        DiD().fit(with_areas(y), "m").infer(ClusterRobust("CR2", by="period"))


def test_by_unit_is_the_default():
    made = DiD().fit(with_areas(outcome()), "m")
    one, other = (made.infer(ClusterRobust(by=by)).attached for by in (None, "unit"))
    assert one.std_error[0] == pytest.approx(other.std_error[0], rel=1e-12)
    assert one.df[0] == pytest.approx(other.df[0], rel=1e-9)
    assert other.method == one.method + " by unit"


def test_by_set_with_cr2_is_the_paired_t_test():
    y = outcome()
    starts = dict.fromkeys((1, 4, 7, 10), 3)
    ids = codes(N)
    sets = {ids[1]: {ids[0]: 0.5, ids[2]: 0.5}, ids[4]: {ids[3]: 1.0}, ids[7]: {ids[6]: 1.0}}
    sets[ids[10]] = {ids[9]: 0.25, ids[11]: 0.75}
    made = DiD("complete").fit(design_of(y, starts, against=MatchedSets(sets)), "m")
    w = y[:, 3:].mean(axis=1) - y[:, :3].mean(axis=1)
    d = [w[1] - (w[0] + w[2]) / 2, w[4] - w[3], w[7] - w[6], w[10] - (w[9] + 3 * w[11]) / 4]
    scipy = stats.ttest_1samp(d, 0)
    sure = made.infer(ClusterRobust("CR2", by="set")).attached
    assert made.values[0] == pytest.approx(np.mean(d))
    assert sure.statistic[0] == pytest.approx(scipy.statistic, rel=1e-9)
    assert sure.p_value[0] == pytest.approx(scipy.pvalue, rel=1e-8)
    assert sure.df[0] == pytest.approx(3, rel=1e-9)
    assert "4 clusters by matched set" in sure.method


def test_rows_in_any_order_and_labels_of_any_kind():
    y = outcome()
    made = DiD().fit(with_areas(y), "m")
    other = [f"{9 - j // 2} west" for j in range(N)]
    again = DiD().fit(with_areas(y, areas=other), "m")
    for by in ("area", ("unit", "period"), ("area", "period")):
        one, two = (e.infer(ClusterRobust("CR1", by=by)).attached for e in (made, again))
        assert one.std_error[0] == pytest.approx(two.std_error[0], rel=1e-10)


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"by": 3}, "one way to cluster, or two"),
        ({"by": ()}, "one way to cluster, or two"),
        ({"by": ""}, "one way to cluster, or two"),
        ({"by": ("unit", "unit")}, "two different ones"),
        ({"by": ("unit", "period", "area")}, "one way to cluster, or two"),
        ({"by": ("unit", "period")}, "kind='CR0' or kind='CR1' with two ways"),
        ({"kind": "CR1", "df": "bell-mccaffrey", "by": ("unit", "period")}, "df: g-1 or normal"),
        ({"kind": "CR1", "factor": "nested", "by": ("unit", "period")}, "factor='clusters' or"),
        ({"df": "welch", "by": "unit"}, "df: bell-mccaffrey or g-1 or normal"),
    ],
)
def test_what_two_ways_cannot_be_is_refused_at_once(options, text):
    with pytest.raises(InferenceError) as caught:
        ClusterRobust(**options)
    assert text in str(caught.value)


def test_groups_that_split_clusters_are_refused_by_name():
    areas = {unit: "east" if j in (0, 5) else "west" for j, unit in enumerate(codes(N))}
    made = DiD().fit(with_areas(outcome(), clusters="area"), "m")
    with pytest.raises(InferenceError, match="clusters that are split: 2 \\(area 0, area 2\\)"):
        made.infer(ClusterRobust("CR1", by=areas))
    with pytest.raises(InferenceError, match="groups by unit that hold whole clusters"):
        made.infer(ClusterRobust("CR1", by="unit"))


def test_units_in_several_sets_are_refused_by_name():
    ids = codes(N)
    against = MatchedSets({ids[j]: {ids[0]: 0.5, ids[2]: 0.5} for j in (1, 4, 7)})
    made = DiD().fit(design_of(outcome(), dict.fromkeys((1, 4, 7), 3), against=against), "m")
    with pytest.raises(InferenceError, match=f"in several sets: 2 \\({ids[0]}, {ids[2]}\\)"):
        made.infer(ClusterRobust("CR2", by="set"))
    pool = DiD().fit(with_areas(outcome()), "m")
    with pytest.raises(InferenceError, match="a design against matched sets"):
        pool.infer(ClusterRobust("CR2", by="set"))


def test_unknown_columns_and_missing_labels_are_refused():
    made = DiD().fit(with_areas(outcome()), "m")
    with pytest.raises(InferenceError, match="the columns are: name, area"):
        made.infer(ClusterRobust(by="region"))
    labels = dict(zip(codes(N), AREAS, strict=True))
    del labels[codes(N)[3]]
    with pytest.raises(InferenceError, match=f"none for 1 \\({codes(N)[3]}\\)"):
        made.infer(ClusterRobust(by=labels))


def test_pilots_in_one_region_are_refused_and_others_named():
    areas = ["north" if j in STARTS else f"south {j % 3}" for j in range(N)]
    made = DiD().fit(with_areas(outcome(), areas=areas), "m")
    with pytest.raises(InferenceError, match="found: 1 area of pilots") as caught:
        made.infer(ClusterRobust("CR1", by="area"))
    assert "leave by= out" in caught.value.todo
    assert "Permutation()" in caught.value.todo
    assert "they take units as independent" in caught.value.todo
    with pytest.raises(InferenceError, match="found: 1 area of pilots"):
        made.infer(ClusterRobust("CR1", by=("area", "period")))


def test_one_pilot_has_no_variance_by_period_either():
    made = DiD().fit(design_of(outcome(), {5: 3}), "m")
    for by in ("period", ("unit", "period")):
        with pytest.raises(InferenceError, match="1 pilot"):
            made.infer(ClusterRobust("CR1", by=by))


def test_a_term_of_one_period_has_no_variance_by_period():
    """With one start each event time is one period: its residuals there add up to zero."""
    one = EventStudy().fit(design_of(outcome(), spread(N, 4, 3)), "m")
    with pytest.raises(InferenceError, match="period of pilots on one side of the start"):
        one.infer(ClusterRobust("CR1", by="period"))
    early = DiD().fit(design_of(outcome(), spread(N, 4, 1)), "m")
    with pytest.raises(InferenceError, match="period of pilots on one side of the start"):
        early.infer(ClusterRobust("CR1", by="period"))
    late = DiD().fit(design_of(outcome(), spread(N, 4, T - 1)), "m")
    with pytest.raises(InferenceError, match="period of pilots on one side of the start"):
        late.infer(ClusterRobust("CR1", by=("unit", "period")))


def test_one_number_a_unit_has_no_periods():
    made = DiD("complete").fit(with_areas(outcome()), "m")
    with pytest.raises(InferenceError, match="cells='observed'"):
        made.infer(ClusterRobust("CR1", by=("unit", "period")))


def test_influence_alone_serves_whole_units_and_nothing_finer():
    made = DiD().fit(with_areas(outcome()), "m")
    bare = replace(made, normal=None, contrast=None, regroup=None)
    for by in ("area", ("unit", "area")):
        for kind in ("CR0", "CR1"):
            one, other = (e.infer(ClusterRobust(kind, by=by)).attached for e in (made, bare))
            assert other.std_error[0] == pytest.approx(one.std_error[0], rel=1e-9)
            assert other.df[0] == one.df[0]
    for inference in (
        ClusterRobust("CR2", by="area"),
        ClusterRobust("CR3", by="area"),
        ClusterRobust("CR1", by="area", factor="full"),
        ClusterRobust("CR1", by=("unit", "period")),
    ):
        with pytest.raises(InferenceError, match="ClusterRobust without by="):
            bare.infer(inference)


def test_scores_are_what_the_variance_is_made_of():
    made = EventStudy().fit(with_areas(outcome()), "m")
    for by in (None, "area"):
        inference = ClusterRobust("CR0", by=by)
        table = inference.scores(made)
        v = made.infer(inference).covariance
        np.testing.assert_allclose(table.T.to_numpy() @ table.to_numpy(), v, rtol=1e-8, atol=1e-9)
        assert len(table) == (N if by is None else N // 2)
    with pytest.raises(InferenceError, match="one way to cluster"):
        ClusterRobust("CR0", by=("unit", "period")).scores(made)


def test_the_repr_says_by_where_it_is_given():
    made = ClusterRobust("CR1", by=("unit", "period"))
    assert repr(made) == (
        "ClusterRobust(kind='CR1', df=None, factor='clusters', by=('unit', 'period'))"
    )
    assert made == ClusterRobust("CR1", by=["unit", "period"])
    assert len({ClusterRobust(by={"301": "a"}), ClusterRobust(by={"301": "a"})}) == 1
    assert repr(ClusterRobust()) == "ClusterRobust(kind='CR2', df=None, factor='clusters')"


def test_a_series_of_labels_is_a_mapping():
    made = DiD().fit(with_areas(outcome()), "m")
    labels = dict(zip(codes(N), AREAS, strict=True))
    series = pd.Series(labels)
    assert ClusterRobust("CR1", by=series) == ClusterRobust("CR1", by=labels)
    one = made.infer(ClusterRobust("CR1", by=(series, "period"))).attached.std_error
    other = made.infer(ClusterRobust("CR1", by=("area", "period"))).attached.std_error
    np.testing.assert_allclose(one, other)
    with pytest.raises(InferenceError, match="one way to cluster"):
        ClusterRobust(by=pd.Series(dtype=object))


def test_a_long_mapping_is_not_printed_and_a_short_one_is():
    labels = dict.fromkeys(codes(N), "all")
    made = DiD().fit(with_areas(outcome()), "m")
    with pytest.raises(InferenceError, match="1 group of pilots and 1 group of comp") as caught:
        made.infer(ClusterRobust("CR1", by=labels))
    assert f"by={{{N} units: 1 label}}" in caught.value.where
    assert len(str(caught.value)) < 900
    assert "leave by= out" in caught.value.todo
    assert repr(ClusterRobust(by={"301": "a"})).endswith("by={'301': 'a'})")
    two = ClusterRobust("CR1", by=(dict(zip(codes(N), AREAS, strict=True)), "period"))
    assert repr(two).endswith(f"by=({{{N} units: {N // 2} labels}}, 'period'))")


def test_a_unit_without_a_label_is_named_with_what_to_do():
    labels = dict(zip(codes(N), AREAS, strict=True))
    gone = codes(N)[5]
    del labels[gone]
    design = with_areas(outcome())
    with pytest.raises(InferenceError) as caught:
        DiD().fit(design, "m").infer(ClusterRobust("CR1", by=labels))
    assert f"design.drop('{gone}')" in caught.value.todo
    assert "in the mapping" in caught.value.todo
    DiD().fit(design.drop(gone), "m").infer(ClusterRobust("CR1", by=labels))


def test_clusters_are_counted_in_words():
    made = DiD().fit(with_areas(outcome()), "m")
    everywhere = {unit: str(j % 4) for j, unit in enumerate(codes(N))}
    for by, said in (
        (everywhere, "4 clusters by group, all with pilots"),
        ("area", "7 clusters by area, 5 with pilots"),
        ("unit", "6 + 8 clusters by unit"),
        (None, "6 + 8 clusters"),
    ):
        assert made.infer(ClusterRobust("CR2", by=by)).attached.method.endswith(said)


@pytest.mark.parametrize(
    ("inference", "said"),
    [
        (ClusterRobust("CR1", by=("unit", "period")), "6 clusters by period: t with 5"),
        (ClusterRobust("CR1", by="area"), "7 clusters by area: t with 6"),
        (ClusterRobust("CR0", by="area"), "7 clusters by area: the normal"),
        (ClusterRobust("CR2", by="area"), ""),
        (ClusterRobust("CR1", by="unit"), ""),
        (ClusterRobust("CR1"), ""),
    ],
)
def test_few_clusters_are_noted_unless_the_degrees_of_freedom_allow_for_them(inference, said):
    notes = DiD().fit(with_areas(outcome()), "m").infer(inference).attached.notes
    found = [note for note in notes if "unreliable" in note]
    assert [note.startswith(said) for note in found] == ([True] if said else [])
