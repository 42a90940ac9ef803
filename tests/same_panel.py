"""Hold two panels against each other, in everything that a panel has."""

from __future__ import annotations

import numpy as np
import pandas as pd

from didkit.panel import Panel


def assert_same_cells(one: Panel, other: Panel) -> None:
    """Ids, periods, metric names, and every cell bit for bit (a NaN is a NaN)."""
    assert one.unit_ids == other.unit_ids
    assert one.periods == other.periods
    assert list(one.metrics) == list(other.metrics)
    for name in one.metrics:
        for what in ("value", "lower", "upper"):
            a, b = getattr(one.cells(name), what), getattr(other.cells(name), what)
            gone = np.isnan(a)
            np.testing.assert_array_equal(gone, np.isnan(b), err_msg=f"{name} {what}")
            np.testing.assert_array_equal(
                a[~gone].view(np.int64), b[~gone].view(np.int64), err_msg=f"{name} {what}"
            )
        np.testing.assert_array_equal(one.cells(name).status, other.cells(name).status, name)


def assert_same_panel(one: Panel, other: Panel) -> None:
    """All of it: cells, units, calendar, metrics, sources, log, identity, parts."""
    assert_same_cells(one, other)
    assert one.calendar == other.calendar
    assert list(one.metrics.items()) == list(other.metrics.items())
    assert list(one.sources.items()) == list(other.sources.items())
    assert one.identity == other.identity
    assert list(one.parts.items()) == list(other.parts.items())
    pd.testing.assert_frame_equal(one.units, other.units)
    pd.testing.assert_frame_equal(one.log, other.log)
    pd.testing.assert_frame_equal(one.provenance(), other.provenance())
