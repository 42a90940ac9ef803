"""How the numbers were made: one line a method, and a paragraph to paste into a report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from didkit.design import Neighbours
from didkit.report.text import check_name, found_with
from didkit.report.words import compared

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation

__all__ = ["methods", "methods_note"]

_ADJUSTED = {
    "holm": "Holm's method",
    "benjamini-hochberg": "the method of Benjamini and Hochberg",
    "romano-wolf": "the step-down of Romano and Wolf, from the same draws for all measures",
    "max-t": "the distribution of the largest t, from the same draws for all measures",
}


def methods(evaluation: Evaluation) -> list[str]:
    """Say how the numbers were made, one line a method."""
    found = _by_method(evaluation)
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
        *filter(None, [_found(evaluation), _multiplicity(evaluation)]),
    ]


def methods_note(evaluation: Evaluation) -> str:
    """Write the methods as one paragraph, from what the estimates say of themselves.

    Parameters
    ----------
    evaluation : Evaluation
        Of `evaluate`.

    Returns
    -------
    str
        Comparison, estimator, cells, inference with its recipe and seed, level, checks,
        multiplicity and versions; to be pasted into a report.

    Examples
    --------
    >>> from didkit.inference import ClusterRobust
    >>> from didkit.report import evaluate
    >>> from didkit.simulate import EvaluationProcess, draw, evaluation_design
    >>> design = evaluation_design(draw(EvaluationProcess(), seed=1))
    >>> note = methods_note(evaluate(design, ["cla"], inference=ClusterRobust("CR2")))
    >>> "difference-in-differences" in note, "CR2" in note
    (True, True)
    """
    source = evaluation.provenance
    versions = ", ".join(f"{name} {v}" for name, v in source["versions"].items())
    said = [
        compared(evaluation),
        _listed(evaluation),
        "The change was estimated by difference-in-differences: two-way fixed effects of "
        "authority and period on every cell with a value, each authority counting once. "
        f"{_cells(evaluation)}",
        _inference(evaluation),
        _beside(evaluation),
        _checks(evaluation),
        _multiplicity(evaluation),
        f"Computed with {versions}.",
    ]
    return " ".join(filter(None, said))


def _found(evaluation: Evaluation) -> str:
    head = found_with(evaluation)
    levels = {
        f"{100 * result.findings['DetectableEffect'].facts['level']:g}%"
        for result in evaluation.results.values()
        if "DetectableEffect" in result.findings
    }
    at = " or ".join(sorted(levels))
    return (
        f"{head}: by a two-sided test at level {at}, a change of that size or more." if at else ""
    )


def _by_method(evaluation: Evaluation) -> dict[str, list[str]]:
    frame = evaluation.to_frame()
    found: dict[str, list[str]] = {}
    for label, method in zip(frame["label"], frame["method"], strict=True):
        found.setdefault(method, []).append(label)
    return found


def _cells(evaluation: Evaluation) -> str:
    """Count the cells used and those without a value, measure by measure."""
    counts = []
    for result in evaluation.results.values():
        facts = result.did.glance().iloc[0]
        counts.append(
            f"{result.metric.label} {int(facts['cells_used']):,} "
            f"({int(facts['cells_without_value']):,})"
        )
    return f"Cells used, and in brackets those without a value: {'; '.join(counts)}."


def _inference(evaluation: Evaluation) -> str:
    """Say how intervals and p were made, with the recipe, the seed and the level."""
    parts = []
    level = f"{evaluation.level * 100:g}% intervals and p-values"
    found = _by_method(evaluation)
    for method, labels in found.items():
        where = "" if len(found) == 1 else f" ({', '.join(labels)})"
        parts.append(f"{level}{where} are by {method}.")
        level = level[:1].lower() + level[1:]
    seeds = {
        result.metric.label: result.did.provenance["seed"]
        for result in evaluation.results.values()
        if result.did.provenance["seed"] is not None
    }
    if len(set(seeds.values())) == 1:
        parts.append(f"Seed: {next(iter(seeds.values()))}.")
    elif seeds:
        parts.append(f"Seeds: {'; '.join(f'{name} {seed}' for name, seed in seeds.items())}.")
    return " ".join(parts)


def _beside(evaluation: Evaluation) -> str:
    """Name the other estimates, and the period that the event study refers to."""
    results = evaluation.results.values()
    said = []
    if any(result.did_complete is not None for result in results):
        said.append("The change was estimated again on authorities observed in every period.")
    if any(result.events is not None for result in results):
        said.append("Period by period it was estimated by an event study.")
    named = _alternatives(evaluation)
    if named:
        said.append(
            "The plan names alternatives, under each of which it was estimated again in the same "
            f"way: {'; '.join(named)}."
        )
    return " ".join(said)


def _alternatives(evaluation: Evaluation) -> list[str]:
    """Name the alternatives of the plan, in order."""
    record = evaluation.record
    if record is None or record.sensitivity.empty:
        return []
    return list(dict.fromkeys(map(str, record.sensitivity["name"])))


def _listed(evaluation: Evaluation) -> str:
    """Name the published list of neighbours that comparators come from."""
    listed = getattr(evaluation.design.against, "neighbours", None)
    if not isinstance(listed, Neighbours) or not listed.release:
        return ""
    return f"The neighbours are those of the list of {listed.release}."


def _checks(evaluation: Evaluation) -> str:
    named = dict.fromkeys(
        repr(finding.check)
        for result in evaluation.results.values()
        for finding in result.findings.values()
    )
    refused = dict.fromkeys(
        check_name(what) for result in evaluation.results.values() for what in result.refused
    )
    said = f"Checks: {', '.join(named)}." if named else "No check was made."
    return f"{said} Refused for some measure: {', '.join(refused)}." if refused else said


def _multiplicity(evaluation: Evaluation) -> str:
    """Say whether p-values are adjusted, and what several measures do where they are not."""
    n, record = len(evaluation.results), evaluation.record
    made = record is not None and any(map(math.isfinite, record.adjusted.values()))
    if made and record is not None and record.multiplicity in _ADJUSTED:
        return (
            f"p-values are adjusted by {_ADJUSTED[record.multiplicity]} within the primary and "
            "within the secondary measures; intervals are not adjusted."
        )
    if n < 2:
        return ""
    return (
        f"{n} measures are tested, none adjusted for that: where no measure changes, one or more "
        f"of {n} intervals misses zero in up to {1 - evaluation.level**n:.0%} of evaluations "
        "(independent measures)."
    )
