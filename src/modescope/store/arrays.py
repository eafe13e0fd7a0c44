"""Where zarr finds its arrays."""

from pathlib import Path

from zarr.storage import FsspecStore

from modescope.types import Place


def store_at(place: Place) -> str | FsspecStore:
    """What zarr and xarray take for a place."""
    if isinstance(place, Path):
        return str(place)
    return FsspecStore.from_url(str(place), storage_options=dict(place.storage_options))
