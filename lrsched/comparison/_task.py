"""The task of a comparison: what all its runs share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .._functions import LossFn, described, scalar
from ._batches import Batches
from ._configuration import function_text, name_of, parameters_text
from ._json_lines import plain
from ._nests import rebuilt
from ._series import LOSSES

FinalFn = Callable[[Any], Mapping[str, Any]]  # final_fn(model) -> values to record about the trained model
MetricFn = Callable[[Any, Any], Any]  # metric_fn(model, batch) -> a number or a dict of numbers
MetricAverage = Literal["samples", "batches"]  # what a metric is averaged over
StopFn = Callable[[list[float]], bool]  # stop(validation losses so far) -> whether to stop


@dataclass(frozen=True)
class Task:
    """The model, the data and the functions that all runs of a comparison share."""

    model_fn: Callable[[], nn.Module]
    loss_fn: LossFn
    metric_fn: MetricFn | None
    metric_average: MetricAverage
    final_fn: FinalFn | None
    stop: StopFn | None
    train: Batches
    valid: Batches
    batch_size: int | None
    epochs: int
    device: torch.device
    note: str
    first_seed: int = 0  # trials use its first batch
    record: bool = True

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def records(self) -> bool:
        """Whether passes are recorded as CUDA graphs."""
        return self.record and self.on_gpu

    def configuration(self, model: nn.Module, key: object) -> dict[str, Any]:
        """Return everything that determines the result of a run, except its setting and seed.

        Finished runs are found by it, so it must not change as long as the comparison does not.
        """
        functions = {"loss_fn": self.loss_fn, "metric_fn": self.metric_fn, "final_fn": self.final_fn, "stop": self.stop}
        return {
            "model": " ".join(repr(model).split()),
            "train": self.train.description(),
            "valid": self.valid.description(),
            **{name: None if function is None else name_of(function) for name, function in functions.items()},
            "functions": {name: function_text(each) for name, each in {"model_fn": self.model_fn, **functions}.items()},
            "parameters": parameters_text(model),
            "metric_average": self.metric_average,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "device": self.device.type,
            "threads": torch.get_num_threads(),  # the order of summation depends on it
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "key": key,
        }

    @torch.no_grad()
    def check_functions(self, model: nn.Module) -> None:
        """Call `loss_fn` and `metric_fn` once and check what they return."""
        with torch.enable_grad():  # a training loss may need gradients itself, as a gradient penalty does
            scalar(self.loss_fn(model, self.train.first(self.first_seed)))
        for name in self.measure(model.eval(), self.valid.first_in_order()):
            if name in LOSSES:
                raise ValueError(
                    f"metric_fn must not return a metric named {name!r}, which reports use for a loss: choose another "
                    'name, or "loss" to replace the validation loss'
                )

    def measure(self, model: Any, batch: Any) -> dict[str, Tensor]:
        """Return the loss of a validation batch, named "loss", and its metrics."""
        found = {} if self.metric_fn is None else self.metric_fn(model, rebuilt(batch))
        found = found if isinstance(found, dict) else {"metric": found}
        if "loss" not in found:
            found = {"loss": self.loss_fn(model, rebuilt(batch)), **found}
        return {str(name): _one_number(name, value) for name, value in found.items()}

    def averages(self, measured: list[tuple[dict[str, Tensor], int]], members: int) -> list[dict[str, float]]:
        """Return each member's loss and metrics, averaged over batches of the given numbers of samples."""
        names = [*measured[0][0]]
        for found, _ in measured:
            if found.keys() != measured[0][0].keys():
                raise ValueError(
                    f"metric_fn must return the same metrics for every batch, got {names} and then {[*found]}"
                )
        equal, samples = [1] * len(measured), [count for _, count in measured]
        by_samples = self.metric_average == "samples"
        means = {
            name: average(
                [values[name] for values, _ in measured],
                samples if by_samples and name != "loss" else equal,
            )
            for name in names
        }
        return [{name: column[i] for name, column in means.items()} for i in range(members)]

    def final(self, model: nn.Module) -> dict[str, Any]:
        """Return the result of `final_fn` for the trained model, as JSON would give it back; empty without it."""
        if self.final_fn is None:
            return {}
        model.eval()
        with torch.no_grad():
            found = self.final_fn(model)
        if not isinstance(found, Mapping):
            raise TypeError(f"final_fn must return a dict, got {described(found)}")
        try:  # numbers of numpy and torch become plain ones
            return dict(json.loads(json.dumps(plain(dict(found)), default=lambda value: plain(value.tolist()))))
        except (AttributeError, TypeError, ValueError) as error:
            raise TypeError(f"final_fn must return values that JSON can hold, got {found!r}") from error


def average(values: Iterable[Tensor], weights: list[int]) -> list[float]:
    """Return the weighted mean over batches. A value is a batch's number, or a row of numbers, one per member."""
    numbers = [value.detach() for value in values]
    if len({(number.dtype, number.device) for number in numbers}) > 1:  # Python floats for some batches only
        numbers = [number.cpu().double() for number in numbers]
    columns = torch.stack(numbers).reshape(len(weights), -1).T.tolist()
    total = sum(weights)
    return [sum(value * weight for value, weight in zip(column, weights, strict=True)) / total for column in columns]


def _one_number(name: object, value: Any) -> Tensor:
    dtype = torch.float64 if isinstance(value, (float, int)) else None  # what a Python float holds
    try:
        found = torch.as_tensor(value, dtype=dtype)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        found = torch.empty(0)
    if found.numel() != 1 or found.is_complex():
        rule = "loss_fn must return a scalar tensor" if name == "loss" else f"metric_fn: {name} must be one real number"
        raise TypeError(f"{rule}, got {described(value)}")
    return found.reshape(())
