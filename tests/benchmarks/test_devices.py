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


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("ends", [None, RuntimeError("no memory")])
@pytest.mark.parametrize(("device", "inside"), [("cuda", False), ("cpu", None)])
def test_a_gpu_trains_in_full_float32_and_its_setting_is_restored(tmp_path, monkeypatch, device, inside, before, ends):
    seen = []

    def train(benchmark, settings, data, device, *rest):
        seen.append((torch.backends.cudnn.allow_tf32, devices.arithmetic(device)))
        if ends:
            raise ends

    monkeypatch.setattr(table, "processes", lambda name: nullcontext((torch.device(name), 0)))
    monkeypatch.setattr(table, "train", train)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    with nullcontext() if ends is None else pytest.raises(RuntimeError, match="no memory"):
        main(["digits", "--device", device, "--out", str(tmp_path)])
    assert seen == [(before, {}) if inside is None else (inside, {"tf32": inside})]
    assert torch.backends.cudnn.allow_tf32 is before


@pytest.mark.parametrize("name", ["meta", "toaster", "hpu"])
def test_an_unusable_device_is_named(name):
    with pytest.raises(BenchmarkError, match=f"--device.*{name}"):
        devices.usable(name)


def test_torch_is_not_asked_for_determinism_unless_it_is_wanted(monkeypatch):
    monkeypatch.setattr(torch, "use_deterministic_algorithms", None)  # Ctrl-C may have broken its import
    with devices.determinism(False):
        pass
