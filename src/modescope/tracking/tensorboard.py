"""TensorBoard: event files below `RUN/tracking/tensorboard/`, a folder a member and one for the ensemble."""

from pathlib import Path
from typing import TYPE_CHECKING

from modescope.store.run import Run
from modescope.tracking.gather import confusion_png, pixels
from modescope.tracking.ledger import Ledger
from modescope.tracking.sink import Confusion, Ensemble, numbers
from modescope.types import EpochRecord

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardSink:
    """Writes event files, each epoch of which is on disk before the next one is taken."""

    def __init__(self, run: Run, ledger: Ledger) -> None:
        """Take the run; see `Sink`."""
        self._run = run
        self._at = ledger.begun
        self._members: dict[int, SummaryWriter] = {}

    @staticmethod
    def load(path: Path) -> None:
        """Import TensorBoard's writer."""
        import tensorboard  # noqa: F401  (what PyTorch says about a missing one is longer)
        import torch.utils.tensorboard  # noqa: F401

    @staticmethod
    def destination(path: Path) -> str:
        """Always below the run."""
        return "run"

    def open_member(self, member: int) -> None:
        """Begin a file of events; those that are there stay, and TensorBoard shows them as one."""
        self._members[member] = self._writer(f"member-{member:03d}")

    def log_epoch(self, member: int, record: EpochRecord, at: float) -> None:
        """A scalar a metric."""
        writer = self._members[member]
        for name, value in numbers(record).items():
            writer.add_scalar(name, value, record.epoch, walltime=at)
        writer.flush()

    def log_confusion(self, member: int, confusion: Confusion, at: float) -> None:
        """An image."""
        image = pixels(confusion_png(confusion))
        self._members[member].add_image("confusion", image, confusion.epoch, walltime=at, dataformats="HWC")

    def close_member(self, member: int) -> None:
        """End its file."""
        self._members.pop(member).close()

    def log_ensemble(self, ensemble: Ensemble) -> None:
        """Figures as images, scores over the size of the ensemble as scalars; a page cannot stand here, only a word."""
        with self._writer("ensemble") as writer:
            for name, value in ensemble.numbers.items():
                writer.add_scalar(name, value, 0, walltime=ensemble.at)
            for size, scores in ensemble.sizes.items():
                for name, value in scores.items():
                    writer.add_scalar(f"ensemble_size/{name}", value, size, walltime=ensemble.at)
            for name, file in ensemble.figures.items():
                image = pixels(file.read_bytes())
                writer.add_image(f"figures/{name}", image, 0, walltime=ensemble.at, dataformats="HWC")
            if any(file == self._run.report for file in ensemble.files):
                writer.add_text("report", f"The page is `{self._run.report}`.", 0, walltime=ensemble.at)

    def close(self) -> None:
        """End all files."""
        for writer in self._members.values():
            writer.close()

    def _writer(self, folder: str) -> "SummaryWriter":
        from torch.utils.tensorboard import SummaryWriter

        path = self._run.tracking / "tensorboard" / folder
        new = not path.is_dir()
        writer = SummaryWriter(str(path))
        if new:
            recipe = "".join(f"    {line}\n" for line in self._run.recipe.toml().splitlines())  # Markdown's code
            writer.add_text("recipe", recipe, 0, walltime=self._at)
        return writer
