import json
import math

import pytest

from benchmarks.commands import BenchmarkError
from benchmarks.files import Records, prepare, write


def test_an_unwritable_folder_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(BenchmarkError, match=r"cannot write into the folder .*file/out"):
        prepare(file / "out")


def test_files_are_replaced_as_a_whole(tmp_path):
    write(tmp_path / "a.json", {"b": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1}
    write(tmp_path / "a.json", "text")
    assert (tmp_path / "a.json").read_text() == "text"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(BenchmarkError, match=r"cannot write .*nowhere"):
        write(tmp_path / "nowhere" / "a.json", "text")


def test_records_are_read_back_and_other_configurations_stay(tmp_path):
    records = Records(tmp_path, ("name", "seed"), {"epochs": 1})
    records.add({"name": "a", "seed": 0, "losses": [0.5, math.nan]})
    Records(tmp_path, ("name", "seed"), {"epochs": 2}).add({"name": "a", "seed": 1})
    with records.path.open("a") as file:
        file.write('{"name": "a", "se')
    again = Records(tmp_path, ("name", "seed"), {"epochs": 1})
    assert again.found == records.found == {("a", 0): {"name": "a", "seed": 0, "losses": [0.5, None]}}
    assert len(records.path.read_text().splitlines()) == 2
    records.path.write_text("[]\n")
    with pytest.raises(BenchmarkError, match=r"runs.jsonl, line 1, is not a valid record"):
        Records(tmp_path, ("name", "seed"), {"epochs": 1})
