"""What is done to a picture afterwards: brightness, contrast, colours, compression, pixels, bending."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from modescope.data.corruptions.images import Images, gaussian_filter, positions, sampled

# quantisation of the JPEG standard (ITU-T T.81, annex K.1), luminance and chrominance
_LUMINANCE_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMINANCE_TABLE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, *([99] * 32),
)  # fmt: skip


def brightness(images: Images, generator: torch.Generator, amount: float) -> Images:
    """More value (V of HSV), with hue and saturation kept; images of other than three channels get it added."""
    del generator
    if images.shape[1] != 3:
        return (images + amount).clamp(0, 1)
    value = images.amax(dim=1, keepdim=True)
    brighter = (value + amount).clamp(0, 1)
    return torch.where(value > 0, images * brighter / value.clamp(min=1e-12), brighter).clamp(0, 1)


def contrast(images: Images, generator: torch.Generator, factor: float) -> Images:
    """Nearer to each channel's mean over the image."""
    del generator
    means = images.mean(dim=(2, 3), keepdim=True)
    return ((images - means) * factor + means).clamp(0, 1)


def saturate(images: Images, generator: torch.Generator, factor: float, more: float) -> Images:
    """Other saturation (S of HSV); images of other than three channels have no colours and stay.

    Grey has no hue; as in HSV by convention it is taken for red where it is given saturation.
    """
    del generator
    if images.shape[1] != 3:
        return images
    value = images.amax(dim=1, keepdim=True)
    chroma = value - images.amin(dim=1, keepdim=True)
    saturation = chroma / value.clamp(min=1e-12)
    wanted = (saturation * factor + more).clamp(0, 1)
    faded = value - (value - images) * wanted / saturation.clamp(min=1e-12)
    red = torch.cat([value, value * (1 - wanted), value * (1 - wanted)], dim=1)
    return torch.where(chroma > 0, faded, red).clamp(0, 1)


def pixelate(images: Images, generator: torch.Generator, factor: float) -> Images:
    """Made smaller with a box filter, and large again."""
    del generator
    height, width = images.shape[2:]
    small = max(int(height * factor), 1), max(int(width * factor), 1)
    for size in (small, (height, width)):
        down, across = (_boxes(old, new).to(images) for old, new in zip(images.shape[2:], size, strict=True))
        images = torch.einsum("oh,bchw,pw->bcop", down, images, across)
    return images.clamp(0, 1)


def jpeg_compression(images: Images, generator: torch.Generator, quality: int) -> Images:
    """What is lost in a baseline JPEG file of that quality, with chrominance at half the resolution.

    Cosine transform, quantisation and back in floating point; the coding of the numbers, which loses nothing, is left
    out. Images of other than three channels are taken as grey, each channel by itself.
    """
    del generator
    luminance, chrominance = (_table(table, quality, images) for table in (_LUMINANCE_TABLE, _CHROMINANCE_TABLE))
    levels = (images * 255).round()
    if images.shape[1] != 3:
        return _quantised(levels, luminance).clamp(0, 255).round() / 255
    red, green, blue = levels.unbind(dim=1)
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    colours = torch.stack([128 + 0.564334 * (blue - light), 128 + 0.713267 * (red - light)], dim=1).round()
    light = _quantised(light.round()[:, None], luminance)[:, 0].clamp(0, 255).round()
    height, width = images.shape[2:]
    even = F.pad(colours, (0, width % 2, 0, height % 2), mode="replicate")
    half = _quantised(F.avg_pool2d(even, 2).round(), chrominance).clamp(0, 255).round()
    full = F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)[:, :, :height, :width] - 128
    blueness, redness = full.unbind(dim=1)
    restored = [light + 1.402 * redness, light - 0.344136 * blueness - 0.714136 * redness, light + 1.772 * blueness]
    return torch.stack(restored, dim=1).clamp(0, 255).round() / 255


def elastic_transform(
    images: Images, generator: torch.Generator, strength: float, smoothness: float, shear: float
) -> Images:
    """Bent: an affine map through three points that move, then each pixel displaced, smoothly.

    Args:
        images: The images.
        generator: Draws the points and the displacements.
        strength: Of the displacements before they are smoothed, as a part of the image's size.
        smoothness: The Gaussian's standard deviation, as a part of the image's size.
        shear: How far the three points move at most, as a part of the image's size.
    """
    count, size = len(images), min(images.shape[2:])
    rows, columns = (place.expand(count, -1, -1) for place in positions(images))
    bent = sampled(images, *_affine(images, shear * size, generator), "reflection")
    moved = 2 * torch.rand((count, 2, *images.shape[2:]), generator=generator, dtype=images.dtype) - 1
    smooth = gaussian_filter(moved.to(images.device), smoothness * size, truncate=3.0)
    down, right = (strength * size * smooth).unbind(dim=1)
    return sampled(bent, rows + down, columns + right, "border").clamp(0, 1)


def _affine(images: Images, most: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Where each pixel comes from, when three points around the middle have moved by up to `most` pixels."""
    height, width = images.shape[2:]
    middle, third = images.new_tensor([width // 2, height // 2]), min(height, width) // 3
    corners = torch.stack([middle + third, middle + images.new_tensor([third, -third]), middle - third]).double().cpu()
    moved = 2 * torch.rand((len(images), 3, 2), generator=generator, dtype=torch.float64) - 1
    ones = torch.ones((len(images), 3, 1), dtype=torch.float64)
    after = torch.cat([corners + most * moved, ones], dim=2)
    back = torch.linalg.solve(after, corners.expand(len(images), -1, -1))  # (batch, 3, 2): where it was before
    rows, columns = positions(images)
    back = back.to(images)[:, :, :, None, None]
    source = columns[:, None] * back[:, 0] + rows[:, None] * back[:, 1] + back[:, 2]
    return source[:, 1], source[:, 0]


def _boxes(old: int, new: int) -> Float[Tensor, "new old"]:
    """Weights of a box filter that resizes from `old` to `new` pixels, as Pillow's."""
    scale = old / new
    support = max(scale, 1.0) / 2
    weights = torch.zeros((new, old), dtype=torch.float64)
    for place in range(new):
        centre = (place + 0.5) * scale
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), old)
        for pixel in range(first, last):
            offset = (pixel - centre + 0.5) / max(scale, 1.0)
            weights[place, pixel] = 1.0 if -0.5 < offset <= 0.5 else 0.0
    return weights / weights.sum(dim=1, keepdim=True)


def _table(table: Sequence[int], quality: int, like: Tensor) -> Float[Tensor, "8 8"]:
    """A quantisation table at that quality, as libjpeg scales it."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = (like.new_tensor(table) * percent + 50).div(100, rounding_mode="floor")
    return scaled.clamp(1, 255).reshape(8, 8)


def _quantised(levels: Images, table: Float[Tensor, "8 8"]) -> Images:
    """Blocks of 8 x 8 through the cosine transform, rounded to multiples of the table, and back."""
    height, width = levels.shape[2:]
    padded = F.pad(levels - 128, (0, -width % 8, 0, -height % 8), mode="replicate")
    blocks = padded.unflatten(3, (-1, 8)).unflatten(2, (-1, 8))  # (batch, channel, down, 8, across, 8)
    basis = _cosines().to(levels)
    turned = torch.einsum("ui,bcdiej,vj->bcduev", basis, blocks, basis)
    spread = table[:, None, :]
    restored = torch.einsum("ui,bcduev,vj->bcdiej", basis, (turned / spread).round() * spread, basis)
    return restored.flatten(4, 5).flatten(2, 3)[:, :, :height, :width] + 128


def _cosines() -> Float[Tensor, "8 8"]:
    """The orthonormal cosine transform (DCT-II) of eight numbers."""
    place = torch.arange(8, dtype=torch.float64)
    basis = torch.cos(math.pi * place[:, None] * (2 * place + 1) / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis
