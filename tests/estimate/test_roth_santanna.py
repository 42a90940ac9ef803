"""Roth & Sant'Anna: R's numbers, theorems of random timing, and what it refuses."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, noise, treated
from scipy.stats import norm

import didkit as dk
from didkit.design import Design, NotYetTreated
from didkit.errors import DesignError, EstimationError
from didkit.estimate import random_timing as kernel
from didkit.estimate.roth_santanna import RothSantAnna

_WAYS = {
    "staggered": "efficient",
    "staggered_cs": "callaway_santanna",
    "staggered_sa": "sun_abraham",
}
_BY: dict[str, dict[str, Any]] = {
    "simple": {"by": "simple"},
    "cohort": {"by": "group", "overall": True},
    "calendar": {"by": "calendar", "overall": True},
    "eventstudy": {"by": "dynamic"},
}
_CASES = [
    *(
        f"pj_complaints_{way}_{by}"
        for by in ("simple", "cohort", "calendar", "es")
        for way in _WAYS
    ),
    *(f"pj_sustained_{way}_simple" for way in _WAYS),
    *(f"pj_force_staggered_sa_{by}" for by in ("simple", "cohort", "calendar", "es")),
    "pj_complaints_lasttreated",
    *(f"mpdta_{way}_{by}" for by in ("simple", "cohort") for way in _WAYS),
    "mpdta_staggered_es",
    "mpdta_staggered_cs_es",
]


_FAST = ("pj_complaints_staggered_simple", "pj_complaints_lasttreated")


@lru_cache(maxsize=2)
def _design(folder: Path, outcome: str) -> Design:
    if outcome == "lemp":
        frame = pd.read_csv(folder / "data" / "mpdta.csv")
        ids = ("countyreal", "year", "first.treat")
    else:
        frame = pd.read_csv(folder / "data" / "pj_officer_level_balanced.csv.gz")
        ids = ("uid", "period", "first_trained")
    return Design.from_frame(
        frame,
        unit=ids[0],
        period=ids[1],
        start=ids[2],
        metrics=[outcome],
        against=NotYetTreated(),
        selection="random",
    )


def _estimator(call: str) -> RothSantAnna:
    """Write the options of one call of R."""
    said = next(by for by in _BY if f"estimand='{by}'" in call)
    last = "use_last_treated_only=TRUE" in call
    return RothSantAnna(
        _WAYS[call.split("(")[0]],  # type: ignore[arg-type]
        comparison="last" if last else None,
        variance="adjusted",
        **_BY[said],
    )


def _marked(case: str) -> Any:
    """Half a million rows a case: what the other cases hold too is left to the slow tier."""
    slow = case.startswith("pj") and case not in _FAST
    return pytest.param(case, marks=pytest.mark.slow) if slow else case


@pytest.mark.parametrize("case", [_marked(case) for case in _CASES])
def test_staggered_1_2_3(case: str, shared_reference: Path) -> None:
    """R's staggered, staggered_cs and staggered_sa (column `call`): estimate and both errors.

    Not compared here: event time −1, which is R's 0 and our reference, and −2, of the next test.
    """
    table = pd.read_csv(shared_reference / "staggered.csv")
    rows = table[table["case"] == case]
    call = rows["call"].iloc[0]
    outcome = next(y for y in ("complaints", "sustained", "force", "lemp") if f"y='{y}'" in call)
    design = _design(shared_reference, outcome)
    made = _estimator(call).fit(design, outcome).infer(dk.ClusterRobust("CR0", df="normal"))
    found = made.tidy().set_index("term")
    compared = 0
    for row in rows.itertuples():
        if row.term in ("eventTime=-1", "eventTime=-2"):
            continue
        e = int(row.term.split("=")[1]) if "=" in row.term else None
        mine = found.loc["att" if e is None else f"event time {e:+d}" if e else "event time 0"]
        np.testing.assert_allclose(mine["estimate"], row.estimate, rtol=1e-9)
        np.testing.assert_allclose(mine["std_error"], row.std_error, rtol=1e-7)
        np.testing.assert_allclose(mine["se_adjusted"], row.std_error, rtol=1e-7)
        neyman = float(row.extra.removeprefix("se_neyman="))
        np.testing.assert_allclose(mine["se_neyman"], neyman, rtol=1e-9)
        np.testing.assert_allclose(
            mine["conf_low"], row.estimate - norm.ppf(0.975) * row.std_error, rtol=1e-7
        )
        compared += 1
    assert compared == len(rows) - rows["term"].isin(["eventTime=-1", "eventTime=-2"]).sum()


def test_every_reference_case_is_asked_for(shared_reference: Path) -> None:
    table = pd.read_csv(shared_reference / "staggered.csv")
    assert sorted(set(table["case"])) == sorted(_CASES)


def _mpdta(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give outcomes, cohort, first treated position and size of each cohort; the last never."""
    frame = pd.read_csv(folder / "data" / "mpdta.csv").sort_values(["countyreal", "year"])
    start = frame["first.treat"].to_numpy().reshape(-1, 5)[:, 0]
    first, cohort = np.unique(np.where(start > 0, start - 2003, 5), return_inverse=True)
    y = frame["lemp"].to_numpy().reshape(-1, 5)
    return y, cohort, first.astype(np.intp), np.bincount(cohort).astype(float)


@pytest.mark.parametrize("way", ["staggered", "staggered_cs"])
def test_why_event_time_minus_2_differs(way: str, shared_reference: Path) -> None:
    """R's event time −2 counts the gap in levels of a cohort whose period is before the window.

    staggered(…, estimand='eventstudy', eventTime=-2): the cohort of 2004 has no 2002 in the data,
    yet R takes β times its gap in 2003 away and gives it weight. With that put back R's number and
    error come out; didkit leaves the cohort out of the term.
    """
    y, cohort, first, size = _mpdta(shared_reference)
    a = np.zeros((1, 4, 5))
    base = np.zeros((1, 4, 5))
    for g in range(3):
        share = np.where(first > first[g], size, 0.0)
        row = -share / share.sum()
        row[g] += 1
        weight = size[g] / size[:3].sum()
        if first[g] >= 2:
            a[0, :, first[g] - 2] += weight * row
        base[0, :, first[g] - 1] += weight * row
    beta = {"efficient": None, "callaway_santanna": 1.0}[_WAYS[way]]
    fitted = kernel.fit(y, cohort, kernel.Comparisons(a, base), size, beta)
    table = pd.read_csv(shared_reference / "staggered.csv")
    row = table[(table["case"] == f"mpdta_{way}_es") & (table["term"] == "eventTime=-2")].iloc[0]
    np.testing.assert_allclose(fitted.values[0], row["estimate"], rtol=1e-9)
    np.testing.assert_allclose(np.sqrt((fitted.influence**2).sum()), row["std_error"], rtol=1e-9)
    design = _design(shared_reference, "lemp")
    mine = RothSantAnna(_WAYS[way], by="dynamic").fit(design, "lemp").tidy()  # type: ignore[arg-type]
    mine = mine.set_index("term").loc["event time -2"]
    assert mine["n_pilots"] == 171  # the cohorts of 2006 and 2007
    assert abs(mine["estimate"] - row["estimate"]) > 0.005
    assert mine["se_adjusted"] == mine["se_neyman"]


# -- theorems ------------------------------------------------------------------------------------

STARTS = {0: 2, 3: 2, 5: 2, 1: 4, 6: 4, 8: 4, 2: 5, 9: 5}
EVERY = ["efficient", "callaway_santanna", "sun_abraham", "none"]


def _not_yet(y: np.ndarray, starts: dict[int, int] | None = None) -> Design:
    starts = STARTS if starts is None else starts
    return design_of(y, starts, against=NotYetTreated(), selection="random")


def _labels(starts: dict[int, int], n: int) -> np.ndarray:
    kinds = sorted(set(starts.values()))
    return np.array([kinds.index(starts[j]) if j in starts else -1 for j in range(n)])


@pytest.mark.parametrize("adjust", ["callaway_santanna", "none"])
def test_unbiased_and_its_variance_too_over_every_assignment(adjust: str) -> None:
    """Without an effect: over all 90 orders the mean is 0, and the variances' mean the variance.

    The design-based theorem of an experiment, exact for a given β: Neyman's variance is unbiased
    where effects are alike.
    """
    y = noise(6, 5, 4)
    starts = {0: 2, 1: 2, 2: 3, 3: 3}
    made = RothSantAnna(adjust).fit(_not_yet(y, starts), "m")  # type: ignore[arg-type]
    every = np.array(sorted(set(permutations([0, 0, 1, 1, -1, -1]))))
    assert len(every) == 90
    assert made.reassigned is not None
    draws = made.reassigned(every)
    assert abs(draws.b.mean()) < 1e-10 * np.abs(draws.b).max()
    np.testing.assert_allclose(draws.v0.mean(), (draws.b**2).mean(), rtol=1e-10)


@pytest.mark.parametrize("adjust", EVERY)
@pytest.mark.parametrize("by", ["simple", "dynamic", "none"])
def test_reassigned_is_the_refit(adjust: str, by: str) -> None:
    """Under other labels: the estimate, its conservative variance, and the effect taken out."""
    y = noise(10, 6, 5) + 3 * treated((10, 6), STARTS)
    estimator = RothSantAnna(adjust, by=by, variance="neyman")  # type: ignore[arg-type]
    made = estimator.fit(_not_yet(y), "m")
    labels = _labels(STARTS, 10)
    rng = np.random.default_rng(6)
    drawn = np.stack([labels, *(rng.permutation(labels) for _ in range(3))])
    assert made.reassigned is not None
    draws = made.reassigned(drawn)
    np.testing.assert_allclose(draws.b[0], made.values, rtol=1e-9)
    np.testing.assert_allclose(draws.a[0], 1.0, rtol=1e-9)
    np.testing.assert_allclose(draws.v0[0], (made.influence**2).sum(axis=0), rtol=1e-9)
    if adjust != "efficient":  # another cohort's base may meet the pattern of a term before
        after = (made.terms["phase"] == "after").to_numpy()
        np.testing.assert_allclose(draws.v2[0][after], 0, atol=1e-12)
    when = sorted(set(STARTS.values()))
    for b, row in enumerate(drawn):
        other = {j: when[g] for j, g in enumerate(row) if g >= 0}
        again = estimator.fit(_not_yet(y, other), "m")
        np.testing.assert_allclose(draws.b[b], again.values, rtol=1e-8)
        np.testing.assert_allclose(draws.v0[b], (again.influence**2).sum(axis=0), rtol=1e-8)
        if by == "simple" and adjust != "efficient":
            less = estimator.fit(_not_yet(y - 2 * treated((10, 6), STARTS), other), "m")
            np.testing.assert_allclose(draws.b[b] - 2 * draws.a[b], less.values, rtol=1e-8)
            variance = draws.v0[b] - 4 * draws.v1[b] + 4 * draws.v2[b]
            np.testing.assert_allclose(variance, (less.influence**2).sum(axis=0), rtol=1e-7)


def test_the_efficient_beta_has_the_least_variance() -> None:
    y = noise(10, 6, 7)
    design = _not_yet(y)
    se = {way: RothSantAnna(way, by="dynamic").fit(design, "m") for way in EVERY[:2] + EVERY[3:]}  # type: ignore[arg-type]
    best = se["efficient"].terms["se_neyman"]
    for way in ("callaway_santanna", "none"):
        assert (best < se[way].terms["se_neyman"]).all()
    assert se["efficient"].terms["beta"].nunique() == se["efficient"].n_terms
    assert (se["none"].terms["beta"] == 0).all()
    assert (se["callaway_santanna"].terms["beta"] == 1).all()


@pytest.mark.parametrize("adjust", EVERY[:3])
def test_no_noise_exact_effect(adjust: str) -> None:
    y = noise(10, 6, 8, scale=0.0) - 4.5 * treated((10, 6), STARTS)
    made = RothSantAnna(adjust, by="dynamic").fit(_not_yet(y), "m")  # type: ignore[arg-type]
    after = (made.terms["phase"] == "after").to_numpy()
    np.testing.assert_allclose(made.values, np.where(after, -4.5, 0.0), atol=1e-10)


def test_callaway_santanna_is_group_time() -> None:
    """With β = 1 the estimates from the start on are those of GroupTime, not yet treated."""
    design = _not_yet(noise(10, 6, 9))
    for by in ("simple", "group", "calendar"):
        mine = RothSantAnna("callaway_santanna", by=by).fit(design, "m")  # type: ignore[arg-type]
        other = dk.GroupTime(by=by, comparison="not_yet").fit(design, "m")  # type: ignore[arg-type]
        np.testing.assert_allclose(mine.values, other.values, rtol=1e-10)
        np.testing.assert_allclose((mine.weights * mine.sample.y).sum((1, 2)), mine.values)


def test_none_is_a_difference_of_means() -> None:
    y = noise(10, 6, 10)
    made = RothSantAnna("none", by="none").fit(_not_yet(y), "m").tidy().set_index("term")
    late = [j for j in range(10) if STARTS.get(j, 9) > 4]
    expected = y[[1, 6, 8], 4].mean() - y[late, 4].mean()
    found = made.loc[f"start {FIRST + 4}, period {FIRST + 4}"]
    np.testing.assert_allclose(found["estimate"], expected, rtol=1e-12)
    assert found["n_comparators"] == len(late)


def test_anticipation_is_an_earlier_start() -> None:
    y = noise(10, 7, 11)
    ahead = RothSantAnna(by="dynamic", anticipation=1).fit(_not_yet(y), "m").tidy()
    early = {j: t - 1 for j, t in STARTS.items()}
    moved = RothSantAnna(by="dynamic").fit(_not_yet(y, early), "m").tidy()
    np.testing.assert_allclose(ahead["estimate"], moved["estimate"], rtol=1e-10)
    assert (ahead["event_time"] + 1).tolist() == moved["event_time"].tolist()
    assert ahead.loc[ahead["event_time"] == -1, "phase"].tolist() == ["anticipation"]
    assert ahead.loc[ahead["phase"] == "reference", "event_time"].tolist() == [-2]


def test_the_carried_variance() -> None:
    """The cross-product is the adjusted covariance; nothing serves where it is indefinite."""
    rng = np.random.default_rng(12)
    influence = rng.normal(size=(30, 3))
    less = np.diag([2.0, 1.0, 0.0])
    made = kernel.carried_over(influence, less)
    assert made is not None
    np.testing.assert_allclose(made.T @ made, influence.T @ influence - less, atol=1e-9)
    one = kernel.carried_over(influence[:, :1], less[:1, :1])
    assert one is not None
    ratio = one[:, 0] / influence[:, 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-10)
    assert ratio[0] < 1
    assert kernel.carried_over(influence, 1e3 * less) is None


def test_rows_shuffled_and_period_effects_change_nothing() -> None:
    y = noise(10, 6, 13)
    made = RothSantAnna(by="dynamic").fit(_not_yet(y), "m")
    order = np.random.default_rng(14).permutation(10)
    back = {int(np.flatnonzero(order == j)[0]): t for j, t in STARTS.items()}
    moved = RothSantAnna(by="dynamic").fit(_not_yet(3 * (y + np.arange(6) ** 2)[order], back), "m")
    np.testing.assert_allclose(moved.values, 3 * made.values, rtol=1e-9)
    np.testing.assert_allclose(moved.terms["beta"], made.terms["beta"], rtol=1e-9)


# -- who is left out, and what is refused --------------------------------------------------------


def test_gaps_and_lonely_starts_are_left_out_by_name() -> None:
    y = noise(12, 6, 15)
    y[3, 1] = np.nan
    starts = {**STARTS, 7: 3}
    made = RothSantAnna().fit(_not_yet(y, starts), "m")
    notes = " ".join(made.all_notes)
    assert f"({codes(12)[3]}) left out: a gap in the window" in notes
    assert f"({codes(12)[7]}) left out: the only one of its start" in notes
    kept = [j for j in range(12) if j not in (3, 7)]
    again = {kept.index(j): t for j, t in STARTS.items() if j in kept}
    np.testing.assert_allclose(
        made.values, RothSantAnna().fit(_not_yet(y[kept], again), "m").values
    )


def test_where_the_variance_is_adjusted_and_where_not() -> None:
    """Units one by one: adjusted. Clusters above them, or a negative remainder: conservative."""
    starts = {j: 3 + j % 3 for j in range(30)}
    y = noise(45, 7, 16)
    y[:30, 3:] += np.linspace(0, 30, 30)[:, None] * (y[:30, :1] - 300) / 40
    one = RothSantAnna(variance="adjusted").fit(_not_yet(y, starts), "m")
    assert one.facts["se_adjusted"] < one.facts["se_neyman"]
    np.testing.assert_allclose((one.influence**2).sum(), one.facts["se_adjusted"] ** 2)
    neyman = RothSantAnna().fit(_not_yet(y, starts), "m")
    np.testing.assert_allclose((neyman.influence**2).sum(), one.facts["se_neyman"] ** 2)
    labels = {unit: str(j // 3) for j, unit in enumerate(codes(45))}
    design = design_of(y, starts, against=NotYetTreated(), selection="random", clusters=labels)
    above = RothSantAnna(variance="adjusted").fit(design, "m")
    assert "clusters lie above units" in " ".join(above.notes)
    np.testing.assert_allclose(above.influence, neyman.influence)
    few = RothSantAnna(variance="adjusted").fit(_not_yet(noise(10, 6, 16)), "m")
    assert "negative eigenvalue" in " ".join(few.notes)
    assert np.isnan(few.facts["se_adjusted"])
    np.testing.assert_allclose((few.influence**2).sum(), few.facts["se_neyman"] ** 2)


@pytest.mark.parametrize(
    "options",
    [
        {"adjust": "best"},
        {"comparison": "all"},
        {"variance": "robust"},
        {"adjust": "sun_abraham", "comparison": "not_yet"},
        {"anticipation": -1},
        {"by": "event"},
        {"aggregation": "people"},
        {"overall": True},
    ],
)
def test_unknown_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(EstimationError, match="RothSantAnna"):
        RothSantAnna(**options)


def test_designs_that_it_cannot_serve_are_refused() -> None:
    y = noise(6, 5, 17)
    whole = {0: 2, 1: 2, 2: 3, 3: 3, 4: 4, 5: 4}
    with pytest.raises(EstimationError, match="units that never start"):
        RothSantAnna(comparison="never").fit(_not_yet(y, whole), "m")
    sets = {codes(6)[0]: {codes(6)[2]: 1.0}, codes(6)[1]: {codes(6)[3]: 1.0}}
    design = design_of(y, {0: 2, 1: 2}, against=dk.MatchedSets(sets))
    with pytest.raises(EstimationError, match="matched sets"):
        RothSantAnna().fit(design, "m")
    with pytest.raises(EstimationError, match="cohorts of two units or more"):
        RothSantAnna().fit(_not_yet(y[:2], {0: 2, 1: 3}), "m")
    with pytest.raises(EstimationError, match="before the 2 periods of anticipation"):
        RothSantAnna(anticipation=2).fit(_not_yet(y, whole), "m")
    lonely = {0: 2, 1: 2, 2: 3, 3: 4}  # the first start is left with nobody
    with pytest.raises(DesignError, match="GroupTime"):
        RothSantAnna().fit(_not_yet(y[:4], lonely), "m")
