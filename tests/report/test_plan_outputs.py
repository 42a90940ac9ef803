"""What a run leaves is whole or not there, at whatever point it is interrupted, and repeatable."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report.test_plan import SMALL, write_rates

from didkit.report import Evaluation, Plan, evaluate, staged, write_whole
from didkit.report.outputs import NAMES, protocol_markdown, write_outputs

QUICK = '\n[inference]\nmethod = "cluster_robust"\n[checks]\n'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    home = tmp_path_factory.mktemp("plan")
    write_rates(home / "data")
    (home / "plan.toml").write_text(SMALL + QUICK, encoding="utf-8")
    plan = Plan.read(home / "plan.toml")
    plan.freeze()
    return evaluate(plan)


@pytest.fixture(scope="module")
def contents(run: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    written, left_out = write_outputs(run, folder)
    assert left_out == {}
    assert written == NAMES
    return read(folder)


def read(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def without_stamp(page: bytes) -> bytes:
    """The page without its time stamp, which must be there."""
    made, n = re.subn(rb'<time datetime="[^"]*">[^<]*</time>', b"STAMP", page)
    assert n == 1
    return made


def test_two_runs_give_the_same_bytes(
    run: Evaluation, contents: dict[str, bytes], tmp_path: Path
) -> None:
    assert run.record is not None
    again = evaluate(Plan.read(run.record.plan.source))
    write_outputs(again, tmp_path)
    second = read(tmp_path)
    assert set(second) == set(contents)
    for name in contents:
        if name == "report.html":
            assert without_stamp(second[name]) == without_stamp(contents[name])
        else:
            assert second[name] == contents[name], name


def test_the_protocol_file(run: Evaluation, contents: dict[str, bytes]) -> None:
    text = contents["protocol.md"].decode("utf-8")
    assert text == protocol_markdown(run)
    assert "## Deviations\n\nNone." in text
    assert "| Item | Planned | Done |" in text
    assert run.record is not None
    assert run.record.digest in text


def test_without_the_package_for_workbooks(
    run: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    held = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "xlsxwriter" else held(name, *more),
    )
    written, left_out = write_outputs(run, tmp_path)
    assert "tables.xlsx" not in written
    assert not (tmp_path / "tables.xlsx").exists()
    assert left_out == {"tables.xlsx": "the package xlsxwriter is not installed"}


# -- interrupted ---------------------------------------------------------------------------------

FILES = {
    "a.txt": b"new a" * 1000,
    "report.html": b"new page" * 1000,
    "tables.xlsx": b"new tables" * 1000,
}
OLD = {"a.txt": b"old a", "report.html": b"old page", "other.txt": b"not ours"}

# Everything that changes what is on the disk, and may be interrupted before or after it is done.
CALLS = [(Path, "mkdir"), (Path, "open"), (Path, "rename"), (Path, "replace"), (os, "fsync")]
MOVES = [(Path, "mkdir"), (Path, "rename"), (Path, "replace")]


class Interrupting:
    """Raises at the n-th call of any of the functions that change the disk."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, n: int, *, after: bool, calls: Any = CALLS
    ) -> None:
        self.left, self.after, self.hit = n, after, False
        for holder, name in calls:
            monkeypatch.setattr(holder, name, self.counting(getattr(holder, name)))

    def counting(self, real: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **options: object) -> object:
            self.left -= 1
            if self.left == 0:
                self.hit = True
                if self.after:
                    made = real(*args, **options)
                    getattr(made, "close", lambda: None)()
                raise KeyboardInterrupt
            return real(*args, **options)

        return counted


def write(folder: Path) -> None:
    with staged(folder) as hidden:
        for name, content in FILES.items():
            write_whole(hidden / name, content)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("there", [False, True], ids=["new folder", "folder there"])
def test_interrupted_at_every_point(tmp_path: Path, there: bool, after: bool) -> None:
    whole = 0
    for n in range(1, 100):
        home = tmp_path / str(n)
        home.mkdir()
        folder = home / "deep" / "report"
        if there:
            folder.mkdir(parents=True)
            for name, content in OLD.items():
                (folder / name).write_bytes(content)
        with pytest.MonkeyPatch.context() as patch:
            interrupting = Interrupting(patch, n, after=after)
            try:
                write(folder)
            except KeyboardInterrupt:
                assert interrupting.hit
        left = read(folder) if folder.exists() else {}
        for name, content in left.items():
            assert content in (FILES.get(name), OLD.get(name)), (n, name)
        if not there:
            assert set(left) in (set(), set(FILES))
            assert folder.exists() or not (home / "deep").exists()
        elif left["report.html"] == FILES["report.html"]:  # the page comes last
            assert left == {**OLD, **FILES}
        hidden = [one for one in home.rglob("*") if one.name.endswith(".part")]
        assert hidden == [], n
        whole += left == ({**OLD, **FILES} if there else FILES)
        if not interrupting.hit:
            break
    assert n > len(FILES)
    assert not interrupting.hit
    assert whole >= 1


def spoil(folder: Path) -> None:
    with staged(folder) as hidden:
        write_whole(hidden / "a.txt", b"new")
        raise ZeroDivisionError


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        spoil(folder)
    assert read(folder) == {"a.txt": b"old"}
    assert [one.name for one in tmp_path.iterdir()] == ["report"]


def test_a_folder_of_that_name_is_refused_before_anything_moves(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(NotADirectoryError), staged(file):
        pass
    assert file.read_bytes() == b""


def test_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with staged(".") as hidden:
        write_whole(hidden / "a.txt", b"new")
    assert read(tmp_path) == {"a.txt": b"new"}


@pytest.mark.parametrize("there", [False, True], ids=["new folder", "folder there"])
def test_a_report_interrupted_at_every_write(
    run: Evaluation,
    contents: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: bool,
) -> None:
    """The real files, made once: the n-th move interrupted, for every n."""
    for method in ("to_markdown", "to_latex", "to_excel", "to_html"):
        monkeypatch.setattr(
            Evaluation, method, lambda self, path: write_whole(path, contents[path.name])
        )
    for n in range(1, 60):
        folder = tmp_path / str(n)
        if there:
            folder.mkdir()
            (folder / "report.html").write_bytes(b"old page")
        with pytest.MonkeyPatch.context() as patch:
            interrupting = Interrupting(patch, n, after=False, calls=MOVES)
            try:
                with staged(folder) as hidden:
                    write_outputs(run, hidden)
            except KeyboardInterrupt:
                assert interrupting.hit
        for name, content in (read(folder) if folder.exists() else {}).items():
            old = there and name == "report.html" and content == b"old page"
            assert content == contents[name] or old, (n, name)
        assert not [one for one in tmp_path.rglob("*") if one.name.endswith(".part")]
        if not interrupting.hit:
            break
        shutil.rmtree(folder, ignore_errors=True)
    assert not interrupting.hit
    assert n > len(NAMES)


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM as POSIX sends it")
def test_a_request_to_end_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "demo"
    process = subprocess.Popen(
        [sys.executable, "-m", "didkit", "demo", "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        for _ in range(600):  # until it has begun
            if (tmp_path / "out").exists() and any((tmp_path / "out").iterdir()):
                break
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert code == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
