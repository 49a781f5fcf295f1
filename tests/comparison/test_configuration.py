"""What identifies a run: another experiment is trained anew, and records of earlier versions are still found."""

import json
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, SequentialLR

from lrsched import Setting, compare
from lrsched.comparison._configuration import (
    LATER,
    agrees,
    function_text,
    groups_text,
    lr_lambdas,
    parameters_text,
)
from tests.comparison.helpers import DATA, OPTIONS, hidden, mse, sgd


def decay(k, n=10):
    return 1 / (1 + k / n)


def zeros():
    model = hidden()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def lambda_lr(**arguments):
    return Setting(sgd(), lambda optimizer: LambdaLR(optimizer, partial(decay, **arguments)))


def trained(path, setting, model_fn=hidden):
    """Compare with records in a file; return how many of the two runs were trained."""
    path.parent.mkdir(exist_ok=True)
    lines = len(path.read_text().splitlines()) if path.exists() else 0
    compare({"a": setting}, model_fn, mse, DATA, DATA, **OPTIONS, out=path)
    return len(path.read_text().splitlines()) - lines


def test_another_experiment_with_the_same_names_is_trained_anew(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert trained(path, lambda_lr(n=2)) == 2
    assert trained(path, lambda_lr(n=2)) == 0
    assert trained(path, lambda_lr(n=50)) == 2
    assert trained(path, Setting(sgd())) == 2
    assert trained(path, Setting(sgd()), zeros) == 2
    assert trained(path, Setting(lambda params: SGD(params[2:], lr=0.1))) == 2
    assert trained(path, Setting(sgd()), lambda: hidden().double().float()) == 2  # another function
    assert trained(path, Setting(sgd())) == 0


def test_records_of_earlier_versions_are_found(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert trained(path, lambda_lr(n=2)) == 2
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        for name in LATER:
            del record["config"][name]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    assert trained(path, lambda_lr(n=2)) == 0


def test_a_configuration_agrees_with_one_that_lacks_later_entries():
    wanted = {"model": "a", "functions": {"model_fn": "f"}, "groups": "0-1"}
    assert agrees({"model": "a"}, wanted)
    assert agrees({"model": "a", "groups": "0-1"}, wanted)
    assert not agrees({"model": "b"}, wanted)
    assert not agrees({"model": "a", "groups": "0"}, wanted)
    assert not agrees({"model": "a", "lr_lambdas": ["f"]}, wanted)
    assert not agrees({}, wanted)
    assert not agrees({"model": "a"}, None)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (None, None),
        (decay, "decay"),
        (nn.MSELoss(), "MSELoss"),
        (partial(decay, n=2), "decay(n=2)"),
        (partial(partial(decay, 3), n=torch.ones(1)), "decay(3, n=Tensor)"),
        (partial(trained, decay, model_fn=zeros), "trained(decay, model_fn=zeros)"),
        (partial(decay, 1, n="a"), "decay(1, n='a')"),
    ],
)
def test_functions_are_named_with_what_a_partial_has_bound(function, text):
    assert function_text(function) == text


def test_the_places_of_parameters_in_groups():
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(7)]
    a, b, c, d, e, f, g = parameters
    assert groups_text(SGD(parameters, lr=0.1), parameters) == "0-6"
    f.requires_grad_(False)
    g.requires_grad_(False)
    groups = [{"params": [a, b, c, e]}, {"params": [d]}]
    assert groups_text(SGD(groups, lr=0.1), parameters) == "0-2, 4; 3; frozen 5-6"


def test_parameters_differ_by_name_shape_dtype_and_whether_they_are_frozen():
    frozen = nn.Linear(2, 1)
    frozen.bias.requires_grad_(False)
    models = [
        nn.Linear(2, 1),
        nn.Linear(1, 2),
        nn.Linear(2, 1).double(),
        nn.Sequential(nn.Linear(2, 1)),
        nn.LazyLinear(1),
        frozen,
    ]
    assert len({parameters_text(model) for model in models}) == len(models)
    assert parameters_text(nn.Linear(2, 1)) == parameters_text(models[0])


def test_functions_of_schedulers_inside_others_count():
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    assert lr_lambdas(None) == []
    assert lr_lambdas(ExponentialLR(optimizer, 0.9)) == []
    inside = [LambdaLR(optimizer, partial(decay, n=3)), ExponentialLR(optimizer, 0.9)]
    assert lr_lambdas(SequentialLR(optimizer, inside, [2])) == ["decay(n=3)"]
