"""Progress: shown to people who wait, silent elsewhere, put away when interrupted."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from helpers import design_of, noise, spread

import didkit as dk
from didkit import progress
from didkit.progress import steps


class Terminal(io.StringIO):
    """A stream that says that somebody watches it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal()
    # pytest puts its own stream into sys between this fixture and the test
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=made))
    monkeypatch.setattr(progress, "_AFTER", 0.0)
    return made


def test_items_pass_unchanged_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(steps(iter("abc"), "letters", total=3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_a_person_sees_the_label_and_how_far_it_is(terminal: Terminal) -> None:
    assert list(steps(range(3), "counting")) == [0, 1, 2]
    shown = terminal.getvalue()
    assert "counting" in shown
    assert "3" in shown


def test_short_work_shows_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_AFTER", 60.0)
    assert list(steps(range(3), "counting")) == [0, 1, 2]
    assert "counting" not in terminal.getvalue()


def test_work_inside_work_is_written_beside_the_outer_bar(terminal: Terminal) -> None:
    for _ in steps(range(2), "metrics"):
        assert list(steps(range(2), "leaving one out")) == [0, 1]
    shown = terminal.getvalue()
    assert "leaving one out" in shown
    assert "leaving one out:" not in shown  # as a note, not as a bar of its own


def test_an_interruption_passes_and_the_bar_is_put_away(terminal: Terminal) -> None:
    def work() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(steps(work(), "counting", total=2))
    assert progress._shown.get() is None
    assert list(steps(range(2), "again")) == [0, 1]
    assert "again" in terminal.getvalue()


def test_leaving_the_loop_puts_the_bar_away(terminal: Terminal) -> None:
    for item in steps(range(9), "counting"):
        if item == 1:
            break
    time.sleep(0)
    assert progress._shown.get() is None


def test_the_long_checks_show_theirs(terminal: Terminal) -> None:
    did = dk.DiD().fit(design_of(noise(12, 6, 1), spread(12, 4, 3)), "m").infer(None)
    did.check(dk.LeaveOneOut())
    assert "leaving one out" in terminal.getvalue()
    did.infer(dk.Jackknife())
    assert "jackknife" in terminal.getvalue()
    did.check(dk.PlaceboStart())
    assert "earlier starts" in terminal.getvalue()
