"""A user's program, checked by `mypy --strict` against the installed package, and run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

import lrsched
from lrsched import (
    Cosine,
    CosineRestarts,
    Curve,
    Cutoff,
    CyclicLR,
    Event,
    Function,
    Inverse,
    InverseLR,
    InverseTime,
    Linear,
    OneCycle,
    OneCycleLR,
    Oscillation,
    ParamSchedule,
    Patience,
    PlateauSequence,
    Report,
    Rule,
    Schedule,
    Sequence,
    SequenceLR,
    Setting,
    Smoothed,
    Warmup,
    WarmupStableDecay,
    by_name,
    compare,
    parse,
    range_test,
    set_lr,
    snapshot,
)

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Constantly(Sequence):
    """A sequence that a user wrote; a frozen dataclass prints the same after a restart."""

    factor: float = 1.0

    def _at(self, k: int) -> float:
        return self.factor


class Every(Rule):
    """A rule that a user wrote."""

    state_fields = ("seen",)

    def __init__(self, n: int) -> None:
        self.n, self.seen = n, 0

    def update(self, metric: float, mode: lrsched.Mode) -> str | None:
        """Advance at every n-th metric."""
        self.seen += 1
        return None if self.seen % self.n else f"every {self.n}"

    def __repr__(self) -> str:
        return f"Every({self.n})"


def schedule(optimizer: torch.optim.Optimizer, by_loss: bool) -> LRScheduler:
    """Return a scheduler for a training loop."""
    if by_loss:
        rule: Rule = Smoothed(Cutoff() | Patience(3), weight=0.2) | Oscillation() | Every(2)
        return PlateauSequence(optimizer, Constantly() * Inverse(), on=rule, warmup=5)
    return InverseLR(optimizer, min_lr=1e-3)


def schedules(steps: int) -> list[Schedule]:
    """Return schedules made in every way that the language offers."""
    return [
        Warmup(5, start=0.1, shape="exponential").then(Cosine(steps - 5, end=0.1)),
        WarmupStableDecay(5, steps - 15, 10, shape="sqrt") * Function(lambda k: 1 / (1 + k), name="1/n"),
        OneCycle(steps, shape="linear", three_phase=True) * CosineRestarts(5, mult=2).clipped(0.1),
        0.5 * InverseTime(0.1).then(parse("cosine:steps=30"), at=10),
        by_name("cosine_with_restarts", steps, warmup=5, cycles=2),
    ]


def draw(schedule: Schedule) -> None:
    """Draw a schedule; not run here, because matplotlib is an extra."""
    schedule.plot(50, ax=schedule.plot(log=True), label="again")


def model_fn() -> torch.nn.Module:
    """Return a model."""
    return torch.nn.Linear(2, 1)


def loss_fn(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Return the loss of a batch."""
    return mse_loss(model(batch[0]), batch[1])


def find(model: torch.nn.Module, optimizer: torch.optim.Optimizer, batches: list[Batch]) -> Curve:
    """Find a learning rate, take it, and leave no other trace."""
    with snapshot(model, optimizer) as saved:
        optimizer.step()
        saved.restore()
    curve = range_test(model, optimizer, loss_fn, batches, sync=None, scale="log")
    repeats, points = curve.all_losses.shape
    suggestion: float | None = curve.suggestion
    bounds: tuple[float, float] | None = curve.range
    print(repeats, points, bounds, curve.reason, curve.warning)
    set_lr(optimizer, suggestion or 0.1)
    set_lr(optimizer, [0.1])
    return curve


def compared(data: Batch) -> Report:
    """Compare two schedules."""
    settings = {
        "fixed": Setting(lambda parameters: torch.optim.SGD(parameters, lr=0.1)),
        "1/n": Setting(lambda parameters: torch.optim.SGD(parameters, lr=0.1), InverseLR, per="batch"),
    }
    return compare(settings, model_fn, loss_fn, data, data, epochs=1, batch_size=8, seeds=1)


def main() -> list[Event]:
    """Use the names of the README as their types allow."""
    torch.manual_seed(0)
    model = model_fn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler: LRScheduler = schedule(optimizer, by_loss=False)
    cyclic: LRScheduler = CyclicLR(optimizer, 0.1, 0.2, step_size_up=5)
    strategy: lrsched.AnnealStrategy = "linear"
    one_cycle = OneCycleLR(optimizer, [0.2], epochs=2, steps_per_epoch=5, anneal_strategy=strategy, max_momentum=0.9)
    decay = ParamSchedule(optimizer, "weight_decay", [Linear(5)], low=[0.0])
    optimizer.step()
    for each in (scheduler, cyclic, one_cycle, decay):
        each.step()
    decay.load_state_dict(decay.state_dict(), strict=False)
    decays: list[float] = decay.get_last_value()
    logged: list[float | torch.Tensor] = decay.get_last_lr()
    print(one_cycle.total_steps, decays, logged)
    plateau: ReduceLROnPlateau = PlateauSequence(optimizer, Constantly(), on="oscillate", sync="mean", strict=False)
    plateau.step(0.1)
    plateau.step(torch.tensor(0.2), epoch=1)
    rates: list[float | torch.Tensor] = plateau.get_last_lr()
    seen: list[Event] = []
    ours = PlateauSequence(
        optimizer, Inverse().then(Warmup(3), at=2), on=Every(1), warmup=Warmup(4, start=0.25), on_advance=seen.append
    )
    ours.step(metrics=np.float64(0.3))
    ours.load_state_dict(ours.state_dict(), strict=False)
    longer = SequenceLR(optimizer, [Constantly(0.5)], min_lr=[1e-4], strict=False)
    values: np.ndarray = Inverse().values(3)
    factor: float = Inverse()(3)
    length: int | None = Warmup(3).length
    lengths: list[int | None] = [each.length for each in schedules(30)]
    events: list[Event] = lrsched.preview(Inverse(), "cutoff", [1.0, 1.0])
    inputs = torch.randn(64, 2)
    targets = inputs.sum(1, keepdim=True)
    curve = find(model, optimizer, [(inputs[i : i + 8], targets[i : i + 8]) for i in range(0, 64, 8)])
    runs = compared((inputs, targets)).runs
    print(
        rates,
        values,
        factor,
        length,
        lengths,
        ours.position,
        ours.rule,
        events[0].reason,
        longer,
        curve.lrs.shape,
        len(runs),
    )
    return seen


if __name__ == "__main__":
    main()
