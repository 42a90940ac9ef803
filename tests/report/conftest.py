"""One small evaluation for the tests of the report, bare and as if run from a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report.places import EVIL, make_design

import didkit as dk
from didkit.report import Evaluation, evaluate
from didkit.report.plan import Plan
from didkit.report.record import Deviation, PlanRecord

PLAN = """
didkit_plan = 1
title = "A pilot <b>"
question = "Did the rate change?"
estimand = "Average change in the pilots"
[data]
files = [{path = "cla_2021"}]
[pilots]
starts = {301 = 2014, 304 = 2014}
selection = "bid"
[comparators]
against = "pool"
[metrics]
primary = ["cla"]
"""


@pytest.fixture(scope="session")
def design() -> dk.Design:
    return make_design()


@pytest.fixture(scope="session")
def evaluation(design: dk.Design) -> Evaluation:
    return evaluate(design, ["cla"], truth={"cla": 0.0})


@pytest.fixture(scope="session")
def page(evaluation: Evaluation) -> str:
    return evaluation.to_html()


@pytest.fixture(scope="session")
def hostile() -> Evaluation:
    """Every name of an authority, and the release, tries to run something."""
    return evaluate(
        make_design(evil=f'{EVIL}" onload="y" | [a](javascript:b) '),
        ["cla"],
        inference=dk.ClusterRobust("CR2"),
        checks=[dk.LeaveOneOut()],
        description=EVIL,
    )


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> PlanRecord:
    file: Path = tmp_path_factory.mktemp("plan") / "plan.toml"
    file.write_text(PLAN, encoding="utf-8")
    return PlanRecord(
        plan=Plan.read(file),
        frozen=True,
        frozen_on="2026-01-01",
        digest="0123456789abcdef",
        deviations=(Deviation("window.last", "2017", "=2016"),),
        roles={"cla": "primary"},
        smallest_effect={"cla": 2.0},
        multiplicity="holm",
        adjusted={"cla": 0.75},
        notes=("the interval is not adjusted",),
    )


@pytest.fixture(scope="session")
def planned(evaluation: Evaluation, record: PlanRecord) -> Evaluation:
    return replace(evaluation, record=record)
