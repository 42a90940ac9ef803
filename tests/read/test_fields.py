"""The quick reading of plain tables, held against Python's own reading of the same text."""

from __future__ import annotations

import math
import re

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from didkit.read.fields import Fields, plain
from didkit.read.grid import open_grid

WORDS = st.one_of(
    st.from_regex(r"[0-9]{1,14}", fullmatch=True),
    st.from_regex(r"[0-9]{0,13}\.[0-9]{0,4}", fullmatch=True),
    st.sampled_from(
        ["", "c", "..", ":", "-5", "+5", "1e3", " 7", "7 ", ".5", "5.", "1.2.3", "0", "x"]
    ),
    st.text(alphabet="0123456789.c-:", max_size=18),
)


def column(words: list[str]) -> Fields:
    text = "".join(f"a,{word}\n" for word in words)
    found = plain(text, 2)
    assert found is not None
    codes, start, end = found
    return Fields(text, codes, start[:, 1], end[:, 1])


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=30), st.integers(0, 3))
@example(["999999999999", "1000000000000", "0.1", "290.5", "1.25", "000012"], 1)
@example(["000000000000.000", "999999999999.999", "9999999999999999", "999999999999.99"], 3)
def test_numbers_are_what_float_reads(words: list[str], digits: int) -> None:
    pattern = "[0-9]{1,12}" + (rf"(?:\.[0-9]{{1,{digits}}})?" if digits else "")
    value, odd = column(words).numbers(digits)
    for i, word in enumerate(words):
        if re.fullmatch(pattern, word):
            assert value[i] == float(word)
            assert i not in odd
        else:
            assert math.isnan(value[i])
            assert i in odd


@given(st.lists(WORDS, min_size=1, max_size=20))
def test_texts_are_what_stands_there(words: list[str]) -> None:
    made = column(words)
    assert made.tolist() == words
    assert made.texts().tolist() == [word.strip() for word in words]
    assert [made[i] for i in range(len(words))] == words
    back = np.arange(len(words))[::-1]
    assert made[back].tolist() == words[::-1]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["Bristol, City of", "Norfolk", "", 'a"b', "é", "two\nlines"]), WORDS
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_table_is_read_alike_in_both_ways(
    rows: list[tuple[str, str]], end: str, all_quoted: bool
) -> None:
    """Whatever stands in it: the quick way gives the texts of the csv module, or steps aside."""

    def cell(word: str) -> str:
        needs = all_quoted or any(mark in word for mark in ',"\n')
        return '"' + word.replace('"', '""') + '"' if needs else word

    text = end.join(["name,value", *(f"{cell(name)},{cell(word)}" for name, word in rows), ""])
    grid = open_grid(text.encode("utf-8"), "any.csv", published=True)
    slow = grid.columns(["name", "value"])
    words, numbers = grid.table(["name"], ["value"])
    assert words["name"].tolist() == slow["name"].tolist()
    assert [one.strip() for one in numbers["value"].tolist()] == slow["value"].tolist()
    assert slow["name"].tolist() == [name.strip() for name, _ in rows]
