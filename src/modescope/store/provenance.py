"""How a run was made: versions, machine, data, engine, and the seconds of each stage."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from modescope.data import DataSet
from modescope.errors import RunError
from modescope.files import write_text
from modescope.store.run import Run

PACKAGES = ("modescope", "torch", "numpy", "scipy", "scikit-learn", "xarray", "zarr", "safetensors", "matplotlib")


def read_provenance(run: Run) -> dict[str, Any]:
    """What is recorded; empty if nothing is, or nothing readable."""
    try:
        return json.loads(run.provenance.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def record_provenance(run: Run, **facts: object) -> None:
    """Lay new facts over what is recorded; a fact that is a dictionary is laid over the old dictionary key by key.

    Raises:
        DiskFullError: There is no room for it.
    """
    recorded = read_provenance(run)
    for name, fact in facts.items():
        recorded[name] = {**recorded.get(name, {}), **fact} if isinstance(fact, dict) else fact
    write_text(run.provenance, json.dumps(recorded, indent=2) + "\n")


def add_seconds(run: Run, stage: str, seconds: float) -> None:
    """Add to the seconds that a stage has taken over all commands."""
    before = read_provenance(run).get("seconds", {}).get(stage, 0.0)
    record_provenance(run, seconds={stage: round(before + seconds, 3)})


def check_data(run: Run, data: DataSet) -> None:
    """Refuse data other than those that the run was begun with.

    Raises:
        RunError: They are others, so that the members would not be comparable.
    """
    before = read_provenance(run).get("data", {}).get("sha256")
    source = run.recipe.data.source
    if before is not None and before != data.fingerprint:
        raise RunError(
            f"{run.path} was made from other data: their SHA-256 was {before[:12]}..., that of {source} is now "
            f"{data.fingerprint[:12]}.... Name another folder with -o, or restore the data."
        )


def record_data(run: Run, data: DataSet) -> None:
    """Record the recipe and the data of a run."""
    described = {
        "source": run.recipe.data.source,
        "sha256": data.fingerprint,
        "train_examples": len(data.train),
        "test_examples": len(data.test),
        "input_shape": list(data.input_shape),
        "classes": len(data.class_names),
    }
    record_provenance(run, recipe=run.recipe.name, recipe_sha256=run.recipe.sha256(), data=described)


def record_making(run: Run, *, engine: str, workers: int | None, device: torch.device) -> None:
    """Record who trains the run, where, and with what; what earlier commands recorded stays under `earlier`."""
    before = read_provenance(run)
    made = {
        "engine": engine,
        "workers": workers,
        "device": _device(device),
        "machine": {"system": platform.platform(), "processor": processor(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    earlier = before.get("earlier", [])
    if "made" in before:
        earlier = [*earlier, {name: before.get(name) for name in made}]
    record_provenance(run, **made, earlier=earlier)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _device(device: torch.device) -> str:
    here = device.type == "cuda" and torch.cuda.is_available()  # a cluster may have what this machine has not
    return torch.cuda.get_device_name(device) if here else device.type


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
