"""What the methods share that look at a stretch of one trajectory."""

import torch
from jaxtyping import Float
from torch import Tensor


def require_snapshots(trajectory: Float[Tensor, "epoch parameter"], least: int) -> None:
    """Refuse a trajectory that says nothing of how weights vary.

    Raises:
        ValueError: There are fewer snapshots.
    """
    if len(trajectory) < least:
        raise ValueError(f"At least {least} snapshots of a trajectory are needed, not {len(trajectory)}.")


def per_sample(scale: float | Float[Tensor, " sample"], like: Tensor) -> Tensor:
    """A scale that multiplies (sample, parameter): one number for all, or one for each sample."""
    return torch.as_tensor(scale, dtype=like.dtype).reshape(-1, 1)


def principal_components(
    trajectory: Float[Tensor, "epoch parameter"], rank: int
) -> tuple[Float[Tensor, " component"], Float[Tensor, "component parameter"]]:
    """The directions along which the snapshots vary most: standard deviations, and unit vectors.

    Variances divide by the number of snapshots less one, as scikit-learn's `explained_variance_`. No more components
    than the snapshots span; the sign of each is such that its largest coordinate among the snapshots is positive.

    Args:
        trajectory: At least two snapshots.
        rank: The most components wanted.

    Returns:
        Standard deviations, largest first, and components.
    """
    deviations = trajectory - trajectory.mean(dim=0)
    values, vectors = torch.linalg.eigh(deviations @ deviations.T)  # (epoch, epoch): parameters may be many
    values, vectors = values.flip(0), vectors.flip(1)
    spanned = int((values > values[0] * len(trajectory) * torch.finfo(values.dtype).eps).sum())
    kept = min(rank, spanned, len(trajectory) - 1)
    values, vectors = values[:kept], vectors[:, :kept]
    largest = vectors.abs().argmax(dim=0)
    vectors = vectors * vectors[largest, torch.arange(kept)].sign()
    components = (vectors.T @ deviations) / values.sqrt()[:, None]
    return (values / (len(trajectory) - 1)).sqrt(), components
