import copy
import functools
import hashlib
import math
import pickle
import re

import numpy as np
import pytest
import torch

import lrsched
from lrsched import Function, Inverse, SequenceLR, Warmup
from tests.helpers import group_lrs, make_optimizer
from tests.sequences.cases import tenths
from tests.sequences.helpers import exactly, first, torch_factors


class Halving:
    """A function that is an object, compared by what it does."""

    def __init__(self, every):
        self.every = every

    def __call__(self, k):
        return 0.5 ** (k // self.every)

    def __eq__(self, other):
        return isinstance(other, Halving) and self.every == other.every

    def __hash__(self):
        return hash(self.every)


def decay_by(gamma):
    def decay(k):
        return gamma**k

    return decay


def power(k, gamma):
    return gamma**k


def test_hand_worked_values():
    assert first(Function(tenths), 12) == exactly(*[n / 10 for n in range(10)], 0, 0.1)
    assert first(Function(lambda k: 1 / (k + 2)), 3) == exactly(0.5, 1 / 3, 0.25)


def test_equals_torchs_lambda_lr():
    def factor(k):
        return 0.95**k

    expected = torch_factors(torch.optim.lr_scheduler.LambdaLR, 50, lr_lambda=factor)
    assert Function(factor).values(50).tolist() == expected


@pytest.mark.parametrize(
    "kind", [float, int, np.float32, np.int64, torch.tensor, np.array], ids=lambda kind: kind.__name__
)
def test_any_real_number_that_fn_returns_becomes_a_float(kind):
    seq = Function(lambda k: kind(2), name="two")
    assert type(seq(7)) is float
    assert seq(7) == 2.0


def test_combines_like_any_sequence():
    seq = Warmup(4) * Function(tenths)
    assert first(seq, 6) == exactly(0, 0.025, 0.1, 0.225, 0.4, 0.5)
    assert Warmup(4).then(Function(tenths))(7) == 0.3


# ---------------------------------------------------------------- names


def test_prints_its_name():
    assert repr(Function(tenths)) == "Function(<tenths>)"
    assert (
        repr(Function(tenths, "my schedule")) == repr(Function(lambda k: 1, "my schedule")) == "Function(<my schedule>)"
    )
    assert repr(Function(Halving.__call__.__get__(Halving(3)), "bound")) == "Function(<bound>)"


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (lambda k: 0.5**k, "lambda"),
        (decay_by(0.5), "decay"),
        (functools.partial(power, gamma=0.5), "partial"),
        (Halving(10), "Halving"),
        (Halving(10).__call__, "__call__"),
        (math.exp2 if hasattr(math, "exp2") else math.sqrt, "exp2|sqrt"),
    ],
    ids=["lambda", "nested", "partial", "object", "method", "builtin"],
)
def test_a_function_whose_name_says_little_adds_a_digest(fn, name):
    assert re.fullmatch(rf"Function\(<({name}), sha256 [0-9a-f]{{16}}>\)", repr(Function(fn)))
    assert repr(Function(fn)) == repr(Function(fn))


def test_the_digest_tells_functions_apart_and_depends_on_their_factors_alone():
    prints = [repr(Function(decay_by(gamma))) for gamma in (0.5, 0.9, 0.95, 0.95 + 1e-6)]
    assert len(set(prints)) == 4
    assert repr(Function(decay_by(0.9))) == prints[1]
    assert repr(Function(functools.partial(power, gamma=0.9))).split()[-1] == prints[1].split()[-1]
    assert repr(Function(Halving(30))) != repr(Function(Halving(31)))
    assert repr(Function(lambda k: 1.0 if k < 5000 else 0.1)) != repr(Function(lambda k: 1.0 if k < 6000 else 0.1))


def test_the_digest_is_that_of_the_factors_with_9_digits():
    positions = sorted({*range(100), *(round(100 * 1.1**i) for i in range(98))})
    text = " ".join(f"{0.9**k:.9g}" for k in positions)
    assert text.startswith("1 0.9 0.81 0.729 0.6561 0.59049 0.531441 0.4782969 0.43046721 0.387420489 0.34867844 ")
    assert (
        repr(Function(decay_by(0.9))) == f"Function(<decay, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}>)"
    )


def test_a_function_may_be_undefined_after_the_end_of_training():
    table = [1.0, 0.5, 0.25]
    seq = Function(lambda k: table[k])
    assert first(seq, 3) == table
    with pytest.raises(IndexError, match="list index out of range"):
        seq(3)


# ---------------------------------------------------------------- equality, copies, states


def test_compares_and_hashes_by_function_and_name():
    assert Function(tenths) == Function(tenths) != Function(tenths, "tenths, again")
    assert Function(tenths) != Function(lambda k: tenths(k), "tenths")
    assert hash(Function(tenths)) == hash(Function(tenths))
    assert Function(Halving(3)) == Function(Halving(3)) != Function(Halving(4))


@pytest.mark.parametrize(
    "fn", [tenths, Halving(3), functools.partial(power, gamma=0.5)], ids=["def", "object", "partial"]
)
def test_pickles_if_its_function_does(fn):
    seq = Function(fn)
    again = pickle.loads(pickle.dumps(seq))
    assert repr(again) == repr(seq)
    assert first(again) == first(seq)


def test_a_lambda_cannot_be_pickled_but_copied():
    seq = Function(lambda k: 0.5**k)
    assert copy.deepcopy(seq) == copy.copy(seq) == seq
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(seq)


def resumed(saved, loading):
    """Save a scheduler of one sequence after 3 steps, load it into one of another, and return the learning rate."""
    one = SequenceLR(make_optimizer([2.0]), saved)
    for _ in range(3):
        one.optimizer.step()
        one.step()
    other = SequenceLR(make_optimizer([2.0]), loading)
    other.load_state_dict(one.state_dict())
    return group_lrs(other.optimizer)


def test_a_lambda_resumes_as_the_same_lambda():
    assert resumed(Function(lambda k: 0.5**k), Function(lambda k: 0.5**k)) == [0.25]
    assert resumed(Function(tenths), Function(tenths)) == [0.6]


@pytest.mark.parametrize(
    "other", [Function(lambda k: 0.9**k), Function(tenths), Inverse()], ids=["lambda", "def", "formula"]
)
def test_a_state_of_another_function_is_refused(other):
    with pytest.raises(ValueError, match=r"^state must have this scheduler's settings: .*Function\(<lambda, sha256"):
        resumed(Function(lambda k: 0.5**k), other)


def test_a_name_with_an_address_is_refused_by_schedulers():
    with pytest.raises(TypeError, match=r"^sequence must print the same after a restart"):
        SequenceLR(make_optimizer(), Function(tenths, name=repr(object())))


def test_what_it_prints_cannot_be_read_back():
    with pytest.raises(
        ValueError, match=r"^cannot read '<tenths>\)': <…> stands for a picture, a long list or a function"
    ):
        lrsched.parse(repr(Function(tenths)))
    with pytest.raises(ValueError, match=r"^a Function cannot be read from text: make it in Python"):
        lrsched.parse("Function('tenths')")


# ---------------------------------------------------------------- bad arguments


@pytest.mark.parametrize("fn", [None, 0.5, "0.5", [1.0, 0.5]], ids=repr)
def test_refuses_what_is_not_a_function(fn):
    with pytest.raises(TypeError, match=r"^fn must be a function of the position k, got "):
        Function(fn)


@pytest.mark.parametrize("value", [None, "1", math.nan, math.inf, -0.1, 1j, True, [1.0], torch.ones(2)], ids=str)
def test_refuses_a_function_that_returns_no_factor(value):
    message = r"^fn must return a finite number >= 0, got .* from {} at k = {}$"
    with pytest.raises(ValueError, match=message.format("flat", 0)):
        Function(lambda k: value, name="flat")
    late = Function(lambda k: value if k == 7 else 1.0, name="late")
    for call in (late, late.every(1), lambda k: late.values(k + 1)):
        with pytest.raises(ValueError, match=message.format("late", 7)):
            call(7)


def test_does_not_catch_what_a_function_raises():
    with pytest.raises(TypeError, match="positional argument"):
        Function(lambda: 1.0)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        Function(lambda k: 1 / k)


@pytest.mark.parametrize("name", [3, b"name", ["name"]], ids=repr)
def test_refuses_a_name_that_is_not_text(name):
    with pytest.raises(TypeError, match=r"^name must be a str or None, got "):
        Function(tenths, name)


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "nul\0"], ids=repr)
def test_refuses_a_name_that_cannot_be_printed(name):
    with pytest.raises(ValueError, match=r"^name must have at least one visible character and no line breaks, got "):
        Function(tenths, name)
