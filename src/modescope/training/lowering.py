"""Ways of computing a stack of members: one program over all of them, or one after another.

Which is fastest depends on network and device, so an engine measures them. All give the same numbers up to rounding.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from modescope.models.outputs import as_logits
from modescope.training.dropout import OneDropout, StackDropout

State = Mapping[str, Tensor]
"""Parameters and buffers by name, each with the members along its first axis."""

Lowering = Callable[[nn.Module, State, State, Tensor, Sequence[torch.Generator]], Tensor]
"""(network, parameters, buffers, inputs (member, example, ...), generators of dropout) -> logits (member, example,
class).

Buffers are changed in place where the network changes them (batch norm in training)."""


def vmapped(
    network: nn.Module, parameters: State, buffers: State, inputs: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """`torch.vmap` over members: PyTorch's own batching rules; a convolution becomes a grouped one."""

    def one(parameters: State, buffers: State, inputs: Tensor) -> tuple[Tensor, State]:
        state = {**parameters, **buffers}
        logits = as_logits(functional_call(network, state, (inputs,)))
        return logits, {name: state[name] for name in buffers}

    with StackDropout(generators):
        logits, changed = torch.vmap(one, randomness="different")(parameters, buffers, inputs)
    _put_back(buffers, changed)
    return logits


def unfolded(
    network: nn.Module, parameters: State, buffers: State, inputs: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """`vmapped`, with every plain convolution as patches times weights: one batched matrix product for all members."""
    with _Unfolded():
        return vmapped(network, parameters, buffers, inputs, generators)


def looped(
    network: nn.Module, parameters: State, buffers: State, inputs: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """One member after another; any module can be computed so."""
    return _one_by_one(network, parameters, buffers, inputs, generators, [nullcontext() for _ in generators])


def streamed(
    network: nn.Module, parameters: State, buffers: State, inputs: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """`looped`, each member on a CUDA stream of its own, so that small kernels of different members overlap."""
    main = torch.cuda.current_stream()
    streams = [torch.cuda.Stream() for _ in generators]
    for stream in streams:
        stream.wait_stream(main)
    places = [torch.cuda.stream(stream) for stream in streams]
    logits = _one_by_one(network, parameters, buffers, inputs, generators, places)
    for stream in streams:
        main.wait_stream(stream)  # the caller's memory may be used again only after them
    return logits


@contextmanager
def without_advice() -> Iterator[None]:
    """Silence PyTorch where `vmap` has no batching rule: that it is slow is measured, and need not be told."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield


LOWERINGS: dict[str, Lowering] = {"vmap": vmapped, "unfold": unfolded, "loop": looped, "streams": streamed}


def possible(device: torch.device) -> tuple[str, ...]:
    """The lowerings that this device has."""
    return tuple(name for name in LOWERINGS if name != "streams" or device.type == "cuda")


def _one_by_one(
    network: nn.Module,
    parameters: State,
    buffers: State,
    inputs: Tensor,
    generators: Sequence[torch.Generator],
    places: Sequence[AbstractContextManager],
) -> Tensor:
    # unbound once: the gradients of all members then come back in one stack
    split = {name: tensor.unbind(0) for name, tensor in {**parameters, **buffers}.items()}
    logits, changed = [], []
    for member, (place, generator) in enumerate(zip(places, generators, strict=True)):
        state = {name: tensors[member] for name, tensors in split.items()}
        with place, OneDropout(generator):
            said = as_logits(functional_call(network, state, (inputs[member],)))
        if said.is_cuda:  # it is used on another stream than the one that it was made on
            said.record_stream(torch.cuda.current_stream())
        logits.append(said)
        changed.append({name: state[name] for name in buffers})
    for name, stacked in buffers.items():
        for member, tensor in enumerate(stacked.unbind(0)):
            if changed[member][name] is not split[name][member]:
                tensor.copy_(changed[member][name].detach())
    return torch.stack(logits)


def _put_back(buffers: State, changed: State) -> None:
    """Keep what a network put in a buffer's place; what it changed in place is there already."""
    for name, tensor in buffers.items():
        if changed[name].data_ptr() != tensor.data_ptr():
            tensor.copy_(changed[name].detach())


class _Unfolded(TorchFunctionMode):
    """While this is active, a convolution without groups or dilation is a matrix product over its patches."""

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Replace plain two-dimensional convolutions, and nothing else."""
        given = kwargs or {}
        if function is F.conv2d:
            convolved = _convolved(*args, **given)
            if convolved is not None:
                return convolved
        return function(*args, **given)


def _convolved(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """A convolution as shifted copies side by side times the weights, channels last; None if it is no plain one."""
    if groups != 1 or _pair(dilation) != (1, 1) or isinstance(padding, str) or images.ndim != 4:
        return None
    (down, right), (rows, columns) = _pair(stride), _pair(padding)
    height, width = weight.shape[2:]
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, columns, columns, rows, rows))
    tall, wide = (padded.shape[1] - height) // down + 1, (padded.shape[2] - width) // right + 1
    patches = torch.cat(
        [
            padded[:, row : row + down * (tall - 1) + 1 : down, column : column + right * (wide - 1) + 1 : right]
            for row in range(height)
            for column in range(width)
        ],
        dim=-1,
    )
    kernel = weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])
    convolved = (patches.reshape(-1, kernel.shape[0]) @ kernel).reshape(len(images), tall, wide, -1)
    if bias is not None:
        convolved = convolved + bias
    return convolved.permute(0, 3, 1, 2)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value) * (3 - len(tuple(value)))
