"""The places of a model's tensors, which members take in turns."""

from functools import partial

import torch
from torch import nn

from lrsched.finder._race_recipe import Places

from .race_cases import net

SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)


def test_copies_share_memory_where_the_originals_do():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.arange(6.0))
            self.register_buffer("view", self.weight.data[2:4])

    tied = Tied()
    places = Places([tied], torch.optim.SGD(tied.parameters(), lr=0.1))
    copied = places.copies()
    copied[0][2] = 100.0
    assert copied[1].tolist() == [100.0, 3.0]
    assert tied.view.tolist() == [2.0, 3.0]


def test_frozen_parameters_are_shared_unless_the_optimizer_has_them():
    model = net()
    model[0].requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(Places([model], SGD(trained)).parameters) == 4
    assert len(Places([model], SGD(list(model.parameters()))).parameters) == 5


def test_the_model_uses_other_tensors_and_then_its_own_again():
    model = net()
    places = Places([model], SGD(list(model.parameters())))
    own, values = places.read(), [torch.full_like(tensor, 3) for tensor in places.read()]
    places.point_to(values)
    assert model[0].weight.data_ptr() == values[0].data_ptr()
    places.put(values)
    assert [tensor.data_ptr() for tensor in places.read()] == [tensor.data_ptr() for tensor in own]
    assert all((value == 3).all() for value in model.state_dict().values())
