"""Code that draws from a random state of its own."""

import random

import numpy as np
import pytest
import torch

from lrsched._owned import undo_random
from lrsched.comparison._random_state import Apart
from tests.test_owned import KINDS, draw


def draw_globally():
    return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_alone_decides_what_a_given_generator_draws_apart(kind):
    generator, untouched = KINDS[kind](), KINDS[kind]()
    found = []
    for seed in (5, 5, 6):
        apart = Apart(seed, [generator])
        for _ in range(2):
            with apart:
                found.append(draw(generator))
            draw(generator)
    assert found[:2] == found[2:4]
    assert len(set(found)) == 4
    for _ in range(6):
        draw(untouched)
    assert draw(generator) == draw(untouched)  # nothing has changed outside the blocks


def test_global_generators_are_apart_too():
    inside = []
    for seed in (5, 5, 6):
        apart = Apart(seed)
        with apart:
            inside.append(draw_globally())
        outside = draw_globally()
        with apart:
            inside.append(draw_globally())
        assert outside not in inside
    assert inside[:2] == inside[2:4]
    assert len(set(inside)) == 4


def test_nothing_changes_outside_even_if_a_block_fails():
    states = [undo_random(source) for source in (torch.default_generator, np.random.mtrand._rand)]
    expected = draw_globally()[:2]
    for undo in states:
        undo()
    apart = Apart(3)
    with pytest.raises(ZeroDivisionError), apart:
        draw_globally()[0] / 0
    assert draw_globally()[:2] == expected


def test_torch_is_seeded_with_the_seed_itself():
    with Apart(7):
        found = torch.rand(3)
    assert torch.equal(found, torch.rand(3, generator=torch.Generator().manual_seed(7)))


def test_the_second_of_numpys_pair_of_normal_numbers_is_kept():
    np.random.randn()  # noqa: NPY002  # makes a pair
    undo = undo_random(np.random.mtrand._rand)
    expected = np.random.randn()  # noqa: NPY002
    undo()
    with Apart(3):
        draw_globally()
    assert np.random.randn() == expected  # noqa: NPY002


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpus_global_generator_is_apart_too():
    found = []
    for _ in range(2):
        with Apart(3, device=torch.device("cuda")):
            found.append(torch.rand(1, device="cuda").item())
        found.append(torch.rand(1, device="cuda").item())
    assert found[0] == found[2]
    assert len(set(found)) == 3
