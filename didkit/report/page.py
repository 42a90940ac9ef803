"""The report as one self-contained page: no network, no script, everything escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd

from didkit.report.text import (
    SYNTHETIC,
    attribution,
    basis_table,
    caption,
    check_name,
    complete_table,
    facts,
    is_synthetic,
    methods,
    notes_by_part,
    reader_table,
    sources_table,
    title,
)
from didkit.report.words import compared, sentences, short, truths
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.report.evaluation import Evaluation
    from didkit.report.pictures import Picture

__all__ = ["main_table", "to_html"]

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #595959; --paper: #fff; --line: #d0d0d0;
  --band: #f4f4f1; --link: #005a8e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e6; --soft: #b4b4b0; --paper: #1b1c1e;
  --line: #47494d; --band: #26282b; --link: #8cc8f2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1.25rem 4rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, "Segoe UI", "Liberation Sans", sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.08rem; margin: 1.5rem 0 .35rem; }
p, li, dd { max-width: 46rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .wide:focus-visible { outline: 3px solid var(--link);
  outline-offset: 2px; }
.soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; line-height: 1.35; }
figcaption { color: var(--soft); font-size: .875rem; line-height: 1.4; padding-bottom: .4rem;
  max-width: 46rem; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
tbody th { min-width: 9rem; font-weight: 600; }
thead th { vertical-align: bottom; background: var(--band); }
th.n { text-align: right; }
footer { margin-top: 2.5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.long { overflow-wrap: anywhere; min-width: 9rem; }
figure { margin: 0; }
figure.table { margin: .75rem 0 1.25rem; }
.pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit,
  minmax(min(26rem, 100%), 1fr));
  margin: .75rem 0; }
.pictures img { display: block; width: 100%; height: auto; background: #fff;
  border: 1px solid var(--line); border-radius: 4px; padding: .35rem; }
details { margin: .4rem 0; }
summary { cursor: pointer; color: var(--link); }
dt { font-weight: 600; margin-top: .5rem; }
dd { margin: 0; overflow-wrap: anywhere; }
nav ul { padding: 0; margin: .75rem 0; list-style: none; display: flex; flex-wrap: wrap;
  gap: .25rem 1.25rem; }
.checks dd + dt { margin-top: .9rem; }
.checks dd .soft { display: block; }
@media (max-width: 40rem) {
  body { padding: 1rem .9rem 3rem; }
  h1 { font-size: 1.4rem; }
  table { font-size: .8125rem; }
  th, td { padding: .35rem .45rem; }
  tbody th { min-width: 6.5rem; }
}
@page { size: A4; margin: 15mm 13mm; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --line: #999;
    --band: #eee; --link: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h1, h2, h3, dt, figcaption, summary { break-after: avoid; }
  tr, dd, li, .pictures figure { break-inside: avoid; }
  thead { display: table-header-group; }
  .wide { overflow: visible; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  summary { list-style: none; color: var(--ink); }
  table { font-size: 7.5pt; }
  th, td { padding: .2rem .3rem; }
  td.long, tbody th { min-width: 0; }
  figcaption { font-size: 8.5pt; }
  .pictures { grid-template-columns: 1fr 1fr; }
}
"""

_KIND = {"n": ' class="n"', "long": ' class="long"', "": ""}
_HEADS = {
    "when": "When",
    "pilots": "Pilots",
    "comparators": "Comparators",
    "gap": "Gap",
    "period": "Period",
    "counterfactual": "Pilots, had they moved with comparators",
    "n_pilots": "Pilots with a value",
    "n_comparators": "Comparators with a value",
    "label": "Period, and periods since the start",
    "phase": "When",
    "estimate": "Gap less the reference's gap",
    "conf_low": "Interval from",
    "conf_high": "Interval to",
}
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_PICTURES = {
    "gap": "The gap before and after",
    "trends": "Trends",
    "events": "Event study",
}


def to_html(evaluation: Evaluation) -> str:
    """Write the page. Authority names, labels, notes and file names do nothing but be read."""
    now = datetime.now(UTC)
    made, read = now.isoformat(timespec="seconds"), _time(now)
    known = truths(evaluation)
    pictures: dict[str, list[Picture]] = {}
    for picture in evaluation.pictures():
        pictures.setdefault(picture.metric, []).append(picture)
    name = html.escape(title(evaluation))
    whose = attribution(evaluation)
    body = [
        "<header>",
        f"<h1>{name}</h1>",
        f"<p>{html.escape(compared(evaluation))}</p>",
        f"<p><strong>{html.escape(SYNTHETIC)}</strong></p>" if is_synthetic(evaluation) else "",
        f"<p>{html.escape(evaluation.description)}</p>" if evaluation.description else "",
        f'<p class="soft">Made by didkit on <time datetime="{made}">{read}</time>.</p>',
        "</header>",
        _contents(evaluation),
        "<main>",
        '<h2 id="table">The answer in one table</h2>',
        main_table(evaluation),
        f"<p>{html.escape(known)}</p>" if known else "",
        _table(
            complete_table(evaluation),
            "The change on authorities observed in every period",
            numeric=tuple(complete_table(evaluation).columns[1:]),
            head=True,
        ),
        '<h2 id="words">In short</h2>',
        _list(short(evaluation, metric) for metric in evaluation.metrics),
        *(_metric(evaluation, metric, pictures.get(metric, [])) for metric in evaluation.metrics),
        '<h2 id="who">Who is compared with whom</h2>',
        _who(evaluation),
        '<h2 id="how">How it was made</h2>',
        _table(basis_table(evaluation), "What each change rests on", head=True),
        _list(methods(evaluation)),
        '<h2 id="notes">Notes</h2>',
        *(
            f"<h3>{html.escape(part)}</h3>{_list(notes)}"
            for part, notes in notes_by_part(evaluation).items()
        ),
        '<h2 id="provenance">Provenance</h2>',
        _table(
            sources_table(evaluation),
            "Source files, with the hashes of their bytes",
            long=("File", "SHA-256", "Note", "Measures"),
        ),
        _facts(evaluation),
        "</main>",
        f"<footer><p>{html.escape(whose)}</p></footer>" if whose else "",
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "style-src 'unsafe-inline'; img-src data:\">",
            f"<title>{name}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *(part for part in body if part),
            "</body>",
            "</html>",
            "",
        ]
    )


def main_table(evaluation: Evaluation) -> str:
    """Write the table of metrics as HTML."""
    frame = reader_table(evaluation)
    return _table(frame, caption(evaluation), numeric=tuple(frame.columns[1:]), head=True)


def _time(now: datetime) -> str:
    """Write a time for readers, whatever the locale."""
    return f"{now.day} {_MONTHS[now.month - 1]} {now.year}, {now:%H:%M} UTC"


def _contents(evaluation: Evaluation) -> str:
    links = [("table", "Table"), ("words", "In short")]
    links += [(f"m-{i}", evaluation[m].metric.label) for i, m in enumerate(evaluation.metrics)]
    links += [("who", "Who"), ("how", "How"), ("notes", "Notes"), ("provenance", "Provenance")]
    items = "".join(f'<li><a href="#{at}">{html.escape(name)}</a></li>' for at, name in links)
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>'


def _words(evaluation: Evaluation, metric: str) -> str:
    answers = "".join(
        f"<dt>{html.escape(question)}</dt><dd>{html.escape(answer)}</dd>"
        for question, answer in sentences(evaluation, metric).items()
    )
    return f"<dl>{answers}</dl>"


def _metric(evaluation: Evaluation, metric: str, pictures: list[Picture]) -> str:
    """Write the section of one metric: pictures, estimates, checks, what was refused."""
    result = evaluation[metric]
    at = evaluation.metrics.index(metric)
    parts = [
        f'<h2 id="m-{at}">{html.escape(result.metric.label)}</h2>',
        _words(evaluation, metric),
        f'<div class="pictures">{"".join(_figure(picture) for picture in pictures)}</div>',
        "<h3>Numbers behind the pictures</h3>",
    ]
    parts += [
        f"<details><summary>{_PICTURES[picture.kind]}</summary>"
        f"{_table(_readable(picture), picture.title, heads=_HEADS)}</details>"
        for picture in pictures
    ]
    parts.append("<h3>Checks: how fragile is it?</h3>")
    checks = evaluation.checks()
    mine = checks[checks["metric"] == metric]
    found = "".join(
        f"<dt>{html.escape(check_name(row['check']))}</dt>"
        f'<dd><span class="soft">{html.escape(row["question"])}</span>'
        f"{html.escape(row['found'])}</dd>"
        for row in mine.to_dict("records")
    )
    parts.append(f'<dl class="checks">{found}</dl>')
    return "\n".join(parts)


def _readable(picture: Picture) -> pd.DataFrame:
    """Return the frame behind a picture without what only the drawing needs."""
    data = picture.data
    if picture.kind != "events":
        return data
    label = data["label"].str.replace("\n", ", ")
    timed = label.str.contains(", ").any()  # otherwise starts differ: no period of its own
    shown = data.drop(columns=["term", "position", "label"])
    shown.insert(0, "label" if timed else "Periods since the start", label)
    return shown


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    alt = html.escape(picture.alt, quote=True)
    return f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"></figure>'


def _who(evaluation: Evaluation) -> str:
    who = evaluation.design.who()
    pilots = who[who["arm"] != "comparator"]
    others = who[who["arm"] == "comparator"]
    first = pd.DataFrame(
        {
            "Code": pilots["unit"],
            "Pilot": pilots["name"],
            "Start": pilots["start"],
            "Left": pilots["stop"],
        }
    )
    second = pd.DataFrame({"Code": others["unit"], "Comparator": others["name"]})
    return (
        _table(first, f"{len(first)} pilots")
        + f"<details><summary>{len(second)} comparators</summary>"
        + _table(second, "Comparators")
        + "</details>"
    )


def _facts(evaluation: Evaluation) -> str:
    items = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
        for name, value in facts(evaluation).items()
    )
    return f"<dl>{items}</dl>"


def _list(items: Iterable[str]) -> str:
    found = "".join(f"<li>{html.escape(item)}</li>" for item in items)
    return f"<ul>{found}</ul>" if found else "<p>None.</p>"


def _table(
    frame: pd.DataFrame,
    caption: str,
    *,
    numeric: tuple[str, ...] = (),
    long: tuple[str, ...] = (),
    head: bool = False,
    heads: Mapping[str, str] | None = None,
) -> str:
    """Write a frame as a table with caption and scope, every cell escaped.

    The caption stands outside the box that scrolls, so that it wraps on a phone.
    """
    kinds = [
        "n"
        if name in numeric or pd.api.types.is_numeric_dtype(frame.dtypes.iloc[i])
        else "long"
        if name in long
        else ""
        for i, name in enumerate(frame.columns)
    ]
    top = "".join(
        f'<th scope="col"{_KIND[kind]}>{html.escape((heads or {}).get(str(name), str(name)))}</th>'
        for name, kind in zip(frame.columns, kinds, strict=True)
    )
    rows = []
    for cells in tables.cells(frame):
        made = []
        for i, (cell, kind) in enumerate(zip(cells, kinds, strict=True)):
            text = html.escape(cell)
            if head and i == 0:
                made.append(f'<th scope="row">{text}</th>')
            else:
                made.append(f"<td{_KIND[kind]}>{text}</td>")
        rows.append(f"<tr>{''.join(made)}</tr>")
    name = html.escape(caption)
    return (
        f'<figure class="table"><figcaption>{name}</figcaption>'
        f'<div class="wide" role="region" aria-label="{name}" tabindex="0"><table>'
        f"<thead><tr>{top}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></figure>"
    )
