"""Dropout whose masks are the same wherever a member is trained: alone or in a stack, in whatever memory layout."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_CHANNELWISE = frozenset({F.dropout1d, F.dropout2d, F.dropout3d})
_DROPOUTS = _CHANNELWISE | {F.dropout}


class MemberDropout(TorchFunctionMode):
    """While this is active, dropout draws the masks of one member from PyTorch's global generator.

    PyTorch's own dropout draws in the order in which its input lies in memory. Here the order is (example, height,
    width, channel): for channels-last images and for vectors that is PyTorch's own mask, to the bit.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Replace dropout in training, and nothing else."""
        given = kwargs or {}
        if function in _DROPOUTS:
            values, rate, training = _arguments(*args, **given)
            if training and 0 < rate < 1:
                return self.dropped(values, rate, function in _CHANNELWISE)
        return function(*args, **given)

    def dropped(self, values: Tensor, rate: float, channelwise: bool) -> Tensor:
        """The values times their mask."""
        return values * _mask(values, rate, channelwise, None)


class StackDropout(MemberDropout):
    """The same inside `vmap` over a stack of members, each with a generator of its own."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self._generators = generators

    def dropped(self, values: Tensor, rate: float, channelwise: bool) -> Tensor:
        """The values times each member's mask."""
        return _Stacked.apply(values, rate, channelwise, self._generators)


class OneDropout(MemberDropout):
    """The same for one member of a stack, outside `vmap`."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self._generator = generator

    def dropped(self, values: Tensor, rate: float, channelwise: bool) -> Tensor:
        """The values times this member's mask."""
        return values * _mask(values, rate, channelwise, self._generator)


class _Stacked(torch.autograd.Function):
    """Not differentiated itself: `vmap` takes its rule, whose operations are."""

    @staticmethod
    def forward(values: Tensor, rate: float, channelwise: bool, generators: Sequence[torch.Generator]) -> Tensor:
        """Dropout of a value that all members share would need one mask for each of them."""
        raise NotImplementedError

    @staticmethod
    def setup_context(context: Any, inputs: tuple, output: Any) -> None:
        """Nothing is kept."""

    @staticmethod
    def vmap(
        info: Any, axes: tuple, values: Tensor, rate: float, channelwise: bool, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, int]:
        """Values with the members along one axis -> the same with the members first."""
        values = values.movedim(axes[0], 0)
        masks = [_mask(values[0], rate, channelwise, generator) for generator in generators]
        return values * torch.stack(masks), 0


def _mask(values: Tensor, rate: float, channelwise: bool, generator: torch.Generator | None) -> Tensor:
    shape = tuple(values.shape)
    images = len(shape) == 4 and not channelwise
    if channelwise:
        shape = (*shape[:2], *(1 for _ in shape[2:]))
    elif images:
        shape = (shape[0], *shape[2:], shape[1])
    mask = values.new_empty(shape).bernoulli_(1 - rate, generator=generator).div_(1 - rate)
    return mask.permute(0, 3, 1, 2) if images else mask


def _arguments(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> tuple:
    del inplace  # what is returned is what is used
    return values, p, training
