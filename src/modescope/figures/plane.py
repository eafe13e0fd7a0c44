"""What the figures of planes share: one panel a measure, solutions as stars."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from modescope.figures.methods import listed
from modescope.figures.panels import panels as grid
from modescope.figures.style import DIFFERENT, INK, SIMILAR
from modescope.types import MEMBER, X, Y

SOLUTION_COLOURS = ("#e8503a", "#3f90da", "#e9b000")


@dataclass(frozen=True)
class Panel:
    """A measure on the plane."""

    name: str
    title: str
    colours: str


def panels_of(dataset: xr.Dataset) -> Sequence[Panel]:
    """Loss, accuracy, and the similarity to each solution."""
    members = listed(dataset[MEMBER].to_numpy().tolist())
    return [
        Panel("loss", "Loss (nat)", DIFFERENT),
        Panel("accuracy", "Accuracy", SIMILAR),
        *(
            Panel(f"similarity_{ordinal}", f"Same class as member {member}", SIMILAR)
            for ordinal, member in zip(("first", "second", "third"), members, strict=False)
        ),
    ]


def draw_plane(dataset: xr.Dataset, columns: int) -> tuple[Figure, Sequence[Axes]]:
    """Every panel of a plane, with its solutions."""
    panels = panels_of(dataset)
    drawn, every = grid(len(panels), height=3.1, square=0.65, least=1.5, most=columns)
    for axes, panel in zip(every, panels, strict=True):
        values = dataset[panel.name].to_numpy().T
        image = axes.pcolormesh(
            dataset[X], dataset[Y], values, cmap=panel.colours, norm=_norm(panel, values), shading="nearest",
            rasterized=True,
        )  # fmt: skip
        axes.contour(dataset[X], dataset[Y], values, levels=8, colors="white", linewidths=0.3, alpha=0.5)
        for colour, place, member in zip(
            SOLUTION_COLOURS, dataset["optima"].to_numpy(), dataset[MEMBER].to_numpy(), strict=False
        ):
            axes.scatter(*place, s=60, marker="*", color=colour, edgecolors=INK, linewidths=0.5, zorder=5)
            axes.annotate(str(member), place, textcoords="offset points", xytext=(6, 5), fontsize=7.5, color="white",
                          zorder=6)  # fmt: skip
        axes.set(title=panel.title, xlabel="distance in weights")
        axes.set_aspect("equal")
        drawn.colorbar(image, ax=axes, location="bottom", shrink=0.8, pad=0.02, aspect=20)
    return drawn, every


def _norm(panel: Panel, values: np.ndarray) -> Normalize:
    finite = values[np.isfinite(values)]
    if panel.name != "loss":
        return Normalize(0.0, float(finite.max(initial=0.0)) if panel.name == "accuracy" else 1.0)
    low = max(float(finite.min()), 1e-6) if len(finite) else 1e-6
    return LogNorm(low, max(float(finite.max()), low * 1.001) if len(finite) else 1.0)
