"""Test data that have shifted: corrupted here, the official corrupted files, and data of another distribution."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor

from modescope import seeds
from modescope.data import check_source, load_data
from modescope.data.corruptions import CORRUPTIONS, corrupt
from modescope.data.corruptions.images import Images, grey
from modescope.data.split import DataSet
from modescope.errors import DataError
from modescope.settings import DataSettings

_BATCH = 500  # images that are corrupted at once
_TILES = 4  # along each side, of shuffled images
INTENSITIES = 5


def check_shifted(source: str, corruptions: str | tuple[str, ...], ood: str, own: str) -> None:
    """Find out, without reading them, whether shifted and out-of-distribution data can be had.

    Args:
        source: `synthetic`, or `npy:DIR`.
        corruptions: `all`, or names.
        ood: As of `out_of_distribution`.
        own: The run's own data source.

    Raises:
        DataError: A file or a folder is missing, or the data source is none, or the run's own.
    """
    if source != "synthetic":
        folder = source.removeprefix("npy:")
        for name in (*known_corruptions(corruptions, 1 if corruptions == "all" else 3), "labels"):
            if not _official(folder, name).is_file():
                raise _missing(folder, name)
    if ood == own:
        raise DataError(f"{ood} are the run's own data; out-of-distribution data are needed.")
    if ood != "shuffled":
        check_source(ood)


def check_official(source: str, corruptions: str | tuple[str, ...], data: DataSet) -> None:
    """Look into the official files, if they are asked for: whether they are whole, and of these test data.

    Raises:
        DataError: They are not, or such images cannot be corrupted so.
    """
    names = known_corruptions(corruptions, data.input_shape[-1])
    for name in names if source != "synthetic" else ():
        official_corrupted(source.removeprefix("npy:"), name, 1, data.test.labels, data.input_shape)


def corrupted(images: Images, name: str, intensity: int, seed: int) -> Images:
    """All images with one corruption at one intensity; the same each time.

    Args:
        images: In [0, 1].
        name: One of `CORRUPTIONS`.
        intensity: 1 to 5.
        seed: Of everything random.
    """
    generator = seeds.generator(seed, 0, f"shift/{name}", intensity)
    return torch.cat([corrupt(part, name, intensity, generator) for part in images.split(_BATCH)])


def official_corrupted(
    folder: str, name: str, intensity: int, label: Integer[np.ndarray, " example"], shape: tuple[int, ...]
) -> Integer[np.ndarray, "example height width channel"]:
    """One corruption at one intensity out of the official files of CIFAR-10-C or CIFAR-100-C.

    `NAME.npy` holds the test images five times, at the intensities 1 to 5, `labels.npy` their labels.

    Args:
        folder: Where the files are.
        name: The corruption, as its file is called.
        intensity: 1 to 5.
        label: The labels of the test data, in their order.
        shape: Of one image: (height, width, channel).

    Returns:
        Bytes, memory-mapped.

    Raises:
        DataError: A file is missing or is no such file, or the labels are not those of the test data.
    """
    arrays = {}
    for what in (name, "labels"):
        path = _official(folder, what)
        try:
            arrays[what] = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise _missing(folder, what) from None
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"npy:{folder}: {path.name} is not a whole file of numbers: {error}.") from None
    count = len(label)
    images, labels = arrays[name], arrays["labels"]
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != INTENSITIES * count:
        raise DataError(
            f"npy:{folder}: {name}.npy holds {images.dtype} of shape {images.shape}; bytes of shape "
            f"({INTENSITIES * count}, height, width, channel) are needed: the {count} test images at five intensities. "
            "Take the whole test set with data.test_examples=all."
        )
    if images.shape[1:] != shape:
        raise DataError(f"npy:{folder}: {name}.npy holds images of shape {images.shape[1:]}; the run's are {shape}.")
    part = slice((intensity - 1) * count, intensity * count)
    if len(labels) != len(images) or not np.array_equal(labels[part], label):
        raise DataError(f"npy:{folder}: labels.npy are not the labels of the test data, in the same order.")
    return images[part]


def out_of_distribution(
    source: str, data: DataSet, images: Images, count: int, seed: int
) -> Float[Tensor, "_ channel height width"]:
    """Images of another distribution, in the size and with the channels of these.

    Args:
        source: `shuffled` for these images cut into 4 x 4 tiles in a random order, or a data source, whose test images
            are taken.
        data: The run's data.
        images: Its test images, in [0, 1].
        count: How many at the most.
        seed: Of what is random.

    Returns:
        In [0, 1].

    Raises:
        DataError: The source cannot be read, or holds no images.
    """
    draws = seeds.generator(seed, 0, "shift/ood")
    if source == "shuffled":
        return _shuffled(images[:count], draws)
    other = load_data(DataSettings(source=source))
    if len(other.input_shape) != 3:
        raise DataError(f"{source} holds no images; out-of-distribution data for images are needed.")
    if other.fingerprint == data.fingerprint:
        raise DataError(f"{source} are the run's own data; out-of-distribution data are needed.")
    chosen = torch.randperm(len(other.test), generator=draws)[:count].sort().values.numpy()
    foreign = as_images(np.asarray(other.test.inputs)[chosen], other.brightest, source)
    return _adapted(foreign, images)


def as_images(stored: np.ndarray, brightest: float, source: str) -> Images:
    """Stored images as numbers in [0, 1].

    Raises:
        DataError: They are not images between 0 and their brightest value.
    """
    if stored.ndim != 4:
        raise DataError(
            f"{source} holds inputs of shape {stored.shape[1:]}, which are no images and cannot be corrupted."
        )
    images = torch.from_numpy(np.ascontiguousarray(stored)).float().permute(0, 3, 1, 2) / brightest
    if images.min() < 0 or images.max() > 1:
        raise DataError(
            f"{source} holds images from {float(images.min()):g} to {float(images.max()):g}; corruptions are defined "
            "for images from 0 to 1, or bytes."
        )
    return images.contiguous()


def known_corruptions(names: str | tuple[str, ...], channels: int) -> tuple[str, ...]:
    """The corruptions that are asked for, or all that change images of so many channels.

    Raises:
        DataError: There is no corruption of that name, or it changes nothing in such images.
    """
    if names == "all":
        return tuple(name for name in CORRUPTIONS if name != "saturate" or channels == 3)
    for name in names:
        if name not in CORRUPTIONS:
            raise DataError(f"There is no corruption {name!r}. There are {', '.join(CORRUPTIONS)}.")
        if name == "saturate" and channels != 3:
            raise DataError(f"saturate changes colours, and these images have none: {channels} channels, not 3.")
    return tuple(names)


def _official(folder: str, name: str) -> Path:
    return Path(folder) / f"{name}.npy"


def _missing(folder: str, name: str) -> DataError:
    return DataError(f"npy:{folder}: there is no {name}.npy. CIFAR-10-C's archive holds it.")


def _shuffled(images: Images, draws: torch.Generator) -> Images:
    """Every image in tiles, in an order of its own."""
    count = min(_TILES, *images.shape[2:])
    height, width = (size // count * count for size in images.shape[2:])
    tiles = images[:, :, :height, :width].unflatten(3, (count, -1)).unflatten(2, (count, -1))
    flat = tiles.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # (batch, tile, channel, tall, wide)
    order = torch.rand(flat.shape[:2], generator=draws).argsort(dim=1).to(images.device)
    mixed = flat[torch.arange(len(flat), device=images.device)[:, None], order]
    whole = mixed.unflatten(1, (count, count)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    return F.pad(whole, (0, images.shape[3] - width, 0, images.shape[2] - height), mode="replicate")


def _adapted(foreign: Float[Tensor, "foreign _ _ _"], like: Images) -> Float[Tensor, "foreign channel height width"]:
    if foreign.shape[1] != like.shape[1]:
        foreign = grey(foreign)[:, None].expand(-1, like.shape[1], -1, -1)
    if foreign.shape[2:] != like.shape[2:]:
        foreign = F.interpolate(foreign, size=like.shape[2:], mode="bilinear", antialias=True)
    return foreign.clamp(0, 1).to(like)
