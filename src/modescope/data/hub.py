"""`hf:REPO[:CONFIG]` and `parquet:DIR`: the Hugging Face hub's layout, from the hub or from disk.

Columns `img` or `image` hold encoded bytes, `label` (or CIFAR-100's `fine_label`) holds integers; the parts are called
`train` and `test` (or `validation`).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modescope.data.cache import cached, decode_images, key_of
from modescope.data.split import Arrays, checked
from modescope.errors import DataError
from modescope.files import sha256

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
PARTS = {"train": ("train",), "test": ("test", "validation")}


def read_parquet(address: str) -> Arrays:
    """The files `train-*.parquet` and `test-*.parquet` of a folder, decoded once.

    Raises:
        DataError: A file is missing, cut short or damaged, or lacks a column.
    """
    root, source = Path(address), f"parquet:{address}"
    if not root.is_dir():
        raise DataError(f"{source}: there is no such folder.")
    files = {}
    for part, names in PARTS.items():
        files[part] = next((found for name in names if (found := sorted(root.glob(f"{name}-*.parquet")))), [])
        if not files[part]:
            raise DataError(f"{source}: there is no {part}-*.parquet in it.")

    def decode(folder: Path) -> Arrays:
        return _decoded({part: _table(found) for part, found in files.items()}, folder, source)

    return cached(key_of([b"parquet", *(sha256(path).encode() for found in files.values() for path in found)]), decode)


def read_hub(address: str) -> Arrays:
    """A data set of the Hugging Face hub, downloaded and checked by its `datasets` library.

    Raises:
        DataError: The hub cannot be reached, or has no such data set.
    """
    import datasets

    repository, _, config = address.partition(":")
    source = f"hf:{address}"
    with _quiet(), _offline_if_unreachable(repository):
        try:
            found = datasets.load_dataset(repository, config or None)
        except (OSError, ValueError) as error:  # ConnectionError is one, DatasetNotFoundError is another
            raise DataError(
                f"{source} could not be fetched from the Hugging Face hub ({_first_sentence(error)}): without a "
                "network, download the data set's parquet files elsewhere and name their folder with "
                "data.source=parquet:DIR."
            ) from None
    tables = {}
    for part, names in PARTS.items():
        name = next((name for name in names if name in found), None)
        if name is None:
            raise DataError(f"{source} has no {part} part; it has {', '.join(found)}.")
        tables[part] = _arrow(found[name])
    stamps = [str(part._fingerprint).encode() for part in found.values()]
    return cached(key_of([b"hf", address.encode(), *stamps]), lambda folder: _decoded(tables, folder, source))


def _arrow(part: "object") -> tuple[pa.Table, list[str] | None]:
    import datasets

    for name in IMAGE_COLUMNS:
        if name in part.column_names:
            part = part.cast_column(name, datasets.Image(decode=False))
    label = next((name for name in LABEL_COLUMNS if name in part.column_names), None)
    return part.with_format("arrow")[:], getattr(part.features.get(label), "names", None)


def _table(files: list[Path]) -> tuple[pa.Table, list[str] | None]:
    try:
        table = pa.concat_tables([pq.read_table(path) for path in files])
    except (pa.ArrowException, OSError) as error:
        broken = next((path for path in files if not _readable(path)), files[0])
        raise DataError(f"{broken} is damaged or cut short: {_first_sentence(error)}.") from None
    features = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    label = next((name for name in LABEL_COLUMNS if name in table.column_names), "")
    return table, features.get(label, {}).get("names")


def _readable(path: Path) -> bool:
    try:
        pq.read_table(path)
    except (pa.ArrowException, OSError):
        return False
    return True


def _decoded(tables: dict[str, tuple[pa.Table, list[str] | None]], folder: Path, source: str) -> Arrays:
    parts = {}
    for part, (table, _) in tables.items():
        images = _column(table, IMAGE_COLUMNS, source).combine_chunks()
        labels = _column(table, LABEL_COLUMNS, source)
        if pa.types.is_struct(images.type):
            images = images.field("bytes") if isinstance(images, pa.StructArray) else images.chunk(0).field("bytes")
        if not len(images):
            raise DataError(f"{source}: its {part} part is empty.")
        encoded = [(f"{source}: image {index} of {part}", cell.as_py) for index, cell in enumerate(images)]
        inputs = decode_images(encoded, folder / f"{part}_inputs.npy")
        parts[part] = (inputs, np.asarray(labels.to_pylist()))
    return checked(parts["train"], parts["test"], class_names=tables["train"][1], source=source)


def _column(table: pa.Table, names: tuple[str, ...], source: str) -> pa.ChunkedArray:
    found = next((name for name in names if name in table.column_names), None)
    if found is None:
        raise DataError(
            f"{source} has no column {' or '.join(names)}; its columns are {', '.join(table.column_names)}."
        )
    return table[found]


def _first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """The hub's library logs every attempt; the one sentence that matters is the error's."""
    from huggingface_hub.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(level)


@contextmanager
def _offline_if_unreachable(repository: str) -> Iterator[None]:
    """Ask the hub once; if it cannot be reached, use what was downloaded before, at once, not after six attempts."""
    import datasets
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    try:
        HfApi().dataset_info(repository, timeout=10)
    except HfHubHTTPError:  # it was reached, and load_dataset will say what it answered
        pass
    except Exception:  # which error it is depends on the hub library's HTTP client
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before
