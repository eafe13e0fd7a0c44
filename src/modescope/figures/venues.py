"""How wide a figure is at each venue: names of journals and conferences, or a number with its unit."""

import re
from types import MappingProxyType

from modescope.errors import RequestError

_POINT, _PICA, _MM = 1 / 72.27, 12 / 72.27, 1 / 25.4  # inches; points and picas are TeX's
_TEXT = {
    "neurips": 5.5,  # neurips.sty: \textwidth=5.5in
    "iclr": 5.5,  # iclr_conference.sty: \textwidth=5.5in
    "icml": 6.75,  # icml.sty: \textwidth=6.75in
    "cvpr": 6.875,  # author kit: 6 7/8 in of text
    "jmlr": 6.0,  # jmlr.sty: \textwidth=6in
    "tmlr": 6.5,  # tmlr.sty: \textwidth=6.5in
    "acl": 160 * _MM,  # formatting guide: A4 with margins of 2.5 cm
    "nature": 183 * _MM,  # guide to authors: double column
    "ieee": 43 * _PICA,  # IEEEtran.cls: 43 picas, 7.14 in
}
_COLUMN = {
    "icml": 3.25,  # icml.sty: \columnsep=0.25in, so (6.75 - 0.25) / 2
    "cvpr": (6.875 - 0.3125) / 2,  # author kit: 5/16 in between the columns; TeX says 237.13 pt
    "acl": 77 * _MM,  # formatting guide: 7.7 cm, with 0.6 cm between
    "nature": 89 * _MM,  # guide to authors: single column
    "ieee": 21 * _PICA,  # IEEEtran.cls: 21 picas, with one between, 3.49 in
}
WIDTHS = MappingProxyType(
    {
        **_TEXT,
        **{f"{venue}:text": inches for venue, inches in _TEXT.items()},
        **{f"{venue}:column": inches for venue, inches in _COLUMN.items()},
    }
)
"""Name of a venue, alone or with `:text` or `:column` -> inches."""
_UNITS = {"in": 1.0, "mm": _MM, "cm": 10 * _MM, "pt": _POINT}
_NARROWEST, _WIDEST = 2.5, 20.0  # inches: what can be drawn with letters of a size that can be read


def width_of(text: str) -> float:
    """The width, in inches, that a person asks for.

    Args:
        text: A name of `WIDTHS`, or a number with one of the units in, mm, cm, pt (TeX's).

    Returns:
        Inches.

    Raises:
        RequestError: There is no such venue, it has no such column, or the number is no width for a figure.

    Example:
        >>> width_of("icml:column"), round(width_of("85mm"), 3)
        (3.25, 3.346)
    """
    name = text.strip().lower()
    if name in WIDTHS:
        return WIDTHS[name]
    number = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(in|mm|cm|pt)", name)
    if number is None:
        venues = ", ".join(each for each in WIDTHS if not each.endswith(":text"))
        raise RequestError(
            f"There is no width {text!r}. Write {venues} (`:text` for the whole width), or a number with its unit, as "
            "in 3.25in or 85mm."
        )
    inches = float(number[1]) * _UNITS[number[2]]
    if not _NARROWEST <= inches <= _WIDEST:
        raise RequestError(
            f"A figure cannot be {text} wide: that is {inches:.3g} in, and it must be from {_NARROWEST:g} to "
            f"{_WIDEST:g} in."
        )
    return inches
