"""Invalid arguments of compare() are refused before anything is trained."""

import numpy as np
import pytest
import torch
from torch import nn

from lrsched import Setting, compare
from lrsched.comparison._arguments import checked_path, checked_seeds
from tests.comparison.helpers import ARGUMENTS, OPTIONS, X, hidden, sgd

ONE_MODEL = hidden()


def refused(monkeypatch, change, error, message):
    monkeypatch.setattr("lrsched.comparison._compare.train_missing", None)
    with pytest.raises(error, match=message):
        compare(**{**ARGUMENTS, **OPTIONS, **change})


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ([], TypeError, "settings must be a mapping from names to Setting objects, got list"),
        ({}, ValueError, "settings must have at least one setting, got none"),
        ({"a": sgd()}, TypeError, "settings must map names to Setting objects, got 'a': function"),
        ({1: Setting(sgd())}, TypeError, "settings must map names to Setting objects, got 1: Setting"),
    ],
    ids=["list", "empty", "no setting", "no name"],
)
def test_settings(monkeypatch, settings, error, message):
    refused(monkeypatch, {"settings": settings}, error, message)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model_fn": hidden()}, TypeError, "model_fn must be a function that returns a new model .* got a model"),
        ({"model_fn": "net"}, TypeError, "model_fn must be callable, got str"),
        ({"model_fn": lambda: 3}, TypeError, "model_fn must return a torch.nn.Module, got int"),
        ({"model_fn": lambda: ONE_MODEL}, ValueError, "model_fn must return a new model at each call, got the same"),
        ({"model_fn": nn.Tanh}, ValueError, "model_fn must return a model with parameters, got one without any"),
        ({"loss_fn": None}, TypeError, "loss_fn must be callable, got NoneType"),
        ({"metric_fn": 3}, TypeError, "metric_fn must be callable, got int"),
        ({"stop": True}, TypeError, "stop must be callable, got bool"),
        ({"final_fn": 1}, TypeError, "final_fn must be callable, got int"),
        ({"callback": 1}, TypeError, "callback must be callable, got int"),
    ],
    ids=["model", "text", "no model", "one model", "no parameters", "loss", "metric", "stop", "final", "callback"],
)
def test_functions(monkeypatch, change, error, message):
    refused(monkeypatch, change, error, message)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"loss_fn": lambda model, batch: 1.0}, TypeError, "loss_fn must return a scalar tensor, got float"),
        ({"loss_fn": lambda model, batch: model(batch[0])}, TypeError, r"got a tensor of shape \(16, 1\)"),
        (
            {"metric_fn": lambda model, batch: {"hits": torch.ones(2)}},
            TypeError,
            r"metric_fn: hits must be one real number, got a tensor of shape \(2,\)",
        ),
        (
            {"metric_fn": lambda model, batch: None},
            TypeError,
            "metric_fn: metric must be one real number, got NoneType",
        ),
        ({"metric_fn": lambda model, batch: {"a": "b"}}, TypeError, "metric_fn: a must be one real number, got str"),
        ({"metric_fn": lambda model, batch: 1j}, TypeError, "metric_fn: metric must be one real number, got complex"),
    ],
    ids=["loss float", "loss vector", "metric vector", "metric None", "metric text", "metric complex"],
)
def test_what_functions_return(monkeypatch, change, error, message):
    refused(monkeypatch, change, error, message)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"train": X}, TypeError, "train must be a tuple of tensors"),
        ({"valid": (X, X[:3])}, ValueError, "the tensors of valid must all have the same number of rows"),
        ({"epochs": 0}, ValueError, "epochs must be an integer >= 1, got 0"),
        ({"batch_size": 1.5}, TypeError, "batch_size must be an integer, got 1.5"),
        ({"seeds": 0}, ValueError, "seeds must be an integer >= 1, got 0"),
        ({"vectorize": "yes"}, ValueError, "vectorize must be one of 'auto', True, False, got 'yes'"),
        ({"vectorize": 1}, TypeError, "vectorize must be one of 'auto', True, False, got 1"),
        ({"vectorize": np.False_}, TypeError, "vectorize must be one of 'auto', True, False, got"),
        ({"record": "yes"}, TypeError, "record must be True or False, got 'yes'"),
        ({"metric_average": "mean"}, ValueError, "metric_average must be one of 'samples', 'batches', got 'mean'"),
        ({"device": "toaster"}, ValueError, "device toaster cannot be used: "),
        ({"device": "cuda:77"}, ValueError, "device cuda:77 cannot be used: "),
        ({"device": "meta"}, ValueError, "device meta cannot be used: "),
        ({"device": 1.5}, TypeError, "device must be a torch.device or its name, got float"),
        ({"out": 5}, TypeError, "out must be a path or None, got int"),
        ({"out": __file__ + "/runs.jsonl"}, OSError, "cannot write to out, "),
        ({"note": 5}, TypeError, "note must be a string, got int"),
        ({"key": {1, 2}}, TypeError, "key must be a value that JSON can hold, got {1, 2}: Object of type set is not"),
    ],
    ids=[
        "train",
        "valid",
        "epochs",
        "batch_size",
        "seeds",
        "vectorize-text",
        "vectorize-int",
        "vectorize-numpy",
        "record",
        "metric_average",
        "device-unknown",
        "device-missing",
        "device-meta",
        "device-type",
        "out-type",
        "out-folder",
        "note",
        "key",
    ],
)
def test_other_arguments(monkeypatch, change, error, message):
    refused(monkeypatch, change, error, message)


@pytest.mark.parametrize(
    ("seeds", "error", "message"),
    [
        ([], ValueError, r"seeds must be the number of seeds or a list of at least one seed, .*, got \[\]"),
        ([1, 1], ValueError, r"all different and below 2\*\*63, got \[1, 1\]"),
        ([2**64], ValueError, "all different and below"),
        ([-1], ValueError, r"seeds\[0\] must be an integer >= 0, got -1"),
        ("12", TypeError, "seeds must be a list"),
    ],
    ids=["empty", "twice", "too large", "negative", "text"],
)
def test_seeds(seeds, error, message):
    with pytest.raises(error, match=message):
        checked_seeds(seeds)


def test_valid_seeds_and_paths(tmp_path):
    assert checked_seeds(3) == [0, 1, 2]
    assert checked_seeds(np.array([7, 1])) == [7, 1]
    assert checked_path(None) is None
    assert checked_path(str(tmp_path)) == tmp_path
