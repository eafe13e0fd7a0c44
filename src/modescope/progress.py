"""What a person sees while members train: one live line a member, or plain lines where the output is no terminal."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from modescope.live import duration
from modescope.types import EpochRecord

_QUIET_SECONDS = 10.0  # between plain lines about one and the same member, or about any of many
_MOST_LINES = 12  # of members at a time; of more, the first of those that are at work
_WIDE = 100  # characters of a line that has room for long bars


@dataclass
class Throughput:
    """What all members together get done."""

    examples: int  # of training data, in an epoch
    began: float = field(default_factory=time.monotonic)
    done: int = 0  # epochs of all members since then, initialisations not counted

    def told(self, left: int, now: float | None = None) -> str:
        """How many epochs a minute and examples a second, and how long what is left takes, as far as is known yet."""
        seconds = (time.monotonic() if now is None else now) - self.began
        if not self.done or seconds <= 0:
            return ""
        a_second = self.done / seconds
        told = f"{60 * a_second:.3g} member-epochs/min, {self.examples * a_second:,.0f} examples/s"
        return told + (f", {duration(left / a_second)} left" if left else "")


class _Lines(Progress):
    """Lines in columns, and below them one of its own width."""

    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.below:
            yield Text(self.below)


class LiveProgress:
    """One line a member with epoch, loss, accuracy and time left, one line for all of them, and the throughput.

    Of many members, the first of those that are at work have a line, and one line counts the others.
    """

    def __init__(self, console: Console, members: Mapping[int, int], epochs: int, examples: int) -> None:
        """Take the members with the number of epochs that each has behind it, of `epochs` each of so many examples."""
        self._progress = _Lines(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24 if console.width >= _WIDE else 8),
            TextColumn("{task.fields[of]} {task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._epochs = epochs
        self._throughput = Throughput(examples)
        self._few = len(members) <= _MOST_LINES
        self._members: dict[int, TaskID] = {
            member: self._progress.add_task(
                f"member {member:>3}",
                total=epochs,
                completed=max(done, 0),
                start=False,
                told="",
                visible=self._few,
                of="epoch",
            )
            for member, done in members.items()
        }
        done = sum(max(done, 0) for done in members.values())
        more = {"told": "", "visible": not self._few, "start": False, "of": "member"}
        self._finished = self._progress.add_task("finished", total=len(members), **more)
        total = epochs * len(members)
        self._all = self._progress.add_task("all members", total=total, completed=done, told="", of="epoch")

    def __enter__(self) -> "LiveProgress":
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Draw a last time."""
        self._progress.stop()

    def __call__(self, member: int, record: EpochRecord) -> None:
        """Show a member's newest epoch."""
        task = self._members[member]
        self._progress.start_task(task)
        self._progress.update(task, completed=record.epoch, told=_told(record))
        if not self._few:
            self._choose_lines()
        self._throughput.done += record.epoch > 0
        behind = sum(self._progress.tasks[line].completed for line in self._members.values())
        left = round(self._progress.tasks[self._all].total - behind)
        self._progress.below = self._throughput.told(left)
        self._progress.update(self._all, completed=behind)

    def _choose_lines(self) -> None:
        """Show the first of the members that are at work, and how many there are of each kind."""
        tasks = [self._progress.tasks[line] for line in self._members.values()]
        at_work = [task.id for task in tasks if task.started and task.completed < task.total]
        for task in tasks:
            self._progress.update(task.id, visible=task.id in at_work[:_MOST_LINES])
        finished = sum(task.completed >= task.total for task in tasks)
        told = f"{len(at_work)} at work, {len(tasks) - len(at_work) - finished} waiting"
        self._progress.update(self._finished, completed=finished, told=told)


class PlainProgress:
    """A line when a member begins, when it ends, and in between no more often than every ten seconds.

    Of many members, a line when one ends, and else no more often than that about any of them.
    """

    def __init__(self, console: Console, members: Mapping[int, int], epochs: int, examples: int) -> None:
        """Take what `LiveProgress` takes."""
        self._console = console
        self._epochs = epochs
        self._behind = {member: max(done, 0) for member, done in members.items()}
        self._throughput = Throughput(examples)
        self._few = len(members) <= _MOST_LINES
        self._said: dict[int | None, float] = {}
        self._begun: dict[int, tuple[int, float]] = {}

    def __enter__(self) -> "PlainProgress":
        """Nothing to begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing to end."""

    def __call__(self, member: int, record: EpochRecord) -> None:
        """Write a line about a member's newest epoch, unless one was written just now."""
        now = time.monotonic()
        self._throughput.done += record.epoch > 0
        self._behind[member] = record.epoch
        first, began = self._begun.setdefault(member, (record.epoch, now))
        subject = member if self._few else None
        if record.epoch < self._epochs and now - self._said.get(subject, -_QUIET_SECONDS) < _QUIET_SECONDS:
            return
        self._said[subject] = now
        done = record.epoch - first
        left = f", {duration((now - began) / done * (self._epochs - record.epoch))} left" if done else ""
        line = f"member {member}: epoch {record.epoch}/{self._epochs}, {_told(record)}"
        line += left if record.epoch < self._epochs else ""
        behind, total = sum(self._behind.values()), len(self._behind) * self._epochs
        together = f"all: {behind}/{total}"
        pace = self._throughput.told(total - behind, now)
        line += f" ({together}{', ' if pace else ''}{pace})" if len(self._behind) > 1 else f" ({pace})" if pace else ""
        self._console.print(line, highlight=False, soft_wrap=True)


def _told(record: EpochRecord) -> str:
    return f"test loss {record.test_loss:.3f}, accuracy {100 * record.test_accuracy:.1f} %"
