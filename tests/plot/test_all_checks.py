"""One picture of every check: groups in order, ends in words, and room on a phone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import design_of, noise
from matplotlib.figure import Figure

import didkit as dk
from didkit.plot.checks_together import all_checks

NAMED = ["DetectableEffect", "PlaceboStart", "Contamination", "LeaveOneOut"]


@pytest.fixture(scope="module")
def finding():
    design = design_of(noise(16, 7, 4), {2: 4, 6: 4, 9: 4, 13: 4})
    return dk.DiD().fit(design, "m").infer(dk.ClusterRobust("CR2")).checks(only=NAMED)


def texts(ax):
    return [one.get_text() for one in ax.texts]


def test_rows_stand_by_group_and_refused_ones_in_the_foot(finding):
    ax = finding.plot()
    assert ax.data["group"].tolist() == ["alternatives", "placebos", "words"]
    assert ax.data["check"].tolist() == ["LeaveOneOut", "PlaceboStart", "DetectableEffect"]
    assert (np.diff(ax.data["y"]) < 0).all()
    assert "Not made: Contamination" in " ".join(ax.get_xlabel().split())
    for row in ax.data.iloc[:2].to_dict("records"):
        part = finding.parts[row["check"]]
        assert (row["low"], row["high"]) == (part.alternatives or part.placebos)
    said = " ".join(texts(ax))
    assert "Where nothing should be found" in said
    assert finding.parts["DetectableEffect"].headline.split()[0] in said
    assert f"{dk.results.tables.signed(finding.alternatives[0])} to " in said


def test_bars_are_the_ranges_and_hollow_where_nothing_should_be_found(finding):
    ax = finding.plot()
    full, hollow = ax.patches[-2:]
    low, high = finding.parts["LeaveOneOut"].alternatives
    assert (full.get_x(), full.get_x() + full.get_width()) == pytest.approx((low, high))
    assert hollow.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    low, high = finding.parts["PlaceboStart"].placebos
    assert (hollow.get_x(), hollow.get_x() + hollow.get_width()) == pytest.approx((low, high))


def test_an_end_far_out_is_cut_with_an_arrow_and_its_number_stays(finding):
    far = replace(finding.parts["LeaveOneOut"], alternatives=(-np.inf, 1.0))
    ax = all_checks(replace(finding, parts={**finding.parts, "LeaveOneOut": far}))
    assert np.isfinite(ax.get_xlim()).all()
    assert [line.get_marker() for line in ax.lines].count("<") == 1
    assert any("∞" in text for text in texts(ax))


def test_a_check_with_both_has_two_rows(finding):
    both = replace(finding.parts["LeaveOneOut"], placebos=(-1.0, 1.0))
    ax = all_checks(replace(finding, parts={"LeaveOneOut": both}))
    assert ax.data["group"].tolist() == ["alternatives", "placebos"]


def test_on_a_phone_names_stand_above_their_ranges(finding):
    figure = Figure(figsize=(4, 6), layout="constrained")
    ax = all_checks(finding, figure.add_subplot())
    figure.draw_without_rendering()
    assert ax.get_yticks().size == 0
    assert any(text.startswith("Leaving one out: ") for text in texts(ax))
    right = figure.bbox.x1
    assert all(one.get_window_extent().x1 <= right for one in ax.texts)


def test_another_finding_is_refused(finding):
    with pytest.raises(dk.errors.DidkitError, match="a Finding of Checks"):
        all_checks(finding.parts["LeaveOneOut"])
    with pytest.raises(dk.errors.DidkitError, match="a Finding of Checks"):
        all_checks(finding.estimate)
