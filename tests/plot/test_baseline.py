"""A few pictures compared with their baselines, drawn without words so that fonts do not matter.

Make the baselines again after a change that is meant, and look at each before committing it:

    DIDKIT_BASELINES=write python -m pytest tests/plot/test_baseline.py

What they show is made in `places.py`, not drawn from a simulation.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread
from matplotlib.testing.compare import compare_images
from matplotlib.testing.decorators import remove_ticks_and_titles
from matplotlib.text import Text
from plot.places import make_design, make_panel, values

import didkit as dk
from didkit import plot

FOLDER = Path(__file__).parent / "baseline"
TOLERANCE = 4.0  #: root mean square of the difference in colour, 0 to 255
WIDTH = 480  #: pixels


def strip(change: float) -> Axes:
    estimate = dk.DiD().fit(make_design(values(change)), "m").infer(None)
    return plot.long_differences(estimate)


def permutation(change: float) -> Axes:
    did = dk.DiD().fit(make_design(values(change)), "m")
    return plot.permutation(did.infer(dk.Permutation(draws=999)))  # all 220 are listed


def event_study(change: float) -> Axes:
    events = dk.EventStudy(anticipation=1).fit(make_design(values(change)), "m")
    return plot.event_study(events.infer(dk.ClusterRobust("CR2")))


def gap(change: float) -> Axes:
    return plot.gap(dk.Gap().fit(make_design(values(change)), "m").infer(None))


def missing(change: float) -> Axes:
    """Move the cells without a value by as many periods as the change is whole numbers from −5."""
    t = int(change + 5)
    cells = {(0, t): "suppressed", (4, t + 1): "not available", (9, t): "suppressed"}
    return plot.missing(make_panel(statuses=cells), "m")


PICTURES: dict[str, Callable[[float], Axes]] = {
    "event_study": event_study,
    "gap": gap,
    "long_differences": strip,
    "missing": missing,
    "permutation": permutation,
}
BEFORE, SHIFTED = -5.0, -3.0  #: the change in the pilots of the baselines, and of another picture


def save(ax: Axes, path: Path) -> None:
    """Save a picture without words at the width of the baselines."""
    figure = ax.figure
    for words in figure.findobj(Text):
        words.set_visible(False)
    remove_ticks_and_titles(figure)
    legend = ax.get_legend()
    if legend is not None:
        legend.remove()
    figure.set_layout_engine("none")
    ax.set_position((0.05, 0.05, 0.9, 0.9))
    figure.set_size_inches(4.8, 3.2)
    figure.savefig(path, dpi=WIDTH / 4.8, metadata={"Software": None})


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_as_it_was(name: str, tmp_path: Path) -> None:
    file, baseline = tmp_path / f"{name}.png", FOLDER / f"{name}.png"
    save(PICTURES[name](BEFORE), file)
    assert imread(file).shape[1] == WIDTH
    if os.environ.get("DIDKIT_BASELINES") == "write":
        baseline.write_bytes(file.read_bytes())
        pytest.skip(f"wrote {baseline}: look at it")
    different = compare_images(str(baseline), str(file), TOLERANCE)
    assert different is None, f"{different}\nif it is meant, see the top of this file"


@pytest.mark.parametrize("name", PICTURES)
def test_another_picture_is_told_from_it(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.png"
    save(PICTURES[name](SHIFTED), file)
    different = compare_images(str(FOLDER / f"{name}.png"), str(file), TOLERANCE, in_decorator=True)
    assert different is not None
    assert different["rms"] > 1.5 * TOLERANCE


def test_there_is_a_baseline_of_each_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.png")} == set(PICTURES)
    assert sum(path.stat().st_size for path in FOLDER.glob("*.png")) < 100_000
