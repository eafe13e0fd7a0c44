"""The connection to Ray: a cluster that is there, or a local one that starts and stops with the training."""

import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import joblib
import ray

from modescope.errors import RequestError

_ANSWER_SECONDS = 10.0
_STORE_BYTES = 128 * 2**20  # beside the data, for what tasks tell

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no network access that the recipe does not name
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # tasks without a GPU leave CUDA_VISIBLE_DEVICES alone
}


@contextmanager
def connected(address: str | None, *, cpus: int | None, shared_bytes: int) -> Iterator[None]:
    """Be connected to Ray for as long as it is needed.

    Args:
        address: HOST:PORT of a cluster's head, `auto`, or None for a local Ray of this machine's own. A connection that
            the calling program has made already is used and left open.
        cpus: How many CPUs a local Ray hands out; None for the machine's cores.
        shared_bytes: How much the tasks share.

    Raises:
        RequestError: No cluster answers there, or none that fits this Python and Ray.
    """
    if ray.is_initialized():
        yield
        return
    if address is not None and address.startswith("ray://"):
        raise RequestError(
            f"--ray-address {address} is a Ray Client's. Give the command on a node of the cluster (or with `ray job "
            "submit`), with --ray-address auto or HOST:PORT."
        )
    with _environment(_QUIET):
        common = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address is None:
                memory = _STORE_BYTES + 2 * shared_bytes
                cores = cpus or joblib.cpu_count()
                ray.init("local", num_cpus=cores, include_dashboard=False, object_store_memory=memory, **common)
            else:
                _knock(address)
                ray.init(address, **common)
        except (OSError, RuntimeError, ValueError) as error:
            told = " ".join(str(error).split())
            where = "Ray does not start here" if address is None else f"No Ray cluster could be joined at {address}"
            raise RequestError(f"{where}: {told}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Fail soon where nobody listens: Ray itself would try for many minutes."""
    host, colon, port = address.rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()


def check_room(*, cpus: int, memory: int, gpu: bool) -> None:
    """Refuse tasks that no node of the cluster has room for: Ray would wait for ever.

    Args:
        cpus: What a task takes.
        memory: Likewise, in bytes.
        gpu: Whether it needs one.

    Raises:
        RequestError: No node that is alive has as much.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if gpu and not any(node.get("GPU", 0) for node in nodes):
        raise RequestError("--device cuda was asked for, but no node of the Ray cluster has a GPU. Use --device cpu.")
    if not any(node.get("CPU", 0) >= cpus and node.get("memory", math.inf) >= memory for node in nodes):
        most = max((node.get("CPU", 0) for node in nodes), default=0)
        free = max((node.get("memory", 0) for node in nodes), default=0)
        raise RequestError(
            f"No node of the Ray cluster has room for a member: it takes {cpus} CPUs (training.threads_per_member) and "
            f"{memory / 2**30:.1f} GiB; the largest have {most:g} CPUs and {free / 2**30:.1f} GiB."
        )


def gpus() -> int:
    """How many GPUs the cluster has."""
    return int(ray.cluster_resources().get("GPU", 0))


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for as long as they are needed; those that the user has set stand."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in values.items() if name not in before})
    try:
        yield
    finally:
        for name in values:
            if name not in before:
                os.environ.pop(name, None)
