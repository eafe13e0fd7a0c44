"""A Dataset becomes a matplotlib Figure: one module an analysis, of the same name.

Every module here has a `CAPTION`, which says how to read the figure, and a function `draw(dataset) -> Figure`.
"""

import importlib

import xarray as xr
from matplotlib.figure import Figure

from modescope.figures.style import styled


def draw(name: str, dataset: xr.Dataset) -> Figure:
    """The figure of one analysis, in the house style."""
    with styled():
        return importlib.import_module(f"modescope.figures.{name}").draw(dataset)


def caption(name: str) -> str:
    """How to read the figure of one analysis."""
    return importlib.import_module(f"modescope.figures.{name}").CAPTION
