"""The specification curve as a picture: what is drawn is what was found."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from plot.places import IDS, PILOTS, foot, make_design, many, phone, title

import didkit as dk
from didkit.errors import DidkitError
from didkit.plot.specification_curves import specification_curve
from didkit.plot.words import signed
from didkit.results import Finding

NAME = make_design().panel.name_of(PILOTS[0])

CURVE = dk.SpecificationCurve(
    pilots=[PILOTS[0]],
    comparators={"five others": dk.Pool(IDS[3:8])},
    windows={"a window with a name that is far too long for any axis": (2012, 2016)},
    cells=["complete"],
    draws=99,
)


def finding(curve: dk.SpecificationCurve = CURVE, *, sure: bool = True) -> Finding:
    made = dk.DiD().fit(make_design(), "m")
    return made.infer(dk.ClusterRobust("CR1") if sure else None).check(curve)


def upper(ax: Axes) -> Axes:
    (inner,) = ax.child_axes
    return inner


def test_estimates_are_drawn_once_each_from_the_lowest_to_the_highest() -> None:
    found = finding()
    ax = found.plot()
    assert len(found.table) == 16
    once = found.table[found.table["same_as"] == 0]
    assert ax.data["estimate"].tolist() == sorted(once["estimate"])
    assert len(ax.data) == found.facts["n"] == 8
    (dots,) = (line for line in upper(ax).lines if len(line.get_xdata()) == 8)
    assert dots.get_xdata().tolist() == list(range(8))
    assert dots.get_ydata().tolist() == ax.data["estimate"].tolist()
    segments = [s for c in upper(ax).collections for s in c.get_segments()]
    ends = {(float(x0), round(float(low), 6), round(float(high), 6))
            for (x0, low), (_, high) in segments}  # fmt: skip
    for row in ax.data.to_dict("records"):
        assert (row["x"], round(row["conf_low"], 6), round(row["conf_high"], 6)) in ends


def test_the_dashboard_marks_the_choices_of_each_number() -> None:
    found = finding()
    ax = found.plot()
    names = [label.get_text() for label in ax.get_yticklabels()][::-1]
    assert names[:4] == ["Pilots", "as designed", f"without {NAME}", "Comparators"]
    assert names[6] == "Window"
    assert names[8].endswith("…")
    bold = [t.get_text() for t in ax.get_yticklabels() if t.get_fontweight() == "bold"]
    assert bold[::-1] == ["Pilots", "Comparators", "Window", "Cells"]
    marked = {}
    for line in ax.lines:
        if line.get_marker() == "o" and len(line.get_xdata()) > 1:
            height = int(line.get_ydata()[0])
            marked[len(names) - 1 - height] = set(line.get_xdata().tolist())
    number = dict(zip(ax.data["id"], ax.data["x"], strict=True))
    table = found.table
    for row, column, name in (
        (1, "pilots", "as designed"),
        (2, "pilots", f"without {NAME}"),
        (5, "comparators", "five others"),
        (11, "cells", "complete"),
    ):
        of = table[table[column] == name]
        wanted = {number[s if s else i] for i, s in zip(of["id"], of["same_as"], strict=True)}
        assert marked[row] == wanted
    # the same number by construction: both policies of cells have every mark
    assert marked[10] == marked[11] == set(range(8))


def test_the_estimate_as_it_is_and_the_median_are_labelled() -> None:
    found = finding()
    ax = found.plot()
    written = [text.get_text() for text in upper(ax).texts]
    assert written == [
        f"as designed: {signed(float(found.estimate.values[0]))}",
        f"median {signed(found.facts['median'])}",
    ]
    own = ax.data[ax.data["own"]]
    assert own["id"].tolist() == [1]
    assert own["estimate"].iloc[0] == found.estimate.values[0]


def test_title_and_foot_say_what_is_seen() -> None:
    found = finding()
    ax = found.plot()
    said = title(ax)
    assert said.startswith("Of 8 specifications ")
    assert f"from {signed(found.facts['lowest'])} to {signed(found.facts['highest'])}" in said
    p = found.facts["p_median"]
    often = f"{p:.1%}" if p < 0.1 else f"{p:.0%}"
    assert f"comes about in {often} of permutations" in said
    assert "8 more have the number of another by construction" in foot(ax)
    assert "95% intervals" in foot(ax)
    bare = finding(dk.SpecificationCurve(windows=[(2012, 2016)], joint=False), sure=False).plot()
    assert "permutations" not in title(bare)
    assert "intervals" not in foot(bare)


def test_refused_ones_are_not_drawn_and_counted() -> None:
    windows = {"too late": (2014, 2016), "short": (2012, 2016)}
    ax = finding(dk.SpecificationCurve(windows=windows, draws=19)).plot()
    assert len(ax.data) == 2
    assert "1 could not be fitted" in foot(ax)


@pytest.mark.parametrize("width", [3.6, 4.0])
def test_on_a_phone_nothing_leaves_the_picture(width: float) -> None:
    ax = phone(5.6, width=width)
    finding().plot(ax)
    ax.figure.canvas.draw()
    edge = ax.figure.bbox
    for text in (*upper(ax).texts, *ax.get_yticklabels()):
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= edge.x1 + 1
    head = ax.title.get_window_extent() if ax.get_title() else ax._left_title.get_window_extent()
    assert upper(ax)._left_title.get_window_extent().y1 <= head.y0 + 1


def test_many_are_thin_and_rasterised() -> None:
    design = many(-3.0)
    others = design.comparators
    curve = dk.SpecificationCurve(
        comparators={f"first {n}": dk.Pool(others[:n]) for n in range(5, 17)},
        windows=[(2012, 2016), (2011, 2015)],
        pilots=list(design.pilots),
        joint=False,
    )
    ax = dk.DiD("complete").fit(design, "m").infer(None).check(curve).plot()
    assert len(ax.data) == 13 * 3 * 4
    bars = [c for c in ax.collections if c.get_rasterized()]
    assert len(bars) == 13 + 3 + 4
    assert sum(len(c.get_segments()) for c in bars) == 3 * len(ax.data)
    assert np.diff(ax.data["estimate"]).min() >= 0


def test_another_finding_is_refused() -> None:
    other = dk.DiD().fit(make_design(), "m").infer(None).check(dk.LeaveOneOut())
    with pytest.raises(DidkitError, match="a finding of SpecificationCurve"):
        specification_curve(other)
