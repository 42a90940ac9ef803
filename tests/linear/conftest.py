"""Panels, and a dense oracle that works from rows and N x N matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from didkit.linear import Normal


@dataclass(frozen=True)
class Rows:
    """A small unbalanced panel: unit and period effects, a treatment, a covariate."""

    X: np.ndarray  # treatment, covariate, period dummies (first left out)
    y: np.ndarray
    unit: np.ndarray

    @property
    def dummies(self) -> np.ndarray:
        return (self.unit[:, None] == np.unique(self.unit)).astype(float)

    @property
    def full(self) -> np.ndarray:
        return np.column_stack([self.X, self.dummies])

    @property
    def terms(self) -> np.ndarray:
        """The treatment, the covariate, and a mixture of both."""
        R = np.zeros((3, self.X.shape[1]))
        R[0, 0] = R[1, 1] = 1
        R[2, :2] = 1.0, -2.0
        return R

    @property
    def full_terms(self) -> np.ndarray:
        return np.column_stack([self.terms, np.zeros((3, self.dummies.shape[1]))])

    @property
    def absorbed(self) -> Normal:
        return Normal.from_rows(self.X, self.y, self.unit, absorb=self.unit)

    @property
    def explicit(self) -> Normal:
        return Normal.from_rows(self.full, self.y, self.unit)


def make_panel(seed: int = 7, pilots: int = 4, comparators: int = 8, periods: int = 6) -> Rows:
    random = np.random.default_rng(seed)
    G = pilots + comparators
    unit, period = np.repeat(np.arange(G), periods), np.tile(np.arange(periods), G)
    start = np.where(np.arange(G) < pilots, periods // 2 + np.arange(G) % 2, 99)
    kept = random.random(unit.size) > 0.1
    unit, period = unit[kept], period[kept]
    treated = (period >= start[unit]).astype(float)
    covariate = random.normal(size=unit.size) + unit / 5
    effects = (period[:, None] == np.arange(1, periods)).astype(float)
    y = 3 * treated + covariate + unit + period**2 / 4 + random.normal(size=unit.size)
    y += random.normal(size=G)[unit] * period / 3
    return Rows(np.column_stack([treated, covariate, effects]), y, unit)


@pytest.fixture
def rows() -> Rows:
    return make_panel()


@pytest.fixture
def panel() -> Callable[..., Rows]:
    return make_panel


def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Symmetric power with the pseudo-inverse at 0 (clubSandwich's matrix_power)."""
    values, vectors = np.linalg.eigh(matrix)
    raised = np.where(values > 1e-10, np.abs(values) ** exponent, 0.0)
    return (vectors * raised) @ vectors.T


@dataclass(frozen=True)
class Dense:
    """Bell & McCaffrey by the book: residuals, the hat matrix, a root for each cluster."""

    covariance: np.ndarray
    df: np.ndarray
    P: np.ndarray  # (k, G, G)


@pytest.fixture
def dense() -> Callable[..., Dense]:
    def compute(X: np.ndarray, y: np.ndarray, cluster: np.ndarray, R: np.ndarray, kind: str):
        exponent = {"CR0": 0.0, "CR2": -0.5, "CR3": -1.0}[kind]
        M = np.linalg.pinv(X.T @ X)
        rest = np.eye(len(y)) - X @ M @ X.T
        e = rest @ y
        moved, maps = [], []
        for g in np.unique(cluster):
            own = cluster == g
            root = np.eye(own.sum()) if exponent == 0 else power(rest[np.ix_(own, own)], exponent)
            line = R @ M @ X[own].T @ root  # (k, n_g)
            moved.append(line @ e[own])
            maps.append(line @ rest[own])  # (k, N): from errors to this cluster's part
        m = np.array(moved)
        P = np.einsum("gkn,hkn->kgh", np.array(maps), np.array(maps))
        df = np.trace(P, axis1=1, axis2=2) ** 2 / (P**2).sum(axis=(1, 2))
        return Dense(m.T @ m, df, P)

    return compute
