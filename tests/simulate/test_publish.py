"""The packaged files: the published formats, the same bytes, and accounts that close."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import didkit.simulate
from didkit.read import read_dfe, read_neighbours
from didkit.simulate import EvaluationProcess, draw, write_published

PACKAGED = Path(didkit.simulate.__file__).parent / "packaged"
REAL = {
    "b1": "cin_2020/b1_children_in_need_2013_to_2020.csv",
    "c1": "cin_2020/c1_children_in_need_referrals_and_rereferrals_2013_to_2020.csv",
    "c2": "cin_2020/c2_children_in_need_assessments_duration_2014_to_2020.csv",
    "c4": "cin_2020/c4_children_in_need_section_47s_and_icpcs_2013_to_2020.csv",
    "d1": "cin_2020/d1_child_protection_plans_2013_to_2020.csv",
    "ons": "cin_2020/ons_mid-year_population_estimates.csv",
    "cla": "cla_2021/cla_number_and_rate_per_10k_children.csv",
}


@pytest.fixture(scope="module")
def evaluation():
    return draw(EvaluationProcess(), seed=1)


@pytest.fixture(scope="module")
def folder(evaluation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    write_published(evaluation, folder)
    return folder


def table(folder, start):
    (path,) = folder.rglob(f"{start}*.csv")
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")


def authorities(frame):
    return frame[frame["geographic_level"] == "Local authority"].set_index(
        ["old_la_code", "time_period"]
    )


def number(column):
    return pd.to_numeric(column.replace({"c": "", ":": "", "..": "", "z": ""}))


def test_seed_1_gives_the_packaged_bytes(folder):
    """Written once as write_published(draw(EvaluationProcess(), seed=1), packaged)."""
    names = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    packaged = {path.relative_to(PACKAGED) for path in PACKAGED.rglob("*") if path.is_file()}
    assert names == packaged
    for name in sorted(names):
        kept = (PACKAGED / name).read_bytes()
        if name.suffix == ".txt":  # a checkout may have changed its line ends
            kept = kept.replace(b"\r\n", b"\n")
        assert (folder / name).read_bytes() == kept, name


def test_files_are_small_and_have_unix_line_ends(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1.5 * 2**20
    assert all(b"\r" not in path.read_bytes() for path in files)


@pytest.mark.parametrize("start", REAL)
def test_the_format_is_the_published_one(folder, shared_data, start):
    """Columns, byte order mark, levels, fixed texts and the order of rows."""
    (ours,) = folder.rglob(f"{start}*.csv")
    theirs = shared_data / "dfe" / REAL[start]
    assert ours.name == theirs.name
    ours, theirs = ours.read_bytes(), theirs.read_bytes()
    assert ours.split(b"\n")[0] == theirs.split(b"\n")[0]  # with or without a byte order mark
    ours, theirs = (
        pd.read_csv(io.BytesIO(one), dtype=str, keep_default_na=False, encoding="utf-8-sig")
        for one in (ours, theirs)
    )
    for column in ("time_identifier", "geographic_level", "country_code", "country_name"):
        assert ours[column].unique().tolist() == theirs[column].unique().tolist()
    fixed = ours.columns[10]
    assert set(ours[fixed]) <= set(theirs[fixed])
    for frame in (ours, theirs):
        assert frame["time_period"].is_monotonic_decreasing
    newest = ours[ours["time_period"] == ours["time_period"].iloc[0]]
    levels = newest["geographic_level"].tolist()
    assert levels[:11] == ["National", *(["Regional"] * 9), "Local authority"]
    shapes = {"region_code": r"E12\d{6}", "old_la_code": r"\d{3}", "new_la_code": r"E\d{8}"}
    for column, shape in shapes.items():
        for frame in (ours, theirs):
            shown = frame.loc[frame["geographic_level"] == "Local authority", column]
            shape_ = shape.replace("E12", "E1[23]")
            assert shown.str.fullmatch(shape_).all()
    if start not in ("cla", "ons"):
        symbols, known = (
            {cell for cell in frame.iloc[:, 11:].to_numpy().ravel() if not cell[-1:].isdigit()}
            for frame in (ours, theirs)
        )
        assert symbols <= known | {":", "z"}


def test_all_three_symbols_of_missing_in_one_table(folder):
    cells = set(authorities(table(folder, "c1")).iloc[:, 9:].to_numpy().ravel())
    assert {"c", ":", ".."} <= cells


def test_rows_are_the_authorities_of_the_year(folder):
    rows = table(folder, "b1")
    counted = rows[rows["geographic_level"] == "Local authority"].groupby("time_period").size()
    assert counted.tolist() == [152] * 7 + [151]
    cla = table(folder, "cla_")
    assert len(cla[cla["geographic_level"] == "Local authority"]) == 153 * 8
    gone = cla[cla["number"] == "z"]
    assert len(gone) == 7 + 2
    assert (gone[["population_estimate", "rate_per_10000"]] == "z").all().all()


@pytest.mark.parametrize(
    ("start", "metric", "count", "rate"),
    [
        ("b1", "cin", "At31_episodes", "At31_episodes_rate"),
        ("c4", "icpc", "ICPC", "ICPC_rate"),
        ("d1", "cpp", "CPP_At31", "CPP_At31_rate"),
        ("cla_", "cla", "number", "rate_per_10000"),
    ],
)
def test_cells_are_those_of_the_evaluation(evaluation, folder, start, metric, count, rate):
    rows = authorities(table(folder, start))
    for i, unit in enumerate(evaluation.units):
        for j, year in enumerate(evaluation.periods):
            if not np.isfinite(evaluation.population[i, j]):
                continue
            cell = rows.loc[(unit, str(year))]
            if np.isnan(evaluation.counts[metric][i, j]):
                assert cell[count] == cell[rate] == ":"
            elif evaluation.suppressed[metric][i, j]:
                assert cell[count] == cell[rate] == "c"
            else:
                assert float(cell[count]) == evaluation.counts[metric][i, j]
                assert float(cell[rate]) == evaluation.published_rates[metric][i, j]


def test_the_population_is_labelled_by_its_middle_of_the_year(evaluation, folder):
    rows = authorities(table(folder, "ons"))
    assert float(rows.loc[("501", "2012"), "population_estimate"]) == evaluation.population[0, 0]
    assert float(rows.loc[("501", "2019"), "population_estimate"]) == evaluation.population[0, 7]


def test_totals_are_rounded_sums_of_all_authorities(evaluation, folder):
    frame = table(folder, "d1")
    regions = np.asarray(evaluation.region_codes)
    for _, row in frame[frame["geographic_level"] != "Local authority"].iterrows():
        j = evaluation.periods.index(int(row["time_period"]))
        inside = (regions == row["region_code"]) | (row["geographic_level"] == "National")
        total = np.nansum(evaluation.recorded["cpp"][inside, j])
        people = np.nansum(evaluation.population[inside, j])
        assert abs(float(row["CPP_At31"]) - total) <= 5
        assert float(row["CPP_At31"]) % 10 == 0
        assert float(row["CPP_At31_rate"]) == pytest.approx(total / people * 1e4, abs=0.0501)


def test_the_accounts_close(evaluation, folder):
    """At the end = a year before + started - ended; at any point = at the end + ended."""
    for start, stock, entry, out, anyone in (
        ("b1", "At31_episodes", "Started_episodes", "Ended_episodes", "Anypoint_episodes"),
        ("d1", "CPP_At31", "CPP_start", "CPP_end", "CPP_anypoint"),
    ):
        rows = authorities(table(folder, start))
        wide = {name: number(rows[name]).unstack() for name in (stock, entry, out, anyone)}
        change = wide[stock].diff(axis=1).iloc[:, 1:]
        flow = (wide[entry] - wide[out]).iloc[:, 1:]
        known = change.notna() & flow.notna()
        assert known.to_numpy().mean() > 0.9
        assert (change - flow).to_numpy()[known.to_numpy()].tolist() == [0.0] * int(
            known.to_numpy().sum()
        )
        any_point = (wide[anyone] - wide[stock] - wide[out]).to_numpy()
        assert np.nanmax(np.abs(any_point)) == 0
        assert np.nanmin(wide[entry].to_numpy()) >= 0


def test_parts_are_not_more_than_the_whole(folder):
    for start, parts in (
        ("b1", [("Anypoint_child", "Anypoint_episodes"), ("At31_episodes", "Anypoint_child"),
                ("Awaiting_assessment", "At31_episodes"), ("Started_child", "Started_episodes")]),
        ("c1", [("Re_referrals", "Referrals"), ("Not_in_Need", "Referrals"),
                ("Re_referrals_child", "Referrals_child"), ("Referrals_child", "Referrals")]),
        ("c4", [("ICPC", "Section47"), ("ICPC_child", "ICPC")]),
        ("d1", [("CPP_child_anypoint", "CPP_anypoint"), ("CPP_At31", "CPP_child_anypoint")]),
    ):  # fmt: skip
        rows = authorities(table(folder, start))
        for part, whole in parts:
            gap = (number(rows[whole]) - number(rows[part])).dropna()
            assert (gap >= 0).all(), (part, whole)


def test_classes_sum_to_their_total_and_hide_no_single_cell(folder):
    for start, total in (("c2", "Assessments_completed"), ("c4", "ICPC")):
        rows = authorities(table(folder, start))
        shown = rows.filter(regex=r"^(Same_day|(Duration_)?\d+(-\d+|\+)_days)$")
        assert shown.shape[1] == (9 if start == "c2" else 4)
        whole = shown.apply(lambda column: column.str.fullmatch(r"\d+")).all(axis=1)
        sums = shown[whole].astype(int).sum(axis=1)
        known = number(rows.loc[whole, total])
        assert known.notna().mean() > 0.9
        assert (sums == known)[known.notna()].all()
        hidden = (shown == "c").sum(axis=1)
        others = ((shown != "c") & (shown != "0")).sum(axis=1)
        assert ((hidden != 1) | (others == 0)).all()


def test_no_count_of_1_to_5_is_shown(folder):
    for start in ("b1", "c1", "c2", "c4", "d1", "cla_"):
        rows = authorities(table(folder, start))
        derived = ("rate", "percent", "per_10000", "percentile", "percentile_days", "median_days")
        derived = (*derived, "median")
        counts = rows[[name for name in rows.columns if not name.lower().endswith(derived)]]
        assert not counts.isin(list("12345")).to_numpy().any()
        assert (counts == "c").to_numpy().any()


def test_percentages_and_medians_are_plausible(folder):
    c1, c2 = authorities(table(folder, "c1")), authorities(table(folder, "c2"))
    again = number(c1["Re_referrals_percent"]).dropna()
    assert 20 < again.mean() < 25
    assert again.between(2, 60).all()
    median = number(c2["Median_days"]).dropna()
    assert 25 < median.mean() < 40
    order = ["25th_Percentile_days", "Median_days", "75th_Percentile_days"]
    quartiles = c2[order].apply(number).dropna()
    assert (quartiles.diff(axis=1).iloc[:, 1:] >= 0).all().all()


def test_read_takes_them_for_published(evaluation, folder):
    panel = read_dfe(folder / "cin")
    for metric in ("cin", "icpc", "cpp"):
        rates = panel.wide(metric)
        np.testing.assert_allclose(
            rates.loc[list(evaluation.units)].to_numpy(dtype=float),
            evaluation.published_rates[metric],
        )
    neighbours = read_neighbours(folder / "neighbours" / "statistical_neighbours.csv")
    assert neighbours.of("501") == tuple(evaluation.neighbours.query("la_code == '501'")["sn_code"])


def test_names_with_commas_are_quoted_or_lose_them(folder):
    assert "Aldby City of" in set(table(folder, "b1")["la_name"])
    assert "Aldby, City of" in set(table(folder, "cla_")["la_name"])


def test_bands_are_spelt_unevenly(folder):
    spelt = set(table(folder, "statistical")["closeness"])
    assert {"Very Close", "Very close", "Very Close "} <= spelt
    assert len({one.strip().lower() for one in spelt}) == 5


def test_pilots_and_readme(evaluation, folder):
    pilots = pd.read_csv(folder / "pilots.csv", dtype=str, keep_default_na=False)
    assert dict(zip(pilots["la_code"], pilots["start"].astype(int), strict=True)) == (
        evaluation.pilots
    )
    assert pilots.loc[pilots["stop"] != "", "la_code"].tolist() == list(evaluation.stops)
    text = (folder / "README.txt").read_text(encoding="utf-8")
    assert text.startswith("SYNTHETIC DATA")
    assert "Seed: 1 " in text
    assert "cin  0" in text
    assert evaluation.broken in text


def test_flows_on_request_and_a_clean_draw_have_no_symbols(tmp_path):
    process = replace(EvaluationProcess(effect={"cla": -7.5}).clean())
    write_published(draw(process, 3), tmp_path)
    for start in ("b1", "c1", "c2", "c4", "d1", "ons", "cla_"):
        frame = authorities(table(tmp_path, start))
        first = frame.columns.get_loc("country_name") + 6
        assert frame.iloc[:, first:].apply(lambda x: x.str.fullmatch(r"[\d.]+|z")).all().all()
    assert "cla  -7.5" in (tmp_path / "README.txt").read_text(encoding="utf-8")
    write_published(draw(process, 3), tmp_path, flows=True)
    kinds = table(tmp_path, "cla_")
    assert kinds["population_count"].nunique() == 3
    wide = kinds[kinds["geographic_level"] == "Local authority"].pivot_table(
        index=["old_la_code", "time_period"], columns="population_count", values="number",
        aggfunc=lambda x: float(x.iloc[0]),
    )  # fmt: skip
    cease, stock, start = (wide[name].unstack() for name in sorted(wide.columns))
    change = stock.diff(axis=1).iloc[:, 1:]
    np.testing.assert_array_equal(change, (start - cease).iloc[:, 1:])
