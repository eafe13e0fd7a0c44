"""What all analyses read from a run, and what all their Datasets say about themselves."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float, Integer

from modescope.errors import NotApplicableError
from modescope.store.predictions import read_epoch, read_predictions
from modescope.store.run import Run
from modescope.store.snapshots import read_snapshot
from modescope.types import CLASS, EPOCH, MEMBER

Variable = tuple[tuple[str, ...], np.ndarray, str, str]
"""Dimensions, values, unit, and what the variable is."""


def need_members(run: Run, count: int, what: str) -> None:
    """Refuse an analysis of pairs in a run of one member.

    Raises:
        NotApplicableError: The run has fewer members than needed.
    """
    if len(run.members) < count:
        raise NotApplicableError(
            f"{what} needs at least {count} members and this run has {len(run.members)}; train more with "
            f"--set ensemble.members={count} and another output folder."
        )


def labels(run: Run) -> Integer[np.ndarray, " example"]:
    """The true classes of the test examples."""
    return read_predictions(run)["label"].to_numpy()


def class_names(run: Run) -> list[str]:
    """The names of the classes, in the order of their numbers."""
    return [str(name) for name in read_predictions(run)[CLASS].to_numpy()]


def log_prob(
    run: Run, members: Sequence[int], epochs: Sequence[int]
) -> Float[np.ndarray, "member epoch example class"]:
    """Test predictions of those members and epochs, each checked as it is read.

    Raises:
        DamagedFileError: One of them is not what was written.
    """
    return np.stack([np.stack([read_epoch(run, member, epoch) for epoch in epochs]) for member in members])


def predicted_classes(run: Run) -> Integer[np.ndarray, "member epoch example"]:
    """The predicted class of every test example, for all members and epochs; one epoch in memory at a time."""
    return np.stack([
        np.stack([read_epoch(run, member, epoch).argmax(axis=-1) for epoch in run.epochs]) for member in run.members
    ])


def parameters(run: Run, states: Sequence[tuple[int, int]]) -> dict[str, Float[np.ndarray, "state _"]]:
    """The trained parameters of those (member, epoch) states, flattened: name -> (state, parameter).

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
        name: np.stack([snapshot.state[name].reshape(-1).double().numpy() for snapshot in snapshots]) for name in first
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
            coordinates[dimension] = (dimension, np.asarray(class_names(run), dtype=np.dtypes.StringDType()))
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
    }
    return xr.Dataset(arrays, coords=coordinates, attrs={**facts, **attributes})
