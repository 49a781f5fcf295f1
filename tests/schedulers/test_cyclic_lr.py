"""CyclicLR has the learning rates and momenta of torch's CyclicLR."""

import copy

import numpy as np
import pytest
import torch
from torch.optim import Adam, lr_scheduler

from lrsched import (
    CyclicLR,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import (
    follow,
    mixed,
)

MODES = {
    "triangular": {},
    "triangular2": {"mode": "triangular2"},
    "exp_range": {"mode": "exp_range", "gamma": 0.9993},
    "scale_fn cycle": {"scale_fn": lambda x: 1 / (5 ** (x * 0.01)), "scale_mode": "cycle"},
    "scale_fn iterations": {"scale_fn": lambda x: 0.9995**x, "scale_mode": "iterations"},
    "scale_fn with an unknown mode": {"scale_fn": lambda x: 0.5, "mode": "ignored"},
}


SIZES = {
    "symmetric": {"step_size_up": 20},
    "asymmetric": {"step_size_up": 3, "step_size_down": 11},
    "fractional": {"step_size_up": 2.5, "step_size_down": 3.25},
    "no way down": {"step_size_up": 8, "step_size_down": 0},
}


OPTIMIZERS = {
    "SGD": lambda kind: make_optimizer((0.3, 0.2), kind, momentum=0.5),
    "Adam": lambda kind: make_optimizer((0.3, 0.2), kind, optimizer=Adam, betas=(0.5, 0.99)),
    "NAdam": lambda kind: make_optimizer((0.3, 0.2), kind, optimizer=torch.optim.NAdam),
}


def momenta(optimizer):
    return [list(group["betas"]) if "betas" in group else group["momentum"] for group in optimizer.param_groups]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("mode", MODES)
def test_cyclic_rates_and_momenta_equal_torchs(mode, optimizer):
    options = {"base_lr": [0.01, 0.2], "max_lr": [0.3, 0.25], "base_momentum": [0.7, 0.8], "max_momentum": 0.95}
    for name, size in SIZES.items():
        kind = "float" if name != "asymmetric" else "tensor"
        pairs = []
        for cls in (CyclicLR, lr_scheduler.CyclicLR):
            stepped = OPTIMIZERS[optimizer](kind)
            pairs.append((stepped, cls(stepped, **options, **size, **MODES[mode])))
            stepped.step()
        (ours, scheduler), (theirs, reference) = pairs
        for k in range(500):
            np.testing.assert_allclose(group_lrs(ours), group_lrs(theirs), rtol=0, atol=1e-12, err_msg=f"{name}, {k}")
            np.testing.assert_allclose(momenta(ours), momenta(theirs), rtol=0, atol=1e-12, err_msg=f"{name}, {k}")
            scheduler.step()
            reference.step()


def test_cyclic_without_momentum_leaves_the_momentum_alone():
    optimizer = make_optimizer((0.1,), momentum=0.5)
    scheduler = CyclicLR(optimizer, 0.01, 0.1, step_size_up=2, cycle_momentum=False)
    follow(scheduler, optimizer, 5)
    assert momenta(optimizer) == [0.5]
    assert "max_momentum" not in optimizer.param_groups[0]
    plain = make_optimizer((0.1,), optimizer=torch.optim.RMSprop)
    CyclicLR(plain, 0.01, 0.1, cycle_momentum=False)
    adagrad = make_optimizer((0.1,), optimizer=torch.optim.Adagrad)
    CyclicLR(adagrad, 0.01, 0.1, cycle_momentum=False)


def test_cyclic_calls_scale_fn_with_the_same_arguments_as_torch():
    for scale_mode in ("cycle", "iterations"):
        calls = []
        for cls in (CyclicLR, lr_scheduler.CyclicLR):
            seen = []
            optimizer = make_optimizer((0.1,), momentum=0.9)

            def scale(x, seen=seen):
                seen.append(x)
                return 1.0

            scheduler = cls(optimizer, 0.1, 1.0, step_size_up=2, scale_fn=scale, scale_mode=scale_mode)
            follow(scheduler, optimizer, 12)
            calls.append(sorted(set(seen)))
        assert calls[0] == calls[1]


def test_cyclic_takes_torchs_arguments_by_position():
    ours, theirs = make_optimizer((0.1,), momentum=0.9), make_optimizer((0.1,), momentum=0.9)
    arguments = (0.01, 0.1, 3, 5, "exp_range", 0.99, None, "cycle", True, 0.8, 0.9, -1)
    lrs = follow(CyclicLR(ours, *arguments), ours, 30)
    expected = follow(lr_scheduler.CyclicLR(theirs, *arguments), theirs, 30)
    np.testing.assert_allclose(lrs, expected, rtol=0, atol=1e-12)
    assert momenta(ours) == pytest.approx(momenta(theirs), abs=1e-12)


def test_bad_scale_mode_is_named():
    for value in ("x", None, 3):
        with pytest.raises((TypeError, ValueError), match="scale_mode"):
            CyclicLR(mixed(), 0.1, 0.3, scale_fn=lambda x: 1.0, scale_mode=value)


def test_cyclic_momentum_needs_an_optimizer_that_has_one():
    optimizer = make_optimizer((0.1,), optimizer=torch.optim.Adagrad)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=r"cycle_momentum"):
        CyclicLR(optimizer, 0.1, 0.3)
    assert optimizer.state_dict() == before
