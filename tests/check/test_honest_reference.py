"""Sensitivity kernels against HonestDiD 0.2.6 (R), the authors' program."""

from __future__ import annotations

import csv
import functools
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from didkit.check.conditional import conditional_set
from didkit.check.fixed_length import fixed_length
from didkit.check.restrictions import RelativeMagnitudes, Smoothness

#: pre and post periods of the two data sets; HonestDiD's l_vec by the end of the case's name
PERIODS = {"BC": (4, 4), "LW": (9, 23)}


def _reference() -> Path:
    beside = Path(__file__).resolve().parents[3] / "shared"
    return Path(os.environ.get("DIDKIT_SHARED") or beside) / "reference"


def _rows() -> list[dict[str, str]]:
    """Every row of the file; without it one, which skips."""
    file = _reference() / "HonestDiD.csv"
    if not file.is_file():
        return [{"case": "absent", "term": "absent"}]
    with file.open(newline="") as read:
        return list(csv.DictReader(read))


def rows(*parts: str) -> list:
    found = [r for r in _rows() if all(p in r["case"] for p in parts) or r["case"] == "absent"]
    return [pytest.param(r, id=f"{r['case']}-{r['term']}") for r in found]


@functools.cache
def terms(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, covariance and event times of a data set."""
    data = _reference() / "data"
    beta = pd.read_csv(data / f"{name}data_EventStudy_beta.csv")["betahat"].to_numpy(dtype=float)
    sigma = pd.read_csv(data / f"{name}data_EventStudy_sigma.csv").to_numpy(dtype=float)
    before, after = PERIODS[name]
    # HonestDiD: the reference is period 0, the first effect is at 1
    times = np.r_[np.arange(-before, 0), np.arange(1, after + 1)]
    return beta, (sigma + sigma.T) / 2, times


def weights_of(case: str, after: int) -> np.ndarray:
    """HonestDiD's l_vec: basisVector(j) or the mean."""
    if case.endswith("avg"):
        return np.full(after, 1 / after)
    which = {"orig": 1, "orig17": 17}.get(case.split("_")[2])
    if which is None:
        word = next((p for p in case.split("_") if p[0] == "l" and p[1:].isdigit()), "l1")
        which = int(word[1:])
    return np.eye(after)[which - 1]


def setting(row: dict[str, str]):
    """Values, covariance, weights, times, reference, first; and what the file adds."""
    name = row["case"].split("_")[1]
    beta, sigma, times = terms(name)
    before, after = PERIODS[name]
    weights = np.r_[np.zeros(before), weights_of(row["case"], after)]
    extra = dict(part.split("=", 1) for part in row["extra"].split(";"))
    return (beta, sigma, weights, times, 0, 1), extra


def numbers(row: dict[str, str]) -> tuple[float, float]:
    return float(row["ci_lower"]), float(row["ci_upper"])


@pytest.mark.parametrize("row", rows("_orig"))
def test_original(shared_reference, row):
    """R: constructOriginalCS(betahat, sigma, …): the interval under parallel trends."""
    (beta, sigma, weights, *_), _ = setting(row)
    half = norm.ppf(0.975) * np.sqrt(weights @ sigma @ weights)
    assert weights @ beta == pytest.approx(float(row["estimate"]), rel=1e-7)
    assert (weights @ beta - half, weights @ beta + half) == pytest.approx(numbers(row), rel=1e-6)


@pytest.mark.parametrize("row", rows("FLCI"))
def test_fixed_length(shared_reference, row):
    """R: findOptimalFLCI(betahat, sigma, M=…); `_exactcv`: with the exact folded quantile."""
    given, extra = setting(row)
    found = fixed_length(*given, float(extra["M"]), 1 - float(extra["alpha"]))
    half = float(extra["halflength"])
    if "exactcv" not in row["case"]:
        assert found.half_length == pytest.approx(half, rel=3e-3)
        assert found.estimate == pytest.approx(float(row["estimate"]), abs=2e-6)
        return
    assert found.half_length == pytest.approx(half, abs=1e-7)
    if given[0].size == 8:
        assert (found.low, found.high) == pytest.approx(numbers(row), abs=1e-5)
        return
    # LW is nearly singular (condition number 1.2e4): their solver stops at weights whose length is
    # within 1e-7 of ours, and there the centre, flat in the weights, is off by up to 4e-5 of it
    # (M = 0, "optimal_inaccurate" in theirs: 9e-4).
    theirs = np.array([float(v) for v in extra["optimalVec"].split("|")])
    weights = np.r_[theirs, given[2][len(theirs) :]]
    assert weights @ given[0] == pytest.approx(float(row["estimate"]), abs=1e-8)
    assert found.half_length <= half + 1e-7
    room = 1e-3 if extra["M"] == "0" else 5e-5
    assert (found.low, found.high) == pytest.approx(numbers(row), abs=room * half)


CONDITIONAL = {
    "C-LF": "hybrid",
    "Conditional": "conditional",
    "C-F": "conditional_fixed_length",
    None: "hybrid",
}


def restriction_of(case: str):
    direction = "positive" if "PB" in case else None
    kind = RelativeMagnitudes if "_RM" in case else Smoothness
    return kind(direction=direction)


@pytest.mark.parametrize("row", [*rows("RM"), *rows("BC_SD")])
def test_conditional(shared_reference, row):
    """R: createSensitivityResults[_relativeMagnitudes](…), computeConditionalCS_DeltaSD(…)."""
    given, extra = setting(row)
    _, sigma, weights, times, reference, first = given
    size = float(extra.get("Mbar", extra.get("M")))
    level = 0.9 if "a10" in row["case"] else 0.95
    method = CONDITIONAL[extra.get("method")]
    fixed = None
    if method == "conditional_fixed_length":
        fixed = fixed_length(*given, size, 1 - 0.1 * (1 - level))
    pieces = restriction_of(row["case"]).pieces(times, reference, first, size)
    found = conditional_set(*given, pieces, level, method, fixed=fixed)
    low, high = numbers(row)
    if "gridstep" in extra:
        step = float(extra["gridstep"])
    elif fixed is not None:  # their grid is the fixed-length interval
        step = 2 * fixed.half_length / 999
    else:  # theirs: the identified set of a path of zeros, and 20 standard errors on each side
        step = 2 * (size + 20 * np.sqrt(weights @ sigma @ weights)) / 999
    # An end at the limit of their grid is not the end of the set.
    if extra.get("truncated_lb") == "1":
        assert found.low <= low
    elif "SDPB_CF" in row["case"]:
        # Theirs is the limit of the grid too, that is of the fixed-length interval: the sign does
        # not move our low end from that without it, and theirs without it is within a step of ours.
        assert low == pytest.approx(fixed.low, abs=3e-3 * fixed.half_length)
        plain = Smoothness().pieces(times, reference, first, size)
        without = conditional_set(*given, plain, level, method, fixed=fixed)
        assert found.low == pytest.approx(without.low, abs=3 * step)
    else:
        assert found.low == pytest.approx(low, abs=2 * step)
    if extra.get("truncated_ub") == "1":
        assert found.high >= high
    elif "RMPB" in row["case"] and size >= 1:
        # The first step cuts here, and theirs compares with the 0.995 quantile of 1,000 draws: in
        # 99.4 % of sets of draws between the true 0.986 and 0.9995 ones (binomial).
        least, most = (
            conditional_set(*given, pieces, level, method, share=share).high
            for share in (0.014 / 0.05, 0.0005 / 0.05)
        )
        assert least - 2 * step <= high <= most + 2 * step
        assert found.high == pytest.approx(high, abs=0.006)
    else:
        assert found.high == pytest.approx(high, abs=2 * step)
