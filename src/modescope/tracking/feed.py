"""Telling trackers while members train: a queue and a thread each, so that none can stop or slow the training."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue

from modescope.errors import WorkError
from modescope.store.run import Run
from modescope.tracking.replay import Replay, send
from modescope.types import EpochRecord, OnEpoch

_ENDING_SECONDS = 30.0  # that a tracker gets at the end of a training to take the rest
_INTERRUPTED_SECONDS = 5.0  # the same, for a person who has pressed Ctrl-C


@dataclass
class Trackers:
    """The trackers that one command tells of a run. One that fails is told of once, and gets nothing more."""

    names: Sequence[str]
    tell: Callable[[str], None]
    failed: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def following(self, run: Run) -> Iterator[OnEpoch]:
        """Follow a training.

        Yields:
            What is to be called with each epoch that is on disk; it returns at once.
        """
        feeds = [_Feed(name, run, self._drop) for name in self.names if name not in self.failed]

        def on_epoch(member: int, record: EpochRecord) -> None:
            for feed in feeds:
                feed.put(member, record)

        seconds = _INTERRUPTED_SECONDS
        try:
            yield on_epoch
            seconds = _ENDING_SECONDS
        except Exception:  # some members failed, and the others are to be told of
            seconds = _ENDING_SECONDS
            raise
        finally:
            for feed in feeds:
                feed.end()
            deadline = time.monotonic() + seconds
            for feed in feeds:
                feed.wait(deadline)

    def send(self, run: Run) -> None:
        """Send all that is on disk and was not sent yet."""
        for name in self.names:
            if name not in self.failed:
                try:
                    send(run, name)
                except Exception as error:  # a tracker raises what it likes
                    self._drop(name, run, _reason(error))

    def raise_failed(self) -> None:
        """Turn what was told of into an error, for a command that does nothing but send.

        Raises:
            WorkError: A tracker failed.
        """
        if self.failed:
            raise WorkError(f"Not everything was sent to {' and '.join(self.failed)}; the same command goes on.")

    def _drop(self, name: str, run: Run, reason: str) -> None:
        if name not in self.failed:
            self.failed[name] = reason
            self.tell(
                f"{name} {reason} and gets nothing more now; `modescope sync {run.path} --track {name}` sends it later."
            )


class _Feed:
    """The queue and the thread of one tracker."""

    def __init__(self, name: str, run: Run, drop: Callable[[str, Run, str], None]) -> None:
        self._name = name
        self._run = run
        self._drop = drop
        self._queue: SimpleQueue[tuple[int, EpochRecord] | None] = SimpleQueue()
        self._over = False
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"modescope {name}")
        self._thread.start()

    def put(self, member: int, record: EpochRecord) -> None:
        """Hand over an epoch."""
        if not self._over:
            self._queue.put((member, record))

    def end(self) -> None:
        """Nothing more will come."""
        self._queue.put(None)

    def wait(self, deadline: float) -> None:
        """Wait until the tracker has all, but no longer than that time of the monotonic clock."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._drop(self._name, self._run, "has not taken everything in time")

    def _work(self) -> None:
        try:
            replay = Replay(self._run, self._name)
            try:
                while (told := self._queue.get()) is not None:
                    replay.epoch(*told)
                    if self._queue.empty():
                        replay.save()
                replay.members()
            finally:
                replay.close()
        except Exception as error:  # a tracker raises what it likes
            self._drop(self._name, self._run, _reason(error))
        finally:
            self._over = True


def _reason(error: Exception) -> str:
    return f"failed ({type(error).__name__}: {str(error).rstrip('.')})"
