"""The page: one file, well formed, escaped, without network; the same bytes but for the time."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from report.places import EVIL, make_design

import didkit as dk
from didkit.errors import DidkitError
from didkit.report import Evaluation, evaluate, write_whole

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Checker(HTMLParser):
    """Collect tags and attributes, and see that every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


@pytest.fixture(scope="module")
def page(evaluation: Evaluation) -> str:
    return evaluation.to_html()


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
    assert {href.removeprefix("#") for href in anchors if href} == set(ids)


def test_tables_have_captions_and_scopes_and_pictures_have_words(page: str) -> None:
    checker = parsed(page)
    count = {tag: sum(one == tag for one, _ in checker.tags) for tag in ("table", "figcaption")}
    assert count["table"] == count["figcaption"] > 5
    outside = re.findall(
        r'<figure class="table"><figcaption>[^<]+</figcaption><div class="wide"[^>]*><table>', page
    )
    assert len(outside) == count["table"]  # a caption each, outside the box that scrolls
    assert all(attrs.get("scope") for tag, attrs in checker.tags if tag == "th")
    images = [attrs for tag, attrs in checker.tags if tag == "img"]
    assert len(images) == 3
    for attrs in images:
        alt, source = attrs["alt"], attrs["src"]
        assert alt is not None
        assert source is not None
        assert re.search(r"\d", alt)
        assert base64.b64decode(source.removeprefix("data:image/png;base64,"))[1:4] == b"PNG"


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


def test_hostile_names_do_nothing() -> None:
    made = evaluate(
        make_design(evil=f'{EVIL}" onload="y" | [a](javascript:b) '),
        ["cla"],
        inference=dk.ClusterRobust("CR2"),
    )
    page = made.to_html()
    checker = parsed(page)
    assert "script" not in {tag for tag, _ in checker.tags}
    assert not any("onload" in attrs for _, attrs in checker.tags)
    assert any(EVIL in text for text in checker.text)
    text = made.to_markdown()
    assert "<script" not in text
    assert "](javascript:b)" not in text.replace("\\](", "")
    assert "<script" not in made._repr_html_()


def test_two_pages_differ_in_their_time_only(evaluation: Evaluation, page: str) -> None:
    again = evaluate(make_design(), ["cla"], truth={"cla": 0.0}).to_html()

    def without_time(text: str) -> str:
        plain = re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "", text)
        return re.sub(r"\d+ [A-Z][a-z]+ \d{4}, \d\d:\d\d UTC", "", plain)

    assert without_time(again) == without_time(page)


def test_all_notes_sources_and_words_are_there(evaluation: Evaluation, page: str) -> None:
    text = " ".join(" ".join(parsed(page).text).split())
    for note in evaluation.notes:
        assert note[:1].upper() + note[1:] in text
    for name in ("Change (difference-in-differences)", "Event study", "Check: Placebo pilots"):
        assert f"<h3>{name}</h3>" in page
    for name in ("Before the start", "A start that never was", "Placebo pilots"):
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
        packaged.design, ["cla"], inference=dk.ClusterRobust("CR2"), truth=packaged.truth
    )
    text = made.to_markdown()
    assert "The data are synthetic: no authority, child or number is real." in text
    assert "Open Government Licence" not in text


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


def test_a_folder_that_does_not_exist_is_refused_in_four_parts(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    with pytest.raises(DidkitError, match="no such folder") as raised:
        evaluation.to_html(tmp_path / "gone" / "report.html")
    assert "make the folder" in raised.value.todo
    with pytest.raises(DidkitError, match="needed: a file that can be written"):
        evaluation.to_html(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_markdown_has_the_table_and_the_words(evaluation: Evaluation) -> None:
    text = evaluation.to_markdown()
    assert text.startswith("# How much of the difference was there before? Children looked after")
    assert "| Measure | Gap before | Gap after | There before | Change |" in text
    assert "On authorities observed in every period" in text
    assert "## Provenance" in text
