"""The one shape of answer: an estimate knows how it was made and how sure it is."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, InferenceError, first_few
from didkit.linear import Normal, effective_clusters
from didkit.markup import items, number, page, paragraph
from didkit.panel import Metric, Status
from didkit.results import hooks, tables
from didkit.results.asking import (
    all_checks,
    check_attached,
    check_level,
    joint_test,
    no_such_term,
    not_an_object,
)
from didkit.results.averages import average_in_words, averages
from didkit.results.draws import Draws, Exchange, Labels
from didkit.results.later import Weighted
from didkit.results.leverage import leverage_table, who_carries
from didkit.results.rows import with_reference
from didkit.results.uncertainty import Uncertainty

if TYPE_CHECKING:
    from didkit.results.finding import Finding
    from didkit.results.protocols import Check, Estimator, Inference

__all__ = ["Estimate"]

Floats = NDArray[np.float64]
Recommended = Literal["recommended"]
_SHOWN = 12  # rows of the table in a notebook
_NOTED = 6
_BARE = "Inference: none"


@dataclass(frozen=True, eq=False)
class Estimate(Weighted):
    """Estimates of k terms, with everything that inference and checks may use.

    Parameters
    ----------
    estimator : Estimator
        What made it; ``refit(design)`` makes it again.
    design : Design
        Who is compared with whom.
    sample : Sample
        The units, periods and cells used, and the log of those that were not.
    estimand : str
        In words, what is estimated, with its unit.
    terms : DataFrame
        One row a term: ``term``, ``n_pilots``, ``n_comparators`` (units that carry it) and
        extras such as ``event_time``, ``period``, ``phase`` (before, anticipation, after).
    values : array (k,)
        The estimates, in the metric's unit.
    weights : array (k, J, T), optional
        When linear in the outcome: estimate = sum of weight × cell. J units, T periods of the
        sample.
    laid_out : callable, optional
        Returns `weights` when they are first read, where they are not given.
    influence : array (J, k), optional
        Each unit's contribution to the sampling error.
    normal, contrast : Normal and array (k, p), optional
        Cross-products by cluster, and the combination of parameters that each term is.
    contributions : array (J, k), optional
        Where each term compares one number a unit between pilots and comparators (a long
        difference): those numbers; NaN for a unit that the term does not use.
    regroup : callable, optional
        Codes (J, T) of cells → `Normal` by these groups of cells: other clusters, above the unit
        or below it.
    reassigned : callable, optional
        Labels (B, J) of cohorts, −1 for comparators, → `Draws`: the refit for many assignments.
    exchanged : Exchange, optional
        For matched sets: which units may trade places, and the refit for many such orders.
    assignable : bool array (J,), optional
        Units that could have been pilots, with the cells that a pilot needs; None: all.
    resampled : callable, optional
        Counts (B, J) of how often each unit stands in a resample → values (B, k); NaN where there
        is none.
    placebos : callable, optional
        Labels (B, J) of cohorts, −1 for comparators, −2 for units left out → values (B, k), and
        the ratio (B,) of the root mean squares of the gaps after and before the start.
    synthetic : DataFrame, optional
        Weights that the data chose: ``start, kind`` (unit or period), ``pilot`` ("" where one
        mixture serves all), ``label, name, weight``.
    reference : DataFrame, optional
        Rows shown with estimate 0: the reference period.
    fitted : callable, optional
        The same model fitted by linearmodels: what `regression` returns.
    facts : mapping
        Further numbers for ``glance()``.
    notes : tuple of str
        What a reader must know.
    """

    estimator: Estimator
    design: Design
    sample: Sample
    estimand: str
    terms: pd.DataFrame
    values: Floats
    influence: Floats | None = None
    normal: Normal | None = None
    contrast: Floats | None = None
    contributions: Floats | None = None
    regroup: Callable[[Labels], Normal] | None = None
    reassigned: Callable[[Labels], Draws] | None = None
    exchanged: Exchange | None = None
    assignable: NDArray[np.bool_] | None = None
    resampled: Callable[[Labels], Floats] | None = None
    placebos: Callable[[Labels], tuple[Floats, Floats]] | None = None
    synthetic: pd.DataFrame | None = None
    reference: pd.DataFrame | None = None
    fitted: Callable[[], Any] | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    _attached: Uncertainty | None = None
    _bare: bool = False
    _memory: dict[str, Uncertainty] = field(default_factory=dict, repr=False)

    # -- looked at ---------------------------------------------------------------------------

    @property
    def metric(self) -> Metric:
        """What is measured."""
        return self.sample.metric

    @property
    def n_terms(self) -> int:
        """Number of terms, k."""
        return len(self.values)

    @property
    def uncertainty(self) -> Uncertainty | None:
        """How sure: as attached, or by the inference that the design recommends; None if bare."""
        if self._attached is not None or self._bare:
            return self._attached
        if "recommended" not in self._memory:
            self._memory["recommended"] = self.infer().attached
        return self._memory["recommended"]

    @property
    def attached(self) -> Uncertainty:
        """How sure, for those who cannot go on without.

        Raises
        ------
        InferenceError
            If the estimate was asked to stay bare: ``infer(None)``.
        """
        sure = self.uncertainty
        if sure is None:
            raise InferenceError(
                needed="an estimate with an inference",
                found="one without: infer(None)",
                where=f"{type(self.estimator).__name__} of {self.metric.name!r}",
                todo="call .infer() or .infer(ClusterRobust('CR2'))",
            )
        return sure

    @property
    def covariance(self) -> pd.DataFrame:
        """Covariance of the terms, labelled; NaN after a method that has none."""
        sure = self.uncertainty
        if sure is not None and sure.covariance is not None:
            return sure.covariance.copy()
        labels = list(self.terms["term"])
        return pd.DataFrame(np.full((len(labels),) * 2, np.nan), index=labels, columns=labels)

    @property
    def all_notes(self) -> tuple[str, ...]:
        """Notes of the sample, the estimator and the inference, in that order."""
        sure = self.uncertainty
        found = (*self.sample.notes, *self.notes, *(sure.notes if sure is not None else ()))
        return tuple(dict.fromkeys(found))

    @property
    def provenance(self) -> dict[str, Any]:
        """How it was made: estimator, inference, seed, sources with hashes, library versions."""
        sure = self.uncertainty
        sources = self.design.panel.provenance()
        mine = sources[sources["metric"] == self.metric.name]
        return {
            "estimator": repr(self.estimator),
            "inference": repr(sure.inference) if sure is not None else "none",
            "seed": sure.facts.get("seed") if sure is not None else None,
            "derivation": self.metric.derivation,
            "sources": mine[["release", "file", "sha256"]].to_dict("records"),
            "versions": _versions(),
        }

    def __getitem__(self, term: str) -> pd.Series:
        """Return the row of one term, by its exact name.

        Raises
        ------
        EstimationError
            If there is no such term.
        """
        table = self.tidy()
        found = table[table["term"] == term]
        if found.empty:
            where = f"{type(self.estimator).__name__} of {self.metric.name!r}"
            raise no_such_term(term, list(table["term"]), where)
        return found.iloc[0]

    def tidy(self) -> pd.DataFrame:
        """One row a term (a copy).

        Returns
        -------
        DataFrame
            ``term, estimate, std_error, statistic, p_value, conf_low, conf_high``, then
            ``metric``, ``df`` where there are degrees of freedom, ``band_low, band_high`` where
            there is a uniform band over several terms, and the terms' extras. A reference period
            stands with estimate 0 and no uncertainty.
        """
        sure = self.uncertainty
        nan = np.full(self.n_terms, np.nan)
        columns: dict[str, Any] = {
            "term": list(self.terms["term"]),
            "estimate": self.values.copy(),
            **{
                name: nan if sure is None else getattr(sure, name).copy()
                for name in ("std_error", "statistic", "p_value", "conf_low", "conf_high")
            },
            "metric": [self.metric.name] * self.n_terms,
        }
        if sure is not None and sure.df is not None:
            columns["df"] = sure.df
        if sure is not None and sure.band_low is not None and sure.band_high is not None:
            columns["band_low"], columns["band_high"] = sure.band_low, sure.band_high
        columns.update({str(n): c.to_numpy() for n, c in self.terms.items() if n != "term"})
        return with_reference(columns, self.reference, self.metric.name)

    def glance(self) -> pd.DataFrame:
        """One row of facts.

        Returns
        -------
        DataFrame
            Metric, estimator, estimand; pilots, comparators and clusters that carry it; effective
            clusters (the least over terms); the largest leverage, partial leverage and influence
            on `main_term`, and whose (`didkit.results.leverage`); periods; cells used and cells
            without a value; inference, level; least attainable p, draws and seed where they exist.
        """
        sample, sure = self.sample, self.uncertainty
        log = sample.log
        clusters = sample.clusters
        row: dict[str, Any] = {
            "metric": self.metric.name,
            "estimator": type(self.estimator).__name__,
            "estimand": self.estimand,
            "pilots": int(self.terms["n_pilots"].max()),
            "comparators": int(self.terms["n_comparators"].max()),
            "clusters_pilots": len(np.unique(clusters[sample.pilot])),
            "clusters_comparators": len(np.unique(clusters[~sample.pilot])),
            "effective_clusters": self.effective_clusters(),
            **who_carries(self),
            "periods": len(sample.periods),
            "first": sample.periods[0],
            "last": sample.periods[-1],
            "cells_used": int(log.loc[log["reason"] == "used", "cells"].sum()),
            "cells_suppressed": int(
                log.loc[log["reason"] == f"no value: {Status.SUPPRESSED.label}", "cells"].sum()
            ),
            "cells_without_value": int(
                log.loc[log["reason"].str.startswith("no value"), "cells"].sum()
            ),
            **dict(self.facts),
            "inference": sure.method if sure is not None else "none",
            "level": sure.level if sure is not None else np.nan,
        }
        if sure is not None:
            row.update(sure.facts)
        return pd.DataFrame([row])

    leverage = leverage_table
    averages = averages

    def effective_clusters(self) -> float:
        """Effective number of clusters G*(0), the least over the terms; NaN where not defined.

        MacKinnon, Nielsen & Webb (2023). 150 authorities with 9 pilots count for about ten.
        """
        if self.normal is None or self.contrast is None or self.normal.n_clusters < 2:
            return float("nan")
        try:
            return float(np.min(effective_clusters(self.normal, self.contrast)))
        except InferenceError:
            return float("nan")

    def long_differences(self, term: str | None = None) -> pd.DataFrame:
        """Show the one number a unit that the comparison is made of.

        Parameters
        ----------
        term : str, optional
            By default the first.

        Returns
        -------
        DataFrame
            ``unit, name, arm, value, weight, exposure``: value in the metric's unit; the weighted
            sum of the values is the estimate with cells="complete", and with "observed" where
            the panel is balanced and all pilots start together.

        Raises
        ------
        EstimationError
            If the estimator does not compare one number a unit.
        """
        if self.contributions is None:
            raise EstimationError(
                needed="an estimate that compares one number a unit",
                found=f"{type(self.estimator).__name__} with {self.design.against.describe()}",
                where="long_differences",
                todo="use DiD or Gap against one pool",
            )
        m = 0 if term is None else self.place_of(term, where="long_differences")
        value = self.contributions[:, m]
        used = np.isfinite(value)
        pilot = self.sample.pilot
        n1, n0 = max(int((used & pilot).sum()), 1), max(int((used & ~pilot).sum()), 1)
        exposure = self.sample.exposure
        return pd.DataFrame(
            {
                "unit": np.array(self.sample.units)[used],
                "name": np.array(self.sample.names)[used],
                "arm": np.where(pilot, "pilot", "comparator")[used],
                "value": value[used],
                "weight": np.where(pilot, 1 / n1, -1 / n0)[used],
                "exposure": np.nan if exposure is None else _last_finite(exposure)[used],
            }
        )

    @property
    def main_term(self) -> str:
        """Name of the only term, of the change of a gap, or of the first from the start on."""
        names = list(self.terms["term"])
        if "change" in names:
            return "change"
        after = self.terms[self.terms["phase"] == "after"]
        return str(after["term"].iloc[0]) if len(after) else str(names[0])

    def place_of(self, term: str | None, *, where: str) -> int:
        """Return the place of a term among the terms; of `main_term` where none is named.

        Raises
        ------
        EstimationError
            If there is no such term.
        """
        names = list(self.terms["term"])
        name = self.main_term if term is None else term
        if name not in names:
            raise no_such_term(name, names, where)
        return names.index(name)

    # -- asked again ---------------------------------------------------------------------------

    def refit(self, design: Design) -> Estimate:
        """Make the same estimate on another design."""
        return self.estimator.fit(design, self.metric.name)

    def infer(
        self, inference: Inference | Recommended | None = "recommended", *, level: float = 0.95
    ) -> Estimate:
        """Return the estimate with its uncertainty.

        Parameters
        ----------
        inference : Inference, None or "recommended"
            By default the method that suits the design; the notes say which and why.
        level : float, default 0.95
            Of the intervals, which invert the printed test.

        Raises
        ------
        InferenceError
            If the method does not exist for this estimate, or the level is not inside (0, 1); or if
            an inference of your own returns something else than the estimate with an
            `Uncertainty` that names it.
        """
        check_level(level)
        if inference is None:
            return replace(self, _attached=None, _bare=True, _memory={})
        if isinstance(inference, str):
            if inference != "recommended":
                raise not_an_object(inference, "infer")
            advice = hooks.recommend(self)
            try:
                sure = advice.inference.attach(self, level=level).attached
            except InferenceError as error:  # nobody asked for it by name: no number, and why
                nan = np.full(self.n_terms, np.nan)
                why = f"no standard error, test or interval: {error.found}; {error.todo}"
                sure = Uncertainty(
                    advice.inference, "none", level, nan, nan, nan, nan, nan, notes=(why,)
                )
            return self.with_uncertainty(replace(sure, notes=(*advice.notes, *sure.notes)))
        if isinstance(inference, type) or not hasattr(inference, "attach"):
            raise not_an_object(inference, "infer")
        return check_attached(inference, self, inference.attach(self, level=level))

    joint = joint_test

    def with_uncertainty(self, uncertainty: Uncertainty) -> Estimate:
        """Return the estimate with this uncertainty; for inferences."""
        return self.changed(_attached=uncertainty, _bare=False, _memory={})

    def inference_table(
        self,
        methods: Sequence[Inference] | None = None,
        *,
        term: str | None = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Put several inferences of one term side by side.

        Parameters
        ----------
        methods : sequence of Inference, optional
            By default the method that the design recommends and the usual ones beside it.
        term : str, optional
            By default `main_term`.
        level : float, default 0.95
            Of the intervals.

        Returns
        -------
        DataFrame
            One row a method: ``method, estimate, std_error, statistic, p_value, conf_low,
            conf_high, df, level, used, recommended, refused, inference``; `used` marks the method
            that the estimate has; `refused` says why there is no number, and is empty where there
            is one.

        Raises
        ------
        InferenceError
            If the level is not inside (0, 1), or something given is not an inference.
        EstimationError
            If there is no such term.
        """
        made: pd.DataFrame = hooks.tabulate(self, methods, term=term, level=level)
        return made

    def check(self, check: Check) -> Finding:
        """Run a check and return what it measured.

        Raises
        ------
        InferenceError
            If `check` is not a check, such as a class or a name.
        """
        if isinstance(check, type) or not hasattr(check, "run"):
            raise not_an_object(check, "check")
        return check.run(self)

    checks = all_checks

    def regression(self) -> Any:
        """Fit the same model by linearmodels, for who wants to see it there.

        Returns
        -------
        PanelEffectsResults or AbsorbingLSResults
            Of linearmodels, with the same cells, effects and weights. Its parameters are
            ``term_1, term_2, …`` in the order of the terms, then the covariates. Its standard
            errors are clustered as the design says, with linearmodels' own small-sample factor:
            ``didkit.estimate.regression`` says how each becomes one of `ClusterRobust`.

        Raises
        ------
        EstimationError
            If the estimate is no least-squares fit with effects of units and periods.
        """
        if self.fitted is None:
            raise EstimationError(
                needed="a regression with effects of units and periods",
                found=f"{self.estimator!r}",
                where="regression",
                todo="use DiD() or EventStudy() against one pool of comparators",
            )
        return self.fitted()

    # -- shown -----------------------------------------------------------------------------------

    def _shown(self) -> pd.DataFrame:
        """Return the columns that a reader wants."""
        table = self.tidy()
        keep = ["term", "estimate", "conf_low", "conf_high", "p_value", "std_error"]
        extras = [c for c in ("n_pilots", "n_comparators") if c in table.columns]
        return table[[*keep, *extras]]

    def summary(self) -> str:
        """Say what was estimated, how sure it is, and what to know, as text."""
        sample, sure = self.sample, self.uncertainty
        lines = [
            f"{type(self.estimator).__name__} · {self.metric.label}"
            + (f" ({self.metric.unit})" if self.metric.unit else ""),
            f"Estimand: {self.estimand}",
            f"{sample.n_pilots} pilots, {sample.n_comparators} comparators, "
            f"{sample.periods[0]} to {sample.periods[-1]}; "
            f"against {self.design.against.describe()}",
            f"Inference: {sure.method}, level {sure.level:g}" if sure else "Inference: none",
            "",
            tables.to_markdown(self._shown()),
            *(f"{name} = {tables.number(value)}" for name, value in self.facts.items()),
            *((other,) if (other := average_in_words(self)) else ()),
            *(f"Note: {note}." for note in self.all_notes),
        ]
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """Write the table of terms as Markdown."""
        return tables.to_markdown(self._shown())

    def to_latex(self) -> str:
        """Write the table of terms as LaTeX."""
        return tables.to_latex(self._shown())

    def plot(self, ax: Any = None, *, kind: str | None = None) -> Any:
        """Draw it; returns the Axes, shows and saves nothing.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default a new figure.
        kind : str, optional
            Which picture: by default the one that suits the estimate; otherwise for example
            "long_differences", "permutation", "forest" or "leverage".

        Raises
        ------
        DidkitError
            If there is no such picture of this estimate.
        """
        return hooks.draw(self, ax, **({} if kind is None else {"kind": kind}))

    def __repr__(self) -> str:
        shown = [
            f"{term} {tables.number(value)}"
            for term, value in zip(self.terms["term"], self.values, strict=True)
        ]
        return f"{type(self.estimator).__name__}({self.metric.name}): {first_few(shown, 8)}"

    def _repr_html_(self) -> str:
        sure = self.uncertainty
        unit = f" ({self.metric.unit})" if self.metric.unit else ""
        facts = ", ".join(f"{name} {number(value)}" for name, value in self.facts.items())
        # which inference and why comes first: the design's notes can be read there too
        notes = (*(sure.notes if sure else ()), *self.notes, *self.sample.notes)
        return page(
            paragraph(self.estimand),
            tables.head_to_html(
                self._shown(),
                most=_SHOWN,
                caption=f"{type(self.estimator).__name__} · {self.metric.label}{unit}",
            ),
            paragraph(f"Inference: {sure.method}, level {sure.level:g}" if sure else _BARE),
            paragraph(facts),
            items(tuple(dict.fromkeys(notes)), most=_NOTED),
        )


def _last_finite(values: Floats) -> Floats:
    """Return the last finite number of each row; NaN for a row without one."""
    seen = np.isfinite(values)
    last = values.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    made: Floats = np.where(seen.any(axis=1), values[np.arange(len(values)), last], np.nan)
    return made


def _versions() -> dict[str, str]:
    found = {}
    for name in ("didkit-evaluation", "numpy", "pandas", "scipy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
