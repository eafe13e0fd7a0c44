"""`sequential`: one member after another, in this process."""

from collections.abc import Mapping

from modescope.engines.job import Job
from modescope.errors import DiskFullError, RequestError
from modescope.training.member import train_member
from modescope.training.precision import data_for_training
from modescope.types import OnEpoch


def train_sequentially(job: Job, on_epoch: OnEpoch) -> Mapping[int, BaseException]:
    """Train the members of a job one after another; see `Engine`."""
    data = data_for_training(job.run.recipe, job.data, job.device)
    failures: dict[int, BaseException] = {}
    for member, progress in job.members.items():
        try:
            train_member(job.run, data, member, progress, on_epoch)
        except (DiskFullError, RequestError):  # the others would meet the same
            raise
        except Exception as error:  # one member's failure, whatever it is, must not cost the others
            failures[member] = error
    return failures
