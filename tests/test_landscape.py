"""Planes and paths: points whose value is known."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch

from modescope import seeds
from modescope.landscape.connect import train_path
from modescope.landscape.path import KINDS, bezier, polygon, straight
from modescope.landscape.plane import grid_around, plane_through, radial_plane


def vectors(count, size=50, seed=0):
    return torch.randn((count, size), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_radial_plane_holds_the_origin_and_both_solutions():
    first, second = vectors(2)
    plane = radial_plane(first, second)
    places = plane.coordinates(torch.stack([first, second, torch.zeros(50, dtype=torch.float64)]))
    np.testing.assert_allclose(places[0], [first.norm(), 0], atol=1e-12)
    np.testing.assert_allclose(places[2], [0, 0], atol=1e-12)
    assert places[1, 1] > 0
    np.testing.assert_allclose(plane.points(places[:2]), torch.stack([first, second]), atol=1e-12)
    np.testing.assert_allclose(plane.distances(torch.stack([first, second])), 0, atol=1e-10)
    assert abs(float(plane.first @ plane.second)) < 1e-12


def test_distances_in_the_plane_are_distances_in_weights():
    three = vectors(3)
    plane = plane_through(*three)
    places = plane.coordinates(three)
    np.testing.assert_allclose(torch.cdist(places, places), torch.cdist(three, three), atol=1e-6)
    outside = vectors(1, seed=9)
    foot = plane.points(plane.coordinates(outside))
    np.testing.assert_allclose(plane.distances(outside), (outside - foot).norm(dim=1))
    np.testing.assert_allclose((outside - foot) @ plane.first, 0, atol=1e-12)


@pytest.mark.parametrize("second", [0.0, 1.0, -2.0])
def test_three_points_on_a_line_make_no_plane(second):
    first = vectors(1)[0]
    with pytest.raises(ValueError, match="do not lie on a line"):
        radial_plane(first, second * first)


def test_a_grid_shows_everything_with_square_cells():
    shown = torch.tensor([[0.0, 0.0], [10.0, 4.0]], dtype=torch.float64)
    x, y = grid_around(shown, 11, 0.1)
    np.testing.assert_allclose([x[0], x[-1]], [-1, 11])
    np.testing.assert_allclose([y[0], y[-1]], [-4, 8])
    np.testing.assert_allclose(x[1] - x[0], y[1] - y[0])


def test_paths_against_de_casteljau_and_lines():
    bends = vectors(4, size=3)
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    for place, made in zip(t, bezier(t, 4) @ bends, strict=True):
        points = list(bends)
        while len(points) > 1:
            points = [(1 - place) * one + place * other for one, other in itertools.pairwise(points)]
        np.testing.assert_allclose(made, points[0], atol=1e-12)
    corners = polygon(torch.tensor([0, 1 / 3, 2 / 3, 1], dtype=torch.float64), 4) @ bends
    np.testing.assert_allclose(corners, bends, atol=1e-12)
    middle = polygon(torch.tensor([0.5], dtype=torch.float64), 4) @ bends
    np.testing.assert_allclose(middle[0], (bends[1] + bends[2]) / 2, atol=1e-12)
    for coefficients in KINDS.values():
        np.testing.assert_allclose(coefficients(t, 5).sum(dim=1), 1)


def test_untrained_bends_are_the_straight_line():
    first, second = vectors(2, size=3)
    bends = straight(first, second, 5)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    line = (1 - t)[:, None] * first + t[:, None] * second
    for coefficients in (bezier, polygon):
        np.testing.assert_allclose(coefficients(t, 5) @ bends, line, atol=1e-12)
    assert torch.equal(bends[0], first)
    assert torch.equal(bends[-1], second)


def trained_path(bench, kind, steps, bends=3, network=None):
    first, second = bench.optimum(0), bench.optimum(1)
    return train_path(
        bench.networks, network or bench.network_of(0), straight(first, second, bends), KINDS[kind], bench.data,
        bench.run.recipe.training, steps=steps, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["bezier", "polygon"])
def test_a_trained_path_is_lower_than_the_line_and_keeps_its_ends(well_trained, kind):
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    labels = well_trained.data.train.labels.numpy()

    def worst(bends):
        said = well_trained.evaluate(0, KINDS[kind](t, len(bends)) @ bends, well_trained.data.train)
        return float((-said[:, np.arange(len(labels)), labels].mean(axis=1)).max())

    line, path = trained_path(well_trained, kind, 0), trained_path(well_trained, kind, 250, bends=4)
    assert torch.equal(path[0], well_trained.optimum(0))
    assert torch.equal(path[-1], well_trained.optimum(1))
    assert worst(path) < 0.7 * worst(line)


def test_a_path_does_not_depend_on_the_networks_own_numbers_and_repeats(well_trained):
    network = well_trained.network_of(0)
    before = copy.deepcopy(network.state_dict())
    one = trained_path(well_trained, "bezier", 5, network=network)
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())
    assert torch.equal(one, trained_path(well_trained, "bezier", 5))
    assert not torch.equal(one, trained_path(well_trained, "polygon", 5))


def test_one_step_is_the_gradient_of_the_loss_at_the_place(well_trained):
    # with SGD, a bend moves by minus learning rate x coefficient x gradient at the place
    recipe = well_trained.run.recipe
    settings = recipe.training.model_copy(update={"optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.25})
    bends = straight(well_trained.optimum(0), well_trained.optimum(1), 3)
    network = well_trained.network_of(0)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    moved = train_path(
        well_trained.networks, network, bends, KINDS["bezier"], well_trained.data, settings, steps=1, seed=3
    )
    place = torch.rand(1, generator=seeds.generator(3, 0, "connectors/places"), dtype=torch.float64)
    weights = KINDS["bezier"](place, 3)[0]
    order = torch.randperm(len(well_trained.data.train), generator=seeds.generator(3, 0, "connectors/order"))
    batch = order[: settings.batch_size]
    point = (weights @ bends).float()
    parameters = [parameter for parameter in network.parameters()]
    torch.nn.utils.vector_to_parameters(point, parameters)
    inputs = well_trained.data.scaling(well_trained.data.train.inputs[batch])
    loss = torch.nn.functional.cross_entropy(network.train()(inputs), well_trained.data.train.labels[batch])
    gradient = torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss, parameters)]).double()
    expected = bends[1].float().double() - 0.25 * float(weights[1]) * gradient
    np.testing.assert_allclose(moved[1], expected, atol=2e-6)
    assert math.isclose(float(weights.sum()), 1)
