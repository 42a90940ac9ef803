"""Identity of a unit: the 3-digit local-authority code, never a name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import pandas as pd

from didkit.errors import PanelError, first_few

__all__ = ["Identity", "nearest", "unit_id", "unit_ids"]

Identity = Literal["la_code", "any"]

_LA_CODE = re.compile(r"[0-9]{3}")


def unit_id(raw: object) -> str:
    """Write a unit's id as text: 926, 926.0, "926 " and "926" are the same unit."""
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
