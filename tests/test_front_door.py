"""The front door: what importing costs, what it must not bring in, and what it says."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import didkit as dk

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    "matplotlib",
    "statsmodels",
    "linearmodels",
    "openpyxl",
    "scipy.stats",
    "scipy.optimize",
    "pyarrow",
    "duckdb",
    "jinja2",
    "didkit.plot",
    "didkit.report",
    "didkit.simulate",
)


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    return done.stdout


def test_import_brings_nothing_heavy():
    # pandas may itself bring pyarrow in where that is installed: what didkit adds is asked
    found = run(
        "import sys, pandas; before = set(sys.modules); import didkit;"
        "print('\\n'.join(set(sys.modules) - before))"
    ).split()
    assert "didkit.panel" in found
    assert [name for name in HEAVY if name in found] == []


def test_every_public_name_is_there():
    for name in dk.__all__:
        assert getattr(dk, name) is not None
    assert set(dk.__all__) <= set(dir(dk))
    with pytest.raises(AttributeError, match="no attribute 'DID'"):
        _ = dk.DID


def test_version_is_the_distribution_s():
    assert dk.__version__ == importlib.metadata.version("didkit-evaluation")


def test_the_namesake_is_named(monkeypatch):
    class Other:
        version = "9.9"

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Other())
    with pytest.warns(dk.DidkitWarning, match=r"'didkit' 9\.9 is installed beside"):
        dk._warn_of_namesake()


def test_no_warning_without_the_namesake():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dk._warn_of_namesake()


def test_results_alone_says_what_is_missing():
    text = run(
        "from didkit.results import hooks; hooks._filled.clear()\n"
        "try:\n    hooks.recommend(None)\nexcept Exception as error:\n    print(error)"
    )
    assert "import didkit" in text


def test_the_readme_s_ten_lines_run(tmp_path, monkeypatch, capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(import didkit as dk.*?)```", text, re.S)
    assert code is not None
    lines = [line for line in code[1].splitlines() if line.strip()]
    assert len(lines) <= 10
    monkeypatch.chdir(tmp_path)
    exec(compile(code[1], "README.md", "exec"), {})
    assert "before" in capsys.readouterr().out or (tmp_path / "report.html").exists()
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_rooms_come_when_they_are_asked_for():
    said = run(
        "import sys, didkit as dk; before = 'matplotlib' in sys.modules\n"
        "print(before, dk.plot.__name__, dk.simulate.__name__, dk.report.__name__,"
        " dk.datasets.__name__, 'matplotlib' in sys.modules)"
    )
    assert said.split() == [
        "False", "didkit.plot", "didkit.simulate", "didkit.report", "didkit.datasets", "True"
    ]  # fmt: skip
    assert {"plot", "simulate", "report", "learn_weights"} <= set(dir(dk))
    assert "`learn_weights`" in dk.__doc__
    assert "`plot`" in dk.__doc__
