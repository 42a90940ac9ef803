"""Repeated cross-sections by collapse: means weighted by numbers are the regression of people."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from didkit.design import Design, Pool, Rollout
from didkit.estimate import DiD, EventStudy
from didkit.inference import ClusterRobust
from didkit.panel import site_means

YEARS = (2017, 2018, 2019, 2020)
STARTS = {"B": 2019, "E": 2019, "F": 2020}


def people(seed: int) -> pd.DataFrame:
    """Give other people in every site and year, unequal in number."""
    rng = np.random.default_rng(seed)
    rows = [
        (site, year, 50 + 3 * i + (year - 2017) + 2 * (year >= STARTS.get(site, 9999)) + noise)
        for i, site in enumerate("ABCDEFGH")
        for year in YEARS
        for noise in rng.normal(0, 8, size=rng.integers(2, 30))
    ]
    return pd.DataFrame(rows, columns=["site", "year", "score"])


def collapsed(frame: pd.DataFrame) -> Design:
    panel = site_means(frame, unit="site", period="year", scores=["score"], minimum=1)
    return Design(panel, Rollout(STARTS), against=Pool(), selection="unknown")


def regression(frame: pd.DataFrame, paths: dict[str, np.ndarray]):
    """Regress people's scores on dummies of site and year, in statsmodels; cluster by site."""
    X = pd.get_dummies(frame[["site"]], dtype=float)
    years = pd.get_dummies(frame["year"], dtype=float).iloc[:, 1:]
    X = pd.concat([pd.DataFrame(paths, index=frame.index), X, years.add_prefix("y")], axis=1)
    groups = pd.factorize(frame["site"])[0]
    return sm.OLS(frame["score"], X.astype(float)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )


def test_weighted_means_are_the_regression_of_individuals():
    frame = people(1)
    after = (frame["year"] >= frame["site"].map(STARTS).fillna(9999)).to_numpy(dtype=float)
    fitted = regression(frame, {"d": after})
    made = DiD(sampling="score_n").fit(collapsed(frame), "score")
    assert made.values[0] == pytest.approx(fitted.params["d"], rel=1e-10)
    error = made.infer(ClusterRobust("CR0")).tidy()["std_error"][0]
    assert error == pytest.approx(fitted.bse["d"], rel=1e-9)
    # without the numbers each site and year counts once, which is another number
    assert abs(DiD().fit(collapsed(frame), "score").values[0] - made.values[0]) > 1e-3


def test_an_event_study_of_means_too():
    frame = people(2)
    since = (frame["year"] - frame["site"].map(STARTS)).to_numpy()
    made = EventStudy(sampling="score_n").fit(collapsed(frame), "score")
    paths = {term: since == e for term, e in made.terms[["term", "event_time"]].to_numpy()}
    fitted = regression(frame, {term: path.astype(float) for term, path in paths.items()})
    expected = fitted.params[list(made.terms["term"])].to_numpy()
    assert made.values == pytest.approx(expected, rel=1e-9)
