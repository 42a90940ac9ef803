"""The report: every estimate and finding of a design, in one table, in words, and as a page."""

from didkit.report.evaluation import Evaluation, MetricResult
from didkit.report.files import staged, write_whole
from didkit.report.plan import Plan
from didkit.report.protocol import deviation_table, icc, protocol_table
from didkit.report.record import Deviation, PlanRecord
from didkit.report.run import evaluate
from didkit.report.spreadsheet import safe_csv
from didkit.report.text import reader_table

__all__ = [
    "Deviation",
    "Evaluation",
    "MetricResult",
    "Plan",
    "PlanRecord",
    "deviation_table",
    "evaluate",
    "icc",
    "protocol_table",
    "reader_table",
    "safe_csv",
    "staged",
    "write_whole",
]
