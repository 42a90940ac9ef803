"""The rows of a stacked regression: which unit serves in which stack, where, with which weight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from didkit.design import Sample
from didkit.errors import first_few
from didkit.estimate.aggregation import event_name, unit_weights
from didkit.estimate.saturated import Rows

__all__ = ["Laid", "Stacks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Laid:
    """The stacks under one assignment.

    Parameters
    ----------
    start : int array (S,)
        The start of each stack, as an index into the sample's starts.
    unit, stack : int array (R,)
        Unit and stack (position in `start`) of each row.
    treated : bool array (R,)
        Rows of the stack's own pilots.
    weight : array (R, T)
        Weight of each cell; zero outside the window and without a value.
    refused : dict
        Start (index) → why it has no stack.
    short : int
        Units left out of a stack for want of values.
    """

    start: Ints
    unit: Ints
    stack: Ints
    treated: Bools
    weight: Floats
    refused: dict[int, str]
    short: int


@dataclass(frozen=True, eq=False)
class Stacks:
    """How stacks are laid out for one sample; see `Stacked` for the options."""

    sample: Sample
    before: int
    after: int
    anticipation: int
    not_yet: bool
    complete: bool
    corrective: bool
    cohorts: bool

    @cached_property
    def windows(self) -> tuple[Ints, ...]:
        """Periods of each start's window, without those in which its pilots are partly treated."""
        aside = self.sample.set_aside
        return tuple(
            np.array([t for t in range(s - self.before, s + self.after + 1) if _free(aside[g], t)])
            for g, s in enumerate(self.sample.starts)
        )

    def lay(self, cohort: Ints) -> Laid:
        """Lay the stacks out for an assignment (J,)."""
        sample, mask = self.sample, self.sample.mask
        n_periods = len(sample.periods)
        starts = np.array([*sample.starts, 2 * n_periods + self.after + self.anticipation])
        own = unit_weights(sample)
        refused: dict[int, str] = {}
        found: list[tuple[int, Ints, Ints, Bools]] = []
        short = 0
        for g, start in enumerate(sample.starts):
            window = self.windows[g]
            if start - self.before < 0 or start + self.after >= n_periods:
                refused[g] = "its window does not fit"
                continue
            reference = start - 1 - self.anticipation
            treated = cohort == g
            clean = cohort < 0
            if self.not_yet:
                clean |= starts[cohort] - self.anticipation > start + self.after
            clean &= ~treated
            seen = mask[:, window]
            enough = seen.all(axis=1) if self.complete else seen.sum(axis=1) > 1
            short += int(((treated | clean) & ~enough).sum())
            cells = mask & np.isin(np.arange(n_periods), window)
            cells &= cells[clean & enough].any(axis=0)  # nothing to compare with elsewhere
            treated, clean = treated & enough, clean & enough
            if not clean.any():
                refused[g] = "no clean comparators"
            elif not cells[treated, reference].any():
                refused[g] = "no pilot with values in its window and its reference" + (
                    "; Imputation() serves partly treated cells"
                    if sample.set_aside[g].any()
                    else ""
                )
            else:
                units = np.flatnonzero(treated | clean)
                found.append((g, units, treated[units].astype(np.intp), cells[units]))
        weights = self._unit_weights(own, found)
        unit = np.concatenate([one[1] for one in found]) if found else np.zeros(0, dtype=np.intp)
        stack = np.repeat(np.arange(len(found)), [len(one[1]) for one in found])
        cells = (
            np.concatenate([one[3] for one in found]) if found else np.zeros((0, n_periods), bool)
        )
        treated = (
            np.concatenate([one[2] for one in found]) > 0 if found else np.zeros(0, dtype=bool)
        )
        return Laid(
            start=np.array([one[0] for one in found], dtype=np.intp),
            unit=unit,
            stack=stack.astype(np.intp),
            treated=treated,
            weight=cells * weights[:, None],
            refused=refused,
            short=short,
        )

    def _unit_weights(self, own: Floats, found: list[tuple[int, Ints, Ints, Bools]]) -> Floats:
        """Return each row's weight, (R,): the corrective weights Q of Wing and others (2024).

        A pilot counts 1; a comparator of stack a ``(N_a^D / N^D) / (N_a^C / N^C)``.
        """
        if not found:
            return np.zeros(0)
        n_d = np.array([own[units[arm > 0]].sum() for _, units, arm, _ in found])
        n_c = np.array([own[units[arm == 0]].sum() for _, units, arm, _ in found])
        share = np.full(len(found), 1 / len(found)) if self.cohorts else n_d / n_d.sum()
        made = []
        for s, (_, units, arm, _) in enumerate(found):
            pilot, comparator = share[s] * n_d.sum() / n_d[s], share[s] * n_c.sum() / n_c[s]
            if not self.corrective:
                pilot = comparator = 1.0
            made.append(own[units] * np.where(arm > 0, pilot, comparator))
        return np.concatenate(made)

    def cells(self, laid: Laid) -> tuple[Ints, Ints]:
        """Return start and period of each effect: where pilots of a stack have a value, (C,)."""
        pairs = []
        for s, g in enumerate(laid.start.tolist()):
            mine = (laid.stack == s) & laid.treated
            reference = self.sample.starts[g] - 1 - self.anticipation
            for t in np.flatnonzero((laid.weight[mine] > 0).any(axis=0)).tolist():
                if t != reference:
                    pairs.append((g, t))
        made = np.array(pairs, dtype=np.intp).reshape(-1, 2)
        return made[:, 0], made[:, 1]

    def keys(self, g: Ints, t: Ints, *, pooled: bool) -> Ints:
        """Return the column of each effect: one a time since the start, or one each."""
        if not pooled:
            return np.arange(len(g))
        return np.unique(t - np.array(self.sample.starts)[g], return_inverse=True)[1].ravel()

    def inside(self, laid: Laid, g: Ints, t: Ints) -> Bools:
        """Rows and periods of each effect (R, C, T)."""
        made = np.zeros((len(laid.unit), len(g), len(self.sample.periods)), dtype=bool)
        at = np.arange(len(g))
        made[:, at, t] = (laid.start[laid.stack][:, None] == g) & laid.treated[:, None]
        return made & (laid.weight > 0)[:, None]

    def rows(self, laid: Laid, own: Floats, names: tuple[str, ...]) -> Rows:
        """Return the regression: the columns `own` (R, q, T), and periods by stack."""
        sample = self.sample
        columns, labels = [own], list(names)
        for s, g in enumerate(laid.start.tolist()):
            mine = laid.stack == s
            for t in np.flatnonzero((laid.weight[mine] > 0).any(axis=0))[1:].tolist():
                column = np.zeros((len(laid.unit), 1, len(sample.periods)))
                column[mine, 0, t] = laid.weight[mine, t] > 0
                columns.append(column)
                labels.append(f"stack {sample.periods[sample.starts[g]]}, {sample.periods[t]}")
        return Rows.of(np.concatenate(columns, axis=1), laid.weight, tuple(labels), absorb=True)

    def names(self, g: Ints, t: Ints, *, pooled: bool) -> tuple[str, ...]:
        """Name the columns of the effects."""
        sample, starts = self.sample, np.array(self.sample.starts)
        if pooled:
            return tuple(event_name(e) for e in np.unique(t - starts[g]).tolist())
        return tuple(
            f"start {sample.periods[starts[a]]}, period {sample.periods[b]}"
            for a, b in zip(g.tolist(), t.tolist(), strict=True)
        )

    def why(self, laid: Laid) -> tuple[str, ...]:
        """Say which starts have no stack, and how many units are missing from stacks."""
        sample = self.sample
        said = []
        for reason in dict.fromkeys(laid.refused.values()):
            which = [
                sample.periods[sample.starts[g]] for g, r in laid.refused.items() if r == reason
            ]
            said.append(f"starts in {first_few(which)} have no stack: {reason}")
        if laid.short:
            said.append(
                f"{laid.short} times a unit is left out of a stack: no value "
                + ("throughout the window" if self.complete else "in two of its periods")
            )
        return tuple(said)


def _free(aside: Bools, t: int) -> bool:
    """Whether a period is in the panel and not one in which pilots are partly treated."""
    return 0 <= t < len(aside) and not aside[t]
