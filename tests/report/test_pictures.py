"""The frames behind the pictures as readers get them, and pictures that are refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import design_of

import didkit as dk
from didkit.errors import DidkitError
from didkit.report import Evaluation, evaluate
from didkit.report.pictures import KINDS
from didkit.report.readouts import numbers, readable


def test_draws_are_counted_in_bins_without_losing_one() -> None:
    statistic = np.append(np.linspace(-3, 3, 500), np.nan)
    large = ~np.isfinite(statistic) | (np.abs(statistic) >= 2)
    frame = pd.DataFrame({"draw": range(501), "statistic": statistic, "as_large": large})
    table, _ = readable("permutation", frame)
    assert len(table) == 20
    assert table["Draws"].sum() == 500  # the one without a statistic cannot be placed
    assert table["of these counted in p"].sum() == large[:-1].sum()
    assert numbers("permutation", frame) == f"{large.sum()} of 501 draws are counted in p."


def test_only_gaps_among_the_cells_are_listed() -> None:
    rows = [(u, f"Place {u}", "pilot", p, "observed") for u in "abc" for p in ("2013", "2014")]
    frame = pd.DataFrame(rows, columns=["unit", "name", "arm", "period", "status"])
    frame.loc[frame["unit"].eq("b") & frame["period"].eq("2014"), "status"] = "suppressed"
    table, _ = readable("missing", frame)
    assert table.to_numpy().tolist() == [["b", "Place b", "", "suppressed"]]
    assert numbers("missing", frame) == "Cells shown: 5 observed, 1 suppressed."


def test_units_that_are_drawn_together_stand_together() -> None:
    frame = pd.DataFrame(
        {
            "cluster": ["a", "b", "c", "d"],
            "name": ["A", "B", "C", "D"],
            "arm": ["pilot", "comparator", "comparator", "comparator"],
            "share": [0.7, 0.2, 0.06, 0.04],
            "shown": [True, True, False, False],
        }
    )
    table, heads = readable("leverage", frame)
    assert table["name"].tolist() == ["A", "B", "2 others, mean"]
    assert table["share"].tolist() == pytest.approx([0.7, 0.2, 0.05])
    assert heads["share"] == "Share of the whole"


def test_the_table_beside_a_picture_holds_its_numbers(evaluation: Evaluation) -> None:
    by_kind = {one.kind: one for one in evaluation.pictures()}
    assert list(by_kind) == [kind for kind in KINDS if kind in by_kind]
    gap, _ = readable("gap", by_kind["gap"].data)
    assert gap["pilots"].tolist() == by_kind["gap"].data["pilots"].tolist()
    left, _ = readable("leave_one_out", by_kind["leave_one_out"].data)
    assert "Lowest" in by_kind["leave_one_out"].alt
    assert len(left) == 4
    forest, _ = readable("forest", by_kind["forest"].data)
    names = [name.partition(" (recommended")[0] for name in forest["method"]]
    assert names == by_kind["forest"].data["method"].tolist()
    assert "(recommended, used)" in by_kind["forest"].alt


def test_a_picture_that_is_refused_is_listed_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    y = np.random.default_rng(2).normal(50, 3, (8, 4))
    made = evaluate(design_of(y, {0: 2, 1: 2}), ["m"], inference=dk.ClusterRobust("CR2"), checks=[])
    did = type(made["m"].did)
    drawn = did.plot

    def plot(self: object, ax: object = None, *, kind: str | None = None) -> object:
        if kind == "leverage":
            raise DidkitError(needed="patience", found="none", where="here", todo="wait")
        return drawn(self, ax, kind=kind)  # type: ignore[arg-type]

    monkeypatch.setattr(did, "plot", plot)
    assert made.album().refused == {("m", "leverage"): "needed patience; found none"}
    assert "leverage" not in {one.kind for one in made.pictures()}
    page = made.to_html()
    assert "Pictures that could not be drawn:" in page
    assert "<li>Who carries the answer: needed patience; found none.</li>" in page


def test_the_strip_says_which_cells_it_holds() -> None:
    y = np.random.default_rng(3).normal(100, 0.5, (14, 4))
    y[0, 0] = np.nan
    made = evaluate(design_of(y, {0: 2, 1: 2, 2: 2, 3: 2}), ["m"], checks=[])
    strip = next(one for one in made.pictures() if one.kind == "long_differences")
    assert strip.note.startswith("Only the 3 pilots and 10 comparators observed in every period")
    assert strip.note in strip.alt
    assert strip.note in made.to_html()


def test_heavy_packages_are_imported_when_a_report_is_written_and_not_before() -> None:
    code = (
        "import sys, didkit, didkit.report; heavy = {'jinja2', 'great_tables', 'xlsxwriter', "
        "'matplotlib', 'PIL', 'openpyxl'}; print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
