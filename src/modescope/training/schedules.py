"""Learning-rate schedules: the factor on the recipe's learning rate in each epoch, counted from 0."""

import math
from collections.abc import Callable, Sequence

from modescope.settings import TrainingSettings

Schedule = Callable[[int, int], float]
"""(0-based epoch, number of epochs) -> factor."""


def steps(points: Sequence[tuple[int, float]]) -> Schedule:
    """1 at first; from each (0-based epoch, factor) on, that factor.

    Example:
        >>> [steps([(2, 0.5), (3, 0.1)])(epoch, 5) for epoch in range(5)]
        [1.0, 1.0, 0.5, 0.1, 0.1]
    """
    ordered = sorted(points)

    def factor(epoch: int, epochs: int) -> float:
        del epochs
        return next((factor for start, factor in reversed(ordered) if epoch >= start), 1.0)

    return factor


def _constant(epoch: int, epochs: int) -> float:
    del epoch, epochs
    return 1.0


def _cosine(epoch: int, epochs: int) -> float:
    """Half a cosine from 1 towards 0, once an epoch (Loshchilov & Hutter 2017, SGDR, without restarts)."""
    return (1 + math.cos(math.pi * epoch / epochs)) / 2


def _paper(epoch: int, epochs: int) -> float:
    """Halved every 10 epochs (Fort et al. 2019, section 3)."""
    del epochs
    return 0.5 ** (epoch // 10)


SCHEDULES: dict[str, Schedule] = {
    "constant": _constant,
    "cosine": _cosine,
    "paper": _paper,
    # the W&B report counts from 1, so it halves one epoch earlier than the paper, and only three times
    "report": steps([(9, 0.5), (19, 0.25), (29, 0.125)]),
    # Keras cifar10_resnet: `if epoch > 80` and so on, with 0-based epochs
    "keras-resnet": steps([(81, 1e-1), (121, 1e-2), (161, 1e-3), (181, 0.5e-3)]),
    # Fort et al. 2019, section 3: 1e-3 -> 1e-4, 5e-5, 1e-5, 5e-7
    "paper-cifar100": steps([(100, 1e-1), (130, 5e-2), (160, 1e-2), (190, 5e-4)]),
}


def moves_within_epochs(settings: TrainingSettings) -> bool:
    """Whether the learning rate changes from step to step."""
    return settings.schedule == "cyclic-cosine"


def learning_rate(settings: TrainingSettings, epoch: int, part: float = 0.0) -> float:
    """The learning rate of one epoch, counted from 0.

    Args:
        settings: The `[training]` section of a recipe.
        epoch: The 0-based epoch.
        part: The part of the epoch that has passed, in [0, 1), for schedules that move within epochs.

    Returns:
        The learning rate. Of `cyclic-cosine` it is lr / 2 (cos(π t / L) + 1) with t the epochs, and parts of one, since
        the cycle began, and L its length (Huang et al. 2017, Snapshot Ensembles, section 3).
    """
    if moves_within_epochs(settings):
        length = -(-settings.epochs // settings.cycles)
        return settings.learning_rate / 2 * (math.cos(math.pi * ((epoch + part) % length) / length) + 1)
    named = isinstance(settings.schedule, str)
    schedule = SCHEDULES[settings.schedule] if named else steps(settings.schedule)
    return settings.learning_rate * schedule(epoch, settings.epochs)
