"""What a tracker is to the rest: something that takes members' epochs and confusions, and what the ensemble came to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Integer

from modescope.store.run import Run
from modescope.tracking.ledger import Ledger
from modescope.types import EpochRecord

PROJECT = "modescope"
"""What the runs of all ensembles stand under, in trackers that have such a thing and are told of no other name."""


@dataclass(frozen=True)
class Confusion:
    """Which classes one member takes for which, after one epoch."""

    epoch: int
    classes: tuple[str, ...]
    count: Integer[np.ndarray, "class_true class_predicted"]

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """Its cells.

        Yields:
            True class, predicted class, number of test examples.
        """
        for (true, predicted), count in np.ndenumerate(self.count):
            yield self.classes[true], self.classes[predicted], int(count)


@dataclass(frozen=True)
class Ensemble:
    """What all members together came to, as far as it has been analysed and drawn."""

    numbers: Mapping[str, float]
    """Results that are one number each, as `similarity_members/mean_disagreement`."""
    sizes: Mapping[int, Mapping[str, float]]
    """Number of members that are averaged -> `accuracy`, `accuracy_low`, ..., `nll`, ..."""
    figures: Mapping[str, Path]
    """Name of an analysis -> its figure as PNG."""
    files: tuple[Path, ...]
    """The recipe and the page."""
    at: float
    """When its newest part was written, in seconds since 1970."""


class Sink(Protocol):
    """A tracker that is told of one run of modescope. Runs in the tracker are made when they get their first value."""

    def __init__(self, run: Run, ledger: Ledger) -> None:
        """Take the run that is told of, and the names that its runs in the tracker have."""

    @staticmethod
    def load(path: Path) -> None:
        """Import the tracker's library for a run at that place, or raise what stands against it."""

    @staticmethod
    def destination(path: Path) -> str:
        """Where all goes to, so that what was sent to another place counts for nothing; relative if below the run."""

    def open_member(self, member: int) -> None:
        """Make or go on with the run of one member."""

    def log_epoch(self, member: int, record: EpochRecord, at: float) -> None:
        """Take one epoch of an open member, which ended at that time (seconds since 1970)."""

    def log_confusion(self, member: int, confusion: Confusion, at: float) -> None:
        """Take the confusion matrix of an open member."""

    def close_member(self, member: int) -> None:
        """The member has finished all its epochs."""

    def log_ensemble(self, ensemble: Ensemble) -> None:
        """Take what is new of the whole ensemble, into a run of its own."""

    def close(self) -> None:
        """Let go of everything; members that are still open have not finished."""


def numbers(record: EpochRecord) -> dict[str, float]:
    """The metrics of an epoch, without those that are no finite numbers, which history.jsonl does not hold either."""
    values = {field.name: getattr(record, field.name) for field in fields(record) if field.name != "epoch"}
    return {name: float(value) for name, value in values.items() if value is not None and isfinite(value)}
