"""The report as one self-contained page: no network, no script, everything escaped."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from didkit.report.first_page import first_page
from didkit.report.html_table import html_table
from didkit.report.methods import methods, methods_note
from didkit.report.pictures import Album, Picture, kind_name
from didkit.report.protocol import deviation_table, protocol_table
from didkit.report.readouts import readable
from didkit.report.text import (
    attribution,
    basis_table,
    caption,
    check_name,
    complete_table,
    facts,
    notes_by_part,
    origin,
    reader_table,
    rows_table,
    sensitivity_table,
    sources_table,
    title,
    who_tables,
)
from didkit.report.words import frozen_in_words, sentences

if TYPE_CHECKING:
    from markupsafe import Markup

    from didkit.report.evaluation import Evaluation

__all__ = ["to_html"]

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


_BROAD = ("forest",)  #: tables of sentences, which need the width of the page


@dataclass(frozen=True)
class _Shown:
    """A picture as the template needs it."""

    name: str
    id: str
    source: str
    alt: str
    size: tuple[int, int]
    points: int
    note: str
    table: Markup
    broad: bool


@dataclass(frozen=True)
class _Section:
    """One metric as the template needs it."""

    id: str
    label: str
    words: dict[str, str]
    pictures: list[_Shown]
    broad: list[_Shown]
    refused: list[str]
    checks: list[tuple[str, str, str, str]]


def to_html(evaluation: Evaluation) -> str:
    """Write the page. Authority names, labels, notes and file names do nothing but be read."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("didkit.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["bind"] = _bind
    return environment.get_template("page.html.j2").render(**_content(evaluation))


def _bind(text: str) -> str:
    """Keep a p-value on one line."""
    return re.sub(r"\bp ([=<]) (?=[.\d])", "p\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", text)


def _content(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that the template shows, in its order."""
    now = datetime.now(UTC)
    album = evaluation.album()
    answers = reader_table(evaluation)
    complete = complete_table(evaluation)
    pilots, comparators = who_tables(evaluation)
    who = [
        *album.of("", "rollout", "love", "neighbour_graph", "reuse"),
        *(p for name in evaluation.metrics for p in album.of(name, "missing")),
    ]
    metrics = [_metric(evaluation, i, album) for i in range(len(evaluation.metrics))]
    return {
        "title": title(evaluation),
        "origin": origin(evaluation),
        "made": now.isoformat(timespec="seconds"),
        "read": _time(now),
        "answers": first_page(evaluation),
        "overview": _shown(evaluation, album.of("", "overview")),
        "overall_refused": _refused(album, ""),
        "main_table": html_table(
            answers,
            caption(evaluation),
            name="t-answer",
            numeric=tuple(name for name in answers.columns[1:] if name != "Role"),
            head=True,
            keep=True,
        ),
        "complete_table": html_table(
            complete,
            "The change on authorities observed in every period",
            name="t-complete",
            numeric=tuple(complete.columns[1:]),
            head=True,
            keep=True,
        ),
        "other_table": _alternatives(evaluation),
        "metrics": metrics,
        "pilots": html_table(pilots, f"{len(pilots)} pilots", name="t-pilots"),
        "n_comparators": len(comparators),
        "comparators": html_table(comparators, "Comparators", name="t-comparators"),
        "who": _shown(evaluation, [one for one in who if not one.only_words]),
        "who_said": [one.title for one in who if one.only_words],
        "note": methods_note(evaluation),
        "basis": html_table(
            basis_table(evaluation),
            "What each change rests on",
            name="t-basis",
            head=True,
            keep=True,
        ),
        "methods": methods(evaluation),
        "plan": _plan(evaluation),
        "rows": html_table(
            rows_table(evaluation), "Every term of every estimate", name="t-rows", head=True
        ),
        "n_rows": len(evaluation.tidy()),
        "notes": notes_by_part(evaluation),
        "sources": html_table(
            sources_table(evaluation),
            "Source files, with the hashes of their bytes",
            name="t-sources",
            breakable=True,
        ),
        "facts": facts(evaluation),
        "attribution": attribution(evaluation),
    }


def _alternatives(evaluation: Evaluation) -> Markup | None:
    """Write the change under each planned alternative; None without any."""
    frame = sensitivity_table(evaluation)
    if frame.empty:
        return None
    words = ("Measure", "Alternative", "Refused because")
    return html_table(
        frame,
        "The change with the alternatives that the plan names",
        name="t-alternatives",
        numeric=tuple(name for name in frame.columns if name not in words),
        head=True,
        keep=True,
    )


def _time(now: datetime) -> str:
    """Write a time for readers, whatever the locale."""
    return f"{now.day} {_MONTHS[now.month - 1]} {now.year}, {now:%H:%M} UTC"


def _metric(evaluation: Evaluation, at: int, album: Album) -> _Section:
    """Collect the section of one metric: words, pictures, checks, what was refused."""
    metric = evaluation.metrics[at]
    checks = evaluation.checks()
    mine = checks[checks["metric"] == metric].to_dict("records")
    drawn = [one for one in album.of(metric) if one.kind != "missing"]
    shown = _shown(evaluation, drawn)
    return _Section(
        id=f"m-{at}",
        label=evaluation[metric].metric.label,
        words=sentences(evaluation, metric),
        pictures=shown,
        broad=[one for one in shown if one.broad],
        refused=_refused(album, metric),
        checks=[
            (check_name(row["check"]), row["question"], row["found"], row["cannot_show"])
            for row in mine
        ],
    )


def _refused(album: Album, metric: str) -> list[str]:
    return [
        f"{kind_name(kind)}: {reason}."
        for (whose, kind), reason in album.refused.items()
        if whose == metric
    ]


def _shown(evaluation: Evaluation, pictures: tuple[Picture, ...] | list[Picture]) -> list[_Shown]:
    """Make pictures ready for the template, each with its data as a table."""
    made = []
    for picture in pictures:
        label = evaluation[picture.metric].metric.label if picture.metric else ""
        at = f"p-{evaluation.metrics.index(picture.metric)}" if picture.metric else "p"
        at = f"{at}-{picture.kind.replace('_', '-')}"
        frame, heads = readable(picture.kind, picture.data)
        name = kind_name(picture.kind)
        made.append(
            _Shown(
                name=f"{name}: {label}" if picture.kind == "missing" else name,
                id=at,
                source=f"data:image/png;base64,{base64.b64encode(picture.png).decode('ascii')}",
                alt=picture.alt,
                size=picture.size,
                points=round(picture.width),
                note=picture.note,
                table=_data_table(frame, picture, label, heads, at),
                broad=picture.kind in _BROAD,
            )
        )
    return made


def _data_table(
    frame: pd.DataFrame, picture: Picture, label: str, heads: dict[str, str], at: str
) -> Markup:
    title = f"{label}: {picture.title}" if label else picture.title
    if picture.kind == "missing":
        title += ". Where a cell is blank the value is observed"
    if picture.kind == "rollout":
        title += ". Where a cell is blank the authority is untreated"
    head = picture.kind in _BROAD
    numeric = ("estimate", "interval") if head else ()
    return html_table(frame, title, name=f"{at}-data", heads=heads, head=head, numeric=numeric)


def _plan(evaluation: Evaluation) -> dict[str, Any] | None:
    """Collect the plan: deviations first, then the protocol; None without a plan."""
    record = evaluation.record
    if record is None:
        return None
    deviations = deviation_table(record)
    return {
        "frozen": frozen_in_words(record),
        "digest": record.digest,
        "n_deviations": len(deviations),
        "deviations": html_table(
            deviations, "Everything that is not as planned", name="t-deviations", breakable=True
        ),
        "protocol": html_table(
            protocol_table(evaluation),
            "The protocol: what was planned, and what was done",
            name="t-protocol",
            head=True,
            breakable=True,
        ),
        "notes": list(record.notes),
    }
