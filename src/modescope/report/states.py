"""The states of a run for the page's scripts: what each said of which example, and the images of the hardest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Integer
from matplotlib.colors import to_hex

from modescope.data import DataSet
from modescope.figures.style import member_colours
from modescope.report.arrays import Arrays
from modescope.report.pictures import pictures
from modescope.store.predictions import read_class_names, read_epoch, read_labels
from modescope.store.run import Run

_MOST_CLASSES_SAID = 6_000_000  # numbers of all states and examples together; a few megabytes once compressed
_FEWEST_EXAMPLES = 1_000
_HARDEST = 24  # whose images stand in the gallery
_MOST_COSINES = 700  # states; all with all


@dataclass(frozen=True)
class _Kept:
    """What of a run fits the page."""

    epochs: Integer[np.ndarray, " epoch"]
    examples: Integer[np.ndarray, " example"]
    notices: tuple[str, ...]


def states(run: Run, results: Mapping[str, xr.Dataset], data: DataSet | None, arrays: Arrays) -> dict[str, object]:
    """What scripts need to know of every state (member, epoch); numbers go into `arrays`.

    Args:
        run: The run.
        results: Its Datasets: of the map, cosines and hardness as far as they are there.
        data: Its data, for images of examples; None if they cannot be had.
        arrays: Takes the numbers.

    Returns:
        Names, numbers and references to arrays. Rows of `predicted` (voter, epoch, example) and `accuracy` (voter,
        epoch) are the members and, if there are several, the mean of their probabilities.

    Raises:
        DamagedFileError: Predictions are not what was written.
    """
    label = read_labels(run)
    hard, losses = _hardest(results.get("hardness"))
    kept = _kept(run, len(label), hard)
    said, accuracy = _said(run, kept, label)
    place = {int(example): at for at, example in enumerate(kept.examples)}
    facts: dict[str, object] = {
        "members": list(run.members),
        "epochs": kept.epochs.tolist(),
        "classes": read_class_names(run),
        "notices": list(kept.notices),
        "colours": [to_hex(colour) for colour in member_colours(len(run.members))],
        "predicted": arrays.add(said),
        "accuracy": arrays.add(accuracy),
        "label": arrays.add(label[kept.examples]),
        "examples": arrays.add(kept.examples),
        "hard": [place[int(example)] for example in hard],
        "hardLoss": [round(float(loss), 4) if np.isfinite(loss) else None for loss in losses],
        **_maps(results.get("trajectory_map"), kept, arrays),
    }
    rank = _by_hardness(results.get("hardness"), kept.examples)
    return facts | (pictures(data, kept.examples, rank, arrays) if data is not None else {"pictures": None})


def _hardest(hardness: xr.Dataset | None) -> tuple[Integer[np.ndarray, " example"], Float[np.ndarray, " example"]]:
    """The examples with the highest loss, as the mean over members, and these losses."""
    if hardness is None:
        return np.zeros(0, int), np.zeros(0)
    loss = hardness["loss"].mean("member").to_numpy()
    chosen = np.argsort(-loss, kind="stable")[:_HARDEST]
    return chosen, loss[chosen]


def _by_hardness(hardness: xr.Dataset | None, examples: np.ndarray) -> Integer[np.ndarray, " example"]:
    """Places in `examples`, the hardest first."""
    if hardness is None:
        return np.arange(len(examples))
    return np.argsort(-hardness["loss"].mean("member").to_numpy()[examples], kind="stable")


def _kept(run: Run, examples: int, hard: np.ndarray) -> _Kept:
    """All epochs and examples where they fit the page; else evenly spaced ones, the hardest examples among them."""
    voters, epochs = len(run.members) + 1, len(run.epochs)
    room = max(_MOST_CLASSES_SAID // voters, 1)
    shown = min(examples, max(room // epochs, _FEWEST_EXAMPLES))
    if shown < examples:
        spaced = np.linspace(0, examples - 1, max(shown - len(hard), 1)).round().astype(int)
        chosen = np.union1d(spaced, hard)
    else:
        chosen = np.arange(examples)
    count = min(epochs, max(room // len(chosen), 2))
    times = np.unique(np.linspace(0, epochs - 1, count).round().astype(int))
    notices = []
    if len(chosen) < examples:
        notices.append(
            f"To keep this page small it holds {len(chosen):,} of the {examples:,} test examples: what two states "
            "differ on, and confusion matrices, are of these. Accuracies are of all."
        )
    if len(times) < epochs:
        notices.append(f"To keep this page small it holds {len(times)} of the {epochs} epochs.")
    return _Kept(np.asarray(run.epochs)[times], chosen, tuple(notices))


def _said(
    run: Run, kept: _Kept, label: np.ndarray
) -> tuple[Integer[np.ndarray, "voter epoch example"], Float[np.ndarray, "voter epoch"]]:
    """Predicted classes of the examples that are kept, and accuracies over all; one epoch in memory at a time."""
    members = len(run.members)
    voters = members + (members > 1)
    said = np.empty((voters, len(kept.epochs), len(kept.examples)), np.int32)
    accuracy = np.empty((voters, len(kept.epochs)))
    for column, epoch in enumerate(kept.epochs):
        total: np.ndarray | float = 0.0
        for row, member in enumerate(run.members):
            log_prob = read_epoch(run, member, int(epoch))
            total = total + np.exp(log_prob, dtype=np.float64)
            said[row, column], accuracy[row, column] = _chosen(log_prob, label, kept.examples)
        if members > 1:
            said[-1, column], accuracy[-1, column] = _chosen(np.asarray(total), label, kept.examples)
    return said, accuracy


def _chosen(score: np.ndarray, label: np.ndarray, examples: np.ndarray) -> tuple[np.ndarray, float]:
    classes = score.argmax(axis=-1)
    return classes[examples], float((classes == label).mean())


def _maps(found: xr.Dataset | None, kept: _Kept, arrays: Arrays) -> dict[str, object]:
    """Where states are on the maps, and the cosines of their weights."""
    if found is None:
        return {"maps": {}, "cosine": None}
    there = found.isel(epoch=_places(found["epoch"].to_numpy(), kept.epochs))
    names = {"embedding": "t-SNE", "embedding_pca": "PCA"}
    maps = {told: arrays.add(there[name].to_numpy()) for name, told in names.items() if name in there}
    cosine = None
    if "cosine_similarity" in there and there["member"].size * len(kept.epochs) <= _MOST_COSINES:
        values = found["cosine_similarity"].sel({"epoch": kept.epochs, "epoch_other": kept.epochs})
        cosine = arrays.scaled(values.to_numpy(), low=-1.0, high=1.0)
    return {"maps": maps, "cosine": cosine}


def _places(all_epochs: Sequence[int] | np.ndarray, epochs: np.ndarray) -> Bool[np.ndarray, " epoch"]:
    return np.isin(np.asarray(all_epochs), epochs)
