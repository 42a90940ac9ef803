"""Authorities that were reorganised: merged into units that are comparable throughout."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from didkit.errors import DidkitWarning, PanelError, first_few
from didkit.panel.calendar import Calendar
from didkit.panel.identity import nearest, unit_id
from didkit.panel.merging import Form, Merger, merge_units, with_rows

if TYPE_CHECKING:
    from didkit.panel.panel import Panel

__all__ = ["REORGANISED", "Era", "codes_by_era", "harmonise", "merged"]


@dataclass(frozen=True)
class Era:
    """The 3-digit codes that cover one area, and the first reporting year in which they did.

    Parameters
    ----------
    first : int
        Reporting year, which ends on 31 March; 0 for the codes before the change.
    codes : tuple of str
        They add up to the area.
    """

    first: int
    codes: tuple[str, ...]

    @property
    def unit(self) -> str:
        """Id of the whole area, called after the codes of this era."""
        return "+".join(self.codes)


# An area a line. Only what changed the 3-digit code is here; see Panel.harmonise.
REORGANISED: tuple[tuple[Era, ...], ...] = (
    (Era(0, ("820",)), Era(2010, ("822", "823"))),  # Bedfordshire
    (Era(0, ("875",)), Era(2010, ("895", "896"))),  # Cheshire
    (Era(0, ("835", "836", "837")), Era(2020, ("838", "839"))),  # Dorset, Poole, Bournemouth
    (Era(0, ("928",)), Era(2022, ("940", "941"))),  # Northamptonshire
    (Era(0, ("909",)), Era(2024, ("942", "943"))),  # Cumbria
)
"""Areas whose local authorities were reorganised, by era."""


def harmonise(
    panel: Panel,
    to: object = "comparable",
    *,
    merge: Mapping[Any, object] | None = None,
    vintages: Literal["same", "mixed"] = "same",
) -> Panel:
    """Merge reorganised authorities into the smallest units that are comparable throughout.

    Bedfordshire and Cheshire (2010), Dorset, Poole and Bournemouth (2020), Northamptonshire
    (2022) and Cumbria (2024) are known, by the reporting year that ends on 31 March. Changes
    of the E-code alone (Buckinghamshire, Somerset, Northumberland, …) keep the 3-digit code
    and need nothing. In each period the codes of one era are added up: all of them, or none.

    Parameters
    ----------
    to : "comparable" or period
        ``"comparable"`` merges an area of which the panel has rows under old and new codes.
        A year merges whatever changed between the panel's periods and that year, which may
        lie outside them.
    merge : mapping of unit to unit, optional
        Others to merge by name, the first into the second, whose id stays: ``{201: 204}``.
        City of London (201) and Isles of Scilly (420) stay as they are unless named here.
    vintages : {"same", "mixed"}
        ``"same"`` refuses to compute a rate of merged units over a denominator of another
        release than the rate's, since a census moves populations. ``"mixed"`` asks for it by
        name; the denominator's sources are then among the rate's. A rate made by `compute_rate`
        names its denominator, and is computed over the same one.

    Returns
    -------
    Panel
        A merged unit is called after the codes of that year, or of the last period:
        ``"838+839"``; every old and new code finds it. Counts add. A hidden part makes the
        sum an interval, a part that is not available makes it not available. Rates whose two
        counts are in the panel are computed from their sums. See `merged` and `log`.

    Raises
    ------
    PanelError
        Ids that are not 3-digit codes, a year that does not parse, a unit to merge that is not
        in the panel, old and new codes of one area with different totals in a period, or a
        rate and its denominator of different releases without ``vintages="mixed"``.

    Warns
    -----
    DidkitWarning
        A metric that is neither a count nor made of two counts of the panel has no value for
        merged units; an era of which the panel has some authorities only.

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.panel import Panel
    >>> frame = pd.DataFrame(
    ...     {"la": [928, 940, 941], "year": [2021, 2022, 2022], "cin_count": [4877, 2203, 2720]}
    ... )
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin_count"])
    >>> panel.harmonise().wide("cin_count").loc["940+941"].tolist()
    [4877.0, 4923.0]
    >>> panel.harmonise(to=2021).unit_ids
    ('928',)
    """
    if panel.identity != "la_code":
        raise PanelError(
            needed="a panel of English local authorities, by their 3-digit codes",
            found=f"identity={panel.identity!r}",
            where="Panel.harmonise",
            todo="make the panel with identity='la_code', or merge such units before",
        )
    if vintages not in ("same", "mixed"):
        raise PanelError(
            needed="vintages='same' or vintages='mixed'",
            found=repr(vintages),
            where="Panel.harmonise",
            todo="choose one",
        )
    year = None if isinstance(to, str) and to == "comparable" else _asked_year(panel, to)
    mixed = vintages == "mixed"
    made = merge_units(panel, _reorganised(panel, year), mixed=mixed)
    return merge_units(made, _by_name(made, {} if merge is None else merge), mixed=mixed)


def merged(panel: Panel) -> pd.DataFrame:
    """One row a merged unit: ``unit, name, parts``, the last all codes that find it.

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.panel import Panel
    >>> frame = pd.DataFrame(
    ...     {"la": [928, 940, 941], "year": [2021, 2022, 2022], "cin_count": [4877, 2203, 2720]}
    ... )
    >>> panel = Panel.from_frame(frame, unit="la", period="year", metrics=["cin_count"])
    >>> panel.harmonise().merged()["parts"].tolist()
    ['928, 940, 941']
    """
    found = sorted(panel.parts)
    return pd.DataFrame(
        {
            "unit": found,
            "name": [panel.name_of(unit) for unit in found],
            "parts": [", ".join(panel.parts[unit]) for unit in found],
        },
        dtype=object,
    )


def codes_by_era(parts: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the sets of codes that each make up a merged unit, the oldest era first.

    Parameters
    ----------
    parts : iterable of str
        All codes of the unit, as in ``panel.parts``.

    Returns
    -------
    tuple of tuple of str
        One set an era of which all codes are among `parts`; codes that were never reorganised
        are in each of them.

    Examples
    --------
    >>> codes_by_era(["835", "836", "837", "838", "839"])
    (('835', '836', '837'), ('838', '839'))
    >>> codes_by_era(["201", "204"])
    (('201', '204'),)
    """
    given = set(parts)
    areas = [[era for era in area if given >= set(era.codes)] for area in REORGANISED]
    areas = [area for area in areas if area]
    rest = given - {code for area in areas for era in area for code in era.codes}
    made = []
    for year in sorted({era.first for area in areas for era in area} or {0}):
        codes = set(rest)
        for area in areas:
            codes |= set(([area[0]] + [era for era in area if era.first <= year])[-1].codes)
        made.append(tuple(sorted(codes)))
    return tuple(dict.fromkeys(made))


# -- years ---------------------------------------------------------------------------------------


def _asked_year(panel: Panel, to: object) -> int:
    """Return the reporting year meant by ``to=``; it may lie outside the panel's periods."""
    try:
        return _year(panel.calendar.canonical(to))
    except PanelError as error:
        raise PanelError(
            needed="to='comparable', or a year in the style of the panel's periods, such as "
            + panel.periods[-1],
            found=repr(to),
            where="Panel.harmonise(to=)",
            todo=error.todo,
        ) from error


def _year(label: str) -> int:
    """Return the year in which a period ends: 2019 for "2019" and for "2018-19"."""
    made = Calendar.of([label])
    return int(made.labels[0][:4]) + (made.kind == "split year")


def _years(panel: Panel, area: Sequence[Era]) -> list[int]:
    """Return the year of every period, needed to know which codes were in force."""
    try:
        return [_year(label) for label in panel.periods]
    except PanelError as error:
        raise PanelError(
            needed="periods that are years, to know which codes were in force",
            found=f"{panel.periods[0]} to {panel.periods[-1]}, and codes of one area: "
            + " → ".join(era.unit for era in area),
            where="Panel.harmonise",
            todo="make the panel with calendar='reporting year' or 'split year'",
        ) from error


def _in_force(area: Sequence[Era], year: int) -> int:
    """Return the position of the era whose codes were in force in a year."""
    return max(i for i, era in enumerate(area) if era.first <= year)


# -- reorganised areas -----------------------------------------------------------------------------


def _reorganised(panel: Panel, year: int | None) -> list[Merger]:
    """Say what to merge, for areas of which the panel holds more than one era."""
    held = with_rows(panel)
    made = []
    for area in REORGANISED:
        one = _area(panel, area, held, year)
        if one is not None:
            made.append(one)
    return made


def _forms(area: Sequence[Era]) -> list[Form]:
    """Every way in which an area may stand in a panel: an era's codes, or their sum."""
    made = []
    for i, era in enumerate(area):
        made.append(Form(era.codes, i))
        if len(era.codes) > 1:  # as harmonised before, or as a joint row of a release
            made.append(Form((era.unit,), i))
    return made


def _area(
    panel: Panel, area: Sequence[Era], held: frozenset[str], year: int | None
) -> Merger | None:
    """Say how to merge one area, or return None where it is comparable as it stands."""
    forms = [form for form in _forms(area) if held & set(form.units)]
    if not forms:
        return None
    alone = forms[0].units if len(forms) == 1 else ()
    if year is None and alone and (alone != (area[forms[0].era].unit,) or len(alone[0]) == 3):
        return None
    law = tuple(_in_force(area, one) for one in _years(panel, area))
    if year is None:  # a merged unit from a file may not know its codes yet: it keeps its id
        target = forms[0].era if alone else law[-1]
    else:
        target = _in_force(area, year)
        if len({*law, target, *(form.era for form in forms)}) < 2 and len(forms) < 2:
            return None
    unit = area[target].unit
    known = set(panel.unit_ids)
    members = tuple(sorted({u for form in _forms(area) for u in form.units if u in known}))
    parts = {code for era in area for code in era.codes}
    parts |= {code for member in members for code in panel.parts.get(member, ())}
    seen = [member for member in members if member in held]
    if members == (unit,) and set(panel.parts.get(unit, ())) == parts:
        return None
    only = seen[0] if seen in ([*form.units] for form in forms if len(form.units) == 1) else None
    if only is None:
        _warn_of_halves(panel, unit, forms, held)
    return Merger(
        unit=unit,
        name=_name(panel, unit, [*(f.units for f in _ordered(area, target)), members]),
        forms=tuple(forms),
        law=law,
        members=members,
        parts=tuple(sorted(parts)),
        only=only,
    )


def _ordered(area: Sequence[Era], target: int) -> list[Form]:
    """Return the forms of an area, those of one era first."""
    return sorted(_forms(area), key=lambda form: form.era != target)


def _warn_of_halves(panel: Panel, unit: str, forms: Sequence[Form], held: frozenset[str]) -> None:
    """Warn of an era of which the panel has some authorities only."""
    whole = {form.era for form in forms if held >= set(form.units)}
    for form in forms:
        lost = [code for code in form.units if code not in held]
        if lost and form.era not in whole:
            there = [code for code in form.units if code in held]
            warnings.warn(
                f"Panel.harmonise: {unit} is made of {' + '.join(form.units)}, and the panel has "
                f"no row of {first_few(lost)}. The merged unit has no value where only "
                f"{first_few(there)} stands: half an authority is not used.",
                DidkitWarning,
                stacklevel=5,
            )


def _name(panel: Panel, unit: str, choices: Sequence[Sequence[str]]) -> str:
    """Name a merged unit by the parts of the first choice that is all in the panel."""
    called = dict(zip(panel.unit_ids, map(str, panel.units["name"]), strict=True))
    codes = next(choice for choice in choices if all(code in called for code in choice))
    names = [called[code] for code in codes]
    if all(name in ("", code) for name, code in zip(names, codes, strict=True)):
        return unit if any(names) else ""
    return " + ".join(name or code for name, code in zip(names, codes, strict=True))


# -- by name ---------------------------------------------------------------------------------------


def _by_name(panel: Panel, merge: Mapping[Any, object]) -> list[Merger]:
    """Say what to merge because it was asked for: child → into."""
    where = "Panel.harmonise(merge=)"
    given: Any = merge
    if not isinstance(given, Mapping):
        raise PanelError(
            needed="a mapping of unit to the unit that it is merged into",
            found=f"a {type(merge).__name__}",
            where=where,
            todo="write merge={201: 204}",
        )
    children: dict[str, list[str]] = {}
    asked: dict[str, str] = {}
    for raw, onto in merge.items():
        for one in (raw, onto):
            if one not in panel:
                raise PanelError(
                    needed="units of the panel",
                    found=repr(one),
                    where=where,
                    todo=nearest(unit_id(one), list(panel.unit_ids), list(panel.units["name"])),
                )
        child, into = panel.canonical(raw), panel.canonical(onto)
        if unit_id(raw) == unit_id(onto) or asked.get(child, into) != into:
            raise PanelError(
                needed="for each unit another one to merge it into",
                found=f"{raw!r} into {onto!r}"
                + (f" and into {asked[child]!r}" if child in asked else ""),
                where=where,
                todo="name each unit once",
            )
        if child != into and child not in asked:  # parts of one unit already
            asked[child] = into
            children.setdefault(into, []).append(child)
    chained = [into for into in children if into in asked]
    if chained:
        raise PanelError(
            needed="receivers that are not merged into others themselves",
            found=f"{chained[0]!r}, into {asked[chained[0]]!r}",
            where=where,
            todo="name the last receiver for all of them",
        )
    made = []
    for into, others in children.items():
        members = (into, *sorted(others))
        codes = {code for one in members for code in panel.parts.get(one, (one,))}
        made.append(
            Merger(
                unit=into,
                name=_name(panel, into, [members]),
                forms=(Form(members, 0),),
                law=(0,) * len(panel.periods),
                members=members,
                parts=tuple(sorted(codes)),
            )
        )
    return made
