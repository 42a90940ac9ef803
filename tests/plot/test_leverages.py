"""Partial leverage: the largest on top, the arms told apart, the line at equal shares."""

from __future__ import annotations

import pytest
from helpers import design_of, noise
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from plot.places import make_design, neighbours, texts, title, values

import didkit as dk
from didkit import plot
from didkit.errors import EstimationError, InferenceError
from didkit.linear import partial_leverage
from didkit.plot.style import COMPARATOR, FAINT, PILOT


def bars(ax: Axes) -> list[tuple[str, float, str]]:
    """Label, length and colour of each bar, from the top."""
    labels = {
        float(y): label.get_text()
        for y, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    }
    found = [
        (p.get_y() + p.get_height() / 2, p.get_width(), to_hex(p.get_facecolor()).upper())
        for p in ax.patches
    ]
    return [(labels[round(y, 6)], width, colour) for y, width, colour in sorted(found)[::-1]]


def test_shares_are_those_of_the_units_largest_on_top() -> None:
    y = values()
    gaps = dict.fromkeys(((4, 0), (7, 5), (1, 1)), "suppressed")
    estimate = dk.DiD().fit(make_design(y, statuses=gaps), "m").infer(None)
    ax = plot.leverage(estimate)
    share = partial_leverage(estimate.normal, estimate.contrast)[:, 0]
    own = dict(zip(estimate.sample.names, share, strict=True))
    data = ax.data
    assert dict(zip(data["name"], data["share"], strict=True)) == pytest.approx(own)
    assert data["share"].is_monotonic_decreasing
    assert data["share"].sum() == pytest.approx(1)
    assert data["arm"].tolist() == ["pilot"] * 3 + ["comparator"] * 9
    drawn = bars(ax)
    assert [name for name, *_ in drawn] == data["name"].tolist()
    assert [width for _, width, _ in drawn] == pytest.approx((100 * data["share"]).tolist())
    assert [hue for *_, hue in drawn] == [PILOT] * 3 + [COMPARATOR] * 9


def test_the_line_stands_at_equal_shares_and_the_title_counts() -> None:
    estimate = dk.DiD().fit(make_design(), "m").infer(None)
    ax = plot.leverage(estimate)
    (line,) = ax.get_lines()
    assert float(line.get_xdata()[0]) == pytest.approx(100 / 12)
    effective = estimate.effective_clusters()
    assert effective == pytest.approx(12**2 / (81 / 3 + 9 / 9))  # G² / (n0²/n1 + n1²/n0)
    assert f"12 authorities count for about {effective:.0f}" in title(ax)
    assert "the 3 pilots carry 75% of the information" in title(ax)
    assert "3 pilots: 75%" in texts(ax)
    assert "9 comparators: 25%" in texts(ax)


def test_twenty_are_named_and_the_others_are_one_grey_bar() -> None:
    design = design_of(noise(30, 6, 1), {3: 3, 17: 3})
    ax = plot.leverage(dk.DiD().fit(design, "m").infer(None))
    data, drawn = ax.data, bars(ax)
    assert len(data) == 30
    assert int(data["shown"].sum()) == 20
    assert len(drawn) == 21
    rest = data[~data["shown"]]
    assert drawn[-1][0] == "10 others (mean)"
    assert drawn[-1][1:] == (pytest.approx(100 * rest["share"].mean()), FAINT)
    assert f"{rest['share'].sum():.0%} together" in " ".join(ax.get_xlabel().split())


def test_another_term_has_other_shares() -> None:
    events = dk.EventStudy().fit(make_design(starts={"301": 2013, "304": 2014, "307": 2015}), "m")
    events = events.infer(None)
    share = partial_leverage(events.normal, events.contrast)
    for m in (0, events.n_terms - 1):
        data = plot.leverage(events, events.terms["term"].iloc[m]).data
        assert data["share"].tolist() == pytest.approx(sorted(share[:, m], reverse=True))


def test_clusters_coarser_than_units_are_called_so() -> None:
    groups = {str(301 + 3 * j): f"g{j // 2}" for j in range(12)}
    panel = make_design().panel
    design = dk.Design(
        panel,
        dk.Rollout({"301": 2014, "304": 2014}),
        against=dk.Pool(),
        selection="unknown",
        clusters=groups,
    )
    ax = plot.leverage(dk.DiD().fit(design, "m").infer(None))
    assert ax.data["cluster"].tolist()[0] == "g0"
    assert ax.data["arm"].tolist() == ["pilot"] + ["comparator"] * 5
    assert "6 clusters count for" in title(ax)


def test_refused_where_there_are_no_cross_products() -> None:
    against = neighbours().per_pilot(aggregate="mean")
    matched = dk.DiD(cells="complete").fit(make_design(against=against), "m").infer(None)
    with pytest.raises(InferenceError, match="cross-products") as caught:
        plot.leverage(matched)
    assert "LeaveOneOut" in caught.value.todo
    with pytest.raises(EstimationError, match="choose one of: att"):
        plot.leverage(dk.DiD().fit(make_design(), "m"), "nobody")
