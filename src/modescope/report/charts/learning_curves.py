"""Loss, accuracy and learning rate by epoch."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from modescope.report.arrays import Arrays
from modescope.report.charts import INK, Chart, Control, Table, View
from modescope.report.charts.scores import ACCURACY, LOSS, Score
from modescope.report.charts.text import counted, number
from modescope.report.charts.traces import Stroke, layout, line, log_ticks, member_strokes, whole
from modescope.types import EPOCH, MEMBER

CAPTION = (
    "One line a member, each with its own colour and marker: solid on the test data, dotted and thin on the training "
    "data (as met during the epoch, dropout on). The loss is on a logarithmic scale. Choose the quantity above the "
    "chart; pressing a name below it hides or shows that member. Members that end at the same loss need not make the "
    "same mistakes."
)
_MOST_NAMES = 12  # more would fill a phone's screen


def charts(dataset: xr.Dataset, arrays: Arrays) -> Sequence[Chart]:
    """One chart: the loss, the accuracy, or the learning rate."""
    views = {
        ("loss",): _curves(dataset, LOSS, arrays),
        ("accuracy",): _curves(dataset, ACCURACY, arrays),
        ("learning rate",): _rate(dataset, arrays),
    }
    controls = (Control("Quantity", tuple(name for (name,) in views)),)
    return [Chart("", _alternative(dataset), views, controls, _table(dataset), height=420)]


def _curves(dataset: xr.Dataset, score: Score, arrays: Arrays) -> View:
    epochs, members = dataset[EPOCH].to_numpy(), dataset[MEMBER].to_numpy()
    data = []
    for member, stroke in zip(members, member_strokes(len(members)), strict=True):
        values = dataset.sel({MEMBER: member})
        for part, name in (("train", "training"), ("test", "test")):
            hover = f"epoch %{{x}}<br>{score.choice} on the {name} data: %{{y:{score.form}}}"
            trace = line(f"member {member}", epochs, values[f"{part}_{score.name}"].to_numpy(), stroke, hover, arrays)
            trace["legendgroup"] = str(member)
            trace["showlegend"] = part == "test"
            if part == "train":
                trace |= {"mode": "lines", "opacity": 0.7, "line": trace["line"] | {"dash": "dot", "width": 1}}
            else:
                trace["line"]["width"] = 1.5
                trace["marker"]["maxdisplayed"] = 8  # one at every epoch would hide the line
            data.append(trace)
    drawn = layout("epoch", score.axis, xaxis=whole(epochs), yaxis={"tickformat": score.ticks})
    if score is LOSS:
        every = np.concatenate([dataset[f"{part}_loss"].to_numpy().ravel() for part in ("train", "test")])
        seen = every[np.isfinite(every) & (every > 0)]
        drawn["yaxis"] |= log_ticks(float(seen.min(initial=1.0)), float(seen.max(initial=1.0)))
    return View(data, drawn | {"showlegend": len(members) <= _MOST_NAMES})


def _rate(dataset: xr.Dataset, arrays: Arrays) -> View:
    epochs, rates = dataset[EPOCH].to_numpy(), dataset["learning_rate"].to_numpy()
    trace = line("learning rate", epochs, rates, Stroke(INK, size=4), "epoch %{x}: %{y:.3g}", arrays)
    trace["line"]["shape"] = "hvh"  # a step an epoch
    yaxis = {"rangemode": "tozero", "tickformat": "~g"}
    return View([trace], layout("epoch", "learning rate", xaxis=whole(epochs), yaxis=yaxis) | {"showlegend": False})


def _table(dataset: xr.Dataset) -> Table:
    last = dataset.isel({EPOCH: -1})
    columns = ("test_loss", "test_accuracy", "train_loss", "train_accuracy")
    rows = [
        (
            str(member),
            *(number(float(last[name].sel({MEMBER: member})), ".2%" if "acc" in name else ".4f") for name in columns),
        )
        for member in dataset[MEMBER].to_numpy()
    ]
    epoch = int(last[EPOCH])
    header = ("test loss (nat)", "test accuracy", "training loss (nat)", "training accuracy")
    return Table(("member", *(f"{name}, epoch {epoch}" for name in header)), tuple(rows))


def _alternative(dataset: xr.Dataset) -> str:
    last = dataset.isel({EPOCH: -1})
    accuracy, loss = last["test_accuracy"], last["test_loss"]
    return (
        f"{counted(dataset.sizes[MEMBER], 'member')}; at epoch {int(last[EPOCH])} the test accuracy lies between "
        f"{number(float(accuracy.min()), '.2%')} and {number(float(accuracy.max()), '.2%')}, the test loss between "
        f"{number(float(loss.min()), '.4f')} and {number(float(loss.max()), '.4f')} nat."
    )
