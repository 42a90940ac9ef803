"""The love plot: hollow before, filled after, by kind and by size, with what chance gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from plot.places import IDS, N, foot, make_design, neighbours, phone, title, values

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError
from didkit.plot.style import COMPARATOR


@pytest.fixture(scope="module")
def balance() -> dk.Balance:
    rng = np.random.default_rng(2)
    extra = pd.DataFrame({"poor": rng.normal(size=N), "rural": rng.normal(size=N)}, index=IDS)
    design = make_design(against=neighbours().per_pilot(aggregate="mean"))
    return design.balance(["m"], covariates=dk.Covariates(extra))


def dots(ax: Axes, face: str) -> dict[str, float]:
    """Label of the row → place of its hollow ("white") or filled dot."""
    names = {
        float(y): text.get_text()
        for y, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    }
    return {
        names[float(line.get_ydata()[0])]: float(line.get_xdata()[0])
        for line in ax.get_lines()
        if line.get_marker() == "o" and line.get_markerfacecolor() == face
    }


def test_dots_stand_where_the_table_says(balance: dk.Balance) -> None:
    ax = plot.love(balance)
    extra = balance.table[balance.table["kind"] == "covariate"].set_index("covariate")
    for face, column in (("white", "smd_before"), (COMPARATOR, "smd_after")):
        drawn = dots(ax, face)
        for name in ("poor", "rural"):
            assert drawn[name] == pytest.approx(extra.loc[name, column])
    assert len([x for x in ax.get_lines() if x.get_marker() == "o"]) == 2 * 5


def test_rows_stand_by_kind_and_fall_by_size(balance: dk.Balance) -> None:
    ax = plot.love(balance)
    assert ax.data["kind"].tolist() == ["level", "last", "slope", "covariate", "covariate"]
    size = ax.data[["smd_before", "smd_after"]].abs().max(axis=1)
    assert size.iloc[3] >= size.iloc[4]
    labels = {t.get_text(): y for y, t in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    heads = ["Mean before the start, 2011 to 2013", "Last value before it, 2013"]
    assert labels[heads[0]] == max(labels.values())
    assert [labels[head] for head in heads] == sorted((labels[h] for h in heads), reverse=True)
    bold = [t.get_text() for t in ax.get_yticklabels() if t.get_weight() == "bold"]
    assert bold == [*heads, "Slope before it, 2011 to 2013", "Other covariates"]
    assert labels["Other covariates"] == 2  # two rows below it


def test_the_band_is_one_standard_error_of_each_row(balance: dk.Balance) -> None:
    ax = plot.love(balance)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(
        (2 * ax.data["smd_se"]).tolist()
    )
    assert [bar.get_x() for bar in ax.patches] == pytest.approx((-ax.data["smd_se"]).tolist())
    assert f"±{ax.data['smd_se'].iloc[0]:.2f}" in foot(ax)


def test_the_title_says_the_largest_before_and_after(balance: dk.Balance) -> None:
    said = title(plot.love(balance))
    for when in ("before", "after"):
        size = f"{balance.facts[f'largest_{when}']:+.2f}".replace("-", "−")
        assert size in said
    for word in ("pass", "fail", "good", "significant"):
        assert word not in said


def test_thirty_rows_are_drawn_and_the_others_counted() -> None:
    rng = np.random.default_rng(3)
    wide = pd.DataFrame(rng.normal(size=(N, 40)), index=IDS).add_prefix("c")
    made = make_design().balance(["m"], covariates=dk.Covariates(wide))
    ax = plot.love(made)
    assert int(ax.data["shown"].sum()) == 30
    size = ax.data[["smd_before", "smd_after"]].abs().max(axis=1)
    assert size[ax.data["shown"]].min() >= size[~ax.data["shown"]].max()
    assert "13 that differ less are not shown." in foot(ax)
    assert len([line for line in ax.get_lines() if line.get_markerfacecolor() == "white"]) == 30


@pytest.mark.parametrize("where", [lambda: None, phone])
def test_no_words_leave_the_figure(where, balance: dk.Balance) -> None:
    ax = plot.love(balance, where())
    ax.figure.draw_without_rendering()
    page = ax.figure.bbox
    for text in (ax.title, ax._left_title, ax.xaxis.label, *ax.get_yticklabels()):
        box = text.get_window_extent()
        assert box.x0 >= page.x0 - 1
        assert box.x1 <= page.x1 + 1
        assert box.y0 >= page.y0 - 1
        assert box.y1 <= page.y1 + 1


def test_it_is_the_picture_of_a_balance(balance: dk.Balance) -> None:
    assert "smd_after" in plot.draw(balance).data.columns
    pool = make_design().balance(standardise="pool")
    assert "deviations of the pool" in foot(plot.love(pool))


def test_a_difference_without_a_before_is_drawn_all_the_same() -> None:
    one = make_design(values(), starts={IDS[0]: 2014}).balance(standardise="pool")
    assert plot.love(one).data["smd_after"].notna().all()


def test_what_cannot_be_drawn_is_refused() -> None:
    alone = make_design(starts={IDS[0]: 2014}).balance()
    with pytest.raises(DidkitError, match="standardise='pool'"):
        plot.love(alone)
    with pytest.raises(DidkitError, match=r"design\.balance\(\)"):
        plot.love(make_design())  # type: ignore[arg-type]


def test_a_covariate_made_from_a_metric_has_its_label_and_window() -> None:
    panel, design = dk.datasets.load_evaluation()
    on = dk.Covariates.from_panel(
        panel, means={"icpc": (2014, 2016)}, slopes={"cla": (2013, 2016)}, values={"cin": 2015}
    )
    own = ["cin poor", "poor mean of wards"]  # names of the user's own stay
    numbers = np.random.default_rng(1).normal(size=(len(panel.unit_ids), 2))
    more = pd.DataFrame(numbers, index=list(panel.unit_ids), columns=own)
    ax = plot.love(design.balance(["cin"], covariates=on.join(dk.Covariates(more))))
    said = set(ax.data["label"])
    icpc = panel.metric("icpc").label
    assert f"{icpc}, mean 2014 to 2016" in said
    assert f"{panel.metric('cla').label}, slope 2013 to 2016" in said
    assert f"{panel.metric('cin').label}, 2015" in said
    assert set(own) <= said
    for where, end in ((None, ", mean 2014 to 2016"), (phone(6.0), ", mean")):
        ax = plot.love(design.balance(["cin"], covariates=on), where)
        drawn = [label.get_text() for label in ax.get_yticklabels()]
        (found,) = [one for one in drawn if one.startswith(icpc[:12])]
        assert found.endswith(f"…{end}")
