import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from lrsched import GeometricLR, Inverse, PlateauSequence, Report, Setting, compare
from lrsched.comparison._runs import sole_use
from tests.comparison.helpers import DATA, FIXED, X, hidden, linear, mse, sgd, worst

SETTINGS = {"fixed": Setting(sgd()), "falls": Setting(sgd(), GeometricLR)}
OPTIONS = {"epochs": 2, "batch_size": 16, "seeds": 2}
ONE = hidden()
CALL = SETTINGS, hidden, mse, DATA, DATA


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
    assert (fixed.train_loss[0], fixed.val_loss[0]) == (falls.train_loss[0], falls.val_loss[0])  # the same lr as yet
    assert fixed.val_loss[1] != falls.val_loss[1]
    assert fixed.val_loss[0] != other.val_loss[0]


def test_seeds_may_be_a_list():
    report = compare(FIXED, hidden, mse, DATA, DATA, **{**OPTIONS, "seeds": [7, 1]})
    assert [run.seed for run in report.runs] == [1, 7]
    second = compare(FIXED, hidden, mse, DATA, DATA, **OPTIONS).runs[1]
    assert report.runs[0].val_loss == pytest.approx(second.val_loss, rel=1e-5)


def test_functions_give_the_batches():
    def train():
        for rows in torch.randperm(40).split(8):
            yield {"x": X[rows], "y": DATA[1][rows]}

    def valid():
        return [{"x": X[:30], "y": DATA[1][:30]}, {"x": X[30:], "y": DATA[1][30:]}]

    def loss_fn(model, batch):
        return nn.functional.mse_loss(model(batch["x"]), batch["y"])

    def rows(model, batch):
        return len(batch["x"])

    first, second = (compare(SETTINGS, hidden, loss_fn, train, valid, **OPTIONS, metric_fn=rows).runs for _ in range(2))
    assert [run.val_loss for run in first] == [run.val_loss for run in second]
    assert first[0].train_loss[0] == first[2].train_loss[0]
    assert first[0].metric == [25.0, 25.0]  # (30·30 + 10·10)/40


def test_the_users_random_state_stays():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    compare(FIXED, hidden, mse, DATA, DATA, **OPTIONS)
    assert torch.equal(torch.rand(1), expected)


def test_a_metric_named_loss_is_the_validation_loss():
    calls = []

    def loss_fn(model, batch):
        calls.append(model.training)
        return mse(model, batch)

    def metric_fn(model, batch):
        return {"loss": torch.tensor(0.25), "rows": len(batch[0])}

    (run, *_) = compare(FIXED, hidden, loss_fn, DATA, DATA, **OPTIONS, metric_fn=metric_fn, vectorize=False).runs
    assert run.val_loss == [0.25, 0.25]
    assert [*run.metrics] == ["rows"]
    assert set(calls) == {True}


def test_losses_that_are_not_finite_are_noted_as_none_and_the_run_goes_on(tmp_path):
    settings = {"mad": Setting(sgd(1e30), lambda opt: PlateauSequence(opt, Inverse(), on="oscillate"))}
    for vectorize in (False, True):
        (run, _) = compare(settings, linear, mse, DATA, DATA, **OPTIONS, vectorize=vectorize, out=tmp_path / "a").runs
        assert run.val_loss == [None, None]
        assert run.lrs == [[1e30]] * 2


def test_stop_ends_a_run():
    seen = []

    def stop(losses):
        seen.append(losses)
        return len(losses) == 2

    run = compare(FIXED, hidden, mse, DATA, DATA, epochs=5, batch_size=16, seeds=1, stop=stop).runs[0]
    assert run.stopped == 2
    assert seen == [run.val_loss[:1], run.val_loss]


def test_final_fn_sees_the_trained_model_in_eval_mode():
    def final_fn(model):
        assert not model.training
        return {"loss": mse(model, DATA).item()}

    for vectorize in (False, True):
        report = compare(*CALL, **{**OPTIONS, "batch_size": 40}, final_fn=final_fn, vectorize=vectorize)
        assert [run.final["loss"] for run in report.runs] == pytest.approx([run.val_loss[-1] for run in report.runs])


def test_callback_hears_of_every_epoch_and_every_finished_run(tmp_path):
    def heard(seeds):
        calls = []
        options = {**OPTIONS, "seeds": seeds, "vectorize": False, "out": tmp_path / "runs.jsonl"}
        options["callback"] = lambda run: calls.append((run.seed, len(run.lrs), run.finished))
        compare(FIXED, hidden, mse, DATA, DATA, **options)
        return calls

    assert heard(1) == [(0, 1, False), (0, 2, False), (0, 2, True)]
    assert heard(2) == [(0, 2, True), (1, 1, False), (1, 2, False), (1, 2, True)]


# ---------------------------------------------------------------- out


def test_finished_runs_are_read_not_trained(tmp_path):
    out = tmp_path / "new" / "runs.jsonl"
    first = compare(*CALL, **OPTIONS, out=out, metric_fn=worst, note="here")
    before = out.read_bytes()
    trained = []
    second = compare(*CALL, **OPTIONS, out=out, metric_fn=worst, callback=lambda run: trained.append(not run.finished))
    assert first.runs == second.runs
    assert out.read_bytes() == before
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
def test_runs_of_another_configuration_are_not_mixed_in(tmp_path, change):
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
def test_runs_of_another_task_are_not_mixed_in(tmp_path, call):
    options = {**OPTIONS, "out": tmp_path / "runs.jsonl", "seeds": 1}
    compare(FIXED, hidden, mse, DATA, DATA, **options)
    compare(*call, **options)
    assert len(lines(options["out"])) == 2


def test_more_seeds_and_settings_train_only_those(tmp_path):
    options = {**OPTIONS, "out": tmp_path / "runs.jsonl"}
    compare(FIXED, hidden, mse, DATA, DATA, **{**options, "seeds": 1})
    compare(*CALL, **options)
    assert [(run["setting"], run["seed"]) for run in lines(options["out"])].count(("fixed", 0)) == 1
    assert len(lines(options["out"])) == 4


# ---------------------------------------------------------------- what is refused, before anything is trained


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"settings": []}, TypeError, "settings must be a mapping from names to Setting objects, got list"),
        ({"settings": {}}, ValueError, "settings must not be empty"),
        ({"settings": {"a": sgd()}}, TypeError, "settings must map names to Setting objects, got 'a': function"),
        ({"settings": {1: Setting(sgd())}}, TypeError, "settings must map names to Setting objects, got 1: Setting"),
        (
            {"model_fn": hidden()},
            TypeError,
            "model_fn must be a function that makes a new model each time, got a model",
        ),
        ({"model_fn": "net"}, TypeError, "model_fn must be callable, got str"),
        ({"model_fn": lambda: 3}, TypeError, "model_fn must return a torch.nn.Module, got int"),
        ({"loss_fn": None}, TypeError, "loss_fn must be callable, got NoneType"),
        ({"loss_fn": lambda model, batch: 1.0}, TypeError, "loss_fn must return a scalar tensor, got float"),
        (
            {"loss_fn": lambda model, batch: model(batch[0])},
            TypeError,
            r"got a tensor of shape \(16, 1\)",
        ),
        ({"metric_fn": 3}, TypeError, "metric_fn must be callable, got int"),
        (
            {"metric_fn": lambda model, batch: {"hits": torch.ones(2)}},
            TypeError,
            r"metric_fn: hits must be one number, got a tensor of shape \(2,\)",
        ),
        ({"stop": True}, TypeError, "stop must be callable, got bool"),
        ({"final_fn": 1}, TypeError, "final_fn must be callable, got int"),
        ({"callback": 1}, TypeError, "callback must be callable, got int"),
        ({"train": X}, TypeError, "train must be a tuple of tensors"),
        ({"valid": (X, X[:3])}, ValueError, "valid: its tensors must have as many rows each"),
        ({"epochs": 0}, ValueError, "epochs must be an integer >= 1, got 0"),
        ({"batch_size": 1.5}, TypeError, "batch_size must be an integer, got 1.5"),
        ({"seeds": 0}, ValueError, "seeds must be an integer >= 1, got 0"),
        ({"seeds": []}, ValueError, "seeds must be a number of seeds or a list of different ones"),
        ({"seeds": [1, 1]}, ValueError, r"list of different ones below 2\*\*63, at least one, got \[1, 1\]"),
        ({"seeds": [2**64]}, ValueError, "different ones below"),
        ({"seeds": [-1]}, ValueError, r"seeds\[0\] must be an integer >= 0, got -1"),
        ({"seeds": "12"}, TypeError, "seeds must be a list"),
        ({"vectorize": "yes"}, ValueError, "vectorize must be one of 'auto', True, False, got 'yes'"),
        ({"vectorize": 1}, TypeError, "vectorize must be one of 'auto', True, False, got 1"),
        ({"device": "toaster"}, ValueError, "device toaster cannot be used: "),
        ({"device": "cuda:77"}, ValueError, "device cuda:77 cannot be used: "),
        ({"device": "meta"}, ValueError, "device meta cannot be used: "),
        ({"device": 1.5}, TypeError, "device must be a torch.device or its name, got float"),
        ({"out": 5}, TypeError, "out must be a path or None, got int"),
        ({"note": 5}, TypeError, "note must be a text, got int"),
        ({"metric_average": "mean"}, ValueError, "metric_average must be one of 'samples', 'batches', got 'mean'"),
        ({"model_fn": lambda: ONE}, ValueError, "model_fn must make a new model each time, got the"),
        ({"model_fn": nn.Tanh}, ValueError, "model_fn must return a model with parameters, got one without"),
        ({"metric_fn": lambda model, batch: None}, TypeError, "metric_fn: metric must be one number, got NoneType"),
        ({"metric_fn": lambda model, batch: {"a": "b"}}, TypeError, "metric_fn: a must be one number, got str"),
        ({"metric_fn": lambda model, batch: 1j}, TypeError, "metric_fn: metric must be one number, got complex"),
        ({"out": __file__ + "/runs.jsonl"}, OSError, "cannot write to out, "),
        ({"key": {1, 2}}, TypeError, "key must be what JSON can hold, got"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_trained(change, error, message, monkeypatch):
    monkeypatch.setattr("lrsched.comparison._compare._train", None)
    names = ("settings", "model_fn", "loss_fn", "train", "valid")
    arguments = {**dict(zip(names, CALL, strict=True)), **OPTIONS, **change}
    with pytest.raises(error, match=message):
        compare(**arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"train": lambda: None},
            TypeError,
            "train and valid, as functions, must return an iterable of batches, got None",
        ),
        ({"valid": lambda: 5}, TypeError, "must return an iterable of batches, got 5"),
        ({"final_fn": lambda model: 3}, TypeError, "final_fn must return a dict, got int"),
        ({"final_fn": lambda model: {"a": object()}}, TypeError, "final_fn must return what JSON can hold, got {'a'"),
        (
            {"metric_fn": lambda model, batch: {f"of {len(batch[0])}": 1.0}},
            ValueError,
            r"metric_fn must name the same metrics of every batch, got \['loss', 'of 16'\], \['loss', 'of 8'\]",
        ),
    ],
)
def test_what_only_training_shows_is_named_with_the_run(change, error, message):
    names = ("settings", "model_fn", "loss_fn", "train", "valid")
    with pytest.raises(error, match=message) as found:
        compare(**{**dict(zip(names, CALL, strict=True)), **OPTIONS, "vectorize": False, **change})
    assert getattr(found.value, "__notes__", ["while training fixed seed 0"]) == ["while training fixed seed 0"]


def test_what_final_fn_finds_may_be_numbers_of_torch_and_numpy(tmp_path):
    def found(model):
        return {"a": torch.tensor(1.5), "b": np.float32(0.5), "c": np.int64(3), "d": [math.nan], 5: torch.ones(2)}

    options = {**OPTIONS, "seeds": 1, "final_fn": found, "out": tmp_path / "runs.jsonl"}
    for _ in range(2):  # trained, and read
        run = compare(FIXED, hidden, mse, DATA, DATA, **options).runs[0]
        assert run.final == {"a": 1.5, "b": 0.5, "c": 3, "d": [None], "5": [1.0, 1.0]}


def test_a_file_in_use_is_refused(tmp_path):
    out = tmp_path / "runs.jsonl"
    with sole_use(out), pytest.raises(OSError, match=r"out, .*runs.jsonl, is in use by another process"):
        compare(FIXED, hidden, mse, DATA, DATA, **OPTIONS, out=out)
    assert len(compare(FIXED, hidden, mse, DATA, DATA, **OPTIONS, out=out).runs) == 2


def test_one_row_of_a_strided_tensor_is_data_too():
    one = X[::40], DATA[1][:, 0][::40]
    assert one[1].stride() == (40,)
    assert compare(FIXED, lambda: nn.Linear(3, 1), lambda m, b: m(b[0]).sum(), one, one, **OPTIONS).runs


def test_a_loss_with_an_axis_goes_one_after_another():
    def loss_fn(model, batch):
        return mse(model, batch).reshape(1, 1)

    assert {run.method for run in compare(FIXED, hidden, loss_fn, DATA, DATA, **OPTIONS).runs} == {"one after another"}


def test_the_validation_loss_is_the_mean_of_batch_means():
    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return self.weight * x[:, 0]

    valid = (torch.tensor([[1.0], [2.0], [6.0]]),)
    settings = {"still": Setting(sgd(0.0))}
    options = {"epochs": 1, "batch_size": 2, "seeds": 1, "metric_fn": lambda model, batch: model(batch[0]).mean()}
    report = compare(settings, One, lambda m, b: m(b[0]).mean(), valid, valid, **options)
    assert report.runs[0].val_loss == [(1.5 + 6) / 2]
    assert report.runs[0].metric == [pytest.approx(3.0)]
    assert math.isfinite(report.runs[0].train_loss[0])
