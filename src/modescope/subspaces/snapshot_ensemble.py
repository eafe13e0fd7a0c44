"""Snapshots of a run whose learning rate falls and starts again: one for each valley that a cycle ends in.

Of a cosine schedule with restarts, the ends of the cycles (Huang et al. 2017, Snapshot Ensembles, arXiv:1704.00109); of
cSG-MCMC, the epochs at each cycle's end in which noise was added (Zhang et al. 2020, arXiv:1902.03932).
"""

from collections.abc import Sequence


def snapshot_epochs(epochs: int, cycles: int, *, of_each: int = 1) -> Sequence[int]:
    """The last epochs of every cycle.

    Args:
        epochs: Of the whole run, counted from 1.
        cycles: How many cycles of equal length they make.
        of_each: How many epochs of each cycle.

    Returns:
        Epochs in their order.

    Example:
        >>> snapshot_epochs(12, 3), snapshot_epochs(12, 3, of_each=2)
        ([4, 8, 12], [3, 4, 7, 8, 11, 12])
    """
    length = epochs // cycles
    ends = range(length, epochs + 1, length)
    return [epoch for end in ends for epoch in range(end - length + 1, end + 1)[-of_each:]]
