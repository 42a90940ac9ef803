"""Balance: how alike pilots and comparators were before the start."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from didkit.design.alike import Standardise, alike, effective_size
from didkit.design.covariates import Covariates
from didkit.design.matched import Matched
from didkit.errors import DesignError, first_few, kind_of
from didkit.markup import items, more, number, page, paragraph, table

if TYPE_CHECKING:
    from didkit.design.design import Design

__all__ = ["Balance", "balance"]

Floats = NDArray[np.float64]
_SHOWN = 12  # rows in a summary and in a notebook
_NUMBERS = (
    "pilots",
    "comparators",
    "pool",
    "smd_before",
    "smd_after",
    "var_ratio_before",
    "var_ratio_after",
    "ess",
)
_READ = ["covariate", "pilots", "comparators", "pool", "smd_before", "smd_after", "smd_se"]


@dataclass(frozen=True, eq=False)
class Balance:
    """How alike pilots and comparators were before the start: measured, not judged.

    Parameters
    ----------
    design : Design
        Who is compared with whom.
    table : DataFrame
        One row a covariate: ``covariate, kind`` (level, last, slope, covariate), ``metric``
        ("" for a covariate), ``unit`` (what it is counted in), the means ``pilots,
        comparators`` (weighted), ``pool`` (every unit that is neither pilot nor left out by
        name), ``difference`` (pilots less comparators), ``smd_before`` (pilots less pool, in
        standard deviations), ``smd_after`` (pilots less comparators), ``smd_se`` (what chance
        alone gives smd_after, about), ``var_ratio_before, var_ratio_after`` (pilots' variance
        over the others'), ``n_pilots, n_comparators, n_pool`` (units with a value), ``ess``
        (for how many equally weighted units the comparators count).
    overlap : DataFrame
        One row a covariate: ``covariate, kind, pilots_min, pilots_max, comparators_min,
        comparators_p5, comparators_p95, comparators_max`` (of the comparators, each once),
        ``n_outside, outside``: pilots below or above all comparators, how many and their names.
    facts : mapping
        ``n_pilots, n_comparators, ess``, the largest standardised difference before and after
        (``largest_before, largest_after``, with its sign, and whose it is:
        ``largest_before_of, largest_after_of``) and the mean of their sizes
        (``mean_before, mean_after``).
    notes : tuple of str
        What a reader must know.
    standardise : str
        By whose standard deviation differences were divided: pilots, pooled or pool.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = design.balance(["cin", "cla"])
    >>> made.table["covariate"].tolist()[:3]
    ['cin mean 2013 to 2017', 'cin 2017', 'cin slope 2013 to 2017']
    """

    design: Design
    table: pd.DataFrame
    overlap: pd.DataFrame
    facts: Mapping[str, float | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    standardise: Standardise = "pilots"

    def tidy(self) -> pd.DataFrame:
        """Return the table (a copy), one row a covariate."""
        return self.table.copy()

    def summary(self) -> str:
        """Say how alike they were, as text: the covariates that differ most, and the notes."""
        shown = self._largest()
        left = len(self.table) - len(shown)
        lines = [
            f"Balance before the start · {self._who()}",
            self._in_words(),
            *self._outside(),
            "",
            _markdown(shown[_READ]),
            *([f"… {left} more rows in table"] if left else []),
            *(f"Note: {note}." for note in self.notes),
        ]
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """Write the whole table as Markdown."""
        return _markdown(self.table)

    def _who(self) -> str:
        facts = self.facts
        pilots, others = int(facts["n_pilots"]), int(facts["n_comparators"])
        least, most = int(self.table["n_pilots"].min()), int(self.table["n_pilots"].max())
        have = f"{least} to {most}" if least < most else f"{least}"
        some = f" ({have} of them with a value)" if least < pilots else ""
        return (
            f"{pilots} pilot{'s' if pilots != 1 else ''}{some}, {others} "
            f"comparator{'s' if others != 1 else ''} who count for {number(float(facts['ess']))}"
        )

    def _in_words(self) -> str:
        """Say the largest differences, before and after."""
        facts = self.facts
        if not facts["largest_before_of"]:
            return "No standardised difference exists; see the notes."
        after = (
            f"from their comparators {number(float(facts['largest_after']))} "
            f"({facts['largest_after_of']})"
            if facts["largest_after_of"]
            else "from their comparators there is none"
        )
        return (
            "Largest standardised difference of the pilots: from the pool "
            f"{number(float(facts['largest_before']))} ({facts['largest_before_of']}), {after}."
        )

    def _outside(self) -> list[str]:
        """Say which pilots lie below or above all comparators, and on what."""
        pilots = [self.design.panel.name_of(unit) for unit in self.design.pilots]
        found: dict[str, list[str]] = {}
        for name, who in zip(self.overlap["covariate"], self.overlap["outside"], strict=True):
            for pilot in pilots:
                if f", {pilot}, " in f", {who}, ":
                    found.setdefault(pilot, []).append(name)
        if not found:
            return []
        shown = [
            f"{who} ({', '.join(names[:3])}{', …' if names[3:] else ''})"
            for who, names in list(found.items())[:5]
        ]
        more_of = "; …" if len(found) > 5 else ""
        return [
            f"Outside all comparators on at least one row: {len(found)} of "
            f"{int(self.facts['n_pilots'])} pilots: {'; '.join(shown)}{more_of}."
        ]

    def _largest(self) -> pd.DataFrame:
        """Return the rows that differ most, before or after, in the order of the table."""
        size = self.table[["smd_before", "smd_after"]].abs().max(axis=1).fillna(-1.0)
        chosen = size.sort_values(ascending=False, kind="stable").index[:_SHOWN]
        return self.table.loc[sorted(chosen)]

    def __repr__(self) -> str:
        return f"Balance({len(self.table)} covariates; {self._who()})"

    def _repr_html_(self) -> str:
        shown = self._largest()[_READ]
        cells = _cells(shown)
        return page(
            paragraph(self._in_words()),
            *(paragraph(line) for line in self._outside()),
            table(
                _READ,
                cells,
                caption=f"Balance before the start · {self._who()}",
                numeric=range(1, len(_READ)),
                named=True,
            ),
            paragraph(more(len(self.table) - len(shown), "row")),
            items(self.notes),
        )


def balance(
    design: Design,
    metrics: Sequence[str] | None = None,
    *,
    covariates: Covariates | None = None,
    standardise: Standardise = "pilots",
) -> Balance:
    """Measure how alike pilots and comparators were before the first start.

    Parameters
    ----------
    design : Design
        Who is compared with whom.
    metrics : sequence of str, optional
        By default every metric of the panel with values before the start. Each gives its mean
        over the window's periods before the first start, its last value there, and its slope
        (least squares, per period). A period for which nobody has a value is left out.
    covariates : Covariates, optional
        Further columns; of a column of labels each level is one of 0 and 1. By default those
        that the design was matched on, if any.
    standardise : {"pilots", "pooled", "pool"}
        By whose standard deviation differences are divided: the pilots' (so do MatchIt's tables
        for the effect on the treated), the root of the mean variance of pilots and pool, or the
        pool's, which alone exists where there is one pilot. The same before and after.

    Returns
    -------
    Balance
        ``table``, ``overlap``, ``facts``, ``notes``; `didkit.plot.draw` draws it.

    Raises
    ------
    DesignError
        If an option is unknown, a metric asked for has no value before the start, a covariate
        has seen a period from the start on, or there is nothing to compare.
    PanelError
        If a metric is unknown.

    Notes
    -----
    A unit without one of a covariate's periods has no value of it: it is left out of that row,
    counted in its ``n_…`` columns and named in the notes; the weights of its set go to the
    others. With weighted comparators the variance is that of `didkit.design.alike.variance`.

    ``smd_se`` is ``sqrt(1/n_pilots + 1/ess)``: the standard error of a standardised difference
    between two groups drawn from the same units. Nine pilots differ by a third of a standard
    deviation from their like by chance alone. It takes no account of matching, which makes
    differences on what was matched smaller than chance would.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> made = design.balance(["cla"])
    >>> made.table[["kind", "n_pilots", "n_comparators"]].values.tolist()
    [['level', 10, 64], ['last', 10, 64], ['slope', 10, 64]]
    >>> bool((made.table["smd_se"].round(2) == 0.34).all())
    True
    """
    _check(design, metrics, covariates, standardise)
    notes: list[str] = []
    columns = _of_metrics(design, metrics, notes)
    given = covariates if covariates is not None else _matched_on(design)
    columns = [*columns, *_of_covariates(design, given, columns)]
    if not columns:
        raise DesignError(
            needed="at least one metric with values before the start, or a covariate",
            found="none",
            where="design.balance()",
            todo="widen periods=, or give covariates=",
        )
    measured = [_row(design, column, standardise) for column in columns]
    made = pd.DataFrame([one[0] for one in measured])
    overlap = pd.DataFrame([one[1] for one in measured])
    notes += _notes(design, columns, made, standardise)
    if covariates is None and given is not None:
        notes.append(
            f"the comparators were matched on {first_few(given.columns)}: on these, differences "
            "are small by construction"
        )
    return Balance(design, made, overlap, _facts(design, made), tuple(notes), standardise)


@dataclass(frozen=True, eq=False)
class _Column:
    """One covariate: a number for each unit of the panel, NaN where there is none."""

    name: str
    kind: str
    metric: str
    unit: str
    values: pd.Series


def _check(design: Design, metrics: object, covariates: object, standardise: object) -> None:
    """Refuse what is no list of metrics, no covariates, or no way to standardise."""
    if isinstance(metrics, str):
        raise DesignError(
            needed="a list of metrics",
            found=repr(metrics),
            where="design.balance(metrics)",
            todo=f"write [{metrics!r}]",
        )
    if covariates is not None and not isinstance(covariates, Covariates):
        raise DesignError(
            needed="Covariates",
            found=kind_of(covariates),
            where="design.balance(covariates=)",
            todo="use Covariates.from_frame or Covariates.from_panel",
        )
    if standardise not in get_args(Standardise):
        raise DesignError(
            needed="standardise= one of: " + ", ".join(get_args(Standardise)),
            found=repr(standardise),
            where="design.balance()",
            todo="choose one; 'pilots' is the usual one",
        )


def _before(design: Design) -> tuple[str, ...]:
    """Return the window's periods before the first start."""
    return design.periods[: min(design._starts.values())]


def _of_metrics(design: Design, metrics: Sequence[str] | None, notes: list[str]) -> list[_Column]:
    """Lay out mean, last value and slope of each metric before the start."""
    panel, before = design.panel, _before(design)
    at = np.array([panel.calendar.position(label) for label in before], dtype=np.intp)
    made: list[_Column] = []
    empty, short = [], []
    for name in panel.metrics if metrics is None else metrics:
        kind = panel.metric(name)
        cells = panel.cells(kind).value[:, at]
        seen = np.flatnonzero(np.isfinite(cells).any(axis=0))
        if not len(seen):
            empty.append(kind.name)
            continue
        cells, labels = cells[:, seen], [before[i] for i in seen]
        span = labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"
        centred = seen - seen.mean()
        parts = [
            (f"{kind.name} mean {span}", "level", kind.unit, cells.mean(axis=1)),
            (f"{kind.name} {labels[-1]}", "last", kind.unit, cells[:, -1]),
        ]
        if len(labels) > 1:
            slope = cells @ (centred / (centred**2).sum())
            parts.append(
                (f"{kind.name} slope {span}", "slope", f"{kind.unit} a period".strip(), slope)
            )
        else:
            short.append(kind.name)
        made += [
            _Column(title, what, kind.name, unit, pd.Series(x, index=list(panel.unit_ids)))
            for title, what, unit, x in parts
        ]
    if empty and metrics is not None:
        raise DesignError(
            needed=f"values before the first start ({before[0]} to {before[-1]})",
            found=f"none of {first_few(empty)}",
            where="design.balance(metrics)",
            todo="leave these metrics out, or widen periods=",
        )
    if empty:
        notes.append(f"no value before the first start of {first_few(empty)}")
    if short:
        notes.append(
            f"only one period with values before the first start of {first_few(short)}: no slope"
        )
    if len(set(design.starts.values())) > 1:
        notes.append(
            f"pilots start in different periods: before is before the first start (to {before[-1]})"
        )
    return made


def _matched_on(design: Design) -> Covariates | None:
    """Return the covariates that the design was matched on."""
    against = design.against
    return against.on.select(against.used()) if isinstance(against, Matched) else None


def _of_covariates(
    design: Design, given: Covariates | None, beside: Sequence[_Column]
) -> list[_Column]:
    """Lay out covariates; one that stands among the metrics' rows already is not repeated."""
    if given is None:
        return []
    panel = design.panel
    given = given.among(panel)
    first = design.periods[min(design._starts.values())]
    given.check_before(panel, first, where="design.balance(covariates=)")
    rows = given.table.reindex(list(panel.unit_ids))
    there = {column.name: column.values for column in beside}
    made: list[_Column] = []
    for name in given.columns:
        column = rows[name]
        if pd.api.types.is_numeric_dtype(column):
            values = pd.Series(
                column.to_numpy(dtype=float, na_value=np.nan), index=list(panel.unit_ids)
            )
            title = name
            if name in there:
                if np.allclose(values, there[name], equal_nan=True):
                    continue
                title = f"{name} (covariate)"
            made.append(_Column(title, "covariate", "", "", values))
            continue
        known = column.notna().to_numpy()
        for level in sorted(column[known].unique(), key=str):
            values = pd.Series(
                np.where(known, (column == level).to_numpy(dtype=bool, na_value=False), np.nan),
                index=list(panel.unit_ids),
            )
            made.append(_Column(f"{name}: {level}", "covariate", "", "share", values))
    return made


def _row(
    design: Design, column: _Column, standardise: Standardise
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compare the arms on one covariate: a row of the table, and one of the overlap."""
    value = column.values
    has = set(value.index[np.isfinite(value.to_numpy())])
    pilots = [unit for unit in design.pilots if unit in has]
    others = [unit for unit in design.comparators if unit in has]
    pool = [unit for unit in _pool(design) if unit in has]
    x, z = value.loc[pilots].to_numpy(), value.loc[others].to_numpy()
    weights = _weights(design, pilots, others)
    found = alike(x, value.loc[pool].to_numpy(), z, weights, standardise=standardise)
    n1, ess = len(pilots), found.ess
    row: dict[str, Any] = {
        "covariate": column.name,
        "kind": column.kind,
        "metric": column.metric,
        "unit": column.unit,
        **{name: getattr(found, name) for name in _NUMBERS[:3]},
        "difference": found.pilots - found.comparators,
        "smd_before": found.smd_before,
        "smd_after": found.smd_after,
        "smd_se": float(np.sqrt(1 / n1 + 1 / ess)) if n1 and ess else np.nan,
        "var_ratio_before": found.var_ratio_before,
        "var_ratio_after": found.var_ratio_after,
        "n_pilots": n1,
        "n_comparators": int((weights > 0).sum()),
        "n_pool": len(pool),
        "ess": ess,
    }
    z = z[weights > 0]
    low, p5, p95, high = (
        np.quantile(z, [0, 0.05, 0.95, 1]).tolist() if len(z) else [float("nan")] * 4
    )
    out = [unit for unit, v in zip(pilots, x, strict=True) if v < low or v > high]
    overlap: dict[str, Any] = {
        "covariate": column.name,
        "kind": column.kind,
        "pilots_min": float(x.min()) if n1 else np.nan,
        "pilots_max": float(x.max()) if n1 else np.nan,
        "comparators_min": low,
        "comparators_p5": p5,
        "comparators_p95": p95,
        "comparators_max": high,
        "n_outside": len(out),
        "outside": ", ".join(design.panel.name_of(unit) for unit in out),
    }
    return row, overlap


def _pool(design: Design) -> list[str]:
    """Return every unit that could have served: no pilot, not left out by name, not dropped."""
    out = set(design.pilots) | set(design._spec.exclude) | design._spec.barred
    return [unit for unit in design.panel.unit_ids if unit not in out]


def _weights(design: Design, pilots: Sequence[str], others: Sequence[str]) -> Floats:
    """Total weight of each comparator over these pilots, all of whom have a value.

    In a set the weight of who has no value goes to the others; a pilot of whose set nobody has
    a value gives no weight.
    """
    if design.sets is None:
        return np.full(len(others), 1 / max(len(others), 1))
    place = {unit: i for i, unit in enumerate(others)}
    made = np.zeros(len(others))
    for pilot in pilots:
        members = {u: w for u, w in design.sets[pilot].items() if u in place}
        total = sum(members.values())
        for unit, weight in members.items():
            made[place[unit]] += weight / total
    total = float(made.sum())
    return np.asarray(made / total if total > 0 else made)


def _facts(design: Design, made: pd.DataFrame) -> dict[str, float | str]:
    """Return the effective size, and the largest and the mean difference before and after."""
    facts: dict[str, float | str] = {
        "n_pilots": len(design.pilots),
        "n_comparators": len(design.comparators),
        "ess": effective_size(design.reuse()["weight"].to_numpy(dtype=float)),
    }
    for when in ("before", "after"):
        smd = made[f"smd_{when}"]
        size = smd.abs().round(12)  # ties by the order of the table
        none = bool(smd.isna().all())
        at = 0 if none else int(size.to_numpy(na_value=-1.0).argmax())
        facts[f"largest_{when}"] = float("nan") if none else float(smd.iloc[at])
        facts[f"largest_{when}_of"] = "" if none else str(made["covariate"].iloc[at])
        facts[f"mean_{when}"] = float(smd.abs().mean())
    return facts


def _notes(
    design: Design,
    columns: Sequence[_Column],
    made: pd.DataFrame,
    standardise: str,
) -> list[str]:
    """Say who lacks a value, what cannot be standardised, and what chance alone gives."""
    notes: list[str] = []
    if len(design.pilots) == 1 and standardise != "pool":
        notes.append(
            "one pilot has no standard deviation: no standardised difference; "
            "standardise='pool' divides by the pool's"
        )
    else:
        flat = made.loc[made["smd_after"].isna() & made["n_comparators"].gt(0), "covariate"]
        if len(flat):
            whose = {"pilots": "pilots are", "pool": "pool is"}.get(standardise, "groups are")
            notes.append(
                f"no standardised difference where the {whose} all alike: {first_few(flat)}"
            )
    notes += _missing(design, columns)
    if design._comparison.aggregate == "median":
        notes.append(
            "estimates use the median of each set; balance shows the mean of each set, "
            "all its members weighted alike"
        )
    n1, ess = len(design.pilots), effective_size(design.reuse()["weight"].to_numpy(dtype=float))
    notes.append(
        f"smd_se is what chance alone gives a standardised difference between {n1} and "
        f"{number(ess)} units drawn from the same ones, about {np.sqrt(1 / n1 + 1 / ess):.2f}"
    )
    return notes


def _missing(design: Design, columns: Sequence[_Column]) -> list[str]:
    """Say who has no value of which covariates: one note for all that the same units lack."""
    pilots, others, pool = set(design.pilots), set(design.comparators), set(_pool(design))
    found: dict[tuple[tuple[str, ...], int, int], list[str]] = {}
    unmatched: dict[tuple[str, ...], list[str]] = {}
    for column in columns:
        lacks = set(column.values.index[~np.isfinite(column.values.to_numpy())])
        without = tuple(sorted(lacks & pilots))
        if lacks & (pilots | others | pool):
            key = (without, len(lacks & others), len(lacks & pool))
            found.setdefault(key, []).append(column.name)
        alone = tuple(
            pilot
            for pilot, members in (design.sets or {}).items()
            if pilot not in lacks and not set(members) - lacks
        )
        if alone:
            unmatched.setdefault(alone, []).append(column.name)
    name = design.panel.name_of
    return [
        f"no value of {first_few(names)}: "
        + (f"pilots {first_few([name(u) for u in gone])}; " if gone else "")
        + f"{n_others} of the comparators, {n_pool} of the pool"
        for (gone, n_others, n_pool), names in found.items()
    ] + [
        f"no comparator of {first_few([name(u) for u in gone])} has a value of {first_few(names)}"
        for gone, names in unmatched.items()
    ]


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    """Every cell as text for readers."""
    return [
        [
            value
            if isinstance(value, str)
            else f"{int(value):,}"
            if str(column).startswith("n_")
            else number(float(value))
            for column, value in zip(frame.columns, row, strict=True)
        ]
        for row in frame.itertuples(index=False, name=None)
    ]


def _markdown(frame: pd.DataFrame) -> str:
    """Write a frame as a Markdown table; `results.tables` is a room above."""
    rows = [[str(c) for c in frame.columns], ["---"] * len(frame.columns), *_cells(frame)]
    return "\n".join(
        "| "
        + " | ".join(
            html.escape(cell, quote=False)
            .replace("\\", "\\\\")
            .replace("|", "\\|")
            .replace("\n", " ")
            for cell in row
        )
        + " |"
        for row in rows
    )
