"""Of several processes, only the first shows progress."""

import contextlib
import io
import sys

import pytest
import torch
import torch.distributed as dist

from tests.test_progress import CALLS

from .processes import in_two_processes
from .test_distributed import join


def shown(rank, name):
    """Return what a call prints on this rank."""
    join()
    sys.modules["tqdm"] = None
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        CALLS[name](progress=True)
    dist.destroy_process_group()
    return err.getvalue()


@pytest.mark.parametrize("name", ["range test", "sweep side by side", "race one after another"])
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
def test_only_the_first_process_shows_progress(name, tmp_path):
    first, second = in_two_processes(shown, tmp_path, name)
    assert len(first.splitlines()) >= 2
    assert second == ""
