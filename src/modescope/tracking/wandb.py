"""Weights & Biases: a run a member in one group, and one for the ensemble; its files are below `RUN/tracking/wandb`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modescope.store.run import Run
from modescope.tracking.ledger import Ledger
from modescope.tracking.sink import PROJECT, Confusion, Ensemble, numbers
from modescope.types import EpochRecord

if TYPE_CHECKING:
    import wandb

_CHART = "wandb/confusion_matrix/v1"  # W&B's own drawing of such a table
_NAMED = ("WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT")


class WandbSink:
    """Logs without a network unless the user's environment has W&B's mode or key; `wandb sync` sends it then."""

    def __init__(self, run: Run, ledger: Ledger) -> None:
        """Take the run; see `Sink`."""
        self._run = run
        self._ledger = ledger
        self._members: dict[int, wandb.Run] = {}

    @staticmethod
    def load(path: Path) -> None:
        """Import W&B."""
        if _mode() == "offline":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would want a network for that
        import wandb  # noqa: F401

    @staticmethod
    def destination(path: Path) -> str:
        """The account and project; offline files are sent there later."""
        return "\n".join([os.environ.get(name, "") for name in _NAMED])

    def open_member(self, member: int) -> None:
        """Make or go on with the run of a member."""
        self._members[member] = self._init(
            self._ledger.member_id(member), self._ledger.member_name(member), "member", member=member
        )

    def log_epoch(self, member: int, record: EpochRecord, at: float) -> None:
        """One row; W&B refuses a step that it has already, so nothing is doubled there."""
        self._members[member].log({**numbers(record), "epoch": record.epoch}, step=record.epoch)

    def log_confusion(self, member: int, confusion: Confusion, at: float) -> None:
        """W&B's own confusion matrix, from a table of counts."""
        import wandb

        columns = ["Actual", "Predicted", "nPredictions"]
        table = wandb.Table(columns=columns, data=[list(row) for row in confusion.rows()])
        chart = wandb.plot_table(_CHART, table, {column: column for column in columns}, {"title": "confusion"})
        # without a step it joins the epoch's row while that is open, and is no step in the past where it is sent later
        self._members[member].log({"confusion": chart, "epoch": confusion.epoch})

    def close_member(self, member: int) -> None:
        """The run has finished."""
        self._members.pop(member).finish()

    def log_ensemble(self, ensemble: Ensemble) -> None:
        """Numbers as summary, scores as a table over sizes, figures and page as media and as files of an artefact."""
        import wandb

        run = self._init(self._ledger.ensemble_id, f"{self._ledger.group} ensemble", "ensemble")
        run.summary.update(ensemble.numbers)
        shown: dict[str, Any] = {f"figures/{name}": wandb.Image(str(file)) for name, file in ensemble.figures.items()}
        if ensemble.sizes:
            scores = list(next(iter(ensemble.sizes.values())))
            rows = [[size, *(found.get(score) for score in scores)] for size, found in ensemble.sizes.items()]
            shown["ensemble_size"] = wandb.Table(columns=["size", *scores], data=rows)
            run.summary.update(next(reversed(ensemble.sizes.values())))
        shown |= {file.stem: wandb.Html(str(file)) for file in ensemble.files if file.suffix == ".html"}
        if shown:
            run.log(shown)
        if ensemble.figures or ensemble.files:
            run.log_artifact(self._artefact(ensemble))
        run.finish()

    def close(self) -> None:
        """End the runs of members that have not finished, as such."""
        for run in self._members.values():
            run.finish(exit_code=1)

    def _artefact(self, ensemble: Ensemble) -> "wandb.Artifact":
        """What is new, as one version of the artefact of this ensemble."""
        import wandb

        artefact = wandb.Artifact(f"{PROJECT}-{self._ledger.id}", type="ensemble")
        for name, file in ensemble.figures.items():
            artefact.add_file(str(file), f"figures/{name}{file.suffix}")
        for file in ensemble.files:
            artefact.add_file(str(file), file.name)
        return artefact

    def _init(self, identity: str, name: str, kind: str, **config: Any) -> "wandb.Run":
        import wandb

        self._run.tracking.mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=identity,
            name=name,
            group=self._ledger.group,
            job_type=kind,
            config={**self._run.recipe.values(), **config},
            dir=str(self._run.tracking.absolute()),
            mode=_mode(),
            resume="allow",
            reinit="create_new",  # members are open side by side
            # what the machine does and what a terminal shows is not one member's
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True
            ),
        )


def _mode() -> Any:
    """`offline`, or None to let W&B do what the user has told it to."""
    return None if {"WANDB_MODE", "WANDB_API_KEY"} & set(os.environ) else "offline"
