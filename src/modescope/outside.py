"""`package.module:name`: what users bring from their own code."""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from modescope.errors import ModescopeError


def imported(address: str, error: type[ModescopeError]) -> Callable[..., Any]:
    """The function or class at an address such as `package.module:name`; the current folder counts as importable.

    Args:
        address: Where it is.
        error: What to raise.

    Returns:
        The object itself.

    Raises:
        error: The address is malformed, or nothing callable is there.
    """
    module_name, colon, name = address.partition(":")
    if not colon or not module_name or not name:
        raise error(f"{address!r} is no address of a function: write package.module:function.")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), name)
    except Exception as cause:  # an import runs the user's code, which may raise anything
        raise error(f"{address} cannot be imported: {type(cause).__name__}: {cause}.") from cause
    if not callable(found):
        raise error(f"{address} is a {type(found).__name__}, not a function.")
    return found
