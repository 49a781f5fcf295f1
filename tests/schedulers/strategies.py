"""Hypothesis strategies: any sequence, rule, rate and metric."""

import math

import numpy as np
from hypothesis import strategies as st

import lrsched as ls

counts = st.integers(1, 9)
shares = st.floats(0.0, 1.0, exclude_min=True)
factors = st.floats(0.0, 4.0)
rates = st.floats(1e-4, 2.0)
simple_sequences = st.one_of(
    st.sampled_from([ls.Constant(), ls.Inverse(), ls.InverseSqrt()]),
    st.builds(ls.Geometric, shares),
    st.builds(ls.Sawtooth, counts, st.booleans()),
    st.builds(ls.Exponential, factors),
    st.builds(ls.StepDecay, shares, counts),
    st.builds(ls.TimeDecay, factors),
    st.builds(ls.Triangular, counts, counts, st.sampled_from(["triangular", "triangular2", "exp_range"]), shares),
    st.builds(ls.Ramp, rates, rates, st.integers(2, 9), st.sampled_from(["log", "linear"])),
    st.builds(ls.Cosine, counts, factors),
    st.builds(ls.Linear, counts, factors),
    st.builds(ls.Polynomial, counts, rates, factors),
    st.builds(ls.Warmup, counts, shares),
    st.builds(lambda first, a, b: ls.Piecewise([first], [a, b]), counts, factors, factors),
    st.builds(ls.Values, st.lists(factors, min_size=1, max_size=5)),
    st.builds(lambda seed: ls.Pixels(np.random.default_rng(seed).random((3, 4)), 9), counts),
)
sequences = st.recursive(
    simple_sequences,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b, at: a.then(b, at=at), inner, inner, counts),
        st.builds(lambda a, c: a.scaled(c), inner, factors),
        st.builds(lambda a, low, more: a.clipped(low, low + more), inner, factors, factors),
        st.builds(lambda a, n: a.repeated(n), inner, counts),
        st.builds(lambda a, n: a.delayed(n), inner, counts),
        st.builds(lambda a, n: a.every(n), inner, counts),
    ),
    max_leaves=3,
)
simple_rules = st.one_of(
    st.builds(ls.Cutoff, st.none() | factors, factors, shares, factors, st.none() | factors),
    st.builds(ls.Oscillation, st.none() | factors),
    st.builds(ls.Patience, st.integers(0, 3), factors, st.sampled_from(["rel", "abs"]), st.integers(0, 2)),
)
rules = simple_rules | st.builds(lambda a, b: a | b, simple_rules, simple_rules)
metrics = st.sampled_from([1.0, 0.5, 0.5 + 1e-9, 0.25, 0.0, -1.0, math.nan, math.inf, -math.inf]) | st.floats(-2.0, 2.0)
