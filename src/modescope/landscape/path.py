"""Paths between two solutions: a sum of a few bends, with coefficients that depend on the place along the path.

`line`: (1 - t) θ₁ + t θ₂. `bezier`: Σ_j C(n, j) t^j (1 - t)^(n - j) w_j. `polygon`: straight from bend to bend, with
coefficients max(0, 1 - |t n - j|). n is the number of bends less one; the first and the last are the solutions.

Reference: Garipov et al. (2018), Loss Surfaces, Mode Connectivity, and Fast Ensembling, arXiv:1802.10026, section 3,
and the authors' code.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Coefficients = Callable[[Float[Tensor, " place"], int], Float[Tensor, "place bend"]]
"""(t in [0, 1], number of bends) -> the weight of each bend; they sum to 1."""


def bezier(t: Float[Tensor, " place"], bends: int) -> Float[Tensor, "place bend"]:
    """Bernstein's polynomials.

    Example:
        >>> bezier(torch.tensor([0.0, 0.5, 1.0]), 3).tolist()
        [[1.0, 0.0, 0.0], [0.25, 0.5, 0.25], [0.0, 0.0, 1.0]]
    """
    number = torch.arange(bends, dtype=t.dtype)
    binomial = torch.tensor([math.comb(bends - 1, j) for j in range(bends)], dtype=t.dtype)
    return binomial * t[:, None] ** number * (1 - t[:, None]) ** (bends - 1 - number)


def polygon(t: Float[Tensor, " place"], bends: int) -> Float[Tensor, "place bend"]:
    """Straight lines from bend to bend.

    Example:
        >>> polygon(torch.tensor([0.0, 0.25, 0.5]), 3).tolist()
        [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]
    """
    number = torch.arange(bends, dtype=t.dtype)
    return (1 - (t[:, None] * (bends - 1) - number).abs()).clamp(min=0)


KINDS: dict[str, Coefficients] = {"line": polygon, "bezier": bezier, "polygon": polygon}
"""The line is a polygon of two bends."""


def straight(
    first: Float[Tensor, " parameter"], second: Float[Tensor, " parameter"], bends: int
) -> Float[Tensor, "bend parameter"]:
    """Bends at equal distances on the straight line, both ends included, which are kept to the bit."""
    places = torch.linspace(0, 1, bends, dtype=first.dtype)[:, None]
    line = torch.lerp(first[None], second[None], places)
    line[0], line[-1] = first, second
    return line
