"""The report as Markdown, and what every form of it shares: its tables, notes and attribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from didkit.design import Neighbours
from didkit.read import RELEASES
from didkit.report.words import compared, sentences, share_text, short, signed, truths
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation

__all__ = [
    "SYNTHETIC",
    "attribution",
    "basis_table",
    "caption",
    "check_name",
    "complete_table",
    "facts",
    "is_synthetic",
    "methods",
    "notes_by_part",
    "reader_table",
    "sources_table",
    "title",
    "to_markdown",
]

SYNTHETIC = "The data are synthetic: no authority, child or number is real."
_RELEASE = "synthetic"  # as didkit.simulate names it
_NAMES = {
    "PreTrends": "Before the start",
    "PlaceboStart": "A start that never was",
    "PlaceboPilots": "Placebo pilots",
    "LeaveOneOut": "Leaving one out",
    "DetectableEffect": "What could have been found",
    "EventStudy": "Event study",
    "DiD(cells='complete')": "Change on authorities observed in every period",
    "Gap(by='period')": "Gap by period",
}


_ARMS = ("Pilots", "Comparators")


def title(evaluation: Evaluation) -> str:
    """Name the report."""
    labels = [result.metric.label for result in evaluation.results.values()]
    question = "How much of the difference was there before?"
    return f"{question} {labels[0]}" if len(labels) == 1 else question


def reader_table(evaluation: Evaluation) -> pd.DataFrame:
    """Write the numbers of `Evaluation.to_frame` as text under headings for readers."""
    number, frame = tables.number, evaluation.to_frame()
    level = f"{evaluation.level * 100:g}% interval"
    rows = []
    for row in frame.to_dict("records"):
        share = row["share_before"]
        made = {
            "Measure": f"{row['label']}, {row['unit']}" if row["unit"] else row["label"],
            "Gap before": signed(row["gap_before"]),
            "Gap after": signed(row["gap_after"]),
            "There before": "sign turned" if np.isnan(share) else share_text(share),
            "Change": signed(row["change"]),
            level: _interval(row["conf_low"], row["conf_high"]),
            "p": tables.p_value(row["p_value"]),
            "Found with 80% probability": _detectable(row["detectable"], row["detectable_percent"]),
        }
        if "truth" in row:
            made["True effect"] = signed(row["truth"])
        made["Pilots before"] = number(row["pilots_before"])
        made["Comparators before"] = number(row["comparators_before"])
        rows.append(made)
    return pd.DataFrame(rows)


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


def caption(evaluation: Evaluation) -> str:
    """Say how to read the table of measures."""
    return (
        "Gap: mean of pilots less mean of comparators, each authority counted once. There before: "
        "share of the gap afterwards that was there before. Change: difference-in-differences "
        f"with its {evaluation.level * 100:g}% interval; where cells are missing or starts are "
        "staggered it need not be the difference of the two gaps. Found with 80% probability: the "
        "change that would have been, also in per cent of the comparators' level."
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
    if not np.isfinite(percent):
        return tables.number(size)
    return f"{tables.number(size)} ({percent:.0f}%)"


def methods(evaluation: Evaluation) -> list[str]:
    """Say how the numbers were made, one line a method."""
    frame = evaluation.to_frame()
    found: dict[str, list[str]] = {}
    for label, method in zip(frame["label"], frame["method"], strict=True):
        found.setdefault(method, []).append(label)
    n = len(frame)
    return [
        "Gap: means of pilots less means of comparators before and after the start; each authority "
        "counts once. It is no effect.",
        "Change: difference-in-differences by two-way fixed effects on every cell with a value. "
        "It is the effect on the pilots if both arms would have changed alike without the "
        "programme.",
        *(
            f"Interval and p: {method}" + ("." if len(found) == 1 else f" ({', '.join(labels)}).")
            for method, labels in found.items()
        ),
        "Found with 80% probability: by a two-sided test at the report's level, were the change "
        "of that size.",
        *(
            [
                f"{n} measures are tested, none adjusted for that: where no measure changes, "
                f"one or more of {n} intervals misses zero in up to "
                f"{1 - evaluation.level**n:.0%} of evaluations (independent measures)."
            ]
            if n > 1
            else []
        ),
    ]


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
        "Seeds": _by_metric({k: str(v) for k, v in source["seeds"].items()}),
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


def to_markdown(evaluation: Evaluation) -> str:
    """Write the report as Markdown, without pictures; everything escaped."""
    lines = [f"# {_safe(title(evaluation))}", "", _safe(compared(evaluation)), ""]
    lines += [_safe(evaluation.description), ""] if evaluation.description else []
    lines += [_table(reader_table(evaluation)), "", _safe(caption(evaluation)), ""]
    lines += [_safe(truths(evaluation)), ""] if truths(evaluation) else []
    lines += ["On authorities observed in every period:", ""]
    lines += [_table(complete_table(evaluation)), "", "## In short", ""]
    lines += [*(f"- {_safe(short(evaluation, name))}" for name in evaluation.metrics), ""]
    lines += ["## In words", ""]
    for name, result in evaluation.results.items():
        lines += [f"### {_safe(result.metric.label)}", ""]
        for question, answer in sentences(evaluation, name).items():
            lines += [f"**{question}.** {_safe(answer)}", ""]
    checks = evaluation.checks()
    checks["metric"] = [evaluation[name].metric.label for name in checks["metric"]]
    checks["check"] = checks["check"].map(check_name)
    checks.columns = pd.Index(["Measure", "Check", "Question", "Found"])
    lines += ["## Checks", "", _table(checks), ""]
    lines += ["## How it was made", "", _table(basis_table(evaluation)), ""]
    lines += [*(f"- {_safe(one)}" for one in methods(evaluation)), ""]
    lines += ["## Notes", ""]
    for part, notes in notes_by_part(evaluation).items():
        lines += [f"### {part}", "", *(f"- {_safe(note)}" for note in notes), ""]
    lines += ["## Provenance", "", _table(sources_table(evaluation)), ""]
    lines += [f"- {name}: {_safe(value)}" for name, value in facts(evaluation).items()]
    whose = attribution(evaluation)
    return "\n".join([*lines, *(["", _safe(whose)] if whose else []), ""])


def _table(frame: pd.DataFrame) -> str:
    """Write a frame as a Markdown table in which a name cannot be a link either."""
    rows = [[str(column) for column in frame.columns], *tables.cells(frame)]
    lines = [f"| {' | '.join(map(_safe, row))} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(frame.columns), *lines[1:]])


def _safe(text: str) -> str:
    """Escape what Markdown or HTML would act on."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    for letter in "\\`*_[]|#":
        safe = safe.replace(letter, f"\\{letter}")
    return safe
