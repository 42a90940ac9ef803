"""Which estimator: what a design admits, what each assumes, and several side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd

from didkit import estimate as room
from didkit.check.admitting import Asked, admitted, estimator_for
from didkit.check.comparing import Comparison, compare
from didkit.design import Design
from didkit.panel import Metric

__all__ = ["Comparison", "compare", "recommend_estimator"]

_COLUMNS = ["estimator", "admitted", "why", "role", "reason", "covariates", "call", "assumes",
            "watch"]  # fmt: skip
_LONG = 8  #: periods before the start from which a synthetic control of one pilot has a fit to show
_SMALL = 10.0  #: mean count of a pilot's cell below which a linear model of it is a poor one

# name: takes covariates; what it assumes; what to watch with few pilots
_SAID: dict[str, tuple[bool, str, str]] = {
    "Gap": (False, "nothing: none of its numbers is an effect",
            "read it first: how much of the difference was there before"),
    "DiD": (True, "without the programme pilots and comparators would have changed alike; with "
            "several starts also that effects are alike and do not grow",
            "one odd pilot is a large share: LeaveOneOut; with several starts TwoWayWeights"),
    "EventStudy": (True, "as DiD, period by period; with several starts effects alike for all",
                   "few pilots carry the last event times; flat leads prove little"),
    "FGLS": (True, "as DiD, and errors that persist in the same way everywhere",
             "the persistence is learnt mostly from comparators"),
    "GroupTime": (True, "each start would have changed like those never, or not yet, treated",
                  "a start of one pilot is one path: read the average, not each start"),
    "DoublyRobust": (True, "pilots would have changed like comparators of the same covariates; "
                     "one of two models right", "a logit of so few pilots: one or two covariates"),
    "SunAbraham": (True, "as GroupTime", "a cluster-robust error is too small with few pilots"),
    "ExtendedTwoWay": (True, "parallel trends in all periods before the start",
                       "one coefficient a start and period: read averages"),
    "Stacked": (False, "as GroupTime, with clean comparators in each window",
                "starts without a whole window have no stack: see the notes"),
    "Imputation": (True, "parallel trends in all periods, unit and period effects from untreated "
                   "cells", "errors of a start of one pilot rest on one residual path"),
    "TwoStage": (True, "as Imputation", "as Imputation"),
    "LPDiD": (False, "as GroupTime; weighs starts by the variance of treatment unless asked",
              "few pilots carry the last event times"),
    "RothSantAnna": (False, "starts as good as random among all units",
                     "pilots that were chosen break it; starts of one pilot are left out"),
    "Switching": (False, "units of the same first treatment would have changed alike",
                  "an effect of having switched, whatever came after"),
    "DoseResponse": (False, "parallel trends; comparing doses also needs pilots of a dose to be "
                     "like the others", "a group of dose is one or two pilots"),
    "PoissonDiD": (True, "without the programme counts would have changed by the same ratio",
                   "small counts: zeros in pilots, and errors by cluster too small"),
    "SyntheticControl": (True, "a mixture of donors follows the pilot before and would after",
                         "judge it by the fit before; p is a rank among placebos"),
    "AugmentedSyntheticControl": (False, "as SyntheticControl; ridge predicts what does not fit",
                                  "weights may be negative: look at them"),
    "SyntheticDiD": (True, "weighted comparators and periods would have changed in parallel",
                     "its placebo variance takes pilots to be as noisy as comparators"),
    "MatrixCompletion": (False, "untreated outcomes of few common factors",
                         "shrinks towards less change with few periods"),
    "ChangesInChanges": (False, "ranks within a group have the same change over time everywhere",
                         "a distribution of so few pilots is a few steps"),
    "TripleDifference": (True, "what else happened to pilots would have moved the second outcome "
                         "as much", "twice the noise"),
}  # fmt: skip


def recommend_estimator(design: Design, metric: str | Metric | None = None) -> pd.DataFrame:
    """Say which estimators a design admits, what each assumes, and which to begin with.

    Nothing is fitted: the design is asked for its starts, who never starts, who left, doses,
    matched sets, periods before the start, and missing cells.

    Parameters
    ----------
    design : Design
        Who is compared with whom.
    metric : str or Metric, optional
        Whose cells are missing, and what kind of number it is. By default every metric of the
        panel that is no denominator: an estimator is admitted where it is for each of them.

    Returns
    -------
    DataFrame
        One row an estimator of `didkit.estimate`, those recommended first: ``estimator``;
        ``admitted``; ``why`` not, empty where it is; ``role`` ("recommended" in one row, "beside"
        where it is worth reading too, else empty) and its ``reason``; ``covariates``, whether it
        takes some; ``call``, with the options that this design asks for, empty where it is not
        admitted; ``assumes``; ``watch``, what to look at with few pilots.

    Raises
    ------
    DesignError
        If the design has no sample of the metric.

    Notes
    -----
    The rule, first match: different doses → DoseResponse; matched sets → DiD; somebody left →
    Switching; small counts → PoissonDiD; repeated cross-sections → DoublyRobust or GroupTime;
    several starts → GroupTime, or Imputation where nobody never starts; else DiD. It knows the
    shape of the design, not how pilots were chosen: see `Design.selection` and
    `RegressionToTheMean`. A recommended estimator may still refuse, as for a collinear covariate.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> table = recommend_estimator(design, "cpp")
    >>> table.loc[table["role"] == "recommended", ["estimator", "call"]].values.tolist()
    [['Switching', 'Switching()']]
    """
    if metric is not None:
        return _of_metric(design, metric)
    measured = design.panel.metrics
    bases = {one.denominator for one in measured.values()} | {"population"}
    names = [name for name in measured if name not in bases] or list(measured)
    return _together({name: _of_metric(design, name) for name in names})


def _of_metric(design: Design, metric: str | Metric) -> pd.DataFrame:
    """Ask a design about one metric."""
    asked = Asked(design, design.sample(metric))
    why = {name: admitted(name, asked) for name in room.__all__}
    roles = _roles(asked, why)
    rows = []
    for name in room.__all__:
        covariates, assumes, watch = _SAID[name]
        role, reason = roles.get(name, ("", ""))
        call = "" if why[name] else _call(name, asked)
        rows.append((name, not why[name], why[name], role, reason, covariates and not asked.sets,
                     call, assumes, watch))  # fmt: skip
    return _in_order(pd.DataFrame(rows, columns=_COLUMNS))


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Put those recommended first, then those admitted."""
    order = table["role"].map({"recommended": 0, "beside": 1, "": 2}) - table["admitted"] / 2
    return table.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def _together(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Say it of all metrics at once: admitted where it is for each; who is not, and why, by name.

    The first recommended for most metrics is; where metrics differ the reason says so.
    """
    if len(tables) == 1:
        return next(iter(tables.values()))
    by = {name: table.set_index("estimator") for name, table in tables.items()}
    firsts = {name: str(table["role"].eq("recommended").idxmax()) for name, table in by.items()}
    votes = list(firsts.values())
    chosen = max(dict.fromkeys(votes), key=votes.count)
    rows = []
    for name in room.__all__:
        mine = {metric: table.loc[name] for metric, table in by.items()}
        no = {metric: str(row["why"]) for metric, row in mine.items() if not row["admitted"]}
        why = "; ".join(dict.fromkeys(no.values()))
        if no and len(no) < len(mine):
            why = f"not for {', '.join(no)}: {why}"
        source = mine[next(m for m in mine if firsts[m] == chosen)]
        role, reason = source["role"], source["reason"]
        if name == chosen and len(set(votes)) > 1:
            others = [f"{first} for {metric}" for metric, first in firsts.items() if first != name]
            reason = f"{reason}; {', '.join(others)}"
        call = source["call"] if not no else ""
        rows.append((name, not no, why, role if not no or name == chosen else "", reason,
                     source["covariates"], call, source["assumes"], source["watch"]))  # fmt: skip
    return _in_order(pd.DataFrame(rows, columns=_COLUMNS))


def _call(name: str, asked: Asked) -> str:
    """Write the estimator with the options that are not its own defaults."""
    made, plain = estimator_for(name, asked), getattr(room, name)()
    changed = [
        f"{field}={getattr(made, field)!r}"
        for field in made.__dataclass_fields__  # type: ignore[attr-defined]
        if getattr(made, field) != getattr(plain, field)
    ]
    return f"{name}({', '.join(changed)})"


def _roles(asked: Asked, why: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Choose one to begin with, and those to read beside it."""
    sample = asked.sample
    first, reason, beside = _first(asked)
    if why[first]:
        fallback = next(name for name in ("DiD", "GroupTime", "Imputation") if not why[name])
        reason = f"{first} would be first ({reason}), but: {why[first]}"
        first = fallback
    roles = {first: ("recommended", reason)}
    if sample.n_pilots == 1 and asked.before >= _LONG:
        text = f"one pilot, {asked.before} periods before: a fit to judge by"
        beside |= {"SyntheticControl": text, "SyntheticDiD": text}
    for name, text in beside.items():
        if name != first and not why[name]:
            roles[name] = ("beside", text)
    return roles


def _first(asked: Asked) -> tuple[str, str, dict[str, str]]:
    """Apply the rule: the first case that matches."""
    sample = asked.sample
    n = len(sample.starts)
    paths = {"EventStudy": "period by period, with what was there before the start"}
    if len(asked.doses) and np.ptp(asked.doses) > 0 and not asked.sets:
        return (
            "DoseResponse",
            f"pilots have doses from {asked.doses.min():g} to {asked.doses.max():g}",
            {"DiD": "the mean effect, whatever the dose", **paths},
        )
    if asked.sets:
        return "DiD", "each pilot with its own matched set", paths
    if asked.left:
        return (
            "Switching",
            "some left the programme: effects of having joined, period by period",
            {"DiD": "who left counts as treated, or has no cells, as the design says"},
        )
    if _small_counts(asked):
        return (
            "PoissonDiD",
            f"counts below {_SMALL:g} a cell, on average, in pilots",
            {"DiD": "the change in the count itself", **paths},
        )
    if asked.seen_once:
        name = "GroupTime" if asked.staggered else "DoublyRobust"
        return name, "repeated cross-sections: people differ from period to period", {
            "DiD": "with effects of cohorts"
        }  # fmt: skip
    if not asked.never:
        return (
            "Imputation",
            "nobody never starts: later pilots serve until they start",
            {"GroupTime": "the same question, from the last period before each start"},
        )
    if n > 1:
        return (
            "GroupTime",
            f"{n} starts, and {sample.n_comparators} units that never start: no pilot is compared "
            "with one already treated",
            {
                "Imputation": "uses all periods before, more precise if trends are parallel there",
                "DiD": "one coefficient, with TwoWayWeights to see what it averages",
            },
        )
    return (
        "DiD",
        "one start, and nobody left: the plain change",
        {**paths, "DoublyRobust": "where covariates say who would have changed differently"},
    )


def _small_counts(asked: Asked) -> bool:
    """Whether the metric is a count, and small where pilots are."""
    sample = asked.sample
    if sample.metric.kind != "count":
        return False
    own = sample.y[sample.pilot]
    return bool(np.nanmean(own) < _SMALL)
