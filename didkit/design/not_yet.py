"""Against those that have not started yet: later pilots, until they start, beside the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from didkit.design.against import Against, Comparison
from didkit.errors import DesignError

__all__ = ["NotYetTreated"]


@dataclass(frozen=True)
class NotYetTreated(Against):
    """Every unit that has not started yet: those that never start, and pilots until they do.

    With it a design may have no comparator at all, if pilots start at two different times at
    least: the last to start then serve the others, up to their own start.

    Notes
    -----
    Only estimators that compare with later pilots can use it where nobody never starts
    (`GroupTime`, `Imputation`, `SunAbraham`, `RothSantAnna`, …); others refuse. That pilots which
    start later would have changed like those that start now is an assumption of its own: it fails
    where pilots join when things have turned bad.

    References
    ----------
    Callaway & Sant'Anna (2021), assumption 5.

    Examples
    --------
    >>> NotYetTreated().describe()
    'every authority that has not started yet'
    """

    def resolve(
        self, pilots: Sequence[str], units: Sequence[str], barred: frozenset[str]
    ) -> Comparison:
        """Name every unit that is neither pilot nor barred; pilots serve until they start."""
        out = set(pilots) | barred
        others = tuple(sorted(u for u in units if u not in out))
        if not others and len(pilots) < 2:
            raise DesignError(
                needed="at least two pilots, or a unit that never starts",
                found="1 pilot alone",
                where="Design(against=NotYetTreated())",
                todo="widen the panel",
            )
        return Comparison(others, None, "mean", ())

    def describe(self) -> str:
        """Say in words who is compared with whom."""
        return "every authority that has not started yet"
