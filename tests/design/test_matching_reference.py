"""Matching and balancing weights as R's MatchIt, optmatch, ebal and quadprog have them.

Weights are in MatchIt's scale: what a comparator has in all sets, so scaled that the weights of
those with any add up to their number. Ids are padded: their order as text is the data's.

MatchIt 4.5.1's nearest matching on a propensity is not the nearest (see `lower_first`): the three
cases are reproduced by its rule from our propensities, and ours are held to be nearer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from design.invariants import check_sets

from didkit.design import Covariates, EntropyBalancing, Matching, SyntheticWeights
from didkit.design.distances import propensity

REL = 1e-6
ON = ["lpop", "lemp.2003"]


@pytest.fixture(scope="module")
def counties(shared_reference) -> pd.DataFrame:
    long = pd.read_csv(shared_reference / "data" / "mpdta.csv")
    wide = long.pivot(index="countyreal", columns="year", values="lemp").add_prefix("lemp.")
    first = long.groupby("countyreal")[["lpop", "first.treat"]].first()
    made = wide.join(first)
    made["band"] = pd.qcut(made["lpop"], 4, labels=False)
    made["tr"] = made["first.treat"] > 0
    return made.set_axis([f"{code:05d}" for code in made.index], axis=0)


@pytest.fixture(scope="module")
def reference(shared_reference) -> pd.DataFrame:
    return pd.read_csv(shared_reference / "matching.csv").set_index(["case", "term"])["estimate"]


def of(reference: pd.Series, case: str) -> tuple[pd.Series, pd.Series]:
    """Give the weights of a case by county, and all its other terms."""
    terms = reference.loc[case]
    weights = terms[terms.index.str.startswith("weight|")]
    ids = [f"{int(term.split('|')[1]):05d}" for term in weights.index]
    return weights.set_axis(ids, axis=0), terms.drop(weights.index)


def scaled(sets) -> pd.Series:
    """Give each comparator's weight over all sets, in MatchIt's scale."""
    total = sets.table.groupby("comparator")["weight"].sum()
    return total / total.sum() * len(total)


def hold(counties: pd.DataFrame, weights: pd.Series, terms: pd.Series, on: list[str]) -> None:
    """Hold balance, counts and the difference to MatchIt's, computed by its formulas."""
    treated, control = counties[counties["tr"]], counties.loc[weights.index]
    change = counties["lemp.2007"] - counties["lemp.2003"]
    found = {
        "n|Control|All": len(counties) - len(treated),
        "n|Control|Matched": len(weights),
        "n|Control|Unmatched": len(counties) - len(treated) - len(weights),
        "n|Control|Matched (ESS)": weights.sum() ** 2 / (weights**2).sum(),
        "n|Treated|Matched": len(treated),
        "did_2007_2003_weighted": change[treated.index].mean()
        - np.average(change[weights.index], weights=weights),
    }
    for name in on:
        x1, x0 = treated[name], control[name]
        mean = np.average(x0, weights=weights)
        share = weights / weights.sum()
        var = (share * (x0 - mean) ** 2).sum() / (1 - (share**2).sum())
        found[f"smd_matched|{name}"] = (x1.mean() - mean) / x1.std()
        found[f"var_ratio_matched|{name}"] = x1.var() / var
    for term, value in found.items():
        assert value == pytest.approx(terms[term], rel=REL), term


CASES = {
    "match_nearest_mahalanobis_ratio1": ({"replace": False}, False),
    "match_nearest_mahalanobis_replace_ratio3": ({"ratio": 3}, False),
    "match_nearest_mahalanobis_2004_replace": ({}, True),
    "match_optimal_mahalanobis_2004": ({"method": "optimal"}, True),
    "match_optimal_mahalanobis_2004_ratio3": ({"method": "optimal", "ratio": 3}, True),
}


@pytest.mark.parametrize("case", CASES)
def test_matchit_mahalanobis(case, counties, reference):
    options, first_cohort = CASES[case]
    if first_cohort:
        counties = counties[counties["first.treat"].isin([0, 2004])]
    pilots, rest = list(counties.index[counties["tr"]]), list(counties.index[~counties["tr"]])
    sets = Matching(Covariates(counties[ON]), **options).match(pilots, rest)
    check_sets(sets, pilots, rest)
    weights, terms = of(reference, case)
    found = scaled(sets)
    assert set(found.index) == set(weights.index)
    np.testing.assert_allclose(found[weights.index], weights, rtol=REL)
    hold(counties, found, terms, ON)


# -- propensity ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scores(counties) -> pd.Series:
    x, is_pilot = counties[ON].to_numpy(), counties["tr"].to_numpy()
    p1, p0 = propensity(x[is_pilot], x[~is_pilot], ON, where="")
    made = pd.Series(np.nan, index=counties.index)
    made[is_pilot], made[~is_pilot] = p1, p0
    return made


def lower_first(
    scores: pd.Series, is_pilot: pd.Series, *, replace: bool, band: pd.Series | None
) -> dict[str, str]:
    """Match as MatchIt 4.5.1 does: the next lower propensity; only where there is none, a higher.

    It compares the two with an absolute value that cuts to whole numbers, so that the lower one
    always counts as no further away (and no caliper ever binds).
    """
    order = list(scores.sort_values(kind="stable").index)
    place = {unit: i for i, unit in enumerate(order)}
    free = set(scores.index[~is_pilot])
    found = {}
    for pilot in scores.index[is_pilot]:
        at = place[pilot]
        for unit in [*order[:at][::-1], *order[at + 1 :]]:
            if unit in free and (band is None or band[unit] == band[pilot]):
                found[pilot] = unit
                break
        if not replace:
            free.remove(found[pilot])
    return found


PROPENSITY = {
    "match_nearest_glm": {"replace": False},
    "match_nearest_glm_replace": {},
    "match_caliper_glm_replace": {},  # the caliper of the call does not bind, by a fault
    "match_exact_band_glm_replace": {"exact": ("band",)},
}


@pytest.mark.parametrize("case", PROPENSITY)
def test_matchit_propensity(case, counties, scores, reference):
    options = PROPENSITY[case]
    on = [*ON, *options.get("exact", ())]
    is_pilot = counties["tr"]
    weights, terms = of(reference, case)

    theirs = lower_first(
        scores,
        is_pilot,
        replace=options.get("replace", True),
        band=counties["band"] if "exact" in options else None,
    )
    total = pd.Series(list(theirs.values())).value_counts()
    made = total / total.sum() * len(total)
    assert set(made.index) == set(weights.index)
    np.testing.assert_allclose(made[weights.index], weights, rtol=REL)
    hold(counties.assign(distance=scores), made, terms, ["distance", *ON])
    apart = sum(abs(scores[one] - scores[other]) for one, other in theirs.items())
    assert apart == pytest.approx(terms["sum_distance_treated_control"], rel=REL)

    pilots, rest = list(counties.index[is_pilot]), list(counties.index[~is_pilot])
    matching = Matching(Covariates(counties[on]), distance="propensity", **options)
    ours = matching.match(pilots, rest)
    check_sets(ours, pilots, rest)
    assert ours.table["distance"].sum() < 0.75 * apart
    if options.get("replace", True):  # one by one: none of theirs is nearer
        distance = ours.table.set_index("pilot")["distance"]
        assert all(distance[p] <= abs(scores[p] - scores[u]) + 1e-12 for p, u in theirs.items())
        both = [p for p in pilots if theirs[p] in ours.weights[p]]
        assert len(both) > 50  # where the nearest is the lower one, they agree


def test_the_caliper_of_the_reference_call_would_leave_pilots_out(counties):
    pilots, rest = list(counties.index[counties["tr"]]), list(counties.index[~counties["tr"]])
    matching = Matching(
        Covariates(counties[ON]), distance="propensity", caliper=0.1, unmatched="leave_out"
    )
    sets = matching.match(pilots, rest)
    check_sets(sets, pilots, rest)
    assert set(sets.unmatched) == {"12099", "24033", "30109", "39035"}


# -- weights ---------------------------------------------------------------------------------------


def test_ebal(counties, reference):
    pilots, rest = list(counties.index[counties["tr"]]), list(counties.index[~counties["tr"]])
    sets = EntropyBalancing(Covariates(counties[ON])).match(pilots, rest)
    check_sets(sets, pilots, rest)
    weights, terms = of(reference, "ebal_moments1")
    found = pd.Series(sets.weights[pilots[0]])
    np.testing.assert_allclose(found[weights.index], weights / weights.sum(), rtol=REL)
    change = counties["lemp.2007"] - counties["lemp.2003"]
    did = change[pilots].mean() - (found * change[found.index]).sum()
    assert did == pytest.approx(terms["did_2007_2003_weighted"], rel=REL)


@pytest.mark.parametrize(
    ("case", "treated"),
    [
        ("prop99_qp__sc", ["California"]),
        ("prop99_3t_qp__sc", ["California", "Nevada", "Utah"]),
    ],
)
def test_the_quadratic_programme_of_synthetic_control(case, treated, shared_reference):
    states = pd.read_csv(
        shared_reference / "data" / "california_prop99.csv", sep=None, engine="python"
    )
    wide = states.pivot(index="State", columns="Year", values="PacksPerCapita")
    before = wide[[year for year in wide.columns if year < 1989]]
    terms = pd.read_csv(shared_reference / "synthdid.csv").set_index(["case", "term"])
    omega = terms.loc[case, "estimate"]
    att = omega["ATT"]
    omega = omega[omega.index.str.startswith("omega|")]
    omega.index = [term.split("|")[1] for term in omega.index]
    rest = sorted(set(wide.index) - set(treated))
    matching = SyntheticWeights(Covariates(before), pooled=True, ridge=1e-9, standardise=False)
    sets = matching.match(treated, rest)
    check_sets(sets, treated, rest)
    found = pd.Series(sets.weights[treated[0]])
    assert set(omega.index) <= set(found.index)
    np.testing.assert_allclose(found[omega.index], omega, rtol=REL)
    assert found.drop(omega.index).sum() < 1e-5
    after = wide[[year for year in wide.columns if year >= 1989]]
    gap = after.loc[treated].mean(axis=0) - found @ after.loc[found.index]
    assert gap.mean() == pytest.approx(att, rel=REL)
