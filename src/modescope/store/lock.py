"""One command at a time trains a run.

The operating system holds the lock for the process and lets go of it when the process ends, however it ends: a lock
that a killed command left is no lock. A file beside it says who holds it.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from modescope.errors import RunError
from modescope.files import write_text
from modescope.store.run import Run


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold a run, so that no other command trains it; its folder is made if need be.

    Raises:
        RunError: Another process holds it; the message names its host and number.
        DiskFullError: There is no room to say who holds it.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run.lock, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{run.path} is being trained by another command ({_holder(run)}). Wait until it ends, or stop it; what it "
            "has finished stays."
        ) from None
    try:
        write_text(run.lock_holder, json.dumps({"host": socket.gethostname(), "process": os.getpid()}) + "\n")
        yield
        run.lock_holder.unlink(missing_ok=True)
    finally:
        lock.release()


def _holder(run: Run) -> str:
    try:
        told = json.loads(run.lock_holder.read_text())
        return f"process {told['process']} on {told['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said which"
