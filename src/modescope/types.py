"""The vocabulary: dimension names, shape aliases, and the few shapes of data that cross rooms.

Dimension names are words, singular, always in the order `member`, `epoch`, `sample`, `example`, `class`; the second
axis of a pair carries `_other`. Epoch 0 is the initialisation; epoch e is the state after e passes over the training
data. `log_prob` is the natural logarithm of the softmax.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

Place = Path | UPath
"""Somewhere on this machine, or at any other address that fsspec knows: `s3://bucket/run`."""

MEMBER = "member"
MEMBER_OTHER = "member_other"
EPOCH = "epoch"
EPOCH_OTHER = "epoch_other"
SAMPLE = "sample"
EXAMPLE = "example"
CLASS = "class"
CLASS_TRUE = "class_true"
CLASS_PREDICTED = "class_predicted"
COMPONENT = "component"
SIZE = "size"
RUN = "run"
METHOD = "method"
ACCURACY_GRID = "accuracy_grid"
SAMPLES = "samples_inside"
KIND = "kind"
X = "x"
Y = "y"
T = "t"
CORRUPTION = "corruption"
INTENSITY = "intensity"

FRACTION = "fraction"
NAT = "nat"
ONE = "1"
COUNT = "count"


@dataclass(frozen=True)
class EpochRecord:
    """What one member did in one epoch: one line of `history.jsonl`.

    Training loss and accuracy of an epoch e >= 1 are means over the epoch's batches as they were trained on (dropout
    on, weights moving); those of epoch 0, where nothing was trained, are measured over the training data in eval mode.
    Test loss and accuracy are always measured in eval mode, after the epoch.
    """

    epoch: int
    train_loss: float  # nat
    train_accuracy: float  # fraction
    test_loss: float  # nat
    test_accuracy: float  # fraction
    learning_rate: float | None  # what the epoch began with; None at epoch 0
    seconds: float  # wall clock, with evaluation and without writing


OnEpoch = Callable[[int, EpochRecord], None]
"""Called with a member and its newest record, each time an epoch is safely on disk."""
