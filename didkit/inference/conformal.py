"""Conformal inference over time: the pilots' path after the start among all its periods.

Needs no second pilot and no comparator to resemble it: what is exchanged is time.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few
from didkit.inference.drawing import check_draws
from didkit.inference.invert import TIES
from didkit.results import Estimate, Uncertainty

__all__ = ["Conformal"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ALIKE = 1e-9  #: weights that differ less than this, relatively, are one weight
_NOTHING = 1e-12  #: relative to the outcome, residuals that are rounding


@dataclass(frozen=True)
class Conformal:
    """Ask whether the treated periods stand out among all periods of the pilots' own path.

    Parameters
    ----------
    permutations : {"moving_block", "all"}
        ``"moving_block"``: the T cyclic shifts of time, for errors that are correlated over time.
        ``"all"``: every choice of as many periods as are treated, for errors that are
        exchangeable over time (listed if there are no more than `draws`, else drawn).
    order : {1, 2}, default 1
        Power q of the residuals in the statistic; 2 gives more to a single large one.
    draws : int, default 9999
        Of "all".
    seed : int, default 0
        The same seed gives the same number.

    Notes
    -----
    The path is the pilots' mean less the comparators', period by period. For a constant effect θ
    it is made less θ in the treated periods and less its mean over **all** periods, treated ones
    too: residuals ``û``. ``S = (T*^(−1/2) Σ |û_t|^q)^(1/q)`` over the T* treated periods; p is the
    share of permutations of time for which S is as large, the identity and ties counted
    (``(1 + #) / (1 + B)`` when drawn). The interval is the hull of the constant effects that are
    not rejected, exact to rounding: between breakpoints no comparison of two S changes.

    With one path the least p is 1/T by moving blocks: a 5 % test needs 20 periods, and with fewer
    the interval is infinite. It is infinite too where half of the periods or more are treated: the
    mean over all periods then follows the effect. Exact for errors that are exchangeable over time
    ("all"), or approximately valid for stationary, weakly dependent ones with many periods before
    the start ("moving_block"): with twenty periods, four treated, and an AR(1) of .6 a 10 % test
    rejects 11.6 % of true nulls by blocks and 15.6 % by "all" (AR(1) of .9: 18 and 27 %). It fails
    where the path drifts (no parallel trends) or its noise changes over time. The effect tested is
    one constant; its interval says nothing about how the effect moves, and does not exist (NaN,
    with a note) where every constant is rejected. Needs one start, and a
    difference-in-differences with the same units in every period; an event study's terms are
    measured from one period and are refused, as are estimates with covariates.

    References
    ----------
    Chernozhukov, Wüthrich & Zhu (2021); "moving_block" is what their R package scinference does
    with its difference-in-differences.

    Examples
    --------
    Six years give p no less than 1/6; all choices of two of them give 1/15.

    >>> import pandas as pd
    >>> import didkit as dk
    >>> rows = [
    ...     (unit, year, 10.0 * i + (7 * i * year) % 5 + 30 * (i == 0) * (year > 2018))
    ...     for i, unit in enumerate(["303", "304", "305"])
    ...     for year in range(2015, 2021)
    ... ]
    >>> frame = pd.DataFrame(rows, columns=["la", "year", "cin"])
    >>> panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> design = dk.Design(panel, dk.Rollout({"303": 2019}), against=dk.Pool(), selection="unknown")
    >>> did = dk.DiD().fit(design, "cin")
    >>> for of in ("moving_block", "all"):
    ...     print(round(float(did.infer(Conformal(of))["att"]["p_value"]), 3))
    0.167
    0.067
    """

    permutations: Literal["moving_block", "all"] = "moving_block"
    order: Literal[1, 2] = field(default=1, kw_only=True)
    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_draws(self.draws, self.seed, "Conformal")
        for name, given, known in (
            ("permutations", self.permutations, ("moving_block", "all")),
            ("order", self.order, (1, 2)),
        ):
            if isinstance(given, bool) or given not in known:
                raise InferenceError(
                    needed=f"{name}={known[0]!r} or {name}={known[1]!r}",
                    found=repr(given),
                    where="Conformal",
                    todo="choose one",
                )

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach p-values and the intervals that invert them.

        Raises
        ------
        InferenceError
            With several starts, or if no term compares one group of units with another in every
            period, after less before.
        """
        k = estimate.n_terms
        made = {
            name: np.full(k, np.nan) for name in ("statistic", "p_value", "conf_low", "conf_high")
        }
        notes = ["p is a rank among periods; the test has no standard error and no covariance"]
        facts: dict[str, object] = {}
        refused: list[InferenceError] = []
        if len(estimate.sample.starts) > 1:
            raise self._refused(
                estimate,
                f"{len(estimate.sample.starts)} starts",
                "fit each start on its own (a design with the pilots of one start), or use "
                "Permutation()",
            )
        for m, term in enumerate(estimate.terms["term"]):
            try:
                path, treated = self._path(estimate, m)
            except InferenceError as error:
                refused.append(error)
                notes.append(f"{term} has no test: {error.found}")
                continue
            test = _Test(path, treated, self._places(treated), self._listed(treated), self.order)
            test.floor = _NOTHING * np.abs(estimate.sample.y[estimate.sample.mask]).max()
            low, high, said = test.interval(level)
            made["p_value"][m], made["statistic"][m] = test.p(0.0), test.statistic()
            made["conf_low"][m], made["conf_high"][m] = low, high
            notes += [f"{term}: {note}" for note in said]
            facts = {
                "least_p": test.least_p,
                "draws": len(test.places),
                "exact": test.listed,
                "seed": None if test.listed else self.seed,
                "periods_before": int((~treated).sum()),
                "periods_treated": int(treated.sum()),
            }
            if not test.listed:
                p = test.p(0.0)
                facts["mc_error"] = float(np.sqrt(p * (1 - p) / len(test.places)))
        if len(refused) == k:
            raise refused[0]
        how = (
            f"{facts['draws']} cyclic shifts"
            if self.permutations == "moving_block"
            else f"all {facts['draws']:,} choices of periods"
            if facts["exact"]
            else f"{facts['draws']:,} draws of periods, seed {self.seed}"
        )
        return estimate.with_uncertainty(
            Uncertainty(
                inference=self,
                method=f"conformal over {facts['periods_before']} + {facts['periods_treated']} "
                f"periods, residuals to the power {self.order}, {how}",
                level=level,
                std_error=np.full(k, np.nan),
                facts=facts,
                notes=tuple(notes),
                statistic=made["statistic"],
                p_value=made["p_value"],
                conf_low=made["conf_low"],
                conf_high=made["conf_high"],
            )
        )

    def _path(self, estimate: Estimate, m: int) -> tuple[Floats, Bools]:
        """Return the path that term m compares over time, and which of its periods are treated.

        Each unit's weight after the start and before it must be one share over the periods, with
        opposite signs; the path is the sum of the units' outcomes with their shares.
        """
        sample = estimate.sample
        if estimate.weights is None:
            found = f"{estimate.estimator!r}, which publishes no weights"
            raise self._refused(estimate, found, "use DiD(), or Jackknife()")
        if sample.covariates:
            found = f"an estimate that holds {first_few(sample.covariates)} constant"
            raise self._refused(estimate, found, "leave covariates= out, or use Permutation()")
        weights = estimate.weights[m]
        used = ~sample.set_aside[0]
        after = used & (np.arange(len(sample.periods)) >= sample.starts[0])
        before = used & ~after
        shares = weights[:, after].sum(axis=1)
        form = np.zeros_like(weights)
        form[:, after] = shares[:, None] / after.sum()
        form[:, before] = -shares[:, None] / max(int(before.sum()), 1)
        size = np.abs(weights).max()
        apart = np.abs(form - weights).max(axis=1) > _ALIKE * size
        alone = abs(shares.sum()) > _ALIKE * np.abs(shares).sum()
        if apart.any() or alone or not before.any():
            holes = ~sample.mask[:, used].all(axis=1) & (apart | sample.pilot)
            gaps = np.array(sample.units)[holes]
            term = estimate.terms["term"].iloc[m]
            raise self._refused(
                estimate,
                f"{term}, of cells with gaps: {first_few(gaps)}"
                if len(gaps)
                else f"{term}, of pilots alone or of some of the periods",
                "use DiD(cells='complete'), or a window without gaps"
                if len(gaps)
                else "use DiD(cells='complete'), Gap()'s change, or Permutation()",
            )
        path = shares @ np.where(sample.mask, sample.y, 0.0)
        return np.asarray(path[used]), np.asarray(after[used])

    def _refused(self, estimate: Estimate, found: str, todo: str) -> InferenceError:
        return InferenceError(
            needed="one start, and the same units compared in every period, after less before",
            found=found,
            where=f"{self!r} of {estimate.metric.name!r}",
            todo=todo,
        )

    def _listed(self, treated: Bools) -> bool:
        """Whether the places are all there are."""
        total = math.comb(len(treated), int(treated.sum()))
        return self.permutations == "moving_block" or total <= self.draws

    def _places(self, treated: Bools) -> Bools:
        """Return which periods each permutation puts into the treated places, (B, T)."""
        n, size = len(treated), int(treated.sum())
        if self.permutations == "moving_block":
            return np.stack([np.roll(treated, shift) for shift in range(n)])
        if self._listed(treated):
            chosen = np.array(list(itertools.combinations(range(n), size)))
        else:
            rng = np.random.default_rng(self.seed)
            keys = rng.random((self.draws, n))
            chosen = np.argpartition(keys, size - 1, axis=1)[:, :size]
        made = np.zeros((len(chosen), n), dtype=bool)
        np.put_along_axis(made, chosen, True, axis=1)
        return made


class _Test:
    """The p-value as a function of the hypothesised constant effect, and its inversion."""

    def __init__(
        self, path: Floats, treated: Bools, places: Bools, listed: bool, order: int
    ) -> None:
        self.path, self.treated, self.listed, self.order = path, treated, listed, order
        self.centred = path - path.mean()
        self.acts = treated - treated.mean()  # what an effect of one does to the residuals
        self.places = places.astype(np.float64)
        self.differs = self.places - treated  # periods that a place has and the treated have not
        self.floor = 0.0  # residuals up to this are rounding

    @property
    def least_p(self) -> float:
        """The least p."""
        n = len(self.places)
        return 1 / n if self.listed else 1 / (1 + n)

    def statistic(self) -> float:
        """Return S of the treated periods when the effect is zero."""
        size = (np.abs(self.centred[self.treated]) ** self.order).sum()
        return float((size / np.sqrt(self.treated.sum())) ** (1 / self.order))

    def p(self, theta: float) -> float:
        """Return the p-value of a constant effect."""
        return self._share(self._count(theta))

    def _count(self, theta: float) -> int:
        """Return how many places have S as large as the actual one; ties count."""
        residuals = np.abs(self.centred - theta * self.acts)
        residuals[residuals <= self.floor] = 0.0
        sizes = residuals**self.order
        slack = TIES * sizes.sum()
        return int(np.count_nonzero(self.differs @ sizes >= -slack))

    def _share(self, count: float) -> float:
        n = len(self.places)
        return count / n if self.listed else (1 + count) / (1 + n)

    def interval(self, level: float) -> tuple[float, float, list[str]]:
        """Return the hull of the effects that are not rejected, and what a reader must know."""
        alpha = round(1 - level, 12)
        if self.least_p > alpha:
            n = len(self.path)
            why = f"no effect can be rejected at level {level:g}: the least p attainable is"
            return -np.inf, np.inf, [f"{why} {self.least_p:.3f}, of {n} periods"]
        ends, shares = self._pieces()
        taken = np.flatnonzero(shares > alpha)
        notes = [f"the least p attainable is {self.least_p:.3f}"] if self.least_p > 0.01 else []
        if not len(taken):
            middle = float(self.path[self.treated].mean() - self.path[~self.treated].mean())
            if self.p(middle) > alpha:  # without noise one effect alone fits
                return middle, middle, notes
            why = "every constant effect is rejected: the treated periods differ among themselves"
            return np.nan, np.nan, [*notes, f"{why} by more than the other periods do"]
        low, high = float(ends[taken[0]]), float(ends[taken[-1] + 1])
        whole = bool((shares[taken[0] : taken[-1] + 1] > alpha).all())
        if self.p(0.0) > alpha and not low <= 0 <= high:
            low, high, whole = min(low, 0.0), max(high, 0.0), False
        if self.p(0.0) <= alpha and low < 0 < high:
            whole = False
        if not whole:
            notes.append("the effects not rejected are not one interval; its hull is given")
        if np.isinf(low) or np.isinf(high):
            notes.append(
                f"effects are not bounded: {int(self.treated.sum())} of {len(self.path)} periods "
                "are treated, so the mean over all periods follows the effect"
            )
        return low, high, notes

    def _pieces(self) -> tuple[Floats, Floats]:
        """Return breakpoints (K + 1,), −∞ and ∞ among them, and p between them (K,).

        Between the effects that make some residual zero each S is linear in the effect (order 1),
        or quadratic everywhere (order 2); p changes only where a place's S equals the actual one.
        """
        knots = np.sort(self.centred / self.acts) if self.order == 1 else np.empty(0)
        spread = max(float(np.abs(self.centred / self.acts).max()), self.floor, 1e-300)
        edges = np.concatenate([[-np.inf], np.unique(knots), [np.inf]])
        ends, shares = [-np.inf], []
        for first, last in itertools.pairwise(edges.tolist()):
            roots, steps = self._crossings(first, last, spread)
            right = float(roots[0]) if len(roots) else last
            count = self._count(_between(first, right, spread))
            ends += [*roots.tolist(), last]
            shares += [self._share(n) for n in (count + np.append(0, np.cumsum(steps))).tolist()]
        return np.array(ends), np.array(shares)

    def _crossings(self, first: float, last: float, spread: float) -> tuple[Floats, Floats]:
        """Return where places' S cross the actual one inside a piece, and by how many they rise.

        A place's S less the actual one is ``flat − 2 θ slope + θ² bend``.
        """
        if self.order == 1:
            side = np.sign(self.centred - _between(first, last, spread) * self.acts)
            flat = self.differs @ (side * self.centred)
            slope = self.differs @ (side * self.acts) / 2
            bend = np.zeros(len(flat))
        else:
            flat = self.differs @ self.centred**2
            slope = self.differs @ (self.centred * self.acts)
            bend = self.differs @ self.acts**2
        curved = np.abs(bend) > TIES
        straight = ~curved & (np.abs(slope) > TIES * np.abs(slope).max(initial=0.0))
        curved &= slope**2 > bend * flat
        root = np.sqrt(slope[curved] ** 2 - bend[curved] * flat[curved])
        roots = np.concatenate(
            [
                flat[straight] / (2 * slope[straight]),
                (slope[curved] + root) / bend[curved],
                (slope[curved] - root) / bend[curved],
            ]
        )
        rises = np.concatenate([-np.sign(slope[straight]), np.ones(len(root)), -np.ones(len(root))])
        near = TIES * spread  # crossings this near are one, and those at an edge are the edge
        inside = (roots > first + near) & (roots < last - near)
        order = np.argsort(roots[inside], kind="stable")
        roots, rises = roots[inside][order], rises[inside][order]
        if not len(roots):
            return roots, rises
        apart = np.flatnonzero(np.append(True, np.diff(roots) > near))
        return roots[apart], np.add.reduceat(rises, apart)


def _between(left: float, right: float, spread: float) -> float:
    """Return an effect between two breakpoints, one of which may be infinite."""
    if np.isinf(left) and np.isinf(right):
        return 0.0
    if np.isinf(left):
        return right - spread
    return left + spread if np.isinf(right) else (left + right) / 2
