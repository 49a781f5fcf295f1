"""Hypothesis strategies: any sequence that prints as the call that makes it."""

from hypothesis import strategies as st

import lrsched as ls

counts = st.integers(1, 10**6) | st.integers(1, 10**30)
whole = st.integers(0, 10**6) | st.integers(0, 10**30)
positive = st.floats(0.0, 1e300, exclude_min=True)
factors = st.floats(0.0, 1e300) | st.sampled_from([0, 1, 0.1, 1e-7, 5e-324])
shares = st.floats(0.0, 1.0)
positive_shares = st.floats(0.0, 1.0, exclude_min=True)
moderate = st.floats(1e-100, 1e100)
increasing = st.lists(st.integers(1, 10**9), max_size=5, unique=True).map(sorted)

simple_sequences = st.one_of(
    st.sampled_from([ls.Constant(), ls.Inverse(), ls.InverseSqrt()]),
    st.builds(ls.InverseSqrt, positive),
    st.builds(ls.InverseTime, factors),
    st.builds(ls.Geometric, positive_shares),
    st.builds(ls.Sawtooth, counts, st.booleans()),
    st.builds(ls.Exponential, factors),
    st.builds(ls.StepDecay, positive_shares, counts),
    st.builds(ls.TimeDecay, factors),
    st.builds(
        ls.Triangular,
        positive,
        st.none() | factors,
        st.sampled_from(["triangular", "triangular2", "exp_range"]),
        positive_shares,
    ),
    st.builds(ls.Ramp, moderate, moderate, st.integers(2, 10**6), st.sampled_from(["log", "linear"])),
    st.builds(ls.Cosine, counts, factors, counts),
    st.builds(ls.CosineRestarts, counts, counts, factors),
    st.builds(ls.Linear, counts, factors),
    st.builds(ls.Polynomial, counts, positive, factors),
    st.builds(ls.Warmup, counts, positive_shares, st.sampled_from(["linear", "cosine", "exponential"])),
    st.builds(ls.OneCycle, counts, shares, factors, factors, st.sampled_from(["cosine", "linear"]), st.booleans()),
    st.builds(
        ls.WarmupStableDecay,
        whole,
        whole,
        counts,
        st.sampled_from(["linear", "cosine", "sqrt"]),
        shares,
        factors,
    ),
    increasing.flatmap(
        lambda edges: st.builds(
            ls.Piecewise, st.just(edges), st.lists(factors, min_size=len(edges) + 1, max_size=len(edges) + 1)
        )
    ),
    st.builds(ls.Values, st.lists(factors, min_size=1, max_size=32)),
)
sequences = st.recursive(
    simple_sequences,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b, at: a.then(b, at=at), inner, inner, whole),
        st.builds(lambda a, b: a.then(b, at=3 if a.length is None else None), inner, inner),
        st.builds(lambda a, c: a.scaled(c), inner, factors),
        st.builds(lambda c, a: c * a, factors, inner),
        st.builds(lambda a, low, more: a.clipped(low, low + more), inner, factors, factors),
        st.builds(lambda a, low: a.clipped(low), inner, factors),
        st.builds(lambda a, n: a.repeated(n), inner, counts),
        st.builds(lambda a, n: a.delayed(n), inner, whole),
        st.builds(lambda a, n: a.skipped(n), inner, whole),
        st.builds(lambda a, n: a.every(n), inner, counts),
    ),
    max_leaves=12,
)
