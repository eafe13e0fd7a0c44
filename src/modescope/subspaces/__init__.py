"""Ways to get more networks out of one training run, one method a file.

Each is a pure function of weights, or of a stretch of a trajectory, and a generator; all give (sample, parameter),
flattened weights in the order of the network's parameters. `METHODS` names them all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from modescope.subspaces.diagonal_gaussian import diagonal_gaussian
from modescope.subspaces.dropout import dropout
from modescope.subspaces.low_rank_gaussian import low_rank_gaussian, low_rank_gaussian_unit
from modescope.subspaces.mc_dropout import mc_dropout
from modescope.subspaces.presets import Constants
from modescope.subspaces.random import Accept, random
from modescope.subspaces.random_low_rank import random_low_rank
from modescope.subspaces.swag import swag
from modescope.subspaces.weight_average import weight_average

__all__ = ["METHODS", "Around", "Method"]


@dataclass(frozen=True)
class Around:
    """One solution and what is known of its surroundings."""

    weights: Float[Tensor, " parameter"]
    trajectory: Float[Tensor, "epoch parameter"]  # the last snapshots of its run; there may be none
    accept: Accept  # which networks are good enough
    random: Callable[[int], Float[Tensor, "sample parameter"]]  # the accepted random ones, of so many asked for


Draw = Callable[[Around, torch.Generator, int, Constants], Float[Tensor, "sample parameter"]]


@dataclass(frozen=True)
class Method:
    """A way to get more networks."""

    title: str  # as figures call it
    draw: Draw | None  # None: states of the run itself, whose predictions are there already
    snapshots: int = 0  # how many a trajectory must have at the least
    one: bool = False  # whether it gives one network, not as many as wanted
    activations: bool = False  # whether the networks differ in their activations' dropout, not in their weights
    rank: Callable[[int, Constants], int] | None = None  # how many directions a Gaussian of so many networks has


def _random(around: Around, generator: torch.Generator, samples: int, constants: Constants) -> Tensor:
    unit = float(around.weights.norm()) if constants.random_relative else 1.0
    return random(
        around.weights,
        generator,
        samples=samples,
        longest=constants.random_longest * unit,
        accept=around.accept if constants.random_tries > 1 else None,
        tries=constants.random_tries,
        shrink=constants.random_shrink,
    )


def _dropout(around: Around, generator: torch.Generator, samples: int, constants: Constants) -> Tensor:
    return dropout(around.weights, generator, samples=samples, highest=constants.dropout_highest)


def _diagonal(around: Around, generator: torch.Generator, samples: int, constants: Constants) -> Tensor:
    scale = constants.scale_of_diagonal(samples, generator)
    return diagonal_gaussian(around.trajectory, generator, samples=samples, scale=scale)


def _low_rank(around: Around, generator: torch.Generator, samples: int, constants: Constants) -> Tensor:
    scale = constants.scale_of_low_rank(samples, generator)
    return low_rank_gaussian(around.trajectory, generator, samples=samples, rank=constants.rank, scale=scale)


def _low_rank_unit(around: Around, generator: torch.Generator, samples: int, constants: Constants) -> Tensor:
    scale = constants.scale_of_low_rank(samples, generator)
    return low_rank_gaussian_unit(around.trajectory, generator, samples=samples, rank=constants.rank, scale=scale)


def _random_low_rank(around: Around, generator: torch.Generator, samples: int, constants: Constants) -> Tensor:
    accepted = around.random(samples)  # accepted ones also where samples are to spread out to bad networks
    if len(accepted) < 2:
        return accepted[:0]
    rank, gaussian = constants.random_rank, constants.random_gaussian
    return random_low_rank(accepted, generator, samples=samples, rank=rank, gaussian=gaussian)


def _swag(around: Around, generator: torch.Generator, samples: int, constants: Constants) -> Tensor:
    scale = constants.scale_of_diagonal(samples, generator)
    return swag(around.trajectory, generator, samples=samples, rank=constants.swag_rank, scale=scale)


def _rank(fitted: int, constants: Constants) -> int:
    return min(constants.rank, fitted - 1)


METHODS: dict[str, Method] = {
    "late_snapshots": Method("late snapshots", None, snapshots=2),
    "snapshot_ensemble": Method("snapshots of cycles", None),
    "random": Method("random directions", _random),
    "dropout": Method("dropout of weights", _dropout),
    "diagonal_gaussian": Method("diagonal Gaussian", _diagonal, snapshots=2),
    "low_rank_gaussian": Method("low-rank Gaussian", _low_rank, snapshots=2, rank=_rank),
    "low_rank_gaussian_unit": Method("low-rank, unit length", _low_rank_unit, snapshots=2, rank=_rank),
    "random_low_rank": Method(
        "low-rank of random", _random_low_rank, rank=lambda fitted, constants: min(constants.random_rank, fitted - 1)
    ),
    "swag": Method("SWAG", _swag, snapshots=2, rank=lambda fitted, constants: min(constants.swag_rank, fitted)),
    "weight_average": Method(
        "weight average", lambda around, *_: weight_average(around.trajectory), snapshots=2, one=True
    ),
    "mc_dropout": Method(
        "MC dropout",
        lambda around, generator, samples, constants: mc_dropout(around.weights, samples=samples),
        activations=True,
    ),
}
