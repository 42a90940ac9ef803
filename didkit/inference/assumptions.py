"""What each method of inference takes for granted, in a line; and where it stands in the sizes."""

from __future__ import annotations

import csv
import functools
import math
from pathlib import Path
from typing import NamedTuple

from didkit.inference.cluster import ClusterRobust
from didkit.inference.conformal import Conformal
from didkit.inference.conley_taber import ConleyTaber
from didkit.inference.donald_lang import DonaldLang
from didkit.inference.ferman_pinto import FermanPinto
from didkit.inference.hagemann import Hagemann
from didkit.inference.ibragimov_muller import IbragimovMuller
from didkit.inference.jackknife import Jackknife
from didkit.inference.lau_li import LauLi
from didkit.inference.permutation import Permutation
from didkit.inference.sign_flips import SignFlips
from didkit.inference.wild import WildBootstrap
from didkit.inference.wild_randomisation import WildRandomisation
from didkit.results import Inference

__all__ = ["assumes", "equal_noise", "known_sizes", "sizes_in_words"]

_OF_CLASS: dict[type, str] = {
    Jackknife: "many clusters in both arms, none of which dominates",
    DonaldLang: "normal shocks with the same variance in pilots and comparators",
    IbragimovMuller: "normal shocks of any variance, one number a unit or set",
    SignFlips: "sets that share nobody; differences symmetric around the effect",
    LauLi: "normal shocks, alike in comparators, at most the stated ratio larger in pilots",
    Hagemann: "normal shocks, the pilot at most the stated ratio noisier than comparators",
    ConleyTaber: "pilots as noisy as comparators, many comparators",
    FermanPinto: "noise that depends on size alone (a + b / size), many comparators",
    WildRandomisation: "pilots could have been any of the units, as permutation, with few of them",
    Conformal: "shocks alike over time, before and after the start",
}
_OF_CLUSTER = {
    "CR0": "many pilots and many comparators, of like size",
    "CR1": "many pilots and many comparators; conventional, for comparison",
    "CR2": "near-normal shocks; degrees of freedom as if alike in all units",
    "CR3": "many pilots; with G − 1 degrees of freedom it rejects too often where they are few",
    "CR3J": "many pilots; with G − 1 degrees of freedom it rejects too often where they are few",
}


def assumes(inference: Inference, n_pilots: int = 2) -> str:
    """Say what a method takes for granted; empty for one that is not of this room and says nothing.

    A method of one's own may say it in an attribute ``assumes``. With one pilot permutation of t is
    that of the estimate.

    Examples
    --------
    >>> assumes(ClusterRobust("CR1"))
    'many pilots and many comparators; conventional, for comparison'
    """
    own = getattr(inference, "assumes", None)
    if isinstance(own, str):
        return own
    if isinstance(inference, ClusterRobust):
        if inference.df_used == "welch":
            return "near-normal shocks of any variance in either arm"
        return _OF_CLUSTER[inference.kind]
    if isinstance(inference, Permutation):
        if inference.statistic == "beta" or n_pilots == 1:
            return "any unit could have been a pilot, and pilots are as noisy as comparators"
        return "any unit could have been a pilot (exact), or enough pilots for t (nearly)"
    if isinstance(inference, WildBootstrap):
        if inference.subclusters is not None:
            return "shocks independent from cell to cell inside a unit"
        return "symmetric shocks; six pilots or more"
    return _OF_CLASS.get(type(inference), "")


def equal_noise(inference: Inference, n_pilots: int = 2) -> bool:
    """Whether a method takes pilots to be (at most) as noisy as comparators.

    A method of one's own may say it in an attribute ``equal_noise``.

    Parameters
    ----------
    inference : Inference
        With its options: `LauLi` and `Hagemann` grant pilots more noise where their ratio is
        above 1, `Permutation` of t does not need it unless a single pilot is ranked.
    n_pilots : int, default 2
        That carry the term: one pilot has no t, and is ranked by the estimate.

    Examples
    --------
    >>> equal_noise(ConleyTaber()), equal_noise(LauLi(2)), equal_noise(ClusterRobust("CR2"))
    (True, False, False)
    """
    own = getattr(inference, "equal_noise", None)
    if isinstance(own, bool):
        return own
    if isinstance(inference, Permutation | WildRandomisation):
        return inference.statistic == "beta" or n_pilots == 1
    if isinstance(inference, LauLi | Hagemann):
        return inference.ratio <= 1
    return isinstance(inference, DonaldLang | ConleyTaber)


_FAR = 2.0  #: times as many pilots, or as few, beyond which a simulated size says nothing


class _Size(NamedTuple):
    pilots: int
    comparators: int
    noise: str
    rejects: float


def _label(inference: Inference) -> str:
    """Name a method as the table of sizes does; empty where it has no row."""
    if isinstance(inference, ClusterRobust):
        if inference.df_used == "welch" and inference.kind == "CR2":
            return "Welch"
        usual = inference == ClusterRobust(inference.kind)
        return _CLUSTER.get(inference.kind, "") if usual else ""
    if isinstance(inference, Permutation):
        plain = inference == Permutation(
            inference.statistic, draws=inference.draws, seed=inference.seed
        )
        return f"permutation {'t' if inference.statistic == 't' else 'β'}" if plain else ""
    if isinstance(inference, WildBootstrap):
        if inference.statistic != "CR1" or inference.scores != "plain":
            return ""
        if inference.signs != "rademacher" or inference.subclusters == "units":
            return ""
        return "wild subcluster" if inference.subclusters else f"wild {inference.null}"
    if isinstance(inference, LauLi):
        return "Lau–Li, ratio 1" if inference.ratio == 1 else ""
    return _LABELS.get(type(inference), "")


# the table's CR3 is the jackknife's, smaller by (G − 1)/G
_CLUSTER = {"CR1": "CR1", "CR2": "CR2-BM", "CR3": "CR3", "CR3J": "CR3"}
_LABELS: dict[type, str] = {
    Jackknife: "jackknife",
    DonaldLang: "pooled t",
    IbragimovMuller: "Ibragimov–Müller",
    SignFlips: "sign flips",
    Hagemann: "Hagemann",
    ConleyTaber: "Conley–Taber",
    FermanPinto: "Ferman–Pinto",
    WildRandomisation: "wild randomisation",
    Conformal: "conformal",
}


@functools.cache
def _table() -> dict[str, tuple[_Size, ...]]:
    """Read the simulated sizes, by method; docs/inference_sizes.py writes them."""
    found: dict[str, list[_Size]] = {}
    path = Path(__file__).with_name("sizes.csv")
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["rejects"] == "":
                continue
            one = _Size(
                int(row["pilots"]),
                int(row["comparators"]),
                row["noise"],
                100 * float(row["rejects"]),
            )
            found.setdefault(row["method"], []).append(one)
    return {method: tuple(rows) for method, rows in found.items()}


def known_sizes(
    inference: Inference, n_pilots: int, n_comparators: int, *, sets: bool = False
) -> tuple[_Size, ...]:
    """Return the simulated sizes of a method in the design nearest to so many units.

    Nearest by the logarithm of the number of pilots first, then of comparators: pilots matter most.

    Parameters
    ----------
    inference : Inference
        With the options that the table has; others have no row.
    n_pilots, n_comparators : int
        Of the estimate.
    sets : bool, default False
        Whether comparators are matched sets, which have rows of their own, or one pool.

    Returns
    -------
    tuple of (pilots, comparators, noise, rejects)
        Rejections of a true null at 5 %, in per cent; empty where the method was not simulated
        with about so many pilots (half to twice as many; one pilot is like no other number).

    Examples
    --------
    >>> known_sizes(ClusterRobust("CR2"), 10, 120)[0][:2]
    (9, 141)
    """
    every = _table().get(_label(inference), ())
    rows = [
        row
        for row in every
        if row.noise.startswith("sets") == sets
        and (row.pilots == 1) == (n_pilots == 1)
        and row.pilots / _FAR <= n_pilots <= row.pilots * _FAR
    ]
    if not rows:
        return ()

    def far(row: _Size) -> float:
        n1, n0 = math.log(max(n_pilots, 1)), math.log(max(n_comparators, 1))
        return 3 * abs(math.log(row.pilots) - n1) + abs(math.log(row.comparators) - n0)

    nearest = min(rows, key=far)
    where = (nearest.pilots, nearest.comparators)
    return tuple(row for row in rows if (row.pilots, row.comparators) == where)


def sizes_in_words(
    inference: Inference, n_pilots: int, n_comparators: int, *, sets: bool = False
) -> str:
    """Say how often a method rejects a true null at 5 %, in the nearest design simulated.

    Examples
    --------
    >>> sizes_in_words(ClusterRobust("CR1"), 9, 141)[:19]
    '9 v 141, in %: norm'
    """
    rows = known_sizes(inference, n_pilots, n_comparators, sets=sets)
    if not rows:
        return ""
    said = ", ".join(f"{_NOISE.get(row.noise, row.noise)} {row.rejects:.1f}" for row in rows)
    return f"{rows[0].pilots} v {rows[0].comparators}, in %: {said}"


_NOISE = {
    "noisier": "noisier pilots",
    "small": "smaller pilots",
    "small and skewed": "smaller and skewed",
    "staggered": "staggered starts",
    "regions": "shocks by region",
    "regions, together": "shocks by region, pilots in one",
}
