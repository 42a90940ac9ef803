"""Write a synthetic evaluation as the files that a department would have published.

The tables have the columns, symbols, roundings and order of rows of the release of 2020 (children
in need) and of 2021 (children looked after). Columns that the evaluation does not draw (episodes
that started, assessments, section 47 enquiries) are made up from those that it does, so that the
accounts close: at the end of a year = a year before + started − ended, and at any point = at the
end + ended.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from didkit.simulate.evaluation import SyntheticEvaluation
from didkit.simulate.process import METRICS

__all__ = ["write_published"]

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Texts: TypeAlias = NDArray[np.object_]
Order: TypeAlias = Literal["name", "e_code"]

_HEAD = (
    "time_period", "time_identifier", "geographic_level", "country_code", "country_name",
    "region_code", "region_name",
)  # fmt: skip
_WHO = {
    "cin": ("old_la_code", "new_la_code", "la_name"),
    "cla": ("old_la_code", "la_name", "new_la_code"),
}
_COUNTRY = ("E92000001", "England")
# shares of assessments by working days, and the days that bound them
_ASSESSMENT_SHARES = (0.022, 0.117, 0.168, 0.169, 0.200, 0.163, 0.057, 0.047, 0.057)
_ASSESSMENT_DAYS = (-1, 0, 10, 20, 30, 40, 45, 50, 60, 110)
_CONFERENCE_SHARES = (0.13, 0.65, 0.09, 0.13)
_CONFERENCE_DAYS = (-1, 10, 15, 20, 60)


def write_published(
    evaluation: SyntheticEvaluation, folder: str | PathLike[str], *, flows: bool = False
) -> tuple[Path, ...]:
    """Write an evaluation's tables in the published formats, the same bytes on every system.

    Parameters
    ----------
    evaluation : SyntheticEvaluation
        What to publish.
    folder : path
        Where to; made if it is not there. Files of the same names are replaced.
    flows : bool, default False
        Whether the table of children looked after also has rows of those who started and ceased
        to be, as the published one has. The packaged copy does without, to stay small.

    Returns
    -------
    tuple of Path
        The files: ``cin/`` (b1, c1, c2, c4, d1 and the population), ``cla/``, ``neighbours/``,
        ``pilots.csv`` and ``README.txt``.

    Notes
    -----
    National and regional counts are sums over all their authorities, also those whose own number
    is withheld or not available, rounded to 10; their rates are of the sums before rounding.

    Examples
    --------
    >>> import tempfile
    >>> from didkit.simulate import EvaluationProcess, draw
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_published(draw(EvaluationProcess(), seed=1), folder)
    >>> len(files)
    10
    """
    root = Path(folder)
    made = _Derived(evaluation)
    first, last = evaluation.periods[0], evaluation.periods[-1]
    span = f"{first}_to_{last}"
    cin = "children_in_need"
    files = {
        f"cin/b1_{cin}_{span}.csv": _wide(
            evaluation, "category", "Children in Need", made.children_in_need(), bom=True
        ),
        f"cin/c1_{cin}_referrals_and_rereferrals_{span}.csv": _wide(
            evaluation, "Category", "Referrals and Re-referrals", made.referrals()
        ),
        f"cin/c2_{cin}_assessments_duration_{first + 1}_to_{last}.csv": _wide(
            evaluation, "category", "Duration of assessment", made.assessments(), skip=1
        ),
        f"cin/c4_{cin}_section_47s_and_icpcs_{span}.csv": _wide(
            evaluation,
            "Category",
            "Section 47s and Initial Child Protection Conferences",
            made.conferences(),
        ),
        f"cin/d1_child_protection_plans_{span}.csv": _wide(
            evaluation, "Category", "Child Protection Plans", made.plans()
        ),
        "cin/ons_mid-year_population_estimates.csv": _wide(
            evaluation,
            "age_group",
            "Children aged 0 to 17 years",
            [_Count("population_estimate", evaluation.population)],
            earlier=1,
            bom=True,
        ),
        "cla/cla_number_and_rate_per_10k_children.csv": _long(
            evaluation, made.looked_after() if flows else made.looked_after()[1:2]
        ),
        "neighbours/statistical_neighbours.csv": _neighbours(evaluation),
        "pilots.csv": _pilots(evaluation),
        "README.txt": _readme(evaluation),
    }
    written = []
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))
        written.append(path)
    return tuple(written)


# --- columns: what stands in a cell of an authority, and of an area ------------------------------


@dataclass(frozen=True)
class _Count:
    """Whole numbers; withheld ones and those with a symbol are said in `symbols`."""

    name: str
    values: Array
    symbols: Texts | None = None

    def cells(self) -> Texts:
        """Text of every authority and year."""
        shown = np.array([f"{value:.0f}" for value in self.values.ravel()], dtype=object)
        return _with_symbols(shown.reshape(self.values.shape), self.symbols)

    def area(self, members: NDArray[np.intp], year: int) -> str:
        """Text of a region or the country."""
        return str(10 * int(np.floor(np.nansum(self.values[members, year]) / 10 + 0.5)))


@dataclass(frozen=True)
class _Ratio:
    """A count over another, times 10,000 or 100, rounded; withheld where the count is."""

    name: str
    over: _Count
    base: Array
    times: float
    decimals: int = 1

    def cells(self) -> Texts:
        """Text of every authority and year."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = self.over.values / self.base * self.times
        shown = np.array([self._text(value) for value in ratio.ravel()], dtype=object)
        return _with_symbols(shown.reshape(ratio.shape), self.over.symbols)

    def area(self, members: NDArray[np.intp], year: int) -> str:
        """Text of a region or the country."""
        over = np.nansum(self.over.values[members, year])
        base = np.nansum(self.base[members, year])
        return self._text(over / base * self.times if base else np.nan)

    def _text(self, value: float) -> str:
        if not np.isfinite(value):
            return "z"
        return f"{np.round(value, self.decimals):.{self.decimals}f}".removesuffix(".0")


@dataclass(frozen=True)
class _Days:
    """A quantile of durations that are known by class."""

    name: str
    classes: Sequence[Array]
    bounds: tuple[int, ...]
    at: float
    symbols: Texts | None = None

    def cells(self) -> Texts:
        """Text of every authority and year."""
        stack = np.stack(list(self.classes), axis=-1)
        shown = np.array(
            [self._text(one) for one in stack.reshape(-1, stack.shape[-1])], dtype=object
        )
        return _with_symbols(shown.reshape(stack.shape[:-1]), self.symbols)

    def area(self, members: NDArray[np.intp], year: int) -> str:
        """Text of a region or the country."""
        return self._text(np.array([np.nansum(one[members, year]) for one in self.classes]))

    def _text(self, numbers: Array) -> str:
        total = np.nansum(numbers)
        if not total > 0:
            return "z"
        below = np.concatenate([[0.0], np.cumsum(numbers)]) / total
        day = int(np.interp(self.at, below, np.array(self.bounds, dtype=float)) + 0.5)
        return str(max(day, 0))


_Column: TypeAlias = _Count | _Ratio | _Days


def _with_symbols(shown: Texts, symbols: Texts | None) -> Texts:
    if symbols is None:
        return shown
    cells: Texts = np.where(symbols != "", symbols, shown)
    return cells


class _Derived:
    """Columns of each table: those that were drawn, and what is made up around them."""

    def __init__(self, evaluation: SyntheticEvaluation) -> None:
        self.evaluation = evaluation
        self.random = np.random.default_rng([evaluation.seed, 5])
        self.shape = evaluation.population.shape
        self.exists = np.isfinite(evaluation.population)
        self.recorded = evaluation.recorded
        self.suppress = evaluation.process.suppression
        self.ended, self.started = self._flows("cin", 0.80, 1.05)
        share = self._share(0.28, 0.05)
        none = self._share(0.06, 0.03)
        total = np.rint(self.started / (1 - share - none))
        self.not_in_need = np.rint(share * total)
        self.no_action = np.rint(none * total)
        self.referred = self.started + self.not_in_need + self.no_action

    # the tables

    def children_in_need(self) -> list[_Column]:
        """b1: at any point, started, ended, at 31 March, awaiting assessment."""
        at_end = self.recorded["cin"]
        anyone = at_end + self.ended
        once = np.maximum(np.rint(anyone * self._share(0.93, 0.01)), at_end)
        waiting = np.rint(at_end * self._share(0.05, 0.03))
        numbers = {
            "Anypoint_episodes": anyone,
            "Anypoint_child": once,
            "Started_episodes": self.started,
            "Started_child": np.rint(self.started * self._share(0.935, 0.01)),
            "Ended_episodes": self.ended,
            "Ended_child": np.rint(self.ended * self._share(0.945, 0.01)),
            "At31_episodes": at_end,
            "Awaiting_assessment": waiting,
        }
        gone = self._gone("cin")
        hidden = {name: self._small(values) for name, values in numbers.items()}
        hidden["At31_episodes"] = self.evaluation.suppressed["cin"]
        return self._rates(numbers, hidden, gone)

    def referrals(self) -> list[_Column]:
        """c1: referrals, re-referrals, and what came of them."""
        again = np.rint(self.referred * self._share(0.22, 0.10, waver=0.3))
        children = np.rint(self.referred * self._share(0.885, 0.01))
        again_children = np.minimum(np.rint(again * self._share(0.84, 0.02)), children)
        gone = self._gone("cin")
        for unit in self.evaluation.pilots:  # this table writes a pilot's missing year otherwise
            row = self.evaluation.units.index(unit)
            gone[row] = np.where(gone[row] == ":", "..", gone[row])
        before = np.concatenate([np.full((len(gone), 1), "", object), gone[:, :-1]], axis=1)
        unknown = np.where(gone == "", before, gone)  # nor who came back, in the year after
        columns: list[_Column] = []
        for name, values, base, rate in (
            ("Referrals", self.referred, None, "Referrals_rate"),
            ("Re_referrals", again, self.referred, "Re_referrals_percent"),
            ("No_Further_Action", self.no_action, self.referred, "No_Further_Action_percent"),
            ("Not_in_Need", self.not_in_need, self.referred, "Not_in_Need_percent"),
            ("Referrals_child", children, None, "Referrals_child_rate"),
            ("Re_referrals_child", again_children, children, "Re_referrals_child_percent"),
        ):
            one = unknown if name.startswith("Re_") else gone
            count = _Count(name, values, self._symbols(self._small(values), one))
            population = self.evaluation.population
            columns += [
                count,
                _Ratio(rate, count, population, 10_000)
                if base is None
                else _Ratio(rate, count, base, 100),
            ]
        return columns

    def assessments(self) -> list[_Column]:
        """c2: assessments by how long they took."""
        total = np.rint((self.referred - self.no_action) * self._share(1.10, 0.05))
        classes = self._classes(total, _ASSESSMENT_SHARES, 30.0)
        names = ("Same_day", "1-10_days", "11-20_days", "21-30_days", "31-40_days",
                 "41-45_days", "46-50_days", "51-60_days", "61+_days")  # fmt: skip
        return self._durations(
            {"Assessments_completed": total},
            dict(zip(names, classes, strict=True)),
            _ASSESSMENT_DAYS,
            ("25th_Percentile_days", "Median_days", "75th_Percentile_days"),
            self._gone("cin"),
        )

    def conferences(self) -> list[_Column]:
        """c4: section 47 enquiries, conferences, and the days between."""
        held = self.recorded["icpc"]
        enquiries = np.rint(held * self._share(2.6, 0.3))
        numbers = {
            "Section47": enquiries,
            "Section47_child": np.rint(enquiries * self._share(0.885, 0.01)),
            "ICPC": held,
            "ICPC_child": np.rint(held * self._share(0.985, 0.004)),
        }
        classes = self._classes(held, _CONFERENCE_SHARES, 15.0)
        names = ("Duration_0-10_days", "Duration_11-15_days", "Duration_16-20_days",
                 "Duration_21+_days")  # fmt: skip
        return self._durations(
            numbers,
            dict(zip(names, classes, strict=True)),
            _CONFERENCE_DAYS,
            ("Duration_25th_Percentile", "Duration_Median", "Duration_75th_Percentile"),
            self._gone("icpc"),
            {"ICPC": self.evaluation.suppressed["icpc"]},
        )

    def plans(self) -> list[_Column]:
        """d1: plans that started and ended, at any point, at 31 March."""
        at_end = self.recorded["cpp"]
        before = self._before(at_end)
        start = np.maximum(np.rint(self.recorded["icpc"] * self._share(0.86, 0.02)), 0)
        start = np.maximum(start, at_end - before)
        end = before + start - at_end
        numbers = {
            "CPP_start": start,
            "CPP_child_start": np.rint(start * self._share(0.995, 0.003)),
            "CPP_end": end,
            "CPP_child_end": np.rint(end * self._share(0.995, 0.003)),
            "CPP_anypoint": at_end + end,
            "CPP_child_anypoint": np.maximum(
                np.rint((at_end + end) * self._share(0.988, 0.005)), at_end
            ),
            "CPP_At31": at_end,
        }
        hidden = {name: self._small(values) for name, values in numbers.items()}
        hidden["CPP_At31"] = self.evaluation.suppressed["cpp"]
        return self._rates(numbers, hidden, self._gone("cpp"))

    def looked_after(self) -> list[tuple[str, _Count, _Ratio]]:
        """Children looked after: who ceased, who was there, who started."""
        at_end = self.recorded["cla"]
        before = self._before(at_end)
        start = np.maximum(np.rint(at_end * self._share(0.40, 0.05)), at_end - before)
        cease = before + start - at_end
        hidden = {"cease": self._small(cease), "start": self._small(start)}
        gone = np.where(self.exists, "", "z").astype(object)
        found = []
        for kind, values, mask in (
            ("Children ceasing to be looked after each year", cease, hidden["cease"]),
            (
                "Children looked after at 31 March each year",
                at_end,
                self.evaluation.suppressed["cla"],
            ),
            ("Children starting to be looked after each year", start, hidden["start"]),
        ):
            count = _Count("number", values, self._symbols(mask, gone))
            ratio = _Ratio("rate_per_10000", count, self.evaluation.population, 10_000, 0)
            found.append((kind, count, ratio))
        return found

    # their pieces

    def _share(self, mean: float, spread: float, *, waver: float = 0.2) -> Array:
        """Draw a share that differs by authority and wavers by year, alike in all of them."""
        rows, years = self.shape
        place = np.clip(self.random.standard_normal((rows, 1)), -1.8, 1.8)
        year = np.clip(self.random.standard_normal((rows, years)), -1.8, 1.8)
        share: Array = mean + spread * (0.45 * place + waver * year)
        return share

    def _before(self, stock: Array) -> Array:
        """Return the stock a year before; a merged authority's is that of those it came from."""
        before = np.concatenate([stock[:, :1], stock[:, :-1]], axis=1)
        if self.evaluation.process.reorganisation:
            new = ~np.isfinite(before) & self.exists
            ended = np.isfinite(before) & ~self.exists
            before[new] = before[ended].sum()
        return np.where(self.exists, before, np.nan)

    def _flows(self, metric: str, low: float, high: float) -> tuple[Array, Array]:
        """Who ended and who started in a year, so that the stocks at its two ends agree."""
        stock = self.recorded[metric]
        before = self._before(stock)
        rate = np.clip(self._share((low + high) / 2, (high - low) / 2), low, high)
        ended = np.maximum(np.rint(before * rate), before - stock)
        return ended, stock - before + ended

    def _classes(self, total: Array, shares: Sequence[float], alike: float) -> list[Array]:
        """Split totals into classes; every authority has its own shares."""
        weight = self.random.standard_gamma(alike * np.array(shares), (len(total), len(shares)))
        drift = np.exp(0.2 * self.random.standard_normal((*self.shape, len(shares))))
        chance = weight[:, None, :] * drift
        chance /= chance.sum(axis=-1, keepdims=True)
        split = self.random.multinomial(np.nan_to_num(total).astype(np.int64), chance)
        return [np.where(self.exists, split[..., k], np.nan) for k in range(len(shares))]

    def _small(self, values: Array) -> Mask:
        """Find counts of 1 to 5, if any are withheld at all."""
        return (values >= 1) & (values <= 5) & self.suppress

    def _gone(self, metric: str) -> Texts:
        """Put a colon where an authority handed nothing in."""
        gone = self.exists & ~np.isfinite(self.evaluation.counts[metric])
        return np.where(gone, ":", "").astype(object)

    def _symbols(self, hidden: Mask, gone: Texts) -> Texts:
        symbols: Texts = np.where(gone != "", gone, np.where(hidden, "c", "")).astype(object)
        return symbols

    def _rates(
        self, numbers: dict[str, Array], hidden: dict[str, Mask], gone: Texts
    ) -> list[_Column]:
        """Each count, and its rate beside it."""
        columns: list[_Column] = []
        for name, values in numbers.items():
            count = _Count(name, values, self._symbols(hidden[name], gone))
            columns += [count, _Ratio(f"{name}_rate", count, self.evaluation.population, 10_000)]
        return columns

    def _durations(
        self,
        numbers: dict[str, Array],
        classes: dict[str, Array],
        bounds: tuple[int, ...],
        quantiles: tuple[str, str, str],
        gone: Texts,
        known: dict[str, Mask] | None = None,
    ) -> list[_Column]:
        """Lay out counts and rates, then their split by days (not applicable where none)."""
        hidden = {name: self._small(values) for name, values in numbers.items()} | (known or {})
        columns = self._rates(numbers, hidden, gone)
        split = np.stack(list(classes.values()), axis=-1)
        small = self._small(split) if self.suppress else np.zeros(split.shape, dtype=bool)
        if self.suppress:  # one class alone would follow from the total: hide the next smallest too
            alone = (small.sum(axis=-1) == 1)[..., None]
            rest = np.where(small | ~(split > 0), np.inf, split)
            least = np.arange(split.shape[-1]) == rest.argmin(axis=-1)[..., None]
            small = small | (alone & least & np.isfinite(rest))
        nobody = np.where((gone == "") & (split.sum(axis=-1) == 0), "z", gone).astype(object)
        for k, (name, values) in enumerate(classes.items()):
            columns.append(_Count(name, values, self._symbols(small[..., k], nobody)))
        for name, at in zip(quantiles, (0.25, 0.5, 0.75), strict=True):
            columns.append(_Days(name, list(classes.values()), bounds, at, nobody))
        return columns


# --- tables ---------------------------------------------------------------------------------------


def _areas(evaluation: SyntheticEvaluation) -> list[tuple[str, str, str, NDArray[np.intp]]]:
    """Level, region code, region name and members of the country and its regions."""
    regions = np.asarray(evaluation.region_codes)
    found = [("National", "", "", np.arange(len(regions)))]
    called = dict(zip(evaluation.region_codes, evaluation.region_names, strict=True))
    for code in sorted(called):
        found.append(("Regional", code, called[code], np.flatnonzero(regions == code)))
    return found


def _ordered(evaluation: SyntheticEvaluation, by: Order) -> list[int]:
    """Positions of the authorities by region, then name or E-code."""
    second = evaluation.names if by == "name" else evaluation.e_codes
    return sorted(range(len(second)), key=lambda i: (evaluation.region_codes[i], second[i]))


def _text(rows: Sequence[Sequence[object]], *, bom: bool = False) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return ("\ufeff" if bom else "") + buffer.getvalue()


def _wide(
    evaluation: SyntheticEvaluation,
    filter_name: str,
    filter_value: str,
    columns: Sequence[_Column],
    *,
    skip: int = 0,
    earlier: int = 0,
    bom: bool = False,
) -> str:
    """One row a place and year, newest year first: the format of children in need."""
    rows: list[Sequence[object]] = [
        (*_HEAD, *_WHO["cin"], filter_name, *(column.name for column in columns))
    ]
    cells = [column.cells() for column in columns]
    exists = np.isfinite(evaluation.population)
    areas, order = _areas(evaluation), _ordered(evaluation, "name")
    for year in range(len(evaluation.periods) - 1, skip - 1, -1):
        label = evaluation.periods[year] - earlier
        for level, code, name, members in areas:
            head = (label, "Reporting year", level, *_COUNTRY, code, name, "", "", "", filter_value)
            rows.append((*head, *(column.area(members, year) for column in columns)))
        for i in order:
            if exists[i, year]:
                rows.append(
                    (label, "Reporting year", "Local authority", *_COUNTRY,
                     evaluation.region_codes[i], evaluation.region_names[i],
                     evaluation.units[i], evaluation.e_codes[i],
                     evaluation.names[i].replace(",", ""), filter_value,
                     *(cell[i, year] for cell in cells))
                )  # fmt: skip
    return _text(rows, bom=bom)


def _long(evaluation: SyntheticEvaluation, kinds: Sequence[tuple[str, _Count, _Ratio]]) -> str:
    """One row a place, year and kind, every place in every year: children looked after."""
    rows: list[Sequence[object]] = [
        (*_HEAD, *_WHO["cla"], "population_count", "population_estimate", "number",
         "rate_per_10000")
    ]  # fmt: skip
    gone = np.where(np.isfinite(evaluation.population), "", "z").astype(object)
    people = _Count("population_estimate", evaluation.population, gone)
    population = people.cells()
    cells = [(kind, count.cells(), ratio.cells()) for kind, count, ratio in kinds]
    areas, order = _areas(evaluation), _ordered(evaluation, "e_code")
    for year in range(len(evaluation.periods) - 1, -1, -1):
        label = evaluation.periods[year]
        for level, code, name, members in areas:
            head = (label, "Reporting year", level, *_COUNTRY, code, name, "", "", "")
            for kind, count, ratio in kinds:
                rows.append((*head, kind, people.area(members, year), count.area(members, year),
                             ratio.area(members, year)))  # fmt: skip
        for i in order:
            head = (label, "Reporting year", "Local authority", *_COUNTRY,
                    evaluation.region_codes[i], evaluation.region_names[i],
                    evaluation.units[i], evaluation.names[i], evaluation.e_codes[i])  # fmt: skip
            for kind, number, rate in cells:
                rows.append((*head, kind, population[i, year], number[i, year], rate[i, year]))
    return _text(rows, bom=True)


def _neighbours(evaluation: SyntheticEvaluation) -> str:
    """Write the tidy list; the bands are spelt as unevenly as in the published one."""
    called = dict(zip(evaluation.units, evaluation.names, strict=True))
    rows: list[Sequence[object]] = [
        ("la_code", "la_name", "rank", "sn_code", "closeness", "sn_name")
    ]
    table = evaluation.neighbours
    for n, (code, rank, other, band) in enumerate(table.itertuples(index=False, name=None)):
        spelt = band
        if n % 97 == 13:
            spelt = band.capitalize()
        elif n % 101 == 57:
            spelt = f"{band} "
        rows.append((code, called[code], rank, other, spelt, called[other]))
    return _text(rows)


def _pilots(evaluation: SyntheticEvaluation) -> str:
    """Who took part, from when, until when."""
    called = dict(zip(evaluation.units, evaluation.names, strict=True))
    usual = min(evaluation.pilots.values())
    rows: list[Sequence[object]] = [("la_code", "la_name", "start", "stop", "note")]
    for code, start in evaluation.pilots.items():
        stop = evaluation.stops.get(code, "")
        note = "joined late" if start > usual else "left; counts as treated" if stop else ""
        rows.append((code, called[code], start, stop, note))
    return _text(rows)


def _readme(evaluation: SyntheticEvaluation) -> str:
    """Say what these files are (invented), and the truth in them."""
    called = dict(zip(evaluation.units, evaluation.names, strict=True))
    truth = [f"  {name:<5}{evaluation.effect[name]:g}" for name in METRICS]
    lines = [
        "SYNTHETIC DATA: no authority, child or number in this folder is real.",
        "",
        "Written by didkit.simulate in the formats of published English tables, so that the",
        "library can be tried where the answer is known. Places and codes are invented; 'England'",
        "and its code stand there because the format has them.",
        "",
        f"Seed: {evaluation.seed} (the packaged copy: 1, fixed before any result was seen).",
        "True effect of the programme, per 10,000 children, from a pilot's start on:",
        *truth,
        "",
        "pilots.csv says who took part. Pilots are drawn with a lower level that never changes",
        "(chance can turn that in one draw); their errors and trends are those of everyone else.",
    ]
    if evaluation.broken is not None:
        name = called[evaluation.broken]
        who = "a pilot" if evaluation.broken in evaluation.pilots else "no pilot"
        lines += [
            "",
            f"Recording break: {name} ({evaluation.broken}, {who}) counted too many children in",
            "need in 2015 (1.25 times) and 2016 (1.6 times): an error of recording, not an effect.",
        ]
    if evaluation.process.missing:
        lines += ["", "Symbols: ':' and '..' not available."]
    if evaluation.process.suppression:
        lines += ["'c' withheld (1 to 5, or to protect such a number), 'z' not applicable."]
    return "\n".join(lines) + "\n"
