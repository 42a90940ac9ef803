"""A page taken apart for the tests: tags in order, text, and whether every tag is closed."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "link", "input"}
# What may not stand inside a paragraph: a browser would close the paragraph before it.
BLOCKS = {"p", "ul", "ol", "dl", "div", "table", "figure", "h1", "h2", "h3", "details", "section"}


class Checker(HTMLParser):
    """Collect tags and attributes, and see that every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.paths: list[tuple[str, ...]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        assert not ("p" in self.open and tag in BLOCKS), f"{tag} inside a paragraph"
        self.tags.append((tag, dict(attrs)))
        self.paths.append(tuple(self.open))
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


def words(page: str) -> str:
    """All text of a page with single spaces."""
    return " ".join(" ".join(parsed(page).text).split())
