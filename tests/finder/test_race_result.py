"""Race as data: its JSON, and which arguments it refuses."""

import json
import math
import pickle

import numpy as np
import pytest

from lrsched import Race

NAN = math.nan
RACE = Race([0.1, 1.0, 10.0], [4, 8], [[0.5, 0.3], [0.9, 0.8], [NAN, NAN]], 0.1, 8, "side by side", "0.1 won")


def test_json_brings_a_race_back():
    text = RACE.to_json()
    assert json.loads(text)["losses"] == [[0.5, 0.3], [0.9, 0.8], [None, None]]
    again = Race.from_json(text)
    for name in ("lrs", "marks", "losses"):
        np.testing.assert_array_equal(getattr(again, name), getattr(RACE, name))
    assert (again.lr, again.position, again.method, again.reason) == (0.1, 8, "side by side", "0.1 won")
    assert again.optimizer is again.batches is None
    with pytest.raises(
        ValueError, match="text must be the JSON of a race, with the keys lrs, marks, losses, lr and position"
    ):
        Race.from_json("{}")


def test_a_race_from_json_cannot_go_back():
    with pytest.raises(RuntimeError, match="needs the model and its optimizer, and this race was read from JSON"):
        Race.from_json(RACE.to_json()).retreat()


def test_arrays_are_read_only_copies():
    losses = np.array([[0.5]])
    race = Race([0.1], [4], losses, 0.1, 4)
    losses[0, 0] = 7.0
    assert race.losses[0, 0] == 0.5
    for array in (race.lrs, race.marks, race.losses):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": [[0.5]]}, r"losses must have shape \(members, rungs\) = \(2, 1\), got \(1, 1\)"),
        ({"lrs": []}, "lrs must have at least one learning rate"),
        ({"marks": [0]}, r"marks\[0\] must be an integer >= 1, got 0"),
        ({"marks": []}, r"marks must be increasing integers >= 1, at least one, got \[\]"),
        ({"lr": 0.0}, "lr must be finite, > 0, got 0.0"),
        ({"position": 0}, "position must be an integer >= 1, got 0"),
        ({"method": "both"}, "method must be one of"),
    ],
    ids=["losses", "lrs", "marks", "no marks", "lr", "position", "method"],
)
def test_wrong_arguments_are_errors(options, message):
    good = {"lrs": [0.1, 1.0], "marks": [4], "losses": [[0.5], [0.6]], "lr": 0.1, "position": 4}
    with pytest.raises(ValueError, match=message):
        Race(**{**good, **options})


def test_a_race_without_its_model_pickles():
    assert pickle.loads(pickle.dumps(RACE)).to_json() == RACE.to_json()
