"""Unaffected outcomes: what the method finds where the programme cannot act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from didkit.check.asked import check_inference
from didkit.design import Sample
from didkit.errors import (
    DesignError,
    EstimationError,
    InferenceError,
    PanelError,
    first_few,
)
from didkit.inference import adjusted_p_values
from didkit.panel import Metric
from didkit.progress import steps
from didkit.results import Estimate, Finding, Inference
from didkit.results.tables import p_value, signed

__all__ = ["UnaffectedOutcomes"]


@dataclass(frozen=True)
class UnaffectedOutcomes:
    """Estimate the same design on metrics that the programme cannot have affected.

    Parameters
    ----------
    metrics : sequence of str
        Names in the design's panel: outcomes that what differs between pilots and comparators
        would move, and the programme would not.
    inference : Inference, optional
        By default the estimate's own, for all of them.

    Notes
    -----
    What is found there is bias or chance: a difference between pilots and comparators that is not
    the programme. Each is shown in its own unit and in standard deviations, so that metrics are
    on one scale: the standard deviation between comparators within a period, over the periods
    before the first start (root of the mean variance).

    The joint p is that of the largest over all of them (max-t, Westfall & Young 1993), where the
    inference has joint draws (`Permutation`, `ClusterRobust`); otherwise Holm's. It fails to say
    anything where the metrics are noisy, and a metric that the programme does affect makes the
    check an estimate of that effect.

    References
    ----------
    Westfall & Young (1993), by `adjusted_p_values`. Lipsitch, Tchetgen Tchetgen & Cohen (2010) on
    negative controls.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(dk.ClusterRobust("CR2"))
    >>> found = did.check(dk.UnaffectedOutcomes(["cla", "icpc"]))
    >>> found.table["metric"].tolist()
    ['cla', 'icpc']
    """

    metrics: Sequence[str]
    inference: Inference | None = None

    def __post_init__(self) -> None:
        given: object = self.metrics
        names = [given] if isinstance(given, str) else given
        if (
            not isinstance(names, list | tuple)
            or not names
            or not all(isinstance(one, str | Metric) for one in names)
        ):
            raise InferenceError(
                needed="names of metrics that the programme cannot affect",
                found=repr(given),
                where="UnaffectedOutcomes(metrics=)",
                todo="for example UnaffectedOutcomes(['cla'])",
            )
        plain = tuple(one.name if isinstance(one, Metric) else one for one in names)
        twice = [one for one in dict.fromkeys(plain) if plain.count(one) > 1]
        if twice:
            raise InferenceError(
                needed="each metric once",
                found=f"twice: {first_few(twice)}",
                where="UnaffectedOutcomes(metrics=)",
                todo="name each once",
            )
        object.__setattr__(self, "metrics", plain)
        check_inference(self.inference, "UnaffectedOutcomes(inference=)")

    def run(self, estimate: Estimate) -> Finding:
        """Estimate the main term for each metric.

        Returns
        -------
        Finding
            Table, one row a metric: ``metric, label, unit, estimate, conf_low, conf_high,
            p_value`` (each in its own unit), ``p_joint`` (adjusted for all of them), ``sd``,
            ``standardised, standardised_low, standardised_high`` (in standard deviations). Facts:
            ``metrics`` (with an estimate), ``joint_p``, ``largest`` (in standard deviations,
            signed), ``main`` (the estimate itself in standard deviations of its metric).

        Raises
        ------
        InferenceError
            If a metric is not in the panel, is the estimate's own or what that is made of (its
            numerator or denominator), or none can be estimated.
        """
        self._check(estimate)
        inference, level = self._sure(estimate)
        fits: dict[str, Estimate] = {}
        notes = []
        for name in steps(list(self.metrics), "unaffected outcomes"):
            try:
                fit = estimate.estimator.fit(estimate.design, name)
                fits[name] = fit.infer(inference, level=level)
                if inference is not None:
                    _ = fits[name].attached
            except (DesignError, EstimationError) as error:
                fits.pop(name, None)
                notes.append(f"{name}: no estimate: {error.found}")
            except InferenceError as error:
                fits[name] = fit.infer(None)
                notes.append(f"{name}: no interval: {error.found}")
        if not fits:
            raise InferenceError(
                needed="an estimate of at least one of the metrics",
                found="none: " + "; ".join(notes),
                where=repr(self),
                todo="choose metrics that the panel holds for this design",
            )
        notes += _overlaps(estimate.metric, [estimate.design.panel.metric(n) for n in self.metrics])
        table = pd.DataFrame([_row(estimate, name, fits.get(name)) for name in self.metrics])
        joint, how = _jointly(estimate.main_term, fits)
        notes += [how] if how else []
        table.insert(7, "p_joint", [joint.get(name, np.nan) for name in self.metrics])
        return self._found(estimate, table, notes, level)

    def _check(self, estimate: Estimate) -> None:
        panel = estimate.design.panel
        unknown = [name for name in self.metrics if name not in panel.metrics]
        if unknown:
            try:
                panel.metric(unknown[0])
            except PanelError as error:
                todo = error.todo
            raise InferenceError(
                needed="metrics of the design's panel",
                found=f"not in it: {first_few(unknown)}",
                where="UnaffectedOutcomes(metrics=)",
                todo=todo,
            )
        if estimate.metric.name in self.metrics:
            raise InferenceError(
                needed="metrics that the programme cannot affect",
                found=f"{estimate.metric.name!r}, the metric of the estimate itself",
                where="UnaffectedOutcomes(metrics=)",
                todo="take it out",
            )
        main = estimate.metric
        for part, said in (
            (main.numerator, f"the count that {main.name!r} is made of: what moves one moves both"),
            (main.denominator, f"what {main.name!r} is divided by: its change is part of the rate"),
        ):
            if part is not None and part in self.metrics:
                raise InferenceError(
                    needed="metrics that the programme cannot affect, of which the estimate's own "
                    "is not made",
                    found=f"{part!r}, {said}",
                    where="UnaffectedOutcomes(metrics=)",
                    todo="take it out; RateSplit() says which of the two moved the rate",
                )

    def _sure(self, estimate: Estimate) -> tuple[Inference | None, float]:
        sure = estimate.uncertainty
        if sure is None:
            return self.inference, 0.95
        return self.inference or sure.inference, sure.level

    def _found(
        self, estimate: Estimate, table: pd.DataFrame, notes: list[str], level: float
    ) -> Finding:
        there = table[table["estimate"].notna()]
        on_scale = there[there["standardised"].notna()]
        facts = {"metrics": float(len(there)), "joint_p": float(there["p_joint"].min())}
        facts["largest"] = facts["main"] = float("nan")
        sd = _sd(estimate.sample)
        full = float(estimate.values[estimate.place_of(None, where="UnaffectedOutcomes")])
        if sd > 0:
            facts["main"] = full / sd
        n = len(there)
        headline = f"{n} outcome{'s' if n > 1 else ''} that the programme cannot affect: "
        if len(on_scale):
            row = on_scale.iloc[int(on_scale["standardised"].abs().to_numpy().argmax())]
            facts["largest"] = float(row["standardised"])
            headline += (
                f"the largest difference is {signed(float(row['estimate']))} {row['unit']} in "
                f"{row['label']}, {signed(facts['largest'])} standard deviations between "
                f"comparators; that of {estimate.metric.label} is {signed(full)}"
                + (f", {signed(facts['main'])} of its own" if sd > 0 else "")
            )
        else:
            headline += "none could be put in standard deviations"
        if np.isfinite(facts["joint_p"]):
            headline += f". Joint p {p_value(facts['joint_p'])}"
        units = {str(unit) for unit in there["unit"]}
        shared = units == {estimate.metric.unit} and bool(estimate.metric.unit)
        return Finding(
            check=self,
            estimate=estimate,
            question="What does the method find where the programme cannot act?",
            headline=headline + ".",
            table=table,
            facts=facts,
            notes=tuple(dict.fromkeys(notes)),
            cannot_show="that nothing but the programme moves the main outcome: what moves it may "
            "leave these alone, and a wide interval hides a bias as large as itself",
            placebos=(float(there["estimate"].min()), float(there["estimate"].max()))
            if shared
            else None,
        )


def _sd(sample: Sample) -> float:
    """Return the standard deviation between comparators within a period, before the first start."""
    before = sample.y[:, : min(sample.starts)][~sample.pilot]
    seen = np.isfinite(before)
    count = seen.sum(axis=0)
    enough = count > 1
    if not enough.any():
        return float("nan")
    y = np.where(seen, before, 0.0)[:, enough]
    mean = y.sum(axis=0) / count[enough]
    squares = np.where(seen[:, enough], (y - mean) ** 2, 0.0).sum(axis=0)
    return float(np.sqrt((squares / (count[enough] - 1)).mean()))


def _row(estimate: Estimate, name: str, fit: Estimate | None) -> dict[str, object]:
    """Lay one metric out."""
    metric = estimate.design.panel.metric(name)
    numbers = dict.fromkeys(("estimate", "conf_low", "conf_high", "p_value"), np.nan)
    sd = np.nan
    if fit is not None and estimate.main_term in list(fit.terms["term"]):
        row = fit[estimate.main_term]
        numbers = {key: float(row[key]) for key in numbers}
        sd = _sd(fit.sample)
    scale = sd if sd > 0 else np.nan
    return {
        "metric": name,
        "label": metric.label,
        "unit": metric.unit or "units of the metric",
        **numbers,
        "sd": sd,
        "standardised": numbers["estimate"] / scale,
        "standardised_low": numbers["conf_low"] / scale,
        "standardised_high": numbers["conf_high"] / scale,
    }


def _jointly(term: str, fits: dict[str, Estimate]) -> tuple[dict[str, float], str]:
    """Return each metric's p adjusted for all, and how where that is not by joint draws."""
    served = [
        fit
        for fit in fits.values()
        if fit.uncertainty is not None
        and term in list(fit.terms["term"])
        and np.isfinite(fit[term]["p_value"])
    ]
    if not served:
        return {}, "no p-values, so no joint one"
    if len(served) == 1:
        only = served[0]
        return {only.metric.name: float(only[term]["p_value"])}, ""
    method, said = "max-t", ""
    try:
        table = adjusted_p_values(served, methods=[method], terms=[term])
    except InferenceError as error:
        method = "holm"
        said = f"joint p by Holm, as there are no joint draws: {error.found}"
        table = adjusted_p_values(served, methods=[method], terms=[term])
    return dict(zip(table["metric"], table[method].astype(float), strict=True)), said


def _overlaps(main: Metric, others: list[Metric]) -> list[str]:
    """Say which metrics are made of what the main one is made of."""
    made = []
    for one in others:
        if main.name in (one.numerator, one.denominator) or (
            one.numerator and one.numerator == main.numerator
        ):
            made.append(f"{one.name} is made of {main.numerator or main.name}, as {main.name} is")
        elif one.denominator and one.denominator == main.denominator:
            made.append(
                f"{one.name} and {main.name} have one denominator, {one.denominator}: an error in "
                "it moves both"
            )
    return made
