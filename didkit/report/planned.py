"""The planned column of the protocol table: what a plan says of each item, before the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from didkit.check import DetectableEffect, Variation
from didkit.report.plan_comparators import in_words
from didkit.report.plan_specifications import in_words as specifications_in_words
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.report.plan import Plan
    from didkit.report.plan_parts import Variant

__all__ = ["CURVE", "SHORT", "SILENT", "called", "other_in_words", "pairs", "planned"]

SILENT = "not planned"
CURVE = "Specification curve"
SHORT = 12  # hexadecimal digits of a hash that readers compare


def planned(plan: Plan) -> dict[str, str]:
    """Return what the plan says of each item; items that hold a metric are not split yet."""
    said, metrics = plan.statements, plan.metrics
    who, window = plan.comparators, plan.window
    starts = sorted(set(plan.pilots.starts.values()))
    reasons: dict[str, list[str]] = {}
    for unit, reason in who.exclude.items():
        reasons.setdefault(reason, []).append(unit)
    excluded = "; ".join(f"{', '.join(units)} ({reason})" for reason, units in reasons.items())
    smallest = "; ".join(
        f"{name} {tables.number(size)}"
        + (f" ({metrics.direction[name]})" if name in metrics.direction else "")
        for name, size in metrics.smallest_effect.items()
    )
    method = plan.inference.method
    checks = {type(one).__name__: repr(one) for one in plan.checks}
    sensitive = [
        checks[one] for one in ("LeaveOneOut", "PlaceboPilots", "PlaceboStart") if one in checks
    ]
    periods = f"{window.first} to {window.last}" if window.first else "every period of the data"

    def joined(*found: str) -> str:
        return "; ".join(one.rstrip(". ") for one in found if one) or SILENT

    return {
        "Question": plan.question,
        "Estimand": plan.estimand,
        "Plan": f"{plan.title}; SHA-256 {plan.digest[:SHORT]}…",
        "Pilots": joined(
            f"{len(plan.pilots.starts)} ({', '.join(plan.pilots.starts)}), start "
            f"{', '.join(starts)}; selection: {plan.pilots.selection}",
            plan.pilots.reason,
            f"stop: {pairs(plan.pilots.stops)}" if plan.pilots.stops else "",
            "as treated: what follows a stop is left out" if plan.pilots.treatment else "",
            f"first exposed: {pairs(plan.pilots.first_exposed)}"
            if plan.pilots.first_exposed
            else "",
            f"use the practice outside the programme: {_since(plan.pilots.contaminated)}"
            if plan.pilots.contaminated
            else "",
        ),
        "Comparators": joined(
            in_words(who),
            "other pilots among them" if who.include_pilots else "",
            f"left out: {excluded}" if excluded else "none left out by name",
        ),
        "Window": joined(
            periods, f"rises counted from {' to '.join(window.between)}" if window.between else ""
        ),
        "Data": joined(
            *(file.path for file in plan.data.files),
            *(f"{one.metric} computed over {one.denominator}" for one in plan.data.rates),
        ),
        "Metrics": joined(
            f"primary: {', '.join(metrics.primary)}",
            f"secondary: {', '.join(metrics.secondary)}" if metrics.secondary else "",
        ),
        "Smallest effect of interest": joined(smallest, metrics.smallest_effect_reason),
        "Inference": joined(
            "as the design recommends" if method is None else repr(method),
            f"level {plan.inference.level:g}",
            f"strata: {plan.inference.strata}" if plan.inference.strata else "",
            f"clusters: {plan.inference.clusters}" if plan.inference.clusters else "",
        ),
        "Multiplicity": joined(
            f"{plan.multiplicity}, inside the primary and inside the secondary metrics"
            if plan.multiplicity != "none"
            else "no adjustment",
            said.get("multiplicity", ""),
        ),
        "Units and cells": said.get("units", SILENT),
        "Missing data": said.get("missing", SILENT),
        "Likeness of the comparators": who.reason or SILENT,
        "Balance before the start": said.get("balance", SILENT),
        "Selection of the pilots": joined(
            plan.pilots.selection.replace("_", " "), plan.pilots.reason
        ),
        "Intra-cluster correlation": said.get("icc", SILENT),
        "Smallest detectable effect": joined(
            checks.get("DetectableEffect", ""), said.get("detectable_effect", "")
        ),
        "Pre-trends": joined(checks.get("PreTrends", ""), said.get("pre_trends", "")),
        "Sensitivity": joined("; ".join(sensitive), said.get("sensitivity", "")),
        "Few clusters": said.get("few_clusters", SILENT),
        **{
            f"Estimate and p-value: {name}": joined(
                "primary" if name in metrics.primary else "secondary",
                f"expected: {metrics.direction[name]}" if name in metrics.direction else "",
            )
            for name in plan.all_metrics
        },
        **{f"Smallest detectable effect: {name}": words for name, words in _power(plan).items()},
        **{called(one.name): other_in_words(one) for one in plan.sensitivity},
        **({CURVE: specifications_in_words(plan)} if plan.specifications else {}),
        "Deviations": said.get("deviations_allowed", SILENT),
        **({"Notes": said["notes"]} if "notes" in said else {}),
    }


def pairs(stops: Mapping[str, Any]) -> str:
    """Write when each pilot left."""
    return ", ".join(f"{unit} in {period}" for unit, period in sorted(stops.items()))


def other_in_words(variant: Variant) -> str:
    """Say in words what an alternative changes."""
    words = [
        f"without {', '.join(variant.without)}" if variant.without else "",
        f"comparators without {', '.join(variant.exclude)}" if variant.exclude else "",
        f"{variant.first} to {variant.last}" if variant.first else "",
        f"start {variant.start}" if variant.start else "",
        variant.treatment.replace("_", " "),
        f"against {in_words(variant.comparators)}" if variant.comparators is not None else "",
    ]
    return "; ".join(one for one in words if one)


def called(alternative: str) -> str:
    """Name the row of an alternative."""
    return f"Alternative ({alternative})"


def _since(contaminated: Mapping[str, str]) -> str:
    """Write since when units use the practice, those of one period together."""
    together: dict[str, list[str]] = {}
    for unit, period in sorted(contaminated.items()):
        together.setdefault(f"since {period}" if period else "throughout", []).append(unit)
    return ", ".join(f"{', '.join(units)} {when}" for when, units in together.items())


def _power(plan: Plan) -> dict[str, str]:
    """Say what could be found with the noise that the plan assumes, metric by metric."""
    part, made = plan.power, {}
    check = DetectableEffect(power=part.power, level=plan.inference.level)
    for metric, noise in part.assumed.items():
        found = check.expected(
            Variation.from_icc(noise.sd, noise.icc, noise.ar1),
            pilots=len(plan.pilots.starts),
            comparators=part.comparators,
            before=part.before,
            after=part.after,
        )
        made[metric] = (
            f"{tables.number(float(found.facts['detectable']))} with {part.power * 100:g}% "
            f"probability: {len(plan.pilots.starts)} pilots, {part.comparators} comparators, "
            f"{part.before} periods before and {part.after} from the start on; assumed sd "
            f"{noise.sd:g}, icc {noise.icc:g}, ar1 {noise.ar1:g}"
            + (f"; {part.reason}" if part.reason else "")
        )
    return made
