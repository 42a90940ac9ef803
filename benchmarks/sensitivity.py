"""Relative magnitudes, five periods before and five after, ten sizes: didkit and a peer.

moderndid is timed in the same run where another interpreter has it: ``--peers python`` names it.
Every set is for the mean effect at 95 %; processor time; one BLAS thread is best:
OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time

import numpy as np

SIZES = np.linspace(0.25, 2.5, 10)
BEFORE, AFTER = 5, 5

PEERS = r"""
import json, sys, time
import numpy as np
given = json.load(sys.stdin)
beta, sigma = np.array(given["beta"]), np.array(given["sigma"])
sizes, before, after = given["sizes"], given["before"], given["after"]
weights = np.full(after, 1 / after)


def moderndid():
    from moderndid import create_sensitivity_results_rm
    found = create_sensitivity_results_rm(
        betahat=beta, sigma=sigma, num_pre_periods=before, num_post_periods=after,
        m_bar_vec=np.array(sizes), method="C-LF", l_vec=weights.reshape(-1, 1), alpha=0.05,
    )
    frame = found.to_pandas() if hasattr(found, "to_pandas") else found
    return [[float(a), float(b)] for a, b in zip(frame["lb"], frame["ub"])]


for name, work in (("moderndid", moderndid),):
    start = time.process_time()
    try:
        found = work()
    except (ImportError, TypeError, AttributeError, KeyError) as error:
        print(json.dumps({"name": name, "failed": repr(error)[:150]}))
        continue
    print(json.dumps({"name": name, "took": time.process_time() - start, "found": found}))
"""


def made(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return ten terms and their covariance."""
    rng = np.random.default_rng(seed)
    sigma = np.cov(rng.normal(size=(200, BEFORE + AFTER)), rowvar=False) / 10
    truth = np.r_[0.3, 0.1, -0.2, 0.2, 0.1, np.full(AFTER, 2.0)]
    return rng.multivariate_normal(truth, sigma), sigma


def ours(method: str) -> list[tuple[float, float]]:
    """Give the set for each size."""
    from didkit.check.conditional import conditional_set
    from didkit.check.restrictions import RelativeMagnitudes

    beta, sigma = made()
    times = np.r_[np.arange(-BEFORE - 1, -1), np.arange(AFTER)]
    weights = np.r_[np.zeros(BEFORE), np.full(AFTER, 1 / AFTER)]
    ends = []
    for size in SIZES:
        pieces = RelativeMagnitudes().pieces(times, -1, 0, float(size))
        found = conditional_set(beta, sigma, weights, times, -1, 0, pieces, 0.95, method)
        ends.append((found.low, found.high))
    return ends


def peers(interpreter: str) -> None:
    """Time the peers, and say how far their ends are from ours."""
    beta, sigma = made()
    given = {
        "beta": beta.tolist(),
        "sigma": sigma.tolist(),
        "sizes": SIZES.tolist(),
        "before": BEFORE,
        "after": AFTER,
    }
    ran = subprocess.run(
        [interpreter, "-c", PEERS], input=json.dumps(given), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    mine = np.array(ours("hybrid"))
    for line in ran.stdout.splitlines():
        if not line.startswith("{"):
            continue
        one = json.loads(line)
        if "failed" in one:
            print(f"{one['name']}: {one['failed']}")
            continue
        apart = np.abs(np.array(one["found"]) - mine)
        print(
            f"{one['name']}: {one['took']:.1f} s; ends from ours by {np.nanmedian(apart):.3f} in "
            f"the middle, {np.nanmax(apart):.3f} at most; of the largest size {one['found'][-1]}, "
            f"ours {mine[-1].round(3).tolist()}"
        )
    if ran.returncode:
        print(ran.stderr[-500:])


def main() -> None:
    """Print a line a result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="an interpreter that has moderndid")
    asked = parser.parse_args()
    for method in ("hybrid", "conditional", "least_favourable"):
        ours(method)  # imports
        start = time.process_time()
        ends = ours(method)
        print(f"didkit, {method}: {time.process_time() - start:.2f} s; {ends[-1]}")
    if asked.peers:
        peers(asked.peers)


if __name__ == "__main__":
    main()
