"""Pre-trends that a test would miss: how likely, and what they would do to the estimate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from didkit.check.answers import Answer
from didkit.check.asked import check_inference
from didkit.check.combined import own_permutation
from didkit.check.event_terms import EventTerms, Of, in_words
from didkit.check.passing import ByDraws, ByEach, Jointly, Noise, slope_at
from didkit.check.path_words import amount, change_of_rate, percent, times
from didkit.check.trend_adjusted import less_mean_before
from didkit.errors import InferenceError, first_few, is_number, is_whole
from didkit.estimate import DiD
from didkit.inference import Permutation
from didkit.results import Estimate, Finding, Inference, tables

__all__ = ["PreTrendPower", "earlier_terms"]

Floats = NDArray[np.float64]
_CURVE = 25  #: points of the curve of power over the slope
_BEYOND = 1.5  #: how far the curve runs beyond the largest slope asked for
_TESTS = {
    "each": "the intervals of the earlier terms",
    "joint": "the joint test of the earlier terms",
}


@dataclass(frozen=True)
class PreTrendPower:
    """Ask which trend the test of the terms before the start would miss (Roth 2022).

    Parameters
    ----------
    power : sequence of float, default (0.5, 0.8)
        Probabilities of rejection for which the slope is looked for; each above the test's size.
    slopes : sequence of float, optional
        Further slopes to evaluate, in the metric's unit a period (with `path`, multiples of it;
        by default once).
    path : mapping of event time to float, optional
        Another violation than a straight line, in the metric's unit: its value at every event
        time that has a term. The line is 0 at the reference and rises by the slope each period.
    test : {"each", "joint"}
        ``"each"``: it rejects where any earlier term's own interval excludes zero, which is what
        readers do by eye and the R package pretrends computes; ``"joint"``: the test of all
        earlier terms together.
    noise : {"normal", "permutation"}, optional
        Normal with the terms' covariance, or that of the permutations of the pilots, studentised
        as the permutation t is. By default the permutations where the estimate's own inference
        is one, as the normal is doubtful with few pilots.
    level : float, optional
        1 − the size of the test (of each term's, with "each"); by default that of the intervals.
    of, inference : optional
        As for `EventTerms.of`: which combination the violation moves, and whose covariance.

    Notes
    -----
    The line's bias is its own value in the reported combination: no effect, only the violation. For
    `DiD`, which compares with the mean of all periods before, that is the mean of its terms less
    that mean: a line moves it further than the terms, which compare with the reference.
    An estimate that is reported because the test did not reject is biased by another amount, as
    not rejecting selects the noise: that expectation stands beside it (a truncated normal's mean;
    with the joint test it has a closed form; with permutations it is the mean over the draws that
    do not reject). Normal noise is that of ``EventTerms`` with known covariance, so degrees of
    freedom are left aside. Permutations: the noise of a draw is its estimate on outcomes without
    the estimated path, in both directions; the violation leaves the variance of a draw as it is.
    Terms that one pilot carries are not tested, as in `PreTrends`.

    The likelihood ratio is that of the earlier terms as estimated, with the violation over without
    (normal); the Bayes factor that of not rejecting.

    References
    ----------
    Roth (2022), American Economic Review: Insights 4(3).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design.drop("522"), "cpp").infer(dk.ClusterRobust("CR2"))
    >>> found = events.check(dk.PreTrendPower())
    >>> 0 < found.facts["slope_50"] < found.facts["slope_80"]
    True
    """

    power: Sequence[float] = (0.5, 0.8)
    slopes: Sequence[float] | None = field(default=None, kw_only=True)
    path: Mapping[int, float] | None = field(default=None, kw_only=True, hash=False)
    test: Literal["each", "joint"] = field(default="each", kw_only=True)
    noise: Literal["normal", "permutation"] | None = field(default=None, kw_only=True)
    level: float | None = field(default=None, kw_only=True)
    of: Of = field(default=None, kw_only=True, hash=False)
    inference: Inference | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_inference(self.inference, "PreTrendPower(inference=)")
        for name in ("power", "slopes"):
            given = getattr(self, name)
            if given is None and name == "slopes":
                continue
            if is_number(given):
                given = (given,)
            listed: object = given
            if not isinstance(listed, Iterable) or not all(
                is_number(one) and np.isfinite(one) for one in listed
            ):
                raise _wrong(name, "numbers", repr(given), f"for example {name}=(0.5, 0.8)")
            object.__setattr__(self, name, tuple(float(one) for one in given))
        if not all(0 < one < 1 for one in self.power):
            raise _wrong("power", "probabilities between 0 and 1", repr(self.power), "0.5 is 50 %")
        if not self.power and not self.slopes:
            raise _wrong("power", "a power or a slope to evaluate", "none", "give power=(0.5, 0.8)")
        for name, known in (
            ("test", ("each", "joint")),
            ("noise", (None, "normal", "permutation")),
        ):
            if getattr(self, name) not in known:
                listed = " or ".join(repr(one) for one in known if one)
                raise _wrong(name, listed, repr(getattr(self, name)), "choose one")
        if self.level is not None and not (is_number(self.level) and 0 < self.level < 1):
            raise _wrong("level", "a level between 0 and 1", repr(self.level), "0.95 is usual")
        if self.path is not None:
            given_path: object = self.path
            if not isinstance(given_path, Mapping) or not all(
                is_whole(key) and is_number(value) and np.isfinite(value)
                for key, value in self.path.items()
            ):
                raise _wrong(
                    "path",
                    "a mapping of event times (whole numbers) to numbers",
                    repr(self.path),
                    "for example path={-3: 1.0, -2: 0.5, 0: 0.0, 1: 0.0}",
                )
            object.__setattr__(self, "path", dict(self.path))

    def run(self, estimate: Estimate) -> Finding:
        """Ask for an estimate.

        Returns
        -------
        Finding
            Table: for each slope asked for (found for a power, given, and none at all) a row for
            the reported combination and one a term: ``asked, slope, power, term, position,
            violation, expected`` (the violation's mean where the test does not reject); then the
            curve of power over the slope, for the reported combination. Facts: ``size`` (power
            without a violation), ``estimate``, and for each power, such as 50: ``slope_50,
            bias_50, expected_50, times_50`` (bias over estimate), ``bayes_factor_50,
            likelihood_ratio_50``.

        Raises
        ------
        InferenceError
            If the terms are refused by `EventTerms`, a power is not above the test's size, or
            permutations are asked for and do not exist.
        """
        terms = EventTerms.of(estimate, of=self.of, inference=self.inference)
        if self.of is None and isinstance(estimate.estimator, DiD):
            terms = less_mean_before(terms)  # a line moves it further than the terms
        return self.on(terms).finding(self, estimate)

    def on(self, terms: EventTerms) -> Answer:
        """Ask for terms, which another program may have estimated.

        Parameters
        ----------
        terms : EventTerms
            ``EventTerms.of(estimate)`` or ``EventTerms.given(values, covariance)``.

        Returns
        -------
        Answer
            As `run`.
        """
        tested, notes = earlier_terms(terms, "PreTrendPower")
        noise, how = self._noise(terms, tested)
        shape = self._shape(terms)
        if not shape[tested].any():
            raise _wrong(
                "path",
                "a violation that is not zero at all tested terms",
                "zero at each",
                "a test cannot see what is not there before the start",
            )
        size = noise(np.zeros(len(shape))).rejected
        low = [one for one in self.power if one <= size]
        if low:
            raise _wrong(
                "power",
                f"a power above {size:.3f}, with which the test rejects where nothing is there",
                first_few(low),
                "ask for a larger one, or test='joint', whose size is its level's",
            )
        error = np.sqrt(np.diag(terms.covariance))
        ratio = error[tested] / np.maximum(np.abs(shape[tested]), 1e-300)
        begin = float(ratio.min())
        found = {one: slope_at(one, noise, shape, begin) for one in self.power}
        slopes = self.slopes if self.slopes is not None else (() if self.path is None else (1.0,))
        asked = [0.0, *found.values(), *slopes]
        table = pd.concat(
            [
                *(self._rows(terms, shape, noise, one) for one in sorted(set(asked), key=abs)),
                self._curve(terms, shape, noise, max(abs(one) for one in asked) or begin),
            ],
            ignore_index=True,
        )
        facts = self._facts(terms, tested, shape, noise, found, size)
        return Answer(
            question="Which trend before the start would the test miss, and what would it do?",
            headline=self._headline(terms, found, facts, size),
            table=table,
            facts=facts,
            notes=(*terms.notes, *notes, how),
            cannot_show="whether such a trend is there: this is what the test could have seen, not "
            "what happened, and a violation that begins with the programme leaves no trace before",
        )

    def path_at(self, terms: EventTerms, slope: float) -> pd.DataFrame:
        """Return what a slope does to every term.

        Parameters
        ----------
        terms : EventTerms
            Of the question.
        slope : float
            In the metric's unit a period; with `path`, a multiple of it.

        Returns
        -------
        DataFrame
            As the rows of `run` for one slope.

        Examples
        --------
        >>> given = pd.Series({-3: 0.1, -2: 0.0, 0: 1.0})
        >>> noise = pd.DataFrame(0.01 * np.eye(3), given.index, given.index)
        >>> made = PreTrendPower().path_at(EventTerms.given(given, noise), 0.1)
        >>> made["violation"].round(2).tolist()
        [0.1, -0.2, -0.1, 0.1]
        """
        noise, _ = self._noise(terms, earlier_terms(terms, "PreTrendPower")[0])
        return self._rows(terms, self._shape(terms), noise, slope)

    def _shape(self, terms: EventTerms) -> Floats:
        """Return the violation of size 1."""
        if self.path is None:
            return np.asarray(terms.times - terms.reference, dtype=float)
        times = [int(one) for one in terms.times]
        missing = [one for one in times if one not in self.path]
        beside = [one for one in self.path if one not in (*times, terms.reference)]
        if missing or beside or self.path.get(terms.reference, 0.0) != 0:
            raise _wrong(
                "path",
                f"a value at each event time {first_few(times, 12)}, and 0 at the reference "
                f"{terms.reference} if it is named",
                f"missing {first_few(missing)}, unknown {first_few(beside)}"
                if missing or beside
                else f"{self.path[terms.reference]} at the reference",
                "write 0 where the violation is none",
            )
        return np.array([float(self.path[one]) for one in times])

    def _noise(self, terms: EventTerms, tested: NDArray[np.bool_]) -> tuple[Noise, str]:
        """Return the noise to test under, and its words."""
        level = terms.level if self.level is None else self.level
        own = own_permutation(terms)
        kind = self.noise or ("permutation" if own is not None else "normal")
        if kind == "permutation":
            made = _permuted(terms, tested, own or Permutation(), level, self.test == "joint")
            many = len(made.noise)
            return made, (
                f"noise: {many:,} permutations of the pilots, studentised, in both directions "
                "alike; the covariance serves the likelihood ratio only"
            )
        doubt = ""
        if terms.events is not None:
            n1 = int(terms.events.terms["n_pilots"].max())
            few = n1 < 20
            doubt = f"; with {n1} pilots that is doubtful, and the power too hopeful" if few else ""
        how = f"noise: normal, covariance by {terms.method}, taken as known{doubt}"
        if self.test == "joint":
            return Jointly(terms.covariance, tested, level), how
        reach = float(scipy.special.ndtri((1 + level) / 2))
        return ByEach(terms.covariance, tested, reach), how

    def _rows(self, terms: EventTerms, shape: Floats, noise: Noise, slope: float) -> pd.DataFrame:
        """Return the reported combination and every term under one slope."""
        path = slope * shape
        found = noise(path)
        k = len(path)
        return pd.DataFrame(
            {
                "asked": [True] * (k + 1),
                "slope": [slope] * (k + 1),
                "power": [found.rejected] * (k + 1),
                "term": [terms.label, *terms.names],
                "position": [np.nan, *terms.times.astype(float)],
                "violation": [float(terms.weights @ path), *path],
                "expected": [float(terms.weights @ found.expected), *found.expected],
            }
        )

    def _curve(
        self, terms: EventTerms, shape: Floats, noise: Noise, largest: float
    ) -> pd.DataFrame:
        """Return power, bias and expectation over the slope, for the picture."""
        rows = []
        for slope in np.linspace(0, _BEYOND * largest, _CURVE):
            found = noise(slope * shape)
            rows.append((slope, found.rejected, slope * shape, found.expected))
        return pd.DataFrame(
            {
                "asked": [False] * len(rows),
                "slope": [float(row[0]) for row in rows],
                "power": [row[1] for row in rows],
                "term": [terms.label] * len(rows),
                "position": [np.nan] * len(rows),
                "violation": [float(terms.weights @ row[2]) for row in rows],
                "expected": [float(terms.weights @ row[3]) for row in rows],
            }
        )

    def _facts(
        self,
        terms: EventTerms,
        tested: NDArray[np.bool_],
        shape: Floats,
        noise: Noise,
        found: Mapping[float, float],
        size: float,
    ) -> dict[str, float]:
        """Return the numbers that sum it up."""
        facts = {"size": size, "estimate": terms.estimate, "terms": float(tested.sum())}
        inverse = np.linalg.pinv(terms.covariance[np.ix_(tested, tested)], hermitian=True)
        values = terms.values[tested]
        for power, slope in found.items():
            path = slope * shape
            under = noise(path)
            apart = values - path[tested]
            label = f"{100 * power:g}"
            bias = float(terms.weights @ path)
            facts |= {
                f"slope_{label}": slope,
                f"bias_{label}": bias,
                f"expected_{label}": float(terms.weights @ under.expected),
                f"times_{label}": bias / terms.estimate if terms.estimate else np.nan,
                f"bayes_factor_{label}": (1 - under.rejected) / (1 - size),
                f"likelihood_ratio_{label}": float(
                    np.exp((values @ inverse @ values - apart @ inverse @ apart) / 2)
                ),
            }
        return facts

    def _headline(
        self,
        terms: EventTerms,
        found: Mapping[float, float],
        facts: Mapping[str, float],
        size: float,
    ) -> str:
        """Say what would be missed, and what it would do."""
        test = _TESTS[self.test]
        if not found:
            return (
                f"{test[0].upper()}{test[1:]} find something in {percent(size)} of cases where "
                "nothing is there."
            )
        power, slope = next(iter(found.items()))
        what = (
            f"A trend of {change_of_rate(terms, slope)}"
            if self.path is None
            else f"The path given, {tables.number(slope)} times over,"
        )
        label = f"{100 * power:g}"
        half = "half the time" if power == 0.5 else f"in {percent(1 - power)} of cases"
        bias, expected = facts[f"bias_{label}"], facts[f"expected_{label}"]
        own = bool(terms.weights[terms.before].any())  # the label says what it is less
        less = "" if own else f", less {in_words(terms.reference)}"
        said = (
            f"{what} would be missed {half} by {test}; it would move the estimate ({terms.label}"
            f"{less}) by {amount(terms, abs(bias))}, "
            f"{times(bias, terms.estimate)} its {tables.number(terms.estimate)}, "
            f"and by {amount(terms, abs(expected))} on average where it is missed."
        )
        for other, at in list(found.items())[1:]:
            size_of = (
                change_of_rate(terms, at)
                if self.path is None
                else f"{tables.number(at)} times the path"
            )
            said += f" {size_of} would be found in {percent(other)} of cases."
        return said


def earlier_terms(terms: EventTerms, who: str) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return the terms that are tested: before the start, carried by more than one pilot."""
    tested = terms.before.copy()
    notes: tuple[str, ...] = ()
    if terms.events is not None:
        table = terms.events.terms
        carried = dict(zip(table["term"].astype(str), table["n_pilots"], strict=True))
        several = np.array([carried[name] > 1 for name in terms.names])
        alone = tested & ~several
        if (tested & several).any() and alone.any():
            names = first_few([name for name, one in zip(terms.names, alone, strict=True) if one])
            tested &= several
            notes = (f"terms carried by one pilot are not tested: {names}",)
    none = tested & (np.diag(terms.covariance) <= 0)
    if none.any():
        raise InferenceError(
            needed="a variance of each term before the start",
            found=first_few([n for n, one in zip(terms.names, none, strict=True) if one]),
            where=who,
            todo="leave terms without a spread out: a test of them has no noise",
        )
    return tested, notes


def _permuted(
    terms: EventTerms, tested: NDArray[np.bool_], by: Permutation, level: float, joint: bool
) -> ByDraws:
    """Return the noise of the terms over the permutations, without the estimated path."""
    events = terms.events
    if events is None:
        raise InferenceError(
            needed="an estimate, for noise='permutation'",
            found="terms from elsewhere: whose pilots they are is not known",
            where="PreTrendPower(noise=)",
            todo="use noise='normal', or run the check on an estimate",
        )
    again = by.redrawn(events)
    names = list(events.terms["term"].astype(str))
    at = [names.index(name) for name in terms.names]
    drawn = again.drawn
    b, a, v0, v1, v2 = (getattr(drawn, name)[:, at] for name in ("b", "a", "v0", "v1", "v2"))
    noise = b - terms.values * a
    variance = v0 - 2 * terms.values * v1 + terms.values**2 * v2
    floor = 1e-14 * (v0 + terms.values**2 * v2)
    shown = again.studentised[at]
    with np.errstate(invalid="ignore"):
        error = np.where(shown, np.sqrt(np.where(variance > floor, variance, np.nan)), 1.0)
    whole = np.isfinite(noise).all(axis=1) & np.isfinite(error[:, tested]).all(axis=1)
    if whole.sum() < 19:
        raise InferenceError(
            needed="at least 19 permutations in which every term exists",
            found=f"{int(whole.sum())} of {len(whole):,}",
            where="PreTrendPower(noise='permutation')",
            todo="use noise='normal', or a window that all pilots have",
        )
    return ByDraws(noise[whole], error[whole], tested, level, joint=joint)


def _wrong(option: str, needed: str, found: str, todo: str) -> InferenceError:
    return InferenceError(needed=needed, found=found, where=f"PreTrendPower({option}=)", todo=todo)
