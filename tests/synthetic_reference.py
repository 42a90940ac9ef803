"""The data and numbers of R's synthdid, for the tests of the synthetic control family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import didkit as dk

SMOKING = ("california_prop99.csv", "State", "Year", "PacksPerCapita", 1989)
MADE_OF = {
    "prop99": (*SMOKING, ["California"]),
    "prop99_3t": (*SMOKING, ["California", "Nevada", "Utah"]),
    "cps_fake3": ("synthdid_CPS.csv", "state", "year", "urate", 2000, ["NY", "FL", "IL"]),
}


def load(folder: Path, case: str) -> tuple[dk.Design, str]:
    """Make the design of a case, and name its outcome."""
    name, unit, period, metric, start, pilots = MADE_OF[case]
    frame = pd.read_csv(folder / "data" / name)
    frame["first"] = np.where(frame[unit].isin(pilots), start, 0)
    design = dk.Design.from_frame(
        frame, unit=unit, period=period, start="first", metrics=[metric], selection="unknown"
    )
    return design, metric


def numbers(folder: Path, case: str) -> dict[str, float]:
    """Return term → number of a case; weights that are exactly 0 are left out there."""
    table = pd.read_csv(folder / "synthdid.csv")
    mine = table[table["case"] == case]
    return dict(zip(mine["term"], mine["estimate"], strict=True))


def weights(found: dict[str, float], kind: str) -> dict[str, float]:
    """Return label → weight, of ``omega`` (units) or ``lambda`` (periods)."""
    head = f"{kind}|"
    return {term[len(head) :]: w for term, w in found.items() if term.startswith(head)}


def own_weights(made: dk.Estimate, kind: str) -> dict[str, float]:
    """Return label → weight of an estimate, of ``unit`` or ``period``."""
    assert made.synthetic is not None
    mine = made.synthetic[made.synthetic["kind"] == kind]
    return dict(zip(mine["label"], mine["weight"], strict=True))


def same_weights(made: dict[str, float], given: dict[str, float], tolerance: float) -> None:
    """Hold two sets of weights against each other; a label that is absent weighs nothing."""
    labels = sorted({*made, *given})
    mine, theirs = ([w.get(label, 0.0) for label in labels] for w in (made, given))
    np.testing.assert_allclose(mine, theirs, atol=tolerance, rtol=0)
