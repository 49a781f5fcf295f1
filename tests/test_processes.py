import json
import subprocess
import sys
from typing import get_args

import pytest
import torch

from lrsched._processes import Sync, agree, gathered, rank

WORKER = """
import json, math, sys
import torch, torch.distributed as dist
from torch import nn
from lrsched import range_test
from lrsched import _processes
from lrsched._processes import agree
rank, path, case = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + path, rank=rank, world_size=2)
torch.manual_seed(0)
model = nn.parallel.DistributedDataParallel(nn.Linear(3, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
torch.manual_seed(rank)
batches = [(torch.randn(8, 3), torch.randn(8, 1)) for _ in range(5)]
calls = []
def loss_fn(model, batch):
    calls.append(1)
    loss = ((model(batch[0]) - batch[1]) ** 2).mean()
    return loss * math.nan if case == "nan" and rank == 1 and len(calls) == 7 else loss
if case == "short" and rank == 1:
    batches = iter(batches[:4])
before = [p.detach().clone() for p in model.parameters()]
curve = range_test(model, optimizer, loss_fn, batches, steps=60, end_lr=1e3, sync="mean")
restored = all(torch.equal(a, b) for a, b in zip(before, model.parameters()))
agreed = {how: agree(float(rank + 1), how, None) for how in ("mean", "max", "min", "rank0")}
agreed["nan"] = str(agree(math.inf if rank else 1.0, "max", None))
agreed["own"] = agree(float(rank), None, None) == rank == _processes.rank()
agreed["gathered"] = _processes.gathered(10 * rank)
print(json.dumps([curve.losses.tolist(), curve.stop_reason, restored, agreed]))
dist.barrier()
dist.destroy_process_group()
"""


def run(case, path):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(path / "store"), case],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs[0][1] + outputs[1][1]
    return [json.loads(out) for out, _ in outputs]


@pytest.mark.parametrize(
    ("case", "reason", "points"),
    [("plain", "diverged", None), ("nan", "non-finite", 6), ("short", "data exhausted", 4)],
)
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
def test_processes_find_one_curve_and_stop_together(case, reason, points, tmp_path):
    (here, *ending), (there, *other_ending) = run(case, tmp_path)
    assert here == there
    assert ending == other_ending
    assert ending[:2] == [reason, True]
    assert points is None or len(here) == points
    agreed = {"mean": 1.5, "max": 2.0, "min": 1.0, "rank0": 1.0, "nan": "nan"}
    assert ending[2] == {**agreed, "own": True, "gathered": [0, 10]}


@pytest.mark.parametrize("how", [None, *get_args(Sync)])
def test_one_process_agrees_with_itself(how):
    assert agree(1.5, how, None) == 1.5


def test_one_process_is_the_first_and_gathers_its_own_value():
    assert rank() == 0
    assert gathered("mine") == ["mine"]
