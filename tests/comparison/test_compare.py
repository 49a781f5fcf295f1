"""compare() from end to end."""

import json

import pytest
import torch
from torch import nn

from lrsched import Cosine, Inverse, PlateauSequence, Report, SequenceLR, Setting, compare
from lrsched.comparison._runs import sole_use
from tests.comparison.helpers import CALL, DATA, FIXED, OPTIONS, TWO_SETTINGS, X, hidden, linear, mse, sgd, worst


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_report_has_every_setting_with_every_seed():
    report = compare(*CALL, **OPTIONS, metric_fn=worst)
    assert isinstance(report, Report)
    assert [(run.setting, run.seed) for run in report.runs] == [("fixed", 0), ("fixed", 1), ("falls", 0), ("falls", 1)]
    for run in report.runs:
        assert [*run.metrics] == ["worst", "mean"]
        assert run.lrs == ([[0.1], [0.1]] if run.setting == "fixed" else [[0.1], [pytest.approx(0.09)]])
        assert all(len(series) == 2 for series in (run.train_loss, run.val_loss, run.metric))
        assert run.finished
        assert run.seconds > 0
    assert "falls" in report.table("fixed")


def test_settings_of_a_seed_share_weights_and_batches():
    report = compare(*CALL, **OPTIONS)
    fixed, other, falls, _ = report.runs
    assert (fixed.train_loss[0], fixed.val_loss[0]) == (falls.train_loss[0], falls.val_loss[0])  # the lr is still equal
    assert fixed.val_loss[1] != falls.val_loss[1]
    assert fixed.val_loss[0] != other.val_loss[0]


@pytest.mark.parametrize("vectorize", [False, True])
def test_every_rate_of_a_scheduler_that_steps_by_the_batch_is_recorded_and_read_again(tmp_path, vectorize):
    settings = {"cosine": Setting(sgd(), lambda opt: SequenceLR(opt, Cosine(5)), per="batch"), **FIXED}
    options = {**OPTIONS, "epochs": 3, "vectorize": vectorize, "out": tmp_path / "runs.jsonl"}
    report = compare(settings, hidden, mse, DATA, DATA, **options)
    rates = [0.1 * Cosine(5)(k) for k in range(6)]  # 3 batches an epoch; after step 5, the rate does not change
    for run in report.runs[:2]:
        assert run.batch_lrs == [rates[:3], rates[3:], rates[5:]]
        assert [first for (first,) in run.lrs] == [first for first, *_ in run.batch_lrs]
    assert [run.batch_lrs for run in report.runs[2:]] == [[], []]
    assert compare(settings, hidden, mse, DATA, DATA, **options).runs == report.runs


def test_seeds_may_be_a_list():
    report = compare(FIXED, hidden, mse, DATA, DATA, **{**OPTIONS, "seeds": [7, 1]})
    assert [run.seed for run in report.runs] == [1, 7]
    second = compare(FIXED, hidden, mse, DATA, DATA, **OPTIONS).runs[1]
    assert report.runs[0].val_loss == pytest.approx(second.val_loss, rel=1e-5)


def test_batches_may_come_from_functions():
    def train():
        for rows in torch.randperm(40).split(8):
            yield {"x": X[rows], "y": DATA[1][rows]}

    def valid():
        return [{"x": X[:30], "y": DATA[1][:30]}, {"x": X[30:], "y": DATA[1][30:]}]

    def loss_fn(model, batch):
        return nn.functional.mse_loss(model(batch["x"]), batch["y"])

    def rows(model, batch):
        return len(batch["x"])

    call = TWO_SETTINGS, hidden, loss_fn, train, valid
    first, second = (compare(*call, **OPTIONS, metric_fn=rows).runs for _ in range(2))
    assert [run.val_loss for run in first] == [run.val_loss for run in second]
    assert first[0].train_loss[0] == first[2].train_loss[0]
    assert first[0].metric == [25.0, 25.0]  # (30·30 + 10·10)/40


def test_the_users_random_state_is_restored():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    compare(FIXED, hidden, mse, DATA, DATA, **OPTIONS)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("vectorize", [False, True])
def test_losses_that_are_not_finite_are_recorded_as_none_and_do_not_end_a_run(tmp_path, vectorize):
    settings = {"mad": Setting(sgd(1e30), lambda opt: PlateauSequence(opt, Inverse(), on="oscillate"))}
    options = {**OPTIONS, "vectorize": vectorize, "out": tmp_path / "a"}
    (run, _) = compare(settings, linear, mse, DATA, DATA, **options).runs
    assert run.val_loss == [None, None]
    assert run.lrs == [[1e30]] * 2


def test_stop_ends_a_run():
    def stop(losses):
        return len(losses) == 2

    run = compare(FIXED, hidden, mse, DATA, DATA, epochs=5, batch_size=16, seeds=1, stop=stop).runs[0]
    assert run.stopped == 2
    assert len(run.val_loss) == 2


def test_tensors_with_one_row_and_a_stride_are_data():
    one = X[::40], DATA[1][:, 0][::40]
    assert one[1].stride() == (40,)
    assert compare(FIXED, lambda: nn.Linear(3, 1), lambda m, b: m(b[0]).sum(), one, one, **OPTIONS).runs


# ---------------------------------------------------------------- out


def test_finished_runs_are_read_instead_of_trained(tmp_path):
    out = tmp_path / "new" / "runs.jsonl"
    first = compare(*CALL, **OPTIONS, out=out, metric_fn=worst, note="here")
    before = out.read_bytes()
    trained = []
    second = compare(*CALL, **OPTIONS, out=out, metric_fn=worst, callback=lambda run: trained.append(not run.finished))
    assert first.runs == second.runs
    assert out.read_bytes() == before
    assert len(trained) == 4
    assert not any(trained)
    assert [run["note"] for run in lines(out)] == ["here"] * 4


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 3},
        {"batch_size": 8},
        {"key": "another"},
        {"metric_fn": worst},
        {"stop": lambda losses: False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_runs_of_another_configuration_are_kept_apart(tmp_path, change):
    options = {**OPTIONS, "out": tmp_path / "runs.jsonl", "seeds": 1}
    first = compare(*CALL, **options)
    compare(*CALL, **{**options, **change})
    assert len(lines(options["out"])) == 4
    assert compare(*CALL, **options).runs == first.runs


@pytest.mark.parametrize(
    "call",
    [
        ({"fixed": Setting(sgd(0.2))}, hidden, mse, DATA, DATA),
        (FIXED, linear, mse, DATA, DATA),
        (FIXED, hidden, mse, (X + 1, DATA[1]), DATA),
        (FIXED, hidden, mse, DATA, (X + 1, DATA[1])),
        (FIXED, hidden, lambda model, batch: mse(model, batch), DATA, DATA),
    ],
    ids=["setting", "model", "train", "valid", "loss"],
)
def test_runs_of_another_task_are_kept_apart(tmp_path, call):
    options = {**OPTIONS, "out": tmp_path / "runs.jsonl", "seeds": 1}
    compare(FIXED, hidden, mse, DATA, DATA, **options)
    compare(*call, **options)
    assert len(lines(options["out"])) == 2


def test_with_more_seeds_and_settings_only_the_new_runs_are_trained(tmp_path):
    options = {**OPTIONS, "out": tmp_path / "runs.jsonl"}
    compare(FIXED, hidden, mse, DATA, DATA, **{**options, "seeds": 1})
    compare(*CALL, **options)
    assert [(run["setting"], run["seed"]) for run in lines(options["out"])].count(("fixed", 0)) == 1
    assert len(lines(options["out"])) == 4


def test_lazy_modules_are_described_as_they_are_made(tmp_path):
    options = {**OPTIONS, "out": tmp_path / "runs.jsonl", "seeds": 1}
    for _ in range(2):
        compare(FIXED, lambda: nn.LazyLinear(1), mse, DATA, DATA, **options)
    (run,) = lines(options["out"])
    assert run["config"]["model"] == "LazyLinear(in_features=0, out_features=1, bias=True)"


def test_a_file_in_use_is_refused(tmp_path):
    out = tmp_path / "runs.jsonl"
    with sole_use(out), pytest.raises(OSError, match=r"out, .*runs.jsonl, is in use by another process"):
        compare(FIXED, hidden, mse, DATA, DATA, **OPTIONS, out=out)
    assert len(compare(FIXED, hidden, mse, DATA, DATA, **OPTIONS, out=out).runs) == 2
