import os
import subprocess
import sys
from itertools import islice
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import lrsched
from lrsched import __main__ as command
from lrsched import plot
from lrsched.sequences._language import NAMES


def run(*arguments, lines=None):
    """Run `python -m lrsched` in a process of its own, and read only the first lines that it prints."""
    argv = [sys.executable, "-W", "error", "-m", "lrsched", *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        printed = list(islice(process.stdout, lines))
        process.stdout.close()
        errors = process.stderr.read()
    return process.returncode, printed, errors


def refused(capsys, *arguments):
    """Return the one line that bad arguments print to stderr."""
    with pytest.raises(SystemExit) as exit_:
        command.main(list(arguments))
    captured = capsys.readouterr()
    assert (exit_.value.code, captured.out) == (2, "")
    assert captured.err.endswith("\n")
    assert captured.err.count("\n") == 1
    return captured.err


def table(capsys, *arguments):
    """Return the printed table as rows of words."""
    command.main(list(arguments))
    return [line.split() for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def drawn(monkeypatch):
    """Collect the drawings that would be saved."""
    saved = []
    monkeypatch.setattr(plot, "save", lambda ax, path: saved.append((ax, path)))
    return saved


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.array([[0, 51], [102, 255]], dtype=np.uint8)).save(path)
    return str(path)


# show


def test_show_prints_a_table(capsys):
    assert table(capsys, "show", "inverse", "geometric:gamma=0.5", "--steps", "4") == [
        ["k", "inverse", "geometric:gamma=0.5"],
        ["0", "1", "1"],
        ["1", "0.5", "0.5"],
        ["2", "0.333333", "0.25"],
        ["3", "0.25", "0.125"],
    ]


def test_show_prints_fifty_positions_times_the_base_rate(capsys):
    rows = table(capsys, "show", "inverse", "--lr", "1e-5")
    assert len(rows) == 51
    assert rows[3] == ["2", "3.33333e-06"]


def test_columns_are_aligned(capsys):
    command.main(["show", "Warmup(5).then(Linear(9), at=5)", "inverse", "--steps", "11", "--lr", "1e-7"])
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].startswith(" 0 ")
    assert lines[11].startswith("10 ")


def test_show_draws_what_it_would_print(drawn):
    command.main(["show", "inverse", "sawtooth:4", "--steps", "6", "--lr", "0.5", "--log", "-o", "a.png"])
    [(ax, path)] = drawn
    assert path == "a.png"
    assert [text.get_text() for text in ax.texts] == ["inverse", "sawtooth:4"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.5, 0.25, 1 / 6, 0.125, 0.1, 1 / 12])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [0.5, 0.375, 0.25, 0.0625, 0.25, 0.1875])
    assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "learning rate")


def test_show_writes_png_and_svg(tmp_path, capsys):
    for name in ("a.png", "a.svg"):
        command.main(["show", "inverse", "geometric:gamma=0.95", "sawtooth", "-o", str(tmp_path / name)])
    assert capsys.readouterr().out == ""
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1080, 600)
        assert len(image.convert("RGB").getcolors(1 << 20)) > 100
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("}svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["invrse"],
            "python -m lrsched: invrse: unknown schedule 'invrse' (did you mean 'inverse'?)",
        ),
        (["inverse", "geometric:2"], "geometric:2: gamma must be finite, > 0 and <= 1, got 2 (int)"),
        (["inverse", "--steps", "0"], "--steps must be an integer >= 1, got 0"),
        (["inverse", "--steps", "ten"], "argument --steps: invalid int value: 'ten'"),
        (["inverse", "--lr", "nan"], "--lr must be finite, >= 0, got nan (float)"),
        (["inverse", "--lr", "-1"], "--lr must be finite, >= 0, got -1.0 (float)"),
        (["inverse", "--log"], "--log needs a drawing: add -o FILE"),
        (["inverse", "-o", "a.jpg"], "path must end in one of .pdf, .png, .svg, got 'a.jpg'"),
        (["inverse", "-o", "missing/a.png"], "No such file or directory: 'missing/a.png'"),
        (["inverse", "--lr", "0", "--log", "-o", "a.png"], "a logarithmic axis needs a value > 0, got none"),
        (["inverse", "--steps", "1" + 17 * "0", "-o", "a.png"], "llocate"),
        ([], "the following arguments are required: SCHEDULE"),
    ],
)
def test_show_refuses_in_one_line(capsys, arguments, message):
    assert message in refused(capsys, "show", *arguments)


def test_drawing_without_matplotlib_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert table(capsys, "show", "inverse", "--steps", "1") == [["k", "inverse"], ["0", "1"]]
    hint = "drawing needs matplotlib: pip install matplotlib"
    assert hint in refused(capsys, "show", "inverse", "-o", "a.png")


# image


def test_image_prints_factors_and_learning_rates(capsys, photo):
    arguments = ["--steps", "5", "--channels", "gray", "--order", "serpentine", "--base-lr", "1", "--max-lr", "11"]
    assert table(capsys, "image", photo, *arguments) == [
        ["k", "factor", "learning", "rate"],
        ["0", "0", "1"],
        ["1", "0.2", "3"],
        ["2", "1", "11"],
        ["3", "0.4", "5"],
        ["4", "0.4", "5"],  # the picture has four pixels, so the last one is held
    ]


def test_image_draws_the_picture_beside_its_rates(drawn, photo):
    command.main(["image", photo, "--steps", "4", "--channels", "gray", "-o", "a.png"])
    [(left, path)] = drawn
    _, right = left.figure.axes
    np.testing.assert_allclose(left.images[0].get_array(), [[0, 0.2], [0.4, 1]])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1e-5, 0.002008, 0.004006, 1e-2])
    assert (path, right.get_title(loc="left")) == ("a.png", "photo.png as 4 learning rates")


def test_image_writes_the_file(tmp_path, photo):
    command.main(["image", photo, "-o", str(tmp_path / "out.png")])
    with Image.open(tmp_path / "out.png") as image:
        assert image.width > 2 * image.height
        assert len(image.convert("RGB").getcolors(1 << 20)) > 100


def test_image_refuses_in_one_line(capsys, tmp_path, photo):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    assert "image: cannot read" in refused(capsys, "image", str(broken))
    assert "No such file" in refused(capsys, "image", str(tmp_path / "none.png"))
    assert "--steps must be an integer >= 1" in refused(capsys, "image", photo, "--steps", "0")
    assert "--max-lr must be finite" in refused(capsys, "image", photo, "--max-lr", "inf")
    assert "--order: invalid choice: 'zigzag'" in refused(capsys, "image", photo, "--order", "zigzag")


# The whole command


def test_without_a_command_it_prints_help(capsys):
    command.main([])
    printed = capsys.readouterr().out
    assert printed.startswith("usage: python -m lrsched")
    assert "show" in printed
    assert "image" in printed


def test_help_lists_every_schedule_with_its_arguments(capsys):
    with pytest.raises(SystemExit, match="0"):
        command.main(["show", "--help"])
    printed = capsys.readouterr().out
    assert "\n  step-decay    drop, interval\n" in printed
    assert all(f"\n  {name}" in printed for name in NAMES)


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        command.main(["--version"])
    assert capsys.readouterr().out == f"lrsched {lrsched.__version__}\n"


def test_an_unknown_command(capsys):
    assert "invalid choice: 'draw'" in refused(capsys, "draw")


def test_the_command_itself(tmp_path):
    drawing = str(tmp_path / "out.png")
    assert run("show", "inverse", "geometric:gamma=0.95", "sawtooth", "--steps", "50", "-o", drawing) == (0, [], "")
    assert os.path.getsize(drawing) > 10_000
    code, printed, errors = run("show", "nothing-like-it")
    assert (code, printed, errors.count("\n")) == (2, [], 1)


def test_a_closed_pipe_prints_no_traceback():
    code, printed, errors = run("show", "inverse", "--steps", "10000000", lines=2)
    assert [line.split() for line in printed] == [["k", "inverse"], ["0", "1"]]
    assert (code, errors) == (1, "")
