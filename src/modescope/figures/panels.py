"""Panels and legends that take as many columns as a figure is wide enough for, instead of being squeezed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from modescope.figures.style import figure, text_width

_LETTER = 4.2  # points: how wide a letter of a legend is, on average
_KEY = 34.0  # points: a legend's line or marker, and the room around it
_LINE = 0.165  # inches: a row of a legend


def columns_for(count: int, *, least: float, most: int, width: float | None = None) -> int:
    """How many of `count` panels stand side by side, each at least so many inches wide; rows are filled evenly.

    Example:
        >>> columns_for(4, least=1.9, most=3, width=7.0), columns_for(3, least=1.9, most=3, width=3.25)
        (2, 1)
    """
    side_by_side = max(1, min(most, count, int((text_width() if width is None else width) / least)))
    rows = -(-count // side_by_side)
    return -(-count // rows)


def panels(
    count: int, *, height: float, least: float, most: int, square: float | None = None, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, in as many rows as its width asks for.

    Args:
        count: How many panels.
        height: Of a row, in inches.
        least: How wide a panel is at least, in inches.
        most: Panels side by side at the most.
        square: Of panels as high as wide, the inches that a row needs besides: narrow panels make low rows.
        **shared: `sharex` and `sharey`, as `Figure.subplots` takes them.

    Returns:
        The figure and its panels; places that stay empty are hidden.
    """
    columns = columns_for(count, least=least, most=most)
    rows = -(-count // columns)
    if square is not None:
        height = min(height, text_width() / columns + square)
    drawn = figure(height * rows)
    return drawn, fill(drawn, count, rows, columns, **shared)


def fill(part: Figure | SubFigure, count: int, rows: int, columns: int, **shared: Any) -> list[Axes]:
    """So many panels in the places of a grid, row by row; the other places are left out."""
    places = list(part.subplots(rows, columns, squeeze=False, **shared).flat)
    for empty in places[count:]:
        empty.remove()
    for axes in places[max(count - columns, 0) : count]:
        axes.tick_params(labelbottom=True)  # what stands above a place that is left out is the lowest of its column
    return places[:count]


def lowest(axes: Sequence[Axes]) -> list[Axes]:
    """The panels with none below them: those that name what they share along x."""
    columns = axes[0].get_subplotspec().get_gridspec().ncols
    return list(axes[max(len(axes) - columns, 0) :])


def legend_below(part: Figure | SubFigure, handles: Sequence[Any], names: Sequence[str], *, most: int = 4) -> None:
    """A legend below all panels, in as many columns as fit; the figure grows by its height."""
    if not names:
        return
    columns = next(count for count in range(min(most, len(names)), 0, -1) if count == 1 or _fit(names, count))
    part.legend(handles, names, loc="outside lower center", ncols=columns)
    drawn = part.get_figure(root=True)
    drawn.set_figheight(drawn.get_figheight() + _LINE * -(-len(names) // columns))


def _fit(names: Sequence[str], columns: int) -> bool:
    """Whether a legend of so many columns, filled one after another, is no wider than the text."""
    longest = [max(map(len, part)) for part in np.array_split(np.array(names, dtype=object), columns)]
    return sum(_LETTER * letters + _KEY for letters in longest) <= 72 * text_width()
