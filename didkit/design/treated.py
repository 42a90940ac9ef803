"""Who was treated when: by intention, as treated, by dose, and outside the programme."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from didkit.design.design import Design

__all__ = ["treated"]


def treated(design: Design) -> pd.DataFrame:
    """Stub: being written."""
    raise NotImplementedError
