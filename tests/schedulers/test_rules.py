"""Rules: when to advance, and why. Nothing here needs torch."""

import copy
import dataclasses
import json
import math
import pickle
import random
import re

import pytest

import lrsched
from lrsched import Cutoff, Event, Oscillation, Patience, Rule
from lrsched.schedulers._rules import Follower


def feed(rule, metrics, mode="min"):
    """Return the reasons, None where the rule does not fire."""
    return [rule.update(metric, mode) for metric in metrics]


def fires(rule, metrics, mode="min"):
    """Return the indices at which the rule fires."""
    return [i for i, reason in enumerate(feed(rule, metrics, mode)) if reason is not None]


def bumpy(seed, length=60):
    """Return a falling series with noise, ties and a plateau; every entry a sum of few bits."""
    rng = random.Random(seed)
    level, out = 2.0, []
    for i in range(length):
        level *= 0.9 if i % 20 < 12 else 1.0
        out.append(round((level + rng.gauss(0, 0.02)) * 256) / 256)
    return out


class EveryThird(Rule):
    """A user's rule, written with nothing but the documented parts."""

    state_fields = ("seen",)

    def __init__(self):
        self.seen = 0

    def update(self, metric, mode):
        self.seen += 1
        return f"third: {self.seen}" if self.seen % 3 == 0 else None


RULES = {
    "cutoff": lambda: Cutoff(),
    "cutoff fixed": lambda: Cutoff(0.05, decay=0.5, min_cutoff=1e-3),
    "cutoff previous": lambda: Cutoff(relative=0.01, previous=0.0),
    "cutoff all": lambda: Cutoff(cutoff=0.5, relative=0.2, decay=0.9, min_cutoff=0.25, previous=-1.5),
    "oscillation": lambda: Oscillation(),
    "oscillation previous": lambda: Oscillation(previous=0.0),
    "patience": lambda: Patience(),
    "patience all": lambda: Patience(patience=2, threshold=0.01, threshold_mode="abs", cooldown=3),
    "two": lambda: Cutoff(relative=0.05) | Oscillation(),
    "three": lambda: Cutoff(0.1) | Oscillation(previous=1.0) | Patience(1),
    "three, other side": lambda: Cutoff(0.1) | (Oscillation() | Patience(1)),
}
each_rule = pytest.mark.parametrize("make", RULES.values(), ids=RULES.keys())


class TestCutoff:
    def test_worked_by_hand(self):
        rule = Cutoff(0.1)
        # differences:   -    0.5  0.05  0.03  0.01   0.2  0.002
        metrics = [1.0, 0.5, 0.45, 0.42, 0.41, 0.61, 0.608]
        # cutoffs:  0.1  0.1  0.1→.02  .02  .02→.004  .004  .004→.0008
        assert fires(rule, metrics) == [2, 4, 6]
        assert rule.cutoff == pytest.approx(0.1 * 0.2**3)

    def test_starts_at_a_share_of_the_first_metric(self):
        rule = Cutoff()
        rule.update(-3.0, "min")
        assert rule.cutoff == pytest.approx(0.03, rel=1e-15)
        rule = Cutoff(relative=0.5)
        rule.update(3.0, "max")
        assert rule.cutoff == 1.5

    def test_a_given_cutoff_overrides_relative(self):
        rule = Cutoff(0.25, relative=100.0)
        rule.update(3.0, "min")
        assert rule.cutoff == 0.25

    def test_is_strict(self):
        assert fires(Cutoff(0.5, decay=1.0), [1.0, 0.5, 1.0, 0.75, 0.25]) == [3]
        assert fires(Cutoff(0.0), [1.0, 1.0, 1.0]) == []

    def test_a_first_metric_of_zero_gives_a_cutoff_of_zero(self):
        assert fires(Cutoff(), [0.0, 0.0, 0.0]) == []

    @pytest.mark.parametrize("mode", ["min", "max"])
    def test_the_first_metric_never_fires(self, mode):
        assert fires(Cutoff(1e9), [0.0], mode) == []

    @pytest.mark.parametrize("mode", ["min", "max"])
    def test_looks_at_the_size_of_the_difference_only(self, mode):
        assert fires(Cutoff(0.1, decay=1.0), [1.0, 1.05, 1.0, 1.2, 1.15], mode) == [1, 2, 4]

    def test_previous_is_the_metric_before_the_first(self):
        assert fires(Cutoff(0.1, previous=1.0), [1.05]) == [0]
        assert fires(Cutoff(0.1, previous=1.0), [1.25]) == []
        assert fires(Cutoff(relative=2.0, previous=0.0), [0.5]) == [0]  # |0.5 − 0| < 2·0.5

    def test_decay_and_min_cutoff(self):
        rule = Cutoff(1.0, decay=0.5, min_cutoff=0.3)
        seen = []
        for _ in range(5):
            rule.update(7.0, "min")
            seen.append(rule.cutoff)
        assert seen == [1.0, 0.5, 0.3, 0.3, 0.3]

    def test_decay_of_one_keeps_the_cutoff(self):
        rule = Cutoff(0.25, decay=1)
        assert fires(rule, [1.0] * 100) == list(range(1, 100))
        assert rule.cutoff == 0.25

    def test_a_thousand_plateaus_stay_finite(self):
        expected, count = 0.01, 0
        for _ in range(999):
            if expected > 0.0:
                count, expected = count + 1, expected * 0.2
        rule = Cutoff(0.01)
        assert len(fires(rule, [1.0] * 1000)) == count < 999
        assert rule.cutoff == 0.0
        floored = Cutoff(0.01, min_cutoff=1e-6)
        assert len(fires(floored, [1.0] * 1000)) == 999
        assert floored.cutoff == 1e-6

    def test_reason_is_the_documented_sentence(self):
        rule = Cutoff(0.0047)
        assert feed(rule, [0.934, 0.931]) == [None, "cutoff: abs(0.931 - 0.934) < 0.0047"]

    def test_reason_holds_the_cutoff_that_was_compared(self):
        reasons = feed(Cutoff(0.5, decay=0.5), [2.25, 2.5, 2.375])
        assert reasons == [None, "cutoff: abs(2.5 - 2.25) < 0.5", "cutoff: abs(2.375 - 2.5) < 0.25"]

    @pytest.mark.parametrize("scale", [1.0, -1.0, 1e-9, 1e12])
    def test_reason_is_true_as_it_stands(self, scale):
        for seed in range(20):
            rule = Cutoff(relative=0.02, decay=0.9)
            for reason in filter(None, feed(rule, [scale * (m + seed / 7) for m in bumpy(seed)])):
                assert eval(reason.removeprefix("cutoff: ")) is True, reason

    def test_reason_is_true_as_it_stands_late_in_training(self):
        rule = Cutoff(1.5e-6)
        reason = feed(rule, [0.1234564, 0.1234576])[1]
        assert eval(reason.removeprefix("cutoff: ")) is True, reason


class TestOscillation:
    def test_worked_by_hand(self):
        metrics = [1.0, 0.5, 0.6, 0.6, 0.7, 0.2]
        assert fires(Oscillation(), metrics) == [2, 4]
        assert fires(Oscillation(), metrics, "max") == [1, 5]

    def test_the_first_metric_never_fires_without_previous(self):
        assert fires(Oscillation(), [5.0]) == fires(Oscillation(), [-5.0], "max") == []

    def test_previous_is_the_metric_before_the_first(self):
        assert fires(Oscillation(previous=0.0), [0.5, 0.4]) == [0]
        assert fires(Oscillation(previous=0.0), [0.0]) == []
        assert fires(Oscillation(previous=0.0), [-0.5], "max") == [0]

    @pytest.mark.parametrize(("mode", "metrics"), [("min", [0.25, 0.75]), ("max", [0.75, 0.25])])
    def test_reason_holds_its_numbers(self, mode, metrics):
        reason = feed(Oscillation(), metrics, mode)[1]
        assert re.match(r"oscillat\w*: ", reason)
        assert set(re.findall(r"\d+\.\d+", reason)) == {"0.25", "0.75"}
        assert ("0.75 > 0.25" if mode == "min" else "0.25 < 0.75") in reason

    def test_reason_is_true_as_it_stands_late_in_training(self):
        reason = feed(Oscillation(), [0.12345678, 0.12345682])[1]
        assert eval(re.sub(r"^oscillat\w*: ", "", reason)) is True, reason


def torch_plateau(metrics, mode, patience, threshold, threshold_mode, cooldown):
    """Return the indices at which the plateau rule fires, from torch's documented formulas."""
    best = math.inf if mode == "min" else -math.inf
    bad = rest = 0
    out = []
    for i, metric in enumerate(metrics):
        limit = {
            ("min", "rel"): best * (1 - threshold),
            ("max", "rel"): best * (1 + threshold),
            ("min", "abs"): best - threshold,
            ("max", "abs"): best + threshold,
        }[mode, threshold_mode]
        if metric < limit if mode == "min" else metric > limit:
            best, bad = metric, 0
        else:
            bad += 1
        if rest > 0:
            rest, bad = rest - 1, 0
        if bad > patience:
            out.append(i)
            rest, bad = cooldown, 0
    return out


class TestPatience:
    def test_worked_by_hand(self):
        #                       best  1    2    3→fire 1   best
        assert fires(Patience(2), [1.0, 1.0, 1.5, 1.25, 1.0, 0.5, 0.5, 0.5, 0.5]) == [3, 8]
        assert fires(Patience(0), [1.0, 1.0, 0.5, 0.75, 0.5]) == [1, 3, 4]
        assert fires(Patience(0, cooldown=2), [1.0] * 8) == [1, 4, 7]

    def test_threshold(self):
        assert fires(Patience(0, threshold=0.25, threshold_mode="abs"), [1.0, 0.75, 0.5]) == [1]
        assert fires(Patience(0, threshold=0.5, threshold_mode="rel"), [1.0, 0.5, 0.25, 0.2]) == [1, 3]

    @pytest.mark.parametrize("mode", ["min", "max"])
    @pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
    def test_follows_the_published_formulas(self, mode, threshold_mode):
        count = 0
        for seed in range(40):
            rng = random.Random(seed)
            options = {
                "patience": rng.choice([0, 1, 2, 5]),
                "threshold": rng.choice([0.0, 1e-4, 0.05]),
                "threshold_mode": threshold_mode,
                "cooldown": rng.choice([0, 1, 3]),
            }
            metrics = [sign * m for sign in [rng.choice([1, -1])] for m in bumpy(seed)]
            expected = torch_plateau(metrics, mode, **options)
            assert fires(Patience(**options), metrics, mode) == expected, (seed, options)
            count += len(expected)
        assert count > 100

    def test_reason_holds_its_numbers(self):
        reason = feed(Patience(3), [0.375, 0.5, 0.625, 0.75, 0.875])[4]
        assert reason.startswith("patience: ")
        assert "0.375" in reason
        assert re.search(r"\b[34]\b", reason)


class TestOr:
    def test_both_see_every_metric(self):
        cutoff, oscillation = Cutoff(0.1), Oscillation()
        metrics = bumpy(3)
        alone = sorted({*fires(copy.deepcopy(cutoff), metrics), *fires(copy.deepcopy(oscillation), metrics)})
        assert fires(cutoff | oscillation, metrics) == alone

    def test_both_reasons_are_recorded(self):
        metrics = [0.5, 0.75, 0.5, 1.5]  # both, cutoff, oscillation
        first, second = feed(Cutoff(0.5, decay=1.0), metrics), feed(Oscillation(), metrics)
        both = feed(Cutoff(0.5, decay=1.0) | Oscillation(), metrics)
        assert both[0] is None
        assert first[1] in both[1]
        assert second[1] in both[1]
        assert both[2] == first[2]
        assert both[3] == second[3]

    def test_the_cutoff_shrinks_only_if_it_fired(self):
        rule = Cutoff(0.25, decay=0.5) | Oscillation()
        #              osc   osc   both: 0.25→0.125   neither 0.125 (strict)   osc
        metrics = [1.0, 2.0, 3.0, 3.125, 3.0, 3.125]
        assert fires(rule, metrics) == [1, 2, 3, 5]
        reasons = feed(rule, [4.0, 4.0625])
        assert "< 0.125" in reasons[1]  # one shrink in all that time

    @pytest.mark.parametrize(
        "join",
        [lambda r: r | r, lambda r: r | Oscillation() | r, lambda r: (r | Oscillation()) | (Oscillation() | r)],
        ids=["twice", "around", "nested"],
    )
    def test_a_rule_on_both_sides_sees_a_metric_once(self, join):
        never_rising = [4.0, 3.0, 2.5, 2.25, 2.0, 1.75, 1.7, 1.65]
        assert fires(join(Cutoff(0.3, decay=0.5)), never_rising) == fires(Cutoff(0.3, decay=0.5), never_rising)

    @pytest.mark.parametrize(
        "clone", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))], ids=["deepcopy", "pickle"]
    )
    def test_a_copy_of_a_rule_on_both_sides_sees_a_metric_once(self, clone):
        rule = Cutoff(0.3, decay=0.5)
        metrics = [4.0, 3.0, 2.5, 2.25, 2.0, 1.75, 1.7, 1.65]
        assert fires(clone(rule | rule), metrics) == fires(Cutoff(0.3, decay=0.5), metrics)

    def test_is_a_rule(self):
        assert isinstance(Cutoff() | Oscillation(), Rule)

    @pytest.mark.parametrize("other", ["oscillate", None, 1, Cutoff, len])
    def test_refuses_what_is_no_rule(self, other):
        with pytest.raises(TypeError, match=r"\|"):
            Cutoff() | other
        with pytest.raises(TypeError, match=r"\|"):
            other | Cutoff()

    def test_joins_users_rules(self):
        assert fires(EveryThird() | Cutoff(0.1), [9.0, 8.0, 7.0, 6.99, 5.0, 4.0]) == [2, 3, 5]
        assert fires(Cutoff(0.1) | EveryThird(), [9.0, 8.0, 7.0, 6.99, 5.0, 4.0]) == [2, 3, 5]


@each_rule
class TestEveryRule:
    def test_prints_as_the_call_that_makes_it(self, make):
        rule = make()
        again = eval(repr(rule), dict(vars(lrsched)))
        assert type(again) is type(rule)
        assert repr(again) == repr(rule)
        assert feed(again, bumpy(5)) == feed(rule, bumpy(5))

    def test_prints_the_same_whatever_it_saw(self, make):
        rule = make()
        before = repr(rule)
        assert fires(rule, [1.0, 1.5] + [2.0] * 30)
        assert repr(rule) == before

    def test_state_is_plain_and_a_copy(self, make):
        rule = make()
        feed(rule, bumpy(6)[:25])
        state = rule.state_dict()
        kept = copy.deepcopy(state)
        assert json.loads(json.dumps(state, allow_nan=False)) == state
        feed(rule, bumpy(7))
        assert state == kept

    def test_state_before_the_first_metric_is_plain(self, make):
        state = make().state_dict()
        assert json.loads(json.dumps(state, allow_nan=False)) == state

    def test_continues_from_its_state(self, make):
        for cut in (0, 1, 2, 17, 30, 59):
            whole, first, second = make(), make(), make()
            series = bumpy(8)
            reasons = feed(whole, series)
            feed(first, series[:cut])
            state = json.loads(json.dumps(first.state_dict()))
            kept = copy.deepcopy(state)
            second.load_state_dict(state)
            assert feed(second, series[cut:]) == reasons[cut:]
            assert state == kept

    def test_forgets_what_it_saw_when_a_fresh_state_is_loaded(self, make):
        rule = make()
        fresh = make().state_dict()
        feed(rule, bumpy(9))
        rule.load_state_dict(fresh)
        assert feed(rule, bumpy(10)) == feed(make(), bumpy(10))

    def test_refuses_a_broken_state(self, make):
        rule = make()
        feed(rule, bumpy(11))
        state = rule.state_dict()
        for key in state:
            broken = {name: value for name, value in state.items() if name != key}
            with pytest.raises((TypeError, ValueError), match=re.escape(key)):
                rule.load_state_dict(broken)
            assert rule.state_dict() == state
            with pytest.raises((TypeError, ValueError), match="'wrong'"):
                rule.load_state_dict({**state, key: "wrong"})
            assert rule.state_dict() == state
        with pytest.raises((TypeError, ValueError), match="state"):
            rule.load_state_dict(None)
        assert rule.state_dict() == state

    @pytest.mark.parametrize(
        "clone", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))], ids=["deepcopy", "pickle"]
    )
    def test_a_copy_goes_its_own_way(self, make, clone):
        rule = make()
        feed(rule, bumpy(12)[:20])
        other = clone(rule)
        state = rule.state_dict()
        reasons = feed(other, bumpy(12)[20:])
        assert rule.state_dict() == state
        assert feed(rule, bumpy(12)[20:]) == reasons

    def test_reasons_are_one_line_of_text(self, make):
        for reason in feed(make(), bumpy(13)):
            assert reason is None or (type(reason) is str and reason and "\n" not in reason)


@pytest.mark.parametrize(
    "make",
    [
        lambda s: Cutoff(),
        lambda s: Cutoff(0.05, previous=s * 0.5),
        lambda s: Oscillation(),
        lambda s: Oscillation(previous=s * 0.5),
        lambda s: Patience(1, threshold=0.02, threshold_mode="abs", cooldown=2),
        lambda s: Cutoff() | Oscillation(),
    ],
)
def test_max_mirrors_min_on_the_negated_series(make):
    count = 0
    for seed in range(20):
        series = [m - 1.0 for m in bumpy(seed)]  # of both signs
        expected = fires(make(1), series)
        assert fires(make(-1), [-m for m in series], "max") == expected
        count += len(expected)
    assert count > 20


class TestUsersRules:
    def test_state_fields_are_the_state(self):
        rule = EveryThird()
        assert fires(rule, [1.0] * 7) == [2, 5]
        state = rule.state_dict()
        assert state == {"seen": 7}
        again = EveryThird()
        again.load_state_dict(state)
        assert fires(again, [1.0] * 3) == [1]

    def test_a_list_in_the_state_is_copied_both_ways(self):
        class Window(Rule):
            state_fields = ("window",)

            def __init__(self):
                self.window = []

            def update(self, metric, mode):
                self.window.append(metric)

        rule = Window()
        rule.update(1.0, "min")
        state = rule.state_dict()
        rule.update(2.0, "min")
        assert state == {"window": [1.0]}
        other = Window()
        other.load_state_dict(state)
        other.update(3.0, "min")
        assert state == {"window": [1.0]}
        assert other.window == [1.0, 3.0]

    @pytest.mark.parametrize(
        ("fresh", "later"),
        [
            (None, 0.5),
            (None, "rising"),
            (None, [1.0, 2.0]),
            (0, -3),
            (0, 0.75),
            (0.0, 2),
            (0.0, None),
            ("", "rising"),
            (False, True),
            ([], [[1.0], None]),
            ({}, {"best": 1.0}),
            (math.inf, 0.5),
            (0.5, -math.inf),
        ],
    )
    def test_a_field_may_hold_any_plain_value_later(self, fresh, later):
        class Keeps(Rule):
            state_fields = ("kept",)

            def __init__(self):
                self.kept = fresh

            def update(self, metric, mode):
                self.kept = later

        rule, again = Keeps(), Keeps()
        rule.update(1.0, "min")
        again.load_state_dict(json.loads(json.dumps(rule.state_dict(), allow_nan=False)))
        assert again.kept == later

    def test_update_is_compulsory(self):
        class Nothing(Rule):
            state_fields = ()

        with pytest.raises(TypeError, match="update"):
            Nothing()
        with pytest.raises(TypeError, match="update"):
            Rule()

    def test_a_rule_without_state_needs_no_fields(self):
        class Below(Rule):
            def update(self, metric, mode):
                return f"below: {metric} < 0.5" if metric < 0.5 else None

        rule = Below()
        assert fires(rule, [1.0, 0.25]) == [1]
        assert rule.state_dict() == {}
        rule.load_state_dict({})

    def test_prints_without_an_address(self):
        assert repr(EveryThird()) == repr(EveryThird())
        assert "EveryThird" in repr(EveryThird())


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        ("cutoff", [-0.1, math.nan, math.inf], ValueError),
        ("cutoff", ["0.1", True, [0.1], {}], TypeError),
        ("relative", [-0.1, math.nan, math.inf], ValueError),
        ("relative", ["0.1", None, False, 1j], TypeError),
        ("decay", [0.0, -0.5, 1.0001, math.nan, math.inf], ValueError),
        ("decay", ["0.1", None, True], TypeError),
        ("min_cutoff", [-1e-9, math.nan, math.inf], ValueError),
        ("min_cutoff", ["0.1", None, True], TypeError),
        ("previous", [math.nan, math.inf, -math.inf], ValueError),
        ("previous", ["0.1", True, [0.1]], TypeError),
    ],
)
def test_cutoff_refuses(name, values, error):
    for value in values:
        with pytest.raises(error, match=rf"\b{name} must .*{re.escape(repr(value))}"):
            Cutoff(**{name: value})


def test_oscillation_refuses():
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match=rf"previous must .*{value}"):
            Oscillation(previous=value)
    for value in ("0", True, [0.0]):
        with pytest.raises(TypeError, match=rf"previous must .*{re.escape(repr(value))}"):
            Oscillation(previous=value)


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        ("patience", [-1], ValueError),
        ("patience", [1.5, 2.0, "3", None, True, math.nan], TypeError),
        ("threshold", [-1e-4, math.nan, math.inf], ValueError),
        ("threshold", ["0.1", None, True], TypeError),
        ("threshold_mode", ["relative", ""], ValueError),
        ("threshold_mode", [None, 1], TypeError),
        ("cooldown", [-1], ValueError),
        ("cooldown", [0.5, "0", None, False], TypeError),
    ],
)
def test_patience_refuses(name, values, error):
    for value in values:
        with pytest.raises(error, match=rf"\b{name} must .*{re.escape(repr(value))}"):
            Patience(**{name: value})


def test_arguments_become_pythons_numbers():
    numpy = pytest.importorskip("numpy")
    rule = Cutoff(numpy.float64(0.5), decay=numpy.float32(0.25), previous=numpy.int64(1))
    assert repr(rule) == repr(Cutoff(0.5, decay=0.25, previous=1.0))
    assert type(rule.cutoff) is float
    assert repr(Patience(numpy.int64(3), threshold=numpy.float64(0.5))) == repr(Patience(3, threshold=0.5))


def test_an_event_is_a_frozen_record():
    assert [field.name for field in dataclasses.fields(Event)] == [
        "epoch",
        "metric",
        "reason",
        "position",
        "old_lrs",
        "new_lrs",
    ]
    event = Event(epoch=3, metric=0.5, reason="cutoff: …", position=1, old_lrs=[0.1], new_lrs=[0.05])
    assert event == Event(3, 0.5, "cutoff: …", 1, [0.1], [0.05])
    with pytest.raises(dataclasses.FrozenInstanceError, match="position"):
        event.position = 2


class TestWhatARuleLeavesWhenItFails:
    def test_its_own_error_comes_out_and_its_attributes_are_back(self):
        class Faulty(Rule):
            state_fields = ("window",)

            def __init__(self):
                self.window = None

            def update(self, metric, mode):
                self.window = [metric]
                raise RuntimeError("boom")

        for on in (Faulty(), Cutoff(0.5) | Faulty(), (Oscillation() | Cutoff(0.5)) | Faulty()):
            follower = Follower(on)
            before = follower.rule.state_dict()
            with pytest.raises(RuntimeError, match="boom"):
                follower.update(1.0)
            assert follower.rule.state_dict() == before
            assert (follower.epoch, follower.position) == (0, 0)

    def test_an_empty_reason_is_refused(self):
        class Silent(Rule):
            def update(self, metric, mode):
                return ""

        with pytest.raises(TypeError, match="not empty"):
            Follower(Silent()).update(1.0)

    def test_a_subclass_may_keep_more_than_numbers(self):
        class WithHistory(Patience):
            state_fields = (*Patience.state_fields, "history")

            def __init__(self):
                super().__init__(3)
                self.history = []

        rule, other = WithHistory(), WithHistory()
        rule.update(1.0, "min")
        rule.history.append(1.0)
        other.load_state_dict(rule.state_dict())
        assert (other.best, other.history) == (1.0, [1.0])
        with pytest.raises(TypeError, match="best"):
            other.load_state_dict({**rule.state_dict(), "best": [1.0]})
