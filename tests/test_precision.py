"""With what numbers is computed: the recipe says so, not PyTorch's defaults, which are left as they were."""

import pytest
import torch

from conftest import files, trained
from modescope.recipe import load
from modescope.training.precision import computing


def settings():
    cudnn = torch.backends.cudnn
    return (
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        cudnn.allow_tf32,
        cudnn.deterministic,
        cudnn.benchmark,
    )


@pytest.mark.parametrize(
    ("precision", "inside"),
    [
        ("float32", (3, "highest", False, True, False)),
        ("tf32", (3, "high", True, True, False)),
        ("bfloat16", (3, "highest", False, True, False)),
    ],
)
def test_on_a_gpu_only_tf32_rounds_to_tf32(precision, inside):
    recipe = load("digits", [f"training.precision={precision}", "training.threads_per_member=3"])
    before = settings()
    with computing(recipe.training, torch.device("cuda")):
        assert settings() == inside
    assert settings() == before
    with pytest.raises(ZeroDivisionError), computing(recipe.training, torch.device("cuda")):
        _ = 1 / 0
    assert settings() == before


def test_on_the_cpu_nothing_but_the_threads_is_touched():
    before = settings()
    with computing(load("digits", ["training.threads_per_member=3"]).training, torch.device("cpu")):
        assert settings() == (3, *before[1:])
    assert settings() == before


def test_on_the_cpu_tf32_is_float32(tmp_path):
    plain, tf32 = (
        trained(tmp_path / name, f"training.precision={name}", "ensemble.members=1")[0] for name in ("float32", "tf32")
    )
    assert files(plain) == files(tf32)
