"""`python -m benchmarks all`: parts run in turn, end in time, and resume."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import everything, machine
from benchmarks import parts as parts_module
from benchmarks.__main__ import main
from benchmarks.everything import Deadline
from benchmarks.parts import Fit, Part, Parts

ROOT = Path(__file__).parents[2]

WORKER = """
import pathlib, sys, time
folder, kind = pathlib.Path(sys.argv[1]), sys.argv[2]
folder.joinpath("started").touch()
print("at work")
if kind == "fails":
    sys.exit(3)
try:
    while kind != "ends" and not folder.joinpath("enough").exists():
        time.sleep(0.01)
except KeyboardInterrupt:
    time.sleep(60 if kind == "stubborn" else 0)
    folder.joinpath("report").touch()
    sys.exit(130)
folder.joinpath("done").touch()
"""


class Workers(Parts):
    """Parts that run the worker above; each has one unit, which is done if the worker has ended by itself."""

    kinds, changes = ("ends", "waits"), {}

    @property
    def makers(self):
        return {kind: lambda kind=kind: self.worker(kind) for kind in self.kinds}

    def worker(self, kind):
        folder = self._folder(kind)
        words = ["worker", str(folder), kind]
        part = Part(kind, f"to see what {kind}", folder, words, 1, int((folder / "done").exists()), seconds=5.0)
        return replace(part, **self.changes)


@pytest.fixture
def workers(tmp_path, monkeypatch):
    """Replace the parts by workers of these kinds."""
    (tmp_path / "worker.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.setattr(parts_module, "LEAST", 2.0)

    def use(*kinds, **changes):
        monkeypatch.setattr(everything, "Parts", type("Used", (Workers,), {"kinds": kinds, "changes": changes}))
        return tmp_path / "results"

    return use


def run(results, *options):
    return main(["all", "--results", str(results), *options])


def test_parts_run_in_turn_and_finished_ones_do_not_run_again(workers, capfd):
    results = workers("ends")
    assert run(results) == 0
    printed = capfd.readouterr().out
    assert "ends: 1 of 1 to do, about 15 s." in printed
    assert "at work" in printed
    assert "Nothing is left." in printed
    assert run(results) == 0
    assert "at work" not in capfd.readouterr().out


def test_the_list_runs_nothing(workers, capfd):
    results = workers("ends", "waits")
    assert run(results, "--list") == 0
    printed = capfd.readouterr().out
    assert re.search(r"ends +to see what ends +1 +1 +15 s", printed)
    assert f"\nwaits: python -m worker {results / 'waits'} waits\n" in printed
    assert "Left: about 30 s." in printed
    assert not (results / "ends").exists()


def test_only_the_chosen_parts_run(workers, capfd):
    results = workers("fails", "ends")
    assert run(results, "--parts", "ends") == 0
    assert not (results / "fails").exists()
    assert "fails" not in capfd.readouterr().out
    assert run(results, "--parts", "ends,begins") == 1
    assert "error: unknown part 'begins'; choose from fails, ends" in capfd.readouterr().err


def test_a_part_is_stopped_in_time_as_by_ctrl_c(workers, capfd):
    results, started = workers("waits", "ends"), time.monotonic()
    assert run(results, "--minutes", "0.1") == 0
    assert time.monotonic() - started < 6
    assert (results / "waits" / "report").exists()
    assert not (results / "ends").exists()  # too little time was left
    printed = capfd.readouterr().out
    assert "waits: time is up." in printed
    assert "Left: about 30 s." in printed


def test_a_part_that_does_not_stop_is_killed(workers):
    results, started = workers("stubborn"), time.monotonic()
    assert run(results, "--minutes", "0.1") == 0
    assert time.monotonic() - started < 30  # not 60
    assert (results / "stubborn" / "started").exists()
    assert not (results / "stubborn" / "report").exists()


def test_a_part_that_cannot_be_stopped_starts_only_if_it_fits(workers):
    results = workers("ends", loses="all", seconds=3600.0)
    assert run(results, "--minutes", "2") == 0
    assert not (results / "ends").exists()
    assert run(results) == 0
    assert (results / "ends" / "done").exists()


def test_a_failure_does_not_prevent_the_parts_after_it(workers, capfd):
    results = workers("fails", "ends")
    assert run(results) == 1
    assert (results / "ends" / "done").exists()
    assert "Failed, see above: fails." in capfd.readouterr().out


def test_what_a_part_prints_is_kept_if_that_is_its_result(workers, tmp_path):
    text = tmp_path / "results" / "ends" / "printed.txt"
    results = workers("ends", text=text)
    assert run(results) == 0
    assert text.read_text().splitlines() == [machine.note(torch.device("cpu")), "at work"]
    text.unlink()
    results = workers("waits", text=text)
    run(results, "--minutes", "0.1")
    assert not text.exists()  # it was stopped


def test_what_a_part_prints_is_no_result_if_it_fails(workers, tmp_path, capfd):
    text = tmp_path / "results" / "fails" / "printed.txt"
    results = workers("fails", text=text)
    assert run(results) == 1
    assert not text.exists()
    kept = text.with_name("printed.txt.part")
    assert kept.read_text().splitlines()[1:] == ["at work"]
    assert f"fails: what it printed is in {kept}." in capfd.readouterr().out


def test_a_length_is_chosen_once_training_has_begun(workers):
    fit = Fit(seconds=1.0, share=0.5, shortest=1, longest=1000)

    class Fitted(Workers):
        kinds = ("ends",)

        def worker(self, kind):
            length = self.lengths.get(kind)
            return replace(super().worker(kind), fit=None if length else fit, length=length)

    results = workers("ends")
    everything.Parts = Fitted  # the fixture puts it back
    assert run(results, "--minutes", "2") == 0

    def length_for(minutes):
        (results / "ends" / "done").unlink()
        assert run(results, "--minutes", minutes) == 0
        return json.loads((results / "lengths.json").read_text())["ends"]

    assert 40 < json.loads((results / "lengths.json").read_text())["ends"] <= 50  # half of 100 seconds
    assert 100 < length_for("4") <= 105  # nothing was trained at the other length
    (results / "ends" / "runs.jsonl").touch()
    longer = length_for("5")
    assert 130 < longer <= 135
    (results / "ends" / "runs.jsonl.checkpoint").write_bytes(b"begun")
    assert length_for("2") == longer


def test_a_part_waits_for_time_for_a_quarter_of_its_shortest_length(workers):
    fit = Fit(seconds=10.0, share=0.5, shortest=100, longest=1000)
    results = workers("ends", fit=fit)
    assert run(results, "--minutes", "4") == 0  # without the 30 s to stop in, less than 250 s
    assert not (results / "ends" / "started").exists()
    assert run(results, "--minutes", "6") == 0
    assert (results / "ends" / "started").exists()


def test_large_checkpoints_are_in_pieces_only_between_calls(workers):
    results = workers("ends")
    whole = results / "ends" / "runs.jsonl.checkpoint"
    whole.parent.mkdir(parents=True)
    content = os.urandom(17_000_000)
    whole.write_bytes(content)
    assert run(results) == 0
    pieces = sorted(whole.parent.glob("*.piece*"))
    assert [path.stat().st_size for path in pieces] == [16_000_000, 1_000_000]
    assert not whole.exists()
    (results / "ends" / "done").unlink()
    (results / "ends" / "started").unlink()
    seen = []
    original = everything.run_part
    everything.run_part = lambda *args: seen.append(whole.read_bytes()) or original(*args)
    try:
        assert run(results) == 0
    finally:
        everything.run_part = original
    assert seen == [content]


def test_a_killed_parent_takes_its_part_along_and_the_next_waits_for_it(workers, tmp_path):
    results = workers("waits")
    code = (
        "import sys; from tests.benchmarks import test_everything as t; t.everything.Parts = t.Workers; "
        "t.Workers.kinds = ('waits',); sys.exit(t.run(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(results)], cwd=ROOT)
    wait_for(results / "waits" / "started", process)
    process.kill()
    process.wait()
    (results / "waits" / "enough").touch()
    assert run(results) == 0
    assert (results / "waits" / "report").exists()  # of the orphan, which ended first
    assert (results / "waits" / "done").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--minutes", "0"], "--minutes: must be a number above 0, got 0"),
        (["--minutes", "inf"], "--minutes: must be a number above 0, got inf"),
        (["--minutes", "soon"], "invalid minutes value"),
        (["--limit", "0"], "--limit: must be an integer >= 1, got 0"),
        (["--epochs", "-1"], "--epochs: must be an integer >= 1, got -1"),
    ],
)
def test_bad_options_are_named(options, message, capsys, tmp_path):
    with pytest.raises(SystemExit):
        run(tmp_path, *options)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "toaster"], "error: --device"),
        (["--device", "meta"], "error: --device"),
        (["--results", __file__], "error: cannot write into the folder "),
    ],
)
def test_unusable_devices_and_folders_are_named(options, message, capsys, tmp_path):
    assert main(["all", "--results", str(tmp_path), *options]) == 1
    assert message in capsys.readouterr().err


def test_damaged_lengths_are_named(capsys, tmp_path):
    (tmp_path / "lengths.json").write_text("{")
    assert run(tmp_path, "--list") == 1
    assert f"error: {tmp_path / 'lengths.json'} is not valid: " in capsys.readouterr().err


def test_without_minutes_there_is_no_deadline():
    assert Deadline(None).left == float("inf")
    assert 85 < Deadline(2.0).left <= 100  # 20 of 120 seconds are for the last report
    assert Deadline(60.0).left > 3600 - 31


# ---------------------------------------------------------------- with a real command


TRAINED = ["digits", "--epochs", "3", "--settings", "seq3-epoch", "--plain", "--seeds", "16"]


class Digits(Parts):
    """One part, which trains digits."""

    @property
    def makers(self):
        return {"digits": self.digits}

    def digits(self):
        folder = self._folder("digits")
        done = len(self._runs(folder, "digits", ["seq3-epoch"], 16, 3))
        return Part("digits", "all", folder, self._command("digits", folder, TRAINED[1:]), 16, done, seconds=0.1)

    def _title(self, dataset):
        return "Digits (8x8)"


def wait_for(path, process, lines=0):
    """Wait until a file exists and has so many lines."""
    deadline = time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, "ended too early"
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.01)


def outcome(results):
    """Return all files by name; of runs, what does not depend on time."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results).as_posix()
        if path.name == "runs.jsonl":
            runs = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{**run, "seconds": 0, "resumed": []} for run in runs]
        elif path.is_file():
            found[name] = re.sub(r"\d+ s of", "", path.read_text()) if path.suffix == ".md" else None
    return found


def test_killed_twice_and_resumed_it_ends_with_the_same_files(tmp_path, monkeypatch):
    assert main([*TRAINED, "--out", str(tmp_path / "straight" / "digits")]) == 0
    killed = tmp_path / "killed"
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from tests.benchmarks import test_everything as t; t.everything.Parts = t.Digits; sys.exit(t.run(sys.argv[1]))"
    )
    for how, code_of_exit, lines in ((signal.SIGKILL, -9, 2), (signal.SIGINT, 130, 6)):
        process = subprocess.Popen([sys.executable, "-c", code, str(killed)], cwd=ROOT)
        try:
            wait_for(killed / "digits" / "runs.jsonl", process, lines)
            process.send_signal(how)
            assert process.wait(60) == code_of_exit
        finally:
            process.kill()
    assert 0 < Digits(Namespace(device="cpu", limit=None, results=killed), {}).digits().left < 16
    monkeypatch.setattr(everything, "Parts", Digits)
    assert run(killed) == 0
    assert outcome(killed) == outcome(tmp_path / "straight")
