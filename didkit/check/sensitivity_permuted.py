"""Sensitivity by permutation: placebo pilots in the place of normal noise.

Whatever a restriction says of the path of violations δ, linear programming duality turns each of
its pieces ``A δ <= d`` into two linear combinations of the terms that hold the effect between them:
with τ = 0 before `first`, any γ >= 0 with ``A_post'γ = −l`` gives ``l'τ <= l'β + γ'(d − A_pre β)``,
and any with ``A_post'γ = l`` gives ``l'τ >= l'β − γ'(d − A_pre β)``. Each combination has its
permutation distribution, as a single term has. Of the pieces only the true one has to be covered,
so nothing is adjusted for their number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from didkit.check.event_terms import EventTerms
from didkit.errors import InferenceError
from didkit.inference import Permutation
from didkit.inference.invert import TIES
from didkit.inference.permutation import Redrawn
from didkit.results import Draws, Estimate

if TYPE_CHECKING:
    from didkit.check.restrictions import Piece

__all__ = [
    "Alike",
    "Between",
    "ByTerm",
    "ByUnit",
    "Shuffled",
    "between",
    "by_unit",
    "duals",
    "held",
]

Floats = NDArray[np.float64]
Errors = Callable[[Floats], Floats]
_SAME = 1e-8  #: of an estimate or variance, for numbers a unit to be what the refits compare
_FAR = 1e6  #: standard errors; an end beyond is open
_NEAR = 1e-7  #: of a standard error, to which an end is found
_TINY = 1e-7  #: cost of a dual weight that costs nothing, so that the least is taken


@dataclass(frozen=True, eq=False)
class Between:
    """Two combinations of the terms that hold the effect between them, whatever δ in a piece.

    ``low @ β + at_low <= l'τ <= high @ β + at_high``.

    Parameters
    ----------
    low, high : array (k,)
        Combinations.
    at_low, at_high : float
        Constants, in the metric's unit.
    """

    low: Floats
    at_low: float
    high: Floats
    at_high: float

    @property
    def width(self) -> float:
        """How far the two are apart at the least, whatever β."""
        return max(self.at_high - self.at_low, 0.0) if np.allclose(self.low, self.high) else 0.0


def between(piece: Piece, weights: Floats, before: NDArray[np.bool_]) -> Between | None:
    """Bound the effect above and below in one piece of a restriction.

    The dual weights are those that are best at a path well inside the piece's own conditions on the
    time before the start; they do not depend on the data, so that the ends have no selection.

    Parameters
    ----------
    piece : Piece
        ``A δ <= d``.
    weights : array (k,)
        The combination of effects asked for; zero where `before`.
    before : bool array (k,)
        Terms without effect.

    Returns
    -------
    Between or None
        None where the piece bounds the effect on one side only, or not at all.

    Examples
    --------
    A jump after the start of at most half the one before it, upwards (times −2, 0; reference −1):

    >>> from didkit.check.restrictions import Piece
    >>> rows = np.array([[0.5, 1.0], [0.5, -1.0], [1.0, 0.0]])
    >>> made = between(Piece(rows, np.zeros(3)), np.array([0, 1.0]), np.array([True, False]))
    >>> made.low.tolist(), made.high.tolist()
    ([0.5, 1.0], [-0.5, 1.0])
    """
    found = duals(piece, weights, before)
    return None if found is None else held(piece, found, weights, before)


def duals(piece: Piece, weights: Floats, before: NDArray[np.bool_]) -> tuple[Floats, Floats] | None:
    """Return the γ of the lower and of the upper end; None where there is none."""
    a, d = np.asarray(piece.A, dtype=float), np.asarray(piece.d, dtype=float)
    later = _later(a, before)
    left = d[later] - a[later][:, before] @ _inside(a[~later][:, before], d[~later])
    low, high = (_dual(a[later][:, ~before], sign * weights[~before], left) for sign in (1.0, -1.0))
    return None if low is None or high is None else (low, high)


def held(
    piece: Piece,
    gammas: tuple[Floats, Floats],
    weights: Floats,
    before: NDArray[np.bool_],
) -> Between:
    """Return what dual weights say of a piece.

    They may be those of another piece with the same conditions on the terms after the start: any
    γ >= 0 with the right ``A_post'γ`` bounds the effect.
    """
    later = _later(piece.A, before)
    a, d = piece.A[later][:, before], piece.d[later]
    ends = []
    for sign, gamma in zip((1.0, -1.0), gammas, strict=True):
        combination = weights.copy()
        combination[before] += sign * (gamma @ a)
        ends.append((combination, -sign * float(gamma @ d)))
    return Between(*ends[0], *ends[1])


def _later(a: Floats, before: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Conditions that hold a term after the start."""
    return np.asarray(np.abs(a[:, ~before]).max(axis=1) > 0)


def _inside(a: Floats, d: Floats) -> Floats:
    """Return a path that keeps the conditions on the time before with room to spare."""
    from scipy.optimize import linprog

    k = a.shape[1]
    if not len(a):
        return np.zeros(k)
    cost = np.append(np.zeros(k), -1.0)
    room = np.hstack([a, np.ones((len(a), 1))])
    found = linprog(cost, A_ub=room, b_ub=d, bounds=[(-1, 1)] * k + [(None, 1)], method="highs")
    return np.asarray(found.x)[:-1] if found.status == 0 else np.zeros(k)


def _dual(a: Floats, wanted: Floats, left: Floats) -> Floats | None:
    """Return the cheapest γ >= 0 with a'γ = wanted; None where there is none."""
    from scipy.optimize import linprog

    cost = left + _TINY * (1 + float(np.abs(left).max(initial=0.0)))
    found = linprog(cost, A_eq=a.T, b_eq=wanted, bounds=(0, None), method="highs")
    return np.asarray(found.x) if found.status == 0 else None


@dataclass(frozen=True, eq=False)
class ByUnit:
    """CR0 of any combination where each unit has one number a term and all pilots one start.

    Parameters
    ----------
    v0, v1, v2 : arrays (B, k, k), (B, k), (B,)
        Of the numbers, with the treatment, and of the treatment.
    """

    v0: Floats
    v1: Floats
    v2: Floats

    def of(self, combined: Floats) -> Errors:
        """Return what gives standard errors (B, F) of combinations (F, k) for moved terms (k,)."""
        v0 = np.einsum("bkl,fl,fk->bf", self.v0, combined, combined, optimize=True)
        v1, v2 = self.v1 @ combined.T, self.v2[:, None]

        def errors(moved: Floats) -> Floats:
            at = combined @ moved
            return _root(v0 - 2 * at * v1 + at**2 * v2)

        return errors


@dataclass(frozen=True, eq=False)
class ByTerm:
    """Each draw's own variances of the terms, and one correlation for all draws.

    Parameters
    ----------
    v0, v1, v2 : array (B, k)
        As in `didkit.results.Draws`.
    correlation : array (k, k)
        Of the estimates over the draws.
    """

    v0: Floats
    v1: Floats
    v2: Floats
    correlation: Floats

    def of(self, combined: Floats) -> Errors:
        """Return what gives standard errors (B, F) of combinations (F, k) for moved terms (k,)."""
        places = [(one, np.flatnonzero(one)) for one in combined]

        def errors(moved: Floats) -> Floats:
            each = _root(self.v0 - 2 * moved * self.v1 + moved**2 * self.v2)
            made = []
            for one, used in places:
                part = each[:, used] * one[used]
                made.append(((part @ self.correlation[np.ix_(used, used)]) * part).sum(axis=1))
            return _root(np.stack(made, axis=1))

        return errors


@dataclass(frozen=True, eq=False)
class Alike:
    """No standard errors: the estimate itself is ranked.

    Parameters
    ----------
    n : int
        Number of draws.
    """

    n: int

    def of(self, combined: Floats) -> Errors:
        """Return what gives ones (B, F)."""
        ones = np.ones((self.n, len(combined)))
        return lambda moved: ones


def by_unit(
    numbers: Floats, pilot: NDArray[np.bool_], labels: NDArray[np.int64]
) -> tuple[Floats, Floats, ByUnit]:
    """Compare one number a unit and term between the pilots of each draw and all others.

    Parameters
    ----------
    numbers : array (J, k)
        Of every unit.
    pilot : bool array (J,)
        The actual pilots.
    labels : int array (B, J)
        At least 0 for the pilots of a draw.

    Returns
    -------
    (array (B, k), array (B, k), ByUnit)
        Estimates, those of the actual treatment, and what variances are made of.
    """
    k = numbers.shape[1]
    wide = np.column_stack([numbers - numbers.mean(axis=0), pilot.astype(float)])
    products = (wide[:, :, None] * wide[:, None, :]).reshape(len(wide), -1)
    share = (labels >= 0).astype(float)
    n1 = share.sum(axis=1)[:, None]
    n0 = len(wide) - n1
    sum1, square1 = share @ wide, share @ products
    sum0, square0 = wide.sum(axis=0) - sum1, products.sum(axis=0) - square1

    def arm(total: Floats, square: Floats, n: Floats) -> Floats:
        mean = total / n
        own = (square / n).reshape(-1, k + 1, k + 1) - mean[:, :, None] * mean[:, None, :]
        return np.asarray(own / n[:, :, None])

    v = arm(sum1, square1, n1) + arm(sum0, square0, n0)
    made = sum1 / n1 - sum0 / n0
    a = np.repeat(made[:, k:], k, axis=1)
    return made[:, :k], a, ByUnit(v[:, :k, :k], v[:, :k, k], v[:, k, k])


def _root(v: Floats) -> Floats:
    return np.asarray(np.sqrt(np.maximum(v, 0.0)))


@dataclass(frozen=True, eq=False)
class Shuffled:
    """Estimates of k terms, and what varies with them, under B other choices of pilots.

    Parameters
    ----------
    values : array (k,)
        The terms as estimated, in order of time.
    b, a : array (B, k)
        As in `didkit.results.Draws`.
    spread, own : ByUnit, ByTerm or Alike
        What standard errors of combinations are made of, under the draws and as it is.
    shift : array (k,)
        Direction in which effects are hypothesised: 1 for each term of the combination asked for.
    exact : bool
        Whether the draws are all assignments.
    least_p : float
        The least p attainable.
    method : str
        In words.
    notes : tuple of str
        What a reader must know.
    """

    values: Floats
    b: Floats
    a: Floats
    spread: ByUnit | ByTerm | Alike
    own: ByUnit | ByTerm | Alike
    shift: Floats
    exact: bool
    least_p: float
    method: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, terms: EventTerms, rule: Permutation) -> Shuffled:
        """Refit the terms under other choices of pilots.

        Parameters
        ----------
        terms : EventTerms
            Of an estimate.
        rule : Permutation
            Which choices, how many, and whether the statistic is studentised.

        Raises
        ------
        InferenceError
            If the terms are from elsewhere, or cannot be refitted in bulk.
        """
        events = terms.events
        if events is None:
            raise InferenceError(
                needed="terms of an estimate, which can be refitted for other pilots",
                found="terms given without one",
                where="Sensitivity(method='permutation')",
                todo="leave method= out, or run it on EventStudy().fit(design, metric)",
            )
        again = rule.redrawn(events)
        order = np.argsort(events.terms["position"].to_numpy(), kind="stable")
        order = order[np.isin(events.terms["position"].to_numpy()[order], terms.times)]
        used = terms.weights != 0
        used |= terms.before
        if not np.allclose(again.actual.a[0, order][used], 1.0, atol=_SAME):
            raise InferenceError(
                needed="refits in which an effect moves every term by as much, those before the "
                "start too",
                found=f"{events.estimator!r}",
                where="Sensitivity(method='permutation')",
                todo="use EventStudy() or GroupTime(by='dynamic'), or another method=",
            )
        lone = ~again.studentised[order] & used
        b = again.drawn.b[:, order]
        notes: tuple[str, ...] = ()
        spread: ByUnit | ByTerm | Alike
        own: ByUnit | ByTerm | Alike
        if lone.any():
            if events.sample.left.any():
                raise InferenceError(
                    needed="a t for every term: units in the place of pilots that left are seen "
                    "for longer",
                    found=f"{int(lone.sum())} terms without",
                    where="Sensitivity(method='permutation')",
                    todo="use design.with_treatment('intention_to_treat'), or another method=",
                )
            spread, own = Alike(len(b)), Alike(1)
            if rule.statistic == "t":
                notes = (
                    f"permutation: {int(lone.sum())} terms have no t (one pilot), so that "
                    "the estimate itself is ranked, which needs pilots as noisy as comparators",
                )
        else:
            made = _one_number(again, events, order)
            spread, own = made if made is not None else _one_variance(again, order)
            if made is None:
                notes = (
                    "permutation: the error of a combination is each draw's own error of its terms "
                    "with the correlation that terms have over all draws",
                )
        many = (
            f"all {again.chosen.total:,}"
            if again.chosen.exact
            else f"{len(again.chosen):,} draws, seed {rule.seed}"
        )
        asked = terms.weights != 0
        total = float(terms.weights.sum())
        return cls(
            values=events.values[order],
            b=b,
            a=again.drawn.a[:, order],
            spread=spread,
            own=own,
            shift=asked / total if total else terms.weights / float(terms.weights @ terms.weights),
            exact=again.chosen.exact,
            least_p=again.chosen.least_p,
            method=f"permutation of {'t' if rule.statistic == 't' else 'the estimate'}, {many}",
            notes=notes,
        )

    def covariance(self) -> Floats:
        """Return how the terms vary over the draws (k, k), around the terms as estimated.

        It is nearly the same whichever assignment is the actual one, so that a combination chosen
        by it has the same distribution under all of them.
        """
        apart = self.b - self.values * self.a
        return np.asarray(np.cov(apart[np.isfinite(apart).all(axis=1)], rowvar=False))

    def ends(self, pieces: Sequence[Sequence[Between]], level: float) -> tuple[float, float]:
        """Return the hull of the effects that are not rejected in some piece.

        Parameters
        ----------
        pieces : sequence of sequence of Between
            Ways to hold the effect in each piece; those of one piece are tested together.
        level : float
            Of the interval.

        Returns
        -------
        (float, float)
            ±∞ where the level cannot be attained; NaN where every piece is rejected.
        """
        alpha = round(1 - level, 12)
        if self.least_p > alpha:
            return -np.inf, np.inf
        tests = [_Test(self, ways) for ways in pieces]
        made = []
        for sign in (-1.0, 1.0):
            best = -np.inf  # of sign × θ
            for test in sorted(tests, key=lambda one, s=sign: -one.reach(s)):  # type: ignore[misc]
                best = max(best, test.end(sign, alpha, best))
            made.append(sign * best if np.isfinite(best) or best > 0 else np.nan)
        return made[0], made[1]

    def holds(self, pieces: Sequence[Sequence[Between]], theta: float, level: float) -> bool:
        """Say whether an effect is not rejected in some piece."""
        alpha = round(1 - level, 12)
        if self.least_p > alpha:
            return True
        return any(_Test(self, ways).p(theta) > alpha for ways in pieces)


class _Test:
    """The test of one effect in one piece: the largest t among its ends.

    A lower end speaks against effects below it, an upper one against effects above. Under the
    hypothesis the end that is furthest off is where the effect is, and the terms before the start
    are as estimated.
    """

    def __init__(self, drawn: Shuffled, ways: Sequence[Between]) -> None:
        self.drawn, self.n = drawn, len(ways)
        self.combined = np.vstack([[w.low for w in ways], [w.high for w in ways]])
        self.sign = np.repeat([1.0, -1.0], self.n)
        at = np.array([*(w.at_low for w in ways), *(w.at_high for w in ways)])
        self.found = self.combined @ drawn.values + at
        self.width = np.array([w.width for w in ways])
        self.error = drawn.own.of(self.combined)(np.zeros(len(drawn.values)))[0]
        self.errors = drawn.spread.of(self.combined)
        self.apart = (drawn.b - drawn.values * drawn.a) @ self.combined.T
        self.along = (drawn.a * drawn.shift) @ self.combined.T

    def reach(self, sign: float) -> float:
        """Return about how far an end reaches, for the order of search."""
        mine = slice(self.n, None) if sign > 0 else slice(0, self.n)
        return float(np.min(sign * self.found[mine] + 2 * self.error[mine]))

    def p(self, theta: float) -> float:
        """Return the p-value of an effect."""
        drawn, n = self.drawn, self.n
        beyond = _over(self.sign * (self.found - theta), self.error)
        worst = int(np.argmax(beyond))
        if beyond[worst] <= 0:
            return 1.0
        by = float(self.found[worst] - theta)
        # where two ends are known to be apart, the other one is that far from binding
        slack = np.concatenate([self.width * (worst >= n), self.width * (worst < n)])
        off = self.sign * (self.apart + by * self.along) - slack
        largest = _over(off, self.errors(drawn.values - by * drawn.shift)).max(axis=1)
        lost = np.isnan(largest)  # a draw without the statistic counts as extreme
        count = int((lost | (largest >= beyond[worst] * (1 - TIES))).sum())
        return count / len(lost) if drawn.exact else (1 + count) / (1 + len(lost))

    def end(self, sign: float, alpha: float, best: float) -> float:
        """Return sign × the outermost effect not rejected; −∞ if it is not beyond `best`."""
        centre = self._centre()
        if self.p(centre) <= alpha:
            return -np.inf
        inner = sign * centre
        if inner <= best:
            if self.p(sign * best) <= alpha:
                return -np.inf
            inner = best
        unit = float(self.error.max()) or max(float(np.abs(self.found).max()), 1e-300)
        step = unit
        while self.p(sign * (inner + step)) > alpha:
            inner += step
            step *= 2
            if step > _FAR * unit:
                return np.inf
        outer = inner + step
        while outer - inner > _NEAR * unit:
            middle = (inner + outer) / 2
            if self.p(sign * middle) > alpha:
                inner = middle
            else:
                outer = middle
        return inner

    def _centre(self) -> float:
        """Return the effect that the ends speak least against."""
        low, high = self.found[: self.n], self.found[self.n :]
        if low.max() <= high.min():
            return float((low.max() + high.min()) / 2)
        e, f = self.error[: self.n, None], self.error[None, self.n :]
        total = e + f
        share = np.divide(f, total, out=np.full(total.shape, 0.5), where=total > 0)
        tried = (share * low[:, None] + (1 - share) * high).ravel()
        against = [_over(self.sign * (self.found - one), self.error).max() for one in tried]
        return float(tried[int(np.argmin(against))])


def _over(x: Floats, error: Floats) -> Floats:
    """Divide; by no error, ±∞ or 0; NaN stays."""
    with np.errstate(divide="ignore", invalid="ignore"):
        made = np.where(error > 0, x / error, np.where(x == 0, 0.0, np.sign(x) * np.inf))
    return np.asarray(np.where(np.isnan(x) | np.isnan(error), np.nan, made))


def _one_number(
    again: Redrawn, events: Estimate, order: NDArray[np.intp]
) -> tuple[ByUnit, ByUnit] | None:
    """Return errors from the units' own numbers, where these are what the refits compare."""
    numbers, cohort = events.contributions, events.sample.cohort
    if numbers is None or events.exchanged is not None or not np.isfinite(numbers).all():
        return None
    chosen = np.asarray(numbers)[:, order]
    pilot = cohort >= 0
    actual = by_unit(chosen, pilot, cohort[None])
    if not _same(actual, again.actual, order):
        return None
    parts = [by_unit(chosen, pilot, labels) for labels in again.chosen.chunks()]
    b, a = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    names = ("v0", "v1", "v2")
    made = ByUnit(*(np.concatenate([getattr(p[2], name) for p in parts]) for name in names))
    return (made, actual[2]) if _same((b, a, made), again.drawn, order) else None


def _same(made: tuple[Floats, Floats, ByUnit], drawn: Draws, order: NDArray[np.intp]) -> bool:
    """Whether numbers by unit give the estimates and variances of the refits."""
    b, a, spread = made
    pairs = (
        (b, drawn.b[:, order]),
        (a, drawn.a[:, order]),
        (np.einsum("bkk->bk", spread.v0), drawn.v0[:, order]),
        (spread.v1, drawn.v1[:, order]),
        (np.repeat(spread.v2[:, None], len(order), axis=1), drawn.v2[:, order]),
    )
    size = (float(np.abs(drawn.b).max()), float(np.sqrt(np.abs(drawn.v0).max())))
    units = (size[0], 1.0, size[1] ** 2, size[1], 1.0)
    return all(
        bool(np.isfinite(given).all()) and float(np.abs(mine - given).max()) <= _SAME * unit
        for (mine, given), unit in zip(pairs, units, strict=True)
    )


def _one_variance(again: Redrawn, order: NDArray[np.intp]) -> tuple[ByTerm, ByTerm]:
    """Return errors from the terms' own variances, and their correlation over the draws."""
    drawn, actual = again.drawn, again.actual
    names = ("v0", "v1", "v2")
    mine: list[Floats] = [np.asarray(getattr(drawn, name)[:, order]) for name in names]
    own: list[Floats] = [np.asarray(getattr(actual, name)[:, order]) for name in names]
    values = actual.b[0, order]
    apart = drawn.b[:, order] - values * drawn.a[:, order]
    apart = _over(apart, _root(mine[0] - 2 * values * mine[1] + values**2 * mine[2]))
    whole: NDArray[np.bool_] = np.asarray(np.isfinite(apart).all(axis=1))
    if whole.sum() <= len(order):
        raise InferenceError(
            needed=f"more than {len(order)} draws in which every term exists",
            found=f"{int(whole.sum())} of {len(whole)}",
            where="Sensitivity(method='permutation')",
            todo="ask for more draws, or use another method=",
        )
    second = apart[whole].T @ apart[whole]  # about zero: the draws are centred by symmetry
    root = np.sqrt(np.diagonal(second))
    correlation = second / np.outer(root, root)
    one, other = (ByTerm(v[0], v[1], v[2], correlation) for v in (mine, own))
    return one, other
