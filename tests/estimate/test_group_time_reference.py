"""Group-time effects against R's did 2.5.1: every case of the shared reference values.

Each case is one call in R, which stands in the column ``call`` of did.csv; its options are read
from there and written as options of `GroupTime`. Standard errors are those of the influence
function: cluster-robust CR0.
"""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from conftest import shared_folder

import didkit as dk
from didkit.estimate import GroupTime, group_time_fits
from didkit.estimate.two_by_two_rows import rows
from didkit.results import Estimate

_METHODS = {"dr": "dr", "reg": "regression", "ipw": "ipw"}
_COMPARISONS = {"nevertreated": "never", "notyettreated": "not_yet"}
_BY = {"agg_simple": "simple", "agg_group": "group", "agg_calendar": "calendar"}
_TOLERANCE = 1e-7


class Once(dk.Design):
    """A design that lays each metric out once: hundreds of estimates are made of a few samples."""

    @cache  # noqa: B019
    def sample(self, *metric: Any, **options: Any) -> Any:
        return super().sample(*metric, **options)


@cache
def reference() -> pd.DataFrame:
    return pd.read_csv(shared_folder("reference") / "did.csv")


@cache
def frame(dataset: str) -> pd.DataFrame:
    name = dataset.split(" ")[0].split("[")[0]
    made = pd.read_csv(shared_folder("reference", "data") / f"{name}.csv")
    if name == "base_stagg":
        return made.assign(g=np.where(made["year_treated"] == 10000, 0, made["year_treated"]))
    made = made.assign(
        w=np.exp(made["lpop"]), lpop2=made["lpop"] ** 2, state=made["countyreal"] // 1000
    )
    return made[made["first.treat"] > 0] if dataset.endswith("[first.treat>0]") else made


@cache
def design(dataset: str, panel: bool, clusters: str | None) -> dk.Design:
    table, stagg = frame(dataset), dataset.startswith("base_stagg")
    return Once.from_frame(
        table,
        unit=("id" if stagg else "countyreal") if panel else None,
        period="year",
        start="g" if stagg else "first.treat",
        metrics=["y"] if stagg else ["lemp", "lpop", "lpop2", "w"],
        selection="unknown",
        clusters=clusters,
        against=dk.NotYetTreated() if dataset.endswith("[first.treat>0]") else None,
    )


def options(call: str) -> dict[str, Any]:
    """Write the options of att_gt and aggte as options of GroupTime."""

    def given(name: str) -> str | None:
        found = re.search(rf"[( ,]{name}='?([^,')]+)", call)
        return found.group(1) if found else None

    formula = re.search(r"xformla=~(.*?), data=", call)
    covariates = {"1": (), "lpop": ("lpop",), "lpop + I(lpop^2)": ("lpop", "lpop2")}
    made: dict[str, Any] = {
        "method": _METHODS[str(given("est_method"))],
        "comparison": _COMPARISONS[str(given("control_group"))],
        "base": given("base_period"),
        "anticipation": int(str(given("anticipation"))),
        "covariates": covariates[formula.group(1) if formula else "1"],
        "cells": "observed"
        if given("panel") == "FALSE" or given("allow_unbalanced_panel") == "TRUE"
        else "complete",
        "sampling": given("weightsname"),
    }
    if given("balance_e"):
        made["balance"] = int(str(given("balance_e")))
    if given("max_e"):
        made["horizon"] = int(str(given("max_e")))
    return made


@cache
def fitted(dataset: str, call: str, by: str, overall: bool) -> Estimate:
    made = options(call)
    if by != "dynamic":
        made.pop("balance", None)
    clusters = "state" if "clustervars='state'" in call else None
    where = design(dataset, "panel=FALSE" not in call, clusters)
    outcome = "y" if dataset.startswith("base_stagg") else "lemp"
    # the influence of "dr" on rows as DRDID has it: see the module's docstring
    with patch.object(group_time_fits, "rows", partial(rows, drdid=True)):
        return GroupTime(**made, by=by, overall=overall).fit(where, outcome)


@cache
def numbers(dataset: str, call: str, by: str, overall: bool) -> dict[str, tuple[float, float]]:
    """Give estimate and standard error of each term; of the base period NaN."""
    made = fitted(dataset, call, by, overall)
    if by in ("none", "group"):  # by the inference itself
        table = made.infer(dk.ClusterRobust("CR0")).tidy()
    else:  # what it does, without bands
        sums = np.zeros((len(made.sample.cluster_labels), made.n_terms))
        np.add.at(sums, made.sample.clusters, made.influence)
        error = np.sqrt((sums**2).sum(axis=0))
        table = made.terms.assign(estimate=made.values, std_error=error)
        if made.reference is not None:
            table = pd.concat([table, made.reference.assign(estimate=0.0)])
    return dict(
        zip(table["term"], zip(table["estimate"], table["std_error"], strict=True), strict=True)
    )


def term_of(term: str) -> tuple[str, str]:
    """Say how didkit names a term of did: by, and name."""
    kind, *numbers = re.findall(r"[A-Za-z_]+|-?\d+", term)
    if kind == "ATT":
        return "none", f"start {numbers[0]}, period {numbers[1]}"
    if kind == "dynamic":
        e = int(numbers[0])
        return "dynamic", f"event time {e:+d}" if e else "event time 0"
    return kind, {"group": "start", "calendar": "period"}[kind] + f" {numbers[0]}"


def cases() -> list[Any]:
    folder = Path(__file__).resolve().parents[3] / "shared" / "reference" / "did.csv"
    if not folder.is_file():
        return [pytest.param("", marks=pytest.mark.skip(reason="shared data absent"))]
    return sorted(set(reference()["case"]) - {"mpdta_cband_mc", "mpdta_cband_mc_dynamic"})


@pytest.mark.parametrize("case", cases())
def test_is_the_number_of_did(case: str, shared_reference: Path) -> None:
    """R: the column ``call`` of the case in did.csv; influence-function standard errors."""
    rows = reference()[reference()["case"] == case]
    compared = 0
    for row in rows.to_dict("records"):
        call, dataset, term = str(row["call"]), str(row["dataset"]), str(row["term"])
        call = call.removesuffix("; a$W; a$Wpval")
        if term == "pretest_Wald":
            bare = fitted(dataset, call, "none", False)
            bare = bare.infer(dk.ClusterRobust("CR0"))
            before = bare.terms.loc[bare.terms["phase"] != "after", "term"].tolist()
            tested = bare.joint(before)
            assert tested.statistic == pytest.approx(row["estimate"], rel=1e-6)
            p = float(str(row["extra"]).removeprefix("p="))
            assert tested.p_value == pytest.approx(p, abs=6e-6)
            compared += 1
            continue
        if term == "overall":
            kind = case.rpartition("__")[2]
            by = _BY.get(kind, "simple" if "type='simple'" in call else "dynamic")
            estimate, error = numbers(dataset, call, by, by != "simple")["att"]
        else:
            by, name = term_of(term)
            estimate, error = numbers(dataset, call, by, False)[name]
        assert estimate == pytest.approx(row["estimate"], rel=_TOLERANCE, abs=1e-12)
        if np.isfinite(row["std_error"]):
            assert error == pytest.approx(row["std_error"], rel=_TOLERANCE)
        else:  # the base period
            assert row["estimate"] == 0
            assert np.isnan(error)
        compared += 1
    assert compared == len(rows)


@pytest.mark.parametrize(("by", "case"), [("none", ""), ("dynamic", "_dynamic")])
def test_the_band_is_that_of_the_multiplier_bootstrap(
    by: Any, case: str, shared_reference: Path
) -> None:
    """R: mpdta_cband_mc and mpdta_cband_mc_dynamic, 50,000 draws, errors by interquartile range.

    The same bootstrap of didkit's influence: a sign for each county, errors from the interquartile
    range, the quantile of the largest. (didkit's own bands take the quantile of the
    largest of correlated normals instead, and then degrees of freedom: 2.8 to did's 2.7.)
    """
    made = GroupTime(by=by, base="varying").fit(design("mpdta", True, None), "lemp")
    rng = np.random.default_rng(1)
    draws = rng.choice([-1.0, 1.0], (20_000, len(made.influence))) @ made.influence
    quartiles = np.quantile(draws, [0.25, 0.75], axis=0)
    error = np.diff(quartiles, axis=0)[0] / np.diff(scipy.stats.norm.ppf([0.25, 0.75]))
    critical = np.quantile(np.abs(draws / error).max(axis=1), 0.95)
    rows = reference()[reference()["case"] == f"mpdta_cband_mc{case}"].set_index("term")
    kind = {"none": "ATT({group},{period})", "dynamic": "dynamic({event_time})"}[by]
    names = [kind.format(**row) for row in made.terms.to_dict("records")]
    theirs = rows.loc[names]
    assert made.values == pytest.approx(theirs["estimate"].to_numpy(), rel=1e-9)
    assert critical == pytest.approx(rows.loc["crit_val", "estimate"], rel=0.015)
    width = ((theirs["ci_upper"] - theirs["ci_lower"]) / 2).to_numpy()
    assert critical * error == pytest.approx(width, rel=0.03)
