"""One small evaluation for the tests of the report."""

from __future__ import annotations

import pytest
from report.places import make_design

import didkit as dk
from didkit.report import Evaluation, evaluate


@pytest.fixture(scope="session")
def design() -> dk.Design:
    return make_design()


@pytest.fixture(scope="session")
def evaluation(design: dk.Design) -> Evaluation:
    return evaluate(design, ["cla"], truth={"cla": 0.0})
