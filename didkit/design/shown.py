"""A design for a notebook: who, when, against whom, and who is missing when."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from didkit.errors import first_few
from didkit.markup import items, more, page, paragraph, shortened, table

if TYPE_CHECKING:
    from didkit.design.design import Design

__all__ = ["counted", "to_html"]

_SHOWN = 8  # gaps in a notebook
_NAMED = 12  # pilots
_LONGEST = 160


def counted(n: int, word: str) -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> counted(1, "pilot"), counted(1200, "comparator")
    ('1 pilot', '1,200 comparators')
    """
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def to_html(design: Design) -> str:
    """Write a design as HTML: its choices, its gaps in short, its notes."""
    begun = Counter(design.starts.values())
    starts = [f"{begun[period]} in {period}" for period in design.periods if period in begun]
    names = [shortened(design.panel.name_of(unit), 40) for unit in design.pilots]
    choices = {
        "pilots": first_few(names, _NAMED),
        "starts": ", ".join(starts),
        "against": shortened(design.against.describe(), _LONGEST),
        "selection": design.selection.replace("_", " "),
        **(
            {"treatment": "as treated: from its start until a pilot left"}
            if design.treatment == "as_treated"
            else {}
        ),
        "window": f"{design.periods[0]} to {design.periods[-1]} ({len(design.periods)} periods)",
    }
    pilots, comparators = len(design.pilots), len(design.comparators)
    title = f"Design · {counted(pilots, 'pilot')}, {counted(comparators, 'comparator')}"
    return page(
        table(("choice", "made"), list(choices.items()), caption=title, named=True),
        _gaps(design),
        items(design.notes),
        paragraph("See who(), reuse() and audit()."),
    )


def _gaps(design: Design) -> str:
    """Who has no value when: one row for all the metrics that the same units lack."""
    audit = design.audit()
    lacking = audit[audit["with_value"] < audit["units"]]
    if lacking.empty:
        return paragraph("Every pilot and comparator has a value in every period.")
    found: dict[tuple[str, str, str], list[str]] = {}
    for line in lacking.sort_values("period", kind="stable").to_dict("records"):
        found.setdefault((line["period"], line["arm"], line["missing"]), []).append(line["metric"])
    rows = [
        [period, arm, _named(design, missing), shortened(first_few(metrics, 3), 80)]
        for (period, arm, missing), metrics in list(found.items())[:_SHOWN]
    ]
    head = ("period", "arm", "without a value", "metrics")
    return table(head, rows, caption="Who is missing when", named=True) + paragraph(
        more(len(found) - len(rows), "row")
    )


def _named(design: Design, missing: str) -> str:
    """Name the first few units of a list of ids."""
    units = missing.split(", ")
    return first_few([shortened(design.panel.name_of(unit), 40) for unit in units], 3)
