"""SWAG: a Gaussian with a diagonal and a low-rank part, drawn together.

θ = μ + √s (σ ⊙ z₁ + D̂ᵀ z₂ / √(K - 1)), z₁ ~ N(0, I), z₂ ~ N(0, I_K), s = 1/2: the covariance is half the diagonal one
plus half the low-rank one. The rows of D̂ are the last K snapshots less the running mean at their time. One z₂ is drawn
for all parameters together, or covariances between layers would be lost; K is the number of rows that there are.

Reference: Maddox et al. (2019), A Simple Baseline for Bayesian Uncertainty in Deep Learning, arXiv:1902.02476, section
3.2 and algorithm 1, and the authors' code (variances no smaller than 1e-30).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from modescope.subspaces.trajectory import per_sample, require_snapshots


def swag(
    trajectory: Float[Tensor, "epoch parameter"],
    generator: torch.Generator,
    *,
    samples: int,
    rank: int = 20,
    scale: float | Float[Tensor, " sample"] = 1.0,
) -> Float[Tensor, "sample parameter"]:
    """Networks out of the Gaussian that SWAG fits to the last snapshots.

    Args:
        trajectory: The last snapshots of one run in their order, at least two.
        generator: Draws the samples.
        samples: How many.
        rank: K, the most deviations that are kept.
        scale: Factor on the standard deviations beside the half of the published one; one for all or one a sample.

    Returns:
        (sample, parameter).

    Raises:
        ValueError: There are fewer than two snapshots or deviations.
    """
    require_snapshots(trajectory, 2)
    if rank < 2:
        raise ValueError(f"SWAG divides by its rank less one: at least 2 is needed, not {rank}.")
    mean = trajectory.mean(dim=0)
    deviation = trajectory.var(dim=0, correction=0).clamp(min=1e-30).sqrt()
    counts = torch.arange(1, len(trajectory) + 1, dtype=mean.dtype)[:, None]
    deviations = (trajectory - trajectory.cumsum(dim=0) / counts)[-rank:]
    diagonal = torch.randn((samples, len(mean)), generator=generator, dtype=mean.dtype)
    shared = torch.randn((samples, len(deviations)), generator=generator, dtype=mean.dtype)
    noise = deviation * diagonal + shared @ deviations / math.sqrt(len(deviations) - 1)
    return mean + per_sample(scale, mean) * math.sqrt(0.5) * noise
