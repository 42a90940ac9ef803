"""Matrix completion: the conditions of the optimum, another program's optimum, and theorems."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, design_of, noise, treated, with_gaps

import didkit as dk
from didkit.errors import EstimationError
from didkit.estimate.nuclear import complete, largest_penalty, two_way

SEVERAL = {3: 6, 9: 6, 15: 8}


def fit(y, starts=SEVERAL, **options):
    return dk.MatrixCompletion(**options).fit(design_of(y, starts), "m")


def matrix(seed: int, n: int = 20, t: int = 12, gaps: float = 0.2):
    """Draw a matrix of rank two with noise, and the cells that are seen."""
    rng = np.random.default_rng(seed)
    y = noise(n, t, seed) + 30 * rng.normal(size=(n, 2)) @ rng.normal(size=(2, t))
    seen = rng.random((n, t)) > gaps
    seen[:, 0], seen[0] = True, True
    return y, seen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_the_conditions_of_the_optimum(seed, share):
    """Convex: a zero of the subgradient is the minimum, whatever program found it."""
    y, seen = matrix(seed)
    penalty = share * largest_penalty(y, seen)
    made = complete(y, seen, penalty)
    residual = np.where(seen, y - made.fit, 0.0)
    small = 1e-7 * penalty
    assert np.abs(residual.sum(axis=0)).max() < small
    assert np.abs(residual.sum(axis=1)).max() < small
    u, s, v = np.linalg.svd(made.low)
    r = made.rank
    assert s[r - 1] > 1e-6 > 1e-9 > s[r]
    inner = u[:, :r].T @ residual @ v[:r].T
    np.testing.assert_allclose(inner, penalty * np.eye(r), atol=small)
    assert np.linalg.norm(residual, 2) <= penalty * (1 + 1e-7)
    assert made.miss < small


def test_no_other_matrix_is_better():
    """The objective at the optimum, and a little beside it in every kind of direction."""
    y, seen = matrix(5)
    penalty = 0.1 * largest_penalty(y, seen)
    made = complete(y, seen, penalty)

    def objective(level, low):
        nuclear = np.linalg.svd(low, compute_uv=False).sum()
        return 0.5 * (np.where(seen, y - level - low, 0) ** 2).sum() + penalty * nuclear

    level, rng = made.fit - made.low, np.random.default_rng(5)
    least = objective(level, made.low)
    for step in (1e-2, 1.0):
        for _ in range(20):
            moved = step * rng.normal(size=y.shape)
            assert objective(level, made.low + moved) > least
            assert objective(level + step * rng.normal(size=(20, 1)), made.low) > least
            assert objective(level + step * rng.normal(size=(1, 12)), made.low) > least


def test_two_way_effects_by_dummies():
    y, seen = matrix(6)
    j, t = np.nonzero(seen)
    rows = np.column_stack([np.eye(20)[j], np.eye(12)[t]])
    beta = np.linalg.lstsq(rows, y[seen], rcond=None)[0]
    expected = beta[:20, None] + beta[20:]
    np.testing.assert_allclose(two_way(y, seen), expected, rtol=1e-10)
    np.testing.assert_allclose(complete(y, seen, np.inf).fit, expected, rtol=1e-10)
    top = largest_penalty(y, seen)
    np.testing.assert_allclose(complete(y, seen, top * 1.001).fit, expected, rtol=1e-8)
    assert complete(y, seen, top * 0.99).rank == 1


@pytest.mark.parametrize("by", ["simple", "dynamic", "group"])
def test_with_a_large_penalty_it_is_imputation(by):
    """Two-way effects on the untreated cells: Borusyak, Jaravel & Spiess (2024)."""
    y = noise(20, 11, 7)
    made = fit(y, penalty=1e9, by=by)
    theirs = dk.Imputation(by=by).fit(design_of(y, SEVERAL), "m")
    after = made.terms.loc[made.terms["phase"] == "after", "term"]
    assert len(after) >= 1
    mine = dict(zip(made.terms["term"], made.values, strict=True))
    them = dict(zip(theirs.terms["term"], theirs.values, strict=True))
    for term in after:
        assert mine[term] == pytest.approx(them[term], rel=1e-8)


def test_without_noise_the_exact_effect():
    y = noise(20, 11, 8, scale=0.0) - 7.5 * treated((20, 11), SEVERAL)
    made = fit(y, by="dynamic")
    after = (made.terms["phase"] == "after").to_numpy()
    np.testing.assert_allclose(made.values[after], -7.5, rtol=1e-10)
    np.testing.assert_allclose(made.values[~after], 0, atol=1e-9)
    assert np.isinf(made.facts["penalty"])


def test_factors_that_difference_in_differences_does_not_see():
    rng = np.random.default_rng(9)
    n, t = 60, 30
    loading = rng.normal(size=n)
    starts = dict.fromkeys(np.argsort(-loading)[:6].tolist(), 22)
    y = 10 * loading[:, None] * np.sin(np.arange(t) / 3) + noise(n, t, 9, scale=0.2)
    bias = abs(dk.DiD().fit(design_of(y, starts), "m").values[0])
    assert bias > 5
    assert abs(fit(y, starts).values[0]) < 0.1 * bias


def test_effects_of_units_and_periods_order_and_scale():
    y, rng = noise(20, 11, 10), np.random.default_rng(10)
    usual = fit(y)
    moved = y + 50 * rng.normal(size=(20, 1)) + 50 * rng.normal(size=(1, 11))
    chosen = usual.facts["penalty"]
    assert fit(moved, penalty=chosen).values == pytest.approx(usual.values, rel=1e-7)
    order = rng.permutation(20)
    starts = {int(np.flatnonzero(order == j)[0]): t for j, t in SEVERAL.items()}
    assert fit(y[order], starts).values == pytest.approx(usual.values, rel=1e-7)
    assert fit(-2 * y).facts["penalty"] == pytest.approx(2 * chosen, rel=1e-9)
    assert fit(-2 * y).values == pytest.approx(-2 * usual.values, rel=1e-7)


def test_gaps_are_cells_that_are_not_used():
    """Values under a gap do not matter; averages are over the cells that there are."""
    y = noise(20, 11, 11)
    gaps = with_gaps(y, 11, whole=[0])
    made = fit(gaps, penalty=20.0, by="none")
    clean = np.isfinite(gaps) & (treated(y.shape, SEVERAL) == 0)
    expected = gaps - complete(np.where(clean, y, 1e6), clean, 20.0).fit
    for start in (6, 8):
        own = [j for j, t in SEVERAL.items() if t == start]
        for t in range(start, 11):
            name = f"start {2011 + start}, period {2011 + t}"
            if np.isfinite(expected[own, t]).any():
                mine = made.values[list(made.terms["term"]).index(name)]
                assert mine == pytest.approx(np.nanmean(expected[own, t]), rel=1e-7)
    cells = (treated(y.shape, SEVERAL) == 1) & np.isfinite(gaps)
    simple = fit(gaps, penalty=20.0).values[0]
    assert simple == pytest.approx(expected[cells].mean(), rel=1e-7)


def test_without_units_that_never_start():
    """The last to start serve until then; later periods have no effect, and a note says so."""
    y = noise(12, 10, 12)
    starts = {j: 4 if j % 2 else 7 for j in range(12)}
    design = design_of(y, starts, against=dk.NotYetTreated())
    made = dk.MatrixCompletion(penalty=1e9, by="none").fit(design, "m").infer(None)
    after = made.terms[made.terms["phase"] == "after"]
    assert set(after["period"]) == {"2015", "2016", "2017"}
    assert any("no untreated unit" in note and "2018" in note for note in made.notes)


def test_anticipation():
    y = noise(20, 11, 13)
    bent = y.copy()
    for j, t in SEVERAL.items():
        bent[j, t - 1] += 80
    same, other = (fit(x, penalty=30.0, anticipation=1).values for x in (y, bent))
    assert other == pytest.approx(same, rel=1e-8)


def test_a_pilot_without_an_untreated_cell_is_left_out_by_name():
    y = noise(20, 8, 3)
    y[5, 0] = np.nan
    starts = {2: 4, 9: 4, 5: 1}
    made = dk.MatrixCompletion(penalty=20.0).fit(design_of(y, starts), "m").infer(None)
    others = np.delete(y, 5, axis=0)
    again = dk.MatrixCompletion(penalty=20.0).fit(design_of(others, {2: 4, 8: 4}), "m").infer(None)
    np.testing.assert_allclose(made.values, again.values, rtol=1e-9)
    assert any("no untreated cell" in note for note in made.sample.notes)
    early = dk.MatrixCompletion(penalty=20.0, anticipation=1)
    y[5, 0] = 300.0
    one = early.fit(design_of(y, starts), "m").infer(None)
    two = early.fit(design_of(others, {2: 4, 8: 4}), "m").infer(None)
    np.testing.assert_allclose(one.values, two.values, rtol=1e-9)


def test_options_and_refusals():
    for options in ({"penalty": 0.0}, {"penalty": np.inf}, {"by": "x"}, {"anticipation": -1}):
        with pytest.raises(EstimationError):
            dk.MatrixCompletion(**options)
    y = noise(20, 11, 14)
    how = dk.SyntheticWeights(
        dk.Covariates.from_panel(design_of(y, SEVERAL).panel, values={"m": (2011, 2014)})
    )
    with pytest.raises(EstimationError, match="matched sets"):
        dk.MatrixCompletion().fit(design_of(y, SEVERAL).compared_with(how), "m")


def test_placebos_and_resamples_are_fits_on_other_units():
    y = noise(20, 11, 15)
    made = fit(y, penalty=20.0)
    labels = np.full(20, -1)
    labels[list(SEVERAL)] = -2
    labels[[0, 5]], labels[10] = 0, 1
    rest = np.delete(np.arange(20), list(SEVERAL))
    starts = {int(np.flatnonzero(rest == j)[0]): t for j, t in {0: 6, 5: 6, 10: 8}.items()}
    again = fit(y[rest], starts, penalty=20.0)
    values, ratios = made.placebos(labels[None])
    np.testing.assert_allclose(values[0], again.values, rtol=1e-5)
    assert ratios[0] == pytest.approx(again.facts["rmspe_ratio"], rel=1e-5)
    counts = np.ones(20, dtype=int)
    counts[[0, 1]] = 0, 2
    rows = np.repeat(np.arange(20), counts)
    starts = {i: SEVERAL[j] for i, j in enumerate(rows.tolist()) if j in SEVERAL}
    drawn = made.resampled(counts[None])[0]
    np.testing.assert_allclose(drawn, fit(y[rows], starts, penalty=20.0).values, rtol=1e-5)
    assert codes(20)[0] in made.sample.units
