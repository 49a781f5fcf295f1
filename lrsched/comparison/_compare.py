"""compare(): many schedules and seeds on one model, in pairs; a report of what each came to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, get_args

import torch
from torch import nn

from .._check import choice, integer, items
from .._functions import LossFn, described, scalar
from .._processes import gathered, rank
from ..ensembles._ensemble import Vectorize
from ._batches import Tensors, batches
from ._checkpoint import Checkpoint
from ._devices import usable_device
from ._member import MetricAverage, MetricFn, Setting, Task, Trainer
from ._plan import Plan, option_reason
from ._report import Report
from ._runs import Run, RunFile, sole_use
from ._side_by_side import OtherOptionsError

T = TypeVar("T")


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
    metric_average: MetricAverage = "samples",
    final_fn: Callable[[nn.Module], dict[str, Any]] | None = None,
    stop: Callable[[list[float]], bool] | None = None,
    device: torch.device | str | None = None,
    vectorize: Vectorize = "auto",
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
        loss_fn: loss_fn(model, batch) -> scalar tensor, the mean over the batch. Side by side on a GPU, it and
            `metric_fn` must depend on nothing that changes but the model and the batch, or vectorize be False.
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
            Of functions the configuration knows the names only: change `key` where you change what they do.
        key: what else belongs to the configuration, anything that JSON can hold.
        note: a text kept with each run, such as the machine's name.
        callback: callback(run) after each epoch, and for each finished run, those read from `out` included.

    Where torch.distributed is initialised, every process must call; they share out the runs, and all return the same
    report. Raises TypeError or ValueError naming the argument that is wrong, OSError where `out` cannot be used, all
    before anything is trained. A loss that is not finite is noted as None, and the run goes on.

    >>> import torch
    >>> from torch.optim import SGD
    >>> from lrsched import GeometricLR, Setting, compare
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
    choice("metric_average", metric_average, get_args(MetricAverage))
    _check_key(key)
    if not isinstance(note, str):
        raise TypeError(f"note must be a text, got {described(note)}")
    path = _path(out)
    data = batches("train", train, batch_size), batches("valid", valid, batch_size)
    with torch.random.fork_rng(_gpus(device)):
        torch.manual_seed(pairs[0][1])
        model = model_fn()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model_fn must return a torch.nn.Module, got {described(model)}")
        if model_fn() is model:
            raise ValueError("model_fn must make a new model each time, got the same one twice")
        if next(model.parameters(), None) is None:
            raise ValueError("model_fn must return a model with parameters, got one without")
        place = _device(device, model)
        on_device = data[0].to(place), data[1].to(place)
        task = Task(model_fn, loss_fn, metric_fn, metric_average, final_fn, *on_device, epochs, stop, place, note)
        common = _configuration(task, model, batch_size, key)
        configs = {name: {**common, **setting.description(model)} for name, setting in settings.items()}
        with ExitStack() as stack:
            _together(lambda: stack.enter_context(sole_use(path if rank() == 0 else None)))
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
                plan.reasons[error.setting] = option_reason(error.option)
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
    try:
        while trainer.active:
            runs = trainer.epoch()
            checkpoint.save(trainer, file.configs)
            for run in runs:
                callback(run)
        return [member.finish() for member in trainer.members]
    except Exception as error:
        if hasattr(error, "add_note"):  # from Python 3.11 on
            names = ", ".join(f"{member.run.setting} seed {member.run.seed}" for member in trainer.members)
            error.add_note(f"while training {names}")
        raise


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


def _path(out: Any) -> Path | None:
    try:
        return None if out is None else Path(out)
    except TypeError as error:
        raise TypeError(f"out must be a path or None, got {described(out)}") from error


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if not isinstance(seeds, Iterable):
        return [*range(integer("seeds", seeds, low=1))]
    found = [integer(f"seeds[{i}]", seed) for i, seed in enumerate(items("seeds", seeds))]
    if not found or len(set(found)) < len(found) or max(found) >= 2**63:
        rule = "a number of seeds or a list of different ones below 2**63, at least one"
        raise ValueError(f"seeds must be {rule}, got {found}")
    return found


def _device(device: torch.device | str | None, model: nn.Module) -> torch.device:
    if device is None:
        return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if not isinstance(device, (str, torch.device)):
        raise TypeError(f"device must be a torch.device or its name, got {described(device)}")
    return usable_device(device)


def _gpus(device: torch.device | str | None) -> Iterable[int]:
    """Return the GPUs whose random state is to be put back; a process that trains on the processor wakes none."""
    wanted = str(device).startswith("cuda") or torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return range(torch.cuda.device_count()) if wanted else ()


def _quiet(run: Run) -> None:
    pass
