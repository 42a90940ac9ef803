"""The page: one file, well formed, escaped, without network; the same bytes but for the time."""

from __future__ import annotations

import base64
import html
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from report.parsed import parsed, words
from report.places import EVIL, make_design

import didkit as dk
from didkit.errors import DidkitError
from didkit.report import Evaluation, evaluate, write_whole
from didkit.report.methods import methods_note


def test_the_page_is_well_formed_and_in_english(page: str) -> None:
    checker = parsed(page)
    tags = dict(checker.tags)
    assert page.startswith("<!DOCTYPE html>")
    assert tags["html"]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in checker.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    ids = [attrs["id"] for _, attrs in checker.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    anchors = [a["href"] for tag, a in checker.tags if tag == "a"]
    assert {href.removeprefix("#") for href in anchors if href} <= set(ids)
    headed = re.findall(r'<h2 id="([^"]+)"', page)
    assert {f"#{name}" for name in headed} <= set(anchors)
    for one in ids:
        assert re.fullmatch(r"[a-z][A-Za-z0-9-]*", one)


def test_tables_have_captions_heads_and_names(page: str) -> None:
    checker = parsed(page)
    ids = {attrs["id"] for _, attrs in checker.tags if "id" in attrs}
    tables = [attrs for tag, attrs in checker.tags if tag == "table"]
    assert len(tables) > 12
    assert all(attrs["aria-labelledby"] in ids for attrs in tables)
    outside = re.findall(
        r'<figcaption id="[a-z0-9-]+">[^<]+</figcaption><div class="wide"[^>]*><table', page
    )
    assert len(outside) == len(tables)  # a caption each, outside the box that scrolls
    heads = [attrs for tag, attrs in checker.tags if tag == "th"]
    assert all(attrs["scope"] in ("col", "row") for attrs in heads)
    for tag, attrs in checker.tags:
        if tag == "td":
            assert attrs["headers"] is not None
            assert set(attrs["headers"].split()) <= ids
    assert "<style>" in page
    assert page.count("<style") == 1  # great-tables' sheet of fixed colours is left behind


def test_every_picture_has_words_and_its_data_as_a_table(page: str, evaluation: Evaluation) -> None:
    drawn = [one for one in evaluation.pictures() if not one.only_words]
    assert {one.kind for one in drawn} >= {
        "overview", "gap", "trends", "events", "long_differences", "leave_one_out",
        "regression_to_the_mean", "forest", "love",
    }  # fmt: skip
    assert not evaluation.album().refused
    # the table of methods stands below the pictures, as wide as the page
    figures = re.findall(
        r'<figure class="picture".*?(?=<figure class="picture"|<h3>)', page, re.DOTALL
    )
    images = [attrs for tag, attrs in parsed(page).tags if tag == "img"]
    assert len(figures) == len(images) == len(drawn)
    tables = [attrs.get("aria-labelledby") for tag, attrs in parsed(page).tags if tag == "table"]
    for one in figures:
        at = re.match(r'<figure class="picture" id="([^"]+)"', one)
        assert at is not None
        assert tables.count(f"{at[1]}-data-caption") == 1
    broad = page.index('id="p-0-forest-data')
    assert "</figure>" in page[page.index('id="p-0-forest"') : broad]
    assert page.rindex('<div class="pictures">', 0, broad) < page.rindex("</div>", 0, broad)
    for attrs, picture in zip(images, drawn, strict=True):
        alt, source = attrs["alt"], attrs["src"]
        assert alt == picture.alt
        assert source is not None
        assert re.search(r"\d", picture.alt)
        assert picture.alt.startswith(picture.title)
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == picture.png
        assert (attrs["width"], attrs["height"]) == tuple(map(str, picture.size))
    assert sum(len(one.png) for one in drawn) < 60_000 * len(drawn)


def test_the_methods_are_laid_out_by_what_they_take_for_granted(
    page: str, evaluation: Evaluation
) -> None:
    start = page.index('id="p-0-forest-data-caption"')
    table = page[start : page.index("</table>", start)]
    heads = ["Method", "Estimate", "Interval", "p", "Takes for granted", "Rejects a true null"]
    places = [table.index(f">{head}") for head in heads]
    assert places == sorted(places)
    for row in evaluation["cla"].methods.itertuples():
        said = row.assumes if not row.refused else f"no number: {row.refused}"
        assert html.escape(said, quote=False) in table.replace("&#x27;", "'")
    assert table.count("(recommended") == 1


def test_letters_in_pictures_stay_readable_on_a_phone(page: str, evaluation: Evaluation) -> None:
    """The smallest letter of a picture, 9.5 points, is 9 pixels high at the least width."""
    rule = re.search(r"min-width: calc\(var\(--points\) \* (\.\d+)px\)", page)
    assert rule is not None
    assert 9.5 * float(rule.group(1)) >= 9
    for picture in evaluation.pictures():
        if not picture.only_words:
            assert f"--points: {round(picture.width)}" in page


def test_what_is_only_words_is_said_and_not_drawn(page: str, evaluation: Evaluation) -> None:
    said = {one.kind: one.title for one in evaluation.pictures() if one.only_words}
    assert set(said) == {"missing", "reuse"}  # nothing is missing, and one pool serves all
    text = words(page)
    assert all(title in text for title in said.values())


def test_the_first_page_comes_first_and_has_the_overview(page: str) -> None:
    questions = [
        "In short",
        "What was compared?",
        "How much was there before?",
        "What changed?",
        "How sure is that?",
        "What would change our mind?",
    ]
    places = [page.index(f"<h3>{question}</h3>") for question in questions]
    assert places == sorted(places)
    assert places[1] < page.index("<img") < places[2]
    assert places[-1] < page.index('id="table"') < page.index('id="m-0"') < page.index('id="how"')


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    checker = parsed(page)
    names = {tag for tag, _ in checker.tags}
    assert not names & {"script", "link", "iframe", "object", "form", "base"}
    for _, attrs in checker.tags:
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset"):
                assert value is not None
                assert value.startswith(("data:image/png", "#"))
    assert "url(" not in page
    assert "@import" not in page
    assert "prefers-color-scheme" in page
    assert "@media print" in page


def test_hostile_names_do_nothing(hostile: Evaluation) -> None:
    page = hostile.to_html()
    checker = parsed(page)
    assert "script" not in {tag for tag, _ in checker.tags}
    assert not any("onload" in attrs for _, attrs in checker.tags)
    assert any(EVIL in text for text in checker.text)
    assert any(EVIL in (attrs.get("alt") or "") for tag, attrs in checker.tags if tag == "img")
    text = hostile.to_markdown()
    assert "<script" not in text
    assert "](javascript:b)" not in text.replace("\\](", "")
    assert "<script" not in hostile._repr_html_()


def test_two_pages_differ_in_their_time_only(evaluation: Evaluation, page: str) -> None:
    again = evaluate(make_design(), ["cla"], truth={"cla": 0.0}).to_html()

    def without_time(text: str) -> str:
        plain = re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "", text)
        return re.sub(r"\d+ [A-Z][a-z]+ \d{4}, \d\d:\d\d UTC", "", plain)

    assert without_time(again) == without_time(page)


def test_all_notes_sources_and_words_are_there(evaluation: Evaluation, page: str) -> None:
    text = words(page)
    for note in evaluation.notes:
        assert note[:1].upper() + note[1:] in text
    for name in ("Change (difference-in-differences)", "Event study", "Check: Placebo pilots"):
        assert f"<h3>{name}</h3>" in page
    assert methods_note(evaluation) in text
    for name in ("Before the start", "An earlier start", "Placebo pilots"):
        assert f"<dt>{name}</dt>" in page
    for name in ("PreTrends", "LeaveOneOut"):
        assert f"<dt>{name}" not in page
    assert "data frame" in text
    assert "numpy" in text
    assert "seed=0" in text
    assert "no evidence of a change beyond" in text
    assert "Open Government Licence" not in text  # a data frame is nobody's release
    assert "synthetic" not in text.lower()


def test_attribution_follows_the_sources() -> None:
    packaged = dk.datasets.load_evaluation()
    made = evaluate(
        packaged.design,
        ["cla"],
        inference=dk.ClusterRobust("CR2"),
        truth={"cla": packaged.truth["cla"]},
    )
    text = made.to_markdown()
    assert "The data are synthetic: no authority, child or number is real." in text
    assert "Open Government Licence" not in text
    assert text.partition("\n## ")[0].lower().count("synthetic") == 1
    said = replace(made, description=packaged.description).to_markdown()
    assert said.partition("\n## ")[0].lower().count("synthetic") == 1


def test_a_file_is_written_whole(evaluation: Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    page = evaluation.to_html(path)
    assert path.read_text(encoding="utf-8") == page
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("old", encoding="utf-8")
    with pytest.raises(TypeError):
        write_whole(path, None)  # type: ignore[arg-type]
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", ["to_html", "to_markdown", "to_latex", "to_excel"])
def test_a_folder_that_does_not_exist_is_refused_in_four_parts(
    evaluation: Evaluation, tmp_path: Path, form: str
) -> None:
    write = getattr(evaluation, form)
    with pytest.raises(DidkitError, match="no such folder") as raised:
        write(tmp_path / "gone" / "report")
    assert "make the folder" in raised.value.todo
    assert form in raised.value.where
    with pytest.raises(DidkitError, match="needed: a file that can be written"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_markdown_has_the_table_and_the_words(evaluation: Evaluation) -> None:
    text = evaluation.to_markdown()
    assert text.startswith("# How much of the difference was there before? Children looked after")
    assert "| Measure | Gap before | Gap after | There before | Change |" in text
    assert "On authorities observed in every period" in text
    parts = ["What was compared?", "Checks", "Who is compared with whom", "How it was made"]
    for part in [*parts, "All rows", "Notes", "Provenance"]:
        assert f"\n## {part}\n" in text
    assert "## The plan" not in text


def test_markdown_is_written_whole(evaluation: Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    assert evaluation.to_markdown(path) == path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_the_notebook_sees_a_small_piece(evaluation: Evaluation) -> None:
    piece = evaluation._repr_html_()
    assert len(piece) < 4_000
    text = words(piece)
    assert "Change" in text
    assert "Children looked after: Before the start pilots had" in text
    assert "id=" not in piece
