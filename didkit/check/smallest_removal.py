"""Smallest removal: how few units or cells the conclusion rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.check.asked import check_inference
from didkit.check.leave_one_out import asked_inference
from didkit.check.removal_search import (
    Candidates,
    Found,
    Row,
    fewest_of_means,
    search_sign,
    search_zero,
)
from didkit.check.removed import equations, refit_without
from didkit.check.removed_cells import cell_equations, cells_of, refit_without_cells
from didkit.errors import InferenceError, first_few, is_whole
from didkit.progress import steps
from didkit.results import Estimate, Finding, Inference
from didkit.results.tables import signed, unit_of

__all__ = ["SmallestRemoval"]

_OF = ("units", "pilots", "comparators", "cells")
_NOUN = {
    "units": ("authority", "authorities"),
    "pilots": ("pilot", "pilots"),
    "comparators": ("comparator", "comparators"),
    "cells": ("cell", "cells"),
}
_NAMED = 3
_PATH = 12  #: steps shown where nothing was found


@dataclass(frozen=True)
class SmallestRemoval:
    """Find the fewest units (or cells) whose removal changes the conclusion.

    Parameters
    ----------
    of : {"units", "pilots", "comparators", "cells"}
        What may be removed. A cell is one authority in one period.
    conclusion : {"sign", "zero"}
        What is to change: the sign of the estimate; or on which side of the interval zero lies
        (outside, then inside, or the other way round).
    most : int, default 2000
        Refits that may be spent on trying all sets of a size.
    largest : int, optional
        Largest set that is looked for; by default half of what may be removed.
    inference : Inference, optional
        With ``conclusion="zero"``: for the interval of each refit; by default the estimate's own.

    Notes
    -----
    All sets of one, two, three and so on are tried as long as that takes no more than `most`
    refits, or (`DiD` and `EventStudy` against one pool, the sign) a million small systems. For a
    difference of two means of one number a unit the answer for units is exact whatever its size.
    Beyond that units are removed one after another, each time the one that brings the estimate
    furthest, and those that turn out not to be needed are put back: the answer is then a set that
    does it, and a smaller one may exist. Whatever is reported was refitted.

    With some noise and no effect a few units turn the sign (docs/removals.md): a small set is
    what an estimate near zero looks like, not evidence that these units are wrong.

    References
    ----------
    Broderick, Giordano & Meager (2020), who rank by influence, once.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> found = dk.DiD().fit(design, "cpp").infer(None).check(dk.SmallestRemoval())
    >>> int(found.facts["size"]), bool(found.facts["proven"])
    (1, True)
    """

    of: Literal["units", "pilots", "comparators", "cells"] = "units"
    conclusion: Literal["sign", "zero"] = "sign"
    most: int = field(default=2000, kw_only=True)
    largest: int | None = field(default=None, kw_only=True)
    inference: Inference | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.of not in _OF or self.conclusion not in ("sign", "zero"):
            raise InferenceError(
                needed="of='units', 'pilots', 'comparators' or 'cells', and conclusion='sign' or "
                "'zero'",
                found=f"{self.of!r}, {self.conclusion!r}",
                where="SmallestRemoval",
                todo="choose one of each",
            )
        for name, given in (("most", self.most), ("largest", self.largest)):
            if given is None and name == "largest":
                continue
            if not is_whole(given) or int(given) < 1:  # type: ignore[arg-type]
                raise InferenceError(
                    needed="a whole number, at least 1",
                    found=repr(given),
                    where=f"SmallestRemoval({name}=)",
                    todo=f"for example {name}=10",
                )
        if self.inference is not None and self.conclusion != "zero":
            raise InferenceError(
                needed="inference= with conclusion='zero' only",
                found=f"conclusion={self.conclusion!r}",
                where="SmallestRemoval(inference=)",
                todo="leave it out: the sign needs no interval",
            )
        check_inference(self.inference, "SmallestRemoval(inference=)")

    def run(self, estimate: Estimate) -> Finding:
        """Search.

        Returns
        -------
        Finding
            Table: the estimate as they are removed one after another, ``removed`` (how many by
            then), ``unit, name, arm, period`` (the one removed now), ``estimate, shift,
            conf_low, conf_high, p_value`` (the metric's unit; interval with
            ``conclusion="zero"``). Facts: ``size`` (NaN where no set was found), ``of``,
            ``share``, ``proven`` (1: no smaller set does it), ``tried``, ``tried_up_to`` (the size
            up to which all sets were tried), ``others`` (of the same size that do it too),
            ``full, left``.

        Raises
        ------
        InferenceError
            If the estimate is exactly zero (it has no sign), cells are to be removed one by one
            where each authority counts only if it has all, nothing may be removed, the interval
            does not exist, or there is too much to refit.
        """
        level, inference = 0.95, None
        if self.conclusion == "zero":
            inference, level = asked_inference(estimate, self.inference or "own")
        who, of, proven_by_means = self._candidates(estimate, inference, level)
        full: Row = of.made([])
        largest = self.largest or max(1, of.n // 2)
        if self.conclusion == "zero":
            if not np.isfinite(full[1]) and not np.isfinite(full[2]):
                raise InferenceError(
                    needed="an interval with an end",
                    found=full[4] or f"{signed(full[1])} to {signed(full[2])}",
                    where=repr(self),
                    todo="choose inference=…, or conclusion='sign'",
                )
            found = search_zero(of, full, most=self.most, largest=largest)
        else:
            if full[0] == 0:
                raise InferenceError(
                    needed="an estimate above or below zero",
                    found="exactly 0: it has no sign to change",
                    where=f"metric {estimate.metric.name!r}",
                    todo="use conclusion='zero'",
                )
            found = self._sign(estimate, of, full[0], proven_by_means, largest)
        return self._found(estimate, who, of, found, full, level)

    def _candidates(
        self, estimate: Estimate, inference: Inference | None, level: float
    ) -> tuple[pd.DataFrame, Candidates, NDArray[np.intp] | None]:
        """Return who may be removed, how, and their places where two means are compared."""
        sample = estimate.sample
        arm = np.where(sample.pilot, "pilot", "comparator")
        if self.of == "cells":
            return *self._cells(estimate, inference, level), None
        at = np.array(
            [
                j
                for j in range(len(sample.units))
                if self.of == "units" or sample.pilot[j] == (self.of == "pilots")
            ],
            dtype=np.intp,
        )
        if len(at) < 2 or (self.of == "pilots" and sample.n_pilots < 2):
            raise InferenceError(
                needed=f"at least two {_NOUN[self.of][1]}",
                found=str(len(at)),
                where=repr(self),
                todo="remove something else: of='comparators' or of='cells'",
            )
        quick = equations(estimate)
        if quick is None:
            self._check_count(len(at), "units")

        def refit(places: Any) -> Row:
            return refit_without(estimate, at[list(places)].tolist(), inference, level)

        who = pd.DataFrame(
            {
                "unit": np.array(sample.units, dtype=object)[at],
                "name": np.array(sample.names, dtype=object)[at],
                "arm": arm[at],
                "period": "",
            }
        )
        if quick is None:
            return who, Candidates(len(at), refit), None

        def another(gone: list[int]) -> NDArray[np.float64]:
            every = np.arange(len(at), dtype=np.intp)
            sets = np.stack([*(np.full(len(at), one, dtype=np.intp) for one in gone), every], 1)
            made = quick.without(at[sets])
            made[gone] = np.nan
            return made

        of = Candidates(
            len(at),
            refit,
            lambda sets: quick.without(at[sets]),
            another,
            lambda sets: quick.spread(at[sets]),
        )
        return who, of, at if _two_means(estimate) else None

    def _check_count(self, n: int, what: str) -> None:
        if n > self.most:
            raise InferenceError(
                needed=f"at most {self.most:,} refits for all {what} one by one",
                found=f"{n:,} {what}",
                where=repr(self),
                todo=f"ask for them: most={n}; or use DiD() against one pool, where it is algebra",
            )

    def _cells(
        self, estimate: Estimate, inference: Inference | None, level: float
    ) -> tuple[pd.DataFrame, Candidates]:
        """Return the cells that may be removed."""
        sample = estimate.sample
        if getattr(estimate.estimator, "cells", "") == "complete":
            raise InferenceError(
                needed="an estimate on observed cells, where one cell can go alone",
                found=f"{estimate.estimator!r}: without one cell the whole authority goes",
                where=repr(self),
                todo="use SmallestRemoval('units'), or DiD(cells='observed')",
            )
        at = cells_of(estimate)
        quick = cell_equations(estimate)
        if quick is None:
            self._check_count(len(at[0]), "cells")
        side, only = _sides(estimate, at)

        def refit(places: Any) -> Row:
            return refit_without_cells(estimate, at, list(places), inference, level)

        def without(sets: NDArray[np.intp]) -> NDArray[np.float64]:
            """By algebra, unless a pilot loses a whole side, and leaves the sample with it."""
            assert quick is not None  # noqa: S101  # only asked where it is there
            made = quick.without(sets)
            theirs = side[sets]
            gone = ((theirs[:, :, None] == theirs[:, None, :]) & (theirs >= 0)[:, :, None]).sum(2)
            made[(gone >= np.where(theirs >= 0, only[sets], np.inf)).any(axis=1)] = np.nan
            return made

        who = pd.DataFrame(
            {
                "unit": np.array(sample.units, dtype=object)[at[0]],
                "name": np.array(sample.names, dtype=object)[at[0]],
                "arm": np.where(sample.pilot, "pilot", "comparator")[at[0]],
                "period": np.array(sample.periods, dtype=object)[at[1]],
            }
        )
        if quick is None:
            return who, Candidates(len(at[0]), refit)
        return who, Candidates(len(at[0]), refit, without, quick.with_another)

    def _sign(
        self,
        estimate: Estimate,
        of: Candidates,
        full: float,
        means: NDArray[np.intp] | None,
        largest: int,
    ) -> Found:
        """Search for the sign; exactly where two means are compared."""
        if means is not None and estimate.contributions is not None:
            sample = estimate.sample
            free = np.isin(np.arange(len(sample.units)), means)
            m = estimate.place_of(None, where=repr(self))
            best = fewest_of_means(estimate.contributions[:, m], sample.pilot, free, full)
            places = np.searchsorted(means, best).tolist()
            if best and len(best) > 2 and len(best) <= largest and of.made(places)[0] * full < 0:
                return Found(tuple(places), True, len(best) - 1, 0, exact=True)
            if not best:
                return Found((), True, len(means), 0, exact=True)
        return search_sign(of, full, most=self.most, largest=largest)

    def _found(
        self,
        estimate: Estimate,
        who: pd.DataFrame,
        of: Candidates,
        found: Found,
        full: Row,
        level: float,
    ) -> Finding:
        steps_of = found.places or found.path[:_PATH]
        rows = [full, *(of.made(steps_of[: i + 1]) for i in steps(range(len(steps_of)), "refits"))]
        gone = who.iloc[list(steps_of)]
        table = pd.DataFrame(
            {
                "removed": range(len(rows)),
                **{name: ["", *gone[name]] for name in who.columns},
                "estimate": [row[0] for row in rows],
                "shift": [row[0] - full[0] for row in rows],
                "conf_low": [row[1] for row in rows],
                "conf_high": [row[2] for row in rows],
                "p_value": [row[3] for row in rows],
            }
        )
        size = float(len(found.places)) if found.places else float("nan")
        left = rows[-1][0]
        facts = {
            "size": size,
            "of": float(of.n),
            "share": size / of.n,
            "proven": float(found.proven),
            "tried": float(found.tried),
            "tried_up_to": float(found.upto),
            "others": float(len(found.alike)) if found.places and found.tried else float("nan"),
            "full": full[0],
            "left": left,
        }
        seen = [row[0] for row in rows if np.isfinite(row[0])]
        return Finding(
            check=self,
            estimate=estimate,
            question=self._question(level),
            headline=self._headline(who, found, rows, of.n, level, estimate),
            table=table,
            facts=facts,
            notes=self._notes(who, of, found),
            cannot_show="whether those removed belong in the comparison, nor which answer is "
            "right: an effect in few places, a mistake in few places and noise look alike",
            alternatives=(min(seen), max(seen)) if found.places else None,
        )

    def _question(self, level: float) -> str:
        what = _NOUN[self.of][1]
        if self.conclusion == "sign":
            return f"How few {what} does the sign of the estimate rest on?"
        return f"How few {what} decide whether zero is inside the {level:.0%} interval?"

    def _headline(
        self,
        who: pd.DataFrame,
        found: Found,
        rows: list[Row],
        n: int,
        level: float,
        estimate: Estimate,
    ) -> str:
        one, many = _NOUN[self.of]
        size, full, left = len(found.places), rows[0], rows[-1]
        unit = unit_of(estimate.metric)
        outside = self.conclusion == "zero" and not full[1] <= 0 <= full[2]
        turned = (
            "has the other sign"
            if self.conclusion == "sign"
            else f"has zero {'inside' if outside else 'outside'} its {level:.0%} interval"
        )
        if not size:
            if found.exact:
                return (
                    f"Whichever {many} are left out, the estimate of {signed(full[0])} {unit} "
                    "keeps its sign."
                )
            return (
                f"No removal of up to {len(found.path)} of {n:,} {many} was found without which "
                f"the estimate of {signed(full[0])} {unit} {turned}; one of another choice may "
                "exist."
            )
        names = first_names(who, found.places)
        share = f"{size:,} of {n:,} {many}, {size / n:.1%}"
        said = f"Without {names} ({share}) the estimate of {signed(full[0])} {unit} "
        if self.conclusion == "sign":
            said += f"becomes {signed(left[0])}"
        else:
            said += (
                f"({level:.0%} interval {signed(full[1])} to {signed(full[2])}) becomes "
                f"{signed(left[0])} ({signed(left[1])} to {signed(left[2])}), and {turned}"
            )
        if found.exact:
            return f"{said}; no smaller set does that: of each arm the furthest leave first."
        if not found.proven:
            tried = f"all sets of up to {found.upto} were tried; " if found.upto else ""
            return f"{said}; found by ranking: {tried}a smaller one may exist."
        if size == 1:
            others = len(found.alike)
            also = (
                f"{others} of the other {many} alone do"
                if others > 1
                else (f"one other {one} alone does" if others else f"no other {one} alone does")
            )
            return f"{said}; {also}."
        return f"{said}; no smaller set does that: all {_smaller(n, size):,} were tried."

    def _notes(self, who: pd.DataFrame, of: Candidates, found: Found) -> tuple[str, ...]:
        made = []
        if found.alike:
            sets = [first_names(who, places) for places in found.alike]
            made.append(f"other sets of as many that do the same: {first_few(sets)}")
        if of.without is not None or found.upto:
            every = np.arange(of.n, dtype=np.intp)[:, None]
            alone = of.values(every, "removing one", most=self.most)
            if alone is None or not np.isfinite(alone).any():
                return tuple(made)
            down, up = int(np.nanargmin(alone)), int(np.nanargmax(alone))
            made.append(
                f"alone, {first_names(who, [up])} moves the estimate furthest up, to "
                f"{signed(alone[up])}, and {first_names(who, [down])} furthest down, to "
                f"{signed(alone[down])}"
            )
        return tuple(made)


def _smaller(n: int, size: int) -> int:
    from math import comb

    return sum(comb(n, s) for s in range(1, size))


def first_names(who: pd.DataFrame, places: Any) -> str:
    """Name what is removed, the first few."""
    rows = who.iloc[list(places)]
    names = [
        f"{name} in {period}" if period else str(name)
        for name, period in zip(rows["name"], rows["period"], strict=True)
    ]
    shown, more = names[:_NAMED], len(names) - _NAMED
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _two_means(estimate: Estimate) -> bool:
    """Whether the estimate is the difference of two means of one number a unit."""
    sample, maker = estimate.sample, estimate.estimator
    usual = all(
        getattr(maker, name, value) == value
        for name, value in (("trends", "none"), ("effects", "unit"), ("periods_by", None))
    )
    whole = bool(sample.mask.all()) and len(sample.starts) == 1 and sample.sets is None
    free = sample.w is None and sample.x is None and estimate.contributions is not None
    return usual and whole and free


def _sides(
    estimate: Estimate, at: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which side (pilot, before or after) each cell is on, −1 for comparators; its cells."""
    sample = estimate.sample
    unit, period = at
    side = 2 * unit + sample.treated[unit, period]
    made = np.where(sample.pilot[unit], side, -1).astype(np.intp)
    return made, np.bincount(side, minlength=2 * len(sample.units))[side]
