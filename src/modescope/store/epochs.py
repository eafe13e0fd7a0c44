"""One finished epoch of one member: four files in an order that survives a kill at any moment, and what is missing.

Snapshot, predictions, history line, and last the resume file. An epoch whose resume file is not there is trained
again, to the same bits; an epoch is never believed finished before everything of it is on disk.
"""

from dataclasses import dataclass

import numpy as np

from modescope.errors import DamagedFileError, RepeatedOtherwiseError
from modescope.store.history import add_to_history, read_history
from modescope.store.predictions import check_predictions, write_predictions
from modescope.store.resume import ResumeState, read_resume, write_resume
from modescope.store.run import Run
from modescope.store.snapshots import Snapshot, check_snapshots, digest, recorded_digest, write_snapshot
from modescope.types import EpochRecord


@dataclass(frozen=True)
class Progress:
    """How far one member is."""

    finished: int  # the newest epoch that it can go on from; -1 if it must begin at the beginning
    missing: frozenset[int]  # epochs that are not, or not wholly, on disk
    snapshots: frozenset[int]  # those of which the snapshot is missing or damaged
    predictions: frozenset[int]  # those of which the predictions are
    damaged: tuple[DamagedFileError, ...]  # files of finished epochs that are not what was written


def check_member(run: Run, member: int) -> Progress:
    """Look at every file of a member."""
    resume = read_resume(run, member)
    finished = resume.epoch if resume else -1
    history = read_history(run, member)
    snapshots = check_snapshots(run, member, run.snapshot_epochs)
    damaged_predictions = check_predictions(run, member, run.epochs)
    unrecorded = {epoch for epoch in run.epochs if epoch not in history}
    predictions = frozenset(damaged_predictions) | unrecorded  # those of no recorded epoch may be another member's
    missing = frozenset(snapshots) | predictions
    wrong = [*snapshots.items(), *damaged_predictions.items()]
    if resume is None and history:  # it was begun, and all of it must be trained again to get here
        wrong.append((0, DamagedFileError(run.resume(member), "it is missing or its SHA-256 does not fit")))
    known = max([finished, *history])  # what lies beyond was never finished, so it is not damaged
    damaged = tuple(error for epoch, error in wrong if epoch <= known)
    if resume is None:
        missing |= {run.epochs[-1]}  # so that it is made anew
    return Progress(finished, missing, frozenset(snapshots), predictions, damaged)


def check_repeated(run: Run, member: int, epoch: int, snapshot: Snapshot) -> None:
    """Refuse to mix two networks: a member that was trained again must pass through the states that were recorded.

    Raises:
        RepeatedOtherwiseError: The state is not the one whose SHA-256 is recorded.
    """
    recorded = recorded_digest(run, member, epoch)
    if recorded is not None and recorded != digest(member, epoch, snapshot):
        raise RepeatedOtherwiseError(run.snapshot(member, epoch), run.member(member))


def record_epoch(
    run: Run,
    member: int,
    record: EpochRecord,
    *,
    snapshot: Snapshot | None,
    log_prob: np.ndarray | None,
    resume: ResumeState | None,
) -> None:
    """Put one epoch on disk.

    Args:
        run: The run.
        member: The member.
        record: Its history line.
        snapshot: Its weights, or None if they are there or the recipe does not keep this epoch's.
        log_prob: Its test predictions (example, class), in nat, or None if they are there.
        resume: What to go on from, or None if the file there is of a later epoch.

    Raises:
        DiskFullError: There is no room for it; the epoch counts as not finished.
    """
    if snapshot is not None:
        write_snapshot(run, member, record.epoch, snapshot)
    if log_prob is not None:
        write_predictions(run, member, record.epoch, log_prob)
    add_to_history(run, member, record)
    if resume is not None:
        write_resume(run, member, resume)
