"""What a data source gives, and the checks that stand between it and a training."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from modescope.errors import DataError


@dataclass(frozen=True)
class Arrays:
    """Training and test data as a source holds them.

    `inputs` are images (example, height, width, channel) of uint8, or floats of any shape (example, ...) that are used
    as they are. `brightest` is the stored value that stands for 1: 255 for bytes, 16 for the digits, 1 for floats.
    """

    train_inputs: np.ndarray
    train_labels: np.ndarray
    test_inputs: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    brightest: float = 255.0


@dataclass(frozen=True)
class Split:
    """One part of a data set: inputs (example, ...) and labels (example) of int64."""

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DataSet:
    """A checked data set, still in the source's own numbers."""

    train: Split
    test: Split
    class_names: tuple[str, ...]
    brightest: float
    fingerprint: str  # SHA-256 over all inputs and labels

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input: (height, width, channel) for images."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def network_shape(self) -> tuple[int, ...]:
        """The shape of one input as the network gets it: (channel, height, width) for images."""
        return (self.input_shape[2], *self.input_shape[:2]) if len(self.input_shape) == 3 else self.input_shape


def checked(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    class_names: Sequence[str | bytes] | None,
    source: str,
    brightest: float = 255.0,
) -> Arrays:
    """Data as a training can use them.

    Args:
        train: Inputs (example, ...) and labels (example) or (example, 1).
        test: The same, of the same input shape.
        class_names: One name a class, or None for `0`, `1`, ... up to the largest training label.
        source: How messages call the data.
        brightest: The stored value that stands for 1 if the inputs are integers.

    Returns:
        The same data; grey images have a channel axis of one, integers between 0 and 255 are bytes.

    Raises:
        DataError: Lengths differ, something is not a number, there are fewer than two classes, labels lie outside
            the classes, or the shapes cannot be images.
    """
    train_inputs, test_inputs = (_inputs(part[0], source, name) for part, name in ((train, "training"), (test, "test")))
    train_labels, test_labels = (_labels(labels, source) for labels in (train[1], test[1]))
    for name, inputs, labels in (("training", train_inputs, train_labels), ("test", test_inputs, test_labels)):
        if len(inputs) != len(labels):
            raise DataError(f"{source}: {len(inputs)} {name} images came with {len(labels)} labels; each needs one.")
        if not len(inputs):
            raise DataError(f"{source}: there are no {name} images.")
    if train_inputs.shape[1:] != test_inputs.shape[1:]:
        raise DataError(
            f"{source}: training images have the shape {train_inputs.shape[1:]} and test images "
            f"{test_inputs.shape[1:]}; they must be the same."
        )
    if train_inputs.dtype != test_inputs.dtype:
        raise DataError(f"{source}: training images are {train_inputs.dtype} and test images {test_inputs.dtype}.")
    present = np.unique(train_labels)
    if len(present) < 2:
        raise DataError(f"{source}: all training labels are {present[0]}; a classifier needs at least two classes.")
    if class_names is None and present[-1] >= 2 * len(present):
        raise DataError(
            f"{source}: the training labels are {len(present)} different numbers up to {present[-1]}; number the "
            "classes from 0 on without gaps, or give class_names."
        )
    names = _names(class_names if class_names is not None else range(present[-1] + 1))
    if len(set(names)) != len(names):
        raise DataError(f"{source}: two classes have the same name ({', '.join(names)}).")
    for name, labels in (("training", train_labels), ("test", test_labels)):
        if labels.min() < 0 or labels.max() >= len(names):
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise DataError(f"{source}: a {name} label is {wrong}, but the {len(names)} classes are numbered from 0.")
    truth_values = np.asarray(train[0]).dtype.kind == "b"
    scale = brightest if train_inputs.dtype == np.uint8 and not truth_values else 1.0
    return Arrays(train_inputs, train_labels, test_inputs, test_labels, names, scale)


def fingerprint(arrays: Arrays) -> str:
    """The SHA-256 over shapes, types, inputs, labels and class names: the same data, the same 64 digits."""
    digest = hashlib.sha256(repr((arrays.class_names, arrays.brightest)).encode())
    for array in (arrays.train_inputs, arrays.train_labels, arrays.test_inputs, arrays.test_labels):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _inputs(inputs: np.ndarray, source: str, name: str) -> np.ndarray:
    inputs = np.asarray(inputs) if not isinstance(inputs, np.memmap) else inputs
    if inputs.dtype.kind not in "uifb":
        raise DataError(
            f"{source}: the images are an array of {inputs.dtype}; numbers are needed. Nothing is ever unpickled: "
            "images of different sizes must be brought to one size first."
        )
    if inputs.ndim < 2:
        raise DataError(f"{source}: images came as an array of shape {inputs.shape}; (example, ...) is needed.")
    if inputs.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            inputs = inputs.astype(np.float32, copy=False)
        if not np.isfinite(inputs).all():
            where = int(np.argwhere(~np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1))[0, 0])
            raise DataError(
                f"{source}: {name} image {where} holds a value that is not a finite number (NaN or infinity)."
            )
    elif inputs.dtype != np.uint8:
        if inputs.size and (inputs.min() < 0 or inputs.max() > 255):
            raise DataError(
                f"{source}: integer images must lie between 0 and 255; these reach from {inputs.min()} to "
                f"{inputs.max()}. Give other numbers as float32; they are used as they are."
            )
        inputs = inputs.astype(np.uint8)
    if inputs.ndim == 3:
        inputs = inputs[..., np.newaxis]
    if inputs.ndim == 4 and inputs.shape[1] in (1, 3) and inputs.shape[3] not in (1, 3, 4):
        raise DataError(
            f"{source}: images of shape {inputs.shape[1:]} look like (channel, height, width); (height, width, "
            "channel) is needed. numpy.moveaxis(images, 1, -1) turns them."
        )
    return inputs


def _names(names: Iterable[object]) -> tuple[str, ...]:
    return tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names)


def _labels(labels: np.ndarray, source: str) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind not in "ui" or labels.ndim != 1:
        raise DataError(
            f"{source}: labels came as {labels.dtype} of shape {labels.shape}; one integer an image is needed, "
            "the classes numbered from 0."
        )
    return labels.astype(np.int64)
