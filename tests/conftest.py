"""What every test may rely on: no windows, repeatable examples, and the shared data.

The shared data lie in a folder `shared` beside the repository; DIDKIT_SHARED names another.
Where they are absent the tests that need them are skipped with a reason. With
DIDKIT_REQUIRE_SHARED=1 such a skip is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# In the environment, so that processes started by a test have it too.
os.environ["MPLBACKEND"] = "Agg"
# Small matrices, many processes: threads of the linear algebra only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

settings.register_profile("didkit", derandomize=True, deadline=None)
settings.load_profile("didkit")

ABSENT = "shared data absent"


def shared_is_required() -> bool:
    return os.environ.get("DIDKIT_REQUIRE_SHARED", "") == "1"


def shared_folder(*parts: str) -> Path:
    """Give a folder of the shared data; skip the test, or fail it, where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("DIDKIT_SHARED") or beside).joinpath(*parts)
    if not folder.is_dir():
        reason = (
            f"{ABSENT}: needs the folder {folder}; put it there or name the shared folder "
            "in DIDKIT_SHARED"
        )
        if shared_is_required():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of everything shared."""
    return shared_folder()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Published tables, as downloaded."""
    return shared_folder("data")


@pytest.fixture(scope="session")
def shared_expected() -> Path:
    """Numbers that the real evaluation must reproduce."""
    return shared_folder("expected")


@pytest.fixture(scope="session")
def shared_reference() -> Path:
    """Reference values from the methods' own programs."""
    return shared_folder("reference")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a failure of a test's own skip that blames the shared data, where they are required."""
    report = yield
    if shared_is_required() and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        if "shared" in reason.lower():
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: {reason} (DIDKIT_REQUIRE_SHARED=1)"
    return report
