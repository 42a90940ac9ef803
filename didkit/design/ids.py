"""Mappings by unit: ids as text, each unit once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from didkit.errors import DesignError
from didkit.panel import unit_id

__all__ = ["by_unit", "column_names"]

Value = TypeVar("Value")


def by_unit(given: Mapping[Any, Value], what: str, *, where: str) -> dict[str, Value]:
    """Return the mapping with ids as text; 303 and "303" are one unit and may not both stand in it.

    Parameters
    ----------
    given : mapping of unit to anything
        Ids as numbers or text.
    what : str
        What the units are, for the error: "pilot".
    where : str
        Where the mapping was given.

    Raises
    ------
    DesignError
        If a unit stands twice.

    Examples
    --------
    >>> by_unit({303: 2018, "926": 2019}, "pilot", where="Rollout(starts=)")
    {'303': 2018, '926': 2019}
    """
    made: dict[str, Value] = {}
    for raw, value in given.items():
        unit = unit_id(raw)
        if unit in made:
            raise DesignError(
                needed=f"each {what} named once",
                found=f"{unit!r} twice (ids are compared as text)",
                where=where,
                todo="keep one of them",
            )
        made[unit] = value
    return made


def column_names(given: object, argument: str, where: str) -> tuple[str, ...]:
    """Return names of columns as a tuple; one name is one column.

    Raises
    ------
    DesignError
        If it is neither text nor a sequence of names.

    Examples
    --------
    >>> column_names("region", "exact", "Matching"), column_names(["a", "b"], "exact", "Matching")
    (('region',), ('a', 'b'))
    """
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Iterable) or isinstance(given, bytes | Mapping):
        raise DesignError(
            needed=f"{argument}= the name of a column, or a sequence of names",
            found=repr(given),
            where=where,
            todo=f"write {argument}=('region',), or leave it out",
        )
    return tuple(str(name) for name in given)
