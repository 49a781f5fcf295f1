"""Ignite: a handler steps the scheduler with the evaluator's metric; the state goes into ignite's checkpoint."""

import pytest
import torch

from .task import (
    EPOCHS,
    STEPPED,
    VALID,
    Run,
    batches,
    every_scheduler,
    network,
    ours_are_errors,
    package,
    plain,
    same,
    sgd,
)

ignite = package("ignite")
engines, handlers, metrics = (package(f"ignite.{name}") for name in ("engine", "handlers", "metrics"))
Events = engines.Events
pytestmark = ours_are_errors


def train(make, per, folder, epochs=EPOCHS, resume=None, wrapped=False):
    run, model = Run(), network()
    optimizer = run.watch(sgd(model))
    run.scheduler = scheduler = make(optimizer)
    loss = torch.nn.MSELoss()
    trainer = engines.create_supervised_trainer(model, optimizer, loss)
    evaluator = engines.create_supervised_evaluator(model, {"loss": metrics.Loss(loss)})
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: evaluator.run([VALID]))
    if wrapped:
        trainer.add_event_handler(Events.ITERATION_STARTED, handlers.LRScheduler(scheduler))
    elif per == "metric":
        evaluator.add_event_handler(Events.COMPLETED, lambda engine: scheduler.step(engine.state.metrics["loss"]))
    else:
        event = Events.ITERATION_COMPLETED if per == "step" else Events.EPOCH_COMPLETED
        trainer.add_event_handler(event, lambda _: scheduler.step())
    parts = {"trainer": trainer, "model": model, "optimizer": optimizer, "scheduler": scheduler}
    if resume is not None:
        handlers.Checkpoint.load_objects(parts, checkpoint=resume)
    saved = handlers.Checkpoint(parts, handlers.DiskSaver(folder, require_empty=False), filename_pattern="last.pt")
    trainer.add_event_handler(Events.COMPLETED, saved)
    trainer.run(list(batches()), max_epochs=epochs)
    return run


@every_scheduler
def test_the_learning_rates_are_those_of_a_plain_loop(make, per, tmp_path):
    same(train(make, per, tmp_path), plain(make, per))


@every_scheduler
def test_a_resumed_run_continues_exactly(make, per, tmp_path):
    first = train(make, per, tmp_path, epochs=3)
    run = train(make, per, tmp_path, resume=tmp_path / "last.pt")
    same(run, plain(make, per), first)


@pytest.mark.parametrize("name", ["InverseLR per step", "ImageLR"])
def test_the_lr_scheduler_of_ignite_gives_the_same_rates(name, tmp_path):
    make, per = STEPPED[name]
    assert train(make, per, tmp_path, wrapped=True).rates == plain(make, per).rates
