"""Accelerate: `prepare` wraps a scheduler, and the wrapper steps it once for each process."""

import pytest
import torch
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from lrsched import InverseLR, range_test, snapshot

from .processes import in_two_processes
from .task import (
    BATCHES,
    EPOCHS,
    TRAIN,
    Run,
    cosine,
    every_scheduler,
    network,
    on_the_longer_cosine,
    ours_are_errors,
    package,
    plain,
    plateau,
    same,
    sgd,
    val_loss,
    warm_plateau,
)

accelerate = package("accelerate")
pytestmark = ours_are_errors


def train(make, per, folder, epochs=EPOCHS, resume=False, prepare=True, wrapped=False, **options):
    """Train, each process on its part of every batch of 8; save the state in the folder, or resume from it.

    The scheduler is made before the optimizer is prepared or, if `wrapped`, afterwards.
    """
    accelerator = accelerate.Accelerator(cpu=True, **options)
    run, model = Run(), network()
    optimizer = run.watch(sgd(model))
    if not wrapped:
        run.scheduler = make(optimizer)
    loader = DataLoader(TensorDataset(*TRAIN), 8 // accelerator.num_processes)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    if wrapped:
        run.scheduler = make(optimizer)
    scheduler = accelerator.prepare(run.scheduler) if prepare else run.scheduler
    if resume:
        accelerator.load_state(folder)
    for _ in range(epochs):
        for inputs, targets in loader:
            with accelerator.accumulate(model):
                accelerator.backward(mse_loss(model(inputs), targets))
                optimizer.step()
                optimizer.zero_grad()
            if per == "step":
                scheduler.step()
        if per == "epoch":
            scheduler.step()
        elif per == "metric":
            scheduler.step(val_loss(model))
    accelerator.save_state(folder)
    return run


@every_scheduler
def test_the_learning_rates_are_those_of_a_plain_loop(make, per, tmp_path):
    same(train(make, per, tmp_path), plain(make, per))


@every_scheduler
def test_a_resumed_run_continues_exactly(make, per, tmp_path):
    first = train(make, per, tmp_path, epochs=3)
    run = train(make, per, tmp_path, epochs=EPOCHS - 3, resume=True)
    same(run, plain(make, per), first)


def test_a_run_that_is_resumed_with_a_longer_schedule_continues_at_its_position(tmp_path):
    first = train(cosine(3), "step", tmp_path, epochs=3)
    on_the_longer_cosine(first, train(cosine(EPOCHS), "step", tmp_path, epochs=EPOCHS - 3, resume=True))


@pytest.mark.parametrize("wrapped", [False, True], ids=["on the optimizer", "on the prepared optimizer"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_warm_up_counts_optimizer_steps_not_batches(accumulate, wrapped, tmp_path):
    run = train(warm_plateau, "metric", tmp_path, wrapped=wrapped, gradient_accumulation_steps=accumulate)
    same(run, plain(warm_plateau, "metric", accumulate=accumulate))
    assert len(run.rates) == EPOCHS * BATCHES // accumulate


# ---------------------------------------------------------------- a range test before and during a training


def accumulated(tested, how):
    """Return the losses, weights and numbers of optimizer steps of a training that accumulates three batches.

    An epoch has four batches, so the counts of batches and of windows differ. The test comes in the middle of an epoch.
    """
    torch.manual_seed(0)
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=3)
    model = network()
    optimizer = sgd(model)
    loader = DataLoader(TensorDataset(*TRAIN), 8, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    found = []

    def train_step(batch):
        with accelerator.accumulate(model):
            loss = mse_loss(model(batch[0]), batch[1])
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        return loss

    def test():
        if how == "train_step":
            curve = range_test(model, optimizer, None, loader, train_step=train_step, steps=20)
        elif how == "loss_fn":
            curve = range_test(model, optimizer, torch.nn.MSELoss(), loader, steps=20)
            assert len(set(curve.losses[-3:])) > 1  # each point had a step
        else:
            with snapshot(model, optimizer, extra=[accelerator, loader]):
                for batch in loader:
                    train_step(batch)
                    if accelerator.step == 2:
                        break

    if tested:
        test()
    for epoch in range(3):
        for k, batch in enumerate(loader):
            loss = train_step(batch)
            found.append((loss.item(), accelerator.sync_gradients, accelerator.step, model.bias.item()))
            if tested and (epoch, k) == (1, 1):
                test()
    return found


@pytest.mark.parametrize("how", ["train_step", "loss_fn", "snapshot"])
def test_a_range_test_does_not_shift_the_windows_of_accumulated_batches(how):
    assert accumulated(True, how) == accumulated(False, how)


def on_a_rank(rank, folder):
    runs = {
        "prepared": train(plateau, "metric", folder),
        "not prepared": train(plateau, "metric", folder, prepare=False),
        "warm-up": train(warm_plateau, "metric", folder),
        "per step": train(InverseLR, "step", folder, step_scheduler_with_optimizer=False),
    }
    return {name: (run.rates, run.events, run.scheduler.last_epoch) for name, run in runs.items()}


def test_two_processes_advance_as_often_as_one(tmp_path):
    ranks = in_two_processes(on_a_rank, tmp_path, tmp_path / "state")
    plain_run = plain(plateau, "metric")
    per_metric = plain_run.rates, plain_run.events, EPOCHS
    warm = plain(warm_plateau, "metric")
    per_warm = warm.rates, warm.events, EPOCHS
    per_step = plain(InverseLR, "step").rates, [], EPOCHS * BATCHES
    expected = {"prepared": per_metric, "not prepared": per_metric, "warm-up": per_warm, "per step": per_step}
    assert ranks == [expected, expected]
