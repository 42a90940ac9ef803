"""The strip of long differences: who is where, how large, and how far apart the means are."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from plot.places import CHILDREN, NAMES, foot, make_design, phone, texts, title, values

import didkit as dk
from didkit import plot
from didkit.errors import EstimationError
from didkit.plot.strips import apart
from didkit.plot.style import COMPARATOR, PILOT
from didkit.results import tables


def strip(y: np.ndarray | None = None, **options: object) -> tuple[dk.Estimate, Axes]:
    estimate = dk.DiD().fit(make_design(y, **options), "m").infer(None)  # type: ignore[arg-type]
    return estimate, plot.long_differences(estimate)


def dots(ax: Axes) -> object:
    return next(one for one in ax.collections if len(one.get_offsets()) > 2)


def test_every_unit_is_a_dot_at_its_own_number_in_the_colour_of_its_arm() -> None:
    estimate, ax = strip()
    data, drawn = ax.data, dots(ax)
    own = estimate.long_differences()
    assert data["unit"].tolist() == own["unit"].tolist()
    assert data["value"].tolist() == own["value"].tolist()
    y = values()
    assert data["value"].tolist() == pytest.approx(y[:, 3:].mean(axis=1) - y[:, :3].mean(axis=1))
    assert drawn.get_offsets().tolist() == data[["value", "y"]].to_numpy().tolist()
    hues = [to_hex(colour).upper() for colour in drawn.get_facecolors()]
    assert hues == [PILOT if arm == "pilot" else COMPARATOR for arm in data["arm"]]


def test_pilots_stand_above_comparators_and_both_rows_are_named() -> None:
    _, ax = strip()
    at = ax.data.groupby("arm")["y"]
    assert at.min()["pilot"] > at.max()["comparator"]
    labels = dict(zip((t.get_text() for t in ax.get_yticklabels()), ax.get_yticks(), strict=True))
    pilots = next(height for label, height in labels.items() if label.startswith("3 pilots"))
    others = next(height for label, height in labels.items() if label.startswith("9 comparators"))
    assert pilots > others
    fell = int((ax.data.loc[ax.data["arm"] == "pilot", "value"] < 0).sum())
    rose = int((ax.data.loc[ax.data["arm"] == "pilot", "value"] > 0).sum())
    assert any(f"{fell} fell,\n{rose} rose" in label for label in labels if "pilots" in label)


def test_area_is_proportional_to_the_population() -> None:
    _, ax = strip()
    sizes = np.asarray(dots(ax).get_sizes())
    assert (sizes / sizes[-1]).tolist() == pytest.approx((CHILDREN / CHILDREN[-1]).tolist())
    key = ax.get_legend()
    said = [text.get_text() for text in key.get_texts()]
    assert said == ["25,000", "100,000 (population)"]
    shown = [float(handle.get_sizes()[0]) for handle in key.legend_handles]
    wanted = [sizes[-1] * n / CHILDREN[-1] for n in (25_000, 100_000)]
    assert shown == pytest.approx(wanted)
    assert "Area of a dot: child population." in foot(ax)


def test_without_population_dots_are_alike_and_the_foot_says_so() -> None:
    _, ax = strip(children=False)
    assert ax.data["exposure"].isna().all()
    assert len(set(dots(ax).get_sizes().tolist())) == 1
    assert ax.get_legend() is None
    assert "Dots are alike" in foot(ax)


@pytest.mark.parametrize("change", [-5.0, 9.0])
def test_the_arrow_runs_from_the_comparators_mean_to_the_pilots(change: float) -> None:
    estimate, ax = strip(values(change))
    data = ax.data
    means = data.groupby("arm")["value"].mean()
    arrow = next(text for text in ax.texts if text.arrow_patch is not None)
    (end, height), start = arrow.xy, arrow.xyann[0]
    assert (start, end) == pytest.approx((means["comparator"], means["pilot"]))
    assert (end < start) == (change < 0)
    assert end - start == pytest.approx(estimate.values[0])
    at = data.groupby("arm")["y"]
    assert at.max()["comparator"] < height < at.min()["pilot"]
    sign = "−" if change < 0 else "+"
    said = f"{sign}{tables.number(abs(float(estimate.values[0])))}"
    assert f"difference {said}" in texts(ax)
    assert title(ax).endswith(f"a difference of {said}")
    assert "not exactly this difference" not in foot(ax)


def test_means_are_marked_in_each_row() -> None:
    _, ax = strip()
    bars = {
        round(float(line.get_xdata()[0]), 9): line.get_color()
        for line in ax.get_lines()
        if line.get_linewidth() == 3.6
    }
    means = ax.data.groupby("arm")["value"].mean().round(9)
    assert bars == {means["pilot"]: PILOT, means["comparator"]: COMPARATOR}


def test_the_extremes_of_each_arm_are_named_where_they_are() -> None:
    _, ax = strip()
    named = {text.get_text(): text.xy[0] for text in ax.texts if text.get_text() in NAMES}
    for _, arm in ax.data.groupby("arm"):
        for row in (arm.loc[arm["value"].idxmin()], arm.loc[arm["value"].idxmax()]):
            assert named[row["name"]] == row["value"]
    assert len(named) == 4


def test_an_estimate_that_is_not_the_difference_of_the_means_is_said() -> None:
    starts = {"301": 2013, "304": 2014, "307": 2015}
    estimate = dk.DiD().fit(make_design(starts=starts), "m").infer(None)
    ax = plot.long_differences(estimate)
    means = ax.data.groupby("arm")["value"].mean()
    assert means["pilot"] - means["comparator"] != pytest.approx(estimate.values[0])
    value = float(estimate.values[0])
    assert f"The estimate, −{tables.number(abs(value))}, weighs starts" in foot(ax)


def test_levels_are_said_as_levels_and_one_arm_alone_has_no_difference() -> None:
    gap = dk.Gap().fit(make_design(), "m").infer(None)
    level = plot.long_differences(gap, "gap_before")
    y = values()
    assert f"on average {tables.number(y[:3, :3].mean())} in the pilots" in title(level)
    assert "Level in each authority" in foot(level)
    assert not any("fell" in label.get_text() for label in level.get_yticklabels())
    default = plot.long_differences(gap)
    assert default.data["value"].tolist() == gap.long_differences("change")["value"].tolist()
    alone = plot.long_differences(gap, "before_after")
    assert set(alone.data["arm"]) == {"pilot"}
    assert not any("difference" in text for text in texts(alone))


def test_refusals_name_what_is_lacking() -> None:
    estimate, _ = strip()
    with pytest.raises(EstimationError, match="choose one of: att"):
        plot.long_differences(estimate, "nobody")
    events = dk.EventStudy(cells="observed").fit(
        make_design(starts={"301": 2013, "304": 2014, "307": 2015}), "m"
    )
    if events.contributions is None:
        with pytest.raises(EstimationError, match="one number a unit"):
            plot.long_differences(events.infer(None))


def test_on_a_phone_rows_have_short_names() -> None:
    estimate, _ = strip()
    ax = plot.long_differences(estimate, ax=phone())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["9\ncomparators", "3\npilots"]


@pytest.mark.parametrize("seed", range(10))
def test_dots_of_a_swarm_touch_but_never_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, radius = rng.uniform(0, 120, 60), rng.uniform(1, 8, 60)
    y = apart(x, radius)
    distance = np.hypot(x[:, None] - x, y[:, None] - y)
    reach = radius[:, None] + radius
    off = ~np.eye(60, dtype=bool)
    assert (distance[off] >= reach[off] * (1 - 1e-8)).all()
    assert (apart(x, radius) == y).all()
    alone = apart(np.arange(5) * 100.0, radius[:5])
    assert (alone == 0).all()


def test_a_swarm_is_as_flat_as_it_can_be() -> None:
    assert sorted(apart(np.zeros(3), np.full(3, 5.0))) == [-10.0, 0.0, 10.0]
    assert sorted(apart(np.zeros(5), np.full(5, 5.0))) == [-20.0, -10.0, 0.0, 10.0, 20.0]
