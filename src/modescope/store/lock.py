"""One command at a time trains a run.

On this machine the operating system holds the lock for the process and lets go of it when the process ends, however it
ends: a lock that a killed command left is no lock. A file beside it says who holds it. At another address nobody can
hold a lock for a process; there it is a lease (see `lease`).
"""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from modescope.errors import RunError
from modescope.files import write_text
from modescope.store.lease import Holder, is_renewed, leased, read_holder
from modescope.store.run import Run


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold a run, so that no other command trains it; its folder is made if need be.

    Raises:
        RunError: Another process holds it; the message names its host and number.
        DiskFullError: There is no room to say who holds it.
    """
    if not isinstance(run.path, Path):
        with leased(run.lock_holder, _refusal(run)):
            yield
        return
    run.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run.lock, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise _refusal(run)(read_holder(run.lock_holder)) from None
    try:
        write_text(run.lock_holder, json.dumps(asdict(Holder.here())) + "\n")
        yield
        run.lock_holder.unlink(missing_ok=True)
    finally:
        lock.release()


def holder_of(run: Run) -> Holder | None:
    """Who holds a run now; None if nobody does, whatever a killed command left. Stands in no trainer's way."""
    holder = read_holder(run.lock_holder)
    if holder is None:
        return None
    if not isinstance(run.path, Path):
        return holder if is_renewed(run.lock_holder, holder) else None
    here = holder.host == socket.gethostname()
    return holder if (_has_open(holder.process, run.lock) if here else _is_locked(run.lock)) else None


def _has_open(process: int, lock: Path) -> bool:
    """Whether a process of this machine lives and has the lock open; numbers of dead ones are given to others."""
    try:
        return str(lock.resolve()) in {file.path for file in psutil.Process(process).open_files()}
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's; it lives
        return True


def _is_locked(lock: Path) -> bool:
    """Whether a process that cannot be seen from here, as in a container, holds the lock.

    Asks for a share of it, and gives that back at once.
    """
    try:
        import fcntl
    except ImportError:  # on Windows nobody can tell; the holder is believed
        return True
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _refusal(run: Run) -> Callable[[Holder | None], RunError]:
    def refuse(holder: Holder | None) -> RunError:
        who = f"process {holder.process} on {holder.host}" if holder else "it has not said which"
        return RunError(
            f"{run.path} is being trained by another command ({who}). Wait until it ends, or stop it; what it has "
            "finished stays."
        )

    return refuse
