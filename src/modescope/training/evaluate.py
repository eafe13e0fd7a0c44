"""What a network says, in eval mode."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from modescope.data.tensors import Scaling, TensorSplit
from modescope.models.outputs import as_logits

BATCH = {"cpu": 500, "cuda": 2000}
"""Examples looked at together. On two CPU cores larger batches fall out of the cache and take twice as long."""


def predict(
    network: nn.Module, split: TensorSplit, scaling: Scaling, *, autocast: bool = False
) -> Float[Tensor, "example class"]:
    """The natural logarithm of the softmax for every example, in eval mode.

    Args:
        network: The network; its mode is restored.
        split: The examples.
        scaling: Stored numbers -> network input.
        autocast: Compute in bfloat16 where PyTorch deems it safe.

    Returns:
        log_prob in nat, on the network's device, in float32 (float64 for a float64 network).
    """
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode(), torch.autocast(split.inputs.device.type, torch.bfloat16, enabled=autocast):
            batches = [as_logits(network(scaling(inputs))) for inputs in split.inputs.split(BATCH["cpu"])]
            logits = torch.cat(batches)
        exact = logits if logits.dtype == torch.float64 else logits.float()
        return F.log_softmax(exact, dim=1)
    finally:
        network.train(was_training)


def score(log_prob: Float[Tensor, "example class"], labels: Int64[Tensor, " example"]) -> tuple[float, float]:
    """Mean negative log-likelihood (nat) and accuracy (fraction) of one member's predictions."""
    loss = F.nll_loss(log_prob.double(), labels).item()
    accuracy = (log_prob.argmax(1) == labels).double().mean().item()
    return loss, accuracy
