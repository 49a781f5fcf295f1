"""An exception during a range test has the curve so far."""

import pytest

from lrsched import Curve, range_test
from tests.finder.helpers import BATCHES, Record, line, square


class OwnError(Exception):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit, OwnError])
@pytest.mark.parametrize("place", ["loss_fn", "callback"])
def test_an_exception_has_the_points_so_far(error, place):
    model, optimizer = line()
    points, raised = [], error("stop")

    def loss_fn(model, batch):
        if place == "loss_fn" and len(points) == 12:
            raise raised
        return square(model, batch)

    def callback(k, lr, loss):
        points.append((lr, loss))
        if place == "callback" and len(points) == 12:
            raise raised

    record = Record(model, optimizer)
    with pytest.raises(error) as caught:
        range_test(model, optimizer, loss_fn, BATCHES, callback=callback)
    record.verify()
    assert caught.value is raised
    curve = raised.curve
    assert isinstance(curve, Curve)
    assert curve.stop_reason == "interrupted"
    assert list(zip(curve.lrs, curve.losses, strict=True)) == points
    assert len(points) == 12
    assert Curve.from_json(curve.to_json()).stop_reason == "interrupted"


def test_an_exception_before_the_first_point_has_an_empty_curve():
    def loss_fn(model, batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        range_test(*line(), loss_fn, BATCHES)
    assert (len(caught.value.curve), caught.value.curve.suggestion) == (0, None)
    assert caught.value.curve.reason == "there are no points: interrupted"


@pytest.mark.parametrize(("calls", "shape", "reason"), [(25, (2, 10), "completed"), (7, (1, 6), "interrupted")])
def test_repeats_that_are_complete_count_and_the_last_one_only_if_it_is_alone(calls, shape, reason):
    seen = []

    def loss_fn(model, batch):
        seen.append(1)
        if len(seen) == calls:
            raise KeyboardInterrupt
        return square(model, batch)

    with pytest.raises(KeyboardInterrupt) as caught:
        range_test(*line(), loss_fn, BATCHES, steps=10, repeats=3, end_lr=1e-3)
    assert caught.value.curve.all_losses.shape == shape
    assert caught.value.curve.stop_reason == reason
