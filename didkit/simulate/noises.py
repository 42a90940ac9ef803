"""Noise by name: normal, noisier pilots, skewed, small pilots; with an AR(1) and regions."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOISES", "Noise", "ar1_path", "scales", "shocks", "sizes"]

Noise = Literal["normal", "noisier", "skewed", "small", "small and skewed"]
NOISES: tuple[str, ...] = get_args(Noise)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_NOISIER = 2.0  #: standard deviation of pilots over that of comparators
_SIZE = (0.0, 0.9)  #: mean and standard deviation of log size, comparators
_SIZE_PILOTS = (-0.9, 0.4)
_OF_SIZE = (0.2, 0.8)  #: variance a + b / size


def shocks(rng: np.random.Generator, shape: tuple[int, ...], *, skewed: bool) -> Floats:
    """Independent shocks of mean 0 and variance 1: normal, or (χ²₂ − 2)/2."""
    if skewed:
        return np.asarray(rng.standard_exponential(shape) - 1.0)
    return np.asarray(rng.standard_normal(shape))


def sizes(rng: np.random.Generator, pilot: Bools) -> Floats:
    """Sizes M (J,): comparators' ``exp(N(0, .9²))``, pilots' ``exp(N(−.9, .4²))``."""
    z = rng.standard_normal(len(pilot))
    mean = np.where(pilot, _SIZE_PILOTS[0], _SIZE[0])
    sd = np.where(pilot, _SIZE_PILOTS[1], _SIZE[1])
    return np.asarray(np.exp(mean + sd * z))


def scales(noise: Noise, pilot: Bools, size: Floats | None) -> Floats:
    """Standard deviation of each unit's noise (J,), relative to a comparator's, or of its size."""
    if size is not None:
        return np.asarray(np.sqrt(_OF_SIZE[0] + _OF_SIZE[1] / size))
    return np.where(pilot & (noise == "noisier"), _NOISIER, 1.0)


def ar1_path(z: Floats, ar1: float) -> Floats:
    """Turn independent shocks (J, T) of variance 1 into an AR(1) of variance 1, stationary."""
    made = z.copy()
    for t in range(1, z.shape[1]):
        made[:, t] = ar1 * made[:, t - 1] + (1 - ar1**2) ** 0.5 * z[:, t]
    return made
