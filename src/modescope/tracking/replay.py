"""Telling a tracker what a run holds: each epoch, matrix, figure and number once."""

from itertools import accumulate

from modescope.store.history import read_history
from modescope.store.lock import locked
from modescope.store.run import Run
from modescope.tracking import SINKS
from modescope.tracking.gather import changed, digests, gather_ensemble, member_confusion
from modescope.tracking.ledger import open_ledger
from modescope.types import EpochRecord


class Replay:
    """One tracker that is told of one run."""

    def __init__(self, run: Run, tracker: str) -> None:
        """Take a run and a tracker that `check_trackers` has passed."""
        kind = SINKS[tracker]
        self._run = run
        self._ledger = open_ledger(run, tracker, kind.destination(run.path))
        self._sink = kind(run, self._ledger)
        self._open: set[int] = set()
        self._at: dict[int, float] = {}  # when the newest epoch of an open member ended

    def epoch(self, member: int, record: EpochRecord) -> None:
        """Send an epoch that is on disk; with a member's first one also those before it that were never sent."""
        if record.epoch in self._ledger.epochs.get(member, ()):
            return
        if member not in self._open:
            self.member(member)
            return
        self._at[member] += record.seconds
        self._send(member, record)
        self._finish(member)

    def member(self, member: int) -> None:
        """Send what is new of one member."""
        records = [record for _, record in sorted(read_history(self._run, member).items())]
        began = self._ledger.begun
        ended = [began + seconds for seconds in accumulate(record.seconds for record in records)]
        sent = self._ledger.epochs.setdefault(member, set())
        for record, at in zip(records, ended, strict=True):
            self._at[member] = at
            if record.epoch not in sent:
                self._send(member, record)
        self._finish(member)

    def members(self) -> None:
        """Send what is new of all members."""
        for member in self._run.members:
            self.member(member)

    def ensemble(self) -> None:
        """Send what is new of the analyses, figures and the page, once there are any."""
        found = gather_ensemble(self._run)
        if not found.figures and not found.numbers and not found.sizes:
            return
        parts = digests(found)
        new = {part for part, digest in parts.items() if self._ledger.ensemble.get(part) != digest}
        if new:
            self._sink.log_ensemble(changed(found, new))
            self._ledger.ensemble |= parts
            self._ledger.save()

    def save(self) -> None:
        """Put on disk what has been sent."""
        self._ledger.save()

    def close(self) -> None:
        """Let go of the tracker."""
        self._sink.close()
        self._ledger.save()

    def _send(self, member: int, record: EpochRecord) -> None:
        self._opened(member)
        self._sink.log_epoch(member, record, self._at[member])
        self._ledger.epochs.setdefault(member, set()).add(record.epoch)

    def _opened(self, member: int) -> None:
        if member not in self._open:
            self._sink.open_member(member)
            self._open.add(member)

    def _finish(self, member: int) -> None:
        """Send the confusion of a member that has all its epochs, and close it."""
        if self._ledger.epochs[member] < set(self._run.epochs):
            return
        last = self._run.epochs[-1]
        if self._ledger.confusion.get(member) != last:
            self._opened(member)
            self._sink.log_confusion(member, member_confusion(self._run, member), self._at[member])
            self._ledger.confusion[member] = last
        if member in self._open:
            self._sink.close_member(member)
            self._open.remove(member)
            self._ledger.save()


def send(run: Run, tracker: str) -> None:
    """Send all that a tracker has not got yet. Sending twice adds nothing.

    Args:
        run: The run, which no other command trains.
        tracker: A name that `check_trackers` has passed.

    Raises:
        RunError: Another command trains the run.
        DamagedFileError: Predictions of a finished member cannot be read.
    """
    with locked(run):
        replay = Replay(run, tracker)
        try:
            replay.members()
            replay.ensemble()
        finally:
            replay.close()
