"""Several outcomes and horizons at once: p-values that hold over all of them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from didkit.results import Estimate

__all__ = ["adjusted_p_values"]


def adjusted_p_values(estimates: Sequence[Estimate], *, level: float = 0.95) -> pd.DataFrame:
    """Stub: being written."""
    raise NotImplementedError
