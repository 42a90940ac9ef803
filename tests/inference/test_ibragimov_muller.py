"""t on one number a group: scipy's one-sample test and Welch's statistic, sizes, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, design_of, noise, spread, treated
from scipy import stats

import didkit as dk
from didkit.design import MatchedSets
from didkit.errors import InferenceError
from didkit.inference import ClusterRobust, IbragimovMuller

START = 2


def changes(y: np.ndarray) -> np.ndarray:
    return y[:, START:].mean(axis=1) - y[:, :START].mean(axis=1)


def own_sets(n: int, y: np.ndarray, **options):
    """Pilots are the first n rows, each with the next two rows of its own, weights 1/4 and 3/4."""
    ids = codes(len(y))
    weights = {ids[k]: {ids[n + 2 * k]: 0.25, ids[n + 2 * k + 1]: 0.75} for k in range(n)}
    return design_of(y, dict.fromkeys(range(n), START), against=MatchedSets(weights), **options)


def differences(n: int, w: np.ndarray) -> np.ndarray:
    return np.array([w[k] - 0.25 * w[n + 2 * k] - 0.75 * w[n + 2 * k + 1] for k in range(n)])


@pytest.mark.parametrize("n", [2, 3, 7])
def test_matched_sets_are_the_one_sample_t_test_of_scipy(n: int) -> None:
    y = noise(3 * n, 5, n)
    row = dk.DiD().fit(own_sets(n, y), "m").infer(IbragimovMuller(), level=0.9)["att"]
    theirs = stats.ttest_1samp(differences(n, changes(y)), 0.0)
    ends = theirs.confidence_interval(0.9)
    assert row["df"] == n - 1
    np.testing.assert_allclose(row["p_value"], theirs.pvalue, rtol=1e-9)
    np.testing.assert_allclose([row["conf_low"], row["conf_high"]], [*ends], rtol=1e-9)


@pytest.mark.parametrize(("n", "n1"), [(4, 2), (12, 3), (9, 7)])
def test_a_pool_has_welchs_statistic_and_the_smaller_arms_degrees_of_freedom(n, n1) -> None:
    y, starts = noise(n, 5, n), spread(n, n1, START)
    made = dk.DiD().fit(design_of(y, starts), "m")
    row, welch = made.infer(IbragimovMuller())["att"], made.infer(ClusterRobust("CR2", df="welch"))
    pilot = np.isin(np.arange(n), list(starts))
    theirs = stats.ttest_ind(changes(y)[pilot], changes(y)[~pilot], equal_var=False)
    assert row["df"] == min(n1, n - n1) - 1
    np.testing.assert_allclose(row["statistic"], theirs.statistic, rtol=1e-9)
    np.testing.assert_allclose(row["std_error"], welch["att"]["std_error"], rtol=1e-9)
    p = 2 * stats.t.sf(abs(theirs.statistic), min(n1, n - n1) - 1)
    np.testing.assert_allclose(row["p_value"], p, rtol=1e-9)
    assert row["p_value"] >= welch["att"]["p_value"]


def test_the_covariance_of_terms_is_that_of_means() -> None:
    n = 5
    y = noise(3 * n, 5, 1)
    made = dk.EventStudy().fit(own_sets(n, y), "m").infer(IbragimovMuller())
    d = np.array([differences(n, y[:, c] - y[:, 1]) for c in (0, 2, 3, 4)])
    np.testing.assert_allclose(made.covariance.to_numpy(), np.cov(d) / n, rtol=1e-8)
    starts = spread(15, 5, START)
    made = dk.EventStudy().fit(design_of(y, starts), "m").infer(IbragimovMuller())
    pilot = np.isin(np.arange(15), list(starts))
    w = y[:, [0, 2, 3, 4]] - y[:, [1]]
    both = np.cov(w[pilot].T) / 5 + np.cov(w[~pilot].T) / 10
    np.testing.assert_allclose(made.covariance.to_numpy(), both, rtol=1e-8)
    table = made.tidy().dropna(subset=["p_value"])
    assert (table["band_low"] < table["conf_low"]).all()


def test_one_pilot_is_refused_with_what_to_use_instead() -> None:
    pool = dk.DiD().fit(design_of(noise(8, 4, 1), {3: 2}), "m")
    alone = dk.DiD().fit(own_sets(1, noise(3, 4, 1)), "m")
    for made in (pool, alone):
        with pytest.raises(InferenceError, match=r"LauLi\(\)"):
            made.infer(IbragimovMuller())


def test_sets_that_share_somebody_are_refused() -> None:
    ids = codes(5)
    weights = {ids[0]: {ids[2]: 0.5, ids[3]: 0.5}, ids[1]: {ids[3]: 0.5, ids[4]: 0.5}}
    design = design_of(noise(5, 4, 1), {0: 2, 1: 2}, against=MatchedSets(weights))
    with pytest.raises(InferenceError, match="sets that share nobody"):
        dk.DiD().fit(design, "m").infer(IbragimovMuller())


def test_above_the_proved_level_a_note_says_so() -> None:
    made = dk.DiD().fit(own_sets(4, noise(12, 4, 1)), "m")
    for level, said in ((0.95, False), (0.92, False), (0.9, True)):
        notes = made.infer(IbragimovMuller(), level=level).attached.notes
        assert any("8.3 %" in note for note in notes) == said


@pytest.mark.parametrize("effect", [-50.0, 0.0, 50.0])
@pytest.mark.parametrize("matched", [False, True])
def test_direction_scale_order_and_agreement(effect, matched) -> None:
    n, starts = 6, dict.fromkeys(range(6), START)
    y = noise(3 * n, 4, 3)

    def row(y: np.ndarray) -> dict:
        design = own_sets(n, y) if matched else design_of(y, starts)
        return dk.DiD().fit(design, "m").infer(IbragimovMuller())["att"]

    on = treated(y.shape, starts)
    made = row(y + effect * on)
    assert made["conf_low"] < effect < made["conf_high"]
    assert (made["p_value"] <= 0.05) == (effect != 0)
    scaled = row(-3 * (y + effect * on))
    assert scaled["p_value"] == pytest.approx(made["p_value"], rel=1e-8)
    assert scaled["conf_low"] == pytest.approx(-3 * made["conf_high"], rel=1e-8)
    for end in ("conf_low", "conf_high"):
        for by, rejected in ((1.001, True), (0.999, False)):
            theta = made["estimate"] + by * (made[end] - made["estimate"])
            assert (row(y + (effect - theta) * on)["p_value"] <= 0.05) == rejected


def size(n1: int, n0: int, sd: float, reps: int) -> float:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(reps, n1)) * sd, rng.normal(size=(reps, n0))
    error = np.sqrt(a.var(axis=1, ddof=1) / n1 + b.var(axis=1, ddof=1) / n0)
    statistic = np.abs(a.mean(axis=1) - b.mean(axis=1)) / error
    return float(100 * (2 * stats.t.sf(statistic, min(n1, n0) - 1) <= 0.05).mean())


@pytest.mark.parametrize(
    ("n1", "n0", "sd", "known"),
    [(2, 2, 1, 0.6), (4, 4, 1, 1.9), (3, 147, 1, 3.9), (9, 141, 1, 4.6), (9, 141, 2, 5.0)],
)
def test_sizes_that_the_docstring_gives(n1, n0, sd, known) -> None:
    """Of the statistic shown above to be ours; 0.05 for the rounding of the known number."""
    reps = 8000
    error = np.sqrt(known * (100 - known) * (1 / reps + 1 / 40000))
    assert abs(size(n1, n0, sd, reps) - known) <= 3 * error + 0.05


def test_sets_of_unequal_variance_are_rejected_less_often_than_the_level() -> None:
    """Bakirov and Székely's theorem, at three patterns of variances."""
    rng, reps = np.random.default_rng(2), 20000
    for sds in ([1, 1, 1, 10], [1, 5, 5, 5], [1, 2, 3, 4]):
        d = rng.normal(size=(reps, 4)) * sds
        share = (stats.ttest_1samp(d, 0, axis=1).pvalue <= 0.05).mean()
        assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / reps)


@pytest.mark.parametrize(
    ("n", "starts", "named", "served"),
    [
        (9, {1: 2}, "LauLi()", dk.LauLi()),
        (5, {0: 2, 1: 2, 2: 2, 3: 2}, "DonaldLang()", dk.DonaldLang()),
        (2, {0: 2}, "add comparators", None),
    ],
)
def test_what_is_named_instead_serves(n, starts, named, served) -> None:
    made = dk.DiD().fit(design_of(noise(n, 4, 1), starts), "m")
    with pytest.raises(InferenceError) as caught:
        made.infer(dk.IbragimovMuller())
    assert named in caught.value.todo
    assert "1 pilots" not in str(caught.value)
    if served is not None:
        assert np.isfinite(made.infer(served).attached.p_value[0])
