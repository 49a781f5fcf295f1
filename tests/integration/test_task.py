"""The plain loop that the frameworks are compared with: its learning rates by hand, and that enough happens in it."""

import pytest

from lrsched import Warmup

from .task import BATCHES, EPOCHS, STEPPED, WARM, plain, plateau, warm_plateau


def test_the_plain_loop_by_hand():
    rates = {name: [lr for lr, _ in plain(*entry).rates] for name, entry in STEPPED.items()}
    assert rates["InverseLR per step"] == pytest.approx([0.1 / (k + 1) for k in range(EPOCHS * BATCHES)])
    assert rates["InverseLR per epoch"] == pytest.approx([0.1 / (k // BATCHES + 1) for k in range(EPOCHS * BATCHES)])
    triangle = [0.01, 0.01 + 0.19 / 3, 0.01 + 0.38 / 3, 0.2, 0.01 + 0.38 / 3, 0.01 + 0.19 / 3]
    assert rates["CyclicLR"] == pytest.approx(triangle * 4)
    assert len(set(rates["ImageLR"])) > 10


def test_the_validation_loss_stalls_more_than_once_but_not_always():
    assert 2 <= len(plain(plateau, "metric").events) <= EPOCHS - 2


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_warm_up_by_hand(accumulate):
    run = plain(warm_plateau, "metric", accumulate=accumulate)
    warmth, steps = Warmup(WARM, start=1 / WARM), BATCHES // accumulate
    positions = [sum(epoch <= k // steps for epoch, _ in run.events) for k in range(EPOCHS * steps)]
    assert [lr for lr, _ in run.rates] == [0.1 * (warmth(k) * 0.5**position) for k, position in enumerate(positions)]


def test_the_warm_up_advances_before_and_after_a_run_is_resumed():
    epochs = [epoch for epoch, _ in plain(warm_plateau, "metric").events]
    assert min(epochs) <= 3 < max(epochs)
    assert 3 * BATCHES < WARM < EPOCHS * BATCHES
