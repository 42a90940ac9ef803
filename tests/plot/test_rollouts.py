"""The calendar of a rollout, and the effect by share of contamination."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from plot.places import IDS, PILOTS, foot, make_design, make_panel, phone, texts, title

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError
from didkit.plot.style import COMPARATOR, PILOT

A, B, C = PILOTS
STARTS = {A: 2015, B: 2014, C: 2014}


def design(**parts) -> dk.Design:
    options = {k: parts.pop(k) for k in ("treatment",) if k in parts}
    return dk.Design(
        make_panel(),
        dk.Rollout(STARTS, **parts),
        against=dk.Pool(),
        selection="unknown",
        **options,
    )


def names(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def image(ax: Axes) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_pilots_stand_by_start_then_id_and_contaminated_comparators_below() -> None:
    ax = plot.rollout(
        design(stops={B: 2016}, contaminated={C: 2013, IDS[5]: 2013, IDS[4]: 2015, IDS[7]: None})
    )
    assert names(ax) == ["Place B", "Place C", "Place A", "Place H", "Place F", "Place E"]
    colours = [label.get_color() for label in ax.get_yticklabels()]
    assert colours == [PILOT] * 3 + [COMPARATOR] * 3
    assert title(ax) == (
        "3 pilots start in 2 different periods; 1 left; 1 had it before; "
        "3 of 9 comparators use the practice"
    )
    assert "6 other comparators" in foot(ax)
    assert "Pilots above the line." in foot(ax)
    assert legend(ax) == [
        "untreated", "treated", "× left the programme", "c outside the programme"
    ]  # fmt: skip
    data = ax.data.set_index(["unit", "period"])
    assert data.loc[B, "state"].tolist() == ["untreated"] * 3 + ["treated"] * 2 + ["left"]
    assert data.loc[C, "state"].tolist() == ["untreated"] * 2 + ["contaminated"] + ["treated"] * 3
    assert sorted(set(ax.data.loc[ax.data["shown"], "unit"])) == sorted(
        [*PILOTS, *IDS[4:6], IDS[7]]
    )
    assert sorted(texts(ax)) == sorted(["×"] * 1 + ["c"] * (1 + 4 + 2 + 6))
    cells = image(ax)
    assert cells.shape[:2] == (6, 6)
    assert to_hex(cells[0, 3]) == PILOT.lower()
    assert to_hex(cells[0, 5]) != to_hex(cells[0, 4])


def test_a_plain_rollout_says_when_it_starts() -> None:
    ax = plot.rollout(make_design())
    assert title(ax) == "3 pilots start in 2014"
    assert foot(ax) == "9 comparators, untreated throughout, are not shown."
    assert not texts(ax)
    one = plot.rollout(make_design(starts={A: 2014}))
    assert title(one) == "One pilot starts in 2014"


def test_the_dose_is_shade_and_number() -> None:
    ax = plot.rollout(design(dose={B: {2014: 0.25, 2015: 0.5, 2016: 1}, C: 0}))
    assert sorted(texts(ax)) == sorted(["0.25", "0.5", "1", "0", "0", "0", "?", "?"])
    cells = image(ax)
    assert to_hex(cells[0, 5]) == PILOT.lower()
    red = cells[0, 3:6, 1]  # the darker, the more
    assert red[0] > red[1] > red[2]
    assert "treated, by dose" in legend(ax)
    assert "? dose not known" in legend(ax)


def test_partly_treated_cells_are_marked() -> None:
    ax = plot.rollout(design(first_exposed={"flow": {A: 2016}}, treatment="as_treated"))
    state = ax.data.set_index(["unit", "period"])["state"]
    assert state[A].tolist() == ["untreated"] * 4 + ["partly", "treated"]
    assert texts(ax) == ["p"]
    assert "p partly treated (flows only)" in legend(ax)
    assert "As treated" in foot(ax)


def test_many_contaminated_comparators_are_counted() -> None:
    rng = np.random.default_rng(1)
    y = 100 + rng.standard_normal((40, 6))
    panel = make_panel(y, names=tuple(f"Place {i}" for i in range(40)))
    units = panel.unit_ids
    made = dk.Design(
        panel,
        dk.Rollout({units[0]: 2014}, contaminated=dict.fromkeys(units[5:35], 2013)),
        against=dk.Pool(),
        selection="unknown",
    )
    ax = plot.rollout(made)
    assert len(names(ax)) == 26
    assert "5 more comparators that use the practice are not shown." in foot(ax)
    assert "9 other comparators" in foot(ax)
    assert "30 of 39 comparators use the practice" in title(ax)


def test_draw_knows_both_pictures() -> None:
    made = design(contaminated={IDS[4]: 2015})
    assert title(plot.draw(made, kind="rollout")).endswith("1 of 9 comparators uses the practice")
    finding = dk.DiD().fit(made, "m").infer(None).check(dk.Contamination())
    assert finding.plot().data["label"].iloc[0] == "as estimated"


@pytest.mark.parametrize("wrong", [None, 3, dk.DiD()])
def test_something_else_is_refused(wrong) -> None:
    with pytest.raises(DidkitError, match="needed: a Design"):
        plot.rollout(wrong)
    with pytest.raises(DidkitError, match="a finding of Contamination"):
        plot.contamination(wrong)


# -- by share -------------------------------------------------------------------------------------


def finding(contaminated, *, inference=None, shares=(0.5, 1.0), against=None):
    made = dk.Design(
        make_panel(),
        dk.Rollout(dict.fromkeys(PILOTS, 2014), contaminated=contaminated),
        against=against or dk.Pool(),
        selection="unknown",
    )
    estimate = dk.DiD("complete").fit(made, "m").infer(inference)
    return estimate.check(dk.Contamination(shares=shares))


def dots(ax: Axes) -> list[tuple[float, float]]:
    """Place and height of each dot, from the top."""
    found = [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in ax.lines
        if line.get_marker() in ("o", "D")
    ]
    return sorted(found, key=lambda at: -at[1])


def test_one_dot_a_share_and_the_refit_apart() -> None:
    found = finding({IDS[4]: 2014, IDS[6]: 2015}, inference=dk.ClusterRobust("CR2"))
    ax = plot.contamination(found)
    labels = ["as estimated", "50% of the effect", "100% of the effect", "without the 2"]
    assert ax.data["label"].tolist() == labels
    places = dots(ax)
    np.testing.assert_allclose([x for x, _ in places], ax.data["estimate"])
    heights = [y for _, y in places]
    assert heights[2] - heights[3] > heights[1] - heights[2]
    spans = [tuple(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2]
    for low, high in zip(ax.data["conf_low"], ax.data["conf_high"], strict=True):
        assert (low, high) in spans
    assert f"{found.facts['estimate']:.2f}".replace("-", "−") in title(ax)
    assert "would stand for" in title(ax)
    assert "2 comparators that use the practice" in foot(ax)
    assert "95% intervals" in foot(ax)
    assert names(ax) == labels


def test_nothing_follows_is_written_where_the_dot_would_be() -> None:
    everyone = dict.fromkeys(IDS[3:], 2014)
    ax = plot.contamination(finding(everyone))
    assert "nothing follows" in texts(ax)
    assert "no refit" in texts(ax)
    assert "nothing follows from it" in title(ax)
    assert "No interval." in foot(ax)
    assert len(dots(ax)) == 2


def test_titles_of_what_cancels_and_of_what_has_no_weights() -> None:
    assert "it cancels out" in title(plot.contamination(finding({IDS[4]: None})))
    halves = {pilot: {IDS[3 + k]: 0.5, IDS[7]: 0.5} for k, pilot in enumerate(PILOTS)}
    median = dk.MatchedSets(halves, aggregate="median")
    found = finding({IDS[7]: 2014}, against=median)
    ax = plot.contamination(found)
    assert ax.data["label"].tolist() == ["as estimated", "without the 1"]
    assert "without the one comparator that uses the practice" in title(ax)
    prior = plot.contamination(finding({A: 2013}))
    assert "1 pilot that had it before" in foot(prior)


@pytest.mark.parametrize("what", ["rollout", "contamination"])
def test_both_fit_on_a_phone(what) -> None:
    made = design(stops={B: 2016}, contaminated={C: 2013, IDS[5]: 2013})
    ax = phone(6.0)
    if what == "rollout":
        plot.rollout(made, ax)
    else:
        plot.contamination(finding({IDS[4]: 2014}), ax)
    figure = ax.figure
    figure.canvas.draw()
    width = figure.bbox.width
    for text in [*ax.texts, *ax.get_yticklabels(), ax.xaxis.label]:
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= width + 1


def test_the_key_says_what_is_partly_treated() -> None:
    stocks = plot.rollout(design(first_exposed={"stock": {A: 2016}}))
    assert "p partly treated (stocks only)" in legend(stocks)
    both = plot.rollout(design(first_exposed={"stock": {A: 2016}, "flow": {B: 2015}}))
    assert "p partly treated (flows, stocks)" in legend(both)


def test_one_comparator_is_said_in_the_singular() -> None:
    few = dk.Design(
        make_panel(), dk.Rollout({A: 2014}, contaminated={IDS[4]: 2015}),
        against=dk.Pool(IDS[4:6]), selection="unknown",
    )  # fmt: skip
    assert "1 other comparator, untreated throughout, is not shown." in foot(plot.rollout(few))
    alone = few.compared_with(dk.Pool(IDS[4:5]))
    assert "1 of 1 comparator uses the practice" in title(plot.rollout(alone))


def test_the_foot_counts_who_cancels() -> None:
    ax = plot.contamination(finding({IDS[4]: 2015, IDS[6]: 2015, IDS[7]: None}))
    assert "3 comparators that use the practice (1 throughout, which cancels)." in foot(ax)
