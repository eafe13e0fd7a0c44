"""Along paths between two solutions."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from modescope.figures.methods import listed
from modescope.figures.style import PALETTE
from modescope.report.arrays import Arrays
from modescope.report.charts import INK, Chart, Control, Table, View
from modescope.report.charts.scores import ACCURACY, LOSS, Score
from modescope.report.charts.text import number, with_interval
from modescope.report.charts.traces import Stroke, band, interval, layout, line, log_ticks
from modescope.types import KIND, T

CAPTION = (
    "From one member (t = 0) to another (t = 1): on the straight line (solid), and on two paths whose inner bends were "
    "trained for low loss (dashed: a Bezier curve; dotted: a polygon). Bands: interval over test examples. Choose the "
    "quantity above the chart: the loss, on a logarithmic scale; the accuracy; the part of the test examples given the "
    "same class as by an end; or the disagreement with an end over the point's own error. Where the loss stays low and "
    "that ratio rises from 0 to about 1, equal loss is not equal function."
)
_STROKES = {
    "line": Stroke(INK, "circle", "solid"),
    "bezier": Stroke(PALETTE[0], "square", "dash"),
    "polygon": Stroke(PALETTE[6], "diamond", "dot"),
}


def charts(dataset: xr.Dataset, arrays: Arrays) -> Sequence[Chart]:
    """One chart: every quantity along the three paths."""
    quantities = [each for each in _quantities(dataset) if each.name in dataset]
    views = {(each.choice,): _view(dataset, each, arrays) for each in quantities}
    controls = (Control("Quantity", tuple(each.choice for each in quantities)),)
    return [Chart("", _alternative(dataset), views, controls, _table(dataset, quantities), height=400)]


def _quantities(dataset: xr.Dataset) -> Sequence[Score]:
    first, second = listed(dataset.attrs["ends"])
    named = [
        Score("train_loss", "training loss", "loss on training data (nat)", ".4f", "~g", -1),
        LOSS,
        ACCURACY,
    ]
    for end, member in (("first", first), ("second", second)):
        same, apart = f"same class as member {member}", f"disagreement with member {member} / error"
        named.append(Score(f"similarity_{end}", same, same, ".2%", ".1~%", 0))
        named.append(Score(f"difference_over_error_{end}", apart, apart, ".3f", "~g", 0))
    return [LOSS, ACCURACY, *named[3:], named[0]]


def _view(dataset: xr.Dataset, quantity: Score, arrays: Arrays) -> View:
    t = dataset[T].to_numpy()
    bands, lines = [], []
    for row, kind in enumerate(str(kind) for kind in dataset[KIND].to_numpy()):
        stroke = _STROKES.get(kind, Stroke(PALETTE[4], "cross", "dashdot"))
        values, told, custom = dataset[quantity.name].to_numpy()[row], "", {}
        if f"{quantity.name}_low" in dataset:
            low, high = (dataset[f"{quantity.name}_{end}"].to_numpy()[row] for end in ("low", "high"))
            bands += band(f"{kind}, interval", t, low, high, stroke.colour, arrays)
            told, custom = interval(values, low, high, quantity.form, arrays)
        hover = f"t = %{{x:.2f}}<br>{quantity.choice}: %{{y:{quantity.form}}}{told}"
        trace = line(kind, t, values, stroke, hover, arrays) | custom
        trace["marker"]["size"] = 5
        lines.append(trace)
    first, second = listed(dataset.attrs["ends"])
    yaxis = {"tickformat": quantity.ticks}
    if quantity.name.endswith("loss"):
        seen = dataset[quantity.name].to_numpy()
        seen = seen[np.isfinite(seen) & (seen > 0)]
        yaxis |= log_ticks(float(seen.min(initial=1.0)), float(seen.max(initial=1.0)))
    return View([*bands, *lines], layout(f"t, from member {first} to member {second}", quantity.axis, yaxis=yaxis))


def _table(dataset: xr.Dataset, quantities: Sequence[Score]) -> Table:
    rows = []
    for row, kind in enumerate(str(kind) for kind in dataset[KIND].to_numpy()):
        for column, t in enumerate(dataset[T].to_numpy()):
            one = dataset.isel({KIND: row, T: column})
            rows.append((kind, f"{t:.2f}", *(_cell(one, quantity) for quantity in quantities)))
    return Table(("path", "t", *(quantity.choice for quantity in quantities)), tuple(rows))


def _cell(one: xr.Dataset, quantity: Score) -> str:
    value = float(one[quantity.name])
    if f"{quantity.name}_low" not in one:
        return number(value, quantity.form)
    return with_interval(value, *(float(one[f"{quantity.name}_{end}"]) for end in ("low", "high")), quantity.form)


def _alternative(dataset: xr.Dataset) -> str:
    first, second = listed(dataset.attrs["ends"])
    told = []
    for row, kind in enumerate(str(kind) for kind in dataset[KIND].to_numpy()):
        one = dataset.isel({KIND: row})
        barrier = with_interval(*(float(one[f"barrier{end}"]) for end in ("", "_low", "_high")), ".3f")
        told.append(f"{kind} {barrier}")
    return (
        f"Between members {first} and {second} the loss rises over the mean of the ends', at the most, by (nat): "
        f"{'; '.join(told)}."
    )
