"""The plain loop that the frameworks are compared with: its learning rates by hand, and that enough happens in it."""

import pytest

from .task import BATCHES, EPOCHS, STEPPED, plain, plateau


def test_the_plain_loop_by_hand():
    rates = {name: [lr for lr, _ in plain(*entry).rates] for name, entry in STEPPED.items()}
    assert rates["InverseLR per step"] == pytest.approx([0.1 / (k + 1) for k in range(EPOCHS * BATCHES)])
    assert rates["InverseLR per epoch"] == pytest.approx([0.1 / (k // BATCHES + 1) for k in range(EPOCHS * BATCHES)])
    triangle = [0.01, 0.01 + 0.19 / 3, 0.01 + 0.38 / 3, 0.2, 0.01 + 0.38 / 3, 0.01 + 0.19 / 3]
    assert rates["CyclicLR"] == pytest.approx(triangle * 4)
    assert len(set(rates["ImageLR"])) > 10


def test_the_validation_loss_stalls_more_than_once_but_not_always():
    assert 2 <= len(plain(plateau, "metric").events) <= EPOCHS - 2
