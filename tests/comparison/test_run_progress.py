"""compare(progress=True): a bar or lines, over the epochs of all runs."""

import re
import sys

import pytest

from lrsched import Run, Setting, compare
from lrsched.comparison._run_progress import RunProgress
from tests.comparison.helpers import CALL, DATA, OPTIONS, hidden, mse, sgd, worst


def run(setting, seed, *losses, finished=False, **fields):
    return Run(setting, seed, val_loss=list(losses), finished=finished, **fields)


def test_epochs_and_runs_are_counted_with_the_last_loss_and_metric():
    shown, seen = [], []
    progress = RunProgress(lambda text, done: shown.append((done, text)), 3, 2, seen.append)
    for one in (
        run("a", 0, 0.5, metrics={"accuracy": [0.25], "other": [1.0]}),
        run("b\nc", 1, None),
        run("a", 0, 0.5, 0.4),
        run("a", 0, 0.5, 0.4, finished=True),
        run("b\nc", 1, None, finished=True),  # stopped early
        run("d", 2, 0.3, 0.2, finished=True),  # read from a file
    ):
        progress(one)
    assert shown == [
        (1, "0/3 runs, a seed 0, val_loss 0.5, accuracy 0.25"),
        (2, "0/3 runs, b c seed 1, val_loss not finite"),
        (3, "0/3 runs, a seed 0, val_loss 0.4"),
        (3, "1/3 runs, a seed 0, val_loss 0.4"),
        (4, "2/3 runs, b c seed 1, val_loss not finite"),
        (6, "3/3 runs, d seed 2, val_loss 0.2"),
    ]
    assert len(seen) == 6


@pytest.mark.parametrize("vectorize", [False, True])
def test_a_bar_is_filled_and_closed(bars, vectorize):
    report = compare(*CALL, **OPTIONS, vectorize=vectorize, metric_fn=worst, progress=True)
    (bar,) = bars
    assert (bar.desc, bar.total, bar.n, bar.open) == ("compare, epochs", 8, 8, False)
    last = report.runs[-1]
    assert bar.texts[-1] == f"4/4 runs, falls seed 1, val_loss {last.val_loss[-1]:.4g}, worst {last.metric[-1]:.4g}"


@pytest.mark.usefixtures("bars")
def test_the_runs_are_the_same():
    quiet, shown = (compare(*CALL, **OPTIONS, progress=progress).runs for progress in (False, True))
    assert [(each.val_loss, each.lrs) for each in quiet] == [(each.val_loss, each.lrs) for each in shown]


def test_runs_that_a_file_holds_count_at_once(bars, tmp_path):
    out = tmp_path / "runs.jsonl"
    compare(*CALL, **{**OPTIONS, "seeds": 1}, out=out)
    compare(*CALL, **OPTIONS, out=out, progress=True)
    assert bars[0].texts[1].startswith("2/4 runs, falls seed 0")
    assert bars[0].n == 8


@pytest.mark.parametrize("vectorize", [False, True])
def test_a_run_that_is_stopped_fills_its_part_of_the_bar(bars, vectorize):
    compare(*CALL, **{**OPTIONS, "epochs": 5}, stop=lambda losses: True, vectorize=vectorize, progress=True)
    assert bars[0].n == bars[0].total == 20


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_bar_is_closed(bars, error):
    def interrupt(run):
        if len(run.val_loss) == 2:
            raise error

    with pytest.raises(error):
        compare(*CALL, **OPTIONS, callback=interrupt, progress=True)
    (bar,) = bars
    assert 0 < bar.n < bar.total
    assert not bar.open


def test_runs_that_start_again_one_after_another_do_not_move_the_bar_back(bars):
    class Changes:  # a scheduler that changes the momentum after the first epoch
        def __init__(self, optimizer):
            self.optimizer = optimizer

        def step(self):
            self.optimizer.param_groups[0]["momentum"] = 0.5

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    settings = {"fixed": Setting(sgd(momentum=0.9)), "changes": Setting(sgd(momentum=0.9), Changes)}
    report = compare(settings, hidden, mse, DATA, DATA, **OPTIONS, vectorize=True, progress=True)
    assert {each.method for each in report.runs} == {"side by side", "one after another"}
    assert bars[0].n == bars[0].total


def test_without_tqdm_there_are_lines(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    compare(*CALL, **{**OPTIONS, "epochs": 5}, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    lines = [
        re.fullmatch(r"compare, epochs: (\d+)/20, \d/4 runs, .* seed \d, val_loss 0\.\d+", line)
        for line in err.splitlines()
    ]
    assert [int(line[1]) for line in lines] == [*range(2, 21, 2)]


def test_nothing_is_shown_unless_asked_for(capfd):
    compare(*CALL, **OPTIONS)
    assert capfd.readouterr() == ("", "")


def test_progress_must_be_a_flag():
    with pytest.raises(TypeError, match=r"progress must be True or False, got 'yes' \(str\)"):
        compare(*CALL, **OPTIONS, progress="yes")
