"""What most charts are made of: lines with intervals, and their axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Num
from matplotlib import colormaps, colors

from modescope.figures import style
from modescope.figures.methods import Look
from modescope.report.arrays import Arrays
from modescope.report.charts import INK
from modescope.report.charts.text import plain

LEGEND = {
    "orientation": "h", "xref": "container", "x": 0, "xanchor": "left",
    "yref": "container", "y": 0, "yanchor": "bottom", "tracegroupgap": 0,
}  # fmt: skip
SOFT, PAPER = "var(--soft)", "var(--paper)"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = (
    "circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "triangle-left", "triangle-right",
    "pentagon", "hexagon",
)  # fmt: skip
_OF_FIGURES = dict(zip("osD^vPX<>ph", SYMBOLS, strict=True))  # the same marker as matplotlib draws


@dataclass(frozen=True)
class Stroke:
    """How a line and its points look; two that differ do so in more than colour."""

    colour: str = INK
    symbol: str = "circle"
    dash: str = "solid"
    width: float = 2.0
    size: int = 7


def stroke_of(look: Look) -> Stroke:
    """A method as the static figures draw it; members in the page's own ink."""
    if look.marker == "*":
        return Stroke(INK, "star", "solid", 2.5, 11)
    dash = DASHES["osD^vPX<>ph".index(look.marker) % len(DASHES)]
    return Stroke(SOFT if look.marker == "h" else look.colour, _OF_FIGURES[look.marker], dash, 1.5, 6)


def line(
    name: str,
    x: Num[np.ndarray, " point"],
    y: Num[np.ndarray, " point"],
    stroke: Stroke,
    hover: str,
    arrays: Arrays,
) -> dict[str, object]:
    """Points joined by a line. `hover` is a template of plotly.js, in which the name stands already."""
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(name),
        "x": arrays.add(x),
        "y": arrays.add(y),
        "line": {"color": stroke.colour, "dash": stroke.dash, "width": stroke.width},
        "marker": {"color": stroke.colour, "symbol": stroke.symbol, "size": stroke.size},
        "hovertemplate": f"{plain(name)}<br>{hover}<extra></extra>",
    }


def points(
    name: str,
    x: Num[np.ndarray, " point"],
    y: Num[np.ndarray, " point"],
    stroke: Stroke,
    hover: str,
    arrays: Arrays,
) -> dict[str, object]:
    """Points that are not joined, with a thin edge that parts those which overlap."""
    found = line(name, x, y, stroke, hover, arrays)
    del found["line"]
    return found | {"mode": "markers", "marker": found["marker"] | {"line": {"color": PAPER, "width": 0.7}}}


def band(
    name: str,
    x: Num[np.ndarray, " point"],
    low: Num[np.ndarray, " point"],
    high: Num[np.ndarray, " point"],
    colour: str,
    arrays: Arrays,
) -> list[dict[str, object]]:
    """The area between two lines, nothing where there are not two points of it."""
    there = np.isfinite(low) & np.isfinite(high)
    if there.sum() < 2:
        return []
    x, low, high = x[there], low[there], high[there]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": plain(name),
            "x": arrays.add(np.concatenate([x, x[::-1]])),
            "y": arrays.add(np.concatenate([low, high[::-1]])),
            "fill": "toself",
            "fillcolor": colour,
            "opacity": 0.16,
            "line": {"width": 0},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]


def interval(
    y: Num[np.ndarray, " point"],
    low: Num[np.ndarray, " point"],
    high: Num[np.ndarray, " point"],
    form: str,
    arrays: Arrays,
) -> tuple[str, dict[str, object]]:
    """What the hover text says of an interval, and what its trace needs for it; nothing where a point has none."""
    if not (np.isfinite(low) & np.isfinite(high))[np.isfinite(y)].all():
        return "", {}
    told = f"<br>%{{customdata[0]:{form}}} to %{{customdata[1]:{form}}}"
    return told, {"customdata": arrays.add(np.stack([low, high], -1))}


def whole(values: Num[np.ndarray, " point"]) -> dict[str, object]:
    """An axis of counts: ticks at whole numbers, a little room at both ends."""
    known = values[np.isfinite(values)]
    first, last = (int(known.min()), int(known.max())) if len(known) else (0, 1)
    room = 0.04 * max(last - first, 10)
    step = max(1, -(-(last - first) // 9))
    return {"tick0": first, "dtick": step, "tickformat": "d", "range": [first - room, last + room], "zeroline": False}


def log_ticks(low: float, high: float) -> dict[str, object]:
    """A logarithmic axis whose ticks are whole numbers, few enough for a phone."""
    decades = np.log10(high / low) if 0 < low < high else 1.0
    return {"type": "log", "dtick": "D2" if decades < 2.5 else 1, "tickformat": "~g", "zeroline": False}


def layout(
    x: str, y: str, *, xaxis: Mapping[str, object] | None = None, yaxis: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The layout of a chart with two axes of these titles, its legend below."""
    return {
        "xaxis": {"title": {"text": x}, "zeroline": False, **(xaxis or {})},
        "yaxis": {"title": {"text": y}, "zeroline": False, **(yaxis or {})},
        "legend": LEGEND,
        "hovermode": "closest",
    }


def colour_scale(name: str) -> list[list[object]]:
    """A colour map of the static figures, for plotly.js."""
    places = np.linspace(0, 1, 17)
    return [[float(place), colors.to_hex(colormaps[name](place))] for place in places]


def member_strokes(count: int) -> Sequence[Stroke]:
    """A look for each member."""
    colours = style.member_colours(count)
    return [Stroke(colour, SYMBOLS[place % len(SYMBOLS)], size=5) for place, colour in enumerate(colours)]
