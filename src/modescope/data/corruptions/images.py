"""What corruptions share: draws, filters and resampling of whole batches of images."""

import math
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Images: TypeAlias = Float[Tensor, "batch channel height width"]
"""Between 0 and 1."""
Maps: TypeAlias = Float[Tensor, "batch height width"]

_LUMINANCE = (0.299, 0.587, 0.114)
_DESIGNED_FOR = 32  # pixels: the sizes of CIFAR-10-C's constants


def length_scale(images: Images) -> float:
    """How large these images are beside those that lengths in pixels were chosen for; no less than 1.

    On smaller images lengths stay: a fixed part of an image of 8 pixels would be less than a pixel, and change nothing.
    """
    return max(min(images.shape[2:]) / _DESIGNED_FOR, 1.0)


def normal_like(images: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers, drawn on the CPU so that they are the same everywhere."""
    return torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images.device)


def uniform_like(images: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers in [0, 1), drawn on the CPU."""
    return torch.rand(images.shape, generator=generator, dtype=images.dtype).to(images.device)


def grey(images: Images) -> Maps:
    """Luminance of three channels; the mean of any other number."""
    if images.shape[1] == 3:
        return torch.einsum("bchw,c->bhw", images, images.new_tensor(_LUMINANCE))
    return images.mean(dim=1)


def coloured(images: Images, red_green_blue: tuple[float, float, float]) -> Float[Tensor, "channel 1 1"]:
    """A colour for these images; its luminance where they do not have three channels."""
    colour = images.new_tensor(red_green_blue)
    if images.shape[1] != 3:
        colour = (colour @ images.new_tensor(_LUMINANCE)).expand(images.shape[1])
    return colour[:, None, None]


def gaussian_filter(images: Images, sigma: float, *, truncate: float = 4.0) -> Images:
    """A Gaussian blur whose edge is repeated outwards, cut off at `truncate` standard deviations (as scikit-image)."""
    radius = int(truncate * sigma + 0.5)
    if sigma <= 0 or radius == 0:
        return images
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(images.device, images.dtype)
    padded = F.pad(images, (radius,) * 4, mode="replicate")
    return separable(padded, kernel)


def separable(padded: Images, kernel: Float[Tensor, " tap"]) -> Float[Tensor, "batch channel _ _"]:
    """Rows and columns filtered with the same odd kernel; the padding is used up."""
    channels = padded.shape[1]
    down = kernel.reshape(1, 1, -1, 1).expand(channels, 1, -1, 1)
    along = kernel.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(padded, down, groups=channels), along, groups=channels)


def shifted_reads(images: Images, rows: Float[Tensor, "batch _ _"], columns: Float[Tensor, "batch _ _"]) -> Images:
    """Pixels read at whole positions, each image at its own; the edge is repeated outwards."""
    height, width = images.shape[2:]
    row, column = rows.round().long().clamp(0, height - 1), columns.round().long().clamp(0, width - 1)
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[batch, row, column].permute(0, 3, 1, 2)


def sampled(
    images: Images, rows: Float[Tensor, "batch _ _"], columns: Float[Tensor, "batch _ _"], padding: str
) -> Images:
    """Pixels read at fractional positions, linearly interpolated.

    Args:
        images: What is read.
        rows: Positions in pixels, 0 = the middle of the first.
        columns: The same across.
        padding: What lies beyond the edge: `border` or `reflection`, as of `grid_sample`.
    """
    height, width = images.shape[2:]
    across = 2 * columns / max(width - 1, 1) - 1
    down = 2 * rows / max(height - 1, 1) - 1
    grid = torch.stack([across, down], dim=-1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=True)


def positions(images: Images) -> tuple[Float[Tensor, "1 height width"], Float[Tensor, "1 height width"]]:
    """The row and the column of every pixel."""
    height, width = images.shape[2:]
    row = torch.arange(height, dtype=images.dtype, device=images.device)
    column = torch.arange(width, dtype=images.dtype, device=images.device)
    rows, columns = torch.meshgrid(row, column, indexing="ij")
    return rows[None], columns[None]


def zoomed(images: Images, factor: float) -> Images:
    """The middle of the images, magnified."""
    rows, columns = positions(images)
    height, width = images.shape[2:]
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    rows = (middle_row + (rows - middle_row) / factor).expand(len(images), -1, -1)
    columns = (middle_column + (columns - middle_column) / factor).expand(len(images), -1, -1)
    return sampled(images, rows, columns, "border")


def plasma(count: int, size: int, decay: float, generator: torch.Generator) -> Maps:
    """Fractal clouds in [0, 1] by the diamond-square algorithm on a torus.

    The noise is the square of a wobble: at half the distance it is weaker by the square of `decay`, as in the code that
    made CIFAR-10-C. The plain rule gives much rougher clouds.

    Args:
        count: How many.
        size: Of the square that must be covered; the maps are made at the next power of two and cut.
        decay: The noise is weaker by its square at half the distance; larger = smoother.
        generator: Draws the noise.
    """
    side = 2 ** max(math.ceil(math.log2(size)), 1)
    maps = torch.zeros((count, side, side), dtype=torch.float64)
    step, wobble = side, 100.0

    def noise(like: Tensor) -> Tensor:
        # the square is the official code's: it multiplies by the wobble what it has drawn from that range already
        return wobble**2 * (2 * torch.rand(like.shape, generator=generator, dtype=torch.float64) - 1)

    while step >= 2:
        half = step // 2
        corners = maps[:, ::step, ::step]
        squares = corners + corners.roll(-1, 1)
        squares = (squares + squares.roll(-1, 2)) / 4
        maps[:, half::step, half::step] = squares + noise(squares)
        middles = maps[:, half::step, half::step]
        across = (middles + middles.roll(1, 1) + corners + corners.roll(-1, 2)) / 4
        maps[:, ::step, half::step] = across + noise(across)
        down = (middles + middles.roll(1, 2) + corners + corners.roll(-1, 1)) / 4
        maps[:, half::step, ::step] = down + noise(down)
        step, wobble = half, wobble / decay
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return ((maps - low) / (high - low))[:, :size, :size]
