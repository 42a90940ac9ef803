"""Event-study tables from one long frame, beside peers from PyPI, in one run.

    OPENBLAS_NUM_THREADS=1 python benchmarks/estimators.py [--units 10000] [--only group-time]

Each program gets the same data frame and gives one row an event time with a standard error. Peers
that are not installed are left out, and said so. Memory is the peak of a process that does nothing
else (`--memory`).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import io
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

PERIODS = 10
Table = dict[int, tuple[float, float]]  # event time → estimate and standard error


def frame_of(units: int, *, gaps: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """Draw a staggered panel: half never treated, effects that grow."""
    rng = np.random.default_rng(seed)
    first = rng.choice([0, 0, 0, 4, 6, 8], size=units)
    x = rng.normal(size=units)
    u, t = np.repeat(np.arange(1, units + 1), PERIODS), np.tile(np.arange(1, PERIODS + 1), units)
    g = np.repeat(first, PERIODS)
    since = t - g
    y = rng.normal(size=units * PERIODS) + np.repeat(rng.normal(size=units), PERIODS) + 0.1 * t
    y += 0.1 * t * np.repeat(x, PERIODS) - np.where((g > 0) & (since >= 0), 1 + 0.3 * since, 0.0)
    made = pd.DataFrame({"id": u, "year": t, "first": g, "y": y, "x": np.repeat(x, PERIODS)})
    if gaps:
        made = made[rng.random(len(made)) > gaps].reset_index(drop=True)
    return made


def didkit_group_time(frame: pd.DataFrame, covariates: tuple[str, ...]) -> Table:
    """Frame → design → estimate → standard errors."""
    import didkit as dk

    design = dk.Design.from_frame(
        frame, unit="id", period="year", start="first", metrics=["y", *covariates],
        selection="unknown",
    )  # fmt: skip
    made = dk.GroupTime(by="dynamic", covariates=covariates).fit(design, "y")
    table = made.infer(dk.ClusterRobust("CR0")).tidy()
    table = table[table["std_error"].notna()]
    return {
        int(e): (v, s)
        for e, v, s in zip(table["event_time"], table["estimate"], table["std_error"], strict=True)
    }


def diff_diff_group_time(frame: pd.DataFrame, covariates: tuple[str, ...]) -> Table:
    """diff-diff, base period universal, analytic errors."""
    from diff_diff import CallawaySantAnna

    found = CallawaySantAnna(
        control_group="never_treated", estimation_method="dr", base_period="universal"
    ).fit(
        frame, outcome="y", unit="id", time="year", first_treat="first",
        covariates=list(covariates) or None, aggregate="event_study",
    )  # fmt: skip
    return {int(e): (r["effect"], r["se"]) for e, r in found.event_study_effects.items()}


def csdid_group_time(frame: pd.DataFrame, covariates: tuple[str, ...]) -> Table:
    """csdid: the Python port of R's did, analytic errors."""
    from csdid.att_gt import ATTgt

    formula = f"y ~ {' + '.join(covariates) if covariates else '1'}"
    found = ATTgt(
        yname="y", tname="year", idname="id", gname="first", xformla=formula, data=frame,
        control_group=["nevertreated"],
    ).fit(est_method="dr", base_period="universal", bstrap=False)  # fmt: skip
    found.aggte(typec="dynamic", bstrap=False, cband=False)
    table = found.atte
    return {
        int(e): (float(v), float(s))
        for e, v, s in zip(table["egt"], table["att_egt"], np.ravel(table["se_egt"]), strict=True)
    }


def moderndid_group_time(frame: pd.DataFrame, covariates: tuple[str, ...]) -> Table:
    """moderndid, analytic errors."""
    from moderndid import aggte, att_gt

    made = att_gt(
        data=frame, yname="y", tname="year", idname="id", gname="first",
        xformla="~ " + (" + ".join(covariates) if covariates else "1"), est_method="dr",
        control_group="nevertreated", base_period="universal", boot=False, cband=False,
    )  # fmt: skip
    found = aggte(made, type="dynamic", boot=False, cband=False)
    return {
        int(e): (float(v), float(s))
        for e, v, s in zip(found.event_times, found.att_by_event, found.se_by_event, strict=True)
    }


def differences_group_time(frame: pd.DataFrame, covariates: tuple[str, ...]) -> Table:
    """differences, base period universal, analytic errors."""
    from differences import ATTgt

    data = frame.assign(first=frame["first"].where(frame["first"] > 0)).set_index(["id", "year"])
    made = ATTgt(data=data, cohort_column="first", base_period="universal")
    result = made.fit(
        "y" + (" ~ " + " + ".join(covariates) if covariates else ""), est_method="dr",
        control_group="never_treated", progress_bar=False,
    )  # fmt: skip
    table = result.aggregate("event", overall=False)
    table.columns = [column[-1] for column in table.columns]
    return {int(e): (float(r["ATT"]), float(r["std_error"])) for e, r in table.iterrows()}


def didkit_two_way(frame: pd.DataFrame) -> Table:
    """Static two-way fixed effects."""
    import didkit as dk

    design = dk.Design.from_frame(
        frame, unit="id", period="year", start="first", metrics=["y"], selection="unknown"
    )
    table = dk.EventStudy().fit(design, "y").infer(dk.ClusterRobust("CR1")).tidy()
    table = table[table["std_error"].notna()]
    return {
        int(e): (v, s)
        for e, v, s in zip(table["event_time"], table["estimate"], table["std_error"], strict=True)
    }


def pyfixest_two_way(frame: pd.DataFrame) -> Table:
    """pyfixest, event time as a factor."""
    import pyfixest as pf

    rel = np.where(frame["first"] > 0, frame["year"] - frame["first"], -1)
    data = frame.assign(rel=rel)
    made = pf.feols("y ~ i(rel, ref=-1) | id + year", data=data, vcov={"CRV1": "id"})
    table = made.tidy()
    return {
        int(float(str(name).split("::")[-1].split("[T.")[-1].rstrip("]"))): (v, s)
        for name, v, s in zip(table.index, table["Estimate"], table["Std. Error"], strict=True)
    }


GROUP_TIME: dict[str, Callable[[pd.DataFrame, tuple[str, ...]], Table]] = {
    "didkit-evaluation": didkit_group_time,
    "diff-diff": diff_diff_group_time,
    "csdid": csdid_group_time,
    "moderndid": moderndid_group_time,
    "differences": differences_group_time,
}
TWO_WAY: dict[str, Callable[[pd.DataFrame], Table]] = {
    "didkit-evaluation": didkit_two_way,
    "pyfixest": pyfixest_two_way,
}
MODULES = {"didkit-evaluation": "didkit", "diff-diff": "diff_diff"}


def seconds(work: Callable[[], Table], repeats: int) -> tuple[float, Table]:
    """Time a piece of work by the clock: the median of a few runs after one to warm up."""
    times, found = [], {}
    with contextlib.redirect_stdout(io.StringIO()):  # some print tables
        if repeats > 1:
            work()
        for _ in range(repeats):
            start = time.perf_counter()
            found = work()
            times.append(time.perf_counter() - start)
    return float(np.median(times)), found


def run(what: str, units: int, name: str, repeats: int) -> None:
    """Time one program on one task, and print it."""
    warnings.simplefilter("ignore")
    covariates = ("x",) if what == "group-time-dr" else ()
    frame = frame_of(units, gaps=0.1 if what == "two-way" else 0.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    small = frame_of(300, gaps=0.1 if what == "two-way" else 0.0)

    def work(given: pd.DataFrame) -> Table:
        if what == "two-way":
            return TWO_WAY[name](given)
        return GROUP_TIME[name](given, covariates)

    with contextlib.redirect_stdout(io.StringIO()):
        work(small)  # imports and compilers, whatever the number of repeats
    used = time.process_time()
    took, found = seconds(lambda: work(frame), repeats)
    used = (time.process_time() - used) / (repeats + (repeats > 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    value, error = found.get(1, (float("nan"), float("nan")))
    version = importlib.metadata.version(name)
    print(
        f"{what:14s} {units:>9,} x {PERIODS}  {name} {version:10s} {took:8.3f} s  "
        f"(processor {used:.3f} s)  "
        f"peak {peak:7.0f} MB (frame {before:.0f})  at +1: {value:.5f} ({error:.5f})",
        flush=True,
    )


def main() -> None:
    """Run each program in a process of its own, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--only", choices=["group-time", "group-time-dr", "two-way"])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        what, units, name, repeats = given.one
        run(what, int(units), name, int(repeats))
        return
    tasks = [given.only] if given.only else ["group-time", "group-time-dr", "two-way"]
    for what in tasks:
        for units in given.units:
            for name in TWO_WAY if what == "two-way" else GROUP_TIME:
                if importlib.util.find_spec(MODULES.get(name, name)) is None:
                    print(f"{what}: {name} is not installed, left out")
                    continue
                repeats = 5 if units <= 20_000 else 1
                command = [sys.executable, __file__, "--one", what, str(units), name, str(repeats)]
                done = subprocess.run(command, check=False)
                if done.returncode:
                    print(f"{what} {units:,}: {name} failed")


if __name__ == "__main__":
    main()
