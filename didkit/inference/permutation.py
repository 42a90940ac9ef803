"""Permutation: where the estimate stands among those of every other choice of pilots."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few
from didkit.inference.arms import clusters_by_term, not_traded, trading_in_words
from didkit.inference.assignments import Assignments, assignments, orders
from didkit.inference.bands import level_from_permutations
from didkit.inference.drawing import check_draws
from didkit.inference.invert import TIES, Inverted, invert
from didkit.inference.plausible import (
    check_caliper,
    check_units,
    could_be_pilots,
    within_caliper,
)
from didkit.results import Draws, Estimate, JointTest, Labels, Uncertainty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Permutation", "Redrawn"]

Floats = NDArray[np.float64]
_FEWEST = 19  #: plausible assignments besides which a caliper is refused


@dataclass(frozen=True, eq=False)
class Redrawn:
    """The assignments, the refits under them and under the actual one, and what is a t."""

    chosen: Assignments
    drawn: Draws
    actual: Draws
    studentised: NDArray[np.bool_]

    def at(self, estimate: Estimate) -> Redrawn:
        """Return the same assignments of the same estimate on other outcomes."""
        drawn, actual = _refits(estimate, self.chosen)
        return replace(self, drawn=drawn, actual=actual)

    def invert(self, m: int, level: float) -> Inverted:
        """Return p of no effect and the interval of term m."""
        return invert(
            self.drawn,
            self.actual,
            m,
            studentised=bool(self.studentised[m]),
            exact=self.chosen.exact,
            level=level,
            least_p=self.chosen.least_p,
        )


@dataclass(frozen=True)
class Permutation:
    """Hand the starts out to other units and see how often the statistic is as large.

    Parameters
    ----------
    statistic : {"t", "beta"}
        ``"t"``: the estimate over its CR1 standard error (matched sets: over the root of V,
        below). It holds its size where pilots are noisier or smaller than comparators, which
        ``"beta"`` (the estimate itself) does not: rejections of a true null rise to 28 % with
        pilots twice as noisy.
    draws : int, default 9999
        If there are no more assignments than this they are all listed, and p is exact.
    seed : int, default 0
        The same seed gives the same number.
    among : sequence of unit ids, optional
        Only these could have been pilots (those that applied, say); the actual pilots always are.
        All others stay comparators.
    caliper : mapping of name to number, optional
        Only assignments whose pilots' mean is this near that of the actual pilots: a metric's mean
        over the periods before the first start (those with a value), or a column of numbers of
        ``panel.units``; the number is a width in standard deviations over the sample's units.
        Several names hold together. Listed assignments are filtered; otherwise they are drawn until
        `draws` are plausible or a hundred times as many were tried.
    around : mapping of name to number, optional
        The middle of the caliper, in the unit of the metric or column, where it was fixed before
        the pilots were chosen; by default the actual pilots' mean.

    Notes
    -----
    Pilots are drawn inside the design's strata, and the starts move with them. p counts the
    actual assignment: ``(1 + #) / (1 + B)`` when drawn; the share of all assignments when
    listed. Ties count. The interval inverts the test: the effects θ for which the outcome less θ
    times the treatment is not rejected. Pilots are rarely randomised: then p is a placebo rank.
    Fails where the least attainable p exceeds 1 − level (the interval is then infinite), and is
    refused for estimators that cannot be refitted in bulk. A term carried by one pilot is ranked
    by the estimate itself. There is no standard error. Several terms have a uniform band too: the
    interval of each at the level at which the smallest of their p-values, over the same draws,
    rejects a true null in any term with probability 1 − level.

    Draws are made in the order of the units' ids: with other ids (codes that sort otherwise) a p
    that is drawn, not listed, changes within its Monte Carlo error (``facts["mc_error"]``).

    **Plausible pilots.** `among` and, with `around`, `caliper` give the same set of assignments
    whichever of them is the actual one: where pilots were drawn from that set the test is exact. A
    caliper around the actual pilots is another set for each, and p then is a description: the rank
    among assignments that look like the actual one. Over all 495 choices of 4 of 12 units and 400
    outcomes, a caliper of .25 SD around the actual pilots rejects a true null at 5 % in 4.6, 4.5
    and 2.6 % of cases (correlation of outcome and covariate 0, .5 and .9; fixed beforehand 4.7 %
    each): it errs towards not rejecting (``tests/inference/test_restricted_permutation.py``).
    Refused where fewer than 19 assignments are plausible, and for matched sets, whose places stay.

    **Uniform bands** from the permutations of the whole vector of terms are those that Alvarez &
    Ferman (2023) propose for event studies with few treated units; here the smallest p is
    calibrated, so that terms with different noise count alike.

    **As treated**, pilots that left have no cells from their stop on, while units in their place
    keep theirs: their changes, over longer windows, are less noisy. t allows for it; ``"beta"`` is
    refused, and so is any term for which there is no t (eight pilots of fifty units, all gone
    after one year of five: t rejects 3.3 % of true nulls at 5 %, beta would reject 19 %).

    **Matched sets.** Units trade places inside a block: the pilots and comparators of sets that
    are linked by a comparator that they share, inside the design's strata. The places stay: the
    weights, and which sets a comparator serves. With sets that share nothing this is the
    permutation within sets; where neighbour lists link all, everybody is one block, and that all
    of them are exchangeable is an assumption. With ``d_k`` the difference of pilot k and
    ``o_j = Σ_{k≠l} w_kj w_lj``, ``V = [Σ (d_k − d̄)² + Σ_j o_j r_j²] / (n (n − 1))``: what
    differences vary, and what they have in common through a comparator (``r_j²``: its squared
    distance from the means of its sets, made unbiased). What blocks have in common is no part of V.
    Nothing is matched again. ``facts["least_p"]`` counts places that are alike, not sets that are
    mirror images: the least p may be larger (where all orders are listed a note gives it, for
    these data). Refused for medians, for a pilot that is also a comparator, and for
    ``cells="observed"`` with gaps. Rejections of a true null at 5 % (2,000 data sets of normal
    noise, 199 permutations; simulated in ``tests/inference/test_sets.py``):

    ======================================  ====  ====  =========
    nine pilots                             t     beta  jackknife
    ======================================  ====  ====  =========
    three comparators each, none shared     4.2   3.8   2.1
    … pilots twice as noisy                 4.2   14.2  3.6
    three each out of twelve                5.7   5.4   4.6
    … pilots twice as noisy                 5.6   5.8   4.9
    three each, one of them in every set    5.6   4.8   3.5
    … pilots twice as noisy                 6.2   6.2   4.0
    … that one three times as noisy         4.5   29.7  1.5
    eight neighbours each out of 76         4.2   4.6   2.8
    … pilots twice as noisy                 5.1   19.9  3.9
    the same 60 weights for all             4.2   4.3   3.4
    … pilots twice as noisy                 5.1   19.9  4.0
    ======================================  ====  ====  =========

    References
    ----------
    MacKinnon & Webb (2020), RI-β and RI-t; Lehmann & Romano (2005), section 15.2; Westfall &
    Young (1993) for the band.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(dk.Permutation(draws=199, seed=1))
    >>> bool(did["att"]["conf_low"] < 0 < did["att"]["conf_high"])  # the true effect is zero
    True
    """

    statistic: Literal["t", "beta"] = "t"
    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    among: Iterable[object] | None = field(default=None, kw_only=True)
    caliper: Mapping[str, float] | None = field(default=None, kw_only=True, hash=False)
    around: Mapping[str, float] | None = field(default=None, kw_only=True, hash=False)

    def __repr__(self) -> str:
        asked = {name: getattr(self, name) for name in ("among", "caliper", "around")}
        said = "".join(f", {name}={value!r}" for name, value in asked.items() if value is not None)
        return (
            f"Permutation(statistic={self.statistic!r}, draws={self.draws}, seed={self.seed}{said})"
        )

    def __post_init__(self) -> None:
        if self.statistic not in ("t", "beta"):
            raise InferenceError(
                needed="statistic='t' or statistic='beta'",
                found=repr(self.statistic),
                where="Permutation",
                todo="choose one",
            )
        check_draws(self.draws, self.seed, "Permutation")
        object.__setattr__(self, "among", check_units(self.among, "Permutation"))
        for name in ("caliper", "around"):
            given = getattr(self, name)
            made = check_caliper(given, "Permutation", name, positive=name == "caliper")
            object.__setattr__(self, name, made or None)
        beside = set(self.around or {}) - set(self.caliper or {})
        if beside:
            raise InferenceError(
                needed="around= for names that caliper= has",
                found=first_few(sorted(beside)),
                where="Permutation",
                todo="give them a width in caliper=, or leave them out",
            )

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach p-values and the intervals that invert them.

        Raises
        ------
        InferenceError
            If the estimator cannot be refitted in bulk, or clusters are coarser than units.
        """
        again = self.redrawn(estimate)
        chosen, drawn, actual = again.chosen, again.drawn, again.actual
        studentised, k = again.studentised, estimate.n_terms
        left = estimate.sample.left.any()
        made = {
            name: np.full(k, np.nan) for name in ("statistic", "p_value", "conf_low", "conf_high")
        }
        null = np.full(drawn.b.shape, np.nan)
        notes = list(self._notes(estimate, chosen, studentised))
        n_clusters = len(estimate.sample.units)
        # the factor of CR1; the variance of matched sets needs none
        scale = 1.0 if estimate.exchanged else np.sqrt(n_clusters / (n_clusters - 1))
        for m, term in enumerate(estimate.terms["term"]):
            if not np.isfinite(actual.b[0, m]):
                notes.append(f"{term} has no comparators, so no permutation test exists for it")
                continue
            if left and not studentised[m]:
                continue
            found = again.invert(m, level)
            made["p_value"][m] = found.p_value
            made["conf_low"][m], made["conf_high"][m] = found.low, found.high
            notes += [f"{term}: {note}" for note in found.notes]
            made["statistic"][m] = actual.b[0, m]
            null[:, m] = drawn.b[:, m]
            if studentised[m]:
                with np.errstate(divide="ignore", invalid="ignore"):  # outcomes all alike
                    made["statistic"][m] /= np.sqrt(actual.v0[0, m]) * scale
                    null[:, m] /= np.sqrt(drawn.v0[:, m]) * scale
        band_low, band_high, said = _band(estimate, again, null, made, level)
        notes += said
        least = max(chosen.least_p, _least(null) if chosen.exact and estimate.exchanged else 0.0)
        if least > 0.01:
            notes.append(f"the least p attainable is {least:.3f}")
        p = made["p_value"]
        facts: dict[str, object] = {
            "least_p": chosen.least_p,
            "draws": len(chosen),
            "exact": chosen.exact,
            "seed": None if chosen.exact else self.seed,
        }
        if not chosen.exact:
            facts["mc_error"] = float(np.nanmax(np.sqrt(p * (1 - p) / len(chosen))))
        if self.caliper:
            facts["plausible"] = len(chosen) / chosen.tried
        restricted = " plausible" if self.among is not None or self.caliper else ""
        how = (
            f"all {chosen.total:,}{restricted} {'orders' if estimate.exchanged else 'assignments'}"
            if chosen.exact
            else f"{len(chosen):,}{restricted} draws, seed {self.seed}"
        )
        return estimate.with_uncertainty(
            Uncertainty(
                inference=self,
                method=f"permutation of {'t' if self.statistic == 't' else 'the estimate'}"
                f"{' within matched sets' if estimate.exchanged else ''}, {how}",
                level=level,
                std_error=np.full(k, np.nan),
                null=null,
                band_low=band_low,
                band_high=band_high,
                facts=facts,
                notes=tuple(notes),
                statistic=made["statistic"],
                p_value=made["p_value"],
                conf_low=made["conf_low"],
                conf_high=made["conf_high"],
            )
        )

    def intervals(self, estimate: Estimate, levels: Floats) -> tuple[Floats, Floats]:
        """Return each term's interval at a level of its own, from the same draws as `attach`.

        Parameters
        ----------
        estimate : Estimate
            As for `attach`.
        levels : array (k,)
            A level for each term; NaN for a term without one.

        Returns
        -------
        (array (k,), array (k,))
            Ends; NaN where the level is, or the term has no test.

        Raises
        ------
        InferenceError
            As for `attach`.

        Examples
        --------
        >>> import didkit as dk
        >>> panel, design = dk.datasets.load_evaluation()
        >>> did = dk.DiD().fit(design, "cpp")
        >>> low, high = Permutation(draws=99).intervals(did, np.array([0.9]))
        >>> bool(low[0] < did.values[0] < high[0])
        True
        """
        again = self.redrawn(estimate)
        low, high = np.full(len(levels), np.nan), np.full(len(levels), np.nan)
        without = estimate.sample.left.any() & ~again.studentised
        there = np.isfinite(levels) & np.isfinite(again.actual.b[0]) & ~without
        for m in np.flatnonzero(there):
            found = again.invert(int(m), float(levels[m]))
            low[m], high[m] = found.low, found.high
        return low, high

    def redrawn(self, estimate: Estimate) -> Redrawn:
        """Draw the assignments and refit under each; for `attach`, and for checks.

        Raises
        ------
        InferenceError
            As for `attach`.
        """
        chosen, drawn, actual = self._draw(estimate)
        n1 = estimate.terms["n_pilots"].to_numpy()
        # sets that share one lone comparator have no variance to divide by, whoever is in it
        shown = np.isfinite(actual.v0[0]) | ~np.isfinite(actual.b[0])
        shown |= estimate.exchanged is None
        studentised = np.array([self.statistic == "t" and n > 1 for n in n1]) & shown
        if estimate.sample.left.any() and not studentised.any():
            raise self._shorter(estimate)
        return Redrawn(chosen, drawn, actual, studentised)

    def _draw(self, estimate: Estimate) -> tuple[Assignments, Draws, Draws]:
        """Return the assignments, the refits under them, and the refit under the actual one."""
        sample, exchange = estimate.sample, estimate.exchanged
        if estimate.reassigned is None and exchange is None:
            raise self._refused(estimate)
        if sample.clustered_above:
            g1, g0 = clusters_by_term(estimate)
            robust = ((g1 >= 2) & ((g0 == 0) | (g0 >= 2))).any()
            raise InferenceError(
                needed="units that are assigned one by one",
                found=f"{len(sample.cluster_labels)} clusters of {len(sample.units)} units",
                where=repr(self),
                todo="use a design without clusters=, which takes units as independent (strata= "
                "keeps pilots inside their groups)"
                + (
                    ""
                    if not robust
                    else ", or ClusterRobust('CR2')"
                    if exchange is None
                    else ", or Jackknife()"
                ),
            )
        if exchange is not None:
            if self.among is not None or self.caliper:
                raise InferenceError(
                    needed="one pool of comparators, for among= and caliper=",
                    found="matched sets, in which units trade places and the places stay",
                    where=repr(self),
                    todo="leave them out: who may trade with whom is said by the sets and strata=",
                )
            chosen = orders(exchange, self.statistic, draws=self.draws, seed=self.seed)
        else:
            chosen = self._plausible(estimate)
        return chosen, *_refits(estimate, chosen)

    def _plausible(self, estimate: Estimate) -> Assignments:
        """Draw among the assignments that are plausible: all of them unless something is asked."""
        able = could_be_pilots(estimate, cast("tuple[str, ...] | None", self.among), repr(self))
        accept = within_caliper(estimate, self.caliper or {}, self.around or {}, able, repr(self))
        chosen = assignments(
            estimate.sample, draws=self.draws, seed=self.seed, assignable=able, accept=accept
        )
        different = chosen.total
        if accept is not None and different < _FEWEST:
            raise InferenceError(
                needed=f"at least {_FEWEST} plausible assignments",
                found=f"{different}{' different ones' if not chosen.exact else ''} of "
                f"{chosen.tried:,} {'listed' if chosen.exact else 'tried'}",
                where=repr(self),
                todo="widen the caliper, or leave out one of its names",
            )
        if self.among is not None and different < 2:
            raise InferenceError(
                needed="plausible assignments besides the actual one",
                found="none: inside each stratum only the pilots could have been pilots",
                where=repr(self),
                todo="name more units in among=",
            )
        return chosen

    def _refused(self, estimate: Estimate) -> InferenceError:
        """Say why no other assignment can be estimated, and what to do."""
        why, instead = not_traded(estimate)
        return InferenceError(
            needed="an estimate that can be refitted for many assignments at once",
            found=f"{type(estimate.estimator).__name__} against "
            f"{estimate.design.against.describe()}: {why}",
            where=repr(self),
            todo=f"use Jackknife(), or {instead}",
        )

    def _shorter(self, estimate: Estimate) -> InferenceError:
        """Say that placebo pilots would have longer windows than pilots that left."""
        sample = estimate.sample
        gone = [unit for unit, left in zip(sample.units, sample.left, strict=True) if left]
        alone = int(estimate.terms["n_pilots"].max()) < 2
        one = "; with one pilot t is the estimate itself" if alone else ""
        several = "" if alone or self.statistic == "t" else "Permutation('t'), or "
        return InferenceError(
            needed="placebo pilots that are observed as long as the pilots",
            found=f"pilots without cells from their stop on (as treated): {first_few(gone)}; "
            f"other units in their place would keep theirs, and look less noisy{one}",
            where=repr(self),
            todo=f"use {several}design.with_treatment('intention_to_treat'), or a window "
            "that ends with the first stop",
        )

    def _notes(
        self, estimate: Estimate, chosen: Assignments, studentised: NDArray[np.bool_]
    ) -> tuple[str, ...]:
        notes = ["a permutation test has no standard error and no covariance"]
        if estimate.design.selection != "random":
            notes.append(
                "pilots were not randomised: p is the rank of the estimate among placebo pilots"
            )
        notes += trading_in_words(estimate)
        if self.among is not None:
            able = could_be_pilots(estimate, cast("tuple[str, ...]", self.among), repr(self))
            notes.append(f"only {int(able.sum())} of {len(able)} units could have been pilots")
        if self.caliper:
            share = len(chosen) / chosen.tried
            near = ", ".join(f"{name} within {w:g} SD" for name, w in self.caliper.items())
            notes.append(
                f"{share:.2%} of {chosen.tried:,} assignments "
                f"{'listed' if chosen.exact else 'tried'} are plausible ({near} of the "
                f"{'values in around=' if self.around else 'pilots'})"
            )
            if set(self.caliper) - set(self.around or {}):
                notes.append(
                    "the caliper is around the actual pilots, another set for each choice of them: "
                    "p describes, and is exact only for a middle fixed beforehand (around=)"
                )
            if not chosen.exact and len(chosen) < self.draws:
                notes.append(f"{len(chosen):,} draws instead of {self.draws:,}: few are plausible")
        if self.statistic == "t":
            alone = estimate.terms["n_pilots"].to_numpy() <= 1
            lone = ~studentised & ~alone
            n_left = int(estimate.sample.left.sum())
            how = (
                "have no rank: units in their place are observed for longer"
                if n_left
                else "are ranked by the estimate, not by t"
            )
            if n_left:
                notes.append(
                    f"{n_left} pilots have no cells from their stop on, and units in their place "
                    "do: t allows for it, the estimate itself would not"
                )
            for n, why in (
                (int(alone.sum()), "carried by one pilot"),
                (int(lone.sum()), "whose sets share one comparator and have no other"),
            ):
                if n:
                    notes.append(f"{n} terms {why} {how}")
        return tuple(notes)

    def joint(self, estimate: Estimate, terms: tuple[str, ...]) -> JointTest:
        """Test that several terms are zero together, with the same permutations.

        The statistic is ``t' S⁻¹ t`` with S the covariance of the vector of statistics over the
        permutations; p is its rank.

        Raises
        ------
        InferenceError
            As for `attach`, or if a term has no permutation distribution.
        """
        held = estimate.uncertainty
        if held is None or held.inference != self or held.null is None:
            held = self.attach(estimate).attached
        at = [list(estimate.terms["term"]).index(term) for term in terms]
        null, mine = np.asarray(held.null)[:, at], held.statistic[at]
        whole = np.isfinite(null).all(axis=1)
        if not np.isfinite(mine).all() or whole.sum() < len(at) + 1:
            raise InferenceError(
                needed="a permutation distribution for every term",
                found=f"{int(whole.sum())} usable draws",
                where=repr(self),
                todo="test fewer terms together",
            )
        spread = np.cov(null[whole], rowvar=False).reshape(len(at), len(at))
        inverse = np.linalg.pinv(spread, hermitian=True)
        size = np.einsum("bi,ij,bj->b", null, inverse, null)
        own = float(mine @ inverse @ mine)
        count = int((~(size < own * (1 - TIES))).sum())
        n = len(size)
        p = count / n if held.facts["exact"] else (1 + count) / (1 + n)
        return JointTest(terms, own, p, f"joint permutation of {len(at)} terms")


def _refits(estimate: Estimate, chosen: Assignments) -> tuple[Draws, Draws]:
    """Return the refits under the assignments, and under the actual one."""
    sample, exchange = estimate.sample, estimate.exchanged
    if exchange is not None:
        refit, as_it_is = exchange.refit, np.arange(len(sample.units), dtype=np.int64)[None]
    else:
        refit = cast("Callable[[Labels], Draws]", estimate.reassigned)
        as_it_is = sample.cohort[None].astype(np.int64)
    return Draws.stack([refit(labels) for labels in chosen.chunks()]), refit(as_it_is)


def _band(
    estimate: Estimate, again: Redrawn, null: Floats, made: dict[str, Floats], level: float
) -> tuple[Floats | None, Floats | None, list[str]]:
    """Return the uniform band over the terms that have a test, where there are several."""
    n1 = estimate.terms["n_pilots"].to_numpy()
    there = np.isfinite(made["p_value"])
    tested = np.flatnonzero(there & (n1 > 1) if n1.max() > 1 else there)
    if len(tested) < 2:
        return None, None, []
    alone = int(there.sum()) - len(tested)
    said = [f"{alone} terms carried by one pilot are outside the uniform band"] if alone else []
    low, high = np.full(estimate.n_terms, np.nan), np.full(estimate.n_terms, np.nan)
    within = level_from_permutations(
        null[:, tested], made["statistic"][tested], level, exact=again.chosen.exact
    )
    if within is None:
        low[tested], high[tested] = -np.inf, np.inf
        why = f"too few assignments for a uniform band at level {level:g}"
        return low, high, [*said, why]
    for m in tested:
        found = again.invert(int(m), within)
        low[m] = min(found.low, made["conf_low"][m])
        high[m] = max(found.high, made["conf_high"][m])
    return low, high, said


def _least(null: Floats) -> float:
    """Return the least p that any of the orders listed gives to some term, ties counted."""
    squares = null**2
    lost = ~np.isfinite(squares)  # an order without the statistic counts as extreme
    tested = ~np.isnan(null).all(axis=0)
    largest = np.where(lost, -np.inf, squares).max(axis=0)
    shares = (lost | (squares >= largest * (1 - TIES))).mean(axis=0)
    return float(shares[tested].min()) if tested.any() else 0.0
