import pytest
import torch
from torch import nn

from lrsched.finder._group_rates import ratios_to_first


def optimizer(*lrs):
    return torch.optim.SGD([{"params": [nn.Parameter(torch.ones(1))], "lr": lr} for lr in lrs])


@pytest.mark.parametrize(
    ("lrs", "ratios"),
    [((0.2, 0.1, 0.4), [1.0, 0.5, 2.0]), ((0.3,), [1.0]), ((0.0, 0.0), [1.0, 1.0])],
    ids=["several groups", "one group", "all zero"],
)
def test_ratios_to_the_first_group(lrs, ratios):
    assert ratios_to_first(optimizer(*lrs), "name", "remedy") == ratios


def test_a_first_rate_of_zero_is_refused_with_the_remedy():
    message = "^name: the lr of the first param group is 0, so the other groups have no ratio to it; remedy$"
    with pytest.raises(ValueError, match=message):
        ratios_to_first(optimizer(0.0, 0.1), "name", "remedy")
