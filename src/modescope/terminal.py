"""What commands say on a terminal: tables, the answer, how far a run is."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modescope.engines import Choice
    from modescope.report.answer import Answer
    from modescope.store.lease import Holder
    from modescope.store.run import Run
    from modescope.study import Results

out = Console(highlight=False, markup=False)  # what stands in brackets is a user's, not ours
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def print_columns(rows: "Sequence[tuple[str, ...]]") -> None:
    """A table whose first row is its header."""
    table = Table(box=None, pad_edge=False)
    header, *others = rows
    for title in header:
        table.add_column(title)
    for row in others:
        table.add_row(*row)
    out.print(table)


def show_standing(found: "Run", holder: "Holder") -> None:
    """How far a run is that is being trained."""
    from modescope import live

    standings = live.standings(found)
    at = live.pace(found, standings)
    out.print(f"Being trained by process {holder.process} on {holder.host}: {at.done} of {at.of} member-epochs.")
    table = Table(box=None, pad_edge=False, show_header=False)
    for member, standing in zip(found.members, standings, strict=True):
        record = standing.record
        accuracy = "" if record is None else f"test accuracy {100 * record.test_accuracy:.1f} %"
        table.add_row(f"member {member}", f"epoch {max(standing.newest, 0)}/{found.epochs[-1]}", accuracy)
    out.print(table)
    if at.a_minute:
        out.print(
            f"{at.a_minute:.3g} member-epochs a minute, {at.examples_a_second:,.0f} examples a second, about "
            f"{live.duration(at.seconds_left)} left.",
            soft_wrap=True,
        )


def by_whom(choice: "Choice") -> str:
    """Which engine trains, and why."""
    if choice.engine == "processes":
        return f"in {choice.workers} process{'es' if choice.workers > 1 else ''} side by side ({choice.why})"
    if choice.engine == "stacked":
        return f"stacked into one program ({choice.why})"
    if choice.engine == "ray":
        return f"as tasks of Ray ({choice.why})"
    return f"one after another ({choice.why})"


def show_answer(found: "Run", results: "Results") -> None:
    """What a run found: numbers, sentences, and where the page is."""
    from modescope.report.answer import answer
    from modescope.report.verdict import how_many, verdict

    told: Answer = answer(results.datasets)
    table = Table(box=None, pad_edge=False)
    for title in ("on the test data", "value", "interval", ""):
        table.add_column(title, no_wrap=bool(title))
    for finding in told.findings:
        table.add_row(finding.what, finding.value, finding.interval, finding.note)
    out.print()
    out.print(table)
    sizes = results.datasets.get("ensemble_size")
    short = () if sizes is None else (verdict(sizes), how_many(sizes))
    for sentence in (*filter(None, short), *told.sentences):
        out.print(f"\n{sentence}")
    out.print(f"\nThe page is {found.report}", soft_wrap=True)
