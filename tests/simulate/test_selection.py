"""Selection without an effect: the published numbers, closed forms, and two papers' conditions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from didkit.check import Variation, matching_reduces_bias, selected
from didkit.check.selected import (
    ESTIMATORS,
    Chosen,
    biases,
    closed_forms,
    compared,
    mean_of_highest,
)
from didkit.errors import DesignError
from didkit.simulate import SelectionProcess, selection_study

# (selection, estimator, printed), 2,000 replications elsewhere, rounded to two decimals
PUBLISHED = [
    ("latest_value", "before_after_last", -0.56),
    ("latest_value", "post_gap", 1.95),
    ("latest_value", "did", -0.15),
    ("latest_value", "did_without_last", 0.00),
    ("latest_value", "matched_last", -0.04),
    ("latest_value", "matched_mean", 0.21),
    ("average", "did", -0.35),
    ("average", "matched_mean", -0.09),
    ("permanent", "post_gap", 1.00),
    ("permanent", "did", 0.00),
    ("permanent", "matched_mean", 0.14),
]
SIZE = {"n_pilots": 9, "n_comparators": 141, "n_before": 4, "n_after": 3}


@pytest.fixture(scope="module")
def study():
    return selection_study(SelectionProcess(), seed=1).set_index(["selection", "estimator"])


@pytest.mark.parametrize(("selection", "estimator", "printed"), PUBLISHED)
def test_published_numbers_within_three_combined_monte_carlo_errors(
    study, selection, estimator, printed
):
    row = study.loc[(selection, estimator)]
    combined = row["sd"] * (1 / 2000 + 1 / 2000) ** 0.5
    assert row["mean"] == pytest.approx(printed, abs=3 * combined + 0.005)
    if np.isfinite(row["closed_form"]):  # exact: only theirs is drawn
        assert row["closed_form"] == pytest.approx(printed, abs=3 * row["sd"] / 2000**0.5 + 0.005)


def test_five_years_before_and_two_after_no_longer_mirror_each_other():
    process = SelectionProcess(n_before=5, n_after=2)
    found = selection_study(process, seed=2).set_index(["selection", "estimator"])
    row = found.loc[("latest_value", "did_without_last")]
    assert row["mean"] == pytest.approx(0.12, abs=3 * row["sd"] * (2 / 2000) ** 0.5 + 0.005)
    assert row["closed_form"] == pytest.approx(0.118, abs=0.001)


def test_the_page_holds_these_numbers(study):
    """docs/selection.md is written by docs/selection.py, with more replications."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "selection.md").read_text("utf-8")
    rows = [line for line in page.partition("## What to do")[0].splitlines() if line[:1] == "|"]
    lines = [row.split("|")[1:-1] for row in rows[2:]]
    assert len(lines) == len(study)
    printed = {(s, e): value for s, e, value in PUBLISHED}
    for line, (key, row) in zip(lines, study.iterrows(), strict=True):
        mean, error, exact, elsewhere = (
            float(cell.strip(" ≈").replace("−", "-") or "nan") for cell in line[2:]
        )
        assert mean == pytest.approx(row["mean"], abs=4 * (error**2 + row["mc_error"] ** 2) ** 0.5)
        assert exact == pytest.approx(row["closed_form"], abs=5e-4, nan_ok=True)
        assert elsewhere == pytest.approx(printed.get(key, np.nan), nan_ok=True)


def test_mirrored_windows_have_no_bias_at_all_without_the_last_year():
    for k, ar1 in ((2, 0.5), (3, 0.8), (3, -0.4)):
        size = {**SIZE, "n_before": k + 1, "n_after": k}
        made = closed_forms(Variation(1.0, 0.7, ar1), Chosen("latest_value"), **size)
        assert made["did_without_last"] == pytest.approx(0, abs=1e-12)
        assert abs(made["did"]) > 0.01


# -- closed forms -----------------------------------------------------------------------------


def test_closed_forms_are_what_is_drawn():
    ways = {
        "last": Chosen("latest_value"),
        "mean": Chosen("average"),
        "half": Chosen("latest_value", strength=0.5),
        "both": Chosen("average", strength=0.3, lift=2.0),
        "random": Chosen("random", lift=-1.0),
    }
    variation = Variation(8.0, 6.0, 0.4)
    size = {"n_pilots": 6, "n_comparators": 34, "n_before": 5, "n_after": 2}
    drawn = biases(variation, ways, **size, ratio=2, draws=2000, seed=4)
    for name, way in ways.items():
        for how, exact in closed_forms(variation, way, **size).items():
            values = drawn[name][how]
            assert np.isnan(exact) == how.startswith("matched")
            if np.isfinite(exact):
                error = values.std(ddof=1) / len(values) ** 0.5
                assert values.mean() == pytest.approx(exact, abs=4.5 * error)


def test_the_chosen_return_by_one_less_the_reliability_of_their_distance():
    variation = Variation(3.0, 2.0, 0.0)
    size = {**SIZE, "n_before": 1, "n_after": 1}
    made = closed_forms(variation, Chosen("latest_value"), **size)
    distance = 13**0.5 * mean_of_highest(9, 150)
    assert made["before_after_last"] == pytest.approx(-(1 - variation.reliability()) * distance)
    assert made["did"] == pytest.approx(-(1 - variation.reliability()) * distance * 150 / 141)


def test_the_bias_is_in_proportion_to_the_strength():
    whole, third = (
        closed_forms(Variation(1.0, 0.7, 0.5), Chosen("average", strength=s), **SIZE)
        for s in (1.0, 1 / 3)
    )
    for how in ("before_after_last", "did", "post_gap"):
        assert third[how] == pytest.approx(whole[how] / 3)


@pytest.mark.parametrize(("n", "of"), [(1, 2), (1, 10), (9, 150), (10, 78)])
def test_mean_of_the_highest_is_that_of_order_statistics(n, of):
    assert mean_of_highest(n, of) == pytest.approx(mean_of(n, of), rel=1e-4)
    rest = mean_of_highest(of - n, of)  # by symmetry the lowest n, and all sum to zero
    assert n * mean_of_highest(n, of) == pytest.approx((of - n) * rest)


def test_the_higher_of_two_is_one_over_root_pi():
    assert mean_of_highest(1, 2) == pytest.approx(1 / np.pi**0.5)


def mean_of(n: int, of: int) -> float:
    """Sum of order statistics, each by its own beta density."""
    u = (np.arange(200_000) + 0.5) / 200_000
    z = stats.norm.ppf(u)
    each = [(z * stats.beta.pdf(u, of + 1 - r, r)).mean() for r in range(1, n + 1)]
    return float(np.mean(each))


# -- comparing, by hand ---------------------------------------------------------------------------


def test_each_comparison_by_hand():
    rng = np.random.default_rng(8)
    y, n1, before, ratio = rng.normal(size=(12, 6)), 3, 4, 2
    made = compared(y[None, :n1], y[None, n1:], n_before=before, ratio=ratio)
    pre, post = y[:, :before].mean(axis=1), y[:, before:].mean(axis=1)
    short = y[:, : before - 1].mean(axis=1)
    change, last = post - pre, y[:, before - 1]

    def gap(v: np.ndarray) -> float:
        return float(v[:n1].mean() - v[n1:].mean())

    def matched(on: np.ndarray) -> float:
        near = [n1 + np.argsort(np.abs(on[n1:] - on[j]))[:ratio] for j in range(n1)]
        return float(np.mean([change[j] - change[near[j]].mean() for j in range(n1)]))

    wanted = {
        "before_after_last": (post - last)[:n1].mean(),
        "before_after_mean": change[:n1].mean(),
        "post_gap": gap(post),
        "did": gap(change),
        "did_without_last": gap(post - short),
        "matched_last": matched(last),
        "matched_mean": matched(pre),
    }
    assert list(made) == list(ESTIMATORS) == list(wanted)
    for how, value in wanted.items():
        assert made[how].item() == pytest.approx(value, abs=1e-12)


def test_matched_to_all_comparators_is_did():
    rng = np.random.default_rng(9)
    y = rng.normal(size=(5, 10, 5))
    made = compared(y[:, :4], y[:, 4:], n_before=3, ratio=6)
    assert made["matched_last"] == pytest.approx(made["did"])
    assert made["matched_mean"] == pytest.approx(made["did"])


def test_blocks_change_the_draws_but_not_how_many_nor_what_they_are_of(monkeypatch):
    ways = {"a": Chosen("average", strength=0.5)}
    variation, options = Variation(1.0, 0.7, 0.5), {**SIZE, "ratio": 3, "draws": 400}
    found = []
    for cells, seed in ((10**6, 5), (10**6, 5), (10**6, 6), (10**4, 5)):
        monkeypatch.setattr(selected, "_CELLS_AT_ONCE", cells)
        found.append(biases(variation, ways, **options, seed=seed)["a"]["did"])
    assert (found[0] == found[1]).all()
    assert not (found[0] == found[2]).any()
    assert len(np.unique(found[3])) == 400
    exact = closed_forms(variation, ways["a"], **SIZE)["did"]
    for one in found:
        assert one.mean() == pytest.approx(exact, abs=4 * one.std() / 20)


# -- two papers -----------------------------------------------------------------------------------


def test_daw_and_hatfield_matching_on_levels_of_different_populations():
    """DiD has no bias; matched, the pilots seem to move away, more if wider, noisier."""
    found = {}
    for lift, ar1 in ((0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (-1.0, 0.0), (1.0, 0.8)):
        way = {"p": Chosen("random", lift=lift)}
        drawn = biases(Variation(1.0, 0.7, ar1), way, **SIZE, ratio=3, draws=600, seed=3)["p"]
        found[lift, ar1] = {how: (v.mean(), v.std() / 600**0.5) for how, v in drawn.items()}
    for one in found.values():
        assert abs(one["did"][0]) < 4 * one["did"][1]
    for how in ("matched_last", "matched_mean"):
        bias = {key: one[how][0] for key, one in found.items()}
        error = 4 * found[1.0, 0.0][how][1]
        assert abs(bias[0.0, 0.0]) < error
        assert bias[2.0, 0.0] > bias[1.0, 0.0] + error / 4 > error
        assert bias[-1.0, 0.0] < -error
    weak, strong = found[1.0, 0.0]["matched_last"][0], found[1.0, 0.8]["matched_last"][0]
    assert weak > strong


@pytest.mark.parametrize("s", [-0.5, 0.2, 0.7, 0.9, 1.0, 1.4])
def test_ham_and_miratrix_condition_in_a_simulation(s):
    """Latent part with b before and a after, s = b / a; matched where the pool is dense."""
    rng = np.random.default_rng(11)
    draws, n1, n0, before, after = 60, 40, 1500, 3, 2
    a, delta, noise = 1.0, 0.8, 0.9
    arms = []
    for n, shift in ((n1, delta), (n0, 0.0)):
        theta = shift + rng.standard_normal((draws, n, 1))
        slopes = np.array([s * a] * before + [a] * after)
        arms.append(slopes * theta + noise * rng.standard_normal((draws, n, before + after)))
    made = compared(*arms, n_before=before, ratio=3)
    r = (s * a) ** 2 / ((s * a) ** 2 + noise**2 / before)
    did, matched = made["did"], made["matched_mean"]
    error = 4 * max(v.std(ddof=1) / draws**0.5 for v in (did, matched))
    assert did.mean() == pytest.approx((1 - s) * a * delta, abs=error)
    assert matched.mean() == pytest.approx(a * delta * (1 - r), abs=error + 0.01)
    helps = abs(matched.mean()) <= abs(did.mean())
    assert abs(abs(1 - s) - (1 - r)) * a * delta > error / 2  # not so near that chance decides
    assert matching_reduces_bias(r, s) == helps


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"n_before": 1}, {"ratio": 0}, {"n_pilots": 149}, {"lift": np.nan}, {"n_after": 1.5}]
)
def test_a_process_out_of_range_is_refused(wrong):
    with pytest.raises(DesignError, match="n_pilots \\+ ratio of at most n_units"):
        SelectionProcess(**wrong)


def test_a_study_of_one_replication_is_refused():
    with pytest.raises(DesignError, match="replications= of 2 or more"):
        selection_study(SelectionProcess(), replications=1)
