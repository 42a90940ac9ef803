"""Ferman and Pinto: the comparators' noise, rescaled to the pilots' sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from didkit.errors import InferenceError, first_few, is_number
from didkit.inference.arms import counted
from didkit.inference.conley_taber import placebos_by_term
from didkit.inference.drawing import check_draws
from didkit.inference.placebo_errors import attach_errors
from didkit.inference.samples import Placebos
from didkit.panel import unit_id
from didkit.results import Estimate

__all__ = ["FermanPinto"]

Floats = NDArray[np.float64]
_ALIKE = 1e-9  #: sizes that differ less than this, relatively, are one size
_NOTHING = 1e-13  #: relative to the outcome, deviations that are rounding


@dataclass(frozen=True)
class FermanPinto:
    """Conley and Taber's errors, where noise falls with a unit's size.

    Parameters
    ----------
    sizes : mapping of unit to number, optional
        How many people stand behind a unit's numbers; by default the mean over the window of the
        exposure that the panel holds (children). For numbers that are weighted means of a survey
        give the effective sample ``(Σ w)² / Σ w²``: the variance is then ``a + b Σ w²`` of
        weights that sum to one.
    draws : int, default 9999
        If there are no more ways than this to put comparators into the pilots' places they are
        all listed.
    seed : int, default 0
        The same seed gives the same number.

    Notes
    -----
    A unit of size M has noise of variance ``a + b / M``: what is common to its people, and what is
    each one's own. The two, none of them negative, are fitted by least squares (non-negative) to
    the squared deviations of the comparators, pilot place by pilot place (with one start they are
    one fit). Each deviation is divided by its own standard deviation, and multiplied by that of
    the pilot whose place it takes; then as `ConleyTaber`: without replacement,
    ``p = (1 + #) / (1 + B)``, and the symmetric interval that inverts it.

    The paper draws with replacement from all residuals under the null, pilots' too, and lets
    the comparators vary in each draw. Comparators alone are used here, so that fit and draws
    do not depend on the effect tested and the interval inverts the test exactly; what it costs is
    the error of the comparators' mean, which is left out. A true null with small pilots is then
    rejected at 5 % in 8, 7 and 5 % of 2,000 data sets (9 pilots and 141 comparators, 3 and 147,
    1 and 149), where `ConleyTaber` rejects in 16, 13 and 10 %.

    It fails where pilots are noisier for another reason than their size, and where the fit is
    stretched to pilots smaller than all comparators (a note says so). With ``b = 0`` it is
    `ConleyTaber`. Refused without sizes, or with sizes that are all alike.

    Draws are made in the order of the units' ids: with other ids (codes that sort otherwise) a p
    that is drawn, not listed, changes within its Monte Carlo error (``facts["mc_error"]``).

    References
    ----------
    Ferman & Pinto (2019); the appendix has the weighted variance.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(FermanPinto(draws=999))
    >>> bool(did["att"]["conf_low"] < 0 < did["att"]["conf_high"])  # the true effect is zero
    True
    """

    sizes: Mapping[str, float] | None = field(default=None, repr=False, hash=False)
    draws: int = field(default=9999, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_draws(self.draws, self.seed, "FermanPinto")
        if self.sizes is None:
            return
        if not isinstance(self.sizes, Mapping):
            raise _no_sizes(repr(self.sizes))
        wrong = [
            unit
            for unit, size in self.sizes.items()
            if not is_number(size) or not np.isfinite(size) or size <= 0
        ]
        if wrong:
            raise _no_sizes(f"none for {first_few(wrong)}")
        kept = {unit_id(unit): float(size) for unit, size in self.sizes.items()}
        object.__setattr__(self, "sizes", kept)

    def attach(self, estimate: Estimate, *, level: float = 0.95) -> Estimate:
        """Attach p-values and the intervals that invert them.

        Raises
        ------
        InferenceError
            As `ConleyTaber`; if sizes are unknown, or all alike; or if deviations are all zero.
        """
        found, notes = placebos_by_term(estimate, repr(self))
        sizes = self._sizes(estimate, found)
        numbers: dict[int, Floats] = {}
        fits: dict[int, Floats] = {}
        floor = _NOTHING * np.abs(estimate.sample.y[estimate.sample.mask]).max(initial=0.0)
        for m, placebo in found.items():
            if np.abs(placebo.deviations).max(axis=1).min() <= floor:
                raise InferenceError(
                    needed="comparators whose changes differ, to fit a variance to",
                    found="no spread between them in "
                    f"{estimate.terms['term'].iloc[m]}: the fitted variance is 0",
                    where=f"{self!r} of {estimate.metric.name!r}",
                    todo="look at estimate.long_differences(); a variance of 0 rescales nothing",
                )
            numbers[m], fits[m] = _rescaled(placebo, sizes)
        main = estimate.place_of(None, where=repr(self))
        main = main if main in fits else next(iter(fits))
        a, b = fits[main].mean(axis=0)
        facts: dict[str, object] = {
            "variance_a": float(a),
            "variance_b": float(b),
            "variance_ratio": _ratio(found[main], fits[main], sizes),
        }
        return attach_errors(
            estimate,
            self,
            found,
            numbers,
            draws=self.draws,
            seed=self.seed,
            level=level,
            method="Ferman–Pinto, noise does not fall with size here: as Conley–Taber"
            if all((fit[:, 1] == 0).all() for fit in fits.values())
            else "Ferman–Pinto, comparators' deviations rescaled to the pilots' sizes",
            facts=facts,
            notes=(*notes, *_notes(found[main], fits[main], sizes, facts, self.sizes is None)),
        )

    def _sizes(self, estimate: Estimate, found: dict[int, Placebos]) -> Floats:
        """Return the sizes of the sample's units; refuse unknown ones, and sizes all alike."""
        sample = estimate.sample
        where = f"{self!r} of {estimate.metric.name!r}"
        made = np.full(len(sample.units), np.nan)
        if self.sizes is not None:
            made = np.array([self.sizes.get(unit, np.nan) for unit in sample.units])
        elif sample.exposure is not None:
            seen = np.isfinite(sample.exposure) & (sample.exposure > 0)
            total = np.where(seen, sample.exposure, 0.0).sum(axis=1)
            made = np.where(seen.any(axis=1), total / np.maximum(seen.sum(axis=1), 1), np.nan)
        used = np.zeros(len(sample.units), dtype=bool)
        for placebo in found.values():
            used[placebo.pilot_at] = used[placebo.comparator_at] = True
        unknown = used & ~np.isfinite(made)
        if unknown.any():
            gone = [
                unit for unit, not_there in zip(sample.units, unknown, strict=True) if not_there
            ]
            raise InferenceError(
                needed="the size of every pilot and comparator",
                found=f"none for {first_few(gone)}"
                + (
                    ": the panel holds no number of children"
                    if self.sizes is None and sample.exposure is None
                    else ""
                ),
                where=where,
                todo="give FermanPinto(sizes={unit: number}), a panel with exposure=, or use "
                "Permutation()",
            )
        if np.ptp(made[used]) <= _ALIKE * made[used].max():
            raise InferenceError(
                needed="units of different sizes",
                found=f"all {int(used.sum())} of size {made[used][0]:g}",
                where=where,
                todo="use ConleyTaber(), which is the same test when sizes are alike",
            )
        return made


def _no_sizes(found: str) -> InferenceError:
    return InferenceError(
        needed="a mapping of unit to a number above 0",
        found=found,
        where="FermanPinto(sizes=)",
        todo="for example FermanPinto(sizes={'303': 62000, '304': 81000})",
    )


def _rescaled(placebo: Placebos, sizes: Floats) -> tuple[Floats, Floats]:
    """Return deviations rescaled to the pilots' sizes, (n1, n0), and each place's (a, b)."""
    from scipy.optimize import nnls  # slow to import

    inverse0, inverse1 = 1 / sizes[placebo.comparator_at], 1 / sizes[placebo.pilot_at]
    unit = inverse0.mean()  # regressors of one magnitude
    regressors = np.column_stack([np.ones(len(inverse0)), inverse0 / unit])
    made, fits = np.empty_like(placebo.deviations), np.empty((len(inverse1), 2))
    for i, row in enumerate(placebo.deviations):
        if i and np.array_equal(row, placebo.deviations[i - 1]):  # one start: one fit
            fits[i] = fits[i - 1]
        else:
            scale = np.abs(row).max()
            fit, _ = nnls(regressors, (row / scale) ** 2)
            fits[i] = fit * scale**2 / np.array([1.0, unit])
        own = fits[i, 0] + fits[i, 1] * inverse0
        made[i] = row * np.sqrt((fits[i, 0] + fits[i, 1] * inverse1[i]) / own)
    return made, fits


def _ratio(placebo: Placebos, fits: Floats, sizes: Floats) -> float:
    """Return the pilots' mean fitted variance over the comparators'."""
    inverse0, inverse1 = 1 / sizes[placebo.comparator_at], 1 / sizes[placebo.pilot_at]
    pilots = fits[:, 0] + fits[:, 1] * inverse1
    comparators = fits[:, 0] + fits[:, 1] * inverse0.mean()
    return float(pilots.mean() / comparators.mean())


def _notes(
    placebo: Placebos, fits: Floats, sizes: Floats, facts: dict[str, object], exposure: bool
) -> tuple[str, ...]:
    """Say what was fitted, and how far it is stretched."""
    first, second = sizes[placebo.comparator_at], sizes[placebo.pilot_at]
    of = "the mean exposure over the window" if exposure else "as given"
    said = [
        f"fitted variance of a unit of size M: {facts['variance_a']:.4g} + "
        f"{facts['variance_b']:.4g} / M (sizes: {of}); pilots have {facts['variance_ratio']:.2f} "
        "times the variance of comparators"
    ]
    if (fits[:, 1] == 0).all():
        said.append("the fitted variance does not fall with size: the test is ConleyTaber's")
    outside = int(((second < first.min()) | (second > first.max())).sum())
    if outside:
        said.append(
            f"{counted(outside, 'pilot')} smaller or larger than every comparator: there the "
            "fitted variance is an extrapolation"
        )
    return tuple(said)
