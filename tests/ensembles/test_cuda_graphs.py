"""Recordings, tested with a stand-in for CUDA graphs and, on a machine with a GPU, with CUDA graphs."""

import gc
import weakref
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.utils._pytree import tree_flatten

from lrsched import Ensemble
from lrsched.ensembles import _cuda_graphs
from lrsched.ensembles._cuda_graphs import CHECK, WARM_UP, Recordings, _structure
from tests.tape import ON_GPU, launches


def network(dropout=0.0):
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(dropout)
    return nn.Sequential(*layers, nn.Linear(27, 4))


def loss_fn(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def score(model, batch):
    outputs = model(batch[0])
    return {"loss": nn.functional.cross_entropy(outputs, batch[1]), "right": (outputs.argmax(1) == batch[1]).sum()}


def batches(device, n=12, size=6):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(n, size, 1, 8, 8, generator=generator).to(device)
    return [*zip(images, torch.randint(4, (n, size), generator=generator).to(device), strict=True)]


SETTINGS = [partial(SGD, lr=1.0, momentum=0.9), partial(SGD, lr=1.0, momentum=0.9), Adam]
LRS = [0.1, 0.02, 0.01]


def trained(device, record, dropout=0.0, keep_after=6):
    """Train and evaluate in turn, at changing rates, and drop a member; return all results and the ensemble."""
    model, data = network(dropout).to(device), batches(device)
    ensemble = Ensemble(model, SETTINGS, 3, record=record)
    torch.manual_seed(5)
    lrs, found = LRS, []
    for i, batch in enumerate(data + data):
        model.train()
        found.append(ensemble.step(loss_fn, batch, lrs))
        model.eval()
        found += ensemble.evaluate(score, data[i % 4]).values()
        lrs = [lr * 0.9 for lr in lrs]
        if i == keep_after:
            ensemble.keep([True, False, True])
            lrs = [lrs[0], lrs[2]]
    return found, ensemble


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_replays_give_the_results_of_ordinary_calls(device, dropout):
    expected, plain = trained(device, False, dropout)
    found, recorded = trained(device, True, dropout)
    assert plain.unrecorded == "record=False"
    assert recorded.unrecorded is None
    assert len(launches) == 2 * (24 - 2 * WARM_UP)  # steps and evaluations, warmed up again once a member is dropped
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours.double(), theirs.double(), rtol=1e-4, atol=1e-6)
    for i in range(2):
        for name, value in plain.state(i).items():
            assert torch.allclose(recorded.state(i)[name], value, rtol=1e-3, atol=1e-5), name


def test_each_batch_size_has_its_own_recording(device):
    def totals(record):
        ensemble = Ensemble(network().to(device), SETTINGS, 3, record=record)
        sizes = batches(device), batches(device, size=4)
        return [ensemble.step(loss_fn, sizes[i % 2][i // 2], LRS).tolist() for i in range(20)]

    expected, found = totals(False), totals(True)
    assert len(launches) == 20 - 2 * WARM_UP
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_each_mode_has_its_own_recording(device):
    def losses(record):
        model, batch = network().to(device), batches(device)[0]
        ensemble, found = Ensemble(model, SETTINGS, 3, record=record), []
        for i in range(2 * WARM_UP + 4):
            model.train(i % 2 == 0)
            found.append(ensemble.evaluate(score, batch)["loss"].tolist())
        return found, ensemble.unrecorded

    (expected, _), (found, unrecorded) = losses(False), losses(True)
    assert unrecorded is None
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert len(launches) == 4


def test_recordings_end_with_the_tensors_that_they_read(device):
    def losses(record):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).to(device)  # without buffers, whose shapes would tell
        nn.init.constant_(model[1].weight, 0.01)
        nn.init.zeros_(model[1].bias)
        ensemble, found = Ensemble(model, SGD, 3, record=record), []
        for i, batch in enumerate(batches(device)):
            found.append(ensemble.step(loss_fn, batch, LRS[: ensemble.members]).tolist())
            if i == WARM_UP + 1:
                ensemble.keep([False, True, True])
        return found

    for ours, theirs in zip(losses(True), losses(False), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert len(launches) == 12 - 2 * WARM_UP


def test_functions_without_a_hash_have_their_own_recordings(device):
    @dataclass
    class Scaled:
        factors: list

        def __call__(self, model, batch):
            return self.factors[0] * loss_fn(model, batch)

    def totals(record):
        ensemble, one, two = Ensemble(network().to(device), SETTINGS, 3, record=record), Scaled([1.0]), Scaled([2.0])
        return [ensemble.step((one, two)[i % 2], batch, LRS).tolist() for i, batch in enumerate(batches(device))]

    for ours, theirs in zip(totals(True), totals(False), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert len(launches) == 12 - 2 * WARM_UP


def test_recording_ends_if_memory_runs_out(device):
    ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
    data, full = batches(device), []

    def sometimes(model, batch):
        if full and len(batch[0]) == 4:
            full.pop()
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss_fn(model, batch)

    for batch in data[: WARM_UP + 2]:
        ensemble.step(sometimes, batch, LRS)
    assert ensemble.unrecorded is None
    full.append(1)
    assert ensemble.step(sometimes, batches(device, size=4)[0], LRS).isfinite().all()
    assert ensemble.unrecorded == "not recorded as a CUDA graph: too little GPU memory"
    full.append(1)
    with pytest.raises(torch.OutOfMemoryError):
        ensemble.step(sometimes, batches(device, size=4)[0], LRS)


def test_recording_ends_if_batches_have_too_many_sizes(device, monkeypatch):
    monkeypatch.setattr(_cuda_graphs, "MADE", 2)
    ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
    for size in (3, 4, 5):
        for batch in batches(device, WARM_UP + 2, size):
            ensemble.step(loss_fn, batch, LRS)
    assert ensemble.unrecorded == "not recorded as a CUDA graph: batches have too many different sizes"


def test_calls_that_failed_after_the_warm_up_do_not_prevent_a_recording(device):
    ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
    broken = True

    def sometimes(model, batch):
        if broken:
            raise ValueError("this batch is broken")
        return loss_fn(model, batch)

    for i, batch in enumerate(batches(device)):
        broken = WARM_UP <= i < WARM_UP + 2
        if broken:
            with pytest.raises(ValueError, match="this batch is broken"):
                ensemble.step(sometimes, batch, LRS)
        else:
            ensemble.step(sometimes, batch, LRS)
    assert ensemble.unrecorded is None
    assert len(launches) == 12 - WARM_UP - 2


def test_an_ensemble_is_freed_without_garbage_collection(device):
    gc.disable()
    try:
        ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
        for batch in batches(device):
            ensemble.step(loss_fn, batch, LRS)
        alive = weakref.ref(ensemble)
        del ensemble
        assert alive() is None
    finally:
        gc.enable()


def test_a_change_outside_tensors_is_found_by_the_regular_check(device, monkeypatch):
    monkeypatch.setattr(_cuda_graphs, "CHECK", 5)
    factor = [1.0]
    ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
    data = batches(device)

    def scaled(model, batch):
        return factor[0] * loss_fn(model, batch)

    for batch in data[: WARM_UP + 5]:
        ensemble.step(scaled, batch, LRS)
    factor[0] = 2.0
    with pytest.raises(
        RuntimeError, match=r"the model or loss_fn depends on something that has changed; pass record=False"
    ):
        ensemble.step(scaled, data[-1], LRS)
    assert CHECK == 1000


def test_a_function_that_gives_other_results_at_each_call_is_not_recorded(device):
    ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
    calls = []

    def moody(model, batch):
        calls.append(1)
        return len(calls) * loss_fn(model, batch)

    for batch in batches(device):
        ensemble.step(moody, batch, LRS)
    assert ensemble.unrecorded == "not recorded as a CUDA graph: a replay gives different results"
    assert len(calls) == 12 + 1  # the recording itself


def records_nothing(function, device):  # as if the kernels ran on another GPU
    return function(), lambda: None


def refuses(function, device):
    raise RuntimeError("operation not permitted\nwhen stream is capturing")


@pytest.mark.parametrize(
    ("record", "why"),
    [(records_nothing, "a replay gives different results"), (refuses, "operation not permitted")],
    ids=["records nothing", "refuses"],
)
def test_if_recording_fails_ordinary_calls_give_the_results(device, monkeypatch, record, why):
    expected, _ = trained(device, False)
    monkeypatch.setattr(_cuda_graphs, "record", record)
    found, ensemble = trained(device, True)
    assert ensemble.unrecorded == f"not recorded as a CUDA graph: {why}"
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours.double(), theirs.double(), rtol=1e-4, atol=1e-6)


@ON_GPU
def test_random_numbers_can_be_drawn_after_a_failed_recording(device):
    def waits(model, batch):
        torch.cuda.current_stream().synchronize()  # which a capture does not allow
        return loss_fn(model, batch)

    if device.type == "cuda":
        ensemble = Ensemble(network(0.5).to(device), SETTINGS, 3, record=True)
        for batch in batches(device):
            ensemble.step(waits, batch, LRS)
        assert ensemble.unrecorded.startswith("not recorded as a CUDA graph: ")
        assert nn.functional.dropout(torch.ones(100, device=device)).max() == 2
        assert torch.cuda.current_stream() == torch.cuda.default_stream()


def test_functions_that_are_new_at_each_call_are_neither_recorded_nor_kept(device):
    ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
    for batch in batches(device):
        ensemble.step(lambda model, batch: loss_fn(model, batch), batch, LRS)
    assert not launches
    assert len(ensemble._recordings._entries) == _cuda_graphs.KEPT


def test_calls_without_gpu_tensors_are_passed_on():
    launches.clear()
    recordings = Recordings()
    for _ in range(2 * WARM_UP):
        for inputs, result in (((2,), 3), ((torch.tensor(2),), 3), ((), 1)):
            assert recordings((), sum, lambda *x: sum(x, 1), *inputs, watch=True) == result
    assert not launches
    assert recordings.problem == "not recorded as a CUDA graph: too few similar calls on a GPU"


@pytest.mark.parametrize(
    ("found", "expected", "match"),
    [
        ([1.0, 2.0], [1.001, 2.0], True),
        ([[1.0, 0.0], [1e9, 1.0]], [[1.1, 0.0], [1e9, 1.0]], False),  # a large member does not hide a small one
        ([[1.0, 0.0], [1e9, 1.0]], [[1.0, 0.0], [1e9, 1.1]], True),
        ([1.0, float("nan")], [1.0, float("nan")], True),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_replays_are_compared_member_by_member_at_the_tolerance_of_float32(found, expected, match, dtype):
    assert Recordings()._match(torch.tensor(found, dtype=dtype), torch.tensor(expected, dtype=dtype)) is match


def test_a_missing_gradient_matches_no_zeros():
    assert Recordings()._match(None, None)
    assert not Recordings()._match(None, torch.zeros(2))


class Unhashable:
    """The structure of a dict in torch ≤ 2.6."""

    __hash__ = None

    def __str__(self):
        return "TreeSpec(dict, ['a'], [*])"


def test_the_structure_of_a_call_is_part_of_its_key():
    flat, same, nested = (tree_flatten(inputs)[1] for inputs in ({"a": 1}, {"a": 2}, {"a": (1, 2)}))
    assert _structure(flat) == _structure(same) != _structure(nested)
    assert len({_structure(flat), _structure(same), _structure(nested)}) == 2
    assert _structure(Unhashable()) == "TreeSpec(dict, ['a'], [*])"
