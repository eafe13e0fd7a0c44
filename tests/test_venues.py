"""Figures for papers: as wide as a venue's text or column, nothing over anything else, letters that can be read."""

import itertools
import re
import shutil
import subprocess
import zlib

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text

from modescope import analyses, study
from modescope.cli import main
from modescope.errors import RequestError
from modescope.figures import draw
from modescope.figures.panels import columns_for, legend_below, panels
from modescope.figures.room import settle
from modescope.figures.style import CELL, SMALLEST, WIDTH, annotate, encode, heatmap, styled, text_width, width_in
from modescope.figures.venues import WIDTHS, width_of
from modescope.store.results import read_result

NARROW, MIDDLE = 3.03, 5.5  # ACL's column, NeurIPS' text


def page(pdf):
    """Width and height of a PDF's page, in inches."""
    left, low, right, high = map(float, re.search(rb"/MediaBox \[ ?([\d. ]+?) ?\]", pdf)[1].split())
    return (right - left) / 72, (high - low) / 72


def written(drawn):
    """Every text that is drawn, and its box, as `encode` draws it."""
    with styled():  # which ticks there are hangs on the size of their letters, and is found out when they are asked for
        drawn.draw_without_rendering()
        texts = [text for axes in drawn.axes for text in texts_of(axes) if shown(text, axes)]
        texts += [text for part in (drawn, *drawn.subfigs) for legend in part.legends for text in legend.get_texts()]
        return [(text, text.get_window_extent()) for text in texts]


def texts_of(axes):
    ticks = [label for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels()]
    inside = [part for part in axes.get_children() if isinstance(part, Text)]
    return [*ticks, axes.xaxis.label, axes.yaxis.label, *inside]


def shown(text, axes):
    if not text.get_text().strip() or not text.get_visible() or not axes.get_visible():
        return False
    x, y = text.get_position()
    if text in axes.xaxis.get_ticklabels():
        low, high = sorted(axes.get_xlim())
        return axes.axison and low <= x <= high
    if text in axes.yaxis.get_ticklabels():
        low, high = sorted(axes.get_ylim())
        return axes.axison and low <= y <= high
    return True


def overlap(one, other):
    """The smaller side of what two boxes share, in points (figures have 200 dots an inch)."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return 0.36 * min(width, height)


def test_widths_are_those_of_the_venues():
    assert width_of("neurips") == width_of("ICLR") == 5.5
    assert width_of("icml") == width_of("icml:text") == 6.75
    assert width_of("icml:column") == 3.25
    assert width_of("cvpr:column") == pytest.approx(237.13 / 72.27, abs=1e-4)
    assert width_of("acl:column") == pytest.approx(3.03, abs=0.005)
    assert width_of("nature:column") == width_of("89 mm") == width_of("8.9cm")
    assert width_of("3.25in") == 3.25
    assert width_of("252pt") == pytest.approx(width_of("ieee:column"))
    for venue, inches in WIDTHS.items():
        if venue.endswith(":column"):
            assert 0.4 < inches / WIDTHS[venue.removesuffix(":column")] < 0.5  # two of them, and a gap


@pytest.mark.parametrize("text", ["neurip", "neurips:column", "7", "3.25 inches", "-3in", "", "nanin"])
def test_unknown_widths_are_refused(text):
    with pytest.raises(RequestError, match=rf"There is no width '{re.escape(text)}'. Write neurips, .* 85mm\."):
        width_of(text)


@pytest.mark.parametrize("text", ["20mm", "30in"])
def test_widths_that_no_figure_can_have_are_refused(text):
    with pytest.raises(RequestError, match=f"A figure cannot be {text} wide: .* from 2.5 to 20 in"):
        width_of(text)


@pytest.mark.parametrize("name", analyses.NAMES)
@pytest.mark.parametrize("width", [NARROW, MIDDLE, WIDTH])
def test_nothing_is_written_over_something_else(finished, name, width):
    drawn = draw(name, read_result(finished, name), width=width)
    texts = written(drawn)
    assert len(texts) > 5
    page = drawn.bbox
    for text, box in texts:
        assert text.get_fontsize() >= SMALLEST, text
        inside = min(box.x0 - page.x0, box.y0 - page.y0, page.x1 - box.x1, page.y1 - box.y1)
        assert inside > -0.5, f"{text} is cut off"
    movable = [(text, box) for text, box in texts if text.get_gid() != CELL and not hasattr(text, "xyann")]
    for (one, first), (other, second) in itertools.combinations(movable, 2):
        assert overlap(first, second) < 1.0, f"{one} and {other}"
    assert drawn.get_figheight() < 9.5  # a page


@pytest.mark.parametrize("name", analyses.NAMES)
def test_pages_are_exactly_as_wide_as_the_venue_and_fonts_are_embedded(finished, name):
    drawn = draw(name, read_result(finished, name), width=width_of("icml:column"))
    pdf = encode(drawn, "pdf")
    assert page(pdf) == pytest.approx((3.25, drawn.get_figheight()), rel=0.01)
    assert width_in(encode(drawn, "png")) == 3.25
    svg = encode(drawn, "svg").decode()
    assert float(re.search(r'<svg [^>]*?width="([\d.]+)pt"', svg)[1]) == pytest.approx(3.25 * 72)
    assert "<text" not in svg  # letters are paths
    assert re.search(rb"/Subtype /CIDFontType2|/Subtype /TrueType", pdf)
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert not any(b"/Type3" in part for part in _streams(pdf))


def _streams(pdf):
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            yield zlib.decompress(found[1])
        except zlib.error:
            continue


@pytest.mark.skipif(shutil.which("pdffonts") is None, reason="needs pdffonts")
def test_pdffonts_finds_only_embedded_truetype(finished, tmp_path):
    (tmp_path / "figure.pdf").write_bytes(encode(draw("shift", read_result(finished, "shift"), width=3.25), "pdf"))
    told = subprocess.run(["pdffonts", tmp_path / "figure.pdf"], capture_output=True, text=True, check=True).stdout
    _, _, *fonts = told.splitlines()
    assert fonts
    for font in fonts:
        assert re.search(r"(CID )?TrueType.* yes +yes ", font), font


def test_letters_keep_their_size_and_panels_take_fewer_columns(finished):
    dataset = read_result(finished, "learning_curves")
    wide, narrow = (draw("learning_curves", dataset, width=width) for width in (WIDTH, 3.25))
    columns = [drawn.axes[0].get_subplotspec().get_gridspec().ncols for drawn in (wide, narrow)]
    assert columns == [3, 2]
    sizes = [[text.get_fontsize() for text, _ in written(drawn)] for drawn in (wide, narrow)]
    assert set(sizes[0]) == set(sizes[1])


def test_columns_by_width():
    assert [columns_for(3, least=1.9, most=3, width=width) for width in (7.0, 5.5, 3.25)] == [3, 2, 1]
    assert columns_for(4, least=1.9, most=3, width=7.0) == 2  # two rows of two, not of three and one
    assert columns_for(1, least=9.0, most=3, width=3.0) == 1


def test_legends_take_the_columns_that_fit():
    for width, columns in ((7.0, 3), (3.25, 1)):
        with styled(width):
            drawn, (axes,) = panels(1, height=2.0, least=1.0, most=1)
            for name in ("quite a long name of a method", "another long name of a method", "a third long name of one"):
                axes.plot([0, 1], label=name)
            legend_below(drawn, *axes.get_legend_handles_labels())
            assert drawn.legends[0]._ncols == columns
            rows = 3 // columns
            assert drawn.get_figheight() == pytest.approx(2.0 + 0.165 * rows)


def test_numbers_that_do_not_fit_their_cells_are_left_out():
    for size, left in ((4, 16), (30, 0)):
        with styled(3.25):
            drawn, (axes,) = panels(1, height=3.0, least=1.0, most=1)
            values = np.full((size, size), 0.5)
            annotate(axes, heatmap(axes, values, "viridis", low=0.0, high=1.0), values, ".2f")
            settle(drawn)
        assert len(axes.texts) == left


def test_numbers_along_an_axis_do_not_touch():
    with styled(2.5):
        drawn, (axes, *_) = panels(3, height=2.0, least=0.8, most=3)
        axes.plot([-0.08, 0.0], [0, 1])
        before = [box for text, box in written(drawn) if text in axes.get_xticklabels()]
        settle(drawn)
        after = [box for text, box in written(drawn) if text in axes.get_xticklabels()]
    assert min(right.x0 - left.x1 for left, right in itertools.pairwise(before)) < 200 * 3 / 72
    assert 1 <= len(after) < len(before)
    assert all(right.x0 - left.x1 >= 200 * 3 / 72 for left, right in itertools.pairwise(after))


def test_the_width_holds_for_what_is_drawn_inside_only():
    before = dict(mpl.rcParams)
    with styled(3.25):
        assert text_width() == 3.25
        with styled():
            assert text_width() == 3.25
    assert text_width() == WIDTH
    with pytest.raises(ZeroDivisionError), styled(4.0):
        _ = 1 / 0
    assert text_width() == WIDTH
    assert dict(mpl.rcParams) == before


def test_the_command_draws_for_a_venue(copied, few_analyses, monkeypatch, capsys):
    def modescope(*arguments):
        monkeypatch.setattr("sys.argv", ["modescope", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    assert modescope("report", copied.path, "--width", "acl:column") == (0, "")
    assert page(copied.figure("confusion", "pdf").read_bytes())[0] == pytest.approx(width_of("acl:column"), rel=0.01)
    code, told = modescope("report", copied.path, "--width", "acl:colum")
    assert code == 2
    assert told.startswith("There is no width 'acl:colum'.")


def stills(run):
    return set(re.findall(r"data:image/webp;base64,[\w+/=]+", run.report.read_text()))


def test_a_report_of_another_width_is_not_current(copied, few_analyses):
    results = study.saved_results(copied)
    study.report(copied, results)
    before = stills(copied)
    assert before
    assert study.report_is_current(copied, results)
    study.report(copied, results, width=width_of("icml:column"))
    assert width_in(copied.figure("confusion", "png").read_bytes()) == 3.25
    assert page(copied.figure("confusion", "pdf").read_bytes())[0] == pytest.approx(3.25)
    assert not study.report_is_current(copied, results)
    assert study.report_is_current(copied, results, width=3.25)
    assert stills(copied) == before  # the page does not change with the files
