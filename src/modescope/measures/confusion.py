"""Which classes are taken for which."""

import numpy as np
from jaxtyping import Integer


def confusion_counts(
    predicted: Integer[np.ndarray, "*states example"], label: Integer[np.ndarray, " example"], classes: int
) -> Integer[np.ndarray, "*states class_true class_predicted"]:
    """How many examples of each true class were given each class.

    Args:
        predicted: Predicted classes, in [0, classes).
        label: True classes, in [0, classes).
        classes: Number of classes.

    Returns:
        Counts; the diagonal holds what was right, each row sums to the number of examples of its class.

    Example:
        >>> confusion_counts(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    cells = label * classes + predicted
    flat = cells.reshape(-1, predicted.shape[-1])
    counts = np.stack([np.bincount(row, minlength=classes**2) for row in flat])
    return counts.reshape(*predicted.shape[:-1], classes, classes)
