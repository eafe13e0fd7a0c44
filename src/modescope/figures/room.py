"""What is written in a figure finds room: labels break, ticks become fewer, numbers give way. Letters never shrink."""

import itertools
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from modescope.figures.style import CELL

_AROUND = 1.08  # of a number's size: the room that it takes in a cell
_MARGIN = 1.15  # a label that stands in the middle may be this much longer than its side of the panel
_EDGE = 0.02  # inches that stay empty along the page's edges
_APART = 3.0  # points between two numbers along an axis
_PASSES = 3  # a label of two lines leaves less room to others


def settle(drawn: Figure) -> None:
    """Break titles and labels that are longer than their panels; leave out numbers without room in cells and on axes.

    Where everything stands is fixed then: files of every resolution show the same.
    """
    for _ in range(_PASSES):
        drawn.draw_without_rendering()
        if not any([_break(axes) | _thin(axes) for axes in drawn.axes if axes.get_visible()]):
            break
    _bring_in(drawn)
    for axes in drawn.axes:
        _clear_cells(axes)
    drawn.set_layout_engine("none")


def _bring_in(drawn: Figure) -> None:
    """Narrow the layout until nothing stands beyond the page: with squares in it, its margins are not exact."""
    left = low = right = high = 0.0
    for _ in range(2 * _PASSES):
        drawn.draw_without_rendering()
        box, (width, height) = drawn.get_tightbbox(), drawn.get_size_inches()
        beyond = (_EDGE - box.x0, _EDGE - box.y0, box.x1 - width + _EDGE, box.y1 - height + _EDGE)
        if max(beyond) <= 0:
            return
        left, low, right, high = (
            margin + max(more, 0.0) for margin, more in zip((left, low, right, high), beyond, strict=True)
        )
        rect = (left / width, low / height, 1 - (left + right) / width, 1 - (low + high) / height)
        drawn.get_layout_engine().set(rect=rect)
    drawn.draw_without_rendering()


def _break(axes: Axes) -> bool:
    """Whether a title or a label was longer than its side, and has been given another line."""
    box = axes.get_window_extent()
    changed = False
    sides = (
        (_title(axes), box.width),
        (axes.xaxis.label, _MARGIN * box.width),
        (axes.yaxis.label, _MARGIN * box.height),
    )
    for text, room in sides:
        changed |= _wrap(text, room)
    return changed


def _thin(axes: Axes) -> bool:
    """Whether numbers along x stood too close, and have become fewer."""
    locator = axes.xaxis.get_major_locator()
    if not isinstance(locator, MaxNLocator):
        return False
    low, high = sorted(axes.get_xlim())
    shown = [label for label in axes.get_xticklabels() if label.get_text() and low <= label.get_position()[0] <= high]
    boxes = sorted((label.get_window_extent() for label in shown), key=lambda box: box.x0)
    least = _APART * axes.get_figure(root=True).dpi / 72
    if all(after.x0 - before.x1 >= least for before, after in itertools.pairwise(boxes)):
        return False
    locator.set_params(nbins=max(len(boxes) - 2, 1), min_n_ticks=1)
    return True


def _title(axes: Axes) -> Text:
    """The title at the left, where all of ours stand."""
    said = axes.get_title(loc="left")
    return next(child for child in axes.get_children() if isinstance(child, Text) and child.get_text() == said)


def _wrap(text: Text, room: float) -> bool:
    words = " ".join(text.get_text().split())
    if not words:
        return False
    extent = text.get_window_extent()
    length = extent.height if text.get_rotation() == 90 else extent.width
    if length <= room:
        return False
    lines = text.get_text().count("\n") + 2
    for width in range(-(-len(words) // lines), len(words)):  # even lines
        broken = textwrap.wrap(words, width, break_long_words=False)
        if len(broken) <= lines:
            text.set_text("\n".join(broken))
            return len(broken) == lines
    return False


def _clear_cells(axes: Axes) -> None:
    numbers = [text for text in axes.texts if text.get_gid() == CELL]
    images = [image for image in axes.get_images() if isinstance(image, AxesImage)]
    if not numbers or not images:
        return
    rows, columns = images[0].get_array().shape
    box = axes.get_window_extent()
    sizes = [number.get_window_extent() for number in numbers]
    wide, high = max(size.width for size in sizes), max(size.height for size in sizes)
    if _AROUND * wide > box.width / columns or high > box.height / rows:
        for number in numbers:
            number.remove()
