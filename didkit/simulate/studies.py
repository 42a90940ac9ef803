"""Size, power, coverage and bias of any estimator with any inference, by simulation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from didkit.errors import InferenceError, first_few, is_number, is_whole
from didkit.markup import items, page, paragraph
from didkit.results import Estimator, Inference, hooks, tables
from didkit.simulate.filled import Process
from didkit.simulate.replicate import Row, Task, replications

__all__ = ["Study", "reach_of", "study"]

_COLUMNS = [
    "method", "term", "truth", "seeds", "refused", "rejects", "rejects_mc_error", "covers",
    "covers_mc_error", "bias", "bias_mc_error", "sd", "half_width", "infinite",
]  # fmt: skip
_SHOWN = 20
_PERCENT = ("rejects", "rejects_mc_error", "covers", "covers_mc_error", "infinite")
_TIES = 1e-9
_READABLE = re.compile(r"\b\d+\.\d{4,}(?:e[+-]?\d+)?\b")  #: numbers too long for a heading


@dataclass(frozen=True, eq=False)
class Study:
    """What tests and intervals do over many draws of a process whose answer is known.

    Parameters
    ----------
    table : DataFrame
        One row a method and term: ``method, term``; ``truth``, the mean true effect; ``seeds``,
        replications in which the method gave a p-value; ``refused``, those in which it did not;
        ``rejects``, of `seeds` the share with p ≤ 1 − level for "the effect is zero"; ``covers``,
        the share whose interval holds the truth; each with its Monte Carlo standard error; ``bias``
        and ``sd`` of the estimate over all replications with one, ``bias_mc_error``;
        ``half_width``, the mean of finite intervals'; ``infinite``, the share of the others.
        Shares are between 0 and 1, the rest in the metric's unit.
    draws : DataFrame
        One row a seed, method and term: ``seed, method, term, truth, estimate, p_value, conf_low,
        conf_high, inference, reason``.
    level : float
        Of the intervals.
    settings : str
        Estimator and process, in words.
    advised : tuple of str
        Names of the methods that the design recommends: which they were is in `used`.

    Examples
    --------
    >>> import didkit as dk
    >>> from didkit.simulate import LongDifferences
    >>> made = study(dk.DiD("complete"), dk.ClusterRobust("CR2"), LongDifferences(5, 20), seeds=20)
    >>> made.table[["method", "seeds", "refused"]].values.tolist()
    [['ClusterRobust', 20, 0]]
    """

    table: pd.DataFrame
    draws: pd.DataFrame
    level: float
    settings: str
    advised: tuple[str, ...] = ()

    @property
    def alpha(self) -> float:
        """The nominal size, 1 − level."""
        return round(1 - self.level, 12)

    @property
    def null(self) -> bool:
        """Whether every true effect looked at is zero."""
        return bool((self.table["truth"].fillna(0.0) == 0).all())

    @property
    def reads(self) -> str:
        """How to read ``rejects``: as size where the true effect is zero, otherwise as power."""
        zero = self.table["truth"].fillna(0.0) == 0
        size = f"{100 * self.alpha:.4g}%"
        covers = f"`covers` should be {100 * self.level:.4g}%"
        if zero.all():
            return (
                "the true effect is zero: `rejects` is the size of the test, and should be "
                f"{size}; {covers}"
            )
        if not zero.any():
            return (
                "the true effect is not zero: `rejects` is power, which counts only for a method "
                f"that holds its size where there is none; {covers}"
            )
        return (
            f"`rejects` is the size of the test where truth is 0 (should be {size}), and "
            f"power elsewhere; {covers}"
        )

    @property
    def refusals(self) -> pd.DataFrame:
        """How often each method gave no p-value, and why: ``method, term, reason, seeds``."""
        gone = self.draws[self.draws["reason"] != ""]
        found = gone.groupby(["method", "term", "reason"], sort=False).size()
        return found.rename("seeds").reset_index()

    @property
    def used(self) -> pd.DataFrame:
        """Which kind of inference each method was: ``method, inference, seeds``."""
        there = self.draws[self.draws["inference"] != ""]
        found = there.groupby(["method", "inference"], sort=False)["seed"].nunique()
        return found.rename("seeds").reset_index()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know."""
        refused = [
            f"{row['method']} gave no p-value in {row['seeds']:,} replications: {row['reason']}"
            for row in self.refusals.to_dict("records")
        ]
        chosen = [
            f"{row['method']} was {row['inference']} in {row['seeds']:,} replications"
            for row in self.used.to_dict("records")
            if row["method"] in self.advised
        ]
        return (self.reads, *chosen, *refused)

    def tidy(self) -> pd.DataFrame:
        """One row a method and term (a copy of `table`)."""
        return self.table.copy()

    def summary(self) -> str:
        """Settings, table (shares in percent), how to read it, and refusals as text."""
        return "\n".join(
            [self.settings, "", self.to_markdown(), *(f"Note: {note}." for note in self.notes)]
        )

    def to_markdown(self) -> str:
        """Write the table as Markdown, shares in percent."""
        return tables.to_markdown(self._shown())

    def to_latex(self) -> str:
        """Write the table as LaTeX, shares in percent."""
        return tables.to_latex(self._shown())

    def plot(self, ax: Any = None) -> Any:
        """Draw the shares that reject, with Monte Carlo bars; shows and saves nothing."""
        return hooks.draw(self, ax)

    def _shown(self) -> pd.DataFrame:
        """Lay the table out for readers: shares with their error, in percent.

        A share of 0 or 1 has no such error: what it is compatible with stands beside it.
        """
        table = self.table
        made = table[["method", "term", "truth", "seeds", "refused"]].copy()
        for column, counts in (("rejects", table["seeds"]), ("covers", self._held())):
            cells = zip(table[column], table[f"{column}_mc_error"], counts, strict=True)
            made[f"{column} %"] = [_share(value, error, n) for value, error, n in cells]
        made = made.assign(bias=table["bias"], sd=table["sd"])
        made["half width"] = table["half_width"]
        if (table["infinite"] > 0).any():
            made["infinite %"] = 100 * table["infinite"]
        return made

    def _held(self) -> list[int]:
        """Count, for each row of the table, the intervals that `covers` is a share of."""
        draws = self.draws[self.draws["reason"] == ""]
        whole = draws[["conf_low", "conf_high"]].notna().all(axis=1)
        found = whole.groupby([draws["method"], draws["term"]], sort=False).sum().to_dict()
        pairs = zip(self.table["method"], self.table["term"], strict=True)
        return [int(found.get(pair, 0)) for pair in pairs]

    def __repr__(self) -> str:
        seeds = self.draws["seed"].nunique()
        return (
            f"Study({self.table['method'].nunique()} methods, {seeds:,} replications; "
            f"{self.settings})"
        )

    def _repr_html_(self) -> str:
        return page(
            paragraph(self.settings),
            tables.head_to_html(self._shown(), most=_SHOWN, caption="Study"),
            items(self.notes),
        )


def study(
    estimator: Estimator,
    inference: Inference | Mapping[str, Inference | None] | None,
    process: Process,
    seeds: int | Sequence[int],
    *,
    level: float = 0.95,
    jobs: int = 1,
    terms: Sequence[str] | None = None,
    draws: int | None = None,
) -> Study:
    """Draw data whose answer is known, estimate and infer, many times, and count.

    Parameters
    ----------
    estimator : Estimator
        Fitted once a replication.
    inference : Inference, mapping of str to Inference, or None
        Attached to that estimate, one after the other. None, alone or in a mapping: the method
        that the design recommends.
    process : Process
        Anything with ``draw(seed) -> Drawn(design, metric, truth)``: `LongDifferences`,
        `PanelProcess`, `OwnPanel`, `PlaceboPanel`, or your own.
    seeds : int or sequence of int
        How many (0, 1, …), or which. An inference that draws gets random numbers of its own in
        each replication, from its own seed and the replication's.
    level : float, default 0.95
        Of the intervals; a test rejects where p ≤ 1 − level.
    jobs : int, default 1
        Processes. The numbers are the same for any.
    terms : sequence of str, optional
        Terms looked at. By default those whose truth the process names, or the main one.
    draws : int, optional
        Draws of every inference that has such, instead of its own: 599 are enough to see whether a
        method holds its size.

    Returns
    -------
    Study
        With ``.table``, one row a method and term.

    Raises
    ------
    InferenceError
        If an argument is none of these, or cannot be handed to other processes. What estimator or
        inference refuse is counted, by reason, in ``refused``.
    EstimationError
        If the estimate has no such term.
    DidkitError
        What the process refuses.

    Notes
    -----
    The Monte Carlo error of a share is √(p(1−p)/n): of a size of 5 %, .4 points with 3,000 seeds
    and 1.5 with 200. A share of 0 has an error of 0 by this formula; with n seeds it is compatible
    (at 95 %) with a true share of up to 3/n, and one of 1 with 1 − 3/n (Hanley & Lippman-Hand
    1983): so say the summary, in the place of the error, and the bars of the picture. What a study
    shows holds for its process. With a mapping all methods see the same data, so differences
    between them are surer than each by itself.

    An interruption (Ctrl-C) passes through once the replications at work are done, one a process.

    Examples
    --------
    >>> import didkit as dk
    >>> from didkit.simulate import LongDifferences
    >>> made = study(
    ...     dk.DiD("complete"),
    ...     {"CR1": dk.ClusterRobust("CR1"), "CR2": dk.ClusterRobust("CR2")},
    ...     LongDifferences(pilots=3, comparators=147),
    ...     seeds=60,
    ... )
    >>> size = made.table.set_index("method")["rejects"]
    >>> bool(size["CR1"] > size["CR2"])
    True
    """
    named = _named(inference)
    chosen = _seeds(seeds)
    _check(estimator, process, level, jobs, terms, draws)
    kept = None if terms is None else tuple(terms)
    task = Task(estimator, named, process, float(level), kept, draws)
    rows = pd.DataFrame(replications(task, chosen, jobs), columns=list(Row._fields))
    return Study(
        _table(rows, list(named), level),
        rows,
        float(level),
        _READABLE.sub(lambda found: f"{float(found[0]):.3g}", f"{estimator!r}; {process!r}"),
        tuple(name for name, one in named.items() if one is None),
    )


def _table(rows: pd.DataFrame, methods: list[str], level: float) -> pd.DataFrame:
    """Count."""
    alpha = round(1 - level, 12)
    names = [term for term in dict.fromkeys(rows["term"]) if term] or [""]
    by = dict(list(rows.groupby(["method", "term"], sort=False)))
    none = rows.iloc[:0]
    made = []
    for method in methods:
        unfitted = len(by.get((method, ""), none))
        for term in names:
            mine = by.get((method, term), none)
            there = mine[mine["reason"] == ""]
            error = mine["estimate"] - mine["truth"]
            n, fitted = len(there), int(error.notna().sum())
            p, low, high = (
                there[c].to_numpy(dtype=float) for c in ("p_value", "conf_low", "conf_high")
            )
            truth = there["truth"].to_numpy(dtype=float)
            width = (high - low) / 2
            finite = np.isfinite(width)
            rejects = float((p <= alpha * (1 + _TIES)).mean()) if n else np.nan
            held = ~np.isnan(low) & ~np.isnan(high)
            covers = ((low <= truth) & (truth <= high))[held]
            sd = float(error.std(ddof=1)) if fitted > 1 else np.nan
            share = float(covers.mean()) if len(covers) else np.nan
            made.append(
                (
                    method,
                    term,
                    float(mine["truth"].mean()) if len(mine) else np.nan,
                    n,
                    len(mine) - n + (unfitted if term else 0),
                    rejects,
                    _error(rejects, n),
                    share,
                    _error(share, len(covers)),
                    float(error.mean()) if fitted else np.nan,
                    sd / fitted**0.5 if fitted else np.nan,
                    sd,
                    float(width[finite].mean()) if finite.any() else np.nan,
                    float(np.isinf(width[held]).mean()) if held.any() else np.nan,
                )
            )
    return pd.DataFrame(made, columns=_COLUMNS)


def _error(share: float, n: int) -> float:
    """Monte Carlo standard error of a share."""
    return float((share * (1 - share) / n) ** 0.5) if n else float("nan")


def reach_of(share: float, error: float, n: int, *, errors: float) -> tuple[float, float]:
    """Return the ends of a share's Monte Carlo bar: so many errors, or 3/n beside 0 and 1.

    Parameters
    ----------
    share, error : float
        Share of n, and its Monte Carlo standard error.
    n : int
        Replications.
    errors : float
        Standard errors on each side.

    References
    ----------
    Hanley & Lippman-Hand (1983): the rule of three.

    Examples
    --------
    >>> reach_of(0.0, 0.0, 60, errors=2)
    (0.0, 0.05)
    """
    three = min(3 / n, 1.0) if n else 1.0
    if share == 0:
        return 0.0, three
    if share == 1:
        return 1 - three, 1.0
    return max(share - errors * error, 0.0), min(share + errors * error, 1.0)


def _share(share: float, error: float, n: int) -> str:
    """Write a share and its error in percent; of none or all, what it is compatible with."""
    if np.isnan(share):
        return ""
    low, high = reach_of(share, error, n, errors=1)
    if share in (0, 1):
        return (
            f"{100 * share:.1f} ({f'≤ {100 * high:.1f}' if share == 0 else f'≥ {100 * low:.1f}'})"
        )
    return f"{100 * share:.1f} ± {100 * error:.1f}"


def _named(given: object) -> dict[str, Inference | None]:
    """Return the inferences by name."""
    if given is None:
        return {"recommended": None}
    if not isinstance(given, Mapping):
        given = {type(given).__name__: given}
    wrong = [
        f"{name!r}: {one!r}"
        for name, one in given.items()
        if not (
            isinstance(name, str)
            and name
            and (one is None or (isinstance(one, Inference) and not isinstance(one, type)))
        )
    ]
    if wrong or not given:
        raise InferenceError(
            needed="an inference, a mapping of name to inference, or None for the recommended one",
            found=first_few(wrong) if given else "an empty mapping",
            where="study(inference=)",
            todo="for example {'CR2': ClusterRobust('CR2'), 'recommended': None}",
        )
    return dict(given)


def _seeds(given: object) -> list[int]:
    """Return the seeds; each once."""
    found: list[Any] = []
    if is_whole(given):
        found = list(range(int(given)))  # type: ignore[call-overload]
    elif isinstance(given, Iterable) and not isinstance(given, str):
        found = list(given)
    good = all(is_whole(seed) and seed >= 0 for seed in found)
    twice = [seed for seed, times in Counter(found if good else []).items() if times > 1]
    if twice:
        raise InferenceError(
            needed="different seeds: the same seed gives the same data",
            found=f"more than once: {first_few(twice)}",
            where="study(seeds=)",
            todo="give each once, such as range(1000, 2000)",
        )
    if not found or not good:
        raise InferenceError(
            needed="a number of seeds, or different whole numbers of 0 or more",
            found=repr(given)[:80],
            where="study(seeds=)",
            todo="give 1000, or range(1000, 2000)",
        )
    return [int(seed) for seed in found]


def _check(
    estimator: object, process: object, level: object, jobs: object, terms: object, draws: object
) -> None:
    """Refuse what is none of the things asked for."""
    listed = isinstance(terms, Sequence) and not isinstance(terms, str) and len(terms) > 0
    for good, needed, found, where, todo in (
        (
            isinstance(estimator, Estimator) and not isinstance(estimator, type),
            "an estimator, such as DiD('complete')", estimator, "estimator", "make one",
        ),
        (
            isinstance(process, Process) and not isinstance(process, type),
            "a process: an object with draw(seed) -> Drawn", process, "process",
            "for example LongDifferences(pilots=9, comparators=141)",
        ),
        (
            is_number(level) and 0 < level < 1,  # type: ignore[operator]
            "a level between 0 and 1", level, "level", "0.95 is usual",
        ),
        (
            is_whole(jobs) and jobs >= 1,  # type: ignore[operator]
            "a whole number of processes, 1 or more", jobs, "jobs", "as many as there are cores",
        ),
        (
            terms is None or listed, "names of terms", terms, "terms",
            "give a list, or leave it out for the main term",
        ),
        (
            draws is None or (is_whole(draws) and draws >= 19),  # type: ignore[operator]
            "a whole number of draws, 19 or more", draws, "draws", "599 are enough for a study",
        ),
    ):  # fmt: skip
        if not good:
            raise InferenceError(
                needed=needed, found=repr(found)[:80], where=f"study({where}=)", todo=todo
            )
