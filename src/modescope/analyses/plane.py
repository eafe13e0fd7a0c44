"""What two analyses share: loss, accuracy and similarity on the points of a plane, resumable."""

import json
import time
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from modescope.analyses.bench import Bench
from modescope.analyses.current import settings_sha256
from modescope.analyses.reading import Variable
from modescope.analysis_settings import PlaneSettings
from modescope.data.tensors import TensorSplit
from modescope.errors import NotApplicableError
from modescope.landscape.plane import Plane, grid_around
from modescope.store.partial import PartialGrid
from modescope.store.run import Run
from modescope.store.snapshots import recorded_digest
from modescope.types import FRACTION, NAT, ONE, X, Y

_SAVE_SECONDS = 10.0
_AT_ONCE = 64  # points, between two looks at the clock, and less where networks are large
_AT_ONCE_BYTES = 2**30
ORDINALS = ("first", "second", "third")


@dataclass(frozen=True)
class Surveyed:
    """A plane that was looked at."""

    x: Float[np.ndarray, " x"]
    y: Float[np.ndarray, " y"]
    variables: dict[str, Variable]
    examples: int


def check_plane(run: Run, name: str, settings: PlaneSettings) -> None:
    """Refuse a run that lacks the solutions of a plane.

    Raises:
        NotApplicableError: A member is not there, or is named twice.
    """
    if len(set(settings.members)) < len(settings.members):
        raise NotApplicableError(f"{name} needs different members; analyses.{name}.members is {settings.members}.")
    if max(settings.members) not in run.members:
        raise NotApplicableError(
            f"{name} needs member {max(settings.members)}; this run has members 0 to {run.members[-1]}."
        )


def survey(bench: Bench, name: str, settings: PlaneSettings, plane: Plane, shown: Float[Tensor, "point 2"]) -> Surveyed:
    """Look at every point of a grid on a plane; what was looked at before a stop is not looked at again.

    Args:
        bench: The bench.
        name: The analysis's name.
        settings: Its settings.
        plane: The plane.
        shown: Coordinates that must be on the grid.

    Returns:
        `loss`, `accuracy` and the similarity to each solution (x, y).
    """
    on_gpu = bench.device.type == "cuda"
    points = (51 if on_gpu else 21) if settings.points == "auto" else settings.points
    split = bench.test_part(settings.examples, most=None if on_gpu else 1000)
    x, y = grid_around(shown, points, settings.margin)
    similarities = tuple(f"similarity_{ORDINALS[number]}" for number in range(len(settings.members)))
    grid = PartialGrid(
        bench.run,
        name,
        key=json.dumps([
            settings_sha256(bench.run, name),
            [recorded_digest(bench.run, member, bench.last) for member in settings.members],
            str(bench.device),
            points,
            len(split),
            metadata.version("modescope"),
        ]),
        names=("loss", "accuracy", *similarities),
        shape=(points, points),
    )
    own = [bench.own(member, split).argmax(axis=-1) for member in settings.members]
    saved = time.monotonic()
    left = np.argwhere(~grid.done)
    at_once = max(1, min(_AT_ONCE, _AT_ONCE_BYTES // plane.origin.nbytes))
    for start in range(0, len(left), at_once):
        part = left[start : start + at_once]
        coordinates = torch.stack([x[part[:, 0]], y[part[:, 1]]], dim=1)
        _look(bench, settings, plane.points(coordinates), split, own, grid, part)
        if time.monotonic() - saved > _SAVE_SECONDS:
            grid.save()
            saved = time.monotonic()
    told = {
        "loss": (NAT, "mean negative log-likelihood on the test examples"),
        "accuracy": (FRACTION, "accuracy on the test examples"),
    } | {
        similarity: (FRACTION, f"test examples given the same class as by member {member}")
        for similarity, member in zip(similarities, settings.members, strict=True)
    }
    variables: dict[str, Variable] = {key: ((X, Y), values, *told[key]) for key, values in grid.values.items()}
    variables["done"] = ((X, Y), grid.done.astype(np.int8), ONE, "1 where the point was looked at")
    grid.save()  # until the Dataset is on disk
    return Surveyed(x.numpy(), y.numpy(), variables, len(split))


def _look(
    bench: Bench,
    settings: PlaneSettings,
    weights: Float[Tensor, "point parameter"],
    split: TensorSplit,
    own: list[Integer[np.ndarray, " example"]],
    grid: PartialGrid,
    places: Integer[np.ndarray, "point 2"],
) -> None:
    label = split.labels.cpu().numpy()
    said = bench.evaluate(settings.members[0], weights, split)
    rows, columns = places.T
    of_label = np.take_along_axis(said, label[None, :, None], axis=-1)[..., 0]
    predicted = said.argmax(axis=-1)
    grid.values["loss"][rows, columns] = -of_label.mean(axis=-1, dtype=np.float64)
    grid.values["accuracy"][rows, columns] = (predicted == label).mean(axis=-1)
    for number, classes in enumerate(own):
        grid.values[f"similarity_{ORDINALS[number]}"][rows, columns] = (predicted == classes).mean(axis=-1)
    grid.done[rows, columns] = True
