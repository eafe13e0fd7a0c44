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
from modescope.files import replaced_folder, room_for
from modescope.store.run import Run
from modescope.types import CLASS, EPOCH, EXAMPLE, MEMBER, NAT


def create_predictions(run: Run, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Make an empty store of the run's full size, if there is none."""
    if (run.predictions / "zarr.json").is_file():
        return
    shape = (len(run.members), len(run.epochs), len(labels), len(class_names))
    with replaced_folder(run.predictions) as folder:
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
            config={"write_empty_chunks": True},
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
        zarr.open_array(run.predictions, path="log_prob", mode="r+")[member, epoch] = log_prob


def require_finished(run: Run) -> None:
    """Refuse a run that is not trained to its end.

    Raises:
        RunError: Predictions are missing.
    """
    missing = sum(not _chunk(run, member, epoch).is_file() for member in run.members for epoch in run.epochs)
    if missing:
        raise RunError(
            f"{run.path} is not finished: {missing} of {len(run.members) * len(run.epochs)} members' epochs are "
            "missing. Run the same `modescope train` command again first."
        )


def read_predictions(run: Run) -> xr.Dataset:
    """`log_prob` and `label` with their coordinates; values are read from disk when they are used."""
    return xr.open_zarr(run.predictions, chunks=None, consolidated=False)


def read_epoch(run: Run, member: int, epoch: int) -> np.ndarray:
    """One member's log_prob (example, class) at one epoch, checked.

    Raises:
        DamagedFileError: The chunk is missing, or is not what was written.
    """
    path = _chunk(run, member, epoch)
    if not path.is_file():
        raise DamagedFileError(path, "it is missing")
    try:
        return np.asarray(zarr.open_array(run.predictions, path="log_prob", mode="r")[member, epoch])
    except Exception as error:  # zarr's codecs raise what they like; whatever it is, the chunk cannot be read
        raise DamagedFileError(path, f"its checksum does not fit: {str(error).split('.')[0]}") from error


def check_predictions(run: Run, member: int, epochs: Sequence[int]) -> dict[int, DamagedFileError]:
    """What is wrong with those predictions of one member: epoch -> the error that reading would raise."""
    damaged = {}
    for epoch in epochs:
        try:
            read_epoch(run, member, epoch)
        except DamagedFileError as error:
            damaged[epoch] = error
    return damaged


def _chunk(run: Run, member: int, epoch: int) -> Path:
    return run.predictions / "log_prob" / "c" / str(member) / str(epoch) / "0" / "0"


def _coordinate(group: zarr.Group, name: str, dimension: str, values: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", zarr.errors.UnstableSpecificationWarning)
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            dimension_names=(dimension,),
            config={"write_empty_chunks": True},
        )
        array[:] = values
