"""Two sites against two, on scale scores of individuals: what so few can say.

python examples/contrast_study.py --out FOLDER
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import didkit as dk

SEED, EFFECT = 2018, 6.0  # points on the Working Alliance Inventory (12 items, 12 to 60)
PILOTS, COMPARATORS = ("Alder", "Beech"), ("Cedar", "Doveton")


def answers(sites: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """Draw synthetic answers of some 60 families a site and year; one in twenty has no score."""
    rows = []
    for site in sites:
        level = 40 + 3 * rng.normal()
        for year in (2016, 2017, 2018, 2019):
            effect = EFFECT if site in PILOTS and year >= 2018 else 0.0
            n = int(rng.integers(45, 75))
            mean = (
                level + 1.5 * rng.normal() + effect
            )  # 1.5: how far a site moves from year to year
            score = np.clip(np.round(mean + 8 * rng.normal(size=n)), 12, 60)
            score[rng.random(n) < 0.05] = np.nan
            rows += [(site, year, one) for one in score]
    return pd.DataFrame(rows, columns=["site", "year", "wai"])


def main() -> None:
    """Make site means, put two sites against two and rank them among forty others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    wai = dk.Metric(name="wai", label="Working alliance", unit="points", direction="higher")
    study, others = (
        dk.site_means(answers(sites, rng), unit="site", period="year", scores={"wai": wai})
        for sites in ([*PILOTS, *COMPARATORS], [f"Site {i:02d}" for i in range(1, 41)])
    )
    print(study.log.to_string(index=False))
    design = dk.Design(
        study, dk.Rollout(dict.fromkeys(PILOTS, 2018)), against=dk.Pool(), selection="bid"
    )
    found = dk.DiD().fit(design, "wai").check(dk.ContrastStudy(reference=(others, "wai")))
    print(found.summary())
    found.plot().figure.savefig(file := folder / "contrast_study.png", dpi=110)
    print(file)


if __name__ == "__main__":
    main()
