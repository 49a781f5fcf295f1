import json

import numpy as np
import pytest

from lrsched.finder._json import json_text, json_values


def test_non_finite_numbers_become_null_in_arrays_of_every_dimension():
    text = json_text(a=np.array([1.5, np.nan]), b=np.array([[np.inf, 2.0]]), c=np.array([3]), d="word")
    assert json.loads(text, parse_constant=pytest.fail) == {
        "version": 1,
        "a": [1.5, None],
        "b": [[None, 2.0]],
        "c": [3],
        "d": "word",
    }


def test_only_known_values_are_read_back():
    assert json_values('{"a": 1, "b": 2, "other": 3}', "thing", ("a",), ("b", "c")) == {"a": 1, "b": 2}


@pytest.mark.parametrize("text", ["[1]", "{}", '{"a": 1}', "3"])
def test_text_without_the_required_keys_is_refused(text):
    with pytest.raises(ValueError, match=r"^text must be the JSON of a thing, with the keys a and b$"):
        json_values(text, "thing", ("a", "b"), ())


def test_a_newer_version_is_refused():
    with pytest.raises(ValueError, match=r"^text: version must be <= 1, got 2: update lrsched to read it$"):
        json_values('{"version": 2, "a": 1, "b": 2}', "thing", ("a", "b"), ())
