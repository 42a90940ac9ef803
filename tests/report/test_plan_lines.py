"""The line of every key of a TOML file, whatever way it is written."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from didkit.report.plan_lines import line_of, locate, nesting

EVERYTHING = '''\
# a comment with [brackets] and key = value
title = "with # no comment, [no] header"   # but here is one
"quoted key" = 1
'literal.key' = 2
dotted . "two parts" . three = 3
[table]
text = """
[not.a.header]
not_a_key = 1
\\""" still inside "" """
literal = \'\'\'
[nor.this] = "\'\'\'
after = true
numbers = [
  1, # one, [two]
  [2, 3],
  {a = 1, "b.c" = [4, "]"]},
  "last",
]
inline = {x = {y = "}"}, when = 1979-05-27 07:32:00}
[table.sub."q.r"]
deep = 1
[[many]]
one = 1
[many.inner]
two = 2
[[many]]
one = 3
[[many.nested]]
four = 4
[[many.nested]]
four = 5
five = """"quoted"""""
six = 6
'''

KNOWN = {
    (): 1,
    ("title",): 2,
    ("quoted key",): 3,
    ("literal.key",): 4,
    ("dotted",): 5,
    ("dotted", "two parts"): 5,
    ("dotted", "two parts", "three"): 5,
    ("table",): 6,
    ("table", "text"): 7,
    ("table", "literal"): 11,
    ("table", "after"): 13,
    ("table", "numbers"): 14,
    ("table", "numbers", 0): 15,
    ("table", "numbers", 1): 16,
    ("table", "numbers", 1, 0): 16,
    ("table", "numbers", 1, 1): 16,
    ("table", "numbers", 2): 17,
    ("table", "numbers", 2, "a"): 17,
    ("table", "numbers", 2, "b.c"): 17,
    ("table", "numbers", 2, "b.c", 0): 17,
    ("table", "numbers", 2, "b.c", 1): 17,
    ("table", "numbers", 3): 18,
    ("table", "inline"): 20,
    ("table", "inline", "x"): 20,
    ("table", "inline", "x", "y"): 20,
    ("table", "inline", "when"): 20,
    ("table", "sub"): 21,
    ("table", "sub", "q.r"): 21,
    ("table", "sub", "q.r", "deep"): 22,
    ("many",): 23,
    ("many", 0): 23,
    ("many", 0, "one"): 24,
    ("many", 0, "inner"): 25,
    ("many", 0, "inner", "two"): 26,
    ("many", 1): 27,
    ("many", 1, "one"): 28,
    ("many", 1, "nested"): 29,
    ("many", 1, "nested", 0): 29,
    ("many", 1, "nested", 0, "four"): 30,
    ("many", 1, "nested", 1): 31,
    ("many", 1, "nested", 1, "four"): 32,
    ("many", 1, "nested", 1, "five"): 33,
    ("many", 1, "nested", 1, "six"): 34,
}


def test_every_way_of_writing() -> None:
    tomllib.loads(EVERYTHING)
    assert locate(EVERYTHING) == KNOWN


def test_an_empty_file_and_one_without_a_last_end_of_line() -> None:
    assert locate("") == {(): 1}
    assert locate("# only a comment") == {(): 1}
    assert locate("\n\na = 1")[("a",)] == 3


def test_a_key_that_is_not_there_is_at_its_table() -> None:
    lines = locate("[window]\nfirst = 1\n")
    assert line_of(lines, ("window", "last")) == 1
    assert line_of(lines, ("window", "first", 3)) == 2
    assert line_of(lines, ("other",)) == 1


@pytest.mark.parametrize(
    ("text", "deepest"),
    [("", 0), ("a = 1", 0), ("a = [[1], {b = [2]}]", 3), ('a = "[[["', 3), ("]]]a = [1]", 1)],
)
def test_nesting_is_never_too_small(text: str, deepest: int) -> None:
    assert nesting(text) == deepest


# -- random documents: written by hand here, so that every line is known ------------------------

KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=6),
)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\n\t"),
    max_size=12,
)
SCALARS = st.one_of(st.integers(-5, 5), st.booleans(), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
STYLES = st.sampled_from(["basic", "multi", "literal"])
DOCUMENTS = st.lists(
    st.tuples(
        KEYS, st.lists(st.tuples(KEYS, VALUES, STYLES), max_size=4, unique_by=lambda t: t[0])
    ),
    max_size=4,
    unique_by=lambda section: section[0],
)


def written(value: Any, style: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        inner = ",  # ]\n  ".join(written(one, "basic") for one in value)
        return f"[ # [\n  {inner}\n]" if value else "[]"
    if isinstance(value, dict):
        pairs = (f"{key_of(k)} = {flat(v)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if style == "multi":
        body = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"""{body}"""' if not body.startswith("\n") else f'"""\n{body}"""'
    if style == "literal" and "'" not in value and "\n" not in value:
        return f"'{value}'"
    return quoted(value)


def flat(value: Any) -> str:
    """Inside an inline table no new line may stand outside a string or array."""
    if isinstance(value, list):
        return "[" + ", ".join(map(flat, value)) + "]"
    return written(value, "basic")


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key_of(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else quoted(key)


@given(DOCUMENTS, st.booleans())
@example([("a", [("b", [1, [2]], "basic"), ("c", "]\n[x]\n", "multi")])], True)
def test_lines_of_random_documents(document: Any, many: bool) -> None:
    lines: list[str] = []
    expected: dict[tuple[Any, ...], int] = {}
    for name, pairs in document:
        at = len(lines) + 1
        path: tuple[Any, ...] = (name, 0) if many else (name,)
        lines.append(f"[[ {key_of(name)} ]] # [x]" if many else f"[{key_of(name)}]")
        expected[path] = expected[(name,)] = at
        for key, value, style in pairs:
            expected[(*path, key)] = len(lines) + 1
            lines += f"{key_of(key)} = {written(value, style)} # = {{".split("\n")
    text = "\n".join(lines)
    parsed = tomllib.loads(text)
    found = locate(text)
    for path, line in expected.items():
        assert found[path] == line, (path, text)
    assert set(paths(parsed)) <= set(found)  # nothing that the file holds is without a line


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(one for key, part in inner for one in paths(part, (*path, key)))]
