"""skorch: its LRScheduler callback makes the scheduler, and passes a plateau scheduler the monitored value."""

import functools

import torch

from .task import EPOCHS, TRAIN, VALID, Run, every_scheduler, network, ours_are_errors, package, plain, same

skorch = package("skorch")
callbacks, helper = package("skorch.callbacks"), package("skorch.helper")
pytestmark = ours_are_errors
INTERVALS = {"step": "batch", "epoch": "epoch", "metric": "epoch"}


def train(make, per, epochs=EPOCHS, resume=None):
    """Train; `resume` is an earlier run, whose scheduler's state is loaded into the new scheduler."""
    run = Run()

    def policy(optimizer, last_epoch):
        run.scheduler = make(run.watch(optimizer))
        if resume is not None:
            run.scheduler.load_state_dict(resume.scheduler.state_dict())
        return run.scheduler

    net = skorch.NeuralNetRegressor(
        network(),
        criterion=torch.nn.MSELoss,
        optimizer=functools.partial(torch.optim.SGD, lr=0.1, momentum=0.7),
        lr=0.1,
        max_epochs=epochs,
        batch_size=8,
        train_split=helper.predefined_split(skorch.dataset.Dataset(*VALID)),
        callbacks=[callbacks.LRScheduler(policy, monitor="valid_loss", step_every=INTERVALS[per])],
        verbose=0,
    )
    return run, net


@every_scheduler
def test_the_learning_rates_are_those_of_a_plain_loop(make, per):
    run, net = train(make, per)
    net.fit(*TRAIN)
    same(run, plain(make, per))


@every_scheduler
def test_a_resumed_run_continues_exactly(make, per, tmp_path):
    files = {f"f_{part}": tmp_path / part for part in ("params", "optimizer", "history")}
    first, net = train(make, per, epochs=3)
    net.fit(*TRAIN).save_params(**files)
    run, net = train(make, per, epochs=EPOCHS - 3, resume=first)
    net.initialize().load_params(**files)
    net.partial_fit(*TRAIN)
    same(run, plain(make, per), first)
