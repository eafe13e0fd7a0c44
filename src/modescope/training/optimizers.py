"""PyTorch's optimisers as a recipe sets them, and their state as named tensors."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from modescope.settings import TrainingSettings
from modescope.training.csgmcmc import CSGMCMC


def build_optimizer(
    parameters: Iterable[Tensor], settings: TrainingSettings, *, stacked: bool = False
) -> torch.optim.Optimizer:
    """The recipe's optimiser over trainable parameters, in PyTorch's fused version.

    Args:
        parameters: Those of one network, or of a stack of them; SGD and Adam work on each number by itself, so a stack
            moves as its members would alone.
        settings: The `[training]` section of the recipe.
        stacked: Whether the first axis of each parameter is that of the members.

    Returns:
        The optimiser.
    """
    groups = _groups(parameters, settings, 2 + stacked)
    device = groups[0]["params"][0].device
    # a step that is captured and replayed on a GPU reads its learning rate from memory, or would keep the first one
    rate = torch.tensor(settings.learning_rate, device=device) if device.type == "cuda" else settings.learning_rate
    if settings.optimizer == "csgmcmc":
        return CSGMCMC(groups, lr=rate, momentum=settings.momentum)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, fused=True)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=rate, eps=settings.epsilon, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def optimizer_tensors(named: Iterable[tuple[str, Tensor]], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as `PARAMETER.STATE` -> tensor, in the network's own names."""
    return {
        f"{name}.{key}": torch.as_tensor(value)
        for name, parameter in named
        for key, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }


def load_optimizer_tensors(
    named: Iterable[tuple[str, Tensor]], optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Put back what `optimizer_tensors` took out."""
    for name, parameter in named:
        found = {key.rpartition(".")[2]: value for key, value in tensors.items() if key.rpartition(".")[0] == name}
        if found:
            optimizer.state[parameter] = {key: _like(key, value, parameter) for key, value in found.items()}


def _like(key: str, value: Tensor, parameter: Tensor) -> Tensor:
    """As the optimiser makes it: the number of steps as it is, the rest in the parameter's memory layout."""
    if key == "step":
        return value.to(parameter.device, copy=True)
    return torch.empty_like(parameter).copy_(value)


def _groups(parameters: Iterable[Tensor], settings: TrainingSettings, weight_axes: int) -> list[dict[str, object]]:
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    decay = settings.weight_decay
    if settings.decayed == "all":
        return [{"params": parameters, "weight_decay": decay}]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim >= weight_axes], "weight_decay": decay},
        {"params": [parameter for parameter in parameters if parameter.ndim < weight_axes], "weight_decay": 0.0},
    ]
