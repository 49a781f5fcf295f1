import math
import pickle

import pytest
import torch
from torch import nn

from lrsched._functions import (
    as_loss_fn,
    backward,
    described,
    made_optimizer,
    modes_kept,
    module_of,
    scalar,
    supervised,
)

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


# ---------------------------------------------------------------- criteria

PAIR = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])  # mean square error: 29 / 4


def test_supervised_calls_the_criterion_with_outputs_and_targets():
    loss_fn = supervised(nn.functional.mse_loss)
    assert loss_fn(nn.Identity(), PAIR) == loss_fn(nn.Identity(), [*PAIR]) == 29 / 4
    assert repr(loss_fn) == "supervised(mse_loss)"
    assert pickle.loads(pickle.dumps(loss_fn))(nn.Identity(), PAIR) == 29 / 4


@pytest.mark.parametrize(
    ("batch", "got"),
    [
        (torch.ones(3, 2), r"a tensor of shape \(3, 2\)"),
        ({"x": 1}, "dict"),
        ((1, 2, 3), "tuple of 3"),
        ([1], "list of 1"),
    ],
    ids=["tensor", "dict", "triple", "single"],
)
def test_supervised_refuses_batches_that_are_not_pairs(batch, got):
    message = (
        rf"^each batch must be a pair \(inputs, targets\) for supervised\(criterion\), got {got}; for other batches"
    )
    with pytest.raises(TypeError, match=message):
        supervised(nn.MSELoss())(nn.Identity(), batch)


def test_supervised_needs_a_function():
    with pytest.raises(TypeError, match=r"criterion must be callable, got 3 \(int\)"):
        supervised(3)


def test_a_loss_module_of_torch_counts_as_supervised():
    class Mine(nn.MSELoss):
        pass

    for criterion in (nn.MSELoss(), Mine()):
        assert as_loss_fn(criterion)(nn.Identity(), PAIR) == 29 / 4
        assert module_of(as_loss_fn(criterion)) == [criterion]
    weighted = nn.CrossEntropyLoss(weight=torch.ones(2))
    assert as_loss_fn(weighted)(nn.Identity(), (torch.zeros(1, 2), torch.tensor([0]))).item() == pytest.approx(
        math.log(2)
    )
    assert repr(as_loss_fn(weighted)) == "supervised(CrossEntropyLoss())"


def test_any_other_function_stays_what_it_is():
    loss_fn = as_loss_fn(summed)
    assert loss_fn(nn.Identity(), BATCH) == 3.0
    assert loss_fn.__wrapped__ is summed
    assert as_loss_fn(loss_fn) is loss_fn
    assert module_of(loss_fn) == []
    module = nn.Bilinear(1, 1, 1)
    assert module_of(as_loss_fn(module)) == [module]
    made = supervised(summed)
    assert as_loss_fn(made) is made


@pytest.mark.parametrize("value", [3, None])
def test_a_loss_fn_must_be_callable(value):
    with pytest.raises(TypeError, match=r"^loss_fn must be callable, got \w+: loss_fn\(model, batch\) must return"):
        as_loss_fn(value)


WRONG = {
    "mse_loss": nn.functional.mse_loss,
    "cross_entropy": nn.functional.cross_entropy,
    "two tensors": lambda outputs, targets: (outputs - targets).mean(),
    "three arguments": lambda model, x, y: model(x) - y,
    "a module": nn.Bilinear(1, 1, 1),
    "a dict wanted": lambda model, batch: batch["x"],
    "an item too many": lambda model, batch: batch[2],
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_of_a_first_call_says_how_loss_fn_is_called(name):
    message = (
        r"(?s)^loss_fn failed at its first call with .*loss_fn\(model, batch\) must .* pass supervised\(criterion\)$"
    )
    with pytest.raises(TypeError, match=message) as caught:
        as_loss_fn(WRONG[name])(nn.Linear(2, 2), PAIR)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_other_errors_at_the_first_call_keep_their_type_and_get_the_hint(kind):
    raised = kind("shapes")

    def fails(model, batch):
        raise raised

    with pytest.raises(kind, match=r"(?s)with .*Error: shapes\nloss_fn\(model, batch\) must.*supervised") as caught:
        as_loss_fn(fails)(None, None)
    assert caught.value is raised


def test_errors_of_a_users_own_class_and_later_errors_are_not_changed():
    class OwnError(Exception):
        pass

    errors = [OwnError("mine"), None, TypeError("late")]

    def fails(model, batch):
        if error := errors.pop(0):
            raise error

    loss_fn = as_loss_fn(fails)
    with pytest.raises(OwnError) as caught:
        loss_fn(None, None)
    assert caught.value.args == ("mine",)
    loss_fn(None, None)
    with pytest.raises(TypeError) as caught:
        loss_fn(None, None)
    assert caught.value.args == ("late",)


def test_an_optimizer_is_made_of_the_models_parameters():
    model = torch.nn.Linear(2, 1)
    optimizer = made_optimizer(lambda params: torch.optim.SGD(params, lr=0.1), model)
    assert optimizer.param_groups[0]["params"] == list(model.parameters())


def test_what_cannot_be_trained_is_refused():
    model = torch.nn.Linear(2, 1)
    with pytest.raises(TypeError, match=r"^make_optimizer must be a function that returns an Optimizer, got None"):
        made_optimizer(lambda params: None, model)
    with pytest.raises(ValueError, match=r"^model has no trainable parameters$"):
        made_optimizer(lambda params: torch.optim.SGD(params, lr=0.1), model.requires_grad_(False))
