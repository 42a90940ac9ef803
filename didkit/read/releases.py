"""The rules of each published release, as data: a new release is a table here, not code.

A release is recognised by the columns of a file and the periods in it, never by its name.
What a symbol means is said release by release: ``x`` was "suppressed" up to 2018 and is "not
available" from 2022.
"""

from __future__ import annotations

from dataclasses import replace

from didkit.panel import Status
from didkit.read.rules import Column, Filter, Geography, Release, Series, Symbol, Table

__all__ = ["LAIT_MEASURES", "RELEASES", "authorities"]

_LAST = 2030  # of the series that go on
# Authorities with children's services, from the first reporting year on.
_AUTHORITIES = ((2024, 153), (2022, 152), (2020, 151), (2010, 152))


def authorities(year: int) -> int:
    """Return how many authorities England had in a reporting year.

    Examples
    --------
    >>> authorities(2019), authorities(2020), authorities(2025)
    (152, 151, 153)
    """
    return next((n for first, n in _AUTHORITIES if year >= first), _AUTHORITIES[-1][1])


# -- Explore education statistics: one row a place and reporting year ----------------------------

_EES = Geography(
    level="geographic_level",
    levels={"Local authority": "local authority", "Regional": "regional", "National": "national"},
    code="old_la_code",
    name="la_name",
    region="region_name",
    region_code="region_code",
)
_EES_TABLE = Table(
    name="",
    title="",
    columns=(),
    geography=_EES,
    period="time_period",
    identifier=("time_identifier", "Reporting year"),
)


def _category(text: str) -> tuple[Filter, ...]:
    return (Filter(("category", "Category"), {text: ""}),)


_CIN = replace(_EES_TABLE, windows={2020: (2013, 2020), 2022: (2013, 2022), 2025: (2013, 2025)})
_RATES = (2020, 2024)  # the release of 2025 has none
_OLD, _NEW = (2020, 2024), (2023, _LAST)  # names of the columns of referrals


def _both(column: str, metric: str, *, extra: bool = False) -> tuple[Column, Column]:
    """Return the columns of a count and of its rate."""
    return (
        Column(column, f"{metric}_count", needed=not extra, extra=extra),
        Column(f"{column}_rate", metric, 1, vintages=_RATES, extra=extra),
    )


_LENGTHS = (
    ("3_months_or_less", "cpp_to_3_months"),
    ("more_than_3_months_6_months", "cpp_3_to_6_months"),
    ("more_than_6_months_less_than_1_year", "cpp_6_to_12_months"),
    ("1_year_less_than_2_years", "cpp_1_to_2_years"),
    ("2_years_or_more", "cpp_2_years_or_more"),
)

_CIN_TABLES = (
    replace(
        _CIN,
        name="b1",
        title="Children in need",
        filters=_category("Children in Need"),
        columns=(
            *_both("At31_episodes", "cin"),
            *_both("Anypoint_episodes", "cin_during", extra=True),
            *_both("Started_episodes", "cin_started", extra=True),
            *_both("Ended_episodes", "cin_ended", extra=True),
        ),
    ),
    replace(
        _CIN,
        name="c1",
        title="Referrals and re-referrals",
        filters=_category("Referrals and Re-referrals"),
        columns=(
            Column(("Referrals", "referral_count"), "referrals_count", needed=True),
            Column("Referrals_rate", "referrals", 1, vintages=_RATES),
            Column(("Re_referrals", "rereferral_count"), "rereferrals_count"),
            Column(("Re_referrals_percent", "rereferral_percent"), "rereferrals", 1),
            Column(
                ("No_Further_Action", "no_further_action_count"),
                "no_further_action_count",
                extra=True,
            ),
            Column(
                ("No_Further_Action_percent", "no_further_action_percent"),
                "no_further_action",
                1,
                extra=True,
            ),
            Column(("Not_in_Need", "not_in_need_count"), "not_in_need_count", extra=True),
            Column(("Not_in_Need_percent", "not_in_need_percent"), "not_in_need", 1, extra=True),
        ),
    ),
    replace(
        _CIN,
        name="c2",
        title="Duration of assessments",
        windows={2020: (2014, 2020), 2022: (2014, 2022)},
        filters=_category("Duration of assessment"),
        columns=(
            *_both("Assessments_completed", "assessments", extra=True),
            Column("Median_days", "assessment_duration", 0, needed=True),
        ),
    ),
    replace(
        _CIN,
        name="c4",
        title="Section 47 enquiries and initial child protection conferences",
        windows={2020: (2013, 2020), 2022: (2013, 2022)},
        filters=_category("Section 47s and Initial Child Protection Conferences"),
        columns=(
            *_both("Section47", "section47"),
            *_both("ICPC", "icpc"),
        ),
    ),
    replace(
        _CIN,
        name="d1",
        title="Child protection plans",
        windows={2020: (2013, 2020), 2022: (2013, 2022)},
        filters=_category("Child Protection Plans"),
        columns=(
            *_both("CPP_At31", "cpp"),
            *_both("CPP_anypoint", "cpp_during", extra=True),
            *_both("CPP_start", "cpp_started", extra=True),
            *_both("CPP_end", "cpp_ended", extra=True),
        ),
    ),
    replace(
        _CIN,
        name="d3",
        title="Second or subsequent child protection plans",
        windows={2020: (2013, 2020), 2025: (2013, 2025)},
        filters=_category("Child Protection Plans which are a second or subsequent plan"),
        columns=(
            Column("CPP_start", "cpp_started_count", needed=True),
            Column("CPP_subsequent", "cpp_subsequent_count", needed=True),
            Column("CPP_subsequent_percent", "cpp_subsequent", 1),
        ),
    ),
    replace(
        _CIN,
        name="d5",
        title="Child protection plans on 31 March, by how long they had lasted",
        windows={2025: (2013, 2025)},
        filters=_category("Child Protection Plans by length of time"),
        columns=(
            Column("CPP_At31", "cpp_count", needed=True),
            *(
                Column(name, f"{metric}_count", needed=True, of="cpp_count")
                for name, metric in _LENGTHS
            ),
            *(Column(f"{name}_percent", metric, 1) for name, metric in _LENGTHS),
        ),
    ),
    replace(
        _CIN,
        name="population",
        title="Mid-year population estimates",
        windows={2020: (2012, 2019), 2022: (2012, 2020), 2025: (2012, 2024)},
        later=1,
        carried={2022: (2020, 2022)},
        filters=(Filter(("age_group",), {"Children aged 0 to 17 years": ""}),),
        columns=(Column("population_estimate", "population", needed=True),),
    ),
)

_EES_CIN = Series(
    name="cin_{year}",
    title="Characteristics of children in need: {before} to {year}",
    vintages=(2020, _LAST),
    seen=(2020, 2022, 2025),
    rules=Release(
        name="",
        title="",
        primary=(1, 5),
        symbols={
            "c": Symbol(Status.SUPPRESSED, "1 to 5, or hidden to protect such a number"),
            ":": Symbol(Status.NOT_AVAILABLE, "not available", vintages=(2020, 2021)),
            # Not in the guidance; c1 has it where other tables have a colon or an x.
            "..": Symbol(Status.NOT_AVAILABLE, "not submitted", vintages=(2020, 2024)),
            "x": Symbol(Status.NOT_AVAILABLE, "not available", vintages=(2021, _LAST)),
            "u": Symbol(
                Status.NOT_AVAILABLE,
                "withheld: of low reliability",
                vintages=(2023, _LAST),
            ),
            "z": Symbol(Status.NOT_APPLICABLE, "not applicable"),
        },
        tables=_CIN_TABLES,
    ),
)

_CLA_KINDS = Filter(
    ("population_count", "population_type"),
    {
        "Children looked after at 31 March each year": "stock",
        "Children looked after on 31 March each year": "stock",
        "Children starting to be looked after each year": "started",
        "Children ceasing to be looked after each year": "ceased",
    },
)
_NUMBER = ("number", "children_count")
_CLA_TABLE = replace(
    _EES_TABLE,
    name="cla",
    title="Children looked after, number and rate",
    windows={2021: (2018, 2021), 2025: (2021, 2025)},
    filters=(_CLA_KINDS,),
    columns=(
        Column(_NUMBER, "cla_count", kind="stock", needed=True),
        Column("population_estimate", "cla_population", kind="stock", needed=True),
        Column("rate_per_10000", "cla", 0, kind="stock", needed=True),
        Column(_NUMBER, "cla_started_count", kind="started", needed=True),
        Column("rate_per_10000", "cla_started", 0, kind="started", needed=True),
        Column(_NUMBER, "cla_ceased_count", kind="ceased", needed=True),
        Column("rate_per_10000", "cla_ceased", 0, kind="ceased", needed=True),
    ),
)
_CLA_RULES = Release(
    name="",
    title="",
    symbols={
        "c": Symbol(Status.SUPPRESSED, "confidential; secondary suppression may have been applied"),
        ":": Symbol(Status.NOT_AVAILABLE, "not available", vintages=(2020, 2022)),
        "x": Symbol(Status.NOT_AVAILABLE, "not available", vintages=(2022, _LAST)),
        "z": Symbol(Status.NOT_APPLICABLE, "not applicable"),
        "~": Symbol(
            Status.ROUNDED,
            "negligible: above zero, rounds to it",
            rounds_to_zero=True,
            vintages=(2020, 2022),
        ),
        "low": Symbol(
            Status.ROUNDED, "above zero, rounds to it", rounds_to_zero=True, vintages=(2022, _LAST)
        ),
    },
    tables=(_CLA_TABLE,),
)

_EES_CLA = Series(
    name="cla_{year}",
    title="Children looked after in England including adoptions: {before} to {year}",
    vintages=(2020, _LAST),
    seen=(2021, 2025),
    rules=_CLA_RULES,
)

# The synthetic evaluation that ships with didkit has the looked-after table for other years.
_SYNTHETIC = replace(
    next(release for release in _EES_CLA.releases() if release.vintage == 2021),
    name="synthetic",
    title="didkit's synthetic evaluation: no authority, child or number is real",
    vintage=2020,
    tables=(replace(_CLA_TABLE, windows={2020: (2013, 2020)}),),
)

# -- Statistical first releases: one row a place, the year in the names of the columns -----------

_SFR = Geography(
    level="geog_l",
    levels={
        "LA": "local authority",
        "REGION": "regional",
        "NATIONAL": "national",
        "National": "national",
    },
    code="geog_c",
    name="geog_n",
)
# The metadata of 2010 and 2017 (children in need), 2016 and 2019 (looked after) say that more than
# small numbers is hidden; those of the other years are taken to have had the same rule.
_CROSS = Symbol(Status.SUPPRESSED, "1 to 5, or hidden to protect such a number")
# Not in the metadata: it stands where the counts make a percentage between 0 and 0.5.
_DASH = Symbol(Status.ROUNDED, "above zero, rounds to it", rounds_to_zero=True)
_SFR_ENCODINGS = ("utf-8-sig", "cp1252")

_SFR_CIN = Series(
    name="sfr_cin_{year}",
    title="Characteristics of children in need in England: {before} to {year} (underlying data)",
    vintages=(2010, 2019),
    seen=(2010, 2011, 2012, 2014, 2015, 2017),
    rules=Release(
        name="",
        title="",
        primary=(1, 5),
        # Totals that hold estimates for authorities without data are rounded to 100.
        totals_rounded_to=100,
        thousands=True,
        encodings=_SFR_ENCODINGS,
        symbols={
            "x": _CROSS,
            "..": Symbol(Status.NOT_AVAILABLE, "not submitted"),
            ".": Symbol(Status.NOT_APPLICABLE, "not applicable"),
        },
        tables=(
            Table(
                name="cin",
                title="Children in need, referrals, conferences and plans",
                geography=_SFR,
                columns=(
                    Column("CINAt3103{yy}", "cin_count", needed=True, lags=True),
                    Column("CINRatePer10K", "cin", 1, vintages=(2010, 2011)),
                    Column(
                        ("CINAt3103{yy}RatePer10K", "CINAt3103{yy}RatePer10k"),
                        "cin",
                        1,
                        vintages=(2012, 2019),
                        lags=True,
                    ),
                    Column(
                        ("CINStarting{span}", "CINEpisodesStarting{span}"),
                        "cin_started_count",
                        extra=True,
                    ),
                    Column(
                        (
                            "CINStartingRatePer10K",
                            "CINStartingRatePer10k",
                            "CINEpisodesStartingRatePer10K",
                        ),
                        "cin_started",
                        1,
                        vintages=(2012, 2019),
                        extra=True,
                    ),
                    Column("Referrals{span}", "referrals_count", needed=True),
                    Column("Referrals{span}Rate", "referrals", 1),
                    Column(
                        "ReferralsWithin12mths{span}",
                        "rereferrals_count",
                        vintages=(2011, 2019),
                    ),
                    Column("%ReferralsWithin12mths{span}", "rereferrals", 1, vintages=(2011, 2019)),
                    Column(
                        "ReferralsNFA{span}",
                        "no_further_action_count",
                        vintages=(2013, 2019),
                        extra=True,
                    ),
                    Column(
                        "%ReferralsNFA{span}",
                        "no_further_action",
                        1,
                        vintages=(2012, 2019),
                        extra=True,
                    ),
                    Column(
                        "Assessments{span}", "assessments_count", vintages=(2015, 2019), extra=True
                    ),
                    Column(
                        "AssessmentRatePer10k{span}",
                        "assessments",
                        1,
                        vintages=(2015, 2019),
                        extra=True,
                    ),
                    Column(
                        "AssessmentMedian{span}",
                        "assessment_duration",
                        0,
                        vintages=(2015, 2019),
                        extra=True,
                    ),
                    Column(("S47{span}", "S47in{span}"), "section47_count", needed=True),
                    Column("S47Rate{span}", "section47", 1, vintages=(2012, 2019)),
                    Column(("ICPC{span}", "ICPCin{span}"), "icpc_count", needed=True),
                    Column("ICPCRate{span}", "icpc", 1, vintages=(2012, 2019)),
                    Column(
                        ("CPPStart{span}", "CPPEpisodesStart{span}"),
                        "cpp_started_count",
                        vintages=(2012, 2019),
                        extra=True,
                    ),
                    Column(
                        ("CPPStartRate{span}", "CPPEpisodesStartRate{span}"),
                        "cpp_started",
                        1,
                        vintages=(2012, 2019),
                        extra=True,
                    ),
                    Column(
                        ("CPPCeased{span}", "CPPEpisodesCeased{span}"),
                        "cpp_ended_count",
                        extra=True,
                    ),
                    Column(
                        ("CPPCeasedRate{span}", "CPPEpisodesCeasedRate{span}"),
                        "cpp_ended",
                        1,
                        vintages=(2012, 2019),
                        extra=True,
                    ),
                    Column("CPPAt3103{yy}", "cpp_count", needed=True),
                    Column(("CPPAt3103{yy}Rate", "CPPAt3103{yy}RatePer10k"), "cpp", 1),
                    Column(
                        "CPPStart{span}SecondTime",
                        "cpp_subsequent_count",
                        vintages=(2012, 2019),
                        extra=True,
                    ),
                    Column(
                        ("%CPPStart{span}SecondTime", "CPPStart{span}SecondTime_A"),
                        "cpp_subsequent",
                        1,
                        vintages=(2012, 2019),
                        extra=True,
                    ),
                    Column(
                        "Mid{before}Pop0-17",
                        "population",
                        vintages=(2011, 2011),
                        needed=True,
                    ),
                    Column(
                        ("Mid{before}Pop0-17", "Mid{before}Pop017"),
                        "population",
                        rounded_to=100,
                        vintages=(2010, 2010),
                        needed=True,
                    ),
                    Column(
                        ("Mid{before}Pop0-17", "Mid{before}Pop017"),
                        "population",
                        rounded_to=100,
                        vintages=(2012, 2019),
                        needed=True,
                    ),
                ),
            ),
        ),
    ),
)

_SFR_TABLE = Table(
    name="cla",
    title="Children looked after",
    columns=(),
    geography=_SFR,
    only=r"CLA_(?:Mar|Pop|Rate)[0-9]{4}",
)
_SFR_CLA = Series(
    name="sfr_cla_{year}",
    title="Children looked after in England: year ending 31 March {year} (underlying data)",
    vintages=(2010, 2017),
    seen=(2011, 2012, 2013, 2015, 2016, 2017),
    rules=Release(
        name="",
        title="",
        primary=(1, 5),
        symbols={"x": _CROSS},
        encodings=_SFR_ENCODINGS,
        tables=(
            replace(
                _SFR_TABLE,
                columns=(Column("CLA_Mar{year}", "cla_count", needed=True),),
                # The file of 2017 has the Isles of Scilly without a level.
                unlabelled={"420": "local authority"},
            ),
        ),
    ),
)


def _years(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


_SFR_CLA_2018 = Release(
    name="sfr_cla_2018",
    title="Children looked after in England: year ending 31 March 2018",
    vintage=2018,
    primary=(1, 5),
    symbols={"x": _CROSS, "-": _DASH},
    encodings=_SFR_ENCODINGS,
    tables=(
        replace(
            _SFR_TABLE,
            columns=(
                Column("CLA_Mar{year}", "cla_count", years=_years(2014, 2018)),
                # Named after the reporting year: CLA_Pop2014 is the middle of 2013.
                Column("CLA_Pop{year}", "cla_population", years=_years(2014, 2018)),
                Column("CLA_Rate{year}", "cla", 0, years=_years(2014, 2018)),
            ),
        ),
    ),
)

_SFR_CLA_2019 = Release(
    name="sfr_cla_2019",
    title="Children looked after in England: year ending 31 March 2019",
    vintage=2019,
    symbols={
        "c": Symbol(Status.SUPPRESSED, "a small number, or hidden to protect one"),
        "..": Symbol(Status.NOT_AVAILABLE, "not available"),
        # Not in the metadata; it stands in the rates of the Isles of Scilly.
        ".": Symbol(Status.NOT_APPLICABLE, "not applicable"),
        "-": _DASH,
    },
    encodings=_SFR_ENCODINGS,
    tables=(
        replace(
            _SFR_TABLE,
            columns=(
                Column("CLA_Mar{year}", "cla_count", years=_years(2015, 2019)),
                # Named after the middle of the year before: CLA_Pop2014 goes with CLA_Rate2015.
                Column("CLA_Pop{year}", "cla_population", years=_years(2014, 2018), later=1),
                Column("CLA_Rate{year}", "cla", 0, years=_years(2015, 2019)),
            ),
        ),
    ),
)

# -- Local Authority Interactive Tool: long, read by `didkit.read.lait` --------------------------

_LAIT = Release(
    name="lait",
    title="Local Authority Interactive Tool",
    symbols={
        "-": Symbol(Status.NOT_AVAILABLE, "hidden, missing or not applicable: LAIT does not say")
    },
    tables=(),
)

LAIT_MEASURES = (
    Column("CIN", "cin", 1),
    Column("CPP_Total_NumRef", "referrals_count"),
    Column("CPP_Total_Rateper10,000", "referrals", 1),
    Column("ReReferral", "rereferrals", 1),
    Column("CIN_Refferals_NFA", "no_further_action", 1),
    Column("Referrals_AssessedNotNeed", "not_in_need", 1),
    Column("Section_47", "section47", 1),
    Column("ISCP_Conf", "icpc", 1),
    Column("CPP_Num", "cpp_count"),
    Column("CPP_rate", "cpp", 1),
    Column("CPP_Abuse", "cpp_started_count"),
    Column("CPP_Abuse_Rate", "cpp_started", 1),
    Column("DeRegCPR", "cpp_ended", 1),
    Column("ReRegCPR", "cpp_subsequent_count"),
    Column("PrevRegCPR", "cpp_subsequent", 1),
    Column("LACnum", "cla_count"),
    Column("LAC", "cla", 0),
    Column("LACnum_Start", "cla_started_count"),
    Column("LAC_Start_Rate", "cla_started", 0),
    Column("LACceased", "cla_ceased_count"),
    Column("LAC_Cease_Rate", "cla_ceased", 0),
)
"""Measures of LAIT that are metrics of the registry, by their short description."""

RELEASES: dict[str, Release] = {
    release.name: release
    for release in (
        *_EES_CIN.releases(),
        *_EES_CLA.releases(),
        *_SFR_CIN.releases(),
        *_SFR_CLA.releases(),
        _SFR_CLA_2018,
        _SFR_CLA_2019,
        _LAIT,
        _SYNTHETIC,
    )
}
"""Every release that didkit reads, by name."""
