"""Recordings, with a stand-in for CUDA graphs: the same calls on the same memory, without Python in between.

`record` is replaced by a dispatch mode that notes every operation with the very tensors that it reads and writes, and
a replay that goes through them, as a graph does. What only a GPU shows is tested where there is one.
"""

import gc
import weakref
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lrsched import Ensemble
from lrsched.ensembles import _cuda_graphs
from lrsched.ensembles._cuda_graphs import CHECK, WARM_UP, Recordings

GPU = torch.cuda.is_available()
ON_GPU = pytest.mark.skipif(not GPU, reason="needs a GPU")


class Tape(TorchDispatchMode):
    """Notes operations; `replay` goes through them again, into the memory of their first results."""

    def __init__(self):
        super().__init__()
        self.notes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.notes.append((func, args, kwargs or {}, result))
        return result

    def replay(self):
        for func, args, kwargs, result in self.notes:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def record(function, device):
    tape = Tape()
    with tape:
        outputs = function()

    @torch.no_grad()
    def launch():
        launches.append(len(tape.notes))
        tape.replay()

    return outputs, launch


launches = []


@pytest.fixture(autouse=True, params=["tape", pytest.param("cuda", marks=ON_GPU)])
def device(request, monkeypatch):
    """Run each test with the stand-in on the CPU, and with CUDA graphs where there is a GPU."""
    launches.clear()
    real = _cuda_graphs.record
    if request.param == "tape":
        monkeypatch.setattr(_cuda_graphs, "record", record)
        monkeypatch.setattr(_cuda_graphs, "recordable", lambda leaf: isinstance(leaf, torch.Tensor))
        return torch.device("cpu")

    def counted(function, device):
        outputs, launch = real(function, device)
        return outputs, lambda: (launches.append(1), launch())

    monkeypatch.setattr(_cuda_graphs, "record", counted)
    return torch.device("cuda")


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
    """Train with both kinds of passes in turn, rates that change, and a member that leaves; return all results."""
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
def test_a_replay_does_what_calls_do(device, dropout):
    expected, plain = trained(device, False, dropout)
    found, recorded = trained(device, True, dropout)
    assert plain.unrecorded == "record is False"
    assert recorded.unrecorded is None
    assert len(launches) == 2 * (24 - 2 * WARM_UP)  # steps and evaluations, warmed up twice: a member left
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours.double(), theirs.double(), rtol=1e-4, atol=1e-6)
    for i in range(2):
        for name, value in plain.state(i).items():
            assert torch.allclose(recorded.state(i)[name], value, rtol=1e-3, atol=1e-5), name


def test_a_batch_of_another_size_has_a_recording_of_its_own(device):
    def totals(record):
        ensemble = Ensemble(network().to(device), SETTINGS, 3, record=record)
        sizes = batches(device), batches(device, size=4)
        return [ensemble.step(loss_fn, sizes[i % 2][i // 2], LRS).tolist() for i in range(20)]

    expected, found = totals(False), totals(True)
    assert len(launches) == 20 - 2 * WARM_UP
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_function_without_a_hash_is_told_from_others(device):
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


def test_where_memory_runs_out_nothing_is_recorded(device):
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
    assert ensemble.unrecorded == "not recorded as a CUDA graph: its memory is needed"
    full.append(1)
    with pytest.raises(torch.OutOfMemoryError):
        ensemble.step(sometimes, batches(device, size=4)[0], LRS)


def test_batches_of_ever_other_sizes_end_recording(device, monkeypatch):
    monkeypatch.setattr(_cuda_graphs, "MADE", 2)
    ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
    for size in (3, 4, 5):
        for batch in batches(device, WARM_UP + 2, size):
            ensemble.step(loss_fn, batch, LRS)
    assert ensemble.unrecorded == "not recorded as a CUDA graph: batches are of too many sizes"


def test_an_ensemble_is_freed_without_the_collector_of_cycles(device):
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


def test_what_changes_outside_tensors_is_found(device, monkeypatch):
    monkeypatch.setattr(_cuda_graphs, "CHECK", 5)
    factor = [1.0]
    ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
    data = batches(device)

    def scaled(model, batch):
        return factor[0] * loss_fn(model, batch)

    for batch in data[: WARM_UP + 5]:
        ensemble.step(scaled, batch, LRS)
    factor[0] = 2.0
    with pytest.raises(RuntimeError, match="depend on something besides weights and batch that has changed"):
        ensemble.step(scaled, data[-1], LRS)
    assert CHECK == 1000


def test_a_function_that_differs_when_recorded_is_called_as_it_is(device):
    ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
    calls = []

    def moody(model, batch):
        calls.append(1)
        return len(calls) * loss_fn(model, batch)

    for batch in batches(device):
        ensemble.step(moody, batch, LRS)
    assert ensemble.unrecorded == "not recorded as a CUDA graph: it gives other results"
    assert len(calls) == 12 + 1  # the recording itself


def of_nothing(function, device):  # as one of the kernels of another GPU
    return function(), lambda: None


def refuse(function, device):
    raise RuntimeError("operation not permitted\nwhen stream is capturing")


@pytest.mark.parametrize(
    ("record", "why"), [(of_nothing, "it gives other results"), (refuse, "operation not permitted")]
)
def test_where_recording_fails_calls_go_on_as_they_are(device, monkeypatch, record, why):
    expected, _ = trained(device, False)
    monkeypatch.setattr(_cuda_graphs, "record", record)
    found, ensemble = trained(device, True)
    assert ensemble.unrecorded == f"not recorded as a CUDA graph: {why}"
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours.double(), theirs.double(), rtol=1e-4, atol=1e-6)


@ON_GPU
def test_random_numbers_are_drawn_after_a_recording_that_failed(device):
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


def test_functions_made_anew_each_time_are_not_recorded_and_not_kept(device):
    ensemble = Ensemble(network().to(device), SETTINGS, 3, record=True)
    for batch in batches(device):
        ensemble.step(lambda model, batch: loss_fn(model, batch), batch, LRS)
    assert not launches
    assert len(ensemble._recordings._entries) == _cuda_graphs.KEPT


def test_inputs_that_are_no_tensors_on_the_gpu_are_passed_on(monkeypatch):
    monkeypatch.undo()
    recordings = Recordings()
    for _ in range(2 * WARM_UP):
        for inputs, result in (((2,), 3), ((torch.tensor(2),), 3), ((), 1)):
            assert recordings((), sum, lambda *x: sum(x, 1), *inputs, watch=True) == result
    assert not launches
    assert recordings.problem == "not recorded as a CUDA graph: too few calls on a GPU are alike"


@pytest.mark.parametrize(
    ("ours", "theirs", "alike"),
    [
        ([1.0, 2.0], [1.001, 2.0], True),
        ([1.0, 2.0], [1.0, 2.1], False),
        ([1.0, float("nan")], [1.0, float("nan")], True),
        ([1.0, float("inf")], [1.0, 3e38], True),
        ([[1.0, 0.0], [1e9, 1.0]], [[1.1, 0.0], [1e9, 1.0]], False),  # one member's size hides no other's difference
        (2.0, 2.0, True),
        (2.0, 3.0, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 3], False),
    ],
)
def test_alike(ours, theirs, alike):
    assert _cuda_graphs._alike(torch.tensor(ours), torch.tensor(theirs)) is alike


def test_alike_in_half_precision():
    assert not _cuda_graphs._alike(torch.full((1, 400), 1e4).half(), torch.full((1, 400), 2e4).half())


def test_nothing_is_alike_to_nothing():
    assert _cuda_graphs._alike(None, None)
