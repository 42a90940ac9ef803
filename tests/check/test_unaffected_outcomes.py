"""Unaffected outcomes are the same estimate on other metrics, on one scale, with one p."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from helpers import FIRST, codes, noise, spread, treated

import didkit as dk
from didkit.errors import InferenceError

N, T, START = 20, 7, 4
ONE = spread(N, 6, START)
IDS = codes(N)
PILOT = np.isin(np.arange(N), list(ONE))


def design(metrics: dict[str, np.ndarray], **kinds) -> dk.Design:
    frame = pd.DataFrame(
        [
            (IDS[j], FIRST + t, *(y[j, t] for y in metrics.values()))
            for j in range(N)
            for t in range(T)
        ],
        columns=["la", "year", *metrics],
    )
    named = {name: kinds.get(name, dk.Metric(name=name)) for name in metrics}
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=named)
    rollout = dk.Rollout({IDS[j]: FIRST + t for j, t in ONE.items()})
    return dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")


def several(seed: int = 0) -> dict[str, np.ndarray]:
    made = {name: noise(N, T, seed + i) for i, name in enumerate("mabc")}
    made["m"] = made["m"] - 8 * treated((N, T), ONE)
    return made


@pytest.mark.parametrize("own", [dk.ClusterRobust("CR2"), dk.Permutation(draws=199, seed=1)])
def test_each_is_the_estimate_of_its_metric(own):
    made = dk.DiD().fit(design(several()), "m").infer(own, level=0.9)
    found = made.check(dk.UnaffectedOutcomes(["a", "b", "c"]))
    fits = [dk.DiD().fit(made.design, name).infer(own, level=0.9) for name in "abc"]
    for row, fit in zip(found.table.itertuples(), fits, strict=True):
        alone = fit["att"]
        for name in ("estimate", "conf_low", "conf_high", "p_value"):
            assert getattr(row, name) == pytest.approx(alone[name])
    joint = dk.adjusted_p_values(fits, methods=["max-t"])["max-t"]
    np.testing.assert_allclose(found.table["p_joint"], joint)
    assert found.facts["joint_p"] == pytest.approx(joint.min())
    assert (found.table["p_joint"] >= found.table["p_value"] - 1e-12).all()


def test_the_scale_is_the_spread_of_comparators_before_the_start():
    data = several()
    made = dk.DiD().fit(design(data), "m").infer(dk.ClusterRobust("CR2"))
    found = made.check(dk.UnaffectedOutcomes(["a", "b"]))
    for row in found.table.itertuples():
        before = data[row.metric][~PILOT][:, :START]
        sd = np.sqrt(before.var(axis=0, ddof=1).mean())
        assert row.sd == pytest.approx(sd)
        assert row.standardised == pytest.approx(row.estimate / sd)
        assert row.standardised_low == pytest.approx(row.conf_low / sd)
    main = data["m"][~PILOT][:, :START]
    sd = np.sqrt(main.var(axis=0, ddof=1).mean())
    assert found.facts["main"] == pytest.approx(made.values[0] / sd)


def test_units_of_a_metric_do_not_matter():
    data = several()
    scaled = {**data, "a": 1000 * data["a"]}
    one, other = (
        dk.DiD()
        .fit(design(values), "m")
        .infer(dk.ClusterRobust("CR2"))
        .check(dk.UnaffectedOutcomes(["a", "b"]))
        for values in (data, scaled)
    )
    np.testing.assert_allclose(one.table["standardised"], other.table["standardised"])
    np.testing.assert_allclose(one.table["p_joint"], other.table["p_joint"])


def test_a_bias_that_is_there_is_found():
    data = several()
    data["b"] = data["b"] + 30 * treated((N, T), ONE)
    made = dk.DiD().fit(design(data), "m").infer(dk.ClusterRobust("CR2"))
    found = made.check(dk.UnaffectedOutcomes(["a", "b"]))
    assert found.facts["joint_p"] < 0.001
    assert found.facts["largest"] == found.table.set_index("metric").loc["b", "standardised"] > 0
    assert "in b" in found.headline


def test_placebos_only_in_one_unit():
    unit = {"unit": "per 10,000 children"}
    kinds = {name: dk.Metric(name=name, **unit) for name in "ma"}
    made = dk.DiD().fit(design(several(), **kinds), "m").infer(dk.ClusterRobust("CR2"))
    same = made.check(dk.UnaffectedOutcomes("a"))
    assert same.placebos == (same.table["estimate"].iloc[0],) * 2
    assert made.check(dk.UnaffectedOutcomes(["a", "b"])).placebos is None


def test_without_joint_draws_it_is_holm_and_says_so():
    made = dk.DiD("complete").fit(design(several()), "m").infer(dk.DonaldLang())
    found = made.check(dk.UnaffectedOutcomes(["a", "b"]))
    assert any("Holm" in note for note in found.notes)
    p = np.sort(found.table["p_value"])
    assert found.facts["joint_p"] == pytest.approx(min(1, 2 * p[0]))


def test_a_bare_estimate_has_no_p():
    made = dk.DiD().fit(design(several()), "m").infer(None)
    found = made.check(dk.UnaffectedOutcomes(["a"]))
    assert found.table["p_value"].isna().all()
    assert np.isnan(found.facts["joint_p"])
    assert any("no p-values" in note for note in found.notes)
    sure = made.check(dk.UnaffectedOutcomes(["a"], inference=dk.ClusterRobust("CR2")))
    assert np.isfinite(sure.facts["joint_p"])


def test_a_metric_that_cannot_be_estimated_is_told():
    data = several()
    data["a"] = np.where(PILOT[:, None], np.nan, data["a"])
    made = dk.DiD().fit(design(data), "m").infer(dk.ClusterRobust("CR2"))
    found = made.check(dk.UnaffectedOutcomes(["a", "b"]))
    assert np.isnan(found.table.set_index("metric").loc["a", "estimate"])
    assert any(note.startswith("a: no estimate") for note in found.notes)
    assert found.facts["metrics"] == 1
    with pytest.raises(InferenceError, match="at least one of the metrics"):
        made.check(dk.UnaffectedOutcomes(["a"]))


def test_what_is_made_of_the_same_is_noted():
    rate = dk.Metric(name="m", kind="value", numerator="a", denominator="c")
    other = dataclasses.replace(rate, name="b", numerator="x")
    made = dk.DiD().fit(design(several(), m=rate, b=other), "m").infer(dk.ClusterRobust("CR2"))
    notes = " ".join(made.check(dk.UnaffectedOutcomes(["b"])).notes)
    assert "b and m have one denominator, c" in notes


@pytest.mark.parametrize("part", ["a", "b"])
def test_what_the_rate_is_made_of_is_refused(part):
    rate = dk.Metric(name="m", kind="value", numerator="a", denominator="b")
    made = dk.DiD().fit(design(several(), m=rate), "m").infer(None)
    with pytest.raises(InferenceError) as caught:
        made.check(dk.UnaffectedOutcomes(["a", "b"] if part == "a" else ["b"]))
    why = {"a": "the count that 'm' is made of", "b": "what 'm' is divided by"}[part]
    assert f"{part!r}, {why}" in caught.value.found
    assert "RateSplit()" in caught.value.todo


def test_what_is_refused():
    made = dk.DiD().fit(design(several()), "m").infer(dk.ClusterRobust("CR2"))
    with pytest.raises(InferenceError, match="the metric of the estimate itself"):
        made.check(dk.UnaffectedOutcomes(["a", "m"]))
    with pytest.raises(InferenceError, match=r"not in it: 1 \(z\)"):
        made.check(dk.UnaffectedOutcomes(["a", "z"]))
    for given in ([], ["a", "a"], 3, [3]):
        with pytest.raises(InferenceError):
            dk.UnaffectedOutcomes(given)
    with pytest.raises(InferenceError, match="inference=None, or an inference"):
        dk.UnaffectedOutcomes(["a"], inference="CR2")
