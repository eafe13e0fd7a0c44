"""Numbers and names as charts and tables write them."""

import math

NOTHING = "–"  # what a table says where there is no number


def plain(text: object) -> str:
    """A name from data or a user as plotly.js may show it: it reads some markup, and fields after a percent sign.

    Example:
        >>> plain("<b> & 5 %{x}")
        '&lt;b&gt; &amp; 5 &#37;{x}'
    """
    escaped = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("%{", "&#37;{")


def number(value: float, form: str) -> str:
    """A number in Python's format, a part of one (`%`) as `98.2 %`; a dash where there is none.

    Example:
        >>> number(0.9824, ".1%"), number(2.5, ".2f"), number(float("nan"), ".2f")
        ('98.2 %', '2.50', '–')
    """
    if not math.isfinite(value):
        return NOTHING
    written = format(float(value), form)
    if float(written.rstrip("%")) == 0:
        written = written.lstrip("+-")  # -0.00 is 0.00
    return written.replace("%", " %")


def with_interval(value: float, low: float, high: float, form: str) -> str:
    """A number and the ends of its interval, where it has one.

    Example:
        >>> with_interval(0.5, 0.4, 0.625, ".1%"), with_interval(0.5, float("nan"), 0.625, ".1%")
        ('50.0 % (40.0 to 62.5 %)', '50.0 %')
    """
    if not (math.isfinite(value) and math.isfinite(low) and math.isfinite(high)):
        return number(value, form)
    return f"{number(value, form)} ({number(low, form).removesuffix(' %')} to {number(high, form)})"


def change(value: float, low: float, high: float, form: str) -> str:
    """A difference and its interval; of parts, in points.

    Example:
        >>> change(0.0099, 0.005, 0.015, ".2%"), change(-0.1, -0.2, 0.0, ".2f")
        ('+0.99 points (+0.50 to +1.50 points)', '-0.10 (-0.20 to 0.00)')
    """
    return with_interval(value, low, high, f"+{form}").replace(" %", " points")


def counted(count: int, one: str) -> str:
    """A number of things.

    Example:
        >>> counted(1, "member"), counted(3, "member")
        ('1 member', '3 members')
    """
    return f"{count} {one}" + ("" if count == 1 else "s")
