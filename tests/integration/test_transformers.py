"""Hugging Face's Trainer steps a scheduler at each optimizer step, and a plateau scheduler at each evaluation."""

import pytest
from torch import nn
from torch.nn.functional import mse_loss

from lrsched import Inverse, SequenceLR

from .task import (
    BATCHES,
    EPOCHS,
    MAKERS,
    TRAIN,
    VALID,
    Run,
    cosine,
    network,
    on_the_longer_cosine,
    ours_are_errors,
    package,
    plain,
    plateau,
    same,
    sgd,
)

transformers = package("transformers")
package("accelerate")
pytestmark = ours_are_errors


def per_epoch(optimizer):
    return SequenceLR(optimizer, Inverse().every(BATCHES))


# The Trainer only steps by the batch: a schedule by the epoch is stretched.
INTERVALS = {**MAKERS, "InverseLR per epoch": (per_epoch, "step")}
every_scheduler = pytest.mark.parametrize("name", INTERVALS)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, inputs, labels):
        return {"loss": mse_loss(self.inner(inputs), labels)}


def examples(tensors):
    return [{"inputs": x, "labels": y} for x, y in zip(*tensors, strict=True)]


def train(make, folder, epochs=EPOCHS, resume=None, **options):
    settings = {"report_to": "none", "disable_tqdm": True, "use_cpu": True, "save_strategy": "epoch"}
    settings |= {"per_device_train_batch_size": 8, "per_device_eval_batch_size": 16, "max_grad_norm": 0.0}
    settings |= {"eval_strategy": "epoch", "metric_for_best_model": "loss", "train_sampling_strategy": "sequential"}
    arguments = transformers.TrainingArguments(str(folder), num_train_epochs=epochs, **{**settings, **options})
    run, model = Run(), Model()
    optimizer = run.watch(sgd(model))
    run.scheduler = make(optimizer)
    trainer = transformers.Trainer(
        model,
        arguments,
        train_dataset=examples(TRAIN),
        eval_dataset=examples(VALID),
        optimizers=(optimizer, run.scheduler),
    )
    trainer.train(resume_from_checkpoint=resume)
    return run


@every_scheduler
def test_the_learning_rates_are_those_of_a_plain_loop(name, tmp_path):
    same(train(INTERVALS[name][0], tmp_path), plain(*MAKERS[name]))


@every_scheduler
def test_a_resumed_run_continues_exactly(name, tmp_path):
    first = train(INTERVALS[name][0], tmp_path, epochs=3)
    run = train(INTERVALS[name][0], tmp_path, resume=str(tmp_path / f"checkpoint-{3 * BATCHES}"))
    same(run, plain(*MAKERS[name]), first)


def test_a_run_that_is_resumed_with_a_longer_schedule_continues_at_its_position(tmp_path):
    first = train(cosine(3), tmp_path, epochs=3)
    on_the_longer_cosine(first, train(cosine(EPOCHS), tmp_path, resume=str(tmp_path / f"checkpoint-{3 * BATCHES}")))


def test_each_evaluation_counts_once(tmp_path):
    run = train(plateau, tmp_path, eval_strategy="steps", eval_steps=2, save_strategy="no")
    assert run.scheduler.last_epoch == EPOCHS * BATCHES // 2
