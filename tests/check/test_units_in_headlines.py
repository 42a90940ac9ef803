"""A number on the metric's scale has its unit, once in a headline; types have their article."""

import pytest

import didkit as dk
from didkit.check.event_terms import EventTerms
from didkit.errors import InferenceError
from didkit.results.tables import p_equals, signed


@pytest.fixture(scope="module")
def made():
    _, design = dk.datasets.load_evaluation()
    return dk.DiD().fit(design.drop("522"), "cpp")


@pytest.mark.parametrize(
    "check",
    [
        dk.LeaveOneOut(),
        dk.OtherComparators({"every other authority": dk.Pool()}),
        dk.PlaceboStart(),
        dk.PlaceboPilots(draws=99),
        dk.TwoWayWeights(),
        dk.Bounds(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_unit_stands_once(made, check):
    assert made.check(check).headline.count(" per 10,000 children") == 1


def test_the_form_of_a_scale_is_in_words(made):
    said = made.infer(None).check(dk.FunctionalForm(draws=50)).headline
    assert said.startswith(f"By level {signed(float(made.values[0]))} per 10,000 children; by logs")
    assert "percentile points" in said
    assert [p_equals(one) for one in (1.0, 0.04)] == ["p > .999", "p = .040"]


def test_the_event_study_is_named_without_its_usual_options(made):
    notes = " ".join(EventTerms.of(made).notes)
    assert "from the event study (EventStudy" in notes
    assert "reference=-1" not in notes


def test_a_type_has_its_article():
    with pytest.raises(InferenceError, match="2014: an int"):
        dk.SpecificationCurve(windows=2014)
