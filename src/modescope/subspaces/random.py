"""Random directions: how far may one walk from a solution, in any direction, before it gets worse?

θ = θ0 + s v, with v uniform on the unit sphere over all parameters together, and the length s uniform in [0, longest].

Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.2; the authors' notebook for the lengths, the
threshold and the number of tries.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Accept = Callable[[Float[Tensor, "sample parameter"]], Bool[Tensor, " sample"]]
"""Which of these networks are good enough."""


def random(
    weights: Float[Tensor, " parameter"],
    generator: torch.Generator,
    *,
    samples: int,
    longest: float,
    accept: Accept | None = None,
    tries: int = 5,
    shrink: float = 1.0,
) -> Float[Tensor, "sample parameter"]:
    """Solutions with something random added.

    Args:
        weights: θ0.
        generator: Draws directions and lengths.
        samples: How many are wanted.
        longest: The longest step, as an L2 distance in weights.
        accept: Which are good enough; all if None. Those that are not are drawn anew.
        tries: How often, before a sample is given up.
        shrink: Factor on `longest` from one try to the next.

    Returns:
        (sample, parameter), no more than `samples`; those that were given up are missing.

    Example:
        >>> drawn = random(torch.zeros(1000), torch.Generator(), samples=2, longest=3.0)
        >>> bool((drawn.norm(dim=1) <= 3).all())
        True
    """
    drawn = _step(weights, generator, samples, longest)
    if accept is None:
        return drawn
    accepted = accept(drawn)
    for attempt in range(1, tries):
        if bool(accepted.all()):
            break
        again = (~accepted).nonzero()[:, 0]
        drawn[again] = _step(weights, generator, len(again), longest * shrink**attempt)
        accepted[again] = accept(drawn[again])
    return drawn[accepted]


def _step(
    weights: Float[Tensor, " parameter"], generator: torch.Generator, samples: int, longest: float
) -> Float[Tensor, "sample parameter"]:
    directions = torch.randn((samples, len(weights)), generator=generator, dtype=weights.dtype)
    directions /= directions.norm(dim=1, keepdim=True)
    lengths = longest * torch.rand((samples, 1), generator=generator, dtype=weights.dtype)
    return weights + lengths * directions
