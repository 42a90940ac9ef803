"""Triple differences: what two differences-in-differences say, less one another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from helpers import FIRST, codes

from didkit.design import Design, Pool, Rollout
from didkit.errors import EstimationError
from didkit.estimate import DiD, EventStudy, TripleDifference
from didkit.inference import ClusterRobust, Permutation
from didkit.panel import Metric, Panel

N, T = 20, 6
STARTS = {1: 3, 4: 3, 8: 3, 11: 3, 15: 3, 18: 3}
REACHED = np.arange(N) % 3 != 2  # 1, 4, 15, 18 and others; pilots 8 and 11 are not reached


def data(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 50 + 5 * rng.normal(size=(N, 1)) + rng.normal(size=(1, T)) + rng.normal(size=(N, T))


def treated(starts=STARTS) -> np.ndarray:
    d = np.zeros((N, T))
    for j, t in starts.items():
        d[j, t:] = 1
    return d


def design_of(y, other=None, *, starts=STARTS, kinds=None, reached=REACHED, **options) -> Design:
    """Make a design of metric m, a second metric o, and a column `reached`."""
    other = y if other is None else other
    ids = codes(N)
    frame = pd.DataFrame(
        [(ids[j], FIRST + t, y[j, t], other[j, t], reached[j]) for j in range(N) for t in range(T)],
        columns=["la", "year", "m", "o", "reached"],
    )
    metrics = {name: (kinds or {}).get(name) or Metric(name=name) for name in ("m", "o")}
    panel = Panel.from_frame(
        frame, unit="la", period="year", metrics=metrics, attributes=["reached"]
    )
    rollout = Rollout({ids[j]: FIRST + t for j, t in starts.items()})
    return Design(panel, rollout, against=Pool(), selection="unknown", **options)


@pytest.mark.parametrize("inner", [DiD(), DiD("complete"), EventStudy()])
def test_a_second_metric_is_the_difference_of_two_estimates(inner):
    y, o = data(1), data(2)
    design = design_of(y, o)
    made = TripleDifference("o", estimator=inner).fit(design, "m")
    first, second = inner.fit(design, "m"), inner.fit(design, "o")
    assert made.values == pytest.approx(first.values - second.values, rel=1e-10)
    assert made.influence == pytest.approx(first.influence - second.influence, abs=1e-12)
    assert np.einsum("kjt,jt->k", made.weights, y - o) == pytest.approx(made.values, rel=1e-10)
    assert made.facts["second_difference"] == pytest.approx(
        second.values[second.place_of(None, where="")]
    )
    # weights are on the difference, so that the sample holds it
    assert made.sample.y == pytest.approx(y - o)


def test_what_moves_both_metrics_alike_cancels():
    drift = np.arange(T) * 3.0 * treated()  # pilots trend away, in both
    y = np.add.outer(np.linspace(0, 9, N), np.arange(T) ** 2.0)
    made = TripleDifference("o").fit(design_of(y + drift + 2.5 * treated(), y * 2 + drift), "m")
    assert made.values[0] == pytest.approx(2.5, abs=1e-10)
    assert abs(DiD().fit(design_of(y + drift + 2.5 * treated()), "m").values[0] - 2.5) > 1


def test_refits_and_every_inference_go_through():
    y, o = data(3), data(4)
    made = TripleDifference("o").fit(design_of(y, o), "m")
    again = made.refit(made.design)
    assert again.values == pytest.approx(made.values)
    assert made.infer(Permutation(draws=99, seed=1)).tidy()["p_value"][0] > 0
    dropped = made.refit(made.design.drop(codes(N)[0]))
    assert dropped.values[0] != made.values[0]
    assert made.metric.name == "m"


def test_cells_without_the_second_metric_are_counted():
    y, o = data(5), data(6)
    o[0, 2] = o[3, 1] = np.nan
    made = TripleDifference("o").fit(design_of(y, o), "m")
    assert any(note.startswith("2 cells have no value of 'o'") for note in made.notes)
    assert made.sample.mask.sum() == N * T - 2
    facts = made.facts
    assert facts["first_difference"] - facts["second_difference"] == pytest.approx(made.values[0])


@pytest.mark.parametrize("inner", [DiD(), EventStudy()])
def test_affected_is_the_difference_of_two_separate_estimates(inner):
    y = data(7)
    made = TripleDifference(affected="reached", estimator=inner).fit(design_of(y), "m")
    ids = np.array(codes(N))
    parts = []
    for inside in (REACHED, ~REACHED):
        design = design_of(y)
        for unit in ids[~inside]:
            design = design.drop(unit)
        parts.append(inner.fit(design, "m"))
    assert made.values == pytest.approx(parts[0].values - parts[1].values, rel=1e-9)
    assert np.einsum("kjt,jt->k", made.weights, made.sample.y) == pytest.approx(made.values)
    assert made.contrast @ made.normal.beta == pytest.approx(made.values, rel=1e-9)
    for one, sign in zip(parts, (1, -1), strict=True):
        rows = [made.sample.units.index(unit) for unit in one.sample.units]
        assert made.influence[rows] == pytest.approx(sign * one.influence, abs=1e-10)
    variances = [one.infer(ClusterRobust("CR2")).tidy()["std_error"] ** 2 for one in parts]
    mine = made.infer(ClusterRobust("CR2")).tidy()["std_error"] ** 2
    known = mine.notna()
    assert mine[known].to_numpy() == pytest.approx((variances[0] + variances[1])[known].to_numpy())


def test_affected_is_the_regression_with_three_interactions():
    """Least squares with unit effects, period × affected, pilot × after and the triple one."""
    y = data(8)
    made = TripleDifference(affected="reached").fit(design_of(y), "m")
    unit, period = np.indices((N, T))
    d, a = treated().ravel(), REACHED[unit].ravel().astype(float)
    eyes = np.eye(T)[period.ravel()][:, 1:]
    X = np.column_stack([d * a, d, np.eye(N)[unit.ravel()], eyes, eyes * a[:, None]])
    fitted = sm.OLS(y.ravel(), X).fit(
        cov_type="cluster", cov_kwds={"groups": unit.ravel(), "use_correction": False}
    )
    assert made.values[0] == pytest.approx(fitted.params[0], rel=1e-9)
    row = made.infer(ClusterRobust("CR0")).tidy().iloc[0]
    assert row["std_error"] == pytest.approx(fitted.bse[0], rel=1e-8)


def test_what_moves_pilots_alike_in_both_groups_cancels():
    level = np.add.outer(np.linspace(0, 9, N), np.arange(T) ** 2.0)
    drift = 4.0 * treated() + REACHED[:, None] * np.arange(T)
    y = level + drift + 1.5 * treated() * REACHED[:, None]
    made = TripleDifference(affected="reached").fit(design_of(y), "m")
    assert made.values[0] == pytest.approx(1.5, abs=1e-10)


def test_value_says_who_is_affected():
    y = data(9)
    words = np.where(REACHED, "town", "county")
    made = TripleDifference(affected="reached").fit(design_of(y), "m")
    town = TripleDifference(affected="reached", value="town").fit(design_of(y, reached=words), "m")
    county = TripleDifference(affected="reached", value="county")
    assert town.values == pytest.approx(made.values)
    assert county.fit(design_of(y, reached=words), "m").values == pytest.approx(-made.values)


def test_permutation_needs_strata_that_keep_the_parts():
    y = data(10)
    plain = TripleDifference(affected="reached").fit(design_of(y), "m")
    assert plain.reassigned is None
    strata = dict(zip(codes(N), np.where(REACHED, "in", "out"), strict=True))
    made = TripleDifference(affected="reached").fit(design_of(y, strata=strata), "m")
    # draws move pilots inside each part: held against fits one by one
    rng = np.random.default_rng(0)
    place = {unit: i for i, unit in enumerate(made.sample.units)}
    ids = codes(N)
    labels, fits = [], []
    for _ in range(3):
        moved = {}
        for part in (REACHED, ~REACHED):
            n1 = sum(part[j] for j in STARTS)
            moved |= dict.fromkeys(rng.choice(np.flatnonzero(part), n1, replace=False), 3)
        row = np.full(N, -1)
        row[[place[ids[j]] for j in moved]] = 0
        labels.append(row)
        fits.append(TripleDifference(affected="reached").fit(design_of(y, starts=moved), "m"))
    draws = made.reassigned(np.array(labels))
    assert draws.b[:, 0] == pytest.approx([one.values[0] for one in fits], rel=1e-9)
    assert draws.v0[:, 0] == pytest.approx([(one.influence**2).sum() for one in fits], rel=1e-8)
    # a hypothesis takes the effect out of the affected pilots only
    own = made.reassigned(np.array([np.where(made.sample.pilot, 0, -1)]))
    assert own.a[0, 0] == pytest.approx(1)
    assert own.v2[0, 0] == pytest.approx(0, abs=1e-12)
    shifted = y + 2.0 * treated() * REACHED[:, None]
    away = TripleDifference(affected="reached").fit(design_of(shifted, strata=strata), "m")
    other = away.reassigned(np.array(labels))
    assert (other.b - 2.0 * other.a)[:, 0] == pytest.approx(draws.b[:, 0])
    assert np.isfinite(made.infer(Permutation(draws=99, seed=1)).tidy()["p_value"][0])


def test_what_it_refuses():
    y = data(11)
    rate = Metric(name="o", kind="rate", unit="per 1,000", per=1000)
    with pytest.raises(EstimationError, match="on one scale"):
        TripleDifference("o").fit(design_of(y, kinds={"o": rate}), "m")
    with pytest.raises(EstimationError, match="'m' twice"):
        TripleDifference("m").fit(design_of(y), "m")
    with pytest.raises(EstimationError, match="it to the panel as an attribute"):
        TripleDifference(affected="region").fit(design_of(y), "m")
    with pytest.raises(EstimationError, match="say with value="):
        TripleDifference(affected="reached", value="town").fit(design_of(y), "m")
    for options in ({}, {"against_metric": "o", "affected": "reached"}):
        with pytest.raises(EstimationError, match="one of the two"):
            TripleDifference(**options)
    with pytest.raises(EstimationError, match="with its brackets"):
        TripleDifference("o", estimator=DiD)
