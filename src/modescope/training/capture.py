"""A training step as one CUDA graph: launched as a whole, so that small kernels do not wait for Python."""

from collections.abc import Callable

import torch

from modescope.training.stack import Stack

WARM_UP = 3  # steps that are taken before one is captured


def captured(stack: Stack, step: Callable[[], object], begin: Callable[[int], None]) -> Callable[[], None]:
    """Take `WARM_UP` steps, then capture one without taking it.

    Args:
        stack: What the step trains.
        step: Reads and writes the same memory each time, and asks the device for no number.
        begin: Called with the number of each step before it is taken, and not captured.

    Returns:
        Takes one more step each time it is called.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # capturing needs everything to have been used once, on another stream
        for number in range(WARM_UP):
            begin(number)
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    for generator in stack.generators:
        graph.register_generator_state(generator)
    stack.optimizer.zero_grad(set_to_none=True)  # so that the graph makes the gradients in memory of its own
    with torch.cuda.graph(graph):
        step()
    return graph.replay
