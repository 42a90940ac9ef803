"""The answer is right when it is known: rejections of a true null, and coverage of an effect.

The full page is docs/size.md; the functions are those that write it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))
import size_study as study


def test_a_few_seeds_have_no_bias_and_the_naive_gap_does():
    n = 40
    found = study.run(range(5001, 5001 + n), clean=True)["estimate"].unstack("method")
    # standard deviation of one estimate, from the calibration (within SD × √(1/10 + 1/60), about)
    sd = np.array([20.0, 6.0, 4.0, 4.0])
    did = found["permutation of t"].loc[list(study.METRICS)].to_numpy()
    assert (np.abs(did) < 4 * sd / np.sqrt(n)).all()
    naive = found["naive: gap afterwards"].loc[list(study.METRICS)].to_numpy()
    assert (naive < -2 * sd / np.sqrt(n)).all()


def test_the_study_is_the_same_each_time():
    once, again = (study.run(range(1, 3), clean=False) for _ in range(2))
    assert once.equals(again)


@pytest.mark.slow
def test_two_thousand_true_nulls_and_known_effects():
    null = study.run(range(1, 2001), clean=True, jobs=2)
    packaged = study.run(range(1, 2001), clean=False, jobs=2)
    known = study.run(range(2001, 4001), clean=True, effect=study.EFFECT, jobs=2)
    for metric in study.METRICS:
        for found in (null, packaged):
            assert 0.035 <= found.loc[("permutation of t", metric), "rejects"] <= 0.065
            assert 0.035 <= found.loc[("CR2, Bell–McCaffrey", metric), "rejects"] <= 0.065
            assert found.loc[("naive: gap afterwards", metric), "rejects"] > 0.1
        assert null.loc[("CR1, t(G − 1)", metric), "rejects"] > 0.065
        assert 0.93 <= known.loc[("permutation of t", metric), "covers"] <= 0.97
