"""Write docs/removals.md: what leaving out finds where there is no effect.

python docs/removals.py --seeds 60

Data sets without any effect; how often leaving one or two out turns the sign, moves zero across
the interval, how few units turn the sign, and how often the joint p of unaffected outcomes is
below .05. A finished design goes into docs/removals.csv at once, and is not run again with as many
seeds. `--write` runs none.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import didkit as dk

HERE = Path(__file__).resolve()
FOUND, PAGE = HERE.with_suffix(".csv"), HERE.with_suffix(".md")
DESIGNS = {"9 of 60": (9, 60, 0.0), "9 of 60, effect": (9, 60, 1.5), "9 of 150": (9, 150, 0.0)}
PERIODS, START, OTHERS = 8, 5, ("a", "b", "c")
BEGIN, END = "<!-- numbers -->", "<!-- end of numbers -->"


def drawn(pilots: int, units: int, effect: float, seed: int) -> dk.Design:
    """Draw four metrics: unit and period effects, and noise that lasts (0.5 from year to year).

    The effect is given in standard errors of the estimate, about.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "la": np.repeat([f"{i:03d}" for i in range(100, 100 + units)], PERIODS),
            "year": np.tile(np.arange(2011, 2011 + PERIODS), units),
        }
    )
    for name in ("m", *OTHERS):
        noise = rng.normal(size=(units, PERIODS))
        for t in range(1, PERIODS):
            noise[:, t] = 0.5 * noise[:, t - 1] + np.sqrt(0.75) * noise[:, t]
        y = 300 + 40 * rng.normal(size=(units, 1)) + 10 * rng.normal(size=(1, PERIODS)) + 5 * noise
        if name == "m":
            w = (5 * noise)[:, START:].mean(axis=1) - (5 * noise)[:, :START].mean(axis=1)
            y[:pilots, START:] += effect * w.std() * np.sqrt(1 / pilots + 1 / (units - pilots))
        frame[name] = y.ravel()
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m", *OTHERS])
    rollout = dk.Rollout({f"{100 + i}": 2011 + START for i in range(pilots)})
    return dk.Design(panel, rollout, against=dk.Pool(), selection="random")


def one(design: dk.Design) -> dict[str, float]:
    """Look at one data set."""
    did = dk.DiD().fit(design, "m").infer(dk.ClusterRobust("CR2"))
    row = did["att"]
    zero_out = bool(not row["conf_low"] <= 0 <= row["conf_high"])
    pilots = did.check(dk.LeaveOneOut(inference="own"))
    pairs = did.check(dk.LeaveTwoOut())
    every = did.check(dk.LeaveTwoOut("all"))
    few = did.check(dk.SmallestRemoval())
    small = did.check(dk.SmallestRemoval("pilots"))
    others = did.check(dk.UnaffectedOutcomes(OTHERS))
    return {
        "rejects": float(zero_out),
        "one_turns": float(pilots.facts["lowest"] * pilots.facts["highest"] < 0),
        "enters": float(zero_out and pilots.facts["zero_moves"] > 0),
        "leaves": float(not zero_out and pilots.facts["zero_moves"] > 0),
        "two_turn": float(pairs.facts["lowest"] * pairs.facts["highest"] < 0),
        "two_of_all_turn": float(every.facts["lowest"] * every.facts["highest"] < 0),
        "size": few.facts["size"],
        "size_pilots": small.facts["size"],
        "joint": float(others.facts["joint_p"] <= 0.05),
    }


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    found = pd.read_csv(FOUND) if FOUND.exists() else pd.DataFrame(columns=["design", "seeds"])
    for name, (pilots, units, effect) in DESIGNS.items():
        there = found[(found["design"] == name) & (found["seeds"] >= options.seeds)]
        if options.write or len(there):
            continue
        rows = pd.DataFrame(
            [one(drawn(pilots, units, effect, seed)) for seed in range(options.seeds)]
        )
        made = {"design": name, "seeds": options.seeds, **rows.mean().round(4).to_dict()}
        for column in ("size", "size_pilots"):
            made[column] = rows[column].median()
            made[f"{column}_low"], made[f"{column}_high"] = rows[column].quantile([0.1, 0.9])
            made[f"{column}_none"] = rows[column].isna().mean()
        found = found[found["design"] != name]
        found = pd.concat([found, pd.DataFrame([made])], ignore_index=True)
        found.to_csv(FOUND, index=False)
        write(found)
    write(found)


def write(found: pd.DataFrame) -> None:
    """Put the table into the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{after}", encoding="utf-8")


def table(found: pd.DataFrame) -> str:
    """Lay the numbers out: one row a question, one column a design."""
    found = found.set_index("design").loc[
        [name for name in DESIGNS if name in set(found["design"])]
    ]
    shares = {
        "the test itself (CR2) rejects": "rejects",
        "leaving one pilot out: the sign is not always the same": "one_turns",
        "… zero is outside the interval, and inside without some pilot": "enters",
        "… zero is inside the interval, and outside without some pilot": "leaves",
        "leaving two pilots out: the sign is not always the same": "two_turn",
        "leaving any two authorities out: the sign is not always the same": "two_of_all_turn",
        "joint p of three unaffected outcomes at most .05": "joint",
    }
    lines = [
        "| of data sets | " + " | ".join(found.index) + " |",
        "|" + " --- |" * (len(found) + 1),
        "| data sets | " + " | ".join(f"{int(n):,}" for n in found["seeds"]) + " |",
    ]
    for words, column in shares.items():
        lines.append(f"| {words} | " + " | ".join(f"{v:.1%}" for v in found[column]) + " |")
    for words, column in (
        ("fewest authorities that turn the sign: median (a tenth, nine tenths)", "size"),
        ("fewest pilots that turn the sign: median (a tenth, nine tenths)", "size_pilots"),
    ):
        cells = [
            f"{r[column]:g} ({r[column + '_low']:g}, {r[column + '_high']:g})"
            + (f"; none in {r[column + '_none']:.0%}" if r[column + "_none"] else "")
            for _, r in found.iterrows()
        ]
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
