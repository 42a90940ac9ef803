"""Pictures: Axes returned, nothing shown, and what is drawn is what was estimated."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from helpers import design_of
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import didkit as dk
from didkit import plot
from didkit.design import MatchedSets
from didkit.errors import DidkitError
from didkit.plot.paths import counterfactual, paths
from didkit.plot.style import _apart
from didkit.simulate import EvaluationProcess, draw, evaluation_design

CR2 = dk.ClusterRobust("CR2")


def numbers() -> np.ndarray:
    """Three pilots some 20 below nine comparators; from the fourth period on 5 lower still."""
    rng = np.random.default_rng(5)
    y = 100 + 4 * rng.standard_normal((12, 6)) + 3 * np.arange(6)
    y[:3] -= 20
    y[:3, 3:] -= 5
    return y


@pytest.fixture(scope="module")
def design() -> dk.Design:
    return design_of(numbers(), {0: 3, 1: 3, 2: 3})


@pytest.fixture(scope="module")
def synthetic() -> dk.Design:
    return evaluation_design(draw(EvaluationProcess(), seed=1))


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def title(ax: Axes) -> str:
    return " ".join(ax.get_title(loc="left").split())


def all_pictures(design: dk.Design, metric: str) -> dict[str, Axes]:
    did = dk.DiD().fit(design, metric).infer(CR2)
    events = dk.EventStudy().fit(design, metric).infer(CR2)
    return {
        "gap": dk.Gap().fit(design, metric).infer(None).plot(),
        "gap by period": dk.Gap(by="period").fit(design, metric).infer(CR2).plot(),
        "did": did.plot(),
        "trends": plot.trends(design, metric),
        "events": events.plot(),
        "pre-trends": events.check(dk.PreTrends()).plot(),
        "leave one out": did.check(dk.LeaveOneOut()).plot(),
        "placebo start": did.check(dk.PlaceboStart()).plot(),
        "placebo pilots": did.check(dk.PlaceboPilots(draws=99)).plot(),
        "detectable": did.check(dk.DetectableEffect()).plot(),
    }


def test_every_picture_is_axes_with_its_frame_and_numbers_in_the_title(
    synthetic: dk.Design,
) -> None:
    for name, ax in all_pictures(synthetic, "cla").items():
        assert isinstance(ax, Axes), name
        assert isinstance(ax.data, pd.DataFrame), name  # type: ignore[attr-defined]
        assert len(ax.data), name  # type: ignore[attr-defined]
        assert any(letter.isdigit() for letter in title(ax)), name
        assert "children looked after" in title(ax).lower(), name
        unit = f"{ax.get_xlabel()} {ax.get_ylabel()}".replace("\n", " ")
        if name != "placebo pilots":
            assert "per 10,000 children" in unit, name
        assert not ax.spines["top"].get_visible(), name
        ax.figure.draw_without_rendering()  # no warning: warnings are errors here


def test_nothing_is_shown_and_pyplot_is_not_touched() -> None:
    code = (
        "import sys, numpy as np; sys.path.insert(0, 'tests'); import didkit as dk;"
        "from helpers import design_of;"
        "assert 'matplotlib' not in sys.modules;"
        "y = np.arange(24.).reshape(6, 4) % 7;"
        "dk.Gap().fit(design_of(y, {0: 2, 1: 2}), 'm').infer(None).plot();"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_given_axes_are_drawn_on_and_returned(design: dk.Design) -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    gap = dk.Gap().fit(design, "m").infer(None)
    assert gap.plot(ax=right) is right
    assert not left.has_data()
    with pytest.raises(DidkitError, match="Axes"):
        plot.gap(gap, ax=figure)  # type: ignore[arg-type]


def test_pictures_can_be_drawn_in_threads(design: dk.Design) -> None:
    gap = dk.Gap().fit(design, "m").infer(None)
    drawn: list[str] = []

    def one() -> None:
        ax = plot.gap(gap)
        ax.figure.draw_without_rendering()
        drawn.append(title(ax))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 4
    assert len(set(drawn)) == 1


# -- the gap -------------------------------------------------------------------------------------


def test_gap_shows_both_gaps_in_their_order_and_direction(design: dk.Design) -> None:
    estimate = dk.Gap().fit(design, "m").infer(None)
    ax = estimate.plot()
    data = ax.data
    y = numbers()
    assert data["when"].tolist() == ["before", "after"]
    assert data["pilots"].tolist() == pytest.approx([y[:3, :3].mean(), y[:3, 3:].mean()])
    assert data["comparators"].tolist() == pytest.approx([y[3:, :3].mean(), y[3:, 3:].mean()])
    assert data["gap"].tolist() == pytest.approx(estimate.values[:2].tolist())
    assert (data["gap"] < 0).all()
    low, high = (ax.get_lines()[i].get_ydata() for i in (0, 3))
    assert sorted(low) == pytest.approx(sorted(data.loc[0, ["pilots", "comparators"]]))
    assert sorted(high) == pytest.approx(sorted(data.loc[1, ["pilots", "comparators"]]))
    assert [label.get_text().split()[0] for label in ax.get_xticklabels()] == ["before", "after"]
    size = dk.results.tables.number(abs(data["gap"][0]))
    assert f"{size} lower" in title(ax)
    assert f"gap −{size}" in texts(ax)


def test_gap_says_fewer_of_counts_and_more_when_pilots_have_more(synthetic: dk.Design) -> None:
    fewer = dk.Gap().fit(synthetic, "cpp").infer(None).plot()
    assert fewer.data["gap"][0] < 0
    assert title(fewer).startswith("Pilots had ")
    assert "fewer child protection plans per 10,000 children before the start" in title(fewer)
    flipped = design_of(200 - numbers(), {0: 3, 1: 3, 2: 3})
    assert "higher on m before the start" in title(dk.Gap().fit(flipped, "m").infer(None).plot())


@pytest.mark.parametrize("scale", [1.0, 0.01, 12_345.0, 1_234_567.0])
def test_no_label_of_the_gap_reaches_the_start(scale: float) -> None:
    y = numbers() * scale
    y[:3] = 1.5 * y[:3] - 60 * scale
    ax = dk.Gap().fit(design_of(y, {0: 3, 1: 3, 2: 3}), "m").infer(None).plot()
    ax.figure.draw_without_rendering()
    (start,) = [line for line in ax.get_lines() if line.get_linestyle() == "--"]
    edge = start.get_window_extent().x0
    assert len(ax.texts) == 6
    for text in ax.texts:
        box = text.get_window_extent()
        assert box.x1 < edge - 4 or box.x0 > edge + 4, text.get_text()
        assert box.x0 >= ax.get_window_extent().x0, text.get_text()


def test_gap_refuses_what_has_none(design: dk.Design) -> None:
    with pytest.raises(DidkitError, match=r"Gap\(\)"):
        plot.gap(dk.DiD().fit(design, "m").infer(None))


# -- trends --------------------------------------------------------------------------------------


def test_trends_draw_the_means_of_both_arms(design: dk.Design) -> None:
    ax = plot.trends(design, "m")
    y = numbers()
    assert ax.data["pilots"].tolist() == pytest.approx(y[:3].mean(axis=0).tolist())
    assert ax.data["comparators"].tolist() == pytest.approx(y[3:].mean(axis=0).tolist())
    assert ax.data["counterfactual"].isna().all()
    assert [label.get_text() for label in ax.get_xticklabels()] == list(design.periods)
    assert "in all 6 periods" in title(ax)
    labels = [text for text in texts(ax) if text.startswith(("Pilots", "Comparators"))]
    assert len(labels) == 2
    thin = [line for line in ax.get_lines() if len(line.get_xdata()) == 6]
    assert len(thin) == 12 + 2
    with pytest.raises(DidkitError, match="metric"):
        plot.trends(design)


def test_start_lies_between_the_last_period_before_and_the_first_with_it(
    design: dk.Design,
) -> None:
    marks = [line for line in plot.trends(design, "m").get_lines() if len(line.get_xdata()) == 2]
    assert [float(line.get_xdata()[0]) for line in marks] == [2.5]


@pytest.mark.parametrize("starts", [{0: 3, 1: 3, 2: 3}, {0: 2, 1: 3, 2: 4}])
@pytest.mark.parametrize("holes", [False, True])
def test_distance_from_the_counterfactual_is_the_estimate(
    starts: Mapping[int, int], holes: bool
) -> None:
    y = numbers()
    if holes:
        y[0, 0] = y[5, 2] = y[1, 5] = np.nan
    estimate = dk.DiD().fit(design_of(y, starts), "m").infer(None)
    sample = estimate.sample
    found = paths(sample)
    path = counterfactual(sample, found, float(estimate.values[0]))
    treated = sample.treated[sample.pilot] & np.isfinite(found.own)
    share = treated.sum(axis=0)
    seen = np.isfinite(found.own).sum(axis=0)
    moved = np.where(share > 0, (found.pilots - path) * seen, 0.0)
    assert moved.sum() / share.sum() == pytest.approx(estimate.values[0])
    drawn = estimate.plot().data["counterfactual"].to_numpy()
    assert drawn == pytest.approx(path, nan_ok=True)
    if len(sample.starts) == 1 and not holes:  # no constant: parallel to the comparators
        shape = np.diff(path[3:]) - np.diff(found.comparators[3:])
        assert shape == pytest.approx(np.zeros(2), abs=1e-9)


@pytest.mark.parametrize("aggregate", ["mean", "median"])
def test_paths_of_matched_sets_add_up_to_the_gap(aggregate: str) -> None:
    ids = [str(301 + 3 * i) for i in range(12)]
    sets = MatchedSets({ids[k]: dict.fromkeys(ids[3 * k + 3 : 3 * k + 6], 1 / 3) for k in range(3)})
    design = design_of(numbers(), {0: 3, 1: 3, 2: 3}, against=sets)
    found = paths(design.sample("m"))
    gaps = dk.Gap(by="period").fit(design, "m").values
    assert (found.pilots - found.comparators).tolist() == pytest.approx(gaps.tolist())


def test_periods_without_a_pilot_are_named() -> None:
    y = numbers()
    y[0, 0] = np.nan
    ax = plot.trends(design_of(y, {0: 3, 1: 3, 2: 3}), "m")
    assert "Pilots with a value, of 3: 2011: 2." in ax.get_xlabel().replace("\n", " ")
    assert "Grey: each authority." in ax.get_xlabel()
    assert "The axis is cut: it starts above 0" in ax.get_xlabel().replace("\n", " ")


# -- the event study -----------------------------------------------------------------------------


def test_event_study_has_a_hollow_reference_and_the_terms_in_order(design: dk.Design) -> None:
    estimate = dk.EventStudy().fit(design, "m").infer(CR2)
    ax = estimate.plot()
    data = ax.data
    assert data["position"].tolist() == [-3, -2, -1, 0, 1, 2]
    assert data["phase"].tolist() == ["before"] * 2 + ["reference"] + ["after"] * 3
    assert data["label"].tolist()[2:4] == ["2013\n−1", "2014\n0"]
    hollow = [line for line in ax.get_lines() if line.get_markerfacecolor() == "white"]
    assert [float(line.get_xdata()[0]) for line in hollow] == [-1.0]
    marks = [line for line in ax.get_lines() if line.get_linestyle() == "--"]
    assert [float(line.get_xdata()[0]) for line in marks] == [-0.5]
    bars = [line.get_ydata() for line in ax.get_lines() if len(line.get_xdata()) == 2]
    drawn = {tuple(np.round(bar, 6)) for bar in bars}
    for row in data[data["phase"] != "reference"].itertuples():
        assert (round(row.conf_low, 6), round(row.conf_high, 6)) in drawn
    assert dk.results.tables.number(abs(data["estimate"].iloc[-1]))[:3] in title(ax)


def test_terms_of_one_pilot_are_lighter(synthetic: dk.Design) -> None:
    ax = dk.EventStudy().fit(synthetic, "cla").infer(None).plot()
    alone = ax.data[ax.data["n_pilots"] == 1]
    assert alone["position"].tolist() == [-6]
    light = [line for line in ax.get_lines() if line.get_alpha() not in (None, 1.0)]
    assert [float(line.get_xdata()[0]) for line in light] == [-6.0]
    assert "one pilot" in ax.get_xlabel()


def test_intervals_without_a_limit_stay_in_the_picture(design: dk.Design) -> None:
    estimate = dk.EventStudy().fit(design, "m").infer(dk.Permutation(draws=19), level=0.999)
    assert np.isinf(estimate.tidy()["conf_low"]).any()
    ax = estimate.plot()
    low, high = ax.get_ylim()
    assert np.isfinite([low, high]).all()
    arrows = [line for line in ax.get_lines() if line.get_marker() in ("v", "^")]
    assert {float(line.get_ydata()[0]) for line in arrows} == {low, high}
    assert "the interval has no limit" in ax.get_xlabel().replace("\n", " ")


def test_pre_trends_stop_at_the_reference(design: dk.Design) -> None:
    finding = dk.EventStudy().fit(design, "m").infer(CR2).check(dk.PreTrends())
    ax = finding.plot()
    assert ax.data["phase"].tolist() == ["before", "before", "reference"]
    assert "all earlier terms together, p" in title(ax)


# -- findings ------------------------------------------------------------------------------------


def test_leave_one_out_runs_from_the_smallest_to_the_largest(design: dk.Design) -> None:
    finding = dk.DiD().fit(design, "m").infer(None).check(dk.LeaveOneOut())
    ax = finding.plot()
    assert ax.data["estimate"].is_monotonic_increasing
    first = ax.data.iloc[0]
    assert first["estimate"] == finding.facts["lowest"]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [f"without {name}" for name in ax.data["name"]]
    many = dk.DiD().fit(evaluation_design(draw(EvaluationProcess(), seed=1)), "cla").infer(None)
    ax = many.check(dk.LeaveOneOut(units="comparators")).plot()
    assert int(ax.data["shown"].sum()) == len(ax.get_yticks()) == 30
    assert len(ax.data) == len(many.design.comparators)


def test_placebo_starts_stand_before_the_actual_one(design: dk.Design) -> None:
    finding = dk.DiD().fit(design, "m").infer(CR2).check(dk.PlaceboStart())
    data = finding.plot().data
    assert data["start"].tolist() == ["2012", "2013", "2014"]
    assert data["kind"].tolist() == ["placebo", "placebo", "actual"]
    assert data["estimate"].iloc[-1] == finding.facts["actual"]


def test_placebo_pilots_mark_the_actual_estimate(design: dk.Design) -> None:
    finding = dk.DiD().fit(design, "m").infer(CR2).check(dk.PlaceboPilots(draws=99))
    ax = finding.plot()
    assert float(ax.get_lines()[0].get_xdata()[0]) == finding.facts["actual"]
    assert sum(patch.get_height() for patch in ax.patches) == len(ax.data)
    assert f"{finding.facts['share_as_large']:.0%}" in title(ax)


def test_the_band_is_the_detectable_effect(design: dk.Design) -> None:
    finding = dk.DiD().fit(design, "m").infer(CR2).check(dk.DetectableEffect())
    ax = finding.plot()
    (band,) = ax.patches
    size = finding.facts["detectable"]
    assert (band.get_x(), band.get_width()) == pytest.approx((-size, 2 * size))
    assert dk.results.tables.number(size) in title(ax)


# -- all -----------------------------------------------------------------------------------------


def test_names_are_not_read_as_mathematics() -> None:
    y = numbers()
    frame = pd.DataFrame(
        [
            (301 + 3 * j, f"$x^{{{j}$ & <b>{j}</b>", 2011 + t, y[j, t])
            for j in range(12)
            for t in range(6)
        ],
        columns=["la", "name", "year", "m"],
    )
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"], name="name")
    design = dk.Design(
        panel,
        dk.Rollout(dict.fromkeys(("301", "304", "307"), 2014)),
        against=dk.Pool(),
        selection="unknown",
    )
    ax = dk.DiD().fit(design, "m").infer(None).check(dk.LeaveOneOut()).plot()
    ax.figure.draw_without_rendering()  # a mathtext error would be raised here


def test_what_has_no_picture_is_refused() -> None:
    with pytest.raises(DidkitError, match="list"):
        plot.draw([])


@pytest.mark.parametrize("seed", range(20))
def test_labels_are_moved_apart_in_order_and_no_further(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = np.sort(rng.uniform(0, 10, 4)).tolist()
    heights = rng.uniform(0.5, 2, 4).tolist()
    placed = _apart(wanted, heights)
    for i in range(3):
        assert placed[i + 1] - placed[i] >= (heights[i] + heights[i + 1]) / 2 - 1e-9
    far = [0.0, 10.0, 20.0, 30.0]
    assert _apart(far, heights) == far


def test_labels_of_one_place_move_apart_by_as_much_up_as_down() -> None:
    assert _apart([0.0, 0.0], [2.0, 2.0]) == [-1.0, 1.0]
    assert _apart([0.0, 0.0, 9.0], [2.0, 4.0, 2.0]) == [-1.5, 1.5, 9.0]
