"""Check whether a device can be used."""

from __future__ import annotations

import torch

from .._check import first_line


def usable_device(name: torch.device | str) -> torch.device:
    """Return the device after putting a number on it. Raises ValueError if that fails."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        raise ValueError(f"device {name} cannot be used: {first_line(error)}") from error
    return device
