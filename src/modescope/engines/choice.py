"""Which engines there are, which one is taken, with how many workers, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import joblib
import psutil
import torch

from modescope.engines.job import Engine, Job
from modescope.engines.processes import train_in_processes
from modescope.engines.sequential import train_sequentially
from modescope.engines.stacked import train_stacked
from modescope.errors import RequestError
from modescope.types import OnEpoch


def _train_on_ray(job: Job, on_epoch: OnEpoch) -> Mapping[int, BaseException]:
    from modescope.engines.ray import train_on_ray  # Ray is an extra, and takes long to import

    return train_on_ray(job, on_epoch)


ENGINES: dict[str, Engine] = {
    "sequential": train_sequentially,
    "processes": train_in_processes,
    "stacked": train_stacked,
    "ray": _train_on_ray,
}
_ONE_PROCESS = ("sequential", "stacked")


@dataclass(frozen=True)
class Asked:
    """How a person wants the members trained; what is None is for us to choose."""

    engine: str = "auto"
    device: str = "auto"  # auto, cpu or cuda
    workers: int | None = None  # processes, or tasks of Ray, that train side by side
    block_size: int | None = None  # the most members that are stacked into one program
    ray_address: str | None = None  # of a Ray cluster's head


@dataclass(frozen=True)
class Choice:
    """An engine, and the reason for it as half a sentence."""

    engine: str
    workers: int | None  # None: as many tasks as a cluster has room for
    why: str


def check_request(asked: Asked) -> None:
    """Refuse engines that are not there, and settings that the engine does not have or that make no sense.

    Raises:
        RequestError: One of these.
    """
    engine, workers = asked.engine, asked.workers
    if engine not in ("auto", *ENGINES):
        raise RequestError(f"There is no engine {engine!r}. There are auto, {', '.join(ENGINES)}.")
    if workers is not None and workers < 1:
        raise RequestError(f"--workers {workers} is too few: at least one process has to train.")
    if workers is not None and engine in _ONE_PROCESS and workers > 1:
        raise RequestError(f"--workers {workers} needs --engine processes: the {engine} engine has one process.")
    if asked.block_size is not None and engine not in ("stacked", "ray"):
        raise RequestError(
            f"--block-size {asked.block_size} needs --engine stacked or ray: {engine} stacks no members."
        )
    if asked.block_size is not None and asked.block_size < 1:
        raise RequestError(f"--block-size {asked.block_size} is too few: a block has at least one member.")
    if asked.ray_address is not None and engine != "ray":
        raise RequestError(f"--ray-address {asked.ray_address} needs --engine ray, not {engine}.")
    if engine == "ray" and find_spec("ray") is None:
        raise RequestError("--engine ray needs Ray, which is not installed: pip install 'modescope[ray]'.")


def choose(asked: Asked, *, device: torch.device, members: int, threads: int, member_bytes: int) -> Choice:
    """The engine that was asked for, or the one that suits the machine.

    Args:
        asked: What was asked for.
        device: Where the members are trained.
        members: How many there are to train.
        threads: CPU threads that each computes with.
        member_bytes: What training one member takes, about (see `training_bytes`).

    Returns:
        The engine, how many workers it gets, and why.
    """
    engine, workers = asked.engine, asked.workers
    if workers is not None and engine == "auto":
        engine = "processes" if workers > 1 else "sequential"
    if engine in _ONE_PROCESS:
        return Choice(engine, 1, "as asked")
    if engine == "ray":
        where = f"the cluster at {asked.ray_address}" if asked.ray_address else "this machine"
        return Choice(engine, workers, f"on {where}")
    if engine == "processes" and workers is not None:
        return Choice(engine, workers, "as asked")
    if engine == "auto" and device.type == "cuda":
        return Choice("stacked" if members > 1 else "sequential", 1, f"{_counted(members, 'member')} on a GPU")
    fitting, why = _fitting(members, threads, member_bytes)
    if engine == "processes" or fitting > 1:
        return Choice("processes", fitting, why)
    return Choice("sequential", 1, why)


def _fitting(members: int, threads: int, member_bytes: int) -> tuple[int, str]:
    """How many processes are worth it here, at least one, and what limits them."""
    cores, free = joblib.cpu_count(), psutil.virtual_memory().available
    limits = {
        f"{_counted(members, 'member')} to train": members,
        f"{_counted(cores, 'core')}, {_counted(threads, 'thread')} a member": cores // threads,
        f"{free / 2**30:.1f} GiB of free memory, {member_bytes / 2**30:.1f} GiB a member": free // member_bytes,
    }
    why = min(limits, key=limits.__getitem__)
    return max(limits[why], 1), why


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' if count != 1 else ''}"
