"""Covariates: what units are matched, ranked or balanced by, and up to when it was known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.errors import DesignError, first_few
from didkit.panel import Period, unit_id

if TYPE_CHECKING:
    from didkit.panel import Panel

__all__ = ["Covariates"]

Floats = NDArray[np.float64]
Window = Period | Sequence[Period]


@dataclass(frozen=True, eq=False)
class Covariates:
    """One row a unit, one column a covariate; remembers which periods each column has seen.

    A design refuses to match on a column that has seen a period from the first start on.

    Parameters
    ----------
    table : DataFrame
        Indexed by unit. Columns of numbers, or of labels (used for exact matching). A missing
        value stays missing: who uses the column says what becomes of that unit.
    until : mapping of column to period label, optional
        The last period that a column has seen; a column that is not in it has seen none of the
        panel's.
    source : str
        Where the columns came from, for notes.

    Raises
    ------
    DesignError
        No column, no row, or a unit that stands twice.

    Examples
    --------
    >>> import pandas as pd
    >>> made = Covariates(pd.DataFrame({"deprivation": [20.1, 31.5]}, index=["303", "304"]))
    >>> made.columns, made.units
    (('deprivation',), ('303', '304'))
    """

    table: pd.DataFrame
    until: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        given: Any = self.table
        if not isinstance(given, pd.DataFrame) or given.empty:
            raise DesignError(
                needed="a DataFrame with one row a unit and at least one column",
                found=f"{given.shape[0]} rows and {given.shape[1]} columns"
                if isinstance(given, pd.DataFrame)
                else type(given).__name__,
                where="Covariates",
                todo="index it by unit, or use Covariates.from_frame or Covariates.from_panel",
            )
        units = pd.Index([unit_id(unit) for unit in given.index], name="unit")
        if units.has_duplicates:
            raise DesignError(
                needed="each unit once",
                found=f"{first_few(units[units.duplicated()].unique())} twice or more",
                where="Covariates",
                todo="keep one row of each (ids are compared as text)",
            )
        table = given.set_axis(units, axis=0).set_axis([str(c) for c in given.columns], axis=1)
        if table.columns.has_duplicates:
            raise DesignError(
                needed="each covariate once",
                found=f"{first_few(table.columns[table.columns.duplicated()].unique())} twice",
                where="Covariates",
                todo="rename one of them",
            )
        object.__setattr__(self, "table", table.sort_index())
        object.__setattr__(self, "until", MappingProxyType(dict(self.until)))

    # -- made ----------------------------------------------------------------------------------

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        unit: str,
        columns: Sequence[str] | None = None,
        source: str = "",
    ) -> Covariates:
        """Take columns of a table of the user's own.

        Parameters
        ----------
        frame : DataFrame
            One row a unit.
        unit : str
            The column with the units' codes.
        columns : sequence of str, optional
            Which to take; by default all others.
        source : str
            Where they came from.

        Raises
        ------
        DesignError
            If a column is missing or a unit stands twice.
        """
        wanted = [unit, *(columns if columns is not None else [])]
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            raise DesignError(
                needed="columns of the table",
                found=f"none called {first_few(missing)}",
                where="Covariates.from_frame",
                todo="choose from: " + ", ".join(map(str, frame.columns)),
            )
        indexed = frame.set_index(unit)
        return cls(indexed if columns is None else indexed[list(columns)], source=source)

    @classmethod
    def from_panel(
        cls,
        panel: Panel,
        *,
        means: Mapping[str, Window] | None = None,
        values: Mapping[str, Window] | None = None,
        slopes: Mapping[str, Window] | None = None,
        columns: Sequence[str] = (),
    ) -> Covariates:
        """Take levels and slopes of metrics over given periods, and columns of ``panel.units``.

        Parameters
        ----------
        panel : Panel
            The data.
        means : mapping of metric to period or (first, last)
            The mean over these periods; missing where any of them is.
        values : mapping of metric to period or (first, last)
            The value of each period, a column each.
        slopes : mapping of metric to (first, last)
            Least-squares slope over these periods, per period; missing where any of them is.
        columns : sequence of str
            Columns of ``panel.units``, such as "region".

        Raises
        ------
        PanelError
            If a metric or a period is unknown.
        DesignError
            If nothing is asked for, a column is unknown, or a slope has fewer than two periods.

        Examples
        --------
        >>> import didkit as dk
        >>> panel, design = dk.datasets.load_evaluation()
        >>> made = dk.Covariates.from_panel(
        ...     panel, means={"cin": (2014, 2015)}, slopes={"cla": (2013, 2016)}
        ... )
        >>> made.columns
        ('cin mean 2014 to 2015', 'cla slope 2013 to 2016')
        >>> dict(made.until)
        {'cin mean 2014 to 2015': '2015', 'cla slope 2013 to 2016': '2016'}
        """
        made: dict[str, Any] = {}
        until: dict[str, str] = {}
        for what, asked in (("mean", means), ("value", values), ("slope", slopes)):
            for metric, window in (asked or {}).items():
                at = _positions(panel, window)
                labels = [panel.periods[i] for i in at]
                kind = panel.metric(metric)
                cells = panel.cells(kind).value[:, at]
                span = labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"
                if what == "value":
                    for column, label in enumerate(labels):
                        made[f"{kind.name} {label}"] = cells[:, column]
                        until[f"{kind.name} {label}"] = label
                    continue
                if what == "slope" and len(at) < 2:
                    raise DesignError(
                        needed="at least two periods for a slope",
                        found=span,
                        where=f"Covariates.from_panel(slopes=), metric {kind.name!r}",
                        todo="write (first, last)",
                    )
                name = f"{kind.name} {what} {span}"
                made[name] = cells.mean(axis=1) if what == "mean" else cells @ _slope(len(at))
                until[name] = labels[-1]
        unknown = [column for column in columns if column not in panel.units.columns]
        if unknown:
            raise DesignError(
                needed="columns of panel.units",
                found=f"none called {first_few(unknown)}",
                where="Covariates.from_panel(columns=)",
                todo="choose from: " + ", ".join(map(str, panel.units.columns)),
            )
        made |= {column: panel.units[column].to_numpy() for column in columns}
        if not made:
            raise DesignError(
                needed="at least one covariate",
                found="none asked for",
                where="Covariates.from_panel",
                todo="write means={'cin': (2013, 2014)}",
            )
        table = pd.DataFrame(made, index=list(panel.unit_ids))
        return cls(table, until, source=", ".join(made))

    # -- looked at -----------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the covariates."""
        return tuple(self.table.columns)

    @property
    def units(self) -> tuple[str, ...]:
        """Units with a row, sorted."""
        return tuple(self.table.index)

    def numbers(self, units: Sequence[str], columns: Sequence[str] | None = None) -> Floats:
        """Return covariates as numbers, (units × columns); NaN where there is none.

        Raises
        ------
        DesignError
            If a column is unknown or holds labels.
        """
        wanted = list(self.columns if columns is None else columns)
        self._require(wanted)
        made = self.table.reindex(list(units))[wanted]
        try:
            return np.asarray(made.to_numpy(dtype=float, na_value=np.nan))
        except (TypeError, ValueError) as error:
            text = [c for c in wanted if not pd.api.types.is_numeric_dtype(made[c])]
            raise DesignError(
                needed="covariates that are numbers",
                found=f"labels in {first_few(text)}",
                where="Covariates",
                todo="use labels for exact matching only",
            ) from error

    def labels(self, units: Sequence[str], columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the values of some columns as one tuple a unit, for exact matching.

        Raises
        ------
        DesignError
            If a column is unknown or a unit has none.
        """
        self._require(columns)
        made = self.table.reindex(list(units))[list(columns)]
        gone = made.index[made.isna().any(axis=1)]
        if len(gone):
            raise DesignError(
                needed=f"a value of {', '.join(columns)} for every unit",
                found=f"none for {first_few(gone)}",
                where="Covariates",
                todo="fill them in, or leave these units out by name",
            )
        return list(made.itertuples(index=False, name=None))

    def select(self, columns: Sequence[str]) -> Covariates:
        """Return some of the columns.

        Raises
        ------
        DesignError
            If one is unknown.
        """
        self._require(columns)
        until = {name: self.until[name] for name in columns if name in self.until}
        return Covariates(self.table[list(columns)], until, self.source)

    def join(self, other: Covariates) -> Covariates:
        """Return the columns of both; a unit that only one of them has lacks those of the other.

        Raises
        ------
        DesignError
            If both have a column of the same name.
        """
        both = [name for name in self.columns if name in other.columns]
        if both:
            raise DesignError(
                needed="columns of different names",
                found=f"{first_few(both)} in both",
                where="Covariates.join",
                todo="take one of them out with select",
            )
        table = self.table.join(other.table, how="outer")
        source = "; ".join(one for one in (self.source, other.source) if one)
        return Covariates(table, {**self.until, **other.until}, source)

    def among(self, panel: Panel) -> Covariates:
        """Return the same rows by the panel's units, where codes are parts of merged ones.

        Raises
        ------
        DesignError
            If two parts of one unit differ: only the user knows how to put them together.
        """
        whole = [panel.canonical(unit) for unit in self.units]
        if whole == list(self.units):
            return self
        table = self.table.set_axis(pd.Index(whole, name="unit"), axis=0)
        kept = table[~table.reset_index().duplicated().to_numpy()]
        if kept.index.has_duplicates:
            raise DesignError(
                needed="one row for each unit of the panel",
                found=f"different rows for the parts of "
                f"{first_few(kept.index[kept.index.duplicated()].unique())}",
                where="Covariates",
                todo="give the merged unit one row, for example the mean weighted by population",
            )
        return Covariates(kept, self.until, self.source)

    def check_before(self, panel: Panel, start: str, *, where: str) -> None:
        """Refuse columns that have seen a period from `start` on.

        Raises
        ------
        DesignError
            If there are any: what comes after the start may be an effect.
        """
        first = panel.calendar.position(start)
        late = {c: p for c, p in self.until.items() if panel.calendar.position(p) >= first}
        if late:
            seen = [f"{column} (up to {period})" for column, period in late.items()]
            raise DesignError(
                needed=f"covariates from before the first start, {start}",
                found=first_few(seen),
                where=where,
                todo="use periods before the start: matching on what the programme may have "
                "changed hides its effect",
            )

    def _require(self, columns: Sequence[str]) -> None:
        unknown = [name for name in columns if name not in self.table.columns]
        if unknown:
            raise DesignError(
                needed="covariates of this table",
                found=f"none called {first_few(unknown)}",
                where="Covariates",
                todo="choose from: " + ", ".join(self.columns),
            )

    def __repr__(self) -> str:
        return f"Covariates({len(self.table)} units; {first_few(self.columns, 6)})"


def _positions(panel: Panel, window: Window) -> list[int]:
    """Return the positions of one period, or of all from the first to the last."""
    if isinstance(window, str) or not isinstance(window, Sequence):
        return [panel.calendar.position(window, where="Covariates.from_panel")]
    at = [panel.calendar.position(period, where="Covariates.from_panel") for period in window]
    if len(at) == 2 and at[1] >= at[0]:
        return list(range(at[0], at[1] + 1))
    if not at or at != list(range(at[0], at[0] + len(at))):
        raise DesignError(
            needed="one period, (first, last), or consecutive periods in order",
            found=", ".join(map(str, window)) or "none",
            where="Covariates.from_panel",
            todo="write {'cin': (2013, 2014)}",
        )
    return at


def _slope(n: int) -> Floats:
    """Weights of the least-squares slope over n periods."""
    at = np.arange(n) - (n - 1) / 2
    made: Floats = at / (at @ at)
    return made
