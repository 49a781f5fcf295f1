"""Schedulers that count steps: warnings about the order of calls, epochs, and copies."""

import copy
import pickle

import pytest
from torch.optim.lr_scheduler import EPOCH_DEPRECATION_WARNING

from lrsched import GeometricLR, Linear, ParamSchedule
from tests.helpers import make_optimizer
from tests.schedulers.cases import caught

MAKERS = {
    "SequenceLR": GeometricLR,
    "ParamSchedule": lambda optimizer: ParamSchedule(optimizer, "momentum", Linear(10)),
}
every_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@every_maker
@pytest.mark.parametrize("replaced", [False, True])
def test_a_step_before_the_optimizers_warns_at_the_users_line(make, replaced):
    optimizer = make_optimizer((0.1,), momentum=0.5)
    scheduler = make(optimizer)
    if replaced:
        optimizer.step = lambda: None
    (warning,) = caught(lambda: scheduler.step())
    assert ("has been overridden" if replaced else "Detected call of `lr_scheduler.step()`") in str(warning.message)
    assert warning.filename == __file__


@every_maker
def test_the_right_order_does_not_warn(make):
    optimizer = make_optimizer((0.1,), momentum=0.5)
    scheduler = make(optimizer)
    optimizer.step()
    assert caught(lambda: scheduler.step()) == []
    assert (scheduler.last_epoch, scheduler._step_count) == (1, 2)


@every_maker
def test_an_epoch_warns_and_a_metric_is_refused(make):
    optimizer = make_optimizer((0.1,), momentum=0.5)
    scheduler = make(optimizer)
    optimizer.step()
    (warning,) = caught(lambda: scheduler.step(4))
    assert (str(warning.message), warning.filename) == (EPOCH_DEPRECATION_WARNING, __file__)
    assert scheduler.last_epoch == 4
    before = scheduler.state_dict()
    for epoch in (0.5, "x", True):
        with pytest.raises(TypeError, match=r"^epoch must be an integer.*step by the batch.*PlateauSequence"):
            scheduler.step(epoch)
    assert scheduler.state_dict() == before


@every_maker
@pytest.mark.parametrize("stepped", [False, True])
def test_a_copy_knows_whether_its_optimizer_has_stepped(make, stepped):
    optimizer = make_optimizer((0.1,), momentum=0.5)
    scheduler = make(optimizer)
    if stepped:
        optimizer.step()
    for twin in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):
        assert twin.state_dict() == scheduler.state_dict()
        assert len(caught(lambda twin=twin: twin.step())) == (not stepped)
