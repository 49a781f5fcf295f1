import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, ReduceLROnPlateau

from lrsched import Cutoff, Inverse, InverseLR, PlateauSequence, Setting, compare
from lrsched.comparison._member import average
from tests.comparison.helpers import DATA, linear, mse, sgd


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.1,), TypeError, "optimizer must be a function of the parameters, got float"),
        ((sgd(), "cosine"), TypeError, "scheduler must be None or a function of the optimizer, got str"),
        ((sgd(), None, "step"), ValueError, r"per must be one of 'epoch', 'batch', got 'step'"),
        ((sgd(), None, 1), TypeError, r"per must be one of 'epoch', 'batch', got 1"),
    ],
)
def test_a_setting_is_checked_when_made(arguments, error, message):
    with pytest.raises(error, match=message):
        Setting(*arguments)


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        (Setting(lambda params: None), TypeError, "optimizer must return a torch.optim.Optimizer, got NoneType"),
        (Setting(sgd(), lambda opt: 3), TypeError, "scheduler must return a learning-rate scheduler, got int"),
        (
            Setting(sgd(), lambda opt: PlateauSequence(opt, Inverse()), per="batch"),
            ValueError,
            'per must be "epoch" for a PlateauSequence: it follows the validation loss',
        ),
        (Setting(sgd(), ReduceLROnPlateau, per="batch"), ValueError, 'per must be "epoch" for a ReduceLROnPlateau'),
    ],
)
def test_what_a_setting_makes_is_checked(setting, error, message):
    with pytest.raises(error, match=message):
        setting.build(linear())


def test_the_description_tells_settings_apart():
    def described(optimizer, scheduler=None, per="epoch"):
        return Setting(optimizer, scheduler, per).description(linear())

    settings = [
        (sgd(),),
        (sgd(0.2),),
        (sgd(momentum=0.9),),
        (sgd(), InverseLR),
        (sgd(), InverseLR, "batch"),
        (sgd(), lambda opt: ExponentialLR(opt, 0.9)),
        (sgd(), lambda opt: ExponentialLR(opt, 0.8)),
        (sgd(), lambda opt: PlateauSequence(opt, Inverse(), on=Cutoff(0.1))),
        (sgd(), lambda opt: PlateauSequence(opt, Inverse(), on=Cutoff(0.2))),
        (sgd(), lambda opt: LambdaLR(opt, lambda k: 1 / (k + 1))),
    ]
    texts = [str(described(*setting)) for setting in settings]
    assert len(set(texts)) == len(settings)
    assert texts == [str(described(*setting)) for setting in settings]
    assert not any(" at 0x" in text for text in texts)


def test_average_by_hand():
    values = [torch.tensor(1.0), torch.tensor(4.0)]
    assert average(values, [1, 1]) == [2.5]
    assert average(values, [2, 1]) == [2.0]
    both = [torch.tensor([1.0, 2.0]), torch.tensor([4.0, math.nan])]
    first, second = average(both, [1, 1])
    assert first == 2.5
    assert math.isnan(second)


@pytest.mark.parametrize(("over", "expected"), [("samples", 1.25), ("batches", 1.5)])
def test_losses_are_averaged_over_batches_and_metrics_as_told(over, expected):
    def largest(model, batch):
        return batch[0].max()

    x = torch.tensor([[1.0], [1.0], [1.0], [2.0]])
    settings = {"still": Setting(sgd(0.0))}
    report = compare(
        settings,
        lambda: nn.Linear(1, 1),
        largest_loss,
        (x, x),
        (x, x),
        epochs=1,
        batch_size=3,
        seeds=1,
        metric_fn=largest,
        metric_average=over,
    )
    assert report.runs[0].val_loss == [1.5]
    assert report.runs[0].metric == [expected]


def largest_loss(model, batch):
    return 0 * model(batch[0]).sum() + batch[0].max()


def test_no_validation_batches_are_an_error():
    with pytest.raises(ValueError, match="valid gave no batches"):
        compare({"a": Setting(sgd())}, linear, mse, DATA, list, epochs=1, batch_size=9, seeds=1)
