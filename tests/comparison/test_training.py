"""Planned runs are trained, reported and filed; errors name the run."""

import pytest

from lrsched import Setting, compare
from lrsched.comparison import _training
from lrsched.comparison._checkpoint import Checkpoint
from lrsched.comparison._plan import Plan
from lrsched.comparison._profile import examine
from lrsched.comparison._runs import RunFile
from lrsched.comparison._training import checkpoint_path, open_run_file, together, train_missing
from tests.comparison.helpers import ARGUMENTS, DATA, FIXED, OPTIONS, TWO_SETTINGS, hidden, mse, sgd, task


def test_callback_gets_every_epoch_and_every_finished_run(tmp_path):
    def heard(seeds):
        calls = []
        options = {**OPTIONS, "seeds": seeds, "vectorize": False, "out": tmp_path / "runs.jsonl"}
        options["callback"] = lambda run: calls.append((run.seed, len(run.lrs), run.finished))
        compare(FIXED, hidden, mse, DATA, DATA, **options)
        return calls

    assert heard(1) == [(0, 1, False), (0, 2, False), (0, 2, True)]
    assert heard(2) == [(0, 2, True), (1, 1, False), (1, 2, False), (1, 2, True)]


def test_runs_are_trained_seed_by_seed_so_that_an_interruption_leaves_pairs():
    trained = []

    def callback(run):
        if run.finished:
            trained.append((run.setting, run.seed))

    options = {**OPTIONS, "seeds": [7, 1], "vectorize": False, "callback": callback}
    report = compare(**ARGUMENTS, **options)
    assert trained == [("fixed", 7), ("falls", 7), ("fixed", 1), ("falls", 1)]
    assert [(run.setting, run.seed) for run in report.runs] == sorted(
        trained, key=lambda pair: (pair[0] != "fixed", pair[1])
    )


def once():
    """Return a function that returns batches at its first call only."""
    answers = [[DATA], None]
    return lambda: answers.pop(0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"train": once()}, TypeError, "a train function must return .* got NoneType"),
        ({"valid": once()}, TypeError, "a valid function must return .* got NoneType"),
        ({"final_fn": lambda model: 3}, TypeError, "final_fn must return a dict, got int"),
    ],
    ids=["train", "valid", "final"],
)
def test_an_error_in_training_names_the_run(change, error, message):
    with pytest.raises(error, match=message) as found:
        compare(**{**ARGUMENTS, **OPTIONS, "vectorize": False, **change})
    assert getattr(found.value, "__notes__", ["while training fixed seed 0"]) == ["while training fixed seed 0"]


def test_an_error_in_training_side_by_side_names_all_its_runs():
    def stop(losses):
        raise RuntimeError("stop fails")

    with pytest.raises(RuntimeError, match="stop fails") as found:
        compare(**ARGUMENTS, **{**OPTIONS, "seeds": 1}, stop=stop, vectorize=True)
    note = "while training fixed seed 0, falls seed 0"
    assert getattr(found.value, "__notes__", [note]) == [note]


def test_only_missing_runs_are_trained(tmp_path):
    one = task()
    profiles = examine(TWO_SETTINGS, one, hidden(), False)
    pairs = [(name, seed) for seed in (0, 1) for name in TWO_SETTINGS]
    configs = {name: {"of": name} for name in TWO_SETTINGS}

    def train(pairs):
        heard = []
        file = open_run_file(tmp_path / "runs.jsonl", configs)
        train_missing(Plan(one, profiles, pairs), file, Checkpoint(None), lambda run: heard.append(run.finished))
        return heard, file

    heard, _ = train(pairs[:1])
    assert heard == [False, False, True]
    heard, file = train(pairs)
    assert heard == [True] + [False, False, True] * 3
    assert [*file.runs] == pairs
    assert RunFile(file.path, configs).runs == file.runs


@pytest.mark.parametrize(
    ("rank", "name"), [(0, "runs.jsonl.checkpoint"), (1, "runs.jsonl.checkpoint1"), (10, "runs.jsonl.checkpoint10")]
)
def test_each_process_has_its_own_checkpoint(tmp_path, monkeypatch, rank, name):
    monkeypatch.setattr(_training, "rank", lambda: rank)
    assert checkpoint_path(tmp_path / "runs.jsonl") == tmp_path / name
    assert checkpoint_path(tmp_path / "elsewhere" / "runs.jsonl") is None
    assert checkpoint_path(None) is None


def test_an_oserror_of_another_process_is_raised_here_too(monkeypatch):
    assert together(lambda: 5) == 5
    monkeypatch.setattr(_training, "gathered", lambda value: [value, OSError("disk full")])
    with pytest.raises(OSError, match="disk full"):
        together(lambda: 5)


def test_a_setting_that_cannot_go_on_side_by_side_starts_again_alone():
    class Later:
        """A scheduler that changes the momentum after its second epoch."""

        def __init__(self, optimizer):
            self.optimizer, self.calls = optimizer, 0

        def step(self):
            self.calls += 1
            if self.calls == 2:
                self.optimizer.param_groups[0]["momentum"] = 0.5

        def state_dict(self):
            return {}

    settings = {"later": Setting(sgd(momentum=0.9), Later), "fixed": Setting(sgd(momentum=0.9))}
    heard = []
    options = {
        "epochs": 3,
        "batch_size": 16,
        "seeds": 1,
        "callback": lambda run: heard.append((run.setting, run.method)),
    }
    report = compare(settings, hidden, mse, DATA, DATA, **options)
    assert [(run.method, run.reason) for run in report.runs] == [
        ("one after another", "its scheduler changes momentum as well as lr"),
        ("one after another", "no other run can share its ensemble"),
    ]
    assert heard[:2] == [("later", "side by side"), ("fixed", "side by side")]
    assert [len(run.val_loss) for run in report.runs] == [3, 3]
