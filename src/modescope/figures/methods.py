"""How each method is drawn, in every figure that has several: one colour and one marker for each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from modescope.figures.style import INK, PALETTE
from modescope.types import METHOD

_MARKERS = "osD^vPX<>ph"
_ORDER = (
    "late_snapshots", "random", "dropout", "diagonal_gaussian", "low_rank_gaussian", "low_rank_gaussian_unit",
    "random_low_rank", "swag", "weight_average", "mc_dropout",
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """A method's name, colour and marker."""

    name: str
    title: str
    colour: str
    marker: str


def looks(dataset: xr.Dataset) -> Sequence[Look]:
    """The look of each method of a Dataset, in its order; members themselves are black."""
    names = [str(name) for name in dataset[METHOD].to_numpy()]
    return [_look(name, str(title)) for name, title in zip(names, listed(dataset.attrs["titles"]), strict=True)]


def listed(value: object) -> list[object]:
    """A list in attributes; one of a single entry may come back from disk as the entry."""
    return list(value) if isinstance(value, list | tuple) else [value]


def largest_common(shift: xr.Dataset) -> int:
    """The place of the largest size that members and every method of several networks have in shifted data.

    A divergence grows with the number of networks: only those of as many can be compared.
    """
    there = np.isfinite(shift["accuracy_mean"].to_numpy()).any(axis=0)  # (method, size)
    several = there[there[:, 1:].any(axis=1)]
    return int(np.flatnonzero(several.all(axis=0)).max(initial=0)) if len(several) else 0


def _look(name: str, title: str) -> Look:
    if name in ("optimum", "independent"):
        return Look(name, title, INK, "*")
    if name not in _ORDER:
        return Look(name, title, "#5b5b5b", "h")
    number = _ORDER.index(name)
    return Look(name, title, PALETTE[number % len(PALETTE)], _MARKERS[number % len(_MARKERS)])
