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

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from torch.optim.lr_scheduler import ExponentialLR, LinearLR

import lrsched as ls
from lrsched import PlateauSequence, SequenceLR, preview
from tests.schedulers.strategies import metrics, rates, rules, sequences

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
SETTINGS = settings(
    max_examples=10_000 if NIGHTLY else 200,
    derandomize=not NIGHTLY,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Model:
    """The expected lr and `initial_lr` of each group, and what is expected of the scheduler.

    A group is disturbed if somebody else has changed its rate. Only then may its rates differ by rounding.
    """

    lrs: list[float]
    initial: list[float | None]
    bases: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    last_lrs: list[float] = field(default_factory=list)
    disturbed: list[bool] = field(default_factory=list)
    position: int = 0
    seen: list[float] = field(default_factory=list)
    stepped_ever: bool = False
    stepped_since: bool = False

    def adopt(self, factor):
        """Adopt new groups: they continue from their lr, or are absolute if they have an `initial_lr`."""
        known = len(self.bases)
        for initial, lr in zip(self.initial[known:], self.lrs[known:], strict=True):
            self.bases.append(lr if initial is None else initial)
            self.scales.append(1.0 if initial is not None else ratio(1.0, factor))
            self.last_lrs.append(lr)
        if len(self.bases) > known:
            self.stamp()

    def stamp(self):
        """Set `initial_lr` in every group that has none."""
        stamped = zip(self.initial, self.bases, strict=True)
        self.initial = [base if initial is None else initial for initial, base in stamped]

    def hear(self, hold):
        """Scale by what others have made of the rates written last."""
        for i, (lr, last) in enumerate(zip(self.lrs, map(hold, self.last_lrs), strict=True)):
            if lr != last:
                self.disturbed[i] = True
            initial = self.initial[i]
            if last == 0.0 != lr and initial is not None and (initial != self.bases[i] or hold(initial) == lr):
                self.bases[i], self.scales[i] = self.initial[i], 1.0  # by set_lr
            elif lr != last:
                self.scales[i] *= ratio(lr, last)

    def start(self):
        """Start from the present rates, as a scheduler that is made does."""
        self.bases = [lr if initial is None else initial for initial, lr in zip(self.initial, self.lrs, strict=True)]
        self.scales = [ratio(lr, base) for lr, base in zip(self.lrs, self.bases, strict=True)]
        self.disturbed = [a or b != 1.0 for a, b in zip(self.disturbed, self.scales, strict=True)]
        self.last_lrs = list(self.lrs)
        self.stamp()
        self.position, self.seen, self.stepped_ever, self.stepped_since = 0, [], False, False


def ratio(a, b):
    """Return a/b, or 1 if it is not a positive number."""
    result = a / b if b else 0.0
    return result if 0.0 < result < math.inf else 1.0


KINDS_OF_LR = {"float": None, "float64": torch.float64, "float32": torch.float32}


class Interleavings(RuleBasedStateMachine):
    """The operations that both kinds of schedulers share; a subclass makes the scheduler and steps it."""

    def start(self, lrs, kind, settings):
        self.dtype, self.settings = KINDS_OF_LR[kind], settings
        self.saved = []
        lrs = [*map(self.hold, lrs)]
        self.model = Model(lrs, [None] * len(lrs), disturbed=[False] * len(lrs))
        self.optimizer, self.scheduler = self.fresh(lrs)
        self.model.start()
        self.write()
        self.optimizer_steps()

    def hold(self, rate):
        """Return a rate as a group holds it."""
        return float(torch.tensor(rate, dtype=self.dtype)) if self.dtype else rate

    def fresh(self, lrs):
        optimizer = torch.optim.SGD([self.group(lr) for lr in lrs])
        return optimizer, self.make(optimizer)

    def group(self, rate, **options):
        lr = torch.tensor(rate, dtype=self.dtype) if self.dtype else rate
        return {"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr, **options}

    def factor(self):
        return self.settings["sequence"](self.model.position)

    def write(self):
        """Have the model write its rates into the groups."""
        floor, factor = self.settings["min_lr"], self.factor()
        scaled = zip(self.model.bases, self.model.scales, strict=True)
        self.model.last_lrs = [max(base * scale * factor, min(floor, base)) for base, scale in scaled]
        self.model.lrs = [*map(self.hold, self.model.last_lrs)]

    def sane(self):
        """Say whether all rates are far from where numbers overflow or lose their bits, if somebody scales them."""
        least, most = (1e-12, 1e12) if self.dtype == torch.float32 else (1e-100, 1e100)
        return all(lr == 0.0 or least < lr < most for lr in [*self.model.lrs, *self.model.last_lrs])

    @rule()
    def optimizer_steps(self):
        self.optimizer.step()
        self.model.stepped_ever = self.model.stepped_since = True

    @rule(rate=rates, initial=st.none() | rates)
    def add_param_group(self, rate, initial):
        if len(self.model.lrs) < 4:
            self.optimizer.add_param_group(self.group(rate, **({} if initial is None else {"initial_lr": initial})))
            self.model.lrs.append(self.hold(rate))
            self.model.initial.append(initial)
            self.model.disturbed.append(initial is None)

    @precondition(sane)
    @rule(rate=st.just(0.0) | rates, i=st.integers(0, 3))
    def edit_by_hand(self, rate, i):
        i %= len(self.model.lrs)
        group = self.optimizer.param_groups[i]
        group["lr"] = group["lr"].fill_(rate) if self.dtype else rate
        self.model.lrs[i] = self.hold(rate)

    @precondition(lambda self: self.sane() and (self.model.lrs[0] > 0.0 or len(set(self.model.lrs)) == 1))
    @rule(rate=rates)
    def set_lr(self, rate):
        ls.set_lr(self.optimizer, rate)
        model, first = self.model, self.model.lrs[0]
        equal = len(set(model.lrs)) == 1
        chosen = [rate if equal else rate * lr / first for lr in model.lrs]
        model.lrs = [*map(self.hold, chosen)]
        model.initial = [None if initial is None else lr for initial, lr in zip(model.initial, chosen, strict=True)]
        model.disturbed = [True] * len(model.lrs)

    @precondition(sane)
    @rule(kind=st.sampled_from(["exponential", "linear"]))
    def a_torch_scheduler_beside(self, kind):
        """Make one of torch's, and step it once: it multiplies the rates by 0.7, or by 0.5 and then 0.75/0.5."""
        make = {"exponential": lambda o: ExponentialLR(o, 0.7), "linear": lambda o: LinearLR(o, 0.5, 1.0, 2)}[kind]
        beside = make(self.optimizer)
        self.optimizer_steps()
        beside.step()
        model = self.model
        initials = zip(model.initial, model.lrs, strict=True)
        model.initial = [lr if initial is None else initial for initial, lr in initials]
        model.lrs = [self.hold(lr * (0.7 if kind == "exponential" else 0.75)) for lr in model.lrs]
        model.disturbed = [True] * len(model.lrs)

    @precondition(sane)
    @rule()
    def scheduler_is_made_again(self):
        self.scheduler = self.make(self.optimizer)
        self.model.start()
        self.write()

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
    @rule(data=st.data(), optimizer_too=st.sampled_from([None, "first", "last"]))
    def resume(self, data, optimizer_too):
        """Load into a new scheduler of a new optimizer that has other learning rates."""
        state, _, optimizer_state, model = data.draw(st.sampled_from(self.saved))
        self.optimizer, self.scheduler = self.fresh([0.3] * len(model.lrs))
        self.optimizer.step()
        if optimizer_too == "first":
            self.optimizer.load_state_dict(copy.deepcopy(optimizer_state))
        self.scheduler.load_state_dict(state)
        self.loaded(model)
        if optimizer_too == "last":
            self.optimizer.load_state_dict(copy.deepcopy(optimizer_state))
            self.model.initial = list(model.initial)

    def loaded(self, model):
        self.model = copy.deepcopy(model)
        known = len(model.bases)
        self.model.initial = [*model.bases, *[None] * (len(model.lrs) - known)]

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def optimizer_loads(self, data):
        _, _, state, model = data.draw(st.sampled_from(self.saved))
        if len(model.lrs) == len(self.model.lrs):
            self.optimizer.load_state_dict(copy.deepcopy(state))
            self.model.lrs, self.model.initial = list(model.lrs), list(model.initial)
            self.model.disturbed = [a or b for a, b in zip(model.disturbed, self.model.disturbed, strict=True)]

    @rule(how=st.sampled_from([copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))]))
    def copied(self, how):
        self.optimizer, self.scheduler = how((self.optimizer, self.scheduler))
        assert self.scheduler.optimizer is self.optimizer

    def same(self, found, expected):
        """Say whether values of the groups are the expected ones: bit for bit in a group that nobody has disturbed."""
        rel = 1e-4 if self.dtype == torch.float32 else 1e-9
        triples = zip(found, expected, self.model.disturbed, strict=False)
        close = [b == (pytest.approx(a, rel=rel, abs=0) if loose and a is not None else a) for b, a, loose in triples]
        return len(found) == len(expected) and all(close)

    @invariant()
    def groups_hold_what_the_model_holds(self):
        groups = self.optimizer.param_groups
        assert self.same([float(group["lr"]) for group in groups], self.model.lrs)
        initial = [group.get("initial_lr") for group in groups]
        assert self.same([float(lr) if isinstance(lr, torch.Tensor) else lr for lr in initial], self.model.initial)
        assert {isinstance(group["lr"], torch.Tensor) for group in groups} == {self.dtype is not None}

    @invariant()
    def the_scheduler_says_so(self):
        last = self.scheduler.get_last_lr()
        assert self.same([*map(float, last)], [*map(self.hold, self.model.last_lrs)])
        assert not any(lr is group["lr"] for lr in last for group in self.optimizer.param_groups if self.dtype)
        assert self.same(self.scheduler.base_lrs, self.model.bases)

    @invariant()
    def saved_states_stay_as_they_were(self):
        assert all(json.dumps(state) == text for state, text, *_ in self.saved)

    def in_place(self, call):
        """Call, and check that tensors have stayed the same tensors."""
        before = [group["lr"] for group in self.optimizer.param_groups]
        call()
        after = [group["lr"] for group in self.optimizer.param_groups]
        assert not self.dtype or all(a is b for a, b in zip(before, after, strict=True))


starts = {"lrs": st.lists(rates, min_size=1, max_size=2), "kind": st.sampled_from(list(KINDS_OF_LR))}


class StepwiseInterleavings(Interleavings):
    @initialize(**starts, settings=st.fixed_dictionaries({"sequence": sequences, "min_lr": st.just(0.0) | rates}))
    def begin(self, lrs, kind, settings):
        self.start(lrs, kind, settings)

    def make(self, optimizer):
        return SequenceLR(optimizer, **self.settings)

    @rule()
    def step(self):
        self.in_place(self.scheduler.step)
        self.model.adopt(self.factor())
        self.model.hear(self.hold)
        self.model.position += 1
        self.write()

    @rule(epoch=st.integers(0, 20))
    def step_to_an_epoch(self, epoch):
        """It is absolute."""
        with pytest.warns(UserWarning, match="epoch parameter"):
            self.in_place(lambda: self.scheduler.step(epoch))
        model = self.model
        model.adopt(self.factor())
        model.scales = [1.0] * len(model.bases)
        model.position = epoch
        self.write()

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
    def begin(self, lrs, kind, settings):
        self.start(lrs, kind, settings)

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
        model = self.model
        model.adopt(self.factor())
        model.seen.append(metric)
        model.stepped_since = False
        events = self.previewed()
        advanced, model.position = len(events) > model.position, len(events)
        if advanced:
            model.hear(self.hold)
            self.write()

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
