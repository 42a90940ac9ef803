"""The mixture beside the pilots: the distance of the lines is the estimate."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import design_of, noise

import didkit as dk
from didkit.errors import EstimationError

SEVERAL = {3: 6, 9: 6, 15: 8}
FAMILY = [dk.SyntheticDiD, dk.SyntheticControl, dk.AugmentedSyntheticControl]


@pytest.mark.parametrize("kind", FAMILY)
def test_the_distance_of_the_lines_is_the_effect(kind):
    y = noise(20, 11, 1)
    design = design_of(y, {3: 6, 9: 6})
    ax = kind().fit(design, "m").infer(None).plot()
    path = kind(by="dynamic").fit(design, "m").infer(None)
    np.testing.assert_allclose(ax.data["pilots"] - ax.data["mixture"], path.values, atol=1e-9)
    np.testing.assert_allclose(ax.data["pilots"], y[[3, 9]].mean(axis=0))
    plt.close(ax.figure)


def test_several_starts_are_averaged():
    y = noise(20, 11, 2)
    made = dk.SyntheticDiD(by="none").fit(design_of(y, SEVERAL), "m").infer(None)
    ax = made.plot(kind="synthetic")
    last = made.terms["period"] == "2021"
    expected = (2 * made.values[last][0] + made.values[last][1]) / 3
    gap = (ax.data["pilots"] - ax.data["mixture"]).iloc[-1]
    assert gap == pytest.approx(expected, rel=1e-9)
    plt.close(ax.figure)


def test_weights_add_up_and_the_rest_is_one_bar():
    made = dk.SyntheticDiD().fit(design_of(noise(40, 11, 3), SEVERAL), "m").infer(None)
    ax = made.plot(kind="donor_weights")
    data = ax.data
    assert data["weight"].sum() == pytest.approx(1)
    assert data["weight"].is_monotonic_decreasing
    assert data["shown"].sum() == 20
    assert ax.get_yticklabels()[-1].get_text() == f"{len(data) - 20} others (mean)"
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths[:20], 100 * data["weight"][:20])
    plt.close(ax.figure)


@pytest.mark.parametrize("kind", ["synthetic", "donor_weights"])
def test_other_estimates_have_no_such_picture(kind):
    made = dk.DiD().fit(design_of(noise(20, 11, 4), SEVERAL), "m").infer(None)
    with pytest.raises(EstimationError, match="weights that the data chose"):
        made.plot(kind=kind)
