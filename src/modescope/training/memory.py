"""How much memory training takes, found out by looking at one small step."""

import torch
from torch import nn

_PROCESS_BYTES = 400 * 2**20  # Python, PyTorch and its libraries, measured on Linux
_COPIES = 5  # of each parameter: itself, its gradient, two moments of Adam, and one on its way to disk


def activation_bytes(network: nn.Module, inputs: torch.Tensor) -> int:
    """What the backward pass keeps of a forward pass, for each example.

    Args:
        network: The network; measured in eval mode, so that neither its statistics nor any random stream move.
        inputs: A few examples as the network takes them.

    Returns:
        Bytes an example: every tensor once that autograd saves, parameters and buffers left out.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    was_training = network.training
    network.eval()
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            kept = network(inputs)  # as long as the result is held, so is what was saved: no address is used twice
        del kept
    finally:
        network.train(was_training)
    return sum(saved.values()) // len(inputs)


def training_bytes(network: nn.Module, input_shape: tuple[int, ...], batch_size: int) -> int:
    """What a process that trains one network takes, about: never less than Python and PyTorch themselves.

    Args:
        network: The network, on the CPU.
        input_shape: The shape of one input as the network gets it: (channel, height, width) for images.
        batch_size: Examples a step.

    Returns:
        Bytes.
    """
    example = activation_bytes(network, torch.zeros(2, *input_shape))
    weights = sum(parameter.nbytes for parameter in network.parameters())
    # twice what is saved: gradients of activations, and what convolutions take to work in
    return _PROCESS_BYTES + _COPIES * weights + 2 * batch_size * example
