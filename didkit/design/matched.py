"""What every kind of matching has in common: covariates in, matched sets out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from didkit.design.against import Against, Comparison, MatchedSets
from didkit.design.covariates import Covariates
from didkit.errors import DesignError, first_few, is_number, kind_of

if TYPE_CHECKING:
    from didkit.panel import Panel

__all__ = ["Matched", "Missing", "Unmatched", "choice", "non_negative", "refuse_no_covariates"]

Missing = Literal["refuse", "leave_out"]
Unmatched = Literal["refuse", "leave_out"]
_PRESENT = ", or take those present: Covariates.from_panel(…, periods='present')"


class Matched(Against):
    """Comparators chosen or weighted by covariates; a subclass is a frozen dataclass.

    It has the fields ``on`` (`Covariates`) and ``missing``: what becomes of a possible comparator
    without one of the covariates, ``"refuse"`` or ``"leave_out"`` (a note then names them), and
    implements `match`. Pilots are never comparators.
    """

    on: Covariates
    missing: Missing
    needs_numbers: ClassVar[bool] = True

    def match(self, pilots: Sequence[str], candidates: Sequence[str]) -> MatchedSets:
        """Return the sets of these pilots among these candidates, all of whom have covariates.

        Parameters
        ----------
        pilots, candidates : sequence of str
            Ids, sorted, none in both.

        Raises
        ------
        DesignError
            If a pilot is left without a comparator.
        """
        raise TypeError("Matched is implemented by its subclasses")

    def used(self) -> tuple[str, ...]:
        """Name the covariates that a unit must have."""
        return self.on.columns

    def resolve(
        self, pilots: Sequence[str], units: Sequence[str], barred: frozenset[str]
    ) -> Comparison:
        """Match the pilots with units that are neither pilots nor barred."""
        pilots = sorted(pilots)
        candidates = sorted(set(units) - set(pilots) - barred)
        on = self.on.select(self.used())
        rows = on.table.reindex([*pilots, *candidates])
        lacking = set(rows.index[rows.isna().any(axis=1)])
        where = type(self).__name__
        without = [unit for unit in pilots if unit in lacking]
        if without:
            raise DesignError(
                needed=f"the covariates {first_few(self.used())} of every pilot",
                found=_lacking(on, without),
                where=where,
                todo="choose periods in which they are observed"
                + _PRESENT * any(on.gaps.values())
                + ", or leave these pilots out by name",
            )
        gone = [unit for unit in candidates if unit in lacking]
        if gone and self.missing == "refuse":
            raise DesignError(
                needed=f"the covariates {first_few(self.used())} of every possible comparator",
                found=_lacking(on, gone),
                where=where,
                todo="write missing='leave_out' to go on without them, or choose other periods"
                + _PRESENT * any(on.gaps.values()),
            )
        kept = [unit for unit in candidates if unit not in lacking]
        if not kept:
            raise DesignError(
                needed="at least one unit that can be a comparator",
                found=f"none left of {len(candidates)} with all covariates",
                where=where,
                todo="use covariates that more units have, or exclude fewer units",
            )
        sets = self.match(pilots, kept)
        weights = {pilot: dict(members) for pilot, members in sets.weights.items()}
        why = dict.fromkeys(gone, "no covariate to match on")
        unstated = on.unstated()
        notes = [f"{first_few(gone)} lack a covariate and could not be matched"] if gone else []
        if unstated:
            notes.append(
                f"the periods of {first_few(unstated, 3)} are not stated: nobody checked that "
                "they precede the start (Covariates.from_frame(until=) states them)"
            )
        return Comparison(
            comparators=tuple(sorted({other for m in weights.values() for other in m})),
            sets=weights,
            aggregate=sets.aggregate,
            absent=(),
            distances=sets.distances,
            left_out={**why, **sets.unmatched},
            notes=(*notes, *sets.notes),
            until=on.until,
        )

    def among(self, panel: Panel) -> Self:
        """Return the same matching by the panel's units."""
        on = self.on.among(panel)
        given: Any = self
        return self if on is self.on else replace(given, on=on)

    def check_before(self, panel: Panel, start: str) -> None:
        """Refuse covariates that have seen a period from the first start on."""
        self.on.select(self.used()).check_before(panel, start, where=type(self).__name__)

    def _numbers(self, units: Sequence[str]) -> np.ndarray:
        """Return the covariates of units, (units × covariates)."""
        return self.on.numbers(units)


def _lacking(on: Covariates, units: Sequence[str]) -> str:
    """Say how many units lack a covariate, and of the first few which."""
    shown = "; ".join(on.lacking(unit) for unit in units[:5]) + ("; …" if units[5:] else "")
    return f"{len(units)} lack at least one: {shown}"


def choice(given: object, allowed: Sequence[str], argument: str, where: str) -> None:
    """Refuse an option that is none of those allowed.

    Raises
    ------
    DesignError
        If it is not.
    """
    if given not in allowed:
        raise DesignError(
            needed=f"{argument}= one of " + ", ".join(map(repr, allowed)),
            found=repr(given),
            where=where,
            todo="choose one of them",
        )


def non_negative(given: object, argument: str, where: str, *, positive: bool = False) -> None:
    """Refuse an option that is no finite number from zero on, or above zero.

    Raises
    ------
    DesignError
        If it is not.
    """
    number: Any = given
    fine = (
        is_number(given) and np.isfinite(number) and (number > 0 or (number == 0 and not positive))
    )
    if not fine:
        raise DesignError(
            needed=f"{argument}= a {'positive number' if positive else 'number from 0 on'}",
            found=repr(given),
            where=where,
            todo="mend it",
        )


def refuse_no_covariates(on: object, where: str) -> None:
    """Refuse anything but covariates as what is matched on.

    Raises
    ------
    DesignError
        If it is something else, a DataFrame for example.
    """
    if not isinstance(on, Covariates):
        raise DesignError(
            needed="Covariates, such as Covariates.from_panel(panel, means={'cin': (2013, 2014)})",
            found=kind_of(on),
            where=where,
            todo="wrap a table of your own with Covariates.from_frame(table, unit='la')",
        )
