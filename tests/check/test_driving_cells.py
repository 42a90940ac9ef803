"""Driving cells: contributions sum to the estimate, and what drives it is found by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import codes, design_of, noise, spread, with_gaps
from scipy import sparse
from scipy.sparse.linalg import lsqr

import didkit as dk
from didkit.check.driving_cells import additive_residual
from didkit.design import MatchedSets
from didkit.errors import InferenceError

N, T, START = 16, 7, 4
STARTS = spread(N, 4, START)
MIXED = {2: 3, 5: 4, 9: 3, 13: 5}
GAPPY = with_gaps(noise(N, T, 3), 1, whole=[*STARTS, 0, 2])


def own_sets() -> MatchedSets:
    ids = codes(N)
    others = [ids[j] for j in range(N) if j not in STARTS]
    return MatchedSets(
        {ids[j]: dict.fromkeys(others[3 * k : 3 * k + 3], 1 / 3) for k, j in enumerate(STARTS)}
    )


def all_of(estimate: dk.Estimate) -> pd.DataFrame:
    return dk.DrivingCells().cells(estimate)


@pytest.mark.parametrize(
    ("y", "starts", "estimator", "against"),
    [
        (noise(N, T, 1), STARTS, dk.DiD(), None),
        (GAPPY, STARTS, dk.DiD(), None),
        (GAPPY, MIXED, dk.DiD(), None),
        (GAPPY, STARTS, dk.DiD(cells="complete"), None),
        (GAPPY, STARTS, dk.EventStudy(), None),
        (noise(N, T, 2), MIXED, dk.Imputation(), None),
        (noise(N, T, 2), STARTS, dk.Gap(), None),
        (noise(N, T, 4), STARTS, dk.DiD(), "sets"),
    ],
    ids=["balanced", "gaps", "staggered", "complete", "events", "imputation", "gap", "sets"],
)
def test_contributions_sum_to_the_estimate(y, starts, estimator, against):
    design = design_of(y, starts, against=own_sets() if against else None)
    made = estimator.fit(design, "m").infer(None)
    found = made.check(dk.DrivingCells(most=7))
    value = made.values[made.place_of(None, where="")]
    every = all_of(made)
    assert every["contribution"].sum() == pytest.approx(value, abs=1e-10)
    assert found.table["contribution"].sum() == pytest.approx(value, abs=1e-10)
    units = dk.DrivingCells().units(made)
    assert units["contribution"].sum() == pytest.approx(value, abs=1e-10)
    for column in ("share", "weight_share"):
        assert units[column].sum() == pytest.approx(1)
    assert every["share"].sum() == pytest.approx(1)
    assert found.table["share"].sum() == pytest.approx(1)
    assert len(found.table) == 8
    assert found.table["name"].iloc[-1] == f"{len(every) - 7} other cells"
    assert found.facts["n_cells"] == len(every)
    size = every["contribution"].abs()
    assert size.is_monotonic_decreasing
    n = int(found.facts["n_half"])
    assert size[:n].sum() >= size.sum() / 2 > size[: n - 1].sum()


@pytest.mark.parametrize("weighted", [False, True])
def test_deviations_are_the_residuals_of_dummies(weighted):
    """By another program: least squares on the dummies, by scipy's lsqr."""
    y, mask = GAPPY, np.isfinite(GAPPY)
    w = np.random.default_rng(2).uniform(0.5, 2, y.shape) if weighted else None
    j, t = np.nonzero(mask)
    rows = np.arange(len(j))
    dummies = sparse.csr_matrix(
        (np.ones(2 * len(j)), (np.r_[rows, rows], np.r_[j, N + t])), shape=(len(j), N + T)
    )
    root = np.ones(len(j)) if w is None else np.sqrt(w[mask])
    found = lsqr(sparse.diags(root) @ dummies, root * y[mask], atol=1e-14, btol=1e-14)[0]
    expected = y[mask] - dummies @ found
    residual = additive_residual(y, mask, w)
    np.testing.assert_allclose(residual[mask], expected, atol=1e-8)
    assert (residual[~mask] == 0).all()


def test_one_cell_out_of_line_leads_the_list():
    y = noise(N, T, 0, scale=0.1)
    y[1, 2] += 50  # a pilot, before the start
    made = dk.DiD().fit(design_of(y, STARTS), "m").infer(None)
    assert 1 in STARTS
    found = made.check(dk.DrivingCells())
    top = found.table.iloc[0]
    assert (top["unit"], top["period"], top["arm"]) == (codes(N)[1], "2013", "pilot")
    # a cell high before the start lowers the estimate: (1 − 1/J)(1 − 1/T) of 50 is its own
    own = 50 * (1 - 1 / N) * (1 - 1 / T)
    assert top["deviation"] == pytest.approx(own, abs=0.5)
    assert top["weight"] == pytest.approx(-1 / 16)  # a pilot of four, a period of four
    assert top["contribution"] == pytest.approx(top["weight"] * top["deviation"])
    assert top["name"] in found.headline
    assert "in 2013" in found.headline
    assert dk.DrivingCells().units(made)["unit"].iloc[0] == codes(N)[1]


def test_levels_of_units_and_periods_change_nothing_and_scale_scales():
    y = noise(N, T, 5)
    rng = np.random.default_rng(0)
    moved = 3 * (y + 100 * rng.normal(size=(N, 1)) + 10 * rng.normal(size=(1, T)))
    one, other = (all_of(dk.DiD().fit(design_of(x, STARTS), "m")) for x in (y, moved))
    assert one["unit"].tolist() == other["unit"].tolist()
    np.testing.assert_allclose(other["contribution"], 3 * one["contribution"], atol=1e-9)
    np.testing.assert_allclose(other["share"], one["share"], atol=1e-9)


def test_order_of_units_changes_nothing():
    y = noise(N, T, 6)
    order = np.random.default_rng(1).permutation(N)
    ids = codes(N)
    frames = []
    for rows in (range(N), order):
        frame = pd.DataFrame(
            [(ids[j], 2011 + t, y[j, t]) for j in rows for t in range(T)],
            columns=["la", "year", "m"],
        )
        panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
        rollout = dk.Rollout({ids[j]: 2011 + t for j, t in STARTS.items()})
        design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
        frames.append(all_of(dk.DiD().fit(design, "m")))
    pd.testing.assert_frame_equal(*frames)


def test_nothing_contributes_where_nothing_deviates():
    y = noise(N, T, 1, scale=0)
    found = dk.DiD().fit(design_of(y, STARTS), "m").infer(None).check(dk.DrivingCells())
    assert "none contributes" in found.headline
    assert np.isnan(found.facts["top_share"])
    assert found.facts["n_half"] == 0


def test_weights_that_do_not_cancel_are_refused_by_name():
    levels = dk.Gap(by="period").fit(design_of(noise(N, T, 1), STARTS), "m").infer(None)
    with pytest.raises(InferenceError, match="sum to zero over each unit"):
        levels.check(dk.DrivingCells())
    chosen = dk.SyntheticControl().fit(design_of(noise(N, T, 1), {3: 4}), "m").infer(None)
    with pytest.raises(InferenceError, match="linear in the outcome"):
        chosen.check(dk.DrivingCells())


@pytest.mark.parametrize("most", [0, -1, 2.5, True, "20"])
def test_most_is_a_whole_number(most):
    with pytest.raises(InferenceError, match=r"DrivingCells\(most=\)"):
        dk.DrivingCells(most)
