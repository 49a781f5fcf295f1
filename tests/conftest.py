"""A fixture for tests of CUDA graphs."""

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
