"""A client of the local server, and what a panel read through it must hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from read.ees_server import PLACES, SET, EesServer, figures

from didkit.errors import ReadError
from didkit.panel import Metric, Panel
from didkit.read.ees import EES, Http

COUNT = Metric(name="children", kind="count", unit="children")
RATE = Metric(name="rate", kind="rate", decimals=1)
METRICS: dict[str, Metric | str] = {
    "child_count": COUNT,
    "child_rate": RATE,
    "child_percent": "share",
}
YEARS = range(2019, 2024)


class Clocked:
    """A client's patience without waiting: sleeps are noted, and the clock can be moved."""

    def __init__(self, **options: Any) -> None:
        self.slept: list[float] = []
        self.http = Http(
            sleep=self.slept.append,
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            **{"timeout": 5.0, **options},
        )


def client(server: EesServer, *, clocked: Clocked | None = None, **options: Any) -> EES:
    return EES(server.url, http=(clocked or Clocked()).http, **options)


def ask(one: EES, **options: Any) -> Panel:
    return one.query_panel(SET, **{"metrics": METRICS, "filters": {"sex": "Girls"}, **options})


def refused(call: Callable[[], object]) -> ReadError:
    """Call, and return the error, whose four parts must be there."""
    with pytest.raises(ReadError) as caught:
        call()
    error = caught.value
    assert all((error.needed, error.found, error.where, error.todo))
    return error


def known(metric: str, year: int, place: int, kind: int, add: int = 0) -> float:
    """What a panel must have: the published number, 0 for one that rounds to it, or NaN."""
    text = figures(year, place, kind, add)[["children", "rate", "share"].index(metric)]
    if text == "low":
        return 0.0
    return float(text) if text[0].isdigit() else float("nan")


def is_right(panel: Panel, kind: int = 1, add: int = 0, years: range = YEARS) -> None:
    for name in ("children", "rate", "share"):
        wide = panel.wide(name)
        assert list(wide.index) == [code for code, _, _ in PLACES]
        for i, (code, _, _) in enumerate(PLACES):
            for year in years:
                expected = known(name, year, i, kind, add)
                np.testing.assert_equal(float(wide.loc[code, str(year)]), expected)
