"""What a range test records, why it stops, and where batches come from."""

import json
import math
import multiprocessing
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from lrsched import range_test
from tests.finder.helpers import BATCHES, Record, line, loss_of, setup, square, train

# ---------------------------------------------------------------- learning rates


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_the_curve_has_the_learning_rates_that_the_steps_used(scale):
    model, optimizer, loader = setup()
    seen = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append(o.param_groups[0]["lr"]))
    record = Record(model, optimizer, [loader.generator])
    curve = range_test(model, optimizer, loss_of, loader, scale=scale, start_lr=1e-7, end_lr=1e-2)
    record.verify()
    assert len(curve) == 100
    assert seen == curve.lrs.tolist()
    assert curve.lrs[[0, -1]].tolist() == pytest.approx([1e-7, 1e-2], rel=1e-12)
    make = np.geomspace if scale == "log" else np.linspace
    np.testing.assert_allclose(curve.lrs, make(1e-7, 1e-2, 100), rtol=1e-12)


@pytest.mark.parametrize("lr", [1.0, 0.0])
def test_the_very_first_step_uses_start_lr(lr):
    model, optimizer = line(lr)
    seen = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append(o.param_groups[0]["lr"]))
    range_test(model, optimizer, square, BATCHES, start_lr=1e-6, end_lr=1, steps=5)
    assert seen[0] == 1e-6
    assert optimizer.param_groups[0]["lr"] == lr


def test_a_tensor_lr_is_written_in_place():
    model, _ = line()
    lr = torch.tensor(0.01)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, foreach=False)
    seen = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append((o.param_groups[0]["lr"] is lr, lr.item())))
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, square, BATCHES, steps=20)
    record.verify()
    assert all(same for same, _ in seen)
    assert [value for _, value in seen] == pytest.approx(curve.lrs.tolist(), rel=1e-6)
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == pytest.approx(0.01)


def test_a_rate_that_the_training_itself_writes_is_overwritten():
    model, optimizer = line()
    seen = []

    def train_step(batch):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.param_groups[0]["lr"] = 3.0
        return 1.0

    curve = range_test(model, optimizer, None, BATCHES, train_step=train_step, steps=5)
    assert seen == curve.lrs.tolist()
    assert optimizer.param_groups[0]["lr"] == 0.1


def two_groups(first=1e-3, second=1e-1):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    groups = [{"params": model[0].parameters(), "lr": first}, {"params": model[1].parameters(), "lr": second}]
    return model, torch.optim.SGD(groups)


@pytest.mark.parametrize(
    ("group_lrs", "start", "end"),
    [
        ("ratio", [1e-5, 1e-3], [1e-2, 1.0]),
        ("same", [1e-5, 1e-5], [1e-2, 1e-2]),
        ([(1e-6, 1e-3), (1e-4, 1e-2)], [1e-6, 1e-4], [1e-3, 1e-2]),
    ],
    ids=["ratio", "same", "list"],
)
def test_learning_rates_of_several_param_groups(group_lrs, start, end):
    model, optimizer = two_groups()
    seen = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append([group["lr"] for group in o.param_groups]))
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, square, BATCHES, start_lr=1e-5, end_lr=1e-2, steps=30, group_lrs=group_lrs)
    record.verify()
    assert curve.group_lrs.tolist() == seen
    assert curve.group_lrs[0].tolist() == pytest.approx(start)
    assert curve.group_lrs[-1].tolist() == pytest.approx(end)
    assert curve.lrs.tolist() == curve.group_lrs[:, 0].tolist()


# ---------------------------------------------------------------- why it stops


def scripted(losses):
    """Return a loss_fn that returns these values, with a gradient."""
    values = iter(losses)
    return lambda model, batch: model(batch).sum() * 0 + next(values)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 15])
def test_a_non_finite_loss_ends_the_test_before_its_step(bad, place):
    model, optimizer = line()
    steps = []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, scripted([*(2 - 0.1 * np.arange(place)), bad]), BATCHES)
    record.verify()
    assert len(curve) == len(steps) == place
    assert curve.stop_reason == "non-finite"
    if place:
        assert 0 < curve.suggestion < curve.lrs[14]
    else:
        assert (curve.suggestion, curve.reason) == (None, "non-finite at first step")


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1, -10), (3, -4), (1e-4, 0)])
def test_negative_losses_end_the_test_only_if_they_diverge(scale, shift):
    lr = np.geomspace(1e-7, 10, 100)
    losses = scale * (2 - 1.5 / (1 + (1e-3 / lr) ** 2) + np.maximum(0, lr - 0.1) * 30) + shift
    model, optimizer = line()
    curve = range_test(model, optimizer, scripted(losses), BATCHES)
    assert curve.stop_reason == "diverged"
    # head 2, best about 0.5, so the limit is 3.5: crossed beyond lr 0.2, by points 78, 79 and 80
    assert len(curve) == 81
    assert curve.suggestion == pytest.approx(3e-3, rel=1.5)


def test_single_outliers_do_not_end_the_test():
    model, optimizer = line()
    losses = np.full(100, 2.0)
    losses[[5, 50]] *= 10
    assert range_test(model, optimizer, scripted(losses), BATCHES).stop_reason == "completed"


# ---------------------------------------------------------------- where batches come from


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.randn(24, 3, generator=torch.Generator().manual_seed(0)))


SOURCES = {
    "list": lambda: BATCHES,
    "loader": lambda: DataLoader(torch.cat(BATCHES), 8),
    "workers": lambda: DataLoader(torch.cat(BATCHES), 8, num_workers=2),
    "iterable dataset": lambda: DataLoader(Stream(), 8),
    "iterable dataset with workers": lambda: DataLoader(Stream(), 8, num_workers=1),
}


@pytest.mark.parametrize("name", SOURCES)
def test_short_sources_start_over_as_often_as_needed(name):
    model, optimizer = line()
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, square, SOURCES[name](), end_lr=0.01)
    record.verify()
    assert (len(curve), curve.stop_reason) == (100, "completed")
    assert not multiprocessing.active_children()


def test_a_generator_that_runs_out_ends_the_test():
    model, optimizer = line()
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, square, (batch for batch in BATCHES * 7), end_lr=0.01)
    record.verify()
    assert (len(curve), curve.stop_reason) == (21, "data exhausted")


def test_no_extra_batch_is_taken_and_a_generator_is_not_closed():
    model, optimizer = line()
    source = (batch for batch in BATCHES * 50)
    range_test(model, optimizer, square, source, steps=10, end_lr=0.01)
    assert sum(1 for _ in source) == 140


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (list, "batches must have at least one batch, got none$"),
        (lambda: DataLoader([]), "batches must have at least one batch, got none$"),
        (
            lambda: iter(()),
            "batches must have at least one batch, got none; an iterator can only be used once: pass a list",
        ),
    ],
    ids=["list", "loader", "iterator"],
)
def test_empty_batches_are_refused(make, message):
    model, optimizer = line()
    record = Record(model, optimizer)
    with pytest.raises(ValueError, match=message):
        range_test(model, optimizer, square, make())
    record.verify()


# ---------------------------------------------------------------- repeats


def test_repeats_start_afresh_with_other_batches_and_the_curve_is_their_median():
    model, optimizer, loader = setup()
    train(model, optimizer, loader, 3)
    starts = []

    def loss_fn(model, batch):
        starts.append(model.first.weight.detach().clone())
        return loss_of(model, batch)

    record = Record(model, optimizer, [loader.generator])
    before = model.first.weight.detach().clone()
    curve = range_test(model, optimizer, loss_fn, loader, steps=10, repeats=3, end_lr=1e-3)
    record.verify()
    assert curve.all_losses.shape == (3, 10)
    assert all(torch.equal(starts[i], before) for i in (0, 10, 20))
    assert len({tuple(row) for row in curve.all_losses.tolist()}) == 3
    assert curve.losses.tolist() == np.sort(curve.all_losses, axis=0)[1].tolist()


def test_random_state_continues_from_one_repeat_to_the_next():
    model, optimizer = line()
    draws = []

    def loss_fn(model, batch):
        draws.append(torch.rand(1).item())
        return square(model, batch)

    record = Record(model, optimizer)
    range_test(model, optimizer, loss_fn, BATCHES, steps=4, repeats=2, end_lr=1e-3)
    record.verify()
    assert len(set(draws)) == len(draws) == 8


def test_repeats_are_cut_to_the_shortest():
    model, optimizer = line()
    losses = [2.0] * 20 + [2.0] * 12 + [math.nan]
    curve = range_test(model, optimizer, scripted(losses), BATCHES, steps=20, repeats=2)
    assert curve.all_losses.shape == (2, 12)
    assert curve.stop_reason == "non-finite"


def test_a_repeat_that_runs_out_of_batches_does_not_count():
    model, optimizer = line()
    curve = range_test(model, optimizer, square, iter(BATCHES * 5), steps=10, repeats=2, end_lr=0.01)
    assert curve.all_losses.shape == (1, 10)
    assert curve.stop_reason == "completed"


# ---------------------------------------------------------------- output


def test_the_callback_gets_every_point_and_nothing_is_printed(capfd):
    model, optimizer = line()
    points = []
    curve = range_test(model, optimizer, square, BATCHES, steps=12, callback=lambda *point: points.append(point))
    assert points == list(zip(range(12), curve.lrs, curve.losses, strict=True))
    assert capfd.readouterr() == ("", "")
    assert pickle.loads(pickle.dumps(curve)).to_json() == curve.to_json()


def test_the_ratio_of_groups_needs_a_first_rate_above_zero():
    model, optimizer = two_groups(first=0.0)
    with pytest.raises(ValueError, match=r'group_lrs: the lr of the first param group is 0, .* pass "same" or a list'):
        range_test(model, optimizer, square, BATCHES)
    assert len(range_test(model, optimizer, square, BATCHES, group_lrs="same", steps=15)) > 5


def test_learning_rates_may_be_integers():
    model, optimizer = line()
    curve = range_test(model, optimizer, square, BATCHES, start_lr=1, end_lr=2, steps=3)
    assert curve.lrs.tolist() == pytest.approx([1, 2**0.5, 2])


def test_the_range_test_works_without_matplotlib_and_tqdm():
    code = (
        "import sys; sys.modules.update(matplotlib=None, tqdm=None); import torch; from lrsched import range_test;"
        "m = torch.nn.Linear(2, 1); o = torch.optim.SGD(m.parameters(), lr=1);"
        "print(len(range_test(m, o, lambda m, b: m(b).square().mean(), [torch.eye(2)], end_lr=1e-3)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "100\n"


ALONE = """
import torch
from lrsched import range_test

torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batches = [(torch.randn(16, 4), torch.randint(2, (16,))) for _ in range(8)]
loss_fn = lambda model, batch: torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
print(range_test(model, optimizer, loss_fn, batches, start_lr=1e-3, steps=60).to_json())
"""


def test_two_processes_at_once_do_not_affect_each_other(tmp_path):
    command = [sys.executable, "-c", ALONE]
    one, two = (subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, text=True) for _ in range(2))
    texts = [process.communicate(timeout=300)[0] for process in (one, two)]
    assert texts[0] == texts[1]
    assert len(json.loads(texts[0])["losses"]) > 10
    assert list(tmp_path.iterdir()) == []
