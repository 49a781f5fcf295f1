import pytest

from benchmarks import pieces


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_large_checkpoints_are_split_and_joined_again(tmp_path):
    small, large = tmp_path / "a" / "runs.jsonl.checkpoint", tmp_path / "b" / "runs.jsonl.checkpoint1"
    small.parent.mkdir()
    large.parent.mkdir()
    small.write_bytes(bytes(range(10)))
    large.write_bytes(bytes(range(25)))
    (tmp_path / "b" / "runs.jsonl").write_bytes(bytes(100))
    pieces.split(tmp_path, size=10)
    parts = [f"b/runs.jsonl.checkpoint1.piece{i}of3" for i in (1, 2, 3)]
    assert names(tmp_path) == ["a/runs.jsonl.checkpoint", "b/runs.jsonl", *parts]
    assert [len((tmp_path / part).read_bytes()) for part in parts] == [10, 10, 5]
    pieces.split(tmp_path, size=4)  # pieces are not split again
    assert set(parts) < set(names(tmp_path))
    pieces.join(tmp_path)
    assert "b/runs.jsonl.checkpoint1" in names(tmp_path)
    assert large.read_bytes() == bytes(range(25))
    assert not [name for name in names(tmp_path) if "piece" in name]


@pytest.mark.parametrize("left", ["the checkpoint is there", "a piece is missing"])
def test_pieces_of_an_interrupted_call_are_dropped(tmp_path, left):
    path = tmp_path / "runs.jsonl.checkpoint"
    path.write_bytes(bytes(range(25)))
    pieces.split(tmp_path, size=10)
    if left == "a piece is missing":
        (tmp_path / "runs.jsonl.checkpoint.piece3of3").unlink()
    else:
        path.write_bytes(b"whole")
    pieces.join(tmp_path)
    assert names(tmp_path) == ([path.name] if path.exists() else [])
    assert not path.exists() or path.read_bytes() == b"whole"
