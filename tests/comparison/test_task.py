"""What the runs of a comparison share: measuring, averaging, the configuration."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lrsched import Setting, compare
from lrsched.comparison._configuration import parameters_text
from lrsched.comparison._task import average
from tests.comparison.helpers import ARGUMENTS, CALL, DATA, FIXED, OPTIONS, hidden, linear, mse, sgd, task, worst


def test_average_by_hand():
    values = [torch.tensor(1.0), torch.tensor(4.0)]
    assert average(values, [1, 1]) == [2.5]
    assert average(values, [2, 1]) == [2.0]
    both = [torch.tensor([1.0, 2.0]), torch.tensor([4.0, math.nan])]
    first, second = average(both, [1, 1])
    assert first == 2.5
    assert math.isnan(second)


def test_numbers_of_different_types_are_averaged_in_float64():
    assert average([torch.tensor(0.1, dtype=torch.float64), torch.tensor(0.5)], [1, 1]) == [(0.1 + 0.5) / 2]
    assert average([torch.tensor(3), torch.tensor(0.1, dtype=torch.float64)], [1, 1]) == [(3 + 0.1) / 2]


@pytest.mark.parametrize("vectorize", [False, True])
@pytest.mark.parametrize("number", [0.9, 1e39, 2**60, 10**30, np.float64(0.9), True])
def test_a_python_number_is_recorded_without_rounding(number, vectorize):
    options = {**OPTIONS, "batch_size": 20, "epochs": 1, "vectorize": vectorize}
    for run in compare(*CALL, **options, metric_fn=lambda model, batch: number).runs:
        assert run.metric == [float(number)]


def test_a_metric_may_be_a_python_number_for_some_batches_and_a_tensor_for_others():
    def metric_fn(model, batch):
        return 0.9 if len(batch[0]) == 16 else torch.ones(1)

    options = {**OPTIONS, "metric_fn": metric_fn, "metric_average": "batches", "vectorize": False}
    assert compare(*CALL, **options).runs[0].metric == [(0.9 + 0.9 + 1) / 3] * 2


def largest_input(model, batch):
    return batch[0].max()


def largest_input_loss(model, batch):
    return 0 * model(batch[0]).sum() + batch[0].max()


@pytest.mark.parametrize(("over", "expected"), [("samples", 1.25), ("batches", 1.5)])
def test_the_loss_is_averaged_over_batches_and_metrics_as_chosen(over, expected):
    x = torch.tensor([[1.0], [1.0], [1.0], [2.0]])
    call = {"still": Setting(sgd(0.0))}, lambda: nn.Linear(1, 1), largest_input_loss, (x, x), (x, x)
    options = {"epochs": 1, "batch_size": 3, "seeds": 1, "metric_fn": largest_input, "metric_average": over}
    (run,) = compare(*call, **options).runs
    assert run.val_loss == [1.5]
    assert run.metric == [expected]


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


def test_a_metric_named_loss_replaces_the_validation_loss():
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


def test_a_training_loss_may_need_gradients_itself():
    def loss_fn(model, batch):
        x = batch[0].clone().requires_grad_()
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        return mse(model, batch) + slope.square().mean()

    def metric_fn(model, batch):
        assert not torch.is_grad_enabled()
        return {"loss": mse(model, batch)}

    runs = compare(FIXED, hidden, loss_fn, DATA, DATA, **OPTIONS, metric_fn=metric_fn).runs
    assert [len(run.val_loss) for run in runs] == [2, 2]


def test_validation_data_without_batches_are_refused():
    with pytest.raises(ValueError, match="valid must have at least one batch, got none"):
        compare({"a": Setting(sgd())}, linear, mse, DATA, list, epochs=1, batch_size=9, seeds=1)


def test_metrics_that_differ_between_batches_are_refused():
    metric_fn = {"metric_fn": lambda model, batch: {f"of {len(batch[0])}": 1.0}}
    message = (
        r"metric_fn must return the same metrics for every batch, got \['loss', 'of 16'\] and then \['loss', 'of 8'\]"
    )
    with pytest.raises(ValueError, match=message):
        compare(**ARGUMENTS, **OPTIONS, **metric_fn, vectorize=False)


@pytest.mark.parametrize("name", ["val_loss", "train_loss"])
def test_a_metric_that_is_named_like_a_loss_is_refused(name):
    with pytest.raises(ValueError, match=f"metric_fn must not return a metric named '{name}', .* choose another name"):
        compare(**ARGUMENTS, **OPTIONS, metric_fn=lambda model, batch: {name: 1.0})


@pytest.mark.parametrize("vectorize", [False, True])
def test_final_fn_sees_the_trained_model_in_eval_mode(vectorize):
    def final_fn(model):
        assert not model.training
        return {"loss": mse(model, DATA).item()}

    report = compare(*CALL, **{**OPTIONS, "batch_size": 40}, final_fn=final_fn, vectorize=vectorize)
    assert [run.final["loss"] for run in report.runs] == pytest.approx([run.val_loss[-1] for run in report.runs])


def test_final_fn_may_return_numbers_of_torch_and_numpy(tmp_path):
    def found(model):
        return {"a": torch.tensor(1.5), "b": np.float32(0.5), "c": np.int64(3), "d": [math.nan], 5: torch.ones(2)}

    options = {**OPTIONS, "seeds": 1, "final_fn": found, "out": tmp_path / "runs.jsonl"}
    for _ in range(2):  # trained, then read
        run = compare(FIXED, hidden, mse, DATA, DATA, **options).runs[0]
        assert run.final == {"a": 1.5, "b": 0.5, "c": 3, "d": [None], "5": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (3, "final_fn must return a dict, got int"),
        ({"a": {1}}, "final_fn must return values that JSON can hold, got {'a'"),
    ],
    ids=["number", "set"],
)
def test_invalid_results_of_final_fn_are_refused(found, message):
    with pytest.raises(TypeError, match=message):
        task(final_fn=lambda model: found).final(hidden())


def test_the_configuration_is_what_committed_runs_have():
    """Finished runs are found by it, so a change of one character trains all of them again."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    data = "(40, 3) torch.float32, (40, 1) torch.float32, sha256 "
    found = task(metric_fn=worst).configuration(linear(), {"a": 1})
    assert found.pop("train").startswith(data)
    assert found.pop("valid").startswith(data)
    later = {name: found.pop(name) for name in ("functions", "parameters")}  # which older records lack
    assert found == {
        "model": "Linear(in_features=3, out_features=1, bias=True)",
        "loss_fn": "mse",
        "metric_fn": "worst",
        "final_fn": None,
        "stop": None,
        "metric_average": "samples",
        "epochs": 2,
        "batch_size": 16,
        "device": "cpu",
        "threads": threads,
        "deterministic": deterministic,
        "key": {"a": 1},
    }
    assert later["functions"]["model_fn"] == "hidden"
    assert later["parameters"] == parameters_text(linear())
