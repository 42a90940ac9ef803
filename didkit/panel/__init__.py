"""WHAT was measured: metrics, periods, and cells with their status and bounds."""

from didkit.panel.calendar import Calendar, Period
from didkit.panel.comparison import Comparison
from didkit.panel.geography import codes_by_era
from didkit.panel.identity import Identity, nearest, unit_id, unit_ids
from didkit.panel.metric import METRICS, Metric
from didkit.panel.panel import Panel
from didkit.panel.site_means import site_means
from didkit.panel.source import Source
from didkit.panel.status import Cells, Status

__all__ = [
    "METRICS",
    "Calendar",
    "Cells",
    "Comparison",
    "Identity",
    "Metric",
    "Panel",
    "Period",
    "Source",
    "Status",
    "codes_by_era",
    "nearest",
    "site_means",
    "unit_id",
    "unit_ids",
]
