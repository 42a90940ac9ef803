"""What every form of the report shares: its tables for readers, notes and attribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from didkit.check.suited import LABELS
from didkit.design import Neighbours
from didkit.read import RELEASES
from didkit.report.doubts import alternatives
from didkit.report.numerals import no_share, share_text, signed
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation

__all__ = [
    "HEADS",
    "SYNTHETIC",
    "attribution",
    "basis_table",
    "caption",
    "check_name",
    "checks_table",
    "complete_table",
    "facts",
    "found_with",
    "is_synthetic",
    "notes_by_part",
    "origin",
    "reader_table",
    "rows_table",
    "sensitivity_table",
    "sources_table",
    "title",
    "who_tables",
]

SYNTHETIC = "The data are synthetic: no authority, child or number is real."
_RELEASE = "synthetic"  # as didkit.simulate names it
_NAMES = {
    **LABELS,
    "EventStudy": "Event study",
    "DiD(cells='complete')": "Change on authorities observed in every period",
    "Gap(by='period')": "Gap by period",
}


HEADS = {
    "p_value": "p",
    "n_pilots": "Pilots",
    "n_comparators": "Comparators",
    "item": "Item",
    "planned": "Planned",
    "done": "Done",
    "what": "What",
    "found": "Found",
}
_ARMS = ("Pilots", "Comparators")


def title(evaluation: Evaluation) -> str:
    """Name the report."""
    labels = [result.metric.label for result in evaluation.results.values()]
    question = "How much of the difference was there before?"
    named = evaluation.record.plan.title.strip().rstrip(".:") if evaluation.record else ""
    if named:
        return f"{named}: {question[:1].lower()}{question[1:]}"
    return f"{question} {labels[0]}" if len(labels) == 1 else question


def reader_table(evaluation: Evaluation) -> pd.DataFrame:
    """Write the numbers of `Evaluation.to_frame` as text under headings for readers."""
    number, frame = tables.number, evaluation.to_frame()
    level = f"{evaluation.level * 100:g}% interval"
    found = found_with(evaluation)
    adjusted = "p_adjusted" in frame and bool(frame["p_adjusted"].notna().any())
    rows = []
    for row in frame.to_dict("records"):
        gaps = float(row["gap_before"]), float(row["gap_after"])
        made = {
            "Measure": f"{row['label']}, {row['unit']}" if row["unit"] else row["label"],
            "Gap before": signed(row["gap_before"]),
            "Gap after": signed(row["gap_after"]),
            "There before": no_share(*gaps) or share_text(gaps[0] / gaps[1]),
            "Change": signed(row["change"]),
            level: _interval(row["conf_low"], row["conf_high"]),
            "p": tables.p_value(row["p_value"]),
            **({"p adjusted": tables.p_value(row["p_adjusted"])} if adjusted else {}),
        }
        if found:
            made[found] = _detectable(row["detectable"], row["detectable_percent"])
        if "role" in row:
            made["Role"] = str(row["role"])
        if "truth" in row:
            made["True effect"] = signed(row["truth"])
        made["Pilots before"] = number(row["pilots_before"])
        made["Comparators before"] = number(row["comparators_before"])
        rows.append(made)
    return pd.DataFrame(rows)


def found_with(evaluation: Evaluation) -> str:
    """Head the column of detectable changes: with the probability where it is the same for all.

    Empty where nobody asked what could have been found.
    """
    powers = {
        float(result.findings["DetectableEffect"].facts["power"])
        for result in evaluation.results.values()
        if "DetectableEffect" in result.findings
    }
    if len(powers) != 1:
        return "Would probably be found" if powers else ""
    return f"Would probably ({powers.pop():.0%}) be found"


def complete_table(evaluation: Evaluation) -> pd.DataFrame:
    """Write each change on the authorities observed in every period, always."""
    rows = []
    for result in evaluation.results.values():
        made = {"Measure": result.metric.label}
        blank = dict.fromkeys(("Change", f"{evaluation.level * 100:g}% interval", "p"), "not made")
        if result.did_complete is not None:
            row = result.did_complete.tidy().iloc[0]
            numbers = (
                signed(float(row["estimate"])),
                _interval(float(row["conf_low"]), float(row["conf_high"])),
                tables.p_value(float(row["p_value"])),
            )
            made |= dict(zip(blank, numbers, strict=True))
            made |= {name: f"{int(row[f'n_{name.lower()}']):,}" for name in _ARMS}
        else:
            made |= blank | dict.fromkeys(_ARMS, "")
        rows.append(made)
    return pd.DataFrame(rows)


def sensitivity_table(evaluation: Evaluation) -> pd.DataFrame:
    """Write each measure's change as planned, then under each planned alternative; or nothing."""
    rows = []
    level = f"{evaluation.level * 100:g}% interval"
    for name, result in evaluation.results.items():
        others = alternatives(evaluation, name)
        if others.empty:
            continue
        planned = result.did.tidy().iloc[0].to_dict()
        found = [{**planned, "name": "as planned", "refused": ""}, *others.to_dict("records")]
        for row in found:
            made = {"Measure": result.metric.label, "Alternative": str(row["name"])}
            if np.isnan(row["estimate"]):
                made |= dict.fromkeys(("Change", level, "p", *_ARMS), "")
                made["Change"] = "not made"
            else:
                made["Change"] = signed(float(row["estimate"]))
                made[level] = _interval(float(row["conf_low"]), float(row["conf_high"]))
                made["p"] = tables.p_value(float(row["p_value"]))
                made |= {arm: f"{int(row[f'n_{arm.lower()}']):,}" for arm in _ARMS}
            rows.append({**made, "Refused because": str(row["refused"])})
    frame = pd.DataFrame(rows)
    if len(frame) and not frame["Refused because"].any():
        return frame.drop(columns="Refused because")
    return frame


def caption(evaluation: Evaluation) -> str:
    """Say how to read the table of measures."""
    found = found_with(evaluation)
    detectable = "the smallest such change, also in per cent of the comparators' level."
    return (
        "Gap: mean of pilots less mean of comparators, each authority counted once. There before: "
        "share of the gap afterwards that was there before. Change: difference-in-differences "
        f"with its {evaluation.level * 100:g}% interval; where cells are missing or starts are "
        "staggered it need not be the difference of the two gaps."
        f"{f' {found}: {detectable}' if found else ''}"
    )


def check_name(name: str) -> str:
    """Name a check, or what was refused, for readers."""
    return _NAMES.get(name, name)


def notes_by_part(evaluation: Evaluation) -> dict[str, list[str]]:
    """Group the notes by what they belong to; those of some measures start with their labels."""
    found: dict[str, dict[str, list[str]]] = {}
    for result in evaluation.results.values():
        shared = result.did.sample.notes
        mine = {"Sample": list(shared)}
        for title, made in (
            ("Change (difference-in-differences)", result.did),
            ("Change on authorities observed in every period", result.did_complete),
            ("Event study", result.events),
            ("Gap", result.gap),
            ("Gap by period", result.gap_by_period),
        ):
            mine[title] = [n for n in made.all_notes if n not in shared] if made is not None else []
        for check, finding in result.findings.items():
            mine[f"Check: {check_name(check)}"] = list(finding.notes)
        for part, notes in mine.items():
            for note in dict.fromkeys(notes):
                found.setdefault(part, {}).setdefault(note, []).append(result.metric.label)
    n = len(evaluation.results)
    return {
        part: [
            _capital(note if len(labels) == n else f"{', '.join(labels)}: {note}")
            for note, labels in notes.items()
        ]
        for part, notes in found.items()
    }


def _capital(note: str) -> str:
    return f"{note[:1].upper()}{note[1:].rstrip('.')}."


def checks_table(evaluation: Evaluation) -> pd.DataFrame:
    """List every check of every measure with what it asked and what it found."""
    checks = evaluation.checks()
    checks["metric"] = [evaluation[name].metric.label for name in checks["metric"]]
    checks["check"] = checks["check"].map(check_name)
    checks.columns = pd.Index(["Measure", "Check", "Question", "Found", "It cannot show"])
    return checks


def rows_table(evaluation: Evaluation) -> pd.DataFrame:
    """List every term of every estimate of every measure."""
    columns = {
        "term": "Term",
        "estimate": "Estimate",
        "std_error": "Standard error",
        "statistic": "Statistic",
        "p_value": "p_value",
        "conf_low": "Interval from",
        "conf_high": "Interval to",
        "band_low": "Band from",
        "band_high": "Band to",
        "n_pilots": "n_pilots",
        "n_comparators": "n_comparators",
    }
    rows = []
    for result in evaluation.results.values():
        for name, made in result.estimates.items():
            for row in made.tidy().to_dict("records"):
                mine = {head: row.get(column, np.nan) for column, head in columns.items()}
                rows.append({"Measure": result.metric.label, "Made by": name, **mine})
    frame = pd.DataFrame(rows, columns=pd.Index(["Measure", "Made by", *columns.values()]))
    return frame.loc[:, frame.notna().any()]


def who_tables(evaluation: Evaluation) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List the pilots with their starts, and the comparators."""
    who = evaluation.design.who()
    pilots = who[who["arm"] != "comparator"]
    others = who[who["arm"] == "comparator"]
    left = {"Left": pilots["stop"]} if (pilots["stop"] != "").any() else {}
    first = {"Code": pilots["unit"], "Pilot": pilots["name"], "Start": pilots["start"], **left}
    second = {"Code": others["unit"], "Comparator": others["name"]}
    if evaluation.design.sets is not None:
        second["Pilots served"] = others["pilots_served"]
    return (
        pd.DataFrame(first).reset_index(drop=True),
        pd.DataFrame(second).reset_index(drop=True),
    )


def basis_table(evaluation: Evaluation) -> pd.DataFrame:
    """Say what each measure's change rests on: units, periods, cells without a value, method."""
    frame = evaluation.to_frame()
    return pd.DataFrame(
        {
            "Measure": frame["label"],
            "Pilots": frame["n_pilots"],
            "Comparators": frame["n_comparators"],
            "Periods": frame["first"] + " to " + frame["last"],
            "Cells without value": frame["cells_without_value"],
            "Interval and p by": frame["method"],
        }
    )


def _interval(low: float, high: float) -> str:
    if np.isnan(low) or np.isnan(high):
        return "none"
    return f"{signed(low)} to {signed(high)}"


def _detectable(size: float, percent: float) -> str:
    if np.isnan(size):
        return "not known"
    if np.isinf(size):
        return "none, however large"
    if not np.isfinite(percent):
        return tables.number(size)
    return f"{tables.number(size)} ({percent:.0f}%)"


def sources_table(evaluation: Evaluation) -> pd.DataFrame:
    """List every source file once, with the metrics it serves."""
    sources = evaluation.provenance["sources"]
    rows: dict[tuple[str, ...], list[str]] = {}
    for row in sources.to_dict("records"):
        key = tuple(str(row[name]) for name in ("release", "table", "file", "sha256", "note"))
        rows.setdefault(key, []).append(str(row["metric"]))
    listed = getattr(evaluation.design.against, "neighbours", None)
    if isinstance(listed, Neighbours):
        rows[(listed.release, "neighbours", listed.file, listed.sha256, "")] = ["comparators"]
    return pd.DataFrame(
        [
            {
                "Release": release,
                "Table": table,
                "File": file,
                "SHA-256": sha256,
                "Note": note,
                "Measures": ", ".join(names),
            }
            for (release, table, file, sha256, note), names in rows.items()
        ]
    )


def facts(evaluation: Evaluation) -> dict[str, str]:
    """Provenance that fits on a line each: design, inference, seeds, checks, versions."""
    source = evaluation.provenance
    return {
        "Design": source["design"],
        "How the pilots were selected": source["selection"],
        "Level": f"{source['level'] * 100:g}%",
        "Inference": _by_metric(source["inference"]),
        "Seeds": _by_metric(
            {k: "none drawn" if v is None else str(v) for k, v in source["seeds"].items()}
        ),
        "Checks": _by_metric({k: ", ".join(v) for k, v in source["checks"].items()}),
        "Versions": ", ".join(f"{name} {v}" for name, v in source["versions"].items()),
    }


def _by_metric(found: dict[str, str]) -> str:
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{name}: {value}" for name, value in found.items())


def is_synthetic(evaluation: Evaluation) -> bool:
    """Whether any source says that it is synthetic."""
    return _RELEASE in set(evaluation.provenance["sources"]["release"])


def origin(evaluation: Evaluation) -> str:
    """Say at the top what the data are; that they are synthetic is said once."""
    if is_synthetic(evaluation) and "synthetic" not in evaluation.description.lower():
        return f"{SYNTHETIC} {evaluation.description}".strip()
    return evaluation.description


def attribution(evaluation: Evaluation) -> str:
    """Say whose data these are: only what their sources say."""
    releases = set(evaluation.provenance["sources"]["release"])
    parts = []
    titles = [RELEASES[n].title for n in RELEASES if n in releases and n != _RELEASE]
    if titles:
        parts.append(
            "Contains public sector information licensed under the Open Government Licence v3.0 "
            f"(Department for Education: {'; '.join(titles)})."
        )
    if is_synthetic(evaluation):
        parts.append(SYNTHETIC)
    return " ".join(parts)
