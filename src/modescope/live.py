"""A run while it is being trained: how far it is, who trains it, and the page of what is there so far."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import sleep

import psutil
import torch
import xarray as xr

from modescope import analyses
from modescope.errors import DamagedFileError, DataError, NotApplicableError, RunError
from modescope.figures import draw
from modescope.figures.style import encode
from modescope.files import write_text
from modescope.report.page import page
from modescope.store.history import read_history
from modescope.store.lease import Holder, read_holder
from modescope.store.run import Run
from modescope.types import EpochRecord

_RECENT = 5  # epochs from which the pace is estimated


@dataclass(frozen=True)
class Standing:
    """How far one member is, from its history alone: nothing that is just being written is read."""

    newest: int  # the newest epoch up to which all are recorded; -1 before the first
    record: EpochRecord | None
    seconds: float  # of one epoch, the mean of the recent ones; NaN before the first


@dataclass(frozen=True)
class Pace:
    """How fast a run gets on, as far as its histories tell."""

    done: int  # member-epochs, initialisations not counted
    of: int
    a_minute: float  # member-epochs; 0 where nobody is at work
    seconds_left: float  # infinite where nobody is at work


def standings(run: Run) -> list[Standing]:
    """How far each member is."""
    return [_standing(run, member) for member in run.members]


def _standing(run: Run, member: int) -> Standing:
    history = read_history(run, member)
    newest = -1
    while newest + 1 in history:
        newest += 1
    recent = [history[epoch].seconds for epoch in range(max(1, newest + 1 - _RECENT), newest + 1)]
    seconds = sum(recent) / len(recent) if recent else float("nan")
    return Standing(newest, history.get(newest), seconds)


def pace(run: Run, found: Sequence[Standing]) -> Pace:
    """The pace of those members that are in the middle of their training.

    Each of them finishes an epoch in the seconds that its recent ones took; together, so many a minute.
    """
    epochs = run.epochs[-1]
    done = sum(max(standing.newest, 0) for standing in found)
    at_work = [standing.seconds for standing in found if 0 < standing.newest < epochs]
    a_second = sum((1 / seconds for seconds in at_work if seconds > 0), 0.0)
    left = len(found) * epochs - done
    return Pace(done, len(found) * epochs, 60 * a_second, left / a_second if a_second else float("inf"))


def trainer(run: Run) -> Holder | None:
    """Who trains the run; None if nobody does, or whoever did was killed on this machine."""
    if not run.lock_holder.is_file():
        return None
    holder = read_holder(run.lock_holder)
    if holder is not None and holder.host == socket.gethostname() and not psutil.pid_exists(holder.process):
        return None
    return holder


def view(run: Run, found: Sequence[Standing]) -> Run | None:
    """The largest run that is finished within this one: its first members up to an epoch that all of them have.

    A member does not depend on how many others there are, nor its first epochs on the later ones: that is exactly the
    shorter run.

    Args:
        run: A run that may be unfinished.
        found: How far its members are.

    Returns:
        The shorter run, which reads this one's files; None if there is no member's epoch yet.
    """
    best, area = None, 0
    newest = run.epochs[-1]
    for members, standing in enumerate(found, start=1):
        newest = min(newest, standing.newest)
        if members * (newest + 1) > area:
            best, area = (members, newest), members * (newest + 1)
    if best is None:
        return None
    members, newest = best
    recipe = run.recipe
    kept = tuple(epoch for epoch in run.snapshot_epochs if epoch <= newest)
    shorter = recipe.model_copy(
        update={
            "ensemble": recipe.ensemble.model_copy(update={"members": members}),
            "training": recipe.training.model_copy(update={"epochs": newest}),
            "snapshots": recipe.snapshots.model_copy(update={"epochs": kept}),
        }
    )
    return Run(run.path, shorter, part_of=recipe)


def watch(run: Run, every: float, tell: Callable[[str], None]) -> None:
    """Write the page anew as epochs arrive, until the run is finished or nobody trains it any more.

    Takes no lock, and writes nothing but the page.

    Args:
        run: The run.
        every: Seconds between two looks.
        tell: Called with what has been done.

    Raises:
        RunError: The run is not finished, and nobody trains it.
        DiskFullError: There is no room for the page.
    """
    shown: list[int] | None = None
    while True:
        busy = trainer(run)  # before looking: what it did before it ended is seen then
        found = standings(run)
        newest = [standing.newest for standing in found]
        finished = min(newest) == run.epochs[-1]
        if finished and any(run.analysis(name).is_dir() for name in analyses.OF_NETWORKS):
            tell(f"{run.path} is finished and analysed; its page is {run.report}")
            return
        if newest != shown and (write_page(run, found, live=not finished) or finished):
            at = pace(run, found)
            tell(f"{at.done} of {at.of} member-epochs{_left(at)}: {run.report} is written.")
        shown = newest
        if finished:
            tell(f"{run.path} is trained. `modescope run` or `modescope analyze` makes what is not on its page yet.")
            return
        if busy is None:
            raise RunError(
                f"{run.path} is not finished, and nobody trains it. The same `modescope train` command goes on with it."
            )
        sleep(every)


def write_page(run: Run, found: Sequence[Standing], *, live: bool) -> bool:
    """Write the page of what is finished so far; whether there was anything.

    Raises:
        DiskFullError: There is no room for it.
    """
    part = view(run, found)
    if part is None:
        return False
    results, left_out = _results(part)
    stills = {name: encode(draw(name, dataset), "png") for name, dataset in results.items()}
    at = pace(run, found)
    told = (
        f"This run is being trained: {at.done} of {at.of} member-epochs{_left(at)}. Everything here is of its first "
        f"{len(part.members)} members up to epoch {part.epochs[-1]}."
    )
    write_text(run.report, page(part, results, left_out, stills, told if live else None))
    return True


def _results(part: Run) -> tuple[dict[str, xr.Dataset], dict[str, str]]:
    """The analyses that need no more than what is on disk already, in memory alone."""
    results, left_out = {}, {}
    bench = analyses.Bench(part, torch.device("cpu"))
    for name in analyses.NAMES:
        if name in analyses.OF_NETWORKS:
            left_out[name] = "is made when the run is finished."
            continue
        try:
            results[name] = analyses.analyze(part, name, bench)
        except (NotApplicableError, DataError, DamagedFileError) as error:
            left_out[name] = str(error)
    return results, left_out


def _left(at: Pace) -> str:
    return f", about {duration(at.seconds_left)} left" if at.seconds_left < float("inf") and at.done < at.of else ""


def duration(seconds: float) -> str:
    """A length of time for a person."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
