"""docs/swap.md, resuming with another rate or more epochs, in every framework that loads a state; the best weights."""

import pytest
import torch

from lrsched import Cosine, GeometricLR, set_lr

from . import test_accelerate, test_ignite, test_lightning, test_transformers
from .swap_page import block, in_skorch, loop, run
from .task import BATCHES, EPOCHS, TRAIN, network, ours_are_errors, sgd

pytestmark = ours_are_errors
RESUMING = "Resuming with another rate or more epochs"


def test_a_resumed_run_takes_another_rate_and_continues_from_there(rates):
    optimizer = sgd(network())
    scheduler = GeometricLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    checkpoint = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    optimizer = sgd(network())
    scheduler = GeometricLR(optimizer, 0.5)
    run(block(RESUMING, 0), optimizer=optimizer, scheduler=scheduler, checkpoint=checkpoint)
    rates.clear()
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.01, 0.005, 0.0025])


def halving(optimizer):
    return GeometricLR(optimizer, 0.5)


def test_in_lightning_a_resumed_run_takes_another_rate(tmp_path):
    _, trainer = test_lightning.fit(test_lightning.Module(halving, "epoch"), tmp_path, epochs=3)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = run(block(RESUMING, 1), Model=test_lightning.Module)["Resumed"](halving, "epoch")
    done, _ = test_lightning.fit(resumed, tmp_path, resume=tmp_path / "last.ckpt")
    assert [lr for lr, _ in done.rates[::BATCHES]] == pytest.approx([0.01, 0.005, 0.0025])


def test_in_the_trainer_a_resumed_run_takes_another_rate(rates, tmp_path):
    transformers = test_transformers.transformers
    test_transformers.train(halving, tmp_path, epochs=1)
    rates.clear()
    model = test_transformers.Model()
    optimizer = sgd(model)
    arguments = transformers.TrainingArguments(
        str(tmp_path),
        num_train_epochs=2,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        save_strategy="no",
        per_device_train_batch_size=8,
    )
    data = test_transformers.examples(TRAIN)
    trainer = transformers.Trainer(model, arguments, train_dataset=data, optimizers=(optimizer, halving(optimizer)))
    run(block(RESUMING, 2), TrainerCallback=transformers.TrainerCallback, trainer=trainer, optimizer=optimizer)
    assert rates == pytest.approx([0.01, 0.005, 0.0025, 0.00125])


def test_in_accelerate_a_prepared_optimizer_takes_another_rate_after_load_state(tmp_path):
    test_accelerate.train(halving, "epoch", tmp_path, epochs=2)
    accelerator = test_accelerate.accelerate.Accelerator(cpu=True)
    model = network()
    optimizer = sgd(model)
    scheduler = halving(optimizer)
    model, prepared, wrapped = accelerator.prepare(model, optimizer, scheduler)
    accelerator.load_state(tmp_path)
    set_lr(prepared, 0.01)
    prepared.step()
    wrapped.step()
    assert scheduler.last_epoch == 3
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.005)


def test_in_ignite_a_run_takes_another_rate_after_load_objects(tmp_path):
    test_ignite.train(halving, "epoch", tmp_path, epochs=2)
    model = network()
    optimizer = sgd(model)
    parts = {"model": model, "optimizer": optimizer, "scheduler": halving(optimizer)}
    test_ignite.handlers.Checkpoint.load_objects(parts, checkpoint=tmp_path / "last.pt")
    set_lr(optimizer, 0.01)
    optimizer.step()
    parts["scheduler"].step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.005)


def test_in_skorch_a_run_takes_another_rate_in_the_function_that_resumes(rates, tmp_path):
    first = in_skorch(block("skorch", 0), tmp_path)
    code = block("skorch", 1).replace("    return", "    set_lr(optimizer, 0.01)\n    return")
    rates.clear()
    again = in_skorch(code, tmp_path, state=first.state_dict())
    assert again.last_epoch == 2 * EPOCHS
    assert rates[:BATCHES] == [0.01] * BATCHES
    assert max(rates) == 0.01


def longer(epochs):
    """Return the page's scheduler of a run that is twice as long."""
    return lambda optimizer: run(block(RESUMING, 3), optimizer=optimizer, epochs=epochs)["scheduler"]


def shorter(epochs):
    return lambda optimizer: run(block(RESUMING, 3, "-"), optimizer=optimizer, epochs=epochs)["scheduler"]


def continued(rates, epochs):
    """Assert that the rates of a second run, of as many epochs as the first, are those of the longer schedule."""
    expected = [0.1 * Cosine(2 * epochs)(k) for k in range(epochs, 2 * epochs)]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_lightning_resumes_with_more_epochs(tmp_path):
    _, trainer = test_lightning.fit(test_lightning.Module(shorter(3), "epoch"), tmp_path, epochs=3)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    done, _ = test_lightning.fit(test_lightning.Module(longer(3), "epoch"), tmp_path, resume=tmp_path / "last.ckpt")
    continued([lr for lr, _ in done.rates[::BATCHES]], 3)


def test_the_trainer_resumes_with_more_epochs(tmp_path):
    steps = 3 * BATCHES
    test_transformers.train(shorter(steps), tmp_path, epochs=3)
    done = test_transformers.train(longer(steps), tmp_path, resume=str(tmp_path / f"checkpoint-{steps}"))
    continued([lr for lr, _ in done.rates], steps)


def test_accelerate_resumes_with_more_epochs(tmp_path):
    test_accelerate.train(shorter(3), "epoch", tmp_path, epochs=3)
    done = test_accelerate.train(longer(3), "epoch", tmp_path, epochs=3, resume=True)
    continued([lr for lr, _ in done.rates[::BATCHES]], 3)


def test_ignite_resumes_with_more_epochs(tmp_path):
    test_ignite.train(shorter(3), "epoch", tmp_path, epochs=3)
    done = test_ignite.train(longer(3), "epoch", tmp_path, epochs=6, resume=tmp_path / "last.pt")
    continued([lr for lr, _ in done.rates[::BATCHES]], 3)


def test_an_advance_restores_the_best_weights():
    weight = torch.nn.Parameter(torch.zeros(1))
    model = torch.nn.ParameterList([weight])
    losses = iter([1.0, 0.5, 0.8, 0.4, 0.9, 0.3])
    seen = []

    def train(model, optimizer):
        weight.data += 1.0

    def validate(model):
        seen.append(weight.item())
        return next(losses)

    done = loop(block("The best weights", 0), model=model, optimizer=sgd(model), train=train, validate=validate)
    assert [event.epoch for event in done["scheduler"].events] == [3, 5]
    assert seen == [1, 2, 3, 3, 4, 4]  # the second and the fourth epoch were the best so far
