"""Blur: of the lens, of the glass before it, of motion, of zoom."""

import math

import torch
import torch.nn.functional as F

from modescope.data.corruptions.images import (
    Images,
    gaussian_filter,
    length_scale,
    positions,
    separable,
    shifted_reads,
    zoomed,
)


def gaussian_blur(images: Images, generator: torch.Generator, sigma: float) -> Images:
    """A Gaussian of so many pixels (of 32)."""
    del generator
    return gaussian_filter(images, sigma * length_scale(images)).clamp(0, 1)


def defocus_blur(images: Images, generator: torch.Generator, radius: float, softness: float) -> Images:
    """The mean over a disk, whose edge is softened by a Gaussian of 3 x 3 pixels."""
    del generator
    radius, softness = radius * length_scale(images), softness * length_scale(images)
    reach = max(math.floor(radius), 0)
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).to(images.dtype)
    soft = torch.exp(-(torch.arange(-1, 2, dtype=images.dtype, device=images.device) ** 2) / (2 * softness**2))
    kernel = separable(F.pad(disk / disk.sum(), (2,) * 4)[None, None], soft / soft.sum())
    reach += 1
    channels, small = images.shape[1], min(images.shape[2:]) <= reach
    padded = F.pad(images, (reach,) * 4, mode="replicate" if small else "reflect")
    return F.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels).clamp(0, 1)


def glass_blur(images: Images, generator: torch.Generator, sigma: float, reach: int, times: int) -> Images:
    """A slight blur, then each pixel takes the place of one up or left of it, by chance.

    In the official files a pixel takes its neighbour's value and the neighbour keeps it: the swap of their code, of two
    views of one array, is none. The first rows and columns stay.
    """
    sigma *= length_scale(images)
    images = gaussian_filter(images, sigma)
    rows, columns = positions(images)
    inside = (rows > reach) & (columns > reach)
    for _ in range(times):
        shape = len(images), *images.shape[2:]
        down, right = (torch.randint(-reach, reach, shape, generator=generator).to(images) for _ in range(2))
        images = shifted_reads(images, rows + down * inside, columns + right * inside)
    return gaussian_filter(images, sigma).clamp(0, 1)


def motion_blur(images: Images, generator: torch.Generator, radius: float, sigma: float) -> Images:
    """Smeared in a direction of its own for each image, no steeper than 45 degrees."""
    return smeared(images, generator, radius, sigma, (-45.0, 45.0)).clamp(0, 1)


def zoom_blur(images: Images, generator: torch.Generator, farthest: float) -> Images:
    """The mean of the image and its magnifications in steps of 1 % up to a factor (not included)."""
    del generator
    factors = torch.arange(1, farthest, 0.01, dtype=torch.float64).tolist()
    return ((images + sum(zoomed(images, factor) for factor in factors)) / (len(factors) + 1)).clamp(0, 1)


def smeared(
    images: Images, generator: torch.Generator, radius: float, sigma: float, degrees: tuple[float, float]
) -> Images:
    """Each image added up along a line with the weights of half a Gaussian, as ImageMagick's motion blur.

    Args:
        images: What is smeared.
        generator: Draws a direction for each image.
        radius: The line has 2 radius + 1 pixels (of 32).
        sigma: Of the Gaussian, in pixels.
        degrees: Between which the direction lies, 0 = along the row.
    """
    scale = length_scale(images)
    taps, sigma = 2 * math.ceil(radius * scale) + 1, sigma * scale
    weights = [math.exp(-(tap**2) / (2 * sigma**2)) for tap in range(taps)]
    low, high = (math.radians(degree) for degree in degrees)
    angle = low + (high - low) * torch.rand((len(images), 1, 1), generator=generator, dtype=torch.float64)
    angle = angle.to(images.device, images.dtype)
    rows, columns = positions(images)
    total = torch.zeros_like(images)
    for tap, weight in enumerate(weights):
        down, right = (torch.ceil(tap * part - 0.5) for part in (angle.sin(), angle.cos()))
        total += weight * shifted_reads(images, rows + down, columns + right)
    return total / sum(weights)
