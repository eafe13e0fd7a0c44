"""Decoded images, kept on disk: encoded images are decoded once into one uint8 array and mapped into memory after."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from modescope.data.split import Arrays
from modescope.errors import DataError
from modescope.files import replaced_folder, room_for

_ARRAYS = ("train_inputs", "train_labels", "test_inputs", "test_labels")
_LAYOUT = "2"  # changes when what is cached changes
_BLOCK = 4096  # images decoded at a time: enough to keep every thread busy, little enough to hold in memory
_DEEP = frozenset({"I", "I;16", "I;16B", "I;16L"})  # Pillow's modes of grey images of 16 bits
_GREY = _DEEP | {"1", "L"}


def cache_folder() -> Path:
    """Where decoded data are kept: `$MODESCOPE_CACHE`, else `$XDG_CACHE_HOME/modescope`, else `~/.cache/modescope`."""
    named = os.environ.get("MODESCOPE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modescope"


def key_of(parts: Iterable[bytes]) -> str:
    """The name under which the data made from these bytes are kept."""
    digest = hashlib.sha256(_LAYOUT.encode())
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:32]


def cached(key: str, decode: Callable[[Path], Arrays]) -> Arrays:
    """The data kept under this key; decoded into a new folder if they are not there, or not whole.

    Args:
        key: From `key_of`.
        decode: Gets a folder to write large arrays to, returns the data.

    Returns:
        The data, with inputs mapped into memory, read-only.

    Raises:
        DiskFullError: There is no room for them.
    """
    folder = cache_folder() / key
    try:
        return _opened(folder)
    except (OSError, ValueError, KeyError):  # not there, or cut short: made again below
        shutil.rmtree(folder, ignore_errors=True)
    with replaced_folder(folder) as temporary:
        arrays = decode(temporary)
        for name in _ARRAYS:
            if not (temporary / f"{name}.npy").exists():
                np.save(temporary / f"{name}.npy", getattr(arrays, name))
        meta = {"class_names": arrays.class_names, "brightest": arrays.brightest}
        (temporary / "meta.json").write_text(json.dumps(meta))
    return _opened(folder)


def _opened(folder: Path) -> Arrays:
    meta = json.loads((folder / "meta.json").read_text())
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
    return Arrays(**arrays, class_names=tuple(meta["class_names"]), brightest=meta["brightest"])


def decode_images(encoded: Sequence[tuple[str, Callable[[], bytes]]], path: Path) -> np.ndarray:
    """Decode images of one size into a uint8 array (example, height, width, channel) on disk.

    Grey images keep one channel; everything else becomes RGB, and so do grey ones among coloured ones.

    Args:
        encoded: Of each image what messages call it, and how to read its bytes: PNG, JPEG, or whatever Pillow knows.
            No more than a block of them is in memory at a time.
        path: The `.npy` file to write.

    Returns:
        The array, mapped into memory.

    Raises:
        DataError: An image cannot be decoded, or has another size than the first.
        DiskFullError: There is no room for the array.
    """
    first = _image(encoded[0])
    with ThreadPoolExecutor() as pool, room_for(path):
        grey = all(mode in _GREY for mode in pool.map(lambda image: _image(image).mode, encoded))
        shape = (len(encoded), first.height, first.width, 1 if grey else 3)
        decoded = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        _reserve(path)

        def pixels(image: tuple[str, Callable[[], bytes]]) -> np.ndarray:
            opened = _image(image)
            if opened.size != first.size:
                raise DataError(
                    f"{image[0]} is {opened.width} x {opened.height} pixels, {encoded[0][0]} is {first.width} x "
                    f"{first.height}: bring all images to one size first."
                )
            try:
                return _bytes(opened, grey).reshape(shape[1:])
            except OSError as error:
                raise DataError(f"{image[0]} cannot be decoded: {error}.") from None

        for start in range(0, len(encoded), _BLOCK):
            decoded[start : start + _BLOCK] = list(pool.map(pixels, encoded[start : start + _BLOCK]))
        decoded.flush()
    return decoded


def _bytes(image: Image.Image, grey: bool) -> np.ndarray:
    """The pixels as bytes; those of 16 bits are divided by 257, where Pillow would cut them off at 255."""
    if image.mode in _DEEP:
        image = Image.fromarray((np.asarray(image, dtype=np.int64) / 257).round().clip(0, 255).astype(np.uint8))
    return np.asarray(image.convert("L" if grey else "RGB"))


def _reserve(path: Path) -> None:
    """Take the disk space of a file of holes: a full disk is an error here, and would be a killed process later."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _image(image: tuple[str, Callable[[], bytes]]) -> Image.Image:
    name, read = image
    try:
        return Image.open(io.BytesIO(read()))
    except (UnidentifiedImageError, OSError, TypeError):
        raise DataError(f"{name} is not an image that can be decoded.") from None
