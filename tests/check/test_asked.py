"""The option inference= of checks: refused at construction where it is none."""

from __future__ import annotations

import pytest

import didkit as dk
from didkit.errors import InferenceError

MAKE = {
    "FunctionalForm": dk.FunctionalForm,
    "LeaveOneOut": dk.LeaveOneOut,
    "OtherComparators": dk.OtherComparators,
    "PreTrendEquivalence": lambda **options: dk.PreTrendEquivalence(5, **options),
    "PreTrendPower": dk.PreTrendPower,
    "Sensitivity": dk.Sensitivity,
    "SmallestRemoval": lambda **options: dk.SmallestRemoval(conclusion="zero", **options),
    "TrendAdjusted": dk.TrendAdjusted,
    "UnaffectedOutcomes": lambda **options: dk.UnaffectedOutcomes(["a"], **options),
}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize(
    ("given", "todo"),
    [
        ("CR2", r"write inference=ClusterRobust\('CR2'\)"),
        (dk.ClusterRobust, r"inference=ClusterRobust\(…\)"),
        ("permutation", "leave it out"),
        (3, "leave it out"),
    ],
)
def test_what_is_no_inference_is_refused_at_construction(name, given, todo):
    with pytest.raises(InferenceError, match=todo) as caught:
        MAKE[name](inference=given)
    assert caught.value.where == f"{name}(inference=)"


@pytest.mark.parametrize("name", MAKE)
def test_an_inference_and_none_are_taken(name):
    for given in (None, dk.ClusterRobust("CR2")):
        assert MAKE[name](inference=given).inference is given


def test_words_are_taken_where_they_mean_something():
    assert dk.LeaveOneOut(inference="own").inference == "own"
    assert dk.OtherComparators(inference="recommended").inference == "recommended"
    with pytest.raises(InferenceError, match="inference=None, 'own', or"):
        dk.LeaveOneOut(inference="recommended")


@pytest.mark.parametrize("given", [None, "half", [None]])
def test_a_power_that_is_none_is_refused(given):
    with pytest.raises(InferenceError, match="numbers"):
        dk.PreTrendPower(given)
