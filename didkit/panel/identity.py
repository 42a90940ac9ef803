"""Identity of a unit: the 3-digit local-authority code, never a name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import pandas as pd

from didkit.errors import PanelError, first_few

__all__ = ["Identity", "nearest", "totals", "unit_id", "unit_ids"]

Identity = Literal["la_code", "any"]

_LA_CODE = re.compile(r"[0-9]{3}(?:\+[0-9]{3})*")  # "838+839": merged by Panel.harmonise
# Where a 3-digit code is due the Department writes 970 or 999 for England, 980 to 990 for regions.
_LA_TOTALS = frozenset({"970", "999", *map(str, range(980, 991))})
# Codes of the Office for National Statistics: a letter for the nation, two digits for the kind.
_ONS = re.compile(r"([EWSN])([0-9]{2})[0-9]{6}")
_UK = re.compile(r"K0[0-9]{7}")
_UNIT, _REGION, _NATION, _UNION = range(4)  # each lies in the next
_LEVELS = {"12": _REGION, "13": _REGION, "92": _NATION}  # 13: inner and outer London
_CALLED = {
    "england": "E92000001",
    "wales": "W92000004",
    "scotland": "S92000003",
    "northern ireland": "N92000002",
    "united kingdom": "K02000001",
    "great britain": "K03000001",
    "england and wales": "K04000001",
}


def unit_id(raw: object) -> str:
    """Write a unit's id as text: 926, 926.0, "926 " and "926" are the same unit."""
    if type(raw) is int or type(raw) is str:  # nearly all: without asking the abstract classes
        return str(raw).strip()
    if isinstance(raw, Real) and not isinstance(raw, Integral) and float(raw).is_integer():
        return str(int(float(raw)))
    return str(raw).strip()


def unit_ids(raw: Iterable[Any], *, identity: Identity, where: str) -> list[str]:
    """Write ids as text and refuse what cannot identify a unit.

    Raises
    ------
    PanelError
        If `identity` is unknown, an id is missing, or, for ``"la_code"``, is not three digits
        (a name, an E-code): names differ between releases, and two authorities share one.
    """
    if identity not in ("la_code", "any"):
        raise PanelError(
            needed="identity='la_code' or identity='any'",
            found=repr(identity),
            where=where,
            todo="choose one",
        )
    ids = ["" if pd.isna(one) else unit_id(one) for one in raw]
    if "" in ids:
        raise PanelError(
            needed="an id in every row",
            found=f"{ids.count('')} rows without one, the first is row {ids.index('')}",
            where=where,
            todo="fill the ids, or take these rows out before",
        )
    if identity == "la_code":
        wrong = sorted({one for one in ids if not _LA_CODE.fullmatch(one)})
        if wrong:
            raise PanelError(
                needed="3-digit local-authority codes (926), since names differ between releases "
                "and two authorities are called Dorset",
                found=f"{first_few(wrong)} ids that are not",
                where=where,
                todo="use the 3-digit code column (old_la_code); for units that are not "
                "English local authorities say identity='any'",
            )
    return ids


def totals(ids: Sequence[str], names: Sequence[str], *, identity: Identity) -> list[str]:
    """Find the units that are totals of others: England, a region, the United Kingdom.

    Parameters
    ----------
    ids, names : sequence of str
        Of the units.
    identity : {"la_code", "any"}
        Among 3-digit codes a total is one whatever stands beside it. Among ids of any other kind
        a nation or a region is one where a unit beside it can lie in it, so that a panel of
        regions has none.

    Returns
    -------
    list of str
        Ids, in their order.

    Examples
    --------
    >>> totals(["926", "970"], ["Norfolk", "England"], identity="la_code")
    ['970']
    >>> totals(["E12000001", "W92000004"], ["North East", "Wales"], identity="any")
    []
    >>> totals(["E12000001", "E92000001"], ["North East", "England"], identity="any")
    ['E92000001']
    """
    if identity == "la_code":
        return [one for one in ids if one in _LA_TOTALS]
    codes = [
        _CALLED.get(one.casefold()) or _CALLED.get(str(name).strip().casefold()) or one
        for one, name in zip(ids, names, strict=True)
    ]
    places = [_place(code) for code in codes]
    found = set(places)
    return [
        one
        for one, (level, nation) in zip(ids, places, strict=True)
        if any(
            lower < level and (level == _UNION or other in ("", nation)) for lower, other in found
        )
    ]


def _place(code: str) -> tuple[int, str]:
    """Return the level of a code and its nation, "" where the code does not say."""
    if _UK.fullmatch(code):
        return _UNION, ""
    found = _ONS.fullmatch(code)
    return (_LEVELS.get(found[2], _UNIT), found[1]) if found else (_UNIT, "")


def nearest(wanted: str, known: Sequence[str], names: Sequence[str]) -> str:
    """Suggest units that look like the one that was not found, by code or by name.

    Examples
    --------
    >>> nearest("962", ["926", "303"], ["Norfolk", "Bexley"])
    'did you mean 926 (Norfolk)?'
    """
    called = dict(zip(known, names, strict=True))
    by_name = {name.casefold(): code for code, name in called.items() if name}
    found = [
        by_name[name] for name in difflib.get_close_matches(wanted.casefold(), by_name, n=3)
    ] or difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    if not found:
        return f"the panel's units run from {known[0]} to {known[-1]}" if known else "no unit"
    shown = " or ".join(
        f"{code} ({called[code]})" if called[code] not in ("", code) else code for code in found
    )
    return f"did you mean {shown}?"
