import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks.tiny.data import split
from benchmarks.tiny.finetuning import FINETUNING, byte_digits, colour_digits


@pytest.mark.parametrize(("name", "known"), [*zip(FINETUNING, (byte_digits, colour_digits), strict=True)])
def test_a_network_knows_the_digits_upright_but_not_turned(name, known):
    task = FINETUNING[name]
    model = task.model(0)
    x, y = known()
    _, turned = split(task.data)
    with torch.no_grad():
        assert cross_entropy(model(x), y) < 0.5
        assert task.loss_fn(model, turned) > 2.0
    assert x.max() == 255
