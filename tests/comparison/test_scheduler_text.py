"""Finished runs are found by how their scheduler was described, whatever version of the state described it."""

import json

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, SequentialLR

from lrsched import (
    Cutoff,
    CyclicLR,
    Geometric,
    ImageLR,
    Inverse,
    Oscillation,
    PlateauSequence,
    Run,
    Sawtooth,
    SequenceLR,
    Triangular,
    Warmup,
)
from lrsched.comparison._checkpoint import Checkpoint
from lrsched.comparison._runs import RunFile
from lrsched.comparison._scheduler_text import comparable, scheduler_text

PICTURE = torch.arange(24).reshape(4, 6).to(torch.uint8).numpy()
BASES = '"last_epoch": 0, "_step_count": 1, "base_lrs": [0.1], "lrs": [0.1]'
PLATEAU = (
    '"position": 0, "last_epoch": 0, "_step_count": 1, "base_lrs": [0.1], "lrs": [0.1], "rule": {"last": null}, '
    '"events": [], "last_metric": null, "steps": {"ever": false, "since_metric": false}}'
)

# Descriptions as version 1 of the states wrote them, and what makes these schedulers now.
VERSION_1 = {
    "SequenceLR": (
        'SequenceLR {"version": 1, "settings": {"class": "SequenceLR", "sequence": "Inverse()", "min_lr": 0.0}, '
        + BASES
        + "}",
        lambda optimizer: SequenceLR(optimizer, Inverse()),
    ),
    "PlateauSequence": (
        'PlateauSequence {"version": 1, "settings": {"class": "PlateauSequence", "sequence": "Inverse()", '
        '"min_lr": 0.0, "rule": "Oscillation(previous=None)", "mode": "min"}, ' + PLATEAU,
        lambda optimizer: PlateauSequence(optimizer, Inverse(), on="oscillate"),
    ),
    "CyclicLR": (
        'CyclicLR {"version": 1, "settings": {"class": "CyclicLR", "sequence": "Triangular(up=1000, down=None, '
        'mode=\'triangular\', gamma=1.0)", "min_lr": 0.0, "base_lr": 1e-05, "max_lr": 0.01, '
        '"cycle_momentum": false, "max_momentum": 0.9, "base_momentum": 0.8}, "last_epoch": 0, "_step_count": 1, '
        '"base_lrs": [1e-05], "lrs": [1e-05], "momenta": [], "scale_fn": null}',
        lambda optimizer: CyclicLR(optimizer, 1e-5, 0.01, step_size_up=1000, cycle_momentum=False),
    ),
    "inside torch's SequentialLR": (
        'SequentialLR {"_milestones": [2], "last_epoch": 0, "_last_lr": [0.1], "_schedulers": ['
        '{"version": 1, "settings": {"class": "SequenceLR", "sequence": "Inverse()", "min_lr": 0.0}, '
        + BASES
        + '}, {"version": 1, "settings": {"class": "SequenceLR", "sequence": "Geometric(gamma=0.9)", "min_lr": 0.0}, '
        '"last_epoch": -1, "_step_count": 1, "base_lrs": [0.1], "lrs": [0.1]}]}',
        lambda optimizer: SequentialLR(
            optimizer, [SequenceLR(optimizer, Inverse()), SequenceLR(optimizer, Geometric())], [2]
        ),
    ),
}


def text(make):
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    return scheduler_text(make(optimizer))


def same(a, b):
    return comparable({"scheduler": a}) == comparable({"scheduler": b})


@pytest.mark.parametrize("name", VERSION_1)
def test_a_description_of_version_1_equals_the_present_one(name):
    old, make = VERSION_1[name]
    assert same(old, text(make))


def test_a_description_of_version_1_has_no_warm_up():
    old, _ = VERSION_1["PlateauSequence"]
    assert not same(old, text(lambda optimizer: PlateauSequence(optimizer, Inverse(), on="oscillate", warmup=5)))


def test_descriptions_differ_in_every_setting_and_in_the_position():
    texts = [
        "None",
        *map(
            text,
            [
                lambda optimizer: SequenceLR(optimizer, Inverse()),
                lambda optimizer: SequenceLR(optimizer, Inverse(), min_lr=0.01),
                lambda optimizer: SequenceLR(optimizer, Geometric()),
                lambda optimizer: SequenceLR(optimizer, Sawtooth(5)),
                lambda optimizer: SequenceLR(optimizer, Triangular()),
                started_at_position_2,
                lambda optimizer: ImageLR(optimizer, PICTURE, 20),
                lambda optimizer: PlateauSequence(optimizer, Inverse()),
                lambda optimizer: PlateauSequence(optimizer, Inverse(), mode="max"),
                lambda optimizer: PlateauSequence(optimizer, Inverse(), on=Cutoff(0.1)),
                lambda optimizer: PlateauSequence(optimizer, Inverse(), on=Cutoff(0.2)),
                lambda optimizer: PlateauSequence(optimizer, Inverse(), on=Oscillation()),
                lambda optimizer: PlateauSequence(optimizer, Inverse(), on=Oscillation(previous=0.0)),
                lambda optimizer: PlateauSequence(optimizer, Inverse(), warmup=5),
                lambda optimizer: PlateauSequence(optimizer, Inverse(), warmup=Warmup(5)),
                lambda optimizer: CyclicLR(optimizer, 0.1, 0.2, cycle_momentum=False),
                lambda optimizer: CyclicLR(optimizer, 0.1, 0.3, cycle_momentum=False),
            ],
        ),
    ]
    assert len({str(comparable({"scheduler": entry})) for entry in texts}) == len(texts)


def started_at_position_2(optimizer):
    optimizer.param_groups[0]["initial_lr"] = 0.1
    return SequenceLR(optimizer, Inverse(), last_epoch=1)


def test_a_description_does_not_depend_on_the_version():
    assert text(lambda optimizer: PlateauSequence(optimizer, Inverse(), on="oscillate")) == (
        'PlateauSequence {"settings": {"class": "PlateauSequence", "sequence": "Inverse()", "min_lr": 0.0, '
        '"rule": "Oscillation(previous=None)", "mode": "min"}, "position": 0, "last_epoch": 0}'
    )


def test_what_a_subclass_adds_to_its_state_counts():
    class Named(SequenceLR):
        def __init__(self, optimizer, name):
            super().__init__(optimizer, Inverse())
            self.name = name

        def state_dict(self):
            return {**super().state_dict(), "name": self.name}

    assert not same(*(text(lambda optimizer, name=name: Named(optimizer, name)) for name in "ab"))


def test_schedulers_of_others_are_described_by_their_whole_state():
    def make(optimizer):
        return ExponentialLR(optimizer, 0.5)

    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    assert text(make) == f"ExponentialLR {json.dumps(make(optimizer).state_dict())}"
    assert same(text(make), text(make))
    assert not same(text(make), text(make).replace('"last_epoch": 0', '"last_epoch": 1'))


@pytest.mark.parametrize("scheduler", ["None", "Mine", "Mine {", "Mine {} {}"])
def test_other_texts_are_compared_as_they_are(scheduler):
    assert comparable({"scheduler": scheduler, "epochs": 2}) == {"scheduler": scheduler, "epochs": 2}


def test_runs_recorded_with_version_1_are_finished_and_their_lines_stay(tmp_path):
    old, make = VERSION_1["PlateauSequence"]
    path = tmp_path / "runs.jsonl"
    RunFile(path, {"a": {"epochs": 2, "scheduler": old}}).add([Run("a", 0, [1.0], [0.5])])
    line = path.read_bytes()
    now = {"a": {"epochs": 2, "scheduler": text(make)}}
    file = RunFile(path, now)
    assert list(file.runs) == [("a", 0)]
    file.add([Run("a", 0, [1.0], [0.5]), Run("a", 1, [1.0], [0.5])])
    assert path.read_bytes().startswith(line)
    first, second = map(json.loads, path.read_bytes().splitlines())
    assert (first["config"]["scheduler"], second["config"]) == (old, now["a"])
    assert list(RunFile(path, now).runs) == [("a", 0), ("a", 1)]
    assert RunFile(path, {"a": {**now["a"], "epochs": 3}}).runs == {}


def test_a_checkpoint_made_with_version_1_is_resumed(tmp_path):
    old, make = VERSION_1["PlateauSequence"]
    held = {"pairs": [("a", 0)], "method": "", "configs": {"a": {"scheduler": old}}, "state": {}, "random": None}
    torch.save({**held, "cuda": None}, tmp_path / "checkpoint")
    assert Checkpoint(tmp_path / "checkpoint").pairs({"a": {"scheduler": text(make)}}) == [("a", 0)]
    assert Checkpoint(tmp_path / "checkpoint").pairs({"a": {"scheduler": "None"}}) == []
    assert Checkpoint(tmp_path / "checkpoint").pairs({}) == []
