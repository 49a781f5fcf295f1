"""The checks of range_test()'s arguments."""

from __future__ import annotations

from typing import Any, get_args

from .._check import choice
from .._functions import described
from .._processes import Sync


def check_kinds(
    loss_fn: object,
    batches: object,
    train_step: object,
    accumulate: object,
    scaler: object,
    sync: object,
    callback: object,
    valid: object,
) -> None:
    """Raise TypeError or ValueError unless these arguments fit together."""
    if (loss_fn is None) == (train_step is None):
        raise TypeError("pass either loss_fn(model, batch) or, with loss_fn=None, train_step(batch)")
    for name, value in (("loss_fn", loss_fn), ("train_step", train_step), ("callback", callback)):
        if not (value is None or callable(value)):
            raise TypeError(f"{name} must be callable, got {described(value)}")
    if train_step is not None and accumulate != 1:
        raise ValueError(f"accumulate must be 1 with train_step, which does the whole step itself, got {accumulate}")
    if not (hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")):
        raise TypeError(f"batches must be an iterable of batches, got {described(batches)}")
    if not (scaler is None or all(hasattr(scaler, name) for name in ("scale", "step", "update", "get_scale"))):
        raise TypeError(f"scaler must be a gradient scaler such as torch.amp.GradScaler, got {described(scaler)}")
    if sync is not None:
        choice("sync", sync, ("auto", *get_args(Sync)))
    if valid is not None and (hasattr(valid, "__next__") or not hasattr(valid, "__iter__")):
        raise TypeError(
            f"valid must be iterable more than once, such as a list or a DataLoader, got {described(valid)}"
        )
    if valid is not None and loss_fn is None:
        raise TypeError("valid needs loss_fn: with train_step, the validation loss cannot be computed")


def check_trainable(groups: list[dict[str, Any]]) -> None:
    if not any(parameter.requires_grad for group in groups for parameter in group["params"]):
        raise ValueError(
            "model has no trainable parameters: all of the optimizer's parameters have requires_grad=False"
        )
