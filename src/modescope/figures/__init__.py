"""A Dataset becomes a matplotlib Figure: one module an analysis, of the same name.

Every module here has a `CAPTION`, which says how to read the figure, and a function `draw(dataset) -> Figure`.
"""

import importlib

import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.room import settle
from modescope.figures.style import WIDTH, styled


def draw(name: str, dataset: xr.Dataset, *, width: float = WIDTH) -> Figure:
    """The figure of one analysis, in the house style, so many inches wide."""
    with styled(width):
        drawn = importlib.import_module(f"modescope.figures.{name}").draw(dataset)
        settle(drawn)
    return drawn


def caption(name: str) -> str:
    """How to read the figure of one analysis."""
    return importlib.import_module(f"modescope.figures.{name}").CAPTION
