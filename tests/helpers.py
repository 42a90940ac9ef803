"""Small panels for the tests of the core: a matrix of units × periods becomes a design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from didkit.design import Against, Design, Pool, Rollout
from didkit.panel import Panel

FIRST = 2011  #: the first period of every made panel


def codes(n: int) -> list[str]:
    """Give n three-digit codes, in order."""
    return [str(301 + 3 * i) for i in range(n)]


def frame_of(y: Any, ids: Sequence[object] | None = None, *, column: str = "m") -> pd.DataFrame:
    """Lay a matrix of units × periods out as one row a unit and period."""
    y = np.asarray(y, dtype=float)
    ids = codes(len(y)) if ids is None else list(ids)
    return pd.DataFrame(
        [(ids[j], FIRST + t, y[j, t]) for j in range(y.shape[0]) for t in range(y.shape[1])],
        columns=["la", "year", column],
    )


def panel_of(y: Any, ids: Sequence[object] | None = None, **options: Any) -> Panel:
    """Make a panel of one metric, ``m``, from a matrix of units × periods."""
    return Panel.from_frame(frame_of(y, ids), unit="la", period="year", metrics=["m"], **options)


def design_of(
    y: Any, starts: Mapping[int, int], *, against: Against | None = None, **options: Any
) -> Design:
    """Make a design: `starts` gives the row of each pilot and the column of its start."""
    ids = codes(len(y))
    rollout = Rollout({ids[j]: FIRST + t for j, t in starts.items()})
    options.setdefault("selection", "unknown")
    return Design(panel_of(y), rollout, against=against or Pool(), **options)


def spread(n: int, n1: int, start: int) -> dict[int, int]:
    """Give n1 of n rows one start: not the first rows, so that order cannot stand for arm."""
    rows = np.linspace(1, n - 1, n1).astype(int)
    assert len(set(rows.tolist())) == n1
    return dict.fromkeys(rows.tolist(), start)


def treated(shape: tuple[int, int], starts: Mapping[int, int]) -> np.ndarray:
    """Give the cells of pilots from their start on, as 0 and 1."""
    made = np.zeros(shape)
    for j, t in starts.items():
        made[j, t:] = 1.0
    return made


def noise(n: int, t: int, seed: int, *, scale: float = 5.0) -> np.ndarray:
    """Draw unit effects, period effects and noise."""
    rng = np.random.default_rng(seed)
    return (
        300
        + 40 * rng.normal(size=(n, 1))
        + 10 * rng.normal(size=(1, t))
        + scale * rng.normal(size=(n, t))
    )


def with_gaps(
    y: np.ndarray, seed: int, *, share: float = 0.12, whole: Sequence[int] = ()
) -> np.ndarray:
    """Take cells out at random; every unit keeps three, and the rows in `whole` keep all."""
    rng = np.random.default_rng(seed)
    made = y.copy()
    for j, row in enumerate(made):
        gone = np.flatnonzero(rng.random(len(row)) < share)[: max(len(row) - 3, 0)]
        if j not in whole:
            row[gone] = np.nan
    return made


def long_of(y: np.ndarray, starts: Mapping[int, int]) -> pd.DataFrame:
    """Lay a matrix out for other programs: unit, period, y, d; without the empty cells."""
    d = treated(y.shape, starts)
    table = pd.DataFrame(
        [
            (j, t, y[j, t], d[j, t], t - starts[j] if j in starts else -99)
            for j in range(y.shape[0])
            for t in range(y.shape[1])
        ],
        columns=["unit", "period", "y", "d", "event"],
    )
    return table.dropna(subset=["y"]).reset_index(drop=True)
