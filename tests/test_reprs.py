"""What a notebook shows of a panel, a design, an estimate and a finding."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, frame_of, noise

import didkit as dk
from didkit.markup import items, more, number, page, paragraph, shortened, table

LARGEST = 10_000  # bytes
NASTY = '<script>alert("1")</script> & <b>'
VOID = {"br", "hr", "img"}


class Reader(HTMLParser):
    """Hold the tags, attributes and text of a piece of HTML; refuse tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def row(self, name: str) -> list[str]:
        (found,) = (row for row in self.cells if row and row[0] == name)
        return found


def nasty_design(*, n: int = 30, metrics: int = 1) -> dk.Design:
    """A design whose names, labels, release and reasons are hostile, with one gap."""
    y = noise(n, 6, seed=3)
    y[4, 1] = np.nan
    frame = frame_of(y).assign(name=lambda d: d["la"] + " " + NASTY)
    columns = {}
    for k in range(metrics):
        frame[f"m{k}"] = frame["m"] + k
        columns[f"m{k}"] = dk.Metric(name=f"m{k}", label=f"{NASTY} {k}", unit=NASTY)
    panel = dk.Panel.from_frame(
        frame, unit="la", period="year", metrics=columns, name="name", release=NASTY
    )
    ids = codes(n)
    return dk.Design(
        panel,
        dk.Rollout(dict.fromkeys(ids[1:6], FIRST + 3), stops={ids[1]: FIRST + 4}),
        against=dk.Pool(),
        selection="unknown",
        exclude={ids[-1]: NASTY},
    )


def shown(design: dk.Design) -> dict[str, str]:
    metric = next(iter(design.panel.metrics))
    did = dk.DiD().fit(design, metric).infer(dk.ClusterRobust("CR2"))
    made = {
        "panel": design.panel,
        "design": design,
        "gap": dk.Gap().fit(design, metric).infer(dk.ClusterRobust("CR2")),
        "did": did,
        "events": dk.EventStudy().fit(design, metric).infer(dk.ClusterRobust("CR2")),
        "leave one out": did.check(dk.LeaveOneOut(units="all")),
        "start": did.check(dk.PlaceboStart()),
        "pilots": did.check(dk.PlaceboPilots(draws=99)),
        "detectable": did.check(dk.DetectableEffect()),
    }
    return {name: one._repr_html_() for name, one in made.items()}


@pytest.fixture(scope="module")
def nasty() -> dict[str, str]:
    return shown(nasty_design())


@pytest.fixture(scope="module")
def packaged() -> dict[str, str]:
    design = dk.datasets.load_evaluation().design
    made = shown(design)
    assert len(made) == 9
    return made


def test_every_repr_is_small_and_well_formed(
    nasty: dict[str, str], packaged: dict[str, str]
) -> None:
    for made in (nasty, packaged):
        for name, text in made.items():
            assert len(text.encode()) < LARGEST, name
            assert Reader(text).tags[0] == "div", name


def test_names_do_nothing_but_be_read(nasty: dict[str, str]) -> None:
    allowed = {"div", "p", "strong", "ul", "li", "table", "caption", "thead", "tbody", "tr",
               "th", "td"}  # fmt: skip
    for name, text in nasty.items():
        read = Reader(text)
        assert set(read.tags) <= allowed, name
        assert "<script" not in text.lower()
    for name in ("panel", "design", "did", "leave one out"):
        assert "<script>" in Reader(nasty[name]).text, name  # it was there, as text


def test_no_colours_ids_or_anything_external(
    nasty: dict[str, str], packaged: dict[str, str]
) -> None:
    for made in (nasty, packaged):
        for text in made.values():
            for _, name, value in Reader(text).attributes:
                assert name in ("style", "scope")
                if name == "style":
                    assert not re.search(r"color|background|url|#", value)
                else:
                    assert value in ("col", "row")
            assert not re.search(r"https?:|src=|href=|<style|<link", text)


def test_every_table_has_a_caption_and_heads(packaged: dict[str, str]) -> None:
    for name, text in packaged.items():
        for one in re.findall(r"<table>.*?</table>", text):
            assert one.startswith("<table><caption"), name
            assert "<th>" not in one
            head, body = one.split("</thead>")
            assert "<td" not in head
            assert head.count('scope="col"') == head.count("<th ")
            assert len({len(row) for row in Reader(one).cells}) == 1
            assert body.count("<tr>") <= 12


def test_a_panel_says_how_much_there_is(packaged: dict[str, str]) -> None:
    panel = dk.datasets.load_evaluation().panel
    read = Reader(packaged["panel"])
    assert "153 units × 8 periods (2013 to 2020)" in read.text
    cells = panel.wide("cin")
    share = 100 * cells.notna().to_numpy().mean()
    row = read.row("cin")
    assert f"{share:.1f}%" in row
    status = panel.wide("cin", what="status").stack().value_counts()
    assert f"{status['observed']:,} observed, {status['not available']} not available" in row[5]
    assert row[6] == number(float(np.nanmean(cells)))
    assert f"… {len(panel.metrics) - 10} more metrics" in read.text


@pytest.mark.parametrize(
    ("missing", "said"), [(0, "100%"), (1, "over 99.9%"), (4001, "under 0.1%"), (2, "99.9%")]
)
def test_a_share_is_whole_only_where_nothing_lacks(missing: int, said: str) -> None:
    n = 2001 if missing != 2 else 1000
    y = np.ones((n, 2))
    if missing == 4001:
        y[:] = np.nan
        y[0, 0] = 1.0
    else:
        y[:missing, 0] = np.nan
    ids = [f"u{i}" for i in range(n)]
    frame = frame_of(y, ids)
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"], identity="any")
    assert Reader(panel._repr_html_()).row("m")[4] == said


def test_a_panel_with_many_metrics_and_long_names_stays_small() -> None:
    frame = frame_of(np.ones((3, 2)))
    names = [f"metric {k} " + "long " * 60 for k in range(40)]
    for name in names:
        frame[name] = 1.0
    panel = dk.Panel.from_frame(
        frame, unit="la", period="year", metrics=names, release="release " * 400
    )
    text = panel._repr_html_()
    assert len(text.encode()) < LARGEST
    assert "… 30 more metrics" in text


def test_a_design_says_who_when_and_against_whom(packaged: dict[str, str]) -> None:
    design = dk.datasets.load_evaluation().design
    read = Reader(packaged["design"])
    assert f"{len(design.pilots)} pilots, {len(design.comparators)} comparators" in read.text
    assert read.row("starts")[1] == "9 in 2018, 1 in 2019"
    assert read.row("selection")[1] == design.selection
    assert read.row("window")[1] == "2013 to 2020 (8 periods)"
    assert all(design.panel.name_of(unit) in read.row("pilots")[1] for unit in design.pilots)
    assert [note in read.text for note in design.notes] == [True] * len(design.notes)


def test_a_design_says_who_is_missing_when() -> None:
    design = nasty_design(metrics=2)
    read = Reader(design._repr_html_())
    audit = design.audit()
    lacking = audit[audit["with_value"] < audit["units"]]
    assert len(lacking) == 2  # one pilot, in one period, for both metrics: one row
    row = read.row(str(FIRST + 1))
    assert row[1] == "pilot"
    assert row[2].startswith("1 (")
    assert codes(30)[4] in row[2]
    assert row[3] == "2 (m0, m1)"


def test_a_design_with_many_gaps_counts_those_not_shown() -> None:
    y = noise(16, 30, seed=2)
    for k in range(12):
        y[k + 2, k + 1] = np.nan  # each in a period of its own
    panel = dk.Panel.from_frame(frame_of(y), unit="la", period="year", metrics=["m"])
    rollout = dk.Rollout({codes(16)[0]: FIRST + 20})
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    read = Reader(design._repr_html_())
    shown = [row for row in read.cells if row[1:2] == ["comparator"]]
    assert [row[0] for row in shown] == [str(FIRST + 1 + k) for k in range(len(shown))]
    assert more(12 - len(shown), "row") in read.text
    assert len(shown) < 12


def test_a_design_without_gaps_says_so() -> None:
    frame = frame_of(noise(5, 4, seed=1))
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    rollout = dk.Rollout({codes(5)[0]: FIRST + 2})
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    assert "Every pilot and comparator has a value in every period." in design._repr_html_()


def test_an_estimate_says_what_how_sure_and_what_to_know(packaged: dict[str, str]) -> None:
    design = dk.datasets.load_evaluation().design
    did = dk.DiD().fit(design, "cin_count").infer(dk.ClusterRobust("CR2"))
    read = Reader(packaged["did"])
    assert did.estimand in read.text
    assert number(float(did.values[0])) in read.row("att")
    assert number(float(did["att"]["conf_low"])) in read.row("att")
    assert f"Inference: {did.attached.method}, level 0.95" in read.text
    assert [note for note in did.all_notes if note not in read.text] == []


def test_an_estimate_notes_its_inference_first_and_counts_the_rest() -> None:
    did = dk.DiD().fit(dk.datasets.load_evaluation().design, "cpp").infer()
    read = Reader(did._repr_html_())
    notes = did.all_notes
    assert [note for note in did.attached.notes if note not in read.text] == []
    hidden = [note for note in notes if note not in read.text]
    assert set(hidden) <= set(did.sample.notes)
    assert len(hidden) == len(notes) - 6 > 0
    assert more(len(hidden), "note") in read.text


def test_a_bare_estimate_says_that_it_has_no_inference() -> None:
    design = dk.datasets.load_evaluation().design
    bare = dk.DiD().fit(design, "cpp").infer(None)
    assert "Inference: none" in bare._repr_html_()
    assert "Inference: none" not in dk.DiD().fit(design, "cpp")._repr_html_()


def test_a_finding_asks_answers_and_shows_the_first_rows(packaged: dict[str, str]) -> None:
    design = dk.datasets.load_evaluation().design
    finding = dk.DiD().fit(design, "cin_count").infer(None).check(dk.LeaveOneOut(units="all"))
    read = Reader(packaged["leave one out"])
    assert finding.question in read.text
    assert f"<strong>{finding.headline}</strong>" in packaged["leave one out"]
    rows = [row for row in read.cells if row[0] in set(finding.table["left_out"])]
    assert [row[0] for row in rows] == list(finding.table["left_out"].head(len(rows)))
    assert f"… {len(finding.table) - len(rows)} more rows" in read.text


def test_a_picture_ends_a_cell_without_pyplot() -> None:
    program = (
        "import sys, didkit as dk\n"
        "design = dk.datasets.load_evaluation().design\n"
        "figure = dk.Gap().fit(design, 'cpp').infer(None).plot().figure\n"
        "assert figure._repr_png_()[:8] == b'\\x89PNG\\r\\n\\x1a\\n'\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


# -- the helper ------------------------------------------------------------------------------------


def test_cells_stand_left_or_right_and_rows_may_be_named() -> None:
    made = table(["a", "b"], [["x", "1"]], numeric={1}, named=True)
    assert '<th scope="row" style="text-align:left">x</th>' in made
    assert '<td style="text-align:right">1</td>' in made
    assert '<th scope="col" style="text-align:right">b</th>' in made
    assert "caption" not in made


def test_what_is_not_shown_is_counted() -> None:
    assert items([]) == ""
    assert items(["a"] * 6).count("<li>") == 6
    assert "… 1 more note" in items(["a"] * 6)
    assert items(["<i>"]) == "<ul><li>&lt;i&gt;</li></ul>"
    assert paragraph("") == ""
    assert page("", "<p>a</p>", "") == "<div><p>a</p></div>"


def test_a_long_text_is_cut_and_shows_it() -> None:
    assert shortened("a" * 280) == "a" * 280
    assert len(shortened("a" * 281)) == 280
    assert shortened("a" * 281).endswith("…")


def test_a_table_of_results_is_cut_too() -> None:
    from didkit.results import tables

    frame = pd.DataFrame({"name": [NASTY * 9] * 5, "n_units": [1, 2, 3, 4, 5]})
    made = tables.head_to_html(frame, most=2, caption="c")
    assert made.count("<tr>") == 3
    assert "… 3 more rows" in made
    assert max(len(cell) for row in Reader(made).cells for cell in row) <= 60
    assert "more row" not in tables.head_to_html(frame, most=5)
