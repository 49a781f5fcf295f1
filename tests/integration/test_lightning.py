"""Lightning steps the schedulers that `configure_optimizers` returns, and passes a plateau scheduler its metric."""

import csv

import pytest
import torch
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from lrsched import ParamSchedule, Warmup

from .task import (
    BATCHES,
    EPOCHS,
    STEPPED,
    TRAIN,
    VALID,
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
    warm_plateau,
)

L = package("lightning.pytorch")
pytestmark = ours_are_errors


class Module(L.LightningModule):
    def __init__(self, make, per, **more):
        super().__init__()
        self.model, self.make, self.run = network(), make, Run()
        self.config = {"monitor": "val_loss"} if per == "metric" else {"interval": per}
        self.config |= more

    def training_step(self, batch, _):
        return mse_loss(self.model(batch[0]), batch[1])

    def validation_step(self, batch, _):
        self.log("val_loss", mse_loss(self.model(batch[0]), batch[1]))

    def configure_optimizers(self):
        optimizer = self.run.watch(sgd(self.model))
        self.run.scheduler = self.make(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.run.scheduler, **self.config}}


class StepsBeforeTheCheckpoint(Module):
    def on_train_epoch_end(self):
        self.lr_schedulers().step(self.trainer.callback_metrics["val_loss"])


def fit(module, folder, epochs=EPOCHS, resume=None, callbacks=(), **options):
    """Train, and return what happened and the trainer."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    options = {**quiet, "enable_checkpointing": False, **options}
    trainer = L.Trainer(max_epochs=epochs, default_root_dir=folder, callbacks=list(callbacks), **options)
    loaders = DataLoader(TensorDataset(*TRAIN), 8), DataLoader(TensorDataset(*VALID), 16)
    trainer.fit(module, *loaders, ckpt_path=resume)
    return module.run, trainer


@every_scheduler
def test_the_learning_rates_are_those_of_a_plain_loop(make, per, tmp_path):
    run, _ = fit(Module(make, per), tmp_path)
    same(run, plain(make, per))


@every_scheduler
def test_a_resumed_run_continues_exactly(make, per, tmp_path):
    first, trainer = fit(Module(make, per), tmp_path, epochs=3)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    run, _ = fit(Module(make, per), tmp_path, resume=tmp_path / "last.ckpt")
    same(run, plain(make, per), first)


def test_a_warm_up_counts_optimizer_steps_not_batches(tmp_path):
    run, _ = fit(Module(warm_plateau, "metric"), tmp_path, accumulate_grad_batches=2)
    same(run, plain(warm_plateau, "metric", accumulate=2))
    assert len(run.rates) == EPOCHS * BATCHES // 2


def test_a_run_that_is_resumed_with_a_longer_schedule_continues_at_its_position(tmp_path):
    first, trainer = fit(Module(cosine(3), "step"), tmp_path, epochs=3)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    run, _ = fit(Module(cosine(EPOCHS), "step"), tmp_path, resume=tmp_path / "last.ckpt")
    on_the_longer_cosine(first, run)


def from_checkpoint(module_class, folder):
    """Train three epochs, then resume from the file that ModelCheckpoint wrote in the third."""
    saved = L.callbacks.ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
    first, _ = fit(module_class(plateau, "metric"), folder, 3, callbacks=[saved], enable_checkpointing=True)
    return first, fit(module_class(plateau, "metric"), folder, resume=folder / "epoch=2.ckpt")[0]


def test_model_checkpoint_saves_before_the_metric_comes(tmp_path):
    _, run = from_checkpoint(Module, tmp_path)
    assert plain(plateau, "metric").scheduler.last_epoch == EPOCHS
    assert run.scheduler.last_epoch == EPOCHS - 1


def test_a_step_in_on_train_epoch_end_continues_exactly(tmp_path):
    first, run = from_checkpoint(StepsBeforeTheCheckpoint, tmp_path)
    assert run.scheduler.last_epoch == EPOCHS
    same(run, plain(plateau, "metric"), first)


def test_each_validation_counts_once_and_the_sanity_check_does_not(tmp_path):
    run, _ = fit(Module(plateau, "metric"), tmp_path, num_sanity_val_steps=1)
    assert run.scheduler.last_epoch == EPOCHS


def test_a_validation_every_second_epoch_counts_once_with_a_frequency(tmp_path):
    run, _ = fit(Module(plateau, "metric", frequency=2), tmp_path, check_val_every_n_epoch=2)
    assert run.scheduler.last_epoch == EPOCHS // 2


def test_the_monitor_logs_the_learning_rates(tmp_path):
    logger = L.loggers.CSVLogger(tmp_path)
    monitor = L.callbacks.LearningRateMonitor(logging_interval="epoch")
    run, _ = fit(Module(plateau, "metric"), tmp_path, callbacks=[monitor], logger=logger, log_every_n_steps=1)
    with open(f"{logger.log_dir}/metrics.csv") as file:
        logged = [float(row["lr-SGD"]) for row in csv.DictReader(file) if row["lr-SGD"]]
    assert logged == pytest.approx([lr for lr, _ in run.rates[::BATCHES]])
    assert len(set(logged)) > 1


class DecaysWeights(Module):
    """A second scheduler raises the weight decay from 0.1 to 0.4 within the training."""

    def configure_optimizers(self):
        made = super().configure_optimizers()
        made["optimizer"].param_groups[0]["weight_decay"] = 0.4
        rise = Warmup(BATCHES * EPOCHS)
        self.decay = ParamSchedule(made["optimizer"], "weight_decay", rise, low=0.1)
        return [made["optimizer"]], [made["lr_scheduler"], {"scheduler": self.decay, "interval": "step"}]


def test_a_second_scheduler_leads_the_weight_decay_and_leaves_the_learning_rate(tmp_path):
    make, per = STEPPED["InverseLR per step"]
    module = DecaysWeights(make, per)
    logger = L.loggers.CSVLogger(tmp_path)
    monitor = L.callbacks.LearningRateMonitor(logging_interval="step")
    first, trainer = fit(module, tmp_path, 3, callbacks=[monitor], logger=logger)
    assert module.decay.get_last_value() == [pytest.approx(0.25)]
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    module = DecaysWeights(make, per)
    run, _ = fit(module, tmp_path, resume=tmp_path / "last.ckpt")
    same(run, plain(make, per), first)
    assert module.decay.get_last_value() == [pytest.approx(0.4)]


def test_a_learning_rate_that_is_a_tensor_stays_the_same_tensor(tmp_path):
    lr = torch.tensor(0.1)

    def make(optimizer):
        optimizer.param_groups[0]["lr"] = lr
        return plateau(optimizer)

    run, _ = fit(Module(make, "metric"), tmp_path)
    assert run.scheduler.optimizer.param_groups[0]["lr"] is lr
    assert [rate for rate, _ in run.rates] == pytest.approx([rate for rate, _ in plain(plateau, "metric").rates])
