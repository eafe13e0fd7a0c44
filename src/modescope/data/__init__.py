"""A data source becomes a training and a test split."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from modescope import seeds
from modescope.data.digits import read_digits
from modescope.data.folder import read_folder
from modescope.data.function import read_function
from modescope.data.hub import read_hub, read_parquet
from modescope.data.npz import read_npz
from modescope.data.split import Arrays, DataSet, Split, fingerprint
from modescope.errors import DataError
from modescope.settings import DataSettings

__all__ = ["SOURCES", "DataSet", "Split", "check_source", "load_data"]

SOURCES: dict[str, Callable[[str], Arrays]] = {
    "digits": read_digits,
    "hf": read_hub,
    "parquet": read_parquet,
    "npz": read_npz,
    "images": read_folder,
}
_ON_DISK = ("parquet", "npz", "images")


def load_data(settings: DataSettings) -> DataSet:
    """The data set that a recipe names.

    Args:
        settings: The `[data]` section of a recipe.

    Returns:
        Both splits, cut down to the asked numbers of examples by a stratified draw that depends on the labels alone.

    Raises:
        DataError: The source is unknown, missing, damaged, or not fit for training a classifier.
    """
    kind, _, address = settings.source.partition(":")
    arrays = SOURCES[kind](address) if _has_reader(settings.source) else read_function(settings.source)
    data = DataSet(
        train=_part(arrays.train_inputs, arrays.train_labels, settings.train_examples, "train"),
        test=_part(arrays.test_inputs, arrays.test_labels, settings.test_examples, "test"),
        class_names=arrays.class_names,
        brightest=arrays.brightest,
        fingerprint=fingerprint(arrays),
    )
    if len(np.unique(data.train.labels)) < 2:
        raise DataError(
            f"data.train_examples={settings.train_examples} leaves one class to train on; at least two are needed."
        )
    return data


def check_source(source: str) -> None:
    """Find out, without reading it, whether there can be such a data source.

    Raises:
        DataError: It is of no known kind, or its file or folder is not there.
    """
    kind, _, address = source.partition(":")
    if _has_reader(source) and kind in _ON_DISK and not Path(address).exists():
        raise DataError(f"{source}: there is no such file or folder.")


def _has_reader(source: str) -> bool:
    """Whether a data source is of a known kind; else it must be a function."""
    kind, colon, address = source.partition(":")
    if kind in SOURCES and bool(address) == (kind != "digits"):
        return True
    if not colon:
        raise DataError(f"{source!r} is no data source. Those are {_kinds()}.")
    if "." not in kind and "/" in address:
        raise DataError(f"{kind!r} is no kind of data source. Those are {_kinds()}.")
    return False


def _part(inputs: np.ndarray, labels: np.ndarray, wanted: int | str, name: str) -> Split:
    if wanted == "all":
        return Split(inputs, labels)
    if wanted > len(labels):
        raise DataError(f"data.{name}_examples asks for {wanted} examples; the source has {len(labels)}.")
    order = np.random.default_rng(seeds.seed(0, 0, f"{name}_examples")).permutation(len(labels))
    chosen = np.sort(order[_evenly(np.asarray(labels)[order])[:wanted]])
    return Split(np.asarray(inputs)[chosen], np.asarray(labels)[chosen])


def _evenly(labels: np.ndarray) -> np.ndarray:
    """An order in which every class is met in its proportion, from the first example on."""
    place = np.empty(len(labels))
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    return np.argsort(place, kind="stable")


def _kinds() -> str:
    return "digits, hf:REPO[:CONFIG], parquet:DIR, npz:FILE, images:DIR and package.module:function"
