"""cSG-MCMC: momentum SGD whose learning rate falls in cycles, with noise at the end of each.

buf ← (1 - α) buf - lr (∇ + wd θ) + √(2 lr α T / n) ξ, θ ← θ + buf, with ξ ~ N(0, 1) in the last epochs of a cycle and 0
before, α one less the recipe's momentum, T the temperature, n the number of training examples and ∇ the gradient of the
mean loss.

Reference: Zhang et al. (2020), Cyclical Stochastic Gradient MCMC for Bayesian Deep Learning, arXiv:1902.03932, and the
authors' code; Fort, Hu & Lakshminarayanan (2019), arXiv:1912.02757, appendix C.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modescope import seeds
from modescope.recipe import Recipe
from modescope.settings import TrainingSettings


@dataclass(frozen=True)
class Noise:
    """Where the noise of one epoch comes from."""

    generators: Sequence[torch.Generator]  # one a member
    temperature: float  # over the number of training examples
    stacked: bool  # whether parameters have the members along their first axis

    def like(self, parameter: Tensor) -> Tensor:
        """Standard normal numbers for one parameter; those of a stacked member are those of the member alone."""
        shape = parameter.shape[1:] if self.stacked else parameter.shape
        drawn = [
            torch.randn(shape, generator=generator, dtype=parameter.dtype, device=parameter.device)
            for generator in self.generators
        ]
        return torch.stack(drawn) if self.stacked else drawn[0]


class CSGMCMC(torch.optim.Optimizer):
    """The update; set `noise` before each epoch.

    Args:
        groups: Parameters with their `weight_decay`.
        lr: Learning rate.
        momentum: 1 - α, in [0, 1).
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})
        self.noise: Noise | None = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Move every parameter once."""
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"]
                buffer.mul_(momentum).sub_(rate * (parameter.grad + group["weight_decay"] * parameter))
                if self.noise is not None:
                    spread = (2 * rate * (1 - momentum) * self.noise.temperature) ** 0.5
                    buffer.add_(spread * self.noise.like(parameter))
                parameter.add_(buffer)


def is_noisy(settings: TrainingSettings, epoch: int) -> bool:
    """Whether an epoch, counted from 1, is one of the last of its cycle.

    Example:
        >>> settings = TrainingSettings(epochs=20, cycles=2, noise_epochs=2)
        >>> [epoch for epoch in range(1, 21) if is_noisy(settings, epoch)]
        [9, 10, 19, 20]
    """
    length = -(-settings.epochs // settings.cycles)
    return (epoch - 1) % length + 1 > length - settings.noise_epochs


def prepare_noise(
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    members: Sequence[int],
    epoch: int,
    *,
    examples: int,
    stacked: bool = False,
) -> None:
    """Give the optimiser the noise of one epoch, if it is one that has any; every member's is its own.

    Args:
        optimizer: Of one network or a stack; nothing is done if it is no `CSGMCMC`.
        recipe: What is trained.
        members: Those that the optimiser moves.
        epoch: From 1.
        examples: The number of training examples.
        stacked: Whether parameters have the members along their first axis.
    """
    if not isinstance(optimizer, CSGMCMC):
        return
    optimizer.noise = None
    if is_noisy(recipe.training, epoch) and recipe.training.temperature > 0:
        device = optimizer.param_groups[0]["params"][0].device
        streams = [seeds.seed(recipe.ensemble.seed, member, "noise", epoch) for member in members]
        generators = [torch.Generator(device).manual_seed(stream) for stream in streams]
        optimizer.noise = Noise(generators, recipe.training.temperature / examples, stacked)
