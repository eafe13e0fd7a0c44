"""A run while it is being trained: how far it is, who trains it, and the page of what is there so far."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import xarray as xr

from modescope import analyses
from modescope.errors import DamagedFileError, DataError, NotApplicableError, RunError
from modescope.figures import draw
from modescope.figures.style import encode
from modescope.files import modified, write_text
from modescope.report.page import page
from modescope.store.history import read_history
from modescope.store.lock import holder_of
from modescope.store.provenance import read_provenance
from modescope.store.run import Run
from modescope.types import EpochRecord

_RECENT = 5  # epochs from which the pace is estimated
_SILENT = 3.0  # times as long as an epoch takes, after which a member is not taken to be at work
_SHORTEST_SILENCE = 15.0  # seconds
_BETWEEN = 5.0  # seconds for which a command that trains may hold no lock, between its preparations and its work
_RESTS = 2.0  # times as long as a page takes, for which no other is written


@dataclass(frozen=True)
class Standing:
    """How far one member is, from its history alone: nothing that is just being written is read."""

    newest: int  # the newest epoch up to which all are recorded; -1 before the first
    record: EpochRecord | None
    seconds: float  # of one epoch, the mean of the recent ones; NaN before the first
    written: float  # when its history was written last, in seconds since 1970; 0 if nobody knows


@dataclass(frozen=True)
class Pace:
    """How fast a run gets on, as far as its histories tell."""

    done: int  # member-epochs, initialisations not counted
    of: int
    a_minute: float  # member-epochs; 0 where nobody is at work
    examples_a_second: float  # of training data
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
    return Standing(newest, history.get(newest), seconds, modified(run.history(member)) if history else 0.0)


def pace(run: Run, found: Sequence[Standing], now: float | None = None) -> Pace:
    """The pace of those members that are being trained: in the middle of it, and heard of lately.

    Each of them finishes an epoch in the seconds that its recent ones took; together, so many a minute. The end is
    when all is done at this pace, but not before the slowest of them ends, who may have nobody beside it by then.
    Between two members, one that has just ended stands for the next.

    Args:
        run: The run.
        found: How far its members are.
        now: Seconds since 1970; the clock's if None.
    """
    epochs = run.epochs[-1]
    done = sum(max(standing.newest, 0) for standing in found)
    now = time.time() if now is None else now
    heard = [standing for standing in found if standing.newest > 0 and _is_heard(standing, now)]
    at_work = [standing for standing in heard if standing.newest < epochs]
    at_work = at_work or sorted(heard, key=lambda standing: standing.written)[-1:]
    a_second = sum((1 / standing.seconds for standing in at_work), 0.0)
    left = len(found) * epochs - done
    slowest = max(((epochs - standing.newest) * standing.seconds for standing in at_work), default=0.0)
    examples = read_provenance(run).get("data", {}).get("train_examples", 0)
    seconds_left = max(left / a_second, slowest) if a_second else float("inf")
    return Pace(done, len(found) * epochs, 60 * a_second, examples * a_second, seconds_left)


def _is_heard(standing: Standing, now: float) -> bool:
    if not standing.written:  # at an address that does not say
        return standing.seconds > 0
    return standing.seconds > 0 and now - standing.written < max(_SILENT * standing.seconds, _SHORTEST_SILENCE)


def view(run: Run, found: Sequence[Standing]) -> Run | None:
    """The largest run that is finished within this one: its first members up to an epoch that all of them have.

    A member does not depend on how many others there are, nor its first epochs on the later ones: unless the schedule
    looks at the number of epochs (cosine), that is exactly the shorter run.

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
    shown: tuple[list[int], bool] | None = None
    rested = 0.0
    while True:
        busy, found = _looked_at(run)
        newest = [standing.newest for standing in found]
        finished = min(newest) == run.epochs[-1]
        if finished and _is_analysed(run):
            tell(f"{run.path} is finished and analysed; its page is {run.report}")
            return
        if (newest, busy) != shown and (not busy or time.monotonic() >= rested):
            started, at = time.monotonic(), pace(run, found)
            if write_page(run, found, finished=finished, busy=busy):
                tell(f"{at.done} of {at.of} member-epochs{_left(at) if busy else ''}: {run.report} is written.")
            rested = time.monotonic() + _RESTS * (time.monotonic() - started)  # training needs the machine more
            shown = newest, busy
        if finished:
            tell(f"{run.path} is trained. `modescope run` or `modescope analyze` makes what is not on its page yet.")
            return
        if not busy:
            raise RunError(
                f"{run.path} is not finished, and nobody trains it. The same `modescope train` command goes on with it."
            )
        time.sleep(every)


def _looked_at(run: Run) -> tuple[bool, list[Standing]]:
    """Whether somebody trains the run, and how far its members are; of a finished run nobody needs to know the first.

    A run whose lock is not held is looked at once more a little later, and its members last: so nothing is missed of
    what was done before the end.
    """
    found = standings(run)
    if min(standing.newest for standing in found) == run.epochs[-1]:
        return False, found
    busy = holder_of(run) is not None
    if not busy:
        time.sleep(_BETWEEN)
        busy = holder_of(run) is not None
    return busy, standings(run)


def _is_analysed(run: Run) -> bool:
    """Whether a page of all analyses is there, or is being made by whoever makes them."""
    return run.report.is_file() and any(run.analysis(name).is_dir() for name in analyses.OF_NETWORKS)


def write_page(run: Run, found: Sequence[Standing], *, finished: bool, busy: bool) -> bool:
    """Write the page of what is finished so far; whether there was anything.

    Args:
        run: The run.
        found: How far its members are.
        finished: Whether that is all.
        busy: Whether somebody trains it.

    Returns:
        Whether a page was written.

    Raises:
        DiskFullError: There is no room for it.
    """
    part = view(run, found)
    if part is None:
        return False
    told = None if finished else _banner(part, pace(run, found), busy=busy)
    results, left_out = _results(part)
    stills = {name: encode(draw(name, dataset), "png") for name, dataset in results.items()}
    content = page(part, results, left_out, stills, told)
    if finished and _is_analysed(run):  # meanwhile: that page says more
        return False
    write_text(run.report, content)
    return True


def _banner(part: Run, at: Pace, *, busy: bool) -> str:
    members = len(part.members)
    return (
        f"This run is {'being trained' if busy else 'not finished, and nobody trains it'}: {at.done} of {at.of} "
        f"member-epochs{_left(at) if busy else ''}. Everything here is of "
        f"{f'its first {members} members' if members > 1 else 'member 0 alone'} up to epoch {part.epochs[-1]}."
    )


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
