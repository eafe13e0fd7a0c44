"""A Gaussian along the few directions in which a trajectory varies most.

θ = μ + scale Σ_j z_j a_j v_j, z_j ~ N(0, 1), with μ the mean of the last snapshots and v_j their principal components.
`low_rank_gaussian` has a_j = σ_j, the standard deviation along v_j: the samples spread as the snapshots do.
`low_rank_gaussian_unit` has a_j = 1, as the paper writes and the authors' notebook computes: the samples lie about
√rank away from μ, whatever the trajectory's own spread.

Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.2, and the authors' notebook.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from modescope.subspaces.trajectory import per_sample, principal_components, require_snapshots


def low_rank_gaussian(
    trajectory: Float[Tensor, "epoch parameter"],
    generator: torch.Generator,
    *,
    samples: int,
    rank: int = 5,
    scale: float | Float[Tensor, " sample"] = 1.0,
) -> Float[Tensor, "sample parameter"]:
    """Networks that vary along the trajectory's principal components as much as the trajectory does.

    Args:
        trajectory: The last snapshots of one run, at least two; all of one length scale.
        generator: Draws the samples.
        samples: How many.
        rank: The most components; n snapshots span n - 1.
        scale: Factor on the standard deviations, one for all or one a sample.

    Returns:
        (sample, parameter).

    Raises:
        ValueError: There are fewer than two snapshots.
    """
    deviations, components = _components(trajectory, rank)
    return _drawn(trajectory, deviations[:, None] * components, generator, samples, scale)


def low_rank_gaussian_unit(
    trajectory: Float[Tensor, "epoch parameter"],
    generator: torch.Generator,
    *,
    samples: int,
    rank: int = 5,
    scale: float | Float[Tensor, " sample"] = 1.0,
) -> Float[Tensor, "sample parameter"]:
    """`low_rank_gaussian` with a standard deviation of 1 along every component."""
    _, components = _components(trajectory, rank)
    return _drawn(trajectory, components, generator, samples, scale)


def _components(trajectory: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    require_snapshots(trajectory, 2)
    return principal_components(trajectory, rank)


def _drawn(
    trajectory: Tensor, directions: Tensor, generator: torch.Generator, samples: int, scale: float | Tensor
) -> Tensor:
    mean = trajectory.mean(dim=0)
    coordinates = torch.randn((samples, len(directions)), generator=generator, dtype=mean.dtype)
    return mean + per_sample(scale, mean) * (coordinates @ directions)
