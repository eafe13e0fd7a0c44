"""The exceptions a user can meet. A message is one paragraph: what was expected, what came, what to write instead."""

from collections.abc import Mapping

from modescope.types import Place


class ModescopeError(Exception):
    """Base class of every error that modescope raises on purpose."""

    exit_code = 1


class RequestError(ModescopeError):
    """The request was wrong: nothing was started."""

    exit_code = 2


class RecipeError(RequestError):
    """A recipe that cannot be read, or a value that it cannot hold."""


class DataError(RequestError):
    """A data source that is missing, damaged, or holds something no classifier can be trained on."""


class ModelError(RequestError):
    """A network that cannot be built, or that does not fit the data."""


class RunError(RequestError):
    """A folder that is no run, or one that was made by another recipe or from other data."""


class NotApplicableError(RequestError):
    """An analysis that makes no sense for this run, such as pairs of members in a run of one member."""


class WorkError(ModescopeError):
    """The work was begun and failed."""


class FileError(WorkError):
    """Something is wrong with one file."""

    def __init__(self, path: Place, reason: str, told: str) -> None:
        super().__init__(told)
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[Place, str]]:
        """Survive the way from one process to another."""
        return type(self), (self.path, self.reason)


class DamagedFileError(FileError):
    """A file of a run that is not what was written."""

    def __init__(self, path: Place, reason: str) -> None:
        super().__init__(
            path,
            reason,
            f"{path} is damaged ({reason}). Run the same `modescope train` command again: it makes this file anew and "
            "leaves the others alone.",
        )


class DiskFullError(FileError):
    """No room left while writing."""

    def __init__(self, path: Place, reason: str) -> None:
        super().__init__(
            path,
            reason,
            f"Could not write {path}: {reason}. Everything written before is whole; make room and give the same "
            "command again, and it goes on from the last finished epoch.",
        )


class DivergedError(WorkError):
    """A member whose training loss or predictions are no longer finite numbers."""


class RepeatedOtherwiseError(WorkError):
    """A member that was trained again and became another network, so that its files would not fit together."""

    def __init__(self, snapshot: Place, folder: Place) -> None:
        super().__init__(
            f"trained again, it became another network than the one recorded for {snapshot}: this machine, these "
            f"threads or this PyTorch compute otherwise than those that trained it. Nothing of it was changed. Delete "
            f"{folder} and give the same command again to have all of it from here"
        )
        self.paths = (snapshot, folder)

    def __reduce__(self) -> tuple[type, tuple[Place, Place]]:
        """Survive the way from one process to another."""
        return type(self), self.paths


class MembersFailedError(WorkError):
    """Some members could not be trained; the others are finished."""

    def __init__(self, failures: Mapping[int, BaseException]) -> None:
        told = " ".join(f"Member {member}: {str(error).rstrip('.')}." for member, error in sorted(failures.items()))
        super().__init__(
            f"{len(failures)} member{'s' if len(failures) > 1 else ''} failed. {told} The same command trains only "
            "what is missing."
        )
        self.failures = dict(failures)
