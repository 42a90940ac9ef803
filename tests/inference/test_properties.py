"""What holds whatever the data: test and interval agree, scale does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import design_of, treated
from hypothesis import given, settings
from hypothesis import strategies as st

from didkit.estimate import DiD, EventStudy
from didkit.inference import ClusterRobust, Jackknife, Permutation
from didkit.inference.student import t_quantile, t_tail

N, T = 9, 4
STARTS = {1: 2, 4: 2, 7: 2}
EVENT = np.array([-2, 0, 1])

numbers = st.integers(-50, 50)
outcomes = st.lists(numbers, min_size=N * T, max_size=N * T).map(
    lambda values: np.array(values, dtype=float).reshape(N, T) / 4
)
methods = st.sampled_from(
    [
        ClusterRobust("CR0"),
        ClusterRobust("CR1"),
        ClusterRobust("CR1", factor="full"),
        ClusterRobust("CR1", factor="nested", df="normal"),
        ClusterRobust("CR2"),
        ClusterRobust("CR2", df="welch"),
        ClusterRobust("CR2", df="g-1"),
        ClusterRobust("CR3"),
        ClusterRobust("CR3", df="bell-mccaffrey"),
        ClusterRobust("CR3J"),
        Jackknife(),
        Permutation("t"),
        Permutation("beta"),
    ]
)


@settings(max_examples=60)
@given(
    y=outcomes,
    inference=methods,
    level=st.sampled_from([0.5, 0.8, 0.9, 0.95]),
    part=st.sampled_from([-3.0, -0.51, -0.49, -0.2, 0.0, 0.3, 0.49, 0.51, 2.0]),
    event=st.booleans(),
)
def test_p_and_interval_agree(y, inference, level, part, event):
    """p(θ0) ≤ α exactly when θ0 is outside, at a place `part` widths from the middle."""
    estimator = EventStudy() if event else DiD()
    m = 2 if event else 0
    made = estimator.fit(design_of(y, STARTS), "m")
    sure = made.infer(inference, level=level).uncertainty
    low, high = sure.conf_low[m], sure.conf_high[m]
    if not np.isfinite([low, high]).all() or high - low < 1e-6:
        return
    theta = (low + high) / 2 + part * (high - low)
    on = np.zeros((N, T))
    if event:
        on[list(STARTS), 3] = 1
    else:
        on = treated((N, T), STARTS)
    p = (
        estimator.fit(design_of(y - theta * on, STARTS), "m")
        .infer(inference)
        .uncertainty.p_value[m]
    )
    if np.isnan(p):
        return
    if abs(part) > 0.5:
        assert p <= round(1 - level, 12)
    elif not any("its hull" in note for note in sure.notes):
        assert p > round(1 - level, 12)


@settings(max_examples=25)
@given(y=outcomes, inference=methods, factor=st.sampled_from([1e-6, -1.0, 3.0, 1e5]))
def test_everything_scales(y, inference, factor):
    one, other = (
        DiD().fit(design_of(k * y, STARTS), "m").infer(inference).uncertainty for k in (1, factor)
    )
    if np.isnan(one.std_error[0]) and not isinstance(inference, Permutation):
        assert np.isnan(other.std_error[0])
        return
    np.testing.assert_allclose(other.p_value, one.p_value, rtol=1e-6)
    np.testing.assert_allclose(other.std_error, abs(factor) * one.std_error, rtol=1e-6)
    ends = sorted([factor * one.conf_low[0], factor * one.conf_high[0]])
    size = abs(factor) * max(np.abs(y).max(), 1)
    np.testing.assert_allclose(
        [other.conf_low[0], other.conf_high[0]], ends, rtol=1e-6, atol=1e-7 * size
    )


@settings(max_examples=40)
@given(y=outcomes)
def test_exact_p_is_a_share_and_counts_the_actual_assignment(y):
    made = DiD().fit(design_of(y, STARTS), "m")
    for statistic in ("t", "beta"):
        sure = made.infer(Permutation(statistic)).uncertainty
        assert sure.facts["draws"] == 84
        assert sure.p_value[0] * 84 == pytest.approx(round(sure.p_value[0] * 84), abs=1e-9)
        assert 1 / 84 - 1e-12 <= sure.p_value[0] <= 1


@given(df=st.floats(1, 200), level=st.floats(0.01, 0.999))
def test_quantile_and_tail_are_inverse(df, level):
    for degrees in (df, np.inf):
        reach = t_quantile((1 + level) / 2, np.array([degrees]))
        assert t_tail(reach, np.array([degrees]))[0] == pytest.approx(1 - level, abs=1e-9)
