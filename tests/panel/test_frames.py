"""The same panel from every library's frame, and the same table in every library."""

from __future__ import annotations

import datetime as dt
import gc
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from same_panel import assert_same_cells, assert_same_panel

from didkit.errors import PanelError
from didkit.panel import Panel, frames
from didkit.panel.frames import to_backend, to_pandas

NAN = float("nan")
OPTIONS: dict[str, Any] = {
    "unit": "la",
    "period": "year",
    "metrics": {"rate": "cla", "count": "cla_count"},
    "status": {"cla": "why"},
    "lower": {"cla": "lo"},
    "upper": {"cla": "hi"},
    "name": "called",
    "attributes": ["region"],
}


def columns(*, text_codes: bool = False, bare: bool = False) -> dict[str, list[Any]]:
    """Give the columns of a panel; `bare` with plain floats and text, as pandas has them."""
    rate = [61.5, 62.25, None, 79.0, NAN, 0.1]
    return {
        "la": [303, 303, 926, 926, 801, 801],
        "year": [2018, 2019] * 3,
        "rate": [None if one is None else (one if bare else Decimal(str(one))) for one in rate[:4]]
        + ([None, 0.1] if bare else [None, Decimal("0.1")]),
        "count": [NAN, 50, None, 70.0, 3.5e15, 12],
        "why": ["observed", "rounded", "suppressed", "observed", "not available", "observed"],
        "lo": [None, 60, 1, None, None, None],
        "hi": [None, 64, 5, None, None, None],
        "called": ["Bexley", "Bexley", "Norfolk", "Norfolk", "Bristol", "Bristol"],
        "region": ["London", "London", "East", "East", "=South", "=South"],
        "nested": [[1]] * 6,
        "unused": [1] * 6,
    } | ({"la": ["303", "303", "926", "926", "801", "801"]} if text_codes else {})


def as_polars(data: dict[str, list[Any]]) -> pl.DataFrame:
    return pl.DataFrame(data, strict=False).with_columns(
        pl.col("why").cast(pl.Categorical),
        pl.col("called").cast(pl.Enum(["Bristol", "Bexley", "Norfolk"])),
        pl.col("year").cast(pl.Int16),
    )


def as_arrow(data: dict[str, list[Any]]) -> pa.Table:
    table = pa.table(data)
    at = table.column_names.index("why")
    return table.set_column(at, "why", table.column("why").dictionary_encode())


def as_duckdb(data: dict[str, list[Any]]) -> Any:
    source = duckdb.connect().from_arrow(pa.table(data))
    kinds = "', '".join(sorted(set(data["why"])))
    return source.project("* replace (why::ENUM('" + kinds + "') as why, year::SMALLINT as year)")


BACKENDS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "polars": as_polars,
    "polars lazy": lambda data: as_polars(data).lazy(),
    "pyarrow": as_arrow,
    "pyarrow in chunks": lambda data: pa.concat_tables(
        [as_arrow(data).slice(i, 2) for i in (0, 2, 4)]
    ),
    "stream": lambda data: as_arrow(data).to_reader(max_chunksize=2),
    "duckdb": as_duckdb,
    "narwhals": lambda data: nw.from_native(as_polars(data)),
}


@pytest.mark.parametrize("text_codes", [False, True], ids=["int codes", "text codes"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_panel_from_every_library(backend: str, text_codes: bool) -> None:
    plain = pd.DataFrame(columns(text_codes=text_codes, bare=True))
    wanted = Panel.from_frame(plain, **OPTIONS)
    made = Panel.from_frame(BACKENDS[backend](columns(text_codes=text_codes)), **OPTIONS)
    assert_same_panel(made, wanted)
    assert wanted.wide("cla").loc["801", "2019"] == 0.1
    assert wanted.wide("cla", what="upper").loc["926", "2018"] == 5


@pytest.mark.parametrize("backend", ["polars", "pyarrow", "duckdb"])
def test_a_long_frame_too(backend: str) -> None:
    plain = Panel.from_frame(pd.DataFrame(columns(bare=True)), **OPTIONS)
    named = {one: one for one in ("unit", "period", "value", "status", "lower", "upper", "name")}
    made = Panel.from_frame(
        plain.tidy(backend=backend),
        layout="long",
        metrics="metric",
        attributes=["region"],
        **named,
    )
    assert_same_cells(made, plain)
    pd.testing.assert_frame_equal(made.units, plain.units)


def test_a_pandas_frame_is_the_same_object() -> None:
    frame = pd.DataFrame({"la": [303]})
    assert to_pandas(frame, columns=["other"]) is frame
    assert to_pandas(nw.from_native(frame)) is frame


@pytest.mark.parametrize(
    "thing", [{"la": [1]}, [1, 2], None, "a.csv", 3, np.ones((2, 2)), pl.Series([1]), pa.array([1])]
)
def test_what_is_no_frame_is_refused(thing: object) -> None:
    with pytest.raises(PanelError) as caught:
        Panel.from_frame(thing, unit="la", period="year", metrics=["m"])
    assert "a polars DataFrame or LazyFrame" in caught.value.needed
    assert caught.value.found == type(thing).__name__


def test_only_the_columns_named_are_read() -> None:
    # A division by zero in text: the query fails if the column is ever computed.
    con = duckdb.connect()
    con.execute("create table t as select 303 as la, 2018 as year, 1.5 as cin, 'x' as s")
    relation = con.sql("select *, error('read') as spoiled from t")
    with pytest.raises(duckdb.Error):
        relation.fetchall()
    made = Panel.from_frame(relation, unit="la", period="year", metrics=["cin"])
    assert made.wide("cin").loc["303", "2018"] == 1.5
    read = []
    lazy = pl.LazyFrame({"la": [303], "year": [2018], "cin": [1.5], "s": ["x"]}).with_columns(
        pl.col("s").map_batches(lambda one: read.append(1) or one, return_dtype=pl.String)
    )
    Panel.from_frame(lazy, unit="la", period="year", metrics=["cin"])
    assert read == []


def test_every_argument_names_columns() -> None:
    frame = pl.DataFrame({name: [1] for name in "abcdefghijk"})
    taken = to_pandas(
        frame, columns=("a", ["b", "c"], {"d": "k"}, None), by_metric=({"x": "e"}, "f", None)
    )
    assert list(taken.columns) == list("abcdef")
    assert list(to_pandas(frame).columns) == list("abcdefghijk")
    once = to_pandas(frame, columns=("a", iter("bc")))  # cannot be read twice: all columns
    assert list(once.columns) == list("abcdefghijk")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_missing_column_is_named_among_those_there_are(backend: str) -> None:
    with pytest.raises(PanelError) as caught:
        Panel.from_frame(BACKENDS[backend](columns()), unit="la", period="year", metrics=["gone"])
    with pytest.raises(PanelError) as plain:
        Panel.from_frame(
            pd.DataFrame(columns(bare=True)), unit="la", period="year", metrics=["gone"]
        )
    assert str(caught.value) == str(plain.value)
    assert "nested" not in caught.value.needed
    assert "la, year, rate" in caught.value.found


def test_two_columns_of_one_name_are_refused() -> None:
    table = pa.table([pa.array([303]), pa.array([2018]), pa.array([1])], names=["la", "y", "y"])
    for frame in (table, table.to_reader()):
        with pytest.raises(PanelError, match="a name each"):
            Panel.from_frame(frame, unit="la", period="y", metrics=["y"])


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("m", [[1.0]]),
        pl.Series("m", [{"a": 1}]),
        pl.Series("m", [b"1"]),
        pl.Series("m", [dt.time(1)]),
        pl.Series("m", [dt.timedelta(1)]),
        pl.Series("m", [object()]),
    ],
    ids=["list", "struct", "binary", "time", "duration", "object"],
)
def test_types_that_are_no_numbers_are_refused(column: pl.Series) -> None:
    frame = pl.DataFrame({"la": [303], "year": [2018]}).with_columns(column)
    with pytest.raises(PanelError, match=r"columns of numbers, text or categories"):
        Panel.from_frame(frame, unit="la", period="year", metrics=["m"])


def test_a_type_that_narwhals_does_not_know_is_refused() -> None:
    relation = duckdb.sql("select 303 as la, 2018 as year, uuid() as m")
    with pytest.raises(PanelError, match=r"m: UUID"):
        Panel.from_frame(relation, unit="la", period="year", metrics=["m"])


@pytest.mark.parametrize(
    "when",
    [dt.date(2018, 3, 31), dt.datetime(2018, 3, 31), dt.datetime(2018, 3, 31, tzinfo=dt.UTC)],
)
@pytest.mark.parametrize("backend", ["polars", "pyarrow", "duckdb"])
def test_dates_are_refused_by_the_panel_itself(backend: str, when: dt.date) -> None:
    frame: Any = {"la": [303], "year": [when], "m": [1.0]}
    frame = pl.DataFrame(frame) if backend == "polars" else pa.table(frame)
    if backend == "duckdb":
        frame = duckdb.from_arrow(frame)
    with pytest.raises(PanelError) as caught:
        Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    assert caught.value.found == "dates"


@pytest.mark.parametrize("backend", ["polars", "pyarrow", "duckdb"])
def test_text_in_a_number_column_is_refused_as_ever(backend: str) -> None:
    table = to_backend(
        pd.DataFrame({"la": ["303", "926"], "year": ["2018"] * 2, "m": ["1", "c"]}), backend
    )
    with pytest.raises(PanelError, match="suppression symbols c"):
        Panel.from_frame(table, unit="la", period="year", metrics=["m"])


def test_large_whole_numbers_keep_every_digit() -> None:
    # Beyond 2**53 floats would make these ids one: sums are 128 bits wide, keys decimals.
    ids = [2**53, 2**53 + 1]
    rows = ", ".join(f"({one}, 2018, 1.0)" for one in ids)
    frame = duckdb.sql(
        f"select la::hugeint as la, year, m from (values {rows}) t(la, year, m)"  # noqa: S608
    )
    tables = [
        frame,
        duckdb.sql(f"select la::decimal(20, 0) as la, year, m from (values {rows}) t(la, year, m)"),  # noqa: S608
        pl.DataFrame({"la": pl.Series(ids, dtype=pl.Int128), "year": [2018] * 2, "m": [1.0] * 2}),
        pl.DataFrame(
            {"la": pl.Series(ids, dtype=pl.Decimal(20, 0)), "year": [2018] * 2, "m": [1.0] * 2}
        ).lazy(),
    ]
    for table in tables:
        made = Panel.from_frame(table, unit="la", period="year", metrics=["m"], identity="any")
        assert made.unit_ids == tuple(map(str, ids))


def test_whole_numbers_with_nulls() -> None:
    frame = pl.DataFrame(
        {
            "small": pl.Series([1, None, -3], dtype=pl.Int8),
            "large": pl.Series([2**53 + 1, None, 1], dtype=pl.Int64),
            "decimal": pl.Series([Decimal(2), None, Decimal(3)]),
            "none": pl.Series([None] * 3, dtype=pl.Null),
            "truth": pl.Series([True, None, False]),
        }
    )
    made = to_pandas(frame)
    np.testing.assert_array_equal(made["small"], [1.0, NAN, -3.0])
    assert made["large"].tolist() == [2**53 + 1, None, 1]
    np.testing.assert_array_equal(made["decimal"], [2.0, NAN, 3.0])
    assert made["none"].isna().all()
    assert made["truth"].tolist() == [True, None, False]
    with pytest.raises(PanelError, match="text in"):
        Panel.from_frame(
            frame.with_columns(la=pl.Series([301, 302, 303]), y=2018),
            unit="la",
            period="y",
            metrics=["truth"],
        )


@pytest.mark.parametrize("backend", ["polars", "polars lazy", "pyarrow", "stream", "duckdb"])
def test_too_many_rows_are_refused(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_MOST_ROWS", 6)
    Panel.from_frame(BACKENDS[backend](columns()), **OPTIONS)
    monkeypatch.setattr(frames, "_MOST_ROWS", 5)
    with pytest.raises(PanelError, match="at most 5 rows"):
        Panel.from_frame(BACKENDS[backend](columns()), **OPTIONS)


def test_a_frame_without_rows_is_refused_as_ever() -> None:
    empty = pl.DataFrame({"la": [], "year": [], "m": []})
    with pytest.raises(PanelError, match="at least one row"):
        Panel.from_frame(empty, unit="la", period="year", metrics=["m"])


# -- out -----------------------------------------------------------------------------------------


@pytest.fixture
def panel() -> Panel:
    return Panel.from_frame(pd.DataFrame(columns(bare=True)), **OPTIONS)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {key: None if pd.isna(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]


def test_tidy_in_other_libraries(panel: Panel) -> None:
    wanted = rows_of(panel.tidy())
    polars, arrow, relation = (
        panel.tidy(backend="polars"),
        panel.tidy(backend="pyarrow"),
        panel.tidy(backend="duckdb"),
    )
    assert isinstance(polars, pl.DataFrame)
    assert isinstance(arrow, pa.Table)
    assert isinstance(relation, duckdb.DuckDBPyRelation)
    assert polars.to_dicts() == wanted
    assert arrow.to_pylist() == wanted
    gc.collect()  # its connection lives as long as the relation
    rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    assert rows == wanted
    assert polars.schema["value"] == pl.Float64
    assert relation.filter("value is null").aggregate("count(*)").fetchall() == [(4,)]


def test_other_types_of_attributes_keep_their_kind() -> None:
    frame = pd.DataFrame(
        {
            "t": ["a", None],
            "n": [1.5, NAN],
            "i": [1, 2],
            "b": [True, False],
            "o": [1, None],
            "I": pd.array([1, None], dtype="Int64"),
            "u": np.array([2**64 - 1, 0], dtype=np.uint64),
        }
    )
    made = to_backend(frame, "polars")
    assert made.dtypes == [
        *(pl.String, pl.Float64, pl.Int64, pl.Boolean, pl.Float64, pl.Int64, pl.Float64)
    ]
    assert made["I"].to_list() == [1, None]
    assert made["t"].to_list() == ["a", None]
    assert to_backend(frame, "pyarrow").to_pylist() == made.to_dicts()


def test_a_relation_on_a_given_connection(panel: Panel) -> None:
    con = duckdb.connect()
    con.execute("create table spend as select '303' as unit, 10 as spend")
    relation = panel.tidy(backend="duckdb", connection=con)
    joined = con.sql("select distinct unit, spend from relation join spend using (unit)")
    assert relation.columns[0] == "unit"
    assert joined.fetchall() == [("303", 10)]
    with pytest.raises(PanelError, match="backend='duckdb' only"):
        panel.tidy(backend="polars", connection=con)


def test_an_unknown_library_is_refused(panel: Panel) -> None:
    with pytest.raises(PanelError, match="'spark'"):
        panel.tidy(backend="spark")  # type: ignore[arg-type]


def test_other_libraries_take_the_panel_itself(panel: Panel) -> None:
    wanted = panel.tidy(backend="pyarrow")
    assert pa.table(panel).equals(wanted)
    assert pl.DataFrame(panel).to_arrow().to_pylist() == wanted.to_pylist()
    counted = duckdb.sql("select count(*), count(value), min(unit) from panel")
    assert counted.fetchall() == [(12, 8, "303")]
    long = Panel.from_frame(
        panel, unit="unit", period="period", metrics="metric", value="value", layout="long"
    )
    np.testing.assert_array_equal(long.wide("cla"), panel.wide("cla"))


@pytest.mark.parametrize(
    ("backend", "package", "extra"),
    [
        ("polars", "polars", "frames"),
        ("duckdb", "duckdb", "frames"),
        ("pyarrow", "pyarrow", "parquet"),
        ("duckdb", "pyarrow", "parquet"),
    ],
)
def test_a_library_that_is_not_installed_names_its_extra(
    panel: Panel, backend: Any, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PanelError) as caught:
        panel.tidy(backend=backend)
    assert caught.value.needed == f"the package {package}"
    assert f"the extra '{extra}' of didkit-evaluation" in caught.value.todo


def without_pyarrow(code: str) -> str:
    head = "import sys; sys.modules['pyarrow'] = None\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_polars_and_duckdb_without_pyarrow() -> None:
    code = """
import polars as pl, duckdb
from decimal import Decimal
from didkit.panel import Panel
data = {"la": ["303", "303"], "year": [2018, 2019], "m": [Decimal("1.5"), None]}
a = pl.DataFrame(data).with_columns(pl.col("la").cast(pl.Categorical))
b = duckdb.sql("select 303 la, 2018 as year, 1.5::decimal(5,2) m union all select 303, 2019, null")
for frame in (a, a.lazy(), b):
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    print(panel.tidy(backend="polars")["value"].to_list())
"""
    assert without_pyarrow(code).splitlines() == ["[1.5, None]"] * 3


def test_importing_the_panel_room_imports_none_of_them() -> None:
    code = """
import sys, didkit
names = ("pyarrow", "polars", "duckdb", "openpyxl", "xlsxwriter", "narwhals", "requests")
print([name for name in names if sys.modules.get(name)])
"""
    assert without_pyarrow(code) == "[]"
