"""A table of terms put together at once, with the rows of a reference period among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["with_reference"]


def with_reference(
    columns: Mapping[str, Any], reference: pd.DataFrame | None, metric: str
) -> pd.DataFrame:
    """Return the terms, and the reference rows with estimate 0, in order of position.

    Parameters
    ----------
    columns : mapping of str to array or list
        One entry a column, one value a term; ``position`` among them where there is a reference.
    reference : DataFrame, optional
        Rows without uncertainty; what they lack is missing.
    metric : str
        Its name, for the column ``metric`` of the reference rows.

    Examples
    --------
    >>> zero = pd.DataFrame({"term": ["b"], "position": [-1]})
    >>> made = with_reference({"term": ["a"], "position": [0], "estimate": [2.0]}, zero, "y")
    >>> made["term"].tolist(), made["estimate"].tolist()
    (['b', 'a'], [0.0, 2.0])
    """
    if reference is None:
        return pd.DataFrame(dict(columns))
    n = len(reference)
    given: dict[str, Any] = {str(name): c.to_numpy() for name, c in reference.items()}
    given.update(estimate=np.zeros(n), metric=np.array([metric] * n, dtype=object))
    position = np.concatenate([np.asarray(columns["position"]), given["position"]])
    order = np.argsort(position, kind="stable")
    made: dict[str, Any] = {}
    for name, values in columns.items():
        mine = np.asarray(values, dtype=object if isinstance(values, list) else None)
        theirs = given.get(name)
        if theirs is None and mine.dtype == object:  # text, missing there
            theirs = np.full(n, np.nan, dtype=object)
        elif theirs is None:
            theirs = np.full(n, np.nan)
        made[name] = np.concatenate([mine, theirs])[order]
    return pd.DataFrame(made)
