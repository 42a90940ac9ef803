"""Driving cells, the rate's split, breaks and denominators: what is drawn is what was found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from plot.places import foot, phone, texts, title

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError
from didkit.plot.words import signed
from didkit.results import Finding

N, T, START = 20, 7, 4
PILOTS = tuple(range(1, 20, 4))
LONG = "Bournemouth, Christchurch and Poole (all three)"


def numbers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    people = np.rint(np.exp(rng.normal(10, 0.4, (N, 1)) + 0.01 * rng.normal(size=(N, T))))
    rate = 300 * np.exp(rng.normal(0, 0.2, (N, 1)) + rng.normal(0, 0.04, (N, T)))
    rate[1, :2] *= 2.2  # a pilot, before the start
    rate[5, START:] *= 0.45  # a pilot, as the programme starts
    rate[2, 5] *= 2.5  # a comparator, once
    return np.rint(rate * people / 1e4), people


@pytest.fixture(scope="module")
def estimate() -> dk.Estimate:
    count, people = numbers()
    unit, year = np.indices(count.shape)
    ids = np.array([str(301 + 3 * j) for j in range(N)])
    names = np.array([LONG if j == 1 else f"Place {j}" for j in range(N)])
    frame = pd.DataFrame(
        {
            "la": ids[unit.ravel()],
            "name": names[unit.ravel()],
            "year": 2013 + year.ravel(),
            "cin": np.round(1e4 * count / people, 1).ravel(),
            "cin_count": count.ravel(),
            "population": people.ravel(),
        }
    )
    panel = dk.Panel.from_frame(
        frame, unit="la", period="year", name="name", metrics=["cin", "cin_count", "population"]
    )
    rollout = dk.Rollout({ids[j]: 2013 + START for j in PILOTS})
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    return dk.DiD().fit(design, "cin").infer(dk.ClusterRobust("CR2"))


def other() -> dk.OtherDenominator:
    _, people = numbers()
    unit, year = np.indices(people.shape)
    moved = people * np.exp(0.02 * np.random.default_rng(1).normal(size=(N, 1)) * np.arange(T))
    frame = {"unit": 301 + 3 * unit.ravel(), "period": 2013 + year.ravel(), "value": moved.ravel()}
    return dk.OtherDenominator(pd.DataFrame(frame))


def dots(ax: Axes) -> dict[float, float]:
    """Height and place of each dot."""
    return {
        float(line.get_ydata()[0]): float(line.get_xdata()[0])
        for line in ax.lines
        if line.get_marker() == "o"
    }


def labels(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_the_grid_holds_the_contributions(estimate: dk.Estimate) -> None:
    found = estimate.check(dk.DrivingCells())
    ax = found.plot()
    data = ax.data
    every = dk.DrivingCells().cells(estimate)
    units = dk.DrivingCells().units(estimate)
    assert list(dict.fromkeys(data["unit"])) == units["unit"].tolist()[:14]
    both = data.merge(every, on=["unit", "period"], suffixes=("", "_full"))
    assert len(both) == len(data) == 14 * T
    np.testing.assert_array_equal(both["contribution"], both["contribution_full"])
    grid = ax.collections[0].get_array().reshape(14, T)
    np.testing.assert_allclose(grid.ravel(), data["contribution"])
    assert data["labelled"].sum() <= 10
    top = every.iloc[0]
    assert top["period"] in title(ax)
    assert signed(float(top["contribution"])) in title(ax)
    for total in units["contribution"][:14]:
        assert signed(float(total)) in texts(ax)
    rest = float(units["contribution"][14:].sum())
    assert f"The other 6 authorities add {signed(rest)} together." in foot(ax)
    small = estimate.check(dk.DrivingCells(most=2)).plot()
    assert small.data["labelled"].sum() == 2


def test_bars_add_up_to_the_rate(estimate: dk.Estimate) -> None:
    found = estimate.check(dk.RateSplit())
    ax = found.plot()
    data = ax.data.set_index("part")
    assert data.index[0] == "count"
    assert data.index[-1] == "rate"
    assert data.loc["count", "begin"] == data.loc["rate", "begin"] == 0
    assert data.loc["population", "begin"] == data.loc["count", "end"]
    facts = found.facts
    rest = 0 if "rounding" in data.index else facts["rounding"]
    assert data["end"].iloc[-2] + rest == pytest.approx(facts["estimate"], abs=1e-9)
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    np.testing.assert_allclose(bars, data[["begin", "end"]])
    for part in ("count", "population"):
        assert signed(facts[part]) in title(ax)
    lines = [line.get_xdata() for line in ax.lines if line.get_linewidth() == 1.4]
    rows = data.assign(low=data["begin"] + data["conf_low"], high=data["begin"] + data["conf_high"])
    np.testing.assert_allclose(lines, rows[["low", "high"]])
    assert "95% intervals" in foot(ax)
    assert "No intervals" in foot(estimate.infer(None).check(dk.RateSplit()).plot())


def test_breaks_are_dots_from_the_top(estimate: dk.Estimate) -> None:
    found = estimate.check(dk.WithoutBreaks(threshold=6.0))
    ax = found.plot()
    data = ax.data
    assert data["estimate"].tolist() == found.table["estimate"].tolist()
    assert dots(ax) == dict(zip(-np.arange(len(data), dtype=float), data["estimate"], strict=True))
    assert labels(ax)[:4] == ["as estimated", "flagged authorities", "flagged pilots",
                              "flagged comparators"]  # fmt: skip
    assert data["at_start"].sum() == 1
    assert data.loc[data["at_start"], "label"].tolist() == ["Place 5 *"]
    assert "jumped as the programme started" in foot(ax)
    hollow = [line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o"]
    assert [colour == "white" for colour in hollow] == data["original"].tolist()
    for key in ("full", "lowest", "highest"):
        assert signed(found.facts[key]) in title(ax)


def test_breaks_without_flags_and_without_estimates_are_drawn(estimate: dk.Estimate) -> None:
    none = estimate.check(dk.WithoutBreaks(threshold=99.0)).plot()
    assert "no series behind it is flagged" in title(none)
    assert len(none.data) == 1
    ids = [estimate.sample.units[j] for j in PILOTS]
    all_pilots = dk.WithoutBreaks(
        breaks=pd.DataFrame({"unit": ids, "period": 2015}), leave_out="units"
    )
    ax = estimate.check(all_pilots).plot()
    assert "no estimate" in texts(ax)


def test_many_rows_are_cut_to_those_that_move_most(estimate: dk.Estimate) -> None:
    ids = list(estimate.sample.units)
    breaks = pd.DataFrame({"unit": ids * 2, "period": [2015] * N + [2018] * N})
    found = estimate.check(dk.WithoutBreaks(breaks=breaks, leave_out=("cells", "each")))
    assert len(found.table) == 22
    wide = found.table
    more = pd.concat([wide, wide.iloc[2:].assign(shift=0.0)], ignore_index=True)
    cut = Finding(found.check, estimate, "", "", more, found.facts)
    ax = plot.without_breaks(cut) if hasattr(plot, "without_breaks") else cut.plot()
    assert len(ax.data) == 24
    assert ax.data["original"].iloc[0]
    assert f"{len(more) - 24} rows that move the estimate least" in foot(ax)


def test_denominators_are_three_dots(estimate: dk.Estimate) -> None:
    found = estimate.check(other())
    ax = found.plot()
    assert list(dots(ax).values()) == found.table["estimate"].tolist()
    assert labels(ax)[0] == "as estimated"
    assert signed(found.facts["other"]) in title(ax)
    assert "population (the frame given)" in foot(ax)
    lines = [tuple(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 2]
    table = found.table
    assert lines == list(zip(table["conf_low"], table["conf_high"], strict=True))


@pytest.mark.parametrize(
    "check", [dk.DrivingCells(), dk.RateSplit(), dk.WithoutBreaks(), other()], ids=type
)
def test_all_stay_inside_a_phone(estimate: dk.Estimate, check: object) -> None:
    ax = phone(5.0)
    assert estimate.check(check).plot(ax) is ax
    figure = ax.figure
    figure.canvas.draw()
    box = figure.bbox
    slack = 2
    for text in [ax.title, ax._left_title, ax.xaxis.label, *ax.get_yticklabels(), *ax.texts]:
        if not text.get_text():
            continue
        extent = text.get_window_extent()
        assert extent.x0 > box.x0 - slack, text.get_text()
        assert extent.x1 < box.x1 + slack, text.get_text()


def test_other_findings_are_refused(estimate: dk.Estimate) -> None:
    from didkit.plot.driving import driving_cells
    from didkit.plot.records import other_denominator, without_breaks
    from didkit.plot.splits import rate_split

    found = estimate.check(dk.LeaveOneOut())
    for draw in (driving_cells, other_denominator, without_breaks, rate_split):
        with pytest.raises(DidkitError, match="a finding of"):
            draw(found)
