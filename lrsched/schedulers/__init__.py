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
from ._one_cycle import AnnealStrategy, OneCycleLR
from ._param_schedule import ParamSchedule
from ._plateau import PlateauSequence, Repeats
from ._rules import Cutoff, Mode, Oscillation, Patience, Rule, Smoothed, ThresholdMode
from ._sequence_lr import SequenceLR

__all__ = [
    "AnnealStrategy",
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
    "OneCycleLR",
    "Oscillation",
    "ParamSchedule",
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
