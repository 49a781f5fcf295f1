"""A user's program, checked by `mypy --strict` against the installed package, and run."""

from __future__ import annotations

import numpy as np
import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

import lrsched
from lrsched import Cutoff, CyclicLR, Event, Inverse, InverseLR, Oscillation, PlateauSequence, Rule, Sequence, Warmup


class Constantly(Sequence):
    """A sequence that a user wrote."""

    def _at(self, k: int) -> float:
        return 1.0


class Every(Rule):
    """A rule that a user wrote."""

    state_fields = ("seen",)

    def __init__(self, n: int) -> None:
        self.n, self.seen = n, 0

    def update(self, metric: float, mode: str) -> str | None:
        """Advance at every n-th metric."""
        self.seen += 1
        return None if self.seen % self.n else f"every {self.n}"


def schedule(optimizer: torch.optim.Optimizer, by_loss: bool) -> LRScheduler:
    """Return a scheduler for a training loop."""
    if by_loss:
        return PlateauSequence(optimizer, Warmup(5) * Inverse(), on=Cutoff() | Oscillation() | Every(2))
    return InverseLR(optimizer, min_lr=1e-3)


def main() -> list[Event]:
    """Use the names of the README as their types allow."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler: LRScheduler = schedule(optimizer, by_loss=False)
    cyclic: LRScheduler = CyclicLR(optimizer, 0.1, 0.2, step_size_up=5)
    optimizer.step()
    scheduler.step()
    cyclic.step()
    plateau: ReduceLROnPlateau = PlateauSequence(optimizer, Constantly(), on="oscillate", sync="mean")
    plateau.step(0.1)
    plateau.step(torch.tensor(0.2), epoch=1)
    rates: list[float | torch.Tensor] = plateau.get_last_lr()
    ours = PlateauSequence(optimizer, Inverse().then(Warmup(3), at=2), on=Every(1))
    ours.step(metrics=np.float64(0.3))
    ours.load_state_dict(ours.state_dict())
    values: np.ndarray = Inverse().values(3)
    factor: float = Inverse()(3)
    events: list[Event] = lrsched.preview(Inverse(), "cutoff", [1.0, 1.0])
    print(rates, values, factor, ours.position, ours.rule, events[0].reason)
    return ours.events


if __name__ == "__main__":
    main()
