"""Histories: one line of JSON for each epoch of a member."""

import json
import math
from dataclasses import asdict, fields

from modescope.files import write_text
from modescope.store.run import Run
from modescope.types import EpochRecord

_FIELDS = {field.name for field in fields(EpochRecord)}


def read_history(run: Run, member: int) -> dict[int, EpochRecord]:
    """The recorded epochs of one member; lines that cannot be read count as missing."""
    path = run.history(member)
    records = {}
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        try:
            values = json.loads(line)
            record = EpochRecord(**{name: values[name] for name in _FIELDS})
        except (json.JSONDecodeError, KeyError, TypeError):
            continue
        records[record.epoch] = record
    return records


def add_to_history(run: Run, member: int, record: EpochRecord) -> None:
    """Record one epoch; one that is recorded already keeps its line, and with it the time it took.

    Raises:
        DiskFullError: There is no room for it.
    """
    records = read_history(run, member)
    if record.epoch in records:
        return
    records[record.epoch] = record
    lines = (json.dumps(_finite(asdict(records[epoch]))) for epoch in sorted(records))
    write_text(run.history(member), "".join(f"{line}\n" for line in lines))


def _finite(values: dict[str, int | float | None]) -> dict[str, int | float | None]:
    """JSON knows no infinity: a loss that is not finite is written as null."""
    return {key: value if value is None or math.isfinite(value) else None for key, value in values.items()}
