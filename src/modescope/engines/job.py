"""The small interface of all engines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from modescope.data import DataSet
from modescope.store.epochs import Progress
from modescope.store.run import Run
from modescope.types import OnEpoch


@dataclass(frozen=True)
class Job:
    """What is to be trained."""

    run: Run
    data: DataSet
    device: torch.device
    members: Mapping[int, Progress]  # those with something missing, and what is missing of each
    workers: int | None = 1  # processes that train side by side, in engines that have several; None for no limit
    block_size: int | None = None  # the most members that are stacked into one program; None for as many as fit
    ray_address: str | None = None  # of a Ray cluster's head; None for a local Ray
    tell: Callable[[str], None] = lambda told: None  # what a person may want to know of how it is done


class Engine(Protocol):
    """Trains the members of a job and puts every epoch on disk as it is finished."""

    def __call__(self, job: Job, on_epoch: OnEpoch) -> Mapping[int, BaseException]:
        """Train all members of the job; the failure of one does not stop the others.

        Returns:
            The members that could not be trained, and why.

        Raises:
            DiskFullError: There is no room for what is trained.
        """
        ...
