"""After any calls in any order, learning rates, positions, events and states are those of a plain model.

`HYPOTHESIS_PROFILE=nightly` tries 10,000 interleavings of each scheduler instead of 200.
"""

import copy
import json
import math
import os
import pickle
import struct
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import lrsched as ls
from lrsched import PlateauSequence, SequenceLR, preview

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
SETTINGS = settings(
    max_examples=10_000 if NIGHTLY else 200,
    derandomize=not NIGHTLY,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

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


@dataclass
class Model:
    """The expected lr and `initial_lr` of each group, and what is expected of the scheduler."""

    lrs: list[float]
    initial: list[float | None]
    bases: list[float] = field(default_factory=list)
    last_lrs: list[float] = field(default_factory=list)
    position: int = 0
    seen: list[float] = field(default_factory=list)
    stepped_ever: bool = False
    stepped_since: bool = False

    def adopt(self):
        """Adopt new groups at their own lr; then set `initial_lr` in every group that has lost it."""
        known = len(self.bases)
        new = zip(self.initial[known:], self.lrs[known:], strict=True)
        self.bases += [lr if initial is None else initial for initial, lr in new]
        if len(self.bases) > known:
            stamped = zip(self.initial, self.bases, strict=True)
            self.initial = [base if initial is None else initial for initial, base in stamped]


class Interleavings(RuleBasedStateMachine):
    """The operations that both kinds of schedulers share; a subclass makes the scheduler and steps it."""

    def start(self, lrs, as_tensors, settings):
        self.as_tensors, self.settings = as_tensors, settings
        self.saved = []
        self.model = Model(list(lrs), [None] * len(lrs))
        self.optimizer, self.scheduler = self.fresh(lrs)
        self.model.adopt()
        self.write(0)
        self.optimizer_steps()

    def fresh(self, lrs):
        optimizer = torch.optim.SGD([self.group(lr) for lr in lrs])
        return optimizer, self.make(optimizer)

    def group(self, rate):
        lr = torch.tensor(rate, dtype=torch.float64) if self.as_tensors else rate
        return {"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr}

    def write(self, first):
        """Have the model write its rates into the groups, starting with the given one."""
        sequence, floor = self.settings["sequence"], self.settings["min_lr"]
        written = [max(base * sequence(self.model.position), min(floor, base)) for base in self.model.bases]
        self.model.lrs[first:] = self.model.last_lrs[first:] = written[first:]

    @rule()
    def optimizer_steps(self):
        self.optimizer.step()
        self.model.stepped_ever = self.model.stepped_since = True

    @rule(rate=rates)
    def add_param_group(self, rate):
        if len(self.model.lrs) < 4:
            self.optimizer.add_param_group(self.group(rate))
            self.model.lrs.append(rate)
            self.model.initial.append(None)

    @rule(through_json=st.booleans())
    def save(self, through_json):
        state = self.scheduler.state_dict()
        text = json.dumps(state)
        assert json.loads(text) == state
        state = json.loads(text) if through_json else state
        self.saved.append((state, text, copy.deepcopy(self.optimizer.state_dict()), copy.deepcopy(self.model)))

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def load(self, data):
        state, _, _, model = data.draw(st.sampled_from(self.saved))
        if len(model.lrs) != len(self.model.lrs):
            before = self.scheduler.state_dict()
            with pytest.raises(ValueError, match="one entry per param group"):
                self.scheduler.load_state_dict(state)
            assert self.scheduler.state_dict() == before
        else:
            self.scheduler.load_state_dict(state)
            self.loaded(model)

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def resume(self, data):
        """Load into a new scheduler of a new optimizer that has other learning rates."""
        state, _, _, model = data.draw(st.sampled_from(self.saved))
        self.optimizer, self.scheduler = self.fresh([0.3] * len(model.lrs))
        self.optimizer.step()
        self.scheduler.load_state_dict(state)
        self.loaded(model)

    def loaded(self, model):
        self.model = copy.deepcopy(model)
        known = len(model.bases)
        self.model.initial = [*model.bases, *[None] * (len(model.lrs) - known)]
        self.model.last_lrs = model.lrs[:known]

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def optimizer_loads(self, data):
        _, _, state, model = data.draw(st.sampled_from(self.saved))
        if len(model.lrs) == len(self.model.lrs):
            self.optimizer.load_state_dict(copy.deepcopy(state))
            self.model.lrs, self.model.initial = list(model.lrs), list(model.initial)

    @rule(how=st.sampled_from([copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))]))
    def copied(self, how):
        self.optimizer, self.scheduler = how((self.optimizer, self.scheduler))
        assert self.scheduler.optimizer is self.optimizer

    @invariant()
    def groups_hold_what_the_model_holds(self):
        groups = self.optimizer.param_groups
        assert [float(group["lr"]) for group in groups] == self.model.lrs
        assert [group.get("initial_lr") for group in groups] == self.model.initial
        assert {isinstance(group["lr"], torch.Tensor) for group in groups} == {self.as_tensors}

    @invariant()
    def the_scheduler_says_so(self):
        last = self.scheduler.get_last_lr()
        assert [*map(float, last)] == self.model.last_lrs
        assert not any(lr is group["lr"] for lr in last for group in self.optimizer.param_groups if self.as_tensors)
        assert self.scheduler.base_lrs == self.model.bases

    @invariant()
    def saved_states_stay_as_they_were(self):
        assert all(json.dumps(state) == text for state, text, *_ in self.saved)

    def in_place(self, call):
        """Call, and check that tensors have stayed the same tensors."""
        before = [group["lr"] for group in self.optimizer.param_groups]
        call()
        after = [group["lr"] for group in self.optimizer.param_groups]
        assert not self.as_tensors or all(a is b for a, b in zip(before, after, strict=True))


starts = {"lrs": st.lists(rates, min_size=1, max_size=2), "as_tensors": st.booleans()}


class StepwiseInterleavings(Interleavings):
    @initialize(**starts, settings=st.fixed_dictionaries({"sequence": sequences, "min_lr": st.just(0.0) | rates}))
    def begin(self, lrs, as_tensors, settings):
        self.start(lrs, as_tensors, settings)

    def make(self, optimizer):
        return SequenceLR(optimizer, **self.settings)

    @rule()
    def step(self):
        self.in_place(self.scheduler.step)
        self.model.adopt()
        self.model.position += 1
        self.write(0)

    @invariant()
    def it_is_where_the_model_is(self):
        assert self.scheduler.last_epoch == self.model.position


class PlateauInterleavings(Interleavings):
    @initialize(
        **starts,
        settings=st.fixed_dictionaries(
            {
                "sequence": sequences,
                "min_lr": st.just(0.0) | rates,
                "on": rules,
                "mode": st.sampled_from(["min", "max"]),
                "nonfinite": st.sampled_from(["hold", "advance", "raise"]),
                "repeats": st.sampled_from(["ignore", "count"]),
            }
        ),
    )
    def begin(self, lrs, as_tensors, settings):
        self.start(lrs, as_tensors, settings)

    def make(self, optimizer):
        return PlateauSequence(optimizer, **self.settings)

    @rule(metric=metrics)
    def step(self, metric):
        if self.settings["nonfinite"] == "raise" and not math.isfinite(metric):
            before = self.scheduler.state_dict()
            with pytest.raises(ValueError, match="metrics must be finite"):
                self.scheduler.step(metric)
            assert self.scheduler.state_dict() == before
            return
        self.in_place(lambda: self.scheduler.step(metric))
        if self.is_repeat(metric):
            return
        model, known = self.model, len(self.model.bases)
        model.seen.append(metric)
        model.stepped_since = False
        events = self.previewed()
        advanced, model.position = len(events) > model.position, len(events)
        model.adopt()
        self.write(0 if advanced else known)

    def is_repeat(self, metric):
        model = self.model
        if self.settings["repeats"] == "count" or not model.seen or model.stepped_since or not model.stepped_ever:
            return False
        return struct.pack("d", model.seen[-1]) == struct.pack("d", metric)

    def previewed(self):
        names = ("sequence", "on", "mode", "nonfinite")
        return preview(metrics=self.model.seen, **{name: self.settings[name] for name in names})

    @invariant()
    def its_events_are_those_of_a_preview(self):
        assert self.scheduler.position == self.model.position
        assert self.scheduler.last_epoch == len(self.model.seen)
        told = [(event.epoch, event.reason, event.position) for event in self.scheduler.events]
        assert told == [(event.epoch, event.reason, event.position) for event in self.previewed()]


TestStepwise = StepwiseInterleavings.TestCase
TestPlateau = PlateauInterleavings.TestCase
TestStepwise.settings = TestPlateau.settings = SETTINGS
