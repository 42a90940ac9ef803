"""The project's own files agree with each other and promise nothing that is not so."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = "didkit-evaluation"
LEFT_OUT = {"build", "dist", "node_modules", "out", "venv", "__pycache__"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def tracked() -> list[Path]:
    """Give the files git tracks or would track; in a copy without git, every file but caches."""
    if (ROOT / ".git").exists():
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            names = done.stdout.decode("utf-8").split("\0")
            return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    found = []
    for folder, below, names in os.walk(ROOT):
        # Hidden folders are environments and caches, but for the checks themselves.
        below[:] = [
            name
            for name in below
            if name not in LEFT_OUT and (name == ".ci" or not name.startswith("."))
        ]
        found += [Path(folder) / name for name in names]
    return found


def lines_with(pattern: str) -> Iterator[str]:
    """Say where a pattern stands in the project's text files."""
    wanted = re.compile(pattern)
    for path in tracked():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        text = content.decode("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            if wanted.search(line):
                yield f"{path.relative_to(ROOT).as_posix()}:{number}: {line.strip()[:120]}"


def readme_block(name: str) -> str:
    """Give the fenced block that follows a marker comment, as `.ci/run` finds it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(
        rf"^<!-- {re.escape(name)} -->.*?^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE
    )
    assert block, f"README.md needs a fenced block after <!-- {name} -->"
    return block.group(1)


def test_distribution_python_and_command(project: dict[str, Any]) -> None:
    about = project["project"]
    assert about["name"] == DISTRIBUTION
    assert about["requires-python"] == ">=3.11"
    assert about["scripts"] == {"didkit": "didkit.cli:main"}
    extras = {"test", "notebooks", "docs", "ees", "excel", "frames", "parquet", "dev"}
    assert extras <= set(about["optional-dependencies"])


def test_core_dependencies_have_lower_bounds(project: dict[str, Any]) -> None:
    wanted = project["project"]["dependencies"]
    assert {re.split(r"[<>=!~ ]", line)[0] for line in wanted} == {
        "great-tables",
        "jinja2",
        "linearmodels",
        "matplotlib",
        "narwhals",
        "numpy",
        "pandas",
        "pillow",
        "scipy",
        "statsmodels",
        "tqdm",
    }
    assert [line for line in wanted if ">=" not in line] == []


def test_every_room_has_its_place_in_the_import_rules(project: dict[str, Any]) -> None:
    rules = project["tool"]["importlinter"]["contracts"]
    layers = next(rule for rule in rules if rule["id"] == "rooms")["layers"]
    named = {room.strip(" ()") for line in layers for room in line.split("|")}
    rooms = {path.parent.name for path in (ROOT / "didkit").glob("*/__init__.py")}
    assert rooms, "no room found under didkit"
    assert rooms <= named


def test_typed_marker_is_there() -> None:
    assert (ROOT / "didkit" / "py.typed").is_file()


def test_version_is_the_same_everywhere(project: dict[str, Any]) -> None:
    version = project["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^version: (\S+)$", citation, re.MULTILINE) == [version]
    assert f"## [{version}]" in changes


def test_citation_has_the_needed_keys(project: dict[str, Any]) -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    keys = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert {"cff-version", "message", "title", "authors", "license", "references"} <= keys
    assert f"license: {project['project']['license']}" in text
    assert "\ncff-version: 1.2.0\n" in f"\n{text}"
    assert "Signs of Safety Pilots" in text.split("references:")[1]


def test_citation_is_valid() -> None:
    citation = pytest.importorskip("cffconvert", reason="cffconvert is not installed")
    citation.Citation((ROOT / "CITATION.cff").read_text(encoding="utf-8")).validate()


def test_licence_is_the_one_declared(project: dict[str, Any]) -> None:
    assert project["project"]["license"] == "BSD-3-Clause"
    assert "BSD 3-Clause" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_readme_gives_the_command_that_runs_the_demo() -> None:
    block = readme_block("demo-command")
    assert "install" in block
    assert "didkit demo" in block


def test_readme_gives_the_command_that_runs_the_tests() -> None:
    block = readme_block("test-command")
    assert "install" in block
    assert "[test]" in block
    assert "pytest" in block


def test_nothing_tells_to_install_the_other_distribution() -> None:
    # The bare name belongs to someone else on the public index.
    command = r"(?:pipx?\s+install|uv\s+add|uvx)\s+(?:-\S+\s+)*"
    assert list(lines_with(command + r"""["'`]?didkit(?![\w/-])""")) == []


def test_nothing_names_a_path_of_one_machine() -> None:
    top = r"(?<![\w.~/:<>*-])/(?:work|tmp|root)(?![\w-])"
    home = r"(?<![\w.~/:<>*-])/(?:home|Users)/\w"
    assert list(lines_with(f"{top}|{home}")) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("see {}work/main", True),
        ('open("{}tmp/x.csv")', True),
        ("`{}root`", True),
        ("frame{}work", False),
        ("<{}root>", False),
        ("{}tmpfs", False),
    ],
)
def test_the_search_for_machine_paths_finds_them(
    text: str, wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text(text.format("/"), encoding="utf-8")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    if wrong:
        with pytest.raises(AssertionError):
            test_nothing_names_a_path_of_one_machine()
    else:
        test_nothing_names_a_path_of_one_machine()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("pip {} didkit", True),
        ('python -m pip {} -U "didkit[test]"', True),
        ("pip {} didkit-evaluation", False),
        ('pip {} ".[test]"', False),
    ],
)
def test_the_search_for_the_wrong_name_finds_it(
    text: str, wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text(text.format("install"), encoding="utf-8")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    if wrong:
        with pytest.raises(AssertionError):
            test_nothing_tells_to_install_the_other_distribution()
    else:
        test_nothing_tells_to_install_the_other_distribution()
