"""What the tests of sequences share: values worked out by hand, torch's learning rates, and arguments to refuse."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.helpers import make_optimizer

NAN, INF = math.nan, math.inf
NOT_A_NUMBER = [None, "0.5", [0.5], True, 1j, np.array([0.5, 0.5]), torch.tensor([0.5, 0.5])]
NOT_A_FACTOR = [NAN, INF, -INF, -0.5]
NOT_AN_INTEGER = [None, "5", [5], True, 2.5, 5.0, NAN, INF]
FAR_OUT = [10**6, 10**6 + 1, 10**9, 10**9 + 7, 10**15, 10**15 + 1]


def first(seq, n=31):
    return [seq(k) for k in range(n)]


def F(numerator, denominator=1):  # short, so that lists of 31 fractions stay readable
    return Fraction(numerator, denominator)


def over(denominator, *numerators):
    return [F(numerator, denominator) for numerator in numerators]


def exactly(*values):
    return pytest.approx([float(value) for value in values], rel=1e-14, abs=0)


def by_hand(table):
    """Return the parameters of a test of (sequence, its factors at k = 0 … 30), named by the sequence."""
    return [pytest.param(seq, [float(value) for value in expected], id=repr(seq)) for seq, expected in table]


def torch_factors(cls, n, **arguments):
    """Return the first n learning rates of one of torch's schedulers with base learning rate 1."""
    scheduler = cls(make_optimizer([1.0]), **arguments)
    factors = []
    for k in range(n):
        if hasattr(scheduler, "_get_closed_form_lr"):
            scheduler.last_epoch = k
            factors += scheduler._get_closed_form_lr()
        else:
            factors += scheduler.get_last_lr()
            scheduler.optimizer.step()
            scheduler.step()
    return factors


def each(table):
    """Turn rows of (function, its other arguments, argument, bad values) into one set of parameters per value."""
    return [
        pytest.param(call, others, name, value, id=f"{call.__name__}-{name}-{value!r}")
        for call, others, name, values in table
        for value in values
    ]
