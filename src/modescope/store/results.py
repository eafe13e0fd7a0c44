"""Results: one xarray Dataset an analysis, as `analyses/NAME.zarr`."""

import json
import shutil
import warnings
from collections.abc import Mapping

import numpy as np
import xarray as xr
from zarr.errors import ZarrUserWarning

from modescope.errors import RunError
from modescope.files import modified, replaced_folder, write_text
from modescope.store.arrays import store_at
from modescope.store.run import Run
from modescope.types import Place


def write_result(run: Run, name: str, dataset: xr.Dataset) -> None:
    """Put the Dataset of an analysis in its place; the old one stands until the new one is whole.

    Raises:
        DiskFullError: There is no room for it.
    """
    write_dataset(run.analysis(name), dataset)


def write_dataset(path: Place, dataset: xr.Dataset) -> None:
    """Put a Dataset in its place; the old one stands until the new one is whole.

    Raises:
        DiskFullError: There is no room for it.
    """
    # zarr's third format has variable-length strings, but no numpy fixed-length ones
    texts = {key: values.astype(np.dtypes.StringDType()) for key, values in dataset.variables.items() if _text(values)}
    with replaced_folder(path) as folder, warnings.catch_warnings():
        # consolidated metadata are no part of zarr's third format yet, but without them xarray warns whoever reads
        warnings.simplefilter("ignore", ZarrUserWarning)
        shutil.rmtree(folder)
        dataset.assign_coords(texts).to_zarr(folder, mode="w", zarr_format=3, consolidated=True)


def read_result(run: Run, name: str) -> xr.Dataset:
    """The Dataset of an analysis, in memory.

    Raises:
        RunError: The analysis has not been made, or its files cannot be read.
    """
    path = run.analysis(name)
    again = f"`modescope analyze {run.path} {name}` makes it."
    if not path.is_dir():
        raise RunError(f"{run.path} has no {name} yet. {again}")
    try:
        return xr.open_zarr(store_at(path), chunks=None, consolidated=False).load()
    except Exception as error:  # zarr raises whatever its codecs and its JSON reader raise
        raise RunError(f"{path} cannot be read ({type(error).__name__}: {error}). {again}") from error


def write_left_out(run: Run, reasons: Mapping[str, str]) -> None:
    """Remember which analyses make no sense for the run as it is set, and why.

    Raises:
        DiskFullError: There is no room for it.
    """
    write_text(run.left_out, json.dumps({"recipe_sha256": run.recipe.sha256(), "why": dict(reasons)}, indent=2))


def read_left_out(run: Run) -> dict[str, str]:
    """What `write_left_out` remembered; nothing if the run is set otherwise now."""
    try:
        found = json.loads(run.left_out.read_text(encoding="utf-8"))
        return dict(found["why"]) if found["recipe_sha256"] == run.recipe.sha256() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def written_at(run: Run, name: str) -> float:
    """When the Dataset of an analysis was written, in seconds since 1970."""
    return modified(run.analysis(name) / "zarr.json")


def _text(variable: xr.Variable) -> bool:
    return variable.dtype.kind in "UT"
