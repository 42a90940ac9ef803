"""A table opened in a spreadsheet runs nothing, and its numbers are numbers."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest

from didkit.report import safe_csv
from didkit.report.spreadsheet import safe_text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_text_that_would_run_is_made_text(start: str) -> None:
    text = f"{start}HYPERLINK(1)"
    assert safe_text(text) == f"'{text}"
    (row,) = csv.DictReader(io.StringIO(safe_csv(pd.DataFrame({"name": [text]}))))
    assert row["name"].startswith("'")


def test_numbers_stay_numbers() -> None:
    frame = pd.DataFrame(
        {"term": ["att", "-1"], "value": [-1.5, 1e-12], "n": [-3, 4], "gone": [np.nan, -np.inf]}
    )
    back = pd.read_csv(io.StringIO(safe_csv(frame)))
    assert back["value"].tolist() == [-1.5, 1e-12]
    assert back["n"].tolist() == [-3, 4]
    assert back["gone"][1] == -np.inf
    assert back["term"].tolist() == ["att", "'-1"]


def test_headings_are_text_too() -> None:
    assert safe_csv(pd.DataFrame({"=x": [1]})).startswith('"\'=x"')
