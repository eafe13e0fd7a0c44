"""What all analyses read from a run, and what all their Datasets say about themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import xarray as xr
from jaxtyping import Float, Integer

from modescope.errors import NotApplicableError
from modescope.store.predictions import read_class_names, read_epoch, read_labels
from modescope.store.run import Run
from modescope.store.snapshots import read_snapshot
from modescope.types import CLASS, EPOCH, MEMBER

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


@dataclass(frozen=True)
class Parameter:
    """One trained parameter in several states."""

    values: Float[np.ndarray, "state _"]
    shape: tuple[int, ...]


def parameters(run: Run, states: Sequence[tuple[int, int]]) -> dict[str, Parameter]:
    """The trained parameters of those (member, epoch) states, flattened, by name.

    Raises:
        DamagedFileError: A snapshot is missing or damaged.
        NotApplicableError: The states do not have the same parameters.
    """
    snapshots = [read_snapshot(run, member, epoch) for member, epoch in states]
    first = {name: snapshots[0].state[name].shape for name in snapshots[0].parameters}
    for (member, epoch), snapshot in zip(states, snapshots, strict=True):
        shapes = {name: snapshot.state[name].shape for name in snapshot.parameters}
        if shapes != first:
            raise NotApplicableError(
                f"Weights can be compared only between networks of one architecture; member {member} at epoch {epoch} "
                "has other parameters than the first."
            )
    return {
        name: Parameter(np.stack([snapshot.state[name].reshape(-1).double().numpy() for snapshot in snapshots]), shape)
        for name, shape in first.items()
    }


def with_ends(name: str, estimate: Sequence[float | np.ndarray], unit: str, told: str) -> dict[str, Variable]:
    """A number and the ends of its interval as `NAME`, `NAME_low` and `NAME_high`."""
    ends = (("", ""), ("_low", ": lower end of the interval"), ("_high", ": upper end of the interval"))
    return {
        name + suffix: ((), np.asarray(value), unit, told + what)
        for (suffix, what), value in zip(ends, estimate, strict=True)
    }


def dataset(
    run: Run,
    name: str,
    variables: Mapping[str, Variable],
    *,
    question: str,
    reference: str,
    **attributes: object,
) -> xr.Dataset:
    """A labelled Dataset that says what it is: question, source of the method, split, recipe.

    Args:
        run: The run it is about.
        name: The analysis's name.
        variables: Name -> (dimensions, values, unit, description).
        question: What it answers.
        reference: Who says so, and where.
        **attributes: Further facts; `split` where it is not the test split alone.

    Returns:
        The Dataset; every dimension that stands for members, epochs or classes has coordinates.
    """
    coordinates: dict[str, tuple[str, object]] = {}
    used = {dimension for dimensions, *_ in variables.values() for dimension in dimensions}
    for dimension in sorted(used):
        axis = dimension.partition("_")[0]
        if axis == MEMBER:
            coordinates[dimension] = (dimension, np.asarray(run.members))
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
