"""The plane through three solutions."""

from collections.abc import Sequence

import xarray as xr

from modescope.report.arrays import Arrays
from modescope.report.charts import Chart
from modescope.report.charts.planes import plane_charts

CAPTION = (
    "Every point is a network whose weights lie on the plane through three members (stars with their numbers); axes "
    "are distances in weights. Choose the quantity: the loss, on a logarithmic scale; the accuracy; or the part of the "
    "test examples given the same class as by a member; and whether it is drawn as contours or as a surface to be "
    "turned. The bar above says which brightness is which number. High loss between the stars means that no straight "
    "line leads from one solution to another."
)


def charts(dataset: xr.Dataset, arrays: Arrays) -> Sequence[Chart]:
    """One chart: the plane with its three solutions."""
    return plane_charts(dataset, arrays)
