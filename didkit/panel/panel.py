"""The panel: units × periods × metrics, every cell with a value, a status and bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from didkit.errors import PanelError
from didkit.panel.agreement import Releases, joined
from didkit.panel.breaks import recording_breaks
from didkit.panel.build import cells_from_long, cells_from_wide
from didkit.panel.calendar import Calendar, Gaps, Kind
from didkit.panel.comparison import compare
from didkit.panel.denominators import denominator_breaks
from didkit.panel.files import from_parquet, to_csv, to_excel, to_parquet
from didkit.panel.frames import Backend, arrow_stream, to_backend, to_pandas
from didkit.panel.gate import check_cells, check_units
from didkit.panel.geography import harmonise, merged
from didkit.panel.identity import Identity, nearest, unit_id
from didkit.panel.metric import Metric
from didkit.panel.rates import compute_rate
from didkit.panel.refilled import refilled
from didkit.panel.selection import select
from didkit.panel.source import Source
from didkit.panel.status import Cells
from didkit.panel.tables import LABELS, describe, missing, provenance, tidy, to_html

__all__ = ["Panel", "Source"]

_SHOWN = 8  # metrics in the short text
_E_CODE = re.compile(r"E[0-9]{8}", re.ASCII | re.IGNORECASE)
_LOG = ("what", "source", "rows")  # pandas hides the middle one where there is little room
What = Literal["value", "status", "lower", "upper"]


class Panel:
    """Units × periods × metrics, checked once: a panel that exists is valid.

    Made by `didkit.read_dfe`, `Panel.from_frame` or by joining two panels with ``|``.
    A panel never changes; every method that edits returns another.

    Parameters
    ----------
    units : DataFrame
        Indexed by unit id; columns ``name`` and any attributes (``region``).
    calendar : Calendar
        The declared periods, in order and without a gap.
    metrics : mapping of str to Metric
        The metrics held, by name.
    cells : mapping of str to Cells
        For every metric, arrays of units × periods.
    sources : mapping of str to tuple of Source
        For every metric, the files it came from.
    log : DataFrame, optional
        Rows of the sources by what became of them: ``what, source, rows``.
    identity : {"la_code", "any"}
        What the ids are.
    parts : mapping of str to sequence of str, optional
        For a unit that was merged, the codes it is made of; each of them finds it.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame(
    ...     {"la": [303, 303, 926, 926], "year": [2018, 2019] * 2, "cin": [310.0, 305.5, 280, 277]}
    ... )
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
    >>> panel.wide("cin").loc["303", "2019"].item()
    305.5
    """

    def __init__(
        self,
        *,
        units: pd.DataFrame,
        calendar: Calendar,
        metrics: Mapping[str, Metric],
        cells: Mapping[str, Cells],
        sources: Mapping[str, tuple[Source, ...]],
        log: pd.DataFrame | None = None,
        identity: Identity = "la_code",
        parts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._units = units
        self.calendar = calendar
        self.metrics: Mapping[str, Metric] = dict(metrics)
        self._cells = dict(cells)
        self.sources: Mapping[str, tuple[Source, ...]] = dict(sources)
        self._log = _no_log() if log is None else _in_order(log)
        self.identity: Identity = identity
        self._row = {code: i for i, code in enumerate(units.index)}
        self._names = [str(name) for name in units["name"]]
        self.parts: Mapping[str, tuple[str, ...]] = {
            code: tuple(members) for code, members in (parts or {}).items() if code in self._row
        }
        self._called = {part: code for code, members in self.parts.items() for part in members}
        check_units(units, identity)
        shape = (len(units), len(calendar))
        for name, cell in self._cells.items():
            check_cells(name, self.metrics[name], cell, shape, list(units.index), calendar)

    # -- made from a frame -----------------------------------------------------------------

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        unit: str,
        period: str,
        metrics: Sequence[str] | Mapping[str, Metric | str] | str,
        layout: Literal["wide", "long"] = "wide",
        value: str | None = None,
        exposure: str | None = None,
        status: Mapping[str, str] | str | None = None,
        lower: Mapping[str, str] | str | None = None,
        upper: Mapping[str, str] | str | None = None,
        name: str | None = None,
        attributes: Sequence[str] = (),
        release: str | None = None,
        identity: Identity = "la_code",
        calendar: Kind | Sequence[object] | None = None,
    ) -> Panel:
        """Make a panel from a data frame, or refuse and say what is wrong with it.

        Parameters
        ----------
        frame : DataFrame of pandas, polars or pyarrow, or DuckDB relation
            One row a unit and period (``layout="wide"``), or a unit, period and metric
            (``layout="long"``). Never changed. Of a lazy frame, a relation or a stream only the
            columns named here are read, once.
        unit, period : str
            Columns with the unit's id and the period's label.
        metrics : sequence or mapping of str, or str
            Wide: the columns that are metrics, or a mapping of column to `Metric` or to the name
            of one in the registry. Long: the column that names the metric. A name in the registry
            (`didkit.METRICS`) says what the numbers are: ``cla`` is a rate per 10,000 children,
            ``cla_count`` a number of them; any other name is a plain value without a unit.
        value : str, optional
            Long only: the column with the numbers.
        exposure : str, optional
            Column with the number of children; kept as metric ``population``.
        status, lower, upper : mapping or str, optional
            Columns with each cell's status and bounds: by metric when wide, one column when long.
        name : str, optional
            Column with the unit's name, for display.
        attributes : sequence of str, optional
            Columns that describe the unit and do not change over time (``"region"``).
        release : str, optional
            What to call the source. Default "data frame".
        identity : {"la_code", "any"}
            3-digit codes of English local authorities, or ids of any other kind. Totals among
            the units (England, a region: 970, 980 to 990, 999, E92…, E12…) are refused; regions
            alone may be units, with ``"any"``.
        calendar : str or sequence, optional
            What the labels mean. ``"year"``: calendar years (2018). ``"split year"``: two years
            in a row (2017-18, 2017/18, 201718). ``"reporting year"``: the year that ends on 31
            March, so that 2018 and 2017-18 are one period. ``"declared"``: any other labels, in
            the order in which they are found; a sequence gives the labels in order instead. By
            default ``"year"`` or ``"split year"``, told from the labels.

        Raises
        ------
        PanelError
            Missing columns, an empty frame, duplicate unit-period rows, ids that are names,
            totals among the units, a period that does not parse, a gap in the calendar, text or a
            suppression symbol in a number column, a status that contradicts its value, infinite
            or impossible negative numbers, bounds that do not hold the value.

        Examples
        --------
        >>> import pandas as pd
        >>> import didkit as dk
        >>> frame = pd.DataFrame(
        ...     {"code": [303, 303, 926, 926], "year": [2018, 2019] * 2, "rate": [61.0, 62, 80, 79]}
        ... )
        >>> dk.Panel.from_frame(frame, unit="code", period="year", metrics={"rate": "cla"})
        Panel(2 units × 2 periods (2018 to 2019); metrics: cla)
        """
        frame = to_pandas(
            frame,
            columns=(unit, period, metrics, value, exposure, name, attributes),
            by_metric=(status, lower, upper),
        )
        if layout == "wide":
            built = cells_from_wide(
                frame,
                unit=unit,
                period=period,
                metrics=metrics,
                exposure=exposure,
                status=status,
                lower=lower,
                upper=upper,
                name=name,
                attributes=attributes,
                identity=identity,
                calendar=calendar,
            )
        elif layout == "long":
            built = cells_from_long(
                frame,
                unit=unit,
                period=period,
                metrics=metrics,
                value=value,
                exposure=exposure,
                status=status,
                lower=lower,
                upper=upper,
                name=name,
                attributes=attributes,
                identity=identity,
                calendar=calendar,
            )
        else:
            raise PanelError(
                needed="layout='wide' or layout='long'",
                found=repr(layout),
                where="Panel.from_frame",
                todo="choose one",
            )
        source = Source(release or "data frame")
        log = pd.DataFrame(
            {"source": [source.release], "what": ["rows used"], "rows": [len(frame)]}
        )
        return cls(
            units=built.units,
            calendar=built.calendar,
            metrics=built.metrics,
            cells=built.cells,
            sources=dict.fromkeys(built.cells, (source,)),
            log=log,
            identity=identity,
        )

    # -- looked at ---------------------------------------------------------------------------

    @property
    def units(self) -> pd.DataFrame:
        """Units by id, with their name and attributes (a copy)."""
        return self._units.copy()

    @property
    def unit_ids(self) -> tuple[str, ...]:
        """Ids of the units, in order."""
        return tuple(self._units.index)

    @property
    def periods(self) -> tuple[str, ...]:
        """Labels of the periods, in order."""
        return self.calendar.labels

    @property
    def log(self) -> pd.DataFrame:
        """What became of the rows of each source: ``what, source, rows`` (a copy)."""
        return self._log.copy()

    def name_of(self, unit: object) -> str:
        """Return the name of a unit, or its id where it has none."""
        code = self.find(unit)
        return self._names[self._row[code]] or code

    def find(self, unit: object, *, where: str = "the panel") -> str:
        """Return the id of a unit, or refuse and suggest the nearest.

        Raises
        ------
        PanelError
            If the unit is not in the panel.
        """
        code = self.canonical(unit)
        if code not in self._row:
            todo = nearest(code, list(self._row), [str(n) for n in self._units["name"]])
            if self.identity == "la_code" and _E_CODE.fullmatch(code):
                todo = "use the 3-digit code, not the E-code"
            raise PanelError(
                needed="a unit of the panel, by its id", found=repr(unit), where=where, todo=todo
            )
        return code

    def canonical(self, unit: object) -> str:
        """Return the id under which a unit stands here: its own, or that of the unit it is part of.

        A unit that the panel does not have keeps its own id, as text.
        """
        code = unit_id(unit)
        return code if code in self._row else self._called.get(code, code)

    def __contains__(self, unit: object) -> bool:
        return self.canonical(unit) in self._row

    def metric(self, name: str | Metric) -> Metric:
        """Return a metric of the panel, or refuse and say which there are.

        Raises
        ------
        PanelError
            If the panel has no such metric.
        """
        key = name.name if isinstance(name, Metric) else name
        if key not in self.metrics:
            raise PanelError(
                needed="a metric of the panel",
                found=repr(key),
                where="the panel",
                todo="choose one of: " + ", ".join(self.metrics),
            )
        return self.metrics[key]

    def cells(self, metric: str | Metric) -> Cells:
        """Return the cells of one metric: arrays of units × periods, not to be written to."""
        return self._cells[self.metric(metric).name]

    def wide(self, metric: str | Metric, *, what: What = "value") -> pd.DataFrame:
        """Units × periods of one metric: its values, status, lower or upper bounds.

        Raises
        ------
        PanelError
            If the metric or `what` is unknown.
        """
        cells = self.cells(metric)
        if what not in ("value", "status", "lower", "upper"):
            raise PanelError(
                needed="what='value', 'status', 'lower' or 'upper'",
                found=repr(what),
                where="Panel.wide",
                todo="choose one",
            )
        data: np.ndarray = getattr(cells, what)
        if what == "status":
            data = LABELS[data]
        return pd.DataFrame(
            data.copy(),
            index=pd.Index(self.unit_ids, name="unit"),
            columns=pd.Index(self.periods, name="period"),
        )

    def tidy(self, *, backend: Backend = "pandas", connection: Any = None) -> Any:
        """One row a unit, period and metric, for every cell that a source has a row for.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow", "duckdb"}
            Whose frame to return. Other than in pandas, a missing value is a null.
        connection : duckdb.DuckDBPyConnection, optional
            For ``"duckdb"``: where the relation shall belong. By default a connection of its own,
            in memory, which lives as long as the relation.

        Returns
        -------
        DataFrame, pyarrow Table or DuckDB relation
            ``unit, name, period, metric, value, status, lower, upper, release``, then attributes;
            one that is called like a column before it stands in `units` only.

        Raises
        ------
        PanelError
            If the library is unknown or not installed (extra ``frames``; pyarrow alone is
            ``parquet``), or a connection is given for another.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"la": ["303"] * 2, "year": [2018, 2019], "cin": [310.0, None]})
        >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin"])
        >>> panel.tidy(backend="polars")["value"].to_list()
        [310.0, None]
        """
        return to_backend(tidy(self), backend, connection=connection)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand `tidy` to any library that takes Arrow: ``polars.DataFrame(panel)``.

        Needs pyarrow (extra ``parquet``). ``pyarrow.table(panel)`` and DuckDB take it too.
        """
        return arrow_stream(tidy(self), requested_schema)

    def describe(self) -> pd.DataFrame:
        """One row a metric: what it is, cells by status, level and spread, where it came from.

        Returns
        -------
        DataFrame
            ``metric, label, unit, timing, derivation, release, units, first, last``, the number
            of cells of each status, and ``mean``, ``sd_between`` (of the units' means) and
            ``sd_within`` (after unit means) of the values, in the metric's unit.
        """
        return describe(self)

    def missing(self) -> pd.DataFrame:
        """One row for each cell without a value: ``metric, unit, name, period, status, lower,
        upper``. Cells that no source has a row for are included, with status ``absent``.
        """  # noqa: D205
        return missing(self)

    def provenance(self) -> pd.DataFrame:
        """One row a metric and source file: release, table, file, SHA-256, note, derivation."""
        return provenance(self)

    def __repr__(self) -> str:
        names = list(self.metrics)
        shown = ", ".join(names[:_SHOWN])
        if len(names) > _SHOWN:
            shown += f", … {len(names) - _SHOWN} more"
        return (
            f"Panel({len(self._units)} units × {len(self.calendar)} periods "
            f"({self.calendar.span}); metrics: {shown})"
        )

    def _repr_html_(self) -> str:
        return to_html(self)

    # -- functions of the room that are methods here: each module says what its own does ------

    compare = compare
    denominator_breaks = denominator_breaks
    recording_breaks = recording_breaks
    select = select
    harmonise = harmonise
    merged = merged
    compute_rate = compute_rate
    refilled = refilled
    to_parquet = to_parquet
    from_parquet = staticmethod(from_parquet)
    to_csv = to_csv
    to_excel = to_excel

    # -- edited ------------------------------------------------------------------------------

    def replaced(
        self,
        *,
        units: pd.DataFrame | None = None,
        calendar: Calendar | None = None,
        metrics: Mapping[str, Metric] | None = None,
        cells: Mapping[str, Cells] | None = None,
        sources: Mapping[str, tuple[Source, ...]] | None = None,
        log: pd.DataFrame | None = None,
        parts: Mapping[str, Sequence[str]] | None = None,
    ) -> Panel:
        """Return a panel of which some components are others; what is not given stays."""
        return Panel(
            units=self._units if units is None else units,
            calendar=self.calendar if calendar is None else calendar,
            metrics=self.metrics if metrics is None else metrics,
            cells=self._cells if cells is None else cells,
            sources=self.sources if sources is None else sources,
            log=self._log if log is None else log,
            identity=self.identity,
            parts=self.parts if parts is None else parts,
        )

    def __or__(self, other: Panel) -> Panel:
        """Join two panels that are disjoint or agree; see `join` for what is refused."""
        return self.join(other)

    def join(self, other: Panel, *, releases: Releases = "same", gaps: Gaps = "refuse") -> Panel:
        """Join two panels.

        Parameters
        ----------
        other : Panel
            Cells that both hold must agree.
        releases : {"same", "mixed"}
            ``"same"`` refuses one metric from two releases, since published counts are revised.
            ``"mixed"`` asks for it by name; the releases stay in the provenance.
        gaps : {"refuse", "not available"}
            What to do about periods between the two that neither has. ``"not available"`` lets
            them stand in the calendar without a value: no source has a row for them, so their
            cells are ``absent``, and the log names them.

        Returns
        -------
        Panel
            With the units, periods and metrics of both.

        Raises
        ------
        PanelError
            If ids or calendars are of different kinds, two releases of one metric meet without
            ``releases="mixed"``, periods between the two are in neither, or cells disagree.

        Examples
        --------
        >>> import pandas as pd
        >>> one, other = (
        ...     Panel.from_frame(
        ...         pd.DataFrame({"la": [303, 926], "year": year, "cin": [310.0, 280]}),
        ...         unit="la",
        ...         period="year",
        ...         metrics=["cin"],
        ...     )
        ...     for year in (2012, 2014)
        ... )
        >>> one.join(other, gaps="not available").wide("cin").loc["926"].tolist()
        [280.0, nan, 280.0]
        """
        return joined(self, other, releases=releases, gaps=gaps)

    def spread(self, key: str, ids: Sequence[str], calendar: Calendar) -> Cells:
        """Lay the cells of a metric out over other units and periods."""
        rows = np.array([self._row.get(code, -1) for code in ids], dtype=np.intp)
        place = {label: i for i, label in enumerate(self.periods)}
        cols = np.array([place.get(label, -1) for label in calendar.labels], dtype=np.intp)
        return self._cells[key].take(rows, cols)


def _in_order(log: pd.DataFrame) -> pd.DataFrame:
    first = [column for column in _LOG if column in log.columns]
    return log[first + [column for column in log.columns if column not in _LOG]]


def _no_log() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "what": pd.Series(dtype=str),
            "source": pd.Series(dtype=str),
            "rows": pd.Series(dtype="int64"),
        }
    )
