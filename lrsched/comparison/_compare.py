"""compare(): trains one model with many settings and seeds, and returns a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from .._check import flag, integer
from .._functions import LossFn, as_loss_fn
from .._processes import rank
from ..ensembles._ensemble import Vectorize
from ._arguments import (
    check_functions,
    check_options,
    check_settings,
    checked_device,
    checked_model,
    checked_path,
    checked_seeds,
)
from ._batches import Data, as_batches
from ._checkpoint import Checkpoint
from ._plan import Plan
from ._profile import examine
from ._report import Report
from ._run_progress import progress_shown
from ._runs import Pair, Run, RunFile, sole_use
from ._setting import Setting
from ._task import FinalFn, MetricAverage, MetricFn, StopFn, Task
from ._training import RunCallback, checkpoint_path, open_run_file, together, train_missing


def compare(
    settings: Mapping[str, Setting],
    model_fn: Callable[[], nn.Module],
    loss_fn: LossFn,
    train: Data,
    valid: Data,
    *,
    epochs: int,
    batch_size: int | None = None,
    seeds: int | Sequence[int] = 5,
    metric_fn: MetricFn | None = None,
    metric_average: MetricAverage = "samples",
    final_fn: FinalFn | None = None,
    stop: StopFn | None = None,
    device: torch.device | str | None = None,
    vectorize: Vectorize = "auto",
    record: bool = True,
    out: str | PathLike[str] | None = None,
    key: object = None,
    note: str = "",
    callback: RunCallback | None = None,
    progress: bool = False,
) -> Report:
    """Train one model with every setting and every seed, and report how the settings differ.

    All settings of a seed start from the same weights and see the same batches in the same order, so their differences
    are paired. The validation loss is the mean of the batch means, without shuffling, in eval mode.

    Typical use: `compare(settings, model_fn, loss_fn, train_loader, valid_loader, epochs=20).table("fixed")`.

    What is compared:
        settings: name → `Setting`.
        model_fn: model_fn() -> module, called with torch seeded by the run's seed; a new module at each call.
        loss_fn: loss_fn(model, batch) -> scalar tensor, the mean over the batch; a loss module of torch counts as
            `supervised(criterion)`.
        train: one of three. A tuple of tensors with the same number of rows, such as (inputs, targets), shuffled each
            epoch. A DataLoader or another iterable of batches, iterated once per epoch; not an iterator, which can only
            be used once. Or a function that returns an iterable of batches, called once per epoch. A batch is a tensor,
            or a nest of tuples, lists, mappings and dataclasses of tensors; it is moved to the device.
        valid: the same, not shuffled, and with the same random numbers at each pass.

    Everything random in `train` depends only on the run's seed and the epoch: the order, and whatever a dataset, its
    workers or a function draw from the global random generators of torch, numpy and Python, or from generators that
    they own or use. The states of these generators are restored. Runs that are trained side by side share the batches
    of their seed, which are made once; a loader with workers starts them anew for each seed and epoch. If the batches
    of different seeds differ in shape or number, only the settings of a seed are trained side by side.

    How long, and how often:
        epochs: the number of epochs, an integer ≥ 1.
        batch_size: rows per batch of a tuple of tensors, an integer ≥ 1; not used for other data.
        seeds: the number n of seeds, for seeds 0 … n − 1, or a list of different seeds ≥ 0.
        stop: stop(validation losses so far) -> whether to end the run now; called after each epoch.

    What is measured:
        metric_fn: metric_fn(model, batch) -> a number, or a dict of named numbers; reports show the first. A
            metric named "loss" replaces the validation loss, and `loss_fn` is not called on validation batches.
        metric_average: "samples" weights the metrics of a batch by its number of samples; "batches" weights all batches
            equally, as is always done for the loss. The two differ if the last batch is smaller.
        final_fn: final_fn(model) -> a dict to record about the trained model.

    How runs are trained:
        device: the device to train on; None for the device of the model that `model_fn` returns.
        vectorize: True trains runs side by side as one ensemble, False trains them one after another, "auto" side by
            side if that is faster. `Run.method` and `Run.reason` say which, and why. Settings that an ensemble cannot
            train are trained alone: those with hooks, or whose schedulers change more than learning rates.
        record: whether forward and backward passes on a GPU are recorded as CUDA graphs, if that gives the same
            numbers; `Run.reason` says whether they were. Pass False if `loss_fn` or `metric_fn` depends on anything
            besides the model and the batch. Checks at the start and once in 1,000 steps find most such functions.

    What is kept:
        out: a JSON-lines file for finished runs. Runs in it that have the same configuration are not trained again.
            Runs in training are saved beside it, at most every 10 seconds, and resumed, unless their scheduler's state
            holds anything but plain values. The configuration identifies functions by name and by what a partial has
            bound, and datasets by class and length, unless they are tensors in memory: if you change what one of them
            does, pass a new `key`.
        key: an addition to the configuration, any value that JSON can hold.
        note: a text stored with each run, such as the name of the machine.
        callback: callback(run), called after each epoch of a run, and when a run is finished or was read from `out`.
        progress: whether to show the epochs of all runs, and the last loss: a bar if tqdm is installed, otherwise lines
            on stderr. Of several processes, only rank 0 shows it.

    If torch.distributed is initialised, every process must call `compare`. The processes divide the runs among them,
    and all return the same report.

    Raises TypeError or ValueError if an argument is invalid, and OSError if `out` cannot be used, before any training;
    RuntimeError if a recorded pass no longer gives the results of an ordinary one.
    A loss that is not finite is recorded as None and does not end the run.

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
    check_settings(settings)
    check_functions(model_fn, loss_fn, metric_fn=metric_fn, final_fn=final_fn, stop=stop, callback=callback)
    check_options(metric_average, vectorize, record, key, note)
    epochs = integer("epochs", epochs, low=1)
    batch_size = None if batch_size is None else integer("batch_size", batch_size, low=1)
    pairs = [(name, seed) for seed in checked_seeds(seeds) for name in settings]
    path, progress = checked_path(out), flag("progress", progress)
    train_batches, valid_batches = as_batches("train", train, batch_size), as_batches("valid", valid, batch_size)
    shown = progress_shown(progress, len(pairs), epochs, callback or _ignore)
    with torch.random.fork_rng(_gpus(device)), shown as seen:
        torch.manual_seed(pairs[0][1])
        model = checked_model(model_fn)
        place = checked_device(device, model)
        data = train_batches.to(place), valid_batches.to(place)
        functions = model_fn, as_loss_fn(loss_fn), metric_fn, metric_average, final_fn, stop
        task = Task(*functions, *data, batch_size, epochs, place, note, pairs[0][1], record)
        file = _run(task, settings, model.to(place), vectorize, pairs, path, key, seen)
    order = {name: i for i, name in enumerate(settings)}
    return Report([file.runs[pair] for pair in sorted(pairs, key=lambda pair: (order[pair[0]], pair[1]))])


def _run(
    task: Task,
    settings: Mapping[str, Setting],
    model: nn.Module,
    vectorize: Vectorize,
    pairs: list[Pair],
    path: Path | None,
    key: object,
    callback: RunCallback,
) -> RunFile:
    """Examine the settings, train the runs that the file lacks, and return the file. `model` is only for trials."""
    common = task.configuration(model, key)  # before the first batch, which initialises lazy modules
    lazy = any(is_lazy(parameter) for parameter in model.parameters())
    task.check_functions(model)
    profiles = examine(settings, task, model, vectorize, lazy)
    configs = {name: {**common, **profile.description} for name, profile in profiles.items()}
    with ExitStack() as stack:
        together(lambda: stack.enter_context(sole_use(path if rank() == 0 else None)))
        file = open_run_file(path, configs)
        plan = Plan(task, profiles, pairs)
        train_missing(plan, file, Checkpoint(checkpoint_path(path)), callback)
    return file


def _gpus(device: torch.device | str | None) -> Iterable[int]:
    """Return the GPUs whose random state is restored; none if CUDA is not in use, so that it is not initialised."""
    in_use = str(device).startswith("cuda") or torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return range(torch.cuda.device_count()) if in_use else ()


def _ignore(run: Run) -> None:
    pass
