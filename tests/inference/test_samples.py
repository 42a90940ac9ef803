"""What few-pilot methods compare: one pilot at a time, gaps, staggered starts, clusters."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, design_of, noise, spread, with_gaps

import didkit as dk
from didkit.design import MatchedSets
from didkit.errors import InferenceError
from didkit.inference.samples import one_number, placebos, set_differences, two_samples

MEMBERS = {0: {4: 0.2, 5: 0.8}, 1: {6: 1.0}, 2: {7: 0.5, 8: 0.25, 9: 0.25}, 3: {10: 0.6, 11: 0.4}}
STARTS = {0: 2, 1: 3, 2: 3, 3: 4}
ESTIMATORS = [dk.DiD(), dk.DiD("complete"), dk.EventStudy(), dk.Gap()]


def sets(y: np.ndarray, pilots: list[int], starts: dict[int, int] = STARTS, **options):
    ids = codes(len(y))
    weights = {ids[k]: {ids[u]: w for u, w in MEMBERS[k].items()} for k in pilots}
    return design_of(y, {k: starts[k] for k in pilots}, against=MatchedSets(weights), **options)


def gappy(seed: int) -> np.ndarray:
    """Gaps in every arm; pilot 1 and the only comparator of its set keep all cells."""
    return with_gaps(noise(12, 7, seed), seed, share=0.1, whole=[0, 1, 2, 3, 6])


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("starts", [STARTS, dict.fromkeys(range(4), 3)])
def test_a_difference_is_the_estimate_of_its_pilot_alone(estimator, gaps, starts) -> None:
    """Staggered starts, gaps, weights that differ: each pilot is estimated again without others."""
    y = gappy(3) if gaps else noise(12, 7, 3)
    made = estimator.fit(sets(y, [0, 1, 2, 3], starts), "m")
    alone = {}
    for k in range(4):
        try:
            alone[codes(12)[k]] = estimator.fit(sets(y, [k], starts), "m")
        except dk.errors.DidkitError:
            continue  # its set has nobody with all cells: it is not in the estimate either
    served = 0
    for m, term in enumerate(made.terms["term"]):
        if term == "before_after":
            with pytest.raises(InferenceError, match="of pilots alone"):
                set_differences(made, m, "a test")
            continue
        d, at = set_differences(made, m, "a test")
        assert d.mean() == pytest.approx(made.values[m], rel=1e-9, abs=1e-9)
        assert len(d) == made.terms["n_pilots"].iloc[m]
        for value, j in zip(d, at, strict=True):
            theirs = alone[made.sample.units[j]]
            assert term in list(theirs.terms["term"])
            expected = theirs.values[list(theirs.terms["term"]).index(term)]
            assert value == pytest.approx(expected, rel=1e-8, abs=1e-8)
            served += 1
    assert served >= 4


def test_a_pilot_that_lacks_a_cell_is_in_no_difference() -> None:
    """Complete cells: three of four differences are left."""
    y = noise(12, 7, 1)
    y[1, 0] = np.nan
    made = dk.DiD("complete").fit(sets(y, [0, 1, 2, 3], dict.fromkeys(range(4), 3)), "m")
    d, at = set_differences(made, 0, "a test")
    assert [made.sample.units[j] for j in at] == [codes(12)[k] for k in (0, 2, 3)]
    assert d.mean() == pytest.approx(made.values[0], rel=1e-9)


def test_terms_that_some_pilots_do_not_reach_have_fewer_differences() -> None:
    made = dk.EventStudy().fit(sets(noise(12, 7, 2), [0, 1, 2, 3]), "m")
    n = [len(set_differences(made, m, "a test")[0]) for m in range(made.n_terms)]
    assert n == list(made.terms["n_pilots"])
    assert min(n) < 4
    flipped = made.infer(dk.SignFlips()).attached
    served = [count > 1 for count in n]
    assert list(np.isfinite(flipped.p_value)) == served
    if not all(served):
        assert any("no test" in note for note in flipped.notes)


@pytest.mark.parametrize("inside", [True, False])
def test_clusters_inside_sets_are_no_matter_and_across_sets_are_refused(inside) -> None:
    ids = codes(12)
    of = {k: k for k in range(4)} | {u: k for k, m in MEMBERS.items() for u in m}
    clusters = {ids[j]: f"s{of[j] if inside else of[j] // 2}" for j in range(12)}
    design = sets(noise(12, 7, 1), [0, 1, 2, 3], dict.fromkeys(range(4), 3), clusters=clusters)
    made = dk.DiD().fit(design, "m")
    assert made.sample.clustered_above
    if inside:
        d, _ = set_differences(made, 0, "a test")
        assert d.mean() == pytest.approx(made.values[0], rel=1e-9)
        return
    for method in (dk.SignFlips(), dk.IbragimovMuller()):
        with pytest.raises(InferenceError, match="2 clusters in more than one set"):
            made.infer(method)


def test_a_pilot_in_another_pilots_set_is_refused() -> None:
    ids = codes(6)
    weights = {ids[0]: {ids[1]: 0.5, ids[2]: 0.5}, ids[1]: {ids[3]: 1.0}}
    design = design_of(
        noise(6, 5, 1), {0: 2, 1: 3}, against=MatchedSets(weights, include_pilots=True)
    )
    made = dk.DiD().fit(design, "m")
    with pytest.raises(InferenceError, match="share nobody"):
        set_differences(made, 0, "a test")


def test_medians_have_no_weights_and_are_refused() -> None:
    ids = codes(8)
    weights = {ids[k]: {ids[2 + 3 * k + i]: 1 / 3 for i in range(3)} for k in range(2)}
    against = MatchedSets(weights, aggregate="median")
    design = design_of(noise(8, 5, 1), {0: 2, 1: 2}, against=against)
    made = dk.DiD("complete").fit(design, "m")
    with pytest.raises(InferenceError, match="matched sets"):
        set_differences(made, 0, "a test")


# -- one pool -------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_two_samples_differ_by_the_estimate(estimator) -> None:
    made = estimator.fit(design_of(noise(12, 6, 2), spread(12, 3, 3)), "m")
    for m, term in enumerate(made.terms["term"]):
        if term == "before_after":  # pilots alone
            with pytest.raises(InferenceError, match="between two groups"):
                two_samples(made, m, "a test")
            continue
        both = two_samples(made, m, "a test")
        value = both.pilots.mean() - both.comparators.mean()
        assert value == pytest.approx(made.values[m], rel=1e-9, abs=1e-9)
        assert made.sample.pilot[both.pilot_at].all()
        assert not made.sample.pilot[both.comparator_at].any()


def test_gaps_are_left_out_with_complete_cells_and_refused_where_the_estimate_is_another() -> None:
    y = noise(12, 6, 2)
    y[0, 1] = np.nan
    design = design_of(y, spread(12, 3, 3))
    complete = dk.DiD("complete").fit(design, "m")
    assert len(two_samples(complete, 0, "a test").comparators) == 8
    observed = dk.DiD().fit(design, "m")
    if not one_number(observed, 0):
        with pytest.raises(InferenceError, match="complete"):
            two_samples(observed, 0, "a test")


@pytest.mark.parametrize("starts", [{1: 2, 5: 4, 9: 4}, {1: 3, 5: 4}])
def test_terms_of_several_starts_are_refused_and_those_of_one_are_not(starts) -> None:
    """A comparator's number is then a mean over starts, less noisy than a pilot's."""
    design = design_of(noise(14, 7, 2), starts)
    for estimator in (dk.DiD("complete"), dk.EventStudy(cells="complete"), dk.Gap()):
        made = estimator.fit(design, "m")
        for m, term in enumerate(made.terms["term"]):
            at = np.isfinite(made.contributions[:, m]) & made.sample.pilot
            several = len(set(made.sample.cohort[at].tolist())) > 1
            assert one_number(made, m) == (not several and term != "before_after")
            if several:
                with pytest.raises(InferenceError, match="one start for all pilots") as caught:
                    two_samples(made, m, "a test")
                assert f"{term} of pilots that start in 201" in caught.value.found
                for method in (dk.Permutation(draws=99), dk.ClusterRobust("CR2")):
                    made.infer(method)  # as advised
            elif term != "before_after":
                both = two_samples(made, m, "a test")
                value = both.pilots.mean() - both.comparators.mean()
                assert value == pytest.approx(made.values[m], rel=1e-8, abs=1e-8)
    alone = dk.DiD("complete").fit(design.drop(codes(14)[1]), "m")
    assert one_number(alone, 0)


def test_levels_in_one_period_are_one_number_whatever_the_start() -> None:
    made = dk.Gap(by="period").fit(design_of(noise(14, 7, 2), {1: 2, 5: 4, 9: 4}), "m")
    for m in range(made.n_terms):
        both = two_samples(made, m, "a test")
        assert len(both.pilots) == 3
        assert both.pilots.mean() - both.comparators.mean() == pytest.approx(made.values[m])


@pytest.mark.parametrize(
    "method",
    [dk.DonaldLang(), dk.LauLi(), dk.IbragimovMuller()],
    ids=repr,
)
def test_no_method_of_two_samples_takes_two_starts(method) -> None:
    y = noise(24, 8, 2)
    both = dk.DiD("complete").fit(design_of(y, {1: 3, 5: 5, 9: 5}), "m")
    with pytest.raises(InferenceError, match=r"start in 2014, 2016"):
        both.infer(method)
    one = dk.DiD("complete").fit(design_of(y, {1: 5, 5: 5, 9: 5}), "m")
    assert np.isfinite(one.infer(method).attached.p_value[0])


def test_the_numbers_of_comparators_are_less_noisy_where_starts_differ() -> None:
    """Why: of the mean over starts, and of one start, against the same noise."""
    rng = np.random.default_rng(3)
    y = rng.normal(size=(200, 8))
    variance = {}
    for name, starts in (("several", {1: 1, 5: 7}), ("one", {1: 1, 5: 1})):
        made = dk.DiD("complete").fit(design_of(y, starts), "m")
        numbers = made.contributions[~made.sample.pilot, 0]
        variance[name] = numbers.var(ddof=1)
    assert variance["several"] < 0.75 * variance["one"]


@pytest.mark.parametrize("starts", [{1: 3, 5: 3}, {1: 2, 5: 4, 9: 4}])
@pytest.mark.parametrize("estimator", [dk.DiD(), dk.EventStudy()])
def test_a_placebo_is_a_comparator_with_the_pilots_weights(estimator, starts) -> None:
    y = noise(14, 7, 2)
    y[12, 0] = np.nan  # one comparator lacks a cell
    made = estimator.fit(design_of(y, starts), "m")
    sample = made.sample
    for m in range(made.n_terms):
        found = placebos(made, m, "a test")
        n1, n0 = len(found.pilot_at), len(found.comparator_at)
        assert n0 + found.without == sample.n_comparators
        assert found.deviations.shape == (n1, n0)
        for i, k in enumerate(found.pilot_at):
            form = made.weights[m][k] * n1
            used = np.abs(form) > 1e-9
            each = [form[used] @ sample.y[j, used] for j in found.comparator_at]
            np.testing.assert_allclose(
                found.deviations[i], np.array(each) - np.mean(each), atol=1e-7
            )
