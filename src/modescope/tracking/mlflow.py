"""MLflow: a run for the ensemble and one for each member below it, in `RUN/tracking/mlflow.db` or at its address."""

import csv
import io
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from modescope.store.run import Run
from modescope.tracking.gather import confusion_png
from modescope.tracking.ledger import Ledger
from modescope.tracking.sink import PROJECT, Confusion, Ensemble, numbers
from modescope.types import EpochRecord

_ADDRESS = "MLFLOW_TRACKING_URI"
_IDENTITY = "modescope.id"
_TOGETHER = 100  # parameters or metrics that MLflow takes at once
_LONGEST = 500  # characters of a parameter that every server takes


class MlflowSink:
    """Finds its runs by a tag, so that what was sent before is gone on with; sending a metric again changes nothing."""

    def __init__(self, run: Run, ledger: Ledger) -> None:
        """Take the run; see `Sink`."""
        from mlflow import MlflowClient

        self._run = run
        self._ledger = ledger
        run.tracking.mkdir(exist_ok=True)
        here = run.tracking.absolute() / "mlflow.db"
        self._client = MlflowClient(tracking_uri=os.environ.get(_ADDRESS) or f"sqlite:///{here}")
        self._experiment: str | None = None
        self._parent: str | None = None
        self._members: dict[int, str] = {}

    @staticmethod
    def load(path: Path) -> None:
        """Import MLflow, and for a store of the run's own what its database needs."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before it is imported
        import mlflow  # noqa: F401

        if not os.environ.get(_ADDRESS):
            import alembic  # noqa: F401
            import sqlalchemy  # noqa: F401

            for noisy in ("mlflow.store.db.utils", "alembic"):  # how its tables are made
                logging.getLogger(noisy).setLevel(logging.WARNING)

    @staticmethod
    def destination(path: Path) -> str:
        """MLflow's own address if one is set, else a database below the run."""
        return os.environ.get(_ADDRESS) or "run"

    def open_member(self, member: int) -> None:
        """Make or find the run of a member, below the ensemble's."""
        tags = {"mlflow.parentRunId": self._ensemble(), "modescope.member": str(member)}
        self._members[member] = self._found(
            self._ledger.member_id(member), self._ledger.member_name(member), self._ledger.begun, tags
        )

    def log_epoch(self, member: int, record: EpochRecord, at: float) -> None:
        """A metric each, at a time that is the same whenever it is sent: MLflow then keeps it once."""
        self._log(self._members[member], numbers(record), at, record.epoch)

    def log_confusion(self, member: int, confusion: Confusion, at: float) -> None:
        """A table and a picture."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("true", "predicted", "count"))
        writer.writerows(confusion.rows())
        run_id = self._members[member]
        self._client.log_text(run_id, text.getvalue(), "confusion.csv")
        self._client.log_image(run_id, Image.open(io.BytesIO(confusion_png(confusion))), "confusion.png")

    def close_member(self, member: int) -> None:
        """The run has finished."""
        self._client.set_terminated(self._members.pop(member), "FINISHED")

    def log_ensemble(self, ensemble: Ensemble) -> None:
        """Numbers as metrics, with the ensemble's size as their step where they have one; files as artefacts."""
        run_id = self._ensemble()
        self._log(run_id, ensemble.numbers, ensemble.at, 0)
        for size, scores in ensemble.sizes.items():
            self._log(run_id, {f"ensemble_size/{name}": value for name, value in scores.items()}, ensemble.at, size)
        for file in ensemble.figures.values():
            self._client.log_artifact(run_id, str(file), "figures")
        for file in ensemble.files:
            self._client.log_artifact(run_id, str(file))

    def close(self) -> None:
        """End the members' runs as stopped, and the ensemble's as finished unless one of them was stopped."""
        for run_id in self._members.values():
            self._client.set_terminated(run_id, "KILLED")
        if self._parent is not None:
            self._client.set_terminated(self._parent, "KILLED" if self._members else "FINISHED")

    def _ensemble(self) -> str:
        if self._parent is None:
            self._parent = self._found(self._ledger.ensemble_id, self._ledger.group, self._ledger.begun, {})
        return self._parent

    def _found(self, identity: str, name: str, begun: float, tags: Mapping[str, str]) -> str:
        """The number of the run with that identity; a new one gets the recipe."""
        experiment = self._in_experiment()
        runs = self._client.search_runs([experiment], f"tags.`{_IDENTITY}` = '{identity}'", max_results=1)
        if runs:
            self._client.update_run(runs[0].info.run_id, status="RUNNING")
            return runs[0].info.run_id
        run = self._client.create_run(experiment, int(1000 * begun), {_IDENTITY: identity, **tags}, name)
        self._log_recipe(run.info.run_id)
        return run.info.run_id

    def _in_experiment(self) -> str:
        if self._experiment is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            found = self._client.get_experiment_by_name(name)
            here = (self._run.tracking / "mlartifacts").absolute().as_uri()
            files = None if os.environ.get(_ADDRESS) else here
            self._experiment = found.experiment_id if found else self._client.create_experiment(name, files)
        return self._experiment

    def _log_recipe(self, run_id: str) -> None:
        from mlflow.entities import Param

        params = [Param(key, _text(value)) for key, value in self._run.recipe.flat_values().items()]
        for first in range(0, len(params), _TOGETHER):
            self._client.log_batch(run_id, params=params[first : first + _TOGETHER])

    def _log(self, run_id: str, values: Mapping[str, float], at: float, step: int) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(name, value, int(1000 * at), step) for name, value in values.items()]
        for first in range(0, len(metrics), _TOGETHER):
            self._client.log_batch(run_id, metrics=metrics[first : first + _TOGETHER])


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
