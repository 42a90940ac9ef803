"""The command line: the demo runs and writes, errors have four parts, plain terminals work."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from didkit import cli


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo once, as a user would, on a terminal that knows ASCII only."""
    folder = tmp_path_factory.mktemp("demo") / "new" / "folder"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "didkit", "demo", "--out", str(folder)],
        capture_output=True,
        check=True,
        env=_environment(),
    )
    assert done.stderr == b""
    return folder, done.stdout.decode("ascii")


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}


def test_demo_writes_what_it_says(demo: tuple[Path, str]) -> None:
    folder, said = demo
    found = {path.name for path in folder.iterdir()}
    metrics = ("cin", "icpc", "cpp", "cla")
    pictures = {f"{m}_{kind}.png" for m in metrics for kind in ("gap", "trends", "events")}
    assert found == {"report.html", "estimates.csv", *pictures}
    for name in found:
        assert str(folder / name) in said
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "The data are synthetic" in page
    assert page.count("<img ") == 12
    table = pd.read_csv(folder / "estimates.csv")
    assert set(table["metric"]) == set(metrics)
    assert table["estimate"].dtype == float


def test_demo_fits_a_terminal_and_shows_the_truth(demo: tuple[Path, str]) -> None:
    _, said = demo
    lines = said.splitlines()
    assert max(len(line) for line in lines if not line.startswith("wrote ")) <= 80
    assert any(line.split() == ["True", "effect", "0", "0", "0", "0"] for line in lines)
    assert any(line.startswith("Gap before") and "-" in line for line in lines)
    assert "The true effect is zero" in " ".join(said.split())
    assert "would have been found with 80% probability" in " ".join(said.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("didkit ")


def test_no_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "demo" in capsys.readouterr().out


def test_a_folder_that_is_a_file_is_refused_in_four_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    assert cli.main(["demo", "--out", str(file)]) == 2
    error = capsys.readouterr().err
    for part in ("needed:", "found:", "where:", "what to do:"):
        assert part in error
    assert "Traceback" not in error
    assert file.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("seed", ["-1", "1.5", "x"])
def test_a_seed_is_a_whole_number(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["demo", f"--seed={seed}"])
    assert left.value.code == 2
    assert "whole number" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_every_terminal_can_show_it(encoding: str) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="\n") as stream:
        cli._say("−1 to +2 · ≥ 5 × É", stream)
        stream.flush()
        said = raw.getvalue().decode(encoding)
    assert said.startswith("−1 to +2" if encoding == "utf-8" else "-1 to +2")
