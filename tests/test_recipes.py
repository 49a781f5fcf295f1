"""docs/recipes.md: every block runs after the first one, and gives the rates that its heading promises."""

import math
import re
from pathlib import Path

import pytest
from PIL import Image

PAGE = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
SETUP, *BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(call):
    """Run the one block with this call after the setup; return its names, and the groups at each step."""
    (block,) = (block for block in BLOCKS if call in block)
    names, seen = {"__name__": "__main__"}, []
    exec(SETUP, names)
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
    assert len(BLOCKS) == len(re.findall(r"^## ", PAGE, re.MULTILINE)) == 8
    assert all(len(block.strip().splitlines()) <= 8 for block in BLOCKS)


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


def test_a_look(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, _ = run(".plot(")
    assert [text.get_text().replace("\n", " ") for text in names["ax"].texts][1] == "to a tenth"
    with Image.open("schedules.png") as image:
        assert image.size == (1080, 600)
