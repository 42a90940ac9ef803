"""The ends of an event study: far event times as one term each, or left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast

import numpy as np

from didkit.design import Sample
from didkit.errors import EstimationError, is_whole
from didkit.estimate.windows import Windows

__all__ = ["Ends", "check_ends", "ended", "trimmed"]

Ends = tuple[Literal["bin", "trim"], int, int]


def check_ends(given: object, time: str, reference: int, trends: str) -> Ends | None:
    """Return the ends as a tuple; refuse what is none, and trends without binned ends.

    Raises
    ------
    EstimationError
        Another shape, ends that do not hold the reference and the start, calendar time, or unit
        trends in an event study without a bin: each pilot's line is then a combination of terms.
    """
    ends: Ends | None = None
    if given is not None:
        parts = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else ()
        fits = (
            len(parts) == 3
            and parts[0] in ("bin", "trim")
            and is_whole(parts[1])
            and is_whole(parts[2])
            and int(parts[1]) <= reference < 0 <= int(parts[2])
            and time == "event"
        )
        if not fits:
            raise EstimationError(
                needed="ends=('bin', first, last) or ('trim', first, last) in event time, first at "
                f"or before the reference ({reference}), last 0 or later",
                found=f"ends={given!r}, time={time!r}",
                where="EventStudy(ends=)",
                todo="for example ends=('bin', -4, 3)",
            )
        if parts[0] == "bin" and int(parts[1]) == reference:
            raise EstimationError(
                needed="a first binned event time before the reference, which has no term",
                found=f"ends={given!r}, reference={reference}",
                where="EventStudy(ends=)",
                todo=f"use {reference - 1} or earlier",
            )
        ends = cast(Ends, (parts[0], int(parts[1]), int(parts[2])))
    if trends == "unit" and (time == "calendar" or ends is None or ends[0] != "bin"):
        raise EstimationError(
            needed="binned ends with trends='unit'",
            found="a term for every period: together they are any line that a pilot may have",
            where="EventStudy(trends=)",
            todo="for example ends=('bin', -3, 4), with several periods in a bin; or DiD(trends=)",
        )
    return ends


def ended(windows: Windows, ends: Ends | None) -> Windows:
    """Return the windows of event times with what lies beyond the ends in one term each."""
    if ends is None:
        return windows
    kind, first, last = ends
    at = windows.terms["event_time"].to_numpy()
    kept = (at >= first) & (at <= last)
    plus = windows.plus.copy()
    terms = windows.terms.copy()
    if kind == "bin":
        for edge, beyond in ((first, at < first), (last, at > last)):
            here = np.flatnonzero(at == edge)
            if not len(here) or not beyond.any():
                continue
            plus[:, here[0]] |= plus[:, beyond].any(axis=1)
            side = "earlier" if edge == first else "later"
            name = f"event time {edge:+d}" if edge else "event time 0"
            terms.loc[here[0], ["term", "period"]] = [f"{name} or {side}", ""]
    return replace(
        windows,
        plus=plus[:, kept],
        minus=windows.minus[:, kept],
        acts=plus[:, kept],
        compared=windows.compared[kept],
        terms=terms[kept].reset_index(drop=True),
    )


def trimmed(sample: Sample, ends: Ends | None) -> Sample:
    """Leave out the cells of pilots beyond the ends; they stand in the log."""
    if ends is None or ends[0] != "trim":
        return sample
    starts = np.array([*sample.starts, 0])[sample.cohort]
    time = np.arange(len(sample.periods)) - starts[:, None]
    gone = sample.pilot[:, None] & ((time < ends[1]) | (time > ends[2])) & sample.mask
    if not gone.any():
        return sample
    reason = f"beyond event times {ends[1]:+d} to {ends[2]:+d}"
    log = sample.log.copy()
    extra = []
    for j in np.flatnonzero(gone.any(axis=1)):
        unit, count = sample.units[j], int(gone[j].sum())
        used = (log["reason"] == "used") & (log["unit"] == unit)
        log.loc[used, "cells"] -= count
        extra.append({"stage": "estimator", "unit": unit, "reason": reason, "cells": count})
    rows = [*log[log["cells"] > 0].to_dict("records"), *extra]
    lost = int(gone.sum())
    return replace(
        sample,
        y=np.where(gone, np.nan, sample.y),
        lower=np.where(gone, np.nan, sample.lower),
        upper=np.where(gone, np.nan, sample.upper),
        log=type(log)(rows, columns=log.columns),
        notes=(*sample.notes, f"{lost} cells of pilots {reason} left out"),
    )
