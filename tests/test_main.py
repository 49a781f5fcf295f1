import json
import os
import signal
import subprocess
import sys
import tracemalloc
from functools import partial
from itertools import islice
from typing import get_args
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import lrsched
from lrsched import Cosine, by_name, plot
from lrsched import __main__ as command
from lrsched.sequences._by_name import ScheduleName
from lrsched.sequences._language import NAMES

PROGRAMS = {
    "python -m lrsched": [sys.executable, "-W", "error", "-m", "lrsched"],
    "lrsched": [
        sys.executable,
        "-W",
        "error",
        "-c",
        "import lrsched.__main__ as m, sys; sys.argv[0] = 'lrsched'; m.run()",
    ],
}


def run(*arguments, lines=None, program="python -m lrsched"):
    """Run the command in a process of its own, and read only the first lines that it prints."""
    argv = [*PROGRAMS[program], *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        printed = list(islice(process.stdout, lines))
        process.stdout.close()
        errors = process.stderr.read()
    return process.returncode, printed, errors


def strict_json(text):
    """Read one line of JSON as strict readers do."""
    assert text.count("\n") == 1
    return json.loads(text, parse_constant=pytest.fail)


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


@pytest.fixture(autouse=True)
def called_lrsched(monkeypatch):
    """Let the command believe that it runs under its own name, not pytest's."""
    monkeypatch.setattr(sys, "argv", ["lrsched"])


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


def test_show_prints_the_factors_times_the_base_rate(capsys):
    rows = table(capsys, "show", "inverse", "--lr", "1e-5", "--steps", "50")
    assert len(rows) == 51
    assert rows[3] == ["2", "3.33333e-06"]


@pytest.mark.parametrize(
    ("arguments", "last", "stride"),
    [
        (["inverse"], 98, 2),
        (["cosine"], 110, 2),
        (["cosine:40"], 44, 1),
        (["cosine:1000", "warmup:5"], 1100, 20),
        (["geometric:0.999"], 3100, 100),
        (["cosine:1000", "--steps", "70"], 69, 1),
        (["cosine:1000", "--every", "500"], 1000, 500),
        (["inverse", "--steps", "7", "--every", "3"], 6, 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_show_prints_some_fifty_rows_that_show_all_schedules_unless_told(capsys, arguments, last, stride):
    rows = table(capsys, "show", *arguments)[1:]
    assert [int(row[0]) for row in rows] == list(range(0, last + 1, stride))


def test_steps_that_a_short_form_leaves_out_are_those_shown_or_a_hundred(capsys):
    command.main(["show", "cosine", "ramp:0.1,1", "one-cycle:rise=0.5", "linear:7", "--steps", "5", "--json"])
    shown = strict_json(capsys.readouterr().out)["schedules"]
    assert [entry["schedule"] for entry in shown] == [
        "Cosine(steps=5, end=0.0)",
        "Ramp(start=0.1, end=1.0, steps=5, scale='log')",
        "OneCycle(steps=5, rise=0.5, start=0.04, end=4e-06, shape='cosine', three_phase=False)",
        "Linear(steps=7, end=0.0)",
    ]
    command.main(["show", "cosine", "--json"])
    assert strict_json(capsys.readouterr().out)["schedules"][0]["length"] == 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cosine_with_restarts:steps=1000,warmup=50,cycles=3", by_name("cosine_with_restarts", 1000, 50, cycles=3)),
        ("cosine-with-restarts:1000,50,cycles=3", by_name("cosine_with_restarts", 1000, 50, cycles=3)),
        ("constant_with_warmup:warmup=5", by_name("constant_with_warmup", 100, 5)),
        ("by_name:linear,1000,warmup=50", by_name("linear", 1000, 50)),
        ("by-name:inverse-sqrt,warmup=50", by_name("inverse_sqrt", 100, 50)),
        ("by_name:name=cosine,steps=30", by_name("cosine", 30)),
        ("cosine:30", Cosine(30)),
    ],
    ids=str,
)
def test_names_of_transformers_are_read(capsys, text, expected):
    command.main(["show", text, "--json"])
    (entry,) = strict_json(capsys.readouterr().out)["schedules"]
    assert (entry["text"], entry["schedule"]) == (text, repr(expected))


def test_json_holds_positions_factors_and_rates(capsys):
    command.main(["show", "inverse", "Values([1, 0.25])", "--steps", "4", "--every", "2", "--lr", "0.5", "--json"])
    assert strict_json(capsys.readouterr().out) == {
        "lr": 0.5,
        "positions": [0, 2],
        "schedules": [
            {"text": "inverse", "schedule": "Inverse()", "length": None, "factors": [1, 1 / 3], "rates": [0.5, 1 / 6]},
            {
                "text": "Values([1, 0.25])",
                "schedule": "Values([1.0, 0.25])",
                "length": 2,
                "factors": [1, 0.25],
                "rates": [0.5, 0.125],
            },
        ],
    }


def test_what_is_not_finite_is_null_in_json(capsys):
    command.main(["show", "Constant().scaled(1e308)", "--steps", "1", "--lr", "100", "--json"])
    (entry,) = strict_json(capsys.readouterr().out)["schedules"]
    assert (entry["factors"], entry["rates"]) == ([1e308], [None])


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


def test_show_writes_png_and_svg_and_says_so(tmp_path, capsys):
    for name in ("a.png", "a.svg"):
        path = str(tmp_path / name)
        command.main(["show", "inverse", "geometric:gamma=0.95", "sawtooth", "--steps", "50", "-o", path])
        assert capsys.readouterr().out == f"wrote {path} (3 schedules, 50 steps)\n"
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1080, 600)
        assert len(image.convert("RGB").getcolors(1 << 20)) > 100
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("}svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["invrse"],
            "lrsched: invrse: unknown schedule 'invrse' (did you mean 'inverse'?)",
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
        (["inverse", "--every", "0"], "--every must be an integer >= 1, got 0"),
        (["inverse", "--every", "2", "-o", "a.png"], "--every applies to printed output: leave out --every or -o"),
        (["inverse", "--json", "-o", "a.png"], "argument -o/--output: not allowed with argument --json"),
        (["inverse", "--json", "--log"], "--log needs a drawing: add -o FILE"),
        (["inverse", "--steps", "1" + 400 * "0", "-o", "a.png"], "--steps must fit into a float"),
        (["inverse", "--steps", "1" + 16 * "0", "-o", "a.png"], "--steps must be finite, >= 0 and <= 1e+15, got"),
        (["by_name"], "by_name: missing a required argument: 'name'; by_name takes name, steps, warmup=0, **options"),
        (["by_name:cosin"], "by_name:cosin: name must be one of 'linear', 'cosine', "),
        (["cosine_with_restarts:cycle=2"], "cosine_with_restarts:cycle=2: got an unexpected keyword argument 'cycle'"),
        (["cosine_with_restart"], "or from transformers: cosine_with_restarts, cosine_with_min_lr, "),
        (["cosine:warmup=5"], "for the one of transformers, write by_name:cosine,…"),
        (["warmup_stable_decay:warmup=5,decay=5"], "for the one of transformers, write by_name:warmup_stable_decay,…"),
        (["1" * 200], "lrsched: " + "1" * 77 + "...: unknown schedule"),
        (["cosine:steps=5,steps=6"], "cosine:steps=5,steps=6: argument 'steps' is given twice"),
        (["step-decay"], "step-decay: missing a required argument: 'drop'; step-decay takes drop, interval"),
        ([], "the following arguments are required: SCHEDULE"),
    ],
)
def test_show_refuses_in_one_line(capsys, arguments, message):
    assert message in refused(capsys, "show", *arguments)


def test_a_function_is_refused_without_a_list_of_names(capsys):
    message = refused(capsys, "show", "function")
    assert message.rstrip().endswith("make it in Python, or use a sequence with a formula")


def test_drawing_without_matplotlib_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert table(capsys, "show", "inverse", "--steps", "1") == [["k", "inverse"], ["0", "1"]]
    hint = "drawing needs matplotlib: pip install matplotlib"
    assert hint in refused(capsys, "show", "inverse", "-o", "a.png")


@pytest.mark.parametrize("steps", [30_000, 10**15])
def test_many_positions_are_drawn_from_a_sample(drawn, steps):
    command.main(["show", "sawtooth", "--steps", str(steps), "-o", "a.png"])
    [(ax, _)] = drawn
    x = ax.lines[0].get_xdata()
    assert (x[0], x[-1]) == (0, steps - 1)
    assert len(x) <= 3200


# image


def test_image_prints_a_summary(capsys, photo):
    command.main(["image", photo, "--steps", "5", "--channels", "gray", "--base-lr", "1", "--max-lr", "11"])
    sha256 = lrsched.Pixels(photo, 5, channels="gray").sha256
    assert capsys.readouterr().out.splitlines() == [
        f"{photo}: 2 x 2 pixels, sha256 {sha256}",
        "4 learning rates for 5 steps (gray, raster)",
        "lowest 1, mean 5, highest 11",
        "first: 1, 3, 5, 11",
        "Add -o FILE to draw them, or --values to list them.",
    ]


def test_image_prints_its_summary_as_json_with_values_if_asked(capsys, photo):
    arguments = ["image", photo, "--steps", "5", "--channels", "gray", "--base-lr", "1", "--max-lr", "11", "--json"]
    command.main(arguments)
    summary = strict_json(capsys.readouterr().out)
    assert summary == {
        "picture": photo,
        "width": 2,
        "height": 2,
        "sha256": lrsched.Pixels(photo, 5, channels="gray").sha256,
        "steps": 5,
        "order": "raster",
        "channels": "gray",
        "values": 4,
        "lowest": 1,
        "mean": 5,
        "highest": 11,
        "first": [1, 3, 5, 11],
    }
    command.main([*arguments, "--values"])
    more = strict_json(capsys.readouterr().out)
    assert more == {**summary, "factors": [0, 0.2, 0.4, 1, 1], "rates": [1, 3, 5, 11, 11]}


def test_a_summary_of_very_many_values_takes_a_sample(capsys, tmp_path):
    path = str(tmp_path / "gradient.png")
    Image.linear_gradient("L").save(path)
    command.main(["image", path, "--steps", "1000000000", "--channels", "gray", "--base-lr", "0", "--max-lr", "1"])
    count, rates = capsys.readouterr().out.splitlines()[1:3]
    assert count == "999950884 learning rates for 1000000000 steps (gray, raster)"
    assert rates == "lowest 0, mean 0.5, highest 1"


def test_image_lists_factors_and_learning_rates(capsys, photo):
    arguments = [
        "--values",
        "--steps",
        "5",
        "--channels",
        "gray",
        "--order",
        "serpentine",
        "--base-lr",
        "1",
        "--max-lr",
        "11",
    ]
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


def test_image_draws_a_sample_of_very_many_steps(drawn, photo, capsys):
    command.main(["image", photo, "--steps", "1000000000", "--channels", "gray", "-o", "a.png"])
    [(left, _)] = drawn
    _, right = left.figure.axes
    assert right.lines[0].get_xdata()[-1] == pytest.approx(1e9, rel=1e-2)
    assert capsys.readouterr().out == "wrote a.png (999950884 learning rates)\n"


def test_image_writes_the_file_and_says_so(tmp_path, photo, capsys):
    command.main(["image", photo, "-o", str(tmp_path / "out.png")])
    assert capsys.readouterr().out == f"wrote {tmp_path / 'out.png'} (4800 learning rates)\n"
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
    assert printed.startswith("usage: lrsched")
    assert "show" in printed
    assert "image" in printed


def test_help_lists_every_schedule_with_its_arguments(capsys):
    with pytest.raises(SystemExit, match="0"):
        command.main(["show", "--help"])
    printed = capsys.readouterr().out
    assert "\n  step-decay           drop, interval\n" in printed
    assert "\n  cosine_with_restarts       cycles=1\n" in printed
    assert all(f"\n  {name}" in printed for name in [*NAMES, *get_args(ScheduleName)])


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        command.main(["--version"])
    assert capsys.readouterr().out == f"lrsched {lrsched.__version__}\n"


def test_an_unknown_command(capsys):
    assert "invalid choice: 'draw'" in refused(capsys, "draw")


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_command_itself(tmp_path, program):
    drawing = str(tmp_path / "out.png")
    arguments = ["show", "inverse", "geometric:gamma=0.95", "sawtooth", "--steps", "50", "-o", drawing]
    assert run(*arguments, program=program) == (0, [f"wrote {drawing} (3 schedules, 50 steps)\n"], "")
    assert os.path.getsize(drawing) > 10_000
    code, printed, errors = run("show", "nothing-like-it", program=program)
    assert (code, printed, errors.count("\n")) == (2, [], 1)
    assert errors.startswith(f"{program}: nothing-like-it: ")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_closed_pipe_prints_no_traceback(program):
    code, printed, errors = run("show", "inverse", "--steps", "10000000", lines=2, program=program)
    assert [line.split() for line in printed] == [["k", "inverse"], ["0", "1"]]
    assert (code, errors) == (1, "")


def test_json_is_printed_number_by_number():
    argv = [*PROGRAMS["lrsched"], "show", "inverse", "--steps", "1000000000", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.read(33) == '{"lr": 1.0, "positions": [0, 1, 2'
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (1, "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_ends_it_quietly(program):
    argv = [*PROGRAMS[program], "show", "inverse", "--steps", "1000000000"]
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell ignore the signal
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, **pipes, text=True, preexec_fn=listen) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, errors) == (130, "")


def test_a_long_table_takes_no_memory(monkeypatch):
    peaks = []
    with open(os.devnull, "w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        for steps in ("100", "30000"):
            tracemalloc.start()
            command.main(["show", "inverse", "--steps", steps])
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000  # bytes; 30,000 floats in a list take 960,000
