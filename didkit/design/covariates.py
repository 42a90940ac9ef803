"""Covariates: what units are matched, ranked or balanced by, and up to when it was known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design.ids import column_names
from didkit.design.seen import late
from didkit.errors import DesignError, first_few
from didkit.panel import Period, unit_id

if TYPE_CHECKING:
    from didkit.panel import Panel

__all__ = ["Covariates"]

Floats = NDArray[np.float64]
Window = Period | Sequence[Period]
_FROM = "Covariates.from_"
_LARGEST = 1e150  # the square of what is larger is no number any more


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
        The last period that a column has seen; "" if it has seen none of the panel's (deprivation,
        region). Of a column of numbers that is not in it nobody can check that it precedes
        the start: designs that use it say so in their notes.
    source : str
        Where the columns came from, for notes.
    levels : mapping of column to (metric, period, …), optional
        Columns that are the level of a metric: one period's value, or the mean over several.
    gaps : mapping of column to mapping of unit to text, optional
        Why a unit has no value of a column; `from_panel` names the periods without one.

    Raises
    ------
    DesignError
        No column, no row, a unit that is missing or stands twice, an infinite value, or a period
        stated for a column that is not there.

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
    gaps: Mapping[str, Mapping[str, str]] = field(default_factory=dict, kw_only=True, repr=False)
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True, repr=False)

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
        blank = [at for at, unit in enumerate(given.index) if _is_blank(unit)]
        if blank:
            raise DesignError(
                needed="a unit for every row",
                found=f"none in {first_few([f'row {at + 1}' for at in blank])}",
                where="Covariates",
                todo="leave these rows out, or fill in their codes",
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
        _refuse_infinite(table)
        seen: Mapping[str, Any] = self.until
        until = {str(name): "" if p is None else str(p) for name, p in seen.items()}
        unknown = [name for name in until if name not in table.columns]
        if unknown:
            raise DesignError(
                needed="until= periods of columns of the table",
                found=f"none called {first_few(unknown)}",
                where="Covariates",
                todo="choose from: " + ", ".join(table.columns),
            )
        object.__setattr__(self, "table", table.sort_index())
        object.__setattr__(self, "until", MappingProxyType(until))
        gaps = {name: MappingProxyType(dict(of)) for name, of in self.gaps.items()}
        object.__setattr__(self, "gaps", MappingProxyType(gaps))
        object.__setattr__(self, "levels", MappingProxyType(dict(self.levels)))

    # -- made ----------------------------------------------------------------------------------

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        unit: str,
        columns: Sequence[str] | str | None = None,
        until: Mapping[str, Period | None] | None = None,
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
        until : mapping of column to period, optional
            The last period that a column has seen, so that a design which starts by then refuses
            it; None for one that has seen none of the panel's. A design whose columns of numbers
            are not in it has a note.
        source : str
            Where they came from.

        Raises
        ------
        DesignError
            If a column is missing, or as for the class.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"la": ["303", "304"], "imd": [20.1, 31.5], "cin": [300, 310]})
        >>> made = Covariates.from_frame(frame, unit="la", until={"imd": None, "cin": 2017})
        >>> dict(made.until)
        {'imd': '', 'cin': '2017'}
        """
        taken = None if columns is None else column_names(columns, "columns", f"{_FROM}frame")
        wanted = [unit, *(taken or ())]
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            raise DesignError(
                needed="columns of the table",
                found=f"none called {first_few(missing)}",
                where="Covariates.from_frame",
                todo="choose from: " + ", ".join(map(str, frame.columns)),
            )
        indexed = frame.set_index(unit)
        seen = {name: "" if p is None else str(p) for name, p in (until or {}).items()}
        return cls(indexed if taken is None else indexed[list(taken)], seen, source)

    @classmethod
    def from_panel(
        cls,
        panel: Panel,
        *,
        means: Mapping[str, Window] | None = None,
        values: Mapping[str, Window] | None = None,
        slopes: Mapping[str, Window] | None = None,
        columns: Sequence[str] | str = (),
        periods: Literal["all", "present"] = "all",
    ) -> Covariates:
        """Take levels and slopes of metrics over given periods, and columns of ``panel.units``.

        Parameters
        ----------
        panel : Panel
            The data.
        means : mapping of metric to period or (first, last)
            The mean over these periods.
        values : mapping of metric to period or (first, last)
            The value of each period, a column each.
        slopes : mapping of metric to (first, last)
            Least-squares slope over these periods, per period.
        columns : sequence of str
            Columns of ``panel.units``, such as "region".
        periods : {"all", "present"}
            Which periods a mean or slope needs: all of them, and it is missing where any is; or
            those that a unit has, at least one for a mean and two for a slope. Units then differ
            in what was measured, and the names of the columns end with "(periods present)".

        Raises
        ------
        PanelError
            If a metric or a period is unknown.
        DesignError
            If nothing is asked for or not by metric, a column is unknown, or a slope has fewer
            than two periods.

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
        if periods not in ("all", "present"):
            raise DesignError(
                needed="periods='all' or periods='present'",
                found=repr(periods),
                where=f"{_FROM}panel",
                todo="choose one",
            )
        columns = column_names(columns, "columns", f"{_FROM}panel")
        made: dict[str, Any] = {}
        until: dict[str, str] = {}
        gaps: dict[str, dict[str, str]] = {}
        levels: dict[str, tuple[str, ...]] = {}
        for what, asked in (("mean", means), ("value", values), ("slope", slopes)):
            for metric, window in _by_metric(asked, f"{what}s").items():
                at = _positions(panel, window)
                labels = [panel.periods[i] for i in at]
                kind = panel.metric(metric)
                cells = panel.cells(kind).value[:, at]
                span = labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"
                if what == "value":
                    for column, label in enumerate(labels):
                        name = f"{kind.name} {label}"
                        made[name], until[name] = cells[:, column], label
                        gaps[name] = _gaps(panel, cells[:, [column]], [label], need=1)
                        levels[name] = (kind.name, label)
                    continue
                if what == "slope" and len(at) < 2:
                    raise DesignError(
                        needed="at least two periods for a slope",
                        found=span,
                        where=f"Covariates.from_panel(slopes=), metric {kind.name!r}",
                        todo="write (first, last)",
                    )
                name = f"{kind.name} {what} {span}"
                name += " (periods present)" if periods == "present" else ""
                least = 1 if what == "mean" else 2
                need = len(at) if periods == "all" else least
                made[name] = _over(cells, slope=what == "slope", need=need)
                gaps[name] = _gaps(panel, cells, labels, need=need)
                if what == "mean":
                    levels[name] = (kind.name, *labels)
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
        return cls(table, until, source=", ".join(made), gaps=gaps, levels=levels)

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
        kinds = pd.api.types
        odd = [
            f"{name} ({made[name].dtype})"
            for name in wanted
            if kinds.is_datetime64_any_dtype(self.table[name])
            or kinds.is_timedelta64_dtype(self.table[name])
            or kinds.is_complex_dtype(self.table[name])
        ]
        if odd:
            raise DesignError(
                needed="covariates that are numbers",
                found=first_few(odd),
                where="Covariates",
                todo="write dates as numbers, for example years since",
            )
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

    def select(self, columns: Sequence[str] | str) -> Covariates:
        """Return some of the columns.

        Raises
        ------
        DesignError
            If one is unknown.
        """
        columns = column_names(columns, "columns", "Covariates.select")
        self._require(columns)
        if not columns:
            raise DesignError(
                needed="at least one covariate",
                found="none",
                where="Covariates.select",
                todo="choose from: " + ", ".join(self.columns),
            )
        until = {name: self.until[name] for name in columns if name in self.until}
        gaps = {name: self.gaps[name] for name in columns if name in self.gaps}
        levels = {name: self.levels[name] for name in columns if name in self.levels}
        return Covariates(self.table[list(columns)], until, self.source, gaps=gaps, levels=levels)

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
        gaps = {**self.gaps, **other.gaps}
        levels = {**self.levels, **other.levels}
        return Covariates(table, {**self.until, **other.until}, source, gaps=gaps, levels=levels)

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
        gaps = {
            name: {panel.canonical(unit): why for unit, why in of.items()}
            for name, of in self.gaps.items()
        }
        return Covariates(kept, self.until, self.source, gaps=gaps, levels=self.levels)

    def lacking(self, unit: str) -> str:
        """Say which covariates a unit lacks, and why where that is known.

        Examples
        --------
        >>> import pandas as pd
        >>> Covariates(pd.DataFrame({"imd": [20.1, None]}, index=["303", "304"])).lacking("304")
        '304: imd'
        """
        row = self.table.reindex([unit]).iloc[0]
        named = []
        for name in self.columns:
            if pd.isna(row[name]):
                why = self.gaps.get(name, {}).get(unit, "")
                named.append(f"{name} ({why})" if why else name)
        return f"{unit}: {', '.join(named)}"

    def unstated(self) -> tuple[str, ...]:
        """Name the columns of numbers whose periods are not stated."""
        return tuple(
            name
            for name in self.columns
            if name not in self.until and pd.api.types.is_numeric_dtype(self.table[name])
        )

    def check_before(self, panel: Panel, start: str, *, where: str) -> None:
        """Refuse columns that have seen a period from `start` on.

        Raises
        ------
        DesignError
            If there are any: what comes after the start may be an effect.
        """
        seen = late(panel, self.until, start)
        if seen:
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


def _is_blank(unit: object) -> bool:
    """Whether an id is missing: None, NaN, NA or empty text."""
    given: Any = unit
    return bool(not isinstance(given, tuple) and pd.isna(given)) or not str(given).strip()


def _refuse_infinite(table: pd.DataFrame) -> None:
    """Refuse infinite values, and name where they stand."""
    found = []
    for name in table.columns:
        if pd.api.types.is_float_dtype(table[name]) or table[name].dtype == object:
            has = [isinstance(x, float) and abs(x) > _LARGEST for x in table[name]]
            if any(has):
                found.append(f"{name}: {first_few(table.index[has])}")
    if found:
        raise DesignError(
            needed="finite values; a missing one may stay missing",
            found=f"infinite ones, or too large to be squared, in {first_few(found)}",
            where="Covariates",
            todo="mend them, or write NaN where there is none (a share of 0, for example)",
        )


def _by_metric(asked: object, argument: str) -> Mapping[str, Window]:
    """Return windows by metric; refuse anything that is no mapping."""
    if asked is None:
        return {}
    if not isinstance(asked, Mapping):
        raise DesignError(
            needed=f"{argument}= a mapping of metric to period or (first, last)",
            found=repr(asked),
            where=f"{_FROM}panel",
            todo=f"write {argument}={{'cin': (2013, 2014)}}",
        )
    return asked


def _gaps(panel: Panel, cells: Floats, labels: Sequence[str], *, need: int) -> dict[str, str]:
    """Say of each unit with fewer than `need` of these periods which it lacks."""
    there = np.isfinite(cells)
    return {
        unit: "no value in "
        + ", ".join(label for label, here in zip(labels, row, strict=True) if not here)
        for unit, row in zip(panel.unit_ids, there, strict=True)
        if row.sum() < need
    }


def _over(cells: Floats, *, slope: bool, need: int) -> Floats:
    """Return the mean, or the least-squares slope, of the cells that there are in each row.

    NaN for rows with fewer than `need`.
    """
    there = np.isfinite(cells)
    made = np.full(len(cells), np.nan)
    for row in np.flatnonzero(there.sum(axis=1) >= need):
        y, at = cells[row, there[row]], np.flatnonzero(there[row]).astype(float)
        if slope:
            at -= at.mean()
            made[row] = y @ at / (at @ at)
        else:
            made[row] = y.mean()
    return made
