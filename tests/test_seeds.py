"""Streams depend on their names and on nothing else."""

import itertools
import random

import numpy as np
import torch

from modescope import seeds


def test_streams_are_their_names():
    names = list(itertools.product((0, 1), (0, 1, 2), ("init", "order", "dropout"), (0, 1, 7)))
    values = {seeds.seed(*name) for name in names}
    assert len(values) == len(names)
    assert all(0 <= value < 2**63 for value in values)


def test_a_published_value_never_changes():
    # changing this number changes every member that anyone has trained
    assert seeds.seed(0, 3, "order", 7) == 7470834188807279973


def test_a_generator_starts_at_the_beginning_each_time():
    first = torch.rand(3, generator=seeds.generator(0, 1, "order", 2))
    assert torch.equal(first, torch.rand(3, generator=seeds.generator(0, 1, "order", 2)))
    assert not torch.equal(first, torch.rand(3, generator=seeds.generator(0, 1, "order", 3)))


def test_seeded_places_and_restores_all_global_generators():
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    expected = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    inside = []
    for _ in range(2):
        with seeds.seeded(0, 0, "init"):
            inside.append((torch.rand(1).item(), random.random(), float(np.random.rand())))
    assert inside[0] == inside[1]
    assert (torch.rand(1), random.random(), np.random.rand()) == expected
