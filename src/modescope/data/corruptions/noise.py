"""Noise of the sensor: Gaussian, photons, dead and saturated pixels, speckle."""

import torch

from modescope.data.corruptions.images import Images, normal_like, uniform_like


def gaussian_noise(images: Images, generator: torch.Generator, scale: float) -> Images:
    """X + scale ξ, for every value of its own."""
    return (images + scale * normal_like(images, generator)).clamp(0, 1)


def shot_noise(images: Images, generator: torch.Generator, photons: float) -> Images:
    """Counts of so many photons at full brightness: Poisson(x photons) / photons."""
    counts = torch.poisson((images.clamp(min=0) * photons).cpu(), generator=generator)
    return (counts.to(images.device) / photons).clamp(0, 1)


def impulse_noise(images: Images, generator: torch.Generator, amount: float) -> Images:
    """That part of the values becomes 0 or 1, half of them each."""
    hit = uniform_like(images, generator) < amount
    salt = (uniform_like(images, generator) < 0.5).to(images.dtype)
    return torch.where(hit, salt, images)


def speckle_noise(images: Images, generator: torch.Generator, scale: float) -> Images:
    """X + scale x ξ: bright values are noisier."""
    return (images + scale * images * normal_like(images, generator)).clamp(0, 1)
