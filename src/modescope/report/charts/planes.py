"""What the charts of planes share: each quantity as contours with what lies on the plane, and as a surface."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from modescope.figures.plane import SOLUTION_COLOURS, Panel, panels_of
from modescope.report.arrays import Arrays
from modescope.report.charts import INK, Chart, Control, Table, View
from modescope.report.charts.text import number
from modescope.report.charts.traces import LEGEND, Stroke, colour_scale, points
from modescope.types import MEMBER, X, Y

_LEAST = 1e-6  # a smaller loss would stretch the scale over nothing
_HEIGHT = 520


def plane_charts(dataset: xr.Dataset, arrays: Arrays, marks: Sequence[dict[str, object]] = ()) -> Sequence[Chart]:
    """One chart: every quantity, as contours under the solutions and the marks, and as a surface."""
    panels = panels_of(dataset)
    views = {}
    for panel in panels:
        views[panel.title, "contours"] = _contours(dataset, panel, marks, arrays)
        views[panel.title, "3-D surface"] = _surface(dataset, panel, arrays)
    controls = (
        Control("Quantity", tuple(panel.title for panel in panels)),
        Control("View", ("contours", "3-D surface")),
    )
    return [Chart("", _alternative(dataset, panels), views, controls, _table(dataset, panels), _HEIGHT)]


def values_of(dataset: xr.Dataset, panel: Panel) -> Float[np.ndarray, "y x"]:
    """A quantity as plotly.js wants it, NaN where it is not known."""
    values = dataset[panel.name].to_numpy().T
    known = np.isfinite(values) & (dataset["done"].to_numpy().T != 0)
    return np.where(known, np.maximum(values, _LEAST) if panel.name == "loss" else values, np.nan)


def _contours(dataset: xr.Dataset, panel: Panel, marks: Sequence[dict[str, object]], arrays: Arrays) -> View:
    values = values_of(dataset, panel)
    loss = panel.name == "loss"
    trace = {
        "type": "contour",
        "name": panel.title,
        "x": arrays.add(dataset[X].to_numpy()),
        "y": arrays.add(dataset[Y].to_numpy()),
        "z": arrays.add(np.log10(values) if loss else values),
        "contours": {"coloring": "heatmap"},
        "line": {"width": 0.5, "color": "rgba(255, 255, 255, 0.5)"},
        "hovertemplate": f"{panel.title}: %{{{'customdata:.3g' if loss else 'z:.1%'}}}<extra></extra>",
        **({"customdata": arrays.add(values)} if loss else {}),
        **_scale(panel, values, "z"),
    }
    axis = {"title": {"text": "distance in weights"}, "zeroline": False, "showgrid": False, "constrain": "domain"}
    layout = {
        "xaxis": axis | {"nticks": 6, "range": _ends(dataset[X].to_numpy())},
        "yaxis": axis | {"nticks": 6, "range": _ends(dataset[Y].to_numpy()), "scaleanchor": "x", "scaleratio": 1},
        "legend": LEGEND,
        "hovermode": "closest",
    }
    return View([trace, *marks, *_solutions(dataset, arrays)], layout)


def _surface(dataset: xr.Dataset, panel: Panel, arrays: Arrays) -> View:
    values, x, y = values_of(dataset, panel), dataset[X].to_numpy(), dataset[Y].to_numpy()
    loss = panel.name == "loss"
    form = ".3g" if loss else ".1%"
    trace = {
        "type": "surface",
        "name": panel.title,
        "x": arrays.add(x),
        "y": arrays.add(y),
        "z": arrays.add(values),
        **({"surfacecolor": arrays.add(np.log10(values))} if loss else {}),
        "hovertemplate": f"{panel.title}: %{{z:{form}}}<extra></extra>",
        **_scale(panel, values, "c"),
    }
    flat = {"title": {"text": "weights"}, "nticks": 5, "showspikes": False}
    upright = {"title": {"text": ""}, "tickformat": "~g" if loss else ".0%", "showspikes": False, "nticks": 5}
    scene = {
        "xaxis": flat,
        "yaxis": flat,
        "zaxis": upright | {"type": "log" if loss else "linear"},
        "aspectmode": "manual",
        "aspectratio": {"x": 1, "y": float(np.clip(np.ptp(y) / max(np.ptp(x), 1e-12), 0.4, 2.5)), "z": 0.7},
        "camera": {"eye": {"x": 1.8, "y": -1.8, "z": 1.2}},
        "dragmode": "turntable",
    }
    layout = {"scene": scene, "legend": LEGEND, "margin": {"l": 0, "r": 0, "t": 16, "b": 16}}
    return View([trace, *_solutions_in_space(dataset, panel, form, arrays)], layout)


def _scale(panel: Panel, values: Float[np.ndarray, "y x"], letter: str) -> dict[str, object]:
    """The colours of a quantity, and the bar above the chart that explains them."""
    finite = values[np.isfinite(values)]
    bar = {
        "orientation": "h", "x": 0.5, "xanchor": "center", "y": 1, "yanchor": "bottom", "ypad": 4, "thickness": 10,
        "len": 1, "title": {"text": panel.title, "side": "top"}, "outlinewidth": 0,
    }  # fmt: skip
    if panel.name == "loss":
        low, high = float(finite.min(initial=1.0)), float(finite.max(initial=_LEAST))
        low, high = (low, max(high, 1.001 * low)) if len(finite) else (0.1, 1.0)
        ticks = _nice(low, high)
        bar |= {"tickvals": [float(np.log10(tick)) for tick in ticks], "ticktext": [f"{tick:g}" for tick in ticks]}
        low, high = float(np.log10(low)), float(np.log10(high))
    else:
        low, high = 0.0, float(finite.max(initial=1e-6)) if panel.name == "accuracy" else 1.0
        bar |= {"tickformat": ".0%", "nticks": 6}
    return {"colorscale": colour_scale(panel.colours), f"{letter}min": low, f"{letter}max": high, "colorbar": bar}


def _nice(low: float, high: float) -> list[float]:
    """At most seven round numbers in a range that spans decades."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [step * 10.0**power for power in decades for step in steps if low <= step * 10.0**power <= high]
        if len(found) <= 7:
            return found
    return found[:: -(-len(found) // 7)]


def _ends(places: Float[np.ndarray, " place"]) -> list[float]:
    return [float(places.min()), float(places.max())]


def _solutions(dataset: xr.Dataset, arrays: Arrays) -> list[dict[str, object]]:
    """A star for each member, with its number."""
    found = []
    for colour, place, member in zip(
        SOLUTION_COLOURS, dataset["optima"].to_numpy(), dataset[MEMBER].to_numpy(), strict=False
    ):
        trace = points(f"member {member}", place[:1], place[1:], Stroke(colour, "star", size=14), "solution", arrays)
        trace["marker"]["line"] = {"color": "#ffffff", "width": 1}
        number_beside = {"text": [str(member)], "textposition": "top right", "textfont": {"color": "#ffffff"}}
        found.append(trace | {"mode": "markers+text"} | number_beside)
    return found


def _solutions_in_space(dataset: xr.Dataset, panel: Panel, form: str, arrays: Arrays) -> list[dict[str, object]]:
    values = values_of(dataset, panel)
    found = []
    for colour, place, member in zip(
        SOLUTION_COLOURS, dataset["optima"].to_numpy(), dataset[MEMBER].to_numpy(), strict=False
    ):
        height = np.array([values[_nearest(dataset, place)]])
        trace = {
            "type": "scatter3d", "mode": "markers+text", "name": f"member {member}", "x": arrays.add(place[:1]),
            "y": arrays.add(place[1:]), "z": arrays.add(height), "text": [str(member)],
            "textposition": "top center", "textfont": {"color": INK},
            "marker": {"size": 5, "color": colour, "line": {"color": "#ffffff", "width": 1}},
            "hovertemplate": f"nearest point to member {member}: %{{z:{form}}}<extra></extra>",
        }  # fmt: skip
        found.append(trace)
    return found


def _nearest(dataset: xr.Dataset, place: Float[np.ndarray, " component"]) -> tuple[int, int]:
    """Row and column of the point of the grid that is nearest to a place."""
    away = np.abs(dataset[Y].to_numpy() - place[1]), np.abs(dataset[X].to_numpy() - place[0])
    return int(away[0].argmin()), int(away[1].argmin())


def _told(dataset: xr.Dataset) -> dict[str, Float[np.ndarray, " component"]]:
    """The places whose numbers are told: the members, and half-way between each two."""
    optima, members = dataset["optima"].to_numpy(), [int(member) for member in dataset[MEMBER].to_numpy()]
    found = {f"member {member}": place for member, place in zip(members, optima, strict=True)}
    for first in range(len(members)):
        for second in range(first + 1, len(members)):
            name = f"half-way between {members[first]} and {members[second]}"
            found[name] = (optima[first] + optima[second]) / 2
    return found


def _table(dataset: xr.Dataset, panels: Sequence[Panel]) -> Table:
    rows = []
    for name, place in _told(dataset).items():
        cell = _nearest(dataset, place)
        values = (float(values_of(dataset, panel)[cell]) for panel in panels)
        forms = (".3g" if panel.name == "loss" else ".1%" for panel in panels)
        rows.append((name, *(number(value, form) for value, form in zip(values, forms, strict=True))))
    return Table(("nearest point of the plane to", *(panel.title for panel in panels)), tuple(rows))


def _alternative(dataset: xr.Dataset, panels: Sequence[Panel]) -> str:
    loss = values_of(dataset, panels[0])
    finite = loss[np.isfinite(loss)]
    if len(finite) == 0:
        return "No point of the plane has a known loss."
    told = "; ".join(
        f"{name} {number(float(loss[_nearest(dataset, place)]), '.3g')}" for name, place in _told(dataset).items()
    )
    rows, columns = loss.shape
    return (
        f"{len(finite)} of {columns} by {rows} points, whose loss goes from {finite.min():.3g} to {finite.max():.3g} "
        f"nat. Loss at the point nearest to: {told}."
    )
