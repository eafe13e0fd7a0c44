"""Half-finished grids: what an analysis that takes long has computed so far, so that it can go on after a stop."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError

from modescope.files import write_bytes
from modescope.store.run import Run
from modescope.store.snapshots import deserialize, serialize


class PartialGrid:
    """Values on a grid, and a mask that says which of them are done.

    Args:
        run: The run.
        name: The analysis's name.
        key: Everything that the values depend on, as text; a file made with another one is not used.
        names: What is computed at each point.
        shape: Of the grid.
    """

    def __init__(self, run: Run, name: str, *, key: str, names: tuple[str, ...], shape: tuple[int, ...]) -> None:
        self._path = run.partial(name)
        self._key = key
        self.values: dict[str, Float[np.ndarray, ...]] = {each: np.full(shape, np.nan) for each in names}
        self.done: Bool[np.ndarray, ...] = np.zeros(shape, dtype=bool)
        self._read()

    def save(self) -> None:
        """Put everything so far on disk.

        Raises:
            DiskFullError: There is no room for it.
        """
        tensors = {f"value.{name}": torch.from_numpy(values) for name, values in self.values.items()}
        write_bytes(self._path, serialize({**tensors, "done": torch.from_numpy(self.done)}, {"key": self._key}))

    def _read(self) -> None:
        if not self._path.is_file():
            return
        try:
            tensors, metadata = deserialize(self._path.read_bytes())
        except (SafetensorError, ValueError, KeyError):
            return  # half a file of another tool, or damage: it is computed again
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        wanted = {**{f"value.{name}": self.done.shape for name in self.values}, "done": self.done.shape}
        if metadata.get("key") != self._key or shapes != wanted:
            return
        self.done = tensors["done"].numpy()
        self.values = {name: tensors[f"value.{name}"].numpy() for name in self.values}


def forget_partial(run: Run, name: str) -> None:
    """Remove what was computed piece by piece: the Dataset made of it is on disk."""
    run.partial(name).unlink(missing_ok=True)
