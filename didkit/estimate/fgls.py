"""Feasible generalised least squares with autoregressive errors, for few pilots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from didkit.design import Design, Sample
from didkit.errors import EstimationError, InferenceError, is_whole
from didkit.estimate.autoregression import Autoregression, autoregression, whitening
from didkit.estimate.cells import carried, coefficients, covariate_notes, with_values
from didkit.estimate.covariates import check_covariates, refuse_here, shown
from didkit.estimate.did import after_before
from didkit.estimate.published import Published
from didkit.estimate.two_way import TwoWay, two_way
from didkit.linear import Normal
from didkit.panel import Metric
from didkit.results import Estimate, Labels, tables

__all__ = ["FGLS"]


@dataclass(frozen=True)
class FGLS:
    """The change of `DiD`, with cells weighted by how errors persist: more precise, same question.

    Parameters
    ----------
    lags : int, default 1
        Order of the autoregression of the errors, the same for all authorities; less than one
        less than the periods.
    covariates : sequence of str, optional
        As for `DiD`.

    Notes
    -----
    Two-way fixed effects on every cell with a value give residuals; their autoregression is
    pooled over units and freed of the bias of short windows (Hansen 2007; see
    ``didkit.estimate.autoregression``); each unit's path is whitened by the exact covariance of
    its observed cells, gaps included; and two-way least squares on the whitened rows gives the
    estimate. Where errors persist it varies less than `DiD`: with an autoregression of 0.8 and
    twelve periods, six of them before the start, its variance is about half.

    The autoregression need not be right: clusters are still units, so cluster-robust inference
    holds for any dependence inside them (Brewer, Crossley & Joyce 2018, who take CR1 with
    t(G − 1)). That still rejects too often with few pilots, whatever the weights: use
    ``ClusterRobust("CR2")`` with Bell–McCaffrey degrees of freedom, which takes the whitened
    errors as alike and so profits from the model too.

    It fails, or gains nothing, where errors are not stationary (a random walk: the partial
    autocorrelation is held at 0.98 and a note says so), where pilots persist otherwise than
    comparators, with few units (the autoregression is then noise), and where the effect grows:
    the weights then favour other periods than `DiD` does, and the two answer different questions.

    The weights depend on the outcome through the autoregression, so the estimate is not linear in
    it: there are no ``weights``, no sharp bounds and no permutation in bulk. One pool of
    comparators only.

    References
    ----------
    Brewer, Crossley & Joyce (2018); Hansen (2007).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = dk.FGLS().fit(design, "cpp").infer(dk.ClusterRobust("CR2"))
    >>> bool(made["att"]["conf_low"] < 0 < made["att"]["conf_high"])  # the true effect is zero
    True
    """

    lags: int = 1
    covariates: Sequence[str] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if not is_whole(self.lags) or self.lags < 1:
            raise EstimationError(
                needed="a whole number of lags, 1 or more",
                found=repr(self.lags),
                where="FGLS(lags=)",
                todo="without lags it is DiD()",
            )
        names = check_covariates(self.covariates, "observed", "FGLS(covariates=)")
        object.__setattr__(self, "covariates", names)

    def __repr__(self) -> str:
        """Show the covariates only where there are some."""
        return shown(self)

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the change.

        Raises
        ------
        PanelError
            If the metric or a covariate is unknown.
        DesignError, EstimationError
            If an arm has no unit with values before and after, a covariate is collinear, there are
            too many lags for the periods or for the cells that follow each other, or the design
            has matched sets.
        """
        sample = design.sample(metric, covariates=self.covariates)
        refuse_here(tuple(self.covariates), sample, repr(self))
        if sample.sets is not None:
            raise EstimationError(
                needed="one pool of comparators",
                found=design.against.describe(),
                where=repr(self),
                todo="use DiD(), or compare with one pool: against=Pool() or union()",
            )
        sample, windows, lost = with_values(sample, after_before)
        names = tuple(windows.terms["term"])
        plain = two_way(sample, windows.acts, names)
        errors = autoregression(plain.residual, plain.regressors, sample.mask, int(self.lags))
        white = whitening(errors.coefficients, sample.mask)
        fitted = two_way(sample, windows.acts, names, whiten=white)
        n_pilots, n_comparators = carried(sample, windows)
        parts = Published(
            values=fitted.values,
            influence=fitted.influence,
            normal=fitted.normal,
            contrast=fitted.contrast,
            regroup=_of_whole_units(fitted, sample, repr(self)),
            n_pilots=n_pilots,
            n_comparators=n_comparators,
        )
        unit = sample.metric.unit or "units of the metric"
        return parts.to_estimate(
            self,
            design,
            sample,
            estimand=f"average change in {tables.inside(sample.metric.label)} ({unit})"
            " from the start "
            "on, pilots less comparators; cells weighted by generalised least squares",
            terms=windows.terms,
            facts={
                **{f"ar_{i}": float(v) for i, v in enumerate(errors.coefficients, start=1)},
                **{
                    f"ar_{i}_uncorrected": float(v)
                    for i, v in enumerate(errors.uncorrected, start=1)
                },
                **coefficients(sample, parts),
            },
            notes=(*lost, *_notes(sample, errors), *covariate_notes(sample)),
        )


def _of_whole_units(fitted: TwoWay, sample: Sample, who: str) -> Callable[[Labels], Normal]:
    """Let whole units be regrouped; a whitened row mixes cells, so that parts of units cannot."""

    def regroup(codes: Labels) -> Normal:
        low = np.where(sample.mask, codes, np.iinfo(np.int64).max).min(axis=1)
        high = np.where(sample.mask, codes, np.iinfo(np.int64).min).max(axis=1)
        if (low < high).any():
            raise InferenceError(
                needed="clusters that hold whole units",
                found=f"{int((low < high).sum())} units in several clusters",
                where=who,
                todo="cluster by units or above them, or use DiD()",
            )
        return fitted.regroup(codes)

    return regroup


def _notes(sample: Sample, errors: Autoregression) -> tuple[str, ...]:
    """Say what the errors were taken to be, and where that is doubtful."""
    named = ", ".join(f"{value:.2f}" for value in errors.coefficients)
    raw = ", ".join(f"{value:.2f}" for value in errors.uncorrected)
    notes = [
        f"errors taken as autoregressive with {named}, the same for all (before the correction "
        f"for short windows {raw})"
    ]
    if errors.at_edge:
        notes.append(
            "no stationary autoregression has such residuals: it is held where partial "
            "autocorrelations reach 0.98; compare with DiD()"
        )
    if len(sample.starts) > 1:
        notes.append(
            "starts are staggered: pilots are also compared with pilots that started earlier"
        )
    return tuple(notes)
