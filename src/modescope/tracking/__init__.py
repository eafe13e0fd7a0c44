"""Experiment trackers: what a run holds, told to W&B, TensorBoard, MLflow or trackio.

The run's own files are the source, and a tracker gets nothing that they do not hold; so whatever a tracker missed can
be sent later. No tracker's library is imported before somebody asks for it.
"""

from collections.abc import Sequence
from pathlib import Path

from modescope.errors import RequestError
from modescope.tracking.mlflow import MlflowSink
from modescope.tracking.sink import Sink
from modescope.tracking.tensorboard import TensorBoardSink
from modescope.tracking.trackio import TrackioSink
from modescope.tracking.wandb import WandbSink
from modescope.types import Place

SINKS: dict[str, type[Sink]] = {
    "wandb": WandbSink,
    "tensorboard": TensorBoardSink,
    "mlflow": MlflowSink,
    "trackio": TrackioSink,
}


def check_trackers(names: Sequence[str], path: Place) -> tuple[str, ...]:
    """The trackers of those names, each once, if a run at that place can be told to them.

    Args:
        names: Keys of `SINKS`.
        path: The run's folder, which need not be there yet.

    Raises:
        RequestError: A name is unknown, its library is not installed, or the run is not on this machine.
    """
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in SINKS:
            raise RequestError(f"There is no tracker {name!r}. There are {', '.join(SINKS)}.")
        if not isinstance(path, Path):
            raise RequestError(
                f"--track {name} needs a run on this machine, and {path} is at another address: train without --track, "
                f"copy the run here, and give `modescope sync RUN --track {name}`."
            )
        try:
            SINKS[name].load(path)
        except RequestError:
            raise
        except Exception as error:  # a library that is half there raises what it likes
            raise RequestError(
                f"--track {name} needs a library that cannot be imported here ({type(error).__name__}: {error}); "
                "`pip install 'modescope[track]'` installs it."
            ) from error
    return chosen
