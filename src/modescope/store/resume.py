"""What training goes on from: weights and optimiser state of a member's newest finished epoch.

Every random stream is made anew from its name (see `seeds`), so no generator's state is needed. The file carries a
SHA-256 of its own tensors, since it is replaced at every epoch and must be whole by itself at every moment.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors import SafetensorError

from modescope.files import write_bytes
from modescope.store.run import Run
from modescope.store.snapshots import deserialize, serialize


@dataclass(frozen=True)
class ResumeState:
    """Where a member stands after an epoch."""

    epoch: int
    model: dict[str, torch.Tensor]  # the model's state_dict
    optimizer: dict[str, torch.Tensor]  # `PARAMETER.STATE`, as in `exp_avg` of Adam


def write_resume(run: Run, member: int, state: ResumeState) -> None:
    """Replace what the member goes on from. This is the last file of an epoch: with it, the epoch is finished.

    Raises:
        DiskFullError: There is no room for it; the member goes on from the epoch before.
    """
    tensors = {f"model.{name}": tensor for name, tensor in state.model.items()}
    tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.items()}
    metadata = {"epoch": state.epoch, "sha256": _digest(tensors)}
    write_bytes(run.resume(member), serialize(tensors, metadata))


def read_resume(run: Run, member: int) -> ResumeState | None:
    """What the member goes on from; None if there is nothing, or nothing whole."""
    path = run.resume(member)
    if not path.is_file():
        return None
    try:
        tensors, metadata = deserialize(path.read_bytes())
    except (SafetensorError, ValueError, KeyError):
        return None
    if metadata.get("sha256") != _digest(tensors):
        return None
    return ResumeState(metadata["epoch"], _below("model.", tensors), _below("optimizer.", tensors))


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
