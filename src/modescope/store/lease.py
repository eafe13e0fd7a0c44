"""A lock at an address where no operating system holds one for a process: a file that its holder keeps renewing.

Whoever finds it watches it: if it is renewed, the holder lives; if it is not for a while, the holder is dead and the
lease is taken over. Nobody's clock is compared with another's.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from secrets import token_hex

import psutil
from upath import UPath

from modescope import remote
from modescope.errors import RunError
from modescope.types import Place

_RENEWED = 5.0  # seconds between two signs of life
_DEAD = 20.0  # seconds without one after which the holder is taken for dead
_SETTLED = 1.0  # seconds after which, of several that took it over, only the last stands in the file


@dataclass(frozen=True)
class Holder:
    """Who holds a run."""

    host: str
    process: int
    token: str = field(default_factory=token_hex)  # no two holders have the same
    renewed: int = 0  # how many times

    @classmethod
    def here(cls) -> "Holder":
        """This process."""
        return cls(socket.gethostname(), os.getpid())


@contextmanager
def leased(file: UPath, refusal: Callable[[Holder | None], RunError]) -> Iterator[None]:
    """Hold a lease.

    Args:
        file: Where it stands.
        refusal: Makes the error out of who holds it.

    Raises:
        RunError: Somebody who lives holds it.
    """
    ours = Holder.here()
    if not remote.create(file, _content(ours)):
        theirs = read_holder(file)
        if not _is_dead(file, theirs):
            raise refusal(theirs)
        file.fs.pipe_file(file.path, _content(ours))
        time.sleep(_SETTLED)
        now = read_holder(file)
        if now is None or now.token != ours.token:
            raise refusal(now)
    ended = threading.Event()
    thread = threading.Thread(target=_keep, args=(file, ours, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if (holder := read_holder(file)) is not None and holder.token == ours.token:
            file.fs.rm_file(file.path)


def is_renewed(file: UPath, holder: Holder) -> bool:
    """Whether the holder that stands in a lease lives; if nobody renews it, that takes as long as a take-over."""
    return not _is_dead(file, holder)


def read_holder(file: Place) -> Holder | None:
    """Who stands in a lease or beside a lock; None if nobody does, or nobody readable."""
    try:
        return Holder(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _keep(file: UPath, ours: Holder, ended: threading.Event) -> None:
    """Renew it until the end; not over another, who has found us silent for too long."""
    times = 0
    while not ended.wait(_RENEWED):
        times += 1
        try:
            now = read_holder(file)
            if now is None or now.token != ours.token:
                return
            file.fs.pipe_file(file.path, _content(replace(ours, renewed=times)))
        except Exception:  # the network may be away for a moment; the next renewal may come through
            continue


def _is_dead(file: UPath, holder: Holder | None) -> bool:
    if holder is not None and holder.host == socket.gethostname() and not psutil.pid_exists(holder.process):
        return True
    until = time.monotonic() + _DEAD
    while time.monotonic() < until:
        time.sleep(_RENEWED / 5)
        if read_holder(file) != holder:
            return False
    return True


def _content(holder: Holder) -> bytes:
    return (json.dumps(asdict(holder)) + "\n").encode()
