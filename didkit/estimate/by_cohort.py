"""Many assignments at once, where a unit's weights depend on its cohort only (balanced panels)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from didkit.estimate.refits import Kernel, refits
from didkit.results import Draws, Labels, OneByOne

__all__ = ["reassigned_by_cohort", "without_own_effect"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_ROWS = 400  #: draws in a chunk
_NUMBERS = 20_000_000  #: in the largest array of influences when the constants are found


@dataclass(frozen=True, eq=False)
class _Parts:
    """What all draws share: G cohorts, k terms; `held` (J, k T), numbers a unit (G, J, k)."""

    y: Floats
    held: Floats
    per_unit: Floats
    per_unit_own: Floats
    score: Floats
    score_own: Floats
    constants: Floats


def reassigned_by_cohort(
    kernel: Kernel,
    y: Floats,
    actual: Floats,
    weights: Floats,
    cohort: Ints,
    *,
    rescaled: bool = False,
) -> Callable[[Labels], Draws]:
    """Return what `Estimate.reassigned` asks for, without running the kernel for each draw.

    Parameters
    ----------
    kernel : callable
        As for `refits`. Linear in the outcome, free of unit and period effects, and treating units
        of a cohort alike: no gaps, weights or covariates.
    y : array (J, T)
        The outcome, without gaps.
    actual : array (k, J, T)
        As for `refits`.
    weights : array (k, J, T)
        The weights under the actual assignment.
    cohort : int array (J,)
        The actual assignment.
    rescaled : bool
        Whether the influence weighs a unit's periods otherwise than the estimate does: the kernel
        then says how.

    Returns
    -------
    callable
        Labels (B, J) → `Draws`. Labels with other numbers of pilots by start than the actual ones
        are refitted one by one.

    Notes
    -----
    A cohort's weights depend on the numbers of units alone, so that they are the same in every
    draw: the estimate is a sum of one number a unit, by cohort. The influence of a unit is that
    number less a constant of its cohort, which is linear in the cohorts' mean outcomes. The kernel
    is run once on indicators of cohort and period, which gives these constants.
    """
    codes, size = np.unique(cohort, return_counts=True)
    first = np.array([np.flatnonzero(cohort == g)[0] for g in codes])
    slow = refits(kernel, y, actual)
    own = weights[:, first]  # (k, G, T)
    found: list[_Parts] = []

    def parts() -> _Parts:
        """Make what all draws share, once, when the first are asked for."""
        if not found:
            centred, held = _centred(y), _centred(actual)
            by = _scores(kernel, cohort, codes, own, y.shape) if rescaled else own
            found.append(
                _Parts(
                    y=centred,
                    held=held.transpose(1, 0, 2).reshape(len(y), -1),
                    per_unit=np.einsum("mgt,jt->gjm", own, centred),
                    per_unit_own=np.einsum("mgt,mjt->gjm", own, held),
                    score=np.einsum("mgt,jt->gjm", by, centred),
                    score_own=np.einsum("mgt,mjt->gjm", by, held),
                    constants=_constants(kernel, cohort, codes, first, by, y.shape),
                )
            )
        return found[0]

    def chunk(labels: Labels) -> Draws:
        inside = (labels == codes[:, None, None]).astype(np.float64)  # (G, B, J)
        one, k = parts(), len(actual)
        constants, q, q_own = one.constants, one.score, one.score_own
        mean = inside @ one.y / size[:, None, None]  # (G, B, T)
        c = np.einsum("mghu,hbu->gbm", constants, mean)
        mean_own = (inside @ one.held / size[:, None, None]).reshape(len(codes), len(labels), k, -1)
        c_own = np.einsum("mghu,hbmu->gbm", constants, mean_own)
        s, s_own = inside @ q, inside @ q_own
        n = size[:, None, None]
        return Draws(
            b=(inside @ one.per_unit).sum(axis=0),
            a=(inside @ one.per_unit_own).sum(axis=0),
            v0=(inside @ q**2 - 2 * c * s + n * c**2).sum(axis=0).clip(min=0.0),
            v1=(inside @ (q * q_own) - c * s_own - c_own * s + n * c * c_own).sum(axis=0),
            v2=(inside @ q_own**2 - 2 * c_own * s_own + n * c_own**2).sum(axis=0).clip(min=0.0),
        )

    def reassigned(labels: Labels) -> Draws:
        counts = np.stack([(labels == g).sum(axis=1) for g in codes], axis=1)
        if (counts != size).any():
            return slow(labels)
        made = [chunk(labels[i : i + _ROWS]) for i in range(0, len(labels), _ROWS)]
        return Draws.stack(made)

    return reassigned


def _centred(values: Floats) -> Floats:
    """Take unit and period means out of (…, J, T): nothing changes but the rounding."""
    made = values - values.mean(axis=-1, keepdims=True)
    return np.asarray(made - made.mean(axis=-2, keepdims=True))


def _scores(
    kernel: Kernel, cohort: Ints, codes: Ints, own: Floats, shape: tuple[int, ...]
) -> Floats:
    """Return what a unit's influence takes of its own outcome, by cohort and period, (k, G, T).

    The influence of a unit with 1 in one cell, less that of another of its cohort without: the
    cohort's mean cancels. A cohort of one is its own mean: what is not in `own` is a constant.
    """
    made = own.copy()
    for h, code in enumerate(codes):
        inside = np.flatnonzero(cohort == code)
        if len(inside) < 2:
            continue
        outcomes = np.zeros((shape[1], *shape))
        outcomes[np.arange(shape[1]), inside[0], np.arange(shape[1])] = 1.0
        influence = kernel(cohort, outcomes)[1]
        made[:, h] = (influence[:, inside[0]] - influence[:, inside[1]]).T
    return made


def _constants(
    kernel: Kernel,
    cohort: Ints,
    codes: Ints,
    first: Ints,
    own: Floats,
    shape: tuple[int, ...],
) -> Floats:
    """Return what is taken off a unit's number for each cohort's mean in each period, (k, G, G, T).

    First its own cohort, then that of the mean.
    """
    k, n_periods = len(own), shape[1]
    made = np.zeros((k, len(codes), len(codes), n_periods))
    pairs = [(h, t) for h in range(len(codes)) for t in range(n_periods)]
    step = max(1, _NUMBERS // (shape[0] * max(k, n_periods)))
    for i in range(0, len(pairs), step):
        part = pairs[i : i + step]
        outcomes = np.zeros((len(part), *shape))
        for o, (h, t) in enumerate(part):
            outcomes[o, cohort == codes[h], t] = 1.0
        influence = kernel(cohort, outcomes)[1][:, first]  # (O, G, k)
        for o, (h, t) in enumerate(part):
            made[:, :, h, t] = -influence[o].T
            made[:, h, h, t] += own[:, h, t]
    return made


def without_own_effect(
    reassigned: Callable[[Labels], Draws], lost: NDArray[np.bool_]
) -> Callable[[Labels], Draws]:
    """Say of some terms (k,) that they have no placebo: no effect on the outcome shifts them."""
    if not lost.any():
        return reassigned
    gone = np.where(lost, np.nan, 0.0)

    def made(labels: Labels) -> Draws:
        found = reassigned(labels)
        return Draws(*(getattr(found, name) + gone for name in ("b", "a", "v0", "v1", "v2")))

    return OneByOne(made) if isinstance(reassigned, OneByOne) else made
