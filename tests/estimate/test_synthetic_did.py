"""Synthetic DiD: the optimum of R's quadprog, R's own numbers from R's weights, and theorems."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import codes, design_of, frame_of, noise, treated
from synthetic_reference import MADE_OF, load, numbers, own_weights, same_weights, weights

import didkit as dk
from didkit.errors import EstimationError
from didkit.estimate.donors import Family, Mixture, publish

ONE = {3: 6, 9: 6, 17: 6}
SEVERAL = {3: 6, 9: 6, 17: 8}


def fit(y, starts=ONE, **options):
    return dk.SyntheticDiD(**options).fit(design_of(y, starts), "m")


@pytest.mark.parametrize("case", ["prop99", "prop99_3t"])
def test_the_exact_optimum_of_quadprog(shared_reference, case):
    """R: quadprog::solve.QP on the objective of synthdid_estimate, ridges of the package."""
    given = numbers(shared_reference, f"{case}_qp__sdid")
    made = dk.SyntheticDiD().fit(*load(shared_reference, case)).infer(None)
    assert made.values[0] == pytest.approx(given["ATT"], rel=1e-9)
    same_weights(own_weights(made, "unit"), weights(given, "omega"), 1e-10)
    same_weights(own_weights(made, "period"), weights(given, "lambda"), 1e-9)


@pytest.mark.parametrize(
    ("case", "zeta", "distance"),
    [
        ("prop99", 10.2262325714912, 0.0016),
        ("prop99_3t", 13.3759079937311, 0.0088),
        ("cps_fake3", 0.0506214189059091, 5.3e-6),
    ],
)
def test_how_far_the_package_stops_from_it(shared_reference, case, zeta, distance):
    """R: synthdid_estimate(Y, N0, T0), which ends at min.decrease = 1e-5 of the noise."""
    given = numbers(shared_reference, f"{case}__sdid")
    made = dk.SyntheticDiD().fit(*load(shared_reference, case)).infer(None)
    assert made.facts["zeta"] == pytest.approx(zeta, rel=1e-12)
    assert abs(made.values[0] - given["ATT"]) == pytest.approx(distance, rel=0.05)


def test_the_package_converged_further_is_nearer(shared_reference):
    """R: synthdid_estimate(…, min.decrease=1e-12, max.iter=2e5, sparsify=NULL)."""
    given = numbers(shared_reference, "prop99_tight__sdid")
    made = dk.SyntheticDiD().fit(*load(shared_reference, "prop99")).infer(None)
    assert abs(made.values[0] - given["ATT"]) < 0.00025
    same_weights(own_weights(made, "unit"), weights(given, "omega"), 2e-5)


@pytest.mark.parametrize("kind", ["sdid", "sc", "did"])
@pytest.mark.parametrize("case", sorted(MADE_OF))
def test_the_package_from_its_own_weights(shared_reference, case, kind):
    """R: ATT, synthdid_effect_curve and sqrt(vcov(est, method='jackknife')), weights as printed.

    What is left when the package's weights are given: the estimate, the effect of each period and
    algorithm 3 (jackknife with fixed weights), which CR0 of the influence is.
    """
    given = numbers(shared_reference, f"{case}__{kind}")
    design, metric = load(shared_reference, case)
    sample = design.sample(metric)
    start = sample.starts[0]
    when = np.arange(len(sample.periods))
    omega, lam = weights(given, "omega"), weights(given, "lambda")
    others = [u for u in sample.units if u not in design.starts]
    w = np.array([omega.get(u, 0.0) for u in others])
    periods = np.array([lam.get(p, 0.0) for p in sample.periods])
    if kind == "did":
        w, periods = np.full(len(others), 1 / len(others)), (when < start) / start
    family = Family(
        sample.y,
        (when < start)[None],
        (when >= start)[None],
        lambda g, own, donors: Mixture(w[None], periods),
    )

    def made(by):
        return publish(
            dk.SyntheticDiD(by=by),
            design,
            sample,
            family,
            by=by,
            overall=False,
            balance=None,
            aggregation="pilots",
            anticipation=0,
            estimand="",
            facts={},
            notes=(),
        )

    simple, curve = made("simple"), made("dynamic")
    assert simple.values[0] == pytest.approx(given["ATT"], rel=1e-9)
    of_period = dict(zip(curve.terms["period"], curve.values, strict=True))
    printed = {t[6:]: v for t, v in given.items() if t.startswith("curve|")}
    assert len(printed) == len(sample.periods) - start
    scale = max(map(abs, printed.values()))
    for period, value in printed.items():
        assert of_period[period] == pytest.approx(value, abs=1e-9 * scale)
    if np.isnan(given["se_jackknife"]):
        assert simple.influence is None  # one pilot: NA there, none here
    else:
        error = simple.infer(dk.ClusterRobust("CR0"))["att"]["std_error"]
        assert error == pytest.approx(given["se_jackknife"], rel=1e-9)


def test_equal_weights_are_difference_in_differences(shared_reference):
    """R: did_estimate(Y, N0, T0)."""
    for case in MADE_OF:
        design, metric = load(shared_reference, case)
        assert dk.DiD("complete").fit(design, metric).values[0] == pytest.approx(
            numbers(shared_reference, f"{case}__did")["ATT"], rel=1e-10
        )
    # a ridge without bound makes unit weights equal
    made = fit(noise(20, 9, 1), zeta=1e9)
    np.testing.assert_allclose(list(own_weights(made, "unit").values()), 1 / 17, atol=1e-9)


@pytest.mark.parametrize("starts", [ONE, SEVERAL])
@pytest.mark.parametrize("by", ["simple", "dynamic", "group", "calendar", "none"])
def test_without_noise_the_exact_effect(by, starts):
    y = noise(20, 11, 2, scale=0.0) - 7.5 * treated((20, 11), starts)
    made = fit(y, starts, by=by)
    after = (made.terms["phase"] == "after").to_numpy()
    np.testing.assert_allclose(made.values[after], -7.5, rtol=1e-10)
    np.testing.assert_allclose(made.values[~after], 0, atol=1e-9)


def test_unit_effects_cancel_and_period_effects_do_with_a_ridge_given():
    """The usual ridge is in units of the donors' changes, which period effects are part of."""
    y, rng = noise(20, 9, 3), np.random.default_rng(1)
    units, periods = 90 * rng.normal(size=(20, 1)), 90 * rng.normal(size=(1, 9))
    assert fit(y + units).values == pytest.approx(fit(y).values, rel=1e-9)
    moved, still = (fit(x, zeta=4.0) for x in (y + units + periods, y))
    assert moved.values == pytest.approx(still.values, rel=1e-8)
    assert abs(fit(y + periods).facts["zeta"] - fit(y).facts["zeta"]) > 1


def test_scale_and_order():
    y = noise(20, 9, 4)
    assert fit(-3 * y).values == pytest.approx(-3 * fit(y).values, rel=1e-9)
    order = np.random.default_rng(2).permutation(20)
    starts = {int(np.flatnonzero(order == j)[0]): t for j, t in ONE.items()}
    assert fit(y[order], starts).values == pytest.approx(fit(y).values, rel=1e-9)


def test_weights_give_the_estimate():
    y = noise(20, 11, 5)
    made = fit(y, SEVERAL)
    total = 0.0
    ids = codes(20)
    for start, table in made.synthetic.groupby("start"):
        own = [j for j, t in SEVERAL.items() if str(2011 + t) == start]
        gap = y[own].mean(axis=0)
        for row in table[table["kind"] == "unit"].itertuples():
            gap = gap - row.weight * y[ids.index(row.label)]
        base = sum(
            row.weight * gap[int(row.label) - 2011]
            for row in table[table["kind"] == "period"].itertuples()
        )
        first = int(start) - 2011
        total += len(own) * (gap[first:] - base).sum()
    cells = sum(11 - t for t in SEVERAL.values())
    assert made.values[0] == pytest.approx(total / cells, rel=1e-10)


def test_starts_are_averaged_by_pilots_and_periods():
    y = noise(20, 11, 6)
    simple, groups = fit(y, SEVERAL).values[0], fit(y, SEVERAL, by="group").values
    assert simple == pytest.approx((2 * 5 * groups[0] + 3 * groups[1]) / (2 * 5 + 3), rel=1e-12)
    alike = fit(y, SEVERAL, aggregation="cohorts").values[0]
    assert alike == pytest.approx((5 * groups[0] + 3 * groups[1]) / 8, rel=1e-12)
    each = [fit(np.delete(y, 17, 0), {3: 6, 9: 6}), fit(np.delete(y, [3, 9], 0), {15: 8})]
    np.testing.assert_allclose(groups, [one.values[0] for one in each], rtol=1e-10)


def test_anticipation_hides_periods_from_the_weights():
    y = noise(20, 9, 7)
    bent = y.copy()
    bent[list(ONE), 5] += 50.0  # the pilots', in the last period before the start
    same, other = (fit(x, anticipation=1, by="dynamic") for x in (y, bent))
    gone = same.terms["phase"] == "anticipation"
    assert gone.sum() == 1
    np.testing.assert_allclose(other.values[~gone], same.values[~gone], rtol=1e-9)
    assert other.values[gone] == pytest.approx(same.values[gone] + 50, rel=1e-9)
    assert abs(fit(bent).values - fit(y).values) > 0.01


def test_covariates_are_projected_out():
    """Least squares with unit and period dummies on the untreated cells, and nothing else."""
    rng = np.random.default_rng(8)
    y, x = noise(20, 9, 8), rng.normal(size=(20, 9))
    y = y + 6 * x - 4 * treated(y.shape, ONE)
    frame = frame_of(y).assign(x=x.ravel())
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m", "x"])
    starts = {codes(20)[j]: 2011 + t for j, t in ONE.items()}
    design = dk.Design(panel, dk.Rollout(starts), against=dk.Pool(), selection="unknown")
    made = dk.SyntheticDiD(covariates=["x"]).fit(design, "m")
    clean = treated(y.shape, ONE).ravel() == 0
    unit, period = np.kron(np.eye(20), np.ones((9, 1))), np.kron(np.ones((20, 1)), np.eye(9))
    rows = np.column_stack([x.ravel(), unit, period])[clean]
    slope = np.linalg.lstsq(rows, y.ravel()[clean], rcond=None)[0][0]
    assert made.facts["coefficient x"] == pytest.approx(slope, rel=1e-9)
    assert made.values[0] == pytest.approx(fit(y - slope * x).values[0], rel=1e-9)
    flat = frame.assign(x=np.repeat(rng.normal(size=20), 9))
    panel = dk.Panel.from_frame(flat, unit="la", period="year", metrics=["m", "x"])
    design = dk.Design(panel, dk.Rollout(starts), against=dk.Pool(), selection="unknown")
    with pytest.raises(EstimationError, match="collinear"):
        dk.SyntheticDiD(covariates=["x"]).fit(design, "m")


def test_it_follows_where_trends_are_not_parallel():
    """Factors: DiD is biased, and the mixture removes most of it."""
    rng = np.random.default_rng(9)
    n, t = 60, 24
    loading = rng.uniform(0, 1, size=n)
    starts = dict.fromkeys(np.argsort(-loading)[2:7].tolist(), 16)
    y = 100 * loading[:, None] * np.linspace(0, 1, t) ** 2 + 300 + 0.5 * rng.normal(size=(n, t))
    bias = dk.DiD().fit(design_of(y, starts), "m").values[0]
    assert bias > 20
    assert abs(fit(y, starts).values[0]) < 0.15 * bias


def test_units_with_gaps_are_left_out_and_logged():
    y = noise(20, 9, 10)
    gap = y.copy()
    gap[5, 2] = np.nan
    made = fit(gap)
    whole = fit(np.delete(y, 5, axis=0), {3: 6, 8: 6, 16: 6})
    assert made.values == pytest.approx(whole.values, rel=1e-12)
    assert any("left out" in note for note in made.sample.notes)


def test_what_cannot_be_served_is_refused():
    y = noise(20, 9, 11)
    with pytest.raises(EstimationError, match="at least 2 periods"):
        fit(y, {3: 1, 9: 6})
    with pytest.raises(EstimationError, match="with 1 of anticipation"):
        fit(y, {3: 2}, anticipation=1)
    everybody = {j: 4 + j % 2 for j in range(20)}
    with pytest.raises(EstimationError, match="never start"):
        dk.SyntheticDiD().fit(design_of(y, everybody, against=dk.NotYetTreated()), "m")
    sets = design_of(y, ONE).compared_with(
        dk.SyntheticWeights(
            dk.Covariates.from_panel(design_of(y, ONE).panel, values={"m": (2011, 2014)})
        )
    )
    with pytest.raises(EstimationError, match="matched sets"):
        dk.SyntheticDiD().fit(sets, "m")


@pytest.mark.parametrize(
    "options",
    [{"by": "all"}, {"zeta": -1.0}, {"zeta": "x"}, {"anticipation": -1}, {"aggregation": "people"}],
)
def test_options_that_do_not_exist(options):
    with pytest.raises(EstimationError):
        dk.SyntheticDiD(**options)


def test_a_resample_is_the_estimate_on_the_units_it_holds():
    """A unit drawn twice is two units: the same as a panel in which it stands twice."""
    y = noise(20, 9, 12)
    made = fit(y, zeta=4.0)
    counts = np.random.default_rng(3).multinomial(20, np.full(20, 1 / 20))
    counts[3], counts[9] = max(counts[3], 1), 0
    rows = np.repeat(np.arange(20), counts)
    starts = {i: ONE[j] for i, j in enumerate(rows.tolist()) if j in ONE}
    again = fit(y[rows], starts, zeta=4.0)
    np.testing.assert_allclose(made.resampled(counts[None])[0], again.values, rtol=1e-8)
    none = np.where(np.isin(np.arange(20), list(ONE)), 0, 1)
    assert np.isnan(made.resampled(none[None])).all()


def test_the_jackknife_by_deletion():
    """Weights held: each unit's deletion by hand, for several starts."""
    y = noise(20, 11, 13)
    made = fit(y, SEVERAL)
    ids, n = codes(20), 20
    found = []
    for out in range(n):
        top = cells = 0.0
        for start, table in made.synthetic.groupby("start"):
            first = int(start) - 2011
            own = [j for j, t in SEVERAL.items() if t == first and j != out]
            if not own:
                continue
            units = table[(table["kind"] == "unit") & (table["label"] != ids[out])]
            w = np.zeros(n)
            w[[ids.index(u) for u in units["label"]]] = units["weight"] / units["weight"].sum()
            gap = y[own].mean(axis=0) - w @ y
            lam = np.zeros(11)
            times = table[table["kind"] == "period"]
            lam[times["label"].astype(int) - 2011] = times["weight"]
            top += len(own) * (gap[first:] - lam @ gap).sum()
            cells += len(own) * (11 - first)
        found.append(top / cells)
    expected = (n - 1) / n * ((np.array(found) - np.mean(found)) ** 2).sum()
    assert (made.influence[:, 0] ** 2).sum() == pytest.approx(expected, rel=1e-10)


def test_the_table_of_weights():
    made = fit(noise(20, 11, 14), SEVERAL).infer(None)
    assert isinstance(made.synthetic, pd.DataFrame)
    sums = made.synthetic.groupby(["start", "kind"])["weight"].sum()
    np.testing.assert_allclose(sums, 1.0, rtol=1e-12)
    assert made.weights is None  # they depend on the outcome


@pytest.mark.parametrize("estimator", [dk.SyntheticDiD(), dk.AugmentedSyntheticControl()])
def test_a_pilot_first_exposed_later_joins_a_start_whose_other_pilots_have_no_gap(estimator):
    """The period set aside has no value for one pilot of the start, and no part in any weight."""
    y = noise(26, 9, 5, scale=0.0)
    y[[3, 9], 7:] += 7.0
    y[9, 6] = 1e6  # partly treated
    ids = codes(len(y))
    panel = dk.Panel.from_frame(frame_of(y, ids), unit="la", period="year", metrics=["m"])
    rollout = dk.Rollout({ids[3]: 2018, ids[9]: 2017}, first_exposed={"stock": {ids[9]: 2018}})
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    assert estimator.fit(design, "m").infer(None).values == pytest.approx([7.0], abs=1e-5)
