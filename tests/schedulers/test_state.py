"""The checks and conversions of state dicts."""

import json
import math
from typing import ClassVar

import numpy as np
import pytest

from lrsched.schedulers import _state


class TestKeys:
    def test_accepts_exactly_its_keys_in_any_order(self):
        _state.check_keys("state", {"b": 1, "a": 2}, ("a", "b"))

    @pytest.mark.parametrize("state", [{"a": 1}, {"a": 1, "b": 2, "c": 3}, {}, {"a": 1, 2: 2}], ids=repr)
    def test_refuses_missing_and_unknown_keys_and_shows_both(self, state):
        with pytest.raises(ValueError, match=r"^state must be a dict with the entries \['a', 'b'\], got \[") as caught:
            _state.check_keys("state", state, ("b", "a"))
        assert all(str(key) in str(caught.value) for key in state)

    @pytest.mark.parametrize("state", [None, "ab", ["a", "b"]], ids=repr)
    def test_refuses_anything_but_a_dict(self, state):
        with pytest.raises(ValueError, match=r"^state must be a dict with the entries \['a', 'b'\], got "):
            _state.check_keys("state", state, ("a", "b"))


class TestState:
    state: ClassVar = {"version": 2, "settings": {"mode": "min"}, "position": 3}

    def own(self, mode="min"):
        return {"version": 2, "settings": {"mode": mode}, "position": 0}

    def test_accepts_its_own(self):
        assert _state.checked_state(self.state, self.own(), strict=True) == self.state

    def test_refuses_other_settings_and_shows_both_unless_not_strict(self):
        with pytest.raises(ValueError, match=r"it has \{'mode': 'min'\}, this one \{'mode': 'max'\}.*strict=False"):
            _state.checked_state(self.state, self.own("max"), strict=True)
        assert _state.checked_state(self.state, self.own("max"), strict=False) == self.state

    @pytest.mark.parametrize("strict", [True, False])
    def test_refuses_a_newer_version(self, strict):
        newer = {**self.state, "version": 3, "more": 1}
        with pytest.raises(ValueError, match=r"^state: version must be <= 2, got 3: update lrsched"):
            _state.checked_state(newer, self.own(), strict)

    @pytest.mark.parametrize("state", [None, [], {}, {"version": 1}, {"best": 1.0, "num_bad_epochs": 0}], ids=repr)
    def test_refuses_states_of_other_packages(self, state):
        with pytest.raises(ValueError, match=r"^state must be the state_dict\(\) of an? lrsched scheduler, got "):
            _state.checked_state(state, self.own(), strict=False)

    def test_refuses_a_state_without_all_its_entries(self):
        with pytest.raises(ValueError, match=r"^state must be a dict with the entries .*'position'"):
            _state.checked_state({"version": 2, "settings": {"mode": "min"}}, self.own(), strict=True)

    def test_version_1_gets_a_scale_of_1_and_what_was_written_last_is_what_was_there(self):
        old = {"version": 1, "settings": {"mode": "min"}, "base_lrs": [0.1, 0.2], "lrs": [0.05, 0.1, 0.7]}
        own = {**old, "version": 2, "scales": [], "written_lrs": []}
        found = _state.checked_state(old, own, strict=True)
        assert found == {**old, "scales": [1.0, 1.0], "written_lrs": [0.05, 0.1]}

    def test_version_1_of_a_plateau_gets_no_warm_up_and_events_as_rows(self):
        event = {"epoch": 3, "metric": 0.5, "reason": "why", "position": 1, "old_lrs": [0.1], "new_lrs": [0.05]}
        steps = {"ever": True, "since_metric": False}
        old = {"version": 1, "settings": {"mode": "min"}, "events": [event], "steps": steps}
        own = {"version": 2, "settings": {"mode": "min", "warmup": "None"}, "events": [], "steps": {}}
        found = _state.checked_state(old, own, strict=True)
        assert found["events"] == [[3, 0.5, "why", 1, [0.1], [0.05]]]
        assert found["steps"] == {"ever": True, "since_metric": False, "warm": 0}
        with pytest.raises(ValueError, match=r"'warmup': 'None'.*'warmup': 'Warmup"):
            _state.checked_state(old, {**own, "settings": {"mode": "min", "warmup": "Warmup(3)"}}, strict=True)


class TestStored:
    @pytest.mark.parametrize("value", [1.5, 0, 7, True, False, "min", None, [1.0], {"a": 1}], ids=repr)
    def test_keeps_plain_values(self, value):
        assert _state.storable(value) == value
        assert type(_state.storable(value)) is type(value)
        assert _state.stored("x", value, value) == value

    @pytest.mark.parametrize("value", [math.inf, -math.inf, np.float64("inf"), np.float64("-inf")], ids=repr)
    def test_infinite_numbers_pass_json(self, value):
        text = json.loads(json.dumps(_state.storable(value), allow_nan=False))
        assert _state.restored(text) == value
        assert type(_state.stored("x", text, 0.0)) is float
        assert _state.stored("x", text, 0.0) == value

    @pytest.mark.parametrize("value", [math.nan, np.float64("nan")], ids=repr)
    def test_nan_passes_json(self, value):
        text = json.loads(json.dumps(_state.storable(value), allow_nan=False))
        assert math.isnan(_state.stored("x", text, 0.0))

    @pytest.mark.parametrize("value", [np.float32(0.5), np.int64(3), np.bool_(True), np.str_("min")], ids=repr)
    def test_numpy_values_become_python_values(self, value):
        assert type(_state.storable(value)) is type(value.item())
        assert _state.storable(value) == value

    @pytest.mark.parametrize("value", [0.5, 3, True, "min", "infinite", None, [1.0]], ids=repr)
    def test_restores_what_was_plain_as_it_is(self, value):
        assert _state.restored(_state.storable(value)) == value
        assert type(_state.restored(_state.storable(value))) is type(value)

    def test_numbers_inside_lists_and_dicts_pass_json(self):
        value = {"window": [1.0, math.inf], "worst": {"loss": -math.inf}}
        text = json.dumps(_state.storable(value), allow_nan=False)
        assert _state.restored(json.loads(text)) == value

    def test_none_counts_as_a_float(self):
        assert _state.stored("x", None, 0.5) is None
        assert _state.stored("x", 0.5, None) == 0.5

    @pytest.mark.parametrize(
        ("value", "present", "wanted"),
        [
            (1, True, "a bool"),
            (True, 3, "one real number"),
            ("3", 3, "one real number"),
            ("3", 0.5, "one real number"),
            ([0.5], 0.5, "one real number"),
            (5, "min", "a str"),
            ((1,), [1], "a list"),
            ([1], {}, "a dict"),
        ],
        ids=repr,
    )
    def test_refuses_another_kind_and_names_it(self, value, present, wanted):
        with pytest.raises(TypeError, match=rf"^state: best must be {wanted}, got "):
            _state.stored("state: best", value, present)
