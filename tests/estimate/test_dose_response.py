"""DoseResponse: identities with DiD and least squares, known answers, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from helpers import FIRST, codes, noise, panel_of

import didkit as dk
from didkit.design import Design, NotYetTreated, Pool, Rollout
from didkit.errors import EstimationError
from didkit.estimate import DiD
from didkit.estimate.dose_response import DoseResponse

N, T = 20, 8
ONE = dict.fromkeys([2, 4, 7, 9, 11, 14, 17], 4)
SEVERAL = {2: 3, 4: 3, 7: 4, 9: 4, 11: 4, 14: 6, 17: 6}
DOSE = dict(zip(ONE, [0.2, 0.9, 0.4, 0.7, 0.1, 0.55, 0.3], strict=True))


def _design(y: np.ndarray, starts: dict[int, int], dose: Any = DOSE, **options: Any) -> Design:
    ids = codes(len(y))
    rollout = Rollout(
        {ids[j]: FIRST + t for j, t in starts.items()},
        dose=None if dose is None else {ids[j]: d for j, d in dose.items()},
    )
    options.setdefault("against", Pool())
    return Design(panel_of(y), rollout, selection="unknown", **options)


def _with_effect(y: np.ndarray, starts: dict[int, int], at_zero: float, slope: float) -> np.ndarray:
    made = y.copy()
    for j, t in starts.items():
        made[j, t:] += at_zero + slope * DOSE[j]
    return made


@pytest.mark.parametrize("starts", [ONE, SEVERAL], ids=["one start", "several"])
def test_a_linear_effect_is_found_exactly(starts):
    """Two-way effects and an effect of 2 + 5 dose, no noise: mean, slope and groups."""
    y = _with_effect(noise(N, T, 1, scale=0.0), starts, 2.0, 5.0)
    found = DoseResponse("linear").fit(_design(y, starts), "m")
    mean = np.mean(list(DOSE.values()))
    np.testing.assert_allclose(found.values, [2 + 5 * mean, 5.0], rtol=1e-11)
    np.testing.assert_allclose(found.influence, 0, atol=1e-11)
    groups = DoseResponse(groups=[0.3, 0.6]).fit(_design(y, starts), "m")
    assert groups.terms["term"].tolist() == ["dose to 0.3", "dose 0.3 to 0.6", "dose above 0.6"]
    np.testing.assert_allclose(
        groups.values, [2 + 5 * 0.2, 2 + 5 * np.mean([0.4, 0.55]), 2 + 5 * 0.8], rtol=1e-11
    )
    assert groups.terms["n_pilots"].tolist() == [3, 2, 2]


@pytest.mark.parametrize("starts", [ONE, SEVERAL], ids=["one start", "several"])
def test_the_mean_effect_is_did(starts):
    """One group of all doses, and the mean of the linear form, are DiD on complete units."""
    design = _design(noise(N, T, 2), starts)
    did = DiD("complete").fit(design, "m")
    one = DoseResponse(groups=1).fit(design, "m")
    linear = DoseResponse("linear").fit(design, "m")
    assert one.terms["term"].tolist() == ["every dose"]
    np.testing.assert_allclose(one.values[0], did.values[0], rtol=1e-12)
    np.testing.assert_allclose(linear.values[0], did.values[0], rtol=1e-12)
    np.testing.assert_allclose(one.weights, did.weights, atol=1e-14)
    np.testing.assert_allclose(one.influence, did.influence, atol=1e-12)


@pytest.mark.parametrize("shape", ["groups", "linear"])
@pytest.mark.parametrize("at", [None, 0, 2])
def test_one_start_is_least_squares_of_statsmodels(shape, at):
    """OLS of the long difference on groups, or on pilot and dose; HC0 and, by CR3, HC3."""
    y = noise(N, T, 3)
    made = DoseResponse(shape, groups=[0.35], at=at).fit(_design(y, ONE), "m")
    change = y[:, 4:].mean(axis=1) - y[:, :4].mean(axis=1) if at is None else y[:, 4 + at] - y[:, 3]
    pilot, dose = np.zeros(N), np.zeros(N)
    for j, d in DOSE.items():
        pilot[j], dose[j] = 1.0, d
    if shape == "linear":
        mean = np.mean(list(DOSE.values()))
        columns = [pilot, pilot * (dose - mean)]
    else:
        columns = [pilot * (dose <= 0.35), pilot * (dose > 0.35)]
    oracle = sm.OLS(change, sm.add_constant(np.column_stack(columns))).fit()
    np.testing.assert_allclose(made.values, oracle.params[1:], rtol=1e-9)
    for kind, cov in (("CR0", "HC0"), ("CR3", "HC3")):
        sure = made.infer(dk.ClusterRobust(kind)).attached.std_error
        robust = oracle.get_robustcov_results(cov)
        np.testing.assert_allclose(sure, robust.bse[1:], rtol=1e-9)
    np.testing.assert_allclose(
        np.sqrt((made.influence**2).sum(axis=0)), oracle.get_robustcov_results("HC0").bse[1:]
    )
    np.testing.assert_allclose((made.weights * y).sum(axis=(1, 2)), made.values, rtol=1e-9)


def test_staggered_pilots_against_their_own_windows() -> None:
    """By hand: each pilot's change less the comparators' over the same periods."""
    y = noise(N, T, 4)
    made = DoseResponse("linear").fit(_design(y, SEVERAL), "m")
    others = [j for j in range(N) if j not in SEVERAL]
    own = {
        j: (y[j, s:].mean() - y[j, :s].mean()) - (y[others][:, s:].mean() - y[others][:, :s].mean())
        for j, s in SEVERAL.items()
    }
    fitted = np.polyfit([DOSE[j] for j in own], list(own.values()), 1)
    np.testing.assert_allclose(made.values[1], fitted[0], rtol=1e-9)
    np.testing.assert_allclose((made.weights * y).sum(axis=(1, 2)), made.values, rtol=1e-9)
    assert made.normal is None
    assert made.terms["n_comparators"].tolist() == [len(others)] * 2


def test_the_influence_is_that_of_each_unit() -> None:
    """A hand's push at one unit's change moves the estimate by its part, and its influence so."""
    y = noise(N, T, 5)
    base = DoseResponse("linear").fit(_design(y, SEVERAL), "m")
    residual = base.influence.sum(axis=0)
    np.testing.assert_allclose(residual, 0, atol=1e-10)  # both arms are fitted with a mean
    pilots = sorted(SEVERAL)
    dose = np.array([DOSE[j] for j in pilots])
    np.testing.assert_allclose(base.influence[pilots].T @ np.ones(len(pilots)), 0, atol=1e-10)
    off = dose - dose.mean()
    part = off / (off @ off)
    left = base.influence[pilots, 1] / part
    np.testing.assert_allclose(left @ off, 0, atol=1e-9)  # what least squares leaves


def test_one_pilot_in_a_group_has_no_standard_error() -> None:
    made = DoseResponse(groups=[0.8]).fit(_design(noise(N, T, 6), ONE), "m")
    assert made.terms["n_pilots"].tolist() == [6, 1]
    sure = made.infer(dk.ClusterRobust("CR2")).attached.std_error
    assert np.isfinite(sure[0])
    assert np.isnan(sure[1])
    assert "one pilot in dose above 0.8: no standard error" in " ".join(made.notes)
    assert "strong parallel trends" in " ".join(made.notes)


def test_tertiles_are_as_equal_as_ties_allow() -> None:
    made = DoseResponse().fit(_design(noise(N, T, 7), ONE), "m")
    assert made.terms["n_pilots"].tolist() == [3, 2, 2]
    np.testing.assert_allclose(made.terms["dose"], [0.2, (0.4 + 0.55) / 2, 0.8])


def test_rows_shuffled_and_other_effects_change_nothing() -> None:
    y = noise(N, T, 8)
    order = np.random.default_rng(9).permutation(N)
    place = {int(j): i for i, j in enumerate(order)}
    shifted = (2 * (y + 7 * np.arange(N)[:, None] - np.arange(T) ** 2))[order]
    for shape in ("groups", "linear"):
        made = DoseResponse(shape).fit(_design(y, SEVERAL), "m")
        moved = DoseResponse(shape).fit(
            _design(
                shifted,
                {place[j]: t for j, t in SEVERAL.items()},
                {place[j]: d for j, d in DOSE.items()},
            ),
            "m",
        )
        np.testing.assert_allclose(moved.values, 2 * made.values, rtol=1e-9)
        np.testing.assert_allclose(
            moved.influence[[place[j] for j in range(N)]], 2 * made.influence
        )


def test_who_is_left_out_is_named() -> None:
    """A dose that is not known, and a gap in the periods compared (only there)."""
    y = noise(N, T, 10)
    ids = codes(N)
    dose = {j: d for j, d in DOSE.items() if j != 7}
    y[3, 0] = np.nan
    made = DoseResponse("linear").fit(_design(y, ONE, dose), "m")
    notes = " ".join(made.all_notes)
    assert f"({ids[7]}) left out: its dose is not known" in notes
    assert f"({ids[3]}) left out: a gap in the periods compared" in notes
    assert made.terms["n_pilots"].tolist() == [6, 6]
    later = DoseResponse("linear", at=0).fit(_design(y, ONE, dose), "m")
    assert later.terms["n_comparators"].tolist() == [N - 7, 0]


def test_a_pilot_that_left_has_dose_zero_afterwards() -> None:
    ids = codes(N)
    rollout = Rollout(
        {ids[j]: FIRST + 4 for j in ONE},
        stops={ids[2]: FIRST + 6},
        dose={ids[j]: d for j, d in DOSE.items()},
    )
    design = Design(panel_of(noise(N, T, 11)), rollout, against=Pool(), selection="unknown")
    made = DoseResponse("linear").fit(design, "m")
    mean = (sum(DOSE.values()) - DOSE[2] / 2) / 7
    np.testing.assert_allclose(made.terms["dose"].iloc[0], mean)


@pytest.mark.parametrize(
    "options",
    [
        {"shape": "spline"},
        {"groups": 0},
        {"groups": "tertiles"},
        {"groups": [0.5, 0.2]},
        {"groups": []},
        {"at": -1},
        {"at": 0.5},
    ],
)
def test_unknown_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(EstimationError, match="DoseResponse"):
        DoseResponse(**options)


def test_designs_that_it_cannot_serve_are_refused() -> None:
    y = noise(N, T, 12)
    ids = codes(N)
    with pytest.raises(EstimationError, match="none in the rollout"):
        DoseResponse().fit(_design(y, ONE, None), "m")
    with pytest.raises(EstimationError, match="a pilot in each of 2 groups"):
        DoseResponse(groups=[5.0]).fit(_design(y, ONE), "m")
    with pytest.raises(EstimationError, match="a pilot in each of 3 groups"):
        DoseResponse().fit(_design(y, ONE, dict.fromkeys(ONE, 1.0)), "m")
    with pytest.raises(EstimationError, match="different doses"):
        DoseResponse("linear").fit(_design(y, ONE, dict.fromkeys(ONE, 1.0)), "m")
    with pytest.raises(EstimationError, match="a period 4 after every start"):
        DoseResponse(at=4).fit(_design(y, ONE), "m")
    sets = {ids[j]: {ids[0]: 1.0} for j in ONE}
    with pytest.raises(EstimationError, match="matched sets"):
        DoseResponse().fit(_design(y, ONE, against=dk.MatchedSets(sets)), "m")
    every = {j: 3 + j % 2 for j in range(N)}
    dose = {j: 0.1 * j for j in range(N)}
    with pytest.raises(EstimationError, match="units that never start"):
        DoseResponse().fit(_design(y, every, dose, against=NotYetTreated()), "m")
