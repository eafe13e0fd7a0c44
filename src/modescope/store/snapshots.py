"""Snapshots: parameters and buffers of one member after one epoch, in the model's own names and shapes.

A snapshot is a safetensors file. Its metadata (one JSON text, under the key `modescope`) say which of its tensors are
trainable parameters (the rest are buffers), so that an analysis of weights needs no network. The SHA-256 of each is
kept beside it in the format of `sha256sum`, and checked whenever one is read.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from safetensors import SafetensorError

from modescope.errors import DamagedFileError
from modescope.files import sha256, write_bytes, write_text
from modescope.store.run import Run
from modescope.types import Place

_METADATA = "modescope"
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}  # of trainable parameters, as safetensors names them


@dataclass(frozen=True)
class Snapshot:
    """The weights of one member at one epoch."""

    state: dict[str, torch.Tensor]  # parameters and buffers, as `state_dict` names them
    parameters: tuple[str, ...]  # the names of those that were trained, in the model's order


def write_snapshot(run: Run, member: int, epoch: int, snapshot: Snapshot) -> None:
    """Write one snapshot and record its SHA-256.

    Raises:
        DiskFullError: There is no room for it.
    """
    content = _content(member, epoch, snapshot)
    path = run.snapshot(member, epoch)
    write_bytes(path, content)
    digests = {**_ledger(run, member), path.name: hashlib.sha256(content).hexdigest()}
    write_text(run.ledger(member), "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())))


def digest(member: int, epoch: int, snapshot: Snapshot) -> str:
    """The SHA-256 of the file that this snapshot would be."""
    return hashlib.sha256(_content(member, epoch, snapshot)).hexdigest()


def recorded_digest(run: Run, member: int, epoch: int) -> str | None:
    """The SHA-256 that was recorded when the snapshot was written, if it was."""
    return _ledger(run, member).get(run.snapshot(member, epoch).name)


def read_snapshot(run: Run, member: int, epoch: int) -> Snapshot:
    """Read one snapshot and check that it is what was written.

    Raises:
        DamagedFileError: It is missing, or its SHA-256 is not the recorded one.
    """
    path = run.snapshot(member, epoch)
    content = _verified(path, _ledger(run, member).get(path.name))
    try:
        state, metadata = deserialize(content)
    except SafetensorError as error:
        raise DamagedFileError(path, str(error)) from error
    return Snapshot(state, tuple(metadata["parameters"]))


class SnapshotFile:
    """A snapshot on disk, whose parameters are read piece by piece.

    Args:
        run: The run.
        member: Which member.
        epoch: Which epoch.

    Raises:
        DamagedFileError: It is missing, or is not what was written.
    """

    def __init__(self, run: Run, member: int, epoch: int) -> None:
        self._path = run.snapshot(member, epoch)
        _verify(self._path, _ledger(run, member).get(self._path.name))
        with self._path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            self._header = json.loads(file.read(length))
        self._data = 8 + length  # where the tensors begin
        names = json.loads(self._header["__metadata__"][_METADATA])["parameters"]
        self.shapes = {name: tuple(self._header[name]["shape"]) for name in names}

    def read(self, spans: Iterable[tuple[str, int, int]], into: Float[np.ndarray, " _"]) -> None:
        """Read parts of parameters, one after the other.

        Args:
            spans: (name, start, stop), numbers counted as they lie in memory.
            into: Takes them, in float64.
        """
        filled = 0
        with self._path.open("rb") as file:
            for name, start, stop in spans:
                dtype = _DTYPES[self._header[name]["dtype"]]
                file.seek(self._data + self._header[name]["data_offsets"][0] + start * dtype.itemsize)
                content = bytearray(file.read((stop - start) * dtype.itemsize))
                into[filled : filled + stop - start] = torch.frombuffer(content, dtype=dtype).double().numpy()
                filled += stop - start


def check_snapshots(run: Run, member: int, epochs: Sequence[int]) -> dict[int, DamagedFileError]:
    """What is wrong with those snapshots of one member: epoch -> the error that reading would raise."""
    ledger = _ledger(run, member)
    damaged = {}
    for epoch in epochs:
        path = run.snapshot(member, epoch)
        try:
            _verify(path, ledger.get(path.name))
        except DamagedFileError as error:
            damaged[epoch] = error
    return damaged


def serialize(state: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> bytes:
    """A safetensors file in memory; tensors that share memory or are laid out channels-last are written plainly.

    The metadata are one JSON text under one key: safetensors writes several keys in an order of chance, and the same
    weights must give the same file.
    """
    plain = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    return safetensors.torch.save(plain, {_METADATA: json.dumps(metadata, sort_keys=True)})


def deserialize(content: bytes) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the metadata of a safetensors file in memory."""
    state = safetensors.torch.load(content)
    header = int.from_bytes(content[:8], "little")
    return state, json.loads(json.loads(content[8 : 8 + header])["__metadata__"][_METADATA])


def _content(member: int, epoch: int, snapshot: Snapshot) -> bytes:
    return serialize(snapshot.state, {"member": member, "epoch": epoch, "parameters": snapshot.parameters})


def _verified(path: Place, recorded: str | None) -> bytes:
    content = path.read_bytes() if path.is_file() else None
    found = None if content is None else hashlib.sha256(content).hexdigest()
    _compare(path, found, recorded)
    return content


def _verify(path: Place, recorded: str | None) -> None:
    """`_verified` for files that may be too large for memory."""
    _compare(path, sha256(path) if path.is_file() else None, recorded)


def _compare(path: Place, found: str | None, recorded: str | None) -> None:
    if found is None:
        raise DamagedFileError(path, "it is missing")
    if recorded is None:
        raise DamagedFileError(path, "no SHA-256 was recorded for it")
    if found != recorded:
        raise DamagedFileError(path, "its SHA-256 is not the recorded one")


def _ledger(run: Run, member: int) -> dict[str, str]:
    path = run.ledger(member)
    if not path.is_file():
        return {}
    pairs = (line.split() for line in path.read_text(errors="replace").splitlines())
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}
