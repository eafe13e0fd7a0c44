"""How fast, and how far, did each member learn?"""

import math

import numpy as np
import xarray as xr

from modescope.analyses.reading import dataset
from modescope.errors import RunError
from modescope.store.history import read_history
from modescope.store.run import Run
from modescope.types import EPOCH, FRACTION, MEMBER, NAT, ONE

QUESTION = "How fast, and how far, did each member learn?"
REFERENCE = (
    "Cross-entropy and accuracy after every epoch; the training curves are means over the epoch as it was met, and at "
    "epoch 0, where nothing was met, measured"
)


def analyze(run: Run) -> xr.Dataset:
    """Loss and accuracy (member, epoch) on both splits, and the learning rate (epoch).

    Raises:
        RunError: Some epochs have no line in their member's history.
    """
    histories = [read_history(run, member) for member in run.members]
    for member, history in zip(run.members, histories, strict=True):
        if any(epoch not in history for epoch in run.epochs):
            raise RunError(
                f"Member {member} of {run.path} is not finished. Run the same `modescope train` again first."
            )

    def curve(field: str) -> np.ndarray:
        values = [[getattr(history[epoch], field) for epoch in run.epochs] for history in histories]
        return np.array([[math.nan if value is None else value for value in row] for row in values])

    axes = (MEMBER, EPOCH)
    return dataset(
        run,
        "learning_curves",
        {
            "train_loss": (axes, curve("train_loss"), NAT, "mean cross-entropy on the training data"),
            "train_accuracy": (axes, curve("train_accuracy"), FRACTION, "accuracy on the training data"),
            "test_loss": (axes, curve("test_loss"), NAT, "mean cross-entropy on the test data"),
            "test_accuracy": (axes, curve("test_accuracy"), FRACTION, "accuracy on the test data"),
            "learning_rate": ((EPOCH,), curve("learning_rate")[0], ONE, "learning rate that the epoch trained with"),
        },
        question=QUESTION,
        reference=REFERENCE,
        split="train, test",
    )
