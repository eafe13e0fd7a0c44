"""Ways to draw networks: moments, known answers, and the mistakes that others made."""

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from modescope.subspaces import METHODS, Around
from modescope.subspaces.diagonal_gaussian import diagonal_gaussian
from modescope.subspaces.dropout import dropout
from modescope.subspaces.late_snapshots import late_snapshots
from modescope.subspaces.low_rank_gaussian import low_rank_gaussian, low_rank_gaussian_unit
from modescope.subspaces.mc_dropout import mc_dropout
from modescope.subspaces.presets import PRESETS
from modescope.subspaces.random import random
from modescope.subspaces.random_low_rank import random_low_rank
from modescope.subspaces.snapshot_ensemble import snapshot_epochs
from modescope.subspaces.swag import swag
from modescope.subspaces.trajectory import principal_components
from modescope.subspaces.weight_average import weight_average

MANY = 40_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def trajectory(epochs=6, parameters=5, seed=1):
    spread = torch.tensor([0.1, 1.0, 2.0, 0.5, 3.0], dtype=torch.float64)[:parameters]
    steps = torch.randn((epochs, parameters), generator=generator(seed), dtype=torch.float64)
    return 4 + spread * (steps + steps.roll(1, dims=1))


def covariance(samples):
    return np.cov(samples.numpy().T, ddof=0)


def test_random_steps_are_uniform_in_length_and_isotropic():
    weights = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    steps = random(weights, generator(), samples=MANY, longest=5.0) - weights
    lengths = steps.norm(dim=1)
    assert lengths.max() <= 5
    quarters = np.histogram(lengths, bins=4, range=(0, 5))[0] / MANY
    np.testing.assert_allclose(quarters, 0.25, atol=0.01)
    directions = steps / lengths[:, None]
    np.testing.assert_allclose(directions.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(covariance(directions), np.eye(3) / 3, atol=0.01)


def test_rejected_random_samples_are_drawn_again_shorter_and_at_last_given_up():
    asked = []

    def accept(drawn):
        asked.append(len(drawn))
        return drawn.norm(dim=1) < 1.0

    drawn = random(torch.zeros(50), generator(), samples=200, longest=10.0, accept=accept, tries=3)
    assert len(asked) == 3
    assert asked[0] == 200 > asked[1] > asked[2]
    assert 10 < len(drawn) < 90  # a tenth of each try is short enough
    assert (drawn.norm(dim=1) < 1).all()
    assert len(random(torch.zeros(5), generator(), samples=4, longest=9.0, accept=lambda drawn: drawn[:, 0] > 99)) == 0
    shorter = random(torch.zeros(50), generator(), samples=200, longest=10.0, accept=accept, tries=6, shrink=0.5)
    assert len(shorter) == 200


def test_dropout_of_weights_keeps_the_mean_and_scales_up_what_stays():
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64).repeat(2000)
    drawn = dropout(weights, generator(), samples=300, highest=0.5)
    rates = (drawn == 0).double().mean(dim=1)
    assert 0 <= rates.min() < 0.02
    assert 0.48 < rates.max() <= 0.53
    np.testing.assert_allclose(rates.mean(), 0.25, atol=0.02)
    for sample, rate in zip(drawn[:20], rates[:20], strict=True):
        scale = (sample / weights)[sample != 0]
        assert scale.unique().numel() <= 3  # one rate a sample; rounding
        np.testing.assert_allclose(scale.mean(), 1 / (1 - rate), rtol=0.05)
    np.testing.assert_allclose(drawn.reshape(300, -1, 3).mean(dim=(0, 1)), [1, -2, 0.5], atol=0.02)
    with pytest.raises(ValueError, match=r"lies in \[0, 1\), not at 1"):
        dropout(weights, generator(), samples=1, highest=1.0)


def test_diagonal_gaussian_has_the_trajectorys_mean_and_standard_deviation():
    along = trajectory()
    drawn = diagonal_gaussian(along, generator(), samples=MANY)
    np.testing.assert_allclose(drawn.mean(0), along.mean(0), atol=0.06)
    expected = np.diag(along.numpy().var(axis=0))  # a variance taken for a deviation would show here
    np.testing.assert_allclose(covariance(drawn), expected, rtol=0.04, atol=0.25)
    scales = torch.full((MANY,), 3.0, dtype=torch.float64)
    wider = diagonal_gaussian(along, generator(), samples=MANY, scale=scales)
    np.testing.assert_allclose(wider - along.mean(0), 3 * (drawn - along.mean(0)))


def test_principal_components_are_scikit_learns():
    along = trajectory(epochs=7)
    deviations, components = principal_components(along, 3)
    pca = PCA(3).fit(along.numpy())
    np.testing.assert_allclose(deviations**2, pca.explained_variance_, rtol=1e-10)
    np.testing.assert_allclose(np.abs((components.numpy() * pca.components_).sum(1)), 1, rtol=1e-10)
    np.testing.assert_allclose(components @ components.T, np.eye(3), atol=1e-10)


def test_low_rank_gaussian_spreads_as_the_trajectory_and_the_papers_does_not():
    along = trajectory(epochs=4)  # three directions
    faithful = low_rank_gaussian(along, generator(), samples=MANY, rank=10)
    expected = np.cov(along.numpy().T, ddof=1)
    np.testing.assert_allclose(covariance(faithful), expected, atol=0.05 * np.abs(expected).max())
    for factor in (1.0, 1000.0):  # the paper's samples lie sqrt(rank) away, whatever the spread
        unit = low_rank_gaussian_unit(factor * along, generator(), samples=MANY, rank=2)
        distance = (unit - factor * along.mean(0)).pow(2).sum(dim=1).mean()
        np.testing.assert_allclose(distance, 2, rtol=0.03)
    scaled = low_rank_gaussian_unit(along, generator(), samples=MANY, rank=2, scale=6.0)
    np.testing.assert_allclose((scaled - along.mean(0)).pow(2).sum(dim=1).mean(), 72, rtol=0.03)


def test_low_rank_of_random_samples_is_fitted_to_them():
    accepted = trajectory(epochs=5, seed=3)
    drawn = random_low_rank(accepted, generator(), samples=MANY, rank=9)
    expected = np.cov(accepted.numpy().T, ddof=1)
    np.testing.assert_allclose(covariance(drawn), expected, atol=0.05 * np.abs(expected).max())
    unit = random_low_rank(accepted, generator(), samples=9, rank=2, gaussian=low_rank_gaussian_unit)
    np.testing.assert_array_equal(unit, low_rank_gaussian_unit(accepted, generator(), samples=9, rank=2))


@pytest.mark.parametrize(("epochs", "rank"), [(4, 20), (12, 5)])
def test_swag_has_half_of_both_covariances_and_divides_by_what_was_collected(epochs, rank):
    along = trajectory(epochs=epochs)
    drawn = swag(along, generator(), samples=4 * MANY, rank=rank)
    weights = along.numpy()
    deviations = np.array([weights[k] - weights[: k + 1].mean(axis=0) for k in range(epochs)])[-rank:]
    collected = min(epochs, rank)
    expected = (np.diag(weights.var(axis=0)) + deviations.T @ deviations / (collected - 1)) / 2
    np.testing.assert_allclose(covariance(drawn), expected, atol=0.02 * np.abs(expected).max())
    np.testing.assert_allclose(drawn.mean(0), weights.mean(axis=0), atol=0.03)
    # one low-rank draw for all parameters together: those of different layers are correlated
    off_diagonal = expected - np.diag(np.diag(expected))
    assert np.abs(off_diagonal).max() > 0.1 * np.abs(expected).max()


def test_weight_average_and_late_snapshots_by_hand():
    along = torch.tensor([[1.0, 5.0], [3.0, 5.0], [5.0, 8.0]])
    assert weight_average(along).tolist() == [[3.0, 6.0]]
    assert late_snapshots(along) is along


def test_mc_dropout_is_the_same_weights_without_a_copy():
    weights = torch.arange(4.0)
    drawn = mc_dropout(weights, samples=1000)
    assert drawn.shape == (1000, 4)
    assert drawn.data_ptr() == weights.data_ptr()


def test_snapshots_of_cycles():
    assert snapshot_epochs(10, 1) == [10]
    assert snapshot_epochs(9, 3) == [3, 6, 9]
    assert snapshot_epochs(6, 2, of_each=9) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("method", [diagonal_gaussian, low_rank_gaussian, low_rank_gaussian_unit, swag])
def test_one_snapshot_is_refused(method):
    with pytest.raises(ValueError, match="At least 2 snapshots of a trajectory are needed, not 1"):
        method(trajectory(epochs=1), generator(), samples=2)


def test_swag_of_rank_one_is_refused():
    with pytest.raises(ValueError, match="at least 2 is needed, not 1"):
        swag(trajectory(), generator(), samples=2, rank=1)


def test_every_method_draws_the_same_from_the_same_generator_and_changes_nothing():
    along = trajectory()
    around = Around(
        along[-1].clone(),
        along.clone(),
        accept=lambda drawn: torch.ones(len(drawn), dtype=torch.bool),
        random=lambda count: along[-1] + torch.randn((count, 5), generator=generator(7), dtype=along.dtype),
    )
    for preset in PRESETS.values():
        for constants in (preset.near, preset.far):
            for name, method in METHODS.items():
                if method.draw is None:
                    continue
                one, again, other = (method.draw(around, generator(seed), 3, constants) for seed in (0, 0, 1))
                torch.testing.assert_close(one, again, rtol=0, atol=0)
                assert one.shape == (1 if method.one else 3, 5), name
                if not method.one and not method.activations:
                    assert not torch.equal(one, other)
    torch.testing.assert_close(around.trajectory, along, rtol=0, atol=0)
    torch.testing.assert_close(around.weights, along[-1], rtol=0, atol=0)


def test_presets_hold_the_papers_constants():
    near, far = PRESETS["paper"].near, PRESETS["paper"].far
    assert (near.rank, near.random_rank, near.random_longest, near.random_tries) == (5, 4, 10.0, 5)
    assert (far.low_rank_scale, far.low_rank_scale_drawn, far.diagonal_scale_drawn) == (6.0, False, True)
    assert (near.threshold, near.threshold_relative, near.random_gaussian) == (0.65, False, low_rank_gaussian_unit)
    assert (far.random_longest, far.random_tries, far.dropout_highest, far.diagonal_scale) == (70.0, 1, 0.1, 10.0)
    assert math.isclose(PRESETS["faithful"].near.threshold, 0.65 / 0.71)
