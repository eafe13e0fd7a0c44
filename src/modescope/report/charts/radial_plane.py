"""The plane through the origin and two solutions."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from modescope.figures.plane import SOLUTION_COLOURS
from modescope.report.arrays import Arrays
from modescope.report.charts import Chart
from modescope.report.charts.planes import plane_charts
from modescope.report.charts.traces import Stroke, line, points
from modescope.types import EPOCH, MEMBER

CAPTION = (
    "Every point is a network whose weights lie on the plane through zero (cross) and two members (stars with their "
    "numbers); axes are distances in weights. Choose the quantity: the loss, on a logarithmic scale; the accuracy; "
    "or the part of the test examples given the same class as by a member; and whether it is drawn as contours or as "
    "a surface to be turned. The bar above says which brightness is which number. Lines: the two members' training "
    "paths, projected (solid with circles, dashed with squares); pink triangles: samples of the diagonal Gaussian "
    "around the first. Where a region is accurate but unlike one of the members, equal loss is not equal function."
)
_SAMPLES = Stroke("#ff6ec7", "triangle-up", size=6)
_ORIGIN = Stroke("#ffffff", "cross-thin-open", size=11)


def charts(dataset: xr.Dataset, arrays: Arrays) -> Sequence[Chart]:
    """One chart: the plane with both paths, the samples, and the origin."""
    marks = _paths(dataset, arrays)
    if "samples" in dataset:
        x, y = dataset["samples"].to_numpy().T
        there = np.isfinite(x) & np.isfinite(y)
        marks.append(points("diagonal Gaussian", x[there], y[there], _SAMPLES, "a sample, projected", arrays))
    origin = points("zero", np.zeros(1), np.zeros(1), _ORIGIN, "all weights zero", arrays)
    origin["marker"]["line"]["color"] = "#ffffff"
    origin["marker"]["line"]["width"] = 1.5
    return plane_charts(dataset, arrays, [*marks, origin | {"showlegend": False}])


def _paths(dataset: xr.Dataset, arrays: Arrays) -> list[dict[str, object]]:
    """Where each member was at its epochs; those without a snapshot are passed over."""
    found = []
    for row, member in enumerate(dataset[MEMBER].to_numpy()):
        x, y = dataset["trajectory"].to_numpy()[row].T
        there = np.isfinite(x) & np.isfinite(y)
        look = ("circle", "solid") if row == 0 else ("square", "dash")
        stroke = Stroke(SOLUTION_COLOURS[row % len(SOLUTION_COLOURS)], *look, width=1.5, size=4)
        trace = line(f"path of member {member}", x[there], y[there], stroke, "epoch %{customdata}", arrays)
        found.append(trace | {"customdata": arrays.add(dataset[EPOCH].to_numpy()[there])})
    return found
