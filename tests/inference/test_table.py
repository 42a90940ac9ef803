"""Inferences side by side: the same numbers as alone, refusals with their reasons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, design_of, frame_of, noise, spread

import didkit as dk
from didkit.errors import EstimationError, InferenceError


@pytest.fixture(scope="module")
def did() -> dk.Estimate:
    return dk.DiD().fit(design_of(noise(30, 6, 3), spread(30, 7, 3)), "m")


def test_each_row_is_what_the_method_says_alone(did: dk.Estimate) -> None:
    methods = [dk.ClusterRobust("CR2"), dk.ClusterRobust("CR1"), dk.Permutation(draws=199, seed=4)]
    table = did.inference_table(methods, level=0.9)
    assert len(table) == 3
    for method, row in zip(methods, table.to_dict("records"), strict=True):
        alone = did.infer(method, level=0.9).tidy().iloc[0]
        for name in ("estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"):
            np.testing.assert_equal(row[name], alone[name])
        assert row["refused"] == ""
        assert row["inference"] == repr(method)


def test_the_recommended_method_comes_first_and_is_marked_once(did: dk.Estimate) -> None:
    table = did.inference_table()
    assert table["recommended"].tolist() == [True] + [False] * (len(table) - 1)
    assert table["inference"].iloc[0] == "Permutation(statistic='t', draws=9999, seed=0)"
    assert table["inference"].is_unique
    recommended = did.infer().tidy().iloc[0]
    assert table["p_value"].iloc[0] == recommended["p_value"]


def test_what_does_not_exist_is_refused_and_says_why() -> None:
    one = dk.DiD().fit(design_of(noise(30, 6, 3), {4: 3}), "m")
    table = one.inference_table().set_index("inference")
    refused = table.loc[[name for name in table.index if name.startswith("ClusterRobust")]]
    assert len(refused) == 4
    assert refused["refused"].str.contains("at least two clusters of pilots").all()
    assert refused[["p_value", "conf_low", "std_error"]].isna().all(axis=None)
    rank = table.loc["Permutation(statistic='beta', draws=9999, seed=0)"]
    assert rank["recommended"]
    assert rank["p_value"] > 0
    assert (table["estimate"] == one.values[0]).all()


def test_a_term_without_a_variance_is_refused_too() -> None:
    events = dk.EventStudy().fit(design_of(noise(20, 6, 2), {0: 2, 1: 3, 2: 3, 3: 3}), "m")
    alone = events.terms.loc[events.terms["n_pilots"] == 1, "term"].iloc[0]
    table = events.inference_table([dk.ClusterRobust("CR2")], term=alone)
    assert "carried by one pilot" in table["refused"].iloc[0]
    assert np.isnan(table["p_value"].iloc[0])


def test_the_term_is_the_main_one_unless_asked(did: dk.Estimate) -> None:
    events = dk.EventStudy().fit(did.design, "m")
    assert events.main_term == "event time 0"
    given = events.inference_table([dk.ClusterRobust()])["estimate"].iloc[0]
    assert given == events["event time 0"]["estimate"]
    assert dk.Gap().fit(did.design, "m").main_term == "change"
    with pytest.raises(EstimationError, match="event time 0"):
        events.inference_table(term="event time 9")


@pytest.mark.parametrize("methods", [[dk.ClusterRobust], ["CR2"]])
def test_something_else_than_an_inference_is_refused(did: dk.Estimate, methods: list) -> None:
    with pytest.raises(InferenceError, match="objects, in a list"):
        did.inference_table(methods)


def test_a_level_that_is_none_is_refused(did: dk.Estimate) -> None:
    with pytest.raises(InferenceError, match="level between 0 and 1"):
        did.inference_table(level=5)


def test_the_refits_of_a_jackknife_are_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detectable effect and the table take the standard error that the estimate has."""
    y = noise(9, 4, 3)
    y[5, 0] = np.nan  # with a gap nothing is traded, so the jackknife is what is recommended
    ids = codes(9)
    sets = dk.MatchedSets({ids[i]: dict.fromkeys(ids[3:], 1 / 6) for i in range(3)})
    did = dk.DiD().fit(design_of(y, dict.fromkeys(range(3), 2), against=sets), "m")
    alone = did.infer(None).check(dk.DetectableEffect()).tidy()
    runs = []
    attach = dk.Jackknife.attach

    def counted(self, estimate, *, level=0.95):  # type: ignore[no-untyped-def]
        runs.append(level)
        return attach(self, estimate, level=level)

    monkeypatch.setattr(dk.Jackknife, "attach", counted)
    made = did.infer()
    assert made.attached.inference == dk.Jackknife()
    pd.testing.assert_frame_equal(made.check(dk.DetectableEffect()).tidy(), alone)
    assert made.inference_table().set_index("inference").loc["Jackknife(max_refits=500)", "used"]
    assert runs == [0.95]
    made = did.infer(dk.Jackknife(max_refits=9))
    made.check(dk.DetectableEffect())
    assert len(runs) == 3  # another jackknife is not taken for this one


@pytest.mark.parametrize("falls", [True, False])
def test_noise_that_does_not_fall_with_size_is_taken_to_be_alike(falls: bool) -> None:
    """Ferman–Pinto is then Conley–Taber, and takes pilots to be as noisy as comparators."""
    n, rng = 60, np.random.default_rng(2)
    size = np.geomspace(1, 50, n)[rng.permutation(n)]
    sd = np.sqrt(20 / size) if falls else np.sqrt(size)
    frame = frame_of(100 + rng.normal(size=(n, 4)) * sd[:, None])
    frame["children"] = np.repeat(1000 * size, 4)
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m"], exposure="children")
    rollout = dk.Rollout(dict.fromkeys(codes(n)[:6], FIRST + 2))
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="bid")
    made = dk.DiD().fit(design, "m")
    row = made.inference_table([dk.FermanPinto(draws=199)]).iloc[0]
    assert (made.infer(dk.FermanPinto(draws=199)).attached.facts["variance_b"] == 0) == (not falls)
    assert row["equal_noise"] == (not falls)
    assert "flat" not in row.index
