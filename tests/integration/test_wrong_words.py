"""A word that is not among an option's Literal type is an error of mypy, not only of a run."""

import re
import subprocess
import sys

PROGRAM = """\
import torch
from lrsched import Geometric, OneCycle, PlateauSequence, Ramp, Setting, Warmup, by_name, range_test


def wrong(optimizer: torch.optim.Optimizer, model: torch.nn.Module) -> None:
    PlateauSequence(optimizer, Geometric(0.5), mode="mni")
    PlateauSequence(optimizer, Geometric(0.5), on="eiter")
    Ramp(0.1, 1.0, 10, scale="logg")
    range_test(model, optimizer, lambda model, batch: model(batch), [torch.zeros(1)], sync="men")
    Setting(lambda parameters: optimizer, per="epok")
    Warmup(5, shape="lin")
    OneCycle(5, shape="cos")
    by_name(name="cosin", steps=100)


def right(optimizer: torch.optim.Optimizer, model: torch.nn.Module) -> None:
    PlateauSequence(optimizer, Geometric(0.5), mode="min")
    PlateauSequence(optimizer, Geometric(0.5), on="either")
    Ramp(0.1, 1.0, 10, scale="log")
    range_test(model, optimizer, lambda model, batch: model(batch), [torch.zeros(1)], sync="mean")
    Setting(lambda parameters: optimizer, per="epoch")
    Warmup(5, shape="linear")
    OneCycle(5, shape="cosine")
    by_name(name="cosine", steps=100)
"""
WRONG = {6: "mode", 7: "on", 8: "scale", 9: "sync", 10: "per", 11: "shape", 12: "shape", 13: "name"}  # line → argument


def test_mypy_finds_each_wrong_word_and_nothing_else(tmp_path):
    program = tmp_path / "wrong_words.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}", "--config-file=", program]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    errors = re.findall(
        r"^[^\n]*wrong_words\.py:(\d+): error: Argument \"(\w+)\" to \"\w+\" has", done.stdout, re.MULTILINE
    )
    assert {int(line): name for line, name in errors} == WRONG, done.stdout + done.stderr
    assert f"Found {len(WRONG)} errors in 1 file" in done.stdout
