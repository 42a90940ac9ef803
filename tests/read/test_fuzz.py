"""A short run of the fuzzer, and proof that it would see what it looks for.

The long run is `docs/fuzz.py`; its result is `docs/fuzz.md`.
"""

from __future__ import annotations

import re
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from read import oracle
from read.mutate import CSV_MUTATORS, Original, source
from read.mutate_packed import PARQUET_MUTATORS, WORKBOOK_MUTATORS, ZIP_MUTATORS
from read.oracle import Case, case, judge, mutators, replay, try_one

import didkit
from didkit.design import Neighbours
from didkit.errors import DidkitError, DidkitWarning, ReadError
from didkit.panel import Cells, Panel, Status

PACKAGED = Path(didkit.__file__).parent / "simulate" / "packaged"
B1 = PACKAGED / "cin" / "b1_children_in_need_2013_to_2020.csv"
CLA = PACKAGED / "cla" / "cla_number_and_rate_per_10k_children.csv"
NEIGHBOURS = PACKAGED / "neighbours" / "statistical_neighbours.csv"
ROOT = Path(__file__).resolve().parents[2]


def held(what: Case, names: list[str], seeds: range, folder: Path) -> Counter[str]:
    """Try mutators, and fail with the recipe of what may not be."""
    counts: Counter[str] = Counter()
    for name in names:
        for seed in seeds:
            found = try_one(what, name, seed, folder)
            recipe = f"{what.original.name} {name} {seed}"
            assert found.verdict != "FAILURE", f"{recipe}: {found.detail}"
            counts[found.verdict] += 1
    return counts


# -- the short run -------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [B1, CLA, NEIGHBOURS], ids=["b1", "cla", "neighbours"])
def test_damaged_files_of_the_packaged_evaluation(file: Path, tmp_path: Path) -> None:
    what = case(file)
    counts = held(what, list(mutators(what.kind)), range(1, 2), tmp_path)
    assert counts["equal"] > 5
    assert counts["refused"] > 10
    assert counts["log"] > 0 or what.kind == "neighbours"


def test_damaged_published_tables(shared_data: Path, tmp_path: Path) -> None:
    files = [
        "cin_2020/d1_child_protection_plans_2013_to_2020.csv",
        "cin_2020/ons_mid-year_population_estimates.csv",
        "cla_2021/cla_number_and_rate_per_10k_children.csv",
        "sfr_cla/SFR36_CLA2013.csv",
        "sfr_cla/CLA2019.csv",
    ]
    counts: Counter[str] = Counter()
    for i, file in enumerate(files):
        what = case(shared_data / "dfe" / file)
        # A third of all mutators for each, and other seeds than those of the packaged files.
        counts += held(what, list(mutators(what.kind))[i % 3 :: 3], range(11, 12), tmp_path)
    assert counts.total() > 80
    assert min(counts["equal"], counts["refused"]) > 10


def test_damaged_workbooks(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    counts: Counter[str] = Counter()
    for seed, file in enumerate(("sn_april_2021.xlsx", "sn_may_2025.xlsx")):
        what = case(shared_data / "neighbours" / file)
        counts += held(what, list(WORKBOOK_MUTATORS), range(seed, seed + 1), tmp_path)
    assert counts["refused"] > 10


def test_damaged_parquet(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (file,) = (shared_data / "dfe" / "lait").glob("*.parquet")
    what = case(file)
    counts = held(what, list(PARQUET_MUTATORS), range(1, 2), tmp_path)
    assert counts["refused"] > 0


# -- the mutators --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CSV_MUTATORS, *ZIP_MUTATORS])
def test_a_mutator_does_harm_and_the_same_again(name: str) -> None:
    what = Original(B1.name, B1.read_bytes())
    mutate = (CSV_MUTATORS | ZIP_MUTATORS)[name]
    made = [mutate(what, source(what.name, name, seed)) for seed in range(1, 6)]
    assert any(data != what.data for data in made)
    assert len(set(made)) > 1 or name in ("all_quoted", "zip_in_a_zip", "zip_that_lies_of_its_size")
    assert made[3] == mutate(what, source(what.name, name, 4))
    assert what.data == B1.read_bytes()


@pytest.mark.parametrize(
    "name", ["flipped_bytes", "flipped_bits", "inserted_bytes", "dropped_bytes", "unclosed_quote"]
)
def test_random_bytes_leave_the_digits_alone(name: str) -> None:
    what = Original(B1.name, B1.read_bytes()[:60_000])
    for seed in range(1, 11):
        made = CSV_MUTATORS[name](what, source(what.name, name, seed))
        assert made != what.data or seed > 1 or name == "flipped_bits"
        assert re.sub(rb"[^0-9.]", b"", made) == re.sub(rb"[^0-9.]", b"", what.data)


# -- the oracle ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def b1() -> Case:
    return case(B1)


def changed(panel: Panel, **arrays: Callable[[np.ndarray], None]) -> Panel:
    """Return the panel with one metric's arrays changed in place."""
    old = panel.cells("cin_count")
    made = Cells(old.value.copy(), old.status.copy(), old.lower.copy(), old.upper.copy())
    for name, change in arrays.items():
        change(getattr(made, name))
    return panel.replaced(
        cells={m: made if m == "cin_count" else panel.cells(m) for m in panel.metrics}
    )


def put(number: float) -> Callable[[np.ndarray], None]:
    def change(array: np.ndarray) -> None:
        array[3, 2] = number

    return change


def relogged(panel: Panel) -> Panel:
    log = panel.log
    log.loc[0, "rows"] = 1
    return panel.replaced(log=log)


def test_the_oracle_knows_what_is_equal(b1: Case) -> None:
    assert isinstance(b1.good, Panel)
    assert judge(b1, b1.good, []) == ("equal", "")
    units = b1.good.units
    units.iloc[0, 0] = "Elsewhere"
    assert judge(b1, b1.good.replaced(units=units), []) == ("names", "")


def test_the_oracle_sees_another_number_whatever_the_log_says(b1: Case) -> None:
    assert isinstance(b1.good, Panel)
    old = b1.good.cells("cin_count").value[3, 2]
    made = changed(b1.good, value=put(old + 1), lower=put(old + 1), upper=put(old + 1))
    for panel in (made, relogged(made)):
        verdict, detail = judge(b1, panel, [])
        assert verdict == "FAILURE"
        assert f"whatever the log says: cin_count, {b1.good.unit_ids[3]} in 2015" in detail
        assert f"{old:g} → {old + 1:g}" in detail


def test_the_oracle_sees_a_number_where_there_was_none(b1: Case) -> None:
    assert isinstance(b1.good, Panel)
    gone = changed(
        b1.good,
        value=put(np.nan),
        status=put(Status.NOT_AVAILABLE),
        lower=put(np.nan),
        upper=put(np.nan),
    )
    assert judge(b1, gone, [])[0] == "FAILURE"
    assert judge(b1, relogged(gone), [])[0] == "log"
    assert judge(replace(b1, good=gone), relogged(b1.good), [])[0] == "FAILURE"


def test_the_oracle_sees_bounds_that_less_data_cannot_give(b1: Case) -> None:
    assert isinstance(b1.good, Panel)

    def hidden(lower: float, upper: float) -> Panel:
        status, value = put(Status.SUPPRESSED), put(np.nan)
        return changed(b1.good, value=value, status=status, lower=put(lower), upper=put(upper))

    what = replace(b1, good=hidden(5, 15))
    for lower, upper in ((6, 15), (5, 14), (7, np.nan)):
        verdict, detail = judge(what, relogged(hidden(lower, upper)), [])
        assert verdict == "FAILURE"
        assert "bounds of cin_count" in detail
    for lower, upper in ((4, 15), (5, 16), (0, np.nan)):
        assert judge(what, relogged(hidden(lower, upper)), [])[0] == "log"
        assert judge(what, hidden(lower, upper), [])[0] == "FAILURE"
    assert judge(replace(b1, good=hidden(0, np.nan)), relogged(hidden(0, 9)), [])[0] == "FAILURE"


def test_the_oracle_sees_another_status_bound_unit_period_or_metric(b1: Case) -> None:
    assert isinstance(b1.good, Panel)
    panel = b1.good
    every = [
        (changed(panel, status=put(Status.ROUNDED)), "status of cin_count"),
        (changed(panel, lower=put(0)), "lower of cin_count"),
        (changed(panel, upper=put(9e9)), "upper of cin_count"),
        (panel.select(units=panel.unit_ids[1:]), "1 units differ"),
        (panel.select(periods=panel.periods[1:]), "periods are"),
        (panel.select(metrics=["cin_count"]), "metrics differ"),
    ]
    for made, said in every:
        verdict, detail = judge(b1, made.replaced(log=panel.log), [])
        assert verdict == "FAILURE"
        assert "the log is the same" in detail
        assert said in detail
        assert judge(b1, relogged(made), []) == (
            "log",
            detail.removeprefix("the log is the same, and "),
        )


def test_the_oracle_lets_nothing_else_pass(b1: Case) -> None:
    error = ReadError(needed="a", found="b", where="c", todo="d")
    assert judge(b1, error, []) == ("refused", "ReadError: b")
    long = ReadError(needed="a", found="b" * 20_000, where="c", todo="d")
    assert judge(b1, long, [])[0] == "FAILURE"
    assert judge(b1, ReadError(needed="a", found="", where="c", todo="d"), [])[0] == "FAILURE"
    assert judge(b1, KeyError("x"), []) == ("FAILURE", "KeyError: 'x'")
    assert judge(b1, b1.good, [(DidkitWarning, "doubtful")])[0] == "equal"
    verdict, detail = judge(b1, b1.good, [(DidkitWarning, "doubtful"), (FutureWarning, "soon")])
    assert (verdict, "FutureWarning: soon" in detail) == ("FAILURE", True)
    assert judge(b1, case(NEIGHBOURS).good, [])[0] == "FAILURE"


def test_the_oracle_reads_lists_of_neighbours() -> None:
    what = case(NEIGHBOURS)
    table = what.good.table  # type: ignore[union-attr]
    first, last = table["unit"].iloc[0], table["unit"].iloc[-1]
    assert judge(what, Neighbours(table), [])[0] == "equal"
    assert judge(what, Neighbours(table.iloc[:-1]), []) == (
        "FAILURE",
        f"other lists without a word: [], ['{last}']",
    )
    assert judge(what, Neighbours(table.iloc[:-1]), [(DidkitWarning, "short")])[0] == "log"
    fewer = Neighbours(table[table["unit"] != first])
    assert judge(what, fewer, []) == ("log", "1 authorities fewer")
    other = table.assign(unit=table["unit"].replace(first, "999"))
    assert judge(what, Neighbours(other), [])[0] == "FAILURE"
    called = table.assign(unit_name="x")
    assert judge(what, Neighbours(called), [])[0] == "names"


def test_time_and_memory_are_held(
    b1: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(b1.good, Panel)

    def slow(_: Path) -> Panel:
        start = time.process_time()
        while time.process_time() < start + 0.02:
            pass
        return b1.good  # type: ignore[return-value]

    assert try_one(b1, "all_quoted", 1, tmp_path, slow).verdict == "equal"
    monkeypatch.setattr(oracle, "SECONDS", 0.01)
    found = try_one(b1, "all_quoted", 1, tmp_path, slow)
    assert found.verdict == "FAILURE"
    assert " s (equal" in found.detail
    monkeypatch.setattr(oracle, "SECONDS", 60.0)
    if oracle._peak() == 0:
        pytest.skip("this system does not say how much memory a process had")
    monkeypatch.setattr(oracle, "MEGABYTES", 50.0)

    def greedy(_: Path) -> Panel:
        held = np.ones(int(100e6 / 8))
        return b1.good if held.all() else None  # type: ignore[return-value]

    found = try_one(b1, "all_quoted", 1, tmp_path, greedy)
    assert found.verdict == "FAILURE"
    assert "MB of memory" in found.detail


def test_a_warning_or_an_error_while_reading_is_seen(b1: Case, tmp_path: Path) -> None:
    def warns(_: Path) -> Panel:
        warnings.warn("soon", FutureWarning, stacklevel=2)
        return b1.good  # type: ignore[return-value]

    def breaks(_: Path) -> Panel:
        raise UnicodeDecodeError("utf-8", b"x", 0, 1, "no")

    def refuses(_: Path) -> Panel:
        raise DidkitError(needed="a", found="b", where="c", todo="d")

    assert try_one(b1, "all_quoted", 1, tmp_path, warns).verdict == "FAILURE"
    assert "UnicodeDecodeError" in try_one(b1, "all_quoted", 1, tmp_path, breaks).detail
    assert try_one(b1, "all_quoted", 1, tmp_path, refuses).verdict == "refused"


def test_a_recipe_makes_the_same_file_again(b1: Case, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def keeps(file: Path) -> Panel:
        seen.append(file.read_bytes())
        return b1.good  # type: ignore[return-value]

    try_one(b1, "rows_shuffled", 7, tmp_path, keeps)
    assert seen == [replay(b1, "rows_shuffled", 7)]
    assert seen != [replay(b1, "rows_shuffled", 8)]


# -- the page ------------------------------------------------------------------------------------


def test_the_page_of_the_long_run_is_whole() -> None:
    """Every mutator stands in it, at least 20,000 inputs, and no failure."""
    text = (ROOT / "docs" / "fuzz.md").read_text(encoding="utf-8")
    found = re.search(r"\*\*([0-9,]+) damaged inputs, 0 failures\.\*\*", text)
    assert found is not None
    assert int(found[1].replace(",", "")) >= 20_000
    every = CSV_MUTATORS | ZIP_MUTATORS | WORKBOOK_MUTATORS | PARQUET_MUTATORS
    missing = [name for name in every if f"| {name.replace('_', ' ')} |" not in text]
    assert missing == []
