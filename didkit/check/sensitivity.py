"""Sensitivity: how far trends may differ before zero enters the interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import scipy

from didkit.check.answers import Answer
from didkit.check.asked import check_inference
from didkit.check.event_terms import EventTerms, Of
from didkit.check.restrictions import RelativeMagnitudes, Smoothness
from didkit.check.sensitivity_intervals import (
    ByNormal,
    ByShuffling,
    Way,
    breakdown,
    identified,
    largest_before,
)
from didkit.check.sensitivity_permuted import Shuffled
from didkit.check.sensitivity_words import AS_PRINTED, headline, named, notes_on
from didkit.errors import InferenceError, first_few, is_number, is_whole
from didkit.inference import Permutation
from didkit.progress import steps
from didkit.results import Estimate, Finding, Inference, OneByOne

__all__ = ["Sensitivity"]

Restriction = RelativeMagnitudes | Smoothness
METHODS = (
    "fixed_length",
    "hybrid",
    "conditional",
    "least_favourable",
    "conditional_fixed_length",
    "permutation",
)
_TIMES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_SHARES = (0.0, 0.125, 0.25, 0.5, 1.0, 1.5, 2.0)  #: of the largest change of slope before
_Printed = tuple[float, float, float, str]  #: estimate, ends of its interval, by what
_CAP = 5.0  #: times the largest before
_DRAWS = 999


@dataclass(frozen=True)
class Sensitivity:
    """Ask how far the trends of pilots and comparators may differ before zero is inside.

    Parameters
    ----------
    restriction : RelativeMagnitudes or Smoothness, default RelativeMagnitudes()
        What is supposed of the violation, the path that the terms would have had without any
        effect: jumps after the start of at most a multiple of the largest before; or a slope that
        changes by at most so much from period to period.
    sizes : sequence of float, optional
        How large: multiples of the largest jump before the start, by default 0, .25, .5, .75, 1,
        1.5 and 2; for `Smoothness` in the metric's unit a period, a period, by default 0 and
        multiples (up to 2) of the largest change of slope before the start, as estimated.
    method : str, optional
        ``"fixed_length"`` (plain `Smoothness` only), ``"hybrid"``, ``"conditional"``,
        ``"least_favourable"``, ``"conditional_fixed_length"`` or ``"permutation"``. By default the
        fixed length for plain `Smoothness` and the hybrid otherwise, with the permutation version
        beside it where other pilots can be estimated.
    of : str or mapping, optional
        What is asked about, as for `EventTerms.of`: by default what the estimate prints.
    inference : Inference, optional
        For the covariance behind the normal methods, as for `EventTerms.of`.
    draws, seed : int, optional
        Of the permutation version; by default those of the estimate's own permutation, otherwise
        999 and 0. The seed also serves the least favourable critical values.
    level : float, optional
        Of the intervals; by default that of the estimate's inference.

    Notes
    -----
    Of the methods shown, the main one gives the headline: the permutation version where the
    estimate's own inference is a permutation, otherwise the normal one.

    **Normal methods** (Rambachan & Roth 2023) take the terms as normal and their covariance as
    known, which few pilots make doubtful: docs/sensitivity.md says how often each interval holds
    the effect.

    **Permutation** is didkit's own. Each piece of the restriction holds the effect between two
    linear combinations of the terms (linear programming duality; for plain `Smoothness` they are
    the fixed-length estimator less and plus its worst bias). Both are studentised and compared with
    themselves under other choices of pilots, the larger of the two t counts, and the interval is
    the hull of the effects that some piece does not reject. Terms before the start are held at
    their estimates meanwhile; with size 0 under `RelativeMagnitudes` the interval is that of the
    estimate's own permutation of t. Conditions of a piece on the time before the start only are
    not used to exclude it, so that the interval is wider than it might be, never narrower.

    The path is measured from the reference period, a single year: with `DiD`, which takes the mean
    of all years before as its base, size 0 is another estimate of the same effect.

    Fails where the restriction itself does: how trends moved before the start bounds how they moved
    after it only by assumption.

    References
    ----------
    Rambachan & Roth (2023); Andrews, Roth & Pakes (2023); Armstrong & Kolesár (2018).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design.drop("522"), "cla").infer(dk.Permutation(draws=99))
    >>> found = events.check(dk.Sensitivity(sizes=(0, 1), method="permutation"))
    >>> 0 < found.facts["breakdown"] < 1
    True
    >>> found.table["method"].tolist()
    ['as printed', 'permutation', 'permutation']
    """

    restriction: Restriction = field(default_factory=RelativeMagnitudes)
    sizes: Sequence[float] | None = None
    method: str | None = field(default=None, kw_only=True)
    of: Of = field(default=None, kw_only=True, hash=False)
    inference: Inference | None = field(default=None, kw_only=True)
    draws: int | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    level: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_inference(self.inference, "Sensitivity(inference=)")
        given: object = self.restriction
        if not isinstance(given, RelativeMagnitudes | Smoothness):
            raise _wrong(
                "a restriction: RelativeMagnitudes() or Smoothness()",
                repr(given),
                "restriction",
                "write Sensitivity(RelativeMagnitudes()), which bounds jumps after the start by "
                "those before it, or Sensitivity(Smoothness()), which bounds bends of the trend",
            )
        if self.method is not None and self.method not in METHODS:
            raise _wrong(
                "method " + ", ".join(map(repr, METHODS)),
                repr(self.method),
                "method",
                "choose one, or leave it out",
            )
        if self.method == "fixed_length" and not _plain(self.restriction):
            raise _wrong(
                "plain Smoothness() for an interval of fixed length",
                repr(given),
                "method",
                "write Sensitivity(Smoothness(), method='fixed_length'), or method='hybrid': under "
                "other restrictions such an interval is endless, or no shorter than without them",
            )
        if self.method == "conditional_fixed_length" and not isinstance(given, Smoothness):
            raise _wrong(
                "Smoothness() for a fixed-length first step",
                repr(given),
                "method",
                "use method='hybrid': jumps bounded by others have no fixed length",
            )
        if self.sizes is not None:
            object.__setattr__(self, "sizes", _sizes(self.sizes))
        if self.draws is not None and (not is_whole(self.draws) or self.draws < 19):
            raise _wrong("at least 19 draws", repr(self.draws), "draws", "999 is usual")
        if self.seed is not None and (not is_whole(self.seed) or self.seed < 0):
            raise _wrong("a whole number of 0 or more", repr(self.seed), "seed", "0 is usual")
        if self.level is not None and (not is_number(self.level) or not 0.5 < self.level < 1):
            raise _wrong("a level between 0.5 and 1", repr(self.level), "level", "0.95 is usual")

    def run(self, estimate: Estimate) -> Finding:
        """Give the interval for each size, and the size at which zero enters it.

        Returns
        -------
        Finding
            Table ``restriction, size, method, conf_low, conf_high, zero_inside, identified_low,
            identified_high``, in the metric's unit: first the interval as printed (size NaN), then
            each method and size. Identified: what the effect could be if the terms had no error.
            Facts of the main method:
            ``breakdown`` (0: inside from the beginning; infinite: beyond what was tried),
            ``breakdown_in_unit``, ``at`` (a size) with ``at_low, at_high``, ``printed_low,
            printed_high``, ``largest_jump`` and ``largest_bend`` before the start; and
            ``breakdown_…`` by method.

        Raises
        ------
        InferenceError
            If there is no path before and after the start (see `EventTerms`), or the method does
            not exist for it.
        """
        terms = EventTerms.of(estimate, of=self.of, inference=self.inference)
        printed = _printed(estimate, terms, own=self.of is None)
        return self._answer(terms, printed).finding(self, estimate)

    def on(self, terms: EventTerms) -> Answer:
        """Do the same for terms with a covariance, from this or another program.

        Parameters
        ----------
        terms : EventTerms
            From ``EventTerms.given(values, covariance)``, or of an estimate.

        Returns
        -------
        Answer
            As `run`; ``as printed`` is the normal interval of the combination.

        Raises
        ------
        InferenceError
            As for `run`.
        """
        return self._answer(terms, None)

    def _answer(self, terms: EventTerms, printed: _Printed | None) -> Answer:
        level = terms.level if self.level is None else float(self.level)
        sizes, scale = self._sizes(terms)
        ways, notes = self._ways(terms, level)
        main = ways[0]
        value, low, high, how = _normal(terms, level) if printed is None else printed
        rows: list[dict[str, object]] = [
            {
                "restriction": "none",
                "size": np.nan,
                "method": AS_PRINTED,
                "conf_low": low,
                "conf_high": high,
                "zero_inside": bool(low <= 0 <= high),
                "identified_low": value,
                "identified_high": value,
            }
        ]
        bounds = {size: identified(terms, self.restriction, size) for size in sizes}
        every = [(way, size) for way in ways for size in sizes]
        for way, size in steps(every, "sizes of violation"):
            ends = way.interval(size)
            rows.append(
                {
                    "restriction": named(self.restriction),
                    "size": size,
                    "method": way.name,
                    "conf_low": ends[0],
                    "conf_high": ends[1],
                    "zero_inside": bool(ends[0] <= 0 <= ends[1]),
                    "identified_low": bounds[size][0],
                    "identified_high": bounds[size][1],
                }
            )
        table = pd.DataFrame(rows)
        cap = max(_CAP * scale, sizes[-1])
        broken = {way.name: breakdown(way, sizes, cap) for way in ways}
        at = max((s for s in sizes if s <= scale * (1 + 1e-9)), default=sizes[-1])
        mine = table[(table["method"] == main.name) & (table["size"] == at)].iloc[0]
        second = isinstance(self.restriction, Smoothness) or self.restriction.of == "second"
        jump, bend = largest_before(terms, 1), largest_before(terms, 2)
        times = isinstance(self.restriction, RelativeMagnitudes)
        unit = (bend if second else jump) if times else 1.0
        facts = {
            "breakdown": broken[main.name],
            "breakdown_in_unit": broken[main.name] * unit,
            "at": at,
            "at_low": float(mine["conf_low"]),
            "at_high": float(mine["conf_high"]),
            "printed_low": low,
            "printed_high": high,
            "largest_jump": jump,
            "largest_bend": bend,
            "tried": cap,
            "level": level,
            **{f"breakdown_{name}": value for name, value in broken.items()},
        }
        ends = (facts["at_low"], facts["at_high"])
        return Answer(
            question="How far may trends differ before zero enters the interval?",
            headline=headline(terms, self.restriction, main.name, facts),
            table=table,
            facts=facts,
            notes=(
                *notes_on(terms, self.restriction, table, main.name, how, facts),
                *notes,
                *terms.notes,
            ),
            cannot_show="whether the difference in trends stayed inside such a bound after the "
            "start, which no data from before it can tell",
            alternatives=ends if np.isfinite(ends).all() else None,
        )

    def _sizes(self, terms: EventTerms) -> tuple[tuple[float, ...], float]:
        """Return the sizes, and the one that stands for what was seen before the start."""
        scale = 1.0
        if isinstance(self.restriction, Smoothness):
            seen = [largest_before(terms, 2), largest_before(terms, 1)]
            seen += [float(np.sqrt(terms.covariance[0, 0])), 1.0]
            scale = next(float(f"{one:.2g}") for one in seen if np.isfinite(one) and one > 0)
        if self.sizes is not None:
            return tuple(self.sizes), scale
        if isinstance(self.restriction, RelativeMagnitudes):
            return _TIMES, scale
        return tuple(float(f"{share * scale:.3g}") for share in _SHARES), scale

    def _ways(self, terms: EventTerms, level: float) -> tuple[list[Way], list[str]]:
        """Return the methods, the main one first, and what is to be said of them."""
        notes: list[str] = []
        usual = "fixed_length" if _plain(self.restriction) else "hybrid"
        name = usual if self.method is None else self.method
        ways: list[Way] = []
        if name != "permutation":
            seed = 0 if self.seed is None else int(self.seed)
            ways.append(ByNormal(name, terms, self.restriction, level, seed))
        events = terms.events
        if events is None:
            if self.method is None:
                notes.append(
                    "no permutation version: the terms are from elsewhere and cannot be refitted "
                    "for other pilots"
                )
            if self.method != "permutation":
                return ways, notes
        own = None if events is None else events.uncertainty
        rule = None if own is None else own.inference
        mine = isinstance(rule, Permutation)
        if self.method not in (None, "permutation"):
            return ways, notes
        if self.method is None and not mine and events is not None:
            if events.reassigned is None and events.exchanged is None:
                return ways, ["no permutation version: the estimate has no refit for other pilots"]
            if isinstance(events.reassigned, OneByOne):
                said = "no permutation version by default: each draw costs a fit; ask for it with "
                return ways, [f"{said}method='permutation'"]
        try:
            drawn = Shuffled.of(terms, self._rule(rule if isinstance(rule, Permutation) else None))
        except InferenceError as error:
            if self.method == "permutation":
                raise
            return ways, [f"no permutation version: {error.found}"]
        notes += drawn.notes
        shuffled = ByShuffling(terms, self.restriction, level, drawn)
        ways.insert(0 if mine else len(ways), shuffled)
        return ways, notes

    def _rule(self, own: Permutation | None) -> Permutation:
        """Return which other choices of pilots are drawn."""
        from dataclasses import replace

        rule = Permutation("t", draws=_DRAWS) if own is None else own
        draws = rule.draws if self.draws is None else int(self.draws)
        return replace(rule, draws=draws, seed=rule.seed if self.seed is None else int(self.seed))


def _plain(restriction: Restriction) -> bool:
    """Whether nothing but the change of slope is bounded."""
    return isinstance(restriction, Smoothness) and not (
        restriction.direction or restriction.monotone
    )


def _printed(estimate: Estimate, terms: EventTerms, *, own: bool) -> _Printed | None:
    """Return what the estimate prints for what is asked, where it prints an interval."""
    sure = estimate.uncertainty
    name = estimate.main_term if own else terms.label
    if sure is None or name not in list(estimate.terms["term"]):
        return None
    m = estimate.place_of(name, where="Sensitivity")
    low, high = float(sure.conf_low[m]), float(sure.conf_high[m])
    if np.isnan(low) or np.isnan(high):
        return None
    return float(estimate.values[m]), low, high, sure.method


def _normal(terms: EventTerms, level: float) -> _Printed:
    """Return the combination and its normal interval."""
    half = float(scipy.special.ndtri(0.5 + level / 2)) * terms.std_error
    value = terms.estimate
    return value, value - half, value + half, f"normal, covariance {terms.method}"


def _sizes(given: object) -> tuple[float, ...]:
    """Return sizes in order, each once."""
    listed = [given] if is_number(given) else given
    if isinstance(listed, str) or not isinstance(listed, Sequence | np.ndarray) or not len(listed):
        raise _wrong(
            "sizes of violation: numbers of 0 or more", repr(given), "sizes", "write (0, 0.5, 1)"
        )
    bad = [one for one in listed if not is_number(one) or not np.isfinite(one) or one < 0]
    if bad:
        raise _wrong(
            "sizes of violation: finite numbers of 0 or more",
            first_few(map(repr, bad)),
            "sizes",
            "write (0, 0.5, 1)",
        )
    return tuple(sorted({float(one) for one in listed}))


def _wrong(needed: str, found: str, option: str, todo: str) -> InferenceError:
    return InferenceError(needed=needed, found=found, where=f"Sensitivity({option}=)", todo=todo)
