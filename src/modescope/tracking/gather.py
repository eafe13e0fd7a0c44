"""What a tracker is told beyond epochs: a member's confusion, and what the ensemble came to."""

import hashlib
import io
import json
import threading
from math import isfinite

import numpy as np
import xarray as xr
from PIL import Image

from modescope import analyses
from modescope.figures.style import annotate, encode, figure, heatmap, name_ticks, styled
from modescope.files import modified, sha256
from modescope.measures.confusion import confusion_counts
from modescope.store.predictions import read_class_names, read_epoch, read_labels
from modescope.store.results import read_result, written_at
from modescope.store.run import Run
from modescope.tracking.sink import Confusion, Ensemble
from modescope.types import SIZE

_DRAWING = threading.Lock()  # matplotlib's style is the whole process's, and trackers are told by threads


def member_confusion(run: Run, member: int) -> Confusion:
    """The confusion matrix of one member after its last epoch.

    Raises:
        DamagedFileError: Its predictions are missing or damaged.
    """
    epoch = run.epochs[-1]
    names = tuple(read_class_names(run))
    predicted = read_epoch(run, member, epoch).argmax(axis=-1)
    return Confusion(epoch, names, confusion_counts(predicted[None], read_labels(run), len(names))[0])


def confusion_png(confusion: Confusion) -> bytes:
    """A picture of it: rows are true classes, columns what was said, as a part of the row."""
    total = confusion.count.sum(axis=1, keepdims=True)
    rates = np.divide(confusion.count, total, out=np.full(confusion.count.shape, np.nan), where=total > 0)
    with _DRAWING, styled():
        drawn = figure(3.6, width=4.0)
        axes = drawn.subplots()
        image = heatmap(axes, rates, "cividis", low=0.0, high=1.0)
        if len(confusion.classes) <= 10:
            annotate(axes, image, rates, ".2f", size=5.5)
        name_ticks(axes, list(confusion.classes))
        axes.set(title=f"epoch {confusion.epoch}", xlabel="said", ylabel="true")
        drawn.colorbar(image, ax=axes, label="part of the true class", shrink=0.8)
        return encode(drawn, "png")


def pixels(png: bytes) -> np.ndarray:
    """A PNG as (height, width, 3) of uint8."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def gather_ensemble(run: Run) -> Ensemble:
    """All that there is of the whole ensemble.

    Raises:
        RunError: An analysis that is there cannot be read.
    """
    made = {name: read_result(run, name) for name in analyses.NAMES if run.analysis(name).is_dir()}
    figures = {name: run.figure(name, "png") for name in made if run.figure(name, "png").is_file()}
    files = tuple(file for file in (run.path / "recipe.toml", run.report) if file.is_file())
    times = [written_at(run, name) for name in made] + [modified(run.path / "recipe.toml")]
    sizes = _by_size(made["ensemble_size"]) if "ensemble_size" in made else {}
    return Ensemble(_numbers(made), sizes, figures, files, max(times))


def digests(ensemble: Ensemble) -> dict[str, str]:
    """A SHA-256 of each part that can change by itself."""
    found = {str(size): dict(scores) for size, scores in ensemble.sizes.items()}
    values = json.dumps([dict(ensemble.numbers), found], sort_keys=True)  # zarr lists variables as they come
    return {
        "numbers": hashlib.sha256(values.encode()).hexdigest(),
        **{f"figures/{name}": sha256(file) for name, file in ensemble.figures.items()},
        **{file.name: sha256(file) for file in ensemble.files},
    }


def changed(ensemble: Ensemble, parts: set[str]) -> Ensemble:
    """Only those parts of it."""
    known = "numbers" in parts
    return Ensemble(
        ensemble.numbers if known else {},
        ensemble.sizes if known else {},
        {name: file for name, file in ensemble.figures.items() if f"figures/{name}" in parts},
        tuple(file for file in ensemble.files if file.name in parts),
        ensemble.at,
    )


def _numbers(made: dict[str, xr.Dataset]) -> dict[str, float]:
    """Every finite number of an analysis that has no dimension."""
    return {
        f"{analysis}/{name}": float(values)
        for analysis, dataset in made.items()
        for name, values in dataset.data_vars.items()
        if not values.dims and values.dtype.kind in "fiu" and isfinite(float(values))
    }


def _by_size(dataset: xr.Dataset) -> dict[int, dict[str, float]]:
    """The scores of ensembles of each size; a number that is no finite one is left out."""
    scores = {str(name): values for name, values in dataset.data_vars.items() if values.dims == (SIZE,)}
    return {
        int(size): {
            name: float(values[place]) for name, values in scores.items() if np.isfinite(float(values[place]))
        }
        for place, size in enumerate(dataset[SIZE].to_numpy())
    }
