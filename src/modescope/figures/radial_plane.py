"""The plane through the origin and two solutions."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.plane import SOLUTION_COLOURS, draw_plane
from modescope.types import MEMBER

CAPTION = (
    "Every point is a network whose weights lie on the plane through zero (cross) and two members (stars); axes are "
    "distances in weights. Loss on a logarithmic scale; accuracy; and the part of the test examples given the same "
    "class as by each member. Lines: the two members' training paths, projected; pink: samples of the diagonal "
    "Gaussian around the first. Where a region is accurate but unlike one of the members, equal loss is not equal "
    "function."
)


def draw(dataset: xr.Dataset) -> Figure:
    """Four panels with both trajectories, the samples, and the origin."""
    drawn, panels = draw_plane(dataset, 2)
    for axes in panels:
        for number in range(dataset.sizes[MEMBER]):
            x, y = dataset["trajectory"].to_numpy()[number].T
            there = np.isfinite(x)
            axes.plot(x[there], y[there], color=SOLUTION_COLOURS[number], linewidth=1.0, marker="o", markersize=1.6)
        if "samples" in dataset:
            axes.scatter(*dataset["samples"].to_numpy().T, s=5, color="#ff6ec7", linewidths=0, zorder=4)
        axes.scatter([0], [0], s=28, marker="+", color="white", linewidths=1.0, zorder=5)
    return drawn
