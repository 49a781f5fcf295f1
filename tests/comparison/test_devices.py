"""Devices that can hold a number can be used."""

import pytest
import torch

from lrsched.comparison._devices import usable_device


def test_a_usable_device_is_returned():
    assert usable_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:77", "nonsense", "meta"])
def test_a_device_that_cannot_hold_a_number_is_refused(name):
    with pytest.raises(ValueError, match=rf"^device {name} cannot be used: \w"):
        usable_device(name)
