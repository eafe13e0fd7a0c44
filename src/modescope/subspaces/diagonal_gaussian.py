"""A Gaussian along a trajectory, every weight by itself.

θ_i ~ N(μ_i, (scale σ_i)²), with μ and σ the mean and the standard deviation of each weight over the last snapshots.

Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.2; σ divides by the number of snapshots, as
in the authors' notebook.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from modescope.subspaces.trajectory import per_sample, require_snapshots


def diagonal_gaussian(
    trajectory: Float[Tensor, "epoch parameter"],
    generator: torch.Generator,
    *,
    samples: int,
    scale: float | Float[Tensor, " sample"] = 1.0,
) -> Float[Tensor, "sample parameter"]:
    """Networks whose weights vary as they varied along the trajectory, independently of each other.

    Args:
        trajectory: The last snapshots of one run, at least two.
        generator: Draws the samples.
        samples: How many.
        scale: Factor on the standard deviations, one for all or one a sample.

    Returns:
        (sample, parameter).

    Raises:
        ValueError: There are fewer than two snapshots.
    """
    require_snapshots(trajectory, 2)
    mean, deviation = trajectory.mean(dim=0), trajectory.std(dim=0, correction=0)
    noise = torch.randn((samples, len(mean)), generator=generator, dtype=mean.dtype)
    return mean + per_sample(scale, mean) * deviation * noise
