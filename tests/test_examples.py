"""The examples that draw: short, run as they stand, and what they write is a picture."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("comparators", "event_study", "gap", "long_differences", "methods", "permutation")


def test_there_are_six() -> None:
    found = {path.stem.removeprefix("plot_") for path in (ROOT / "examples").glob("plot_*.py")}
    assert found == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_at_most_forty_lines(name: str) -> None:
    text = (ROOT / "examples" / f"plot_{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    assert f"python examples/plot_{name}.py --out FOLDER" in text


@pytest.mark.parametrize("name", NAMES)
def test_an_example_writes_its_picture_and_says_one_line(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "not there yet"
    file = ROOT / "examples" / f"plot_{name}.py"
    monkeypatch.setattr(sys, "argv", [str(file), "--out", str(out)])
    runpy.run_path(str(file), run_name="__main__")
    (line,) = capsys.readouterr().out.strip().splitlines()
    (picture,) = out.iterdir()
    assert line.startswith(f"{picture}: ")
    assert any(letter.isdigit() for letter in line.removeprefix(str(picture)))
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = imread(picture)
    height, width = pixels.shape[:2]
    assert 600 <= width <= 2000
    assert 350 <= height <= 1200
    assert 5_000 < picture.stat().st_size < 400_000
    assert pixels[..., :3].std() > 0.05  # something is drawn on it


def test_readme_s_lines_on_designs_run(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    part = text.split("## Who is compared with whom\n", 1)[1]
    block = part.split("```python\n", 1)[1].split("```", 1)[0]
    exec(compile(block, "README.md", "exec"), {})  # the design_block of README
    power, choices, chosen = capsys.readouterr().out.strip().splitlines()
    assert "would be found with probability 80%" in power
    assert choices.startswith("With 2 other choices of comparators")
    assert chosen.startswith("Without any effect, pilots chosen by the mean of the years before")


def test_one_pilot_prints_its_answers_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ROOT / "examples" / "few_pilots.py"
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 50
    assert "python examples/few_pilots.py --out FOLDER" in text
    out = tmp_path / "not there yet"
    monkeypatch.setattr(sys, "argv", [str(file), "--out", str(out)])
    runpy.run_path(str(file), run_name="__main__")
    what, sized, rank, ratio, headline, name = capsys.readouterr().out.strip().splitlines()
    others = int(what.split("one pilot against ")[1].split()[0])
    assert others > 100
    assert sized.startswith("Ferman–Pinto: ")
    low, high = (float(end) for end in sized.split("(")[1].split(")")[0].split(" to "))
    place, among = (int(word) for word in rank.split() if word.isdigit())
    assert among == others + 1
    assert 1 <= place <= among
    assert float(ratio.split("a pilot ")[1].split()[0]) > 0
    assert ("Zero is inside" in headline) == (low < 0 < high)
    (picture,) = out.iterdir()
    assert name == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert imread(picture)[..., :3].std() > 0.05


@pytest.mark.parametrize("name", ["compare_estimators", "staggered", "synthetic_control"])
def test_an_example_of_estimators_draws_and_says_one_line(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = ROOT / "examples" / f"{name}.py"
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    assert f"python examples/{name}.py --out FOLDER" in text
    out = tmp_path / "not there yet"
    monkeypatch.setattr(sys, "argv", [str(file), "--out", str(out)])
    runpy.run_path(str(file), run_name="__main__")
    (line,) = capsys.readouterr().out.strip().splitlines()
    (picture,) = out.glob("*.png")
    assert line.startswith(f"{picture}: ")
    assert any(letter.isdigit() for letter in line.removeprefix(str(picture)))
    assert imread(picture)[..., :3].std() > 0.05
