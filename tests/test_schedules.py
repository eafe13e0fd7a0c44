"""Schedules and optimisers: the sources' values, and PyTorch's own steps."""

import math

import numpy as np
import pytest
import torch

from modescope import seeds
from modescope.recipe import load
from modescope.settings import TrainingSettings
from modescope.training.member import initial_network
from modescope.training.optimizers import build_optimizer
from modescope.training.schedules import SCHEDULES, learning_rate


def rates(schedule, epochs, learning_rate_=1.6e-3):
    settings = TrainingSettings(schedule=schedule, epochs=epochs, learning_rate=learning_rate_)
    return [learning_rate(settings, epoch) for epoch in range(epochs)]


def test_the_reports_schedule_is_halved_at_9_19_29():
    expected = [1.6e-3] * 9 + [0.8e-3] * 10 + [0.4e-3] * 10 + [0.2e-3] * 11
    np.testing.assert_allclose(rates("report", 40), expected)


def test_the_papers_schedule_is_halved_every_ten_epochs():
    expected = [1.6e-3 / 2 ** math.floor(epoch / 10) for epoch in range(40)]
    np.testing.assert_allclose(rates("paper", 40), expected)
    assert rates("paper", 40)[9] == 1.6e-3 != rates("report", 40)[9]  # the two differ by one epoch


def test_kerass_schedule_steps_after_80_120_160_180():
    def keras(epoch):
        rate = 1e-3
        for last, factor in ((80, 1e-1), (120, 1e-2), (160, 1e-3), (180, 0.5e-3)):
            if epoch > last:
                rate = 1e-3 * factor
        return rate

    np.testing.assert_allclose(rates("keras-resnet", 200, 1e-3), [keras(epoch) for epoch in range(200)])


def test_cifar100s_schedule_and_the_plain_ones():
    made = rates("paper-cifar100", 200, 1e-3)
    np.testing.assert_allclose([made[e] for e in (99, 100, 130, 160, 190)], [1e-3, 1e-4, 5e-5, 1e-5, 5e-7])
    assert rates("constant", 3) == [1.6e-3] * 3
    np.testing.assert_allclose(rates("cosine", 4, 1.0), [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2])
    np.testing.assert_allclose(rates(((1, 0.5), (2, 0.1)), 3, 1.0), [1, 0.5, 0.1])
    assert set(SCHEDULES) == {"constant", "cosine", "report", "paper", "keras-resnet", "paper-cifar100"}


@pytest.mark.parametrize(
    ("settings", "plain"),
    [
        ({"optimizer": "adam", "epsilon": 1e-7}, lambda p: torch.optim.Adam(p, 0.01, eps=1e-7)),
        ({"optimizer": "adam", "weight_decay": 0.1}, lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1)),
        ({"optimizer": "adamw", "weight_decay": 0.1}, lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1)),
        ({"optimizer": "sgd", "weight_decay": 0.1}, lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, weight_decay=0.1)),
    ],
)
def test_optimizers_are_pytorchs_own(settings, plain):
    networks = []
    for make in (
        lambda net: build_optimizer(net.parameters(), TrainingSettings(learning_rate=0.01, **settings)),
        lambda net: plain(net.parameters()),
    ):
        network = initial_network(load("digits"), 0, (8, 8, 1), 10).double()
        optimizer = make(network)
        for step in range(5):
            images = torch.rand(8, 1, 8, 8, generator=seeds.generator(0, step, "test"), dtype=torch.float64)
            optimizer.zero_grad()
            network.eval()(images).square().sum().backward()
            optimizer.step()
        networks.append(network)
    for ours, theirs in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


def test_only_weights_decay_where_the_recipe_says_so():
    network = initial_network(load("digits"), 0, (8, 8, 1), 10)
    optimizer = build_optimizer(network.parameters(), TrainingSettings(weight_decay=0.1, decayed="weights"))
    decays = {id(parameter): group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]}
    assert {name: decays[id(p)] for name, p in network.named_parameters()} == {
        name: 0.1 if p.ndim > 1 else 0.0 for name, p in network.named_parameters()
    }
