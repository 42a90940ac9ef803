"""Partial leverage: the largest on top, the arms told apart, the line at equal shares."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from helpers import design_of, noise
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from plot.places import IDS, make_design, neighbours, phone, texts, title, values

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


SETS = {
    IDS[0]: {IDS[3]: 0.5, IDS[4]: 0.5},
    IDS[1]: {IDS[3]: 0.5, IDS[5]: 0.5},
    IDS[2]: {IDS[3]: 1.0},
}


def matched_estimate() -> dk.Estimate:
    design = make_design(against=dk.MatchedSets(SETS))
    return dk.DiD(cells="complete").fit(design, "m").infer(None)


def test_sets_share_by_squared_weights_and_say_whom_a_comparator_serves() -> None:
    estimate = matched_estimate()
    table = estimate.leverage().set_index("cluster")
    weight = dict.fromkeys(IDS[:3], 1 / 3) | {IDS[3]: 2 / 3, IDS[4]: 1 / 6, IDS[5]: 1 / 6}
    total = sum(w**2 for w in weight.values())
    expected = {unit: w**2 / total for unit, w in weight.items()}
    assert table["share"].to_dict() == pytest.approx(expected)
    assert table["pilots_served"].to_dict() == {
        IDS[3]: 3, IDS[4]: 1, IDS[5]: 1, **dict.fromkeys(IDS[:3], 0)
    }  # fmt: skip
    assert table["arm"].to_dict()[IDS[3]] == "comparator"
    assert table.index.tolist() == [IDS[3], *IDS[:3], IDS[4], IDS[5]]  # ties by label
    ax = plot.leverage(estimate)
    assert {"serves 3", "serves 1"} <= set(texts(ax))
    assert texts(ax).count("serves 1") == 2
    assert "serves 0" not in texts(ax)
    assert bars(ax)[0] == ("Place D", pytest.approx(100 * expected[IDS[3]]), COMPARATOR)
    effective = 1 / sum(share**2 for share in expected.values())
    assert f"6 authorities count for about {effective:.0f}" in title(ax)


def test_serving_is_not_written_where_all_serve_all() -> None:
    ax = plot.leverage(dk.DiD().fit(make_design(), "m").infer(None))
    assert not [text for text in texts(ax) if text.startswith("serves")]
    served = ax.data.set_index("cluster")["pilots_served"]
    assert served.to_dict() == dict.fromkeys(IDS[:3], 0) | dict.fromkeys(IDS[3:], 3)


@pytest.mark.parametrize("cells", ["complete", "observed"])
def test_squared_weights_are_partial_leverage_where_both_exist(cells: Any) -> None:
    """Against a pool written as sets the shares are those of least squares on the pool."""
    pool = make_design()
    one = dict.fromkeys(IDS[3:], 1 / 9)
    sets = make_design(against=dk.MatchedSets(dict.fromkeys(IDS[:3], one)))
    by_pool = dk.DiD(cells=cells).fit(pool, "m").infer(None)
    by_sets = dk.DiD(cells="complete").fit(sets, "m").infer(None)
    assert by_pool.normal is not None
    columns = ["cluster", "arm", "share", "pilots_served"]
    pd.testing.assert_frame_equal(by_sets.leverage()[columns], by_pool.leverage()[columns])
    squares = (by_pool.weights[0] ** 2).sum(axis=1)
    own = by_pool.leverage().set_index("cluster")["share"]
    expected = dict(zip(by_pool.sample.units, squares / squares.sum(), strict=True))
    assert own.to_dict() == pytest.approx(expected)


def test_clusters_add_their_units() -> None:
    groups = {unit: f"g{j // 2}" for j, unit in enumerate(IDS)}
    both = {IDS[3]: 0.5, IDS[4]: 0.25, IDS[5]: 0.25}  # two units of one cluster, one pilot
    sets = dk.MatchedSets(SETS | {IDS[0]: both})
    design = dk.Design(
        make_design().panel,
        dk.Rollout(dict.fromkeys(IDS[:3], 2014)),
        against=sets,
        selection="unknown",
        clusters=groups,
    )
    coarse = dk.DiD(cells="complete").fit(design, "m").infer(None).leverage()
    units = dk.DiD(cells="complete").fit(make_design(against=sets), "m").infer(None)
    fine = units.leverage().set_index("cluster")["share"]
    added = fine.groupby(fine.index.map(groups)).sum()
    assert coarse.set_index("cluster")["share"].to_dict() == pytest.approx(added.to_dict())
    served = coarse.set_index("cluster")["pilots_served"].to_dict()
    assert served == {"g0": 0, "g1": 3, "g2": 2}
    assert coarse.set_index("cluster")["arm"].to_dict() == {
        "g0": "pilot", "g1": "pilot", "g2": "comparator"
    }  # fmt: skip


def test_on_a_phone_the_key_leaves_room_for_whom_they_serve() -> None:
    ax = plot.leverage(matched_estimate(), ax=phone())
    assert {"3 pilots", "3 comparators"} <= set(texts(ax))


def test_refused_where_there_are_neither_cross_products_nor_weights() -> None:
    against = neighbours().per_pilot(aggregate="median")
    matched = dk.DiD(cells="complete").fit(make_design(against=against), "m").infer(None)
    with pytest.raises(InferenceError, match="cross-products") as caught:
        plot.leverage(matched)
    assert "LeaveOneOut" in caught.value.todo
    with pytest.raises(InferenceError, match="publishes neither"):
        matched.leverage()
    with pytest.raises(EstimationError, match="choose one of: att"):
        plot.leverage(dk.DiD().fit(make_design(), "m"), "nobody")
