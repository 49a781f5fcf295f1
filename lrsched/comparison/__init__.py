"""The comparison: settings × seeds → runs → report."""

from ._compare import compare
from ._member import MetricAverage, Per, Setting
from ._report import Report
from ._runs import Run

__all__ = [
    "MetricAverage",
    "Per",
    "Report",
    "Run",
    "Setting",
    "compare",
]
