"""Each wrong argument of a race is an error that names it, before anything is touched."""

from functools import partial

import pytest
import torch
from torch import nn

from lrsched import SequenceLR, race

from .race_cases import BATCHES, OPTIMIZERS, SEQUENCE, STEPS, VALID, loss_fn, net

SGD = OPTIMIZERS["SGD with momentum"]
GOOD = {
    "make_optimizer": SGD,
    "loss_fn": loss_fn,
    "batches": BATCHES,
    "sequence": SEQUENCE,
    "steps": STEPS,
    "eval_batches": VALID,
}
SCHEDULER = SequenceLR(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1), SEQUENCE)
FIXED = partial(torch.optim.SGD, lr=0.0)
NOT_RISING = "rungs must be increasing shares of steps, at least one"
NOT_FALLING = "keep must be decreasing integers, the last one 1"

BAD = {
    "model": ({"model": 3}, TypeError, r"model must be a torch.nn.Module, got 3 \(int\)"),
    "optimizer for make_optimizer": (
        {"make_optimizer": SCHEDULER.optimizer},
        TypeError,
        r"make_optimizer must be a function make_optimizer\(params\) -> optimizer, got a SGD; write lambda params",
    ),
    "make_optimizer": ({"make_optimizer": None}, TypeError, "make_optimizer must be callable, got None"),
    "make_optimizer returns nothing": (
        {"make_optimizer": lambda params: None},
        TypeError,
        "make_optimizer must be a function that returns an Optimizer, got None",
    ),
    "nothing to train": ({"model": net().requires_grad_(False)}, ValueError, "model has no trainable parameters"),
    "own rate 0": ({"make_optimizer": FIXED}, ValueError, "lrs: None spreads the members .* must be > 0, got 0"),
    "loss_fn": ({"loss_fn": 3}, TypeError, "loss_fn must be callable, got int"),
    "batches": ({"batches": 3}, TypeError, r"batches must be an iterable of batches, got 3 \(int\)"),
    "text for batches": ({"batches": "abc"}, TypeError, "batches must be an iterable of batches, got 'abc'"),
    "no batches": ({"batches": []}, ValueError, "batches must have at least one batch, got none"),
    "scheduler for sequence": (
        {"sequence": SCHEDULER},
        TypeError,
        "sequence must be a Sequence, got a SequenceLR: pass the sequence itself, and make the",
    ),
    "function for sequence": ({"sequence": abs}, TypeError, "sequence must be a Sequence"),
    "list for sequence": ({"sequence": [SEQUENCE]}, TypeError, "sequence must be one Sequence, for all param groups"),
    "no lrs": ({"lrs": []}, ValueError, "lrs must have at least one learning rate, got none"),
    "number for lrs": ({"lrs": 0.1}, TypeError, r"lrs must be a list, got 0.1 \(float\)"),
    "NaN in lrs": ({"lrs": [0.1, float("nan")]}, ValueError, r"lrs\[1\] must be finite, > 0, got nan"),
    "negative lr": ({"lrs": [-0.1]}, ValueError, r"lrs\[0\] must be finite, > 0, got -0.1"),
    "equal lrs": ({"lrs": [0.1, 0.2, 0.1]}, ValueError, r"lrs must be different learning rates, got \[0.1, 0.2, 0.1\]"),
    "no steps": ({"steps": 0}, ValueError, "steps must be an integer >= 1, got 0"),
    "float for steps": ({"steps": 64.0}, TypeError, r"steps must be an integer, got 64.0 \(float\)"),
    "fewer steps than a rung": (
        {"steps": 15},
        ValueError,
        r"steps must be enough for every rung .* the rungs 0.03125, 0.0625, 0.125 of 15 steps are .* \[0, 1, 2\]",
    ),
    "two rungs at one step": ({"steps": 8, "rungs": (0.1, 0.15, 0.5)}, ValueError, r"are the steps \[1, 1, 4\]; raise"),
    "no rungs": ({"rungs": [], "keep": []}, ValueError, NOT_RISING),
    "rungs fall": ({"rungs": (0.2, 0.1, 0.3)}, ValueError, NOT_RISING + r", got \[0.2, 0.1, 0.3\]"),
    "equal rungs": ({"rungs": (0.1, 0.1, 0.3)}, ValueError, NOT_RISING),
    "rung 0": ({"rungs": (0.0, 0.1, 0.3)}, ValueError, r"rungs\[0\] must be finite, > 0 and <= 1, got 0.0"),
    "rung above 1": ({"rungs": (0.1, 0.2, 1.3)}, ValueError, r"rungs\[2\] must be finite, > 0 and <= 1, got 1.3"),
    "keep of another length": (
        {"keep": (2, 1)},
        ValueError,
        "keep must have one number per rung: 2 numbers for 3 rungs",
    ),
    "keep does not fall": ({"keep": (3, 3, 1)}, ValueError, NOT_FALLING + r", got \[3, 3, 1\]"),
    "keep ends with 2": ({"keep": (4, 3, 2)}, ValueError, NOT_FALLING),
    "keep 0": ({"keep": (3, 2, 0)}, ValueError, r"keep\[2\] must be an integer >= 1, got 0"),
    "judge": ({"judge": "test"}, ValueError, "judge must be one of 'average', 'valid', 'train', got 'test'"),
    "average without eval_batches": (
        {"eval_batches": None},
        ValueError,
        "judge='average' needs eval_batches, got None: pass validation batches, or judge='train' to judge",
    ),
    "valid without eval_batches": (
        {"judge": "valid", "eval_batches": None},
        ValueError,
        "judge='valid' needs eval_batches, got None",
    ),
    "eval_batches": ({"eval_batches": 3}, TypeError, "eval_batches must be an iterable of batches, got 3"),
    "no eval_batches": ({"eval_batches": []}, ValueError, "eval_batches must have at least one batch, got none"),
    "vectorize": ({"vectorize": "always"}, ValueError, "vectorize must be one of 'auto', True, False, got 'always'"),
    "chunk": ({"chunk": 0}, ValueError, "chunk must be an integer >= 1, got 0"),
    "extra": ({"extra": 3}, TypeError, "extra must be a list or tuple of objects, got 3"),
    "extra's items": ({"extra": [3]}, TypeError, r"extra\[0\] must be a module"),
    "callback": ({"callback": 3}, TypeError, "callback must be callable, got 3"),
}


@pytest.mark.parametrize(("options", "error", "message"), BAD.values(), ids=BAD.keys())
def test_a_wrong_argument_is_an_error_that_names_it(options, error, message):
    options = {**GOOD, **options}
    model = options.pop("model", None) or net()
    before = [parameter.detach().clone() for parameter in model.parameters()] if isinstance(model, nn.Module) else []
    rng = torch.get_rng_state()
    with pytest.raises(error, match=message):
        race(model, **options)
    assert torch.equal(rng, torch.get_rng_state())
    if before:
        assert all(map(torch.equal, model.parameters(), before))


def test_eval_batches_from_an_iterator_are_kept_for_every_rung():
    options = {**GOOD, "eval_batches": iter(VALID)}
    start = race(net(), **options)
    assert start.position == 8


def test_an_iterator_without_eval_batches_is_an_error():
    with pytest.raises(ValueError, match="eval_batches must have at least one batch, got none; pass judge='train'"):
        race(net(), **{**GOOD, "eval_batches": iter([])})
