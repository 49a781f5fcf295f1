"""Schedulers: sequence → scheduler → optimizer; metric → rule → position. Only this wing writes param groups."""

from .._processes import Sync
from ._plateau import PlateauSequence, Repeats, preview
from ._rules import Cutoff, Event, Mode, Nonfinite, On, Oscillation, Patience, Rule, ThresholdMode
from ._sequence_lr import (
    CyclicLR,
    ExponentialDecayLR,
    GeometricLR,
    ImageLR,
    InverseLR,
    InverseSqrtLR,
    SawtoothLR,
    ScaleMode,
    SequenceLR,
    StepDecayLR,
    TimeDecayLR,
)

__all__ = [
    "Cutoff",
    "CyclicLR",
    "Event",
    "ExponentialDecayLR",
    "GeometricLR",
    "ImageLR",
    "InverseLR",
    "InverseSqrtLR",
    "Mode",
    "Nonfinite",
    "On",
    "Oscillation",
    "Patience",
    "PlateauSequence",
    "Repeats",
    "Rule",
    "SawtoothLR",
    "ScaleMode",
    "SequenceLR",
    "StepDecayLR",
    "Sync",
    "ThresholdMode",
    "TimeDecayLR",
    "preview",
]
