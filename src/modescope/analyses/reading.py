"""What all analyses read from a run, and what all their Datasets say about themselves."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata

import numpy as np
import xarray as xr
from jaxtyping import Float, Integer

from modescope.errors import NotApplicableError
from modescope.store.predictions import read_class_names, read_epoch, read_labels
from modescope.store.run import Run
from modescope.store.snapshots import SnapshotFile
from modescope.types import CLASS, EPOCH, MEMBER

_BLOCK_BYTES = 256 * 2**20

Variable = tuple[tuple[str, ...], np.ndarray, str, str]
"""Dimensions, values, unit, and what the variable is."""


def labels(run: Run) -> Integer[np.ndarray, " example"]:
    """The true classes of the test examples."""
    return read_labels(run)


def log_prob(
    run: Run, members: Sequence[int], epochs: Sequence[int]
) -> Float[np.ndarray, "member epoch example class"]:
    """Test predictions of those members and epochs, each checked as it is read.

    Raises:
        DamagedFileError: One of them is not what was written.
    """
    read = None
    for row, member in enumerate(members):
        for column, epoch in enumerate(epochs):
            said = read_epoch(run, member, epoch)
            if read is None:
                read = np.empty((len(members), len(epochs), *said.shape), said.dtype)
            read[row, column] = said
    return read


def predicted_classes(run: Run) -> Integer[np.ndarray, "member epoch example"]:
    """The predicted class of every test example, for all members and epochs; one epoch in memory at a time."""
    return np.stack([
        np.stack([read_epoch(run, member, epoch).argmax(axis=-1) for epoch in run.epochs]) for member in run.members
    ])


class Weights:
    """The trained parameters of several (member, epoch) states, read from disk piece by piece.

    Networks of any size and number can be compared: no more than a few hundred megabytes of them are in memory.

    Args:
        run: The run.
        states: Which.

    Raises:
        DamagedFileError: A snapshot is missing or damaged.
        NotApplicableError: The states do not have the same parameters.
    """

    def __init__(self, run: Run, states: Sequence[tuple[int, int]]) -> None:
        self._files = [SnapshotFile(run, member, epoch) for member, epoch in states]
        self.shapes = self._files[0].shapes
        for (member, epoch), file in zip(states, self._files, strict=True):
            if file.shapes != self.shapes:
                raise NotApplicableError(
                    f"Weights can be compared only between networks of one architecture; member {member} at epoch "
                    f"{epoch} has other parameters than the first."
                )

    def blocks(self, names: Iterable[str] | None = None) -> Iterator[Float[np.ndarray, "state _"]]:
        """The parameter vectors side by side, cut into blocks of columns, in float64.

        Args:
            names: Which parameters; all if None.

        Yields:
            Blocks that together hold every number once. Each is good until the next is asked for.
        """
        most = max(_BLOCK_BYTES // (8 * len(self._files)), 1)
        sizes = {name: math.prod(self.shapes[name]) for name in (self.shapes if names is None else names)}
        buffer = np.empty((len(self._files), min(most, sum(sizes.values()))))
        for spans in _cut(sizes, most):
            width = sum(stop - start for _, start, stop in spans)
            for row, file in zip(buffer, self._files, strict=True):
                file.read(spans, row[:width])
            yield buffer[:, :width]


def _cut(sizes: Mapping[str, int], most: int) -> Iterator[list[tuple[str, int, int]]]:
    """All numbers of all parameters as lists of (name, start, stop) of no more than `most` numbers each.

    Yields:
        One list after another.
    """
    spans: list[tuple[str, int, int]] = []
    room = most
    for name, size in sizes.items():
        start = 0
        while start < size:
            stop = min(size, start + room)
            spans.append((name, start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                yield spans
                spans, room = [], most
    if spans:
        yield spans


def with_ends(
    name: str, estimate: Sequence[float | np.ndarray], unit: str, told: str, dimensions: tuple[str, ...] = ()
) -> dict[str, Variable]:
    """Estimates and the ends of their intervals as `NAME`, `NAME_low` and `NAME_high`."""
    ends = (("", ""), ("_low", ": lower end of the interval"), ("_high", ": upper end of the interval"))
    return {
        name + suffix: (dimensions, np.asarray(value), unit, told + what)
        for (suffix, what), value in zip(ends, estimate, strict=True)
    }


def dataset(
    run: Run,
    name: str,
    variables: Mapping[str, Variable],
    *,
    question: str,
    reference: str,
    members: Sequence[int] | None = None,
    **attributes: object,
) -> xr.Dataset:
    """A labelled Dataset that says what it is: question, source of the method, split, recipe.

    Args:
        run: The run it is about.
        name: The analysis's name.
        variables: Name -> (dimensions, values, unit, description).
        question: What it answers.
        reference: Who says so, and where.
        members: Those that the member axes stand for; all of the run if None.
        **attributes: Further facts; `split` where it is not the test split alone.

    Returns:
        The Dataset; every dimension that stands for members, epochs or classes has coordinates.
    """
    coordinates: dict[str, tuple[str, object]] = {}
    used = {dimension for dimensions, *_ in variables.values() for dimension in dimensions}
    for dimension in sorted(used):
        axis = dimension.partition("_")[0]
        if axis == MEMBER:
            coordinates[dimension] = (dimension, np.asarray(run.members if members is None else members))
        elif axis == EPOCH:
            coordinates[dimension] = (dimension, np.asarray(run.epochs))
        elif axis == CLASS:
            coordinates[dimension] = (dimension, np.asarray(read_class_names(run), dtype=np.dtypes.StringDType()))
    arrays = {
        key: (dimensions, values, {"units": unit, "long_name": told})
        for key, (dimensions, values, unit, told) in variables.items()
    }
    facts = {
        "analysis": name,
        "question": question,
        "reference": reference,
        "split": "test",
        "recipe": run.recipe.name,
        "recipe_sha256": run.recipe.sha256(),
        "modescope": metadata.version("modescope"),
    }
    return xr.Dataset(arrays, coords=coordinates, attrs={**facts, **attributes})
