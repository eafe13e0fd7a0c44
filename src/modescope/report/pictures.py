"""Images of test examples for the page, in as few bytes as a screen needs."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from modescope.data import DataSet
from modescope.report.arrays import Arrays

_MOST_BYTES = 1_200_000
_LARGEST = 64  # pixels along a side


def pictures(data: DataSet, examples: np.ndarray, rank: np.ndarray, arrays: Arrays) -> dict[str, object]:
    """The images of the hardest examples, as many as fit.

    Args:
        data: The data of the run.
        examples: The test examples on the page.
        rank: Places in `examples`, the hardest first.
        arrays: Takes the pixels.

    Returns:
        `pictures` (picture, height, width, channel), bytes, and `pictured`, the place of each in `examples`; `pictures`
        is None if the inputs are no images of one or three channels.
    """
    shape = data.input_shape
    if len(shape) != 3 or shape[2] not in (1, 3):
        return {"pictures": None}
    height, width = _shrunk(shape[0], shape[1])
    chosen = rank[: max(_MOST_BYTES // (height * width * shape[2]), 1)]
    shown = [_picture(image, data, (height, width)) for image in data.test.inputs[np.sort(examples[chosen])]]
    return {"pictures": arrays.add(np.stack(shown)), "pictured": arrays.add(np.sort(chosen))}


def _shrunk(height: int, width: int) -> tuple[int, int]:
    ratio = min(1.0, _LARGEST / max(height, width))
    return max(round(height * ratio), 1), max(round(width * ratio), 1)


def _picture(image: np.ndarray, data: DataSet, size: tuple[int, int]) -> UInt8[np.ndarray, "height width channel"]:
    """One image in bytes; floating-point ones that leave the range from 0 to 1 are stretched over their own."""
    tones = np.asarray(image, dtype=np.float32) / data.brightest
    if tones.min() < 0 or tones.max() > 1:
        tones = (tones - tones.min()) / max(float(np.ptp(tones)), 1e-12)
    whole = np.rint(255 * tones).astype(np.uint8)
    if whole.shape[:2] == size:
        return whole
    plain = Image.fromarray(whole[..., 0] if whole.shape[2] == 1 else whole)
    return np.asarray(plain.resize((size[1], size[0]), Image.Resampling.BOX)).reshape(*size, -1)
