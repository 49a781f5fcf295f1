"""The methods of race_quality that need no grid: each starts from the optimizer's own rate.

Every method takes the same number of gradient steps: the training after a race or a range test is shorter by the steps
that these took. Methods marked with an asterisk are not charged: their training has its full length.
"""

from __future__ import annotations

import inspect
import math
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from torch import nn

from lrsched import Constant, Race, Sequence, SequenceLR, race, range_test, set_lr

from .race_grid import TAIL, failed, fixed, recipe
from .race_problems import Problem

Clock = Callable[[], float]
Outcome = dict[str, Any]
BLOWN_UP = 3.0  # times the untrained network's loss: then a loop after a race retreats at once
FREE = " *"  # marks methods that are not charged
DEFAULT, TENFOLD = "default rate, constant", "default rate × 10, warm-up, linear"
RACE, WIDE, RANGE = "race", "race of nine", "range test, warm-up, linear"
RANGE_STEPS = 100  # of a range test; a quarter of a shorter run
NINE = tuple(10.0 ** (k / 2) for k in range(-3, 6))  # 0.03 to 316 times the optimizer's own rate


def train(
    problem: Problem, model: nn.Module, scheduler: SequenceLR, batches: Iterable[Any], limit: float = math.inf
) -> tuple[int, list[float]]:
    """Train until the batches end or the last losses exceed the limit; return the steps taken and these losses."""
    tail: deque[torch.Tensor] = deque(maxlen=TAIL)
    step = 0
    for batch in batches:
        scheduler.optimizer.zero_grad()
        loss = problem.loss_fn(model, batch)
        loss.backward()
        scheduler.optimizer.step()
        scheduler.step()
        tail.append(loss.detach())
        step += 1
        if step % TAIL == 0 and failed(torch.stack([*tail]).tolist(), limit):
            break
    return step, torch.stack([*tail]).tolist()


def plain(problem: Problem, seed: int, clock: Clock, factor: float, sequence: Sequence, steps: int) -> Outcome:
    """Train at a multiple of the optimizer's own rate."""
    started = clock()
    model = problem.model(seed)
    optimizer = problem.make_optimizer(list(model.parameters()))
    lr = factor * optimizer.param_groups[0]["lr"]
    set_lr(optimizer, lr)
    untrained = problem.loss(model, problem.test)
    torch.manual_seed(seed)
    _, tail = train(problem, model, SequenceLR(optimizer, sequence), islice(problem.batches(seed), steps))
    return outcome(problem, model, tail, untrained, lr=lr, runs=1.0, seconds=clock() - started)


def outcome(problem: Problem, model: nn.Module, tail: list[float], untrained: float, **facts: Any) -> Outcome:
    """Return the record of a finished run."""
    losses = {"valid": problem.loss(model, problem.valid), "test": problem.loss(model, problem.test)}
    return {**losses, "untrained": untrained, "diverged": failed(tail, untrained), **facts}


def one_by_one(problem: Problem, seed: int, members: list[tuple[str, float]], clock: Clock) -> dict[str, Any]:
    """Do what `trained` does, one run after another; for shapes that do not follow the validation loss."""
    shapes = fixed(problem.steps)
    runs = [plain(problem, seed, clock, factor, shapes[shape], problem.steps) for shape, factor in members]
    losses = {name: [run[name] for run in runs] for name in ("valid", "test", "diverged")}
    seconds = sum(run["seconds"] for run in runs)
    return {"members": members, **losses, "untrained": runs[0]["untrained"], "seconds": seconds}


def without_measuring(problem: Problem, seed: int, clock: Clock) -> dict[str, Outcome]:
    """Return the runs at the default rate and at ten times that."""
    return {
        DEFAULT: plain(problem, seed, clock, 1.0, Constant(), problem.steps),
        TENFOLD: plain(problem, seed, clock, 10.0, recipe(problem.steps), problem.steps),
    }


def after_range_test(problem: Problem, seed: int, clock: Clock) -> dict[str, Outcome]:
    """Return the runs at the suggestion of a range test; at the default rate if it suggests none."""
    started = clock()
    model = problem.model(seed)
    optimizer = problem.make_optimizer(list(model.parameters()))
    own = optimizer.param_groups[0]["lr"]
    points = min(RANGE_STEPS, problem.steps // 4)
    curve = range_test(model, optimizer, problem.loss_fn, problem.batches(1000 + seed), steps=points)
    seconds, spent = clock() - started, len(curve.lrs)
    factor = 1.0 if curve.suggestion is None else curve.suggestion / own
    found = {}
    for name, steps in {RANGE: problem.steps - spent, RANGE + FREE: problem.steps}.items():
        run = plain(problem, seed, clock, factor, recipe(steps), steps)
        run |= {"suggested": curve.suggestion is not None, "seconds": seconds + run["seconds"]}
        found[name] = run | {"runs": (spent + steps) / problem.steps}
    return found


def races(name: str, factors: tuple[float, ...] | None) -> Callable[[Problem, int, Clock], dict[str, Outcome]]:
    """Return a function that returns the runs that a race starts, at the default rates or at these multiples."""

    def runs(problem: Problem, seed: int, clock: Clock) -> dict[str, Outcome]:
        free = raced(problem, seed, clock, factors, problem.steps)
        steps = int(problem.steps / race_cost(free["members"]))
        return {name: raced(problem, seed, clock, factors, steps), name + FREE: free}

    return runs


def raced(problem: Problem, seed: int, clock: Clock, factors: tuple[float, ...] | None, steps: int) -> Outcome:
    """Start a training of `steps` steps by a race, and finish it; retreat to a lower rate if it fails."""
    started = clock()
    model, sequence = problem.model(seed), recipe(steps)
    own = problem.make_optimizer(list(model.parameters())).param_groups[0]["lr"]
    untrained = problem.loss(model, problem.test)
    lrs = None if factors is None else [own * factor for factor in factors]
    torch.manual_seed(seed)
    batches = problem.batches(seed)
    start = race(
        model, problem.make_optimizer, problem.loss_fn, batches, sequence, lrs, steps=steps, eval_batches=problem.valid
    )
    members, winner = len(start.lrs), start.lr
    later, tail, retreats = finished(problem, model, start, sequence, steps, untrained)
    runs = (race_cost(members) * steps - (steps - start_of(steps)) + later) / problem.steps
    facts = {"lr": start.lr, "winner": winner, "members": members, "retreats": retreats, "runs": runs}
    return outcome(problem, model, tail, untrained, **facts, seconds=clock() - started)


def finished(
    problem: Problem, model: nn.Module, start: Race, sequence: Sequence, steps: int, untrained: float
) -> tuple[int, list[float], int]:
    """Train on after a race; return the steps taken, the last losses and the number of retreats."""
    taken = retreats = 0
    while True:
        assert start.optimizer is not None
        assert start.batches is not None
        scheduler = SequenceLR(start.optimizer, sequence, last_epoch=start.position - 1)
        step, tail = train(
            problem, model, scheduler, islice(start.batches, steps - start.position), BLOWN_UP * untrained
        )
        taken += step
        if not failed(tail, untrained):
            return taken, tail, retreats
        try:
            start.retreat()
        except RuntimeError:  # no lower rate is left
            return taken, tail, retreats
        retreats += 1


def race_cost(members: int) -> float:
    """Return the steps of all members of a race at its default rungs, as a multiple of its `steps`."""
    rungs, keep = (inspect.signature(race).parameters[name].default for name in ("rungs", "keep"))
    counts, ends = [members, *keep], [*rungs, 1.0]
    return sum(count * (end - begin) for count, begin, end in zip(counts, [0.0, *rungs], ends, strict=True))


def start_of(steps: int) -> int:
    """Return the position at which a race of so many steps ends."""
    return round(inspect.signature(race).parameters["rungs"].default[-1] * steps)


METHODS: dict[str, Callable[[Problem, int, Clock], dict[str, Outcome]]] = {
    "race": races(RACE, None),
    "without measuring": without_measuring,
    "range test": after_range_test,
    WIDE: races(WIDE, NINE),
}
