"""The histogram of a permutation: what p counts is what is shaded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from plot.places import APART, foot, make_design, many, neighbours, phone, texts, title, values

import didkit as dk
from didkit import plot
from didkit.errors import EstimationError, InferenceError
from didkit.plot.style import FAINT, PILOT, TAIL
from didkit.results import tables


def permuted(change: float = -5.0, statistic: str = "t", draws: int = 199) -> dk.Estimate:
    inference = dk.Permutation(statistic, draws=draws, seed=1)  # type: ignore[arg-type]
    return dk.DiD().fit(make_design(values(change)), "m").infer(inference)


def bars(ax: Axes, colour: str) -> list[tuple[float, float, float]]:
    """Left edge, right edge and height of the bars of a colour."""
    return [
        (p.get_x(), p.get_x() + p.get_width(), p.get_height())
        for p in ax.patches
        if to_hex(p.get_facecolor()).upper() == colour and p.get_height() > 0
    ]


@pytest.mark.parametrize("statistic", ["t", "beta"])
@pytest.mark.parametrize("change", [-3.0, 0.0, 3.0])
def test_p_is_what_is_shaded(statistic: str, change: float) -> None:
    estimate = permuted(change, statistic)
    ax, sure = plot.permutation(estimate), estimate.attached
    data = ax.data
    assert data["statistic"].tolist() == sure.null[:, 0].tolist()
    count = int(data["as_large"].sum())
    assert (1 + count) / (1 + len(data)) == pytest.approx(float(sure.p_value[0]))
    shaded, plain = bars(ax, TAIL), bars(ax, FAINT)
    assert sum(height for *_, height in shaded) == count
    assert sum(height for *_, height in plain) == len(data) - count
    actual = abs(float(sure.statistic[0])) * (1 - 1e-8)
    if change:  # no bin is then half in a tail
        assert all(left >= actual or right <= -actual for left, right, _ in shaded)
        assert all(right > -actual and left < actual for left, right, _ in plain)
    assert f"{count} of {len(data)} assignments" in title(ax)


def test_all_assignments_are_counted_when_they_can_be_listed() -> None:
    estimate = permuted(draws=999)
    ax, sure = plot.permutation(estimate), estimate.attached
    assert sure.facts["exact"]
    assert len(ax.data) == 220
    assert ax.data["as_large"].mean() == pytest.approx(float(sure.p_value[0]))
    assert "Every assignment is listed" in foot(ax)


@pytest.mark.parametrize(("change", "side"), [(-6.0, -1), (6.0, 1)])
def test_the_actual_statistic_is_marked_on_its_own_side(change: float, side: int) -> None:
    estimate = permuted(change)
    ax = plot.permutation(estimate)
    actual = float(estimate.attached.statistic[0])
    solid = [line for line in ax.get_lines() if line.get_linewidth() == 2.2]
    assert [float(line.get_xdata()[0]) for line in solid] == [actual]
    assert np.sign(actual) == side
    assert solid[0].get_color() == PILOT
    sign = "−" if side < 0 else "+"
    assert any(text.startswith(f"actual t {sign}") for text in texts(ax))
    assert f"as far from 0 as {sign}{tables.number(abs(actual))}" in title(ax)


@pytest.mark.parametrize("draws", [19, 199])
def test_the_least_p_is_the_fact_and_stands_at_the_most_extreme_draw(draws: int) -> None:
    estimate = permuted(draws=draws)
    ax, sure = plot.permutation(estimate), estimate.attached
    least = tables.p_value(float(sure.facts["least_p"]))
    assert f"no p below {least}\nis possible" in texts(ax)
    assert f"no p below {least} is possible" in foot(ax)
    far = float(np.abs(sure.null[:, 0]).max())
    ticks = [line for line in ax.get_lines() if line.get_linewidth() == 2.0]
    assert sorted(float(line.get_xdata()[0]) for line in ticks) == pytest.approx([-far, far])
    note = next(text for text in ax.texts if "no p below" in text.get_text())
    assert note.xy[0] == pytest.approx(far)


def test_draws_without_a_statistic_count_and_are_said() -> None:
    estimate = permuted()
    sure = estimate.attached
    null = np.array(sure.null)
    null[:5] = np.nan
    ax = plot.permutation(estimate.with_uncertainty(replace(sure, null=null)))
    assert ax.data["as_large"].iloc[:5].all()
    assert "5 draws without a statistic" in foot(ax)
    drawn = sum(height for *_, height in bars(ax, TAIL) + bars(ax, FAINT))
    assert drawn == len(null) - 5


def test_a_tie_with_the_actual_statistic_is_shaded() -> None:
    estimate = permuted()
    sure = estimate.attached
    actual = float(sure.statistic[0])
    null = np.array(sure.null)
    null[:, 0] = 0.0
    null[:2, 0] = [actual, -actual]
    ax = plot.permutation(estimate.with_uncertainty(replace(sure, null=null)))
    assert ax.data["as_large"].tolist() == [True, True] + [False] * (len(null) - 2)


def test_the_axis_names_the_statistic_that_was_ranked() -> None:
    assert foot(plot.permutation(permuted())).startswith("t under each assignment")
    assert foot(plot.permutation(permuted(statistic="beta"))).startswith("Estimate under each")
    one = dk.DiD().fit(make_design(starts={"301": 2014}), "m")
    alone = plot.permutation(one.infer(dk.Permutation("t", draws=99)))
    assert foot(alone).startswith("Estimate under each")


def test_on_a_phone_the_foot_alone_says_the_least_p() -> None:
    ax = plot.permutation(permuted(), ax=phone())
    assert not any("no p below" in text for text in texts(ax))
    assert "no p below .0050 is possible" in foot(ax)


METHODS = {
    "wild": (dk.WildBootstrap(draws=199), "bootstrap draws give a t", "Bootstrap draws"),
    "strict": (
        dk.WildBootstrap("unrestricted", ties="strict", draws=199),
        "bootstrap draws give a t further from 0 than",
        "Bootstrap draws",
    ),
    "randomised": (
        dk.WildRandomisation(draws=199),
        "bootstrap draws of placebo pilots give a t",
        "Bootstrap draws",
    ),
    "Conley-Taber": (dk.ConleyTaber(draws=199), "placebo errors are as far", "Placebo errors"),
    "Ferman-Pinto": (dk.FermanPinto(draws=199), "placebo errors are as far", "Placebo errors"),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("change", [-3.0, 0.5])
def test_other_draws_have_their_own_words_and_their_own_p(name: str, change: float) -> None:
    inference, said, ylabel = METHODS[name]
    did = dk.DiD(cells="complete").fit(many(change), "m")
    estimate = did.infer(inference)
    ax = plot.permutation(estimate)
    assert said in title(ax)
    assert ax.get_ylabel().replace("\n", " ") == ylabel
    count, n = int(ax.data["as_large"].sum()), len(ax.data)
    p = float(estimate.attached.p_value[0])
    if "listed: p is" in foot(ax):
        assert p == pytest.approx(count / n)
    else:
        assert "(1 + shaded) / (1 + drawn)" in foot(ax)
        assert p == pytest.approx((1 + count) / (1 + n))
    assert sum(height for *_, height in bars(ax, TAIL)) == count
    assert ("further from 0 than" in foot(ax)) == (name == "strict")


def test_one_pilots_placebo_errors_are_all_listed() -> None:
    did = dk.DiD(cells="complete").fit(many(-9.0, starts={"301": 2014}), "m")
    estimate = did.infer(dk.ConleyTaber())
    ax = plot.permutation(estimate)
    assert len(ax.data) == 29
    count = int(ax.data["as_large"].sum())
    assert float(estimate.attached.p_value[0]) == pytest.approx((1 + count) / 30)
    assert "(1 + shaded) / (1 + listed)" in foot(ax)


def test_sign_flips_are_named() -> None:
    against = neighbours(APART).per_pilot(aggregate="mean")
    did = dk.DiD(cells="complete").fit(make_design(against=against), "m")
    estimate = did.infer(dk.SignFlips())
    ax = plot.permutation(estimate)
    assert "of 8 sign flips give" in title(ax)
    assert "Every sign flip is listed: p is the share shaded." in foot(ax)
    assert ax.data["as_large"].mean() == pytest.approx(float(estimate.attached.p_value[0]))


def test_what_is_no_permutation_is_refused_by_name() -> None:
    did = dk.DiD().fit(make_design(), "m")
    with pytest.raises(InferenceError, match="CR2") as caught:
        plot.permutation(did.infer(dk.ClusterRobust("CR2")))
    assert "Permutation(" in caught.value.todo
    with pytest.raises(InferenceError, match="no inference"):
        plot.permutation(did.infer(None))
    with pytest.raises(EstimationError, match="choose one of: att"):
        plot.permutation(permuted(), "nobody")
    gap = dk.Gap().fit(make_design(), "m").infer(dk.Permutation(draws=99))
    with pytest.raises(InferenceError, match="before_after"):
        plot.permutation(gap, "before_after")
    sure = gap.attached
    assert plot.permutation(gap).data["statistic"].tolist() == sure.null[:, 3].tolist()
