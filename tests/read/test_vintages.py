"""Every published vintage: read right, by an independent reading with the csv module."""

from __future__ import annotations

import csv
import io
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from didkit.errors import DidkitWarning, ReadError
from didkit.panel import Panel, Status
from didkit.read import RELEASES, read_dfe

Write = Callable[..., Path]
Key = tuple[str, str]

# Written by hand from the headers, apart from the rules: metric, column, decimals.
SFR_CIN: dict[str, tuple[int, dict[str, str]]] = {
    "osr28-2010ud.csv": (
        2010,
        {
            "cin_count": "CINAt310310",
            "cin": "CINRatePer10K",
            "referrals_count": "Referrals0910",
            "referrals": "Referrals0910Rate",
            "section47_count": "S47in0910",
            "icpc_count": "ICPCin0910",
            "cpp_ended_count": "CPPCeased0910",
            "cpp_count": "CPPAt310310",
            "cpp": "CPPAt310310RatePer10k",
            "cin_started_count": "CINStarting0910",
            "population": "Mid2009Pop0-17",
        },
    ),
    "osr26-2011ud.csv": (
        2011,
        {
            "cin_count": "CINAt310311",
            "cin": "CINRatePer10K",
            "referrals_count": "Referrals1011",
            "referrals": "Referrals1011Rate",
            "rereferrals_count": "ReferralsWithin12mths1011",
            "rereferrals": "%ReferralsWithin12mths1011",
            "section47_count": "S47in1011",
            "icpc_count": "ICPCin1011",
            "cpp_ended_count": "CPPCeased1011",
            "cpp_count": "CPPAt310311",
            "cpp": "CPPAt310311RatePer10k",
            "cin_started_count": "CINStarting1011",
            "population": "Mid2010Pop0-17",
        },
    ),
    "SFR27-2012ud.csv": (
        2012,
        {
            "cin_count": "CINAt310312",
            "cin": "CINAt310312RatePer10k",
            "cin_started_count": "CINStarting1112",
            "cin_started": "CINStartingRatePer10k",
            "referrals_count": "Referrals1112",
            "referrals": "Referrals1112Rate",
            "rereferrals_count": "ReferralsWithin12mths1112",
            "rereferrals": "%ReferralsWithin12mths1112",
            "no_further_action": "%ReferralsNFA1112",
            "section47_count": "S471112",
            "section47": "S47Rate1112",
            "icpc_count": "ICPC1112",
            "icpc": "ICPCRate1112",
            "cpp_started_count": "CPPStart1112",
            "cpp_started": "CPPStartRate1112",
            "cpp_ended_count": "CPPCeased1112",
            "cpp_ended": "CPPCeasedRate1112",
            "cpp_count": "CPPAt310312",
            "cpp": "CPPAt310312Rate",
            "cpp_subsequent_count": "CPPStart1112SecondTime",
            "cpp_subsequent": "%CPPStart1112SecondTime",
            "population": "Mid2011Pop0-17",
        },
    ),
    "SFR43-2014.csv": (
        2014,
        {
            "cin_count": "CINAt310314",
            "cin": "CINAt310314RatePer10K",
            "cin_started_count": "CINStarting1314",
            "cin_started": "CINStartingRatePer10K",
            "referrals_count": "Referrals1314",
            "referrals": "Referrals1314Rate",
            "rereferrals_count": "ReferralsWithin12mths1314",
            "rereferrals": "%ReferralsWithin12mths1314",
            "no_further_action_count": "ReferralsNFA1314",
            "no_further_action": "%ReferralsNFA1314",
            "section47_count": "S471314",
            "section47": "S47Rate1314",
            "icpc_count": "ICPCin1314",
            "icpc": "ICPCRate1314",
            "cpp_started_count": "CPPStart1314",
            "cpp_started": "CPPStartRate1314",
            "cpp_ended_count": "CPPCeased1314",
            "cpp_ended": "CPPCeasedRate1314",
            "cpp_count": "CPPAt310314",
            "cpp": "CPPAt310314Rate",
            "cpp_subsequent_count": "CPPStart1314SecondTime",
            "cpp_subsequent": "CPPStart1314SecondTime_A",
            "population": "Mid2013Pop017",
        },
    ),
    "SFR41-2015_Underlying_data.csv": (
        2015,
        {
            "cin_count": "CINAt310315",
            "cin": "CINAt310314RatePer10K",  # a year behind
            "cin_started_count": "CINStarting1415",
            "cin_started": "CINStartingRatePer10K",
            "referrals_count": "Referrals1415",
            "referrals": "Referrals1415Rate",
            "rereferrals_count": "ReferralsWithin12mths1415",
            "rereferrals": "%ReferralsWithin12mths1415",
            "no_further_action_count": "ReferralsNFA1415",
            "no_further_action": "%ReferralsNFA1415",
            "assessments_count": "Assessments1415",
            "assessments": "AssessmentRatePer10k1415",
            "assessment_duration": "AssessmentMedian1415",
            "section47_count": "S471415",
            "section47": "S47Rate1415",
            "icpc_count": "ICPCin1415",
            "icpc": "ICPCRate1415",
            "cpp_started_count": "CPPStart1415",
            "cpp_started": "CPPStartRate1415",
            "cpp_ended_count": "CPPCeased1415",
            "cpp_ended": "CPPCeasedRate1415",
            "cpp_count": "CPPAt310315",
            "cpp": "CPPAt310315Rate",
            "cpp_subsequent_count": "CPPStart1415SecondTime",
            "cpp_subsequent": "%CPPStart1415SecondTime",
            "population": "Mid2014Pop017",
        },
    ),
    "SFR61-2017_UD.CSV": (
        2017,
        {
            "cin_count": "CINAt310316",  # a year behind
            "cin": "CINAt310316RatePer10K",  # a year behind
            "cin_started_count": "CINEpisodesStarting1617",
            "cin_started": "CINEpisodesStartingRatePer10K",
            "referrals_count": "Referrals1617",
            "referrals": "Referrals1617Rate",
            "rereferrals_count": "ReferralsWithin12mths1617",
            "rereferrals": "%ReferralsWithin12mths1617",
            "no_further_action_count": "ReferralsNFA1617",
            "no_further_action": "%ReferralsNFA1617",
            "assessments_count": "Assessments1617",
            "assessments": "AssessmentRatePer10k1617",
            "assessment_duration": "AssessmentMedian1617",
            "section47_count": "S471617",
            "section47": "S47Rate1617",
            "icpc_count": "ICPCin1617",
            "icpc": "ICPCRate1617",
            "cpp_started_count": "CPPEpisodesStart1617",
            "cpp_started": "CPPEpisodesStartRate1617",
            "cpp_ended_count": "CPPEpisodesCeased1617",
            "cpp_ended": "CPPEpisodesCeasedRate1617",
            "cpp_count": "CPPAt310317",
            "cpp": "CPPAt310317Rate",
            "cpp_subsequent_count": "CPPStart1617SecondTime",
            "cpp_subsequent": "%CPPStart1617SecondTime",
            "population": "Mid2016Pop017",
        },
    ),
}
EES: dict[str, dict[str, str]] = {
    "cin_2022/b1_children_in_need_2013_to_2022.csv": {
        "cin_count": "At31_episodes",
        "cin": "At31_episodes_rate",
        "cin_during_count": "Anypoint_episodes",
        "cin_during": "Anypoint_episodes_rate",
        "cin_started_count": "Started_episodes",
        "cin_started": "Started_episodes_rate",
        "cin_ended_count": "Ended_episodes",
        "cin_ended": "Ended_episodes_rate",
    },
    "cin_2022/c1_children_in_need_referrals_and_rereferrals_2013_to_2022.csv": {
        "referrals_count": "Referrals",
        "referrals": "Referrals_rate",
        "rereferrals_count": "Re_referrals",
        "rereferrals": "Re_referrals_percent",
        "no_further_action_count": "No_Further_Action",
        "no_further_action": "No_Further_Action_percent",
        "not_in_need_count": "Not_in_Need",
        "not_in_need": "Not_in_Need_percent",
    },
    "cin_2022/c2_children_in_need_assessments_duration_2014_to_2022.csv": {
        "assessments_count": "Assessments_completed",
        "assessments": "Assessments_completed_rate",
        "assessment_duration": "Median_days",
    },
    "cin_2022/c4_children_in_need_section_47s_and_icpcs_2013_to_2022.csv": {
        "section47_count": "Section47",
        "section47": "Section47_rate",
        "icpc_count": "ICPC",
        "icpc": "ICPC_rate",
    },
    "cin_2022/d1_child_protection_plans_2013_to_2022.csv": {
        "cpp_count": "CPP_At31",
        "cpp": "CPP_At31_rate",
        "cpp_during_count": "CPP_anypoint",
        "cpp_during": "CPP_anypoint_rate",
        "cpp_started_count": "CPP_start",
        "cpp_started": "CPP_start_rate",
        "cpp_ended_count": "CPP_end",
        "cpp_ended": "CPP_end_rate",
    },
    "cin_2025/b1_children_in_need_2013_to_2025.csv": {
        "cin_count": "At31_episodes",
        "cin_during_count": "Anypoint_episodes",
        "cin_started_count": "Started_episodes",
        "cin_ended_count": "Ended_episodes",
    },
    "cin_2025/c1_children_in_need_referrals_and_rereferrals_2013_to_2025.csv": {
        "referrals_count": "referral_count",
        "rereferrals_count": "rereferral_count",
        "rereferrals": "rereferral_percent",
        "no_further_action_count": "no_further_action_count",
        "no_further_action": "no_further_action_percent",
        "not_in_need_count": "not_in_need_count",
        "not_in_need": "not_in_need_percent",
    },
    "cin_2025/d3_cpps_subsequent_plan_2013_to_2025.csv": {
        "cpp_started_count": "CPP_start",
        "cpp_subsequent_count": "CPP_subsequent",
        "cpp_subsequent": "CPP_subsequent_percent",
    },
    "cin_2025/d5_cpps_at31march_by_duration_2013_to_2025.csv": {
        "cpp_count": "CPP_At31",
        "cpp_to_3_months_count": "3_months_or_less",
        "cpp_to_3_months": "3_months_or_less_percent",
        "cpp_3_to_6_months_count": "more_than_3_months_6_months",
        "cpp_3_to_6_months": "more_than_3_months_6_months_percent",
        "cpp_6_to_12_months_count": "more_than_6_months_less_than_1_year",
        "cpp_6_to_12_months": "more_than_6_months_less_than_1_year_percent",
        "cpp_1_to_2_years_count": "1_year_less_than_2_years",
        "cpp_1_to_2_years": "1_year_less_than_2_years_percent",
        "cpp_2_years_or_more_count": "2_years_or_more",
        "cpp_2_years_or_more": "2_years_or_more_percent",
    },
    "cin_2025/ons_mid-year_population_estimates_2012_to_2024.csv": {
        "population": "population_estimate"
    },
}
MEANS = {
    "c": "suppressed",
    "x": "not available",
    "u": "not available",
    "..": "not available",
    "z": "not applicable",
}
SFR_CLA = {
    "SFR21_CLA.csv": 2011,
    "SFR20_CLA2012.csv": 2012,
    "SFR36_CLA2013.csv": 2013,
    "SFR34_CLA2015.csv": 2015,
    "SFR41_CLA2016.csv": 2016,
    "SFR50_CLA2017.csv": 2017,
}


@pytest.fixture(scope="module")
def dfe(shared_data: Path) -> Path:
    return shared_data / "dfe"


def lines(file: Path) -> list[dict[str, str]]:
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def cells(panel: Panel, metric: str) -> Iterator[tuple[Key, float, str]]:
    held = panel.cells(metric)
    for i, code in enumerate(panel.unit_ids):
        for t, year in enumerate(panel.periods):
            if held.status[i, t] != Status.ABSENT:
                yield (code, year), float(held.value[i, t]), Status(held.status[i, t]).label


def same(panel: Panel, metric: str, text: dict[Key, str], means: dict[str, str]) -> None:
    """Hold every cell against the text of the file, none lost and none made up."""
    found = {key: (value, status) for key, value, status in cells(panel, metric)}
    assert set(found) == set(text)
    for key, raw in text.items():
        value, status = found[key]
        if raw in means:
            assert np.isnan(value)
            assert status == means[raw]
        else:
            assert value == float(raw.replace(",", ""))
            assert status in ("observed", "rounded")


@pytest.mark.filterwarnings("ignore:.*disagree:didkit.errors.DidkitWarning")
@pytest.mark.parametrize("file", SFR_CIN)
def test_first_releases_of_children_in_need(dfe: Path, file: str) -> None:
    year, columns = SFR_CIN[file]
    panel = read_dfe(dfe / "sfr_cin" / file)
    assert panel.periods == (str(year),)
    assert panel.sources["cin_count"][0].release == f"sfr_cin_{year}"
    rows = [row for row in lines(dfe / "sfr_cin" / file) if row["geog_l"] == "LA"]
    means = {"x": "suppressed", "..": "not available", ".": "not applicable"}
    assert set(panel.metrics) == set(columns)
    assert len(rows) == len(panel.unit_ids) == 152
    for metric, column in columns.items():
        text = {(row["geog_c"], str(year)): row[column] for row in rows}
        same(panel, metric, text, means)
    log = panel.log
    stale = [text for text in log["what"] if "the year in the column's name" in text]
    behind = [name for name in columns.values() if f"3103{(year - 1) % 100:02d}" in name]
    assert [text.split(": ")[1].split(",")[0] for text in stale] == behind
    counted = log[log["what"].str.startswith("cells ")]["rows"].sum()
    assert counted == 152 * len(columns)


@pytest.mark.parametrize("file", EES)
def test_later_releases_of_children_in_need(dfe: Path, file: str) -> None:
    panel = read_dfe(dfe / file)
    rows = [r for r in lines(dfe / file) if r["geographic_level"] == "Local authority"]
    later = int("population" in file)
    assert set(panel.metrics) == set(EES[file])
    for metric, column in EES[file].items():
        text = {
            (row["old_la_code"], str(int(row["time_period"]) + later)): row[column] for row in rows
        }
        same(panel, metric, text, MEANS)
    counted = panel.log[panel.log["what"].str.startswith("cells ")]["rows"].sum()
    assert counted == len(rows) * len(EES[file])


def test_population_of_2022_divides_twice(dfe: Path) -> None:
    """The release of 2022 has no estimate for the middle of 2021; its rates are over 2020's."""
    panel = read_dfe(dfe / "cin_2022")
    population = panel.wide("population")
    assert population["2022"].equals(population["2021"])
    assert not population["2021"].equals(population["2020"])
    said = [text for text in panel.log["what"] if "also used for 2022" in text]
    assert said == ["values of 2021 also used for 2022, as the release does"]


@pytest.mark.parametrize(
    ("folder", "compared"),
    [
        ("cin_2020", {"cin": 1210, "icpc": 1207, "cpp": 1203}),
        ("cin_2022", {"cin": 1509, "icpc": 1502, "cpp": 1499}),
    ],
)
def test_published_rates_are_the_quotients(
    dfe: Path, folder: str, compared: dict[str, int]
) -> None:
    panel = read_dfe(dfe / folder)
    for metric, n in compared.items():
        rate = panel.cells(metric).value
        made = panel.cells(f"{metric}_count").value / panel.cells("population").value * 10_000
        seen = np.isfinite(rate) & np.isfinite(made)
        assert np.abs(made - rate)[seen].max() <= 0.05 + 1e-9
        assert seen.sum() == n


@pytest.mark.parametrize("file", SFR_CIN)
def test_first_releases_agree_with_their_rounded_population(dfe: Path, file: str) -> None:
    """Populations are rounded to 100, so that the quotient is an interval; cin fits in all."""
    year = SFR_CIN[file][0]
    try:
        panel = read_dfe(dfe / "sfr_cin" / file)
        contradicted = 0
    except DidkitWarning as warned:
        assert year in (2010, 2011)
        contradicted = int(re.findall(r"(\d+) of \d+ differ", str(warned))[0])
    assert contradicted == {2010: 1, 2011: 4}.get(year, 0)
    if contradicted:
        with pytest.warns(DidkitWarning, match="disagree"):
            panel = read_dfe(dfe / "sfr_cin" / file)
    rate, count = panel.cells("cin"), panel.cells("cin_count").value
    over = panel.cells("population")
    assert set(np.unique(over.status)) == {Status.OBSERVED if year == 2011 else Status.ROUNDED}
    seen = np.isfinite(rate.value) & np.isfinite(count)
    assert seen.sum() >= 144
    assert (count / over.upper * 10_000 <= rate.upper + 1e-9)[seen].all()
    assert (count / over.lower * 10_000 >= rate.lower - 1e-9)[seen].all()


def test_a_stale_year_is_the_year_that_later_releases_say(dfe: Path) -> None:
    """CINAt310316 of 2016-17 holds March 2017: later files have the same numbers there."""
    old, new = read_dfe(dfe / "sfr_cin/SFR61-2017_UD.CSV"), read_dfe(dfe / "cin_2020")
    mine = old.wide("cin_count")["2017"]
    as_2017, as_2016 = (
        new.wide("cin_count")[year].reindex(mine.index) for year in ("2017", "2016")
    )
    assert (mine == as_2017).sum() == 136  # the rest was revised later
    assert (mine == as_2016).sum() <= 2


@pytest.mark.parametrize("file", SFR_CLA)
def test_first_releases_of_children_looked_after(dfe: Path, file: str) -> None:
    year = SFR_CLA[file]
    panel = read_dfe(dfe / "sfr_cla" / file)
    assert panel.sources["cla_count"][0].release == f"sfr_cla_{year}"
    rows = [
        row
        for row in lines(dfe / "sfr_cla" / file)
        if row["geog_l"] == "LA" or (row["geog_l"] == "" and row["geog_c"] == "420")
    ]
    text = {(row["geog_c"], str(year)): row[f"CLA_Mar{year}"] for row in rows}
    same(panel, "cla_count", text, {"x": "suppressed"})
    blank = [text for text in panel.log["what"] if "level is blank" in text]
    assert len(blank) == int(year == 2017)


def test_looked_after_children_of_2025(dfe: Path) -> None:
    panel = read_dfe(dfe / "cla_2025")
    rows = [r for r in lines(next((dfe / "cla_2025").iterdir())) if r["la_name"]]
    for kind, start in (
        ("Children looked after on 31 March each year", "cla"),
        ("Children starting to be looked after each year", "cla_started"),
        ("Children ceasing to be looked after each year", "cla_ceased"),
    ):
        for column, metric in (("children_count", f"{start}_count"), ("rate_per_10000", start)):
            text = {
                (row["old_la_code"], row["time_period"]): row[column]
                for row in rows
                if row["population_type"] == kind
            }
            same(panel, metric, text, {**MEANS, "z": "not applicable"})
    assert panel.sources["cla"][0].release == "cla_2025"


def test_lait(dfe: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    panel = read_dfe(dfe / "lait")
    table = parquet.read_table(next((dfe / "lait").glob("*.parquet"))).to_pylist()
    for measure, metric, digits in (
        ("LAC", "cla", 0),
        ("CIN", "cin", 1),
        ("CPP_Num", "cpp_count", 0),
    ):
        rows = [row for row in table if row["Short Desc"] == measure]
        assert len(rows) == 1700
        found = {key: (value, status) for key, value, status in cells(panel, metric)}
        own = [
            row for row in rows if not (row["LA Number"] == 970 or 980 <= row["LA Number"] <= 990)
        ]
        assert len(own) == len(found) == 1580
        for row in own:
            value, status = found[str(int(row["LA Number"])), row["Years"]]
            if row["Values"] == "-":
                assert status == "not available"
            else:
                assert value == pytest.approx(float(row["Values"]), rel=1e-12)
                assert round(value, digits) == value
    assert panel.name_of("838") == "Dorset"
    log = panel.log[panel.log["source"].str.startswith("lait (")].set_index("what")["rows"]
    rest = log[log.index.str.startswith("rows ") & (log.index != "rows read")]
    assert log["rows read"] == len(table) == rest.sum()


def test_every_file_loads_and_no_cell_is_lost(dfe: Path) -> None:
    """The files of the folder, each recognised, and every row in the log of one use or another."""
    files = [
        file
        for file in sorted(dfe.rglob("*"))
        if file.suffix.casefold() in (".csv", ".parquet")
        and file.parent.name not in ("format_samples",)
        and file.name != "lait_data_dictionary.csv"
    ]
    releases = Counter()
    for file in files:
        try:
            panel = read_dfe(file)
        except DidkitWarning:
            with pytest.warns(DidkitWarning):
                panel = read_dfe(file)
        releases[next(iter(panel.sources.values()))[0].release] += 1
        log = panel.log.groupby("what")["rows"].sum()
        rows = log[log.index.str.startswith("rows ") & (log.index != "rows read")]
        assert log["rows read"] == rows.sum()
        held = sum(int((panel.cells(one).status != Status.ABSENT).sum()) for one in panel.metrics)
        assert log[log.index.str.startswith("cells ")].sum() == held
    assert len(files) == 35
    assert releases == {
        "cin_2020": 7,
        "cin_2022": 6,
        "cin_2025": 5,
        "cla_2021": 1,
        "cla_2025": 1,
        "lait": 1,
        **{f"sfr_cin_{year}": 1 for year in (2010, 2011, 2012, 2014, 2015, 2017)},
        **{f"sfr_cla_{year}": 1 for year in (2011, 2012, 2013, 2015, 2016, 2017, 2018, 2019)},
    }


# -- vintages that were not seen -----------------------------------------------------------------


def test_a_vintage_between_is_read_by_the_rules_of_its_series(
    dfe: Path, tmp_path: Path, write: Write
) -> None:
    """The files of 2022 without the last year look like those of 2021, which are not at hand."""
    text = (dfe / "cin_2022/b1_children_in_need_2013_to_2022.csv").read_text("utf-8-sig")
    kept = "".join(line for line in text.splitlines(True) if not line.startswith("2022,"))
    with pytest.warns(DidkitWarning, match=r"b1.csv: taken for cin_2021, since its last period"):
        panel = read_dfe(write(kept, "b1.csv"))
    assert panel.sources["cin"][0].release == "cin_2021"
    assert any("had not seen" in text for text in panel.log["what"])
    named = read_dfe(tmp_path / "b1.csv", release="cin_2021")  # no warning: it was said
    assert named.wide("cin").equals(panel.wide("cin"))
    whole = read_dfe(dfe / "cin_2022/b1_children_in_need_2013_to_2022.csv")
    part = whole.wide("cin").drop(columns="2022").loc[list(panel.unit_ids)]
    assert panel.wide("cin").equals(part)


def test_the_population_belongs_to_the_release_beside_it(dfe: Path, tmp_path: Path) -> None:
    """Estimates up to the middle of 2020 are those of 2021 and of 2022: the folder says which."""
    name = "ons_mid-year_population_estimates.csv"
    alone = read_dfe(dfe / "cin_2022" / name)
    assert alone.sources["population"][0].release == "cin_2022"
    assert alone.periods[-1] == "2021"  # not carried on without the rest of the release
    assert any("a vintage near it" in text for text in alone.log["what"])
    shutil.copyfile(dfe / "cin_2022" / name, tmp_path / name)
    b1 = dfe / "cin_2022/b1_children_in_need_2013_to_2022.csv"
    text = b1.read_text("utf-8-sig")
    kept = "".join(line for line in text.splitlines(True) if not line.startswith("2022,"))
    (tmp_path / "b1.csv").write_text(kept, encoding="utf-8")
    with pytest.warns(DidkitWarning, match="taken for cin_2021"):
        panel = read_dfe(tmp_path)
    assert {one.release for one in panel.sources["population"]} == {"cin_2021"}
    assert panel.periods[-1] == "2021"


@pytest.mark.parametrize("release", ["cin_2020", "cin_2022", "cin_2025", "cla_2021", "cla_2025"])
def test_a_named_release_is_taken_out_of_a_folder_of_many(dfe: Path, release: str) -> None:
    named, own = read_dfe(dfe, release=release), read_dfe(dfe / release)
    pd.testing.assert_frame_equal(named.tidy(), own.tidy())
    assert named.sources == own.sources
    assert any(
        "it is sfr_cin_2015" in text or "not " + release in text for text in named.log["what"]
    )


def test_a_file_of_another_release_is_not_part_of_the_one_that_was_named(
    dfe: Path, tmp_path: Path
) -> None:
    population = dfe / "cin_2022/ons_mid-year_population_estimates.csv"
    with pytest.raises(ReadError, match="cin_2022 population, by its columns and periods"):
        read_dfe(population, release="cin_2025")
    shutil.copyfile(dfe / "cin_2022/b1_children_in_need_2013_to_2022.csv", tmp_path / "old.csv")
    shutil.copyfile(dfe / "cin_2025/b1_children_in_need_2013_to_2025.csv", tmp_path / "new.csv")
    panel = read_dfe(tmp_path, release="cin_2025")
    assert [one.file for one in panel.sources["cin_count"]] == ["new.csv"]
    old = panel.log[panel.log["source"] == "old.csv"]
    assert "rows not used: not cin_2025: it is cin_2022" in old["what"].tolist()


@pytest.mark.parametrize("file", EES)
@pytest.mark.parametrize("later", [1, 2])
def test_every_table_of_a_later_vintage_loads(
    dfe: Path, write: Write, file: str, later: int
) -> None:
    rows = lines(dfe / file)
    for row in rows:
        row["time_period"] = str(int(row["time_period"]) + later)
    made = io.StringIO(newline="")
    table = csv.DictWriter(made, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    year = int(file[4:8]) + later
    if "population" in file and "2022" in file:
        year -= 1  # its estimates end two years before the release
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DidkitWarning)
        panel = read_dfe(write(made.getvalue(), "any.csv"))
    first = next(iter(panel.sources.values()))[0]
    expected = {f"cin_{year}"}
    if year == 2024 and "population" in file:
        expected.add("cin_2025")
    assert first.release in expected
    assert set(panel.metrics) == set(EES[file])


def test_two_tables_that_hold_a_cell_bound_it_both(dfe: Path, tmp_path: Path) -> None:
    """A table without totals knows less; the order of reading does not matter."""
    file = dfe / "cin_2020/d1_child_protection_plans_2013_to_2020.csv"
    whole = file.read_text("utf-8-sig")
    part = "".join(
        line
        for i, line in enumerate(whole.splitlines(True))
        if i == 0 or ",Local authority," in line
    )
    upper = []
    for first, second in (("a.csv", "b.csv"), ("b.csv", "a.csv")):
        (tmp_path / first).write_text(whole, encoding="utf-8")
        (tmp_path / second).write_text(part, encoding="utf-8")
        upper.append(read_dfe(tmp_path).cells("cpp_count").upper)
    assert np.array_equal(upper[0], upper[1], equal_nan=True)
    assert np.array_equal(upper[0], read_dfe(file).cells("cpp_count").upper, equal_nan=True)


def test_a_first_release_of_a_year_that_is_not_at_hand(dfe: Path, write: Write) -> None:
    text = (dfe / "sfr_cin/SFR41-2015_Underlying_data.csv").read_text("utf-8-sig")
    header, rest = text.split("\n", 1)
    # The year after, named as the year after would be.
    header = (
        header.replace("1415", "1516").replace("310315", "310316").replace("Mid2014", "Mid2015")
    )
    header = header.replace("CINAt310314RatePer10K", "CINAt310316RatePer10K")
    panel = read_dfe(write(f"{header}\n{rest}", "any.csv"))
    assert panel.periods == ("2016",)
    assert panel.sources["cin"][0].release == "sfr_cin_2016"
    assert not any("the year in the column's name" in text for text in panel.log["what"])
    broken = header.replace("Referrals1516,", "Referrals1415,")
    with pytest.raises(ReadError, match="Referrals1516"):
        read_dfe(write(f"{broken}\n{rest}", "any.csv"))


def test_a_name_may_not_be_two_years_behind(dfe: Path, write: Write) -> None:
    text = (dfe / "sfr_cin/SFR61-2017_UD.CSV").read_text("utf-8-sig")
    assert "CINAt310316," in text
    with pytest.raises(ReadError, match="CINAt310317"):
        read_dfe(write(text.replace("CINAt310316,", "CINAt310315,", 1), "any.csv"))


def test_a_release_can_be_named_in_any_vintage() -> None:
    assert {"cin_2021", "cin_2024", "cla_2023", "sfr_cin_2013", "sfr_cla_2014"} <= set(RELEASES)
    assert not RELEASES["cin_2021"].seen
    assert "x" not in RELEASES["cin_2020"].symbols
    assert RELEASES["cin_2022"].symbols["x"].status == Status.NOT_AVAILABLE
    assert RELEASES["sfr_cin_2017"].symbols["x"].status == Status.SUPPRESSED


# -- bounds ----------------------------------------------------------------------------------------


def test_hidden_counts_lie_within_what_totals_leave(dfe: Path) -> None:
    """City of London 2020: the region's total less its other authorities, by hand."""
    panel = read_dfe(dfe / "cin_2020/d1_child_protection_plans_2013_to_2020.csv")
    rows = lines(dfe / "cin_2020/d1_child_protection_plans_2013_to_2020.csv")
    mine = [row for row in rows if row["time_period"] == "2020"]
    region = next(row["region_code"] for row in mine if row["old_la_code"] == "201")
    inside = [r for r in mine if r["region_code"] == region]
    total = next(int(r["CPP_At31"]) for r in inside if r["geographic_level"] == "Regional")
    text = [r["CPP_At31"] for r in inside if r["la_name"]]
    assert text.count("c") == 1
    left = total - sum(int(one) for one in text if one.isdigit())
    low, high = (panel.wide("cpp_count", what=w).loc["201", "2020"] for w in ("lower", "upper"))
    assert (low, high) == (max(0, left - 5), left + 5)


def test_an_extract_bounds_from_above_only(dfe: Path, write: Write) -> None:
    """What the authorities left out add to the total may not be pushed into a hidden count."""
    file = dfe / "cin_2020/d1_child_protection_plans_2013_to_2020.csv"
    whole = read_dfe(file)
    rows = file.read_text("utf-8-sig").splitlines(keepends=True)
    gone = ("202", "203", "204", "205")
    kept = "".join(row for row in rows if row.split(",")[7] not in gone)
    part = read_dfe(write(kept, "d1.csv"))
    where = ("201", "2020")
    assert whole.wide("cpp_count", what="lower").loc[where] > 0
    assert part.wide("cpp_count", what="lower").loc[where] == 0
    upper = whole.wide("cpp_count", what="upper").loc[where]
    assert part.wide("cpp_count", what="upper").loc[where] > upper + 100


def test_parts_of_a_row_add_to_its_total(dfe: Path) -> None:
    panel = read_dfe(dfe / "cin_2025/d5_cpps_at31march_by_duration_2013_to_2025.csv")
    whole = panel.cells("cpp_count")
    parts = [
        panel.cells(name)
        for name in panel.metrics
        if name.startswith("cpp_") and name.endswith("_count") and name != "cpp_count"
    ]
    assert len(parts) == 5
    hidden = np.stack([part.status == Status.SUPPRESSED for part in parts])
    lower = np.stack([part.lower for part in parts])
    upper = np.stack([part.upper for part in parts])
    shown = np.nansum([part.value for part in parts], axis=0)
    seen = np.isfinite(whole.value) & hidden.any(axis=0)
    assert seen.sum() > 500
    assert np.isfinite(upper[hidden & seen]).all()
    assert (
        upper[hidden & seen] <= np.broadcast_to(whole.value - shown, hidden.shape)[hidden & seen]
    ).all()
    # What is left is shared out: the least of each with the most of the others make the total.
    low = np.where(hidden, lower, 0).sum(axis=0)
    high = np.where(hidden, upper, 0).sum(axis=0)
    left = whole.value - shown
    assert (low[seen] <= left[seen]).all()
    assert (high[seen] >= left[seen]).all()


def test_a_hidden_rate_lies_within_what_its_count_leaves(dfe: Path) -> None:
    panel = read_dfe(dfe / "cin_2020")
    count, rate = panel.cells("cpp_count"), panel.cells("cpp")
    population = panel.cells("population").value
    hidden = (rate.status == Status.SUPPRESSED) & np.isfinite(count.upper)
    assert hidden.sum() > 5
    assert rate.upper[hidden] == pytest.approx((count.upper / population * 10_000)[hidden])
    assert rate.lower[hidden] == pytest.approx((count.lower / population * 10_000)[hidden])


@pytest.mark.filterwarnings("ignore:.*disagree:didkit.errors.DidkitWarning")
def test_the_longest_series_of_the_docs(dfe: Path) -> None:
    """The block of docs/vintages.md, as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "vintages.md").read_text("utf-8")
    block = page.split("```python\n")[1].split("```")[0]
    held: dict[str, object] = {"dfe": dfe}
    exec(compile(block, "docs/vintages.md", "exec"), held)
    panel = held["panel"]
    assert isinstance(panel, Panel)
    assert panel.periods == tuple(map(str, range(2010, 2026)))
    assert len(panel.unit_ids) == 150
    # Norfolk, by hand from the file of 2012.
    assert panel.wide("cin_count").loc["926", "2012"] == 5266
    sources = {one.release for one in panel.sources["cla_count"]}
    assert {"sfr_cla_2011", "sfr_cla_2019", "cla_2021", "cla_2025"} <= sources
