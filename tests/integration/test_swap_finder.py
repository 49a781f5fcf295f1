"""docs/swap.md, finders and fine-tuning callbacks: a schedule starts from what they write, and continues from there."""

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

from lrsched import Cosine, Geometric, GeometricLR, Patience, PlateauSequence, Sawtooth, range_test, set_lr

from . import test_lightning, test_transformers
from .swap_page import block, loader, loop, loss_fn, rising, run, skorch_names, train, with_warm_up
from .task import BATCHES, EPOCHS, TRAIN, VALID, network, ours_are_errors, package, sgd

pytestmark = ours_are_errors
FINDER, CALLBACKS = "From a finder to a schedule", "Fine-tuning callbacks"


class Tuned(test_lightning.L.LightningModule):
    """A backbone and a head; the learning rate is `self.lr`."""

    def __init__(self, make, per="metric"):
        super().__init__()
        self.backbone, self.head = torch.nn.Linear(4, 4), network()
        with torch.no_grad():
            self.backbone.weight.copy_(torch.eye(4))
            self.backbone.bias.zero_()
        self.make, self.per, self.lr = make, per, 0.1

    def forward(self, inputs):
        return self.head(self.backbone(inputs))

    def training_step(self, batch, _):
        return loss_fn(self, batch)

    def validation_step(self, batch, _):
        self.log("val_loss", loss_fn(self, batch))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=self.lr, momentum=0.7)
        config = {"monitor": "val_loss"} if self.per == "metric" else {"interval": self.per}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.make(optimizer), **config}}


def valid():
    return DataLoader(TensorDataset(*VALID), 16)


def lightning_settings(folder, epochs=EPOCHS):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    return {**quiet, "enable_checkpointing": False, "default_root_dir": folder, "max_epochs": epochs}


def suggested():
    """Return what the page's range test suggests for the task's model."""
    model = network()
    return range_test(model, sgd(model), loss_fn, loader()).suggestion


def test_a_plateau_with_a_warm_up_rises_to_the_suggestion(rates):
    lr = suggested()
    done = loop(block(FINDER, 0).replace("500", "5"), loader=loader(), loss_fn=loss_fn)
    rates.clear()
    for _ in range(2):
        train(done["model"], done["optimizer"])
    assert rates == rising(lr, 2 * BATCHES)


def test_a_schedule_that_exists_continues_from_the_suggestion(rates):
    lr = suggested()
    done = loop(block(FINDER, 1), loader=loader(), loss_fn=loss_fn)
    rates.clear()
    for _ in range(EPOCHS):
        done["optimizer"].step()
        done["scheduler"].step()
    assert rates == pytest.approx([lr * Cosine(EPOCHS)(k) for k in range(EPOCHS)], rel=1e-12)


def test_in_the_trainer_the_suggestion_is_set_before(rates, tmp_path):
    def make(optimizer):
        set_lr(optimizer, 0.05)
        return PlateauSequence(optimizer, Geometric(0.5), warmup=5)

    test_transformers.train(make, tmp_path, epochs=2)
    assert rates[: 2 * BATCHES] == rising(0.05, 2 * BATCHES)


def test_in_lightning_the_suggestion_becomes_the_modules_lr(rates, tmp_path):
    trainer = test_lightning.L.Trainer(**lightning_settings(tmp_path, epochs=2))
    model = Tuned(with_warm_up)
    model.train_dataloader, model.val_dataloader = loader, valid
    run(block(FINDER, 2), model=model, trainer=trainer, loader=loader(), loss_fn=loss_fn)
    assert model.lr not in (None, 0.1)
    assert rates[-2 * BATCHES :] == rising(model.lr, 2 * BATCHES)


def test_lightnings_tuner_comes_before_a_warm_up(rates, tmp_path):
    tuner = package("lightning.pytorch.tuner")
    trainer = test_lightning.L.Trainer(**lightning_settings(tmp_path, epochs=30))
    model = Tuned(with_warm_up)
    tuner.Tuner(trainer).lr_find(model, loader(), valid())
    assert model.lr not in (None, 0.1)
    rates.clear()
    trainer = test_lightning.L.Trainer(**lightning_settings(tmp_path, epochs=2))
    trainer.fit(model, loader(), valid())
    assert rates == rising(model.lr, 2 * BATCHES)


def test_in_skorch_fit_takes_the_suggestion(rates):
    names = skorch_names()
    net = names["NeuralNetRegressor"](
        names["module"],
        optimizer=torch.optim.SGD,
        callbacks=[names["LRScheduler"](PlateauSequence, sequence=Sawtooth(), warmup=5, monitor="valid_loss")],
        **names["settings"],
    )
    done = run(block(FINDER, 3), net=net, loader=loader(), loss_fn=loss_fn, X=TRAIN[0], y=TRAIN[1])
    assert rates[-EPOCHS * BATCHES :][: 2 * BATCHES] == rising(done["curve"].suggestion, 2 * BATCHES)


# ---------------------------------------------------------------- fine-tuning callbacks


def plateau_of_torch(optimizer):
    return ReduceLROnPlateau(optimizer, factor=0.5, patience=0, eps=0)


def our_plateau(optimizer):
    return PlateauSequence(optimizer, Geometric(0.5), on=Patience(0))


PAIRS = pytest.mark.parametrize(
    ("theirs", "ours", "per"),
    [
        (plateau_of_torch, our_plateau, "metric"),
        (lambda optimizer: ExponentialLR(optimizer, 0.8), lambda optimizer: GeometricLR(optimizer, 0.8), "epoch"),
        (lambda optimizer: ExponentialLR(optimizer, 0.99), lambda optimizer: GeometricLR(optimizer, 0.99), "step"),
    ],
    ids=["plateau", "per epoch", "per step"],
)


def tuned_rates(number, make, per, all_rates, folder):
    """Return the rates of a training with the callback of a block, and the module."""
    torch.manual_seed(0)
    all_rates.clear()
    settings = lightning_settings(folder, epochs=30)
    trainer = run(block(CALLBACKS, number), Trainer=test_lightning.L.Trainer, settings=settings)["trainer"]
    model = Tuned(make, per)
    trainer.fit(model, loader(), valid())
    return [*all_rates], model


@PAIRS
def test_what_lightnings_finder_writes_is_kept_as_by_torch(theirs, ours, per, all_rates, tmp_path):
    expected, _ = tuned_rates(0, theirs, per, all_rates, tmp_path)
    seen, model = tuned_rates(0, ours, per, all_rates, tmp_path)
    training = seen[-30 * BATCHES :]
    assert training[0] == [model.lr]
    assert max(training) == [model.lr]
    assert min(training) < [model.lr]
    assert training == [pytest.approx(groups, rel=1e-9) for groups in expected[-30 * BATCHES :]]


@PAIRS
def test_an_unfrozen_backbone_has_the_rates_that_it_has_with_torch(theirs, ours, per, all_rates, tmp_path):
    expected, _ = tuned_rates(1, theirs, per, all_rates, tmp_path)
    seen, _ = tuned_rates(1, ours, per, all_rates, tmp_path)
    assert [len(groups) for groups in seen] == [1] * 2 * BATCHES + [2] * 28 * BATCHES
    assert seen == [pytest.approx(groups, rel=1e-9) for groups in expected]
