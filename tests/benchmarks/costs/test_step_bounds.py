import torch

from benchmarks.costs import step_bounds
from benchmarks.costs.step_bounds import Work

CPU = torch.device("cpu")


def test_the_work_of_a_product_and_a_sum_by_hand():
    a, b, c = torch.ones(8, 4), torch.ones(4, 2), torch.ones(8, 2)
    found = step_bounds.work(lambda: (a @ b).add_(c).t())  # the transpose is a view
    product, addition = 4 * (8 * 4 + 4 * 2 + 8 * 2), 4 * 3 * 8 * 2
    assert found == Work(bytes=product + addition, operations=2 * 8 * 4 * 2, launches=2)


def test_expanded_tensors_count_once():
    assert step_bounds.size([torch.ones(1).expand(100), {"a": (torch.ones(3, 2).double(), None, 5)}]) == 4 + 48


def test_seconds_are_work_divided_by_speed_longest_first():
    found = Work(bytes=100, operations=30, launches=2).seconds(Work(bytes=50, operations=10, launches=100))
    assert list(found.items()) == [("operations", 3.0), ("bytes", 2.0), ("launches", 0.02)]


def test_a_device_has_a_speed():
    found = step_bounds.speed(CPU)
    assert 1e8 < found.bytes < 1e13
    assert 1e8 < found.operations < 1e13
    assert 1e3 < found.launches < 1e8
