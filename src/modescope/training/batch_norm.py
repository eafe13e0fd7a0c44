"""Batch norm's statistics of networks that were not trained: sampled, averaged, or in between.

The running statistics of a trained network belong to its own weights. A network with other weights gets its own from a
part of the training data, in one pass: over equal batches, mean and variance of all of them together (not the mean of
the batches' variances). Earlier layers normalise by the batch at hand meanwhile, as in training.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class BatchStatistics:
    """Collects what the batch norms of a network met, batch by batch, for a stack of networks.

    Args:
        network: The network whose modules compute; its own numbers are not used.
    """

    def __init__(self, network: nn.Module) -> None:
        self._norms = {name: module for name, module in network.named_modules() if _has_statistics(module)}
        self._seen: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._norms)

    @property
    def names(self) -> frozenset[str]:
        """The buffers that hold statistics."""
        buffers = "running_mean", "running_var", "num_batches_tracked"
        return frozenset(f"{name}.{buffer}" for name in self._norms for buffer in buffers)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """While this is open, each batch norm normalises by its batch, whose statistics it leaves in its buffers.

        Everything else stays in eval mode.
        """
        before = {name: (norm.training, norm.momentum) for name, norm in self._norms.items()}
        hooks = [norm.register_forward_pre_hook(self._counts(name)) for name, norm in self._norms.items()]
        for norm in self._norms.values():
            norm.training, norm.momentum = True, 1.0  # the newest batch alone
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for name, norm in self._norms.items():
                norm.training, norm.momentum = before[name]

    def together(self, batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The statistics of equal batches as those of all their examples.

        Args:
            batches: The buffers after each batch.

        Returns:
            The buffers that changed: mean, and variance as PyTorch keeps it (divided by one less than the number).
        """
        joined = {}
        for name in self._norms:
            means = torch.stack([batch[f"{name}.running_mean"] for batch in batches]).double()
            variances = torch.stack([batch[f"{name}.running_var"] for batch in batches]).double()
            each, every = self._seen[name], self._seen[name] * len(batches)
            total = (variances * (each - 1) / each).mean(dim=0) + means.var(dim=0, correction=0)
            like = batches[0][f"{name}.running_mean"]
            joined[f"{name}.running_mean"] = means.mean(dim=0).to(like)
            joined[f"{name}.running_var"] = (total * every / (every - 1)).to(like)
        return joined

    def _counts(self, name: str) -> object:
        def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._seen[name] = inputs[0].numel() // inputs[0].shape[1]

        return count


def _has_statistics(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.track_running_stats and module.running_mean is not None
