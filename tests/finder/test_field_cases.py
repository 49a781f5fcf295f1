"""Troubles that users of finders reported, with the right results."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lrsched import lr_sweep, range_test, supervised

# ---------------------------------------------------------------- the model is in eval mode


def normed(mode):
    torch.manual_seed(1)
    layers = nn.BatchNorm1d(20), nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 1)
    return nn.Sequential(*layers).train(mode)


def unscaled():
    """Return a loader of inputs that only batch norm in train mode brings to a common scale."""
    torch.manual_seed(0)
    x = 50 * torch.randn(512, 20) + 100
    return DataLoader(TensorDataset(x, (x[:, :5].mean(1, keepdim=True) - 100) / 20), batch_size=32, shuffle=True)


def test_the_suggestion_does_not_depend_on_the_mode_that_validation_left():
    def curve(mode):
        loader, model = unscaled(), normed(mode)
        torch.manual_seed(2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return range_test(model, optimizer, nn.MSELoss(), loader)

    trained, validated = curve(True), curve(False)
    assert validated.to_json() == trained.to_json()
    assert 4e-4 < trained.suggestion < 4e-2  # 4e-5 in eval mode


@pytest.mark.parametrize("vectorize", [True, False])
def test_a_sweep_does_not_depend_on_it_either(vectorize):
    def losses(mode):
        loader, model = unscaled(), normed(mode)
        torch.manual_seed(2)
        options = {"steps": (1, 8), "vectorize": vectorize}
        sweep = lr_sweep(model, lambda p: torch.optim.SGD(p, lr=1.0), nn.MSELoss(), loader, [1e-3, 1e-2], **options)
        assert model.training == mode
        return sweep.losses.tolist()

    assert losses(True) == losses(False)


# ---------------------------------------------------------------- a criterion in place of loss_fn

BATCHES = [(torch.randn(4, 8, generator=torch.Generator().manual_seed(k)), torch.tensor([0, 1, 0, 1])) for k in (0, 1)]


def classifier():
    torch.manual_seed(0)
    model = nn.Linear(8, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def test_a_loss_module_is_used_as_criterion():
    by_hand = range_test(*classifier(), lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1]), BATCHES, steps=20)
    for loss_fn in (nn.CrossEntropyLoss(), supervised(nn.functional.cross_entropy)):
        assert range_test(*classifier(), loss_fn, BATCHES, steps=20).to_json() == by_hand.to_json()


def tested(loss_fn):
    range_test(*classifier(), loss_fn, BATCHES)


def sweep(loss_fn):
    lr_sweep(classifier()[0], lambda p: torch.optim.SGD(p, lr=1.0), loss_fn, BATCHES, [0.1], steps=(1,))


@pytest.mark.parametrize("criterion", [nn.functional.mse_loss, nn.functional.cross_entropy])
@pytest.mark.parametrize(
    "call", [lambda loss_fn: range_test(*classifier(), loss_fn, BATCHES), sweep], ids=["test", "sweep"]
)
def test_any_other_criterion_is_answered_with_the_way_to_pass_it(call, criterion):
    message = r"(?s)loss_fn failed at its first call .*loss_fn\(model, batch\) must .*pass supervised\(criterion\)"
    with pytest.raises(TypeError, match=message):
        call(criterion)


def test_batches_that_are_not_pairs_are_answered_with_their_form():
    batches = [{"x": torch.ones(4, 8), "y": torch.tensor([0, 1, 0, 1])}]
    with pytest.raises(TypeError, match=r"each batch must be a pair \(inputs, targets\) for supervised.*, got dict"):
        range_test(*classifier(), nn.CrossEntropyLoss(), batches)


def test_parameters_of_a_criterion_are_restored():
    class Weighted(nn.MSELoss):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, outputs, targets):
            return super().forward(outputs * self.scale, targets)

    criterion, model = Weighted(), nn.Linear(8, 1)
    optimizer = torch.optim.SGD([*model.parameters()], lr=0.1)
    optimizer.add_param_group({"params": [criterion.scale]})
    range_test(model, optimizer, criterion, [(torch.ones(4, 8), torch.zeros(4, 1))], steps=10)
    assert criterion.scale.item() == 1.0
    assert criterion.scale.grad is None
