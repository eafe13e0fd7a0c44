"""The plane through three solutions."""

import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.plane import draw_plane

CAPTION = (
    "Every point is a network whose weights lie on the plane through three members (stars); axes are distances in "
    "weights. Loss on a logarithmic scale; accuracy; and the part of the test examples given the same class as by each "
    "member. High loss between the stars means that no straight line leads from one solution to another."
)


def draw(dataset: xr.Dataset) -> Figure:
    """Five panels with the three solutions."""
    return draw_plane(dataset, 3)[0]
