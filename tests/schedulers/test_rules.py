"""Rules: when each of them advances, and the reason that it gives."""

import copy
import math
import pickle
import random
import re

import pytest

from lrsched import Cutoff, Oscillation, Patience, Rule
from tests.schedulers.plateau import bumpy
from tests.schedulers.rules import EveryThird, feed, fires


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

    def test_it_starts_at_the_first_metric_that_is_not_zero(self):
        rule = Cutoff()
        assert fires(rule, [0.0, 0.0, 0.0]) == []
        assert rule.cutoff is None
        assert rule.update(-0.5, "min") is None
        assert rule.cutoff == 0.005

    def test_a_score_that_is_zero_at_first_plateaus_as_others_do(self):
        """F1 or mAP is 0 in the first epoch; cutoffs 0.002, 0.0004, … until 0.002·0.2ⁿ is 0."""
        later = [0.2, 0.4, 0.5] + [0.6] * 200
        assert fires(Cutoff(), [0.0, *later], "max") == [1 + i for i in fires(Cutoff(), later, "max")]
        assert fires(Cutoff(min_cutoff=1e-6), [0.0, *later], "max") == list(range(5, 204))

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
        assert "< 0.125" in reasons[1]  # it has shrunk only once

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
    def test_refuses_anything_but_a_rule(self, other):
        with pytest.raises(TypeError, match=r"\|"):
            Cutoff() | other
        with pytest.raises(TypeError, match=r"\|"):
            other | Cutoff()

    def test_joins_users_rules(self):
        assert fires(EveryThird() | Cutoff(0.1), [9.0, 8.0, 7.0, 6.99, 5.0, 4.0]) == [2, 3, 5]
        assert fires(Cutoff(0.1) | EveryThird(), [9.0, 8.0, 7.0, 6.99, 5.0, 4.0]) == [2, 3, 5]


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
