"""`npz:FILE`: NumPy arrays `x_train`, `y_train`, `x_test`, `y_test`, and `class_names` if it is there."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from modescope.data.split import Arrays, checked
from modescope.errors import DataError

NAMES = ("x_train", "y_train", "x_test", "y_test")


def read_npz(address: str) -> Arrays:
    """The arrays of one file. Nothing in it is unpickled.

    Raises:
        DataError: The file is missing, damaged, lacks an array, or holds Python objects.
    """
    path = Path(address)
    source = f"npz:{address}"
    if not path.is_file():
        raise DataError(f"{source}: there is no such file.")
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{source} is no .npz archive, or one that was cut short; {', '.join(NAMES)} are needed.")
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in NAMES if name not in file.files]
            if missing:
                raise DataError(
                    f"{source} has no {', '.join(missing)}; it holds {', '.join(file.files) or 'nothing'}. Save it "
                    "with numpy.savez(FILE, x_train=..., y_train=..., x_test=..., y_test=...)."
                )
            arrays = {name: _array(file, name, source) for name in NAMES}
            names = file["class_names"].tolist() if "class_names" in file.files else None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{source} is damaged or cut short: {error}.") from None
    except ValueError as error:
        raise DataError(f"{source} cannot be read as an .npz archive of numbers: {error}.") from None
    return checked(
        (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"]), class_names=names, source=source
    )


def _array(file: np.lib.npyio.NpzFile, name: str, source: str) -> np.ndarray:
    try:
        return file[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{source}: {name} is an array of Python objects, which would have to be unpickled and so is never "
                "read. Save it as one array of numbers."
            ) from None
        raise
