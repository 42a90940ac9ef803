"""Which estimators a design admits, asked of the design: one rule an estimator, nothing fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit import estimate as room
from didkit.design import Design, Sample
from didkit.estimate.stack_window import widest
from didkit.results import Estimator

__all__ = ["Asked", "admitted", "estimator_for"]

Bools = NDArray[np.bool_]
_SETS = "matched sets: it needs one pool, against=Pool()"
_NOBODY = "nobody never starts"
_SEEN_ONCE = "repeated cross-sections: no unit is seen twice"
_RATES = ("percent", "rate", "ratio")


@dataclass(frozen=True, eq=False)
class Asked:
    """What the rules ask of a design and one metric.

    Parameters
    ----------
    design : Design
        Who is compared with whom.
    sample : Sample
        Its cells of the metric.
    """

    design: Design
    sample: Sample

    @property
    def sets(self) -> bool:
        """Matched sets, not one pool."""
        return self.sample.sets is not None

    @property
    def median(self) -> bool:
        """A pilot faces the median of its set."""
        return self.sets and self.sample.aggregate == "median"

    @property
    def staggered(self) -> bool:
        """Starts at different times."""
        return len(self.sample.starts) > 1

    @property
    def never(self) -> bool:
        """Somebody never starts."""
        return self.sample.n_comparators > 0

    @property
    def left(self) -> bool:
        """Somebody left the programme."""
        return bool((self.sample.stops < len(self.sample.periods)).any())

    @property
    def seen_once(self) -> bool:
        """No unit has two values."""
        return int(self.sample.mask.sum(axis=1).max(initial=0)) < 2

    @property
    def before(self) -> int:
        """Periods before the first start, without those partly treated."""
        aside = self.sample.set_aside
        return min(int((~aside[g, :start]).sum()) for g, start in enumerate(self.sample.starts))

    @property
    def reference(self) -> int:
        """The last event time before the start in which a pilot has a value; −1 as a rule."""
        sample = self.sample
        for back in range(1, min(sample.starts) + 1):
            for g, start in enumerate(sample.starts):
                if sample.mask[sample.cohort == g, start - back].any():
                    return -back
        return -1

    @property
    def whole(self) -> Bools:
        """Units with a value in every period, but for those in which pilots are partly treated."""
        sample = self.sample
        excused = np.zeros(sample.y.shape, dtype=bool)
        excused[sample.pilot] = sample.set_aside[sample.cohort[sample.pilot]]
        return np.asarray((sample.mask | excused).all(axis=1))

    def two_arms(self, units: Bools) -> bool:
        """Whether a pilot and somebody to compare it with are among these units."""
        sample = self.sample
        others = bool((units & ~sample.pilot).any())
        if sample.not_yet:
            others |= len(set(sample.cohort[units & sample.pilot].tolist())) > 1
        return bool((units & sample.pilot).any()) and others

    @property
    def doses(self) -> NDArray[np.float64]:
        """The mean dose of each pilot from its start on, where it is known."""
        sample = self.sample
        if sample.dose is None:
            return np.zeros(0)
        when = np.arange(len(sample.periods))
        begin = np.array(sample.starts)[sample.cohort[sample.pilot]]
        after = (when >= begin[:, None]) & ~sample.set_aside[sample.cohort[sample.pilot]]
        mean = np.where(after, sample.dose[sample.pilot], 0.0).sum(axis=1) / after.sum(axis=1)
        known = np.isfinite(mean) & self.whole[sample.pilot]
        return np.asarray(mean[known])


def estimator_for(name: str, asked: Asked) -> Estimator:
    """Return the estimator with the options that the design asks for, else as it comes.

    Parameters
    ----------
    name : str
        Of a class of `didkit.estimate`.
    asked : Asked
        The design and its sample.

    Returns
    -------
    Estimator
        With another ``reference``, or ``anticipation``, where the period before the start is
        partly treated;
        ``cells="complete"`` where a pilot faces a median; ``cells="observed"`` or effects of
        cohorts where no unit is whole or is seen twice; a linear dose where there are two doses.
    """
    options: dict[str, object] = {}
    if name in ("EventStudy", "ChangesInChanges") and asked.reference < -1:
        options = {"reference": asked.reference}
    elif name in ("GroupTime", "LPDiD", "SunAbraham") and asked.reference < -1:
        options = {"anticipation": -1 - asked.reference}
    elif name in ("DiD", "EventStudy") and asked.median:
        options = {"cells": "complete"}
    elif name == "DiD" and asked.seen_once:
        options = {"effects": "cohort"}
    elif name in ("GroupTime", "DoublyRobust") and not asked.two_arms(asked.whole):
        options = {"cells": "observed"}
    elif name == "DoseResponse" and _tertiles(asked.doses):
        options = {"shape": "linear"}
    made: Estimator = getattr(room, name)(**options)
    return made


def admitted(name: str, asked: Asked) -> str:
    """Say why a design does not admit an estimator; empty where it does.

    Parameters
    ----------
    name : str
        Of a class of `didkit.estimate`.
    asked : Asked
        The design and its sample.
    """
    if asked.sets and name not in _WITH_SETS:
        return _SETS
    return _RULES[name](asked)


def _tertiles(doses: NDArray[np.float64]) -> str:
    """Say why pilots do not fall into three groups by dose."""
    levels = np.sort(doses)
    n = len(levels)
    if n == 0:
        return "no dose in the rollout: Rollout(dose={pilot: number})"
    cuts = np.array([levels[-(-n * m // 3) - 1] for m in (1, 2)])
    count = np.bincount(np.searchsorted(cuts, levels, side="left"), minlength=3)
    return "" if count.all() and cuts[0] < cuts[1] else "fewer than three groups of dose"


def _gap(asked: Asked) -> str:
    if not asked.never:
        return _NOBODY
    return _SEEN_ONCE if asked.seen_once else ""


def _two_way(asked: Asked) -> str:
    """Two-way effects: any units, in two periods at least."""
    return ""


def _event_study(asked: Asked) -> str:
    if not asked.never:
        return f"{_NOBODY}: leads, lags and periods cannot be told apart"
    return _SEEN_ONCE if asked.seen_once else ""


def _fgls(asked: Asked) -> str:
    if asked.seen_once:
        return _SEEN_ONCE
    n = len(asked.sample.periods)
    return "" if n > 2 else f"{n} periods: errors show no persistence"


def _seen_twice(asked: Asked) -> str:
    return _SEEN_ONCE if asked.seen_once else ""


def _doubly_robust(asked: Asked) -> str:
    if asked.staggered:
        return f"{len(asked.sample.starts)} starts: use GroupTime, which does this for each"
    return "" if asked.never else _NOBODY


def _donors(least: int) -> Callable[[Asked], str]:
    def rule(asked: Asked) -> str:
        if not asked.never:
            return f"{_NOBODY}: no donors"
        if asked.sample.left.any():
            return "pilots without cells after they left, as treated: use intention_to_treat"
        if asked.before < least:
            return f"{asked.before} periods before the first start: it needs {least}"
        whole = asked.whole
        pilots = bool((whole & asked.sample.pilot).any())
        donors = bool((whole & ~asked.sample.pilot).any())
        return "" if pilots and donors else "gaps: no pilot or no donor is seen in every period"

    return rule


def _dose(asked: Asked) -> str:
    if not asked.never:
        return _NOBODY
    why = _tertiles(asked.doses)
    if not why or (len(asked.doses) and np.ptp(asked.doses) > 0):
        return ""
    return "one dose for all pilots" if len(asked.doses) else why


def _poisson(asked: Asked) -> str:
    kind, sample = asked.sample.metric, asked.sample
    if asked.seen_once:
        return _SEEN_ONCE
    counts = sample.y
    if kind.kind in _RATES:
        known = asked.design.panel.metrics
        if kind.numerator is None or {kind.numerator, kind.denominator} - set(known):
            return "the counts behind the rate are not in the panel"
        counts = asked.design.sample(kind.numerator).y
    if (counts < 0).any():
        return "values below zero: no counts"
    seen = np.where(np.isfinite(counts), counts, 0.0)
    if (seen.sum(axis=0) == 0).any():
        return "a period with zeros only"
    treated = sample.treated
    if seen.shape == treated.shape:
        pilots = sample.pilot[:, None] & ~treated
        if not seen[treated].any() or not seen[pilots].any():
            return "zeros only in pilots before or after the start"
    return ""


def _roth_santanna(asked: Asked) -> str:
    sample = asked.sample
    whole = np.asarray(sample.mask.all(axis=1))
    if not asked.two_arms(whole):
        return "gaps: too few units are seen in every period"
    code = sample.cohort + 1
    size = np.bincount(code[whole], minlength=len(sample.starts) + 1)
    if asked.two_arms(whole & (size[code] > 1)):
        return ""
    return "starts of one unit: no variance within them, on which it rests"


def _stacked(asked: Asked) -> str:
    if asked.seen_once:
        return _SEEN_ONCE
    sample = asked.sample
    window = widest(sample, None, None, anticipation=0, not_yet=sample.not_yet)
    begins = np.array([*sample.starts, len(sample.periods)])[sample.cohort]
    for g, start in enumerate(sample.starts):
        first, last = start - window.before, start + window.after
        if first < 0 or last >= len(sample.periods):
            continue
        whole = np.asarray(sample.mask[:, first : last + 1].all(axis=1))
        others = ~sample.pilot | ((begins > last) & sample.not_yet)
        if (whole & (sample.cohort == g)).any() and (whole & others).any():
            return ""
    return (
        f"no start has a pilot and clean comparators with values in {window.before} periods "
        f"before it and {window.after} after: give before= and after="
    )


def _switching(asked: Asked) -> str:
    if asked.sample.partly.any():
        return "partly treated cells where the reference is"
    return _SEEN_ONCE if asked.seen_once else ""


def _changes(asked: Asked) -> str:
    sample, back = asked.sample, asked.reference
    if min(sample.starts) < 1:
        return "no period before the first start"
    for g, start in enumerate(sample.starts):
        own = sample.mask & (sample.cohort == g)[:, None]
        for t in range(start, len(sample.periods)):
            others = ~sample.pilot
            if sample.not_yet:
                others = others | (np.array([*sample.starts, 0])[sample.cohort] > t)
            pairs = (own, sample.mask & others[:, None])
            if all(cells[:, at].any() for cells in pairs for at in (start + back, t)):
                return ""
    return "no pilot and comparator with values just before a start and after it"


def _triple(asked: Asked) -> str:
    return (
        "it needs a second metric that the programme should not move, or a column that splits "
        "authorities: TripleDifference(against_metric=…)"
    )


_WITH_SETS = ("DiD", "EventStudy", "Gap", "TripleDifference")
_RULES: dict[str, Callable[[Asked], str]] = {
    "AugmentedSyntheticControl": _donors(3),
    "ChangesInChanges": _changes,
    "DiD": _two_way,
    "DoseResponse": _dose,
    "DoublyRobust": _doubly_robust,
    "EventStudy": _event_study,
    "ExtendedTwoWay": _two_way,
    "FGLS": _fgls,
    "Gap": _gap,
    "GroupTime": _two_way,
    "Imputation": _seen_twice,
    "LPDiD": _seen_twice,
    "MatrixCompletion": _seen_twice,
    "PoissonDiD": _poisson,
    "RothSantAnna": _roth_santanna,
    "Stacked": _stacked,
    "SunAbraham": _seen_twice,
    "Switching": _switching,
    "SyntheticControl": _donors(2),
    "SyntheticDiD": _donors(2),
    "TripleDifference": _triple,
    "TwoStage": _seen_twice,
}
