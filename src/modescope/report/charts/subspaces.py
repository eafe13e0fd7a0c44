"""Substitutes for independent members, alone and on top of them."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from modescope.figures.methods import Look, looks
from modescope.report.arrays import Arrays
from modescope.report.charts import Chart, Control, Table, View
from modescope.report.charts.scores import Score, scores_of
from modescope.report.charts.text import change, number, with_interval
from modescope.report.charts.traces import band, interval, layout, line, log_ticks, stroke_of, whole
from modescope.types import METHOD, SAMPLES, SIZE

CAPTION = (
    "One line a method, each with its own colour, marker and dashes; thick with stars: independent members. Each point "
    "is an ensemble of so many members, where each member is replaced by the average of its samples; at one member "
    "stand the methods alone. Choose the score, and by which cost methods are compared: equal numbers of members cost "
    "the same training; by networks asked for one prediction, thin lines grow by samples around one member. Bands "
    "(members, and the method that is best alone): interval over test examples; every other interval stands at the "
    "points. Where the thick line is best at equal cost, independent members are the better use of it. Methods far "
    "worse than one member lie outside the picture; their numbers stand in the table. Pressing a name hides its line."
)
_COSTS = {
    "members": "members",
    "networks asked for one prediction": "forward_passes",
    "training epochs": "training_epochs",
}


def charts(dataset: xr.Dataset, arrays: Arrays) -> Sequence[Chart]:
    """One chart: every score by every cost."""
    scores = scores_of(dataset)
    views = {(score.choice, cost): _view(dataset, score, cost, arrays) for score in scores for cost in _COSTS}
    controls = (Control("Score", tuple(score.choice for score in scores)), Control("Cost", tuple(_COSTS)))
    return [Chart("", _alternative(dataset), views, controls, _table(dataset, scores), height=560)]


def _view(dataset: xr.Dataset, score: Score, cost: str, arrays: Arrays) -> View:
    asked = _COSTS[cost] == "forward_passes"
    bands, lines = [], []
    shown = {0, _best(dataset, score)}
    for row, look in enumerate(looks(dataset)):
        x = _cost(dataset, cost, row)
        values, low, high = (dataset[score.name + end].to_numpy()[row] for end in ("", "_low", "_high"))
        if row in shown:
            bands += band(f"{look.title}, interval", x, low, high, stroke_of(look).colour, arrays)
        told, custom = interval(values, low, high, score.form, arrays)
        hover = f"{cost}: %{{x}}<br>{score.choice}: %{{y:{score.form}}}{told}"
        group = {"legendgroup": look.name}
        lines.append(line(look.title, x, values, stroke_of(look), hover, arrays) | custom | group)
        if asked and row:
            lines += _inside(dataset, score, row, look, arrays)
    every = np.concatenate([_cost(dataset, cost, row) for row in range(dataset.sizes[METHOD])])
    xaxis = log_ticks(1.0, float(np.nanmax(every, initial=1.0))) if asked else whole(every)
    if asked:
        xaxis["dtick"] = 1 if np.nanmax(every, initial=1.0) > 30 else "D2"
    yaxis = {"tickformat": score.ticks} | _in_sight(dataset, score)
    return View([*bands, *lines], layout(cost, score.axis, xaxis=xaxis, yaxis=yaxis))


def _inside(dataset: xr.Dataset, score: Score, row: int, look: Look, arrays: Arrays) -> list[dict[str, object]]:
    """The line that grows by samples around one member, if there is more than one."""
    values, low, high = (dataset[f"{score.name}_inside{end}"].to_numpy()[row] for end in ("", "_low", "_high"))
    if np.isfinite(values).sum() < 2:
        return []
    told, custom = interval(values, low, high, score.form, arrays)
    hover = f"samples around one member: %{{x}}<br>{score.choice}: %{{y:{score.form}}}{told}"
    trace = line(look.title, dataset[SAMPLES].to_numpy(), values, stroke_of(look), hover, arrays) | custom
    trace["line"]["width"], trace["marker"]["size"] = 0.8, 3
    return [trace | {"legendgroup": look.name, "showlegend": False}]


def _cost(dataset: xr.Dataset, cost: str, row: int) -> Float[np.ndarray, " size"]:
    found = dataset[SIZE] if _COSTS[cost] == "members" else dataset[_COSTS[cost]].isel({METHOD: row})
    return found.to_numpy().astype(float)


def _best(dataset: xr.Dataset, score: Score) -> int:
    """The method that is best alone; the members' own row if there is no other, or none is better than another."""
    alone = (score.better or 1) * dataset[score.name].to_numpy()[1:, 0]
    return 1 + int(np.nanargmax(alone)) if np.isfinite(alone).any() else 0


def _in_sight(dataset: xr.Dataset, score: Score) -> dict[str, object]:
    """The members with their interval, the best, and what is a little worse; a method far worse would squeeze all."""
    values = score.better * np.where(np.isfinite(dataset[score.name]), dataset[score.name], np.nan)
    if score.better == 0 or not np.isfinite(values[0]).any():
        return {}
    members = np.stack([score.better * dataset[score.name + end].to_numpy()[0] for end in ("", "_low", "_high")])
    members = members[np.isfinite(members)]
    one, top = values[0, 0], float(np.nanmax(values))
    span = max(top - one, 0.01)
    bottom = min(max(float(np.nanmin(values)), one - 1.5 * span), float(members.min()))
    top = max(top, float(members.max()))
    return {"range": sorted((score.better * (bottom - 0.06 * span), score.better * (top + 0.1 * span)))}


def _table(dataset: xr.Dataset, scores: Sequence[Score]) -> Table:
    rows = []
    for row, look in enumerate(looks(dataset)):
        for column, size in enumerate(dataset[SIZE].to_numpy()):
            one = dataset.isel({METHOD: row, SIZE: column})
            cells = [with_interval(*_ends(one, score.name), score.form) for score in scores]
            more = change(*_ends(one, "accuracy_over_optimum"), ".2%") if row else ""
            costs = (number(float(one[name]), ".0f") for name in ("forward_passes", "training_epochs"))
            rows.append((look.title, str(size), *costs, *cells, more))
    named = [score.choice for score in scores]
    header = ("method", "members", "networks asked", "training epochs", *named, "accuracy over as many members")
    return Table(header, tuple(rows))


def _ends(one: xr.Dataset, name: str) -> tuple[float, float, float]:
    return float(one[name]), float(one[f"{name}_low"]), float(one[f"{name}_high"])


def _alternative(dataset: xr.Dataset) -> str:
    shown = looks(dataset)
    accuracy = dataset["accuracy"].to_numpy()
    count = int(dataset[SIZE][-1])
    one, averaged = (number(accuracy[0, column], ".2%") for column in (0, -1))
    said = f"Accuracy of one member {one}, of {count} averaged {averaged}. "
    alone = accuracy[1:, 0]
    if not np.isfinite(alone).any():
        return said + "No other method was measured."
    best, worst = 1 + int(np.nanargmax(alone)), 1 + int(np.nanargmin(alone))
    return (
        f"{said}Around one member, of {len(alone)} methods {shown[best].title} is the most accurate with "
        f"{number(accuracy[best, 0], '.2%')}, {shown[worst].title} the least with {number(accuracy[worst, 0], '.2%')}."
    )
