"""Comparison: train settings × seeds, and report how the settings differ."""

from ._compare import compare
from ._report import Report
from ._runs import Run
from ._setting import Per, Setting
from ._statistics import Estimate
from ._task import MetricAverage

__all__ = [
    "Estimate",
    "MetricAverage",
    "Per",
    "Report",
    "Run",
    "Setting",
    "compare",
]
