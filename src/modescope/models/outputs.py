"""What networks return."""

from typing import Any

from torch import Tensor


def as_logits(output: Any) -> Tensor:
    """The logits (example, class): what a network returns, or its `logits`, as transformers' networks have them."""
    return getattr(output, "logits", output)
