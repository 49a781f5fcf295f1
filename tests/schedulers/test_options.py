"""Options of param groups: read and written as one number per group, and refused by name if they are not numbers."""

import pytest
import torch

from lrsched.schedulers._options import base_values, check_option, note, read_option, restamp, stamp, write_option
from tests.helpers import make_optimizer


def test_an_option_is_read_and_written_per_group():
    optimizer = make_optimizer((0.1, 0.2), momentum=0.5)
    assert read_option(optimizer, "momentum") == [0.5, 0.5]
    write_option(optimizer, "momentum", [0.25, 0.75])
    assert [group["momentum"] for group in optimizer.param_groups] == [0.25, 0.75]


@pytest.mark.parametrize("kind", [tuple, list])
def test_the_momentum_of_betas_is_the_first_and_the_others_stay(kind):
    optimizer = make_optimizer((0.1,), optimizer=torch.optim.Adam)
    optimizer.param_groups[0]["betas"] = kind((0.9, 0.99, 0.5))
    assert read_option(optimizer, "momentum") == [0.9]
    write_option(optimizer, "momentum", [0.25])
    assert optimizer.param_groups[0]["betas"] == kind((0.25, 0.99, 0.5))
    assert type(optimizer.param_groups[0]["betas"]) is kind
    assert "momentum" not in optimizer.param_groups[0]


def test_tensors_are_filled_in_place():
    optimizer = make_optimizer((0.1,), optimizer=torch.optim.Adam)
    eps, betas = torch.tensor(0.5), (torch.tensor(0.9), torch.tensor(0.99))
    optimizer.param_groups[0].update(eps=eps, betas=betas)
    write_option(optimizer, "eps", [0.25])
    write_option(optimizer, "momentum", [0.75])
    assert optimizer.param_groups[0]["eps"] is eps
    assert optimizer.param_groups[0]["betas"] is betas
    assert (float(eps), float(betas[0])) == (0.25, 0.75)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("lr", ValueError, "^name must be an option other than the learning rate, got 'lr': use SequenceLR$"),
        ("initial_lr", ValueError, "got 'initial_lr': use SequenceLR$"),
        (
            "wd",
            ValueError,
            "got 'wd': param group 0 does not have it; numeric options are 'eps', 'mine', 'momentum'",
        ),
        (
            "betas",
            ValueError,
            r"param group 0 has \(0\.9, 0\.999\) \(tuple\); the first of the betas is 'momentum';",
        ),
        ("amsgrad", ValueError, r"got 'amsgrad': param group 0 has False \(bool\); numeric options are 'eps'"),
        ("foreach", ValueError, r"got 'foreach': param group 0 has None \(NoneType\)"),
        ("params", ValueError, r"got 'params': param group 0 has \["),
        ("text", ValueError, r"got 'text': param group 0 has 'x' \(str\)"),
        ("", ValueError, "got '': param group 0 does not have it"),
        (None, TypeError, r"^name must be the name of an option of the param groups, got None \(NoneType\)$"),
        (3, TypeError, r"^name must be the name of an option of the param groups, got 3 \(int\)$"),
    ],
)
def test_what_is_no_numeric_option_is_refused_and_those_there_are_are_listed(name, error, message):
    optimizer = make_optimizer((0.1,), optimizer=torch.optim.Adam)
    optimizer.param_groups[0].update(text="x", mine=3, initial_mine=5.0)
    with pytest.raises(error, match=message):
        check_option(optimizer, name)


def test_every_group_must_have_the_option():
    optimizer = make_optimizer((0.1, 0.2))
    optimizer.param_groups[0]["mine"] = 3
    with pytest.raises(ValueError, match="got 'mine': param group 1 does not have it; numeric options are 'dampening'"):
        check_option(optimizer, "mine")


def test_a_tensor_of_integers_is_refused():
    optimizer = make_optimizer((0.1,))
    optimizer.param_groups[0]["mine"] = torch.tensor(3)
    with pytest.raises(TypeError, match=r"^mine of param group 0 must be a tensor of floats, got tensor"):
        base_values(optimizer, check_option(optimizer, "mine"))


def test_bases_are_stamped_once_and_taken_before_the_option():
    optimizer = make_optimizer((0.1, 0.2), momentum=0.5)
    stamp(optimizer, "momentum", [0.5, 0.5])
    stamp(optimizer, "momentum", [0.9, 0.9])
    write_option(optimizer, "momentum", [0.1, 0.1])
    assert base_values(optimizer, "momentum") == [0.5, 0.5]
    restamp(optimizer, "momentum", [0.75])
    assert base_values(optimizer, "momentum") == [0.75, 0.1]
    note(optimizer, 1, {"mine": [1.0, 2.0]})
    assert [group.get("mine") for group in optimizer.param_groups] == [None, 2.0]
