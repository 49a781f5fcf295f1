import json
import math

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.errors import BenchmarkError
from benchmarks.records import Records
from benchmarks.replications import function_claims as claims
from benchmarks.replications import functions
from benchmarks.replications.function_tasks import FUNCTIONS, UNIT, adam, network, train


def sweep(function, part, lowest, loss=1.0, seed=0, depth=0.5):
    """Return a record whose every column is `loss`, and depth × loss at the rates of these places."""
    losses = np.full((100, 4), loss)
    losses[lowest] = depth * loss
    return {"function": function, "seed": seed, "part": part, "loss": loss, "losses": losses.tolist()}


# --- the task


def test_points_by_hand():
    x, y = FUNCTIONS["log"].points()
    assert x[0] == 0.01
    assert x[2500].item() == pytest.approx(0.01 + 2500 / 2501 * 4.99)
    assert y[0].item() == pytest.approx(math.log(0.01))
    x, y = FUNCTIONS["1/x"].points()
    assert x[1250].item() == pytest.approx(-5 + 12500 / 2501)  # -0.002: no point lies on the pole
    assert y[1250].item() == pytest.approx(-500.2)


@pytest.mark.parametrize(
    ("name", "at_minus_5", "just_above_0"),
    [
        ("exp", math.exp(-5), math.exp(10 / 5002)),
        ("sin", math.sin(-5), math.sin(10 / 5002)),
        ("2x+8", -2, 8 + 20 / 5002),
        ("step", 0, 1),
        ("1/x", -0.2, 500.2),
    ],
)
def test_targets_by_hand(name, at_minus_5, just_above_0):
    x, y = FUNCTIONS[name].points()
    assert x[1251].item() == pytest.approx(10 / 5002)
    assert (y[0].item(), y[1251].item()) == pytest.approx((at_minus_5, just_above_0))


def test_two_batches_an_epoch_and_the_published_unit():
    (x, y), (rest, _) = FUNCTIONS["sin"].batches()
    assert (x.shape, y.shape, rest.shape, x.dtype) == ((1280, 1), (1280, 1), (1221, 1), torch.float32)
    assert pytest.approx(2.1e-6, rel=0.05) == 1.3e-3 * UNIT  # as the source's losses are read


def test_the_network_is_the_seeds():
    first, again, other = (torch.cat([p.flatten() for p in network(seed).parameters()]) for seed in (0, 0, 1))
    assert len(first) == 20 + 110 + 110 + 11
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# --- the claims, on records made by hand; rate i is 10^(-6 + 8i/99)


def test_sweet_spot_is_the_run_around_the_best():
    losses = np.full(100, 3.0)
    losses[10] = 1.05  # near enough, but no neighbour
    losses[20:23] = 1.1, 1.0, 1.09
    losses[50:] = np.nan
    low, high, best = claims.sweet_spot(losses)
    assert [round((math.log10(lr) + 6) * 99 / 8) for lr in (low, high, best)] == [20, 22, 21]
    assert claims.sweet_spot(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == (1.0, 1.0, 1.0)
    assert claims.sweet_spot(np.array([2.0, 1.0]), np.array([1.0, 2.0])) == (2.0, 2.0, 2.0)


def test_c1_and_c2_overlap_the_claimed_range():
    inside, above, after = [52], [70], [26]  # 1.6e-2, 0.45, 1.3e-4
    records = [
        sweep("log", claims.UNTRAINED, inside),
        sweep("exp", claims.UNTRAINED, above),
        sweep("1/x", claims.UNTRAINED, inside),
        sweep("log", claims.AFTER, after),
        sweep("exp", claims.AFTER, above),
    ]
    assert [(seed["function"], seed["holds"]) for seed in claims.c1(records)] == [("log", True), ("exp", False)]
    log, exp = claims.c2(records)
    assert log["holds"]
    assert log["shift"] == pytest.approx((26 - 52) * 8 / 99)
    assert not exp["holds"]
    assert exp["shift"] == 0


def long(slow, fast, lowered):
    return [{"function": "log", "seed": 0, "part": "long", "slow": slow, "fast": fast, "lowered": lowered}]


def test_c3_counts_the_epochs_that_equal_thirty():
    fast = [9.0] * 25 + [1.0, 2.0, 3.0, 4.0, 5.0] + [9.0] * 470  # its loss is 3
    (found,) = claims.c3(long([10.0] * 299 + [3.0] * 701, fast, []))
    assert (found["epochs"], found["factor"]) == (300, 10)
    (found,) = claims.c3(long([10.0] * 1000, fast, []))
    assert (found["epochs"], found["factor"]) == (None, math.inf)


def test_c4_is_about_dips_before_eight_epochs():
    flat = sweep("1/x", claims.UNTRAINED, [50], depth=0.995)
    deep = sweep("1/x", claims.UNTRAINED, [50], depth=0.98, seed=1)
    late = sweep("1/x", claims.UNTRAINED, [], seed=2)
    late["losses"][50][3] = 0.5
    late["losses"][60] = [None] * 4
    assert [seed["holds"] for seed in claims.c4([deep, late, flat])] == [True, False, True]
    assert claims.c4([late])[0]["dips"] == {1: 0, 2: 0, 4: 0, 8: 0.5}


def test_c5_counts_spikes():
    kept = [1.0] * 400 + [1.0, 1.6, 1.0, 1.0, 1.4] * 20
    (found,) = claims.c5(long([], kept, [0.5] * 100))
    assert (found["spikes"], found["spikes_lowered"], found["factor"], found["holds"]) == (20, 0, 2, True)
    (found,) = claims.c5(long([], kept, [0.5] * 50 + [5.0] + [0.5] * 49))
    assert (found["spikes_lowered"], found["holds"]) == (1, False)


def test_c7_wants_a_rise_first_and_the_sweet_spot_last():
    record = sweep("sin", claims.AFTER, [36, 37, 38])  # 37 is the rate nearest to 1e-3
    for ahead in (0, 1):
        record["losses"][37][ahead] = 1.05
    (found,) = claims.c7([record])
    assert found["holds"]
    assert found["ratios"] == {1: 1.05, 2: 1.05, 4: 0.5, 8: 0.5}
    record["losses"][37][1] = 0.9
    assert not claims.c7([record])[0]["holds"]
    record["losses"][37] = [None] * 4  # the scan had ended
    (found,) = claims.c7([record])
    assert (found["ratios"][8], found["spot"]) == (math.inf, False)


# --- the file of records


def test_records_come_back_and_other_configurations_stay(tmp_path):
    records = Records(tmp_path, ("name", "seed"), {"epochs": 1})
    records.add({"name": "a", "seed": 0, "losses": [0.5, math.nan]})
    Records(tmp_path, ("name", "seed"), {"epochs": 2}).add({"name": "a", "seed": 1})
    with records.path.open("a") as file:
        file.write('{"name": "a", "se')
    again = Records(tmp_path, ("name", "seed"), {"epochs": 1})
    assert again.found == records.found == {("a", 0): {"name": "a", "seed": 0, "losses": [0.5, None]}}
    assert len(records.path.read_text().splitlines()) == 2
    records.path.write_text("[]\n")
    with pytest.raises(BenchmarkError, match=r"runs.jsonl, line 1, is no record"):
        Records(tmp_path, ("name", "seed"), {"epochs": 1})


# --- the command


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(functions, "STATES", {claims.UNTRAINED: (1e-3, 0), claims.AFTER: (1e-3, 2)})
    monkeypatch.setattr(claims, "LRS", np.logspace(-6, 2, 5))
    monkeypatch.setattr(claims, "SLOW", (1e-3, 40))
    monkeypatch.setattr(claims, "FAST", (5e-2, 40))
    monkeypatch.setattr(claims, "LOWERED", (5e-3, 25))


def test_command_resumes(tiny, capsys, tmp_path):
    arguments = ["functions", "--quick", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert "3 sweeps and long trainings, 3 of them still to do" in capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"runs.jsonl", "table.md", "info.json", "log.png", "long.png"}
    assert main(arguments) == 0
    assert "3 sweeps and long trainings, 0 of them still to do" in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert [line["part"] for line in lines] == [claims.UNTRAINED, claims.AFTER, "long"]
    assert np.shape(lines[0]["losses"]) == (5, 4)
    assert [len(lines[2][name]) for name in ("slow", "fast", "lowered")] == [40, 40, 25]


def test_lowering_the_rate_leaves_the_other_run_alone(tiny):
    model, batches = network(0), FUNCTIONS["log"].batches()
    straight = train(model, adam(model, 5e-2), batches, 40)
    found = functions.long("log", 0)
    assert found["fast"] == functions.short(straight)
    assert found["lowered"][-1] != found["fast"][-1]


def test_unknown_function_is_named(capsys):
    assert main(["functions", "--functions", "log,cosh"]) == 1
    assert "no function is called 'cosh'; there are log, exp" in capsys.readouterr().err
