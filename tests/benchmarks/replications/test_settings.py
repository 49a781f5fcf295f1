"""The published settings, as run and as written, compared with learning rates worked out by hand."""

import json
import math

import pytest
import torch
from torch import nn

from benchmarks.commands import BenchmarkError
from benchmarks.replications import cifar10, digits, mnist, rules
from benchmarks.replications.metrics import stands_still
from benchmarks.replications.settings import ADDED, AS_WRITTEN, FOURTEEN, SETTINGS
from lrsched import PlateauSequence

RATES = {  # over r₀, after k = 0, 1, … 12 advances
    "as run": {
        "seq1": [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7, 1 / 8, 1 / 9, 1 / 10, 1 / 11, 1 / 12, 1 / 13],
        "seq2": [1, *(1 / math.sqrt(n) for n in range(2, 14))],
        "seq3": [1, 0.9, 0.81, 0.729, 0.6561, *(0.9**k for k in range(5, 13))],
        # (1 − ((k−1) mod 10)/10) / (⌊(k−1)/10⌋ + 1), and r₀ before
        "seq4": [1, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.5, 0.45],
    },
    "as written": {  # r₁, r₂, … r₁₃: by epoch, from epoch 1; by loss, after r₀
        "seq1": [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7, 1 / 8, 1 / 9, 1 / 10, 1 / 11, 1 / 12, 1 / 13],
        "seq2": [1, *(1 / math.sqrt(n) for n in range(2, 14))],
        "seq3": [0.9, 0.81, 0.729, 0.6561, *(0.9**n for n in range(5, 14))],
        # (1 − ((n−1) mod 10)/10) / (⌊n/10⌋ + 1): halved at n = 10 already, with the tooth still at its foot
        "seq4": [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.05, 0.5, 0.45, 0.4],
    },
}
TABLES = {"as run": FOURTEEN, "as written": AS_WRITTEN}
LOSSES = {  # as written, the first loss does not advance; as run, it is compared with 0
    "epoch": [1.0] * 60,
    "oscillate": [1.0 + n for n in range(60)],
    "cutoff": [1.0] * 60,
}


def follow(setting, losses):
    """Return the rate of every epoch, and the number of advances at the end."""
    optimizer = setting.optimizer([nn.Parameter(torch.zeros(1))])
    scheduler = setting.scheduler(optimizer)
    rates = []
    for loss in losses:
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([loss] if isinstance(scheduler, PlateauSequence) else []))
    return rates, scheduler.position if isinstance(scheduler, PlateauSequence) else scheduler.last_epoch


@pytest.mark.parametrize("version", TABLES)
def test_the_fourteen_settings_and_their_names(version):
    strategies = ("epoch", "cutoff", "oscillate")
    names = ["sgd", "adam"] + [f"seq{i}-{how}" for how in strategies for i in (1, 2, 3, 4)]
    assert list(TABLES[version]) == names


def test_the_rules_of_a_steep_sequence_are_compared_on_either_dataset(tmp_path):
    assert list(rules.settings())[:2] == ["0.5-cutoff", "0.5-oscillate"]
    assert len(rules.settings()) == 24
    with pytest.raises(BenchmarkError, match="is in"):  # --data is not taken for --dataset
        rules.main(["--dataset", "cifar10", "--data", str(tmp_path), "--out", str(tmp_path / "out")])


def test_the_default_rule_of_plateau_sequence_is_added_to_the_settings_as_run():
    assert ADDED == ("seq1-either", "seq2-either", "seq3-either", "seq4-either")
    assert list(SETTINGS) == [*FOURTEEN, *ADDED]
    for row in ("seq1", "seq2", "seq3", "seq4"):
        assert SETTINGS[f"{row}-either"].sequence == SETTINGS[f"{row}-cutoff"].sequence
        both = f"{SETTINGS[f'{row}-cutoff'].rule!r} | {SETTINGS[f'{row}-oscillate'].rule!r}"
        assert repr(SETTINGS[f"{row}-either"].rule) == both


@pytest.mark.parametrize("row", ["seq1", "seq2", "seq3", "seq4"])
@pytest.mark.parametrize("version", TABLES)
def test_by_epoch_every_epoch_advances(version, row):
    rates, advances = follow(TABLES[version][f"{row}-epoch"], LOSSES["epoch"][:50])
    assert advances == 50
    assert rates[:13] == pytest.approx([0.01 * factor for factor in RATES[version][row]], rel=1e-12)


@pytest.mark.parametrize("row", ["seq1", "seq2", "seq3", "seq4"])
@pytest.mark.parametrize(
    ("strategy", "version", "first"),
    [
        # 1 > 0 after epoch 1: the second epoch has the rate after one advance
        ("oscillate", "as run", []),
        ("oscillate", "as written", [1, 1]),  # r₀ for epochs 1 and 2, before which nothing has risen
        # |1 − 0| is not below 0.01; |1 − 1| is, at every epoch after the first
        ("cutoff", "as run", [1]),
        ("cutoff", "as written", [1, 1]),
    ],
)
def test_by_loss_every_stall_advances(version, row, strategy, first):
    rates, advances = follow(TABLES[version][f"{row}-{strategy}"], LOSSES[strategy][:13])
    expected = [*first, *RATES[version][row]][:13]
    assert rates == pytest.approx([0.01 * factor for factor in expected], rel=1e-12)
    assert advances == (12 if first else 13)


@pytest.mark.parametrize("version", TABLES)
def test_a_cutoff_is_a_hundredth_of_the_first_loss_and_then_a_fifth(version):
    # cutoffs 0.02, 0.004, 0.0008: of the falls by 0.021, 0.019, 0.005, 0.003, 0.0009 the second and fourth advance
    losses = [2.0, 1.979, 1.96, 1.955, 1.952, 1.9511]
    _, advances = follow(TABLES[version]["seq2-cutoff"], losses)
    assert advances == 2


@pytest.mark.parametrize("strategy", ["cutoff", "oscillate"])
def test_as_written_the_first_advance_of_all_but_seq3_changes_nothing(strategy):
    after = {row: follow(AS_WRITTEN[f"{row}-{strategy}"], LOSSES[strategy][:4])[0] for row in RATES["as written"]}
    assert {row: rates[1] == rates[2] for row, rates in after.items()} == {
        "seq1": True,
        "seq2": True,
        "seq3": False,
        "seq4": True,
    }


@pytest.mark.parametrize("version", TABLES)
def test_the_optimizers(version):
    parameters = [nn.Parameter(torch.zeros(1))]
    sgd = TABLES[version]["sgd"].optimizer(parameters).param_groups[0]
    assert (sgd["lr"], sgd["momentum"], sgd["weight_decay"]) == (0.001, 0.9, 0)
    scheduled = TABLES[version]["seq1-epoch"].optimizer(parameters).param_groups[0]
    assert (scheduled["lr"], scheduled["momentum"]) == (0.01, 0.9)
    adam = TABLES[version]["adam"].optimizer(parameters)
    assert type(adam) is torch.optim.Adam
    assert (adam.param_groups[0]["lr"], adam.param_groups[0]["betas"]) == (0.001, (0.9, 0.999))
    for name in ("sgd", "adam"):
        assert follow(TABLES[version][name], LOSSES["epoch"][:5])[0] == [0.001] * 5


@pytest.mark.parametrize("module", [mnist, cifar10, digits])
def test_as_written_is_a_table_of_its_own(module):
    benchmark, written = module.BENCHMARK, module.BENCHMARK.as_written
    assert written.name == f"{benchmark.name}-as-written"
    assert written.settings is AS_WRITTEN
    assert (written.stop, benchmark.stop) == (None, stands_still)
    assert written.loss is benchmark.loss is nn.functional.cross_entropy
    softmaxes = [
        sum(isinstance(layer, nn.Softmax) for layer in made()) for made in (written.network, benchmark.network)
    ]
    assert softmaxes == [0, module is mnist]  # besides the one in the loss


def test_as_written_dropout_stays_on():
    for benchmark, on in ((cifar10.BENCHMARK, False), (cifar10.BENCHMARK.as_written, True)):
        network = benchmark.network()
        assert network.training
        network.eval()
        assert [layer.training for layer in network.train() if isinstance(layer, nn.Dropout)] == [on, on]


def test_the_option_trains_the_settings_as_written(tmp_path):
    options = ["--as-written", "--epochs", "1", "--seeds", "1", "--settings", "seq3-epoch", "--limit", "64"]
    assert digits.main([*options, "--out", str(tmp_path)]) == 0
    run = json.loads((tmp_path / "runs.jsonl").read_text())
    assert run["lrs"] == [pytest.approx([0.009])]
    assert "as written, " in (tmp_path / "table.md").read_text().splitlines()[0]
    assert run["config"]["key"]["benchmark"] == "digits-as-written"
    command = json.loads((tmp_path / "info.json").read_text())["command"]
    assert command == f"python -m benchmarks digits {' '.join(options)} --out {tmp_path}"
