import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.__main__ import main
from benchmarks.costs import race_quality
from benchmarks.costs.race_figures import FOLLOWED_NAMES, TUNED, Figure, TaskFigures, geometric, ranks, task_figures
from benchmarks.costs.race_grid import CONSTANT, COSINE, GRID, LINEAR, REDUCE, Member, failed, recipe, trained
from benchmarks.costs.race_large import BLOCKS, CONTEXT, SYMBOLS, WIDTH, Transformer, _parts
from benchmarks.costs.race_methods import DEFAULT, FREE, RACE, TENFOLD, finished, one_by_one, race_cost
from benchmarks.costs.race_problems import FACTORS, TINY, tiny_problem
from benchmarks.costs.race_report import broken, claims
from benchmarks.files import Records
from benchmarks.replications.datasets import Split

PLANE, CLASSES = "linear-plane-sgd16", "linear-classes-sgd32"


def quick(name, steps=32, factors=(0.1, 1.0)):
    return tiny_problem(name, steps, {CONSTANT: factors, COSINE: factors, LINEAR: factors})


def clock():
    return 0.0


@pytest.mark.parametrize(("members", "cost"), [(5, 1.25), (6, 41 / 32), (9, 1.375)])
def test_a_race_costs_the_steps_of_all_its_members(members, cost):
    assert race_cost(members) == pytest.approx(cost)  # n/32 + 3/32 + 2/16 + 7/8


def test_training_validation_and_test_data_share_no_sample():
    problem = quick(PLANE)
    train = {tuple(row.tolist()) for x, _ in [next(problem.batches(0)) for _ in range(200)] for row in x}
    valid, test = ({tuple(row.tolist()) for row in batches[0][0]} for batches in (problem.valid, problem.test))
    assert (len(valid), len(test)) == (240, 300)
    assert not train & valid
    assert not train & test
    assert not valid & test


def test_the_loss_of_a_constant_answer_by_hand():
    values = replace(quick(PLANE), test=[(None, torch.tensor([[1.0], [3.0]])), (None, torch.tensor([[2.0], [2.0]]))])
    assert values.constant_loss() == 0.5
    labels = replace(quick(PLANE), test=[(None, torch.tensor([0, 1])), (None, torch.tensor([[0, 1]]))])
    assert labels.constant_loss() == pytest.approx(math.log(2))


def test_a_member_has_the_rates_of_its_schedule():
    cosine = Member(COSINE, 0.2, 40)
    expected = [0.0, 0.1 * math.cos(math.pi / 80) ** 2, 0.2 * math.cos(math.pi / 40) ** 2, 0.1]
    assert [cosine.rate(k) for k in (0, 1, 2, 20)] == pytest.approx(expected)
    follower = Member(REDUCE, 0.2, 40)
    for loss in (1.0, 2.0, 2.0, 2.0):  # patience 2
        assert follower.rate(39) == 0.2
        follower.look(loss)
    assert follower.rate(39) == 0.1


def test_members_train_side_by_side_as_one_by_one():
    problem = quick("mlp-friedman1-adam32")
    members = [(COSINE, 1.0), (LINEAR, 10.0), (CONSTANT, 0.1)]
    together, alone = trained(problem, 1, members, clock), one_by_one(problem, 1, members, clock)
    assert together.keys() == alone.keys()
    for name in ("valid", "test", "untrained"):
        assert together[name] == pytest.approx(alone[name], rel=1e-4)


def test_a_run_has_failed_if_its_last_losses_exceed_the_untrained_one():
    assert failed([1.0, 3.1], 2.0)
    assert failed([1.0, math.nan], 2.0)
    assert not failed([1.0, 3.0], 2.0)


class Fallback:
    """Stands for a race whose winner fails: its rate is 1e6, and after a retreat 0."""

    def __init__(self, model):
        self.optimizer = torch.optim.SGD(model.parameters(), lr=1e6)
        self.position, self.rates = 4, [0.0]
        self.batches = quick(PLANE).batches(0)

    def retreat(self):
        if not self.rates:
            raise RuntimeError("no rate is left")
        self.optimizer.param_groups[0].update(lr=self.rates[-1], initial_lr=self.rates.pop())
        self.position = 2
        with torch.no_grad():
            for parameter in self.optimizer.param_groups[0]["params"]:
                parameter.zero_()


def test_a_failing_winner_retreats():
    problem = quick(PLANE, steps=64)
    model = nn.Linear(20, 1)
    start = Fallback(model)
    for group in start.optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    taken, tail, retreats = finished(problem, model, start, recipe(64), 64, 1000.0)
    assert retreats == 1
    assert taken == 20 + 62  # it looks every 20 steps, and starts again from 2
    assert not failed(tail, 1000.0)


def grid_record(valid, test):
    members = [(shape, factor) for shape in (CONSTANT, COSINE) for factor in FACTORS[:2]]
    return {
        "members": members,
        "valid": valid,
        "test": test,
        "diverged": [False] * 4,
        "untrained": 2.0,
        "seconds": 4.0,
    }


def test_validation_data_choose_the_rate_over_all_seeds():
    found = task_figures(
        [
            [grid_record([0.1, 0.3, 0.2, 0.1], [1.0, 2.0, 3.0, 4.0]), {"runs": {}}],
            [grid_record([None, 0.3, 0.2, 0.4], [5.0, 6.0, None, 8.0]), {"runs": {}}],
        ],
        own=0.1,
        held_out=True,
        constant=6.0,
    ).found
    assert found[f"tuned: {CONSTANT}"] == Figure(4.0, 0, 1, 2, 2.0, FACTORS[1:2])  # (2 + 6) / 2, and 6 is lost
    assert found[TUNED] == Figure(11.5, 0, 1, 2, 2.0, FACTORS[:1])  # (3 + 20) / 2: at most 10 × the untrained loss
    assert not found.keys() & FOLLOWED_NAMES.keys()


def figures(untrained=1.0, **losses):
    names = {"race": RACE, "free": RACE + FREE, "tenfold": TENFOLD, "tuned": TUNED, "default": DEFAULT}
    found = {names[name]: Figure(loss, 0, 0, 1.25, 0.0, (1.0, 1.0)) for name, loss in losses.items()}
    return TaskFigures(untrained, held_out=True, found=found)


def test_small_differences_do_not_count():
    task = figures(race=0.02, tenfold=0.0101, tuned=0.01)
    assert task.ratio(RACE) == 2.0
    assert task.ratio(RACE, counted=True) == 2.0
    assert task.ratio(TENFOLD, counted=True) == 1.0


def test_means_and_ranks_by_hand():
    tasks = {"a": figures(race=1.0, tuned=2.0), "b": figures(race=8.0, tuned=2.0), "c": figures(race=3.0, tuned=3.0)}
    assert geometric(task.ratio(RACE) for task in tasks.values()).value == pytest.approx(2 ** (1 / 3))
    assert ranks(tasks, [RACE, TUNED]) == {RACE: pytest.approx(1.5), TUNED: pytest.approx(1.5)}


def test_claims_are_judged():
    losses = {"tenfold": 2.0, "tuned": 1.0, "free": 1.0, "default": 3.0}
    tasks = {name: figures(race=loss, **losses) for name, loss in {"a": 1.0, "b": 1.0, "c": 1.6}.items()}
    mean, worst, cost, lost, recipe = claims(tasks)
    assert mean.startswith("MISSED: race has at most 1.08 ×")
    assert "1.170 (1.00-1.60, n = 3 tasks)" in mean
    assert worst == "MISSED: at worst 1.5 ×: 1.60 (c)."
    assert cost.startswith("Met")
    assert lost == "Met: no race ends in a diverged run: 0 of 12; 0 are lost."
    assert "1.170 against 2.000; at worst 1.60 against 2.00 (" in recipe
    assert broken(tasks) == ["c (1.60)"]


def test_the_command_resumes(capsys, monkeypatch, tmp_path):
    arguments = ["race_quality", "--tasks", f"{PLANE},{CLASSES}", "--seeds", "1", "--steps", "64"]
    arguments += ["--out", str(tmp_path)]
    monkeypatch.setattr(race_quality, "GRID", dict.fromkeys(GRID, FACTORS[3:6]))
    assert main(arguments) == 0
    assert "Met: a race and its training take the steps of at most 1.3 runs" in capsys.readouterr().out
    table = (tmp_path / "table.md").read_text()
    for name in (RACE, TUNED, PLANE, CLASSES):
        assert f"| {name} |" in table
    assert (tmp_path / "info.json").is_file()
    lines = (tmp_path / "runs.jsonl").read_text()

    def train(*_):
        raise AssertionError("a finished run is trained again")

    monkeypatch.setattr(race_quality, "trained", train)
    monkeypatch.setattr(race_quality, "METHODS", dict.fromkeys(race_quality.METHODS, train))
    assert main(arguments) == 0
    assert (tmp_path / "runs.jsonl").read_text() == lines
    assert (tmp_path / "table.md").read_text() == table


def test_what_has_been_trained_is_shown(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(race_quality, "GRID", dict.fromkeys(GRID, FACTORS[3:6]))
    arguments = ["race_quality", "--tasks", f"{PLANE},{CLASSES}", "--seeds", "1", "--steps", "64"]
    arguments += ["--out", str(tmp_path)]
    assert main([*arguments, "--show"]) == 1
    assert "no task has its grid of learning rates for 1 seeds yet" in capsys.readouterr().err
    options = race_quality.race_parser().parse_args(arguments[1:])
    records = Records(tmp_path, ("task", "seed", "part"), race_quality.configuration(options))
    race_quality.grids(tiny_problem(PLANE, 64, race_quality.GRID), range(1), records)
    assert main([*arguments, "--show"]) == 0
    table = (tmp_path / "table.md").read_text()
    assert f"| {TUNED} |" in table
    assert f"| {RACE} |" not in table
    assert CLASSES not in table


def test_a_large_task_has_a_smaller_grid_on_a_cpu(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(race_quality, "LARGE", {"text": lambda place: tiny_problem(PLANE, 64, {})})
    arguments = ["race_quality", "--size", "large", "--seeds", "1", "--steps", "64", "--out", str(tmp_path)]
    assert main(arguments) == 0
    title = (tmp_path / "table.md").read_text().splitlines()[0]
    assert title.startswith("# 1 task, 64 steps (reduced from cifar10 14000, ")
    printed = capsys.readouterr().out
    assert f"{PLANE}, seed 0: {COSINE} × 31.6" in printed
    assert FACTORS[3:8] == race_quality.FEW


@pytest.mark.parametrize(("size", "known"), [("tiny", next(iter(TINY))), ("large", "cifar10")])
def test_an_unknown_task_is_refused(size, known, capsys, tmp_path):
    assert main(["race_quality", "--size", size, "--tasks", "chess", "--out", str(tmp_path)]) == 1
    assert f"unknown task 'chess'; choose from {known}" in capsys.readouterr().err


def test_runs_that_are_too_short_for_a_race_are_refused(capsys):
    assert main(["race_quality", "--steps", "63"]) == 1
    assert "--steps must be at least 64, for the rungs of a race, got 63" in capsys.readouterr().err


def test_the_transformer_does_not_see_what_follows():
    torch.manual_seed(0)
    model = Transformer()
    assert sum(parameter.numel() for parameter in model.parameters()) > 1_000_000
    assert (WIDTH, BLOCKS) == (128, 6)
    text = torch.randint(SYMBOLS, (1, CONTEXT))
    other = text.clone()
    other[0, 100:] = (other[0, 100:] + 1) % SYMBOLS
    with torch.no_grad():
        same, changed = model(text), model(other)
    assert torch.allclose(same[0, :100], changed[0, :100], atol=1e-5)
    assert not torch.allclose(same[0, 100:], changed[0, 100:], atol=1e-5)


def test_images_are_held_out_evenly_from_files_sorted_by_class():
    labels = torch.arange(5).repeat_interleave(20)
    images = torch.arange(100.0)[:, None]
    train, valid = _parts(Split(images, labels), 10, lambda pictures: pictures, torch.device("cpu"))
    assert valid.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert train.labels.bincount().tolist() == [18] * 5
    assert sorted([*train.images.flatten().tolist(), *valid.images.flatten().tolist()]) == images.flatten().tolist()
