"""Which picture of which result; and every picture keeps inside its figure."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from plot.places import PILOTS, all_pictures, make_design, many, neighbours, phone, title

import didkit as dk
from didkit import plot
from didkit.errors import DidkitError
from didkit.simulate import EvaluationProcess, draw, evaluation_design


@pytest.fixture(scope="module")
def estimate() -> dk.Estimate:
    return dk.DiD().fit(make_design(), "m").infer(dk.Permutation(draws=99))


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("trends", "counterfactual"),
        ("long_differences", "weight"),
        ("permutation", "as_large"),
        ("leverage", "share"),
        ("forest", "refused"),
    ],
)
def test_a_kind_is_drawn_by_name(estimate: dk.Estimate, kind: str, column: str) -> None:
    assert column in plot.draw(estimate, kind=kind).data.columns
    ax = phone()
    assert estimate.plot(ax, kind=kind) is ax


def test_without_a_kind_the_usual_picture_is_drawn(estimate: dk.Estimate) -> None:
    assert "counterfactual" in plot.draw(estimate).data.columns
    gap = dk.Gap().fit(make_design(), "m").infer(None)
    assert "when" in plot.draw(gap).data.columns
    events = dk.EventStudy().fit(make_design(), "m").infer(None)
    assert "phase" in plot.draw(events).data.columns
    assert "share" in plot.draw(events, kind="leverage").data.columns


STARTS = {PILOTS[0]: 2013, PILOTS[1]: 2014, PILOTS[2]: 2014}


@pytest.mark.parametrize("by", ["group", "calendar", "none"])
def test_terms_that_are_no_path_have_a_row_each(by: str) -> None:
    design = many(-20.0, starts=STARTS)
    made = dk.GroupTime(by=by).fit(design, "m").infer(None)  # type: ignore[arg-type]
    ax = plot.draw(made)
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert shown == ax.data["term"].tolist() == made.tidy()["term"].tolist()
    dots = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == ax.data["estimate"].tolist()
    hollow = [dot.get_markerfacecolor() == "white" for dot in dots]
    assert hollow == (ax.data["phase"] == "reference").tolist()
    assert any(hollow) == (by == "none")
    if by == "none":  # starts and periods are no line of event times
        with pytest.raises(DidkitError, match="kind='terms'"):
            plot.draw(made, kind="event_study")


def test_too_many_terms_are_refused() -> None:
    made = dk.GroupTime(by="none").fit(many(0.0, starts=STARTS), "m").infer(None)
    terms = pd.concat([made.terms] * 9, ignore_index=True)
    terms["term"] = [f"{i}" for i in range(len(terms))]
    long = SimpleNamespace(tidy=lambda: terms, estimator=made.estimator)
    with pytest.raises(DidkitError, match="at most 40 terms"):
        plot.terms(long)  # type: ignore[arg-type]


def test_effects_without_a_reference_are_not_called_a_gap() -> None:
    design = many(-20.0, starts=STARTS)
    ax = plot.draw(dk.ExtendedTwoWay(by="dynamic").fit(design, "m").infer(None))
    assert "from what comparators say" in title(ax)
    assert "nowhere" not in title(ax)
    assert "before" not in title(ax)
    early = dk.Imputation(by="dynamic", pretrends=1).fit(design, "m").infer(None)
    assert "before the start" in title(plot.draw(early))
    levels = dk.Gap(by="period").fit(design, "m").infer(None)
    assert title(plot.draw(levels)).startswith("The gap in ")


def test_a_ratio_does_not_label_the_axis_of_counts() -> None:
    design = dk.datasets.load_evaluation().design
    static = dk.PoissonDiD().fit(design, "cpp_count").infer(None)
    ax = plot.draw(static)
    assert "ratio" not in ax.get_ylabel()
    assert title(ax).endswith("(log of a ratio)")
    events = plot.draw(dk.PoissonDiD(terms="event").fit(design, "cpp_count").infer(None))
    assert "(log of a ratio)" in title(events)


def test_a_metric_without_a_unit_has_no_empty_brackets() -> None:
    bare = dk.DiD().fit(make_design(), "m").infer(None)
    assert bare.summary().splitlines()[0] == "DiD · m"


def test_an_unknown_kind_lists_those_there_are(estimate: dk.Estimate) -> None:
    with pytest.raises(DidkitError, match="kind='pie'") as caught:
        plot.draw(estimate, kind="pie")
    for kind in ("event_study", "forest", "gap", "leverage", "long_differences", "permutation"):
        assert repr(kind) in caught.value.needed
    finding = estimate.check(dk.LeaveOneOut())
    with pytest.raises(DidkitError, match="'leave_one_out'"):
        plot.draw(finding, kind="forest")
    assert "left_out" in plot.draw(finding, kind="leave_one_out").data.columns


def test_a_design_shows_who_serves_whom() -> None:
    design = make_design(against=neighbours().union())
    assert "pilots_served" in plot.draw(design).data.columns
    with pytest.raises(
        DidkitError, match="'neighbour_graph', 'reuse', 'rollout', 'matched', 'missing', 'trends'"
    ):
        plot.draw(design, kind="gap")


def test_pictures_of_a_design_that_need_a_metric_ask_for_it() -> None:
    design = make_design()
    assert "status" in plot.draw(design, kind="missing", metric="m").data.columns
    assert "n_pilots" in plot.draw(design, kind="trends", metric="m").data.columns
    with pytest.raises(DidkitError, match="metric=None"):
        plot.draw(design, kind="missing")
    with pytest.raises(DidkitError, match="metric='m'"):
        plot.draw(design, metric="m")
    with pytest.raises(DidkitError, match="nowhere else"):
        plot.draw(dk.DiD().fit(design, "m").infer(None), kind="trends", metric="m")


@pytest.fixture(scope="module", params=["desktop", "phone"])
def pictures(request: pytest.FixtureRequest) -> dict[str, Axes]:
    """Every picture of the synthetic evaluation, laid out."""
    design = evaluation_design(draw(EvaluationProcess(), seed=1))
    made = all_pictures(design, "cla", phone if request.param == "phone" else lambda: None)
    for ax in made.values():
        ax.figure.draw_without_rendering()
    return made


def ticks(ax: Axes, side: str) -> list[tuple[str, Bbox]]:
    """Labels of the ticks that are in sight, with their places in pixels."""
    frame = ax.get_window_extent()
    low, high = frame.intervalx if side == "x" else frame.intervaly
    found = []
    for label in ax.get_xticklabels() if side == "x" else ax.get_yticklabels():
        box = label.get_window_extent()
        ends = box.intervalx if side == "x" else box.intervaly
        if label.get_text() and low - 1 <= ends.mean() <= high + 1:
            found.append((label.get_text(), box))
    return found


def test_titles_say_a_number(pictures: dict[str, Axes]) -> None:
    for name, ax in pictures.items():
        assert isinstance(ax.data, pd.DataFrame), name
        assert any(letter.isdigit() for letter in title(ax)), name


def test_no_words_leave_the_figure(pictures: dict[str, Axes]) -> None:
    for name, ax in pictures.items():
        heading = [t for t in ax.findobj(Text) if t.get_text() == ax.get_title(loc="left")]
        assert len(heading) == 1, name
        written = [*heading, ax.xaxis.label, ax.yaxis.label, *ax.texts]
        found = [(text.get_text(), text.get_window_extent()) for text in written]
        page = ax.figure.bbox
        for text, box in [*found, *ticks(ax, "x"), *ticks(ax, "y")]:
            if text:
                assert box.x0 >= page.x0 - 1, (name, text)
                assert box.x1 <= page.x1 + 1, (name, text)
                assert box.y0 >= page.y0 - 1, (name, text)
                assert box.y1 <= page.y1 + 1, (name, text)


def test_labels_of_ticks_do_not_overlap(pictures: dict[str, Axes]) -> None:
    for name, ax in pictures.items():
        for side in ("x", "y"):
            boxes = [box for _, box in ticks(ax, side)]
            ends = sorted(tuple(b.intervalx if side == "x" else b.intervaly) for b in boxes)
            for (_, first), (second, _) in itertools.pairwise(ends):
                assert first <= second + 2.5, (name, side)
