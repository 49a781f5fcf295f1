from contextlib import nullcontext

import pytest
import torch

from benchmarks import devices
from benchmarks.__main__ import main
from benchmarks.commands import BenchmarkError
from benchmarks.replications import table


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
def test_one_gpu_for_several_processes_is_refused(device, capsys, tmp_path, monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert main(["digits", "--device", device, "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().err
    assert f"error: --device {device} would put every process on one GPU; use --device cuda" in printed
    assert not (tmp_path / "out").exists()


FLOAT32, TF32 = (False, "highest"), (True, "high")  # cuDNN's convolutions, matrix products


def settings():
    return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()


@pytest.mark.filterwarnings("ignore:Please use the new API settings to control TF32")
@pytest.mark.parametrize("before", [FLOAT32, TF32], ids=["float32 before", "tf32 before"])
@pytest.mark.parametrize("ends", [None, RuntimeError("no memory")], ids=["ends", "fails"])
@pytest.mark.parametrize(
    ("device", "arithmetic", "inside", "entry"),
    [
        ("cuda", "float32", FLOAT32, {"tf32": False}),
        ("cuda", "tf32", TF32, {"tf32": True, "arithmetic": "tf32"}),
        ("cuda", "bfloat16", FLOAT32, {"tf32": False, "arithmetic": "bfloat16"}),
        ("cpu", "float32", None, {}),
        ("cpu", "bfloat16", None, {"arithmetic": "bfloat16"}),
    ],
)
def test_a_table_trains_in_its_arithmetic_and_torchs_settings_are_restored(
    tmp_path, monkeypatch, device, arithmetic, inside, entry, before, ends
):
    seen = []

    def train(benchmark, rows, data, device, options, progress):
        seen.append((settings(), devices.arithmetic_entry(options.arithmetic, device)))
        if ends:
            raise ends

    monkeypatch.setattr(table, "processes", lambda name: nullcontext((torch.device(name), 0)))
    monkeypatch.setattr(table, "train", train)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before[0])
    products = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(before[1])
    try:
        with nullcontext() if ends is None else pytest.raises(RuntimeError, match="no memory"):
            main(["digits", "--device", device, "--arithmetic", arithmetic, "--out", str(tmp_path)])
        assert seen == [(inside or before, entry)]
        assert settings() == before
    finally:
        torch.set_float32_matmul_precision(products)


def test_tf32_needs_a_gpu(capsys, tmp_path):
    assert main(["digits", "--arithmetic", "tf32", "--out", str(tmp_path / "out")]) == 1
    message = "error: --arithmetic tf32 needs a GPU, got --device cpu; choose float32 or bfloat16"
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_bfloat16_rounds_products_but_neither_weights_nor_outputs():
    torch.manual_seed(0)
    inputs = torch.rand(4, 8)
    exact = torch.nn.Linear(8, 3)
    rounded = devices.computing_in("bfloat16", lambda: exact)()
    outputs = rounded(inputs)
    assert outputs.dtype == exact.weight.dtype == torch.float32
    weight, bias = exact.weight.bfloat16(), exact.bias.bfloat16()
    by_hand = torch.nn.functional.linear(inputs.bfloat16(), weight, bias)
    assert outputs.equal(by_hand.float())
    assert not outputs.equal(exact(inputs))
    outputs.sum().backward()
    assert exact.weight.grad.dtype == torch.float32
    assert devices.computing_in("tf32", exact) is exact


@pytest.mark.parametrize("name", ["meta", "toaster", "hpu"])
def test_an_unusable_device_is_named(name):
    with pytest.raises(BenchmarkError, match=f"--device.*{name}"):
        devices.usable(name)


def test_torch_is_not_asked_for_determinism_unless_it_is_wanted(monkeypatch):
    monkeypatch.setattr(torch, "use_deterministic_algorithms", None)  # Ctrl-C may have broken its import
    with devices.determinism(False):
        pass
