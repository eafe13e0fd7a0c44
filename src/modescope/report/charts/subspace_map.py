"""The map of trajectories with the samples of every method."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from modescope.figures.methods import looks
from modescope.report.arrays import Arrays
from modescope.report.charts import INK, Chart, Table, View
from modescope.report.charts.text import counted, number
from modescope.report.charts.traces import DASHES, SOFT, SYMBOLS, Stroke, layout, line, points, stroke_of
from modescope.types import EPOCH, MEMBER, METHOD, SAMPLE

CAPTION = (
    "Lines: the members' paths through function space, from the star (initialisation) to the number (last epoch). "
    "Other markers: networks drawn around each last epoch, a marker and colour for each method. Points near each other "
    "predict alike (t-SNE of the softmax outputs of all together); axes and far distances mean nothing. Samples that "
    "lie at their own path's end stay in that valley; the table has the part that does. Pressing a name hides its "
    "points."
)


def charts(dataset: xr.Dataset, arrays: Arrays) -> Sequence[Chart]:
    """One chart: paths and samples."""
    data = [*_paths(dataset, arrays), *_samples(dataset, arrays)]
    hidden = {"showticklabels": False, "showgrid": False}
    drawn = layout(
        "t-SNE 1 (no unit)", "t-SNE 2 (no unit)", xaxis=hidden, yaxis=hidden | {"scaleanchor": "x", "scaleratio": 1}
    )
    return [Chart("", _alternative(dataset), {(): View(data, drawn)}, (), _table(dataset), height=560)]


def _paths(dataset: xr.Dataset, arrays: Arrays) -> list[dict[str, object]]:
    """A line, a star and a number for each member; one name for all of them."""
    data = []
    epochs = dataset[EPOCH].to_numpy()
    for place, member in enumerate(dataset[MEMBER].to_numpy()):
        x, y = dataset["embedding"].sel({MEMBER: member}).to_numpy().T
        stroke = Stroke(SOFT, SYMBOLS[0], DASHES[place % len(DASHES)], 1.2, 3)
        path = line(f"member {member}", x, y, stroke, "epoch %{customdata}", arrays)
        stars = np.where(np.arange(len(epochs)) == 0, 13, 3)
        path["marker"] |= {"symbol": ["star", *["circle"] * (len(epochs) - 1)], "size": arrays.add(stars)}
        end = points(f"member {member}", x[-1:], y[-1:], Stroke(INK), f"epoch {epochs[-1]}, the last", arrays)
        end |= {"mode": "text", "text": [f"<b>{member}</b>"], "textposition": "top center", "showlegend": False}
        group = {"legendgroup": "members"}
        data += [path | group | {"customdata": arrays.add(epochs), "name": f"member {member}"}, end | group]
        data[-2]["showlegend"] = place == 0
    data[0]["name"] = "paths of members" if len(data) > 2 else data[0]["name"]
    return data


def _samples(dataset: xr.Dataset, arrays: Arrays) -> list[dict[str, object]]:
    data = []
    for look in looks(dataset):
        places = dataset["embedding_samples"].sel({METHOD: look.name}).to_numpy()
        around = np.repeat(dataset[MEMBER].to_numpy(), dataset.sizes[SAMPLE])
        x, y = places.reshape(-1, 2).T
        there = np.isfinite(x) & np.isfinite(y)
        hover = "around member %{customdata}"
        trace = points(look.title, x[there], y[there], stroke_of(look), hover, arrays)
        data.append(trace | {"customdata": arrays.add(around[there])})
    return data


def _table(dataset: xr.Dataset) -> Table:
    header = ("samples nearest to their own member", *(f"around member {each}" for each in dataset[MEMBER].to_numpy()))
    rows = []
    for look in looks(dataset):
        own = dataset["own_valley"].sel({METHOD: look.name}).to_numpy()
        rows.append((look.title, *(number(part, ".0%") for part in own)))
    return Table(header, tuple(rows))


def _alternative(dataset: xr.Dataset) -> str:
    own = dataset["own_valley"].to_numpy()
    part = number(float(np.nanmean(own)) if np.isfinite(own).any() else np.nan, ".0%")
    return (
        f"Paths of {counted(dataset.sizes[MEMBER], 'member')} through {counted(dataset.sizes[EPOCH], 'epoch')} and the "
        f"samples of {counted(dataset.sizes[METHOD], 'method')} around their ends; {part} of the samples disagree with "
        "no other member less than with their own."
    )
