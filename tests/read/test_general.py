"""The general reader, held against an independent reading of real tables and known numbers."""

from __future__ import annotations

import csv
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from didkit.errors import DidkitWarning, ReadError
from didkit.panel import METRICS, Metric, Panel, Status
from didkit.read import read_dfe, read_ees_csv

Write = Callable[..., Path]

HEAD = (
    "time_period,time_identifier,geographic_level,country_code,country_name,region_code,"
    "region_name,old_la_code,new_la_code,la_name"
)
LA = "Local authority,E92000001,England,E12000006,East of England"
NORFOLK = f"{LA},926,E10000020,Norfolk"
SUFFOLK = f"{LA},935,E10000029,Suffolk"
COUNT = Metric(name="n", kind="count", unit="pupils")
OLD = {":": "not available", "..": "not available", "~": "rounded"}


def table(
    rows: Iterable[str], extra: str = "sex,number", *, level: str = "geographic_level"
) -> str:
    return "\n".join([f"{HEAD},{extra}".replace("geographic_level", level), *rows]) + "\n"


def small(
    values: dict[tuple[str, str], str] | None = None,
    *,
    periods: Iterable[str] = ("201718", "201819"),
    identifier: str = "Academic year",
) -> str:
    """Two authorities, England and a region; `values` by place and period."""
    rows = []
    for period in periods:
        start = f"{period},{identifier}"
        rows.append(f"{start},National,E92000001,England,,,,,,Total,9000")
        rows.append(f"{start},Regional,E92000001,England,E12000006,East of England,,,,Total,700")
        for place, line in (("926", NORFOLK), ("935", SUFFOLK)):
            number = (values or {}).get((place, period), "61")
            rows.append(f"{start},{line},Total,{number}")
            rows.append(f"{start},{line},Female,30")
    return table(rows)


META = (
    "col_name,col_type,label,indicator_grouping,indicator_unit,indicator_dp,filter_hint,"
    "filter_grouping_column\nsex,Filter,Sex,,,,,\nnumber,Indicator,Pupils,,{unit},1,,\n"
)


def refused(path: Path, **options: Any) -> ReadError:
    """Read, and return the error; its message must have the four parts."""
    with pytest.raises(ReadError) as caught:
        read_ees_csv(path, **{"metrics": ["number"], "filters": {"sex": "Total"}, **options})
    error = caught.value
    assert all((error.needed, error.found, error.where, error.todo))
    return error


def read(path: Path, **options: Any) -> Panel:
    return read_ees_csv(path, **{"metrics": ["number"], "filters": {"sex": "Total"}, **options})


# -- known numbers -------------------------------------------------------------------------------


def test_the_published_sample(shared_data: Path) -> None:
    file = shared_data / "dfe" / "format_samples" / "ees_demo_datafile.csv"
    panel = read_ees_csv(
        file,
        metrics={"number_children": COUNT, "percent_children": "share"},
        filters={"sex": "Male", "school_phase": "Total"},
        level="National",
    )
    assert panel.unit_ids == ("E92000001",)
    assert panel.name_of("E92000001") == "England"
    assert panel.periods == ("2019-20", "2020-21")
    assert panel.wide("n").loc["E92000001"].tolist() == [444, 490]
    assert panel.wide("share").loc["E92000001"].tolist() == [46.444, 49]
    share = panel.metrics["share"]
    assert (share.kind, share.unit, share.decimals) == ("percent", "%", 3)  # the metadata say 1
    assert panel.wide("share", what="lower").loc["E92000001", "2019-20"] == 46.444 - 0.0005
    assert panel.wide("n", what="lower").loc["E92000001", "2019-20"] == 444
    log = dict(zip(panel.log["what"], panel.log["rows"], strict=True))
    assert log.pop("rows read") == 15 == sum(log.values())
    assert log["rows used: national"] == 2


FILES = (
    ("cin_2020/b1_children_in_need_2013_to_2020.csv", {}),
    ("cin_2020/c1_children_in_need_referrals_and_rereferrals_2013_to_2020.csv", {}),
    ("cin_2020/c2_children_in_need_assessments_duration_2014_to_2020.csv", {}),
    ("cin_2020/c4_children_in_need_section_47s_and_icpcs_2013_to_2020.csv", {}),
    ("cin_2020/d1_child_protection_plans_2013_to_2020.csv", {}),
    ("cin_2020/d3_cpps_subsequent_plan_2013_to_2020.csv", {}),
    ("cin_2020/ons_mid-year_population_estimates.csv", {}),
    ("cin_2022/b1_children_in_need_2013_to_2022.csv", {}),
    ("cin_2022/c1_children_in_need_referrals_and_rereferrals_2013_to_2022.csv", {}),
    ("cin_2022/c2_children_in_need_assessments_duration_2014_to_2022.csv", {}),
    ("cin_2022/c4_children_in_need_section_47s_and_icpcs_2013_to_2022.csv", {}),
    ("cin_2022/d1_child_protection_plans_2013_to_2022.csv", {}),
    ("cin_2022/ons_mid-year_population_estimates.csv", {}),
    ("cin_2025/b1_children_in_need_2013_to_2025.csv", {}),
    ("cin_2025/c1_children_in_need_referrals_and_rereferrals_2013_to_2025.csv", {}),
    ("cin_2025/d3_cpps_subsequent_plan_2013_to_2025.csv", {}),
    ("cin_2025/d5_cpps_at31march_by_duration_2013_to_2025.csv", {}),
    ("cin_2025/ons_mid-year_population_estimates_2012_to_2024.csv", {}),
    (
        "cla_2021/cla_number_and_rate_per_10k_children.csv",
        {"population_count": "Children starting to be looked after each year"},
    ),
    (
        "cla_2025/cla_number_and_rate_per_10k_children.csv",
        {"population_type": "Children ceasing to be looked after each year"},
    ),
)
MEANS = {
    "c": Status.SUPPRESSED,
    "z": Status.NOT_APPLICABLE,
    "x": Status.NOT_AVAILABLE,
    "u": Status.NOT_AVAILABLE,
    ":": Status.NOT_AVAILABLE,
    "..": Status.NOT_AVAILABLE,
    "~": Status.ROUNDED,
    "low": Status.ROUNDED,
    "k": Status.ROUNDED,
}


@pytest.mark.parametrize(("name", "filters"), FILES, ids=[name[:12] for name, _ in FILES])
@pytest.mark.parametrize("level", ["Local authority", "Regional"])
def test_every_published_table_is_read_cell_by_cell(
    shared_data: Path, name: str, filters: dict[str, str], level: str
) -> None:
    file = shared_data / "dfe" / name
    with file.open(encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.DictReader(handle))
    known = {*HEAD.split(","), "category", "Category", "age_group", *filters}
    metrics = [one for one in rows[0] if one not in known]
    step = 1 if level == "Local authority" else 10
    panel = read_ees_csv(
        file, metrics=metrics, filters=filters, level=level, symbols=OLD, rounded_to=step
    )
    mine = [
        row
        for row in rows
        if row["geographic_level"] == level
        and all(row[column] == value for column, value in filters.items())
    ]
    code = "old_la_code" if level == "Local authority" else "region_code"
    assert len(mine) > 40
    unit = {one: i for i, one in enumerate(panel.unit_ids)}
    for metric in metrics:
        cells, kind = panel.cells(metric), panel.metrics[metric].kind
        whole = kind in ("count", "value") and not any(
            "." in row[metric] and row[metric][0].isdigit() for row in rows
        )
        number = Status.ROUNDED if whole and step > 1 else Status.OBSERVED
        for row in mine:
            at = unit[row[code]], panel.periods.index(row["time_period"])
            status = MEANS.get(row[metric].strip(), number)
            assert cells.status[at] == status
            if status == number:
                assert cells.value[at] == float(row[metric])
        assert (cells.status != Status.ABSENT).sum() == len(mine)
    log = dict(zip(panel.log["what"], panel.log["rows"], strict=True))
    assert log.pop("rows read") == len(rows) == sum(log.values())
    assert log[f"rows used: {level.casefold()}"] == len(mine)


def test_it_agrees_with_the_reader_of_known_releases(shared_data: Path) -> None:
    file = shared_data / "dfe" / "cin_2020" / "b1_children_in_need_2013_to_2020.csv"
    columns = {"At31_episodes": "cin_count", "At31_episodes_rate": "cin"}
    one = read_ees_csv(file, metrics=columns, symbols=OLD)
    other = read_dfe(file)
    for metric in columns.values():
        assert one.metrics[metric] == METRICS[metric]
        for what in ("value", "status"):
            assert one.wide(metric, what=what).equals(other.wide(metric, what=what))
        lower = one.wide(metric, what="lower")
        assert (
            (lower <= other.wide(metric, what="lower") + 1e-9)
            .to_numpy()[lower.notna().to_numpy()]
            .all()
        )


# -- filters -------------------------------------------------------------------------------------


def test_every_filter_with_several_values_is_chosen(write: Write) -> None:
    file = write(small())
    error = refused(file, filters=None)
    assert error.found == "sex: 2 ('Total', 'Female')"
    assert error.todo == "say filters={'sex': 'Total'}"
    assert read(file).wide("number").loc["926", "2017-18"] == 61
    assert read(file, filters={"sex": "Female"}).wide("number").loc["926", "2017-18"] == 30


def test_a_filter_with_one_value_is_said_and_not_asked_for(write: Write) -> None:
    file = write(small())
    panel = read_ees_csv(file, metrics=["number"], level="Regional")
    assert panel.wide("number").loc["E12000006", "2018-19"] == 700
    assert panel.sources["number"][0].note == "sex = Total"


def test_what_was_not_read_is_counted(write: Write) -> None:
    panel = read(write(small()))
    assert list(zip(panel.log["what"], panel.log["rows"], strict=True)) == [
        ("rows read", 12),
        ("rows used: local authority", 4),
        ("rows not used: national", 2),
        ("rows not used: regional", 2),
        ("rows not used: sex = Female", 4),
    ]


@pytest.mark.parametrize(
    ("options", "found", "todo"),
    [
        ({"filters": {"sx": "Total"}}, "'sx'", "'sex'"),
        ({"filters": {"sex": "total"}}, "'total'", "'Total'"),
        ({"metrics": ["numbre"]}, "'numbre', which is not a column", "'number'"),
        ({"metrics": ["la_name"]}, "'la_name', which is a filter, a place or a time", "choose"),
        ({"metrics": []}, "none", "there are 1 (number)"),
        ({"metrics": None}, "none", "there are 1 (number)"),
        ({"metrics": COUNT}, "metrics=Metric(name='n'", "there are 1 (number)"),
        ({"metrics": [COUNT]}, "metrics=[Metric(name='n'", "there are 1 (number)"),
        (
            {"metrics": {"own": "number"}},
            "'own'",
            "left, the metric right: metrics={'number': 'own'}",
        ),
        ({"metrics": {COUNT: "number"}}, "'n', which", "metrics={'number': Metric(…)}"),
        (
            {"filters": {"sex": ["Total", "Female"]}},
            "sex: ['Total', 'Female']",
            "one value per filter",
        ),
        ({"filters": {"sex": ["Total", "Female"]}}, "sex:", "read twice"),
        ({"metrics": {"number": "a", "sex": "a"}}, "a, a", "a name of its own"),
        ({"level": "Ward"}, "level='Ward'; the file has: National, Regional, Local", "'Regional'"),
        ({"level": "Regionl"}, "level='Regionl'; the file has", "did you mean 'Regional'"),
        ({"level": "LA"}, "level='LA'; the file has", "did you mean 'Local authority'?"),
        ({"level": "England"}, "level='England'; the file has", "did you mean 'National'?"),
        ({"level": "School"}, "level='School'; the file has", "'Local authority'"),
        ({"level": "Regionl", "unit": "region_code"}, "'Regionl'", "'Regional'"),
        ({"unit": "la_cod"}, "columns", "'old_la_code'"),
        ({"rounded_to": 0}, "number: 0", "say 10"),
        ({"rounded_to": {"numbr": 10}}, "numbr", "columns are number"),
    ],
)
def test_unknown_names(write: Write, options: dict[str, Any], found: str, todo: str) -> None:
    error = refused(write(small()), **options)
    assert found in error.found
    assert todo in error.todo


def test_a_number_that_is_a_filter(write: Write) -> None:
    rows = [f"201718,Academic year,{NORFOLK},{age},{60 + age}" for age in (15, 16)]
    file = write(table(rows, "age,number"))
    error = refused(file, filters=None)
    assert error.found == (
        "2 rows for 1 (926 in 2017-18) that stand more than once; age differs: 2 ('15', '16')"
    )
    assert "filters=" in error.todo
    assert read(file, filters={"age": "16"}).wide("number").loc["926", "2017-18"] == 76


def test_rows_that_stand_twice(write: Write) -> None:
    rows = [f"201718,Academic year,{NORFOLK},Total,60"] * 2
    assert "put together twice" in refused(write(table(rows))).todo


def test_values_that_do_not_stand_together(write: Write) -> None:
    rows = [
        f"201718,Academic year,{NORFOLK},{sex},{phase},60"
        for sex, phase in (("Total", "All"), ("Female", "Primary"))
    ]
    file = write(table(rows, "sex,phase,number"))
    error = refused(file, filters={"sex": "Female", "phase": "All"})
    assert error.found == "none left at 'phase': 'All'"


# -- metadata ------------------------------------------------------------------------------------


def test_metadata_beside_the_table(write: Write) -> None:
    file = write(small({("926", "201718"): "61.25"}), "absence.csv")
    assert read(file).metrics["number"].kind == "value"
    write(META.format(unit="%"), "Absence.META.csv")
    metric = read(file).metrics["number"]
    assert (metric.label, metric.kind, metric.unit, metric.decimals) == (
        "Pupils",
        "percent",
        "%",
        2,
    )
    error = refused(file, metrics={"number": COUNT})
    assert "in %" in error.needed
    assert error.found == "'n', a count"


def test_a_label_of_the_metadata_names_its_column(write: Write) -> None:
    file = write(small(), "absence.csv")
    write(META.format(unit="%"), "absence.meta.csv")
    for label in ("Pupils", "pupils "):
        assert refused(file, metrics=[label]).todo == "that is its label; say the column: 'number'"
    assert "say the column" not in refused(file, metrics=["Sex"]).todo
    assert "there are 1 (number (Pupils))" in refused(file, metrics=None).todo


def test_the_first_calls_list_what_there_is(write: Write) -> None:
    rows = [
        f"201718,Academic year,{NORFOLK},{sex},9.5,{n}"
        for sex, n in (("Total", "60"), ("Girls", "c"))
    ]
    file = write(table(rows, "sex,rate,number"))
    with pytest.raises(ReadError, match=r"there are 2 \(rate, number\)"):
        read_ees_csv(file)
    with pytest.raises(ReadError, match=r"say filters=\{'sex': 'Total'\}"):
        read_ees_csv(file, metrics=["rate", "number"])
    panel = read_ees_csv(file, metrics=["rate", "number"], filters={"sex": "Total"})
    assert list(panel.metrics) == ["rate", "number"]


def test_metadata_given_or_in_a_zip(write: Write, tmp_path: Path) -> None:
    file = write(small(), "absence.csv")
    meta = write(META.format(unit="£"), "other.csv")
    metric = read(file, meta=meta).metrics["number"]
    assert (metric.kind, metric.unit) == ("value", "£")
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as packed:
        packed.write(file, "data/absence.csv")
        packed.writestr("data/absence.meta.csv", META.format(unit="%"))
    assert read(tmp_path / "both.zip").metrics["number"].kind == "percent"
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as packed:
        packed.write(file, "a.csv")
        packed.write(file, "b.csv")
    assert refused(tmp_path / "two.zip").found == "2 (a.csv, b.csv)"


def test_metadata_of_another_table(write: Write) -> None:
    file = write(small(), "absence.csv")
    meta = write(META.format(unit="").replace("number,", "numbers,"), "absence.meta.csv")
    assert "'numbers'" in refused(file).found
    meta.write_text(META.replace("Indicator", "Indicaator"), encoding="utf-8")
    assert refused(file).needed == "Filter or Indicator in col_type"
    meta.write_text("a,b\n1,2\n", encoding="utf-8")
    assert refused(file).needed == "a column 'col_name'"


def test_a_filter_in_the_metadata_may_look_like_a_number(write: Write) -> None:
    rows = [f"201718,Academic year,{NORFOLK},{age},{60 + age}" for age in (15, 16)]
    file = write(table(rows, "sex,number"), "absence.csv")
    write(META.format(unit=""), "absence.meta.csv")
    assert refused(file, filters=None).found == "sex: 2 ('15', '16')"


def test_a_grouping_of_a_filter_is_no_filter(write: Write) -> None:
    rows = [
        f"201718,Academic year,{NORFOLK},{group},{reason},60"
        for group, reason in (("All", "Total"), ("Illness", "Flu"), ("Other", "Late"))
    ]
    file = write(table(rows, "group,sex,number"), "absence.csv")
    write(META.format(unit="").replace("Sex,,,,,", "Sex,,,,,group"), "absence.meta.csv")
    assert refused(file, filters=None).found == "sex: 3 ('Total', 'Flu', 'Late')"
    assert read(file).wide("number").loc["926", "2017-18"] == 60


# -- numbers and symbols -------------------------------------------------------------------------


def cell(panel: Panel, metric: str = "number") -> tuple[float, str, float, float]:
    """The cell of Norfolk, 2017-18."""
    at = ("926", "2017-18")
    return tuple(
        panel.wide(metric, what=what).loc[at]  # type: ignore[return-value]
        for what in ("value", "status", "lower", "upper")
    )


NAN = float("nan")
PERCENT = Metric(name="n", kind="percent")
RATE = Metric(name="n", kind="rate")


@pytest.mark.parametrize(
    ("text", "metric", "expected"),
    [
        ("61", COUNT, (61, "observed", 61, 61)),
        ("0", COUNT, (0, "observed", 0, 0)),
        ("c", COUNT, (NAN, "suppressed", 0, NAN)),
        ("c", PERCENT, (NAN, "suppressed", 0, 100)),
        ("c", RATE, (NAN, "suppressed", 0, NAN)),
        ("c", None, (NAN, "suppressed", NAN, NAN)),
        ("z", COUNT, (NAN, "not applicable", NAN, NAN)),
        ("x", COUNT, (NAN, "not available", NAN, NAN)),
        ("u", RATE, (NAN, "not available", NAN, NAN)),
        ("low", PERCENT, (0, "rounded", 0, 0.5)),
        ("k", RATE, (0, "rounded", 0, 0.5)),
        ("99.75", PERCENT, (99.75, "observed", 99.745, 99.755)),
        ("100.00", PERCENT, (100, "observed", 99.995, 100)),
        ("0.25", RATE, (0.25, "observed", 0.245, 0.255)),
        ("0.00", RATE, (0, "observed", 0, 0.005)),
        ("-3.5", None, (-3.5, "observed", -3.55, -3.45)),
        ("0.0", None, (0, "observed", -0.05, 0.05)),
        ("61", None, (61, "observed", 60.5, 61.5)),
    ],
)
def test_cells(
    write: Write, text: str, metric: Metric | None, expected: tuple[object, ...]
) -> None:
    file = write(small({("926", "201718"): text}))
    metrics: Any = ["number"] if metric is None else {"number": metric}
    found = cell(read(file, metrics=metrics), "number" if metric is None else "n")
    assert found[1] == expected[1]
    np.testing.assert_allclose(
        [found[0], *found[2:]], [expected[0], *expected[2:]], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("metric", [COUNT, PERCENT, RATE])
def test_negative_numbers(write: Write, metric: Metric) -> None:
    error = refused(write(small({("926", "201718"): "-100"})), metrics={"number": metric})
    assert error.found == "negative: 1 (-100 for 926 (Norfolk) in 2017-18)"


@pytest.mark.parametrize("text", [":", "..", "~", "-", "", "C", "n/a", "1e3", "1,234", "٣", "nan"])
def test_other_text_is_refused(write: Write, text: str) -> None:
    number = f'"{text}"'
    error = refused(write(small({("926", "201718"): number})), metrics={"number": COUNT})
    assert "926 (Norfolk) in 2017-18" in error.found


def test_symbols_can_be_explained(write: Write) -> None:
    file = write(small({("926", "201718"): ":", ("935", "201718"): "~", ("926", "201819"): "x"}))
    panel = read(file, symbols={":": "not available", "~": Status.ROUNDED, "x": "suppressed"})
    status = panel.wide("number", what="status")
    assert status.loc["926"].tolist() == ["not available", "suppressed"]
    assert status.loc["935", "2017-18"] == "rounded"
    for what in ("low reliability", "observed", "absent", "nonsense", 5):
        assert refused(file, symbols={":": what}).where == "symbols="


def test_a_count_that_was_rounded(write: Write) -> None:
    file = write(small({("926", "201718"): "low"}))
    error = refused(file, metrics={"number": COUNT})
    assert error.found == "numbers that were rounded: 1 ('low' for 926 (Norfolk) in 2017-18)"
    periods = [str(year) for year in range(2010, 2017)]
    tens = {("926", one): str(10 * int(one)) for one in periods}
    tens |= {("935", one): "500" for one in periods}
    file = write(small(tens, periods=periods, identifier="Calendar year"))
    with pytest.warns(DidkitWarning, match="all multiples of 10"):
        read(file, metrics={"number": COUNT})
    panel = read(file, metrics={"number": COUNT}, rounded_to=10)
    assert panel.wide("n", what="lower").loc["926", "2012"] == 20115
    assert panel.wide("n", what="status").loc["926", "2012"] == "rounded"


def test_digits_beyond_the_metric_s_are_refused(write: Write) -> None:
    file = write(small({("926", "201718"): "61.25"}))
    metric = Metric(name="n", kind="rate", decimals=1)
    assert "at most 1 digit" in refused(file, metrics={"number": metric}).needed


# -- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "name"), [("942 / 943", "Cumbria"), ("", "Nowhere"), ("z", "Unknown"), ("92", "Short")]
)
def test_units_without_a_code_are_refused_by_name(write: Write, code: str, name: str) -> None:
    odd = f"{LA},{code},E10000006,{name}"
    rows = [f"201718,Academic year,{one},Total,60" for one in (NORFOLK, odd)]
    file = write(table(rows))
    error = refused(file)
    assert name in error.found
    assert f"without={[name]!r}" in error.todo
    panel = read(file, without=[name])
    assert panel.unit_ids == ("926",)
    assert (f"rows not used: {name}, left out by name", 1) in list(
        zip(panel.log["what"], panel.log["rows"], strict=True)
    )
    assert "'Norfolk'" in refused(file, without=[name, "Norfolc"]).todo
    other = read(file, unit="new_la_code")
    assert other.unit_ids == ("E10000006", "E10000020")
    assert other.identity == "any"


def test_a_file_without_authorities_says_what_it_has(write: Write) -> None:
    lines = small().splitlines()
    file = write("\n".join(line for line in lines if "Local authority" not in line))
    error = refused(file)
    assert error.found == "no local-authority rows: this file has National, Regional"
    assert error.todo == "say level='Regional' or level='National'"
    assert read(file, level="regional").unit_ids == ("E12000006",)
    file = write("\n".join([lines[0], *(one.replace("Regional", "School") for one in lines[2:3])]))
    assert refused(file).todo == "say level='School' with unit='…'"
    assert refused(file, level="School").todo == "say unit='…', for example unit='lad_code'"


def test_names_and_regions_are_the_latest(write: Write) -> None:
    rows = [
        f"201819,Academic year,{NORFOLK.replace('Norfolk', 'New Norfolk')},Total,60",
        f"201718,Academic year,{NORFOLK.replace('East of', 'West of')},Total,61",
    ]
    units = read(write(table(rows))).units
    assert units.loc["926"].tolist() == ["New Norfolk", "East of England"]


def test_other_levels(write: Write) -> None:
    rows = [
        f"201718,Academic year,Local authority district,E92000001,England,,,,,,E0700014{i},D{i},{i}"
        for i in range(3)
    ]
    file = write(table(rows, "lad_code,lad_name,number"))
    panel = read(file, level="Local authority district", unit="lad_code", filters=None)
    assert panel.unit_ids == ("E07000140", "E07000141", "E07000142")
    assert panel.name_of("E07000141") == "D1"


def test_the_other_name_of_the_level_column(write: Write) -> None:
    text = small().replace("geographic_level", "geographical_level")
    assert len(read(write(text)).unit_ids) == 2
    for name in ("level", "geo_level", "Geography type"):
        error = refused(write(text.replace("geographical_level", name)))
        assert error.needed == "a column 'geographic_level'"
        assert error.todo == f"rename {name!r} to geographic_level"
    words = ("National", "Regional", "Local authority")
    for word in words:
        text = text.replace(word, "all")
    error = refused(write(text.replace("geographical_", "geographicl_")))
    assert error.todo == "did you mean 'geographicl_level'?"


# -- periods -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "periods", "kind", "labels"),
    [
        ("Calendar year", ("2017", "2018"), "year", ("2017", "2018")),
        ("Reporting year", ("2017", "2018"), "reporting year", ("2017", "2018")),
        ("Reporting Year", ("201617", "201718"), "reporting year", ("2017", "2018")),
        ("Financial year", ("201617", "201718"), "reporting year", ("2017", "2018")),
        ("Academic year", ("201617", "201718"), "split year", ("2016-17", "2017-18")),
        ("Tax year", ("199900", "200001"), "split year", ("1999-00", "2000-01")),
        (
            "Autumn term",
            ("201617", "201718"),
            "declared",
            ("2016-17 Autumn term", "2017-18 Autumn term"),
        ),
        ("Week 12", ("2012", "2013"), "declared", ("2012 Week 12", "2013 Week 12")),
        ("January", ("2012", "2013"), "declared", ("2012 January", "2013 January")),
    ],
)
def test_kinds_of_periods(
    write: Write, identifier: str, periods: tuple[str, ...], kind: str, labels: tuple[str, ...]
) -> None:
    panel = read(write(small(periods=reversed(periods), identifier=identifier)))
    assert panel.calendar.kind == kind
    assert panel.periods == labels


def test_a_span_of_periods(write: Write) -> None:
    periods = ("201516", "201617", "201718", "202021")
    file = write(small(periods=periods))
    assert refused(file).found == "a gap: 2017-18 → 2020-21"
    panel = read(file, periods=("2016-17", "201718"))
    assert panel.periods == ("2016-17", "2017-18")
    log = Counter(dict(zip(panel.log["what"], panel.log["rows"], strict=True)))
    assert log["rows not used: outside periods="] == 4
    assert 2 * log["rows read"] == log.total()
    assert "choose two" in refused(file, periods=("2016-17", "2019-20")).todo
    assert "choose two" in refused(file, periods=("2016", "201718")).todo
    assert refused(file, periods=("2017-18", "2016-17")).todo == "swap them"
    assert refused(file, periods="2016-17").needed == "periods=(first, last)"


def test_a_gap_may_stand_in_the_calendar(write: Write) -> None:
    file = write(small(periods=("201516", "201617", "201920")))
    panel = read(file, gaps="not available")
    assert panel.periods == ("2015-16", "2016-17", "2017-18", "2018-19", "2019-20")
    cells = panel.cells("number")
    lacks = np.array([False, False, True, True, False])
    assert ((cells.status == Status.ABSENT) == lacks).all()
    for array in (cells.value, cells.lower, cells.upper):
        assert (np.isnan(array) == lacks).all()
    log = dict(zip(panel.log["what"], panel.log["rows"], strict=True))
    for year in ("2017-18", "2018-19"):
        assert log[f"no source for period {year}: its cells are absent"] == 0
    assert log.pop("rows read") == sum(log.values())
    short = read(file, gaps="not available", periods=("2015-16", "2016-17"))
    assert short.periods == ("2015-16", "2016-17")
    assert not short.log["what"].str.contains("no source").any()


def test_years_with_a_stroke_are_read(write: Write) -> None:
    one = read(write(small()))
    other = read(write(small(periods=("2017/18", "2018/19"))))
    assert one.wide("number").equals(other.wide("number"))


# -- theorems ------------------------------------------------------------------------------------


def test_the_order_of_rows_and_columns_says_nothing(write: Write) -> None:
    values = {("926", "201718"): "c", ("935", "201819"): "12"}
    lines = small(values).splitlines()
    one = read(write("\n".join(lines)))
    two = read(write("\n".join([lines[0], *reversed(lines[1:])]), "other.csv"), release="file")
    turned = [",".join(reversed(line.split(","))) for line in lines]
    three = read(write("\n".join(turned), "third.csv"), release="file")
    for other in (two, three):
        for what in ("value", "status", "lower", "upper"):
            assert one.wide("number", what=what).equals(other.wide("number", what=what))


@settings(max_examples=25)
@given(
    number=st.decimals(0, 99, places=2),
    digits=st.integers(0, 2),
)
def test_bounds_hold_the_number_before_it_was_rounded(number: Any, digits: int) -> None:
    import tempfile

    shown = f"{number:.{digits}f}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "t.csv"
        file.write_text(small({("926", "201718"): shown}), encoding="utf-8")
        for metric in (PERCENT, RATE, Metric(name="n")):
            found = cell(read(file, metrics={"number": metric}), "n")
            assert found[2] - 1e-9 <= float(number) <= found[3] + 1e-9
            assert found[3] - found[2] <= 10.0**-digits + 1e-9
