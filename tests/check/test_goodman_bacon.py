"""The parts of a two-way estimate: the authors' numbers, and what the theorem says."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers import design_of, noise, treated, with_gaps

import didkit as dk
from didkit.check import goodman_bacon as bacon
from didkit.errors import InferenceError

STARTS = {1: 2, 4: 4, 6: 4, 9: 6}
N, T = 12, 8
CASES = {
    "bacon_castle": ("castle", "l_homicide", ()),
    "bacon_mpdta": ("mpdta", "lemp", ()),
    "bacon_castle_cov": ("castle", "l_homicide", ("l_income", "unemployrt")),
    "bacon_castle_cov_robbery": ("castle", "l_robbery", ("l_income", "l_police")),
}
COLUMNS = {
    "castle": ("sid", "year", "effyear"),
    "mpdta": ("countyreal", "year", "first.treat"),
}


def found(y: np.ndarray, starts=STARTS, **options) -> dk.Finding:
    made = dk.DiD().fit(design_of(y, starts, **options), "m").infer(None)
    return made.check(dk.GoodmanBacon())


def total(finding: dk.Finding) -> float:
    table, within = finding.table, finding.facts.get("within_weight", 0.0)
    between = (table["weight"] * table["estimate"]).sum()
    return (1 - within) * between + within * finding.facts.get("within_estimate", 0.0)


@pytest.mark.parametrize("case", list(CASES))
def test_bacondecomp(shared_reference, case):
    """R: bacon(outcome ~ treated + covariates, id_var, time_var), bacondecomp 0.1.3."""
    data, metric, covariates = CASES[case]
    frame = pd.read_csv(shared_reference / "data" / f"{data}.csv")
    unit, period, start = COLUMNS[data]
    design = dk.Design.from_frame(
        frame, unit=unit, period=period, start=start, metrics=[metric, *covariates],
        selection="unknown",
    )  # fmt: skip
    finding = dk.DiD(covariates=covariates).fit(design, metric).infer(None).check(dk.GoodmanBacon())
    known = pd.read_csv(shared_reference / "bacondecomp.csv")
    known = known[known["case"] == case].set_index("term")
    pairs = known[known.index.str.startswith("treated=")]
    mine = finding.table.copy()
    mine["against"] = mine["against"].replace(bacon.NEVER_LABEL, "Inf")
    mine.index = "treated=" + mine["treated"] + "|control=" + mine["against"]
    assert set(mine.index) == set(pairs.index)
    mine = mine.loc[pairs.index]
    extra = pairs["extra"].str.extract(r"weight=([^;]+);type=(.*)")
    np.testing.assert_allclose(mine["estimate"], pairs["estimate"], rtol=1e-8)
    np.testing.assert_allclose(mine["weight"], extra[0].astype(float), rtol=1e-8)
    names = {
        "Treated vs Untreated": bacon.NEVER,
        "Earlier vs Later Treated": bacon.EARLIER,
        "Later vs Earlier Treated": bacon.LATER,
        "Both Treated": bacon.BOTH,
    }
    assert mine["kind"].tolist() == extra[1].map(names).tolist()
    for theirs, kind in names.items():
        if f"summary|{theirs}" in known.index:
            row = known.loc[f"summary|{theirs}"]
            weight = finding.facts[f"weight of {kind}"]
            assert weight == pytest.approx(float(row["extra"].removeprefix("weight=")), rel=1e-8)
            mean = finding.facts[f"estimate of {kind}"]
            assert mean == pytest.approx(row["estimate"], rel=1e-8)
    if covariates:
        assert finding.facts["within_weight"] == pytest.approx(known.loc["Omega", "estimate"])
        within = finding.facts["within_estimate"]
        assert within == pytest.approx(known.loc["beta_hat_w", "estimate"], rel=1e-6)
    assert total(finding) == pytest.approx(known.loc["TWFE", "estimate"], rel=1e-8)


@pytest.mark.parametrize("against", [dk.Pool(), dk.NotYetTreated()])
def test_parts_are_the_whole(against):
    finding = found(noise(N, T, 1), against=against)
    assert finding.table["weight"].sum() == pytest.approx(1)
    assert (finding.table["weight"] > 0).all()
    assert total(finding) == pytest.approx(finding.estimate.values[0], rel=1e-10)
    assert len(finding.table) == 3 + 2 * 3


def test_without_anybody_who_never_starts():
    starts = {0: 2, 1: 2, 2: 4, 3: 4, 4: 6}
    finding = found(noise(5, T, 2), starts, against=dk.NotYetTreated())
    assert set(finding.table["kind"]) == {bacon.EARLIER, bacon.LATER}
    assert total(finding) == pytest.approx(finding.estimate.values[0], rel=1e-10)


def test_each_part_is_the_two_by_two_of_those_units_and_periods():
    """The estimate of a pair is DiD on its two groups and its periods alone."""
    y = noise(N, T, 3)
    table = found(y).table.set_index(["treated", "against"])["estimate"]
    never = [j for j in range(N) if j not in STARTS]
    both = [4, 6, *never]
    alone = dk.DiD().fit(design_of(y[both], {0: 4, 1: 4}), "m")
    assert table["2015", "never"] == pytest.approx(alone.values[0])
    early = dk.DiD().fit(design_of(y[[1, 4, 6]][:, :4], {0: 2}), "m")
    assert table["2013", "2015"] == pytest.approx(early.values[0])
    late = dk.DiD().fit(design_of(y[[1, 4, 6]][:, 2:], {1: 2, 2: 2}), "m")
    assert table["2015", "2013"] == pytest.approx(late.values[0])


def test_an_effect_that_grows_is_taken_off_by_the_already_treated():
    event = np.maximum(np.arange(T) - np.array([STARTS.get(j, T) for j in range(N)])[:, None], -1)
    finding = found(100.0 + 2.0 * (event + 1))
    table = finding.table.set_index("kind")["estimate"]
    assert (table[bacon.NEVER] > 0).all()
    assert (table[bacon.EARLIER] > 0).all()
    own = finding.table.set_index(["treated", "against"])["estimate"]
    # two periods of 2013's growth against itself: the mean of 2, 4 less 6 and after
    assert own["2017", "2013"] == pytest.approx(3.0 - 2.0 * 3.0)
    assert "already" in finding.notes[0]


def test_a_constant_effect_is_every_part():
    finding = found(100.0 + 7.0 * treated((N, T), STARTS))
    np.testing.assert_allclose(finding.table["estimate"], 7.0)


def test_one_start_is_one_part():
    finding = found(noise(N, T, 4), {1: 4, 5: 4})
    assert len(finding.table) == 1
    assert finding.table["weight"].item() == 1.0
    assert finding.notes == ("no pilot is compared with another pilot",)


def test_with_covariates_parts_and_what_is_inside_starts_are_the_whole():
    y, x = noise(N, T, 5), noise(N, T, 6)
    frame = pd.DataFrame(
        [(f"u{j:02d}", 2011 + t, 2011 + STARTS[j] if j in STARTS else 0, y[j, t], x[j, t])
         for j in range(N) for t in range(T)],
        columns=["la", "year", "start", "m", "x"],
    )  # fmt: skip
    design = dk.Design.from_frame(
        frame, unit="la", period="year", start="start", metrics=["m", "x"], selection="unknown"
    )
    finding = dk.DiD(covariates=["x"]).fit(design, "m").infer(None).check(dk.GoodmanBacon())
    assert 0 < finding.facts["within_weight"] < 1
    assert total(finding) == pytest.approx(finding.estimate.values[0], rel=1e-9)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda y: dk.DiD("complete").fit(design_of(y, STARTS), "m"), "DiD(cells='observed')"),
        (lambda y: dk.EventStudy().fit(design_of(y, STARTS), "m"), "static two-way"),
        (lambda y: dk.GroupTime().fit(design_of(y, STARTS), "m"), "GroupTime"),
        (lambda y: dk.DiD(trends="unit").fit(design_of(y, STARTS), "m"), "trends='unit'"),
        (lambda y: dk.DiD().fit(design_of(with_gaps(y, 1), STARTS), "m"), "balanced"),
    ],
)
def test_refused_by_name(make, text):
    made = make(noise(N, T, 7)).infer(None)
    with pytest.raises(InferenceError, match="GoodmanBacon") as caught:
        made.check(dk.GoodmanBacon())
    assert text in str(caught.value)


def test_the_picture_labels_kinds_and_holds_every_part():
    finding = found(noise(N, T, 8))
    axes = finding.plot()
    pd.testing.assert_frame_equal(axes.data, finding.table)
    written = " ".join(text.get_text() for text in axes.texts)
    assert all(kind in written for kind in set(finding.table["kind"]))
    drawn = np.concatenate([np.asarray(one.get_offsets()) for one in axes.collections])
    assert sorted(drawn[:, 0].tolist()) == pytest.approx(sorted(100 * finding.table["weight"]))
    plt.close(axes.figure)
