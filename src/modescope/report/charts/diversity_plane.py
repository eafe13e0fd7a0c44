"""Diversity against accuracy."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from modescope.figures.methods import looks
from modescope.report.arrays import Arrays
from modescope.report.charts import INK, Chart, Control, Table, View
from modescope.report.charts.text import NOTHING, counted, number, with_interval
from modescope.report.charts.traces import SOFT, Stroke, band, layout, line, points, stroke_of
from modescope.types import ACCURACY_GRID, METHOD

CAPTION = (
    "Each point is a network: how accurate it is, and how often it disagrees with the reference (the large star ringed "
    "in the page's ink, at no disagreement) over its own error; a marker and colour for each method, filled stars for "
    "independent members. Dashed: the reference with random answers, from which no more diversity comes than from "
    "noise. Dash-dotted: networks whose errors are independent. Grey area: beyond what is possible at all. At equal "
    "accuracy, higher is more diverse. Choose the part of the plane above the chart; pressing a name hides its points."
)
_REFERENCE = "#2a9d3a"


def charts(dataset: xr.Dataset, arrays: Arrays) -> Sequence[Chart]:
    """One chart: the part of the plane where independent members lie, and the whole."""
    data = [*_limits(dataset, arrays), *_networks(dataset, arrays)]
    top = _top(dataset)
    views = {}
    for choice, ends in _ranges(dataset).items():
        xaxis = {"tickformat": ".1~%", "range": ends, "nticks": 6}
        yaxis = {"range": [-0.05 * top, top], "tickformat": "~g"}
        views[(choice,)] = View(data, layout("accuracy", "disagreement / error", xaxis=xaxis, yaxis=yaxis))
    return [Chart("", _alternative(dataset), views, (Control("Part", tuple(_ranges(dataset))),), _table(dataset), 600)]


def _ranges(dataset: xr.Dataset) -> dict[str, list[float]]:
    """The accuracies of each part of the plane."""
    reference = float(dataset.attrs["reference_accuracy"])
    accuracy = np.where(np.isfinite(dataset["accuracy"]), dataset["accuracy"], np.nan)
    low, best = (float(end(accuracy, initial=reference)) for end in (np.nanmin, np.nanmax))
    worst = float(np.nanmin(accuracy[0], initial=reference))
    span = max(best - worst, 0.25 * (1 - best), 0.005)
    room = max(0.03 * (best - low), 0.002)
    return {
        "where independent members are": [max(worst - 2 * span, low - room), best + 0.5 * span],
        "the whole plane": [low - room, best + room],
    }


def _top(dataset: xr.Dataset) -> float:
    diversity = dataset["diversity"].to_numpy()
    return 1.3 * float(np.max(diversity[np.isfinite(diversity)], initial=1.0))


def _limits(dataset: xr.Dataset, arrays: Arrays) -> list[dict[str, object]]:
    """The two curves between which networks lie, and the areas where none can."""
    if ACCURACY_GRID not in dataset:
        return []
    grid = dataset[ACCURACY_GRID].to_numpy()
    far = np.full(len(grid), 10 * _top(dataset))
    hover = "accuracy %{x:.2%}: %{y:.3f}"
    upper, lower = (dataset[f"bound_{side}"].to_numpy() for side in ("upper", "lower"))
    curves = [
        line(name, grid, dataset[f"limit_{side}"].to_numpy(), Stroke(SOFT, dash=dash, width=1.3), hover, arrays)
        | {"mode": "lines"}
        for name, side, dash in (
            ("independent errors", "upper", "dashdot"), ("reference, random answers", "lower", "dash"),
        )
    ]  # fmt: skip
    return [
        *band("not possible", grid, upper, far, SOFT, arrays),
        *band("not possible", grid, -far, lower, SOFT, arrays),
        *curves,
    ]


def _networks(dataset: xr.Dataset, arrays: Arrays) -> list[dict[str, object]]:
    hover = "accuracy: %{x:.2%}<br>disagreement / error: %{y:.3f}"
    data = []
    for row, look in reversed(list(enumerate(looks(dataset)))):  # members are drawn last, on top of the others
        x, y = (dataset[name].to_numpy()[row] for name in ("accuracy", "diversity"))
        there = np.isfinite(x) & np.isfinite(y)
        trace = points(look.title, x[there], y[there], stroke_of(look), hover, arrays)
        data.append(trace | {"legendrank": 1000 + row})
    accuracy, none = np.array([float(dataset.attrs["reference_accuracy"])]), np.zeros(1)
    name = f"reference: member {dataset.attrs['reference_member']}"
    star = points(name, accuracy, none, Stroke(_REFERENCE, "star", size=15), hover, arrays)
    star["marker"]["line"] = {"color": INK, "width": 1.2}
    return [*data, star]


def _table(dataset: xr.Dataset) -> Table:
    rows = []
    for row, look in enumerate(looks(dataset)):
        one = dataset.isel({METHOD: row})
        there = np.isfinite(one["accuracy"].to_numpy() + one["diversity"].to_numpy())
        accuracy, diversity = (
            float(one[name].to_numpy()[there].mean()) if there.any() else np.nan for name in ("accuracy", "diversity")
        )
        equal = [float(one[f"diversity_at_equal_accuracy{end}"]) for end in ("", "_low", "_high")]
        means = number(accuracy, ".2%"), number(diversity, ".3f")
        rows.append((look.title, str(int(there.sum())), *means, with_interval(*equal, ".3f")))
    header = ("method", "networks", "mean accuracy", "mean disagreement / error", "the same at equal accuracy")
    return Table(header, tuple(rows))


def _alternative(dataset: xr.Dataset) -> str:
    rows = {row[0]: row for row in _table(dataset).rows}
    told = "; ".join(f"{title} {row[4]}" for title, row in rows.items() if row[4] != NOTHING)
    networks = counted(sum(int(row[1]) for row in rows.values()), "network")
    return (
        f"{networks} and the reference, whose accuracy is {number(float(dataset.attrs['reference_accuracy']), '.2%')}. "
        f"Mean disagreement with it over the own error, at equal accuracy: {told or 'no method has networks there'}."
    )
