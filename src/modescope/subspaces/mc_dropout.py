"""MC dropout: the solution itself, with dropout of its activations left on when it is asked.

Nothing is drawn here: the samples are the same weights, and each network's masks are drawn where it is evaluated.

Reference: Gal & Ghahramani (2016), Dropout as a Bayesian Approximation, arXiv:1506.02142.
"""

from jaxtyping import Float
from torch import Tensor


def mc_dropout(weights: Float[Tensor, " parameter"], *, samples: int) -> Float[Tensor, "sample parameter"]:
    """The same weights several times, without a copy.

    Args:
        weights: θ0.
        samples: How many.

    Returns:
        (sample, parameter), to be evaluated with dropout.
    """
    return weights.expand(samples, -1)
