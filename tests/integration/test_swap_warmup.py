"""docs/swap.md, warm-up: in every framework the rate rises to the base rate, as the page says."""

import re

import pytest
import torch
from torch.nn.functional import mse_loss

import lrsched
from lrsched import Sawtooth

from . import test_lightning
from .swap_page import FRAMEWORKS, PAGE, block, rising, run, with_warm_up
from .task import BATCHES, EPOCHS, TRAIN, network, ours_are_errors, sgd

pytestmark = ours_are_errors


@pytest.mark.parametrize("title", FRAMEWORKS)
def test_a_warm_up_needs_no_other_change_in_any_framework(title, rates, tmp_path):
    scheduler = FRAMEWORKS[title](block(title, 0).replace("Sawtooth()", "Sawtooth(), warmup=5"), tmp_path)
    advances = [event.epoch * BATCHES for event in scheduler.events]
    positions = [sum(step >= advance for advance in advances) for step in range(EPOCHS * BATCHES)]
    factors = [min(1.0, 0.2 + 0.16 * step) * Sawtooth()(k) for step, k in enumerate(positions)]
    assert rates == pytest.approx([0.1 * factor for factor in factors], rel=1e-12)
    assert rates[:6] == pytest.approx([0.02, 0.036, 0.052, 0.068, 0.084, 0.1])


def test_the_warm_up_of_the_page_reaches_the_base_rate(rates):
    optimizer = sgd(network())
    done = run(block("Warm-up", 0), optimizer=optimizer)
    for _ in range(510):
        optimizer.step()
    assert rates[:500] == pytest.approx([0.1 * (1 + 499 * k / 500) / 500 for k in range(500)])
    assert rates[500:] == [0.1] * 10
    assert done["scheduler"].position == 0


def test_a_warm_up_counts_optimizer_steps_if_gradients_accumulate(tmp_path):
    module = test_lightning.Module(with_warm_up, "metric")
    done, _ = test_lightning.fit(module, tmp_path, epochs=2, accumulate_grad_batches=2)
    assert [lr for lr, _ in done.rates] == rising(0.1, 4)


def test_a_warm_up_does_not_count_a_step_that_a_grad_scaler_skips():
    model = network()
    optimizer = sgd(model)
    scheduler = with_warm_up(optimizer)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(mse_loss(model(TRAIN[0]), TRAIN[1] * torch.inf)).backward()
    scaler.step(optimizer)
    assert scheduler.optimizer.param_groups[0]["lr"] == pytest.approx(0.02)
    scaler.update()
    optimizer.zero_grad()
    scaler.scale(mse_loss(model(TRAIN[0]), TRAIN[1])).backward()
    scaler.step(optimizer)
    assert scheduler.optimizer.param_groups[0]["lr"] == pytest.approx(0.036)


def test_joined_sequences_warm_up_and_do_not_start_at_rate_0():
    (code,) = re.findall(r"`(SequenceLR\(optimizer, Warmup\(500[^`]*)`", PAGE.read_text())
    scheduler = eval(" ".join(code.split()), {**vars(lrsched), "optimizer": sgd(network())})
    values = scheduler.sequence.values(10_001)
    assert values[[0, 250, 500, 10_000]] == pytest.approx([0.002, 0.501, 1.0, 0.0], abs=1e-12)


@pytest.mark.filterwarnings("ignore:This instance was constructed with capturable=True")
def test_a_warm_up_beside_a_plateau_works_if_no_step_is_seen(rates):
    losses, replayed = iter([1.0, 0.5, 0.5, 0.4]), []

    class Graph:
        def __init__(self, group):
            self.group = group

        def replay(self):
            replayed.append(self.group["lr"].item())

    def capture(model, optimizer, inputs):
        optimizer.step()  # without gradients, as on a CPU it cannot be captured
        assert optimizer.param_groups[0]["capturable"]
        return Graph(optimizer.param_groups[0])

    names = {"model": network(), "epochs": 4, "loader": [torch.zeros(1)] * 300}
    names |= {"inputs": torch.zeros(1), "capture": capture, "validate": lambda model: next(losses)}
    run(block("torch.compile and CUDA graphs", 1), **names)
    assert replayed[:500] == pytest.approx([0.1 * (1 + 499 * k / 500) / 500 for k in range(500)], rel=1e-5)
    assert replayed[500:900] == pytest.approx([0.1] * 400, rel=1e-5)
    assert replayed[900:] == pytest.approx([0.09] * 300, rel=1e-5)  # the second position of Sawtooth()
