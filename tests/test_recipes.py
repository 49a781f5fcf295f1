"""docs/recipes.md: every block runs after the first one, and gives the rates that its heading promises."""

import math
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

import lrsched

PAGE = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
SETUP, *BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(call, **more):
    """Run the one block with this call after the setup and `more`; return its names, and the groups at each step."""
    (block,) = (block for block in BLOCKS if call in block)
    names, seen = {"__name__": "__main__"}, []
    torch.manual_seed(0)
    exec(SETUP, names)
    names |= more
    make = names["make_optimizer"]

    def recorded():
        optimizer = make()
        optimizer.register_step_pre_hook(lambda optimizer, *_: seen.append(dict(optimizer.param_groups[0])))
        return optimizer

    names["make_optimizer"] = recorded
    exec(block, names)
    return names, seen


def rates(call):
    return [group["lr"] for group in run(call)[1]]


def test_each_block_is_short_and_there_is_one_for_each_heading():
    assert len(BLOCKS) == len(re.findall(r"^## ", PAGE, re.MULTILINE)) == 14
    lengths = [len(block.strip().splitlines()) for block in BLOCKS]
    assert sum(length > 20 for length in lengths) == 1  # the recording of a CUDA graph
    assert max(lengths) <= 40


def test_every_recipe_is_in_the_list_at_the_top():
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    listed = re.findall(r"\]\(#([^)]+)\)", PAGE.split("```")[0])
    assert sorted(listed) == sorted(re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings)


def test_cosine_with_warm_up():
    found = rates("Warmup(warmup).then(Cosine(steps - warmup))")
    assert len(found) == 200
    assert found[:11] == pytest.approx([k * 1e-4 for k in range(11)])
    assert found[105] == pytest.approx(5e-4)
    assert found[199] == pytest.approx(1e-3 * (1 + math.cos(math.pi * 189 / 190)) / 2)


def test_warmup_stable_decay():
    found = rates("WarmupStableDecay(")
    assert found[5] == pytest.approx(5e-4)
    assert found[10:161] == [1e-3] * 151
    assert found[170] == pytest.approx(1e-3 * (1 - math.sqrt(10 / 40)))


def test_one_cycle():
    _, groups = run("OneCycleLR(")
    found = [group["lr"] for group in groups]
    assert (found[0], max(found)) == pytest.approx((4e-4, 1e-2))
    assert found.index(max(found)) == 59
    assert found[199] == pytest.approx(4e-8)
    assert [groups[k]["betas"][0] for k in (0, 59, 199)] == pytest.approx([0.95, 0.85, 0.95])


def test_growing_restarts():
    assert [k for k, rate in enumerate(rates("CosineRestarts(")) if rate == 1e-3] == [0, 40, 120]


def test_weight_decay():
    _, groups = run("ParamSchedule(")
    found = [group["weight_decay"] for group in groups]
    expected = [0.4 + 0.5 * (0.04 - 0.4) * (1 + math.cos(math.pi * k / 200)) for k in range(200)]  # DINO's formula
    assert found == pytest.approx(expected)
    assert groups[100]["lr"] == pytest.approx(5e-4)


def test_a_picture():
    found = rates("ImageLR(")
    assert (found[0], min(found), max(found)) == pytest.approx((1e-4, 1e-4, 1e-2))


def test_from_a_file():
    found = rates("by_name(")
    assert len(found) == 400
    assert found[105] == pytest.approx(1e-3 * 95 / 190)
    first, second = (200 + 10 + math.ceil(i * 190 / 3) for i in (1, 2))
    assert found[first - 1] < 1e-6 < 9e-4 < found[first]
    assert found[second - 1] < 1e-6 < 9e-4 < found[second]


def losses(*values):
    """Return a stand-in for `validate` that gives these losses."""
    given = iter(values)
    return lambda: next(given)


def test_warm_up_and_plateau():
    names, groups = run("Sawtooth(), warmup=batches)", validate=losses(1.0, 0.5, 0.6, 0.4, 0.3))
    found = [group["lr"] for group in groups]
    assert found[:40] == pytest.approx([1e-3 * (1 + 39 * k / 40) / 40 for k in range(40)])
    assert found[40:120] == [1e-3] * 80
    assert found[120:] == pytest.approx([0.9e-3] * 80)
    assert [event.epoch for event in names["scheduler"].events] == [3]


def test_an_averaged_metric_hides_a_single_rise():
    noisy = 1.0, 0.9, 0.8, 0.81, 0.7
    names, _ = run("Smoothed(", validate=losses(*noisy))
    assert names["scheduler"].position == 0
    assert [event.epoch for event in lrsched.preview(lrsched.Geometric(0.5), "either", noisy)] == [4]


def test_the_best_weights_return_at_an_advance():
    weight, seen = torch.zeros(1), []
    model = torch.nn.ParameterDict({"weight": weight})
    given = losses(1.0, 0.5, 0.7, 0.4, 0.3)

    def validate():
        seen.append(model["weight"].item())
        return given()

    def train_epoch(optimizer):
        model["weight"].data += 1

    names, _ = run("on_advance=", validate=validate, model=model, train_epoch=train_epoch)
    assert [event.epoch for event in names["scheduler"].events] == [3]
    assert seen == [1, 2, 3, 3, 4]  # after the third epoch back to 2, the weight of the best loss


def test_stopped_and_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = rates('"checkpoint.pt"')
    assert found == pytest.approx([1e-3 * (1 + math.cos(math.pi * k / 200)) / 2 for k in range(80)])


def test_several_processes():
    names, _ = run(
        'sync="mean"', validate=losses(1.0, 0.5, 0.6, 0.4, 0.3)
    )  # one process; more in tests/test_processes.py
    assert names["scheduler"].sync == "mean"
    assert names["scheduler"].position == 1


def test_cuda_graphs():
    names, _ = run("def recorded(step)", validate=losses(1.0, 0.5, 0.6, 0.4, 0.3))
    assert names["warmup"].last_epoch == 200
    assert names["scheduler"].position == 1
    assert names["optimizer"].param_groups[0]["lr"] is names["lr"]
    assert names["lr"].item() == pytest.approx(0.9e-3)


def test_a_look(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, _ = run(".plot(")
    assert [text.get_text().replace("\n", " ") for text in names["ax"].texts][1] == "to a tenth"
    with Image.open("schedules.png") as image:
        assert image.size == (1080, 600)
