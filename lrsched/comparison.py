"""compare(): many schedules and seeds on one model, in pairs; a report of what each came to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ._batches import Tensors, batches
from ._beside import Beside, OtherOptionsError, kind_of, starts_otherwise, why_not
from ._check import choice, integer, items
from ._checkpoint import Checkpoint
from ._loop import Alone
from ._members import AVERAGES, MetricFn, Setting, Task, Trainer
from ._processes import gathered, rank
from ._report import Report
from ._runs import Run, RunFile
from ._training import LossFn, described, scalar

Pair = tuple[str, int]
T = TypeVar("T")

_CHANGES = "its scheduler changes {} besides lr"


def compare(
    settings: Mapping[str, Setting],
    model_fn: Callable[[], nn.Module],
    loss_fn: LossFn,
    train: Any,
    valid: Any,
    *,
    epochs: int,
    batch_size: int,
    seeds: int | Sequence[int] = 5,
    metric_fn: MetricFn | None = None,
    metric_average: str = "samples",
    final_fn: Callable[[nn.Module], dict[str, Any]] | None = None,
    stop: Callable[[list[float]], bool] | None = None,
    device: torch.device | str | None = None,
    vectorize: str | bool = "auto",
    out: str | PathLike[str] | None = None,
    key: Any = None,
    note: str = "",
    callback: Callable[[Run], object] | None = None,
) -> Report:
    """Train one model with every setting and every seed, and report how the settings differ.

    All settings of a seed share first weights and batch order, so that they are compared in pairs. The validation
    loss is the mean over batches of the batches' means, in eval mode, unshuffled.

    Args:
        settings: name → `Setting`.
        model_fn: model_fn() -> module, called with torch's random state set to the seed.
        loss_fn: loss_fn(model, batch) -> scalar tensor, the mean over the batch.
        train: a tuple of tensors with as many rows each, (inputs, targets), shuffled each epoch by the seed; or a
            function that returns an iterable of batches, called each epoch with torch's random state set by the seed.
        valid: the same, not shuffled.
        epochs: how many, an integer ≥ 1.
        batch_size: rows a batch, an integer ≥ 1; without effect where a function makes the batches.
        seeds: how many, counted from 0, or a list of them.
        metric_fn: metric_fn(model, batch) -> a number, or a dict of named ones, the first of which is reported. One
            named "loss" is taken for the batch's loss, without asking `loss_fn` again.
        metric_average: "samples" weighs a batch's metrics by its samples, "batches" weighs all batches alike, as it is
            always done with the loss; they differ where the last batch is smaller.
        final_fn: final_fn(model) -> dict of what to note of the trained model.
        stop: stop(validation losses so far) -> whether the run ends here.
        device: where to train; None for where `model_fn` puts the model.
        vectorize: True trains members side by side, False one after another, "auto" where it pays; the runs tell.
        out: a JSON-lines file for finished runs, read first: those of the same configuration are not trained again. A
            run under way is kept beside it every few seconds, and resumed, if its scheduler's state has plain values.
        key: what else belongs to the configuration, anything that JSON can hold.
        note: a text kept with each run, such as the machine's name.
        callback: callback(run) after each epoch, and for each finished run, those read from `out` included.

    Where torch.distributed is initialised, every process must call; they share out the runs, and all return the same
    report. Raises TypeError or ValueError naming the argument that is wrong, OSError where `out` cannot be used, all
    before anything is trained. A loss that is not finite is noted as None, and the run goes on.

    >>> from torch.optim import SGD
    >>> from lrsched import GeometricLR
    >>> settings = {
    ...     "fixed": Setting(lambda params: SGD(params, lr=0.1)),
    ...     "0.9^k": Setting(lambda params: SGD(params, lr=0.1), GeometricLR),
    ... }
    >>> x = torch.linspace(-1, 1, 20).reshape(20, 1)
    >>> loss_fn = lambda model, batch: ((model(batch[0]) - batch[1]) ** 2).mean()
    >>> model_fn = lambda: torch.nn.Linear(1, 1)
    >>> report = compare(settings, model_fn, loss_fn, (x, 2 * x), (x, 2 * x), epochs=3, batch_size=5, seeds=2)
    >>> [(run.setting, run.seed, len(run.val_loss)) for run in report.runs]
    [('fixed', 0, 3), ('fixed', 1, 3), ('0.9^k', 0, 3), ('0.9^k', 1, 3)]
    """
    _check_settings(settings)
    if isinstance(model_fn, nn.Module):
        raise TypeError("model_fn must be a function that makes a new model each time, got a model")
    _check_functions(model_fn=model_fn, loss_fn=loss_fn)
    optional = {"metric_fn": metric_fn, "final_fn": final_fn, "stop": stop, "callback": callback}
    _check_functions(**{name: function for name, function in optional.items() if function is not None})
    epochs, batch_size = integer("epochs", epochs, low=1), integer("batch_size", batch_size, low=1)
    pairs = [(name, seed) for seed in _seeds(seeds) for name in settings]
    if vectorize not in ("auto", True, False) or type(vectorize) is int:
        error = ValueError if isinstance(vectorize, str) else TypeError
        raise error(f"vectorize must be one of 'auto', True, False, got {vectorize!r}")
    choice("metric_average", metric_average, AVERAGES)
    _check_key(key)
    data = batches("train", train, batch_size), batches("valid", valid, batch_size)
    with torch.random.fork_rng(_gpus(device)):
        torch.manual_seed(pairs[0][1])
        model = model_fn()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model_fn must return a torch.nn.Module, got {described(model)}")
        place = _device(device, model)
        on_device = data[0].to(place), data[1].to(place)
        task = Task(model_fn, loss_fn, metric_fn, metric_average, final_fn, *on_device, epochs, stop, place, note)
        common = _configuration(task, model, batch_size, key)
        configs = {name: {**common, **setting.description(model)} for name, setting in settings.items()}
        path = None if out is None else Path(out)
        file = _opened(path, configs)
        _try(task, model.to(place))
        plan = Plan.make(task, settings, pairs, vectorize, model)
        _train(plan, file, Checkpoint(_beside(path)), callback or _quiet)
    order = {name: i for i, name in enumerate(settings)}
    return Report([file.runs[pair] for pair in sorted(pairs, key=lambda pair: (order[pair[0]], pair[1]))])


def _train(plan: Plan, file: RunFile, checkpoint: Checkpoint, callback: Callable[[Run], object]) -> None:
    """Train what the file does not hold yet, each process its share, and add it to the file."""
    for pair in plan.pairs:
        if pair in file.runs:
            callback(file.runs[pair])
    units = plan.units(file, checkpoint)
    while True:
        new = []
        if units:
            unit = units.pop(0)
            try:
                new = _trained(plan.trainer(unit), checkpoint, file, callback)
            except OtherOptionsError as error:
                plan.reasons[error.setting] = _CHANGES.format(error.option)
                units = plan.split(unit) + units
        shares = gathered((new, len(units)))
        new = [run for runs, _ in shares for run in runs]
        _together(partial(file.add, new))
        if new:
            checkpoint.drop()
        for run in new:
            callback(file.runs[run.setting, run.seed])
        if not any(left for _, left in shares):
            return


def _trained(trainer: Trainer, checkpoint: Checkpoint, file: RunFile, callback: Callable[[Run], object]) -> list[Run]:
    checkpoint.resume(trainer)
    while trainer.active:
        runs = trainer.epoch()
        checkpoint.save(trainer, file.configs)
        for run in runs:
            callback(run)
    return [member.finish() for member in trainer.members]


@dataclass
class Plan:
    """Which runs are trained side by side, and why others are not."""

    task: Task
    settings: Mapping[str, Setting]
    pairs: list[Pair]
    kinds: dict[str, tuple[int, str]]
    reasons: dict[str, str | None]

    @classmethod
    def make(cls, task: Task, settings: Mapping[str, Setting], pairs: list[Pair], vectorize: Any, model: Any) -> Plan:
        """Return the plan; raises ValueError where vectorize=True cannot be."""
        kinds = {name: kind_of(setting, model) for name, setting in settings.items()}
        found: dict[tuple[int, str], str | None] = {}
        for name, setting in settings.items():
            if kinds[name] not in found:
                found[kinds[name]] = why_not(task, model, setting, vectorize)
            if vectorize is True and found[kinds[name]]:
                raise ValueError(f"vectorize=True, but setting {name!r} cannot: {found[kinds[name]]}")
        reasons = {name: found[kinds[name]] for name in settings}
        for name, setting in settings.items():
            if reasons[name] is None and (option := starts_otherwise(setting, model)):
                reasons[name] = _CHANGES.format(option)
        return cls(task, settings, pairs, kinds, reasons)

    def units(self, file: RunFile, checkpoint: Checkpoint) -> list[list[Pair]]:
        """Return what this process is to train, first of all what it was training when it was killed."""
        missing = [pair for pair in self.pairs if pair not in file.runs]
        held = checkpoint.pairs(file.configs)
        if not set(held) & set(missing) or not set(held) <= set(self.pairs):
            held = []
        shares = gathered(held)
        taken = {pair for share in shares for pair in share}
        mine = [pair for pair in missing if pair not in taken][rank() :: len(shares)]
        return [held] * bool(held) + self.split(mine)

    def split(self, pairs: list[Pair]) -> list[list[Pair]]:
        """Return pairs in groups that can be trained together, those that share an optimizer next to each other."""
        groups: dict[Any, list[Pair]] = {}
        for pair in pairs:
            groups.setdefault(pair if self.reasons[pair[0]] else self.kinds[pair[0]][0], []).append(pair)
        kinds = [*self.kinds.values()]
        return [sorted(group, key=lambda pair: kinds.index(self.kinds[pair[0]])) for group in groups.values()]

    def trainer(self, pairs: list[Pair]) -> Trainer:
        """Return what trains these pairs."""
        reason = self.reasons[pairs[0][0]]
        if reason is None and len(pairs) > 1:
            kinds = len({self.kinds[name] for name, _ in pairs})
            alike = "one optimizer" if kinds == 1 else f"{kinds} optimizers"
            return Beside(self.task, self.settings, pairs, f"{len(pairs)} runs with {alike} but for the lr")
        return Alone(self.task, self.settings, pairs, reason or "no other run is of its kind")


def _opened(path: Path | None, configs: dict[str, Any]) -> RunFile:
    """Return the file of runs, read and later written by the first process for all."""
    file = _together(lambda: RunFile(path if rank() == 0 else None, configs))
    file.runs = gathered(file.runs)[0]
    return file


def _together(action: Callable[[], T]) -> T:
    """Return what an action gives; an OSError of one process is raised in all of them."""
    problem, found = None, []
    try:
        found.append(action())
    except OSError as error:
        problem = error
    for each in gathered(problem):
        if each is not None:
            raise each
    return found[0]


def _beside(path: Path | None) -> Path | None:
    """Return this process's checkpoint file beside the file of runs; None where its folder is not, as elsewhere."""
    if path is None or not path.parent.is_dir():
        return None
    return path.with_name(f"{path.name}.checkpoint{rank() or ''}")


def _configuration(task: Task, model: nn.Module, batch_size: int, key: Any) -> dict[str, Any]:
    """Return all that decides how every run ends, but its setting and seed."""
    functions = {"loss_fn": task.loss_fn, "metric_fn": task.metric_fn, "final_fn": task.final_fn, "stop": task.stop}
    return {
        "model": " ".join(repr(model).split()),
        "train": task.train.description(),
        "valid": task.valid.description(),
        **{name: _name(function) for name, function in functions.items()},
        "metric_average": task.metric_average,
        "epochs": task.epochs,
        "batch_size": batch_size,
        "device": task.device.type,
        "threads": torch.get_num_threads(),  # one sums in another order than two
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "key": key,
    }


@torch.no_grad()
def _try(task: Task, model: nn.Module) -> None:
    """Ask the functions once for what they must return, where that takes no batch away."""
    if isinstance(task.train, Tensors):
        scalar(task.loss_fn(model, next(iter(task.train.in_order()))))
    if isinstance(task.valid, Tensors):
        task.measure(model.eval(), next(iter(task.valid.in_order())))


def _name(function: object) -> str | None:
    return None if function is None else getattr(function, "__qualname__", type(function).__qualname__)


def _check_settings(settings: Any) -> None:
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings must be a mapping from names to Setting objects, got {described(settings)}")
    if not settings:
        raise ValueError("settings must not be empty")
    for name, setting in settings.items():
        if not isinstance(name, str) or not isinstance(setting, Setting):
            raise TypeError(f"settings must map names to Setting objects, got {name!r}: {described(setting)}")


def _check_functions(**functions: object) -> None:
    for name, function in functions.items():
        if not callable(function):
            raise TypeError(f"{name} must be callable, got {described(function)}")


def _check_key(key: object) -> None:
    try:
        json.dumps(key)
    except (TypeError, ValueError) as error:
        raise TypeError(f"key must be what JSON can hold, got {key!r}: {error}") from error


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if not isinstance(seeds, Iterable):
        return [*range(integer("seeds", seeds, low=1))]
    found = [integer(f"seeds[{i}]", seed) for i, seed in enumerate(items("seeds", seeds))]
    if not found or len(set(found)) < len(found):
        raise ValueError(f"seeds must be a number of seeds or a list of different ones, at least one, got {found}")
    return found


def _device(device: torch.device | str | None, model: nn.Module) -> torch.device:
    if device is None:
        return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {device} cannot be used: {str(error).splitlines()[0]}") from error
    return found


def _gpus(device: torch.device | str | None) -> Iterable[int]:
    """Return the GPUs whose random state is to be put back; a process that trains on the processor wakes none."""
    wanted = str(device).startswith("cuda") or torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return range(torch.cuda.device_count()) if wanted else ()


def _quiet(run: Run) -> None:
    pass
