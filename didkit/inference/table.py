"""Several inferences of one term side by side; those refused say why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from didkit.errors import InferenceError
from didkit.inference.arms import carried_by
from didkit.inference.assumptions import assumes, equal_noise, known_sizes, sizes_in_words
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
from didkit.inference.rule import recommend
from didkit.inference.sign_flips import SignFlips
from didkit.inference.wild import WildBootstrap
from didkit.inference.wild_randomisation import WildRandomisation
from didkit.results import Estimate, Inference

__all__ = ["inference_table"]

_FEW = 5  #: pilots up to which the plain wild bootstrap is of no use, and others are asked
_TOO_OFTEN = 10.0  #: rejections of a true null at 5 %, with normal noise, in per cent
_HARDLY = 3  #: up to so many it rejects nothing: simulated in `WildBootstrap`
_NUMBERS = ("std_error", "statistic", "p_value", "conf_low", "conf_high", "df")


def inference_table(
    estimate: Estimate,
    methods: Sequence[Inference] | None = None,
    *,
    term: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Attach several inferences to an estimate and put one term's numbers side by side.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator.
    methods : sequence of Inference, optional
        By default the one that the estimate has, the one that the design recommends, then every
        method of didkit that may suit so many pilots, CR1 among them (conventional, for
        comparison); what this design does not admit comes last, with the reason. Only matched
        sets are refitted unit by unit: elsewhere ask for ``Jackknife()`` by name.
    term : str, optional
        By default ``estimate.main_term``.
    level : float, default 0.95
        Of the intervals.

    Returns
    -------
    DataFrame
        One row a method: ``method, estimate, std_error, statistic, p_value, conf_low, conf_high,
        df`` (estimate and error in the metric's unit), ``level``, ``used`` and ``recommended``
        (True in one row at most: the method that the estimate has; that the design recommends),
        ``refused`` (why there is no number, or why it is withheld: it misleads with so few pilots;
        empty where there is one), ``instead`` (what to do about a refusal), ``assumes`` (what the
        method takes for granted), ``equal_noise`` (True where that pilots are as noisy as
        comparators is part of it), ``size`` (how often it rejects a true null at 5 % in the
        nearest design of docs/inference_sizes.md, in per cent by kind of noise; empty where it
        was not simulated), ``term``, ``inference``.

    Raises
    ------
    EstimationError
        If there is no such term.
    InferenceError
        If something given is no inference, or the level is not inside (0, 1).

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> methods = [dk.ClusterRobust("CR2"), dk.Permutation(draws=199)]
    >>> table = inference_table(dk.DiD().fit(design, "cpp"), methods)
    >>> table["refused"].tolist()
    ['', '']
    """
    m = estimate.place_of(term, where="inference_table")
    if methods is not None and not isinstance(methods, Sequence):
        raise InferenceError(
            needed="a list of inferences such as [ClusterRobust('CR2')]",
            found=f"a {type(methods).__name__}",
            where="inference_table(methods=)",
            todo="put it into a list",
        )
    for one in methods if methods is not None else ():
        given: object = one
        if isinstance(given, type) or not isinstance(given, Inference):
            raise InferenceError(
                needed="inferences such as ClusterRobust('CR2')",
                found=f"the class {given.__name__}" if isinstance(given, type) else repr(given),
                where="inference_table(methods=)",
                todo="give objects, in a list",
            )
    primary = recommend(estimate).inference
    held = estimate.uncertainty
    used = [] if held is None else [held.inference]
    wanted = list(methods) if methods is not None else [*used, primary, *_usual(estimate)]
    n1, n0 = (int(n[m]) for n in carried_by(estimate))
    rows = []
    for one in dict.fromkeys(wanted):
        row = _row(estimate, one, m, level, withhold=methods is None and one != primary)
        marks = {"used": one in used, "recommended": one == primary}
        said: dict[str, object] = {
            "assumes": assumes(one, n1),
            "equal_noise": equal_noise(one, n1) or bool(row.pop("flat", False)),
            "size": sizes_in_words(one, n1, n0, sets=estimate.sample.sets is not None),
            "term": str(estimate.terms["term"].iloc[m]),
        }
        rows.append(row | marks | said | {"level": level, "inference": repr(one)})
    if methods is None:  # what the estimate has and what is recommended, then what serves
        rows.sort(key=lambda row: (not row["used"], not row["recommended"], row["refused"] != ""))
    said_too = ["instead", "assumes", "equal_noise", "size", "term", "inference"]
    marked = ["level", "used", "recommended", "refused", *said_too]
    return pd.DataFrame(rows, columns=["method", "estimate", *_NUMBERS, *marked])


def _usual(estimate: Estimate) -> list[Inference]:
    """List what may suit so many pilots, and what readers of other software expect to see."""
    n1 = int(carried_by(estimate)[0].max())
    if estimate.sample.sets is not None:
        of_sets: list[Inference] = [Permutation("t"), SignFlips(), IbragimovMuller()]
        return [*of_sets, Jackknife(), Permutation("beta")]
    made: list[Inference] = [
        Permutation("t"),
        ClusterRobust("CR2"),
        ClusterRobust("CR2", df="welch"),
        ClusterRobust("CR3"),
        WildBootstrap(),
    ]
    if 1 < n1 <= _FEW:
        made.append(WildBootstrap(subclusters="cells"))
    if n1 <= _FEW:
        made.append(WildRandomisation())
    made += [IbragimovMuller(), FermanPinto(), LauLi()]
    if n1 == 1:
        made += [Hagemann(), Conformal()]
    return [*made, DonaldLang(), Permutation("beta"), ConleyTaber(), ClusterRobust("CR1")]


def _withheld(estimate: Estimate, inference: Inference, m: int) -> str:
    """Say why a method that has a number is better not shown; empty where nothing is wrong."""
    n1, n0 = (int(n[m]) for n in carried_by(estimate))
    plain = isinstance(inference, WildBootstrap) and inference.subclusters is None
    if plain and 2 <= n1 <= _FEW:
        how = "hardly ever rejects" if n1 <= _HARDLY else "is unreliable"
        return (
            f"withheld: with {n1} pilots the restricted wild bootstrap {how} (MacKinnon & Webb "
            "2017); ask for it by name"
        )
    sizes = known_sizes(inference, n1, n0, sets=estimate.sample.sets is not None)
    normal = [row for row in sizes if row.noise == "normal"]
    if normal and normal[0].rejects > _TOO_OFTEN:
        return (
            f"withheld: with {normal[0].pilots} pilots and {normal[0].comparators} comparators it "
            f"rejects {normal[0].rejects:.0f} % of true nulls at 5 %; ask for it by name"
        )
    return ""


def _row(
    estimate: Estimate, inference: Inference, m: int, level: float, *, withhold: bool
) -> dict[str, object]:
    value = float(estimate.values[m])
    empty = dict.fromkeys(_NUMBERS, np.nan)
    why = _withheld(estimate, inference, m) if withhold else ""
    if why:
        made = {"method": _name(inference), "estimate": value, **empty, "refused": why}
        return made | {"instead": ""}
    held = estimate.uncertainty
    try:
        again = held is None or held.inference != inference or held.level != level
        sure = estimate.infer(inference, level=level).attached if again else estimate.attached
    except InferenceError as error:
        if error.where == "infer(level=)":
            raise
        why = f"needed {error.needed}; found {error.found}"
        made = {"method": _name(inference), "estimate": value, **empty, "refused": why}
        return made | {"instead": error.todo}
    found = {
        name: np.nan if getattr(sure, name) is None else float(getattr(sure, name)[m])
        for name in _NUMBERS
    }
    why = ""
    if not np.isfinite(found["p_value"]):
        why = "; ".join(sure.notes) or "no test exists for this term"
    made = {"method": sure.method, "estimate": value, **found, "refused": why, "instead": ""}
    # noise that does not fall with size is taken to be the comparators' own: as Conley–Taber
    return made | {"flat": sure.facts.get("variance_b") == 0}


def _name(inference: Inference) -> str:
    """Name an inference that made nothing."""
    if isinstance(inference, ClusterRobust):
        return inference.kind + (", Welch's degrees of freedom" if inference.df == "welch" else "")
    if isinstance(inference, Permutation):
        return f"permutation of {'t' if inference.statistic == 't' else 'the estimate'}"
    if isinstance(inference, WildBootstrap) and inference.subclusters is not None:
        return f"wild bootstrap, signs by {inference.subclusters.removesuffix('s')}"
    return _NAMES.get(type(inference), repr(inference))


_NAMES: dict[type, str] = {
    Conformal: "conformal over time",
    ConleyTaber: "Conley–Taber",
    DonaldLang: "pooled t (Donald–Lang)",
    FermanPinto: "Ferman–Pinto",
    Hagemann: "Hagemann",
    IbragimovMuller: "Ibragimov–Müller",
    Jackknife: "cluster jackknife",
    LauLi: "Lau–Li",
    SignFlips: "sign flips",
    WildBootstrap: "wild bootstrap",
    WildRandomisation: "wild randomisation",
}
