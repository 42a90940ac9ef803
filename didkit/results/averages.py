"""The average authority and the average child: the same estimate, each counted once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pandas as pd

from didkit.errors import DidkitError, EstimationError
from didkit.results import tables

if TYPE_CHECKING:
    from didkit.results.estimate import Estimate

__all__ = ["average_in_words", "averages"]

_CHILDREN = ("population", "cla_population")  #: metrics that count children
_FIRST = ("average", "estimate", "std_error", "p_value", "conf_low", "conf_high")


def averages(self: Estimate, *, population: str | None = None) -> pd.DataFrame:
    """Show the estimate for the average authority beside that for the average child.

    They differ where the effect is larger in large authorities, or where these changed otherwise
    for other reasons. Neither is the right one: the first says what happens in an authority that
    takes the programme up, the second what happens to a child who lives in one.

    Parameters
    ----------
    population : str, optional
        Metric of the panel that counts people; by default the metric's own denominator, or
        ``population``. People are counted in the last period before the first start.

    Returns
    -------
    DataFrame
        One row a term and average: ``average, estimate, std_error, p_value, conf_low, conf_high``
        (the metric's unit), ``term``, ``inference``; both with the inference that the estimate
        has, at its level.

    Raises
    ------
    EstimationError
        If the estimator takes no population weights, or the panel counts no people.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> both = dk.DiD().fit(design, "cpp").infer(dk.ClusterRobust("CR2")).averages()
    >>> both["average"].tolist()
    ['average authority', 'average child']
    """
    if not _weighs(self.estimator):
        raise EstimationError(
            needed="an estimator with population=",
            found=f"{self.estimator!r}",
            where="averages",
            todo="use DiD(), EventStudy(), GroupTime(), Imputation() or SunAbraham()",
        )
    name = population or _people(self)
    if name is None:
        raise EstimationError(
            needed="a metric that counts people",
            found=f"none among {', '.join(self.design.panel.metrics)}",
            where="averages",
            todo="name it: averages(population=…), or make the panel with exposure=",
        )
    sure = self.uncertainty
    rows = []
    for weight, words in ((None, "average authority"), (name, _average(name))):
        made = _with(self, weight)
        if sure is not None:
            made = made.infer(sure.inference, level=sure.level)
        shown = (made if sure is not None else made.infer(None)).tidy()
        shown = shown[shown["term"].isin(made.terms["term"])]
        method = sure.method if sure is not None else "none"
        rows.append(shown.assign(average=words, inference=method))
    both = pd.concat(rows, ignore_index=True)
    order = {term: i for i, term in enumerate(self.terms["term"])}
    both = both.sort_values("term", key=lambda t: t.map(order), kind="stable", ignore_index=True)
    return both[[*_FIRST, "term", "inference"]]


def average_in_words(estimate: Estimate) -> str:
    """Say the other average of the main term in one line; empty where there is none."""
    if not _weighs(estimate.estimator):
        return ""
    weighted = getattr(estimate.estimator, "population", None)
    name = None if weighted else _people(estimate)
    if not weighted and name is None:
        return ""
    try:
        made = _with(estimate, name)
    except DidkitError:  # the estimate itself stands; the other is not to be had
        return ""
    term = estimate.main_term
    if term not in list(made.terms["term"]):
        return ""
    value = float(made.values[made.place_of(term, where="summary")])
    words = "average authority" if weighted else f"{_average(str(name))} (weighted by {name})"
    return f"{words[0].upper()}{words[1:]}: {term} {tables.number(value)}; averages() shows both"


def _weighs(estimator: Any) -> bool:
    return any(one.name == "population" for one in dataclasses.fields(estimator))


def _with(estimate: Estimate, population: str | None) -> Estimate:
    """Return the estimate with other population weights."""
    given: Any = estimate.estimator
    if getattr(given, "population", None) == population:
        return estimate
    return dataclasses.replace(given, population=population).fit(estimate.design, estimate.metric)  # type: ignore[no-any-return]


def _people(estimate: Estimate) -> str | None:
    """Name the metric that counts the people of this one."""
    if estimate.sample.exposure is None:
        return None
    own = estimate.metric.denominator or "population"
    known = estimate.design.panel.metrics
    return own if own in known else "population" if "population" in known else None


def _average(name: str) -> str:
    return "average child" if name in _CHILDREN else f"average by {name}"
