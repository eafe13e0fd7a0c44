"""`package.module:function`: a function of yours that returns the arrays."""

from collections.abc import Mapping

import numpy as np

from modescope.data.npz import NAMES
from modescope.data.split import Arrays, checked
from modescope.errors import DataError
from modescope.outside import imported


def read_function(address: str) -> Arrays:
    """Call a function without arguments that returns `x_train`, `y_train`, `x_test`, `y_test`.

    They may come as a tuple in this order, or as a dictionary, which may also hold `class_names`.

    Raises:
        DataError: The function cannot be imported, fails, or returns something else.
    """
    function = imported(address, DataError)
    try:
        returned = function()
    except Exception as error:  # it is the user's function: whatever it raises is what they must see
        raise DataError(f"{address} failed with {type(error).__name__}: {error}") from error
    if isinstance(returned, Mapping):
        missing = [name for name in NAMES if name not in returned]
        if missing:
            raise DataError(f"{address} returned no {', '.join(missing)}; {', '.join(NAMES)} are needed.")
        arrays, names = [np.asarray(returned[name]) for name in NAMES], returned.get("class_names")
    elif isinstance(returned, tuple | list) and len(returned) == len(NAMES):
        arrays, names = [np.asarray(array) for array in returned], None
    else:
        raise DataError(
            f"{address} returned {type(returned).__name__}; a tuple ({', '.join(NAMES)}) or a dictionary of them is "
            "needed."
        )
    x_train, y_train, x_test, y_test = arrays
    return checked((x_train, y_train), (x_test, y_test), class_names=names, source=address)
