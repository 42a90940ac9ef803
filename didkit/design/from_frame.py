"""From one long frame with a column of starts to a design: the door for who comes from R."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design.against import Against, Pool
from didkit.design.not_yet import NotYetTreated
from didkit.design.rollout import Rollout
from didkit.errors import DesignError, first_few, is_number, kind_of
from didkit.panel import Metric, Panel, unit_id

if TYPE_CHECKING:
    from didkit.design.design import Design

__all__ = ["from_frame", "never_in_words"]

_NEVER = "missing, 0 or infinite"


def from_frame(
    cls: type[Design],
    /,
    frame: Any,
    *,
    unit: str | None,
    period: str,
    start: str,
    metrics: Sequence[str] | Mapping[str, Metric | str],
    never: Sequence[object] = (),
    against: Against | None = None,
    selection: Any = None,
    clusters: str | None = None,
    attributes: Sequence[str] = (),
    **design: Any,
) -> Design:
    """Make a panel, a rollout and a design from one long frame.

    Parameters
    ----------
    frame : DataFrame
        One row a unit and period. Never changed.
    unit : str or None
        Column with the unit's id. None: repeated cross-sections, each row a unit of its own that
        is seen once; estimators that need a unit twice refuse, `GroupTime` and `DoublyRobust`
        with ``cells="observed"`` serve.
    period : str
        Column with the period: whole numbers or labels, in any order of rows.
    start : str
        Column with the first treated period of the row's unit. Missing (NaN, NaT, None), infinite
        or 0 means never treated; the notes say how many units by which. Where 0 is a period of
        the frame, say ``never=[0]`` if it means never.
    metrics : sequence of str, or mapping of str to Metric
        Columns with outcomes, covariates and weights.
    never : sequence, optional
        Further values of `start` that mean never treated (10000, "never").
    against : Against, optional
        By default `Pool` where some unit is never treated; where none is, say
        ``NotYetTreated()``.
    selection : str
        As for `Design`.
    clusters : str, optional
        Column with the cluster of each unit.
    attributes : sequence of str, optional
        Columns that describe the unit and do not change.
    **design
        ``treatment``, ``exclude`` and ``strata`` of `Design`.

    Raises
    ------
    DesignError
        A start that varies within a unit, is no period of the frame, or is the first period;
        nobody who starts; nobody who never starts, without ``against=``.
    PanelError
        As `Panel.from_frame`: an empty frame, two rows for one unit and period, text among
        numbers, a gap in the periods.

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Design
    >>> frame = pd.DataFrame(
    ...     [(u, t, g, u + t) for u, g in ((1, 2004), (2, 0), (3, 0)) for t in (2003, 2004)],
    ...     columns=["county", "year", "first", "y"],
    ... )
    >>> Design.from_frame(
    ...     frame, unit="county", period="year", start="first", metrics=["y"], selection="unknown"
    ... )
    Design(1 pilot, 2 comparators, 2003 to 2004; against every other authority)
    """
    _check(frame, unit=unit, period=period, start=start)
    metrics, never = _metrics(metrics), _listed(never)
    if (
        len(frame) >= _LARGE
        and isinstance(frame, pd.DataFrame)
        and unit is not None
        and selection is not None
        and not (attributes or design or isinstance(metrics, Mapping))
        and (against is None or against in (Pool(), NotYetTreated()))
        and (clusters is None or isinstance(clusters, str))
    ):
        from didkit.design.laid import laid_out

        quick = laid_out(
            frame,
            unit=unit,
            period=period,
            start=start,
            metrics=metrics,
            never=never,
            against=Pool() if against is None else against,
            clusters=clusters,
            slowly=lambda: _through_panel(
                cls,
                frame,
                unit,
                period,
                start,
                metrics,
                never,
                against,
                selection,
                clusters=clusters,
            ),
        )
        if quick is not None:
            return quick
    return _through_panel(
        cls,
        frame,
        unit,
        period,
        start,
        metrics,
        never,
        against,
        selection,
        clusters=clusters,
        attributes=attributes,
        **design,
    )


def _through_panel(
    cls: type[Design],
    frame: pd.DataFrame,
    unit: str | None,
    period: str,
    start: str,
    metrics: Sequence[str] | Mapping[str, Metric | str],
    never: Sequence[object],
    against: Against | None,
    selection: Any,
    *,
    clusters: str | None = None,
    attributes: Sequence[str] = (),
    **design: Any,
) -> Design:
    """Make the panel, then the rollout, then the design."""
    made = frame.reset_index(drop=True)
    if unit is None:
        made = made.assign(**{_ROW: np.arange(len(made))})
    id_column = _ROW if unit is None else unit
    whole = _whole(made[period])
    panel = Panel.from_frame(
        made if whole is None else made.assign(**{period: whole}),
        unit=id_column,
        period=period,
        metrics=metrics,
        attributes=[*attributes, *([clusters] if clusters and clusters not in attributes else [])],
        identity="any",
        calendar=_calendar(made[period] if whole is None else whole),
    )
    starts, said = _starts(made, id_column, start, never, panel)
    if not starts:
        raise DesignError(
            needed="at least one unit with a start",
            found=f"none: every {start!r} is {_NEVER}",
            where="Design.from_frame(start=)",
            todo="check the column",
        )
    if against is None and len(starts) == len(panel.unit_ids):
        raise DesignError(
            needed="a unit that never starts, or to be told that later starters serve",
            found=f"a start for each of the {len(starts)} units",
            where="Design.from_frame",
            todo="write against=NotYetTreated(): units then serve until they start",
        )
    done = cls(
        panel,
        Rollout(starts),
        against=Pool() if against is None else against,
        selection=selection,
        clusters=clusters,
        **design,
    )
    return cls._from(replace(done._spec, said=said))


_ROW = "row of the frame"
_LARGE = 20_000  #: rows from which a frame is laid out without making a panel first


def _whole(column: pd.Series) -> pd.Series | None:
    """Return periods that are whole numbers written as floats as integers."""
    if not pd.api.types.is_float_dtype(column) or not np.isfinite(column.to_numpy()).all():
        return None
    return column.astype(np.int64) if (column == column.round()).all() else None


def _calendar(column: pd.Series) -> Any:
    """Years are told from their labels; other whole numbers are periods in their own order."""
    if not pd.api.types.is_integer_dtype(column):
        return None
    seen = np.unique(column.to_numpy())
    if len(seen) and seen.min() >= 1900 and seen.max() <= 2100:
        return None
    if len(seen) and len(seen) != seen.max() - seen.min() + 1:
        gone = sorted(set(range(int(seen.min()), int(seen.max()))) - set(seen.tolist()))
        raise DesignError(
            needed="consecutive periods",
            found=f"no row in {first_few(gone)}",
            where="Design.from_frame(period=)",
            todo="number the periods without gaps, or put in rows without a value for them",
        )
    return [str(one) for one in seen.tolist()]


def _check(frame: Any, **columns: str | None) -> None:
    """Refuse what is no data frame, and columns that it does not have exactly once."""
    if not isinstance(frame, pd.DataFrame):
        raise DesignError(
            needed="a pandas DataFrame",
            found=type(frame).__name__,
            where="Design.from_frame",
            todo="make one, e.g. pandas.DataFrame(data)",
        )
    for argument, name in columns.items():
        count = sum(one == name for one in frame.columns.tolist())
        if name is not None and count != 1:
            raise DesignError(
                needed=f"{'a' if count == 0 else 'one'} column {name!r}",
                found=f"{'' if count == 0 else f'{count} of that name among '}"
                f"columns {first_few(frame.columns, 8)}",
                where=f"Design.from_frame({argument}=)",
                todo="name a column of the frame"
                if count == 0
                else "take out or rename all of them but one",
            )


def _metrics(given: Any) -> Any:
    """Return the names of the metrics' columns, or the mapping of column to metric as it is."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, Mapping):
        return given
    if not isinstance(given, Iterable):
        raise DesignError(
            needed="the names of the columns with numbers",
            found=f"{kind_of(given)}: {given!r}",
            where="Design.from_frame(metrics=)",
            todo='write metrics=["y"]',
        )
    return list(given)


def _listed(never: Any) -> list[object]:
    """Return the further values that mean never treated."""
    if isinstance(never, str) or not isinstance(never, Iterable):
        raise DesignError(
            needed="a list of the values that mean never treated",
            found=f"{kind_of(never)}: {never!r}",
            where="Design.from_frame(never=)",
            todo=f"write never=[{never!r}]",
        )
    return list(never)


def _why_never(column: pd.Series, never: Sequence[object]) -> NDArray[Any]:
    """Return, row by row, by which value a unit is never treated; "" where it has a start."""
    if not pd.api.types.is_numeric_dtype(column):
        number = column.astype(object).map(lambda one: one if is_number(one) else np.nan)
        number = number.astype(np.float64)
    else:
        number = column
    value = number.to_numpy(dtype=np.float64, na_value=np.nan)
    said = column.isin(list(never)).to_numpy(dtype=bool)
    why = np.where(said, [_label(raw) for raw in column.tolist()], "").astype(object)
    why[value == 0] = "0"
    why[np.isinf(value)] = "infinite"
    why[column.isna().to_numpy()] = "missing"
    return why


def never_in_words(start: str, kinds: Mapping[str, int], n_units: int) -> tuple[str, ...]:
    """Say how many units are never treated, by which value of the column of starts."""
    if not kinds:
        return ()
    by = ", ".join(f"{kind} ({count:,})" for kind, count in sorted(kinds.items()))
    return (f"{sum(kinds.values()):,} of {n_units:,} units are never treated: {start!r} is {by}",)


def _starts(
    frame: pd.DataFrame, unit: str, start: str, never: Sequence[object], panel: Panel
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return unit → label of its start, of units that start, and who never does in words."""
    column = frame[start]
    if pd.api.types.is_datetime64_any_dtype(column):
        raise DesignError(
            needed="starts as periods of the frame",
            found=f"dates, such as {column.dropna().iloc[0]:%Y-%m-%d}"
            if column.notna().any()
            else "dates, all of them missing",
            where=f"Design.from_frame, column {start!r}",
            todo="turn each date into the period in which the unit is first treated: which one a "
            "date belongs to is a decision that the data do not hold; a missing start stays "
            "missing and means never treated",
        )
    why = _why_never(column, never)
    if "0" in panel.periods and (why == "0").any() and not column.isin(list(never)).any():
        raise DesignError(
            needed="starts that mean one thing",
            found=f"0 in {int((why == '0').sum())} rows, which is a period of the frame and the "
            "usual sign of a unit that is never treated",
            where=f"Design.from_frame, column {start!r}",
            todo="write never=[0] if it means never treated; number the periods from 1 if units "
            "start in period 0",
        )
    given = pd.DataFrame(
        {
            "unit": [unit_id(u) for u in frame[unit].tolist()],
            "start": np.where(why != "", "", [_label(s) for s in column.tolist()]),
        }
    )
    kinds = Counter(why[(why != "") & ~given["unit"].duplicated().to_numpy()].tolist())
    given = given.drop_duplicates()
    twice = given.loc[given["unit"].duplicated(), "unit"]
    if len(twice):
        raise DesignError(
            needed="one start for each unit",
            found=f"several for {first_few(twice.drop_duplicates())}",
            where=f"Design.from_frame, column {start!r}",
            todo="a start is the first treated period of the unit, the same in all its rows; for "
            "units that leave the programme use Rollout(stops=)",
        )
    there = given[given["start"] != ""]
    labels = set(panel.periods)
    odd = there[~there["start"].isin(labels)]
    if len(odd):
        raise DesignError(
            needed=f"starts that are periods of the frame, {panel.periods[0]} to "
            f"{panel.periods[-1]}, or {_NEVER} for units never treated",
            found=f"{first_few(sorted(set(odd['start'])))} for {first_few(odd['unit'])}",
            where=f"Design.from_frame, column {start!r}",
            todo="name values that mean never treated: never=[…]; units treated before the frame "
            "begins, or in its first period, show no change and must be taken out",
        )
    starts = cast("dict[str, str]", dict(zip(there["unit"], there["start"], strict=True)))
    return starts, never_in_words(start, kinds, len(panel.unit_ids))


def _label(raw: object) -> str:
    """Write a start as the label of its period."""
    if isinstance(raw, float) and not np.isfinite(raw):
        return ""
    return unit_id(raw)
