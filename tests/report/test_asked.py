"""What `evaluate` is asked is looked at first, and refused in four parts."""

from __future__ import annotations

from typing import Any

import pytest

import didkit as dk
from didkit.errors import DidkitError
from didkit.report import Evaluation, evaluate

QUICK = {"inference": dk.ClusterRobust("CR2"), "checks": []}


@pytest.mark.parametrize("kind", ["text", "panel", "none", "class"])
def test_what_is_neither_a_design_nor_a_plan(design: dk.Design, kind: str) -> None:
    given: Any = {"text": "plan.toml", "panel": design.panel, "none": None, "class": dk.Design}[
        kind
    ]
    with pytest.raises(DidkitError, match="a Design or a Plan") as caught:
        evaluate(given)
    todo = {"text": "evaluate(Plan.read('plan.toml'))", "panel": "make a design of the panel"}
    assert todo.get(kind, "Design(panel, ") in caught.value.todo


WRONG: list[tuple[str, Any, str]] = [
    ("metrics", 3, "names of metrics"),
    ("metrics", [3], "names of metrics"),
    ("metrics", [["cla"]], "names of metrics"),
    ("between", (2015,), "two periods"),
    ("between", 2015, "two periods"),
    ("between", "2015", "two periods"),
    ("between", (2012, 2013, 2014), "two periods"),
    ("between", (2016, 2012), "the earlier one first"),
    ("between", (2012, "2012"), "the earlier one first"),
    ("between", (2012, 1066), "1066"),
    ("checks", dk.LeaveOneOut(), "a list of checks"),
    ("checks", dk.LeaveOneOut, "a list of checks"),
    ("checks", "LeaveOneOut", "a list of checks"),
    ("checks", [dk.LeaveOneOut], "checks such as"),
    ("checks", 3, "a list of checks"),
    ("truth", {"cla": "x"}, "a number"),
    ("truth", {"cla": True}, "a number"),
    ("truth", [0.0], "a number"),
    ("truth", {"cpp": 0.0}, "a truth for metrics that are evaluated"),
    ("description", 5, "in words"),
    ("inference", 5, "5"),
    ("inference", "CR2", "CR2"),
    ("level", "high", "a level"),
    ("level", 95, "a level"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG, ids=[f"{w[0]}={w[1]!r}" for w in WRONG])
def test_a_wrong_argument(design: dk.Design, name: str, value: object, words: str) -> None:
    options: dict[str, Any] = {"metrics": ["cla"], **QUICK, name: value}
    with pytest.raises(DidkitError) as caught:
        evaluate(design, **options)
    assert words in str(caught.value)
    assert name[:5] in f"{caught.value.where} {caught.value.needed}"  # "infer" of the estimate


def test_one_check_outside_a_list_is_told_how(design: dk.Design) -> None:
    with pytest.raises(DidkitError, match=r"write checks=\[PreTrends\(\)\]"):
        evaluate(design, ["cla"], checks=dk.PreTrends())  # type: ignore[arg-type]


def test_what_is_right_is_taken(design: dk.Design, evaluation: Evaluation) -> None:
    options: dict[str, Any] = {**QUICK, "between": [2012, "2014"]}
    one = evaluate(design, "cla", **options)
    assert one.between == ("2012", "2014")
    for metrics in (("cla",), {"cla": 1}, design.panel.metric("cla"), (it for it in ["cla"])):
        assert list(evaluate(design, metrics, **QUICK).results) == ["cla"]  # type: ignore[arg-type]
    assert evaluation.between == (design.periods[0], design.periods[-1])
