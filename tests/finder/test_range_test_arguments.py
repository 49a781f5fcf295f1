"""Which arguments a range test refuses."""

import math

import pytest

from lrsched import range_test
from tests.finder.helpers import BATCHES, Record, line, square

INVALID = [
    ({"start_lr": 0}, ValueError, "start_lr must be finite, > 0"),
    ({"start_lr": -1}, ValueError, "start_lr must be finite, > 0"),
    ({"start_lr": 1.0, "end_lr": 1.0}, ValueError, "end_lr must be finite, > 1, got 1.0"),
    ({"end_lr": math.nan}, ValueError, "end_lr must be finite"),
    ({"end_lr": "1"}, TypeError, "end_lr must be one real number"),
    ({"steps": 1}, ValueError, "steps must be an integer >= 2, got 1"),
    ({"steps": 2.5}, TypeError, "steps must be an integer"),
    ({"scale": "cubic"}, ValueError, "scale must be one of 'log', 'linear', got 'cubic'"),
    ({"batches_per_lr": 0}, ValueError, "batches_per_lr must be an integer >= 1"),
    ({"accumulate": 0}, ValueError, "accumulate must be an integer >= 1"),
    ({"repeats": 0}, ValueError, "repeats must be an integer >= 1"),
    ({"valid_batches": 0}, ValueError, "valid_batches must be an integer >= 1"),
    ({"group_lrs": "both"}, ValueError, "group_lrs must be one of 'ratio', 'same'"),
    (
        {"group_lrs": [(1e-3, 1)] * 2},
        ValueError,
        r"group_lrs must have one \(start, end\) per param group, got 2 for 1",
    ),
    ({"group_lrs": [(1, 0.5)]}, ValueError, r"group_lrs\[0\]: end_lr must be finite, > 1"),
    ({"group_lrs": [3]}, TypeError, r"group_lrs\[0\] must be a pair"),
    ({"extra": 3}, TypeError, "extra must be a list or tuple of objects, got int"),
    ({"extra": [3]}, TypeError, r"extra\[0\] must be a module, .* got int"),
    ({"sync": "sum"}, ValueError, "sync must be one of 'auto', 'mean', 'max', 'min', 'rank0', got 'sum'"),
    ({"callback": 3}, TypeError, "callback must be callable, got int"),
    ({"progress": 1}, TypeError, r"progress must be True or False, got 1 \(int\)"),
    ({"loss_fn": 3}, TypeError, "loss_fn must be callable, got int"),
    ({"steps": "9"}, TypeError, "steps must be an integer"),
    ({"valid": 3}, TypeError, "valid must be iterable more than once, such as a list or a DataLoader, got int"),
    ({"scaler": 3}, TypeError, "scaler must be a gradient scaler such as torch.amp.GradScaler, got int"),
    ({"train_step": square}, TypeError, "pass either loss_fn"),
    ({"loss_fn": None}, TypeError, "pass either loss_fn"),
    ({"loss_fn": None, "train_step": 3}, TypeError, "train_step must be callable"),
    ({"loss_fn": None, "train_step": square, "accumulate": 2}, ValueError, "accumulate must be 1 with train_step"),
    ({"batches": 3}, TypeError, "batches must be an iterable of batches, got int"),
    ({"model": 3}, TypeError, "model must be a torch.nn.Module, got int"),
    ({"optimizer": 3}, TypeError, "optimizer must be a torch.optim.Optimizer, got int"),
]


@pytest.mark.parametrize(("options", "error", "message"), INVALID, ids=[message for *_, message in INVALID])
def test_invalid_arguments_are_refused_before_anything_is_changed(options, error, message):
    model, optimizer = line()

    def untouched(model, batch):
        pytest.fail("a batch was used")

    record = Record(model, optimizer)
    arguments = {"model": model, "optimizer": optimizer, "loss_fn": untouched, "batches": BATCHES, **options}
    with pytest.raises(error, match=message):
        range_test(**arguments)
    record.verify()
