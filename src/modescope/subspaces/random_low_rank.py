"""The low-rank Gaussian of random directions: what a few directions out of the accepted random ones are worth.

Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.2 (rank 4); the authors' notebook has rank 5.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from modescope.subspaces.low_rank_gaussian import low_rank_gaussian


def random_low_rank(
    accepted: Float[Tensor, "random parameter"],
    generator: torch.Generator,
    *,
    samples: int,
    rank: int = 4,
    gaussian: Callable[..., Float[Tensor, "sample parameter"]] = low_rank_gaussian,
) -> Float[Tensor, "sample parameter"]:
    """Networks out of the low-rank Gaussian of accepted random samples.

    Samples that were not chosen by accuracy have nothing to do with this: their Gaussian would be that of directions
    alone.

    Args:
        accepted: What `random` gave, at least two.
        generator: Draws the samples.
        samples: How many.
        rank: The most components.
        gaussian: `low_rank_gaussian`, or the paper's `low_rank_gaussian_unit`.

    Returns:
        (sample, parameter).

    Raises:
        ValueError: Fewer than two random samples were accepted.
    """
    return gaussian(accepted, generator, samples=samples, rank=rank)
