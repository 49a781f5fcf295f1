"""Run a function in two processes that can reach each other, and collect what each returns."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.multiprocessing as mp


def in_two_processes(function: Callable[..., Any], folder: Path, *args: Any) -> list[Any]:
    """Return [function(0, *args), function(1, *args)], each called in a process with torch's environment variables.

    The store that the processes meet at lives here and picks its own port, as under torchrun, so that no two tests that
    run at once can take the same one.
    """
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    mp.start_processes(_enter, args=(function, str(folder), store.port, args), nprocs=2, start_method="spawn")
    return [pickle.loads((folder / f"rank{rank}").read_bytes()) for rank in range(2)]


def _enter(rank: int, function: Callable[..., Any], folder: str, port: int, args: tuple[Any, ...]) -> None:
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank}
    where |= {"TORCHELASTIC_USE_AGENT_STORE": True, "TORCHELASTIC_RESTART_COUNT": 0}  # neither process is the host
    os.environ |= {name: str(value) for name, value in where.items()}
    result = function(rank, *args)
    Path(folder, f"rank{rank}").write_bytes(pickle.dumps(result))
    # Skip the interpreter's shutdown: gloo's threads may still wait for a lost process or free tensors, and then they
    # abort the process.
    os._exit(0)
