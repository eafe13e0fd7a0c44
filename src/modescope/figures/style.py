"""One look for all figures: sizes, colours, files. Nothing global is changed."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import matplotlib as mpl
import matplotlib.font_manager
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

SUFFIXES = ("png", "svg", "pdf")
WIDTH = 7.0  # inches: a full text width
CELL = "cell"  # marks numbers in the cells of a matrix, which give way where there is no room for them
SMALLEST = 6.0  # points: no letter is smaller, however narrow the figure
# ten colours that stay apart for every kind of colour vision (Petroff 2021, arXiv:2107.02270)
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
INK, MUTED, ACCENT = "#222222", "#8a8a8a", PALETTE[0]
SIMILAR, DIFFERENT = "viridis", "magma"  # colour maps: high = alike; high = unlike

_STYLE = {
    "figure.dpi": 200,  # as files have it: letters are a little wider or narrower where dots are fewer
    "savefig.dpi": 200,
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "lines.linewidth": 1.2,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "path",  # looks the same wherever it is opened
    "svg.hashsalt": "modescope",  # the same figure, the same file
    "pdf.fonttype": 42,
}


# fonts for what the first has no glyphs for: Chinese, Japanese, Korean, as far as they are installed
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Hiragino Sans", "Yu Gothic")


_width: ContextVar[float] = ContextVar("width", default=WIDTH)


@contextmanager
def styled(width: float | None = None) -> Iterator[None]:
    """The house style, for what is drawn inside; with a width, figures are that many inches wide."""
    installed = set(mpl.font_manager.get_font_names())
    before = _width.set(_width.get() if width is None else width)
    try:
        with mpl.rc_context({**_STYLE, "font.family": [font for font in _FONTS if font in installed]}):
            yield
    finally:
        _width.reset(before)


def text_width() -> float:
    """How wide a figure is that is drawn now, in inches."""
    return _width.get()


def figure(height: float, width: float | None = None) -> Figure:
    """An empty figure of that many inches whose parts find their own room; as wide as the text if no width is given."""
    return Figure(figsize=(text_width() if width is None else width, height), layout="constrained")


def member_colours(count: int) -> list[str]:
    """A colour for each member; beyond ten they come from a continuous map."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return [mpl.colors.to_hex(colour) for colour in mpl.colormaps["turbo"](np.linspace(0.05, 0.95, count))]


def heatmap(
    axes: Axes, values: np.ndarray, colours: str, *, low: float | None = None, high: float | None = None
) -> AxesImage:
    """A matrix with its first row on top."""
    axes.spines[:].set_visible(False)
    return axes.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest", aspect="equal")


def annotate(axes: Axes, image: AxesImage, values: np.ndarray, form: str, size: float = SMALLEST) -> None:
    """Write each cell's value into it, dark on light and light on dark."""
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            axes.text(
                column, row, _without_minus(format(value, form)), ha="center", va="center", fontsize=size,
                color="white" if dark else INK, gid=CELL,
            )  # fmt: skip


def _without_minus(number: str) -> str:
    """-0.00 is 0.00."""
    return number.lstrip("-") if float(number) == 0 else number


def name_ticks(axes: Axes, names: Sequence[str], *, x: bool = True, y: bool = True) -> None:
    """Names at the cells of a matrix, thinned where there are many and turned where they are long."""
    step = max(1, -(-len(names) // 20))
    places = np.arange(0, len(names), step)
    shown = [names[place] for place in places]
    if x:
        axes.set_xticks(places, shown, rotation=90 if max(map(len, shown)) > 2 else 0, parse_math=False)
    if y:
        axes.set_yticks(places, shown, parse_math=False)  # a $ in a name is a $


def encode(figure: Figure, suffix: str) -> bytes:
    """The file of a figure, exactly as wide as it, without a date: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    dateless = {"png": {"Software": "modescope"}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # no font here has it: a box is drawn
        figure.savefig(buffer, format=suffix, metadata=dateless[suffix])
    return buffer.getvalue()


def width_in(png: bytes) -> float:
    """How many inches wide the figure in a PNG file is; its first 24 bytes are enough."""
    return int.from_bytes(png[16:20], "big") / _STYLE["savefig.dpi"]
