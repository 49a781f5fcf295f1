import fcntl
import os
import re

import pytest

from benchmarks import pieces
from benchmarks.commands import BenchmarkError
from benchmarks.files import Records


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def held(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_large_files_are_split_and_joined_again(tmp_path):
    held(tmp_path / "a" / "runs.jsonl.checkpoint", bytes(range(10)))
    records = held(tmp_path / "a" / "runs.jsonl", bytes(range(11)))
    checkpoint = held(tmp_path / "b" / "runs.jsonl.checkpoint1", bytes(range(25)))
    held(tmp_path / "b" / "curves.png", bytes(100))
    pieces.split(tmp_path, size=10)
    parts = [f"b/runs.jsonl.checkpoint1.piece{i}of3" for i in (1, 2, 3)]
    assert names(tmp_path) == [
        "a/runs.jsonl.checkpoint",
        "a/runs.jsonl.piece1of2",
        "a/runs.jsonl.piece2of2",
        "b/curves.png",
        *parts,
    ]
    assert [len((tmp_path / part).read_bytes()) for part in parts] == [10, 10, 5]
    pieces.split(tmp_path, size=4)  # pieces are not split again
    assert set(parts) < set(names(tmp_path))
    pieces.join(tmp_path, size=10)
    assert checkpoint.read_bytes() == bytes(range(25))
    assert records.read_bytes() == bytes(range(11))
    assert not [name for name in names(tmp_path) if "piece" in name]


def test_more_than_nine_pieces_are_joined_in_order(tmp_path):
    path = held(tmp_path / "runs.jsonl", bytes(range(25)))
    pieces.split(tmp_path, size=2)
    assert len(names(tmp_path)) == 13
    pieces.join(tmp_path)
    assert path.read_bytes() == bytes(range(25))


@pytest.mark.parametrize("left", [(1,), (2, 3), (1, 2, 3)])
def test_pieces_that_an_interrupted_call_has_left_are_dropped(tmp_path, left):
    path = held(tmp_path / "runs.jsonl.checkpoint", bytes(range(25)))
    pieces.split(tmp_path, size=10)
    for i in {1, 2, 3} - set(left):
        (tmp_path / f"{path.name}.piece{i}of3").unlink()
    path.write_bytes(bytes(range(25)))
    last = tmp_path / f"{path.name}.piece{left[-1]}of3"
    last.write_bytes(last.read_bytes()[:3])  # it was being written
    pieces.join(tmp_path, size=10)
    assert names(tmp_path) == [path.name]
    assert path.read_bytes() == bytes(range(25))


@pytest.mark.parametrize("older", ["whole", "in two pieces"])
def test_two_versions_are_an_error_that_changes_nothing(tmp_path, older):
    path = held(tmp_path / "a" / "runs.jsonl", bytes(range(15)))
    if older == "in two pieces":
        pieces.split(tmp_path, size=10)
    held(path, bytes(range(100, 125)))
    pieces.split(tmp_path, size=10)
    if older == "whole":
        held(path, bytes(range(15)))
    before = names(tmp_path)
    with pytest.raises(BenchmarkError, match=re.escape(f"{tmp_path}/a has two versions of runs.jsonl: remove the old")):
        pieces.join(tmp_path, size=10)
    assert names(tmp_path) == before


def test_a_missing_piece_is_an_error_that_changes_nothing(tmp_path):
    held(tmp_path / "a" / "runs.jsonl", bytes(range(25)))
    pieces.split(tmp_path, size=10)
    (tmp_path / "a" / "runs.jsonl.piece2of3").unlink()
    before = names(tmp_path)
    with pytest.raises(BenchmarkError, match=re.escape(f"{tmp_path}/a lacks runs.jsonl.piece2of3; copy the folder")):
        pieces.join(tmp_path)
    assert names(tmp_path) == before


def test_a_folder_in_use_is_left_alone(tmp_path):
    path = held(tmp_path / "a" / "runs.jsonl", bytes(25))
    held(tmp_path / "a" / "runs.jsonl.checkpoint", bytes(25))
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        pieces.split(tmp_path, size=10)
        assert names(tmp_path) == ["a/runs.jsonl", "a/runs.jsonl.checkpoint"]
    pieces.split(tmp_path, size=10)
    assert len(names(tmp_path)) == 6


def test_records_in_pieces_are_found(tmp_path):
    Records(tmp_path, ("seed",), {"rates": 4}).add({"seed": 1, "loss": 0.5})
    pieces.split(tmp_path, size=os.path.getsize(tmp_path / "runs.jsonl") - 5)
    assert len(names(tmp_path)) == 2
    assert Records(tmp_path, ("seed",), {"rates": 4}).found == {(1,): {"seed": 1, "loss": 0.5}}
