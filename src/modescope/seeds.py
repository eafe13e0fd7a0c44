"""The one source of randomness: every stream is named by (root seed, member, purpose, epoch) and by nothing else.

So member k is the same network whatever the number of members, whoever trains it, and however often it was stopped.
A stream that is needed again is made again from its name; no generator's state is ever stored.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

Purpose = Literal["init", "order", "dropout", "augment", "noise"]


def seed(root: int, member: int, purpose: str, epoch: int = 0) -> int:
    """A 63-bit seed for one stream: the head of the SHA-256 of its name.

    Args:
        root: `ensemble.seed` of the recipe.
        member: The member the stream belongs to.
        purpose: What the stream is for (`init`, `order`, `dropout`, `augment`, `noise`, or an analysis's name).
        epoch: The epoch that consumes it; 0 for streams that are consumed once.

    Returns:
        An integer in [0, 2^63). PyTorch's CPU generator keeps the low 32 bits of it.

    Example:
        >>> seed(0, 3, "order", 7) == seed(0, 3, "order", 7)
        True
        >>> seed(0, 3, "order", 7) == seed(0, 3, "order", 8)
        False
    """
    name = f"modescope/{root}/{member}/{purpose}/{epoch}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def generator(root: int, member: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """A fresh CPU generator at the beginning of one stream."""
    return torch.Generator().manual_seed(seed(root, member, purpose, epoch))


@contextmanager
def seeded(root: int, member: int, purpose: str, epoch: int = 0) -> Iterator[None]:
    """Put PyTorch's, NumPy's and Python's global generators at the beginning of one stream, and restore them after.

    For code that draws from them and cannot be given a generator: any `nn.Module`'s initialisation and dropout.
    """
    value = seed(root, member, purpose, epoch)
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  (restored below)
    with torch.random.fork_rng():
        torch.manual_seed(value)
        random.seed(value)
        np.random.seed(value % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
