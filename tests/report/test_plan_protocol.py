"""The protocol holds every planned fact and what was done of it, and nothing in it acts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report.test_plan import SMALL, write_rates
from report.test_plan_freeze import QUICK, edit

import didkit as dk
from didkit.report import Plan, evaluate, protocol_table
from didkit.report.outputs import protocol_markdown


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_rates(tmp_path / "data")
    file = tmp_path / "plan.toml"
    file.write_text(SMALL + QUICK, encoding="utf-8")
    return file


def test_the_filled_protocol(path: Path) -> None:
    edit(path, "LeaveOneOut = true", "LeaveOneOut = true\nDetectableEffect = true")
    made = evaluate(Plan.read(path))
    table = protocol_table(made)
    done = dict(zip(table["item"], table["done"], strict=True))
    label = made["cla"].metric.label
    assert (table["planned"] != "").all()
    assert done["Pilots"] == "2, start 2014 (2); selection: bid"
    assert "13 comparators" in done[f"Units and cells: {label}"]
    assert done[f"Missing data: {label}"].startswith("pilots: 0 of 12 cells without a value")
    detectable = made["cla"].findings["DetectableEffect"].facts["detectable"]
    assert f"at analysis: {detectable:.1f}" in done[f"Smallest detectable effect: {label}"]
    assert "not asked for" in done[f"Pre-trends: {label}"]
    assert "leaving one out: " in done[f"Sensitivity: {label}"]
    assert "2 clusters of pilots, 13 of comparators" in done[f"Few clusters: {label}"]
    assert "not frozen before this run" in done["Deviations"]
    unplanned = protocol_table(evaluate(made.design, ["cla"], checks=[]))
    assert set(unplanned["planned"]) == {"not planned"}


def test_the_protocol_holds_every_planned_fact(path: Path) -> None:
    edit(path, "[comparators]\n", "[pilots.stops]\n304 = 2015\n[comparators]\n")
    edit(path, 'against = "pool"', 'against = "pool"\ninclude_pilots = true')
    edit(path, "last = 2016", "last = 2016\nbetween = [2012, 2016]")
    edit(path, "[checks]", 'method = "jackknife"\nstrata = "name"\nclusters = "name"\n[checks]')
    edit(path, 'method = "cluster_robust"\n', "")
    planned = dict(Plan.read(path).protocol()[["item", "planned"]].to_numpy())
    assert planned["Pilots"].endswith("; stop: 304 in 2015")
    assert (
        planned["Comparators"]
        == "every other authority; other pilots among them; left out: 346 (tiny)"
    )
    assert planned["Window"] == "2011 to 2016; rises counted from 2012 to 2016"
    assert planned["Inference"].endswith("level 0.95; strata: name; clusters: name")


def test_the_protocol_says_what_was_done_of_it(path: Path) -> None:
    data = path.parent / "data" / "rates.csv"
    head, *rows = data.read_text(encoding="utf-8").split("\n")
    area = {str(301 + 3 * k): k // 2 for k in range(16)}
    rows = [f"{row},area {area[row[:3]]}" for row in rows]
    data.write_text("\n".join([f"{head},la_name", *rows]), encoding="utf-8")
    edit(path, 'period = "year"', 'period = "year"\nname = "la_name"')
    edit(path, "[comparators]\n", "[pilots.stops]\n304 = 2015\n[comparators]\n")
    edit(path, "[checks]", 'clusters = "name"\nlevel = 0.995\n[checks]')
    edit(path, 'method = "cluster_robust"', 'method = "jackknife"')
    edit(path, "304 = 2014", "313 = 2014")
    edit(path, "304 = 2015", "313 = 2015")
    made = evaluate(Plan.read(path))
    done = dict(protocol_table(made)[["item", "done"]].to_numpy())
    assert done["Pilots"] == "2, start 2014 (2); selection: bid; stop: 313 in 2015"
    assert done["Inference"].endswith("level 0.995; 8 clusters")
    assert "(99.5% interval " in done[f"Estimate and p-value: {made['cla'].metric.label}"]


def test_one_period_before_the_start_is_said(path: Path) -> None:
    edit(path, "first = 2011", "first = 2013")
    made = evaluate(Plan.read(path))
    done = dict(protocol_table(made)[["item", "done"]].to_numpy())
    words = done[f"Smallest detectable effect: {made['cla'].metric.label}"]
    assert words.startswith("at design, from the periods before the start: none (")
    assert "; at analysis: " in words


def test_the_protocol_file_loads_nothing(path: Path) -> None:
    evil = "![x](http://a.example/p.png) <b> a|b"
    edit(path, '"A pilot"', f'"{evil}"')
    edit(path, 'selection = "bid"', f'selection = "bid"\nreason = "{evil}"')
    more = f'\n[[sensitivity]]\nname = "{evil}"\nstart = 2015\n'
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    text = protocol_markdown(evaluate(Plan.read(path)))
    assert text.count("http://a.example") == 5  # title twice, reason twice, alternative
    assert text.count(r"!\[x\](http://a.example/p.png) &lt;b&gt; a\|b") == 5
    assert "<b>" not in text


def test_icc_of_known_parts() -> None:
    from helpers import design_of

    rng = np.random.default_rng(3)
    n, t = 200, 8
    y = 3 * rng.normal(size=(n, 1)) + rng.normal(size=(n, t)) + 50 * np.arange(t)
    made = dk.report.icc(design_of(y, {0: 6, 5: 6}).sample("m"))
    assert made == pytest.approx(9 / 10, abs=0.02)
    # by hand, in the textbook's form, on the six periods before the start
    x = y[:, :6] - y[:, :6].mean(axis=0)
    between = 6 * x.mean(axis=1).var(ddof=1)
    within = ((x - x.mean(axis=1, keepdims=True)) ** 2).sum() / (n * 5)
    assert made == pytest.approx((between - within) / (between + 5 * within), rel=1e-12)
    one = design_of(y[:, :2], {0: 1})
    assert np.isnan(dk.report.icc(one.sample("m")))
