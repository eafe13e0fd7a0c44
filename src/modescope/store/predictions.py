"""Predictions: what every member said about every test example after every epoch.

`predictions.zarr` holds `log_prob` (member, epoch, example, class), the natural logarithm of the softmax, and `label`
(example). One chunk is one member's epoch, so no two writers share a file; each chunk carries its CRC-32C.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec

from modescope.errors import DamagedFileError, RunError
from modescope.files import fill_folder, room_for, scratch_folder
from modescope.store.arrays import store_at
from modescope.store.run import Run
from modescope.types import CLASS, EPOCH, EXAMPLE, MEMBER, NAT, Place

_WHOLE = {"write_empty_chunks": True}  # what is not on disk is missing, even where it would be zarr's fill value


def prepare_predictions(run: Run, labels: np.ndarray, class_names: Sequence[str]) -> DamagedFileError | None:
    """Make an empty store of the run's full size, or mend the frame of the one that is there.

    The frame is everything but the predictions themselves: shapes, labels, names. They stay as they are.

    Returns:
        What was damaged and has been mended.

    Raises:
        DiskFullError: There is no room for it.
    """
    damage = None
    if run.predictions.is_dir():
        damage = check_frame(run)
        if damage is None and not np.array_equal(read_labels(run), labels):
            damage = DamagedFileError(run.predictions / "label", "these are not the labels of the data")
        if damage is None and read_class_names(run) != list(class_names):
            damage = DamagedFileError(run.predictions / CLASS, "these are not the classes of the data")
        if damage is None:
            return None
    with scratch_folder(run.path) as folder:
        _create_frame(folder, run, labels, class_names)
        fill_folder(run.predictions, folder)  # over what is there; a kill on the way leaves a frame that is mended
    return damage


def check_frame(run: Run) -> DamagedFileError | None:
    """What is wrong with the shapes, labels and names beside the predictions, if anything is."""
    path = run.predictions
    try:
        for name in ("label", MEMBER, EPOCH, CLASS):
            path = run.predictions / name
            if not (path / "c" / "0").is_file():  # zarr would take it for zeros
                return DamagedFileError(path, "its values are missing")
            _opened(run, name)[:]
        path = run.predictions / "log_prob"
        whole = run.part_of or run.recipe
        shape = (whole.ensemble.members, whole.states, len(read_labels(run)), len(read_class_names(run)))
        found = _opened(run, "log_prob").shape
        if found != shape:
            return DamagedFileError(path, f"its shape is {found} and should be {shape}")
        path = run.predictions
        zarr.open_group(store_at(path), mode="r", use_consolidated=False)
    except Exception as error:  # zarr's codecs and its JSON reader raise what they like
        return DamagedFileError(path, _first_sentence(error))
    return None


def _create_frame(folder: Path, run: Run, labels: np.ndarray, class_names: Sequence[str]) -> None:
    shape = (len(run.members), len(run.epochs), len(labels), len(class_names))
    group = zarr.open_group(folder, mode="w", zarr_format=3)
    group.create_array(
        "log_prob",
        shape=shape,
        chunks=(1, 1, *shape[2:]),
        dtype="float32",
        fill_value=np.nan,
        compressors=[Crc32cCodec()],  # nothing to gain from compressing float noise, much from a checksum
        dimension_names=(MEMBER, EPOCH, EXAMPLE, CLASS),
        attributes={"units": NAT, "long_name": "natural logarithm of the softmax"},
    )
    _coordinate(group, "label", EXAMPLE, np.asarray(labels, dtype="int64"))
    _coordinate(group, MEMBER, MEMBER, np.asarray(run.members, dtype="int64"))
    _coordinate(group, EPOCH, EPOCH, np.asarray(run.epochs, dtype="int64"))
    _coordinate(group, CLASS, CLASS, np.asarray(class_names, dtype=np.dtypes.StringDType()))
    with warnings.catch_warnings():
        # they are no part of zarr's third format yet, but without them xarray warns whoever reads
        warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)
        zarr.consolidate_metadata(folder)


def write_predictions(run: Run, member: int, epoch: int, log_prob: np.ndarray) -> None:
    """Write one member's test predictions (example, class) of one epoch.

    Raises:
        DiskFullError: There is no room for them.
    """
    with room_for(run.predictions):
        array = _opened(run, "log_prob", mode="r+").with_config(_WHOLE)
        array[member, epoch] = log_prob


def require_finished(run: Run) -> None:
    """Refuse a run that is not trained to its end.

    Raises:
        RunError: Predictions are missing.
        DamagedFileError: Labels or names beside them are damaged.
    """
    missing = sum(not _chunk(run, member, epoch).is_file() for member in run.members for epoch in run.epochs)
    if missing:
        raise RunError(
            f"{run.path} is not finished: {missing} of {len(run.members) * len(run.epochs)} members' epochs are "
            "missing. Run the same `modescope train` command again first."
        )
    damage = check_frame(run)
    if damage is not None:
        raise damage


def read_predictions(run: Run) -> xr.Dataset:
    """`log_prob` and `label` with their coordinates; values are read from disk when they are used."""
    return xr.open_zarr(store_at(run.predictions), chunks=None, consolidated=False)


def read_labels(run: Run) -> np.ndarray:
    """The true classes (example) of the test examples."""
    return np.asarray(_opened(run, "label")[:])


def read_class_names(run: Run) -> list[str]:
    """The names of the classes, in the order of their numbers."""
    return [str(name) for name in _opened(run, CLASS)[:]]


def read_epoch(run: Run, member: int, epoch: int) -> np.ndarray:
    """One member's log_prob (example, class) at one epoch, checked.

    Raises:
        DamagedFileError: The chunk is missing, or is not what was written.
    """
    path = _chunk(run, member, epoch)
    if not path.is_file():
        raise DamagedFileError(path, "it is missing")
    try:
        return np.asarray(_opened(run, "log_prob")[member, epoch])
    except Exception as error:  # zarr's codecs raise what they like; whatever it is, the chunk cannot be read
        raise DamagedFileError(path, _first_sentence(error)) from error


def check_predictions(run: Run, member: int, epochs: Sequence[int]) -> dict[int, DamagedFileError]:
    """What is wrong with those predictions of one member: epoch -> the error that reading would raise."""
    damaged = {}
    for epoch in epochs:
        try:
            read_epoch(run, member, epoch)
        except DamagedFileError as error:
            damaged[epoch] = error
    return damaged


def _opened(run: Run, name: str, mode: str = "r") -> zarr.Array:
    return zarr.open_array(store_at(run.predictions), path=name, mode=mode)


def _chunk(run: Run, member: int, epoch: int) -> Place:
    return run.predictions / "log_prob" / "c" / str(member) / str(epoch) / "0" / "0"


def _coordinate(group: zarr.Group, name: str, dimension: str, values: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", zarr.errors.UnstableSpecificationWarning)
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            dimension_names=(dimension,),
            compressors=[Crc32cCodec()],
            config=_WHOLE,
        )
        array[:] = values


def _first_sentence(error: Exception) -> str:
    return str(error).splitlines()[0].partition(". ")[0].rstrip(".") if str(error) else type(error).__name__
