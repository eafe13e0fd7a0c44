"""Weather: snow, frost, fog, and what sticks to the lens."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from modescope.data.corruptions.blur import smeared
from modescope.data.corruptions.images import (
    Images,
    Maps,
    coloured,
    gaussian_filter,
    grey,
    length_scale,
    plasma,
    zoomed,
)


def snow(
    images: Images,
    generator: torch.Generator,
    mean: float,
    spread: float,
    size: float,
    threshold: float,
    radius: float,
    sigma: float,
    kept: float,
) -> Images:
    """Falling flakes, and a scene that turns pale.

    Args:
        images: The images.
        generator: Draws flakes and their direction.
        mean: Of the noise that becomes flakes.
        spread: Of that noise.
        size: The flakes' magnification.
        threshold: What is darker is no flake.
        radius: How long a flake's trace is, in pixels (of 32).
        sigma: How slowly it fades.
        kept: The part of the image that keeps its colours.
    """
    shape = len(images), 1, *images.shape[2:]
    noise = mean + spread * torch.randn(shape, generator=generator, dtype=images.dtype)
    flakes = zoomed(noise.to(images.device), size)
    flakes = torch.where(flakes < threshold, 0, flakes).clamp(0, 1)
    flakes = smeared(flakes, generator, radius, sigma, (-135.0, -45.0))
    pale = torch.maximum(images, 1.5 * grey(images)[:, None] + 0.5)
    return (kept * images + (1 - kept) * pale + flakes + flakes.rot90(2, dims=(2, 3))).clamp(0, 1)


def frost(images: Images, generator: torch.Generator, kept: float, amount: float) -> Images:
    """Crystals over the image: kept x + amount crystals.

    CIFAR-10-C lays photographs of frozen windows over its images, which cannot be made here: these crystals are ridges
    of fractal clouds, as bright as such photographs.
    """
    size = max(images.shape[2:])
    clouds = torch.stack([plasma(len(images), size, decay, generator) for decay in (1.3, 1.48)])
    ridges = (1 - (2 * clouds - 1).abs()) ** 3
    crystals = (0.35 + 0.65 * ridges.amax(dim=0))[:, : images.shape[2], : images.shape[3]]
    icy = coloured(images, (0.85, 0.93, 1.0))
    return (kept * images + amount * crystals.to(images)[:, None] * icy).clamp(0, 1)


def fog(images: Images, generator: torch.Generator, amount: float, decay: float) -> Images:
    """Fractal clouds added, and the whole darkened to its old brightest value."""
    clouds = plasma(len(images), max(images.shape[2:]), decay, generator).to(images)
    brightest = images.amax(dim=(1, 2, 3), keepdim=True)
    foggy = images + amount * clouds[:, None, : images.shape[2], : images.shape[3]]
    return (foggy * brightest / (brightest + amount)).clamp(0, 1)


def spatter(
    images: Images,
    generator: torch.Generator,
    mean: float,
    spread: float,
    sigma: float,
    threshold: float,
    strength: float,
    mud: int,
) -> Images:
    """Drops of water, or of mud, on the lens.

    Args:
        images: The images.
        generator: Draws where they are.
        mean: Of the noise that becomes drops.
        spread: Of that noise.
        sigma: Of its blur, in pixels (of 32).
        threshold: What is less is dry.
        strength: How much the water shows, or how soft the mud's edge is, in pixels (of 32).
        mud: 1 for mud, 0 for water.
    """
    scale = length_scale(images)
    noise = mean + spread * torch.randn((len(images), 1, *images.shape[2:]), generator=generator, dtype=images.dtype)
    liquid = gaussian_filter(noise.to(images.device), sigma * scale)
    wet = liquid >= threshold
    if mud:
        mask = gaussian_filter(wet.to(images.dtype), strength * scale)
        mask = torch.where(mask < 0.8, 0, mask)
        return (images * (1 - mask) + mask * coloured(images, (63 / 255, 42 / 255, 20 / 255))).clamp(0, 1)
    glint = torch.where(wet, liquid, 0) * _relief(wet[:, 0])[:, None]
    glint = strength * glint / glint.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
    return (images + glint.clamp(0, 1) * coloured(images, (175 / 255, 238 / 255, 238 / 255))).clamp(0, 1)


def _relief(wet: Tensor) -> Maps:
    """How a drop catches the light: the distance from its edge, evened out, lit from one corner."""
    distance = _distance_from_edge(wet)
    ranks = distance.flatten(1).argsort(dim=1).argsort(dim=1).reshape(distance.shape)
    even = ranks.to(distance.dtype) / max(ranks[0].numel() - 1, 1)
    lit = even.new_tensor([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])[None, None]
    relief = F.conv2d(_edge_repeated(even), lit).clamp(0, 1)
    return F.avg_pool2d(_edge_repeated(relief[:, 0]), 3, stride=1)[:, 0]


def _edge_repeated(maps: Maps) -> Float[Tensor, "batch 1 _ _"]:
    return F.pad(maps[:, None], (1,) * 4, mode="replicate")


def _distance_from_edge(wet: Tensor, most: int = 20) -> Maps:
    """Steps to the next border between wet and dry, no more than `most`; diagonal steps count as one."""
    value = wet.float()
    around = F.max_pool2d(_edge_repeated(value), 3, stride=1)[:, 0] + F.max_pool2d(_edge_repeated(-value), 3, 1)[:, 0]
    distance = torch.where(around > 0, 0.0, float(most))
    for _ in range(min(most, max(wet.shape[1:]))):
        nearer = 1 - F.max_pool2d(_edge_repeated(-distance), 3, stride=1)[:, 0]
        distance = torch.minimum(distance, nearer)
    return distance
