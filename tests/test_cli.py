"""The command line: the demo runs and writes, errors have four parts, plain terminals work."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from report.test_plan import SMALL, write_rates

from didkit import cli
from didkit.report.outputs import NAMES


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
    assert page.count("<img ") >= 12
    table = pd.read_csv(folder / "estimates.csv")
    assert set(table["metric"]) == set(metrics)
    assert table["estimate"].dtype == float


def test_demo_fits_a_terminal_and_shows_the_truth(demo: tuple[Path, str]) -> None:
    _, said = demo
    lines = said.splitlines()
    paths = ("wrote ", "Open ")  # as long as the folder's name makes them
    assert max(len(line) for line in lines if not line.startswith(paths)) <= 80
    assert any(line.split() == ["True", "effect", "0", "0", "0", "0"] for line in lines)
    assert any(line.startswith("Gap before") and "-" in line for line in lines)
    assert "The true effect is zero" in " ".join(said.split())
    assert "would probably (80%) have been found" in " ".join(said.split())


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


# -- plans ---------------------------------------------------------------------------------------

QUICK = '\n[inference]\nmethod = "cluster_robust"\n[checks]\nLeaveOneOut = true\n'


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    write_rates(tmp_path / "data")
    path = tmp_path / "plan.toml"
    path.write_text(SMALL + QUICK, encoding="utf-8")
    return path


def test_freeze_then_evaluate(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["freeze", str(plan)]) == 0
    said = capsys.readouterr().out
    assert f"wrote {plan.with_name('plan.frozen.toml')}" in said
    assert "does not prove when it was written" in " ".join(said.split())
    out = plan.parent / "new" / "report"
    assert cli.main(["evaluate", str(plan), "--out", str(out), "--strict"]) == 0
    said = capsys.readouterr().out
    assert {file.name for file in out.iterdir()} == set(NAMES)
    for name in NAMES:
        assert f"wrote {out / name}" in said
    assert "Deviations from the frozen plan: none." in said
    assert "Change" in said
    assert pd.read_csv(out / "estimates.csv")["metric"].unique().tolist() == ["cla"]


def test_deviations_are_listed_and_strict_refuses_them(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["freeze", str(plan)]) == 0
    write_rates(plan.parent / "data", shift=2.0)
    out = plan.parent / "report"
    capsys.readouterr()
    assert cli.main(["evaluate", str(plan), "--out", str(out), "--strict"]) == 3
    said = capsys.readouterr()
    assert "Deviations from the plan: 2" in said.err
    assert "data file rates.csv" in said.err
    assert "nothing was written" in said.err
    assert not out.exists()
    assert cli.main(["evaluate", str(plan), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "- data file rates.csv: planned SHA-256" in said.out
    assert "- data values of cla: planned as frozen, found changed" in said.out
    assert "data file rates.csv" in (out / "protocol.md").read_text(encoding="utf-8")


def test_strict_refuses_what_is_not_frozen(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = plan.parent / "report"
    assert cli.main(["evaluate", str(plan), "--out", str(out), "--strict"]) == 3
    assert "not frozen" in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def test_strict_refuses_a_check_that_was_refused(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = plan.read_text(encoding="utf-8").replace("LeaveOneOut", "PlaceboPilots")
    text = text.replace('against = "pool"', 'against = "pool"\nunits = ["307", "310", "313"]')
    plan.write_text(text.replace('346 = "tiny"\n', ""), encoding="utf-8")
    assert cli.main(["freeze", str(plan)]) == 0
    out = plan.parent / "report"
    assert cli.main(["evaluate", str(plan), "--out", str(out), "--strict"]) == 3
    assert "PlaceboPilots of cla" in capsys.readouterr().err
    assert not out.exists()


def test_another_folder_of_data(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plan.parent / "data").rename(plan.parent / "moved")
    assert cli.main(["freeze", str(plan)]) == 2
    error = capsys.readouterr().err
    for part in ("needed:", "found:", "where:", "what to do:", "plan.toml, line 9", "--data"):
        assert part in error
    moved = str(plan.parent / "moved")
    assert cli.main(["freeze", str(plan), "--data", moved]) == 0
    assert cli.main(["freeze", str(plan), "--data", moved]) == 2
    assert "frozen before" in capsys.readouterr().err
    assert cli.main(["freeze", str(plan), "--data", moved, "--replace"]) == 0


def test_before_the_data(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plan.parent / "data" / "rates.csv").unlink()
    assert cli.main(["freeze", str(plan), "--before-data"]) == 0
    assert plan.with_name("plan.frozen.toml").exists()
    said = " ".join(capsys.readouterr().out.split())
    assert "Frozen before the data: in a run files, values and units are not compared." in said


def test_data_that_come_later_into_a_folder_of_ones_own(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/plan.md says: the plan names the folder, not what will lie in it."""
    published = plan.parent / "published"
    (plan.parent / "data").rename(published)
    assert cli.main(["evaluate", str(plan)]) == 2
    assert "--before-data" in capsys.readouterr().err
    assert cli.main(["freeze", str(plan), "--before-data"]) == 0
    out = plan.parent / "report"
    given = ["--data", str(published), "--out", str(out), "--strict"]
    assert cli.main(["evaluate", str(plan), *given]) == 0
    said = capsys.readouterr().out
    assert "Deviations from the frozen plan: none." in said
    line = "The plan was frozen before the data: files, values and units were not compared."
    assert line in said
    text = plan.read_text(encoding="utf-8")
    plan.write_text(text.replace('"A pilot"', '"Another"'), encoding="utf-8")
    assert cli.main(["evaluate", str(plan), *given]) == 3
    assert line in capsys.readouterr().err
    plan.write_text(text, encoding="utf-8")
    assert "before its data were there" in (out / "protocol.md").read_text(encoding="utf-8")


def test_a_report_does_not_go_among_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "pilot"
    assert cli.main(["template", str(home)]) == 0
    plan = home / "plan.toml"
    for out in (home / "data" / "cin", home / "data" / "cin" / "new" / "report"):
        assert cli.main(["evaluate", str(plan), "--out", str(out)]) == 2
        error = capsys.readouterr().err
        for part in ("needed: a folder for the report apart", "in the folder of data cin", "--out"):
            assert part in error
        assert not list(out.parent.glob("*report*"))
    text = plan.read_text(encoding="utf-8").replace('path = "cin"', 'path = "data/cin"')
    text = text.replace('path = "cla"', 'path = "."').replace('"neighbours/', '"data/neighbours/')
    plan.write_text(text.replace('folder = "data"', 'folder = "."'), encoding="utf-8")
    assert cli.main(["evaluate", str(plan), "--out", str(home / "report")]) == 2
    assert "line" in capsys.readouterr().err


def test_a_report_does_not_go_over_a_data_file(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = plan.parent / "data"
    held = (data / "rates.csv").rename(data / "estimates.csv").read_bytes()
    text = plan.read_text(encoding="utf-8")
    plan.write_text(text.replace("rates.csv", "estimates.csv"), encoding="utf-8")
    assert cli.main(["evaluate", str(plan), "--out", str(data)]) == 2
    assert "with the data file estimates.csv" in capsys.readouterr().err
    assert (data / "estimates.csv").read_bytes() == held


def test_a_folder_of_data_that_cannot_be_is_not_blamed_on_the_report(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", str(plan), "--data", "x" * 300]) == 2
    error = capsys.readouterr().err
    assert "--out" not in error
    assert "a data file or folder that exists" in error


def test_one_pilot_as_frozen_passes_strictly(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = plan.read_text(encoding="utf-8").replace("304 = 2014   # the second\n", "")
    plan.write_text(text.replace(QUICK, ""), encoding="utf-8")
    assert cli.main(["freeze", str(plan)]) == 0
    out = plan.parent / "report"
    assert cli.main(["evaluate", str(plan), "--out", str(out), "--strict"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Deviations from the frozen plan: none." in said
    assert "Refused, and not named by the plan: - LeaveOneOut of cla: " in said


def _didkit(*given: str) -> list[str]:
    return [sys.executable, "-m", "didkit", *given]


def test_a_reader_who_has_seen_enough_stops_nothing(plan: Path) -> None:
    out = plan.parent / "report"
    run = subprocess.Popen(
        _didkit("evaluate", str(plan), "--out", str(out)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.close()  # before the first line
    said = run.stderr.read()
    run.stderr.close()
    assert run.wait(timeout=120) == 0
    assert said == b""
    assert {file.name for file in out.iterdir()} == set(NAMES)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_below_the_output_is_not_blamed_on_the_report(plan: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            _didkit("evaluate", str(plan), "--out", str(plan.parent / "report")),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    said = done.stderr.decode("utf-8")
    assert done.returncode == 2
    assert "where: the standard output" in said
    assert "--out" not in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said


def test_several_mistakes_are_listed_one_a_line(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = plan.read_text(encoding="utf-8").replace("346 =", "selecton = 1\n346 =")
    plan.write_text(text.replace('title = "A pilot"', "title = 1"), encoding="utf-8")
    assert cli.main(["evaluate", str(plan)]) == 2
    error = capsys.readouterr().err
    assert "found: 2 mistakes\n    line 2 (title): needed text in quotes; found" in error
    for part in ("needed:", "where:", "what to do:"):
        assert part in error


def test_a_mistake_in_the_plan_is_named_with_its_line(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = plan.read_text(encoding="utf-8").replace("first = 2011", "frst = 2011")
    plan.write_text(text.replace("last = 2016\n", ""), encoding="utf-8")
    assert cli.main(["evaluate", str(plan)]) == 2
    error = capsys.readouterr().err
    assert f"plan.toml, line {text.split(chr(10)).index('frst = 2011') + 1}" in error
    assert "Traceback" not in error


def test_an_interruption_is_said_and_leaves_nothing(
    plan: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from didkit.report import outputs

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(outputs, "write_outputs", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    out = plan.parent / "report"
    assert cli.main(["evaluate", str(plan), "--out", str(out)]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert sorted(one.name for one in plan.parent.iterdir()) == ["data", "plan.toml"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_workbook_of_an_earlier_run_is_named(
    plan: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    held = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "xlsxwriter" else held(name)
    )
    out = plan.parent / "report"
    out.mkdir()
    (out / "tables.xlsx").write_bytes(b"old")
    assert cli.main(["evaluate", str(plan), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "left out tables.xlsx: the package xlsxwriter is not installed" in said
    assert f"{out / 'tables.xlsx'} is of an earlier run" in said
    assert (out / "tables.xlsx").read_bytes() == b"old"


def test_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pilot"
    assert cli.main(["template", str(folder)]) == 0
    assert "didkit freeze" in capsys.readouterr().out
    assert cli.main(["freeze", str(folder / "plan.toml")]) == 0
    assert cli.main(["template", str(folder)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_nothing_heavy_is_imported_for_help() -> None:
    code = (
        "import sys; from didkit import cli; cli.main([]); "
        "print([m for m in ('matplotlib', 'jinja2', 'great_tables', 'xlsxwriter', 'didkit.report')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode("utf-8").splitlines()[-1] == "[]"
