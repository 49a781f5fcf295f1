"""Named classes that only choose a sequence: each equals `SequenceLR(optimizer, sequence)` in rates, state and repr."""

import copy
import json

import pytest
import torch

import lrsched
from lrsched import Exponential, Geometric, Inverse, InverseSqrt, Sawtooth, SequenceLR, StepDecay, TimeDecay
from tests.helpers import group_lrs
from tests.schedulers.cases import mixed

# class, its arguments, the sequence that it stands for
SHELLS = {
    "InverseLR": ("InverseLR", (), Inverse()),
    "InverseSqrtLR": ("InverseSqrtLR", (), InverseSqrt()),
    "GeometricLR": ("GeometricLR", (), Geometric(0.9)),
    "GeometricLR gamma": ("GeometricLR", (0.8,), Geometric(0.8)),
    "SawtoothLR": ("SawtoothLR", (), Sawtooth(10)),
    "SawtoothLR aligned": ("SawtoothLR", (4, True), Sawtooth(4, aligned=True)),
    "ExponentialDecayLR": ("ExponentialDecayLR", (0.1,), Exponential(0.1)),
    "StepDecayLR": ("StepDecayLR", (0.5, 3), StepDecay(0.5, 3)),
    "TimeDecayLR": ("TimeDecayLR", (0.1,), TimeDecay(0.1)),
}
FLOORS = {"no floor": 0.0, "a floor": 0.03, "a list of floors": [0.01, 0.2]}
every_shell = pytest.mark.parametrize(("name", "arguments", "sequence"), SHELLS.values(), ids=SHELLS)


def pair(name, arguments, sequence, **options):
    """Return the shell and the SequenceLR, each on its own optimizer."""
    return getattr(lrsched, name)(mixed(), *arguments, **options), SequenceLR(mixed(), sequence, **options)


def same(shell, plain):
    """Assert that both have the same rates, state and repr, except for the name of the class."""
    name = type(shell).__name__
    assert group_lrs(shell.optimizer) == group_lrs(plain.optimizer)
    assert shell.get_last_lr() == plain.get_last_lr()
    assert repr(shell) == repr(plain).replace("SequenceLR(", f"{name}(", 1)
    expected = plain.state_dict()
    expected["settings"]["class"] = name
    assert shell.state_dict() == expected


@every_shell
@pytest.mark.parametrize("min_lr", FLOORS.values(), ids=FLOORS)
def test_a_shell_equals_sequence_lr(name, arguments, sequence, min_lr):
    shell, plain = pair(name, arguments, sequence, min_lr=min_lr)
    assert isinstance(shell, SequenceLR)
    assert shell.sequence == sequence
    for _ in range(50):
        same(shell, plain)
        for scheduler in (shell, plain):
            scheduler.optimizer.step()
            scheduler.step()


@every_shell
def test_a_shell_is_resumed_like_sequence_lr(name, arguments, sequence):
    shell, plain = pair(name, arguments, sequence)
    for scheduler in (shell, plain):
        scheduler.optimizer.step()
        for _ in range(7):
            scheduler.step()
    loaded, reference = pair(name, arguments, sequence)
    loaded.load_state_dict(json.loads(json.dumps(shell.state_dict())))
    reference.load_state_dict(json.loads(json.dumps(plain.state_dict())))
    same(loaded, reference)
    again, restarted = (
        make(copy.deepcopy(plain.optimizer), *given, last_epoch=6)
        for make, given in ((getattr(lrsched, name), arguments), (SequenceLR, (sequence,)))
    )
    same(again, restarted)
    for scheduler in (loaded, reference, again, restarted):
        scheduler.optimizer.step()
        scheduler.step()
    same(loaded, reference)
    same(again, restarted)


@every_shell
def test_a_shell_adopts_a_new_group_like_sequence_lr(name, arguments, sequence):
    shell, plain = pair(name, arguments, sequence)
    for scheduler in (shell, plain):
        scheduler.optimizer.step()
        scheduler.step()
        scheduler.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.3})
        scheduler.step()
    same(shell, plain)
    assert len(shell.base_lrs) == 3
