import pytest
import torch
from torch import nn

from lrsched._functions import backward, described, modes_kept, scalar

BATCH = torch.tensor([[1.0, 2.0]])


def summed(model, batch):
    return model(batch).sum()


def test_backward_adds_gradients_and_returns_the_detached_loss():
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 3.0)
    assert backward(model, summed, BATCH).item() == 9.0
    loss = backward(model, summed, BATCH)
    assert not loss.requires_grad
    assert model.weight.grad.tolist() == [[2.0, 4.0]]


def test_backward_scales_the_gradients_but_not_the_returned_loss():
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 3.0)
    assert backward(model, summed, BATCH, lambda loss: 0.5 * loss).item() == 9.0
    assert model.weight.grad.tolist() == [[0.5, 1.0]]


def test_a_loss_with_one_element_becomes_a_scalar():
    assert scalar(torch.ones(1, 1)).shape == ()


@pytest.mark.parametrize(
    ("loss", "got"), [(torch.ones(2), r"a tensor of shape \(2,\)"), (1.0, "float")], ids=["vector", "float"]
)
def test_anything_but_a_scalar_tensor_is_refused_as_a_loss(loss, got):
    with pytest.raises(TypeError, match=rf"^loss_fn must return a scalar tensor, got {got}$"):
        backward(None, lambda model, batch: loss, None)


def test_modes_are_restored_after_an_exception():
    model, other = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval()), nn.Linear(1, 1)

    def leave_in_other_modes():
        with modes_kept(model, other):
            model.eval()
            other.eval()
            raise RuntimeError("the block ends here")

    with pytest.raises(RuntimeError, match="ends here"):
        leave_in_other_modes()
    assert [model.training, model[0].training, model[1].training, other.training] == [True, True, False, True]


def test_values_are_described_by_shape_or_type():
    assert described(torch.ones(2, 3)) == "a tensor of shape (2, 3)"
    assert described({}) == "dict"
