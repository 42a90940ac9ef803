"""The report: every estimate and finding of a design, in one table, in words, and as a page."""

from didkit.report.evaluation import Evaluation, MetricResult
from didkit.report.files import write_whole
from didkit.report.run import evaluate
from didkit.report.spreadsheet import safe_csv
from didkit.report.text import reader_table

__all__ = [
    "Evaluation",
    "MetricResult",
    "evaluate",
    "reader_table",
    "safe_csv",
    "write_whole",
]
