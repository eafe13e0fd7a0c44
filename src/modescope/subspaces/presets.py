"""Two sets of constants: the paper's own, and ones that follow each network's own scale.

`paper`: lengths, thresholds and scales of Fort, Hu & Lakshminarayanan (2019), sections 4.2 and 5, and, where the paper
gives none, of the authors' notebook. They were chosen for MediumCNN on CIFAR-10 and mean something else elsewhere.
`faithful`: random steps are relative to the length of the weights, the threshold to the solution's own accuracy (0.65
of 0.71, as in the paper), and random samples' low-rank Gaussian spreads as they do. The low-rank Gaussian of unit
length is the paper's in both.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from modescope.subspaces.low_rank_gaussian import low_rank_gaussian, low_rank_gaussian_unit


@dataclass(frozen=True)
class Constants:
    """What the methods draw with."""

    rank: int  # of the low-rank Gaussian of a trajectory
    random_rank: int  # of that of random samples
    swag_rank: int
    random_longest: float
    random_relative: bool  # whether that is in units of the length of the weights
    random_shrink: float  # factor on it after each try
    random_tries: int  # 1 = every sample is taken as it comes
    threshold: float  # the accuracy from which a random sample is accepted
    threshold_relative: bool  # whether that is in units of the solution's own accuracy
    dropout_highest: float
    diagonal_scale: float
    low_rank_scale: float
    diagonal_scale_drawn: bool  # whether that is the end of what each sample draws uniformly, or what all have
    low_rank_scale_drawn: bool
    random_gaussian: Callable[..., Float[Tensor, "sample parameter"]]

    def scale_of_diagonal(self, samples: int, generator: torch.Generator) -> float | Float[Tensor, " sample"]:
        """The factor on standard deviations of the diagonal Gaussian and of SWAG."""
        return _scale(self.diagonal_scale, self.diagonal_scale_drawn, samples, generator)

    def scale_of_low_rank(self, samples: int, generator: torch.Generator) -> float | Float[Tensor, " sample"]:
        """The factor on standard deviations of low-rank Gaussians."""
        return _scale(self.low_rank_scale, self.low_rank_scale_drawn, samples, generator)


def _scale(most: float, drawn: bool, samples: int, generator: torch.Generator) -> float | Float[Tensor, " sample"]:
    return most * torch.rand(samples, generator=generator, dtype=torch.float64) if drawn else most


@dataclass(frozen=True)
class Preset:
    """Constants for samples as good as the solution, and for samples that spread out to bad ones."""

    near: Constants
    far: Constants  # for the diversity-accuracy plane


_PAPER = Constants(
    rank=5,
    random_rank=4,
    swag_rank=20,
    random_longest=10.0,
    random_relative=False,
    random_shrink=1.0,
    random_tries=5,
    threshold=0.65,
    threshold_relative=False,
    dropout_highest=0.1,
    diagonal_scale=1.0,
    low_rank_scale=1.0,
    diagonal_scale_drawn=False,
    low_rank_scale_drawn=False,
    random_gaussian=low_rank_gaussian_unit,
)
_FAITHFUL = replace(
    _PAPER,
    random_longest=0.5,
    random_relative=True,
    random_shrink=0.5,
    threshold=0.65 / 0.71,
    threshold_relative=True,
    random_gaussian=low_rank_gaussian,
)

PRESETS = {
    "paper": Preset(
        near=_PAPER,
        # the notebook draws the scale of the diagonal Gaussian and leaves that of the low-rank one at 6
        far=replace(
            _PAPER,
            random_longest=70.0,
            random_tries=1,
            diagonal_scale=10.0,
            diagonal_scale_drawn=True,
            low_rank_scale=6.0,
        ),
    ),
    "faithful": Preset(
        near=_FAITHFUL,
        far=replace(
            _FAITHFUL,
            random_longest=1.0,
            random_tries=1,
            dropout_highest=0.3,
            diagonal_scale=10.0,
            diagonal_scale_drawn=True,
            low_rank_scale=10.0,
            low_rank_scale_drawn=True,
        ),
    ),
}
