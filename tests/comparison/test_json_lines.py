"""JSON-lines files survive a kill."""

import math
import os

import pytest

from lrsched.comparison._json_lines import append_lines, plain, read_lines


def test_lines_are_read_back_in_order(tmp_path):
    path = tmp_path / "new folder" / "lines.jsonl"
    assert read_lines(path) == []
    append_lines(path, [{"a": 1}, [2.5, math.nan]])
    append_lines(path, [None])
    assert read_lines(path) == [b'{"a": 1}', b"[2.5, null]", b"null"]


def test_an_unfinished_line_is_cut_off(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": ')
    assert read_lines(path) == [b'{"a": 1}']
    assert path.read_bytes() == b'{"a": 1}\n'


def test_lines_are_on_disk_when_append_returns(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    append_lines(tmp_path / "lines.jsonl", [1, 2])
    assert synced == [4]


def test_a_folder_cannot_be_read_as_lines(tmp_path):
    with pytest.raises(OSError, match="Is a directory"):
        read_lines(tmp_path)


def test_plain_values_are_what_json_gives_back():
    found = plain({1: (math.inf, -0.5), "b": [math.nan, True, None, "x"]})
    assert found == {"1": [None, -0.5], "b": [None, True, None, "x"]}
