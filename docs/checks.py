"""Write docs/checks.md: every check on the real evaluation, measure by measure.

    python docs/checks.py SHARED

SHARED is the folder with `data`: the published tables and the lists of neighbours. Pictures are
written beside the page, one a measure. It takes some minutes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

import didkit as dk
from didkit.results.tables import number, signed

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import signs_of_safety as example

METRICS = ("cin", "icpc", "cpp", "cla")
TINY = ("201", "420")

HEAD = """\
# Every check, on the real evaluation

Written by `python docs/checks.py SHARED`. Ten pilots of round 2 against the union of their statistical neighbours of
April 2021, start 2018, reporting years 2013 to 2020, as in `examples/signs_of_safety.py`: `DiD()` on every observed
cell, with the inference that the design recommends, then `estimate.checks()`. A check that needs something from the
reader (a margin, outcomes that the programme cannot touch, the choices of a specification curve) is asked for by name
in the last sections. Nothing here is a verdict: each line says what was asked, what was found, and what no answer to
that question can show.

How often each check is wrong where the answer is known: [pre-trends](pre_trends.md), [sensitivity](sensitivity.md),
[bounds](bounds.md), [removals](removals.md), [specification curve](specification_curve.md),
[recording](record_checks.md), [selection](selection.md), [breaks](breaks.md).
"""  # noqa: E501


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("checks.md"))
    asked = parser.parse_args()
    data = asked.shared / "data"
    panel = example.load(data)
    design = example.design(panel, data)
    parts = [HEAD]
    for metric in METRICS:
        parts.append(one_metric(design, metric, asked.out))
    parts.append(who_decides(design))
    parts.append(hidden_cells(panel, data))
    parts.append(by_name(design))
    asked.out.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    print(asked.out.name)
    return 0


def one_metric(design: dk.Design, metric: str, out: Path) -> str:
    """All checks that suit the estimate of one measure."""
    estimate = dk.DiD().fit(design, metric).infer()
    row = estimate.tidy().iloc[0]
    found = estimate.checks()
    picture = out.with_name(f"checks_{metric}.png")
    axes = found.plot()
    axes.figure.savefig(picture, dpi=90, bbox_inches="tight", metadata={"Software": None})
    lines = [
        f"## {estimate.metric.label}",
        "",
        f"{signed(row['estimate'])} {found.unit} ({number(row['conf_low'])} to "
        f"{number(row['conf_high'])}, {estimate.attached.method}, p {row['p_value']:.3f}).",
        "",
        f"![All checks of {estimate.metric.label.lower()}]({picture.name})",
        "",
    ]
    for name, part in found.parts.items():
        lines += [f"* **{name}.** {part.question} {part.headline} *It cannot show:* "
                  f"{part.cannot_show}."]  # fmt: skip
    refused = found.table[found.table["refused"] != ""]
    for _, one in refused.iterrows():
        lines.append(f"* **{one['check']}** was not made: {one['refused']}.")
    lines += ["", *(f"Note: {note}." for note in found.notes), ""]
    return "\n".join(lines)


def who_decides(design: dk.Design) -> str:
    """Which authorities the estimate of children in need rests on, without naming one."""
    estimate = dk.DiD().fit(design, "cin").infer(None)
    pilots = estimate.check(dk.LeaveOneOut())
    smallest = estimate.check(dk.SmallestRemoval())
    cells = estimate.check(dk.DrivingCells())
    return "\n".join(
        [
            "## Who decides the estimate of children in need",
            "",
            "No authority is named in the code of this section.",
            "",
            f"* Leave one out: {pilots.headline}",
            f"* Smallest removal: {smallest.headline}",
            f"* Driving cells: {cells.headline}",
            "",
            table(cells.table.head(10)),
            "",
        ]
    )


def hidden_cells(panel: dk.Panel, data: Path) -> str:
    """Bounds of plans with the two authorities kept in whose cells are mostly hidden."""
    ten = example.design(panel, data)
    kept = dk.Design(
        panel,
        ten.rollout,
        against=dk.Pool(),
        selection="bid",
        exclude={unit: why for unit, why in example.EXCLUDE.items() if unit not in TINY},
    )
    lines = [
        "## Hidden cells of child protection plans",
        "",
        "Every other authority as comparator, with City of London and Isles of Scilly kept in: "
        "most of their cells are hidden.",
        "",
    ]
    for name, estimator in (("every cell", dk.DiD()), ("complete", dk.DiD("complete"))):
        found = estimator.fit(kept, "cpp").infer().check(dk.Bounds())
        lines += [f"* `{estimator!r}` ({name}): {found.headline}", "", table(found.table), ""]
    return "\n".join(lines)


def by_name(design: dk.Design) -> str:
    """The checks that need an argument."""
    lines = ["## Asked for by name", ""]
    for metric, margin in (("cin", 20.0), ("icpc", 5.0), ("cpp", 5.0), ("cla", 5.0)):
        events = dk.EventStudy().fit(design, metric).infer()
        found = events.check(dk.PreTrendEquivalence(margin))
        lines.append(f"* {events.metric.label}, margin {margin:g}: {found.headline}")
    lines.append("")
    choices = dk.SpecificationCurve(
        windows={"from 2015": (2015, 2020)},
        comparators={"every other authority": dk.Pool()},
        estimators={"complete": dk.DiD("complete")},
        pilots={f"without {design.panel.name_of(one)}": [one] for one in design.pilots},
        draws=999,
    )
    for metric in METRICS:
        did = dk.DiD().fit(design, metric).infer()
        found = did.check(choices)
        lines.append(f"* {did.metric.label}: {found.headline}")
    return "\n".join([*lines, ""])


def table(frame: pd.DataFrame) -> str:
    """Write a table as Markdown, with numbers of three digits."""
    shown = frame.copy()
    for column in shown.select_dtypes("number"):
        shown[column] = [number(float(value)) for value in shown[column]]
    head = "| " + " | ".join(map(str, shown.columns)) + " |"
    rule = "| " + " | ".join("---" for _ in shown.columns) + " |"
    rows = ["| " + " | ".join(map(str, row)) + " |" for row in shown.itertuples(index=False)]
    return "\n".join([head, rule, *rows])


if __name__ == "__main__":
    raise SystemExit(main())
