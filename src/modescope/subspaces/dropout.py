"""Dropout of weights: set each weight and bias to zero with one chance, and scale up the others.

θ = θ0 ⊙ m / (1 - p), m_i = 1 with the chance 1 - p; one rate p for each sample, uniform in [0, highest]. This masks the
flattened weights; dropout of activations is `mc_dropout`.

Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.2, and the authors' notebook.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def dropout(
    weights: Float[Tensor, " parameter"], generator: torch.Generator, *, samples: int, highest: float
) -> Float[Tensor, "sample parameter"]:
    """Solutions with some of their weights set to zero; on average they are the solution.

    Args:
        weights: θ0.
        generator: Draws rates and masks.
        samples: How many.
        highest: The highest rate, in [0, 1).

    Returns:
        (sample, parameter).

    Raises:
        ValueError: The rate is not in [0, 1).

    Example:
        >>> drawn = dropout(torch.ones(8), torch.Generator(), samples=1, highest=0.5)
        >>> len(drawn.unique()) <= 2  # zero, and 1 / (1 - p)
        True
    """
    if not 0 <= highest < 1:
        raise ValueError(f"A dropout rate lies in [0, 1), not at {highest}.")
    rates = highest * torch.rand((samples, 1), generator=generator, dtype=weights.dtype)
    kept = torch.rand((samples, len(weights)), generator=generator, dtype=weights.dtype) >= rates
    return weights * kept / (1 - rates)
