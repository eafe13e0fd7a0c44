"""With what numbers a recipe computes, and with how many threads."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from modescope.data import DataSet
from modescope.data.tensors import TensorData, in_memory
from modescope.recipe import Recipe
from modescope.settings import TrainingSettings

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "tf32": torch.float32,  # what a GPU multiplies is rounded to 10 bits on the way
    "bfloat16": torch.float32,  # so are the weights; autocast chooses what is computed in bfloat16
}


def data_for_training(recipe: Recipe, data: DataSet, device: torch.device) -> TensorData:
    """The data in the memory of the device that will train on them, to become numbers of the recipe's precision."""
    return in_memory(data, recipe.data, dtype=DTYPES[recipe.training.precision], device=device)


@contextmanager
def computing(settings: TrainingSettings, device: torch.device) -> Iterator[None]:
    """Compute as the recipe says: its CPU threads, and on a GPU its precision and the same bits each time.

    PyTorch by itself lets convolutions on a GPU round to TF32; here they do so only if the recipe's precision is
    `tf32`. Its settings are restored after.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads_per_member)
    try:
        with _on_gpu(tf32=settings.precision == "tf32") if device.type == "cuda" else nullcontext():
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _on_gpu(*, tf32: bool) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        # an algorithm chosen by measurement, or that adds up in an order of chance, could not be resumed bitwise
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
