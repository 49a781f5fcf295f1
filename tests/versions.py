"""What older releases of torch lack or do differently, for the tests that meet it; `.ci/versions` runs them.

Every reason to skip a test begins with the releases that it holds for.
"""

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, SequentialLR

Adafactor = getattr(torch.optim, "Adafactor", None)
needs_adafactor = pytest.mark.skipif(Adafactor is None, reason="torch ≤ 2.4 has no Adafactor")

# torch ≤ 2.8: SequentialLR calls step(0) at a milestone, which warns, and lets `lr` and `initial_lr` be one tensor.
OLD_SEQUENTIAL = not hasattr(LRScheduler, "_update_lr")
ignore_step_of_sequential = pytest.mark.filterwarnings(
    f"{'ignore' if OLD_SEQUENTIAL else 'error'}:The epoch parameter in `scheduler.step"
)


needs_recursive_undo = pytest.mark.skipif(
    not hasattr(SequentialLR, "recursive_undo"),
    reason="torch ≤ 2.7: a SequentialLR in another does not undo the first step of its children",
)


def _begins_with_second_child():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    SequentialLR(optimizer, [LambdaLR(optimizer, lambda k: 0.25), LambdaLR(optimizer, lambda k: 0.5)], [0])
    return optimizer.param_groups[0]["lr"] == 0.5


needs_milestone_at_zero = pytest.mark.skipif(
    not _begins_with_second_child(),
    reason="torch ≤ 2.11: SequentialLR begins with its first child even if the first milestone is 0",
)
