"""Planes in weight space: orthonormal coordinates through given solutions.

A point is always made from its absolute coordinates, origin + x e₁ + y e₂, never by steps that add up.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Plane:
    """An origin and two orthonormal directions, over all parameters flattened."""

    origin: Float[Tensor, " parameter"]
    first: Float[Tensor, " parameter"]
    second: Float[Tensor, " parameter"]

    def points(self, coordinates: Float[Tensor, "point 2"]) -> Float[Tensor, "point parameter"]:
        """The weights at these coordinates, which are L2 distances in weights."""
        return self.origin + coordinates @ torch.stack([self.first, self.second])

    def coordinates(self, weights: Float[Tensor, "point parameter"]) -> Float[Tensor, "point 2"]:
        """Where weights fall when they are projected onto the plane."""
        return (weights - self.origin) @ torch.stack([self.first, self.second], dim=1)

    def distances(self, weights: Float[Tensor, "point parameter"]) -> Float[Tensor, " point"]:
        """How far from the plane weights lie."""
        return (weights - self.points(self.coordinates(weights))).norm(dim=1)


def radial_plane(first: Float[Tensor, " parameter"], second: Float[Tensor, " parameter"]) -> Plane:
    """The plane through zero and two solutions: e₁ = θ₁ / ‖θ₁‖, e₂ = θ₂ less its part along e₁, of unit length.

    Reference: Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, section 4.1, figure 5.

    Raises:
        ValueError: The three points lie on a line.
    """
    return plane_through(torch.zeros_like(first), first, second)


def plane_through(
    origin: Float[Tensor, " parameter"], first: Float[Tensor, " parameter"], second: Float[Tensor, " parameter"]
) -> Plane:
    """The plane through three solutions, with the first as its origin and the second on its first axis.

    Reference: Garipov et al. (2018), Loss Surfaces, Mode Connectivity, and Fast Ensembling, arXiv:1802.10026, appendix.

    Raises:
        ValueError: The three points lie on a line.
    """
    along, across = first - origin, second - origin
    length = along.norm()
    if length == 0:
        raise ValueError("A plane needs three points that do not lie on a line; two of these are the same.")
    e1 = along / length
    rest = across - (across @ e1) * e1
    rest = rest - (rest @ e1) * e1  # once more: rounding leaves a part along e1 where the three nearly lie on a line
    if rest.norm() <= 1e-9 * across.norm() or across.norm() == 0:
        raise ValueError("A plane needs three points that do not lie on a line.")
    return Plane(origin, e1, rest / rest.norm())


def grid_around(
    shown: Float[Tensor, "point 2"], points: int, margin: float
) -> tuple[Float[Tensor, " x"], Float[Tensor, " y"]]:
    """Coordinates of a square grid's columns and rows that show all these points, with a margin.

    Args:
        shown: What must be on the plane.
        points: Along each side.
        margin: Beyond the points, as a part of the larger of width and height.

    Returns:
        x and y, with the same distance between neighbours.
    """
    low, high = shown.min(dim=0).values, shown.max(dim=0).values
    half = (0.5 + margin) * (high - low).max()
    centre = (low + high) / 2
    steps = torch.linspace(-1, 1, points, dtype=shown.dtype) * half
    return centre[0] + steps, centre[1] + steps
