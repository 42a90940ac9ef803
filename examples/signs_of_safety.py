"""The Signs of Safety pilots, reanalysed from the tables that the Department published.

Runs the plan ``signs_of_safety.toml`` on the open data in ``../shared/data`` (or the folder named
by ``--data``): the ten pilots of round 2 against the union of their statistical neighbours. `load`
and `design` do the same by hand, step by step.

    python examples/signs_of_safety.py --out report-folder [--without-wakefield]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import didkit as dk
from didkit.report import Plan, staged

PLAN = Path(__file__).with_suffix(".toml")
PILOTS = ("303", "304", "801", "855", "925", "926", "935", "384", "938", "872")
EXCLUDE = {
    "201": "City of London: tiny",
    "420": "Isles of Scilly: tiny",
    **dict.fromkeys(("835", "836", "837", "838", "839"), "reorganised in 2019"),
}


def load(data: Path) -> dk.Panel:
    """Children in need, ICPCs and plans as published in 2020; looked-after counts by release.

    The counts of children looked after are revised in every release, so the mixture is asked for
    by name, and all rates are over one vintage of the population.
    """
    cin = dk.read_dfe(data / "dfe" / "cin_2020")
    parts = (
        ("sfr_cla/SFR36_CLA2013.csv", (2013,)),
        ("sfr_cla/CLA2018.csv", (2014,)),
        ("sfr_cla/CLA2019.csv", range(2015, 2020)),
        ("cla_2021/cla_number_and_rate_per_10k_children.csv", (2020,)),
    )
    counts = None
    for name, years in parts:
        part = dk.read_dfe(data / "dfe" / name).select(metrics=["cla_count"], periods=years)
        counts = part if counts is None else counts.join(part, releases="mixed")
    return (cin | counts).compute_rate("cla", denominator="population")


def design(panel: dk.Panel, data: Path, *, start: int = 2018, periods=None) -> dk.Design:
    """Ten pilots against the union of their neighbours of April 2021, without the pilots."""
    neighbours = dk.read_neighbours(
        data / "neighbours" / "statistical_neighbours_april2021_long.csv"
    )
    return dk.Design(
        panel,
        dk.Rollout(dict.fromkeys(PILOTS, start)),
        against=neighbours.union(),
        selection="bid",
        periods=periods,
        exclude=EXCLUDE,
    )


def main() -> None:
    """Write the report of the evaluation with ten pilots, or with nine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="default: as the plan says")
    parser.add_argument("--out", type=Path, default=Path("signs-of-safety"))
    parser.add_argument("--without-wakefield", action="store_true")
    options = parser.parse_args()
    plan = Plan.read(PLAN, data=options.data)
    if options.without_wakefield:  # nine were analysed; this one is an inference, so show both
        plan = plan.without_pilot("384", reason="a pilot that may not have been analysed")
    with staged(options.out) as folder:
        evaluation = dk.evaluate(plan)
        evaluation.to_html(folder / "report.html")
    print(evaluation.to_markdown())
    print(f"The report is in {options.out / 'report.html'}")


if __name__ == "__main__":
    main()
