"""trackio: its local store below `RUN/tracking/trackio`, or in TRACKIO_DIR, with a run a member in one group.

Its storage is written directly. That is done before the next epoch is taken, takes an identity for each row, by which a
row that is sent again is known, and asks nobody on a network who the user is.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modescope.errors import RequestError
from modescope.files import write_bytes
from modescope.store.run import Run
from modescope.tracking.gather import confusion_png
from modescope.tracking.ledger import Ledger
from modescope.tracking.sink import PROJECT, Confusion, Ensemble, numbers
from modescope.types import EpochRecord

_FOLDER = "TRACKIO_DIR"


class TrackioSink:
    """Writes rows into trackio's database; see `Sink`."""

    def __init__(self, run: Run, ledger: Ledger) -> None:
        """Take the run; see `Sink`."""
        self._run = run
        self._ledger = ledger

    @staticmethod
    def load(path: Path) -> None:
        """Import trackio, which decides then where its store is.

        Raises:
            RequestError: It was imported before, with its store elsewhere.
        """
        folder = TrackioSink._folder(path)
        before = os.environ.get(_FOLDER)
        os.environ[_FOLDER] = str(folder)
        try:
            import trackio.utils
        finally:
            if before is None:
                del os.environ[_FOLDER]
        if trackio.utils.TRACKIO_DIR.absolute() != folder.absolute():
            raise RequestError(
                f"This process has trackio's store open in {trackio.utils.TRACKIO_DIR}, and it can have only one. Set "
                f"{_FOLDER} to have several runs in one store, or begin another process."
            )

    @staticmethod
    def destination(path: Path) -> str:
        """A folder."""
        return os.environ.get(_FOLDER) or "run"

    @staticmethod
    def _folder(path: Path) -> Path:
        named = os.environ.get(_FOLDER)
        return Path(named) if named else path.absolute() / "tracking" / "trackio"

    def open_member(self, member: int) -> None:
        """A run is made with its first row."""

    def log_epoch(self, member: int, record: EpochRecord, at: float) -> None:
        """One row."""
        self._log_member(member, numbers(record), record.epoch, at, "epoch")

    def log_confusion(self, member: int, confusion: Confusion, at: float) -> None:
        """Its own table, and a picture."""
        import trackio

        rows = [dict(zip(("true", "predicted", "count"), row, strict=True)) for row in confusion.rows()]
        name = self._ledger.member_name(member)
        values = {
            "confusion": {"_type": trackio.Table.TYPE, "_value": rows},
            "confusion_matrix": self._image(name, "confusion.png", confusion_png(confusion), confusion.epoch),
        }
        self._log_member(member, values, confusion.epoch, at, "confusion")

    def close_member(self, member: int) -> None:
        """A local run has no end."""

    def log_ensemble(self, ensemble: Ensemble) -> None:
        """Numbers and figures as rows, files as versions of an artefact, of which trackio keeps equal ones once."""
        name, at = f"{self._ledger.group} ensemble", ensemble.at
        for size, scores in ensemble.sizes.items():
            values = {f"ensemble_size/{score}": value for score, value in scores.items()}
            self._log(name, self._ledger.ensemble_id, values, size, at, f"size-{at}")
        images = {
            f"figures/{figure}": self._image(name, file.name, file.read_bytes(), 0)
            for figure, file in ensemble.figures.items()
        }
        if ensemble.numbers or images:
            what = f"results-{at}-{'-'.join(sorted(ensemble.figures))}"
            self._log(name, self._ledger.ensemble_id, {**ensemble.numbers, **images}, 0, at, what)
        files = {f"figures/{file.name}": file for file in ensemble.figures.values()}
        self._commit(name, {**files, **{file.name: file for file in ensemble.files}})

    def close(self) -> None:
        """Everything is written already."""

    def _log_member(self, member: int, values: Mapping[str, Any], step: int, at: float, what: str) -> None:
        name, identity = self._ledger.member_name(member), self._ledger.member_id(member)
        self._log(name, identity, values, step, at, what, member=member)

    def _log(
        self, name: str, identity: str, values: Mapping[str, Any], step: int, at: float, what: str, **config: Any
    ) -> None:
        from trackio.sqlite_storage import SQLiteStorage

        told = {**self._run.recipe.values(), **config, "_Group": self._ledger.group, "_Created": _text(at)}
        SQLiteStorage.bulk_log(
            PROJECT, name, [dict(values)], steps=[step], timestamps=[_text(at)], config=told,
            log_ids=[f"{identity}-{what}-{step}"], run_id=identity,
        )  # fmt: skip

    def _image(self, name: str, file: str, png: bytes, step: int) -> dict[str, Any]:
        """A picture in trackio's folder of media, as its rows name it."""
        import trackio
        from trackio.media.utils import get_project_media_path
        from trackio.utils import MEDIA_DIR

        place = get_project_media_path(project=PROJECT, run=name, step=step) / file
        write_bytes(place, png)
        return {"_type": trackio.Image.TYPE, "file_path": str(place.relative_to(MEDIA_DIR)), "caption": None}

    def _commit(self, name: str, files: Mapping[str, Path]) -> None:
        from trackio.cas import stage_blob_into_project
        from trackio.sqlite_storage import SQLiteStorage

        manifest = []
        for place, file in sorted(files.items()):
            digest, size = stage_blob_into_project(file, PROJECT)
            manifest.append({"path": place, "digest": digest, "size": size})
        if manifest:
            SQLiteStorage.commit_artifact_version(
                project=PROJECT, name=f"{PROJECT}-{self._ledger.id}", type="ensemble", description=None,
                manifest=manifest, metadata=None, aliases=None, run_name=name, run_id=self._ledger.ensemble_id,
            )  # fmt: skip


def _text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
