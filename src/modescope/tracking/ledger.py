"""What has been sent to one tracker: `RUN/tracking/TRACKER.json`."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from modescope.files import modified, write_text
from modescope.recipe import Recipe
from modescope.store.run import Run
from modescope.types import Place


@dataclass
class Ledger:
    """The names that a run has in one tracker, and what that tracker has got."""

    file: Place
    id: str  # the same for the same folder and the same members, so that a lost ledger finds the same runs
    name: str
    begun: float  # seconds since 1970
    destination: str
    epochs: dict[int, set[int]] = field(default_factory=dict)
    confusion: dict[int, int] = field(default_factory=dict)  # member -> epoch
    ensemble: dict[str, str] = field(default_factory=dict)  # part -> SHA-256

    def member_id(self, member: int) -> str:
        """The identity of a member's run."""
        return f"{self.id}-{member:03d}"

    def member_name(self, member: int) -> str:
        """How a member's run is called."""
        return f"{self.group} member {member:03d}"

    @property
    def ensemble_id(self) -> str:
        """The identity of the ensemble's run."""
        return f"{self.id}-ensemble"

    @property
    def group(self) -> str:
        """How the runs of this ensemble are called together."""
        return f"{self.name}-{self.id[:6]}"

    def save(self) -> None:
        """Put it on disk.

        Raises:
            DiskFullError: There is no room for it.
        """
        written = {
            "id": self.id,
            "name": self.name,
            "begun": self.begun,
            "destination": self.destination,
            "epochs": {str(member): sorted(epochs) for member, epochs in sorted(self.epochs.items())},
            "confusion": {str(member): epoch for member, epoch in sorted(self.confusion.items())},
            "ensemble": self.ensemble,
        }
        write_text(self.file, json.dumps(written, indent=1) + "\n")


def open_ledger(run: Run, tracker: str, destination: str) -> Ledger:
    """What this tracker has got of the run; nothing if it was sent elsewhere, or if the file cannot be read.

    Args:
        run: The run.
        tracker: The tracker's name.
        destination: Where it would be sent now. Only a digest of it is kept: addresses may hold passwords.
    """
    file = run.tracking / f"{tracker}.json"
    where = hashlib.sha256(destination.encode()).hexdigest()[:16]
    found = _read(file)
    if found is not None and found.destination == where:
        return found
    begun = modified(run.path / "recipe.toml")
    known = found or Ledger(file, _identity(run.path, run.recipe), run.path.resolve().name, begun, where)
    return Ledger(file, known.id, known.name, known.begun, where)


def _read(file: Place) -> Ledger | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return Ledger(
            file,
            str(found["id"]),
            str(found["name"]),
            float(found["begun"]),
            str(found["destination"]),
            {int(member): set(map(int, epochs)) for member, epochs in found["epochs"].items()},
            {int(member): int(epoch) for member, epoch in found["confusion"].items()},
            dict(found["ensemble"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _identity(path: Place, recipe: Recipe) -> str:
    trained = recipe.model_dump_json(exclude={"name", "analyses"})
    return hashlib.sha256(f"{path.resolve()}\n{trained}".encode()).hexdigest()[:12]
