"""9,999 restricted wild draws beside ``wildboottest`` (PyPI) on the same rows, in one run.

Processor time, of all threads together; one BLAS thread is best: OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from didkit.linear import Normal, WildDraws, wild_draws

CLUSTERS, DRAWS, REPEATS = 150, 9_999, 5
PERIODS = 10


def made(rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X (treatment, covariate, constant, period dummies), y and clusters, with no effect."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, CLUSTERS, rows)
    period = rng.integers(0, PERIODS, rows)
    treated = (cluster < CLUSTERS // 6) & (period >= PERIODS // 2)
    covariate = rng.normal(size=rows)
    dummies = period[:, None] == np.arange(1, PERIODS)
    X = np.column_stack([treated, covariate, np.ones(rows), dummies]).astype(float)
    y = covariate + rng.normal(size=rows) + rng.normal(size=CLUSTERS)[cluster] + period / 5
    return X, y, cluster


def median(work: Callable[[], object]) -> float:
    """Time a piece of work, a few times: processor time, so that others do not matter."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def term(normal: Normal) -> np.ndarray:
    """Return the treatment among the parameters."""
    return np.eye(normal.n_params)[0]


def draw(normal: Normal, draws: int = DRAWS) -> WildDraws:
    """Return the restricted bootstrap of the treatment."""
    return wild_draws(normal, term(normal), draws=draws, seed=1)[0]


def against_wildboottest() -> None:
    """Time both on the same 20,000 rows, and hold the p-values against each other."""
    from wildboottest.wildboottest import WildboottestCL

    X, y, cluster = made(20_000)

    def theirs() -> float:
        boot = WildboottestCL(X=X, Y=y, cluster=cluster, R=term(normal), B=DRAWS, seed=1)
        boot.get_scores(bootstrap_type="11", impose_null=True, adj=True, cluster_adj=True)
        boot.get_weights(weights_type="rademacher")
        boot.get_numer()
        boot.get_denom()
        boot.get_tboot()
        boot.get_vcov()
        boot.get_tstat()
        boot.get_pvalue(pval_type="two-tailed")
        return float(boot.pvalue)

    def ours() -> float:
        return draw(Normal.from_rows(X, y, cluster)).p_value()

    normal = Normal.from_rows(X, y, cluster)
    p_theirs, p_ours = theirs(), ours()  # the first call of theirs compiles
    long, short, bare = median(theirs), median(ours), median(lambda: draw(normal).p_value())
    inverted = median(lambda: draw(normal).interval(0.95))
    error = np.sqrt(2 * p_ours * (1 - p_ours) / DRAWS)
    assert abs(p_theirs - p_ours) < 4 * error
    print(
        f"20,000 rows, {CLUSTERS} clusters, {DRAWS:,} restricted draws: didkit {short:.3f} s from "
        f"rows, {bare:.3f} s from cross-products ({inverted:.3f} s with the interval inverted); "
        f"wildboottest {long:.2f} s: {long / short:.0f} and {long / bare:.0f} times; "
        f"p = {p_ours:.4f} and {p_theirs:.4f}"
    )


def rows_do_not_matter() -> None:
    """Time the bootstrap alone for 20,000 and 2,000,000 rows."""
    few, many = (Normal.from_rows(*made(rows)) for rows in (20_000, 2_000_000))
    one, other = median(lambda: draw(few)), median(lambda: draw(many))
    print(
        f"the bootstrap alone: 20,000 rows {one:.3f} s; 2,000,000 rows {other:.3f} s "
        f"({other / one:.2f} times)"
    )


def bounded_memory() -> None:
    """Draw 99,999 and say how much memory that took."""
    normal = Normal.from_rows(*made(20_000))
    start = time.process_time()
    draw(normal, 99_999)
    took = time.process_time() - start
    peaks = []
    for draws in (9_999, 99_999):
        tracemalloc.start()
        draw(normal, draws)
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    print(
        f"99,999 draws: {took:.2f} s, peak {peaks[1]:.0f} MB (9,999 draws: {peaks[0]:.0f} MB; all "
        f"signs at once would be {99_999 * CLUSTERS * 8 / 1e6:.0f} MB)"
    )


def main() -> None:
    """Print a line a result."""
    against_wildboottest()
    rows_do_not_matter()
    bounded_memory()


if __name__ == "__main__":
    main()
