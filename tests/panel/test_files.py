"""A panel as a file: parquet gives the same panel back or a refusal; CSV and Excel run nothing."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import functools
import json
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from hypothesis import example, given, settings
from hypothesis import strategies as st
from same_panel import assert_same_cells, assert_same_panel

from didkit.datasets import load_evaluation
from didkit.errors import PanelError
from didkit.panel import Calendar, Cells, Metric, Panel, Source, Status, files, workbook
from didkit.panel.safe import safe_text
from didkit.read import read_dfe

NAN = float("nan")
PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
STARTS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]


def cells_of(rows: list[list[tuple[float, int, float, float]]]) -> Cells:
    stacked = np.array(rows, dtype=float)
    return Cells(
        value=stacked[..., 0].copy(),
        status=stacked[..., 1].astype(np.int8),
        lower=stacked[..., 2].copy(),
        upper=stacked[..., 3].copy(),
    )


def full_panel() -> Panel:
    """One of everything that a panel can hold."""
    cin = cells_of(
        [
            [(0.1 + 0.2, 0, 0.25, 0.35), (NAN, 1, 1, 5), (NAN, 3, NAN, NAN)],
            [(NAN, 4, NAN, NAN), (5e-324, 2, 0.0, np.inf), (1.7e308, 5, 1.7e308, 1.7e308)],
            [(NAN, 6, NAN, NAN), (NAN, 6, NAN, NAN), (NAN, 6, NAN, 7.0)],  # absent, and a bound
        ]
    )
    own = cells_of(
        [
            [(-0.0, 0, -0.0, 0.0), (-3.5, 0, -np.inf, 2.0), (1 / 3, 0, 1 / 3, 1 / 3)],
            [(NAN, 6, NAN, NAN)] * 3,
            [(NAN, 1, NAN, 9.0), (2.0, 0, 2.0, 2.0), (NAN, 6, NAN, NAN)],
        ]
    )
    units = pd.DataFrame(
        {
            "name": ["Norfolk", "=HYPERLINK(“x”)", "Ynys Môn 🏴"],
            "region": ["East", None, "Wales"],
            "value": ["an attribute", "called like", "a column"],
            "area": [1.5, NAN, np.inf],
            "n": np.array([1, 2, 3], dtype=np.int16),
            "coast": [True, False, True],
            "mixed": np.array([1, "two", None], dtype=object),
        },
        index=pd.Index(["926", "303", "W06"], name="unit", dtype=object),  # not pandas 3's own
    )
    metrics = {
        "own": Metric(name="own", label="A “label”", direction="higher", decimals=2, per=7),
        "cin": Metric.named("cin"),
    }
    return Panel(
        units=units,
        calendar=Calendar(("2016-17", "2017-18", "2018-19"), "split year"),
        metrics=metrics,
        cells={"own": own, "cin": cin},
        sources={
            "own": (),
            "cin": (Source("A", "t", "f.csv", "ab12", "a note"), Source("=B", note="second")),
        },
        log=pd.DataFrame({"source": ["A", "B"], "what": ["rows used", "x"], "rows": [5, 0]}),
        identity="any",
        parts={"926": ["901", "902"]},
    )


@functools.cache
def small_panel() -> Panel:
    frame = pd.DataFrame(
        {
            "la": np.repeat(["303", "926", "801"], 4),
            "year": list(range(2015, 2019)) * 3,
            "cin": np.arange(12.0) / 3,
            "cla": [None, 2.5] * 6,
            "region": np.repeat(["London", "East", "South"], 4),
        }
    )
    metrics = ["cin", "cla"]
    return Panel.from_frame(frame, unit="la", period="year", metrics=metrics, attributes=["region"])


def roundtrip(panel: Panel, folder: Path) -> Panel:
    panel.to_parquet(folder / "panel.parquet")
    return Panel.from_parquet(folder / "panel.parquet")


# -- parquet -------------------------------------------------------------------------------------


def test_the_same_panel_comes_back(tmp_path: Path) -> None:
    panel = full_panel()
    back = roundtrip(panel, tmp_path)
    assert_same_panel(back, panel)
    assert np.signbit(back.wide("own").loc["926", "2016-17"])
    assert back.find("901") == "926"
    assert back.cells("cin").status[2].tolist() == [Status.ABSENT] * 3
    assert back.units.dtypes.tolist() == panel.units.dtypes.tolist()


@settings(max_examples=40)
@given(
    data=st.data(),
    n=st.integers(1, 4),
    t=st.integers(1, 4),
    names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), min_size=4),
)
def test_any_panel_comes_back(
    tmp_path_factory: pytest.TempPathFactory, data: Any, n: int, t: int, names: list[str]
) -> None:
    cell = st.tuples(
        st.floats(allow_infinity=False),
        st.sampled_from([int(one) for one in Status]),
        st.just(-np.inf),
        st.sampled_from([NAN, np.inf]),
    )
    row = st.lists(cell, min_size=t, max_size=t)
    made = data.draw(st.lists(row, min_size=n, max_size=n))
    panel = Panel(
        units=pd.DataFrame({"name": names[:n]}, index=[f"u{j}" for j in range(n)]),
        calendar=Calendar(tuple(f"p{k}" for k in range(t)), "declared"),
        metrics={"m": Metric(name="m", label=names[0])},
        cells={"m": cells_of(made)},
        sources={"m": (Source(names[1]),)},
        identity="any",
    )
    assert_same_panel(roundtrip(panel, tmp_path_factory.mktemp("any")), panel)


def test_the_packaged_evaluation_comes_back(tmp_path: Path) -> None:
    panel = load_evaluation().panel
    assert_same_panel(roundtrip(panel, tmp_path), panel)


def test_published_tables_come_back(shared_data: Path, tmp_path: Path) -> None:
    panel = read_dfe(shared_data / "dfe" / "cin_2020")
    assert_same_panel(roundtrip(panel, tmp_path), panel)


def test_any_tool_reads_the_cells(tmp_path: Path) -> None:
    panel = full_panel()
    path = tmp_path / "panel.parquet"
    panel.to_parquet(path)
    by_pandas = pd.read_parquet(path)
    assert list(by_pandas.columns) == [
        *("unit", "name", "period", "metric", "value", "status", "lower", "upper", "release"),
        *("region", "area", "n", "coast", "mixed"),
    ]
    # Rows of tidy, and the one absent cell of which something is known.
    assert len(by_pandas) == len(panel.tidy()) + 1
    assert by_pandas["status"].tolist().count("absent") == 1
    known = by_pandas.query("metric == 'cin' and unit == '926' and period == '2016-17'")
    assert known["value"].tolist() == [0.1 + 0.2]
    assert set(known["release"]) == {"A + =B"}
    assert pl.read_parquet(path)["value"].null_count() == int(by_pandas["value"].isna().sum())
    hidden = duckdb.sql(
        f"select lower, upper from '{path.as_posix()}' where status = 'suppressed' and lower = 1"  # noqa: S608
    )
    assert hidden.fetchall() == [(1.0, 5.0)]


def test_the_same_panel_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("panel.parquet", "panel.xlsx", "panel.csv"):
        write = {"parquet": "to_parquet", "xlsx": "to_excel", "csv": "to_csv"}[name.split(".")[1]]
        getattr(full_panel(), write)(tmp_path / name)
        getattr(full_panel(), write)(tmp_path / f"again-{name}")
        assert (tmp_path / name).read_bytes() == (tmp_path / f"again-{name}").read_bytes()


@pytest.mark.parametrize("write", ["to_parquet", "to_csv", "to_excel"])
def test_a_file_is_whole_or_as_it_was(
    write: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "panel"
    path.write_bytes(b"old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            getattr(small_panel(), write)(path)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["panel"]
    getattr(small_panel(), write)(path)
    assert path.read_bytes() != b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["panel"]


@pytest.mark.parametrize("write", ["to_parquet", "to_csv", "to_excel"])
def test_where_it_goes_is_checked_before_any_work(
    write: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(path: object) -> PanelError:
        with pytest.raises(PanelError) as caught:
            getattr(small_panel(), write)(path)
        assert caught.value.where == f"{write}({str(path)!r})"
        return caught.value

    for work in ("tidy", "describe", "workbook", "_long"):
        monkeypatch.delattr(files, work)
    error = refusal(tmp_path / "gone" / "panel")
    assert error.needed == "a folder that exists"
    assert error.found == f"no folder {str(tmp_path / 'gone')!r}"
    assert error.todo == "make it first"
    (tmp_path / "file").write_bytes(b"")
    assert refusal(tmp_path / "file" / "panel").needed == "a folder that exists"
    for folder in (tmp_path, str(tmp_path), "", "."):
        assert refusal(folder).needed == "the name of a file"
    assert refusal(5).found == "a int"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def mutated(raw: bytes, rng: random.Random) -> bytes:
    out = bytearray(raw)
    kind = rng.choice(["byte", "bit", "cut", "bytes", "zeros", "more", "swap", "footer"])
    at = rng.randrange(len(out))
    if kind == "byte":
        out[at] = rng.randrange(256)
    elif kind == "bit":
        out[at] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del out[at:]
    elif kind == "bytes":
        for _ in range(rng.randrange(2, 30)):
            out[rng.randrange(len(out))] = rng.randrange(256)
    elif kind == "zeros":
        out[at : at + 20] = bytes(20)
    elif kind == "more":
        out[at:at] = rng.randbytes(rng.randrange(1, 8))
    elif kind == "swap":
        other = rng.randrange(at, len(out))
        out = out[:at] + out[other:] + out[at:other]
    else:
        out[-rng.randrange(1, 2500)] = rng.randrange(256)
    return bytes(out)


def test_a_damaged_file_is_the_same_panel_or_refused(tmp_path: Path) -> None:
    panel, path, rng = small_panel(), tmp_path / "panel.parquet", random.Random(4)  # noqa: S311
    panel.to_parquet(path)
    raw, refused = path.read_bytes(), 0
    for _ in range(200):
        path.write_bytes(mutated(raw, rng))
        try:
            back = Panel.from_parquet(path)
        except PanelError:
            refused += 1
        else:
            assert_same_panel(back, panel)  # what was hit does not matter to a panel
    assert 100 < refused < 200


def test_every_number_is_under_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "panel.parquet"
    small_panel().to_parquet(path)
    for column in ("value", "lower", "upper"):
        table = pq.ParquetFile(path).read()
        at = table.column_names.index(column)
        changed = [None if one is None else one + 1e-12 for one in table[column].to_pylist()]
        rewrite(path, table.set_column(at, column, pa.array(changed, pa.float64())), sign=False)
        with pytest.raises(PanelError, match="as they were written"):
            Panel.from_parquet(path)
        small_panel().to_parquet(path)


def rewrite(
    path: Path,
    table: pa.Table | None = None,
    *,
    said: bytes | None = None,
    sign: bool = True,
) -> None:
    """Write a file again with another table or description, and a digest that fits if it can."""
    metadata = pq.ParquetFile(path).metadata.metadata
    said = metadata[b"didkit"] if said is None else said
    digest = metadata[b"didkit-sha256"]
    if table is None:
        table = pq.ParquetFile(path).read()
        if sign:
            cells = {key: small_panel().cells(key) for key in small_panel().metrics}
            digest = files._digest(said, cells)
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({b"didkit": said, b"didkit-sha256": digest})


def described(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(pq.ParquetFile(path).metadata.metadata[b"didkit"])
    return read


def test_a_description_written_again_is_read(tmp_path: Path) -> None:
    # The tests below change one thing each: without a change the panel is the same.
    path = tmp_path / "panel.parquet"
    small_panel().to_parquet(path)
    rewrite(path, said=json.dumps(described(path)).encode())
    assert_same_panel(Panel.from_parquet(path), small_panel())


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another version": (lambda d: d.update(format=2), "format 1"),
    "a truth value as version": (lambda d: d.update(format=None), "format 1"),
    "a key too many": (lambda d: d.update(more=1), "the keys 8"),
    "a key too few": (lambda d: d.pop("log"), "the keys 8"),
    "identity": (lambda d: d.update(identity="name"), "la_code"),
    "kind of calendar": (lambda d: d["calendar"].update(kind="month"), "a kind of calendar"),
    "gap": (lambda d: d["calendar"]["labels"].pop(1), "consecutive"),
    "period twice": (lambda d: d["calendar"]["labels"].append("2018"), "each named once"),
    "period a number": (lambda d: d["calendar"]["labels"].append(2019), "list of str"),
    "period unknown": (lambda d: d["calendar"].update(labels=["2015"]), "a period that"),
    "no metrics": (lambda d: d.update(metrics=[], sources={}), "metrics, each once"),
    "metric twice": (lambda d: d["metrics"].append(d["metrics"][0]), "metrics, each once"),
    "metric renamed": (
        lambda d: (
            d["metrics"][0].update(name="x"),
            d["sources"].update(x=d["sources"].pop("cin")),
        ),
        "a metric that",
    ),
    "kind of metric": (lambda d: d["metrics"][0].update(kind="money"), "Literal"),
    "per": (lambda d: d["metrics"][0].update(per="10"), "type <class 'int'>"),
    "decimals": (lambda d: d["metrics"][0].update(decimals=True), "int"),
    "field of metric": (lambda d: d["metrics"][0].pop("unit"), "the keys"),
    "sources": (lambda d: d["sources"].pop("cin"), "the keys 2"),
    "source": (lambda d: d["sources"]["cin"][0].update(sha256=1), "str"),
    "unit twice": (lambda d: d["units"]["index"]["values"].__setitem__(1, "303"), "each once"),
    "unit unknown": (lambda d: d["units"]["index"]["values"].__setitem__(1, "9"), "a unit that"),
    "unit a number": (
        lambda d: d["units"]["index"]["values"].__setitem__(1, 926),
        "of type text" if PANDAS >= (3,) else "ids of units",
    ),
    "England": (
        lambda d: d["units"]["index"]["values"].__setitem__(1, "970"),
        "a unit that",
    ),
    "no name": (lambda d: d["units"]["columns"][0].update(name="nom"), "a column 'name'"),
    "column twice": (lambda d: d["units"]["columns"][1].update(name="name"), "a name each"),
    "rows": (lambda d: d["units"].update(rows=2), "values of a known type"),
    "many rows": (lambda d: d["units"].update(rows=10**18, columns=[], index=None), "as many rows"),
    "negative rows": (lambda d: d["log"].update(rows=-1, columns=[]), "as many rows"),
    "dtype": (lambda d: d["log"]["columns"][0].update(dtype="datetime64[ns]"), "a known type"),
    "values of another type": (
        lambda d: d["log"]["columns"][2]["values"].__setitem__(0, "many"),
        "values of type int64",
    ),
    "a number too large": (
        lambda d: d["log"]["columns"][2]["values"].__setitem__(0, 2**70),
        "values of type int64",
    ),
    "half a number": (
        lambda d: d["log"]["columns"][2]["values"].__setitem__(0, 1.5),
        "values of type int64",
    ),
    "a list": (lambda d: d["log"]["columns"][0]["values"].__setitem__(0, []), "values of type"),
    "columns of the log": (lambda d: d["log"]["columns"].pop(), "source, what and rows"),
    "parts": (lambda d: d.update(parts={"303": "901"}), "a list of str"),
    "parts a list": (lambda d: d.update(parts=[]), "dict"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_description_that_is_not_one_is_refused(case: str, tmp_path: Path) -> None:
    path = tmp_path / "panel.parquet"
    small_panel().to_parquet(path)
    said, (change, words) = described(path), BROKEN[case]
    change(said)
    rewrite(path, said=json.dumps(said).encode())
    with pytest.raises(PanelError) as caught:
        Panel.from_parquet(path)
    assert words in caught.value.needed


@pytest.mark.parametrize(
    "said",
    [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b"NaN", b"[" * 100_000, b'{"format": 1}'],
    ids=["empty", "open", "list", "null", "number", "no text", "NaN", "deep", "nothing in it"],
)
def test_a_description_that_is_no_json_object_is_refused(said: bytes, tmp_path: Path) -> None:
    path = tmp_path / "panel.parquet"
    small_panel().to_parquet(path)
    rewrite(path, said=said)
    with pytest.raises(PanelError, match=r"description in JSON|the keys"):
        Panel.from_parquet(path)


def nodes(tree: Any) -> list[tuple[Any, Any]]:
    """Every place in a tree of JSON, as container and key."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    found = [(tree, key) for key in keys]
    for key in keys:
        if isinstance(tree[key], (dict, list)):
            found += nodes(tree[key])
    return found


def test_any_other_value_anywhere_is_a_panel_or_refused(tmp_path: Path) -> None:
    path, rng = tmp_path / "panel.parquet", random.Random(5)  # noqa: S311
    small_panel().to_parquet(path)
    raw = path.read_bytes()
    plain = json.dumps(described(path))
    values = [None, True, -1, 2**70, 1.5, "", "x", "nan", [], [[]], {}, {"float": "nan"}, {"a": 1}]
    refused = 0
    for _ in range(200):
        path.write_bytes(raw)
        said = json.loads(plain)
        holder, key = rng.choice(nodes(said))
        holder[key] = rng.choice(values)
        rewrite(path, said=json.dumps(said).encode())
        try:
            back = Panel.from_parquet(path)
        except PanelError:
            refused += 1
        else:  # a label, a note or the like is another: the cells are the same
            assert_same_cells(back, small_panel())
            assert_same_panel(roundtrip(back, tmp_path), back)
    assert 50 < refused < 200


def change_of_table(change: Callable[[pa.Table], pa.Table], path: Path) -> PanelError:
    small_panel().to_parquet(path)
    rewrite(path, change(pq.ParquetFile(path).read()))
    with pytest.raises(PanelError) as caught:
        Panel.from_parquet(path)
    return caught.value


def with_column(name: str, values: Any) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        made = values(table[name]) if callable(values) else pa.array(values)
        return table.set_column(table.column_names.index(name), name, made)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop_columns(["status"]), "one column 'status'"),
        (
            lambda table: table.append_column("unit", table["unit"]),
            "one column 'unit'",
        ),
        (with_column("value", lambda one: one.cast(pa.float32())), "text and float64"),
        (with_column("value", lambda one: one.cast(pa.string())), "text and float64"),
        (with_column("unit", lambda one: one.cast(pa.int64())), "text and float64"),
        (with_column("unit", lambda one: one.cast(pa.binary())), "text and float64"),
        (with_column("status", ["seen"] * 24), "a status that"),
        (with_column("status", [None] + ["observed"] * 23), "a status that"),
        (lambda table: pa.concat_tables([table, table.slice(3, 2)]), "one row a unit"),
        (lambda table: table.slice(1), "as they were written"),
        (lambda table: table.slice(0, 0), "as they were written"),
        (with_column("value", [np.inf] * 24), "as they were written"),
    ],
    ids=[
        *("no status", "unit twice", "float32", "text", "numbers", "bytes"),
        *("unknown", "null", "rows twice", "a row less", "no row", "infinite"),
    ],
)
def test_a_table_that_is_not_the_cells_is_refused(
    change: Callable[[pa.Table], pa.Table], words: str, tmp_path: Path
) -> None:
    assert words in change_of_table(change, tmp_path / "panel.parquet").needed


def test_impossible_cells_with_a_digest_that_fits_are_refused(tmp_path: Path) -> None:
    # The gate of the panel stands behind the file's own checks.
    path = tmp_path / "panel.parquet"
    small_panel().to_parquet(path)
    table = pq.ParquetFile(path).read()
    value = [-1.0, *table["value"].to_pylist()[1:]]
    cells = {key: small_panel().cells(key) for key in small_panel().metrics}
    first = np.array(cells["cin"].value)
    first[0, 0] = -1.0
    cells["cin"] = dataclasses.replace(cells["cin"], value=first)
    said = pq.ParquetFile(path).metadata.metadata[b"didkit"]
    table = with_column("value", value)(table)
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        digest = files._digest(said, cells)
        writer.add_key_value_metadata({b"didkit": said, b"didkit-sha256": digest})
    with pytest.raises(PanelError, match="zero or more"):
        Panel.from_parquet(path)


def test_rows_in_another_order_are_the_same_panel(tmp_path: Path) -> None:
    path = tmp_path / "panel.parquet"
    small_panel().to_parquet(path)
    table = pq.ParquetFile(path).read()
    rewrite(path, table.take(np.random.default_rng(1).permutation(len(table))))
    assert_same_panel(Panel.from_parquet(path), small_panel())


def test_files_that_are_no_panel_are_refused(tmp_path: Path) -> None:
    def refusal(path: object) -> PanelError:
        with pytest.raises(PanelError) as caught:
            Panel.from_parquet(path)  # type: ignore[arg-type]
        return caught.value

    foreign = tmp_path / "foreign.parquet"
    for table in (small_panel().tidy(backend="polars"), pl.DataFrame({"a": [1]})):
        table.write_parquet(foreign)
        assert "Panel.to_parquet wrote" in refusal(foreign).needed
        assert "Panel.from_frame" in refusal(foreign).todo
    (tmp_path / "text").write_text("unit,period\n", encoding="utf-8")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("text", "empty"):
        assert refusal(tmp_path / name).needed == "a parquet file"
    for path in (tmp_path, tmp_path / "gone.parquet", "nul\0.parquet"):
        assert refusal(path).needed == "a file that can be read"


def test_limits_hold_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "panel.parquet"
    small_panel().to_parquet(path)
    size = path.stat().st_size
    said = len(pq.ParquetFile(path).metadata.metadata[b"didkit"])
    for limit, most in (
        ("file_bytes", size),
        ("described_bytes", said),
        ("columns", 10),
        ("rows", 24),
        ("cells", 24),
    ):
        monkeypatch.setattr(files, "LIMITS", files.Limits(**{limit: most}))
        assert_same_panel(Panel.from_parquet(path), small_panel())
        monkeypatch.setattr(files, "LIMITS", files.Limits(**{limit: most - 1}))
        with pytest.raises(PanelError, match=f"at most {most - 1:,} {limit.split('_')[0]}"):
            Panel.from_parquet(path)
        if limit in ("cells", "described_bytes"):
            with pytest.raises(PanelError, match="at most"):
                small_panel().to_parquet(tmp_path / "other.parquet")
    monkeypatch.setattr(files, "LIMITS", files.Limits(unpacked_bytes=100))
    with pytest.raises(PanelError, match="at most 100 unpacked"):
        Panel.from_parquet(path)
    assert not (tmp_path / "other.parquet").exists()


def test_a_text_repeated_a_million_times_stays_small(tmp_path: Path) -> None:
    # 400,000 rows of a text of 100,000 letters would be 40 GB as text: it stays a dictionary.
    path = tmp_path / "panel.parquet"
    small_panel().to_parquet(path)
    rows = 400_000
    long = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["x" * 100_000])
    )
    numbers = pa.nulls(rows, pa.float64())
    table = pa.table(
        dict.fromkeys(("unit", "period", "metric", "status"), long)
        | dict.fromkeys(("value", "lower", "upper"), numbers)
    )
    rewrite(path, table)
    with pytest.raises(PanelError, match="that the description has"):
        Panel.from_parquet(path)


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({"when": pd.to_datetime(["2018-01-01"])}, "datetime64"),
        ({"kind": pd.Categorical(["x"])}, "category"),
        ({"o": np.array([object()], dtype=object)}, "object"),
    ],
)
def test_attributes_that_json_has_not_are_refused(
    units: dict[str, Any], words: str, tmp_path: Path
) -> None:
    panel = small_panel().select(units=["303"])
    panel = panel.replaced(units=panel.units.assign(**units))
    with pytest.raises(PanelError, match=words):
        panel.to_parquet(tmp_path / "panel.parquet")


@pytest.mark.parametrize("write", ["to_parquet", "to_csv", "to_excel"])
def test_text_that_is_no_unicode_is_refused(write: str, tmp_path: Path) -> None:
    panel = small_panel()
    units = panel.units
    units["name"] = pd.Series(["\ud800", "b", "c"], index=units.index, dtype=object)
    with pytest.raises(PanelError, match="written as UTF-8"):
        getattr(panel.replaced(units=units), write)(tmp_path / "panel")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("write", "package", "extra"),
    [
        ("to_parquet", "pyarrow", "parquet"),
        ("from_parquet", "pyarrow", "parquet"),
        ("to_excel", "xlsxwriter", "excel"),
    ],
)
def test_a_package_that_is_not_installed_names_its_extra(
    write: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = small_panel()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PanelError, match=f"package {package}") as caught:
        getattr(panel, write)(tmp_path / "panel")
    assert f"the extra '{extra}' of didkit-evaluation" in caught.value.todo


def test_every_field_of_a_metric_and_a_source_is_kept(tmp_path: Path) -> None:
    panel = full_panel()
    back = roundtrip(panel, tmp_path)
    for one, other in (
        (panel.metrics["own"], back.metrics["own"]),
        (panel.sources["cin"][0], back.sources["cin"][0]),
    ):
        for field in dataclasses.fields(one):
            assert getattr(one, field.name) == getattr(other, field.name)
            assert type(getattr(one, field.name)) is type(getattr(other, field.name))


def test_a_metric_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    panel = small_panel().select(metrics=["cin"])
    odd = dataclasses.replace(panel.metrics["cin"], per=10.5)  # type: ignore[arg-type]
    with pytest.raises(PanelError, match="per"):
        panel.replaced(metrics={"cin": odd}).to_parquet(tmp_path / "panel.parquet")


# -- CSV -----------------------------------------------------------------------------------------


def test_csv_gives_the_same_cells_back(tmp_path: Path) -> None:
    panel = full_panel().select(metrics=["cin"], units=["926", "303"])
    path = tmp_path / "panel.csv"
    panel.to_csv(path)
    exact = {} if PANDAS >= (3, 1) else {"float_precision": "round_trip"}
    frame = pd.read_csv(path, dtype={"unit": str, "period": str}, encoding="utf-8", **exact)
    named = {one: one for one in ("unit", "period", "value", "status", "lower", "upper")}
    back = Panel.from_frame(frame, layout="long", metrics="metric", identity="any", **named)
    assert_same_cells(back, panel.replaced(**reordered(panel, back.unit_ids)))
    assert back.metrics["cin"] == panel.metrics["cin"]


def reordered(panel: Panel, ids: tuple[str, ...]) -> dict[str, Any]:
    return {
        "units": panel.units.loc[list(ids)],
        "cells": {key: panel.spread(key, ids, panel.calendar) for key in panel.metrics},
    }


@pytest.mark.parametrize("start", STARTS)
def test_csv_has_no_formula(start: str, tmp_path: Path) -> None:
    text = f"{start}cmd|' /C calc'!A0"
    assert safe_text(text) == f"'{text}"
    panel = small_panel()
    units = panel.units
    units["name"] = [text, "b", "c"]
    units[text] = ["x", text, "z"]
    path = tmp_path / "panel.csv"
    panel.replaced(units=units).to_csv(path)
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = list(csv.reader(file))
    assert head[-1] == f"'{text}"
    assert {row[1] for row in rows} == {f"'{text}", "b", "c"}
    assert {row[-1] for row in rows} == {"x", f"'{text}", "z"}
    assert not [cell for row in (head, *rows) for cell in row if cell.startswith(tuple(STARTS))]


SPLIT = st.lists(
    st.sampled_from([*STARTS, ";", ",", "|", '"', "'", " ", "cmd", "Kent", "1"]), max_size=8
).map("".join)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@settings(max_examples=150)
@given(texts=st.lists(SPLIT, min_size=3, max_size=3))
@example(texts=["Kent;=cmd|x", "b", "c"])
@example(texts=['Kent; "=cmd|x"', "b\n=cmd", "c\t@x"])
def test_csv_has_no_formula_wherever_it_is_split(
    separator: str, texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    panel = small_panel()
    units = panel.units
    units["name"], units["region"] = texts, texts[::-1]
    path = tmp_path_factory.mktemp("split") / "panel.csv"
    panel.replaced(units=units).to_csv(path)
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file, delimiter=separator) for cell in row]
    signs = tuple(one for one in STARTS if not one.isspace())
    found = [cell for cell in cells if cell.lstrip().startswith(signs)]
    # Numbers are the only cells without quotes, and none of this panel is below zero.
    assert found == []


def test_csv_quotes_texts_and_only_texts(tmp_path: Path) -> None:
    panel = small_panel()
    units = panel.units
    units["n"], units["flag"], units["gap"] = [1, 2, 3], [True, False, True], ["x", None, "12"]
    panel = panel.replaced(units=units)
    panel.to_csv(tmp_path / "panel.csv")
    head, *lines = (tmp_path / "panel.csv").read_bytes().decode("utf-8").split("\r\n")[:-1]
    assert head == ",".join(f'"{name}"' for name in panel.tidy().columns)
    plain = {name: name in ("value", "lower", "upper", "n", "flag") for name in panel.tidy()}
    for line in lines:
        for (name, bare), cell in zip(plain.items(), line.split(","), strict=True):
            assert cell == "" or cell.startswith('"') != bare, name
            assert cell.endswith('"') == cell.startswith('"')
    assert {line.rpartition(",")[2] for line in lines} == {'"x"', "", '"12"'}


def test_csv_keeps_negative_numbers(tmp_path: Path) -> None:
    full_panel().to_csv(tmp_path / "panel.csv")
    lines = (tmp_path / "panel.csv").read_bytes().decode("utf-8")
    assert ',-3.5,"observed",-inf,2.0,' in lines
    assert "Ynys Môn" in lines


# -- Excel ---------------------------------------------------------------------------------------


def test_excel_has_numbers_and_texts(tmp_path: Path) -> None:
    panel = full_panel()
    path = tmp_path / "panel.xlsx"
    panel.to_excel(path)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["read me", "cells", "metrics", "units", "sources", "log"]
    assert book.properties.created == dt.datetime(2000, 1, 1)  # not now: the same bytes tomorrow
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n"}
    head, *rows = book["metrics"].iter_rows(values_only=True)
    assert list(head) == ["metric", *(field.name for field in dataclasses.fields(Metric)[1:])]
    assert rows[0][:2] == ("own", "A “label”")
    units = [row[:2] for row in book["units"].iter_rows(min_row=2, values_only=True)]
    assert units == [("926", "Norfolk"), ("303", "=HYPERLINK(“x”)"), ("W06", "Ynys Môn 🏴")]
    assert [row[1] for row in book["sources"].iter_rows(min_row=2, values_only=True)] == ["A", "=B"]
    assert list(book["log"].iter_rows(min_row=2, values_only=True)) == [
        ("rows used", "A", 5),
        ("x", "B", 0),
    ]
    book.close()


def test_excel_cells_are_those_of_tidy(tmp_path: Path) -> None:
    panel, path = small_panel(), tmp_path / "panel.xlsx"
    panel.to_excel(path)
    back = pd.read_excel(path, sheet_name="cells", dtype={"unit": str, "name": str, "period": str})
    pd.testing.assert_frame_equal(back, panel.tidy(), check_dtype=False, rtol=0, atol=0)
    with zipfile.ZipFile(path) as parts:
        sheets = [parts.read(name) for name in parts.namelist() if "sheet" in name]
        assert not any(b"<f>" in sheet or b"hyperlink" in sheet for sheet in sheets)


def test_excel_texts_are_never_links(tmp_path: Path) -> None:
    panel = small_panel()
    units = panel.units
    units["name"] = ["http://a.example", "mailto:x@y.example", "{=1+1}"]
    path = tmp_path / "panel.xlsx"
    panel.replaced(units=units).to_excel(path)
    with zipfile.ZipFile(path) as parts:
        assert not [name for name in parts.namelist() if "rels" in name and "sheets" in name]
    book = openpyxl.load_workbook(path)
    assert [row[1].value for row in book["units"].iter_rows(min_row=2)] == list(units["name"])
    book.close()


def test_excel_refuses_more_rows_than_a_sheet_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, t = 512, 2049
    cells = Cells(*(np.zeros((n, t), dtype=one) for one in (float, np.int8, float, float)))
    ids = [f"u{j}" for j in range(n)]
    panel = Panel(
        units=pd.DataFrame({"name": ids}, index=ids),
        calendar=Calendar(tuple(f"p{k}" for k in range(t)), "declared"),
        metrics={"m": Metric(name="m")},
        cells={"m": cells},
        sources={"m": ()},
        identity="any",
    )
    with pytest.raises(PanelError, match="at most 1,048,575 rows") as caught:
        panel.to_excel(tmp_path / "panel.xlsx")
    assert caught.value.found == f"{n * t:,}"
    monkeypatch.setattr(workbook, "_SHEET_ROWS", 24)
    small_panel().to_excel(tmp_path / "panel.xlsx")
    monkeypatch.setattr(workbook, "_SHEET_ROWS", 23)
    with pytest.raises(PanelError, match="at most 23 rows"):
        small_panel().to_excel(tmp_path / "panel.xlsx")


def test_an_attribute_may_be_called_like_a_column(tmp_path: Path) -> None:
    # The numbers stay those of the cells, whatever the attributes are called.
    panel = small_panel()
    panel = panel.replaced(units=panel.units.assign(unit="u", value="v", status="s"))
    assert list(panel.tidy().columns) == list(small_panel().tidy().columns)
    pd.testing.assert_frame_equal(panel.tidy(), small_panel().tidy())
    assert_same_panel(roundtrip(panel, tmp_path), panel)
    panel.to_excel(tmp_path / "panel.xlsx")
    book = openpyxl.load_workbook(tmp_path / "panel.xlsx")
    head, first, *_ = book["units"].iter_rows(values_only=True)
    assert head == ("unit", "name", "region", "unit", "value", "status")
    assert first == ("303", "303", "London", "u", "v", "s")
    book.close()


def test_excel_refuses_a_text_that_a_cell_cannot_hold(tmp_path: Path) -> None:
    panel = small_panel()
    units = panel.units
    units["name"] = ["x" * 32_768, "b", "c"]
    with pytest.raises(PanelError, match=r"32,768 letters in row 2, column 2"):
        panel.replaced(units=units).to_excel(tmp_path / "panel.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_excel_says_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "panel.xlsx"
    full_panel().to_excel(path)
    book = openpyxl.load_workbook(path)
    head, *rows = book["read me"].iter_rows(values_only=True)
    assert head == ("what", "name", "meaning")
    said: dict[str, list[str]] = {}
    for what, name, _ in rows:
        said.setdefault(what, []).append(name)
    assert ["read me", *said["sheet"]] == book.sheetnames
    columns = [one for names in said["column"] for one in names.split(", ")]
    assert columns == ["value", "status", "lower", "upper", "release"]
    assert set(columns) <= {cell.value for cell in book["cells"][1]}
    assert said["status"] == [status.label for status in Status]
    assert [row[1:] for row in rows if row[0] == "release"] == [("A", "t, f.csv"), ("=B", "")]
    assert book["read me"].auto_filter.ref is None
    for name in said["sheet"]:
        assert book[name].auto_filter.ref == book[name].dimensions
        assert book[name].freeze_panes == "A2"
    book.close()


def test_excel_has_years_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "panel.xlsx"
    for panel, kind in ((small_panel(), int), (full_panel(), str)):
        for layout, sheet in (("long", "cells"), ("wide", "cin")):
            panel.to_excel(path, layout=layout)  # type: ignore[arg-type]
            book = openpyxl.load_workbook(path)
            head, *rows = book[sheet].iter_rows(values_only=True)
            found = [row[2] for row in rows] if layout == "long" else list(head[2:])
            assert {type(one) for one in found} == {kind}
            assert list(dict.fromkeys(map(str, found))) == list(panel.periods)
            book.close()


def test_a_wide_workbook_has_a_sheet_for_every_metric(tmp_path: Path) -> None:
    panel, path = small_panel(), tmp_path / "panel.xlsx"
    panel.to_excel(path, layout="wide")
    book = openpyxl.load_workbook(path)
    rest = ["metrics", "units", "sources", "log"]
    assert book.sheetnames == ["read me", "cin", "cla", *rest]
    assert [row[1] for row in book["read me"].iter_rows(values_only=True)][1:8] == [
        *("cin", "cla", *rest, "blank")
    ]
    for key in panel.metrics:
        assert book[key].freeze_panes == "C2"
        head, *rows = book[key].iter_rows(values_only=True)
        assert list(head) == ["unit", "name", *map(int, panel.periods)]
        assert [row[:2] for row in rows] == [(one, panel.name_of(one)) for one in panel.unit_ids]
        values = np.array([row[2:] for row in rows], dtype=float)
        np.testing.assert_array_equal(values, panel.wide(key).to_numpy())
    sheets = [row[:2] for row in book["metrics"].iter_rows(values_only=True)]
    assert sheets == [("metric", "sheet"), ("cin", "cin"), ("cla", "cla")]
    book.close()
    with pytest.raises(PanelError, match="layout='long' or layout='wide'"):
        panel.to_excel(path, layout="tall")  # type: ignore[arg-type]


def test_sheets_are_named_as_excel_allows() -> None:
    names = ["a/b", "a:b", "LOG", "history", "", "'q'", "x" * 40, "x" * 41, "Read Me", "ok"]
    made = workbook._sheet_names(names, ("read me", "log"))
    assert list(made) == names
    assert made["ok"] == "ok"
    folded = [one.casefold() for one in made.values()]
    assert len(set(folded)) == len(names)
    assert not {"log", "read me", "history"} & set(folded)
    assert all(0 < len(one) <= 31 and not set("[]:*?/\\") & set(one) for one in made.values())
    assert not any(one.startswith("'") or one.endswith("'") for one in made.values())


TEXTS = ["<r><t>x</t></r>", "a & b < c", " a ", "_x0041_", "a\r\nb\x01", "", "\uffff", "&amp;"]


def test_excel_texts_are_written_as_xlsxwriter_writes_them(tmp_path: Path) -> None:
    # Another program's escapes, in a workbook of its own; markup it would take for its own.
    panel = small_panel()
    units = panel.units
    path, other = tmp_path / "panel.xlsx", tmp_path / "other.xlsx"
    for text in TEXTS:
        units["note"] = [text, "b", "c"]
        panel.replaced(units=units).to_excel(path)
        with xlsxwriter.Workbook(other, {"constant_memory": True}) as book:
            book.add_worksheet().write_string(0, 0, text if "<r>" not in text else " ")
        found, wanted = (openpyxl.load_workbook(one) for one in (path, other))
        head = [cell.value for cell in found["units"][1]]
        cell = found["units"].cell(2, head.index("note") + 1).value
        assert (cell or "") == (text if "<r>" in text else wanted.active["A1"].value or "")
        found.close()
        wanted.close()
    units["<r>x</r>"] = "x"
    with pytest.raises(PanelError, match="plain text"):
        panel.replaced(units=units).to_excel(path)


def test_excel_rows_do_not_depend_on_how_many_are_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "a.xlsx", tmp_path / "b.xlsx"
    full_panel().to_excel(one)
    monkeypatch.setattr(workbook, "_AT_ONCE", 2)
    full_panel().to_excel(other)
    assert one.read_bytes() == other.read_bytes()
