import doctest
import inspect
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


def run(*arguments, lines=None):
    """Run `python -m lrsched` in a process of its own, reading only so many lines of what it prints."""
    argv = [sys.executable, "-W", "error", "-m", "lrsched", *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        printed = list(islice(process.stdout, lines))
        process.stdout.close()
        errors = process.stderr.read()
    return process.returncode, printed, errors


def refused(capsys, *arguments):
    """Return the one line on stderr with which the arguments are refused."""
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
    """Collect what is saved, instead of writing it."""
    saved = []
    monkeypatch.setattr(plot, "save", lambda ax, path: saved.append((ax, path)))
    return saved


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.array([[0, 51], [102, 255]], dtype=np.uint8)).save(path)
    return str(path)


# What an argument means


def test_doctests():
    assert doctest.testmod(command).failed == 0


@pytest.mark.parametrize(
    ("text", "sequence"),
    [
        ("inverse", lrsched.Inverse()),
        ("inverse-sqrt", lrsched.InverseSqrt()),
        ("inverse_sqrt", lrsched.InverseSqrt()),
        ("InverseSqrt", lrsched.InverseSqrt()),
        ("inversesqrt", lrsched.InverseSqrt()),
        ("geometric:", lrsched.Geometric(0.9)),
        ("geometric:0.95", lrsched.Geometric(0.95)),
        ("geometric:gamma=9.5e-1", lrsched.Geometric(0.95)),
        ("sawtooth:20", lrsched.Sawtooth(20)),
        ("sawtooth:period=20,aligned=true", lrsched.Sawtooth(20, aligned=True)),
        ("sawtooth:20,False", lrsched.Sawtooth(20, aligned=False)),
        ("step-decay:0.5,interval=3", lrsched.StepDecay(0.5, 3)),
        ("triangular:5,none,triangular2", lrsched.Triangular(5, None, "triangular2")),
        ("ramp:1e-3,10,steps=5,scale=linear", lrsched.Ramp(1e-3, 10, 5, "linear")),
        ("values:1/0.5/0.1", lrsched.Values([1, 0.5, 0.1])),
        ("values:values=1/", lrsched.Values([1])),
        ("piecewise:30/60,1/0.1/0.01", lrsched.Piecewise([30, 60], [1, 0.1, 0.01])),
        ("Warmup(5) * Inverse()", lrsched.Warmup(5) * lrsched.Inverse()),
        (" warmup(5, start=0.5) ", lrsched.Warmup(5, 0.5)),
        ("2 * Inverse() * 0.5", 2 * lrsched.Inverse() * 0.5),
        ("Piecewise((2,), [1, 0.1])", lrsched.Piecewise([2], [1, 0.1])),
        ("Sawtooth(5, aligned=True)", lrsched.Sawtooth(5, True)),
        (
            "Warmup(5).then(Constant(), at=5).then(Linear(10), at=40)",
            lrsched.Warmup(5).then(lrsched.Constant(), at=5).then(lrsched.Linear(10), at=40),
        ),
        (
            "Cosine(9).repeated(9).scaled(2).clipped(0.1, high=1.5).delayed(3).every(2)",
            lrsched.Cosine(9).repeated(9).scaled(2).clipped(0.1, 1.5).delayed(3).every(2),
        ),
    ],
)
def test_parse(text, sequence):
    assert command.parse(text) == sequence


def test_a_picture_is_a_schedule_too(photo):
    assert command.parse(f"pixels:{photo},4,channels=gray").values(4).tolist() == [0, 0.2, 0.4, 1]
    assert command.parse(f"Pixels({photo!r}, 4, channels='gray')").values(4).tolist() == [0, 0.2, 0.4, 1]


def test_names_are_the_public_sequences():
    public = {getattr(lrsched, name) for name in lrsched.__all__}
    assert set(command.names().values()) == {
        kind for kind in public if inspect.isclass(kind) and issubclass(kind, lrsched.Sequence)
    } - {lrsched.Sequence}
    assert {"inverse-sqrt", "step-decay", "pixels", "constant"} < set(command.names())


def test_combinators_are_the_methods_that_return_a_sequence():
    methods = {name for name in vars(lrsched.Sequence) if not name.startswith("_")} - {"values"}
    assert set(command.COMBINATORS) == methods


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("invrse", "no schedule is called 'invrse'; did you mean inverse[?] all names: constant, cosine, .*, warmup$"),
        ("Geometrical", "no schedule is called 'Geometrical'; did you mean geometric[?]"),
        ("zzz", "no schedule is called 'zzz'; all names: constant"),
        ("", "no schedule is called ''"),
        ("sequence", "no schedule is called 'sequence'"),
        ("inverse:1", "too many positional arguments; inverse takes no arguments"),
        ("step-decay:0.5", "missing a required argument: 'interval'; step-decay takes drop, interval"),
        ("geometric:gama=1", "unexpected keyword argument 'gama'; geometric takes gamma=0.9"),
        ("geometric:gamma=1,gamma=0.5", "argument 'gamma' is given twice"),
        ("geometric:2", r"gamma must be finite, > 0 and <= 1, got 2 \(int\)"),
        ("geometric:nan", "gamma must be finite"),
        ("geometric:abc", "gamma must be one real number, got 'abc'"),
        ("values:1/x", "values must be a list.*, got '1/x'"),
        ("Warmup(2.5)", "steps must be an integer, got 2.5"),
        ("Warmup(5", "cannot be read: '[(]' was never closed"),
        ("(3)", "is not a schedule"),
        ("Inverse(**3)", r"unexpected keyword argument '\*\*'; inverse takes no arguments"),
        ("Inverse().then(at=3)", "missing a required argument: 'other'; then takes other, at"),
        ("Inverse().then(3, 3)", "then: other must be a sequence, got 3"),
        ("Inverse() * 'a'", "c must be one real number, got 'a'"),
        ("(" * 1000, "cannot be read: too many nested parentheses"),
        ("Inverse()" + ".every(1)" * 5000, "cannot be read: "),
    ],
)
def test_parse_refuses(text, message):
    with pytest.raises((TypeError, ValueError), match=message):
        command.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "Inverse() * __import__('os').getpid()",
        "Inverse().values(3)",
        "Inverse()._coerce(x=1)",
        "Inverse().__class__()",
        "Inverse.values(3)",
        "(3).every(2)",
        "(lambda: Inverse())()",
        "[Inverse() for _ in (1, 2)]",
        "(Inverse() if True else 1)",
        "Warmup(*[3])",
        "Warmup(**{'steps': 3})",
        "Warmup(9 ** 9 ** 9)",
        "Values([1] * 10 ** 10)",
        "Values('1' * 3)",
        "Inverse() + Inverse()",
        "(x := Inverse())",
        "Values(f'{1}')",
    ],
)
def test_an_expression_runs_nothing_but_sequences(text):
    with pytest.raises(ValueError, match=r"only sequences, numbers, \* and \.then, .* are read|no schedule is called"):
        command.parse(text)


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
        (["invrse"], "python -m lrsched: invrse: no schedule is called 'invrse'; did you mean inverse?"),
        (["inverse", "geometric:2"], "geometric:2: gamma must be finite, > 0 and <= 1, got 2 (int)"),
        (["inverse", "--steps", "0"], "--steps must be an integer >= 1, got 0"),
        (["inverse", "--steps", "ten"], "argument --steps: invalid int value: 'ten'"),
        (["inverse", "--lr", "nan"], "--lr must be finite, >= 0, got nan (float)"),
        (["inverse", "--lr", "-1"], "--lr must be finite, >= 0, got -1.0 (float)"),
        (["inverse", "--log"], "--log is for drawings: it needs -o FILE"),
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
    hint = "drawing needs matplotlib: pip install torch-lrsched[plot]"
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
        ["4", "0.4", "5"],  # five steps hold a picture of four pixels, and its last one once more
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


# The command as a whole


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
    assert all(f"\n  {name}" in printed for name in command.names())


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


def test_a_reader_that_leaves_early_gets_no_traceback():
    code, printed, errors = run("show", "inverse", "--steps", "10000000", lines=2)
    assert [line.split() for line in printed] == [["k", "inverse"], ["0", "1"]]
    assert (code, errors) == (1, "")
