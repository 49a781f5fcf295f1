"""docs/race.md: every block runs, and the learning rates after a race are those of the sequence."""

import re
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import lrsched
from lrsched import Linear, Warmup

from .task import TRAIN, VALID, network, ours_are_errors, package

pytestmark = ours_are_errors
PAGE = Path(__file__).parents[2] / "docs" / "race.md"
if not PAGE.exists():
    pytest.skip("docs/ is not part of this copy", allow_module_level=True)
BLOCKS = re.findall(
    r"^## ([^\n]+)\n[^#]*?```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
STEPS = 64
SEQUENCE = Warmup(STEPS // 20) * Linear(STEPS)


def loss_fn(model, batch):
    return torch.nn.functional.mse_loss(model(batch[0]), batch[1])


def names(**more):
    """Return the names that a block leaves to its reader."""
    return {
        **vars(lrsched),
        "chain": chain,
        "islice": islice,
        "repeat": repeat,
        "loader": DataLoader(TensorDataset(*TRAIN), 8, shuffle=True),
        "valid": [VALID],
        "loss_fn": loss_fn,
        "make_optimizer": partial(torch.optim.SGD, lr=0.01, momentum=0.7),
        "sequence": SEQUENCE,
        "steps": STEPS,
        **more,
    }


def expected(start, first=None):
    first = start.position if first is None else first
    return [start.lr * SEQUENCE(k) for k in range(first, STEPS)]


def block(title):
    (code,) = [code for name, code in BLOCKS if name == title]
    return code


def test_the_page_has_these_blocks():
    assert [title for title, _ in BLOCKS] == [
        "In a plain loop",
        "If the loss diverges later",
        "Lightning",
        "Hugging Face Trainer",
    ]


def plain(rates, **more):
    model = network()
    found = names(model=model, **more)
    exec(block("In a plain loop"), found)
    return found


def test_a_plain_loop_continues_the_race(rates):
    found = plain(rates)
    start = found["start"]
    assert rates[-(STEPS - start.position) :] == expected(start)
    assert found["position"] == STEPS
    with torch.no_grad():
        assert loss_fn(found["model"], VALID).item() < 0.2  # 0.09 is the noise


def test_a_loop_goes_back_when_its_loss_diverges(rates):
    found = plain(rates)
    start = found["start"] = lrsched.race(
        found["model"], found["make_optimizer"], loss_fn, found["loader"], SEQUENCE, steps=STEPS, eval_batches=[VALID]
    )
    first, lower = start.position, max(lr for lr in start.lrs if lr < start.lr)
    calls = []

    def diverges_once(model, batch):
        calls.append(1)
        return loss_fn(model, batch) * (float("nan") if len(calls) == 5 else 1.0)

    rates.clear()
    exec(block("If the loss diverges later"), {**found, "loss_fn": diverges_once, "limit": 1e3})
    assert start.lr == lower
    assert rates[4:] == expected(start)
    assert len(rates) == 4 + STEPS - start.position
    assert start.position <= first


def test_lightning_continues_the_race(rates, tmp_path):
    lightning = package("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, inputs):
            return self.inner(inputs)

        def training_step(self, batch, _):
            return loss_fn(self, batch)

    options = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    options |= {"enable_checkpointing": False, "default_root_dir": tmp_path}
    found = names(Module=Module, Trainer=lightning.Trainer, options=options)
    exec(block("Lightning"), found)
    start = found["module"].start
    assert rates[-(STEPS - start.position) :] == expected(start)
    assert found["trainer"].global_step == STEPS - start.position


def test_the_trainer_continues_the_race(rates, tmp_path):
    transformers = package("transformers")
    package("accelerate")
    from .test_transformers import Model, examples

    options = {"output_dir": str(tmp_path), "report_to": "none", "disable_tqdm": True, "use_cpu": True}
    options |= {"save_strategy": "no", "per_device_train_batch_size": 8, "max_grad_norm": 0.0}
    dataset = examples(TRAIN)

    def loader_of(items, size):
        return DataLoader(items, size, collate_fn=transformers.default_data_collator)

    found = names(
        model=Model(),
        loader=loader_of(dataset, 8),
        valid=loader_of(examples(VALID), 16),
        dataset=dataset,
        options=options,
        Trainer=transformers.Trainer,
        TrainingArguments=transformers.TrainingArguments,
    )
    exec(block("Hugging Face Trainer"), found)
    start = found["start"]
    assert rates[-(STEPS - start.position) :] == expected(start)
    assert found["trainer"].state.global_step == STEPS - start.position
