"""Settings check their functions when made, and what these return when used."""

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lrsched import Inverse, InverseLR, PlateauSequence, Setting
from tests.comparison.helpers import linear, sgd


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.1,), TypeError, "optimizer must be a function of the parameters, got float"),
        ((sgd(), "cosine"), TypeError, "scheduler must be None or a function of the optimizer, got str"),
        ((sgd(), None, "step"), ValueError, r"per must be one of 'epoch', 'batch', got 'step'"),
        ((sgd(), None, 1), TypeError, r"per must be one of 'epoch', 'batch', got 1"),
    ],
    ids=["optimizer", "scheduler", "per value", "per type"],
)
def test_invalid_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Setting(*arguments)


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        (Setting(lambda params: None), TypeError, "optimizer must return a torch.optim.Optimizer, got NoneType"),
        (
            Setting(torch.optim.LBFGS),
            ValueError,
            r"optimizer must return an optimizer whose step\(\) needs no closure, got LBFGS",
        ),
        (
            Setting(lambda params: torch.optim.SGD([*params, *linear().parameters()], lr=0.1)),
            ValueError,
            "optimizer must return an optimizer of the params that it is given, got one of others",
        ),
        (Setting(sgd(), lambda opt: 3), TypeError, "scheduler must return a learning-rate scheduler, got int"),
        (
            Setting(sgd(), lambda opt: PlateauSequence(opt, Inverse()), per="batch"),
            ValueError,
            'per must be "epoch" for PlateauSequence, which follows the validation loss, got "batch"',
        ),
        (Setting(sgd(), ReduceLROnPlateau, per="batch"), ValueError, 'per must be "epoch" for ReduceLROnPlateau'),
    ],
    ids=["no optimizer", "closure", "other params", "no scheduler", "ours per batch", "torch's per batch"],
)
def test_invalid_results_are_refused(setting, error, message):
    with pytest.raises(error, match=message):
        setting.build(linear())


def test_build_returns_the_optimizer_of_the_model_and_its_scheduler():
    model = linear()
    optimizer, scheduler = Setting(sgd(0.2), InverseLR).build(model)
    assert [*map(id, optimizer.param_groups[0]["params"])] == [*map(id, model.parameters())]
    assert isinstance(scheduler, InverseLR)
    assert scheduler.optimizer is optimizer
    optimizer, scheduler = Setting(torch.optim.Adam).build(model)
    assert scheduler is None
