"""Terms by event time with their covariance: what checks of a path before and after work on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import DidkitError, InferenceError, first_few, is_number, is_whole, kind_of
from didkit.estimate import DiD, EventStudy
from didkit.inference import ClusterRobust, Jackknife
from didkit.results import Estimate, Inference
from didkit.results.tables import signed

__all__ = ["EventTerms", "Of", "in_words"]

Floats = NDArray[np.float64]
Of = str | Mapping[Any, float] | None
_NEGATIVE = 1e-10  #: an eigenvalue below minus this share of the largest is not rounding
_ASYMMETRIC = 1e-8  #: of the largest variance
_MEAN = "mean"
PRINTED = "the printed estimate, "  #: how the note begins that says it is another number


@dataclass(frozen=True, eq=False)
class EventTerms:
    """Terms before and after the start, less one reference period, and their covariance.

    Parameters
    ----------
    names : tuple of str
        Of the k terms, in order of time; without the reference.
    times : int array (k,)
        Event time of each; with the reference they have no gap.
    reference : int
        Event time at which the path is 0 by construction.
    first : int
        Event time from which on an effect is possible: 0, or earlier where the programme may
        have been anticipated. Terms before it hold no effect.
    values : array (k,)
        In the metric's unit.
    covariance : array (k, k)
        Of the values.
    weights : array (k,)
        The combination that is reported by default; zero before `first`.
    label : str
        What that combination is, in words.
    unit : str
        Of the values.
    level : float
        Of intervals.
    method : str
        Where the covariance is from, in words.
    events : Estimate, optional
        The event study behind it; None for terms from elsewhere.
    notes : tuple of str
        What a reader must know.

    Raises
    ------
    InferenceError
        If times have a gap or do not hold the reference, the covariance is not symmetric or not
        positive semi-definite (the message says by how much), or no term is before or after.

    Examples
    --------
    Terms of another program, by their event times:

    >>> import pandas as pd
    >>> terms = pd.Series({-3: 0.2, -2: -0.1, 0: -1.0, 1: -1.5})
    >>> covariance = pd.DataFrame(0.04, terms.index, terms.index) + 0.05 * np.eye(4)
    >>> made = EventTerms.given(terms, covariance)
    >>> made.label, made.times.tolist()
    ('mean of event times 0 to 1', [-3, -2, 0, 1])
    """

    names: tuple[str, ...]
    times: NDArray[np.int64]
    reference: int
    first: int
    values: Floats
    covariance: Floats
    weights: Floats
    label: str
    unit: str = "units of the metric"
    level: float = 0.95
    method: str = "as given"
    events: Estimate | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        k = len(self.names)
        shapes = [np.shape(one) for one in (self.times, self.values, self.weights)]
        if any(shape != (k,) for shape in shapes) or np.shape(self.covariance) != (k, k):
            raise _wrong(
                f"{k} times, values and weights, and a {k} × {k} covariance",
                f"shapes {shapes} and {np.shape(self.covariance)}",
                "give one of each a term",
            )
        if not np.isfinite(self.values).all() or not np.isfinite(self.covariance).all():
            raise _wrong(
                "finite terms and a finite covariance",
                f"{int((~np.isfinite(self.values)).sum())} terms and "
                f"{int((~np.isfinite(self.covariance)).sum())} covariances that are not",
                "leave terms without a value out by name, or choose an inference with a covariance",
            )
        path = sorted([*self.times.tolist(), self.reference])
        if self.times.tolist() != sorted(set(self.times.tolist())) or path != list(
            range(path[0], path[-1] + 1)
        ):
            raise _wrong(
                "each event time once, in order, and no gap between them and the reference "
                f"{self.reference}",
                f"event times {first_few(self.times.tolist(), 12)}",
                "use periods without a gap: a path with one has jumps of unknown length",
            )
        if not self.reference < self.first or not (self.times >= self.first).any():
            raise _wrong(
                f"a reference before event time {self.first} and a term from it on",
                f"reference {self.reference}, last term {path[-1]}",
                "widen the window",
            )
        if not (self.times < self.first).any():
            raise _too_short()
        _check_covariance(self.covariance)

    @property
    def before(self) -> NDArray[np.bool_]:
        """Terms that hold no effect (k,)."""
        return np.asarray(self.times < self.first)

    @property
    def estimate(self) -> float:
        """The reported combination of the terms."""
        return float(self.weights @ self.values)

    @property
    def std_error(self) -> float:
        """Its standard error."""
        return float(np.sqrt(self.weights @ self.covariance @ self.weights))

    @classmethod
    def of(cls, estimate: Estimate, *, of: Of = None, inference: Inference | None = None) -> Any:
        """Take the terms of an estimate, or of the event study that belongs to it.

        Parameters
        ----------
        estimate : Estimate
            An event study with a fixed reference; or `DiD` and estimators with ``by=``, whose own
            event study is then fitted on the same design.
        of : str or mapping, optional
            The combination reported: the name of a term, ``"mean"`` (all terms from the start on,
            by how many pilots carry each), or weights by name of term. By default the main term
            of an event study, and the mean where the estimate has no terms by period.
        inference : Inference, optional
            For the covariance; by default the estimate's own where it has one, otherwise
            ``ClusterRobust("CR2")``, or the jackknife, and a note says so. Terms at either end
            without a variance, which one pilot carries, are left out, and a note names them.

        Raises
        ------
        InferenceError
            If there is no event study with a reference, no covariance, or no such combination.
        """
        events, notes = _events(estimate)
        covariance, method, level, more = _covariance(events, inference)
        table = events.terms
        order = np.argsort(table["position"].to_numpy(), kind="stable")
        times = table["position"].to_numpy(dtype=np.int64)[order]
        names = tuple(str(name) for name in table["term"].iloc[order])
        after = times[table["phase"].iloc[order].isin(["after", "anticipation"]).to_numpy()]
        counts = table["n_pilots"].to_numpy(dtype=float)[order]
        reference: Any = events.reference  # never None here: see _events
        first = int(after.min()) if len(after) else int(times.max()) + 1
        if of is None:
            of = events.main_term if events is estimate else _MEAN
        phase = table["phase"].iloc[order].to_numpy()
        covariance = covariance[np.ix_(order, order)]
        keep, left_out = _with_variance(names, covariance)
        names = tuple(name for name, use in zip(names, keep, strict=True) if use)
        after_counts = np.where(phase == "after", counts, 0.0)[keep]
        weights, label = _combination(of, names, times[keep], after_counts)
        if events is not estimate and of == _MEAN:
            notes += _other_number(estimate, float(weights @ events.values[order][keep]), reference)
        return cls(
            names=names,
            times=times[keep],
            reference=int(reference["position"].iloc[0]),
            first=first,
            values=events.values[order][keep],
            covariance=covariance[np.ix_(keep, keep)],
            weights=weights,
            label=label,
            unit=estimate.metric.unit or "units of the metric",
            level=level,
            method=method,
            events=events,
            notes=(*notes, *more, *left_out),
        )

    @classmethod
    def given(
        cls,
        values: Any,
        covariance: Any,
        *,
        of: Of = _MEAN,
        reference: int = -1,
        first: int = 0,
        unit: str = "",
        level: float = 0.95,
    ) -> Any:
        """Take terms that another program estimated.

        Parameters
        ----------
        values : Series
            Indexed by event time (whole numbers), without the reference.
        covariance : DataFrame
            With the same labels on rows and columns, in any order.
        of : str or mapping, default "mean"
            The combination reported: ``"mean"`` of the terms from `first` on, or weights by event
            time.
        reference, first : int
            Event time of the reference, and of the first term that may hold an effect.
        unit : str
            Of the values.
        level : float, default 0.95
            Of intervals.

        Raises
        ------
        InferenceError
            If something has no labels, labels differ, or the terms are no path (see the class).
        """
        if not isinstance(values, pd.Series) or not isinstance(covariance, pd.DataFrame):
            raise _wrong(
                "a Series of terms indexed by event time, and a DataFrame of covariances with the "
                "same labels",
                f"{kind_of(values)} and {kind_of(covariance)}, which have none",
                "write pd.Series({-2: 0.1, 0: 1.2}) and pd.DataFrame(…, index=…, columns=…)",
            )
        labels = list(values.index)
        if not all(is_whole(one) for one in labels):
            raise _wrong(
                "event times as labels: whole numbers such as −2 and 0",
                first_few([repr(one) for one in labels]),
                "label each term with its periods since the start",
            )
        if len(set(labels)) < len(labels) or not (
            sorted(labels) == sorted(covariance.index) == sorted(covariance.columns)
        ):
            raise _wrong(
                "the same labels, each once, on the terms and on both sides of the covariance",
                f"terms {first_few(labels, 8)}; covariance {first_few(list(covariance.index), 8)}",
                "give the covariance of exactly these terms",
            )
        times = np.array(sorted(labels), dtype=np.int64)
        names = tuple(f"event time {t:+d}" if t else "event time 0" for t in times.tolist())
        counts = (times >= first).astype(float)
        if isinstance(of, Mapping):
            of = {
                (names[times.tolist().index(key)] if key in labels else key): weight
                for key, weight in of.items()
            }
        weights, label = _combination(of, names, times, counts)
        return cls(
            names=names,
            times=times,
            reference=int(reference),
            first=int(first),
            values=values.loc[times.tolist()].to_numpy(dtype=float),
            covariance=covariance.loc[times.tolist(), times.tolist()].to_numpy(dtype=float),
            weights=weights,
            label=label,
            unit=unit or "units of the metric",
            level=level,
        )


_FITTED: WeakKeyDictionary[Estimate, tuple[Estimate, tuple[str, ...]]] = WeakKeyDictionary()
"""The event study of an estimate: several checks ask for it, and for its thousands of draws."""


def _events(estimate: Estimate) -> tuple[Estimate, tuple[str, ...]]:
    """Return an event study with a reference and terms before: the estimate, or its own."""
    if estimate.reference is not None and "position" in estimate.terms:
        if (estimate.terms["phase"] == "before").any() and "group" not in estimate.terms:
            return estimate, ()
        if isinstance(estimate.estimator, EventStudy):
            raise _too_short()
    if estimate not in _FITTED:
        _FITTED[estimate] = _fitted(estimate)
    return _FITTED[estimate]


def _fitted(estimate: Estimate) -> tuple[Estimate, tuple[str, ...]]:
    """Fit the event study that belongs to an estimate."""
    maker: Any = estimate.estimator
    options = {one.name for one in dataclasses.fields(maker)}
    if isinstance(maker, DiD):
        shared = [one.name for one in dataclasses.fields(EventStudy) if one.name in options]
        made: Any = EventStudy(**{name: getattr(maker, name) for name in shared})
    elif getattr(maker, "terms", None) == "static":
        raise _wrong(
            "terms before and after the start, less one reference period",
            f"{type(maker).__name__} with one term for all periods",
            f"run it on {type(maker).__name__}(terms='event').fit(design, metric)",
        )
    elif "by" in options:
        try:
            made = dataclasses.replace(maker, by="dynamic")
        except DidkitError:  # its by= has other words, such as Gap's
            raise _no_path(estimate) from None
    else:
        raise _no_path(estimate)
    try:
        events = made.fit(estimate.design, estimate.metric.name)
    except DidkitError as error:
        raise InferenceError(
            needed=f"an event study of the same design: {error.needed}",
            found=error.found,
            where=error.where,
            todo=error.todo,
        ) from error
    if events.reference is None:
        raise _no_path(estimate)
    if not (events.terms["phase"] == "before").any():
        raise _too_short()
    own = estimate._attached
    if own is not None:
        events = events.infer(own.inference, level=own.level)
    return events, (f"terms by period from {_maker_in_words(made)} of the same design",)


def _maker_in_words(made: Any) -> str:
    """Name an estimator by its class and the options that are not the usual ones."""
    told = []
    for one in dataclasses.fields(made):
        given = getattr(made, one.name)
        usual = (
            one.default_factory() if one.default_factory is not dataclasses.MISSING else one.default
        )
        if one.init and one.name != "by" and repr(given) != repr(usual):
            told.append(f"{one.name}={given!r}")
    name = type(made).__name__ + (f"({', '.join(told)})" if told else "")
    return f"the event study ({name})"


def _other_number(estimate: Estimate, mine: float, reference: Any) -> tuple[str, ...]:
    """Say where the terms together are another number than the one printed, and why."""
    printed = float(estimate.values[estimate.place_of(None, where="EventTerms")])
    if np.isclose(mine, printed, rtol=1e-6, atol=0.0):
        return ()
    against = (
        "with all periods before the start"
        if estimate.reference is None
        else "by weights of its own"
    )
    return (
        f"{PRINTED}{signed(printed)}, compares {against}; the terms compare with "
        f"{in_words(int(reference['position'].iloc[0]))} alone, and together are "
        f"{signed(mine)}",
    )


def in_words(time: int) -> str:
    """Name an event time within a sentence.

    Examples
    --------
    >>> in_words(-1), in_words(0)
    ('event time −1', 'event time 0')
    """
    return f"event time {time}".replace("-", "−")


def _no_path(estimate: Estimate) -> InferenceError:
    return _wrong(
        "terms before and after the start, less one reference period",
        f"{type(estimate.estimator).__name__} with {estimate.n_terms} "
        + ("term" if estimate.n_terms == 1 else "terms")
        + ("" if estimate.reference is not None else " and no reference period"),
        "run it on EventStudy().fit(design, metric), or on another estimator whose terms reach "
        "before the start, such as GroupTime(by='dynamic')",
    )


def _covariance(
    events: Estimate, inference: Inference | None
) -> tuple[Floats, str, float, tuple[str, ...]]:
    """Return the covariance of the terms, what made it, the level and notes."""
    sure = events.uncertainty
    level = 0.95 if sure is None else sure.level
    if inference is not None:
        asked = events.infer(inference, level=level).attached
        if asked.covariance is None:
            raise _wrong(
                "an inference with a covariance of the terms",
                f"{inference!r}, which has none",
                "write inference=ClusterRobust('CR2')",
            )
        return asked.covariance.to_numpy(dtype=float), asked.method, level, ()
    if sure is not None and sure.covariance is not None:
        return sure.covariance.to_numpy(dtype=float), sure.method, level, ()
    by: Inference = ClusterRobust("CR2") if events.normal is not None else Jackknife()
    asked = events.infer(by, level=level).attached
    if asked.covariance is None or not np.isfinite(np.diag(asked.covariance)).any():
        raise _wrong(
            "a covariance of the terms",
            f"none by {by!r}: {first_few(asked.notes)}",
            "choose another inference= that has one, or a design with more pilots",
        )
    own = "none" if sure is None else sure.method
    said = (
        f"covariance of the terms by {asked.method}, as the estimate's own inference ({own}) has "
        "none"
    )
    return asked.covariance.to_numpy(dtype=float), asked.method, level, (said,)


def _with_variance(
    names: tuple[str, ...], covariance: Floats
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Say which terms to keep: those at the ends without a variance go, by name."""
    known = np.isfinite(np.diag(covariance))
    if known.all() or not known.any():
        return np.ones(len(names), dtype=bool), ()
    at = np.flatnonzero(known)
    keep = np.zeros(len(names), dtype=bool)
    keep[at[0] : at[-1] + 1] = True
    gone = [name for name, use in zip(names, keep, strict=True) if not use]
    if not gone:
        return keep, ()
    said = "left out, as they have no variance (one pilot carries each)"
    return keep, (f"{', '.join(gone)}: {said}",)


def _combination(
    of: Of, names: tuple[str, ...], times: NDArray[np.int64], counts: Floats
) -> tuple[Floats, str]:
    """Return weights of the terms and what they stand for."""
    after = counts > 0
    if of is None or of == _MEAN:
        if not after.any():
            raise _wrong("a term from the start on", "none", "widen the window")
        span = times[after]
        label = f"mean of event times {span[0]} to {span[-1]}" if len(span) > 1 else names[-1]
        return counts / counts.sum(), label
    weighed: object = of
    if not isinstance(weighed, str | Mapping):
        raise _wrong(
            "the name of a term from the start on, 'mean', or weights by such names",
            repr(weighed),
            "for example of={'event time 0': 1.0}",
        )
    given = {of: 1.0} if isinstance(of, str) else dict(of)
    unknown = [name for name in given if name not in names]
    early = [name for name in given if name in names and not after[names.index(name)]]
    if unknown or early or not given or not all(is_number(w) for w in given.values()):
        raise _wrong(
            "the name of a term from the start on, 'mean', or weights by such names",
            first_few([repr(one) for one in (unknown or early or [of])]),
            "choose from: "
            + ", ".join(name for name, use in zip(names, after, strict=True) if use),
        )
    weights = np.zeros(len(names))
    for name, weight in given.items():
        weights[names.index(str(name))] = float(weight)
    if len(given) == 1 and float(weights.sum()) == 1.0:
        return weights, str(next(iter(given)))
    return weights, " + ".join(f"{w:g} × {name}" for name, w in given.items())


def _check_covariance(covariance: Floats) -> None:
    """Refuse a matrix that is no covariance, and say by how much; it is never repaired."""
    largest = float(np.abs(np.diag(covariance)).max())
    apart = float(np.abs(covariance - covariance.T).max())
    if apart > _ASYMMETRIC * largest:
        raise _wrong(
            "a symmetric covariance",
            f"entries that differ from their mirror image by up to {apart:.3g}, the largest "
            f"variance being {largest:.3g}",
            "give the covariance as it was estimated; where it is rounded, its mean with its "
            "transpose",
        )
    least = float(np.linalg.eigvalsh((covariance + covariance.T) / 2)[0])
    if largest <= 0 or least < -_NEGATIVE * largest:
        raise _wrong(
            "a positive semi-definite covariance",
            f"a least eigenvalue of {least:.3g}, the largest variance being {largest:.3g}",
            "use an inference whose covariance is one, such as ClusterRobust('CR2') by one "
            "grouping; it is not repaired here",
        )


def _too_short() -> InferenceError:
    return _wrong(
        "at least two periods before the start: the reference and one more",
        "one period before the start",
        "widen the window: without an earlier period nothing says how trends differed",
    )


def _wrong(needed: str, found: str, todo: str) -> InferenceError:
    return InferenceError(needed=needed, found=found, where="EventTerms", todo=todo)
