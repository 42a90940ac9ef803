"""Write docs/designs.md and docs/designs.png: the real neighbours, and what each choice does.

    python docs/designs.py SHARED

SHARED is the folder with `data`: the published tables, the lists of neighbours, the indices of
deprivation of 2019 and the codes of authorities. It takes some two minutes.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

import didkit as dk
from didkit.plot import choices_by_metric
from didkit.results.tables import number, signed

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import signs_of_safety as example

METRICS = ("cin", "icpc", "cpp", "cla")
ORIGINAL = "union of the ten lists"
LEVELS = (2013, 2014)

HEAD = """\
# Who the pilots are compared with, and what each choice does

Written by `python docs/designs.py SHARED`; `tests/evaluation/test_neighbours_real.py` holds the numbers of the lists.
Ten pilots of round 2, start 2018, reporting years 2013 to 2020, the estimator `DiD()` on every observed cell, as in
`examples/signs_of_safety.py`. Nothing here says which choice is right: that is settled by who would have fared alike,
before the outcomes are seen.
"""  # noqa: E501


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("designs.md"))
    asked = parser.parse_args()
    data = asked.shared / "data"
    panel = example.load(data)
    design = example.design(panel, data)
    lists = {
        2021: dk.read_neighbours(
            data / "neighbours" / "statistical_neighbours_april2021_long.csv", release="April 2021"
        ),
        2025: dk.read_neighbours(
            data / "neighbours" / "statistical_neighbours_2025_long.csv", release="May 2025"
        ),
    }
    on = covariates(panel, data)
    learnt = dk.learn_weights(
        design, on, METRICS, periods=(2013, 2017), missing="leave_out", published=lists[2021]
    )
    chosen = choices(panel, lists, on, learnt)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {
            metric: dk.DiD()
            .fit(design, metric)
            .check(dk.OtherComparators(chosen, original=ORIGINAL))
            for metric in METRICS
        }
        median = {"own ten, median": lists[2021].per_pilot(aggregate="median")}
        complete = {
            metric: dk.DiD(cells="complete")
            .fit(design, metric)
            .infer(None)
            .check(dk.OtherComparators({**chosen, **median}, original=ORIGINAL))
            for metric in METRICS
        }
    picture = asked.out.with_suffix(".png")
    figure = choices_by_metric(list(found.values()))[0].figure
    figure.savefig(picture, dpi=110, metadata={"Software": None})
    parts = [
        HEAD,
        the_lists(design, panel, lists),
        the_weights(learnt),
        the_choices(found, picture.name),
        the_complete(complete),
    ]
    asked.out.write_text("\n".join(parts), encoding="utf-8")
    print(asked.out)
    return 0


def deprivation(data: Path) -> dk.Covariates:
    """Average scores of the indices of 2019 by 3-digit code.

    They come by the E-codes of 2019, and the codes of authorities tell which 3-digit code each
    has; Dorset and Bournemouth, Christchurch and Poole are there as they are since April 2019.
    """
    imd = pd.read_excel(data / "covariates" / "imd-2019.xlsx", sheet_name="IMD")
    imd.columns = [str(name).strip() for name in imd.columns]
    codes = pd.read_csv(data / "geography" / "las.csv", dtype=str)
    code = dict(zip(codes["new_la_code"], codes["old_la_code"], strict=True))
    given = imd["Upper Tier Local Authority District code (2019)"]
    missing = sorted(set(given) - set(code))
    if missing:
        raise SystemExit(f"no 3-digit code for {missing}")
    score = pd.DataFrame({"IMD 2019 average score": imd["IMD - Average score"]})
    return dk.Covariates(
        score.set_axis([code[one] for one in given], axis=0), source="indices of deprivation 2019"
    )


def covariates(panel: dk.Panel, data: Path) -> dk.Covariates:
    """Deprivation in 2019, and the mean of each metric over those of 2013 and 2014 that are there.

    Norfolk, a pilot, has no children in need, conferences or plans for 2013, so that
    `Covariates.from_panel`, which asks for both years, would leave it out.
    """
    first, last = map(str, LEVELS)
    mean = {
        f"{m} mean {first}–{last[2:]}": panel.wide(m)[[first, last]].mean(axis=1) for m in METRICS
    }
    levels = dk.Covariates(pd.DataFrame(mean), dict.fromkeys(mean, last))
    on = levels.join(deprivation(data))
    kept = [unit for unit in on.units if unit in panel and unit not in example.EXCLUDE]
    return dk.Covariates(on.table.loc[kept], on.until, on.source)


def choices(
    panel: dk.Panel,
    lists: Mapping[int, dk.Neighbours],
    on: dk.Covariates,
    learnt: dk.LearntWeights,
) -> dict[str, dk.design.Against]:
    """Name each choice beside the union of the ten lists of 2021."""
    own = lists[2021]
    computed = dk.compute_neighbours(on, missing="leave_out")
    weighed = dk.compute_neighbours(on, missing="leave_out", weights=learnt)
    means = on.select([name for name in on.columns if "mean" in name])
    return {
        "closest 5 of each list": own.closest(5).union(),
        "closest 5 that may serve": own.union(most=5),
        "without “Not close”": own.without("Not close").union(),
        "lists of 2025": lists[2025].union(),
        "own ten, mean": own.per_pilot(aggregate="mean"),
        "own ten, weights 1/rank": own.per_pilot(aggregate="weighted", weights="rank"),
        "computed, equal weights": computed.union(),
        "computed, learnt weights": weighed.union(),
        "matched on 2013–14, 5 each": dk.Matching(
            means, method="nearest", distance="mahalanobis", ratio=5, missing="leave_out"
        ),
        "every other authority": dk.Pool(),
    }


def the_lists(design: dk.Design, panel: dk.Panel, lists: Mapping[int, dk.Neighbours]) -> str:
    own, later = lists[2021], lists[2025]
    slots = [other for pilot in design.pilots for other in own.of(pilot)]
    pilots = [other for other in slots if other in design.pilots]
    both = [len(set(own.of(one)) & set(later.of(one))) for one in design.pilots]
    known = [one for one in dict.fromkeys(own.table["unit"]) if later.of(one)]
    shared = [len(set(own.of(one)) & set(later.of(one))) for one in known]
    counts = pd.Series(slots).value_counts()
    served = pd.DataFrame({"unit": counts.index, "lists": counts.to_numpy()})
    served = served[served["lists"] > 1].sort_values(["lists", "unit"], ascending=[False, True])
    served["name"] = [panel.name_of(unit) for unit in served["unit"]]
    served["arm"] = ["pilot" if u in design.pilots else "comparator" for u in served["unit"]]
    absent = sorted(set(slots) - set(panel.unit_ids))
    lines = [
        "## The lists",
        "",
        f"The ten lists of {own.release} have {len(slots)} places and name {len(set(slots))} "
        f"distinct authorities. {len(pilots)} places are taken by pilots "
        f"({len(set(pilots))} of the ten), who may not serve. {len(design.comparators)} "
        f"authorities remain; {len(absent)} on the lists have no row in the panel "
        f"({', '.join(absent) or 'none'}).",
        "",
        f"{int((served['lists'] > 1).sum())} authorities stand on two lists or more:",
        "",
        table(served[["unit", "name", "arm", "lists"]]),
        "",
        "Closeness by pilot (without_data: no row or no value in the panel):",
        "",
        table(own.closeness(design.pilots, panel)),
        "",
        f"The lists of {later.release} share {sum(shared) / len(shared):.1f} of ten names with "
        f"those of {own.release} on average over the {len(shared)} authorities that have both; "
        f"over the ten pilots {sum(both) / len(both):.1f}, from {min(both)} to {max(both)}.",
        "",
    ]
    return "\n".join(lines)


def the_weights(learnt: dk.LearntWeights) -> str:
    weights = pd.DataFrame(
        {"covariate": list(learnt.weights), "weight": list(learnt.weights.values())}
    )
    by_fold = learnt.by_fold.drop(columns="fold")
    weights["least_of_5_folds"] = by_fold.min().to_numpy()
    weights["most_of_5_folds"] = by_fold.max().to_numpy()
    errors = learnt.table.set_index("neighbours")
    inside, across = errors.loc["learnt weights", ["error_in_sample", "error_cross_validated"]]
    equal = errors.loc["equal weights", "error_in_sample"]
    better = "less" if across < equal else "more"
    everyone = errors.loc["everyone", "error_in_sample"]
    least = errors["error_cross_validated"].drop("everyone").min()
    beside = "no list foretells changes as well" if everyone <= least else "some list does better"
    lines = [
        "## Learnt weights",
        "",
        "Covariates: the indices of deprivation of 2019 and, for each rate, the mean of the values "
        "of 2013 and 2014 that are there (Norfolk has none of 2013 for three of them). The weights "
        "were learnt from how well the ten nearest foretell changes of all four rates from year to "
        "year before the start (2013 to 2017); an error of 1 is that of foretelling the mean for "
        "everybody.",
        "",
        table(weights.round(3)),
        "",
        table(learnt.table.round(3)),
        "",
        f"In sample the learnt weights have an error of {inside:.3f}, on units that they were not "
        f"learnt on {across:.3f}: {better} than equal weights with {equal:.3f}. The mean of all "
        f"other authorities has {everyone:.3f}: {beside}.",
        "",
        *(f"* {note}" for note in learnt.notes),
        "",
    ]
    return "\n".join(lines)


def the_choices(found: Mapping[str, dk.Finding], picture: str) -> str:
    lines = [
        "## What each choice does",
        "",
        f"![Four estimates under each choice of comparators]({picture})",
        "",
        "Estimates per 10,000 children with 95% intervals, each by the method that suits the "
        f"design and the metric: {methods(found)}. Trading places within sets needs every value "
        "of every unit; where some are missing the jackknife stands in.",
        "",
    ]
    tables = [finding.table for finding in found.values()]
    rows = []
    for place, choice in enumerate(tables[0]["choice"]):
        row = {"choice": choice, "comparators": int(tables[0]["comparators"].iloc[place])}
        for metric, one in zip(found, tables, strict=True):
            row[metric] = _cell(one.iloc[place])
        rows.append(row)
    lines += [table(pd.DataFrame(rows)), "", "The gap before the start under each choice:", ""]
    rows = [
        {"choice": choice}
        | {
            metric: signed(one["gap_before"].iloc[place])
            for metric, one in zip(found, tables, strict=True)
        }
        for place, choice in enumerate(tables[0]["choice"])
    ]
    lines += [table(pd.DataFrame(rows)), "", "### What moves, and what does not", ""]
    lines += [in_words(finding) for finding in found.values()]
    described = dict(zip(tables[0]["choice"], tables[0]["described"], strict=True))
    lines += ["", "### The choices in full", ""]
    lines += [f"* {choice}: {words}" for choice, words in described.items()]
    return "\n".join([*lines, ""])


def methods(found: Mapping[str, dk.Finding]) -> str:
    """Say which method the intervals of which metrics came from, for one pool and for sets."""
    by: dict[tuple[str, str], list[str]] = {}
    for metric, finding in found.items():
        own = finding.table["described"].str.startswith("for each pilot")
        for where, rows in (("one pool", ~own), ("sets", own)):
            used = {str(method).partition(",")[0] for method in finding.table.loc[rows, "method"]}
            by.setdefault((where, " or ".join(sorted(used))), []).append(metric)
    return "; ".join(
        f"with {where} {method} ({', '.join(metrics)})" for (where, method), metrics in by.items()
    )


def in_words(finding: dk.Finding) -> str:
    """Say how far the estimate moves, beside its interval, and whether 0 stays inside."""
    table, label = finding.table, finding.estimate.metric.label
    fitted = table[table["estimate"].notna()]
    first = fitted.iloc[0]
    half = (first["conf_high"] - first["conf_low"]) / 2
    away = fitted.iloc[int((fitted["estimate"] - first["estimate"]).abs().to_numpy().argmax())]
    move = abs(away["estimate"] - first["estimate"])
    outside = fitted[(fitted["conf_low"] > 0) | (fitted["conf_high"] < 0)]
    zero = (
        "0 is inside every interval"
        if outside.empty
        else f"0 is outside the interval with {', '.join(outside['choice'])}, inside all others"
    )
    gaps = fitted["gap_before"]
    return (
        f"* **{label}.** {finding.headline} The largest move from the estimate as designed is "
        f"{number(move)} ({away['choice']}), {move / half:.0%} of half the width of its interval; "
        f"{zero}. The gap before the start runs from {signed(gaps.min())} to "
        f"{signed(gaps.max())}."
    )


def the_complete(found: Mapping[str, dk.Finding]) -> str:
    tables = [finding.table for finding in found.values()]
    rows = [
        {"choice": choice}
        | {
            metric: _bare(one["estimate"].iloc[place])
            for metric, one in zip(found, tables, strict=True)
        }
        for place, choice in enumerate(tables[0]["choice"])
    ]
    lines = [
        "## The same on units observed throughout",
        "",
        'With `DiD(cells="complete")`, one long difference a unit, which is also what a median of '
        "sets needs:",
        "",
        table(pd.DataFrame(rows)),
        "",
        *(f"* {finding.estimate.metric.label}: {finding.headline}" for finding in found.values()),
        "",
    ]
    notes = dict.fromkeys(note for finding in found.values() for note in finding.notes)
    return "\n".join([*lines, *(f"* {note}" for note in notes), ""])


def _cell(row: pd.Series) -> str:
    if pd.isna(row["estimate"]):
        return "refused"
    if pd.isna(row["conf_low"]):
        return signed(row["estimate"])
    return f"{signed(row['estimate'])} ({signed(row['conf_low'])} to {signed(row['conf_high'])})"


def _bare(value: float) -> str:
    return "refused" if pd.isna(value) else signed(value)


def table(frame: pd.DataFrame) -> str:
    """Write a frame as a table in Markdown."""
    head = "| " + " | ".join(map(str, frame.columns)) + " |"
    rule = "|" + " --- |" * frame.shape[1]
    body = ["| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join([head, rule, *body])


if __name__ == "__main__":
    sys.exit(main())
