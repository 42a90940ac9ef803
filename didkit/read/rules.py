"""The rules of each published release, as data: a new release is a table here, not code.

A release is recognised by the columns of a file and the periods in it, never by its name.
What a symbol means is said release by release: ``x`` was "suppressed" up to 2018 and is "not
available" from 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from didkit.panel import Status

__all__ = ["RELEASES", "Column", "Filter", "Geography", "Release", "Symbol", "Table"]

Level = Literal["local authority", "regional", "national"]


@dataclass(frozen=True)
class Symbol:
    """What a release writes in place of a number.

    Parameters
    ----------
    status : Status
        What the cell becomes.
    meaning : str
        In the release's words, or how it is known.
    rounds_to_zero : bool
        The number is above zero and rounds to it; allowed only in rounded columns, where the
        cell has the value 0 and the bounds of a rounded zero.
    """

    status: Status
    meaning: str
    rounds_to_zero: bool = False


@dataclass(frozen=True)
class Geography:
    """Columns that say where: level, 3-digit code, name and (for authorities) region."""

    level: str
    levels: Mapping[str, Level]
    code: str
    name: str
    region: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a table must have."""
        region = () if self.region is None else (self.region,)
        return (self.level, self.code, self.name, *region)


@dataclass(frozen=True)
class Filter:
    """A column that tells kinds of rows apart: the kind that is read, and those that are not.

    Any other value is refused, since nobody knows what it would be.
    """

    keep: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column (or one a year) that holds a metric.

    Parameters
    ----------
    name : str
        As in the file; ``{year}`` stands for the years, where each year has a column.
    metric : str
        Name in `didkit.panel.METRICS`.
    decimals : int, optional
        Digits after the point to which it was rounded: bounds are half of the last one. None for
        whole numbers that are exact for a local authority.
    years : tuple of int
        Years in the names of the columns.
    later : int
        Years from the one in the name to the reporting year it belongs to.
    """

    name: str
    metric: str
    decimals: int | None = None
    years: tuple[int, ...] = ()
    later: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Every column of the file that this stands for."""
        return tuple(self.name.format(year=year) for year in self.years) or (self.name,)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a release.

    Parameters
    ----------
    name, title : str
        Short name in provenance, and what it holds.
    columns : tuple of Column
        What is read. A table without any is known, and not used.
    geography : Geography
        Where.
    period : str, optional
        Column of the period; None where the years are in the names of the columns.
    identifier : tuple of (column, value), optional
        What kind of period it is, and the only kind that is understood.
    first, last : int
        Years in the period column.
    later : int
        Years from the period column to the reporting year: 1 for a mid-year population, since
        the rate for the year that ends on 31 March t uses the middle of t − 1.
    filters : mapping of str to Filter
        Columns that tell kinds of rows apart.
    also : tuple of str
        Further columns by which the table is told from others.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    geography: Geography
    period: str | None = None
    identifier: tuple[str, str] | None = None
    first: int = 0
    last: int = 0
    later: int = 0
    filters: Mapping[str, Filter] = field(default_factory=dict)
    also: tuple[str, ...] = ()

    @property
    def signature(self) -> tuple[str, ...]:
        """Columns by which the table is recognised; every one of them is needed."""
        period = () if self.period is None else (self.period,)
        kind = () if self.identifier is None else (self.identifier[0],)
        values = tuple(name for column in self.columns for name in column.names)
        return (*period, *kind, *self.geography.columns, *self.filters, *values, *self.also)

    @property
    def values(self) -> tuple[str, ...]:
        """Columns that only tables of this kind have: what is measured, not where and when."""
        return (*(name for column in self.columns for name in column.names), *self.also)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One publication: its symbols, its rounding, its tables.

    Parameters
    ----------
    name, title : str
        Short name in calls, and the publication.
    symbols : mapping of str to Symbol
        Everything that may stand in place of a number.
    tables : tuple of Table
        Its tables.
    primary : tuple of (int, int), optional
        Counts hidden for themselves.
    secondary : bool
        Whether other counts are hidden to protect those. Then a hidden count is known only to be
        0 or more.
    totals_rounded_to : int
        Rounding of national and regional counts; those of authorities are exact.
    thousands : bool
        Whether numbers may be written 2,093.
    encodings : tuple of str
        Tried in this order.
    """

    name: str
    title: str
    symbols: Mapping[str, Symbol]
    tables: tuple[Table, ...]
    primary: tuple[int, int] | None = None
    secondary: bool = True
    totals_rounded_to: int = 10
    thousands: bool = False
    encodings: tuple[str, ...] = ("utf-8-sig",)


# -- Explore education statistics: one row a place and reporting year ----------------------------

_EES = Geography(
    level="geographic_level",
    levels={"Local authority": "local authority", "Regional": "regional", "National": "national"},
    code="old_la_code",
    name="la_name",
    region="region_name",
)
_EES_TABLE = Table(
    name="",
    title="",
    columns=(),
    geography=_EES,
    period="time_period",
    identifier=("time_identifier", "Reporting year"),
)

_CIN_2020 = replace(_EES_TABLE, first=2013, last=2020)

CIN_2020 = Release(
    name="cin_2020",
    title="Characteristics of children in need: 2019 to 2020",
    primary=(1, 5),
    secondary=True,
    symbols={
        "c": Symbol(Status.SUPPRESSED, "1 to 5, or hidden to protect such a number"),
        ":": Symbol(Status.NOT_AVAILABLE, "not available"),
        # Not in the release's guidance; c1 has it where other tables have a colon.
        "..": Symbol(Status.NOT_AVAILABLE, "not submitted"),
        "z": Symbol(Status.NOT_APPLICABLE, "not applicable"),
    },
    tables=(
        replace(
            _CIN_2020,
            name="b1",
            title="Children in need",
            filters={"category": Filter("Children in Need")},
            columns=(
                Column("At31_episodes", "cin_count"),
                Column("At31_episodes_rate", "cin", 1),
            ),
        ),
        replace(
            _CIN_2020,
            name="c1",
            title="Referrals and re-referrals",
            filters={"Category": Filter("Referrals and Re-referrals")},
            columns=(
                Column("Referrals", "referrals_count"),
                Column("Referrals_rate", "referrals", 1),
                Column("Re_referrals", "rereferrals_count"),
                Column("Re_referrals_percent", "rereferrals", 1),
            ),
        ),
        replace(
            _CIN_2020,
            name="c2",
            title="Duration of assessments",
            first=2014,
            filters={"category": Filter("Duration of assessment")},
            columns=(Column("Median_days", "assessment_duration", 0),),
        ),
        replace(
            _CIN_2020,
            name="c4",
            title="Section 47 enquiries and initial child protection conferences",
            filters={"Category": Filter("Section 47s and Initial Child Protection Conferences")},
            columns=(
                Column("Section47", "section47_count"),
                Column("Section47_rate", "section47", 1),
                Column("ICPC", "icpc_count"),
                Column("ICPC_rate", "icpc", 1),
            ),
        ),
        replace(
            _CIN_2020,
            name="d1",
            title="Child protection plans",
            filters={"Category": Filter("Child Protection Plans")},
            columns=(
                Column("CPP_At31", "cpp_count"),
                Column("CPP_At31_rate", "cpp", 1),
            ),
        ),
        replace(
            _CIN_2020,
            name="d3",
            title="Second or subsequent child protection plans",
            columns=(),
            also=("CPP_subsequent", "CPP_subsequent_percent"),
        ),
        replace(
            _CIN_2020,
            name="population",
            title="Mid-year population estimates",
            first=2012,
            last=2019,
            later=1,
            filters={"age_group": Filter("Children aged 0 to 17 years")},
            columns=(Column("population_estimate", "population"),),
        ),
    ),
)

_STARTING = "Children starting to be looked after each year"
_CEASING = "Children ceasing to be looked after each year"

CLA_2021 = Release(
    name="cla_2021",
    title="Children looked after in England including adoptions: 2020 to 2021",
    secondary=True,
    symbols={
        "c": Symbol(Status.SUPPRESSED, "confidential; secondary suppression may have been applied"),
        ":": Symbol(Status.NOT_AVAILABLE, "not available"),
        "z": Symbol(Status.NOT_APPLICABLE, "not applicable"),
        "~": Symbol(Status.ROUNDED, "negligible: above zero, rounds to it", rounds_to_zero=True),
    },
    tables=(
        replace(
            _EES_TABLE,
            name="cla",
            title="Children looked after, number and rate",
            first=2018,
            last=2021,
            filters={
                "population_count": Filter(
                    "Children looked after at 31 March each year", (_STARTING, _CEASING)
                )
            },
            columns=(
                Column("number", "cla_count"),
                Column("population_estimate", "cla_population"),
                Column("rate_per_10000", "cla", 0),
            ),
        ),
    ),
)

# The synthetic evaluation that ships with didkit has the looked-after table for other years.
SYNTHETIC = replace(
    CLA_2021,
    name="synthetic",
    title="didkit's synthetic evaluation: no authority, child or number is real",
    tables=tuple(replace(table, first=2013, last=2020) for table in CLA_2021.tables),
)

# -- Statistical first releases: one row a place, one column a year ------------------------------

_SFR = Geography(
    level="geog_l",
    levels={"LA": "local authority", "REGION": "regional", "NATIONAL": "national"},
    code="geog_c",
    name="geog_n",
)
# The metadata of 2016 and 2019 say that the next smallest item is hidden too; those of the
# other years are taken to have had the same rule.
_CROSS = Symbol(Status.SUPPRESSED, "1 to 5, or hidden to protect such a number")
# Not in the metadata: it stands where the counts make a percentage between 0 and 0.5.
_DASH = Symbol(Status.ROUNDED, "above zero, rounds to it", rounds_to_zero=True)
_SFR_TABLE = Table(name="cla", title="Children looked after", columns=(), geography=_SFR)


def _years(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


SFR_CLA_2013 = Release(
    name="sfr_cla_2013",
    title="Children looked after in England: year ending 31 March 2013 (SFR 36/2013)",
    primary=(1, 5),
    symbols={"x": _CROSS},
    encodings=("utf-8-sig", "cp1252"),
    tables=(replace(_SFR_TABLE, columns=(Column("CLA_Mar{year}", "cla_count", None, (2013,)),)),),
)

SFR_CLA_2018 = Release(
    name="sfr_cla_2018",
    title="Children looked after in England: year ending 31 March 2018",
    primary=(1, 5),
    symbols={"x": _CROSS, "-": _DASH},
    encodings=("utf-8-sig", "cp1252"),
    tables=(
        replace(
            _SFR_TABLE,
            columns=(
                Column("CLA_Mar{year}", "cla_count", None, _years(2014, 2018)),
                # Named after the reporting year: CLA_Pop2014 is the middle of 2013.
                Column("CLA_Pop{year}", "cla_population", None, _years(2014, 2018)),
                Column("CLA_Rate{year}", "cla", 0, _years(2014, 2018)),
            ),
        ),
    ),
)

SFR_CLA_2019 = Release(
    name="sfr_cla_2019",
    title="Children looked after in England: year ending 31 March 2019",
    symbols={
        "c": Symbol(Status.SUPPRESSED, "a small number, or hidden to protect one"),
        "..": Symbol(Status.NOT_AVAILABLE, "not available"),
        # Not in the metadata; it stands in the rates of the Isles of Scilly.
        ".": Symbol(Status.NOT_APPLICABLE, "not applicable"),
        "-": _DASH,
    },
    encodings=("utf-8-sig", "cp1252"),
    tables=(
        replace(
            _SFR_TABLE,
            columns=(
                Column("CLA_Mar{year}", "cla_count", None, _years(2015, 2019)),
                # Named after the middle of the year before: CLA_Pop2014 goes with CLA_Rate2015.
                Column("CLA_Pop{year}", "cla_population", None, _years(2014, 2018), later=1),
                Column("CLA_Rate{year}", "cla", 0, _years(2015, 2019)),
            ),
        ),
    ),
)

RELEASES: dict[str, Release] = {
    release.name: release
    for release in (
        CIN_2020,
        CLA_2021,
        SFR_CLA_2013,
        SFR_CLA_2018,
        SFR_CLA_2019,
        SYNTHETIC,
    )
}
"""Every release that didkit reads, by name."""
