"""The fictional places of the packaged evaluation: codes, names and regions.

No code is that of a real English authority (none of those begins with 5 or 6), no name is the
name of one, and the E-codes lie far above every one in use. They have the shape of real ones, so
that readers treat them alike.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MERGED", "OLD", "PLACES", "REGIONS", "TINY", "Place"]


@dataclass(frozen=True)
class Place:
    """One fictional authority.

    Parameters
    ----------
    code : str
        3-digit code, the identity.
    name : str
        Unique name, as the files of children looked after spell it (commas included).
    e_code : str
        9-character code; its first letters say what kind of authority it is.
    region_code, region_name : str
        The fictional region.

    Examples
    --------
    >>> PLACES[0].code, PLACES[0].name
    ('501', 'Aldby, City of')
    """

    code: str
    name: str
    e_code: str
    region_code: str
    region_name: str


REGIONS = tuple(
    (f"E120000{91 + number}", name)
    for number, name in enumerate(
        ("Norra", "Velde", "Ister", "Marl", "Quay", "Oster", "Orrin", "Salt", "Faro")
    )
)  # fmt: skip

_FIRST = ("Ald", "Bry", "Corv", "Dru", "Elv", "Fen", "Gor", "Hask", "Isk",
          "Jar", "Kes", "Lorn", "Mir", "Nok", "Orl", "Pel", "Quil")  # fmt: skip
_LAST = ("by", "holt", "wik", "mer", "stow", "firth", "ley", "gar", "den")

_SPECIAL = {
    0: "Aldby, City of",
    21: "Élvesby",
    40: "Mirwik and Vane",
    58: "Bishop's Hollin",
    77: "Jarstow-on-Orrin",
    122: "Corvgar, County",
}

TINY = (103, 151)  # positions of the two tiny authorities
OLD = (47, 48)  # positions of the two that are merged from 2020 on
MERGED = 152  # position of the one they become; it has rows from 2020 on

_TINY_NAMES = {TINY[0]: "Liberty of Orrin", TINY[1]: "Skerries of Faro"}


def _places() -> tuple[Place, ...]:
    """Lay 152 authorities out in nine regions, and the merged one after them."""
    counters = {"E06": 900, "E08": 900, "E09": 900, "E10": 900}
    found: list[Place] = []
    for position in range(153):
        region = (OLD[0] if position == MERGED else position) // 17
        kind = ("E06", "E08", "E10", "E06")[position % 4]
        if region == 6:
            kind = "E09"  # the region of boroughs
        if position == MERGED:
            kind = "E06"
        counters[kind] += 1
        name = _FIRST[position % 17] + _LAST[(2 * (position // 17) + position) % 9]
        name = _SPECIAL.get(position, _TINY_NAMES.get(position, name))
        if position == MERGED:
            name = f"{found[OLD[0]].name}, {found[OLD[1]].name} and Tarrow"
        code, e_code = str(501 + position), f"{kind}{counters[kind]:06d}"
        found.append(Place(code, name, e_code, *REGIONS[region]))
    return tuple(found)


PLACES = _places()
