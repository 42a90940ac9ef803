"""Pilots that had the programme before: whoever reads the years before is told."""

from __future__ import annotations

import numpy as np
import pytest

import didkit as dk
from didkit.check.prior import prior_exposure, prior_in_words


def design_of(contaminated: dict[str, object] | None) -> dk.Design:
    import pandas as pd

    rng = np.random.default_rng(8)
    frame = pd.DataFrame(
        [(str(300 + j), 2012 + t, 50 + rng.normal()) for j in range(14) for t in range(7)],
        columns=["la", "year", "m"],
    )
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    rollout = dk.Rollout(dict.fromkeys(["300", "301", "302"], 2016), contaminated=contaminated)
    return dk.Design(panel, rollout, against=dk.Pool(), selection="bid")


@pytest.mark.parametrize(
    ("contaminated", "named"),
    [
        (None, ()),
        ({"305": 2013}, ()),  # a comparator's is no prior exposure
        ({"301": 2014, "305": None}, ("301",)),
        ({"300": None, "302": 2015}, ("300", "302")),
    ],
)
def test_prior_exposure_is_named_wherever_the_years_before_are_read(contaminated, named) -> None:
    design = design_of(contaminated)
    assert prior_exposure(design) == named
    did = dk.DiD().fit(design, "m").infer(dk.ClusterRobust("CR2"))
    events = dk.EventStudy().fit(design, "m").infer(dk.ClusterRobust("CR2"))
    for finding in (did.check(dk.PlaceboStart()), events.check(dk.PreTrends())):
        said = [note for note in finding.notes if "had the programme" in note]
        assert len(said) == bool(named)
        assert all(unit in note for unit in named for note in said)
    assert len(prior_in_words(design, "so be it")) == bool(named)
