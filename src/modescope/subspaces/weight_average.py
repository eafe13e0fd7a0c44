"""The average of the last weights: one network in the place of many.

Reference: Izmailov et al. (2018), arXiv:1803.05407; Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 5.
"""

from jaxtyping import Float
from torch import Tensor

from modescope.subspaces.trajectory import require_snapshots


def weight_average(trajectory: Float[Tensor, "epoch parameter"]) -> Float[Tensor, "1 parameter"]:
    """The arithmetic mean of the last snapshots of one run.

    Args:
        trajectory: The snapshots, at least two.

    Returns:
        One network.

    Raises:
        ValueError: There are fewer than two snapshots.

    Example:
        >>> import torch
        >>> weight_average(torch.tensor([[1.0, 2.0], [3.0, 6.0]])).tolist()
        [[2.0, 4.0]]
    """
    require_snapshots(trajectory, 2)
    return trajectory.mean(dim=0, keepdim=True)
