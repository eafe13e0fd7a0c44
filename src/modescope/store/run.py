"""A run's directory: where everything is, how it is made, and what makes two commands mean the same run."""

from dataclasses import dataclass

from modescope.errors import RecipeError, RunError
from modescope.files import TEMPORARY, sweep, write_text
from modescope.recipe import Recipe, differences, parse
from modescope.types import Place


@dataclass(frozen=True)
class Run:
    """A run directory and the recipe in it. Holds no open files; every method names a place."""

    path: Place
    recipe: Recipe
    part_of: Recipe | None = None
    """The recipe of the folder, where this is but its first members and epochs."""

    @property
    def members(self) -> range:
        """The members that the recipe asks for."""
        return range(self.recipe.ensemble.members)

    @property
    def epochs(self) -> range:
        """The epochs that the recipe asks for, the initialisation (0) included."""
        return range(self.recipe.states)

    @property
    def snapshot_epochs(self) -> tuple[int, ...]:
        """The epochs whose weights are kept, in order."""
        return tuple(sorted(self.recipe.snapshots.kept(self.recipe.training.epochs)))

    def member(self, member: int) -> Place:
        """The folder of one member."""
        return self.path / "members" / f"{member:03d}"

    def snapshot(self, member: int, epoch: int) -> Place:
        """Parameters and buffers of one member at the end of one epoch."""
        return self.member(member) / "snapshots" / f"{epoch:03d}.safetensors"

    def ledger(self, member: int) -> Place:
        """The SHA-256 of every snapshot of one member, as `sha256sum` writes them."""
        return self.member(member) / "snapshots" / "SHA256SUMS"

    def history(self, member: int) -> Place:
        """One line of JSON an epoch."""
        return self.member(member) / "history.jsonl"

    def resume(self, member: int) -> Place:
        """What training goes on from."""
        return self.member(member) / "resume.safetensors"

    @property
    def predictions(self) -> Place:
        """The test predictions of all members and epochs."""
        return self.path / "predictions.zarr"

    @property
    def provenance(self) -> Place:
        """How the run was made."""
        return self.path / "provenance.json"

    def analysis(self, name: str) -> Place:
        """The Dataset of one analysis."""
        return self.path / "analyses" / f"{name}.zarr"

    @property
    def left_out(self) -> Place:
        """Which analyses make no sense for the run, and why."""
        return self.path / "analyses" / "left_out.json"

    def partial(self, name: str) -> Place:
        """What has been computed so far of an analysis that is made piece by piece."""
        return self.path / "analyses" / f"{name}.partial.safetensors"

    def figure(self, name: str, suffix: str) -> Place:
        """The figure of one analysis, as `png`, `svg` or `pdf`."""
        return self.path / "figures" / f"{name}.{suffix}"

    @property
    def tracking(self) -> Place:
        """What trackers on this machine keep, and what each has been sent."""
        return self.path / "tracking"

    @property
    def lock(self) -> Place:
        """Held by the command that trains the run."""
        return self.path / ".lock"

    @property
    def lock_holder(self) -> Place:
        """Says which process holds the lock."""
        return self.path / ".lock-holder.json"

    @property
    def report(self) -> Place:
        """The page."""
        return self.path / "report.html"


def open_run(path: Place) -> Run:
    """An existing run.

    Raises:
        RunError: The folder does not exist, or is no run.
    """
    file = path / "recipe.toml"
    if not path.is_dir():
        raise RunError(f"There is no run at {path}. `modescope run -o {path}` makes one.")
    if not file.is_file():
        raise RunError(f"{path} is no run: it has no recipe.toml. Name a folder that `modescope train` or `run` made.")
    try:
        return Run(path, parse(file.read_text(encoding="utf-8"), origin=str(file)))
    except (RecipeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is a run whose recipe cannot be read. {error}") from None


def run_at(path: Place, recipe: Recipe) -> Run:
    """The run of this recipe at this place: a new one, or the one that is there. Writes nothing.

    A run may be renamed and looked at with other analysis settings; what trains its members is fixed.

    Raises:
        RunError: The place holds something else, or a run whose members another recipe trains.
    """
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; the output must be a folder. Name another one with -o.")
    if (path / "recipe.toml").is_file():
        different = differences(open_run(path).recipe, recipe)
        if different:
            told = "; ".join(
                f"{key} is {ours!r} there and {theirs!r} here" for key, (ours, theirs) in different.items()
            )
            raise RunError(
                f"{path} was made by another recipe: {told}. Name another folder with -o, or give the same recipe."
            )
    elif path.is_dir() and not all(_begun(file) for file in path.iterdir()):
        raise RunError(
            f"{path} is not empty and is no run (it has no recipe.toml), so nothing was written there. Name an empty "
            "or a new folder with -o."
        )
    return Run(path, recipe)


def start_run(run: Run) -> None:
    """Write a run's recipe, and sweep up what killed commands left. Whoever calls this holds the run's lock.

    Raises:
        DiskFullError: There is no room for it.
    """
    sweep(run.path)
    file = run.path / "recipe.toml"
    if not file.is_file() or file.read_text(encoding="utf-8") != run.recipe.toml():
        write_text(file, run.recipe.toml())


def _begun(file: Place) -> bool:
    """Whether a command that was killed before it wrote the recipe may have left this file."""
    return file.name.startswith((".lock", TEMPORARY))
