"""Effects that differ by start and grow: who recovers them on average, and who does not."""

from __future__ import annotations

import numpy as np
import pytest

import didkit as dk
from didkit.simulate import PanelProcess

# many pilots, few that never start: two-way then leans on pilots that have started already
PROCESS = PanelProcess(
    pilots=60,
    comparators=10,
    before=4,
    after=7,
    starts=(1 / 5, 1 / 5, 1 / 5, 1 / 5, 1 / 5),
    ar1=0.4,
    effect=-1.0,
    growth=-0.5,
    by_start=-0.5,
)
AVERAGE = [
    dk.GroupTime(),
    dk.GroupTime(comparison="not_yet"),
    dk.SunAbraham(),
    dk.Imputation(),
    dk.TwoStage(),
    dk.ExtendedTwoWay(),
    dk.RothSantAnna(),
]
BY_TIME = [
    dk.GroupTime(by="dynamic"),
    dk.SunAbraham(by="dynamic"),
    dk.Stacked(after=1, by="dynamic"),
    dk.LPDiD(by="dynamic", weighting="equal"),
    dk.Switching(),
]
TERM = "event time +1"


def found(estimator, term: str, seeds: int):
    made = dk.study(estimator, dk.ClusterRobust("CR0"), PROCESS, seeds=seeds, terms=[term])
    row = made.table.iloc[0]
    assert row["seeds"] == seeds
    return row


def test_the_truth_is_named_by_term():
    drawn = PROCESS.draw(3)
    truth = drawn.truth
    assert isinstance(truth, dict)
    # five starts in seven periods: −1 −.5 h −.5 e over 7, 6, 5, 4 and 3 cells
    cells = [-1 - 0.5 * h - 0.5 * e for h in range(5) for e in range(7 - h)]
    assert truth["att"] == pytest.approx(np.mean(cells))
    assert truth["event time +1"] == pytest.approx(np.mean([-1.5, -2.0, -2.5, -3.0, -3.5]))
    assert truth["event time -1"] == 0.0
    assert PanelProcess(pilots=2, comparators=4, before=2, after=2, effect=3).draw(1).truth == 3


@pytest.mark.parametrize("estimator", AVERAGE, ids=repr)
def test_the_average_is_unbiased(estimator):
    row = found(estimator, "att", 40)
    assert abs(row["bias"]) < 4 * row["bias_mc_error"]


@pytest.mark.parametrize("estimator", BY_TIME, ids=repr)
def test_a_time_since_the_start_is_unbiased(estimator):
    row = found(estimator, TERM, 40)
    assert abs(row["bias"]) < 4 * row["bias_mc_error"]


def test_two_way_is_biased():
    row = found(dk.DiD(), "att", 40)
    assert row["bias"] > 8 * row["bias_mc_error"]  # towards zero
    assert row["covers"] < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [*AVERAGE, *BY_TIME], ids=repr)
def test_unbiased_and_covering(estimator):
    row = found(estimator, "att" if estimator in AVERAGE else TERM, 500)
    assert abs(row["bias"]) < 3.5 * row["bias_mc_error"]
    assert 0.80 < row["covers"] < 0.99  # CR0 with ten comparators
