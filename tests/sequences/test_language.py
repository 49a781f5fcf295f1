import inspect
import os

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

import lrsched
from lrsched import parse
from lrsched.sequences._language import COMBINATORS, NAMES, parameters
from tests.sequences.cases import BY_DIGEST
from tests.sequences.strategies import sequences
from tests.sequences.test_chains import left_nested, right_nested


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.array([[0, 51], [102, 255]], dtype=np.uint8)).save(path)
    return str(path)


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
        (
            "one-cycle:100,0.4,shape=linear,three_phase=true",
            lrsched.OneCycle(100, 0.4, shape="linear", three_phase=True),
        ),
        ("cosine-restarts:10,mult=2", lrsched.CosineRestarts(10, 2)),
        ("warmup-stable-decay:5,80,15,sqrt", lrsched.WarmupStableDecay(5, 80, 15, "sqrt")),
        ("inverse_time:0.5", lrsched.InverseTime(0.5)),
        ("warmup:5,0.01,exponential", lrsched.Warmup(5, 0.01, "exponential")),
        (
            "Warmup(5).then(Cosine(9)).then(Inverse())",
            lrsched.Warmup(5).then(lrsched.Cosine(9)).then(lrsched.Inverse()),
        ),
        ("Warmup(5).then(Cosine(9), at=None).skipped(2)", lrsched.Warmup(5).then(lrsched.Cosine(9)).skipped(2)),
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
def test_parse_makes_the_sequence(text, sequence):
    assert parse(text) == sequence


def test_parse_reads_a_picture(photo):
    assert parse(f"pixels:{photo},4,channels=gray").values(4).tolist() == [0, 0.2, 0.4, 1]
    assert parse(f"Pixels({photo!r}, 4, channels='gray')").values(4).tolist() == [0, 0.2, 0.4, 1]


def test_names_are_the_public_sequences():
    public = {getattr(lrsched, name) for name in lrsched.__all__}
    assert set(NAMES.values()) == {
        kind for kind in public if inspect.isclass(kind) and issubclass(kind, lrsched.Sequence)
    } - {lrsched.Sequence, lrsched.Function}
    assert {"inverse-sqrt", "step-decay", "pixels", "constant"} < set(NAMES)
    assert list(NAMES) == sorted(NAMES)


def test_names_are_the_names_of_the_classes_in_kebab_case():
    for name, kind in NAMES.items():
        assert "".join(word.capitalize() for word in name.split("-")) == kind.__name__


def test_combinators_are_the_methods_that_return_a_sequence():
    methods = {name for name in vars(lrsched.Sequence) if not name.startswith("_")} - {"values", "length", "plot"}
    assert set(COMBINATORS) == methods


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "invrse",
            r"^unknown schedule 'invrse' \(did you mean 'inverse'\?\); choose from: constant, .*, warmup-stable-decay$",
        ),
        ("Geometrical", r"unknown schedule 'Geometrical' \(did you mean 'geometric'\?\)"),
        ("zzz", "^unknown schedule 'zzz'; choose from: constant"),
        ("", "^unknown schedule ''; choose from"),
        ("sequence", "^unknown schedule 'sequence'"),
        ("inverse:1", "too many positional arguments; inverse takes no arguments"),
        ("step-decay:0.5", "missing a required argument: 'interval'; step-decay takes drop, interval"),
        ("geometric:gama=1", "unexpected keyword argument 'gama'; geometric takes gamma=0.9"),
        ("geometric:gamma=1,gamma=0.5", "argument 'gamma' is given twice"),
        ("geometric:2", r"gamma must be finite, > 0 and <= 1, got 2 \(int\)"),
        ("geometric:nan", "gamma must be finite"),
        ("geometric:abc", "gamma must be one real number, got 'abc'"),
        ("values:1/x", "values must be a list.*, got '1/x'"),
        ("Warmup(2.5)", "steps must be an integer, got 2.5"),
        ("Warmup(5", "^cannot read the expression: it ends too early; is a bracket or a quote not closed[?]$"),
        ("(3)", r"^the expression must be a schedule, got 3 \(int\)$"),
        ("Inverse(**3)", r"^cannot read '\*\*3\)': only sequences such as Inverse\(\), numbers, \* and \.then, "),
        ("Inverse().then(at=3)", "missing a required argument: 'other'; then takes other, at"),
        ("Inverse().then(3, 3)", r"^other must be a Sequence, got 3 \(int\)$"),
        ("Inverse() * 'a'", "^a Sequence can be multiplied by another Sequence or by a number, got 'a'"),
        ("(" * 1000, "^the expression must be nested at most 100 deep$"),
        ("Inverse()" + ".every(1)" * 5000, "^the schedule is nested too deeply$"),
    ],
)
def test_parse_says_what_is_wrong(text, message):
    with pytest.raises((TypeError, ValueError), match=message):
        parse(text)


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
def test_an_expression_cannot_run_other_code(text):
    message = r"^cannot read .*: only sequences such as Inverse\(\), numbers, \* and \.then, .* are allowed$"
    with pytest.raises(ValueError, match=rf"{message}|^unknown (schedule|method) "):
        parse(text)


@given(sequences)
@settings(deadline=None, max_examples=200)
def test_parse_reads_what_any_sequence_prints(sequence):
    text = repr(sequence)
    assert parse(text) == sequence
    assert repr(parse(text)) == text
    assert eval(text, dict(vars(lrsched))) == sequence


@pytest.mark.parametrize("nest", [left_nested, right_nested])
def test_parse_reads_a_chain_of_thousands(nest):
    sequence = nest([lrsched.Warmup(3), lrsched.Inverse()] * 1500, 4)
    assert parse(repr(sequence)) == sequence


@pytest.mark.parametrize("sequence", BY_DIGEST, ids=lambda sequence: repr(sequence)[:30])
def test_parse_refuses_a_digest(sequence):
    message = "^cannot read '<.*: <…> stands for a picture, a long list or a function; make it in Python$"
    for text in (repr(sequence), f"2 * {sequence!r}", f"Inverse().then({sequence!r}, at=3)"):
        with pytest.raises(ValueError, match=message):
            parse(text)


@pytest.mark.parametrize("text", [None, 3, b"inverse", ["inverse"], lrsched.Inverse()], ids=repr)
def test_parse_refuses_what_is_not_text(text):
    with pytest.raises(TypeError, match=r"^text must be a str, got "):
        parse(text)


def test_a_picture_must_be_a_regular_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "missing.png", "/dev/zero", "nul\0", "\ud800", "a" * 5000):
        for text in (f"pixels:{path},5", f"Pixels('{path}', 5)", f"Pixels(steps=5, image='{path}')"):
            with pytest.raises(ValueError, match=r"^image must be the path of a picture file, got .* is not a file$"):
                parse(text)
    with pytest.raises(TypeError, match=r"^image must be the path of a picture, got 3 \(int\)$"):
        parse("Pixels(3, 5)")


def test_parameters_are_those_of_the_signature():
    assert parameters(lrsched.StepDecay) == "drop, interval"
    assert parameters(lrsched.Warmup) == "steps, start=0.0, shape='linear'"
    assert parameters(lrsched.Inverse().every) == "m"
