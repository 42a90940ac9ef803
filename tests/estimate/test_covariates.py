"""Covariates: dummies by another program, the refit one by one, and who is refused."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, noise, spread, treated, with_gaps

import didkit as dk
from didkit.design import Design, Pool, Rollout
from didkit.errors import DesignError, EstimationError, PanelError
from didkit.estimate import DiD, EventStudy
from didkit.inference import ClusterRobust, Permutation
from didkit.panel import Panel

N, T = 14, 6
ONE = spread(N, 4, 3)
STAGGERED = {1: 2, 4: 3, 7: 2, 10: 4, 12: 3, 13: 4}
BOTH = ("people", "poverty")
CASES = [
    pytest.param(estimator, starts, gaps, id=f"{estimator}, {name}, {'gaps' if gaps else 'whole'}")
    for name, starts in (("one start", ONE), ("staggered", STAGGERED))
    for gaps in (False, True)
    for estimator in (
        DiD(covariates=BOTH),
        DiD(covariates=("poverty",)),
        EventStudy(covariates=BOTH),
        EventStudy(time="calendar", covariates=BOTH),
    )
]


def paths(seed: int) -> dict[str, np.ndarray]:
    """Two covariates on very different scales, that drift."""
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(size=(N, T)), axis=1)
    return {
        "people": 60_000 * np.exp(0.3 * rng.normal(size=(N, 1)) + 0.02 * drift),
        "poverty": 20 + rng.normal(size=(N, T)),
    }


def outcome(starts: dict[int, int], gaps: bool, seed: int, x: dict[str, np.ndarray]) -> np.ndarray:
    y = noise(N, T, seed) + 6 * treated((N, T), starts)
    y = y + 0.002 * x["people"] + 3 * x["poverty"]
    return with_gaps(y, seed + 1) if gaps else y


def design(
    y: np.ndarray, x: dict[str, np.ndarray], starts: dict[int, int], **options: object
) -> Design:
    rows = {
        "la": np.repeat(codes(N), T),
        "year": np.tile(np.arange(FIRST, FIRST + T), N),
        "m": y.ravel(),
        **{name: values.ravel() for name, values in x.items()},
    }
    panel = Panel.from_frame(pd.DataFrame(rows), unit="la", period="year", metrics=["m", *x])
    options.setdefault("against", Pool())
    rollout = Rollout({codes(N)[j]: FIRST + t for j, t in starts.items()})
    return Design(panel, rollout, selection="unknown", **options)


def dummies(made) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the regression with dummies: the terms, then all else; y; and each row's unit."""
    sample = made.sample
    n, t = sample.y.shape
    after = np.array([*sample.starts, t])[sample.cohort]
    columns = []
    for term in made.terms.itertuples():
        on = np.zeros((n, t))
        for j in np.flatnonzero(sample.pilot):
            if made.n_terms == 1:
                on[j, after[j] :] = 1
            else:
                at = term.position + (after[j] if made.estimator.time == "event" else 0)
                if 0 <= at < t:
                    on[j, at] = 1
        columns.append(on)
    for name in made.estimator.covariates:
        values = made.design.panel.wide(name).loc[list(sample.units)].to_numpy()
        columns.append((values - np.nanmean(values)) / np.nanstd(values))
    columns += [np.repeat(np.eye(n)[[j]].T, t, axis=1) for j in range(n)]
    columns += [np.repeat(np.eye(t)[[s]], n, axis=0) for s in range(1, t)]
    used = sample.mask
    unit = np.repeat(np.arange(n)[:, None], t, axis=1)[used]
    return np.stack([c[used] for c in columns], axis=1), sample.y[used], unit


@pytest.mark.parametrize(("estimator", "starts", "gaps"), CASES)
def test_it_is_least_squares_with_dummies(estimator, starts, gaps):
    x = paths(3)
    made = estimator.fit(design(outcome(starts, gaps, 7, x), x, starts), "m")
    X, y, unit = dummies(made)
    k = made.n_terms
    beta = np.linalg.lstsq(X, y, rcond=None)[0]
    np.testing.assert_allclose(made.values, beta[:k], rtol=0, atol=1e-8)
    bread = np.linalg.inv(X.T @ X)
    rows = X * (y - X @ beta)[:, None]
    scores = np.stack([rows[unit == j].sum(axis=0) for j in range(unit.max() + 1)]) @ bread
    np.testing.assert_allclose(made.influence, scores[:, :k], rtol=0, atol=1e-8)
    cr0 = made.infer(ClusterRobust("CR0")).covariance.to_numpy()
    np.testing.assert_allclose(cr0, (scores.T @ scores)[:k, :k], rtol=0, atol=1e-8)
    filled = np.where(made.sample.mask, made.sample.y, 0.0)
    np.testing.assert_allclose(
        np.einsum("mjt,jt->m", made.weights, filled), made.values, rtol=0, atol=1e-9
    )
    assert made.normal.names[-len(estimator.covariates) :] == tuple(estimator.covariates)


def test_the_coefficients_are_those_of_the_covariates():
    """Without noise the effect and both coefficients are exact."""
    x = paths(1)
    y = 6 * treated((N, T), ONE) + 0.002 * x["people"] - 3 * x["poverty"]
    made = DiD(covariates=BOTH).fit(design(y, x, ONE), "m")
    assert made.values[0] == pytest.approx(6, abs=1e-9)
    facts = made.infer(None).glance().iloc[0]
    assert facts["coefficient_people"] == pytest.approx(0.002, abs=1e-12)
    assert facts["coefficient_poverty"] == pytest.approx(-3, abs=1e-9)


def test_it_is_linearmodels():
    linearmodels = pytest.importorskip("linearmodels", reason="linearmodels is an oracle here")
    x = paths(5)
    made = DiD(covariates=BOTH).fit(design(outcome(STAGGERED, True, 9, x), x, STAGGERED), "m")
    index = pd.MultiIndex.from_product([range(N), range(T)])
    frame = pd.DataFrame(
        {
            "y": made.sample.y.ravel(),
            "d": treated((N, T), STAGGERED).ravel(),
            **{name: values.ravel() for name, values in x.items()},
        },
        index=index,
    ).dropna()
    model = linearmodels.PanelOLS(
        frame["y"], frame[["d", *BOTH]], entity_effects=True, time_effects=True
    )
    plain = {"debiased": False, "auto_df": False, "count_effects": False}  # no small-sample factor
    theirs = model.fit(cov_type="clustered", cluster_entity=True, **plain)
    assert made.values[0] == pytest.approx(theirs.params["d"], rel=1e-9)
    ours = made.infer(ClusterRobust("CR0")).uncertainty.std_error[0]
    assert ours == pytest.approx(theirs.std_errors["d"], rel=1e-8)


def shuffled(starts: dict[int, int], n: int, seed: int) -> np.ndarray:
    """Labels (n, N): the actual assignment first, then the cohorts shuffled."""
    cohorts = sorted(set(starts.values()))
    actual = np.full(N, -1)
    for j, t in starts.items():
        actual[j] = cohorts.index(t)
    rng = np.random.default_rng(seed)
    return np.stack([actual, *(rng.permutation(actual) for _ in range(n))])


def refit(estimator, given: Design, labels: np.ndarray, starts: dict[int, int]):
    """Estimate and variances under one assignment, through the public door."""
    cohorts = sorted(set(starts.values()))
    rollout = Rollout({codes(N)[j]: FIRST + cohorts[g] for j, g in enumerate(labels) if g >= 0})
    return estimator.fit(given.reassign(rollout), "m")


@pytest.mark.parametrize(("estimator", "starts", "gaps"), CASES)
def test_reassigned_is_the_refit(estimator, starts, gaps):
    x = paths(2)
    given = design(outcome(starts, gaps, 11, x), x, starts)
    made = estimator.fit(given, "m")
    assert len(made.sample.units) == N
    labels = shuffled(starts, 5, seed=3)
    found = made.reassigned(labels)
    for i, row in enumerate(labels):
        again = refit(estimator, given, row, starts)
        assert list(again.terms["term"]) == list(made.terms["term"])
        np.testing.assert_allclose(found.b[i], again.values, rtol=0, atol=1e-9)
        error = again.infer(ClusterRobust("CR1")).uncertainty.std_error
        several = np.isfinite(error)  # a term carried by one pilot has none to show
        ours = np.sqrt(found.v0[i] * N / (N - 1))
        np.testing.assert_allclose(ours[several], error[several], rtol=1e-9)
        np.testing.assert_allclose(found.v0[i], (again.influence**2).sum(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.a[0], 1, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.v1[0], 0, atol=1e-9)
    np.testing.assert_allclose(found.v2[0], 0, atol=1e-9)


@pytest.mark.parametrize(("estimator", "starts", "gaps"), CASES)
def test_a_hypothesised_effect_is_a_shifted_outcome(estimator, starts, gaps):
    x = paths(4)
    y = outcome(starts, gaps, 23, x)
    made = estimator.fit(design(y, x, starts), "m")
    labels = shuffled(starts, 2, seed=8)
    found = made.reassigned(labels)
    for m, theta in {0: -9.0, made.n_terms - 1: 30.0}.items():
        X, _, _ = dummies(made)
        own = np.zeros((N, T))
        own[made.sample.mask] = X[:, m]
        moved = design(y - theta * own, x, starts)
        for i, row in enumerate(labels):
            again = refit(estimator, moved, row, starts)
            variance = (again.influence[:, m] ** 2).sum()
            b = found.b[i, m] - theta * found.a[i, m]
            v = found.v0[i, m] - 2 * theta * found.v1[i, m] + theta**2 * found.v2[i, m]
            assert b == pytest.approx(again.values[m], rel=0, abs=1e-8)
            assert v == pytest.approx(variance, rel=1e-8, abs=1e-9)


def test_chunks_do_not_matter(monkeypatch):
    x = paths(6)
    made = DiD(covariates=BOTH).fit(design(outcome(STAGGERED, True, 4, x), x, STAGGERED), "m")
    labels = shuffled(STAGGERED, 30, seed=1)
    whole = made.reassigned(labels)
    monkeypatch.setattr(sys.modules["didkit.estimate.two_way"], "CHUNK", 700)
    parts = made.reassigned(labels)
    for name in ("b", "a", "v0", "v1", "v2"):
        np.testing.assert_allclose(
            getattr(parts, name), getattr(whole, name), rtol=1e-10, atol=1e-10
        )


def test_a_term_that_nobody_carries_under_a_draw_is_nan():
    """One pilot: a unit without its reference cell, or without the cell of a term."""
    x = paths(3)
    y = noise(N, T, 3)
    y[5, 2] = y[6, 4] = np.nan
    made = EventStudy(covariates=BOTH).fit(design(y, x, {1: 3}), "m")
    assert list(made.terms["event_time"]) == [-3, -2, 0, 1, 2]
    labels = np.full((3, N), -1)
    labels[0, 1] = labels[1, 5] = labels[2, 6] = 0
    found = made.reassigned(labels)
    gone = [[False] * 5, [True] * 5, [False, False, False, True, False]]
    assert np.isnan(found.b).tolist() == gone


def test_a_covariate_changes_nothing_when_it_is_noise_free_of_the_outcome():
    """Frisch–Waugh–Lovell: what is orthogonal to outcome and treatment leaves the estimate."""
    x = paths(2)
    y = outcome(ONE, False, 2, x)
    plain = DiD().fit(design(y, x, ONE), "m")
    normal = DiD(covariates=("poverty",)).fit(design(y, x, ONE), "m").normal
    X, _, _ = dummies(DiD(covariates=("poverty",)).fit(design(y, x, ONE), "m"))
    basis = np.delete(X, 1, axis=1)  # the treatment and all dummies
    free = (
        x["poverty"].ravel() - basis @ np.linalg.lstsq(basis, x["poverty"].ravel(), rcond=None)[0]
    )
    clean = {"people": x["people"], "poverty": 20 + free.reshape(N, T)}
    made = DiD(covariates=("poverty",)).fit(design(y, clean, ONE), "m")
    assert made.values[0] == pytest.approx(plain.values[0], abs=1e-9)
    assert normal.n_params == made.normal.n_params == T + 1


def test_scale_and_origin_of_a_covariate_do_not_matter():
    x = paths(8)
    y = outcome(STAGGERED, True, 5, x)
    moved = {"people": 1e-3 * x["people"] - 40, "poverty": 1e4 * x["poverty"] + 7}
    one, other = (
        DiD(covariates=BOTH).fit(design(y, given, STAGGERED), "m") for given in (x, moved)
    )
    assert one.values[0] == pytest.approx(other.values[0], abs=1e-8)
    labels = shuffled(STAGGERED, 20, seed=2)
    np.testing.assert_allclose(
        one.reassigned(labels).v0, other.reassigned(labels).v0, rtol=1e-7, atol=1e-10
    )


def test_cells_without_a_covariate_are_left_out_and_logged():
    x = paths(2)
    y = outcome(ONE, False, 6, x)
    x["poverty"][3, 2] = x["poverty"][4, 5] = np.nan
    y[4, 5] = np.nan  # without an outcome there is nothing to leave out
    made = DiD(covariates=BOTH).fit(design(y, x, ONE), "m")
    log = made.sample.log
    lost = log[log["reason"] == "no value of the covariate 'poverty'"]
    assert lost[["unit", "cells"]].to_numpy().tolist() == [[codes(N)[3], 1]]
    assert log["cells"].sum() == N * T
    assert any("1 cells of" in note and "poverty" in note for note in made.all_notes)
    y[3, 2] = np.nan
    x["poverty"][3, 2] = x["poverty"][4, 5] = 20.0
    assert DiD(covariates=BOTH).fit(design(y, x, ONE), "m").values[0] == pytest.approx(
        made.values[0], abs=1e-10
    )


def test_the_notes_warn_of_a_bad_control():
    x = paths(2)
    made = DiD(covariates=BOTH).fit(design(outcome(ONE, False, 6, x), x, ONE), "m")
    assert any("what the programme itself changes in them" in note for note in made.notes)
    assert made.contributions is None
    assert not any("held constant" in n for n in DiD().fit(made.design, "m").notes)


def test_it_can_be_refitted_and_permuted():
    x = paths(2)
    y = outcome(ONE, False, 6, x)
    made = DiD(covariates=BOTH).fit(design(y, x, ONE), "m")
    dropped = made.refit(made.design.drop(codes(N)[0]))
    assert dropped.estimator == made.estimator
    assert dropped.sample.x.shape == (N - 1, 2, T)
    sure = made.infer(Permutation(draws=199)).uncertainty
    assert sure.conf_low[0] < made.values[0] < sure.conf_high[0]
    events = EventStudy(covariates=BOTH).fit(made.design, "m").infer(Permutation(draws=199))
    assert (events.uncertainty.band_low <= events.uncertainty.conf_low).all()


def test_regroup_by_unit_is_the_normal():
    x = paths(2)
    made = DiD(covariates=BOTH).fit(design(outcome(ONE, True, 6, x), x, ONE), "m")
    again = made.regroup(np.repeat(np.arange(N)[:, None], T, axis=1))
    np.testing.assert_allclose(again.A, made.normal.A, rtol=1e-10, atol=1e-6)
    np.testing.assert_allclose(again.beta, made.normal.beta, rtol=1e-8)
    assert again.names == made.normal.names


def test_covariates_follow_their_units_when_some_are_left_out():
    """The first unit has one cell and goes: the others' covariates must not move up."""
    x = paths(9)
    y = outcome(ONE, False, 3, x)
    y[0, 1:] = np.nan
    made = DiD(covariates=BOTH).fit(design(y, x, ONE), "m")
    assert len(made.sample.units) == N - 1
    without = design(y, x, ONE, exclude=[codes(N)[0]])
    alone = DiD(covariates=BOTH).fit(without, "m")
    assert made.values[0] == pytest.approx(alone.values[0], abs=1e-10)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ({"area": np.arange(1.0, N + 1)[:, None] * np.ones((N, T))}, "unit effects hold it"),
        ({"nation": np.ones((N, 1)) * np.arange(T) ** 2.0}, "only as period effects do"),
        (
            {"a": paths(1)["poverty"], "b": 2 * paths(1)["poverty"] + 5 + np.arange(T)},
            "'b' changes only as 'a' and period effects do",
        ),
    ],
    ids=["constant", "the same for all", "repeats another"],
)
def test_collinear_covariates_are_named(x, words):
    y = outcome(ONE, False, 1, paths(1))
    with pytest.raises(EstimationError, match=words) as caught:
        DiD(covariates=tuple(x)).fit(design(y, x, ONE), "m")
    assert caught.value.found.startswith("1 (")
    assert repr(list(x)[-1]) in caught.value.found


def test_a_covariate_that_is_the_treatment_is_named():
    y = outcome(ONE, False, 1, paths(1))
    x = {"programme": treated((N, T), ONE)}
    with pytest.raises(EstimationError, match=r"programme\) is a combination of column 0 \(att\)"):
        DiD(covariates=("programme",)).fit(design(y, x, ONE), "m")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda d: DiD("complete", covariates=("people",)), EstimationError, "one long difference"),
        (lambda d: DiD(covariates="people"), EstimationError, "one name needs its comma"),
        (lambda d: DiD(covariates=("people", "people")), EstimationError, "each once"),
        (lambda d: EventStudy(covariates=(1,)), EstimationError, "each once"),
        (lambda d: EventStudy(covariates=5), EstimationError, "each once"),
        (lambda d: DiD(covariates=("m",)).fit(d, "m"), EstimationError, "'m' is both"),
        (lambda d: DiD(covariates=("nobody",)).fit(d, "m"), PanelError, "nobody"),
    ],
    ids=["complete", "a string", "twice", "not a name", "a number", "the outcome", "unknown"],
)
def test_what_is_refused(make, error, words):
    x = paths(1)
    given = design(outcome(ONE, False, 1, x), x, ONE)
    with pytest.raises(error, match=words):
        make(given)


def test_matched_sets_are_refused():
    x = paths(1)
    y = outcome(ONE, False, 1, x)
    pilots = [codes(N)[j] for j in ONE]
    others = [unit for unit in codes(N) if unit not in pilots]
    near = dk.MatchedSets({pilot: dict.fromkeys(others[:3], 1 / 3) for pilot in pilots})
    sets = design(y, x, ONE, against=near)
    with pytest.raises(EstimationError, match="one pool of comparators with covariates"):
        DiD(covariates=BOTH).fit(sets, "m")


def test_a_covariate_without_any_value_leaves_nothing():
    x = paths(1)
    x["people"][:] = np.nan
    x["people"][0, 0] = 1.0
    with pytest.raises(DesignError):
        DiD(covariates=BOTH).fit(design(outcome(ONE, False, 1, paths(1)), x, ONE), "m")


def test_the_call_is_shown():
    assert repr(DiD()) == "DiD(cells='observed')"
    assert repr(DiD(covariates=["people"])) == "DiD(cells='observed', covariates=('people',))"
    assert hash(DiD(covariates=["people"])) == hash(DiD(covariates=("people",)))
    assert "covariates" not in repr(EventStudy())
    assert "covariates=('people',)" in repr(EventStudy(covariates=("people",)))
