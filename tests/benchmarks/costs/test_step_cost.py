import json

import pytest

from benchmarks.__main__ import main
from benchmarks.costs import step_cost

from .helpers import Clock


def test_step_cost_times_every_pair_at_every_size(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(step_cost, "KINDS", [(1, "float"), (2, "tensor")])
    assert main(["step_cost", "--samples", "3", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for part in (
        "Claim: ",
        "Limits met: ",
        "Hardware: ",
        "InverseLR / LambdaLR",
        "PlateauSequence / ReduceLROnPlateau",
    ):
        assert part in printed
    costs = json.loads((tmp_path / "step_cost.json").read_text())["costs"]
    assert len(costs) == 2 * len(step_cost.PAIRS)
    for cost in costs:
        assert cost["low"] * (1 - 1e-9) <= cost["ratio"] <= cost["high"] * (1 + 1e-9)  # up to rounding
        assert cost["ratio"] == pytest.approx(cost["ours"] / cost["torchs"])


def test_a_known_ratio_is_found(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)

    class Slow:
        def __init__(self, seconds):
            self.seconds = seconds

        def step(self, *arguments):
            clock.wait(self.seconds)

    pair = step_cost.Pair("slow", lambda opt: Slow(0.001), lambda opt: Slow(0.004), {(1, "float"): 0.5})
    cost = step_cost.measure(pair, (1, "float"), samples=11)
    assert cost.ratio == pytest.approx(0.25, rel=1e-9)
    assert cost.ours == pytest.approx(1000, rel=1e-9)  # µs
    assert (cost.limit, cost.verdict) == (0.5, "met")
    assert step_cost.measure(pair, (1, "tensor"), samples=3).verdict == ""
    slower = step_cost.Pair("slower", pair.torchs, pair.ours, {(1, "float"): 0.5})
    assert step_cost.measure(slower, (1, "float"), samples=3).verdict == "MISSED"


def test_the_limits_are_those_claimed():
    limits = {pair.name: pair.limits for pair in step_cost.PAIRS}
    kinds = (1, "float"), (10, "float"), (1000, "float"), (1, "tensor"), (1000, "tensor")
    common = dict(zip(kinds, (0.55, 0.55, 0.45, 0.4, 0.25), strict=True))
    assert limits["InverseLR / LambdaLR"] == limits["GeometricLR / ExponentialLR"] == common
    assert set(limits["CyclicLR / CyclicLR"].values()) == {0.6}
    assert limits["StepDecayLR / StepLR"] == {(1000, "tensor"): 0.35}
