"""Which engines there are, which one is taken, with how many workers, and why."""

from dataclasses import dataclass

import joblib
import psutil
import torch

from modescope.engines.job import Engine
from modescope.engines.processes import train_in_processes
from modescope.engines.sequential import train_sequentially
from modescope.engines.stacked import train_stacked
from modescope.errors import RequestError

ENGINES: dict[str, Engine] = {
    "sequential": train_sequentially,
    "processes": train_in_processes,
    "stacked": train_stacked,
}


@dataclass(frozen=True)
class Choice:
    """An engine, and the reason for it as half a sentence."""

    engine: str
    workers: int
    why: str


def check_request(engine: str, workers: int | None) -> None:
    """Refuse engines that are not there and numbers of workers that make no sense.

    Raises:
        RequestError: The engine is unknown, or has no workers, or there are too few.
    """
    if engine not in ("auto", *ENGINES):
        raise RequestError(f"There is no engine {engine!r}. There are auto and {', '.join(ENGINES)}.")
    if workers is not None and workers < 1:
        raise RequestError(f"--workers {workers} is too few: at least one process has to train.")
    if workers is not None and engine in ("sequential", "stacked") and workers > 1:
        raise RequestError(f"--workers {workers} needs --engine processes: the {engine} engine has one process.")


def choose(
    engine: str, workers: int | None, *, device: torch.device, members: int, threads: int, member_bytes: int
) -> Choice:
    """The engine that was asked for, or the one that suits the machine.

    Args:
        engine: `auto`, or an engine's name.
        workers: How many processes were asked for, or None.
        device: Where the members are trained.
        members: How many there are to train.
        threads: CPU threads that each computes with.
        member_bytes: What training one member takes, about (see `training_bytes`).

    Returns:
        The engine, how many workers it gets, and why.
    """
    if workers is not None and engine == "auto":
        engine = "processes" if workers > 1 else "sequential"
    if engine in ("sequential", "stacked"):
        return Choice(engine, 1, "as asked")
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
