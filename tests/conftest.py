"""Fixtures: a stand-in for CUDA graphs, and one for tqdm's bar."""

import pytest
import torch

from lrsched.ensembles import _cuda_graphs
from tests.tape import ON_GPU, launches, record


@pytest.fixture(params=["tape", pytest.param("cuda", marks=ON_GPU)])
def device(request, monkeypatch):
    """Run a test with the stand-in for CUDA graphs on the CPU, and with CUDA graphs if there is a GPU."""
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


class Bar:
    """Stands for tqdm's bar."""

    made: list["Bar"]

    def __init__(self, total, desc, leave):
        self.total, self.desc, self.n, self.open, self.texts = total, desc, 0, True, []
        assert (type(desc), leave) == (str, False)
        self.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open = False

    def set_postfix_str(self, text, refresh):
        self.texts.append(text)

    def update(self, steps=1):
        assert steps >= 0
        self.n += steps


@pytest.fixture
def bars(monkeypatch):
    """Replace tqdm's bar, and return the bars that are made."""
    monkeypatch.setattr(Bar, "made", [], raising=False)
    monkeypatch.setattr("tqdm.tqdm", Bar)
    return Bar.made
