"""`images:DIR`: one folder a class, `DIR/train/CLASS/*` and `DIR/test/CLASS/*` (or `val`, `validation`)."""

from pathlib import Path

import numpy as np

from modescope.data.cache import cached, decode_images, key_of
from modescope.data.split import Arrays, checked
from modescope.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
TEST_NAMES = ("test", "val", "validation")


def read_folder(address: str) -> Arrays:
    """The images below a folder, decoded once; class names are the training folders' names, sorted.

    Raises:
        DataError: A folder is missing or empty, a class appears in the test part only, or an image cannot be decoded.
    """
    root, source = Path(address), f"images:{address}"
    if not root.is_dir():
        raise DataError(f"{source}: there is no such folder.")
    test = next((root / name for name in TEST_NAMES if (root / name).is_dir()), None)
    if not (root / "train").is_dir() or test is None:
        raise DataError(f"{source} needs two folders, train and test, each with one folder of images a class.")
    classes = sorted(folder.name for folder in (root / "train").iterdir() if folder.is_dir())
    unknown = sorted(folder.name for folder in test.iterdir() if folder.is_dir() and folder.name not in classes)
    if unknown:
        raise DataError(f"{source}: {test.name} has the classes {', '.join(unknown)}, which train has not.")
    files = {"train": _files(root / "train", classes), "test": _files(test, classes)}
    for part, found in files.items():
        if not found:
            raise DataError(f"{source}: there are no images in the class folders of {part}.")

    def decode(folder: Path) -> Arrays:
        parts = {}
        for part, found in files.items():
            encoded = [(str(path), path.read_bytes) for path, _ in found]
            inputs = decode_images(encoded, folder / f"{part}_inputs.npy")
            parts[part] = (inputs, np.array([label for _, label in found]))
        return checked(parts["train"], parts["test"], class_names=classes, source=source)

    stamps = ((path, path.stat()) for found in files.values() for path, _ in found)
    names = (f"{path.relative_to(root)} {stat.st_size} {stat.st_mtime_ns}".encode() for path, stat in stamps)
    return cached(key_of([b"images", str(root.resolve()).encode(), *names]), decode)


def _files(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    return [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
