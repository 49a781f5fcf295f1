"""Runs a module as `python -m` does, attached to the process that started it.

`python -m benchmarks.attached FOLDER MODULE [argument …]` interrupts itself, as by Ctrl-C, when its standard input
ends: when that process closes it, or ends in any way. First it waits until no other attached process uses the folder.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from contextlib import suppress

try:
    import fcntl
except ImportError:  # Windows, where users must avoid running two at once
    fcntl = None  # type: ignore[assignment]


def main(folder: str, module: str, *arguments: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    threading.Thread(target=interrupt_at_the_end_of_input, daemon=True).start()
    wait_for_the_folder(folder)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def interrupt_at_the_end_of_input() -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock would be held when Python ends
        pass
    os.kill(os.getpid(), signal.SIGINT)


def wait_for_the_folder(folder: str) -> None:
    """Lock the folder until this process ends; first wait for one that was attached to a killed process."""
    if fcntl is not None:
        with suppress(OSError):  # the file system has no locks
            fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)


if __name__ == "__main__":
    main(*sys.argv[1:])
