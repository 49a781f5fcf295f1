"""The origin of a result: versions, hardware, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import lrsched

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")


def origin(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return the hardware, versions and commit, in the format of every file of figures."""
    return {"hardware": hardware(device), "versions": versions(), "commit": commit()}


def versions() -> dict[str, str]:
    own = {"python": platform.python_version(), "lrsched": lrsched.__version__}
    return own | {name: version(name) for name in PACKAGES}


def hardware(device: torch.device | str = "cpu") -> str:
    """Return one line: the accelerator if one is used, the processor, its cores, torch and its threads."""
    threads = torch.get_num_threads()
    line = (
        f"{_processor()}, {os.cpu_count()} cores, torch {torch.__version__} with {threads} thread{'s' * (threads > 1)}"
    )
    device = torch.device(device)
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}; {line}"
    return line if device.type == "cpu" else f"{device.type}; {line}"


def commit() -> str | None:
    """Return the checkout's commit, marked "-dirty" if files differ from it; None outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def note(device: torch.device | str, arithmetic: str = "float32") -> str:
    """Return the note that records carry: the hardware, the commit and the arithmetic."""
    return f"{hardware(device)}; commit {commit() or 'unknown'}; {arithmetic}"


def hardware_of(note: str) -> str:
    return note.partition("; commit ")[0]


def commit_of(note: str) -> str:
    return note.partition("; commit ")[2].partition(";")[0] or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
