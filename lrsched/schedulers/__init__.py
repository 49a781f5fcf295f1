"""Schedulers: sequence → scheduler → optimizer; metric → rule → position. Only this wing writes to param groups."""

from .._processes import Sync
from ._cyclic import CyclicLR, ScaleMode
from ._follower import Event, Nonfinite, On, preview
from ._groups import set_lr
from ._named import (
    ExponentialDecayLR,
    GeometricLR,
    ImageLR,
    InverseLR,
    InverseSqrtLR,
    SawtoothLR,
    StepDecayLR,
    TimeDecayLR,
)
from ._plateau import PlateauSequence, Repeats
from ._rules import Cutoff, Mode, Oscillation, Patience, Rule, Smoothed, ThresholdMode
from ._sequence_lr import SequenceLR

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
    "Smoothed",
    "StepDecayLR",
    "Sync",
    "ThresholdMode",
    "TimeDecayLR",
    "preview",
    "set_lr",
]
