"""Conventional variances, written out from residuals by another way; and who is refused."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from helpers import design_of, long_of, noise, spread, treated, with_gaps

import didkit as dk
from didkit.errors import InferenceError

N, T = 12, 6
STARTS = spread(N, 4, 3)


def outcome(*, gaps: bool) -> np.ndarray:
    y = noise(N, T, 3) + 5 * treated((N, T), STARTS)
    return with_gaps(y, 2) if gaps else y


def dummies(y: np.ndarray):
    """The regression with every dummy, by statsmodels."""
    table = long_of(y, STARTS)
    columns = [np.ones(len(table)), table["d"]]
    columns += [table["unit"] == j for j in range(1, N)]
    columns += [table["period"] == t for t in range(1, T)]
    return sm.OLS(table["y"].to_numpy(), np.column_stack(columns).astype(float)), table


@pytest.mark.parametrize("gaps", [False, True])
def test_iid_and_hetero_are_those_of_the_regression_with_dummies(gaps):
    y = outcome(gaps=gaps)
    made = dk.DiD().fit(design_of(y, STARTS), "m")
    model, _ = dummies(y)
    for kind, name in (("iid", "nonrobust"), ("hetero", "HC1")):
        theirs = model.fit(cov_type=name, use_t=True)
        ours = made.infer(dk.Conventional(kind))["att"]
        assert ours["std_error"] == pytest.approx(theirs.bse[1], rel=1e-9)
        assert ours["p_value"] == pytest.approx(theirs.pvalues[1], rel=1e-8)
        assert ours["df"] == theirs.df_resid


@pytest.mark.parametrize("lags", [0, 1, 3])
def test_lags_are_of_the_calendar(lags):
    """Scores from the dummies, one row a cell, and Bartlett's weights by distance in time."""
    y = outcome(gaps=True)
    made = dk.DiD().fit(design_of(y, STARTS), "m")
    model, table = dummies(y)
    fitted = model.fit()
    score = (model.exog @ np.linalg.inv(model.exog.T @ model.exog))[:, 1] * fitted.resid
    unit, period = table["unit"].to_numpy(), table["period"].to_numpy()
    apart = np.abs(period[:, None] - period)
    bartlett = np.maximum(1 - apart / (lags + 1), 0)
    n, k = model.exog.shape
    factor = (n - 1) / (n - k) * T / (T - 1)
    for kind, together in (
        ("newey-west", unit[:, None] == unit),
        ("driscoll-kraay", np.ones((n, n))),
    ):
        wanted = np.sqrt(factor * score @ (bartlett * together) @ score)
        ours = made.infer(dk.Conventional(kind, lags=lags))["att"]
        assert ours["std_error"] == pytest.approx(wanted, rel=1e-9)
        assert ours["df"] == T - 1


def test_default_lags_and_names():
    made = dk.DiD().fit(design_of(outcome(gaps=False), STARTS), "m")
    said = made.infer(dk.Conventional("newey-west")).attached
    assert "with 1 lags" in said.method
    assert "beyond these lags" in said.notes[0]
    assert "beyond" not in made.infer(dk.Conventional()).attached.notes[0]


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "hc3"},
        {"kind": "iid", "lags": 1},
        {"kind": "newey-west", "lags": -1},
        {"kind": "newey-west", "lags": 1.5},
    ],
)
def test_options_that_do_not_exist_are_refused(options):
    with pytest.raises(InferenceError, match="Conventional"):
        dk.Conventional(**options)


def test_what_has_no_such_variance_is_refused():
    y = outcome(gaps=False)
    events = dk.EventStudy().fit(design_of(y, STARTS), "m")
    with pytest.raises(InferenceError, match="period"):
        events.infer(dk.Conventional("driscoll-kraay"))
    alone = dk.DiD().fit(design_of(y, {3: 2}), "m")
    with pytest.raises(InferenceError, match="1 pilot"):
        alone.infer(dk.Conventional())
    tiny = dk.DiD().fit(design_of(noise(4, 2, 1), {0: 1, 1: 1}), "m")
    assert np.isfinite(tiny.infer(dk.Conventional())["att"]["std_error"])


def test_too_many_cells_are_refused(monkeypatch):
    made = dk.DiD().fit(design_of(outcome(gaps=False), STARTS), "m")
    monkeypatch.setattr("didkit.inference.conventional._MOST", 10)
    with pytest.raises(InferenceError, match="72 cells"):
        made.infer(dk.Conventional("hetero"))
    assert np.isfinite(made.infer(dk.Conventional("iid"))["att"]["std_error"])


def test_they_are_too_small_where_errors_last():
    """Errors that are a unit's random walk: the point of not using these."""
    rng = np.random.default_rng(5)
    y = np.cumsum(rng.normal(size=(60, 12)), axis=1)
    made = dk.DiD().fit(design_of(y, spread(60, 20, 6)), "m")
    clustered = made.infer(dk.ClusterRobust("CR2"))["att"]["std_error"]
    for kind in ("iid", "hetero", "newey-west"):
        assert made.infer(dk.Conventional(kind))["att"]["std_error"] < 0.8 * clustered


def test_two_ways_as_fixest_counts():
    y = outcome(gaps=True)
    made = dk.DiD().fit(design_of(y, STARTS), "m")
    parts = [
        made.infer(dk.ClusterRobust("CR0", by=by))["att"]["std_error"] ** 2
        for by in ("unit", "period")
    ]
    n = np.isfinite(y).sum()
    hetero = made.infer(dk.Conventional("hetero"))["att"]["std_error"] ** 2
    cells = hetero * (n - (1 + N + T - 1)) / n
    wanted = np.sqrt((n - 1) / (n - 2) * T / (T - 1) * (sum(parts) - cells))
    two = dk.ClusterRobust("CR1", factor="fixest", by=("unit", "period"))
    assert made.infer(two)["att"]["std_error"] == pytest.approx(wanted, rel=1e-9)
    with pytest.raises(InferenceError, match="nested"):
        dk.ClusterRobust("CR1", factor="fixest")
