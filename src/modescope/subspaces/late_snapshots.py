"""The last states of one run as an ensemble: what was passed through anyway.

Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 5 ("within trajectory").
"""

from jaxtyping import Float
from torch import Tensor


def late_snapshots(trajectory: Float[Tensor, "epoch parameter"]) -> Float[Tensor, "sample parameter"]:
    """The last snapshots of one run, as they are."""
    return trajectory
