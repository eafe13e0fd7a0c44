"""Corruptions of images at five intensities: CIFAR-10-C's nineteen, as maps of whole batches.

For images in [0, 1] of any size and any number of channels. Lengths in pixels are CIFAR-10-C's for 32 pixels; on larger
images they grow with the image. Everything random comes from the generator that is given. Values stay fractions.

Reference: Hendrycks & Dietterich (2019), Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations, arXiv:1903.12261, appendix, with the constants of the code that made CIFAR-10-C. Made otherwise: `frost`
has no photographs to lay over the image, `spatter` finds the edges of its drops in a simpler way, beyond the edge
`elastic_transform` repeats the edge's value, and zooms are centred exactly, not cut by whole pixels.
"""

from collections.abc import Callable

import torch

from modescope.data.corruptions.blur import defocus_blur, gaussian_blur, glass_blur, motion_blur, zoom_blur
from modescope.data.corruptions.digital import (
    brightness,
    contrast,
    elastic_transform,
    jpeg_compression,
    pixelate,
    saturate,
)
from modescope.data.corruptions.images import Images
from modescope.data.corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from modescope.data.corruptions.weather import fog, frost, snow, spatter

__all__ = ["CORRUPTIONS", "corrupt"]

CORRUPTIONS: dict[str, tuple[Callable[..., Images], tuple[tuple[float, ...], ...]]] = {
    "gaussian_noise": (gaussian_noise, ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,))),
    "shot_noise": (shot_noise, ((500.0,), (250.0,), (100.0,), (75.0,), (50.0,))),
    "impulse_noise": (impulse_noise, ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,))),
    "defocus_blur": (defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))),
    "glass_blur": (glass_blur, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))),
    "motion_blur": (motion_blur, ((6.0, 1.0), (6.0, 1.5), (6.0, 2.0), (8.0, 2.0), (9.0, 2.5))),
    "zoom_blur": (zoom_blur, ((1.06,), (1.11,), (1.16,), (1.21,), (1.26,))),
    "snow": (
        snow,
        (
            (0.1, 0.2, 1.0, 0.6, 8.0, 3.0, 0.95),
            (0.1, 0.2, 1.0, 0.5, 10.0, 4.0, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10.0, 4.0, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12.0, 6.0, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14.0, 12.0, 0.8),
        ),
    ),
    "frost": (frost, ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "fog": (fog, ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))),
    "brightness": (brightness, ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,))),
    "contrast": (contrast, ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,))),
    "elastic_transform": (
        elastic_transform,
        ((0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": (pixelate, ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,))),
    "jpeg_compression": (jpeg_compression, ((80,), (65,), (58,), (50,), (40,))),
    "gaussian_blur": (gaussian_blur, ((0.4,), (0.6,), (0.7,), (0.8,), (1.0,))),
    "saturate": (saturate, ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))),
    "spatter": (
        spatter,
        (
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1.0, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
    ),
    "speckle_noise": (speckle_noise, ((0.06,), (0.1,), (0.12,), (0.16,), (0.2,))),
}
"""Name -> function, and its constants at the intensities 1 to 5. The first fifteen are CIFAR-10-C's main ones."""


def corrupt(images: Images, name: str, intensity: int, generator: torch.Generator) -> Images:
    """A batch of images, corrupted.

    Args:
        images: In [0, 1].
        name: One of `CORRUPTIONS`.
        intensity: 1 to 5.
        generator: On the CPU; the same generator at the same place gives the same images.

    Returns:
        Images of the same shape in [0, 1].

    Raises:
        ValueError: The intensity is none of 1 to 5.
        KeyError: There is no such corruption.
    """
    if not 1 <= intensity <= 5:
        raise ValueError(f"An intensity is 1 to 5, not {intensity}.")
    function, constants = CORRUPTIONS[name]
    return function(images, generator, *constants[intensity - 1])
