"""A data set that several processes read from the same pages of memory."""

import mmap
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from modescope.data.split import DataSet, Split


@dataclass(frozen=True)
class _Mapped:
    """Where the bytes of an array lie on disk."""

    path: str
    offset: int  # bytes
    dtype: np.dtype
    shape: tuple[int, ...]

    def open(self) -> np.ndarray:
        # copy-on-write: pages that nobody writes to, and nobody does, are the same memory in all processes
        return np.memmap(self.path, self.dtype, mode="c", offset=self.offset, shape=self.shape)


@dataclass(frozen=True)
class SharedDataSet:
    """A data set as four places on disk: what is sent to another process instead of the arrays."""

    arrays: tuple[_Mapped, _Mapped, _Mapped, _Mapped]
    without_arrays: DataSet

    def open(self) -> DataSet:
        """The data set, memory-mapped."""
        train_inputs, train_labels, test_inputs, test_labels = (array.open() for array in self.arrays)
        return replace(
            self.without_arrays, train=Split(train_inputs, train_labels), test=Split(test_inputs, test_labels)
        )


def share(data: DataSet, folder: Path) -> SharedDataSet:
    """Put a data set where other processes can map it; arrays that are memory-mapped already stay where they are.

    Args:
        data: The data set.
        folder: Where to write the arrays that are only in memory.

    Returns:
        What to send to the others. It is good as long as the folder is there.
    """
    arrays = (data.train.inputs, data.train.labels, data.test.inputs, data.test.labels)
    mapped = tuple(_map(array, folder / str(number)) for number, array in enumerate(arrays))
    nothing = Split(np.empty((0, *data.input_shape), np.uint8), np.empty(0, np.int64))
    return SharedDataSet(mapped, replace(data, train=nothing, test=nothing))


def _map(array: np.ndarray, path: Path) -> _Mapped:
    whole = isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)  # a part has the whole as its base
    if whole and array.flags.c_contiguous:
        return _Mapped(str(array.filename), array.offset, array.dtype, array.shape)
    path.write_bytes(np.ascontiguousarray(array).data)
    return _Mapped(str(path), 0, array.dtype, array.shape)
