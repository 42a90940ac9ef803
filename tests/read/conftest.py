"""Small files in the published formats, made by the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from read.ees_server import EesServer, serving

EES = "time_period,time_identifier,geographic_level,country_code,country_name,region_code,region_name,old_la_code,new_la_code,la_name"  # noqa: E501
Cells = Mapping[tuple[str, int], tuple[str, str]]


def b1_text(cells: Cells | None = None, *, years: range = range(2013, 2021)) -> str:
    """Table b1 of the 2020 release: England, one region, Norfolk and Suffolk."""
    cells = {} if cells is None else cells
    lines = [f"{EES},category,At31_episodes,At31_episodes_rate"]
    for year in reversed(years):
        start = f"{year},Reporting year"
        country = "E92000001,England"
        kind = "Children in Need"
        lines.append(f"{start},National,{country},,,,,,{kind},389260,323.7")
        lines.append(f"{start},Regional,{country},E12000006,East of England,,,,{kind},33000,250.1")
        for code, name in (("926", "Norfolk"), ("935", "Suffolk")):
            count, rate = cells.get((code, year), ("5000", "290.5"))
            lines.append(
                f"{start},Local authority,{country},E12000006,East of England,{code},E10000020,"
                f"{name},{kind},{count},{rate}"
            )
    return "\n".join(lines) + "\n"


def cla_text(**columns: str) -> str:
    """Table of the SFR of 2019 with one authority; `columns` replace values."""
    values = {"geog_l": "LA", "geog_c": "926", "geog_n": "Norfolk"}
    for year in range(2015, 2020):
        values[f"CLA_Mar{year}"] = str(year - 1015)
    for year in range(2014, 2019):
        values[f"CLA_Pop{year}"] = "160000"
    for year in range(2015, 2020):
        values[f"CLA_Rate{year}"] = str(round((year - 1015) / 16))
    values |= columns
    return ",".join(values) + "\n" + ",".join(values.values()) + "\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write text or bytes to a file in a folder of the test."""

    def made(content: str | bytes, name: str = "file.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return file

    return made


@pytest.fixture
def b1() -> Callable[..., str]:
    return b1_text


@pytest.fixture
def cla() -> Callable[..., str]:
    return cla_text


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EesServer]:
    """The statistics service's interface, spoken by a local server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with serving() as state:
        yield state
